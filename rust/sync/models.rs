// SPDX-License-Identifier: GPL-2.0
//! The RCU containers in all interleavings and all orders that memory may show: `make loom`.
//!
//! Each model is small; loom runs it once for every schedule with few preemptions. What is read is
//! a loom cell, so a read that races with initialisation or freeing fails the model.

use super::*;
use crate::sys::{
    self,
    testing::{self, process_context},
};
use kernel::alloc::flags::GFP_KERNEL;
use loom::{cell::UnsafeCell, sync::Arc, thread};

/// Written when made and when freed; read in between.
struct Probe(UnsafeCell<u32>);

// SAFETY: loom checks each access.
unsafe impl Send for Probe {}
// SAFETY: loom checks each access.
unsafe impl Sync for Probe {}

impl Probe {
    fn new(n: u32) -> Self {
        Self(UnsafeCell::new(n))
    }

    fn read(&self) -> u32 {
        // SAFETY: loom fails the model if this races.
        self.0.with(|p| unsafe { *p })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: loom fails the model if this races.
        self.0.with_mut(|p| unsafe { *p = u32::MAX });
    }
}

type Table = RcuTable<Probe, 1>;

fn slot_value(n: u32) -> Option<RcuBox<Probe>> {
    RcuBox::new(Probe::new(n), GFP_KERNEL).ok()
}

fn put(t: &Table, g: &OvsGuard, n: u32) {
    let entry = TableBox::new(Probe::new(n), GFP_KERNEL).unwrap();
    t.insert(g, entry, [Some(n)]);
}

fn find(t: &Table, token: &impl ReadToken, n: u32) -> Option<u32> {
    t.find::<0>(n, token, |p| p.read() == n)
        .map(|e| e.get().read())
}

fn remove(t: &Table, g: &OvsGuard, n: u32) {
    let entry = t.find::<0>(n, g, |p| p.read() == n).unwrap();
    drop(t.remove(g, entry).unwrap());
}

/// Explores `f`, and checks that each run frees what it allocated.
fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.max_branches = 20_000;
    builder.check(move || {
        testing::seed(1);
        let before = testing::live();
        f();
        sys::rcu_barrier();
        assert_eq!(testing::live(), before, "leak");
    });
}

/// A table of 2^`log2` buckets with entries `0..n`, in a thread of its own a reader.
fn with_reader(log2: u32, n: u32, read: fn(&Table), write: fn(&Table)) {
    model(move || {
        let t = Arc::new(Table::new([log2], GFP_KERNEL).unwrap());
        let g = OvsGuard::lock(&process_context());
        (0..n).for_each(|n| put(&t, &g, n));
        drop(g);
        let reader = thread::spawn({
            let t = t.clone();
            move || read(&t)
        });
        write(&t);
        reader.join().unwrap();
    });
}

#[test]
fn slot_shows_the_old_or_the_new_value() {
    model(|| {
        let slot = Arc::new(RcuSlot::new(slot_value(1)));
        let reader = thread::spawn({
            let slot = slot.clone();
            move || {
                let rcu = RcuGuard::new();
                let n = slot.read(&rcu).unwrap().read();
                assert!(n == 1 || n == 2);
            }
        });
        let g = OvsGuard::lock(&process_context());
        drop(slot.replace(&g, slot_value(2)));
        drop(g);
        testing::run_rcu();
        reader.join().unwrap();
    });
}

#[test]
fn pinned_value_outlives_slot_and_section() {
    model(|| {
        let slot = Arc::new(RcuSlot::new(slot_value(1)));
        let reader = thread::spawn({
            let slot = slot.clone();
            move || {
                let rcu = RcuGuard::new();
                let pin = slot.read(&rcu).map(RcuRef::pin);
                drop(rcu);
                assert_eq!(pin.map_or(1, |p| p.read()), 1);
            }
        });
        let g = OvsGuard::lock(&process_context());
        drop(slot.replace(&g, None));
        drop(g);
        testing::run_rcu();
        reader.join().unwrap();
    });
}

#[test]
fn mutex_holder_may_keep_what_it_retires() {
    model(|| {
        let slot = Arc::new(RcuSlot::new(slot_value(1)));
        let softirq = thread::spawn(|| testing::run_rcu());
        let g = OvsGuard::lock(&process_context());
        let old = slot.read(&g).unwrap();
        drop(slot.replace(&g, None));
        assert_eq!(old.read(), 1);
        drop(g);
        softirq.join().unwrap();
    });
}

