//! The record of addresses in force, under /run: what a crash leaves is found by it at the next start and by
//! `keepalived-rs cleanup`, also when the configuration has changed meanwhile, and on kernels that keep no mark.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::{info, warn};

use crate::addr::{Cidr, IfIndex, IfName};
use crate::model::vrrp::VirtualAddress;
use crate::sys::files::{Job, Writer};
use crate::sys::{links, neighbours};
use crate::vrrp::io::{Failure, Holding};

/// The record while the process runs.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    held: BTreeSet<(IfName, Cidr, Option<IpAddr>)>,
    is_stale: bool,
}

impl Record {
    /// An empty one.
    pub fn new(path: PathBuf) -> Self {
        Self { path, held: BTreeSet::new(), is_stale: false }
    }

    /// The address is ordered from the kernel.
    pub fn add(&mut self, address: &VirtualAddress) {
        self.is_stale |= self.held.insert(key(address));
    }

    /// The kernel is told to drop it.
    pub fn remove(&mut self, address: &VirtualAddress) {
        self.is_stale |= self.held.remove(&key(address));
    }

    /// Whether the file is not what it should be.
    #[inline]
    pub const fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Writes it, where it has changed; without addresses there is no file.
    pub fn save(&mut self, writer: &Writer) {
        if self.is_stale {
            let bytes = (!self.held.is_empty()).then(|| self.text().into_bytes());
            // Where too many files wait, it stays stale and is written the next time.
            self.is_stale = !writer.write(Job { path: self.path.clone(), bytes, mode: 0o600, what: "record" });
        }
    }

    fn text(&self) -> String {
        let line = |(name, cidr, peer): &(IfName, Cidr, Option<IpAddr>)| match peer {
            Some(peer) => format!("{name} {cidr} peer {peer}\n"),
            None => format!("{name} {cidr}\n"),
        };
        self.held.iter().map(line).collect()
    }
}

fn key(address: &VirtualAddress) -> (IfName, Cidr, Option<IpAddr>) {
    (address.interface, address.cidr, address.peer)
}

/// The addresses of a record's text; what cannot be read is skipped.
fn parse(text: &str) -> Vec<VirtualAddress> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<VirtualAddress> {
    let mut words = line.split(' ');
    let interface = words.next()?.parse().ok()?;
    let (address, prefix) = words.next()?.split_once('/')?;
    let cidr = Cidr { address: address.parse().ok()?, prefix: prefix.parse().ok()? };
    let peer = match words.next() {
        None => None,
        Some("peer") => Some(words.next()?.parse().ok()?),
        Some(_) => return None,
    };
    Some(VirtualAddress { peer, track: false, ..VirtualAddress::plain(cidr, interface) })
}

/// Removes what a run that is no more has left: the addresses of the record, and those that carry keepalived's mark unless
/// a keepalived other than the processes `own` runs in this network namespace. Gives the addresses removed. Waits for the
/// kernel.
pub fn clean_up(path: &Path, own: &[u32]) -> Vec<String> {
    let recorded = parse(&std::fs::read_to_string(path).unwrap_or_default());
    let snapshot = match links::snapshot() {
        Ok(snapshot) => snapshot,
        Err(error) => {
            warn!("cannot look for addresses of an earlier run: {error}");
            return Vec::new();
        }
    };
    let index = |name: IfName| snapshot.links.iter().find(|link| link.name == name).map(|link| link.index);
    let is_there = |link: IfIndex, address: &VirtualAddress| snapshot.addresses.contains(&(link, address.cidr));
    let recorded = recorded.into_iter().filter_map(|address| Some((index(address.interface)?, Arc::new(address))));
    let mut left: Vec<Holding> = recorded
        .filter(|(link, address)| address.peer.is_some() || is_there(*link, address))
        .map(|(link, address)| Holding { link, address })
        .collect();
    if !neighbours::another_keepalived_runs_here(own) {
        let marked = links::leftovers().unwrap_or_default();
        let is_new = |holding: &Holding| {
            left.iter().all(|known| (known.link, known.address.cidr) != (holding.link, holding.address.cidr))
        };
        let marked: Vec<_> = marked.into_iter().filter(is_new).collect();
        left.extend(marked);
    }
    let failures = links::remove_blocking(&left);
    for failure in &failures {
        if let Failure::RemoveAddress(holding, errno) = failure {
            let errno = std::io::Error::from_raw_os_error(*errno);
            warn!(
                "cannot remove {} of an earlier run from {}: {errno}",
                holding.address.cidr, holding.address.interface
            );
        }
    }
    let removed = left.iter().filter(|holding| {
        !failures.iter().any(|failure| matches!(failure, Failure::RemoveAddress(failed, _) if failed == *holding))
    });
    let removed: Vec<String> =
        removed.map(|holding| format!("{} from {}", holding.address.cidr, holding.address.interface)).collect();
    for line in &removed {
        info!("removed {line}, left by an earlier run");
    }
    if failures.is_empty() {
        let _ = std::fs::remove_file(path);
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_what_it_wrote() {
        let mut record = Record::new("/nonexistent".into());
        let mut address = parse_line("eth0 10.0.0.5/24").unwrap();
        record.add(&address);
        (address.peer, address.cidr.prefix) = (Some([10, 9, 9, 9].into()), 32);
        record.add(&address);
        record.add(&parse_line("vlan6 2001:db8::1/64").unwrap());
        let text = record.text();
        assert_eq!(text, "eth0 10.0.0.5/24\neth0 10.0.0.5/32 peer 10.9.9.9\nvlan6 2001:db8::1/64\n");
        let keys: Vec<_> = parse(&text).iter().map(key).collect();
        assert_eq!(keys, record.held.iter().copied().collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_record_gives_what_can_be_read() {
        assert_eq!(parse("eth0\n/ 1\neth0 10.0.0.5/24\neth0 10.0.0.5\n\u{0} x/y\neth0 ::1/64 peer\n").len(), 1);
    }
}
