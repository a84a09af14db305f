// SPDX-License-Identifier: GPL-2.0
//! Second crate root: the module's rooms on `std`, for tests.
//!
//! Declares the same module names as `kmod/main.rs`, with userspace leaves behind them: [`mod@env`], [`packet`] and
//! [`upcall`] are the world around the switch, [`client`] is the program that talks to it. Under loom there is
//! `rust/sync` only.

/// What the kernel prints before each log line; `pr_*!` expects it at the crate root.
const __LOG_PREFIX: &[u8] = b"openvswitch\0";

#[cfg(not(loom))]
pub mod client;
#[cfg(not(loom))]
pub mod conntrack;
#[cfg(not(loom))]
#[path = "../../datapath/mod.rs"]
pub mod datapath;
#[cfg(not(loom))]
pub mod env;
#[cfg(not(loom))]
#[path = "../../kmod/layouts.rs"]
mod layouts;
#[cfg(not(loom))]
mod link;
#[cfg(not(loom))]
pub mod packet;
#[path = "../../rust/mod.rs"]
pub mod rust;
pub mod sys;
#[cfg(not(loom))]
pub mod upcall;

#[cfg(not(loom))]
pub use env::FakeEnv as World;
