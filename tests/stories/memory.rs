// SPDX-License-Identifier: GPL-2.0
//! Memory runs out at every place it can, and nothing has happened; nothing leaks (B23 to B25, B35).

use crate::kit::*;

/// Runs `request` with each of its allocations failing in turn; expects ENOMEM and the state as before, then success,
/// after which `undo` restores the state.
fn every_failure(
    s: &mut Switch,
    request: impl Fn(&mut Switch) -> Result<Message, Refused>,
    undo: impl Fn(&mut Switch),
) {
    let before = s.state();
    let devices = s.net.device_names();
    s.net.take_multicasts();
    let mut struck = 0;
    for n in 1.. {
        kernel::testing::rcu::barrier();
        let used = live();
        fail_nth(n);
        let result = request(s);
        let done = openvswitch::sys::testing::fail_pending();
        fail_nth(0);
        if done {
            result.expect("success with enough memory");
            break;
        }
        struck += 1;
        assert_eq!(
            result.expect_err("no memory").errno,
            ENOMEM,
            "allocation {n}"
        );
        assert_eq!(s.state(), before, "allocation {n}");
        assert_eq!(s.net.device_names(), devices);
        assert!(s.net.take_multicasts().is_empty());
        kernel::testing::rcu::barrier();
        assert_eq!(live(), used, "leak when allocation {n} fails");
    }
    assert!(struck > 0);
    undo(s);
    assert_eq!(s.state(), before);
}

#[test]
fn vport_new_tunnel() {
    use openvswitch::datapath::abi::{vport_tunnel_attr as option, vxlan_ext};
    let mut s = Switch::new();
    let extension = Bytes::new().flag(vxlan_ext::GBP);
    let options = Bytes::new()
        .u16(option::DST_PORT, 4789)
        .nest(option::EXTENSION, extension);
    let attrs = port("vxlan0", 4).nest(vport_attr::OPTIONS, options);
    every_failure(
        &mut s,
        |s| s.new_port(&attrs),
        |s| drop(s.vport(cmd::DEL, &by_name("vxlan0")).unwrap()),
    );
}

#[test]
fn dp_new() {
    let mut s = Switch::new();
    let attrs = Bytes::new()
        .name(dp_attr::NAME, "br1")
        .u32(dp_attr::UPCALL_PID, 0)
        .u32(dp_attr::MASKS_CACHE_SIZE, 512)
        .u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU)
        .u32s(dp_attr::PER_CPU_PIDS, &[1, 2]);
    let br1 = Bytes::new().name(dp_attr::NAME, "br1");
    every_failure(
        &mut s,
        |s| s.datapath(cmd::NEW, &attrs),
        |s| drop(s.datapath(cmd::DEL, &br1).unwrap()),
    );
}

#[test]
fn dp_set() {
    let mut s = Switch::new();
    let change = |size: u32, pids: &[u32]| {
        Bytes::new()
            .u32(dp_attr::MASKS_CACHE_SIZE, size)
            .u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU)
            .u32s(dp_attr::PER_CPU_PIDS, pids)
    };
    let (first, second) = (change(128, &[1]), change(512, &[1, 2]));
    s.datapath(cmd::SET, &first).unwrap();
    every_failure(
        &mut s,
        |s| s.datapath(cmd::SET, &second),
        |s| drop(s.datapath(cmd::SET, &first).unwrap()),
    );
}

#[test]
fn dp_del() {
    let mut s = Switch::new();
    s.add_port("eth0");
    let deleted = |s: &mut Switch| s.datapath(cmd::DEL, &Bytes::new());
    fail_nth(1);
    assert_eq!(deleted(&mut s).unwrap_err().errno, ENOMEM);
    fail_nth(0);
    assert!(s.vport(cmd::GET, &by_name("eth0")).is_ok());
    // Nothing else it needs may fail.
    fail_nth(2);
    deleted(&mut s).unwrap();
    fail_nth(0);
}

#[test]
fn vport_new() {
    let mut s = Switch::new();
    s.net.add("eth0");
    for (name, kind) in [("eth0", NETDEV), ("int0", INTERNAL)] {
        let del = |s: &mut Switch| drop(s.vport(cmd::DEL, &by_name(name)).unwrap());
        every_failure(&mut s, |s| s.new_port(&port(name, kind)), del);
    }
}

#[test]
fn vport_set_get_del() {
    let mut s = Switch::new();
    s.add_port("eth0");
    let set = |s: &mut Switch, pid: u32| {
        s.vport(cmd::SET, &by_name("eth0").u32(vport_attr::UPCALL_PID, pid))
    };
    every_failure(&mut s, |s| set(s, 8), |s| drop(set(s, 7).unwrap()));
    every_failure(&mut s, |s| s.vport(cmd::GET, &by_name("eth0")), |_| ());
    every_failure(&mut s, |s| s.vport(cmd::GET, &by_number(1)), |_| ());
    every_failure(
        &mut s,
        |s| s.vport(cmd::DEL, &by_name("eth0")),
        |s| drop(s.add_port("eth0")),
    );
}

#[test]
fn thousands_of_times_leaves_nothing() {
    let net = FakeNet::new();
    net.add("eth0");
    kernel::testing::rcu::barrier();
    let before = live();
    let mut client = Client::new(&net);
    for i in 0..2000 {
        let dp = new_dp(&mut client, "br0").unwrap().dp_ifindex();
        client
            .call(Group::Vport, cmd::NEW, dp, &port("eth0", NETDEV))
            .unwrap();
        client
            .call(Group::Vport, cmd::NEW, dp, &port("int0", INTERNAL))
            .unwrap();
        let set = Bytes::new().u32(dp_attr::MASKS_CACHE_SIZE, [0, 256, 4][i % 3]);
        client.call(Group::Datapath, cmd::SET, dp, &set).unwrap();
        if i % 2 == 0 {
            client
                .call(Group::Vport, cmd::DEL, dp, &by_name("eth0"))
                .unwrap();
        }
        client
            .call(Group::Datapath, cmd::DEL, dp, &Bytes::new())
            .unwrap();
        if i % 100 == 0 {
            openvswitch::sys::testing::run_rcu();
        }
        net.take_multicasts();
    }
    net.exit();
    kernel::testing::rcu::barrier();
    // The namespace's device has gone with it.
    assert_eq!(live(), before - 1 + COUNTS);
}

#[test]
fn many_ports_come_and_go() {
    let mut s = Switch::new();
    kernel::testing::rcu::barrier();
    let before = live();
    for _ in 0..2 {
        for i in 0..2000 {
            s.new_port(&port(&format!("int{i}"), INTERNAL)).unwrap();
        }
        for i in 0..2000 {
            s.vport(cmd::DEL, &by_name(&format!("int{i}"))).unwrap();
        }
        kernel::testing::rcu::barrier();
        assert_eq!(live(), before);
    }
}
