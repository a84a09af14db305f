// SPDX-License-Identifier: GPL-2.0
//! What the tracepoints `openvswitch:ovs_do_execute_action` and `openvswitch:ovs_dp_upcall` show (spec X3).
//!
//! While nobody listens a list costs one load, an action nothing: a list that is to be traced begins where one does that
//! is inside another, which is asked anyhow. An upcall costs a look at a byte.
//!
//! C counterpart: `net/openvswitch/openvswitch_trace.h`; the events themselves are in `kmod/openvswitch_trace.h`.

use crate::datapath::abi::action_attr;
use crate::datapath::actions::list::Field;
use crate::datapath::actions::{Action, Actions};
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{DeviceName, DeviceOps, Env, Packet};
use crate::datapath::flow::parts::FlowKey;
use crate::rust::sync::BhGuard;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// How often lists may be inside each other on one CPU (spec A10).
pub const RECURSION_LIMIT: u32 = 5;

/// The deepest level that a list without anything special has: the outermost, and none while actions are traced.
static USUAL_DEPTH: AtomicU32 = AtomicU32::new(1);
static UPCALLS: AtomicBool = AtomicBool::new(false);

/// Whether somebody listens to `ovs_do_execute_action`.
pub fn set_actions(on: bool) {
    USUAL_DEPTH.store(u32::from(!on), Ordering::Relaxed);
}

/// Whether somebody listens to `ovs_dp_upcall`.
pub fn set_upcalls(on: bool) {
    UPCALLS.store(on, Ordering::Relaxed);
}

/// See [`USUAL_DEPTH`].
#[inline(always)]
pub fn usual_depth() -> u32 {
    USUAL_DEPTH.load(Ordering::Relaxed)
}

#[inline(always)]
pub fn upcalls() -> bool {
    UPCALLS.load(Ordering::Relaxed)
}

/// Where a packet is: what both events show.
pub struct Place<'a> {
    pub dp: &'a Datapath,
    /// The local port's device, as it is called now.
    pub dp_name: DeviceName,
    pub key: &'a FlowKey,
    /// The key describes the packet.
    pub key_valid: bool,
}

impl<'a> Place<'a> {
    fn new(dp: &'a Datapath, key: &'a FlowKey, key_valid: bool, bh: &BhGuard) -> Self {
        let local = dp.ports.local(bh);
        Self {
            dp,
            dp_name: local.map(|port| port.dev.name()).unwrap_or_default(),
            key,
            key_valid,
        }
    }
}

/// An action about to be executed, as C keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// `OVS_ACTION_ATTR_*`; [`SET_TO_MASKED`] for what C makes of SET.
    pub ty: u16,
    /// Bytes of C's argument.
    pub len: u16,
    /// The argument, if it is one number.
    pub number: u32,
    /// Nothing comes after it.
    pub last: bool,
}

/// Stands for the number that the kernel's header gives `OVS_ACTION_ATTR_SET_TO_MASKED`.
pub const SET_TO_MASKED: u16 = u16::MAX;

/// `rest` begins with the action.
#[cold]
#[inline(never)]
pub fn action(
    dp: &Datapath,
    pkt: &Packet,
    (key, key_valid): (&FlowKey, bool),
    acts: &Actions,
    rest: &[Action],
    bh: &BhGuard,
) {
    if let Some(step) = step(acts, rest) {
        crate::World::trace_action(pkt, &Place::new(dp, key, key_valid, bh), &step);
    }
}

/// `portid`: whom it is for, 0 for nobody.
#[cold]
#[inline(never)]
pub fn upcall(
    dp: &Datapath,
    pkt: &Packet,
    (key, key_valid): (&FlowKey, bool),
    cmd: u8,
    portid: u32,
    bh: &BhGuard,
) {
    crate::World::trace_upcall(pkt, &Place::new(dp, key, key_valid, bh), cmd, portid);
}

/// What C would have of the first action of a list.
pub fn step(acts: &Actions, rest: &[Action]) -> Option<Step> {
    let (first, others) = rest.split_first()?;
    let (ty, own, number) = argument(acts, first);
    // C keeps a nested list inside of the action that holds it, in this module it stands behind.
    let nested = others.get(..first.body_len()).unwrap_or(&[]);
    let len = nested.iter().fold(own, |len, inner| {
        let (_, own, _) = argument(acts, inner);
        len.wrapping_add(4).wrapping_add(own.wrapping_add(3) & !3)
    });
    Some(Step {
        ty,
        len: len as u16, // CAST: the request's was in an attribute
        number,
        last: others.len() == nested.len(),
    })
}

/// [`argument`] of a SET, which C always has with a mask.
fn set_argument(field: Field, masked: bool) -> (u16, usize, u32) {
    let len = field.size().wrapping_mul(2).wrapping_add(4);
    let ty = if masked {
        action_attr::SET_MASKED
    } else {
        SET_TO_MASKED
    };
    (ty, len, 0)
}

/// Type and length of C's argument, without the actions of nested lists; and the argument, if it is one number.
fn argument(acts: &Actions, action: &Action) -> (u16, usize, u32) {
    match *action {
        Action::Output(port) => (action_attr::OUTPUT, 4, port.into()),
        Action::Userspace(ref u) => (action_attr::USERSPACE, acts.userspace_bytes(u).len(), 0),
        Action::SetAddresses { masked, .. } => set_argument(Field::Ethernet, masked),
        Action::SetTosTtl(_) => set_argument(Field::Ipv4, true),
        Action::Set { field, masked, .. } => set_argument(field, masked),
        // A pointer.
        Action::SetTunnel { .. } => (action_attr::SET, 4 + 8, 0),
        Action::PushVlan(_) => (action_attr::PUSH_VLAN, 4, 0),
        Action::PopVlan => (action_attr::POP_VLAN, 0, 0),
        // A structure of two words, and then the list.
        Action::Sample { .. } => (action_attr::SAMPLE, 4 + 8, 0),
        // A word, and then the list.
        Action::Clone(_) => (action_attr::CLONE, 4 + 4, 0),
        Action::Recirc(id) => (action_attr::RECIRC, 4, id),
        Action::Hash { .. } => (action_attr::HASH, 8, 0),
        Action::Trunc(len) => (action_attr::TRUNC, 4, len),
        Action::PushEth { .. } => (action_attr::PUSH_ETH, 12, 0),
        Action::PopEth => (action_attr::POP_ETH, 0, 0),
        Action::Meter(id) => (action_attr::METER, 4, id),
        // C has a structure that differs from kernel to kernel.
        Action::Ct(_) => (action_attr::CT, 0, 0),
        Action::CtClear => (action_attr::CT_CLEAR, 0, 0),
        // A word, and then two lists with headers.
        Action::CheckPktLen(_) => (action_attr::CHECK_PKT_LEN, 4 + 4 + 4 + 4, 0),
        Action::PushMpls(_) => (action_attr::PUSH_MPLS, 8, 0),
        Action::AddMpls(_) => (action_attr::ADD_MPLS, 8, 0),
        Action::PopMpls(_) => (action_attr::POP_MPLS, 2, 0),
        Action::PushNsh(ref nsh) => (action_attr::PUSH_NSH, acts.push_nsh_bytes(nsh).len(), 0),
        Action::PopNsh => (action_attr::POP_NSH, 0, 0),
        // A list with a header.
        Action::DecTtl(_) => (action_attr::DEC_TTL, 4, 0),
        Action::Drop(code) => (action_attr::DROP, 4, code),
        Action::Psample(ref p) => (action_attr::PSAMPLE, acts.psample_bytes(p).len(), 0),
    }
}
