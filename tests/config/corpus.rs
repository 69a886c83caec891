//! Files of the field, if they are there: our `-t` status is keepalived's.
//!
//! The corpus is a folder with an `index.tsv` (file, …, exit status of keepalived 2.4.3 in the seventh column, that on a
//! machine without the scripts and users in the ninth). It is found beside the package or by `KEEPALIVED_RS_CORPUS`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keepalived_rs::config::machine::{FakeMachine, User};
use keepalived_rs::config::source::Memory;
use keepalived_rs::config::{LoadOptions, Loaded, load};

use crate::kit::{findings, handed_over};

/// Files on which we differ on purpose, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("055-charnet1019-keepalived-api.conf", NAMESPACE),
    ("165-openstack-octavia.conf", NAMESPACE),
    ("166-openstack-octavia.conf", NAMESPACE),
    ("167-openstack-octavia.conf", NAMESPACE),
    ("168-openstack-octavia.conf", NAMESPACE),
    ("171-openstack-octavia.conf", NAMESPACE),
    ("206-pqarmitage-keepalived-devel-tools.conf", NAMESPACE),
    ("218-pqarmitage-keepalived-devel-tools.conf", DEFINITION),
];

/// Likewise, where the scripts exist; where they are missing, the status is the same for that.
const EXCEPTIONS_WITH_SCRIPTS: &[(&str, &str)] = &[("201-pqarmitage-keepalived-devel-tools.conf", DEFINITION)];

const NAMESPACE: &str = "net_namespace does not exist where they were run, and keepalived ends with 0 over that";
const DEFINITION: &str = "a comment or a condition inside a multi-line definition does not end it";

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("KEEPALIVED_RS_CORPUS").map_or(beside, PathBuf::from);
    if folder.join("index.tsv").is_file() {
        return Some(folder);
    }
    println!("skipped: no corpus at {}; the files of tests/config are all there is", folder.display());
    None
}

/// One file, with the others of its own folder where it has one.
fn read(corpus: &Path, name: &str, machine: &FakeMachine) -> Loaded {
    let path = corpus.join(name);
    let mut files = Memory::default();
    let folder = path.parent().filter(|folder| *folder != corpus);
    let names = match folder {
        Some(folder) => std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect(),
        None => vec![path.clone()],
    };
    for file in names {
        let inside = format!("/k/{}", file.file_name().unwrap().to_string_lossy());
        files = files.with(&inside, std::fs::read(file).unwrap());
    }
    let main = path.file_name().unwrap().to_string_lossy().into_owned();
    let options = LoadOptions { config_test: true, working_directory: "/k".into(), ..LoadOptions::default() };
    handed_over(load(&mut files, &main, &options, machine))
}

/// Compares every file on one kind of machine; `column` of the index has keepalived's status.
fn compare(machine: &FakeMachine, column: usize, more_exceptions: &[(&str, &str)]) {
    let Some(corpus) = corpus() else { return };
    let index = std::fs::read_to_string(corpus.join("index.tsv")).unwrap();
    let exceptions: BTreeMap<&str, &str> = EXCEPTIONS.iter().chain(more_exceptions).copied().collect();
    let mut differ = String::new();
    let mut agree = 0;
    let mut stale: Vec<&str> = Vec::new();
    for row in index.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (name, theirs) = (columns[0], columns[column].parse::<u8>().unwrap());
        let loaded = read(&corpus, name, machine);
        let ours = loaded.diagnostics.config_test_status();
        if ours == theirs {
            agree += 1;
            if exceptions.contains_key(name) {
                stale.push(name);
            }
        } else if !exceptions.contains_key(name) {
            let found = findings(&loaded).join("\n    ");
            let said = columns.get(10).unwrap_or(&"").replace(" \u{23ce} ", "\n    ");
            differ.push_str(&format!(
                "{name}: ours {ours}, keepalived {theirs}\n  ours:\n    {found}\n  keepalived:\n    {said}\n"
            ));
        }
    }
    println!("{agree} files agree");
    assert!(differ.is_empty(), "{differ}");
    assert!(stale.is_empty(), "these agree now, take them off the list: {stale:?}");
}

/// Where keepalived was run: every interface exists but one that keepalived itself would make, and no script beside the
/// file.
fn machine() -> FakeMachine {
    FakeMachine {
        every_link_exists: true,
        missing_links: vec!["vrrp.253".to_owned()],
        missing_scripts: vec!["/k".into()],
        ..FakeMachine::default()
    }
}

#[test]
fn config_test_statuses_agree_where_scripts_and_users_exist() {
    let machine = FakeMachine { every_user_exists: true, ..machine() };
    compare(&machine, 6, EXCEPTIONS_WITH_SCRIPTS);
}

#[test]
fn config_test_statuses_agree_where_scripts_and_users_are_missing() {
    let everywhere = ["bash", "sh", "true", "false", "test", "kill", "killall", "pidof", "ip", "echo", "curl"];
    let mut machine = FakeMachine { only_scripts: Some(everywhere.map(str::to_owned).into()), ..machine() };
    machine.users.insert("nobody".to_owned(), User { uid: 65_534, gid: 65_534 });
    compare(&machine, 8, &[]);
}
