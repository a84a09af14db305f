// SPDX-License-Identifier: GPL-2.0
//! SAMPLE, CLONE, and lists that have to wait (spec A8 to A11).

use crate::act_kit::*;

/// A list that changes the key, so that it cannot run on its outer list's.
fn changing(port: u32) -> Bytes {
    list().hash(0, 0).output(port)
}

#[test]
fn a35_a_clone_keeps_its_changes() {
    let mut lab = Lab::new();
    let inner = list()
        .set(key_attr::ETHERNET, &[9; 12])
        .push_vlan(0x8100, 0x1001)
        .output(2);
    lab.exec(list().cloned(inner.clone()).output(3));
    let sent = lab.sent(2);
    assert_eq!((sent[0].bytes[0], sent[0].vlan.is_some()), (9, true));
    let sent = lab.sent(3);
    assert_eq!((&sent[0].bytes, sent[0].vlan), (&udp(), None));
    // As the last action it needs no copy.
    lab.exec(list().output(3).cloned(inner));
    assert_eq!(lab.counts(), [0, 1, 1]);
    assert_eq!(drops(), []);
}

#[test]
fn sample_compares_with_a_random_number() {
    let mut lab = Lab::new();
    let mut run = |probability, random| {
        FakeEnv::set_random(Some(random));
        lab.exec(list().sampled(probability, list().output(2)).output(3));
        let last = list().sampled(probability, list().output(2));
        lab.exec(last);
        FakeEnv::set_random(None);
        let [_, sampled, others] = lab.counts();
        assert_eq!(others, 1);
        assert_eq!(drops().len(), usize::from(sampled == 0));
        assert!(sampled % 2 == 0);
        sampled == 2
    };
    assert!(!run(0, 0));
    assert!(run(1, 1) && !run(1, 2));
    assert!(run(1 << 31, 1 << 31) && !run(1 << 31, (1 << 31) + 1));
    assert!(run(u32::MAX, u32::MAX));
    assert!(run(u32::MAX - 1, u32::MAX - 1) && !run(u32::MAX - 1, u32::MAX));
}

#[test]
fn a_quarter_is_sampled_about_every_fourth_time() {
    let mut lab = Lab::new();
    testing::seed(7);
    for _ in 0..2000 {
        lab.exec(list().sampled(u32::MAX / 4, list().output(2)).output(3));
    }
    let [_, sampled, all] = lab.counts();
    assert_eq!(all, 2000);
    assert!((400..600).contains(&sampled), "{sampled}");
}

#[test]
fn a12_last_lists_nest_without_end() {
    let mut lab = Lab::new();
    let mut nested = changing(2);
    for depth in 0..15 {
        let mut outer = list().hash(0, depth).output(3);
        outer = if depth % 2 == 0 {
            outer.cloned(nested)
        } else {
            outer.sampled(u32::MAX, nested)
        };
        nested = outer;
    }
    lab.exec(list().cloned(nested));
    assert_eq!(lab.counts(), [0, 1, 15]);
    assert_eq!(drops(), []);
}

/// Lists in lists that each use up one of the three key copies; lists in the innermost have to wait.
fn deep(innermost: Bytes) -> Bytes {
    let three = list().cloned(innermost).hash(0, 0).output(3);
    let two = list().cloned(three).hash(0, 0).output(3);
    list().cloned(two).hash(0, 0).output(3)
}

#[test]
fn a10_three_levels_run_at_once_and_the_fourth_waits() {
    let mut lab = Lab::new();
    // At once: the innermost list is before what follows it.
    let mark = |n: u8| list().set(key_attr::ETHERNET, &[n; 12]).output(2);
    let order = |lab: &Lab| lab.bytes(2).iter().map(|b| b[0]).collect::<Vec<_>>();
    let one = mark(1);
    lab.exec(
        list()
            .cloned(one)
            .set(key_attr::ETHERNET, &[2; 12])
            .output(2),
    );
    assert_eq!(order(&lab), [1, 2]);

    let nest = |inner: Bytes, n: u8| {
        list()
            .cloned(inner)
            .set(key_attr::ETHERNET, &[n; 12])
            .output(2)
    };
    let three = nest(nest(mark(1), 2), 3);
    lab.exec(nest(three.clone(), 4));
    assert_eq!(order(&lab), [1, 2, 3, 4]);
    lab.exec(nest(nest(three, 4), 5));
    assert_eq!(order(&lab), [2, 3, 4, 5, 1]);
    assert_eq!(drops(), []);
}

