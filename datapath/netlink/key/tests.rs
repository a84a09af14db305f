// SPDX-License-Identifier: GPL-2.0
//! Tests of keys and masks as netlink attributes: round trips, emission order, and what is refused.

use super::*;
use crate::datapath::env::CtFields;
use crate::datapath::flow::key::{
    tun_flag, Ext, Mpls, Nsh, FRAG_FIRST, FRAG_NONE, MAC_PROTO_ETHERNET, MAC_PROTO_NONE, PORT_NONE,
    TUN_IPV4, TUN_IPV6, VLAN_CFI,
};
use crate::datapath::flow::parts::tests::WORDS;
use crate::datapath::wire::be::Be32;
use crate::env::{FakeEnv, FakeNet};
use kernel::alloc::flags::GFP_KERNEL;
use proptest::prelude::*;
use std::vec::Vec;

/// Writes an attribute, padded.
pub(super) fn attr(ty: u16, payload: &[u8]) -> Vec<u8> {
    let mut v = Vec::new();
    v.extend(((payload.len() + 4) as u16).to_ne_bytes());
    v.extend(ty.to_ne_bytes());
    v.extend(payload);
    v.resize(v.len().next_multiple_of(4), 0);
    v
}

pub(super) fn nest(attrs: &[Vec<u8>]) -> Vec<u8> {
    attr(1, &attrs.concat())
}

pub(super) fn first(b: &[u8]) -> Attr<'_> {
    Attr::split_first(b).unwrap().0
}

pub(super) fn key(attrs: &[Vec<u8>]) -> NlResult<KeyBuf> {
    parse_key(first(&nest(attrs)))
}

std::thread_local! {
    static NET: FakeNet = FakeNet::new();
}

pub(super) fn parse_key(attr: Attr<'_>) -> NlResult<KeyBuf> {
    NET.with(|net| super::parse_key(net, attr))
}

pub(super) fn parse_metadata(attr: Attr<'_>, key: &mut FlowKey) -> NlResult<OrigTuple> {
    NET.with(|net| super::parse_metadata(net, attr, key))
}

/// As a value, for tests.
pub(super) fn parse_match<'a>(key: Attr<'a>, mask: Option<Attr<'a>>) -> NlResult<FlowMatch> {
    let mut m = FlowMatch::empty();
    NET.with(|net| super::parse_match(net, key, mask, &mut m))?;
    Ok(m)
}

pub(super) fn with_mask(k: &[Vec<u8>], m: &[Vec<u8>]) -> NlResult<FlowMatch> {
    parse_match(first(&nest(k)), Some(first(&nest(m))))
}

pub(super) fn refused<T>(r: NlResult<T>) -> bool {
    match r {
        Ok(_) => false,
        Err(e) => {
            assert_eq!(e.errno, EINVAL);
            assert!(e.msg.is_some() && e.attr.is_some());
            true
        }
    }
}

pub(super) fn be(v: u16) -> [u8; 2] {
    v.to_be_bytes()
}

pub(super) fn eth() -> Vec<u8> {
    attr(ka::ETHERNET, &[1; 12])
}

pub(super) fn ty(t: u16) -> Vec<u8> {
    attr(ka::ETHERTYPE, &be(t))
}

fn vlan(tci: u16) -> Vec<u8> {
    attr(ka::VLAN, &be(tci))
}

fn encap(inner: &[Vec<u8>]) -> Vec<u8> {
    attr(ka::ENCAP, &inner.concat())
}

pub(super) fn ip4(proto: u8, frag: u8) -> Vec<u8> {
    attr(ka::IPV4, &[10, 0, 0, 1, 10, 0, 0, 2, proto, 0, 64, frag])
}

pub(super) fn ip6(proto: u8, frag: u8, label: u32) -> Vec<u8> {
    attr(
        ka::IPV6,
        &[&[3; 32][..], &label.to_be_bytes(), &[proto, 0, 64, frag]].concat(),
    )
}

fn arp(op: u16) -> Vec<u8> {
    attr(ka::ARP, &[&[1; 8][..], &be(op), &[2; 12], &[0; 2]].concat())
}

fn all_ones(ty: u16, len: usize) -> Vec<u8> {
    attr(ty, &vec![0xff; len])
}

pub(super) fn emit(k: &KeyBuf, m: Option<&KeyBuf>) -> Vec<u8> {
    let mut buf = [0x55; KEY_ATTRS_MAX];
    let mut w = Writer::new(&mut buf);
    put_key(&mut w, 1, k, m).expect("KEY_ATTRS_MAX is the most there is");
    w.written().to_vec()
}

/// Bytes of every key attribute, in the order of their types, as far as they have a fixed length.
const FIXED: [(u16, usize); 20] = [
    (ka::PRIORITY, 4),
    (ka::IN_PORT, 4),
    (ka::ETHERNET, 12),
    (ka::VLAN, 2),
    (ka::ETHERTYPE, 2),
    (ka::IPV4, 12),
    (ka::IPV6, 40),
    (ka::TCP, 4),
    (ka::UDP, 4),
    (ka::ICMP, 2),
    (ka::ICMPV6, 2),
    (ka::ARP, 24),
    (ka::ND, 28),
    (ka::SKB_MARK, 4),
    (ka::SCTP, 4),
    (ka::TCP_FLAGS, 2),
    (ka::DP_HASH, 4),
    (ka::RECIRC_ID, 4),
    (ka::IPV6_EXTHDRS, 2),
    (0, 0),
];

#[test]
fn wrong_lengths_are_refused() {
    // K1
    for (t, len) in FIXED {
        for wrong in (0..=len + 5).filter(|l| *l != len) {
            let attrs = [eth(), ty(0x1234), attr(t, &vec![0; wrong])];
            assert!(refused(key(&attrs)), "type {t} length {wrong}");
            assert!(
                refused(with_mask(&[eth(), ty(0x1234)], &attrs[2..])),
                "mask {t} {wrong}"
            );
        }
    }
}

