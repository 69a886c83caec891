//! `global_defs`.

use super::{
    Block, Entry, Missing, Value, at_least_one, flag, list, number, option, option_value, script, seconds, switch,
    value,
};
use crate::config::draft::{GlobalDraft, ScriptPolicy};
use crate::config::keywords::track::user_words;
use crate::config::reader::{Given, Reader, Spanned};
use crate::config::value as values;
use crate::diag::Code;
use crate::model::lvs::{FlushOnStop, Nftables};
use crate::model::vrrp::Version;

const U31: i64 = 2_147_483_647;
const U32: i64 = 4_294_967_295;
const U32_MICROS: u64 = 4_294_967_295;

/// `global_defs { }`
pub static GLOBAL_DEFS: Block<GlobalDraft> = Block {
    path: "global_defs",
    keywords: &[
        // Names of things.
        flag("process_names", "call the children keepalived_vrrp, keepalived_lvs and keepalived_bfd")
            .then(|g, _, _| g.process_names = true),
        process_name("process_name", "name of the parent process")
            .default("name of the binary")
            .then(|g, v, _| g.process_name = text(v)),
        process_name("vrrp_process_name", "name of the VRRP child").then(|g, v, _| g.vrrp_process_name = text(v)),
        process_name("checker_process_name", "name of the checker child")
            .then(|g, v, _| g.checker_process_name = text(v)),
        process_name("lvs_process_name", "name of the checker child")
            .old_name("checker_process_name")
            .then(|g, v, _| g.checker_process_name = text(v)),
        process_name("bfd_process_name", "name of the BFD child").then(|g, v, _| g.bfd_process_name = text(v)),
        value("router_id", Value::Text, "what this router calls itself in mails and dumps")
            .default("the local host name")
            .ignored_if_missing()
            .then(|g, v, _| g.router_id = v.text()),
        switch("data_use_instance", "instance and namespace are part of the names of dumps")
            .then(|g, v, _| g.data_use_instance = v.on()),
        // Mail.
        value("notification_email_from", Value::Text, "sender of mails")
            .default("user and local host name, once smtp_server is set")
            .ignored_if_missing()
            .then(email_from),
        value("smtp_server", Value::Words("<address or host> [<port>]"), "server that takes mails").default("none; port 25").then(smtp_server),
        value("smtp_helo_name", Value::Text, "name it is greeted with")
            .default("the local host name, once smtp_server is set")
            .optional()
            .then(|g, v, _| g.mail.helo_name = text_of_first(v).or(g.mail.helo_name.take())),
        at_least_one("smtp_connect_timeout", 4294, "limit of each step of the dialogue")
            .default("30")
            .unit("seconds")
            .then(|g, v, _| g.mail.timeout = v.plain()),
        list("notification_email", "{ <address> ... }", "who gets mails").default("none").then(notification_email),
        switch("smtp_alert", "mail wherever nothing else is said")
            .default("nothing said")
            .then(|g, v, _| g.smtp_alert = Some(v.on())),
        switch("smtp_alert_vrrp", "mail on changes of virtual routers")
            .default("smtp_alert, else off")
            .then(|g, v, _| g.smtp_alert_vrrp = Some(v.on())),
        switch("smtp_alert_checker", "mail on changes of virtual servers")
            .default("smtp_alert, else off for services and on for servers")
            .then(|g, v, _| g.lvs.smtp_alert = Some(v.on())),
        switch("no_checker_emails", "mail only when a server comes or goes").then(|g, v, _| g.lvs.no_checker_emails = v.on()),
        flag("no_email_faults", "no mail on FAULT").then(|g, _, _| g.mail.no_faults = true),
        switch("checker_log_all_failures", "log each failed check, not only changes")
            .then(|g, v, _| g.lvs.log_all_failures = v.on()),
        // Scripts.
        script("startup_script", "run once before the children start, which wait for it")
            .ignored_if_missing()
            .then(|g, v, r| process_script(v, r, |g| &mut g.startup_script, g)),
        number("startup_script_timeout", 1, 1000, "when it is killed")
            .default("10")
            .unit("seconds")
            .ignored_if_missing()
            .then(|g, v, _| g.startup_timeout = v.plain()),
        script("shutdown_script", "run once after the children have stopped")
            .ignored_if_missing()
            .then(|g, v, r| process_script(v, r, |g| &mut g.shutdown_script, g)),
        number("shutdown_script_timeout", 1, 1000, "when it is killed")
            .default("10")
            .unit("seconds")
            .ignored_if_missing()
            .then(|g, v, _| g.shutdown_timeout = v.plain()),
        value("script_user", Value::Words("<user> [[:]<group>]"), "whom scripts run as; counts for scripts further down")
            .default("keepalived_script where there is such a user, else the daemon's own")
            .ignored_if_missing()
            .then(|g, v, _| g.scripts.user = user_words(&v.line.args)),
        flag("enable_script_security", "do not run scripts as root that others could change; counts for scripts further down")
            .then(|g, _, _| g.scripts.security = true),
        switch("use_symlink_paths", "run scripts by the path as written, not by the one its links lead to")
            .since("2.3.0")
            .then(|g, v, _| g.use_symlink_paths = v.on()),
        switch("set_supplementary_groups", "scripts have all groups of their user")
            .since("2.4.4")
            .then(|g, v, _| g.supplementary_groups = v.on()),
        // FIFOs.
        fifo("notify_fifo", "FIFO that is told of everything").then(set_fifo),
        fifo_script("notify_fifo_script", "program started to read notify_fifo").then(|g, v, r| fifo_reader("notify_fifo", g, v, r)),
        fifo("vrrp_notify_fifo", "FIFO that is told of virtual routers").then(set_fifo),
        fifo_script("vrrp_notify_fifo_script", "program started to read vrrp_notify_fifo").then(|g, v, r| fifo_reader("vrrp_notify_fifo", g, v, r)),
        fifo("lvs_notify_fifo", "FIFO that is told of virtual servers").then(set_fifo),
        fifo_script("lvs_notify_fifo_script", "program started to read lvs_notify_fifo").then(|g, v, r| fifo_reader("lvs_notify_fifo", g, v, r)),
        switch("vrrp_notify_priority_changes", "tell the FIFOs of changes of priority, too")
            .then(|g, v, _| g.notify_priority_changes = v.on()),
        flag("fifo_write_vrrp_states_on_reload", "tell the FIFOs the states after a reload")
            .then(|g, _, _| g.fifo_states_on_reload = true),
        // Interfaces.
        value("dynamic_interfaces", Value::OneOf(&["allow_if_changes"]), "interfaces may come and go")
            .default("off")
            .optional()
            .options(&[option("allow_if_changes", "one may come back as another kind or on another parent").default("off")])
            .then(|g, v, _| g.dynamic_interfaces = Some(v.text().is_some())),
        value("default_interface", Value::Interface, "interface of static addresses that name none")
            .default("eth0")
            .ignored_if_missing()
            .keep(|g, v, r| {
                g.default_interface = v.interface();
                r.interfaces.extend(g.default_interface);
            }),
        flag("disable_local_igmp", "the kernel reports no membership in 224.0.0.0/24").later(),
        // VRRP.
        value("vrrp_mcast_group4", Value::Multicast4, "where IPv4 adverts go")
            .default("224.0.0.18")
            .then(|g, v, _| g.mcast_group4 = v.address()),
        value("vrrp_mcast_group6", Value::Multicast6, "where IPv6 adverts go").default("ff02::12").then(mcast_group6),
        number("vrrp_version", 2, 3, "version of IPv4 instances that name none").default("2").then(|g, v, _| {
            g.version = v.number::<u8>().map(|n| {
                crate::config::reader::Spanned::new(if n.value == 2 { Version::V2 } else { Version::V3 }, n.span)
            });
        }),
        number("vrrp_garp_master_delay", 0, 4294, "from becoming MASTER to the second burst of announcements; 0 is no second burst")
            .default("5")
            .unit("seconds")
            .then(|g, v, _| g.garp.master_delay = v.plain()),
        at_least_one("vrrp_garp_master_repeat", U32, "announcements of an address in one burst")
            .default("5")
            .unit("messages")
            .then(|g, v, _| g.garp.master_repeat = v.plain()),
        number("vrrp_garp_master_refresh", 0, U32, "time between announcements while MASTER; 0 is none")
            .default("0")
            .unit("seconds")
            .or_use(0)
            .then(|g, v, _| g.garp.master_refresh = v.plain()),
        at_least_one("vrrp_garp_master_refresh_repeat", U32, "announcements of an address in one refresh")
            .default("1")
            .unit("messages")
            .then(|g, v, _| g.garp.master_refresh_repeat = v.plain()),
        number("vrrp_garp_lower_prio_delay", 0, 4294, "from hearing a lower MASTER to the second burst; 0 is no second burst")
            .default("vrrp_garp_master_delay")
            .unit("seconds")
            .then(|g, v, _| g.garp.lower_prio_delay = v.number()),
        number("vrrp_garp_lower_prio_repeat", 0, U31, "announcements of an address after hearing a lower MASTER")
            .default("vrrp_garp_master_repeat")
            .unit("messages")
            .then(|g, v, _| g.garp.lower_prio_repeat = v.number()),
        number("vrrp_down_timer_adverts", 1, 100, "adverts that may be missed before the MASTER counts as gone")
            .default("3")
            .unit("adverts")
            .then(|g, v, _| g.down_timer_adverts = v.plain()),
        seconds("vrrp_garp_interval", 1, U32_MICROS, "gap between two gratuitous ARPs on an interface")
            .default("0")
            .then(|g, v, r| g.garp_interval = announcement_gap(v, r)),
        seconds("vrrp_gna_interval", 1, U32_MICROS, "gap between two neighbour advertisements on an interface")
            .default("0")
            .then(|g, v, r| g.gna_interval = announcement_gap(v, r)),
        switch("vrrp_min_garp", "one announcement and no more, where nothing else is said")
            .then(|g, v, _| g.min_garp = v.on()),
        value("vrrp_garp_extra_if", Value::Words("[all] <number 1 to 86400>"), "announcements now and then on other interfaces that hold addresses")
            .default("0: off")
            .unit("seconds")
            .ignored_if_missing()
            .options(&[option("all", "on every interface in use, not only on VMACs").default("off")])
            .keep(|_, v, r| interval_with_all(v, r, 1)),
        value("vrrp_vmac_garp_intvl", Value::Words("[all] <number 1 to 86400>"), "old name of vrrp_garp_extra_if")
            .default("0: off")
            .unit("seconds")
            .ignored_if_missing()
            .deprecated("vrrp_garp_extra_if")
            .keep(|_, v, r| interval_with_all(v, r, 1)),
        switch("vrrp_lower_prio_no_advert", "a MASTER does not answer an advert of lower priority")
            .then(|g, v, _| g.lower_prio_no_advert = v.on()),
        switch("vrrp_higher_prio_send_advert", "a MASTER answers an advert of higher priority once before it yields")
            .then(|g, v, _| g.higher_prio_send_advert = v.on()),
        switch("vrrp_owner_ignore_adverts", "owners of their addresses do not listen to others")
            .since("2.3.3")
            .then(|g, v, _| g.owner_ignore_adverts = Some(v.on())),
        flag("vrrp_check_unicast_src", "drop unicast adverts that come from no configured peer")
            .then(|g, _, _| g.check_unicast_src = true),
        switch("vrrp_skip_check_adv_addr", "do not compare the addresses in adverts of the accepted MASTER")
            .then(|g, v, _| g.skip_check_adv_addr = v.on()),
        switch("vrrp_strict", "hold to the RFC where keepalived is more generous").then(|g, v, _| g.strict = v.on()),
        // keepalived: takes no value; the manual shows one, so one is read.
        switch("v3_checksum_as_v2", "VRRPv3 checksum over IPv4 without the pseudo-header")
            .since("2.2.8")
            .then(|g, v, _| g.v3_checksum_as_v2 = v.on()),
        seconds("vrrp_startup_delay", 1_000, U32_MICROS, "hold every instance so long after the start")
            .default("0")
            .then(|g, v, _| g.startup_delay = v.plain().unwrap_or(0)),
        seconds("vrrp_delay_after_boot", 1_000, U32_MICROS, "hold every instance until the system has been up so long")
            .default("0")
            .unit("seconds since boot")
            .since("2.4.0")
            .then(|g, v, _| g.delay_after_boot = v.plain().unwrap_or(0)),
        flag("log_unknown_vrids", "log adverts of virtual routers that are not configured here")
            .then(|g, _, _| g.log_unknown_vrids = true),
        value("vrrp_rx_bufs_policy", Value::Words("MTU|ADVERT|<number 0 to 4294967295>"), "how large receive buffers are")
            .default("as the system does it")
            .ignored_if_missing()
            .options(&[
                option("MTU", "for so many packets of the interface's MTU"),
                option("ADVERT", "for so many adverts"),
                option_value("<SIZE>", Value::Number(0, U32), "so many bytes; only as the first word").unit("bytes"),
            ])
            .then(rx_bufs_policy),
        number("vrrp_rx_bufs_multiplier", 1, U32, "how many of them")
            .default("3")
            .ignored_if_missing()
            .then(|g, v, _| g.rx_bufs.multiplier = v.plain()),
        value("vmac_prefix", Value::Text, "what names of VMACs begin with").default("vrrp").keep(once),
        value("vmac_addr_prefix", Value::Text, "the same for addresses on other interfaces")
            .default("vmac_prefix")
            .keep(once),
        // Firewall.
        value("vrrp_iptables", Value::Words("[<chain> [<chain>]]"), "use iptables, with these chains for in and out")
            .default("INPUT OUTPUT where no name follows")
            .optional()
            .keep(iptables),
        value("vrrp_ipsets", Value::Words("[<name> ...]"), "names of ipsets; none is no ipsets")
            .default("keepalived, and that with an ending")
            .optional()
            .keep(|_, v, r| say_nftables(v, r)),
        nft_table("nftables", "use nftables, with this table").default("keepalived").keep(once),
        number("nftables_priority", -2_147_483_648, U31, "priority of its chains").default("-1").later(),
        flag("nftables_ifindex", "know interfaces by number, not by name").later(),
        flag("nftables_counters", "count in its rules").then(|g, _, _| g.lvs.nftables_counters = true),
        nft_table("nftables_ipvs", "mark traffic of virtual server groups in this table of nftables")
            .default("keepalived_ipvs")
            .then(nftables_ipvs),
        number("nftables_ipvs_priority", -2_147_483_648, U31, "priority of its chains")
            .default("-1")
            .then(|g, v, r| of_nftables_ipvs(g, v, r, |nftables, priority| nftables.priority = priority)),
        number("nftables_ipvs_start_fwmark", 1, U32, "first mark it uses")
            .default("1000")
            .then(|g, v, r| of_nftables_ipvs(g, v, r, |nftables, mark| nftables.first_mark = mark)),
        // IPVS.
        value("lvs_timeouts", Value::Words("[tcp <seconds>] [tcpfin <seconds>] [udp <seconds>]"), "when connections are forgotten")
            .default("the kernel's")
            .unit("seconds")
            .ignored_if_missing()
            .options(&[
                option_value("tcp", Value::Number(0, 2_678_400), "of TCP").default("unchanged").unit("seconds"),
                option_value("tcpfin", Value::Number(0, 2_678_400), "of TCP after FIN").default("unchanged").unit("seconds"),
                option_value("udp", Value::Number(0, 2_678_400), "of UDP").default("unchanged").unit("seconds"),
            ])
            .then(lvs_timeouts),
        flag("lvs_flush", "empty the IPVS table at start").then(|g, _, _| g.lvs.flush = true),
        value("lvs_flush_on_stop", Value::OneOf(&["VS"]), "empty the IPVS table at stop")
            .default("off")
            .optional()
            .options(&[option("VS", "only the services that are ours, with their servers")])
            .then(flush_on_stop),
        value("lvs_flush_onstop", Value::OneOf(&["VS"]), "old name of lvs_flush_on_stop")
            .default("off")
            .optional()
            .old_name("lvs_flush_on_stop")
            .then(flush_on_stop),
        value("lvs_sync_daemon", Value::Words("<interface> [[inst] <vrrp_instance>] [id <number>] [maxlen <number>] [port <number>] [ttl <number>] [group <address>]"), "the kernel's daemon that tells other routers of connections")
            .default("none")
            .ignored_if_missing()
            .options(LVS_SYNC_DAEMON)
            .then(super::lvs::sync_daemon),
        switch("rs_init_notifies", "tell of the first state of real servers, too")
            .then(|g, v, _| g.lvs.rs_init_notifies = v.on()),
        // Scheduling of the children.
        number("max_auto_priority", -1, 99, "how far a late process may raise its own real-time priority; -1 is not at all and quietly")
            .default("0: not at all")
            .unit("SCHED_RR priority")
            .optional()
            .then(|g, v, _| g.max_auto_priority = Some(v.plain().unwrap_or(99))),
        number("min_auto_priority_delay", 1, 10_000_000, "how late it must be for that")
            .default("1000000")
            .unit("microseconds")
            .ignored_if_missing()
            .later(),
        nice("vrrp_priority", "nice value of the VRRP child").then(|g, v, _| g.vrrp_nice = v.plain()),
        flag("vrrp_no_swap", "keep the VRRP child in memory").then(|g, _, _| g.vrrp_no_swap = true),
        realtime("vrrp_rt_priority", "real-time priority of the VRRP child").then(|g, v, r| g.vrrp_realtime = clamped(v, r)),
        cpus("vrrp_cpu_affinity", "CPUs of the VRRP child").then(|g, v, r| g.vrrp_cpus = cpu_list(v, r)),
        rttime("vrrp_rlimit_rttime", "how long the VRRP child may run without a pause").then(|g, v, _| {
            g.vrrp_rlimit_rttime = v.plain::<u32>().map(|micros| if micros == 1 { 2 } else { micros });
        }),
        rttime("vrrp_rlimit_rtime", "misspelt vrrp_rlimit_rttime")
            .old_name("vrrp_rlimit_rttime")
            .then(|g, v, _| g.vrrp_rlimit_rttime = v.plain()),
        nice("checker_priority", "nice value of the checker child").then(|g, v, _| g.checker_scheduling.nice = v.plain()),
        flag("checker_no_swap", "keep the checker child in memory").then(|g, _, _| g.checker_scheduling.no_swap = true),
        realtime("checker_rt_priority", "real-time priority of the checker child")
            .then(|g, v, r| g.checker_scheduling.realtime = clamped(v, r)),
        cpus("checker_cpu_affinity", "CPUs of the checker child").then(|g, v, r| g.checker_scheduling.cpus = cpu_list(v, r)),
        rttime("checker_rlimit_rttime", "how long the checker child may run without a pause").then(|g, v, _| {
            g.checker_scheduling.rlimit_rttime = v.plain::<u32>().map(|micros| if micros == 1 { 2 } else { micros });
        }),
        rttime("checker_rlimit_rtime", "misspelt checker_rlimit_rttime")
            .old_name("checker_rlimit_rttime")
            .then(|g, v, _| g.checker_scheduling.rlimit_rttime = v.plain()),
        nice("bfd_priority", "nice value of the BFD child").later(),
        flag("bfd_no_swap", "keep the BFD child in memory").later(),
        realtime("bfd_rt_priority", "real-time priority of the BFD child").keep(|_, v, r| { clamped(v, r); }),
        cpus("bfd_cpu_affinity", "CPUs of the BFD child").keep(|_, v, r| { cpu_list(v, r); }),
        rttime("bfd_rlimit_rttime", "how long the BFD child may run without a pause").later(),
        rttime("bfd_rlimit_rtime", "misspelt bfd_rlimit_rttime").old_name("bfd_rlimit_rttime").later(),
        // Buffers of netlink sockets.
        bytes("vrrp_netlink_cmd_rcv_bufs", "receive buffer for netlink answers to the VRRP child")
            .default("0: 1048576, if the system allows")
            .then(|g, v, _| g.vrrp_netlink.commands.bytes = v.plain().unwrap_or(0)),
        switch("vrrp_netlink_cmd_rcv_bufs_force", "even beyond the system's limit")
            .then(|g, v, _| g.vrrp_netlink.commands.force = v.on()),
        bytes("vrrp_netlink_monitor_rcv_bufs", "receive buffer for netlink news to the VRRP child")
            .default("0: 16777216, if the system allows")
            .then(|g, v, _| g.vrrp_netlink.monitor.bytes = v.plain().unwrap_or(0)),
        switch("vrrp_netlink_monitor_rcv_bufs_force", "even beyond the system's limit")
            .then(|g, v, _| g.vrrp_netlink.monitor.force = v.on()),
        bytes("lvs_netlink_cmd_rcv_bufs", "receive buffer for netlink answers to the checker child")
            .default("0: 1048576, if the system allows")
            .then(|g, v, _| g.checker_netlink.commands.bytes = v.plain().unwrap_or(0)),
        switch("lvs_netlink_cmd_rcv_bufs_force", "even beyond the system's limit")
            .then(|g, v, _| g.checker_netlink.commands.force = v.on()),
        bytes("lvs_netlink_monitor_rcv_bufs", "receive buffer for netlink news to the checker child")
            .default("0: 16777216, if the system allows")
            .then(|g, v, _| g.checker_netlink.monitor.bytes = v.plain().unwrap_or(0)),
        switch("lvs_netlink_monitor_rcv_bufs_force", "even beyond the system's limit")
            .then(|g, v, _| g.checker_netlink.monitor.force = v.on()),
        bytes("process_monitor_rcv_bufs", "receive buffer for news of processes").later(),
        switch("process_monitor_rcv_bufs_force", "even beyond the system's limit").later(),
        // SNMP and D-Bus.
        value("snmp_socket", Value::Text, "where the SNMP master agent listens")
            .default("unix:/var/agentx/master")
            .ignored_if_missing()
            .keep(once),
        flag("enable_traps", "send SNMP traps").later(),
        flag("enable_snmp_vrrp", "answer SNMP for virtual routers").later(),
        flag("enable_snmp_keepalived", "old name of enable_snmp_vrrp").old_name("enable_snmp_vrrp").later(),
        flag("enable_snmp_rfc", "answer SNMP by the RFCs' MIBs").later(),
        flag("enable_snmp_rfcv2", "answer SNMP by RFC 2787").later(),
        flag("enable_snmp_rfcv3", "answer SNMP by RFC 6527").later(),
        flag("enable_snmp_checker", "answer SNMP for virtual servers").later(),
        seconds("snmp_vs_stats_update_interval", 1_000, 30_000_000, "how old numbers of virtual servers may be")
            .default("5")
            .since("2.3.0")
            .later(),
        seconds("snmp_rs_stats_update_interval", 1_000, 30_000_000, "how old numbers of real servers may be")
            .default("snmp_vs_stats_update_interval")
            .since("2.3.0")
            .later(),
        flag("enable_dbus", "be on D-Bus").later(),
        value("dbus_service_name", Value::Text, "name on D-Bus")
            .default("org.keepalived.Vrrp1")
            .ignored_if_missing()
            .later(),
        value("dbus_no_interface_name", Value::Text, "what stands for the interface in paths of instances without one")
            .default("none")
            .since("2.3.0")
            .ignored_if_missing()
            .later(),
        // Files.
        value("umask", Value::Words("<octal number>|<mode bits joined by |>"), "permissions that created files do not get")
            .default("0177")
            .then(umask),
        value("reload_check_config", Value::Text, "refuse a reload over any finding, which this file then tells")
            .default("off; /dev/null without a file")
            .optional()
            .then(|g, v, _| g.reload_check_config = Some(text(v))),
        value("reload_time_file", Value::Text, "file with the time of the next reload")
            .default("none")
            .ignored_if_missing()
            .then(|g, v, _| g.reload_time_file = text(v)),
        flag("reload_repeat", "keep that file after the reload").then(|g, _, _| g.reload_repeat = true),
        value("reload_file", Value::Text, "file that exists while the configuration is read")
            .default("off; keepalived.reload beside the pid file without a name")
            .optional()
            .then(|g, v, _| g.reload_file = Some(text(v))),
        list("include_check", "[[+|-]read|match|wildcard_match|brace_match] ...", "which problems with includes are errors, to the end of this file")
            .default("none; all where no word follows")
            .options(&[
                option("read", "a file cannot be read"),
                option("match", "a name matches no file"),
                option("wildcard_match", "a pattern matches no file"),
                option("brace_match", "an alternative of a pattern matches no file"),
            ])
            .then(|_, _, _| ()),
        value("config_save_dir", Value::Text, "keep copies of what was read here").default("off").later(),
        value("tmp_config_directory", Value::Text, "keep the working copy of the configuration here")
            .default("in memory")
            .ignored_if_missing()
            .keep(once),
        value("state_dump_file", Value::Text, "where SIGUSR1 writes")
            .default("keepalived.data in the temporary directory")
            .since("2.3.3")
            .ignored_if_missing()
            .then(|g, v, _| g.state_dump_file = text(v)),
        value("state_file_location", Value::Text, "the manual's name of state_dump_file")
            .default("as state_dump_file")
            .ignored_if_missing()
            .then(|g, v, _| g.state_dump_file = text(v)),
        value("stats_dump_file", Value::Text, "where SIGUSR2 writes")
            .default("keepalived.stats in the temporary directory")
            .since("2.3.3")
            .ignored_if_missing()
            .then(|g, v, _| g.stats_dump_file = text(v)),
        value("stats_file_location", Value::Text, "the manual's name of stats_dump_file")
            .default("as stats_dump_file")
            .ignored_if_missing()
            .then(|g, v, _| g.stats_dump_file = text(v)),
        value("json_dump_file", Value::Text, "where the JSON dump is written")
            .default("keepalived.json in the temporary directory")
            .since("2.3.3")
            .ignored_if_missing()
            .then(|g, v, _| g.json_dump_file = text(v)),
        value("json_file_location", Value::Text, "the manual's name of json_dump_file")
            .default("as json_dump_file")
            .ignored_if_missing()
            .then(|g, v, _| g.json_dump_file = text(v)),
        number("json_version", 1, 2, "shape of the JSON dump").default("1").since("2.2.8").ignored_if_missing().then(|g, v, _| g.json_version = v.number()),
        value("iproute_usr_dir", Value::Text, "where the system keeps iproute2's names")
            .default("as built")
            .since("2.3.2")
            .ignored_if_missing()
            .later(),
        value("iproute_etc_dir", Value::Text, "where the administrator keeps iproute2's names")
            .default("as built")
            .since("2.3.2")
            .ignored_if_missing()
            .later(),
        number("random_seed", 0, U32, "accepted, without effect").default("the time").then(|_, _, _| ()),
    ],
};

