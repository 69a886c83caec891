//! The rules that look at more than one word: what each says, what it does to the exit status, and what is used instead.

use std::time::Duration;

use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::diag::{Code, ExitClass};
use keepalived_rs::model::vrrp::{Destination, InitialState, Version};
use keepalived_rs::model::{ScriptId, TrackScript, Weight};
use keepalived_rs::time::Centis;

use crate::kit::{findings, instance_with, only, read, read_on};

/// Lines in an instance, the codes of what is said, and the exit status of `-t`.
type Case = (&'static str, &'static [Code], u8);

fn check(cases: &[Case]) {
    for (lines, codes, status) in cases {
        let loaded = instance_with(lines);
        let said: Vec<Code> = loaded.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(said, *codes, "{lines}\n{:#?}", findings(&loaded));
        assert_eq!(loaded.diagnostics.config_test_status(), *status, "{lines}");
    }
}

#[test]
fn preemption_options_that_cannot_work_are_reported() {
    check(&[
        ("state MASTER\nnopreempt", &[Code::PREEMPTION_CONFLICT], 5),
        ("priority 255\nnopreempt", &[Code::PREEMPTION_CONFLICT], 5),
        ("nopreempt", &[], 0),
        ("state MASTER\npreempt_delay 5", &[Code::PREEMPTION_CONFLICT], 5),
        ("nopreempt\npreempt_delay 5", &[Code::PREEMPTION_CONFLICT], 5),
        ("timer_expired_backup", &[Code::PREEMPTION_CONFLICT], 5),
        ("nopreempt\ntimer_expired_backup", &[], 0),
    ]);
    assert!(only(&instance_with("state MASTER\nnopreempt")).preempt);
}

#[test]
fn numbers_out_of_range_and_bad_words_are_reported() {
    check(&[
        ("priority 300", &[Code::BAD_NUMBER], 5),
        ("priority 1\\", &[Code::STRAY_CONTINUATION, Code::BAD_NUMBER], 5),
        ("advert_int 0.001", &[Code::BAD_NUMBER], 5),
        ("skip_check_adv_addr True", &[Code::BAD_WORD], 5),
        ("state MASTER;", &[Code::BAD_WORD], 5),
        ("priority", &[Code::MISSING_ARGUMENT], 2),
        ("garp_master_repeat 0", &[Code::BAD_NUMBER], 5),
        ("proirity 100", &[Code::UNKNOWN_KEYWORD], 5),
        ("interface eth0 priority 5", &[], 0),
    ]);
    assert_eq!(only(&instance_with("priority 300")).priority, 100);
}

#[test]
fn intervals_are_made_such_that_the_version_can_carry_them() {
    check(&[
        ("advert_int 1.5", &[Code::INTERVAL_ADJUSTED], 5),
        ("version 3\nadvert_int 60", &[Code::INTERVAL_ADJUSTED], 5),
        ("version 3\nadvert_int 0.015", &[Code::INTERVAL_ADJUSTED], 5),
        ("version 3\nadvert_int 0.25", &[], 0),
    ]);
    assert_eq!(only(&instance_with("advert_int 1.5")).advert_interval, Centis(200));
    assert_eq!(only(&instance_with("version 3\nadvert_int 60")).advert_interval, Centis(4095));
    assert_eq!(only(&instance_with("version 3\nadvert_int 0.015")).advert_interval, Centis(2));
}

#[test]
fn authentication_must_fit_the_version_and_be_complete() {
    let pass = "authentication {\nauth_type PASS\nauth_pass 12345678\n}";
    assert_eq!(instance_with(pass).diagnostics.config_test_status(), 0);
    for lines in
        [format!("version 3\n{pass}"), "authentication {\nauth_type PASS\n}".to_owned(), format!("strict_mode\n{pass}")]
    {
        let loaded = instance_with(&lines);
        assert!(loaded.diagnostics.iter().any(|d| d.code == Code::AUTHENTICATION_UNUSED), "{lines}");
    }
}