#[test]
fn hold_keeps_what_readers_rely_on() {
    model(|| {
        let shared = Arc::new(Probe::new(7));
        struct Last(Arc<Probe>);
        impl Drop for Last {
            fn drop(&mut self) {
                // SAFETY: loom fails the model if a reader is at it.
                self.0 .0.with_mut(|p| unsafe { *p = 0 });
            }
        }
        let hold = Arc::new(RcuHold::new(Last(shared.clone()), GFP_KERNEL).unwrap());
        let open = Arc::new(atomic::AtomicU32::new(1));
        let reader = thread::spawn({
            let (open, shared) = (open.clone(), shared.clone());
            move || {
                let _rcu = RcuGuard::new();
                if open.load(atomic::Ordering::Relaxed) == 1 {
                    assert_eq!(shared.read(), 7);
                }
            }
        });
        let _ovs = OvsGuard::lock(&process_context());
        open.store(0, atomic::Ordering::Relaxed);
        hold.release();
        testing::run_rcu();
        reader.join().unwrap();
    });
}

fn list_of(n: u32) -> Arc<RcuList<Probe>> {
    let list = Arc::new(RcuList::new());
    let g = OvsGuard::lock(&process_context());
    (0..n).for_each(|n| append(&list, &g, n));
    list
}

fn append(list: &RcuList<Probe>, g: &OvsGuard, n: u32) {
    list.push(g, ListBox::new(Probe::new(n), GFP_KERNEL).unwrap());
}

/// What a reader saw of a list, in a thread of its own while `write` runs.
fn list_reader(n: u32, write: fn(&RcuList<Probe>), check: fn(Vec<u32>)) {
    model(move || {
        let list = list_of(n);
        let reader = thread::spawn({
            let list = list.clone();
            move || check(list.iter(&RcuGuard::new()).map(Probe::read).collect())
        });
        write(&list);
        reader.join().unwrap();
    });
}

#[test]
fn list_entry_is_seen_whole() {
    list_reader(
        1,
        |list| append(list, &OvsGuard::lock(&process_context()), 1),
        |seen| assert!(seen == [0] || seen == [0, 1]),
    );
}

#[test]
fn list_removals_hide_nothing_else() {
    list_reader(
        4,
        |list| {
            let g = OvsGuard::lock(&process_context());
            drop(list.remove(&g, |p| p.read() == 1));
            drop(list.remove(&g, |p| p.read() == 2));
            drop(g);
            testing::run_rcu();
        },
        |seen| {
            assert_eq!(seen.first(), Some(&0));
            assert_eq!(seen.last(), Some(&3));
        },
    );
}

#[test]
fn inserted_entry_is_seen_whole() {
    with_reader(
        1,
        0,
        |t| assert!(matches!(find(t, &RcuGuard::new(), 7), None | Some(7))),
        |t| put(t, &OvsGuard::lock(&process_context()), 7),
    );
}

#[test]
fn removal_does_not_hide_the_rest_of_the_chain() {
    with_reader(
        0,
        3,
        |t| assert_eq!(find(t, &RcuGuard::new(), 0), Some(0)),
        |t| {
            remove(t, &OvsGuard::lock(&process_context()), 1);
            testing::run_rcu();
        },
    );
}

#[test]
fn growth_hides_nothing() {
    with_reader(
        0,
        1,
        |t| assert_eq!(find(t, &RcuGuard::new(), 0), Some(0)),
        |t| {
            let g = OvsGuard::lock(&process_context());
            put(t, &g, 1);
            put(t, &g, 2);
            drop(g);
            testing::run_rcu();
        },
    );
}

#[test]
fn removal_after_growth_waits_for_readers_of_the_old_array() {
    with_reader(
        0,
        1,
        |t| assert!(matches!(find(t, &RcuGuard::new(), 0), None | Some(0))),
        |t| {
            let g = OvsGuard::lock(&process_context());
            put(t, &g, 1);
            remove(t, &g, 0);
            drop(g);
            testing::run_rcu();
        },
    );
}

