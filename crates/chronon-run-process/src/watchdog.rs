//! A second process that ends the children when the first is killed hard.

use std::{
    ffi::OsStr,
    io::{self, BufRead, PipeWriter, Write},
    path::Path,
    time::Duration,
};

use chronon_run_core::{CommandLine, event::ProcessId};

use crate::{
    StartError,
    group::end_marked,
    identify,
    launch::{self, Fate},
};

/// Set to the mark in the environment of every watched child, and so of its children.
pub(crate) const VARIABLE: &str = "PROCESS_WATCHDOG_MARK";
/// The last word of an owner that ended in order.
const BYE: &str = "bye";

/// The running watchdog, as its owner sees it. Dropping it says that all is well.
///
/// The watchdog holds the reading end of a pipe whose other end dies with the owner. If the
/// pipe closes without the end marker, it looks for every process that carries the owner's mark in
/// its environment (children inherit it) and ends them: TERM, grace, KILL. So no process has to be
/// registered, none can be missed between its start and its registration, processes that
/// left their group are found too, and watching costs nothing per child.
#[derive(Debug)]
pub struct Watchdog {
    mark: String,
    stdin: Option<PipeWriter>,
    handle: duct::Handle,
}

impl Watchdog {
    /// Starts `program arguments…`, which must call [`watchdog_main`] with its stdin. `grace`
    /// is what the children get between TERM and KILL. It runs in a session of its own, so
    /// that Ctrl-C does not reach it.
    ///
    /// # Errors
    /// [`StartError`] if the program cannot be executed.
    pub fn start<S: AsRef<OsStr>>(
        program: &Path,
        arguments: &[S],
        grace: Duration,
    ) -> Result<Self, StartError> {
        let failed = |source| StartError::Program {
            program: program.display().to_string(),
            source,
        };
        let (reader, mut writer) = io::pipe().map_err(failed)?;
        let text = |word: &OsStr| word.to_string_lossy().into_owned();
        let arguments = arguments.iter().map(|word| text(word.as_ref()));
        let command = CommandLine {
            argv: std::iter::once(text(program.as_os_str()))
                .chain(arguments)
                .collect(),
            ..CommandLine::default()
        };
        let expression = launch::expression(&command, Fate::Own)?
            .stdin_file(reader)
            .stdout_null()
            .stderr_null();
        let handle = launch::start(&expression, &command)?;
        let mark = mark_of(identify(std::process::id()));
        writeln!(writer, "{mark} {}", grace.as_millis()).map_err(failed)?;
        let stdin = Some(writer);
        Ok(Self {
            mark,
            stdin,
            handle,
        })
    }

    /// The environment variable that watched children carry: name and value.
    #[must_use]
    pub fn mark(&self) -> (&'static str, &str) {
        (VARIABLE, &self.mark)
    }
}

/// The mark of the children of `owner`: not that of any other process of this boot.
fn mark_of(owner: ProcessId) -> String {
    format!("{}-{}", owner.pid, owner.start_ticks)
}

/// Ends whatever the watched children of `owner`, a process that is gone, left behind: TERM,
/// up to `grace`, KILL. For the next run, in case that the watchdog was killed too or is not
/// done yet. Returns whether there was something to end; an unknown owner (start time 0) has
/// nothing.
pub fn end_children_of(owner: ProcessId, grace: Duration) -> bool {
    owner.start_ticks != 0 && end_marked(&format!("{VARIABLE}={}", mark_of(owner)), grace)
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.stdin.take() {
            // If it is gone already the end marker is not needed.
            let _ = writeln!(pipe, "{BYE}");
        }
        // It has nothing left to do and ends at once.
        let _ = self.handle.wait();
    }
}

/// What the watchdog process does: listens to `input` until its end; then, unless the owner
/// wrote the end marker, ends every process that carries the owner's mark.
pub fn watchdog_main(input: impl BufRead) {
    let mut lines = input.lines().map_while(Result::ok);
    let order = lines.next().and_then(|line| parse_order(&line));
    let Some((mark, grace)) = order else { return };
    if lines.last().as_deref() != Some(BYE) {
        end_marked(&format!("{VARIABLE}={mark}"), grace);
    }
}

/// `<mark> <grace in milliseconds>`.
fn parse_order(line: &str) -> Option<(String, Duration)> {
    let (mark, grace) = line.split_once(' ')?;
    let grace = Duration::from_millis(grace.parse().ok()?);
    Some((mark.to_owned(), grace))
}
