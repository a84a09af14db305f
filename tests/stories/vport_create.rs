// SPDX-License-Identifier: GPL-2.0
//! VPORT_NEW: what it needs, numbers, types, devices (V1 to V3, W1, W2, W10, W16, W20).

use crate::kit::*;
use openvswitch::env::DeviceKind;

fn no(m: Message) -> u32 {
    m.u32(vport_attr::PORT_NO).unwrap()
}

#[test]
fn v1_needs_name_type_and_upcall_pid() {
    let mut s = Switch::new();
    let before = s.state();
    for (name, kind, pid) in [
        (false, true, true),
        (true, false, true),
        (true, true, false),
    ] {
        let mut b = Bytes::new();
        if name {
            b = b.name(vport_attr::NAME, "int0");
        }
        if kind {
            b = b.u32(vport_attr::TYPE, INTERNAL);
        }
        if pid {
            b = b.u32(vport_attr::UPCALL_PID, 0);
        }
        assert_eq!(refused(s.new_port(&b)), EINVAL);
    }
    assert_eq!(s.state(), before);
}

#[test]
fn v1_numbers() {
    let mut s = Switch::new();
    let with = |name: &str, n: u32| port(name, INTERNAL).u32(vport_attr::PORT_NO, n);
    assert_eq!(
        no(s.new_port(&port("a", INTERNAL)).unwrap()),
        1,
        "the lowest free"
    );
    assert_eq!(no(s.new_port(&with("b", 3)).unwrap()), 3);
    assert_eq!(
        no(s.new_port(&with("c", 0)).unwrap()),
        2,
        "0 is as good as none"
    );
    assert_eq!(no(s.new_port(&port("d", INTERNAL)).unwrap()), 4);
    assert_eq!(no(s.new_port(&with("e", 65534)).unwrap()), 65534);
    assert_eq!(refused(s.new_port(&with("f", 65535))), EFBIG);
    assert_eq!(refused(s.new_port(&with("f", u32::MAX))), EFBIG);
    assert_eq!(refused(s.new_port(&with("f", 3))), EBUSY);
    s.vport(cmd::DEL, &by_number(2)).unwrap();
    assert_eq!(
        no(s.new_port(&port("g", INTERNAL)).unwrap()),
        2,
        "free again"
    );
}

#[test]
fn v1_refusals_in_order() {
    let mut s = Switch::new();
    let ifindex = |b: Bytes| b.u32(vport_attr::IFINDEX, 5);
    let too_large = |b: Bytes| b.u32(vport_attr::PORT_NO, 65535);
    let bad_pid = |kind: u32| {
        Bytes::new()
            .name(vport_attr::NAME, "nope")
            .u32(vport_attr::TYPE, kind)
            .put(vport_attr::UPCALL_PID, &[0; 3])
    };
    let mut new = |dp: i32, b: Bytes| refused(s.client.call(Group::Vport, cmd::NEW, dp, &b));
    let dp = s.dp;
    assert_eq!(
        new(4711, too_large(ifindex(port("nope", NETDEV)))),
        EOPNOTSUPP
    );
    assert_eq!(new(4711, too_large(bad_pid(99))), EFBIG);
    assert_eq!(new(4711, bad_pid(99)), ENODEV);
    assert_eq!(new(0, bad_pid(99)), ENODEV);
    assert_eq!(
        new(dp, bad_pid(99).u32(vport_attr::PORT_NO, 0)),
        EAFNOSUPPORT
    );
    assert_eq!(new(dp, bad_pid(NETDEV)), EINVAL);
    assert_eq!(new(dp, port("nope", NETDEV)), ENODEV);
}

#[test]
fn v1_busy_number_is_told_before_a_bad_type() {
    let mut s = Switch::new();
    s.new_port(&port("a", INTERNAL)).unwrap();
    assert_eq!(
        refused(s.new_port(&port("b", 99).u32(vport_attr::PORT_NO, 1))),
        EBUSY
    );
}

#[test]
fn v1_types() {
    let mut s = Switch::new();
    s.net.add("eth0");
    let before = s.state();
    for kind in [0, 6, 105, 106, u32::MAX] {
        assert_eq!(
            refused(s.new_port(&port("eth0", kind))),
            EAFNOSUPPORT,
            "type {kind}"
        );
    }
    assert_eq!(s.state(), before);
}

