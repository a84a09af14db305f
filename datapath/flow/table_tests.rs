// SPDX-License-Identifier: GPL-2.0
//! Tests of [`super::Table`]: section T of the spec, B20, B21, B25.

use super::*;
use crate::datapath::actions::validate::Checker;
use crate::datapath::actions::Action;
use crate::datapath::flow::key::Core;
use crate::datapath::flow::mask::Mask;
use crate::rust::sync::{RcuBox, TIDY};
use crate::sys::testing::{each_failure, live, process_context, run_rcu, set_cpu, Account};
use kernel::alloc::flags::GFP_KERNEL;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// A key by its fields that the tests use.
fn key(src: u32, dst: u32, in_port: u16) -> KeyBuf {
    KeyBuf::from_core(Core {
        ipv4_src: src.to_be_bytes(),
        ipv4_dst: dst.to_be_bytes(),
        in_port,
        ..Core::ZERO
    })
}

fn mask(src: u32, dst: u32) -> Mask {
    Mask::new(key(src, dst, 0xffff))
}

/// A flow that outputs to `port`, by which tests know it again.
fn prepare<'m>(
    key: &KeyBuf,
    mask: &'m Mask,
    ufid: Option<&[u8]>,
    port: u32,
) -> Result<PreparedFlow<'m>> {
    let mut list = Checker::new(key, 8);
    list.output(port).map_err(|e| e.errno)?;
    let actions = RcuBox::new(list.finish().map_err(|e| e.errno)?, GFP_KERNEL)?;
    let ufid = ufid.map(|u| Ufid::new(u).unwrap());
    Ok(PreparedFlow::new(key, mask, ufid, actions, GFP_KERNEL)?)
}

fn applied(mask: &Mask, key: &KeyBuf) -> KeyBuf {
    let mut out = KeyBuf::new();
    mask.apply(key, &mut out, GFP_KERNEL).unwrap();
    out
}

impl Table {
    /// Inserts a flow that may take packets of others as well, which requests cannot. ENOMEM leaves the table as it was.
    fn insert<'o>(&'o self, new: PreparedFlow<'_>, ovs: &'o OvsGuard) -> Result<FlowEntry<'o>> {
        let mask = self.masks.acquire(new.mask(), ovs)?;
        let hash = match new.flow().ufid() {
            Some(ufid) => ufid_hash(ufid),
            None => masked_hash(new.flow().key().as_ref(), &mask.mask),
        };
        let inserted = self
            .flows
            .insert(ovs, new.finish(mask.clone()), [Some(hash)]);
        if inserted.is_err() {
            self.masks.release(mask, ovs);
        }
        Ok(inserted?)
    }
}

fn add(table: &Table, key: &KeyBuf, mask: Mask, ufid: Option<&[u8]>, port: u32) {
    let new = prepare(key, &mask, ufid, port).unwrap();
    table
        .insert(new, &OvsGuard::lock(&process_context()))
        .unwrap();
}

fn port_of(flow: &Flow, token: &impl ReadToken) -> u32 {
    match flow.actions.read(token).unwrap().as_slice() {
        [Action::Output(port)] => u32::from(*port),
        other => panic!("{} actions", other.len()),
    }
}

/// Port of the flow found, masks probed, cache hit.
fn look(table: &Table, key: &KeyBuf) -> (Option<u32>, u32, bool) {
    let bh = BhGuard::enter();
    let key = FlowKey::of_words(&key.words());
    let found = table.lookup(&key, &bh);
    (
        found.flow.map(|f| port_of(f, &*bh)),
        found.masks_probed,
        found.cache_hit,
    )
}

fn remove(table: &Table, key: &KeyBuf) -> bool {
    let ovs = OvsGuard::lock(&process_context());
    match table.lookup_exact(key, &ovs) {
        Some(flow) => {
            table.remove(flow, &ovs);
            true
        }
        None => false,
    }
}

fn table() -> Table {
    Table::new(GFP_KERNEL).unwrap()
}

fn n_masks(table: &Table) -> usize {
    table.n_masks()
}

