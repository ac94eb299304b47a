//! The user's pager, which shows what is too long for the screen.

use std::{
    env,
    io::{self, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::reaper;

/// Whether a pager has the terminal.
static PAGING: AtomicBool = AtomicBool::new(false);
/// What `less` is told unless the user tells it something: it ends at once if one screen is enough, shows
/// colours, and leaves its text on the screen.
const LESS: &str = "FRX";
/// What is printed is UTF-8, also where no `LANG` says that the terminal is.
const LESSCHARSET: &str = "utf-8";

/// Whether a pager has the terminal, so that Ctrl-C is for the pager: it stops a search, for example.
#[must_use]
pub fn is_paging() -> bool {
    PAGING.load(Ordering::SeqCst)
}

/// A pager that runs. It is the one child that keeps the terminal: reading keys there is its work. When this
/// process is gone it ends by itself, or with the user.
///
/// A write fails with [`io::ErrorKind::BrokenPipe`] once the user has left it.
pub struct Pager {
    child: Child,
    input: Option<ChildStdin>,
}

impl Pager {
    /// Starts a pager: a program and its arguments.
    ///
    /// # Errors
    /// If it cannot be started; nothing is shown then.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is where chronon-run-process starts it"
    )]
    pub fn start(argv: &[String]) -> io::Result<Self> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped());
        for (name, value) in [("LESS", LESS), ("LESSCHARSET", LESSCHARSET)] {
            if env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        let mut child = reaper::registering(|| command.spawn(), Child::id)?;
        PAGING.store(true, Ordering::SeqCst);
        Ok(Self {
            input: child.stdin.take(),
            child,
        })
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.input {
            Some(input) => input.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pager {
    /// Waits until the user has left it.
    fn drop(&mut self) {
        drop(self.input.take());
        // There is nothing to do about a pager that cannot be waited for.
        let _ = self.child.wait();
        PAGING.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Vec<String> {
        command.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_pager_gets_what_is_written_and_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut pager = Pager::start(&words(&format!("tee {}", out.display()))).unwrap();
        assert!(is_paging());
        pager.write_all(b"a line\n").unwrap();
        drop(pager);
        assert!(!is_paging());
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "a line\n");
    }

    #[test]
    fn a_pager_that_was_left_is_a_broken_pipe() {
        let mut pager = Pager::start(&words("true")).unwrap();
        let line = vec![b'x'; 1 << 20];
        let error = pager.write_all(&line).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(Pager::start(&words("/nowhere/less")).is_err());
        assert!(Pager::start(&[]).is_err());
    }
}
