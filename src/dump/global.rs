//! The section `Global definitions`, which every process dumps.

use std::fmt::Display;

use super::data::{Text, command};
use crate::model::Global;
use crate::model::global::DEFAULT_UMASK;
use crate::model::lvs::Nftables;

/// The section alone, as the parent dumps it.
pub fn global(global: &Global) -> String {
    let mut text = Text::default();
    write(&mut text, global);
    text.into_string()
}

/// What the file says, for settings that the model has no place for: they only give instances their defaults, or belong to
/// what is not built yet. A keyword that is not there has keepalived's default.
#[derive(Clone, Copy)]
struct Given<'a>(&'a [(String, Vec<String>)]);

impl Given<'_> {
    fn words(&self, keyword: &str) -> Option<&[String]> {
        self.0.iter().rev().find(|(name, _)| name == keyword).map(|(_, words)| words.as_slice())
    }

    fn value(&self, keyword: &str) -> Option<String> {
        self.words(keyword).map(|words| words.join(" "))
    }

    fn or(&self, keyword: &str, default: impl Display) -> String {
        self.value(keyword).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_string())
    }

    /// A switch: given without a word is on.
    fn switch(&self, keyword: &str) -> Option<bool> {
        let off = ["off", "false", "no", "disable", "disabled", "0"];
        self.words(keyword).map(|words| !words.first().is_some_and(|word| off.contains(&word.as_str())))
    }

    fn on(&self, keyword: &str) -> bool {
        self.switch(keyword).unwrap_or(false)
    }

    fn alert(&self, keyword: &str) -> &'static str {
        match self.switch(keyword) {
            None => "unset",
            Some(true) => "on",
            Some(false) => "off",
        }
    }

    fn able(&self, keyword: &str) -> &'static str {
        if self.on(keyword) || self.on("enable_snmp") && keyword.starts_with("enable_snmp") {
            "enabled"
        } else {
            "disabled"
        }
    }
}

pub(super) fn write(text: &mut Text, global: &Global) {
    let given = Given(&global.other);
    text.header("Global definitions", true);
    names(text, global);
    mail(text, given);
    files(text, global);
    lvs(text, given);
    fifos(text, given);
    vrrp(text, given);
    scheduling(text, global, given);
    views(text, given);
    scripts(text, global, given);
    buffers(text, given);
    text.object(format_args!("umask = 0{:o}", global.umask.unwrap_or(DEFAULT_UMASK)));
    text.maybe("vrrp_startup_delay", given.value("vrrp_startup_delay"));
    if given.on("log_unknown_vrids") {
        text.object(format_args!("log_unknown_vrids"));
    }
    if global.json_version == 2 {
        text.object(format_args!("json_version 2"));
    }
    text.maybe("iproute usr directory", given.value("iproute_usr_dir"));
    text.maybe("iproute etc directory", given.value("iproute_etc_dir"));
    let dumps = &global.dump_files;
    text.maybe("state dump file", dumps.state.as_ref().map(|path| path.display()));
    text.maybe("stats dump file", dumps.stats.as_ref().map(|path| path.display()));
    text.maybe("json dump file", dumps.json.as_ref().map(|path| path.display()));
}

fn names(text: &mut Text, global: &Global) {
    let processes = &global.process_names;
    text.object(format_args!("Network namespace = {}", global.net_namespace.as_deref().unwrap_or("(default)")));
    text.object(format_args!("Network namespace ipvs = (main namespace)"));
    text.maybe("Instance name", global.instance.as_ref());
    text.maybe("Parent process name", processes.parent.as_ref());
    text.maybe("VRRP process name", processes.vrrp.as_ref());
    text.maybe("LVS process name", processes.checker.as_ref());
    text.maybe("BFD process name", processes.bfd.as_ref());
    text.object(format_args!("Router ID = {}", global.router_id));
}

