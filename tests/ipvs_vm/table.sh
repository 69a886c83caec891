# The table through sys::ipvs: everything that can be in one, against ipvsadm; takeover, repair, settings.
. "$here/exercise.sh"

# rules: one service for every scheduler, and every kind of service and server.
rules() {
    local host=0 scheduler
    for scheduler in rr wrr lc wlc lblc lblcr dh sh mh sed nq fo ovf; do
        host=$((host + 1))
        echo "-A -t 192.0.2.$host:80 -s $scheduler"
        echo "-a -t 192.0.2.$host:80 -r 10.0.0.1:80 -g -w 1"
        echo "-a -t 192.0.2.$host:80 -r 10.0.0.2:80 -g -w 2147483647"
    done
    cat <<'RULES'
-A -u 192.0.2.100:53 -s rr -o
-a -u 192.0.2.100:53 -r 10.0.0.1:5353 -m -w 3 -x 100 -y 50
-a -u 192.0.2.100:53 -r 10.0.0.2:53 -m -w 0
-A --sctp-service 192.0.2.100:5000 -s wlc
-a --sctp-service 192.0.2.100:5000 -r 10.0.0.1:5000 -m -w 1
-A -t 192.0.2.101:0 -s wlc -p 600 -M 255.255.255.0
-a -t 192.0.2.101:0 -r 10.0.0.1:0 -g -w 1
-A -u 192.0.2.102:5060 -s rr -o -p 60 --pe sip
-a -u 192.0.2.102:5060 -r 10.0.0.1:5060 -m -w 1
-A -t 192.0.2.103:80 -s sh -b sh-fallback,sh-port
-a -t 192.0.2.103:80 -r 10.0.0.1:80 -g -w 1
-A -t 192.0.2.104:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.104:80 -r 10.0.0.1:80 -g -w 1
-A -t 192.0.2.105:80 -s rr -b flag-1,flag-2,flag-3
-A -t [2001:db8::1]:443 -s rr -p 300 -M 64
-a -t [2001:db8::1]:443 -r [2001:db8::10]:443 -g -w 1
-a -t [2001:db8::1]:443 -r [2001:db8::11]:8443 -m -w 7
-A -u [2001:db8::1]:443 -s wrr
-a -u [2001:db8::1]:443 -r [2001:db8::10]:443 -i -w 1 --tun-type ipip
-A -f 100 -s rr
-a -f 100 -r 10.0.0.1:0 -g -w 1
-A -f 100 -6 -s wlc
-a -f 100 -6 -r [2001:db8::10]:0 -g -w 1
-A -f 4294967295 -s rr -p 50
-A -t 192.0.2.110:80 -s rr
-a -t 192.0.2.110:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
-a -t 192.0.2.110:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.110:80 -r 10.0.0.3:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t 192.0.2.110:80 -r 10.0.0.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 192.0.2.110:80 -r 10.0.0.5:80 -i -w 1 --tun-type gre --tun-nocsum
-a -t 192.0.2.110:80 -r 10.0.0.6:80 -i -w 1 --tun-type gre --tun-csum
-a -t 192.0.2.110:80 -r [2001:db8::10]:80 -i -w 1 --tun-type ipip
-A -t [2001:db8::2]:80 -s rr
-a -t [2001:db8::2]:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
RULES
}
rules >/run/rules
count=$(grep -c '^-A' /run/rules)

# Before anything has loaded the module: nothing may.
modprobe=$(cat /proc/sys/kernel/modprobe)
echo /bin/false >/proc/sys/kernel/modprobe
start
echo '-A -t 192.0.2.1:80 -s rr' >&"${EXERCISER[1]}"
check "without ip_vs there is one message" ask apply
check "it says what is missing" has $said "IPVS: Can't initialize ipvs: this kernel has no ip_vs, and /bin/false cannot load it; trying again"
ask apply
check "and says it once" fails grep -q . $said
echo "$modprobe" >/proc/sys/kernel/modprobe
check "when it can be loaded, it is" ask wait
ask apply
check "and everything is programmed" has <(ipvsadm -Sn) "-A -t 192.0.2.1:80 -s rr"
ask clear && ask apply

