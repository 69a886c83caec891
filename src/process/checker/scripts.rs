//! Scripts as the loop sees them: MISC_CHECKs with their time limits, notify scripts, readers of FIFOs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::task::{Context, Poll};

use tracing::{error, warn};

use crate::check::io::{ProbeId, Reason, ReasonKind, Verdict};
use crate::model::ScriptCommand;
use crate::model::checker::Misc;
use crate::probe::misc::{Order, Run};
use crate::process::ipc::{FromSpawner, Job, JobEnd, ToSpawner};
use crate::process::link::Link;
use crate::process::spawner;
use crate::supervise::child::End;
use crate::sys::spawn::Program;
use crate::time::{Duration, Instant};

/// The spawner at the other end, and what it runs for us.
pub(super) struct Scripts {
    arg0: OsString,
    link: Link,
    checks: BTreeMap<ProbeId, Check>,
    /// Number of the latest script that is no MISC_CHECK.
    latest: u64,
}

/// A MISC_CHECK that runs.
struct Check {
    run: Run,
    /// The verdict is still wanted.
    is_wanted: bool,
}

impl Scripts {
    pub(super) fn start(argv: &[OsString]) -> io::Result<Self> {
        let arg0 = argv.first().cloned().unwrap_or_default();
        let (_, channel) = spawner::start(&arg0)?;
        Ok(Self { arg0, link: Link::new(channel)?, checks: BTreeMap::new(), latest: 0 })
    }

    /// Starts a MISC_CHECK.
    pub(super) fn check(&mut self, id: ProbeId, misc: &Misc, now: Instant) {
        self.link.send(&ToSpawner::Start(Job::Track(id.0), Program::of(&misc.command, [])));
        self.checks.insert(id, Check { run: Run::started(now, misc.timeout), is_wanted: true });
    }

    /// Nobody wants to know any more: the script gets SIGTERM, and SIGKILL if that does not end it.
    pub(super) fn cancel(&mut self, id: ProbeId, now: Instant) {
        if let Some(check) = self.checks.get_mut(&id) {
            *check = Check { run: Run::started(now, Duration::ZERO), is_wanted: false };
        }
    }

    /// Starts a notify script, or a reader of a FIFO.
    pub(super) fn notify(&mut self, command: &ScriptCommand) -> Job {
        self.latest += 1;
        let job = Job::Notify(self.latest);
        self.link.send(&ToSpawner::Start(job, Program::of(command, [])));
        job
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&mut self, job: Job) {
        self.link.send(&ToSpawner::Signal(job, nix::libc::SIGTERM));
    }

    /// MISC_CHECKs end; what else runs may go on for `limit`, then it is killed, and the spawner ends.
    pub(super) fn finish(&mut self, limit: Duration) {
        for id in std::mem::take(&mut self.checks).into_keys() {
            self.terminate(Job::Track(id.0));
        }
        let limit_millis = limit.as_millis().try_into().unwrap_or(u64::MAX);
        self.link.send(&ToSpawner::Finish { limit_millis });
    }

    /// When a script has run too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.checks.values().map(|check| check.run.deadline()).min()
    }

    /// Ends what has run too long.
    pub(super) fn tick(&mut self, now: Instant) {
        for (id, check) in &mut self.checks {
            let Some(order) = check.run.overdue(now) else { continue };
            let number = match order {
                Order::Terminate => nix::libc::SIGTERM,
                Order::Kill => nix::libc::SIGKILL,
                Order::KillAgain => {
                    warn!("a MISC_CHECK script failed to terminate after kill");
                    nix::libc::SIGKILL
                }
            };
            self.link.send(&ToSpawner::Signal(Job::Track(id.0), number));
        }
    }

    /// Waits for the spawner. Then take what has ended with [`Self::next`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll(cx)
    }

    /// The next verdict of a MISC_CHECK that has ended.
    pub(super) fn next(&mut self) -> Option<(ProbeId, Verdict)> {
        loop {
            match self.link.receive::<FromSpawner>() {
                Ok(Some(FromSpawner::Ended(Job::Track(id), end))) => {
                    if let Some(ended) = self.ended(ProbeId(id), end) {
                        return Some(ended);
                    }
                }
                Ok(Some(FromSpawner::Ended(_, JobEnd::NotStarted(errno)))) => {
                    error!("Error exec-ing a script, error {errno}: {}", io::Error::from_raw_os_error(errno));
                }
                Ok(Some(FromSpawner::Ended(..))) => {}
                Ok(None) => return None,
                Err(error) => {
                    warn!("the spawner speaks nonsense: {error}");
                    return None;
                }
            }
        }
    }

    fn ended(&mut self, id: ProbeId, end: JobEnd) -> Option<(ProbeId, Verdict)> {
        let check = self.checks.remove(&id)?;
        if check.run.leaves_others() {
            self.link.send(&ToSpawner::Signal(Job::Track(id.0), nix::libc::SIGKILL));
        }
        let verdict = match end {
            JobEnd::Exited(status) => check.run.ended(End::Exited(status)),
            JobEnd::Signalled(number) => check.run.ended(End::Signalled(number)),
            JobEnd::NotStarted(errno) => Verdict::Local(Reason {
                kind: ReasonKind::Local,
                detail: format!("cannot start the script: {}", io::Error::from_raw_os_error(errno)).into(),
            }),
        };
        check.is_wanted.then_some((id, verdict))
    }

    /// Another spawner after one that died. What it ran has died with it and says nothing about its servers.
    pub(super) fn restart(&mut self) -> io::Result<Vec<(ProbeId, Verdict)>> {
        warn!("the process that starts scripts has died; starting another");
        let (_, channel) = spawner::start(&self.arg0)?;
        self.link = Link::new(channel)?;
        let reason = Reason { kind: ReasonKind::Local, detail: "the process that starts scripts has died".into() };
        let lost = std::mem::take(&mut self.checks).into_iter().filter(|(_, check)| check.is_wanted);
        Ok(lost.map(|(id, _)| (id, Verdict::Local(reason.clone()))).collect())
    }
}