#[test]
fn finds_under_the_mask_only() {
    let t = table();
    add(&t, &key(0x0a000001, 7, 1), mask(0xffffff00, 0), None, 5);
    assert_eq!(look(&t, &key(0x0a0000fe, 9, 1)), (Some(5), 1, true));
    assert_eq!(look(&t, &key(0x0a000101, 9, 1)), (None, 1, false));
    assert_eq!(look(&t, &key(0x0a000001, 7, 2)), (None, 1, false));
    assert_eq!((t.count(), n_masks(&t)), (1, 1));
}

#[test]
fn an_empty_table_probes_nothing() {
    assert_eq!(look(&table(), &key(1, 2, 3)), (None, 0, false));
}

// T6, D10: one mask is one comparison however many flows; more masks do not mean more comparisons than levels.
#[test]
fn few_masks_are_probed_of_many() {
    let t = table();
    for i in 0..1000 {
        add(&t, &key(i, 0, 1), mask(!0, 0), None, i);
        assert_eq!(look(&t, &key(i / 2, 5, 1)), (Some(i / 2), 1, true));
    }
    let t = table();
    for i in 0..32 {
        add(&t, &key(1 << i, 0, 1), mask(!0 << i, 0), None, i);
    }
    for i in 0..32 {
        let (port, probed, _) = look(&t, &key(1 << i, 9, 1));
        assert_eq!(port, Some(i));
        assert!((1..=12).contains(&probed), "{probed}");
    }
    let (port, probed, one) = look(&t, &key(0, 0, 1));
    assert!(port.is_none() && probed <= 12 && !one);
}

// D8 c, T7.
#[test]
fn without_a_cache_nothing_counts_as_its_hit() {
    let t = table();
    add(&t, &key(1, 0, 1), mask(1, 0), None, 1);
    assert_eq!(t.masks_cache_size(), 256);
    for size in [0, 1, 2, 4096, 256] {
        t.set_masks_cache_size(size, &OvsGuard::lock(&process_context()));
        assert_eq!(t.masks_cache_size(), size);
        assert_eq!(look(&t, &key(1, 0, 1)), (Some(1), 1, size != 0));
        assert_eq!(look(&t, &key(2, 0, 1)), (None, 1, false));
    }
}

// T4, T5, B21
#[test]
fn masks_come_and_go() {
    let t = table();
    let k = |i: u32| key(1 << (i % 32), 1 << (i / 32), 1);
    let m = |i: u32| mask(1 << (i % 32), 1 << (i / 32));
    for n in [1u32, 16, 17, 33, 70] {
        for i in 0..n {
            add(&t, &k(i), m(i), None, i);
            assert_eq!(n_masks(&t), i as usize + 1);
        }
        for gone in (0..n)
            .filter(|i| i % 3 == 0)
            .chain((0..n).filter(|i| i % 3 != 0))
        {
            assert!(remove(&t, &k(gone)));
            assert_eq!(look(&t, &k(gone)).0, None);
            assert_eq!(n_masks(&t), t.count());
            if let Some(left) = (0..n).find(|i| i % 3 != 0 && i > &gone && gone % 3 != 0) {
                assert_eq!(look(&t, &k(left)).0, Some(left));
            }
        }
        assert_eq!((t.count(), n_masks(&t)), (0, 0));
    }
}

// B66
#[test]
fn masks_end_at_16384() {
    let t = table();
    let fields = |i: u32| key(i, 0, 1);
    let one_more = |n: u32| {
        let mask = mask(n, 0);
        let new = prepare(&fields(n), &mask, None, 1).unwrap();
        t.insert(new, &OvsGuard::lock(&process_context())).map(drop)
    };
    // Told apart by a field that all match: only the number of masks counts here.
    for i in 1..=16_384 {
        add(&t, &key(i, i, 1), mask(i, !0), None, i);
    }
    assert_eq!(one_more(20_000).unwrap_err(), kernel::error::code::ENOMEM);
    assert_eq!((t.count(), n_masks(&t)), (16_384, 16_384));
    add(&t, &key(7, 20_000, 1), mask(7, !0), None, 9); // under a mask that is there
    assert!(remove(&t, &key(9, 9, 1)));
    one_more(20_000).unwrap();
    assert_eq!(n_masks(&t), 16_384);
}

