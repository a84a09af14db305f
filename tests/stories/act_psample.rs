// SPDX-License-Identifier: GPL-2.0
//! PSAMPLE: what is shown, and with which probability (spec A14, A13).

use crate::act_kit::*;
use openvswitch::datapath::netlink::attr::F_NESTED;
use openvswitch::packet::{take_samples, Sampled};

/// PSAMPLE to a group with a cookie, which begin both with `n`.
fn show(n: u8) -> Bytes {
    let args = Bytes::new().u32(1, u32::from(n)).put(2, &[n, 1, 2]);
    Bytes::new().put(act::PSAMPLE | F_NESTED, &args.0)
}

/// Groups and probabilities of the samples since the last call.
fn probabilities() -> Vec<(u32, u32)> {
    let all = take_samples();
    all.iter().map(|s| (s.group, s.probability)).collect()
}

#[test]
fn a_sample_has_group_cookie_and_device() {
    let mut lab = Lab::new();
    lab.exec(show(5));
    let want = Sampled {
        group: 5,
        cookie: vec![5, 1, 2],
        probability: u32::MAX,
        in_ifindex: lab.devs[0].ifindex(),
        bytes: udp(),
    };
    assert_eq!(take_samples(), [want]);
    // Used up, not dropped.
    assert_eq!((drops(), lab.counts()), (vec![], [0, 0, 0]));
    lab.exec(show(5).output(2).cat(show(6)));
    assert_eq!(probabilities(), [(5, u32::MAX), (6, u32::MAX)]);
    assert_eq!((drops(), lab.counts()), (vec![], [0, 1, 0]));
}

#[test]
fn a13_truncation_is_used_up() {
    let mut lab = Lab::new();
    lab.exec(list().trunc(20).cat(show(1)).cat(show(2)).output(2));
    let lengths = |s: Vec<Sampled>| s.iter().map(|s| s.bytes.len()).collect::<Vec<_>>();
    assert_eq!(lengths(take_samples()), [20, 60]);
    assert_eq!(lab.bytes(2), [udp()]);
    lab.exec(list().trunc(2000).cat(show(1)));
    assert_eq!(lengths(take_samples()), [60]);
    lab.exec(list().trunc(20).output(2).cat(show(1)));
    assert_eq!(lengths(take_samples()), [60]);
    assert_eq!(lab.bytes(2), [&udp()[..20]]);
}

/// Also by a sample that is not shown, as its packet has cost enough (A10).
#[test]
fn a13_truncation_is_used_up_by_what_is_not_shown() {
    let mut lab = Lab::new();
    let shows = (0..100).fold(list(), |l, _| l.trunc(20).cat(show(1)));
    lab.flow(0, 1, (0..60).fold(list(), |l, _| l.recirc(1)));
    lab.flow(1, 1, shows.output(2));
    assert!(lab.devs[0].receive(&udp()));
    let sent = lab.bytes(2);
    assert!((20..60).contains(&sent.len()), "{}", sent.len());
    assert_ne!(take_samples().len(), sent.len() * 100, "all are shown");
    assert!(sent.iter().all(|bytes| *bytes == udp()));
    drops();
}

#[test]
fn a35_the_probability_is_the_innermost_samples() {
    let mut lab = Lab::new();
    FakeEnv::set_random(Some(0));
    let inner = list().sampled(7, show(1)).cat(show(2));
    lab.exec(list().sampled(9, inner.clone()).cat(show(3)));
    assert_eq!(probabilities(), [(1, 7), (2, 9), (3, u32::MAX)]);
    // The last list goes on with the packet itself.
    lab.exec(list().output(2).sampled(9, inner));
    assert_eq!(probabilities(), [(1, 7), (2, 9)]);
    lab.exec(list().sampled(9, list().cloned(show(1))).output(2));
    assert_eq!(probabilities(), [(1, 9)]);
    lab.exec(list().sampled(0, show(1)));
    assert_eq!(probabilities(), []);
    FakeEnv::set_random(None);
}
