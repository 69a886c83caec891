//! The text of `keepalived.stats`.

use std::fmt::Write as _;

use crate::vrrp::io::View;

/// The text of `keepalived.stats` (`operator-surface.md` §7.3).
pub fn statistics<'a>(views: impl Iterator<Item = View<'a>>) -> String {
    let mut text = String::new();
    for view in views {
        let s = &view.statistics;
        let rows = [
            ("  Advertisements:", None),
            ("    Received", Some(s.advert_rcvd)),
            ("    Sent", Some(s.advert_sent)),
            ("  Became master", Some(s.become_master)),
            ("  Released master", Some(s.release_master)),
            ("  Packet Errors:", None),
            ("    Length", Some(s.packet_len_err)),
            ("    TTL", Some(s.ip_ttl_err)),
            ("    Invalid Type", Some(s.invalid_type_rcvd)),
            ("    Advertisement Interval", Some(s.advert_interval_err)),
            ("    Address List", Some(s.addr_list_err)),
            ("  Authentication Errors:", None),
            ("    Invalid Type", Some(s.invalid_authtype)),
            ("    Type Mismatch", Some(s.authtype_mismatch)),
            ("    Failure", Some(s.auth_failure)),
            ("  Authentication Extension Errors:", None),
            // `auth_hmac` is not built yet: nothing can be wrong with it.
            ("    Missing", Some(0)),
            ("    Malformed", Some(0)),
            ("    Unknown Key", Some(0)),
            ("    Invalid HMAC", Some(0)),
            ("    Stale", Some(0)),
            ("    Replay", Some(0)),
            ("  Priority Zero:", None),
            ("    Received", Some(s.pri_zero_rcvd)),
            ("    Sent", Some(s.pri_zero_sent)),
        ];
        let _ = writeln!(text, "VRRP Instance: {}", view.config.name);
        for (name, count) in rows {
            let _ = match count {
                Some(count) => writeln!(text, "{name}: {count}"),
                None => writeln!(text, "{name}"),
            };
        }
    }
    text
}
