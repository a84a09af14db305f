// SPDX-License-Identifier: GPL-2.0
//! [`OvsCell`]: data that the OVS mutex guards.
//!
//! C counterpart: fields with the comment "protected by ovs_mutex".

use super::OvsGuard;
use core::cell::UnsafeCell;

/// A value that only the holder of the OVS mutex uses.
#[derive(Default)]
pub struct OvsCell<T>(UnsafeCell<T>);

// SAFETY: references are bound to an `OvsGuard`, which one thread at a time has and which stays on it.
unsafe impl<T: Send> Sync for OvsCell<T> {}

impl<T> OvsCell<T> {
    /// Data that only the mutex opens.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value, as long as the mutex is held.
    #[inline]
    pub fn borrow<'a>(&'a self, _ovs: &'a OvsGuard) -> &'a T {
        // SAFETY: `borrow_mut` needs the only guard there is for itself, so nobody has a `&mut T`.
        unsafe { &*self.0.get() }
    }

    /// The value for writing. The guard cannot be used for anything else meanwhile.
    #[inline]
    #[allow(
        clippy::mut_from_ref,
        reason = "the guard is what is borrowed exclusively"
    )]
    pub fn borrow_mut<'a>(&'a self, _ovs: &'a mut OvsGuard) -> &'a mut T {
        // SAFETY: there is one guard at a time, and it is borrowed exclusively.
        unsafe { &mut *self.0.get() }
    }

    /// The value, for its only user.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}
