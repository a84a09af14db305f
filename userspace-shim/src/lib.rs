// SPDX-License-Identifier: GPL-2.0
//! Second crate root: the module's rooms on `std`, for tests.
//!
//! Declares the same module names as `kmod/main.rs`, with userspace leaves behind them.

/// What the kernel prints before each log line; `pr_*!` expects it at the crate root.
const __LOG_PREFIX: &[u8] = b"openvswitch\0";

#[path = "../../rust/mod.rs"]
pub mod rust;
pub mod sys;
