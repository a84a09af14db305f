// SPDX-License-Identifier: GPL-2.0
//! What a CT action does with a packet (spec C6 to C14).
//!
//! ```text
//! to L3, trim ─► put fragments together ─► tracked already? ─no─► track ─► NAT ─► helper ─► commit ─► back to L2
//! ```
//!
//! Whoever hands a packet to the tracker gets it back in a [`Verdict`] or not at all: nothing here can touch a packet
//! that the tracker has kept (spec B33).
//!
//! C counterpart: `ovs_ct_execute()` and what it calls in `net/openvswitch/conntrack.c`.

#![allow(
    clippy::large_enum_variant,
    clippy::result_large_err,
    reason = "a packet is a pointer, but for the tests' own"
)]

use super::action::CtAction;
use super::spec::Manip;
use super::{limits, state};
use crate::datapath::abi::ct_state as cs;
use crate::datapath::env::conntrack::{Connection, TemplateOps, TrackedOps, Verdict};
use crate::datapath::env::{Net, Packet, PacketMeta, PacketOps};
use crate::datapath::error::DropReason;
use crate::datapath::flow::extract;
use crate::datapath::flow::key::FRAG_NONE;
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::ipv4::{self, proto, Ipv4};
use crate::datapath::wire::ipv6::{self, next, Ipv6};
use crate::datapath::wire::ports::Ports;
use kernel::error::code::{EBADMSG, EINVAL, ENOMEM};
use kernel::error::{Error, Result};

/// Why a packet does not go on.
enum Halt {
    /// It is to be dropped.
    Failed(Packet, Error),
    /// The tracker has it.
    Stolen,
}

type Step = Result<Packet, Halt>;

/// What stays the same during the action.
#[derive(Clone, Copy)]
struct Context<'a> {
    net: &'a Net,
    ct: &'a CtAction,
}

/// Tracks `pkt`, whose key is valid. `None`: it was kept, which is no error, fragments above all. On error it was
/// dropped.
#[inline(never)]
pub fn execute(
    net: &Net,
    mut pkt: Packet,
    key: &mut FlowKey,
    ct: &CtAction,
) -> Result<Option<Packet>> {
    let cx = Context { net, ct };
    let l2_len = pkt.network_offset();
    if !pkt.pull_front(l2_len) {
        pkt.discard(DropReason::Conntrack);
        return Err(EINVAL);
    }
    if let Err(e) = trim(&mut pkt, key) {
        pkt.discard(DropReason::NotSpecified);
        return Err(e);
    }
    if key.ip_frag != FRAG_NONE {
        // The actions of a SET are checked for the request's key, which need not be the flow's (spec F7).
        if (key.eth_type.get() == ty::IPV6) != ct.spec.ipv6 {
            pkt.discard(DropReason::Conntrack);
            return Err(EINVAL);
        }
        match defragment(&cx, pkt, key)? {
            Some(whole) => pkt = whole,
            None => return Ok(None),
        }
        // It has the L2 header of its first fragment. Where this one's was longer, memory that nobody wrote would leave.
        if pkt.mac_len() != l2_len {
            pkt.discard(DropReason::Conntrack);
            return Err(EINVAL);
        }
    }
    let done = if ct.spec.commits() {
        commit(&cx, pkt, key)
    } else {
        look_up(&cx, pkt, key)
    };
    let (mut pkt, result) = match done {
        Ok(pkt) => (pkt, Ok(())),
        Err(Halt::Failed(pkt, e)) => (pkt, Err(e)),
        Err(Halt::Stolen) => return Ok(None),
    };
    // A packet put together from fragments has the headroom of its first.
    let result = if pkt.push_front(l2_len) {
        result
    } else {
        Err(EINVAL)
    };
    match result {
        Ok(()) => Ok(Some(pkt)),
        Err(e) => {
            pkt.discard(DropReason::Conntrack);
            Err(e)
        }
    }
}

/// CT_CLEAR: the packet belongs to no connection any more, and its key says so.
#[inline(never)]
pub fn clear(pkt: &mut Packet, key: &mut FlowKey) {
    pkt.reset_conntrack();
    state::write(key, 0, 0, None);
}

