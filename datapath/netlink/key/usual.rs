// SPDX-License-Identifier: GPL-2.0
//! Keys as most packets have them: an untagged frame with IP in it that came in through a port and no tunnel. What such a key
//! begins with always has the same attributes, and is written at once.
//!
//! C counterpart: none; `__ovs_nla_put_key()` puts one attribute after the other.

use super::{network, transport, Beyond};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::env::{CtFields, Env};
use crate::datapath::flow::key::{Core, FRAG_NONE, MAC_PROTO_ETHERNET, PORT_NONE};
use crate::datapath::netlink::attr::HDRLEN;
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::ipv4::proto;
use crate::datapath::wire::part;

/// Whether [`put`] is for this key.
#[inline(always)]
pub(super) fn is_usual(key: &Core) -> bool {
    const IPV4: Be16 = Be16::new(ty::IPV4);
    const IPV6: Be16 = Be16::new(ty::IPV6);
    // One comparison for all that must be zero.
    let differs = u32::from(key.mac_proto ^ MAC_PROTO_ETHERNET)
        | u32::from(key.tun_proto | key.ct_orig_proto)
        | u32::from(key.vlan_tci.raw());
    differs == 0
        && (key.eth_type == IPV4 || key.eth_type == IPV6)
        && key.in_port != PORT_NONE
        && crate::World::ct_fields() == CtFields::ALL
}

/// Appends the nested attribute `nest` with such a key (spec 2.3): what [`metadata`](super::metadata) and
/// [`link`](super::link) put of it.
#[inline(always)]
pub(super) fn put(w: &mut Writer<'_>, nest: u16, key: &Core, beyond: &Beyond<'_>) -> Put {
    let start = w.mark();
    let [z0, z1] = key.ct_zone.to_ne_bytes();
    let labels = &beyond.ext.ct_labels;
    let [s0, s1, s2, s3, s4, s5] = key.eth_src;
    let [d0, d1, d2, d3, d4, d5] = key.eth_dst;
    let [t0, t1] = key.eth_type.to_bytes();
    let word = u32::from_ne_bytes;
    w.put_raw_words(&[
        head(nest, 0), // its length follows
        head(ka::RECIRC_ID, 4),
        key.recirc_id,
        head(ka::DP_HASH, 4),
        key.dp_hash,
        head(ka::PRIORITY, 4),
        key.priority,
        head(ka::IN_PORT, 4),
        key.in_port.into(),
        head(ka::SKB_MARK, 4),
        key.mark,
        head(ka::CT_STATE, 4),
        key.ct_state.into(),
        head(ka::CT_ZONE, 2),
        word([z0, z1, 0, 0]),
        head(ka::CT_MARK, 4),
        key.ct_mark,
        head(ka::CT_LABELS, 16),
        word(part::<0, 4, 16>(labels)),
        word(part::<4, 4, 16>(labels)),
        word(part::<8, 4, 16>(labels)),
        word(part::<12, 4, 16>(labels)),
        head(ka::ETHERNET, 12),
        word([s0, s1, s2, s3]),
        word([s4, s5, d0, d1]),
        word([d2, d3, d4, d5]),
        head(ka::ETHERTYPE, 2),
        word([t0, t1, 0, 0]),
    ])?;
    match key.eth_type.get() {
        ty::IPV4 => network::put_ipv4(w, key)?,
        _ => network::put_ipv6(w, key, beyond)?,
    }
    match (key.ip_proto, key.ip_frag) {
        (proto::UDP, FRAG_NONE) => transport::put_ports(w, ka::UDP, key)?,
        _ => transport::put(w, key, key, beyond)?,
    }
    w.end_nest(start)
}

/// The header of an attribute with `len` bytes of payload.
pub(super) const fn head(ty: u16, len: u16) -> u32 {
    let len = len.wrapping_add(HDRLEN as u16); // CAST: 4
    let ([l0, l1], [t0, t1]) = (len.to_ne_bytes(), ty.to_ne_bytes());
    u32::from_ne_bytes([l0, l1, t0, t1])
}
