//! Ctrl-C and TERM as messages to the coordinator.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, JoinHandle},
};

use chronon_run_core::event::CancelReason;
use crossbeam_channel::{Receiver, unbounded};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

use crate::Control;

/// While it lives, SIGINT and SIGTERM become [`Control`] messages instead of ending the process.
#[derive(Debug)]
pub struct Listener {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Listens from now on: the first signal is [`Control::Stop`], every later one
/// [`Control::Kill`].
///
/// # Errors
/// If the system does not let the handlers be set.
pub fn listen() -> io::Result<(Listener, Receiver<Control>)> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    let (sender, receiver) = unbounded();
    let stopped = AtomicBool::new(false);
    let thread = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let reason = match signal {
                    SIGINT => CancelReason::Interrupt,
                    _ => CancelReason::Terminate,
                };
                let message = match stopped.swap(true, Ordering::Relaxed) {
                    false => Control::Stop(reason),
                    true => Control::Kill,
                };
                // Nobody listens any more: the run is over.
                let _ = sender.send(message);
            }
        })?;
    let thread = Some(thread);
    Ok((Listener { handle, thread }, receiver))
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only forwards; how it ended does not matter.
            let _ = thread.join();
        }
    }
}
