//! Which streams carry colours: one answer for everything that makes them.

use std::{ffi::OsString, io};

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

/// What `--color` says among arguments that are not parsed yet, for help and errors, as [`set_colours`] takes it.
#[must_use]
pub fn colours_in(arguments: impl Iterator<Item = OsString>) -> Option<bool> {
    let mut arguments = arguments.take_while(|argument| argument != "--");
    let mut said = None;
    while let Some(argument) = arguments.next() {
        said = match argument.to_str() {
            Some("--color") => arguments.next().and_then(|word| word.into_string().ok()),
            Some(text) => text.strip_prefix("--color=").map(str::to_owned).or(said),
            None => said,
        };
    }
    match said.as_deref() {
        Some("always") => Some(true),
        Some("never") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_choice_of_colours_before_two_dashes_counts() {
        let of = |words: &str| colours_in(words.split(' ').map(OsString::from));
        assert_eq!(of("plan"), None);
        assert_eq!(of("--color never plan"), Some(false));
        assert_eq!(of("plan --color=always"), Some(true));
        assert_eq!(of("--color=never --color always"), Some(true));
        assert_eq!(of("plan -- --color=never"), None);
        assert_eq!(of("plan --color purple"), None);
    }
}
