# 2,277 services with 37,205 servers: that it is all there; and numbers beside ipvsadm -R.
. "$here/exercise.sh"

python3 - >/run/large <<'RULES'
services, servers, made = 2277, 37205, 0
for number in range(services):
    vip = f"10.{200 + number // 65536}.{number // 256}.{number % 256}:80"
    print(f"-A -t {vip} -s wlc")
    share = (servers * (number + 1)) // services - made
    for server in range(share):
        print(f"-a -t {vip} -r 10.{server % 200}.{number // 256}.{number % 256 or 1}:80 -g -w {1 + server % 5}")
    made += share
RULES
# Each in a namespace of its own: what is removed stays in the kernel's trash for two minutes, and is searched there
# for every server that is added.
for space in first second; do ip netns add $space && ip -n $space link set lo up; done
lines() { ip netns exec "$1" ipvsadm -Sn | wc -l; }
complete() { [ "$(lines "$1")" = $((2277 + 37205)) ]; }
said=/run/said
milliseconds() { local start=${EPOCHREALTIME/./}; "$@"; took=$(((${EPOCHREALTIME/./} - start) / 1000)); }
from_file() { ip netns exec second ipvsadm -R </run/large 2>&1 | head; }

modprobe -a ip_vs ip_vs_wlc
start first
ask load /run/large
ask apply
made=$took
check "the large table is made" complete first
ask apply
again=$took
ask compare
compared=$took
check "nothing differs in a comparison" fails grep . $said
ask clear
ask apply
echo "    ours: made in $made ms, wanted again in $again ms, compared in $compared ms, removed in $took ms"
check "and nothing of it is left" [ "$(lines first)" = 0 ]
quit

milliseconds from_file
theirs=$took
check "ipvsadm -R makes it too" complete second
milliseconds ip netns exec second ipvsadm -C
echo "    ipvsadm: -R $theirs ms, -C $took ms"
