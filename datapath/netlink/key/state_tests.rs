// SPDX-License-Identifier: GPL-2.0
//! Tests of tunnels, connection tracking, MPLS and NSH in keys and masks.

use super::tests::{
    attr, be, emit, eth, first, ip4, ip6, key, metadata, nest, parse_key, parse_match,
    parse_metadata, refused, ty, with_mask,
};
use super::*;
use crate::datapath::abi::{nsh_attr, tunnel_attr as ta, vxlan_ext};
use crate::datapath::env::CtFields;
use crate::datapath::flow::key::{tun_flag, TUN_IPV4, TUN_IPV6};
use crate::datapath::flow::mask::eq_masked;
use crate::datapath::flow::parts::DEEP_WORDS;
use crate::env::{FakeEnv, FakeNet};
use crate::sys::testing::each_failure;
use kernel::alloc::flags::GFP_KERNEL;
use std::vec::Vec;

fn ttl() -> Vec<u8> {
    attr(ta::TTL, &[64])
}

fn to_v4() -> Vec<u8> {
    attr(ta::IPV4_DST, &[10, 0, 0, 2])
}

fn tunnel(attrs: &[Vec<u8>]) -> Vec<u8> {
    attr(ka::TUNNEL, &attrs.concat())
}

/// The key of a packet from this tunnel.
fn from(attrs: &[Vec<u8>]) -> NlResult<KeyBuf> {
    key(&[tunnel(attrs), eth(), ty(0x1234)])
}

fn masked(k: &[Vec<u8>], m: &[Vec<u8>]) -> NlResult<FlowMatch> {
    with_mask(
        &[tunnel(k), eth(), ty(0x1234)],
        &[tunnel(m), attr(ka::ETHERTYPE, &[0xff; 2])],
    )
}

fn gbp(v: u32) -> Vec<u8> {
    attr(ta::VXLAN_OPTS, &attr(vxlan_ext::GBP, &v.to_ne_bytes()))
}

// K16: order and presence.
#[test]
fn tunnels_are_told_in_the_kernels_order() {
    let id = attr(ta::ID, &[0, 0, 0, 0, 0, 0, 1, 2]);
    let [src, dst] = [ta::IPV4_SRC, ta::IPV4_DST].map(|t| attr(t, &[10, 0, 0, t as u8]));
    let tos = attr(ta::TOS, &[8]);
    let [df, csum, oam] = [ta::DONT_FRAGMENT, ta::CSUM, ta::OAM].map(|t| attr(t, &[]));
    let [tp_src, tp_dst] = [ta::TP_SRC, ta::TP_DST].map(|t| attr(t, &be(t)));
    let opts = attr(ta::GENEVE_OPTS, &[1, 2, 3, 1, 5, 6, 7, 8]);
    let all = [
        id,
        src,
        dst,
        tos,
        ttl(),
        df,
        csum,
        tp_src,
        tp_dst,
        oam,
        opts,
    ];
    let mut backwards = all.clone();
    backwards.reverse();
    let k = from(&backwards).unwrap();
    assert_eq!(k.tun_proto, TUN_IPV4);
    assert_eq!(from(&all).unwrap(), k);
    let told = |k: &KeyBuf, m: Option<&KeyBuf>| {
        let out = emit(k, m);
        let mut attrs = first(&out).nested();
        attrs
            .find(|a| a.ty() == ka::TUNNEL)
            .unwrap()
            .payload()
            .to_vec()
    };
    assert_eq!(told(&k, None), all.concat());
    // Zeros are not told, but for the TTL.
    let least = [to_v4(), attr(ta::TTL, &[0])];
    assert_eq!(told(&from(&least).unwrap(), None), least.concat());
    // IPv6
    let [src, dst] = [ta::IPV6_SRC, ta::IPV6_DST].map(|t| attr(t, &[t as u8; 16]));
    let six = [src, dst, ttl(), gbp(7)];
    let k = from(&six).unwrap();
    assert_eq!((k.tun_proto, k.tun_flags), (TUN_IPV6, tun_flag::VXLAN_OPT));
    assert_eq!(told(&k, None), six.concat());
    // A mask of a key without tunnel has one (K16).
    let plain = key(&[eth(), ty(0x1234)]).unwrap();
    assert_eq!(told(&plain, Some(&KeyBuf::new())), attr(ta::TTL, &[0]));
}

