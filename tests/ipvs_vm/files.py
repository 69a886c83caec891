"""The same file gives the same table with keepalived and with us: at the start, failed, recovered, and reloaded.

Each daemon has a network namespace of its own, with a route to everywhere: whatever server a file names answers there,
or refuses. Only what the outcome does not depend on is changed in a file: how often and how long is waited, digests
(one page answers all), and names of network namespaces. Scripts and users that a file names are made.
"""

import asyncio
import glob
import hashlib
import os
import pwd
import re
import subprocess
import sys
import time

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP

PAGE = "web 1.0"
STEP = 8  # seconds that each step has at least
LIMIT = int(os.environ.get("FILES_LIMIT", 60))  # and at most, until the tables are the same
BATCH = 16  # files at a time
SAMPLE = ("003-", "049-", "057-", "116-", "142-", "152-")  # of the corpus, where not all are wanted

# Files with a persistence_granularity for a group, which keepalived forgets.
GRANULARITY = ["lvs-groups.conf", "165-openstack-octavia.conf", "171-openstack-octavia.conf"]
# Servers of which keepalived makes now this, now that: the weight of one whose page is to match `^…` depends on whether
# header and page come in one piece, because it looks for the pattern in all of the first piece.
UNSTEADY = {"lvs-web.conf": "(-r 192.168.88.11:80 -g) -w [0-9]+"}
# Files whose tables differ, with the reason.
EXCEPTIONS = {
    "126-shidg-note.conf": "a server without a port: keepalived asks port 0",
    "148-hercules-team-augeas.conf": "keepalived 2.4.3 does not run with it",
    "056-charnet1019-keepalived-api.conf": "for keepalived the brace of an unknown block closes global_defs",
}


def sh(command, **more):
    subprocess.run(["bash", "-ec", command], check=True, **more)


def chosen(root):
    """The files of conf/, and those of the corpus."""
    def serves(path):
        return re.search(rb"^\s*virtual_server\s", open(path, "rb").read(), re.M)

    ours = [path for path in sorted(glob.glob(f"{root}/conf/*.conf")) if serves(path)]
    corpus = os.environ.get("KEEPALIVED_RS_CORPUS") or f"{root}/../shared/corpus"
    theirs = [path for path in sorted(glob.glob(f"{corpus}/*.conf")) if serves(path)]
    wanted = os.environ.get("FILES", "")
    if wanted == "all":
        return ours + theirs
    if wanted:
        return [path for path in ours + theirs if wanted in path]
    return ours + [path for path in theirs if os.path.basename(path).startswith(SAMPLE)]


def hurried(text):
    """The file, with all waiting cut short."""
    lines = []
    for line in text.split("\n"):
        if re.match(r"^\s*misc_path\s.*[^\\]$", line):
            # Else it is delay_loop, which is too short for a slow machine.
            lines.append("    misc_timeout 20")
        line = re.sub(r"^(\s*misc_timeout)\s+\S+", r"\1 20", line)
        line = re.sub(r"^(\s*delay_loop)\s+\S+", r"\1 2", line)
        line = re.sub(r"^(\s*(?:delay_before_retry|warmup))\s+\S+", r"\1 1", line)
        line = re.sub(r"^(\s*connect_timeout)\s+\S+", r"\1 3", line)
        line = re.sub(r"^(\s*(?:nb_get_)?retry)\s+([2-9]|\d\d+)\b", r"\1 1", line)
        line = re.sub(r"^(\s*digest)\s+\S+", rf"\1 {hashlib.md5(PAGE.encode()).hexdigest()}", line)
        line = re.sub(r"^\s*net_namespace.*", "", line)
        # keepalived may look for patterns in the header too, and counts from there.
        line = re.sub(r'^(\s*regex\s+"?)\^', r"\1", re.sub(r"^\s*regex_m\w+_offset.*", "", line))
        lines.append(line)
        if re.match(r"^\s*virtual_server\s+[^{#!]+\{\s*$", line):
            lines.append("    delay_loop 2")
            lines.append("    delay_before_retry 1")
        if re.match(r"^\s*host\s*\{\s*$", line):
            # Without one, keepalived gives the answers of a host of SMTP_CHECK no time at all.
            lines.append("    connect_timeout 3")
    return "\n".join(lines)


