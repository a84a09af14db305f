// SPDX-License-Identifier: GPL-2.0
//! How long a packet looks for its flow, by number of masks; with the flow's statistics, as on the packet path.

use criterion::{criterion_group, criterion_main, Criterion};
use kernel::alloc::flags::GFP_KERNEL;
use openvswitch::datapath::actions::validate::Checker;
use openvswitch::datapath::flow::entry::PreparedFlow;
use openvswitch::datapath::flow::key::Core;
use openvswitch::datapath::flow::mask::Mask;
use openvswitch::datapath::flow::parts::{FlowKey, KeyBuf};
use openvswitch::datapath::flow::stats::Sample;
use openvswitch::datapath::flow::table::Table;
use openvswitch::rust::sync::{BhGuard, OvsGuard, RcuBox};
use std::hint::black_box;

/// A UDP five-tuple whose destination differs from flow to flow.
fn key(dst: u32) -> Core {
    Core {
        in_port: 1,
        mac_proto: 1,
        ip_proto: 17,
        ipv4_src: [10, 0, 0, 1],
        ipv4_dst: dst.to_be_bytes(),
        ..Core::ZERO
    }
}

/// Matches the five-tuple, and one bit of `mark` that makes the mask different from others.
fn mask(n: u32) -> Mask {
    Mask::new(KeyBuf::from_core(Core {
        in_port: 0xffff,
        mac_proto: 0xff,
        ip_proto: 0xff,
        ipv4_src: [0xff; 4],
        ipv4_dst: [0xff; 4],
        mark: n,
        ..Core::ZERO
    }))
}

/// A table of `masks` masks with 100 flows each.
fn table(masks: u32) -> Table {
    let table = Table::new(GFP_KERNEL).unwrap();
    let ovs = OvsGuard::lock(&openvswitch::sys::testing::process_context());
    for n in 0..masks * 100 {
        let key = key(n);
        let actions = Checker::new(&key, 0).finish().unwrap();
        let actions = RcuBox::new(actions, GFP_KERNEL).unwrap();
        let flow =
            PreparedFlow::new(&key.into(), &mask(n % masks), None, actions, GFP_KERNEL).unwrap();
        table.insert(flow, &ovs).unwrap();
    }
    table
}

fn lookup(c: &mut Criterion) {
    for masks in [1, 16, 128] {
        let table = table(masks);
        let keys: Vec<FlowKey> = (0..64).map(|n| key(n * masks + masks - 1).into()).collect();
        let mut run = |name: &str, with_hash: bool, keys: &[FlowKey]| {
            c.bench_function(&format!("{name}, {masks} masks"), |b| {
                let bh = BhGuard::enter();
                let mut n = 0usize;
                b.iter(|| {
                    n = (n + 1) % keys.len();
                    let hash = if with_hash {
                        0x9e37_79b9 * (n as u32 + 1)
                    } else {
                        0
                    };
                    let found = table.lookup(black_box(&keys[n]), hash, &bh);
                    if let Some(flow) = found.flow {
                        flow.stats.update(
                            Sample {
                                bytes: 64,
                                tcp_flags: 0,
                            },
                            &bh,
                        );
                    }
                    found.masks_probed
                });
            });
        };
        run("hit by the cache", true, &keys);
        run("hit of the last mask", false, &keys);
        run("miss", false, &[key(u32::MAX).into()]);
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
