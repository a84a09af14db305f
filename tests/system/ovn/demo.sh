# SPDX-License-Identifier: GPL-2.0
# `make ovn-demo`, both chassis ($ROLE). hv1 tells the story and gives hv2 its commands over a serial line ("the cord").
#
#    a1 (hv1)  a2 (hv2)        b1 (hv1)  b2 (hv2)
#    10.0.1.11 10.0.1.12       10.0.2.11 10.0.2.12
#         \     /                   \     /            logical switches, over Geneve on eth0
#          sw-a                      sw-b              b1, b2: stateful ACLs
#             \ .1                .1 /
#              logical router  lr0                     load balancers 10.9.9.9 (inside), 172.16.0.80 (outside)
#                     | 172.16.0.10                    gateway: hv2, or else hv1; SNAT, and DNAT 172.16.0.20 -> a2
#                 sw-out (localnet: br-ex, eth1)
#                     | 172.16.0.1
#                 out (hv1)
. $LIB/lib.sh
set -o pipefail
TALK=/guest/cases/ovn/talk.py
# The tools tell of slowness: that is the emulation's. A chassis on a busy machine takes its time.
export OVN_NBCTL_OPTIONS="-vconsole:off --timeout=100" OVN_SBCTL_OPTIONS="-vconsole:off --timeout=60"
BORN=$SECONDS

say() { printf '\n# [%d s] %s\n' $((SECONDS - BORN)) "$*"; }
x() { printf '%s$ %s\n' "$ROLE" "$*"; "$@" || die "$*"; }

open_cord() {
	local p
	for p in /sys/class/virtio-ports/*; do
		[ "$(cat "$p/name")" != cord ] || { exec 3<> "/dev/${p##*/}"; return; }
	done
	die "no cord"
}

# obey: run the lines that come over the cord, each in this shell's own functions, and answer with what it said and its exit code.
obey() {
	local line rc
	while IFS= read -r -u 3 line && [ "$line" != bye ]; do
		(exec 3<&-; eval "$line") < /dev/null > said 2>&1
		rc=$?
		{ cat said; printf '\n==%d\n' $rc; } >&3
	done
}

# quietly COMMAND: on hv2, its output here. on COMMAND: the same, shown and not allowed to fail.
quietly() {
	local line last=
	printf '%s\n' "$*" >&3
	while IFS= read -r -t 120 -u 3 line || die "hv2 does not answer: $*"; do
		case $line in
		==*) [ -z "$last" ] || printf '%s\n' "$last"; return "${line#==}" ;;
		esac
		[ -z "$last" ] || printf '%s\n' "$last"
		last=$line
	done
}
on() { printf 'hv2$ %s\n' "$*"; quietly "$*" || die "hv2: $*"; }

# identify: that the loaded module is the one that this is about.
identify() {
	local file id symbols sum
	modprobe openvswitch
	file=$(modinfo -F filename openvswitch)
	sum=$(sha256sum < "$file" | cut -d' ' -f1)
	id=$(od -An -tx1 -j16 /sys/module/openvswitch/notes/.note.gnu.build-id | tr -d ' \n')
	od -An -v -tx1 "$file" | tr -d ' \n' | grep -q "${id:-none}" || die "$ROLE: the loaded module is not the file"
	symbols=$(grep -c '[[:space:]]_R.*\[openvswitch\]' /proc/kallsyms)
	case $MODULE in
	ours) [ "$sum" = "$KO_SHA256" ] || die "$ROLE: not the module that was built"
		[ "$symbols" -gt 0 ] || die "$ROLE: no Rust in the loaded module" ;;
	*) [ "$symbols" = 0 ] || die "$ROLE: Rust in the stock module" ;;
	esac
	echo "$ROLE: $(uname -sr), $(modinfo -F description openvswitch), sha256 ${sum:0:16}..., $symbols symbols compiled from Rust"
}

# underlay ADDRESS: the wires of this chassis.
underlay() {
	modprobe -a virtio_net geneve veth
	retry 10 ip link show eth1 > /dev/null || die "no eth1"
	ip addr add "$1/24" dev eth0
	ip link set eth0 up
	ip link set eth1 up
}

