# The whole daemon beside Debian's keepalived: one story, told to both; after each step the tables must be the same.
for host in 1 2 3 9; do ip addr add 10.7.0.$host/32 dev lo; done
modprobe ip_vs

# server HOST: a real server that accepts connections.
declare -A servers
server() {
    python3 -c '
import socket, sys
s = socket.create_server((sys.argv[1], 8001), backlog=64)
while True:
    s.accept()[0].close()' "10.7.0.$1" &
    servers[$1]=$!
}
# fails HOST: nobody listens any more.
down() { kill -9 "${servers[$1]}"; wait "${servers[$1]}" 2>/dev/null; }
listening() { (exec 3<>"/dev/tcp/10.7.0.$1/8001") 2>/dev/null; }
up() {
    local host
    for host in "$@"; do server "$host"; done
    for host in "$@"; do until listening "$host"; do sleep .2; done; done
}

cat >/run/first.conf <<'CONF'
virtual_server_group web {
    10.8.1.1-3 80
    10.8.2.1 8080
    fwmark 9
}
virtual_server 10.8.0.1 80 {
    delay_loop 1
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    sorry_server 10.7.0.9 8001
    real_server 10.7.0.1 8001 {
        weight 3
        TCP_CHECK {
            connect_timeout 2
            retry 0
        }
    }
    real_server 10.7.0.2 8001 {
        weight 2
        TCP_CHECK {
            connect_timeout 2
            retry 0
        }
    }
}
virtual_server fwmark 7 {
    delay_loop 1
    lb_algo wlc
    lb_kind DR
    persistence_timeout 60
    persistence_granularity 255.255.255.0
    real_server 10.7.0.1 {
        weight 5
        inhibit_on_failure
        uthreshold 100
        lthreshold 50
        TCP_CHECK {
            connect_port 8001
            connect_timeout 2
            retry 0
        }
    }
    real_server 10.7.0.3 {
        TCP_CHECK {
            connect_port 8001
            connect_timeout 2
            retry 0
        }
    }
}
virtual_server group web {
    delay_loop 1
    lb_algo sh
    lb_kind DR
    sh-port
    sh-fallback
    protocol TCP
    quorum 2
    hysteresis 1
    real_server 10.7.0.1 80 {
        TCP_CHECK {
            connect_port 8001
            connect_timeout 2
            retry 0
        }
    }
    real_server 10.7.0.2 80 {
        weight 2
        TCP_CHECK {
            connect_port 8001
            connect_timeout 2
            retry 0
        }
    }
}
virtual_server 10.8.0.2 53 {
    lb_algo rr
    lb_kind TUN
    ops
    protocol UDP
    real_server 10.7.0.1 53 {
    }
    real_server 10.7.0.2 53 {
        lvs_method TUN type gue port 6080 csum
    }
}
virtual_server 2001:db8::1 443 {
    lb_algo mh
    lb_kind DR
    mh-port
    protocol TCP
    persistence_timeout 300
    persistence_granularity 64
    real_server 2001:db8::10 443 {
        weight 7
    }
}
CONF
# Another weight, scheduler, persistence and method; a server, a service and a group entry that go, others that come.
sed -e '0,/weight 3/s//weight 30/' -e 's/lb_algo wlc/lb_algo lc/' -e 's/persistence_timeout 60/persistence_timeout 90/' \
    -e 's/10.8.1.1-3 80/10.8.1.2-4 80/' -e 's/2001:db8::1 443/2001:db8::2 443/' \
    -e 's/real_server 10.7.0.2 53/real_server 10.7.0.3 53/' /run/first.conf >/run/second.conf

table() { ipvsadm -Sn; ipvsadm -Ln --thresholds | grep -F -- '->' | sort; }
# settle FILE: waits until the table has been the same for a while, longer than any check takes, and keeps it there.
settle() {
    local same=0
    table >"$1"
    while [ $same -lt 10 ]; do
        sleep .5
        table >/run/now
        if cmp -s /run/now "$1"; then same=$((same + 1)); else same=0; cp /run/now "$1"; fi
    done
}

# story NAME PROGRAM: what the table is after each step, in /run/NAME.STEP.
story() {
    local name=$1 program=$2 daemon
    up 1 2 3 9
    cp /run/first.conf /run/lvs.conf
    "$program" -n -l -D -C -f /run/lvs.conf -p /run/lvs.pid -c /run/lvs.checkers.pid >"/run/$name.log" 2>&1 &
    daemon=$!
    settle "/run/$name.start"
    down 1
    settle "/run/$name.one-down"
    down 2
    down 3
    settle "/run/$name.all-down"
    kill -HUP $daemon
    settle "/run/$name.reload-unchanged-while-down"
    up 2
    settle "/run/$name.one-back"
    up 1 3
    settle "/run/$name.all-back"
    cp /run/second.conf /run/lvs.conf
    kill -HUP $daemon
    settle "/run/$name.reload-changed"
    down 1
    settle "/run/$name.one-down-again"
    kill $daemon
    wait $daemon
    table >"/run/$name.stop"
    down 2
    down 3
    down 9
    ipvsadm -C
}

story theirs /usr/sbin/keepalived
story ours "$KEEPALIVED_RS"
# keepalived 2.2.7 takes the servers out of a group's entry that a reload removes, and leaves its service.
sed -i '/^-A -t 10.8.1.1:80 /d' /run/theirs.reload-changed /run/theirs.one-down-again
for step in start one-down all-down reload-unchanged-while-down one-back all-back reload-changed one-down-again; do
    check "the same table as keepalived's: $step" same /run/theirs.$step /run/ours.$step
done
check "something is in the table at the start" [ "$(grep -c '^-' /run/ours.start)" -ge 20 ]
check "the reload has changed it" fails cmp -s /run/ours.all-back /run/ours.reload-changed
check "nothing is left at the end" fails grep '^-' /run/ours.stop
[ $failed = 0 ] || { echo "    its log:"; tail -n 80 /run/ours.log | cut -c1-200; echo "    theirs:"; tail -n 60 /run/theirs.log | cut -c1-200; }
