//! `net.ipv4.ping_group_range`: which groups may ping without a raw socket. It belongs to the network namespace.

use std::io;

const PATH: &str = "/proc/sys/net/ipv4/ping_group_range";

/// The range as it was, to be put back.
#[derive(Debug)]
pub struct PingGroups {
    before: String,
}

impl PingGroups {
    /// Lets group 0 ping, as keepalived does where a PING_CHECK is configured. None where it may already.
    pub fn open() -> io::Result<Option<Self>> {
        let before = std::fs::read_to_string(PATH)?;
        match widened(&before) {
            Some(wider) => {
                std::fs::write(PATH, wider)?;
                Ok(Some(Self { before }))
            }
            None => Ok(None),
        }
    }

    /// Puts it back.
    pub fn restore(self) -> io::Result<()> {
        std::fs::write(PATH, self.before)
    }
}

/// The same range from 0 on; none where it begins there, or is not understood.
fn widened(range: &str) -> Option<String> {
    let mut words = range.split_ascii_whitespace();
    let (min, max) = (words.next()?.parse::<u32>().ok()?, words.next()?);
    (min > 0).then(|| format!("0\t{max}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_made_to_begin_at_0() {
        assert_eq!(widened("1\t0\n").as_deref(), Some("0\t0\n"));
        assert_eq!(widened("100\t200\n").as_deref(), Some("0\t200\n"));
        assert_eq!(widened("0\t2147483647\n"), None);
        assert_eq!(widened("x"), None);
    }
}
