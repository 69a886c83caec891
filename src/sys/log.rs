//! Log lines: a bounded queue to a thread of its own, so that a stopped reader never holds up the loop.
//!
//! `tracing` events come in through [`Collector`]; the thread writes them to `/dev/log`, the console and a file. When the
//! queue is full the newest debug line goes first; role changes ([`ROLE`]) stay longest. What is lost is counted, and
//! one line says how many. At the end, when no loop is held up any more, whoever logs waits for room a little ([`last`]).
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The tracing target of lines that are kept when everything else is dropped: role changes, child deaths.
pub const ROLE: &str = "role";

/// Lines that wait at most.
const QUEUE: usize = 4_096;
/// Lines there is always room for.
const KEPT: usize = 64;
/// Lines that wait at most when all of them are about roles.
const ROLE_QUEUE: usize = 4 * QUEUE;
/// Lines that are written together where so many wait: some KiB in one system call.
const TOGETHER: usize = 64;
/// How long those who log wait for room at the end, in all.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `Keepalived`, `Keepalived_vrrp`, ...
    pub ident: String,
    /// Syslog facility number; none is no syslog.
    pub facility: Option<u8>,
    /// To stderr.
    pub console: bool,
    /// To a file.
    pub file: Option<PathBuf>,
    /// Flush the file after each line, or once after those that waited together.
    pub flush_file: bool,
    /// 0: INFO and above, 1: DEBUG too, 2: TRACE too.
    pub detail: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Detail,
    Ordinary,
    Role,
}

#[derive(Debug)]
struct Line {
    rank: Rank,
    severity: u8,
    at: SystemTime,
    text: String,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// How many of them have each rank: a full queue is not searched for what is not in it.
    ranks: [usize; 3],
    lost: u64,
    /// So long in all may those who log wait for room.
    patience: Duration,
    /// The thread has taken lines and not finished writing them.
    writing: bool,
    has_thread: bool,
}

impl Queue {
    /// Whether a line of this rank is worth waiting for room, which there is none for.
    fn waits(&self, rank: Rank) -> bool {
        // Details are lost first, and make room for others; role changes have more of it.
        rank == Rank::Ordinary && self.lines.len() >= QUEUE && self.ranks[Rank::Detail as usize] == 0
    }

    fn push(&mut self, line: Line) {
        if self.lines.len() >= QUEUE && !self.make_room(line.rank) {
            self.lost += 1;
            return;
        }
        self.ranks[line.rank as usize] += 1;
        self.lines.push_back(line);
    }

    /// Takes the oldest lines out, so many at most.
    fn take(&mut self, most: usize) -> impl Iterator<Item = Line> {
        let ranks = &mut self.ranks;
        self.lines.drain(..most.min(self.lines.len())).inspect(|line| ranks[line.rank as usize] -= 1)
    }

