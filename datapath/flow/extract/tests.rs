// SPDX-License-Identifier: GPL-2.0
//! Tests of extraction: the vectors in `tests/vectors/keys.txt`, and properties on arbitrary bytes.

use super::*;
use crate::datapath::env::TunnelInfo;
use crate::datapath::env::VlanTag;
use crate::datapath::flow::key::{Mpls, TUN_IPV4};
use crate::packet;
use proptest::prelude::*;

/// A frame, how it arrives, and the key it must give.
struct Vector {
    name: &'static str,
    frame: Vec<u8>,
    l3: Option<u16>,
    tag: Option<VlanTag>,
    key: FlowKey,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

fn vectors() -> Vec<Vector> {
    let all = super::vectors::vectors();
    all.map(|v| v.expect("a vector of keys.txt"))
        .map(|v| Vector {
            name: v.name,
            frame: v.frame.to_vec(),
            l3: v.l3,
            tag: v.tag,
            key: v.key,
        })
        .collect()
}

impl Vector {
    fn packet(&self, len: usize, linear: usize) -> Packet {
        let mut p = Packet::split(&self.frame[..len], linear);
        p = p.with_protocol(self.l3.unwrap_or(0));
        match self.tag {
            Some(t) => p.with_vlan(t.tpid, t.tci),
            None => p,
        }
    }

