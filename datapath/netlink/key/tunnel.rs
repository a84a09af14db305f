// SPDX-License-Identifier: GPL-2.0
//! The tunnel that a packet came through (spec 2.2).
//!
//! C counterpart: `ip_tun_from_nlattr()` and `__ip_tun_to_nlattr()` in `net/openvswitch/flow_netlink.c`.

use super::{at, total, Image};
use crate::datapath::abi::{tunnel_attr as ta, vxlan_ext};
use crate::datapath::env::TunnelInfo;
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{tun_flag, Core, TUN_IPV4, TUN_IPV6, TUN_OPTS_MAX};
use crate::datapath::flow::parts::{Key, KeyBuf, KeyRef, Parts};
use crate::datapath::netlink::attr::{Attr, HDRLEN};
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::part;

/// Bytes of ERSPAN options in a key, whatever the attribute has (spec K15): `struct erspan_metadata`.
const ERSPAN_LEN: usize = 12;
/// Bytes of VXLAN options in a key: `struct vxlan_metadata`, the group policy in host order.
const VXLAN_LEN: usize = 4;

/// What the attributes say besides the fields that go into the key.
#[derive(Default)]
struct Said {
    flags: u16,
    v4: bool,
    v6: bool,
    ttl: bool,
    info_bridge: bool,
}

/// Reads TUNNEL into `out`; true if it is `IPV4_INFO_BRIDGE`. `key` is the key if a mask is read. EINVAL; ENOMEM.
pub(super) fn parse<X: Parts>(
    nest: Attr<'_>,
    image: Image,
    key: KeyRef<'_>,
    out: &mut Key<X>,
) -> NlResult<bool> {
    let mut said = Said::default();
    let mut attrs = nest.nested();
    for attr in attrs.by_ref() {
        if !len_fits(&attr) {
            return Err(at(c"tunnel attribute of wrong length or type", attr));
        }
        match attr.ty() {
            ta::GENEVE_OPTS | ta::VXLAN_OPTS | ta::ERSPAN_OPTS => {
                if said.flags & tun_flag::OPTIONS != 0 {
                    return Err(at(c"more than one block of tunnel options", attr));
                }
                said.flags |= options(attr, image, key, out)?;
            }
            _ => field(&attr, image, out, &mut said)?,
        }
    }
    out.tun_flags = said.flags;
    out.tun_proto = match (image.is_mask(), said.v6) {
        (true, _) => 0xff,
        (false, true) => TUN_IPV6,
        (false, false) => TUN_IPV4,
    };
    // Unlike in the key around it, the last attribute's padding may be missing (K13).
    if !attrs.rest().is_empty() {
        return Err(at(c"trailing bytes in tunnel", nest));
    }
    if said.v4 && said.v6 {
        return Err(at(c"tunnel of IPv4 and IPv6", nest));
    }
    if !image.is_mask() {
        check(nest, &said, out, out.ext().tun_ipv6_dst == [0; 16])?;
    }
    Ok(said.info_bridge)
}

/// Reads what SET(TUNNEL) says. EINVAL; ENOMEM.
pub fn parse_tx(nest: Attr<'_>) -> NlResult<KeyBuf> {
    let mut key = KeyBuf::new();
    parse(nest, Image::Key, KeyRef::ZERO, &mut key)?;
    Ok(key)
}

/// The tunnel in a key. Its options go into `room`.
pub fn info<'r>(key: &KeyBuf, room: &'r mut [u8; TUN_OPTS_MAX]) -> TunnelInfo<'r> {
    let ext = key.ext();
    let (src, dst) = match key.tun_proto {
        TUN_IPV6 => (ext.tun_ipv6_src, ext.tun_ipv6_dst),
        _ => (widened(key.tun_ipv4_src), widened(key.tun_ipv4_dst)),
    };
    let len = usize::from(ext.tun_opts_len);
    let key = key.as_ref();
    let (near, far) = key.tun_opts(len);
    for (to, from) in room.iter_mut().zip(near.iter().chain(far)) {
        *to = *from;
    }
    TunnelInfo {
        id: key.tun_id,
        proto: key.tun_proto,
        src,
        dst,
        tp_src: key.tun_tp_src,
        tp_dst: key.tun_tp_dst,
        flags: key.tun_flags,
        tos: key.tun_tos,
        ttl: key.tun_ttl,
        options: room.get(..len).unwrap_or(&[]),
    }
}

