// SPDX-License-Identifier: GPL-2.0
//! VPORT_SET and VPORT_DEL (V6, V7).

use crate::kit::*;

#[test]
fn v6_refusals_in_order() {
    let mut s = Switch::new();
    s.add_port("eth0");
    let before = s.state();
    let bad_pid = |b: Bytes| b.put(vport_attr::UPCALL_PID, &[0; 6]);
    let options = |b: Bytes| b.put(vport_attr::OPTIONS, &[]);
    let kind = |b: Bytes, k: u32| b.u32(vport_attr::TYPE, k);
    assert_eq!(
        refused(s.vport(cmd::SET, &bad_pid(options(kind(by_name("nope"), 9))))),
        ENODEV
    );
    let mut set = |b: Bytes| refused(s.vport(cmd::SET, &b));
    assert_eq!(
        set(bad_pid(options(kind(by_name("eth0"), INTERNAL)))),
        EINVAL
    );
    assert_eq!(
        set(bad_pid(options(kind(by_name("eth0"), NETDEV)))),
        EOPNOTSUPP
    );
    assert_eq!(set(bad_pid(kind(by_name("eth0"), NETDEV))), EINVAL);
    assert_eq!(
        set(by_name("eth0").put(vport_attr::UPCALL_PID, &[])),
        EINVAL
    );
    assert_eq!(s.state(), before);
}

#[test]
fn v6_replaces_the_upcall_pids() {
    let mut s = Switch::new();
    let (_, no) = s.add_port("eth0");
    s.net.take_multicasts();
    let reply = s
        .vport(cmd::SET, &by_name("eth0").u32(vport_attr::UPCALL_PID, 99))
        .unwrap();
    assert_eq!(reply.u32(vport_attr::UPCALL_PID), Some(99));
    assert_eq!(reply.cmd(), cmd::SET);
    assert_eq!(s.net.take_multicasts(), [(Group::Vport, reply.0)]);
    let reply = s.vport(cmd::SET, &by_number(no.into())).unwrap();
    assert_eq!(
        reply.u32(vport_attr::UPCALL_PID),
        Some(99),
        "nothing to change is fine"
    );
    s.vport(cmd::SET, &by_number(0).u32(vport_attr::UPCALL_PID, 1))
        .unwrap();
}

#[test]
fn v7_delete() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    s.new_port(&port("int0", INTERNAL)).unwrap();
    s.net.take_multicasts();
    assert_eq!(refused(s.vport(cmd::DEL, &by_number(0))), EINVAL);
    assert_eq!(refused(s.vport(cmd::DEL, &by_name("br0"))), EINVAL);
    assert_eq!(refused(s.vport(cmd::DEL, &by_number(99))), ENODEV);
    let reply = s.vport(cmd::DEL, &by_name("eth0")).unwrap();
    assert_eq!(reply.u32(vport_attr::PORT_NO), Some(no.into()));
    assert_eq!(reply.name(vport_attr::NAME).as_deref(), Some("eth0"));
    assert_eq!(s.net.take_multicasts(), [(Group::Vport, reply.0)]);
    assert!(!dev.is_attached());
    assert_eq!(dev.promiscuity(), 0);
    assert!(!dev.receive(&[0; 60]), "no packet enters any more");
    assert_eq!(refused(s.vport(cmd::DEL, &by_name("eth0"))), ENODEV);
    s.vport(cmd::DEL, &by_name("int0")).unwrap();
    assert_eq!(
        s.net.device_names(),
        ["br0", "eth0"],
        "an internal device goes with its port"
    );
    kernel::testing::rcu::barrier();
    assert_eq!(dev.holders(), 0);
}
