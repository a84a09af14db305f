// SPDX-License-Identifier: GPL-2.0
//! [`Vec`]: a growing array on the kernel heap. C counterpart: `krealloc_array`.

use super::{
    allocator::{KVmalloc, Kmalloc, Vmalloc},
    AllocError, Allocator, Flags,
};
use core::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::{self, MaybeUninit},
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
};

/// Owns `len` values of `T` in an allocation of `A` with room for `cap`.
///
/// # Invariants
///
/// `ptr` points to memory for `cap` values from `A` (dangling if `cap` is 0 or `T` has no size);
/// the first `len <= cap` are initialised.
pub struct Vec<T, A: Allocator> {
    ptr: NonNull<T>,
    cap: usize,
    len: usize,
    _p: PhantomData<(T, A)>,
}

/// A vector from `kmalloc`.
pub type KVec<T> = Vec<T, Kmalloc>;
/// A vector from `vmalloc`.
pub type VVec<T> = Vec<T, Vmalloc>;
/// A vector from `kvmalloc`.
pub type KVVec<T> = Vec<T, KVmalloc>;

// SAFETY: owns its values.
unsafe impl<T: Send, A: Allocator> Send for Vec<T, A> {}
// SAFETY: gives out `&T` only.
unsafe impl<T: Sync, A: Allocator> Sync for Vec<T, A> {}

impl<T, A: Allocator> Vec<T, A> {
    const IS_ZST: bool = mem::size_of::<T>() == 0;

    /// An empty vector; allocates nothing.
    #[inline]
    pub const fn new() -> Self {
        Self {
            ptr: NonNull::dangling(),
            cap: 0,
            len: 0,
            _p: PhantomData,
        }
    }

    /// An empty vector with room for `capacity` values.
    pub fn with_capacity(capacity: usize, flags: Flags) -> Result<Self, AllocError> {
        let mut v = Self::new();
        if capacity != 0 {
            v.grow_to(capacity, flags)?;
        }
        Ok(v)
    }

    /// `n` clones of `value`.
    pub fn from_elem(value: T, n: usize, flags: Flags) -> Result<Self, AllocError>
    where
        T: Clone,
    {
        let mut v = Self::with_capacity(n, flags)?;
        v.extend_with(n, value, flags)?;
        Ok(v)
    }

    /// How many values fit without allocating.
    pub const fn capacity(&self) -> usize {
        if Self::IS_ZST {
            usize::MAX
        } else {
            self.cap
        }
    }

    /// How many values there are.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The values.
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self
    }

    /// The values.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }

    /// The start of the array.
    #[inline]
    pub const fn as_ptr(&self) -> *const T {
        self.ptr.as_ptr()
    }

    /// The start of the array.
    #[inline]
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.ptr.as_ptr()
    }

    /// Makes room for `additional` more values.
    #[inline]
    pub fn reserve(&mut self, additional: usize, flags: Flags) -> Result<(), AllocError> {
        if self.capacity().wrapping_sub(self.len) >= additional {
            return Ok(());
        }
        let need = self.len.checked_add(additional).ok_or(AllocError)?;
        self.grow_to(need.max(self.cap.saturating_mul(2)), flags)
    }

    /// Moves the values to an allocation with room for `cap > self.cap` values.
    fn grow_to(&mut self, cap: usize, flags: Flags) -> Result<(), AllocError> {
        if Self::IS_ZST {
            return Ok(());
        }
        let new = A::alloc(Layout::array::<T>(cap).map_err(|_| AllocError)?, flags)?.cast::<T>();
        // SAFETY: both arrays hold at least `len` values and are distinct allocations.
        unsafe { ptr::copy_nonoverlapping(self.ptr.as_ptr(), new.as_ptr(), self.len) };
        self.release();
        self.ptr = new;
        self.cap = cap;
        Ok(())
    }

    /// Frees the array, not the values.
    fn release(&mut self) {
        if self.cap == 0 || Self::IS_ZST {
            return;
        }
        if let Ok(layout) = Layout::array::<T>(self.cap) {
            // SAFETY: allocated with this layout; the caller replaces or forgets `ptr`.
            unsafe { A::free(self.ptr.cast(), layout) };
        }
    }

    /// The allocated but unused tail.
    pub fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<T>] {
        // SAFETY: within the allocation by the invariant; `MaybeUninit` needs no initialisation.
        unsafe {
            slice::from_raw_parts_mut(
                self.ptr.as_ptr().add(self.len).cast(),
                self.capacity().wrapping_sub(self.len),
            )
        }
    }

    /// Declares `additional` values of the spare capacity initialised.
    ///
    /// # Safety
    ///
    /// They are initialised and `len + additional <= capacity`.
    #[inline]
    pub unsafe fn inc_len(&mut self, additional: usize) {
        self.len = self.len.wrapping_add(additional);
    }

    /// Appends `v`.
    #[inline]
    pub fn push(&mut self, v: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(1, flags)?;
        // SAFETY: there is room for one more value.
        unsafe {
            self.ptr.as_ptr().add(self.len).write(v);
            self.inc_len(1);
        }
        Ok(())
    }

    /// Appends `v` if there is room, else gives it back.
    #[inline]
    pub fn push_within_capacity(&mut self, v: T) -> Result<(), PushError<T>> {
        if self.len >= self.capacity() {
            return Err(PushError(v));
        }
        // SAFETY: there is room for one more value.
        unsafe {
            self.ptr.as_ptr().add(self.len).write(v);
            self.inc_len(1);
        }
        Ok(())
    }

    /// Removes the last value.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        // SAFETY: the value at the old end was initialised and is now outside `len`.
        Some(unsafe { self.ptr.as_ptr().add(self.len).read() })
    }

    /// Removes the value at `i`, shifting the rest down.
    pub fn remove(&mut self, i: usize) -> Result<T, RemoveError> {
        if i >= self.len {
            return Err(RemoveError);
        }
        // SAFETY: `i` is in range; the tail after it moves down by one.
        unsafe {
            let at = self.ptr.as_ptr().add(i);
            let v = at.read();
            ptr::copy(at.add(1), at, self.len - i - 1);
            self.len -= 1;
            Ok(v)
        }
    }

    /// Keeps the values for which `f` says so.
    pub fn retain(&mut self, mut f: impl FnMut(&mut T) -> bool) {
        let mut kept = 0;
        for i in 0..self.len {
            let Some(v) = self.get_mut(i) else { break };
            if f(v) {
                self.swap(kept, i);
                kept += 1;
            }
        }
        self.truncate(kept);
    }

    /// Shortens to `len` values.
    pub fn truncate(&mut self, len: usize) {
        let Some(n) = self.len.checked_sub(len) else {
            return;
        };
        self.len = len;
        // SAFETY: these `n` values were initialised and are no longer counted.
        unsafe { ptr::drop_in_place(ptr::slice_from_raw_parts_mut(self.ptr.as_ptr().add(len), n)) }
    }

    /// Drops all values, keeps the allocation.
    #[inline]
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Grows with clones of `value` or shortens to `new_len`.
    pub fn resize(&mut self, new_len: usize, value: T, flags: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        match new_len.checked_sub(self.len) {
            Some(n) => self.extend_with(n, value, flags),
            None => {
                self.truncate(new_len);
                Ok(())
            }
        }
    }

    /// Appends `n` clones of `value`.
    pub fn extend_with(&mut self, n: usize, value: T, flags: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.reserve(n, flags)?;
        for _ in 0..n {
            // Room was reserved: cannot fail.
            let _ = self.push_within_capacity(value.clone());
        }
        Ok(())
    }

    /// Appends clones of all values in `other`.
    #[inline]
    pub fn extend_from_slice(&mut self, other: &[T], flags: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.reserve(other.len(), flags)?;
        for v in other {
            // SAFETY: room was reserved for `other.len()` values.
            unsafe {
                self.ptr.as_ptr().add(self.len).write(v.clone());
                self.inc_len(1);
            }
        }
        Ok(())
    }
}

