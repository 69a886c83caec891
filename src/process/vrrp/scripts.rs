//! Scripts as the loop sees them: orders to the spawner, and ends that come back.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::unistd::Pid;
use tracing::{debug, error, warn};

use super::post::Post;
use super::{Process, token};
use crate::model::{Script, ScriptCommand};
use crate::notify::script::calls;
use crate::process::ipc::{FromSpawner, Job, JobEnd, ToSpawner};
use crate::process::spawner;
use crate::sys::spawn::Program;
use crate::sys::{clock, daemon};
use crate::time::Duration;
use crate::vrrp::io::{Input, Notification, RunId, ScriptEnd, ScriptSignal};

/// The spawner at the other end.
#[derive(Debug)]
pub(super) struct Scripts {
    arg0: OsString,
    pid: Pid,
    post: Post,
    /// The spawner has not ended.
    is_running: bool,
    tracking: BTreeSet<RunId>,
    notifies: u64,
    /// Notify scripts that have not ended.
    pub(super) notifying: BTreeSet<u64>,
}

impl Scripts {
    pub(super) fn start(argv: &[OsString]) -> io::Result<Self> {
        let arg0 = argv.first().cloned().unwrap_or_default();
        let (pid, channel) = spawner::start(&arg0)?;
        let (post, tracking, notifying) = (Post::new(channel), BTreeSet::new(), BTreeSet::new());
        Ok(Self { arg0, pid, post, is_running: true, tracking, notifies: 0, notifying })
    }

    pub(super) fn run(&mut self, run: RunId, script: &Script) {
        self.tracking.insert(run);
        let program = Program { opens_only: script.opens_only, ..Program::of(&script.command, []) };
        self.post.send(&ToSpawner::Start(Job::Track(run.0), program));
    }

    pub(super) fn signal(&mut self, run: RunId, signal: ScriptSignal) {
        let number = match signal {
            ScriptSignal::Term => nix::libc::SIGTERM,
            ScriptSignal::Kill => nix::libc::SIGKILL,
        };
        self.post.send(&ToSpawner::Signal(Job::Track(run.0), number));
    }

    pub(super) fn notify(&mut self, notification: &Notification) {
        for call in calls(notification) {
            self.start_notify(call.command, call.added);
        }
    }

    pub(super) fn start_notify(&mut self, command: &ScriptCommand, added: Vec<Vec<u8>>) -> u64 {
        self.notifies += 1;
        self.notifying.insert(self.notifies);
        self.post.send(&ToSpawner::Start(Job::Notify(self.notifies), Program::of(command, added)));
        self.notifies
    }

    pub(super) fn end_notify(&mut self, number: u64) {
        self.post.send(&ToSpawner::Signal(Job::Notify(number), nix::libc::SIGTERM));
    }

    /// What runs may go on for `limit`; then it is killed, and the spawner ends.
    pub(super) fn finish(&mut self, limit: Duration) {
        let limit_millis = limit.as_millis().try_into().unwrap_or(u64::MAX);
        self.post.send(&ToSpawner::Finish { limit_millis });
    }

    /// Whether the spawner runs, and so perhaps scripts.
    pub(super) const fn are_running(&self) -> bool {
        self.is_running
    }

    /// The next program that has ended.
    fn receive(&mut self) -> io::Result<Option<(Job, JobEnd)>> {
        let message = self.post.receive::<FromSpawner>()?;
        Ok(message.map(|FromSpawner::Ended(job, end)| (job, end)))
    }

    /// Another spawner after one that died; gives the tracking scripts that ended with it.
    fn restart(&mut self) -> io::Result<BTreeSet<RunId>> {
        let (pid, channel) = spawner::start(&self.arg0)?;
        (self.pid, self.post, self.is_running) = (pid, Post::new(channel), true);
        self.notifying.clear();
        Ok(std::mem::take(&mut self.tracking))
    }
}

impl AsFd for Scripts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.post.as_fd()
    }
}

impl Process {
    pub(super) fn hear_scripts(&mut self) {
        let result = self.scripts.post.turn();
        self.scripts.is_running &= result.is_ok();
        loop {
            match self.scripts.receive() {
                Ok(Some((Job::Track(run), end))) => self.track_ended(RunId(run), end),
                Ok(Some((Job::Notify(number), end))) => {
                    self.scripts.notifying.remove(&number);
                    if let JobEnd::NotStarted(errno) = end {
                        error!(
                            "Error exec-ing a notify script, error {errno}: {}",
                            io::Error::from_raw_os_error(errno)
                        );
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    warn!("the spawner speaks nonsense: {error}");
                    break;
                }
            }
        }
        if result.is_err() && self.ends.is_none() {
            self.restart_spawner();
        }
    }

    fn track_ended(&mut self, run: RunId, end: JobEnd) {
        self.scripts.tracking.remove(&run);
        let end = match end {
            JobEnd::Exited(status) => ScriptEnd::Exited(status),
            JobEnd::Signalled(number) => ScriptEnd::Signalled(number),
            JobEnd::NotStarted(errno) => ScriptEnd::NotStarted(errno),
        };
        self.node.handle(Input::ScriptEnded(run, end), clock::now(), &mut self.actions);
    }

    fn restart_spawner(&mut self) {
        warn!("the process that starts scripts has died; starting another");
        let restarted = self.scripts.restart().and_then(|lost| {
            self.poller.watch(&self.scripts, token::SCRIPTS)?;
            Ok(lost)
        });
        match restarted {
            Ok(lost) => {
                for run in lost {
                    self.track_ended(run, JobEnd::Signalled(nix::libc::SIGKILL));
                }
            }
            Err(error) => {
                error!("cannot start a process that starts scripts: {error}");
                // The parent starts all of us again, later and later.
                self.ends = Some(70);
            }
        }
    }

    /// The spawner is our only child; its death shows on its channel.
    pub(super) fn reap(&mut self) {
        for (pid, end) in daemon::ended() {
            debug!("process {pid} ended: {end:?}");
        }
    }
}
