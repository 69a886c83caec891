//! The JSON dump (`operator-surface.md` §7.4): one line, keys in keepalived's order, `/` written as `\/`.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use super::data::{WallTime, command, virtual_address};
use crate::model::vrrp::{Authentication, VirtualAddress};
use crate::model::{Notify, Vrrp};
use crate::time::Instant;
use crate::vrrp::io::{Role, Statistics, View};

/// The dump of the VRRP process in the shape of `json_version` 1 or 2.
pub fn json<'a>(
    version: u8,
    vrrp: &Vrrp,
    views: impl Iterator<Item = View<'a>>,
    wall: impl Fn(Instant) -> WallTime,
) -> String {
    let instances = list(views.map(|view| {
        let mut object = Object::default();
        object.raw("data", data(&view, vrrp, &wall(view.last_transition))).raw("stats", stats(&view.statistics));
        object.end()
    }));
    let mut text = match version {
        // Track processes are not built yet; keepalived leaves their key out where there are none.
        2 => Object::default().raw("vrrp", instances).end(),
        _ => instances,
    };
    text.push('\n');
    text
}

fn data(view: &View<'_>, vrrp: &Vrrp, last_transition: &WallTime) -> String {
    let (config, garp) = (view.config, &view.config.garp);
    let state = state(view.role);
    let mut o = Object::default();
    o.text("iname", &config.name)
        .flag("dont_track_primary", !config.track_primary)
        .flag("skip_check_adv_addr", config.skip_check_adv_addr)
        .flag("strict_mode", config.strict)
        .text("vmac_ifname", "");
    if let Some(interface) = config.interface {
        o.text("ifp_ifname", interface.as_str());
    }
    o.raw("master_priority", view.master.map_or(0, |(_, priority)| priority))
        .raw("last_transition", format_args!("{}.{:06}", last_transition.secs, last_transition.micros))
        .raw("garp_delay", garp.master_delay.as_secs_f64())
        .raw("garp_refresh", garp.master_refresh.as_secs_f64())
        .raw("garp_rep", garp.master_repeat)
        .raw("garp_refresh_rep", garp.master_refresh_repeat)
        .raw("garp_lower_prio_delay", garp.lower_prio_delay.as_secs_f64())
        .raw("garp_lower_prio_rep", garp.lower_prio_repeat)
        .flag("lower_prio_no_advert", config.lower_prio_no_advert)
        .flag("higher_prio_send_advert", config.higher_prio_send_advert)
        .raw("vrid", config.vrid)
        .raw("base_priority", config.priority)
        .raw("effective_priority", view.effective_priority)
        .raw("vipset", view.role == Role::Master)
        .raw("promote_secondaries", config.promote_secondaries)
        .raw("adver_int", config.advert_interval.duration().as_secs_f64())
        .raw("master_adver_int", view.master_adver_interval.duration().as_secs_f64())
        .flag("accept", config.accept)
        .raw("nopreempt", !config.preempt)
        .raw("preempt_delay", config.preempt_delay.as_secs())
        .raw("state", state)
        .raw("wantstate", state)
        .raw("version", config.version.number())
        .raw("smtp_alert", config.notify.smtp_alert)
        .raw("notify_deleted", config.notify.reports_deleted);
    scripts(&mut o, &config.notify);
    let set = if view.role == Role::Master { " set" } else { "" };
    let address = |va: &Arc<VirtualAddress>| format!("{}{set}", virtual_address(va));
    o.texts("vips", config.addresses.iter().map(address))
        .texts("evips", config.excluded.iter().map(address))
        .texts("track_ifp", config.track_interfaces.iter().map(|track| track.interface.to_string()));
    let tracked = config.track_scripts.iter().filter_map(|track| vrrp.scripts.get(track.script.0));
    o.texts("track_script", tracked.map(|script| command(&script.command)));
    match config.authentication {
        Authentication::None => o.raw("auth_type", 0),
        // A dump is for showing around.
        Authentication::Pass(_) => o.raw("auth_type", 1).text("auth_data", "********"),
    };
    o.end()
}

