// SPDX-License-Identifier: GPL-2.0
//! Numbers of the `OVS_*` netlink ABI, from `include/uapi/linux/openvswitch.h` (spec sections 1 to 5).

/// Protocol version of the families (spec 1.1 to 1.4, 7.1).
pub mod version {
    pub const DATAPATH: u8 = 2;
    pub const VPORT: u8 = 1;
    pub const FLOW: u8 = 1;
    pub const PACKET: u8 = 1;
    pub const METER: u8 = 1;
    pub const CT_LIMIT: u8 = 1;
}

/// Commands of ovs_datapath, ovs_vport and ovs_flow (spec 1.1 to 1.3).
pub mod cmd {
    pub const NEW: u8 = 1;
    pub const DEL: u8 = 2;
    pub const GET: u8 = 3;
    pub const SET: u8 = 4;
}

/// Commands of ovs_packet (spec 1.4).
pub mod packet_cmd {
    pub const MISS: u8 = 1;
    pub const ACTION: u8 = 2;
    pub const EXECUTE: u8 = 3;
}

/// Commands of ovs_meter (spec 7.1).
pub mod meter_cmd {
    pub const FEATURES: u8 = 1;
    pub const SET: u8 = 2;
    pub const DEL: u8 = 3;
    pub const GET: u8 = 4;
}

/// Commands of ovs_ct_limit (spec 7.2).
pub mod ct_limit_cmd {
    pub const SET: u8 = 1;
    pub const DEL: u8 = 2;
    pub const GET: u8 = 3;
}

/// `OVS_DP_ATTR_*`
pub mod dp_attr {
    pub const NAME: u16 = 1;
    pub const UPCALL_PID: u16 = 2;
    pub const STATS: u16 = 3;
    pub const MEGAFLOW_STATS: u16 = 4;
    pub const USER_FEATURES: u16 = 5;
    pub const PAD: u16 = 6;
    pub const MASKS_CACHE_SIZE: u16 = 7;
    pub const PER_CPU_PIDS: u16 = 8;
    pub const IFINDEX: u16 = 9;
    pub const MAX: usize = 9;
}

/// `OVS_DP_F_*`
pub mod dp_feature {
    pub const UNALIGNED: u32 = 1;
    pub const VPORT_PIDS: u32 = 2;
    pub const TC_RECIRC_SHARING: u32 = 4;
    pub const DISPATCH_UPCALL_PER_CPU: u32 = 8;
}

/// `OVS_VPORT_ATTR_*`
pub mod vport_attr {
    pub const PORT_NO: u16 = 1;
    pub const TYPE: u16 = 2;
    pub const NAME: u16 = 3;
    pub const OPTIONS: u16 = 4;
    pub const UPCALL_PID: u16 = 5;
    pub const STATS: u16 = 6;
    pub const PAD: u16 = 7;
    pub const IFINDEX: u16 = 8;
    pub const NETNSID: u16 = 9;
    pub const UPCALL_STATS: u16 = 10;
    pub const MAX: usize = 10;
    /// Nested in UPCALL_STATS.
    pub const UPCALL_SUCCESS: u16 = 0;
    pub const UPCALL_FAIL: u16 = 1;
}

/// `OVS_TUNNEL_ATTR_*`: of a tunnel's vport (spec W21).
pub mod vport_tunnel_attr {
    /// UDP port: u16, host order.
    pub const DST_PORT: u16 = 1;
    /// [`vxlan_ext`](super::vxlan_ext), nested.
    pub const EXTENSION: u16 = 2;
}

/// `OVS_FLOW_ATTR_*`
pub mod flow_attr {
    pub const KEY: u16 = 1;
    pub const ACTIONS: u16 = 2;
    pub const STATS: u16 = 3;
    pub const TCP_FLAGS: u16 = 4;
    pub const USED: u16 = 5;
    pub const CLEAR: u16 = 6;
    pub const MASK: u16 = 7;
    pub const PROBE: u16 = 8;
    pub const UFID: u16 = 9;
    pub const UFID_FLAGS: u16 = 10;
    pub const PAD: u16 = 11;
    pub const MAX: usize = 11;
}

/// `OVS_UFID_F_*`
pub mod ufid_flag {
    pub const OMIT_KEY: u32 = 1;
    pub const OMIT_MASK: u32 = 2;
    pub const OMIT_ACTIONS: u32 = 4;
}

