// SPDX-License-Identifier: GPL-2.0
//! Packets that no flow matches (spec U2, U12, U13).

use crate::act_kit::*;
use openvswitch::datapath::abi::{dp_attr, dp_feature};
use openvswitch::datapath::env::{PostCt, TcState};
use openvswitch::env::FakeEnv;
use openvswitch::packet::Packet;
use openvswitch::rust::sync::BhGuard;

/// Value of a 32-bit attribute in an upcall's key.
fn in_key(m: &Message, ty: u16) -> u32 {
    let key = m.get(packet_attr::KEY).expect("a key");
    let header = [&8u16.to_ne_bytes()[..], &ty.to_ne_bytes()[..]].concat();
    let at = key
        .windows(4)
        .position(|w| w == header)
        .expect("in the key");
    u32::from_ne_bytes(key[at + 4..at + 8].try_into().unwrap())
}

#[test]
fn a_recirculated_packet_misses_with_its_id() {
    let mut lab = Lab::new();
    lab.exec(list().recirc(77).priority(9).output(2).recirc(78));
    let upcalls = lab.upcalls(7);
    let told: Vec<_> = upcalls
        .iter()
        .map(|m| {
            (
                m.cmd(),
                in_key(m, key_attr::RECIRC_ID),
                in_key(m, key_attr::PRIORITY),
            )
        })
        .collect();
    assert_eq!(told, [(1, 77, 0), (1, 78, 9)]);
    assert_eq!(lab.counts(), [0, 1, 0]);
    assert_eq!(drops(), [], "given to userspace");
}

#[test]
fn a_packet_is_looked_at_again_before_it_is_recirculated() {
    // A9: the second tag is in the frame only, so the key does not know it.
    let mut lab = Lab::new();
    lab.exec(
        list()
            .push_vlan(0x8100, 0x1005)
            .push_vlan(0x8100, 0x1006)
            .recirc(1),
    );
    let m = &lab.upcalls(7)[0];
    let key = m.get(packet_attr::KEY).unwrap();
    let has = |tci: u16| key.windows(2).any(|w| w == tci.to_be_bytes());
    assert!(has(0x1005) && has(0x1006));
}

#[test]
fn u13_a_busy_userspace_consumes_and_none_drops() {
    let mut lab = Lab::new();
    for (error, dropped) in [
        (EAGAIN, 0),
        (EINTR, 0),
        (ERESTARTSYS, 0),
        (ECONNREFUSED, 1),
        (ENOMEM, 1),
    ] {
        lab.switch.net.set_upcall_error(Some(error));
        lab.exec(list().recirc(1));
        assert_eq!(drops().len(), dropped, "{error:?}");
    }
}

/// K21: a packet that rules of tc sent to a chain, where none took it, goes on there; while the switch wants to know.
#[test]
fn tc_says_where_a_packet_goes_on() {
    FakeEnv::set_tc_tells(true);
    let mut lab = Lab::new();
    let come = |lab: &mut Lab, tc| {
        let mut pkt = Packet::new(&udp());
        pkt.tc = tc;
        lab.devs[0].receive_packet(pkt, &BhGuard::enter());
        let told = lab.upcalls(7);
        let [m] = &told[..] else {
            panic!("{} upcalls", told.len())
        };
        let number = |ty| in_key(m, ty);
        let mru = m.get(packet_attr::MRU).map(<[u8]>::to_vec);
        let zone = m.get(packet_attr::KEY).unwrap();
        let header = [6u16.to_ne_bytes(), key_attr::CT_ZONE.to_ne_bytes()].concat();
        let at = zone.windows(4).position(|w| w == header).unwrap() + 4;
        (
            number(key_attr::RECIRC_ID),
            number(key_attr::CT_STATE),
            u16::from_ne_bytes([zone[at], zone[at + 1]]),
            mru,
        )
    };
    let tc = TcState {
        chain: 9,
        mru: 576,
        post_ct: None,
    };
    let plain = (0, 0, 0, None);
    assert_eq!(come(&mut lab, Some(tc)), plain, "nobody asked");
    let share = Bytes::new().u32(dp_attr::USER_FEATURES, dp_feature::TC_RECIRC_SHARING);
    lab.switch.datapath(cmd::SET, &share).unwrap();
    assert_eq!(come(&mut lab, None), plain);
    let mru = Some(576u16.to_ne_bytes().to_vec());
    assert_eq!(come(&mut lab, Some(tc)), (9, 0, 0, mru.clone()));
    // Its CT action found no connection: tracked, invalid.
    let post_ct = Some(PostCt {
        zone: 4,
        src_nat: true,
        dst_nat: false,
    });
    let tracked = TcState { post_ct, ..tc };
    assert_eq!(come(&mut lab, Some(tracked)), (9, 0x30, 4, mru));
}
