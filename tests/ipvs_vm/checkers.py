"""Every kind of checker, each on a real server that fails in some way: who is in the table, ours and keepalived's.

A case is one virtual server with one real server. First all are well: each must get in (`alpha`: not before its checker
has succeeded). Then all fail at once, each in its own way, and must get out; then all are well again. Servers are
nginx, aiosmtpd, dnsmasq and the kernel; what they cannot do wrong is done by asyncio.
"""

import asyncio
import logging
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import time

from aiosmtpd.smtp import SMTP

# What becomes of a server: its weight in the table, or nothing.
OUT = None
ANY = "any"
WEIGHT = 5
PORTS = {"nginx": 80, "tls": 443, "http": 80, "https": 443, "smtp": 25, "dnsmasq": 53, "dns": 53, "udp": 7, "kernel": 9}
LIMIT = 240  # seconds until the last has got there, on a machine that is slow

PROGRAMS = {"ours": os.environ["KEEPALIVED_RS"], "theirs": "/usr/sbin/keepalived"}

cases = []


class Case:
    """A server and its checker. `options` are the checker's; `ill` is how the server fails: a way of the network (`drop`, `icmp`, `route`), `gone`,
    or what its kind of server understands. `reason` is what our log says. `theirs` is what keepalived makes of it,
    where it is something else."""

    def __init__(self, checker, what, server, ill, reason, options="", well=None, in_server="", in_service="",
                 ours=OUT, theirs=..., well_weight=WEIGHT, v6=False, timeout=5):
        if reason and server in ("http", "https", "smtp", "dns", "udp"):
            # On a machine that is slow and crowded this may be what is seen of it.
            reason += "|in time|[Tt]imeout"
        self.number = len(cases) + 1
        self.name = f"{checker}, {what}"
        self.checker, self.options, self.server, self.well, self.ill = checker, options, server, well, ill
        self.in_server, self.in_service, self.reason, self.timeout = in_server, in_service, reason, timeout
        self.ill_weight = {"ours": ours, "theirs": ours if theirs is ... else theirs}
        self.well_weight = well_weight
        self.v6 = v6
        prefix = "2001:db8:7::" if v6 else "10.7.0."
        self.address = f"{prefix}{self.number}"
        self.service = f"2001:db8:8::{self.number}" if v6 else f"10.8.0.{self.number}"
        self.port = PORTS[server]
        self.udp = server in ("dnsmasq", "dns", "udp")
        cases.append(self)

    def wanted(self, who, well):
        """What is to be in the table."""
        if self.ill_weight[who] == ANY:
            return ANY
        return self.well_weight if well else self.ill_weight[who]

    def host(self):
        return f"[{self.address}]" if self.v6 else self.address

    def key(self):
        """As ipvsadm writes the service."""
        return f"-u {self.service_host()}:80" if self.udp else f"-t {self.service_host()}:80"

    def service_host(self):
        return f"[{self.service}]" if self.v6 else self.service

    def logged(self):
        return f"[{self.address}]:"

    def block(self):
        check = f"{self.checker} {{ {self.options} }}".replace("ADDRESS", self.address).replace("; ", "\n            ")
        check = check.replace("{ ", "{\n            ").replace(" }", "\n        }")
        return f"""virtual_server {self.service} 80 {{
    delay_loop 8
    connect_timeout {self.timeout}
    retry 1
    delay_before_retry 1
    alpha
    lb_algo rr
    lb_kind NAT
    protocol {"UDP" if self.udp else "TCP"}
    {self.in_service}
    real_server {self.address} {self.port} {{
        weight {WEIGHT}
        {self.in_server}
        {check}
    }}
}}
"""


def network(checker, server, options="", silence="no connection within", unreachable="No route to host"):
    """The failures below the server, which every kind of checker has."""
    Case(checker, "nothing arrives", server, "drop", silence, options)
    Case(checker, "a router says unreachable", server, "icmp", unreachable, options)
    Case(checker, "there is no route", server, "route", "No route to host", options)


