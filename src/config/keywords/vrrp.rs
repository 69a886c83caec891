//! `vrrp_instance` and the blocks inside it.

use super::address::{self, ADDRESS_OPTIONS};
use super::routes::{ROUTE_OPTIONS, RULE_OPTIONS, check_routes, check_rules};
use super::track::{
    TRACK_BFD, TRACK_FILE, TRACK_INTERFACE, TRACK_PROCESS, TRACK_SCRIPT, track_interfaces, track_lines, track_processes,
};
use super::{
    Block, Entry, Value, at_least_one, block, flag, list, number, option, option_value, script, seconds, switch, value,
};
use crate::addr::Family;
use crate::config::draft::{
    AuthenticationDraft, AuthenticationKind, HmacDraft, InstanceDraft, IpvlanDraft, NotifyDraft, PeerDraft,
};
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::value as values;
use crate::diag::{Code, Span};
use crate::model::vrrp::{InitialState, OldUnicastChecksum, Version};

const U31: i64 = 2_147_483_647;
const U32: i64 = 4_294_967_295;

/// `vrrp_instance NAME { }`
pub static VRRP_INSTANCE: Block<InstanceDraft> = Block {
    path: "vrrp_instance",
    keywords: &[
        // Identity and elections.
        value("state", Value::Words("MASTER|BACKUP"), "role asked for at start, until the first election")
            .default("MASTER where priority is 255, else BACKUP")
            .then(state),
        value("interface", Value::Interface, "interface that the virtual router lives on").default("none").then(
            |i, g, r| {
                i.interface = g.interface();
                r.interfaces.extend(i.interface);
            },
        ),
        value("vrf", Value::Interface, "VRF of a unicast instance that names no interface").default("none").keep(
            |i, g, r| {
                i.vrf = g.interface();
                r.interfaces.extend(i.vrf);
            },
        ),
        number("virtual_router_id", 1, 255, "number of the virtual router on its LAN; the same on all its routers")
            .default("none; it must be given")
            .then(|i, g, _| i.vrid = g.number()),
        number("priority", 1, 255, "who becomes MASTER: the highest; 255 says this router owns the addresses")
            .default("100, or 255 with state MASTER")
            .or_use(100)
            .then(|i, g, _| i.priority = g.number()),
        seconds("advert_int", 10_000, 255_000_000, "time between two adverts of the MASTER")
            .default("1")
            .then(|i, g, _| i.advert_int = g.number()),
        number("version", 2, 3, "version of the protocol").default("vrrp_version; 3 for IPv6").then(version),
        flag("native_ipv6", "IPv6 and version 3 even where no address says so").then(native_ipv6),
        flag("nopreempt", "leave a MASTER with a lower priority in place")
            .then(|i, g, _| i.nopreempt = Some(g.line.keyword.span)),
        flag("preempt", "take back an earlier nopreempt").default("on").then(|i, _, _| i.nopreempt = None),
        seconds("preempt_delay", 0, 1_000_000_000, "how long a lower MASTER is left in place before it is preempted")
            .default("0")
            .or_use(0)
            .then(|i, g, _| i.preempt_delay = g.number()),
        number("down_timer_adverts", 1, 100, "adverts that may be missed before the MASTER counts as gone")
            .default("vrrp_down_timer_adverts")
            .unit("adverts")
            .then(|i, g, _| i.down_timer_adverts = g.number()),
        number(
            "timer_expired_backup",
            1,
            254,
            "give up MASTER after a suspension in which a peer of this priority took over",
        )
        .default("off; 254 without a number")
        .since("2.2.8")
        .optional()
        .then(timer_expired_backup),
        number("thread_timer_expired", 1, 254, "old name of timer_expired_backup")
            .default("off; 254 without a number")
            .since("2.3.2")
            .optional()
            .deprecated("timer_expired_backup")
            .then(timer_expired_backup),
        switch("lower_prio_no_advert", "a MASTER does not answer an advert of lower priority")
            .default("vrrp_lower_prio_no_advert; on in strict mode")
            .then(|i, g, _| i.lower_prio_no_advert = Some(Spanned::new(g.on(), g.span()))),
        switch("higher_prio_send_advert", "a MASTER answers an advert of higher priority once before it yields")
            .default("vrrp_higher_prio_send_advert; off in strict mode")
            .then(|i, g, _| i.higher_prio_send_advert = Some(Spanned::new(g.on(), g.span()))),
        switch("owner_ignore_adverts", "the owner of the addresses does not listen to others")
            .default("vrrp_owner_ignore_adverts; on in strict mode")
            .since("2.3.3")
            .then(|i, g, _| i.owner_ignore_adverts = Some(Spanned::new(g.on(), g.span()))),
        switch("strict_mode", "hold to the RFC where keepalived is more generous")
            .default("vrrp_strict")
            .then(|i, g, _| i.strict = Some(g.on())),
        // Addresses.
        list(
            "virtual_ipaddress",
            "{ <address>[/<prefix>] [<option>...] ... }",
            "addresses that the MASTER holds and advertises, all of one family",
        )
        .default("none")
        .options(VIRTUAL_ADDRESS)
        .then(virtual_addresses),
        list(
            "virtual_ipaddress_excluded",
            "{ <address>[/<prefix>] [<option>...] ... }",
            "addresses that the MASTER holds but does not advertise, of either family",
        )
        .default("none")
        .options(VIRTUAL_ADDRESS)
        .then(|i, g, r| address::read_lines(&mut i.excluded, g, r)),
        flag("no_virtual_ipaddress", "an instance without addresses is meant")
            .since("2.2.8")
            .then(|i, g, _| i.no_virtual_ipaddress = Some(g.line.keyword.span)),
        flag("promote_secondaries", "let the kernel keep secondary addresses when the primary goes")
            .then(|i, g, _| i.promote_secondaries = Some(g.line.keyword.span)),
        list("virtual_routes", "{ <route> ... }", "routes that exist while MASTER")
            .default("none")
            .options(ROUTE_OPTIONS)
            .keep(|i, g, r| i.has_routes |= check_routes(g, r)),
        list("virtual_rules", "{ <rule> ... }", "policy rules that exist while MASTER")
            .default("none")
            .options(RULE_OPTIONS)
            .keep(|i, g, r| i.has_routes |= check_rules(g, r)),
        flag("accept", "take packets sent to the virtual addresses")
            .default("on; in strict mode only for the owner")
            .then(|i, g, _| i.accept = Some(Spanned::new(true, g.line.keyword.span))),
        flag("no_accept", "drop packets sent to the virtual addresses")
            .default("see accept")
            .keep(|i, g, _| i.accept = Some(Spanned::new(false, g.line.keyword.span))),
        // How adverts travel.
        value("mcast_src_ip", Value::Address, "source address of adverts").default("of the interface").then(source),
        value("unicast_src_ip", Value::Address, "source address of adverts to unicast peers")
            .default("of the interface")
            .then(|i, g, r| {
                unicast(i, g);
                source(i, g, r);
            }),
        value("mcast_dst_ip", Value::Multicast, "multicast group of adverts")
            .default("vrrp_mcast_group4 or vrrp_mcast_group6")
            .then(mcast_dst),
        flag("track_src_ip", "FAULT while the source address is missing").then(|i, _, _| i.track_source = true),
        list(
            "unicast_peer",
            "{ <address> [min_ttl <number>] [max_ttl <number>] ... }",
            "routers to send adverts to one by one instead of to a group",
        )
        .default("none: multicast")
        .options(UNICAST_PEER)
        .then(unicast_peers),
        flag("unicast_fault_no_peer", "FAULT instead of multicast where a unicast instance has no peer").then(
            |i, g, _| {
                unicast(i, g);
                i.unicast_fault_no_peer = true;
            },
        ),
        flag("check_unicast_src", "drop adverts that come from no configured peer").then(|i, g, _| {
            unicast(i, g);
            i.check_unicast_src = true;
        }),
        value(
            "old_unicast_checksum",
            Value::OneOf(&["never"]),
            "checksum of VRRPv3 to unicast peers as versions before 1.3.7 made it",
        )
        .default("found out from the peers")
        .optional()
        .options(&[option("never", "do not even look for it")])
        .then(old_unicast_checksum),
        number("unicast_ttl", 0, 255, "TTL or hop limit of adverts to unicast peers")
            .default("255; IPv6: the kernel's")
            .unit("hops")
            .then(|i, g, _| i.unicast_ttl = g.number()),
        switch("v3_checksum_as_v2", "VRRPv3 checksum over IPv4 without the pseudo-header")
            .default("the global v3_checksum_as_v2")
            .since("2.2.8")
            .then(|i, g, _| i.v3_checksum_as_v2 = Some(g.on())),
        switch("skip_check_adv_addr", "do not compare the addresses in adverts of the accepted MASTER")
            .default("vrrp_skip_check_adv_addr")
            .then(|i, g, _| i.skip_check_adv_addr = Some(g.on())),
        number("kernel_rx_buf_size", 0, U32, "receive buffer that this instance asks for")
            .default("by vrrp_rx_bufs_policy")
            .unit("bytes")
            .ignored_if_missing()
            .then(|i, g, _| i.kernel_rx_buf_size = g.plain()),
        block("authentication", "{ ... }", "authentication of the old kind, VRRPv2 only")
            .default("none")
            .then(|i, g, r| r.read_body(&AUTHENTICATION, &mut i.authentication, g)),
        block("auth_hmac", "{ ... }", "a keyed HMAC after every advert").default("none").since("2.4.0").keep(
            |i, g, r| {
                let span = g.line.keyword.span;
                let new = HmacDraft { span, keys: Vec::new(), active: None, lenient_mode: None };
                r.read_body(&AUTH_HMAC, i.auth_hmac.get_or_insert(new), g);
            },
        ),
        // Announcing the addresses.
        number(
            "garp_master_delay",
            0,
            4294,
            "from becoming MASTER to the second burst of announcements; 0 is no second burst",
        )
        .default("vrrp_garp_master_delay")
        .unit("seconds")
        .then(|i, g, _| i.garp.master_delay = g.plain()),
        at_least_one("garp_master_repeat", U32, "announcements of an address in one burst")
            .default("vrrp_garp_master_repeat")
            .unit("messages")
            .then(|i, g, _| i.garp.master_repeat = g.plain()),
        number("garp_master_refresh", 0, U32, "time between announcements while MASTER; 0 is none")
            .default("vrrp_garp_master_refresh")
            .unit("seconds")
            .or_use(0)
            .then(|i, g, _| i.garp.master_refresh = g.plain()),
        at_least_one("garp_master_refresh_repeat", U32, "announcements of an address in one refresh")
            .default("vrrp_garp_master_refresh_repeat")
            .unit("messages")
            .then(|i, g, _| i.garp.master_refresh_repeat = g.plain()),
        number(
            "garp_lower_prio_delay",
            0,
            4294,
            "from hearing a lower MASTER to the second burst; 0 is no second burst",
        )
        .default("vrrp_garp_lower_prio_delay; 0 in strict mode")
        .unit("seconds")
        .then(|i, g, _| i.garp.lower_prio_delay = g.number()),
        number("garp_lower_prio_repeat", 0, U31, "announcements of an address after hearing a lower MASTER")
            .default("vrrp_garp_lower_prio_repeat; 0 in strict mode")
            .unit("messages")
            .then(|i, g, _| i.garp.lower_prio_repeat = g.number()),
        value(
            "garp_extra_if",
            Value::Words("[all] <number 0 to 86400>"),
            "announcements now and then on other interfaces that hold addresses",
        )
        .default("vrrp_garp_extra_if")
        .unit("seconds")
        .ignored_if_missing()
        .options(&[option("all", "on every interface in use, not only on VMACs").default("off")])
        .keep(garp_extra_if),
        value("vmac_garp_intvl", Value::Words("[all] <number 0 to 86400>"), "old name of garp_extra_if")
            .default("vrrp_garp_extra_if")
            .unit("seconds")
            .ignored_if_missing()
            .deprecated("garp_extra_if")
            .keep(garp_extra_if),
        // What can change its priority or stop it.
        flag("dont_track_primary", "losing the own interface is no FAULT").then(|i, _, _| i.dont_track_primary = true),
        list("track_interface", "{ <interface> [weight <number> [reverse]] ... }", "other interfaces that must be up")
            .default("the own interface only")
            .options(TRACK_INTERFACE)
            .then(|i, g, r| track_interfaces(&mut i.track_interfaces, g, r)),
        list(
            "track_script",
            "{ <vrrp_script> [weight <number> [reverse|noreverse]] ... }",
            "scripts whose result counts",
        )
        .default("none")
        .options(TRACK_SCRIPT)
        .then(|i, g, r| track_lines(&mut i.track_scripts, g, r, 253)),
        list("track_file", "{ <track_file> [weight <number> [reverse|noreverse]] ... }", "files whose number counts")
            .default("none")
            .options(TRACK_FILE)
            .keep(|i, g, r| track_lines(&mut i.track_files, g, r, 254)),
        list(
            "track_process",
            "{ <vrrp_track_process> [weight <number> [reverse|noreverse]] ... }",
            "processes that must run",
        )
        .default("none")
        .options(TRACK_PROCESS)
        .keep(|i, g, r| track_processes(&mut i.track_processes, g, r)),
        list(
            "track_bfd",
            "{ <bfd_instance> [weight <number> [reverse|noreverse]] ... }",
            "BFD sessions that must be up",
        )
        .default("none")
        .options(TRACK_BFD)
        .keep(|i, g, r| track_lines(&mut i.track_bfd, g, r, 253)),
        // Who is told.
        script("notify_backup", "run on becoming BACKUP").then(|i, g, r| notify(&mut i.notify, g, r)),
        script("notify_master", "run on becoming MASTER").then(|i, g, r| notify(&mut i.notify, g, r)),
        script("notify_fault", "run on going to FAULT").then(|i, g, r| notify(&mut i.notify, g, r)),
        script("notify_stop", "run when the daemon stops").then(|i, g, r| notify(&mut i.notify, g, r)),
        script("notify_deleted", "tell of DELETED, not FAULT, when a reload removes the instance")
            .default("FAULT is told")
            .optional()
            .then(|i, g, r| {
                i.notify.reports_deleted = true;
                notify(&mut i.notify, g, r);
            }),
        script(
            "notify",
            "run on every change, after the one for that state, with INSTANCE, name, state and priority added",
        )
        .then(|i, g, r| notify(&mut i.notify, g, r)),
        script("notify_master_rx_lower_pri", "run when a MASTER hears an advert of lower priority")
            .then(|i, g, r| notify(&mut i.notify, g, r)),
        switch("smtp_alert", "mail on changes of state")
            .default("smtp_alert_vrrp, else smtp_alert, else off")
            .keep(|i, g, _| i.notify.smtp_alert = Some(g.on())),
        switch("notify_priority_changes", "write changes of priority to the FIFOs")
            .default("that of the sync group, else vrrp_notify_priority_changes")
            .keep(|i, g, _| i.notify.priority_changes = Some(g.on())),
        // Virtual MACs and other kinds of interface.
        value(
            "use_vmac",
            Value::Words("[[name] <interface>] [<MAC>] [netlink_notify_msg] [group <group>]"),
            "answer for the addresses with the virtual router's own MAC",
        )
        .default("off; the interface is called vrrp.<VRID>")
        .optional()
        .options(USE_VMAC)
        .keep(use_vmac),
        flag("use_vmac_addr", "virtual MACs for addresses on other interfaces, too")
            .keep(|i, _, _| i.use_vmac_addr = true),
        flag("vmac_xmit_base", "send adverts from the parent interface, not from the VMAC")
            .keep(|i, g, _| i.vmac_xmit_base = Some(g.line.keyword.span)),
        value(
            "use_ipvlan",
            Value::Words("[[name] <interface>] [<address>] [bridge|private|vepa] [group <group>]"),
            "run on an ipvlan interface of its own",
        )
        .default("off; bridge")
        .optional()
        .options(USE_IPVLAN)
        .keep(use_ipvlan),
        flag("linkbeat_use_polling", "ask for the state of the interface instead of being told")
            .deprecated("linkbeat_interfaces { ... } at the top level")
            .later(),
        value("lvs_sync_daemon_interface", Value::Interface, "old place of lvs_sync_daemon")
            .default("none")
            .deprecated("lvs_sync_daemon in global_defs")
            .then(lvs_sync_daemon_interface),
        number("debug", 0, 4, "accepted, without effect").default("0").then(|_, _, _| ()),
    ],
};

