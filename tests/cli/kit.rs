//! A directory and a daemon for each test, in the manner of ripgrep's.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything takes, on any machine: what has not happened by then never will.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory of its own for one test.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("kacli").tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The binary, with every file it may write in this directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_as(Path::new(env!("CARGO_BIN_EXE_keepalived-rs")), arguments)
    }

    pub(crate) fn command_as(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("TMPDIR", self.0.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// `-p`, `-r`, `-c`, `-b`
    pub(crate) fn pid_options(&self) -> Vec<String> {
        [("-p", "k.pid"), ("-r", "v.pid"), ("-c", "c.pid"), ("-b", "b.pid")]
            .iter()
            .flat_map(|(option, name)| [(*option).to_owned(), self.path(name).display().to_string()])
            .collect()
    }

    /// Asks the daemon of this directory.
    pub(crate) fn ask(&self, word: &str) -> Ran {
        self.run(&[word, "-p", &self.path("k.pid").display().to_string()])
    }

    pub(crate) fn pid(&self, name: &str) -> Pid {
        self.pid_if_any(name).unwrap_or_else(|| panic!("{name} has no pid"))
    }

    /// A process that died has none until another runs.
    pub(crate) fn pid_if_any(&self, name: &str) -> Option<Pid> {
        let text = std::fs::read_to_string(self.path(name)).ok()?;
        text.trim().parse().ok().map(Pid::from_raw)
    }
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A daemon in the foreground, its console heard line by line.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// With whether somebody has waited for it.
    heard: Vec<(String, bool)>,
}

impl Daemon {
    /// Starts one on `k.conf` of the directory.
    pub(crate) fn start(dir: &Dir, more: &[&str]) -> Self {
        let config = dir.path("k.conf").display().to_string();
        let mut command = dir.command(&["-n", "-l", "-D", "-G", "-f", &config]);
        command.args(dir.pid_options()).args(more);
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines, heard: Vec::new() }
    }

    /// Waits for a line that contains `text` and that nobody has waited for yet: lines of different processes come in any
    /// order.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        let mut at = 0;
        loop {
            while at == self.heard.len() {
                match self.lines.recv_timeout(LIMIT) {
                    Ok(line) => self.heard.push((line, false)),
                    Err(_) => panic!("no line with {text:?} after\n{}", self.story()),
                }
            }
            let (line, waited_for) = &mut self.heard[at];
            if !*waited_for && line.contains(text) {
                *waited_for = true;
                return line.clone();
            }
            at += 1;
        }
    }

    fn story(&self) -> String {
        self.heard.iter().map(|(line, _)| format!("{line}\n")).collect()
    }

    /// How many of the lines heard so far contain `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.heard.iter().filter(|(line, _)| line.contains(text)).count()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        // The console closes when the last process that has it is gone.
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.heard.push((line, false));
        }
        self.child.wait().unwrap()
    }

    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.end()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The children end with their parent.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the daemon said:\n{}", self.story());
        }
    }
}

/// Runs `test` in a network namespace of its own with an interface `eth0` (10.0.0.1/24); skips it where that is not
/// allowed.
pub(crate) fn scratch(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root for a network namespace (tests/run asks for it)");
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
        for line in [
            "link set lo up",
            "link add eth0 type veth peer name peer0",
            "link set eth0 up",
            "link set peer0 up",
            "addr add 10.0.0.1/24 dev eth0",
        ] {
            ip(line);
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` in the namespace of this thread.
pub(crate) fn ip(line: &str) -> String {
    let output = Command::new("ip").args(line.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn skip(reason: &str) {
    use std::io::Write;
    assert!(std::env::var("CI").as_deref() != Ok("true"), "cannot run: {reason}");
    eprintln!("skipped: {reason}");
    if let Some(path) = std::env::var_os("TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        writeln!(file, "{reason}").unwrap();
    }
}

/// Waits until `happened`: what the kernel or another process does has no line to wait for.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + LIMIT;
    while !happened() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file in /proc of a process.
pub(crate) fn proc_file(pid: Pid, name: &str) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(format!("/proc/{pid}/{name}")) {
        let _ = file.read_to_string(&mut text);
    }
    text
}

/// A virtual router on `eth0` with these addresses.
pub(crate) fn router(name: &str, vrid: u8, addresses: &[&str]) -> String {
    format!(
        "vrrp_instance {name} {{\n  state BACKUP\n  interface eth0\n  virtual_router_id {vrid}\n  priority 150\n  \
         advert_int 1\n  virtual_ipaddress {{\n    {}\n  }}\n}}\n",
        addresses.join("\n    ")
    )
}
