// SPDX-License-Identifier: GPL-2.0
//! Fields of a flow, as text, to the netlink attributes that a switch daemon would send for them.
//!
//! The datapath's own parser then makes key and mask of these, as it does in the kernel. The names are those of
//! `ovs-dpctl(8)`, "Datapath flow keys", of Open vSwitch 2.15 to 4.0.

use crate::line::{items, shown, Item};
use crate::value::{
    flags, halves, hex, masked, octets, once, structure, unknown, Both,
    Kind::{self, Be16, Be32, Frag, Ipv4, Ipv6, Label, Mac, U8},
};
use openvswitch::client::Bytes;
use openvswitch::datapath::abi::{key_attr as ka, nsh_attr, tunnel_attr as ta, vxlan_ext};
use openvswitch::datapath::flow::key::TUN_OPTS_MAX;
use std::collections::HashMap;

/// Attributes of a key, and of its mask.
#[derive(Clone, Debug, Default)]
pub struct Match {
    pub key: Bytes,
    pub mask: Bytes,
}

/// Numbers of ports that a dump names.
#[derive(Default)]
pub struct Ports(HashMap<String, u32>);

/// The first number that a port's name stands for; dumps have numbers or names, and few hosts have so many ports.
const FIRST_NAMED: u32 = 32768;

impl Ports {
    fn number(&mut self, name: &str) -> Result<u32, String> {
        let next = FIRST_NAMED + self.0.len() as u32; // CAST: bounded by the next line
        if next >= 65535 && !self.0.contains_key(name) {
            return Err("more ports than a datapath can have".into());
        }
        Ok(*self.0.entry(name.to_owned()).or_insert(next))
    }
}

const ETHERNET: &[(&str, Kind)] = &[("src", Mac), ("dst", Mac)];
const IPV4: &[(&str, Kind)] = &[
    ("src", Ipv4),
    ("dst", Ipv4),
    ("proto", U8),
    ("tos", U8),
    ("ttl", U8),
    ("frag", Frag),
];
const IPV6: &[(&str, Kind)] = &[
    ("src", Ipv6),
    ("dst", Ipv6),
    ("label", Label),
    ("proto", U8),
    ("tclass", U8),
    ("hlimit", U8),
    ("frag", Frag),
];
const PORTS: &[(&str, Kind)] = &[("src", Be16), ("dst", Be16)];
const ICMP: &[(&str, Kind)] = &[("type", U8), ("code", U8)];
const ARP: &[(&str, Kind)] = &[
    ("sip", Ipv4),
    ("tip", Ipv4),
    ("op", Be16),
    ("sha", Mac),
    ("tha", Mac),
];
const ND: &[(&str, Kind)] = &[("target", Ipv6), ("sll", Mac), ("tll", Mac)];
const TUPLE4: &[(&str, Kind)] = &[
    ("src", Ipv4),
    ("dst", Ipv4),
    ("tp_src", Be16),
    ("tp_dst", Be16),
    ("proto", U8),
];
const TUPLE6: &[(&str, Kind)] = &[
    ("src", Ipv6),
    ("dst", Ipv6),
    ("src_port", Be16),
    ("dst_port", Be16),
    ("proto", U8),
];
/// A namespace and a type in it; 0 and 0 are Ethernet.
const PACKET_TYPE: &[(&str, Kind)] = &[("ns", Be16), ("id", Be16)];
const NSH_CONTEXT: &[(&str, Kind)] = &[("c1", Be32), ("c2", Be32), ("c3", Be32), ("c4", Be32)];
const CT_FLAGS: &[(&str, u32)] = &[
    ("new", 0x01),
    ("est", 0x02),
    ("rel", 0x04),
    ("rpl", 0x08),
    ("inv", 0x10),
    ("trk", 0x20),
    ("snat", 0x40),
    ("dnat", 0x80),
];
const TCP_FLAGS: &[(&str, u32)] = &[
    ("fin", 0x001),
    ("syn", 0x002),
    ("rst", 0x004),
    ("psh", 0x008),
    ("ack", 0x010),
    ("urg", 0x020),
    ("ece", 0x040),
    ("cwr", 0x080),
    ("ns", 0x100),
    ("[200]", 0x200),
    ("[400]", 0x400),
    ("[800]", 0x800),
];
const DF: u32 = 1;
const CSUM: u32 = 2;
const KEY: u32 = 4;
const OAM: u32 = 8;
const TUNNEL_FLAGS: &[(&str, u32)] = &[("df", DF), ("csum", CSUM), ("key", KEY), ("oam", OAM)];
/// Fields of a tunnel that have a value: name, attribute, kind.
const TUNNEL: &[(&str, u16, Kind)] = &[
    ("src", ta::IPV4_SRC, Ipv4),
    ("dst", ta::IPV4_DST, Ipv4),
    ("ipv6_src", ta::IPV6_SRC, Ipv6),
    ("ipv6_dst", ta::IPV6_DST, Ipv6),
    ("tos", ta::TOS, U8),
    ("ttl", ta::TTL, U8),
    ("tp_src", ta::TP_SRC, Be16),
    ("tp_dst", ta::TP_DST, Be16),
];

