# SPDX-License-Identifier: GPL-2.0
# title: the kernel loads the module when somebody asks for one of its families (X5)
# keep-module: yes
set -e
for family in ovs_datapath ovs_vport ovs_flow ovs_packet ovs_meter; do
	[ ! -d /sys/module/openvswitch ]
	python3 - $family <<-P
	import sys; sys.path.insert(0, "/guest/lib")
	from ovsnl import Sock
	print(sys.argv[1], "family id", Sock().family(sys.argv[1]))
	P
	[ -d /sys/module/openvswitch ]
	rmmod openvswitch
done
dmesg -r | grep '^<6>.* openvswitch: Open vSwitch switching datapath' # as C logs, at that level
ovs-dpctl add-dp dp0
if [ "$(cat /sys/module/openvswitch/refcnt)" = 0 ]; then
	[ "$MODULE" = stock ] # 7.3's can be removed under its datapaths
elif rmmod openvswitch; then
	exit 1
fi
ovs-dpctl del-dp dp0
rmmod openvswitch
