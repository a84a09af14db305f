// SPDX-License-Identifier: GPL-2.0
//! What targets share: a namespace with a datapath of two ports.

use openvswitch::client::{Bytes, Client};
use openvswitch::datapath::abi::{cmd, dp_attr, vport_attr};
use openvswitch::datapath::env::Group;
use openvswitch::env::FakeNet;

/// The namespace, and the ifindex of the datapath, whose ports are `br0`, `p1` and `p2`.
pub fn lab() -> (FakeNet, i32) {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let dp = Bytes::new()
        .name(dp_attr::NAME, "br0")
        .u32(dp_attr::UPCALL_PID, 0);
    let dp = client
        .call(Group::Datapath, cmd::NEW, 0, &dp)
        .expect("a datapath")
        .dp_ifindex();
    for name in ["p1", "p2"] {
        net.add(name);
        let port = Bytes::new()
            .name(vport_attr::NAME, name)
            .u32(vport_attr::TYPE, 1)
            .u32(vport_attr::UPCALL_PID, 7);
        client
            .call(Group::Vport, cmd::NEW, dp, &port)
            .expect("a port");
    }
    (net, dp)
}
