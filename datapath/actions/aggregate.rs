// SPDX-License-Identifier: GPL-2.0
//! Aggregates: packets that a device or the kernel cuts up into others later (GSO). Neither the kernel nor the C module bounds
//! what one of them may cost; this does (spec A10, A31).
//!
//! C counterpart: none.

use super::execute::{Context, Name, STORAGE};
use crate::datapath::env::{Env, Packet, PacketOps};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::{self, is_vlan, ty, Ethernet, VLAN_HLEN};
use crate::datapath::wire::nsh::{self, Nsh};
use crate::rust::sync::BhGuard;
use kernel::error::code::{EFBIG, EINVAL};
use kernel::error::Result;
use kernel::pr_warn;

/// Service headers and label stacks that an aggregate may have. The kernel cuts up each in a call within that of the header around
/// it, on a stack of 16 KiB, and counts none.
const HEADERS_MAX: usize = 8;
/// Tags between them, of which some are come to twice.
const TAGS_MAX: usize = 16;

/// Whether the kernel must not be asked to cut the aggregate up: it has too many headers, or not those that it says.
#[inline(always)]
pub fn is_too_deep(pkt: &mut Packet) -> bool {
    !matches!(pkt.protocol(), ty::IPV4 | ty::IPV6) && has_deep_headers(pkt)
}

/// Finds the headers where the kernel does, even where that is not where they are: `skb_network_protocol()` and who it finds,
/// `nsh_gso_segment()` and `mpls_gso_segment()`.
#[cold]
#[inline(never)]
fn has_deep_headers(pkt: &mut Packet) -> bool {
    let (mut start, mut l2_len, mut protocol) = (0usize, pkt.mac_len(), pkt.protocol());
    let (mut tags, mut labels) = (0usize, false);
    for _ in 0..=HEADERS_MAX {
        let mut at = start.saturating_add(l2_len);
        if protocol == ty::TEB {
            protocol = match pkt.header(start) {
                Some(frame) => Ethernet(frame).ty().get(),
                None => return true,
            };
        }
        if is_vlan(Be16::new(protocol)) {
            let first = l2_len.checked_sub(VLAN_HLEN).unwrap_or(ether::HLEN);
            at = start.saturating_add(first);
        }
        while is_vlan(Be16::new(protocol)) {
            let Some(&[_, _, hi, lo]) = pkt.header(at) else {
                return true;
            };
            protocol = u16::from_be_bytes([hi, lo]);
            at = at.saturating_add(VLAN_HLEN);
            tags = tags.wrapping_add(1);
            if tags > TAGS_MAX {
                return true;
            }
        }
        match protocol {
            ty::NSH => {
                let Some(base) = pkt.header(at).map(Nsh) else {
                    return true;
                };
                let Some(inside) = nsh::eth_type_of(base.next_protocol()) else {
                    return true;
                };
                start = at.saturating_add(base.header_len());
                l2_len = match inside {
                    ty::TEB => ether::HLEN,
                    _ => 0,
                };
                protocol = inside;
            }
            ty::MPLS_UC | ty::MPLS_MC if !labels => {
                labels = true;
                start = pkt.inner_network_offset();
                l2_len = 0;
                protocol = pkt.inner_protocol();
            }
            _ => return false,
        }
    }
    true
}

/// A copy, on which part of a list goes on. None if memory is short, or if its packet has cost enough (spec A10).
#[inline(always)]
pub fn copy(cx: &Context<'_>, pkt: &mut Packet) -> Option<Packet> {
    if pkt.is_gso() && !affords_copy(cx, pkt) {
        return None;
    }
    pkt.try_clone().ok()
}

#[cold]
#[inline(never)]
fn affords_copy(cx: &Context<'_>, pkt: &Packet) -> bool {
    affords(cx, pkt.segments())
}

/// Whether a packet that stands for, or is cut up into, so many may go on.
pub fn affords(cx: &Context<'_>, packets: u32) -> bool {
    let affords = cx.storage.affords(packets);
    if !affords && crate::World::log_allowed() {
        let name = Name(cx.dp, cx.bh);
        pr_warn!(
            "{}: limit of segments of one packet reached, drop copy\n",
            name
        );
    }
    affords
}

/// May this aggregate be cut up for userspace now? EINVAL, EFBIG.
pub fn check_upcall(pkt: &mut Packet, bh: &BhGuard) -> Result {
    if is_too_deep(pkt) {
        return Err(EINVAL);
    }
    match STORAGE.get(bh) {
        Some(storage) if !storage.affords(pkt.segments()) => Err(EFBIG),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
