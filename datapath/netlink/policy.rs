// SPDX-License-Identifier: GPL-2.0
//! Liberal policy validation of a request's top-level attributes, and of a meter's bands (spec N5).
//!
//! The errors are netlink core's. Core has checked requests by the policies in `kmod/tables.c` before; that is a second
//! line, which on old kernels knows no ranges, and dumps it does not check.
//!
//! C counterpart: `nla_validate_parse()` in `lib/nlattr.c`, and the `*_policy` tables in `net/openvswitch/datapath.c`.

use super::attr::{Attr, Attrs};
use super::TopAttrs;
use crate::datapath::abi::{
    band_attr, ct_limit_attr, dp_attr, flow_attr, meter_attr, packet_attr, vport_attr,
};
use crate::datapath::env::Group;
use crate::datapath::error::{NlError, NlResult};
use kernel::error::code::{EINVAL, ERANGE};

/// Entries in a CPU's mask cache at most: `PCPU_MIN_UNIT_SIZE` in entries of 8 bytes.
pub const MASKS_CACHE_MAX: u32 = 4096;

/// What an attribute must be.
#[derive(Clone, Copy)]
enum Rule {
    /// At least so many bytes; integers too, whose excess bytes are ignored.
    Min(u32),
    /// An unsigned 32-bit integer up to the bound.
    U32Max(u32),
    /// A signed 32-bit integer, not negative.
    S32NotNegative,
    /// Empty, or long enough for an attribute header.
    Nested,
    /// Empty.
    Flag,
    /// A string of at most so many bytes and its NUL.
    NulString(usize),
}

const U16: Rule = Rule::Min(2);
const U32: Rule = Rule::Min(4);
const U64: Rule = Rule::Min(8);
const NAME: Rule = Rule::NulString(15);
/// `struct ovs_flow_stats`
const FLOW_STATS: Rule = Rule::Min(16);

const fn rule(family: Group, ty: u16) -> Rule {
    match family {
        Group::Datapath => match ty {
            dp_attr::NAME => NAME,
            dp_attr::UPCALL_PID | dp_attr::USER_FEATURES => U32,
            dp_attr::MASKS_CACHE_SIZE => Rule::U32Max(MASKS_CACHE_MAX),
            dp_attr::IFINDEX => Rule::S32NotNegative,
            _ => Rule::Min(0),
        },
        Group::Vport => match ty {
            vport_attr::NAME => NAME,
            vport_attr::PORT_NO | vport_attr::TYPE | vport_attr::NETNSID => U32,
            vport_attr::STATS => Rule::Min(64),
            vport_attr::OPTIONS | vport_attr::UPCALL_STATS => Rule::Nested,
            vport_attr::IFINDEX => Rule::S32NotNegative,
            _ => Rule::Min(0),
        },
        Group::Flow => match ty {
            flow_attr::KEY | flow_attr::MASK | flow_attr::ACTIONS => Rule::Nested,
            flow_attr::CLEAR | flow_attr::PROBE => Rule::Flag,
            flow_attr::UFID => Rule::Min(1),
            flow_attr::UFID_FLAGS => U32,
            _ => Rule::Min(0),
        },
        Group::Packet => match ty {
            packet_attr::PACKET => Rule::Min(14),
            packet_attr::KEY | packet_attr::ACTIONS => Rule::Nested,
            packet_attr::PROBE => Rule::Flag,
            packet_attr::MRU => U16,
            packet_attr::HASH => U64,
            packet_attr::UPCALL_PID => U32,
            _ => Rule::Min(0),
        },
        Group::Meter => match ty {
            meter_attr::ID | meter_attr::MAX_METERS | meter_attr::MAX_BANDS => U32,
            meter_attr::KBPS | meter_attr::CLEAR => Rule::Flag,
            meter_attr::STATS => FLOW_STATS,
            meter_attr::BANDS => Rule::Nested,
            meter_attr::USED => U64,
            _ => Rule::Min(0),
        },
        Group::CtLimit => match ty {
            ct_limit_attr::ZONE_LIMIT => Rule::Nested,
            _ => Rule::Min(0),
        },
    }
}

