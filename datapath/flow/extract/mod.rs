// SPDX-License-Identifier: GPL-2.0
//! From a packet to its flow key (spec 2.4).
//!
//! On the way the packet's header marks, `mac_len` and `protocol` are set, and an outer VLAN tag inside the
//! frame moves beside the data. Headers that are cut short or malformed leave their part of the key zero;
//! the packet goes on.
//!
//! C counterpart: `net/openvswitch/flow.c`, from `check_header()` on.

mod ipv6;
mod mpls_nsh;

use crate::datapath::env::{NoMem, Packet, PacketOps};
use crate::datapath::error::{DropReason, NlResult};
use crate::datapath::flow::key::{
    Core, Ext, FRAG_FIRST, FRAG_LATER, FRAG_NONE, MAC_PROTO_ETHERNET, MAC_PROTO_NONE, TUN_IPV6,
    VLAN_CFI,
};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::arp::{self, Arp};
use crate::datapath::wire::be::{Be16, Be32};
use crate::datapath::wire::ether::{self, ty, Ethernet, Vlan};
use crate::datapath::wire::icmp::Icmp;
use crate::datapath::wire::ipv4::{self, proto, Ipv4};
use crate::datapath::wire::part;
use crate::datapath::wire::ports::{Ports, SCTP_HLEN, UDP_HLEN};
use crate::datapath::wire::tcp::{self, Tcp};
use kernel::error::code::{EINVAL, ENOMEM};
use kernel::error::Error;

/// Why a packet has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtractError {
    /// Shorter than an Ethernet header, or an L3 packet that claims to be a VLAN tag (spec K20, K22).
    Invalid,
    /// Memory ran out while bytes were made linear (spec K26).
    NoMem,
}

impl From<NoMem> for ExtractError {
    fn from(_: NoMem) -> Self {
        Self::NoMem
    }
}

impl From<ExtractError> for Error {
    fn from(e: ExtractError) -> Self {
        match e {
            ExtractError::Invalid => EINVAL,
            ExtractError::NoMem => ENOMEM,
        }
    }
}

/// [`extract_into`] a key of its own, for whoever does not mind moving one.
pub fn from_device(
    pkt: &mut Packet,
    in_port: u16,
    is_ethernet: bool,
) -> Result<FlowKey, DropReason> {
    let mut key = FlowKey::new();
    extract_into(&mut key, pkt, in_port, is_ethernet)?;
    Ok(key)
}

/// Fills the all-zero `key` of a packet that a device delivered (spec K20, K21). `is_ethernet`: the device is; packets
/// of other devices start with the L3 header of their `protocol()`, unless that says that an Ethernet frame follows.
#[inline(always)]
pub fn extract_into(
    key: &mut FlowKey,
    pkt: &mut Packet,
    in_port: u16,
    is_ethernet: bool,
) -> Result<(), DropReason> {
    key.priority = pkt.priority();
    key.mark = pkt.mark();
    key.in_port = in_port;
    if is_ethernet || pkt.protocol() == ty::TEB {
        key.mac_proto = MAC_PROTO_ETHERNET;
        if plain_ipv4(pkt, key) {
            return Ok(());
        }
    } else {
        key.mac_proto = MAC_PROTO_NONE;
    }
    l2(pkt, key).map_err(|_| DropReason::NotSpecified)
}

/// What the packet's tunnel puts into the key (spec K17, K21).
#[inline(never)]
pub fn tunnel(pkt: &Packet, key: &mut FlowKey) {
    let Some(t) = pkt.tunnel() else {
        return;
    };
    key.tun_proto = t.proto;
    key.tun_id = t.id;
    (key.tun_tp_src, key.tun_tp_dst) = (t.tp_src, t.tp_dst);
    key.tun_flags = t.flags;
    (key.tun_tos, key.tun_ttl) = (t.tos, t.ttl);
    if t.proto == TUN_IPV6 {
        let ext = key.ext_mut();
        (ext.tun_ipv6_src, ext.tun_ipv6_dst) = (t.src, t.dst);
    } else {
        key.tun_ipv4_src = part::<0, 4, 16>(&t.src);
        key.tun_ipv4_dst = part::<0, 4, 16>(&t.dst);
    }
    if let (Ok(len @ 1..), Ok(())) = (u8::try_from(t.options.len()), key.set_tun_opts(t.options)) {
        key.ext_mut().tun_opts_len = len;
    }
}

