// SPDX-License-Identifier: GPL-2.0
//! Labels pushed, popped and set (spec A9, A24, A30, B14, B44).

use crate::act_kit::*;
use openvswitch::datapath::env::IpSummed;
use openvswitch::datapath::netlink::attr::Attrs;
use openvswitch::packet::Packet;
use openvswitch::rust::sync::BhGuard;

/// Label, bottom of stack, TTL 64.
fn label(n: u16, bottom: u8) -> [u8; 4] {
    let [hi, lo] = n.to_be_bytes();
    [hi, lo, bottom, 64]
}

/// The labels in the key of the one upcall to this port.
fn told(lab: &Lab, pid: u32) -> Option<Vec<u8>> {
    let [message] = &lab.upcalls(pid)[..] else {
        panic!("one upcall");
    };
    let key = Attrs::new(message.get(packet_attr::KEY).expect("a key"));
    let mut labels = key.filter(|a| a.ty() == key_attr::MPLS);
    labels.next().map(|a| a.payload().to_vec())
}

/// A frame with these labels between the Ethernet header and the rest.
fn labelled(frame: &[u8], labels: &[[u8; 4]]) -> Vec<u8> {
    let (eth, rest) = frame.split_at(12);
    [eth, &[0x88, 0x47], &labels.concat(), &rest[2..]].concat()
}

#[test]
fn labels_go_behind_the_ethernet_header_and_away() {
    let mut lab = Lab::new();
    let (one, two) = (label(1, 1), label(2, 0));
    lab.exec(list().push_mpls(one, 0x8847).output(2));
    assert_eq!(lab.bytes(2), [labelled(&udp(), &[one])]);
    let both = list().push_mpls(one, 0x8847).push_mpls(two, 0x8847);
    lab.exec(both.clone().output(2).pop_mpls(0x8847).output(3));
    assert_eq!(lab.bytes(2), [labelled(&udp(), &[two, one])]);
    assert_eq!(lab.bytes(3), [labelled(&udp(), &[one])]);
    lab.exec(both.pop_mpls(0x8847).pop_mpls(0x800).output(2));
    assert_eq!(lab.bytes(2), [udp()]);
    lab.exec(list().add_mpls(one, 1).output(2));
    assert_eq!(lab.bytes(2), [labelled(&udp(), &[one])]);
    assert_eq!(drops(), []);
}

#[test]
fn a_label_in_front_makes_an_l3_packet_of_a_frame() {
    let mut lab = Lab::new();
    let one = label(1, 1);
    lab.exec(list().add_mpls(one, 0).output(2));
    assert_eq!(drops(), [DropReason::NotSpecified]); // Ethernet ports send frames
    lab.exec(list().add_mpls(one, 0).push_eth().output(2));
    let eth = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0x47];
    assert_eq!(lab.bytes(2), [[&eth[..], &one, &udp()].concat()]);
    lab.exec(list().add_mpls(one, 0).pop_mpls(0x6558).output(2));
    assert_eq!(lab.bytes(2), [udp()]);
}

#[test]
fn a24_the_outermost_label_is_set() {
    let mut lab = Lab::new();
    let frame = labelled(&udp(), &[label(1, 0), label(2, 1)]);
    let set = list().set(key_attr::MPLS, &label(9, 0)).output(2);
    lab.on(&frame, set.user(5)).expect("no error");
    assert_eq!(
        lab.bytes(2),
        [labelled(&udp(), &[label(9, 0), label(2, 1)])]
    );
    let labels = [label(9, 0), label(2, 1)].concat();
    assert_eq!(told(&lab, 5), Some(labels));
}

#[test]
fn a24_a_label_just_pushed_is_not_the_keys() {
    let mut lab = Lab::new();
    let mut ipv6 = udp()[..12].to_vec();
    ipv6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 59, 64]);
    ipv6.extend([0xa5; 32]);
    let pushed = list().push_mpls(label(1, 1), 0x8847).user(5);
    lab.on(&ipv6, pushed.set(key_attr::MPLS, &label(9, 1)).user(5))
        .expect("no error");
    // The key is stale from the push on, and still what the packet was.
    let keys = lab.upcalls(5);
    let [before, after] = &keys[..] else {
        panic!("two upcalls");
    };
    let ip = |m: &Message| {
        let mut key = Attrs::new(m.get(packet_attr::KEY).expect("a key"));
        let ip = key.find(|a| a.ty() == key_attr::IPV6);
        ip.expect("IPv6").payload()[..32].to_vec()
    };
    assert_eq!(ip(before), [0xa5; 32]);
    assert_eq!(ip(after), [0xa5; 32]);
}