/// `authentication { }`
pub static AUTHENTICATION: Block<AuthenticationDraft> = Block {
    path: "vrrp_instance/authentication",
    keywords: &[
        value("auth_type", Value::OneOf(&["PASS", "AH"]), "PASS sends a password in the clear, AH signs with IPsec AH")
            .default("none")
            .then(auth_type),
        value("auth_pass", Value::CutText(8), "the shared secret, filled with zeros to eight bytes")
            .default("none")
            .then(|a, g, _| a.password = g.text()),
    ],
};

/// `auth_hmac { }`
pub static AUTH_HMAC: Block<HmacDraft> = Block {
    path: "vrrp_instance/auth_hmac",
    keywords: &[
        value(
            "key",
            Value::Words("<number 1 to 255> <text>|hex:<digits>|file:<path>"),
            "one of the keys, each with its number",
        )
        .default("none")
        .unit("32 to 64 bytes")
        .since("2.4.0")
        .ignored_if_missing()
        .options(&[
            option("hex:", "the key as hexadecimal digits").since("2.4.0"),
            option("file:", "the key is in this file").since("2.4.0"),
        ])
        .keep(hmac_key),
        number("active_key", 1, 255, "which key signs")
            .default("none; it must be given")
            .since("2.4.0")
            .keep(|h, g, _| h.active = g.number()),
        number("time_window", 1, 300, "how far the clocks may differ")
            .default("three times advert_int, 5 to 300")
            .unit("seconds")
            .since("2.4.0")
            .later(),
        value(
            "anti_replay",
            Value::OneOf(&["time", "monotonic"]),
            "what makes an advert fresh: the clock, or only a growing number",
        )
        .default("time")
        .since("2.4.0")
        .later(),
        value(
            "mode",
            Value::OneOf(&["enforce", "permissive", "receive-only"]),
            "whether adverts without a signature are taken, and whether ours have one",
        )
        .default("enforce")
        .since("2.4.0")
        .keep(|h, g, _| h.lenient_mode = g.text().filter(|mode| mode.value != "enforce").map(|mode| mode.span)),
    ],
};