#[test]
fn flush_waits_for_readers() {
    with_reader(
        0,
        2,
        |t| assert!(matches!(find(t, &RcuGuard::new(), 0), None | Some(0))),
        |t| {
            t.flush(&OvsGuard::lock(&process_context()));
            testing::run_rcu();
        },
    );
}

#[test]
fn first_to_fill_wins() {
    model(|| {
        let slot = Arc::new(OnceSlot::new());
        let fill = |n| kernel::alloc::KBox::new(Probe::new(n), GFP_KERNEL).unwrap();
        let other = thread::spawn({
            let slot = slot.clone();
            move || slot.get_or_fill(fill(1)).read()
        });
        let mine = slot.get_or_fill(fill(2)).read();
        assert_eq!(other.join().unwrap(), mine);
        assert_eq!(slot.get().unwrap().read(), mine);
    });
}

/// Two CPUs at one lock: neither reads or writes while the other does, and nothing is lost.
#[test]
fn spinlock_excludes() {
    model(|| {
        let lock = Arc::new(BhSpinLock::new(UnsafeCell::new(0)));
        let add = |lock: &BhSpinLock<UnsafeCell<u32>>| {
            // SAFETY: no softirqs and no RCU in this model; the guard is evidence and no more.
            let bh = unsafe { BhGuard::assume() };
            // SAFETY: loom fails the model if this races.
            lock.with(&bh, |n| n.with_mut(|n| unsafe { *n += 1 }));
        };
        let other = thread::spawn({
            let lock = lock.clone();
            move || add(&lock)
        });
        add(&lock);
        other.join().unwrap();
        // SAFETY: as above.
        let bh = unsafe { BhGuard::assume() };
        // SAFETY: loom fails the model if this races.
        assert_eq!(lock.with(&bh, |n| n.with(|n| unsafe { *n })), 2);
    });
}

/// An entry of a tree; keys of two words.
struct Leafy {
    key: Two,
    mask: Two,
    probe: Probe,
}

/// The first words are 0.
#[derive(Clone, Copy)]
struct Two([u64; NEAR]);

impl Two {
    fn new(a: u64, b: u64) -> Self {
        let mut words = [0; NEAR];
        (words[0], words[1]) = (a, b);
        Self(words)
    }
}

impl Words for Two {
    fn near(&self) -> &[u64; NEAR] {
        &self.0
    }

    fn word(&self, n: usize) -> u64 {
        self.0.get(n).copied().unwrap_or(0)
    }
}

impl Leaf for Leafy {
    type Key = Two;

    fn key(&self) -> &Two {
        &self.key
    }

    fn mask(&self) -> &Two {
        &self.mask
    }

    fn bits(&self) -> u64 {
        (0..2)
            .filter(|i| self.mask.0[*i] != 0)
            .fold(0, |b, i| b | 1 << i)
    }

    fn matches(&self, key: &Two) -> bool {
        (0..2).all(|i| key.0[i] & self.mask.0[i] == self.key.0[i])
    }
}

type Tree = TreeTable<Leafy, 1>;

/// A key and a mask of two words.
type Cube = ((u64, u64), (u64, u64));

const ALL: u64 = u64::MAX;

fn grow_tree(t: &Tree, g: &OvsGuard, ((a, b), (m, n)): Cube) {
    let leaf = Leafy {
        key: Two::new(a & m, b & n),
        mask: Two::new(m, n),
        probe: Probe::new(7),
    };
    let entry = TableBox::new(leaf, GFP_KERNEL).unwrap();
    assert!(t.insert(g, entry, [Some(a as u32)]).is_ok());
}

fn find_leaf<'g>(t: &'g Tree, token: &'g impl ReadToken, key: &Two) -> Option<Entry<'g, Leafy, 1>> {
    let matches = |leaf: &Leafy| {
        assert_eq!(leaf.probe.read(), 7);
        (0..2).all(|i| key.0[i] & leaf.mask.0[i] == leaf.key.0[i])
    };
    t.find(key, token, matches).entry
}

fn fell(t: &Tree, g: &OvsGuard, (a, b): (u64, u64)) {
    let entry = find_leaf(t, g, &Two::new(a, b)).unwrap();
    drop(t.remove(g, entry).unwrap());
}