const LVS_SYNC_DAEMON: &[Entry] = &[
    option_value("inst", Value::Text, "instance whose state decides between master and backup").default("none"),
    option_value("id", Value::Number(0, 255), "number of the group of daemons").default("VRID of the instance, else 0"),
    option_value("maxlen", Value::Number(1, 65_507), "longest message").default("the kernel's").unit("bytes"),
    option_value("port", Value::Number(1, 65_535), "UDP port").default("8848"),
    option_value("ttl", Value::Number(1, 255), "TTL of messages").default("the kernel's").unit("hops"),
    option_value("group", Value::Multicast, "multicast group").default("224.0.0.81"),
];

const fn process_name(name: &'static str, about: &'static str) -> Entry {
    value(name, Value::CutText(15), about).default("name of the parent")
}

const fn fifo(name: &'static str, about: &'static str) -> Entry {
    value(name, Value::Words("<path> [<user> [[:]<group>]]"), about).default("none").ignored_if_missing()
}

const fn fifo_script(name: &'static str, about: &'static str) -> Entry {
    script(name, about).ignored_if_missing()
}

const fn nft_table(name: &'static str, about: &'static str) -> Entry {
    value(name, Value::ShortText(30), about).optional()
}

const fn nice(name: &'static str, about: &'static str) -> Entry {
    let mut entry = number(name, -20, 19, about).default("0").unit("nice value").or_use(0);
    entry.missing = Missing::Error;
    entry
}

