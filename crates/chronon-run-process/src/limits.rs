//! The limits that the system sets for this process (`ulimit`).

use std::fs;

use nix::{
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
    unistd::Uid,
};

use crate::sys;

/// Raises the soft limits of open files and of processes to the hard ones, for this process and what
/// it starts. A system that refuses keeps its limits.
pub fn raise_soft_limits() {
    for resource in [Resource::RLIMIT_NOFILE, Resource::RLIMIT_NPROC] {
        if let Ok((soft, hard)) = getrlimit(resource)
            && soft < hard
        {
            let _ = setrlimit(resource, hard, hard);
        }
    }
}

/// Gives memory that was freed back to the system, which the allocator of glibc keeps between the blocks of what is
/// still used. Nothing with another C library.
pub fn release_memory() {
    sys::trim_memory();
}

/// How many files a process may have open; `None` if there is no limit.
#[must_use]
pub fn open_files() -> Option<u64> {
    limit(Resource::RLIMIT_NOFILE)
}

/// Raises the limit of open files to `wanted` for this process and what it starts, if it has the right
/// to. Whether the limit allows so many now.
#[must_use]
pub fn allow_open_files(wanted: u64) -> bool {
    let enough = || open_files().is_none_or(|limit| limit >= wanted);
    enough() || (setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() && enough())
}

/// A limit of processes and threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Processes {
    /// How many the user may have.
    pub limit: u64,
    /// How many of them exist, as far as this process can see.
    pub used: u64,
}

/// How many processes and threads this user may have; `None` if there is no limit, as for root.
#[must_use]
pub fn processes() -> Option<Processes> {
    let user = Uid::current();
    if user.is_root() {
        return None;
    }
    let limit = limit(Resource::RLIMIT_NPROC)?;
    let used = threads_of(user.as_raw());
    Some(Processes { limit, used })
}

fn limit(resource: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

fn threads_of(user: u32) -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let status = entries.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    status.filter_map(|status| threads(&status, user)).sum()
}

/// The number of threads in `/proc/<pid>/status`, if the process is the user's.
fn threads(status: &str, user: u32) -> Option<u64> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let real: u32 = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
    if real != user {
        return None;
    }
    field("Threads:")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_user_are_counted() {
        let status = "Name:\tjava\nUid:\t1000\t1000\t1000\t1000\nThreads:\t37\n";
        assert_eq!(threads(status, 1000), Some(37));
        assert_eq!(threads(status, 0), None);
        assert_eq!(threads("Name:\tjava\n", 0), None);
        assert!(threads_of(Uid::current().as_raw()) > 0);
    }

    #[test]
    fn what_is_allowed_already_needs_no_right() {
        raise_soft_limits();
        assert!(allow_open_files(3));
    }
}