#[test]
fn flows_share_a_mask_until_the_last_one_goes() {
    let t = table();
    for i in 0..10 {
        add(&t, &key(i, 0, 1), mask(0xff, 0), None, i);
    }
    assert_eq!(n_masks(&t), 1);
    for i in 0..10 {
        assert_eq!(n_masks(&t), 1);
        assert!(remove(&t, &key(i, 0, 1)));
    }
    assert_eq!(n_masks(&t), 0);
}

// T10, F2, K37.
#[test]
fn flows_answer_to_the_name_they_were_given() {
    let t = table();
    add(&t, &key(1, 99, 1), mask(0xff, 0), None, 1);
    add(&t, &key(2, 99, 1), mask(0xff, 0), Some(b"second"), 2);
    let ovs = OvsGuard::lock(&process_context());
    let exact = |k: &KeyBuf| t.lookup_exact(k, &ovs).map(|f| port_of(&f, &ovs));
    let by_ufid = |u: &[u8]| {
        t.lookup_ufid(&Ufid::new(u).unwrap(), &ovs)
            .map(|f| port_of(&f, &ovs))
    };
    assert_eq!(exact(&key(1, 99, 1)), Some(1));
    // The unmasked key counts, also where the mask is zero.
    assert_eq!(exact(&key(1, 98, 1)), None);
    assert_eq!(exact(&key(2, 99, 1)), None);
    assert_eq!(by_ufid(b"second"), Some(2));
    assert_eq!(by_ufid(b"second\0"), None);
    assert_eq!(by_ufid(b"first"), None);
    // Any packet finds both.
    assert_eq!(
        t.lookup_any(&key(2, 5, 1), &ovs).map(|f| port_of(&f, &ovs)),
        Some(2)
    );
    let second = t.lookup_ufid(&Ufid::new(b"second").unwrap(), &ovs).unwrap();
    t.remove(second, &ovs);
    assert_eq!(by_ufid(b"second"), None);
    assert_eq!((t.count(), n_masks(&t)), (1, 1));
}

// F3: a packet's flow keeps another from coming, which is as it was then.
#[test]
fn a_flow_does_not_come_where_another_takes_its_packets() {
    let t = table();
    add(&t, &key(0x100, 0, 1), mask(0xff00, 0), None, 1);
    let ovs = OvsGuard::lock(&process_context());
    let narrow = mask(0xffff, 0);
    let try_to_add = |new, key: &KeyBuf| t.insert_unless_found(new, key, &ovs).unwrap();
    for n in [0x155, 0x100] {
        let taken = key(n, 9, 1);
        let new = prepare(&taken, &narrow, Some(b"new"), 2).unwrap();
        match try_to_add(new, &taken) {
            Inserted::No(found, Some(new)) => {
                assert_eq!(port_of(&found, &ovs), 1);
                assert_eq!(*new.flow().key(), applied(&narrow, &taken));
                assert!(new.flow().mask().is_none() && new.actions().as_slice().len() == 1);
                drop(new);
            }
            _ => panic!("came"),
        }
        assert_eq!((t.count(), n_masks(&t)), (1, 1));
    }
    let free = key(0x255, 9, 1);
    let new = prepare(&free, &narrow, Some(b"new"), 2).unwrap();
    assert!(matches!(try_to_add(new, &free), Inserted::Yes(flow) if port_of(&flow, &ovs) == 2));
    assert_eq!((t.count(), n_masks(&t)), (2, 2));
}

// T4: the last mask is known again by its hash only as long as it is there.
#[test]
fn masks_come_and_go_in_any_order() {
    let t = table();
    for round in 0..3u32 {
        for n in [1u32, 1, 2, 1, 2, 2, 3] {
            let i = t.count() as u32;
            add(
                &t,
                &key(i << 8 | n, 0, 1),
                mask(!0 << 8 | n, 0),
                None,
                round,
            );
        }
        assert_eq!((t.count(), n_masks(&t)), (7, 3));
        if round == 1 {
            t.flush(&OvsGuard::lock(&process_context()));
        } else {
            for (i, n) in [1u32, 1, 2, 1, 2, 2, 3].into_iter().enumerate() {
                assert!(remove(&t, &key((i as u32) << 8 | n, 0, 1)));
            }
        }
        assert_eq!((t.count(), n_masks(&t)), (0, 0));
    }
}