#[test]
fn what_is_not_supported_is_refused_everywhere() {
    let plain = [eth(), ty(0x1234)];
    let lens = [
        (ka::PACKET_TYPE, 4),
        (ka::ND_EXTENSIONS, 8),
        (ka::TUNNEL_INFO, 8),
    ];
    let beyond = (33..=70).chain([300, 0x3fff]).map(|t| (t, 4));
    for (t, len) in lens.into_iter().chain(beyond) {
        for fill in [0, 0xff] {
            let bad = attr(t, &vec![fill; len]);
            let with = |a: Vec<u8>| [plain.to_vec(), vec![a]].concat();
            assert!(refused(key(&with(bad.clone()))), "key {t}");
            assert!(
                refused(with_mask(&plain, std::slice::from_ref(&bad))),
                "mask {t}"
            );
            assert!(
                refused(metadata(first(&nest(&with(bad.clone()))))),
                "execute {t}"
            );
            // Inside an encapsulation too.
            let k = [eth(), ty(0x8100), vlan(0x1001), encap(&[ty(0x1234), bad])];
            assert!(refused(key(&k)), "encap {t}");
        }
    }
}

#[test]
fn a_dumped_mask_can_be_sent_back() {
    let plain = [eth(), ty(0x1234)];
    let k = key(&plain).unwrap();
    let m = parse_match(first(&nest(&plain)), None).unwrap().mask.key;
    let again = parse_match(first(&nest(&plain)), Some(first(&emit(&k, Some(&m))))).unwrap();
    assert_eq!(again.mask.key.eth_type, m.eth_type);
    // It names the tunnel that the key lacks (K16), so from then on that is matched.
    assert_eq!((m.tun_proto, again.mask.key.tun_proto), (0, 0xff));
}

#[test]
fn flag_bits_of_types_are_ignored() {
    let k = [eth(), ty(0x8100), vlan(0x1001), encap(&[ty(0x1234)])];
    let mut flagged = k.clone();
    for a in &mut flagged {
        a[3] |= 0x80;
    }
    assert_eq!(key(&k).unwrap(), key(&flagged).unwrap());
}

#[test]
fn duplicates_are_refused() {
    for (t, len) in FIXED {
        let a = attr(t, &vec![1; len]);
        assert!(refused(key(&[eth(), ty(0x1234), a.clone(), a])), "type {t}");
    }
    // Between the levels of an encapsulation.
    let k = [
        eth(),
        ty(0x8100),
        vlan(0x1001),
        attr(ka::RECIRC_ID, &[1; 4]),
    ];
    let inside = |a: Vec<u8>| [k.to_vec(), vec![encap(&[ty(0x1234), a])]].concat();
    assert!(refused(key(&inside(attr(ka::RECIRC_ID, &[1; 4])))));
    assert!(refused(key(&inside(eth()))));
    assert!(key(&inside(attr(ka::DP_HASH, &[1; 4]))).is_ok());
    // In masks, all-zero attributes do not count (K3).
    let m = |fill| {
        with_mask(
            &[eth(), ty(0x1234)],
            &[ty(0), ty(0xffff), attr(ka::ETHERNET, &[fill; 12])],
        )
    };
    assert!(m(0).is_ok() && m(1).is_ok());
    let twice = [all_ones(ka::ETHERTYPE, 2), all_ones(ka::ETHERTYPE, 2)];
    assert!(refused(with_mask(&[eth(), ty(0x1234)], &twice)));
}

#[test]
fn trailing_bytes_are_refused() {
    let good = [eth(), ty(0x1234)].concat();
    assert!(parse_key(first(&attr(1, &good))).is_ok());
    for n in 1..8 {
        let tail = [good.clone(), vec![0; n]].concat();
        assert!(refused(parse_key(first(&attr(1, &tail)))), "{n} bytes");
        assert!(refused(parse_match(
            first(&attr(1, &good)),
            Some(first(&attr(2, &tail)))
        )));
        assert!(refused(metadata(first(&attr(1, &tail)))));
    }
    // An inner attribute that reaches past its nest, and padding that the nest does not include.
    for cut in 1..8 {
        assert!(
            refused(parse_key(first(&attr(1, &good[..good.len() - cut])))),
            "{cut} short"
        );
    }
    for len in 0..4u16 {
        let mut bad = good.clone();
        bad[..2].copy_from_slice(&len.to_ne_bytes());
        assert!(refused(parse_key(first(&attr(1, &bad)))), "length {len}");
    }
}

pub(super) fn metadata(attr: Attr<'_>) -> NlResult<FlowKey> {
    let mut key = FlowKey::new();
    parse_metadata(attr, &mut key).map(|_| key)
}

#[test]
fn execute_reads_metadata_only() {
    let meta = [
        attr(ka::DP_HASH, &1u32.to_ne_bytes()),
        attr(ka::RECIRC_ID, &2u32.to_ne_bytes()),
        attr(ka::PRIORITY, &3u32.to_ne_bytes()),
        attr(ka::IN_PORT, &4u32.to_ne_bytes()),
        attr(ka::SKB_MARK, &5u32.to_ne_bytes()),
    ];
    let expected = Core {
        dp_hash: 1,
        recirc_id: 2,
        priority: 3,
        in_port: 4,
        mark: 5,
        mac_proto: MAC_PROTO_ETHERNET,
        ..Core::ZERO
    };
    let parse =
        |more: &[Vec<u8>]| metadata(first(&nest(&[&meta[..], more].concat()))).map(|k| *k.core());
    assert_eq!(parse(&[]).unwrap(), expected);
    // What else stands there is not looked at (P3), not even for sense.
    assert_eq!(
        parse(&[eth(), ty(1), ip4(6, 9), vlan(1)]).unwrap(),
        expected
    );
    // A type without addresses makes it an L3 packet.
    let l3 = Core {
        mac_proto: MAC_PROTO_NONE,
        eth_type: Be16::new(0x800),
        ..expected
    };
    assert_eq!(parse(&[ty(0x800)]).unwrap(), l3);
    assert!(refused(parse(&[ty(0x5ff)])));
    let none = metadata(first(&nest(&[]))).unwrap();
    assert_eq!(none.in_port, PORT_NONE);
}

