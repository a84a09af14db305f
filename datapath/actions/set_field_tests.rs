// SPDX-License-Identifier: GPL-2.0
//! SET on packets of all kinds and checksum states, against checksums computed from scratch.

use super::*;
use crate::datapath::flow::extract;
use crate::packet::{fold, sum, Packet};
use proptest::prelude::*;
use std::{vec, vec::Vec};

const ETH: usize = 14;

/// A frame and where its transport header is.
#[derive(Clone, Debug)]
struct Frame {
    bytes: Vec<u8>,
    l4: usize,
    proto: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ip {
    V4,
    V4Options,
    V4FirstFragment,
    V6,
    /// A routing header that has been used up.
    V6Routed,
    /// One that names the real destination.
    V6Routing,
}

impl Ip {
    fn is_v4(self) -> bool {
        matches!(self, Ip::V4 | Ip::V4Options | Ip::V4FirstFragment)
    }

    fn field(self) -> Field {
        if self.is_v4() {
            Field::Ipv4
        } else {
            Field::Ipv6
        }
    }

    /// Header with options and extensions; lengths and checksums are filled in later.
    fn header(self, proto: u8, noise: &[u8]) -> Vec<u8> {
        let n = |i: usize| noise[i % noise.len()];
        if self.is_v4() {
            let options = if self == Ip::V4Options { 8 } else { 0 };
            let frag = if self == Ip::V4FirstFragment {
                0x20
            } else {
                0x40
            };
            let mut h = vec![
                0x45 + (options / 4) as u8,
                n(0),
                0,
                0,
                n(1),
                n(2),
                frag,
                0,
                n(3),
                proto,
                0,
                0,
            ];
            h.extend((0..8).map(|i| n(4 + i)));
            h.extend(vec![1; options]);
            return h;
        }
        let next = if self == Ip::V6 { proto } else { 43 };
        let mut h = vec![0x60 | n(0) >> 4, n(1), n(2), n(3), 0, 0, next, n(4)];
        h.extend((0..32).map(|i| n(5 + i)));
        match self {
            Ip::V6 => {}
            _ => {
                h.extend([proto, 2, 0, u8::from(self == Ip::V6Routing), 0, 0, 0, 0]);
                h.extend((0..16).map(|i| n(40 + i)));
            }
        }
        h
    }
}

fn l4_header(proto: u8) -> usize {
    match proto {
        6 => 20,
        132 => 12,
        _ => 8,
    }
}

fn check_at(proto: u8) -> Option<usize> {
    match proto {
        6 => Some(16),
        17 => Some(6),
        58 => Some(2),
        _ => None,
    }
}

/// The pseudo-header's sum, for the destination that the packet will have in the end.
fn pseudo(f: &Frame) -> u32 {
    let ip = &f.bytes[ETH..];
    let len = (f.bytes.len() - f.l4) as u16;
    let rest = [0, f.proto, len.to_be_bytes()[0], len.to_be_bytes()[1]];
    if ip[0] >> 4 == 4 {
        return sum(sum(0, &ip[12..20]), &rest);
    }
    let live = ip[6] == 43 && ip[43] > 0;
    let dst = if live { &ip[48..64] } else { &ip[24..40] };
    sum(sum(sum(0, &ip[8..24]), dst), &rest)
}

/// What covers the transport header: 0xffff if its checksum is right.
fn l4_sum(f: &Frame) -> u16 {
    fold(sum(pseudo(f), &f.bytes[f.l4..]))
}

fn ipv4_sum(f: &Frame) -> u16 {
    let ihl = usize::from(f.bytes[ETH] & 0xf) * 4;
    fold(sum(0, &f.bytes[ETH..ETH + ihl]))
}

fn frame(ip: Ip, proto: u8, noise: &[u8], payload: usize) -> Frame {
    let ty: u16 = if ip.is_v4() { 0x0800 } else { 0x86dd };
    let mut bytes = noise[..12].to_vec();
    bytes.extend(ty.to_be_bytes());
    bytes.extend(ip.header(proto, noise));
    let l4 = bytes.len();
    let mut header: Vec<u8> = (0..l4_header(proto))
        .map(|i| noise[(7 * i + 3) % noise.len()])
        .collect();
    if proto == 6 {
        header[12] = 0x50;
    }
    bytes.extend(header);
    bytes.extend((0..payload).map(|i| noise[(5 * i + 1) % noise.len()]));
    let len = ((bytes.len() - ETH) as u16).to_be_bytes();
    if ip.is_v4() {
        bytes[ETH + 2..ETH + 4].copy_from_slice(&len);
        let ihl = usize::from(bytes[ETH] & 0xf) * 4;
        let check = !fold(sum(0, &bytes[ETH..ETH + ihl]));
        bytes[ETH + 10..ETH + 12].copy_from_slice(&check.to_ne_bytes());
    } else {
        let len = ((bytes.len() - ETH - 40) as u16).to_be_bytes();
        bytes[ETH + 4..ETH + 6].copy_from_slice(&len);
    }
    let mut f = Frame { bytes, l4, proto };
    if let Some(at) = check_at(proto) {
        f.bytes[l4 + at..l4 + at + 2].fill(0);
        let check = match !l4_sum(&f) {
            0 if proto == 17 => 0xffff,
            c => c,
        };
        f.bytes[l4 + at..l4 + at + 2].copy_from_slice(&check.to_ne_bytes());
    }
    f
}

fn field_at(f: &mut Frame) -> Option<&mut [u8]> {
    let at = f.l4 + check_at(f.proto)?;
    Some(&mut f.bytes[at..at + 2])
}

/// As extraction leaves a packet and its key.
fn extracted(f: &Frame, state: IpSummed) -> (Packet, FlowKey) {
    let mut pkt = Packet::new(&f.bytes).with_checksum(state);
    let key = extract::from_device(&mut pkt, 1, true).expect("a key");
    (pkt, key)
}

/// The value and mask of a SET for `field`, which lets protocol and fragment type alone.
fn limit(field: Field, value: &[u8], mask: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let n = field.size();
    let mut mask = mask[..n].to_vec();
    match field {
        Field::Ipv4 => {
            mask[8] = 0;
            mask[11] = 0;
        }
        Field::Ipv6 => {
            mask[32] = 0;
            mask[33] &= 0x0f;
            mask[36] = 0;
            mask[39] = 0;
        }
        _ => {}
    }
    let value = value[..n].iter().zip(&mask).map(|(v, m)| v & m).collect();
    (value, mask)
}

/// What the frame's bytes must be, checksums aside: (offset in frame, offset in attribute, length).
fn layout(field: Field, f: &Frame) -> Vec<(usize, usize, usize)> {
    match field {
        Field::Ethernet => vec![(6, 0, 6), (0, 6, 6)],
        Field::Ipv4 => vec![
            (ETH + 12, 0, 4),
            (ETH + 16, 4, 4),
            (ETH + 1, 9, 1),
            (ETH + 8, 10, 1),
        ],
        Field::Ipv6 => vec![(ETH + 8, 0, 16), (ETH + 24, 16, 16), (ETH + 7, 38, 1)],
        Field::Tcp | Field::Udp | Field::Sctp => vec![(f.l4, 0, 4)],
        Field::Mpls => vec![(ETH, 0, 4)],
        Field::Priority | Field::Mark => vec![],
    }
}

fn expected(f: &Frame, field: Field, value: &[u8], mask: &[u8]) -> Frame {
    let mut want = f.clone();
    for (at, attr, len) in layout(field, f) {
        for i in 0..len {
            want.bytes[at + i] = (f.bytes[at + i] & !mask[attr + i]) | value[attr + i];
        }
    }
    if field == Field::Ipv6 {
        let word = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
        let m = word(&mask[32..]) | u32::from(mask[37]) << 20;
        let v = word(&value[32..]) | u32::from(value[37]) << 20;
        let new = (word(&f.bytes[ETH..]) & !m) | v;
        want.bytes[ETH..ETH + 4].copy_from_slice(&new.to_be_bytes());
    }
    want
}

fn any_ip() -> impl Strategy<Value = Ip> {
    prop::sample::select(vec![
        Ip::V4,
        Ip::V4Options,
        Ip::V4FirstFragment,
        Ip::V6,
        Ip::V6Routed,
        Ip::V6Routing,
    ])
}

fn any_state() -> impl Strategy<Value = IpSummed> {
    use IpSummed::{Complete, None, Partial, Unnecessary};
    prop::sample::select(vec![None, Unnecessary, Complete, Partial])
}

fn any_bytes(n: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => Just(0u8), 3 => Just(0xff), 3 => any::<u8>()];
    prop::collection::vec(byte, n)
}