#[test]
fn authentication_that_is_not_built_holds_the_instance_in_fault() {
    let loaded = instance_with("authentication {\nauth_type AH\nauth_pass secret\n}");
    assert!(only(&loaded).config_fault.is_some());
    assert_eq!(loaded.diagnostics.config_test_status(), 0, "keepalived takes it");
}

#[test]
fn an_instance_needs_a_number_and_a_real_interface() {
    let status = |text: &str| {
        let loaded = read(text);
        (loaded.diagnostics.config_test_status(), loaded.diagnostics.start_status())
    };
    let addresses = "virtual_ipaddress {\n192.0.2.100\n}\n";
    assert_eq!(status(&format!("vrrp_instance V {{\ninterface eth0\n{addresses}}}")), (5, Some(2)));
    assert_eq!(status(&format!("vrrp_instance V {{\nvirtual_router_id 1\n{addresses}}}")), (5, Some(2)));
    assert_eq!(status(&format!("vrrp_instance V {{\ninterface lo\nvirtual_router_id 1\n{addresses}}}")), (5, Some(2)));
    assert_eq!(
        status(&format!("vrrp_instance V {{\ninterface eth9\nvirtual_router_id 1\n{addresses}}}")),
        (5, Some(2))
    );
}

#[test]
fn an_instance_that_cannot_be_is_judged_to_its_end() {
    let loaded = read(
        "vrrp_instance V {\n interface eth0\n virtual_router_id 510\n state MASTER\n nopreempt\n virtual_ipaddress {\n  \
         192.0.2.100/24\n }\n track_script {\n  chk\n }\n}\n",
    );
    let said: Vec<Code> = loaded.diagnostics.iter().map(|d| d.code).collect();
    let all = [Code::BAD_NUMBER, Code::INCOMPLETE_INSTANCE, Code::PREEMPTION_CONFLICT, Code::UNKNOWN_TRACKER];
    assert_eq!(said, all, "{:#?}", findings(&loaded));
    assert!(loaded.config.vrrp.instances.is_empty());
}

#[test]
fn a_missing_interface_names_those_that_exist_and_may_come_later_where_that_is_asked_for() {
    let text = "vrrp_instance V {\ninterface eht0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.100\n}\n}";
    let loaded = read(text);
    let finding = loaded.diagnostics.iter().find(|d| d.code == Code::UNKNOWN_INTERFACE).unwrap();
    assert_eq!(finding.help.as_deref(), Some("did you mean eth0? this machine has eth0, eth1, lo"));
    let loaded = read(&format!("global_defs {{\ndynamic_interfaces\n}}\n{text}"));
    assert_eq!(loaded.diagnostics.config_test_status(), 0, "{:?}", findings(&loaded));
    assert!(loaded.config.vrrp.dynamic_interfaces);
}

#[test]
fn the_first_address_fixes_the_family_and_others_are_dropped() {
    let loaded = instance_with("virtual_ipaddress {\nfe80::1\n}");
    assert_eq!(findings(&loaded).len(), 1);
    assert_eq!(loaded.diagnostics.config_test_status(), 5);
    assert_eq!(only(&loaded).addresses.len(), 1);
}

#[test]
fn ipv6_is_version_3_unless_version_2_came_first() {
    let v6 = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\n";
    let loaded = read(&format!("{v6}virtual_ipaddress {{\nfe80::1\n}}\nversion 2\n}}"));
    assert_eq!((only(&loaded).version, loaded.diagnostics.config_test_status()), (Version::V3, 5));
    let loaded = read(&format!("{v6}version 2\nvirtual_ipaddress {{\nfe80::1\n}}\n}}"));
    assert_eq!((only(&loaded).version, loaded.diagnostics.config_test_status()), (Version::V2, 0));
}

