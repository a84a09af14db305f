// SPDX-License-Identifier: GPL-2.0
//! ICMP, ICMPv6, and neighbour discovery.

use super::part;

/// Bytes of an ICMP or ICMPv6 header.
pub const HLEN: usize = 8;
/// Bytes of a neighbour solicitation or advertisement without options.
pub const ND_HLEN: usize = 24;

/// ICMPv6 types.
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Neighbour discovery options.
pub const OPT_SOURCE_LL: u8 = 1;
pub const OPT_TARGET_LL: u8 = 2;

/// An ICMP or ICMPv6 header.
#[derive(Clone, Copy)]
pub struct Icmp<'a>(pub &'a [u8; HLEN]);

impl Icmp<'_> {
    #[inline(always)]
    pub const fn ty(&self) -> u8 {
        self.0[0]
    }

    #[inline(always)]
    pub const fn code(&self) -> u8 {
        self.0[1]
    }
}

/// The target of a neighbour solicitation or advertisement.
#[inline]
pub const fn nd_target(nd: &[u8; ND_HLEN]) -> [u8; 16] {
    part::<8, 16, ND_HLEN>(nd)
}

/// Walks neighbour discovery options: (type, whole option). Stops at one of length 0 or that does not fit.
#[derive(Clone, Copy)]
pub struct NdOptions<'a>(pub &'a [u8]);

impl<'a> Iterator for NdOptions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [ty, units] = *self.0.first_chunk()?;
        let len = usize::from(units).wrapping_mul(8);
        let option = self.0.get(..len).filter(|o| !o.is_empty())?;
        self.0 = self.0.get(len..)?;
        Some((ty, option))
    }
}
