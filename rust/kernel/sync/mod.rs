// SPDX-License-Identifier: GPL-2.0
//! Synchronisation primitives that upstream has too.

mod arc;
pub mod aref;
pub mod rcu;

pub use arc::Arc;
