// SPDX-License-Identifier: GPL-2.0
//! Synchronisation primitives that upstream has too.

use crate::{leaf, types::Opaque};

mod arc;
pub mod aref;
mod lock;
pub mod rcu;

pub use arc::Arc;
pub use lock::{global_lock, GlobalGuard, GlobalLock, GlobalLockBackend};

/// What lockdep knows locks by that are taken in the same order: C's `struct lock_class_key`.
#[repr(transparent)]
pub struct LockClassKey(Opaque<leaf::LockClass>);

// SAFETY: lockdep has a lock of its own for it.
unsafe impl Sync for LockClassKey {}

impl LockClassKey {
    /// A class that no lock has yet.
    ///
    /// # Safety
    ///
    /// It stays in static memory.
    pub const unsafe fn new_static() -> Self {
        Self(Opaque::uninit())
    }

    /// C's pointer.
    pub(crate) fn as_ptr(&self) -> *mut leaf::LockClass {
        self.0.get()
    }
}
