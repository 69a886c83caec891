//! The process that checks real servers: that it lives, and that it stays as small as it was.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::unistd::Pid;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::kit::{Daemon, Dir, eventually, proc_file, router, scratch, skip};

/// A script that counts its runs in a file of its own name.
fn counting(dir: &Dir, name: &str) -> String {
    let script = dir.write(name, "#!/bin/sh\necho >>\"$0.runs\"\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

fn runs(dir: &Dir, name: &str) -> usize {
    dir.read(&format!("{name}.runs")).lines().count()
}

fn service(number: usize, checks: &str) -> String {
    format!(
        "virtual_server 10.0.0.{number} 80 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n delay_loop 1\n \
         real_server 10.0.1.{number} 80 {{\n{checks} }}\n}}\n"
    )
}

/// D17: several MISC_CHECKs in one server of the last service used to kill the process, again and again.
#[test]
fn several_scripts_of_the_last_server_run() {
    scratch(|| {
        let dir = Dir::new();
        let names = ["first", "second", "third"];
        let check =
            |name| format!("  MISC_CHECK {{\n   misc_path \"{} a b\"\n   warmup 0\n  }}\n", counting(&dir, name));
        let tcp = "  TCP_CHECK {\n  }\n";
        let text = service(1, tcp) + &service(2, &check("other")) + &service(3, &names.map(check).concat());
        dir.write("k.conf", &text);
        let mut daemon = Daemon::start(&dir, &["-C"]);
        daemon.wait_for("Starting Healthcheck child process");
        eventually("each has run twice", || names.iter().all(|name| runs(&dir, name) >= 2));
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("Respawning"), 0);
    });
}

#[test]
fn the_status_says_of_each_checker_how_it_is_since_when_and_why() {
    scratch(|| {
        let dir = Dir::new();
        let bad = dir.write("bad", "#!/bin/sh\nexit 3\n");
        std::fs::set_permissions(&bad, std::fs::Permissions::from_mode(0o755)).unwrap();
        let misc = |script: &str| format!("  MISC_CHECK {{\n   misc_path {script}\n   warmup 0\n  }}\n");
        let idle = "  MISC_CHECK {\n   misc_path /bin/true\n   delay_loop 3600\n   warmup 3600\n  }\n";
        dir.write("k.conf", &service(1, &(misc(&counting(&dir, "good")) + &misc(&bad.display().to_string()) + idle)));
        let mut daemon = Daemon::start(&dir, &["-C"]);
        let shown = |text: &str| dir.ask("status").stdout.contains(text);
        eventually("two verdicts", || shown(" probes, 0 failed)\n") && shown(": exited with status 3 ("));
        let status = dir.ask("status").stdout;
        let lines: Vec<&str> = status.lines().filter(|line| line.starts_with("    MISC_CHECK: ")).collect();
        assert_eq!(lines.len(), 3, "{status}");
        assert!(
            lines[0].starts_with("    MISC_CHECK: UP for ") && lines[0].ends_with(" probes, 0 failed)"),
            "{status}"
        );
        assert!(lines[1].starts_with("    MISC_CHECK: DOWN for "), "{status}");
        assert!(lines[1].contains(" s: exited with status 3 ("), "{status}");
        assert!(lines[2].starts_with("    MISC_CHECK: UP for ") && lines[2].ends_with(" s, not yet asked"), "{status}");
        assert!(daemon.stop().success());
    });
}

/// D35: without ip_vs the process that needs it used to be started again and again, with many lines each time.
#[test]
fn without_ip_vs_checks_and_virtual_routers_run_and_it_is_said_once() {
    scratch(|| {
        let dir = Dir::new();
        let check = format!("  MISC_CHECK {{\n   misc_path {}\n   warmup 0\n  }}\n", counting(&dir, "check"));
        dir.write("k.conf", &(router("VI_1", 51, &["10.0.0.100/24"]) + &service(1, &check)));
        let mut daemon = Daemon::start(&dir, &[]);
        daemon.wait_for("(VI_1) Entering MASTER STATE");
        eventually("the first check", || runs(&dir, "check") >= 1);
        let (checker, vrrp) = (dir.pid("c.pid"), dir.pid("v.pid"));
        // As long as several tries to reach the kernel take.
        eventually("many checks", || runs(&dir, "check") >= 6);
        assert_eq!((dir.pid("c.pid"), dir.pid("v.pid")), (checker, vrrp));
        assert!(daemon.stop().success());
        let there = std::path::Path::new("/proc/net/ip_vs").exists();
        assert_eq!(daemon.count("Can't initialize ipvs"), usize::from(!there));
        assert_eq!(daemon.count("Respawning"), 0);
    });
}

/// A server that counts its connections before it hands them over.
fn serve(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            talk(stream);
        }
    });
    (port, count)
}