#[test]
fn a10_nine_lists_can_wait() {
    let mut lab = Lab::new();
    let many = |n: u32| (0..n).fold(list(), |l, _| l.cloned(changing(2)));
    for (n, run) in [(1, 1), (9, 9), (10, 9), (30, 9)] {
        take_log();
        lab.exec(deep(many(n).hash(0, 0)));
        assert_eq!(lab.counts()[1], run, "{n}");
        let dropped = drops();
        let full = dropped
            .iter()
            .filter(|d| **d == DropReason::DeferredLimit)
            .count();
        assert_eq!(full, n as usize - run);
        let warnings = take_log();
        let line = "br0: deferred action limit reached, drop sample action";
        assert_eq!(
            warnings.iter().filter(|(_, l)| l.contains(line)).count(),
            full
        );
    }
    // Room comes back, and what waits may make others wait.
    lab.exec(deep(list().cloned(deep(many(5).hash(0, 0))).hash(0, 0)));
    assert_eq!(lab.counts()[1], 5);
}

#[test]
fn b38_errors_and_memory_leave_no_packet_behind() {
    let mut lab = Lab::new();
    let many = (0..12).fold(list(), |l, _| l.cloned(changing(2)));
    let acts = deep(many.sampled(u32::MAX, list().pop_vlan()).output(1)).output(2);
    let alive = openvswitch::packet::alive();
    for n in 1.. {
        openvswitch::packet::fail_nth(n);
        let _ = lab.on(&udp(), acts.clone());
        let struck = openvswitch::packet::fail_nth(0);
        lab.counts();
        drops();
        assert_eq!(openvswitch::packet::alive(), alive, "{n}");
        if !struck {
            break;
        }
    }
    // Nothing is left over from failures: the same list runs as ever.
    lab.exec(list().cloned(changing(2)).output(3));
    assert_eq!(lab.counts(), [0, 1, 1]);
}

/// As C: a nested list is checked as if what came before it had neither taken the Ethernet header nor given one.
#[test]
fn a4_a_nested_list_starts_with_the_header_of_the_key() {
    let mut lab = Lab::new();
    let push_eth = || list().attr(act::PUSH_ETH, &[2; 12]);
    let pop_eth = || list().attr(act::POP_ETH, &[]);
    let inner: [(&str, Bytes); 5] = [
        ("pop_eth", pop_eth()),
        ("push_eth", push_eth()),
        ("push_vlan", list().push_vlan(0x8100, 0x1001)),
        ("pop_vlan", list().pop_vlan()),
        ("set eth", list().set(key_attr::ETHERNET, &[4; 12])),
    ];
    let l3 = Bytes::new()
        .u32(key_attr::IN_PORT, 1)
        .be16(key_attr::ETHERTYPE, 0x800);
    for (what, acts) in inner {
        for ethernet in [true, false] {
            let fits = ethernet == (what != "push_eth");
            let wrappers: [fn(Bytes) -> Bytes; 3] = [
                |l| list().cloned(l),
                |l| list().sampled(u32::MAX, l),
                |l| list().cloned(list().sampled(7, l)),
            ];
            for wrap in wrappers {
                let mut all = if ethernet { pop_eth() } else { push_eth() };
                all.0.extend(wrap(Bytes(acts.0.clone())).0);
                let answer = if ethernet {
                    lab.on(&udp(), all)
                } else {
                    lab.run(
                        &Bytes::new()
                            .put(packet_attr::PACKET, &udp()[14..])
                            .nest(packet_attr::KEY, Bytes(l3.0.clone()))
                            .nest(packet_attr::ACTIONS, all),
                    )
                };
                // What is accepted may still fail on the packet, as a second pop_eth does (EPROTO).
                let refused = answer == Err(EINVAL);
                assert_eq!(refused, !fits, "{what}, Ethernet {ethernet}: {answer:?}");
            }
        }
    }
}

/// The flow's key says that there is a header, the packet has lost it, and some kernels do not look (A4, B46).
#[test]
fn a4_no_tag_is_put_into_what_has_no_ethernet_header() {
    let mut lab = Lab::new();
    let tags = || {
        list()
            .push_vlan(0x8100, 0x1001)
            .push_vlan(0x8100, 0x1002)
            .user(9)
    };
    for len in [14, 15, 22, 26, 27, 28, 60] {
        let mut frame = udp();
        [frame[12], frame[13]] = [0x12, 0x34];
        frame.resize(len, 0x5a);
        let all = list().attr(act::POP_ETH, &[]).cloned(tags());
        assert_eq!(lab.on(&frame, all), Err(EPROTO), "{len}");
        let all = list().attr(act::POP_ETH, &[]).cloned(tags()).output(2);
        let _ = lab.on(&frame, all);
        assert_eq!(lab.upcalls(9).len(), 0);
        assert!(lab.bytes(2).is_empty());
    }
    drops();
}
