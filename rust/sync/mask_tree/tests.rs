// SPDX-License-Identifier: GPL-2.0
//! The tree against a list, its invariants after each step, its costs, and what happens without memory.

use super::super::{rcu_table::TableBox, OvsGuard, RcuGuard};
use super::flows::{self, Flows, Rng};
use super::meter::{Meter, ENTRY, LOOK};
use super::*;
use crate::sys::testing::{each_failure, live, process_context};
use kernel::alloc::{flags::GFP_KERNEL, testing::made};
use proptest::prelude::*;
use std::cell::Cell;

/// Some beyond those that every key has in place.
const WORDS: usize = 20;

#[derive(Clone, Copy, PartialEq, Debug)]
struct Key([u64; WORDS]);

thread_local! {
    /// Words of keys and masks that were read, one by one or those near at once.
    static READ: Cell<u64> = const { Cell::new(0) };
}

/// How many `f` reads.
fn words_read(f: impl FnOnce()) -> u64 {
    let before = READ.get();
    f();
    READ.get() - before
}

impl Words for Key {
    fn near(&self) -> &[u64; NEAR] {
        READ.set(READ.get() + 1);
        self.0.first_chunk().unwrap()
    }

    fn word(&self, n: usize) -> u64 {
        READ.set(READ.get() + 1);
        self.0.get(n).copied().unwrap_or(0)
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Flow {
    key: Key,
    mask: Key,
    id: u32,
}

impl Flow {
    fn new(key: [u64; WORDS], mask: [u64; WORDS], id: u32) -> Self {
        Self {
            key: Key(std::array::from_fn(|i| key[i] & mask[i])),
            mask: Key(mask),
            id,
        }
    }

    /// `far`: moved up, so that nodes look at words that keys need not have in place.
    fn of((key, mask): &(flows::Key, flows::Key), id: usize, far: bool) -> Self {
        let mut wide = [[0; WORDS]; 2];
        let at = if far { WORDS - 16 } else { 0 };
        wide[0][at..at + 16].copy_from_slice(key);
        wide[1][at..at + 16].copy_from_slice(mask);
        Self::new(wide[0], wide[1], id as u32)
    }

    fn overlaps(&self, other: &Flow) -> bool {
        (0..WORDS).all(|i| (self.key.0[i] ^ other.key.0[i]) & self.mask.0[i] & other.mask.0[i] == 0)
    }
}

impl Leaf for Flow {
    type Key = Key;

    fn key(&self) -> &Key {
        &self.key
    }

    fn mask(&self) -> &Key {
        &self.mask
    }

    fn bits(&self) -> u64 {
        (0..WORDS)
            .filter(|i| self.mask.0[*i] != 0)
            .fold(0, |b, i| b | 1 << i)
    }

    fn matches(&self, key: &Key) -> bool {
        (0..WORDS).all(|i| key.0[i] & self.mask.0[i] == self.key.0[i])
    }
}

type Tree = TreeTable<Flow, 1>;

fn tree() -> Tree {
    Tree::new([4], GFP_KERNEL).unwrap()
}

fn lock() -> OvsGuard {
    OvsGuard::lock(&process_context())
}

fn add(t: &Tree, ovs: &OvsGuard, flow: Flow) -> Result<(), AllocError> {
    let new = TableBox::new(flow, GFP_KERNEL)?;
    t.insert(ovs, new, [Some(flow.id)]).map(drop)
}

/// Inserts `flow` unless `key`, which it matches, is taken; says whether it did.
fn offer(t: &Tree, ovs: &OvsGuard, flow: Flow, key: &Key) -> bool {
    let new = TableBox::new(flow, GFP_KERNEL).unwrap();
    match t.insert_unless_found(ovs, new, [Some(flow.id)], key) {
        Ok(Inserted::Yes(entry)) => {
            assert_eq!(*entry, flow);
            true
        }
        Ok(Inserted::No(found, new)) => {
            assert!(found.matches(key) && *new == flow);
            false
        }
        Err(e) => panic!("{e:?}"),
    }
}

fn take(t: &Tree, ovs: &OvsGuard, flow: &Flow) -> bool {
    let entry = t.find_by::<0>(flow.id, ovs, |f| f.id == flow.id);
    entry.is_some_and(|entry| t.remove(ovs, entry).is_some())
}

/// What is found, with a stack that suffices; and at what cost.
#[track_caller]
fn look(t: &Tree, key: &Key) -> (Option<u32>, u32) {
    let rcu = RcuGuard::new();
    let found = t.tree.find::<64>(key, &rcu, |f| f.matches(key));
    assert!(!found.gave_up);
    (found.entry.map(|e| e.id), found.masks)
}

/// I1 to I4; returns the nodes, and the deepest leaf.
fn check(t: &Tree) -> (usize, usize) {
    let ovs = lock();
    let (mut seen, mut nodes, mut deepest, mut bytes) = (vec![], 0, 0, 0);
    let root = t.tree.root.load(Ordering::Relaxed);
    check_below(t, root, None, 0, &mut |child, depth| match child {
        Below::Leaf(id) => {
            seen.push(id);
            deepest = deepest.max(depth);
        }
        Below::Node(n) => {
            nodes += 1;
            bytes += n.bytes_taken();
        }
    });
    let mut all: Vec<u32> = t.iter(&ovs).map(|e| e.id).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all, "I4: each entry below one link");
    assert!(nodes < all.len().max(1), "I4: fewer nodes than entries");
    assert_eq!(t.tree.bytes.load(Ordering::Relaxed), bytes);
    (nodes, deepest)
}

enum Below {
    Leaf(u32),
    Node(NodePtr),
}

/// The flows below, and what lookups visit there at most.
fn check_below(
    t: &Tree,
    at: Child,
    parent: Option<NodePtr>,
    depth: usize,
    tell: &mut dyn FnMut(Below, usize),
) -> (Vec<Flow>, u32) {
    if at.is_null() {
        return (vec![], 0);
    }
    if let Some(entry) = t.tree.entry(at) {
        tell(Below::Leaf(entry.id), depth);
        return (vec![*entry], 1);
    }
    // SAFETY: from a link, and nobody changes the tree.
    let node = unsafe { NodePtr::of(at) }.unwrap();
    assert!(node.parent() == parent);
    tell(Below::Node(node), depth);
    let mut below = |child| check_below(t, child, Some(node), depth + 1, tell);
    let (other, other_cost) = below(node.other.load(Ordering::Relaxed));
    let mut inn = vec![];
    let mut cost = 0;
    let mut sides = usize::from(!other.is_empty());
    if node.is_fork() {
        (inn, cost) = below(node.inn.load(Ordering::Relaxed));
        sides += usize::from(!inn.is_empty());
        assert!(
            inn.iter().all(|f| node.is_wordless() || node.side(f).0),
            "I2"
        );
        for flow in &other {
            let (inside, outside) = node.side(flow);
            assert!(!inside || node.is_wordless(), "I2");
            assert!(outside || node.overlaps(), "I2");
        }
        cost = 1 + if node.overlaps() {
            cost + other_cost
        } else {
            cost.max(other_cost)
        };
    } else {
        let mut live = 0;
        for slot in node.live_slots() {
            let (flows, of) = below(slot.child.load(Ordering::Relaxed));
            assert!(!flows.is_empty());
            for flow in &flows {
                let place = node.place_of(flow, &t.tree.secret);
                assert_eq!(place, Some(slot.hash()), "I1");
                assert_eq!(
                    node.hash(node.tag(), &flow.key, &t.tree.secret),
                    slot.hash()
                );
            }
            cost = cost.max(of);
            live += 1;
            inn.extend(flows);
        }
        assert!(cost <= node.child_cost(), "I3");
        let has_place = |f| node.place_of(f, &t.tree.secret).is_some();
        assert!(!other.iter().any(has_place), "I1");
        assert_eq!(node.counts().0, live);
        assert!(live > 0);
        sides += live as usize;
        cost += 1 + other_cost;
    }
    assert!(sides >= 2, "I4: two sides");
    inn.extend(other);
    assert_eq!(node.size() as usize, inn.len(), "I3");
    assert!(cost <= node.cost(), "I3: {cost} > {}", node.cost());
    (inn, cost)
}

/// Flows and packets of few values, so that they meet.
fn small_flow() -> impl Strategy<Value = ([u64; WORDS], [u64; WORDS])> {
    let word = || (0u64..8, prop::sample::select(vec![0u64, 1, 4, 6, 7]));
    let place = prop::sample::select(vec![0usize, 1, 5, 16, 19]);
    prop::collection::vec((place, word()), 1..5).prop_map(|words| {
        let (mut key, mut mask) = ([0; WORDS], [0; WORDS]);
        words
            .iter()
            .for_each(|(i, (k, m))| (key[*i], mask[*i]) = (*k, *m));
        (key, mask)
    })
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a test's")]
enum Step {
    /// Also if it overlaps what is there.
    Add([u64; WORDS], [u64; WORDS], bool),
    /// Unless the key itself is matched by what is there.
    Offer([u64; WORDS], [u64; WORDS]),
    Take(usize),
    Tidy,
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (small_flow(), prop::bool::weighted(0.2)).prop_map(|((k, m), any)| Step::Add(k, m, any)),
        6 => small_flow().prop_map(|(k, m)| Step::Offer(k, m)),
        6 => (0usize..1000).prop_map(Step::Take),
        1 => Just(Step::Tidy),
        1 => prop::bool::weighted(0.1).prop_map(|f| if f { Step::Flush } else { Step::Tidy }),
    ]
}

/// Each packet of few values: what is found is right, and what there is is found, also by who has a stack of one.
fn compare(t: &Tree, model: &[Flow], rng: &mut Rng) {
    let rcu = RcuGuard::new();
    for _ in 0..20 {
        let mut key = [0; WORDS];
        [0, 1, 5, 16, 19]
            .iter()
            .for_each(|i| key[*i] = rng.next() & 7);
        if let Some(flow) = (!model.is_empty()).then(|| &model[rng.below(model.len())]) {
            (0..WORDS).for_each(|i| key[i] = key[i] & !flow.mask.0[i] | flow.key.0[i]);
        }
        let key = Key(key);
        let right: Vec<u32> = model
            .iter()
            .filter(|f| f.matches(&key))
            .map(|f| f.id)
            .collect();
        match look(t, &key) {
            (Some(id), _) => assert!(right.contains(&id)),
            (None, _) => assert!(right.is_empty(), "missed {right:?}"),
        }
        let short = t.find(&key, &rcu, |f| f.matches(&key));
        assert_eq!(short.entry.is_some(), !right.is_empty());
        // Each of those that match can be told to be the one.
        for id in right {
            let found = t.tree.find::<64>(&key, &rcu, |f| f.id == id);
            assert_eq!(found.entry.map(|e| e.id), Some(id));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn behaves_like_a_list(steps in prop::collection::vec(step(), 1..200), seed in 1u64..) {
        let before = live();
        let t = tree();
        let (mut model, mut rng) = (Vec::<Flow>::new(), Rng(seed));
        for (id, step) in (0..).zip(steps) {
            let ovs = lock();
            match step {
                Step::Add(key, mask, any) => {
                    let new = Flow::new(key, mask, id);
                    let same = |f: &Flow| f.key == new.key && f.mask == new.mask;
                    if !model.iter().any(|f| same(f) || !any && f.overlaps(&new)) {
                        add(&t, &ovs, new).unwrap();
                        model.push(new);
                    }
                }
                Step::Offer(key, mask) => {
                    let new = Flow::new(key, mask, id);
                    let taken = model.iter().any(|f| f.matches(&Key(key)));
                    prop_assert_eq!(offer(&t, &ovs, new, &Key(key)), !taken);
                    if !taken {
                        model.push(new);
                    }
                }
                Step::Take(i) => {
                    if !model.is_empty() {
                        let gone = model.swap_remove(i % model.len());
                        prop_assert!(take(&t, &ovs, &gone));
                        prop_assert!(!take(&t, &ovs, &gone));
                    }
                }
                Step::Tidy => _ = t.tidy(&mut {TIDY}, &ovs),
                Step::Flush => {
                    t.flush(&ovs);
                    model.clear();
                }
            }
            drop(ovs);
            check(&t);
            compare(&t, &model, &mut rng);
        }
        for flow in &model {
            prop_assert!(take(&t, &lock(), flow));
            check(&t);
        }
        prop_assert!(t.tree.root.load(Ordering::Relaxed).is_null());
        prop_assert_eq!(t.tree.bytes.load(Ordering::Relaxed), 0);
        drop(t);
        sys::rcu_barrier();
        prop_assert_eq!(live(), before);
    }
}

/// Flows of `set` come in this order, and all are found; with words in place and without.
fn fill(set: &Flows, far: bool) -> Tree {
    let t = tree();
    for (id, flow) in set.iter().enumerate() {
        add(&t, &lock(), Flow::of(flow, id, far)).unwrap();
        if id % 64 == 0 {
            sys::rcu_barrier();
        }
    }
    t
}

/// A kind of flows: how many visits a packet takes on average and at most, and how many entries an insert rebuilds.
struct Kind {
    name: &'static str,
    set: Flows,
    mean: f64,
    worst: u32,
    rebuilt: f64,
    bytes: usize,
}

fn kind(name: &'static str, set: Flows, mean: f64, worst: u32, rebuilt: f64, bytes: usize) -> Kind {
    Kind {
        name,
        set,
        mean,
        worst,
        rebuilt,
        bytes,
    }
}

/// In the order in which they are made, and the other way round, and in none.
fn in_order(set: &Flows, order: usize) -> Flows {
    let mut set = set.clone();
    match order {
        0 => Rng(9).shuffle(&mut set),
        1 => (),
        _ => set.reverse(),
    }
    set
}

/// Measures a kind of flows in all three orders; the limits are for all.
fn measure(kind: &Kind) {
    for order in 0..3 {
        let set = in_order(&kind.set, order);
        let t = fill(&set, false);
        let (nodes, depth) = check(&t);
        let mut rng = Rng(11);
        let (mut visits, mut worst, mut gave_up) = (0u64, 0, 0);
        for (id, flow) in set.iter().enumerate() {
            let key = Flow::of(&(rng.packet(flow), flow.1), 0, false).key;
            let (found, masks) = look(&t, &key);
            assert!(found.is_some(), "{}: flow {id} in order {order}", kind.name);
            visits += u64::from(masks);
            worst = worst.max(masks);
            let rcu = RcuGuard::new();
            gave_up += u32::from(t.tree.find::<16>(&key, &rcu, |f| f.matches(&key)).gave_up);
        }
        let mean = visits as f64 / set.len() as f64;
        let [rebuilt, largest] = [0, 1].map(|i| t.tree.work[i].load(Ordering::Relaxed));
        let rebuilt = rebuilt as f64 / set.len() as f64;
        let bytes = t.tree.bytes.load(Ordering::Relaxed) / set.len();
        println!(
            "{} {order}: {} flows, visits {mean:.1} worst {worst}, nodes {nodes}, depth {depth}, bytes {bytes}, rebuilt {rebuilt:.2}, \
            largest {largest}, cost {}, gave up {gave_up}",
            kind.name, set.len(), t.cost(&lock())
        );
        assert!(mean <= kind.mean, "{} {order}: {mean} visits", kind.name);
        assert!(
            worst <= kind.worst,
            "{} {order}: {worst} visits at worst",
            kind.name
        );
        assert!(
            rebuilt <= kind.rebuilt,
            "{} {order}: {rebuilt} rebuilt an insert",
            kind.name
        );
        assert!(
            bytes <= kind.bytes,
            "{} {order}: {bytes} bytes a flow",
            kind.name
        );
        assert!(largest <= balance::CAP_BAD as usize);
        assert_eq!(gave_up, 0, "{} {order}", kind.name);
    }
}

#[test]
fn limits_of_what_pipelines_and_attackers_make() {
    for kind in [
        kind("l2", flows::l2(2000, 1), 1.0, 1, 0.0, 34),
        kind("l2, 8 masks", flows::l2(5000, 8), 7.0, 12, 0.1, 34),
        kind("exact", flows::exact(5000), 1.0, 1, 0.0, 34),
        kind("pipeline", flows::pipeline(3000, 12, 77), 7.0, 14, 0.5, 70),
        kind(
            "pipelines",
            flows::pipeline(10_000, 400, 77),
            3.0,
            8,
            0.1,
            60,
        ),
        kind("attack 16", flows::attack([16, 1, 1]), 7.0, 12, 4.0, 70),
        kind("attack 128", flows::attack([16, 8, 1]), 11.0, 18, 8.0, 70),
        kind("attack 1024", flows::attack([16, 8, 8]), 15.0, 24, 8.0, 70),
        kind(
            "attack 8192",
            flows::attack([32, 16, 16]),
            16.0,
            30,
            8.0,
            70,
        ),
        kind("attack IPv6", flows::attack6(64), 20.0, 50, 8.0, 70),
        kind("holdout", flows::holdout(8192), 8.0, 24, 3.0, 40),
    ] {
        measure(&kind);
    }
}

#[test]
fn limits_of_hostile_sets() {
    for kind in [
        kind("two pipelines", flows::mixture(10_000), 3.0, 8, 0.1, 60),
        kind("no common bit", flows::cyclic(5), 20.0, 40, 9.0, 80),
        kind("cubes", flows::cubes(1000), 50.0, 120, 6.0, 80),
    ] {
        measure(&kind);
    }
}

#[test]
fn an_attack_on_one_port_costs_the_others_nothing() {
    let attack = flows::attack([32, 16, 16]);
    let port = |flow: &(flows::Key, flows::Key)| flow.0[4] >> 32;
    let attacked = port(&attack[0]);
    let victims: Flows = flows::l2(1000, 1);
    let victims: Flows = victims
        .into_iter()
        .filter(|f| port(f) != attacked)
        .collect();
    for order in 0..3 {
        // In no order; the attack first; the others first.
        let mut set = match order {
            1 => [&attack[..], &victims].concat(),
            _ => [&victims[..], &attack].concat(),
        };
        if order == 0 {
            Rng(9).shuffle(&mut set);
        }
        let t = fill(&set, false);
        t.tidy(&mut { TIDY }, &lock());
        check(&t);
        let mut rng = Rng(3);
        let others = set.iter().enumerate().filter(|(_, f)| port(f) != attacked);
        for (id, flow) in others {
            let (found, masks) = look(&t, &Flow::of(&(rng.packet(flow), flow.1), 0, false).key);
            assert_eq!(found, Some(id as u32));
            assert!(masks <= 4, "{masks} in order {order}");
        }
    }
}

/// Nodes look at words that a key need not have in place, and find the same.
#[test]
fn words_beyond_the_near_ones() {
    let set = in_order(&flows::attack([8, 8, 4]), 0);
    let (near, far) = (fill(&set, false), fill(&set, true));
    check(&far);
    let mut rng = Rng(1);
    for (id, flow) in set.iter().enumerate() {
        let packet = (rng.packet(flow), flow.1);
        let [a, b] =
            [(&near, false), (&far, true)].map(|(t, f)| look(t, &Flow::of(&packet, 0, f).key));
        assert_eq!((a.0, b.0), (Some(id as u32), Some(id as u32)));
    }
}

#[test]
fn what_nothing_tells_apart_is_a_chain_of_bounded_depth_to_walk() {
    let set = flows::overlapping(600);
    let t = fill(&set, false);
    check(&t);
    // A key of zeros is in all of them.
    let zero = Flow::of(&([0; 16], [0; 16]), 0, false);
    let mut key = Flow::of(&set[0], 0, false).key;
    key.0[7] = 0;
    for id in [0, 1, 300, 599] {
        let rcu = RcuGuard::new();
        let found = t.tree.find::<64>(&key, &rcu, |f| f.id == id);
        assert_eq!(found.entry.map(|e| e.id), Some(id));
        assert!(found.masks <= 1200);
    }
    assert!(zero.matches(&key));
    t.tidy(&mut { TIDY }, &lock());
    check(&t);
    for id in (0..600).step_by(2).chain((1..600).step_by(2)) {
        assert!(take(&t, &lock(), &Flow::of(&set[id], id, false)));
    }
    assert_eq!(check(&t), (0, 0));
}

/// After much coming and going lookups cost what they did before, and memory is what the flows need.
#[test]
fn churn_leaves_no_trace() {
    let set = in_order(&flows::attack([16, 16, 8]), 0);
    let t = fill(&set, false);
    let cost = |t: &Tree| {
        let mut rng = Rng(5);
        let visits = set
            .iter()
            .map(|f| look(t, &Flow::of(&(rng.packet(f), f.1), 0, false).key).1);
        visits.map(u64::from).sum::<u64>()
    };
    let before = cost(&t);
    let mut rng = Rng(8);
    for _ in 0..5 {
        let mut some: Vec<usize> = (0..set.len()).filter(|_| rng.below(3) == 0).collect();
        some.iter()
            .for_each(|id| assert!(take(&t, &lock(), &Flow::of(&set[*id], *id, false))));
        rng.shuffle(&mut some);
        some.iter()
            .for_each(|id| add(&t, &lock(), Flow::of(&set[*id], *id, false)).unwrap());
        t.tidy(&mut { TIDY }, &lock());
        sys::rcu_barrier();
    }
    check(&t);
    let after = cost(&t);
    assert!(after * 10 <= before * 12, "{before} to {after}");
}

#[test]
fn tables_shrink_when_most_entries_have_left() {
    let set = flows::exact(20_000);
    let t = fill(&set, false);
    let full = t.tree.bytes.load(Ordering::Relaxed);
    (100..set.len()).for_each(|id| assert!(take(&t, &lock(), &Flow::of(&set[id], id, false))));
    assert_eq!(t.tree.bytes.load(Ordering::Relaxed), full);
    t.tidy(&mut { TIDY }, &lock());
    check(&t);
    assert!(t.tree.bytes.load(Ordering::Relaxed) < full / 50);
    assert!((0..100).all(|id| look(&t, &Flow::of(&set[id], 0, false).key).0 == Some(id as u32)));
}

#[test]
fn a_table_that_cannot_grow_takes_some_more() {
    let set = flows::exact(2000);
    let t = fill(&set[..768].to_vec(), false);
    let mut n = 768;
    // One allocation for the entry, then the larger table.
    let refused = loop {
        let new = TableBox::new(Flow::of(&set[n], n, false), GFP_KERNEL).unwrap();
        crate::sys::testing::fail_nth(1);
        let added = t.insert(&lock(), new, [Some(n as u32)]).is_ok();
        crate::sys::testing::fail_nth(0);
        if !added {
            break n;
        }
        n += 1;
    };
    assert!((900..1024).contains(&refused), "{refused}");
    check(&t);
    add(&t, &lock(), Flow::of(&set[n], n, false)).unwrap();
    assert!((0..=n).all(|i| look(&t, &Flow::of(&set[i], 0, false).key).0 == Some(i as u32)));
}

#[test]
fn failing_allocations_change_nothing() {
    let mut set = flows::attack([6, 4, 2]);
    set.extend(flows::overlapping(12));
    set.extend(flows::l2(12, 2));
    let set = in_order(&set, 0);
    let failed = each_failure(|| {
        let t = Tree::new([4], GFP_KERNEL)?;
        for (id, flow) in set.iter().enumerate() {
            let new = Flow::of(flow, id, false);
            let before = t.len();
            let added = add(&t, &lock(), new);
            if let Err(e) = added {
                assert_eq!(t.len(), before);
                let (nodes, _) = check(&t);
                assert!(nodes < before.max(1));
                add(&t, &lock(), new)?;
                assert_eq!(t.len(), before + 1);
                check(&t);
                return Err(e);
            }
        }
        t.tidy(&mut { TIDY }, &lock());
        check(&t);
        // Removing takes no memory.
        let ovs = lock();
        let before = made();
        for (id, flow) in set.iter().enumerate() {
            assert!(take(&t, &ovs, &Flow::of(flow, id, false)));
        }
        assert_eq!(made(), before);
        drop(ovs);
        check(&t);
        Ok(())
    });
    assert!(failed > 200, "{failed}");
}

/// While much waits to be freed nothing is rebuilt: the tree gets deeper, and stays right.
#[test]
fn without_memory_for_balance_lookups_only_get_dearer() {
    let t = tree();
    let set = flows::attack([32, 4, 1]);
    let (begin, end) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|s| {
        s.spawn(|| {
            let _reader = RcuGuard::new();
            begin.wait();
            end.wait();
        });
        begin.wait();
        t.tree.retired.store(usize::MAX / 2, Ordering::Relaxed);
        for (id, flow) in set.iter().enumerate() {
            add(&t, &lock(), Flow::of(flow, id, false)).unwrap();
        }
        end.wait();
    });
    assert_eq!(t.tree.work[0].load(Ordering::Relaxed), 0);
    check(&t);
    let dear = t.cost(&lock());
    t.tidy(&mut { TIDY }, &lock());
    check(&t);
    assert!(t.tree.retired.load(Ordering::Relaxed) < usize::MAX / 2);
    let cost = t.cost(&lock());
    assert!(cost <= 16 && dear > 2 * cost, "{dear}, then {cost}");
}

/// Readers on other threads miss nothing that stays.
#[test]
fn readers_never_miss_what_stays() {
    use std::sync::atomic::AtomicBool;
    let set = in_order(&flows::attack([8, 8, 4]), 0);
    let t = tree();
    let (stay, go) = set.split_at(100);
    for (id, flow) in stay.iter().enumerate() {
        add(&t, &lock(), Flow::of(flow, id, false)).unwrap();
    }
    let stop = AtomicBool::new(false);
    let account = kernel::alloc::testing::Account::current();
    std::thread::scope(|s| {
        for seed in 1..3 {
            let (t, stop) = (&t, &stop);
            s.spawn(move || {
                account.adopt();
                let mut rng = Rng(seed);
                while !stop.load(Ordering::Relaxed) {
                    let id = rng.below(stay.len());
                    let key = Flow::of(&(rng.packet(&stay[id]), stay[id].1), 0, false).key;
                    assert_eq!(look(t, &key).0, Some(id as u32));
                }
            });
        }
        let mut rng = Rng(77);
        for _ in 0..20 {
            let mut order: Vec<usize> = (0..go.len()).collect();
            rng.shuffle(&mut order);
            let flow = |i: usize| Flow::of(&go[i], 1000 + i, false);
            order
                .iter()
                .for_each(|i| add(&t, &lock(), flow(*i)).unwrap());
            t.tidy(&mut { TIDY }, &lock());
            rng.shuffle(&mut order);
            order
                .iter()
                .for_each(|i| assert!(take(&t, &lock(), &flow(*i))));
            sys::rcu_barrier();
        }
        stop.store(true, Ordering::Relaxed);
    });
    check(&t);
}

/// 1024 masks that each lack some of 896 bits, and keys with three bits of those, or with any.
fn random_masks(n: usize, sparse: bool) -> Vec<Flow> {
    const USED: usize = 14;
    let mut rng = Rng(77);
    let masks: Vec<[u64; WORDS]> = (0..1024)
        .map(|_| {
            let mut mask = [0; WORDS];
            mask[..USED].fill(!0);
            for _ in 0..28 {
                let bit = rng.below(USED * 64);
                mask[bit / 64] &= !(1 << (bit % 64));
            }
            mask
        })
        .collect();
    (0..n)
        .map(|id| {
            let mut key = [0; WORDS];
            if sparse {
                for _ in 0..3 {
                    let bit = rng.below(USED * 64);
                    key[bit / 64] |= 1 << (bit % 64);
                }
            } else {
                key[..USED].fill_with(|| rng.next());
            }
            Flow::new(key, masks[rng.below(masks.len())], id as u32)
        })
        .collect()
}

/// Entries that the tree can hardly tell apart are refused before lookups are dearer than a try of each of C's masks; no
/// rebuilding makes them dearer than that either.
#[test]
fn what_is_too_dear_is_refused() {
    for (sparse, n) in [(true, 12_000), (false, 6_000)] {
        let set = random_masks(n, sparse);
        let (t, ovs) = (tree(), lock());
        let mut in_it = vec![];
        for flow in &set {
            match add(&t, &ovs, *flow) {
                Ok(()) => in_it.push(flow),
                Err(AllocError) => assert!(t.cost(&ovs) >= MAX_VISITS),
            }
        }
        assert_eq!(t.len(), in_it.len());
        assert_eq!(sparse, in_it.len() < n, "{} of {n}", in_it.len());
        for _ in 0..3 {
            t.tidy(&mut { TIDY }, &ovs);
            assert!(t.cost(&ovs) <= MAX_VISITS + 1);
        }
        for flow in in_it.drain(..) {
            assert!(look(&t, &flow.key).1 <= MAX_VISITS + 1);
            assert!(take(&t, &ovs, flow));
        }
        assert!(t.is_empty() && t.cost(&ovs) == 0);
    }
}

/// Each matches any half of the bits of many words, under one of 4096 masks: it is as dear as can be to find a bit that tells
/// some apart, and there is none that all match.
fn half_of_the_bits(n: usize) -> impl Iterator<Item = Flow> {
    let mut rng = Rng(77);
    let masks: Vec<[u64; WORDS]> = (0..4096)
        .map(|_| [(); WORDS].map(|()| rng.next()))
        .collect();
    (0..n).map(move |id| {
        let key = [(); WORDS].map(|()| rng.next());
        Flow::new(key, masks[rng.below(masks.len())], id as u32)
    })
}

/// How long the mutex is held does not depend on what the masks are.
#[test]
fn no_section_reads_more_than_it_may() {
    let (t, ovs) = (tree(), lock());
    let inserts = half_of_the_bits(12_000).map(|flow| {
        words_read(|| {
            let new = TableBox::new(flow, GFP_KERNEL).unwrap();
            assert!(t.insert(&ovs, new, [None]).is_ok());
        })
    });
    let insert = inserts.max().unwrap();
    let mut left = TIDY;
    let mut through = false;
    let mut sections = vec![];
    while !through && left != 0 {
        sections.push(words_read(|| through = t.tidy(&mut left, &ovs)));
    }
    println!("insert {insert}, sections {sections:?}, left {left}");
    assert!(insert <= balance::INSERT.into());
    let most = u64::from(balance::SECTION + balance::REBUILD);
    assert!(sections.iter().all(|read| *read <= most));
    // What it takes off is no less than what it reads.
    assert!(sections.iter().sum::<u64>() <= u64::from(TIDY - left));
}

/// A rebuild for which too little is left changes nothing, and reads no more than was left.
#[test]
fn what_is_too_dear_to_rebuild_stays() {
    let t = tree();
    half_of_the_bits(1000).for_each(|flow| add(&t, &lock(), flow).unwrap());
    let root = t.tree.root.load(Ordering::Relaxed);
    // SAFETY: the tree's own link, by its writer.
    let node = unsafe { NodePtr::of(root) }.unwrap();
    let try_with = |words: u32| {
        let meter = Meter::new(words);
        let (ovs, mut done) = (lock(), false);
        let rebuild = || t.tree.rebuild(&t.tree.root, node, &meter, &ovs).is_ok();
        let read = words_read(|| done = rebuild());
        (done, meter.gave_up(), read)
    };
    let before = made();
    assert_eq!(try_with(200_000), (false, true, 0));
    assert_eq!(made(), before, "not even memory");
    let (done, gave_up, read) = try_with(300_000);
    assert!(
        !done && gave_up && (10_000..310_000).contains(&read),
        "{read}"
    );
    assert!(t.tree.root.load(Ordering::Relaxed) == root);
    check(&t);
    let (done, gave_up, _) = try_with(balance::INSERT);
    assert!(done && !gave_up);
    check(&t);
}

/// What a large table costs is found out in one section, so that it falls when what was dear below it has left.
#[test]
fn the_cost_of_a_large_table_falls() {
    let (t, ovs) = (tree(), lock());
    let word = |n: usize, value: u64| {
        let mut words = [0; WORDS];
        words[n] = value;
        words
    };
    // Pairs of flows by one word that all match, of which another tells the two apart.
    for id in 0..9000 * 2u32 {
        let (mut key, mut mask) = (word(0, u64::from(id / 2) + 1), word(0, !0));
        key[1] = u64::from(id & 1);
        mask[1] = 1 << (id & 1) | 1;
        add(&t, &ovs, Flow::new(key, mask, id)).unwrap();
    }
    t.tidy(&mut { TIDY }, &ovs);
    // Below one of its slots flows that nothing tells apart but chains.
    let mut rng = Rng(5);
    let mut chain = vec![];
    for id in 100_000.. {
        let (mut key, mut mask) = (word(0, 1), word(0, !0));
        for n in 2..6 {
            mask[n] = rng.next();
            key[n] = rng.next() & mask[n];
        }
        let flow = Flow::new(key, mask, id);
        if add(&t, &ovs, flow).is_err() || chain.len() == 6000 {
            break;
        }
        chain.push(flow);
    }
    let dear = t.cost(&ovs);
    let through = |t: &Tree| {
        let mut left = TIDY;
        while left != 0 && !t.tidy(&mut left, &ovs) {}
    };
    through(&t);
    for flow in &chain {
        assert!(take(&t, &ovs, flow));
    }
    for _ in 0..3 {
        through(&t);
    }
    let cost = t.cost(&ovs);
    assert!(dear > 50 && cost < 20, "{dear}, {cost}");
    drop(ovs);
    check(&t);
}

/// What has left does not keep others out: a few entries are never dear, whatever their nodes have had below them.
#[test]
fn room_comes_back_when_entries_leave() {
    let (t, ovs) = (tree(), lock());
    let set = random_masks(12_000, true);
    let (mut in_it, mut refused) = (vec![], vec![]);
    for flow in &set {
        match add(&t, &ovs, *flow) {
            Ok(()) => in_it.push(flow),
            Err(AllocError) => refused.push(flow),
        }
    }
    let next = refused.first().expect("one too dear");
    in_it.drain(100..).for_each(|f| assert!(take(&t, &ovs, f)));
    assert!(t.cost(&ovs) <= 200, "{}", t.cost(&ovs));
    add(&t, &ovs, **next).unwrap();
    drop(ovs);
    check(&t);
}

/// Three levels: the port; of each port another word; of each value of that another word again.
fn levels() -> Vec<Flow> {
    let flow = |i: usize| {
        let (port, v, w) = (i % 4, i / 4 % 128, i / 512);
        let (mut key, mut mask) = ([0; WORDS], [0; WORDS]);
        for (word, value) in [(4, port), (port, v), (8 + v % 4, w)] {
            (key[word], mask[word]) = (value as u64 + 1, !0);
        }
        Flow::new(key, mask, i as u32)
    };
    (0..4 * 128 * 14).map(flow).collect()
}

/// A round looks at no more than it may, however large the table is, and the next one goes on: in the end all is as after a
/// round without limit.
#[test]
fn short_rounds_do_what_a_long_one_does() {
    let set = levels();
    let end = |left: u32, rounds: usize| {
        let (t, ovs) = (tree(), lock());
        set.iter().for_each(|flow| add(&t, &ovs, *flow).unwrap());
        for flow in &set[4 * 128 * 3..] {
            assert!(take(&t, &ovs, flow));
        }
        for _ in 0..rounds {
            t.tidy(&mut { left }, &ovs);
        }
        drop(ovs);
        check(&t);
        t.tree.bytes.load(Ordering::Relaxed)
    };
    let (before, long) = (end(TIDY, 0), end(TIDY, 1));
    let short = [1, 10, 80].map(|rounds| end(32 * LOOK, rounds));
    println!("{before} {short:?} {long}");
    assert!(before > short[0] && short[0] > short[1] && short[1] > long);
    assert_eq!(short[2], long);
}

/// What is only looked at counts as well: the mutex is held as long for it.
#[test]
fn a_round_pays_for_what_it_looks_at() {
    let spent = |t: &Tree| {
        let mut left = TIDY;
        t.tidy(&mut left, &lock());
        TIDY - left
    };
    // A large node of small ones, all in balance.
    let mut set = flows::exact(4000);
    for i in 0..set.len() {
        let (mut key, mut mask) = set[i];
        (key[2], mask[2]) = (5, !0);
        set.push((key, mask));
    }
    let t = fill(&set, false);
    spent(&t);
    let links = spent(&t);
    assert!(links >= 4000 * LOOK, "{links}");
    let mut left = 1600 * LOOK;
    t.tidy(&mut left, &lock());
    assert_eq!(left, 0);
    // Entries alone need no look.
    let t = fill(&flows::exact(4000), false);
    spent(&t);
    let flat = spent(&t);
    assert!(flat < 160 * LOOK, "{flat}");
    // A root that might be better is asked about all entries, but not again before there are others.
    let set = in_order(&flows::pipeline(6000, 1, 77), 0);
    let t = fill(&set, false);
    let (first, second) = (spent(&t), spent(&t));
    let price = (set.len() * ENTRY) as u32;
    assert!(first >= price, "{first} {price}");
    assert!(second < price, "{second} {price}");
}

/// Many entries that overlap, offered with and without memory, while short rounds of the periodic work go on: against a list.
#[test]
fn offers_behave_like_a_list_without_memory_and_in_short_rounds() {
    for seed in 1..=6u64 {
        let (t, mut rng) = (tree(), Rng(seed * 7919));
        let mut model = Vec::<Flow>::new();
        let masks: [u64; 8] = [0, !0, 0xf, 0xff, 0x3, 0xf0, 0x1, 0xff00];
        let deep = rng.below(3) == 0;
        let many = if deep { 150u64 } else { 1500 };
        let small = [0xffff, 0x33, 7][rng.below(3)];
        let n_masks = 2 + rng.below(7);
        let (mut failed, mut refused) = (0, 0);
        for id in 0..many * 2u64 {
            let (mut key, mut mask) = ([0; WORDS], [0; WORDS]);
            for i in [0usize, 1, 5, 16] {
                if deep {
                    // Prefixes, the longest first: all overlap, and none takes the key of a later one.
                    let n = (64 - id * 64 / (many * 2)).saturating_sub(rng.below(3) as u64) as u32;
                    mask[i] = !(!0u64).checked_shr(n).unwrap_or(0);
                    key[i] = (1u64 << 63).checked_shr(n).unwrap_or(0)
                        | rng.next().checked_shr(n + 1).unwrap_or(0);
                } else {
                    key[i] = rng.next() & small;
                    mask[i] = masks[rng.below(n_masks)];
                }
            }
            if !deep {
                (key[4], mask[4]) = (rng.next() & 3, if rng.below(4) == 0 { 0 } else { !0 });
            }
            if deep {
                // Much waits to be freed, so nothing is built anew.
                t.tree.retired.store(usize::MAX / 2, Ordering::Relaxed);
                t.tree.retired_at.store(0, Ordering::Relaxed);
            }
            let ovs = lock();
            if rng.below(5) == 0 && !model.is_empty() {
                let gone = model.swap_remove(rng.below(model.len()));
                assert!(take(&t, &ovs, &gone));
                assert!(!take(&t, &ovs, &gone));
            }
            let flow = Flow::new(key, mask, id as u32);
            let taken = model.iter().any(|f| f.matches(&Key(key)));
            let new = TableBox::new(flow, GFP_KERNEL).unwrap();
            let nth = if rng.below(3) == 0 {
                1 + rng.below(4) as u32
            } else {
                0
            };
            crate::sys::testing::fail_nth(nth as _);
            let result = t.insert_unless_found(&ovs, new, [Some(flow.id)], &Key(key));
            crate::sys::testing::fail_nth(0);
            match result {
                Ok(Inserted::Yes(_)) => {
                    assert!(!taken);
                    model.push(flow);
                }
                Ok(Inserted::No(found, new)) => {
                    assert!(taken && found.matches(&Key(key)) && *new == flow);
                    refused += 1;
                }
                Err(_) => {
                    assert!(!taken && nth != 0);
                    failed += 1;
                }
            }
            if rng.below(10) == 0 {
                crate::sys::testing::fail_nth(rng.below(30) as _);
                t.tidy(&mut { (1 + rng.below(200) as u32) * 16 * LOOK }, &ovs);
                crate::sys::testing::fail_nth(0);
            }
            drop(ovs);
            if rng.below(20) == 0 || deep {
                check(&t);
            }
        }
        assert_eq!(t.len(), model.len());
        let (_, deepest) = check(&t);
        assert!(failed > 0 && refused > 0);
        assert!(!deep || deepest > 48, "{deepest}");
        for flow in &model {
            assert!(take(&t, &lock(), flow));
        }
        assert!(t.is_empty());
    }
}

/// A round that ended in what hangs beside a table of entries alone goes on there, and not at its first link again.
#[test]
fn short_rounds_go_on_beside_entries() {
    let (t, ovs) = (tree(), lock());
    let exact = flows::exact(600);
    for (id, flow) in exact.iter().enumerate() {
        add(&t, &ovs, Flow::of(flow, id, false)).unwrap();
    }
    for i in 0..1000u32 {
        let (mut key, mut mask) = ([0; WORDS], [0; WORDS]);
        (key[15], mask[15]) = (u64::from(i / 2) + 1, !0);
        if i % 2 == 1 {
            (key[14], mask[14]) = (1, !0);
        }
        add(&t, &ovs, Flow::new(key, mask, 1000 + i)).unwrap();
    }
    let came_to = [(); 4].map(|()| {
        t.tidy(&mut { 32 * LOOK }, &ovs);
        [0, 1].map(|i| t.tree.tidied[i].load(Ordering::Relaxed))
    });
    let [first, second, third, _] = came_to;
    assert!(
        first[0] != 0 && first[0] == second[0] && second[0] == third[0],
        "{came_to:?}"
    );
    assert!(first[1] < second[1] && second[1] < third[1], "{came_to:?}");
}
