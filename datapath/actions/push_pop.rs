// SPDX-License-Identifier: GPL-2.0
//! Pushing and popping what stands before the network header. The key is told, or it is stale from then on (spec A9).
//!
//! C counterpart: `push_vlan()` and so on in `net/openvswitch/actions.c`.

use super::execute::Key;
use super::list::PushVlan;
use super::validate::layers::MplsEntry;
use crate::datapath::env::{Packet, PacketOps, VlanTag};
use crate::datapath::flow::key::{MAC_PROTO_ETHERNET, MAC_PROTO_NONE};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::{self, ty, VLAN_HLEN};
use kernel::error::code::{EINVAL, ENOMEM, EPROTO};
use kernel::error::Result;

/// Beside the data, as most do. EPROTO without an Ethernet header: a nested list is checked as if what is outside had left it
/// alone (A4), and some kernels insert a tag without a look at what is there.
#[inline(always)]
pub fn push_vlan(pkt: &mut Packet, key: &mut Key<'_>, tag: &PushVlan) -> Result {
    if key.key.mac_proto != MAC_PROTO_ETHERNET {
        return Err(EPROTO);
    }
    if pkt.vlan_tag().is_some() {
        return push_another_vlan(pkt, key, tag.tag());
    }
    key.key.vlan_tci = tag.tci;
    key.key.vlan_tpid = tag.tpid;
    pkt.put_vlan_beside(tag.tag());
    Ok(())
}

/// The tag that is there moves inside.
#[inline(never)]
fn push_another_vlan(pkt: &mut Packet, key: &mut Key<'_>, tag: VlanTag) -> Result {
    let l3 = pkt.network_offset();
    key.valid = false;
    let result = pkt.push_vlan(tag);
    if result.is_ok() {
        // Some kernels let the mark point at the tag, where a SET would write next (spec A21, A22).
        pkt.set_network_header(l3.wrapping_add(VLAN_HLEN));
    }
    pkt.reset_mac_len();
    result
}

#[inline(never)]
pub fn pop_vlan(pkt: &mut Packet, key: &mut Key<'_>) -> Result {
    let result = pkt.pop_vlan();
    if pkt.vlan_tag().is_some() {
        key.valid = false;
    } else {
        key.key.vlan_tci = Be16::new(0);
        key.key.vlan_tpid = Be16::new(0);
    }
    result
}

#[inline(never)]
pub fn push_eth(pkt: &mut Packet, key: &mut Key<'_>, src: &[u8; 6], dst: &[u8; 6]) -> Result {
    pkt.push_eth(dst, src)?;
    key.key.mac_proto = MAC_PROTO_ETHERNET;
    key.valid = false;
    Ok(())
}

#[inline(never)]
pub fn pop_eth(pkt: &mut Packet, key: &mut Key<'_>) -> Result {
    pkt.pop_eth()?;
    key.key.mac_proto = MAC_PROTO_NONE;
    key.valid = false;
    Ok(())
}

/// Between the L2 header and what follows.
#[inline(never)]
pub fn push_mpls(pkt: &mut Packet, key: &mut Key<'_>, arg: &[u8; 8]) -> Result {
    let l2_len = pkt.mac_len();
    push_mpls_at(pkt, key, arg, l2_len)
}

/// The same, or in front of the L2 header, which makes it an L3 packet.
#[inline(never)]
pub fn add_mpls(pkt: &mut Packet, key: &mut Key<'_>, arg: &[u8; 8]) -> Result {
    let behind_l2 = MplsEntry::from_arg(arg).is_behind_l2();
    let l2_len = if behind_l2 { pkt.mac_len() } else { 0 };
    push_mpls_at(pkt, key, arg, l2_len)
}

fn push_mpls_at(pkt: &mut Packet, key: &mut Key<'_>, arg: &[u8; 8], l2_len: usize) -> Result {
    let mpls = MplsEntry::from_arg(arg);
    pkt.push_mpls(mpls.entry, mpls.eth_type, l2_len)?;
    if l2_len == 0 {
        key.key.mac_proto = MAC_PROTO_NONE;
    }
    key.valid = false;
    Ok(())
}

/// Takes the outermost label away. A packet without labels stays as it is.
#[inline(never)]
pub fn pop_mpls(pkt: &mut Packet, key: &mut Key<'_>, eth_type: u16) -> Result {
    pkt.pop_mpls(eth_type, key.key.mac_proto == MAC_PROTO_ETHERNET)?;
    key.valid = false;
    match eth_type {
        ty::TEB => become_frame(pkt, key),
        _ => Ok(()),
    }
}

/// In front of all, an Ethernet header included. EAFNOSUPPORT if NSH has no number for what the packet is.
#[inline(never)]
pub fn push_nsh(pkt: &mut Packet, key: &mut Key<'_>, header: &[u8]) -> Result {
    pkt.push_nsh(header)?;
    key.key.mac_proto = MAC_PROTO_NONE;
    key.valid = false;
    Ok(())
}

/// The packet must start with a service header: whatever stands there is taken for one. EINVAL, EAFNOSUPPORT, ENOMEM.
#[inline(never)]
pub fn pop_nsh(pkt: &mut Packet, key: &mut Key<'_>) -> Result {
    pkt.pop_nsh()?;
    key.valid = false;
    match pkt.protocol() {
        ty::TEB => become_frame(pkt, key),
        _ => {
            key.key.mac_proto = MAC_PROTO_NONE;
            Ok(())
        }
    }
}

/// What was inside is an Ethernet frame from here on. Its header is there, and linear: kernels insert tags without a look
/// at either, and would move what stands behind the packet. EINVAL, ENOMEM.
fn become_frame(pkt: &mut Packet, key: &mut Key<'_>) -> Result {
    if pkt.len() < ether::HLEN {
        return Err(EINVAL);
    }
    pkt.pull(ether::HLEN).map_err(|_| ENOMEM)?;
    key.key.mac_proto = MAC_PROTO_ETHERNET;
    Ok(())
}