/// A server's half of TLS.
fn tls(dir: &Dir) -> Arc<ServerConfig> {
    let [certificate, key] = ["crt", "key"].map(|name| dir.path(name));
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example";
    let mut command = Command::new("/usr/bin/openssl");
    command.args(arguments.split(' ')).arg("-out").arg(&certificate).arg("-keyout").arg(&key);
    assert!(command.output().unwrap().status.success());
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Open descriptors, and kilobytes of memory of its own.
fn size(pid: Pid) -> (usize, usize) {
    let status = proc_file(pid, "status");
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    (std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), memory)
}

/// D26: each HTTPS check used to leave a descriptor or memory behind.
#[test]
fn thousands_of_https_checks_leave_nothing_behind() {
    if !std::path::Path::new("/usr/bin/openssl").exists() {
        return skip("there is no openssl to make a certificate with");
    }
    scratch(|| {
        let dir = Dir::new();
        let config = tls(&dir);
        let talk = move |stream: TcpStream| {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        };
        let servers = [
            serve(talk),
            // Closed at once; no TLS; an alert.
            serve(drop),
            serve(|mut stream| {
                let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
            }),
            serve(|mut stream| {
                let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]);
            }),
        ];
        let check = |port: &u16| {
            format!(
                "virtual_server 10.0.0.1 {port} {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 127.0.0.1 \
                 {port} {{\n  SSL_GET {{\n   delay_loop 0.01\n   delay_before_retry 0.01\n   warmup 0\n   url {{\n    \
                 path /\n   }}\n  }}\n }}\n}}\n"
            )
        };
        dir.write("k.conf", &servers.iter().map(|(port, _)| check(port)).collect::<String>());
        let mut daemon = Daemon::start(&dir, &["-C"]);
        let asked = |times| servers.iter().all(|(_, count)| count.load(Ordering::Relaxed) >= times);
        eventually("each has been asked", || asked(200));
        let checker = dir.pid("c.pid");
        let (descriptors, memory) = size(checker);
        eventually("each has been asked many times", || asked(1_000));
        let (more_descriptors, more_memory) = size(checker);
        // Each of four checks that run may have two of them.
        assert!(more_descriptors <= descriptors + 8, "{descriptors} and later {more_descriptors} descriptors");
        assert!(more_memory <= memory + 1_024, "{memory} and later {more_memory} kB");
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("Respawning"), 0);
    });
}

/// More lines than wait for the log at once: most of them used to be lost.
#[test]
fn what_is_said_at_a_stop_of_thousands_of_servers_is_all_there() {
    scratch(|| {
        let dir = Dir::new();
        let servers = 8_000;
        let all = (0..servers)
            .map(|n| format!(" real_server 10.{}.{}.{} 80 {{\n }}\n", 1 + n / 62_500, n / 250 % 250, n % 250 + 1));
        let service = "virtual_server 10.0.0.2 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n";
        dir.write("k.conf", &format!("{service}{}}}\n", all.collect::<String>()));
        let mut daemon = Daemon::start(&dir, &["-C"]);
        eventually("it is ready", || dir.ask("status").stdout.contains("10.0.0.2"));
        assert!(daemon.stop().success());
        assert_eq!(daemon.count("Shutting down service"), servers);
    });
}