const VIRTUAL_ADDRESS: &[Entry] = &super::with::<{ ADDRESS_OPTIONS.len() + 1 }>(
    ADDRESS_OPTIONS,
    option("use_vmac", "put this address on a VMAC").default("off"),
);

const UNICAST_PEER: &[Entry] = &[
    option("<IPADDR>", "address of the peer, of the instance's family"),
    option_value("min_ttl", Value::Number(0, 255), "drop its adverts that come with a lower TTL")
        .default("0")
        .unit("hops"),
    option_value("max_ttl", Value::Number(0, 255), "drop its adverts that come with a higher TTL")
        .default("255")
        .unit("hops"),
];

const USE_VMAC: &[Entry] = &[
    option_value("name", Value::Interface, "name of the new interface; the word itself may be left out")
        .default("vrrp.<VRID>"),
    option("<MAC>", "a MAC of one's own; of five octets the VRID is the sixth").default("00:00:5e:00:01 or 02:<VRID>"),
    option("netlink_notify_msg", "repeat the kernel's messages for the parent interface").default("off").since("2.3.0"),
    option_value("group", Value::Text, "link group of the interface").default("the parent's").since("2.3.0"),
];

const USE_IPVLAN: &[Entry] = &[
    option_value("name", Value::Interface, "name of the new interface; the word itself may be left out")
        .default("made from vmac_prefix and the VRID"),
    option("<IPADDR>[/<PREFIX>]", "address of the interface and source of adverts; IPv4 needs one"),
    option("bridge", "mode of the interface").default("on"),
    option("private", "mode of the interface"),
    option("vepa", "mode of the interface"),
    option_value("group", Value::Text, "link group of the interface").default("the parent's").since("2.3.0"),
];

