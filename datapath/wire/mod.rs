// SPDX-License-Identifier: GPL-2.0
//! Views over protocol headers, one file a protocol. Depends on `core` only.
//!
//! A view borrows an array of exactly the header's fixed length, so no access can be out of bounds and none is
//! checked at run time.

pub mod arp;
pub mod be;
pub mod csum;
pub mod ether;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod nsh;
pub mod ports;
pub mod tcp;

/// `L` bytes at offset `O` of a header; that they lie inside it is proved when compiling.
#[inline(always)]
pub const fn part<const O: usize, const L: usize, const N: usize>(header: &[u8; N]) -> [u8; L] {
    const { assert!(O + L <= N) };
    match header.split_at(O).1.first_chunk() {
        Some(p) => *p,
        None => [0; L],
    }
}

/// The 16-bit field at offset `O` of a header.
#[inline(always)]
pub const fn be16<const O: usize, const N: usize>(header: &[u8; N]) -> be::Be16 {
    be::Be16::from_bytes(part::<O, 2, N>(header))
}