const fn realtime(name: &'static str, about: &'static str) -> Entry {
    value(name, Value::Words("<number 1 to 99>"), about).default("off").unit("SCHED_RR priority").ignored_if_missing()
}

const fn cpus(name: &'static str, about: &'static str) -> Entry {
    list(name, "<number> ...", about).default("all").unit("CPU ids")
}

const fn rttime(name: &'static str, about: &'static str) -> Entry {
    number(name, 1, U32, about).default("10000").unit("microseconds").or_use(0)
}

const fn bytes(name: &'static str, about: &'static str) -> Entry {
    number(name, 0, U32, about).default("as the system does it").unit("bytes").ignored_if_missing()
}

fn text(given: &Given<'_>) -> Option<String> {
    given.text().map(|text| text.value)
}

/// A keyword that counts once.
fn once(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    is_first(global, given, reader);
}

/// Whether a keyword that counts once is there for the first time.
fn is_first(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) -> bool {
    let span = given.line.keyword.span;
    let first = *global.once.entry(given.entry.name).or_insert(span);
    if first != span {
        reader
            .diagnostics
            .warning(Code::REPEATED, span, format!("{} is given twice; the first counts", given.entry.name))
            .label(first, "first given here");
    }
    first == span
}

/// keepalived: what belongs to it has its defaults from here on.
fn nftables_ipvs(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if is_first(global, given, reader) {
        global.lvs.nftables = Some(Nftables {
            table: given.text().map_or_else(|| Nftables::TABLE.into(), |name| name.value.into()),
            priority: Nftables::PRIORITY,
            first_mark: Nftables::FIRST_MARK,
            counters: false,
        });
    }
}

