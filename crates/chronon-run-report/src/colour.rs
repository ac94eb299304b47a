//! Which streams carry colours: one answer for everything that makes them.

use std::io;

use anstream::{AutoStream, ColorChoice};

/// Decides for the whole process. Without an answer of the user, a stream has colours if it is a terminal
/// that shows them (not `TERM=dumb`) and neither `NO_COLOR` nor `CLICOLOR=0` is set, or if
/// `CLICOLOR_FORCE` is set.
pub fn set_colours(wanted: Option<bool>) {
    let choice = match wanted {
        None => ColorChoice::Auto,
        Some(true) => ColorChoice::Always,
        Some(false) => ColorChoice::Never,
    };
    choice.write_global();
    let has = |choice| choice != ColorChoice::Never;
    console::set_colors_enabled(has(AutoStream::choice(&io::stdout())));
    console::set_colors_enabled_stderr(has(AutoStream::choice(&io::stderr())));
}
