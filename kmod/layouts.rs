// SPDX-License-Identifier: GPL-2.0
//! Structs of the switch that are seen as words; here because `datapath/` may not say `unsafe`.

use crate::datapath::flow::key::FlowKey;
use crate::datapath::wire::be::{Be16, Be32};
use crate::rust::pod::PodField;

// SAFETY: transparent over integers.
unsafe impl PodField for Be16 {}
// SAFETY: as above.
unsafe impl PodField for Be32 {}

crate::pod_words! { FlowKey {
    priority, mark, dp_hash, ipv6_label, eth_src, vlan_tpid, eth_dst, cvlan_tpid, recirc_id, in_port, mac_proto,
    ip_frag, eth_type, vlan_tci, cvlan_tci, ip_proto, ip_tos, tp_src, tp_dst, tcp_flags, ip_ttl, reserved6,
    ipv4_src, ipv4_dst, ipv6_src, ipv6_dst, hw_src, ipv6_exthdrs, hw_dst, reserved13, nd_target,
} }
