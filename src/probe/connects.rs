//! TCP_CHECKs of many servers at once. A connection mostly comes about, or is refused, within a millisecond: those that
//! were begun together are looked at together shortly after, with one system call. Only the others are watched, each for
//! itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use socket2::Socket;

use crate::check::io::{ProbeId, Verdict};
use crate::probe::connect::{self, Contact};
use crate::sys::connecting::{Connecting, State, look};
use crate::time::{Duration, Instant};

/// From the first of those that are begun together until all of them are looked at.
const LOOK: Duration = Duration::from_millis(2);
/// So many places for those that are begun together are kept.
const FEW: usize = 256;

/// Connections that are being made.
#[derive(Debug)]
pub struct Connects {
    attempts: BTreeMap<ProbeId, Attempt>,
    /// Those that have not been looked at, and when they will be.
    fresh: Vec<ProbeId>,
    look_at: Option<Instant>,
    /// The others, whose time ends.
    ends: BTreeSet<(Instant, ProbeId)>,
    watch: Connecting,
    verdicts: VecDeque<(ProbeId, Verdict)>,
}

#[derive(Debug)]
struct Attempt {
    socket: Socket,
    target: SocketAddr,
    timeout: Duration,
    until: Instant,
}

impl Connects {
    /// Within a runtime: none yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            attempts: BTreeMap::new(),
            fresh: Vec::new(),
            look_at: None,
            ends: BTreeSet::new(),
            watch: Connecting::new()?,
            verdicts: VecDeque::new(),
        })
    }

    /// Begins to connect.
    pub fn start(&mut self, id: ProbeId, to: Contact<'_>, now: Instant) {
        let timeout = to.connection.timeout;
        match connect::begin(to) {
            Err(verdict) => self.verdicts.push_back((id, verdict)),
            Ok(socket) => {
                self.attempts.insert(id, Attempt { socket, target: to.target, timeout, until: now + timeout });
                self.fresh.push(id);
                self.look_at.get_or_insert(now + LOOK);
            }
        }
    }

    /// Breaks one off, if there is such a one. A verdict that was already found may still come.
    pub fn cancel(&mut self, id: ProbeId) {
        self.take(id);
    }

    /// When to come back with `tick`.
    pub fn deadline(&self) -> Option<Instant> {
        let ends = self.ends.first().map(|(at, _)| *at);
        [self.look_at, ends].into_iter().flatten().min()
    }

    /// Looks at those whose time has come.
    pub fn tick(&mut self, now: Instant) {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            self.look();
        }
        while let Some(&(at, id)) = self.ends.first()
            && at <= now
        {
            if let Some(attempt) = self.take(id) {
                self.verdicts.push_back((id, Verdict::Fail(connect::not_connected(attempt.target, attempt.timeout))));
            }
        }
    }

    /// Waits until `next_verdict` may have something that comes without a deadline.
    pub async fn ready(&mut self) {
        if !self.verdicts.is_empty() {
            return;
        }
        self.watch.ready().await;
        for (token, state) in self.watch.states() {
            self.judge(ProbeId(token), state);
        }
    }

    /// The next verdict.
    pub fn next_verdict(&mut self) -> Option<(ProbeId, Verdict)> {
        self.verdicts.pop_front()
    }

    /// The first look at what was begun together.
    fn look(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        fresh.retain(|id| self.attempts.contains_key(id));
        let states = look(fresh.iter().filter_map(|id| self.attempts.get(id)).map(|attempt| &attempt.socket));
        for (id, state) in fresh.drain(..).zip(states) {
            match state {
                State::Waits => self.watch(id),
                State::Connected | State::Ended => self.judge(id, state),
            }
        }
        fresh.shrink_to(FEW);
        self.fresh = fresh;
    }

    fn watch(&mut self, id: ProbeId) {
        let Some(attempt) = self.attempts.get(&id) else { return };
        match self.watch.watch(&attempt.socket, id.0) {
            Ok(()) => _ = self.ends.insert((attempt.until, id)),
            Err(error) => {
                let verdict = connect::local("cannot watch the socket for", attempt.target, &error);
                self.attempts.remove(&id);
                self.verdicts.push_back((id, verdict));
            }
        }
    }

    /// The end of one; closing its socket ends the watch. Only a socket that has an error need be asked for it.
    fn judge(&mut self, id: ProbeId, state: State) {
        let Some(attempt) = self.take(id) else { return };
        let error = if state == State::Ended { attempt.socket.take_error() } else { Ok(None) };
        let verdict = match error {
            Ok(None) => Verdict::Pass,
            // The kernel says refused as long as there is no connection: this one came about, before we looked.
            Ok(Some(error)) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Verdict::Pass
            }
            Ok(Some(error)) | Err(error) => Verdict::Fail(connect::late(attempt.target, &error)),
        };
        self.verdicts.push_back((id, verdict));
    }

    fn take(&mut self, id: ProbeId) -> Option<Attempt> {
        let attempt = self.attempts.remove(&id)?;
        self.ends.remove(&(attempt.until, id));
        Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;
    use crate::check::io::ReasonKind;
    use crate::model::checker::Connection;

    const NOW: Instant = Instant::from_nanos(1_000_000_000);

    const CONNECTION: Connection = Connection::within(Duration::from_secs(3));

    fn to(target: SocketAddr) -> Contact<'static> {
        Contact { target, connection: &CONNECTION }
    }

    fn listener() -> TcpListener {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
    }

    /// A port where nobody listens.
    fn closed() -> SocketAddr {
        listener().local_addr().unwrap()
    }

    /// A server whose queue is full: it says nothing to those who come now.
    fn full() -> (Socket, Vec<std::net::TcpStream>, SocketAddr) {
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let first = std::net::TcpStream::connect(address).unwrap();
        (socket, vec![first], address)
    }

    fn all(connects: &mut Connects) -> Vec<(u64, Result<(), ReasonKind>)> {
        let next = || {
            let (id, verdict) = connects.next_verdict()?;
            Some((
                id.0,
                match verdict {
                    Verdict::Pass => Ok(()),
                    Verdict::Fail(reason) => Err(reason.kind),
                    other => panic!("{other:?}"),
                },
            ))
        };
        let mut found: Vec<_> = std::iter::from_fn(next).collect();
        found.sort_by_key(|(id, _)| *id);
        found
    }

    #[tokio::test]
    async fn what_was_begun_together_is_judged_together() {
        let server = listener();
        let mut connects = Connects::new().unwrap();
        let target = to(server.local_addr().unwrap());
        connects.start(ProbeId(1), target, NOW);
        connects.start(ProbeId(2), to(closed()), NOW);
        connects.start(ProbeId(3), target, NOW);
        connects.cancel(ProbeId(3));
        connects.tick(connects.deadline().unwrap());
        let mut found = all(&mut connects);
        while found.len() < 2 {
            connects.ready().await;
            found.extend(all(&mut connects));
        }
        found.sort_by_key(|(id, _)| *id);
        assert_eq!(found, [(1, Ok(())), (2, Err(ReasonKind::Refused))]);
        assert!(connects.attempts.is_empty() && connects.ends.is_empty());
    }

    #[tokio::test]
    async fn a_server_that_resets_what_it_has_accepted_is_there() {
        let server = listener();
        let mut connects = Connects::new().unwrap();
        connects.start(ProbeId(1), to(server.local_addr().unwrap()), NOW);
        let accepted = Socket::from(server.accept().unwrap().0);
        accepted.set_linger(Some(Duration::ZERO)).unwrap();
        drop(accepted);
        connects.tick(NOW + LOOK);
        assert_eq!(all(&mut connects), [(1, Ok(()))]);
    }

    #[tokio::test]
    async fn who_says_nothing_has_failed_when_the_time_is_over() {
        let (server, _queued, address) = full();
        let mut connects = Connects::new().unwrap();
        for id in 1..=3 {
            connects.start(ProbeId(id), to(address), NOW);
        }
        connects.tick(NOW + LOOK);
        connects.cancel(ProbeId(2));
        connects.cancel(ProbeId(2));
        assert_eq!((all(&mut connects), connects.deadline()), (vec![], Some(NOW + Duration::from_secs(3))));
        connects.tick(NOW + Duration::from_secs(3));
        let late = Err(ReasonKind::ConnectTimeout);
        assert_eq!(all(&mut connects), [(1, late), (3, late)]);
        assert_eq!(connects.deadline(), None);
        drop(server);
    }

    #[tokio::test]
    async fn one_that_takes_its_time_is_heard_of_when_it_comes() {
        let (server, mut queued, address) = full();
        let mut connects = Connects::new().unwrap();
        connects.start(ProbeId(1), to(address), NOW);
        connects.tick(NOW + LOOK);
        assert_eq!(all(&mut connects), []);
        // There is room now: the kernel asks again after a second.
        queued.clear();
        drop(server.accept().unwrap());
        connects.ready().await;
        assert_eq!(all(&mut connects), [(1, Ok(()))]);
        assert!(connects.ends.is_empty());
    }
}
