// SPDX-License-Identifier: GPL-2.0
//! Behaviour of the RCU containers, alone and under threads.

use super::*;
use crate::sys::{
    self,
    testing::{self, process_context},
};
use kernel::alloc::{flags::GFP_KERNEL, testing::Account};
use std::{
    collections::BTreeSet,
    sync::{
        atomic::{AtomicBool, AtomicU32, Ordering},
        Arc,
    },
    thread,
};

/// Counts drops; readers check that it has not been dropped.
struct Tracked {
    n: u32,
    alive: AtomicBool,
    drops: Arc<AtomicU32>,
}

impl Tracked {
    fn new(n: u32, drops: &Arc<AtomicU32>) -> Self {
        Self {
            n,
            alive: AtomicBool::new(true),
            drops: drops.clone(),
        }
    }

    fn check(&self) -> u32 {
        assert!(self.alive.load(Ordering::Relaxed), "read after drop");
        self.n
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        assert!(self.alive.swap(false, Ordering::Relaxed), "dropped twice");
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

type Table = RcuTable<Tracked, 2>;

fn table(log2: u32) -> Table {
    Table::new([log2, log2], GFP_KERNEL).unwrap()
}

fn put<'g>(t: &'g Table, g: &'g OvsGuard, n: u32, drops: &Arc<AtomicU32>) -> Entry<'g, Tracked, 2> {
    let entry = TableBox::new(Tracked::new(n, drops), GFP_KERNEL).unwrap();
    t.insert(g, entry, [Some(n), (n % 2 == 0).then_some(n ^ 0xffff)])
}

fn get<'g>(t: &'g Table, token: &'g impl ReadToken, n: u32) -> Option<Entry<'g, Tracked, 2>> {
    t.find::<0>(n, token, |e| e.check() == n)
}

fn take(t: &Table, g: &OvsGuard, n: u32) -> Option<Retired<Tracked>> {
    t.remove(g, get(t, g, n)?)
}

fn drops() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(0))
}

#[test]
fn slot_frees_what_it_replaces_after_readers_left() {
    let before = testing::live();
    let d = drops();
    let new = |n| Some(RcuBox::new(Tracked::new(n, &d), GFP_KERNEL).unwrap());
    let slot = RcuSlot::new(new(1));
    let account = Account::current();
    let rcu = RcuGuard::new();
    let old = slot.read(&rcu).unwrap();
    // Another thread changes it, as this one may not sleep in its read section.
    thread::scope(|s| {
        s.spawn(|| {
            account.adopt();
            drop(slot.replace(&OvsGuard::lock(&process_context()), new(2)));
        });
    });
    testing::run_rcu();
    assert_eq!(old.check(), 1);
    assert_eq!(slot.read(&rcu).unwrap().check(), 2);
    drop(rcu);
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 1);
    let g = OvsGuard::lock(&process_context());
    let retired = slot.replace(&g, None).unwrap();
    assert!(slot.read(&g).is_none());
    assert!(slot.replace(&g, None).is_none());
    drop(g);
    assert_eq!(retired.get(&RcuGuard::new()).check(), 2);
    drop(retired);
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 2);
    drop(RcuSlot::new(new(3)));
    assert_eq!(d.load(Ordering::Relaxed), 3);
    assert_eq!(testing::live(), before);
}

#[test]
fn nothing_is_freed_in_the_mutex_section_that_retired_it() {
    let d = drops();
    let slot = RcuSlot::new(Some(RcuBox::new(Tracked::new(7, &d), GFP_KERNEL).unwrap()));
    let g = OvsGuard::lock(&process_context());
    let seen = slot.read(&g).unwrap();
    drop(slot.replace(&g, None));
    // The grace period is over, for there is no RCU reader, but the section is not.
    sys::synchronize_rcu();
    for _ in 0..3 {
        testing::run_rcu();
    }
    assert_eq!(seen.check(), 7);
    drop(g);
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 1);
}

