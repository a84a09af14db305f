// SPDX-License-Identifier: GPL-2.0
//! Devices on internal ports that are ports themselves go with the device below, and whoever deletes that waits until
//! the switch has let go of them: never under the mutex, which letting go may need (W6, W16, W17). The pretended RTNL
//! fails a test that does.

use crate::kit::*;
use openvswitch::datapath::control::detach_unregistered;
use openvswitch::rust::sync::OvsGuard;
use openvswitch::sys::testing::process_context;

/// `upper` on the device `lower`, as a port.
fn stacked(s: &mut Switch, upper: &str, lower: &FakeDevice) -> FakeDevice {
    let dev = s.net.add(upper);
    dev.stack_on(lower);
    s.add_port(upper);
    dev
}

fn internal(s: &mut Switch, name: &str) -> FakeDevice {
    s.new_port(&port(name, INTERNAL)).unwrap();
    s.net.device(name).expect("registered")
}

#[test]
fn datapath_deleted() {
    let mut s = Switch::new();
    let br1 = internal(&mut s, "br1");
    let vlan = stacked(&mut s, "br1.10", &br1);
    let on_vlan = stacked(&mut s, "br1.10.20", &vlan);
    s.datapath(cmd::DEL, &Bytes::new()).unwrap();
    assert!(s.net.device_names().is_empty());
    assert!(!vlan.is_attached() && !on_vlan.is_attached());
    kernel::testing::rcu::barrier();
    assert_eq!((vlan.holders(), on_vlan.holders()), (0, 0));
}

#[test]
fn port_below_deleted() {
    let mut s = Switch::new();
    let br1 = internal(&mut s, "br1");
    stacked(&mut s, "br1.10", &br1);
    s.vport(cmd::DEL, &by_name("br1")).unwrap();
    assert_eq!(s.net.device_names(), ["br0"]);
    assert_eq!(refused(s.vport(cmd::GET, &by_name("br1.10"))), ENODEV);
    let told: Vec<_> = s.net.take_multicasts();
    assert!(told.iter().any(|(_, m)| {
        let m = Message(m.clone());
        (m.cmd(), m.name(vport_attr::NAME).as_deref()) == (cmd::DEL, Some("br1.10"))
    }));
}

#[test]
fn port_of_another_datapath_and_namespace() {
    let mut s = Switch::new();
    let br1 = internal(&mut s, "br1");
    let elsewhere = FakeNet::new();
    let mut other = Switch::in_net(&elsewhere);
    let vlan = s.net.add("br1.10");
    vlan.stack_on(&br1);
    assert!(vlan.move_to(&elsewhere));
    other.new_port(&port("br1.10", NETDEV)).unwrap();
    s.datapath(cmd::DEL, &Bytes::new()).unwrap();
    assert_eq!(refused(other.vport(cmd::GET, &by_name("br1.10"))), ENODEV);
    assert_eq!(other.net.device_names(), ["br0"]);
}

#[test]
fn namespace_ends() {
    let mut host = Switch::new();
    let container = FakeNet::new();
    let br1 = internal(&mut host, "br1");
    assert!(br1.move_to(&container));
    let mut inside = Switch::in_net(&container);
    stacked(&mut inside, "br1.10", &br1);
    let in2 = internal(&mut inside, "in2");
    stacked(&mut inside, "in2.10", &in2);
    drop(inside);
    assert!(container.device_names().is_empty());
    assert_eq!(refused(host.vport(cmd::GET, &by_name("br1"))), ENODEV);
}

#[test]
fn device_refused_late() {
    for name in ["int0", "br1"] {
        let mut s = Switch::new();
        let before = s.state();
        kernel::testing::rcu::barrier();
        let used = live();
        s.net.refuse_registration(EPERM);
        let answer = if name == "int0" {
            s.new_port(&port(name, INTERNAL))
        } else {
            new_dp(&mut s.client, name)
        };
        assert_eq!(answer.expect_err("refused").errno, EPERM);
        assert_eq!(s.net.device_names(), ["br0"]);
        assert_eq!(s.state(), before);
        kernel::testing::rcu::barrier();
        assert_eq!(live(), used);
    }
}

#[test]
fn moved_away_and_into_another_switch_before_the_work() {
    let mut s = Switch::new();
    let (eth0, no) = s.add_port("eth0");
    let elsewhere = FakeNet::new();
    assert!(eth0.move_without_work(&elsewhere));
    let mut other = Switch::in_net(&elsewhere);
    other.new_port(&port("eth0", NETDEV)).unwrap();
    detach_unregistered(&process_context(), &s.net);
    assert_eq!(refused(s.vport(cmd::GET, &by_number(no.into()))), ENODEV);
    assert!(other.vport(cmd::GET, &by_name("eth0")).is_ok());
    assert!(eth0.is_attached(), "only the old port let go");
}

#[test]
fn v8_anybody_may_ask_while_the_switch_is_changed() {
    let mut s = Switch::new();
    let (_, no) = s.add_port("eth0");
    let busy = OvsGuard::lock(&process_context());
    let found = s.vport(cmd::GET, &by_name("eth0")).unwrap();
    assert_eq!(found.u32(vport_attr::PORT_NO), Some(no.into()));
    assert!(s.vport(cmd::GET, &by_number(no.into())).is_ok());
    let dp = s.dp;
    assert_eq!(
        s.client
            .dump(Group::Vport, dp, &Bytes::new())
            .unwrap()
            .len(),
        2
    );
    // Nor does the beginning of a namespace wait.
    FakeNet::new();
    drop(busy);
}
