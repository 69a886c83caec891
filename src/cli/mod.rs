//! The command line.

mod client;
mod config_test;
mod genhash;
pub mod getopt;
pub mod options;
mod try_;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::process::{child, spawner, start};
use crate::supervise::child::Kind;
use crate::sys::{reexec, signals};

use options::{Parsed, Show};

/// Runs the program.
pub fn run() -> ExitCode {
    // First of all: a signal that comes now waits until somebody can act on it.
    signals::block();
    let argv: Vec<OsString> = std::env::args_os().collect();
    ExitCode::from(dispatch(argv))
}

fn dispatch(mut argv: Vec<OsString>) -> u8 {
    let program = argv.first().map_or("keepalived-rs".into(), |name| name.to_string_lossy().into_owned());
    let base = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    if base == "genhash" {
        signals::unblock();
        return genhash::run(&program, &argv[1..]);
    }
    let word = argv.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if matches!(word.as_str(), reexec::CHILD | reexec::CHILD_AGAIN) && argv.len() > 2 {
        let kind = argv.remove(2).to_string_lossy().into_owned();
        argv.remove(1);
        return run_child(&kind, argv, word == reexec::CHILD_AGAIN);
    }
    // keepalived: left-over words mean nothing there, so under its name they mean nothing here.
    if base != "keepalived" {
        match word.as_str() {
            "reload" => return command(&argv, client::reload),
            "status" => return command(&argv, client::status),
            "cleanup" => return command(&argv, client::cleanup),
            "genhash" => {
                signals::unblock();
                return genhash::run(&format!("{program} genhash"), &argv[2..]);
            }
            "try" => {
                signals::unblock();
                return try_::run(&argv[2..]);
            }
            _ => {}
        }
    }
    match parse(&argv[1.min(argv.len())..], &program) {
        Err(status) => status,
        Ok(parsed) if parsed.options.config_test.is_some() => {
            signals::unblock();
            config_test::run(&parsed.options)
        }
        Ok(parsed) => start::daemon(parsed.options, argv),
    }
}

/// Reads options; an error is the status of a program that has nothing more to do.
fn parse(words: &[OsString], program: &str) -> Result<Parsed, u8> {
    let parsed = options::parse(words);
    // Nobody may be reading; that is no reason to fail.
    let _ = std::io::stderr().write_all(parsed.stderr.as_bytes());
    let _ = std::io::stdout().write_all(parsed.stdout.as_bytes());
    match (parsed.show, parsed.exit) {
        (Some(Show::Version), _) => {
            eprint!("{}", version());
            Err(0)
        }
        (Some(Show::Help), _) => {
            eprint!("{}", options::help(program));
            Err(0)
        }
        (Some(Show::Genhash), _) => {
            signals::unblock();
            Err(genhash::run(&format!("{program} --genhash"), behind_genhash(words)))
        }
        (None, Some(status)) => Err(status),
        (None, None) => Ok(parsed),
    }
}

fn command(argv: &[OsString], run: fn(&Parsed) -> u8) -> u8 {
    signals::unblock();
    let program = format!("keepalived-rs {}", argv[1].to_string_lossy());
    match parse(&argv[2..], &program) {
        Ok(parsed) => run(&parsed),
        Err(status) => status,
    }
}

fn run_child(kind: &str, argv: Vec<OsString>, is_replacement: bool) -> u8 {
    if kind == spawner::WORD {
        return spawner::run(&argv);
    }
    let Some(kind) = Kind::ALL.into_iter().find(|known| known.word() == kind) else { return 1 };
    // The parent has said what there is to say about the command line.
    child::run(kind, options::parse(&argv[1.min(argv.len())..]).options, argv, is_replacement)
}

/// The words that follow `-T` or `--genhash`: they are for genhash.
fn behind_genhash(words: &[OsString]) -> &[OsString] {
    let is_it = |word: &OsString| {
        let word = word.to_string_lossy();
        word.starts_with("--g") || (word.starts_with('-') && !word.starts_with("--") && word.ends_with('T'))
    };
    let at = words.iter().position(is_it).map_or(words.len(), |at| at + 1);
    &words[at..]
}

/// The text of `--version`. Tools read the first line and the words after `Config options:`.
fn version() -> String {
    let system = nix::sys::utsname::uname().map_or(String::new(), |u| {
        let [name, release, version] = [u.sysname(), u.release(), u.version()].map(|s| s.to_string_lossy());
        format!("Running on {name} {release} {version}\n")
    });
    let distribution = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let distribution = distribution.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let distribution = distribution.map_or(String::new(), |name| format!("Distro: {}\n", name.trim_matches('"')));
    format!(
        "Keepalived {}\n\nLicence GPL-2.0-or-later\n\n{system}{distribution}\n\
         Config options:  VRRP VRRP_AUTH JSON OLD_CHKSUM_COMPAT INIT=systemd SYSTEMD_NOTIFY\n",
        start::version()
    )
}
