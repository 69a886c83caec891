//! Real servers, from Debian's packages: each once healthy, and failing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepalived_rs::check::io::{ReasonKind, Verdict};
use keepalived_rs::model::checker::{HttpVersion, Probe, Regex, Url};
use keepalived_rs::model::lvs::Ssl;
use keepalived_rs::probe::tls::Client;
use md5::{Digest, Md5};

use crate::kit::*;

const NGINX: &str = "/usr/sbin/nginx";
const OPENSSL: &str = "/usr/bin/openssl";
const DNSMASQ: &str = "/usr/sbin/dnsmasq";
const PYTHON: &str = "/usr/bin/python3";

fn md5(text: &str) -> Option<[u8; 16]> {
    Some(Md5::digest(text).into())
}

/// Makes a certificate for a name and its key.
pub(crate) fn certificate(directory: &Path, name: &str, algorithm: &str) -> (PathBuf, PathBuf) {
    let [certificate, key] = ["crt", "key"].map(|kind| directory.join(format!("{name}.{kind}")));
    let (out, keyout) = (certificate.display(), key.display());
    run(&format!(
        "{OPENSSL} req -x509 -newkey {algorithm} -nodes -days 2 -subj /CN={name} -out {out} -keyout {keyout}"
    ));
    (certificate, key)
}

fn nginx(directory: &Path) -> Program {
    for name in ["a.example", "b.example", "client"] {
        certificate(directory, name, "rsa:2048");
    }
    let servers = ["a.example", "b.example"].map(|name| {
        let on = if name == "a.example" { "default_server" } else { "" };
        format!(
            "server {{ listen 127.0.0.1:80 {on}; listen 127.0.0.1:443 ssl {on}; server_name {name};
             ssl_certificate {name}.crt; ssl_certificate_key {name}.key;
             location / {{ default_type text/plain; return 200 '$ssl_server_name $host $scheme'; }}
             location /moved {{ return 302 /; }} }}"
        )
    });
    let text = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
         events {{}} http {{ access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .;
         uwsgi_temp_path .; scgi_temp_path .; {}
         server {{ listen 127.0.0.1:444 ssl; ssl_certificate a.example.crt; ssl_certificate_key a.example.key;
         ssl_verify_client optional_no_ca; ssl_protocols TLSv1.2;
         location / {{ if ($ssl_client_s_dn = '') {{ return 403; }} return 200; }} }} }}",
        servers.join("\n")
    );
    let path = directory.join("nginx.conf");
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(directory).arg("-c").arg(path);
    Program::start(&mut command, "127.0.0.1:444".parse().unwrap())
}

