//! Scripts as the loop sees them: orders to the spawner, and ends that come back.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;

use tracing::{debug, error, warn};

use super::post::Post;
use super::{Process, token};
use crate::model::{Script, ScriptCommand};
use crate::notify::script::calls;
use crate::process::ipc::{FromSpawner, Job, JobEnd, ToSpawner};
use crate::process::spawner::Spawners;
use crate::sys::poller::Poller;
use crate::sys::spawn::Program;
use crate::sys::timer::Deadline;
use crate::sys::{clock, daemon};
use crate::time::Duration;
use crate::vrrp::io::{Input, Notification, RunId, ScriptEnd, ScriptSignal};

/// The spawner at the other end.
#[derive(Debug)]
pub(super) struct Scripts {
    spawners: Spawners,
    /// None from the death of a spawner to the start of the next.
    post: Option<Post>,
    /// When that is.
    alarm: Deadline,
    tracking: BTreeSet<RunId>,
    notifies: u64,
}

impl Scripts {
    pub(super) fn start(argv: &[OsString]) -> io::Result<Self> {
        let (spawners, channel) = Spawners::first(argv)?;
        let (post, alarm) = (Some(Post::new(channel)), Deadline::new()?);
        Ok(Self { spawners, post, alarm, tracking: BTreeSet::new(), notifies: 0 })
    }

    pub(super) fn watch(&self, poller: &Poller) -> io::Result<()> {
        poller.watch_reading(&self.alarm, token::SCRIPTS)?;
        self.post.iter().try_for_each(|post| poller.watch(post, token::SCRIPTS))
    }

    /// Starts a tracking script; `false` where nobody is there to do it.
    pub(super) fn run(&mut self, run: RunId, script: &Script) -> bool {
        let Some(post) = &mut self.post else { return false };
        self.tracking.insert(run);
        let program = Program { opens_only: script.opens_only, ..Program::of(&script.command, []) };
        post.send(&ToSpawner::Start(Job::Track(run.0), program));
        true
    }

    pub(super) fn signal(&mut self, run: RunId, signal: ScriptSignal) {
        let number = match signal {
            ScriptSignal::Term => nix::libc::SIGTERM,
            ScriptSignal::Kill => nix::libc::SIGKILL,
        };
        self.order(ToSpawner::Signal(Job::Track(run.0), number));
    }

    pub(super) fn notify(&mut self, notification: &Notification) {
        for call in calls(notification) {
            self.start_notify(call.command, call.added);
        }
    }

    pub(super) fn start_notify(&mut self, command: &ScriptCommand, added: Vec<Vec<u8>>) -> u64 {
        self.notifies += 1;
        self.order(ToSpawner::Start(Job::Notify(self.notifies), Program::of(command, added)));
        self.notifies
    }

    pub(super) fn end_notify(&mut self, number: u64) {
        self.order(ToSpawner::Signal(Job::Notify(number), nix::libc::SIGTERM));
    }

    /// What runs may go on for `limit`; then it is killed, and the spawner ends.
    pub(super) fn finish(&mut self, limit: Duration) {
        let limit_millis = limit.as_millis().try_into().unwrap_or(u64::MAX);
        self.order(ToSpawner::Finish { limit_millis });
    }

    /// Whether a spawner runs, and so perhaps scripts, or is about to.
    pub(super) const fn are_running(&self) -> bool {
        self.post.is_some() || self.spawners.deadline().is_some()
    }

    fn order(&mut self, order: ToSpawner) {
        match &mut self.post {
            Some(post) => post.send(&order),
            None => self.spawners.hold(order),
        }
    }

    /// The next program that has ended.
    fn receive(&mut self) -> io::Result<Option<(Job, JobEnd)>> {
        let Some(post) = &mut self.post else { return Ok(None) };
        let message = post.receive::<FromSpawner>()?;
        Ok(message.map(|FromSpawner::Ended(job, end)| (job, end)))
    }
}

impl Process {
    pub(super) fn hear_scripts(&mut self) {
        let result = self.scripts.post.as_mut().map_or(Ok(()), Post::turn);
        loop {
            match self.scripts.receive() {
                Ok(Some((Job::Track(run), end))) => self.track_ended(RunId(run), end),
                Ok(Some((Job::Notify(_), JobEnd::NotStarted(errno)))) => {
                    error!("Error exec-ing a notify script, error {errno}: {}", io::Error::from_raw_os_error(errno));
                }
                Ok(Some((Job::Notify(_), _))) => {}
                Ok(None) => break,
                Err(error) => {
                    warn!("the spawner speaks nonsense: {error}");
                    break;
                }
            }
        }
        if result.is_err() {
            self.lose_spawner();
        }
        if let Err(error) = self.renew_spawner() {
            error!("cannot hear a process that starts scripts: {error}");
            // The parent starts all of us again, later and later.
            self.ends.get_or_insert(70);
        }
    }

    fn lose_spawner(&mut self) {
        self.scripts.post = None;
        if self.ends.is_some() {
            return;
        }
        self.scripts.spawners.lost(clock::now());
        for run in std::mem::take(&mut self.scripts.tracking) {
            self.track_ended(run, JobEnd::Signalled(nix::libc::SIGKILL));
        }
    }

    /// Starts another spawner when it is time, or wakes us when it will be.
    fn renew_spawner(&mut self) -> io::Result<()> {
        let scripts = &mut self.scripts;
        if let Some(channel) = scripts.spawners.next(clock::now()) {
            self.poller.watch(scripts.post.insert(Post::new(channel)), token::SCRIPTS)?;
        }
        scripts.alarm.set(scripts.spawners.deadline())
    }

    pub(super) fn track_ended(&mut self, run: RunId, end: JobEnd) {
        self.scripts.tracking.remove(&run);
        let end = match end {
            JobEnd::Exited(status) => ScriptEnd::Exited(status),
            JobEnd::Signalled(number) => ScriptEnd::Signalled(number),
            JobEnd::NotStarted(errno) => ScriptEnd::NotStarted(errno),
        };
        self.node.handle(Input::ScriptEnded(run, end), clock::now(), &mut self.actions);
    }

    /// The spawner is our only child; its death shows on its channel.
    pub(super) fn reap(&mut self) {
        for (pid, end) in daemon::ended() {
            debug!("process {pid} ended: {end:?}");
        }
    }
}
