//! Scheduling and limits of a child (`operator-surface.md` §3.6). Scripts do not get them: the spawner starts before.
#![allow(unsafe_code)]

use std::io;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

use crate::model::global::Scheduling;

/// Hard limit where the file gives none: microseconds of CPU without a system call that waits.
const DEFAULT_RTTIME: u64 = 10_000;

/// Applies the settings to this process; gives a line for each that did not work.
pub fn apply(settings: &Scheduling, process: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(nice) = settings.nice {
        // SAFETY: plain system call.
        if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, i32::from(nice)) } != 0 {
            problems.push(format!("Unable to set process priority {nice} - {}", io::Error::last_os_error()));
        }
    }
    if let Some(priority) = settings.realtime {
        if let Err(error) = realtime(priority) {
            problems.push(format!("child process: cannot raise priority ({error})"));
        }
        let hard = settings.rlimit_rttime_micros.map_or(DEFAULT_RTTIME, u64::from);
        // The signal of the soft limit gives a log line before the kernel kills at the hard one.
        if let Err(error) = setrlimit(Resource::RLIMIT_RTTIME, hard / 2, hard) {
            problems.push(format!("Unable to set realtime limit - {}", error.desc()));
        }
    }
    if !settings.cpus.is_empty()
        && let Err(error) = affinity(&settings.cpus)
    {
        problems.push(format!("unable to set cpu affinity to {process} process ({})", error.desc()));
    }
    if settings.no_swap
        && let Err(error) = lock_memory()
    {
        problems.push(format!("Unable to lock process in memory - {}", error.desc()));
    }
    problems
}

/// SCHED_RR for this thread and those it starts.
fn realtime(priority: u8) -> io::Result<()> {
    // SAFETY: all-zero is a valid sched_param (other C libraries have more fields).
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(priority);
    // SAFETY: plain system call; `parameters` outlives it.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Back to the ordinary scheduler, for threads and processes that only help.
pub fn ordinary() {
    // SAFETY: all-zero is what SCHED_OTHER demands.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_OTHER, &parameters);
    }
}

fn affinity(cpus: &[u32]) -> nix::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu as usize)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)
}

fn lock_memory() -> nix::Result<()> {
    const MCL_ONFAULT: libc::c_int = 4;
    let flags = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE;
    mlockall(flags | MlockAllFlags::from_bits_retain(MCL_ONFAULT))
}

/// Raises the limit of open files to at least `wanted`, as far as we may.
pub fn allow_open_files(wanted: u64) -> io::Result<Option<(u64, u64)>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(None);
    }
    let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map(|()| (wanted, hard.max(wanted)));
    let raised = raised.or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| (hard, hard)))?;
    Ok(Some(raised))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_settings_change_nothing_and_complain_of_nothing() {
        assert_eq!(apply(&Scheduling::default(), "vrrp"), Vec::<String>::new());
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_a_line_in_the_log() {
        let settings = Scheduling { cpus: vec![1_000_000], ..Scheduling::default() };
        assert!(apply(&settings, "vrrp")[0].starts_with("unable to set cpu affinity to vrrp process ("));
    }
}