/// A SET as [`super::set`] runs it, from slices.
fn set(pkt: &mut Packet, key: &mut FlowKey, field: Field, value: &[u8], mask: &[u8]) -> Result {
    fn array<const N: usize>(b: &[u8]) -> &[u8; N] {
        b.try_into().unwrap()
    }
    match field {
        Field::Ethernet if mask == [0xff; 12] => set_addresses(pkt, key, &swapped(array(value))),
        Field::Ethernet => {
            let (set, keep) = addresses_in_place(array(value), array(mask));
            ethernet(pkt, key, &set, &keep)
        }
        Field::Ipv4 => match TosTtl::from_attr(value, mask) {
            Some(short) => set_tos_ttl(pkt, key, &short),
            None => ipv4(pkt, key, array(value), array(mask)),
        },
        Field::Ipv6 => ipv6(pkt, key, array(value), array(mask)),
        Field::Tcp => tcp(pkt, key, array(value), array(mask)),
        Field::Udp => udp(pkt, key, array(value), array(mask)),
        Field::Sctp => sctp(pkt, key, array(value), array(mask)),
        Field::Mpls => mpls(pkt, key, array(value), array(mask)),
        Field::Priority => priority(pkt, key, array(value), array(mask)),
        Field::Mark => mark(pkt, key, array(value), array(mask)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    // B49: the device's sum too, after every SET of IPv6 fields.
    #[test]
    fn checksums_follow_every_set(
        ip in any_ip(),
        proto in prop::sample::select(vec![6u8, 17, 58, 132, 89]),
        state in any_state(),
        noise in any_bytes(64),
        payload in 0usize..40,
        which in 0u8..3,
        value in any_bytes(40),
        mask in prop_oneof![3 => any_bytes(40), 1 => Just(vec![0xff; 40])],
        damage in prop_oneof![Just(0u16), any::<u16>()],
        no_udp_sum: bool,
    ) {
        prop_assume!(!(ip.is_v4() && proto == 58));
        let payload = payload & !1; // so that the whole packet's sum is easy to state
        let mut f = frame(ip, proto, &noise, payload);
        let partial = state == IpSummed::Partial && matches!(proto, 6 | 17);
        let no_sum = proto == 17 && no_udp_sum && !partial;
        let pseudo_sum = fold(pseudo(&f));
        if let Some(field) = field_at(&mut f) {
            if partial {
                field.copy_from_slice(&pseudo_sum.to_ne_bytes());
            } else if no_sum {
                field.fill(0);
            } else {
                // A sum that was wrong stays as wrong.
                let was = u16::from_ne_bytes([field[0], field[1]]);
                if was ^ damage != 0 {
                    field.copy_from_slice(&(was ^ damage).to_ne_bytes());
                }
            }
        }
        let field = match which {
            0 => Field::Ethernet,
            1 => ip.field(),
            _ => match proto {
                6 => Field::Tcp,
                17 => Field::Udp,
                132 => Field::Sctp,
                _ => ip.field(),
            },
        };
        let (value, mask) = limit(field, &value, &mask);
        let before = l4_sum(&f);
        let (mut pkt, mut key) = extracted(&f, state);
        let crc_before = pkt.sctp_checksum(f.l4);
        set(&mut pkt, &mut key, field, &value, &mask).unwrap();

        let mut want = expected(&f, field, &value, &mask);
        let got = Frame { bytes: pkt.bytes().to_vec(), ..f.clone() };
        if ip.is_v4() {
            prop_assert_eq!(ipv4_sum(&got), 0xffff);
            want.bytes[ETH + 10..ETH + 12].copy_from_slice(&got.bytes[ETH + 10..ETH + 12]);
        }
        if let Some(at) = check_at(proto) {
            let at = f.l4 + at;
            let check = u16::from_ne_bytes([got.bytes[at], got.bytes[at + 1]]);
            if partial {
                let want = fold(pseudo(&got));
                prop_assert!(check == want || (check == 0xffff && want == 0));
            } else if no_sum {
                prop_assert_eq!(check, 0);
            } else if state != IpSummed::Partial {
                prop_assert_eq!(l4_sum(&got), before);
                prop_assert!(proto != 17 || check != 0);
            }
            want.bytes[at..at + 2].copy_from_slice(&got.bytes[at..at + 2]);
        }
        if proto == 132 {
            let at = f.l4 + 8;
            let crc = |b: &[u8]| u32::from_ne_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
            let crc_after = pkt.sctp_checksum(f.l4);
            if field == Field::Sctp {
                prop_assert_eq!(crc(&f.bytes) ^ crc_before, crc(&got.bytes) ^ crc_after);
            }
            want.bytes[at..at + 4].copy_from_slice(&got.bytes[at..at + 4]);
        }
        prop_assert_eq!(&got.bytes, &want.bytes);
        prop_assert!(state != IpSummed::Complete || pkt.csum_is_right());

        let fresh = extract::from_device(&mut Packet::new(&got.bytes), 1, true).unwrap();
        prop_assert_eq!(key, fresh);
    }
}

#[test]
fn priority_and_mark_change_packet_and_key() {
    // A25
    let (mut pkt, mut key) = extracted(&frame(Ip::V4, 17, &[9; 64], 4), IpSummed::None);
    pkt.set_priority(0x1122_3344);
    set(
        &mut pkt,
        &mut key,
        Field::Priority,
        &0xaa00_u32.to_ne_bytes(),
        &0xff00_u32.to_ne_bytes(),
    )
    .unwrap();
    assert_eq!((pkt.priority(), key.priority), (0x1122_aa44, 0x1122_aa44));
    set(&mut pkt, &mut key, Field::Mark, &[0xff; 4], &[0xff; 4]).unwrap();
    assert_eq!((pkt.mark(), key.mark), (u32::MAX, u32::MAX));
}

#[test]
fn only_a_real_change_makes_the_packet_another_flow() {
    // A21, A23
    let f = frame(Ip::V4, 6, &[9; 64], 4);
    let run = |f: &Frame, field: Field, value: &[u8]| {
        let (mut pkt, mut key) = extracted(f, IpSummed::None);
        pkt.set_raw_hash(5, false, true);
        pkt.conntrack = true;
        set(&mut pkt, &mut key, field, value, &[0xff; 40][..value.len()]).unwrap();
        (pkt.raw_hash().0, pkt.conntrack)
    };
    let mut same = [0; 12];
    same[..8].copy_from_slice(&f.bytes[ETH + 12..ETH + 20]);
    same[8..].copy_from_slice(&[6, 1, 2, 0]);
    assert_eq!(run(&f, Field::Ipv4, &same), (5, true));
    assert_eq!(run(&f, Field::Ipv4, &[1; 12]), (0, false));
    assert_eq!(run(&f, Field::Tcp, &f.bytes[f.l4..f.l4 + 4]), (0, true));
    assert_eq!(run(&f, Field::Tcp, &[1; 4]), (0, false));
    let mut f = frame(Ip::V4, 17, &[9; 64], 4);
    let ports = f.bytes[f.l4..f.l4 + 4].to_vec();
    assert_eq!(run(&f, Field::Udp, &ports), (0, true));
    assert_eq!(run(&f, Field::Udp, &[1; 4]), (0, false));
    // Without a checksum nobody looks whether it is a change.
    f.bytes[f.l4 + 6..f.l4 + 8].fill(0);
    assert_eq!(run(&f, Field::Udp, &ports), (0, false));
}

#[test]
fn only_the_changed_port_enters_a_key_that_lacks_both() {
    // A23, K28: a TCP header that says it is longer than the packet has no ports in the key.
    let mut f = frame(Ip::V4, 6, &[9; 64], 4);
    f.bytes[f.l4 + 12] = 0xf0;
    let (mut pkt, mut key) = extracted(&f, IpSummed::None);
    assert_eq!((key.tp_src.get(), key.tp_dst.get()), (0, 0));
    set(
        &mut pkt,
        &mut key,
        Field::Tcp,
        &[0, 7, 0, 0],
        &[0xff, 0xff, 0, 0],
    )
    .unwrap();
    assert_eq!((key.tp_src.get(), key.tp_dst.get()), (7, 0));
}

#[test]
fn fragments_keep_their_payload() {
    // B48, Q8
    let mut f = frame(Ip::V4, 6, &[9; 64], 40);
    f.bytes[ETH + 6..ETH + 8].copy_from_slice(&[0, 100]);
    f.bytes[ETH + 10..ETH + 12].fill(0);
    let check = !ipv4_sum(&f);
    f.bytes[ETH + 10..ETH + 12].copy_from_slice(&check.to_ne_bytes());
    let (mut pkt, mut key) = extracted(&f, IpSummed::Complete);
    set(&mut pkt, &mut key, Field::Tcp, &[1; 4], &[0xff; 4]).unwrap();
    assert_eq!(pkt.bytes(), f.bytes);
    let (value, mask) = limit(Field::Ipv4, &[3; 12], &[0xff; 12]);
    set(&mut pkt, &mut key, Field::Ipv4, &value, &mask).unwrap();
    assert_eq!(pkt.bytes()[f.l4..], f.bytes[f.l4..]);
    assert_eq!(
        ipv4_sum(&Frame {
            bytes: pkt.bytes().to_vec(),
            ..f
        }),
        0xffff
    );
    assert!(pkt.csum_is_right());
}

#[test]
fn a_header_that_is_not_there_is_not_written() {
    // A15: flows' actions may meet packets that are shorter than their key said.
    let f = frame(Ip::V6, 6, &[9; 64], 0);
    let (_, key) = extracted(&f, IpSummed::None);
    for len in 0..f.bytes.len() {
        for field in [
            Field::Ethernet,
            Field::Ipv6,
            Field::Ipv4,
            Field::Tcp,
            Field::Udp,
            Field::Sctp,
        ] {
            let mut pkt = Packet::new(&f.bytes[..len]).with_checksum(IpSummed::Complete);
            pkt.set_network_header(ETH);
            pkt.set_transport_header(f.l4);
            for mask in [[0xff; 40], [0xf0; 40]] {
                let (value, mask) = limit(field, &[0x5a; 40], &mask);
                let _ = set(&mut pkt, &mut key.clone(), field, &value, &mask);
                assert_eq!(pkt.bytes().len(), len);
                if len % 2 == 0 {
                    assert!(pkt.csum_is_right(), "{field:?} {len}");
                }
            }
        }
        // A20: not a byte of addresses that are not all there, in packet or key.
        let bytes = &f.bytes[..len.min(11)];
        let (mut pkt, mut after) = (Packet::new(bytes), key.clone());
        assert!(set_addresses(&mut pkt, &mut after, &[0x5a; 12]).is_err());
        assert!(pkt.bytes() == bytes && after == key);
    }
}

#[test]
fn whole_addresses_are_a_set_like_any_other() {
    // A20: what is written at once is what value and mask write, in every checksum state.
    use IpSummed::{Complete, None, Partial, Unnecessary};
    let value: [u8; 12] = core::array::from_fn(|i| (i * 37 + 1) as u8);
    for state in [None, Unnecessary, Complete, Partial] {
        let f = frame(Ip::V4, 17, &[9; 64], 4);
        let ((mut a, mut key_a), (mut b, mut key_b)) = (extracted(&f, state), extracted(&f, state));
        set_addresses(&mut a, &mut key_a, &swapped(&value)).unwrap();
        let (bits, keep) = addresses_in_place(&value, &[0xff; 12]);
        ethernet(&mut b, &mut key_b, &bits, &keep).unwrap();
        assert!(a.bytes() == b.bytes() && key_a == key_b);
        assert_eq!(
            (key_a.eth_src[..].to_vec(), key_a.eth_dst[..].to_vec()),
            (value[..6].to_vec(), value[6..].to_vec())
        );
        assert!(state != Complete || (a.csum_is_right() && b.csum_is_right()));
    }
}

#[test]
fn paged_and_shared_packets_are_written_safely() {
    let f = frame(Ip::V4, 17, &[9; 64], 16);
    for linear in [0, 10, ETH, ETH + 20, f.bytes.len()] {
        let mut pkt = Packet::split(&f.bytes, linear);
        let mut key = extract::from_device(&mut pkt, 1, true).unwrap();
        let other = pkt.try_clone().unwrap();
        set(&mut pkt, &mut key, Field::Udp, &[1; 4], &[0xff; 4]).unwrap();
        let (value, mask) = limit(Field::Ipv4, &[3; 12], &[0xff; 12]);
        set(&mut pkt, &mut key, Field::Ipv4, &value, &mask).unwrap();
        assert_eq!(other.bytes(), f.bytes);
        assert_ne!(pkt.bytes(), f.bytes);
        assert_eq!(
            l4_sum(&Frame {
                bytes: pkt.bytes().to_vec(),
                ..f.clone()
            }),
            0xffff
        );
    }
}
