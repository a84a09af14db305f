// SPDX-License-Identifier: GPL-2.0
//! Integers kept in network byte order, as they stand in a flow key or a header.

/// A 16-bit integer in network byte order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Be16(u16);

/// A 32-bit integer in network byte order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Be32(u32);

macro_rules! be {
    ($be:ident, $int:ident, $n:literal) => {
        impl $be {
            /// From host order.
            #[inline(always)]
            pub const fn new(v: $int) -> Self {
                Self(v.to_be())
            }

            /// In host order.
            #[inline(always)]
            pub const fn get(self) -> $int {
                $int::from_be(self.0)
            }

            /// From the bytes on the wire.
            #[inline(always)]
            pub const fn from_bytes(b: [u8; $n]) -> Self {
                Self($int::from_ne_bytes(b))
            }

            /// The bytes on the wire.
            #[inline(always)]
            pub const fn to_bytes(self) -> [u8; $n] {
                self.0.to_ne_bytes()
            }

            /// The bits as they lie in memory; for masking and comparing only.
            #[inline(always)]
            pub const fn raw(self) -> $int {
                self.0
            }

            /// From [`Self::raw`] bits.
            #[inline(always)]
            pub const fn from_raw(v: $int) -> Self {
                Self(v)
            }
        }

        impl core::fmt::Debug for $be {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:#x}", self.get())
            }
        }
    };
}

be!(Be16, u16, 2);
be!(Be32, u32, 4);
