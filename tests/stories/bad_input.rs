// SPDX-License-Identifier: GPL-2.0
//! Every attribute of the datapath and vport families missing, short, long, twice, nested where flat, flat where nested:
//! the errno is that of Linux's own module (`tests/vectors/netlink`, recorded by `tests/system/cases/nl_bad.py` on one
//! CPU), and a refused request changes nothing.

use crate::kit::*;
use std::collections::HashMap;

/// errno by label, from the recorded answers.
fn recorded() -> HashMap<&'static str, &'static str> {
    let text = include_str!("../vectors/netlink/nl_bad.6.12.txt");
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .collect()
}

fn raw(ty: u16, payload: &[u8]) -> Vec<u8> {
    Bytes::new().put(ty, payload).0
}

/// The attribute with another length in its header.
fn with_length(ty: u16, payload: &[u8], len: usize) -> Vec<u8> {
    let mut b = raw(ty, payload);
    b[..2].copy_from_slice(&(len as u16).to_ne_bytes());
    b
}

/// What can be wrong with one attribute.
fn variants(ty: u16, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
    let longer = |n: usize| raw(ty, &[payload, &vec![0; n]].concat());
    let mut all = vec![
        ("missing".to_string(), vec![]),
        ("empty".to_string(), raw(ty, &[])),
    ];
    let n = payload.len();
    let mut shorter = vec![1, n.saturating_sub(1), n / 2];
    shorter.sort();
    shorter.dedup();
    for m in shorter.into_iter().filter(|&m| 0 < m && m < n) {
        all.push((format!("short by {}", n - m), raw(ty, &payload[..m])));
    }
    all.extend([1, 4, 64].map(|n| (format!("long by {n}"), longer(n))));
    let fixed = [
        ("twice", [raw(ty, payload), raw(ty, payload)].concat()),
        ("nested flag", raw(ty | 0x8000, payload)),
        ("byte order flag", raw(ty | 0x4000, payload)),
        ("nested inside itself", raw(ty, &raw(ty, payload))),
        ("flat garbage", raw(ty, &[0xff; 5])),
        ("length 3", with_length(ty, payload, 3)),
        (
            "length beyond the message",
            with_length(ty, payload, 4 + n + 400),
        ),
    ];
    all.extend(fixed.map(|(what, bytes)| (what.to_string(), bytes)));
    all
}

type Part<'a> = (&'a str, u16, &'a [u8]);

