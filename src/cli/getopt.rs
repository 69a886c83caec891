//! The rules of GNU `getopt_long`, as a pure function: clusters, abbreviations, attached optional arguments,
//! permutation. clap follows other rules, and scripts in the field depend on these.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Whether an option takes a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One, attached or the next word.
    Required,
    /// One, attached only.
    Optional,
}

/// One option as a program declares it.
#[derive(Clone, Copy, Debug)]
pub struct Spec<T> {
    /// `-x`
    pub short: Option<u8>,
    /// `--name`
    pub long: Option<&'static str>,
    /// Its argument.
    pub takes: Takes,
    /// What it means.
    pub meaning: T,
}

/// What was found, in the order of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// A known option with its argument.
    Option(T, Option<OsString>),
    /// `-z`
    UnknownShort(u8),
    /// `--zzz`, an ambiguous abbreviation, or an argument for an option that takes none: the word as typed.
    UnknownLong(OsString),
    /// A required argument is missing: the option as a person would name it (`-p`, `--pid`).
    MissingArgument(String),
}

/// Cuts words (without the program's name) into options and left-over words.
pub fn parse<T: Copy + PartialEq>(specs: &[Spec<T>], words: &[OsString]) -> (Vec<Found<T>>, Vec<OsString>) {
    let mut found = Vec::new();
    let mut left_over = Vec::new();
    let mut words = words.iter().map(OsString::as_os_str);
    while let Some(word) = words.next() {
        match word.as_bytes() {
            b"--" => {
                left_over.extend(words.by_ref().map(OsStr::to_owned));
            }
            [b'-', b'-', name @ ..] => found.push(long_option(specs, word, name, &mut words)),
            [b'-', cluster @ ..] if !cluster.is_empty() => short_options(specs, cluster, &mut words, &mut found),
            _ => left_over.push(word.to_owned()),
        }
    }
    (found, left_over)
}

fn long_option<'a, T: Copy + PartialEq>(
    specs: &[Spec<T>],
    word: &OsStr,
    name: &[u8],
    rest: &mut impl Iterator<Item = &'a OsStr>,
) -> Found<T> {
    let (name, attached) = match name.iter().position(|&b| b == b'=') {
        Some(at) => (&name[..at], Some(OsString::from_vec(name[at + 1..].to_vec()))),
        None => (name, None),
    };
    let Some(spec) = lookup(specs, name) else { return Found::UnknownLong(word.to_owned()) };
    let argument = match (spec.takes, attached) {
        (Takes::Nothing, Some(_)) => return Found::UnknownLong(word.to_owned()),
        (Takes::Required, None) => rest.next().map(OsStr::to_owned),
        (_, attached) => attached,
    };
    // keepalived: `--pid=` counts as a missing parameter.
    if spec.takes == Takes::Required && argument.as_ref().is_none_or(|a| a.is_empty()) {
        return Found::MissingArgument(format!("--{}", spec.long.unwrap_or_default()));
    }
    Found::Option(spec.meaning, argument)
}

/// An exact name, or the only option that a prefix can mean.
fn lookup<'s, T: Copy + PartialEq>(specs: &'s [Spec<T>], name: &[u8]) -> Option<&'s Spec<T>> {
    if let Some(exact) = specs.iter().find(|s| s.long.is_some_and(|l| l.as_bytes() == name)) {
        return Some(exact);
    }
    let mut candidates = specs.iter().filter(|s| s.long.is_some_and(|l| l.as_bytes().starts_with(name)));
    let first = candidates.next()?;
    candidates.all(|other| other.meaning == first.meaning).then_some(first)
}

fn short_options<'a, T: Copy + PartialEq>(
    specs: &[Spec<T>],
    cluster: &[u8],
    rest: &mut impl Iterator<Item = &'a OsStr>,
    found: &mut Vec<Found<T>>,
) {
    for (i, &letter) in cluster.iter().enumerate() {
        let Some(spec) = specs.iter().find(|s| s.short == Some(letter)) else {
            found.push(Found::UnknownShort(letter));
            continue;
        };
        let attached = &cluster[i + 1..];
        let attached = (!attached.is_empty()).then(|| OsString::from_vec(attached.to_vec()));
        match spec.takes {
            Takes::Nothing => {
                found.push(Found::Option(spec.meaning, None));
                continue;
            }
            Takes::Optional => found.push(Found::Option(spec.meaning, attached)),
            Takes::Required => found.push(match attached.or_else(|| rest.next().map(OsStr::to_owned)) {
                Some(argument) => Found::Option(spec.meaning, Some(argument)),
                None => Found::MissingArgument(format!("-{}", char::from(letter))),
            }),
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn spec(short: u8, long: &'static str, takes: Takes) -> Spec<u8> {
        Spec { short: Some(short), long: Some(long), takes, meaning: short }
    }

    const SPECS: &[Spec<u8>] = &[
        spec(b'n', "dont-fork", Takes::Nothing),
        spec(b'P', "vrrp", Takes::Nothing),
        spec(b'r', "vrrp_pid", Takes::Required),
        spec(b'p', "pid", Takes::Required),
        spec(b't', "config-test", Takes::Optional),
    ];

    fn run(line: &str) -> (Vec<Found<u8>>, Vec<OsString>) {
        parse(SPECS, &line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    fn option(letter: u8, argument: &str) -> Found<u8> {
        Found::Option(letter, Some(argument.into()))
    }

    #[test]
    fn short_options_cluster_and_the_last_takes_the_rest() {
        assert_eq!(run("-nPp/x").0, [Found::Option(b'n', None), Found::Option(b'P', None), option(b'p', "/x")]);
        assert_eq!(run("-np /x").0, [Found::Option(b'n', None), option(b'p', "/x")]);
        assert_eq!(run("-tfile").0, [option(b't', "file")]);
    }

    #[test]
    fn an_optional_argument_must_be_attached() {
        let (found, left) = run("-t file");
        assert_eq!(found, [Found::Option(b't', None)]);
        assert_eq!(left, ["file"]);
        assert_eq!(run("--config-test=file").0, [option(b't', "file")]);
    }

    #[test]
    fn a_long_option_may_be_cut_short_while_one_is_meant() {
        assert_eq!(run("--dont").0, [Found::Option(b'n', None)]);
        assert_eq!(run("--vrrp").0, [Found::Option(b'P', None)]);
        assert_eq!(run("--vr").0, [Found::UnknownLong("--vr".into())]);
        assert_eq!(run("--pid /x").0, [option(b'p', "/x")]);
    }

    #[test]
    fn an_empty_or_absent_required_argument_is_missing() {
        assert_eq!(run("--pid=").0, [Found::MissingArgument("--pid".into())]);
        assert_eq!(run("-n -p").0[1], Found::MissingArgument("-p".into()));
    }

    #[test]
    fn an_argument_for_an_option_without_one_is_an_unknown_option() {
        assert_eq!(run("--vrrp=x").0, [Found::UnknownLong("--vrrp=x".into())]);
    }

    #[test]
    fn words_are_collected_wherever_they_stand_and_after_two_dashes_everything_is_one() {
        let (found, left) = run("a -n b -- -P");
        assert_eq!(found, [Found::Option(b'n', None)]);
        assert_eq!(left, ["a", "b", "-P"]);
    }
}
