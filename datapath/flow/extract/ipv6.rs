// SPDX-License-Identifier: GPL-2.0
//! IPv6, its extension headers, and neighbour discovery.

use super::{l4, need, without_orig_tuple, ExtractError};
use crate::datapath::env::{NoMem, Packet, PacketOps};
use crate::datapath::flow::key::{FRAG_FIRST, FRAG_LATER};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::icmp::{self, Icmp, NdOptions};
use crate::datapath::wire::ipv4::proto;
use crate::datapath::wire::ipv6::{self, next, Extension, Ipv6};

/// Spec K29, K30.
#[inline(never)]
pub(super) fn ip6(pkt: &mut Packet, key: &mut FlowKey, nh: usize) -> Result<(), ExtractError> {
    let Some(ip) = need(pkt, nh)?.map(Ipv6) else {
        pkt.set_transport_header(nh);
        return Ok(());
    };
    let mut proto = ip.next_header();
    key.ip_tos = ip.traffic_class();
    key.ip_ttl = ip.hop_limit();
    key.ipv6_label = ip.label();
    key.ipv6_src = ip.src();
    key.ipv6_dst = ip.dst();

    let mut th = nh.wrapping_add(ipv6::HLEN);
    if ipv6::is_extension(proto) {
        key.ext_mut().ipv6_exthdrs = extension_bits(pkt, proto, th)?;
        match skip_extensions(pkt, key, proto, th)? {
            Chain::Ends(last, at) => (proto, th) = (last, at),
            Chain::LaterFragment => {
                key.ip_frag = FRAG_LATER;
                key.ip_proto = next::FRAGMENT;
                return Ok(());
            }
            Chain::Broken => {
                key.ip_proto = next::NONE;
                pkt.set_transport_header(nh);
                return Ok(());
            }
        }
    }
    pkt.set_transport_header(th);
    key.ip_proto = proto;
    if pkt.is_gso_udp() {
        key.ip_frag = FRAG_FIRST;
    }
    match proto {
        proto::ICMPV6 => icmp6(pkt, key, th),
        _ => {
            l4(pkt, key, proto, th);
            Ok(())
        }
    }
}

/// How a chain of IPv6 extension headers ends.
enum Chain {
    /// At this protocol, whose header is at this offset.
    Ends(u8, usize),
    /// In a fragment that is not the first.
    LaterFragment,
    /// In a header that is cut short, or that a later fragment should not have.
    Broken,
}

/// Walks to the upper-layer header like `ipv6_find_hdr()` with no target; marks first fragments.
fn skip_extensions(
    pkt: &mut Packet,
    key: &mut FlowKey,
    mut ty: u8,
    mut off: usize,
) -> Result<Chain, NoMem> {
    let len = pkt.len();
    let mut headers = 0..ipv6::MAX_EXTENSIONS;
    while ipv6::is_extension(ty) && ty != next::NONE {
        if headers.next().is_none() {
            return Ok(Chain::Broken);
        }
        let Some(ext) = need(pkt, off)?.map(Extension) else {
            return Ok(Chain::Broken);
        };
        let next_ty = ext.next_header();
        let ext_len = match ty {
            next::FRAGMENT => 8,
            next::AUTH => ext.auth_size(),
            _ => ext.size(),
        };
        if ty == next::FRAGMENT {
            key.ip_frag = FRAG_FIRST;
            let Some([_, _, hi, lo]) = need::<4>(pkt, off)? else {
                return Ok(Chain::Broken);
            };
            if u16::from_be_bytes([*hi, *lo]) & !7 != 0 {
                let ends = !ipv6::is_extension(next_ty) || next_ty == next::NONE;
                return Ok(if ends {
                    Chain::LaterFragment
                } else {
                    Chain::Broken
                });
            }
        }
        if ty == next::ROUTING && need::<4>(pkt, off)?.is_none() {
            return Ok(Chain::Broken);
        }
        off = off.wrapping_add(ext_len);
        if len < off {
            return Ok(Chain::Broken);
        }
        ty = next_ty;
    }
    Ok(Chain::Ends(ty, off))
}

