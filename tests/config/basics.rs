//! What an ordinary file means.

use std::time::Duration;

use keepalived_rs::model::vrrp::{Authentication, Destination, InitialState, Version};
use keepalived_rs::time::Centis;

use crate::kit::{findings, instance_with, only, read};

#[test]
fn a_tutorials_file_means_what_it_says() {
    let loaded = read(
        r#"
global_defs {
   router_id LVS_1
   enable_script_security
   script_user root
}
vrrp_script chk {
    script "/usr/bin/pgrep nginx"
    interval 2
    fall 3
    weight -20
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        192.168.200.16/24 dev eth1 label eth1:vip
        192.168.200.17
    }
    track_script {
        chk
    }
    notify_master "/etc/keepalived/master.sh 'a b' c"
}
"#,
    );
    assert_eq!(findings(&loaded), [] as [String; 0]);
    let instance = only(&loaded);
    assert_eq!((&*instance.name, instance.vrid, instance.priority), ("VI_1", 51, 150));
    assert_eq!((instance.initial_state, instance.version), (InitialState::Master, Version::V2));
    assert_eq!(instance.advert_interval, Centis(100));
    assert_eq!(instance.authentication, Authentication::Pass(*b"1111\0\0\0\0"));
    let shown: Vec<String> = instance.addresses.iter().map(|a| format!("{} {}", a.cidr, a.interface)).collect();
    assert_eq!(shown, ["192.168.200.16/24 eth1", "192.168.200.17/32 eth0"]);
    assert_eq!(instance.addresses[0].label.as_deref(), Some("eth1:vip"));
    let script = &loaded.config.vrrp.scripts[instance.track_scripts[0].script.0];
    assert_eq!((script.interval, script.fall, script.rise), (Duration::from_secs(2), 3, 1));
    assert_eq!(instance.track_scripts[0].weight.value, -20);
    let notify = instance.notify.master.as_ref().unwrap();
    assert_eq!(notify.argv, [&b"/etc/keepalived/master.sh"[..], b"a b", b"c"]);
    assert_eq!(&*loaded.config.global.router_id, "LVS_1");
}

#[test]
fn defaults_are_those_of_the_manual() {
    let loaded = instance_with("");
    assert_eq!(findings(&loaded), [] as [String; 0]);
    let instance = only(&loaded);
    assert_eq!(instance.destination, Destination::Multicast([224, 0, 0, 18].into()));
    assert_eq!((instance.priority, instance.initial_state), (100, InitialState::Backup));
    assert_eq!((instance.garp.master_delay, instance.garp.master_repeat), (Duration::from_secs(5), 5));
    assert_eq!((instance.down_timer_adverts, instance.preempt, instance.accept), (3, true, true));
}
