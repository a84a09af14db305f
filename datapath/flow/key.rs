// SPDX-License-Identifier: GPL-2.0
//! The flow key: everything about a packet that a megaflow can match.
//!
//! C counterpart: `struct sw_flow_key` in `net/openvswitch/flow.h`; the layout is our own (spec K40). It is
//! an array of 64-bit words without padding, so that masking, hashing and comparing work word by word, two words
//! at a time. Fields that typical megaflows match on stand together, so that their word range is short: words 4
//! and 5 are what every megaflow matches, a learning switch adds the two before them, an IPv4 five-tuple the two
//! after them.

use crate::datapath::wire::be::{Be16, Be32};

/// `key.mac_proto` (spec K6): the packet starts at its L3 header.
pub const MAC_PROTO_NONE: u8 = 0;
/// The packet starts with an Ethernet header.
pub const MAC_PROTO_ETHERNET: u8 = 1;

/// `key.ip_frag`, values of `enum ovs_frag_type`.
pub const FRAG_NONE: u8 = 0;
pub const FRAG_FIRST: u8 = 1;
pub const FRAG_LATER: u8 = 2;

/// `key.in_port` when the packet has none (spec K1 IN_PORT; `DP_MAX_PORTS`).
pub const PORT_NONE: u16 = 0xffff;

/// Always set in `tci` when a tag is present (spec K23).
pub const VLAN_CFI: u16 = 0x1000;

/// A flow key, or the mask of one.
///
/// IPv4 and ARP share `ipv4_src/dst` (sender and target protocol address); ARP and ND share `hw_src/dst`
/// (sha/tha, sll/tll). ICMP and ICMPv6 type and code stand in `tp_src` and `tp_dst` as 16-bit values (K28).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct FlowKey {
    // word 0
    pub priority: u32,
    pub mark: u32,
    // word 1
    pub dp_hash: u32,
    pub ipv6_label: Be32,
    // word 2
    pub eth_src: [u8; 6],
    pub vlan_tpid: Be16,
    // word 3
    pub eth_dst: [u8; 6],
    pub cvlan_tpid: Be16,
    // word 4
    pub recirc_id: u32,
    pub in_port: u16,
    pub mac_proto: u8,
    pub ip_frag: u8,
    // word 5
    pub eth_type: Be16,
    pub vlan_tci: Be16,
    pub cvlan_tci: Be16,
    pub ip_proto: u8,
    pub ip_tos: u8,
    // word 6
    pub tp_src: Be16,
    pub tp_dst: Be16,
    pub tcp_flags: Be16,
    pub ip_ttl: u8,
    pub reserved6: u8,
    // word 7
    pub ipv4_src: [u8; 4],
    pub ipv4_dst: [u8; 4],
    // words 8 to 11
    pub ipv6_src: [u8; 16],
    pub ipv6_dst: [u8; 16],
    // words 12, 13
    pub hw_src: [u8; 6],
    pub ipv6_exthdrs: u16,
    pub hw_dst: [u8; 6],
    pub reserved13: u16,
    // words 14, 15
    pub nd_target: [u8; 16],
}

/// Words of a [`FlowKey`]; even.
pub const KEY_WORDS: usize = core::mem::size_of::<FlowKey>() / 8;

const _: () = assert!(KEY_WORDS == 16);

impl FlowKey {
    /// The all-zero key.
    pub const ZERO: Self = Self {
        priority: 0,
        mark: 0,
        dp_hash: 0,
        ipv6_label: Be32::new(0),
        eth_src: [0; 6],
        vlan_tpid: Be16::new(0),
        eth_dst: [0; 6],
        cvlan_tpid: Be16::new(0),
        recirc_id: 0,
        in_port: 0,
        mac_proto: 0,
        ip_frag: 0,
        eth_type: Be16::new(0),
        vlan_tci: Be16::new(0),
        cvlan_tci: Be16::new(0),
        ip_proto: 0,
        ip_tos: 0,
        tp_src: Be16::new(0),
        tp_dst: Be16::new(0),
        tcp_flags: Be16::new(0),
        ip_ttl: 0,
        reserved6: 0,
        ipv4_src: [0; 4],
        ipv4_dst: [0; 4],
        ipv6_src: [0; 16],
        ipv6_dst: [0; 16],
        hw_src: [0; 6],
        ipv6_exthdrs: 0,
        hw_dst: [0; 6],
        reserved13: 0,
        nd_target: [0; 16],
    };
}

/// What EXECUTE's key says about a packet beyond its bytes (spec P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMetadata {
    pub priority: u32,
    pub mark: u32,
    pub dp_hash: u32,
    pub recirc_id: u32,
    /// `PORT_NONE` if not given.
    pub in_port: u16,
    pub mac_proto: u8,
    /// Type of an L3 packet, 0 for L2.
    pub eth_type: Be16,
}

/// A flow's name given by userspace, 1 to 16 bytes (spec F2, K37). Unused bytes are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ufid {
    pub len: u8,
    pub bytes: [u8; 16],
}

impl Ufid {
    /// From 1 to 16 bytes, otherwise `None`.
    pub fn new(b: &[u8]) -> Option<Self> {
        let len = u8::try_from(b.len()).ok().filter(|l| *l > 0)?;
        let mut bytes = [0; 16];
        bytes.get_mut(..b.len())?.copy_from_slice(b);
        Some(Self { len, bytes })
    }

    /// The bytes that userspace gave.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}
