//! One moving line that says what a command does now, for work that has no bars of its own.

use std::{
    env,
    io::IsTerminal,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chronon_run_core::shown::shown;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What ends sooner is not worth a line.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// Shows what is being done on a terminal's stderr, from 0.3 s on and until it is dropped.
/// Anywhere else it shows nothing.
#[derive(Debug, Default)]
pub struct Activity {
    bar: Option<ProgressBar>,
    stop: Option<Sender<()>>,
    showing: Option<JoinHandle<()>>,
}

/// What is at the bottom of the terminal now.
pub(crate) enum Live {
    One(ProgressBar),
    Many(MultiProgress),
}

/// The live lines of this process, if there are any.
pub(crate) fn live() -> MutexGuard<'static, Option<Live>> {
    static LIVE: Mutex<Option<Live>> = Mutex::new(None);
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether stderr is a terminal on which lines can be drawn again.
#[must_use]
pub fn can_redraw() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stderr().is_terminal() && !is_dumb
}

/// Runs `write`, which writes lines to stderr, with the live lines out of the way.
pub fn above(write: impl FnOnce()) {
    match live().as_ref() {
        Some(Live::One(bar)) => bar.suspend(write),
        Some(Live::Many(multi)) => multi.suspend(write),
        None => write(),
    }
}

impl Activity {
    /// Begins to do `what`, e.g. `listing 18 tables`.
    #[must_use]
    pub fn start(what: &str) -> Self {
        if !can_redraw() || live().is_some() {
            return Self::default();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // The template has no part that could be wrong.
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {wide_msg} {elapsed:.dim}")
        {
            bar.set_style(style.tick_chars(crate::bars::SPINNER));
        }
        bar.set_message(shown(what).into_owned());
        *live() = Some(Live::One(bar.clone()));
        let (stop, stopped) = mpsc::channel::<()>();
        let shown = bar.clone();
        let showing = thread::spawn(move || {
            if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            shown.set_draw_target(ProgressDrawTarget::stderr());
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                shown.tick();
            }
        });
        Self {
            bar: Some(bar),
            stop: Some(stop),
            showing: Some(showing),
        }
    }

    /// What is being done from now on.
    pub fn say(&self, what: &str) {
        if let Some(bar) = &self.bar
            && bar.message() != shown(what)
        {
            bar.set_message(shown(what).into_owned());
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(showing) = self.showing.take() {
            // It only draws; how it ended does not matter.
            let _ = showing.join();
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
            *live() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_nothing_is_shown_and_lines_are_written() {
        let activity = Activity::start("listing 3 tables");
        activity.say("listing 4 tables");
        assert!(activity.bar.is_none());
        let mut written = false;
        above(|| written = true);
        assert!(written);
    }
}
