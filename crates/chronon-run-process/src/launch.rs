//! The one place that starts processes.
//!
//! Every child is the leader of a session of its own and so has no controlling terminal: what it
//! does with `/dev/tty` fails at once instead of stopping it (Spark's SQL shell calls `stty`, and a
//! background process group that does so is stopped by SIGTTOU for ever), and no Ctrl-C, Ctrl-Z or
//! hang-up of the terminal reaches it. Its stdin is never the terminal either: every caller sets it.

use std::io;

use chronon_run_core::CommandLine;

use crate::{reaper, sys};

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The argument vector has no program.
    #[error("there is no program to start")]
    NoProgram,
    /// The log could not be written.
    #[error("cannot write the log `{path}`: {source}")]
    Log {
        /// The log file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The program could not be executed.
    #[error("cannot start `{program}`: {source}")]
    Program {
        /// The first word of the argument vector.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// What happens to a child when this process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It goes on, or a watchdog ends it.
    Own,
    /// The kernel kills it when the thread that started it ends.
    DiesWithParent,
}

/// `command` as `duct` describes it: in a session of its own, not yet started. The caller says
/// what stdin, stdout and stderr are.
pub(crate) fn expression(
    command: &CommandLine,
    fate: Fate,
) -> Result<duct::Expression, StartError> {
    let (program, arguments) = command.argv.split_first().ok_or(StartError::NoProgram)?;
    let mut expression = duct::cmd(program, arguments)
        .unchecked()
        .before_spawn(move |command| {
            sys::own_session(command);
            if fate == Fate::DiesWithParent {
                sys::die_with_parent(command);
            }
            Ok(())
        });
    for (name, value) in &command.env {
        expression = match value {
            Some(value) => expression.env(name, value),
            None => expression.env_remove(name),
        };
    }
    if let Some(cwd) = &command.cwd {
        expression = expression.dir(cwd);
    }
    Ok(expression)
}

/// Starts `expression`, which runs `command`.
pub(crate) fn start(
    expression: &duct::Expression,
    command: &CommandLine,
) -> Result<duct::Handle, StartError> {
    reaper::registering(|| expression.start(), pid).map_err(|source| StartError::Program {
        program: command.argv.first().cloned().unwrap_or_default(),
        source,
    })
}

/// The number of a started child.
pub(crate) fn pid(handle: &duct::Handle) -> u32 {
    handle.pids().first().copied().unwrap_or_default()
}
