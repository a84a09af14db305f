// SPDX-License-Identifier: GPL-2.0
//! Lists of changes that end with an output have a loop of their own; what comes out must be what the loop for all lists makes of them
//! (spec A8).

use crate::act_kit::*;
use openvswitch::datapath::env::IpSummed;
use openvswitch::packet::Packet;
use openvswitch::rust::sync::BhGuard;

const PID: u32 = 5;

type Told = (
    Vec<(Vec<u8>, Option<VlanTag>, u32, u32, Option<bool>)>,
    Vec<Vec<u8>>,
    Vec<DropReason>,
    Result<(), Error>,
);

/// What became of the packets since the last call, and `result`.
fn told(lab: &Lab, result: Result<(), Error>) -> Told {
    let sent = [1, 2, 3].iter().flat_map(|&no| lab.sent(no));
    let sent = sent
        .map(|s| (s.bytes, s.vlan, s.priority, s.mark, s.sum_is_right))
        .collect();
    let upcalls = lab.upcalls(PID).into_iter().map(|m| m.0).collect();
    (sent, upcalls, drops(), result)
}

/// [`udp`] in every checksum state, in pieces that begin at, in and behind its headers.
fn arrivals() -> impl Iterator<Item = Packet> {
    use IpSummed::*;
    let states = [None, Unnecessary, Complete, Partial];
    let split = move |at| states.map(|state| Packet::split(&udp(), at).with_checksum(state));
    [0, 14, 30, 34, 60].into_iter().flat_map(split)
}

/// What one list makes of packets that come to a flow.
fn received(lab: &mut Lab, acts: Bytes) -> (bool, Vec<Told>) {
    let (dp, client) = (lab.switch.dp, &mut lab.switch.client);
    let key = |port, eth_type, proto| {
        let ip = [&[0; 8][..], &[proto, 0, 0, 0]].concat();
        let key = Bytes::new().u32(key_attr::IN_PORT, port);
        let key = key
            .put(key_attr::ETHERNET, &[0; 12])
            .be16(key_attr::ETHERTYPE, eth_type);
        key.put(key_attr::IPV4, &ip).put(key_attr::UDP, &[0; 4])
    };
    let flow = Bytes::new()
        .nest(flow_attr::KEY, key(1, 0x800, 17))
        .nest(flow_attr::MASK, key(u32::MAX, 0xffff, 0xff))
        .nest(flow_attr::ACTIONS, acts);
    client
        .request(Group::Flow, cmd::DEL, dp, &Bytes::new())
        .expect("no flows");
    if client.request(Group::Flow, cmd::NEW, dp, &flow).is_err() {
        return (false, vec![]);
    }
    let receive = |packet| {
        lab.devs[0].receive_packet(packet, &BhGuard::enter());
        told(lab, Ok(()))
    };
    (true, arrivals().map(receive).collect())
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
                    let result = lab.on(packet, acts.clone());
                    let straight = told(&lab, result);
                    let result = lab.on(packet, any.clone());
                    assert_eq!(straight, told(&lab, result), "{:?}", acts.0);
                    ran += usize::from(straight.3.is_ok());
                }
                let straight = received(&mut lab, acts.clone());
                assert_eq!(straight, received(&mut lab, any), "{:?}", acts.0);
                ran += straight.1.len();
            }
        }
    }
    assert!(
        ran > 30_000,
        "{ran} packets met a list that was not refused"
    );
}
