//! Signals: blocked from the first instruction on, read from a descriptor, so that none is ever lost.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A signal as the daemon understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP
    Reload,
    /// SIGTERM
    Stop,
    /// SIGINT
    Interrupt,
    /// SIGUSR1
    Data,
    /// SIGUSR2
    Stats,
    /// SIGRTMAX-1
    StatsClear,
    /// SIGRTMIN+2
    Json,
    /// SIGCHLD
    Child,
    /// SIGXCPU
    CpuTime,
}

impl Signal {
    const ALL: [Self; 9] = [
        Self::Reload,
        Self::Stop,
        Self::Interrupt,
        Self::Data,
        Self::Stats,
        Self::StatsClear,
        Self::Json,
        Self::Child,
        Self::CpuTime,
    ];

    /// The kernel's number, with the C library's idea of the real-time range.
    pub fn number(self) -> i32 {
        match self {
            Self::Reload => libc::SIGHUP,
            Self::Stop => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
            Self::Data => libc::SIGUSR1,
            Self::Stats => libc::SIGUSR2,
            Self::StatsClear => libc::SIGRTMAX() - 1,
            Self::Json => libc::SIGRTMIN() + 2,
            Self::Child => libc::SIGCHLD,
            Self::CpuTime => libc::SIGXCPU,
        }
    }
}

/// The number of a `--signum` name.
pub fn number_of(name: &str) -> Option<i32> {
    let signal = match name {
        "STOP" => Signal::Stop,
        "RELOAD" => Signal::Reload,
        "DATA" => Signal::Data,
        "STATS" => Signal::Stats,
        "STATS_CLEAR" => Signal::StatsClear,
        "JSON" => Signal::Json,
        _ => return None,
    };
    Some(signal.number())
}

/// The kernel's name of a signal, as strsignal(3) has it in the C locale.
pub fn description(number: i32) -> String {
    let text = match number {
        libc::SIGHUP => "Hangup",
        libc::SIGINT => "Interrupt",
        libc::SIGQUIT => "Quit",
        libc::SIGILL => "Illegal instruction",
        libc::SIGTRAP => "Trace/breakpoint trap",
        libc::SIGABRT => "Aborted",
        libc::SIGBUS => "Bus error",
        libc::SIGFPE => "Floating point exception",
        libc::SIGKILL => "Killed",
        libc::SIGUSR1 => "User defined signal 1",
        libc::SIGSEGV => "Segmentation fault",
        libc::SIGUSR2 => "User defined signal 2",
        libc::SIGPIPE => "Broken pipe",
        libc::SIGALRM => "Alarm clock",
        libc::SIGTERM => "Terminated",
        libc::SIGXCPU => "CPU time limit exceeded",
        libc::SIGXFSZ => "File size limit exceeded",
        libc::SIGSYS => "Bad system call",
        _ => return format!("signal {number}"),
    };
    text.to_owned()
}

fn ours() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before anything reads it; sigaddset only gets valid numbers.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in Signal::ALL {
            libc::sigaddset(set.as_mut_ptr(), signal.number());
        }
        set.assume_init()
    }
}

fn set_mask(how: libc::c_int) {
    let set = ours();
    // SAFETY: the set is initialised; the old mask is not asked for. Fails only for a wrong `how`.
    unsafe { libc::pthread_sigmask(how, &set, std::ptr::null_mut()) };
}

/// Blocks every signal of [`Signal`]: they wait for [`Signals`]. Threads and re-executed children inherit it.
pub fn block() {
    set_mask(libc::SIG_BLOCK);
}

/// Undoes [`block`], for commands that are no daemon: what waits takes its default effect now.
pub fn unblock() {
    set_mask(libc::SIG_UNBLOCK);
}

/// Ignores everything that is neither ours nor a fault of the program, as keepalived does.
pub fn ignore_others() {
    const LEFT_ALONE: [i32; 8] = [
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGABRT,
        libc::SIGTRAP,
    ];
    for number in (1..=libc::SIGRTMAX()).filter(|n| !(32..libc::SIGRTMIN()).contains(n)) {
        if LEFT_ALONE.contains(&number) || Signal::ALL.iter().any(|s| s.number() == number) {
            continue;
        }
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe { libc::signal(number, libc::SIG_IGN) };
    }
}

/// Signals as something to read. They must be blocked ([`block`]).
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Opens the descriptor; what already waits is read from it too.
    pub fn open() -> io::Result<Self> {
        let set = ours();
        // SAFETY: the set is initialised, and -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Within the runtime: ready when one waits.
    pub fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: a `Signals` has one descriptor from first to last, and closes it only when it is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }?)
    }

    /// The next signal that waits, if one does.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: the buffer has the size given.
            let read = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
            if read != size as isize {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(error),
                }
            }
            // SAFETY: the kernel filled the whole structure.
            let number = unsafe { info.assume_init() }.ssi_signo as i32;
            if let Some(signal) = Signal::ALL.into_iter().find(|s| s.number() == number) {
                return Ok(Some(signal));
            }
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signum_names_have_the_numbers_that_scripts_expect() {
        let numbers = ["STOP", "RELOAD", "DATA", "STATS", "STATS_CLEAR", "JSON"].map(number_of);
        assert_eq!(numbers, [Some(15), Some(1), Some(10), Some(12), Some(63), Some(36)]);
        assert_eq!(number_of("stop"), None);
    }

    #[test]
    fn a_signal_sent_before_the_descriptor_is_opened_is_read_from_it() {
        block();
        // SAFETY: sends a blocked signal to this thread.
        unsafe { libc::pthread_kill(libc::pthread_self(), Signal::Data.number()) };
        let signals = Signals::open().unwrap();
        assert_eq!(signals.next().unwrap(), Some(Signal::Data));
        assert_eq!(signals.next().unwrap(), None);
        unblock();
    }
}
