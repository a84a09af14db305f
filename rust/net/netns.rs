// SPDX-License-Identifier: GPL-2.0
//! Network namespaces.
//!
//! C counterpart: `include/net/net_namespace.h`.

use crate::rust::bindings;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A network namespace, not counted, that stays for `'a`: as long as the token, the request or the device lasts
/// through which it was found.
///
/// # Invariants
///
/// Points to a namespace whose memory stays for `'a`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct NetRef<'a>(NonNull<bindings::net>, PhantomData<&'a bindings::net>);

impl<'a> NetRef<'a> {
    /// Wraps C's pointer.
    ///
    /// # Safety
    ///
    /// Not null, and the namespace stays for `'a`.
    #[inline(always)]
    pub unsafe fn from_raw(net: *mut bindings::net) -> Self {
        // INVARIANT: the caller promises it.
        // SAFETY: not null, by the caller.
        Self(unsafe { NonNull::new_unchecked(net) }, PhantomData)
    }

    /// The C pointer.
    #[inline(always)]
    pub fn as_ptr(self) -> *mut bindings::net {
        self.0.as_ptr()
    }

    /// What the pernet operations with this id keep for the namespace.
    pub fn generic(self, id: u32) -> *mut c_void {
        // SAFETY: there by the invariant.
        unsafe { bindings::rust_helper_net_generic(self.as_ptr(), id) }
    }

    /// The id by which this namespace knows `other`, allocated if need be, atomically.
    pub fn peer_id(self, other: NetRef<'_>) -> i32 {
        // SAFETY: both there by the invariant; one that has begun to end gets no id.
        unsafe { bindings::rust_helper_peernet2id_alloc(self.as_ptr(), other.as_ptr()) }
    }
}