fn mail(text: &mut Text, given: Given<'_>) {
    if let Some([server, port @ ..]) = given.words("smtp_server") {
        text.object(format_args!("Smtp server = {server}"));
        text.object(format_args!("Smtp server port = {}", port.first().map_or("25", String::as_str)));
        text.maybe("Smtp HELO name", given.value("smtp_helo_name"));
    }
    if given.words("smtp_server").or(given.words("smtp_connect_timeout")).is_some() {
        text.object(format_args!("Smtp server connection timeout = {}", given.or("smtp_connect_timeout", 30)));
    }
    text.maybe("Email notification from", given.value("notification_email_from"));
    if let Some(addresses @ [_, ..]) = given.words("notification_email") {
        text.object(format_args!("Email notification to:"));
        addresses.iter().for_each(|address| text.field(format_args!("{address}")));
    }
    text.object(format_args!("Default smtp_alert = {}", given.alert("smtp_alert")));
    text.object(format_args!("Default smtp_alert_vrrp = {}", given.alert("smtp_alert_vrrp")));
    text.object(format_args!("Default smtp_alert_checker = {}", given.alert("smtp_alert_checker")));
    text.object(format_args!("Checkers log all failures = {}", given.on("checker_log_all_failures")));
}

fn files(text: &mut Text, global: &Global) {
    let given = Given(&global.other);
    match &global.reload_check_config {
        Some(log) => text.object(format_args!("Test config before reload, log to {}", log.display())),
        None => text.object(format_args!("No test config before reload")),
    }
    if let Some(reload) = &global.reload_time {
        let repeats = if reload.repeats { " (repeat)" } else { "" };
        text.object(format_args!("Reload time file = {}{repeats}", reload.file.display()));
    }
    match &global.reload_file {
        Some(Some(file)) => text.object(format_args!("Reload file = {}", file.display())),
        Some(None) => text.object(format_args!("Reload file = (default)")),
        None => {}
    }
    if given.on("use_symlink_paths") {
        text.object(format_args!("keep script symlinks"));
    }
    text.maybe("config save directory", given.value("config_save_dir"));
    if global.data_use_instance {
        text.object(format_args!("Use instance name in data dumps"));
    }
    text.maybe("Startup script", global.startup_script.as_ref().map(|(script, _)| command(script)));
    text.maybe("Shutdown script", global.shutdown_script.as_ref().map(|(script, _)| command(script)));
    text.object(format_args!("Dynamic interfaces = {}", global.dynamic_interfaces));
}

fn lvs(text: &mut Text, given: Given<'_>) {
    text.object(format_args!("Default interface = {}", given.or("default_interface", "eth0")));
    text.object(format_args!("Disable local IGMP = {}", if given.on("disable_local_igmp") { "yes" } else { "no" }));
    text.maybe("LVS timeouts", given.value("lvs_timeouts"));
    text.maybe("LVS sync daemon", given.value("lvs_sync_daemon"));
    text.object(format_args!("LVS flush = {}", given.on("lvs_flush")));
    let at_stop = match given.words("lvs_flush_on_stop") {
        None => "disabled",
        Some([word, ..]) if word == "VS" => "VS",
        Some(_) => "full",
    };
    text.object(format_args!("LVS flush on stop = {at_stop}"));
}

fn fifos(text: &mut Text, given: Given<'_>) {
    for (name, keyword) in [("Global", "notify_fifo"), ("VRRP", "vrrp_notify_fifo"), ("LVS", "lvs_notify_fifo")] {
        text.maybe(&format!("{name} notify fifo"), given.value(keyword));
        text.maybe(&format!("{name} notify fifo script"), given.value(&format!("{keyword}_script")));
    }
    text.object(format_args!("FIFO write vrrp states on reload = {}", given.on("fifo_write_vrrp_states_on_reload")));
    text.object(format_args!("VRRP notify priority changes = {}", given.on("vrrp_notify_priority_changes")));
}

