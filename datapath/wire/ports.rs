// SPDX-License-Identifier: GPL-2.0
//! UDP and SCTP, as far as they are alike: both begin with two ports.

use super::{be::Be16, be16};

/// Bytes of a UDP header.
pub const UDP_HLEN: usize = 8;
/// Bytes of an SCTP common header.
pub const SCTP_HLEN: usize = 12;

/// A header of `N` bytes that begins with two ports.
#[derive(Clone, Copy)]
pub struct Ports<'a, const N: usize>(pub &'a [u8; N]);

impl<const N: usize> Ports<'_, N> {
    #[inline(always)]
    pub const fn src(&self) -> Be16 {
        be16::<0, N>(self.0)
    }

    #[inline(always)]
    pub const fn dst(&self) -> Be16 {
        be16::<2, N>(self.0)
    }
}
