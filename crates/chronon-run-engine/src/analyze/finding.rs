//! A field of a conf, and what is wrong with it.

use std::path::PathBuf;

use chronon_run_core::ConfId;

/// A field of a conf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) conf: ConfId,
    pub(super) path: PathBuf,
    /// As in the compiled JSON.
    pub(super) field: String,
    /// Its text.
    pub(super) text: String,
}

impl Place {
    pub(super) fn at(&self, field: &str, text: &str) -> Self {
        Self {
            field: format!("{}{field}", self.field),
            text: text.to_owned(),
            ..self.clone()
        }
    }
}

/// Something in a conf that Spark does not understand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The conf.
    pub conf: ConfId,
    /// Its file, relative to the repo.
    pub path: PathBuf,
    /// The field, as in the compiled JSON.
    pub field: String,
    /// The field's text.
    pub text: String,
    /// The line of the text, from 1, if it has several.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do, e.g. the nearest name.
    pub hint: Option<String>,
}

impl Finding {
    pub(super) fn new(place: &Place, message: String, hint: Option<String>) -> Self {
        Self {
            conf: place.conf.clone(),
            path: place.path.clone(),
            field: place.field.clone(),
            text: place.text.clone(),
            line: None,
            message,
            hint,
        }
    }
}
