// SPDX-License-Identifier: GPL-2.0
//! [`Arc`]: a shared, counted box. C counterpart: `refcount_t` in an object.

use crate::alloc::{AllocError, Flags, KBox};
use core::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{fence, AtomicUsize, Ordering},
};

struct Inner<T> {
    refs: AtomicUsize,
    data: T,
}

/// A counted reference to a `T` on the heap.
///
/// # Invariants
///
/// `ptr` points to a live `Inner` of which this value owns one reference.
pub struct Arc<T> {
    ptr: NonNull<Inner<T>>,
    _p: PhantomData<Inner<T>>,
}

// SAFETY: shares `&T` and drops the `T` on whichever thread lets go last.
unsafe impl<T: Sync + Send> Send for Arc<T> {}
// SAFETY: as above.
unsafe impl<T: Sync + Send> Sync for Arc<T> {}

impl<T> Arc<T> {
    /// Allocates and moves `data` in.
    pub fn new(data: T, flags: Flags) -> Result<Self, AllocError> {
        let refs = AtomicUsize::new(1);
        let raw = KBox::into_raw(KBox::new(Inner { refs, data }, flags)?);
        Ok(Self {
            // SAFETY: `into_raw` never returns null.
            ptr: unsafe { NonNull::new_unchecked(raw) },
            _p: PhantomData,
        })
    }

    /// Whether both point to the same object.
    #[inline]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        this.ptr == other.ptr
    }

    /// The value's address.
    #[inline]
    pub fn as_ptr(this: &Self) -> *const T {
        &**this
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: alive by the invariant.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        // Counting to 2^64 takes centuries, so the count cannot wrap even if every clone is leaked.
        self.inner().refs.fetch_add(1, Ordering::Relaxed);
        Self {
            ptr: self.ptr,
            _p: PhantomData,
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: alive by the invariant.
        unsafe { &self.ptr.as_ref().data }
    }
}

impl<T> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.inner().refs.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: that was the last reference; the box came from `new`.
            drop(unsafe { KBox::from_raw(self.ptr.as_ptr()) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Arc<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Arc<T> {}
