// SPDX-License-Identifier: GPL-2.0
//! Vports of the types GRE, VXLAN and Geneve, whose device the switch has made (W20 to W22).

use crate::kit::*;
use openvswitch::datapath::abi::{vport_tunnel_attr as option, vxlan_ext};
use openvswitch::datapath::control::detach_unregistered;
use openvswitch::env::FakeEnv;
use openvswitch::sys::testing::process_context;

const GRE: u32 = 3;
const VXLAN: u32 = 4;
const GENEVE: u32 = 5;
const GROUP_POLICY: u16 = vxlan_ext::GBP;

fn with(name: &str, kind: u32, options: &Bytes) -> Bytes {
    port(name, kind).put(vport_attr::OPTIONS, &options.0)
}

fn dst(n: u16) -> Bytes {
    Bytes::new().u16(option::DST_PORT, n)
}

fn extension(inner: Bytes) -> Bytes {
    dst(4789).put(option::EXTENSION, &inner.0)
}

/// The port and the flag that a message tells.
fn told(m: &Message) -> Option<(u16, bool)> {
    let options = m.get(vport_attr::OPTIONS)?;
    let gbp = [8, 0, 2, 0, 4, 0, 1, 0];
    let [6, 0, 1, 0, a, b, 0, 0, rest @ ..] = options else {
        panic!("{options:?}")
    };
    assert!(rest.is_empty() || rest == gbp, "{options:?}");
    Some((u16::from_ne_bytes([*a, *b]), !rest.is_empty()))
}

#[test]
fn w21_what_options_must_have() {
    let mut s = Switch::new();
    let before = s.state();
    for kind in [VXLAN, GENEVE] {
        assert_eq!(refused(s.new_port(&port("t0", kind))), EINVAL, "none");
        let whole = |b: &[u8]| port("t0", kind).put(vport_attr::OPTIONS, b);
        assert_eq!(refused(s.new_port(&whole(&[]))), EINVAL, "empty");
        for n in 1..4 {
            assert_eq!(
                refused(s.new_port(&whole(&vec![0; n]))),
                ERANGE,
                "{n} bytes"
            );
        }
        assert_eq!(refused(s.new_port(&whole(&[0; 4]))), EINVAL);
        for n in [0, 1, 3, 4, 8] {
            let b = Bytes::new().put(option::DST_PORT, &vec![0; n]);
            assert_eq!(
                refused(s.new_port(&with("t0", kind, &b))),
                EINVAL,
                "port of {n} bytes"
            );
        }
        let others = Bytes::new().u16(0, 1).u16(3, 4789).u32(200, 1);
        assert_eq!(refused(s.new_port(&with("t0", kind, &others))), EINVAL);
        let short_first = Bytes::new()
            .put(option::DST_PORT, &[0])
            .u16(option::DST_PORT, 1);
        assert_eq!(refused(s.new_port(&with("t0", kind, &short_first))), EINVAL);
        let mut cut = Bytes(vec![40, 0, 9, 0]);
        cut.0.extend(dst(1).0);
        assert_eq!(
            refused(s.new_port(&with("t0", kind, &cut))),
            EINVAL,
            "stops there"
        );
    }
    assert_eq!(s.state(), before);
    assert_eq!(s.net.device_names(), ["br0"]);
}

#[test]
fn w21_what_extensions_may_have() {
    let mut s = Switch::new();
    let before = s.state();
    let new = |s: &mut Switch, b: &Bytes| s.new_port(&with("t0", VXLAN, b));
    let raw = |n: usize| dst(4789).put(option::EXTENSION, &vec![0; n]);
    for n in 0..4 {
        assert_eq!(refused(new(&mut s, &raw(n))), EINVAL, "{n} bytes");
    }
    let payload = |n: usize| Bytes::new().put(GROUP_POLICY, &vec![0; n]);
    for n in [1, 4] {
        assert_eq!(
            refused(new(&mut s, &extension(payload(n)))),
            ERANGE,
            "a flag of {n} bytes"
        );
    }
    let second = extension(Bytes::new().flag(GROUP_POLICY).u8(GROUP_POLICY, 1));
    assert_eq!(refused(new(&mut s, &second)), ERANGE, "each is looked at");
    let empty_first = raw(0).nest(option::EXTENSION, Bytes::new().flag(GROUP_POLICY));
    assert_eq!(
        refused(new(&mut s, &empty_first)),
        EINVAL,
        "the first counts"
    );
    assert_eq!(s.state(), before);

    for (b, gbp) in [
        (dst(4789), false),
        (raw(4), false),
        (extension(Bytes::new().u32(2, 1).flag(0)), false),
        (extension(Bytes::new().flag(GROUP_POLICY)), true),
        (
            extension(Bytes::new().flag(9).flag(GROUP_POLICY).flag(GROUP_POLICY)),
            true,
        ),
    ] {
        let m = new(&mut s, &b).unwrap();
        assert_eq!(told(&m), Some((4789, gbp)));
        s.vport(cmd::DEL, &by_name("t0")).unwrap();
    }
}

