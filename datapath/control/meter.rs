// SPDX-License-Identifier: GPL-2.0
//! Requests of ovs_meter (spec 7.1). Nobody is notified; every request is answered (spec N3).
//!
//! C counterpart: `ovs_meter_cmd_*()` in `net/openvswitch/meter.c`.

use super::{fill, find_dp, find_dp_rcu, reply_header, Outcome};
use crate::datapath::abi::{meter_cmd as cmd, version};
use crate::datapath::env::{Env, Group, Reply, ReplyOps};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::meters::meter::{Config, State};
use crate::datapath::meters::table::MeterBox;
use crate::datapath::meters::Meter;
use crate::datapath::netlink::meter as message;
use crate::datapath::netlink::writer::MsgHeader;
use crate::datapath::netlink::Request;
use crate::rust::sync::{BhGuard, OvsGuard, RcuGuard, Retired};
use crate::World;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::error::code::{EFBIG, ENOENT};

/// Says what a datapath's meters can do (spec M1).
pub fn features(req: &Request<'_>) -> NlResult<Outcome> {
    let mut reply = Reply::new(message::MESSAGE_SIZE, req.ctx)?;
    let max = {
        let rcu = RcuGuard::new();
        find_dp_rcu(req.net, req.dp_ifindex, &rcu)?.meters.max()
    };
    let header = header(req, cmd::FEATURES);
    fill(&mut reply, |w| message::write_features(w, &header, max))?;
    Ok(Outcome::Reply(reply))
}

/// Makes a meter, or replaces one (spec M2, M4). A replaced meter is never lost to a failure (spec B26).
pub fn set(req: &Request<'_>) -> NlResult<Outcome> {
    let (config, stats) = message::parse_set(req.attrs)?;
    let meter = Meter::new(config, stats, World::now_ms());
    let meter = MeterBox::new(meter, GFP_KERNEL_ACCOUNT)?;
    let mut reply = Reply::new(message::MESSAGE_SIZE, req.ctx)?;
    let old = {
        let ovs = OvsGuard::lock(req.ctx);
        let dp = find_dp(req.net, req.dp_ifindex, &ovs)?;
        if !dp.meters.has_room_for(config.id, &ovs) {
            return Err(NlError::new(EFBIG, c"No room for another meter"));
        }
        dp.meters.put(meter, &ovs)
    };
    let old = gone(&old).filter(|(config, _)| config.keep_stats);
    let header = header(req, cmd::SET);
    fill(&mut reply, |w| {
        message::write_set(w, &header, config.id, parts(&old))
    })?;
    Ok(Outcome::Reply(reply))
}

/// Describes a meter (spec M5). Anybody may ask, and nobody who changes the switch waits for it.
pub fn get(req: &Request<'_>) -> NlResult<Outcome> {
    let id = message::id(req.attrs)?;
    let mut reply = Reply::new(message::MESSAGE_SIZE, req.ctx)?;
    let found = {
        let rcu = RcuGuard::new();
        let dp = find_dp_rcu(req.net, req.dp_ifindex, &rcu)?;
        dp.meters.find(id, &rcu).map(snapshot)
    };
    if found.is_none() {
        return Err(NlError::new(ENOENT, c"No such meter"));
    }
    let header = header(req, cmd::GET);
    fill(&mut reply, |w| {
        message::write_stats(w, &header, parts(&found))
    })?;
    Ok(Outcome::Reply(reply))
}

/// Deletes a meter; none to delete is no error (spec M5).
pub fn del(req: &Request<'_>) -> NlResult<Outcome> {
    let id = message::id(req.attrs)?;
    let mut reply = Reply::new(message::MESSAGE_SIZE, req.ctx)?;
    let old = {
        let ovs = OvsGuard::lock(req.ctx);
        let dp = find_dp(req.net, req.dp_ifindex, &ovs)?;
        dp.meters.remove(id, &ovs)
    };
    let old = gone(&old);
    let header = header(req, cmd::DEL);
    fill(&mut reply, |w| {
        message::write_stats(w, &header, parts(&old))
    })?;
    Ok(Outcome::Reply(reply))
}

/// Unlike other families' replies, these name the datapath as the request did.
fn header(req: &Request<'_>, cmd: u8) -> MsgHeader {
    MsgHeader {
        dp_ifindex: req.dp_ifindex,
        ..reply_header(req, Group::Meter, version::METER, cmd)
    }
}

/// A meter's configuration, and its counters as they are now.
fn snapshot(meter: &Meter) -> (Config, State) {
    (*meter.config(), meter.state(&BhGuard::enter()))
}

/// The same of a meter that has left its table.
fn gone(old: &Option<Retired<Meter>>) -> Option<(Config, State)> {
    let rcu = RcuGuard::new();
    old.as_ref().map(|old| snapshot(old.get(&rcu)))
}

fn parts(snapshot: &Option<(Config, State)>) -> Option<(&Config, &State)> {
    snapshot.as_ref().map(|(config, state)| (config, state))
}