// T10: two masks match, only the second flow has this unmasked key.
#[test]
fn exact_lookup_tries_all_masks() {
    let t = table();
    add(&t, &key(0x100, 0, 1), mask(0xff00, 0), None, 1);
    add(&t, &key(0x155, 0, 1), mask(0xffff, 0), None, 2);
    let ovs = OvsGuard::lock(&process_context());
    let any = t.lookup_any(&key(0x155, 0, 1), &ovs);
    assert!([1, 2].contains(&port_of(&any.unwrap(), &ovs)));
    assert_eq!(
        t.lookup_exact(&key(0x155, 0, 1), &ovs)
            .map(|f| port_of(&f, &ovs)),
        Some(2)
    );
}

#[test]
fn an_exact_flow_keeps_one_copy_of_its_key() {
    let (exact, part) = (mask(!0, !0), mask(0xff, 0));
    let small = prepare(&key(1, 2, 3), &exact, None, 1).unwrap();
    assert!(matches!(
        small.flow().id(),
        crate::datapath::flow::entry::FlowId::Key(None)
    ));
    assert_eq!(small.flow().unmasked_key(), Some(&key(1, 2, 3)));
    let large = prepare(&key(1, 2, 3), &part, None, 1).unwrap();
    assert_eq!(large.flow().unmasked_key(), Some(&key(1, 2, 3)));
    assert_eq!(large.flow().key(), &key(1, 0, 3));
}

// T1, T15, T16.
#[test]
fn grows_and_flushes() {
    let t = table();
    for i in 0..5000u32 {
        add(
            &t,
            &key(i, 0, 1),
            mask(!0, 0),
            (i % 2 == 0).then_some(&i.to_ne_bytes()[..]),
            i % 7,
        );
    }
    assert_eq!(t.count(), 5000);
    assert!((0..5000).all(|i| look(&t, &key(i, 0, 1)).0 == Some(i % 7)));
    t.flush(&OvsGuard::lock(&process_context()));
    assert_eq!((t.count(), n_masks(&t)), (0, 0));
    assert_eq!(look(&t, &key(5, 0, 1)).0, None);
    let gone = Ufid::new(&4u32.to_ne_bytes()).unwrap();
    assert!(t
        .lookup_ufid(&gone, &OvsGuard::lock(&process_context()))
        .is_none());
    add(&t, &key(5, 0, 1), mask(!0, 0), None, 3);
    assert_eq!(look(&t, &key(5, 0, 1)).0, Some(3));
}

// F11.
#[test]
fn a_dump_sees_every_flow_once() {
    let t = table();
    for i in 0..3000u32 {
        add(&t, &key(i, 0, 1), mask(!0, 0), None, 1);
    }
    let (mut cursor, mut seen) = ([0; 2], BTreeMap::<u32, u32>::new());
    loop {
        let bh = BhGuard::enter();
        let Some(flow) = t.next(&mut cursor, &*bh) else {
            break;
        };
        *seen
            .entry(u32::from_be_bytes(flow.key().ipv4_src))
            .or_default() += 1;
    }
    assert!(seen.len() == 3000 && seen.values().all(|n| *n == 1));
}

