// SPDX-License-Identifier: GPL-2.0
//! Service headers pushed and popped, and Ethernet headers around them (spec A9, A15, B8, B9).

use crate::act_kit::*;
use openvswitch::datapath::abi::nsh_attr;

/// NSH of MD type 1: TTL 63, path 1, index 255; `np` says what follows.
fn header(np: u8) -> Vec<u8> {
    let mut h = vec![0x0f, 0xc6, 1, np, 0, 0, 1, 255];
    h.extend(0..16);
    h
}

pub fn push(np: u8) -> Bytes {
    let context: Vec<u8> = (0..16).collect();
    let nsh = Bytes::new()
        .put(nsh_attr::BASE, &[0, 63, 1, np, 0, 0, 1, 255])
        .put(nsh_attr::MD1, &context);
    Bytes::new().nest(act::PUSH_NSH, Bytes::new().nest(key_attr::NSH, nsh))
}

/// The Ethernet header that `push_eth` makes.
fn outer(eth_type: u16) -> Vec<u8> {
    let mut h = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    h.extend(eth_type.to_be_bytes());
    h
}

#[test]
fn the_next_protocol_is_what_the_packet_is() {
    let mut lab = Lab::new();
    lab.exec(push(1).push_eth().output(2));
    assert_eq!(lab.bytes(2), [[outer(0x894f), header(3), udp()].concat()]);
    lab.exec(list().pop_eth().cat(push(5)).push_eth().output(2));
    assert_eq!(
        lab.bytes(2),
        [[&outer(0x894f), &header(1), &udp()[14..]].concat()]
    );
    lab.exec(push(1).cat(push(1)).push_eth().output(2));
    let twice = [outer(0x894f), header(4), header(3), udp()].concat();
    assert_eq!(lab.bytes(2), [twice]);
    assert_eq!(drops(), []);
}

#[test]
fn a_popped_header_leaves_what_was_in_it() {
    let mut lab = Lab::new();
    let frame = [outer(0x894f), header(3), udp()].concat();
    let pop = list().pop_eth().attr(act::POP_NSH, &[]);
    lab.on(&frame, pop.clone().output(2)).expect("no error");
    assert_eq!(lab.bytes(2), [udp()]);
    let frame = [&outer(0x894f), &header(1), &udp()[14..]].concat();
    lab.on(&frame, pop.push_eth().output(2)).expect("no error");
    assert_eq!(lab.bytes(2), [[&outer(0x800), &udp()[14..]].concat()]);
}

// A15: validation takes the packet for what it was before.
#[test]
fn a15_what_stands_there_is_taken_for_a_header_and_survived() {
    let mut lab = Lab::new();
    let pop = || list().attr(act::POP_NSH, &[]);
    let frame = [outer(0x894f), header(1), udp()[14..34].to_vec()].concat();
    for acts in [
        pop().output(2),
        list().pop_eth().cat(pop()).cat(pop()).output(2),
        list().pop_eth().cat(pop()).cat(pop()).cat(pop()).output(2),
    ] {
        let _ = lab.on(&frame, acts);
        assert_eq!(lab.counts(), [0, 0, 0]);
        assert_eq!(drops().len(), 1);
    }
    for field in [key_attr::IPV4, key_attr::UDP] {
        let (value, n) = match field {
            key_attr::IPV4 => ([10, 0, 0, 9, 10, 0, 0, 8, 17, 0, 5, 0], 12),
            _ => ([9; 12], 4),
        };
        let acts = push(1).set(field, &value[..n]).push_eth().output(2);
        lab.exec(acts);
        assert_eq!(lab.counts(), [0, 1, 0]);
    }
}

// Whoever inserts a tag takes a whole Ethernet header for granted.
#[test]
fn a15_less_than_an_ethernet_header_is_no_frame() {
    let mut lab = Lab::new();
    let pop = list().pop_eth().attr(act::POP_NSH, &[]).output(2);
    for n in 0..=14 {
        let frame = [outer(0x894f), header(3), vec![9; n]].concat();
        let is_frame = n == 14;
        assert_eq!(lab.on(&frame, pop.clone()).is_ok(), is_frame, "{n}");
        assert_eq!(lab.counts(), [0, is_frame.into(), 0]);
        assert_eq!(drops().len(), usize::from(!is_frame));
    }
}

#[test]
fn no_memory_drops_the_packet() {
    let mut lab = Lab::new();
    let alive = openvswitch::packet::alive();
    let acts = push(1).push_eth().pop_eth().push_eth().output(2);
    for n in 1.. {
        openvswitch::packet::fail_nth(n);
        let _ = lab.on(&udp(), acts.clone());
        let struck = openvswitch::packet::fail_nth(0);
        lab.counts();
        drops();
        assert_eq!(openvswitch::packet::alive(), alive, "{n}");
        if !struck {
            break;
        }
    }
}
