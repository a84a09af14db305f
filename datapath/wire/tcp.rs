// SPDX-License-Identifier: GPL-2.0
//! TCP.

use super::{be::Be16, be16};

/// Bytes of a header without options.
pub const HLEN: usize = 20;

/// A TCP header.
#[derive(Clone, Copy)]
pub struct Tcp<'a>(pub &'a [u8; HLEN]);

impl Tcp<'_> {
    #[inline(always)]
    pub const fn src(&self) -> Be16 {
        be16::<0, HLEN>(self.0)
    }

    #[inline(always)]
    pub const fn dst(&self) -> Be16 {
        be16::<2, HLEN>(self.0)
    }

    /// Bytes of the header with its options, as it says itself; not checked.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.0[12] >> 4) as usize * 4
    }

    /// The 12 bits after the data offset.
    #[inline(always)]
    pub const fn flags(&self) -> Be16 {
        Be16::new(be16::<12, HLEN>(self.0).get() & 0x0fff)
    }
}