#[test]
fn nginx_is_asked_with_and_without_tls() {
    if !has(NGINX) || !has(OPENSSL) {
        return;
    }
    scratch(|| {
        let directory = tempfile::tempdir().unwrap();
        let _nginx = nginx(directory.path());
        let [plain, tls, checking]: [SocketAddr; 3] =
            ["127.0.0.1:80", "127.0.0.1:443", "127.0.0.1:444"].map(|at| at.parse().unwrap());

        assert_eq!(ask(http(to(plain), url())), Verdict::Pass);
        let page = |text| Url { virtualhost: Some("b.example".into()), digest: md5(text), ..url() };
        assert_eq!(ask(http(to(plain), page(" b.example http"))), Verdict::Pass);
        assert_eq!(failure(ask(http(to(plain), page("another")))), ReasonKind::Digest);
        let moved = Url { path: "/moved".into(), ..url() };
        assert_eq!(failure(ask(http(to(plain), moved.clone()))), ReasonKind::Status);
        assert_eq!(ask(http(to(plain), Url { status_codes: vec![301..=302], ..moved })), Verdict::Pass);

        assert_eq!(ask(https(to(tls), url())), Verdict::Pass);
        let named = |name: &str| Url { sni: Some(name.into()), ..page("b.example b.example https") };
        assert_eq!(ask(https(to(tls), named("b.example"))), Verdict::Pass);
        assert_eq!(failure(ask(https(to(tls), named("a.example")))), ReasonKind::Digest);
        let nameless = Url { tls_compliant: true, ..page(" b.example https") };
        assert_eq!(ask(https(to(tls), nameless)), Verdict::Pass);
        let regex = |pattern: &[u8]| Regex {
            pattern: pattern.into(),
            options: vec!["caseless".into()],
            no_match: false,
            min_offset: 0,
            max_offset: None,
        };
        assert_eq!(ask(https(to(tls), Url { regex: Some(regex(b"HTTPS$")), ..url() })), Verdict::Pass);
        let absent = Url { regex: Some(regex(b"nginx")), ..url() };
        assert_eq!(failure(ask(https(to(tls), absent))), ReasonKind::Regex);

        let ssl = Ssl {
            certificate: Some(directory.path().join("client.crt")),
            key: Some(directory.path().join("client.key")),
            ..Ssl::default()
        };
        assert_eq!(failure(ask(https(to(checking), url()))), ReasonKind::Status);
        assert_eq!(ask_with(https(to(checking), url()), &ssl), Verdict::Pass);
        for cipher in ["aes-256-cbc", "des3 -v2prf hmacWithSHA1"] {
            let at = directory.path().display();
            let change = format!("{OPENSSL} pkcs8 -topk8 -v2 {cipher} -passout pass:secret");
            run(&format!("{change} -in {at}/client.key -out {at}/encrypted.key"));
            let key = Some(directory.path().join("encrypted.key"));
            let opened = Ssl { key: key.clone(), password: Some("secret".into()), ..ssl.clone() };
            assert_eq!(ask_with(https(to(checking), url()), &opened), Verdict::Pass, "{cipher}");
            for password in [None, Some("wrong".into())] {
                let closed = Ssl { key: key.clone(), password, ..ssl.clone() };
                assert!(Client::new(&closed).is_err());
            }
        }
        old_kinds_of_keys(directory.path(), &ssl, https(to(checking), url()));
    });
}

/// PKCS #1 and SEC 1, the latter after its parameters, are used; what is encrypted in the old way is refused with the
/// reason.
fn old_kinds_of_keys(directory: &Path, ssl: &Ssl, probe: Probe) {
    let at = directory.display();
    run(&format!("{OPENSSL} rsa -traditional -in {at}/client.key -out {at}/old-rsa.key"));
    run(&format!(
        "{OPENSSL} rsa -traditional -aes256 -passout pass:secret -in {at}/client.key -out {at}/old-secret.key"
    ));
    run(&format!("{OPENSSL} ecparam -name prime256v1 -genkey -out {at}/old-ec.key"));
    run(&format!("{OPENSSL} req -x509 -new -days 2 -subj /CN=ec -key {at}/old-ec.key -out {at}/ec.crt"));
    for (key, certificate, begins) in [
        ("old-rsa.key", "client.crt", "-----BEGIN RSA PRIVATE KEY-----"),
        ("old-ec.key", "ec.crt", "-----BEGIN EC PARAMETERS-----"),
    ] {
        assert!(std::fs::read_to_string(directory.join(key)).unwrap().starts_with(begins));
        let [key, certificate] = [key, certificate].map(|name| Some(directory.join(name)));
        assert_eq!(ask_with(probe.clone(), &Ssl { key, certificate, ..ssl.clone() }), Verdict::Pass, "{begins}");
    }
    let key = Some(directory.join("old-secret.key"));
    let refused = Client::new(&Ssl { key, password: Some("secret".into()), ..ssl.clone() }).unwrap_err();
    assert!(refused.contains("openssl pkcs8 -topk8"), "{refused}");
}

