// SPDX-License-Identifier: GPL-2.0
//! FLOW_SET, FLOW_GET and FLOW_DEL (F7 to F9).

use crate::flow_kit::*;

#[test]
fn f7_set_needs_a_name_and_a_key_for_actions() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1]).ufid(b"u")).unwrap();
    assert_eq!(refused(s.flow(cmd::SET, &Bytes::new())), EINVAL);
    assert_eq!(refused(s.flow(cmd::SET, &Bytes::new().acts(&[2]))), EINVAL);
    assert_eq!(
        refused(s.flow(cmd::SET, &Bytes::new().acts(&[2]).ufid(b"u"))),
        EINVAL
    );
    assert_eq!(
        refused(s.flow(cmd::SET, &Bytes::new().ufid(&[9; 17]))),
        EINVAL
    );
    assert_eq!(outputs(&s.flows()[0]), Some(vec![1]));
}

#[test]
fn f7_set_replaces_actions() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1]).ufid(b"u")).unwrap();
    let m = s.flow(cmd::SET, &flow(&UDP).acts(&[2]).ufid(b"u")).unwrap();
    assert_eq!((m.cmd(), outputs(&m)), (cmd::SET, Some(vec![2])));
    assert_eq!(m.types()[0], flow_attr::UFID);
    // By key only flows named by key are found.
    assert_eq!(refused(s.flow(cmd::SET, &flow(&UDP).acts(&[3]))), ENOENT);
    assert_eq!(
        refused(s.flow(cmd::SET, &flow(&UDP).acts(&[3]).ufid(b"v"))),
        ENOENT
    );
    // Without actions they stay.
    let m = s.flow(cmd::SET, &Bytes::new().ufid(b"u")).unwrap();
    assert_eq!(outputs(&m), Some(vec![2]));
}

#[test]
fn f7_clear_comes_after_the_reply() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("p1");
    let udp = Udp {
        in_port: u32::from(no),
        ..UDP
    };
    s.create(&flow(&udp).acts(&[])).unwrap();
    dev.receive(&udp.packet());
    dev.receive(&udp.packet());
    let m = s
        .flow(cmd::SET, &flow(&udp).flag(flow_attr::CLEAR))
        .unwrap();
    assert_eq!(stats(&m), Some((2, 120)));
    let m = s.flow(cmd::GET, &flow(&udp)).unwrap();
    assert_eq!((stats(&m), m.get(flow_attr::USED)), (None, None));
    dev.receive(&udp.packet());
    assert_eq!(
        stats(&s.flow(cmd::GET, &flow(&udp)).unwrap()),
        Some((1, 60))
    );
}

#[test]
fn f8_get_by_key_or_ufid() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).mask(mask(!0, 0, 0, 0)).acts(&[1]))
        .unwrap();
    s.create(&flow(&Udp { in_port: 2, ..UDP }).acts(&[2]).ufid(b"u"))
        .unwrap();
    assert_eq!(refused(s.flow(cmd::GET, &Bytes::new())), EINVAL);
    assert_eq!(
        refused(s.flow(cmd::GET, &Bytes::new().ufid(&[1; 20]))),
        EINVAL
    );
    assert_eq!(
        outputs(&s.flow(cmd::GET, &flow(&UDP)).unwrap()),
        Some(vec![1])
    );
    assert_eq!(
        outputs(&s.flow(cmd::GET, &Bytes::new().ufid(b"u")).unwrap()),
        Some(vec![2])
    );
    assert_eq!(
        refused(s.flow(cmd::GET, &flow(&Udp { dport: 1, ..UDP }))),
        ENOENT
    );
    // The UFID decides, but the key must parse.
    assert_eq!(
        outputs(&s.flow(cmd::GET, &flow(&UDP).ufid(b"u")).unwrap()),
        Some(vec![2])
    );
    let bad = Bytes::new()
        .nest(flow_attr::KEY, Bytes::new().u32(key_attr::IN_PORT, 1))
        .ufid(b"u");
    assert_eq!(refused(s.flow(cmd::GET, &bad)), EINVAL);
    let reply = s
        .client
        .request(Group::Flow, cmd::GET, s.dp, &flow(&UDP))
        .unwrap();
    assert_eq!(reply.map(|m| m.cmd()), Some(cmd::GET), "always a reply");
}

#[test]
fn f9_del_one() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1])).unwrap();
    s.create(&flow(&Udp { in_port: 2, ..UDP }).acts(&[2]).ufid(b"u"))
        .unwrap();
    assert_eq!(
        refused(s.flow(cmd::DEL, &flow(&Udp { in_port: 2, ..UDP }))),
        ENOENT
    );
    let m = s.flow(cmd::DEL, &Bytes::new().ufid(b"u")).unwrap();
    assert_eq!((m.cmd(), outputs(&m)), (cmd::DEL, Some(vec![2])));
    assert_eq!(refused(s.flow(cmd::DEL, &Bytes::new().ufid(b"u"))), ENOENT);
    s.flow(cmd::DEL, &flow(&UDP)).unwrap();
    assert!(s.flows().is_empty());
    assert_eq!(s.counts().1[1], 0, "no masks left");
}

#[test]
fn f9_del_all() {
    let mut s = Switch::new();
    for in_port in 0..50 {
        s.create(&flow(&Udp { in_port, ..UDP }).acts(&[1])).unwrap();
    }
    let answer = s
        .client
        .request(Group::Flow, cmd::DEL, s.dp, &Bytes::new())
        .unwrap();
    assert_eq!(answer, None);
    assert!(s.flows().is_empty());
    s.dp += 1;
    assert_eq!(refused(s.flow(cmd::DEL, &Bytes::new())), ENODEV);
}

// F2, Q6: C takes such a UFID for none and flushes.
#[test]
fn f2_a_ufid_that_is_too_long_does_not_delete_everything() {
    let mut s = Switch::new();
    s.create(&flow(&UDP).acts(&[1])).unwrap();
    assert_eq!(
        refused(s.flow(cmd::DEL, &Bytes::new().ufid(&[1; 17]))),
        EINVAL
    );
    assert_eq!(s.flows().len(), 1);
}

#[test]
fn f9_without_memory_for_the_message_the_flow_goes_all_the_same() {
    let mut s = Switch::new();
    s.net.listen(Group::Flow, true);
    s.create(&flow(&UDP).acts(&[1])).unwrap();
    s.net.take_multicasts();
    fail_nth(1);
    s.client
        .request(Group::Flow, cmd::DEL, s.dp, &flow(&UDP))
        .unwrap();
    fail_nth(0);
    assert!(s.flows().is_empty());
    assert!(s.net.take_multicasts().is_empty());
    assert_eq!(s.net.take_multicast_errors(), [(Group::Flow, ENOMEM)]);
}

#[test]
fn b20_set_and_del_survive_any_failing_allocation() {
    let mut s = Switch::new();
    for (command, request) in [
        (cmd::SET, flow(&UDP).acts(&[9, 8, 7])),
        (cmd::SET, flow(&UDP).flag(flow_attr::CLEAR)),
        (cmd::GET, flow(&UDP)),
        (cmd::DEL, flow(&UDP)),
    ] {
        for nth in 1.. {
            s.flow(cmd::NEW, &flow(&UDP).acts(&[1])).unwrap();
            fail_nth(nth);
            let answer = s.client.request(Group::Flow, command, s.dp, &request);
            fail_nth(0);
            match answer {
                Ok(_) => break,
                Err(e) => assert_eq!(e.errno, ENOMEM),
            }
            assert_eq!(outputs(&s.flows()[0]), Some(vec![1]));
        }
    }
}