    /// Drops the newest line of less worth than `rank`; a role change may also exceed the ordinary limit.
    fn make_room(&mut self, rank: Rank) -> bool {
        let worst = [Rank::Detail, Rank::Ordinary].into_iter().find(|worst| self.ranks[*worst as usize] > 0);
        let victim = worst.filter(|worst| *worst < rank);
        if let Some(at) = victim.and_then(|worst| self.lines.iter().rposition(|line| line.rank == worst)) {
            self.ranks[self.lines[at].rank as usize] -= 1;
            self.lines.remove(at);
            self.lost += 1;
            return true;
        }
        rank == Rank::Role && self.lines.len() < ROLE_QUEUE
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when lines wait.
    filled: Condvar,
    /// Signalled when lines were taken.
    emptied: Condvar,
    /// Signalled when everything is written.
    drained: Condvar,
    settings: Mutex<Settings>,
}

static LOG: OnceLock<Arc<Shared>> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes over `tracing` for this process. Lines wait until [`start`], because a daemon forks before it has threads.
pub fn init(settings: Settings) {
    let level = match settings.detail {
        0 => Level::INFO,
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let shared = LOG.get_or_init(|| Arc::new(Shared::new(settings)));
    let collector = Collector { shared: Arc::clone(shared), level };
    // A second call changes nothing: the first one's settings stand.
    let _ = tracing::subscriber::set_global_default(collector);
}

/// Changes the ident, which names the network namespace and the instance once they are known.
pub fn set_ident(ident: &str) {
    if let Some(shared) = LOG.get() {
        ident.clone_into(&mut lock(&shared.settings).ident);
    }
}

/// Starts the thread that writes.
pub fn start() -> std::io::Result<()> {
    let Some(shared) = LOG.get() else { return Ok(()) };
    lock(&shared.queue).has_thread = true;
    let writer = Arc::clone(shared);
    std::thread::Builder::new().name("log".into()).stack_size(128 << 10).spawn(move || write_for_ever(&writer))?;
    Ok(())
}

/// Waits until what waits is written, for `limit` at most; without a thread it writes here.
pub fn flush(limit: Duration) {
    let Some(shared) = LOG.get() else { return };
    let mut queue = lock(&shared.queue);
    if !queue.has_thread {
        let lines: Vec<_> = queue.take(usize::MAX).collect();
        drop(queue);
        let mut outputs = Outputs::default();
        let settings = lock(&shared.settings).clone();
        outputs.write(&settings, lines.iter());
        return;
    }
    let waits = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
    let _ = shared.drained.wait_timeout_while(queue, limit, waits);
}

/// From now on nothing is held up by those who log: where the queue is full they wait for room, for a second in all. So
/// what is said at a stop is lost only where nobody reads it.
pub fn last() {
    if let Some(shared) = LOG.get() {
        lock(&shared.queue).patience = LAST_PATIENCE;
    }
}

impl Shared {
    fn new(settings: Settings) -> Self {
        let [filled, emptied, drained] = [(); 3].map(|()| Condvar::new());
        Self { queue: Mutex::default(), filled, emptied, drained, settings: Mutex::new(settings) }
    }

    /// The queue, with room for a line of this rank, if there is patience for that.
    fn queue_for(&self, rank: Rank) -> MutexGuard<'_, Queue> {
        let queue = lock(&self.queue);
        if queue.patience.is_zero() || !queue.has_thread || !queue.waits(rank) {
            return queue;
        }
        let (begun, patience) = (Instant::now(), queue.patience);
        let waited = self.emptied.wait_timeout_while(queue, patience, |queue| queue.waits(rank));
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.patience = queue.patience.saturating_sub(begun.elapsed());
        queue
    }
}

fn write_for_ever(shared: &Shared) {
    let mut outputs = Outputs::default();
    let mut lines = Vec::new();
    loop {
        let mut queue = lock(&shared.queue);
        while queue.lines.is_empty() {
            queue.writing = false;
            queue.lines.shrink_to(KEPT);
            shared.drained.notify_all();
            queue = shared.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.writing = true;
        lines.extend(queue.take(TOGETHER));
        if !queue.patience.is_zero() {
            shared.emptied.notify_all();
        }
        // What was lost is told once there is room again.
        let lost = if queue.lines.is_empty() { std::mem::take(&mut queue.lost) } else { 0 };
        drop(queue);
        let settings = lock(&shared.settings).clone();
        if lost > 0 {
            let text = format!("{lost} log lines were lost because the log reader was too slow");
            lines.push(Line { rank: Rank::Ordinary, severity: 4, at: SystemTime::now(), text });
        }
        outputs.write(&settings, lines.iter());
        lines.clear();
    }
}

/// The `tracing` end of the queue. There are no spans: a registry of them would be a third of a small daemon's memory.
#[derive(Debug)]
struct Collector {
    shared: Arc<Shared>,
    level: Level,
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let metadata = event.metadata();
        let (rank, severity) = match *metadata.level() {
            _ if metadata.target() == ROLE && *metadata.level() == Level::ERROR => (Rank::Role, 1),
            _ if metadata.target() == ROLE => (Rank::Role, 6),
            Level::ERROR => (Rank::Ordinary, 3),
            Level::WARN => (Rank::Ordinary, 4),
            Level::INFO => (Rank::Ordinary, 6),
            // keepalived: detail lines carry INFO as well.
            _ => (Rank::Detail, 6),
        };
        let line = Line { rank, severity, at: SystemTime::now(), text: text.0 };
        let mut queue = self.shared.queue_for(rank);
        // The thread only sleeps when there is no line.
        let may_sleep = queue.lines.is_empty();
        queue.push(line);
        drop(queue);
        if may_sleep {
            self.shared.filled.notify_one();
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The sentence of an event; its fields are for other readers.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// The open ends that lines are written to.
#[derive(Debug, Default)]
struct Outputs {
    syslog: Option<UnixDatagram>,
    file: Option<File>,
}

impl Outputs {
    /// Writes lines, those for the console and the file together. Where there is no syslog daemon, only the first of
    /// them looks for it.
    fn write<'a>(&mut self, settings: &Settings, lines: impl Iterator<Item = &'a Line>) {
        let (mut console, mut file, mut facility) = (String::new(), String::new(), settings.facility);
        for line in lines {
            let time = LocalTime::of(line.at);
            for text in line.text.split('\n') {
                if settings.console {
                    // keepalived: the console has neither ident nor pid.
                    let _ = writeln!(console, "{}: {text}", time.long());
                }
                if let Some(number) = facility {
                    let priority = number * 8 + line.severity;
                    let pid = std::process::id();
                    let message = format!("<{priority}>{} {}[{pid}]: {text}", time.syslog(), settings.ident);
                    facility = facility.filter(|_| self.write_syslog(message.as_bytes()));
                }
                if settings.file.is_some() {
                    let nanos = line.at.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
                    let _ = writeln!(file, "{}: {text}", time.long_with(nanos));
                }
            }
        }
        if settings.console {
            let _ = std::io::stderr().lock().write_all(console.as_bytes());
        }
        if let Some(path) = &settings.file {
            self.write_file(path, file.as_bytes(), settings.flush_file);
        }
    }

    fn write_file(&mut self, path: &Path, lines: &[u8], flush: bool) {
        if self.file.is_none() {
            let options = OpenOptions::new().append(true).create(true).custom_flags(libc::O_NOFOLLOW).open(path);
            self.file = options.ok();
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(lines);
            if flush {
                let _ = file.sync_data();
            }
        }
    }

    /// One datagram; a restarted syslog daemon is found again at once, an absent one costs one `connect`. False where
    /// it is absent.
    fn write_syslog(&mut self, message: &[u8]) -> bool {
        for _ in 0..2 {
            if self.syslog.is_none() {
                self.syslog = UnixDatagram::unbound().ok().filter(|s| s.connect("/dev/log").is_ok());
            }
            match &self.syslog {
                Some(socket) if socket.send(message).is_ok() => return true,
                Some(_) => self.syslog = None,
                None => return false,
            }
        }
        true
    }
}

/// Broken-down local time.
struct LocalTime(libc::tm);

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl LocalTime {
    fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as libc::time_t;
        // SAFETY: all-zero is a valid tm, and localtime_r writes only into it.
        unsafe {
            let mut tm = std::mem::zeroed();
            libc::localtime_r(&seconds, &mut tm);
            Self(tm)
        }
    }

    fn month(&self) -> &'static str {
        MONTHS[self.0.tm_mon.clamp(0, 11) as usize]
    }

    fn clock(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.0.tm_hour, self.0.tm_min, self.0.tm_sec)
    }

