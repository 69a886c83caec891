# What the daemon sets beside services and leaves at its end: timeouts, sync daemons of no instance, persistence engines,
# the services of others. Beside Debian's keepalived, each in a network namespace of its own.
modprobe ip_vs
modprobe ip_vs_pe_sip 2>/dev/null
inside() { local space=$1; shift; ip netns exec "$space" "$@"; }
state() { # SPACE
    inside "$1" ipvsadm -Sn | sort
    inside "$1" ipvsadm -L --timeout
    inside "$1" ipvsadm -L --daemon | sort
}
# both COMMAND...: state of both, equal, and as the command wants it.
both() {
    state ours >/run/state.ours
    state theirs >/run/state.theirs
    diff /run/state.ours /run/state.theirs && "$@" /run/state.ours
}
serves() { grep -q '^-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip' "$1" && grep -q 'udp): 700 60 90' "$1" && grep -q '^master.*syncid=5' "$1" && grep -q '^backup.*syncid=5' "$1"; }
serves_with_foreign() { serves "$1" && foreign "$1"; }
serves_alone() { serves "$1" && ! foreign "$1"; }
foreign() { grep -q '^-a -t 192.0.2.200:80 ' "$1"; }
only_foreign() { foreign "$1" && [ "$(grep -c '^-' "$1")" = 2 ] && unset_again "$1"; }
nothing() { ! grep '^-' "$1" && unset_again "$1"; }
left_alone() { grep -q '^-A -u 192.0.2.1:5060' "$1" && foreign "$1"; }
unset_again() { grep -q "udp): $usual" "$1" && ! grep 'sync daemon' "$1"; }
soon() { # COMMAND...: within a while
    local tries=30
    until "$@" >/run/tried 2>&1; do
        [ $((tries -= 1)) -gt 0 ] || { cat /run/tried /run/state.ours; return 1; }
        sleep .5
    done
}
# ending NAME LINES OPTIONS AFTER-START AFTER-STOP
ending() {
    local space
    cat >/run/ends.conf <<CONF
global_defs {
    lvs_timeouts tcp 700 tcpfin 60 udp 90
    lvs_sync_daemon d0 id 5 maxlen 1400 port 8850 ttl 3 group 224.0.0.90
    $2
}
virtual_server 192.0.2.1 5060 {
    lb_algo rr
    lb_kind NAT
    protocol UDP
    persistence_timeout 60
    persistence_engine sip
    real_server 192.0.2.11 5060 {
    }
    real_server 192.0.2.12 5060 {
        weight 3
    }
}
CONF
    for space in ours theirs; do
        ip netns add $space
        ip -n $space link set lo up
        ip -n $space link add d0 type dummy
        ip -n $space addr add 192.0.2.7/24 dev d0
        ip -n $space link set d0 up
        inside $space ipvsadm -A -t 192.0.2.200:80 -s rr
        inside $space ipvsadm -a -t 192.0.2.200:80 -r 192.0.2.201 -m
    done
    usual=$(inside ours ipvsadm -L --timeout | sed 's/.*udp): //')
    # shellcheck disable=SC2086
    nsenter --net=/run/netns/ours "$KEEPALIVED_RS" -n -l -D -C -f /run/ends.conf -p /run/o.pid -c /run/oc.pid -r /run/or.pid -b /run/ob.pid $3 >/run/o.log 2>&1 &
    local ours=$!
    # shellcheck disable=SC2086
    nsenter --net=/run/netns/theirs /usr/sbin/keepalived -n -l -D -C -f /run/ends.conf -p /run/t.pid -c /run/tc.pid -r /run/tr.pid -b /run/tb.pid $3 >/run/t.log 2>&1 &
    local theirs=$!
    check "$1: both set the same" soon both "$4"
    [ $failed = 0 ] || tail -n 40 /run/o.log /run/t.log | cut -c1-200
    kill $ours $theirs
    wait $ours $theirs
    check "$1: both leave the same" both "$5"
    ip netns del ours
    ip netns del theirs
}
ending "an ordinary end" "" "" serves_with_foreign only_foreign
ending "lvs_flush_onstop VS" "lvs_flush_onstop VS" "" serves_with_foreign only_foreign
ending "lvs_flush, lvs_flush_onstop" "$(printf 'lvs_flush\n    lvs_flush_onstop')" "" serves_alone nothing
ending "--dont-release-ipvs" "" "-I" serves_with_foreign left_alone
