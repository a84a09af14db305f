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

/// Headers that an aggregate may have between its first one and the network packet in it. The kernel cuts up a service header in
/// a call within that of the header around it, on a stack of 16 KiB, and counts none.
const HEADERS_MAX: usize = 8;

/// Whether the kernel must not be asked to cut the aggregate up: it has too many headers, or not those that it says.
#[inline(always)]
pub fn is_too_deep(pkt: &mut Packet) -> bool {
    !matches!(pkt.protocol(), ty::IPV4 | ty::IPV6) && has_deep_headers(pkt)
}

/// Finds the headers where the kernel does.
#[cold]
#[inline(never)]
fn has_deep_headers(pkt: &mut Packet) -> bool {
    let l2_len = pkt.mac_len();
    let (mut at, mut this) = (l2_len, pkt.protocol());
    if this == ty::TEB {
        this = match pkt.header(0) {
            Some(frame) => Ethernet(frame).ty().get(),
            None => return true,
        };
    }
    if is_vlan(Be16::new(this)) {
        at = l2_len.checked_sub(VLAN_HLEN).unwrap_or(ether::HLEN);
    }
    let mut labels = false;
    for _ in 0..=HEADERS_MAX {
        let inside = match this {
            ty::VLAN | ty::QINQ => pkt
                .header(at)
                .map(|&[_, _, hi, lo]| (u16::from_be_bytes([hi, lo]), VLAN_HLEN)),
            ty::TEB => pkt
                .header(at)
                .map(|frame| (Ethernet(frame).ty().get(), ether::HLEN)),
            ty::NSH => pkt.header(at).and_then(|base| {
                let base = Nsh(base);
                nsh::eth_type_of(base.next_protocol()).zip(Some(base.header_len()))
            }),
            ty::MPLS_UC | ty::MPLS_MC if !labels => {
                labels = true;
                at = pkt.inner_network_offset();
                Some((pkt.inner_protocol(), 0))
            }
            _ => return false,
        };
        let Some((next, len)) = inside else {
            return true;
        };
        at = at.saturating_add(len);
        this = next;
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
