//! The tables know every keyword of keepalived, and what they say of each is on record.
//!
//! `keywords.golden` is our own list: block, keyword, values, default, and what happens without a value. Where the
//! reference table of keepalived's grammar is there (beside the package or by `KEEPALIVED_RS_REFERENCE`), every row of it
//! is looked up as well.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use keepalived_rs::config::keywords::{Entry, Kind, Missing, Value, each_block};

use crate::kit::golden;

/// Every row by path and name.
fn rows() -> BTreeMap<(String, &'static str), Entry> {
    let mut rows = BTreeMap::new();
    each_block(|path, entries| {
        for entry in entries {
            add(&mut rows, path, entry);
        }
    });
    rows
}

fn add(rows: &mut BTreeMap<(String, &'static str), Entry>, path: &str, entry: &Entry) {
    rows.insert((path.to_owned(), entry.name), *entry);
    let inner = if path.is_empty() { entry.name.to_owned() } else { format!("{path}/{}", entry.name) };
    for option in entry.options {
        add(rows, &inner, option);
    }
}

#[test]
fn the_tables_say_what_is_on_record() {
    let mut text = String::new();
    for ((path, name), entry) in rows() {
        let missing = match entry.missing {
            Missing::Allowed => "may be alone",
            Missing::Error => "ignored alone",
            Missing::Refuse => "refused alone",
        };
        let path = if path.is_empty() { "(top)" } else { &path };
        let built = if entry.built { "built" } else { "" };
        let default = entry.default;
        writeln!(text, "{path}\t{name}\t{}\t{default}\t{missing}\t{built}", entry.value).unwrap();
    }
    golden("keywords.golden", &text);
}

#[test]
fn every_row_says_what_it_is_about() {
    for ((path, name), entry) in rows() {
        let about = entry.about;
        assert!(!about.is_empty() && !about.ends_with('.'), "{path} {name}: '{about}'");
    }
}

fn reference() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference");
    let folder = std::env::var_os("KEEPALIVED_RS_REFERENCE").map_or(beside, PathBuf::from);
    let table = folder.join("grammar.tsv");
    if table.is_file() {
        return Some(table);
    }
    println!("skipped: no reference at {}; keywords.golden is all there is", folder.display());
    None
}

#[test]
fn every_row_of_the_reference_is_known() {
    let Some(table) = reference() else { return };
    let rows = rows();
    let mut wrong = String::new();
    let text = std::fs::read_to_string(table).unwrap();
    let mut count = 0;
    for line in text.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [path, name, arguments, .., on_bad] = columns.as_slice() else { panic!("{line}") };
        count += 1;
        let path = if *path == "(root)" { "" } else { path };
        let Some((_, entry)) = rows.iter().find(|((p, n), _)| p == path && n == name) else {
            writeln!(wrong, "{path} {name}: not in our tables").unwrap();
            continue;
        };
        if let Some(problem) = difference(entry, arguments, on_bad) {
            writeln!(wrong, "{path} {name} {arguments}: {problem} ({on_bad})").unwrap();
        }
    }
    println!("{count} rows looked up");
    assert!(wrong.is_empty(), "{wrong}");
}

/// What our row says otherwise than the reference.
fn difference(entry: &Entry, arguments: &str, on_bad: &str) -> Option<String> {
    let range =
        arguments.trim_start_matches('[').strip_prefix("<INTEGER:").and_then(|rest| rest.split(['>', ' ', '|']).next());
    let range = range.and_then(|range| {
        let dash = range[1..].find('-')? + 1;
        Some((range[..dash].parse::<i64>().ok()?, range[dash + 1..].parse::<i64>().ok()?))
    });
    let ours = match entry.value {
        Value::Number(min, max) => Some((min, max)),
        Value::AtLeastOne(max) => Some((1, max)),
        _ => None,
    };
    if let (Some(theirs), Some(ours)) = (range, ours)
        && theirs != ours
        // "1 becomes 2", "0 accepted": judged by the row's function.
        && !arguments.contains("becomes")
        && !entry.name.ends_with("rlimit_rtime")
    {
        return Some(format!("ours goes from {} to {}", ours.0, ours.1));
    }
    // "As another": that one is judged in its own row. "Otherwise": it depends, and the row's function sees to it.
    if on_bad.starts_with("as neighbor_ip") || on_bad.contains("otherwise as") {
        return None;
    }
    let refuses = ["reject config", "(treat as reject config)"].iter().any(|word| on_bad.ends_with(word))
        || on_bad.contains("missing argument: reject config");
    if entry.kind != Kind::Option && entry.kind != Kind::Block && refuses != (entry.missing == Missing::Refuse) {
        return Some(format!("ours without value: {:?}", entry.missing));
    }
    None
}
