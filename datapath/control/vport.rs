// SPDX-License-Identifier: GPL-2.0
//! Requests of ovs_vport (spec 1.2).
//!
//! C counterpart: `ovs_vport_cmd_*()` in `net/openvswitch/datapath.c`, `ovs_vport_add()` in `vport.c`.

use super::{end_batch, fill, find_dp, find_dp_rcu, reply_header, Outcome};
use crate::datapath::abi::{cmd, dp_feature, version};
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{
    Device, DeviceName, DeviceOps, Env, Group, Net, NetOps, Reply, ReplyOps, TunnelConfig,
    TunnelKind,
};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::netlink::attr::Attr;
use crate::datapath::netlink::vport::{self as message, VportInfo, VportRequest};
use crate::datapath::netlink::writer::{MsgHeader, Put, Writer};
use crate::datapath::netlink::Request;
use crate::datapath::ports::port::{Portids, UpcallStats, Vport, VportType, LOCAL, MAX_PORTS};
use crate::datapath::ports::table::NewPort;
use crate::rust::sync::{OvsGuard, OvsRtnl, PerCpu, RcuBox, RcuGuard, RcuSlot, ReadToken};
use crate::World;
use core::sync::atomic::Ordering::Relaxed;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::KVec;
use kernel::error::code::{
    EADDRINUSE, EAFNOSUPPORT, EBUSY, EEXIST, EFBIG, EINVAL, ENODEV, EOPNOTSUPP,
};
use kernel::error::Error;
use kernel::sync::Arc;

/// What a new vport needs, checked and allocated before the mutex is taken.
pub(super) struct PortSpec {
    kind: VportType,
    name: DeviceName,
    dev: Device,
    tunnel: Option<TunnelConfig>,
    portids: RcuBox<Portids>,
    upcalls: PerCpu<UpcallStats>,
}

impl PortSpec {
    /// `ifindex` 0: the kernel chooses.
    pub(super) fn internal(
        req: &Request<'_>,
        name: &DeviceName,
        ifindex: i32,
        pids: &Attr<'_>,
    ) -> NlResult<Self> {
        let portids = prepare_portids(pids)?;
        let dev = Device::new_internal(req.net, name, ifindex, req.ctx).map_err(device_error)?;
        Self::new(VportType::Internal, name, dev, None, portids)
    }

    fn netdev(req: &Request<'_>, name: &DeviceName, pids: &Attr<'_>) -> NlResult<Self> {
        let portids = prepare_portids(pids)?;
        let dev = Device::open_netdev(req.net, name, req.ctx).map_err(device_error)?;
        Self::new(VportType::Netdev, name, dev, None, portids)
    }

    /// A missing driver is told before bad options, a bad port before bad netlink ports, and those before bad extensions
    /// (spec W21).
    fn tunnel(
        req: &Request<'_>,
        kind: TunnelKind,
        name: &DeviceName,
        options: Option<Attr<'_>>,
        pids: &Attr<'_>,
    ) -> NlResult<Self> {
        let dev = Device::open_tunnel(kind, req.ctx).map_err(tunnel_error)?;
        let (kind, portids, config) = match kind {
            TunnelKind::Gre => (VportType::Gre, prepare_portids(pids)?, TunnelConfig::Gre),
            TunnelKind::Vxlan => {
                let dst_port = message::tunnel_dst_port(options)?;
                let portids = prepare_portids(pids)?;
                let gbp = message::vxlan_gbp(options)?;
                let config = TunnelConfig::Vxlan { dst_port, gbp };
                (VportType::Vxlan, portids, config)
            }
            TunnelKind::Geneve => {
                let dst_port = message::tunnel_dst_port(options)?;
                let config = TunnelConfig::Geneve { dst_port };
                (VportType::Geneve, prepare_portids(pids)?, config)
            }
        };
        Self::new(kind, name, dev, Some(config), portids)
    }

    fn new(
        kind: VportType,
        name: &DeviceName,
        dev: Device,
        tunnel: Option<TunnelConfig>,
        portids: RcuBox<Portids>,
    ) -> NlResult<Self> {
        Ok(Self {
            kind,
            name: *name,
            dev,
            tunnel,
            portids,
            upcalls: PerCpu::new(|_| UpcallStats::default(), GFP_KERNEL)?,
        })
    }
}

