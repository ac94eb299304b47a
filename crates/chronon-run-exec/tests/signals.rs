//! Signals to this very process; alone in its file because they concern all of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use chronon_run_core::event::CancelReason;
use chronon_run_exec::{Control, signals};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::raise,
};

#[test]
fn the_first_signal_stops_and_every_later_one_kills() {
    let (listener, control) = signals::listen().unwrap();
    let next = || control.recv_timeout(Duration::from_secs(60)).unwrap();
    raise(SIGINT).unwrap();
    assert_eq!(next(), Control::Stop(CancelReason::Interrupt));
    raise(SIGTERM).unwrap();
    assert_eq!(next(), Control::Kill);
    drop(listener);
    assert!(control.recv_timeout(Duration::from_secs(60)).is_err());
}
