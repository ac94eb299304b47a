//! One writer per output table family, across checkouts and hosts.
//!
//! A run puts one *claim* into a store that every host shares (the metastore), then looks at all
//! claims. A claim begins as `claiming` and becomes `held`; a run that finds a held claim on one of
//! its families, or a claiming one with a smaller id, takes its own back. Of two runs that start
//! together at least one sees the other, and the one with the smaller id goes on.
//!
//! Clocks of hosts are never compared. The holder changes a number in its claim every
//! [`Timing::beat`]. A claim of this machine is judged by pid and start time; any other is dead if its
//! number has not changed for [`Timing::expiry`] on the observer's own monotonic clock.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use chronon_run_core::event::ProcessId;
use serde::{Deserialize, Serialize};

/// Who claims which families.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// Unique among all claims.
    pub id: String,
    /// The run.
    pub run: String,
    /// The workspace's folder.
    pub workspace: String,
    /// The host's name, for messages.
    pub host: String,
    /// Host name, boot and process namespace: equal only where a pid means the same process.
    pub machine: String,
    /// The process.
    pub pid: u32,
    /// When it started, in the machine's own ticks.
    pub start_ticks: u64,
    /// When the run began, in milliseconds since the epoch; only shown.
    pub since: i64,
    /// The families.
    pub families: BTreeSet<String>,
    /// Whether the claim is decided.
    pub held: bool,
    /// Changes with every sign of life.
    pub beat: u64,
}

/// Why a store gave no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// It answered that it keeps no claims.
    #[error("{0}")]
    Refused(String),
    /// It did not answer, and may answer later.
    #[error("{0}")]
    OutOfReach(String),
}

/// Where claims are kept.
pub trait Store: Send + Sync {
    /// Adds a claim, or replaces the one of the same id. `false`: it must exist and does not.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&self, claim: &Claim, must_exist: bool) -> Result<bool, StoreError>;
    /// Every claim.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self) -> Result<Vec<Claim>, StoreError>;
    /// Removes a claim, if it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&self, id: &str) -> Result<(), StoreError>;
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two signs of life.
    pub beat: Duration,
    /// Without a sign of life for so long, a claim is dead.
    pub expiry: Duration,
    /// Between two looks at the store.
    pub poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(5),
            expiry: Duration::from_secs(60),
            poll: Duration::from_millis(500),
        }
    }
}

/// Why a claim was not had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another run holds one of the families.
    #[error(
        "`{family}` is being written by run {} of {} on host {} (process {})",
        .claim.run, .claim.workspace, .claim.host, .claim.pid
    )]
    Held {
        /// The first such family.
        family: String,
        /// The other run's claim.
        claim: Box<Claim>,
    },
    /// The user asked to stop while another host's claim was watched.
    #[error("interrupted")]
    Interrupted,
    /// The store cannot be used, so only the locks of this checkout hold.
    #[error("{0}")]
    Unavailable(String),
    /// The store did not answer: whether another run holds a family is not known.
    #[error("{0}")]
    OutOfReach(String),
}

impl From<StoreError> for LeaseError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(why) => Self::Unavailable(why),
            StoreError::OutOfReach(why) => Self::OutOfReach(why),
        }
    }
}

/// Holds a claim and gives signs of life, until it is dropped.
pub struct Lease {
    store: Arc<dyn Store>,
    id: String,
    over: Arc<AtomicBool>,
    beating: Option<JoinHandle<()>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(beating) = self.beating.take() {
            beating.thread().unpark();
            // A thread that panicked has nothing to say.
            let _ = beating.join();
        }
        // What stays is seen to be dead.
        let _ = self.store.remove(&self.id);
    }
}

/// Claims the families of `claim`. `stop` is asked while waiting; `lost` is called, once, if the
/// claim is taken away although this process lives.
///
/// # Errors
/// [`LeaseError`].
pub fn acquire(
    store: Arc<dyn Store>,
    mut claim: Claim,
    timing: Timing,
    stop: &dyn Fn() -> bool,
    lost: impl Fn() + Send + 'static,
) -> Result<Lease, LeaseError> {
    claim.held = false;
    store.put(&claim, false)?;
    if let Err(error) = decide(store.as_ref(), &mut claim, timing, stop) {
        // What stays is seen to be dead.
        let _ = store.remove(&claim.id);
        return Err(error);
    }
    let over = Arc::new(AtomicBool::new(false));
    let beating = {
        let (store, over, claim) = (Arc::clone(&store), Arc::clone(&over), claim.clone());
        thread::Builder::new().spawn(move || beat(store.as_ref(), claim, timing.beat, &over, &lost))
    };
    let beating = beating.map_err(|error| {
        // Without a sign of life it would be taken for dead anyway.
        let _ = store.remove(&claim.id);
        LeaseError::Unavailable(format!("cannot start a thread: {error}"))
    })?;
    Ok(Lease {
        store,
        id: claim.id,
        over,
        beating: Some(beating),
    })
}