#[test]
fn v1_upcall_pids() {
    let mut s = Switch::new();
    let before = s.state();
    let with = |bytes: &[u8]| {
        Bytes::new()
            .name(vport_attr::NAME, "p")
            .u32(vport_attr::TYPE, INTERNAL)
            .put(vport_attr::UPCALL_PID, bytes)
    };
    let n = cpus() as usize;
    for len in [0, 1, 3, 5, 4 * n + 1, 4 * n + 4, 60_000] {
        assert_eq!(
            refused(s.new_port(&with(&vec![0; len]))),
            EINVAL,
            "{len} bytes"
        );
    }
    assert_eq!(s.state(), before);
    s.new_port(&with(&vec![0; 4 * n])).unwrap();
}

#[test]
fn v3_reply_and_notification() {
    let mut s = Switch::new();
    let dev = s.net.add("eth0");
    let reply = s.new_port(&port("eth0", NETDEV)).unwrap();
    let order = [
        vport_attr::PORT_NO,
        vport_attr::TYPE,
        vport_attr::NAME,
        vport_attr::IFINDEX,
        vport_attr::STATS,
        vport_attr::UPCALL_STATS,
        vport_attr::UPCALL_PID,
    ];
    assert_eq!(reply.types(), order, "V9");
    assert_eq!(
        (reply.cmd(), reply.version(), reply.flags()),
        (cmd::NEW, 1, 0)
    );
    assert_eq!(reply.dp_ifindex(), s.dp);
    assert_eq!(reply.u32(vport_attr::IFINDEX), Some(dev.ifindex() as u32));
    assert_eq!(s.net.take_multicasts(), [(Group::Vport, reply.0)]);
}

#[test]
fn w1_which_devices_can_be_ports() {
    let mut s = Switch::new();
    let dev = s.net.add("dev");
    for kind in [DeviceKind::Loopback, DeviceKind::Other] {
        dev.set_kind(kind);
        assert_eq!(refused(s.new_port(&port("dev", NETDEV))), EINVAL);
    }
    assert_eq!(
        refused(s.new_port(&port("br0", NETDEV))),
        EINVAL,
        "an internal device"
    );
    assert_eq!(refused(s.new_port(&port("nope", NETDEV))), ENODEV);
    let elsewhere = FakeNet::new();
    elsewhere.add("far");
    assert_eq!(refused(s.new_port(&port("far", NETDEV))), ENODEV);
    dev.set_kind(DeviceKind::L3);
    s.new_port(&port("dev", NETDEV)).unwrap();
}

#[test]
fn w2_link_and_its_failure() {
    let mut s = Switch::new();
    let dev = s.net.add("eth0");
    dev.set_busy(true);
    assert_eq!(refused(s.new_port(&port("eth0", NETDEV))), EBUSY);
    dev.set_busy(false);
    dev.fail_link(ENOMEM);
    assert_eq!(s.new_port(&port("eth0", NETDEV)).unwrap_err().errno, ENOMEM);
    assert!(!dev.is_attached());
    assert_eq!((dev.promiscuity(), dev.holders()), (0, 0));

    s.new_port(&port("eth0", NETDEV)).unwrap();
    assert!(dev.is_attached());
    assert_eq!(dev.promiscuity(), 1);
    assert_eq!(dev.master().unwrap().name_string(), "br0");

    assert_eq!(
        refused(s.new_port(&port("eth0", NETDEV))),
        EEXIST,
        "already ours"
    );
    let other = new_dp(&mut s.client, "br1").unwrap().dp_ifindex();
    let twice = s
        .client
        .call(Group::Vport, cmd::NEW, other, &port("eth0", NETDEV));
    assert_eq!(refused(twice), EBUSY, "another datapath's");
    assert_eq!(dev.promiscuity(), 1);
}

#[test]
fn w10_internal_ports() {
    let mut s = Switch::new();
    let reply = s
        .new_port(&port("int0", INTERNAL).u32(vport_attr::IFINDEX, 80_000))
        .unwrap();
    assert_eq!(reply.u32(vport_attr::IFINDEX), Some(80_000));
    let dev = s.net.device("int0").unwrap();
    assert!(dev.is_internal());
    assert_eq!(dev.promiscuity(), 1, "W13");
    assert_eq!(refused(s.new_port(&port("int0", INTERNAL))), EEXIST);
    assert_eq!(
        refused(s.new_port(&port("int1", INTERNAL).u32(vport_attr::IFINDEX, 80_000))),
        EBUSY
    );
    assert_eq!(refused(s.new_port(&port("a/b", INTERNAL))), EINVAL);
    assert_eq!(s.net.device_names(), ["br0", "int0"]);
}

#[test]
fn options_are_ignored_by_new() {
    let mut s = Switch::new();
    s.new_port(&port("int0", INTERNAL).put(vport_attr::OPTIONS, &[0; 8]))
        .unwrap();
}