#[test]
fn complete_sums_follow() {
    let mut lab = Lab::new();
    let one = label(1, 1);
    let add = || list().add_mpls(one, 0);
    for acts in [
        add().push_eth(),
        add().add_mpls(label(2, 0), 0).push_eth(),
        add().set(key_attr::MPLS, &label(77, 1)).push_eth(),
        add().add_mpls(label(2, 0), 0).pop_mpls(0x8847).push_eth(),
        add().pop_mpls(0x6558),
        list().add_mpls(one, 0).push_eth().push_vlan(0x8100, 0x1001),
    ] {
        lab.flow_for_port_1(acts.output(2));
        let pkt = Packet::new(&udp()).with_checksum(IpSummed::Complete);
        lab.devs[0].receive_packet(pkt, &BhGuard::enter());
        let sums: Vec<_> = lab.sent(2).iter().map(|s| s.sum_is_right).collect();
        assert_eq!(sums, [Some(true)]);
    }
}

#[test]
fn a9_what_was_pushed_is_seen_after_recirculation() {
    let mut lab = Lab::new();
    lab.exec(list().push_mpls(label(7, 1), 0x8847).recirc(1));
    assert_eq!(told(&lab, 7), Some(label(7, 1).to_vec()));
    lab.exec(
        list()
            .push_mpls(label(7, 1), 0x8847)
            .pop_mpls(0x800)
            .recirc(1),
    );
    assert_eq!(told(&lab, 7), None);
}

#[test]
fn b44_short_and_endless_stacks_are_survived() {
    let mut lab = Lab::new();
    for n in [0, 1, 3, 4, 5, 8, 400] {
        let mut frame = udp()[..12].to_vec();
        frame.extend([0x88, 0x47]);
        frame.resize(14 + n, 0);
        for acts in [
            list().pop_mpls(0x800).output(2),
            list().pop_mpls(0x8847).output(2),
            list().set(key_attr::MPLS, &label(1, 1)).output(2),
            list().push_mpls(label(1, 0), 0x8848).output(2),
            list().add_mpls(label(1, 0), 0).push_eth().output(2),
        ] {
            let fits = n >= 4 || acts.0[2] == 9 || acts.0[2] == 22;
            assert_eq!(lab.on(&frame, acts.clone()).is_ok(), fits, "{n} {acts:?}");
            assert_eq!(lab.counts(), [0, usize::from(fits), 0]);
        }
    }
}

#[test]
fn a30_fragments_have_the_labels_again() {
    let mut lab = Lab::new();
    let mut frame = udp();
    frame.resize(14 + 20 + 1000, 7);
    let run = |lab: &mut Lab, labels: usize| {
        let acts = (0..labels).fold(list(), |l, _| l.push_mpls(label(1, 1), 0x8847));
        let mut attrs = request(&frame, acts.output(2));
        let mru = Bytes::new().put(packet_attr::MRU, &600u16.to_ne_bytes());
        attrs.0.extend(mru.0);
        lab.run(&attrs).expect("no error");
        lab.bytes(2)
    };
    for labels in 1..=4 {
        let sent = run(&mut lab, labels);
        assert_eq!(sent.len(), 2);
        let l2 = labelled(&frame, &vec![label(1, 1); labels])[..14 + 4 * labels].to_vec();
        for fragment in sent {
            assert_eq!(fragment[..l2.len()], l2);
            assert_eq!(fragment[l2.len()], 0x45);
            assert!(fragment.len() <= l2.len() + 600);
        }
    }
    assert_eq!(drops(), []);
    assert!(run(&mut lab, 5).is_empty());
    assert_eq!(drops(), [DropReason::FragL2TooLong]);
}
