//! The life of one child process as the parent decides it (`operator-surface.md` §3.2): start, death, back-off.

use crate::time::{Duration, Instant};

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// VRRP
    Vrrp,
    /// Health checks and IPVS.
    Checker,
    /// BFD
    Bfd,
}

impl Kind {
    /// All, in the order they are started.
    pub const ALL: [Self; 3] = [Self::Checker, Self::Vrrp, Self::Bfd];

    /// The word after `--child`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vrrp => "vrrp",
            Self::Checker => "checker",
            Self::Bfd => "bfd",
        }
    }

    /// The name in log lines.
    pub const fn log_name(self) -> &'static str {
        match self {
            Self::Vrrp => "VRRP",
            Self::Checker => "Healthcheck",
            Self::Bfd => "BFD",
        }
    }

    /// The syslog ident.
    pub const fn ident(self) -> &'static str {
        match self {
            Self::Vrrp => "Keepalived_vrrp",
            Self::Checker => "Keepalived_healthcheckers",
            Self::Bfd => "Keepalived_bfd",
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Exit status.
    Exited(u8),
    /// Killed by this signal.
    Signalled(i32),
}

/// What happens to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The configuration has work for it, or not.
    Wanted(bool),
    /// [`Action::Spawn`] was carried out.
    Spawned,
    /// [`Action::Spawn`] did not work.
    NotSpawned,
    /// Its process is gone.
    Ended(End),
    /// [`Child::deadline`] may have passed.
    Tick,
}

/// What the parent is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the process.
    Spawn,
    /// Ask the process to end (SIGTERM).
    Terminate,
    /// Kill it: it was asked long enough ago.
    Kill,
    /// The process died and is not what we wanted: say how.
    ReportDeath(End),
    /// It will be started again after so long; the delay is announced even where it is none.
    ReportDelay(Duration),
    /// The daemon ends with this status, because the child said that nothing else helps.
    Fail(u8),
    /// The daemon ends, because children are not respawned (`-R`).
    GiveUp(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    Starting,
    Running { since: Instant },
    Waiting { until: Instant },
    Stopping { kill_at: Instant },
}

/// A child that lived so long starts again at once, and its delays begin anew.
const STABLE: Duration = Duration::from_secs(60);
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// One child.
#[derive(Clone, Debug)]
pub struct Child {
    state: State,
    wanted: bool,
    respawn: bool,
    /// How long it gets to end when it is no longer wanted.
    patience: Duration,
    delay: Duration,
}

impl Child {
    /// A child that is not wanted yet.
    pub const fn new(respawn: bool, patience: Duration) -> Self {
        Self { state: State::Absent, wanted: false, respawn, patience, delay: Duration::ZERO }
    }

    /// Whether a process exists or is about to.
    pub const fn is_running(&self) -> bool {
        matches!(self.state, State::Starting | State::Running { .. } | State::Stopping { .. })
    }

