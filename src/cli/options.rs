//! Every option of keepalived(8) as it is typed; what it means is in [`Options`].

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::getopt::{self, Found, Spec, Takes};
use crate::process::options::{DEFAULT_FACILITY, Options, Subsystems, temporary_directory};

/// A command line read to its end, or to the option that ends the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What the daemon is to do.
    pub options: Options,
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The program ends with this.
    pub exit: Option<u8>,
    /// `-v` or `-h` was met.
    pub show: Option<Show>,
}

/// Texts that need to know more than the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// `-v`
    Version,
    /// `-h`
    Help,
    /// `-T`
    Genhash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    UseFile,
    Vrrp,
    Check,
    NoBfd,
    All,
    LogConsole,
    LogDetail,
    LogFacility,
    LogFile,
    FlushLogFile,
    NoSyslog,
    Umask,
    ReleaseVips,
    KeepVrrp,
    KeepIpvs,
    DontRespawn,
    DontFork,
    DumpConf,
    Pid,
    VrrpPid,
    CheckersPid,
    BfdPid,
    Genhash,
    AddressMonitoring,
    Snmp,
    SnmpSocket,
    Namespace,
    CoreDump,
    CorePattern,
    AllConfig,
    ConfigId,
    Signum,
    ConfigTest,
    ConfigFd,
    Strict,
    IgnoreSigint,
    SpecialBuild(&'static str),
    Version,
    Help,
}

const fn row(short: u8, long: &'static str, takes: Takes, meaning: Flag) -> Spec<Flag> {
    Spec { short: if short == 0 { None } else { Some(short) }, long: Some(long), takes, meaning }
}

use Flag as F;
use Takes::{Nothing as NO, Optional as OPT, Required as YES};

const SPECS: &[Spec<Flag>] = &[
    row(b'f', "use-file", YES, F::UseFile),
    row(b'P', "vrrp", NO, F::Vrrp),
    row(b'C', "check", NO, F::Check),
    row(b'B', "no_bfd", NO, F::NoBfd),
    row(0, "all", NO, F::All),
    row(b'l', "log-console", NO, F::LogConsole),
    row(b'D', "log-detail", NO, F::LogDetail),
    row(b'S', "log-facility", YES, F::LogFacility),
    row(b'g', "log-file", OPT, F::LogFile),
    row(0, "flush-log-file", NO, F::FlushLogFile),
    row(b'G', "no-syslog", NO, F::NoSyslog),
    row(b'u', "umask", YES, F::Umask),
    row(b'X', "release-vips", NO, F::ReleaseVips),
    row(b'V', "dont-release-vrrp", NO, F::KeepVrrp),
    row(b'I', "dont-release-ipvs", NO, F::KeepIpvs),
    row(b'R', "dont-respawn", NO, F::DontRespawn),
    row(b'n', "dont-fork", NO, F::DontFork),
    row(b'd', "dump-conf", NO, F::DumpConf),
    row(b'p', "pid", YES, F::Pid),
    row(b'r', "vrrp_pid", YES, F::VrrpPid),
    row(b'c', "checkers_pid", YES, F::CheckersPid),
    row(b'b', "bfd_pid", YES, F::BfdPid),
    row(b'T', "genhash", NO, F::Genhash),
    row(b'a', "address-monitoring", NO, F::AddressMonitoring),
    row(b'x', "snmp", NO, F::Snmp),
    row(b'A', "snmp-agent-socket", YES, F::SnmpSocket),
    row(b's', "namespace", YES, F::Namespace),
    row(b'm', "core-dump", NO, F::CoreDump),
    row(b'M', "core-dump-pattern", OPT, F::CorePattern),
    row(b'e', "all-config", NO, F::AllConfig),
    row(b'i', "config-id", YES, F::ConfigId),
    row(0, "signum", YES, F::Signum),
    row(b't', "config-test", OPT, F::ConfigTest),
    row(0, "config-fd", YES, F::ConfigFd),
    row(0, "strict", NO, F::Strict),
    row(0, "ignore-sigint", NO, F::IgnoreSigint),
    row(0, "perf", OPT, F::SpecialBuild("--perf")),
    row(0, "debug", OPT, F::SpecialBuild("--debug")),
    row(0, "no-mem-check", NO, F::SpecialBuild("--no-mem-check")),
    row(b'L', "mem-check-log", NO, F::SpecialBuild("--mem-check-log")),
    row(b'O', "openssl-mem-check", NO, F::SpecialBuild("--openssl-mem-check")),
    row(b'v', "version", NO, F::Version),
    row(b'h', "help", NO, F::Help),
];