fn state(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let wanted = match word.text.as_str() {
        "MASTER" => InitialState::Master,
        "BACKUP" => InitialState::Backup,
        other => {
            let help = match other.to_ascii_uppercase().as_str() {
                "MASTER" => "write MASTER, in capitals; until then it starts as BACKUP",
                "BACKUP" => "write BACKUP, in capitals",
                _ => "write MASTER or BACKUP; until then it starts as BACKUP",
            };
            reader.error(Code::BAD_WORD, word.span, format!("state does not know '{other}'")).help(help);
            InitialState::Backup
        }
    };
    if let Some(before) = instance.state.filter(|s| s.value == InitialState::Master)
        && wanted == InitialState::Backup
    {
        reader
            .diagnostics
            .warning(Code::REPEATED, word.span, "state BACKUP after state MASTER; it stays MASTER")
            .label(before.span, "state MASTER is here");
        return;
    }
    instance.state = Some(Spanned::new(wanted, word.span));
}

fn version(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(number) = given.number::<u8>() else { return };
    let version = if number.value == 2 { Version::V2 } else { Version::V3 };
    if let Some(before) = instance.version.filter(|before| before.value != version) {
        reader
            .diagnostics
            .warning(Code::VERSION_CONFLICT, number.span, "version is given twice; the first counts")
            .label(before.span, format!("version {} is here", before.value.number()));
        return;
    }
    if let Some(family) = instance.family.filter(|family| family.value == Family::V6 && version == Version::V2) {
        reader
            .diagnostics
            .warning(Code::VERSION_CONFLICT, number.span, "VRRPv2 is IPv4 only; version 3 is used")
            .label(family.span, "this makes the instance IPv6")
            .help("remove the line");
        return;
    }
    instance.version = Some(Spanned::new(version, number.span));
}

