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
    atomic::{fence, AtomicU32, Ordering},
    tokens::{section_lasts, OvsGuard, ReadToken},
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
    pub(super) tag: AtomicU32,
}

impl Header {
    pub(super) fn new(tag: u32) -> Self {
        Self {
            rcu: RcuHead::new(),
            section: AtomicU32::new(0),
            tag: AtomicU32::new(tag),
        }
    }

    /// 16 bytes, aligned to 8, for the container's use until the object is retired.
    pub(super) fn room(&self) -> *mut RcuHead {
        core::ptr::from_ref(&self.rcu).cast_mut()
    }

    /// A number for the container's use until the object is [marked](mark).
    pub(super) fn until_marked(&self) -> &AtomicU32 {
        &self.section
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
///
/// # Invariants
///
/// `header.tag` counts the owners: the box, slot or [`Retired`], and every [`RcuPin`]. The last one frees.
#[repr(C)]
pub(super) struct Object<T> {
    header: Header,
    pub(super) value: T,
}

impl<T> Object<T> {
    #[inline(always)]
    fn refs(&self) -> &AtomicU32 {
        &self.header.tag
    }

    /// Whether the caller, an owner, is the only one.
    pub(super) fn is_unique(&self) -> bool {
        self.refs().load(Ordering::Acquire) == 1
    }
}

// SAFETY: header first; made by `KBox`, whose memory may be freed in any context, and `T: Send`.
unsafe impl<T: Send> Retire for Object<T> {
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: the retired object's own reference, by this function's contract.
        unsafe { put(this) };
    }
}

/// Gives up one reference, and the object with the last.
///
/// # Safety
///
/// The caller owns a reference and does not use it again.
unsafe fn put<T>(this: NonNull<Object<T>>) {
    // SAFETY: alive, because the caller owns a reference.
    let refs = unsafe { this.as_ref() }.refs();
    if refs.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: that was the last reference; the object came from a `KBox`.
        drop(unsafe { KBox::from_raw(this.as_ptr()) });
    }
}

/// Owns a `T` that was never published; publishing moves it into an [`RcuSlot`](super::RcuSlot).
///
/// Dropping it frees at once. If it is published, `T` is later dropped in softirq context: it may
/// not sleep then.
///
/// # Invariants
///
/// It is the object's only owner.
pub struct RcuBox<T>(KBox<Object<T>>);

impl<T> RcuBox<T> {
    /// Allocates and moves `value` in.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        let header = Header::new(1);
        Ok(Self(KBox::new(Object { header, value }, flags)?))
    }

    /// Shares the value instead of publishing it.
    pub fn into_pin(this: Self) -> RcuPin<T> {
        // INVARIANT: the box's reference becomes the pin's.
        // SAFETY: `into_raw` never returns null.
        RcuPin(unsafe { NonNull::new_unchecked(Self::into_raw(this)) })
    }

    pub(super) fn into_raw(this: Self) -> *mut Object<T> {
        KBox::into_raw(this.0)
    }

    /// # Safety
    ///
    /// `raw` came from [`Self::into_raw`], and the caller, its only owner, gives it away.
    pub(super) unsafe fn from_raw(raw: NonNull<Object<T>>) -> Self {
        // SAFETY: from a `KBox`, by this function's contract.
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

/// A `T` that was read from a slot and is valid for `'g`, and that can be [pinned](Self::pin) to outlive it.
pub struct RcuRef<'g, T>(&'g Object<T>);

impl<T> Clone for RcuRef<'_, T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RcuRef<'_, T> {}

impl<'g, T> RcuRef<'g, T> {
    #[inline(always)]
    pub(super) fn new(object: &'g Object<T>) -> Self {
        Self(object)
    }

    /// The value, for as long as the section that it was read in.
    #[inline(always)]
    pub fn get(self) -> &'g T {
        &self.0.value
    }

    /// Keeps the value alive after the section.
    pub fn pin(self) -> RcuPin<T> {
        // Alive, so somebody owns a reference: the slot does until a grace period after `'g`. The count would wrap if 2^32
        // pins were leaked; those that are not are few: deferred work has them, of which a CPU has a handful, and requests.
        self.0.refs().fetch_add(1, Ordering::Relaxed);
        // INVARIANT: the reference added just above.
        RcuPin(NonNull::from(self.0))
    }
}

impl<T> Deref for RcuRef<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// Shares a `T` with the slot that it was read from. Dropping the last owner frees it at once.
///
/// # Invariants
///
/// Owns one reference to the object, which came from a `KBox`.
pub struct RcuPin<T>(NonNull<Object<T>>);

// SAFETY: shares `&T` and drops the `T` on whichever thread lets go last.
unsafe impl<T: Send + Sync> Send for RcuPin<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for RcuPin<T> {}

impl<T> RcuPin<T> {
    /// # Safety
    ///
    /// `raw` came from [`RcuBox::into_raw`], and the caller gives its reference away.
    pub(super) unsafe fn from_raw(raw: NonNull<Object<T>>) -> Self {
        Self(raw)
    }

    /// As if read from a slot.
    #[inline]
    pub fn as_ref(&self) -> RcuRef<'_, T> {
        // SAFETY: alive by the invariant.
        RcuRef(unsafe { self.0.as_ref() })
    }
}

impl<T> Deref for RcuPin<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.as_ref().get()
    }
}

impl<T> Drop for RcuPin<T> {
    fn drop(&mut self) {
        // SAFETY: owns a reference by the invariant.
        unsafe { put(self.0) };
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

impl<T> Retired<T> {
    /// The value. Through a token as before, because what it refers to may rely on that: nobody borrows a published
    /// value, or one that was, outside of a section.
    pub fn get<'a>(&'a self, _token: &'a impl ReadToken) -> &'a T {
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