# chassis ADDRESS: Debian's Open vSwitch and ovn-controller, the bridge to the outside.
chassis() {
	start_ovs > start 2>&1 || die "$ROLE: Open vSwitch did not start: $(tail -n 3 start)"
	mkdir -p /run/ovn /var/lib/ovn
	ovs-vsctl add-br br-ex -- add-port br-ex eth1 -- set open . external-ids:system-id="$ROLE" \
		external-ids:ovn-remote=tcp:192.168.7.1:6642 external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip="$1" \
		external-ids:ovn-bridge-mappings=outside:br-ex
	ovn-controller -vconsole:off --detach --no-chdir --pidfile --log-file="$OUT/ovn-controller.log" || die "$ROLE: ovn-controller"
}

# central: the two databases and ovn-northd.
central() {
	local db
	mkdir -p /run/ovn /var/lib/ovn
	for db in nb sb; do
		ovsdb-tool create /var/lib/ovn/$db.db /usr/share/ovn/ovn-$db.ovsschema
		ovsdb-server -vconsole:off /var/lib/ovn/$db.db --remote=punix:/run/ovn/ovn${db}_db.sock --unixctl=/run/ovn/ovn${db}_db.ctl \
			--pidfile=/run/ovn/ovn${db}_db.pid --detach --no-chdir --log-file="$OUT/ovsdb-$db.log" \
			$([ $db = nb ] || echo --remote=ptcp:6642:192.168.7.1)
	done
	ovn-nbctl init
	ovn-sbctl init
	ovn-northd -vconsole:off --detach --no-chdir --pidfile --log-file="$OUT/ovn-northd.log"
}

# host NAME MAC ADDRESS GATEWAY [SERVER PORT…]: a namespace that plays a virtual machine, plugged into br-int.
host() {
	local name=$1 mac=$2 ip=$3 gateway=$4
	shift 4
	ip netns add "$name"
	ip link add "v-$name" type veth peer name e0 netns "$name"
	ip -n "$name" link set lo up
	ip -n "$name" link set e0 address "$mac" mtu 1442 # 1500 less what Geneve, UDP and IPv4 take
	ip -n "$name" addr add "$ip/24" dev e0
	ip -n "$name" link set e0 up
	[ "$gateway" = - ] || ip -n "$name" route add default via "$gateway"
	ip link set "v-$name" up
	case $name in
	out) ovs-vsctl add-port br-ex v-out ;;
	*) ovs-vsctl add-port br-int "v-$name" -- set interface "v-$name" external_ids:iface-id="$name" ;;
	esac
	[ $# = 0 ] || ip netns exec "$name" python3 $TALK "$name" "$@" > /dev/null 2>&1 &
}
listening() { ip netns exec "$1" ss -ltn | grep -q :80; }

