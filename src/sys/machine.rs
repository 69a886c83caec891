//! The host as the configuration asks about it: links, users, scripts.

use std::ffi::CString;
use std::fs::Metadata;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{self, Gid, Group, Uid};

use super::links;
use crate::addr::IfName;
use crate::config::machine::{FoundScript, Link, Machine, ScriptProblem, User};
use crate::vrrp::io::Snapshot;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SET_UID: u32 = 0o4000;
const STICKY: u32 = 0o1000;

/// This host, with the links of the network namespace it was asked in.
#[derive(Debug, Default)]
pub struct Host {
    snapshot: Snapshot,
}

impl Host {
    /// Asks the kernel for links and addresses; everything else is asked for when needed.
    pub fn observe() -> io::Result<Self> {
        Ok(Self { snapshot: links::snapshot()? })
    }
}

impl Machine for Host {
    fn link(&self, name: &IfName) -> Option<Link> {
        let link = self.snapshot.links.iter().find(|link| link.name == *name)?;
        let here = self.snapshot.addresses.iter().filter(|(index, _)| *index == link.index);
        Some(Link {
            multicast: link.multicast,
            loopback: link.loopback,
            ethernet: link.ethernet,
            mtu: link.mtu,
            addresses: here.map(|(_, cidr)| *cidr).collect(),
        })
    }

    fn link_names(&self) -> Vec<String> {
        self.snapshot.links.iter().map(|link| link.name.to_string()).collect()
    }

