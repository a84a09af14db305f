// SPDX-License-Identifier: GPL-2.0
//! A counting allocator that fails on demand.
//!
//! Every allocation remembers the [`Account`] of the thread that made it and is taken off that
//! account wherever it is freed, so tests that run side by side do not see each other.

use super::rcu::Callbacks;
use std::{
    alloc::Layout,
    cell::{Cell, OnceCell},
    sync::atomic::{AtomicIsize, Ordering},
};

/// A test and the threads it started: their live allocations and queued RCU callbacks.
#[derive(Clone, Copy)]
pub struct Account(&'static Books);

struct Books {
    live: AtomicIsize,
    callbacks: Callbacks,
}

thread_local! {
    static ACCOUNT: OnceCell<Account> = const { OnceCell::new() };
    static FAIL_IN: Cell<u64> = const { Cell::new(0) };
    static MADE: Cell<u64> = const { Cell::new(0) };
}

impl Account {
    fn new() -> Self {
        // An account outlives its thread because allocations may; it is a few words per thread.
        Self(Box::leak(Box::new(Books {
            live: AtomicIsize::new(0),
            callbacks: Callbacks::new(),
        })))
    }

    /// The account of this thread.
    pub fn current() -> Self {
        ACCOUNT
            .try_with(|a| *a.get_or_init(Self::new))
            .unwrap_or_else(|_| Self::new())
    }

    /// Makes this new thread use the account of the thread that started it. First thing to do in
    /// a thread; otherwise its RCU callbacks are not run by the test's `rcu_barrier`.
    pub fn adopt(self) {
        ACCOUNT.with(|a| assert!(a.set(self).is_ok(), "too late to adopt an account"));
    }

    /// Allocations not yet freed.
    pub fn live(self) -> isize {
        self.0.live.load(Ordering::SeqCst)
    }

    #[cfg_attr(loom, allow(dead_code))]
    pub(super) fn callbacks(self) -> &'static Callbacks {
        &self.0.callbacks
    }
}

/// Live allocations on this thread's account.
pub fn live() -> isize {
    Account::current().live()
}

/// Makes this thread's `n`-th allocation from now fail (1 = the next). 0 turns it off.
pub fn fail_nth(n: u64) {
    FAIL_IN.set(n);
}

/// Whether an armed [`fail_nth`] has not struck yet.
pub fn fail_pending() -> bool {
    FAIL_IN.get() != 0
}

/// How many allocations this thread has made.
pub fn made() -> u64 {
    MADE.get()
}

/// Runs `f` with its first, second, … allocation failing, until one run needs fewer; returns the
/// number of runs that failed an allocation. Checks after each run that nothing leaked.
pub fn each_failure<R>(mut f: impl FnMut() -> R) -> u64 {
    for n in 1.. {
        let before = live();
        fail_nth(n);
        let r = f();
        let struck = !fail_pending();
        fail_nth(0);
        drop(r);
        super::rcu::barrier();
        assert_eq!(live(), before, "leak when allocation {n} fails");
        if !struck {
            return n - 1;
        }
    }
    unreachable!()
}

fn fails() -> bool {
    let n = FAIL_IN.get();
    FAIL_IN.set(n.saturating_sub(1));
    n == 1
}

/// Room for the account before the caller's memory, and where that starts.
fn with_header(layout: Layout) -> (Layout, usize) {
    let (whole, at) = Layout::new::<Account>()
        .extend(layout)
        .expect("allocation too large");
    (whole, at)
}

/// The bit of `__GFP_ZERO` in `Flags`.
const ZERO: u32 = 1 << 2;

/// `kmalloc`.
pub(crate) fn alloc(layout: Layout, flags: u32) -> *mut u8 {
    MADE.set(MADE.get() + 1);
    if fails() || layout.size() > isize::MAX as usize / 2 {
        return core::ptr::null_mut();
    }
    let (whole, at) = with_header(layout);
    let account = Account::current();
    // SAFETY: the size is not zero, the header has at least a word; `at` lies inside.
    unsafe {
        let base = if flags & ZERO != 0 {
            std::alloc::alloc_zeroed(whole)
        } else {
            std::alloc::alloc(whole)
        };
        if base.is_null() {
            return base;
        }
        base.add(at)
            .cast::<Account>()
            .sub(1)
            .write_unaligned(account);
        account.0.live.fetch_add(1, Ordering::SeqCst);
        base.add(at)
    }
}

/// `kfree`.
///
/// # Safety
///
/// `ptr` came from [`alloc`] with this `layout`.
pub(crate) unsafe fn free(ptr: *mut u8, layout: Layout) {
    let (whole, at) = with_header(layout);
    // SAFETY: `alloc` put the account there and allocated `whole`.
    unsafe {
        let account = ptr.cast::<Account>().sub(1).read_unaligned();
        account.0.live.fetch_sub(1, Ordering::SeqCst);
        std::alloc::dealloc(ptr.sub(at), whole);
    }
}
