// SPDX-License-Identifier: GPL-2.0
//! OUTPUT: to a port's device, if packet and device fit together (spec 4.3).
//!
//! C counterpart: `do_output()` in `net/openvswitch/actions.c` and `ovs_vport_send()` in `vport.c`.

use super::execute::Context;
use crate::datapath::env::{Device, DeviceOps, Env, Packet, PacketOps};
use crate::datapath::error::DropReason;
use crate::datapath::flow::key::{FlowKey, MAC_PROTO_ETHERNET, MAC_PROTO_NONE};
use kernel::pr_warn;

const ETH_HLEN: usize = 14;
const VLAN_HLEN: usize = 4;
const ETH_8021Q: u16 = 0x8100;
const ETH_8021AD: u16 = 0x88a8;
/// EtherType of a whole Ethernet frame as payload.
const ETH_TEB: u16 = 0x6558;

/// Sends a packet to a port, which may not exist.
#[inline(always)]
pub fn output(cx: &Context<'_>, mut pkt: Packet, port: u16, key: &FlowKey) {
    let dev = match cx.dp.ports.get(port, cx.bh) {
        Some(vport) if vport.dev.is_ready() => &vport.dev,
        _ => return pkt.discard(DropReason::DevReady),
    };
    if (pkt.meta().cutlen as usize) < pkt.len() && cut(&mut pkt, key).is_err() {
        return pkt.discard(DropReason::NoMem);
    }
    if pkt.meta().mru != 0 && !fits_unfragmented(&pkt, dev) {
        return too_big(pkt);
    }
    send(cx, pkt, dev, key.mac_proto)
}

/// A copy to a port; none if memory is short (spec A32).
#[inline(never)]
pub fn output_copy(cx: &Context<'_>, pkt: &Packet, port: u16, key: &FlowKey) {
    if let Ok(copy) = pkt.try_clone() {
        output(cx, copy, port, key);
    }
}

/// Truncates, but never into the Ethernet header (spec A28).
#[cold]
#[inline(never)]
fn cut(pkt: &mut Packet, key: &FlowKey) -> kernel::error::Result {
    let header = if key.mac_proto == MAC_PROTO_ETHERNET {
        ETH_HLEN
    } else {
        0
    };
    let keep = header.max(pkt.meta().cutlen as usize).min(pkt.len());
    pkt.trim(keep)
}

/// A packet put together from fragments must leave as fragments no larger than they came (spec A29).
#[cold]
#[inline(never)]
fn fits_unfragmented(pkt: &Packet, dev: &Device) -> bool {
    pkt.len() <= usize::from(pkt.meta().mru).saturating_add(dev.hard_header_len() as usize)
}

/// Fragmentation (spec A30) comes with connection tracking, which is what makes packets that need it.
#[cold]
#[inline(never)]
fn too_big(pkt: Packet) {
    pkt.discard(DropReason::PktTooBig)
}

/// The rules of K39 and A31, then the device.
#[inline(always)]
fn send(cx: &Context<'_>, mut pkt: Packet, dev: &Device, mac_proto: u8) {
    if dev.is_ethernet() {
        if mac_proto != MAC_PROTO_ETHERNET {
            return pkt.discard(DropReason::NotSpecified);
        }
    } else if mac_proto == MAC_PROTO_ETHERNET {
        mark_as_payload(&mut pkt);
    } else if mac_proto != MAC_PROTO_NONE {
        return pkt.discard(DropReason::NotSpecified);
    }
    let over = pkt.len().saturating_sub(dev.hard_header_len() as usize) > dev.mtu() as usize;
    if over && !pkt.is_gso() && is_over_mtu(&pkt, dev) {
        return over_mtu(pkt, dev);
    }
    dev.send(pkt, cx.bh)
}

/// A device without Ethernet header sees the whole frame as its payload.
#[cold]
#[inline(never)]
fn mark_as_payload(pkt: &mut Packet) {
    pkt.set_network_header(0);
    pkt.reset_mac_len();
    pkt.set_protocol(ETH_TEB);
}

/// Length without L2 header; a tag in the frame is not counted, as one beside it would not be.
fn l3_len(pkt: &Packet, dev: &Device) -> usize {
    let mut len = pkt.len().saturating_sub(dev.hard_header_len() as usize);
    if pkt.vlan_tag().is_none() && matches!(pkt.protocol(), ETH_8021Q | ETH_8021AD) {
        len = len.saturating_sub(VLAN_HLEN);
    }
    len
}

#[cold]
#[inline(never)]
fn is_over_mtu(pkt: &Packet, dev: &Device) -> bool {
    l3_len(pkt, dev) > dev.mtu() as usize
}

#[cold]
#[inline(never)]
fn over_mtu(pkt: Packet, dev: &Device) {
    dev.count_tx_error();
    if crate::World::log_allowed() {
        let name = dev.name();
        let name = kernel::str::CStr::from_bytes_until_nul(&name)
            .map_or("?", |n| n.to_str().unwrap_or("?"));
        pr_warn!(
            "{}: dropped over-mtu packet: {} > {}\n",
            name,
            l3_len(&pkt, dev),
            dev.mtu()
        );
    }
    pkt.discard(DropReason::NotSpecified)
}
