//! Scripts as the loop sees them: MISC_CHECKs with their time limits, notify scripts, readers of FIFOs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::task::{Context, Poll};

use tokio::time::sleep;
use tracing::{error, warn};

use crate::check::io::{ProbeId, Reason, ReasonKind, Verdict};
use crate::model::ScriptCommand;
use crate::model::checker::Misc;
use crate::probe::misc::{Order, Run};
use crate::process::ipc::{FromSpawner, Job, JobEnd, ToSpawner};
use crate::process::link::Link;
use crate::process::spawner::Spawners;
use crate::supervise::child::End;
use crate::sys::clock;
use crate::sys::spawn::Program;
use crate::time::{Duration, Instant};

/// The spawner at the other end, and what it runs for us.
pub(super) struct Scripts {
    spawners: Spawners,
    /// None from the death of a spawner to the start of the next.
    link: Option<Link>,
    checks: BTreeMap<ProbeId, Check>,
    /// MISC_CHECKs that a spawner took with it, or that there was none to start; yet to be told.
    lost: BTreeSet<ProbeId>,
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
        let (spawners, channel) = Spawners::first(argv)?;
        let link = Some(Link::new(channel)?);
        Ok(Self { spawners, link, checks: BTreeMap::new(), lost: BTreeSet::new(), latest: 0 })
    }

    /// Starts a MISC_CHECK.
    pub(super) fn check(&mut self, id: ProbeId, misc: &Misc, now: Instant) {
        let Some(link) = &mut self.link else {
            self.lost.insert(id);
            return;
        };
        link.send(&ToSpawner::Start(Job::Track(id.0), Program::of(&misc.command, [])));
        self.checks.insert(id, Check { run: Run::started(now, misc.timeout), is_wanted: true });
    }

    /// Nobody wants to know any more: the script gets SIGTERM, and SIGKILL if that does not end it.
    pub(super) fn cancel(&mut self, id: ProbeId, now: Instant) {
        if let Some(check) = self.checks.get_mut(&id) {
            *check = Check { run: Run::started(now, Duration::ZERO), is_wanted: false };
        }
        self.lost.remove(&id);
    }

    /// Starts a notify script, or a reader of a FIFO.
    pub(super) fn notify(&mut self, command: &ScriptCommand) -> Job {
        self.latest += 1;
        let job = Job::Notify(self.latest);
        self.order(ToSpawner::Start(job, Program::of(command, [])));
        job
    }

    /// Sends SIGTERM.
    pub(super) fn terminate(&mut self, job: Job) {
        self.order(ToSpawner::Signal(job, nix::libc::SIGTERM));
    }

    fn order(&mut self, order: ToSpawner) {
        match &mut self.link {
            Some(link) => link.send(&order),
            None => self.spawners.hold(order),
        }
    }

    /// MISC_CHECKs end; what else runs may go on for `limit`, then it is killed, and the spawner ends.
    pub(super) fn finish(&mut self, limit: Duration) {
        for id in std::mem::take(&mut self.checks).into_keys() {
            self.terminate(Job::Track(id.0));
        }
        let limit_millis = limit.as_millis().try_into().unwrap_or(u64::MAX);
        self.order(ToSpawner::Finish { limit_millis });
        self.lost.clear();
    }

    /// Waits until the spawner has ended; one that is yet to come starts what was kept for it before.
    pub(super) async fn spawner_ended(&mut self) {
        if let Some(at) = self.spawners.deadline() {
            sleep(at.since(clock::now())).await;
            if self.renew(clock::now()).is_err() {
                return;
            }
        }
        while std::future::poll_fn(|cx| self.poll(cx)).await.is_ok() {}
    }

    /// When a script has run too long, or another spawner is to be started.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.checks.values().map(|check| check.run.deadline()).chain(self.spawners.deadline()).min()
    }

    /// Starts another spawner when it is time.
    pub(super) fn renew(&mut self, now: Instant) -> io::Result<()> {
        if let Some(channel) = self.spawners.next(now) {
            self.link = Some(Link::new(channel)?);
        }
        Ok(())
    }

    /// Ends what has run too long.
    pub(super) fn tick(&mut self, now: Instant) {
        let Some(link) = &mut self.link else { return };
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
            link.send(&ToSpawner::Signal(Job::Track(id.0), number));
        }
    }

    /// Waits for the spawner; fails when it has died, which [`Self::lose_spawner`] is to be told. Then take what has
    /// ended with [`Self::next`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.link {
            _ if !self.lost.is_empty() => Poll::Ready(Ok(())),
            Some(link) => link.poll(cx),
            None => Poll::Pending,
        }
    }

    /// The next verdict of a MISC_CHECK that has ended.
    pub(super) fn next(&mut self) -> Option<(ProbeId, Verdict)> {
        if let Some(id) = self.lost.pop_first() {
            let detail = "there is no process that starts scripts".into();
            return Some((id, Verdict::Local(Reason { kind: ReasonKind::Local, detail })));
        }
        loop {
            match self.link.as_mut()?.receive::<FromSpawner>() {
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
            self.order(ToSpawner::Signal(Job::Track(id.0), nix::libc::SIGKILL));
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

    /// What it ran has died with it and says nothing about its servers; another will be started.
    pub(super) fn lose_spawner(&mut self, now: Instant) {
        self.link = None;
        self.spawners.lost(now);
        let lost = std::mem::take(&mut self.checks).into_iter().filter(|(_, check)| check.is_wanted);
        self.lost.extend(lost.map(|(id, _)| id));
    }
}
