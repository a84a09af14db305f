// SPDX-License-Identifier: GPL-2.0
//! FLOW_NEW: what it needs, what counts as the same flow, what it changes (F1 to F6, F15).

use crate::flow_kit::*;

#[test]
fn f1_needs_key_and_actions() {
    let mut s = Switch::new();
    assert_eq!(refused(s.create(&flow(&UDP))), EINVAL);
    assert_eq!(refused(s.create(&Bytes::new().acts(&[1]))), EINVAL);
    assert_eq!(
        refused(s.create(&Bytes::new().nest(flow_attr::KEY, Bytes::new()).acts(&[1]))),
        EINVAL
    );
    let bad_actions = flow(&UDP).nest(flow_attr::ACTIONS, Bytes::new().u32(26, 0));
    assert_eq!(refused(s.create(&bad_actions)), EINVAL);
    assert!(s.flows().is_empty());
}

#[test]
fn f1_the_datapath_is_looked_up_last() {
    let mut s = Switch::new();
    s.dp += 1000;
    assert_eq!(refused(s.create(&flow(&UDP))), EINVAL);
    assert_eq!(refused(s.create(&flow(&UDP).acts(&[1]))), ENODEV);
}

#[test]
fn f1_an_empty_action_list_is_a_flow_too() {
    let mut s = Switch::new();
    let m = s.create(&flow(&UDP).acts(&[])).unwrap();
    assert_eq!(outputs(&m), Some(vec![]));
}

#[test]
fn f10_layout_of_a_flow_named_by_its_key() {
    let mut s = Switch::new();
    let m = s
        .create(&flow(&UDP).mask(mask(!0, 0, 0, !0)).acts(&[2, 3]))
        .unwrap();
    assert_eq!(
        (m.cmd(), m.version(), m.flags(), m.dp_ifindex()),
        (cmd::NEW, 1, 0, s.dp)
    );
    assert_eq!(
        m.types(),
        [flow_attr::KEY, flow_attr::MASK, flow_attr::ACTIONS]
    );
    assert_eq!(outputs(&m), Some(vec![2, 3]));
    // KEY is the unmasked key, whatever UFID_FLAGS say.
    let of = |m: &Message, ty, inner| {
        let nest = m.get(ty).expect("the nest").to_vec();
        Attrs::new(&nest)
            .find(|a| a.ty() == inner)
            .map(|a| a.payload().to_vec())
    };
    assert_eq!(
        of(&m, flow_attr::KEY, key_attr::UDP),
        Some(vec![3, 232, 0, 53])
    );
    assert_eq!(
        of(&m, flow_attr::MASK, key_attr::UDP),
        Some(vec![0, 0, 255, 255])
    );
    let get =
        flow(&UDP).ufid_flags(ufid_flag::OMIT_KEY | ufid_flag::OMIT_MASK | ufid_flag::OMIT_ACTIONS);
    assert_eq!(s.flow(cmd::GET, &get).unwrap().types(), [flow_attr::KEY]);
}

#[test]
fn f10_layout_of_a_flow_named_by_a_ufid() {
    let mut s = Switch::new();
    let m = s
        .create(
            &flow(&UDP)
                .mask(mask(!0, 0, 0, !0))
                .acts(&[2])
                .ufid(b"0123456789abcdef"),
        )
        .unwrap();
    assert_eq!(
        m.types(),
        [
            flow_attr::UFID,
            flow_attr::KEY,
            flow_attr::MASK,
            flow_attr::ACTIONS
        ]
    );
    assert_eq!(m.get(flow_attr::UFID), Some(&b"0123456789abcdef"[..]));
    // KEY is the masked key.
    let key = m.get(flow_attr::KEY).unwrap();
    let udp = Attrs::new(key).find(|a| a.ty() == key_attr::UDP).unwrap();
    assert_eq!(udp.payload(), [0, 0, 0, 53]);
    let types = |s: &mut Switch, omit| {
        let get = Bytes::new().ufid(b"0123456789abcdef").ufid_flags(omit);
        s.flow(cmd::GET, &get).unwrap().types()
    };
    assert_eq!(
        types(&mut s, ufid_flag::OMIT_KEY),
        [flow_attr::UFID, flow_attr::MASK, flow_attr::ACTIONS]
    );
    assert_eq!(
        types(&mut s, ufid_flag::OMIT_MASK),
        [flow_attr::UFID, flow_attr::KEY, flow_attr::ACTIONS]
    );
    assert_eq!(
        types(&mut s, ufid_flag::OMIT_ACTIONS),
        [flow_attr::UFID, flow_attr::KEY, flow_attr::MASK]
    );
    assert_eq!(types(&mut s, 7), [flow_attr::UFID]);
}

