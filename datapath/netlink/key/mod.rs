// SPDX-License-Identifier: GPL-2.0
//! Flow keys and masks as netlink attributes (spec 2.1, 2.3).
//!
//! One module for each layer, with both directions. A [`Parser`] sorts the attributes, then each layer takes its own;
//! what nobody has taken stood in the wrong place.
//!
//! C counterpart: `net/openvswitch/flow_netlink.c`, up to `ovs_nla_put_key()`.

mod conntrack;
mod link;
mod metadata;
mod mpls;
mod network;
pub mod nsh;
mod transport;
pub mod tunnel;
mod usual;

use crate::datapath::abi::key_attr as ka;
use crate::datapath::env::{CtFields, Net};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::key::{Core, Ext, Long, Ufid, FRAG_LATER};
use crate::datapath::flow::mask::Mask;
use crate::datapath::flow::parts::{FlowKey, KeyBuf, KeyRef};
use crate::datapath::netlink::attr::{align, Attr, HDRLEN};
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::icmp::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};
use crate::datapath::wire::ipv4::proto;
use kernel::error::code::EINVAL;
use kernel::str::CStr;

/// A flow's unmasked key and its mask. Too large to be moved: filled where they stay.
#[derive(Debug)]
pub struct FlowMatch {
    pub key: KeyBuf,
    pub mask: Mask,
}

impl FlowMatch {
    /// What [`parse_match`] begins with.
    #[inline(always)]
    pub fn empty() -> Self {
        Self {
            key: KeyBuf::new(),
            mask: Mask::empty(),
        }
    }
}

/// The match of a FLOW request, into an all-zero `out`. Without a mask, everything that the key mentions is matched
/// exactly (spec K10).
pub fn parse_match<'a>(
    net: &Net,
    key_attr: Attr<'a>,
    mask_attr: Option<Attr<'a>>,
    out: &mut FlowMatch,
) -> NlResult {
    let (key, mask) = (&mut out.key, &mut out.mask.key);
    let mut parser = Parser::new(net);
    let key_set = parser.run(key_attr, KeyRef::ZERO, key)?;
    check_complete(key_attr, key, key_set)?;

    // A packet without tags differs from every packet with tags (spec K5).
    let exact = Be16::new(0xffff);
    mask.vlan_tci = exact;
    mask.cvlan_tci = exact;
    let (attr, image) = match mask_attr {
        Some(attr) => (attr, Image::Mask),
        None => (key_attr, Image::Exact),
    };
    if image == Image::Exact {
        tunnel::match_all(key.as_ref(), mask)?;
    }
    parser.image = image;
    parser.set = 0;
    let mask_set = parser.run(attr, key.as_ref(), mask)?;
    if mask_set & !masks_allowed(key, key_set, mask) != 0 {
        return Err(at(
            c"mask of a field that the key or the rest of the mask rules out",
            attr,
        ));
    }
    out.mask.measure();
    Ok(())
}

/// A key alone, by which GET, SET and DEL find a flow.
pub fn parse_key(net: &Net, key_attr: Attr<'_>) -> NlResult<KeyBuf> {
    let mut key = KeyBuf::new();
    let set = Parser::new(net).run(key_attr, KeyRef::ZERO, &mut key)?;
    check_complete(key_attr, &key, set)?;
    Ok(key)
}

/// The metadata of EXECUTE's key into the all-zero `key` (spec P3), and the EtherType if it stands for an L3 packet;
/// other attributes need only be well-formed. Returns what has to be asked of the packet, too.
pub fn parse_metadata(net: &Net, attr: Attr<'_>, key: &mut FlowKey) -> NlResult<OrigTuple> {
    let mut parser = Parser::new(net);
    parser.scan(attr)?;
    let tuple = OrigTuple {
        v4: parser.has(ka::CT_ORIG_TUPLE_IPV4),
        v6: parser.has(ka::CT_ORIG_TUPLE_IPV6),
    };
    parser.metadata(KeyRef::ZERO, key)?;
    Ok(tuple)
}

/// The original direction's tuples that EXECUTE's key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrigTuple {
    v4: bool,
    v6: bool,
}

