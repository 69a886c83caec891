//! Starts programs: scripts as their users, without shell, in a process group of their own.
//!
//! The new process shares our memory until it executes its program (`CLONE_VM | CLONE_VFORK`), so starting one costs the
//! same however large we are, and what went wrong on the way comes back as an errno.
#![allow(unsafe_code)]

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::model::ScriptCommand;

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// What is executed.
    pub path: Vec<u8>,
    /// The words it sees.
    pub argv: Vec<Vec<u8>>,
    /// As whom.
    pub uid: u32,
    /// As which group.
    pub gid: u32,
    /// With the user's other groups, or with `gid` alone.
    pub supplementary_groups: bool,
    /// Execute nothing: only test that `path` can be opened for reading.
    pub opens_only: bool,
}

impl Program {
    /// The program of a configured script, with words added.
    pub fn of(command: &ScriptCommand, added: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            path: OsString::from(command.path.clone()).into_vec(),
            argv: command.argv.iter().cloned().chain(added).collect(),
            uid: command.uid,
            gid: command.gid,
            supplementary_groups: command.supplementary_groups,
            opens_only: false,
        }
    }
}

/// Everything the new process needs, prepared before it exists: it must not allocate.
struct Prepared {
    path: CString,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    groups: Vec<libc::gid_t>,
    program: Program,
    dev_null: libc::c_int,
    errno: libc::c_int,
    /// Own what `argv` and `envp` point to.
    _words: Vec<CString>,
    _environment: Vec<CString>,
}

/// Variables that scripts do not see.
const HIDDEN: [&str; 4] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "NOTIFY_SOCKET"];

/// Exit status of a file that cannot be opened: a shell's for a failed redirection.
const NOT_OPENED: libc::c_int = 2;