fn native_ipv6(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let span = given.line.keyword.span;
    if let Some(family) = instance.family.filter(|family| family.value == Family::V4) {
        reader
            .diagnostics
            .warning(Code::FAMILY_CONFLICT, span, "native_ipv6 has no effect on an IPv4 instance")
            .label(family.span, "this makes it IPv4");
        return;
    }
    instance.family = instance.family.or(Some(Spanned::new(Family::V6, span)));
    instance.version = Some(Spanned::new(Version::V3, span));
}

/// Fixes the family of an instance by its first address; says whether this one fits.
pub(super) fn family_fits(instance: &mut InstanceDraft, family: Family, span: Span, reader: &mut Reader<'_>) -> bool {
    let fixed = *instance.family.get_or_insert(Spanned::new(family, span));
    if fixed.value == family {
        return true;
    }
    let name = |family| if family == Family::V4 { "IPv4" } else { "IPv6" };
    let message = format!("an {} address in an {} instance; it is ignored", name(family), name(fixed.value));
    reader
        .diagnostics
        .warning(Code::FAMILY_CONFLICT, span, message)
        .label(fixed.span, format!("this makes it {}", name(fixed.value)))
        .help("advertised addresses are of one family; put others under virtual_ipaddress_excluded");
    false
}

fn virtual_addresses(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let mut lines = Vec::new();
    address::read_lines(&mut lines, given, reader);
    for line in lines {
        let family = Family::of(line.cidr.value.address);
        if family_fits(instance, family, line.cidr.span, reader) {
            instance.addresses.push(line);
        }
    }
}

