// SPDX-License-Identifier: GPL-2.0
//! The flow key: everything about a packet that a megaflow can match.
//!
//! C counterpart: `struct sw_flow_key` in `net/openvswitch/flow.h`; the layout is our own (spec K40). It is
//! made of 64-bit words without padding, so that masking, hashing and comparing work word by word. Words 0 to 15, the
//! [`Core`], are in every key; the rest, [`Ext`] and [`Long`], only where it is not zero: see [`parts`](super::parts).
//!
//! Fields that typical megaflows match on stand together, so that their word range is short: words 4
//! and 5 are what every megaflow matches, a learning switch adds the two before them, an IPv4 five-tuple the two
//! after them.
//!
//! Some fields share words, as in C: the EtherType says what words 12 to 15 mean, and matching it exactly is what
//! matching them takes (K8, K9).

use crate::datapath::wire::be::{Be16, Be32};
use crate::rust::pod::Pod;

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

/// `key.tun_proto`: the address family of the tunnel that the packet came through, 0 for none. Values of `AF_INET`,
/// `AF_INET6`.
pub const TUN_IPV4: u8 = 2;
pub const TUN_IPV6: u8 = 10;

/// Bits of `key.tun_flags`: what netlink can say of a tunnel, numbered by us; kernels have numbers of their own.
pub mod tun_flag {
    /// There is an id.
    pub const KEY: u16 = 1;
    pub const DONT_FRAGMENT: u16 = 1 << 1;
    pub const CSUM: u16 = 1 << 2;
    pub const OAM: u16 = 1 << 3;
    /// What the options are; at most one.
    pub const GENEVE_OPT: u16 = 1 << 4;
    pub const VXLAN_OPT: u16 = 1 << 5;
    pub const ERSPAN_OPT: u16 = 1 << 6;
    pub const OPTIONS: u16 = GENEVE_OPT | VXLAN_OPT | ERSPAN_OPT;
}

/// The part of a flow key, or of the mask of one, that every key has.
///
/// IPv4 and ARP share `ipv4_src/dst` (sender and target protocol address). ICMP and ICMPv6 type and code stand in
/// `tp_src` and `tp_dst` as 16-bit values (K28). MPLS and NSH share words with the IPv6 addresses: [`Self::mpls`],
/// [`Self::nsh`].
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
pub struct Core {
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
    /// `TUN_IPV4`, `TUN_IPV6` or 0.
    pub tun_proto: u8,
    // word 7
    pub ipv4_src: [u8; 4],
    pub ipv4_dst: [u8; 4],
    // word 8
    /// `OVS_CS_F_*`
    pub ct_state: u8,
    /// IP protocol of the original direction's tuple, 0 if there is none.
    pub ct_orig_proto: u8,
    pub ct_zone: u16,
    pub ct_mark: u32,
    // words 9 to 11
    pub tun_id: [u8; 8],
    pub tun_ipv4_src: [u8; 4],
    pub tun_ipv4_dst: [u8; 4],
    pub tun_tp_src: Be16,
    pub tun_tp_dst: Be16,
    /// [`tun_flag`]
    pub tun_flags: u16,
    pub tun_tos: u8,
    pub tun_ttl: u8,
    // words 12 to 15
    pub ipv6_src: [u8; 16],
    pub ipv6_dst: [u8; 16],
}

/// Words of a [`Core`]; even.
pub const CORE_WORDS: usize = core::mem::size_of::<Core>() / 8;

// More than 16 stores for zeroing become a call of memset.
const _: () = assert!(CORE_WORDS == 16);

impl PartialEq for Core {
    /// Word by word: field by field takes three times as long.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let words = self.as_words().iter().zip(other.as_words());
        words.fold(0, |diff, (a, b)| diff | a ^ b) == 0
    }
}

impl Eq for Core {}

impl Core {
    /// The all-zero core.
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
        tun_proto: 0,
        ipv4_src: [0; 4],
        ipv4_dst: [0; 4],
        ct_state: 0,
        ct_orig_proto: 0,
        ct_zone: 0,
        ct_mark: 0,
        tun_id: [0; 8],
        tun_ipv4_src: [0; 4],
        tun_ipv4_dst: [0; 4],
        tun_tp_src: Be16::new(0),
        tun_tp_dst: Be16::new(0),
        tun_flags: 0,
        tun_tos: 0,
        tun_ttl: 0,
        ipv6_src: [0; 16],
        ipv6_dst: [0; 16],
    };

    /// The labels of an MPLS packet.
    pub fn mpls(&self) -> Mpls {
        let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, _, _, _, present] = self.ipv6_src;
        Mpls {
            labels: [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]],
            present,
        }
    }

    pub fn set_mpls(&mut self, m: &Mpls) {
        let [[a0, a1, a2, a3], [b0, b1, b2, b3], [c0, c1, c2, c3]] = m.labels;
        self.ipv6_src = [
            a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, 0, 0, 0, m.present,
        ];
        self.ipv6_dst = [0; 16];
    }

    /// The service header of an NSH packet.
    pub fn nsh(&self) -> Nsh {
        let mut out = Nsh::default();
        let room = out.base.iter_mut().chain(&mut out.context);
        for (to, from) in room.zip(self.ipv6_src.iter().chain(&self.ipv6_dst)) {
            *to = *from;
        }
        out
    }

    pub fn set_nsh(&mut self, nsh: &Nsh) {
        self.ipv6_src = [0; 16];
        self.ipv6_dst = [0; 16];
        let room = self.ipv6_src.iter_mut().chain(&mut self.ipv6_dst);
        for (to, from) in room.zip(nsh.base.iter().chain(&nsh.context)) {
            *to = *from;
        }
    }
}