    fn user(&self, name: &str) -> Option<User> {
        let user = unistd::User::from_name(name).ok().flatten()?;
        Some(User { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
    }

    fn group(&self, name: &str) -> Option<u32> {
        Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
    }

    fn own_user(&self) -> User {
        User { uid: unistd::geteuid().as_raw(), gid: unistd::getegid().as_raw() }
    }

    fn own_user_name(&self) -> String {
        let uid = unistd::geteuid();
        unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
    }

    fn address_of(&self, host: &str) -> Option<IpAddr> {
        (host, 0).to_socket_addrs().ok()?.next().map(|address| address.ip())
    }

    fn host_name(&self) -> String {
        unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn has_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn script(&self, path: &Path, user: User, use_symlink_paths: bool) -> Result<FoundScript, ScriptProblem> {
        let searched = !path.as_os_str().as_bytes().contains(&b'/');
        let found = if searched { search(path).ok_or(ScriptProblem::NotFound)? } else { path.to_owned() };
        let real = found.canonicalize().map_err(|_| ScriptProblem::NotFound)?;
        let metadata = real.metadata().map_err(|_| ScriptProblem::NotFound)?;
        if !metadata.is_file() {
            return Err(ScriptProblem::NotAFile);
        }
        let who = Who::new(user);
        if let Some(directory) = unreachable_directory(&real, &who) {
            return Err(ScriptProblem::NotAccessible(directory));
        }
        if !who.may(&metadata, 0o1) {
            return Err(ScriptProblem::NotExecutable);
        }
        let as_root = user.uid == 0 || user.gid == 0 || metadata.uid() == 0 && metadata.mode() & SET_UID != 0;
        // Both ways to the file count: the one as written, through its links, and the one they lead to.
        let insecure = as_root.then(|| changeable_element(&found).or_else(|| changeable_element(&real))).flatten();
        Ok(FoundScript { path: if use_symlink_paths { found } else { real }, searched, insecure })
    }
}

/// A user as permission bits see it.
struct Who {
    uid: u32,
    groups: Vec<u32>,
}

impl Who {
    fn new(user: User) -> Self {
        let mut groups = vec![user.gid];
        let name = unistd::User::from_uid(Uid::from_raw(user.uid)).ok().flatten().map(|user| user.name);
        if let Some(name) = name.and_then(|name| CString::new(name).ok())
            && let Ok(more) = unistd::getgrouplist(&name, Gid::from_raw(user.gid))
        {
            groups.extend(more.iter().map(|gid| gid.as_raw()));
        }
        Self { uid: user.uid, groups }
    }

    /// Whether the mode lets this user do it; `bit` is 4, 2 or 1 as for others.
    fn may(&self, metadata: &Metadata, bit: u32) -> bool {
        let mode = metadata.mode();
        match () {
            // Root may search every directory, and execute what anybody may execute.
            () if self.uid == 0 => metadata.is_dir() || mode & (bit * 0o111) != 0,
            () if metadata.uid() == self.uid => mode & (bit << 6) != 0,
            () if self.groups.contains(&metadata.gid()) => mode & (bit << 3) != 0,
            () => mode & bit != 0,
        }
    }
}

/// The first file of that name in `PATH` that somebody may execute.
fn search(name: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The first directory on the way that the user may not search.
fn unreachable_directory(file: &Path, who: &Who) -> Option<PathBuf> {
    let mut directories: Vec<&Path> = file.ancestors().skip(1).collect();
    directories.reverse();
    let closed = |directory: &&Path| !directory.metadata().is_ok_and(|metadata| who.may(&metadata, 0o1));
    directories.into_iter().find(closed).map(Path::to_owned)
}

/// The first element on the way, the file included, that somebody other than root can change. Links count by their
/// owner: one that belongs to root, in a directory that only root can write, is safe.
fn changeable_element(file: &Path) -> Option<PathBuf> {
    let mut prefix = PathBuf::new();
    for component in file.components() {
        prefix.push(component);
        let link = prefix.symlink_metadata().ok()?;
        if link.is_symlink() && link.uid() != 0 {
            return Some(prefix);
        }
        let metadata = prefix.metadata().ok()?;
        let mode = metadata.mode();
        let by_group = mode & 0o020 != 0 && metadata.gid() != 0;
        let by_others = mode & 0o002 != 0;
        let protected = metadata.is_dir() && mode & STICKY != 0;
        if metadata.uid() != 0 || (by_group || by_others) && !protected {
            return Some(prefix);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ROOT: User = User { uid: 0, gid: 0 };
    const NOBODY: User = User { uid: 65_534, gid: 65_534 };

    fn host() -> Host {
        Host { snapshot: Snapshot::default() }
    }

    #[test]
    fn a_program_through_a_link_of_roots_is_safe_and_found_in_its_real_place() {
        let found = host().script(Path::new("/bin/true"), ROOT, false).unwrap();
        assert_eq!(found.insecure, None);
        assert_eq!(found.path, Path::new("/bin/true").canonicalize().unwrap());
        assert_eq!(host().script(Path::new("/bin/true"), ROOT, true).unwrap().path, Path::new("/bin/true"));
    }

    #[test]
    fn a_bare_name_is_searched() {
        assert!(host().script(Path::new("true"), ROOT, false).unwrap().searched);
        assert_eq!(host().script(Path::new("no-such-program"), ROOT, false), Err(ScriptProblem::NotFound));
    }

    #[test]
    fn what_others_can_change_is_insecure_for_root_only() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = directory.path().join("check.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(host().script(&script, ROOT, false).unwrap().insecure.as_deref(), Some(script.as_path()));
        assert_eq!(host().script(&script, NOBODY, false).unwrap().insecure, None);
    }

    /// C16: the link is root's, but others can put another one in its place.
    #[test]
    fn a_link_in_a_directory_that_others_can_write_is_insecure() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let link = open.join("check.sh");
        std::os::unix::fs::symlink("/usr/bin/true", &link).unwrap();
        assert_eq!(host().script(&link, ROOT, false).unwrap().insecure.as_deref(), Some(open.as_path()));
    }

    #[test]
    fn a_user_needs_its_own_permission() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let script = directory.path().join("check.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(host().script(&script, ROOT, false).is_ok());
        assert_eq!(host().script(&script, NOBODY, false), Err(ScriptProblem::NotExecutable));
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let closed = ScriptProblem::NotAccessible(directory.path().canonicalize().unwrap());
        assert_eq!(host().script(&script, NOBODY, false), Err(closed));
        assert_eq!(host().script(directory.path(), ROOT, false), Err(ScriptProblem::NotAFile));
    }
}
