# Reloads that add, remove and change servers while a client connects all the time: no connection to a server that stays
# may fail. IPVS_RELOADS says how many (8), IPVS_RATE how many connections a second are tried (50): 100 and 200 are for
# machines that emulate as fast.
. "$here/scene.sh"
reloads=${IPVS_RELOADS:-8} rate=${IPVS_RATE:-50}

real() { # ADDRESS WEIGHT PORT
    cat <<CONF
    real_server 192.168.88.$1 $3 {
        weight $2
        TCP_CHECK {
            connect_port 80
            connect_timeout 3
        }
    }
CONF
}
service() { # PORT SCHEDULER
    printf '%s\n' "virtual_server $VIP $1 {" "    delay_loop 2" "    lb_algo $2" "    lb_kind DR" "    protocol TCP"
}
# variant NUMBER: the file, and in $wanted the table that it stands for. The first two servers are in all of them. The
# scheduler of the service with traffic stays: to change it the kernel takes the old one away first, and refuses
# connections until it has the new one.
variant() {
    case $(($1 % 4)) in
    0) wanted=" 0050:wrr 0B=1 0C=1 0D=1" ;;
    1) wanted=" 0050:wrr 0B=1 0C=1 0E=1" ;;
    2) wanted=" 0050:wrr 0B=1 0C=1 0D=2 0E=1 0051:rr 0E=1" ;;
    3) wanted=" 0050:wrr 0B=1 0C=1 0D=3 0051:wlc 0D=1" ;;
    esac
    {
        service 80 wrr
        real 11 1 80
        real 12 1 80
        case $(($1 % 4)) in
        0) real 13 1 80 ;;
        1) real 14 1 80 ;;
        2) real 13 2 80; real 14 1 80; echo "}"; service 81 rr; real 14 1 81 ;;
        3) real 13 3 80; echo "}"; service 81 wlc; real 13 1 81 ;;
        esac
        echo "}"
    } >/run/d1/lvs.conf
}

# blame: which server the connections that failed had, a line each: it has accepted them; or else the kernel knows which it
# is (but its list is not all there is, while it changes); else `nobody`.
blame() {
    local start took port answer server
    grep -h failed /run/asked >/run/failures
    while read -r start took port answer; do
        server=$(awk -v from="$start" -v to="$((start + took))" -v port="$port" '
            $2 == port && $1 >= from && $1 <= to { sub(".*/peers.", "", FILENAME); print FILENAME; exit }' /run/peers.*)
        [ -n "$server" ] || server=$(known "$port")
        echo "${server:-nobody} $start $took $port $answer"
    done </run/failures >/run/blamed
}
# known PORT: the server of a client's port, as the kernel knew it after the reload that followed.
declare -A seen_by_kernel=()
known() { echo "${seen_by_kernel[$1]:-}"; }
remember() {
    local port server
    while read -r port; do
        [ -z "${seen_by_kernel[$port]+asked}" ] || continue
        server=$(awk -v port="$(printf %04X "$port")" '$3 == port { print $6; exit }' "/proc/${anchors[d1]}/net/ip_vs_conn")
        case $server in
        C0A8580B) server=first ;;
        C0A8580C) server=second ;;
        C0A8580D) server=third ;;
        C0A8580E) server=fourth ;;
        esac
        seen_by_kernel[$port]=$server
    done < <(awk '/failed/ { print $3 }' /run/asked)
}
stayed() { ! grep -v '^third \|^fourth ' /run/blamed; }
# Connections that were kept open to a server that stays.
kept() { awk '$4 == "failed:" { if (who[$3] == "" || who[$3] ~ /first|second/) { print; bad = 1 } next } { who[$3] = $4 } END { exit bad }' /run/held; }
counted() { on d1 ipvsadm -Ln --stats --exact | awk -v server="$1:80" '$2 == server { print $3; exit }'; }
counts() { local has; has=$(grep -c " $2\$" /run/asked); echo "counted $(counted "$1"), answered $has"; [ "$(counted "$1")" -ge "$has" ]; }

one_director
: >/run/blamed
rm -f /run/peers.*
for host in first second third fourth; do serve $host 0.0.0.0:80; done
variant 0
direct d1
check "the first table is there" eventually 60 shows d1 "$wanted"
client asked 10000 ask $VIP:80 "$rate" 16
client held 60000 hold $VIP:80 6
eventually 30 asked asked 50
clock; begun=$now
missed=0
for number in $(seq "$reloads"); do
    variant "$number"
    kill -HUP "${directors[d1]}"
    eventually 30 shows d1 "$wanted" || { missed=$((missed + 1)); cat /run/tried; echo "    wanted: $wanted"; }
    remember
done
clock; took=$((now - begun))
check "$reloads reloads, and each has the table that it says" [ $missed = 0 ]
count=$(lines asked "$begun" "$now" | wc -l)
echo "    $reloads reloads in $took ms; $((count * 1000 / took)) connections/s ($count); longest $(lines asked "$begun" "$now" | awk '$2 > most { most = $2 } END { print most + 0 }') ms"
enough asked
enough held
blame
check "no connection to a server that stays has failed" stayed
echo "    to servers that were removed: $(grep -c '^third \|^fourth ' /run/blamed) failed"
check "nor one that was kept open" kept
# The kernel sums up what its processors have counted every two seconds.
check "the first server has kept its counters" eventually 30 counts 192.168.88.11 first
check "so has the second" eventually 30 counts 192.168.88.12 second
check "there was traffic" [ "$count" -ge $((took / 1000 * 10)) ]
stop_director d1
check "at the end the table is empty" [ -z "$(table d1)" ]
[ $failed = 0 ] || { head -20 /run/blamed; echo "    its log:"; tail -n 80 /run/d1/log | cut -c1-200; }
tear_down lan