/// All fields of a flow.
pub fn attributes(fields: &[Item<'_>], ports: &mut Ports) -> Result<Match, String> {
    level(fields, ports, 0)
}

/// Those on one level of encapsulation.
fn level(fields: &[Item<'_>], ports: &mut Ports, depth: usize) -> Result<Match, String> {
    let (mut out, mut seen) = (Match::default(), vec![]);
    for field in fields {
        once(&mut seen, field.name)?;
        out = one(out, field, ports, depth).map_err(|why| format!("{}: {why}", field.name))?;
    }
    Ok(out)
}

impl Match {
    fn put(self, ty: u16, both: &Both) -> Self {
        Self {
            key: self.key.put(ty, &both.key),
            mask: self.mask.put(ty, &both.mask),
        }
    }

    fn put_u32(self, ty: u16, (key, mask): (u32, u32)) -> Self {
        Self {
            key: self.key.u32(ty, key),
            mask: self.mask.u32(ty, mask),
        }
    }

    fn nest(self, ty: u16, inner: Match) -> Self {
        Self {
            key: self.key.nest(ty, inner.key),
            mask: self.mask.nest(ty, inner.mask),
        }
    }
}

fn one(out: Match, field: &Item<'_>, ports: &mut Ports, depth: usize) -> Result<Match, String> {
    let text = field.value;
    let word = |ty| Ok(out.clone().put_u32(ty, masked32(text)?));
    let made = |ty, members, size| Ok(out.clone().put(ty, &structure(text, members, size)?));
    match field.name {
        // Without -m, what is not matched at all.
        "skb_priority" | "skb_mark" | "dp_hash" | "recirc_id" | "ct_state" | "ct_zone"
        | "ct_mark" | "ct_label" | "tcp_flags"
            if text.is_empty() =>
        {
            Ok(out)
        }
        "skb_priority" => word(ka::PRIORITY),
        "skb_mark" => word(ka::SKB_MARK),
        "dp_hash" => word(ka::DP_HASH),
        "recirc_id" => word(ka::RECIRC_ID),
        "ct_mark" => word(ka::CT_MARK),
        "in_port" => {
            let port = match masked32(text) {
                Ok(port) => port,
                Err(_) => (ports.number(text)?, u32::MAX),
            };
            Ok(out.put_u32(ka::IN_PORT, port))
        }
        "ct_state" => Ok(out.put_u32(ka::CT_STATE, flags(text, CT_FLAGS, u32::MAX)?)),
        "ct_zone" => {
            let (key, mask) = masked(text, 16)?;
            let bytes = |n: u128| (n as u16).to_ne_bytes().to_vec(); // CAST: 16 bits
            Ok(out.put(ka::CT_ZONE, &both(key, mask, bytes)))
        }
        "ct_label" => {
            let (key, mask) = masked(text, 128)?;
            Ok(out.put(ka::CT_LABELS, &both(key, mask, |n| n.to_ne_bytes().into())))
        }
        "ct_tuple4" => made(ka::CT_ORIG_TUPLE_IPV4, TUPLE4, 16),
        "ct_tuple6" => made(ka::CT_ORIG_TUPLE_IPV6, TUPLE6, 40),
        "tunnel" => Ok(out.nest(ka::TUNNEL, tunnel(text)?)),
        "eth" => made(ka::ETHERNET, ETHERNET, 12),
        "eth_type" => eth_type(out, text),
        "vlan" => Ok(out.put(ka::VLAN, &vlan(text)?)),
        "encap" if depth < 2 => {
            let inner = level(&items(text)?, ports, depth + 1)?;
            Ok(out.nest(ka::ENCAP, inner))
        }
        "encap" => Err("more than two levels".into()),
        "mpls" => Ok(out.put(ka::MPLS, &mpls(text)?)),
        "nsh" => Ok(out.nest(ka::NSH, nsh(text)?)),
        "ipv4" => made(ka::IPV4, IPV4, 12),
        "ipv6" => made(ka::IPV6, IPV6, 40),
        "tcp" => made(ka::TCP, PORTS, 4),
        "udp" => made(ka::UDP, PORTS, 4),
        "sctp" => made(ka::SCTP, PORTS, 4),
        "tcp_flags" => {
            let (key, mask) = flags(text, TCP_FLAGS, 0xfff)?;
            let bytes = |n: u128| (n as u16).to_be_bytes().to_vec(); // CAST: 12 bits
            Ok(out.put(ka::TCP_FLAGS, &both(key.into(), mask.into(), bytes)))
        }
        "icmp" => made(ka::ICMP, ICMP, 2),
        "icmpv6" => made(ka::ICMPV6, ICMP, 2),
        "arp" => made(ka::ARP, ARP, 24),
        "nd" => made(ka::ND, ND, 28),
        "ipv6_exthdrs" => {
            let (key, mask) = masked(text, 16)?;
            let bytes = |n: u128| (n as u16).to_ne_bytes().to_vec(); // CAST: 16 bits
            Ok(out.put(ka::IPV6_EXTHDRS, &both(key, mask, bytes)))
        }
        // The same where the daemon has no name for it (3.1 to 4.0 on Linux 5.18 and later): its bytes, in host order.
        "key32" => Ok(out.put(ka::IPV6_EXTHDRS, &octets(text, 2)?)),
        // The userspace datapath's; what takes in Ethernet says nothing that the rest of the key does not.
        "packet_type" => {
            let ty = structure(text, PACKET_TYPE, 4)?;
            let ethernet = ty.key.iter().zip(&ty.mask).all(|(k, m)| k & m == 0);
            ethernet.then_some(out).ok_or_else(no_such_field)
        }
        _ => Err(no_such_field()),
    }
}

fn no_such_field() -> String {
    "the kernel's key has no such field".into()
}

fn both(key: u128, mask: u128, bytes: impl Fn(u128) -> Vec<u8>) -> Both {
    Both {
        key: bytes(key),
        mask: bytes(mask),
    }
}

fn masked32(text: &str) -> Result<(u32, u32), String> {
    let (key, mask) = masked(text, 32)?;
    Ok((key as u32, mask as u32)) // CAST: 32 bits
}

/// 0 stands for a key without this attribute: a frame with a length.
fn eth_type(out: Match, text: &str) -> Result<Match, String> {
    let both = Be16.both(text)?;
    let key = match both.key[..] {
        [0, 0] => out.key,
        _ => out.key.put(ka::ETHERTYPE, &both.key),
    };
    Ok(Match {
        key,
        mask: out.mask.put(ka::ETHERTYPE, &both.mask),
    })
}

/// The bit that says that there is a tag is set unless the text says 0, and always matched.
fn vlan(text: &str) -> Result<Both, String> {
    let (mut key, mut mask, mut seen) = (0x1000, 0x1000, vec![]);
    for item in items(text)? {
        once(&mut seen, item.name)?;
        let (bits, shift) = match item.name {
            "vid" => (12, 0),
            "pcp" => (3, 13),
            "cfi" => (1, 12),
            other => return Err(unknown(other)),
        };
        let (k, m) = masked(item.value, bits).map_err(|why| format!("{}: {why}", item.name))?;
        let all = u128::MAX >> (128 - bits) << shift;
        key = key & !all | k << shift;
        mask |= m << shift;
    }
    let bytes = |n: u128| (n as u16).to_be_bytes().to_vec(); // CAST: 16 bits
    Ok(both(key, mask, bytes))
}

/// Entries of a stack; each begins with its label. The masks of `tc` and `bos` have no `0x`, and need none: one digit.
fn mpls(text: &str) -> Result<Both, String> {
    let (mut out, mut seen) = (Both::default(), vec![]);
    for item in items(text)? {
        if item.name == "label" {
            seen.clear();
            out.key.extend([0; 4]);
            out.mask.extend([0; 4]);
        }
        once(&mut seen, item.name)?;
        let (bits, shift) = match item.name {
            "label" => (20, 12),
            "tc" => (3, 9),
            "bos" => (1, 8),
            "ttl" => (8, 0),
            other => return Err(unknown(other)),
        };
        let (k, m) = masked(item.value, bits).map_err(|why| format!("{}: {why}", item.name))?;
        for (bytes, n) in [(&mut out.key, k), (&mut out.mask, m)] {
            let Some(entry) = bytes.last_chunk_mut::<4>() else {
                return Err("no label".into());
            };
            let all = u32::from_be_bytes(*entry) | (n as u32) << shift; // CAST: 20 bits
            *entry = all.to_be_bytes();
        }
    }
    Ok(out)
}

fn nsh(text: &str) -> Result<Match, String> {
    let (mut base, mut context, mut seen) = (Both::default(), vec![], vec![]);
    (base.key, base.mask) = (vec![0; 8], vec![0; 8]);
    for item in items(text)? {
        once(&mut seen, item.name)?;
        let (at, bits) = match item.name {
            "flags" => (0, 8),
            "ttl" => (1, 8),
            "mdtype" => (2, 8),
            "np" => (3, 8),
            "spi" => (4, 24),
            "si" => (7, 8),
            _ => {
                context.push(format!("{}={}", item.name, item.value));
                continue;
            }
        };
        let (k, m) = masked(item.value, bits).map_err(|why| format!("{}: {why}", item.name))?;
        let end = at + bits as usize / 8; // CAST: 8 or 24
        for (to, n) in [(&mut base.key, k), (&mut base.mask, m)] {
            let bytes = (n as u32).to_be_bytes(); // CAST: 24 bits
            to[at..end].copy_from_slice(&bytes[4 - (end - at)..]);
        }
    }
    if context.is_empty() {
        return Ok(Match::default().put(nsh_attr::BASE, &base));
    }
    // Only this type has a context that keys know.
    if base.mask[2] == 0 {
        base.key[2] = 1;
    }
    let context = structure(&context.join(","), NSH_CONTEXT, 16)?;
    Ok(Match::default()
        .put(nsh_attr::BASE, &base)
        .put(nsh_attr::MD1, &context))
}

fn tunnel(text: &str) -> Result<Match, String> {
    let (mut out, mut seen) = (Match::default(), vec![]);
    let mut given = (0, 0);
    for item in items(text)? {
        once(&mut seen, item.name)?;
        out = match item.name {
            "tun_id" => {
                let (key, mask) = masked(item.value, 64)?;
                let bytes = |n: u128| (n as u64).to_be_bytes().to_vec(); // CAST: 64 bits
                Ok(out.put(ta::ID, &both(key, mask, bytes)))
            }
            "flags" if item.value.is_empty() => Ok(out),
            "flags" => flags(item.value, TUNNEL_FLAGS, 15).map(|f| {
                given = f;
                out
            }),
            "geneve" => geneve(item.value).map(|both| out.put(ta::GENEVE_OPTS, &both)),
            "vxlan" => vxlan(item.value).map(|inner| out.nest(ta::VXLAN_OPTS, inner)),
            "erspan" => erspan(item.value).map(|both| out.put(ta::ERSPAN_OPTS, &both)),
            name => match TUNNEL.iter().find(|(n, ..)| *n == name) {
                Some((_, ty, kind)) => kind.both(item.value).map(|both| out.put(*ty, &both)),
                None => return Err(unknown(name)),
            },
        }
        .map_err(|why| format!("{}: {why}", item.name))?;
    }
    // Flags are attributes without a value, in the key and in the mask. Without -m, what must be there may not be shown.
    for (flag, ty) in [(DF, ta::DONT_FRAGMENT), (CSUM, ta::CSUM), (OAM, ta::OAM)] {
        if given.0 & flag != 0 {
            out.key = out.key.flag(ty);
        }
        if given.1 & flag != 0 {
            out.mask = out.mask.flag(ty);
        }
    }
    if !seen.contains(&"tun_id") {
        if given.0 & KEY != 0 {
            out.key = out.key.put(ta::ID, &[0; 8]);
        }
        if given.1 & KEY != 0 {
            out.mask = out.mask.put(ta::ID, &[0; 8]);
        }
    }
    if !seen.contains(&"ttl") {
        out.key = out.key.u8(ta::TTL, 0);
    }
    Ok(out)
}

/// `{class=0x102,type=0x80,len=4,0x1234/0xffff}{…}`: options as in the packet (RFC 8926, 3.5).
fn geneve(text: &str) -> Result<Both, String> {
    let (mut out, mut rest) = (Both::default(), text);
    while !rest.is_empty() {
        let bad = || format!("bad option {}", shown(rest));
        let inside = rest.strip_prefix('{').ok_or_else(bad)?;
        let (option, after) = inside.split_once('}').ok_or_else(bad)?;
        let mut parts = option.split(',');
        let mut named = |name: &str| -> Result<&str, String> {
            let value = parts.next().and_then(|p| p.strip_prefix(name));
            value.and_then(|v| v.strip_prefix('=')).ok_or_else(bad)
        };
        let class = Be16.both(named("class")?)?;
        let kind = U8.both(named("type")?)?;
        let (len, len_mask) = length(named("len")?).ok_or_else(bad)?;
        let data = match (parts.next(), parts.next()) {
            (None, _) => both(0, 0, |_| vec![0; len]),
            (Some(_), Some(_)) => return Err(bad()),
            (Some(data), None) => {
                let (key, mask) = halves(data);
                Both {
                    key: hex(key, len)?,
                    mask: mask.map_or(Ok(vec![0xff; len]), |m| hex(m, len))?,
                }
            }
        };
        let quads = (len / 4) as u8; // CAST: at most 31
        for (to, from) in [
            (
                &mut out.key,
                [&class.key, &kind.key, &vec![quads], &data.key],
            ),
            (
                &mut out.mask,
                [&class.mask, &kind.mask, &vec![len_mask], &data.mask],
            ),
        ] {
            from.iter().for_each(|f| to.extend(*f));
        }
        if out.key.len() > TUN_OPTS_MAX {
            return Err(format!("options of more than {TUN_OPTS_MAX} bytes"));
        }
        rest = after;
    }
    Ok(out)
}

/// Bytes of an option's data, a multiple of 4 up to 124, and the mask of their number in fours.
fn length(text: &str) -> Option<(usize, u8)> {
    let (len, mask) = masked(text, 8).ok()?;
    let fits = len % 4 == 0 && len <= 124;
    let exact = if mask == 0xff { 0x1f } else { mask as u8 }; // CAST: 8 bits
    fits.then_some((len as usize, exact)) // CAST: at most 124
}

/// `gbp(id=5,flags=0x1)`: the group policy of VXLAN.
fn vxlan(text: &str) -> Result<Match, String> {
    let mut out = Match::default();
    for item in items(text)? {
        if item.name != "gbp" {
            return Err(unknown(item.name));
        }
        let gbp = structure(item.value, &[("flags", U8), ("id", Be16)], 3)?;
        let word = |b: &[u8]| u32::from_be_bytes([0, b[0], b[1], b[2]]);
        out = out.put_u32(vxlan_ext::GBP, (word(&gbp.key), word(&gbp.mask)));
    }
    Ok(out)
}

/// `struct erspan_metadata`: the version in host order, then an index or direction and hardware id.
fn erspan(text: &str) -> Result<Both, String> {
    let (mut out, mut seen) = (both(0, 0, |_| vec![0; 12]), vec![]);
    for item in items(text)? {
        once(&mut seen, item.name)?;
        let value = |bits| masked(item.value, bits).map_err(|why| format!("{}: {why}", item.name));
        match item.name {
            "ver" => {
                let (key, mask) = value(8)?;
                let exact = if mask == 0xff { u32::MAX } else { mask as u32 }; // CAST: 8 bits
                out.key[..4].copy_from_slice(&(key as u32).to_ne_bytes()); // CAST: 8 bits
                out.mask[..4].copy_from_slice(&exact.to_ne_bytes());
            }
            "idx" => {
                let (key, mask) = value(32)?;
                out.key[4..8].copy_from_slice(&(key as u32).to_be_bytes()); // CAST: 32 bits
                out.mask[4..8].copy_from_slice(&(mask as u32).to_be_bytes()); // CAST: 32 bits
            }
            "dir" | "hwid" => {
                let (bits, shift) = if item.name == "dir" { (1, 3) } else { (4, 4) };
                // The mask of either is printed as a byte, which stands for its bits.
                let (key, mask) = value(8)?;
                let all = (1 << bits) - 1;
                out.key[11] |= ((key & all) << shift) as u8; // CAST: 8 bits
                out.mask[11] |= ((mask & all) << shift) as u8; // CAST: 8 bits
            }
            other => return Err(unknown(other)),
        }
    }
    Ok(out)
}
