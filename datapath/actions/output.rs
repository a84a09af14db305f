// SPDX-License-Identifier: GPL-2.0
//! OUTPUT: to a port's device, if packet and device fit together (spec 4.3).
//!
//! C counterpart: `do_output()` in `net/openvswitch/actions.c` and `ovs_vport_send()` in `vport.c`.

use super::aggregate;
use super::execute::Context;
use crate::datapath::env::{Device, DeviceOps, Env, Packet, PacketOps};
use crate::datapath::error::DropReason;
use crate::datapath::flow::key::{Core, MAC_PROTO_ETHERNET, MAC_PROTO_NONE};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::{ether, ether::ty, ipv4, ipv6};
use kernel::{pr_info, pr_warn};

/// Longest L2 header, tags and labels in the frame included, that fragments can be given again (spec A30).
const MAX_L2_LEN: usize = 30;

/// Sends a packet to a port, which may not exist.
#[inline(always)]
pub fn output(cx: &Context<'_>, mut pkt: Packet, port: u16, key: &Core) {
    let dev = match cx.dp.ports.get(port, cx.bh) {
        Some(vport) if vport.dev.is_ready() => &vport.dev,
        _ => return pkt.discard(DropReason::DevReady),
    };
    if (pkt.meta().cutlen as usize) < pkt.len() && cut(&mut pkt, key).is_err() {
        return pkt.discard(DropReason::NoMem);
    }
    if pkt.meta().mru != 0 && !fits_unfragmented(&pkt, dev) {
        return fragment(cx, pkt, dev, key);
    }
    send(cx, pkt, dev, key.mac_proto)
}

/// A copy to a port, none if memory is short (spec A32). The packet itself is no longer to be truncated (spec A28).
#[inline(never)]
pub fn output_copy(cx: &Context<'_>, pkt: &mut Packet, port: u16, key: &FlowKey) {
    if let Some(copy) = aggregate::copy(cx, pkt) {
        output(cx, copy, port, key);
    }
    pkt.meta_mut().cutlen = u32::MAX;
}

/// Truncates, but never into the Ethernet header (spec A28).
#[cold]
#[inline(never)]
fn cut(pkt: &mut Packet, key: &Core) -> kernel::error::Result {
    let header = if key.mac_proto == MAC_PROTO_ETHERNET {
        ether::HLEN
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

/// A packet that came as fragments leaves as fragments (spec A29, A30).
#[cold]
#[inline(never)]
fn fragment(cx: &Context<'_>, mut pkt: Packet, dev: &Device, key: &Core) {
    let mru = pkt.meta().mru;
    // Labels belong to what each fragment gets anew.
    let ip = match pkt.protocol() {
        ty::MPLS_UC | ty::MPLS_MC => pkt.inner_network_offset(),
        _ => pkt.network_offset(),
    };
    if u32::from(mru) > dev.mtu() {
        return pkt.discard(DropReason::PktTooBig);
    }
    if ip > MAX_L2_LEN {
        if crate::World::log_allowed() {
            pr_info!("netlink: L2 header too long to fragment\n");
        }
        return pkt.discard(DropReason::FragL2TooLong);
    }
    if !takes(dev, key.mac_proto) {
        return pkt.discard(DropReason::NotSpecified);
    }
    let ipv6 = key.eth_type.get() == ty::IPV6;
    let header = match key.eth_type.get() {
        ty::IPV4 => ipv4_header_len(&mut pkt, ip),
        ty::IPV6 => Some(ipv6::HLEN),
        _ => None,
    };
    let Some(header) = header else {
        return pkt.discard(DropReason::FragInvalidProto);
    };
    let end = ip.saturating_add(header);
    // Where not even 8 bytes fit behind the header, some kernels would cut for ever. IPv6 has no fragments below 1280.
    let too_small = !ipv6 && usize::from(mru) < header.saturating_add(ipv4::FRAG_UNIT);
    if too_small || pkt.len() < end {
        return pkt.discard(DropReason::NotSpecified);
    }
    let fragments = pkt.len() / usize::from(mru).saturating_sub(header).max(ipv4::FRAG_UNIT);
    // CAST: no packet has more bytes.
    if !aggregate::affords(cx, fragments as u32) {
        return pkt.discard(DropReason::RecursionLimit);
    }
    if pkt.pull(end).is_err() {
        return pkt.discard(DropReason::NoMem);
    }
    dev.fragment(pkt, &cx.dp.net, mru, ipv6, cx.bh)
}

/// Whether the device takes what begins so (spec K39); a device may have become another type since it is a port.
fn takes(dev: &Device, mac_proto: u8) -> bool {
    match mac_proto {
        MAC_PROTO_ETHERNET => dev.is_ethernet() || dev.is_l3(),
        MAC_PROTO_NONE => dev.is_l3(),
        _ => false,
    }
}

/// Of an IPv4 header with options, if it can be one.
fn ipv4_header_len(pkt: &mut Packet, ip: usize) -> Option<usize> {
    let [first, ..] = *pkt.header::<{ ipv4::HLEN }>(ip)?;
    let words = usize::from(first & 0x0f);
    (words >= 5).then(|| words.wrapping_mul(4))
}

/// The rules of K39 and A31, then the device.
#[inline(always)]
fn send(cx: &Context<'_>, mut pkt: Packet, dev: &Device, mac_proto: u8) {
    if dev.is_ethernet() {
        if mac_proto != MAC_PROTO_ETHERNET {
            return pkt.discard(DropReason::NotSpecified);
        }
    } else if mac_proto == MAC_PROTO_ETHERNET && dev.is_l3() {
        mark_as_payload(&mut pkt);
    } else if mac_proto != MAC_PROTO_NONE
        || !dev.is_l3()
        || pkt.len() == 0
        || pkt.vlan_tag().is_some()
    {
        // Queueing disciplines and drivers do not expect packets without a single byte, nor tags for what has no place for one.
        return pkt.discard(DropReason::NotSpecified);
    }
    let over = pkt.len().saturating_sub(dev.hard_header_len() as usize) > dev.mtu() as usize;
    if pkt.is_gso() {
        if aggregate::is_too_deep(&mut pkt) {
            return pkt.discard(DropReason::NotSpecified);
        }
    } else if over && is_over_mtu(&pkt, dev) {
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
    pkt.set_protocol(ty::TEB);
}

/// Length without L2 header; a tag in the frame is not counted, as one beside it would not be.
fn l3_len(pkt: &Packet, dev: &Device) -> usize {
    let mut len = pkt.len().saturating_sub(dev.hard_header_len() as usize);
    if pkt.vlan_tag().is_none() && matches!(pkt.protocol(), ty::VLAN | ty::QINQ) {
        len = len.saturating_sub(ether::VLAN_HLEN);
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
