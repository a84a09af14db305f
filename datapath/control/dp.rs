// SPDX-License-Identifier: GPL-2.0
//! Requests of ovs_datapath (spec 1.1).
//!
//! C counterpart: `ovs_dp_cmd_*()` in `net/openvswitch/datapath.c`.

use super::vport::{self, PortSpec};
use super::{end_batch, fill, find_dp, no_dp, reply_header, Outcome};
use crate::datapath::abi::{cmd, dp_feature as feature, version};
use crate::datapath::datapath::{Datapath, DpStats, PerCpuPids};
use crate::datapath::env::{
    Device, DeviceName, DeviceOps, Env, Group, Net, NetOps, Reply, ReplyOps,
};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::table::Table;
use crate::datapath::meters::MeterTable;
use crate::datapath::netlink::dp::{self as message, DpInfo, DpRequest};
use crate::datapath::netlink::policy::MASKS_CACHE_MAX;
use crate::datapath::netlink::writer::{MsgHeader, Put, Writer};
use crate::datapath::netlink::Request;
use crate::datapath::ports::port::LOCAL;
use crate::datapath::ports::table::PortTable;
use crate::rust::sync::{ListBox, OvsGuard, OvsRtnl, PerCpu, ProcessContext, RcuBox, RcuSlot};
use crate::World;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::error::code::{EBUSY, EEXIST, EINVAL, EOPNOTSUPP};
use kernel::pr_warn;
use kernel::sync::Arc;

const KNOWN_FEATURES: u32 = feature::UNALIGNED
    | feature::VPORT_PIDS
    | feature::TC_RECIRC_SHARING
    | feature::DISPATCH_UPCALL_PER_CPU;

/// What a SET, or the attributes of a NEW, change (spec D8). Validated in full, so that applying it can fail
/// for want of memory only, and then before anything was changed (spec D9).
struct Change {
    features: u32,
    masks_cache_size: Option<u32>,
    per_cpu_pids: Option<RcuBox<PerCpuPids>>,
}

/// Creates a datapath and its local port (spec D1 to D4).
pub fn new(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = DpRequest::parse(req.attrs);
    let (Some(name), Some(pids)) = (attrs.name, attrs.upcall_pids) else {
        return Err(NlError::new(
            EINVAL,
            c"OVS_DP_ATTR_NAME and OVS_DP_ATTR_UPCALL_PID are required",
        ));
    };
    let mut reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    let dp = Datapath::prepare(req.net)?;
    let listed = ListBox::new(dp.clone(), GFP_KERNEL)?;
    let change = Change::prepare(&attrs)?;
    let local = PortSpec::internal(req, &name, attrs.ifindex, &pids)?;
    // Not undone when the request is refused: who repeats it would have netfilter's hooks come and go.
    req.net.state().ct_limits.count(req.net)?;
    // A device that is refused goes after the locks.
    let mut refused = None;
    let rtnl = OvsGuard::lock(req.ctx).with_rtnl();
    change.apply(&rtnl, &dp);
    vport::create(&rtnl, &dp, LOCAL, local, &mut refused).map_err(|e| {
        dp.set_features(0, &rtnl);
        explain_new(&rtnl, req, &attrs, e)
    })?;
    let dp = req.net.state().dps.push(&rtnl, listed);
    let header = reply_header(req, Group::Datapath, version::DATAPATH, cmd::NEW);
    let filled = fill(&mut reply, |w| write(w, header, dp, &rtnl));
    Ok(notify(filled, reply))
}

/// A name or ifindex in use is EEXIST. To a program from before user features that is the sign to take over the
/// existing datapath, which then must not keep features the program does not know (spec D3).
fn explain_new(ovs: &OvsGuard, req: &Request<'_>, attrs: &DpRequest<'_>, e: NlError) -> NlError {
    if e.errno != EEXIST && e.errno != EBUSY {
        return e;
    }
    if req.version < version::DATAPATH {
        if let Ok(dp) = find(req, attrs, ovs) {
            if World::log_allowed() {
                let name = dp.ports.local(ovs).map_or([0; 16], |port| port.dev.name());
                pr_warn!(
                    "{}: Dropping previously announced user features\n",
                    text(&name)
                );
            }
            dp.set_features(0, ovs);
        }
    }
    NlError { errno: EEXIST, ..e }
}

