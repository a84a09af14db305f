// SPDX-License-Identifier: GPL-2.0
//! What requests do: prepare (validate, allocate), commit (under `ovs_mutex`), notify. One file a family.
//!
//! C counterpart: `net/openvswitch/datapath.c`, `dp_notify.c`.

pub mod ct_limit;
pub mod dp;
pub mod flow;
pub mod meter;
pub mod packet;
pub mod vport;

use crate::datapath::abi::{cmd, ct_limit_cmd, flow_attr, meter_cmd, packet_attr, packet_cmd};
use crate::datapath::conntrack::limits::Limits;
use crate::datapath::datapath::Datapath;
use crate::datapath::env::conntrack::LabelSpace;
use crate::datapath::env::{Device, DeviceOps, Env, Group, Net, NetOps, Reply, ReplyOps};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::netlink::writer::{MsgHeader, Put, Writer};
use crate::datapath::netlink::Request;
use crate::datapath::ports::port::{Vport, VportType};
use crate::rust::sync::{OvsGuard, OvsRtnl, ProcessContext, RcuGuard, RcuList, TIDY};
use crate::World;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::error::code::{EINVAL, EMSGSIZE, ENODEV, EOPNOTSUPP, EOVERFLOW, ERANGE};
use kernel::error::Error;
use kernel::pr_info;
use kernel::sync::Arc;

/// The switch's state in a network namespace (spec X9).
#[derive(Default)]
pub struct PerNet {
    /// Its datapaths in creation order (spec D7).
    pub dps: RcuList<Arc<Datapath>>,
    /// Position of the one that the periodic work has come to, if it had no time for all.
    pub tidied: AtomicU64,
    /// Ports that were made for them, ever.
    born: AtomicU64,
    /// Limits of connections, by zone (spec 7.2).
    pub ct_limits: Limits,
    /// The right to labels, if the namespace has it; given back with this state (spec C16, B28).
    pub ct_labels: Option<LabelSpace>,
}

impl PerNet {
    /// Its end may sleep.
    pub fn new(ct_labels: Option<LabelSpace>) -> Self {
        Self {
            ct_labels,
            ..Self::default()
        }
    }

    /// The number of a new port, larger than that of all before.
    fn next_port(&self, _ovs: &OvsGuard) -> u64 {
        self.born.fetch_add(1, Relaxed)
    }
}

/// What a committed request has to tell; sent by the caller after all locks are gone (spec N9).
pub enum Outcome {
    /// Only the acknowledgement.
    Done,
    /// To the requester.
    Reply(Reply),
    /// To the family's group, and to the requester if it set NLM_F_ECHO.
    Notify(Group, Reply),
    /// The change was made but its message could not be built: a socket error for the group (spec F9).
    Lost(Group, Error),
}

/// Carries out a request. Its permission was checked.
pub fn dispatch(family: Group, req: &Request<'_>) -> NlResult<Outcome> {
    carry_out(family, req).inspect_err(|why| log_refusal(family, req, why))
}

/// What is wrong with a flow or a packet stands in the log as well, unless it is a probe's (spec N11).
#[cold]
fn log_refusal(family: Group, req: &Request<'_>, why: &NlError) {
    let probe = match family {
        Group::Flow => req.attrs.get(flow_attr::PROBE),
        Group::Packet => req.attrs.get(packet_attr::PROBE),
        _ => return,
    };
    let malformed = matches!(why.errno, EINVAL | ERANGE | EOVERFLOW | EMSGSIZE);
    let text = why.msg.and_then(|msg| msg.to_str().ok());
    if let (Some(text), true, None, true) = (text, malformed, probe, World::log_allowed()) {
        pr_info!("netlink: {text}\n");
    }
}

