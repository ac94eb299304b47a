//! Where events go.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{SystemTime, UNIX_EPOCH},
};

use chronon_run_core::event::{Event, What};

/// A reader of events. Called by the coordinator, so it must not take long.
pub trait Sink {
    /// Takes one event. There is no way to fail: a reader keeps its troubles to itself.
    fn emit(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Sink for F {
    fn emit(&mut self, event: &Event) {
        self(event);
    }
}

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
        // A sink that panicked is never called again, so what it left half-done is not seen.
        self.sinks
            .retain_mut(|sink| catch_unwind(AssertUnwindSafe(|| sink.emit(&event))).is_ok());
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