#[test]
fn table_finds_by_each_index_and_removes_from_all() {
    let d = drops();
    let t = table(2);
    let g = OvsGuard::lock(&process_context());
    for n in 0..50 {
        assert_eq!(put(&t, &g, n, &d).get().check(), n);
    }
    assert_eq!(t.len(), 50);
    for n in 0..50 {
        assert_eq!(get(&t, &g, n).unwrap().n, n);
        let by_ufid = t.find::<1>(n ^ 0xffff, &g, |e| e.n == n);
        assert_eq!(by_ufid.is_some(), n % 2 == 0);
    }
    assert!(get(&t, &g, 50).is_none());
    assert!(t.find::<0>(3, &g, |_| false).is_none());

    let entry = get(&t, &g, 4).unwrap();
    let other = table(2);
    assert!(other.remove(&g, entry).is_none(), "of another table");
    let retired = t.remove(&g, entry).unwrap();
    assert!(t.remove(&g, entry).is_none(), "removed twice");
    assert!(get(&t, &g, 4).is_none());
    assert!(t.find::<1>(4 ^ 0xffff, &g, |_| true).is_none());
    assert_eq!(retired.get(&g).check(), 4);
    assert_eq!(t.len(), 49);
    drop((retired, g));
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 1);
    drop(t);
    assert_eq!(d.load(Ordering::Relaxed), 50);
}

#[test]
fn equal_hashes_share_a_bucket() {
    let t: RcuTable<u32, 1> = RcuTable::new([4], GFP_KERNEL).unwrap();
    let g = OvsGuard::lock(&process_context());
    for n in 0..10 {
        t.insert(&g, TableBox::new(n, GFP_KERNEL).unwrap(), [Some(99)]);
    }
    for n in 0..10 {
        let e = t.find::<0>(99, &g, |e| *e == n).unwrap();
        assert_eq!(*t.remove(&g, e).unwrap().get(&g), n);
        assert!(t.find::<0>(99, &g, |e| *e == n).is_none());
    }
    assert!(t.is_empty());
    drop(g);
    sys::rcu_barrier();
}

/// T1: doubles when there are more entries than buckets, but T2: not before the readers of the
/// array before this one are gone.
#[test]
fn table_grows_once_per_grace_period() {
    let d = drops();
    let t = table(2);
    let (stop, stopped) = (AtomicBool::new(false), AtomicBool::new(false));
    let g = OvsGuard::lock(&process_context());
    for n in 0..4 {
        put(&t, &g, n, &d);
    }
    assert_eq!(t.buckets::<0>(&g), 4);
    thread::scope(|s| {
        s.spawn(|| {
            let rcu = RcuGuard::new();
            stopped.store(true, Ordering::SeqCst);
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(get(&t, &rcu, 3).unwrap().check(), 3);
                thread::yield_now();
            }
        });
        while !stopped.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        put(&t, &g, 4, &d);
        assert_eq!(t.buckets::<0>(&g), 8);
        for n in 5..40 {
            put(&t, &g, n, &d);
        }
        assert_eq!(t.buckets::<0>(&g), 8, "a reader may be in the array of 4");
        stop.store(true, Ordering::SeqCst);
    });
    sys::synchronize_rcu();
    put(&t, &g, 40, &d);
    assert_eq!(t.buckets::<0>(&g), 64, "catches up in one step");
    assert_eq!(t.buckets::<1>(&g), 32, "21 entries");
    for n in 0..41 {
        assert!(get(&t, &g, n).is_some());
    }
    drop(g);
    sys::rcu_barrier();
}

/// T1: failure to grow is ignored; an insert never fails.
#[test]
fn table_works_without_memory_to_grow() {
    let d = drops();
    let t = table(0);
    let g = OvsGuard::lock(&process_context());
    for n in 0..20 {
        let entry = TableBox::new(Tracked::new(n, &d), GFP_KERNEL).unwrap();
        testing::fail_nth(1);
        t.insert(&g, entry, [Some(n), None]);
        testing::fail_nth(0);
    }
    assert_eq!(t.buckets::<0>(&g), 1);
    assert!((0..20).all(|n| get(&t, &g, n).is_some()));
    testing::fail_nth(1);
    t.flush(&g);
    testing::fail_nth(0);
    assert!(t.is_empty());
    drop(g);
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 20);
}

