// SPDX-License-Identifier: GPL-2.0
//! [`OnceSlot`]: a box that is filled at most once, by whoever comes first.
//!
//! C counterpart: the lazily allocated `flow->stats[cpu]` of `net/openvswitch/flow.c`.

use super::atomic::{AtomicPtr, Ordering};
use core::{marker::PhantomData, ptr};
use kernel::alloc::KBox;

/// Empty, then for ever full.
///
/// # Invariants
///
/// `ptr` is null or came from `KBox::into_raw`; the slot owns it; it changes only from null.
pub struct OnceSlot<T> {
    ptr: AtomicPtr<T>,
    _owns: PhantomData<T>,
}

// SAFETY: owns a `T`.
unsafe impl<T: Send> Send for OnceSlot<T> {}
// SAFETY: gives `&T` to many threads, and takes a `T` from any.
unsafe impl<T: Send + Sync> Sync for OnceSlot<T> {}

impl<T> OnceSlot<T> {
    /// An empty slot.
    pub fn new() -> Self {
        Self {
            ptr: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// What the slot holds.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: null or an object that stays until the slot drops.
        unsafe { self.ptr.load(Ordering::Acquire).as_ref() }
    }

    /// Fills the slot, unless somebody else has; returns what it then holds.
    pub fn get_or_fill(&self, value: KBox<T>) -> &T {
        let new = KBox::into_raw(value);
        let won =
            self.ptr
                .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        match won {
            // SAFETY: the slot's now, which keeps it until it drops.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: never published, so still ours alone.
                drop(unsafe { KBox::from_raw(new) });
                // SAFETY: not null, and the slot keeps it until it drops.
                unsafe { &*theirs }
            }
        }
    }
}

impl<T> Default for OnceSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for OnceSlot<T> {
    fn drop(&mut self) {
        let p = self.ptr.load(Ordering::Relaxed);
        if !p.is_null() {
            // SAFETY: ours by the invariant; `&mut self` excludes readers.
            drop(unsafe { KBox::from_raw(p) });
        }
    }
}
