// SPDX-License-Identifier: GPL-2.0
//! Flow keys and masks as netlink attributes (spec 2.1, 2.3).
//!
//! Tunnels, MPLS, NSH and connection tracking are refused wherever they appear, but for a tunnel mask that matches
//! nothing.
//!
//! C counterpart: `net/openvswitch/flow_netlink.c`, up to `ovs_nla_put_key()`.

use crate::datapath::abi::key_attr as ka;
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::key::{
    Core, Ufid, FRAG_LATER, MAC_PROTO_ETHERNET, MAC_PROTO_NONE, PORT_NONE, VLAN_CFI,
};
use crate::datapath::flow::mask::Mask;
use crate::datapath::flow::parts::{FlowKey, Key, KeyBuf, KeyRef, Parts};
use crate::datapath::netlink::attr::{align, Attr, HDRLEN};
use crate::datapath::netlink::writer::{Mark, Put, Writer};
use crate::datapath::wire::be::{Be16, Be32};
use crate::datapath::wire::ether::{self, ty};
use crate::datapath::wire::icmp::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};
use crate::datapath::wire::ipv4::proto;
use crate::datapath::wire::{be16, part};
use kernel::error::code::EINVAL;
use kernel::str::CStr;

/// A flow's unmasked key and its mask.
#[derive(Debug)]
pub struct FlowMatch {
    pub key: KeyBuf,
    pub mask: Mask,
}

/// The match of a FLOW request. Without a mask, everything that the key mentions is matched exactly (spec K10).
pub fn parse_match<'a>(key_attr: Attr<'a>, mask_attr: Option<Attr<'a>>) -> NlResult<FlowMatch> {
    let mut key = KeyBuf::new();
    let mut parser = Parser::new();
    let key_set = parser.run(key_attr, &Core::ZERO, &mut key)?;
    check_complete(key_attr, &key, key_set)?;

    // A packet without tags differs from every packet with tags (spec K5).
    let exact = Be16::new(0xffff);
    let mut mask = KeyBuf::new();
    mask.vlan_tci = exact;
    mask.cvlan_tci = exact;
    let (attr, image) = match mask_attr {
        Some(attr) => (attr, Image::Mask),
        None => (key_attr, Image::Exact),
    };
    parser.image = image;
    parser.set = 0;
    let mask_set = parser.run(attr, &key, &mut mask)?;
    if mask_set & !masks_allowed(&key, key_set, &mask) != 0 {
        return Err(at(
            c"mask of a field that the key or the rest of the mask rules out",
            attr,
        ));
    }
    Ok(FlowMatch {
        key,
        mask: Mask::new(mask),
    })
}

/// A key alone, by which GET, SET and DEL find a flow.
pub fn parse_key(key_attr: Attr<'_>) -> NlResult<KeyBuf> {
    let mut key = KeyBuf::new();
    let set = Parser::new().run(key_attr, &Core::ZERO, &mut key)?;
    check_complete(key_attr, &key, set)?;
    Ok(key)
}

/// The metadata of EXECUTE's key into the all-zero `key` (spec P3), and the EtherType if it stands for an L3 packet;
/// other attributes need only be well-formed.
pub fn parse_metadata(attr: Attr<'_>, key: &mut FlowKey) -> NlResult {
    let mut parser = Parser::new();
    parser.scan(attr)?;
    parser.metadata(key)
}

/// A UFID of 1 to 16 bytes; another length counts as no UFID (spec F2).
pub fn parse_ufid(attr: Option<Attr<'_>>) -> Option<Ufid> {
    Ufid::new(attr?.payload())
}

fn at(msg: &'static CStr, attr: Attr<'_>) -> NlError {
    NlError::at(EINVAL, msg, attr.whole())
}

/// What the attributes being read describe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Image {
    Key,
    /// All-zero attributes count as absent (spec K3).
    Mask,
    /// The mask that a key without a mask stands for: the key's attributes with every bit of their payload set.
    Exact,
}

