//! What goes into the checking engine and what comes out of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::check::report::Quorum;
use crate::ipvs::marking::Marking;
use crate::ipvs::table::{Entry, Table};
use crate::model::lvs::{CheckerId, Lvs, RealServerId, VirtualServerId};
use crate::model::{Checker, RealServer, ScriptCommand, VirtualServer};
use crate::wire::ipvs::ServiceKey;

/// Everything the outside world can say to the engine.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The addresses of this machine, for `ha_suspend`: once before [`Input::Startup`], and again whenever the kernel
    /// has lost events.
    Addresses(&'a [IpAddr]),
    /// The numbers in all track files of the configuration that comes with the next [`Input::Startup`] or
    /// [`Input::Reload`], in its order. Files it does not reach, and all of them without it, count as they did before
    /// (by their path), or as 0.
    TrackFiles(&'a [i32]),
    /// Begin: services and servers are put into the table. Checkers wait for [`Input::Programmed`].
    Startup {
        /// The kernel's table where a checker process before this one died or froze; none at a cold start. Its servers
        /// keep their place: one that is missing there is down until it succeeds, one that is there is up, even with
        /// `alpha`, and nobody is told of what has not changed.
        left: Option<&'a Table>,
    },
    /// The kernel has what [`Input::Startup`] put into the table, or has refused it: checkers are armed. Servers that
    /// nobody can reach yet need not be asked, and asking must not delay the table.
    Programmed,
    /// End: the table is emptied as `lvs_flush_on_stop` says, `omega` is obeyed. The engine does nothing afterwards.
    Shutdown,
    /// Another configuration; ids of later actions are those of the new one. Probes that go on are not told again:
    /// they report under their [`ProbeId`]; the others are cancelled.
    Reload(&'a Arc<Lvs>),
    /// `deadline()` may have passed. Early and repeated ticks are harmless.
    Tick,
    /// A probe that [`Action::StartProbe`] started has ended.
    Probed(ProbeId, Verdict),
    /// The number in a track file (an index into [`Lvs::track_files`]), as it is now.
    TrackFile(usize, i32),
    /// A BFD session of that name is up or not.
    Bfd(&'a str, bool),
    /// An address came to this machine.
    AddressAdded(IpAddr),
    /// An address left it.
    AddressRemoved(IpAddr),
}

/// One start of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub u64);

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server is well.
    Pass,
    /// The server is not well: keepalived's words for it, and more.
    Fail(Reason),
    /// MISC_CHECK: exit status (0 is a success, what 2 to 255 mean depends on `misc_dynamic`).
    Exited(u8),
    /// Something on this machine kept it from being asked; no verdict about the server.
    Local(Reason),
}

/// Why a probe did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What kind of failure, for counters and log lines.
    pub kind: ReasonKind,
    /// For people: what was expected, what came, errno's text. One line, without control characters.
    pub detail: Arc<str>,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReasonKind {
    /// A TCP RST, or an ICMP port unreachable.
    Refused,
    /// No connection in time.
    ConnectTimeout,
    /// No route, or an ICMP unreachable.
    Unreachable,
    /// Connected, then reset.
    Reset,
    /// TLS could not be agreed on.
    Tls,
    /// A request could not be sent.
    Write,
    /// No answer in time, not one byte.
    Timeout,
    /// The answer began, but its end did not come in time.
    Stalled,
    /// The answer ended before it said anything, or too early.
    Closed,
    /// The answer is longer than what is read.
    TooLong,
    /// The answer is not what the protocol allows.
    Malformed,
    /// The status is not among the wanted ones.
    Status,
    /// The digest differs.
    Digest,
    /// The regular expression does not match (or does, with `regex_no_match`).
    Regex,
    /// The answer is not the wanted one.
    Mismatch,
    /// SMTP_CHECK: the greeting is not 220.
    Greeting,
    /// SMTP_CHECK: the answer to HELO is not 250.
    Helo,
    /// DNS_CHECK: this rcode instead of 0.
    Rcode(u8),
    /// FILE_CHECK: the number in the file.
    File,
    /// BFD_CHECK: the session is down.
    Bfd,
    /// A script's exit status (the engine makes it of [`Verdict::Exited`]).
    Exited(u8),
    /// A script was killed by this signal.
    Signalled(i32),
    /// A script ran too long.
    ScriptTimeout,
    /// Reading it failed.
    Read,
    /// This machine's own trouble: no socket, no address, no script.
    Local,
}

/// What the engine wants done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// From now on the kernel's table is to have this of a service; none removes it. The hands plan and send what is
    /// missing, and try again what failed.
    Service(ServiceKey, Option<Arc<Entry>>),
    /// From now on nf_tables is to hold this; none removes what is ours. Services that were said before have to be there
    /// first, and those that are said after it change only then: a mark always has its service.
    Marks(Option<Arc<Marking>>),
    /// Everything of the table goes, ours or not (`lvs_flush`, `lvs_flush_on_stop`).
    Flush,
    /// Ask a real server. `url` is the place of the url in HTTP_GET and SSL_GET, else 0.
    StartProbe {
        /// To answer with.
        id: ProbeId,
        /// Whose.
        checker: CheckerId,
        /// Which of its urls.
        url: usize,
    },
    /// Its answer is not wanted any more; a script gets SIGTERM.
    CancelProbe(ProbeId),
    /// Tell scripts, FIFOs, mail.
    Notify(Notification),
    /// Something worth a log line.
    Report(crate::check::report::Event),
}

/// What scripts, FIFOs and mail are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// What it is about.
    pub subject: Subject,
    /// UP, else DOWN.
    pub up: bool,
    /// The script of that change.
    pub script: Option<ScriptCommand>,
    /// Whether the FIFOs get a line.
    pub fifo: bool,
    /// What a mail is to say, where one is to be sent.
    pub mail: Option<Mail>,
}

/// What a mail says; `notify::mail` has the words.
#[derive(Clone, Debug, PartialEq)]
pub enum Mail {
    /// A checker succeeds again.
    Succeeded(Arc<Checker>),
    /// A checker failed.
    Failed {
        /// Which.
        checker: Arc<Checker>,
        /// Where it asks unless it says otherwise.
        asked_at: SocketAddr,
        /// Why.
        reason: Reason,
    },
    /// A quorum.
    Quorum {
        /// What happened.
        what: Quorum,
        /// `quorum`
        quorum: u32,
        /// `hysteresis`
        hysteresis: u32,
        /// Weight of the servers that are alive.
        weight: u64,
    },
    /// A reload removed it.
    Removing,
    /// The daemon stops.
    ShuttingDown,
}

/// What a notification is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A virtual server: its quorum. The id of a removed one is that which it had.
    VirtualServer(VirtualServerId, Arc<VirtualServer>),
    /// A real server.
    RealServer(RealServerId, Arc<VirtualServer>, Arc<RealServer>),
}

/// Why the engine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// A probe is due.
    Probe(CheckerId),
}
