# The whole daemon with $SERVICES virtual servers and $SERVERS real servers (few by default; 2277 and 37205 are the
# largest that are known), each with a $CHECKER (TCP_CHECK, or none), beside Debian's keepalived: start, reload without
# and with changes, stop; numbers for both. Who is not idle after $BUSY_LIMIT seconds is not waited for. Each is started
# $STARTS times, in turns: whoever comes first in a machine that has run nothing yet pays for what is cold then.
services=${SERVICES:-50} servers=${SERVERS:-1000} checker=${CHECKER:-TCP_CHECK} busy_limit=${BUSY_LIMIT:-600}
starts=${STARTS:-2}

# A listener that every address of 127/8 leads to: all checks succeed. They are spread so far that few come at all.
config() { # WEIGHT: of every hundredth real server
    python3 - "$services" "$servers" "$1" "$checker" <<'CONF'
import sys
services, servers, weight = map(int, sys.argv[1:4])
checker = sys.argv[4]
made = 0
for number in range(services):
    print(f"virtual_server 10.{200 + number // 62500}.{number // 250 % 250}.{number % 250 + 1} 80 {{")
    print("    delay_loop 10000\n    lb_algo wlc\n    lb_kind DR\n    protocol TCP")
    until = servers * (number + 1) // services
    for server in range(made, until):
        print(f"    real_server 127.{2 + server // 65536}.{server // 256 % 256}.{server % 256} 80 {{")
        print(f"        weight {weight if server % 100 == 0 else 1}")
        if checker != "none":
            print(f"        {checker} {{\n            connect_port 8001\n            connect_timeout 3\n        }}")
        print("    }")
    made = until
    print("}")
CONF
}
config 1 >/run/same.conf
config 7 >/run/other.conf
last=10.$((200 + (services - 1) / 62500)).$(((services - 1) / 250 % 250)).$(((services - 1) % 250 + 1)):80
in_last=$((servers - servers * (services - 1) / services))
changed=$(((servers + 99) / 100))