/// What an attribute's payload must be.
enum Kind {
    Len(usize),
    Nested,
    /// In a mask, a tunnel of which nothing is matched; ovs-vswitchd sends one with every mask.
    NoTunnel,
    Refused,
}

/// `None`: no such attribute.
fn kind(ty: u16) -> Option<Kind> {
    Some(match ty {
        0 => Kind::Len(0),
        ka::ENCAP => Kind::Nested,
        ka::VLAN | ka::ETHERTYPE | ka::ICMP | ka::ICMPV6 | ka::TCP_FLAGS | ka::IPV6_EXTHDRS => {
            Kind::Len(2)
        }
        ka::PRIORITY | ka::IN_PORT | ka::SKB_MARK | ka::DP_HASH | ka::RECIRC_ID => Kind::Len(4),
        ka::TCP | ka::UDP | ka::SCTP => Kind::Len(4),
        ka::ETHERNET | ka::IPV4 => Kind::Len(12),
        ka::ARP => Kind::Len(24),
        ka::ND => Kind::Len(28),
        ka::IPV6 => Kind::Len(40),
        ka::TUNNEL => Kind::NoTunnel,
        ka::MPLS
        | ka::CT_STATE
        | ka::CT_ZONE
        | ka::CT_MARK
        | ka::CT_LABELS
        | ka::CT_ORIG_TUPLE_IPV4
        | ka::CT_ORIG_TUPLE_IPV6
        | ka::NSH
        | ka::PACKET_TYPE
        | ka::ND_EXTENSIONS
        | ka::TUNNEL_INFO => Kind::Refused,
        _ => return None,
    })
}

/// A tunnel mask must be well-formed (spec 2.2) and match no bit: the switch does not know tunnels yet.
fn check_no_tunnel(mask: Attr<'_>) -> NlResult {
    if mask.payload().iter().all(|b| *b == 0) {
        return Ok(());
    }
    let mut attrs = mask.nested();
    for attr in attrs.by_ref() {
        let len_fits = match attr.ty() {
            // ID
            0 => attr.len() == 8,
            // IPV4_SRC, IPV4_DST
            1 | 2 => attr.len() == 4,
            // TOS, TTL
            3 | 4 => attr.len() == 1,
            // DONT_FRAGMENT, CSUM, OAM, IPV4_INFO_BRIDGE
            5..=7 | 16 => attr.is_empty(),
            // TP_SRC, TP_DST
            9 | 10 => attr.len() == 2,
            // IPV6_SRC, IPV6_DST
            12 | 13 => attr.len() == 16,
            // GENEVE_OPTS, VXLAN_OPTS, PAD, ERSPAN_OPTS
            8 | 11 | 14 | 15 => true,
            _ => return Err(at(c"unknown tunnel attribute", attr)),
        };
        if !len_fits {
            return Err(at(c"tunnel attribute of wrong length", attr));
        }
        let is_flag = matches!(attr.ty(), 5..=7 | 16);
        if is_flag || attr.payload().iter().any(|b| *b != 0) {
            return Err(at(c"tunnels cannot be matched", attr));
        }
    }
    if !attrs.is_exhausted() {
        return Err(at(c"trailing bytes in tunnel mask", mask));
    }
    Ok(())
}

const fn bit(ty: u16) -> u64 {
    1 << ty
}

/// The attributes of a key or mask, sorted by type, and which of them are still unread.
struct Parser<'a> {
    image: Image,
    /// Bit for each attribute that is present and unread. 64 bits, for type 32 (spec K2).
    set: u64,
    attrs: [Option<Attr<'a>>; ka::MAX + 1],
}

impl<'a> Parser<'a> {
    fn new() -> Self {
        Self {
            image: Image::Key,
            set: 0,
            attrs: [None; ka::MAX + 1],
        }
    }

