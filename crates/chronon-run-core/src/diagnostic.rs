//! One finding about the user's files: what is wrong, where, and what to do next.

use std::{ops::Range, path::PathBuf};

use serde::Serialize;

/// What some editors put before UTF-8 text. Places in a file do not count it.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing may run until it is fixed.
    Error,
    /// Should be fixed; runs continue.
    Warning,
}

/// A place in a text file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Location {
    /// The file, as the user would type it.
    pub path: PathBuf,
    /// Byte range in the file, end exclusive; `None` is the whole file.
    pub span: Option<Range<usize>>,
}

impl Location {
    /// The whole file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            span: None,
        }
    }

    /// Bytes `span` of the file.
    #[must_use]
    pub fn bytes(path: impl Into<PathBuf>, span: Range<usize>) -> Self {
        Self {
            path: path.into(),
            span: Some(span),
        }
    }
}

/// One finding. Rendered by `chronon-run-report` with file, line, column and caret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A short stable kebab-case name, e.g. `unknown-team`, for `--output json`.
    pub code: &'static str,
    /// What is wrong: a lower-case fragment without a period.
    pub message: String,
    /// Where, if it is anywhere.
    pub location: Option<Location>,
    /// What to do next, if there is something to say.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            location: None,
            hint: None,
        }
    }

    /// The same finding, at `location`.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// The same finding, with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it stops everything.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
