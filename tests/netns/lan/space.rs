//! Network namespaces: entering them, and sweeping up what a killed test run left behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What every namespace and temporary directory of ours begins with; the pid of the test process follows.
const PREFIX: &str = "kart";

/// A name no other LAN of this machine has.
pub(crate) fn fresh_name() -> String {
    static SWEPT: Once = Once::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    SWEPT.call_once(sweep);
    format!("{PREFIX}{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs `work` on a thread that lives in the namespace `name`. Sockets made there stay there.
pub(crate) fn within<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    let space = fs::File::open(format!("/run/netns/{name}")).unwrap_or_else(|e| panic!("namespace {name}: {e}"));
    std::thread::scope(|scope| {
        let inside = scope.spawn(move || {
            setns(space, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            work()
        });
        inside.join().expect("work in a namespace")
    })
}

/// Runs `ip` with a batch of commands, in the namespace given or in ours.
pub(crate) fn ip_batch(space: Option<&str>, commands: &str) {
    use std::io::Write;
    let mut ip = Command::new("ip");
    if let Some(space) = space {
        ip.args(["-n", space]);
    }
    let mut child = ip.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ip starts");
    child.stdin.take().expect("piped").write_all(commands.as_bytes()).expect("ip reads its commands");
    let done = child.wait_with_output().expect("ip ends");
    assert!(done.status.success(), "ip -batch in {space:?}: {}\n{commands}", String::from_utf8_lossy(&done.stderr));
}

/// Removes namespaces with everything that runs in them.
pub(crate) fn remove(names: &[String]) {
    for name in names {
        // A process may fork while we look: again until none is left.
        for _ in 0..5 {
            let pids = processes_in(name);
            if pids.is_empty() {
                break;
            }
            for pid in pids {
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
    }
}

fn processes_in(name: &str) -> Vec<Pid> {
    let Ok(listed) = Command::new("ip").args(["netns", "pids", name]).stderr(Stdio::null()).output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&listed.stdout).lines().filter_map(|l| l.trim().parse().ok().map(Pid::from_raw)).collect()
}

/// Removes what test processes that are no more have left.
fn sweep() {
    let orphan = |name: &str| {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('x').next());
        pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new(&format!("/proc/{pid}")).exists())
    };
    let names = |dir: &Path| -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).filter(|name| orphan(name)).collect()
    };
    remove(&names(Path::new("/run/netns")));
    let temporary = std::env::temp_dir();
    for name in names(&temporary) {
        // What a failing test kept (its name ends in `.kept`) is for people to look at.
        if !name.ends_with(".kept") {
            let _ = fs::remove_dir_all(temporary.join(name));
        }
    }
}
