// SPDX-License-Identifier: GPL-2.0
//! Network service header (RFC 8300 section 2).

use super::part;

/// Bytes of the header before the context.
pub const BASE_HLEN: usize = 8;
/// Bytes of a header of MD type 1.
pub const MD1_HLEN: usize = 24;

/// A context of 16 bytes.
pub const MD_TYPE1: u8 = 1;
/// A context of variable length.
pub const MD_TYPE2: u8 = 2;

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
