// SPDX-License-Identifier: GPL-2.0
//! Requests and replies of ovs_ct_limit (spec 7.2).
//!
//! C counterpart: `ovs_ct_limit_*()` in `net/openvswitch/conntrack.c`.

use super::attr::HDRLEN;
use super::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use super::TopAttrs;
use crate::datapath::abi::ct_limit_attr as attr;
use crate::datapath::env::Env;
use crate::datapath::error::{NlError, NlResult};
use crate::World;
use kernel::error::code::EINVAL;
use kernel::pr_info;

/// Bytes of a reply that lists nothing.
pub const REPLY_SIZE: usize = MSG_HDRLEN + HDRLEN;
/// Bytes of `struct ovs_zone_limit`.
const ENTRY: usize = 12;

/// Bytes of a reply that lists `n` limits, if an attribute can (L4).
pub fn reply_size(n: usize) -> usize {
    let limits = n.saturating_mul(ENTRY).min(usize::from(u16::MAX));
    REPLY_SIZE.wrapping_add(limits)
}
/// `OVS_ZONE_LIMIT_DEFAULT_ZONE`
const DEFAULT_ZONE: i32 = -1;

/// Whose limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// That of all zones that have none of their own.
    Default,
    No(u16),
}

/// An element of ZONE_LIMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneLimit {
    pub zone: Zone,
    /// 0 for none.
    pub limit: u32,
    pub count: u32,
}

/// The zones of SET or DEL, as `request` says for the log, which must have some (spec L2).
pub fn required<'a>(attrs: &TopAttrs<'a>, request: &'static str) -> NlResult<ZoneLimits<'a>> {
    zones(attrs, request).ok_or_else(|| NlError::new(EINVAL, c"Zone limits are required"))
}

/// The zones of GET.
pub fn optional<'a>(attrs: &TopAttrs<'a>) -> Option<ZoneLimits<'a>> {
    zones(attrs, "get")
}

fn zones<'a>(attrs: &TopAttrs<'a>, request: &'static str) -> Option<ZoneLimits<'a>> {
    let rest = attrs.get(attr::ZONE_LIMIT)?.payload();
    Some(ZoneLimits { rest, request })
}

/// Elements of a ZONE_LIMIT, which has no attributes inside. Zones that cannot be are logged and left out, and so are
/// bytes too few for an element (spec L1, B18).
#[derive(Clone, Copy)]
pub struct ZoneLimits<'a> {
    rest: &'a [u8],
    request: &'static str,
}

impl ZoneLimits<'_> {
    /// Elements at most.
    pub fn max_len(&self) -> usize {
        self.rest.len() / ENTRY
    }
}

impl Iterator for ZoneLimits<'_> {
    type Item = ZoneLimit;

    fn next(&mut self) -> Option<ZoneLimit> {
        loop {
            let Some((entry, rest)) = self.rest.split_first_chunk::<ENTRY>() else {
                let left = self.rest.len();
                if left != 0 && World::log_allowed() {
                    let request = self.request;
                    pr_info!("netlink: {request} zone limit has {left} unknown bytes\n");
                }
                self.rest = &[];
                return None;
            };
            self.rest = rest;
            let [z0, z1, z2, z3, l0, l1, l2, l3, c0, c1, c2, c3] = *entry;
            let zone = match i32::from_ne_bytes([z0, z1, z2, z3]) {
                DEFAULT_ZONE => Some(Zone::Default),
                id => u16::try_from(id).ok().map(Zone::No),
            };
            if let Some(zone) = zone {
                return Some(ZoneLimit {
                    zone,
                    limit: u32::from_ne_bytes([l0, l1, l2, l3]),
                    count: u32::from_ne_bytes([c0, c1, c2, c3]),
                });
            }
            if World::log_allowed() {
                pr_info!("netlink: zone id is out of range\n");
            }
        }
    }
}

/// The reply to SET and DEL: nothing (spec L2).
pub fn write_empty(w: &mut Writer<'_>, header: &MsgHeader) -> Put {
    w.message(header, |_| Ok(()))
}

/// The reply to GET; `body` writes what it lists with [`put`].
pub fn write_limits(
    w: &mut Writer<'_>,
    header: &MsgHeader,
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Put {
    w.message(header, |w| {
        let nest = w.nest(attr::ZONE_LIMIT)?;
        body(w)?;
        w.end_nest(nest)
    })
}

/// An element of ZONE_LIMIT.
pub fn put(w: &mut Writer<'_>, limit: &ZoneLimit) -> Put {
    let zone = match limit.zone {
        Zone::Default => DEFAULT_ZONE,
        Zone::No(id) => id.into(),
    };
    w.put_raw(&zone.to_ne_bytes())?;
    w.put_raw(&limit.limit.to_ne_bytes())?;
    w.put_raw(&limit.count.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(bytes: &[u8]) -> Vec<ZoneLimit> {
        let request = "set";
        ZoneLimits {
            rest: bytes,
            request,
        }
        .collect()
    }

    fn entry(zone: i32, limit: u32, count: u32) -> Vec<u8> {
        [zone.to_ne_bytes(), limit.to_ne_bytes(), count.to_ne_bytes()].concat()
    }

    #[test]
    fn l1_zones_that_cannot_be_are_left_out() {
        let ids = [-2, -1, 0, 65535, 65536, i32::MIN, i32::MAX, 7];
        let bytes: Vec<u8> = ids.iter().flat_map(|id| entry(*id, 5, 6)).collect();
        let got: Vec<_> = zones(&bytes).iter().map(|z| z.zone).collect();
        let want = [Zone::Default, Zone::No(0), Zone::No(65535), Zone::No(7)];
        assert_eq!(got, want);
        assert!(zones(&bytes).iter().all(|z| (z.limit, z.count) == (5, 6)));
    }

    #[test]
    fn b18_every_length() {
        let bytes: Vec<u8> = (0..4).flat_map(|id| entry(id, 1, 2)).collect();
        for len in 0..=bytes.len() {
            assert_eq!(zones(&bytes[..len]).len(), len / 12, "{len} bytes");
        }
    }
}
