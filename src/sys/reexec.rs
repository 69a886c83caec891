//! Our own binary again, as a child with another job: never a bare fork.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::Pid;

/// The first word of a child's command line.
pub const CHILD: &str = "--child";
/// The first word where another process had the same job and is no more.
pub const CHILD_AGAIN: &str = "--child-again";

/// The descriptor a child finds its end of the channel on.
pub const CHANNEL: RawFd = 3;
/// The descriptor a child finds the configuration on.
pub const CONFIGURATION: RawFd = 4;
/// The descriptor a child finds its heartbeat on.
pub const HEARTBEAT: RawFd = 5;

/// Starts `/proc/self/exe`, which is this program even after an upgrade replaced its file. The child finds `descriptors` on
/// 3 and up. It inherits the signal mask, so that no signal can hit it before it is ready.
pub fn start(arg0: &OsStr, arguments: &[OsString], descriptors: Vec<OwnedFd>) -> io::Result<Pid> {
    let sources = descriptors.into_iter().map(out_of_the_way).collect::<io::Result<Vec<OwnedFd>>>()?;
    let numbers: Vec<RawFd> = sources.iter().map(AsRawFd::as_raw_fd).collect();
    let mut command = Command::new("/proc/self/exe");
    command.arg0(arg0).args(arguments).env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    let place = move || {
        for (target, source) in (CHANNEL..).zip(&numbers) {
            // SAFETY: dup2 is async-signal-safe; the sources are open and above the targets.
            if unsafe { libc::dup2(*source, target) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: `place` neither allocates nor locks.
    unsafe { command.pre_exec(place) };
    // The handle is not needed: the caller waits for every child it has.
    let child = command.spawn()?;
    Ok(Pid::from_raw(child.id() as i32))
}

/// A copy that `dup2` onto 3 and up cannot hit, closed at exec.
fn out_of_the_way(fd: OwnedFd) -> io::Result<OwnedFd> {
    let copy = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(10))?;
    // SAFETY: just made, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A descriptor that the parent left for us. Only for the first lines of a child, and once for each.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asking for the flags of a number that may not be open is harmless.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, came with exec, and by the contract above nobody else has taken it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}
