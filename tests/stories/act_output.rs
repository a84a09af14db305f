// SPDX-License-Identifier: GPL-2.0
//! OUTPUT, TRUNC and DROP (spec 4.3).

use crate::act_kit::*;

#[test]
fn a8_every_output_gets_the_packet_as_it_is_then() {
    let mut lab = Lab::new();
    lab.exec(
        list()
            .output(2)
            .set(key_attr::ETHERNET, &[9; 12])
            .output(3)
            .output(2),
    );
    let mut changed = udp();
    changed[..12].fill(9);
    assert_eq!(lab.bytes(2), [udp(), changed.clone()]);
    assert_eq!(lab.bytes(3), [changed]);
    assert_eq!(drops(), []);
}

#[test]
fn a8_what_nobody_takes_is_dropped_with_a_reason() {
    let mut lab = Lab::new();
    for (acts, why) in [
        (list(), DropReason::LastAction),
        (list().priority(1), DropReason::LastAction),
        (list().cloned(list()), DropReason::LastAction),
        (list().sampled(0, list().output(2)), DropReason::LastAction),
        (list().drop_with(0), DropReason::Explicit),
        (list().drop_with(9), DropReason::ExplicitWithError),
    ] {
        lab.exec(acts);
        assert_eq!(drops(), [why]);
    }
    assert_eq!(lab.counts(), [0; 3]);
}

// A27, B55
#[test]
fn a27_a_port_that_cannot_send_drops() {
    let mut lab = Lab::new();
    lab.exec(list().output(77));
    assert_eq!(drops(), [DropReason::DevReady]);
    lab.devs[1].set_up(false);
    lab.exec(list().output(2));
    assert_eq!(drops(), [DropReason::DevReady]);
    lab.devs[1].set_up(true);
    lab.devs[1].set_carrier(false);
    lab.exec(list().output(2).output(3));
    assert_eq!(drops(), [DropReason::DevReady]);
    assert_eq!(lab.counts(), [0, 0, 1]);
}

#[test]
fn a28_trunc_counts_once_and_leaves_the_ethernet_header() {
    let mut lab = Lab::new();
    lab.exec(list().trunc(20).output(2).output(3));
    assert_eq!(lab.bytes(2), [&udp()[..20]]);
    assert_eq!(lab.bytes(3), [udp()]);
    lab.exec(list().trunc(14).output(2));
    assert_eq!(lab.bytes(2), [&udp()[..14]]);
    lab.exec(list().trunc(60).output(2).trunc(61).output(3));
    assert_eq!((lab.bytes(2), lab.bytes(3)), (vec![udp()], vec![udp()]));
    // Inherited by clones, which use it up for themselves.
    lab.exec(
        list()
            .trunc(30)
            .cloned(list().output(2).output(2))
            .output(3),
    );
    assert_eq!(lab.bytes(2), [&udp()[..30], &udp()[..]]);
    assert_eq!(lab.bytes(3), [&udp()[..30]]);
}

#[test]
fn a29_a_reassembled_packet_leaves_as_fragments() {
    let mut lab = Lab::new();
    let with_mru = |acts, mru| request(&udp(), acts).u16(packet_attr::MRU, mru);
    for mru in [0, 46, 1500] {
        lab.run(&with_mru(list().output(2), mru)).unwrap();
        assert_eq!(lab.bytes(2), [udp()], "{mru}");
    }
    // 26 bytes of payload, 8 in each fragment.
    lab.run(&with_mru(list().push_vlan(0x8100, 0x1005).output(2), 35))
        .unwrap();
    let sent = lab.sent(2);
    let parts: Vec<_> = sent
        .iter()
        .map(|s| (s.bytes.len() - 34, s.bytes[20..22].to_vec()))
        .collect();
    let want =
        [(8, [0x20, 0]), (8, [0x20, 1]), (8, [0x20, 2]), (2, [0, 3])].map(|(n, o)| (n, o.to_vec()));
    assert_eq!(parts, want);
    assert!(sent
        .iter()
        .all(|s| s.vlan.is_some() && s.bytes[..14] == udp()[..14]));
    lab.devs[1].set_mtu(34);
    lab.run(&with_mru(list().output(2), 35)).unwrap();
    assert_eq!(drops(), [DropReason::PktTooBig]);
}

#[test]
fn a30_what_cannot_be_cut_is_dropped() {
    let mut lab = Lab::new();
    let mut run = |packet: &[u8], acts: Bytes| {
        lab.run(&request(packet, acts).u16(packet_attr::MRU, 40))
            .unwrap();
        assert_eq!(lab.counts(), [0; 3]);
        drops()
    };
    let mut strange = udp();
    strange[12..14].copy_from_slice(&[0x12, 0x34]);
    assert_eq!(
        run(&strange, list().output(2)),
        [DropReason::FragInvalidProto]
    );
    let mut bad_ip = udp();
    bad_ip[14] = 0x44;
    assert_eq!(
        run(&bad_ip, list().output(2)),
        [DropReason::FragInvalidProto]
    );
    let tags = (0..6).fold(list(), |l, n| l.push_vlan(0x8100, 0x1000 + n));
    take_log();
    assert_eq!(run(&udp(), tags.output(2)), [DropReason::FragL2TooLong]);
    let log = take_log();
    assert!(
        matches!(&*log, [(_, line)] if line.contains("netlink: L2 header too long to fragment")),
        "{log:?}"
    );
}

