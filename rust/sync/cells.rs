// SPDX-License-Identifier: GPL-2.0
//! A counter with one writer.
//!
//! C counterpart: `u64_stats_t`.

use core::sync::atomic::{AtomicU64, Ordering};

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