// B25: fault injection.
#[test]
fn failing_allocations_change_and_leak_nothing() {
    assert!(each_failure(|| Table::new(GFP_KERNEL).map(drop)) > 1);
    let failed = each_failure(|| {
        let t = table_or_stop()?;
        let ovs = OvsGuard::lock(&process_context());
        for i in 0..3 {
            let before = (t.count(), t.n_masks());
            let mask = mask(i + 1, i);
            let new = prepare(&key(i, i, 1), &mask, Some(&[i as u8]), i);
            if let Err(e) = new.and_then(|new| t.insert(new, &ovs).map(drop)) {
                assert_eq!((t.count(), t.n_masks()), before);
                return Err(e);
            }
        }
        // Removing never fails.
        for i in 0..3u32 {
            let flow = t
                .lookup_ufid(&Ufid::new(&[i as u8]).unwrap(), &ovs)
                .unwrap();
            t.remove(flow, &ovs);
            assert_eq!(t.count(), 2 - i as usize);
        }
        assert_eq!(t.n_masks(), 0);
        t.tidy(&mut { TIDY }, &ovs);
        Ok(())
    });
    assert!(failed > 15, "{failed}");
}

fn table_or_stop() -> Result<Table> {
    Table::new(GFP_KERNEL)
}

// T14
#[test]
fn what_is_taken_out_stays_for_its_readers() {
    let t = table();
    add(&t, &key(1, 0, 1), mask(0xff, 0), None, 7);
    run_rcu();
    let full = live();
    let account = Account::current();
    let bh = BhGuard::enter();
    let packet = FlowKey::of_words(&key(1, 0, 1).words());
    let flow = t.lookup(&packet, &bh).flow.unwrap();
    let acts = flow.actions.read(&*bh).unwrap();
    std::thread::scope(|s| {
        s.spawn(|| {
            account.adopt();
            set_cpu(1);
            assert!(remove(&t, &key(1, 0, 1)));
        });
    });
    assert_eq!(look(&t, &key(1, 0, 1)).0, None);
    assert!(live() >= full, "freed under a reader");
    assert_eq!(acts.get().as_slice(), [Action::Output(7)]);
    drop(bh);
    crate::sys::rcu_barrier();
    assert!(live() < full, "not freed");
}

// T2, T5, T9, B21: lookups while masks and flows come and go and the table grows and is tidied.
#[test]
fn readers_never_miss_a_flow_that_stays() {
    let t = table();
    for i in 0..8 {
        add(&t, &key(1 << i, 0, 1), mask(1 << i, 0), None, i);
    }
    let stop = AtomicBool::new(false);
    let account = Account::current();
    std::thread::scope(|s| {
        for cpu in 1..4 {
            let (t, stop) = (&t, &stop);
            s.spawn(move || {
                account.adopt();
                set_cpu(cpu);
                let mut n = 0u32;
                while !stop.load(SeqCst) {
                    let i = n % 8;
                    let found = look(t, &key(1 << i, 0, 1));
                    assert_eq!(found.0, Some(i), "probed {}", found.1);
                    n = n.wrapping_add(1);
                }
            });
        }
        for _ in 0..10 {
            for i in 0..60 {
                // Under masks that no packet of the readers matches.
                let k = key(0, 1 << (i % 32), 2);
                add(&t, &k, Mask::new(key(i, 1 << (i % 32), 0xffff)), None, 99);
            }
            t.tidy(&mut { TIDY }, &OvsGuard::lock(&process_context()));
            for i in 0..60 {
                let ovs = OvsGuard::lock(&process_context());
                let flow = t.lookup_any(&key(0, 1 << (i % 32), 2), &ovs).unwrap();
                t.remove(flow, &ovs);
            }
            run_rcu();
        }
        stop.store(true, SeqCst);
    });
    assert_eq!((t.count(), n_masks(&t)), (8, 8));
}

/// The table as a list: masks in no order, so only the set of possible answers is known.
#[derive(Default)]
struct Model(Vec<(KeyBuf, Mask, Option<u8>, u32)>);

impl Model {
    fn matches(&self, key: &KeyBuf) -> Vec<u32> {
        let hit = |f: &&(KeyBuf, Mask, _, u32)| applied(&f.1, key) == applied(&f.1, &f.0);
        self.0.iter().filter(hit).map(|f| f.3).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, u8, u8, Option<u8>),
    RemoveKey(u8, u8),
    RemoveUfid(u8),
    Look(u8, u8),
    Flush,
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || 0u8..8;
    prop_oneof![
        8 => (small(), small(), 0u8..16, prop::option::of(0u8..8)).prop_map(|(a, b, m, u)| Step::Add(a, b, m, u)),
        3 => (small(), small()).prop_map(|(a, b)| Step::RemoveKey(a, b)),
        3 => (0u8..8).prop_map(Step::RemoveUfid),
        12 => (small(), small()).prop_map(|(a, b)| Step::Look(a, b)),
        1 => Just(Step::Flush),
        1 => Just(Step::Tidy),
    ]
}