// K13, 2.2
#[test]
fn tunnels_must_make_sense_in_keys_only() {
    let [v6_src, v6_dst, v6_zero] =
        [(ta::IPV6_SRC, 1), (ta::IPV6_DST, 1), (ta::IPV6_DST, 0)].map(|(t, v)| attr(t, &[v; 16]));
    let v4_zero = attr(ta::IPV4_DST, &[0; 4]);
    let v4_src = attr(ta::IPV4_SRC, &[1; 4]);
    assert!(from(&[to_v4(), ttl()]).is_ok());
    assert!(from(&[v6_dst.clone(), ttl()]).is_ok());
    let bad_keys = [
        vec![],
        vec![ttl()],
        vec![to_v4()],
        vec![v4_zero.clone(), ttl()],
        vec![v4_src, ttl()],
        vec![v6_src.clone(), ttl()],
        vec![v6_zero, ttl()],
    ];
    for bad in &bad_keys {
        assert!(refused(from(bad)), "{bad:?}");
        assert!(masked(&[to_v4(), ttl()], bad).is_ok(), "{bad:?}");
        let execute = nest(&[tunnel(bad)]);
        assert!(refused(metadata(first(&execute))), "{bad:?}");
    }
    let bad_everywhere = [
        vec![to_v4(), v6_dst, ttl()],
        vec![to_v4(), v6_src, ttl()],
        vec![to_v4(), ttl(), attr(17, &[0])],
        vec![to_v4(), ttl(), attr(ta::PAD, &[1])],
        vec![to_v4(), ttl(), gbp(1), gbp(1)],
        vec![to_v4(), ttl(), gbp(1), attr(ta::GENEVE_OPTS, &[0; 4])],
        vec![to_v4(), ttl(), attr(ta::ERSPAN_OPTS, &[1; 256])],
        vec![to_v4(), ttl(), attr(ta::GENEVE_OPTS, &[1; 6])],
        vec![to_v4(), ttl(), attr(ta::GENEVE_OPTS, &[1; 256])],
        vec![to_v4(), ttl(), attr(ta::VXLAN_OPTS, &attr(2, &[0; 4]))],
        vec![to_v4(), ttl(), attr(ta::VXLAN_OPTS, &attr(1, &[0; 2]))],
        vec![to_v4(), ttl(), attr(ta::VXLAN_OPTS, &[1; 3])],
        vec![to_v4(), ttl(), vec![5; 3]],
    ];
    for bad in &bad_everywhere {
        assert!(refused(from(bad)), "{bad:?}");
        assert!(refused(masked(&[to_v4(), ttl()], bad)), "{bad:?}");
    }
    let lens = [
        (ta::ID, 8),
        (ta::IPV4_SRC, 4),
        (ta::TOS, 1),
        (ta::TTL, 1),
        (ta::DONT_FRAGMENT, 0),
        (ta::CSUM, 0),
        (ta::OAM, 0),
        (ta::TP_SRC, 2),
        (ta::IPV6_SRC, 16),
        (ta::IPV4_INFO_BRIDGE, 0),
    ];
    for (t, len) in lens {
        for wrong in (0..20).filter(|l| *l != len) {
            assert!(
                refused(from(&[to_v4(), ttl(), attr(t, &vec![0; wrong])])),
                "{t} {wrong}"
            );
        }
    }
    // K14: of duplicates the last counts.
    let twice = [attr(ta::TOS, &[1]), attr(ta::TOS, &[2]), to_v4(), ttl()];
    assert_eq!(from(&twice).unwrap().tun_tos, 2);
}

/// Unlike in the key around it (K1).
#[test]
fn the_last_tunnel_attribute_need_not_be_padded() {
    let mut attrs = [to_v4(), ttl()].concat();
    let padded = attr(ka::TUNNEL, &attrs);
    attrs.truncate(attrs.len() - 3);
    let cut = attr(ka::TUNNEL, &attrs);
    let rest = [eth(), ty(0x1234)];
    let with = |tunnel: Vec<u8>| [vec![tunnel], rest.to_vec()].concat();
    assert_eq!(
        key(&with(cut.clone())).unwrap(),
        key(&with(padded)).unwrap()
    );
    let mask = with_mask(&with(cut.clone()), &[cut]).unwrap();
    assert_eq!(mask.mask.key.tun_ttl, 64);
}

