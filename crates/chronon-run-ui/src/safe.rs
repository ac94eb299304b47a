//! Text of others.

use chronon_run_core::secret::mask_text;

/// Text of others as it may be shown: without secrets that can be told by their form.
pub(crate) fn safe(text: &str) -> String {
    mask_text(text)
}
