// SPDX-License-Identifier: GPL-2.0
//! [`PerCpu`]: one value for each CPU.
//!
//! C counterpart: `alloc_percpu`, `this_cpu_ptr`, `per_cpu_ptr`.

use super::BhGuard;
use crate::sys;
use core::{marker::PhantomData, mem, ptr::NonNull};
use kernel::alloc::{AllocError, Flags};

/// A `T` for each possible CPU.
///
/// The others' values can be read too, and code that holds a [`BhGuard`] may be re-entered on its
/// own CPU, so `T` is shared: counters are [`LocalU64`](super::LocalU64), the rest cells.
///
/// An RCU section is not enough for this CPU's value, as the thread may be on another CPU at the next access (spec B61):
///
/// ```compile_fail,E0308
/// use openvswitch::rust::sync::{PerCpu, RcuGuard};
/// let values = PerCpu::new(|cpu| cpu, kernel::alloc::flags::GFP_KERNEL).unwrap();
/// values.get(&RcuGuard::new());
/// ```
///
/// ```
/// use openvswitch::rust::sync::{BhGuard, PerCpu};
/// let values = PerCpu::new(|cpu| cpu, kernel::alloc::flags::GFP_KERNEL).unwrap();
/// values.get(&BhGuard::enter());
/// ```
///
/// # Invariants
///
/// `base` came from `alloc_percpu` for a `T`; the copy of each possible CPU is initialised.
pub struct PerCpu<T> {
    base: NonNull<u8>,
    _owns: PhantomData<T>,
}

// SAFETY: owns values of `T`.
unsafe impl<T: Send> Send for PerCpu<T> {}
// SAFETY: `get` gives a CPU's value to that CPU's BH sections only, one at a time; the rest asks for `T: Sync`.
unsafe impl<T: Send> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// Allocates, and fills each CPU's copy with `init(cpu)`.
    pub fn new(mut init: impl FnMut(u32) -> T, flags: Flags) -> Result<Self, AllocError> {
        Self::try_new(|cpu| Ok(init(cpu)), flags)
    }

    /// The same for values that take memory themselves.
    pub fn try_new(
        mut init: impl FnMut(u32) -> Result<T, AllocError>,
        flags: Flags,
    ) -> Result<Self, AllocError> {
        let size = mem::size_of::<T>().max(1);
        let base = sys::alloc_percpu(size, mem::align_of::<T>(), flags);
        let base = NonNull::new(base).ok_or(AllocError)?;
        for cpu in possible_cpus() {
            match init(cpu) {
                // SAFETY: this CPU's copy, which nobody else knows yet.
                Ok(value) => unsafe { at::<T>(base, sys::per_cpu_offset(cpu)).write(value) },
                Err(e) => {
                    // SAFETY: the copies of the CPUs before this one were written; nobody knows them.
                    unsafe { free::<T>(base, possible_cpus().take_while(|c| *c < cpu)) };
                    return Err(e);
                }
            }
        }
        // INVARIANT: all copies written just above.
        Ok(Self {
            base,
            _owns: PhantomData,
        })
    }

    pub(super) fn into_raw(self) -> *mut u8 {
        mem::ManuallyDrop::new(self).base.as_ptr()
    }

    /// # Safety
    ///
    /// `base` came from [`Self::into_raw`] for the same `T`, and nobody else uses it.
    pub(super) unsafe fn from_raw(base: NonNull<u8>) -> Self {
        // INVARIANT: that of the value which `into_raw` consumed.
        Self {
            base,
            _owns: PhantomData,
        }
    }

    /// This CPU's value.
    #[inline]
    pub fn get<'g>(&'g self, bh: &'g BhGuard) -> &'g T {
        // SAFETY: the guard's offset is that of a possible CPU; initialised by the invariant.
        unsafe { &*at(self.base, bh.offset()) }
    }

    /// The value of `cpu`, if there can be such a CPU.
    pub fn get_on(&self, cpu: u32) -> Option<&T>
    where
        T: Sync,
    {
        if cpu >= sys::nr_cpu_ids() || !sys::cpu_possible(cpu) {
            return None;
        }
        // SAFETY: a possible CPU's copy, initialised by the invariant.
        Some(unsafe { &*at(self.base, sys::per_cpu_offset(cpu)) })
    }

    /// The values of all possible CPUs.
    pub fn iter(&self) -> impl Iterator<Item = &T>
    where
        T: Sync,
    {
        (0..sys::nr_cpu_ids()).filter_map(|cpu| self.get_on(cpu))
    }
}

/// The copy of `base` at a CPU's `offset`.
#[inline(always)]
pub(super) fn at<T>(base: NonNull<u8>, offset: usize) -> *mut T {
    base.as_ptr().wrapping_add(offset).cast()
}

fn possible_cpus() -> impl Iterator<Item = u32> {
    (0..sys::nr_cpu_ids()).filter(|cpu| sys::cpu_possible(*cpu))
}

impl<T> Drop for PerCpu<T> {
    fn drop(&mut self) {
        // SAFETY: initialised by the invariant; `&mut self` excludes users.
        unsafe { free::<T>(self.base, possible_cpus()) };
    }
}

/// Drops the copies of `cpus`, and frees all.
///
/// # Safety
///
/// `base` came from `alloc_percpu` for a `T`; these copies are initialised; nobody uses any of them again.
unsafe fn free<T>(base: NonNull<u8>, cpus: impl Iterator<Item = u32>) {
    for cpu in cpus {
        // SAFETY: initialised and unused by this function's contract.
        unsafe { at::<T>(base, sys::per_cpu_offset(cpu)).drop_in_place() };
    }
    // SAFETY: from `alloc_percpu` by this function's contract.
    unsafe { sys::free_percpu(base.as_ptr()) };
}