#[test]
fn a31_larger_than_the_mtu_is_counted_and_dropped() {
    let mut lab = Lab::new();
    lab.devs[1].set_mtu(46);
    lab.exec(list().output(2));
    assert_eq!(lab.counts(), [0, 1, 0]);
    lab.devs[1].set_mtu(45);
    lab.exec(list().output(2));
    assert_eq!(lab.counts(), [0, 0, 0]);
    assert_eq!(drops().len(), 1);
    assert_eq!(lab.devs[1].stats().tx_errors, 1);
    assert!(take_log()
        .iter()
        .any(|(_, line)| line.contains("p2: dropped over-mtu packet: 46 > 45")));
    // A tag in the frame is not payload.
    lab.devs[1].set_mtu(46);
    let mut tagged = udp();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    lab.on(&tagged, list().output(2)).unwrap();
    assert_eq!(lab.counts(), [0, 1, 0]);
}

#[test]
fn a32_no_memory_for_a_copy_skips_that_output() {
    let mut lab = Lab::new();
    let mut seen = Vec::new();
    for n in 1.. {
        openvswitch::packet::fail_nth(n);
        let result = lab.on(&udp(), list().output(2).output(3));
        let struck = openvswitch::packet::fail_nth(0);
        let counts = lab.counts();
        if !struck {
            assert_eq!(counts, [0, 1, 1]);
            break;
        }
        match result {
            Ok(()) => seen.push(counts),
            Err(e) => assert_eq!((e, counts), (ENOMEM, [0; 3])),
        }
        drops();
    }
    assert!(seen.contains(&[0, 0, 1]), "{seen:?}");
}

#[test]
fn k39_ethernet_goes_into_an_l3_device_as_payload() {
    let mut lab = Lab::new();
    lab.devs[1].set_kind(DeviceKind::L3);
    lab.exec(list().output(2));
    let sent = lab.sent(2);
    assert_eq!((sent[0].protocol, &sent[0].bytes), (0x6558, &udp()));
}

#[test]
fn k39_l3_packets_do_not_leave_through_ethernet() {
    let mut lab = Lab::new();
    lab.devs[2].set_kind(DeviceKind::L3);
    let key = Bytes::new()
        .u32(key_attr::IN_PORT, 1)
        .be16(key_attr::ETHERTYPE, 0x800);
    let l3 = |acts| {
        Bytes::new()
            .put(packet_attr::PACKET, &udp()[14..])
            .nest(packet_attr::KEY, key.clone())
            .nest(packet_attr::ACTIONS, acts)
    };
    lab.run(&l3(list().output(3).output(2))).unwrap();
    assert_eq!(lab.bytes(3), [&udp()[14..]]);
    assert_eq!(drops(), [DropReason::NotSpecified]);
    // With a header pushed it does, and back without one.
    let push = [&udp()[6..12], &udp()[..6]].concat();
    lab.run(&l3(list().attr(act::PUSH_ETH, &push).output(2)))
        .unwrap();
    assert_eq!(lab.bytes(2), [udp()]);
    lab.exec(list().attr(act::POP_ETH, &[]).output(3));
    assert_eq!(lab.bytes(3), [&udp()[14..]]);
    assert_eq!(drops(), []);
}

#[test]
fn vlan_tags_are_pushed_and_popped() {
    let mut lab = Lab::new();
    let tag = |tci| Some(VlanTag { tpid: 0x8100, tci });
    lab.exec(
        list()
            .push_vlan(0x8100, 0x1005)
            .output(2)
            .push_vlan(0x88a8, 0x3006)
            .output(3),
    );
    let sent = lab.sent(2);
    assert_eq!((sent[0].vlan, &sent[0].bytes), (tag(5), &udp()));
    let sent = lab.sent(3);
    assert_eq!(
        sent[0].vlan,
        Some(VlanTag {
            tpid: 0x88a8,
            tci: 0x2006
        })
    );
    assert_eq!(sent[0].bytes[12..16], [0x81, 0, 0, 5]);

    let mut twice = udp();
    twice.splice(12..12, [0x88, 0xa8, 0, 9, 0x81, 0, 0, 7]);
    lab.on(
        &twice,
        list()
            .pop_vlan()
            .output(2)
            .pop_vlan()
            .output(3)
            .pop_vlan()
            .output(3),
    )
    .unwrap();
    let sent = lab.sent(2);
    assert_eq!((sent[0].vlan, &sent[0].bytes), (tag(7), &udp()));
    for sent in lab.sent(3) {
        assert_eq!((sent.vlan, &sent.bytes), (None, &udp()));
    }
}

