//! What belongs to all of IPVS: timeouts of connections, and the two sync daemons.

use super::keeper::{Answer, pause};
use super::report::{Event, Request};
use crate::model;
use crate::time::Instant;
use crate::wire::ipvs::{Daemon, DaemonState, Timeouts};

/// What is wanted of the settings, and how far it is.
#[derive(Debug, Default)]
pub struct Settings {
    timeouts: model::lvs::Timeouts,
    /// What the kernel had before we changed anything; it gets them back.
    original: Option<Timeouts>,
    /// What we have set.
    set: Option<Timeouts>,
    master: Slot,
    backup: Slot,
    /// After a failure: when to go on.
    later: Option<Instant>,
    failures: u32,
    said: Option<(Request, i32)>,
}

/// One of the two daemons.
#[derive(Debug, Default)]
struct Slot {
    wanted: Option<Daemon>,
    running: Running,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Running {
    /// Nobody has looked.
    #[default]
    Unknown,
    No,
    /// One that we have started.
    Ours(Daemon),
    /// One that was there before us, with its id.
    Theirs(u8),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Say what the timeouts are to [`Settings::timeouts_are`].
    ReadTimeouts,
    /// Say which daemons run to [`Settings::daemons_are`].
    ReadDaemons,
    /// Say the answer to [`Settings::answered`].
    Ask(Request),
}

impl Settings {
    /// `lvs_timeouts`; what is none is as it was before us.
    pub fn want_timeouts(&mut self, timeouts: model::lvs::Timeouts) {
        self.timeouts = timeouts;
        self.later = None;
    }

    /// Which sync daemons are to run. As long as none was ever wanted, those of others are left alone.
    pub fn want_daemons(&mut self, master: Option<Daemon>, backup: Option<Daemon>) {
        self.master.wanted = master;
        self.backup.wanted = backup;
        self.later = None;
    }

    /// Everything becomes as it was before us.
    pub fn want_nothing(&mut self) {
        self.want_timeouts(model::lvs::Timeouts::default());
        self.want_daemons(None, None);
    }

    /// The kernel's timeouts may be others than we have set. Daemons are looked at now and then anyway.
    pub fn doubt(&mut self) {
        self.set = None;
        self.later = None;
    }

    /// Whether there are daemons of ours to be looked after.
    pub fn has_daemons(&self) -> bool {
        self.master.wanted.is_some() || self.backup.wanted.is_some()
    }

    /// When something that failed is to be tried again.
    pub fn deadline(&self) -> Option<Instant> {
        self.later.filter(|_| self.step().is_some())
    }

    /// What failed is tried again now.
    pub fn hurry(&mut self) {
        self.later = None;
    }

    /// What comes next, if it is time for it.
    pub fn next(&self, now: Instant) -> Option<Step> {
        if self.later.is_some_and(|later| now < later) { None } else { self.step() }
    }

    fn step(&self) -> Option<Step> {
        self.timeouts_step().or_else(|| self.daemons_step())
    }

    fn timeouts_step(&self) -> Option<Step> {
        let Some(original) = self.original else {
            return self.timeouts.is_set().then_some(Step::ReadTimeouts);
        };
        let target = Timeouts {
            tcp_secs: self.timeouts.tcp_secs.unwrap_or(original.tcp_secs),
            tcp_fin_secs: self.timeouts.tcp_fin_secs.unwrap_or(original.tcp_fin_secs),
            udp_secs: self.timeouts.udp_secs.unwrap_or(original.udp_secs),
        };
        (self.set.unwrap_or(original) != target).then_some(Step::Ask(Request::SetTimeouts(target)))
    }

    /// What stops goes first: a daemon of one state may have to make room for itself.
    fn daemons_step(&self) -> Option<Step> {
        let both = [(DaemonState::Master, &self.master), (DaemonState::Backup, &self.backup)];
        if both.iter().any(|(_, slot)| slot.wanted.is_some() && slot.running == Running::Unknown) {
            return Some(Step::ReadDaemons);
        }
        for (state, slot) in both {
            let stop = match &slot.running {
                Running::Ours(daemon) if slot.wanted.as_ref() != Some(daemon) => Some(daemon.id),
                // Made room for; where none is wanted it is somebody else's business.
                Running::Theirs(id) if slot.wanted.is_some() => Some(*id),
                _ => None,
            };
            if let Some(id) = stop {
                return Some(Step::Ask(Request::StopDaemon(state, id)));
            }
        }
        for (state, slot) in both {
            if let (Some(wanted), Running::No) = (&slot.wanted, &slot.running) {
                return Some(Step::Ask(Request::StartDaemon(state, wanted.clone())));
            }
        }
        None
    }

    /// After [`Step::ReadTimeouts`].
    pub fn timeouts_are(&mut self, timeouts: Timeouts) {
        self.original.get_or_insert(timeouts);
    }