/// Deletes a datapath with all its ports and flows (spec D6).
pub fn del(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = DpRequest::parse(req.attrs);
    let mut reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    let ovs = OvsGuard::lock(req.ctx);
    let dp = find(req, &attrs, &ovs)?;
    let header = reply_header(req, Group::Datapath, version::DATAPATH, cmd::DEL);
    let filled = fill(&mut reply, |w| write(w, header, &dp, &ovs));
    destroy(&ovs.with_rtnl(), &dp);
    Ok(notify(filled, reply))
}

/// Changes features, cache size and per-CPU netlink ports (spec D8).
pub fn set(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = DpRequest::parse(req.attrs);
    let mut reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    // A missing datapath is told before a bad change.
    let change = Change::prepare(&attrs);
    let ovs = OvsGuard::lock(req.ctx);
    let dp = find(req, &attrs, &ovs)?;
    change?.apply(&ovs, &dp);
    let header = reply_header(req, Group::Datapath, version::DATAPATH, cmd::SET);
    let filled = fill(&mut reply, |w| write(w, header, &dp, &ovs));
    Ok(notify(filled, reply))
}

/// Describes a datapath (spec D7).
pub fn get(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = DpRequest::parse(req.attrs);
    let mut reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    let ovs = OvsGuard::lock(req.ctx);
    let dp = find(req, &attrs, &ovs)?;
    let header = reply_header(req, Group::Datapath, version::DATAPATH, cmd::GET);
    fill(&mut reply, |w| write(w, header, &dp, &ovs))?;
    Ok(Outcome::Reply(reply))
}

/// Describes all datapaths of a namespace; the cursor is the position of the next (spec D7).
pub fn dump(
    ctx: &ProcessContext,
    net: &Net,
    cursor: &mut [u64; 2],
    header: MsgHeader,
    w: &mut Writer<'_>,
) -> NlResult {
    let [next, _] = cursor;
    let ovs = OvsGuard::lock(ctx);
    for (at, dp) in net.state().dps.iter_from(*next, &ovs) {
        if write(w, header, dp, &ovs).is_err() {
            return end_batch(w);
        }
        *next = at.wrapping_add(1);
    }
    Ok(())
}

/// Ends a datapath: ports first, the local one last, then its flows (spec D6). What is left is freed when the last
/// reader of its ports is gone.
///
/// It can be found no more when this returns, although its devices go only after the mutex: their ports are out of its
/// table, and they are off the namespace's list of devices.
fn destroy(rtnl: &OvsRtnl, dp: &Arc<Datapath>) {
    let net = &dp.net;
    drop(net.state().dps.remove(rtnl, |other| Arc::ptr_eq(other, dp)));
    dp.set_features(0, rtnl);
    Device::unlink_all(rtnl, dp.ports.drain(rtnl));
    dp.table.flush(rtnl);
}

/// The datapath a request means: by the name of its local port if given, else by ifindex (spec D5).
fn find(req: &Request<'_>, attrs: &DpRequest<'_>, ovs: &OvsGuard) -> NlResult<Arc<Datapath>> {
    let Some(name) = attrs.name else {
        return find_dp(req.net, req.dp_ifindex, ovs).cloned();
    };
    match vport::find_by_name(req.net, &name, ovs) {
        Some(port) if port.no == LOCAL => Ok(port.dp.clone()),
        _ => Err(no_dp()),
    }
}

impl Datapath {
    /// A datapath without ports and flows, known to nobody. ENOMEM (spec D2).
    fn prepare(net: &Net) -> NlResult<Arc<Self>> {
        let dp = Self {
            net: net.for_datapath(),
            table: Table::new(GFP_KERNEL)?,
            ports: PortTable::new(GFP_KERNEL)?,
            meters: MeterTable::new(World::buffer_memory(), GFP_KERNEL)?,
            stats: PerCpu::new(|_| DpStats::default(), GFP_KERNEL)?,
            user_features: AtomicU32::new(0),
            upcall_pids: RcuSlot::new(None),
            max_headroom: AtomicU16::new(0),
        };
        Ok(Arc::new(dp, GFP_KERNEL)?)
    }

    /// Takes these `OVS_DP_F_*`, none when it ends. Rules of tc are asked as long as it has TC_RECIRC_SHARING (spec D8).
    pub(super) fn set_features(&self, features: u32, ovs: &OvsGuard) {
        let asks = |features: u32| features & feature::TC_RECIRC_SHARING != 0;
        let asked = asks(self.user_features.load(Relaxed));
        self.user_features.store(features, Relaxed);
        if asked != asks(features) {
            World::ask_tc(!asked, ovs);
        }
    }
}

