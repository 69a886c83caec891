//! Where pid files, sockets, records and dumps are (`operator-surface.md` §3.3).

use std::path::{Path, PathBuf};

use crate::model::Global;
use crate::process::options::{Options, temporary_directory};
use crate::supervise::child::Kind;
use crate::sys::namespace::PID_DIRECTORY;

/// Sockets and records of daemons whose pid file is in the usual place.
pub const STATE_DIRECTORY: &str = "/run/keepalived-rs";

/// What a daemon's file names depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Network namespace.
    pub namespace: Option<String>,
    /// `instance`
    pub instance: Option<String>,
    /// Pid files go to a directory of their own.
    pub uses_directory: bool,
}

impl Names {
    /// From the command line and the configuration.
    pub fn of(options: &Options, global: &Global) -> Self {
        let namespace = options.namespace.clone().or_else(|| global.net_namespace.clone());
        let instance = global.instance.clone();
        let uses_directory = global.use_pid_dir || namespace.is_some() || instance.is_some();
        Self { namespace, instance, uses_directory }
    }

    /// `_NETNS_INSTANCE`, either part alone, or nothing: the suffix of syslog idents.
    pub fn suffix(&self) -> String {
        self.namespace.iter().chain(&self.instance).map(|part| format!("_{part}")).collect()
    }

    /// The parent's pid file.
    pub fn pid_file(&self, options: &Options) -> PathBuf {
        options.pid_file.clone().unwrap_or_else(|| self.in_run("keepalived.pid"))
    }

    /// A child's pid file.
    pub fn child_pid_file(&self, options: &Options, kind: Kind) -> PathBuf {
        let (given, name) = match kind {
            Kind::Vrrp => (&options.vrrp_pid_file, "vrrp.pid"),
            Kind::Checker => (&options.checker_pid_file, "checkers.pid"),
            Kind::Bfd => (&options.bfd_pid_file, "bfd.pid"),
        };
        given.clone().unwrap_or_else(|| self.in_run(name))
    }

    fn in_run(&self, name: &str) -> PathBuf {
        if !self.uses_directory {
            return PathBuf::from(format!("/run/{name}"));
        }
        let instance = self.instance.as_ref().map_or(String::new(), |i| format!("_{i}"));
        let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
        Path::new(PID_DIRECTORY).join(format!("{stem}{instance}.{extension}"))
    }

    /// `reload_file` where the file gives it no name.
    pub fn reload_file(&self) -> PathBuf {
        self.in_run("keepalived.reload")
    }

    /// The control socket: in [`STATE_DIRECTORY`], or beside a pid file that `-p` puts elsewhere.
    pub fn socket(&self, options: &Options) -> PathBuf {
        self.state_file(options, "sock")
    }

    /// The record of addresses in force.
    pub fn record(&self, options: &Options) -> PathBuf {
        self.state_file(options, "addresses")
    }

    fn state_file(&self, options: &Options, extension: &str) -> PathBuf {
        match &options.pid_file {
            Some(pid_file) => pid_file.with_extension(extension),
            None => Path::new(STATE_DIRECTORY).join(format!("keepalived{}.{extension}", self.suffix())),
        }
    }
}

/// What a dump file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// SIGUSR1, of the VRRP child.
    Data,
    /// SIGUSR1, of the checker child.
    CheckerData,
    /// SIGUSR1, of the parent.
    ParentData,
    /// SIGUSR2
    Stats,
    /// SIGRTMIN+2
    Json,
}

/// Where a dump is written.
pub fn dump_file(dump: Dump, global: &Global, names: &Names) -> PathBuf {
    let (configured, default) = match dump {
        Dump::Data | Dump::CheckerData | Dump::ParentData => (&global.dump_files.state, "keepalived.data"),
        Dump::Stats => (&global.dump_files.stats, "keepalived.stats"),
        Dump::Json => (&global.dump_files.json, "keepalived.json"),
    };
    let path = match configured {
        Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => path.join(default),
        Some(path) => temporary_directory().join(path),
        None => temporary_directory().join(default),
    };
    let process = match dump {
        Dump::ParentData => "_parent",
        Dump::CheckerData => "_check",
        Dump::Data | Dump::Stats | Dump::Json => "",
    };
    let suffix = names.suffix();
    // keepalived: only the data files carry the namespace and the instance.
    let instance = match suffix.strip_prefix('_') {
        Some(name) if global.data_use_instance && !matches!(dump, Dump::Stats | Dump::Json) => format!(".{name}"),
        _ => String::new(),
    };
    insert_before_extension(&path, &format!("{process}{instance}"))
}