# The logical network of the picture above, in one transaction.
network() {
	local all=(lr-add lr0) s n h
	for s in a:1 b:2; do
		n=${s#*:} s=${s%:*}
		all+=(-- ls-add sw-$s -- lrp-add lr0 lr0-sw-$s 00:00:00:00:ff:0$n "10.0.$n.1/24")
		all+=(-- lsp-add sw-$s sw-$s-lr0 -- lsp-set-type sw-$s-lr0 router -- lsp-set-addresses sw-$s-lr0 router)
		all+=(-- lsp-set-options sw-$s-lr0 router-port=lr0-sw-$s)
		for h in 1 2; do
			all+=(-- lsp-add sw-$s $s$h -- lsp-set-addresses $s$h "02:00:00:00:0$n:1$h 10.0.$n.1$h")
		done
	done
	all+=(-- ls-add sw-out -- lsp-add sw-out net -- lsp-set-type net localnet -- lsp-set-addresses net unknown)
	all+=(-- lsp-set-options net network_name=outside -- lrp-add lr0 lr0-out 00:00:00:00:ff:0a 172.16.0.10/24)
	all+=(-- lsp-add sw-out sw-out-lr0 -- lsp-set-type sw-out-lr0 router -- lsp-set-addresses sw-out-lr0 router)
	ovn-nbctl "${all[@]}" -- lsp-set-options sw-out-lr0 router-port=lr0-out
}

gateway() { # the chassis that the router's outer port is bound to
	ovn-sbctl --bare --columns=name list chassis "$(ovn-sbctl --bare --columns=chassis find port_binding logical_port=cr-lr0-out)"
}
gateway_is() { [ "$(gateway 2> /dev/null)" = "$1" ]; }

# ask HOST ADDRESS PORT [FILE]: what talk.py there says of the file. asks HOST ADDRESS PORT PATTERN: the same, shown and checked.
# refused HOST ADDRESS PORT SECONDS WHY: that it cannot be reached, and what nc makes of it.
ask() { ip netns exec "$1" nc -N -w 10 "$2" "$3" < "${4:-/dev/null}"; }
asks() {
	local said
	printf '%s:%s$ nc %s %s\n' "$ROLE" "$1" "$2" "$3"
	said=$(ask "$1" "$2" "$3" "${5:-}") || die "$1: no answer from $2:$3"
	echo "$said"
	[[ $said == $4 ]] || die "$1 wants: $4"
}
refused() {
	local said
	printf '%s:%s$ nc -z -v -w %s %s %s\n' "$ROLE" "$1" "$4" "$2" "$3"
	said=$(ip netns exec "$1" nc -z -v -w "$4" "$2" "$3" 2>&1) && die "$1: $2:$3 answers"
	echo "$said"
	[[ $said == *"$5"* ]] || die "$1: $2:$3: $5 should be said"
}
pings() {
	printf '%s:%s$ ping %s\n' "$ROLE" "$1" "$2"
	ip netns exec "$1" ping -c 3 -i 0.3 -W 5 "$2" | grep -E 'bytes from|loss' || die "$1 does not reach $2"
}
reaches() { ip netns exec "$1" ping -q -c 1 -W 2 "$2" > /dev/null; }

# transfer HOST ADDRESS NAME TITLE: 10 MB over TCP, the checksum told by the receiver
transfer() {
	local began=$(date +%s%N)
	printf '%s:%s$ nc %s 80 < blob\n' "$ROLE" "$1" "$2"
	ask "$1" "$2" 80 blob > said || die "$1: no answer from $2:80"
	echo "$(cat said)   ($((($(date +%s%N) - began) / 1000000)) ms, $4)"
	grep -q "^$3 here.* 10000000 bytes, sha256 $want" said || die "the checksum should be $want"
}

# moves CHASSIS: what becomes of a ping from a1 to the outside while the gateway moves there. `pull` and `plug` do it.
moves() {
	ip netns exec a1 ping -D -i 0.2 -w 600 172.16.0.1 > pings &
	local pinging=$! count
	retry 20 grep -q 'bytes from' pings || die "the ping does not start"
	"$2"
	retry 100 gateway_is "$1" || die "the gateway stays on $(gateway)"
	count=$(grep -c 'bytes from' pings)
	back() { [ "$(grep -c 'bytes from' pings)" -ge $((count + 5)) ]; }
	retry 100 back || die "no reply through $1"
	kill -INT $pinging
	wait $pinging
	grep loss pings
	awk '/bytes from/ { t = substr($1, 2) + 0; if (last && t - last > gap) gap = t - last; last = t }
		END { printf "longest silence: %.1f s\n", gap }' pings
	echo "gateway: $(gateway)"
}
# Of two chassis that do not hear each other neither can tell who is cut off, and OVN leaves the gateway where it is: one says so.
pull() {
	on "ip link set eth0 down; ip link set eth1 down"
	x ovn-sbctl chassis-del hv2
}
plug() { on "ip link set eth0 up; ip link set eth1 up"; }
bfd_is_up() { [ "$(ovs-vsctl get interface ovn-hv2-0 bfd_status:state)" = up ]; }

# What the daemons may complain of, beside slowness: ovn-controller is there before br-int; the cables are out; hv1 removes the
# tunnel while packets come out of it, and has none yet for a moment when hv2 is back; patch ports have names too long for a device.
cut_off='br-int.mgmt: connection failed .No such file|192.168.7.1:6642|connection (dropped|closed)|Network is unreachable|'
cut_off+='[Nn]o response to inactivity probe|release unknown interface cr-lr0-out|receive tunnel port not found|'
cut_off+='tunnel to reach main chassis hv2|No tunnel endpoint found for HA chassis|failed to query port patch-.*: Invalid argument'
clean() { ovs_log_clean "$cut_off" && ovs_log_clean "$cut_off" ovn-controller; }
stop() { ovn-appctl -t ovn-controller exit; stop_ovs; }

# On every way out: hv2 is let go, and after a failure the log gets what explains most of them.
leave() {
	local rc=$?
	if [ $rc != 0 ]; then
		exec >> "$OUT/explain" 2>&1
		for c in "ovn-nbctl show" "ovn-sbctl show" "ovn-sbctl list chassis_private" "ovn-sbctl list ha_chassis_group" "ovs-vsctl show" \
			"ovs-vsctl --columns=name,error,bfd_status list interface" "ovn-appctl -t ovn-controller connection-status" \
			"ovs-appctl dpctl/dump-flows" "ovs-appctl dpctl/dump-conntrack"; do
			printf '\n$ %s\n' "$c"
			$c
			case $c in *appctl*) echo "hv2:"; quietly "$c" ;; esac
		done
	fi
	printf 'bye\n' >&3
	exit $rc
}