fn vrrp(text: &mut Text, given: Given<'_>) {
    text.object(format_args!("VRRP IPv4 mcast group = {}", given.or("vrrp_mcast_group4", "224.0.0.18")));
    text.object(format_args!("VRRP IPv6 mcast group = {}", given.or("vrrp_mcast_group6", "ff02::12")));
    let delay = given.or("vrrp_garp_master_delay", 5);
    let repeat = given.or("vrrp_garp_master_repeat", 5);
    text.object(format_args!("Gratuitous ARP delay = {delay}"));
    text.object(format_args!("Gratuitous ARP repeat = {repeat}"));
    text.object(format_args!("Gratuitous ARP refresh timer = {}", given.or("vrrp_garp_master_refresh", 0)));
    text.object(format_args!("Gratuitous ARP refresh repeat = {}", given.or("vrrp_garp_master_refresh_repeat", 1)));
    text.object(format_args!(
        "Gratuitous ARP lower priority delay = {}",
        given.or("vrrp_garp_lower_prio_delay", delay)
    ));
    let lower_repeat = given.or("vrrp_garp_lower_prio_repeat", repeat);
    text.object(format_args!("Gratuitous ARP lower priority repeat = {lower_repeat}"));
    text.object(format_args!("Num adverts before down = {}", given.or("vrrp_down_timer_adverts", 3)));
    text.object(format_args!("Gratuitous ARP for each secondary VMAC = {}s", given.or("vrrp_garp_extra_if", 0)));
    let lower = !given.on("vrrp_lower_prio_no_advert");
    text.object(format_args!("Send advert after receive lower priority advert = {lower}"));
    let higher = given.on("vrrp_higher_prio_send_advert");
    text.object(format_args!("Send advert after receive higher priority advert = {higher}"));
    for (name, keyword) in [("ARP", "vrrp_garp_interval"), ("NA", "vrrp_gna_interval")] {
        let seconds: f64 = given.or(keyword, 0).parse().unwrap_or(0.0);
        text.object(format_args!("Gratuitous {name} interval = {seconds:.6}"));
    }
    text.object(format_args!("VRRP default protocol version = {}", given.or("vrrp_version", 2)));
    text.maybe("nftables table", given.value("nftables"));
    if let Some(words) = given.words("nftables_ipvs") {
        let table = words.first().map_or(Nftables::TABLE, String::as_str);
        text.object(format_args!("ipvs nftables table name = {table}"));
        text.object(format_args!(
            "ipvs nftables base chain priority = {}",
            given.or("nftables_ipvs_priority", Nftables::PRIORITY)
        ));
        text.object(format_args!(
            "ipvs nftables start fwmark = {}",
            given.or("nftables_ipvs_start_fwmark", Nftables::FIRST_MARK)
        ));
    }
    text.object(format_args!("nftables with{} counters", if given.on("nftables_counters") { "" } else { "out" }));
    text.object(format_args!("VRRP check unicast_src = {}", given.on("vrrp_check_unicast_src")));
    text.object(format_args!("VRRP skip check advert addresses = {}", given.on("vrrp_skip_check_adv_addr")));
    text.object(format_args!("VRRP strict mode = {}", given.on("vrrp_strict")));
}

fn scheduling(text: &mut Text, global: &Global, given: Given<'_>) {
    match global.max_auto_priority {
        Some(priority @ 1..) => text.object(format_args!("Max auto priority = {priority}")),
        _ => text.object(format_args!("Max auto priority = Disabled")),
    }
    text.object(format_args!("Min auto priority delay = {} usecs", given.or("min_auto_priority_delay", 1_000_000)));
    for (name, prefix) in [("VRRP", "vrrp"), ("Checker", "checker"), ("BFD", "bfd")] {
        let of = |what: &str, default| given.or(&format!("{prefix}_{what}"), default);
        text.object(format_args!("{name} process priority = {}", of("priority", 0)));
        text.object(format_args!("{name} don't swap = {}", given.on(&format!("{prefix}_no_swap"))));
        text.object(format_args!("{name} realtime priority = {}", of("rt_priority", 0)));
        text.maybe(&format!("{name} CPU Affinity"), given.value(&format!("{prefix}_cpu_affinity")));
        text.object(format_args!("{name} realtime limit = {}", of("rlimit_rttime", 10_000)));
    }
}

