// SPDX-License-Identifier: GPL-2.0
//! RCU read sections. C counterpart: `include/linux/rcupdate.h`.

use crate::types::NotThreadSafe;

/// Evidence that the RCU read lock is held on this thread.
pub struct Guard(#[allow(dead_code, reason = "marker")] NotThreadSafe);

impl Guard {
    /// Takes the read lock.
    #[inline]
    pub fn new() -> Self {
        crate::leaf::rcu_read_lock();
        // INVARIANT: taken just above; released by drop.
        Self(NotThreadSafe)
    }

    /// Releases the read lock.
    #[inline]
    pub fn unlock(self) {}
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new` took it on this thread.
        unsafe { crate::leaf::rcu_read_unlock() }
    }
}

/// Takes the RCU read lock.
#[inline]
pub fn read_lock() -> Guard {
    Guard::new()
}
