// SPDX-License-Identifier: GPL-2.0
//! A datapath, and the way of a packet through it.
//!
//! C counterpart: `struct datapath` and `ovs_dp_process_packet()` in `net/openvswitch/datapath.c`, `ovs_vport_receive()` in
//! `vport.c`.

use crate::datapath::actions::execute::execute;
use crate::datapath::conntrack::state;
use crate::datapath::env::{DeviceOps, Net, Packet, PacketMeta, PacketOps};
use crate::datapath::error::DropReason;
use crate::datapath::flow::extract::{self, extract_into};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::flow::stats::Sample;
use crate::datapath::flow::table::Table;
use crate::datapath::meters::MeterTable;
use crate::datapath::ports::port::Vport;
use crate::datapath::ports::table::PortTable;
use crate::datapath::upcall;
use crate::datapath::wire::ether::VLAN_HLEN;
use crate::rust::sync::{BhGuard, LocalU64, PerCpu, RcuSlot};
use core::sync::atomic::{AtomicU16, AtomicU32};
use kernel::alloc::KVec;
use kernel::sync::Arc;

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
    pub meters: MeterTable,
    pub stats: PerCpu<DpStats>,
    /// `OVS_DP_F_*`
    pub user_features: AtomicU32,
    pub upcall_pids: RcuSlot<PerCpuPids>,
    /// Largest `needed_headroom` of its ports, bytes (spec W9).
    pub max_headroom: AtomicU16,
}

/// A packet of a device whose type has become one that no port can have (spec K20).
#[cold]
#[inline(never)]
fn refuse(pkt: Packet) -> DropReason {
    pkt.discard(DropReason::NotSpecified);
    DropReason::NotSpecified
}

impl Datapath {
    /// Takes a packet that came in through `vport` (spec W4). The packet is gone either way; the error says why it was
    /// not even looked up.
    #[inline]
    pub fn receive(vport: &Vport, mut pkt: Packet, bh: &BhGuard) -> Result<(), DropReason> {
        let dp = &*vport.dp;
        *pkt.meta_mut() = PacketMeta {
            in_port: vport.no,
            cutlen: u32::MAX,
            ..PacketMeta::default()
        };
        pkt.enter_net(&dp.net);
        // One look before all others: what most packets lack costs them nothing.
        if pkt.has_state() {
            return Self::receive_with_state(vport, pkt, bh);
        }
        let is_ethernet = vport.dev.is_ethernet();
        if !is_ethernet && !vport.dev.is_l3() {
            return Err(refuse(pkt));
        }
        let mut key = FlowKey::new();
        match extract_into(&mut key, &mut pkt, vport.no, is_ethernet) {
            Ok(()) => {
                dp.process(pkt, &mut key, bh);
                Ok(())
            }
            Err(why) => {
                pkt.discard(why);
                Err(why)
            }
        }
    }

    /// [`Self::receive`] of a packet that came through a tunnel, or was seen by the local stack or by tc before.
    #[inline(never)]
    fn receive_with_state(vport: &Vport, mut pkt: Packet, bh: &BhGuard) -> Result<(), DropReason> {
        let mut key = FlowKey::new();
        // What the local stack attached to its own packets says nothing of how they came (K17).
        if !vport.dev.is_internal() {
            extract::tunnel(&pkt, &mut key);
        }
        let is_ethernet = vport.dev.is_ethernet();
        if !is_ethernet && !vport.dev.is_l3() {
            return Err(refuse(pkt));
        }
        let tc = pkt.tc_state();
        if let Some(tc) = &tc {
            key.recirc_id = tc.chain;
            pkt.meta_mut().mru = tc.mru;
        }
        match extract_into(&mut key, &mut pkt, vport.no, is_ethernet) {
            Ok(()) => {
                state::fill(&pkt, &mut key, tc.and_then(|tc| tc.post_ct));
                vport.dp.process(pkt, &mut key, bh);
                Ok(())
            }
            Err(why) => {
                pkt.discard(why);
                Err(why)
            }
        }
    }

    /// A share of this datapath that outlives the section; `None` once it is being destroyed.
    #[cold]
    pub fn share(&self, bh: &BhGuard) -> Option<Arc<Self>> {
        // Its ports have one each. The local port leaves last, and is freed after this section.
        self.ports.local(bh).map(|port| port.dp.clone())
    }

    /// Finds the flow for `key` and does what it says, or asks userspace. Also where recirculated packets start again. Returns how
    /// many masks were tried.
    #[inline]
    pub fn process(&self, mut pkt: Packet, key: &mut FlowKey, bh: &BhGuard) -> u32 {
        let found = self.table.lookup(key, bh);
        let stats = self.stats.get(bh);
        stats.mask_hit.add(u64::from(found.masks_probed));
        let Some(flow) = found.flow else {
            stats.missed.add(1);
            upcall::miss(self, pkt, key, bh);
            return found.masks_probed;
        };
        stats.hit.add(1);
        stats.cache_hit.add(u64::from(found.cache_hit));
        flow.stats.update(sample(&pkt, key), bh);
        match flow.actions.read(bh) {
            // An error has been counted as a drop where it happened.
            Some(actions) => {
                if actions.get().reads_hash() {
                    pkt.flow_hash();
                }
                _ = execute(self, pkt, key, actions, bh);
            }
            None => pkt.discard(DropReason::NotSpecified),
        }
        found.masks_probed
    }
}

/// What the packet adds to its flow's statistics.
#[inline(always)]
fn sample(pkt: &Packet, key: &FlowKey) -> Sample {
    // A tag that a device carries beside the data counts as the packet's (spec T11).
    let tag = if pkt.vlan_tag().is_some() {
        VLAN_HLEN
    } else {
        0
    };
    Sample {
        bytes: pkt.len().wrapping_add(tag) as u64, // CAST: usize fits
        tcp_flags: key.tcp_flags.raw(),
    }
}