/// Waits until no other claim stands against this one, and holds it.
fn decide(
    store: &dyn Store,
    claim: &mut Claim,
    timing: Timing,
    stop: &dyn Fn() -> bool,
) -> Result<(), LeaseError> {
    let mut watched: Vec<(Claim, Instant)> = Vec::new();
    let mut last_beat = Instant::now();
    loop {
        let others = rivals(store, claim)?;
        if others.is_empty() {
            claim.held = true;
            claim.beat += 1;
            let kept = store.put(claim, true)?;
            return match kept {
                true => Ok(()),
                false => Err(LeaseError::Unavailable("the claim was removed".to_owned())),
            };
        }
        watched.retain(|(known, _)| others.iter().any(|other| other.id == known.id));
        for other in others {
            judge(store, claim, other, timing, &mut watched)?;
        }
        if stop() {
            return Err(LeaseError::Interrupted);
        }
        if last_beat.elapsed() >= timing.beat {
            claim.beat += 1;
            store.put(claim, true)?;
            last_beat = Instant::now();
        }
        thread::sleep(timing.poll);
    }
}

/// The other claims on any of the same families.
fn rivals(store: &dyn Store, claim: &Claim) -> Result<Vec<Claim>, LeaseError> {
    let mut all = store.list()?;
    all.retain(|other| other.id != claim.id && !other.families.is_disjoint(&claim.families));
    Ok(all)
}

/// Removes a dead claim, gives way to a living one, or goes on watching.
fn judge(
    store: &dyn Store,
    claim: &Claim,
    other: Claim,
    timing: Timing,
    watched: &mut Vec<(Claim, Instant)>,
) -> Result<(), LeaseError> {
    let alive = match other.machine == claim.machine {
        true => Some(chronon_run_process::is_alive(ProcessId {
            pid: other.pid,
            start_ticks: other.start_ticks,
        })),
        false => sign_of_life(&other, timing.expiry, watched),
    };
    match alive {
        Some(false) => Ok(store.remove(&other.id)?),
        Some(true) if other.held || other.id < claim.id => {
            let mut families = claim.families.intersection(&other.families);
            Err(LeaseError::Held {
                family: families.next().cloned().unwrap_or_default(),
                claim: Box::new(other),
            })
        }
        _ => Ok(()),
    }
}

/// Whether a claim of another machine gave a sign of life since it was first seen; `None` while that
/// cannot be told.
fn sign_of_life(
    other: &Claim,
    expiry: Duration,
    watched: &mut Vec<(Claim, Instant)>,
) -> Option<bool> {
    let Some((known, since)) = watched.iter().find(|(known, _)| known.id == other.id) else {
        watched.push((other.clone(), Instant::now()));
        return None;
    };
    if known.beat != other.beat || known.held != other.held {
        return Some(true);
    }
    (since.elapsed() >= expiry).then_some(false)
}