/// Adds a port to a datapath (spec V1 to V3).
pub fn new(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = VportRequest::parse(req.attrs);
    let (Some(name), Some(kind), Some(pids)) = (attrs.name, attrs.kind, attrs.upcall_pids) else {
        let what =
            c"OVS_VPORT_ATTR_NAME, OVS_VPORT_ATTR_TYPE and OVS_VPORT_ATTR_UPCALL_PID are required";
        return Err(NlError::new(EINVAL, what));
    };
    let number = kind.u32().unwrap_or(0);
    if let (Some(ifindex), true) = (attrs.ifindex, number != VportType::Internal as u32) {
        return Err(NlError::at(
            EOPNOTSUPP,
            c"Only internal ports take an ifindex",
            ifindex.whole(),
        ));
    }
    let wanted = attrs.port_no.map_or(Ok(LOCAL), |no| port_no(&no))?;
    let ifindex = attrs.ifindex.and_then(|a| a.i32()).unwrap_or(0);
    let reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    // A missing datapath and a number in use are told before a bad type, bad netlink ports or a missing device.
    let spec = port_type(&kind).and_then(|kind| match kind {
        NewType::Netdev => PortSpec::netdev(req, &name, &pids),
        NewType::Internal => PortSpec::internal(req, &name, ifindex, &pids),
        NewType::Tunnel(kind) => {
            // A request that is refused anyway must not load a driver (spec W22).
            let rcu = RcuGuard::new();
            must_be_free(find_dp_rcu(req.net, req.dp_ifindex, &rcu)?, wanted, &rcu)?;
            drop(rcu);
            PortSpec::tunnel(req, kind, &name, attrs.options, &pids)
        }
    });
    // A device that is refused goes after the locks.
    let mut refused = None;
    let ovs = OvsGuard::lock(req.ctx);
    let dp = find_dp(req.net, req.dp_ifindex, &ovs)?.clone();
    let no = choose_number(&ovs, &dp, wanted)?;
    let spec = spec?;
    let rtnl = ovs.with_rtnl();
    let port = create(&rtnl, &dp, no, spec, &mut refused)?;
    let outcome = notify(req, reply, cmd::NEW, port, &rtnl);
    grow_headroom(&rtnl, &dp, port);
    Ok(outcome)
}

/// Changes a port's netlink ports (spec V6).
pub fn set(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = VportRequest::parse(req.attrs);
    let reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    // A missing port, another type and options are told before bad netlink ports.
    let portids = attrs.upcall_pids.map(|pids| prepare_portids(&pids));
    let ovs = OvsGuard::lock(req.ctx);
    let (dp, no) = find(req, &attrs, &ovs)?;
    let port = dp.ports.get(no, &ovs).ok_or_else(no_port)?;
    if let Some(kind) = attrs.kind {
        if kind.u32() != Some(port.kind as u32) {
            return Err(NlError::at(
                EINVAL,
                c"The type of a port cannot be changed",
                kind.whole(),
            ));
        }
    }
    if let Some(options) = attrs.options {
        return Err(NlError::at(
            EOPNOTSUPP,
            c"The options of a port cannot be changed",
            options.whole(),
        ));
    }
    if let Some(portids) = portids {
        drop(port.portids.replace(&ovs, Some(portids?)));
    }
    Ok(notify(req, reply, cmd::SET, port, &ovs))
}

/// Removes a port (spec V7).
pub fn del(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = VportRequest::parse(req.attrs);
    let reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    let ovs = OvsGuard::lock(req.ctx);
    let (dp, no) = find(req, &attrs, &ovs)?;
    if no == LOCAL {
        return Err(NlError::new(
            EINVAL,
            c"The local port is deleted with its datapath only",
        ));
    }
    let rtnl = ovs.with_rtnl();
    let port = dp.ports.get(no, &rtnl).ok_or_else(no_port)?;
    let outcome = notify(req, reply, cmd::DEL, port, &rtnl);
    port.dev.reset_rx_headroom();
    detach(&rtnl, port);
    shrink_headroom(&rtnl, &dp);
    Ok(outcome)
}

/// Describes a port (spec V8). Anybody may ask, so this takes no mutex that changes of others hold.
pub fn get(req: &Request<'_>) -> NlResult<Outcome> {
    let attrs = VportRequest::parse(req.attrs);
    let mut reply = Reply::new(message::message_size(World::nr_cpu_ids()), req.ctx)?;
    let header = reply_header(req, Group::Vport, version::VPORT, cmd::GET);
    let rcu = RcuGuard::new();
    let port = find_rcu(req, &attrs, &rcu)?;
    fill(&mut reply, |w| write(w, header, port, req.net, &rcu))?;
    Ok(Outcome::Reply(reply))
}

