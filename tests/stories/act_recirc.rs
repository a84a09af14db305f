// SPDX-License-Identifier: GPL-2.0
//! RECIRC through flows, devices that hand packets right back, and where that ends (spec A9, A10).

use crate::act_kit::*;
use openvswitch::datapath::abi::flow_attr;

impl Lab {
    /// A flow for UDP packets of a recirculation id, and of a port if that is not 0.
    fn flow(&mut self, recirc_id: u32, port: u32, acts: Bytes) {
        let mut ip = [0; 12];
        ip[8] = 17;
        let key = Bytes::new()
            .u32(key_attr::RECIRC_ID, recirc_id)
            .u32(key_attr::IN_PORT, port)
            .put(key_attr::ETHERNET, &[0; 12])
            .be16(key_attr::ETHERTYPE, 0x800)
            .put(key_attr::IPV4, &ip)
            .put(key_attr::UDP, &[0; 4]);
        // The port is always matched.
        let mask = Bytes::new()
            .u32(key_attr::RECIRC_ID, u32::MAX)
            .be16(key_attr::ETHERTYPE, 0xffff);
        let attrs = Bytes::new()
            .nest(flow_attr::KEY, key)
            .nest(flow_attr::MASK, mask)
            .nest(flow_attr::ACTIONS, acts);
        let dp = self.switch.dp;
        self.switch
            .client
            .request(Group::Flow, cmd::NEW, dp, &attrs)
            .expect("a flow");
    }
}

#[test]
fn a_recirculated_packet_finds_its_next_flow() {
    let mut lab = Lab::new();
    lab.flow(0, 1, list().set(key_attr::ETHERNET, &[9; 12]).recirc(5));
    lab.flow(5, 1, list().output(2).recirc(6).output(3));
    lab.flow(6, 1, list().priority(3).output(2));
    assert!(lab.devs[0].receive(&udp()));
    let mut changed = udp();
    changed[..12].fill(9);
    assert_eq!(lab.bytes(2), [changed.clone(), changed.clone()]);
    assert_eq!(lab.bytes(3), [changed]);
    assert_eq!(drops(), []);
}

#[test]
fn recirculation_does_not_touch_the_list_it_left() {
    let mut lab = Lab::new();
    lab.flow(5, 1, list().push_vlan(0x8100, 0x1007).trunc(20).output(2));
    lab.exec(list().recirc(5).cloned(list().recirc(5)).user(9).output(3));
    assert_eq!(lab.counts(), [0, 2, 1]);
    let m = &lab.upcalls(9)[0];
    assert_eq!(m.get(packet_attr::PACKET), Some(&udp()[..]));
    let key = m.get(packet_attr::KEY).unwrap();
    let recirc = [
        &8u16.to_ne_bytes()[..],
        &key_attr::RECIRC_ID.to_ne_bytes()[..],
        &[0; 4],
    ]
    .concat();
    assert!(key.windows(8).any(|w| w == recirc));
}

#[test]
fn a10_recirculation_for_ever_ends() {
    let mut lab = Lab::new();
    lab.flow(5, 1, list().recirc(5));
    lab.exec(list().recirc(5).output(2));
    assert_eq!(lab.counts(), [0, 1, 0]);
    assert_eq!(drops(), [DropReason::DeferredLimit]);
    let log = take_log();
    let line = "br0: deferred action limit reached, drop recirc action (recirc_id=0x5)";
    assert!(log.iter().any(|(_, l)| l.contains(line)), "{log:?}");
    // Every time, and with a copy that goes out each round: 3 at once and 9 that waited, 2 of them at once again each.
    lab.flow(6, 1, list().recirc(6).output(3));
    for _ in 0..3 {
        lab.exec(list().recirc(6));
        let [_, _, copies] = lab.counts();
        assert_eq!(copies, 3 + 9 * 3, "{copies}");
        assert_eq!(drops(), [DropReason::DeferredLimit]);
    }
    assert_eq!(openvswitch::packet::alive(), 0);
}

#[test]
fn a10_devices_that_hand_packets_back_end_too() {
    let mut lab = Lab::new();
    // Port 2 is wired to port 1: what leaves through 2 comes in through 1.
    lab.devs[1].connect(&lab.devs[0]);
    lab.flow(0, 1, list().output(3).output(2));
    assert!(lab.devs[0].receive(&udp()));
    assert_eq!(lab.counts(), [0, 5, 5], "five lists run inside each other");
    assert_eq!(drops(), [DropReason::RecursionLimit]);
    let log = take_log();
    let line = "recursion limit reached on datapath br0, probable configuration error";
    assert!(log.iter().any(|(_, l)| l.contains(line)), "{log:?}");
    // The level is balanced: the next packet gets as far.
    assert!(lab.devs[0].receive(&udp()));
    assert_eq!(lab.sent(3).len(), 5);
}

#[test]
fn q16_a_waiting_list_keeps_its_actions_and_lets_go() {
    let mut lab = Lab::new();
    // Each of the four that wait holds on to the actions that it is part of, and lets go.
    let wait = (0..4).fold(list(), |l, _| l.cloned(list().hash(0, 0).output(2)));
    let nest = |l: Bytes| list().cloned(l).hash(0, 0);
    lab.flow(0, 1, nest(nest(nest(wait.hash(0, 0)))));
    let before = live();
    assert!(lab.devs[0].receive(&udp()));
    assert_eq!(lab.counts(), [0, 4, 0]);
    drops();
    testing::run_rcu();
    assert_eq!(live(), before, "pins were given back");
}