fn of_nftables_ipvs<T: TryFrom<i64>>(
    global: &mut GlobalDraft,
    given: &Given<'_>,
    reader: &mut Reader<'_>,
    set: fn(&mut Nftables, T),
) {
    match (&mut global.lvs.nftables, given.plain()) {
        (Some(nftables), Some(value)) => set(nftables, value),
        (None, Some(_)) => {
            let message = format!("{} has no effect before nftables_ipvs", given.entry.name);
            reader.diagnostics.lint(Code::GLOBAL_CONFLICT, given.span(), message).help("write nftables_ipvs above it");
        }
        (_, None) => {}
    }
}

/// keepalived without iptables: takes nftables instead, and says so.
fn iptables(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    say_nftables(given, reader);
    global.once.entry("nftables").or_insert(given.line.keyword.span);
}

fn say_nftables(given: &Given<'_>, reader: &mut Reader<'_>) {
    let message = format!("{}: iptables is not used; nftables takes its place", given.entry.name);
    reader
        .diagnostics
        .warning(Code::DEPRECATED, given.line.keyword.span, message)
        .help("write nftables, and remove vrrp_iptables and vrrp_ipsets");
}

type ScriptSlot = Option<(crate::config::script_line::ScriptLine, ScriptPolicy)>;

fn process_script(
    given: &Given<'_>,
    reader: &mut Reader<'_>,
    slot: fn(&mut GlobalDraft) -> &mut ScriptSlot,
    global: &mut GlobalDraft,
) {
    let policy = global.scripts.clone();
    let Some(line) = given.script() else { return };
    match slot(global) {
        Some((before, _)) => {
            let first = before.span;
            reader
                .diagnostics
                .warning(Code::REPEATED, line.span, format!("{} is given twice; the first counts", given.entry.name))
                .label(first, "first given here");
        }
        slot => *slot = Some((line, policy)),
    }
}