fn timer_expired_backup(instance: &mut InstanceDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let number = given.number().unwrap_or(Spanned::new(254, given.line.keyword.span));
    instance.timer_expired_backup = Some(number);
}

fn unicast(instance: &mut InstanceDraft, given: &Given<'_>) {
    let keyword = Spanned::new(given.entry.name, given.line.keyword.span);
    instance.unicast_keyword.get_or_insert(keyword);
}

fn source(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    if family_fits(instance, Family::of(address.value), address.span, reader) {
        instance.source = Some(address);
    }
}

fn mcast_dst(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    if let std::net::IpAddr::V6(group) = address.value
        && group.octets()[1] & 0x0f != 2
    {
        reader
            .error(Code::BAD_ADDRESS, address.span, format!("mcast_dst_ip: {group} is not of link-local scope"))
            .help("a link-local group begins with ff02");
        return;
    }
    if family_fits(instance, Family::of(address.value), address.span, reader) {
        instance.mcast_dst = Some(address);
    }
}

fn old_unicast_checksum(instance: &mut InstanceDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    unicast(instance, given);
    let never = given.text().is_some();
    instance.old_unicast_checksum = Some(if never { OldUnicastChecksum::Never } else { OldUnicastChecksum::Always });
}

fn unicast_peers(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    unicast(instance, given);
    for (line, words) in given.entries() {
        let Some(address) = reader.plain_address(given.entry, &line.keyword) else { continue };
        let address = Spanned::new(address, line.keyword.span);
        if !family_fits(instance, Family::of(address.value), address.span, reader) {
            continue;
        }
        if let Some(before) = instance.peer_places.get(&address.value) {
            reader
                .diagnostics
                .warning(Code::DUPLICATE_ADDRESS, address.span, format!("peer {} is named twice", address.value))
                .label(*before, "first named here");
            continue;
        }
        instance.peer_places.insert(address.value, address.span);
        let mut peer = PeerDraft { address, min_ttl: None, max_ttl: None };
        let mut words = words.into_iter().skip(1);
        while let Some(word) = words.next() {
            let limit = match word.text.as_str() {
                "min_ttl" => &mut peer.min_ttl,
                "max_ttl" => &mut peer.max_ttl,
                other => {
                    reader
                        .error(Code::UNKNOWN_OPTION, word.span, format!("unicast_peer does not know '{other}'"))
                        .help("after the address there may be min_ttl and max_ttl; the rest of the line is ignored");
                    break;
                }
            };
            let Some(number) = words.next() else {
                reader.error(Code::UNKNOWN_OPTION, word.span, format!("{} needs a number", word.text));
                break;
            };
            *limit = reader.number(given.entry, number, 0, 255).and_then(|n| u8::try_from(n).ok()).or(*limit);
        }
        if let (Some(min), Some(max)) = (peer.min_ttl, peer.max_ttl)
            && min > max
        {
            reader.diagnostics.warning(
                Code::BAD_NUMBER,
                line.span,
                format!("min_ttl {min} is above max_ttl {max}: every advert of this peer is dropped"),
            );
        }
        instance.peers.push(peer);
    }
}

