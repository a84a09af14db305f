// SPDX-License-Identifier: GPL-2.0
//! What userspace cannot show: the KUnit suites that need a kernel (docs/kunit.md).
//!
//! A failed assertion ends its thread without running destructors. So none stands where a guard lives, or a packet, a socket, a
//! datapath that somebody would miss: look first, let go, then assert.
//!
//! C counterpart: none.

mod conntrack;
mod device;
mod extract;
mod forward;
mod fragment;
mod genetlink;
mod genetlink_memory;
mod netlink;
mod packet;
mod percpu;
mod push_pop;
mod rcu;
mod requests;
mod set_field;
mod skbuff;
mod slab;
mod tunnel;
mod vport;
