//! Options, exit codes and the output of `-t`.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::kit::{Dir, Ran, router, scratch};

#[test]
fn the_first_line_of_the_version_is_what_tools_parse() {
    let ran = Dir::new().run(&["-v"]);
    let line = format!("Keepalived v2.4.3 (keepalived-rs {})", env!("CARGO_PKG_VERSION"));
    assert_eq!((ran.code, ran.stderr.lines().next(), ran.stdout.as_str()), (Some(0), Some(line.as_str()), ""));
    assert!(ran.stderr.contains("\nConfig options:  VRRP "));
}

#[test]
fn signal_numbers_are_printed_for_scripts() {
    let dir = Dir::new();
    for (name, number) in [("STOP", 15), ("RELOAD", 1), ("DATA", 10), ("STATS", 12), ("STATS_CLEAR", 63), ("JSON", 36)]
    {
        let ran = dir.run(&["--signum", name]);
        assert_eq!((ran.code, ran.stdout), (Some(0), format!("{number}\n")));
    }
    let ran = dir.run(&["--signum=TDATA"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "Unknown sigfunc TDATA\n"));
}

#[test]
fn help_goes_to_stderr_and_names_the_program_as_it_was_called() {
    let ran = Dir::new().run(&["--help"]);
    let line = format!("Usage: {} [OPTION...]", env!("CARGO_BIN_EXE_keepalived-rs"));
    assert_eq!((ran.code, ran.stderr.lines().next(), ran.stdout.as_str()), (Some(0), Some(line.as_str()), ""));
}

#[test]
fn bad_options_are_reported_to_the_end_and_fail() {
    let ran = Dir::new().run(&["-n", "-z", "--what", "-p"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr, "Unknown option -z\nUnknown option --what\nMissing parameter for option -p\n");
}

/// `-t` on this text.
fn test_of(text: &str, more: &[&str]) -> Ran {
    let dir = Dir::new();
    let file = dir.write("k.conf", text).display().to_string();
    dir.run(&[&["-t", "-f", &file], more].concat())
}

#[test]
fn a_clean_configuration_prints_nothing_and_gives_0() {
    let ran = test_of("global_defs {\n  router_id R1\n}\n", &[]);
    assert_eq!((ran.code, ran.stderr.as_str(), ran.stdout.as_str()), (Some(0), "", ""));
}

/// E01: 143 instead of 0 where there are scripts.
#[test]
fn e01_a_file_with_scripts_can_be_tested() {
    scratch(|| {
        let script = "vrrp_script s {\n  script /usr/bin/true\n  user root\n}\n";
        let tracked =
            router("VI_1", 51, &["10.0.0.100/24"]).replace("  priority", "  track_script {\n    s\n  }\n  priority");
        let ran = test_of(&format!("global_defs {{\n  enable_script_security\n}}\n{script}{tracked}"), &[]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    });
}

#[test]
fn an_unknown_keyword_gives_5_with_its_place() {
    let ran = test_of("global_defs {\n  rooter_id R1\n}\n", &[]);
    assert_eq!(ran.code, Some(5));
    assert!(ran.stderr.contains("k.conf:2:3"), "{}", ran.stderr);
}

#[test]
fn a_missing_argument_gives_2() {
    assert_eq!(test_of("vrrp_script {\n}\n", &[]).code, Some(2));
}

#[test]
fn a_script_without_script_security_gives_6() {
    let ran = test_of("global_defs {\n  startup_script /usr/bin/true\n}\n", &[]);
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
}

#[test]
fn a_missing_file_and_a_directory_fail_with_the_reason() {
    let dir = Dir::new();
    let ran = dir.run(&["-t", "-f", "/nonexistent/k.conf"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("/nonexistent/k.conf"), "{}", ran.stderr);
    let ran = dir.run(&["-t", "-f", &dir.path("").display().to_string()]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("directory"), "{}", ran.stderr);
}

#[test]
fn findings_go_to_the_file_that_is_named_and_are_appended() {
    let dir = Dir::new();
    let config = dir.write("k.conf", "nonsense\n").display().to_string();
    let log = dir.path("findings").display().to_string();
    for option in [format!("-t{log}"), format!("--config-test={log}")] {
        let ran = dir.run(&[&option, "-f", &config]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(5), ""));
    }
    assert_eq!(dir.read("findings").matches("nonsense' ").count(), 2, "{}", dir.read("findings"));
    let mode = std::fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn findings_never_go_through_a_symbolic_link() {
    let dir = Dir::new();
    let config = dir.write("k.conf", "nonsense\n").display().to_string();
    let target = dir.write("target", "precious");
    symlink(&target, dir.path("link")).unwrap();
    let ran = dir.run(&[&format!("-t{}", dir.path("link").display()), "-f", &config]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("Unable to open config-test log file"), "{}", ran.stderr);
    assert_eq!(dir.read("target"), "precious");
}

/// E02: the device was truncated.
#[test]
fn devices_can_take_the_findings() {
    let dir = Dir::new();
    let config = dir.write("k.conf", "nonsense\n").display().to_string();
    let ran = dir.run(&["-t/dev/stderr", "-f", &config]);
    assert_eq!(dir.run(&["-t/dev/null", "-f", &config]).code, Some(5));
    // A pipe cannot be opened again through a link on every system; where it can, the findings are there.
    assert!(matches!(ran.code, Some(1 | 5)), "{ran:?}");
}

#[test]
fn a_bad_log_facility_does_not_change_the_verdict() {
    let ran = test_of("global_defs {\n}\n", &["-S", "nonsense"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "Invalid log facility 'nonsense'\n"));
}

#[test]
fn under_keepalives_own_name_words_mean_nothing() {
    let dir = Dir::new();
    let config = dir.write("k.conf", "global_defs {\n}\n").display().to_string();
    let program = dir.path("keepalived");
    symlink(env!("CARGO_BIN_EXE_keepalived-rs"), &program).unwrap();
    let ran = Ran::of(dir.command_as(&program, &["reload", "-t", "-f", &config]).output().unwrap());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Unexpected argument(s): reload \n"));
}

#[test]
fn asking_a_daemon_that_is_not_there_fails_and_says_so() {
    let dir = Dir::new();
    for word in ["reload", "status"] {
        let ran = dir.ask(word);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("no daemon is running"), "{}", ran.stderr);
    }
}

#[test]
fn a_configuration_that_is_not_there_ends_the_start_with_6() {
    let dir = Dir::new();
    let mut command = dir.command(&["-n", "-l", "-G", "-f", "/nonexistent/k.conf"]);
    let ran = Ran::of(command.args(dir.pid_options()).output().unwrap());
    assert_eq!(ran.code, Some(6));
    assert!(ran.stderr.contains("Config files missing '/nonexistent/k.conf'."), "{}", ran.stderr);
    assert!(!dir.path("k.pid").exists());
}