    fn is_mask(&self) -> bool {
        self.image != Image::Key
    }

    /// Reads all of `nest` into `out`. `key` is the key if a mask is read. Returns the attributes that there were
    /// besides the tags.
    fn run(&mut self, nest: Attr<'a>, key: &Core, out: &mut KeyBuf) -> NlResult<u64> {
        self.scan(nest)?;
        self.tags(key, out)?;
        let set = self.set;
        self.metadata(out)?;
        self.link(nest, out)?;
        self.network(out)?;
        self.transport(out)?;
        if self.set != 0 {
            return Err(at(c"key attribute in the wrong place", nest));
        }
        Ok(set)
    }

    /// Sorts the attributes in `nest` (spec K1).
    fn scan(&mut self, nest: Attr<'a>) -> NlResult {
        let mut attrs = nest.nested();
        for attr in attrs.by_ref() {
            let len_fits = match kind(attr.ty()) {
                None => return Err(at(c"unknown key attribute", attr)),
                Some(Kind::Refused) => return Err(at(c"key attribute not supported", attr)),
                Some(Kind::Len(len)) => attr.len() == len,
                Some(Kind::Nested) => true,
                Some(Kind::NoTunnel) if self.image == Image::Mask => {
                    check_no_tunnel(attr)?;
                    true
                }
                Some(Kind::NoTunnel) => return Err(at(c"tunnel keys are not supported", attr)),
            };
            if self.set & bit(attr.ty()) != 0 {
                return Err(at(c"duplicate key attribute", attr));
            }
            if !len_fits {
                return Err(at(c"key attribute of wrong length", attr));
            }
            let counts = match self.image {
                Image::Key => true,
                Image::Mask => attr.payload().iter().any(|b| *b != 0),
                Image::Exact => !attr.is_empty(),
            };
            if let (true, Some(slot)) = (counts, self.attrs.get_mut(usize::from(attr.ty()))) {
                self.set |= bit(attr.ty());
                *slot = Some(attr);
            }
        }
        if !attrs.is_exhausted() {
            return Err(at(c"trailing bytes in key", nest));
        }
        Ok(())
    }

    fn has(&self, ty: u16) -> bool {
        self.set & bit(ty) != 0
    }

