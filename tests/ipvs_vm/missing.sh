# A kernel without ip_vs, for the whole daemon: one clear message, tries that become rarer, VRRP as if nothing were amiss,
# and everything programmed once the module can be had. Before any part that loads the module.
check "ip_vs is not loaded yet" [ ! -d /sys/module/ip_vs ]
ip link add m0 type veth peer name m1
ip link set m0 up
ip link set m1 up
ip addr add 192.0.2.1/24 dev m0
modprobe=$(cat /proc/sys/kernel/modprobe)
# The kernel's helper is told of each try; the module stays where it is.
cat >/run/no-module <<'TRY'
#!/bin/sh
read -r up _ </proc/uptime
case $* in *" ip_vs") echo "$up" >>/run/tries ;; esac
exit 1
TRY
chmod 755 /run/no-module
: >/run/tries
echo /run/no-module >/proc/sys/kernel/modprobe
mkdir -p /run/missing
cat >/run/missing/lvs.conf <<'CONF'
vrrp_instance VI_1 {
    interface m0
    virtual_router_id 51
    priority 150
    advert_int 0.5
    version 3
    virtual_ipaddress {
        192.0.2.250/24
    }
}
virtual_server 192.0.2.250 80 {
    delay_loop 1
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 192.0.2.1 80 {
        TCP_CHECK {
            retry 0
        }
    }
    real_server 192.0.2.2 80 {
    }
}
CONF
log=/run/missing/log
"$KEEPALIVED_RS" -n -l -D -f /run/missing/lvs.conf -p /run/missing/all.pid -r /run/missing/vrrp.pid \
    -c /run/missing/checkers.pid -b /run/missing/bfd.pid >$log 2>&1 &
daemon=$!
within() { # SECONDS COMMAND...
    local limit=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt $limit ] || return 1; sleep .1; done
}
holds() { ip -4 addr show dev m0 | grep -qF 192.0.2.250; }
tried() { [ "$(wc -l </run/tries)" -ge "$1" ]; }
# Pauses of 1, 2 and 4 s, or longer on a slow machine; how fast the helper starts makes them uneven.
rarer() { awk 'NR > 1 { print $1 - last; if ($1 - last < 2 ^ (NR - 2) / 2) bad = 1 } { last = $1 } END { exit bad || NR < 4 }' /run/tries; }
adverts() { ip -s -j link show dev m0 | sed 's/.*"tx":{"bytes":[0-9]*,"packets":\([0-9]*\).*/\1/'; }
check "without ip_vs the daemon says so" within 60 grep -qF "IPVS: Can't initialize ipvs: this kernel has no ip_vs, and /run/no-module cannot load it; trying again" $log
check "and that it has started" within 30 grep -qF "Startup complete" $log
check "VRRP serves" within 30 holds
before=$(adverts) checker=$(cat /run/missing/checkers.pid)
check "it tries again, and again" within 60 tried 4
check "later each time" rarer
advertises() { [ $(($(adverts) - before)) -ge 8 ]; }
check "adverts go out meanwhile" within 30 advertises
check "the checks go on" within 20 grep -qF "Removing service [192.0.2.1]:tcp:80" $log
check "by the same process" [ "$(cat /run/missing/checkers.pid)" = "$checker" ]
check "it is said once" [ "$(grep -c "Can't initialize ipvs" $log)" = 1 ]
echo "$modprobe" >/proc/sys/kernel/modprobe
programmed() { ipvsadm -Sn 2>/dev/null | grep -q '^-a -t 192.0.2.250:80 -r 192.0.2.2:80 -g -w 1$'; }
loaded() { [ -d /sys/module/ip_vs ]; }
check "when it can be loaded, it is" within 60 loaded
check "and everything is programmed" within 10 programmed
check "as the checks have found it" [ "$(ipvsadm -Sn | wc -l)" = 2 ]
kill $daemon
wait $daemon
check "nothing is left at the end" empty
[ $failed = 0 ] || { echo "    its log:"; tail -n 60 $log | cut -c1-200; cat /run/tries; }
ip link del m0
# The next part wants to see it loaded, too.
for _ in 1 2 3; do modprobe -r $(cd /sys/module && ls -d ip_vs_* 2>/dev/null) ip_vs 2>/dev/null && break; sleep 1; done
check "the module can be unloaded again" [ ! -d /sys/module/ip_vs ]