/// Describes the ports of a datapath, in the order of their numbers; the cursor is the next number (spec V8). A port
/// that is there all the time is told once, whatever comes and goes meanwhile.
pub fn dump(net: &Net, cursor: &mut [u64; 2], header: MsgHeader, w: &mut Writer<'_>) -> NlResult {
    let [next, _] = cursor;
    let rcu = RcuGuard::new();
    let dp = find_dp_rcu(net, header.dp_ifindex, &rcu)?;
    for port in dp.ports.iter_from(*next, &rcu) {
        if write(w, header, port, net, &rcu).is_err() {
            return end_batch(w);
        }
        *next = u64::from(port.no).wrapping_add(1);
    }
    Ok(())
}

/// The message for an event nobody requested, as seen from the datapath's namespace (spec V12).
pub(super) fn event(port: &Vport, cmd: u8, ovs: &OvsGuard) -> NlResult<Reply> {
    let mut reply = Reply::new(message::message_size(World::nr_cpu_ids()), ovs)?;
    let family = Reply::family_id(Group::Vport);
    let header = MsgHeader {
        family,
        cmd,
        version: version::VPORT,
        ..MsgHeader::default()
    };
    fill(&mut reply, |w| write(w, header, port, &port.dp.net, ovs))?;
    Ok(reply)
}

/// Makes a port, and publishes it. If that fails nothing remains but what is put into `refused`, to be dropped after
/// the locks: the device may have been registered for a while, and whoever refers to it is waited for.
pub(super) fn create<'o>(
    rtnl: &'o OvsRtnl,
    dp: &'o Arc<Datapath>,
    no: u16,
    spec: PortSpec,
    refused: &mut Option<NewPort>,
) -> NlResult<&'o Vport> {
    let port = Vport {
        no,
        kind: spec.kind,
        name: spec.name,
        born: dp.net.state().next_port(rtnl),
        dp: dp.clone(),
        dev: spec.dev,
        tunnel: spec.tunnel,
        portids: RcuSlot::new(Some(spec.portids)),
        upcalls: spec.upcalls,
    };
    let mut port = NewPort::new(port, GFP_KERNEL)?;
    if let Err(e) = link(rtnl, dp, &mut port) {
        let words = port
            .tunnel
            .map_or(device_error as fn(_) -> _, |_| tunnel_error);
        *refused = Some(port);
        return Err(words(e));
    }
    Ok(dp.ports.insert(rtnl, port))
}

fn link(rtnl: &OvsRtnl, dp: &Datapath, port: &mut NewPort) -> kernel::error::Result {
    let local = port.no == LOCAL;
    match port.kind {
        VportType::Internal => {
            port.dev.register(rtnl, local)?;
            // A template has become a name.
            port.name = port.dev.name();
        }
        VportType::Netdev => {}
        VportType::Gre | VportType::Vxlan | VportType::Geneve => {
            let name = port.name;
            if let Some(config) = port.tunnel {
                port.tunnel = Some(port.dev.make_tunnel(rtnl, &dp.net, &name, config)?);
            }
        }
    }
    let master = dp.ports.local(rtnl).map(|local| &local.dev);
    Device::link(rtnl, port, master)
}

/// Takes a port out and lets go of its device (`ovs_dp_detach_port`).
pub(super) fn detach(rtnl: &OvsRtnl, port: &Vport) {
    if let Some(port) = port.dp.ports.remove(rtnl, port.no) {
        Device::unlink_all(rtnl, core::iter::once(port.get(rtnl)));
    }
}

/// The port that was created with this name in a datapath of `net`, wherever its device is now. Of several, as a device
/// may have moved to another namespace before its name was taken again, the newest (spec V4, V5).
pub(super) fn find_by_name<'g>(
    net: &'g Net,
    name: &DeviceName,
    token: &'g impl ReadToken,
) -> Option<&'g Vport> {
    let dps = net.state().dps.iter(token);
    dps.filter_map(|dp| dp.ports.by_name(name, token))
        .max_by_key(|port| port.born)
}

/// The port a request means, for whoever changes it (spec V4): datapath and number.
fn find(
    req: &Request<'_>,
    attrs: &VportRequest<'_>,
    ovs: &OvsGuard,
) -> NlResult<(Arc<Datapath>, u16)> {
    // The mutex keeps the answer true after the read section.
    let port = find_rcu(req, attrs, &RcuGuard::new()).map(|port| (port.dp.clone(), port.no))?;
    let _ = ovs;
    Ok(port)
}