impl OrigTuple {
    /// A packet has the tuple of its own family, and neighbour discovery has none (spec P3). `key` is the packet's.
    pub fn check(self, key: &Core) -> NlResult {
        let is = |ty| key.eth_type.get() == ty;
        // Here, unlike in keys, it is no neighbour discovery unless the code is 0.
        let nd = key.ip_proto == proto::ICMPV6 && is_nd(key) && key.tp_dst.get() == 0;
        if self.v4 && !is(ty::IPV4) || self.v6 && (!is(ty::IPV6) || nd) {
            return Err(NlError::new(
                EINVAL,
                c"conntrack tuple of another protocol than the packet's",
            ));
        }
        Ok(())
    }
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

impl Image {
    fn is_mask(self) -> bool {
        self != Self::Key
    }

    /// The payload of an attribute.
    fn value<const N: usize>(self, attr: &Attr<'_>) -> Option<[u8; N]> {
        let bytes = attr.bytes()?;
        Some(if self == Self::Exact {
            [0xff; N]
        } else {
            bytes
        })
    }
}

/// What an attribute's payload must be.
#[derive(Clone, Copy)]
enum Kind {
    Len(u8),
    /// Nested, or of different lengths.
    Any,
    Refused,
    /// No such attribute.
    Unknown,
}

/// [`kind`] of every type: a load instead of comparisons.
static KINDS: [Kind; ka::MAX + 1] = {
    let mut kinds = [Kind::Unknown; ka::MAX + 1];
    let mut ty = 0;
    while ty < kinds.len() {
        kinds[ty] = kind(ty as u16); // CAST: a type
        ty += 1;
    }
    kinds
};

const fn kind(ty: u16) -> Kind {
    match ty {
        0 => Kind::Len(0),
        ka::ENCAP | ka::TUNNEL | ka::MPLS | ka::NSH => Kind::Any,
        ka::VLAN | ka::ETHERTYPE | ka::ICMP | ka::ICMPV6 | ka::TCP_FLAGS => Kind::Len(2),
        ka::IPV6_EXTHDRS | ka::CT_ZONE => Kind::Len(2),
        ka::PRIORITY | ka::IN_PORT | ka::SKB_MARK | ka::DP_HASH | ka::RECIRC_ID => Kind::Len(4),
        ka::TCP | ka::UDP | ka::SCTP | ka::CT_STATE | ka::CT_MARK => Kind::Len(4),
        ka::ETHERNET | ka::IPV4 => Kind::Len(12),
        ka::ARP => Kind::Len(24),
        ka::ND => Kind::Len(28),
        ka::CT_LABELS | ka::CT_ORIG_TUPLE_IPV4 => Kind::Len(16),
        ka::IPV6 | ka::CT_ORIG_TUPLE_IPV6 => Kind::Len(40),
        ka::PACKET_TYPE | ka::ND_EXTENSIONS | ka::TUNNEL_INFO => Kind::Refused,
        _ => Kind::Unknown,
    }
}

const fn bit(ty: u16) -> u64 {
    1 << ty
}

/// The attributes of a key or mask, sorted by type, and which of them are still unread.
struct Parser<'a> {
    image: Image,
    /// What of connection tracking it may have.
    ct: CtFields,
    /// Bit for each attribute that is present and unread. 64 bits, for type 32 (spec K2).
    set: u64,
    attrs: [Option<Attr<'a>>; ka::MAX + 1],
}

impl<'a> Parser<'a> {
    fn new(net: &Net) -> Self {
        Self {
            image: Image::Key,
            ct: conntrack::fields(net),
            set: 0,
            attrs: [None; ka::MAX + 1],
        }
    }

    fn is_mask(&self) -> bool {
        self.image.is_mask()
    }

    fn is_exact(&self) -> bool {
        self.image == Image::Exact
    }