#[test]
fn w21_refusals_in_order() {
    let mut s = Switch::new();
    let bad_pids = |kind: u32, options: &Bytes| {
        Bytes::new()
            .name(vport_attr::NAME, "t0")
            .u32(vport_attr::TYPE, kind)
            .put(vport_attr::UPCALL_PID, &[0; 3])
            .put(vport_attr::OPTIONS, &options.0)
    };
    let bad_flag = extension(Bytes::new().u8(GROUP_POLICY, 1));
    let e = s.new_port(&bad_pids(VXLAN, &Bytes::new())).unwrap_err();
    assert!(format!("{:?}", e.msg).contains("DST_PORT"), "{:?}", e.msg);
    assert_eq!(
        refused(s.new_port(&bad_pids(VXLAN, &bad_flag))),
        EINVAL,
        "before extensions"
    );
    assert_eq!(refused(s.new_port(&bad_pids(GRE, &bad_flag))), EINVAL);
    let mut new = |dp: i32, b: &Bytes| refused(s.client.call(Group::Vport, cmd::NEW, dp, b));
    assert_eq!(new(4711, &port("t0", VXLAN)), ENODEV);
    let dp = s.dp;
    assert_eq!(
        new(dp, &port("t0", GRE).u32(vport_attr::IFINDEX, 5)),
        EOPNOTSUPP
    );
    FakeEnv::set_tunnel_drivers(false);
    for kind in [GRE, VXLAN, GENEVE] {
        assert_eq!(new(dp, &bad_pids(kind, &bad_flag)), EAFNOSUPPORT, "W22");
        assert_eq!(new(4711, &port("t0", kind)), ENODEV);
    }
    FakeEnv::set_tunnel_drivers(true);
    assert_eq!(s.net.device_names(), ["br0"]);
}

#[test]
fn w21_messages() {
    let mut s = Switch::new();
    s.net.take_multicasts();
    let vxlan = with(
        "vxlan_sys_4789",
        VXLAN,
        &extension(Bytes::new().flag(GROUP_POLICY)),
    );
    let reply = s.new_port(&vxlan).unwrap();
    assert_eq!(
        reply.types()[5..],
        [
            vport_attr::UPCALL_STATS,
            vport_attr::UPCALL_PID,
            vport_attr::OPTIONS
        ],
        "V9"
    );
    assert_eq!(s.net.take_multicasts(), [(Group::Vport, reply.0.clone())]);
    let ask = |s: &mut Switch, name: &str| s.vport(cmd::GET, &by_name(name)).unwrap();
    assert_eq!(told(&ask(&mut s, "vxlan_sys_4789")), Some((4789, true)));
    assert_eq!(
        ask(&mut s, "vxlan_sys_4789").u32(vport_attr::TYPE),
        Some(VXLAN)
    );

    s.new_port(&with("vxlan0", VXLAN, &dst(0))).unwrap();
    assert_eq!(
        told(&ask(&mut s, "vxlan0")),
        Some((8472, false)),
        "the driver's own"
    );
    s.new_port(&with("geneve0", GENEVE, &extension(Bytes::new())))
        .unwrap();
    assert_eq!(
        told(&ask(&mut s, "geneve0")),
        Some((4789, false)),
        "no extensions"
    );
    s.new_port(&with("geneve1", GENEVE, &dst(0))).unwrap();
    assert_eq!(told(&ask(&mut s, "geneve1")), Some((0, false)));
    s.new_port(&port("gre0", GRE).put(vport_attr::OPTIONS, &[0; 8]))
        .unwrap();
    assert_eq!(told(&ask(&mut s, "gre0")), None);

    for options in [&[][..], &dst(4789).0] {
        let b = by_name("vxlan0").put(vport_attr::OPTIONS, options);
        assert_eq!(refused(s.vport(cmd::SET, &b)), EOPNOTSUPP, "V6");
    }
    let b = by_name("vxlan0").u32(vport_attr::TYPE, NETDEV);
    assert_eq!(refused(s.vport(cmd::SET, &b)), EINVAL);
}

#[test]
fn w21_one_device_of_each() {
    let mut s = Switch::new();
    s.new_port(&port("gre_sys", GRE)).unwrap();
    s.new_port(&with("vxlan_sys", VXLAN, &dst(4789))).unwrap();
    s.net.add("eth0");
    let before = (s.state(), s.net.device_names());
    assert_eq!(refused(s.new_port(&port("gre1", GRE))), EEXIST);
    let gbp = extension(Bytes::new().flag(GROUP_POLICY));
    assert_eq!(refused(s.new_port(&with("vxlan1", VXLAN, &gbp))), EEXIST);
    assert_eq!(refused(s.new_port(&with("eth0", GENEVE, &dst(1)))), EEXIST);
    assert_eq!(refused(s.new_port(&with("a/b", GENEVE, &dst(1)))), EINVAL);
    assert_eq!(
        refused(s.new_port(&with("g%d", GENEVE, &dst(1)))),
        ENODEV,
        "C leaves the device"
    );
    assert_eq!(
        refused(s.new_port(&port("gre_sys", NETDEV))),
        EEXIST,
        "a port already"
    );
    s.net.refuse_registration(EADDRINUSE);
    assert_eq!(
        refused(s.new_port(&with("geneve0", GENEVE, &dst(1)))),
        EADDRINUSE
    );
    assert_eq!((s.state(), s.net.device_names()), before);
}

