# SPDX-License-Identifier: GPL-2.0
# title: the module loads, answers, unloads and loads again, five times
# keep-module: yes
set -e
for i in 1 2 3 4 5; do
	modprobe openvswitch
	ovs-dpctl show
	[ -d /sys/module/openvswitch ]
	grep -q '^sw_flow ' /proc/slabinfo
	rmmod openvswitch
	! grep '^sw_flow' /proc/slabinfo
done
