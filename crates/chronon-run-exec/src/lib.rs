//! Runs steps: queue, slots, retries, cancellation, locks; tells everything as events.
