// SPDX-License-Identifier: GPL-2.0
//! RECIRC through flows, devices that hand packets right back, and where that ends (spec A9, A10).

use crate::act_kit::*;
use openvswitch::datapath::abi::flow_attr;

impl Lab {
    /// A flow for UDP packets of a recirculation id, and of a port if that is not 0.
    pub fn flow(&mut self, recirc_id: u32, port: u32, acts: Bytes) {
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
    // The line calls the datapath as its device is called now.
    lab.switch.net.device("br0").unwrap().rename("br9");
    lab.exec(list().recirc(5));
    assert_eq!(drops(), [DropReason::DeferredLimit]);
    let log = take_log();
    let line = "br9: deferred action limit reached, drop recirc action (recirc_id=0x5)";
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
    // B60: the level is balanced, so the next packet gets as far.
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

/// Flows by which a packet of port 1 is put off in the fourth look-up, and then leaves through port 3 with this priority.
fn put_off_a_recirculation(lab: &mut Lab, priority: u32) {
    lab.flow(0, 1, list().recirc(1));
    lab.flow(1, 1, list().recirc(2));
    lab.flow(2, 1, list().recirc(3));
    lab.flow(3, 1, list().priority(priority).output(3));
}

/// A flow by which a packet of port 1 is put off as a list in a list in a list.
fn put_off_a_list(lab: &mut Lab, priority: u32) {
    let wait = list().hash(0, 0).priority(priority).output(3);
    let nest = |l: Bytes| list().cloned(l).hash(0, 0);
    lab.flow(0, 1, nest(nest(nest(wait))));
}

#[test]
fn a10_nothing_stays_behind_when_a_single_output_comes_back() {
    for put_off in [put_off_a_recirculation, put_off_a_list] {
        // What leaves the outer switch through port 2 comes in through port 1 of the inner one, which puts it off.
        let (mut outer, mut inner) = (Lab::new(), Lab::new());
        outer.devs[1].connect(&inner.devs[0]);
        outer.flow(0, 1, list().output(2));
        put_off(&mut inner, 7);
        assert!(outer.devs[0].receive(&udp()));
        assert_eq!(inner.counts(), [0, 0, 1]);
        assert_eq!(openvswitch::packet::alive(), 0);
    }
}

#[test]
fn a10_what_was_put_off_goes_on_in_its_own_datapath() {
    for put_off in [put_off_a_recirculation, put_off_a_list] {
        let (mut outer, mut inner) = (Lab::new(), Lab::new());
        outer.devs[1].connect(&inner.devs[0]);
        outer.flow(0, 1, list().output(2).output(3));
        put_off(&mut inner, 7);
        // The outer switch could go on with the packet, but it must not.
        outer.flow(3, 1, list().priority(9).output(3));
        assert!(outer.devs[0].receive(&udp()));
        assert_eq!(outer.counts(), [0, 1, 1]);
        let sent = inner.sent(3);
        assert_eq!(sent.iter().map(|s| s.priority).collect::<Vec<_>>(), [7]);
        assert_eq!(outer.upcalls(7).len() + inner.upcalls(7).len(), 0);
        // What waited holds on to neither of them.
        testing::run_rcu();
        let before = live();
        assert!(outer.devs[0].receive(&udp()));
        testing::run_rcu();
        assert_eq!((inner.counts()[2], live()), (1, before));
    }
}

#[test]
fn a10_an_upcall_of_what_was_put_off_counts_where_it_came_in() {
    let (mut outer, mut inner) = (Lab::new(), Lab::new());
    outer.devs[1].connect(&inner.devs[0]);
    outer.flow(0, 1, list().output(2).output(3));
    put_off_a_recirculation(&mut inner, 7);
    inner.flow(3, 1, list().user(9));
    assert!(outer.devs[0].receive(&udp()));
    assert_eq!(outer.upcalls(9).len(), 0);
    let m = &inner.upcalls(9)[0];
    assert_eq!(m.dp_ifindex(), inner.switch.dp);
}

/// Recirculation ids 0 to 2, each with `n` recirculations to the next.
fn fan_out(lab: &mut Lab, n: u32) {
    for id in 0..3 {
        lab.flow(id, 1, (0..n).fold(list(), |l, _| l.recirc(id + 1)));
    }
}

/// Lists of n recirculations, each of which leads to such a list, have n³ ends at the deepest level. What the lists inside an
/// outermost one cost together is bounded (A10).
#[test]
fn a10_recirculations_do_not_multiply_without_end() {
    let ends = |n: u32| {
        let mut lab = Lab::new();
        fan_out(&mut lab, n);
        lab.flow(3, 1, list().output(2));
        let once = || {
            take_log();
            assert!(lab.devs[0].receive(&udp()));
            (lab.sent(2).len(), drops().len(), take_log().len())
        };
        let first = once();
        assert_eq!(once(), first, "the next packet gets as far");
        first
    };
    assert_eq!(ends(10), (1000, 0, 0));
    let (sent, refused, lines) = ends(40);
    assert!((10_000..20_000).contains(&sent), "{sent}");
    assert!(refused > 0 && lines > 0);
}

/// Nor do look-ups that find nothing, each of which is an upcall.
#[test]
fn a10_nor_do_misses() {
    let mut lab = Lab::new();
    lab.flow(0, 1, (0..1000).fold(list(), |l, _| l.recirc(1)));
    lab.flow(1, 1, (0..1000).fold(list(), |l, _| l.recirc(2)));
    for _ in 0..2 {
        assert!(lab.devs[0].receive(&udp()));
        let upcalls = lab.switch.net.take_upcalls().len();
        assert!((1000..4000).contains(&upcalls), "{upcalls}");
        assert!(!drops().is_empty());
    }
    lab.flow(2, 1, (0..1000).fold(list(), |l, _| l.user(9)));
    assert!(lab.devs[0].receive(&udp()));
    let told = lab.upcalls(9).len();
    assert!((1000..5000).contains(&told), "{told}");
    drops();
}

/// What was put off belongs to the outermost list as well.
#[test]
fn a10_what_was_put_off_is_among_them() {
    for (n, sent) in [(2, 8), (40, 0)] {
        let mut lab = Lab::new();
        fan_out(&mut lab, n);
        lab.flow(3, 1, list().recirc(4));
        lab.flow(4, 1, list().output(2));
        assert!(lab.devs[0].receive(&udp()));
        assert_eq!(lab.sent(2).len(), sent);
        drops();
    }
}
