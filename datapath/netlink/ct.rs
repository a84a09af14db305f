// SPDX-License-Identifier: GPL-2.0
//! The argument of a CT action: netlink attributes to [`Spec`] and back (spec C1 to C3, C15).
//!
//! C counterpart: `parse_ct()`, `parse_nat()` and `ovs_ct_action_to_attr()` in `net/openvswitch/conntrack.c`.

use super::attr::{align, Attr, HDRLEN};
use super::writer::{Put, Writer};
use crate::datapath::abi::{action_attr, ct_attr, nat_attr};
use crate::datapath::conntrack::spec::{
    AddrRange, Commit, Labels, Manip, Mark, Name, Nat, PortRange, Spec, HELPER_NAME, TIMEOUT_NAME,
};
use crate::datapath::env::conntrack::Features;
use crate::datapath::env::Env;
use crate::datapath::error::{NlError, NlResult};
use crate::World;
use kernel::error::code::{EINVAL, ENOTSUPP, ERANGE};
use kernel::str::CStr;

/// Reads the argument of CT into `spec`, which has the flow's family. ENOTSUPP where nothing is tracked.
pub fn parse(attr: Attr<'_>, spec: Spec) -> NlResult<Spec> {
    parse_with(attr, spec, World::CONNTRACK)
}

fn parse_with(attr: Attr<'_>, mut spec: Spec, has: Features) -> NlResult<Spec> {
    if !has.tracking {
        return Err(NlError::new(ENOTSUPP, c"Kernel has no connection tracking"));
    }
    let mut attrs = attr.nested();
    for a in &mut attrs {
        one(a, &mut spec, has)?;
    }
    if !spec.commits() && spec.mark.is_some() {
        return Err(at(c"Setting conntrack mark requires 'commit' flag", attr));
    }
    if !spec.commits() && spec.labels.is_some() {
        return Err(at(c"Setting conntrack labels requires 'commit' flag", attr));
    }
    if !attrs.rest().is_empty() {
        return Err(at(c"Trailing bytes in a ct action", attr));
    }
    Ok(spec)
}

/// One attribute; of duplicates the last counts (spec C2).
fn one(a: Attr<'_>, spec: &mut Spec, has: Features) -> NlResult {
    match a.ty() {
        ct_attr::COMMIT => {
            exact::<0>(a)?;
            spec.commit = spec.commit.max(Commit::Yes);
        }
        ct_attr::FORCE_COMMIT => {
            exact::<0>(a)?;
            spec.commit = Commit::Force;
        }
        ct_attr::ZONE if has.zones => spec.zone = u16::from_ne_bytes(exact(a)?),
        ct_attr::MARK if has.marks => {
            let [v0, v1, v2, v3, m0, m1, m2, m3] = exact(a)?;
            let mark = Mark {
                value: u32::from_ne_bytes([v0, v1, v2, v3]),
                mask: u32::from_ne_bytes([m0, m1, m2, m3]),
            };
            if mark.mask == 0 {
                return Err(at(c"ct_mark mask cannot be 0", a));
            }
            spec.mark = Some(mark);
        }
        ct_attr::LABELS if has.labels => {
            let (value, mask) = match a.payload().split_first_chunk() {
                Some((value, mask)) => (*value, <[u8; 16]>::try_from(mask).ok()),
                None => ([0; 16], None),
            };
            let mask = mask.ok_or_else(|| wrong_length(a))?;
            if mask == [0; 16] {
                return Err(at(c"ct_labels mask cannot be 0", a));
            }
            spec.labels = Some(Labels { value, mask });
        }
        ct_attr::HELPER => spec.helper = Some(name::<HELPER_NAME>(a)?),
        ct_attr::NAT if has.nat => parse_nat(a, spec)?,
        ct_attr::EVENTMASK => spec.event_mask = Some(u32::from_ne_bytes(exact(a)?)),
        ct_attr::TIMEOUT if has.timeouts => {
            spec.timeout = Some(name::<TIMEOUT_NAME>(a)?).filter(|name| !name.is_empty());
        }
        _ => return Err(at(c"Unknown conntrack attribute", a)),
    }
    Ok(())
}