/// Bits of `key.ipv6_exthdrs`, those of OpenFlow's `OFPIEH12_*`. ESP (2) never appears, because the kernel
/// does not count it among the extension headers.
mod ext_bit {
    pub const NO_NEXT: u16 = 1;
    pub const AUTH: u16 = 4;
    pub const DEST: u16 = 8;
    pub const FRAG: u16 = 16;
    pub const ROUTER: u16 = 32;
    pub const HOP: u16 = 64;
    /// A header is there more often than it should be.
    pub const UNREPEATED: u16 = 128;
    /// Headers are not in the preferred order.
    pub const UNSEQUENCED: u16 = 256;
}

/// Which extension headers there are, and whether in the preferred order: HOP, DEST, ROUTER, FRAG, AUTH, DEST.
///
/// Like C, this walk takes every header's length in units of 8, AUTH and FRAGMENT included, and stops quietly
/// at one that is cut short.
fn extension_bits(pkt: &mut Packet, mut ty: u8, mut off: usize) -> Result<u16, NoMem> {
    use ext_bit::*;
    let mut seen = 0;
    let mut dests = 0u32;
    while ipv6::is_extension(ty) {
        // (its bit, the bits that may come before it)
        let (bit, before) = match ty {
            next::NONE => return Ok(seen | NO_NEXT),
            next::AUTH => (AUTH, HOP | DEST | ROUTER | FRAG),
            next::FRAGMENT => (FRAG, HOP | DEST | ROUTER),
            next::ROUTING => (ROUTER, HOP | DEST),
            next::DEST if dests == 0 => (DEST, HOP),
            next::DEST => (DEST, HOP | DEST | ROUTER | FRAG | AUTH),
            _ => (HOP, 0),
        };
        if ty == next::DEST {
            match dests {
                0 | 1 if seen & !(before | UNREPEATED) != 0 => seen |= UNSEQUENCED,
                0 | 1 => {}
                _ => seen |= UNREPEATED,
            }
            seen |= DEST;
            dests = dests.saturating_add(1);
        } else if ty == next::HOP {
            if seen & HOP != 0 {
                seen |= UNREPEATED;
            }
            // The bit says that it is the first header.
            seen |= if seen == 0 { HOP } else { UNSEQUENCED };
        } else {
            if seen & bit != 0 {
                seen |= UNREPEATED;
            }
            if seen & !(before | UNREPEATED) != 0 || dests >= 2 {
                seen |= UNSEQUENCED;
            }
            seen |= bit;
        }
        let Some(ext) = need(pkt, off)?.map(Extension) else {
            break;
        };
        ty = ext.next_header();
        off = off.wrapping_add(ext.size());
    }
    Ok(seen)
}

/// ICMPv6 and neighbour discovery (spec K28, K30).
fn icmp6(pkt: &mut Packet, key: &mut FlowKey, th: usize) -> Result<(), ExtractError> {
    let Some(icmp) = pkt.header(th).map(Icmp) else {
        return Ok(());
    };
    let (ty, code) = (icmp.ty(), icmp.code());
    key.tp_src = Be16::new(ty.into());
    key.tp_dst = Be16::new(code.into());
    let is_nd = matches!(
        ty,
        icmp::NEIGHBOUR_SOLICITATION | icmp::NEIGHBOUR_ADVERTISEMENT
    );
    let len = pkt.len();
    if !is_nd || code != 0 || len < th.wrapping_add(icmp::ND_HLEN) {
        return Ok(());
    }
    pkt.pull(len)?;
    let nd = pkt.linear().get(th..).and_then(|b| b.split_first_chunk());
    let Some((header, options)) = nd else {
        return Ok(());
    };
    let ext = without_orig_tuple(key);
    ext.nd_target = icmp::nd_target(header);
    for (ty, option) in NdOptions(options) {
        let slot = match ty {
            icmp::OPT_SOURCE_LL => &mut ext.hw_src,
            icmp::OPT_TARGET_LL => &mut ext.hw_dst,
            _ => continue,
        };
        // Only the length that Ethernet uses; others are skipped.
        let [_, _, a, b, c, d, e, f] = *option else {
            continue;
        };
        if *slot != [0; 6] {
            // Twice the same option: nothing in the message can be trusted.
            ext.clear_shared();
            break;
        }
        *slot = [a, b, c, d, e, f];
    }
    Ok(())
}