    /// After [`Step::ReadDaemons`], and now and then: one of ours that somebody has stopped is started again.
    pub fn daemons_are(&mut self, daemons: &[(DaemonState, Daemon)], events: &mut Vec<Event>) {
        for (state, slot) in [(DaemonState::Master, &mut self.master), (DaemonState::Backup, &mut self.backup)] {
            let found = daemons.iter().find(|(running, _)| *running == state).map(|(_, daemon)| daemon);
            match (found, &slot.running) {
                (Some(found), Running::Ours(ours)) if is_same(found, ours) => {}
                (Some(found), _) => slot.running = Running::Theirs(found.id),
                (None, Running::Ours(_)) => {
                    events.push(Event::DaemonStopped(state));
                    slot.running = Running::No;
                }
                (None, _) => slot.running = Running::No,
            }
        }
    }

    /// The answer to [`Step::Ask`].
    pub fn answered(&mut self, request: &Request, answer: Answer, now: Instant, events: &mut Vec<Event>) {
        match (request, answer) {
            (_, None) => {
                events.push(Event::Unanswered(request.clone()));
                self.forget(request);
                self.postpone(now);
            }
            (Request::SetTimeouts(timeouts), Some(0)) => self.set = Some(*timeouts),
            (Request::StartDaemon(state, daemon), Some(0)) => {
                self.slot(*state).running = Running::Ours(daemon.clone());
            }
            (Request::StartDaemon(state, _), Some(libc::EEXIST)) => self.slot(*state).running = Running::Unknown,
            (Request::StopDaemon(state, _), Some(0 | libc::ESRCH)) => self.slot(*state).running = Running::No,
            (_, Some(0)) => {}
            (_, Some(errno)) => {
                let failure = (request.clone(), errno);
                if self.said.as_ref() != Some(&failure) {
                    events.push(Event::Failed { request: request.clone(), errno, more: 0 });
                    self.said = Some(failure);
                }
                self.postpone(now);
                return;
            }
        }
        if answer.is_some() {
            self.failures = 0;
            self.said = self.said.take().filter(|(said, _)| said != request);
        }
    }

    /// What was to be read could not be.
    pub fn unread(&mut self, now: Instant) {
        self.postpone(now);
    }

    fn postpone(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.later = Some(now + pause(self.failures));
    }

    /// What a request without an answer has done has to be looked up.
    fn forget(&mut self, request: &Request) {
        match request {
            Request::StartDaemon(state, _) | Request::StopDaemon(state, _) => {
                let slot = self.slot(*state);
                // It is started again if it is wanted, and stopped if it runs.
                slot.running = if slot.wanted.is_some() { Running::Unknown } else { Running::No };
            }
            Request::SetTimeouts(_) => self.set = None,
            Request::Table(_) | Request::Flush => {}
        }
    }

