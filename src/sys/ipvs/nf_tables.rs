//! The real nf_tables: transactions, and what is there.

use std::io;

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;

use super::exchange::{Exchange, Told, messages};
use crate::ipvs::marking::{CHAIN, Found, Marking, map_name};
use crate::sys::clock;
use crate::sys::netlink::socket::NetlinkSocket;
use crate::time::Duration;
use crate::wire::nft::{Question, Request, begin, elements, end};

/// Room for answers: only what fails has one, and the last.
const ANSWERS: usize = 1 << 20;
/// The answer is there when the send is over, or it never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// What the system lets a socket send at once anyway.
const SENT_ANYWAY: usize = 64 * 1024;

impl Exchange {
    /// To nf_tables of the network namespace that this thread is in. Its module is loaded with the first request.
    pub(super) fn to_nft() -> io::Result<Self> {
        NetlinkSocket::open(NETLINK_NETFILTER, ANSWERS, &[], ANSWER_LIMIT).map(Self::new).map_err(missing)
    }

    /// Makes changes, all of them or none.
    pub(super) fn transact(&mut self, requests: &[Request]) -> io::Result<()> {
        let Some((last, others)) = requests.split_last() else { return Ok(()) };
        self.bytes.clear();
        let first = self.socket.next_sequence();
        begin(&mut self.bytes, first);
        for request in others {
            let sequence = self.socket.next_sequence();
            request.append(&mut self.bytes, sequence, false);
        }
        let last_sequence = self.socket.next_sequence();
        last.append(&mut self.bytes, last_sequence, true);
        let sequence = self.socket.next_sequence();
        end(&mut self.bytes, sequence);
        if self.bytes.len() > SENT_ANYWAY {
            // A transaction is one message; whether there is room for it the send will say.
            let _ = setsockopt(&self.socket, sockopt::SndBufForce, &(2 * self.bytes.len()));
        }
        self.socket.send(&self.bytes)?;
        self.bytes = Vec::new();
        self.outcome(first, last_sequence)
    }

    /// Every request that fails is answered, and the last one whatever came of it. Where it is the whole that fails the
    /// beginning of the batch is answered, and nothing else need be.
    fn outcome(&mut self, first: u32, last: u32) -> io::Result<()> {
        let until = clock::now() + self.socket.answer_limit();
        let (mut failure, mut is_over) = (None, false);
        while !is_over {
            let received = self.socket.receive(|datagram| {
                messages(datagram, |number, told| {
                    // Numbers may begin anew in between.
                    if let Told::Answer(errno) = told
                        && number.wrapping_sub(first) <= last.wrapping_sub(first)
                    {
                        failure = failure.or((errno != 0).then_some(errno));
                        is_over |= number == first || number == last;
                    }
                });
            })?;
            if !received && !self.socket.wait(until)? {
                return Err(Errno::ETIMEDOUT.into());
            }
        }
        match failure {
            None => Ok(()),
            Some(errno) => Err(missing(io::Error::from_raw_os_error(errno))),
        }
    }

    /// What there is of tables and maps; what is not there is left out.
    pub(super) fn marking(&mut self, marking: &Marking) -> io::Result<Found> {
        let mut found = Found::default();
        for family in marking.families() {
            let table = marking.table_of(family);
            for question in [Question::Table(&table), Question::Chain(&table, CHAIN), Question::Rules(&table, CHAIN)] {
                self.ask(&question, |payload| found.states.extend(question.state(payload).ok()))?;
            }
        }
        for (family, protocol) in marking.maps.keys() {
            let table = marking.table_of(*family);
            let map = found.maps.entry((*family, *protocol)).or_default();
            let question = Question::Elements(&table, map_name(*protocol));
            self.ask(&question, |payload| map.extend(elements(payload).into_iter().flatten()))?;
        }
        Ok(found)
    }

    fn ask(&mut self, question: &Question<'_>, each: impl FnMut(&[u8])) -> io::Result<()> {
        match self.exchange(|bytes, sequence| question.append(bytes, sequence), each) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            asked => asked,
        }
    }
}

/// A kernel that knows nothing of nf_tables says so in several ways.
fn missing(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT) => {
            io::Error::new(io::ErrorKind::Unsupported, "this kernel has no nf_tables")
        }
        _ => error,
    }
}
