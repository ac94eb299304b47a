//! Events, history and findings to bars, lines and JSON.
