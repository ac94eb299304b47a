//! Where events go.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{SystemTime, UNIX_EPOCH},
};

use chronon_run_core::event::{Event, Sink, What};

/// Every sink of a run; one that panics is left out from then on.
pub(crate) struct Sinks<'a, 'b> {
    sinks: Vec<&'a mut (dyn Sink + 'b)>,
}

impl<'a, 'b> Sinks<'a, 'b> {
    pub(crate) fn new(sinks: &'a mut [&'b mut dyn Sink]) -> Sinks<'a, 'a> {
        let sinks = sinks.iter_mut().map(|sink| &mut **sink as &mut dyn Sink);
        Sinks {
            sinks: sinks.collect(),
        }
    }

    pub(crate) fn emit(&mut self, what: What) {
        let event = Event {
            at: now_millis(),
            what,
        };
        self.each(|sink| sink.emit(&event));
    }

    pub(crate) fn flush(&mut self) {
        self.each(|sink| sink.flush());
    }

    fn each(&mut self, call: impl Fn(&mut dyn Sink)) {
        // A sink that panicked is never called again, so what it left half-done is not seen.
        self.sinks
            .retain_mut(|sink| catch_unwind(AssertUnwindSafe(|| call(&mut **sink))).is_ok());
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
