// SPDX-License-Identifier: GPL-2.0
//! Where Ethernet headers, MPLS labels and service headers may be pushed and popped (spec 4.1, A15, B14).
//!
//! C counterpart: their cases in `__ovs_nla_copy_actions()`, `net/openvswitch/flow_netlink.c`.

use super::{is_mpls, refuse, Checker};
use crate::datapath::actions::list::{Action, PushNsh};
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{MAC_PROTO_ETHERNET, MAC_PROTO_NONE, VLAN_CFI};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::nsh;

/// What PUSH_MPLS and ADD_MPLS say: an entry of the label stack, its EtherType, and flags.
pub struct MplsEntry {
    pub entry: [u8; 4],
    pub eth_type: u16,
    /// Of ADD_MPLS.
    pub flags: u16,
}

impl MplsEntry {
    /// ADD_MPLS: between the L2 header and what follows, as PUSH_MPLS does. Otherwise in front of the L2 header.
    const L3_TUNNEL: u16 = 1;

    pub fn from_arg(arg: &[u8; 8]) -> Self {
        let [e0, e1, e2, e3, t0, t1, f0, f1] = *arg;
        Self {
            entry: [e0, e1, e2, e3],
            eth_type: Be16::from_bytes([t0, t1]).get(),
            flags: u16::from_ne_bytes([f0, f1]),
        }
    }

    pub fn is_behind_l2(&self) -> bool {
        self.flags & Self::L3_TUNNEL != 0
    }
}

impl Checker<'_> {
    pub fn push_eth(&mut self, src: [u8; 6], dst: [u8; 6]) -> NlResult {
        if self.shape.mac_proto != MAC_PROTO_NONE {
            return refuse(c"Packet has an Ethernet header already");
        }
        self.changes_key = true;
        self.shape.mac_proto = MAC_PROTO_ETHERNET;
        self.add(Action::PushEth { src, dst }, 12)
    }

    pub fn pop_eth(&mut self) -> NlResult {
        self.need_ethernet()?;
        if self.shape.vlan_tci & VLAN_CFI != 0 {
            return refuse(c"Ethernet header of a tagged packet");
        }
        self.changes_key = true;
        self.shape.mac_proto = MAC_PROTO_NONE;
        self.add(Action::PopEth, 0)
    }

    /// `arg`: `struct ovs_action_push_mpls`.
    pub fn push_mpls(&mut self, arg: [u8; 8]) -> NlResult {
        let mpls = MplsEntry::from_arg(&arg);
        self.check_push_mpls(&mpls)?;
        self.changes_key = true;
        self.shape.labels = self.shape.labels.wrapping_add(1);
        self.shape.eth_type = mpls.eth_type;
        self.add(Action::PushMpls(arg), 8)
    }

    /// `arg`: `struct ovs_action_add_mpls`.
    pub fn add_mpls(&mut self, arg: [u8; 8]) -> NlResult {
        let mpls = MplsEntry::from_arg(&arg);
        if mpls.is_behind_l2() {
            self.check_push_mpls(&mpls)?;
        } else if !is_mpls(mpls.eth_type) {
            return refuse(c"Not the EtherType of MPLS");
        } else if self.shape.mac_proto == MAC_PROTO_ETHERNET {
            self.shape.mac_proto = MAC_PROTO_NONE;
            self.shape.labels = 0;
        }
        self.changes_key = true;
        self.shape.labels = self.shape.labels.wrapping_add(1);
        self.shape.eth_type = mpls.eth_type;
        self.add(Action::AddMpls(arg), 8)
    }

    /// A label goes between the L2 header and headers of known order only.
    fn check_push_mpls(&self, mpls: &MplsEntry) -> NlResult {
        if !is_mpls(mpls.eth_type) {
            return refuse(c"Not the EtherType of MPLS");
        }
        let fits = matches!(
            self.shape.eth_type,
            ty::IPV4 | ty::IPV6 | ty::ARP | ty::RARP | ty::MPLS_UC | ty::MPLS_MC
        );
        if self.shape.vlan_tci & VLAN_CFI != 0 || !fits {
            return refuse(c"MPLS label on a packet that cannot have one");
        }
        Ok(())
    }

    /// `eth_type`: of what follows the label.
    pub fn pop_mpls(&mut self, eth_type: u16) -> NlResult {
        if self.shape.vlan_tci & VLAN_CFI != 0 || !is_mpls(self.shape.eth_type) {
            return refuse(c"No MPLS label to pop");
        }
        if eth_type == ty::TEB && self.shape.mac_proto != MAC_PROTO_NONE {
            return refuse(c"Ethernet frame inside MPLS inside an Ethernet frame");
        }
        self.changes_key = true;
        self.shape.labels = self.shape.labels.wrapping_sub(1);
        // Of what was under the last label that is known nothing is known (B14).
        let labels_left = is_mpls(eth_type) && self.shape.labels != 0;
        self.shape.eth_type = if labels_left { eth_type } else { 0 };
        self.add(Action::PopMpls(eth_type), 2)
    }

    /// `arg`: the whole argument; `header`: what it says, at most [`nsh::HLEN_MAX`] bytes.
    pub fn push_nsh(&mut self, arg: &[u8], header: &[u8]) -> NlResult {
        let known = nsh::next_protocol_of(self.shape.eth_type).is_some();
        if self.shape.mac_proto != MAC_PROTO_ETHERNET && !known {
            return refuse(c"NSH cannot say what the packet is");
        }
        self.shape.mac_proto = MAC_PROTO_NONE;
        self.changes_key = true;
        let at = self.keep(arg)?;
        self.keep(header)?;
        let nsh = PushNsh {
            at,
            len: arg.len() as u16,          // CAST: an attribute's payload
            header_len: header.len() as u8, // CAST: at most 252
        };
        self.add(Action::PushNsh(nsh), arg.len())
    }

    /// What the EtherType becomes is not kept, as in C (spec A15).
    pub fn pop_nsh(&mut self) -> NlResult {
        let [_, _, _, np, ..] = self.key.nsh().base;
        let inner = nsh::eth_type_of(np);
        let Some(inner) = inner.filter(|_| self.shape.eth_type == ty::NSH) else {
            return refuse(c"No NSH to pop, or not known what is in it");
        };
        self.shape.mac_proto = match inner {
            ty::TEB => MAC_PROTO_ETHERNET,
            _ => MAC_PROTO_NONE,
        };
        self.changes_key = true;
        self.add(Action::PopNsh, 0)
    }
}
