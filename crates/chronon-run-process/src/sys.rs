//! The system calls that `std` does not have. All `unsafe` of the project is here.
#![expect(
    unsafe_code,
    reason = "kill(2), waitid(2), waitpid(2), prctl(2), setpriority(2), memfd_create(2), malloc_trim(3) and pre_exec have no safe form in std"
)]

use std::{
    fs::File,
    io,
    os::{fd::FromRawFd, unix::process::CommandExt},
    process::Command,
};

/// A signal that ends processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    /// Please end.
    Term,
    /// End.
    Kill,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Self::Term => libc::SIGTERM,
            Self::Kill => libc::SIGKILL,
        }
    }
}

/// Sends `signal` to every process of the group.
pub(crate) fn signal_group(group: u32, signal: Signal) {
    kill(group, -1, signal.number());
}

/// Sends `signal` to one process.
pub(crate) fn signal_process(pid: u32, signal: Signal) {
    kill(pid, 1, signal.number());
}

/// Asks this process itself to end in order.
pub(crate) fn signal_self() {
    kill(std::process::id(), 1, libc::SIGTERM);
}

/// Whether any process, zombies included, belongs to the group.
pub(crate) fn group_exists(group: u32) -> bool {
    kill(group, -1, 0)
}

/// Whether there is a process of this number, of any user.
pub(crate) fn process_exists(pid: u32) -> bool {
    kill(pid, 1, 0)
}

/// Takes note of the end of a child that has exited; nothing if it has not.
pub(crate) fn reap(pid: u32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    // SAFETY: waitpid(2) may be called without a place for the status.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
}

/// kill(2) for a process (`sign` 1) or a group (-1). Whether there was any.
fn kill(number: u32, sign: i32, signal: libc::c_int) -> bool {
    // -1 would mean every process and 0 our own group: neither is ever a child's number.
    let Some(number) = i32::try_from(number).ok().filter(|&number| number > 1) else {
        return false;
    };
    // SAFETY: kill(2) takes two integers and touches no memory of ours.
    let code = unsafe { libc::kill(sign * number, signal) };
    // EPERM: there are processes, but not ours to signal.
    code == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Waits until the child `pid` has exited, and leaves it a zombie: its number, and with it
/// its group's, cannot be given to another process before it is reaped.
pub(crate) fn wait_for_exit(pid: u32) -> io::Result<()> {
    wait_id(pid, 0).map(|_| ())
}

/// Whether the child `pid` has exited; it stays a zombie.
pub(crate) fn has_exited(pid: u32) -> io::Result<bool> {
    wait_id(pid, libc::WNOHANG)
}

fn wait_id(pid: u32, flags: libc::c_int) -> io::Result<bool> {
    loop {
        // SAFETY: siginfo_t is plain old data for which all zeroes is a valid value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let options = libc::WEXITED | libc::WNOWAIT | flags;
        // SAFETY: `info` is a live siginfo_t that waitid(2) fills in.
        let code = unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, options) };
        if code == 0 {
            // SAFETY: waitid succeeded, so si_pid is initialised; 0 means "not yet" (WNOHANG).
            return Ok(unsafe { info.si_pid() } != 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Makes the child die with the thread that starts it.
pub(crate) fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let hook = move || {
        #[cfg(target_os = "linux")]
        {
            // SAFETY: prctl(PR_SET_PDEATHSIG) takes integers and is async-signal-safe.
            if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: getppid(2) has no arguments and is async-signal-safe.
        let now = unsafe { libc::getppid() };
        // The parent died between fork and prctl: the signal would never be sent.
        if u32::try_from(now) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the hook makes only async-signal-safe calls, allocates
    // nothing and takes no lock.
    unsafe { command.pre_exec(hook) };
}

/// A file that has no name and is in no folder.
pub(crate) fn memory_file() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the name is a literal that ends with a zero byte.
        let descriptor = unsafe { libc::memfd_create(c"output".as_ptr(), libc::MFD_CLOEXEC) };
        if descriptor >= 0 {
            // SAFETY: memfd_create(2) has just made this descriptor; nothing else owns it.
            return Ok(unsafe { File::from_raw_fd(descriptor) });
        }
    }
    Err(io::Error::last_os_error())
}

/// Gives this process the lowest priority.
pub(crate) fn lowest_priority() -> io::Result<()> {
    // SAFETY: setpriority(2) takes integers and touches no memory of ours; 0 is this process.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives memory that was freed back to the system.
pub(crate) fn trim_memory() {
    // SAFETY: malloc_trim(3) may be called from any thread, takes the allocator's own locks, and gives back only pages
    // that are free.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Makes the child the leader of a session of its own, which has no controlling terminal.
pub(crate) fn own_session(command: &mut Command) {
    let hook = || {
        // SAFETY: setsid(2) has no arguments and is async-signal-safe.
        match unsafe { libc::setsid() } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    };
    // SAFETY: as above, the hook makes one async-signal-safe call and nothing else.
    unsafe { command.pre_exec(hook) };
}