/// Extracts anew after the packet was changed, keeping the key's metadata (spec K35).
pub fn refresh(pkt: &mut Packet, key: &mut FlowKey) -> Result<(), ExtractError> {
    let old = *key.core();
    *key.core_mut() = Core {
        priority: old.priority,
        mark: old.mark,
        dp_hash: old.dp_hash,
        recirc_id: old.recirc_id,
        in_port: old.in_port,
        mac_proto: old.mac_proto,
        tun_proto: old.tun_proto,
        ct_state: old.ct_state,
        ct_orig_proto: old.ct_orig_proto,
        ct_zone: old.ct_zone,
        ct_mark: old.ct_mark,
        tun_id: old.tun_id,
        tun_ipv4_src: old.tun_ipv4_src,
        tun_ipv4_dst: old.tun_ipv4_dst,
        tun_tp_src: old.tun_tp_src,
        tun_tp_dst: old.tun_tp_dst,
        tun_flags: old.tun_flags,
        tun_tos: old.tun_tos,
        tun_ttl: old.tun_ttl,
        ..Core::ZERO
    };
    if let Some(ext) = key.ext_if_any() {
        ext.ipv6_exthdrs = 0;
        if old.ct_orig_proto == 0 {
            ext.clear_shared();
        }
    }
    l2(pkt, key)
}

/// Extracts network and transport layer anew, from a packet whose data start at its L3 header: after its fragments were
/// put together (spec K36).
pub fn refresh_l3(pkt: &mut Packet, key: &mut FlowKey) -> Result<(), ExtractError> {
    key.ipv6_label = Be32::new(0);
    key.ip_frag = FRAG_NONE;
    key.ip_proto = 0;
    key.ip_tos = 0;
    key.ip_ttl = 0;
    key.tp_src = Be16::new(0);
    key.tp_dst = Be16::new(0);
    key.tcp_flags = Be16::new(0);
    key.ipv4_src = [0; 4];
    key.ipv4_dst = [0; 4];
    key.ipv6_src = [0; 16];
    key.ipv6_dst = [0; 16];
    let has_tuple = key.ct_orig_proto != 0;
    if let Some(ext) = key.ext_if_any() {
        ext.ipv6_exthdrs = 0;
        if !has_tuple {
            ext.clear_shared();
        }
    }
    l3(pkt, key, 0)
}

/// Completes the key of a packet that userspace handed in: `key` has its metadata, of which the EtherType only for
/// L3 packets. Also sets the packet's priority, mark and, for L3 packets, protocol (spec P3, P4).
pub fn from_execute(pkt: &mut Packet, key: &mut FlowKey) -> NlResult {
    pkt.set_priority(key.priority);
    pkt.set_mark(key.mark);
    pkt.set_protocol(key.eth_type.get());
    key.eth_type = Be16::new(0);
    Ok(l2(pkt, key).map_err(Error::from)?)
}

/// `N` bytes at `off`: `Ok(None)` if the packet is too short, `Err` if memory ran out.
#[inline(always)]
fn need<const N: usize>(pkt: &mut Packet, off: usize) -> Result<Option<&[u8; N]>, NoMem> {
    let end = off.saturating_add(N);
    if pkt.linear().len() < end {
        return need_paged(pkt, off);
    }
    Ok(pkt.linear().get(off..).and_then(<[u8]>::first_chunk))
}

#[cold]
#[inline(never)]
fn need_paged<const N: usize>(pkt: &mut Packet, off: usize) -> Result<Option<&[u8; N]>, NoMem> {
    let end = off.saturating_add(N);
    if pkt.len() < end {
        return Ok(None);
    }
    pkt.pull(end)?;
    Ok(pkt.linear().get(off..).and_then(<[u8]>::first_chunk))
}

/// The packet that is met most: Ethernet without tags, IPv4 without options, no fragment, headers linear. One look
/// at the length, all offsets known. False, with nothing done, for any other packet.
#[inline(always)]
fn plain_ipv4(pkt: &mut Packet, key: &mut FlowKey) -> bool {
    const L3: usize = ether::HLEN;
    const L4: usize = L3 + ipv4::HLEN;
    if pkt.vlan_tag().is_some() || pkt.is_gso_udp() {
        return false;
    }
    let Some(frame) = pkt.linear().first_chunk::<{ L4 + UDP_HLEN }>() else {
        return false;
    };
    let Some((eth, rest)) = frame
        .split_first_chunk()
        .map(|(eth, rest)| (Ethernet(eth), rest))
    else {
        return false;
    };
    let Some((ip, l4)) = rest.split_first_chunk().map(|(ip, l4)| (Ipv4(ip), l4)) else {
        return false;
    };
    if eth.ty().get() != ty::IPV4 || ip.header_len() != ipv4::HLEN || ip.is_fragment() {
        return false;
    }
    key.eth_src = eth.src();
    key.eth_dst = eth.dst();
    key.eth_type = eth.ty();
    let proto = ip.proto();
    key.ip_proto = proto;
    key.ip_tos = ip.tos();
    key.ip_ttl = ip.ttl();
    key.ipv4_src = ip.src();
    key.ipv4_dst = ip.dst();
    if let (proto::UDP, Some(udp)) = (proto, l4.first_chunk::<UDP_HLEN>().map(Ports)) {
        key.tp_src = udp.src();
        key.tp_dst = udp.dst();
    }
    pkt.set_mac_header(0);
    pkt.set_network_header(L3);
    pkt.reset_mac_len();
    pkt.set_transport_header(L4);
    pkt.set_protocol(ty::IPV4);
    if proto != proto::UDP {
        ip4_payload(pkt, key, proto, L4);
    }
    true
}

