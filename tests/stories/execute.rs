// SPDX-License-Identifier: GPL-2.0
//! EXECUTE: what it needs, and what it makes of the packet (spec 1.4).

use crate::act_kit::*;

#[test]
fn p1_everything_is_required_and_the_datapath_is_asked_for_last() {
    let mut lab = Lab::new();
    let packet = || Bytes::new().put(packet_attr::PACKET, &udp());
    let key = |b: Bytes| b.nest(packet_attr::KEY, Bytes::new());
    let acts = |b: Bytes| b.nest(packet_attr::ACTIONS, list());
    assert_eq!(lab.run(&Bytes::new()), Err(EINVAL));
    assert_eq!(lab.run(&key(packet())), Err(EINVAL));
    assert_eq!(lab.run(&acts(packet())), Err(EINVAL));
    assert_eq!(lab.run(&acts(key(Bytes::new()))), Err(EINVAL));
    assert_eq!(lab.run(&acts(key(packet()))), Ok(()));
    let short = Bytes::new().put(packet_attr::PACKET, &udp()[..13]);
    assert_eq!(lab.run(&acts(key(short))), Err(ERANGE));

    lab.switch.dp = 4711;
    assert_eq!(lab.run(&acts(key(packet()))), Err(ENODEV));
    assert_eq!(lab.on(&udp(), list().output(65535)), Err(EINVAL));
    let unknown = packet().nest(packet_attr::KEY, Bytes::new().u32(99, 0));
    assert_eq!(lab.run(&acts(unknown)), Err(EINVAL));
    assert_eq!(openvswitch::packet::alive(), 0);
}

#[test]
fn p5_a_refused_request_drops_its_packet() {
    let mut lab = Lab::new();
    let long = key_attr::CT_ORIG_TUPLE_IPV6;
    let refused = [
        (Bytes::new().u32(99, 0), list(), EINVAL),
        (Bytes::new(), list().output(65535), EINVAL),
        (Bytes::new().put(long, &[0; 40]), list(), EINVAL), // no tuple of this packet
    ];
    for (key, acts, errno) in refused {
        let request = Bytes::new()
            .put(packet_attr::PACKET, &udp())
            .nest(packet_attr::KEY, key)
            .nest(packet_attr::ACTIONS, acts);
        assert_eq!(lab.run(&request), Err(errno));
        assert_eq!(drops(), [DropReason::NotSpecified]);
    }
    let request = Bytes::new().put(packet_attr::PACKET, &udp());
    assert_eq!(lab.run(&request), Err(EINVAL));
    assert_eq!(drops(), [], "there was no packet yet");
}

#[test]
fn p4_priority_and_mark_come_from_the_key() {
    let mut lab = Lab::new();
    let key = Bytes::new()
        .u32(key_attr::PRIORITY, 5)
        .u32(key_attr::SKB_MARK, 6);
    let request = Bytes::new()
        .put(packet_attr::PACKET, &udp())
        .nest(packet_attr::KEY, key)
        .nest(packet_attr::ACTIONS, list().output(2));
    lab.run(&request).unwrap();
    let sent = lab.sent(2);
    assert_eq!((sent[0].priority, sent[0].mark), (5, 6));
}

/// A port that is unlinked between finding it and naming its device: no action may see a packet without one.
#[test]
fn p4_a_packet_without_a_device_is_not_run() {
    let mut lab = Lab::new();
    lab.devs[0].unregister_without_work();
    let answer = lab.on(&udp(), list().recirc(7).output(2));
    assert_eq!(answer, Err(ENODEV));
    assert_eq!(lab.counts(), [0, 0, 0]);
    assert_eq!(drops(), [DropReason::NotSpecified]);
    assert_eq!(openvswitch::packet::alive(), 0);
}

#[test]
fn p7_what_vswitchd_tries() {
    let mut lab = Lab::new();
    let mut strange = vec![0; 60];
    strange[12..14].copy_from_slice(&[0x12, 0x34]);
    for (acts, want) in [
        (list().trunc(20).output(1), Ok(())),
        (list().cloned(list()), Ok(())),
        (
            list().inner(act::SET_MASKED, list().put(key_attr::ETHERNET, &[0; 24])),
            Ok(()),
        ),
        (list().set(30, &[0; 8]), Err(EINVAL)), // ND_EXTENSIONS
        (list().inner(act::CT, list().flag(1)), Err(EINVAL)),
        (list().drop_with(0), Ok(())),
        (list().attr(31, &[0; 4]), Err(EINVAL)),
    ] {
        assert_eq!(lab.on(&strange, acts), want);
    }
    // Nesting as deep as it is tried.
    let mut nested = list().output(1);
    for _ in 0..9 {
        nested = list().sampled(u32::MAX, nested);
    }
    assert_eq!(lab.on(&strange, nested), Ok(()));
}

#[test]
fn p5_the_error_of_the_list_is_the_answer() {
    let mut lab = Lab::new();
    // A packet whose UDP header is cut off, though its IP header says UDP.
    let key = Bytes::new().u32(key_attr::IN_PORT, 1);
    let request = |acts| {
        Bytes::new()
            .put(packet_attr::PACKET, &udp()[..36])
            .nest(packet_attr::KEY, key.clone())
            .nest(packet_attr::ACTIONS, acts)
    };
    let acts = list().output(2).set(key_attr::UDP, &[1; 4]).output(3);
    assert_eq!(lab.run(&request(acts)), Err(EINVAL));
    assert_eq!(lab.counts(), [0, 1, 0]);
    assert_eq!(drops(), [DropReason::ActionError]);
}