fn small_key(a: u8, b: u8) -> KeyBuf {
    key(u32::from(a), u32::from(b) << 24, 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn behaves_like_a_list(steps in prop::collection::vec(step(), 1..120)) {
        let t = table();
        let mut model = Model::default();
        let mut id = 0;
        for step in steps {
            match step {
                Step::Add(a, b, m, ufid) => {
                    id = (id + 1) % 60_000;
                    let k = small_key(a, b);
                    let mk = mask(u32::from(m & 7), if m & 8 != 0 { 7 << 24 } else { 0 });
                    // What FLOW_NEW does: no flow of this UFID, none that takes these packets (F3).
                    let ovs = OvsGuard::lock(&process_context());
                    let known = ufid.and_then(|u| t.lookup_ufid(&Ufid::new(&[u]).unwrap(), &ovs)).is_some();
                    let taken = t.lookup_any(&k, &ovs).is_some();
                    prop_assert_eq!(known, ufid.is_some() && model.0.iter().any(|f| f.2 == ufid));
                    prop_assert_eq!(taken, !model.matches(&k).is_empty());
                    if !known && !taken {
                        let new = prepare(&k, &mk, ufid.as_ref().map(std::slice::from_ref), id).unwrap();
                        t.insert(new, &ovs).unwrap();
                        model.0.push((k, mk, ufid, id));
                    }
                }
                Step::RemoveKey(a, b) => {
                    let k = small_key(a, b);
                    let at = model.0.iter().position(|f| f.2.is_none() && f.0 == k);
                    prop_assert_eq!(remove(&t, &k), at.is_some());
                    at.map(|at| model.0.remove(at));
                }
                Step::RemoveUfid(u) => {
                    let ovs = OvsGuard::lock(&process_context());
                    let found = t.lookup_ufid(&Ufid::new(&[u]).unwrap(), &ovs);
                    let at = model.0.iter().position(|f| f.2 == Some(u));
                    prop_assert_eq!(found.is_some(), at.is_some());
                    found.into_iter().for_each(|f| t.remove(f, &ovs));
                    at.map(|at| model.0.remove(at));
                }
                Step::Look(a, b) => {
                    let k = small_key(a, b);
                    let (port, probed, cached) = look(&t, &k);
                    let right = model.matches(&k);
                    match port {
                        Some(port) => prop_assert!(right.contains(&port)),
                        None => prop_assert!(right.is_empty()),
                    }
                    prop_assert_eq!(probed == 0, model.0.is_empty());
                    prop_assert_eq!(cached, port.is_some() && probed == 1);
                }
                Step::Flush => {
                    t.flush(&OvsGuard::lock(&process_context()));
                    model.0.clear();
                }
                Step::Tidy => _ = t.tidy(&mut {TIDY}, &OvsGuard::lock(&process_context())),
            }
            let mut masks: Vec<Mask> = vec![];
            model.0.iter().for_each(|f| if !masks.contains(&f.1) { masks.push(f.1.try_clone(GFP_KERNEL).unwrap()) });
            prop_assert_eq!((t.count(), n_masks(&t)), (model.0.len(), masks.len()));
        }
    }
}

/// Names that a user chooses so that their halves are equal do not all have one hash.
#[test]
fn chosen_ufids_do_not_collide() {
    let hashes: std::collections::BTreeSet<u32> = (0..1000u64)
        .map(|i| [i.to_ne_bytes(), i.to_ne_bytes()].concat())
        .map(|ufid| ufid_hash(&Ufid::new(&ufid).unwrap()))
        .collect();
    assert!(hashes.len() > 990, "{} of 1000", hashes.len());
}
