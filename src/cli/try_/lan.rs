//! The virtual LAN: a bridge for each interface, three hosts with a cable to each, all in namespaces that nobody else
//! sees and that are gone when the last process in them is.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};

/// Everything a process needs of its own, to be root in there and nowhere else.
pub(super) fn isolate() -> Result<(), String> {
    let everything = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID;
    if geteuid().is_root() {
        return unshare(everything).map_err(|e| format!("cannot make namespaces: {e}"));
    }
    let (user, group) = (geteuid(), getegid());
    unshare(everything | CloneFlags::CLONE_NEWUSER).map_err(|e| {
        format!(
            "cannot make namespaces: {e}\nThis needs root, or a kernel that lets users have namespaces \
             (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)."
        )
    })?;
    let write = |file: &str, text: String| std::fs::write(file, text).map_err(|e| format!("{file}: {e}"));
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("0 {user} 1"))?;
    write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// A /run of its own, and nothing that is mounted from now on is seen outside.
pub(super) fn own_run() -> Result<(), String> {
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
        .map_err(|e| format!("mount /: {e}"))?;
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .map_err(|e| format!("mount /run: {e}"))
}

/// A /proc that shows the processes of this process namespace. Where the kernel refuses, the outer one has to do.
pub(super) fn own_proc() {
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>);
}

/// A connection to the kernel of the network namespace we are in; its work is done on this runtime.
pub(super) fn connect() -> io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

/// The hardware address of a host (1, 2, 3) on a LAN (from 0).
pub(super) fn mac(host: usize, lan: usize) -> [u8; 6] {
    [2, 0, 0, lan as u8, 0, host as u8]
}

/// Makes the bridge of a LAN and a cable from it to each of these processes' namespaces.
pub(super) async fn plug(handle: &Handle, lan: usize, interface: &str, pids: &[u32]) -> Result<(), String> {
    let failed = |e: rtnetlink::Error| format!("cannot make the LAN of {interface}: {e}");
    let bridge_name = format!("lan{lan}");
    handle
        .link()
        .add(LinkBridge::new(&bridge_name).mcast_snooping(false).up().build())
        .execute()
        .await
        .map_err(failed)?;
    let bridge = index(&bridge_name)?;
    for (number, pid) in (1..).zip(pids) {
        let (port, end) = (format!("port{lan}-{number}"), format!("end{lan}-{number}"));
        handle.link().add(LinkVeth::new(&port, &end).build()).execute().await.map_err(failed)?;
        let there = LinkUnspec::new_with_index(index(&end)?).address(mac(number, lan).to_vec()).build();
        handle.link().set(there).execute().await.map_err(failed)?;
        let moved = LinkUnspec::new_with_index(index(&end)?).name(interface).setns_by_pid(*pid).build();
        handle.link().set(moved).execute().await.map_err(failed)?;
        let plugged = LinkUnspec::new_with_index(index(&port)?).controller(bridge).up().build();
        handle.link().set(plugged).execute().await.map_err(failed)?;
    }
    Ok(())
}

/// Brings the interfaces of a host up, with these addresses.
pub(super) async fn configure(
    handle: &Handle,
    interfaces: &[String],
    addresses: &[(String, IpAddr, u8)],
) -> Result<(), String> {
    // Nobody else is on this LAN: no duplicates to look for, no routers to hear of.
    for (setting, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("accept_ra", "0")] {
        for scope in ["all", "default"].into_iter().chain(interfaces.iter().map(String::as_str)) {
            let path = format!("/proc/sys/net/ipv6/conf/{scope}/{setting}");
            if Path::new(&path).exists() {
                // Where it cannot be written, addresses are usable a second later.
                let _ = std::fs::write(path, value);
            }
        }
    }
    for interface in interfaces.iter().map(String::as_str).chain(["lo"]) {
        let up = LinkUnspec::new_with_index(index(interface)?).up().build();
        handle.link().set(up).execute().await.map_err(|e| format!("cannot bring {interface} up: {e}"))?;
    }
    for (interface, address, prefix) in addresses {
        let added = handle.address().add(index(interface)?, *address, *prefix).execute().await;
        added.map_err(|e| format!("cannot give {interface} the address {address}: {e}"))?;
    }
    Ok(())
}

fn index(name: &str) -> Result<u32, String> {
    nix::net::if_::if_nametoindex(name).map_err(|e| format!("interface {name}: {e}"))
}
