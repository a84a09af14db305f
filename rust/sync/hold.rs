// SPDX-License-Identifier: GPL-2.0
//! [`RcuHold`]: something that readers rely on, given back a plain grace period after it is let go.
//!
//! Unlike [`Retired`](super::Retired) it does not wait for the mutex section to end: for what others wait for while the
//! mutex may be held. In return nobody gets a reference to it, not even who holds the mutex.
//!
//! C counterpart: `call_rcu(&vport->rcu, vport_netdev_free)`, which gives back the port's reference on its device.

use super::atomic::{AtomicPtr, Ordering};
use crate::sys::{call_rcu, RcuHead};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};
use kernel::alloc::{AllocError, Flags, KBox};

/// The value and what it takes to drop it later, so that letting go never allocates.
#[repr(C)]
struct Held<T> {
    rcu: RcuHead,
    _value: T,
}

/// Keeps a `T` until [`release`](Self::release) and a grace period after.
///
/// `T` is dropped in softirq context: it may not sleep then.
///
/// # Invariants
///
/// `ptr` is null or came from `KBox::into_raw`, and this value owns it.
pub struct RcuHold<T> {
    ptr: AtomicPtr<Held<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: owns a `T`, to which it gives no reference.
unsafe impl<T: Send> Send for RcuHold<T> {}
// SAFETY: as above; whoever releases it gives the `T` to the CPU that drops it.
unsafe impl<T: Send> Sync for RcuHold<T> {}

impl<T: Send + 'static> RcuHold<T> {
    /// Allocates and moves `value` in.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        let rcu = RcuHead::new();
        let held = KBox::new(Held { rcu, _value: value }, flags)?;
        // INVARIANT: from `into_raw`.
        Ok(Self {
            ptr: AtomicPtr::new(KBox::into_raw(held)),
            _owns: PhantomData,
        })
    }

    /// Lets go: `T` is dropped once all readers of now have left. Does nothing the second time.
    pub fn release(&self) {
        // INVARIANT: null from now on.
        let held = self.ptr.swap(ptr::null_mut(), Ordering::AcqRel);
        if !held.is_null() {
            // SAFETY: ours until just now; it starts with its head, and only `drop_held` uses it from here.
            unsafe { call_rcu(held.cast(), drop_held::<T>) };
        }
    }
}

/// # Safety
///
/// Called by `call_rcu` with what `release` gave it.
unsafe extern "C" fn drop_held<T>(head: *mut RcuHead) {
    // SAFETY: the start of a `Held<T>` from a `KBox`, which nobody else has.
    drop(unsafe { KBox::from_raw(head.cast::<Held<T>>()) });
}

impl<T> Drop for RcuHold<T> {
    fn drop(&mut self) {
        if let Some(held) = NonNull::new(self.ptr.load(Ordering::Relaxed)) {
            // SAFETY: owned by the invariant; never released, so no reader relied on it.
            drop(unsafe { KBox::from_raw(held.as_ptr()) });
        }
    }
}
