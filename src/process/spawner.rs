//! The spawner: a small process that starts scripts for the VRRP child, so that starting one never holds up an advert.
//!
//! It is started before the child takes a realtime priority or locks its memory, so scripts have neither. It lives as long
//! as its end of the channel: when the child is gone, what still runs is ended. When it dies, the child starts another.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use tracing::{error, warn};

use crate::process::ipc::{FromSpawner, Job, JobEnd, ToSpawner};
use crate::process::start::set_process_name;
use crate::supervise::child::End;
use crate::supervise::restarts::Restarts;
use crate::sys::channel::Channel;
use crate::sys::signals::{Signal, Signals};
use crate::sys::spawn::{self, Program};
use crate::sys::{clock, daemon, reexec, schedule};
use crate::time::{Duration, Instant};

/// The word after `--child`.
pub const WORD: &str = "spawner";
/// Programs that run at a time; more wait.
const MAX_RUNNING: usize = 1_024;
/// What runs when the child is gone has so long after SIGTERM.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(1);

/// Orders that wait for the next spawner at most.
const MAX_HELD: usize = 1_024;

/// The spawners of a process, each after the death of the one before; seen by that process.
#[derive(Debug)]
pub struct Spawners {
    arg0: OsString,
    restarts: Restarts,
    held: Vec<ToSpawner>,
}

impl Spawners {
    /// Starts the first; gives our end of its channel.
    pub fn first(argv: &[OsString]) -> io::Result<(Self, Channel)> {
        let arg0 = argv.first().cloned().unwrap_or_default();
        let channel = start(&arg0)?;
        Ok((Self { arg0, restarts: Restarts::started(clock::now()), held: Vec::new() }, channel))
    }

    /// The one that there was has died.
    pub fn lost(&mut self, now: Instant) {
        match self.restarts.lost(now) {
            Duration::ZERO => warn!("the process that starts scripts has died; starting another"),
            pause => warn!("the process that starts scripts has died; starting another in {} ms", pause.as_millis()),
        }
    }

    /// When the next one is to be started, where there is none.
    pub const fn deadline(&self) -> Option<Instant> {
        self.restarts.deadline()
    }

    /// Keeps an order for the next one.
    pub fn hold(&mut self, order: ToSpawner) {
        if self.held.len() < MAX_HELD {
            self.held.push(order);
        } else {
            warn!("too many scripts wait for a process that starts them: one is dropped");
        }
    }

    /// Starts the next one when it is time, with the orders that were kept for it.
    pub fn next(&mut self, now: Instant) -> Option<Channel> {
        if !self.restarts.is_due(now) {
            return None;
        }
        match start(&self.arg0) {
            Ok(mut channel) => {
                // Where they cannot be sent it has died already, which its channel tells.
                self.held.drain(..).for_each(|order| _ = channel.send(&order));
                Some(channel)
            }
            Err(error) => {
                let pause = self.restarts.lost(now);
                error!("cannot start a process that starts scripts: {error}; trying again in {} ms", pause.as_millis());
                None
            }
        }
    }
}

fn start(arg0: &OsString) -> io::Result<Channel> {
    let (ours, theirs) = Channel::pair()?;
    reexec::start(arg0, &[reexec::CHILD.into(), WORD.into()], vec![theirs])?;
    Ok(ours)
}

/// The process.
pub fn run(argv: &[OsString]) -> u8 {
    set_process_name(None, argv);
    // A spawner that is started again comes from a child that has its priority already.
    schedule::ordinary();
    let channel = reexec::inherited(reexec::CHANNEL).and_then(Channel::inherited);
    match (channel, Signals::open()) {
        (Ok(channel), Ok(signals)) => Spawner::new(channel, signals).live(),
        _ => 70,
    }
}

struct Spawner {
    channel: Channel,
    signals: Signals,
    running: BTreeMap<Job, Pid>,
    waiting: VecDeque<(Job, Program)>,
    /// When what runs is killed, and then we end.
    finish_at: Option<Instant>,
    /// Whether anybody hears us.
    is_heard: bool,
}

impl Spawner {
    fn new(channel: Channel, signals: Signals) -> Self {
        let (running, waiting) = Default::default();
        Self { channel, signals, running, waiting, finish_at: None, is_heard: true }
    }

    fn live(mut self) -> u8 {
        loop {
            if let Some(at) = self.finish_at {
                let nothing_left = self.running.is_empty() && self.waiting.is_empty();
                if nothing_left || clock::now() >= at {
                    self.signal_all(nix::libc::SIGKILL);
                    let _ = self.channel.flush();
                    return 0;
                }
            }
            if self.wait().is_err() {
                return 70;
            }
            while let Ok(Some(signal)) = self.signals.next() {
                if signal == Signal::Child {
                    self.reap();
                }
            }
            self.hear();
            self.start_waiting();
        }
    }

    fn wait(&self) -> io::Result<()> {
        let interest =
            if self.channel.wants_write() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if self.is_heard {
            fds.push(PollFd::new(self.channel.as_fd(), interest));
        }
        let timeout = match self.finish_at {
            // A millisecond more, or the last one would be spent spinning.
            Some(at) => PollTimeout::try_from(at.since(clock::now()) + Duration::from_millis(1)),
            None => Ok(PollTimeout::NONE),
        };
        match poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn hear(&mut self) {
        if !self.is_heard {
            return;
        }
        let filled = self.channel.fill().and_then(|()| self.channel.flush());
        while let Ok(Some(message)) = self.channel.receive::<ToSpawner>() {
            match message {
                ToSpawner::Start(job, program) => self.waiting.push_back((job, program)),
                ToSpawner::Signal(job, number) => self.signal(job, number),
                ToSpawner::Finish { limit_millis } => {
                    self.start_waiting();
                    self.finish_at = Some(clock::now() + Duration::from_millis(limit_millis));
                }
            }
        }
        if filled.is_err() {
            self.is_heard = false;
            self.waiting.clear();
            self.signal_all(nix::libc::SIGTERM);
            self.finish_at.get_or_insert(clock::now() + ORPHAN_PATIENCE);
        }
    }

    fn start_waiting(&mut self) {
        while self.running.len() < MAX_RUNNING
            && let Some((job, program)) = self.waiting.pop_front()
        {
            match spawn::start(&program) {
                Ok(pid) => {
                    self.running.insert(job, pid);
                }
                Err(error) => self.tell(job, JobEnd::NotStarted(error.raw_os_error().unwrap_or(nix::libc::EIO))),
            }
        }
    }

    fn signal(&mut self, job: Job, number: i32) {
        if let Some(pid) = self.running.get(&job) {
            daemon::send_signal(Pid::from_raw(-pid.as_raw()), number);
        } else if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == job) {
            self.waiting.remove(at);
            self.tell(job, JobEnd::Signalled(number));
        }
    }

    fn signal_all(&self, number: i32) {
        for pid in self.running.values() {
            daemon::send_signal(Pid::from_raw(-pid.as_raw()), number);
        }
    }

    fn reap(&mut self) {
        for (pid, end) in daemon::ended() {
            let Some(job) = self.running.iter().find_map(|(job, running)| (*running == pid).then_some(*job)) else {
                continue;
            };
            self.running.remove(&job);
            self.tell(
                job,
                match end {
                    End::Exited(status) => JobEnd::Exited(status),
                    End::Signalled(number) => JobEnd::Signalled(number),
                },
            );
        }
    }

    fn tell(&mut self, job: Job, end: JobEnd) {
        // Where nobody hears us there is nobody to tell; `hear` finds out.
        let _ = self.channel.send(&FromSpawner::Ended(job, end));
    }
}
