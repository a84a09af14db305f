// SPDX-License-Identifier: GPL-2.0
//! Dumps of flows (F10 to F12).

use crate::flow_kit::*;
use std::collections::BTreeSet;

fn fill(s: &mut Switch, n: u32) {
    for i in 0..n {
        s.create(
            &flow(&Udp { src: i, ..UDP })
                .acts(&[i % 100])
                .ufid(&i.to_ne_bytes()),
        )
        .unwrap();
    }
}

#[test]
fn f11_every_flow_once_over_many_batches() {
    let mut s = Switch::new();
    fill(&mut s, 300);
    for room in [600, 4096, 32 << 10] {
        s.client.dump_room = room;
        let all = s.flows();
        let names: BTreeSet<_> = all
            .iter()
            .map(|m| m.get(flow_attr::UFID).unwrap().to_vec())
            .collect();
        assert_eq!((all.len(), names.len()), (300, 300));
        assert!(all
            .iter()
            .all(|m| m.flags() == nlm::MULTI && m.cmd() == cmd::GET && m.dp_ifindex() == s.dp));
    }
}

#[test]
fn f11_ufid_flags_shorten_the_messages() {
    let mut s = Switch::new();
    fill(&mut s, 3);
    let terse = s
        .client
        .dump(Group::Flow, s.dp, &Bytes::new().ufid_flags(7))
        .unwrap();
    assert!(terse.iter().all(|m| m.types() == [flow_attr::UFID]));
}

#[test]
fn f11_actions_that_fit_into_no_buffer_are_left_out() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[7; 1000])).unwrap();
    s.create(&flow(&Udp { src: 1, ..UDP }).acts(&[1])).unwrap();
    s.client.dump_room = 1000;
    let mut all: Vec<_> = s.flows().iter().map(outputs).collect();
    all.sort();
    assert_eq!(all, [None, Some(vec![1])]);
    // One flow at a time they can be had.
    assert_eq!(
        outputs(&s.flow(cmd::GET, &flow(&UDP)).unwrap()),
        Some(vec![7; 1000])
    );
}

#[test]
fn f12_an_unknown_datapath() {
    let mut s = Switch::new();
    assert_eq!(
        refused(s.client.dump(Group::Flow, s.dp + 1, &Bytes::new())),
        ENODEV
    );
}

#[test]
fn f11_flow_dumps_refuse_bad_attributes_and_other_dumps_ignore_them() {
    let mut s = Switch::new();
    fill(&mut s, 1);
    for bad in [
        Bytes::new().put(flow_attr::UFID_FLAGS, &[0; 3]),
        Bytes::new().put(flow_attr::UFID, &[]),
        Bytes::new().put(flow_attr::KEY, &[0; 3]),
        Bytes::new().u8(flow_attr::PROBE, 1),
        // The last counts, but every one is checked.
        Bytes::new().put(flow_attr::UFID_FLAGS, &[0]).ufid_flags(0),
    ] {
        assert_eq!(refused(s.client.dump(Group::Flow, s.dp, &bad)), ERANGE);
    }
    let ignored = Bytes::new()
        .put(dp_attr::NAME, b"no NUL")
        .put(vport_attr::IFINDEX, &[0xff; 4]);
    assert_eq!(
        s.client.dump(Group::Datapath, 0, &ignored).unwrap().len(),
        1
    );
    assert_eq!(
        s.client.dump(Group::Vport, s.dp, &ignored).unwrap().len(),
        1
    );
}

// B59: packets wait for a batch, not for the dump; and come between batches, not between a batch's flows, where they could
// keep it from ending.
#[test]
fn b59_packets_come_between_batches() {
    use openvswitch::datapath::control;
    use openvswitch::datapath::netlink::writer::{MsgHeader, Writer};
    use openvswitch::sys::testing::{process_context, take_bh_sections};
    let mut s = Switch::new();
    fill(&mut s, 300);
    let header = MsgHeader {
        dp_ifindex: s.dp,
        ..MsgHeader::default()
    };
    let (mut cursor, mut batches) = ([0; 2], 0);
    loop {
        let mut room = [0; 4096];
        let mut w = Writer::new(&mut room);
        take_bh_sections();
        let ctx = process_context();
        control::dump(&ctx, Group::Flow, &s.net, &[], &mut cursor, header, &mut w).unwrap();
        assert_eq!(take_bh_sections(), 1, "batch {batches}");
        if w.is_empty() {
            break;
        }
        batches += 1;
    }
    assert!(batches > 10, "{batches}");
}
