// SPDX-License-Identifier: GPL-2.0
//! Fallible allocation with flags. C counterpart: `mm/slab_common.c`, `mm/util.c`.
//!
//! Nothing here aborts: every allocation says where it may sleep and returns [`AllocError`].

mod kbox;
mod kvec;

pub use self::kbox::{Box, KBox, KVBox, VBox};
pub use self::kvec::{IntoIter, KVVec, KVec, VVec, Vec};

use core::{alloc::Layout, ptr::NonNull};

/// No memory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AllocError;

/// Allocation flags: [`flags`] has the values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// The bits handed to the leaf allocator.
    pub(crate) fn as_raw(self) -> u32 {
        self.0
    }

    /// Whether all of `flags` are set.
    pub fn contains(self, flags: Flags) -> bool {
        (self & flags) == flags
    }
}

impl core::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, rhs: Self) -> Self {
        Self(self.0 | rhs.0)
    }
}

impl core::ops::BitAnd for Flags {
    type Output = Self;
    fn bitand(self, rhs: Self) -> Self {
        Self(self.0 & rhs.0)
    }
}

impl core::ops::Not for Flags {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// The flags the module uses.
///
/// The bits are this crate's own: `gfp_t` is renumbered between kernel versions, so the C helper
/// translates (`rust/helpers/kernel.c`).
pub mod flags {
    use super::Flags;

    /// Zero the memory.
    pub const __GFP_ZERO: Flags = Flags(1 << 2);
    /// Do not log a failure.
    pub const __GFP_NOWARN: Flags = Flags(1 << 3);
    /// Charge the memory cgroup.
    const ACCOUNT: Flags = Flags(1 << 4);
    /// May not sleep; may use reserves.
    pub const GFP_ATOMIC: Flags = Flags(1 << 1);
    /// May sleep.
    pub const GFP_KERNEL: Flags = Flags(1 << 0);
    /// [`GFP_KERNEL`], charged to the current memory cgroup.
    pub const GFP_KERNEL_ACCOUNT: Flags = Flags(GFP_KERNEL.0 | ACCOUNT.0);
    /// May not sleep and may not use reserves.
    pub const GFP_NOWAIT: Flags = Flags(1 << 5);
}

/// A source of memory.
///
/// # Safety
///
/// `alloc` returns memory valid for `layout` and owned by the caller; `free` only releases.
pub unsafe trait Allocator {
    /// Allocates `layout.size() != 0` bytes.
    fn alloc(layout: Layout, flags: Flags) -> Result<NonNull<u8>, AllocError>;

    /// Frees what `alloc` returned.
    ///
    /// # Safety
    ///
    /// `ptr` came from `alloc` of the same allocator with the same `layout`, and is not used again.
    unsafe fn free(ptr: NonNull<u8>, layout: Layout);
}

/// The allocators behind [`KBox`], [`VBox`], [`KVBox`] and the vectors.
pub mod allocator {
    use super::{AllocError, Allocator, Flags};
    use core::{alloc::Layout, ptr::NonNull};

    /// Physically contiguous memory.
    pub struct Kmalloc;
    /// Virtually contiguous memory. Here the same as [`KVmalloc`].
    pub struct Vmalloc;
    /// Contiguous if possible, else virtually contiguous.
    pub struct KVmalloc;

    // SAFETY: `leaf::kmalloc` returns null or memory for `layout`.
    unsafe impl Allocator for Kmalloc {
        #[inline]
        fn alloc(layout: Layout, flags: Flags) -> Result<NonNull<u8>, AllocError> {
            NonNull::new(crate::leaf::kmalloc(layout, flags.as_raw())).ok_or(AllocError)
        }
        #[inline]
        unsafe fn free(ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: by this function's contract.
            unsafe { crate::leaf::kfree_leaf(ptr.as_ptr(), layout) }
        }
    }

    // SAFETY: `leaf::kvmalloc` returns null or memory for `layout`.
    unsafe impl Allocator for KVmalloc {
        fn alloc(layout: Layout, flags: Flags) -> Result<NonNull<u8>, AllocError> {
            NonNull::new(crate::leaf::kvmalloc(layout, flags.as_raw())).ok_or(AllocError)
        }
        unsafe fn free(ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: by this function's contract.
            unsafe { crate::leaf::kvfree_leaf(ptr.as_ptr(), layout) }
        }
    }

    // SAFETY: as `KVmalloc`.
    unsafe impl Allocator for Vmalloc {
        fn alloc(layout: Layout, flags: Flags) -> Result<NonNull<u8>, AllocError> {
            KVmalloc::alloc(layout, flags)
        }
        unsafe fn free(ptr: NonNull<u8>, layout: Layout) {
            // SAFETY: by this function's contract.
            unsafe { KVmalloc::free(ptr, layout) }
        }
    }
}
