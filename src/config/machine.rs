//! What the configuration needs to know of the host, behind a trait: the real one is `sys::machine`, tests have a fake.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::addr::{Cidr, IfName};

/// Questions the resolver asks the host. Nothing here changes anything.
pub trait Machine {
    /// An interface of the network namespace the VRRP process runs in.
    fn link(&self, name: &IfName) -> Option<Link>;
    /// The names of all interfaces, for "did you mean".
    fn link_names(&self) -> Vec<String>;
    /// A user by name.
    fn user(&self, name: &str) -> Option<User>;
    /// A group's number by name.
    fn group(&self, name: &str) -> Option<u32>;
    /// Whom the daemon runs as.
    fn own_user(&self) -> User;
    /// The name of that user.
    fn own_user_name(&self) -> String;
    /// Looks a host name up. Takes its time.
    fn address_of(&self, host: &str) -> Option<IpAddr>;
    /// The full host name.
    fn host_name(&self) -> String;
    /// Whether a directory exists.
    fn has_directory(&self, path: &Path) -> bool;
    /// Finds a script and judges it for the user who shall run it. `path` is the first word of the command; one without
    /// a `/` is looked for in `PATH`.
    fn script(&self, path: &Path, user: User, use_symlink_paths: bool) -> Result<FoundScript, ScriptProblem>;
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// IFF_MULTICAST
    pub multicast: bool,
    /// IFF_LOOPBACK
    pub loopback: bool,
    /// ARPHRD_ETHER
    pub ethernet: bool,
    /// Largest IP packet.
    pub mtu: u32,
    /// Its addresses, in the kernel's order.
    pub addresses: Vec<Cidr>,
}

/// A user and its main group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User {
    /// User number.
    pub uid: u32,
    /// Number of its main group.
    pub gid: u32,
}

/// A script that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundScript {
    /// What is executed.
    pub path: PathBuf,
    /// It was found by searching `PATH`.
    pub searched: bool,
    /// The path element that somebody other than root can change although the script runs as root (or is set-id root).
    pub insecure: Option<PathBuf>,
}

/// Why a script cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptProblem {
    /// It does not exist, or the user cannot reach it.
    NotFound,
    /// The user cannot reach it (search permission of this directory).
    NotAccessible(PathBuf),
    /// The user may not execute it.
    NotExecutable,
    /// It is no regular file.
    NotAFile,
}

impl fmt::Display for ScriptProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("does not exist"),
            Self::NotAccessible(directory) => write!(f, "cannot be reached through {}", directory.display()),
            Self::NotExecutable => f.write_str("is not executable for its user"),
            Self::NotAFile => f.write_str("is not a regular file"),
        }
    }
}

/// A host made up for tests and for `try`.
#[derive(Clone, Debug)]
pub struct FakeMachine {
    /// The interfaces that exist.
    pub links: BTreeMap<String, Link>,
    /// Every interface that is asked for exists.
    pub every_link_exists: bool,
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Every user and group that is asked for exists, except `keepalived_script`.
    pub every_user_exists: bool,
    /// Scripts that do not exist, or directories whose scripts do not; all others do.
    pub missing_scripts: Vec<PathBuf>,
    /// Interfaces that do not exist even where all others do.
    pub missing_links: Vec<String>,
    /// Names of the scripts that exist; none is all.
    pub only_scripts: Option<Vec<String>>,
    /// Host names that can be looked up.
    pub hosts: BTreeMap<String, IpAddr>,
}

impl Default for FakeMachine {
    /// `lo`, `eth0` and `eth1`; only root; every script.
    fn default() -> Self {
        let eth = |last: u8| Link {
            multicast: true,
            loopback: false,
            ethernet: true,
            mtu: 1500,
            addresses: vec![
                Cidr { address: [192, 0, 2, last].into(), prefix: 24 },
                Cidr { address: [0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)].into(), prefix: 64 },
            ],
        };
        let lo = Link {
            multicast: false,
            loopback: true,
            ethernet: false,
            mtu: 65536,
            addresses: vec![Cidr { address: [127, 0, 0, 1].into(), prefix: 8 }],
        };
        Self {
            links: [("lo", lo), ("eth0", eth(1)), ("eth1", eth(2))].map(|(n, l)| (n.to_owned(), l)).into(),
            every_link_exists: false,
            users: [("root".to_owned(), User { uid: 0, gid: 0 })].into(),
            every_user_exists: false,
            missing_scripts: Vec::new(),
            missing_links: Vec::new(),
            only_scripts: None,
            hosts: BTreeMap::new(),
        }
    }
}

impl Machine for FakeMachine {
    fn link(&self, name: &IfName) -> Option<Link> {
        let known = self.links.get(name.as_str());
        let made_up = self.every_link_exists && !self.missing_links.iter().any(|missing| missing == name.as_str());
        known.or_else(|| self.links.get("eth0").filter(|_| made_up)).cloned()
    }

    fn link_names(&self) -> Vec<String> {
        self.links.keys().cloned().collect()
    }

    fn user(&self, name: &str) -> Option<User> {
        let anybody = User { uid: 990, gid: 990 };
        let made_up = self.every_user_exists && name != "keepalived_script";
        self.users.get(name).copied().or(made_up.then_some(anybody))
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.user(name).map(|user| user.gid)
    }

    fn own_user(&self) -> User {
        User { uid: 0, gid: 0 }
    }

    fn own_user_name(&self) -> String {
        "root".to_owned()
    }

    fn address_of(&self, host: &str) -> Option<IpAddr> {
        self.hosts.get(host).copied()
    }

    fn host_name(&self) -> String {
        "router.example".to_owned()
    }

    fn has_directory(&self, path: &Path) -> bool {
        ["/", "/etc", "/run", "/tmp", "/var", "/var/run", "/var/log", "/usr", "/dev/shm"].map(Path::new).contains(&path)
    }

    fn script(&self, path: &Path, _user: User, _use_symlink_paths: bool) -> Result<FoundScript, ScriptProblem> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let listed = self.only_scripts.as_ref().is_none_or(|names| names.iter().any(|known| *known == name));
        if !listed || self.missing_scripts.iter().any(|missing| path.starts_with(missing)) {
            return Err(ScriptProblem::NotFound);
        }
        let searched = !path.as_os_str().as_encoded_bytes().contains(&b'/');
        let path = if searched { Path::new("/usr/bin").join(path) } else { path.to_owned() };
        Ok(FoundScript { path, searched, insecure: None })
    }
}
