//! One supervised child process. Knows no word of Chronon or Spark.
//!
//! Invariant: a child that was started here never outlives the process that started it,
//! and neither do its own children. Four things together see to that:
//!
//! 1. every [`Child`] is the leader of its own session and process group, and always the whole
//!    session is ended: TERM, a grace period, KILL; also when the leader is gone and others remain;
//! 2. a [`Watchdog`] process ends everything that descends from the children if this process
//!    is killed hard;
//! 3. without a watchdog the kernel at least sends KILL to the leader when the thread that
//!    started it dies (`PR_SET_PDEATHSIG`), see [`Child::start`] for the rule that follows;
//! 4. [`end_children_of`] and [`end_group`] let the next run end what is left, told by pid
//!    *and* start time ([`identify`]), so that a reused number is never killed.
//!
//! The exceptions are meant to outlive the process that starts them: a [`Detached`] one, and a host that is
//! kept for the next command ([`Keep`]), which ends by itself when it has not been used for a while.
//!
//! No child has a controlling terminal (`launch`), so none can be stopped by one; but for the [`Pager`], which
//! reads keys there.
//!
//! A process that leaves its session on purpose (`setsid`) is seen by the watchdog only, and one
//! that also empties its environment by none.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod child;
mod detached;
mod disk;
mod group;
mod helper;
mod hold;
mod host;
mod identity;
mod kept;
mod launch;
mod limits;
mod machine;
mod nofollow;
mod own;
mod pager;
mod peer;
mod protocol;
mod reaper;
mod replace;
mod session;
mod stop;
mod sys;
mod tail;
mod usage;
mod watchdog;

pub use child::{Child, Exit, LogMode};
pub use detached::{Detached, Instance, end_instance, instances};
pub use disk::{Disk, Used, disk, used};
pub use group::{Group, end_group};
pub use helper::{Helper, HelperError};
pub use host::{Guest, GuestError, GuestHandle, Host, Target};
pub use identity::{ask_to_end, boot_id, host_name, identify, is_alive, terminate_self};
pub use kept::{Keep, KeepError, KeptStatus, end_unused, is_locked, try_lock};
pub use launch::StartError;
pub use limits::{
    Processes, allow_open_files, open_files, processes, raise_soft_limits, release_memory,
};
pub use machine::{User, allows_execution, is_writable, respect_group};
pub use nofollow::{open_append, open_lock};
pub use own::{is_ignored, lower_own_priority};
pub use pager::{Pager, is_paging};
pub use peer::is_peer_of;
pub use reaper::reap_orphans;
pub use replace::replace;
pub use session::{Session, SessionError, SessionOutcome};
pub use stop::{Entered, Stop};
pub use tail::Tail;
pub use usage::Usage;
pub use watchdog::{Watchdog, end_children_of, watchdog_main};
