//! Links to logs, for terminals that open them (OSC 8).

use std::{
    borrow::Cow,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use anstream::{AutoStream, ColorChoice};
use chronon_run_process::host_name;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use supports_hyperlinks::Stream;

/// What may not be in the path of an address.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// What a link begins with.
pub(crate) const LINK: &str = "\x1b]8;";

/// Which stream text is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl To {
    /// Whether it is a terminal that opens links, and shows escape sequences at all.
    fn opens_links(self) -> bool {
        let (is_terminal, choice, stream) = match self {
            Self::Stdout => {
                let stream = io::stdout();
                (
                    stream.is_terminal(),
                    AutoStream::choice(&stream),
                    Stream::Stdout,
                )
            }
            Self::Stderr => {
                let stream = io::stderr();
                (
                    stream.is_terminal(),
                    AutoStream::choice(&stream),
                    Stream::Stderr,
                )
            }
        };
        is_terminal && choice != ColorChoice::Never && supports_hyperlinks::on(stream)
    }
}

/// The text with every path of a log that exists as a link to it, where the terminal opens links.
#[must_use]
pub fn linked(text: &str, to: To) -> Cow<'_, str> {
    if !text.contains(".log") || !to.opens_links() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(with_links(text, &host_name().unwrap_or_default()))
}

/// The host tells a terminal that shows another machine that the file is not there.
fn with_links(text: &str, host: &str) -> String {
    let parts = text.split_inclusive([' ', '\n']);
    let linked = parts.map(|part| {
        let word = part.trim_end_matches([' ', '\n', ',', ';', ')']);
        match log(word) {
            Some(path) => {
                let path = path.display().to_string();
                let path = utf8_percent_encode(&path, ESCAPED);
                let rest = &part[word.len()..];
                format!("\x1b]8;;file://{host}{path}\x1b\\{word}\x1b]8;;\x1b\\{rest}")
            }
            None => part.to_owned(),
        }
    });
    linked.collect()
}

/// The whole path of a word that is the path of a log.
fn log(word: &str) -> Option<PathBuf> {
    let path = Path::new(word);
    let is_log = word.contains('/') && path.extension().is_some_and(|end| end == "log");
    is_log.then(|| path.canonicalize().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_of_logs_that_exist_are_links() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let log = folder.join("a%1.log");
        fs::write(&log, "").unwrap();
        let (path, folder) = (log.display(), folder.display());
        let link = format!("\x1b]8;;file://here{folder}/a%251.log\x1b\\{path}\x1b]8;;\x1b\\");
        let linked = with_links(&format!("log: {path}, and\n  {path}\n"), "here");
        assert_eq!(linked, format!("log: {link}, and\n  {link}\n"));
        let other = format!("log: {folder}/no.log a.log {folder}\n");
        assert_eq!(with_links(&other, "here"), other);
    }
}
