// SPDX-License-Identifier: GPL-2.0
//! A datapath, and the way of a packet through it.
//!
//! C counterpart: `struct datapath` and `ovs_dp_process_packet()` in `net/openvswitch/datapath.c`.

use crate::datapath::env::Net;
use crate::datapath::flow::table::Table;
use crate::datapath::ports::table::PortTable;
use crate::rust::sync::{LocalU64, PerCpu, RcuSlot};
use core::sync::atomic::{AtomicU16, AtomicU32};
use kernel::alloc::KVec;

/// Lookup counters of one CPU (spec D10).
#[derive(Default)]
pub struct DpStats {
    pub hit: LocalU64,
    pub missed: LocalU64,
    pub lost: LocalU64,
    pub mask_hit: LocalU64,
    pub cache_hit: LocalU64,
}

/// Netlink ports by CPU for DISPATCH_UPCALL_PER_CPU (spec U2).
pub struct PerCpuPids(pub KVec<u32>);

/// A datapath.
pub struct Datapath {
    pub net: Net,
    pub table: Table,
    pub ports: PortTable,
    pub stats: PerCpu<DpStats>,
    /// `OVS_DP_F_*`
    pub user_features: AtomicU32,
    pub upcall_pids: RcuSlot<PerCpuPids>,
    /// Largest `needed_headroom` of its ports, bytes (spec W9).
    pub max_headroom: AtomicU16,
}