fn auth_type(authentication: &mut AuthenticationDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let Some(word) = given.text() else { return };
    let kind = if word.value == "AH" { AuthenticationKind::Ah } else { AuthenticationKind::Pass };
    authentication.kind = Some(Spanned::new(kind, word.span));
}

fn hmac_key(hmac: &mut HmacDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let [id, key, ..] = given.line.args.as_slice() else {
        reader.error(Code::MISSING_ARGUMENT, given.line.span, "key needs a number and the key itself");
        return;
    };
    let Some(id_number) = reader.number(given.entry, id, 1, 255).and_then(|n| u8::try_from(n).ok()) else { return };
    if hmac.keys.contains(&id_number) {
        reader.error(Code::REPEATED, id.span, format!("key {id_number} is given twice; the first counts"));
        return;
    }
    let length = match key.text.strip_prefix("hex:") {
        Some(digits) => {
            let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
            let sound = digits.iter().all(char::is_ascii_hexdigit) && digits.len().is_multiple_of(2);
            if sound { digits.len() / 2 } else { 0 }
        }
        // The file itself is read where the effect is built.
        None if key.text.starts_with("file:") => 32,
        None => key.as_bytes().len(),
    };
    if !(32..=64).contains(&length) {
        reader
            .error(Code::BAD_WORD, key.span, format!("key {id_number} is not a key of 32 to 64 bytes"))
            .help("head -c 32 /dev/urandom | od -An -tx1 gives one; write hex: and the digits in quotes");
        return;
    }
    hmac.keys.push(id_number);
}