URL = "url { path /; }"
PAGE = "location / { return 200 'well'; }"
ANOTHER = "location / { return 200 'ill'; }"
DIGEST = "url { path /; digest f9323f5b51fc23e30c10623bd38de6ff; }"  # MD5 of "well"
RESET = "reset_timedout_connection on; return 444;"  # 444: close without an answer


def tcp():
    network("TCP_CHECK", "nginx")
    Case("TCP_CHECK", "refused", "nginx", "gone", "Connection refused")
    Case("TCP_CHECK", "refused over IPv6", "nginx", "gone", "Connection refused", v6=True)
    Case("TCP_CHECK", "several retries", "nginx", "gone", "failed after 3 retries", "retry 3")
    Case("TCP_CHECK", "it is well, but not for HTTP_GET", "nginx", "return 500;", "status 500",
         in_server="HTTP_GET {\n url {\n path /\n }\n }")


def http():
    network("HTTP_GET", "nginx", URL)

    def on_nginx(what, ill, reason, options=URL, **more):
        Case("HTTP_GET", what, "nginx", ill, reason, options, **more)

    on_nginx("refused", "gone", "Connection refused")
    on_nginx("refused over IPv6", "gone", "Connection refused", v6=True)
    on_nginx("reset after the request", RESET, "Connection reset by peer")
    on_nginx("closed without an answer", "return 444;", "no data received")
    on_nginx("another status", "return 503;", "status 503")
    on_nginx("a status outside the ranges", "return 303 /elsewhere;", "status 303",
             "url { path /; status_code 200 301-302; }", well="return 301 /elsewhere;")
    on_nginx("another page", ANOTHER, "expected f9323f5b51fc23e30c10623bd38de6ff", DIGEST)
    on_nginx("a page without the pattern", ANOTHER, "does not match", 'url { path /; regex "w[a-z]ll"; }')
    on_nginx("a page with a pattern it must not have", "location / { return 200 'an ERROR'; }", "matches, and must not",
             "url { path /; regex error; regex_no_match; regex_options caseless; }")
    on_nginx("the second of three urls", "location /b { return 404; } " + PAGE, "status 404",
             "fast_recovery; url { path /a; }; url { path /b; }; url { path /c; }")
    on_nginx("HTTP 1.1", "return 500;", "status 500", f"http_protocol 1.1; {URL}")
    on_nginx("the virtual host has gone", "server_name _; return 404;", "status 404",
             well="if ($host != www.example.com) { return 404; } " + PAGE, in_service="virtualhost www.example.com")
    on_nginx("whom nginx asks is silent", "location / { proxy_pass http://127.0.0.1:81; }", "no answer in time")
    on_nginx("inhibited", "return 503;", "status 503", in_server="inhibit_on_failure", ours=0)
    on_nginx("asked elsewhere", "return 503;", "status 503", f"connect_ip ADDRESS; connect_port 8443; bindto DIRECTOR; {URL}")
    for what, mode, reason in (
        ("no answer", "silent", "no answer in time"),
        ("a huge header", "huge_header", "header"),
        ("an answer that is cut off", "cut", ""),
        ("no HTTP", "garbage", ""),
        ("reset within the header", "reset_within", "Connection reset by peer"),
        ("never closed", "held", ""),
    ):
        Case("HTTP_GET", what, "http", mode, reason, URL)
    # keepalived reads on: it waits anew for each piece, and has no limit.
    Case("HTTP_GET", "a header that dribbles", "http", "dribble_header", "in time", URL, theirs=ANY, timeout=2)
    Case("HTTP_GET", "a body that dribbles", "http", "dribble_body", "in time", URL, theirs=ANY, timeout=2)
    Case("HTTP_GET", "a body without an end", "http", "huge_body", "16 MiB", URL, theirs=ANY)