    /// Whether the configuration has work for it.
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// When to call with [`Input::Tick`].
    pub const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until } => Some(until),
            State::Stopping { kill_at } => Some(kill_at),
            _ => None,
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Action>) {
        match (self.state, input) {
            (_, Input::Wanted(wanted)) => self.want(wanted, now, out),
            (State::Starting, Input::Spawned) => self.state = State::Running { since: now },
            (State::Starting, Input::NotSpawned) => self.wait(now, out),
            (State::Running { since }, Input::Ended(end)) => self.died(end, now.since(since), now, out),
            (State::Stopping { .. }, Input::Ended(_)) => {
                self.state = State::Absent;
                self.want(self.wanted, now, out);
            }
            (State::Waiting { until }, Input::Tick) if now >= until => self.spawn(out),
            (State::Stopping { kill_at }, Input::Tick) if now >= kill_at => {
                self.state = State::Stopping { kill_at: now + self.patience };
                out.push(Action::Kill);
            }
            _ => {}
        }
    }

    fn want(&mut self, wanted: bool, now: Instant, out: &mut Vec<Action>) {
        self.wanted = wanted;
        match self.state {
            State::Absent if wanted => self.spawn(out),
            State::Waiting { .. } if !wanted => self.state = State::Absent,
            State::Starting | State::Running { .. } if !wanted => {
                self.state = State::Stopping { kill_at: now + self.patience };
                out.push(Action::Terminate);
            }
            _ => {}
        }
    }

    fn spawn(&mut self, out: &mut Vec<Action>) {
        self.state = State::Starting;
        out.push(Action::Spawn);
    }

    fn died(&mut self, end: End, lived: Duration, now: Instant, out: &mut Vec<Action>) {
        self.state = State::Absent;
        if let End::Exited(status @ (1 | 2 | 4)) = end {
            out.push(Action::Fail(status));
            return;
        }
        out.push(Action::ReportDeath(end));
        if !self.respawn {
            out.push(Action::GiveUp(end));
            return;
        }
        if lived >= STABLE {
            self.delay = Duration::ZERO;
            return self.spawn(out);
        }
        self.wait(now, out);
    }

    /// 0, 1, 2, 4, 8, 16, 32, 60, 60 ... seconds.
    fn wait(&mut self, now: Instant, out: &mut Vec<Action>) {
        let delay = self.delay;
        self.delay = (delay * 2).clamp(Duration::from_secs(1), LONGEST_DELAY);
        out.push(Action::ReportDelay(delay));
        if delay.is_zero() {
            return self.spawn(out);
        }
        self.state = State::Waiting { until: now + delay };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Run {
        child: Child,
        now: Instant,
    }

    impl Run {
        fn new(respawn: bool) -> Self {
            Self { child: Child::new(respawn, Duration::from_secs(5)), now: Instant::from_nanos(1) }
        }

        fn give(&mut self, input: Input) -> Vec<Action> {
            let mut out = Vec::new();
            self.child.handle(input, self.now, &mut out);
            if out.last() == Some(&Action::Spawn) {
                self.child.handle(Input::Spawned, self.now, &mut out);
            }
            out
        }
    }

    const KILLED: End = End::Signalled(9);

    #[test]
    fn the_delays_double_from_nothing_to_a_minute() {
        let mut run = Run::new(true);
        run.give(Input::Wanted(true));
        let mut delays = Vec::new();
        for _ in 0..9 {
            let out = run.give(Input::Ended(KILLED));
            let delay = out.iter().find_map(|a| if let Action::ReportDelay(d) = a { Some(*d) } else { None }).unwrap();
            delays.push(delay.as_secs());
            if let Some(at) = run.child.deadline() {
                run.now = at;
                assert_eq!(run.give(Input::Tick), [Action::Spawn]);
            }
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_child_that_lived_a_minute_starts_again_at_once_and_unannounced() {
        let mut run = Run::new(true);
        run.give(Input::Wanted(true));
        run.give(Input::Ended(KILLED));
        run.give(Input::Ended(KILLED));
        run.now = run.child.deadline().unwrap();
        run.give(Input::Tick);
        run.now += Duration::from_secs(60);
        assert_eq!(run.give(Input::Ended(KILLED)), [Action::ReportDeath(KILLED), Action::Spawn]);
        let after = run.give(Input::Ended(KILLED));
        assert_eq!(after[1], Action::ReportDelay(Duration::ZERO));
    }

    #[test]
    fn a_permanent_error_ends_the_daemon_with_its_status() {
        for status in [1, 2, 4] {
            let mut run = Run::new(true);
            run.give(Input::Wanted(true));
            assert_eq!(run.give(Input::Ended(End::Exited(status))), [Action::Fail(status)]);
        }
        let mut run = Run::new(true);
        run.give(Input::Wanted(true));
        assert_eq!(run.give(Input::Ended(End::Exited(0))).last(), Some(&Action::Spawn));
    }

    #[test]
    fn without_respawn_a_death_ends_the_daemon() {
        let mut run = Run::new(false);
        run.give(Input::Wanted(true));
        assert_eq!(run.give(Input::Ended(KILLED)), [Action::ReportDeath(KILLED), Action::GiveUp(KILLED)]);
    }

    #[test]
    fn a_child_no_longer_wanted_is_asked_and_then_killed() {
        let mut run = Run::new(true);
        run.give(Input::Wanted(true));
        assert_eq!(run.give(Input::Wanted(false)), [Action::Terminate]);
        assert_eq!(run.give(Input::Tick), []);
        run.now = run.child.deadline().unwrap();
        assert_eq!(run.give(Input::Tick), [Action::Kill]);
        assert_eq!(run.give(Input::Ended(KILLED)), []);
        assert!(!run.child.is_running());
    }

    #[test]
    fn a_child_wanted_again_while_it_ends_is_started_when_it_has_ended() {
        let mut run = Run::new(true);
        run.give(Input::Wanted(true));
        run.give(Input::Wanted(false));
        assert_eq!(run.give(Input::Wanted(true)), []);
        assert_eq!(run.give(Input::Ended(End::Exited(0))), [Action::Spawn]);
    }

    #[test]
    fn a_spawn_that_fails_is_tried_again_later() {
        let mut child = Child::new(true, Duration::from_secs(5));
        let mut out = Vec::new();
        child.handle(Input::Wanted(true), Instant::ZERO, &mut out);
        child.handle(Input::NotSpawned, Instant::ZERO, &mut out);
        child.handle(Input::NotSpawned, Instant::ZERO, &mut out);
        assert_eq!(child.deadline(), Some(Instant::ZERO + Duration::from_secs(1)));
    }
}