fn views(text: &mut Text, given: Given<'_>) {
    let rows = [
        ("vrrp", "enable_snmp_vrrp"),
        ("checker", "enable_snmp_checker"),
        ("RFCv2", "enable_snmp_rfcv2"),
        ("RFCv3", "enable_snmp_rfcv3"),
        ("traps", "enable_traps"),
    ];
    for (name, keyword) in rows {
        text.object(format_args!("SNMP {name} {}", given.able(keyword)));
    }
    text.object(format_args!("SNMP socket = {}", given.or("snmp_socket", "default (unix:/var/agentx/master)")));
    text.object(format_args!("DBus {}", given.able("enable_dbus")));
    text.object(format_args!("DBus service name = {}", given.or("dbus_service_name", "")));
}

fn scripts(text: &mut Text, global: &Global, given: Given<'_>) {
    text.object(format_args!("Script security {}", if global.script_security { "enabled" } else { "disabled" }));
    // keepalived prints the numbers; the name as it stands in the file says the same and more.
    text.maybe("Default script user", given.value("script_user"));
}

fn buffers(text: &mut Text, given: Given<'_>) {
    let prefixes =
        ["vrrp_netlink_cmd", "vrrp_netlink_monitor", "process_monitor", "lvs_netlink_cmd", "lvs_netlink_monitor"];
    for prefix in prefixes {
        let (bytes, force) = (format!("{prefix}_rcv_bufs"), format!("{prefix}_rcv_bufs_force"));
        text.object(format_args!("{bytes} = {}", given.or(&bytes, 0)));
        text.object(format_args!("{force} = {}", u8::from(given.on(&force))));
    }
    text.object(format_args!("rs_init_notifies = {}", u8::from(given.on("rs_init_notifies"))));
    text.object(format_args!("no_checker_emails = {}", u8::from(given.on("no_checker_emails"))));
    text.maybe("rx_bufs_policy", given.value("vrrp_rx_bufs_policy"));
    text.object(format_args!("rx_bufs_multiples = {}", given.or("vrrp_rx_bufs_multiplier", 3)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&str, &[&str])]) -> String {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let other = lines.iter().map(|(keyword, args)| ((*keyword).to_owned(), words(args))).collect();
        global(&Global { other, instance: Some("two".into()), ..Global::default() })
    }

    #[test]
    fn the_section_stands_alone_and_starts_with_its_header() {
        let text = of(&[]);
        assert!(text.starts_with(
            "------< Global definitions >------\n Network namespace = (default)\n Network namespace ipvs = (main \
             namespace)\n Instance name = two\n"
        ));
        assert!(text.contains("\n umask = 0177\n"));
        assert!(text.lines().skip(1).all(|line| line.starts_with(' ')));
    }

    #[test]
    fn what_the_file_says_beats_the_default_and_the_last_word_counts() {
        let text = of(&[
            ("vrrp_garp_master_delay", &["3"]),
            ("vrrp_garp_master_delay", &["2"]),
            ("smtp_alert", &["off"]),
            ("lvs_flush", &[]),
            ("smtp_server", &["::1", "2525"]),
            ("notification_email", &["root@localhost", "ops@example.org"]),
        ]);
        for line in [
            "Gratuitous ARP delay = 2",
            "Gratuitous ARP lower priority delay = 2",
            "Default smtp_alert = off",
            "Default smtp_alert_vrrp = unset",
            "LVS flush = true",
            "Smtp server port = 2525",
            "Email notification to:\n   root@localhost\n   ops@example.org",
        ] {
            assert!(text.contains(&format!("\n {line}\n")), "{line}\n{text}");
        }
    }
}