/// No room in [`Vec::push_within_capacity`]; holds the value.
pub struct PushError<T>(pub T);

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Not enough capacity")
    }
}

/// Index out of range in [`Vec::remove`].
#[derive(Debug)]
pub struct RemoveError;

impl<T, A: Allocator> Drop for Vec<T, A> {
    fn drop(&mut self) {
        self.truncate(0);
        self.release();
    }
}

impl<T, A: Allocator> Default for Vec<T, A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator> Deref for Vec<T, A> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the first `len` values are initialised by the invariant.
        unsafe { slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl<T, A: Allocator> DerefMut for Vec<T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: the first `len` values are initialised by the invariant.
        unsafe { slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl<T: fmt::Debug, A: Allocator> fmt::Debug for Vec<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq<U>, U, A: Allocator, B: Allocator> PartialEq<Vec<U, B>> for Vec<T, A> {
    fn eq(&self, other: &Vec<U, B>) -> bool {
        **self == **other
    }
}

impl<T: PartialEq<U>, U, A: Allocator> PartialEq<[U]> for Vec<T, A> {
    fn eq(&self, other: &[U]) -> bool {
        **self == *other
    }
}

impl<T: PartialEq<U>, U, A: Allocator> PartialEq<&[U]> for Vec<T, A> {
    fn eq(&self, other: &&[U]) -> bool {
        **self == **other
    }
}

impl<T: PartialEq<U>, U, A: Allocator, const N: usize> PartialEq<[U; N]> for Vec<T, A> {
    fn eq(&self, other: &[U; N]) -> bool {
        **self == *other
    }
}

impl<T: Eq, A: Allocator> Eq for Vec<T, A> {}

impl<'a, T, A: Allocator> IntoIterator for &'a Vec<T, A> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T, A: Allocator> IntoIterator for &'a mut Vec<T, A> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T, A: Allocator> IntoIterator for Vec<T, A> {
    type Item = T;
    type IntoIter = IntoIter<T, A>;
    fn into_iter(mut self) -> IntoIter<T, A> {
        let end = mem::take(&mut self.len);
        IntoIter {
            vec: self,
            next: 0,
            end,
        }
    }
}

/// Iterates by value.
///
/// # Invariants
///
/// `vec.len` is 0; the values `next..end` are initialised and owned by the iterator.
pub struct IntoIter<T, A: Allocator> {
    vec: Vec<T, A>,
    next: usize,
    end: usize,
}

impl<T, A: Allocator> Iterator for IntoIter<T, A> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        let i = self.next;
        self.next = i.wrapping_add(1);
        // SAFETY: `i` was in `next..end` and no longer is.
        Some(unsafe { self.vec.ptr.as_ptr().add(i).read() })
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.end.wrapping_sub(self.next);
        (n, Some(n))
    }
}

impl<T, A: Allocator> Drop for IntoIter<T, A> {
    fn drop(&mut self) {
        for v in self.by_ref() {
            drop(v);
        }
    }
}