/// Starts a program. It gets SIGTERM when the calling thread's process ends.
pub fn start(program: &Program) -> io::Result<Pid> {
    let mut prepared = prepare(program)?;
    const STACK: usize = 64 << 10;
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end.cast::<libc::c_void>();
    let argument = (&raw mut prepared).cast::<libc::c_void>();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the child runs `child` on its own stack, which outlives it as `CLONE_VFORK` stops us until it has executed
    // its program or ended; it makes system calls only and touches nothing but `prepared`.
    let pid = unsafe { libc::clone(child, top, flags, argument) };
    let error = io::Error::last_os_error();
    // SAFETY: closes the descriptor that `prepare` opened, once.
    unsafe { libc::close(prepared.dev_null) };
    match (pid, prepared.errno) {
        (..0, _) => Err(error),
        (pid, 0) => Ok(Pid::from_raw(pid)),
        (pid, errno) => {
            // It has ended already: take its body away.
            let _ = nix::sys::wait::waitpid(Pid::from_raw(pid), None);
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

fn prepare(program: &Program) -> io::Result<Prepared> {
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let words = program.argv.iter().map(|w| c_string(w)).collect::<io::Result<Vec<_>>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .filter(|(name, _)| !HIDDEN.iter().any(|hidden| name == hidden))
        .filter_map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')).ok())
        .collect();
    let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
    // SAFETY: a constant path.
    let dev_null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
    if dev_null < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Prepared {
        path: c_string(&program.path)?,
        argv: pointers(&words),
        envp: pointers(&environment),
        groups: groups(program),
        program: program.clone(),
        dev_null,
        errno: 0,
        _words: words,
        _environment: environment,
    })
}

fn groups(program: &Program) -> Vec<libc::gid_t> {
    let alone = vec![program.gid];
    if !program.supplementary_groups {
        return alone;
    }
    let Ok(Some(user)) = nix::unistd::User::from_uid(program.uid.into()) else { return alone };
    let Ok(name) = CString::new(user.name) else { return alone };
    nix::unistd::getgrouplist(&name, program.gid.into())
        .map_or(alone, |groups| groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
}

/// The new process. System calls only, made directly where the C library would also touch our other threads.
extern "C" fn child(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: `start` passes its `Prepared` and is stopped until we are done with it; nothing else uses it.
    let prepared = unsafe { &mut *argument.cast::<Prepared>() };
    let program = &prepared.program;
    // SAFETY: plain system calls on values prepared by `start`; none keeps a pointer.
    unsafe {
        libc::setpgid(0, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
        let same = libc::getuid() == program.uid && libc::getgid() == program.gid;
        if !same || libc::getuid() == 0 {
            let (groups, count) = (prepared.groups.as_ptr(), prepared.groups.len());
            if libc::syscall(libc::SYS_setgroups, count, groups) != 0
                || libc::syscall(libc::SYS_setresgid, program.gid, program.gid, program.gid) != 0
                || libc::syscall(libc::SYS_setresuid, program.uid, program.uid, program.uid) != 0
            {
                return fail(prepared);
            }
            // A change of user clears it.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
        }
        for fd in 0..3 {
            libc::dup2(prepared.dev_null, fd);
        }
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for signal in 1..=64 {
            let mut default: libc::sigaction = std::mem::zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &default, std::ptr::null_mut());
        }
        let mut nothing: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut nothing);
        libc::sigprocmask(libc::SIG_SETMASK, &nothing, std::ptr::null_mut());
        if program.opens_only {
            let opened = libc::open(prepared.path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            libc::_exit(if opened < 0 { NOT_OPENED } else { 0 });
        }
        libc::execve(prepared.path.as_ptr(), prepared.argv.as_ptr(), prepared.envp.as_ptr());
    }
    fail(prepared)
}

fn fail(prepared: &mut Prepared) -> libc::c_int {
    // SAFETY: `__errno_location` is always valid; the thread that shares it is stopped.
    prepared.errno = unsafe { *libc::__errno_location() };
    127
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};

    fn own(argv: &[&str]) -> Program {
        Program {
            path: argv[0].into(),
            argv: argv.iter().map(|w| w.as_bytes().to_vec()).collect(),
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            supplementary_groups: false,
            opens_only: false,
        }
    }

    fn exit_status(program: &Program) -> i32 {
        match waitpid(start(program).unwrap(), None).unwrap() {
            WaitStatus::Exited(_, status) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_program_runs_in_its_own_group_with_default_signals_and_nothing_of_ours_open() {
        crate::sys::signals::block();
        let test = "read -r _ _ _ _ pgid _ < /proc/$$/stat; [ $pgid = $$ ] || exit 3
            # A shell that runs another program blocks signals for that time, so it looks for itself.
            while read -r key mask; do case $key in SigBlk:) [ $mask = 0000000000000000 ] || exit 4 ;; esac
            done < /proc/$$/status
            for fd in /proc/$$/fd/*; do case ${fd##*/} in 0|1|2) ;; *) [ ! -e $fd ] || exit 5 ;; esac; done
            [ $(readlink /proc/$$/fd/1) = /dev/null ] || exit 6
            [ -z \"$LD_PRELOAD\" ] || exit 7";
        assert_eq!(exit_status(&own(&["/bin/sh", "-c", test])), 0);
        crate::sys::signals::unblock();
    }

    #[test]
    fn the_exit_status_comes_back() {
        assert_eq!(exit_status(&own(&["/bin/sh", "-c", "exit 42"])), 42);
    }

    #[test]
    fn what_cannot_be_executed_says_why() {
        assert_eq!(start(&own(&["/nonexistent/x"])).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(start(&own(&["/dev/null"])).unwrap_err().raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn a_file_that_is_only_opened_gives_a_shells_status() {
        let opened = |path: &str| exit_status(&Program { opens_only: true, ..own(&[path]) });
        assert_eq!(opened("/dev/null"), 0);
        assert_eq!(opened("/nonexistent"), 2);
    }
}
