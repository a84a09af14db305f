// SPDX-License-Identifier: GPL-2.0
//! Lists of changes that end with an output have a loop of their own; what comes out must be what the loop for all lists makes of them
//! (spec A8).

use crate::act_kit::*;

const PID: u32 = 5;

type Told = (
    Vec<(Vec<u8>, Option<VlanTag>, u32, u32)>,
    Vec<Vec<u8>>,
    Vec<DropReason>,
    Result<(), Error>,
);

/// What a list makes of a packet.
fn told(lab: &mut Lab, packet: &[u8], acts: Bytes) -> Told {
    let result = lab.on(packet, acts);
    let sent = [1, 2, 3].iter().flat_map(|&no| lab.sent(no));
    let sent = sent
        .map(|s| (s.bytes, s.vlan, s.priority, s.mark))
        .collect();
    let upcalls = lab.upcalls(PID).into_iter().map(|m| m.0).collect();
    (sent, upcalls, drops(), result)
}

#[test]
fn a8_a_straight_list_does_what_any_list_does() {
    let mut lab = Lab::new();
    let masked = |key, value: &[u8], mask: &[u8]| {
        let both = [value, mask].concat();
        list().inner(act::SET_MASKED, Bytes::new().put(key, &both))
    };
    let steps = [
        list().output(3),
        list().user(PID),
        list().trunc(20),
        list().push_vlan(0x8100, 0x1005),
        list().pop_vlan(),
        list().set(key_attr::ETHERNET, &[9; 12]),
        masked(key_attr::ETHERNET, &[4; 12], &[6; 12]),
        masked(
            key_attr::IPV4,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 33, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0],
        ),
        masked(key_attr::UDP, &[1, 2, 3, 4], &[255; 4]),
        list().priority(7),
        list().hash(0, 3),
        list().push_mpls([0, 0, 0x51, 0xff], 0x8847),
    ];
    let mut ran = 0;
    for first in &steps {
        for second in steps.iter().chain([&list()]) {
            for third in steps.iter().chain([&list()]) {
                let acts = first.clone().cat(second.clone()).cat(third.clone());
                let acts = acts.output(2);
                let any = list().sampled(0, list().output(1)).cat(acts.clone());
                for packet in [&udp()[..], &udp()[..14], &udp()[..30]] {
                    let straight = told(&mut lab, packet, acts.clone());
                    assert_eq!(
                        straight,
                        told(&mut lab, packet, any.clone()),
                        "{:?}",
                        acts.0
                    );
                    ran += usize::from(straight.3.is_ok());
                }
            }
        }
    }
    assert!(ran > 1000, "{ran} lists were not refused");
}
