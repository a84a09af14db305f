// SPDX-License-Identifier: GPL-2.0
//! A CT action on packets, with the fake tracker: every branch of the steps (spec C6 to C17).

use super::*;
use crate::conntrack::{judge, take_stolen, Call, Conn, Tuple, Word};
use crate::datapath::conntrack::spec::{
    AddrRange, Commit, Labels, Mark, Name, Nat, PortRange, Spec,
};
use crate::datapath::env::conntrack::CtInfo;
use crate::datapath::env::PostCt;
use crate::datapath::flow::extract::from_device;
use crate::env::FakeNet;
use crate::packet::{alive, take_drops, Gso};
use kernel::error::code::ENOSPC;
use std::sync::Arc;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];

/// An Ethernet frame with UDP in IPv4 in it, and `tail` bytes behind.
fn frame(src: [u8; 4], dst: [u8; 4], sport: u16, dport: u16, tail: usize) -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    p.extend([0x45, 0, 0, 36, 0, 9, 0, 0, 64, 17, 0, 0]);
    p.extend([src, dst].concat());
    p.extend([sport.to_be_bytes(), dport.to_be_bytes()].concat());
    p.extend([0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    p.resize(p.len() + tail, 0xee);
    p
}

fn there() -> Vec<u8> {
    frame(A, B, 1000, 53, 0)
}

fn back() -> Vec<u8> {
    frame(B, A, 53, 1000, 0)
}

fn spec(commit: Commit) -> Spec {
    Spec {
        commit,
        ..Spec::new(false, 17)
    }
}

struct Lab {
    net: FakeNet,
}

impl Lab {
    fn new() -> Self {
        take_drops();
        Self {
            net: FakeNet::new(),
        }
    }

    fn action(&self, spec: Spec) -> CtAction {
        CtAction::new(&self.net, spec, true).expect("an action")
    }

    fn packet(&self, bytes: &[u8]) -> (Packet, FlowKey) {
        let mut pkt = Packet::new(bytes);
        let key = from_device(&mut pkt, 1, true).expect("a key");
        (pkt, key)
    }

    /// A packet as it comes in, through one action.
    fn one(&self, bytes: &[u8], spec: Spec) -> (Packet, FlowKey) {
        let (pkt, mut key) = self.packet(bytes);
        let pkt = self.again(pkt, &mut key, spec).expect("goes on");
        (pkt, key)
    }

    fn again(&self, pkt: Packet, key: &mut FlowKey, spec: Spec) -> Result<Packet> {
        execute(&self.net, pkt, key, &self.action(spec)).map(|p| p.expect("not kept"))
    }

    fn table(&self) -> Vec<Arc<Conn>> {
        self.net.tracker().connections()
    }

    /// What of `spec` a connection committed with it has, and its key.
    fn state(&self, bytes: &[u8]) -> u8 {
        self.one(bytes, spec(Commit::No)).1.ct_state
    }
}

#[test]
fn c14_the_states_of_a_connection() {
    let lab = Lab::new();
    assert_eq!(lab.state(&there()), cs::TRACKED | cs::NEW);
    assert_eq!(lab.state(&there()), cs::TRACKED | cs::NEW);
    assert!(lab.table().is_empty());
    let (pkt, key) = lab.one(&there(), spec(Commit::Yes));
    assert_eq!(key.ct_state, cs::TRACKED | cs::NEW);
    assert_eq!(pkt.bytes(), there());
    assert_eq!(lab.table().len(), 1);
    assert_eq!(
        lab.state(&back()),
        cs::TRACKED | cs::ESTABLISHED | cs::REPLY
    );
    assert_eq!(lab.state(&there()), cs::TRACKED | cs::ESTABLISHED);
    // Another zone knows nothing of it.
    let other = Spec {
        zone: 7,
        ..spec(Commit::No)
    };
    let (_, key) = lab.one(&there(), other);
    assert_eq!((key.ct_state, key.ct_zone), (cs::TRACKED | cs::NEW, 7));
}

#[test]
fn c14_the_original_tuple() {
    let lab = Lab::new();
    lab.one(&there(), spec(Commit::Yes));
    let (_, key) = lab.one(&back(), spec(Commit::No));
    assert_eq!(key.ct_orig_proto, 17);
    let ext = key.ext();
    assert_eq!(
        (ext.ct_orig_tp_src.get(), ext.ct_orig_tp_dst.get()),
        (1000, 53)
    );
    let (src, dst) = ext.ct_orig_addrs();
    assert_eq!((&src[..4], &dst[..4]), (&A[..], &B[..]));
    assert_eq!(src[4..], [0; 12]);
}

#[test]
fn c14_a_related_connection_has_its_masters_tuple_and_labels() {
    let lab = Lab::new();
    lab.one(&there(), spec(Commit::Yes));
    let master = lab.table()[0].clone();
    master.state().labels = Some([3; 16]);
    let data = frame(A, B, 2000, 20, 0);
    let (pkt, mut key) = lab.one(&data, spec(Commit::No));
    pkt.conn.as_ref().unwrap().0.state().master = Some(master);
    state::tracked(&mut key, pkt.connection().as_ref(), 0);
    assert_eq!(key.ct_state, cs::TRACKED | cs::NEW | cs::RELATED);
    assert_eq!(key.ext().ct_orig_tp_src.get(), 1000);
    assert_eq!(key.ext().ct_labels, [3; 16]);
    // Committed, it inherits them.
    let labels = Labels {
        value: [0xff; 16],
        mask: [0x80; 16],
    };
    let with = Spec {
        labels: Some(labels),
        ..spec(Commit::Yes)
    };
    let pkt = lab.again(pkt, &mut key, with).unwrap();
    assert_eq!(key.ext().ct_labels, [0x83; 16]);
    assert_eq!(
        pkt.conn.as_ref().unwrap().0.state().labels,
        Some([0x83; 16])
    );
}

#[test]
fn c8_an_invalid_packet_goes_on_and_is_not_committed() {
    let lab = Lab::new();
    let short = &there()[..34 + 2]; // UDP without its second port
    for commit in [Commit::No, Commit::Yes, Commit::Force] {
        let zone = Spec {
            zone: 9,
            ..spec(commit)
        };
        let (pkt, key) = lab.one(short, zone);
        assert_eq!(key.ct_state, cs::TRACKED | cs::INVALID);
        assert_eq!((key.ct_zone, key.ct_mark, key.ct_orig_proto), (9, 0, 0));
        assert_eq!(pkt.bytes(), short);
    }
    assert!(lab.table().is_empty());
}

#[test]
fn c6_padding_is_cut_off_and_the_frame_is_whole_again() {
    let lab = Lab::new();
    let (pkt, _) = lab.one(&frame(A, B, 1, 2, 20), spec(Commit::No));
    assert_eq!(pkt.bytes(), frame(A, B, 1, 2, 0));
    assert_eq!(
        (
            pkt.mac_header(),
            pkt.network_offset(),
            pkt.transport_offset()
        ),
        (0, 14, 34)
    );
}

/// C of 6.12 goes by the flow's family: it takes the label's last bytes for a length, and an old key's word for a fragment.
#[test]
fn c6_what_is_no_ip_packet_any_more_is_neither_cut_nor_kept() {
    let lab = Lab::new();
    let [first, ..] = fragments();
    for mut frame in [frame(A, B, 1, 2, 300), first] {
        let (mut pkt, mut key) = lab.packet(&frame);
        let label = [0, 0, 1, 20];
        pkt.push_mpls(label, ty::MPLS_UC, 14).expect("a label");
        extract::refresh(&mut pkt, &mut key).expect("a key");
        let pkt = lab.again(pkt, &mut key, spec(Commit::No)).expect("goes on");
        frame.splice(12..14, [0x88, 0x47, 0, 0, 1, 20]);
        assert_eq!(pkt.bytes(), frame);
    }
}

#[test]
fn c6_lengths_that_cannot_be() {
    let lab = Lab::new();
    // More than there is: nothing to cut.
    let mut long = there();
    long[17] = 200;
    assert_eq!(lab.one(&long, spec(Commit::No)).0.bytes(), long);
    // A header that is not there whole is the tracker's business.
    let (_, key) = lab.one(&there()[..14 + 3], spec(Commit::No));
    assert_eq!(key.ct_state, cs::TRACKED | cs::INVALID);
}

/// IPv6 with 8 bytes of hop-by-hop options, then UDP.
fn hop_by_hop(payload: u16, options: [u8; 6]) -> Vec<u8> {
    let mut p = vec![
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0,
    ];
    p.extend(payload.to_be_bytes());
    p.extend([0, 64]);
    p.extend([7; 32]);
    p.extend([17, 0]);
    p.extend(options);
    p.extend([0, 1, 0, 2, 0, 8, 0, 0]);
    p
}

#[test]
fn c6_an_ipv6_aggregate_needs_no_length() {
    let lab = Lab::new();
    let mut frame = hop_by_hop(0, [1, 4, 0, 0, 0, 0]);
    (frame[20], frame[54]) = (6, 0); // TCP behind the header
    frame.resize(14 + 40 + 70000, 0);
    let run = |pkt: Packet, mut key: FlowKey| {
        let got = execute(&lab.net, pkt, &mut key, &lab.action(Spec::new(true, 6)));
        got.map(|p| p.unwrap().len())
    };
    let (pkt, key) = lab.packet(&frame);
    assert_eq!(run(pkt, key), Ok(14 + 40));
    let (pkt, key) = lab.packet(&frame);
    let gso = Gso {
        size: 1000,
        headers: 74,
        udp_fragments: false,
    };
    assert_eq!(run(pkt.with_gso(gso), key), Ok(frame.len()));
    take_drops();
}

#[test]
fn c6_jumbograms() {
    let lab = Lab::new();
    let six = Spec::new(true, 17);
    let run = |b: &[u8]| {
        let (pkt, mut key) = lab.packet(b);
        let got = execute(&lab.net, pkt, &mut key, &lab.action(six));
        got.map(|p| p.unwrap().len())
    };
    let pad = hop_by_hop(16, [1, 4, 0, 0, 0, 0]);
    assert_eq!(run(&pad), Ok(pad.len()));
    assert_eq!(run(&[&pad[..], &[0; 9]].concat()), Ok(pad.len()));
    let jumbo = |len: u32, payload: u16, there: usize| {
        let [a, b, c, d] = len.to_be_bytes();
        let mut p = hop_by_hop(payload, [0xc2, 4, a, b, c, d]);
        p.resize(14 + 40 + there, 0);
        run(&p)
    };
    assert_eq!(jumbo(70000, 0, 70000), Ok(14 + 40 + 70000));
    assert_eq!(jumbo(70000, 0, 70003), Ok(14 + 40 + 70000));
    assert_eq!(jumbo(70000, 0, 69999), Err(EBADMSG));
    assert_eq!(jumbo(65535, 0, 70000), Err(EBADMSG));
    assert_eq!(jumbo(70000, 1, 70000), Err(EBADMSG));
    assert_eq!(run(&hop_by_hop(16, [1, 5, 0, 0, 0, 0])), Err(EBADMSG));
    assert_eq!(run(&hop_by_hop(16, [0, 0, 0, 0, 0, 1])), Err(EBADMSG));
    assert_eq!(run(&hop_by_hop(16, [0, 0xc2, 3, 0, 0, 0])), Err(EBADMSG));
    assert!(take_drops()
        .iter()
        .all(|d| d.why == DropReason::NotSpecified));
    assert_eq!(alive(), 0);
}

fn fragments() -> [Vec<u8>; 3] {
    [
        (0u16, 0x2000u16, 0usize..8),
        (1, 0x2000, 8..16),
        (2, 0, 16..24),
    ]
    .map(|(at, more, part)| {
        let whole = frame(A, B, 1000, 53, 8);
        let mut p = whole[..34].to_vec();
        p[16..18].copy_from_slice(&28u16.to_be_bytes());
        p[20..22].copy_from_slice(&(at | more).to_be_bytes());
        p.extend(&whole[34..][part]);
        p
    })
}

#[test]
fn c6_fragments_wait_and_go_on_as_one() {
    let lab = Lab::new();
    let ct = lab.action(spec(Commit::Yes));
    let [first, second, last] = fragments();
    for early in [last, first] {
        let (pkt, mut key) = lab.packet(&early);
        assert_ne!(key.ip_frag, FRAG_NONE);
        assert!(execute(&lab.net, pkt, &mut key, &ct).unwrap().is_none());
    }
    let (mut pkt, mut key) = lab.packet(&second);
    pkt.meta_mut().in_port = 3;
    pkt.meta_mut().upcall_pid = 77;
    let pkt = execute(&lab.net, pkt, &mut key, &ct).unwrap().unwrap();
    let mut whole = frame(A, B, 1000, 53, 8);
    whole[16..18].copy_from_slice(&44u16.to_be_bytes());
    assert_eq!(pkt.bytes(), whole);
    assert!(pkt.ignore_df);
    // K36: the ports are known now, and it is no fragment.
    assert_eq!(key.ip_frag, FRAG_NONE);
    assert_eq!((key.tp_src.get(), key.tp_dst.get()), (1000, 53));
    assert_eq!(key.ct_state, cs::TRACKED | cs::NEW);
    let meta = pkt.meta();
    assert_eq!(
        (meta.mru, meta.in_port, meta.upcall_pid, meta.cutlen),
        (28, 3, 77, u32::MAX)
    );
    assert!(take_drops().is_empty());
}

#[test]
fn c7_a_packet_is_tracked_once() {
    let lab = Lab::new();
    let (pkt, mut key) = lab.one(&there(), spec(Commit::No));
    let first = pkt.conn.as_ref().map(|c| Arc::as_ptr(&c.0));
    let pkt = lab.again(pkt, &mut key, spec(Commit::Yes)).unwrap();
    assert_eq!(pkt.conn.as_ref().map(|c| Arc::as_ptr(&c.0)), first);
    // Another zone is another connection.
    let other = Spec {
        zone: 2,
        ..spec(Commit::Yes)
    };
    lab.again(pkt, &mut key, other).unwrap();
    assert_eq!(key.ct_zone, 2);
    assert_eq!(lab.table().len(), 2);
}

#[test]
fn c7_a_connection_lost_on_the_way_through_userspace_is_found_again() {
    let lab = Lab::new();
    lab.one(&there(), spec(Commit::Yes));
    let conn = lab.table()[0].clone();
    let (_, key) = lab.one(&back(), spec(Commit::No));
    let state = key.ct_state;
    let (pkt, mut key) = lab.packet(&back());
    key.ct_state = state;
    let helped = |c: &Conn| c.state().told;
    let before = helped(&conn);
    let pkt = lab.again(pkt, &mut key, spec(Commit::No)).unwrap();
    assert_eq!(pkt.conn.as_ref().unwrap().1, CtInfo::EstablishedReply);
    assert_eq!((key.ct_state, helped(&conn)), (state, before + 1));
}

#[test]
fn c7_what_is_said_of_another_zone_does_not_count() {
    let lab = Lab::new();
    let third = |commit| Spec {
        zone: 3,
        ..spec(commit)
    };
    lab.one(&there(), third(Commit::Yes));
    let (pkt, mut key) = lab.packet(&there());
    key.ct_state = cs::TRACKED | cs::ESTABLISHED;
    lab.again(pkt, &mut key, third(Commit::No)).unwrap();
    assert_eq!((key.ct_state, key.ct_zone), (cs::TRACKED | cs::NEW, 3));
}

#[test]
fn b58_another_zone_helper_or_timeout_is_tracked_anew() {
    let lab = Lab::new();
    lab.net
        .tracker()
        .timeouts
        .lock()
        .unwrap()
        .push("slow".into());
    let with = |helper: &str, timeout: &str| Spec {
        helper: Name::new(helper.as_bytes()),
        timeout: Name::new(timeout.as_bytes()).filter(|n| !n.is_empty()),
        ..spec(Commit::No)
    };
    let (pkt, mut key) = lab.one(&there(), with("tftp\0", "slow\0"));
    let conn = |p: &Packet| p.conn.clone().unwrap().0;
    let first = conn(&pkt);
    let pkt = lab.again(pkt, &mut key, with("tftp\0", "slow\0")).unwrap();
    assert!(Arc::ptr_eq(&conn(&pkt), &first));
    pkt.conn.as_ref().unwrap().0.state().helper = Some("other".into());
    let pkt = lab.again(pkt, &mut key, with("tftp\0", "slow\0")).unwrap();
    assert!(!Arc::ptr_eq(&conn(&pkt), &first));
    let second = conn(&pkt);
    pkt.conn.as_ref().unwrap().0.state().timeout = None;
    let pkt = lab.again(pkt, &mut key, with("tftp\0", "slow\0")).unwrap();
    assert!(!Arc::ptr_eq(&conn(&pkt), &second));
}

#[test]
fn b58_addresses_set_between_two_actions() {
    // The connection was cleared with the set (A21), the key still says "tracked": found by the new tuple or not at all.
    let lab = Lab::new();
    let (mut pkt, mut key) = lab.one(&there(), spec(Commit::Yes));
    pkt.reset_conntrack();
    pkt.ensure_writable(34).unwrap()[33] = 99;
    key.ipv4_dst = [10, 0, 0, 99];
    lab.again(pkt, &mut key, spec(Commit::Yes)).unwrap();
    assert_eq!(lab.table().len(), 2);
    assert_eq!(lab.table()[1].state().orig.dst[..4], [10, 0, 0, 99]);
}

#[test]
fn b29_force_turns_a_connection_round() {
    let lab = Lab::new();
    lab.one(&there(), spec(Commit::Yes));
    let old = lab.table()[0].clone();
    // In its own direction nothing happens.
    lab.one(&there(), spec(Commit::Force));
    assert!(Arc::ptr_eq(&lab.table()[0], &old));
    for _ in 0..2 {
        let (pkt, key) = lab.one(&back(), spec(Commit::Force));
        drop(pkt);
        assert_eq!(key.ct_state & cs::REPLY, 0);
        assert_eq!(lab.table().len(), 1);
        assert_eq!(lab.table()[0].state().orig.src[..4], B);
    }
    // Whoever held the old one has the last reference to it.
    assert_eq!(Arc::strong_count(&old), 1);
}

#[test]
fn b30_a_connection_that_a_clone_shares_is_not_changed() {
    let lab = Lab::new();
    let (mut pkt, mut key) = lab.one(&there(), spec(Commit::No));
    let clone = pkt.try_clone().unwrap();
    let mut cloned = FlowKey::new();
    cloned.copy_from(&key);
    let marked = |value| Spec {
        mark: Some(Mark {
            value,
            mask: u32::MAX,
        }),
        ..spec(Commit::Yes)
    };
    lab.again(clone, &mut cloned, marked(1)).unwrap();
    assert_eq!(pkt.connection().unwrap().mark, 0);
    lab.again(pkt, &mut key, marked(2)).unwrap();
    // (A real tracker would see that the two are the same.)
    let marks: Vec<_> = lab.table().iter().map(|c| c.state().mark).collect();
    assert_eq!(marks, [1, 2]);
}

#[test]
fn c12_what_a_commit_writes() {
    let lab = Lab::new();
    let labels = |value, mask| {
        Some(Labels {
            value: [value; 16],
            mask: [mask; 16],
        })
    };
    let first = Spec {
        mark: Some(Mark {
            value: 0x12,
            mask: 0xff,
        }),
        labels: labels(0xff, 0x0f),
        event_mask: Some(5),
        helper: Name::new(b"tftp\0"),
        ..spec(Commit::Yes)
    };
    let (_, key) = lab.one(&there(), first);
    assert_eq!((key.ct_mark, key.ext().ct_labels), (0x12, [0x0f; 16]));
    let conn = lab.table()[0].clone();
    {
        let s = conn.state();
        assert_eq!((s.mark, s.labels), (0x12, Some([0x0f; 16])));
        assert_eq!((s.event_mask, s.helper.as_deref()), (Some(5), Some("tftp")));
        // Once, when everything else was in place (B31).
        assert_eq!((s.helped, s.told), (1, 1));
    }
    let (_, key) = lab.one(&there(), spec(Commit::No));
    assert_eq!((key.ct_mark, key.ext().ct_labels), (0x12, [0x0f; 16]));
    let s = conn.state().clone();
    assert_eq!((s.helped, s.told), (2, 2));
    let second = Spec {
        mark: Some(Mark {
            value: 0x3400,
            mask: 0xff00,
        }),
        labels: labels(0, 0x03),
        ..spec(Commit::Yes)
    };
    let (_, key) = lab.one(&there(), second);
    assert_eq!((key.ct_mark, key.ext().ct_labels), (0x3412, [0x0c; 16]));
}

#[test]
fn b32_a_connection_without_room_for_labels_gets_none_once_confirmed() {
    let lab = Lab::new();
    lab.one(&there(), spec(Commit::Yes));
    let with = Spec {
        labels: Some(Labels {
            value: [1; 16],
            mask: [1; 16],
        }),
        ..spec(Commit::Yes)
    };
    let (pkt, mut key) = lab.packet(&there());
    assert_eq!(lab.again(pkt, &mut key, with).unwrap_err(), ENOSPC);
    let drops = take_drops();
    assert_eq!(
        (drops[0].why, drops[0].bytes.len()),
        (DropReason::Conntrack, there().len())
    );
}

fn snat(commit: Commit, manip: Option<Manip>) -> Spec {
    let mut addr = [0; 16];
    addr[..4].copy_from_slice(&[192, 0, 2, 1]);
    let range = manip.map(|_| AddrRange {
        min: addr,
        max: addr,
    });
    Spec {
        nat: Some(Nat {
            manip,
            addrs: range,
            ports: manip.map(|_| PortRange {
                min: 4000,
                max: 4001,
            }),
            ..Nat::default()
        }),
        ..spec(commit)
    }
}

#[test]
fn c9_source_nat_there_and_back() {
    let lab = Lab::new();
    let (pkt, mut key) = lab.one(&there(), snat(Commit::Yes, Some(Manip::Src)));
    let natted = frame([192, 0, 2, 1], B, 4000, 53, 0);
    assert_eq!(pkt.bytes(), natted);
    assert_eq!(key.ct_state, cs::TRACKED | cs::NEW | cs::SRC_NAT);
    assert_eq!((key.ipv4_src, key.tp_src.get()), ([192, 0, 2, 1], 4000));
    assert_eq!((key.ipv4_dst, key.tp_dst.get()), (B, 53));
    // Once for each packet.
    let pkt = lab.again(pkt, &mut key, snat(Commit::No, None)).unwrap();
    assert_eq!(pkt.bytes(), natted);
    assert_eq!(pkt.conn.as_ref().unwrap().0.state().natted, 1);
    let reply = frame(B, [192, 0, 2, 1], 53, 4000, 0);
    let (pkt, key) = lab.one(&reply, snat(Commit::No, None));
    assert_eq!(pkt.bytes(), back());
    assert_eq!(
        key.ct_state,
        cs::TRACKED | cs::ESTABLISHED | cs::REPLY | cs::DST_NAT
    );
    assert_eq!((key.ipv4_dst, key.tp_dst.get()), (A, 1000));
    // The tuple is still the first packet's.
    assert_eq!(key.ext().ct_orig_addrs().0[..4], A);
}

#[test]
fn c9_destination_nat_waits_for_commit() {
    let lab = Lab::new();
    let dnat = |commit| snat(commit, Some(Manip::Dst));
    let (pkt, mut key) = lab.one(&there(), dnat(Commit::No));
    assert_eq!(pkt.bytes(), there());
    let pkt = lab.again(pkt, &mut key, dnat(Commit::Yes)).unwrap();
    assert_eq!(pkt.bytes(), frame(A, [192, 0, 2, 1], 1000, 4000, 0));
    assert_eq!(key.ct_state & cs::NAT, cs::DST_NAT);
}

#[test]
fn c9_a_natted_packet_finds_its_connection_after_userspace() {
    let lab = Lab::new();
    let (pkt, key) = lab.one(&there(), snat(Commit::Yes, Some(Manip::Src)));
    let (natted, state) = (pkt.bytes().to_vec(), key.ct_state);
    let conn = lab.table()[0].clone();
    let (pkt, mut key) = lab.packet(&natted);
    key.ct_state = state;
    let pkt = lab.again(pkt, &mut key, snat(Commit::No, None)).unwrap();
    assert!(Arc::ptr_eq(&pkt.conn.as_ref().unwrap().0, &conn));
    assert_eq!(pkt.bytes(), natted);
}

// B33
#[test]
fn b33_a_packet_that_was_kept_is_not_touched() {
    let lab = Lab::new();
    for call in [Call::Track, Call::Nat, Call::Helper, Call::Confirm] {
        let full = Spec {
            helper: Name::new(b"tftp\0"),
            ..snat(Commit::Yes, Some(Manip::Src))
        };
        let ct = lab.action(full);
        let (pkt, mut key) = lab.packet(&there());
        judge(call, Word::Steal);
        assert!(execute(&lab.net, pkt, &mut key, &ct).unwrap().is_none());
        assert_eq!(take_stolen(), 1, "{call:?}");
        let (pkt, mut key) = lab.packet(&frame(A, B, 1001, 53, 0));
        judge(call, Word::Drop);
        assert_eq!(execute(&lab.net, pkt, &mut key, &ct).unwrap_err(), EINVAL);
        let drops = take_drops();
        assert_eq!(drops.len(), 1);
        assert_eq!(drops[0].why, DropReason::Conntrack); // C13
        assert_eq!(drops[0].bytes[..14], there()[..14]);
        lab.net.tracker().table.lock().unwrap().clear();
    }
    assert_eq!(alive(), 0);
}

#[test]
fn c17_clear() {
    let lab = Lab::new();
    let with = Spec {
        zone: 3,
        mark: Some(Mark { value: 1, mask: 1 }),
        ..spec(Commit::Yes)
    };
    let (mut pkt, mut key) = lab.one(&there(), with);
    let (_, fresh) = lab.packet(&there());
    assert_ne!(key, fresh);
    clear(&mut pkt, &mut key);
    assert!(pkt.conn.is_none());
    assert_eq!(key, fresh);
}

#[test]
fn k34_what_the_stack_attached() {
    let lab = Lab::new();
    let with = Spec {
        zone: 0,
        mark: Some(Mark { value: 9, mask: 15 }),
        ..snat(Commit::Yes, Some(Manip::Src))
    };
    let (pkt, _) = lab.one(&there(), with);
    let (_, mut key) = lab.packet(&there());
    state::fill(&pkt, &mut key, None);
    assert_eq!(key.ct_state, cs::TRACKED | cs::NEW | cs::SRC_NAT);
    assert_eq!((key.ct_mark, key.ct_orig_proto), (9, 17));
    let (plain, mut key) = lab.packet(&there());
    state::fill(&plain, &mut key, None);
    assert_eq!(key, lab.packet(&there()).1);
}

#[test]
fn b50_neighbour_discovery_keeps_its_fields() {
    let lab = Lab::new();
    let mut ns = vec![
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255,
    ];
    ns.extend([0xfe; 32]);
    ns.extend([135, 0, 0, 0, 0, 0, 0, 0]);
    ns.extend([0xab; 16]);
    ns.extend([1, 1, 2, 3, 4, 5, 6, 7]);
    let (_, want) = lab.packet(&ns);
    let six = Spec::new(true, 58);
    let (_, key) = lab.one(&ns, six);
    assert_eq!(key.ct_orig_proto, 0);
    assert_eq!(key.ext().nd_target, [0xab; 16]);
    assert_eq!(key.ext().hw_src, want.ext().hw_src);
    // A tuple of the other family belongs to no packet.
    let (_, mut arp) = lab.packet(&there());
    arp.eth_type = Be16::new(0x0806);
    let mut pkt = lab.one(&there(), spec(Commit::No)).0;
    state::fill(&pkt, &mut arp, None);
    assert_eq!(arp.ct_orig_proto, 0);
    pkt.reset_conntrack();
}

#[test]
fn l5_a_zone_can_be_full() {
    use crate::datapath::conntrack::limits::NewLimit;
    use crate::datapath::env::NetOps;
    use crate::rust::sync::OvsGuard;
    let lab = Lab::new();
    let limits = &lab.net.state().ct_limits;
    limits.enable(&lab.net).unwrap();
    {
        let ovs = OvsGuard::lock(&crate::sys::testing::process_context());
        limits.set(NewLimit::new(4, 2).unwrap(), &ovs);
    }
    let zone = |zone| Spec {
        zone,
        ..spec(Commit::Yes)
    };
    let mut codes = Vec::new();
    for port in [1, 2, 3, 1, 2, 4] {
        let (pkt, mut key) = lab.packet(&frame(A, B, port, 53, 0));
        codes.push(lab.again(pkt, &mut key, zone(4)).err());
    }
    let full = Some(ENOMEM);
    // Connections that are there already do not count again.
    assert_eq!(codes, [None, None, full, None, None, full]);
    assert_eq!(take_drops().len(), 2);
    lab.one(&frame(A, B, 3, 53, 0), zone(5));
    // A lookup needs no room.
    let look = Spec {
        zone: 4,
        ..spec(Commit::No)
    };
    lab.one(&frame(A, B, 3, 53, 0), look);
}

#[test]
fn icmp_type_and_code_stand_for_ports() {
    let lab = Lab::new();
    let mut ping = there();
    ping[23] = 1;
    ping[34..42].copy_from_slice(&[8, 0, 0, 0, 0x12, 0x34, 0, 1]);
    let icmp = Spec {
        commit: Commit::Yes,
        ..Spec::new(false, 1)
    };
    let (_, key) = lab.one(&ping, icmp);
    assert_eq!(key.ct_orig_proto, 1);
    assert_eq!(
        (
            key.ext().ct_orig_tp_src.get(),
            key.ext().ct_orig_tp_dst.get()
        ),
        (8, 0)
    );
    let t = Tuple::of(&ping[14..], false).unwrap();
    assert_eq!(t.inverse().inverse(), t);
}

/// What the connection says of NAT counts only as far as tc's CT action has applied it (K21).
#[test]
fn k21_after_tc_only_its_own_nat_is_told() {
    let lab = Lab::new();
    let (mut pkt, _) = lab.one(&there(), snat(Commit::Yes, Some(Manip::Src)));
    let mut told = |post_ct| {
        let mut key = from_device(&mut pkt, 1, true).unwrap();
        state::fill(&pkt, &mut key, post_ct);
        key.ct_state & cs::NAT
    };
    let tc = |src_nat, dst_nat| {
        Some(PostCt {
            zone: 3,
            src_nat,
            dst_nat,
        })
    };
    assert_eq!(told(None), cs::SRC_NAT);
    assert_eq!(told(tc(true, true)), cs::SRC_NAT);
    assert_eq!(told(tc(false, true)), 0);
}
