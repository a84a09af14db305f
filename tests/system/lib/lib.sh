# SPDX-License-Identifier: GPL-2.0
# Shell functions for the cases; source it as `. $LIB/lib.sh`.

# hosts NAME…: one namespace each, a veth pair v-NAME (here) and e0 (there), 10.0.0.N/24 and fd00::N/64.
hosts() {
	local n=0 h
	for h; do
		n=$((n + 1))
		ip netns add "$h"
		ip link add "v-$h" type veth peer name e0 netns "$h"
		ip -n "$h" link set lo up
		ip -n "$h" link set e0 address "02:00:00:00:00:0$n"
		ip -n "$h" addr add "10.0.0.$n/24" dev e0
		ip -n "$h" addr add "fd00::$n/64" dev e0 nodad
		ip -n "$h" link set e0 up
		ip link set "v-$h" up
	done
}

# wait_uptime SECONDS: ovs-vswitchd started before uptime 10 s counts no CPUs and loses every upcall.
wait_uptime() {
	local now
	while read -r now _ < /proc/uptime && [ "${now%%.*}" -lt "$1" ]; do sleep 0.2; done
}

# start_ovs: Debian's ovsdb-server and ovs-vswitchd with a fresh database, logs in $OUT.
start_ovs() {
	mkdir -p /run/openvswitch /etc/openvswitch
	rm -f /etc/openvswitch/conf.db
	ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
	ovsdb-server /etc/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --detach --no-chdir \
		--pidfile --log-file="$OUT/ovsdb-server.log" -vconsole:off
	ovs-vsctl --no-wait init
	wait_uptime 11
	ovs-vswitchd --detach --no-chdir --pidfile --log-file="$OUT/ovs-vswitchd.log" -vconsole:off
}

stop_ovs() {
	ovs-appctl -t ovs-vswitchd exit --cleanup
	ovs-appctl -t ovsdb-server exit
}

# ovs_log_clean [REGEX [DAEMON]]: no warning or error in ovs-vswitchd's log (or DAEMON's) but those that match REGEX, and those
# that only say that an emulated machine is slow.
ovs_log_clean() {
	! grep -E '\|(WARN|ERR|EMER)\|' "$OUT/${2:-ovs-vswitchd}.log" |
		grep -Ev '\|(timeval|ovs_rcu)(\([^)]*\))?\|WARN\|(Unreasonably long|faults:|disk:|context switches:|blocked [0-9]+ ms)' |
		grep -Ev '\|WARN\|Dropped [0-9]+ log messages' | grep -Ev "${1:-^$}"
}

# retry SECONDS COMMAND…: until it succeeds.
retry() {
	local end=$(($(date +%s) + $1)); shift
	until "$@"; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.2
	done
}

die() { echo "FAILED: $*"; exit 1; }