/// B22: also the same link-local address on two interfaces is one too many, and told.
#[test]
fn an_address_is_listed_once_but_may_be_excluded_elsewhere() {
    check(&[
        ("virtual_ipaddress {\n192.0.2.100\n}", &[Code::DUPLICATE_ADDRESS], 5),
        ("virtual_ipaddress {\n192.0.2.100 dev eth1\n}", &[Code::DUPLICATE_ADDRESS], 5),
        ("virtual_ipaddress_excluded {\n192.0.2.100\n}", &[Code::DUPLICATE_ADDRESS], 5),
        ("virtual_ipaddress_excluded {\n192.0.2.100 dev eth1\n}", &[], 0),
    ]);
}

#[test]
fn address_lines_lose_what_does_not_fit() {
    check(&[
        ("virtual_ipaddress {\n192.0.2.101/33\n}", &[Code::BAD_NUMBER], 5),
        ("virtual_ipaddress {\nfloating\n}", &[Code::BAD_ADDRESS], 5),
        ("virtual_ipaddress {\n192.0.2.101 dve eth1\n}", &[Code::UNKNOWN_OPTION], 5),
        ("virtual_ipaddress {\n192.0.2.101/31 brd +\n}", &[Code::ADDRESS_OPTION], 5),
        ("virtual_ipaddress {\n192.0.2.101/24 peer 192.0.2.102\n}", &[Code::ADDRESS_OPTION], 5),
        ("virtual_ipaddress_excluded {\n2001:db8::1 label x\n}", &[Code::ADDRESS_OPTION], 5),
        ("virtual_ipaddress {\n192.0.2.101 label eth0:much-too-long\n}", &[Code::TEXT_TOO_LONG], 5),
    ]);
    assert_eq!(only(&instance_with("virtual_ipaddress {\n192.0.2.101/33\n}")).addresses[1].cidr.prefix, 32);
}

#[test]
fn surplus_addresses_are_held_but_not_advertised() {
    let lines: String = (0..3).flat_map(|c| (0..150).map(move |d| format!("10.0.{c}.{d}\n"))).collect();
    let loaded = instance_with(&format!("virtual_ipaddress {{\n{lines}}}"));
    let instance = only(&loaded);
    assert_eq!((instance.addresses.len(), instance.excluded.len()), (255, 196));
    assert_eq!(loaded.diagnostics.config_test_status(), 5);
}

#[test]
fn unicast_without_peers_is_multicast_or_a_fault() {
    check(&[
        ("unicast_src_ip 192.0.2.1", &[Code::UNICAST_WITHOUT_PEERS], 5),
        ("unicast_fault_no_peer", &[Code::UNICAST_WITHOUT_PEERS], 0),
        ("unicast_ttl 5", &[Code::UNICAST_WITHOUT_PEERS], 5),
        ("unicast_peer {\n192.0.2.2\n192.0.2.2\n}", &[Code::DUPLICATE_ADDRESS], 5),
        ("unicast_peer {\n192.0.2.2\n}\nmcast_dst_ip 224.0.0.20", &[Code::UNICAST_WITHOUT_PEERS], 5),
        ("strict_mode\nunicast_peer {\n192.0.2.2\n}", &[Code::STRICT_MODE], 5),
    ]);
    let loaded = instance_with("unicast_fault_no_peer");
    assert!(only(&loaded).config_fault.is_some());
    assert!(matches!(only(&loaded).destination, Destination::Multicast(_)));
}

#[test]
fn no_address_is_a_warning_for_v2_and_a_refusal_for_v3() {
    let text = |lines: &str| format!("vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n{lines}\n}}");
    let start = |lines: &str| {
        let loaded = read(&text(lines));
        (loaded.diagnostics.config_test_status(), loaded.diagnostics.start_status())
    };
    assert_eq!(start(""), (5, None));
    assert_eq!(start("version 3"), (5, Some(2)));
    assert_eq!(start("version 3\nno_virtual_ipaddress"), (0, None));
}

