//! Links and addresses asked for at once and waited for: at start, for `-t`, for `cleanup`, at the end. Not for the loop.

use std::io;
use std::sync::Arc;

use super::netlink::Tuning;
use super::netlink::message::{Address, Change, IFAPROT_KEEPALIVED};
use super::netlink::requests::{Request, Requests, WINDOW};
use crate::model::vrrp::VirtualAddress;
use crate::vrrp::io::{Failure, Holding, Link, Snapshot};

/// All links and addresses of this network namespace.
pub fn snapshot() -> io::Result<Snapshot> {
    Ok(Requests::open(Tuning::default())?.dump()?.snapshot())
}

/// Addresses that carry keepalived's mark: what a run that crashed has left, while no daemon runs here. Kernels before
/// 5.18 keep no mark; there it finds none.
pub fn leftovers() -> io::Result<Vec<Holding>> {
    let dump = Requests::open(Tuning::default())?.dump()?;
    let marked = dump.addresses.iter().filter(|address| address.protocol == Some(IFAPROT_KEEPALIVED));
    Ok(marked.filter_map(|address| holding(&dump.links, address)).collect())
}

/// Removes addresses and waits for it, within the time limit of a request; what could not be removed comes back. What is
/// not there is no failure.
pub fn remove_blocking(holdings: &[Holding]) -> Vec<Failure> {
    let failed = |holding: &Holding, error: &io::Error| {
        Failure::RemoveAddress(holding.clone(), error.raw_os_error().unwrap_or(libc::EIO))
    };
    let mut requests = match Requests::open(Tuning::default()) {
        Ok(requests) => requests,
        Err(error) => return holdings.iter().map(|holding| failed(holding, &error)).collect(),
    };
    let mut failures = Vec::new();
    for window in holdings.chunks(WINDOW) {
        let mut window: Vec<_> = window.iter().map(|one| Request::new(Change::Remove, one.clone())).collect();
        requests.carry_out(&mut window, |_| {});
        failures.extend(window.iter().filter_map(Request::failure));
    }
    failures
}

/// An address of the kernel as something to remove.
fn holding(links: &[Link], address: &Address) -> Option<Holding> {
    let link = links.iter().find(|link| link.index == address.link)?;
    let plain = VirtualAddress::plain(address.cidr, link.name);
    let virtual_address = VirtualAddress { peer: address.peer, track: false, ..plain };
    Some(Holding { link: link.index, address: Arc::new(virtual_address) })
}
