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
complete() { [ "$(ipvsadm -Sn | wc -l)" = $((2277 + 37205)) ]; }
said=/run/said
milliseconds() { local start=${EPOCHREALTIME/./}; "$@"; took=$(((${EPOCHREALTIME/./} - start) / 1000)); }

modprobe ip_vs ip_vs_wlc
ipvsadm -C
from_file() { ipvsadm -R </run/large; }
milliseconds from_file
theirs=$took
check "ipvsadm -R makes the large table" complete
milliseconds ipvsadm -C
echo "    ipvsadm: -R $theirs ms, -C $took ms"

start
ask load /run/large
ask apply
ours=$took
check "ours makes it too" complete
ask apply
again=$took
ask compare
compared=$took
check "nothing differs in a comparison" fails grep . $said
ask clear
ask apply
echo "    ours: made in $ours ms, wanted again in $again ms, compared in $compared ms, removed in $took ms"
check "and leaves nothing of it" empty
quit
