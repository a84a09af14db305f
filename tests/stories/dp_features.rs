// SPDX-License-Identifier: GPL-2.0
//! DP_SET: features, cache size and per-CPU netlink ports, all or nothing (D8, D9, Q4, Q5, Q14).

use crate::kit::*;
use openvswitch::env::FakeEnv;

fn set(s: &mut Switch, attrs: &Bytes) -> Result<Message, Refused> {
    s.datapath(cmd::SET, attrs)
}

fn features(bits: u32) -> Bytes {
    Bytes::new().u32(dp_attr::USER_FEATURES, bits)
}

#[test]
fn d8_unknown_features_are_refused() {
    let mut s = Switch::new();
    let before = s.state();
    for bits in [1 << 31, 16, 0x8000_0001, dp_feature::TC_RECIRC_SHARING] {
        assert_eq!(
            refused(set(&mut s, &features(bits))),
            EOPNOTSUPP,
            "{bits:#x}"
        );
    }
    assert_eq!(s.state(), before);
    let known =
        dp_feature::UNALIGNED | dp_feature::VPORT_PIDS | dp_feature::DISPATCH_UPCALL_PER_CPU;
    assert_eq!(
        set(&mut s, &features(known))
            .unwrap()
            .u32(dp_attr::USER_FEATURES),
        Some(known)
    );
}

#[test]
fn d8_q5_absent_features_become_zero() {
    let mut s = Switch::new();
    set(&mut s, &features(1)).unwrap();
    assert_eq!(
        set(&mut s, &Bytes::new())
            .unwrap()
            .u32(dp_attr::USER_FEATURES),
        Some(0)
    );
}

#[test]
fn d8_cache_size() {
    let mut s = Switch::new();
    let size = |n: u32| Bytes::new().u32(dp_attr::MASKS_CACHE_SIZE, n);
    for n in [0, 1, 2, 4096, 256] {
        assert_eq!(
            set(&mut s, &size(n))
                .unwrap()
                .u32(dp_attr::MASKS_CACHE_SIZE),
            Some(n)
        );
    }
    assert_eq!(refused(set(&mut s, &size(3))), EINVAL);
    assert_eq!(refused(set(&mut s, &size(4095))), EINVAL);
    assert_eq!(refused(set(&mut s, &size(4097))), ERANGE);
    assert_eq!(refused(set(&mut s, &size(8192))), ERANGE);
    assert_eq!(
        s.datapath(cmd::GET, &Bytes::new())
            .unwrap()
            .u32(dp_attr::MASKS_CACHE_SIZE),
        Some(256)
    );
}

#[test]
fn d8_per_cpu_pids() {
    let mut s = Switch::new();
    let per_cpu = dp_feature::DISPATCH_UPCALL_PER_CPU;
    let pids = |m: &Message| m.u32s(dp_attr::PER_CPU_PIDS);

    let reply = set(&mut s, &features(0).put(dp_attr::PER_CPU_PIDS, &[1])).unwrap();
    assert_eq!(pids(&reply), None, "not looked at without the feature");
    let reply = set(&mut s, &features(per_cpu)).unwrap();
    assert_eq!(pids(&reply), None, "none set yet");

    for bad in [&[][..], &[0; 3], &[0; 5]] {
        assert_eq!(
            refused(set(
                &mut s,
                &features(per_cpu).put(dp_attr::PER_CPU_PIDS, bad)
            )),
            EINVAL
        );
    }
    let reply = set(
        &mut s,
        &features(per_cpu).u32s(dp_attr::PER_CPU_PIDS, &[5, 6]),
    )
    .unwrap();
    assert_eq!(pids(&reply), Some(vec![5, 6]));
    let reply = set(&mut s, &features(0)).unwrap();
    assert_eq!(pids(&reply), None, "not shown without the feature");
    let reply = set(&mut s, &features(per_cpu)).unwrap();
    assert_eq!(pids(&reply), Some(vec![5, 6]), "but kept");
    let all = vec![9; 16_000];
    set(&mut s, &features(per_cpu).u32s(dp_attr::PER_CPU_PIDS, &all)).unwrap();
}

#[test]
fn d9_all_or_nothing() {
    let mut s = Switch::new();
    set(&mut s, &features(dp_feature::UNALIGNED)).unwrap();
    let before = s.state();
    let good_size = Bytes::new().u32(dp_attr::MASKS_CACHE_SIZE, 1024);
    let bad_features = good_size.clone().u32(dp_attr::USER_FEATURES, 1 << 31);
    assert_eq!(refused(set(&mut s, &bad_features)), EOPNOTSUPP);
    let bad_pids = good_size
        .clone()
        .u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU)
        .put(dp_attr::PER_CPU_PIDS, &[1, 2, 3]);
    assert_eq!(refused(set(&mut s, &bad_pids)), EINVAL);
    let bad_size = features(0).u32(dp_attr::MASKS_CACHE_SIZE, 5);
    assert_eq!(refused(set(&mut s, &bad_size)), EINVAL);
    assert_eq!(s.state(), before);
}

#[test]
fn a_missing_datapath_is_told_before_a_bad_change() {
    let mut s = Switch::new();
    assert_eq!(
        refused(
            s.client
                .call(Group::Datapath, cmd::SET, 9999, &features(1 << 31))
        ),
        ENODEV
    );
}

/// D8 f. However it comes to lose the feature, the datapath asks no more.
#[test]
fn d8_tc_is_asked_as_long_as_a_datapath_shares_recirculation() {
    FakeEnv::set_tc_tells(true);
    let mut s = Switch::new();
    let shares = features(dp_feature::TC_RECIRC_SHARING | dp_feature::UNALIGNED);
    let reply = set(&mut s, &shares).unwrap();
    assert_eq!(reply.u32(dp_attr::USER_FEATURES), Some(5));
    assert_eq!(FakeEnv::tc_asked(), 1);
    set(&mut s, &shares).unwrap();
    assert_eq!(FakeEnv::tc_asked(), 1, "once a datapath");
    assert_eq!(
        refused(set(&mut s, &features(dp_feature::TC_RECIRC_SHARING | 16))),
        EOPNOTSUPP
    );
    assert_eq!(FakeEnv::tc_asked(), 1);
    set(&mut s, &features(1)).unwrap();
    assert_eq!(FakeEnv::tc_asked(), 0);

    // One that cannot be made has asked in vain, another one goes on.
    set(&mut s, &shares).unwrap();
    let twin = shares
        .clone()
        .name(dp_attr::NAME, "br0")
        .u32(dp_attr::UPCALL_PID, 0);
    assert_eq!(
        refused(s.client.call(Group::Datapath, cmd::NEW, 0, &twin)),
        EEXIST
    );
    assert_eq!(FakeEnv::tc_asked(), 1);
    // To a program from before features it is lost (D3).
    s.client.version = 1;
    assert_eq!(
        refused(s.client.call(Group::Datapath, cmd::NEW, 0, &twin)),
        EEXIST
    );
    assert_eq!(FakeEnv::tc_asked(), 0);

    s.client.version = 2;
    set(&mut s, &shares).unwrap();
    let second = shares
        .clone()
        .name(dp_attr::NAME, "br1")
        .u32(dp_attr::UPCALL_PID, 0);
    s.client
        .call(Group::Datapath, cmd::NEW, 0, &second)
        .unwrap();
    assert_eq!(FakeEnv::tc_asked(), 2);
    s.datapath(cmd::DEL, &Bytes::new()).unwrap();
    assert_eq!(FakeEnv::tc_asked(), 1);
    s.net.exit();
    assert_eq!(FakeEnv::tc_asked(), 0);
}
