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

/// Port numbers of a dump, `change` made after each batch.
fn numbers(s: &mut Switch, mut change: impl FnMut(&mut Switch)) -> Vec<u32> {
    use openvswitch::datapath::control;
    use openvswitch::datapath::netlink::writer::{MsgHeader, Writer};
    let (mut cursor, mut all) = ([0; 2], Vec::new());
    loop {
        let mut room = [0; 1000];
        let mut w = Writer::new(&mut room);
        let header = MsgHeader {
            dp_ifindex: s.dp,
            ..MsgHeader::default()
        };
        let ctx = openvswitch::sys::testing::process_context();
        control::dump(&ctx, Group::Vport, &s.net, &[], &mut cursor, header, &mut w).unwrap();
        if w.is_empty() {
            return all;
        }
        let mut rest = w.written();
        while !rest.is_empty() {
            let len = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            let (message, after) = rest.split_at(len);
            all.extend(Message(message.to_vec()).u32(vport_attr::PORT_NO));
            rest = after;
        }
        change(s);
    }
}

#[test]
fn v8_dump_in_order_of_the_numbers() {
    let mut s = Switch::new();
    for (i, no) in [65534, 7, 1024, 300, 1, 2048].into_iter().enumerate() {
        let attrs = port(&format!("in{i}"), INTERNAL).u32(vport_attr::PORT_NO, no);
        s.new_port(&attrs).unwrap();
    }
    assert_eq!(numbers(&mut s, |_| ()), [0, 1, 7, 300, 1024, 2048, 65534]);
}

#[test]
fn v8_dump_tells_each_port_once_while_others_come_and_go() {
    let mut s = Switch::new();
    for no in (10..200).step_by(10) {
        let attrs = port(&format!("in{no}"), INTERNAL).u32(vport_attr::PORT_NO, no);
        s.new_port(&attrs).unwrap();
    }
    let mut more = 0;
    let seen = numbers(&mut s, |s| {
        for _ in 0..if more < 600 { 60 } else { 0 } {
            more += 1;
            s.new_port(&port(&format!("more{more}"), INTERNAL)).unwrap();
        }
        s.vport(cmd::DEL, &by_name("more1")).ok();
    });
    assert!(
        seen.is_sorted_by(|a, b| a < b),
        "in order, none twice: {seen:?}"
    );
    let stayed: Vec<_> = seen
        .iter()
        .filter(|no| **no < 200 && **no % 10 == 0)
        .collect();
    assert_eq!(stayed.len(), 20, "all that stayed: {seen:?}");
}
