// SPDX-License-Identifier: GPL-2.0
//! Ethernet, 802.1Q and 802.2 headers.

use super::{be::Be16, be16, part};

/// Bytes of an Ethernet header (`ETH_HLEN`).
pub const HLEN: usize = 14;
/// Bytes of a VLAN tag, TPID included (`VLAN_HLEN`).
pub const VLAN_HLEN: usize = 4;
/// Bytes of an LLC header with SNAP.
pub const SNAP_HLEN: usize = 8;

/// EtherTypes, and what the kernel has in their place (`ETH_P_*` of `linux/if_ether.h`).
pub mod ty {
    /// `ETH_P_IP`
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    /// Transparent Ethernet bridging: an Ethernet frame follows.
    pub const TEB: u16 = 0x6558;
    pub const RARP: u16 = 0x8035;
    /// 802.1Q: `ETH_P_8021Q`.
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const MPLS_UC: u16 = 0x8847;
    pub const MPLS_MC: u16 = 0x8848;
    /// 802.1ad: `ETH_P_8021AD`.
    pub const QINQ: u16 = 0x88a8;
    pub const NSH: u16 = 0x894f;
    /// The least value that is a type and not a length: `ETH_P_802_3_MIN`.
    pub const MIN: u16 = 0x0600;
    /// The kernel's internal type of frames that have a length instead: `ETH_P_802_2`.
    pub const IEEE_802_2: u16 = 0x0004;
}

/// True for the TPIDs of 802.1Q and 802.1ad.
#[inline(always)]
pub const fn is_vlan(t: Be16) -> bool {
    matches!(t.get(), ty::VLAN | ty::QINQ)
}

/// An Ethernet header.
#[derive(Clone, Copy)]
pub struct Ethernet<'a>(pub &'a [u8; HLEN]);

impl Ethernet<'_> {
    #[inline(always)]
    pub const fn dst(&self) -> [u8; 6] {
        part::<0, 6, HLEN>(self.0)
    }

    #[inline(always)]
    pub const fn src(&self) -> [u8; 6] {
        part::<6, 6, HLEN>(self.0)
    }

    /// Type, TPID or length.
    #[inline(always)]
    pub const fn ty(&self) -> Be16 {
        be16::<12, HLEN>(self.0)
    }
}

/// A VLAN tag and the type after it.
#[derive(Clone, Copy)]
pub struct Vlan<'a>(pub &'a [u8; VLAN_HLEN + 2]);

impl Vlan<'_> {
    #[inline(always)]
    pub const fn tpid(&self) -> Be16 {
        be16::<0, 6>(self.0)
    }

    #[inline(always)]
    pub const fn tci(&self) -> Be16 {
        be16::<2, 6>(self.0)
    }

    #[inline(always)]
    pub const fn inner(&self) -> Be16 {
        be16::<4, 6>(self.0)
    }
}

/// The EtherType in an LLC header that is SNAP with OUI 0.
#[inline]
pub const fn snap_type(llc: &[u8; SNAP_HLEN]) -> Option<Be16> {
    match *llc {
        [0xaa, 0xaa, _, 0, 0, 0, hi, lo] => Some(Be16::from_bytes([hi, lo])),
        _ => None,
    }
}