#[test]
fn an_encapsulating_bridge_has_an_id_only() {
    let bridge = || attr(ta::IPV4_INFO_BRIDGE, &[]);
    let id = attr(ta::ID, &[7; 8]);
    assert_eq!(from(&[bridge(), id]).unwrap().tun_proto, TUN_IPV4);
    for more in [
        to_v4(),
        ttl(),
        attr(ta::TOS, &[1]),
        attr(ta::TP_DST, &[1; 2]),
        attr(ta::CSUM, &[]),
        gbp(1),
        attr(ta::IPV6_DST, &[1; 16]),
    ] {
        assert!(refused(from(&[bridge(), more])));
    }
}

// B17, K15
#[test]
fn options_of_every_length() {
    for n in (0..=252usize).step_by(4) {
        let opts: Vec<u8> = (0..n).map(|i| i as u8 | 1).collect();
        let attrs = [to_v4(), ttl(), attr(ta::GENEVE_OPTS, &opts)];
        let k = from(&attrs).unwrap();
        assert_eq!(usize::from(k.ext().tun_opts_len), n);
        let (near, far) = k.as_ref().tun_opts(n);
        assert_eq!([near, far].concat(), opts);
        assert!(key_of(&emit(&k, None)).is_ok());
        let ones = attr(ta::GENEVE_OPTS, &vec![0xff; n]);
        let m = masked(&attrs, std::slice::from_ref(&ones)).unwrap().mask;
        assert_eq!(m.key.ext().tun_opts_len, 0xff);
        assert_eq!(m.key.as_ref().tun_opts(n).0, vec![0xff; n.min(32)]);
        // Every byte counts, and no other.
        let words = n.div_ceil(8) as u32;
        assert_eq!((m.deep >> 11).count_ones(), words, "{n}");
        let other = [to_v4(), ttl(), attr(ta::GENEVE_OPTS, &vec![0; n + 4])];
        if n < 252 {
            assert!(refused(masked(&other, &[ones])));
        }
    }
    // As without a mask.
    let exact = parse_match(
        first(&nest(&[
            tunnel(&[to_v4(), ttl(), attr(ta::GENEVE_OPTS, &[1; 40])]),
            eth(),
            ty(0x1234),
        ])),
        None,
    );
    let exact = exact.unwrap().mask.key;
    assert_eq!(
        exact.as_ref().tun_opts(40),
        (&[0xff; 32][..], &[0xff; 8][..])
    );
    assert_eq!((exact.tun_id, exact.tun_tp_dst.get()), ([0xff; 8], 0xffff));
    assert_eq!(exact.tun_flags, tun_flag::GENEVE_OPT);
}

fn key_of(b: &[u8]) -> NlResult<KeyBuf> {
    parse_key(first(b))
}

#[test]
fn erspan_options_have_12_bytes_whatever_is_sent() {
    let with = |n: u8| {
        from(&[
            to_v4(),
            ttl(),
            attr(ta::ERSPAN_OPTS, &(1..=n).collect::<Vec<_>>()),
        ])
        .unwrap()
    };
    let seen = |k: &KeyBuf| (k.ext().tun_opts_len, k.as_ref().tun_opts(14).0.to_vec());
    let full: Vec<u8> = (1..=12).collect();
    assert_eq!(seen(&with(12)), (12, [&full[..], &[0; 2]].concat()));
    assert_eq!(
        seen(&with(4)),
        (12, [&[0; 8][..], &[1, 2, 3, 4], &[0; 2]].concat())
    );
    // What no packet has stands where no packet has anything.
    assert_eq!(
        seen(&with(14)),
        (12, [&(3..=14).collect::<Vec<u8>>()[..], &[1, 2]].concat())
    );
}

#[test]
fn the_mask_of_other_options_ends_where_the_keys_end() {
    let k = [to_v4(), ttl(), attr(ta::GENEVE_OPTS, &[1; 8])];
    let m = masked(&k, &[gbp(!0)]).unwrap().mask.key;
    assert_eq!(
        m.as_ref().tun_opts(12).0,
        [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]
    );
}

