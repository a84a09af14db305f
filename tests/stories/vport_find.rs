// SPDX-License-Identifier: GPL-2.0
//! How GET, SET and DEL find their port (V4, V5, N7, Q12).

use crate::kit::*;

/// The number of the port found.
fn get(s: &mut Switch, dp: i32, attrs: &Bytes) -> Result<u32, Refused> {
    s.client
        .call(Group::Vport, cmd::GET, dp, attrs)
        .map(|m| m.u32(vport_attr::PORT_NO).unwrap())
}

#[test]
fn v4_by_name() {
    let mut s = Switch::new();
    let (_, no) = s.add_port("eth0");
    s.net.add("eth1");
    let dp = s.dp;
    let other = new_dp(&mut s.client, "br1").unwrap().dp_ifindex();
    assert_eq!(get(&mut s, dp, &by_name("eth0")).unwrap(), no.into());
    assert_eq!(
        get(&mut s, 0, &by_name("eth0")).unwrap(),
        no.into(),
        "0 is any datapath"
    );
    assert_eq!(refused(get(&mut s, other, &by_name("eth0"))), ENODEV);
    assert_eq!(refused(get(&mut s, 4711, &by_name("eth0"))), ENODEV);
    assert_eq!(refused(get(&mut s, dp, &by_name("nope"))), ENODEV);
    assert_eq!(
        refused(get(&mut s, dp, &by_name("eth1"))),
        ENODEV,
        "a device but no port"
    );
    assert_eq!(
        get(&mut s, dp, &by_name("eth0").u32(vport_attr::PORT_NO, 99)).unwrap(),
        1,
        "name first"
    );
}

#[test]
fn v4_by_number() {
    let mut s = Switch::new();
    let (_, no) = s.add_port("eth0");
    let dp = s.dp;
    assert_eq!(get(&mut s, dp, &by_number(no.into())).unwrap(), no.into());
    assert_eq!(get(&mut s, dp, &by_number(0)).unwrap(), 0);
    assert_eq!(refused(get(&mut s, dp, &by_number(99))), ENODEV);
    assert_eq!(refused(get(&mut s, 0, &by_number(1))), ENODEV);
    assert_eq!(
        refused(get(&mut s, 4711, &by_number(65535))),
        EFBIG,
        "told before the datapath"
    );
    assert_eq!(refused(get(&mut s, dp, &by_number(u32::MAX))), EFBIG);
}

#[test]
fn v4_by_neither_or_ifindex() {
    let mut s = Switch::new();
    let (dev, _) = s.add_port("eth0");
    let dp = s.dp;
    assert_eq!(refused(get(&mut s, dp, &Bytes::new())), EINVAL);
    assert_eq!(refused(get(&mut s, 4711, &Bytes::new())), EINVAL);
    let ifindex = |b: Bytes| b.u32(vport_attr::IFINDEX, dev.ifindex() as u32);
    for with in [
        ifindex(Bytes::new()),
        ifindex(by_name("eth0")),
        ifindex(by_number(65535)),
    ] {
        for cmd in [cmd::GET, cmd::SET, cmd::DEL] {
            assert_eq!(refused(s.vport(cmd, &with)), EOPNOTSUPP);
        }
    }
}

#[test]
fn n7_through_the_ifindex_of_another_internal_port() {
    let mut s = Switch::new();
    let (_, no) = s.add_port("eth0");
    let int0 = s
        .new_port(&port("int0", INTERNAL))
        .unwrap()
        .u32(vport_attr::IFINDEX)
        .unwrap() as i32;
    assert_eq!(get(&mut s, int0, &by_number(no.into())).unwrap(), no.into());
    assert_eq!(
        refused(get(&mut s, int0, &by_name("eth0"))),
        ENODEV,
        "names want the local port's ifindex"
    );
}

#[test]
fn v5_a_renamed_device_is_found_by_number_only() {
    let mut s = Switch::new();
    let (dev, no) = s.add_port("eth0");
    dev.rename("wan");
    let dp = s.dp;
    assert_eq!(refused(get(&mut s, dp, &by_name("wan"))), ENODEV);
    assert_eq!(refused(get(&mut s, dp, &by_name("eth0"))), ENODEV);
    let reply = s.vport(cmd::GET, &by_number(no.into())).unwrap();
    assert_eq!(
        reply.name(vport_attr::NAME).as_deref(),
        Some("wan"),
        "messages show the present name"
    );
    let (_, second) = s.add_port("eth0");
    assert_eq!(
        get(&mut s, dp, &by_name("eth0")).unwrap(),
        second.into(),
        "the name is free for another"
    );
    s.vport(cmd::DEL, &by_number(second.into())).unwrap();
    dev.rename("eth0");
    assert_eq!(get(&mut s, dp, &by_name("eth0")).unwrap(), no.into());
}

#[test]
fn v5_a_template_is_found_by_the_name_it_became() {
    let mut s = Switch::new();
    let made = s.new_port(&port("in%d", INTERNAL)).unwrap();
    assert_eq!(made.name(vport_attr::NAME).as_deref(), Some("in0"));
    let dp = s.dp;
    assert!(get(&mut s, dp, &by_name("in0")).is_ok());
    assert_eq!(refused(get(&mut s, dp, &by_name("in%d"))), ENODEV);
    s.vport(cmd::DEL, &by_name("in0")).unwrap();
    let dp = new_dp(&mut s.client, "br%d").unwrap();
    assert_eq!(dp.name(dp_attr::NAME).as_deref(), Some("br1"));
    let name = Bytes::new().name(dp_attr::NAME, "br1");
    s.client.call(Group::Datapath, cmd::DEL, 0, &name).unwrap();
    assert_eq!(s.net.device_names(), ["br0"]);
}

/// The device of a port has moved to another namespace, and its name was taken again: the newest port has it, whichever
/// datapath is older.
#[test]
fn v5_of_one_name_the_newest_is_found() {
    let mut s = Switch::new();
    let dp = s.dp;
    s.new_port(&port("x", INTERNAL)).unwrap();
    assert!(s.net.device("x").unwrap().move_to(&FakeNet::new()));
    let x = new_dp(&mut s.client, "x").unwrap().dp_ifindex();
    let name = Bytes::new().name(dp_attr::NAME, "x");
    let found = s.client.call(Group::Datapath, cmd::GET, 0, &name).unwrap();
    assert_eq!(found.dp_ifindex(), x);
    assert_eq!(get(&mut s, 0, &by_name("x")).unwrap(), 0);
    assert_eq!(get(&mut s, x, &by_name("x")).unwrap(), 0);
    assert_eq!(refused(get(&mut s, dp, &by_name("x"))), ENODEV);
    s.client.call(Group::Datapath, cmd::DEL, 0, &name).unwrap();
    assert_eq!(get(&mut s, dp, &by_name("x")).unwrap(), 1, "the older one");
}
