//! One moving line that says what a command does now, for work that has no bars of its own.

use std::{
    env,
    io::IsTerminal,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chronon_run_core::shown::shown;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What spinners and bars are made of; every terminal has these.
pub(crate) const SPINNER: &str = "|/-\\ ";

/// What ends sooner is not worth a line.
const PATIENCE: Duration = Duration::from_millis(300);
/// Between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// Shows what is being done on a terminal's stderr, from 0.3 s on and until it is dropped.
/// Anywhere else it shows nothing.
///
/// Activities may be nested: while an inner one lives, the line shows what that one does, and
/// afterwards what the outer one does. So a command that holds one is never silent between two
/// parts of its work. Below the bars of a run an activity is a line of its own.
#[derive(Debug, Default)]
pub struct Activity {
    /// Names its entry in the line's stack; 0 if nothing is shown.
    id: u64,
    line: Option<Line>,
}

/// The line itself, owned by the outermost activity.
#[derive(Debug)]
struct Line {
    bar: ProgressBar,
    bars: Option<MultiProgress>,
    stop: Option<Sender<()>>,
    showing: Option<JoinHandle<()>>,
}

/// What is at the bottom of the terminal now.
pub(crate) enum Live {
    One(Stack),
    Many(MultiProgress),
}

/// The line of an activity, and what is being done, the innermost last.
pub(crate) struct Stack {
    bar: ProgressBar,
    doing: Vec<(u64, String)>,
}

impl Stack {
    fn show(&self) {
        if let Some((_, what)) = self.doing.last()
            && self.bar.message() != shown(what)
        {
            self.bar.set_message(shown(what).into_owned());
            self.bar.reset_elapsed();
        }
    }
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

/// Runs `write`, which writes lines to stderr, with the live lines out of the way. It must not
/// start an activity.
pub fn above(write: impl FnOnce()) {
    match live().as_ref() {
        Some(Live::One(stack)) => stack.bar.suspend(write),
        Some(Live::Many(multi)) => multi.suspend(write),
        None => write(),
    }
}

impl Activity {
    /// Begins to do `what`, e.g. `listing 18 tables`.
    #[must_use]
    pub fn start(what: &str) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        if !can_redraw() {
            return Self::default();
        }
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let mut live = live();
        let line = match live.as_mut() {
            Some(Live::One(stack)) => {
                stack.doing.push((id, what.to_owned()));
                stack.show();
                None
            }
            Some(Live::Many(multi)) => Some(Line::start(what, Some(multi.clone()))),
            None => {
                let line = Line::start(what, None);
                *live = Some(Live::One(Stack {
                    bar: line.bar.clone(),
                    doing: vec![(id, what.to_owned())],
                }));
                Some(line)
            }
        };
        Self { id, line }
    }

    /// What is being done from now on.
    pub fn say(&self, what: &str) {
        if self.id == 0 {
            return;
        }
        if let Some(Line {
            bar, bars: Some(_), ..
        }) = &self.line
        {
            bar.set_message(shown(what).into_owned());
        } else if let Some(Live::One(stack)) = live().as_mut() {
            let own = stack.doing.iter_mut().find(|(id, _)| *id == self.id);
            if let Some((_, doing)) = own
                && doing != what
            {
                what.clone_into(doing);
                stack.show();
            }
        }
    }
}

impl Line {
    fn start(what: &str, bars: Option<MultiProgress>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        // The template has no part that could be wrong.
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {wide_msg} {elapsed:.dim}")
        {
            bar.set_style(style.tick_chars(SPINNER));
        }
        bar.set_message(shown(what).into_owned());
        let (stop, stopped) = mpsc::channel::<()>();
        let (line, place) = (bar.clone(), bars.clone());
        let show = move || {
            if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            match place {
                Some(multi) => {
                    multi.add(line.clone());
                }
                None => line.set_draw_target(ProgressDrawTarget::stderr()),
            }
            line.tick();
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                line.tick();
            }
        };
        // Without a thread nothing is shown.
        let showing = thread::Builder::new().spawn(show).ok();
        Self {
            bar,
            bars,
            stop: Some(stop),
            showing,
        }
    }

    fn end(mut self) {
        self.stop = None;
        if let Some(showing) = self.showing.take() {
            // It only draws; how it ended does not matter.
            let _ = showing.join();
        }
        self.bar.finish_and_clear();
        match &self.bars {
            Some(multi) => multi.remove(&self.bar),
            None => *live() = None,
        }
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.end();
        } else if let Some(Live::One(stack)) = live().as_mut() {
            stack.doing.retain(|(id, _)| *id != self.id);
            stack.show();
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
        assert!(activity.line.is_none());
        let mut written = false;
        above(|| written = true);
        assert!(written);
    }

    #[test]
    fn the_innermost_activity_is_shown() {
        let doing = |id, what: &str| (id, what.to_owned());
        let mut stack = Stack {
            bar: ProgressBar::hidden(),
            doing: vec![doing(1, "planning"), doing(2, "listing 3 tables")],
        };
        stack.show();
        assert_eq!(stack.bar.message(), "listing 3 tables");
        stack.doing.retain(|(id, _)| *id != 2);
        stack.show();
        assert_eq!(stack.bar.message(), "planning");
    }
}