ask load /run/rules
check "every kind of service and server is programmed" ask apply
check "without a word" fails grep . $said
check "every service is there" [ "$(ipvsadm -Sn | grep -c '^-A')" = "$count" ]
dump /run/ours
ipvsadm -Sn | sort >/run/ours.rules
ipvsadm -Ln --thresholds | sort >/run/ours.thresholds
ask apply
dump /run/again
check "to want the same again changes nothing" same /run/ours /run/again

ask clear && ask apply
check "nothing of it is left when nothing is wanted" empty
quit
start
ipvsadm -R </run/rules
dump /run/theirs
check "ipvsadm with the same rules gives the same table" same /run/theirs /run/ours
check "it lists the same rules" same <(ipvsadm -Sn | sort) /run/ours.rules
check "and the same thresholds" same <(ipvsadm -Ln --thresholds | sort) /run/ours.thresholds

# Left over from somebody else, partly wrong.
ipvsadm -e -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 77
ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.99:80 -g -w 1
ipvsadm -E -t 192.0.2.2:80 -s rr -p 9
ipvsadm -D -t 192.0.2.3:80
ipvsadm -A -t 203.0.113.1:80 -s rr
ipvsadm -a -t 203.0.113.1:80 -r 10.0.0.1:80 -g -w 5
ask load /run/rules
ask apply
check "what was there before is taken over" has $said "IPVS: service [192.0.2.1]:tcp:80 was there already and is taken over"
check "and nothing fails" lacks $said error
dump /run/taken
grep 203.0.113.1 /run/taken >/run/strange
check "a stranger's service stays" [ "$(wc -l </run/strange)" = 2 ]
check "the rest is as it should be" same <(grep -v 203.0.113.1 /run/taken) /run/ours

# Behind our back.
ipvsadm -d -t 192.0.2.1:80 -r 10.0.0.1:80
ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.98:80 -g -w 1
ipvsadm -e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 3
ipvsadm -E -t 192.0.2.2:80 -s lc
ipvsadm -D -f 100 -6
ipvsadm -e -t 203.0.113.1:80 -r 10.0.0.1:80 -g -w 6
ask compare
cp $said /run/repaired
check "servers that somebody has changed are noticed" \
    has /run/repaired "service [192.0.2.1]:tcp:80 was changed by somebody else (servers: 1 missing, 1 changed, 1 added)"
check "so are settings" has /run/repaired "service [192.0.2.2]:tcp:80 was changed by somebody else (other settings)"
check "and a service that was removed" has /run/repaired "service FWM 100 was removed by somebody else"
dump /run/taken
check "all of it is repaired" same <(grep -v 203.0.113.1 /run/taken) /run/ours
check "a stranger's change is not" has <(ipvsadm -Sn) "203.0.113.1:80 -r 10.0.0.1:80 -g -w 6"
ipvsadm -D -t 192.0.2.5:80
echo '-A -t 192.0.2.5:80 -s rr' >&"${EXERCISER[1]}"
ask apply
check "a change meets a service that somebody has removed" has <(ipvsadm -Sn) "-A -t 192.0.2.5:80 -s rr"
ask flush
check "a flush takes everything" empty