    fn attr(&self, ty: u16) -> Option<Attr<'a>> {
        self.attrs.get(usize::from(ty)).copied().flatten()
    }

    /// The payload of an attribute, whether or not it was read before.
    fn value<const N: usize>(&self, ty: u16) -> Option<[u8; N]> {
        let bytes = self.attr(ty)?.bytes()?;
        Some(if self.image == Image::Exact {
            [0xff; N]
        } else {
            bytes
        })
    }

    /// The payload of an attribute that is unread, which it no longer is.
    fn take<const N: usize>(&mut self, ty: u16) -> Option<[u8; N]> {
        let value = self.has(ty).then(|| self.value(ty)).flatten();
        self.set &= !bit(ty);
        value
    }

    /// A refusal that points at attribute `ty` or, where it is missing, at the encapsulation that lacks it.
    fn error(&self, msg: &'static CStr, ty: u16) -> NlError {
        let attr = self.attr(ty).or_else(|| self.attr(ka::ENCAP));
        attr.map_or_else(|| NlError::new(EINVAL, msg), |attr| at(msg, attr))
    }

    /// Up to two levels of tags, each replaced by what it encapsulates (spec K4, K5).
    fn tags(&mut self, key: &Core, out: &mut Core) -> NlResult {
        if let Some((tpid, tci)) = self.tag(key.vlan_tci)? {
            (out.vlan_tpid, out.vlan_tci) = (tpid, tci);
        }
        let outer = if self.is_mask() {
            key.vlan_tci
        } else {
            out.vlan_tci
        };
        if outer.get() & VLAN_CFI != 0 {
            if let Some((tpid, tci)) = self.tag(key.cvlan_tci)? {
                (out.cvlan_tpid, out.cvlan_tci) = (tpid, tci);
            }
        }
        Ok(())
    }

    /// One level of tags, if there is one: its TPID and TCI. `key_tci` is the key's if a mask is read.
    fn tag(&mut self, key_tci: Be16) -> NlResult<Option<(Be16, Be16)>> {
        // Present or not: as in C, a level without a mask of its own takes the outer level's, and that one the key's.
        let ty = self
            .value(ka::ETHERTYPE)
            .map_or(Be16::new(0), Be16::from_bytes);
        let tci = self.value(ka::VLAN).map_or(Be16::new(0), Be16::from_bytes);
        let has_cfi = tci.get() & VLAN_CFI != 0;
        if self.is_mask() {
            if !self.has(ka::ENCAP) {
                return Ok(None);
            }
            if key_tci.get() & VLAN_CFI == 0 {
                return Err(self.error(c"mask of an encapsulation that the key lacks", ka::ENCAP));
            }
            if ty.get() != 0xffff {
                return Err(self.error(c"TPID must be matched exactly", ka::ETHERTYPE));
            }
            if !has_cfi {
                return Err(self.error(c"TCI mask must include the CFI bit", ka::VLAN));
            }
        } else {
            if !self.has(ka::ETHERNET) || !self.has(ka::ETHERTYPE) || !ether::is_vlan(ty) {
                return Ok(None);
            }
            if !self.has(ka::VLAN) || !self.has(ka::ENCAP) {
                return Err(self.error(c"TPID without VLAN and ENCAP", ka::ETHERTYPE));
            }
            if !has_cfi && tci.get() != 0 {
                return Err(self.error(c"TCI without the CFI bit", ka::VLAN));
            }
            if !has_cfi && self.attr(ka::ENCAP).is_some_and(|encap| !encap.is_empty()) {
                return Err(self.error(c"truncated tag with something inside", ka::ENCAP));
            }
        }
        self.set &= !(bit(ka::ENCAP) | bit(ka::VLAN) | bit(ka::ETHERTYPE));
        if let Some(encap) = self.attr(ka::ENCAP) {
            self.scan(encap)?;
        }
        Ok(Some((ty, tci)))
    }

    /// What is not in the packet's bytes (spec K6), and the type of L3 packets.
    fn metadata<X: Parts>(&mut self, out: &mut Key<X>) -> NlResult {
        // Nothing to take from it, as `scan` made sure.
        self.set &= !bit(ka::TUNNEL);
        let word = |p: &mut Self, ty| p.take(ty).map_or(0, u32::from_ne_bytes);
        out.dp_hash = word(self, ka::DP_HASH);
        out.recirc_id = word(self, ka::RECIRC_ID);
        out.priority = word(self, ka::PRIORITY);
        out.mark = word(self, ka::SKB_MARK);
        if let Some(port) = self.take(ka::IN_PORT) {
            out.in_port = match u16::try_from(u32::from_ne_bytes(port)) {
                _ if self.is_mask() => 0xffff,
                Ok(port) if port != PORT_NONE => port,
                _ => return Err(self.error(c"port number out of range", ka::IN_PORT)),
            };
        } else if !self.is_mask() {
            out.in_port = PORT_NONE;
        }
        let is_l3 = !self.has(ka::ETHERNET) && self.has(ka::ETHERTYPE);
        out.mac_proto = match (self.is_mask(), is_l3) {
            (true, _) => 0xff,
            (false, true) => MAC_PROTO_NONE,
            (false, false) => MAC_PROTO_ETHERNET,
        };
        if is_l3 {
            self.ether_type(out)?;
        }
        Ok(())
    }

    fn ether_type(&mut self, out: &mut Core) -> NlResult {
        let ty = self
            .take(ka::ETHERTYPE)
            .map_or(Be16::new(0), Be16::from_bytes);
        if self.is_mask() {
            out.eth_type = Be16::new(0xffff);
        } else if ty.get() >= ty::MIN {
            out.eth_type = ty;
        } else {
            return Err(self.error(c"EtherType below 0x600", ka::ETHERTYPE));
        }
        Ok(())
    }

    fn link(&mut self, nest: Attr<'a>, out: &mut Core) -> NlResult {
        if let Some(eth) = self.take::<12>(ka::ETHERNET) {
            out.eth_src = part::<0, 6, 12>(&eth);
            out.eth_dst = part::<6, 6, 12>(&eth);
            if self.has(ka::VLAN) {
                return Err(self.error(c"VLAN without its TPID", ka::VLAN));
            }
            if self.has(ka::ETHERTYPE) {
                self.ether_type(out)?;
            } else if !self.is_mask() {
                out.eth_type = Be16::new(ty::IEEE_802_2);
            }
        } else if !self.is_mask() && out.eth_type.get() == 0 {
            return Err(at(c"either ETHERNET or ETHERTYPE is required", nest));
        }
        Ok(())
    }

    fn network(&mut self, out: &mut KeyBuf) -> NlResult {
        let is_mask = self.is_mask();
        let bad_frag = |frag| !is_mask && frag > FRAG_LATER;
        if let Some(ip) = self.take::<12>(ka::IPV4) {
            out.ipv4_src = part::<0, 4, 12>(&ip);
            out.ipv4_dst = part::<4, 4, 12>(&ip);
            [out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag] = part::<8, 4, 12>(&ip);
            if bad_frag(out.ip_frag) {
                return Err(self.error(c"IPv4 fragment type out of range", ka::IPV4));
            }
        }
        if let Some(ip) = self.take::<40>(ka::IPV6) {
            out.ipv6_src = part::<0, 16, 40>(&ip);
            out.ipv6_dst = part::<16, 16, 40>(&ip);
            out.ipv6_label = Be32::from_bytes(part::<32, 4, 40>(&ip));
            [out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag] = part::<36, 4, 40>(&ip);
            if bad_frag(out.ip_frag) {
                return Err(self.error(c"IPv6 fragment type out of range", ka::IPV6));
            }
            if !is_mask && out.ipv6_label.get() > 0x000f_ffff {
                return Err(self.error(c"IPv6 flow label has more than 20 bits", ka::IPV6));
            }
        }
        if let Some(bits) = self.take(ka::IPV6_EXTHDRS) {
            out.try_ext_mut()?.ipv6_exthdrs = u16::from_ne_bytes(bits);
        }
        if let Some(arp) = self.take::<24>(ka::ARP) {
            out.ipv4_src = part::<0, 4, 24>(&arp);
            out.ipv4_dst = part::<4, 4, 24>(&arp);
            let [high, low] = part::<8, 2, 24>(&arp);
            if !is_mask && high != 0 {
                return Err(self.error(c"ARP opcode above 255", ka::ARP));
            }
            out.ip_proto = low;
            let ext = out.try_ext_mut()?;
            ext.hw_src = part::<10, 6, 24>(&arp);
            ext.hw_dst = part::<16, 6, 24>(&arp);
        }
        Ok(())
    }

    fn transport(&mut self, out: &mut KeyBuf) -> NlResult {
        if let Some(ports) = self.take::<4>(ka::TCP) {
            (out.tp_src, out.tp_dst) = (be16::<0, 4>(&ports), be16::<2, 4>(&ports));
        }
        if let Some(flags) = self.take(ka::TCP_FLAGS) {
            out.tcp_flags = Be16::from_bytes(flags);
        }
        for ty in [ka::UDP, ka::SCTP] {
            if let Some(ports) = self.take::<4>(ty) {
                (out.tp_src, out.tp_dst) = (be16::<0, 4>(&ports), be16::<2, 4>(&ports));
            }
        }
        for ty in [ka::ICMP, ka::ICMPV6] {
            if let Some([ty, code]) = self.take(ty) {
                (out.tp_src, out.tp_dst) = (Be16::new(ty.into()), Be16::new(code.into()));
            }
        }
        if let Some(nd) = self.take::<28>(ka::ND) {
            let ext = out.try_ext_mut()?;
            ext.nd_target = part::<0, 16, 28>(&nd);
            ext.hw_src = part::<16, 6, 28>(&nd);
            ext.hw_dst = part::<22, 6, 28>(&nd);
        }
        Ok(())
    }
}

