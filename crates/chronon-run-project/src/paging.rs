//! Where standard output goes: to the pager if it is longer than the screen, else where it is.

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use anstream::{AutoStream, ColorChoice, adapter::strip_bytes};
use chronon_run_process::{Pager, is_paging};
use chronon_run_report::{To, linked, screen_rows};

enum Way {
    /// To the terminal, or to this pager if the first text is longer than so many lines.
    Undecided { pager: Vec<String>, rows: usize },
    /// Where it is.
    Direct,
    /// To the pager.
    Paged(Pager),
}

static WAY: Mutex<Way> = Mutex::new(Way::Direct);

fn way() -> MutexGuard<'static, Way> {
    WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on what is longer than the screen goes to the pager: that of the variable `PAGER`, or `less`. Not if
/// standard input or output is no terminal, or the variable is empty or says `cat`.
pub fn allow() {
    let of_variable = env::var("PAGER").ok();
    let (true, true, Some(pager), Some(rows)) = (
        io::stdin().is_terminal(),
        io::stdout().is_terminal(),
        pager(of_variable.as_deref()),
        screen_rows(),
    ) else {
        return;
    };
    *way() = Way::Undecided { pager, rows };
}

fn pager(of_variable: Option<&str>) -> Option<Vec<String>> {
    let words = shlex::split(of_variable.unwrap_or("less"))?;
    let program = words.first()?;
    (program != "cat").then_some(words)
}

/// Waits until the user has left the pager, if there is one.
pub fn finish() {
    *way() = Way::Direct;
}

/// Standard output, or the pager. Escape sequences are left out where nothing is to have colours.
pub struct Out;

impl Out {
    /// Writes a text, with links to logs where the terminal opens them; a pager may not know links.
    ///
    /// # Errors
    /// An [`io::Error`], as of any file.
    pub fn show(mut self, text: &str) -> io::Result<()> {
        way().decide(text.as_bytes());
        match is_paging() {
            true => self.write_all(text.as_bytes())?,
            false => self.write_all(linked(text, To::Stdout).as_bytes())?,
        }
        self.flush()
    }
}

impl Way {
    /// Decides by the first text whether a pager is needed.
    fn decide(&mut self, first: &[u8]) {
        if let Self::Undecided { pager, rows } = self {
            let lines = first.iter().filter(|&&byte| byte == b'\n').count();
            // A pager that is not installed is no reason to fail.
            *self = match lines >= *rows {
                true => Pager::start(pager).map_or(Self::Direct, Self::Paged),
                false => Self::Direct,
            };
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut way = way();
        way.decide(bytes);
        match &mut *way {
            Way::Paged(pager) => write_to(pager, bytes)?,
            _ => anstream::stdout().lock().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *way() {
            Way::Paged(pager) => pager.flush(),
            _ => anstream::stdout().lock().flush(),
        }
    }
}

fn write_to(pager: &mut Pager, bytes: &[u8]) -> io::Result<()> {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => strip_bytes(bytes).try_for_each(|part| pager.write_all(part)),
        _ => pager.write_all(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_names_the_pager() {
        let of = |text| pager(text).map(|words| words.join("|"));
        assert_eq!(of(None).as_deref(), Some("less"));
        assert_eq!(of(Some("most -s")).as_deref(), Some("most|-s"));
        assert_eq!(of(Some("'/a b/less' -R")).as_deref(), Some("/a b/less|-R"));
        assert_eq!(of(Some("")), None);
        assert_eq!(of(Some("cat")), None);
        assert_eq!(of(Some("'unclosed")), None);
    }
}