fn widened([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn len_fits(attr: &Attr<'_>) -> bool {
    let len = match attr.ty() {
        ta::ID => 8,
        ta::IPV4_SRC | ta::IPV4_DST => 4,
        ta::TOS | ta::TTL => 1,
        ta::DONT_FRAGMENT | ta::CSUM | ta::OAM | ta::IPV4_INFO_BRIDGE => 0,
        ta::TP_SRC | ta::TP_DST => 2,
        ta::IPV6_SRC | ta::IPV6_DST => 16,
        // C says that any length will do, and takes none but 0.
        ta::PAD => 0,
        ta::GENEVE_OPTS | ta::VXLAN_OPTS | ta::ERSPAN_OPTS => return true,
        _ => return false,
    };
    attr.len() == len
}

/// An attribute that is no option; of duplicates the last counts (spec K14). Its length has been checked.
fn field<X: Parts>(attr: &Attr<'_>, image: Image, out: &mut Key<X>, said: &mut Said) -> NlResult {
    let v4 = || image.value::<4>(attr).unwrap_or_default();
    let byte = || image.value::<1>(attr).map_or(0, |[b]| b);
    let port = || {
        image
            .value::<2>(attr)
            .map_or(Be16::new(0), Be16::from_bytes)
    };
    let v6 = || image.value::<16>(attr).unwrap_or_default();
    match attr.ty() {
        ta::ID => {
            out.tun_id = image.value::<8>(attr).unwrap_or_default();
            said.flags |= tun_flag::KEY;
        }
        ta::IPV4_SRC => {
            out.tun_ipv4_src = v4();
            said.v4 = true;
        }
        ta::IPV4_DST => {
            out.tun_ipv4_dst = v4();
            said.v4 = true;
        }
        ta::IPV6_SRC => {
            out.try_ext_mut()?.tun_ipv6_src = v6();
            said.v6 = true;
        }
        ta::IPV6_DST => {
            out.try_ext_mut()?.tun_ipv6_dst = v6();
            said.v6 = true;
        }
        ta::TOS => out.tun_tos = byte(),
        ta::TTL => {
            out.tun_ttl = byte();
            said.ttl = true;
        }
        ta::DONT_FRAGMENT => said.flags |= tun_flag::DONT_FRAGMENT,
        ta::CSUM => said.flags |= tun_flag::CSUM,
        ta::OAM => said.flags |= tun_flag::OAM,
        ta::TP_SRC => out.tun_tp_src = port(),
        ta::TP_DST => out.tun_tp_dst = port(),
        ta::IPV4_INFO_BRIDGE => {
            said.info_bridge = true;
            said.v4 = true;
        }
        _ => {} // PAD
    }
    Ok(())
}

/// What a tunnel must have (spec 2.2, K13).
fn check(nest: Attr<'_>, said: &Said, key: &Core, no_ipv6_dst: bool) -> NlResult {
    let no_ports = key.tun_tp_src.get() == 0 && key.tun_tp_dst.get() == 0;
    let no_v4 = key.tun_ipv4_src == [0; 4] && key.tun_ipv4_dst == [0; 4];
    let empty = no_ports && no_v4 && key.tun_tos == 0 && key.tun_ttl == 0;
    let why = if !said.v4 && !said.v6 {
        c"tunnel without an address"
    } else if said.info_bridge && !(empty && said.flags & !tun_flag::KEY == 0) {
        c"tunnel of an encapsulating bridge has more than an id"
    } else if said.v4 && !said.info_bridge && key.tun_ipv4_dst == [0; 4] {
        c"tunnel to IPv4 address 0"
    } else if said.v6 && no_ipv6_dst {
        c"tunnel to IPv6 address 0"
    } else if !said.ttl && !said.info_bridge {
        c"tunnel without TTL"
    } else {
        return Ok(());
    };
    Err(at(why, nest))
}

/// A block of options; returns the flag of its kind.
fn options<X: Parts>(
    attr: Attr<'_>,
    image: Image,
    key: KeyRef<'_>,
    out: &mut Key<X>,
) -> NlResult<u16> {
    let exact = [0xff; TUN_OPTS_MAX];
    let given = match image {
        Image::Exact => exact.get(..attr.len()),
        _ => Some(attr.payload()),
    };
    let Some(given) = given.filter(|g| g.len() <= TUN_OPTS_MAX || attr.ty() == ta::VXLAN_OPTS)
    else {
        return Err(at(c"tunnel options longer than 255 bytes", attr));
    };
    let key_len = usize::from(key.ext.tun_opts_len);
    let gbp;
    let (flag, bytes, len) = match attr.ty() {
        ta::GENEVE_OPTS => {
            if given.len() % 4 != 0 {
                return Err(at(c"Geneve options are no multiple of 4 bytes", attr));
            }
            if image.is_mask() && given.len() != key_len {
                return Err(at(c"mask of Geneve options of another length", attr));
            }
            (tun_flag::GENEVE_OPT, given, given.len())
        }
        ta::VXLAN_OPTS => {
            gbp = vxlan(attr, image)?;
            (tun_flag::VXLAN_OPT, &gbp[..], VXLAN_LEN)
        }
        _ => (tun_flag::ERSPAN_OPT, given, ERSPAN_LEN),
    };
    let (len, stored) = if image.is_mask() {
        (key_len, 0xff)
    } else {
        (len, len as u8) // CAST: at most 255
    };
    let mut place = [0; TUN_OPTS_MAX];
    right_aligned(&mut place, bytes, len);
    let used = place.get(..len.max(bytes.len())).unwrap_or(&[]);
    out.set_tun_opts(used)?;
    out.try_ext_mut()?.tun_opts_len = stored;
    Ok(flag)
}

/// Puts `bytes` so that they end at `len`, as C has them end at the end of its room (spec K15); bytes before the start
/// of that, which no packet with options of this length has, come after it.
fn right_aligned(place: &mut [u8; TUN_OPTS_MAX], bytes: &[u8], len: usize) {
    let (before, within) = bytes
        .split_at_checked(bytes.len().saturating_sub(len))
        .unwrap_or((&[], bytes));
    let start = len.saturating_sub(bytes.len());
    let after = place.iter_mut().skip(start);
    for (to, from) in after.zip(within.iter().chain(before)) {
        *to = *from;
    }
}

fn vxlan(nest: Attr<'_>, image: Image) -> NlResult<[u8; VXLAN_LEN]> {
    let mut gbp = [0; VXLAN_LEN];
    let mut attrs = nest.nested();
    for attr in attrs.by_ref() {
        match image.value(&attr) {
            Some(value) if attr.ty() == vxlan_ext::GBP && attr.len() == VXLAN_LEN => gbp = value,
            _ => return Err(at(c"VXLAN option of wrong length or type", attr)),
        }
    }
    if !attrs.is_exhausted() {
        return Err(at(c"trailing bytes in VXLAN options", nest));
    }
    Ok(gbp)
}

/// What `mask`, that of a key without a mask, matches of a tunnel before the key's attributes are read: all, as
/// attributes that are zero are not sent (spec K10). ENOMEM.
pub(super) fn match_all(key: KeyRef<'_>, mask: &mut KeyBuf) -> NlResult {
    if key.tun_proto == 0 {
        return Ok(());
    }
    let exact = Be16::new(0xffff);
    mask.tun_id = [0xff; 8];
    (mask.tun_tp_src, mask.tun_tp_dst) = (exact, exact);
    (mask.tun_tos, mask.tun_ttl) = (0xff, 0xff);
    if key.tun_proto == TUN_IPV6 {
        let ext = mask.try_ext_mut()?;
        (ext.tun_ipv6_src, ext.tun_ipv6_dst) = ([0xff; 16], [0xff; 16]);
    } else {
        (mask.tun_ipv4_src, mask.tun_ipv4_dst) = ([0xff; 4], [0xff; 4]);
    }
    Ok(())
}

/// Most bytes that [`put_attrs`] writes.
pub const ATTRS_MAX: usize =
    total(8) + 2 * total(16) + 2 * total(1) + 3 * total(0) + 2 * total(2) + total(TUN_OPTS_MAX);

/// What [`put_attrs`] writes where there is no tunnel and [`is_empty`]: a TTL of 0. So in the masks of most flows.
pub(super) const EMPTY: [u8; total(1)] = {
    let ([l0, l1], [t0, t1]) = ((HDRLEN as u16 + 1).to_ne_bytes(), ta::TTL.to_ne_bytes());
    [l0, l1, t0, t1, 0, 0, 0, 0]
};

/// Without flags, ports, TOS and TTL.
#[inline(always)]
pub(super) fn is_empty(out: &Core) -> bool {
    let ports = out.tun_tp_src.raw() | out.tun_tp_dst.raw();
    let rest = out.tun_flags | u16::from(out.tun_tos) | u16::from(out.tun_ttl);
    ports | rest == 0
}

/// Appends the tunnel's attributes (spec K16): what there is follows from `key`, the values are `out`'s.
pub fn put_attrs(w: &mut Writer<'_>, key: &KeyRef<'_>, out: &KeyRef<'_>) -> Put {
    let flag = |f| out.tun_flags & f != 0;
    if flag(tun_flag::KEY) {
        w.put(ta::ID, &out.tun_id)?;
    }
    let v4 = [
        (ta::IPV4_SRC, &out.tun_ipv4_src),
        (ta::IPV4_DST, &out.tun_ipv4_dst),
    ];
    let v6 = [
        (ta::IPV6_SRC, &out.ext.tun_ipv6_src),
        (ta::IPV6_DST, &out.ext.tun_ipv6_dst),
    ];
    match key.tun_proto {
        TUN_IPV4 => v4.iter().try_for_each(|(ty, a)| put_non_zero(w, *ty, a))?,
        TUN_IPV6 => v6.iter().try_for_each(|(ty, a)| put_non_zero(w, *ty, a))?,
        _ => {}
    }
    put_non_zero(w, ta::TOS, &[out.tun_tos])?;
    w.put_u8(ta::TTL, out.tun_ttl)?;
    for (bit, ty) in [
        (tun_flag::DONT_FRAGMENT, ta::DONT_FRAGMENT),
        (tun_flag::CSUM, ta::CSUM),
    ] {
        if flag(bit) {
            w.put_flag(ty)?;
        }
    }
    put_non_zero(w, ta::TP_SRC, &out.tun_tp_src.to_bytes())?;
    put_non_zero(w, ta::TP_DST, &out.tun_tp_dst.to_bytes())?;
    if flag(tun_flag::OAM) {
        w.put_flag(ta::OAM)?;
    }
    let options = out.tun_opts(usize::from(key.ext.tun_opts_len));
    put_options(w, out.tun_flags, options)
}

/// Appends the attributes of a tunnel to send through (spec K16, A33).
pub fn put_info(w: &mut Writer<'_>, info: &TunnelInfo<'_>) -> Put {
    let flag = |f| info.flags & f != 0;
    if flag(tun_flag::KEY) {
        w.put(ta::ID, &info.id)?;
    }
    if info.proto == TUN_IPV6 {
        put_non_zero(w, ta::IPV6_SRC, &info.src)?;
        put_non_zero(w, ta::IPV6_DST, &info.dst)?;
    } else {
        let short = |a: [u8; 16]| part::<0, 4, 16>(&a);
        let dst = short(info.dst);
        if dst == [0; 4] {
            return w.put_flag(ta::IPV4_INFO_BRIDGE);
        }
        put_non_zero(w, ta::IPV4_SRC, &short(info.src))?;
        put_non_zero(w, ta::IPV4_DST, &dst)?;
    }
    put_non_zero(w, ta::TOS, &[info.tos])?;
    w.put_u8(ta::TTL, info.ttl)?;
    for (bit, ty) in [
        (tun_flag::DONT_FRAGMENT, ta::DONT_FRAGMENT),
        (tun_flag::CSUM, ta::CSUM),
    ] {
        if flag(bit) {
            w.put_flag(ty)?;
        }
    }
    put_non_zero(w, ta::TP_SRC, &info.tp_src.to_bytes())?;
    put_non_zero(w, ta::TP_DST, &info.tp_dst.to_bytes())?;
    if flag(tun_flag::OAM) {
        w.put_flag(ta::OAM)?;
    }
    put_options(w, info.flags, (info.options, &[]))
}

fn put_non_zero<const N: usize>(w: &mut Writer<'_>, ty: u16, value: &[u8; N]) -> Put {
    if *value != [0; N] {
        *w.reserve_array(ty)? = *value;
    }
    Ok(())
}

/// The options, in two pieces, as what the flags say they are: Geneve's before VXLAN's before ERSPAN's.
fn put_options(w: &mut Writer<'_>, flags: u16, (near, far): (&[u8], &[u8])) -> Put {
    let len = near.len().wrapping_add(far.len());
    let ty = match flags {
        _ if len == 0 => return Ok(()),
        f if f & tun_flag::GENEVE_OPT != 0 => ta::GENEVE_OPTS,
        f if f & tun_flag::VXLAN_OPT != 0 => {
            let nest = w.nest(ta::VXLAN_OPTS)?;
            let gbp = near.first_chunk().copied().unwrap_or_default();
            w.put_u32(vxlan_ext::GBP, u32::from_ne_bytes(gbp))?;
            return w.end_nest(nest);
        }
        f if f & tun_flag::ERSPAN_OPT != 0 => ta::ERSPAN_OPTS,
        _ => return Ok(()),
    };
    let room = w.reserve(ty, len)?;
    // As long as both together, which the compiler does not see.
    for (to, from) in room.iter_mut().zip(near.iter().chain(far)) {
        *to = *from;
    }
    Ok(())
}