/// Cuts off what the link layer has put behind the packet; the tracker takes what is there as the packet. Packets too
/// short for a header are the tracker's to judge.
fn trim(pkt: &mut Packet, key: &FlowKey) -> Result {
    let len = match key.eth_type.get() {
        ty::IPV4 => ipv4_len(pkt),
        ty::IPV6 => ipv6_len(pkt)?,
        _ => None,
    };
    match len {
        Some(len) if len < pkt.len() => pkt.trim_rcsum(len),
        _ => Ok(()),
    }
}

/// Total length by the header. An aggregate longer than 64 KiB has none.
fn ipv4_len(pkt: &mut Packet) -> Option<usize> {
    let is_gso = pkt.is_gso();
    let [_, _, l0, l1, ..] = *pkt.header::<{ ipv4::HLEN }>(0)?;
    match u16::from_be_bytes([l0, l1]) {
        0 if is_gso => None,
        len => Some(len.into()),
    }
}

/// The same for IPv6, whose jumbograms have their length in an option (RFC 2675). EBADMSG, ENOMEM.
fn ipv6_len(pkt: &mut Packet) -> Result<Option<usize>> {
    let is_gso = pkt.is_gso();
    let Some(header) = pkt.header::<{ ipv6::HLEN }>(0) else {
        return Ok(None);
    };
    let [_, _, _, _, l0, l1, next_header, ..] = *header;
    let payload = usize::from(u16::from_be_bytes([l0, l1]));
    let jumbo = match next_header {
        next::HOP => jumbo_len(pkt, payload)?,
        _ => None,
    };
    Ok(match (jumbo, payload) {
        (None, 0) if is_gso => None,
        _ => Some(ipv6::HLEN.saturating_add(jumbo.unwrap_or(payload))),
    })
}

/// Walks the hop-by-hop options after an IPv6 header (RFC 8200 section 4.2); the payload length of a jumbogram.
fn jumbo_len(pkt: &mut Packet, payload: usize) -> Result<Option<usize>> {
    const PAD1: u8 = 0;
    const JUMBO: u8 = 0xc2;
    const HEADER: usize = ipv6::HLEN;
    let [_, units, ..] = *pkt.header::<8>(HEADER).ok_or(ENOMEM)?;
    let end = HEADER.saturating_add(usize::from(units).saturating_add(1).saturating_mul(8));
    if pkt.len() < end {
        return Err(ENOMEM);
    }
    pkt.pull(end).map_err(|_| ENOMEM)?;
    let after = pkt.len().saturating_sub(HEADER);
    let options = pkt.linear().get(HEADER.wrapping_add(2)..end).unwrap_or(&[]);
    let mut rest = options;
    let mut jumbo = None;
    while let Some((ty, tail)) = rest.split_first() {
        if *ty == PAD1 {
            rest = tail;
            continue;
        }
        let (len, tail) = tail.split_first().ok_or(EBADMSG)?;
        let (value, tail) = tail.split_at_checked((*len).into()).ok_or(EBADMSG)?;
        if *ty == JUMBO {
            // 4n + 2 from the start of the header, which is 2 bytes before that of the options.
            let at = options.len().wrapping_sub(rest.len());
            let value: [u8; 4] = value.try_into().map_err(|_| EBADMSG)?;
            let len = u32::from_be_bytes(value) as usize; // CAST: usize fits
            if at & 3 != 0 || payload != 0 || len <= usize::from(u16::MAX) || len > after {
                return Err(EBADMSG);
            }
            jumbo = Some(len);
        }
        rest = tail;
    }
    Ok(jumbo)
}

/// Spec C6, K36. The switch's own state of the packet survives.
#[inline(never)]
fn defragment(cx: &Context<'_>, pkt: Packet, key: &mut FlowKey) -> Result<Option<Packet>> {
    let meta = *pkt.meta();
    let spec = &cx.ct.spec;
    let Some((mut pkt, mru)) = pkt.defragment(cx.net, spec.zone, spec.ipv6)? else {
        return Ok(None);
    };
    *pkt.meta_mut() = PacketMeta { mru, ..meta };
    // The fragment that came last need not have had an L4 header. Without memory the key stays incomplete, as in C.
    let _ = extract::refresh_l3(&mut pkt, key);
    key.ip_frag = FRAG_NONE;
    Ok(Some(pkt))
}