def changed(text):
    """Another scheduler, other weights and timeouts; the last real server has gone."""
    other = {"rr": "wrr", "wrr": "rr", "wlc": "lc", "lc": "wlc", "sh": "dh"}
    text = re.sub(r"^(\s*(?:lb_algo|lvs_sched)\s+)(\w+)", lambda found: found[1] + other.get(found[2], found[2]), text, flags=re.M)
    text = re.sub(r"^(\s*weight\s+)(\d+)", lambda found: f"{found[1]}{int(found[2]) + 1}", text, flags=re.M)
    text = re.sub(r"^(\s*persistence_timeout\s+)(\d+)", lambda found: f"{found[1]}{int(found[2]) + 10}", text, flags=re.M)
    last = None
    for last in re.finditer(r"^[ \t]*real_server\s[^{\n]*\{", text, flags=re.M):
        pass
    if last:
        depth, end = 0, last.end() - 1
        for end in range(last.end() - 1, len(text)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                break
        text = text[:last.start()] + text[end + 1:]
    return text


def make_scripts(text):
    """What checks of this file run: they succeed while the servers are up."""
    for command in re.findall(r"^\s*misc_path\s+(.+)$", text, re.M):
        path = command.strip(" \"'").split()[0].strip("\"'")
        if path.startswith("/") and not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as script:
                script.write("#!/bin/sh\n[ -e /run/files/up ]\n")
            os.chmod(path, 0o755)
    for user in re.findall(r"^\s*(?:script_)?user\s+(\w+)", text, re.M):
        try:
            pwd.getpwnam(user)
        except KeyError:
            with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
                users.write(f"{user}:x:990:990::/:/bin/false\n")
                groups.write(f"{user}:x:990:\n")


def namespace(name, number):
    """Where one daemon runs: all that it sends arrives at `serve`."""
    return f"""
        ip netns add {name}
        ip link add {name} type veth peer name eth0 netns {name}
        ip addr add 100.64.{number}.1/24 dev {name}
        ip addr add fd64:{number}::1/64 dev {name} nodad
        ip link set {name} up
        ip -n {name} link set lo up
        ip -n {name} addr add 100.64.{number}.2/24 dev eth0
        ip -n {name} addr add fd64:{number}::2/64 dev eth0 nodad
        ip -n {name} link set eth0 up
        ip -n {name} route add default via 100.64.{number}.1
        ip -n {name} -6 route add default via fd64:{number}::1
    """


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        # A query of DNS becomes an answer; anything else an echo with a bit changed.
        self.transport.sendto(data[:2] + b"\x81\x80" + data[4:] if len(data) >= 12 else data, peer)


async def serve():
    """Everybody's servers."""
    sh(f"""
        modprobe ip_vs
        mkdir /run/files && cd /run/files
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a.example \
            -out cert.pem -keyout key.pem 2>/dev/null
        cat >nginx.conf <<'CONF'
user root; pid nginx.pid; error_log stderr crit; worker_processes 1;
events {{}} http {{ access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .;
scgi_temp_path .; default_type text/plain; ssl_certificate cert.pem; ssl_certificate_key key.pem;
server {{ listen 8000; listen [::]:8000; listen 8443 ssl; listen [::]:8443 ssl;
location / {{ return 200 '{PAGE}'; }} location /old {{ return 301 /; }} }} }}
CONF
        nginx -p /run/files -c nginx.conf
    """)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=("::", 8053))
    for host in ("0.0.0.0", "::"):
        await loop.create_server(lambda: SMTP(Sink()), host, 8025)


