// SPDX-License-Identifier: GPL-2.0
//! Packets on their way to userspace (spec section 5).
//!
//! ```text
//! no flow ─────► miss ──┐
//! USERSPACE ───► action ┴► to whom? ─► cut up aggregates ─► one message a packet ─► Upcall::send
//! ```
//!
//! May use `netlink`: an upcall is a message. C counterpart: `ovs_dp_upcall()` in `net/openvswitch/datapath.c`.

use crate::datapath::abi::{dp_feature, packet_attr, packet_cmd, version};
use crate::datapath::actions::defer::UPCALL;
use crate::datapath::actions::execute::STORAGE;
use crate::datapath::actions::{aggregate, Actions};
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{
    Device, Env, Group, Packet, PacketOps, Reply, ReplyOps, Upcall, UpcallOps,
};
use crate::datapath::error::DropReason;
use crate::datapath::flow::key::{Core, FRAG_LATER};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::netlink::actions::put_range;
use crate::datapath::netlink::attr::{align, HDRLEN};
use crate::datapath::netlink::key::{self, tunnel};
use crate::datapath::netlink::packet::Hash;
use crate::datapath::netlink::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use crate::datapath::ports::port::Vport;
use crate::datapath::trace;
use crate::datapath::wire::ether::VLAN_HLEN;
use crate::rust::sync::BhGuard;
use core::ops::Range;
use core::sync::atomic::Ordering;
use kernel::error::code::{EAGAIN, EFBIG, EINTR, EMSGSIZE, ENODEV, ENOTCONN, ERESTARTSYS};
use kernel::error::Result;
use kernel::pr_info;

/// What the 16-bit length of an attribute can express.
const MAX_ATTR: usize = 65535;

/// What a USERSPACE action adds to the packet and its key.
pub struct Action<'a> {
    /// Netlink port, unless the datapath or the packet has its own.
    pub pid: u32,
    /// The key describes the packet.
    pub key_valid: bool,
    pub userdata: Option<&'a [u8]>,
    /// The list being executed, if it is wanted (spec A34).
    pub actions: Option<(&'a Actions, Range<usize>)>,
}

/// An upcall to be sent.
struct Request<'a> {
    cmd: u8,
    portid: u32,
    key_valid: bool,
    /// Packet bytes to send, at most (spec A13).
    cutlen: u32,
    userdata: Option<&'a [u8]>,
    actions: Option<(&'a Actions, Range<usize>)>,
    /// EGRESS_TUN_KEY, payload.
    egress: &'a [u8],
}

/// No flow matches: userspace decides. Consumes the packet (spec U13).
#[inline(never)]
pub fn miss(dp: &Datapath, mut pkt: Packet, key: &FlowKey, bh: &BhGuard) {
    if let Some(storage) = STORAGE.get(bh) {
        storage.spend(UPCALL); // unless it came in just now
    }
    let vport = input(dp, &pkt, bh);
    // Userspace gives it back with the packet, so that what it sends goes the same way as what the flow will send (spec U7).
    pkt.flow_hash();
    let request = Request {
        cmd: packet_cmd::MISS,
        portid: portid(dp, &mut pkt, bh, |pkt| vport_portid(vport, pkt, bh)),
        key_valid: true,
        cutlen: u32::MAX,
        userdata: None,
        actions: None,
        egress: &[],
    };
    match upcall(dp, vport, &mut pkt, key, &request, bh) {
        // Userspace is merely busy.
        Ok(()) | Err(EAGAIN | ERESTARTSYS | EINTR) => drop(pkt),
        Err(_) => {
            pkt.tx_error();
            pkt.discard(DropReason::NotSpecified);
        }
    }
}

/// A USERSPACE action that tells the tunnel that `through` would send the packet through, if it can say. The packet goes on
/// with its list.
#[cold]
#[inline(never)]
pub fn action_with_tunnel(
    dp: &Datapath,
    pkt: &mut Packet,
    key: &FlowKey,
    what: Action<'_>,
    through: Option<&Device>,
    bh: &BhGuard,
) -> Result {
    let mut room = [0; tunnel::ATTRS_MAX];
    let mut w = Writer::new(&mut room);
    // Failing to know is no error.
    if let Some(info) = through.and_then(|dev| pkt.egress_tunnel(dev, bh)) {
        tunnel::put_info(&mut w, &info).map_err(|_| EMSGSIZE)?;
    }
    action(dp, pkt, key, what, w.written(), bh)
}

