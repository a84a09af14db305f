# Open vSwitch, for people at a shell of the host.

alias vswitch='service openvswitch'
alias openvswitch='service openvswitch'

# Shows again and again what a command prints: the datapaths and their ports, the datapath's flows, a bridge's flows.
watchdp() { watch ovs-dpctl show "$@"; }
watchdpflows() { watch ovs-dpctl dump-flows "$@"; }
watchflows() {
    if [ $# -lt 1 ]; then
        echo "watchflows: which bridge? see 'ovs-vsctl list-br'" >&2
        return 2
    fi
    watch ovs-ofctl dump-flows "$@"
}

monitorlogs() { tail -F -n 20 /var/log/messages /var/log/openvswitch/*.log; }