/// `st.data` with `_parent` is `st_parent.data`.
fn insert_before_extension(path: &Path, text: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or(String::new(), |e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}{text}{extension}"))
}

/// A child's log file: `_vrrp`, `_check`, `_bfd` before the extension, then namespace and instance.
pub fn log_file(path: &Path, kind: Option<Kind>, names: &Names) -> PathBuf {
    let process = match kind {
        None => "",
        Some(Kind::Vrrp) => "_vrrp",
        Some(Kind::Checker) => "_check",
        Some(Kind::Bfd) => "_bfd",
    };
    insert_before_extension(path, &format!("{process}{}", names.suffix()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(namespace: Option<&str>, instance: Option<&str>) -> Names {
        let global = Global { instance: instance.map(str::to_owned), ..Global::default() };
        let options = Options { namespace: namespace.map(str::to_owned), ..Options::default() };
        Names::of(&options, &global)
    }

    #[test]
    fn pid_files_are_where_scripts_look_for_them() {
        let options = Options::default();
        let plain = names(None, None);
        assert_eq!(plain.pid_file(&options), Path::new("/run/keepalived.pid"));
        assert_eq!(plain.child_pid_file(&options, Kind::Vrrp), Path::new("/run/vrrp.pid"));
        let instance = names(None, Some("two"));
        assert_eq!(instance.pid_file(&options), Path::new("/run/keepalived/keepalived_two.pid"));
        assert_eq!(instance.child_pid_file(&options, Kind::Checker), Path::new("/run/keepalived/checkers_two.pid"));
        assert_eq!(plain.reload_file(), Path::new("/run/keepalived.reload"));
        assert_eq!(instance.reload_file(), Path::new("/run/keepalived/keepalived_two.reload"));
        assert_eq!(names(Some("blue"), None).pid_file(&options), Path::new("/run/keepalived/keepalived.pid"));
    }

    #[test]
    fn daemons_never_share_a_socket() {
        let options = Options::default();
        let socket = |n: Option<&str>, i: Option<&str>| names(n, i).socket(&options);
        assert_eq!(socket(None, None), Path::new("/run/keepalived-rs/keepalived.sock"));
        assert_eq!(socket(Some("blue"), Some("two")), Path::new("/run/keepalived-rs/keepalived_blue_two.sock"));
        let own = Options { pid_file: Some("/tmp/x/k.pid".into()), ..options };
        assert_eq!(names(None, None).socket(&own), Path::new("/tmp/x/k.sock"));
    }

    #[test]
    fn dump_names_follow_the_keywords() {
        let mut global = Global { data_use_instance: true, ..Global::default() };
        global.dump_files.state = Some("/var/st.data".into());
        let names = names(Some("ns1"), Some("inst"));
        assert_eq!(dump_file(Dump::ParentData, &global, &names), Path::new("/var/st_parent.ns1_inst.data"));
        assert_eq!(dump_file(Dump::CheckerData, &global, &names), Path::new("/var/st_check.ns1_inst.data"));
        global.dump_files.state = Some("/var/".into());
        assert_eq!(dump_file(Dump::Data, &global, &names), Path::new("/var/keepalived.ns1_inst.data"));
        global.dump_files.stats = Some("/var/s".into());
        assert_eq!(dump_file(Dump::Stats, &global, &names), Path::new("/var/s"));
    }

    #[test]
    fn a_childs_log_file_names_the_child() {
        let path = log_file(Path::new("/tmp/k.log"), Some(Kind::Checker), &names(None, Some("i")));
        assert_eq!(path, Path::new("/tmp/k_check_i.log"));
    }
}
