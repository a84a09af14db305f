// SPDX-License-Identifier: GPL-2.0
//! RCU on threads.
//!
//! Each thread owns a slot: 0 outside read sections, else the epoch at its outermost entry. A
//! grace period advances the epoch and has passed when no slot holds an older one. Callbacks wait
//! in the queue of the thread that queued them until that thread calls [`run`] or [`barrier`]
//! (deterministic tests); a thread that ends leaves its queue to the orphans, which the next
//! [`run`] or [`barrier`] of any thread takes over.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::{
        atomic::{fence, AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
};

static EPOCH: AtomicU64 = AtomicU64::new(1);
static SLOTS: Mutex<Vec<Arc<AtomicU64>>> = Mutex::new(Vec::new());
static ORPHANS: Mutex<VecDeque<Callback>> = Mutex::new(VecDeque::new());

struct Callback {
    epoch: u64,
    run: Box<dyn FnOnce() + Send>,
}

struct Reader {
    slot: Arc<AtomicU64>,
    depth: Cell<u32>,
}

impl Reader {
    fn new() -> Self {
        let slot = Arc::new(AtomicU64::new(0));
        lock(&SLOTS).push(slot.clone());
        Self {
            slot,
            depth: Cell::new(0),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&SLOTS).retain(|s| !Arc::ptr_eq(s, &self.slot));
    }
}

struct Queue(RefCell<VecDeque<Callback>>);

impl Drop for Queue {
    fn drop(&mut self) {
        lock(&ORPHANS).append(&mut self.0.borrow_mut());
    }
}

thread_local! {
    static READER: Reader = Reader::new();
    static QUEUE: Queue = const { Queue(RefCell::new(VecDeque::new())) };
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enters a read section.
pub fn read_lock() {
    READER.with(|r| {
        if r.depth.replace(r.depth.get() + 1) == 0 {
            r.slot.store(EPOCH.load(Ordering::SeqCst), Ordering::SeqCst);
            // A grace period that misses this store began before the reads that follow.
            fence(Ordering::SeqCst);
        }
    });
}

/// Leaves a read section.
pub fn read_unlock() {
    READER.with(|r| {
        let depth = r.depth.get().checked_sub(1).expect("not in a read section");
        r.depth.set(depth);
        if depth == 0 {
            r.slot.store(0, Ordering::Release);
        }
    });
}

/// Whether this thread is in a read section.
pub fn read_lock_held() -> bool {
    READER.with(|r| r.depth.get() != 0)
}

/// Starts a grace period; [`poll_state`] tells when it has passed.
pub fn get_state() -> u64 {
    fence(Ordering::SeqCst);
    let epoch = EPOCH.fetch_add(1, Ordering::SeqCst) + 1;
    fence(Ordering::SeqCst);
    epoch
}

/// Whether the grace period from [`get_state`] has passed.
pub fn poll_state(epoch: u64) -> bool {
    fence(Ordering::SeqCst);
    lock(&SLOTS).iter().all(|s| {
        let at = s.load(Ordering::Acquire);
        at == 0 || at >= epoch
    })
}

/// Waits for a grace period. Callbacks do not run.
pub fn synchronize() {
    assert!(!read_lock_held(), "synchronize_rcu in a read section");
    let state = get_state();
    while !poll_state(state) {
        std::thread::yield_now();
    }
}

/// Queues `run` for after the next grace period.
pub fn call(run: impl FnOnce() + Send + 'static) {
    let epoch = get_state();
    let run = Box::new(run);
    let mut callback = Some(Callback { epoch, run });
    let _ = QUEUE.try_with(|q| q.0.borrow_mut().extend(callback.take()));
    lock(&ORPHANS).extend(callback);
}

/// Callbacks of this thread that have not run.
pub fn pending() -> usize {
    QUEUE.with(|q| q.0.borrow().len())
}

/// Runs the callbacks queued so far whose grace period has passed; returns how many ran.
pub fn run() -> usize {
    let mine = QUEUE.with(|q| q.0.take());
    let mut ran = run_ready(mine, |c| QUEUE.with(|q| q.0.borrow_mut().push_back(c)));
    // Held while they run: whoever sees no orphans may rely on them having run.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = lock(&RUNNING);
    let orphans = std::mem::take(&mut *lock(&ORPHANS));
    ran += run_ready(orphans, |c| lock(&ORPHANS).push_back(c));
    ran
}

fn run_ready(queue: VecDeque<Callback>, put_back: impl Fn(Callback)) -> usize {
    let mut ran = 0;
    for c in queue {
        if poll_state(c.epoch) {
            (c.run)();
            ran += 1;
        } else {
            put_back(c);
        }
    }
    ran
}

/// Waits until all callbacks queued so far have run, and those that they queue.
///
/// A callback may queue itself again while somebody holds a lock; gives up on those of other
/// threads, and fails for its own after many rounds.
pub fn barrier() {
    assert!(!read_lock_held(), "rcu_barrier in a read section");
    for _ in 0..100_000 {
        run();
        if pending() == 0 {
            return;
        }
        std::thread::yield_now();
    }
    panic!("rcu_barrier: callbacks keep coming");
}
