// SPDX-License-Identifier: GPL-2.0
//! VPORT_GET and its dump: statistics, netlink ports, namespaces, batches (V8 to V13, B16).

use crate::kit::*;
use openvswitch::datapath::netlink::nlm;

#[test]
fn v13_statistics_are_the_device_s() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    dev.set_stats(DeviceStats {
        rx_packets: 1,
        tx_packets: 2,
        rx_bytes: 3,
        tx_bytes: 4,
        rx_errors: 5,
        tx_errors: 6,
        rx_dropped: 7,
        tx_dropped: 8,
    });
    let reply = s.vport(cmd::GET, &by_number(no.into())).unwrap();
    assert_eq!(reply.u64s(vport_attr::STATS), Some((1..=8).collect()));
    let upcalls = reply.get(vport_attr::UPCALL_STATS).unwrap();
    let expected = Bytes::new()
        .u64(vport_attr::UPCALL_SUCCESS, 0)
        .u64(vport_attr::UPCALL_FAIL, 0);
    assert_eq!(upcalls, expected.0);
}

#[test]
fn v10_all_upcall_pids_or_the_first() {
    let mut s = Switch::new();
    s.net.add("eth0");
    let pids: Vec<u32> = (100..100 + cpus()).collect();
    let attrs = Bytes::new()
        .name(vport_attr::NAME, "eth0")
        .u32(vport_attr::TYPE, NETDEV)
        .u32s(vport_attr::UPCALL_PID, &pids);
    let reply = s.new_port(&attrs).unwrap();
    assert_eq!(reply.u32s(vport_attr::UPCALL_PID), Some(vec![100]));
    s.datapath(
        cmd::SET,
        &Bytes::new().u32(dp_attr::USER_FEATURES, dp_feature::VPORT_PIDS),
    )
    .unwrap();
    let reply = s.vport(cmd::GET, &by_name("eth0")).unwrap();
    assert_eq!(
        reply.u32s(vport_attr::UPCALL_PID),
        Some(pids),
        "V11: as many as CPUs fit into a reply"
    );
}

#[test]
fn v9_netnsid_of_a_device_elsewhere() {
    let mut s = Switch::new();
    s.new_port(&port("int0", INTERNAL)).unwrap();
    let container = FakeNet::new();
    assert!(s.net.device("int0").unwrap().move_to(&container));
    let reply = s.vport(cmd::GET, &by_name("int0")).unwrap();
    let id = s.net.peer_id(&container) as u32;
    assert_eq!(reply.u32(vport_attr::NETNSID), Some(id));
    assert_eq!(reply.types()[4], vport_attr::NETNSID);
    assert_eq!(
        s.vport(cmd::GET, &by_number(0))
            .unwrap()
            .get(vport_attr::NETNSID),
        None
    );
    container.exit();
    assert_eq!(refused(s.vport(cmd::GET, &by_name("int0"))), ENODEV, "W17");
}

#[test]
fn v8_dump_over_many_batches() {
    let mut s = Switch::new();
    for i in 0..500 {
        s.new_port(&port(&format!("int{i}"), INTERNAL)).unwrap();
    }
    for room in [400, 4096, 1 << 20] {
        s.client.dump_room = room;
        let dump = s.client.dump(Group::Vport, s.dp, &Bytes::new()).unwrap();
        assert!(dump
            .iter()
            .all(|m| m.flags() == nlm::MULTI && m.dp_ifindex() == s.dp));
        let mut numbers: Vec<_> = dump
            .iter()
            .map(|m| m.u32(vport_attr::PORT_NO).unwrap())
            .collect();
        numbers.sort();
        assert_eq!(numbers, (0..=500).collect::<Vec<_>>());
    }
    assert_eq!(
        refused(s.client.dump(Group::Vport, 4711, &Bytes::new())),
        ENODEV
    );
    s.client.dump_room = 100;
    assert_eq!(
        refused(s.client.dump(Group::Vport, s.dp, &Bytes::new())),
        EMSGSIZE
    );
}