/// T1: a new seed ten minutes after the last, at an insert.
#[test]
fn table_is_rehashed_after_ten_minutes() {
    let d = drops();
    let t = table(6);
    let g = OvsGuard::lock(&process_context());
    for n in 0..20 {
        put(&t, &g, n, &d);
    }
    let order = |g: &OvsGuard| t.iter(g).map(|e| e.n).collect::<std::vec::Vec<_>>();
    let first = order(&g);
    testing::advance(10 * 60 * 1000);
    put(&t, &g, 20, &d);
    let without = |g| {
        order(g)
            .into_iter()
            .filter(|n| *n != 20)
            .collect::<Vec<_>>()
    };
    assert_eq!(without(&g), first);
    testing::advance(1);
    put(&t, &g, 21, &d);
    assert_eq!(t.buckets::<0>(&g), 64);
    assert_eq!(order(&g).len(), 22);
    assert_ne!(without(&g), first);
    drop(g);
    sys::rcu_barrier();
}

/// T1, T15: flush frees everything and goes back to the first size.
#[test]
fn flush_empties_and_shrinks() {
    let before = testing::live();
    let d = drops();
    let t = table(1);
    for round in 1..4 {
        let g = OvsGuard::lock(&process_context());
        for n in 0..100 {
            put(&t, &g, n, &d);
            sys::synchronize_rcu();
        }
        assert_eq!(t.buckets::<0>(&g), 128);
        t.flush(&g);
        assert_eq!((t.len(), t.buckets::<0>(&g)), (0, 2));
        assert!((0..100).all(|n| get(&t, &g, n).is_none()));
        assert!(t.find::<1>(2 ^ 0xffff, &g, |_| true).is_none());
        drop(g);
        sys::rcu_barrier();
        assert_eq!(d.load(Ordering::Relaxed), round * 100);
    }
    drop(t);
    assert_eq!(testing::live(), before);
}

/// F11: the cursor names a bucket and a position, and a dump in batches sees everything once.
#[test]
fn cursor_resumes_where_the_batch_ended() {
    let d = drops();
    let t = table(3);
    {
        let g = OvsGuard::lock(&process_context());
        for n in 0..200 {
            put(&t, &g, n, &d);
        }
    }
    let mut seen = BTreeSet::new();
    let mut cursor = Cursor::default();
    loop {
        let rcu = RcuGuard::new();
        let mut batch = 0;
        let mut saved = cursor;
        while let Some(e) = t.next(&mut cursor, &rcu) {
            if batch == 7 {
                break;
            }
            assert!(seen.insert(e.check()));
            batch += 1;
            saved = cursor;
        }
        cursor = saved;
        if batch < 7 {
            break;
        }
    }
    assert_eq!(seen.len(), 200);
    assert_eq!(t.iter(&RcuGuard::new()).count(), 200);
}

#[test]
fn entries_may_be_removed_while_iterating() {
    let d = drops();
    let t = table(3);
    let g = OvsGuard::lock(&process_context());
    for n in 0..100 {
        put(&t, &g, n, &d);
    }
    for e in t.iter(&g) {
        drop(t.remove(&g, e));
        sys::synchronize_rcu();
        testing::run_rcu();
    }
    assert!(t.is_empty());
    drop(g);
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 100);
}

#[test]
fn failed_allocations_leak_nothing() {
    let failed = testing::each_failure(|| -> Result<_, kernel::alloc::AllocError> {
        let t: RcuTable<u32, 2> = RcuTable::new([2, 2], GFP_KERNEL)?;
        let p = PerCpu::new(|cpu| cpu, GFP_KERNEL)?;
        let s = RcuSlot::new(Some(RcuBox::new(1, GFP_KERNEL)?));
        let g = OvsGuard::lock(&process_context());
        t.insert(&g, TableBox::new(1, GFP_KERNEL)?, [Some(1), None]);
        drop(s.replace(&g, Some(RcuBox::new(2, GFP_KERNEL)?)));
        drop(g);
        Ok((t, p, s))
    });
    assert_eq!(failed, 6);
}

