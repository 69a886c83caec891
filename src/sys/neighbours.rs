//! Other daemons of our kind on this machine.

use std::fs;
use std::path::Path;

/// Whether a keepalived, ours or the original, runs in this network namespace that is neither one of `own` processes nor a
/// child of one. Where `/proc` does not tell, none does.
pub fn another_keepalived_runs_here(own: &[u32]) -> bool {
    let Ok(space) = fs::read_link("/proc/self/ns/net") else { return false };
    let program = fs::read_link("/proc/self/exe").ok();
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    processes.flatten().any(|process| {
        let path = process.path();
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { return false };
        let is_keepalived = || {
            let comm = fs::read_to_string(path.join("comm")).unwrap_or_default();
            comm.starts_with("keepalived") || (program.is_some() && fs::read_link(path.join("exe")).ok() == program)
        };
        let is_ours = || own.contains(&pid) || parent_of(&path).is_some_and(|parent| own.contains(&parent));
        fs::read_link(path.join("ns/net")).is_ok_and(|theirs| theirs == space) && is_keepalived() && !is_ours()
    })
}

/// The fourth field of `stat`; the second, in parentheses, may hold anything.
fn parent_of(process: &Path) -> Option<u32> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_is_found() {
        assert_eq!(parent_of(Path::new("/proc/self")), Some(nix::unistd::getppid().as_raw().unsigned_abs()));
    }
}
