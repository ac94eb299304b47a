//! How the texts of files begin.

/// What some editors put before UTF-8 text.
pub const BYTE_ORDER_MARK: char = '\u{feff}';
