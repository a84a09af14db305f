// SPDX-License-Identifier: GPL-2.0
//! IPv6 and its extension headers.

use super::{be::Be32, be16, part};

/// Bytes of the fixed header.
pub const HLEN: usize = 40;

/// Next-header values of the extension headers, and the one that ends the chain.
pub mod next {
    pub const HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTH: u8 = 51;
    pub const NONE: u8 = 59;
    pub const DEST: u8 = 60;
}

/// Headers that the kernel follows before it gives up (`IP6_MAX_EXT_HDRS_CNT`).
pub const MAX_EXTENSIONS: u32 = 12;

/// True for what the kernel counts as an extension header: the list above, so not for ESP.
#[inline(always)]
pub const fn is_extension(n: u8) -> bool {
    matches!(
        n,
        next::HOP | next::ROUTING | next::FRAGMENT | next::AUTH | next::NONE | next::DEST
    )
}

/// An IPv6 header.
#[derive(Clone, Copy)]
pub struct Ipv6<'a>(pub &'a [u8; HLEN]);

impl Ipv6<'_> {
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        (be16::<0, HLEN>(self.0).get() >> 4) as u8 // CAST: takes bits 4 to 11 of the word
    }

    /// The 20 bits of the flow label.
    #[inline(always)]
    pub const fn label(&self) -> Be32 {
        Be32::new(u32::from_be_bytes(part::<0, 4, HLEN>(self.0)) & 0x000f_ffff)
    }

    #[inline(always)]
    pub const fn next_header(&self) -> u8 {
        self.0[6]
    }

    #[inline(always)]
    pub const fn hop_limit(&self) -> u8 {
        self.0[7]
    }

    #[inline(always)]
    pub const fn src(&self) -> [u8; 16] {
        part::<8, 16, HLEN>(self.0)
    }

    #[inline(always)]
    pub const fn dst(&self) -> [u8; 16] {
        part::<24, 16, HLEN>(self.0)
    }
}

/// The first bytes of an extension header.
#[derive(Clone, Copy)]
pub struct Extension<'a>(pub &'a [u8; 2]);

impl Extension<'_> {
    #[inline]
    pub const fn next_header(&self) -> u8 {
        self.0[0]
    }

    /// Bytes of the header, if it counts in units of 8 like all but AUTH and FRAGMENT do.
    #[inline]
    pub const fn size(&self) -> usize {
        (self.0[1] as usize + 1) * 8
    }

    /// Bytes of an AUTH header, which counts in units of 4.
    #[inline]
    pub const fn auth_size(&self) -> usize {
        (self.0[1] as usize + 2) * 4
    }
}