#[test]
fn strict_mode_sets_what_the_rfc_says() {
    let loaded = instance_with("strict_mode\nstate MASTER\npriority 150");
    assert_eq!(only(&loaded).initial_state, InitialState::Backup);
    let loaded = instance_with("strict_mode\ndown_timer_adverts 5\ngarp_lower_prio_repeat 2");
    let instance = only(&loaded);
    assert_eq!((instance.down_timer_adverts, instance.garp.lower_prio_repeat), (3, 0));
    assert!(instance.lower_prio_no_advert && !instance.higher_prio_send_advert && !instance.accept);
    assert_eq!(loaded.diagnostics.iter().filter(|d| d.code == Code::STRICT_MODE).count(), 2);
}

#[test]
fn flags_obey_their_value() {
    assert!(!only(&instance_with("skip_check_adv_addr off")).skip_check_adv_addr);
    assert!(!only(&instance_with("strict_mode off")).strict);
    let loaded = instance_with("priority 255\nowner_ignore_adverts off");
    assert!(!only(&loaded).owner_ignore_adverts);
    assert_eq!(loaded.diagnostics.config_test_status(), 5);
}

#[test]
fn the_same_virtual_router_twice_on_a_lan_is_refused() {
    let instance = |name: &str, interface: &str, more: &str| {
        format!(
            "vrrp_instance {name} {{\ninterface {interface}\nvirtual_router_id 7\nvirtual_ipaddress {{\n192.0.2.{}\n}}\n{more}\n}}\n",
            name.len()
        )
    };
    let clash = |text: String| read(&text).diagnostics.iter().filter(|d| d.code == Code::VRID_CLASH).count();
    assert_eq!(clash(instance("A", "eth0", "") + &instance("BB", "eth0", "")), 1);
    assert_eq!(clash(instance("A", "eth0", "") + &instance("BB", "eth1", "")), 0);
    assert_eq!(clash(instance("A", "eth0", "") + &instance("BB", "eth0", "mcast_dst_ip 224.0.0.30")), 0);
    let peers = |peer| format!("unicast_peer {{\n192.0.2.{peer}\n}}");
    assert_eq!(clash(instance("A", "eth0", &peers(50)) + &instance("BB", "eth0", &peers(50))), 1);
    assert_eq!(clash(instance("A", "eth0", &peers(50)) + &instance("BB", "eth0", &peers(51))), 0);
    assert_eq!(clash(instance("A", "eth0", &peers(50)) + &instance("BB", "eth0", "")), 0);
}

const SECURE: &str = "global_defs {\nenable_script_security\nscript_user root\n}\n";
const SCRIPT: &str = "vrrp_script chk {\nscript /usr/bin/true\nweight 10\n}\n";

fn tracking(before: &str, list: &str, after: &str) -> String {
    format!(
        "{SECURE}{before}vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n192.0.2.9\n}}\n{list}\n}}\n{after}"
    )
}

#[test]
fn a_tracked_script_is_defined_further_up() {
    let list = "track_script {\nchk\n}";
    let loaded = read(&tracking(SCRIPT, list, ""));
    assert_eq!(findings(&loaded), [] as [String; 0]);
    let weight = Weight { value: 10, reverse: false };
    assert_eq!(only(&loaded).track_scripts, [TrackScript { script: ScriptId(0), weight }]);
    let loaded = read(&tracking("", list, SCRIPT));
    let finding = loaded.diagnostics.iter().find(|d| d.code == Code::UNKNOWN_TRACKER).unwrap();
    assert_eq!(finding.labels.len(), 1, "it points at the definition");
    assert_eq!(loaded.diagnostics.config_test_status(), 5);
}

