//! Shows how far an installation is.

use std::io::IsTerminal;

use chronon_run_engine::spark::{Phase, Progress};

use crate::output;

/// One line per phase; on a terminal also the share that is done.
#[derive(Default)]
pub(crate) struct Installing {
    last: Option<(&'static str, Phase, u64)>,
}

impl Installing {
    /// Takes the newest state.
    pub(crate) fn update(&mut self, progress: Progress) {
        let terminal = std::io::stderr().is_terminal();
        // A line for each tenth on a terminal, one for each phase elsewhere.
        let share = match progress.total {
            0 => 0,
            total if terminal => progress.bytes.min(total) * 10 / total,
            _ => 0,
        };
        let now = (progress.what, progress.phase, share);
        if self.last.replace(now) == Some(now) {
            return;
        }
        let word = match progress.phase {
            Phase::Waiting => "waiting for another installation of",
            Phase::Downloading => "downloading",
            Phase::Unpacking => "unpacking",
            Phase::Preparing => "preparing",
        };
        let size = match progress.total {
            0 => String::new(),
            total => format!(
                " ({} of {} MB)",
                progress.bytes / 1_000_000,
                total / 1_000_000
            ),
        };
        output::note(&format!("{word} {}{size}", progress.what));
    }

    /// The installation is over.
    pub(crate) fn finish(self) {
        if let Some((what, ..)) = self.last {
            output::note(&format!("{what} is installed"));
        }
    }
}
