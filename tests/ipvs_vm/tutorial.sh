# The pair of directors as the field's tutorials have it: 192.168.88.250:80 on two real servers, by direct routing and by
# address translation; a server dies and returns, the MASTER dies and returns, and connections outlive that.
. "$here/scene.sh"

# tutorial KIND STATE PRIORITY SERVER...: the file as published (`nb_get_retry` is no keyword of TCP_CHECK: it is told and
# left out, here as in keepalived, so that one more failure is waited for).
tutorial() {
    local kind=$1 state=$2 priority=$3 server
    shift 3
    cat <<CONF
! Configuration File for keepalived
global_defs {
    router_id LVS_DEVEL
    lvs_sync_daemon eth0 VI_1
}
vrrp_instance VI_1 {
    state $state
    interface eth0
    virtual_router_id 51
    priority $priority
    advert_int 1
    authentication {
        auth_type PASS
        auth_pass 1111
    }
    virtual_ipaddress {
        $VIP
    }
}
CONF
    [ "$kind" = DR ] || cat <<CONF
vrrp_instance VI_GATEWAY {
    state $state
    interface eth1
    virtual_router_id 52
    priority $priority
    advert_int 1
    virtual_ipaddress {
        10.10.0.254
    }
}
vrrp_sync_group GATEWAY {
    group {
        VI_1
        VI_GATEWAY
    }
}
CONF
    cat <<CONF
virtual_server $VIP 80 {
    delay_loop $delay_loop
    lb_algo rr
    lb_kind $kind
    protocol TCP
$(for server in "$@"; do cat <<SERVER
    real_server $server 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 3
            nb_get_retry 3
            delay_before_retry 3
            connect_port 80
        }
    }
SERVER
done)
}
CONF
}

serves() { holds_vip "$1" && lists "$1" "$(hex "$first")" && lists "$1" "$(hex "$second")"; }
lacks_second() { ! lists "$1" "$(hex "$second")"; }
fetch() { on client curl -s --max-time 5 --local-port "$((port + 15000))-$((port + 19999))" "http://$VIP/"; }
alternate() { awk '$4 == last || $4 == "failed:" { print; bad = 1 } { last = $4 } END { exit bad || NR < 10 }' <(head -n 20 "/run/$1"); }
answered_since() { lines asked "$now" 999999999999 | grep -q "$1"; }
holding() { [ "$(grep -c . /run/held)" = 4 ]; }
# Their first and their last answer.
held() { cat /run/held; ! grep -q failed /run/held && [ "$(cut -d' ' -f3 /run/held | sort | uniq -c | awk '$1 == 2' | wc -l)" = 4 ]; }
# knows DIRECTOR PORT: its kernel has the four connections whose first port this is; the MASTER's tells it some time later.
knows() {
    local place conns=/proc/${anchors[$1]}/net/ip_vs_conn
    for place in 0 1 2 3; do grep " $(printf %04X $(($2 + place))) .* ESTABLISHED" "$conns" || { cat "$conns"; return 1; }; done
}
same_tables() { same <(table d1) <(table d2); }

# The MASTER is started again: its kernel still has what it left there, and it is MASTER when the other is not.
returns() {
    direct d1
    check "$kind: the MASTER is back, and the BACKUP listens again" eventually 60 has_role d2 "backup eth0 51"
    check "$kind: the address is not there any more" fails holds_vip d2
    check "$kind: the MASTER serves" eventually 10 serves d1
    check "$kind: and tells" eventually 10 has_role d1 "master eth0 51"
    check "$kind: the address that it left was taken away before" has /run/d1/log "removed $VIP/32 from eth0, left by an earlier run"
    # A connection that was begun by one director and not yet told to the other may be lost in the move, no other.
    clock; moved=$now
    check "$kind: it answers" eventually 10 answered_since first
    check "$kind: from both servers" eventually 10 answered_since second
    clock
    check "$kind: nothing failed that began since it serves" none_failed asked "$moved" "$now"
}