/// Reads the words after the program's name.
pub fn parse(words: &[OsString]) -> Parsed {
    let (found, left_over) = getopt::parse(SPECS, words);
    let mut parsed = Parsed::default();
    let mut bad = false;
    for (at, item) in found.into_iter().enumerate() {
        match item {
            Found::Option(flag, argument) => parsed.apply(flag, argument.unwrap_or_default(), at == 0),
            Found::UnknownShort(letter) => {
                bad = true;
                parsed.complain(format_args!("Unknown option -{}", char::from(letter)));
            }
            Found::UnknownLong(word) => {
                bad = true;
                parsed.complain(format_args!("Unknown option {}", word.to_string_lossy()));
            }
            Found::MissingArgument(option) => {
                bad = true;
                parsed.complain(format_args!("Missing parameter for option {option}"));
            }
        }
        if parsed.exit.is_some() || parsed.show.is_some() {
            return parsed;
        }
    }
    if bad {
        parsed.exit = Some(1);
    } else if !left_over.is_empty() {
        let words: String = left_over.iter().map(|w| format!("{} ", w.to_string_lossy())).collect();
        parsed.stdout = format!("Unexpected argument(s): {words}\n");
    }
    parsed
}

impl Parsed {
    fn complain(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.stderr, "{line}").expect("a String takes any text");
    }

    fn apply(&mut self, flag: Flag, argument: OsString, is_first: bool) {
        let options = &mut self.options;
        let text = || argument.to_string_lossy().into_owned();
        match flag {
            F::UseFile => options.config_file = text(),
            F::Vrrp => options.subsystems.checker = false,
            F::Check => options.subsystems.vrrp = false,
            F::NoBfd => options.subsystems.bfd = false,
            F::All => options.subsystems = Subsystems { vrrp: true, checker: true, bfd: true, all: true },
            F::LogConsole => options.log.console = true,
            F::LogDetail => options.log.detail = options.log.detail.saturating_add(1),
            F::LogFacility => match facility(&text()) {
                Some(number) => options.log.facility = number,
                None => self.complain(format_args!("Invalid log facility '{}'", text())),
            },
            F::LogFile => options.log.file = Some(log_file(&argument)),
            F::FlushLogFile => options.log.flush_file = true,
            F::NoSyslog => options.log.syslog = false,
            F::Umask => match number(&text()).filter(|&mask| mask <= 0o777) {
                Some(mask) => options.umask = Some(mask),
                // keepalived: this line has no newline.
                None => self.stderr.push_str(&format!("Invalid --umask option {}", text())),
            },
            F::ReleaseVips => options.release_vips = true,
            F::KeepVrrp => options.keep_vrrp = true,
            F::KeepIpvs => options.keep_ipvs = true,
            F::DontRespawn => options.respawn = false,
            F::DontFork => options.fork = false,
            F::DumpConf => options.dump_conf = true,
            F::Pid => options.pid_file = Some(argument.into()),
            F::VrrpPid => options.vrrp_pid_file = Some(argument.into()),
            F::CheckersPid => options.checker_pid_file = Some(argument.into()),
            F::BfdPid => options.bfd_pid_file = Some(argument.into()),
            F::AddressMonitoring => options.address_monitoring = true,
            F::Snmp | F::SnmpSocket => options.snmp = true,
            F::Namespace => options.namespace = Some(text()),
            F::CoreDump => options.core_dump = true,
            F::CorePattern => {
                options.core_dump = true;
                options.core_pattern = Some(if argument.is_empty() { "core".into() } else { argument });
            }
            F::AllConfig => options.all_config = true,
            F::ConfigId => options.config_id = Some(text()),
            F::ConfigTest => {
                options.config_test = Some((!argument.is_empty()).then(|| argument.into()));
                options.fork = false;
                options.respawn = false;
                options.log.syslog = false;
            }
            F::ConfigFd => self.complain(format_args!("--config-fd is keepalived's own; ignored")),
            F::Strict => options.strict = true,
            F::IgnoreSigint => options.ignore_sigint = true,
            F::SpecialBuild(name) => {
                self.complain(format_args!("{name} is for special builds of keepalived; ignored"));
            }
            F::Signum => self.signum(&text()),
            F::Version => self.show = Some(Show::Version),
            F::Help => self.show = Some(Show::Help),
            F::Genhash => {
                if !is_first {
                    self.stderr.push_str("Warning -- `-T` not used as first option, previous options ignored\n");
                }
                self.show = Some(Show::Genhash);
            }
        }
    }

    fn signum(&mut self, name: &str) {
        match crate::sys::signals::number_of(name) {
            Some(number) => {
                self.stdout = format!("{number}\n");
                self.exit = Some(0);
            }
            None => {
                self.complain(format_args!("Unknown sigfunc {name}"));
                self.exit = Some(1);
            }
        }
    }
}