def answer(up):
    """All servers answer, or refuse."""
    web, tls, mail, datagrams = (8000, 8443, 8025, 8053) if up else (9, 9, 9, 9)
    drop = "" if up else "icmp type echo-request drop\nicmpv6 type echo-request drop\n"
    rules = f"""flush ruleset
table inet files {{
    chain pings {{
        type filter hook prerouting priority -300
        {drop}
    }}
    chain servers {{
        type nat hook prerouting priority dstnat
        fib daddr type local return
        tcp dport 443 redirect to :{tls}
        tcp dport {{ 25, 587 }} redirect to :{mail}
        meta l4proto tcp redirect to :{web}
        meta l4proto udp redirect to :{datagrams}
        icmp type echo-request redirect
        icmpv6 type echo-request redirect
    }}
}}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    if up:
        open("/run/files/up", "w").close()
    elif os.path.exists("/run/files/up"):
        os.unlink("/run/files/up")


class Told:
    """One file, told to both daemons."""

    def __init__(self, path, number):
        self.path, self.name = path, os.path.basename(path)
        with open(path, "rb") as file:
            self.text = hurried(file.read().decode("latin-1"))
        self.names = {"ours": f"o{number}", "theirs": f"t{number}"}
        self.tables, self.failed, self.biggest = {}, [], 0
        self.conf = f"/run/files/{number}.conf"
        make_scripts(self.text)
        self.write(self.text)
        sh(namespace(self.names["ours"], 2 * number) + namespace(self.names["theirs"], 2 * number + 1))
        self.daemons = {who: self.start(who, name) for who, name in self.names.items()}

    def write(self, text):
        with open(self.conf, "wb") as file:
            file.write(text.encode("latin-1"))

    def start(self, who, name):
        program = os.environ["KEEPALIVED_RS"] if who == "ours" else "/usr/sbin/keepalived"
        at = f"/run/files/{name}"
        command = ["ip", "netns", "exec", name, program, "-n", "-l", "-D", "-C", "-f", self.conf, "-p", f"{at}.pid",
                   "-c", f"{at}.c.pid", "-r", f"{at}.r.pid", "-b", f"{at}.b.pid"]
        return subprocess.Popen(command, stdout=open(f"{at}.log", "w"), stderr=subprocess.STDOUT)

    def reload(self):
        for daemon in self.daemons.values():
            if daemon.poll() is None:
                daemon.send_signal(1)

    async def same(self):
        """Whether both have the same table now."""
        for who, name in self.names.items():
            listing = ["ip", "netns", "exec", name, "ipvsadm", "-Sn"]
            listed = await asyncio.create_subprocess_exec(*listing, stdout=subprocess.PIPE)
            text = (await listed.communicate())[0].decode()
            if self.name in GRANULARITY and who == "ours":
                text = re.sub(" -M [0-9.]+", "", text)
            if self.name in UNSTEADY:
                text = re.sub(UNSTEADY[self.name], r"\1", text)
            self.tables[who] = sorted(text.splitlines())
        self.biggest = max(self.biggest, len(self.tables["ours"]))
        return self.tables["ours"] == self.tables["theirs"]

    def differ(self, step):
        ours, theirs = (set(self.tables[who]) for who in ("ours", "theirs"))
        self.failed += [f"{step}: only ours: {line}" for line in sorted(ours - theirs)[:8]]
        self.failed += [f"{step}: only keepalived's: {line}" for line in sorted(theirs - ours)[:8]]

    def stop(self):
        for daemon in self.daemons.values():
            daemon.terminate()
        for daemon in self.daemons.values():
            daemon.wait()
        for name in self.names.values():
            sh(f"ip netns del {name}")

    def report(self):
        """Says how it went; whether well."""
        reason = EXCEPTIONS.get(self.name)
        good = bool(self.failed) == (reason is not None)
        what = f"{self.name}: tables differ, {reason}" if reason else f"{self.name} gives the same tables"
        print(f"{'ok' if good else 'not ok'} - {what} ({self.biggest} lines)")
        for line in self.failed if not good else []:
            print(f"    {line}")
        if not good and os.environ.get("FILES"):
            for who, name in self.names.items():
                for line in open(f"/run/files/{name}.log", errors="replace").readlines()[:60]:
                    print(f"    {who}: {line.rstrip()[:200]}")
        return good


async def settle(step, all_told):
    """Waits until all tables are the same, in one pass; those that are not have failed."""
    begin = time.monotonic()
    await asyncio.sleep(STEP)
    while True:
        different = [told for told in all_told if not await told.same()]
        if not different or time.monotonic() - begin > LIMIT:
            break
        await asyncio.sleep(1)
    for told in different:
        told.differ(step)
    print(f"    {step}: {time.monotonic() - begin:.0f} s", flush=True)


async def tell(paths, first):
    """The whole story of some files; whether all went well."""
    answer(True)
    all_told = [Told(path, first + offset) for offset, path in enumerate(paths)]
    await settle("start", all_told)
    answer(False)
    await settle("all servers down", all_told)
    if os.environ.get("FILES"):
        for told in all_told:
            told.reload()
        await settle("reloaded while down", all_told)
    answer(True)
    await settle("all servers up", all_told)
    for told in all_told:
        told.write(changed(told.text))
        told.reload()
    await settle("reloaded with changes", all_told)
    for told in all_told:
        told.stop()
    return all([told.report() for told in all_told])


async def main():
    await serve()
    paths = chosen(sys.argv[1])
    good = True
    for first in range(0, len(paths), BATCH):
        good &= await tell(paths[first:first + BATCH], first)
    subprocess.run(["nginx", "-p", "/run/files", "-c", "nginx.conf", "-s", "stop"])
    sys.stdout.flush()
    os._exit(0 if good else 1)


if __name__ == "__main__":
    asyncio.run(main())
