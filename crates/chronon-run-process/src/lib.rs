//! One supervised child. Knows no word of Chronon.
