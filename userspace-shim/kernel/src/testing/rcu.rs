// SPDX-License-Identifier: GPL-2.0
//! RCU on threads.
//!
//! Each thread owns a slot: 0 outside read sections, else the epoch at its outermost entry. A
//! grace period advances the epoch and has passed when no slot holds an older one. Callbacks wait
//! in the queue of their thread's [`Account`] until a thread of that account calls [`run`] or
//! [`barrier`], which makes tests deterministic.

use super::alloc::Account;
use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{
        atomic::{fence, AtomicU64, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
};

static EPOCH: AtomicU64 = AtomicU64::new(1);
static SLOTS: Mutex<Vec<Arc<AtomicU64>>> = Mutex::new(Vec::new());

/// Callbacks of an account.
pub(super) struct Callbacks {
    queue: Mutex<VecDeque<Callback>>,
    /// Held while callbacks run: whoever then finds the queue empty may rely on them having run.
    running: Mutex<()>,
}

impl Callbacks {
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            running: Mutex::new(()),
        }
    }
}

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

thread_local! {
    static READER: Reader = Reader::new();
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
    let callbacks = Account::current().callbacks();
    lock(&callbacks.queue).push_back(Callback { epoch, run });
}

/// Callbacks of this thread's account that have not run.
pub fn pending() -> usize {
    lock(&Account::current().callbacks().queue).len()
}

/// Runs the callbacks queued so far whose grace period has passed; returns how many ran.
///
/// Readers of tests that run side by side delay it: [`barrier`] waits for them.
pub fn run() -> usize {
    let callbacks = Account::current().callbacks();
    let _running = lock(&callbacks.running);
    let queued = std::mem::take(&mut *lock(&callbacks.queue));
    let mut ran = 0;
    for c in queued {
        if poll_state(c.epoch) {
            (c.run)();
            ran += 1;
        } else {
            lock(&callbacks.queue).push_back(c);
        }
    }
    ran
}

/// Waits until all callbacks queued so far have run, and those that they queue.
pub fn barrier() {
    assert!(!read_lock_held(), "rcu_barrier in a read section");
    loop {
        run();
        if pending() == 0 {
            return;
        }
        std::thread::yield_now();
    }
}
