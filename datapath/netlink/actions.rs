// SPDX-License-Identifier: GPL-2.0
//! Action lists: netlink attributes to [`Actions`] and back (spec section 4).
//!
//! Reading decides what an attribute says; whether it may stand where it stands is [`Checker`]'s business. Neither
//! direction recurses (spec A12, B4).
//!
//! C counterpart: `ovs_nla_copy_actions()` and `ovs_nla_put_actions()` in `net/openvswitch/flow_netlink.c`.

use super::attr::{align, Attr, Attrs, HDRLEN};
use super::writer::{Full, Mark, Put, Writer};
use super::{ct, key};
use crate::datapath::abi::{
    action_attr, check_pkt_len_attr as cpl, dec_ttl_attr, hash_alg, key_attr, psample_attr,
    sample_attr, userspace_attr,
};
use crate::datapath::actions::list::{Action, Field, HashAlg};
use crate::datapath::actions::set_field::swapped;
use crate::datapath::actions::validate::{Checker, MAX_DEPTH};
use crate::datapath::actions::Actions;
use crate::datapath::conntrack::action::CtAction;
use crate::datapath::env::{Env, Net, Psample};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::key::{Core, TUN_OPTS_MAX};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::nsh::HLEN_MAX;
use core::ops::Range;
use kernel::error::code::{EINVAL, EMSGSIZE, EOPNOTSUPP, ERANGE};

/// Compiles the list in `attr` for a flow of `net` with this masked key. May sleep. `probe`: userspace is only trying, log nothing (K38).
pub fn parse(net: &Net, attr: Attr<'_>, masked_key: &Core, probe: bool) -> NlResult<Actions> {
    let mut list = attr.nested();
    let mut check = Checker::new(masked_key, attr.len());
    check.expect(list.count())?;
    // The lists around the current one, and what comes between it and them.
    let mut outer = [(Attrs::new(&[]), None); MAX_DEPTH];
    let mut depth = 0usize;
    loop {
        let Some(a) = list.next() else {
            if !list.rest().is_empty() {
                return Err(NlError::new(EINVAL, c"Trailing bytes in an action list"));
            }
            let Some(i) = depth.checked_sub(1) else {
                return check.finish();
            };
            if let Some(second) = outer.get_mut(i).and_then(|(_, second)| second.take()) {
                check.otherwise();
                list = second;
                continue;
            }
            check.close()?;
            depth = i;
            list = outer.get(i).map_or(list, |(list, _)| *list);
            continue;
        };
        let last = list.rest().is_empty();
        let inner = one(net, &mut check, a, last, probe).map_err(|e| point_at(e, a))?;
        if let Some(inner) = inner {
            // The checker has refused what is deeper than `outer` has room for.
            if let Some(slot) = outer.get_mut(depth) {
                *slot = (list, inner.second);
                depth = depth.wrapping_add(1);
            }
            list = inner.first;
        }
    }
}

/// Names the innermost attribute at fault, unless the error already does.
#[cold]
fn point_at(e: NlError, a: Attr<'_>) -> NlError {
    NlError {
        attr: e.attr.or(Some(a.whole().as_ptr() as usize)),
        ..e
    }
}

/// The list that an action opened, and the one to go on with at its end.
struct Inner<'a> {
    first: Attrs<'a>,
    second: Option<Attrs<'a>>,
}

impl<'a> From<Attrs<'a>> for Inner<'a> {
    fn from(first: Attrs<'a>) -> Self {
        Self {
            first,
            second: None,
        }
    }
}

