// SPDX-License-Identifier: GPL-2.0
//! SET(TUNNEL): what packets are sent through, and what userspace is told of it (spec A5, A26, A33, B17, B22).

use crate::act_kit::*;
use openvswitch::datapath::abi::tunnel_attr as ta;
use openvswitch::datapath::env::TUN_CRIT_OPT;
use openvswitch::datapath::flow::key::{tun_flag, TUN_IPV4, TUN_IPV6};

fn tunnel(id: u8) -> Bytes {
    Bytes::new()
        .put(ta::ID, &[0, 0, 0, 0, 0, 0, 0, id])
        .put(ta::IPV4_DST, &[10, 1, 1, 1])
        .put(ta::TTL, &[64])
}

fn set(tunnel: Bytes) -> Bytes {
    list().inner(act::SET, Bytes::new().nest(key_attr::TUNNEL, tunnel))
}

#[test]
fn a26_packets_are_sent_through_the_tunnel() {
    let mut lab = Lab::new();
    let opts = [1, 2, 0x83, 1, 9, 9, 9, 9];
    lab.exec(
        set(tunnel(7).put(ta::GENEVE_OPTS, &opts).put(ta::CSUM, &[]))
            .output(2)
            .cat(set(tunnel(8)))
            .output(3),
    );
    let sent = lab.sent(2);
    let info = sent[0].tunnel.as_ref().expect("a tunnel").info();
    assert_eq!((info.id[7], info.proto, info.ttl), (7, TUN_IPV4, 64));
    assert_eq!(info.dst[..5], [10, 1, 1, 1, 0]);
    let flags = tun_flag::KEY | tun_flag::CSUM | tun_flag::GENEVE_OPT | TUN_CRIT_OPT;
    assert_eq!((info.flags, info.options), (flags, &opts[..]));
    // Another takes its place, and its options with it.
    let sent = lab.sent(3);
    let info = sent[0].tunnel.as_ref().expect("a tunnel").info();
    assert_eq!(
        (info.id[7], info.flags, info.options.len()),
        (8, tun_flag::KEY, 0)
    );
    let v6 = Bytes::new().put(ta::IPV6_DST, &[7; 16]).put(ta::TTL, &[1]);
    lab.exec(set(v6).output(2));
    let sent = lab.sent(2);
    let info = sent[0].tunnel.as_ref().expect("a tunnel").info();
    assert_eq!((info.proto, info.dst, info.flags), (TUN_IPV6, [7; 16], 0));
}

#[test]
fn a35_a_clone_keeps_its_tunnel() {
    let mut lab = Lab::new();
    lab.exec(list().cloned(set(tunnel(7)).output(2)).output(3));
    assert!(lab.sent(2)[0].tunnel.is_some());
    assert!(lab.sent(3)[0].tunnel.is_none());
}

#[test]
fn b17_options_end_where_they_say() {
    let mut lab = Lab::new();
    for (opts, ok) in [
        (&[][..], true),
        (&[0; 4], true),
        (&[0; 255 & !3], true),
        (&[0, 0, 0, 1], false),
        (&[0, 0, 0, 1, 0, 0, 0, 0], true),
        (&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], false),
        (&[0, 0, 0, 0xe0], true),
        (&[0, 0, 0, 0x1f], false),
    ] {
        let acts = set(tunnel(7).put(ta::GENEVE_OPTS, opts)).output(2);
        assert_eq!(lab.on(&udp(), acts).is_ok(), ok, "{opts:?}");
    }
}

// A5, B22, B23: each allocation fails once; what was made before is given back, nested lists' tunnels, too.
#[test]
fn no_memory_keeps_no_tunnel() {
    let mut lab = Lab::new();
    let acts = list()
        .cloned(set(tunnel(1)).output(2))
        .cat(set(tunnel(2).put(ta::GENEVE_OPTS, &[0; 200])))
        .cloned(set(tunnel(3)).dec_ttl(set(tunnel(4))))
        .output(3);
    lab.exec(acts.clone());
    assert_eq!(lab.counts(), [0, 1, 1]);
    drops();
    let before = live();
    let mut failures = 0;
    for n in 1.. {
        fail_nth(n);
        let result = lab.on(&udp(), acts.clone());
        let struck = !testing::fail_pending();
        fail_nth(0);
        lab.counts();
        drops();
        assert_eq!(live(), before, "{n}");
        match result {
            Err(e) => assert_eq!(e, ENOMEM),
            Ok(()) if !struck => break,
            Ok(()) => {}
        }
        failures += 1;
    }
    assert!(failures > 8, "{failures}");
    let bad = acts.cat(list().output(65535));
    assert_eq!(lab.on(&udp(), bad), Err(EINVAL));
    assert_eq!(live(), before);
}

#[test]
fn a33_userspace_is_told_of_the_tunnel_that_a_port_would_use() {
    let mut lab = Lab::new();
    let port = |no: u32| Bytes::new().u32(userspace_attr::EGRESS_TUN_PORT, no);
    let opts = [1, 2, 3, 1, 9, 9, 9, 9];
    let with = tunnel(7).put(ta::GENEVE_OPTS, &opts);
    let told = |lab: &Lab| {
        let all = lab.upcalls(5);
        assert_eq!(all.len(), 1);
        all[0].get(packet_attr::EGRESS_TUN_KEY).map(<[u8]>::to_vec)
    };
    lab.exec(set(with.clone()).user_with(5, port(2)).output(2));
    assert_eq!(told(&lab), Some(with.0.clone()));
    // No tunnel, no port, and no question.
    lab.exec(list().user_with(5, port(2)));
    assert_eq!(told(&lab), None);
    for no in [9, 65535, 65536, u32::MAX] {
        lab.exec(set(with.clone()).user_with(5, port(no)));
        assert_eq!(told(&lab), None);
    }
    lab.exec(set(with).user(5));
    assert_eq!(told(&lab), None);
}
