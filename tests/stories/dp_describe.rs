// SPDX-License-Identifier: GPL-2.0
//! DP_GET and its dump: attributes and order (D7, D10 to D12), notification rule (N9).

use crate::kit::*;
use openvswitch::datapath::netlink::nlm;

#[test]
fn attributes_in_order() {
    let mut s = Switch::new();
    let reply = s.datapath(cmd::GET, &Bytes::new()).unwrap();
    let order = [
        dp_attr::NAME,
        dp_attr::STATS,
        dp_attr::MEGAFLOW_STATS,
        dp_attr::USER_FEATURES,
        dp_attr::MASKS_CACHE_SIZE,
    ];
    assert_eq!(reply.types(), order);
    assert_eq!(reply.cmd(), cmd::GET);
    assert_eq!(reply.nlmsg_len(), reply.0.len());
    assert_eq!(reply.u64s(dp_attr::STATS), Some(vec![0; 4]));
    assert_eq!(reply.u64s(dp_attr::MEGAFLOW_STATS), Some(vec![0; 4]));
    assert_eq!(reply.u32(dp_attr::MASKS_CACHE_SIZE), Some(256));
    assert!(s.net.take_multicasts().is_empty(), "GET notifies nobody");
}

#[test]
fn d7_dump_in_creation_order_over_many_batches() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let names: Vec<_> = (0..20).map(|i| format!("br{}", (i * 7) % 20)).collect();
    for name in &names {
        new_dp(&mut client, name).unwrap();
    }
    for room in [300, 1000, 100_000] {
        client.dump_room = room;
        let dump = client.dump(Group::Datapath, 0, &Bytes::new()).unwrap();
        let got: Vec<_> = dump
            .iter()
            .map(|m| m.name(dp_attr::NAME).unwrap())
            .collect();
        assert_eq!(got, names);
        assert!(dump
            .iter()
            .all(|m| m.flags() == nlm::MULTI && m.cmd() == cmd::GET));
    }
    client.dump_room = 100;
    assert_eq!(
        refused(client.dump(Group::Datapath, 0, &Bytes::new())),
        EMSGSIZE,
        "rather than losing all"
    );
    net.exit();
}

#[test]
fn d11_per_cpu_pids_are_cut_to_the_number_of_cpus() {
    let mut s = Switch::new();
    let pids: Vec<u32> = (0..cpus() + 5).collect();
    let set = Bytes::new()
        .u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU)
        .u32s(dp_attr::PER_CPU_PIDS, &pids);
    let reply = s.datapath(cmd::SET, &set).unwrap();
    assert_eq!(
        reply.u32s(dp_attr::PER_CPU_PIDS).unwrap(),
        pids[..cpus() as usize]
    );
}

#[test]
fn n9_echo_only_if_asked_for() {
    let mut s = Switch::new();
    let set = Bytes::new().u32(dp_attr::USER_FEATURES, 0);
    let answer = s
        .client
        .request(Group::Datapath, cmd::SET, s.dp, &set)
        .unwrap();
    assert_eq!(answer, None);
    assert_eq!(s.net.take_multicasts().len(), 1);
}

#[test]
fn unknown_commands() {
    let mut s = Switch::new();
    for cmd in [0, 5, 255] {
        assert_eq!(refused(s.datapath(cmd, &Bytes::new())), EOPNOTSUPP);
        assert_eq!(refused(s.vport(cmd, &Bytes::new())), EOPNOTSUPP);
    }
}