def https():
    def on_nginx(what, ill, reason, options=URL, **more):
        Case("SSL_GET", what, "tls", ill, reason, options, **more)

    on_nginx("nothing arrives", "drop", "no connection within")
    on_nginx("a router says unreachable", "icmp", "No route to host")
    on_nginx("there is no route", "route", "No route to host")
    on_nginx("refused", "gone", "Connection refused")
    on_nginx("reset after the request", RESET, "")
    on_nginx("another status", "return 503;", "status 503")
    on_nginx("another page", ANOTHER, "expected f9323f5b51fc23e30c10623bd38de6ff", DIGEST)
    on_nginx("the site that SNI names has gone", "server_name _; return 404;", "status 404",
             f"enable_sni; virtualhost b.example; {URL}", well="if ($ssl_server_name != b.example) { return 404; } " + PAGE)
    on_nginx("no handshake", "ssl_reject_handshake on;", "UnrecognisedName")
    on_nginx("no TLS", "plain", "")
    for what, mode, reason in (
        ("silence instead of a handshake", "silent_tcp", "no agreement in time"),
        ("a huge header", "huge_header", "header"),
    ):
        Case("SSL_GET", what, "https", mode, reason, URL)
    Case("SSL_GET", "a header that dribbles", "https", "dribble_header", "in time", URL, theirs=ANY)
    Case("SSL_GET", "a body without an end", "https", "huge_body", "", URL, theirs=ANY)


def smtp():
    options = "helo_name lb.example.com"
    network("SMTP_CHECK", "smtp", options)
    for what, mode, reason in (
        ("refused", "gone", "Connection refused"),
        ("reset", "reset", ""),
        ("another greeting", "greeting", "Bad greeting banner.*554 no mail here"),
        ("HELO is refused", "helo", "Bad HELO response.*550 go away"),
        ("no greeting", "silent_tcp", ""),
        ("closed at once", "closed", ""),
    ):
        Case("SMTP_CHECK", what, "smtp", mode, reason, options)
    # keepalived reads on, without a limit.
    Case("SMTP_CHECK", "a greeting that dribbles", "smtp", "dribble", "", options, theirs=ANY)
    Case("SMTP_CHECK", "a greeting without an end", "smtp", "flood", "", options, theirs=ANY)


def dns():
    options = "type A; name www.example.com; retry 1; delay_before_retry 1"
    # An ICMP message about a host is no error of a UDP socket.
    network("DNS_CHECK", "dnsmasq", options, "no answer in time", "no answer in time")
    Case("DNS_CHECK", "refused", "dnsmasq", "gone", "Connection refused", options)
    Case("DNS_CHECK", "refused over IPv6", "dnsmasq", "gone", "Connection refused", options, v6=True)
    Case("DNS_CHECK", "the name is not there", "dnsmasq", "names", "rcode = 3", options.replace("www", "ill"))
    for what, mode, reason in (
        ("no answer", "silent", "no answer in time"),
        ("the server fails", "servfail", "rcode = 2"),
    ):
        Case("DNS_CHECK", what, "dns", mode, reason, options)
    # keepalived 2.2.7 takes the short one, and begins to wait anew with each of the others.
    for what, mode in (("too short an answer", "short"), ("another id", "id"), ("its own question", "question")):
        Case("DNS_CHECK", what, "dns", mode, "no answer in time", options, theirs=ANY)


def udp():
    answered = "payload 68656c6c6f; require_reply 68656cxxxx"
    Case("UDP_CHECK", "nothing arrives", "udp", "drop", "no reply in time", answered)
    Case("UDP_CHECK", "nothing arrives and no reply is required", "udp", "drop", "", ours=WEIGHT)
    Case("UDP_CHECK", "a router says unreachable", "udp", "icmp", "No route to host")
    Case("UDP_CHECK", "there is no route", "udp", "route", "No route to host")
    Case("UDP_CHECK", "refused", "udp", "gone", "Connection refused")
    Case("UDP_CHECK", "refused over IPv6", "udp", "gone", "Connection refused", v6=True)
    Case("UDP_CHECK", "another reply", "udp", "other", "byte 0 is 0x6f", answered)
    Case("UDP_CHECK", "too long a reply", "udp", "long", "more than 9 bytes", answered + "; max_reply_length 9")
    Case("UDP_CHECK", "too short a reply", "udp", "short", "a reply of 2 bytes", answered + "; min_reply_length 4")