/// `OVS_PACKET_ATTR_*`
pub mod packet_attr {
    pub const PACKET: u16 = 1;
    pub const KEY: u16 = 2;
    pub const ACTIONS: u16 = 3;
    pub const USERDATA: u16 = 4;
    pub const EGRESS_TUN_KEY: u16 = 5;
    pub const PROBE: u16 = 8;
    pub const MRU: u16 = 9;
    pub const LEN: u16 = 10;
    pub const HASH: u16 = 11;
    pub const UPCALL_PID: u16 = 12;
    pub const MAX: usize = 12;
}

/// `OVS_METER_ATTR_*`
pub mod meter_attr {
    pub const ID: u16 = 1;
    pub const KBPS: u16 = 2;
    pub const STATS: u16 = 3;
    pub const BANDS: u16 = 4;
    pub const USED: u16 = 5;
    pub const CLEAR: u16 = 6;
    pub const MAX_METERS: u16 = 7;
    pub const MAX_BANDS: u16 = 8;
    pub const PAD: u16 = 9;
    pub const MAX: usize = 9;
}

/// `OVS_BAND_ATTR_*`
pub mod band_attr {
    pub const TYPE: u16 = 1;
    pub const RATE: u16 = 2;
    pub const BURST: u16 = 3;
    pub const STATS: u16 = 4;
    pub const MAX: usize = 4;
}

/// `OVS_METER_BAND_TYPE_*`
pub mod meter_band {
    pub const DROP: u32 = 1;
}

/// `OVS_CT_LIMIT_ATTR_*`
pub mod ct_limit_attr {
    pub const ZONE_LIMIT: u16 = 1;
    pub const MAX: usize = 1;
}

/// `OVS_KEY_ATTR_*` (spec 2.1)
pub mod key_attr {
    pub const ENCAP: u16 = 1;
    pub const PRIORITY: u16 = 2;
    pub const IN_PORT: u16 = 3;
    pub const ETHERNET: u16 = 4;
    pub const VLAN: u16 = 5;
    pub const ETHERTYPE: u16 = 6;
    pub const IPV4: u16 = 7;
    pub const IPV6: u16 = 8;
    pub const TCP: u16 = 9;
    pub const UDP: u16 = 10;
    pub const ICMP: u16 = 11;
    pub const ICMPV6: u16 = 12;
    pub const ARP: u16 = 13;
    pub const ND: u16 = 14;
    pub const SKB_MARK: u16 = 15;
    pub const TUNNEL: u16 = 16;
    pub const SCTP: u16 = 17;
    pub const TCP_FLAGS: u16 = 18;
    pub const DP_HASH: u16 = 19;
    pub const RECIRC_ID: u16 = 20;
    pub const MPLS: u16 = 21;
    pub const CT_STATE: u16 = 22;
    pub const CT_ZONE: u16 = 23;
    pub const CT_MARK: u16 = 24;
    pub const CT_LABELS: u16 = 25;
    pub const CT_ORIG_TUPLE_IPV4: u16 = 26;
    pub const CT_ORIG_TUPLE_IPV6: u16 = 27;
    pub const NSH: u16 = 28;
    pub const PACKET_TYPE: u16 = 29;
    pub const ND_EXTENSIONS: u16 = 30;
    pub const TUNNEL_INFO: u16 = 31;
    pub const IPV6_EXTHDRS: u16 = 32;
    pub const MAX: usize = 32;
}

/// `OVS_TUNNEL_KEY_ATTR_*` (spec 2.2)
pub mod tunnel_attr {
    pub const ID: u16 = 0;
    pub const IPV4_SRC: u16 = 1;
    pub const IPV4_DST: u16 = 2;
    pub const TOS: u16 = 3;
    pub const TTL: u16 = 4;
    pub const DONT_FRAGMENT: u16 = 5;
    pub const CSUM: u16 = 6;
    pub const OAM: u16 = 7;
    pub const GENEVE_OPTS: u16 = 8;
    pub const TP_SRC: u16 = 9;
    pub const TP_DST: u16 = 10;
    pub const VXLAN_OPTS: u16 = 11;
    pub const IPV6_SRC: u16 = 12;
    pub const IPV6_DST: u16 = 13;
    pub const PAD: u16 = 14;
    pub const ERSPAN_OPTS: u16 = 15;
    pub const IPV4_INFO_BRIDGE: u16 = 16;
}

/// `OVS_VXLAN_EXT_*`
pub mod vxlan_ext {
    /// Group policy: u32 in a key, a flag in a vport's options.
    pub const GBP: u16 = 1;
}

/// `OVS_NSH_KEY_ATTR_*` (spec 2.1)
pub mod nsh_attr {
    pub const BASE: u16 = 1;
    pub const MD1: u16 = 2;
    pub const MD2: u16 = 3;
}