/// Reads one action. Returns what it opened, if anything.
fn one<'a>(
    net: &Net,
    check: &mut Checker<'_>,
    a: Attr<'a>,
    last: bool,
    probe: bool,
) -> NlResult<Option<Inner<'a>>> {
    match a.ty() {
        action_attr::OUTPUT => check.output(u32::from_ne_bytes(exact(a)?))?,
        action_attr::USERSPACE => userspace(check, a)?,
        action_attr::SET => set(check, a, false)?,
        action_attr::SET_MASKED => set(check, a, true)?,
        action_attr::PUSH_VLAN => check.push_vlan(exact(a)?)?,
        action_attr::POP_VLAN => {
            exact::<0>(a)?;
            check.pop_vlan()?;
        }
        action_attr::SAMPLE => return Ok(Some(sample(check, a, last)?.into())),
        action_attr::CLONE => {
            let list = nested_list(a)?;
            check.open_clone(last)?;
            return Ok(Some(list.into()));
        }
        action_attr::RECIRC => check.recirc(u32::from_ne_bytes(exact(a)?))?,
        action_attr::HASH => {
            let [a0, a1, a2, a3, b0, b1, b2, b3] = exact(a)?;
            check.hash(
                u32::from_ne_bytes([a0, a1, a2, a3]),
                u32::from_ne_bytes([b0, b1, b2, b3]),
            )?;
        }
        action_attr::TRUNC => check.trunc(u32::from_ne_bytes(exact(a)?))?,
        action_attr::PUSH_ETH => {
            let [s0, s1, s2, s3, s4, s5, dst @ ..] = exact::<12>(a)?;
            check.push_eth([s0, s1, s2, s3, s4, s5], dst)?;
        }
        action_attr::POP_ETH => {
            exact::<0>(a)?;
            check.pop_eth()?;
        }
        action_attr::PUSH_MPLS => check.push_mpls(exact(a)?)?,
        action_attr::ADD_MPLS => check.add_mpls(exact(a)?)?,
        action_attr::POP_MPLS => check.pop_mpls(Be16::from_bytes(exact(a)?).get())?,
        action_attr::PUSH_NSH => push_nsh(check, a)?,
        action_attr::POP_NSH => {
            exact::<0>(a)?;
            check.pop_nsh()?;
        }
        action_attr::METER => check.meter(u32::from_ne_bytes(exact(a)?))?,
        action_attr::CT => {
            let spec = ct::parse(a, check.ct_family()?)?;
            let ct = CtAction::new(net, spec, probe)?;
            check.ct(ct, ct::dump_len(&spec))?;
        }
        action_attr::CT_CLEAR => {
            exact::<0>(a)?;
            check.ct_clear()?;
        }
        action_attr::CHECK_PKT_LEN => return check_pkt_len(check, a, last).map(Some),
        action_attr::DEC_TTL => return Ok(Some(dec_ttl(check, a)?.into())),
        action_attr::DROP => check.drop(u32::from_ne_bytes(exact(a)?), last)?,
        action_attr::PSAMPLE => match crate::World::psample() {
            Psample::On => psample(check, a)?,
            Psample::Off => {
                return Err(NlError::new(EOPNOTSUPP, c"This kernel takes no samples"));
            }
            Psample::Unknown => return Err(unknown()),
        },
        _ => return Err(unknown()),
    }
    Ok(None)
}

/// Numbers that nobody has (spec A1).
#[cold]
fn unknown() -> NlError {
    NlError::new(EINVAL, c"Unknown action type")
}

/// The argument of an action of fixed length.
fn exact<const N: usize>(a: Attr<'_>) -> NlResult<[u8; N]> {
    match a.bytes() {
        Some(b) if a.len() == N => Ok(b),
        _ => Err(NlError::new(EINVAL, c"Action argument of wrong length")),
    }
}