const fn band_rule(ty: u16) -> Rule {
    match ty {
        band_attr::TYPE | band_attr::RATE | band_attr::BURST => U32,
        band_attr::STATS => FLOW_STATS,
        _ => Rule::Min(0),
    }
}

/// Rules by attribute type: what `$rule` says of each type, looked up instead of asked. Types beyond the end have none.
macro_rules! table {
    ($name:ident, $max:expr, |$ty:ident| $rule:expr) => {
        static $name: [Rule; $max + 1] = {
            let mut table = [Rule::Min(0); $max + 1];
            let mut $ty = 0u16;
            while ($ty as usize) < table.len() {
                table[$ty as usize] = $rule;
                $ty += 1;
            }
            table
        };
    };
}

table!(DATAPATH, dp_attr::MAX, |ty| rule(Group::Datapath, ty));
table!(VPORT, vport_attr::MAX, |ty| rule(Group::Vport, ty));
table!(FLOW, flow_attr::MAX, |ty| rule(Group::Flow, ty));
table!(PACKET, packet_attr::MAX, |ty| rule(Group::Packet, ty));
table!(METER, meter_attr::MAX, |ty| rule(Group::Meter, ty));
table!(CT_LIMIT, ct_limit_attr::MAX, |ty| rule(Group::CtLimit, ty));
table!(BAND, band_attr::MAX, |ty| band_rule(ty));

fn rules(family: Group) -> &'static [Rule] {
    match family {
        Group::Datapath => &DATAPATH,
        Group::Vport => &VPORT,
        Group::Flow => &FLOW,
        Group::Packet => &PACKET,
        Group::Meter => &METER,
        Group::CtLimit => &CT_LIMIT,
    }
}

/// Sorts the attributes of a `family` request by type into `top`, which has none yet. Unknown types are skipped, of
/// duplicates the last counts but every one is checked, trailing bytes are ignored.
pub fn validate<'a>(family: Group, attrs: &'a [u8], top: &mut TopAttrs<'a>) -> NlResult {
    sort(attrs, rules(family), top)
}

/// The same for the attributes of a meter's band, which core does not look into.
pub fn validate_band<'a>(band: Attr<'a>, top: &mut TopAttrs<'a>) -> NlResult {
    sort(band.payload(), &BAND, top)
}

#[inline]
fn sort<'a>(attrs: &'a [u8], rules: &[Rule], top: &mut TopAttrs<'a>) -> NlResult {
    for attr in Attrs::new(attrs) {
        let ty = usize::from(attr.ty());
        let Some(rule) = rules.get(ty).filter(|_| ty != 0) else {
            continue;
        };
        match *rule {
            Rule::Min(n) if attr.len() >= n as usize => {}
            Rule::Nested if attr.len() >= super::attr::HDRLEN => {}
            rule => check(rule, &attr)?,
        }
        if let Some(slot) = top.0.get_mut(ty) {
            *slot = Some(attr);
        }
    }
    Ok(())
}

/// By itself, so that what is above stays small enough to stand where requests come in.
#[inline(never)]
fn check(rule: Rule, attr: &Attr<'_>) -> NlResult {
    let len = attr.len();
    let long_enough = match rule {
        Rule::Min(n) => len >= n as usize,
        Rule::U32Max(max) => return check_range(attr, attr.u32().map(|v| v <= max)),
        Rule::S32NotNegative => return check_range(attr, attr.u32().map(|v| v <= i32::MAX as u32)),
        Rule::Nested => len == 0 || len >= super::attr::HDRLEN,
        Rule::Flag => len == 0,
        Rule::NulString(max) => return check_string(attr, max),
    };
    if long_enough {
        return Ok(());
    }
    Err(failed(attr, ERANGE))
}

fn check_range(attr: &Attr<'_>, within: Option<bool>) -> NlResult {
    match within {
        Some(true) => Ok(()),
        Some(false) => Err(NlError::at(ERANGE, c"integer out of range", attr.whole())),
        None => Err(failed(attr, ERANGE)),
    }
}

fn check_string(attr: &Attr<'_>, max: usize) -> NlResult {
    let text = attr.payload();
    if !text.iter().take(max.wrapping_add(1)).any(|&b| b == 0) {
        return Err(failed(attr, EINVAL));
    }
    let len = match text.split_last() {
        Some((0, head)) => head.len(),
        _ => text.len(),
    };
    if len > max {
        return Err(failed(attr, ERANGE));
    }
    Ok(())
}