#[test]
fn ports_are_below_65535_and_always_exact() {
    let port = |p: u32| attr(ka::IN_PORT, &p.to_ne_bytes());
    for p in [65535, 65536, 0x1_0001, u32::MAX] {
        assert!(refused(key(&[eth(), port(p)])), "{p}");
    }
    let k = [eth(), ty(0x1234), port(65534)];
    assert_eq!(key(&k).unwrap().in_port, 65534);
    assert_eq!(key(&[eth()]).unwrap().in_port, PORT_NONE);
    let mask = |m: &[Vec<u8>]| with_mask(&k, m).unwrap().mask.key.in_port;
    assert_eq!(mask(&[port(1)]), 0xffff);
    assert_eq!(mask(&[port(0)]), 0);
    assert_eq!(mask(&[]), 0);
    // A mask of the port is fine even if the key has none.
    assert_eq!(
        with_mask(&[eth()], &[port(1)]).unwrap().mask.key.in_port,
        0xffff
    );
}

#[test]
fn link_layer_rules() {
    // K7
    assert!(refused(key(&[])));
    assert!(refused(key(&[attr(ka::RECIRC_ID, &[1; 4])])));
    assert_eq!(key(&[eth()]).unwrap().eth_type.get(), 4);
    let l3 = key(&[ty(0x1234)]).unwrap();
    assert_eq!((l3.mac_proto, l3.eth_type.get()), (MAC_PROTO_NONE, 0x1234));
    assert_eq!(key(&[eth(), ty(0x600)]).unwrap().eth_type.get(), 0x600);
    assert!(refused(key(&[eth(), ty(0x5ff)])));
    assert!(refused(key(&[ty(0x5ff)])));
    // The mask of a type is exact whatever it says, the mask of the L2 marker always (K6).
    let m = with_mask(&[eth(), ty(0x1234)], &[ty(1)]).unwrap().mask.key;
    assert_eq!((m.eth_type.get(), m.mac_proto), (0xffff, 0xff));
    let m = with_mask(&[eth(), ty(0x1234)], &[]).unwrap().mask.key;
    assert_eq!((m.eth_type.get(), m.mac_proto), (0, 0xff));
    assert_eq!((m.vlan_tci.get(), m.cvlan_tci.get()), (0xffff, 0xffff));
}

#[test]
fn tags_in_keys() {
    let inner = encap(&[ty(0x1234)]);
    let k = key(&[eth(), ty(0x8100), vlan(0x1005), inner.clone()]).unwrap();
    assert_eq!((k.vlan_tpid.get(), k.vlan_tci.get()), (0x8100, 0x1005));
    assert_eq!((k.eth_type.get(), k.cvlan_tci.get()), (0x1234, 0));

    let two = encap(&[ty(0x8100), vlan(0x1006), inner.clone()]);
    let k = key(&[eth(), ty(0x88a8), vlan(0x1005), two.clone()]).unwrap();
    assert_eq!((k.vlan_tpid.get(), k.vlan_tci.get()), (0x88a8, 0x1005));
    assert_eq!(
        (k.cvlan_tpid.get(), k.cvlan_tci.get(), k.eth_type.get()),
        (0x8100, 0x1006, 0x1234)
    );

    // The third level is not looked into.
    let three = |inside: &[Vec<u8>]| {
        let second = encap(&[ty(0x8100), vlan(0x1006), encap(inside)]);
        key(&[eth(), ty(0x88a8), vlan(0x1005), second])
    };
    assert_eq!(three(&[ty(0x8100)]).unwrap().eth_type.get(), 0x8100);
    assert!(refused(three(&[ty(0x8100), vlan(0x1007)])));
    assert!(refused(three(&[
        ty(0x8100),
        vlan(0x1007),
        encap(&[ty(0x800)])
    ])));

    // A tag that is cut short: no CFI, nothing inside.
    let k = key(&[eth(), ty(0x8100), vlan(0), encap(&[])]).unwrap();
    assert_eq!(
        (k.vlan_tpid.get(), k.vlan_tci.get(), k.eth_type.get()),
        (0x8100, 0, 4)
    );

    for bad in [
        vec![eth(), ty(0x8100)],
        vec![eth(), ty(0x8100), vlan(0x1005)],
        vec![eth(), ty(0x8100), inner.clone()],
        vec![eth(), ty(0x8100), vlan(0x0005), inner.clone()],
        vec![eth(), ty(0x8100), vlan(0), inner.clone()],
        vec![eth(), ty(0x1234), vlan(0x1005), inner.clone()],
        vec![eth(), vlan(0x1005), inner.clone()],
        vec![eth(), vlan(0x1005)],
        vec![eth(), inner.clone()],
        vec![ty(0x8100), vlan(0x1005), inner.clone()],
        vec![eth(), ty(0x8100), vlan(0x1005), encap(&[vlan(0x1006)])],
        vec![
            eth(),
            ty(0x8100),
            vlan(0x1005),
            encap(&[ty(0x8100), vlan(0x1006)]),
        ],
        vec![
            eth(),
            ty(0x8100),
            vlan(0x1005),
            encap(&[ty(0x8100), vlan(6), inner.clone()]),
        ],
        vec![eth(), ty(0x8100), vlan(0x1005), attr(ka::ENCAP, &[0])],
    ] {
        assert!(refused(key(&bad)), "{bad:?}");
    }
}