def others():
    network("PING_CHECK", "kernel", "retry 2", "no reply in time", "no reply in time")
    Case("PING_CHECK", "nothing arrives over IPv6", "kernel", "drop", "no reply in time", v6=True)

    def misc(what, well, ill, reason, more="", **result):
        seconds = 5 if ill in ("hang", "deaf") else 30
        options = f'misc_path "/run/checkers/misc {well} {ill}"; misc_timeout {seconds}; {more}'
        Case("MISC_CHECK", what, "kernel", "nothing", reason, options, **result)

    misc("exit status 1", 0, 1, "exited with status 1")
    misc("another status without misc_dynamic", 0, 12, "exited with status 12")
    misc("killed by a signal", 0, "signal", "due to signal 9")
    misc("not in time", 0, "hang", "timed out")
    misc("not in time, and deaf", 0, "deaf", "timed out")
    misc("another weight", 12, 52, "Changing weight from 10 to 50", "misc_dynamic", well_weight=10, ours=50)
    misc("no weight any more", 12, 1, "exited with status 1", "misc_dynamic", well_weight=10)

    Case("FILE_CHECK", "a number in the file", "kernel", "file", "now FAULT", "track_file fault", well="0 1")
    Case("FILE_CHECK", "the file has gone", "kernel", "file", "now FAULT", "track_file reversed; weight 0 reverse", well="1 gone",
         theirs=ANY)  # keepalived begins as if it were not reversed
    Case("FILE_CHECK", "another weight", "kernel", "file", "Changing weight from 11 to 19", "track_file weights; weight 2",
         well="3 7", well_weight=11, ours=19)


class Switch:
    """Waits that end when the servers are switched."""

    def __init__(self):
        self.event = asyncio.Event()

    async def wait(self, seconds=None):
        """Whether it was switched within that time."""
        try:
            await asyncio.wait_for(self.event.wait(), seconds)
            return True
        except asyncio.TimeoutError:
            return False