/// Gives signs of life until the lease is over or lost.
fn beat(
    store: &dyn Store,
    mut claim: Claim,
    every: Duration,
    over: &AtomicBool,
    lost: &(impl Fn() + ?Sized),
) {
    loop {
        let next = Instant::now() + every;
        while Instant::now() < next && !over.load(Ordering::Relaxed) {
            thread::park_timeout(next.saturating_duration_since(Instant::now()));
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
        claim.beat += 1;
        // A store that is out of reach may come back before anyone has taken the claim away.
        if store.put(&claim, true) == Ok(false) {
            lost();
            return;
        }
    }
}

/// Host name, boot and process namespace of this process.
#[must_use]
pub fn machine(host: &str) -> String {
    let boot = chronon_run_process::boot_id();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{host} {boot} {}", namespace.display())
}

/// The variable that names the host, where its own name does not tell it from others.
pub const HOST: &str = "CHRONON_RUN_HOST";

/// The host's name: that of the variable [`HOST`], else its own.
#[must_use]
pub fn host() -> String {
    if let Some(name) = std::env::var(HOST).ok().filter(|name| !name.is_empty()) {
        return name;
    }
    let name = chronon_run_process::host_name().or_else(|| std::env::var("HOSTNAME").ok());
    name.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Mutex, PoisonError, mpsc},
    };

    use super::*;

    #[derive(Default)]
    struct Memory {
        claims: Mutex<BTreeMap<String, Claim>>,
        is_away: AtomicBool,
    }

    impl Memory {
        fn claims(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Claim>> {
            self.claims.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn answers(&self) -> Result<(), StoreError> {
            match self.is_away.load(Ordering::Relaxed) {
                true => Err(StoreError::OutOfReach("away".to_owned())),
                false => Ok(()),
            }
        }
    }

    impl Store for Memory {
        fn put(&self, claim: &Claim, must_exist: bool) -> Result<bool, StoreError> {
            self.answers()?;
            let mut claims = self.claims();
            if must_exist && !claims.contains_key(&claim.id) {
                return Ok(false);
            }
            claims.insert(claim.id.clone(), claim.clone());
            Ok(true)
        }
        fn list(&self) -> Result<Vec<Claim>, StoreError> {
            self.answers()?;
            Ok(self.claims().values().cloned().collect())
        }
        fn remove(&self, id: &str) -> Result<(), StoreError> {
            self.answers()?;
            self.claims().remove(id);
            Ok(())
        }
    }

    const TIMING: Timing = Timing {
        beat: Duration::from_millis(20),
        expiry: Duration::from_millis(400),
        poll: Duration::from_millis(5),
    };

    fn claim(id: &str, machine: &str, families: &[&str]) -> Claim {
        let process = chronon_run_process::identify(std::process::id());
        Claim {
            id: id.to_owned(),
            run: format!("run-{id}"),
            workspace: "/w".to_owned(),
            host: machine.to_owned(),
            machine: machine.to_owned(),
            pid: process.pid,
            start_ticks: process.start_ticks,
            since: 0,
            families: families.iter().map(|&name| name.to_owned()).collect(),
            held: false,
            beat: 0,
        }
    }

    fn take(store: &Arc<Memory>, claim: Claim) -> Result<Lease, LeaseError> {
        let store = Arc::clone(store) as Arc<dyn Store>;
        acquire(store, claim, TIMING, &|| false, || ())
    }

    #[test]
    fn the_second_host_is_told_who_holds_what() {
        let store = Arc::new(Memory::default());
        let first = take(&store, claim("1", "a", &["x", "y"])).unwrap();
        for machine in ["a", "b"] {
            let error = take(&store, claim("0", machine, &["y", "z"]))
                .map(|_| ())
                .unwrap_err();
            let text = "`y` is being written by run run-1 of /w on host a (process ";
            assert!(error.to_string().starts_with(text), "{error}");
        }
        let other = take(&store, claim("2", "b", &["z"])).unwrap();
        drop((first, other));
        assert!(store.claims().is_empty());
        drop(take(&store, claim("3", "b", &["y"])).unwrap());
    }

    #[test]
    fn a_dead_holder_gives_its_claim_up() {
        let store = Arc::new(Memory::default());
        let mut here = claim("1", "a", &["x"]);
        here.held = true;
        here.start_ticks += 1;
        store.put(&here, false).unwrap();
        let began = Instant::now();
        drop(take(&store, claim("2", "a", &["x"])).unwrap());
        assert!(
            began.elapsed() < TIMING.expiry,
            "pid and start time tell at once"
        );
        let mut elsewhere = claim("3", "b", &["x"]);
        elsewhere.held = true;
        store.put(&elsewhere, false).unwrap();
        drop(take(&store, claim("4", "a", &["x"])).unwrap());
        assert!(began.elapsed() >= TIMING.expiry);
        assert!(store.claims().is_empty());
    }

    #[test]
    fn a_holder_whose_claim_was_taken_away_is_told() {
        let store = Arc::new(Memory::default());
        let (tell, told) = mpsc::channel();
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        let lost = move || tell.send(()).unwrap();
        let lease = acquire(shared, claim("1", "a", &["x"]), TIMING, &|| false, lost).unwrap();
        store.remove("1").unwrap();
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(lease);
    }

    #[test]
    fn a_holder_keeps_its_claim_through_a_long_step_and_a_restart_of_the_store() {
        let store = Arc::new(Memory::default());
        let (tell, told) = mpsc::channel();
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        let lost = move || tell.send(()).unwrap();
        let lease = acquire(shared, claim("1", "a", &["x"]), TIMING, &|| false, lost).unwrap();
        // Longer than a claim without a sign of life is respected.
        thread::sleep(TIMING.expiry * 2);
        let is_held = |text: &str| {
            let refused = take(&store, claim("2", "b", &["x"])).map(|_| ());
            assert!(refused.unwrap_err().to_string().contains(text));
        };
        is_held("on host a");
        store.is_away.store(true, Ordering::Relaxed);
        is_held("away");
        thread::sleep(TIMING.expiry * 2);
        assert!(
            told.try_recv().is_err(),
            "it goes on while the store is away"
        );
        store.is_away.store(false, Ordering::Relaxed);
        is_held("on host a");
        drop(lease);
        drop(take(&store, claim("2", "b", &["x"])).unwrap());
    }

    #[test]
    fn clocks_of_hosts_are_not_compared() {
        let store = Arc::new(Memory::default());
        let holder = Claim {
            since: i64::MAX,
            ..claim("9999999999999_ahead", "a", &["x"])
        };
        let lease = take(&store, holder).unwrap();
        let late = claim("0000000000000_behind", "b", &["x"]);
        let refused = take(&store, late).map(|_| ()).unwrap_err();
        assert!(matches!(refused, LeaseError::Held { .. }), "{refused}");
        drop(lease);
    }

    #[test]
    fn of_runs_that_start_together_exactly_one_goes_on() {
        for _ in 0..20 {
            let store = Arc::new(Memory::default());
            let start = |number: u32| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let machine = format!("machine-{}", number % 2);
                    take(&store, claim(&number.to_string(), &machine, &["x"]))
                })
            };
            let threads: Vec<_> = (0..4).map(start).collect();
            let leases: Vec<_> = threads.into_iter().map(|one| one.join().unwrap()).collect();
            let had = leases.iter().filter(|lease| lease.is_ok()).count();
            assert_eq!(had, 1);
        }
    }
}