/// Attributes that describe a packet of this key beyond Ethernet: (network, transport, ND).
fn layers(key: &Core) -> (u64, u64, u64) {
    let network = match key.eth_type.get() {
        ty::ARP | ty::RARP => bit(ka::ARP),
        ty::IPV4 => bit(ka::IPV4),
        ty::IPV6 => bit(ka::IPV6),
        // Never there, so keys of these types are always incomplete.
        ty::MPLS_UC | ty::MPLS_MC => bit(ka::MPLS),
        ty::NSH => bit(ka::NSH),
        _ => 0,
    };
    let v6 = network == bit(ka::IPV6);
    if !(v6 || network == bit(ka::IPV4)) || key.ip_frag == FRAG_LATER {
        return (network, 0, 0);
    }
    let transport = match key.ip_proto {
        proto::TCP => bit(ka::TCP) | bit(ka::TCP_FLAGS),
        proto::UDP => bit(ka::UDP),
        proto::SCTP => bit(ka::SCTP),
        proto::ICMP if !v6 => bit(ka::ICMP),
        proto::ICMPV6 if v6 => bit(ka::ICMPV6),
        _ => 0,
    };
    let nd = if transport == bit(ka::ICMPV6) && is_nd(key) {
        bit(ka::ND)
    } else {
        0
    };
    (network, transport, nd)
}

