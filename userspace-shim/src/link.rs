// SPDX-License-Identifier: GPL-2.0
//! [`Link`]: the way from a device to the vport on top of it.
//!
//! Kernel counterpart: `rx_handler_data` and the private area of an internal device.

use crate::datapath::ports::port::Vport;
use crate::rust::sync::ReadToken;
use std::ptr::{from_ref, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering::SeqCst};

/// Set by `DeviceOps::link`, cleared by `DeviceOps::unlink_all` and the netdev notifier.
///
/// # Invariants
///
/// Null, or a vport that is linked and not yet unlinked: only `env.rs` sets it, to what `link` was given. A vport is
/// freed a grace period after its `unlink_all`.
#[derive(Default)]
pub struct Link(AtomicPtr<Vport>);

impl Link {
    pub(super) fn set(&self, vport: &Vport) {
        self.0.store(from_ref(vport).cast_mut(), SeqCst);
    }

    pub(super) fn clear(&self) {
        self.0.store(null_mut(), SeqCst);
    }

    /// The vport on top.
    pub fn get<'g>(&self, _token: &'g impl ReadToken) -> Option<&'g Vport> {
        // SAFETY: by the invariant; the token keeps one that is unlinked meanwhile from being freed.
        unsafe { self.0.load(SeqCst).as_ref() }
    }
}
