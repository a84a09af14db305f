// SPDX-License-Identifier: GPL-2.0
//! Network service header (RFC 8300 section 2).

use super::{ether::ty, part};

/// Bytes of the header before the context.
pub const BASE_HLEN: usize = 8;
/// Bytes of a header of MD type 1.
pub const MD1_HLEN: usize = 24;

/// Bytes of the longest header: its length has 6 bits and counts words.
pub const HLEN_MAX: usize = 252;

/// A context of 16 bytes.
pub const MD_TYPE1: u8 = 1;
/// A context of variable length.
pub const MD_TYPE2: u8 = 2;

/// The EtherType of what a header with this next protocol has in it, if it is known (RFC 8300 section 12.4).
pub const fn eth_type_of(next_protocol: u8) -> Option<u16> {
    match next_protocol {
        1 => Some(ty::IPV4),
        2 => Some(ty::IPV6),
        3 => Some(ty::TEB),
        4 => Some(ty::NSH),
        5 => Some(ty::MPLS_UC),
        _ => None,
    }
}

/// The next protocol for a packet of this type, if there is one.
pub const fn next_protocol_of(eth_type: u16) -> Option<u8> {
    match eth_type {
        ty::IPV4 => Some(1),
        ty::IPV6 => Some(2),
        ty::TEB => Some(3),
        ty::NSH => Some(4),
        ty::MPLS_UC => Some(5),
        _ => None,
    }
}

/// The first two bytes: version 0, flags, TTL, length in words.
pub const fn first_bytes(flags: u8, ttl: u8, len: usize) -> [u8; 2] {
    let (flags, ttl) = ((flags & 3) as u16, (ttl & 0x3f) as u16);
    let words = (len / 4) as u16 & 0x3f; // CAST: 6 bits
    (flags << 12 | ttl << 6 | words).to_be_bytes()
}

/// The part that all headers have.
pub struct Nsh<'a>(pub &'a [u8; BASE_HLEN]);

impl Nsh<'_> {
    fn first(&self) -> u16 {
        u16::from_be_bytes(part::<0, 2, BASE_HLEN>(self.0))
    }

    pub fn version(&self) -> u8 {
        (self.first() >> 14) as u8 // CAST: 2 bits
    }

    pub fn flags(&self) -> u8 {
        (self.first() >> 12 & 3) as u8 // CAST: 2 bits
    }

    pub fn ttl(&self) -> u8 {
        (self.first() >> 6 & 0x3f) as u8 // CAST: 6 bits
    }

    /// Bytes of the whole header.
    pub fn header_len(&self) -> usize {
        usize::from(self.first() & 0x3f).wrapping_mul(4)
    }

    /// The byte as it is: four unassigned bits, then the MD type.
    pub fn md_type(&self) -> u8 {
        let [_, _, ty, ..] = *self.0;
        ty
    }

    pub fn next_protocol(&self) -> u8 {
        let [_, _, _, np, ..] = *self.0;
        np
    }

    /// Service path identifier and index.
    pub fn path_header(&self) -> [u8; 4] {
        part::<4, 4, BASE_HLEN>(self.0)
    }
}
