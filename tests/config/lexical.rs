//! The text half: every `lexical/*.conf` (or directory with a `main.conf`) is read, and its tree, findings and exit
//! statuses are compared with the `expected` file beside it. `UPDATE_GOLDEN=1` rewrites those.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepalived_rs::config::source::{Files, MAX_FILE_BYTES, Memory, ReadError};
use keepalived_rs::config::tree::Statement;
use keepalived_rs::config::{Parsed, TextOptions, parse};
use keepalived_rs::diag::render::{self, Style};
use keepalived_rs::diag::{Code, Diagnostics, Sources};
use keepalived_rs::sys::disk::Disk;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/lexical");

fn options() -> TextOptions {
    TextOptions { config_id: "here".into(), random_seed: 1, all_config: false, working_directory: "/".into() }
}

fn read(files: &mut dyn Files, main: &str) -> (Parsed, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let parsed = parse(files, main, &options(), &mut diagnostics);
    (parsed, diagnostics)
}

fn read_text(text: &str) -> (Parsed, Diagnostics) {
    read(&mut Memory::of("/main.conf", text), "main.conf")
}

fn codes(diagnostics: &Diagnostics) -> Vec<Code> {
    diagnostics.iter().map(|d| d.code).collect()
}

fn keywords(parsed: &Parsed) -> Vec<&str> {
    parsed.statements.iter().map(|s| s.keyword.text.as_str()).collect()
}

/// The statements as lines: place, words (quoted ones in quotes), braces.
fn tree(statements: &[Statement], sources: &Sources, depth: usize, out: &mut String) {
    for statement in statements {
        let place = sources.place(statement.keyword.span).expect("every word has a place");
        let words = std::iter::once(&statement.keyword).chain(&statement.args).map(|word| match word.quoted {
            true => format!("\"{}\"", word.text),
            false => word.text.to_string(),
        });
        let _ = write!(
            out,
            "{:4$}{} [{}:{}]",
            "",
            words.collect::<Vec<_>>().join(" "),
            place.line,
            place.column,
            depth * 4
        );
        if let Some(body) = &statement.body {
            out.push_str(" {\n");
            tree(&body.statements, sources, depth + 1, out);
            let _ = write!(out, "{:1$}}}", "", depth * 4);
        }
        out.push('\n');
    }
}

fn printed(files: &mut dyn Files, main: &str) -> String {
    let (parsed, diagnostics) = read(files, main);
    let mut out = String::new();
    tree(&parsed.statements, &parsed.sources, 0, &mut out);
    let findings = render::all(&diagnostics, &parsed.sources, Style::default());
    let start = diagnostics.start_status().map_or("runs".to_owned(), |status| format!("exits {status}"));
    let _ = write!(out, "----\n{findings}----\n-t: {}; started: {start}\n", diagnostics.config_test_status());
    out
}

/// The files of a directory, with `/` in its place.
fn load(directory: &Path, below: &str, files: &mut Memory) {
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
        let name = format!("{below}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().expect("a kind").is_dir() {
            true => load(&entry.path(), &name, files),
            false => _ = files.files.insert(name.into(), Ok(fs::read(entry.path()).expect("a file"))),
        }
    }
}

