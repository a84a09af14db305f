// SPDX-License-Identifier: GPL-2.0
//! A network device whose other end is a suite. C half: `rust/helpers/kunit.c`.
//!
//! C counterpart: none.

use super::packet::bytes;
use crate::rust::bindings;
use crate::rust::net::skbuff::SkBuff;
use core::ptr::NonNull;
use kernel::prelude::*;

/// A device that is up, with the MTU of Ethernet; gone when dropped, which waits for all who refer to it.
pub(super) struct Device(NonNull<bindings::net_device>);

// SAFETY: what is asked of it is done under locks of the kernel's.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// Its name ends with a NUL.
    pub(super) fn new(name: &[u8; 16]) -> Result<Self> {
        // SAFETY: a test runs in process context; the name ends within the array, by this function's contract.
        NonNull::new(unsafe { bindings::rust_helper_kunit_dev(name.as_ptr().cast()) })
            .map(Self)
            .ok_or(ENOMEM)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::net_device {
        self.0.as_ptr()
    }

    /// A frame comes in, and is dealt with when this returns.
    pub(super) fn input(&self, skb: SkBuff) {
        // SAFETY: registered; the packet is given away.
        unsafe { bindings::rust_helper_kunit_dev_input(self.as_ptr(), skb.into_raw()) }
    }

    /// The next frame that it was given to send.
    pub(super) fn sent(&self) -> Option<SkBuff> {
        // SAFETY: registered.
        NonNull::new(unsafe { bindings::rust_helper_kunit_dev_sent(self.as_ptr()) })
            // SAFETY: taken from the queue, and given to us.
            .map(|skb| unsafe { SkBuff::from_raw(skb) })
    }

    /// The bytes of all that it was given to send since the last time, sums that were left to it completed.
    pub(super) fn frames(&self) -> Result<KVec<KVec<u8>>> {
        let mut all = KVec::new();
        while let Some(mut skb) = self.sent() {
            skb.complete_checksum()?;
            all.push(bytes(&skb)?, GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// How many refer to it.
    pub(super) fn references(&self) -> i32 {
        // SAFETY: registered; only reads.
        unsafe { bindings::rust_helper_kunit_dev_refs(self.as_ptr()) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: registered once.
        unsafe { bindings::rust_helper_kunit_dev_free(self.as_ptr()) }
    }
}
