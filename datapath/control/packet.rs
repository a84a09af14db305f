// SPDX-License-Identifier: GPL-2.0
//! ovs_packet EXECUTE: runs actions on a packet that userspace hands in (spec P1 to P7).
//!
//! C counterpart: `ovs_packet_cmd_execute()` in `net/openvswitch/datapath.c`.

use super::{find_dp_rcu, Outcome};
use crate::datapath::actions::execute::execute as run;
use crate::datapath::actions::Actions;
use crate::datapath::env::{Packet, PacketMeta, PacketOps};
use crate::datapath::error::{DropReason, NlError, NlResult};
use crate::datapath::flow::extract;
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::netlink::packet::Execute;
use crate::datapath::netlink::{actions, key, Request};
use crate::datapath::ports::port::LOCAL;
use crate::rust::sync::{BhGuard, MaySleep, RcuBox, RcuPin};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::error::code::ENODEV;

/// Executes. The answer is the error of the action list; whatever it is, the packet is gone then.
pub fn execute(req: &Request<'_>) -> NlResult<Outcome> {
    let mut key = FlowKey::new();
    let Prepared { mut pkt, acts } = prepare(req, &mut key)?;

    let bh = BhGuard::enter();
    let dp = match find_dp_rcu(req.net, req.dp_ifindex, bh.rcu()) {
        Ok(dp) => dp,
        Err(e) => {
            pkt.discard(DropReason::NotSpecified);
            return Err(e);
        }
    };
    // Spec P4. An unknown port is no error: userspace may have deleted it since.
    let port = dp
        .ports
        .get(key.in_port, &*bh)
        .or_else(|| dp.ports.local(&*bh));
    let Some(port) = port.filter(|port| pkt.set_device(&port.dev, &bh)) else {
        pkt.discard(DropReason::NotSpecified);
        return Err(NlError::new(ENODEV, c"Datapath has no local port"));
    };
    pkt.meta_mut().in_port = port.no;
    run(dp, pkt, &mut key, acts.as_ref(), &bh)?;
    Ok(Outcome::Done)
}

/// Everything that can be refused before the datapath is looked for.
struct Prepared {
    pkt: Packet,
    /// Deferred actions share it and may outlive the list that they are in.
    acts: RcuPin<Actions>,
}

/// `key` becomes the packet's; it is too large to be moved. A packet that is refused is dropped, for drop monitors to see.
fn prepare(req: &Request<'_>, key: &mut FlowKey) -> NlResult<Prepared> {
    let exec = Execute::parse(req.attrs)?;
    let mut pkt = packet(&exec, req.ctx)?;
    match complete(req, &exec, &mut pkt, key) {
        Ok(acts) => Ok(Prepared { pkt, acts }),
        Err(e) => {
            pkt.discard(DropReason::NotSpecified);
            Err(e)
        }
    }
}

/// The packet's key, and the actions on what it says.
fn complete(
    req: &Request<'_>,
    exec: &Execute<'_>,
    pkt: &mut Packet,
    key: &mut FlowKey,
) -> NlResult<RcuPin<Actions>> {
    let tuple = key::parse_metadata(req.net, exec.key, key)?;
    extract::from_execute(pkt, key)?;
    tuple.check(key)?;
    let acts = actions::parse(req.net, exec.actions, key, exec.probe)?;
    Ok(RcuBox::into_pin(RcuBox::new(acts, GFP_KERNEL)?))
}

/// Spec P2.
fn packet(exec: &Execute<'_>, ctx: &impl MaySleep) -> NlResult<Packet> {
    let mut pkt = Packet::from_bytes(exec.packet, ctx)?;
    *pkt.meta_mut() = PacketMeta {
        in_port: LOCAL,
        mru: exec.mru.unwrap_or(0),
        cutlen: u32::MAX,
        upcall_pid: exec.upcall_pid,
        ..PacketMeta::default()
    };
    if exec.mru.is_some() {
        pkt.set_ignore_df();
    }
    if let Some(hash) = exec.hash {
        pkt.set_raw_hash(hash.value, hash.sw, hash.l4);
    }
    Ok(pkt)
}
