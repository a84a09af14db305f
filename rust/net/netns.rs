// SPDX-License-Identifier: GPL-2.0
//! Network namespaces.
//!
//! C counterpart: `include/net/net_namespace.h`.

use crate::rust::bindings;
use core::ffi::c_void;
use core::ptr::NonNull;

/// A network namespace, not counted.
///
/// # Invariants
///
/// Points to a namespace that is alive while the value is used: whoever holds one is a request of a socket in that
/// namespace, a packet on a device of it, or state that the namespace's exit takes down first.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct NetRef(NonNull<bindings::net>);

// SAFETY: a namespace is shared by all CPUs; only its address is kept here.
unsafe impl Send for NetRef {}
// SAFETY: as above.
unsafe impl Sync for NetRef {}

impl NetRef {
    /// Wraps C's pointer.
    ///
    /// # Safety
    ///
    /// Not null, and the namespace outlives every use of the value.
    #[inline(always)]
    pub unsafe fn from_raw(net: *mut bindings::net) -> Self {
        // INVARIANT: the caller promises it.
        // SAFETY: not null, by the caller.
        Self(unsafe { NonNull::new_unchecked(net) })
    }

    /// The C pointer.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut bindings::net {
        self.0.as_ptr()
    }

    /// What the pernet operations with this id keep for the namespace.
    pub fn generic(&self, id: u32) -> *mut c_void {
        // SAFETY: alive by the invariant.
        unsafe { bindings::rust_helper_net_generic(self.as_ptr(), id) }
    }

    /// The id by which this namespace knows `other`, allocated if need be.
    pub fn peer_id(&self, other: &NetRef) -> i32 {
        // SAFETY: both alive by the invariant.
        unsafe { bindings::rust_helper_peernet2id_alloc(self.as_ptr(), other.as_ptr()) }
    }
}