#[test]
fn f2_a_ufid_that_is_too_long_counts_as_none() {
    let mut s = Switch::new();
    let m = s.create(&flow(&UDP).acts(&[1]).ufid(&[7; 17])).unwrap();
    assert_eq!(m.types()[0], flow_attr::KEY);
    assert_eq!(refused(s.create(&flow(&UDP).acts(&[1]).ufid(&[]))), ERANGE);
}

#[test]
fn f3_f4_duplicates_are_refused_when_creating() {
    let mut s = Switch::new();
    let wide = || flow(&UDP).mask(mask(!0, 0, 0, 0));
    s.create(&wide().acts(&[1])).unwrap();
    // The same, one that the first flow's packets include, and NLM_F_EXCL.
    assert_eq!(refused(s.create(&wide().acts(&[2]))), EEXIST);
    assert_eq!(
        refused(s.create(&flow(&Udp { dport: 9, ..UDP }).acts(&[2]))),
        EEXIST
    );
    assert_eq!(
        refused(s.create(&flow(&UDP).acts(&[2]).ufid(b"new"))),
        EEXIST
    );
    s.client.flags = nlm::EXCL;
    assert_eq!(refused(s.flow(cmd::NEW, &wide().acts(&[2]))), EEXIST);
    assert_eq!(outputs(&s.flows()[0]), Some(vec![1]));
}

#[test]
fn f3_a_ufid_in_use_is_a_duplicate_whatever_the_key() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1]).ufid(b"one")).unwrap();
    let other = Udp { in_port: 2, ..UDP };
    assert_eq!(
        refused(s.create(&flow(&other).acts(&[2]).ufid(b"one"))),
        EEXIST
    );
    assert_eq!(
        refused(s.flow(cmd::NEW, &flow(&other).acts(&[2]).ufid(b"one"))),
        ENOENT
    );
    s.create(&flow(&other).acts(&[2]).ufid(b"on")).unwrap();
    assert_eq!(s.flows().len(), 2);
}

#[test]
fn f4_f5_without_create_an_existing_flow_is_modified() {
    let mut s = Switch::new();
    let wide = || flow(&UDP).mask(mask(!0, 0, 0, 0));
    s.create(&wide().acts(&[1])).unwrap();
    let m = s.flow(cmd::NEW, &wide().acts(&[5, 6])).unwrap();
    assert_eq!((m.cmd(), outputs(&m)), (cmd::NEW, Some(vec![5, 6])));
    // A key that the flow includes but that is not its own names no flow.
    assert_eq!(
        refused(s.flow(cmd::NEW, &flow(&Udp { dport: 9, ..UDP }).acts(&[7]))),
        ENOENT
    );
    assert_eq!(s.flows().len(), 1);
    assert_eq!(outputs(&s.flows()[0]), Some(vec![5, 6]));
}

#[test]
fn f4_the_flow_meant_may_be_hidden_behind_a_wider_one() {
    let mut s = Switch::new();
    // Narrow first; the wide one overlaps but takes other packets first only after rebalancing.
    s.create(&flow(&UDP).mask(mask(!0, !0, !0, !0)).acts(&[1]))
        .unwrap();
    let other = Udp { dport: 9, ..UDP };
    s.create(&flow(&other).mask(mask(!0, 0, 0, 0)).acts(&[2]))
        .unwrap();
    let m = s
        .flow(cmd::NEW, &flow(&UDP).mask(mask(!0, !0, !0, !0)).acts(&[3]))
        .unwrap();
    assert_eq!(outputs(&m), Some(vec![3]));
    let m = s
        .flow(cmd::NEW, &flow(&other).mask(mask(!0, 0, 0, 0)).acts(&[4]))
        .unwrap();
    assert_eq!(outputs(&m), Some(vec![4]));
    let mut all: Vec<_> = s.flows().iter().map(outputs).collect();
    all.sort();
    assert_eq!(all, [Some(vec![3]), Some(vec![4])]);
}

