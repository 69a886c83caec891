# D32: datagrams of a flow to a server that has left. The kernel drops them until the flow expires, unless it is told
# otherwise: net.ipv4.vs.expire_nodest_conn (conf/lvs-services.conf says so).
. "$here/exercise.sh"

ip netns add flows
ip link add f0 type veth peer name f1 netns flows
ip addr add 10.8.4.1/24 dev f0
ip link set f0 up
ip -n flows addr add 10.8.4.2/24 dev f1
ip -n flows link set f1 up
python3 -c '
import socket, threading
def serve(port):
    s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("10.8.4.1", port))
    while True:
        _, peer = s.recvfrom(100); s.sendto(str(port).encode(), peer)
threading.Thread(target=serve, args=(9001,)).start()
serve(9002)' &
answering=$!
# asking: one flow, asked at each line; says who answers.
coproc CLIENT { ip netns exec flows python3 -uc '
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM); s.connect(("10.8.4.1", 53))
for tries in sys.stdin:
    s.settimeout(3)
    for _ in range(int(tries)):
        s.send(b"who")
        try: print(s.recv(100).decode()); break
        except OSError: continue
    else: print("nobody")'; }
asking() { echo "$1" >&"${CLIENT[1]}" && read -r answer <&"${CLIENT[0]}"; }
client=$CLIENT_PID
# A second coprocess is one too many for bash to speak of, not to have.
start 2>/dev/null
serves() { # PORT...
    local port
    echo '-A -u 10.8.4.1:53 -s rr' >&"${EXERCISER[1]}"
    for port in "$@"; do echo "-a -u 10.8.4.1:53 -r 10.8.4.1:$port -m -w 1" >&"${EXERCISER[1]}"; done
    ask apply
}
serves 9001 9002
asking 30
first=$answer
other=$((9001 + 9002 - first))
asking 30
check "a flow stays with its server" [ "$answer" = "$first" ]
serves "$other"
asking 2
check "when the server leaves, its flow is lost" [ "$answer" = nobody ]
sysctl -qw net.ipv4.vs.expire_nodest_conn=1
asking 30
check "the kernel gives it to another server where it is told to" [ "$answer" = "$other" ]
ask clear && ask apply
quit
kill "$answering" "$client"
