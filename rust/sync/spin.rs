// SPDX-License-Identifier: GPL-2.0
//! [`BhSpinLock`]: data that packets on all CPUs change.
//!
//! C counterpart: `spinlock_t` taken with `spin_lock_bh()`, or with `spin_lock()` where BH is disabled anyway.

use super::BhGuard;
use crate::sys::RawSpinLock;
use core::cell::UnsafeCell;

/// A value that one CPU at a time uses, with BH disabled.
///
/// A leaf of the lock order: no other lock is taken and no packet is sent inside. So it is opened for the length of a
/// closure only, and the userspace build fails a test that nests two.
pub struct BhSpinLock<T> {
    raw: RawSpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: `with` gives the value to one thread at a time; whoever comes last drops it.
unsafe impl<T: Send> Sync for BhSpinLock<T> {}

impl<T> BhSpinLock<T> {
    /// A value behind a lock that nobody holds.
    pub fn new(value: T) -> Self {
        Self {
            raw: RawSpinLock::new(),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `f` on the value, which nobody else uses meanwhile. Spins while another CPU does.
    ///
    /// With BH disabled no softirq of this CPU can ask for the lock that it interrupted.
    #[inline]
    pub fn with<R>(&self, _bh: &BhGuard, f: impl FnOnce(&mut T) -> R) -> R {
        self.raw.lock();
        let _unlock = Unlock(&self.raw);
        // SAFETY: the lock is held until `_unlock` drops, after `f` has given the reference back.
        f(unsafe { &mut *self.value.get() })
    }
}

/// Releases a lock when dropped, even by the panic of a test.
struct Unlock<'a>(&'a RawSpinLock);

impl Drop for Unlock<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: only `BhSpinLock::with` makes one, after `lock` on this thread.
        unsafe { self.0.unlock() };
    }
}
