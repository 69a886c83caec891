//! The process in the middle: builds the LAN, starts the hosts, tells what happens, kills the MASTER, and measures.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::{INTERVAL, Told};
use super::rewrite::Plan;
use super::{Spec, die_with_parent, lan, own_program, runtime};

/// The hosts, as people call them.
const NAMES: [&str; 3] = ["router 1", "router 2", "host"];

/// Something that one of the hosts said.
enum Said {
    Line(usize, String),
    End(usize),
}

/// Runs the stage. Its own process, its children and all their namespaces are gone when it returns.
pub(super) fn run() -> Result<u8, String> {
    die_with_parent()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| e.to_string())?;
    let plan: Plan = serde_json::from_str(&line).map_err(|e| e.to_string())?;
    lan::own_run()?;
    lan::own_proc();
    Stage::build(&plan)?.play()
}

struct Stage<'a> {
    plan: &'a Plan,
    nodes: Vec<Child>,
    said: Receiver<Said>,
    started: Instant,
    /// Which router says that it is MASTER, by instance.
    masters: BTreeMap<String, usize>,
    /// Who answers for an address.
    holders: BTreeMap<IpAddr, usize>,
    /// What each router said last, in case it ends.
    last_words: [Vec<String>; 3],
    back: Vec<(IpAddr, u32, u64)>,
    silent: Vec<IpAddr>,
}

impl<'a> Stage<'a> {
    fn build(plan: &'a Plan) -> Result<Self, String> {
        let (say, said) = channel();
        let mut nodes = Vec::new();
        for who in 0..3 {
            nodes.push(start(plan, who)?);
        }
        let pids: Vec<u32> = nodes.iter().map(Child::id).collect();
        runtime()?.block_on(async {
            let handle = lan::connect().map_err(|e| e.to_string())?;
            for (number, interface) in plan.interfaces.iter().enumerate() {
                lan::plug(&handle, number, interface, &pids).await?;
            }
            Ok::<(), String>(())
        })?;
        let started = Instant::now();
        for (who, node) in nodes.iter_mut().enumerate() {
            writeln!(node.stdin.as_mut().ok_or("a host has no input")?, "go").map_err(|e| e.to_string())?;
            follow(who, node.stdout.take(), say.clone());
            follow(who, node.stderr.take(), say.clone());
        }
        Ok(Self {
            plan,
            nodes,
            said,
            started,
            masters: BTreeMap::new(),
            holders: BTreeMap::new(),
            last_words: Default::default(),
            back: Vec::new(),
            silent: Vec::new(),
        })
    }

    fn play(mut self) -> Result<u8, String> {
        self.introduce();
        let patience = self.patience();
        if !self.until(patience, |s| s.is_elected())? {
            println!("\nNo MASTER for every instance within {} s; what the routers said last:", patience.as_secs());
            self.print_last_words(0);
            self.print_last_words(1);
            return Ok(1);
        }
        // A moment of everyday life, in which nothing may happen.
        self.until(Duration::from_secs(2), |_| false)?;
        let Some(&victim) = self.masters.values().next() else { return Err("nobody is MASTER".into()) };
        let lost: Vec<String> =
            self.masters.iter().filter(|(_, who)| **who == victim).map(|(n, _)| n.clone()).collect();
        self.tell("", &format!("{} dies: kill -9 of all its processes", NAMES[victim]));
        let died = Instant::now();
        kill_all(&mut self.nodes[victim]);
        let survivor = 1 - victim;
        let taken = self.until(patience, |s| {
            lost.iter().all(|name| s.masters.get(name) == Some(&survivor)) && s.all_answer(survivor)
        })?;
        self.summary(died, survivor, taken);
        Ok(u8::from(!taken))
    }

    /// Longer than an election takes with the intervals of this file.
    fn patience(&self) -> Duration {
        let longest = self.plan.instances.iter().map(|i| i.advert_interval).max().unwrap_or(1000);
        Duration::from_millis(5 * longest) + Duration::from_secs(10)
    }

    fn is_elected(&self) -> bool {
        let Some(master) = self.masters.values().next() else { return false };
        self.plan.instances.iter().all(|i| self.masters.contains_key(&i.name)) && self.all_answer(*master)
    }

    /// Every address that can be asked is answered for, by this router.
    fn all_answer(&self, who: usize) -> bool {
        let asked = self.plan.instances.iter().flat_map(|i| &i.addresses);
        asked.map(|(_, a)| a).all(|a| self.holders.get(a) == Some(&who) && !self.silent.contains(a))
    }

    fn introduce(&self) {
        println!("A virtual LAN, nobody else sees it:");
        for (who, name) in NAMES.iter().enumerate() {
            let addresses: Vec<String> =
                self.plan.addresses[who].iter().map(|(i, a, p)| format!("{a}/{p} on {i}")).collect();
            let role = ["the file, as it is", "the same, state BACKUP and a lower priority", "asks the addresses"][who];
            println!("  {name:<9} {}  ({role})", addresses.join(", "));
        }
        if !self.plan.left_out.is_empty() {
            println!("Left out here, it reaches outside: {}", self.plan.left_out.join(", "));
        }
        println!();
    }