#[test]
fn tags_in_masks() {
    let one = [eth(), ty(0x8100), vlan(0x1005), encap(&[ty(0x1234)])];
    let m = with_mask(&one, &[ty(0xffff), vlan(0x1fff), encap(&[ty(0xffff)])])
        .unwrap()
        .mask
        .key;
    assert_eq!(
        (m.vlan_tpid.get(), m.vlan_tci.get(), m.eth_type.get()),
        (0xffff, 0x1fff, 0xffff)
    );
    assert_eq!((m.cvlan_tpid.get(), m.cvlan_tci.get()), (0, 0xffff));
    // K5
    let plain = [eth(), ty(0x1234)];
    let inner = encap(&[ty(0xffff)]);
    assert!(refused(with_mask(
        &plain,
        &[ty(0xffff), vlan(0xffff), inner.clone()]
    )));
    assert!(refused(with_mask(
        &one,
        &[ty(0xfffe), vlan(0xffff), inner.clone()]
    )));
    assert!(refused(with_mask(&one, &[vlan(0xffff), inner.clone()])));
    assert!(refused(with_mask(
        &one,
        &[ty(0xffff), vlan(0xefff), inner.clone()]
    )));
    // A missing TCI mask is the key's TCI, which has the bit.
    for m in [
        vec![ty(0xffff), inner.clone()],
        vec![ty(0xffff), vlan(0), inner.clone()],
    ] {
        assert_eq!(with_mask(&one, &m).unwrap().mask.key.vlan_tci.get(), 0x1005);
    }
    // A VLAN mask must come with its encapsulation.
    assert!(refused(with_mask(&one, &[ty(0xffff), vlan(0xffff)])));
    assert!(with_mask(&one, &[ty(0xffff), vlan(0), encap(&[])]).is_ok());

    let two = [
        eth(),
        ty(0x88a8),
        vlan(0x1005),
        encap(&[ty(0x8100), vlan(0x1006), encap(&[ty(0x1234)])]),
    ];
    let mask = |inner: &[Vec<u8>]| with_mask(&two, &[ty(0xffff), vlan(0xf000), encap(inner)]);
    let m = mask(&[ty(0xffff), vlan(0x1001), inner.clone()])
        .unwrap()
        .mask
        .key;
    assert_eq!((m.vlan_tci.get(), m.cvlan_tci.get()), (0xf000, 0x1001));
    // An inner level without a mask of its own takes the outer one's.
    let m = mask(&[ty(0xffff), vlan(0), inner.clone()])
        .unwrap()
        .mask
        .key;
    assert_eq!((m.vlan_tci.get(), m.cvlan_tci.get()), (0xf000, 0xf000));
    assert!(refused(mask(&[ty(0x00ff), vlan(0x1001), inner.clone()])));
    assert!(refused(with_mask(
        &one,
        &[
            ty(0xffff),
            vlan(0x1fff),
            encap(&[ty(0xffff), vlan(0x1fff), inner])
        ]
    )));
}

#[test]
fn upper_layers_must_be_complete() {
    // K8
    let v4 = |more: &[Vec<u8>]| key(&[&[eth(), ty(0x800)][..], more].concat());
    let v6 = |more: &[Vec<u8>]| key(&[&[eth(), ty(0x86dd)][..], more].concat());
    let ports = |t| attr(t, &[1, 2, 3, 4]);
    let flags = attr(ka::TCP_FLAGS, &be(2));
    assert!(refused(v4(&[])) && refused(v6(&[])));
    assert!(refused(key(&[eth(), ty(0x806)])) && refused(key(&[eth(), ty(0x8035)])));
    assert!(key(&[eth(), ty(0x806), arp(1)]).is_ok() && key(&[eth(), ty(0x8035), arp(1)]).is_ok());
    for (proto, t) in [(6, ka::TCP), (17, ka::UDP), (132, ka::SCTP)] {
        assert!(refused(v4(&[ip4(proto, FRAG_NONE)])) && refused(v6(&[ip6(proto, 0, 0)])));
        assert!(v4(&[ip4(proto, FRAG_LATER)]).is_ok() && v6(&[ip6(proto, FRAG_LATER, 0)]).is_ok());
        let full = [ports(t), flags.clone()];
        assert!(v4(&[&[ip4(proto, FRAG_FIRST)][..], &full].concat()).is_ok());
        assert!(v6(&[&[ip6(proto, FRAG_FIRST, 0)][..], &full].concat()).is_ok());
        assert_eq!(refused(v4(&[ip4(proto, 0), ports(t)])), proto == 6);
    }
    assert!(refused(v4(&[ip4(1, 0)])) && v4(&[ip4(1, 0), attr(ka::ICMP, &[8, 0])]).is_ok());
    assert!(v4(&[ip4(58, 0)]).is_ok() && v6(&[ip6(1, 0, 0)]).is_ok());
    let icmp6 = |t| attr(ka::ICMPV6, &[t, 0]);
    let nd = attr(ka::ND, &[7; 28]);
    assert!(refused(v6(&[ip6(58, 0, 0)])) && v6(&[ip6(58, 0, 0), icmp6(128)]).is_ok());
    for t in [135, 136] {
        assert!(refused(v6(&[ip6(58, 0, 0), icmp6(t)])));
        assert!(v6(&[ip6(58, 0, 0), icmp6(t), nd.clone()]).is_ok());
    }
    // Ranges of values, in keys only.
    assert!(refused(v4(&[ip4(47, 3)])) && refused(v6(&[ip6(47, 3, 0)])));
    assert!(refused(v6(&[ip6(47, 0, 0x10_0000)])) && v6(&[ip6(47, 0, 0xf_ffff)]).is_ok());
    assert!(refused(key(&[eth(), ty(0x806), arp(0x100)])));
    // More than applies is accepted (Q11) but can never be matched.
    assert!(v4(&[ip4(47, 0), ports(ka::UDP)]).is_ok());
    assert!(refused(parse_match(
        first(&nest(&[eth(), ty(0x800), ip4(47, 0), ports(ka::UDP)])),
        None
    )));
}