modprobe -a ip_vs ip_vs_wlc
# Looking takes a tenth of a second of the one processor's time: less often, where there is much to wait for.
glance=.1
[ "$servers" -lt 5000 ] || glance=.5
now() { echo $((${EPOCHREALTIME/./} / 1000)); }
within() { ip netns exec "$name" "$@"; }
entries() { within ipvsadm -Sn | grep -c "^-a .* -w $1"; }
processes() { echo "$daemon" $(pgrep -P "$daemon"); }
# Milliseconds from $begun until it has nothing more to do: less than a twentieth of the processor for a second. Looking
# starts no process, which would take more of the processor than it is to measure.
exec {never}<> <(:)
busy() {
    local pids=$(processes) pid stat at=() used=() i
    for ((i = 0; ; i++)); do
        at[i]=$((${EPOCHREALTIME/./} / 1000 - begun)) used[i]=0
        for pid in $pids; do
            { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || continue
            stat=(${stat##*) })
            used[i]=$((used[i] + stat[11] + stat[12]))
        done
        if [ "$i" -ge 10 ] && [ $((used[i] - used[i - 10])) -le 5 ]; then
            echo "${at[i - 10]}"
            return
        elif [ "${at[i]}" -gt $((busy_limit * 1000)) ]; then
            echo ">$((busy_limit * 1000))"
            return
        fi
        read -rt .1 -u "$never"
    done
}
anonymous() { cat $(printf '/proc/%s/status ' $(processes)) | awk '/^RssAnon/ { if ($2 > most) most = $2 } END { print most }'; }
is_programmed() { [ "$(within ipvsadm -Ln -t "$last" 2>/dev/null | grep -c -- '-> 127')" = "$in_last" ]; }

# Until the machine has had nothing to do for a second: the kernel is still clearing away what was there before.
rest() {
    local before idle i
    read -r _ _ _ _ before _ </proc/stat
    for ((i = 0; i < 60; i++)); do
        read -rt 1 -u "$never"
        read -r _ _ _ _ idle _ </proc/stat
        [ $((idle - before)) -lt $((95 * $(nproc))) ] || return 0
        before=$idle
    done
}
declare -A programmed=() left=() program=([ours]=$KEEPALIVED_RS [theirs]=/usr/sbin/keepalived)

# begin NAME: starts a daemon and waits until the table is there. Its namespace is new: in one where servers were deleted
# lately the kernel looks through all of them for each that comes.
begin() {
    name=$1
    rest
    ip netns add "$name"
    ip -n "$name" link set lo up
    ip netns exec "$name" python3 -c '
import socket
server = socket.create_server(("", 8001), backlog=4096)
while True:
    server.accept()[0].close()' &
    listener=$!
    until within bash -c 'exec 3<>/dev/tcp/127.0.0.1/8001' 2>/dev/null; do sleep .1; done
    cp /run/same.conf /run/servers.conf
    begun=$(now)
    ip netns exec "$name" "${program[$name]}" -n -l -C -f /run/servers.conf -p "/run/$name.pid" -c "/run/$name.checkers.pid" >"/run/$name.log" 2>&1 &
    daemon=$!
    until is_programmed; do kill -0 $daemon || return; sleep $glance; done
    local took=$(($(now) - begun))
    programmed[$name]+=" $took"
    row "start until programmed, ms" "$took"
}
# finish: stops the daemon, and clears away what it has left.
finish() {
    begun=$(now)
    kill $daemon
    wait $daemon
    row "stop, ms" $(($(now) - begun))
    row "servers that the log says are shut down" "$(grep -c 'Shutting down service' "/run/$name.log")"
    left[$name]=$((${left[$name]:-0} + $(within ipvsadm -Sn | wc -l)))
    kill $listener
    wait $listener 2>/dev/null
    ip netns del "$name"
    row "entries left after all stops so far" "${left[$name]}"
}
# life NAME: one daemon from its start to its stop, and its numbers.
life() {
    begin "$1" || return
    row "start until idle, ms" "$(busy)"
    row "anonymous memory of the checker process, kB" "$(anonymous)"
    within ipvsadm -Sn | sort >"/run/$name.table"
    begun=$(now)
    kill -HUP $daemon
    row "reload without changes until idle, ms" "$(busy)"
    within ipvsadm -Sn | sort >"/run/$name.again"
    cp /run/other.conf /run/servers.conf
    begun=$(now)
    kill -HUP $daemon
    row "reload of a hundredth until idle, ms" "$(busy)"
    # What a reload has used may go back a little later.
    sleep 3
    row "anonymous memory after two reloads, kB" "$(anonymous)"
    edits=$(entries 7)
    finish
}
# middle NUMBER...
middle() { printf '%s\n' "$@" | sort -n | awk '{ all[NR] = $1 } END { print int((all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2) }'; }
# A number as soon as it is there: with many servers the next may take long.
row() { printf '    %-8s %-44s %8s\n' "$name" "$@"; }

echo "    $services services, $servers servers, CHECKER=$checker: ours and theirs (keepalived) in turns, $starts starts each, in a new"
echo "    network namespace each time; with reloads in the first life. Programmed is when the last service has its servers,"
echo "    which is looked for every $glance s."
life ours
check "the whole table of $services services and $servers servers is made" \
    [ "$(wc -l </run/ours.table)" = $((services + servers)) ]
check "a reload without changes changes nothing" same /run/ours.table /run/ours.again
check "a reload that changes one server of a hundred does" [ "$edits" = $changed ]
life theirs
check "keepalived's table is the same" same /run/ours.table /run/theirs.table
for ((start = 1; start < starts; start++)); do
    for name in ours theirs; do begin $name && finish; done
done
check "nothing is left when it has stopped" [ "${left[ours]}" = 0 ]
for name in ours theirs; do
    # shellcheck disable=SC2086
    row "start until programmed, middle of$(printf ' %s' ${programmed[$name]}), ms" "$(middle ${programmed[$name]})"
done
# shellcheck disable=SC2086
name=ratio row "of these middles" "$(awk -v ours="$(middle ${programmed[ours]})" -v theirs="$(middle ${programmed[theirs]})" \
    'BEGIN { printf "%.2f", ours / theirs }')"
