# nftables_ipvs: groups of addresses as services of marks. One story told to us and to Debian's keepalived, each in a
# network namespace of its own: after each step nftables and the table must be the same. Then what only we do, and
# traffic that really reaches the servers by a mark.
. "$here/scene.sh"
inside() { local space=$1; shift; ip netns exec "$space" "$@"; }

# rules SPACE: nftables there, each rule and each element a line; in which order elements are told means nothing.
rules() { inside "$1" nft list ruleset | tr '\t,{}' ' \n\n\n' | sed 's/^ *//; s/ *$//; /^$/d; s/packets [0-9]* bytes [0-9]*/counts/' | sort; }
state() { rules "$1"; inside "$1" ipvsadm -Sn | sort; }
both() { # COMMAND...: state of both, equal, and as the command wants it.
    state ours >/run/state.ours
    state theirs >/run/state.theirs
    diff /run/state.ours /run/state.theirs && "$@" /run/state.ours
}
holds() { # LINE... FILE: it has all of these.
    local file=${*: -1} line
    for line in "${@:1:$#-1}"; do grep -qxF -- "$line" "$file" || { echo "no: $line"; cat "$file"; return 1; }; done
}
nothing() { [ ! -s "$1" ] || { cat "$1"; return 1; }; }
server() { printf '    real_server %s {\n        weight %s\n    }\n' "$1" "$2"; }
# group NAME PROTOCOL KIND SERVER LINE...
group() {
    printf 'virtual_server_group %s {\n' "$1"
    printf '    %s\n' "${@:5}"
    printf '}\nvirtual_server group %s {\n    lb_algo rr\n    lb_kind %s\n    protocol %s\n' "$1" "$3" "$2"
    server "$4" 2
    printf '}\n'
}
write() { # CONF: both have to read it.
    cat >/run/marks.conf
}
start() {
    local space
    for space in ours theirs; do
        ip netns add $space
        ip -n $space link set lo up
        ip -n $space link add d0 type dummy
        ip -n $space addr add 192.0.2.7/24 dev d0
        ip -n $space link set d0 up
    done
    nsenter --net=/run/netns/ours "$KEEPALIVED_RS" -n -l -D -C -f /run/marks.conf -p /run/o.pid -c /run/oc.pid -r /run/or.pid -b /run/ob.pid >/run/o.log 2>&1 &
    ours=$!
    nsenter --net=/run/netns/theirs /usr/sbin/keepalived -n -l -D -C -f /run/marks.conf -p /run/t.pid -c /run/tc.pid -r /run/tr.pid -b /run/tb.pid >/run/t.log 2>&1 &
    theirs=$!
}
stop() {
    kill $ours $theirs
    wait $ours $theirs
}
same_after() { # WHAT LINE...
    local what=$1
    shift
    check "$what" eventually 30 both holds "$@"
}
# dump PID: what SIGUSR1 tells of marks.
dump() {
    rm -f /tmp/keepalived*.data
    kill -USR1 "$1"
    eventually 30 grep -qs "Health checkers" /tmp/keepalived_check.data
    grep "Fwmark TCP\|ipvs nftables\|nftables with" /tmp/keepalived_check.data
}
same_dumps() { cat /run/dump.ours; diff /run/dump.ours /run/dump.theirs && grep -q "  Fwmark TCP: 1000 UDP: 0 SCTP: 0" /run/dump.ours; }
reload() { kill -HUP $ours $theirs; }

