// SPDX-License-Identifier: GPL-2.0
//! References to objects that count them. C counterpart: each type's own `get` and `put`.

use core::{marker::PhantomData, mem::ManuallyDrop, ops::Deref, ptr::NonNull};

/// A type that counts its own references.
///
/// # Safety
///
/// While the count is above zero the object lives.
pub unsafe trait AlwaysRefCounted {
    /// Adds a reference.
    fn inc_ref(&self);

    /// Drops a reference.
    ///
    /// # Safety
    ///
    /// The caller owns one and does not use `obj` after it.
    unsafe fn dec_ref(obj: NonNull<Self>);
}

/// An owned reference to an [`AlwaysRefCounted`] object.
///
/// # Invariants
///
/// Owns one reference on `ptr`.
pub struct ARef<T: AlwaysRefCounted> {
    ptr: NonNull<T>,
    _p: PhantomData<T>,
}

// SAFETY: an `ARef` is a shared reference that may be the last one.
unsafe impl<T: AlwaysRefCounted + Sync + Send> Send for ARef<T> {}
// SAFETY: as above.
unsafe impl<T: AlwaysRefCounted + Sync + Send> Sync for ARef<T> {}

impl<T: AlwaysRefCounted> ARef<T> {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The caller owns a reference on `ptr` and gives it away.
    pub unsafe fn from_raw(ptr: NonNull<T>) -> Self {
        Self {
            ptr,
            _p: PhantomData,
        }
    }

    /// Gives the reference away.
    pub fn into_raw(me: Self) -> NonNull<T> {
        ManuallyDrop::new(me).ptr
    }
}

impl<T: AlwaysRefCounted> Clone for ARef<T> {
    fn clone(&self) -> Self {
        self.inc_ref();
        // SAFETY: reference taken just above.
        unsafe { Self::from_raw(self.ptr) }
    }
}

impl<T: AlwaysRefCounted> Deref for ARef<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: alive by the invariant.
        unsafe { self.ptr.as_ref() }
    }
}

impl<T: AlwaysRefCounted> From<&T> for ARef<T> {
    fn from(b: &T) -> Self {
        b.inc_ref();
        // SAFETY: reference taken just above.
        unsafe { Self::from_raw(NonNull::from(b)) }
    }
}

impl<T: AlwaysRefCounted> Drop for ARef<T> {
    fn drop(&mut self) {
        // SAFETY: the reference owned by the invariant ends here.
        unsafe { T::dec_ref(self.ptr) }
    }
}
