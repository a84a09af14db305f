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
/// # Invariants
///
/// `base` came from `alloc_percpu` for a `T`; the copy of each possible CPU is initialised.
pub struct PerCpu<T> {
    base: NonNull<u8>,
    _owns: PhantomData<T>,
}

// SAFETY: owns values of `T`.
unsafe impl<T: Send> Send for PerCpu<T> {}
// SAFETY: gives `&T` only.
unsafe impl<T: Send + Sync> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// Allocates, and fills each CPU's copy with `init(cpu)`.
    pub fn new(mut init: impl FnMut(u32) -> T, flags: Flags) -> Result<Self, AllocError> {
        let size = mem::size_of::<T>().max(1);
        let base = sys::alloc_percpu(size, mem::align_of::<T>(), flags);
        let base = NonNull::new(base).ok_or(AllocError)?;
        for cpu in possible_cpus() {
            // SAFETY: this CPU's copy, which nobody else knows yet.
            unsafe { at::<T>(base, sys::per_cpu_offset(cpu)).write(init(cpu)) };
        }
        // INVARIANT: all copies written just above.
        Ok(Self {
            base,
            _owns: PhantomData,
        })
    }

    /// This CPU's value.
    #[inline]
    pub fn get<'g>(&'g self, bh: &'g BhGuard) -> &'g T {
        // SAFETY: the guard's offset is that of a possible CPU; initialised by the invariant.
        unsafe { &*at(self.base, bh.offset()) }
    }

    /// The value of `cpu`, if there can be such a CPU.
    pub fn get_on(&self, cpu: u32) -> Option<&T> {
        if cpu >= sys::nr_cpu_ids() || !sys::cpu_possible(cpu) {
            return None;
        }
        // SAFETY: a possible CPU's copy, initialised by the invariant.
        Some(unsafe { &*at(self.base, sys::per_cpu_offset(cpu)) })
    }

    /// The values of all possible CPUs.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        (0..sys::nr_cpu_ids()).filter_map(|cpu| self.get_on(cpu))
    }
}

/// The copy of `base` at a CPU's `offset`.
#[inline]
fn at<T>(base: NonNull<u8>, offset: usize) -> *mut T {
    base.as_ptr().wrapping_add(offset).cast()
}

fn possible_cpus() -> impl Iterator<Item = u32> {
    (0..sys::nr_cpu_ids()).filter(|cpu| sys::cpu_possible(*cpu))
}

impl<T> Drop for PerCpu<T> {
    fn drop(&mut self) {
        for cpu in possible_cpus() {
            // SAFETY: initialised by the invariant; `&mut self` excludes users.
            unsafe { at::<T>(self.base, sys::per_cpu_offset(cpu)).drop_in_place() };
        }
        // SAFETY: from `alloc_percpu` by the invariant; not used after drop.
        unsafe { sys::free_percpu(self.base.as_ptr()) };
    }
}