first() { group web TCP NAT "10.0.0.1 8080" "192.0.2.1-9 80" "192.0.2.20 443"; }
six() { group six UDP DR "fd00::1 53" "2001:db8::1 53" "2001:db8::10-2001:db8::1f 53"; }
mixed() { group mixed SCTP TUN "10.0.0.3 9" "192.0.2.40 9" "2001:db8::40 9"; }
# A kernel without nf_tables: as long as nobody loads the module, which others do and do not always let go of.
modprobe ip_vs_rr
check "nf_tables is not loaded" [ ! -d /sys/module/nf_tables ]
modprobe=$(cat /proc/sys/kernel/modprobe)
echo /bin/false >/proc/sys/kernel/modprobe
mkdir -p /run/none
{ printf 'global_defs {\n    nftables_ipvs\n}\n'; first; } >/run/none/lvs.conf
host none
direct none
log=/run/none/log
serves() { table none | grep -qxF -- "-a -f 1000 -r 10.0.0.1:8080 -m -w 2"; }
check "without nf_tables the daemon says so" eventually 60 grep -qF "nftables: packets to groups are not marked, so they do not reach their servers: this kernel has no nf_tables; trying again" $log
check "the service is there" serves
check "and it has started" eventually 30 grep -qF "Startup complete" $log
sleep 4
check "it is said once" [ "$(grep -c 'no nf_tables' $log)" = 1 ]
echo "$modprobe" >/proc/sys/kernel/modprobe
recovers() { on none nft list ruleset | grep -qF "192.0.2.20 . 443" && grep -qF "nftables: packets to groups are marked" $log; }
check "when it can be loaded, packets are marked" eventually 90 recovers
stop_director none
check "nothing is left of that" [ -z "$(on none nft list ruleset)$(table none)" ]
[ $failed = 0 ] || tail -n 30 $log | cut -c1-200

for counters in "" nftables_counters; do
    global() { printf 'global_defs {\n    %s\n    nftables_ipvs\n}\n' "$counters"; }
    with=${counters:+ with counters}
    { global; first; six; mixed; } | write
    start
    same_after "start$with: both mark and serve the same" "-A -f 1000 -s rr" "-A -f 1001 -6 -s rr" "-A -f 1002 -s rr" \
        "-A -f 1002 -6 -s rr" "-a -f 1000 -r 10.0.0.1:8080 -m -w 2" "map tcp_map" "map udp_map" "map sctp_map"
    dump $theirs >/run/dump.theirs
    dump $ours >/run/dump.ours
    check "dumps$with tell the same of it" same_dumps
    { global; group web TCP NAT "10.0.0.1 8080" "192.0.2.1-9 80" "192.0.2.30 80"; six; mixed; } | write
    reload
    has_entry() { grep -q '^192.0.2.30 . 80' "$1" && ! grep -q '^192.0.2.20 ' "$1"; }
    check "a reload$with changes entries of a group" eventually 30 both has_entry
    { global; first; six; group more TCP DR "10.0.0.5 80" "192.0.2.50 80"; } | write
    reload
    has_group() { grep -q '^-A -f 1003 -s rr' "$1" && ! grep -q 1002 "$1"; }
    check "a reload$with adds a group, which has the next mark, and removes another" eventually 30 both has_group
    stop
    check "nothing is left of the marks$with at the end" eventually 10 both nothing
    [ $failed = 0 ] || { tail -n 30 /run/o.log /run/t.log | cut -c1-200; nft --version; }
    ip netns del ours
    ip netns del theirs
done

# ---- what only we do, and traffic ----

