// SPDX-License-Identifier: GPL-2.0
//! [`Box`]: one value on the kernel heap. C counterpart: `kmalloc`/`kfree` of one object.

use super::{
    allocator::{KVmalloc, Kmalloc, Vmalloc},
    AllocError, Allocator, Flags,
};
use core::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::{self, MaybeUninit},
    ops::{Deref, DerefMut},
    pin::Pin,
    ptr::NonNull,
};

/// Owns one `T` allocated by `A`.
///
/// # Invariants
///
/// `0` points to an initialised `T` in memory from `A` (dangling if `T` has no size), which nobody
/// else owns.
#[repr(transparent)]
pub struct Box<T, A: Allocator>(NonNull<T>, PhantomData<(T, A)>);

/// A box from `kmalloc`.
pub type KBox<T> = Box<T, Kmalloc>;
/// A box from `vmalloc`.
pub type VBox<T> = Box<T, Vmalloc>;
/// A box from `kvmalloc`.
pub type KVBox<T> = Box<T, KVmalloc>;

// SAFETY: owns its `T`.
unsafe impl<T: Send, A: Allocator> Send for Box<T, A> {}
// SAFETY: gives out `&T` only.
unsafe impl<T: Sync, A: Allocator> Sync for Box<T, A> {}

impl<T, A: Allocator> Box<T, A> {
    /// Allocates and moves `x` in.
    #[inline]
    pub fn new(x: T, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self::write(Self::new_uninit(flags)?, x))
    }

    /// Allocates without a value.
    #[inline]
    pub fn new_uninit(flags: Flags) -> Result<Box<MaybeUninit<T>, A>, AllocError> {
        let layout = Layout::new::<MaybeUninit<T>>();
        let ptr = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            A::alloc(layout, flags)?.cast()
        };
        // INVARIANT: fresh memory of the right size; `MaybeUninit` is always initialised.
        Ok(Box(ptr, PhantomData))
    }

    /// Fills an allocation.
    #[inline]
    pub fn write(mut b: Box<MaybeUninit<T>, A>, x: T) -> Self {
        (*b).write(x);
        let raw = Box::into_raw(b);
        // SAFETY: written just above; same allocator and layout.
        unsafe { Self::from_raw(raw.cast()) }
    }

    /// Allocates, moves `x` in and pins it.
    pub fn pin(x: T, flags: Flags) -> Result<Pin<Self>, AllocError> {
        Ok(Self::new(x, flags)?.into())
    }

    /// Takes over a pointer from [`Box::into_raw`].
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` of the same `T` and `A` and is not used again.
    #[inline]
    pub const unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: `into_raw` never returns null.
        Self(unsafe { NonNull::new_unchecked(raw) }, PhantomData)
    }

    /// Gives up ownership.
    #[inline]
    pub fn into_raw(b: Self) -> *mut T {
        let p = b.0.as_ptr();
        mem::forget(b);
        p
    }

    /// Gives up ownership for good.
    pub fn leak<'a>(b: Self) -> &'a mut T {
        // SAFETY: nobody frees it any more, so it lives as long as anyone asks.
        unsafe { &mut *Self::into_raw(b) }
    }

    /// Moves the value out and frees the allocation.
    pub fn into_inner(b: Self) -> T {
        // SAFETY: initialised by the invariant; the box below only frees the memory.
        let x = unsafe { b.0.as_ptr().read() };
        // SAFETY: same allocation, with the value now treated as uninitialised.
        drop(unsafe { Box::<MaybeUninit<T>, A>::from_raw(Self::into_raw(b).cast()) });
        x
    }
}

impl<T, A: Allocator> Drop for Box<T, A> {
    #[inline]
    fn drop(&mut self) {
        let layout = Layout::new::<T>();
        // SAFETY: initialised and owned by the invariant.
        unsafe { self.0.as_ptr().drop_in_place() };
        if layout.size() != 0 {
            // SAFETY: allocated by `A` with this layout; not used after drop.
            unsafe { A::free(self.0.cast(), layout) };
        }
    }
}

impl<T, A: Allocator> Deref for Box<T, A> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: initialised and owned by the invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T, A: Allocator> DerefMut for Box<T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: initialised and owned by the invariant.
        unsafe { self.0.as_mut() }
    }
}

impl<T, A: Allocator> From<Box<T, A>> for Pin<Box<T, A>> {
    fn from(b: Box<T, A>) -> Self {
        // SAFETY: the value does not move out of a pinned box.
        unsafe { Pin::new_unchecked(b) }
    }
}

impl<T: fmt::Debug, A: Allocator> fmt::Debug for Box<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
