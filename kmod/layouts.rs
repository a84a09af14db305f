// SPDX-License-Identifier: GPL-2.0
//! Structs of the switch that are seen as words; here because `datapath/` may not say `unsafe`.

use crate::datapath::flow::key::{Core, Ext, Long};
use crate::datapath::wire::be::{Be16, Be32};
use crate::rust::pod::PodField;

// SAFETY: transparent over integers.
unsafe impl PodField for Be16 {}
// SAFETY: as above.
unsafe impl PodField for Be32 {}

crate::pod_words! { Core {
    priority, mark, dp_hash, ipv6_label, eth_src, vlan_tpid, eth_dst, cvlan_tpid, recirc_id, in_port, mac_proto,
    ip_frag, eth_type, vlan_tci, cvlan_tci, ip_proto, ip_tos, tp_src, tp_dst, tcp_flags, ip_ttl, tun_proto,
    ipv4_src, ipv4_dst, ct_state, ct_orig_proto, ct_zone, ct_mark, tun_id, tun_ipv4_src, tun_ipv4_dst, tun_tp_src,
    tun_tp_dst, tun_flags, tun_tos, tun_ttl, ipv6_src, ipv6_dst,
} }
crate::pod_words! { Ext {
    ct_orig_tp_src, ct_orig_tp_dst, ipv6_exthdrs, tun_opts_len, reserved16, ct_labels, hw_src, reserved19, hw_dst,
    reserved20, nd_target, tun_ipv6_src, tun_ipv6_dst, tun_opts,
} }
crate::pod_words! { Long { tun_opts } }