fn carry_out(family: Group, req: &Request<'_>) -> NlResult<Outcome> {
    match (family, req.cmd) {
        (Group::Datapath, cmd::NEW) => dp::new(req),
        (Group::Datapath, cmd::DEL) => dp::del(req),
        (Group::Datapath, cmd::GET) => dp::get(req),
        (Group::Datapath, cmd::SET) => dp::set(req),
        (Group::Flow, cmd::NEW) => flow::new(req),
        (Group::Flow, cmd::DEL) => flow::del(req),
        (Group::Flow, cmd::GET) => flow::get(req),
        (Group::Flow, cmd::SET) => flow::set(req),
        (Group::Vport, cmd::NEW) => vport::new(req),
        (Group::Vport, cmd::DEL) => vport::del(req),
        (Group::Vport, cmd::GET) => vport::get(req),
        (Group::Vport, cmd::SET) => vport::set(req),
        (Group::Packet, packet_cmd::EXECUTE) => packet::execute(req),
        (Group::Meter, meter_cmd::FEATURES) => meter::features(req),
        (Group::Meter, meter_cmd::SET) => meter::set(req),
        (Group::Meter, meter_cmd::GET) => meter::get(req),
        (Group::Meter, meter_cmd::DEL) => meter::del(req),
        (Group::CtLimit, ct_limit_cmd::SET) => ct_limit::set(req),
        (Group::CtLimit, ct_limit_cmd::DEL) => ct_limit::del(req),
        (Group::CtLimit, ct_limit_cmd::GET) => ct_limit::get(req),
        _ => Err(NlError::new(EOPNOTSUPP, c"Unknown command")),
    }
}

/// Fills `w` with as many of a family's objects as fit, from `cursor` on, which starts as zeroes. An empty `w`
/// afterwards is the end. `header` is that of every message; its `dp_ifindex` says which datapath is meant, where only one
/// is. Attributes count for flows only; other families ignore them, whatever they are.
pub fn dump(
    ctx: &ProcessContext,
    family: Group,
    net: &Net,
    attrs: &[u8],
    cursor: &mut [u64; 2],
    header: MsgHeader,
    w: &mut Writer<'_>,
) -> NlResult {
    match family {
        Group::Datapath => dp::dump(ctx, net, cursor, header, w),
        Group::Vport => vport::dump(net, cursor, header, w),
        Group::Flow => flow::dump(net, attrs, cursor, header, w),
        Group::Packet | Group::Meter | Group::CtLimit => {
            Err(NlError::new(EOPNOTSUPP, c"This family cannot be dumped"))
        }
    }
}

/// The datapath that `dp_ifindex` names in `net`: that of any OVS internal device with this ifindex (spec N7).
///
/// The device may be in another namespace than the datapath. Unlike C, the datapath is then not found: a
/// container that was given an internal port must not command the host's switch (spec W18).
pub fn find_dp<'g>(net: &Net, dp_ifindex: i32, ovs: &'g OvsGuard) -> NlResult<&'g Arc<Datapath>> {
    of_port(net, net.internal_vport_locked(dp_ifindex, ovs))
}

/// The same for readers.
pub fn find_dp_rcu<'g>(
    net: &Net,
    dp_ifindex: i32,
    rcu: &'g RcuGuard,
) -> NlResult<&'g Arc<Datapath>> {
    of_port(net, net.internal_vport(dp_ifindex, rcu))
}

fn of_port<'g>(net: &Net, port: Option<&'g Vport>) -> NlResult<&'g Arc<Datapath>> {
    match port {
        Some(port) if port.dp.net == *net => Ok(&port.dp),
        _ => Err(no_dp()),
    }
}

#[cold]
fn no_dp() -> NlError {
    NlError::new(ENODEV, c"No such datapath in this network namespace")
}

/// A namespace ends: its datapaths go, and so do the internal ports in it that belong to datapaths elsewhere
/// (spec W17). All in one section, so that the grace periods are paid once. The caller has stopped its works, or stops
/// them next.
pub fn exit_net(ctx: &ProcessContext, net: &Net) {
    let dps = &net.state().dps;
    let rtnl = OvsGuard::lock(ctx).with_rtnl();
    let own = dps.iter(&rtnl).flat_map(|dp| dp.ports.drain(&rtnl));
    // Only looked for when its own are out of their tables.
    let strays = net
        .internal_ports(&rtnl)
        .filter(|port| port.dp.ports.remove(&rtnl, port.no).is_some());
    Device::unlink_all(&rtnl, own.chain(strays));
    while let Some(dp) = dps.remove(&rtnl, |_| true) {
        let dp = dp.get(&rtnl);
        dp.set_features(0, &rtnl);
        dp.table.flush(&rtnl);
    }
}