fn scripts(object: &mut Object, notify: &Notify) {
    let rows = [
        ("script_backup", &notify.backup),
        ("script_master", &notify.master),
        ("script_fault", &notify.fault),
        ("script_stop", &notify.stop),
        ("script_deleted", &notify.deleted),
        ("script", &notify.generic),
        ("script_master_rx_lower_pri", &notify.master_rx_lower_pri),
    ];
    for (key, script) in rows {
        if let Some(script) = script {
            object.text(key, &command(script));
        }
    }
}

fn stats(s: &Statistics) -> String {
    let rows = [
        ("advert_rcvd", s.advert_rcvd),
        ("advert_sent", s.advert_sent),
        ("become_master", s.become_master),
        ("release_master", s.release_master),
        ("packet_len_err", s.packet_len_err),
        ("advert_interval_err", s.advert_interval_err),
        ("ip_ttl_err", s.ip_ttl_err),
        ("invalid_type_rcvd", s.invalid_type_rcvd),
        ("addr_list_err", s.addr_list_err),
        ("invalid_authtype", s.invalid_authtype),
        ("authtype_mismatch", s.authtype_mismatch),
        ("auth_failure", s.auth_failure),
        // `auth_hmac` is not built yet: nothing can be wrong with it.
        ("auth_ext_missing", 0),
        ("auth_ext_malformed", 0),
        ("auth_ext_unknown_key", 0),
        ("auth_ext_invalid_hmac", 0),
        ("auth_ext_stale", 0),
        ("auth_ext_replay", 0),
        ("pri_zero_rcvd", s.pri_zero_rcvd),
        ("pri_zero_sent", s.pri_zero_sent),
    ];
    let mut object = Object::default();
    for (key, count) in rows {
        object.raw(key, count);
    }
    object.end()
}

/// keepalived's number of a state.
const fn state(role: Role) -> u8 {
    match role {
        Role::Init => 0,
        Role::Backup => 1,
        Role::Master => 2,
        Role::Fault => 3,
    }
}

/// The members of an object so far. Keys are ours and need no escapes.
#[derive(Default)]
struct Object(String);

impl Object {
    /// A value that is JSON already: a number, a truth value, an object.
    fn raw(&mut self, key: &str, value: impl Display) -> &mut Self {
        let separator = if self.0.is_empty() { "" } else { "," };
        let _ = write!(self.0, "{separator}\"{key}\":{value}");
        self
    }

    fn flag(&mut self, key: &str, on: bool) -> &mut Self {
        self.raw(key, u8::from(on))
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.raw(key, quoted(value))
    }

    /// Left out where there are none.
    fn texts(&mut self, key: &str, values: impl Iterator<Item = String>) -> &mut Self {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.raw(key, list(values.map(|value| quoted(&value))));
        }
        self
    }

    fn end(&self) -> String {
        format!("{{{}}}", self.0)
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' | '/' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_stays_itself_through_a_json_reader() {
        let text: String = (0..0x300).filter_map(char::from_u32).collect();
        assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        assert_eq!(quoted("/etc/n.sh"), r#""\/etc\/n.sh""#);
    }

    #[test]
    fn empty_lists_are_left_out_and_members_keep_their_order() {
        let mut object = Object::default();
        object.flag("a", true).texts("b", std::iter::empty()).raw("c", 0.5).texts("d", ["x".to_owned()].into_iter());
        assert_eq!(object.end(), r#"{"a":1,"c":0.5,"d":["x"]}"#);
    }

    #[test]
    fn both_shapes_end_with_a_newline() {
        let none = || std::iter::empty::<View<'_>>();
        let wall = |_| WallTime { secs: 0, micros: 0, date: String::new() };
        assert_eq!(json(1, &Vrrp::default(), none(), wall), "[]\n");
        assert_eq!(json(2, &Vrrp::default(), none(), wall), "{\"vrrp\":[]}\n");
    }
}