/// Tracks without commit.
fn look_up(cx: &Context<'_>, mut pkt: Packet, key: &mut FlowKey) -> Step {
    // A packet that is lost on its way to userspace must not have used the expectation up.
    if !Packet::LEAVES_EXPECTATIONS && is_expected(cx, &mut pkt, key) {
        return Ok(pkt);
    }
    let (mut pkt, conn) = find(cx, pkt, key)?;
    if conn.is_some() {
        pkt.deliver_events();
    } else if Packet::LEAVES_EXPECTATIONS {
        // Nothing that begins a connection, such as the FIN after a file without a byte, whose SYN was not committed either.
        is_expected(cx, &mut pkt, key);
    }
    Ok(pkt)
}

/// Whether a connection expects the packet; then the key says so (spec C4).
fn is_expected(cx: &Context<'_>, pkt: &mut Packet, key: &mut FlowKey) -> bool {
    let Some(master) = pkt.expected_by(cx.net, &cx.ct.template) else {
        return false;
    };
    let state = cs::TRACKED | cs::NEW | cs::RELATED;
    state::write(key, state, cx.ct.spec.zone, Some(&master));
    true
}

/// Tracks, then writes what the action says and enters the connection into the table (spec C12).
fn commit(cx: &Context<'_>, pkt: Packet, key: &mut FlowKey) -> Step {
    let spec = &cx.ct.spec;
    let (mut pkt, conn) = find(cx, pkt, key)?;
    let Some(conn) = conn else {
        return Ok(pkt); // invalid: nothing to commit
    };
    if !conn.confirmed && limits::exceeded(cx.net, &pkt, spec) {
        return Err(Halt::Failed(pkt, ENOMEM));
    }
    if let Some(mask) = spec.event_mask {
        pkt.set_event_mask(mask);
    }
    // Before it is confirmed, so that the event of a new connection has all of it.
    if let Err(e) = write_metadata(&mut pkt, key, cx, &conn) {
        return Err(Halt::Failed(pkt, e));
    }
    if !conn.confirmed {
        pkt.add_act_ct();
        // A helper must not be called before every extension has its place (spec B31).
        pkt = proceed(pkt.call_helper(spec.ipv6))?;
    }
    proceed(pkt.confirm())
}

fn write_metadata(
    pkt: &mut Packet,
    key: &mut FlowKey,
    cx: &Context<'_>,
    conn: &Connection,
) -> Result {
    let spec = &cx.ct.spec;
    if let Some(mark) = &spec.mark {
        if let Some(new) = pkt.set_ct_mark(mark)? {
            key.ct_mark = new;
        }
    }
    let labels = match &spec.labels {
        labels if !conn.confirmed => pkt.init_labels(labels.as_ref())?,
        Some(labels) => Some(pkt.replace_labels(labels)?),
        None => None,
    };
    if let Some(labels) = labels {
        key.ext_mut().ct_labels = labels;
    }
    Ok(())
}

/// The packet's connection, tracked now unless it is already; NAT and helper (spec C7 to C11).
fn find(
    cx: &Context<'_>,
    mut pkt: Packet,
    key: &mut FlowKey,
) -> Result<(Packet, Option<Connection>), Halt> {
    let spec = &cx.ct.spec;
    let cached = cached(cx, &mut pkt, key);
    let is_cached = cached.is_some();
    let conn = match cached {
        Some(conn) => Some(conn),
        None => {
            pkt = proceed(pkt.track(cx.net, &cx.ct.template))?;
            // NAT has not been done for this connection yet.
            key.ct_state = 0;
            let conn = pkt.connection();
            state::tracked(key, conn.as_ref(), spec.zone);
            conn
        }
    };
    let Some(conn) = conn else {
        return Ok((pkt, None));
    };
    let commits = spec.commits();
    // Once for each packet and zone; for a new connection when it is committed, before the helper.
    if spec.nat.is_some() && key.ct_state & cs::NAT == 0 && (conn.confirmed || commits) {
        pkt = nat(cx, pkt, key)?;
    }
    // The connection may have been looked up without the helper that it is committed with.
    if !conn.confirmed && commits && cx.ct.template.has_helper() {
        if let Err(e) = pkt.assign_helper(&cx.ct.template, spec.nat.is_some()) {
            return Err(Halt::Failed(pkt, e));
        }
    }
    if conn.confirmed && !is_cached {
        pkt = proceed(pkt.call_helper(spec.ipv6))?;
    }
    pkt.note_tracked();
    Ok((pkt, Some(conn)))
}