    /// Reads all of `nest` into `out`. `key` is the key if a mask is read. Returns the attributes that there were
    /// besides the tags.
    fn run(&mut self, nest: Attr<'a>, key: KeyRef<'_>, out: &mut KeyBuf) -> NlResult<u64> {
        self.scan(nest)?;
        self.tags(&key, out)?;
        let set = self.set;
        self.metadata(key, out)?;
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
            let len_fits = match KINDS.get(usize::from(attr.ty())) {
                Some(Kind::Len(len)) => attr.len() == usize::from(*len),
                Some(Kind::Any) => true,
                Some(Kind::Refused) => return Err(at(c"key attribute not supported", attr)),
                Some(Kind::Unknown) | None => return Err(at(c"unknown key attribute", attr)),
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
        self.image.value(&self.attr(ty)?)
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
}

/// Attributes that describe a packet of this key beyond Ethernet: (network, transport, ND).
fn layers(key: &Core) -> (u64, u64, u64) {
    let network = match key.eth_type.get() {
        ty::ARP | ty::RARP => bit(ka::ARP),
        ty::IPV4 => bit(ka::IPV4),
        ty::IPV6 => bit(ka::IPV6),
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
        | bit(ka::ND)
        | bit(ka::MPLS)
        | bit(ka::NSH)
        | bit(ka::CT_ORIG_TUPLE_IPV4)
        | bit(ka::CT_ORIG_TUPLE_IPV6);
    let (network, transport, nd) = layers(key);
    let mut allowed = key_set & !UPPER | bit(ka::IN_PORT) | bit(ka::ETHERTYPE) | bit(ka::TUNNEL);
    if mask.eth_type.get() == 0xffff {
        allowed |= network;
        if network == bit(ka::IPV4) {
            allowed |= bit(ka::CT_ORIG_TUPLE_IPV4);
        }
        if network == bit(ka::IPV6) && nd == 0 {
            allowed |= bit(ka::CT_ORIG_TUPLE_IPV6);
        }
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

/// Most bytes that [`put_key`] writes: the nest, metadata, Ethernet, two tags, and the longest upper layers, which are
/// those of neighbour discovery.
pub const KEY_ATTRS_MAX: usize = total(0)
    + 5 * total(4)
    + total(tunnel::ATTRS_MAX)
    + conntrack::ATTRS_MAX
    + total(12)
    + 2 * (2 * total(2) + total(0))
    + total(2)
    + UPPER_MAX;
const UPPER_MAX: usize = total(40) + total(2) + total(2) + total(28);

/// Appends a key or, with `mask`, the mask of a flow with this key (spec 2.3). What is written follows from the key,
/// the values come from the mask if there is one (K18).
#[inline]
pub fn put_key(w: &mut Writer<'_>, ty: u16, key: &KeyBuf, mask: Option<&KeyBuf>) -> Put {
    if key.is_plain() && mask.is_none_or(KeyBuf::is_plain) {
        return put_parts(w, ty, key, mask.map(KeyBuf::core), &Beyond::NOTHING);
    }
    put_key_ref(w, ty, key.as_ref(), mask.map(KeyBuf::as_ref))
}

/// Appends a packet's key, but with `core` instead of its own.
#[inline(always)]
pub fn put_packet_key(w: &mut Writer<'_>, ty: u16, core: &Core, key: &FlowKey) -> Put {
    if key.is_plain() && usual::is_usual(core) {
        return usual::put(w, ty, core, &Beyond::NOTHING);
    }
    let key = key.as_ref();
    put_key_ref(w, ty, KeyRef { core, ..key }, None)
}

/// [`put_key`] of keys that have, or may have, more than a core.
#[inline(never)]
pub fn put_key_ref(w: &mut Writer<'_>, ty: u16, key: KeyRef<'_>, mask: Option<KeyRef<'_>>) -> Put {
    let out = mask.unwrap_or(key);
    let beyond = Beyond {
        key: key.ext,
        ext: out.ext,
        long: out.long,
    };
    put_parts(w, ty, key.core, mask.map(|m| m.core), &beyond)
}

#[inline(never)]
fn put_parts(
    w: &mut Writer<'_>,
    ty: u16,
    key: &Core,
    mask: Option<&Core>,
    beyond: &Beyond<'_>,
) -> Put {
    if mask.is_none() && usual::is_usual(key) {
        return usual::put(w, ty, key, beyond);
    }
    let nest = w.nest(ty)?;
    metadata::put(w, key, mask, beyond)?;
    link::put(w, key, mask, beyond)?;
    w.end_nest(nest)
}

/// What is told beyond the core: the key's part, which says what there is, and where the values come from.
struct Beyond<'a> {
    key: &'a Ext,
    ext: &'a Ext,
    long: &'a Long,
}

impl Beyond<'_> {
    /// Of keys without such parts. They are told as if there were none, without a look at each.
    const NOTHING: Beyond<'static> = Beyond {
        key: KeyRef::ZERO.ext,
        ext: KeyRef::ZERO.ext,
        long: KeyRef::ZERO.long,
    };
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
mod tests;

#[cfg(test)]
mod state_tests;