/// What NAT attributes have said so far. Unlike all others a second NAT adds to the first, as in C.
fn parse_nat(nat_attr: Attr<'_>, spec: &mut Spec) -> NlResult {
    let had_nat = spec.nat.is_some();
    let mut nat = spec.nat.unwrap_or_default();
    let (mut has_manip, mut has_addr_max, mut has_port_max) = (had_nat, false, false);
    let mut attrs = nat_attr.nested();
    for a in &mut attrs {
        match a.ty() {
            nat_attr::SRC | nat_attr::DST => {
                exact::<0>(a)?;
                if has_manip {
                    let why = c"Only one type of NAT may be specified";
                    return Err(NlError::at(ERANGE, why, a.whole()));
                }
                has_manip = true;
                nat.manip = Some(match a.ty() {
                    nat_attr::SRC => Manip::Src,
                    _ => Manip::Dst,
                });
            }
            nat_attr::IP_MIN => nat.addrs.get_or_insert_default().min = addr(a, spec.ipv6)?,
            nat_attr::IP_MAX => {
                nat.addrs.get_or_insert_default().max = addr(a, spec.ipv6)?;
                has_addr_max = true;
            }
            nat_attr::PROTO_MIN => {
                nat.ports.get_or_insert_default().min = u16::from_ne_bytes(exact(a)?)
            }
            nat_attr::PROTO_MAX => {
                nat.ports.get_or_insert_default().max = u16::from_ne_bytes(exact(a)?);
                has_port_max = true;
            }
            nat_attr::PERSISTENT => nat.persistent = flag(a)?,
            nat_attr::PROTO_HASH => nat.hash = flag(a)?,
            nat_attr::PROTO_RANDOM => nat.random = flag(a)?,
            _ => return Err(at(c"Unknown NAT attribute", a)),
        }
    }
    if !attrs.rest().is_empty() {
        return Err(at(c"Trailing bytes in a NAT attribute", nat_attr));
    }
    if !has_manip {
        if nat != Nat::default() {
            return Err(at(c"NAT range without a type of NAT", nat_attr));
        }
    } else if !spec.commits() {
        // Only what stood before this attribute counts (spec C3).
        return Err(at(c"NAT range requires 'commit' flag before it", nat_attr));
    }
    if let (Some(addrs), false) = (&mut nat.addrs, has_addr_max) {
        addrs.max = addrs.min;
    }
    if let (Some(ports), false) = (&mut nat.ports, has_port_max) {
        ports.max = ports.min;
    }
    spec.nat = Some(nat);
    Ok(())
}