/// True if the ICMPv6 type is one of neighbour discovery's, whatever the code.
fn is_nd(key: &Core) -> bool {
    let [nbr_sol, nbr_adv] = [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT].map(u16::from);
    key.tp_src.get() == nbr_sol || key.tp_src.get() == nbr_adv
}

/// A key must describe every layer that its lower layers announce (spec K8).
fn check_complete(nest: Attr<'_>, key: &Core, set: u64) -> NlResult {
    let (network, transport, nd) = layers(key);
    let msg = match (network | transport | nd) & !set {
        0 => return Ok(()),
        missing if missing & (bit(ka::MPLS) | bit(ka::NSH)) != 0 => c"EtherType not supported",
        missing if missing & network != 0 => c"key lacks its network layer",
        missing if missing & transport != 0 => c"key lacks its transport layer",
        _ => c"key lacks ND",
    };
    Err(at(msg, nest))
}

/// Masks of upper layers are allowed where the key has that layer and the mask fixes the field that says so; others
/// where the key has the attribute (spec K9).
fn masks_allowed(key: &Core, key_set: u64, mask: &Core) -> u64 {
    const UPPER: u64 = bit(ka::IPV4)
        | bit(ka::IPV6)
        | bit(ka::ARP)
        | bit(ka::TCP)
        | bit(ka::TCP_FLAGS)
        | bit(ka::UDP)
        | bit(ka::SCTP)
        | bit(ka::ICMP)
        | bit(ka::ICMPV6)
        | bit(ka::ND);
    let (network, transport, nd) = layers(key);
    let mut allowed = key_set & !UPPER | bit(ka::IN_PORT) | bit(ka::ETHERTYPE) | bit(ka::TUNNEL);
    if mask.eth_type.get() == 0xffff {
        allowed |= network;
    }
    if mask.ip_proto == 0xff {
        allowed |= transport;
    }
    if mask.tp_src.get() == 0xff {
        allowed |= nd;
    }
    allowed
}

