// SPDX-License-Identifier: GPL-2.0
//! [`GlobalPerCpu`]: per-CPU data of the whole module, in a `static`.
//!
//! C counterpart: `DEFINE_PER_CPU`, which modules can have but Rust cannot declare.

use super::{percpu::at, BhGuard, MaySleep, PerCpu};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering},
};
use kernel::alloc::{flags::GFP_KERNEL, AllocError};

/// A `T` for each possible CPU, from [`init`](Self::init) to [`fini`](Self::fini).
///
/// # Invariants
///
/// `base` is null or came from `PerCpu::<T>::into_raw`, and this value owns it.
pub struct GlobalPerCpu<T> {
    base: AtomicPtr<u8>,
    _owns: PhantomData<T>,
}

// SAFETY: a CPU's value is given only to its own BH sections, one at a time; it is dropped elsewhere.
unsafe impl<T: Send> Sync for GlobalPerCpu<T> {}

impl<T> GlobalPerCpu<T> {
    /// Holds nothing yet.
    pub const fn new() -> Self {
        Self {
            base: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// Allocates and fills each CPU's copy, unless that was done before.
    pub fn init(
        &'static self,
        _ctx: &impl MaySleep,
        init: impl FnMut(u32) -> Result<T, AllocError>,
    ) -> Result<(), AllocError> {
        if !self.base.load(Ordering::Acquire).is_null() {
            return Ok(());
        }
        let new = PerCpu::try_new(init, GFP_KERNEL)?.into_raw();
        // INVARIANT: from `into_raw` just above.
        let won =
            self.base
                .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        if won.is_err() {
            // SAFETY: somebody else was first, so `new` was never published and is not null.
            drop(unsafe { PerCpu::<T>::from_raw(NonNull::new_unchecked(new)) });
        }
        Ok(())
    }

    /// Drops and frees what [`Self::init`] made.
    ///
    /// # Safety
    ///
    /// No reference from [`Self::get`] is alive.
    pub unsafe fn fini(&'static self) {
        if let Some(base) = NonNull::new(self.base.swap(ptr::null_mut(), Ordering::AcqRel)) {
            // SAFETY: ours by the invariant, and unused by this function's contract.
            drop(unsafe { PerCpu::<T>::from_raw(base) });
        }
    }

    /// This CPU's value; `None` outside of `init` and `fini`.
    #[inline(always)]
    pub fn get<'g>(&'static self, bh: &'g BhGuard) -> Option<&'g T> {
        let base = NonNull::new(self.base.load(Ordering::Acquire))?;
        // SAFETY: all copies are initialised by the invariant, and the guard's offset is that of a possible CPU;
        // whoever calls `fini` answers for this reference.
        Some(unsafe { &*at(base, bh.offset()) })
    }
}

impl<T> Default for GlobalPerCpu<T> {
    fn default() -> Self {
        Self::new()
    }
}