#[test]
fn f5_the_reply_tells_of_the_flow_that_exists() {
    let mut s = Switch::new();
    // Named by a short UFID; the request that modifies it has a key only: the reply has the flow's own, longer name.
    s.create(&flow(&UDP).acts(&[1])).unwrap();
    let m = s
        .flow(cmd::NEW, &flow(&UDP).acts(&[2]).ufid(b"x").ufid_flags(7))
        .unwrap();
    assert_eq!(m.types(), [flow_attr::KEY]);
    assert_eq!(s.flows()[0].types()[0], flow_attr::KEY);
}

#[test]
fn f6_without_create_a_missing_flow_is_created() {
    let mut s = Switch::new();
    s.flow(cmd::NEW, &flow(&UDP).acts(&[1])).unwrap();
    assert_eq!(s.flows().len(), 1);
}

#[test]
fn n9_no_message_is_built_when_nobody_listens() {
    let mut s = Switch::new();
    let count = |s: &Switch| s.net.take_multicasts().len();
    assert_eq!(
        s.client
            .request(Group::Flow, cmd::NEW, s.dp, &flow(&UDP).acts(&[1]))
            .unwrap(),
        None
    );
    assert_eq!(count(&s), 0);
    s.net.listen(Group::Flow, true);
    assert_eq!(
        s.client
            .request(Group::Flow, cmd::NEW, s.dp, &flow(&UDP).acts(&[2]))
            .unwrap(),
        None
    );
    assert_eq!(count(&s), 1);
    s.client
        .request(Group::Flow, cmd::SET, s.dp, &flow(&UDP))
        .unwrap();
    assert_eq!(count(&s), 1);
    s.client
        .request(Group::Flow, cmd::DEL, s.dp, &flow(&UDP))
        .unwrap();
    assert_eq!(count(&s), 1);
    s.client
        .request(Group::Flow, cmd::DEL, s.dp, &Bytes::new())
        .unwrap();
    assert_eq!(count(&s), 0, "F9: flushing tells nobody");
}

#[test]
fn b25_a_failing_allocation_changes_nothing() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1])).unwrap();
    let other = Udp { in_port: 3, ..UDP };
    let requests = [
        flow(&other).mask(mask(0xff, 0, 0, 0)).acts(&[1, 2, 3]),
        flow(&other)
            .mask(mask(0xff, 0, 0, 0))
            .acts(&[1, 2, 3])
            .ufid(b"u"),
        flow(&UDP).acts(&[2]),
    ];
    for request in requests {
        let mut nth = 0;
        loop {
            nth += 1;
            openvswitch::sys::rcu_barrier();
            let (before, live_before) = (s.flows(), live());
            fail_nth(nth);
            let answer = s.flow(cmd::NEW, &request);
            fail_nth(0);
            openvswitch::sys::rcu_barrier();
            match answer {
                Ok(_) => break,
                Err(e) => assert_eq!(e.errno, ENOMEM),
            }
            let seq = |mut all: Vec<Message>| {
                all.iter_mut().for_each(|m| m.0[8..12].fill(0));
                all
            };
            assert_eq!(
                (seq(s.flows()), live()),
                (seq(before), live_before),
                "allocation {nth}"
            );
        }
        assert!(nth > 3);
        s.flow(cmd::DEL, &flow(&other))
            .or_else(|_| s.flow(cmd::DEL, &Bytes::new().ufid(b"u")))
            .ok();
    }
}

#[test]
fn b25_modifying_puts_back_what_it_did_not_use() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1])).unwrap();
    openvswitch::sys::rcu_barrier();
    let before = live();
    for port in 0..20 {
        s.flow(cmd::NEW, &flow(&UDP).acts(&[port])).unwrap();
        refused(s.create(&flow(&UDP).acts(&[port])));
    }
    openvswitch::sys::rcu_barrier();
    assert_eq!(live(), before);
}