impl Change {
    /// Checks in the order of spec D8. Absent features are zero: userspace always sends them (spec Q5).
    fn prepare(attrs: &DpRequest<'_>) -> NlResult<Self> {
        let features = attrs.user_features.and_then(|a| a.u32()).unwrap_or(0);
        if features & !KNOWN_FEATURES != 0 {
            return Err(NlError::new(EOPNOTSUPP, c"Unknown datapath feature"));
        }
        if features & feature::TC_RECIRC_SHARING != 0 && !World::tc_tells() {
            return Err(NlError::new(
                EOPNOTSUPP,
                c"The kernel cannot share recirculation with tc",
            ));
        }
        let masks_cache_size = attrs.masks_cache_size.and_then(|a| a.u32());
        if let Some(n) = masks_cache_size {
            if (n != 0 && !n.is_power_of_two()) || n > MASKS_CACHE_MAX {
                return Err(NlError::new(
                    EINVAL,
                    c"Mask cache size is neither 0 nor a power of two up to 4096",
                ));
            }
        }
        let per_cpu_pids = match attrs.per_cpu_pids {
            Some(pids) if features & feature::DISPATCH_UPCALL_PER_CPU != 0 => {
                let pids = vport::parse_pids(&pids, usize::MAX)?;
                Some(RcuBox::new(PerCpuPids(pids), GFP_KERNEL)?)
            }
            _ => None,
        };
        Ok(Self {
            features,
            masks_cache_size,
            per_cpu_pids,
        })
    }

    fn apply(self, ovs: &OvsGuard, dp: &Datapath) {
        if let Some(n) = self.masks_cache_size {
            dp.table.set_masks_cache_size(n, ovs);
        }
        if let Some(pids) = self.per_cpu_pids {
            drop(dp.upcall_pids.replace(ovs, Some(pids)));
        }
        dp.set_features(self.features, ovs);
    }
}

/// Appends a message about `dp` (spec D10 to D12).
fn write(w: &mut Writer<'_>, header: MsgHeader, dp: &Datapath, ovs: &OvsGuard) -> Put {
    let sum =
        |counter: fn(&DpStats) -> u64| dp.stats.iter().map(counter).fold(0, u64::wrapping_add);
    let features = dp.user_features.load(Relaxed);
    let pids = dp
        .upcall_pids
        .read(ovs)
        .filter(|_| features & feature::DISPATCH_UPCALL_PER_CPU != 0);
    let info = DpInfo {
        name: dp.ports.local(ovs).map_or([0; 16], |port| port.dev.name()),
        hit: sum(|s| s.hit.get()),
        missed: sum(|s| s.missed.get()),
        lost: sum(|s| s.lost.get()),
        flows: dp.table.count() as u64, // CAST: usize is at most 64 bits
        mask_hit: sum(|s| s.mask_hit.get()),
        masks: u32::try_from(dp.table.n_masks()).unwrap_or(u32::MAX),
        cache_hit: sum(|s| s.cache_hit.get()),
        user_features: features,
        masks_cache_size: dp.table.masks_cache_size(),
        per_cpu_pids: pids.map(|pids| up_to_cpus(&pids.get().0)),
    };
    let header = MsgHeader {
        dp_ifindex: dp.ports.local_ifindex(ovs),
        ..header
    };
    message::write(w, &header, &info)
}

/// As many ids as there can be CPUs (spec D11).
fn up_to_cpus(pids: &[u32]) -> &[u32] {
    pids.get(..World::nr_cpu_ids() as usize).unwrap_or(pids) // CAST: usize has at least 32 bits
}

/// The outcome of a change; it stands even if its message could not be written.
fn notify(filled: NlResult, reply: Reply) -> Outcome {
    match filled {
        Ok(()) => Outcome::Notify(Group::Datapath, reply),
        Err(e) => Outcome::Lost(Group::Datapath, e.errno),
    }
}

/// A device name for the log.
fn text(name: &DeviceName) -> &str {
    let name = name.split(|&b| b == 0).next().unwrap_or(&[]);
    core::str::from_utf8(name).unwrap_or("?")
}
