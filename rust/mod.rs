// SPDX-License-Identifier: GPL-2.0
//! The kernel made safe; knows nothing of Open vSwitch.
//!
//! [`sync`] holds lifetimes and locks, [`pod`] structs seen as words. Both are one source for the
//! kernel and for userspace tests; what differs are the leaves in `crate::sys`. The rest exists in
//! the kernel only, whose targets have no operating system.

#[cfg(target_os = "none")]
#[path = "bindings/lib.rs"]
pub mod bindings;
#[cfg(target_os = "none")]
pub mod net;
pub mod pod;
pub mod sync;