    /// `Sat, 21 Nov 2026 01:49:27 +0000`
    fn mail(&self) -> String {
        let minutes = self.0.tm_gmtoff / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let offset = format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60);
        let weekday = DAYS[self.0.tm_wday.clamp(0, 6) as usize];
        let (day, year) = (self.0.tm_mday, i64::from(self.0.tm_year) + 1900);
        format!("{weekday}, {day:02} {} {year} {} {offset}", self.month(), self.clock())
    }

    /// `Sat Nov 21 01:49:27 2026`: `%c` in the C locale.
    fn long(&self) -> String {
        self.around_clock(&self.clock())
    }

    fn long_with(&self, nanos: u32) -> String {
        self.around_clock(&format!("{}.{nanos:09}", self.clock()))
    }

    fn around_clock(&self, clock: &str) -> String {
        let day = DAYS[self.0.tm_wday.clamp(0, 6) as usize];
        format!("{day} {} {:2} {clock} {}", self.month(), self.0.tm_mday, self.0.tm_year + 1900)
    }

    fn syslog(&self) -> String {
        format!("{} {:2} {}", self.month(), self.0.tm_mday, self.clock())
    }
}

/// The date of a point in time as mails show it (RFC 5322 §3.3), with the local offset.
pub fn mail_date(time: SystemTime) -> String {
    LocalTime::of(time).mail()
}

