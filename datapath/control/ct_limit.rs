// SPDX-License-Identifier: GPL-2.0
//! ovs_ct_limit requests (spec 7.2). They concern a namespace, whatever datapath they name, and always get a reply.
//!
//! C counterpart: `ovs_ct_limit_cmd_*()` in `net/openvswitch/conntrack.c`.

use super::{fill, reply_header, Outcome};
use crate::datapath::abi::{ct_limit_cmd as cmd, version};
use crate::datapath::conntrack::limits::{Limits, NewLimit};
use crate::datapath::env::{Group, Net, NetOps, Reply, ReplyOps};
use crate::datapath::error::NlResult;
use crate::datapath::netlink::ct_limit::{
    optional, put, reply_size, required, write_empty, write_limits, Zone, ZoneLimit, REPLY_SIZE,
};
use crate::datapath::netlink::writer::MsgHeader;
use crate::datapath::netlink::Request;
use crate::rust::sync::{OvsGuard, RcuGuard};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::KVVec;
use kernel::error::code::EMSGSIZE;

/// Sets limits, all or, without memory, none (spec Q15).
pub fn set(req: &Request<'_>) -> NlResult<Outcome> {
    let mut reply = Reply::new(REPLY_SIZE, req.ctx)?;
    let zones = required(req.attrs, "set")?;
    let mut default = None;
    let mut new = KVVec::with_capacity(zones.max_len(), GFP_KERNEL)?;
    for ZoneLimit { zone, limit, .. } in zones {
        match zone {
            Zone::Default => default = Some(limit),
            Zone::No(zone) => new.push(Some(NewLimit::new(zone, limit)?), GFP_KERNEL)?,
        }
    }
    let limits = &req.net.state().ct_limits;
    limits.enable(req.net)?;
    let ovs = OvsGuard::lock(req.ctx);
    if let Some(limit) = default {
        limits.set_default(limit, &ovs);
    }
    for slot in new.iter_mut() {
        *slot = slot.take().and_then(|new| limits.set(new, &ovs));
    }
    drop(ovs);
    finish(&mut reply, req, cmd::SET)?;
    Ok(Outcome::Reply(reply))
}

/// Takes limits away; zones without one do not matter.
pub fn del(req: &Request<'_>) -> NlResult<Outcome> {
    let mut reply = Reply::new(REPLY_SIZE, req.ctx)?;
    let zones = required(req.attrs, "del")?;
    let limits = &req.net.state().ct_limits;
    let ovs = OvsGuard::lock(req.ctx);
    for ZoneLimit { zone, .. } in zones {
        match zone {
            Zone::Default => limits.set_default(0, &ovs),
            Zone::No(zone) => drop(limits.remove(zone, &ovs)),
        }
    }
    drop(ovs);
    finish(&mut reply, req, cmd::DEL)?;
    Ok(Outcome::Reply(reply))
}

/// Lists limits and counts: those asked for, or the default and all that were set (spec L2). EMSGSIZE if there are more
/// than an attribute holds (spec L4).
pub fn get(req: &Request<'_>) -> NlResult<Outcome> {
    let limits = &req.net.state().ct_limits;
    let count = match optional(req.attrs) {
        Some(asked) => asked.max_len(),
        None => limits.zones(&RcuGuard::new()).count().wrapping_add(1),
    };
    match list(req, limits, count) {
        // Some may have been set since they were counted.
        Err(e) if e.errno == EMSGSIZE => list(req, limits, usize::MAX),
        listed => listed,
    }
}

/// The reply to GET, with room for `count` limits.
fn list(req: &Request<'_>, limits: &Limits, count: usize) -> NlResult<Outcome> {
    let mut reply = Reply::new(reply_size(count), req.ctx)?;
    let header = header(req, cmd::GET);
    let rcu = RcuGuard::new();
    let one = |zone| describe(limits, req.net, zone, &rcu);
    fill(&mut reply, |w| {
        write_limits(w, &header, |w| match optional(req.attrs) {
            Some(mut asked) => asked.try_for_each(|z| put(w, &one(z.zone))),
            None => {
                put(w, &one(Zone::Default))?;
                // No `try_for_each`: the name of what it makes of these iterators is too long for objtool.
                for zone in limits.zones(&rcu) {
                    put(w, &one(Zone::No(zone)))?;
                }
                Ok(())
            }
        })
    })?;
    Ok(Outcome::Reply(reply))
}

fn describe(limits: &Limits, net: &Net, zone: Zone, rcu: &RcuGuard) -> ZoneLimit {
    let (limit, count) = match zone {
        Zone::Default => (limits.default(), 0),
        Zone::No(id) => limits.get(net, id, rcu),
    };
    ZoneLimit { zone, limit, count }
}

fn finish(reply: &mut Reply, req: &Request<'_>, cmd: u8) -> NlResult {
    let header = header(req, cmd);
    fill(reply, |w| write_empty(w, &header))
}

/// These replies name the datapath as the request did.
fn header(req: &Request<'_>, cmd: u8) -> MsgHeader {
    MsgHeader {
        dp_ifindex: req.dp_ifindex,
        ..reply_header(req, Group::CtLimit, version::CT_LIMIT, cmd)
    }
}
