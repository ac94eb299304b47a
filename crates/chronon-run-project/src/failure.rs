//! Every way in which a command can end other than well, and its exit code.

use chronon_run_core::{Diagnostic, event::CancelReason};
use chronon_run_exec::{lock::LockError, signals};

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// The user's files are wrong.
    Findings(Vec<Diagnostic>),
    /// The usage or the environment is wrong.
    Setup {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The catalog cannot be asked just now.
    OutOfReach {
        /// Why.
        message: String,
    },
    /// A step failed; the report has said which.
    StepFailed,
    /// Files are not what they would be if they were written now.
    Differs {
        /// Which.
        message: String,
    },
    /// Something was found that the user asked to be told of by the exit code; already shown.
    Found,
    /// Not everything asked for could be filled, because inputs are missing; already said.
    Waiting,
    /// What is to be shown is not filled yet.
    NotFilled {
        /// What, and why.
        message: String,
        /// What to do next.
        hint: String,
    },
    /// Another run writes the same tables.
    Locked {
        /// Who.
        message: String,
    },
    /// Stopped by a signal; already said.
    Interrupted(CancelReason),
    /// The reader of our output has gone.
    BrokenPipe,
}

impl Failure {
    /// Wrong usage or environment, with the text of an error.
    pub fn setup(error: impl ToString) -> Self {
        Self::Setup {
            message: error.to_string(),
            hint: None,
        }
    }

    /// The same, with what to do next.
    pub fn hinted(error: impl ToString, hint: impl Into<String>) -> Self {
        Self::Setup {
            message: error.to_string(),
            hint: Some(hint.into()),
        }
    }

    /// How a command ended that signals reached: `stop` is why it is to end, if it is, and `gave_up` whether it
    /// left work undone for it. A command whose helper was ended by a signal was interrupted, whatever it makes
    /// of it.
    pub fn after_signals(
        done: Result<(), Self>,
        stop: Option<CancelReason>,
        gave_up: bool,
    ) -> Result<(), Self> {
        match (stop, done) {
            (Some(reason), Err(Self::Setup { .. } | Self::OutOfReach { .. })) => {
                Err(Self::Interrupted(reason))
            }
            (Some(reason), Ok(()) | Err(Self::Waiting)) if gave_up => {
                Err(Self::Interrupted(reason))
            }
            (_, done) => done,
        }
    }

    /// What is wrong, in one line; empty where that was already reported.
    pub fn text(&self) -> String {
        match self {
            Self::Setup { message, .. }
            | Self::OutOfReach { message }
            | Self::Differs { message }
            | Self::NotFilled { message, .. }
            | Self::Locked { message } => message.clone(),
            Self::Findings(findings) => findings
                .iter()
                .map(|finding| finding.message.clone())
                .collect::<Vec<_>>()
                .join("; "),
            Self::StepFailed
            | Self::Found
            | Self::Waiting
            | Self::Interrupted(_)
            | Self::BrokenPipe => String::new(),
        }
    }

    /// The documented exit code (design §7).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::StepFailed | Self::Found | Self::Differs { .. } => 1,
            Self::Findings(_) | Self::Setup { .. } | Self::OutOfReach { .. } => 2,
            Self::Waiting | Self::NotFilled { .. } => 3,
            Self::Locked { .. } => 4,
            Self::Interrupted(reason) => signals::exit_code(*reason),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::setup(error)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => Self::Locked {
                message: error.to_string(),
            },
            LockError::Io { .. } => Self::setup(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_a_signal_reached_was_interrupted_unless_it_was_done() {
        let stop = Some(CancelReason::Terminate);
        let code = |done, stop, gave_up| {
            let ended = Failure::after_signals(done, stop, gave_up);
            ended.err().map(|failure| failure.exit_code())
        };
        let helper = || Err(Failure::setup("the helper was ended"));
        assert_eq!(code(helper(), stop, false), Some(143));
        assert_eq!(code(helper(), None, false), Some(2));
        assert_eq!(code(Ok(()), stop, true), Some(143));
        assert_eq!(code(Ok(()), stop, false), None);
        assert_eq!(code(Err(Failure::Waiting), stop, true), Some(143));
        assert_eq!(code(Err(Failure::StepFailed), stop, true), Some(1));
    }
}