fn addr(a: Attr<'_>, ipv6: bool) -> NlResult<[u8; 16]> {
    if ipv6 {
        return exact(a);
    }
    let [a0, a1, a2, a3] = exact(a)?;
    Ok([a0, a1, a2, a3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn flag(a: Attr<'_>) -> NlResult<bool> {
    exact::<0>(a).map(|_| true)
}

/// 1 to `N` bytes with a NUL among them (spec B13).
fn name<const N: usize>(a: Attr<'_>) -> NlResult<Name<N>> {
    if a.len() > N {
        return Err(wrong_length(a));
    }
    Name::new(a.payload()).ok_or_else(|| at(c"Name without its NUL", a))
}

fn exact<const N: usize>(a: Attr<'_>) -> NlResult<[u8; N]> {
    <[u8; N]>::try_from(a.payload()).map_err(|_| wrong_length(a))
}

#[cold]
fn wrong_length(a: Attr<'_>) -> NlError {
    at(c"Conntrack attribute of wrong length", a)
}

#[cold]
fn at(why: &'static CStr, a: Attr<'_>) -> NlError {
    NlError::at(EINVAL, why, a.whole())
}

/// Bytes of the argument that [`put`] writes.
pub fn dump_len(spec: &Spec) -> usize {
    dump_len_with(spec, World::CONNTRACK)
}

fn dump_len_with(spec: &Spec, has: Features) -> usize {
    let attr = |there: bool, len: usize| {
        if there {
            align(len.saturating_add(HDRLEN))
        } else {
            0
        }
    };
    let name = |len: Option<usize>| attr(len.is_some(), len.unwrap_or(0));
    attr(spec.commits(), 0)
        .saturating_add(attr(has.zones, 2))
        .saturating_add(attr(spec.mark.is_some(), 8))
        .saturating_add(attr(spec.labels.is_some(), 32))
        .saturating_add(name(spec.helper.as_ref().map(Name::len_with_nul)))
        .saturating_add(attr(spec.event_mask.is_some(), 4))
        .saturating_add(name(spec.timeout.as_ref().map(Name::len_with_nul)))
        .saturating_add(spec.nat.as_ref().map_or(0, |nat| nat_len(nat, spec.ipv6)))
}

fn nat_len(nat: &Nat, ipv6: bool) -> usize {
    let addr = if ipv6 { 20 } else { 8 };
    let range = |is_range: bool, len: usize| if is_range { 2 * len } else { len };
    let flags = [nat.persistent, nat.hash, nat.random];
    if nat.manip.is_none() {
        return HDRLEN;
    }
    let addrs = nat.addrs.map_or(0, |r| range(r.min != r.max, addr));
    let ports = nat.ports.map_or(0, |r| range(r.min != r.max, 8));
    let flags = flags.iter().filter(|f| **f).count();
    // NAT, SRC or DST
    (2 * HDRLEN)
        .saturating_add(addrs)
        .saturating_add(ports)
        .saturating_add(flags.saturating_mul(HDRLEN))
}

/// Writes a CT action.
pub fn put(spec: &Spec, w: &mut Writer<'_>) -> Put {
    put_with(spec, w, World::CONNTRACK)
}

fn put_with(spec: &Spec, w: &mut Writer<'_>, has: Features) -> Put {
    let ct = w.nest(action_attr::CT)?;
    match spec.commit {
        Commit::No => {}
        Commit::Yes => w.put_flag(ct_attr::COMMIT)?,
        Commit::Force => w.put_flag(ct_attr::FORCE_COMMIT)?,
    }
    if has.zones {
        w.put_u16(ct_attr::ZONE, spec.zone)?;
    }
    if let Some(mark) = &spec.mark {
        w.put_u32s(ct_attr::MARK, &[mark.value, mark.mask])?;
    }
    if let Some(labels) = &spec.labels {
        let room = w.reserve_array::<32>(ct_attr::LABELS)?;
        let bytes = labels.value.iter().chain(&labels.mask);
        room.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
    }
    if let Some(name) = &spec.helper {
        w.put(ct_attr::HELPER, name.as_c_str().to_bytes_with_nul())?;
    }
    if let Some(mask) = spec.event_mask {
        w.put_u32(ct_attr::EVENTMASK, mask)?;
    }
    if let Some(name) = &spec.timeout {
        w.put(ct_attr::TIMEOUT, name.as_c_str().to_bytes_with_nul())?;
    }
    if let Some(nat) = &spec.nat {
        put_nat(nat, spec.ipv6, w)?;
    }
    w.end_nest(ct)
}

fn put_nat(nat: &Nat, ipv6: bool, w: &mut Writer<'_>) -> Put {
    let nest = w.nest(ct_attr::NAT)?;
    match nat.manip {
        None => return w.end_nest(nest),
        Some(Manip::Src) => w.put_flag(nat_attr::SRC)?,
        Some(Manip::Dst) => w.put_flag(nat_attr::DST)?,
    }
    if let Some(AddrRange { min, max }) = &nat.addrs {
        put_addr(nat_attr::IP_MIN, min, ipv6, w)?;
        if min != max {
            put_addr(nat_attr::IP_MAX, max, ipv6, w)?;
        }
    }
    if let Some(PortRange { min, max }) = nat.ports {
        w.put_u16(nat_attr::PROTO_MIN, min)?;
        if min != max {
            w.put_u16(nat_attr::PROTO_MAX, max)?;
        }
    }
    for (there, ty) in [
        (nat.persistent, nat_attr::PERSISTENT),
        (nat.hash, nat_attr::PROTO_HASH),
        (nat.random, nat_attr::PROTO_RANDOM),
    ] {
        if there {
            w.put_flag(ty)?;
        }
    }
    w.end_nest(nest)
}

fn put_addr(ty: u16, addr: &[u8; 16], ipv6: bool, w: &mut Writer<'_>) -> Put {
    let [a0, a1, a2, a3, ..] = *addr;
    if ipv6 {
        w.put(ty, addr)
    } else {
        w.put(ty, &[a0, a1, a2, a3])
    }
}

#[cfg(test)]
#[path = "ct_tests.rs"]
mod tests;
