// SPDX-License-Identifier: GPL-2.0
//! Padding-free structs seen as words, for key comparison, masking and hashing.
//!
//! May touch: `core`. C counterpart: the `long *` casts of `net/openvswitch/flow_table.c`.

/// A struct without padding, valid for every bit pattern, aligned to and sized in 64-bit words.
///
/// # Safety
///
/// All of that holds. [`pod!`](crate::pod) proves all but "valid for every bit pattern" of fields
/// whose types it does not know.
pub unsafe trait Pod: Sized + Copy {
    /// `[u64; N]` of the same size.
    type Words: Copy + AsRef<[u64]> + AsMut<[u64]>;

    /// All zero bits.
    #[inline]
    fn zeroed() -> Self {
        // SAFETY: every bit pattern is valid.
        unsafe { core::mem::zeroed() }
    }

    /// The struct as words, in memory order.
    #[inline]
    fn as_words(&self) -> &Self::Words {
        // SAFETY: same size, no padding, aligned for `u64`.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// The struct as words, in memory order.
    #[inline]
    fn as_words_mut(&mut self) -> &mut Self::Words {
        // SAFETY: same size, no padding, aligned for `u64`, every bit pattern is valid.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    /// The struct as pairs of words, in memory order; an odd last word is left out.
    #[inline]
    fn as_pairs(&self) -> &[[u64; 2]] {
        let pairs = core::mem::size_of::<Self>() / 16;
        // SAFETY: no more than its size, no padding, aligned for `u64`.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), pairs) }
    }

    /// The struct as bytes.
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: no padding, so all bytes are initialised.
        unsafe {
            core::slice::from_raw_parts(
                core::ptr::from_ref(self).cast(),
                core::mem::size_of::<Self>(),
            )
        }
    }
}

/// A type without padding for which every bit pattern is valid: what a [`Pod`] struct is made of.
///
/// # Safety
///
/// Both hold.
pub unsafe trait PodField: Copy {}

macro_rules! fields {
    ($($t:ty)*) => {
        $(
            // SAFETY: integers have no padding and no invalid values.
            unsafe impl PodField for $t {}
        )*
    };
}
fields! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 }

// SAFETY: arrays add no padding.
unsafe impl<T: PodField, const N: usize> PodField for [T; N] {}

/// Declares a `#[repr(C)]` struct that is a [`PodField`], and with `words` after its name also a
/// [`Pod`]. Compilation fails if there is padding, if a field may be invalid, or if a `words`
/// struct is not made of whole, aligned 64-bit words (add `#[repr(align(8))]`).
///
/// ```
/// # use openvswitch::pod;
/// pod! {
///     /// Addresses.
///     #[derive(PartialEq, Eq)]
///     pub struct Ipv4 { pub src: [u8; 4], pub dst: [u8; 4] }
/// }
/// pod! {
///     #[repr(align(8))]
///     pub struct Key: words { pub ip: Ipv4, pub port: u32, pub _pad: u32 }
/// }
/// ```
#[macro_export]
macro_rules! pod {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(: $words:ident)? {
            $( $(#[$fmeta:meta])* $fvis:vis $field:ident : $t:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        $vis struct $name {
            $( $(#[$fmeta])* $fvis $field : $t ),*
        }

        // SAFETY: fields are `PodField` and their sizes add up to the struct's (checked below).
        unsafe impl $crate::rust::pod::PodField for $name {}
        const _: () = {
            const fn field<T: $crate::rust::pod::PodField>() -> usize {
                core::mem::size_of::<T>()
            }
            assert!(
                core::mem::size_of::<$name>() == 0 $( + field::<$t>() )*,
                "a pod struct has padding"
            );
        };
        $( $crate::pod!(@ $words $name); )?
    };
    (@ words $name:ident) => {
        // SAFETY: a `PodField`; word size and alignment are checked below.
        unsafe impl $crate::rust::pod::Pod for $name {
            type Words = [u64; core::mem::size_of::<$name>() / 8];
        }
        const _: () = assert!(
            core::mem::size_of::<$name>() % 8 == 0 && core::mem::align_of::<$name>() >= 8,
            "a pod struct of words is made of whole, aligned words"
        );
    };
}
/// Makes an existing `#[repr(C)]` struct a [`Pod`], for one that stands where `unsafe` may not be said. All of
/// its fields are listed and must be visible here; the same is proved as by [`pod!`](crate::pod).
#[macro_export]
macro_rules! pod_words {
    ($name:ident { $($field:ident),* $(,)? }) => {
        // SAFETY: all fields are `PodField`, their sizes add up to the struct's, which is made of
        // whole, aligned words (all checked below).
        unsafe impl $crate::rust::pod::Pod for $name {
            type Words = [u64; core::mem::size_of::<$name>() / 8];
        }
        const _: () = {
            const fn size<T: $crate::rust::pod::PodField>(_: *const T) -> usize {
                core::mem::size_of::<T>()
            }
            let value = core::mem::MaybeUninit::<$name>::uninit();
            let p = value.as_ptr();
            // SAFETY: only the place is named, nothing is read.
            let sum = unsafe { 0 $( + size(&raw const (*p).$field) )* };
            assert!(core::mem::size_of::<$name>() == sum, "a pod struct has padding");
            assert!(
                core::mem::size_of::<$name>() % 8 == 0 && core::mem::align_of::<$name>() >= 8,
                "a pod struct of words is made of whole, aligned words"
            );
        };
    };
}
pub use crate::{pod, pod_words};

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::macros::kunit_tests(ovs_pod))]
mod tests {
    use super::*;

    pod! {
        #[derive(PartialEq, Eq, Debug)]
        struct Inner { a: u16, b: [u8; 6] }
    }
    pod! {
        #[derive(PartialEq, Eq, Debug)]
        #[repr(align(8))]
        struct Outer: words { inner: Inner, c: u32, d: u32 }
    }

    #[test]
    fn words_and_bytes_show_the_fields() {
        let mut k = Outer::zeroed();
        assert_eq!(*k.as_words(), [0, 0]);
        k.c = 0x0403_0201;
        k.inner.a = 0xffff;
        assert_eq!(k.as_bytes()[8..12], [1, 2, 3, 4]);
        assert_eq!(*k.as_words(), [0xffff, 0x0403_0201]);
        k.as_words_mut()[1] = 0;
        assert_eq!(k.c, 0);
        assert_eq!(k.as_bytes().len(), size_of::<Outer>());
        assert_eq!(k.as_pairs(), [*k.as_words()]);
    }
}
