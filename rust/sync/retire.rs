// SPDX-License-Identifier: GPL-2.0
//! Objects that readers may still see after they were unpublished.
//!
//! [`RcuBox`] → publish → unpublish → [`Retired`] → drop → grace period → freed. The `rcu_head` is
//! part of the object, so freeing never allocates.
//!
//! References handed out under the OVS mutex have no RCU read section. So an object also outlives
//! the mutex section that retired it: the callback that comes too early queues itself again.
//!
//! C counterpart: `call_rcu(&flow->rcu, rcu_free_flow_callback)` and its kin.

use super::{
    atomic::{AtomicU32, Ordering},
    tokens::{section_lasts, OvsGuard},
};
use crate::sys::{call_rcu, RcuCallback, RcuHead};
use core::{
    ops::{Deref, DerefMut},
    ptr::NonNull,
};
use kernel::alloc::{AllocError, Flags, KBox};

/// What an object needs to be retired. First field of each such object.
#[repr(C)]
pub(super) struct Header {
    rcu: RcuHead,
    /// The mutex section that retired the object.
    section: AtomicU32,
    /// Free for the container's use.
    pub(super) tag: u32,
}

impl Header {
    pub(super) fn new(tag: u32) -> Self {
        Self {
            rcu: RcuHead::new(),
            section: AtomicU32::new(0),
            tag,
        }
    }
}

/// A type that starts with a [`Header`] and can be freed through a pointer to it.
///
/// # Safety
///
/// `Self` is `#[repr(C)]` with a `Header` first; `free` is sound in softirq context on any CPU.
pub(super) unsafe trait Retire: Sized {
    /// Frees the object, its memory included.
    ///
    /// # Safety
    ///
    /// Nobody else uses `this` any more.
    unsafe fn free(this: NonNull<Self>);
}

/// Notes that the object is unpublished, in this mutex section.
///
/// # Safety
///
/// `this` is valid.
pub(super) unsafe fn mark<O: Retire>(this: NonNull<O>, guard: &OvsGuard) {
    // SAFETY: valid, and starts with a header, by the contracts of this function and `Retire`.
    let header = unsafe { this.cast::<Header>().as_ref() };
    header.section.store(guard.section(), Ordering::Relaxed);
}

/// Frees the object once no reader can hold it.
///
/// # Safety
///
/// The caller owns `this`, which is unpublished and marked, and gives it away.
pub(super) unsafe fn free_later<O: Retire>(this: NonNull<O>) {
    // SAFETY: the head is valid until `on_grace::<O>` frees the object.
    unsafe { call_rcu(this.cast().as_ptr(), on_grace::<O>) };
}

/// # Safety
///
/// Called by `call_rcu` with what `free_later` gave it.
unsafe extern "C" fn on_grace<O: Retire>(head: *mut RcuHead) {
    // SAFETY: the object starts with the header, which starts with the head; nobody else owns it.
    let header = unsafe { &*head.cast::<Header>() };
    if section_lasts(header.section.load(Ordering::Relaxed)) {
        // SAFETY: as in `free_later`; the head is free again inside its own callback.
        unsafe { call_rcu(head, on_grace::<O>) };
        return;
    }
    // SAFETY: `call_rcu` passes what `free_later` gave it, which is not null; the grace period
    // and the mutex section are over, so no reader is left.
    unsafe { O::free(NonNull::new_unchecked(head.cast())) };
}

/// Heap layout of [`RcuBox`].
#[repr(C)]
pub(super) struct Object<T> {
    header: Header,
    pub(super) value: T,
}

// SAFETY: header first; made by `KBox`, whose memory may be freed in any context, and `T: Send`.
unsafe impl<T: Send> Retire for Object<T> {
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: came from a `KBox` and is no longer used, by this function's contract.
        drop(unsafe { KBox::from_raw(this.as_ptr()) });
    }
}

/// Owns a `T` that was never published; publishing moves it into an [`RcuSlot`](super::RcuSlot).
///
/// Dropping it frees at once. If it is published, `T` is later dropped in softirq context: it may
/// not sleep then.
pub struct RcuBox<T>(KBox<Object<T>>);

impl<T> RcuBox<T> {
    /// Allocates and moves `value` in.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        let header = Header::new(0);
        Ok(Self(KBox::new(Object { header, value }, flags)?))
    }

    pub(super) fn into_raw(this: Self) -> *mut Object<T> {
        KBox::into_raw(this.0)
    }

    /// # Safety
    ///
    /// `raw` came from `into_raw` and nobody else uses it.
    pub(super) unsafe fn from_raw(raw: NonNull<Object<T>>) -> Self {
        // SAFETY: by this function's contract.
        Self(unsafe { KBox::from_raw(raw.as_ptr()) })
    }
}

impl<T> Deref for RcuBox<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> DerefMut for RcuBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}

/// Owns a `T` that is no longer published but that readers may still hold. Dropping it frees it
/// after a grace period, in softirq context.
///
/// # Invariants
///
/// `value` lies in the object that starts at `head` and that `free` frees; the object is
/// unpublished, marked, and owned by nobody else.
pub struct Retired<T> {
    value: NonNull<T>,
    head: NonNull<RcuHead>,
    free: RcuCallback,
}

// SAFETY: gives `&T` and frees the `T` on another CPU.
unsafe impl<T: Send + Sync> Send for Retired<T> {}
// SAFETY: gives `&T` only.
unsafe impl<T: Sync> Sync for Retired<T> {}

impl<T> Retired<T> {
    /// # Safety
    ///
    /// `object` is unpublished and marked, the caller gives it away, and `value` is in it.
    pub(super) unsafe fn new<O: Retire>(object: NonNull<O>, value: NonNull<T>) -> Self {
        // INVARIANT: by this function's contract.
        Self {
            value,
            head: object.cast(),
            free: on_grace::<O>,
        }
    }
}

impl<T> Deref for Retired<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: valid until freed, by the invariant; readers share it.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Retired<T> {
    fn drop(&mut self) {
        // SAFETY: by the invariant, this is the only owner and `free` fits the object.
        unsafe { call_rcu(self.head.as_ptr(), self.free) };
    }
}
