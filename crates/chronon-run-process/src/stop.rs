//! Asking a process, or a part of it, to stop.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};

use chronon_run_core::event::CancelReason;

/// Set once someone wants things to stop. Clones share one state.
///
/// [`Stop::of_process`] is the one that signals set (`chronon_run_exec::signals`): every
/// [`Helper`](crate::Helper) watches it, so no helper has to be handed anything.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// 0: go on; else 1 + the index of the reason in [`REASONS`].
    reason: AtomicU8,
    /// How often a stop was requested.
    requests: AtomicUsize,
    /// Helpers that run now.
    helpers: AtomicUsize,
    /// Whether work was given up because of it.
    gave_up: AtomicBool,
}

const REASONS: [CancelReason; 4] = [
    CancelReason::Interrupt,
    CancelReason::Terminate,
    CancelReason::HangUp,
    CancelReason::StepFailed,
];

impl Stop {
    /// Nothing is to stop.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The one of this process.
    #[must_use]
    pub fn of_process() -> &'static Self {
        static PROCESS: OnceLock<Stop> = OnceLock::new();
        PROCESS.get_or_init(Self::new)
    }

    /// The first request means: end in order. Any later one means: at once; the first reason stays.
    pub fn request(&self, reason: CancelReason) {
        let index = REASONS.iter().position(|&known| known == reason);
        let code = index.and_then(|index| u8::try_from(index + 1).ok());
        let code = code.unwrap_or(1);
        // Only the first reason counts; a second request finds it set.
        let _ = self
            .0
            .reason
            .compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        self.0.requests.fetch_add(1, Ordering::SeqCst);
    }

    /// Why things are to stop, if they are.
    #[must_use]
    pub fn reason(&self) -> Option<CancelReason> {
        let code = usize::from(self.0.reason.load(Ordering::SeqCst));
        REASONS.get(code.checked_sub(1)?).copied()
    }

    /// Whether things are to stop without any grace.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.0.requests.load(Ordering::SeqCst) > 1
    }

    /// Says that work was given up because things are to stop. [`Helper`](crate::Helper) does this
    /// itself.
    pub fn give_up(&self) {
        self.0.gave_up.store(true, Ordering::SeqCst);
    }

    /// Whether work was given up, so that what was asked for is not done whatever else is said.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.gave_up.load(Ordering::SeqCst)
    }

    /// How many helpers of this process run now, that watch this one.
    #[must_use]
    pub fn helpers(&self) -> usize {
        self.0.helpers.load(Ordering::SeqCst)
    }

    /// Counts a helper as running as long as the value lives: a command that is stopped does not exit
    /// before. [`Helper`](crate::Helper) does this itself.
    #[must_use]
    pub fn enter(&self) -> Entered<'_> {
        self.0.helpers.fetch_add(1, Ordering::SeqCst);
        Entered(self)
    }
}

/// A helper that runs; see [`Stop::enter`].
#[derive(Debug)]
pub struct Entered<'a>(&'a Stop);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.0.helpers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_the_second_request_is_urgent() {
        let stop = Stop::new();
        assert_eq!((stop.reason(), stop.is_urgent()), (None, false));
        let shared = stop.clone();
        shared.request(CancelReason::HangUp);
        assert_eq!(stop.reason(), Some(CancelReason::HangUp));
        assert!(!stop.is_urgent());
        shared.request(CancelReason::Interrupt);
        assert_eq!(stop.reason(), Some(CancelReason::HangUp));
        assert!(stop.is_urgent());
    }
}