/// Bytes of an attribute of `len` payload bytes with its padding.
const fn total(len: usize) -> usize {
    HDRLEN + align(len)
}

/// Most bytes that [`put_key`] writes: the nest, metadata, a mask's empty tunnel, Ethernet, two tags, and the longest
/// upper layers, which are those of neighbour discovery.
pub const KEY_ATTRS_MAX: usize = total(0)
    + NO_TUNNEL
    + 5 * total(4)
    + total(12)
    + 2 * (2 * total(2) + total(0))
    + total(2)
    + UPPER_MAX;
const NO_TUNNEL: usize = total(0) + total(1);
const UPPER_MAX: usize = total(40) + total(2) + total(2) + total(28);

/// Appends a key or, with `mask`, the mask of a flow with this key (spec 2.3). What is written follows from the key,
/// the values come from the mask if there is one (K18).
pub fn put_key(w: &mut Writer<'_>, ty: u16, key: KeyRef<'_>, mask: Option<KeyRef<'_>>) -> Put {
    let nest = w.nest(ty)?;
    put_metadata(w, key, mask)?;
    if key.mac_proto == MAC_PROTO_ETHERNET {
        put_ethernet(w, key, mask)?;
    } else {
        put_from_ether_type(w, key, mask)?;
    }
    w.end_nest(nest)
}

fn put_metadata(w: &mut Writer<'_>, key: KeyRef<'_>, mask: Option<KeyRef<'_>>) -> Put {
    let out = mask.unwrap_or(key);
    w.put_u32(ka::RECIRC_ID, out.recirc_id)?;
    w.put_u32(ka::DP_HASH, out.dp_hash)?;
    w.put_u32(ka::PRIORITY, out.priority)?;
    if mask.is_some() {
        // Every mask says what it matches of a tunnel, and the TTL always (K16).
        let tunnel = w.nest(ka::TUNNEL)?;
        w.put_u8(crate::datapath::abi::tunnel_attr::TTL, 0)?;
        w.end_nest(tunnel)?;
    }
    match mask {
        None if key.in_port == PORT_NONE => {}
        None => w.put_u32(ka::IN_PORT, key.in_port.into())?,
        Some(m) if key.in_port == PORT_NONE && m.in_port != 0xffff => {}
        Some(m) => w.put_u32(ka::IN_PORT, 0xffff_0000 | u32::from(m.in_port))?,
    }
    w.put_u32(ka::SKB_MARK, out.mark)
}

fn put_ethernet(w: &mut Writer<'_>, key: KeyRef<'_>, mask: Option<KeyRef<'_>>) -> Put {
    let out = mask.unwrap_or(key);
    let eth = w.reserve_array::<12>(ka::ETHERNET)?;
    let [s0, s1, s2, s3, s4, s5] = out.eth_src;
    let [d0, d1, d2, d3, d4, d5] = out.eth_dst;
    *eth = [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5];

    // A type that is a TPID belongs to a tag that was cut short or is the third.
    let cut_tag = ether::is_vlan(key.eth_type);
    let zero = Be16::new(0);
    if key.vlan_tci == zero && !cut_tag {
        return put_from_ether_type(w, key, mask);
    }
    let encap = put_tag(w, out.vlan_tpid, out.vlan_tci, mask.is_some())?;
    if key.vlan_tci != zero {
        if key.cvlan_tci == zero && !cut_tag {
            put_from_ether_type(w, key, mask)?;
        } else {
            let inner = put_tag(w, out.cvlan_tpid, out.cvlan_tci, mask.is_some())?;
            if key.cvlan_tci != zero {
                put_from_ether_type(w, key, mask)?;
            }
            w.end_nest(inner)?;
        }
    }
    w.end_nest(encap)
}