/// A USERSPACE action. The packet goes on with its list. `egress`: the tunnel, as attributes.
#[inline(always)]
pub fn action(
    dp: &Datapath,
    pkt: &mut Packet,
    key: &FlowKey,
    what: Action<'_>,
    egress: &[u8],
    bh: &BhGuard,
) -> Result {
    let vport = input(dp, pkt, bh);
    let request = Request {
        cmd: packet_cmd::ACTION,
        portid: portid(dp, pkt, bh, |_| what.pid),
        key_valid: what.key_valid,
        cutlen: pkt.meta().cutlen,
        userdata: what.userdata,
        actions: what.actions,
        egress,
    };
    upcall(dp, vport, pkt, key, &request, bh)
}

/// Counts an upcall that is not made, as the packet has cost enough (spec A10).
#[cold]
pub fn lose(dp: &Datapath, pkt: &Packet, bh: &BhGuard) -> Result {
    if let Some(vport) = input(dp, pkt, bh) {
        vport.upcalls.get(bh).fail.add(1);
    }
    dp.stats.get(bh).lost.add(1);
    Err(EFBIG)
}

/// The port that the packet came in through, whose statistics count it.
fn input<'g>(dp: &'g Datapath, pkt: &Packet, bh: &'g BhGuard) -> Option<&'g Vport> {
    dp.ports.get(pkt.meta().in_port, bh)
}

/// To whom (spec U2): the sender of an EXECUTE may say, then this CPU's handler, else `otherwise`.
fn portid(
    dp: &Datapath,
    pkt: &mut Packet,
    bh: &BhGuard,
    otherwise: impl FnOnce(&mut Packet) -> u32,
) -> u32 {
    if pkt.meta().upcall_pid != 0 {
        return pkt.meta().upcall_pid;
    }
    if dp.user_features.load(Ordering::Relaxed) & dp_feature::DISPATCH_UPCALL_PER_CPU != 0 {
        return cpu_portid(dp, bh);
    }
    otherwise(pkt)
}

fn cpu_portid(dp: &Datapath, bh: &BhGuard) -> u32 {
    let Some(pids) = dp.upcall_pids.read(bh) else {
        return 0;
    };
    let pids = &pids.get().0;
    if let Some(pid) = pids.get(bh.cpu() as usize) {
        return *pid;
    }
    if crate::World::log_allowed() {
        pr_info!("cpu_id mismatch with handler threads\n");
    }
    nth_wrapped(pids, bh.cpu())
}

fn vport_portid(vport: Option<&Vport>, pkt: &mut Packet, bh: &BhGuard) -> u32 {
    let Some(pids) = vport.and_then(|v| v.portids.read(bh)) else {
        return 0;
    };
    match *pids.get().0.as_slice() {
        [one] => one,
        ref pids => nth_wrapped(pids, pkt.flow_hash()),
    }
}

/// The element that an index of any size falls on.
fn nth_wrapped(pids: &[u32], index: u32) -> u32 {
    let index = (index as usize).checked_rem(pids.len());
    index.and_then(|i| pids.get(i)).copied().unwrap_or(0)
}

/// Sends and counts (spec U3, U12).
#[inline(always)]
fn upcall(
    dp: &Datapath,
    vport: Option<&Vport>,
    pkt: &mut Packet,
    key: &FlowKey,
    request: &Request<'_>,
    bh: &BhGuard,
) -> Result {
    if trace::upcalls() {
        let (cmd, portid) = (request.cmd, request.portid);
        trace::upcall(dp, pkt, (key, request.key_valid), cmd, portid, bh);
    }
    let result = if request.portid == 0 {
        Err(ENOTCONN)
    } else {
        let result = if pkt.is_gso() {
            queue_segments(dp, pkt, key, request, bh)
        } else {
            queue(dp, pkt, key.core(), key, request, bh)
        };
        if let Some(vport) = vport {
            let stats = vport.upcalls.get(bh);
            if result.is_ok() {
                &stats.success
            } else {
                &stats.fail
            }
            .add(1);
        }
        result
    };
    if result.is_err() {
        dp.stats.get(bh).lost.add(1);
    }
    result
}