#[test]
fn a_packet_of_no_bytes_is_told_but_not_sent() {
    let mut lab = Lab::new();
    lab.devs[1].set_kind(DeviceKind::L3);
    let header = &udp()[..14];
    let pop_eth = || list().attr(act::POP_ETH, &[]);
    let told = pop_eth().trunc(20).user(9).hash(0, 1).output(2);
    lab.on(header, told).expect("no error");
    let m = &lab.upcalls(9)[0];
    assert_eq!(m.get(packet_attr::PACKET), Some(&[][..]));
    assert_eq!(lab.counts(), [0, 0, 0]);
    assert_eq!(drops(), [DropReason::NotSpecified]);
    // Nothing to set, which is an error of the list; a header makes it a frame again.
    let set = pop_eth().set(key_attr::IPV4, &[0; 12]).output(2);
    assert!(lab.on(header, set).is_err());
    let push = [&header[6..12], &header[..6]].concat();
    let again = pop_eth().attr(act::PUSH_ETH, &push).output(3);
    lab.on(header, again).expect("no error");
    assert_eq!(lab.bytes(3), [header]);
}

#[test]
fn a21_set_after_two_tags_finds_the_header() {
    let mut lab = Lab::new();
    let tagged = || {
        list()
            .push_vlan(0x8100, 0x1001)
            .push_vlan(0x8100, 0x1002)
            .push_vlan(0x88a8, 0x1003)
    };
    let v4 = [192, 168, 7, 1, 192, 168, 7, 2, 17, 0x2e, 9, 0];
    lab.exec(list().set(key_attr::IPV4, &v4).output(2));
    let [mut want]: [_; 1] = lab.bytes(2).try_into().unwrap();
    want.splice(12..12, [0x81, 0, 0, 2, 0x81, 0, 0, 1]);
    lab.exec(tagged().set(key_attr::IPV4, &v4).output(2));
    assert_eq!(lab.bytes(2), [want.clone()]);
    // And back: the mark stays where the header is, whatever goes.
    let back = tagged().pop_vlan().pop_vlan().pop_vlan();
    lab.exec(back.set(key_attr::IPV4, &v4).output(2));
    want.drain(12..20);
    assert_eq!(lab.bytes(2), [want]);
}

#[test]
fn a30_fragments_after_two_tags() {
    let mut lab = Lab::new();
    let acts = list().push_vlan(0x8100, 0x1001).push_vlan(0x8100, 0x1002);
    let request = request(&udp(), acts.output(2)).u16(packet_attr::MRU, 44);
    lab.run(&request).unwrap();
    let parts = lab.bytes(2);
    assert_eq!(parts.len(), 2);
    for part in &parts {
        assert_eq!(part[..12], udp()[..12]);
        assert_eq!(part[12..20], [0x81, 0, 0, 1, 8, 0, 0x45, 0]);
    }
    let payload: Vec<u8> = parts.iter().flat_map(|p| p[38..].to_vec()).collect();
    assert_eq!(payload, udp()[34..]);
}

/// With less than 8 bytes of payload in a fragment, cutting would never end on some kernels.
#[test]
fn a30_an_mru_too_small_for_a_fragment_drops() {
    let mut lab = Lab::new();
    for options in (0..=40).step_by(4) {
        let mut packet = udp();
        packet[14] = 0x45 + options as u8 / 4;
        packet.splice(34..34, vec![1; options]);
        packet.resize(200, 7);
        for mru in 1..=100 {
            let acts = list().push_vlan(0x8100, 0x1001).output(2);
            lab.run(&request(&packet, acts).u16(packet_attr::MRU, mru))
                .unwrap();
            let fits = usize::from(mru) >= 28 + options;
            assert_eq!(lab.sent(2).len() > 1, fits, "{options} {mru}");
            let why = if fits {
                &[][..]
            } else {
                &[DropReason::NotSpecified]
            };
            assert_eq!(drops(), why, "{options} {mru}");
        }
    }
}

#[test]
fn k20_a_port_that_became_another_type_neither_gives_nor_takes() {
    let mut lab = Lab::new();
    for kind in [DeviceKind::Ethernet, DeviceKind::L3, DeviceKind::Other] {
        lab.devs[1].set_kind(kind);
        let n = usize::from(kind != DeviceKind::Other);
        lab.exec(list().output(2));
        assert_eq!(lab.sent(2).len(), n, "{kind:?}");
        lab.run(&request(&udp(), list().output(2)).u16(packet_attr::MRU, 40))
            .unwrap();
        assert_eq!(lab.sent(2).is_empty(), n == 0, "{kind:?}");
        let why = [DropReason::NotSpecified; 2];
        assert_eq!(drops(), if n == 0 { &why[..] } else { &[] });
    }
    let l3 = Bytes::new()
        .put(packet_attr::PACKET, &udp()[14..])
        .nest(
            packet_attr::KEY,
            Bytes::new().be16(key_attr::ETHERTYPE, 0x800),
        )
        .nest(packet_attr::ACTIONS, list().output(2));
    lab.run(&l3).unwrap();
    assert_eq!(lab.sent(2), []);
    assert_eq!(drops(), [DropReason::NotSpecified]);
    lab.devs[0].set_kind(DeviceKind::Other);
    lab.devs[0].receive(&udp());
    assert_eq!(drops(), [DropReason::NotSpecified]);
    assert_eq!(lab.upcalls(0).len(), 0);
}