def reset(writer):
    """Ends a connection with a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def dribble(writer, switch, byte):
    while not await switch.wait(0.5):
        writer.write(byte)


async def flood(writer, switch, size):
    """20 times a second: enough for every limit, and others have the processor too."""
    while not await switch.wait(0.05):
        writer.write(b"x" * size)
        await writer.drain()


async def talk(mode, reader, writer, switch):
    """One connection of a server that is not well."""
    if mode in ("silent_tcp",):
        await switch.wait()
    elif mode == "reset":
        reset(writer)
    elif mode == "closed":
        pass
    elif mode == "greeting":
        writer.write(b"554 no mail here\r\n")
    elif mode == "dribble":
        await dribble(writer, switch, b"2")
    elif mode == "flood":
        writer.write(b"220 ")
        await flood(writer, switch, 1 << 10)
    else:
        await reader.readuntil(b"\r\n\r\n")
        header = b"HTTP/1.0 200 OK\r\n"
        if mode == "well":
            writer.write(header + b"Content-Length: 4\r\n\r\nwell")
        elif mode == "silent":
            await switch.wait()
        elif mode == "dribble_header":
            writer.write(header + b"X: ")
            await dribble(writer, switch, b"x")
        elif mode == "dribble_body":
            writer.write(header + b"\r\n")
            await dribble(writer, switch, b"x")
        elif mode == "huge_header":
            writer.write(header + b"X: %s\r\n" % (b"x" * 1000) * 200 + b"\r\n")
        elif mode == "huge_body":
            writer.write(header + b"\r\n")
            await flood(writer, switch, 1 << 16)
        elif mode == "cut":
            writer.write(header + b"Content-Len")
        elif mode == "garbage":
            writer.write(b"220 mx.example.com ESMTP\r\n\r\n")
        elif mode == "reset_within":
            writer.write(header)
            await writer.drain()
            reset(writer)
        elif mode == "held":
            writer.write(header + b"Content-Length: 4\r\n\r\nwell")
            await switch.wait()
        else:
            raise ValueError(mode)


def server_of(mode, switch):
    async def serve(reader, writer):
        try:
            await talk(mode, reader, writer, switch)
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
    return serve


class Refusing(SMTP):
    async def smtp_HELO(self, hostname):
        await self.push("550 go away")


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, mode):
        self.mode = mode

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        answer = {
            "echo": data,
            "other": b"other" + data,
            "long": data + b"x" * 20,
            "short": data[:2],
            "answer": data[:2] + b"\x81\x80" + data[4:],
            "id": bytes([data[0] ^ 1]) + data[1:2] + b"\x81\x80" + data[4:],
            "question": data,
            "servfail": data[:2] + b"\x81\x82" + data[4:],
            "silent": None,
        }
        answer["short"] = answer["answer"][:11] if len(data) > 11 else data[:2]
        if answer[self.mode] is not None:
            self.transport.sendto(answer[self.mode], peer)


class Servers:
    def __init__(self):
        self.nginx = self.dnsmasq = None
        self.here = []
        self.datagrams = {}
        self.listeners = {}
        self.switch = Switch()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain("/run/checkers/cert.pem", "/run/checkers/key.pem")

    async def start(self, well):
        """Starts all, or replaces them by others."""
        self.switch.event.set()
        self.switch = Switch()
        for server in self.here:
            server.close()
        self.here = [await asyncio.start_server(server_of("silent_tcp", self.switch), "127.0.0.1", 81)]
        self.start_nginx(well)
        self.start_dnsmasq(well)
        open("/run/checkers/state", "w").write("well" if well else "ill")
        for case in cases:
            if case.ill == "file":
                self.write_file(case, well)
            elif case.server in ("http", "https", "smtp", "dns", "udp"):
                await self.start_own(case, well)
        subprocess.run(["nft", "-f", "-"], input=rules(well), text=True, check=True)
        for case in cases:
            if case.ill == "route":
                for name in ("ours", "theirs"):
                    add = ["ip", "-n", name, "-6" if case.v6 else "-4", "route", "del" if well else "add", "unreachable"]
                    subprocess.run([*add, case.address], stderr=subprocess.DEVNULL)

    async def start_own(self, case, well):
        loop = asyncio.get_running_loop()
        mode = "well" if well or case.ill in ("drop", "icmp", "route") else case.ill
        at = case.address, case.port
        if mode == "gone":
            if case in self.datagrams:
                self.datagrams.pop(case).transport.close()
            if case in self.listeners:
                self.listeners.pop(case).close()
            return
        if case.udp:
            mode = {"dns": "answer", "udp": "echo"}[case.server] if mode == "well" else mode
            if case in self.datagrams:
                # Not away for a moment: that would be another failure.
                self.datagrams[case].mode = mode
            else:
                _, self.datagrams[case] = await loop.create_datagram_endpoint(lambda: Datagrams(mode), local_addr=at)
        elif case.server == "smtp" and mode in ("well", "helo"):
            protocol = SMTP if mode == "well" else Refusing
            self.here.append(await loop.create_server(lambda: protocol(None), sock=self.listener(case)))
        else:
            tls = self.tls if case.server == "https" and mode != "silent_tcp" else None
            self.here.append(await asyncio.start_server(server_of(mode, self.switch), sock=self.listener(case), ssl=tls))

    def listener(self, case):
        """Its socket stays when another server comes: who asks in between waits, and is not refused."""
        if case not in self.listeners:
            family = socket.AF_INET6 if case.v6 else socket.AF_INET
            self.listeners[case] = socket.create_server((case.address, case.port), family=family, backlog=100)
        return self.listeners[case].dup()

    def start_nginx(self, well):
        servers = []
        for case in cases:
            body = (case.well or PAGE) if well or case.ill in ("drop", "icmp", "route") else case.ill
            if case.server not in ("nginx", "tls") or body == "gone":
                continue
            tls = " ssl" if case.server == "tls" and body != "plain" else ""
            port = 8443 if "connect_port" in case.options else case.port
            body = PAGE if body == "plain" else body
            servers.append(f"server {{ listen {case.host()}:{port}{tls}; {body} }}")
        text = """daemon off; worker_processes 1; user root; pid nginx.pid; error_log stderr crit;
