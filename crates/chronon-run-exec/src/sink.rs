//! Where events go.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant, SystemTime},
};

use chronon_run_core::{
    epoch_millis,
    event::{Event, Sink, What},
};

/// Every sink of a run; one that panics is left out from then on.
pub(crate) struct Sinks<'a, 'b> {
    sinks: Vec<&'a mut (dyn Sink + 'b)>,
    /// When the first event was emitted that is not flushed yet.
    unflushed_since: Option<Instant>,
}

/// How long an event that starts nothing may wait for others to be flushed with.
const FLUSH_DELAY: Duration = Duration::from_millis(5);

impl<'a, 'b> Sinks<'a, 'b> {
    pub(crate) fn new(sinks: &'a mut [&'b mut dyn Sink]) -> Sinks<'a, 'a> {
        let sinks = sinks.iter_mut().map(|sink| &mut **sink as &mut dyn Sink);
        Sinks {
            sinks: sinks.collect(),
            unflushed_since: None,
        }
    }

    pub(crate) fn emit(&mut self, what: What) {
        let event = Event {
            at: epoch_millis(SystemTime::now()),
            what,
        };
        self.unflushed_since.get_or_insert_with(Instant::now);
        self.each(|sink| sink.emit(&event));
    }

    /// When to flush at the latest.
    pub(crate) fn flush_due(&self) -> Option<Instant> {
        self.unflushed_since.map(|since| since + FLUSH_DELAY)
    }

    pub(crate) fn flush(&mut self) {
        self.unflushed_since = None;
        self.each(|sink| sink.flush());
    }

    fn each(&mut self, call: impl Fn(&mut dyn Sink)) {
        // A sink that panicked is never called again, so what it left half-done is not seen.
        self.sinks
            .retain_mut(|sink| catch_unwind(AssertUnwindSafe(|| call(&mut **sink))).is_ok());
    }
}
