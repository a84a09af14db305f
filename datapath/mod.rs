// SPDX-License-Identifier: GPL-2.0
//! The switch: everything Open vSwitch, nothing of the kernel it runs in.
//!
//! A packet and a request each walk through the rooms below in one direction:
//!
//! ```text
//! PACKET   kmod rx ─► Datapath::receive ─► flow::extract ─► flow::Table ─hit─► actions::execute ─► Device::send
//!                                                              └─miss─► upcall ─────────────────► Upcall::send
//! REQUEST  kmod genl ─► netlink::* (parse) ─► control::* prepare ─► commit(&OvsGuard) ─► Event ─► kmod genl
//! ```
//!
//! * [`mod@env`]: what the switch asks of the world around it, and the concrete types that answer.
//! * [`wire`]: views over protocol headers. No dependency but `core`.
//! * [`flow`]: key, extraction, masks, the megaflow table.
//! * [`actions`]: compiled action lists and their execution.
//! * [`meters`]: rate limits that flows share.
//! * [`conntrack`]: connection tracking.
//! * [`ports`]: vports and their table.
//! * [`trace`]: what tracepoints show.
//! * [`upcall`]: packets on their way to userspace.
//! * [`netlink`]: bytes to typed requests, typed replies to bytes. Pure.
//! * [`control`]: prepare, commit, notify; one file a family.
//!
//! May use `kernel`, `crate::rust::{sync, pod}`, `crate::sys` where a leaf is safe to call, and its own rooms.
//! Never the kernel's bindings.
#![forbid(unsafe_code)]

pub mod abi;
pub mod actions;
pub mod conntrack;
pub mod control;
#[allow(clippy::module_inception)]
pub mod datapath;
pub mod env;
pub mod error;
pub mod flow;
pub mod meters;
pub mod netlink;
pub mod ports;
pub mod trace;
pub mod upcall;
pub mod wire;