open_cord
case $ROLE in hv2)
	obey
	exit 0 ;;
esac
trap leave EXIT

say "Two chassis, and the module that is going to forward in both"
identify
on identify
x ovn-controller --version
x ovs-vswitchd --version
underlay 192.168.7.1
quietly underlay 192.168.7.2 || die "hv2 has no wires"
central
chassis 192.168.7.1
on chassis 192.168.7.2
x ping -q -c 1 -W 5 192.168.7.2

say "Two switches, a router, four hosts; $(date -u +%F)"
network
host a1 02:00:00:00:01:11 10.0.1.11 10.0.1.1 80
host b1 02:00:00:00:02:11 10.0.2.11 10.0.2.1 80 22 23
host out 02:00:00:00:99:01 172.16.0.1 - 80
on host a2 02:00:00:00:01:12 10.0.1.12 10.0.1.1 80
on host b2 02:00:00:00:02:12 10.0.2.12 10.0.2.1 80 22 23
x ovn-nbctl --wait=hv sync
x ovn-nbctl show
x ovn-sbctl show
retry 20 listening b1 || die "no server in b1"
quietly retry 20 listening b2 || die "no server in b2"
head -c 10000000 /dev/urandom > blob
want=$(sha256sum < blob | cut -d' ' -f1)

say "Across the tunnel: within a switch, and through the router"
retry 20 reaches a1 10.0.1.12 || die "a1 does not reach a2"
retry 20 reaches a1 10.0.2.12 || die "a1 does not reach b2"
pings a1 10.0.1.12
transfer a1 10.0.1.12 a2 "a1 to a2, Geneve"
pings a1 10.0.2.12
transfer a1 10.0.2.12 b2 "a1 to b2, routed, Geneve"

say "Stateful ACLs for b1 and b2: ping and port 80 may come in and get their answers, 23 is refused, nothing else passes"
x ovn-nbctl pg-add b b1 b2
x ovn-nbctl acl-add b to-lport 1002 'outport == @b && ip4 && (icmp4 || tcp.dst == 80)' allow-related
x ovn-nbctl acl-add b to-lport 1001 'outport == @b && ip4 && tcp.dst == 23' reject
x ovn-nbctl acl-add b to-lport 1000 'outport == @b && ip4' drop
x ovn-nbctl --wait=hv acl-add b from-lport 1000 'inport == @b && ip4' drop
asks a1 10.0.2.12 80 "b2 here*"
pings a1 10.0.2.12
refused a1 10.0.2.12 23 60 "Connection refused"
refused a1 10.0.2.12 22 3 "timed out"
printf 'hv2:b2$ ping 10.0.1.11\n'
! quietly reaches b2 10.0.1.11 || die "b2 opens connections"
echo "no answer: b2 may only reply"
transfer a1 10.0.2.12 b2 "a1 to b2, each packet tracked in two zones"
on "ovs-appctl dpctl/dump-conntrack | grep dport=80 | sort -u | sed -n 1,4p"

