//! The examples of `conf/`: sound, and what their comments say.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use keepalived_rs::config::Loaded;
use keepalived_rs::config::machine::FakeMachine;
use keepalived_rs::diag::Code;
use keepalived_rs::model::checker::Probe;
use keepalived_rs::model::lvs::{Forwarding, VirtualServer};

use crate::kit::{findings, read_on};

/// Every example, by the name of its file.
fn examples() -> BTreeMap<String, Loaded> {
    let machine = FakeMachine { every_user_exists: true, every_link_exists: true, ..FakeMachine::default() };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, read_on(&machine, &std::fs::read_to_string(path).unwrap()))
        })
        .collect()
}

fn services(loaded: &Loaded) -> Vec<&VirtualServer> {
    loaded.config.lvs.virtual_servers.iter().map(AsRef::as_ref).collect()
}

#[test]
fn nothing_is_wrong_with_any_example() {
    for (name, loaded) in examples() {
        // Examples about other things do not turn script security on.
        let allowed = |d: &&_| name.starts_with("lvs") || !is_open_security(d);
        let wrong: Vec<_> = loaded.diagnostics.iter().filter(|d| d.exit.is_some()).filter(allowed).collect();
        assert!(wrong.is_empty(), "{name}: {:#?}", findings(&loaded));
    }
}

fn is_open_security(diagnostic: &keepalived_rs::diag::Diagnostic) -> bool {
    diagnostic.code == Code::SCRIPT_SECURITY_OFF
}

#[test]
fn the_tutorials_directors_balance_over_two_servers() {
    let examples = examples();
    for (name, method) in [("lvs-dr", Forwarding::Direct), ("lvs-nat", Forwarding::Nat)] {
        let loaded = &examples[name];
        let [service] = services(loaded)[..] else { panic!("{name}") };
        assert_eq!(service.real_servers.len(), 2);
        for server in &service.real_servers {
            assert_eq!(server.forwarding, method);
            let [checker] = &*server.checkers else { panic!("{name}") };
            let schedule = checker.schedule;
            assert_eq!((schedule.retry, schedule.delay_before_retry), (3, Duration::from_secs(2)));
            assert_eq!(schedule.delay_loop, Duration::from_secs(6));
            let connection = match &checker.probe {
                Probe::Tcp(connection) => connection,
                Probe::Http(http) => &http.connection,
                other => panic!("{other:?}"),
            };
            assert_eq!(
                (connection.target(server.asked_at()).ip(), connection.target(server.asked_at()).port()),
                (server.address, server.port)
            );
            assert_eq!(connection.timeout, Duration::from_secs(3));
        }
    }
    let daemon = examples["lvs-dr"].config.lvs.sync_daemon.clone().unwrap();
    assert_eq!((daemon.instance.map(|id| id.0), daemon.id), (Some(0), 51));
}

#[test]
fn the_other_examples_have_what_they_are_about() {
    let examples = examples();
    let kinds = |name: &str| {
        let mut kinds: Vec<String> = services(&examples[name])
            .iter()
            .flat_map(|service| &service.real_servers)
            .flat_map(|server| server.checkers.iter())
            .map(|checker| format!("{:?}", checker.probe).split('(').next().unwrap_or_default().to_owned())
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds("lvs-web"), ["Http"]);
    assert_eq!(kinds("lvs-services"), ["Dns", "File", "Misc", "Ping", "Smtp", "Udp"]);
    let groups = services(&examples["lvs-groups"]);
    assert_eq!((groups.len(), groups[0].group.len()), (2, 4));
    let marks = services(&examples["lvs-marks"]);
    assert_eq!((marks.len(), marks[0].mark, marks[0].group.len()), (1, Some(2000), 3));
    let quorum = services(&examples["lvs-quorum"])[0];
    assert_eq!((quorum.quorum, quorum.hysteresis, quorum.smtp_alert), (5, 1, true));
    assert!(quorum.sorry_server.is_some() && quorum.omega);
    let global = &examples["lvs-quorum"].config.global;
    assert_eq!(global.mail.recipients.len(), 2);
    assert!(global.mail.server().is_some() && global.fifos.lvs.is_some());
}