/// TPID and TCI, and the start of what they encapsulate.
fn put_tag(w: &mut Writer<'_>, tpid: Be16, tci: Be16, is_mask: bool) -> Put<Mark> {
    let tpid = if is_mask { Be16::new(0xffff) } else { tpid };
    w.put(ka::ETHERTYPE, &tpid.to_bytes())?;
    w.put(ka::VLAN, &tci.to_bytes())?;
    w.nest(ka::ENCAP)
}

fn put_from_ether_type(w: &mut Writer<'_>, key: KeyRef<'_>, mask: Option<KeyRef<'_>>) -> Put {
    let out = mask.unwrap_or(key);
    if key.mac_proto == MAC_PROTO_ETHERNET && key.eth_type.get() == ty::IEEE_802_2 {
        // No type is how a key says 802.2; a mask says whether it is matched.
        return match mask {
            Some(m) if m.eth_type.get() != 0 => w.put(ka::ETHERTYPE, &m.eth_type.to_bytes()),
            _ => Ok(()),
        };
    }
    w.put(ka::ETHERTYPE, &out.eth_type.to_bytes())?;
    match key.eth_type.get() {
        ty::IPV4 => {
            let [s0, s1, s2, s3] = out.ipv4_src;
            let [d0, d1, d2, d3] = out.ipv4_dst;
            let rest = [out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag];
            let [proto, tos, ttl, frag] = rest;
            *w.reserve_array::<12>(ka::IPV4)? =
                [s0, s1, s2, s3, d0, d1, d2, d3, proto, tos, ttl, frag];
            put_transport(w, &key, out)
        }
        ty::IPV6 => {
            let ip = w.reserve(ka::IPV6, 40)?;
            fill(
                ip,
                &[&out.ipv6_src, &out.ipv6_dst, &out.ipv6_label.to_bytes()],
                0,
            );
            fill(
                ip,
                &[&[out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag]],
                36,
            );
            w.put_u16(ka::IPV6_EXTHDRS, out.ext.ipv6_exthdrs)?;
            put_transport(w, &key, out)
        }
        ty::ARP | ty::RARP => {
            let arp = w.reserve(ka::ARP, 24)?;
            let op = Be16::new(out.ip_proto.into()).to_bytes();
            fill(
                arp,
                &[
                    &out.ipv4_src,
                    &out.ipv4_dst,
                    &op,
                    &out.ext.hw_src,
                    &out.ext.hw_dst,
                    &[0; 2],
                ],
                0,
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

fn put_transport(w: &mut Writer<'_>, key: &Core, out: KeyRef<'_>) -> Put {
    let ([s0, s1], [d0, d1]) = (out.tp_src.to_bytes(), out.tp_dst.to_bytes());
    let ports = [s0, s1, d0, d1];
    // Type and code are the low bytes of the ports.
    let type_code = [s1, d1];
    let (_, transport, nd) = layers(key);
    if transport & bit(ka::TCP) != 0 {
        w.put(ka::TCP, &ports)?;
        w.put(ka::TCP_FLAGS, &out.tcp_flags.to_bytes())?;
    }
    for ty in [ka::UDP, ka::SCTP] {
        if transport & bit(ty) != 0 {
            w.put(ty, &ports)?;
        }
    }
    for ty in [ka::ICMP, ka::ICMPV6] {
        if transport & bit(ty) != 0 {
            w.put(ty, &type_code)?;
        }
    }
    if nd != 0 {
        fill(
            w.reserve(ka::ND, 28)?,
            &[&out.ext.nd_target, &out.ext.hw_src, &out.ext.hw_dst],
            0,
        );
    }
    Ok(())
}

/// Copies `parts` one after the other to `dst` from `off` on.
fn fill(dst: &mut [u8], parts: &[&[u8]], mut off: usize) {
    for part in parts {
        let end = off.wrapping_add(part.len());
        if let Some(d) = dst.get_mut(off..end) {
            d.copy_from_slice(part);
        }
        off = end;
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
