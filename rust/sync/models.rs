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
