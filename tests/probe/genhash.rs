//! `genhash`, beside Debian's where it is there.

use std::process::{Command, Output};

use crate::kit::*;

const OURS: &str = env!("CARGO_BIN_EXE_keepalived-rs");
const DEBIANS: &str = "/usr/bin/genhash";

fn genhash(line: &str) -> Output {
    Command::new(OURS).arg("genhash").args(line.split_whitespace()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_digest_is_the_one_that_http_get_wants() {
    scratch(|| {
        let server = answer("HTTP/1.0 404 Not Found\r\nContent-Length: 6\r\n\r\nhello\n and more");
        let output = genhash(&format!("-s 127.0.0.1 -p {} -u /", server.port()));
        assert_eq!(text(&output.stdout), "b1946ac92492d2347c6235b4d2611184\n");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    });
}

#[test]
fn no_connection_is_told_on_standard_output_with_status_0() {
    scratch(|| {
        let output = genhash("-s 127.0.0.1 -p 9 -u /");
        assert_eq!((text(&output.stdout), output.status.code()), ("Connection failed\n".into(), Some(0)));
    });
}

#[test]
fn the_program_is_genhash_by_name_and_by_option_too() {
    scratch(|| {
        let server = answer("HTTP/1.0 200 OK\r\n\r\nhello\n");
        let words = ["-s", "127.0.0.1", "-p", &server.port().to_string(), "-u", "/"].map(str::to_owned);
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("genhash");
        std::os::unix::fs::symlink(OURS, &link).unwrap();
        let by_name = Command::new(link).args(&words).output().unwrap();
        let by_option = Command::new(OURS).arg("--genhash").args(&words).output().unwrap();
        for output in [by_name, by_option] {
            assert_eq!(text(&output.stdout), "b1946ac92492d2347c6235b4d2611184\n");
        }
    });
}

#[test]
fn debians_genhash_says_the_same() {
    if !has(DEBIANS) {
        return;
    }
    scratch(|| {
        let server = answer("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello, all of you\n");
        let at = format!("-s 127.0.0.1 -p {}", server.port());
        for line in [
            format!("{at} -u /"),
            format!("{at} -u /x -v"),
            format!("{at} -u / -P 1.1 -V www.example.com"),
            "-s 127.0.0.1 -p 9 -u /".into(),
            "-s localhost -p 80 -u /".into(),
            "-s 127.0.0.1 -p 99999 -u /".into(),
            format!("{at} -u / extra words"),
            format!("{at} -u / -P 2"),
            format!("{at} -u / -m x"),
            at.clone(),
            "-h".into(),
            "-z".into(),
        ] {
            let theirs = Command::new(DEBIANS).args(line.split_whitespace()).output().unwrap();
            let ours = genhash(&line);
            // How long it took, the program's name, and a quote that is missing in theirs.
            let plain = |bytes: &[u8]| -> Vec<String> {
                let text = text(bytes).replace('\'', "");
                let row = |row: &str| match row.strip_prefix("Usage: ") {
                    Some(usage) => usage.split_once("COMMAND").map_or(usage, |(_, options)| options).to_owned(),
                    None => row.split(" = ").next().unwrap_or_default().to_owned(),
                };
                text.lines().map(row).collect()
            };
            assert_eq!(plain(&ours.stdout), plain(&theirs.stdout), "{line}");
            assert_eq!(plain(&ours.stderr), plain(&theirs.stderr), "{line}");
            assert_eq!(ours.status.code(), theirs.status.code(), "{line}");
        }
    });
}
