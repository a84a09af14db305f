// SPDX-License-Identifier: GPL-2.0
//! DP_DEL: everything goes, the last word is a full description (D6).

use crate::kit::*;

#[test]
fn d6_ports_and_devices_go() {
    let mut s = Switch::new();
    let (eth0, _) = s.add_port("eth0");
    s.new_port(&port("int0", INTERNAL)).unwrap();
    s.net.take_multicasts();
    let reply = s.datapath(cmd::DEL, &Bytes::new()).unwrap();
    assert_eq!(reply.cmd(), cmd::DEL);
    assert_eq!(reply.dp_ifindex(), s.dp);
    assert_eq!(reply.name(dp_attr::NAME).as_deref(), Some("br0"));
    assert!(reply.get(dp_attr::STATS).is_some());
    assert_eq!(
        s.net.take_multicasts(),
        [(Group::Datapath, reply.0)],
        "no event for each port"
    );
    assert_eq!(s.net.device_names(), ["eth0"]);
    assert!(!eth0.is_attached() && eth0.master().is_none());
    assert_eq!(eth0.promiscuity(), 0);
    assert_eq!(refused(s.datapath(cmd::GET, &Bytes::new())), ENODEV);
    assert!(s
        .client
        .dump(Group::Datapath, 0, &Bytes::new())
        .unwrap()
        .is_empty());
    kernel::testing::rcu::barrier();
    assert_eq!(eth0.holders(), 0, "W8: references are balanced");
}

#[test]
fn d6_by_name_and_again() {
    let mut s = Switch::new();
    let name = Bytes::new().name(dp_attr::NAME, "br0");
    s.client.call(Group::Datapath, cmd::DEL, 0, &name).unwrap();
    assert_eq!(
        refused(s.client.call(Group::Datapath, cmd::DEL, 0, &name)),
        ENODEV
    );
    new_dp(&mut s.client, "br0").unwrap();
}