fn smtp_server(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(host) = given.line.args.first() else { return };
    let port = match given.line.args.get(1) {
        Some(word) => reader.number(given.entry, word, 1, 65_535),
        None => Some(25),
    };
    if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
        global.mail.server = Some((Spanned::new(host.text.to_string(), host.span), port));
    }
}

fn email_from(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    if let Some(extra) = given.line.args.get(1) {
        reader
            .diagnostics
            .warning(Code::EXTRA_WORDS, extra.span, "notification_email_from takes one address; the rest is ignored")
            .help("put an address with a name in quotes: \"Load Balancer <lb@example.com>\"");
    }
    global.mail.from = given.text();
}

fn notification_email(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let recipients = super::track::names(given);
    if recipients.is_empty() {
        reader
            .diagnostics
            .warning(Code::EMPTY_LIST, given.line.keyword.span, "notification_email names nobody")
            .help("write an address between the braces, or remove the block");
    }
    global.mail.recipients.extend(recipients);
}

/// The first word of a line that needs none.
fn text_of_first(given: &Given<'_>) -> Option<String> {
    given.line.args.first().map(|word| word.text.to_string())
}

fn set_fifo(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let [path, owner @ ..] = given.line.args.as_slice() else { return };
    if is_first(global, given, reader) {
        let fifo = global.fifos.entry(given.entry.name).or_default();
        fifo.path = Some(Spanned::new(path.text.to_string(), path.span));
        fifo.owner = user_words(owner);
    }
}

