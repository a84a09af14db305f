// SPDX-License-Identifier: GPL-2.0
//! Stand-in for the in-tree `kernel` crate, for kernels built without `CONFIG_RUST`.
//!
//! What the module uses of it exists upstream (Linux 7.x) with the same path and meaning, so the
//! module's sources compile unchanged against the kernel's own crate; `contract.rs` is compiled by
//! both. Of upstream's crate it has that alone, and its types are no more general than that needs.
//! What is hidden from the documentation is of its macros. What upstream lacks lives in `rust/sync`
//! and `rust/net`. May touch: `core` and the C helpers declared in `leaf.rs`.
//!
//! All files but this one, `kunit.rs`, `leaf.rs` and `panic.rs` are shared with
//! `userspace-shim/kernel`, so that the tests run the containers that ship.

#![no_std]
#![warn(clippy::undocumented_unsafe_blocks)]

#[path = "../bindings/lib.rs"]
mod bindings;
mod leaf;
mod panic;

pub mod alloc;
pub mod error;
pub mod fmt;
#[cfg(CONFIG_KUNIT = "y")]
pub mod kunit;
mod module;
pub mod prelude;
pub mod print;
pub mod str;
pub mod sync;
pub mod time;
pub mod types;

#[macro_use]
mod assert;

#[cfg(CONFIG_KUNIT = "y")]
pub use macros;
pub use module::{Module, ThisModule};
