// SPDX-License-Identifier: GPL-2.0
//! Times of the flow room: a packet's key, its hash under a mask, and the comparison with a flow.
//!
//! `cargo bench --manifest-path userspace-shim/benches/Cargo.toml`. Good for comparing two builds in one sitting; the
//! figure that counts is `make bench`.

use criterion::{black_box, criterion_group, criterion_main, BatchSize, Criterion};
use openvswitch::datapath::flow::extract::from_device;
use openvswitch::datapath::flow::hash::masked_hash;
use openvswitch::datapath::flow::key::Core;
use openvswitch::datapath::flow::mask::{eq_core, Mask};
use openvswitch::datapath::flow::parts::KeyBuf;
use openvswitch::datapath::wire::be::Be16;
use openvswitch::packet::Packet;

/// Frames by name out of the test vectors.
fn frame(name: &str) -> Vec<u8> {
    let text = include_str!("../../tests/vectors/keys.txt");
    let start = format!("name {name}\nframe ");
    let hex = text
        .split(&start)
        .nth(1)
        .and_then(|t| t.lines().next())
        .expect("a vector");
    (0..hex.len())
        .step_by(2)
        .filter_map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok())
        .collect()
}

fn extract(c: &mut Criterion) {
    for name in [
        "udp4 tos",
        "tcp4 syn",
        "tcp6",
        "two tags",
        "nd both options",
        "arp request",
    ] {
        let bytes = frame(name);
        c.bench_function(&format!("extract {name}"), |b| {
            b.iter_batched_ref(
                || Packet::new(&bytes),
                |p| from_device(black_box(p), 1, true),
                BatchSize::SmallInput,
            );
        });
    }
}

fn masks(c: &mut Criterion) {
    let exact = Be16::new(0xffff);
    let base = Core {
        recirc_id: !0,
        in_port: !0,
        mac_proto: !0,
        eth_type: exact,
        vlan_tci: exact,
        cvlan_tci: exact,
        ..Core::ZERO
    };
    let five = Core {
        ip_proto: !0,
        ipv4_src: [!0; 4],
        ipv4_dst: [!0; 4],
        tp_src: exact,
        tp_dst: exact,
        ..base
    };
    let six = Core {
        ipv6_src: [!0; 16],
        ipv6_dst: [!0; 16],
        ..five
    };
    let key = from_device(&mut Packet::new(&frame("udp4 tos")), 1, true).expect("a key");
    for (name, mask) in [
        ("port and type", base),
        ("five-tuple", five),
        ("IPv6 five-tuple", six),
    ] {
        let mask = Mask::new(KeyBuf::from_core(mask));
        let flow = mask.apply_core(&key);
        c.bench_function(&format!("hash {name}"), |b| {
            b.iter(|| masked_hash(black_box(key.as_ref()), black_box(&mask)));
        });
        c.bench_function(&format!("compare {name}"), |b| {
            b.iter(|| eq_core(black_box(&flow), black_box(&key), black_box(&mask)));
        });
    }
}

criterion_group!(flow, extract, masks);
criterion_main!(flow);