fn fifo_reader(name: &'static str, global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(line) = given.script() else { return };
    if is_first(global, given, reader) {
        let policy = global.scripts.clone();
        global.fifos.entry(name).or_default().script = Some((line, policy));
    }
}

fn flush_on_stop(global: &mut GlobalDraft, given: &Given<'_>, _: &mut Reader<'_>) {
    let servers_too = given.text().is_none();
    global.lvs.flush_on_stop = if servers_too { FlushOnStop::Everything } else { FlushOnStop::VirtualServers };
}

fn mcast_group6(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(address) = given.address() else { return };
    if let std::net::IpAddr::V6(group) = address.value
        && group.octets()[1] & 0x0f != 2
    {
        reader.diagnostics.warning(Code::BAD_ADDRESS, address.span, format!("{group} is not of link-local scope"));
    }
    global.mcast_group6 = Some(address);
}

fn announcement_gap(given: &Given<'_>, reader: &mut Reader<'_>) -> u64 {
    let micros = given.plain().unwrap_or(0);
    if micros >= 1_000_000 {
        reader
            .diagnostics
            .lint(Code::BAD_NUMBER, given.span(), format!("{} of a second or more delays failover", given.entry.name))
            .help("the last of many addresses is announced that much later");
    }
    micros
}

/// `[all] SECONDS`
pub(super) fn interval_with_all(given: &Given<'_>, reader: &mut Reader<'_>, min: i64) {
    let words = given.line.args.strip_prefix_if(|word| word.text == "all");
    match words.first() {
        Some(word) => {
            reader.number(given.entry, word, min, 86_400);
        }
        None => {
            let text = format!("{} needs a number of seconds", given.entry.name);
            reader.error(Code::MISSING_ARGUMENT, given.line.keyword.span, text);
        }
    }
}

