// SPDX-License-Identifier: GPL-2.0
//! What tests may ask of the shim: failing allocations, leak counts, grace periods, log lines.

pub mod alloc;
pub mod log;
#[cfg_attr(loom, path = "rcu_loom.rs")]
pub mod rcu;
