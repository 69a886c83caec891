//! What the documentation says is what the program does.

use std::path::Path;
use std::process::Command;

use keepalived_rs::diag::codes;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `docs/diagnostics.md` as the table of codes has it.
fn diagnostics() -> String {
    let mut text = String::from(
        "# Findings\n\n`keepalived-rs -t` and a reload speak of a configuration with these codes. A code never changes its \
         meaning.\n`UPDATE_GOLDEN=1 cargo test --test docs` writes this page from `src/diag/codes.rs`.\n\n\
         | Range | Speaks of |\n|---|---|\n| K1xxx | text and structure |\n| K2xxx | keywords and values |\n\
         | K3xxx | what does not fit together |\n| K4xxx | files and scripts |\n| K9xxx | notes of ours |\n\n\
         | Code | Finding | What it means |\n|---|---|---|\n",
    );
    for (code, title, explanation) in codes::ALL {
        text.push_str(&format!("| {code} | {} | {} |\n", cell(title), cell(explanation)));
    }
    text
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn every_code_is_explained() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics.md");
        std::fs::write(path, diagnostics()).unwrap();
    }
    assert_eq!(read("docs/diagnostics.md"), diagnostics());
}

#[test]
fn the_readmes_example_is_what_the_program_prints() {
    let readme = read("README.md");
    let block = |after: &str| {
        let (_, rest) = readme.split_once(after).unwrap_or_else(|| panic!("README.md has no {after:?}"));
        rest.split_once("\n```").expect("the block ends").0.trim_start_matches('\n').to_owned() + "\n"
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.conf"), format!("# bad.conf\n{}", block("```\n# bad.conf"))).unwrap();
    let test = Command::new(env!("CARGO_BIN_EXE_keepalived-rs"))
        .args(["-t", "-f", "bad.conf"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(test.stderr).unwrap();
    assert_eq!(printed, block("$ keepalived-rs -t -f bad.conf"));
    assert_eq!(test.status.code(), Some(5));
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = read("README.md");
    let links: Vec<&str> = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!links.is_empty());
    for link in links {
        assert!(root.join(link).exists(), "README.md links to {link}");
    }
}
