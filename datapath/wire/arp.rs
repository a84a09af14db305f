// SPDX-License-Identifier: GPL-2.0
//! ARP and RARP between Ethernet and IPv4.

use super::{be16, part};

/// Bytes of a packet.
pub const LEN: usize = 28;

/// An ARP or RARP packet.
#[derive(Clone, Copy)]
pub struct Arp<'a>(pub &'a [u8; LEN]);

impl Arp<'_> {
    /// Hardware is Ethernet, protocol IPv4, and the lengths say so too.
    #[inline]
    pub const fn is_ethernet_ipv4(&self) -> bool {
        matches!(part::<0, 6, LEN>(self.0), [0, 1, 0x08, 0x00, 6, 4])
    }

    #[inline]
    pub const fn opcode(&self) -> u16 {
        be16::<6, LEN>(self.0).get()
    }

    #[inline]
    pub const fn sha(&self) -> [u8; 6] {
        part::<8, 6, LEN>(self.0)
    }

    #[inline]
    pub const fn sip(&self) -> [u8; 4] {
        part::<14, 4, LEN>(self.0)
    }

    #[inline]
    pub const fn tha(&self) -> [u8; 6] {
        part::<18, 6, LEN>(self.0)
    }

    #[inline]
    pub const fn tip(&self) -> [u8; 4] {
        part::<24, 4, LEN>(self.0)
    }
}
