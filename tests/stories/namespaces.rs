// SPDX-License-Identifier: GPL-2.0
//! Namespaces end (W17, B42).

use crate::kit::*;

#[test]
fn w17_its_datapaths_go() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let dp = new_dp(&mut client, "br0").unwrap().dp_ifindex();
    new_dp(&mut client, "br1").unwrap();
    let eth0 = net.add("eth0");
    client
        .call(Group::Vport, cmd::NEW, dp, &port("eth0", NETDEV))
        .unwrap();
    client
        .call(Group::Vport, cmd::NEW, dp, &port("int0", INTERNAL))
        .unwrap();
    net.exit();
    assert!(!eth0.is_attached());
    assert_eq!(eth0.promiscuity(), 0);
    assert!(client
        .dump(Group::Datapath, 0, &Bytes::new())
        .unwrap()
        .is_empty());
    kernel::testing::rcu::barrier();
    assert_eq!(live(), 1 + COUNTS, "only eth0 itself is left");
}

#[test]
fn w17_internal_ports_of_datapaths_elsewhere_go() {
    let mut host = Switch::new();
    let container = FakeNet::new();
    for name in ["a", "b", "c"] {
        host.new_port(&port(name, INTERNAL)).unwrap();
    }
    let (eth0, _) = host.add_port("eth0");
    assert!(host.net.device("a").unwrap().move_to(&container));
    assert!(host.net.device("c").unwrap().move_to(&container));
    let mut inside = Switch::in_net(&container);
    inside.new_port(&port("d", INTERNAL)).unwrap();
    container.exit();
    assert!(container.device_names().is_empty());
    assert_eq!(refused(host.vport(cmd::GET, &by_name("a"))), ENODEV);
    assert_eq!(refused(host.vport(cmd::GET, &by_name("c"))), ENODEV);
    assert!(host.vport(cmd::GET, &by_name("b")).is_ok());
    assert!(eth0.is_attached());
}

#[test]
fn same_names_in_two_namespaces() {
    let mut one = Switch::new();
    let mut two = Switch::new();
    one.add_port("eth0");
    assert_eq!(refused(two.vport(cmd::GET, &by_name("eth0"))), ENODEV);
    two.add_port("eth0");
    two.datapath(cmd::DEL, &Bytes::new()).unwrap();
    assert!(one.vport(cmd::GET, &by_name("eth0")).is_ok());
}

/// Flows in pairs that overlap, so that each has a node of its own for the periodic work to look at.
fn pairs() -> impl Iterator<Item = Bytes> {
    use crate::flow_kit::*;
    (0..500).flat_map(|src| {
        [(54, !0), (53, 0)].map(|(dport, bits)| {
            let mask = mask(!0, 0, 0, bits);
            flow(&Udp { src, dport, ..UDP }).mask(mask).acts(&[])
        })
    })
}

/// What the first of the periodic rounds that there is no time in for all datapaths come to.
fn came_to<const N: usize>(net: &FakeNet) -> [u64; N] {
    use openvswitch::datapath::control::rebalance_some;
    use openvswitch::datapath::env::NetOps;
    use openvswitch::sys::testing::process_context;
    use std::sync::atomic::Ordering::Relaxed;
    [(); N].map(|()| {
        rebalance_some(&process_context(), net, 1024);
        net.state().tidied.load(Relaxed)
    })
}

/// T8: the mutex is held for so much work, and not for so much of each datapath; and all have their turn.
#[test]
fn t8_datapaths_share_a_round() {
    let mut s = Switch::new();
    for name in ["br1", "br2"] {
        new_dp(&mut s.client, name).unwrap();
    }
    for flow in pairs() {
        s.client.call(Group::Flow, cmd::NEW, s.dp, &flow).unwrap();
    }
    // The first has more than enough to look at, the others nothing: so every other round begins with these, and ends with it.
    assert_eq!(came_to(&s.net), [1, 0, 1]);
    for flow in pairs() {
        s.client.call(Group::Flow, cmd::DEL, s.dp, &flow).unwrap();
    }
    assert_eq!(came_to(&s.net), [0]);
}

/// T8: all have their turn where each has more to look at than a round has time for.
#[test]
fn t8_no_datapath_waits_for_ever() {
    let mut s = Switch::new();
    let mut all = vec![s.dp];
    for name in ["br1", "br2"] {
        all.push(new_dp(&mut s.client, name).unwrap().dp_ifindex());
    }
    for dp in all {
        for flow in pairs() {
            s.client.call(Group::Flow, cmd::NEW, dp, &flow).unwrap();
        }
    }
    assert_eq!(came_to(&s.net), [1, 2, 0, 1, 2, 0]);
}
