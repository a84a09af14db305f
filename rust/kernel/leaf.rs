// SPDX-License-Identifier: GPL-2.0
//! The calls into the kernel. C half: `rust/helpers/kernel.c`. Userspace counterpart:
//! `userspace-shim/kernel/src/leaf.rs`.

use crate::{bindings, sync::LockClassKey};
use core::{
    alloc::Layout,
    ffi::{c_ulong, CStr},
    pin::Pin,
};

pub(crate) use bindings::{lock_class_key as LockClass, mutex as Mutex};

/// The size to ask for. `kmalloc` aligns to 8, and powers of two to their size.
#[inline]
fn size_for(layout: Layout) -> usize {
    if layout.align() <= 8 {
        layout.size()
    } else {
        layout.size().max(layout.align()).next_power_of_two()
    }
}

#[inline]
pub(crate) fn kmalloc(layout: Layout, flags: u32) -> *mut u8 {
    // SAFETY: any size and flags will do.
    unsafe { bindings::rust_helper_kmalloc(size_for(layout), flags) }.cast()
}

#[inline]
pub(crate) fn kvmalloc(layout: Layout, flags: u32) -> *mut u8 {
    // SAFETY: any size and flags will do.
    unsafe { bindings::rust_helper_kvmalloc(size_for(layout), flags) }.cast()
}

/// # Safety
///
/// `ptr` came from [`kmalloc`] and is not used again.
#[inline]
pub(crate) unsafe fn kfree_leaf(ptr: *mut u8, _layout: Layout) {
    // SAFETY: by this function's contract.
    unsafe { bindings::kfree(ptr.cast()) }
}

/// # Safety
///
/// `ptr` came from [`kvmalloc`] and is not used again.
#[inline]
pub(crate) unsafe fn kvfree_leaf(ptr: *mut u8, _layout: Layout) {
    // SAFETY: by this function's contract.
    unsafe { bindings::kvfree(ptr.cast()) }
}

#[inline]
pub(crate) fn rcu_read_lock() {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_rcu_read_lock() }
}

/// # Safety
///
/// This thread holds the read lock.
#[inline]
pub(crate) unsafe fn rcu_read_unlock() {
    // SAFETY: by this function's contract.
    unsafe { bindings::rust_helper_rcu_read_unlock() }
}

/// # Safety
///
/// `mutex` is static memory that nobody else uses yet.
pub(crate) unsafe fn mutex_init(
    mutex: *mut Mutex,
    name: &'static CStr,
    class: Pin<&'static LockClassKey>,
) {
    // SAFETY: by this function's contract; the others are static.
    unsafe { bindings::rust_helper___mutex_init(mutex, name.as_ptr(), class.as_ptr()) }
}

/// # Safety
///
/// It is initialised. This thread may sleep, and does not hold it.
pub(crate) unsafe fn mutex_lock(mutex: *mut Mutex) {
    // SAFETY: by this function's contract.
    unsafe { bindings::rust_helper_mutex_lock(mutex) }
}

/// # Safety
///
/// This thread holds it.
pub(crate) unsafe fn mutex_unlock(mutex: *mut Mutex) {
    // SAFETY: by this function's contract.
    unsafe { bindings::mutex_unlock(mutex) }
}

pub(crate) fn printk(level: u8, prefix: &CStr, text: &CStr) {
    // SAFETY: both strings end with a NUL.
    unsafe { bindings::rust_helper_printk(level, prefix.as_ptr(), text.as_ptr()) };
}

pub(crate) fn warn() {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_WARN() }
}

/// Stops this thread.
pub(crate) fn bug() -> ! {
    // SAFETY: BUG() does not return. The prototype does not say so: then the compiler ends this function with a ud2 of
    // its own, which objtool needs as a dead end, and one only.
    unsafe {
        bindings::rust_helper_BUG();
        core::hint::unreachable_unchecked()
    }
}

pub(crate) fn msecs_to_jiffies(msecs: u32) -> c_ulong {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_msecs_to_jiffies(msecs) }
}