// N11, K38: the kernel's selftests look for this sentence.
#[test]
fn n11_actions_that_do_not_fit_are_logged_unless_probing() {
    let mut s = Switch::new();
    let bad = |udp: &Udp| flow(udp).nest(flow_attr::ACTIONS, Bytes::new().u32(26, 0));
    take_log();
    refused(s.create(&bad(&UDP).flag(flow_attr::PROBE)));
    assert!(take_log().is_empty());
    refused(s.create(&bad(&UDP)));
    let sentence = "netlink: Flow actions may not be safe on all matching packets.";
    let log = take_log();
    assert!(
        log.iter().any(|(_, line)| line.contains(sentence)),
        "{log:?}"
    );
}

/// What is wrong with a key or a request stands in the log too; what is missing or in the way does not (N11, K38).
#[test]
fn n11_refusals_are_logged_unless_probing() {
    let mut s = Switch::new();
    let text = |s: &mut Switch, attrs: &Bytes| {
        take_log();
        refused(s.create(attrs));
        take_log()
            .into_iter()
            .map(|(_, line)| line)
            .collect::<Vec<_>>()
            .concat()
    };
    let no_actions = Bytes::new().nest(flow_attr::KEY, UDP.key());
    assert!(text(&mut s, &no_actions).contains("netlink: "));
    assert_eq!(text(&mut s, &no_actions.clone().flag(flow_attr::PROBE)), "");
    let no_key = Bytes::new()
        .nest(flow_attr::KEY, Bytes::new())
        .nest(flow_attr::ACTIONS, Bytes::new());
    assert!(text(&mut s, &no_key).contains("netlink: "));
    let good = flow(&UDP).nest(flow_attr::ACTIONS, Bytes::new());
    s.create(&good).unwrap();
    assert_eq!(text(&mut s, &good), "", "EEXIST");
}

/// A table of a million flows is as large as what each takes: the flow, a CPU's counters, the actions.
#[test]
fn a_flow_of_one_output_is_three_objects() {
    let mut s = Switch::new();
    let mut create = |n: u8, ports: &[u32]| {
        let udp = Udp {
            src: n.into(),
            ..UDP
        };
        let attrs = flow(&udp).mask(mask(!0, !0, !0, !0)).acts(ports);
        s.create(&attrs.ufid(&[n; 16])).unwrap();
        kernel::testing::rcu::barrier();
        live()
    };
    let first = create(1, &[0]); // brings the mask
    assert_eq!(
        create(2, &[0]) - first,
        3 + 1,
        "a node to tell it from the first"
    );
    let first = first + 1;
    assert_eq!(create(3, &[0, 0]) - first, 3 + 4, "an array of actions");
    assert_eq!(create(4, &[]) - first, 3 + 4 + 3, "no action at all");
}

// F14: for a probe anything else than EINVAL and EOVERFLOW would not mean "not supported".
#[test]
fn f14_what_is_not_known_is_invalid() {
    let mut s = Switch::new();
    let before = s.flows();
    let probe = |s: &mut Switch, key: Bytes, acts: Bytes| {
        let attrs = Bytes::new()
            .nest(flow_attr::KEY, key)
            .nest(flow_attr::ACTIONS, acts)
            .flag(flow_attr::PROBE);
        refused(s.create(&attrs))
    };
    for len in [0, 1, 4, 8, 16, 100] {
        for ty in (26..300).chain([0, 0x3fff]) {
            let acts = Bytes::new().put(ty, &vec![0; len]);
            assert_eq!(probe(&mut s, UDP.key(), acts), EINVAL, "action {ty}, {len}");
        }
        for ty in (33..300).chain([0x3fff]) {
            let mut key = UDP.key();
            key = key.put(ty, &vec![0; len]);
            let got = probe(&mut s, key, Bytes::new());
            assert_eq!(got, EINVAL, "key {ty}, {len}");
        }
    }
    let clone = |inner: Bytes| Bytes::new().nest(action_attr::CLONE, inner);
    let deep = (0..17).fold(Bytes::new(), |l, _| clone(l));
    assert_eq!(probe(&mut s, UDP.key(), deep), EOVERFLOW);
    assert_eq!(s.flows(), before);
}
