//! What the user asks of a run while it goes on.

use std::time::Duration;

use chronon_run_core::event::CancelReason;
use chronon_run_exec::Control;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::failure::Failure;

/// Fails if the user has asked to stop.
pub fn interrupted(control: &Receiver<Control>) -> Result<(), Failure> {
    match control.try_recv() {
        Ok(Control::Stop(reason)) => Err(Failure::Interrupted(reason)),
        Ok(Control::Kill) => Err(Failure::Interrupted(CancelReason::Interrupt)),
        Err(_) => Ok(()),
    }
}

/// Sleeps, unless Ctrl-C or TERM comes.
pub fn pause(control: &Receiver<Control>, length: Duration) -> Result<(), Failure> {
    match control.recv_timeout(length) {
        Ok(Control::Stop(reason)) => Err(Failure::Interrupted(reason)),
        Ok(Control::Kill) => Err(Failure::Interrupted(CancelReason::Interrupt)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
    }
}
