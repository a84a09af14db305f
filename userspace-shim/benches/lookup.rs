// SPDX-License-Identifier: GPL-2.0
//! How long a packet looks for its flow, and what inserting and removing a flow takes, by number of masks: the flows of an
//! attack. Criterion, because it says whether two builds differ by more than noise; the figure that counts is `make bench`.

use criterion::{criterion_group, criterion_main, Criterion};
use kernel::alloc::flags::GFP_KERNEL;
use openvswitch::datapath::actions::validate::Checker;
use openvswitch::datapath::flow::entry::PreparedFlow;
use openvswitch::datapath::flow::key::{Core, Ufid};
use openvswitch::datapath::flow::mask::Mask;
use openvswitch::datapath::flow::parts::{FlowKey, KeyBuf};
use openvswitch::datapath::flow::table::{Inserted, Table};
use openvswitch::rust::pod::Pod;
use openvswitch::rust::sync::{BhGuard, OvsGuard, RcuBox};
use openvswitch::sys::testing::{process_context, run_rcu};
use std::hint::black_box;

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../../rust/sync/mask_tree/flows_tests.rs"]
mod flows;

use flows::{Flows, Rng};

fn core(words: &flows::Key) -> Core {
    let mut core = Core::ZERO;
    *core.as_words_mut() = *words;
    core
}

fn insert(table: &Table, n: usize, (key, mask): &(flows::Key, flows::Key)) {
    let mask = Mask::new(KeyBuf::from_core(core(mask)));
    let key = core(key);
    let actions = Checker::new(&key, 0).finish().unwrap();
    let actions = RcuBox::new(actions, GFP_KERNEL).unwrap();
    let key = key.into();
    let flow = PreparedFlow::new(&key, &mask, Some(ufid(n)), actions, GFP_KERNEL).unwrap();
    let ovs = OvsGuard::lock(&process_context());
    let inserted = table.insert_unless_found(flow, &key, &ovs).unwrap();
    assert!(matches!(inserted, Inserted::Yes(_)));
}

fn remove(table: &Table, n: usize) {
    let ovs = OvsGuard::lock(&process_context());
    let flow = table.lookup_ufid(&ufid(n), &ovs).unwrap();
    table.remove(flow, &ovs);
}

fn ufid(n: usize) -> Ufid {
    Ufid::new(&(n as u128).to_ne_bytes()).unwrap()
}

fn bench(c: &mut Criterion, name: &str, mut set: Flows) {
    let mut rng = Rng(9);
    rng.shuffle(&mut set);
    let table = Table::new(GFP_KERNEL).unwrap();
    set.iter()
        .enumerate()
        .for_each(|(n, f)| insert(&table, n, f));
    run_rcu();
    let some: Vec<_> = (0..256).map(|_| rng.below(set.len())).collect();
    let packet = |n: &usize| FlowKey::from_core(core(&rng.packet(&set[*n])));
    let keys: Vec<FlowKey> = some.iter().map(packet).collect();
    c.bench_function(&format!("find, {name}"), |b| {
        let bh = BhGuard::enter();
        let mut n = 0usize;
        b.iter(|| {
            n = (n + 1) % keys.len();
            table.lookup(black_box(&keys[n]), &bh).masks_probed
        });
    });
    c.bench_function(&format!("remove and insert, {name}"), |b| {
        let mut n = 0usize;
        b.iter(|| {
            n = (n + 1) % some.len();
            remove(&table, some[n]);
            insert(&table, some[n], &set[some[n]]);
            if n == 0 {
                run_rcu();
            }
        });
    });
}

fn lookup(c: &mut Criterion) {
    bench(c, "1 mask", flows::exact(5000));
    bench(c, "pipelines", flows::pipeline(10_000, 400, 77));
    bench(c, "16 masks", flows::attack([16, 1, 1]));
    bench(c, "128 masks", flows::attack([16, 8, 1]));
    bench(c, "1024 masks", flows::attack([16, 8, 8]));
    bench(c, "8192 masks", flows::attack([32, 16, 16]));
}

criterion_group!(benches, lookup);
criterion_main!(benches);