say "A load balancer inside"
x ovn-nbctl lb-add web 10.9.9.9:80 10.0.2.11:80,10.0.2.12:80
x ovn-nbctl --wait=hv ls-lb-add sw-a web
printf 'hv1:a1$ 20 times nc 10.9.9.9 80\n'
for _ in {1..20}; do ask a1 10.9.9.9 80 || die "10.9.9.9 does not answer"; done | sort | uniq -c | tee said
[ "$(grep -cE 'b[12] here, you are 10.0.1.11' said)" = 2 ] || die "not both of b1 and b2"

say "The gateway: hv2, or hv1 if hv2 is gone. SNAT, DNAT, a load balancer for the outside"
x ovn-nbctl lrp-set-gateway-chassis lr0-out hv2 20
x ovn-nbctl lrp-set-gateway-chassis lr0-out hv1 10
x ovn-nbctl lr-nat-add lr0 snat 172.16.0.10 10.0.0.0/16
x ovn-nbctl lr-nat-add lr0 dnat_and_snat 172.16.0.20 10.0.1.12
x ovn-nbctl lb-add web-out 172.16.0.80:80 10.0.2.11:80,10.0.2.12:80
x ovn-nbctl --wait=hv lr-lb-add lr0 web-out
retry 30 gateway_is hv2 || die "no gateway on hv2: $(gateway)"
x gateway
retry 60 bfd_is_up || die "no BFD between hv1 and hv2"
retry 20 reaches a1 172.16.0.1 || die "a1 does not reach the outside"
pings a1 172.16.0.1
outside() {
	asks a1 172.16.0.1 80 "out here, you are 172.16.0.10"
	asks out 172.16.0.20 80 "a2 here, you are 172.16.0.1"
	printf 'hv1:out$ 20 times nc 172.16.0.80 80\n'
	for _ in {1..20}; do ask out 172.16.0.80 80 || die "172.16.0.80 does not answer"; done | sort | uniq -c | tee said
	[ "$(grep -cE 'b[12] here, you are 172.16.0.1' said)" = 2 ] || die "not both of b1 and b2"
	transfer a1 172.16.0.1 out "a1 to the outside, Geneve and SNAT"
}
outside

say "hv2 loses its cables while a1 pings the outside, and is declared dead: hv1 takes over"
moves hv1 pull
asks a1 172.16.0.1 80 "out here, you are 172.16.0.10"
transfer a1 172.16.0.1 out "a1 to the outside, SNAT on hv1"

say "The cables are back: so is hv2"
moves hv2 plug
retry 60 bfd_is_up || die "no BFD between hv1 and hv2"
retry 20 reaches a1 10.0.2.12 || die "a1 does not reach b2"
outside

say "The datapaths"
ask a1 10.9.9.9 80 > /dev/null; ask a1 10.0.2.12 80 > /dev/null # flows idle for 10 s leave
x ovs-dpctl show | tee show
on ovs-dpctl show | tee -a show
[ "$(sed -n 's/.*lookups: hit:\([0-9]*\) .*/\1/p' show | awk '$1 > 1000' | wc -l)" = 2 ] || die "packets did not take the kernel's path"
[ "$(sed -n 's/.*lost:\([0-9]*\).*/\1/p' show | sort -u)" = 0 ] || die "lost upcalls"
ovs-appctl dpctl/dump-flows > flows
echo "hv1: $(wc -l < flows) flows, $(grep -c 'set(tunnel(' flows) into the tunnel, $(grep -cE '(^|,)tunnel\(' flows) out of it," \
	"$(grep -c 'ct(' flows) with connection tracking. One into the tunnel, one with NAT:"
grep 'set(tunnel(.*geneve(' flows | sed -n 1p
grep -q 'set(tunnel(.*geneve(' flows || die "no flow into Geneve"
grep 'actions:.*ct(.*nat' flows | sed -n 1p

say "Warnings and errors of ovs-vswitchd and ovn-controller (but that emulation is slow, and that the cables were out)"
clean || die "hv1's daemons complained"
quietly clean || die "hv2's daemons complained"
echo none
quietly stop || die "stop on hv2"
stop || die "stop"
say "What the kernels said"
dmesg --notime | grep -E 'openvswitch|BUG|WARNING|Oops|Call Trace' || true
say "All good: both modules are unloaded next, and both kernels' logs checked once more"