events {} http { access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .;
scgi_temp_path .; lingering_close off; proxy_read_timeout 1h; ssl_certificate cert.pem; ssl_certificate_key key.pem;
default_type text/plain;
""" + "\n".join(servers) + "}\n"
        open("/run/checkers/nginx.conf", "w").write(text)
        if self.nginx:
            self.nginx.send_signal(1)
        else:
            self.nginx = subprocess.Popen(["nginx", "-p", "/run/checkers", "-c", "nginx.conf"])

    def start_dnsmasq(self, well):
        if self.dnsmasq:
            self.dnsmasq.kill()
            self.dnsmasq.wait()
        listen = [f"--listen-address={case.address}" for case in cases
                  if case.server == "dnsmasq" and (well or case.ill != "gone")]
        ill = "--address=/ill.example.com/192.0.2.2" if well else "--local=/ill.example.com/"
        self.dnsmasq = subprocess.Popen([
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root",
            "--pid-file", "--bind-interfaces", "--address=/www.example.com/192.0.2.1", ill, *listen,
        ])

    def write_file(self, case, well):
        path = f"/run/checkers/{case.options.split()[1].rstrip(';')}"
        text = case.well.split()[0 if well else 1]
        if text == "gone":
            os.unlink(path)
            return
        with open(path, "w") as file:
            file.write(text)


def rules(well):
    """nftables' rules for what is not to arrive."""
    lines = ["flush ruleset"]
    if not well:
        lines.append("table inet checkers { chain in { type filter hook input priority 0;")
        for case in cases:
            family, icmp = ("ip6", "icmpv6 type addr-unreachable") if case.v6 else ("ip", "icmp type host-unreachable")
            verdict = {"drop": "drop", "icmp": f"reject with {icmp}"}.get(case.ill)
            if verdict:
                lines.append(f"{family} daddr {case.address} {verdict}")
        lines += ["}", "}"]
    return "\n".join(lines)


def sh(command):
    subprocess.run(["bash", "-ec", command], check=True)


def prepare():
    """Addresses, namespaces, files."""
    os.makedirs("/run/checkers")
    sh("""
        modprobe ip_vs
        sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.ip_forward=1
        ip link add servers type dummy
        ip link set servers up
        cd /run/checkers
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example \
            -out cert.pem -keyout key.pem 2>/dev/null
    """)
    for number, name in enumerate(("ours", "theirs"), 1):
        sh(f"""
            ip netns add {name}
            ip link add {name} type veth peer name eth0 netns {name}
            ip addr add 10.6.{number}.1/24 dev {name}
            ip addr add 2001:db8:6:{number}::1/64 dev {name} nodad
            ip link set {name} up
            ip -n {name} link set lo up
            ip -n {name} addr add 10.6.{number}.2/24 dev eth0
            ip -n {name} addr add 2001:db8:6:{number}::2/64 dev eth0 nodad
            ip -n {name} link set eth0 up
            ip -n {name} route add default via 10.6.{number}.1
            ip -n {name} -6 route add default via 2001:db8:6:{number}::1
        """)
    batch = "".join(f"addr add {case.address}{'/128 nodad' if case.v6 else '/32'} dev servers\n" for case in cases)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    with open("/run/checkers/misc", "w") as script:
        script.write("""#!/bin/bash
if [ "$(</run/checkers/state)" = well ]; then how=$1; else how=$2; fi
case $how in
signal) kill -KILL $$ ;;
hang) exec sleep 1000 ;;
deaf) trap '' TERM; while :; do read -rt 1 <> <(:); done ;;
*) exit "$how" ;;
esac
""")
    os.chmod("/run/checkers/misc", 0o755)
    text = "global_defs {\n    checker_log_all_failures\n    script_user root\n}\n"
    for name, weight in (("fault", 0), ("reversed", 0), ("weights", 1)):
        text += f"track_file {name} {{\n    file /run/checkers/{name}\n    weight {weight}\n}}\n"
    text += "".join(case.block() for case in cases)
    for number, name in enumerate(("ours", "theirs"), 1):
        own = text.replace("DIRECTOR", f"10.6.{number}.2")
        open(f"/run/checkers/{name}.conf", "w").write(own)


async def table(name):
    """Weights by service."""
    listing = ["ip", "netns", "exec", name, "ipvsadm", "-Sn"]
    listed = await asyncio.create_subprocess_exec(*listing, stdout=subprocess.PIPE)
    weights = {}
    for line in (await listed.communicate())[0].decode().splitlines():
        words = line.split()
        key = f"{words[1]} {words[2]}"
        weights.setdefault(key, OUT)
        if words[0] == "-a":
            weights[key] = int(words[words.index("-w") + 1])
    return weights


def missed(well, tables):
    """Who is not in its table as it should be: (case, whose table, what is there)."""
    for case in cases:
        for who, weights in tables.items():
            have = weights.get(case.key(), "no service")
            if case.wanted(who, well) not in (have, ANY):
                yield case, who, have


async def eventually(well):
    """Waits until both tables are as wanted, and gives them as they are."""
    end = time.monotonic() + LIMIT
    while True:
        tables = {who: await table(who) for who in PROGRAMS}
        if not list(missed(well, tables)) or time.monotonic() > end:
            return tables
        await asyncio.sleep(2)


async def main():
    for add in (tcp, http, https, smtp, dns, udp, others):
        add()
    begin = time.monotonic()
    logging.disable()  # of asyncio, which wonders about connections that end
    prepare()
    servers = Servers()
    await servers.start(True)
    daemons = []
    for who, program in PROGRAMS.items():
        at = f"/run/checkers/{who}"
        command = ["ip", "netns", "exec", who, program, "-n", "-l", "-D", "-C", "-f", f"{at}.conf", "-p", f"{at}.pid",
                   "-c", f"{at}.checkers.pid", "-r", f"{at}.vrrp.pid", "-b", f"{at}.bfd.pid"]
        daemons.append(subprocess.Popen(command, stdout=open(f"{at}.log", "w"), stderr=subprocess.STDOUT))
    failed = {case: [] for case in cases}
    logs = {who: open(f"/run/checkers/{who}.log", errors="replace") for who in PROGRAMS}
    for step, well in (("well", True), ("failing", False), ("well again", True)):
        if step != "well":
            await servers.start(well)
        tables = await eventually(well)
        print(f"    {step}: {time.monotonic() - begin:.0f} s", flush=True)
        said = {who: log.read().splitlines() for who, log in logs.items()}
        for case, who, have in missed(well, tables):
            failed[case].append(f"{step}: {have} in place of {case.wanted(who, well)} in {who}")
            failed[case] += [f"  {line}" for line in said[who] if case.logged() in line][-8:]
        for case in cases if step == "failing" else []:
            lines = [line for line in said["ours"] if case.logged() in line]
            if not re.search(case.reason, "\n".join(lines)):
                failed[case].append(f"the reason is not \"{case.reason}\"")
                failed[case] += [f"  {line}" for line in lines[-8:]]
    for daemon in daemons:
        daemon.terminate()
    for daemon in daemons:
        daemon.wait()
    # Killed, nginx would leave its worker with the sockets to those who come after.
    servers.nginx.terminate()
    servers.nginx.wait()
    servers.dnsmasq.kill()
    for case in cases:
        print(f"{'not ok' if failed[case] else 'ok'} - {case.name}")
        for line in failed[case]:
            print(f"    {line}")
    print(*[line for line in open("/run/checkers/ours.log", errors="replace") if "does not answer" in line], sep="")
    sys.stdout.flush()
    os._exit(1 if any(failed.values()) else 0)


asyncio.run(main())