#[test]
fn per_cpu_values_are_separate() {
    let before = testing::live();
    let p = PerCpu::new(|cpu| LocalU64::new(u64::from(cpu) * 100), GFP_KERNEL).unwrap();
    for cpu in 0..sys::nr_cpu_ids() {
        testing::set_cpu(cpu);
        let bh = BhGuard::enter();
        assert_eq!(bh.cpu(), cpu);
        p.get(&bh).add(u64::from(cpu) + 1);
    }
    testing::set_cpu(0);
    let values: std::vec::Vec<_> = p.iter().map(LocalU64::get).collect();
    assert_eq!(values, [1, 102, 203, 304]);
    assert_eq!(p.get_on(2).unwrap().get(), 203);
    assert!(p.get_on(4).is_none());
    drop(p);
    assert_eq!(testing::live(), before);
}

// B61: per-CPU data take the evidence that the thread stays on its CPU, and that evidence cannot go to another thread.
#[test]
fn per_cpu_values_are_bound_to_a_section() {
    // A type for which two of these hold is ambiguous, and this does not compile.
    trait Bound<A> {
        fn to_its_thread() {}
    }
    struct Sends;
    struct Shares;
    impl<T> Bound<()> for T {}
    impl<T: Send> Bound<Sends> for T {}
    impl<T: Sync> Bound<Shares> for T {}
    <BhGuard as Bound<_>>::to_its_thread();
    <BhSection as Bound<_>>::to_its_thread();
    <RcuGuard as Bound<_>>::to_its_thread();
}

#[test]
fn once_slot_keeps_the_first() {
    let before = testing::live();
    let d = drops();
    let slot = OnceSlot::new();
    assert!(slot.get().is_none());
    for n in 0..3 {
        let new = kernel::alloc::KBox::new(Tracked::new(n, &d), GFP_KERNEL).unwrap();
        assert_eq!(slot.get_or_fill(new).check(), 0);
    }
    assert_eq!(slot.get().unwrap().n, 0);
    assert_eq!(d.load(Ordering::Relaxed), 2);
    drop(slot);
    assert_eq!(testing::live(), before);
}

/// T13: caches exist from creation to drop; objects from them are ordinary boxes.
#[test]
fn slab_caches_hand_out_boxes() {
    static ENTRIES: EntryCache<u32, 1> = EntryCache::new(c"sw_flow");
    static STATS: SlabCache<u64> = SlabCache::new(c"sw_flow_stats");
    let before = testing::live();
    let ctx = process_context();
    let registrations = (ENTRIES.create(&ctx).unwrap(), STATS.create(&ctx).unwrap());
    let t: RcuTable<u32, 1> = RcuTable::new([1], GFP_KERNEL).unwrap();
    let g = OvsGuard::lock(&process_context());
    let entry = TableBox::new_in(&ENTRIES, 5, GFP_KERNEL).unwrap();
    assert_eq!(*t.insert(&g, entry, [Some(1)]), 5);
    assert_eq!(*STATS.alloc(9, GFP_KERNEL).unwrap(), 9);
    t.flush(&g);
    drop(g);
    drop(registrations);
    drop(t);
    assert_eq!(testing::live(), before);
}