#[test]
fn nginx_keeps_a_connection_open_only_where_it_was_not_told_to_close_it() {
    if !has(NGINX) || !has(OPENSSL) {
        return;
    }
    scratch(|| {
        let directory = tempfile::tempdir().unwrap();
        let _nginx = nginx(directory.path());
        for version in [HttpVersion::V10, HttpVersion::V10Close, HttpVersion::V11] {
            let Probe::Http(http) = http(to("127.0.0.1:80".parse().unwrap()), url()) else { unreachable!() };
            let probe = Probe::Http(keepalived_rs::model::checker::Http { version, ..http });
            assert_eq!(ask(probe), Verdict::Pass, "{version:?}");
        }
    });
}

#[test]
fn certificates_of_any_kind_are_believed_where_tls_can_be_agreed_on() {
    if !has(OPENSSL) {
        return;
    }
    scratch(|| {
        let directory = tempfile::tempdir().unwrap();
        run(&format!("{OPENSSL} dsaparam -out {}/dsa.pem 2048", directory.path().display()));
        let dsa = format!("dsa:{}/dsa.pem", directory.path().display());
        for (port, algorithm, kind) in [
            (4_431, "ed25519", None),
            (4_432, "ec -pkeyopt ec_paramgen_curve:secp384r1", None),
            (4_433, "ed448", None),
            // No version that is spoken has them.
            (4_434, &dsa[..], Some(ReasonKind::Tls)),
        ] {
            let (certificate, key) = certificate(directory.path(), &format!("at{port}"), algorithm);
            let mut command = Command::new(OPENSSL);
            command.args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")]);
            command.arg("-cert").arg(certificate).arg("-key").arg(key).stderr(std::process::Stdio::null());
            let server: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
            let _server = Program::start(&mut command, server);
            match kind {
                None => assert_eq!(ask(https(to(server), url())), Verdict::Pass, "{algorithm}"),
                Some(kind) => assert_eq!(failure(ask(https(to(server), url()))), kind, "{algorithm}"),
            }
        }
    });
}

const MAIL: &str = "
import asyncio, sys
from aiosmtpd.smtp import SMTP
class Refusing(SMTP):
    async def smtp_HELO(self, hostname):
        await self.push('550 go away')
async def main():
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Refusing(None), '127.0.0.1', 26)
    await loop.create_server(lambda: SMTP(None), '127.0.0.1', 25)
    await asyncio.Event().wait()
asyncio.run(main())
";

#[test]
fn aiosmtpd_is_asked() {
    if !has(PYTHON) || !has("/usr/lib/python3/dist-packages/aiosmtpd") {
        return;
    }
    scratch(|| {
        let [well, refusing]: [SocketAddr; 2] = ["127.0.0.1:25", "127.0.0.1:26"].map(|at| at.parse().unwrap());
        let _server = Program::start(Command::new(PYTHON).args(["-c", MAIL]), well);
        assert_eq!(ask(smtp(to(well))), Verdict::Pass);
        assert_eq!(failure(ask(smtp(to(refusing)))), ReasonKind::Helo);
    });
}

#[test]
fn dnsmasq_is_asked() {
    if !has(DNSMASQ) {
        return;
    }
    scratch(|| {
        let server: SocketAddr = "127.0.0.1:53".parse().unwrap();
        let mut command = Command::new(DNSMASQ);
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]);
        command.args(["--pid-file", "--listen-address=127.0.0.1", "--bind-interfaces"]);
        command.args(["--address=/www.example.com/192.0.2.1", "--local=/absent.example/"]);
        let _dnsmasq = Program::start(&mut command, server);
        assert_eq!(ask(dns(to(server), "www.example.com.")), Verdict::Pass);
        assert_eq!(failure(ask(dns(to(server), "x.absent.example"))), ReasonKind::Rcode(3));
        // It knows nobody to ask.
        assert_eq!(failure(ask(dns(to(server), "."))), ReasonKind::Rcode(5));
    });
}
