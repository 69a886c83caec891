//! Files of our own: every keyword whose effect is built, read without complaint into the model on record; and mistakes,
//! with the findings on record.

use std::collections::BTreeSet;

use keepalived_rs::config::keywords::{Kind, each_block};
use keepalived_rs::config::source::Memory;
use keepalived_rs::config::tree::Statement;
use keepalived_rs::config::{TextOptions, parse};
use keepalived_rs::diag::render::{self, Style};
use keepalived_rs::diag::{Code, Diagnostics};
use keepalived_rs::model::Lvs;

use crate::kit::{golden, read};

const SAMPLES: &[(&str, &str)] = &[
    ("process", include_str!("samples/process.conf")),
    ("old_names", include_str!("samples/old_names.conf")),
    ("alerts", include_str!("samples/alerts.conf")),
    ("services", include_str!("samples/services.conf")),
    ("checkers", include_str!("samples/checkers.conf")),
    ("multicast", include_str!("samples/multicast.conf")),
    ("unicast", include_str!("samples/unicast.conf")),
];

#[test]
fn every_sample_gives_the_model_on_record() {
    for (name, text) in SAMPLES {
        let loaded = read(text);
        let mut model = format!("{:#?}\n{:#?}\n", loaded.config.global, loaded.config.vrrp);
        if *loaded.config.lvs != Lvs::default() {
            model.push_str(&format!("{:#?}\n", loaded.config.lvs));
        }
        golden(&format!("samples/{name}.model"), &model);
        let errors: Vec<_> = loaded.diagnostics.iter().filter(|d| d.exit.is_some()).collect();
        let allowed = |d: &&_| *name == "old_names" && is_deprecation(d) || *name == "unicast" && is_open_security(d);
        assert!(errors.iter().all(allowed), "{name}: {errors:#?}");
        assert!(!loaded.diagnostics.iter().any(|d| d.code == Code::NOT_BUILT_YET), "{name} holds keywords to come");
    }
}

fn is_deprecation(diagnostic: &keepalived_rs::diag::Diagnostic) -> bool {
    diagnostic.code == Code::DEPRECATED
}

fn is_open_security(diagnostic: &keepalived_rs::diag::Diagnostic) -> bool {
    diagnostic.code == Code::SCRIPT_SECURITY_OFF
}

#[test]
fn every_built_keyword_is_in_a_sample() {
    let mut seen = BTreeSet::new();
    for (_, text) in SAMPLES {
        let options = TextOptions { working_directory: "/".into(), ..TextOptions::default() };
        let parsed = parse(&mut Memory::of("/k.conf", text), "/k.conf", &options, &mut Diagnostics::default());
        collect("", &parsed.statements, &mut seen);
    }
    let mut unseen = Vec::new();
    each_block(|path, entries| {
        let built = entries.iter().filter(|entry| entry.built && entry.kind != Kind::Option);
        unseen.extend(built.filter(|e| !seen.contains(&place(path, e.name))).map(|e| place(path, e.name)));
    });
    assert_eq!(unseen, [] as [String; 0]);
}

fn place(path: &str, keyword: &str) -> String {
    if path.is_empty() { keyword.to_owned() } else { format!("{path}/{keyword}") }
}

fn collect(path: &str, statements: &[Statement], seen: &mut BTreeSet<String>) {
    for line in statements {
        let here = place(path, &line.keyword.text);
        if let Some(body) = &line.body {
            collect(&here, &body.statements, seen);
        }
        seen.insert(here);
    }
}

#[test]
fn three_mistakes_are_told_in_one_go() {
    let loaded = read(include_str!("samples/three_mistakes.conf"));
    golden("samples/three_mistakes.findings", &render::all(&loaded.diagnostics, &loaded.sources, Style::default()));
    assert_eq!(loaded.diagnostics.config_test_status(), 6, "as keepalived: a script without security hides the rest");
    assert_eq!(loaded.diagnostics.start_status(), Some(2));
}
