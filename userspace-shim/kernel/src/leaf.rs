// SPDX-License-Identifier: GPL-2.0
//! The leaves on `std`. Kernel counterpart: `rust/kernel/leaf.rs`.

use crate::{sync::LockClassKey, testing};
use core::{alloc::Layout, ffi::CStr, pin::Pin};

pub(crate) use testing::RawMutex as Mutex;
/// There is no lockdep here.
pub(crate) struct LockClass;

pub(crate) fn kmalloc(layout: Layout, flags: u32) -> *mut u8 {
    testing::alloc::alloc(layout, flags)
}

/// # Safety
///
/// `ptr` came from `kmalloc(layout, _)`.
pub(crate) unsafe fn kfree_leaf(ptr: *mut u8, layout: Layout) {
    // SAFETY: by this function's contract.
    unsafe { testing::alloc::free(ptr, layout) }
}

pub(crate) use kfree_leaf as kvfree_leaf;
pub(crate) use kmalloc as kvmalloc;

pub(crate) fn rcu_read_lock() {
    testing::rcu::read_lock();
}

/// # Safety
///
/// This thread holds the read lock.
pub(crate) unsafe fn rcu_read_unlock() {
    testing::rcu::read_unlock();
}

/// # Safety
///
/// `mutex` is static memory that nobody else uses yet.
pub(crate) unsafe fn mutex_init(
    mutex: *mut Mutex,
    _name: &'static CStr,
    class: Pin<&'static LockClassKey>,
) {
    assert!(!class.as_ptr().is_null());
    // SAFETY: by this function's contract.
    unsafe { mutex.write(Mutex::new()) }
}

/// # Safety
///
/// It is initialised. This thread does not hold it.
pub(crate) unsafe fn mutex_lock(mutex: *mut Mutex) {
    // SAFETY: by this function's contract.
    unsafe { &*mutex }.lock();
}

/// # Safety
///
/// This thread holds it.
pub(crate) unsafe fn mutex_unlock(mutex: *mut Mutex) {
    // SAFETY: by this function's contract.
    unsafe { &*mutex }.unlock();
}

pub(crate) fn printk(level: u8, prefix: &CStr, text: &CStr) {
    testing::log::record(level, prefix, text);
}

pub(crate) fn warn() {
    testing::log::warned();
}

/// HZ is 1000 here.
pub(crate) fn msecs_to_jiffies(msecs: u32) -> core::ffi::c_ulong {
    msecs.into()
}
