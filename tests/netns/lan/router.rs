//! A daemon on a host: ours, or the keepalived that Debian ships.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Lan;
use super::watch::{LogLine, Story, now};

/// Which daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Debian,
}

/// Where Debian's package puts it.
pub(crate) const DEBIAN: &str = "/usr/sbin/keepalived";

impl Kind {
    /// The program.
    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Ours => {
                std::env::var_os("KEEPALIVED_RS").unwrap_or(env!("CARGO_BIN_EXE_keepalived-rs").into()).into()
            }
            Self::Debian => DEBIAN.into(),
        }
    }
}

/// A running daemon. Dropping it kills it.
pub(crate) struct Router {
    pub(crate) pid: Pid,
    child: Mutex<Child>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// Nobody reads what it says.
    deaf: Arc<AtomicBool>,
}

impl Router {
    pub(crate) fn start(lan: &Lan, host: char, kind: Kind, arguments: &[&str]) -> Self {
        if kind.program() == Path::new(DEBIAN) {
            forget_pids(&lan.home(host).join("run"));
        }
        Self::start_program(lan, host, &kind.program().to_string_lossy(), arguments)
    }

    /// Starts a program that becomes the daemon.
    pub(crate) fn start_program(lan: &Lan, host: char, program: &str, arguments: &[&str]) -> Self {
        let mut command = lan.command(host, program, arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the daemon starts");
        let log = lan.home(host).join("log");
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take().expect("piped");
        let story = Arc::clone(&lan.story);
        let deaf = Arc::new(AtomicBool::new(false));
        let ear = Arc::clone(&deaf);
        let reader = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                scope.spawn(|| follow(out, host, &log, &story, &ear));
                follow(err, host, &log, &story, &ear);
            });
        });
        let pid = Pid::from_raw(child.id() as i32);
        Self { pid, child: Mutex::new(child), reader: Some(reader), deaf }
    }

    /// Sends a signal to the parent process.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid, signal).expect("the daemon is there");
    }

    /// Waits for the first thing that the program itself does: it has signals wait for it. Before that, between its
    /// start and its first instruction, no program can do anything about a signal.
    pub(crate) fn first_instruction(&self) {
        let program = Kind::Ours.program();
        let exe = format!("/proc/{}/exe", self.pid);
        let blocks = |status: &str| {
            let mask = status.lines().find_map(|l| l.strip_prefix("SigBlk:")).unwrap_or("0");
            u64::from_str_radix(mask.trim(), 16).unwrap_or(0) & 1 != 0
        };
        let started = || {
            std::fs::read_link(&exe).ok().as_deref() == Some(program.as_path())
                && std::fs::read_to_string(format!("/proc/{}/status", self.pid)).is_ok_and(|s| blocks(&s))
        };
        while !started() {
            std::thread::yield_now();
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.end(Duration::from_secs(15)).expect("it ends within 15 s of SIGTERM")
    }

    /// SIGKILL to all its processes at once: none can act on the death of another.
    pub(crate) fn kill_all(&self) {
        let all = family(self.pid);
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in &all {
                let _ = kill(*pid, signal);
            }
        }
        let _ = self.lock().wait();
    }

    /// Its processes, the parent first.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        family(self.pid)
    }

    /// Waits for its end.
    pub(crate) fn end(&self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.lock().try_wait().expect("it is our child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// From now on nobody reads what it says.
    pub(crate) fn stop_reading(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Undoes [`Self::stop_reading`].
    pub(crate) fn read_on(&self) {
        self.deaf.store(false, Ordering::Relaxed);
    }

    /// Does it still run?
    pub(crate) fn is_alive(&self) -> bool {
        self.lock().try_wait().expect("it is our child").is_none()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.read_on();
        if self.is_alive() {
            self.kill_all();
        }
        if let Some(reader) = self.reader.take()
            && reader.is_finished()
        {
            let _ = reader.join();
        }
    }
}

/// keepalived 2.2.7 does not start when the pid in a file that a killed one left is some other process's by now.
fn forget_pids(run: &Path) {
    for file in ["keepalived.pid", "vrrp.pid", "checkers.pid", "bfd.pid"] {
        let _ = std::fs::remove_file(run.join(file));
    }
}

/// A process and all that descend from it.
fn family(pid: Pid) -> Vec<Pid> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|p| p.parse().ok()).map(Pid::from_raw));
        }
        next += 1;
    }
    all
}

fn follow(stream: impl std::io::Read, host: char, log: &Path, story: &Story, deaf: &AtomicBool) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("the log file");
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(line) = line else { return };
        while deaf.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let at = now();
        let _ = writeln!(file, "{:.6} {text}", at.as_secs_f64());
        story.tell(|seen| seen.log.push(LogLine { at, host, text }));
    }
}

/// A command that runs on a host: in its network namespace, with a /run and an /etc/keepalived of its own.
pub(crate) fn command(space: &str, home: &Path, program: &str, arguments: &[&str]) -> Command {
    const OWN_DIRECTORIES: &str = r#"mkdir -p /etc/keepalived
mount --bind "$0/run" /run && mount --bind "$0/etc" /etc/keepalived || exit 99
[ ! -e "$0/group" ] || mount --bind "$0/group" /etc/group || exit 99
[ ! -d "$0/nginx" ] || mount --bind "$0/nginx" /etc/nginx || exit 99
exec "$@""#;
    let mut command = Command::new("ip");
    command.args(["netns", "exec", space, "/bin/sh", "-c", OWN_DIRECTORIES]).arg(home).arg(program).args(arguments);
    command.env("TMPDIR", home.join("tmp")).stdin(Stdio::null());
    command
}
