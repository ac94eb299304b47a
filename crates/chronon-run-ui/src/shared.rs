//! One look at the workspace for all viewers.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::source::{Source, Trouble, View};

/// A look is repeated after this time at the earliest.
const FRESH: Duration = Duration::from_secs(4);
/// Looking may take one part in so many of the time, so that viewers do not slow a run down.
const SHARE: u32 = 60;

/// The last look, repeated in the background while pages are asked for.
pub(crate) struct Shared {
    source: Arc<dyn Source>,
    state: Mutex<State>,
    first: Condvar,
}

#[derive(Default)]
struct State {
    last: Option<Look>,
    looking: bool,
    /// How many looks there were.
    number: u64,
}

struct Look {
    found: Result<Arc<View>, Trouble>,
    /// When it may be repeated.
    again: Instant,
    /// What was recorded of runs when it began.
    stamp: u64,
}

impl Shared {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        Self {
            source,
            state: Mutex::default(),
            first: Condvar::new(),
        }
    }

    /// The last look, and its number. The first one is waited for; a later one that is old is given, and a
    /// new look begins in the background.
    pub(crate) fn view(self: &Arc<Self>) -> (Result<Arc<View>, Trouble>, u64) {
        let mut state = self.lock();
        self.refresh(&mut state);
        loop {
            if let Some(look) = &state.last {
                return (look.found.clone(), state.number);
            }
            let waited = self.first.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The number of the last look; begins a new one if that is old.
    pub(crate) fn number(self: &Arc<Self>) -> u64 {
        let mut state = self.lock();
        self.refresh(&mut state);
        state.number
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(self: &Arc<Self>, state: &mut State) {
        let old = state
            .last
            .as_ref()
            .is_none_or(|look| look.again <= Instant::now());
        if state.looking || !old {
            return;
        }
        state.looking = true;
        let shared = self.clone();
        let started = thread::Builder::new()
            .name("look".to_owned())
            .spawn(move || shared.look());
        if let Err(error) = started {
            state.looking = false;
            if state.last.is_none() {
                self.keep(
                    state,
                    Err(Trouble {
                        message: format!("cannot start a thread: {error}"),
                        hint: None,
                    }),
                    Duration::ZERO,
                    0,
                );
            }
        }
    }

    fn look(&self) {
        let began = Instant::now();
        let stamp = self.source.stamp();
        let source = &self.source;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| source.look()));
        let found = found.unwrap_or_else(|_| {
            Err(Trouble {
                message: "looking at the workspace failed; please report this".to_owned(),
                hint: None,
            })
        });
        let mut state = self.lock();
        self.keep(&mut state, found, began.elapsed(), stamp);
    }

    fn keep(&self, state: &mut State, found: Result<View, Trouble>, took: Duration, stamp: u64) {
        let found = found.map(Arc::new);
        let same = |look: &Look| look.stamp == stamp && is_same(&look.found, &found);
        if !state.last.as_ref().is_some_and(same) {
            state.number += 1;
        }
        state.last = Some(Look {
            found,
            again: Instant::now() + FRESH.max(took * SHARE),
            stamp,
        });
        state.looking = false;
        self.first.notify_all();
    }
}

/// Whether pages of two looks are the same but for the time of the look.
fn is_same(a: &Result<Arc<View>, Trouble>, b: &Result<Arc<View>, Trouble>) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            a.plan == b.plan
                && a.statuses == b.statuses
                && a.rows == b.rows
                && a.findings == b.findings
                && a.online.len() == b.online.len()
                && a.online
                    .iter()
                    .zip(&b.online)
                    .all(|(a, b)| late(a) == late(b))
        }
        (Err(a), Err(b)) => a == b,
        _ => false,
    }
}

/// What of a path is shown; ages grow all the time.
fn late(path: &crate::OnlinePath) -> Vec<(&str, Option<chronon_run_core::Ds>, Option<&str>)> {
    let links = path.links.iter();
    links
        .map(|link| (link.link, link.day, link.late.as_deref()))
        .collect()
}
