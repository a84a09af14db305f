// SPDX-License-Identifier: GPL-2.0
//! Lifetimes, locks and per-CPU data, written once for the kernel and for userspace tests.
//!
//! | C | here |
//! |---|---|
//! | "called with rcu_read_lock" | `&RcuGuard` |
//! | "may sleep" | `&ProcessContext`, `&impl MaySleep` |
//! | "called with BH disabled" | `&BhGuard` |
//! | "called with ovs_mutex" | `&OvsGuard` |
//! | `ovs_lock(); rtnl_lock();` | `&OvsRtnl` |
//! | "RCU or ovs_mutex" (`rcu_dereference_ovsl`) | `&impl ReadToken` |
//! | `struct foo __rcu *` | [`RcuSlot`] |
//! | `list_head` read under RCU | [`RcuList`] |
//! | `hlist_head[]` of `sw_flow`, `vport` | [`RcuTable`] |
//! | the mask array of `struct flow_table` | [`TreeTable`] |
//! | `alloc_percpu` | [`PerCpu`] |
//! | `DEFINE_PER_CPU` | [`GlobalPerCpu`] |
//! | "protected by ovs_mutex" | [`OvsCell`] |
//! | `spinlock_t` and `spin_lock_bh()` | [`BhSpinLock`] |
//! | `call_rcu(&obj->rcu, free)` | dropping a [`Retired`]; [`RcuHold::release`] |
//! | `kmem_cache_create` | [`SlabCache`] |
//!
//! May touch: the `kernel` crate, `crate::sys` leaves. Nothing here knows Open vSwitch.

mod cells;
mod global;
mod hold;
mod mask_tree;
#[cfg(all(test, loom))]
mod models;
mod once;
mod ovs_cell;
mod percpu;
mod rcu_list;
mod rcu_slot;
mod rcu_table;
mod retire;
mod slab;
mod spin;
#[cfg(all(test, not(loom)))]
mod tests;
mod tokens;

pub use cells::LocalU64;
pub use global::GlobalPerCpu;
pub use hold::RcuHold;
pub use mask_tree::{Found, Inserted, Leaf, TreeTable, Words, NEAR, TIDY};
pub use once::OnceSlot;
pub use ovs_cell::OvsCell;
pub use percpu::PerCpu;
pub use rcu_list::{ListBox, RcuList};
pub use rcu_slot::RcuSlot;
pub use rcu_table::{Cursor, Entry, EntryCache, EntryCacheRegistration, Iter, RcuTable, TableBox};
pub use retire::{RcuBox, RcuPin, RcuRef, Retired};
pub use slab::{SlabCache, SlabRegistration};
pub use spin::BhSpinLock;
pub use tokens::{
    BhGuard, BhSection, MaySleep, OvsGuard, OvsRtnl, ProcessContext, RcuGuard, ReadToken,
};

#[cfg(not(loom))]
use core::sync::atomic;
#[cfg(loom)]
use loom::sync::atomic;

/// Waits until everything retired so far has been freed. Not under the OVS mutex.
///
/// Twice: a callback that runs just as its mutex section ends may queue itself again behind the
/// first barrier.
pub fn rcu_barrier(_ctx: &ProcessContext) {
    crate::sys::rcu_barrier();
    crate::sys::rcu_barrier();
}
