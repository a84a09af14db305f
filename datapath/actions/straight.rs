// SPDX-License-Identifier: GPL-2.0
//! Lists of changes, outputs and upcalls that end with an output: what most flows have that are not a single one.
//!
//! C counterpart: none; `do_execute_actions()` has one loop for all lists.

use super::execute::{edit, exceeds_meter, stop, Context, Key};
use super::list::{Action, Actions};
use super::output::{output, output_copy};
use super::tell::userspace;
use super::{push_pop, set_field};
use crate::datapath::env::{Packet, PacketOps};
use crate::datapath::error::DropReason;
use crate::rust::sync::RcuRef;
use kernel::error::Result;

/// A list that ends with an output. What most have before it stands here by itself, so that packets come to it by few
/// comparisons.
#[inline(always)]
pub fn straight(
    cx: &Context<'_>,
    mut pkt: Packet,
    key: &mut Key<'_>,
    acts: RcuRef<'_, Actions>,
) -> Result {
    let Some(before) = acts.get().before_output() else {
        return stop(pkt, DropReason::NotSpecified); // so it is not called
    };
    for action in before {
        let result = match *action {
            Action::PushVlan(ref tag) => push_pop::push_vlan(&mut pkt, key, tag),
            Action::SetAddresses { ref addresses, .. } => {
                set_field::set_addresses(&mut pkt, key.key, addresses)
            }
            Action::SetTosTtl(ref set) => set_field::set_tos_ttl(&mut pkt, key.key, set),
            Action::Set { field, at, .. } => {
                set_field::set_from_bytes(&mut pkt, key.key, acts.get(), field, at)
            }
            Action::PopVlan => push_pop::pop_vlan(&mut pkt, key),
            Action::Output(port) => {
                output_copy(cx, &mut pkt, port, key.key);
                continue;
            }
            Action::Userspace(ref action) => {
                pkt = userspace(cx, acts.get(), None, action, pkt, key);
                continue;
            }
            Action::Meter(id) => {
                if exceeds_meter(cx.dp, pkt.len(), id, cx.bh) {
                    return stop(pkt, DropReason::Meter);
                }
                continue;
            }
            ref change => edit(&mut pkt, key, acts.get(), change),
        };
        if let Err(e) = result {
            pkt.discard(DropReason::ActionError);
            return Err(e);
        }
    }
    output(cx, pkt, acts.get().last_port(), key.key);
    Ok(())
}
