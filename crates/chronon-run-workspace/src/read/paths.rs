//! Paths of workspace.toml.

use std::path::{Path, PathBuf};

use crate::document::{Section, Value};

pub(super) const FROM_ROOT: &str =
    "a relative path starts at the folder of workspace.toml; `~` is not expanded";

/// Where relative paths start.
pub(super) struct Paths<'r> {
    pub(super) root: &'r Path,
}

impl Paths<'_> {
    /// `text` as an absolute path without `.` components.
    pub(super) fn absolute(&self, text: &str) -> PathBuf {
        let joined = self.root.join(text);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    /// The absolute path that `value` names.
    pub(super) fn of(&self, value: &Value<'_>) -> Option<PathBuf> {
        value.word().map(|text| self.absolute(text))
    }

    /// The absolute path `key`; doubted if it is not there. Who uses it says the rest.
    pub(super) fn expected(&self, section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
        let value = section.get(key)?;
        let path = self.of(&value)?;
        if !path.exists() {
            let message = format!("`{}`: there is no `{}`", value.shown(), path.display());
            value.doubt("no-such-path", message, FROM_ROOT.to_owned());
        }
        Some(path)
    }

    /// The jar `key`: a path, made absolute, or a URL or Maven coordinates as they are.
    pub(super) fn jar(&self, section: &Section<'_>, key: &'static str) -> Option<String> {
        let value = section.get(key)?;
        let text = value.word()?;
        let coordinates = !text.contains('/') && text.split(':').count() >= 3;
        if coordinates || text.contains("://") {
            return Some(text.to_owned());
        }
        let path = self.expected(section, key)?;
        Some(path.to_string_lossy().into_owned())
    }
}