/// A nested list is empty or holds at least one header.
fn nested_list(a: Attr<'_>) -> NlResult<Attrs<'_>> {
    if (1..HDRLEN).contains(&a.len()) {
        return Err(NlError::new(EINVAL, c"Nested action list too short"));
    }
    Ok(a.nested())
}

fn sample<'a>(check: &mut Checker<'_>, a: Attr<'a>, last: bool) -> NlResult<Attrs<'a>> {
    let (mut probability, mut actions) = (None, None);
    let mut attrs = a.nested();
    for inner in &mut attrs {
        let slot = match inner.ty() {
            sample_attr::PROBABILITY => &mut probability,
            sample_attr::ACTIONS => &mut actions,
            _ => {
                return Err(NlError::at(
                    EINVAL,
                    c"Unknown sample attribute",
                    inner.whole(),
                ))
            }
        };
        if slot.replace(inner).is_some() {
            return Err(NlError::at(
                EINVAL,
                c"Duplicate sample attribute",
                inner.whole(),
            ));
        }
    }
    let (Some(probability), Some(actions), true) = (probability, actions, attrs.is_exhausted())
    else {
        return Err(NlError::new(EINVAL, c"Sample action is incomplete"));
    };
    let probability = u32::from_ne_bytes(exact(probability)?);
    let list = nested_list(actions)?;
    check.open_sample(probability, last)?;
    Ok(list)
}

/// Of duplicates the last counts. ERANGE for what is too short.
fn check_pkt_len<'a>(check: &mut Checker<'_>, a: Attr<'a>, last: bool) -> NlResult<Inner<'a>> {
    let (mut pkt_len, mut fits, mut greater) = (None, None, None);
    let mut attrs = a.nested();
    for inner in &mut attrs {
        match inner.ty() {
            cpl::PKT_LEN => pkt_len = Some(inner.u16().ok_or(ERANGE)?),
            cpl::IF_LESS_EQUAL => fits = Some(policy_nested(inner)?),
            cpl::IF_GREATER => greater = Some(policy_nested(inner)?),
            _ => {
                return Err(NlError::at(
                    EINVAL,
                    c"Unknown check_pkt_len attribute",
                    inner.whole(),
                ))
            }
        }
    }
    let (Some(pkt_len), Some(first), Some(_), true) =
        (pkt_len, fits, greater, attrs.rest().is_empty())
    else {
        return Err(NlError::new(EINVAL, c"Action check_pkt_len is incomplete"));
    };
    check.open_check_pkt_len(pkt_len, last)?;
    Ok(Inner {
        first,
        second: greater,
    })
}

/// A nested list as the kernel's policies have it.
fn policy_nested(a: Attr<'_>) -> NlResult<Attrs<'_>> {
    if (1..HDRLEN).contains(&a.len()) {
        return Err(NlError::at(
            ERANGE,
            c"Nested action list too short",
            a.whole(),
        ));
    }
    Ok(a.nested())
}

/// What nobody knows is ignored (B56).
fn dec_ttl<'a>(check: &mut Checker<'_>, a: Attr<'a>) -> NlResult<Attrs<'a>> {
    let mut actions = None;
    let mut attrs = a.nested();
    for inner in &mut attrs {
        let ok = match inner.ty() {
            dec_ttl_attr::ACTION => actions.replace(inner).is_none(),
            ty => ty != 0,
        };
        if !ok {
            return Err(NlError::at(
                EINVAL,
                c"Duplicate or invalid dec_ttl attribute",
                inner.whole(),
            ));
        }
    }
    let (Some(actions), true) = (actions, attrs.is_exhausted()) else {
        return Err(NlError::new(EINVAL, c"Action dec_ttl is incomplete"));
    };
    let list = nested_list(actions)?;
    check.open_dec_ttl()?;
    Ok(list)
}

/// Spec 4.1 and 0.4: sub-attributes that nobody knows are refused.
fn userspace(check: &mut Checker<'_>, a: Attr<'_>) -> NlResult {
    let (mut pid, mut data, mut egress, mut with_actions) = (0, None, None, false);
    let mut attrs = a.nested();
    let mut at = 0usize;
    for inner in &mut attrs {
        match inner.ty() {
            userspace_attr::PID => pid = inner.u32().ok_or(ERANGE)?,
            userspace_attr::USERDATA => {
                let from = at.wrapping_add(HDRLEN) as u16; // CAST: within a payload
                data = Some((from, inner.len() as u16)); // CAST: as above
            }
            userspace_attr::EGRESS_TUN_PORT => egress = Some(inner.u32().ok_or(ERANGE)?),
            userspace_attr::ACTIONS => with_actions = true,
            _ => {
                return Err(NlError::at(
                    EINVAL,
                    c"Unknown userspace attribute",
                    inner.whole(),
                ))
            }
        }
        at = at.wrapping_add(align(inner.len().wrapping_add(HDRLEN)));
    }
    if !attrs.rest().is_empty() {
        return Err(NlError::new(
            EINVAL,
            c"Trailing bytes in a userspace action",
        ));
    }
    check.userspace(a.payload(), pid, data, egress, with_actions)
}

/// The only action that is parsed strictly (spec A14). Of duplicates the last counts.
fn psample(check: &mut Checker<'_>, a: Attr<'_>) -> NlResult {
    if !a.is_flagged_nested() {
        return Err(NlError::new(EINVAL, c"NLA_F_NESTED is missing"));
    }
    let (mut group, mut cookie) = (None, &[][..]);
    let mut attrs = a.nested();
    for inner in &mut attrs {
        let (flagged, len) = (inner.is_flagged_nested(), inner.len());
        match inner.ty() {
            psample_attr::GROUP if len == 4 && !flagged => group = inner.u32(),
            psample_attr::COOKIE if len <= psample_attr::COOKIE_MAX && !flagged => {
                cookie = inner.payload();
            }
            psample_attr::COOKIE if !flagged => {
                return Err(NlError::at(ERANGE, c"Cookie too long", inner.whole()));
            }
            _ => {
                return Err(NlError::at(
                    EINVAL,
                    c"Unknown or malformed psample attribute",
                    inner.whole(),
                ))
            }
        }
    }
    let (Some(group), true) = (group, attrs.rest().is_empty()) else {
        return Err(NlError::new(EINVAL, c"Action psample is incomplete"));
    };
    check.psample(a.payload(), group, cookie)
}

/// PUSH_NSH holds exactly one key attribute, NSH (B8).
fn push_nsh(check: &mut Checker<'_>, a: Attr<'_>) -> NlResult {
    let nsh = match Attr::split_first(a.payload()) {
        Some((nsh, _))
            if align(nsh.len().wrapping_add(HDRLEN)) == a.len() && nsh.ty() == key_attr::NSH =>
        {
            nsh
        }
        _ => {
            return Err(NlError::new(
                EINVAL,
                c"Action push_nsh needs exactly one NSH attribute",
            ))
        }
    };
    let mut room = [0; HLEN_MAX];
    let header = key::nsh::header(nsh, &mut room)?;
    check.push_nsh(a.payload(), header)
}

/// SET and SET_MASKED hold exactly one key attribute (spec A16, B5).
fn set(check: &mut Checker<'_>, a: Attr<'_>, masked: bool) -> NlResult {
    let key = match Attr::split_first(a.payload()) {
        Some((key, _)) if align(key.len().wrapping_add(HDRLEN)) == a.len() => key,
        _ => {
            return Err(NlError::new(
                EINVAL,
                c"Set action needs exactly one key attribute",
            ))
        }
    };
    if key.ty() == key_attr::TUNNEL && !masked {
        return set_tunnel(check, key);
    }
    let Some(field) = Field::from_attr(key.ty()) else {
        return Err(NlError::at(
            EINVAL,
            c"Key attribute cannot be set",
            key.whole(),
        ));
    };
    if !masked {
        return check.set(field, key.payload());
    }
    match key.payload().split_at_checked(field.size()) {
        Some((value, mask)) => check.set_masked(field, value, mask),
        None => Err(NlError::at(
            EINVAL,
            c"Set action of wrong length",
            key.whole(),
        )),
    }
}

/// SET(TUNNEL); dumped in the order that keys have.
fn set_tunnel(check: &mut Checker<'_>, tunnel: Attr<'_>) -> NlResult {
    let key = key::tunnel::parse_tx(tunnel)?;
    let mut room = [0; TUN_OPTS_MAX];
    let info = key::tunnel::info(&key, &mut room);
    let mut attrs = [0; key::tunnel::ATTRS_MAX];
    let mut w = Writer::new(&mut attrs);
    key::tunnel::put_info(&mut w, &info).map_err(|Full| EMSGSIZE)?;
    check.set_tunnel(&info, w.written())
}

/// Writes a list in the user's form (spec A6). On failure the writer is as before.
pub fn put(acts: &Actions, w: &mut Writer<'_>, attr_type: u16) -> Put {
    put_range(acts, 0..acts.as_slice().len(), w, attr_type)
}

/// The same for a nested list of `acts`, given as array indices (spec A34).
pub fn put_range(acts: &Actions, list: Range<usize>, w: &mut Writer<'_>, attr_type: u16) -> Put {
    let start = w.mark();
    let result = put_list(acts, list, w, attr_type);
    if result.is_err() {
        w.cancel(start);
    }
    result
}

/// A list being written: where it ends, and the attributes that end with it.
struct Open {
    end: usize,
    nest: Mark,
    /// What is around the list and ends with it: SAMPLE, CHECK_PKT_LEN, DEC_TTL.
    around: Option<Mark>,
    /// Where the list of IF_GREATER ends, which then follows.
    greater: Option<usize>,
}

fn put_list(acts: &Actions, list: Range<usize>, w: &mut Writer<'_>, attr_type: u16) -> Put {
    let start = w.mark();
    let nest = w.nest(attr_type)?;
    for action in acts.as_slice().get(list.clone()).ok_or(Full)? {
        match action {
            // Most lists are this and nothing else.
            Action::Output(port) => w.put_u32(action_attr::OUTPUT, (*port).into())?,
            action if action.holds_lists() => {
                w.cancel(start);
                return put_lists(acts, list, w, attr_type);
            }
            action => put_flat(acts, action, w)?,
        }
    }
    w.end_nest(nest)
}

/// [`put_list`] of a list with lists in it.
#[inline(never)]
fn put_lists(acts: &Actions, list: Range<usize>, w: &mut Writer<'_>, attr_type: u16) -> Put {
    let all = acts.as_slice();
    let mut at = list.start;
    let mut cur = Open {
        end: list.end,
        nest: w.nest(attr_type)?,
        around: None,
        greater: None,
    };
    let mut outer = [const { None }; MAX_DEPTH];
    let mut depth = 0usize;
    loop {
        if at >= cur.end {
            w.end_nest(cur.nest)?;
            if let Some(end) = cur.greater.take() {
                cur.end = end;
                cur.nest = w.nest(cpl::IF_GREATER)?;
                continue;
            }
            if let Some(around) = cur.around {
                w.end_nest(around)?;
            }
            let Some(i) = depth.checked_sub(1) else {
                return Ok(());
            };
            depth = i;
            cur = outer.get_mut(i).and_then(Option::take).ok_or(Full)?;
            continue;
        }
        let action = all.get(at).ok_or(Full)?;
        let next = at.wrapping_add(action.extent());
        at = at.wrapping_add(1);
        let Some(inner) = open(action, at, next, w)? else {
            put_flat(acts, action, w)?;
            continue;
        };
        let slot = outer.get_mut(depth).ok_or(Full)?;
        *slot = Some(core::mem::replace(&mut cur, inner));
        depth = depth.wrapping_add(1);
    }
}

/// Starts an action that holds lists, from `at` to `next`; `None` for any other.
fn open(action: &Action, at: usize, next: usize, w: &mut Writer<'_>) -> Put<Option<Open>> {
    let (around, list, end, greater) = match action {
        Action::Sample { probability, .. } => {
            let around = w.nest(action_attr::SAMPLE)?;
            w.put_u32(sample_attr::PROBABILITY, *probability)?;
            (Some(around), sample_attr::ACTIONS, next, None)
        }
        Action::CheckPktLen(c) => {
            let around = w.nest(action_attr::CHECK_PKT_LEN)?;
            w.put_u16(cpl::PKT_LEN, c.pkt_len)?;
            let end = at.wrapping_add(c.fits as usize);
            (Some(around), cpl::IF_LESS_EQUAL, end, Some(next))
        }
        Action::DecTtl(_) => {
            let around = w.nest(action_attr::DEC_TTL)?;
            (Some(around), dec_ttl_attr::ACTION, next, None)
        }
        Action::Clone(_) => (None, action_attr::CLONE, next, None),
        _ => return Ok(None),
    };
    Ok(Some(Open {
        end,
        nest: w.nest(list)?,
        around,
        greater,
    }))
}

/// SET or, with a mask, SET_MASKED.
fn put_set(w: &mut Writer<'_>, field: Field, value: &[u8], mask: Option<&[u8]>) -> Put {
    let set = w.nest(match mask {
        Some(_) => action_attr::SET_MASKED,
        None => action_attr::SET,
    })?;
    let attr = w.nest(field.attr())?;
    w.append(value)?;
    w.append(mask.unwrap_or(&[]))?;
    w.end_nest(attr)?;
    w.end_nest(set)
}

/// Writes an action that holds no list.
fn put_flat(acts: &Actions, action: &Action, w: &mut Writer<'_>) -> Put {
    match *action {
        Action::Output(port) => w.put_u32(action_attr::OUTPUT, port.into()),
        Action::Userspace(ref u) => w.put(action_attr::USERSPACE, acts.userspace_bytes(u)),
        Action::SetAddresses {
            masked,
            ref addresses,
        } => {
            let value = swapped(addresses);
            put_set(w, Field::Ethernet, &value, masked.then_some(&[0xff; 12]))
        }
        Action::SetTosTtl(set) => {
            let (value, mask) = set.to_attr();
            put_set(w, Field::Ipv4, &value, Some(&mask))
        }
        Action::Set { field, masked, at } => {
            let (value, mask) = acts.set_bytes(field, at);
            put_set(w, field, value, masked.then_some(mask))
        }
        Action::SetTunnel { at, len, .. } => {
            let set = w.nest(action_attr::SET)?;
            w.put(key_attr::TUNNEL, acts.tunnel_attrs(at, len))?;
            w.end_nest(set)
        }
        Action::PushVlan(tag) => {
            let (tpid, tci) = tag.to_attr();
            let ([p0, p1], [t0, t1]) = (tpid.to_bytes(), tci.to_bytes());
            w.put(action_attr::PUSH_VLAN, &[p0, p1, t0, t1])
        }
        Action::PopVlan => w.put_flag(action_attr::POP_VLAN),
        Action::Recirc(id) => w.put_u32(action_attr::RECIRC, id),
        Action::Hash { alg, basis } => {
            let alg = match alg {
                HashAlg::L4 => hash_alg::L4,
                HashAlg::SymL4 => hash_alg::SYM_L4,
            };
            let [a0, a1, a2, a3] = alg.to_ne_bytes();
            let [b0, b1, b2, b3] = basis.to_ne_bytes();
            w.put(action_attr::HASH, &[a0, a1, a2, a3, b0, b1, b2, b3])
        }
        Action::Trunc(len) => w.put_u32(action_attr::TRUNC, len),
        Action::PushEth { src, dst } => {
            let room = w.reserve(action_attr::PUSH_ETH, 12)?;
            let (s, d) = room.split_at_mut_checked(6).ok_or(Full)?;
            s.copy_from_slice(&src);
            d.copy_from_slice(&dst);
            Ok(())
        }
        Action::PopEth => w.put_flag(action_attr::POP_ETH),
        Action::PushMpls(arg) => w.put(action_attr::PUSH_MPLS, &arg),
        Action::AddMpls(arg) => w.put(action_attr::ADD_MPLS, &arg),
        Action::PopMpls(ty) => w.put(action_attr::POP_MPLS, &Be16::new(ty).to_bytes()),
        Action::PushNsh(ref nsh) => w.put(action_attr::PUSH_NSH, acts.push_nsh_bytes(nsh)),
        Action::PopNsh => w.put_flag(action_attr::POP_NSH),
        Action::Meter(id) => w.put_u32(action_attr::METER, id),
        Action::Ct(index) => ct::put(&acts.ct(index).ok_or(Full)?.spec, w),
        Action::CtClear => w.put_flag(action_attr::CT_CLEAR),
        Action::Drop(code) => w.put_u32(action_attr::DROP, code),
        Action::Psample(ref p) => w.put(action_attr::PSAMPLE, acts.psample_bytes(p)),
        // Lists inside lists are the caller's.
        Action::Sample { .. } | Action::Clone(_) | Action::CheckPktLen(_) | Action::DecTtl(_) => {
            Err(Full)
        }
    }
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
