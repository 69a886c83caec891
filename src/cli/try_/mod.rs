//! `keepalived-rs try [FILE]`: sees a configuration fail over, on a laptop.
//!
//! The file's router, a second one that loses the election against it, and a plain host stand on a virtual LAN. Each is
//! a process in namespaces of its own, the routers running the real daemon; a process in the middle tells what they
//! say, kills the MASTER, and measures. Four roles of this program, each started by the one before it:
//!
//! ```text
//! try ── --stage (first process of a new process namespace: when it ends, everything in there ends)
//!          ├── --node router 1 ── becomes the daemon
//!          ├── --node router 2 ── becomes the daemon
//!          └── --node host     ── asks the virtual addresses
//! ```

mod host;
mod lan;
mod rewrite;
mod stage;

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::config::tree::Statement;
use crate::config::{TextOptions, parse};
use crate::diag::Diagnostics;
use crate::sys::disk::Disk;

/// What a node is to be: the first line of its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spec {
    interfaces: Vec<String>,
    addresses: Vec<(String, IpAddr, u8)>,
    /// A router's configuration; none for the plain host.
    config: Option<String>,
    /// What the plain host asks.
    asked: Vec<IpAddr>,
}

const USAGE: &str = "Usage: keepalived-rs try [-i ID] [FILE]
  Runs FILE (/etc/keepalived/keepalived.conf) on a virtual LAN with a second router and a plain host, kills the MASTER
  and shows how long the virtual addresses do not answer. Touches nothing outside; needs root or user namespaces.
  -i, --config-id ID   as the daemon's option
";

/// Runs the subcommand, whose words come after `try`.
pub(super) fn run(words: &[OsString]) -> u8 {
    let words: Vec<String> = words.iter().map(|w| w.to_string_lossy().into_owned()).collect();
    let done = match words.first().map(String::as_str) {
        Some("--stage") => stage::run(),
        Some("--node") => node().map(|()| 0),
        _ => begin(&words),
    };
    done.unwrap_or_else(|reason| {
        eprintln!("keepalived-rs try: {reason}");
        1
    })
}

/// What the operator starts: reads the file, and makes a world for the rest to live in.
fn begin(words: &[String]) -> Result<u8, String> {
    let (mut file, mut id) = (String::from("/etc/keepalived/keepalived.conf"), None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-h" | "--help" => {
                print!("{USAGE}");
                return Ok(0);
            }
            "-i" | "--config-id" => id = rest.next().cloned(),
            word if word.starts_with('-') => return Err(format!("unknown option {word}\n{USAGE}")),
            word => file = word.to_owned(),
        }
    }
    let plan = rewrite::plan(&read(&file, id)?)?;
    let program = own_program()?;
    lan::isolate()?;
    let mut stage = Command::new(program);
    let mut stage = stage.args(["try", "--stage"]).stdin(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    let text = serde_json::to_string(&plan).map_err(|e| e.to_string())?;
    // It stays open: its end would be ours, which the stage looks for.
    let mut input = stage.stdin.take().ok_or("the stage has no input")?;
    writeln!(input, "{text}").map_err(|e| e.to_string())?;
    let status = stage.wait().map_err(|e| e.to_string())?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn read(file: &str, id: Option<String>) -> Result<Vec<Statement>, String> {
    let host_name = || nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    let options = TextOptions {
        config_id: id.unwrap_or_else(|| host_name().split('.').next().unwrap_or_default().to_owned()),
        working_directory: std::env::current_dir().map_err(|e| e.to_string())?,
        ..TextOptions::default()
    };
    // What is wrong with the file, the daemons will say.
    let parsed = parse(&mut Disk, file, &options, &mut Diagnostics::default());
    if parsed.files_found { Ok(parsed.statements) } else { Err(format!("{file} cannot be read")) }
}

fn own_program() -> Result<std::path::PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))
}

/// Whoever started this process is not to leave it behind.
fn die_with_parent() -> Result<(), String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| e.to_string())
}

/// A host of the LAN: has namespaces of its own, waits for its cables, and becomes what it is to be.
fn node() -> Result<(), String> {
    die_with_parent()?;
    let program = own_program()?;
    let mut lines = std::io::stdin().lock().lines();
    let mut line = || lines.next().ok_or("nobody is there any more")?.map_err(|e| e.to_string());
    let spec: Spec = serde_json::from_str(&line()?).map_err(|e| e.to_string())?;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET | nix::sched::CloneFlags::CLONE_NEWNS)
        .map_err(|e| format!("cannot make namespaces: {e}"))?;
    lan::own_run()?;
    println!("ready");
    line()?;
    runtime()?.block_on(async {
        let handle = lan::connect().map_err(|e| e.to_string())?;
        lan::configure(&handle, &spec.interfaces, &spec.addresses).await
    })?;
    let Some(config) = spec.config else { return host::run(&spec.asked) };
    let path = Path::new("/run/keepalived.conf");
    std::fs::write(path, config).map_err(|e| format!("{}: {e}", path.display()))?;
    let daemon = ["--dont-fork", "--log-console", "--log-detail", "--no-syslog", "-f", "/run/keepalived.conf"];
    Err(format!("cannot become the daemon: {}", Command::new(program).args(daemon).stdin(Stdio::null()).exec()))
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}
