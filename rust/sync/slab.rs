// SPDX-License-Identifier: GPL-2.0
//! [`SlabCache`]: named memory for objects of one type. Spec: T13.
//!
//! C counterpart: `flow_cache`, `flow_stats_cache` of `net/openvswitch/flow_table.c`.

use super::ProcessContext;
use crate::sys;
use core::{
    ffi::{c_void, CStr},
    marker::PhantomData,
    mem::{align_of, size_of},
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::alloc::{AllocError, Flags, KBox};

/// A slab cache that a `static` can hold. Until it is created, and in userspace, `kmalloc` stands
/// in; so a box from it is an ordinary [`KBox`], and `kfree` takes both.
///
/// # Invariants
///
/// `cache` is null or a slab cache of objects with the size and alignment of `T`.
pub struct SlabCache<T> {
    name: &'static CStr,
    cache: AtomicPtr<c_void>,
    _of: PhantomData<fn() -> T>,
}

impl<T> SlabCache<T> {
    /// A cache that is not created yet. `T`'s alignment is the objects'.
    pub const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            cache: AtomicPtr::new(ptr::null_mut()),
            _of: PhantomData,
        }
    }

    /// Creates the cache, once, until the result is dropped.
    pub fn create(&'static self, _ctx: &ProcessContext) -> Result<SlabRegistration<T>, AllocError> {
        let cache = sys::slab_create(self.name, size_of::<T>(), align_of::<T>())?;
        // INVARIANT: made for `T` just above.
        self.cache.store(cache, Ordering::Release);
        Ok(SlabRegistration(self))
    }

    /// Allocates from the cache and moves `value` in.
    pub fn alloc(&self, value: T, flags: Flags) -> Result<KBox<T>, AllocError> {
        let cache = self.cache.load(Ordering::Acquire);
        if cache.is_null() {
            return KBox::new(value, flags);
        }
        // SAFETY: a live cache, by the invariant.
        let object = unsafe { sys::slab_alloc(cache, flags) }.cast::<T>();
        if object.is_null() {
            return Err(AllocError);
        }
        // SAFETY: fresh memory for a `T` by the invariant; `kfree` takes objects of any cache.
        unsafe {
            object.write(value);
            Ok(KBox::from_raw(object))
        }
    }
}

/// Keeps a [`SlabCache`] in being. Dropping it, in process context like creating it, waits for RCU callbacks, and then
/// all objects must have been freed.
pub struct SlabRegistration<T: 'static>(&'static SlabCache<T>);

impl<T> Drop for SlabRegistration<T> {
    fn drop(&mut self) {
        // SAFETY: dropped in process context.
        super::rcu_barrier(&unsafe { ProcessContext::assume() });
        let cache = self.0.cache.swap(ptr::null_mut(), Ordering::AcqRel);
        if !cache.is_null() {
            // SAFETY: a live cache by the invariant, no longer reachable.
            unsafe { sys::slab_destroy(cache) };
        }
    }
}