# scene KIND DELAY_LOOP PORT FIRST SECOND: the client's ports; addresses of the servers, whose hosts are called first and
# second.
scene() {
    local kind=$1 delay_loop=$2 port=$3 removed moved
    first=$4 second=$5
    tutorial "$kind" MASTER 100 "$first" "$second" >/run/d1/lvs.conf
    tutorial "$kind" BACKUP 90 "$first" "$second" >/run/d2/lvs.conf
    serve first 0.0.0.0:80
    serve second 0.0.0.0:80
    direct d1
    direct d2
    check "$kind: the MASTER serves" eventually 60 serves d1
    check "$kind: the BACKUP has the same table" eventually 30 same_tables
    check "$kind: the MASTER tells the BACKUP of connections" eventually 10 has_role d1 "master eth0 51"
    check "$kind: and the BACKUP listens" eventually 10 has_role d2 "backup eth0 51"
    check "$kind: both servers answer in turn" [ "$(for _ in 1 2 3 4; do fetch; done | sort | uniq -c | xargs)" = "2 first 2 second" ]

    client asked "$port" ask $VIP:80 10 1
    eventually 30 asked asked 20
    check "$kind: one connection after the other goes to the other server" alternate asked

    kill_server second
    check "$kind: a server that died is taken out" eventually 30 lacks_second d1
    clock; removed=$now
    echo "    $kind: out after $took ms: delay_loop $delay_loop s at most, and one retry after 3 s"
    check "$kind: in the time that its settings say" test $took -ge 2900 -a $took -le $((delay_loop * 1000 + 18000))
    serve second 0.0.0.0:80
    check "$kind: back again it is put in again" eventually 30 lists d1 "$(hex "$second")"
    echo "    $kind: in after $took ms: delay_loop $delay_loop s at most"
    check "$kind: and answers" eventually 10 answered_since second
    clock
    check "$kind: nothing failed since it was out" none_failed asked "$removed" "$now"
    check "$kind: the BACKUP has seen the same" eventually 30 same_tables

    client held $((port + 10000)) hold $VIP:80 4
    check "$kind: connections stay open" eventually 20 holding
    check "$kind: the BACKUP knows of them" eventually 20 knows d2 $((port + 10000))
    table d1 >/run/before
    kill_director d1
    # Once its processes alone, once the whole machine.
    [ "$kind" = DR ] || { ip link set d1.eth0 down; ip link set d1.eth1 down; }
    check "$kind: the MASTER dies, and the BACKUP serves" eventually 30 serves d2
    echo "    $kind: after $took ms"
    check "$kind: with the same table" same <(table d2) /run/before
    clock; moved=$now
    check "$kind: it tells of connections now" eventually 10 has_role d2 "master eth0 51"
    check "$kind: it answers" eventually 10 answered_since first
    check "$kind: from both servers" eventually 10 answered_since second
    clock
    check "$kind: nothing failed that began since" none_failed asked "$moved" "$now"
    [ "$kind" = NAT ] || returns
    enough asked
    enough held
    check "$kind: connections that were open have outlived it" held

    [ "$kind" = NAT ] || stop_director d1
    stop_director d2
    check "$kind: stopped, it leaves no table, no address and no daemon" fails left d2
    [ "$kind" = NAT ] || check "$kind: nor does the other" fails left d1
    kill_server first
    kill_server second
}
left() { local host; for host in "$@"; do table "$host" | grep . || role "$host" | grep . || holds_vip "$host" && return 0; done; return 1; }

network lan
network inside
host client; plug client eth0 lan 192.168.88.100/24
mkdir -p /run/d1 /run/d2
for number in 1 2; do
    host d$number
    plug d$number eth0 lan 192.168.88.$number/24
    plug d$number eth1 inside 10.10.0.$number/24
    sysctls d$number net.ipv4.ip_forward=1
done
host first; plug first eth0 lan 192.168.88.11/24
host second; plug second eth0 lan 192.168.88.12/24
for host in first second; do
    sysctls $host net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
    ip -n $host addr add $VIP/32 dev lo
done
scene DR 6 10000 192.168.88.11 192.168.88.12
for host in first second; do ip -n $host link del eth0; done
plug first eth0 inside 10.10.0.11/24
plug second eth0 inside 10.10.0.12/24
for host in first second; do ip -n $host route add default via 10.10.0.254; done
scene NAT 1 30000 10.10.0.11 10.10.0.12
[ $failed = 0 ] || for host in d1 d2; do echo "    the log of $host:"; grep -v gratuitous /run/$host/log | tail -n 60 | cut -c1-200; done
tear_down lan inside