/// E04, E05: stray and missing braces, quotes and parameters; includes of every kind.
#[test]
fn every_configuration_reads_as_expected() {
    let mut wrong = Vec::new();
    let mut cases: Vec<PathBuf> = fs::read_dir(CASES).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases.retain(|case| case.is_dir() || case.extension().is_some_and(|ext| ext == "conf"));
    assert!(cases.len() > 8, "the cases are found");
    for case in cases {
        let mut files = Memory::default();
        files.environment.insert("GREETING".into(), "hello".into());
        let (main, expected) = if case.is_dir() {
            load(&case, "", &mut files);
            ("main.conf".to_owned(), case.join("expected"))
        } else {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            files.files.insert(format!("/{name}").into(), Ok(fs::read(&case).unwrap()));
            (name, case.with_extension("expected"))
        };
        let got = printed(&mut files, &main);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &got).unwrap();
        } else if fs::read_to_string(&expected).ok().as_ref() != Some(&got) {
            wrong.push(format!("{} differs, got:\n{got}", expected.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_line_longer_than_64_kib_is_skipped_whole_and_a_shorter_one_is_read() {
    let long = format!("a {}\nb {}\nc\n", "x".repeat((64 << 10) - 2), "y".repeat(64 << 10));
    let (parsed, diagnostics) = read_text(&long);
    assert_eq!(keywords(&parsed), ["a", "c"]);
    assert_eq!(codes(&diagnostics), [Code::LINE_TOO_LONG]);
    assert_eq!(diagnostics.config_test_status(), 5);
}

#[test]
fn a_file_of_one_gibibyte_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.conf");
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    let (parsed, diagnostics) = read(&mut Disk, &path.to_string_lossy());
    assert!(!parsed.files_found);
    assert_eq!(codes(&diagnostics), [Code::NO_CONFIGURATION]);
    assert_eq!(Disk.read(&path), Err(ReadError::TooLarge(1 << 30)));
    const { assert!(MAX_FILE_BYTES < 1 << 30) };
}

/// E04: a crash, or half a line taken for a whole one.
#[test]
fn a_line_of_a_mebibyte_a_nul_and_a_missing_last_newline_are_survived() {
    let mut text = vec![b'x'; 1 << 20];
    text.extend(b"\na\0b\nok 1");
    let (parsed, diagnostics) = read(&mut Memory::of("/main.conf", text), "main.conf");
    assert_eq!(keywords(&parsed), ["ok"]);
    assert_eq!(codes(&diagnostics), [Code::LINE_TOO_LONG, Code::NUL_BYTE]);
}

#[test]
fn bytes_that_are_no_utf8_survive() {
    let (parsed, _) = read(&mut Memory::of("/main.conf", b"auth_pass \xe9\xff $X\n".as_slice()), "main.conf");
    assert_eq!(parsed.statements[0].args[0].as_bytes(), b"\xe9\xff");
    assert_eq!(*parsed.statements[0].raw(), *b"auth_pass \xe9\xff $X");
    let (parsed, _) = read(&mut Memory::of("/main.conf", b"$X=\xff\na $X\n".as_slice()), "main.conf");
    assert_eq!(parsed.statements[0].args[0].as_bytes(), b"\xff");
}

#[test]
fn a_file_that_includes_itself_ends_in_one_finding() {
    let (parsed, diagnostics) = read_text("a\ninclude main.conf\n");
    assert_eq!(parsed.statements.len(), 65);
    assert_eq!(codes(&diagnostics), [Code::INCLUDE_TOO_DEEP]);
    assert_eq!(diagnostics.start_status(), Some(2));
    // Twice per file would be 2^64 files.
    let (_, diagnostics) = read_text("include main.conf\ninclude *.conf\n");
    assert!(codes(&diagnostics).contains(&Code::TOO_MANY_FILES));
}

#[test]
fn a_hundred_thousand_nested_includes_end_in_a_finding() {
    let mut files = Memory::default();
    for i in 0..100_000 {
        files.files.insert(format!("/{i}.conf").into(), Ok(format!("k\ninclude {}.conf\n", i + 1).into_bytes()));
    }
    /// Looks names up instead of comparing each.
    struct Fast(Memory);
    impl Files for Fast {
        fn matches(&mut self, _: &Path, pattern: &str) -> Vec<PathBuf> {
            match pattern {
                "*" => self.0.files.keys().cloned().collect(),
                _ => vec![pattern.into()],
            }
        }
        fn read(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, ReadError> {
            self.0.read(path)
        }
        fn environment(&mut self, name: &str) -> Option<String> {
            self.0.environment(name)
        }
    }
    let (parsed, diagnostics) = read(&mut Fast(files.clone()), "0.conf");
    assert_eq!(parsed.statements.len(), 65);
    assert_eq!(codes(&diagnostics), [Code::INCLUDE_TOO_DEEP]);
    files.files.insert("/all.conf".into(), Ok(b"include *\n".to_vec()));
    let (_, diagnostics) = read(&mut Fast(files), "all.conf");
    assert!(codes(&diagnostics).contains(&Code::TOO_MANY_FILES));
}

#[test]
fn expansions_that_explode_end_in_a_finding() {
    let mut doubling = String::from("$A0=xxxxxxxx\n");
    let mut lines = String::from("$B0= \\\nx \\\ny\n");
    for i in 1..60 {
        let _ = writeln!(doubling, "$A{i}=${{A{0}}}${{A{0}}}", i - 1);
        let _ = writeln!(lines, "$B{i}= \\\n$B{0} \\\n$B{0}", i - 1);
    }
    for (text, code) in [
        ("~SEQ(I, 1000000000) x${I}".to_owned(), Code::BAD_SEQUENCE),
        ("~SEQ(I, 900000) ~SEQ(J, 900000) x".to_owned(), Code::EXPANSION_TOO_LARGE),
        (doubling + "k ${A59}", Code::LINE_TOO_LONG),
        (lines + "$B59", Code::EXPANSION_TOO_LARGE),
        ("$A=$B\n$B=$A\nx $A".to_owned(), Code::PARAMETER_RECURSION),
        ("$A=x${A}\n$A".to_owned(), Code::PARAMETER_RECURSION),
        ("$A= \\\nx \\\n$A\n$A".to_owned(), Code::PARAMETER_RECURSION),
        ("$A= \\\n$A \\\n$A\n$A".to_owned(), Code::PARAMETER_RECURSION),
        ("$A= \\\n~SEQ(I,3) $A \\\ny\n$A".to_owned(), Code::PARAMETER_RECURSION),
    ] {
        let (_, diagnostics) = read_text(&format!("{text}\n"));
        assert!(codes(&diagnostics).contains(&code), "{text:.60}: {:?}", codes(&diagnostics));
        assert!(diagnostics.config_test_status() == 5);
    }
}

#[test]
fn blocks_nested_without_end_are_cut_off_and_the_tree_can_be_dropped() {
    for text in ["x {".repeat(200_000), "x {\n".repeat(200_000) + &"}".repeat(400_000)] {
        let (parsed, diagnostics) = read_text(&text);
        assert!(codes(&diagnostics).contains(&Code::TOO_DEEP) || codes(&diagnostics).contains(&Code::LINE_TOO_LONG));
        drop(parsed);
    }
}

#[test]
fn a_configuration_that_cannot_be_read_fails_test_and_start_except_an_executable_one() {
    let status = |answer: Option<ReadError>| {
        let mut files = Memory::default();
        if let Some(error) = answer {
            files.files.insert("/main.conf".into(), Err(error));
        }
        let (parsed, diagnostics) = read(&mut files, "main.conf");
        assert!(!parsed.files_found && diagnostics.refuses_to_run());
        (diagnostics.config_test_status(), diagnostics.start_status())
    };
    assert_eq!(status(None), (2, Some(6)));
    assert_eq!(status(Some(ReadError::Directory)), (2, Some(6)));
    assert_eq!(status(Some(ReadError::Unreadable(13))), (2, Some(6)));
    assert_eq!(status(Some(ReadError::Executable)), (0, Some(6)));
}

#[test]
fn a_pattern_that_matches_several_configurations_reads_all_and_says_so() {
    let mut files = Memory::of("/b.conf", "b\n").with("/a.conf", "a\n");
    let (parsed, diagnostics) = read(&mut files, "*.conf");
    assert_eq!(keywords(&parsed), ["a", "b"]);
    assert_eq!(codes(&diagnostics), [Code::SEVERAL_FILES]);
    assert_eq!(diagnostics.config_test_status(), 5);
}

#[test]
fn include_problems_are_errors_where_they_are_checked() {
    let status = |text: &str| {
        let mut files = Memory::of("/main.conf", text).with("/ok", "k\n");
        for (name, error) in [("/dir", ReadError::Directory), ("/exe", ReadError::Executable)] {
            files.files.insert(name.into(), Err(error));
        }
        files.files.insert("/closed".into(), Err(ReadError::Unreadable(13)));
        read(&mut files, "main.conf").1.config_test_status()
    };
    for quiet in ["include none", "include n*", "include {ok,none}", "include dir", "include exe", "include closed"] {
        assert_eq!(status(quiet), 0, "{quiet}");
    }
    for error in
        ["includer dir", "includer exe", "includer closed", "includem none", "includew n*", "includeb {ok,none}"]
    {
        assert_eq!(status(error), 6, "{error}");
        assert_eq!(status(&error.replacen(['r', 'm', 'w', 'b'], "a", 1)), 6);
    }
    for quiet in ["includer none", "includem n*", "includew {ok,none}", "includeb none", "includeb n*"] {
        assert_eq!(status(quiet), 0, "{quiet}");
    }
    for (words, include, expected) in [
        ("", "none", 6),
        ("read", "dir", 6),
        ("readable", "dir", 6),
        ("read", "none", 0),
        ("match", "none", 6),
        ("match", "exe", 6),
        ("wildcard_match", "n*", 6),
        ("brace_match", "{ok,none}", 6),
        ("+match", "none", 6),
        ("+match", "exe", 0),
        ("match -read", "exe", 0),
        ("\n include_check -match -read", "none", 0),
        ("bogus", "none", 5),
        ("read match", "none", 5),
    ] {
        let text = format!("global_defs {{\n include_check {words}\n}}\ninclude {include}\n");
        assert_eq!(status(&text), expected, "{text}");
    }
}

#[test]
fn include_check_holds_to_the_end_of_its_file() {
    let mut files = Memory::of("/main.conf", "include one\ninclude none\n")
        .with("/one", "global_defs {\ninclude_check\n}\ninclude two\n")
        .with("/two", "include none\n");
    let (_, diagnostics) = read(&mut files, "main.conf");
    let worst: Vec<_> = diagnostics.iter().map(|d| (d.code, d.exit.is_some())).collect();
    assert_eq!(worst, [(Code::INCLUDE_NO_MATCH, true), (Code::INCLUDE_NO_MATCH, false)]);
}

#[test]
fn all_config_makes_every_include_problem_an_error() {
    let mut diagnostics = Diagnostics::default();
    let strict = TextOptions { all_config: true, ..options() };
    parse(&mut Memory::of("/main.conf", "include none\n"), "main.conf", &strict, &mut diagnostics);
    assert_eq!(diagnostics.config_test_status(), 6);
}

#[test]
fn the_same_seed_gives_the_same_random_numbers_within_their_bounds() {
    let text = "~SEQ(I, 50) n ${_RANDOM 10 12} ${_RANDOM}\n";
    let (one, two) = (read_text(text).0, read_text(text).0);
    assert_eq!(one.statements, two.statements);
    let number = |statement: &Statement, i: usize| statement.args[i].text.parse::<u32>().unwrap();
    assert!(one.statements.iter().all(|s| (10..=12).contains(&number(s, 0)) && number(s, 1) <= 32_767));
    for wanted in 10..=12 {
        assert!(one.statements.iter().any(|s| number(s, 0) == wanted));
    }
}