trait StripFirst<T> {
    /// The slice without its first element where that one is meant.
    fn strip_prefix_if(&self, meant: impl Fn(&T) -> bool) -> &[T];
}

impl<T> StripFirst<T> for [T] {
    fn strip_prefix_if(&self, meant: impl Fn(&T) -> bool) -> &[T] {
        match self {
            [first, rest @ ..] if meant(first) => rest,
            all => all,
        }
    }
}

fn rx_bufs_policy(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    for (at, word) in given.line.args.iter().enumerate() {
        match word.text.to_ascii_uppercase().as_str() {
            "MTU" => global.rx_bufs.mtu = true,
            "ADVERT" => global.rx_bufs.advert = true,
            _ if at == 0 => {
                global.rx_bufs.bytes =
                    reader.number(given.entry, word, 0, U32).and_then(|bytes| u32::try_from(bytes).ok());
            }
            _ => {
                let message = format!("{} does not know '{}'", given.entry.name, word.text);
                reader.error(Code::BAD_WORD, word.span, message).help("write MTU, ADVERT or a number of bytes");
            }
        }
    }
    let rx_bufs = &mut global.rx_bufs;
    if rx_bufs.bytes.is_some() && (rx_bufs.mtu || rx_bufs.advert) || rx_bufs.mtu && rx_bufs.advert {
        let kept = if rx_bufs.bytes.is_some() { "the size" } else { "MTU" };
        let message = format!("more than one way to size receive buffers; {kept} counts");
        reader.diagnostics.warning(Code::GLOBAL_CONFLICT, given.span(), message);
        rx_bufs.mtu &= rx_bufs.bytes.is_none();
        rx_bufs.advert = false;
    }
}