/// `0`..`7` and `local0`..`local7`, `user`, `daemon`.
fn facility(name: &str) -> Option<u8> {
    match name {
        "user" => Some(1),
        "daemon" => Some(DEFAULT_FACILITY),
        _ => match name.strip_prefix("local").unwrap_or(name).as_bytes() {
            [digit @ b'0'..=b'7'] => Some(16 + digit - b'0'),
            _ => None,
        },
    }
}

/// Decimal, `0` octal, `0x` hexadecimal.
fn number(text: &str) -> Option<u32> {
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => u32::from_str_radix(&text[2..], 16).ok(),
        [b'0', _, ..] => u32::from_str_radix(&text[1..], 8).ok(),
        _ => text.parse().ok(),
    }
}

/// A relative name lies in the temporary directory.
fn log_file(argument: &OsString) -> PathBuf {
    let name = if argument.is_empty() { "keepalived.log".into() } else { PathBuf::from(argument) };
    temporary_directory().join(name)
}

/// The text of `--help`.
pub fn help(program: &str) -> String {
    format!("Usage: {program} [OPTION...]\n{HELP}")
}

const HELP: &str = "\
  -f, --use-file=FILE          Use the specified configuration file
                                default '/etc/keepalived/keepalived.conf'
  -P, --vrrp                   Only run with VRRP subsystem
  -C, --check                  Only run with Health-checker subsystem
  -B, --no_bfd                 Don't run BFD subsystem
      --all                    Force all child processes to run, even if have no configuration
  -l, --log-console            Log messages to local console
  -D, --log-detail             Detailed log messages (twice: more)
  -S, --log-facility=([0-7]|local[0-7]|user|daemon)
                               Set syslog facility to LOG_LOCAL[0-7], user or daemon (default)
  -g, --log-file[=FILE]        Also log to FILE (default keepalived.log in the temporary directory)
      --flush-log-file         Flush log file on write
  -G, --no-syslog              Don't log via syslog
  -u, --umask=MASK             umask for file creation (in numeric form)
  -X, --release-vips           Drop VIP on transition from signal (they always are)
  -V, --dont-release-vrrp      Don't remove VRRP VIPs and VROUTEs on daemon stop
  -I, --dont-release-ipvs      Don't remove IPVS topology on daemon stop
  -R, --dont-respawn           Don't respawn child processes
  -n, --dont-fork              Don't fork the daemon process
  -d, --dump-conf              Dump the configuration data
  -p, --pid=FILE               Use specified pidfile for parent process
  -r, --vrrp_pid=FILE          Use specified pidfile for VRRP child process
  -c, --checkers_pid=FILE      Use specified pidfile for checkers child process
  -b, --bfd_pid=FILE           Use specified pidfile for BFD child process
  -T, --genhash                Enter into genhash utility mode
  -a, --address-monitoring     Report all address additions/deletions notified via netlink
  -x, --snmp                   Enable SNMP subsystem (not built yet)
  -A, --snmp-agent-socket=FILE Use the specified socket for master agent (not built yet)
  -s, --namespace=NAME         Run in network namespace NAME (overrides config)
  -m, --core-dump              Produce core dump if terminate abnormally
  -M, --core-dump-pattern[=PATN]
                               Also set /proc/sys/kernel/core_pattern to PATN (default 'core')
  -e, --all-config             Error if any configuration file missing (same as includet)
  -i, --config-id id           Skip any configuration lines beginning '@' that don't match id
                                or any lines beginning @^ that do match.
                                The config-id defaults to the node name if option not used
      --signum=SIGFUNC         Return signal number for STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
  -t, --config-test[=LOG_FILE] Check the configuration for obvious errors, output to
                                stderr by default
      --strict                 With -t: any warning fails (exit 5)
      --ignore-sigint          Ignore SIGINT (for debuggers)
  -v, --version                Display the version number
  -h, --help                   Display this help message