/// keepalived: it mends 0 with a whole second, the timeout as well, and does not take the interval for it.
#[test]
fn a_script_time_of_zero_is_a_second() {
    let script = "vrrp_script chk {\nscript /usr/bin/true\ninterval 0\ntimeout 0\n}\n\
                  vrrp_script slow {\nscript /usr/bin/true\ninterval 5\ntimeout 0\n}\n";
    let loaded = read(&tracking(script, "track_script {\nchk\nslow\n}", ""));
    let said = loaded.diagnostics.iter().filter(|d| d.code == Code::BAD_NUMBER).count();
    assert_eq!((said, loaded.diagnostics.config_test_status()), (3, 5));
    let times: Vec<_> = loaded.config.vrrp.scripts.iter().map(|s| (s.interval, s.timeout)).collect();
    let second = Duration::from_secs(1);
    assert_eq!(times, [(second, second), (second * 5, second)]);
}

#[test]
fn two_scripts_of_one_name_are_told_and_the_first_counts() {
    let second = "vrrp_script chk {\nscript /usr/bin/false\n}\n";
    let loaded = read(&tracking(&format!("{SCRIPT}{second}"), "track_script {\nchk\n}", ""));
    let finding = loaded.diagnostics.iter().find(|d| d.code == Code::DUPLICATE_NAME).unwrap();
    assert_eq!((finding.exit, finding.labels.len()), (None, 1));
    let scripts = &loaded.config.vrrp.scripts;
    assert_eq!((scripts.len(), scripts[0].command.argv[0].as_slice()), (1, &b"/usr/bin/true"[..]));
}

#[test]
fn weights_mean_nothing_to_the_owner_of_the_addresses() {
    let loaded =
        read(&tracking(SCRIPT, "priority 255\ntrack_script {\nchk\n}\ntrack_interface {\neth1 weight 5\n}", ""));
    let instance = only(&loaded);
    assert!(instance.track_scripts.is_empty() && instance.track_interfaces.is_empty());
    assert_eq!(loaded.diagnostics.iter().filter(|d| d.code == Code::TRACKER_IGNORED).count(), 2);
}

#[test]
fn the_own_interface_is_tracked_anyway() {
    check(&[
        ("track_interface {\neth0\n}", &[Code::TRACKER_IGNORED], 5),
        ("track_interface {\neth1\neth1\n}", &[Code::TRACKER_IGNORED], 5),
        ("track_interface {\neth1 weight 300\n}", &[Code::BAD_NUMBER], 5),
    ]);
}

#[test]
fn scripts_without_security_are_a_class_of_their_own() {
    let loaded = instance_with("notify /usr/bin/true");
    let finding = loaded.diagnostics.iter().find(|d| d.code == Code::SCRIPT_SECURITY_OFF).unwrap();
    assert_eq!(finding.exit, Some(ExitClass::Security));
    assert_eq!(loaded.diagnostics.config_test_status(), 6);
    assert_eq!(read(&tracking("", "notify /usr/bin/true", "")).diagnostics.config_test_status(), 0);
}

#[test]
fn a_missing_notify_script_is_told_and_a_missing_tracked_script_is_an_error() {
    let machine = FakeMachine { missing_scripts: vec!["/usr/bin/true".into()], ..FakeMachine::default() };
    let loaded = read_on(&machine, &tracking("", "notify /usr/bin/true", ""));
    assert_eq!(loaded.diagnostics.config_test_status(), 0);
    assert!(only(&loaded).notify.generic.is_none());
    let loaded = read_on(&machine, &tracking(SCRIPT, "track_script {\nchk\n}", ""));
    assert_eq!(loaded.diagnostics.config_test_status(), 5);
    assert!(only(&loaded).track_scripts.is_empty());
}

#[test]
fn script_security_needs_a_user() {
    let text = tracking("", "notify /usr/bin/true", "").replace("script_user root\n", "");
    assert_eq!(read(&text).diagnostics.config_test_status(), 5);
    let text = tracking("", "notify /usr/bin/true", "").replace("script_user root", "script_user nemo");
    assert_eq!(read(&text).diagnostics.config_test_status(), 5);
}

