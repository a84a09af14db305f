// SPDX-License-Identifier: GPL-2.0
//! The actions that tell somebody else of a packet: USERSPACE and PSAMPLE.
//!
//! C counterpart: `output_userspace()` and `execute_psample()` in `net/openvswitch/actions.c`.

use super::defer::UPCALL;
use super::execute::{Context, Key};
use super::list::{Action, Actions, Psample, Userspace};
use crate::datapath::env::{DeviceOps, Packet, PacketOps, Sample};
use crate::datapath::upcall;
use core::ops::Range;
use kernel::error::Result;

/// One of these actions; `range` of `acts` is the list being executed.
#[inline(always)]
pub fn tell(
    cx: &Context<'_>,
    acts: &Actions,
    range: &Range<usize>,
    action: &Action,
    mut pkt: Packet,
    key: &Key<'_>,
) -> Packet {
    match action {
        Action::Userspace(u) => return userspace(cx, acts, Some(range), u, pkt, key),
        Action::Psample(p) => sample(cx, acts, p, &mut pkt),
        _ => {}
    }
    pkt
}

/// USERSPACE. `range`: the list being executed, if it is not all of `acts`. Failure to tell userspace is counted there and is
/// no error of the list.
#[inline(never)]
pub fn userspace(
    cx: &Context<'_>,
    acts: &Actions,
    range: Option<&Range<usize>>,
    action: &Userspace,
    mut pkt: Packet,
    key: &Key<'_>,
) -> Packet {
    let _ = match acts.egress_port(action) {
        _ if !affords(cx) => upcall::lose(cx.dp, &pkt, cx.bh),
        None => {
            let what = asked(acts, range, action, key);
            upcall::action(cx.dp, &mut pkt, key.key, what, &[], cx.bh)
        }
        Some(port) => userspace_with_tunnel(cx, acts, range, action, &mut pkt, key, port),
    };
    pkt.meta_mut().cutlen = u32::MAX;
    pkt
}

/// The same, telling the tunnel that the packet would take through `port` (spec A33).
#[cold]
#[inline(never)]
fn userspace_with_tunnel(
    cx: &Context<'_>,
    acts: &Actions,
    range: Option<&Range<usize>>,
    action: &Userspace,
    pkt: &mut Packet,
    key: &Key<'_>,
    port: u16,
) -> Result {
    let what = asked(acts, range, action, key);
    let through = cx.dp.ports.get(port, cx.bh).map(|vport| &vport.dev);
    upcall::action_with_tunnel(cx.dp, pkt, key.key, what, through, cx.bh)
}

/// Whether one more is told of a packet (spec A10). What the outermost list tells is bounded by its length.
fn affords(cx: &Context<'_>) -> bool {
    !cx.storage.is_inside() || cx.storage.affords(UPCALL)
}

/// What a USERSPACE action adds to its packet.
#[inline(always)]
fn asked<'a>(
    acts: &'a Actions,
    range: Option<&Range<usize>>,
    action: &Userspace,
    key: &Key<'_>,
) -> upcall::Action<'a> {
    let list = || match range {
        Some(range) => (acts, range.clone()),
        None => (acts, 0..acts.as_slice().len()),
    };
    upcall::Action {
        pid: acts.userspace_pid(action),
        key_valid: key.valid,
        userdata: acts.userdata(action),
        actions: action.with_actions.then(list),
    }
}

/// PSAMPLE: shows the packet with the probability of the SAMPLE around it. Shown or not, it is no longer to be truncated (spec A13).
#[inline(never)]
fn sample(cx: &Context<'_>, acts: &Actions, action: &Psample, pkt: &mut Packet) {
    let meta = pkt.meta_mut();
    let cutlen = core::mem::replace(&mut meta.cutlen, u32::MAX);
    if !affords(cx) {
        return;
    }
    let input = cx.dp.ports.get(meta.in_port, cx.bh);
    let sample = Sample {
        group: action.group,
        cookie: acts.cookie(action),
        probability: match meta.probability {
            0 => u32::MAX,
            p => p,
        },
        len: cutlen.min(pkt.len() as u32), // CAST: skb->len has 32 bits
        in_ifindex: input.map_or(0, |vport| vport.dev.ifindex()),
    };
    pkt.sample(&cx.dp.net, &sample);
}