    const fn slot(&mut self, state: DaemonState) -> &mut Slot {
        match state {
            DaemonState::Master => &mut self.master,
            DaemonState::Backup => &mut self.backup,
        }
    }
}

/// Whether a daemon that runs is the one that we have started: the kernel fills in what we left to it.
fn is_same(running: &Daemon, ours: &Daemon) -> bool {
    let agrees = |running: Option<u16>, ours: Option<u16>| ours.is_none() || running == ours;
    (running.interface, running.id) == (ours.interface, ours.id)
        && agrees(running.max_len, ours.max_len)
        && agrees(running.port, ours.port)
        && agrees(running.ttl.map(u16::from), ours.ttl.map(u16::from))
        && (ours.group.is_none() || running.group == ours.group)
}

impl From<&model::lvs::SyncDaemon> for Daemon {
    fn from(wanted: &model::lvs::SyncDaemon) -> Self {
        let model::lvs::SyncDaemon { interface, instance: _, id, max_len, port, ttl, group } = *wanted;
        Self { interface, id, max_len, port, ttl, group }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::stand_in::StandIn;
    use crate::model::lvs;
    use crate::time::Duration;

    const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

    fn daemon(id: u8) -> Daemon {
        let interface = "eth0".parse().unwrap();
        Daemon { interface, id, max_len: None, port: None, ttl: None, group: None }
    }

    /// Does everything that is to be done; gives the requests.
    fn run(settings: &mut Settings, kernel: &mut StandIn) -> Vec<Request> {
        let (mut requests, mut events) = (Vec::new(), Vec::new());
        while let Some(step) = settings.next(NOW) {
            match step {
                Step::ReadTimeouts => settings.timeouts_are(kernel.timeouts),
                Step::ReadDaemons => settings.daemons_are(&kernel.daemons, &mut events),
                Step::Ask(request) => {
                    let errno = kernel.carry_out(&request);
                    settings.answered(&request, Some(errno), NOW, &mut events);
                    requests.push(request);
                }
            }
        }
        requests
    }

    fn timeouts(tcp_secs: Option<u32>) -> lvs::Timeouts {
        lvs::Timeouts { tcp_secs, ..lvs::Timeouts::default() }
    }

    #[test]
    fn timeouts_are_set_once_with_what_the_kernel_had_for_the_others_and_put_back() {
        let (mut settings, mut kernel) = (Settings::default(), StandIn::default());
        let before = kernel.timeouts;
        assert_eq!(run(&mut settings, &mut kernel), []);
        settings.want_timeouts(timeouts(Some(7)));
        let set = Request::SetTimeouts(Timeouts { tcp_secs: 7, ..before });
        assert_eq!(run(&mut settings, &mut kernel), [set]);
        settings.want_timeouts(timeouts(Some(7)));
        assert_eq!(run(&mut settings, &mut kernel), []);
        settings.want_nothing();
        assert_eq!(run(&mut settings, &mut kernel), [Request::SetTimeouts(before)]);
        assert_eq!(kernel.timeouts, before);
    }

    #[test]
    fn daemons_follow_the_state_and_what_stops_goes_first() {
        let (mut settings, mut kernel) = (Settings::default(), StandIn::default());
        settings.want_daemons(None, Some(daemon(5)));
        assert_eq!(run(&mut settings, &mut kernel), [Request::StartDaemon(DaemonState::Backup, daemon(5))]);
        settings.want_daemons(Some(daemon(5)), None);
        let change =
            [Request::StopDaemon(DaemonState::Backup, 5), Request::StartDaemon(DaemonState::Master, daemon(5))];
        assert_eq!(run(&mut settings, &mut kernel), change);
        settings.want_daemons(Some(daemon(5)), None);
        assert_eq!(run(&mut settings, &mut kernel), []);
        settings.want_nothing();
        assert_eq!(run(&mut settings, &mut kernel), [Request::StopDaemon(DaemonState::Master, 5)]);
        assert!(kernel.daemons.is_empty());
    }

    #[test]
    fn a_daemon_of_somebody_else_makes_room_only_where_ours_is_wanted() {
        let (mut settings, mut kernel) = (Settings::default(), StandIn::default());
        kernel.daemons = vec![(DaemonState::Master, daemon(1)), (DaemonState::Backup, daemon(2))];
        settings.want_daemons(Some(daemon(5)), None);
        run(&mut settings, &mut kernel);
        assert_eq!(kernel.daemons, [(DaemonState::Backup, daemon(2)), (DaemonState::Master, daemon(5))]);
    }

    #[test]
    fn one_that_somebody_has_stopped_is_started_again() {
        let (mut settings, mut kernel) = (Settings::default(), StandIn::default());
        settings.want_daemons(Some(daemon(5)), Some(daemon(5)));
        run(&mut settings, &mut kernel);
        kernel.daemons.remove(0);
        // The kernel tells what it has filled in.
        kernel.daemons[0].1.max_len = Some(1472);
        let mut events = Vec::new();
        settings.daemons_are(&kernel.daemons, &mut events);
        assert_eq!(events, [Event::DaemonStopped(DaemonState::Master)]);
        assert_eq!(run(&mut settings, &mut kernel), [Request::StartDaemon(DaemonState::Master, daemon(5))]);
    }

    #[test]
    fn without_an_answer_it_is_looked_up_after_a_pause() {
        let (mut settings, mut kernel) = (Settings::default(), StandIn::default());
        settings.want_daemons(Some(daemon(5)), None);
        run(&mut settings, &mut kernel);
        settings.want_daemons(Some(daemon(6)), None);
        let Some(Step::Ask(stop)) = settings.next(NOW) else { panic!() };
        kernel.carry_out(&stop);
        let mut events = Vec::new();
        settings.answered(&stop, None, NOW, &mut events);
        assert_eq!(events, [Event::Unanswered(stop)]);
        assert_eq!(settings.next(NOW), None);
        assert_eq!(settings.next(NOW + Duration::from_secs(1)), Some(Step::ReadDaemons));
        settings.hurry();
        assert_eq!(run(&mut settings, &mut kernel), [Request::StartDaemon(DaemonState::Master, daemon(6))]);
    }

    #[test]
    fn a_failure_is_said_once() {
        let mut settings = Settings::default();
        settings.want_daemons(Some(daemon(5)), None);
        let mut events = Vec::new();
        settings.daemons_are(&[], &mut events);
        for try_ in 0..3 {
            let now = NOW + Duration::from_secs(100 * try_);
            let Some(Step::Ask(request)) = settings.next(now) else { panic!() };
            settings.answered(&request, Some(libc::ENODEV), now, &mut events);
            assert_eq!(settings.next(now), None);
        }
        assert!(matches!(&events[..], [Event::Failed { errno: libc::ENODEV, .. }]), "{events:?}");
    }
}