#[test]
fn hold_waits_for_readers_but_not_for_the_mutex() {
    let before = testing::live();
    let d = drops();
    let hold = RcuHold::new(Tracked::new(1, &d), GFP_KERNEL).unwrap();
    let never_released = RcuHold::new(Tracked::new(2, &d), GFP_KERNEL).unwrap();
    drop(never_released);
    assert_eq!(d.load(Ordering::Relaxed), 1, "at once");
    let account = Account::current();
    let rcu = RcuGuard::new();
    thread::scope(|s| {
        s.spawn(|| {
            account.adopt();
            let _ovs = OvsGuard::lock(&process_context());
            hold.release();
            hold.release();
            testing::run_rcu();
        });
    });
    assert_eq!(d.load(Ordering::Relaxed), 1, "a reader may rely on it");
    drop(rcu);
    let ovs = OvsGuard::lock(&process_context());
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 2, "while the mutex is held");
    drop((ovs, hold));
    assert_eq!((testing::live(), d.load(Ordering::Relaxed)), (before, 2));
}

#[test]
fn list_keeps_order_and_positions() {
    let before = testing::live();
    let d = drops();
    let list = RcuList::new();
    let g = OvsGuard::lock(&process_context());
    let seen = |from| {
        let all = list.iter_from(from, &g);
        all.map(|(at, v): (u64, &Tracked)| (at, v.check()))
            .collect::<Vec<_>>()
    };
    assert!(seen(0).is_empty());
    for n in 0..4 {
        let entry = ListBox::new(Tracked::new(n * 10, &d), GFP_KERNEL).unwrap();
        assert_eq!(list.push(&g, entry).check(), n * 10);
    }
    assert_eq!(seen(0), [(0, 0), (1, 10), (2, 20), (3, 30)]);
    assert!(list.remove(&g, |v| v.n == 99).is_none());
    for n in [10, 0, 30] {
        assert_eq!(list.remove(&g, |v| v.n == n).unwrap().get(&g).check(), n);
    }
    assert_eq!((seen(0), seen(3)), (vec![(2, 20)], vec![]));
    list.push(&g, ListBox::new(Tracked::new(40, &d), GFP_KERNEL).unwrap());
    assert_eq!((seen(0), seen(3)), (vec![(2, 20), (3, 40)], vec![(3, 40)]));
    assert_eq!(
        list.iter(&g).map(Tracked::check).collect::<Vec<_>>(),
        [20, 40]
    );
    drop(g);
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 3);
    drop(list);
    assert_eq!((testing::live(), d.load(Ordering::Relaxed)), (before, 5));
}

/// What decides whether an entry is meant is the caller's code, and may do anything that the token allows.
#[test]
fn list_entry_is_removed_once_even_by_two() {
    let before = testing::live();
    let d = drops();
    let list = RcuList::new();
    let g = OvsGuard::lock(&process_context());
    for n in 0..3 {
        list.push(&g, ListBox::new(Tracked::new(n, &d), GFP_KERNEL).unwrap());
    }
    let mut inner = None;
    let outer = list.remove(&g, |v| {
        if v.n == 1 {
            inner = list.remove(&g, |v| v.n == 1);
        }
        v.n == 1
    });
    assert!(inner.is_some() && outer.is_none());
    assert_eq!(
        list.iter(&g).map(Tracked::check).collect::<Vec<_>>(),
        [0, 2]
    );
    drop((inner, outer, g));
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 1);
    drop(list);
    assert_eq!(testing::live(), before);
}

#[test]
fn list_readers_survive_changes() {
    let before = testing::live();
    let d = drops();
    let list = RcuList::new();
    let account = Account::current();
    let push = |n| {
        let entry = ListBox::new(Tracked::new(n, &d), GFP_KERNEL).unwrap();
        list.push(&OvsGuard::lock(&process_context()), entry);
    };
    (0..4).for_each(push);
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                account.adopt();
                while !stop.load(Ordering::Relaxed) {
                    let rcu = RcuGuard::new();
                    let stable: Vec<_> = list
                        .iter(&rcu)
                        .map(Tracked::check)
                        .filter(|n| *n < 4)
                        .collect();
                    assert_eq!(stable, [0, 1, 2, 3], "what stays is always seen, in order");
                }
            });
        }
        for n in 4..2000 {
            push(n);
            if n > 8 {
                drop(list.remove(&OvsGuard::lock(&process_context()), |v| v.n == n - 4));
            }
            testing::run_rcu();
        }
        stop.store(true, Ordering::Relaxed);
    });
    sys::rcu_barrier();
    drop(list);
    assert_eq!(testing::live(), before);
}

