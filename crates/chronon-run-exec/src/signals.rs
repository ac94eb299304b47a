//! Ctrl-C, TERM and HUP: a stop of this process, and messages to the coordinator.

use std::{
    collections::BTreeMap,
    io, process,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use chronon_run_core::event::CancelReason;
use chronon_run_process::{Stop, is_ignored, is_paging};
use crossbeam_channel::{Receiver, Sender, unbounded};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::Control;

/// Between two looks at helpers that are ending.
const POLL: Duration = Duration::from_millis(10);
/// What the command gets to report how its helper ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long helpers may take to end after an urgent request.
const URGENT: Duration = Duration::from_secs(5);

/// The exit code of a process that was stopped for this reason: 128 and the signal's number.
#[must_use]
pub fn exit_code(reason: CancelReason) -> u8 {
    match reason {
        CancelReason::Interrupt => 130,
        CancelReason::Terminate => 143,
        CancelReason::HangUp => 129,
        CancelReason::StepFailed => 1,
    }
}

/// Who gets the signals: everything that listens now, by number.
type Listeners = BTreeMap<u64, Sender<Control>>;

fn listeners() -> MutexGuard<'static, Listeners> {
    static LISTENERS: Mutex<Listeners> = Mutex::new(BTreeMap::new());
    LISTENERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGINT, SIGTERM and SIGHUP request [`Stop::of_process`], which ends every helper
/// that runs. While no one [`listen`]s there is nothing else to end in order: then the process
/// exits as soon as its helpers have ended, with the code of [`exit_code`].
///
/// An ignored SIGHUP stays ignored: that is what `nohup` asks for.
///
/// # Errors
/// If the system does not let the handlers be set.
pub fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    if INSTALLED.set(()).is_err() {
        return Ok(());
    }
    let mut wanted = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = Signals::new(wanted)?;
    let forward = move || {
        for signal in signals.forever() {
            receive(match signal {
                SIGINT => CancelReason::Interrupt,
                SIGHUP => CancelReason::HangUp,
                _ => CancelReason::Terminate,
            });
        }
    };
    let builder = thread::Builder::new().name("signals".to_owned());
    builder.spawn(forward).map(|_| ())
}

fn receive(reason: CancelReason) {
    if reason == CancelReason::Interrupt && is_paging() {
        return;
    }
    let stop = Stop::of_process();
    stop.request(reason);
    let listening = listeners();
    for listener in listening.values() {
        let message = match stop.is_urgent() {
            false => Control::Stop(reason),
            true => Control::Kill,
        };
        // A listener that is about to go has nothing left to stop.
        let _ = listener.send(message);
    }
    if !listening.is_empty() {
        return;
    }
    drop(listening);
    if !stop.is_urgent() {
        let builder = thread::Builder::new().name("leaving".to_owned());
        if builder.spawn(leave).is_ok() {
            return;
        }
    }
    exit_when_urgent();
}

/// Exits once no helper runs any more, after the command had time to report it.
fn leave() {
    let stop = Stop::of_process();
    if stop.helpers() > 0 {
        while stop.helpers() > 0 && !stop.is_urgent() {
            thread::sleep(POLL);
        }
        exit_when_urgent();
        thread::sleep(LAST_WORDS);
    }
    // A command that began to listen meanwhile got the stop, and ends things itself.
    if listeners().is_empty() {
        exit();
    }
}

/// Exits if it is urgent, as soon as the helpers were killed.
fn exit_when_urgent() {
    let stop = Stop::of_process();
    if !stop.is_urgent() {
        return;
    }
    let deadline = Instant::now() + URGENT;
    while stop.helpers() > 0 && Instant::now() < deadline {
        thread::sleep(POLL);
    }
    exit();
}

fn exit() -> ! {
    let reason = Stop::of_process().reason();
    process::exit(reason.map_or(1, |reason| exit_code(reason).into()))
}

/// While it lives, signals become [`Control`] messages too.
#[derive(Debug)]
pub struct Listener(u64);

/// Listens from now on, beside what listens already: the first signal is [`Control::Stop`], every later one
/// [`Control::Kill`].
///
/// # Errors
/// If the system does not let the handlers be set.
pub fn listen() -> io::Result<(Listener, Receiver<Control>)> {
    install()?;
    let (sender, receiver) = unbounded();
    let mut listening = listeners();
    // It came before anyone listened.
    if let Some(reason) = Stop::of_process().reason() {
        // The other end is here.
        let _ = sender.send(Control::Stop(reason));
    }
    let number = listening.last_key_value().map_or(0, |(last, _)| last + 1);
    listening.insert(number, sender);
    Ok((Listener(number), receiver))
}

impl Drop for Listener {
    fn drop(&mut self) {
        listeners().remove(&self.0);
    }
}
