// SPDX-License-Identifier: GPL-2.0
//! Lifetimes, locks and per-CPU data, written once for the kernel and for userspace tests.
//!
//! | C | here |
//! |---|---|
//! | "called with rcu_read_lock" | `&RcuGuard` |
//! | "called with BH disabled" | `&BhGuard` |
//! | "called with ovs_mutex" | `&OvsGuard` |
//! | "RCU or ovs_mutex" (`rcu_dereference_ovsl`) | `&impl ReadToken` |
//! | `struct foo __rcu *` | [`RcuSlot`] |
//! | `hlist_head[]` of `sw_flow`, `vport` | [`RcuTable`] |
//! | `alloc_percpu` | [`PerCpu`] |
//! | `DEFINE_PER_CPU` | [`GlobalPerCpu`] |
//! | "protected by ovs_mutex" | [`OvsCell`] |
//! | `call_rcu(&obj->rcu, free)` | dropping a [`Retired`] |
//! | `kmem_cache_create` | [`SlabCache`] |
//!
//! May touch: the `kernel` crate, `crate::sys` leaves. Nothing here knows Open vSwitch.

mod cells;
mod global;
#[cfg(all(test, loom))]
mod models;
mod once;
mod ovs_cell;
mod percpu;
mod rcu_slot;
mod rcu_table;
mod retire;
mod slab;
#[cfg(all(test, not(loom)))]
mod tests;
mod tokens;

pub use cells::{LocalU64, SpinCell, SpinGuard};
pub use global::GlobalPerCpu;
pub use once::OnceSlot;
pub use ovs_cell::OvsCell;
pub use percpu::PerCpu;
pub use rcu_slot::RcuSlot;
pub use rcu_table::{Cursor, Entry, EntryCache, EntryCacheRegistration, Iter, RcuTable, TableBox};
pub use retire::{RcuBox, RcuPin, RcuRef, Retired};
pub use slab::{SlabCache, SlabRegistration};
pub use tokens::{BhGuard, BhSection, OvsGuard, RcuGuard, ReadToken, Rtnl};

#[cfg(not(loom))]
use core::sync::atomic;
#[cfg(loom)]
use loom::sync::atomic;

/// Waits until everything retired so far has been freed. May sleep; not under the OVS mutex.
///
/// Twice: a callback that runs just as its mutex section ends may queue itself again behind the
/// first barrier.
pub fn rcu_barrier() {
    crate::sys::rcu_barrier();
    crate::sys::rcu_barrier();
}
