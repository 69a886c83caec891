# A LAN of network namespaces for the scenes: the client, directors and real servers. Sourced by the parts that need it.
VIP=192.168.88.250
modprobe ip_vs

# Milliseconds since the machine started, in $now; as the clients count them.
clock() { local up; read -r up _ </proc/uptime; now=$((10#${up/./} * 10)); }

# eventually SECONDS COMMAND...: until the command succeeds; how long that took is in $took (milliseconds).
eventually() {
    local limit=$(($1 * 1000)) start
    shift
    clock; start=$now
    until "$@" >/run/tried 2>&1; do
        clock
        [ $((now - start)) -lt $limit ] || { cat /run/tried; return 1; }
        sleep .05
    done
    clock; took=$((now - start))
}

# network NAME: a switch.
network() { ip link add "$1" type bridge mcast_snooping 0 && ip link set "$1" up; }

declare -A anchors=()
# host NAME: a host without interfaces. Its /proc/net is that of the process that keeps it.
host() {
    # Another part may have had one of this name.
    ip netns del "$1" 2>/dev/null
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip netns exec "$1" sleep infinity &
    anchors[$1]=$!
}
# plug HOST INTERFACE NETWORK ADDRESS/LENGTH
plug() {
    ip link add "$1.$2" type veth peer name "$2" netns "$1"
    ip link set "$1.$2" master "$3" up
    ip -n "$1" addr add "$4" dev "$2"
    ip -n "$1" link set "$2" up
}
on() { local host=$1; shift; nsenter --net="/run/netns/$host" "$@"; }
sysctls() { local host=$1; shift; ip netns exec "$host" sysctl -qw "$@"; }

# Everything ends, and the next scene begins anew.
tear_down() {
    local host
    for host in "${!directors[@]}"; do kill_director "$host"; done
    for host in "${!servers[@]}"; do kill_server "$host"; done
    for host in "${!anchors[@]}"; do kill "${anchors[$host]}"; ip netns del "$host"; done
    for host in "$@"; do ip link del "$host"; done
    anchors=()
}

# ---- real servers ----

declare -A servers=()
# serve HOST ADDRESS: a web server that answers with the host's name. Whose connections came to it is in /run/peers.HOST.
serve() {
    nsenter --net="/run/netns/$1" "$IPVS_TRAFFIC" serve "$2" "$1" >>"/run/peers.$1" &
    servers[$1]=$!
}
kill_server() { kill -9 "${servers[$1]}"; wait "${servers[$1]}" 2>/dev/null; unset "servers[$1]"; }

# ---- directors ----

declare -A directors=()
# direct HOST: our daemon, with /run/HOST/lvs.conf; its log is added to /run/HOST/log.
direct() {
    mkdir -p "/run/$1"
    nsenter --net="/run/netns/$1" "$KEEPALIVED_RS" -n -l -D -f "/run/$1/lvs.conf" -p "/run/$1/all.pid" \
        -r "/run/$1/vrrp.pid" -c "/run/$1/checkers.pid" \
        -b "/run/$1/bfd.pid" >>"/run/$1/log" 2>&1 &
    directors[$1]=$!
}
# Its processes, none of which can act on the death of another.
kill_director() {
    local all
    all=$(family "${directors[$1]}")
    # shellcheck disable=SC2086
    { kill -STOP $all; kill -KILL $all; } 2>/dev/null
    wait "${directors[$1]}" 2>/dev/null
    unset "directors[$1]"
}
stop_director() { kill "${directors[$1]}"; wait "${directors[$1]}"; unset "directors[$1]"; }
family() { echo "$1"; local child; for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do family "$child"; done; }

# One director that has the address, and four real servers beside it, 192.168.88.11 to 14.
one_director() {
    local number=11 host
    network lan
    host client; plug client eth0 lan 192.168.88.100/24
    mkdir -p /run/d1
    host d1; plug d1 eth0 lan 192.168.88.1/24
    ip -n d1 addr add $VIP/32 dev eth0
    for host in first second third fourth; do
        host $host
        plug $host eth0 lan 192.168.88.$number/24
        sysctls $host net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
        ip -n $host addr add $VIP/32 dev lo
        number=$((number + 1))
    done
}

# table HOST: as ipvsadm prints it.
table() { on "$1" ipvsadm -Sn; }
# lists HOST HEX: the kernel's table there has this address, as /proc prints it; without starting a program.
lists() {
    local line
    while read -r line; do [[ $line != *"$2"* ]] || return 0; done <"/proc/${anchors[$1]}/net/ip_vs"
    return 1
}
# look HOST: the table without its counters, in $seen: ports with schedulers, last bytes of addresses with weights. Starts
# no program.
look() {
    local arrow address method weight rest port='' server
    local -A weights=()
    while read -r arrow address method weight rest; do
        case $arrow in
        # The heading comes first, without a port.
        TCP) port=${address#*:}; weights[$port]=$method ;;
        '->') weights[$port${address:6:2}]=$weight ;;
        esac
    done <"/proc/${anchors[$1]}/net/ip_vs"
    seen=
    for port in 0050 0051; do
        [ -z "${weights[$port]:-}" ] || seen+=" $port:${weights[$port]}"
        for server in 0B 0C 0D 0E; do
            [ -z "${weights[$port$server]:-}" ] || seen+=" $server=${weights[$port$server]}"
        done
    done
}
# shows HOST TABLE
shows() { look "$1"; echo "$seen"; [ "$seen" = "$2" ]; }
hex() { local IFS=.; printf %02X $1; }
holds_vip() { ip -n "$1" addr show | grep -qF "inet $VIP"; }
# role HOST: of its sync daemons, with the id.
role() { on "$1" ipvsadm -L --daemon | sed -n 's/^\([a-z]*\) sync daemon (mcast=\([a-z0-9]*\), syncid=\([0-9]*\).*/\1 \2 \3/p'; }
has_role() { [ "$(role "$1")" = "$2" ]; }

# ---- clients ----

declare -A clients=()
# client NAME PORT COMMAND...: a client with ports from there up, until `enough NAME`; its lines are in /run/NAME.
client() {
    local name=$1 port=$2
    shift 2
    rm -f "/run/$name.enough"
    nsenter --net=/run/netns/client "$IPVS_TRAFFIC" "$@" "/run/$name.enough" "$port" >"/run/$name" &
    clients[$name]=$!
}
enough() { : >"/run/$1.enough"; wait "${clients[$1]}"; }
# lines NAME FROM TO: requests that began then.
lines() { awk -v from="$2" -v to="$3" '$1 >= from && $1 <= to' "/run/$1"; }
none_failed() { ! lines "$@" | grep failed; }
asked() { [ "$(grep -c . "/run/$1")" -ge "$2" ]; }