    fn extract(&self, p: &mut Packet) -> Result<FlowKey, DropReason> {
        from_device(p, 7, self.l3.is_none())
    }
}

/// Everything that extraction leaves behind in a packet.
fn marks(p: &Packet) -> impl PartialEq + core::fmt::Debug {
    let marks = (
        p.mac_header(),
        p.network_offset(),
        p.transport_offset(),
        p.mac_len(),
    );
    (marks, p.protocol(), p.vlan_tag(), p.bytes().to_vec())
}

// Also B47: "ip6 later fragment" and "ip6 extensions" in all their orders; B64: "nd option" of length 0, 255 and cut short.
#[test]
fn vectors_give_their_keys() {
    let all = vectors();
    assert!(all.len() > 100, "{} vectors", all.len());
    for v in all {
        let got = v.extract(&mut v.packet(v.frame.len(), v.frame.len()));
        assert_eq!(got, Ok(v.key), "{}", v.name);
    }
}

// B64: neighbour discovery options too are read where they may not be linear.
#[test]
fn key_and_marks_do_not_depend_on_what_is_linear_at_any_length() {
    for v in vectors() {
        for len in 0..=v.frame.len() {
            let mut whole = v.packet(len, len);
            let expected = v.extract(&mut whole);
            let short = v.l3.is_none() && len < 14;
            // Of a service header all must be there (K33).
            let is_nsh = v.key.eth_type.get() == ty::NSH;
            assert!(expected.is_err() == short || is_nsh, "{} at {len}", v.name);
            for linear in 0..len {
                let mut p = v.packet(len, linear);
                assert_eq!(
                    v.extract(&mut p),
                    expected,
                    "{} at {len}, linear {linear}",
                    v.name
                );
                assert_eq!(
                    marks(&p),
                    marks(&whole),
                    "{} at {len}, linear {linear}",
                    v.name
                );
            }
        }
    }
}

#[test]
fn a_second_look_keeps_metadata_and_gives_the_same() {
    for v in vectors() {
        let mut p = v.packet(v.frame.len(), 0);
        p.set_priority(5);
        p.set_mark(6);
        let mut key = v.extract(&mut p).unwrap();
        assert_eq!((key.priority, key.mark), (5, 6));
        (key.recirc_id, key.dp_hash) = (8, 9);
        let mut again = key.clone();
        (again.ip_proto, again.tp_src) = (99, Be16::new(1));
        again.ext_mut().nd_target = [1; 16];
        assert_eq!(refresh(&mut p, &mut again), Ok(()), "{}", v.name);
        assert_eq!(again, key, "{}", v.name);
    }
}

#[test]
fn marks_follow_the_headers() {
    let at = |name: &str| {
        let v = vectors().into_iter().find(|v| v.name == name).unwrap();
        let mut p = v.packet(v.frame.len(), v.frame.len());
        p.set_transport_header(999);
        v.extract(&mut p).unwrap();
        (
            p.network_offset(),
            p.transport_offset(),
            p.mac_len(),
            p.protocol(),
        )
    };
    assert_eq!(at("tcp4 syn"), (14, 34, 14, 0x800));
    assert_eq!(at("udp4 with options"), (14, 38, 14, 0x800));
    assert_eq!(at("ip4 later fragment"), (14, 34, 14, 0x800));
    assert_eq!(at("ip4 header length 4"), (14, 14, 14, 0x800));
    assert_eq!(at("ip4 header longer than packet"), (14, 14, 14, 0x800));
    assert_eq!(at("ip4 cut short"), (14, 14, 14, 0x800));
    assert_eq!(at("arp request"), (14, 999, 14, 0x806));
    assert_eq!(at("ip6 cut short"), (14, 14, 14, 0x86dd));
    assert_eq!(at("ip6 extensions 0"), (14, 70, 14, 0x86dd));
    assert_eq!(at("ip6 later fragment"), (14, 999, 14, 0x86dd));
    assert_eq!(at("ip6 extension cut short"), (14, 14, 14, 0x86dd));
    // The outer tag leaves the frame; the inner one stays and lends its TPID to the packet.
    assert_eq!(at("one tag"), (14, 34, 14, 0x800));
    assert_eq!(at("two tags"), (18, 38, 18, 0x8100));
    assert_eq!(
        at("tag beside the data and one inside"),
        (18, 38, 18, 0x8100)
    );
    // Untouched, but four bytes in front of it are gone.
    assert_eq!(at("three tags"), (18, 995, 18, 0x8100));
    assert_eq!(at("tag without a type after it"), (14, 999, 14, 0x8100));
    assert_eq!(at("SNAP with OUI 0"), (22, 42, 22, 0x800));
    assert_eq!(at("L3 IPv4"), (0, 20, 0, 0x800));
}

#[test]
fn the_outer_tag_moves_beside_the_data() {
    for (tags, rest) in [(1, 0), (2, 1), (3, 2)] {
        let tag = bytes("88a8e005");
        let frame = [&[2; 12][..], &tag.repeat(tags), &[0x12, 0x34], &[0; 20]].concat();
        let mut p = Packet::new(&frame);
        from_device(&mut p, 1, true).unwrap();
        assert_eq!(
            p.vlan_tag(),
            Some(VlanTag {
                tpid: 0x88a8,
                tci: 0xe005
            })
        );
        assert_eq!(p.bytes()[12..][..4 * rest], tag.repeat(rest));
        assert_eq!(p.on_wire(), frame);
    }
}

/// All combinations of a tag beside the data and up to four in the frame, against a model that works on a list.
#[test]
fn vlan_matrix() {
    let tpids = [0x8100u16, 0x88a8];
    for beside in [None, Some(0x8100u16), Some(0x88a8)] {
        for n in 0..=4u32 {
            for pattern in 0..1u32 << n {
                for cut in [None, Some(0), Some(2), Some(4), Some(6)] {
                    let list: Vec<u16> =
                        (0..n).map(|i| tpids[(pattern >> i & 1) as usize]).collect();
                    let mut frame = vec![2; 12];
                    for (i, t) in list.iter().enumerate() {
                        frame.extend(t.to_be_bytes());
                        frame.extend((i as u16 + 100).to_be_bytes());
                    }
                    frame.extend([0x12, 0x34]);
                    frame.extend([0; 8]);
                    // Cut in the last tag: so many bytes of the type after it and the payload remain.
                    if let Some(left) = cut {
                        frame.truncate(12 + 4 * n as usize + left);
                    }
                    if frame.len() < 14 {
                        continue;
                    }
                    let complete = |i: usize| i < list.len() && frame.len() >= 12 + 4 * (i + 1) + 2;
                    let mut tags: Vec<(u16, u16)> =
                        beside.map(|t| (t, 0x5000)).into_iter().collect();
                    let mut read = 0;
                    while tags.len() < 2 && complete(read) {
                        tags.push((list[read], (read as u16 + 100) | VLAN_CFI));
                        read += 1;
                    }
                    let ty = if read < list.len() {
                        list[read]
                    } else {
                        0x1234
                    };

                    let mut p = Packet::split(&frame, 3);
                    if let Some(tpid) = beside {
                        p = p.with_vlan(tpid, 0x5000 & !VLAN_CFI);
                    }
                    let key = from_device(&mut p, 1, true).unwrap();
                    let get = |i: usize| tags.get(i).copied().unwrap_or((0, 0));
                    let outer = (key.vlan_tpid.get(), key.vlan_tci.get());
                    let inner = (key.cvlan_tpid.get(), key.cvlan_tci.get());
                    assert_eq!(
                        (outer, inner),
                        (get(0), get(1)),
                        "{beside:?} {list:?} {cut:?}"
                    );
                    assert_eq!(key.eth_type.get(), ty, "{beside:?} {list:?} {cut:?}");
                    let proto = if tags.len() == 2 { tags[1].0 } else { ty };
                    assert_eq!(p.protocol(), proto, "{beside:?} {list:?} {cut:?}");
                    let l2 = 14 + if tags.len() == 2 { 4 } else { 0 };
                    assert_eq!((p.network_offset(), p.mac_len()), (l2, l2));
                }
            }
        }
    }
}

#[test]
fn udp_aggregates_count_as_first_fragments() {
    for name in ["udp4 tos", "udp6 class and label", "tcp6"] {
        let v = vectors().into_iter().find(|v| v.name == name).unwrap();
        let gso = packet::Gso {
            size: 8,
            headers: 42,
            udp_fragments: true,
        };
        let mut p = v.packet(v.frame.len(), v.frame.len()).with_gso(gso);
        assert_eq!(
            v.extract(&mut p),
            Ok(FlowKey::with(
                Core {
                    ip_frag: FRAG_FIRST,
                    ..*v.key.core()
                },
                *v.key.ext()
            ))
        );
        let gso = packet::Gso {
            udp_fragments: false,
            ..gso
        };
        let mut p = v.packet(v.frame.len(), v.frame.len()).with_gso(gso);
        assert_eq!(v.extract(&mut p), Ok(v.key));
    }
}

#[test]
fn devices_without_addresses_may_deliver_frames() {
    let v = vectors().into_iter().find(|v| v.name == "tcp6").unwrap();
    let mut p = Packet::new(&v.frame).with_protocol(ty::TEB);
    assert_eq!(from_device(&mut p, 7, false), Ok(v.key));
    assert_eq!(p.protocol(), ty::IPV6);
}

#[test]
fn l3_packets_must_not_be_vlan_tags() {
    for proto in [0x8100, 0x88a8] {
        let mut p = Packet::new(&[0; 40]).with_protocol(proto);
        assert_eq!(from_device(&mut p, 1, false), Err(DropReason::NotSpecified));
    }
    assert!(from_device(&mut Packet::new(&[]).with_protocol(0x800), 1, false).is_ok());
}

#[test]
fn memory_failure_aborts_the_packet_or_leaves_fields_zero() {
    for v in vectors() {
        let mut failures = 0;
        for n in 1.. {
            let mut p = v.packet(v.frame.len(), 0);
            packet::fail_nth(n);
            let mut key = FlowKey::new();
            key.in_port = 7;
            key.mac_proto = if v.l3.is_none() { 1 } else { 0 };
            let got = refresh(&mut p, &mut key);
            let reached = packet::fail_nth(0);
            match got {
                Err(e) => {
                    assert_eq!(e, ExtractError::NoMem, "{}", v.name);
                    failures += 1;
                }
                Ok(()) if key == v.key && !reached => break,
                // A transport header or ARP that could not be pulled is like one that is missing.
                Ok(()) => assert!(reached, "{}", v.name),
            }
        }
        assert!(failures > 0 || v.l3.is_some(), "{}", v.name);
    }
}

#[test]
fn execute_takes_metadata_and_looks_at_the_packet_for_the_rest() {
    let v = vectors()
        .into_iter()
        .find(|v| v.name == "tcp4 syn")
        .unwrap();
    let execute = |p: &mut Packet, meta: Core| {
        let mut key = FlowKey::from_core(meta);
        from_execute(p, &mut key).map(|()| key).map_err(|e| e.errno)
    };
    let meta = Core {
        priority: 1,
        mark: 2,
        dp_hash: 3,
        recirc_id: 4,
        in_port: 7,
        mac_proto: MAC_PROTO_ETHERNET,
        ..Core::ZERO
    };
    let with_meta = Core {
        priority: 1,
        mark: 2,
        dp_hash: 3,
        recirc_id: 4,
        ..*v.key.core()
    };
    let mut p = Packet::new(&v.frame);
    assert_eq!(
        execute(&mut p, meta).unwrap(),
        FlowKey::from_core(with_meta)
    );
    assert_eq!((p.priority(), p.mark(), p.protocol()), (1, 2, 0x800));

    let l3 = Core {
        mac_proto: MAC_PROTO_NONE,
        eth_type: Be16::new(0x800),
        ..meta
    };
    let mut p = Packet::new(&v.frame[14..]);
    let key = execute(&mut p, l3).unwrap();
    let expected = Core {
        mac_proto: MAC_PROTO_NONE,
        eth_src: [0; 6],
        eth_dst: [0; 6],
        ..with_meta
    };
    assert_eq!(key, FlowKey::from_core(expected));
    assert_eq!(p.protocol(), 0x800);

    let vlan = Core {
        eth_type: Be16::new(0x8100),
        ..l3
    };
    assert_eq!(
        execute(&mut Packet::new(&v.frame), vlan).unwrap_err(),
        EINVAL
    );
    assert_eq!(
        execute(&mut Packet::new(&[0; 13]), meta).unwrap_err(),
        EINVAL
    );
    packet::fail_nth(1);
    assert_eq!(
        execute(&mut Packet::split(&v.frame, 0), meta).unwrap_err(),
        ENOMEM
    );
}

// K33: what is not a whole header that the key can have drops the packet.
#[test]
fn service_headers_must_be_sound() {
    let v = vectors()
        .into_iter()
        .find(|v| v.name == "nsh type 1")
        .unwrap();
    let with = |at: usize, value: u8| {
        let mut frame = v.frame.clone();
        frame[14 + at] = value;
        from_device(&mut Packet::new(&frame), 7, true)
    };
    let (first, second) = (v.frame[14], v.frame[15]);
    assert_eq!(with(0, first), Ok(v.key.clone()));
    let bad = Err(DropReason::NotSpecified);
    assert_eq!(with(0, first | 0x40), bad, "version 1");
    assert_eq!(with(1, second & !0x3f | 5), bad, "length 20 of type 1");
    assert_eq!(with(1, second & !0x3f | 7), bad, "longer than the packet");
    for md in [0, 3, 4, 0x11, 0xff] {
        assert_eq!(with(2, md), bad, "type {md}");
    }
    for len in 14..v.frame.len() {
        let mut cut = Packet::new(&v.frame[..len]);
        assert_eq!(from_device(&mut cut, 7, true), bad, "{len} bytes");
    }
}

// B44, K32: a stack of any length ends, with the packet at the latest.
#[test]
fn endless_label_stacks_end() {
    let mut frame = vec![0; 12];
    frame.extend([0x88, 0x47]);
    frame.resize(14 + 65536, 0);
    let mut p = Packet::split(&frame, 14);
    let key = from_device(&mut p, 1, true).unwrap();
    assert_eq!(key.mpls(), Mpls::default());
    assert_eq!(p.inner_network_header(), frame.len());
    // The 300th entry is the bottom.
    frame[14 + 299 * 4 + 2] = 1;
    let mut p = Packet::split(&frame, 14);
    let key = from_device(&mut p, 1, true).unwrap();
    assert_eq!(key.mpls().count(), 3);
    assert_eq!(p.inner_network_header(), 14 + 300 * 4);
}

fn tunnel_info(options: &'static [u8]) -> TunnelInfo<'static> {
    TunnelInfo {
        id: [1; 8],
        proto: TUN_IPV4,
        src: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        dst: [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        tp_src: Be16::new(5),
        tp_dst: Be16::new(4789),
        flags: 1,
        tos: 3,
        ttl: 64,
        options,
    }
}

// K17, K21, K35
#[test]
fn tunnel_metadata_enters_the_key_and_stays() {
    static OPTIONS: [u8; 255] = [7; 255];
    for len in [0, 4, 8, 32, 36, 252, 255] {
        for proto in [TUN_IPV4, TUN_IPV6] {
            let info = TunnelInfo {
                proto,
                ..tunnel_info(&OPTIONS[..len])
            };
            for v in vectors() {
                let mut p = v.packet(v.frame.len(), v.frame.len()).with_tunnel(info);
                let mut key = FlowKey::new();
                tunnel(&p, &mut key);
                extract_into(&mut key, &mut p, 7, v.l3.is_none()).unwrap();
                assert_eq!(
                    (key.tun_proto, key.tun_id, key.tun_flags),
                    (proto, [1; 8], 1)
                );
                assert_eq!((key.tun_tp_src.get(), key.tun_tp_dst.get()), (5, 4789));
                assert_eq!((key.tun_tos, key.tun_ttl), (3, 64));
                let ext = key.ext();
                let addrs = match proto {
                    TUN_IPV4 => (key.tun_ipv4_src.to_vec(), key.tun_ipv4_dst.to_vec()),
                    _ => (ext.tun_ipv6_src.to_vec(), ext.tun_ipv6_dst.to_vec()),
                };
                let n = addrs.0.len();
                assert_eq!(addrs, (info.src[..n].to_vec(), info.dst[..n].to_vec()));
                assert_eq!(usize::from(ext.tun_opts_len), len);
                let (near, far) = key.as_ref().tun_opts(len);
                assert_eq!([near, far].concat(), info.options);
                // The rest is that of the packet alone, and looking again keeps all.
                assert_eq!(key.eth_type, v.key.eth_type);
                assert_eq!(key.ext().nd_target, v.key.ext().nd_target);
                let before = key.clone();
                (key.ct_state, key.ct_zone, key.ct_mark) = (1, 2, 3);
                key.ext_mut().ct_labels = [4; 16];
                refresh(&mut p, &mut key).unwrap();
                assert_eq!((key.ct_state, key.ct_zone, key.ct_mark), (1, 2, 3));
                assert_eq!(key.ext().ct_labels, [4; 16]);
                (key.ct_state, key.ct_zone, key.ct_mark) = (0, 0, 0);
                key.ext_mut().ct_labels = [0; 16];
                assert_eq!(key, before, "{}", v.name);
            }
        }
    }
    let mut key = FlowKey::new();
    tunnel(&Packet::new(&[0; 60]), &mut key);
    assert!(key == FlowKey::new() && key.is_plain());
}

// K40: the tuple stays where the packet can have one.
#[test]
fn a_second_look_keeps_the_original_tuple() {
    let find = |name: &str| vectors().into_iter().find(|v| v.name == name).unwrap();
    let tracked = |v: &Vector| {
        let mut p = v.packet(v.frame.len(), 0);
        let mut key = v.extract(&mut p).unwrap();
        key.ct_orig_proto = 6;
        key.ext_mut().set_ct_orig_addrs([1; 16], [2; 16]);
        refresh(&mut p, &mut key).unwrap();
        (key.ct_orig_proto, key.ext().ct_orig_addrs())
    };
    assert_eq!(tracked(&find("tcp4 syn")), (6, ([1; 16], [2; 16])));
    assert_eq!(tracked(&find("tcp6")), (6, ([1; 16], [2; 16])));
    let arp = find("arp request");
    assert_eq!(tracked(&arp), (0, arp.key.ext().ct_orig_addrs()));
}

/// Bytes that look like a packet more often than not: a vector with some bytes changed, or noise.
fn any_frame() -> impl Strategy<Value = (Vec<u8>, Option<u16>)> {
    let frames: Vec<_> = vectors().into_iter().map(|v| (v.frame, v.l3)).collect();
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let damaged = (
        prop::sample::select(frames),
        changes,
        any::<prop::sample::Index>(),
    )
        .prop_map(|((mut f, l3), changes, end)| {
            for (i, b) in changes {
                let at = i.index(f.len());
                f[at] = b;
            }
            f.truncate(end.index(f.len() + 1).max(f.len() / 2));
            (f, l3)
        });
    let noise = proptest::collection::vec(any::<u8>(), 0..200).prop_map(|f| (f, Some(0x86dd)));
    prop_oneof![4 => damaged, 1 => noise]
}

proptest! {
    #[test]
    fn arbitrary_packets((frame, l3) in any_frame(), linear in any::<prop::sample::Index>(), fail in 0u64..6) {
        let linear = linear.index(frame.len() + 1);
        let new = |linear| Packet::split(&frame, linear).with_protocol(l3.unwrap_or(0));
        let mut whole = new(frame.len());
        let expected = from_device(&mut whole, 1, l3.is_none());
        let mut p = new(linear);
        prop_assert_eq!(&from_device(&mut p, 1, l3.is_none()), &expected);
        prop_assert_eq!(marks(&p), marks(&whole));
        if let Ok(mut key) = expected {
            let ext = key.ext();
            prop_assert_eq!((ext.reserved16, ext.reserved19, ext.reserved20), (0, 0, 0));
            let before = key.clone();
            prop_assert_eq!(refresh(&mut p, &mut key), Ok(()));
            // The tag that moved out of the frame is found beside it.
            prop_assert_eq!(key, before);
        }
        packet::fail_nth(fail);
        let _ = from_device(&mut new(linear), 1, l3.is_none());
        packet::fail_nth(0);
    }
}

// K29: as many extension headers as the kernel follows, and one more.
#[test]
fn ip6_chains_end_after_twelve_extensions() {
    for n in 1..=20u8 {
        let mut frame = vec![2; 12];
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, n * 8 + 8, 60, 64]);
        frame.extend([9; 32]);
        for i in 1..=n {
            frame.extend([if i == n { 17 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
        }
        frame.extend([3, 0xe8, 0, 53, 0, 8, 0, 0]);
        let key = from_device(&mut Packet::new(&frame), 7, true).unwrap();
        let (proto, port) = if n <= 12 { (17, 1000) } else { (59, 0) };
        assert_eq!(
            (key.ip_proto, key.tp_src.get()),
            (proto, port),
            "{n} headers"
        );
    }
}