#[test]
fn spinlock_lets_one_thread_in_at_a_time() {
    const EACH: u64 = 50_000;
    let lock = BhSpinLock::new((0u64, 0u64));
    thread::scope(|s| {
        for cpu in 0..4 {
            let lock = &lock;
            s.spawn(move || {
                testing::set_cpu(cpu);
                for _ in 0..EACH {
                    let bh = BhGuard::enter();
                    let n = lock.with(&bh, |v| {
                        assert_eq!(v.0, v.1);
                        v.0 += 1;
                        core::hint::spin_loop();
                        v.1 += 1;
                        v.0
                    });
                    assert!(n <= 4 * EACH);
                }
            });
        }
    });
    assert_eq!(lock.with(&BhGuard::enter(), |v| v.1), 4 * EACH);
}

#[test]
#[should_panic(expected = "a spinlock inside of a spinlock")]
fn spinlocks_do_not_nest() {
    let (a, b) = (BhSpinLock::new(1), BhSpinLock::new(2));
    let bh = BhGuard::enter();
    a.with(&bh, |_| b.with(&bh, |_| ()));
}

/// A panic inside leaves it open for others.
#[test]
fn spinlock_is_released_whatever_happens() {
    let lock = BhSpinLock::new(1);
    let inside = || lock.with(&BhGuard::enter(), |_| panic!("inside"));
    let inside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(inside));
    assert!(inside.is_err());
    assert_eq!(lock.with(&BhGuard::enter(), |v| *v), 1);
}

#[test]
fn tokens_nest() {
    let rtnl = OvsGuard::lock(&process_context()).with_rtnl();
    let bh = BhGuard::enter();
    let inner = BhGuard::enter();
    let slot: RcuSlot<u32> = RcuSlot::new(None);
    assert!(slot.read(bh.rcu()).is_none());
    assert!(slot.read(&*inner).is_none());
    assert!(slot.read(&rtnl).is_none());
    drop((inner, bh, rtnl));
    drop(OvsGuard::lock(&process_context()));
}

