// SPDX-License-Identifier: GPL-2.0
//! A port's device leaves: the port goes, and the group hears of it (V12, W6, W7).

use crate::kit::*;
use openvswitch::datapath::control::detach_unregistered;
use openvswitch::sys::testing::process_context;

#[test]
fn v12_unregistered() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    s.add_port("eth1");
    s.net.take_multicasts();
    dev.unregister_without_work();
    assert!(!dev.receive(&[0; 60]), "at once");
    assert_eq!(dev.promiscuity(), 0);
    detach_unregistered(&process_context(), &s.net);
    let events = s.net.take_multicasts();
    let [(Group::Vport, event)] = &events[..] else {
        panic!("{events:?}")
    };
    let event = Message(event.clone());
    assert_eq!(
        (event.cmd(), event.portid(), event.seq(), event.flags()),
        (cmd::DEL, 0, 0, 0)
    );
    assert_eq!(event.u32(vport_attr::PORT_NO), Some(no.into()));
    assert_eq!(event.dp_ifindex(), s.dp);
    assert_eq!(refused(s.vport(cmd::GET, &by_number(no.into()))), ENODEV);
    assert!(s.vport(cmd::GET, &by_name("eth1")).is_ok());
    detach_unregistered(&process_context(), &s.net);
    assert!(s.net.take_multicasts().is_empty(), "once");
    kernel::testing::rcu::barrier();
    assert_eq!(dev.holders(), 0, "W8");
}

#[test]
fn w6_deleted_between_the_notifier_and_its_work() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    dev.unregister_without_work();
    s.vport(cmd::DEL, &by_number(no.into())).unwrap();
    assert_eq!(dev.promiscuity(), 0, "detached once, not twice");
    s.net.take_multicasts();
    detach_unregistered(&process_context(), &s.net);
    assert!(s.net.take_multicasts().is_empty());
}

#[test]
fn w7_moved_to_another_namespace() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    dev.move_to(&FakeNet::new());
    assert_eq!(refused(s.vport(cmd::GET, &by_number(no.into()))), ENODEV);
}

#[test]
fn v12_without_memory_for_the_event_listeners_get_an_error() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    s.net.take_multicasts();
    dev.unregister_without_work();
    fail_nth(1);
    detach_unregistered(&process_context(), &s.net);
    fail_nth(0);
    assert!(s.net.take_multicasts().is_empty());
    assert_eq!(s.net.take_multicast_errors(), [(Group::Vport, ENOMEM)]);
    assert_eq!(
        refused(s.vport(cmd::GET, &by_number(no.into()))),
        ENODEV,
        "the port goes all the same"
    );
}

#[test]
fn internal_ports_stay() {
    let mut s = Switch::new();
    s.new_port(&port("int0", INTERNAL)).unwrap();
    detach_unregistered(&process_context(), &s.net);
    assert!(s.vport(cmd::GET, &by_name("int0")).is_ok());
}