/// Spoils each part of a good request in turn. `undo` must make good what a successful one did.
fn each(label: &str, group: Group, cmd: u8, parts: &[Part<'_>], undo: impl Fn(&mut Switch)) {
    openvswitch::World::set_nr_cpu_ids(Some(1));
    let recorded = recorded();
    let mut s = Switch::new();
    s.add_port("d1");
    s.net.add("d2");
    let before = s.state();
    let devices = s.net.device_names();
    let dp = if label == "dp del" { 0 } else { s.dp };
    let mut tried = 0;
    for (i, (name, ty, payload)) in parts.iter().enumerate() {
        for (what, bad) in variants(*ty, payload) {
            let mut bytes = Vec::new();
            for (j, (_, ty, payload)) in parts.iter().enumerate() {
                bytes.extend(if i == j {
                    bad.clone()
                } else {
                    raw(*ty, payload)
                });
            }
            let label = format!("{label}: {name} {what}");
            let answer = match s.client.request(group, cmd, dp, &Bytes(bytes)) {
                Ok(_) => "OK".to_string(),
                Err(e) => format!("{:?}", e.errno),
            };
            let expected = recorded
                .get(&label[..])
                .unwrap_or_else(|| panic!("{label} is not recorded"));
            assert_eq!(answer, *expected, "{label}");
            if answer == "OK" {
                undo(&mut s);
            }
            assert_eq!(s.state(), before, "{label}");
            assert_eq!(s.net.device_names(), devices, "{label}");
            tried += 1;
        }
    }
    openvswitch::World::set_nr_cpu_ids(None);
    assert!(tried > 10);
}

fn nothing(_: &mut Switch) {}

/// Deletes all datapaths but br0, all ports of br0 but the first two, and resets what SET changes.
fn restore(s: &mut Switch) {
    for dp in s.client.dump(Group::Datapath, 0, &Bytes::new()).unwrap() {
        if dp.dp_ifindex() != s.dp {
            s.client
                .call(Group::Datapath, cmd::DEL, dp.dp_ifindex(), &Bytes::new())
                .unwrap();
        }
    }
    for port in s.client.dump(Group::Vport, s.dp, &Bytes::new()).unwrap() {
        match port.u32(vport_attr::PORT_NO).unwrap() {
            0 | 1 => (),
            no => drop(s.vport(cmd::DEL, &by_number(no)).unwrap()),
        }
    }
    let reset = Bytes::new()
        .u32(dp_attr::USER_FEATURES, 0)
        .u32(dp_attr::MASKS_CACHE_SIZE, 256);
    s.datapath(cmd::SET, &reset).unwrap();
    s.vport(cmd::SET, &by_number(1).u32(vport_attr::UPCALL_PID, 7))
        .unwrap();
}

const U: [u8; 4] = [0; 4];

fn int(v: u32) -> [u8; 4] {
    v.to_ne_bytes()
}

#[test]
fn dp_new() {
    let parts: &[Part<'_>] = &[
        ("NAME", dp_attr::NAME, b"dp1\0"),
        ("UPCALL_PID", dp_attr::UPCALL_PID, &int(7)),
        ("USER_FEATURES", dp_attr::USER_FEATURES, &int(3)),
        ("MASKS_CACHE_SIZE", dp_attr::MASKS_CACHE_SIZE, &int(256)),
        ("IFINDEX", dp_attr::IFINDEX, &int(1_000_001)),
    ];
    each("dp new", Group::Datapath, cmd::NEW, parts, restore);
}

#[test]
fn dp_set() {
    let parts: &[Part<'_>] = &[
        ("USER_FEATURES", dp_attr::USER_FEATURES, &int(1)),
        ("MASKS_CACHE_SIZE", dp_attr::MASKS_CACHE_SIZE, &int(512)),
    ];
    each("dp set", Group::Datapath, cmd::SET, parts, restore);
}

#[test]
fn dp_get() {
    let parts: &[Part<'_>] = &[
        ("NAME", dp_attr::NAME, b"br0\0"),
        ("STATS", dp_attr::STATS, &[0; 32]),
        ("MEGAFLOW_STATS", dp_attr::MEGAFLOW_STATS, &[0; 32]),
        ("PAD", dp_attr::PAD, &U),
    ];
    each("dp get", Group::Datapath, cmd::GET, parts, nothing);
}

#[test]
fn dp_del() {
    each(
        "dp del",
        Group::Datapath,
        cmd::DEL,
        &[("NAME", dp_attr::NAME, b"nope\0")],
        nothing,
    );
}

#[test]
fn vport_new() {
    let parts: &[Part<'_>] = &[
        ("PORT_NO", vport_attr::PORT_NO, &int(9)),
        ("TYPE", vport_attr::TYPE, &int(NETDEV)),
        ("NAME", vport_attr::NAME, b"d2\0"),
        ("OPTIONS", vport_attr::OPTIONS, &[]),
        ("UPCALL_PID", vport_attr::UPCALL_PID, &int(7)),
    ];
    each("vport new", Group::Vport, cmd::NEW, parts, restore);
}

#[test]
fn vport_new_internal() {
    let parts: &[Part<'_>] = &[
        ("TYPE", vport_attr::TYPE, &int(INTERNAL)),
        ("NAME", vport_attr::NAME, b"in1\0"),
        ("UPCALL_PID", vport_attr::UPCALL_PID, &int(7)),
        ("IFINDEX", vport_attr::IFINDEX, &int(1_000_002)),
    ];
    each("vport new internal", Group::Vport, cmd::NEW, parts, restore);
}

#[test]
fn vport_set() {
    let parts: &[Part<'_>] = &[
        ("PORT_NO", vport_attr::PORT_NO, &int(1)),
        ("TYPE", vport_attr::TYPE, &int(NETDEV)),
        ("UPCALL_PID", vport_attr::UPCALL_PID, &int(9)),
    ];
    each("vport set", Group::Vport, cmd::SET, parts, restore);
}

#[test]
fn vport_get() {
    let stats = Bytes::new().u64(0, 0).0;
    let parts: &[Part<'_>] = &[
        ("NAME", vport_attr::NAME, b"d1\0"),
        ("STATS", vport_attr::STATS, &[0; 64]),
        ("PAD", vport_attr::PAD, &U),
        ("NETNSID", vport_attr::NETNSID, &U),
        ("UPCALL_STATS", vport_attr::UPCALL_STATS, &stats),
    ];
    each("vport get", Group::Vport, cmd::GET, parts, nothing);
}

#[test]
fn vport_del() {
    let parts: &[Part<'_>] = &[
        ("PORT_NO", vport_attr::PORT_NO, &int(50)),
        ("NAME", vport_attr::NAME, b"nope\0"),
    ];
    each("vport del", Group::Vport, cmd::DEL, parts, nothing);
}
