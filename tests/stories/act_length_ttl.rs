// SPDX-License-Identifier: GPL-2.0
//! CHECK_PKT_LEN and DEC_TTL: lists that run by what the packet is (spec 4.1, B56, B57).

use crate::act_kit::*;
use openvswitch::packet::{Gso, Packet};
use openvswitch::rust::sync::BhGuard;

/// Sets the length field and the header checksum right.
fn with_ttl(mut frame: Vec<u8>, ttl: u8) -> Vec<u8> {
    frame[22] = ttl;
    frame[24..26].fill(0);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    frame
}

#[test]
fn b57_a_packet_takes_the_list_for_its_length() {
    let mut lab = Lab::new();
    let check = |len| list().check_pkt_len(len, list().output(2), list().output(3));
    for (len, expected) in [
        (59, [0, 0, 1]),
        (60, [0, 1, 0]),
        (61, [0, 1, 0]),
        (65535, [0, 1, 0]),
    ] {
        lab.exec(check(len));
        assert_eq!(lab.counts(), expected, "{len}");
        // Not the last action: on a copy.
        lab.exec(check(len).output(1));
        assert_eq!(lab.counts(), [1, expected[1], expected[2]], "{len}");
    }
    assert_eq!(drops(), []);
}

#[test]
fn b57_a_reassembled_packet_is_as_long_as_its_longest_fragment() {
    let mut lab = Lab::new();
    let check = |len| list().check_pkt_len(len, list().output(2), list().output(3));
    for (len, expected) in [(1013, [0, 0, 1]), (1014, [0, 1, 0])] {
        let mru = Bytes::new().put(packet_attr::MRU, &1000u16.to_ne_bytes());
        let mut attrs = request(&udp(), check(len));
        attrs.0.extend(mru.0);
        lab.run(&attrs).expect("no error");
        assert_eq!(lab.counts(), expected, "{len}");
    }
}

#[test]
fn b57_an_aggregate_is_as_long_as_its_segments() {
    let mut lab = Lab::new();
    let mut bytes = udp();
    bytes.resize(42 + 4000, 7);
    let gso = Gso {
        size: 1000,
        headers: 42,
        udp_fragments: false,
    };
    for (len, expected) in [(1041, [0, 0, 1]), (1042, [0, 1, 0]), (4042, [0, 1, 0])] {
        let acts = list().check_pkt_len(len, list().output(2), list().output(3));
        lab.flow_for_port_1(acts);
        lab.devs[0].receive_packet(Packet::new(&bytes).with_gso(gso), &BhGuard::enter());
        assert_eq!(lab.counts(), expected, "{len}");
    }
}

#[test]
fn check_pkt_len_keeps_changes_inside_and_empty_lists_pass() {
    let mut lab = Lab::new();
    let changing = list().set(key_attr::ETHERNET, &[9; 12]).output(2);
    let acts = list()
        .check_pkt_len(100, changing.clone(), list())
        .output(3);
    lab.exec(acts);
    assert_eq!(lab.bytes(2)[0][0], 9);
    assert_eq!(lab.bytes(3), [udp()]);
    lab.exec(list().check_pkt_len(1, changing.clone(), list()).output(3));
    assert_eq!(lab.counts(), [0, 0, 1]);
    assert_eq!(drops(), [DropReason::LastAction]); // the copy's
    lab.exec(list().check_pkt_len(1, changing.clone(), list()));
    assert_eq!(drops(), [DropReason::LastAction]);
    // Lists in lists, the second before what comes after.
    let inner = list().check_pkt_len(1, list().output(1), changing.output(3));
    lab.exec(list().check_pkt_len(1, list(), inner.clone()).output(1));
    assert_eq!(lab.counts(), [1, 1, 1]);
    lab.exec(list().check_pkt_len(100, inner, list().output(1)));
    assert_eq!(lab.counts(), [0, 1, 1]);
}

#[test]
fn b56_ttl_goes_down_with_its_checksum() {
    let mut lab = Lab::new();
    for ttl in [255, 128, 65, 2] {
        lab.on(&with_ttl(udp(), ttl), list().dec_ttl(list()).output(2))
            .expect("no error");
        assert_eq!(lab.bytes(2), [with_ttl(udp(), ttl - 1)]);
    }
    assert_eq!(drops(), []);
}

#[test]
fn b56_a_packet_without_life_left_ends_in_the_list() {
    let mut lab = Lab::new();
    for ttl in [0, 1] {
        let frame = with_ttl(udp(), ttl);
        lab.on(&frame, list().dec_ttl(list().output(3)).output(2))
            .expect("no error");
        assert_eq!(lab.bytes(3), [&frame[..]]);
        assert_eq!(lab.counts(), [0, 0, 0]);
        assert_eq!(drops(), []);
        lab.on(&frame, list().dec_ttl(list()).output(2))
            .expect("no error");
        assert_eq!(lab.counts(), [0, 0, 0]);
        assert_eq!(drops(), [DropReason::IpTtl]);
        // Of a clone only the clone ends.
        let acts = list().cloned(list().dec_ttl(list().output(3)).output(2));
        lab.on(&frame, acts.output(1)).expect("no error");
        assert_eq!(lab.counts(), [1, 0, 1]);
    }
}

#[test]
fn b56_packets_that_have_no_ttl_pass() {
    let mut lab = Lab::new();
    let mut arp = udp();
    arp[12..14].copy_from_slice(&[8, 6]);
    lab.on(&arp, list().dec_ttl(list()).output(2))
        .expect("no error");
    assert_eq!(lab.bytes(2), [arp]);
    // IPv4 that is cut short: nothing is written where there is no header.
    let cut = &udp()[..30];
    assert!(lab.on(cut, list().dec_ttl(list()).output(2)).is_err());
    assert_eq!(drops(), [DropReason::ActionError]);
}
