//! The control socket: where it is, and who may talk on it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::{Mode, umask};

/// Listens on `path`, for its owner only. What a dead daemon left there is removed: the caller holds the pid file's lock,
/// so nobody lives behind it.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether a peer may give orders: root, or the user the daemon runs as.
pub fn may_order(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}
