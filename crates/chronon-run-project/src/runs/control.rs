//! What the user asks of a run while it goes on.

use chronon_run_core::event::CancelReason;
use chronon_run_exec::Control;
use crossbeam_channel::Receiver;

use crate::failure::Failure;

/// Fails if the user has asked to stop.
pub fn interrupted(control: &Receiver<Control>) -> Result<(), Failure> {
    match control.try_recv() {
        Ok(Control::Stop(reason)) => Err(Failure::Interrupted(reason)),
        Ok(Control::Kill) => Err(Failure::Interrupted(CancelReason::Interrupt)),
        Err(_) => Ok(()),
    }
}