/// The connection that the packet already has, if tracking would come to the same (spec C7, B58).
fn cached(cx: &Context<'_>, pkt: &mut Packet, key: &FlowKey) -> Option<Connection> {
    let (net, template, spec) = (cx.net, &cx.ct.template, &cx.ct.spec);
    let mut tracked = true;
    let mut conn = pkt.connection();
    if conn.is_none() {
        // On its way through userspace a packet loses its connection, but not its key.
        tracked = key.ct_state & cs::TRACKED != 0
            && key.ct_state & cs::INVALID == 0
            && key.ct_zone == spec.zone;
        if tracked || (key.ct_state == 0 && spec.forces()) {
            let natted = key.ct_state & cs::NAT != 0;
            if pkt.find_connection(net, template, natted) {
                conn = pkt.connection();
            }
        }
    }
    let conn = conn?;
    if !pkt.fits(net, template) {
        return None;
    }
    if spec.forces() && conn.info.is_reply() {
        if conn.confirmed {
            pkt.delete_connection();
        }
        pkt.forget_connection();
        return None;
    }
    // What a clone shares must not be changed before it is confirmed (spec B30).
    if tracked && spec.commits() && conn.shared {
        pkt.forget_connection();
        return None;
    }
    tracked.then_some(conn)
}

/// Spec C9.
fn nat(cx: &Context<'_>, pkt: Packet, key: &mut FlowKey) -> Step {
    let (verdict, rewritten) = pkt.nat(&cx.ct.template, cx.ct.spec.commits());
    let mut pkt = proceed(verdict)?;
    if rewritten.src {
        key.ct_state |= cs::SRC_NAT;
        renew(&mut pkt, key, Manip::Src);
    }
    if rewritten.dst {
        key.ct_state |= cs::DST_NAT;
        renew(&mut pkt, key, Manip::Dst);
    }
    Ok(pkt)
}

/// One address, and its port, from the packet into the key.
fn renew(pkt: &mut Packet, key: &mut FlowKey, which: Manip) {
    match key.eth_type.get() {
        ty::IPV4 => {
            let Some(ip) = pkt.header(0).map(Ipv4) else {
                return;
            };
            match which {
                Manip::Src => key.ipv4_src = ip.src(),
                Manip::Dst => key.ipv4_dst = ip.dst(),
            }
        }
        ty::IPV6 => {
            let Some(ip) = pkt.header(0).map(Ipv6) else {
                return;
            };
            match which {
                Manip::Src => key.ipv6_src = ip.src(),
                Manip::Dst => key.ipv6_dst = ip.dst(),
            }
        }
        _ => return,
    }
    if !matches!(key.ip_proto, proto::TCP | proto::UDP | proto::SCTP) {
        return;
    }
    let th = pkt.transport_offset();
    if let Some(ports) = pkt.header::<8>(th).map(Ports) {
        match which {
            Manip::Src => key.tp_src = Be16::new(ports.src().get()),
            Manip::Dst => key.tp_dst = Be16::new(ports.dst().get()),
        }
    }
}

/// The packet, if the tracker lets it go on.
fn proceed(verdict: Verdict<Packet>) -> Step {
    match verdict {
        Verdict::Accept(pkt) => Ok(pkt),
        Verdict::Drop(pkt) => Err(Halt::Failed(pkt, EINVAL)),
        Verdict::Stolen => Err(Halt::Stolen),
    }
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
