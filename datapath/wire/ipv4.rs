// SPDX-License-Identifier: GPL-2.0
//! IPv4.

use super::{be16, part};

/// Bytes of a header without options.
pub const HLEN: usize = 20;
/// Fragment offsets count in units of so many bytes, so every fragment but the last carries at least one (RFC 791).
pub const FRAG_UNIT: usize = 8;

/// IP protocol numbers, for IPv6 too (`IPPROTO_*` of `linux/in.h`; IANA).
pub mod proto {
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
    pub const SCTP: u8 = 132;
}

/// An IPv4 header.
#[derive(Clone, Copy)]
pub struct Ipv4<'a>(pub &'a [u8; HLEN]);

impl Ipv4<'_> {
    /// Bytes of the header with its options, as it says itself; not checked.
    #[inline(always)]
    pub const fn header_len(&self) -> usize {
        (self.0[0] & 0x0f) as usize * 4
    }

    #[inline(always)]
    pub const fn tos(&self) -> u8 {
        self.0[1]
    }

    #[inline(always)]
    const fn frag_field(&self) -> u16 {
        be16::<6, HLEN>(self.0).get()
    }

    /// Not the first fragment.
    #[inline(always)]
    pub const fn has_offset(&self) -> bool {
        self.frag_field() & 0x1fff != 0
    }

    /// A fragment, first or later.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        self.frag_field() & 0x3fff != 0
    }

    #[inline(always)]
    pub const fn more_fragments(&self) -> bool {
        self.frag_field() & 0x2000 != 0
    }

    #[inline(always)]
    pub const fn ttl(&self) -> u8 {
        self.0[8]
    }

    #[inline(always)]
    pub const fn proto(&self) -> u8 {
        self.0[9]
    }

    #[inline(always)]
    pub const fn src(&self) -> [u8; 4] {
        part::<12, 4, HLEN>(self.0)
    }

    #[inline(always)]
    pub const fn dst(&self) -> [u8; 4] {
        part::<16, 4, HLEN>(self.0)
    }
}