#[test]
fn a_tunnel_mask_matches_what_it_says() {
    let k = [attr(ta::ID, &[0, 0, 0, 0, 0, 0, 0, 5]), to_v4(), ttl()];
    let m = masked(&k, &[attr(ta::ID, &[0xff; 8])]).unwrap();
    let same = |other: &KeyBuf| {
        let mut flow = KeyBuf::new();
        m.mask.apply(&m.key, &mut flow, GFP_KERNEL).unwrap();
        eq_masked(flow.as_ref(), other.as_ref(), &m.mask)
    };
    let with = |change: fn(&mut KeyBuf)| {
        let mut other = from(&k).unwrap();
        change(&mut other);
        same(&other)
    };
    assert!(with(|_| ()));
    assert!(with(|k| k.tun_ttl = 3));
    assert!(with(|k| k.tun_ipv4_dst = [1; 4]));
    assert!(!with(|k| k.tun_id = [0; 8]));
    assert!(!with(|k| k.tun_flags = 0));
    assert!(!with(|k| k.tun_proto = TUN_IPV6));
    // No tunnel at all is a match of its own.
    let plain = with_mask(&[eth(), ty(0x1234)], &[tunnel(&[attr(ta::TTL, &[0])])]).unwrap();
    assert_eq!((plain.mask.key.tun_proto, plain.mask.deep), (0xff, 0));
}

// Each field of a tunnel alone, and ENOMEM wherever there can be.
#[test]
fn keys_of_packets_are_read_the_same() {
    let opts = attr(ta::GENEVE_OPTS, &[3; 64]);
    let six = attr(ta::IPV6_DST, &[6; 16]);
    let message = [tunnel(&[six, ttl(), opts]), eth(), ty(0x1234)];
    let kept = key(&message).unwrap();
    let mut packet = metadata(first(&nest(&message))).unwrap();
    (packet.eth_src, packet.eth_dst) = (kept.eth_src, kept.eth_dst);
    packet.eth_type = kept.eth_type;
    assert_eq!(packet, kept);
    assert_eq!(
        each_failure(|| key(&message).map_err(|e| assert_eq!(e.errno, kernel::error::code::ENOMEM))),
        2
    );
    assert_eq!(
        each_failure(|| parse_match(first(&nest(&message)), None).is_ok()),
        4
    );
}

// K18, K19
#[test]
fn connection_tracking_is_told_if_there_is_any() {
    let fields = [
        attr(ka::CT_STATE, &0x22u32.to_ne_bytes()),
        attr(ka::CT_ZONE, &7u16.to_ne_bytes()),
        attr(ka::CT_MARK, &8u32.to_ne_bytes()),
        attr(ka::CT_LABELS, &[9; 16]),
    ];
    let tuple = attr(
        ka::CT_ORIG_TUPLE_IPV4,
        &[1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10, 6, 0, 0, 0],
    );
    let plain = [eth(), ty(0x800), ip4(0, 0)];
    let with = |ct: &[Vec<u8>]| [ct, &plain[..]].concat();
    FakeEnv::set_ct_fields(CtFields::NONE);
    for f in fields.iter().chain([&tuple]) {
        let message = with(std::slice::from_ref(f));
        assert!(refused(key(&message)));
        // EXECUTE looks for what it knows.
        assert!(metadata(first(&nest(&message))).is_ok());
        assert!(refused(with_mask(&plain, std::slice::from_ref(f))));
    }
    assert_eq!(key(&plain).unwrap().ct_state, 0);
    FakeEnv::set_ct_fields(CtFields::ALL);
    let all = with(&[&fields[..], std::slice::from_ref(&tuple)].concat());
    let k = key(&all).unwrap();
    assert_eq!(
        (k.ct_state, k.ct_zone, k.ct_mark, k.ct_orig_proto),
        (0x22, 7, 8, 6)
    );
    let out = emit(&k, None);
    let told: Vec<u16> = first(&out).nested().map(|a| a.ty()).collect();
    assert_eq!(
        told[4..9],
        [
            ka::CT_STATE,
            ka::CT_ZONE,
            ka::CT_MARK,
            ka::CT_LABELS,
            ka::CT_ORIG_TUPLE_IPV4
        ]
    );
    assert_eq!(key_of(&out).unwrap(), k);
    let zeros = emit(&key(&plain).unwrap(), None);
    let told: Vec<u16> = first(&zeros).nested().map(|a| a.ty()).collect();
    assert_eq!(
        told[4..8],
        [ka::CT_STATE, ka::CT_ZONE, ka::CT_MARK, ka::CT_LABELS]
    );
    // Bits that nobody knows, in keys and in masks, but not in the mask of a key without one.
    let unknown = attr(ka::CT_STATE, &0x100u32.to_ne_bytes());
    assert!(refused(key(&with(std::slice::from_ref(&unknown)))));
    assert!(refused(with_mask(&all, std::slice::from_ref(&unknown))));
    let exact = parse_match(first(&nest(&all)), None).unwrap().mask.key;
    assert_eq!(
        (exact.ct_state, exact.ct_zone, exact.ct_orig_proto),
        (0xff, 0xffff, 0xff)
    );
    for without in 1..4 {
        let fields_now = CtFields {
            zone: without != 1,
            mark: without != 2,
            labels: without != 3,
            ..CtFields::ALL
        };
        FakeEnv::set_ct_fields(fields_now);
        assert!(refused(key(&with(&fields[without..=without]))));
        assert!(key(&with(&fields[..without])).is_ok());
    }
}