#[test]
fn masks_need_exact_lower_layers() {
    // K9: (attributes above the type, mask attribute under test, what the mask must also have)
    let exact_ty = all_ones(ka::ETHERTYPE, 2);
    let proto4 = attr(ka::IPV4, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0]);
    let proto6 = attr(ka::IPV6, &[&[0; 36][..], &[0xff, 0, 0, 0]].concat());
    let type6 = attr(ka::ICMPV6, &[0xff, 0]);
    let ports = |t| attr(t, &[1; 4]);
    let tcp = [ports(ka::TCP), attr(ka::TCP_FLAGS, &be(1))];
    let icmp6 = attr(ka::ICMPV6, &[135, 0]);
    let nd = attr(ka::ND, &[7; 28]);
    type Case = (u16, Vec<Vec<u8>>, Vec<u8>, Vec<Vec<u8>>);
    let cases: Vec<Case> = vec![
        (
            0x800,
            vec![ip4(47, 0)],
            attr(ka::IPV4, &[1; 12]),
            vec![exact_ty.clone()],
        ),
        (
            0x86dd,
            vec![ip6(47, 0, 0)],
            attr(ka::IPV6, &[1; 40]),
            vec![exact_ty.clone()],
        ),
        (
            0x806,
            vec![arp(1)],
            attr(ka::ARP, &[1; 24]),
            vec![exact_ty.clone()],
        ),
        (
            0x800,
            [&[ip4(6, 0)][..], &tcp].concat(),
            ports(ka::TCP),
            vec![exact_ty.clone(), proto4.clone()],
        ),
        (
            0x800,
            [&[ip4(6, 0)][..], &tcp].concat(),
            tcp[1].clone(),
            vec![exact_ty.clone(), proto4.clone()],
        ),
        (
            0x86dd,
            [&[ip6(6, 0, 0)][..], &tcp].concat(),
            ports(ka::TCP),
            vec![exact_ty.clone(), proto6.clone()],
        ),
        (
            0x800,
            vec![ip4(17, 0), ports(ka::UDP)],
            ports(ka::UDP),
            vec![exact_ty.clone(), proto4.clone()],
        ),
        (
            0x800,
            vec![ip4(132, 0), ports(ka::SCTP)],
            ports(ka::SCTP),
            vec![exact_ty.clone(), proto4.clone()],
        ),
        (
            0x800,
            vec![ip4(1, 0), attr(ka::ICMP, &[8, 0])],
            attr(ka::ICMP, &[1, 1]),
            vec![exact_ty.clone(), proto4],
        ),
        (
            0x86dd,
            vec![ip6(58, 0, 0), icmp6.clone(), nd.clone()],
            icmp6.clone(),
            vec![exact_ty.clone(), proto6.clone()],
        ),
        (
            0x86dd,
            vec![ip6(58, 0, 0), icmp6, nd.clone()],
            nd,
            vec![exact_ty, proto6, type6],
        ),
    ];
    for (i, (t, layers, tested, needed)) in cases.into_iter().enumerate() {
        let k = [&[eth(), ty(t)][..], &layers].concat();
        let full = [&needed[..], &[tested]].concat();
        assert!(with_mask(&k, &full).is_ok(), "case {i}");
        for missing in 0..needed.len() {
            let mut m = full.clone();
            m.remove(missing);
            assert!(refused(with_mask(&k, &m)), "case {i} without {missing}");
        }
    }
    // At most what the key has.
    let plain = [eth(), ty(0x1234)];
    for (t, len) in FIXED {
        let allowed = matches!(t, 0 | ka::IN_PORT | ka::ETHERNET | ka::ETHERTYPE);
        assert_eq!(
            with_mask(&plain, &[all_ones(t, len)]).is_ok(),
            allowed,
            "mask {t}"
        );
        assert!(
            with_mask(&plain, &[attr(t, &vec![0; len])]).is_ok(),
            "zero mask {t}"
        );
    }
    // A later fragment has no transport layer to match.
    let later = [eth(), ty(0x800), ip4(17, FRAG_LATER), ports(ka::UDP)];
    let m = [
        all_ones(ka::ETHERTYPE, 2),
        all_ones(ka::IPV4, 12),
        ports(ka::UDP),
    ];
    assert!(refused(with_mask(&later, &m)));
}

#[test]
fn without_a_mask_everything_mentioned_is_exact() {
    // K10
    let m = |attrs: &[Vec<u8>]| parse_match(first(&nest(attrs)), None).map(|m| m.mask.key);
    let exact = Be16::new(0xffff);
    let base = Core {
        vlan_tci: exact,
        cvlan_tci: exact,
        mac_proto: 0xff,
        eth_src: [0xff; 6],
        eth_dst: [0xff; 6],
        ..Core::ZERO
    };
    assert_eq!(m(&[eth()]).unwrap(), KeyBuf::from_core(base));
    assert_eq!(
        m(&[eth(), ty(0x1234)]).unwrap(),
        KeyBuf::from_core(Core {
            eth_type: exact,
            ..base
        })
    );
    let udp = attr(ka::UDP, &[1; 4]);
    let port = attr(ka::IN_PORT, &1u32.to_ne_bytes());
    let v4 = Core {
        eth_type: exact,
        in_port: 0xffff,
        recirc_id: !0,
        ipv4_src: [0xff; 4],
        ipv4_dst: [0xff; 4],
        ip_proto: 0xff,
        ip_tos: 0xff,
        ip_ttl: 0xff,
        ip_frag: 0xff,
        tp_src: exact,
        tp_dst: exact,
        ..base
    };
    let zero = attr(ka::RECIRC_ID, &[0; 4]);
    assert_eq!(
        m(&[eth(), ty(0x800), ip4(17, 0), udp, port, zero]).unwrap(),
        KeyBuf::from_core(v4)
    );
    let two = [
        eth(),
        ty(0x88a8),
        vlan(0x1005),
        encap(&[ty(0x8100), vlan(0x1006), encap(&[ty(0x1234)])]),
    ];
    let tagged = Core {
        eth_type: exact,
        vlan_tpid: exact,
        cvlan_tpid: exact,
        ..base
    };
    assert_eq!(m(&two).unwrap(), KeyBuf::from_core(tagged));
    // ICMPv6 type and code are 8 bits in 16.
    let nd = [
        eth(),
        ty(0x86dd),
        ip6(58, 0, 0),
        attr(ka::ICMPV6, &[135, 0]),
        attr(ka::ND, &[7; 28]),
    ];
    let mask = m(&nd).unwrap();
    assert_eq!((mask.tp_src.get(), mask.tp_dst.get()), (0xff, 0xff));
    assert_eq!(
        (mask.ext().nd_target, mask.ext().hw_src, mask.ext().hw_dst),
        ([0xff; 16], [0xff; 6], [0xff; 6])
    );
    // A tag cut short cannot be matched exactly, as in C: its VLAN has no encapsulation.
    assert!(refused(m(&[eth(), ty(0x8100), vlan(0), encap(&[])])));
}

#[test]
fn ufids() {
    let parse = |len| parse_ufid(Some(first(&attr(9, &vec![5; len]))));
    for len in 1..=16 {
        assert_eq!(parse(len).unwrap().as_slice(), vec![5; len]);
    }
    assert!(parse_ufid(None).is_none());
    for len in [0, 17, 32, 300] {
        assert!(parse(len).is_none());
    }
    assert_ne!(parse(3), parse(4));
}