#[test]
fn w21_a_device_that_cannot_be_a_port_is_deleted_again() {
    let mut s = Switch::new();
    let before = s.state();
    s.net.refuse_tunnel_link(EBUSY);
    assert_eq!(refused(s.new_port(&port("gre_sys", GRE))), EBUSY);
    assert_eq!(s.state(), before);
    assert_eq!(s.net.device_names(), ["br0"]);
}

#[test]
fn w21_the_device_goes_with_the_port() {
    let mut s = Switch::new();
    s.new_port(&port("gre_sys", GRE)).unwrap();
    let dev = s.net.device("gre_sys").unwrap();
    assert!(dev.is_attached());
    assert_eq!(
        (dev.promiscuity(), dev.master().unwrap().name_string()),
        (1, "br0".into())
    );
    s.vport(cmd::DEL, &by_name("gre_sys")).unwrap();
    assert!(!dev.is_registered());
    assert_eq!(
        (dev.promiscuity(), s.net.device_names()),
        (0, vec!["br0".into()])
    );
    kernel::testing::rcu::barrier();
    assert_eq!(dev.holders(), 0, "W8");

    s.new_port(&port("gre_sys", GRE)).unwrap();
    let renamed = s.net.device("gre_sys").unwrap();
    renamed.rename("other");
    s.datapath(cmd::DEL, &Bytes::new()).unwrap();
    assert!(!renamed.is_registered());
    assert!(s.net.device_names().is_empty());
}

#[test]
fn w21_with_the_namespace() {
    let mut s = Switch::new();
    s.new_port(&port("gre_sys", GRE)).unwrap();
    s.new_port(&with("geneve0", GENEVE, &dst(1))).unwrap();
    let devs = ["gre_sys", "geneve0"].map(|name| s.net.device(name).unwrap());
    devs[1].unregister_without_work();
    drop(s);
    for dev in devs {
        assert!(!dev.is_registered());
        kernel::testing::rcu::barrier();
        assert_eq!(dev.holders(), 0);
    }
}

#[test]
fn v12_somebody_else_deletes_the_device() {
    let mut s = Switch::new();
    s.new_port(&with("geneve0", GENEVE, &dst(6081))).unwrap();
    let dev = s.net.device("geneve0").unwrap();
    s.net.take_multicasts();
    dev.unregister();
    let events = s.net.take_multicasts();
    let [(Group::Vport, event)] = &events[..] else {
        panic!("{events:?}")
    };
    let event = Message(event.clone());
    assert_eq!((event.cmd(), told(&event)), (cmd::DEL, Some((6081, false))));
    assert_eq!(refused(s.vport(cmd::GET, &by_name("geneve0"))), ENODEV);
    kernel::testing::rcu::barrier();
    assert_eq!((dev.holders(), dev.promiscuity()), (0, 0));
}

#[test]
fn w7_a_device_that_moved_is_deleted_where_it_is() {
    let mut s = Switch::new();
    s.new_port(&port("gre_sys", GRE)).unwrap();
    let dev = s.net.device("gre_sys").unwrap();
    let away = FakeNet::new();
    dev.move_without_work(&away);
    assert_eq!(away.device_names(), ["gre_sys"]);
    detach_unregistered(&process_context(), &s.net);
    assert_eq!(refused(s.vport(cmd::GET, &by_number(1))), ENODEV);
    assert!(away.device_names().is_empty());
}

/// The work that deletes it waits for the ports on it as well, and nobody but this work lets go of them.
#[test]
fn w7_ports_on_a_device_that_moved_go_before_it_is_waited_for() {
    for above_is_older in [true, false] {
        let mut s = Switch::new();
        let newer = new_dp(&mut s.client, "br9").unwrap().dp_ifindex();
        let older = s.dp;
        let (below, above) = match above_is_older {
            true => (newer, older),
            false => (older, newer),
        };
        s.dp = below;
        s.new_port(&port("gre_sys", GRE)).unwrap();
        let dev = s.net.device("gre_sys").unwrap();
        let vlan = s.net.add("gre_sys.10");
        vlan.stack_on(&dev);
        s.dp = above;
        s.add_port("gre_sys.10");
        let away = FakeNet::new();
        dev.move_without_work(&away);
        s.net.run_work();
        assert_eq!(s.net.device_names(), ["br0", "br9"]);
        assert!(away.device_names().is_empty());
        kernel::testing::rcu::barrier();
        assert_eq!((dev.holders(), vlan.holders()), (0, 0));
    }
}
