// SPDX-License-Identifier: GPL-2.0
//! `rust/kernel/alloc` plus [`testing`].

#[path = "../../../rust/kernel/alloc/mod.rs"]
mod shared;

pub use crate::testing::alloc as testing;
pub use shared::*;
