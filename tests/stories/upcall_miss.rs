// SPDX-License-Identifier: GPL-2.0
//! Packets that no flow matches (spec U2, U12, U13).

use crate::act_kit::*;

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