/// Link layer, then the rest. Everything but metadata is zero in `key`.
#[inline(never)]
fn l2(pkt: &mut Packet, key: &mut FlowKey) -> Result<(), ExtractError> {
    pkt.set_mac_header(0);
    let network = if key.mac_proto == MAC_PROTO_NONE {
        let ty = Be16::new(pkt.protocol());
        if ether::is_vlan(ty) {
            return Err(ExtractError::Invalid);
        }
        key.eth_type = ty;
        0
    } else {
        let eth = Ethernet(need(pkt, 0)?.ok_or(ExtractError::Invalid)?);
        key.eth_src = eth.src();
        key.eth_dst = eth.dst();
        let ty = eth.ty();
        let tag = pkt.vlan_tag();
        if tag.is_some() || ether::is_vlan(ty) || ty.get() < ty::MIN {
            tags(pkt, key)?
        } else {
            key.eth_type = ty;
            pkt.set_protocol(ty.get());
            ether::HLEN
        }
    };
    pkt.set_network_header(network);
    pkt.reset_mac_len();
    l3(pkt, key, network)
}

/// Tags (spec K23) and EtherType (K24) of an Ethernet frame; sets `protocol` (K25) and returns where the network
/// header starts.
#[inline(never)]
fn tags(pkt: &mut Packet, key: &mut FlowKey) -> Result<usize, NoMem> {
    const TYPE: usize = ether::HLEN - 2;
    let mut off = TYPE;
    let mut outer = true;
    if let Some(tag) = pkt.vlan_tag() {
        key.vlan_tci = Be16::new(tag.tci | VLAN_CFI);
        key.vlan_tpid = Be16::new(tag.tpid);
    } else if let Some((tpid, tci)) = tag_at(pkt, TYPE)? {
        key.vlan_tpid = tpid;
        key.vlan_tci = tci;
        pkt.untag_vlan()?;
    } else {
        outer = false;
    }
    if outer {
        if let Some((tpid, tci)) = tag_at(pkt, TYPE)? {
            key.cvlan_tpid = tpid;
            key.cvlan_tci = tci;
            off = TYPE + ether::VLAN_HLEN;
        }
    }
    let (ty, network) = ether_type(pkt, off)?;
    key.eth_type = ty;
    // A second tag keeps its TPID here, which the packet's pop_vlan relies on.
    pkt.set_protocol(if off == TYPE {
        ty.get()
    } else {
        key.cvlan_tpid.get()
    });
    Ok(network)
}

/// TPID and TCI of a complete tag at `off`; a tag is complete if the next type is there too.
fn tag_at(pkt: &mut Packet, off: usize) -> Result<Option<(Be16, Be16)>, NoMem> {
    Ok(need(pkt, off)?
        .map(Vlan)
        .filter(|tag| ether::is_vlan(tag.tpid()))
        .map(|tag| (tag.tpid(), Be16::new(tag.tci().get() | VLAN_CFI))))
}

/// The EtherType whose field is at `off` (it is there), and where its payload starts.
fn ether_type(pkt: &mut Packet, off: usize) -> Result<(Be16, usize), NoMem> {
    const NO_TYPE: Be16 = Be16::new(ty::IEEE_802_2);
    let payload = off.wrapping_add(2);
    let ty = need(pkt, off)?.map_or(NO_TYPE, |b| Be16::from_bytes(*b));
    if ty.get() >= ty::MIN {
        return Ok((ty, payload));
    }
    match need(pkt, payload)?.and_then(ether::snap_type) {
        Some(ty) => {
            let ty = if ty.get() >= ty::MIN { ty } else { NO_TYPE };
            Ok((ty, payload.wrapping_add(ether::SNAP_HLEN)))
        }
        None => Ok((NO_TYPE, payload)),
    }
}