/// A tree with these entries, of which a reader looks for the first, which stays, while `write` runs.
fn tree_reader(entries: &'static [Cube], write: fn(&Tree, &OvsGuard)) {
    model(move || {
        let t = Arc::new(Tree::new([0], GFP_KERNEL).unwrap());
        let g = OvsGuard::lock(&process_context());
        entries.iter().for_each(|e| grow_tree(&t, &g, *e));
        drop(g);
        let reader = thread::spawn({
            let t = t.clone();
            move || {
                let ((a, b), _) = entries[0];
                let rcu = RcuGuard::new();
                assert!(find_leaf(&t, &rcu, &Two::new(a, b)).is_some());
            }
        });
        let g = OvsGuard::lock(&process_context());
        write(&t, &g);
        drop(g);
        testing::run_rcu();
        reader.join().unwrap();
    });
}

#[test]
fn tree_entry_is_seen_whole() {
    model(|| {
        let t = Arc::new(Tree::new([0], GFP_KERNEL).unwrap());
        let reader = thread::spawn({
            let t = t.clone();
            move || _ = find_leaf(&t, &RcuGuard::new(), &Two::new(1, 1)).is_some()
        });
        let g = OvsGuard::lock(&process_context());
        grow_tree(&t, &g, ((1, 1), (ALL, ALL)));
        drop(g);
        reader.join().unwrap();
    });
}

#[test]
fn tree_split_and_collapse_hide_nothing() {
    // A fork, for the masks differ; then the side that stays takes its place.
    tree_reader(&[((1, 1), (ALL, ALL))], |t, g| {
        grow_tree(t, g, ((2, 0), (ALL, 0)));
        fell(t, g, (2, 0));
    });
}

#[test]
fn tree_slots_are_used_again() {
    // A table of four slots by both words; the second's dies, and others come.
    tree_reader(&[((1, 1), (ALL, ALL)), ((2, 2), (ALL, ALL))], |t, g| {
        grow_tree(t, g, ((3, 3), (ALL, ALL)));
        fell(t, g, (2, 2));
        grow_tree(t, g, ((4, 4), (ALL, ALL)));
    });
}

#[test]
fn tree_table_growth_hides_nothing() {
    let entries = &[
        ((1, 1), (ALL, ALL)),
        ((2, 2), (ALL, ALL)),
        ((3, 3), (ALL, ALL)),
    ];
    tree_reader(entries, |t, g| grow_tree(t, g, ((4, 4), (ALL, ALL))));
}

#[test]
fn tree_table_collapse_hides_nothing() {
    tree_reader(&[((1, 1), (ALL, ALL)), ((2, 2), (ALL, ALL))], |t, g| {
        fell(t, g, (2, 2));
    });
}

#[test]
fn tree_overlap_is_told_before_the_entry_comes() {
    // A fork by the first word's low bit. What comes does not match that bit, so it goes outside and may match what is
    // inside; whoever has seen it once sees it again.
    model(|| {
        let t = Arc::new(Tree::new([0], GFP_KERNEL).unwrap());
        let g = OvsGuard::lock(&process_context());
        grow_tree(&t, &g, ((1, 1), (1, 1)));
        grow_tree(&t, &g, ((0, 8), (1, 8)));
        drop(g);
        let reader = thread::spawn({
            let t = t.clone();
            move || {
                let rcu = RcuGuard::new();
                // Both match the newcomer only.
                let see = |a, b| find_leaf(&t, &rcu, &Two::new(a, b)).is_some();
                let outside = see(2, 4);
                if outside {
                    assert!(see(3, 4));
                }
            }
        });
        let g = OvsGuard::lock(&process_context());
        grow_tree(&t, &g, ((2, 4), (2, 4)));
        drop(g);
        reader.join().unwrap();
    });
}

#[test]
fn tree_rebuild_hides_nothing_and_frees_after_grace() {
    // Each under another mask: a chain of forks, which tidying makes a table.
    let entries = &[
        ((1, 0), (7, 0)),
        ((2, 0), (7, 1)),
        ((3, 0), (7, 2)),
        ((4, 0), (7, 4)),
        ((5, 0), (7, 8)),
    ];
    tree_reader(entries, |t, g| {
        t.rebuild_all(g);
        fell(t, g, (5, 0));
    });
}
