//! Shows how far an installation is.

use chronon_run_report::{Activity, can_redraw};
use chronon_run_spark::{Phase, Progress};

use crate::output;

/// On a terminal one moving line with the share that is done; anywhere else a line per phase.
#[derive(Default)]
pub struct Installing {
    last: Option<(&'static str, Phase)>,
    doing: Option<Activity>,
}

impl Installing {
    /// Takes the newest state.
    pub fn update(&mut self, progress: Progress) {
        let text = text(&progress);
        match &self.doing {
            Some(doing) => doing.say(&text),
            None => self.doing = Some(Activity::start(&text)),
        }
        let now = (progress.what, progress.phase);
        if self.last.replace(now) != Some(now) && !can_redraw() {
            output::note(&words(&progress));
        }
    }

    /// The installation is over.
    pub fn finish(self) {
        drop(self.doing);
        if let Some((what, _)) = self.last {
            output::note(&format!("{what} is installed"));
        }
    }
}

fn words(progress: &Progress) -> String {
    let word = match progress.phase {
        Phase::Waiting => "waiting for another installation of",
        Phase::Downloading => "downloading",
        Phase::Unpacking => "unpacking",
        Phase::Preparing => "preparing",
    };
    format!("{word} {}", progress.what)
}

fn text(progress: &Progress) -> String {
    let size = match progress.total {
        0 => String::new(),
        total => format!(
            " ({} of {} MB)",
            progress.bytes / 1_000_000,
            total / 1_000_000
        ),
    };
    words(progress) + &size
}