/// The same for readers.
fn find_rcu<'g>(
    req: &'g Request<'_>,
    attrs: &VportRequest<'_>,
    rcu: &'g RcuGuard,
) -> NlResult<&'g Vport> {
    let Some(name) = attrs.name.filter(|_| attrs.ifindex.is_none()) else {
        let no = number_or_refuse(attrs)?;
        let dp = find_dp_rcu(req.net, req.dp_ifindex, rcu)?;
        return dp.ports.get(no, rcu).ok_or_else(no_port);
    };
    let port = find_by_name(req.net, &name, rcu).ok_or_else(no_port)?;
    if req.dp_ifindex != 0 && req.dp_ifindex != port.dp.ports.local_ifindex(rcu) {
        return Err(NlError::new(
            ENODEV,
            c"The port belongs to another datapath",
        ));
    }
    Ok(port)
}

/// The number in a request that names no port.
fn number_or_refuse(attrs: &VportRequest<'_>) -> NlResult<u16> {
    if let Some(ifindex) = attrs.ifindex {
        return Err(NlError::at(
            EOPNOTSUPP,
            c"Ports are not found by ifindex",
            ifindex.whole(),
        ));
    }
    match attrs.port_no {
        Some(no) => port_no(&no),
        None => Err(NlError::new(
            EINVAL,
            c"Neither OVS_VPORT_ATTR_NAME nor OVS_VPORT_ATTR_PORT_NO",
        )),
    }
}

fn port_no(attr: &Attr<'_>) -> NlResult<u16> {
    match attr.u32() {
        Some(no @ 0..MAX_PORTS) => Ok(no as u16), // CAST: MAX_PORTS fits
        _ => Err(NlError::at(
            EFBIG,
            c"Port number is not below 65535",
            attr.whole(),
        )),
    }
}

/// What a new port is to be.
enum NewType {
    Netdev,
    Internal,
    Tunnel(TunnelKind),
}

fn port_type(attr: &Attr<'_>) -> NlResult<NewType> {
    match attr.u32() {
        Some(n) if n == VportType::Netdev as u32 => Ok(NewType::Netdev),
        Some(n) if n == VportType::Internal as u32 => Ok(NewType::Internal),
        Some(n) if n == VportType::Gre as u32 => Ok(NewType::Tunnel(TunnelKind::Gre)),
        Some(n) if n == VportType::Vxlan as u32 => Ok(NewType::Tunnel(TunnelKind::Vxlan)),
        Some(n) if n == VportType::Geneve as u32 => Ok(NewType::Tunnel(TunnelKind::Geneve)),
        _ => Err(NlError::at(
            EAFNOSUPPORT,
            c"No ports of this type",
            attr.whole(),
        )),
    }
}

/// The number of a new port: `wanted`, or the lowest free if that is 0.
fn choose_number(ovs: &OvsGuard, dp: &Datapath, wanted: u16) -> NlResult<u16> {
    if wanted == LOCAL {
        return dp
            .ports
            .lowest_free(ovs)
            .ok_or_else(|| NlError::new(EFBIG, c"All port numbers are in use"));
    }
    must_be_free(dp, wanted, ovs)?;
    Ok(wanted)
}

fn must_be_free(dp: &Datapath, number: u16, token: &impl ReadToken) -> NlResult {
    match dp.ports.get(number, token) {
        Some(_) if number != LOCAL => Err(NlError::new(EBUSY, c"Port number is in use")),
        _ => Ok(()),
    }
}

/// An array of netlink ports, at least one and at most `max`.
pub(super) fn parse_pids(attr: &Attr<'_>, max: usize) -> NlResult<KVec<u32>> {
    let bytes = attr.payload();
    let refuse = |why| Err(NlError::at(EINVAL, why, attr.whole()));
    if bytes.is_empty() || bytes.len() % 4 != 0 {
        return refuse(c"Netlink ports are not an array of 32-bit integers");
    }
    let n = bytes.len() / 4;
    if n > max {
        return refuse(c"More netlink ports than CPUs");
    }
    let mut pids = KVec::with_capacity(n, GFP_KERNEL)?;
    for id in bytes
        .chunks_exact(4)
        .filter_map(|c| c.first_chunk().copied())
    {
        pids.push(u32::from_ne_bytes(id), GFP_KERNEL)?;
    }
    Ok(pids)
}