# Settings.
timeouts() { ipvsadm -L --timeout; }
ipvsadm --set 901 121 301
ask timeouts 1200 - 250
check "timeouts that are wanted are set, others stay" has <(timeouts) "1200 121 250"
ip link add d0 type dummy
ip addr add 10.9.9.1/24 dev d0
ip link set d0 up
ask daemon both d0 77
ipvsadm -L --daemon >/run/daemons
check "the sync daemon that tells runs" has /run/daemons "master sync daemon (mcast=d0, syncid=77, maxlen=1400, group=224.0.0.90, port=8849, ttl=7)"
check "so does the one that listens" has /run/daemons "backup sync daemon (mcast=d0, syncid=77"
ask daemon backup d0 78
ask daemon master d0 79
ask daemon backup d0 80
ask compare
check "daemons follow many changes in a row" same <(ipvsadm -L --daemon | grep -o 'backup.*syncid=[0-9]*\|master.*syncid=[0-9]*') <(echo "backup sync daemon (mcast=d0, syncid=80")
ipvsadm --stop-daemon backup
ask compare
check "one that somebody has stopped runs again" has <(ipvsadm -L --daemon) "backup sync daemon (mcast=d0, syncid=80"
ask daemon master nosuch0 1
check "one that cannot be started is said" has $said "IPVS cmd IP_VS_SO_SET_STARTDAEMON(1163) error: No such device(19)"
ask daemon master d0 81
echo '-A -t 192.0.2.1:80 -s none-such' >&"${EXERCISER[1]}"
ask clear
echo '-A -t 192.0.2.1:80 -s none-such' >&"${EXERCISER[1]}"
echo '-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1' >&"${EXERCISER[1]}"
ask apply
check "an unknown scheduler is said in keepalived's words" \
    has $said "IPVS cmd IP_VS_SO_SET_ADD(1154) error: Scheduler or persistence engine not found(2) (192.0.2.1:tcp:80)"
ask clear
echo '-A -t 192.0.2.1:80 -s rr' >&"${EXERCISER[1]}"
echo '-a -t 192.0.2.1:80 -r 224.0.0.1:80 -g -w 1' >&"${EXERCISER[1]}"
echo '-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1' >&"${EXERCISER[1]}"
ask apply
check "a server that is refused does not hold back the others" has <(ipvsadm -Sn) "-r 10.0.0.1:80"
check "and is said" has $said "(192.0.2.1:tcp:80 -> 224.0.0.1:80)"
ask clear && ask apply
quit
check "at the end the timeouts are as they were" has <(timeouts) "901 121 301"
check "and no sync daemon runs" [ -z "$(ipvsadm -L --daemon)" ]
check "and the table is empty" empty

# Counters and connections outlive changes of what they belong to.
ip netns add client
ip link add c0 type veth peer name c1 netns client
ip addr add 10.8.0.1/24 dev c0
ip link set c0 up
ip -n client addr add 10.8.0.2/24 dev c1
ip -n client link set c1 up
python3 -c '
import socket
s = socket.create_server(("10.8.0.1", 9001))
while True:
    c, _ = s.accept(); c.sendall(b"x"); c.close()' &
server=$!
start
echo '-A -t 10.8.0.1:80 -s rr' >&"${EXERCISER[1]}"
echo '-a -t 10.8.0.1:80 -r 10.8.0.1:9001 -m -w 1' >&"${EXERCISER[1]}"
ask apply
connect() {
    ip netns exec client python3 -c '
import socket, time
end = time.monotonic() + 60
while True:
    try:
        c = socket.create_connection(("10.8.0.1", 80), 5)
        assert c.recv(1) == b"x"
        break
    except OSError:
        if time.monotonic() > end: raise
        time.sleep(0.2)'
}
check "a connection goes through" connect
connections() { ipvsadm -Ln --stats | awk '/->.*9001/ { print $3 }'; }
before=$(connections)
# A try that the client has given up may still arrive on a slow machine, and the kernel sums up every two seconds: count
# when no more come.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 3
    now=$(connections)
    [ "${now:-0}" = 0 ] || [ "$now" != "$before" ] || break
    before=$now
done
echo '-A -t 10.8.0.1:80 -s wlc -p 30' >&"${EXERCISER[1]}"
echo '-a -t 10.8.0.1:80 -r 10.8.0.1:9001 -m -w 9' >&"${EXERCISER[1]}"
ask apply
check "a service with other settings and weights is an edited one" has <(ipvsadm -Sn) "10.8.0.1:9001 -m -w 9"
check "and keeps its counters" test "${before:-0}" -ge 1 -a "$(connections)" = "${before:-0}"
kill $server
ask clear && ask apply
quit

# Another network namespace has a table of its own.
ip netns add other
ip -n other link set lo up
start other
ask load /run/rules && ask apply
check "a namespace has a table of its own" [ "$(ip netns exec other ipvsadm -Sn | grep -c '^-A')" = "$count" ]
check "and ours is empty" empty
ask flush
quit
