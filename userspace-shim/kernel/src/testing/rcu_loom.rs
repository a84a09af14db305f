// SPDX-License-Identifier: GPL-2.0
//! RCU as loom explores it: a grace period has passed at any moment without a reader.
//!
//! Stronger than the kernel in that it waits for new readers too, which no container relies on;
//! the ordering is the kernel's: a full barrier at both ends of a grace period and none beyond
//! release and acquire elsewhere.

use loom::sync::{
    atomic::{fence, AtomicUsize, Ordering},
    Mutex,
};

type Callback = Box<dyn FnOnce() + Send>;

loom::lazy_static! {
    static ref READERS: AtomicUsize = AtomicUsize::new(0);
    static ref QUEUE: Mutex<Vec<Callback>> = Mutex::new(Vec::new());
}

/// Kept out of the models.
pub(super) struct Callbacks;

impl Callbacks {
    pub(super) fn new() -> Self {
        Self
    }
}

/// Enters a read section.
pub fn read_lock() {
    READERS.fetch_add(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// Leaves a read section.
pub fn read_unlock() {
    READERS.fetch_sub(1, Ordering::Release);
}

/// Not known here.
pub fn read_lock_held() -> bool {
    false
}

/// Starts a grace period.
pub fn get_state() -> u64 {
    0
}

/// Whether a grace period has passed.
pub fn poll_state(_: u64) -> bool {
    fence(Ordering::SeqCst);
    READERS.load(Ordering::Acquire) == 0
}

/// Waits for a grace period.
pub fn synchronize() {
    while !poll_state(0) {
        loom::thread::yield_now();
    }
}

/// Queues `run` for after the next grace period.
pub fn call(run: impl FnOnce() + Send + 'static) {
    QUEUE.lock().unwrap().push(Box::new(run));
}

/// Callbacks that have not run.
pub fn pending() -> usize {
    QUEUE.lock().unwrap().len()
}

/// Runs the callbacks queued so far if their grace period has passed.
pub fn run() -> usize {
    let queued = std::mem::take(&mut *QUEUE.lock().unwrap());
    if !queued.is_empty() && !poll_state(0) {
        QUEUE.lock().unwrap().extend(queued);
        return 0;
    }
    queued.into_iter().map(|run| run()).count()
}

/// Waits until all callbacks have run.
pub fn barrier() {
    while pending() != 0 {
        synchronize();
        run();
    }
}
