// SPDX-License-Identifier: GPL-2.0
//! How GET, SET and DEL find their datapath (D5, N7, W18).

use crate::kit::*;

fn get(client: &mut Client, dp: i32, attrs: &Bytes) -> Result<i32, Refused> {
    client
        .call(Group::Datapath, cmd::GET, dp, attrs)
        .map(|m| m.dp_ifindex())
}

fn name(name: &str) -> Bytes {
    Bytes::new().name(dp_attr::NAME, name)
}

#[test]
fn d5_by_name_before_ifindex() {
    let mut s = Switch::new();
    let other = new_dp(&mut s.client, "br1").unwrap().dp_ifindex();
    assert_eq!(get(&mut s.client, 0, &name("br0")).unwrap(), s.dp);
    assert_eq!(get(&mut s.client, s.dp, &name("br1")).unwrap(), other);
    assert_eq!(get(&mut s.client, other, &Bytes::new()).unwrap(), other);
}

#[test]
fn d5_only_local_ports_name_a_datapath() {
    let mut s = Switch::new();
    s.add_port("eth0");
    s.new_port(&port("int0", INTERNAL)).unwrap();
    for n in ["eth0", "int0", "nothing"] {
        assert_eq!(refused(get(&mut s.client, s.dp, &name(n))), ENODEV);
    }
}

#[test]
fn n7_any_internal_device_names_its_datapath_by_ifindex() {
    let mut s = Switch::new();
    let int0 = s
        .new_port(&port("int0", INTERNAL))
        .unwrap()
        .u32(vport_attr::IFINDEX)
        .unwrap();
    let (eth0, _) = s.add_port("eth0");
    assert_eq!(
        get(&mut s.client, int0 as i32, &Bytes::new()).unwrap(),
        s.dp
    );
    for ifindex in [eth0.ifindex(), 0, -1, i32::MAX, i32::MIN] {
        assert_eq!(refused(get(&mut s.client, ifindex, &Bytes::new())), ENODEV);
    }
}

#[test]
fn w18_a_container_with_an_internal_port_does_not_reach_the_host_s_datapath() {
    let mut s = Switch::new();
    let int0 = s
        .new_port(&port("int0", INTERNAL))
        .unwrap()
        .u32(vport_attr::IFINDEX)
        .unwrap() as i32;
    let container = FakeNet::new();
    assert!(s.net.device("int0").unwrap().move_to(&container));
    let mut inside = Client::new(&container);
    assert_eq!(refused(get(&mut inside, int0, &Bytes::new())), ENODEV);
    assert_eq!(refused(get(&mut inside, s.dp, &Bytes::new())), ENODEV);
    assert_eq!(refused(get(&mut inside, 0, &name("br0"))), ENODEV);
    assert_eq!(
        refused(inside.call(Group::Vport, cmd::GET, int0, &by_number(0))),
        ENODEV
    );
    assert_eq!(
        refused(inside.call(Group::Vport, cmd::NEW, int0, &port("x", INTERNAL))),
        ENODEV
    );
    assert_eq!(
        refused(inside.call(Group::Vport, cmd::GET, 0, &by_name("int0"))),
        ENODEV
    );
    assert_eq!(
        refused(inside.dump(Group::Vport, int0, &Bytes::new())),
        ENODEV
    );
    assert_eq!(
        refused(get(&mut s.client, int0, &Bytes::new())),
        ENODEV,
        "nor does the host through that port"
    );
    container.exit();
}