/// Network and transport layer of a packet whose network header is at `nh` and whose `eth_type` is known.
#[inline(always)]
fn l3(pkt: &mut Packet, key: &mut FlowKey, nh: usize) -> Result<(), ExtractError> {
    match key.eth_type.get() {
        ty::IPV4 => ip4(pkt, key, nh),
        ty::IPV6 => ipv6::ip6(pkt, key, nh),
        ty::ARP | ty::RARP => {
            arp(pkt, key, nh);
            Ok(())
        }
        ty::MPLS_UC | ty::MPLS_MC => {
            mpls_nsh::mpls(pkt, key, nh);
            Ok(())
        }
        ty::NSH => mpls_nsh::nsh(pkt, key, nh),
        _ => Ok(()),
    }
}

/// Spec K27.
#[inline(always)]
fn ip4(pkt: &mut Packet, key: &mut FlowKey, nh: usize) -> Result<(), ExtractError> {
    let Some(ip) = need(pkt, nh)?.map(Ipv4) else {
        pkt.set_transport_header(nh);
        return Ok(());
    };
    let th = nh.wrapping_add(ip.header_len());
    let (proto, tos, ttl) = (ip.proto(), ip.tos(), ip.ttl());
    let (src, dst) = (ip.src(), ip.dst());
    let (later, more) = (ip.has_offset(), ip.more_fragments());
    if th < nh.wrapping_add(ipv4::HLEN) || pkt.len() < th {
        pkt.set_transport_header(nh);
        return Ok(());
    }
    pkt.set_transport_header(th);
    key.ip_proto = proto;
    key.ip_tos = tos;
    key.ip_ttl = ttl;
    key.ipv4_src = src;
    key.ipv4_dst = dst;
    if later {
        key.ip_frag = FRAG_LATER;
        return Ok(());
    }
    if more || pkt.is_gso_udp() {
        key.ip_frag = FRAG_FIRST;
    }
    ip4_payload(pkt, key, proto, th);
    Ok(())
}

/// What follows an IPv4 header.
#[inline(always)]
fn ip4_payload(pkt: &mut Packet, key: &mut FlowKey, proto: u8, th: usize) {
    match proto {
        proto::ICMP => {
            if let Some(icmp) = pkt.header(th).map(Icmp) {
                key.tp_src = Be16::new(icmp.ty().into());
                key.tp_dst = Be16::new(icmp.code().into());
            }
        }
        _ => l4(pkt, key, proto, th),
    }
}

/// The protocols that IPv4 and IPv6 share (spec K28).
#[inline(always)]
fn l4(pkt: &mut Packet, key: &mut FlowKey, proto: u8, th: usize) {
    match proto {
        proto::TCP => {
            let len = pkt.len();
            if let Some(tcp) = pkt.header(th).map(Tcp) {
                let tcp_len = tcp.header_len();
                if tcp_len >= tcp::HLEN && len >= th.wrapping_add(tcp_len) {
                    key.tp_src = tcp.src();
                    key.tp_dst = tcp.dst();
                    key.tcp_flags = tcp.flags();
                }
            }
        }
        proto::UDP => {
            if let Some(udp) = pkt.header::<UDP_HLEN>(th).map(Ports) {
                key.tp_src = udp.src();
                key.tp_dst = udp.dst();
            }
        }
        proto::SCTP => {
            if let Some(sctp) = pkt.header::<SCTP_HLEN>(th).map(Ports) {
                key.tp_src = sctp.src();
                key.tp_dst = sctp.dst();
            }
        }
        _ => {}
    }
}

/// Spec K31.
#[inline(never)]
fn arp(pkt: &mut Packet, key: &mut FlowKey, nh: usize) {
    let Some(arp) = pkt
        .header::<{ arp::LEN }>(nh)
        .map(Arp)
        .filter(Arp::is_ethernet_ipv4)
    else {
        return;
    };
    key.ip_proto = u8::try_from(arp.opcode()).unwrap_or(0);
    key.ipv4_src = arp.sip();
    key.ipv4_dst = arp.tip();
    let (sha, tha) = (arp.sha(), arp.tha());
    let ext = without_orig_tuple(key);
    ext.hw_src = sha;
    ext.hw_dst = tha;
}

/// Where ARP and ND go. A tuple that is there cannot be this packet's: C takes its words, too.
fn without_orig_tuple(key: &mut FlowKey) -> &mut Ext {
    key.ct_orig_proto = 0;
    let ext = key.ext_mut();
    ext.clear_shared();
    ext
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
pub mod vectors;

#[cfg(test)]
mod tests;