#[test]
fn emission_order_is_the_kernels() {
    FakeEnv::set_ct_fields(CtFields::NONE);
    let core = Core {
        recirc_id: 1,
        dp_hash: 2,
        priority: 3,
        in_port: 4,
        mark: 5,
        mac_proto: MAC_PROTO_ETHERNET,
        eth_src: [6; 6],
        eth_dst: [7; 6],
        vlan_tpid: Be16::new(0x88a8),
        vlan_tci: Be16::new(0x1008),
        cvlan_tpid: Be16::new(0x8100),
        cvlan_tci: Be16::new(0x1009),
        eth_type: Be16::new(0x86dd),
        ip_proto: 58,
        ip_tos: 10,
        ip_ttl: 11,
        ipv6_src: [12; 16],
        ipv6_dst: [13; 16],
        ipv6_label: Be32::new(14),
        tp_src: Be16::new(135),
        tp_dst: Be16::new(16),
        ..Core::ZERO
    };
    let ext = Ext {
        ipv6_exthdrs: 15,
        nd_target: [17; 16],
        hw_src: [18; 6],
        hw_dst: [19; 6],
        ..Ext::ZERO
    };
    let k = KeyBuf::with(core, ext);
    let word = |t, v: u32| attr(t, &v.to_ne_bytes());
    let v6 = [&[12; 16][..], &[13; 16], &[0, 0, 0, 14], &[58, 10, 11, 0]].concat();
    let inner = [
        ty(0x86dd),
        attr(ka::IPV6, &v6),
        attr(ka::IPV6_EXTHDRS, &15u16.to_ne_bytes()),
        attr(ka::ICMPV6, &[135, 16]),
        attr(ka::ND, &[&[17; 16][..], &[18; 6], &[19; 6]].concat()),
    ];
    let expected = nest(&[
        word(ka::RECIRC_ID, 1),
        word(ka::DP_HASH, 2),
        word(ka::PRIORITY, 3),
        word(ka::IN_PORT, 4),
        word(ka::SKB_MARK, 5),
        attr(ka::ETHERNET, &[&[6; 6][..], &[7; 6]].concat()),
        ty(0x88a8),
        vlan(0x1008),
        encap(&[ty(0x8100), vlan(0x1009), encap(&inner)]),
    ]);
    assert_eq!(emit(&k, None), expected);
    // But for a tunnel and connection tracking it is also the longest key there is (B53).
    let room = expected.len() + super::total(tunnel::ATTRS_MAX) + conntrack::ATTRS_MAX;
    assert_eq!(room, KEY_ATTRS_MAX);
    let mut small = vec![0; expected.len() - 1];
    assert!(put_key(&mut Writer::new(&mut small), 1, &k, None).is_err());

    let mask = emit(
        &k,
        Some(&KeyBuf::from_core(Core {
            in_port: 0xffff,
            eth_src: [0xff; 6],
            ..Core::ZERO
        })),
    );
    let at = |t, b: &[u8]| {
        Attr::split_first(b)
            .unwrap()
            .0
            .nested()
            .find(|a| a.ty() == t)
            .unwrap()
            .payload()
            .to_vec()
    };
    assert_eq!(at(ka::IN_PORT, &mask), [0xff; 4]);
    assert_eq!(at(ka::ETHERTYPE, &mask), [0xff; 2]);
    assert_eq!(at(ka::VLAN, &mask), [0; 2]);
}

#[test]
fn emission_of_what_is_missing() {
    FakeEnv::set_ct_fields(CtFields::NONE);
    let types = |b: &[u8]| first(b).nested().map(|a| a.ty()).collect::<Vec<_>>();
    let meta = [ka::RECIRC_ID, ka::DP_HASH, ka::PRIORITY];
    // 802.2: no type in the key; in the mask if it is matched.
    let k = Core {
        mac_proto: MAC_PROTO_ETHERNET,
        eth_type: Be16::new(4),
        in_port: PORT_NONE,
        ..Core::ZERO
    };
    assert_eq!(
        types(&emit(&k.into(), None)),
        [&meta[..], &[ka::SKB_MARK, ka::ETHERNET]].concat()
    );
    let m = Core {
        eth_type: Be16::new(0xffff),
        in_port: 0xffff,
        ..Core::ZERO
    };
    let all = [
        &meta[..],
        &[
            ka::TUNNEL,
            ka::IN_PORT,
            ka::SKB_MARK,
            ka::ETHERNET,
            ka::ETHERTYPE,
        ],
    ]
    .concat();
    assert_eq!(types(&emit(&k.into(), Some(&m.into()))), all);
    let nothing = [&meta[..], &[ka::TUNNEL, ka::SKB_MARK, ka::ETHERNET]].concat();
    assert_eq!(types(&emit(&k.into(), Some(&KeyBuf::new()))), nothing);
    // L3
    let k = Core {
        eth_type: Be16::new(0x1234),
        ..Core::ZERO
    };
    let l3 = [&meta[..], &[ka::IN_PORT, ka::SKB_MARK, ka::ETHERTYPE]].concat();
    assert_eq!(types(&emit(&k.into(), None)), l3);
    // A tag cut short, and a third one.
    let cut = Core {
        mac_proto: 1,
        eth_type: Be16::new(0x8100),
        ..Core::ZERO
    };
    let out = emit(&cut.into(), None);
    assert!(types(&out).ends_with(&[ka::ETHERNET, ka::ETHERTYPE, ka::VLAN, ka::ENCAP]));
    assert!(out.ends_with(&[ty(0), vlan(0), encap(&[])].concat()));
    let tci = Be16::new(0x1001);
    let tpid = Be16::new(0x8100);
    let inner_cut = Core {
        vlan_tci: tci,
        vlan_tpid: tpid,
        ..cut
    };
    assert!(emit(&inner_cut.into(), None).ends_with(&encap(&[ty(0), vlan(0), encap(&[])])));
    let third = Core {
        cvlan_tci: tci,
        cvlan_tpid: tpid,
        ..inner_cut
    };
    assert!(emit(&third.into(), None).ends_with(&encap(&[
        ty(0x8100),
        vlan(0x1001),
        encap(&[ty(0x8100)])
    ])));
    assert_eq!(
        parse_key(first(&emit(&third.into(), None))).unwrap(),
        KeyBuf::from_core(third)
    );
    // Later fragments have no transport layer.
    let frag = Core {
        mac_proto: 1,
        eth_type: Be16::new(0x800),
        ip_proto: 17,
        ip_frag: FRAG_LATER,
        ..Core::ZERO
    };
    assert!(types(&emit(&frag.into(), None)).ends_with(&[ka::IPV4]));
    // ARP is padded with zeroes.
    let a = Core {
        mac_proto: 1,
        eth_type: Be16::new(0x806),
        ip_proto: 2,
        ..Core::ZERO
    };
    assert!(
        emit(&a.into(), None).ends_with(&attr(ka::ARP, &[&[0; 9][..], &[2], &[0; 14]].concat()))
    );
}

