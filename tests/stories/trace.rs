// SPDX-License-Identifier: GPL-2.0
//! What the tracepoints show while somebody listens (spec X3). One test: whether they are on is known to all threads.

use crate::act_kit::*;
use openvswitch::datapath::trace::{set_actions, set_upcalls, Step, SET_TO_MASKED};
use openvswitch::env::Traced;

/// Type, length, number, and whether it is the last, of each action.
fn steps() -> Vec<(u16, u16, u32, bool)> {
    let traced = FakeEnv::take_traced().into_iter();
    let step = |t| match t {
        Traced::Action(dp, _, _, step) => {
            assert_eq!(dp, "br0");
            let Step {
                ty,
                len,
                number,
                last,
            } = step;
            Some((ty, len, number, last))
        }
        Traced::Upcall(..) => None,
    };
    traced.filter_map(step).collect()
}

/// Datapath, command, netlink port and whether the key is valid, of each upcall.
fn upcalls() -> Vec<(u8, u32, bool)> {
    let traced = FakeEnv::take_traced().into_iter();
    let upcall = |t| match t {
        Traced::Upcall(dp, cmd, portid, valid) => {
            assert_eq!(dp, "br0");
            Some((cmd, portid, valid))
        }
        Traced::Action(..) => None,
    };
    traced.filter_map(upcall).collect()
}

#[test]
fn x3_actions_and_upcalls_are_shown_while_somebody_listens() {
    let mut lab = Lab::new();
    let sends = list().output(2).user(7);
    lab.exec(sends.clone());
    assert_eq!(FakeEnv::take_traced(), []);
    lab.counts();

    set_actions(true);
    lab.exec(list().output(2));
    assert_eq!(steps(), [(act::OUTPUT, 4, 2, true)]);
    assert_eq!(lab.counts(), [0, 1, 0]);
    // Nested lists count for the actions that hold them, and show their own.
    let inner = list().hash(0, 0).output(3);
    lab.exec(list().sampled(u32::MAX, inner.clone()).cloned(inner));
    let both = [(act::HASH, 8, 0, false), (act::OUTPUT, 4, 3, true)];
    let sample = [(act::SAMPLE, 12 + 12 + 8, 0, false)];
    let clone = [(act::CLONE, 8 + 12 + 8, 0, true)];
    assert_eq!(steps(), [&sample[..], &both, &clone, &both].concat());
    lab.exec(
        list()
            .set(key_attr::ETHERNET, &[9; 12])
            .check_pkt_len(9, list(), list().recirc(5)),
    );
    assert_eq!(
        steps(),
        [
            (SET_TO_MASKED, 4 + 24, 0, false),
            (act::CHECK_PKT_LEN, 8 + 4 + 4 + 8, 0, true),
            (act::RECIRC, 4, 5, true)
        ]
    );
    // Lists that had to wait are traced, too, and none is too deep sooner than before.
    let nest = |inner: Bytes| list().cloned(inner).hash(0, 0);
    let deep = (0..6).fold(list().hash(0, 0).output(2), |l, _| nest(l));
    lab.counts();
    lab.exec(deep.output(3));
    assert_eq!(lab.counts(), [0, 1, 1]);
    let outputs = |s: &(u16, u16, u32, bool)| s.0 == act::OUTPUT;
    assert_eq!(steps().iter().filter(|s| outputs(s)).count(), 2);
    set_actions(false);

    set_upcalls(true);
    let tags = list().push_vlan(0x8100, 0x1001).push_vlan(0x8100, 0x1001);
    lab.exec(sends.cat(tags).user(0x1234));
    let action = packet_cmd::ACTION;
    assert_eq!(upcalls(), [(action, 7, true), (action, 0x1234, false)]);
    lab.exec(list().recirc(99));
    assert_eq!(upcalls().len(), 1);
    set_upcalls(false);
    lab.exec(list().output(2).user(7));
    assert_eq!(FakeEnv::take_traced(), []);
}
