# A checker process that is killed, and one that is frozen: nothing of the table moves, clients notice nothing, nobody is
# told twice, and the next process goes on from there.
. "$here/scene.sh"

cat >/run/tell <<'TELL'
#!/bin/sh
echo "$@" >>/run/told
TELL
chmod 755 /run/tell

# real NAME ADDRESS PORT [OPTION]: a real server of the file.
real() {
    echo "    real_server $2 $3 {"
    [ -z "${4:-}" ] || echo "        $4"
    echo "        notify_up \"/run/tell $1 UP\""
    echo "        notify_down \"/run/tell $1 DOWN\""
    echo "        TCP_CHECK {"
    echo "            connect_port 80"
    echo "            connect_timeout 3"
    echo "            retry 0"
    echo "        }"
    echo "    }"
}
mkdir -p /run/d1
{
    cat <<CONF
global_defs {
    script_user root
}
virtual_server $VIP 80 {
    delay_loop 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    quorum_up "/run/tell web UP"
    quorum_down "/run/tell web DOWN"
CONF
    real first 192.168.88.11 80 alpha
    real second 192.168.88.12 80
    real third 192.168.88.13 80
    real fourth 192.168.88.14 80 inhibit_on_failure
    cat <<CONF
}
virtual_server $VIP 81 {
    delay_loop 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    sorry_server 192.168.88.11 81
    quorum_up "/run/tell other UP"
    quorum_down "/run/tell other DOWN"
CONF
    real other 192.168.88.13 81
    echo "}"
} >/run/d1/lvs.conf

one_director
serve first 0.0.0.0:80
serve second 0.0.0.0:80

told() { sort /run/told | uniq -c | awk '{ print $2, $3, $1 }' | xargs; }
tells() { told; [ "$(told)" = "$1" ]; }
checker() { cat /run/d1/checkers.pid; }
is_another() { [ -s /run/d1/checkers.pid ] && [ "$(checker)" != "$1" ]; }
activated() { [ "$(grep -c 'Activating healthchecker' /run/d1/log)" -ge "$1" ]; }
# stays TABLE COMMAND...: until the command succeeds, and some rounds of checks longer, the table is this.
stays() {
    local wanted=$1 limit looks=0 moved=0
    shift
    clock; limit=$((now + 60000))
    until "$@"; do
        shows d1 "$wanted" || moved=1
        looks=$((looks + 1))
        clock; [ "$now" -lt "$limit" ] || return 1
        sleep .02
    done
    clock; limit=$((now + 3000))
    while [ "$now" -lt "$limit" ]; do
        shows d1 "$wanted" || moved=1
        looks=$((looks + 1))
        sleep .02
        clock
    done
    echo "looked $looks times"
    [ $moved = 0 ] && [ $looks -ge 2 ]
}

direct d1
# Ports 80 and 81: two servers in, one out, one inhibited; and the sorry server in the place of the other's only one.
here_are=" 0050:rr 0B=1 0C=1 0E=0 0051:rr 0B=1"
check "servers that are down are out or inhibited" eventually 60 shows d1 "$here_are"
check "and everybody has been told" eventually 10 tells "first UP 1 fourth DOWN 1 other DOWN 2 other UP 1 third DOWN 1 web UP 1"
told_before=$(told)

client asked 10000 ask $VIP:80 20 4
eventually 30 asked asked 20
clock; begun=$now
old=$(checker)
kill -9 "$old"
check "a checker process that is killed: the table stays as it is" stays "$here_are" activated 10
check "there is another" is_another "$old"
clock
check "no client has noticed" none_failed asked "$begun" "$now"
check "nobody was told again" tells "$told_before"

serve third 0.0.0.0:80
there_are=" 0050:rr 0B=1 0C=1 0D=1 0E=0 0051:rr 0D=1"
check "the new process goes on: a server that returns is put in" eventually 20 shows d1 "$there_are"
kill_server second
there_are=" 0050:rr 0B=1 0D=1 0E=0 0051:rr 0D=1"
check "and one that dies is taken out" eventually 20 shows d1 "$there_are"
check "each is told once" eventually 10 tells "first UP 1 fourth DOWN 1 other DOWN 2 other UP 3 second DOWN 1 third DOWN 1 third UP 1 web UP 1"
told_before=$(told)

clock; begun=$now
old=$(checker)
kill -STOP "$old"
serve second 0.0.0.0:80
check "a checker process that is frozen is noticed" eventually 30 grep -q "process($old) does not answer: killing it" /run/d1/log
echo "    after $took ms"
check "until then the table stays as it is" shows d1 "$there_are"
there_are=" 0050:rr 0B=1 0C=1 0D=1 0E=0 0051:rr 0D=1"
check "the next one puts in what has returned meanwhile" eventually 30 shows d1 "$there_are"
check "and leaves the rest where it is" stays "$there_are" is_another "$old"
clock
check "no client has noticed" none_failed asked "$begun" "$now"
check "only what has changed is told" tells "${told_before/third/second UP 1 third}"
enough asked
stop_director d1
check "at the end the table is empty" [ -z "$(table d1)" ]
[ $failed = 0 ] || { echo "    its log:"; tail -n 80 /run/d1/log | cut -c1-200; cat /run/told; }
tear_down lan
