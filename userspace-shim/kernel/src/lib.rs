// SPDX-License-Identifier: GPL-2.0
//! The `kernel` crate's contract on `std`, for tests in userspace.
//!
//! Everything but the leaves (`leaf.rs`) and [`testing`] is the source of `rust/kernel`, so the
//! containers under test are the ones that ship. [`testing`] is the only name that the kernel's
//! crate lacks; only tests and the shim may use it.

mod leaf;
pub mod testing;

pub mod alloc;
#[path = "../../../rust/kernel/error.rs"]
pub mod error;
#[path = "../../../rust/kernel/fmt.rs"]
pub mod fmt;
#[path = "../../../rust/kernel/module.rs"]
mod module;
#[path = "../../../rust/kernel/prelude.rs"]
pub mod prelude;
#[path = "../../../rust/kernel/print.rs"]
pub mod print;
#[path = "../../../rust/kernel/str.rs"]
pub mod str;
#[path = "../../../rust/kernel/sync/mod.rs"]
pub mod sync;
#[path = "../../../rust/kernel/time.rs"]
pub mod time;
#[path = "../../../rust/kernel/types.rs"]
pub mod types;

#[macro_use]
#[path = "../../../rust/kernel/assert.rs"]
mod assert;

pub use module::{Module, ThisModule};

#[cfg(test)]
const __LOG_PREFIX: &[u8] = b"kernel\0";

#[cfg(test)]
extern crate self as kernel;
#[cfg(test)]
#[path = "../../../rust/kernel/contract.rs"]
mod contract;