/// The work that follows the netdev notifier: removes every netdev port whose device has left, and says so to the
/// group (spec W6, V12).
///
/// A tunnel that goes with its port takes along what is stacked on it, and that may be a port that was passed before.
/// Whoever releases the RTNL waits for it, and the work does not run twice at a time: so no such port is left behind.
pub fn detach_unregistered(ctx: &ProcessContext, net: &Net) {
    let rtnl = OvsGuard::lock(ctx).with_rtnl();
    while detach_pass(&rtnl, net) {}
}

/// One look at all ports; whether any was removed.
fn detach_pass(rtnl: &OvsRtnl, net: &Net) -> bool {
    let mut any = false;
    for dp in net.state().dps.iter(rtnl) {
        for port in dp
            .ports
            .iter(rtnl)
            .filter(|p| p.kind != VportType::Internal && !p.dev.is_attached())
        {
            any = true;
            let message = vport::event(port, cmd::DEL, rtnl);
            vport::detach(rtnl, port);
            vport::shrink_headroom(rtnl, dp);
            match message {
                Ok(message) => net.multicast(Group::Vport, message, rtnl),
                Err(e) => net.multicast_error(Group::Vport, e.errno),
            }
        }
    }
    any
}

/// Datapaths that one mutex section of the periodic work looks at: going on costs a way through the list.
const SECTION_DATAPATHS: usize = 64;
/// Work after which it ends, of a round's; a table that takes more has sections of its own.
const SECTION_WORK: u32 = TIDY / 64;

/// The periodic work: brings the flow tables of all datapaths into balance (spec T8).
pub fn rebalance(ctx: &ProcessContext, net: &Net) {
    rebalance_some(ctx, net, TIDY);
}

/// As much of it as `left` allows; the next round begins with the datapath that it has not sufficed for. Others wait for the
/// mutex, so it is released in between.
pub fn rebalance_some(ctx: &ProcessContext, net: &Net, mut left: u32) {
    let tidied = &net.state().tidied;
    let from = tidied.load(Relaxed);
    for (first, end) in [(Some(from), u64::MAX), ((from != 0).then_some(0), from)] {
        let mut next = first;
        while let Some(first) = next {
            next = rebalance_part(first..end, &mut left, &OvsGuard::lock(ctx), net);
            if left == 0 && next.is_some() {
                return; // noted where the next round begins
            }
            ctx.cond_resched();
        }
    }
    if left != 0 {
        tidied.store(0, Relaxed);
    }
}

/// One mutex section of it, for the datapaths at these positions. Returns where the next begins, if there is anything left.
fn rebalance_part(at: Range<u64>, left: &mut u32, ovs: &OvsGuard, net: &Net) -> Option<u64> {
    let PerNet { dps, tidied, .. } = net.state();
    let (before, mut seen) = (*left, 0usize);
    let inside = |(position, _): &(u64, _)| *position < at.end;
    for (position, dp) in dps.iter_from(at.start, ovs).take_while(inside) {
        tidied.store(position, Relaxed);
        if *left == 0 || seen == SECTION_DATAPATHS || before.wrapping_sub(*left) >= SECTION_WORK {
            return Some(position);
        }
        let through = dp.table.tidy(left, ovs);
        if !through && *left != 0 {
            return Some(position); // goes on with it
        }
        seen = seen.wrapping_add(1);
    }
    None
}

/// The header of a reply to `req`.
fn reply_header(req: &Request<'_>, family: Group, version: u8, cmd: u8) -> MsgHeader {
    MsgHeader {
        family: Reply::family_id(family),
        flags: 0,
        seq: req.seq,
        portid: req.portid,
        cmd,
        version,
        dp_ifindex: 0,
    }
}

/// Writes one message; EMSGSIZE if the reply was made too small for it.
fn fill(reply: &mut Reply, write: impl FnOnce(&mut Writer<'_>) -> Put) -> NlResult {
    let mut w = Writer::new(reply.room());
    write(&mut w).map_err(|_| NlError::new(EMSGSIZE, c"Reply does not fit into its buffer"))?;
    let len = w.len();
    reply.set_len(len);
    Ok(())
}

/// Ends a batch of a dump at the first message that did not fit. EMSGSIZE if not even one fits.
fn end_batch(w: &Writer<'_>) -> NlResult {
    if w.is_empty() {
        return Err(NlError::new(
            EMSGSIZE,
            c"Message does not fit into the dump's buffer",
        ));
    }
    Ok(())
}
