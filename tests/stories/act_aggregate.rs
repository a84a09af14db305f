// SPDX-License-Identifier: GPL-2.0
//! What one aggregate may cost (A10, A31, U11).

use crate::act_kit::*;
use crate::act_nsh::push;
use openvswitch::packet::{Gso, Packet};
use openvswitch::rust::sync::BhGuard;

/// An aggregate of `n` packets of one byte.
fn aggregate(n: usize) -> Packet {
    let mut bytes = udp();
    bytes.resize(42 + n, 7);
    Packet::new(&bytes).with_gso(Gso {
        size: 1,
        headers: 42,
        udp_fragments: false,
    })
}

fn receive(lab: &mut Lab, n: usize) {
    lab.devs[0].receive_packet(aggregate(n), &BhGuard::enter());
}

#[test]
fn a10_copies_of_an_aggregate_are_bounded_by_its_packets() {
    let outputs = |n| (0..n).fold(list(), |l, _| l.output(2));
    let clones = |n| {
        (0..n).fold(list(), |l, _| {
            l.cloned(list().set(key_attr::ETHERNET, &[9; 12]).output(2))
        })
    };
    let recircs = |n| (0..n).fold(list(), |l, _| l.recirc(1));
    for (what, list) in [outputs(1000), clones(1000), recircs(1000)]
        .into_iter()
        .enumerate()
    {
        let mut lab = Lab::new();
        lab.flow(0, 1, list);
        lab.flow(1, 1, Bytes::new().output(2));
        receive(&mut lab, 40);
        assert_eq!(lab.sent(2).len(), 1000, "{what}: what is usual");
        for _ in 0..2 {
            take_log();
            receive(&mut lab, 4000);
            let sent = lab.sent(2).len();
            assert!((50..100).contains(&sent), "{what}: {sent}");
            assert!(!take_log().is_empty());
        }
    }
    drops();
}

#[test]
fn u11_upcalls_of_an_aggregate_are_bounded_by_its_packets() {
    let mut lab = Lab::new();
    lab.flow_for_port_1((0..40).fold(list(), |l, _| l.user(9)).output(2));
    receive(&mut lab, 30);
    assert_eq!((lab.upcalls(9).len(), lab.sent(2).len()), (1200, 1));
    receive(&mut lab, 20_000);
    let (told, sent) = (lab.upcalls(9).len(), lab.sent(2).len());
    assert!((200_000..300_000).contains(&told), "{told}");
    assert_eq!(sent, 1);
}

/// The kernel's stack would not last for them.
#[test]
fn a31_an_aggregate_with_many_service_headers_is_not_cut_up() {
    for (n, passes) in [(1, true), (8, true), (9, false), (300, false)] {
        let acts = (0..n).fold(list(), |l, _| l.cat(push(1)));
        let mut lab = Lab::new();
        lab.flow(0, 1, acts.user(9).push_eth().output(2));
        receive(&mut lab, 30);
        let got = (lab.upcalls(9).is_empty(), lab.sent(2).len());
        assert_eq!(got, (!passes, usize::from(passes)), "{n}");
    }
    drops();
}
