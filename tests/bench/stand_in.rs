//! Both daemons without the kernel's IPVS, which the machine that measures need not have. Ours is this very program,
//! with a table in memory in the kernel's place; for Debian's, `ipvs.c` answers what it asks of the kernel. Both write
//! down when a server is taken out of the table.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use keepalived_rs::ipvs::keeper::Answer;
use keepalived_rs::ipvs::marking::{Found, Marking};
use keepalived_rs::ipvs::plan::Op;
use keepalived_rs::ipvs::report::Request;
use keepalived_rs::ipvs::table::Entry;
use keepalived_rs::sys::clock;
use keepalived_rs::sys::ipvs::{self, Backend, Ipvs, SharedStandIn};
use keepalived_rs::wire::ipvs::{Daemon, DaemonState, ServiceKey, Timeouts};
use keepalived_rs::wire::nft;

use crate::lan::{DEBIAN, Kind, Lan, Router};

/// Names the file with the record, and makes this program the daemon.
const RECORD: &str = "IPVS_RECORD";

/// Whether this process is to be the daemon.
pub(crate) fn is_daemon() -> bool {
    std::env::var_os(RECORD).is_some()
}

/// The whole daemon, with a stand-in for the kernel.
pub(crate) fn daemon() -> ExitCode {
    ipvs::start_instead(|| {
        let path = std::env::var_os(RECORD).unwrap_or_default();
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ipvs::start_with(Recorder { table: SharedStandIn::default(), file })
    });
    keepalived_rs::cli::run()
}

/// Starts a daemon on a host, on the first processor; the file has what was taken out, and when.
pub(crate) fn start(lan: &Lan, host: char, kind: Kind, config: &str) -> (Router, PathBuf) {
    lan.configure(host, config);
    let record = lan.home(host).join("removed");
    // As if the servers were on other machines: what they and the network do is done by the other processor.
    lan.run(host, "sh", &["-c", "echo 2 >/sys/class/net/lo/queues/rx-0/rps_cpus"]);
    let mut arguments = ["-c", "0", "env"].map(String::from).to_vec();
    arguments.push(format!("{RECORD}={}", record.display()));
    match kind {
        Kind::Ours => arguments.push(std::env::current_exe().unwrap().display().to_string()),
        Kind::Debian => {
            arguments.push(format!("LD_PRELOAD={}", library(&lan.home(host)).display()));
            arguments.push(DEBIAN.into());
        }
    }
    let options = ["--dont-fork", "--log-console", "--log-detail", "--check"].map(String::from);
    arguments.extend(options);
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    (lan.start_program(host, "taskset", &arguments), record)
}

/// Compiles `ipvs.c`.
fn library(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/ipvs.c");
    let made = directory.join("ipvs.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&made).arg(source);
    assert!(compiler.status().expect("a C compiler").success(), "ipvs.c compiles");
    made
}

/// What a record says: which servers were taken out, and when on CLOCK_MONOTONIC.
pub(crate) fn removals(record: &Path) -> Vec<(Duration, Ipv4Addr)> {
    let text = std::fs::read_to_string(record).unwrap_or_default();
    // A last line may be half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |line: &str| {
        let (at, address) = line.split_once(' ').expect("two words");
        (Duration::from_nanos(at.parse().expect("a time")), address.parse().expect("an address"))
    };
    whole.lines().map(line).collect()
}

/// The table in memory.
struct Recorder {
    table: SharedStandIn,
    file: File,
}

impl Backend for Recorder {
    fn open(&mut self) -> io::Result<[u8; 3]> {
        self.table.open()
    }

    fn change(&mut self, ops: &[Op]) -> io::Result<Vec<Answer>> {
        let answers = self.table.change(ops)?;
        let now = clock::now().nanos();
        let gone = ops.iter().filter(|op| matches!(op, Op::DelDest(..))).filter_map(Op::dest);
        let lines: String = gone.map(|dest| format!("{now} {}\n", dest.address)).collect();
        self.file.write_all(lines.as_bytes())?;
        Ok(answers)
    }

    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.table.ask(request)
    }

    fn services(&mut self) -> io::Result<Vec<ServiceKey>> {
        self.table.services()
    }

    fn entry(&mut self, key: &ServiceKey) -> io::Result<Option<Entry>> {
        self.table.entry(key)
    }

    fn daemons(&mut self) -> io::Result<Vec<(DaemonState, Daemon)>> {
        self.table.daemons()
    }

    fn timeouts(&mut self) -> io::Result<Timeouts> {
        self.table.timeouts()
    }
    fn transact(&mut self, requests: &[nft::Request]) -> io::Result<()> {
        self.table.transact(requests)
    }

    fn marking(&mut self, marking: &Marking) -> io::Result<Found> {
        self.table.marking(marking)
    }
}
