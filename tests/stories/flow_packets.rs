// SPDX-License-Identifier: GPL-2.0
//! Packets through the table: what they hit, and what is counted (D10, T6, T11, F13).

use crate::flow_kit::*;
use openvswitch::sys::testing::set_now;

/// A switch with two ports and a flow from the first to the second.
fn two_ports(acts: &[u32]) -> (Switch, FakeDevice, FakeDevice, Udp) {
    openvswitch::datapath::actions::execute::init(&openvswitch::sys::testing::process_context())
        .unwrap();
    let mut s = Switch::new();
    let (a, no_a) = s.add_port("a");
    let (b, no_b) = s.add_port("b");
    assert_eq!((no_a, no_b), (1, 2));
    let udp = Udp { in_port: 1, ..UDP };
    s.create(&flow(&udp).mask(mask(!0, 0, 0, 0)).acts(acts))
        .unwrap();
    (s, a, b, udp)
}

#[test]
fn a_hit_is_forwarded_and_counted() {
    let (mut s, a, b, udp) = two_ports(&[2]);
    set_now(500_000);
    a.receive(&udp.packet());
    set_now(500_040);
    a.receive(&Udp { dport: 4000, ..udp }.packet());
    set_now(500_100);
    assert_eq!(b.take_sent().len(), 2);
    let m = &s.flows()[0];
    assert_eq!(stats(m), Some((2, 120)));
    assert_eq!(m.u64s(flow_attr::USED), Some(vec![500_040]));
    assert_eq!(m.get(flow_attr::TCP_FLAGS), None);
    let (dp, _) = s.counts();
    assert_eq!(dp, [2, 0, 0, 1]);
}

#[test]
fn a_miss_is_counted_and_goes_nowhere() {
    let (mut s, a, b, udp) = two_ports(&[2]);
    a.receive(&Udp { src: 1, ..udp }.packet());
    assert!(b.take_sent().is_empty());
    let (dp, mega) = s.counts();
    assert_eq!((dp[0], dp[1], mega[0], mega[1]), (0, 1, 1, 1));
    assert_eq!(stats(&s.flows()[0]), None);
}

#[test]
fn k22_what_is_no_packet_is_not_even_looked_up() {
    let (mut s, a, _, _) = two_ports(&[2]);
    a.receive(&[0; 13]);
    assert_eq!(s.counts().0, [0, 0, 0, 1]);
}

#[test]
fn d10_masks_probed_of_many() {
    let (mut s, a, _, udp) = two_ports(&[]);
    for bit in 0..5 {
        let other = Udp {
            src: 0,
            dst: 1 << bit,
            ..udp
        };
        s.create(&flow(&other).mask(mask(0, 1 << bit, 0, 0)).acts(&[]))
            .unwrap();
    }
    let last = Udp {
        src: 0,
        dst: 1 << 4,
        ..udp
    }
    .packet();
    let before = s.counts().1;
    a.receive(&last);
    a.receive(&last);
    a.receive(&last);
    let after = s.counts().1;
    assert_eq!(after[1], 6);
    // They all overlap, so nothing tells them apart. C, which tries all masks, counts 6 for the first packet.
    let probed = after[0] - before[0];
    assert!((3..=18).contains(&probed), "{probed}");
    assert_eq!(after[2] - before[2], if probed == 3 { 3 } else { 0 });
}
