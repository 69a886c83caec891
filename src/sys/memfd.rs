//! Sealed memory files: the configuration as the parent read it, handed to children that cannot change it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

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

/// Reads a memory file from its beginning.
pub fn read(fd: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(fd);
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
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
}
