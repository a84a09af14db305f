// SPDX-License-Identifier: GPL-2.0
//! [`RcuSlot`]: a pointer that readers follow while it is replaced.
//!
//! C counterpart: `struct foo __rcu *`, `rcu_dereference_ovsl`, `rcu_assign_pointer`.

use super::{
    atomic::{AtomicPtr, Ordering},
    retire::{mark, Object},
    OvsGuard, RcuBox, RcuPin, RcuRef, ReadToken, Retired,
};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};

/// Holds an optional `T` that readers see whole: the old one or the new one.
///
/// # Invariants
///
/// `ptr` is null or came from `RcuBox::into_raw`; the slot owns it.
pub struct RcuSlot<T> {
    ptr: AtomicPtr<Object<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: owns a `T`.
unsafe impl<T: Send> Send for RcuSlot<T> {}
// SAFETY: gives `&T` to many threads, and the `T` to whichever replaces it.
unsafe impl<T: Send + Sync> Sync for RcuSlot<T> {}

impl<T> RcuSlot<T> {
    /// A slot that holds `value`.
    pub fn new(value: Option<RcuBox<T>>) -> Self {
        Self {
            ptr: AtomicPtr::new(into_raw(value)),
            _owns: PhantomData,
        }
    }

    /// What the slot holds now. Valid as long as both the slot and the token are borrowed.
    #[inline]
    pub fn read<'g>(&'g self, _token: &'g impl ReadToken) -> Option<RcuRef<'g, T>> {
        // SAFETY: null or published by `replace`; the token keeps it from being freed.
        unsafe { self.ptr.load(Ordering::Acquire).as_ref() }.map(RcuRef::new)
    }

    /// Takes out what the slot holds, for its only user; `None` too if it is pinned.
    pub fn take(&mut self) -> Option<RcuBox<T>> {
        self.get_mut()?;
        let p = NonNull::new(self.ptr.swap(ptr::null_mut(), Ordering::Relaxed))?;
        // SAFETY: just taken from the slot, and as `get_mut` says ours alone.
        Some(unsafe { RcuBox::from_raw(p) })
    }

    /// What the slot holds, for its only user; `None` too if it is pinned.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        let p = self.ptr.load(Ordering::Relaxed);
        // SAFETY: null or an object of ours.
        if !unsafe { p.as_ref() }?.is_unique() {
            return None;
        }
        // SAFETY: not null and ours alone: nothing pins it, and `&mut self` excludes readers, who might.
        Some(unsafe { &mut (*p).value })
    }
}

impl<T: Send + Sync + 'static> RcuSlot<T> {
    /// Publishes `value`, and returns what it replaces.
    pub fn replace(&self, guard: &OvsGuard, value: Option<RcuBox<T>>) -> Option<Retired<T>> {
        let old = NonNull::new(self.ptr.swap(into_raw(value), Ordering::AcqRel))?;
        // SAFETY: just taken from the slot, so unpublished and ours alone to retire.
        unsafe {
            mark(old, guard);
            let value = NonNull::new_unchecked(&raw mut (*old.as_ptr()).value);
            Some(Retired::new(old, value))
        }
    }
}

fn into_raw<T>(value: Option<RcuBox<T>>) -> *mut Object<T> {
    value.map_or(ptr::null_mut(), RcuBox::into_raw)
}

impl<T> Drop for RcuSlot<T> {
    fn drop(&mut self) {
        if let Some(p) = NonNull::new(self.ptr.load(Ordering::Relaxed)) {
            // SAFETY: the slot's reference by the invariant; `&mut self` excludes readers.
            drop(unsafe { RcuPin::from_raw(p) });
        }
    }
}