/// MPLS labels kept in a key, at most; packets may have more (spec K32).
pub const MPLS_LABELS: usize = 3;

/// The outermost labels of an MPLS packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mpls {
    /// Label stack entries (RFC 3032 section 2.1), outermost first.
    pub labels: [[u8; 4]; MPLS_LABELS],
    /// Bit n: there is an entry n.
    pub present: u8,
}

impl Mpls {
    /// `present` for so many labels.
    pub const fn present(labels: usize) -> u8 {
        match labels {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => 7,
        }
    }

    /// Labels that there are.
    pub fn count(&self) -> usize {
        (self.present.count_ones() as usize).min(MPLS_LABELS) // CAST: at most 8
    }
}

/// A network service header (RFC 8300), as keys have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nsh {
    /// flags, ttl, mdtype, np, then the service path header: `struct ovs_nsh_key_base`.
    pub base: [u8; 8],
    /// The context of MD type 1; zero for others.
    pub context: [u8; 16],
}

impl Nsh {
    pub fn mdtype(&self) -> u8 {
        let [_, _, mdtype, ..] = self.base;
        mdtype
    }
}

/// What few keys need, words 16 to 30.
///
/// ARP and ND share `hw_src/dst` (sha/tha, sll/tll), and both share words 19 to 22 with the original direction's
/// tuple of a tracked connection: [`Self::ct_orig_addrs`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Ext {
    // word 16
    pub ct_orig_tp_src: Be16,
    pub ct_orig_tp_dst: Be16,
    pub ipv6_exthdrs: u16,
    /// Bytes of tunnel options.
    pub tun_opts_len: u8,
    pub reserved16: u8,
    // words 17, 18
    pub ct_labels: [u8; 16],
    // words 19, 20
    pub hw_src: [u8; 6],
    pub reserved19: u16,
    pub hw_dst: [u8; 6],
    pub reserved20: u16,
    // words 21, 22
    pub nd_target: [u8; 16],
    // words 23 to 26
    pub tun_ipv6_src: [u8; 16],
    pub tun_ipv6_dst: [u8; 16],
    // words 27 to 30
    pub tun_opts: [u8; EXT_OPTS],
}

/// Bytes of tunnel options that [`Ext`] has room for.
pub const EXT_OPTS: usize = 32;
/// Bytes of tunnel options, at most (spec K15).
pub const TUN_OPTS_MAX: usize = 255;

/// Words of an [`Ext`].
pub const EXT_WORDS: usize = core::mem::size_of::<Ext>() / 8;

// With the pointer to a `Long` it fills 128 bytes.
const _: () = assert!(EXT_WORDS == 15);

impl Ext {
    /// The all-zero part.
    pub const ZERO: Self = Self {
        ct_orig_tp_src: Be16::new(0),
        ct_orig_tp_dst: Be16::new(0),
        ipv6_exthdrs: 0,
        tun_opts_len: 0,
        reserved16: 0,
        ct_labels: [0; 16],
        hw_src: [0; 6],
        reserved19: 0,
        hw_dst: [0; 6],
        reserved20: 0,
        nd_target: [0; 16],
        tun_ipv6_src: [0; 16],
        tun_ipv6_dst: [0; 16],
        tun_opts: [0; EXT_OPTS],
    };

    /// Addresses of the original direction's tuple: source and destination, each 4 bytes followed by 12 zeros, or 16.
    pub fn ct_orig_addrs(&self) -> ([u8; 16], [u8; 16]) {
        let [a0, a1, a2, a3, a4, a5] = self.hw_src;
        let [b0, b1, b2, b3, b4, b5] = self.hw_dst;
        let ([c0, c1], [d0, d1]) = (self.reserved19.to_ne_bytes(), self.reserved20.to_ne_bytes());
        (
            [
                a0, a1, a2, a3, a4, a5, c0, c1, b0, b1, b2, b3, b4, b5, d0, d1,
            ],
            self.nd_target,
        )
    }

    pub fn set_ct_orig_addrs(&mut self, src: [u8; 16], dst: [u8; 16]) {
        let [a0, a1, a2, a3, a4, a5, c0, c1, b0, b1, b2, b3, b4, b5, d0, d1] = src;
        self.hw_src = [a0, a1, a2, a3, a4, a5];
        self.hw_dst = [b0, b1, b2, b3, b4, b5];
        self.reserved19 = u16::from_ne_bytes([c0, c1]);
        self.reserved20 = u16::from_ne_bytes([d0, d1]);
        self.nd_target = dst;
    }

    /// Forgets what ARP, ND or an original direction's tuple have written.
    pub fn clear_shared(&mut self) {
        self.set_ct_orig_addrs([0; 16], [0; 16]);
    }
}

/// Tunnel options that [`Ext`] has no room for, words 31 to 58; the last byte is always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Long {
    pub tun_opts: [u8; LONG_OPTS],
}

/// Bytes of tunnel options that [`Long`] has room for.
pub const LONG_OPTS: usize = 224;
const _: () = assert!(EXT_OPTS + LONG_OPTS > TUN_OPTS_MAX);

/// Words of a [`Long`].
pub const LONG_WORDS: usize = core::mem::size_of::<Long>() / 8;

impl Long {
    pub const ZERO: Self = Self {
        tun_opts: [0; LONG_OPTS],
    };
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
        if let Ok(bytes) = b.try_into() {
            return Some(Self { len: 16, bytes }); // as all of ovs-vswitchd's: no call to copy them
        }
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