fn lvs_timeouts(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let mut words = given.line.args.iter();
    while let Some(word) = words.next() {
        let mut seconds = |word| {
            let number = reader.number(given.entry, word, 0, 2_678_400)?;
            // 0 leaves the kernel's value as it is.
            u32::try_from(number).ok().filter(|number| *number > 0)
        };
        let timeouts = &mut global.lvs.timeouts;
        match (word.text.as_str(), words.next()) {
            ("tcp", Some(number)) => timeouts.tcp_secs = seconds(number),
            ("tcpfin", Some(number)) => timeouts.tcp_fin_secs = seconds(number),
            ("udp", Some(number)) => timeouts.udp_secs = seconds(number),
            (other, _) => {
                let message = format!("lvs_timeouts does not know '{other}', or it lacks its number");
                reader.error(Code::UNKNOWN_OPTION, word.span, message).help("write tcp, tcpfin or udp, and seconds");
                return;
            }
        }
    }
}

/// A real-time priority, cut to what there is.
fn clamped(given: &Given<'_>, reader: &mut Reader<'_>) -> Option<u8> {
    let word = given.line.args.first()?;
    match values::integer(&word.text) {
        values::Number::Whole(number) if !(1..=99).contains(&number) => {
            let used = number.clamp(1, 99);
            let message = format!("{} {number} is not in 1-99; {used} is used", given.entry.name);
            reader.diagnostics.warning(Code::BAD_NUMBER, word.span, message);
            u8::try_from(used).ok()
        }
        _ => reader.number(given.entry, word, 1, 99).and_then(|number| u8::try_from(number).ok()),
    }
}

fn cpu_list(given: &Given<'_>, reader: &mut Reader<'_>) -> Vec<u32> {
    let mut cpus = Vec::new();
    for word in &given.line.args {
        match reader.number(given.entry, word, 0, 1023).and_then(|cpu| u32::try_from(cpu).ok()) {
            Some(cpu) => cpus.push(cpu),
            None => return Vec::new(),
        }
    }
    cpus
}

fn umask(global: &mut GlobalDraft, given: &Given<'_>, reader: &mut Reader<'_>) {
    let Some(word) = given.line.args.first() else { return };
    let text: String = given.line.args.iter().map(|word| word.text.as_str()).collect();
    let mask = match text.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => u32::from_str_radix(&String::from_utf8_lossy(digits), 16).ok(),
        [b'0', ..] => u32::from_str_radix(&text, 8).ok(),
        [b'1'..=b'9', ..] => text.parse().ok(),
        _ => mode_bits(&text),
    };
    match mask.filter(|mask| *mask <= 0o777) {
        Some(mask) => global.umask = Some(mask),
        None => {
            reader
                .error(Code::BAD_WORD, word.span, format!("umask: '{text}' is no mode"))
                .help("write an octal number such as 0177, or bits such as IRWXG|IRWXO");
        }
    }
}

fn mode_bits(text: &str) -> Option<u32> {
    text.split('|').try_fold(0, |mask, word| {
        let (bits, who) = match word.trim() {
            "IRWXU" => (7, 6),
            "IRWXG" => (7, 3),
            "IRWXO" => (7, 0),
            "IRUSR" => (4, 6),
            "IWUSR" => (2, 6),
            "IXUSR" => (1, 6),
            "IRGRP" => (4, 3),
            "IWGRP" => (2, 3),
            "IXGRP" => (1, 3),
            "IROTH" => (4, 0),
            "IWOTH" => (2, 0),
            "IXOTH" => (1, 0),
            _ => return None,
        };
        Some(mask | bits << who)
    })
}