fn prepare_portids(attr: &Attr<'_>) -> NlResult<RcuBox<Portids>> {
    let pids = parse_pids(attr, World::nr_cpu_ids() as usize)?; // CAST: usize has at least 32 bits
    Ok(RcuBox::new(Portids(pids), GFP_KERNEL)?)
}

/// Announces a new port's headroom to the others, or theirs to it (spec W9).
fn grow_headroom(ovs: &OvsGuard, dp: &Datapath, port: &Vport) {
    let new = port.dev.needed_headroom();
    if new > dp.max_headroom.load(Relaxed) {
        set_headroom(ovs, dp, new);
    } else {
        port.dev.set_rx_headroom(dp.max_headroom.load(Relaxed));
    }
}

/// After a port has left: announces the new maximum if it is smaller (spec W9).
pub(super) fn shrink_headroom(ovs: &OvsGuard, dp: &Datapath) {
    let max = dp
        .ports
        .iter(ovs)
        .map(|port| port.dev.needed_headroom())
        .max()
        .unwrap_or(0);
    if max < dp.max_headroom.load(Relaxed) {
        set_headroom(ovs, dp, max);
    }
}

fn set_headroom(ovs: &OvsGuard, dp: &Datapath, headroom: u16) {
    dp.max_headroom.store(headroom, Relaxed);
    for port in dp.ports.iter(ovs) {
        port.dev.set_rx_headroom(headroom);
    }
}

/// Appends a message about `port` for a reader in `net` (spec V9, V10, V13).
fn write(
    w: &mut Writer<'_>,
    header: MsgHeader,
    port: &Vport,
    net: &Net,
    token: &impl ReadToken,
) -> Put {
    let sum = |counter: fn(&UpcallStats) -> u64| {
        port.upcalls.iter().map(counter).fold(0, u64::wrapping_add)
    };
    let pids = port.portids.read(token).map_or(&[][..], |ids| &ids.get().0);
    let all = port.dp.user_features.load(Relaxed) & dp_feature::VPORT_PIDS != 0;
    let info = VportInfo {
        port_no: u32::from(port.no),
        kind: port.kind as u32,
        name: port.dev.name(),
        ifindex: port.dev.ifindex(),
        netnsid: port.dev.netnsid(net),
        stats: port.dev.stats(),
        upcalls_ok: sum(|s| s.success.get()),
        upcalls_failed: sum(|s| s.fail.get()),
        upcall_pids: if all {
            pids
        } else {
            pids.get(..1).unwrap_or(pids)
        },
        tunnel: port.tunnel,
    };
    let header = MsgHeader {
        dp_ifindex: port.dp.ports.local_ifindex(token),
        ..header
    };
    message::write(w, &header, &info)
}

/// The outcome of a change; it stands even if its message could not be written.
fn notify(req: &Request<'_>, mut reply: Reply, cmd: u8, port: &Vport, ovs: &OvsGuard) -> Outcome {
    let header = reply_header(req, Group::Vport, version::VPORT, cmd);
    match fill(&mut reply, |w| write(w, header, port, req.net, ovs)) {
        Ok(()) => Outcome::Notify(Group::Vport, reply),
        Err(e) => Outcome::Lost(Group::Vport, e.errno),
    }
}

#[cold]
fn no_port() -> NlError {
    NlError::new(ENODEV, c"No such port")
}

/// Words for what a device said.
#[cold]
fn device_error(errno: Error) -> NlError {
    let msg = match errno {
        ENODEV => c"No such network device",
        EBUSY => c"Device is in use by another master, or its ifindex is taken",
        EEXIST => c"Device name or ifindex is taken",
        EINVAL => c"Device cannot be a port, or its name is invalid",
        _ => return errno.into(),
    };
    NlError::new(errno, msg)
}

/// The same for a tunnel's.
#[cold]
fn tunnel_error(errno: Error) -> NlError {
    let msg = match errno {
        EAFNOSUPPORT => c"No ports of this type: no driver, or it makes devices by rtnetlink only",
        EEXIST => c"Device name is taken, or there is such a tunnel already",
        EBUSY => c"There is such a tunnel already",
        EADDRINUSE => c"UDP port is in use",
        EINVAL => c"Device name is invalid",
        ENODEV => c"Device name is a template",
        _ => return device_error(errno),
    };
    NlError::new(errno, msg)
}