#[cold]
fn failed(attr: &Attr<'_>, errno: kernel::error::Error) -> NlError {
    NlError::at(errno, c"Attribute failed policy validation", attr.whole())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr(ty: u16, payload: &[u8]) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(((payload.len() + 4) as u16).to_ne_bytes());
        b.extend(ty.to_ne_bytes());
        b.extend(payload);
        b.resize(b.len().next_multiple_of(4), 0);
        b
    }

    fn errno(family: Group, bytes: &[u8]) -> Option<kernel::error::Error> {
        validate(family, bytes, &mut TopAttrs::empty())
            .err()
            .map(|e| e.errno)
    }

    #[test]
    fn names() {
        let name = |p: &[u8]| errno(Group::Datapath, &attr(dp_attr::NAME, p));
        assert_eq!(name(b"br0\0"), None);
        assert_eq!(name(b"123456789012345\0"), None);
        assert_eq!(name(b"1234567890123456\0"), Some(EINVAL));
        assert_eq!(name(b"br0"), Some(EINVAL));
        assert_eq!(name(b""), Some(EINVAL));
        assert_eq!(name(b"br0\0aaaaaaaaaaaaaaaaaaaa"), Some(ERANGE));
        assert_eq!(name(b"br0\0aaaaaaaaaaa\0"), None);
    }

    #[test]
    fn lengths_and_ranges() {
        let cache = |p: &[u8]| errno(Group::Datapath, &attr(dp_attr::MASKS_CACHE_SIZE, p));
        assert_eq!(cache(&4096u32.to_ne_bytes()), None);
        assert_eq!(cache(&4097u32.to_ne_bytes()), Some(ERANGE));
        assert_eq!(cache(&[0; 3]), Some(ERANGE));
        assert_eq!(cache(&[0; 9]), None);
        let ifindex = |v: i32| errno(Group::Vport, &attr(vport_attr::IFINDEX, &v.to_ne_bytes()));
        assert_eq!(ifindex(0), None);
        assert_eq!(ifindex(-1), Some(ERANGE));
        assert_eq!(
            errno(Group::Vport, &attr(vport_attr::STATS, &[0; 63])),
            Some(ERANGE)
        );
        assert_eq!(errno(Group::Flow, &attr(flow_attr::KEY, &[])), None);
        assert_eq!(
            errno(Group::Flow, &attr(flow_attr::KEY, &[0; 3])),
            Some(ERANGE)
        );
        assert_eq!(errno(Group::Flow, &attr(flow_attr::KEY, &[0; 4])), None);
        assert_eq!(
            errno(Group::Flow, &attr(flow_attr::PROBE, &[0])),
            Some(ERANGE)
        );
        assert_eq!(
            errno(Group::Flow, &attr(flow_attr::UFID, &[])),
            Some(ERANGE)
        );
        assert_eq!(
            errno(Group::Packet, &attr(packet_attr::PACKET, &[0; 13])),
            Some(ERANGE)
        );
        assert_eq!(
            errno(Group::Packet, &attr(packet_attr::PACKET, &[0; 14])),
            None
        );
    }

    #[test]
    fn liberal() {
        let mut b = attr(dp_attr::USER_FEATURES, &1u32.to_ne_bytes());
        b.extend(attr(0, &[1]));
        b.extend(attr(300, &[1]));
        b.extend(attr(dp_attr::USER_FEATURES | 0x8000, &2u32.to_ne_bytes()));
        b.extend([1, 2, 3]);
        let mut top = TopAttrs::empty();
        validate(Group::Datapath, &b, &mut top).unwrap();
        assert_eq!(top.get(dp_attr::USER_FEATURES).unwrap().u32(), Some(2));
    }

    #[test]
    fn every_duplicate_is_checked() {
        let mut b = attr(dp_attr::USER_FEATURES, &[1]);
        b.extend(attr(dp_attr::USER_FEATURES, &2u32.to_ne_bytes()));
        assert_eq!(errno(Group::Datapath, &b), Some(ERANGE));
    }
}
