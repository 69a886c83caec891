//! What makes a process a daemon: the background, its name, who cares for orphans, limits.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};

use crate::supervise::child::End;

/// Which side of the fork to the background this is.
#[derive(Debug)]
pub enum Side {
    /// The process that was started: it ends with this status once the daemon stands, or has failed to.
    Foreground(u8),
    /// The daemon. Dropping the descriptor tells the other side that it stands.
    Daemon(OwnedFd),
}

/// Forks to the background: own session, `/`, nothing on the terminal. Only for a process with one thread.
pub fn detach() -> io::Result<Side> {
    let (told, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: there is one thread, so the new process is a whole one.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(tell);
            let mut byte = [0; 1];
            let stands = File::from(told).read(&mut byte).is_ok_and(|count| count == 1);
            if stands {
                return Ok(Side::Foreground(0));
            }
            match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, status)) => Ok(Side::Foreground(status as u8)),
                _ => Ok(Side::Foreground(1)),
            }
        }
        ForkResult::Child => {
            drop(told);
            setsid()?;
            std::env::set_current_dir("/")?;
            let null = File::options().read(true).write(true).open("/dev/null")?;
            for fd in 0..3 {
                // SAFETY: `null` is open; nobody owns 0 to 2 by value.
                unsafe { libc::dup2(null.as_raw_fd(), fd) };
            }
            Ok(Side::Daemon(tell))
        }
    }
}

/// Tells the waiting foreground process that the daemon stands.
pub fn stands(tell: OwnedFd) {
    let _ = nix::unistd::write(&tell, b"+");
}

/// The name in `ps` and `pgrep`, cut to the kernel's 15 bytes.
pub fn set_name(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Orphaned grandchildren become our children, and so are not lost.
pub fn adopt_orphans() {
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// SIGTERM for us when the parent dies.
pub fn end_with_parent() {
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM);
}

/// Every child that has ended since the last call.
pub fn ended() -> Vec<(Pid, End)> {
    let mut list = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => list.push((pid, End::Exited(status as u8))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => list.push((pid, End::Signalled(signal as i32))),
            Ok(WaitStatus::StillAlive) => return list,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return list,
        }
    }
}

/// Sends a signal by number, real-time ones included.
pub fn send_signal(pid: Pid, number: i32) {
    // SAFETY: plain system call; a process that is gone is no error to anybody here.
    unsafe { libc::kill(pid.as_raw(), number) };
}

/// Whether a debugger has the process.
pub fn is_traced(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("TracerPid:")).is_some_and(|tracer| tracer.trim() != "0")
}

/// Whether the process runs, or waits for the processor or a disk: slow, not stuck.
pub fn is_busy(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state is in parentheses, and may have some itself.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D']))
}

/// RLIMIT_CORE without limit (`-m`).
pub fn allow_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_CORE, rlim_t::MAX, rlim_t::MAX)?)
}

/// CPU time used so far: (self user, self system, children user, children system), in microseconds.
pub fn cpu_usage() -> [i64; 4] {
    let micros = |t: nix::sys::time::TimeVal| t.tv_sec() * 1_000_000 + t.tv_usec();
    let of =
        |who| nix::sys::resource::getrusage(who).map_or([0; 2], |u| [micros(u.user_time()), micros(u.system_time())]);
    let [user, system] = of(nix::sys::resource::UsageWho::RUSAGE_SELF);
    let [child_user, child_system] = of(nix::sys::resource::UsageWho::RUSAGE_CHILDREN);
    [user, system, child_user, child_system]
}