Commands, as the first word (not under the name keepalived):
  reload [OPTION...]           Reload the running daemon, wait, and say what changed or why nothing did
  status [OPTION...]           Show states, counters and timing of the running daemon
  cleanup [OPTION...]          Remove the addresses that a crashed daemon left
  try [FILE]                   Run a configuration on a virtual LAN and show a failover
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Parsed {
        super::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn unknown_options_are_reported_to_the_end_and_then_fail() {
        let parsed = parse("-z --nonsense -n --pid=");
        assert_eq!(parsed.stderr, "Unknown option -z\nUnknown option --nonsense\nMissing parameter for option --pid\n");
        assert_eq!(parsed.exit, Some(1));
    }

    #[test]
    fn left_over_words_are_mentioned_on_stdout_and_do_not_stop_the_start() {
        let parsed = parse("reload -n now");
        assert_eq!(parsed.stdout, "Unexpected argument(s): reload now \n");
        assert_eq!(parsed.exit, None);
        assert!(!parsed.options.fork);
    }

    #[test]
    fn the_first_option_that_ends_the_program_wins() {
        assert_eq!(parse("--signum STOP -z").stdout, "15\n");
        assert_eq!(parse("--signum=STOP").exit, Some(0));
        assert_eq!(parse("-v --signum=STOP").show, Some(Show::Version));
        let parsed = parse("--signum=TDATA");
        assert_eq!((parsed.stderr.as_str(), parsed.exit), ("Unknown sigfunc TDATA\n", Some(1)));
    }

    #[test]
    fn all_undoes_earlier_exclusions() {
        let parsed = parse("-P -C --all -B");
        assert_eq!(parsed.options.subsystems, Subsystems { vrrp: true, checker: true, bfd: false, all: true });
    }

    #[test]
    fn facilities_are_digits_or_names() {
        assert_eq!(parse("-S 3").options.log.facility, 19);
        assert_eq!(parse("-S local7").options.log.facility, 23);
        assert_eq!(parse("-S user").options.log.facility, 1);
        let parsed = parse("-S kern");
        assert_eq!((parsed.stderr.as_str(), parsed.exit), ("Invalid log facility 'kern'\n", None));
    }

    #[test]
    fn umask_takes_three_notations_and_a_bad_one_is_no_error() {
        assert_eq!(parse("-u 022").options.umask, Some(0o22));
        assert_eq!(parse("-u 0x1f").options.umask, Some(0x1f));
        assert_eq!(parse("-u 18").options.umask, Some(18));
        let parsed = parse("-u 01000");
        assert_eq!((parsed.stderr.as_str(), parsed.exit), ("Invalid --umask option 01000", None));
    }

    #[test]
    fn config_test_implies_foreground_and_no_syslog() {
        let options = parse("-t/tmp/x").options;
        assert_eq!(options.config_test, Some(Some("/tmp/x".into())));
        assert!(!options.fork && !options.log.syslog);
    }
}