    /// Listens until the condition holds (true) or the time is over (false).
    fn until(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> Result<bool, String> {
        let end = Instant::now() + limit;
        while !holds(self) {
            let left = end.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(Said::Line(2, line)) => self.hear_host(&line),
                Ok(Said::Line(who, line)) => self.hear_router(who, line),
                Ok(Said::End(who)) => self.ended(who)?,
                Err(RecvTimeoutError::Timeout) => return Ok(holds(self)),
                Err(RecvTimeoutError::Disconnected) => return Err("all hosts are gone".into()),
            }
        }
        Ok(true)
    }

    fn hear_router(&mut self, who: usize, line: String) {
        // The console puts the date before the sentence.
        let sentence = line.find('(').map_or(line.as_str(), |at| &line[at..]);
        let state = sentence.strip_prefix('(').and_then(|s| s.split_once(") Entering "));
        if let Some((instance, state)) = state
            && let Some(state) = state.split(" STATE").next()
        {
            match state {
                "MASTER" => drop(self.masters.insert(instance.to_owned(), who)),
                _ if self.masters.get(instance) == Some(&who) => drop(self.masters.remove(instance)),
                _ => {}
            }
            self.tell(NAMES[who], sentence);
        }
        self.last_words[who].push(line);
    }

    fn hear_host(&mut self, line: &str) {
        let Ok(told) = serde_json::from_str::<Told>(line) else {
            self.last_words[2].push(line.to_owned());
            return;
        };
        match told {
            Told::Answers(address, mac) => {
                let who = usize::from(mac[5]).wrapping_sub(1);
                let name = NAMES.get(who).unwrap_or(&"nobody we know");
                let mac: Vec<String> = mac.iter().map(|b| format!("{b:02x}")).collect();
                self.tell(NAMES[2], &format!("{address} is at {} ({name})", mac.join(":")));
                self.holders.insert(address, who);
            }
            Told::Silent(address) => {
                self.tell(NAMES[2], &format!("{address} does not answer"));
                self.silent.push(address);
            }
            Told::Back { address, lost, milliseconds } => {
                self.tell(NAMES[2], &format!("{address} answers again"));
                self.silent.retain(|a| *a != address);
                self.back.push((address, lost, milliseconds));
            }
        }
    }

    fn ended(&mut self, who: usize) -> Result<(), String> {
        // The one we killed; its two streams end.
        if self.nodes[who].try_wait().is_ok_and(|status| status.is_some_and(|s| s.code().is_none())) {
            return Ok(());
        }
        self.print_last_words(who);
        Err(format!("{} ended", NAMES[who]))
    }

    fn print_last_words(&self, who: usize) {
        let words = &self.last_words[who];
        words.iter().skip(words.len().saturating_sub(15)).for_each(|line| println!("  {}: {line}", NAMES[who]));
    }

    fn tell(&self, who: &str, what: &str) {
        println!("{:7.3} s  {who:<9} {what}", self.started.elapsed().as_secs_f64());
    }

    fn summary(&self, died: Instant, survivor: usize, taken: bool) {
        println!();
        if !taken {
            println!(
                "{} did not take over within {:.1} s; it said last:",
                NAMES[survivor],
                died.elapsed().as_secs_f64()
            );
            return self.print_last_words(survivor);
        }
        println!("{} took over.", NAMES[survivor]);
        for (address, lost, milliseconds) in &self.back {
            println!(
                "{address} did not answer for {:.3} s: {lost} pings lost, of one every {} ms.",
                *milliseconds as f64 / 1000.0,
                INTERVAL.as_millis(),
            );
        }
    }
}

/// Starts a host and waits until it has its namespaces.
fn start(plan: &Plan, who: usize) -> Result<Child, String> {
    let asked = plan.instances.iter().flat_map(|i| i.addresses.iter().map(|(_, a)| *a));
    let spec = Spec {
        interfaces: plan.interfaces.clone(),
        addresses: plan.addresses[who].clone(),
        config: plan.configs.get(who).cloned(),
        asked: asked.collect(),
    };
    let mut node = Command::new(own_program()?);
    node.args(["try", "--node"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut node = node.spawn().map_err(|e| format!("{}: {e}", NAMES[who]))?;
    let spec = serde_json::to_string(&spec).map_err(|e| e.to_string())?;
    writeln!(node.stdin.as_mut().ok_or("a host has no input")?, "{spec}").map_err(|e| e.to_string())?;
    let mut ready = [0; 6];
    if node.stdout.as_mut().ok_or("a host has no output")?.read_exact(&mut ready).is_err() {
        let mut reason = String::new();
        let _ = node.stderr.take().map(|mut e| e.read_to_string(&mut reason));
        return Err(format!("{}: {}", NAMES[who], reason.trim()));
    }
    Ok(node)
}

/// Passes on what a host says.
fn follow(who: usize, stream: Option<impl Read + Send + 'static>, say: Sender<Said>) {
    let Some(stream) = stream else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if say.send(Said::Line(who, line)).is_err() {
                return;
            }
        }
        let _ = say.send(Said::End(who));
    });
}

/// SIGKILL for a process and all below it, at once: none of them sees another die and says goodbye.
fn kill_all(node: &mut Child) {
    let mut all = vec![Pid::from_raw(node.id().cast_signed())];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|p| p.parse().ok()).map(Pid::from_raw));
        }
        next += 1;
    }
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for pid in &all {
            // One that has ended by itself needs no killing.
            let _ = kill(*pid, signal);
        }
    }
    let _ = node.wait();
}
