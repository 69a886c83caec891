//! What tshark, which knows nothing of us, says about a capture.

use std::path::Path;
use std::process::Command;

/// Has tshark decode every advert, ARP and neighbour advertisement, and fails if it finds anything to complain about.
pub(crate) fn check(pcap: &Path) {
    let fields =
        ["frame.number", "_ws.malformed", "vrrp.checksum.status", "ip.checksum.status", "icmpv6.checksum.status"];
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-o", "ip.check_checksum:TRUE", "-Y", "vrrp || arp || icmpv6.type == 136", "-T", "fields"]);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let done = tshark.arg("-r").arg(pcap).output().expect("tshark runs");
    assert!(done.status.success(), "tshark: {}", String::from_utf8_lossy(&done.stderr));
    let mut adverts = 0;
    for line in String::from_utf8_lossy(&done.stdout).lines() {
        let [number, malformed, vrrp, ip, icmpv6] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("tshark printed {line:?}");
        };
        adverts += usize::from(!vrrp.is_empty());
        // 1 is "Good"; empty where the frame has no such header, two where it quotes another frame.
        let good = [vrrp, ip, icmpv6].iter().all(|status| status.split(',').all(|s| matches!(s, "" | "1")));
        assert!(malformed.is_empty() && good, "frame {number} of {}: {line:?}", pcap.display());
    }
    assert!(adverts > 0, "tshark saw no adverts in {}", pcap.display());
}