/// Each segment of an aggregate is an upcall of its own; the first that fails is the last (spec U11).
#[cold]
#[inline(never)]
fn queue_segments(
    dp: &Datapath,
    pkt: &mut Packet,
    key: &FlowKey,
    request: &Request<'_>,
    bh: &BhGuard,
) -> Result {
    aggregate::check_upcall(pkt, bh)?;
    // The key of an aggregate of fragments is that of the first one.
    let later = Core {
        ip_frag: FRAG_LATER,
        ..*key.core()
    };
    let fragments = pkt.is_gso_udp();
    pkt.for_each_segment(&mut |segment, n| {
        let core = match fragments && n > 0 {
            true => &later,
            false => key.core(),
        };
        queue(dp, segment, core, key, request, bh)
    })
}

/// One message (spec U1, U4, U5). It tells `key`, but `core` instead of its own core.
#[inline(never)]
fn queue(
    dp: &Datapath,
    pkt: &mut Packet,
    core: &Core,
    key: &FlowKey,
    request: &Request<'_>,
    bh: &BhGuard,
) -> Result {
    let dp_ifindex = dp.ports.local_ifindex(bh);
    if dp_ifindex == 0 {
        return Err(ENODEV);
    }
    // It goes back into the frame (spec U5).
    let tag = if pkt.vlan_tag().is_some() {
        VLAN_HLEN
    } else {
        0
    };
    let cut = |len: usize| len.min(request.cutlen as usize);
    if cut(pkt.len().saturating_add(tag)) > MAX_ATTR.wrapping_sub(HDRLEN) {
        return Err(EFBIG);
    }
    let mut prepared = Upcall::prepare(pkt)?;
    let pkt = prepared.as_mut().unwrap_or(pkt);
    let pkt_len = cut(pkt.len());

    let unaligned = dp.user_features.load(Ordering::Relaxed) & dp_feature::UNALIGNED != 0;
    let mut message = Upcall::new(room_for(request), pkt, pkt_len, unaligned)?;
    let mut w = Writer::new(message.room());
    write(&mut w, dp_ifindex, core, key, request, pkt, pkt_len).map_err(|_| EMSGSIZE)?;
    let used = w.len();
    message.send(
        used,
        packet_attr::PACKET,
        pkt,
        pkt_len,
        &dp.net,
        request.portid,
    )
}

/// Upper bound of what [`write()`] writes (spec U15).
fn room_for(request: &Request<'_>) -> usize {
    // Each is an attribute or a constant, so the sum is far from wrapping.
    let attr = |len: usize| align(len.wrapping_add(HDRLEN));
    let userdata = request.userdata.map_or(0, |d| attr(d.len()));
    let actions = request
        .actions
        .as_ref()
        .map_or(0, |(acts, _)| acts.dump_len());
    let egress = match request.egress.len() {
        0 => 0,
        len => attr(len),
    };
    // KEY, USERDATA, EGRESS_TUN_KEY, ACTIONS, MRU, LEN, HASH
    [
        MSG_HDRLEN,
        key::KEY_ATTRS_MAX,
        userdata,
        egress,
        actions,
        attr(2),
        attr(4),
        attr(8),
    ]
    .into_iter()
    .fold(0, usize::wrapping_add)
}

/// Everything before the packet.
fn write(
    w: &mut Writer<'_>,
    dp_ifindex: i32,
    core: &Core,
    key: &FlowKey,
    request: &Request<'_>,
    pkt: &Packet,
    pkt_len: usize,
) -> Put {
    let _length_is_fixed_up_by_send = w.begin_message(&MsgHeader {
        family: Reply::family_id(Group::Packet),
        cmd: request.cmd,
        version: version::PACKET,
        dp_ifindex,
        ..MsgHeader::default()
    })?;
    key::put_packet_key(w, packet_attr::KEY, core, key)?;
    if let Some(data) = request.userdata {
        w.put(packet_attr::USERDATA, data)?;
    }
    if !request.egress.is_empty() {
        w.put(packet_attr::EGRESS_TUN_KEY, request.egress)?;
    }
    if let Some((acts, range)) = &request.actions {
        let _ = put_range(acts, range.clone(), w, packet_attr::ACTIONS); // goes without (spec U10)
    }
    let mru = pkt.meta().mru;
    if mru != 0 {
        w.put_u16(packet_attr::MRU, mru)?;
    }
    if pkt_len < pkt.len() {
        w.put_u32(packet_attr::LEN, pkt.len() as u32)?; // CAST: skb->len has 32 bits
    }
    let (value, sw, l4) = pkt.raw_hash();
    w.put_u64(packet_attr::HASH, Hash { value, sw, l4 }.to_bits())
}