// K9, K40, P3
#[test]
fn original_tuples_belong_to_their_family() {
    FakeEnv::set_ct_fields(CtFields::ALL);
    let v4 = || attr(ka::CT_ORIG_TUPLE_IPV4, &[1; 16]);
    let v6 = || attr(ka::CT_ORIG_TUPLE_IPV6, &[1; 40]);
    let udp = attr(ka::UDP, &[1; 4]);
    let key4 = [eth(), ty(0x800), ip4(17, 0), udp.clone()];
    let key6 = [eth(), ty(0x86dd), ip6(17, 0, 0), udp];
    let arp = [
        eth(),
        ty(0x806),
        attr(ka::ARP, &[&[1; 8][..], &[0, 2], &[3; 14]].concat()),
    ];
    let icmp = attr(ka::ICMPV6, &[135, 0]);
    let nd = [
        eth(),
        ty(0x86dd),
        ip6(58, 0, 0),
        icmp,
        attr(ka::ND, &[7; 28]),
    ];
    let exact = attr(ka::ETHERTYPE, &[0xff; 2]);
    let allowed = |k: &[Vec<u8>], t: Vec<u8>| {
        let k = [k, std::slice::from_ref(&t)].concat();
        with_mask(&k, &[exact.clone(), t.clone()]).is_ok()
    };
    assert!(allowed(&key4, v4()) && allowed(&key6, v6()));
    assert!(!allowed(&key4, v6()) && !allowed(&key6, v4()));
    assert!(!allowed(&arp, v4()) && !allowed(&nd, v6()));
    // Not without the type.
    assert!(refused(with_mask(&[&key4[..], &[v4()]].concat(), &[v4()])));
    // What shares words is this key's own.
    let both = key(&[&nd[..], &[v6()]].concat()).unwrap();
    assert_eq!((both.ext().hw_src, both.ext().reserved19), ([7; 6], 0));

    let execute = |t: Vec<u8>| parse_metadata(first(&nest(&[t])), &mut FlowKey::new()).unwrap();
    let packet = |m: &[Vec<u8>]| *key(m).unwrap().core();
    assert!(execute(v4()).check(&packet(&key4)).is_ok());
    assert!(execute(v6()).check(&packet(&key6)).is_ok());
    for bad in [&key6[..], &arp, &nd] {
        assert_eq!(execute(v4()).check(&packet(bad)).unwrap_err().errno, EINVAL);
    }
    for bad in [&key4[..], &arp, &nd] {
        assert_eq!(execute(v6()).check(&packet(bad)).unwrap_err().errno, EINVAL);
    }
    let mut odd_code = packet(&nd);
    odd_code.tp_dst = Be16::new(1);
    assert!(execute(v6()).check(&odd_code).is_ok());
}

