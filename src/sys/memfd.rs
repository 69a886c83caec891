//! Sealed memory files: the configuration as the parent read it, handed to children that cannot change it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Makes a memory file with this content that nobody can change any more.
pub fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Reads a whole memory file. All who have been handed it share one position in it, and may read at the same time: it
/// is neither used nor moved.
pub fn read(fd: OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(fd);
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_cannot_be_changed_and_can_be_read_twice() {
        let fd = sealed("configuration", b"vrrp_instance VI_1 {").unwrap();
        let mut writable = File::from(fd.try_clone().unwrap());
        assert!(writable.write_all(b"x").is_err());
        assert_eq!(read(fd.try_clone().unwrap()).unwrap(), b"vrrp_instance VI_1 {");
        assert_eq!(read(fd).unwrap(), b"vrrp_instance VI_1 {");
    }

    #[test]
    fn all_who_have_it_may_read_it_at_the_same_time() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let fd = sealed("configuration", &bytes).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20).for_each(|_| assert!(read(fd.try_clone().unwrap()).unwrap() == bytes)));
            }
        });
    }
}