/// The date of a point in time as dumps show it.
pub fn date(time: SystemTime) -> String {
    LocalTime::of(time).long()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rank: Rank, text: &str) -> Line {
        Line { rank, severity: 6, at: UNIX_EPOCH, text: text.to_owned() }
    }

    fn full_of(rank: Rank) -> Queue {
        let mut queue = Queue::default();
        (0..QUEUE).for_each(|i| queue.push(line(rank, &i.to_string())));
        assert_eq!(queue.lost, 0);
        queue
    }

    #[test]
    fn a_full_queue_loses_debug_lines_first_and_the_newest_of_them() {
        let mut queue = full_of(Rank::Detail);
        queue.push(line(Rank::Detail, "late debug"));
        assert_eq!((queue.lost, queue.lines.len()), (1, QUEUE));
        queue.push(line(Rank::Ordinary, "info"));
        assert_eq!(queue.lines.back().unwrap().text, "info");
        assert_eq!(queue.lines[QUEUE - 2].text, (QUEUE - 2).to_string());
        assert_eq!((queue.lost, queue.lines.len()), (2, QUEUE));
    }

    #[test]
    fn a_state_change_is_never_lost_to_other_lines() {
        let mut queue = full_of(Rank::Ordinary);
        queue.push(line(Rank::Ordinary, "info"));
        queue.push(line(Rank::Role, "(VI_1) Entering MASTER STATE"));
        assert_eq!(queue.lines.back().unwrap().text, "(VI_1) Entering MASTER STATE");
        assert_eq!(queue.lost, 2);
        let mut queue = full_of(Rank::Role);
        queue.push(line(Rank::Role, "(VI_1) Entering BACKUP STATE"));
        assert_eq!((queue.lost, queue.lines.len()), (0, QUEUE + 1));
    }

    fn with_patience(patience: Duration) -> Shared {
        let settings =
            Settings { ident: String::new(), facility: None, console: false, file: None, flush_file: false, detail: 0 };
        let shared = Shared::new(settings);
        *lock(&shared.queue) = Queue { patience, has_thread: true, ..Queue::default() };
        shared
    }

    #[test]
    fn at_the_end_no_line_is_lost_where_somebody_reads() {
        let shared = with_patience(Duration::from_secs(60));
        let read = std::thread::scope(|scope| {
            scope
                .spawn(|| (0..3 * QUEUE).for_each(|_| shared.queue_for(Rank::Ordinary).push(line(Rank::Ordinary, ""))));
            let mut read = 0;
            while read < 3 * QUEUE {
                read += lock(&shared.queue).take(TOGETHER).count();
                shared.emptied.notify_all();
            }
            read
        });
        assert_eq!((read, lock(&shared.queue).lost), (3 * QUEUE, 0));
    }

    #[test]
    fn at_the_end_nobody_is_waited_for_twice() {
        let shared = with_patience(Duration::from_millis(10));
        (0..QUEUE + 100).for_each(|_| shared.queue_for(Rank::Ordinary).push(line(Rank::Ordinary, "")));
        let queue = lock(&shared.queue);
        assert_eq!((queue.lost, queue.lines.len(), queue.patience), (100, QUEUE, Duration::ZERO));
    }

    #[test]
    fn details_and_role_changes_do_not_wait_and_others_take_the_place_of_details() {
        assert!([Rank::Detail, Rank::Role].iter().all(|rank| !full_of(Rank::Ordinary).waits(*rank)));
        assert!(full_of(Rank::Ordinary).waits(Rank::Ordinary));
        assert!(!full_of(Rank::Detail).waits(Rank::Ordinary));
    }

    #[test]
    fn lines_that_waited_together_stand_one_below_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let file = Some(path.clone());
        let settings =
            Settings { ident: String::new(), facility: None, console: false, file, flush_file: true, detail: 0 };
        let mut outputs = Outputs::default();
        outputs.write(&settings, [line(Rank::Ordinary, "one"), line(Rank::Role, "two\nthree")].iter());
        outputs.write(&settings, [line(Rank::Ordinary, "four")].iter());
        let written = std::fs::read_to_string(path).unwrap();
        let texts: Vec<_> = written.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(texts, ["one", "two", "three", "four"]);
    }

    #[test]
    fn memory_stays_bounded_whatever_is_logged() {
        let mut queue = full_of(Rank::Role);
        (0..2 * ROLE_QUEUE).for_each(|_| queue.push(line(Rank::Role, "")));
        assert_eq!(queue.lines.len(), ROLE_QUEUE);
        assert_eq!(queue.lost as usize, 2 * ROLE_QUEUE - (ROLE_QUEUE - QUEUE));
    }
}