#[test]
fn one_to_three_labels() {
    for t in [0x8847, 0x8848] {
        for len in 0..=20 {
            let labels: Vec<u8> = (1..=len).collect();
            let message = [eth(), ty(t), attr(ka::MPLS, &labels)];
            let good = matches!(len, 4 | 8 | 12);
            assert_eq!(key(&message).is_ok(), good, "{len}");
            if !good {
                continue;
            }
            let k = key(&message).unwrap();
            assert_eq!(k.mpls().count(), usize::from(len / 4));
            assert!(emit(&k, None).ends_with(&attr(ka::MPLS, &labels)));
            let exact = parse_match(first(&nest(&message)), None).unwrap().mask.key;
            let mask = emit(&k, Some(&exact));
            assert!(mask.ends_with(&attr(ka::MPLS, &vec![0xff; labels.len()])));
        }
        assert!(refused(key(&[eth(), ty(t)])));
    }
    // A mask may have other labels than the key; the dump says how many.
    let three = [eth(), ty(0x8847), attr(ka::MPLS, &[1; 12])];
    let exact = attr(ka::ETHERTYPE, &[0xff; 2]);
    let one = attr(ka::MPLS, &[0xff; 4]);
    let m = with_mask(&three, &[exact, one.clone()]).unwrap();
    assert!(emit(&m.key, Some(&m.mask.key)).ends_with(&one));
    assert!(refused(with_mask(&three, &[one])));
}

#[test]
fn nsh_headers() {
    let base = |md: u8| attr(nsh_attr::BASE, &[0, 63, md, 3, 0, 0, 1, 255]);
    let md1 = attr(nsh_attr::MD1, &[5; 16]);
    let nsh = |attrs: &[Vec<u8>]| [eth(), ty(0x894f), attr(ka::NSH, &attrs.concat())];
    let full = nsh(&[base(1), md1.clone()]);
    let k = key(&full).unwrap();
    assert!(emit(&k, None).ends_with(&full[2]));
    // Type 2 has no context here.
    let two = nsh(&[base(2)]);
    assert!(emit(&key(&two).unwrap(), None).ends_with(&two[2]));
    for bad in [
        nsh(&[base(2), md1.clone()]),
        nsh(&[base(1), attr(nsh_attr::MD2, &[1; 4])]),
        nsh(&[attr(nsh_attr::BASE, &[0; 9])]),
        nsh(&[base(1), attr(nsh_attr::MD1, &[0; 15])]),
        nsh(&[attr(0, &[])]),
        nsh(&[attr(4, &[])]),
        nsh(&[base(1), vec![0; 3]]),
    ] {
        assert!(refused(key(&bad)));
    }
    assert!(refused(key(&full[..2])));
    let exact = parse_match(first(&nest(&full)), None).unwrap().mask.key;
    let ones = [
        attr(nsh_attr::BASE, &[0xff; 8]),
        attr(nsh_attr::MD1, &[0xff; 16]),
    ]
    .concat();
    assert!(emit(&k, Some(&exact)).ends_with(&attr(ka::NSH, &ones)));
    // In masks the type says nothing.
    let ethertype = attr(ka::ETHERTYPE, &[0xff; 2]);
    assert!(with_mask(&full, &[ethertype, attr(ka::NSH, &md1)]).is_ok());
    assert!(DEEP_WORDS > 0 && exact.is_plain());
}

#[test]
fn c16_labels_are_for_namespaces_that_could_reserve_them() {
    let message = nest(&[attr(ka::CT_LABELS, &[9; 16]), eth(), ty(0x1234)]);
    for right in [true, false] {
        let net = FakeNet::with_labels(right);
        let of = |net| super::parse_key(net, first(&message));
        assert_eq!(refused(of(&net)), !right);
        let mut m = FlowMatch::empty();
        let r = super::parse_match(&net, first(&message), Some(first(&message)), &mut m);
        assert_eq!(refused(r), !right);
        // EXECUTE ignores what it does not know.
        let mut key = FlowKey::new();
        super::parse_metadata(&net, first(&message), &mut key).unwrap();
        assert_eq!(key.ext().ct_labels, [if right { 9 } else { 0 }; 16]);
    }
}
