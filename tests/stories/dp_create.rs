// SPDX-License-Identifier: GPL-2.0
//! DP_NEW: what it needs, what it makes, how names collide (D1 to D4, D13).

use crate::kit::*;

fn attrs(name: &str) -> Bytes {
    Bytes::new()
        .name(dp_attr::NAME, name)
        .u32(dp_attr::UPCALL_PID, 0)
}

fn new(client: &mut Client, attrs: &Bytes) -> Result<Message, Refused> {
    client.call(Group::Datapath, cmd::NEW, 0, attrs)
}

#[test]
fn d1_needs_name_and_upcall_pid() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    assert_eq!(
        refused(new(&mut client, &Bytes::new().u32(dp_attr::UPCALL_PID, 0))),
        EINVAL
    );
    assert_eq!(
        refused(new(&mut client, &Bytes::new().name(dp_attr::NAME, "br0"))),
        EINVAL
    );
    assert!(net.device_names().is_empty());
}

#[test]
fn d2_makes_a_local_port_and_tells_the_group() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let reply = new(&mut client, &attrs("br0")).unwrap();
    let local = net.device("br0").unwrap();
    assert!(local.is_internal());
    assert_eq!(local.promiscuity(), 1);
    assert_eq!(reply.dp_ifindex(), local.ifindex());
    assert_eq!(reply.name(dp_attr::NAME).as_deref(), Some("br0"));
    assert_eq!(
        (reply.cmd(), reply.version(), reply.flags()),
        (cmd::NEW, 2, 0)
    );
    assert_eq!((reply.portid(), reply.seq()), (4242, 1));
    assert_eq!(net.take_multicasts(), [(Group::Datapath, reply.0.clone())]);
    let port = client
        .call(Group::Vport, cmd::GET, reply.dp_ifindex(), &by_number(0))
        .unwrap();
    assert_eq!(port.u32(vport_attr::TYPE), Some(INTERNAL));
    assert_eq!(port.u32s(vport_attr::UPCALL_PID), Some(vec![0]));
    assert!(
        !local.move_to(&FakeNet::new()),
        "W12: the local port stays in its namespace"
    );
    net.exit();
    assert!(!local.is_registered());
    assert_eq!(local.promiscuity(), 0);
}

#[test]
fn d3_names_in_use() {
    let mut s = Switch::new();
    s.net.add("eth0");
    let before = s.state();
    assert_eq!(refused(new(&mut s.client, &attrs("br0"))), EEXIST);
    assert_eq!(refused(new(&mut s.client, &attrs("eth0"))), EEXIST);
    let taken = Bytes(attrs("br1").0).u32(dp_attr::IFINDEX, s.dp as u32);
    assert_eq!(
        refused(new(&mut s.client, &taken)),
        EEXIST,
        "ifindex in use"
    );
    assert_eq!(s.state(), before);
}

#[test]
fn d3_old_userspace_resets_features() {
    let mut s = Switch::new();
    s.datapath(
        cmd::SET,
        &Bytes::new().u32(dp_attr::USER_FEATURES, dp_feature::UNALIGNED),
    )
    .unwrap();
    assert_eq!(refused(new(&mut s.client, &attrs("br0"))), EEXIST);
    let features = |s: &mut Switch| {
        s.datapath(cmd::GET, &Bytes::new())
            .unwrap()
            .u32(dp_attr::USER_FEATURES)
    };
    assert_eq!(
        features(&mut s),
        Some(dp_feature::UNALIGNED),
        "version 2 knows features"
    );
    take_log();
    s.client.version = 1;
    assert_eq!(refused(new(&mut s.client, &attrs("br0"))), EEXIST);
    assert_eq!(features(&mut s), Some(0));
    let log = take_log();
    assert!(
        log.iter()
            .any(|(_, l)| l.contains("br0: Dropping previously announced user features")),
        "{log:?}"
    );
}

#[test]
fn d4_invalid_names() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    for name in ["", ".", "..", "a/b", "a b", "a:b"] {
        assert_eq!(refused(new(&mut client, &attrs(name))), EINVAL, "{name:?}");
    }
    assert!(net.device_names().is_empty());
}

#[test]
fn d8_bad_features_fail_creation_before_the_name() {
    let mut s = Switch::new();
    let bad = attrs("br0").u32(dp_attr::USER_FEATURES, 1 << 31);
    assert_eq!(refused(new(&mut s.client, &bad)), EOPNOTSUPP);
    let bad = attrs("br1").u32(dp_attr::MASKS_CACHE_SIZE, 3);
    assert_eq!(refused(new(&mut s.client, &bad)), EINVAL);
    assert_eq!(s.net.device_names(), ["br0"]);
}

#[test]
fn upcall_pid_may_be_an_array_of_up_to_nr_cpus() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let with = |pids: &[u32]| {
        Bytes::new()
            .name(dp_attr::NAME, "br0")
            .u32s(dp_attr::UPCALL_PID, pids)
    };
    let many = vec![1; cpus() as usize + 1];
    assert_eq!(refused(new(&mut client, &with(&many))), EINVAL);
    let odd = Bytes::new()
        .name(dp_attr::NAME, "br0")
        .put(dp_attr::UPCALL_PID, &[0; 6]);
    assert_eq!(refused(new(&mut client, &odd)), EINVAL);
    new(&mut client, &with(&many[1..])).unwrap();
    net.exit();
}

#[test]
fn d13_ifindex_of_choice() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let reply = new(&mut client, &attrs("br0").u32(dp_attr::IFINDEX, 70_000)).unwrap();
    assert_eq!(reply.dp_ifindex(), 70_000);
    let set = Bytes::new().u32(dp_attr::IFINDEX, 70_001);
    let reply = client
        .call(Group::Datapath, cmd::SET, 70_000, &set)
        .unwrap();
    assert_eq!(reply.dp_ifindex(), 70_000, "SET ignores it");
    net.exit();
}