/// `OVS_ACTION_ATTR_*` (spec 4.1)
pub mod action_attr {
    pub const OUTPUT: u16 = 1;
    pub const USERSPACE: u16 = 2;
    pub const SET: u16 = 3;
    pub const PUSH_VLAN: u16 = 4;
    pub const POP_VLAN: u16 = 5;
    pub const SAMPLE: u16 = 6;
    pub const RECIRC: u16 = 7;
    pub const HASH: u16 = 8;
    pub const PUSH_MPLS: u16 = 9;
    pub const POP_MPLS: u16 = 10;
    pub const SET_MASKED: u16 = 11;
    pub const CT: u16 = 12;
    pub const TRUNC: u16 = 13;
    pub const PUSH_ETH: u16 = 14;
    pub const POP_ETH: u16 = 15;
    pub const CT_CLEAR: u16 = 16;
    pub const PUSH_NSH: u16 = 17;
    pub const POP_NSH: u16 = 18;
    pub const METER: u16 = 19;
    pub const CLONE: u16 = 20;
    pub const CHECK_PKT_LEN: u16 = 21;
    pub const ADD_MPLS: u16 = 22;
    pub const DEC_TTL: u16 = 23;
    pub const DROP: u16 = 24;
    pub const PSAMPLE: u16 = 25;
    pub const MAX: u16 = 25;
}

/// `OVS_USERSPACE_ATTR_*`
pub mod userspace_attr {
    pub const PID: u16 = 1;
    pub const USERDATA: u16 = 2;
    pub const EGRESS_TUN_PORT: u16 = 3;
    pub const ACTIONS: u16 = 4;
    pub const MAX: u16 = 4;
}

/// `OVS_SAMPLE_ATTR_*`
pub mod sample_attr {
    pub const PROBABILITY: u16 = 1;
    pub const ACTIONS: u16 = 2;
}

/// `OVS_PSAMPLE_ATTR_*` (spec A14)
pub mod psample_attr {
    pub const GROUP: u16 = 1;
    pub const COOKIE: u16 = 2;
    /// `OVS_PSAMPLE_COOKIE_MAX_SIZE`
    pub const COOKIE_MAX: usize = 16;
}

/// `OVS_CHECK_PKT_LEN_ATTR_*`
pub mod check_pkt_len_attr {
    pub const PKT_LEN: u16 = 1;
    pub const IF_GREATER: u16 = 2;
    pub const IF_LESS_EQUAL: u16 = 3;
}

/// `OVS_DEC_TTL_ATTR_*`
pub mod dec_ttl_attr {
    pub const ACTION: u16 = 1;
}

/// `OVS_HASH_ALG_*`
pub mod hash_alg {
    pub const L4: u32 = 0;
    pub const SYM_L4: u32 = 1;
}

/// `OVS_CT_ATTR_*` (spec 4.5)
pub mod ct_attr {
    pub const COMMIT: u16 = 1;
    pub const ZONE: u16 = 2;
    pub const MARK: u16 = 3;
    pub const LABELS: u16 = 4;
    pub const HELPER: u16 = 5;
    pub const NAT: u16 = 6;
    pub const FORCE_COMMIT: u16 = 7;
    pub const EVENTMASK: u16 = 8;
    pub const TIMEOUT: u16 = 9;
}

/// `OVS_NAT_ATTR_*` (spec 4.5)
pub mod nat_attr {
    pub const SRC: u16 = 1;
    pub const DST: u16 = 2;
    pub const IP_MIN: u16 = 3;
    pub const IP_MAX: u16 = 4;
    pub const PROTO_MIN: u16 = 5;
    pub const PROTO_MAX: u16 = 6;
    pub const PERSISTENT: u16 = 7;
    pub const PROTO_HASH: u16 = 8;
    pub const PROTO_RANDOM: u16 = 9;
}

/// `OVS_CS_F_*` (spec C14)
pub mod ct_state {
    pub const NEW: u8 = 0x01;
    pub const ESTABLISHED: u8 = 0x02;
    pub const RELATED: u8 = 0x04;
    pub const REPLY: u8 = 0x08;
    pub const INVALID: u8 = 0x10;
    pub const TRACKED: u8 = 0x20;
    pub const SRC_NAT: u8 = 0x40;
    pub const DST_NAT: u8 = 0x80;
    /// Addresses were rewritten.
    pub const NAT: u8 = SRC_NAT | DST_NAT;
}