VIP2=192.168.88.251
one_director
ip -n d1 addr add $VIP2/32 dev eth0
for host in first second third fourth; do ip -n $host addr add $VIP2/32 dev lo; done
serve first 0.0.0.0:80
serve second 0.0.0.0:80
serve third 0.0.0.0:80
real() { printf '    real_server %s 80 {\n        TCP_CHECK {\n            connect_port 80\n            connect_timeout 3\n        }\n    }\n' "$1"; }
# conf LINES SERVER...: the group has these lines.
conf() {
    printf 'global_defs {\n    nftables_ipvs marks\n    nftables_counters\n}\nvirtual_server_group web {\n%b\n}\n' "$1"
    printf 'virtual_server group web {\n    delay_loop 2\n    lb_algo rr\n    lb_kind DR\n    protocol TCP\n'
    shift
    for address in "$@"; do real "192.168.88.$address"; done
    printf '}\n'
}
mkdir -p /run/d1
conf "    $VIP 80" 11 12 >/run/d1/lvs.conf
# What a crash has left.
on d1 nft 'table ip marks { chain old { }; map tcp_map { type ipv4_addr . inet_service : mark; elements = { 192.0.2.1 . 1 : 7 } }; }; table ip6 marks { chain old { }; }'
direct d1
marked() { on d1 nft list ruleset >/run/rules; grep -qF "$VIP . 80" /run/rules || { cat /run/rules; return 1; }; }
clean() { ! grep -q 'old\|192.0.2.1\|ip6' /run/rules || { cat /run/rules; return 1; }; }
check "the daemon marks packets to its group" eventually 60 marked
check "what a crash has left is gone" clean
check "its service has the mark" [ "$(table d1 | sort | tr '\n' ';')" = "-A -f 1000 -s rr;-a -f 1000 -r 192.168.88.11:0 -g -w 1;-a -f 1000 -r 192.168.88.12:0 -g -w 1;" ]
client asked 10000 ask $VIP:80 10 4
check "requests to the address are answered" eventually 60 asked asked 20
# Reloads of entries and of servers, with traffic all the time.
clock; begun=$now
lists_mark() { table d1 | grep -qF -- "-A -f $1 "; }
alone() { lists_mark "$1" && [ "$(table d1 | grep -c '^-A')" = 1 ] && on d1 nft list ruleset | grep -qF "192.0.2.99 . 80"; }
wide() { on d1 nft list ruleset | grep -qF "$VIP/31 . 80"; }
narrow() { ! wide && marked; }
for round in 1 2; do
    conf "    $VIP-251 80" 11 12 >/run/d1/lvs.conf
    kill -HUP "${directors[d1]}"
    check "reload $round: one more address" eventually 30 wide
    conf "    $VIP 80" 11 12 >/run/d1/lvs.conf
    kill -HUP "${directors[d1]}"
    check "reload $round: and back" eventually 30 narrow
done
conf "    $VIP-251 80" 11 12 13 >/run/d1/lvs.conf
kill -HUP "${directors[d1]}"
third() { wide && table d1 | grep -qF 192.168.88.13:0; }
check "one more address and one more server" eventually 30 third
clock
enough asked
check "no request failed meanwhile" none_failed asked "$begun" "$now"
check "by both servers" awk '{ n[$NF]++ } END { exit !(n["first"] > 3 && n["second"] > 3) }' /run/asked
client asked2 10000 ask $VIP2:80 10 4
check "requests to the other address of the range are answered" eventually 60 asked asked2 20
enough asked2
check "and none failed" none_failed asked2 0 999999999
counted() { on d1 nft list ruleset | grep -q 'counter packets [1-9].*return'; }
check "the rule counts" counted
# Somebody else flushes everything, as nftables.service does when it is restarted.
on d1 nft flush ruleset
check "a table that somebody else has removed comes back" eventually 90 wide
client asked3 10000 ask $VIP:80 10 4
check "and requests are answered again" eventually 60 asked asked3 10
enough asked3
# The checker process dies; the next one has the same marks, though a new start would give others.
{ conf "    $VIP-251 80" 11 12 13; group more TCP DR "192.168.88.14 80" "192.0.2.99 80"; } >/run/d1/lvs.conf
kill -HUP "${directors[d1]}"
check "a second group has the second mark" eventually 30 lists_mark 1001
group more TCP DR "192.168.88.14 80" "192.0.2.99 80" | { printf 'global_defs {\n    nftables_ipvs marks\n    nftables_counters\n}\n'; cat; } >/run/d1/lvs.conf
kill -HUP "${directors[d1]}"
check "the first one goes" eventually 30 alone 1001
before=$(cat /run/d1/checkers.pid)
kill -KILL "$before"
replaced() { [ "$(cat /run/d1/checkers.pid)" != "$before" ] && grep -qF "Startup complete" /run/d1/log && alone 1001; }
check "another checker process takes its place, with the same mark" eventually 60 replaced
stop_director d1
rules_left() { [ -z "$(on d1 nft list ruleset)" ] && [ -z "$(table d1)" ]; }
check "nothing is left at the end" rules_left
[ $failed = 0 ] || { echo "    its log:"; tail -n 60 /run/d1/log | cut -c1-200; }
tear_down lan