/// Keeps a script of a `notify*` keyword; the first one counts.
pub(super) fn notify(draft: &mut NotifyDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(line) = given.script() else { return };
    if let Some(before) = draft.scripts.get(given.entry.name) {
        reader
            .diagnostics
            .warning(Code::REPEATED, line.span, format!("{} is given twice; the first counts", given.entry.name))
            .label(before.span, "first given here");
        return;
    }
    draft.scripts.insert(given.entry.name, line);
}

fn garp_extra_if(_: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    super::global::interval_with_all(given, reader, 0);
}

fn use_vmac(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    instance.use_vmac = Some(given.line.keyword.span);
    let mut words = given.line.args.iter();
    let mut named = None;
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "netlink_notify_msg" => {}
            "group" => {
                if words.next().is_none() {
                    reader.diagnostics.missing_argument(word.span, "group needs a value");
                }
            }
            mac if mac.contains(':') => vmac_mac(mac, word.span, reader),
            _ => {
                let word = if word.text == "name" { words.next().unwrap_or(word) } else { word };
                if named.replace(word.span).is_some() {
                    let text = format!("use_vmac takes one name; '{}' is ignored", word.text);
                    reader.error(Code::REPEATED, word.span, text);
                } else {
                    reader.interface(given.entry, word);
                }
            }
        }
    }
}

fn vmac_mac(text: &str, span: Span, reader: &mut Reader<'_>) {
    let octets: Option<Vec<u8>> = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    let complaint = match octets.as_deref() {
        Some([0x00, 0x00, 0x5e, 0x00, ..]) => "is a MAC of the VRRP range",
        Some([first, ..]) if first & 1 == 1 => "is a multicast MAC",
        Some(octets) if octets.len() == 5 || octets.len() == 6 => return,
        _ => "is no MAC of five or six octets",
    };
    reader.error(Code::BAD_ADDRESS, span, format!("use_vmac: '{text}' {complaint}; it is ignored"));
}

fn use_ipvlan(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let span = given.line.keyword.span;
    if instance.use_ipvlan.is_some() {
        reader.error(Code::REPEATED, span, "use_ipvlan is given twice; the first counts");
        return;
    }
    let mut draft = IpvlanDraft { span, address: None };
    let mut words = given.line.args.iter();
    while let Some(word) = words.next() {
        let text = word.text.split('/').next().unwrap_or_default();
        match word.text.as_str() {
            "bridge" | "private" | "vepa" => {}
            "group" => {
                if words.next().is_none() {
                    reader.diagnostics.missing_argument(word.span, "group needs a value");
                }
            }
            "name" => {
                words.next().map(|name| reader.interface(given.entry, name));
            }
            _ => match values::address(text) {
                Some(address) if family_fits(instance, Family::of(address), word.span, reader) => {
                    draft.address = Some(Spanned::new(address, word.span));
                }
                Some(_) => {}
                None => {
                    reader.interface(given.entry, word);
                }
            },
        }
    }
    instance.use_ipvlan = Some(draft);
}

fn lvs_sync_daemon_interface(instance: &mut InstanceDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if reader.is_first_sync_daemon(given.line.keyword.span) {
        instance.sync_daemon = given.interface();
    }
}