#[test]
fn global_settings_hold_wherever_they_stand() {
    let instance = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.9\n}\n}\n";
    let global = "global_defs {\nvrrp_garp_master_repeat 9\nvrrp_version 3\n}\n";
    for text in [format!("{instance}{global}"), format!("{global}{instance}")] {
        let loaded = read(&text);
        assert_eq!((only(&loaded).garp.master_repeat, only(&loaded).version), (9, Version::V3));
    }
    let loaded = read(&format!("global_defs {{\nvrrp_min_garp\n}}\n{instance}"));
    let garp = only(&loaded).garp;
    assert_eq!((garp.master_repeat, garp.master_delay), (1, Duration::ZERO));
}

#[test]
fn a_word_of_another_block_is_sent_there() {
    let loaded = instance_with("router_id X");
    let finding = loaded.diagnostics.iter().next().unwrap();
    assert_eq!(finding.help.as_deref(), Some("router_id belongs in global_defs { }"));
}

#[test]
fn an_unknown_block_is_skipped_whole_and_told_once() {
    let loaded = read(
        "nonsense X {\nfoo 1\nbar {\nbaz\n}\n}\nvrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n192.0.2.9\n}\n}",
    );
    assert_eq!(findings(&loaded).len(), 1, "{:?}", findings(&loaded));
    assert_eq!(only(&loaded).vrid, 1);
}

#[test]
fn what_is_not_built_is_told_once_a_file_and_changes_no_status() {
    let loaded = read("global_defs {\nenable_dbus\nenable_dbus\nenable_traps\n}");
    let notes: Vec<_> = loaded.diagnostics.iter().filter(|d| d.code == Code::NOT_BUILT_YET).collect();
    assert_eq!((notes.len(), loaded.diagnostics.config_test_status()), (2, 0));
}

#[test]
fn virtual_servers_are_completed_with_a_warning() {
    let service = |lines: &str| {
        let text = format!("virtual_server 192.0.2.1 80 {{\n{lines}\n}}");
        let loaded = read(&text);
        loaded.diagnostics.iter().filter(|d| d.exit.is_some()).map(|d| d.message.clone()).collect::<Vec<_>>()
    };
    let full = "lb_algo rr\nlb_kind NAT\nprotocol TCP\n";
    assert_eq!(service(&format!("{full}real_server 192.0.2.2 80 {{\nTCP_CHECK {{\n}}\n}}")), [] as [String; 0]);
    assert_eq!(service(full).len(), 1, "no real_server");
    assert_eq!(service("lb_algo rr\nlb_kind NAT\nreal_server 192.0.2.2 80 {\n}").len(), 1, "no protocol");
    assert_eq!(service(&format!("{full}quorum 5\nreal_server 192.0.2.2 80 {{\n}}")).len(), 1, "quorum");
    assert_eq!(service(&format!("{full}real_server 192.0.2.2 80 {{\nHTTP_GET {{\n}}\n}}")).len(), 1, "no url");
    assert_eq!(
        service(&format!("{full}real_server 2001:db8::2 80 {{\n}}")).len(),
        2,
        "family, then the quorum of nothing"
    );
}

#[test]
fn a_child_that_does_not_run_judges_nothing() {
    use keepalived_rs::config::source::Memory;
    use keepalived_rs::config::{LoadOptions, load};
    let options =
        LoadOptions { vrrp: false, config_test: true, working_directory: "/".into(), ..LoadOptions::default() };
    let text = "vrrp_instance V {\ninterface eth9\nvirtual_router_id 1\n}";
    let loaded = load(&mut Memory::of("/k.conf", text), "/k.conf", &options, &FakeMachine::default());
    assert_eq!(loaded.diagnostics.config_test_status(), 0);
}