/// Readers look up, dump and read slots while two writers insert, remove, replace and flush.
#[test]
fn readers_survive_writers() {
    const KEYS: u32 = 64;
    let before = testing::live();
    let d = drops();
    let made = AtomicU32::new(0);
    let t = table(0);
    let new = |n| {
        made.fetch_add(1, Ordering::Relaxed);
        RcuBox::new(Tracked::new(n, &d), GFP_KERNEL).unwrap()
    };
    let slot = RcuSlot::new(Some(new(0)));
    let writers = AtomicU32::new(2);
    let account = Account::current();
    thread::scope(|s| {
        for w in 0..2u32 {
            let (t, slot, d, made, writers, new) = (&t, &slot, &d, &made, &writers, &new);
            s.spawn(move || {
                account.adopt();
                testing::seed(w.into());
                for round in 0..4000u32 {
                    let n = sys::get_random_u32() % KEYS;
                    let g = OvsGuard::lock(&process_context());
                    match take(t, &g, n) {
                        Some(old) => assert_eq!(old.get(&g).check(), n),
                        None => {
                            made.fetch_add(1, Ordering::Relaxed);
                            put(t, &g, n, d);
                        }
                    }
                    if round % 16 == 0 {
                        drop(slot.replace(&g, Some(new(round))));
                    }
                    if round % 1024 == 1023 {
                        t.flush(&g);
                    }
                    drop(g);
                    if round % 8 == 0 {
                        testing::run_rcu();
                    }
                    testing::advance(1000);
                }
                writers.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for cpu in 0..2u32 {
            let (t, slot, writers) = (&t, &slot, &writers);
            s.spawn(move || {
                testing::set_cpu(cpu);
                testing::seed(u64::from(cpu) + 10);
                while writers.load(Ordering::SeqCst) != 0 {
                    let bh = BhGuard::enter();
                    for _ in 0..20 {
                        let n = sys::get_random_u32() % KEYS;
                        if let Some(e) = get(t, &*bh, n) {
                            assert_eq!(e.check(), n);
                        }
                        if let Some(e) = t.find::<1>(n ^ 0xffff, &*bh, |e| e.check() == n) {
                            assert_eq!(e.check() % 2, 0);
                        }
                    }
                    assert!(t.iter(&*bh).all(|e| e.check() < KEYS));
                    slot.read(bh.rcu()).unwrap().check();
                }
            });
        }
    });
    drop((t, slot));
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), made.load(Ordering::Relaxed));
    assert_eq!(testing::live(), before);
}

#[test]
fn a_pin_outlives_slot_and_grace_period() {
    let d = drops();
    let slot = RcuSlot::new(Some(RcuBox::new(Tracked::new(5, &d), GFP_KERNEL).unwrap()));
    let pin = slot.read(&RcuGuard::new()).unwrap().pin();
    let again = pin.as_ref().pin();
    drop(slot.replace(&OvsGuard::lock(&process_context()), None));
    sys::rcu_barrier();
    assert_eq!(d.load(Ordering::Relaxed), 0);
    drop(pin);
    assert_eq!(again.check(), 5);
    drop(again);
    assert_eq!(d.load(Ordering::Relaxed), 1);

    // Pinned, the slot's owner cannot change the value under the pin.
    let mut slot = RcuSlot::new(Some(RcuBox::new(Tracked::new(6, &d), GFP_KERNEL).unwrap()));
    assert!(slot.get_mut().is_some());
    let pin = slot.read(&RcuGuard::new()).unwrap().pin();
    assert!(slot.get_mut().is_none());
    drop(slot);
    assert_eq!(pin.check(), 6);
    drop(pin);
    assert_eq!(d.load(Ordering::Relaxed), 2);

    let pin = RcuBox::into_pin(RcuBox::new(Tracked::new(7, &d), GFP_KERNEL).unwrap());
    assert_eq!(pin.as_ref().get().check(), 7);
    drop(pin);
    assert_eq!(d.load(Ordering::Relaxed), 3);
}

#[test]
fn global_per_cpu_data_are_made_once_and_freed_after_failure() {
    use kernel::alloc::{AllocError, KBox};
    use std::cell::Cell;
    static GLOBAL: GlobalPerCpu<(Cell<u32>, KBox<u32>)> = GlobalPerCpu::new();
    let make = |cpu| Ok((Cell::new(cpu), KBox::new(cpu, GFP_KERNEL)?));
    assert!(GLOBAL.get(&BhGuard::enter()).is_none());
    assert!(GLOBAL
        .init(&process_context(), |cpu| if cpu < 2 {
            make(cpu)
        } else {
            Err(AllocError)
        })
        .is_err());
    assert!(GLOBAL.get(&BhGuard::enter()).is_none());
    GLOBAL.init(&process_context(), make).unwrap();
    GLOBAL.init(&process_context(), |_| unreachable!()).unwrap();
    let bh = BhGuard::enter();
    let here = GLOBAL.get(&bh).unwrap();
    assert_eq!((here.0.get(), *here.1), (bh.cpu(), bh.cpu()));
    here.0.set(77);
    assert_eq!(GLOBAL.get(&bh).unwrap().0.get(), 77);
    drop(bh);
    // SAFETY: no reference is left.
    unsafe { GLOBAL.fini() };
    assert!(GLOBAL.get(&BhGuard::enter()).is_none());
}

#[test]
fn ovs_cell_follows_the_mutex() {
    static CELL: OvsCell<std::vec::Vec<u32>> = OvsCell::new(std::vec::Vec::new());
    let mut g = OvsGuard::lock(&process_context());
    CELL.borrow_mut(&mut g).push(2);
    assert_eq!(CELL.borrow(&g)[..], [2]);
    assert_eq!(*OvsCell::new(3).get_mut(), 3);
}