/// Keys as they come from packets: only the fields of their protocols are set.
pub(super) fn packet_keys() -> impl Strategy<Value = KeyBuf> {
    let words = prop::collection::vec(any::<u64>(), WORDS);
    let eth_type = prop::sample::select(vec![
        0x800u16, 0x86dd, 0x806, 0x8035, 0x1234, 4, 0x8847, 0x894f,
    ]);
    let proto = prop::sample::select(vec![1u8, 6, 17, 58, 132, 47, 0]);
    (
        words,
        eth_type,
        proto,
        0..3u8,
        0..3u8,
        any::<bool>(),
        0..3u8,
        any::<u8>(),
    )
        .prop_map(|(words, eth_type, proto, frag, tags, is_l3, nd, state)| {
            let r = KeyBuf::of_words(&words);
            let mut k = KeyBuf::from_core(Core {
                priority: r.priority,
                mark: r.mark,
                dp_hash: r.dp_hash,
                recirc_id: r.recirc_id,
                in_port: r.in_port,
                eth_type: Be16::new(eth_type),
                ..Core::ZERO
            });
            let mut e = Ext::ZERO;
            if !is_l3 || eth_type == 4 {
                k.mac_proto = MAC_PROTO_ETHERNET;
                (k.eth_src, k.eth_dst) = (r.eth_src, r.eth_dst);
                let tag = |tci: Be16| (Be16::new(0x8100), Be16::new(tci.get() | VLAN_CFI));
                if tags > 0 {
                    (k.vlan_tpid, k.vlan_tci) = tag(r.vlan_tci);
                }
                if tags > 1 {
                    (k.cvlan_tpid, k.cvlan_tci) = tag(r.cvlan_tci);
                }
            }
            if matches!(eth_type, 0x800 | 0x86dd) {
                (k.ip_proto, k.ip_tos, k.ip_ttl, k.ip_frag) = (proto, r.ip_tos, r.ip_ttl, frag);
            }
            match eth_type {
                0x800 => (k.ipv4_src, k.ipv4_dst) = (r.ipv4_src, r.ipv4_dst),
                0x86dd => {
                    (k.ipv6_src, k.ipv6_dst) = (r.ipv6_src, r.ipv6_dst);
                    k.ipv6_label = Be32::new(r.ipv6_label.get() & 0xf_ffff);
                    e.ipv6_exthdrs = r.ext().ipv6_exthdrs;
                }
                0x806 | 0x8035 => {
                    k.ip_proto = r.ip_proto;
                    (k.ipv4_src, k.ipv4_dst) = (r.ipv4_src, r.ipv4_dst);
                    (e.hw_src, e.hw_dst) = (r.ext().hw_src, r.ext().hw_dst);
                }
                _ => {}
            }
            let (_, transport, _) = layers(&k);
            if transport != 0 {
                (k.tp_src, k.tp_dst) = (r.tp_src, r.tp_dst);
            }
            if transport & bit(ka::TCP) != 0 {
                k.tcp_flags = r.tcp_flags;
            }
            if transport & (bit(ka::ICMP) | bit(ka::ICMPV6)) != 0 {
                k.tp_src = Be16::new(k.tp_src.get() & 0xff);
                k.tp_dst = Be16::new(k.tp_dst.get() & 0xff);
            }
            if transport & bit(ka::ICMPV6) != 0 && nd > 0 {
                k.tp_src = Be16::new(134 + u16::from(nd));
                e.nd_target = r.ext().nd_target;
                (e.hw_src, e.hw_dst) = (r.ext().hw_src, r.ext().hw_dst);
            }
            match eth_type {
                0x8847 => k.set_mpls(&Mpls {
                    labels: [[1; 4], [2; 4], [3; 4]],
                    present: 7,
                }),
                0x894f => k.set_nsh(&Nsh {
                    base: [0, 63, 1, 3, 9, 9, 9, 9],
                    context: [7; 16],
                }),
                _ => {}
            }
            with_state(k.core_mut(), &mut e, &r, state);
            let mut k = KeyBuf::with(*k.core(), e);
            if e.tun_opts_len != 0 {
                let opts = [r.ext().tun_opts[0]; 255];
                k.set_tun_opts(&opts[..usize::from(e.tun_opts_len)])
                    .unwrap();
            }
            k
        })
}

/// What `state` says of a tunnel and of connection tracking; the values are `r`'s.
fn with_state(k: &mut Core, e: &mut Ext, r: &KeyBuf, state: u8) {
    FakeEnv::set_ct_fields(CtFields::ALL);
    (k.ct_state, k.ct_zone, k.ct_mark) = (r.ct_state, r.ct_zone, r.ct_mark);
    e.ct_labels = r.ext().ct_labels;
    let (_, _, nd) = layers(k);
    if state & 1 != 0 && nd == 0 && matches!(k.eth_type.get(), 0x800 | 0x86dd) {
        let [mut src, mut dst] = [r.ext().tun_ipv6_src, r.ext().tun_ipv6_dst];
        if k.eth_type.get() == 0x800 {
            src[4..].fill(0);
            dst[4..].fill(0);
        }
        e.set_ct_orig_addrs(src, dst);
        k.ct_orig_proto = r.ct_orig_proto | 1;
        (e.ct_orig_tp_src, e.ct_orig_tp_dst) = (r.tp_src, r.tp_dst);
    }
    if state & 6 == 0 {
        return;
    }
    (k.tun_tos, k.tun_ttl) = (r.tun_tos, r.tun_ttl);
    (k.tun_tp_src, k.tun_tp_dst) = (r.tun_tp_src, r.tun_tp_dst);
    k.tun_flags = r.tun_flags & !tun_flag::OPTIONS & 15;
    if k.tun_flags & tun_flag::KEY != 0 {
        k.tun_id = r.tun_id;
    }
    if state & 2 != 0 {
        k.tun_proto = TUN_IPV4;
        (k.tun_ipv4_src, k.tun_ipv4_dst) = (r.tun_ipv4_src, [1, 2, 3, 4]);
    } else {
        k.tun_proto = TUN_IPV6;
        (e.tun_ipv6_src, e.tun_ipv6_dst) = (r.ext().tun_ipv6_src, [7; 16]);
    }
    let (flag, len) = match state >> 3 & 3 {
        0 => (0, 0),
        1 => (tun_flag::GENEVE_OPT, (state >> 5) << 5),
        2 => (tun_flag::VXLAN_OPT, 4),
        _ => (tun_flag::ERSPAN_OPT, 12),
    };
    k.tun_flags |= if len == 0 { 0 } else { flag };
    e.tun_opts_len = len;
}

