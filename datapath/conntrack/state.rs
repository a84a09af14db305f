// SPDX-License-Identifier: GPL-2.0
//! A packet's connection as fields of its key (spec K34, C14).
//!
//! C counterpart: `ovs_ct_fill_key()` and `ovs_ct_update_key()` in `net/openvswitch/conntrack.c`.

use crate::datapath::abi::ct_state as cs;
use crate::datapath::env::conntrack::{Connection, CtInfo, OrigTuple, TrackedOps};
use crate::datapath::env::{Packet, PostCt};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::icmp::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};
use crate::datapath::wire::ipv4::proto;

/// What the stack attached to a packet that comes in, or nothing. Everything else is in `key` already. `post_ct`: what a CT
/// action has done with it that was tc's.
#[cold]
#[inline(never)]
pub fn fill(pkt: &Packet, key: &mut FlowKey, post_ct: Option<PostCt>) {
    match (pkt.connection(), post_ct) {
        (Some(conn), tc) => {
            let left_out = tc.map_or(0, |tc| !nat_bits(tc.src_nat, tc.dst_nat) & cs::NAT);
            let state = state(&conn, None) & !left_out;
            write(key, state, conn.zone, Some(&conn));
        }
        (None, Some(tc)) => tracked(key, None, tc.zone),
        (None, None) => write(key, 0, 0, None),
    }
}

/// After tracking: `conn` or, without one, an invalid packet in `zone`. What NAT has done to the packet is in
/// `key.ct_state`.
pub fn tracked(key: &mut FlowKey, conn: Option<&Connection>, zone: u16) {
    match conn {
        Some(conn) => {
            let state = state(conn, Some(key.ct_state & cs::NAT));
            write(key, state, conn.zone, Some(conn));
        }
        None => write(key, cs::TRACKED | cs::INVALID, zone, None),
    }
}

/// `OVS_CS_F_*` of a packet in `conn`. `nat`: the bits of NAT, if it is not the connection that says them.
fn state(conn: &Connection, nat: Option<u8>) -> u8 {
    let mut state = cs::TRACKED;
    state |= match conn.info {
        CtInfo::Established => cs::ESTABLISHED,
        CtInfo::EstablishedReply => cs::ESTABLISHED | cs::REPLY,
        CtInfo::Related => cs::RELATED,
        CtInfo::RelatedReply => cs::RELATED | cs::REPLY,
        CtInfo::New => cs::NEW,
        CtInfo::Other => 0,
    };
    if !conn.confirmed {
        state |= cs::NEW;
    }
    // For the whole life of the connection.
    if conn.has_master {
        state |= cs::RELATED;
    }
    state | nat.unwrap_or_else(|| nat_bits(conn.src_nat, conn.dst_nat))
}

fn nat_bits(src: bool, dst: bool) -> u8 {
    let src = if src { cs::SRC_NAT } else { 0 };
    let dst = if dst { cs::DST_NAT } else { 0 };
    src | dst
}

/// Writes all fields; without a connection what was there before is forgotten.
pub fn write(key: &mut FlowKey, state: u8, zone: u16, conn: Option<&Connection>) {
    key.ct_state = state;
    key.ct_zone = zone;
    key.ct_mark = conn.map_or(0, |c| c.mark);
    let labels = conn.map_or([0; 16], |c| c.labels);
    let orig = conn.map(|c| &c.orig).filter(|orig| belongs(orig, key));
    let had = core::mem::replace(&mut key.ct_orig_proto, orig.map_or(0, |o| o.proto));
    if orig.is_none() && labels == [0; 16] && key.is_plain() {
        return;
    }
    let ext = key.ext_mut();
    ext.ct_labels = labels;
    if let Some(orig) = orig {
        ext.ct_orig_tp_src = Be16::new(orig.tp_src);
        ext.ct_orig_tp_dst = Be16::new(orig.tp_dst);
        ext.set_ct_orig_addrs(orig.src, orig.dst);
    } else {
        ext.ct_orig_tp_src = Be16::new(0);
        ext.ct_orig_tp_dst = Be16::new(0);
        // Without a tuple before, the words are ARP's or ND's.
        if had != 0 {
            ext.clear_shared();
        }
    }
}

/// The tuple is of the packet's family, and does not stand where the packet has something else (spec B50). A protocol
/// of 0 is none.
fn belongs(orig: &OrigTuple, key: &FlowKey) -> bool {
    orig.proto != 0
        && match key.eth_type.get() {
            ty::IPV4 => !orig.ipv6,
            ty::IPV6 => orig.ipv6 && !is_nd(key),
            _ => false,
        }
}

fn is_nd(key: &FlowKey) -> bool {
    key.ip_proto == proto::ICMPV6
        && key.tp_dst.get() == 0
        && (key.tp_src.get() == NEIGHBOUR_SOLICITATION.into()
            || key.tp_src.get() == NEIGHBOUR_ADVERTISEMENT.into())
}
