// SPDX-License-Identifier: GPL-2.0
//! Between the switch and the tracepoints of `trace.c` (spec X3).
//!
//! C counterpart: `net/openvswitch/openvswitch_trace.c`.

use crate::datapath::trace::{self, Place, Step, SET_TO_MASKED};
use crate::rust::bindings;
use crate::rust::net::skbuff::SkBuff;
use crate::tables::{self, declared_in_c, OvsTrace};
use core::ptr::from_ref;

const _: () = assert!(SET_TO_MASKED as u32 == bindings::OVS_TRACE_SET_TO_MASKED);

/// Somebody begins to listen to the actions, or nobody does any more.
#[no_mangle]
extern "C" fn ovs_trace_actions(on: bool) {
    trace::set_actions(on);
}

/// The same for upcalls.
#[no_mangle]
extern "C" fn ovs_trace_upcalls(on: bool) {
    trace::set_upcalls(on);
}

declared_in_c!(ovs_trace_actions, ovs_trace_upcalls);

fn place(at: &Place<'_>) -> OvsTrace {
    OvsTrace {
        dp: from_ref(at.dp).cast(),
        key: from_ref(at.key).cast(),
        dp_name: at.dp_name.map(|b| b as core::ffi::c_char), // CAST: bytes for C
        flow_hash: at.key.dp_hash,
        recirc_id: at.key.recirc_id,
        eth_type: u16::from_ne_bytes(at.key.eth_type.to_bytes()),
        ct_zone: at.key.ct_zone,
        ct_state: at.key.ct_state,
        ct_orig_proto: at.key.ct_orig_proto,
        key_valid: at.key_valid,
        ..Default::default()
    }
}

pub fn action(pkt: &SkBuff, at: &Place<'_>, step: &Step) {
    let t = place(at);
    let Step {
        ty,
        len,
        number,
        last,
    } = *step;
    // SAFETY: both are there for the call, which only reads; the name ends with a NUL.
    unsafe { tables::ovs_trace_action(pkt.as_ptr(), &t, ty, len, number, last) };
}

pub fn upcall(pkt: &SkBuff, at: &Place<'_>, cmd: u8, portid: u32) {
    let t = OvsTrace {
        upcall_cmd: cmd,
        upcall_port: portid,
        upcall_mru: pkt.cb::<crate::datapath::env::PacketMeta>().mru,
        ..place(at)
    };
    // SAFETY: as for `action`.
    unsafe { tables::ovs_trace_upcall(pkt.as_ptr(), &t) };
}
