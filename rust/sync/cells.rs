// SPDX-License-Identifier: GPL-2.0
//! Cells for the packet path: a counter with one writer, and a value behind a spinlock.
//!
//! C counterpart: `u64_stats_t` and `spin_lock(&stats->lock)`.

use super::BhGuard;
use core::{
    cell::UnsafeCell,
    hint::spin_loop,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A counter that one CPU at a time adds to and anybody reads. No locked instruction.
///
/// Meant for [`PerCpu`](super::PerCpu) data: two adders at once may lose a count, never more.
#[derive(Default)]
#[repr(transparent)]
pub struct LocalU64(AtomicU64);

impl LocalU64 {
    /// A counter at `n`.
    pub const fn new(n: u64) -> Self {
        Self(AtomicU64::new(n))
    }

    /// Adds `n`, wrapping.
    #[inline]
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// The count.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the count.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

/// A value behind a spinlock that is only taken with BH disabled, so its holder is never
/// interrupted by another taker on the same CPU. Hold it for a few instructions only.
#[derive(Default)]
pub struct SpinCell<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: owns a `T`.
unsafe impl<T: Send> Send for SpinCell<T> {}
// SAFETY: the lock lets one thread at a time at the value.
unsafe impl<T: Send> Sync for SpinCell<T> {}

impl<T> SpinCell<T> {
    /// An unlocked cell.
    pub const fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock.
    #[inline]
    pub fn lock<'g>(&'g self, _bh: &'g BhGuard) -> SpinGuard<'g, T> {
        while self.locked.swap(true, Ordering::Acquire) {
            while self.locked.load(Ordering::Relaxed) {
                spin_loop();
            }
        }
        SpinGuard {
            cell: self,
            _bound: PhantomData,
        }
    }

    /// The value, for its only user.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// A locked [`SpinCell`].
pub struct SpinGuard<'g, T> {
    cell: &'g SpinCell<T>,
    _bound: PhantomData<*mut ()>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.cell.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.cell.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.cell.locked.store(false, Ordering::Release);
    }
}
