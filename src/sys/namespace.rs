//! Network namespaces: entering one by name, with a `/run/keepalived` of its own (`operator-surface.md` §3.5).

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Where pid files are put with `use_pid_dir`.
pub const PID_DIRECTORY: &str = "/run/keepalived";

/// Makes a directory for pid files and sockets, 0755 whatever the umask.
pub fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Enters a network namespace made by `ip netns add`.
pub fn enter(name: &str) -> Result<(), String> {
    let path = Path::new("/run/netns").join(name);
    let file = File::open(&path).map_err(|_| format!("Failed to open {}", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .map_err(|error| format!("Unable to set network namespace {name} - exiting ({})", error.desc()))
}

/// Puts `/run/keepalived/NAME` in the place of `/run/keepalived`, for this process and its children only. Gives the
/// directory's name outside, to be removed at the end if it is empty.
pub fn own_pid_directory(name: &str) -> io::Result<PathBuf> {
    let base = Path::new(PID_DIRECTORY);
    let own = base.join(name);
    make_directory(base)?;
    make_directory(&own)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Our mounts shall not be seen outside; theirs may still reach us.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)?;
    mount(Some(&own), base, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(own)
}

/// Takes the directory of [`own_pid_directory`] away again, so that it can be removed.
pub fn leave_pid_directory() {
    let _ = umount2(PID_DIRECTORY, MntFlags::MNT_DETACH);
}