/// Without a mask, a tag around nothing that an attribute says is refused, as in C.
fn has_exact_mask(k: &KeyBuf) -> bool {
    k.eth_type.get() != ty::IEEE_802_2 || k.vlan_tci.get() == 0
}

proptest! {
    #[test]
    fn keys_survive_a_round_trip(k in packet_keys()) {
        let out = emit(&k, None);
        prop_assert_eq!(parse_key(first(&out)).unwrap(), k);
        prop_assert!(out.len() <= KEY_ATTRS_MAX);
    }

    #[test]
    fn what_is_written_at_once_is_what_its_parts_write(mut k in packet_keys(), make_usual: bool) {
        if make_usual {
            k.mac_proto = MAC_PROTO_ETHERNET;
            k.in_port &= 0x7fff;
            (k.tun_proto, k.ct_orig_proto) = (0, 0);
            (k.vlan_tpid, k.vlan_tci) = (Be16::new(0), Be16::new(0));
            let is_ip = matches!(k.eth_type.get(), ty::IPV4 | ty::IPV6);
            prop_assert_eq!(usual::is_usual(&k), is_ip);
        }
        let mut buf = [0x55; KEY_ATTRS_MAX];
        let mut w = Writer::new(&mut buf);
        let whole = w.nest(1).unwrap();
        let beyond = Beyond { key: k.ext(), ext: k.ext(), long: k.as_ref().long };
        metadata::put(&mut w, &k, None, &beyond).unwrap();
        link::put(&mut w, &k, None, &beyond).unwrap();
        w.end_nest(whole).unwrap();
        prop_assert_eq!(emit(&k, None), w.written());
        // Where there is no room nothing panics, and the length is what it was.
        for room in 0..w.len() {
            let mut buf = [0x55; KEY_ATTRS_MAX];
            prop_assert!(put_key(&mut Writer::new(&mut buf[..room]), 1, &k, None).is_err());
        }
    }

    #[test]
    fn masks_survive_a_round_trip(k in packet_keys(), noise in prop::collection::vec(any::<u64>(), WORDS)) {
        prop_assume!(has_exact_mask(&k));
        // The most exact mask, with holes where a mask may have them.
        let message = emit(&k, None);
        let full = parse_match(first(&message), None).unwrap().mask.key;
        let holes: Vec<u64> = full.words().iter().zip(&noise).map(|(f, n)| f & n).collect();
        let mut m = KeyBuf::of_words(&holes);
        *m.core_mut() = Core {
            eth_type: full.eth_type, ip_proto: full.ip_proto, mac_proto: full.mac_proto, in_port: full.in_port,
            vlan_tpid: full.vlan_tpid, cvlan_tpid: full.cvlan_tpid, tp_src: full.tp_src,
            vlan_tci: Be16::new(m.vlan_tci.get() | VLAN_CFI), cvlan_tci: Be16::new(m.cvlan_tci.get() | VLAN_CFI),
            ..*m.core()
        };
        // What says whether something is there at all.
        m.tun_proto = full.tun_proto;
        m.tun_flags |= full.tun_flags & (tun_flag::OPTIONS | tun_flag::KEY);
        if m.ext().tun_opts_len != full.ext().tun_opts_len {
            m.try_ext_mut().unwrap().tun_opts_len = full.ext().tun_opts_len;
        }
        if m.tun_flags & tun_flag::KEY == 0 {
            // Matched, but not dumped, as in C.
            m.tun_id = [0; 8];
        }
        let present = full.mpls().present;
        if k.eth_type.get() == 0x8847 {
            let mpls = Mpls { present, ..m.mpls() };
            m.set_mpls(&mpls);
        }
        if k.tun_proto == 0 {
            // A dumped mask says that no tunnel is matched, and with that matches it.
            m.tun_proto = 0xff;
        }
        if k.vlan_tci.get() == 0 { m.vlan_tci = full.vlan_tci; }
        if k.cvlan_tci.get() == 0 { m.cvlan_tci = full.cvlan_tci; }
        let got = parse_match(first(&message), Some(first(&emit(&k, Some(&m))))).unwrap();
        prop_assert_eq!(&got.key, &k);
        prop_assert_eq!(&got.mask.key, &m);
        prop_assert_eq!(got.mask, Mask::new(m));
    }

    #[test]
    fn arbitrary_bytes_never_panic(b in proptest::collection::vec(any::<u8>(), 0..300), m in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (k, m) = (attr(1, &b), attr(2, &m));
        let _ = parse_key(first(&k));
        let _ = metadata(first(&k));
        let _ = parse_match(first(&k), Some(first(&m)));
    }

    #[test]
    fn damaged_messages_never_panic_and_parse_to_what_can_be_emitted(
        k in packet_keys(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_mask in any::<bool>(),
    ) {
        prop_assume!(has_exact_mask(&k));
        let key_message = emit(&k, None);
        let mask_message = emit(&k, Some(&parse_match(first(&key_message), None).unwrap().mask.key));
        let mut damaged = if in_mask { mask_message.clone() } else { key_message.clone() };
        for (i, b) in changes {
            let at = 4 + i.index(damaged.len() - 4);
            damaged[at] = b;
        }
        let (km, mm) = if in_mask { (&key_message, &damaged) } else { (&damaged, &mask_message) };
        if let Ok(m) = parse_match(first(km), Some(first(mm))) {
            let mut masked = KeyBuf::new();
            m.mask.apply(&m.key, &mut masked, GFP_KERNEL).unwrap();
            prop_assert!(emit(&m.key, None).len() <= KEY_ATTRS_MAX);
            emit(&masked, None);
            emit(&m.key, Some(&m.mask.key));
            prop_assert_eq!((m.key.ext().reserved16, m.mask.key.ext().reserved16), (0, 0));
        }
    }
}
