// SPDX-License-Identifier: GPL-2.0
//! The masks in use, in the order in which a lookup tries them (spec T4, T5, T8).
//!
//! Readers see an immutable array; every change publishes a new one and then retires the old.
//!
//! C counterpart: `struct mask_array` in `net/openvswitch/flow_table.c`.

use crate::datapath::flow::mask::Mask;
use crate::rust::sync::{LocalU64, OvsGuard, PerCpu, RcuBox, RcuSlot, ReadToken};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicU32, AtomicU64};
use kernel::alloc::flags::{__GFP_NOWARN, GFP_KERNEL};
use kernel::alloc::KVVec;
use kernel::error::code::ENOMEM;
use kernel::error::Result;
use kernel::sync::Arc;

/// A mask and what the list knows about it.
pub struct ListedMask {
    pub mask: Mask,
    /// Lookups it has answered.
    pub hits: PerCpu<LocalU64>,
    /// `hits` when counting last began: other CPUs' counters cannot be reset. Written under `ovs_mutex`.
    zero: AtomicU64,
    /// Flows of the table that have it. Written under `ovs_mutex`; 0 for a mask that should have left the list when
    /// memory was short.
    flows: AtomicU32,
}

impl ListedMask {
    fn total_hits(&self) -> u64 {
        self.hits
            .iter()
            .fold(0u64, |sum, n| sum.wrapping_add(n.get()))
    }

    /// Lookups answered since counting last began.
    fn recent_hits(&self) -> u64 {
        self.total_hits().wrapping_sub(self.zero.load(Relaxed))
    }

    fn restart_count(&self) {
        self.zero.store(self.total_hits(), Relaxed);
    }

    fn is_used(&self) -> bool {
        self.flows.load(Relaxed) != 0
    }
}

/// As many masks as C's array of per-CPU counters can hold. Each costs every packet that no flow matches, and every change of
/// the list; any user with a namespace of his own can make them (spec B66).
const MAX_MASKS: usize = 4096;

type Array = KVVec<Arc<ListedMask>>;

/// The list.
pub struct MaskList {
    /// `None`: no masks.
    array: RcuSlot<Array>,
}

impl MaskList {
    pub fn new() -> Self {
        Self {
            array: RcuSlot::new(None),
        }
    }

    /// The masks in order.
    #[inline(always)]
    pub fn read<'g>(&'g self, token: &'g impl ReadToken) -> &'g [Arc<ListedMask>] {
        match self.array.read(token) {
            Some(array) => array.get().as_slice(),
            None => &[],
        }
    }

    /// Counts a flow that has `mask`, and lists it if it is new. ENOMEM, also for one too many, leaves all as it was.
    pub fn acquire(&self, mask: &Mask, ovs: &OvsGuard) -> Result<Arc<ListedMask>> {
        let listed = self.read(ovs);
        if let Some(known) = listed.iter().find(|m| m.mask == *mask) {
            known
                .flows
                .store(known.flows.load(Relaxed).wrapping_add(1), Relaxed);
            return Ok(known.clone());
        }
        if listed.len() >= MAX_MASKS && listed.iter().filter(|m| m.is_used()).count() >= MAX_MASKS {
            return Err(ENOMEM);
        }
        let new = ListedMask {
            mask: mask.try_clone(GFP_KERNEL)?,
            hits: PerCpu::new(|_| LocalU64::new(0), GFP_KERNEL)?,
            zero: AtomicU64::new(0),
            flows: AtomicU32::new(1),
        };
        let new = Arc::new(new, GFP_KERNEL)?;
        let mut array = Array::with_capacity(listed.len().saturating_add(1), GFP_KERNEL)?;
        for mask in listed.iter().filter(|m| m.is_used()).chain([&new]) {
            array.push(mask.clone(), GFP_KERNEL)?;
        }
        self.publish(array, ovs)?;
        Ok(new)
    }

    /// A flow that has `mask` has left the table. The last one takes the mask off the list.
    pub fn release(&self, mask: &ListedMask, ovs: &OvsGuard) {
        mask.flows
            .store(mask.flows.load(Relaxed).saturating_sub(1), Relaxed);
        if !mask.is_used() {
            // Without memory the mask stays listed, matches nothing and leaves with the next change.
            let _ = self.prune(ovs);
        }
    }

    /// Unlists the masks without flows; each hole is filled from the end (spec T4).
    fn prune(&self, ovs: &OvsGuard) -> Result {
        let listed = self.read(ovs);
        let flags = GFP_KERNEL | __GFP_NOWARN;
        let mut array = Array::with_capacity(listed.len(), flags)?;
        let mut rest = listed.iter();
        while let Some(mask) = rest.next() {
            if mask.is_used() {
                array.push(mask.clone(), flags)?;
            } else if let Some(last) = rest.rfind(|m| m.is_used()) {
                array.push(last.clone(), flags)?;
            }
        }
        self.publish(array, ovs)
    }

    /// All flows have left the table.
    pub fn clear(&self, ovs: &OvsGuard) {
        for mask in self.read(ovs) {
            mask.flows.store(0, Relaxed);
        }
        drop(self.array.replace(ovs, None));
    }

    /// New array first, then the old one after a grace period (spec T5). Counting begins anew (spec T8).
    fn publish(&self, array: Array, ovs: &OvsGuard) -> Result {
        array.iter().for_each(|m| m.restart_count());
        if array.is_empty() {
            drop(self.array.replace(ovs, None));
        } else {
            let array = RcuBox::new(array, GFP_KERNEL | __GFP_NOWARN)?;
            drop(self.array.replace(ovs, Some(array)));
        }
        Ok(())
    }

    /// Puts the masks that answered most lookups lately first (spec T8). A list already in order is not republished.
    pub fn rebalance(&self, ovs: &OvsGuard) -> Result {
        let listed = self.read(ovs);
        let mut order = KVVec::with_capacity(listed.len(), GFP_KERNEL)?;
        for (i, mask) in listed.iter().enumerate() {
            order.push((mask.recent_hits(), i), GFP_KERNEL)?;
            mask.restart_count();
        }
        // All 64 bits count (spec Q1); equal masks keep their order.
        order
            .as_mut_slice()
            .sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let sorted = order.iter().enumerate().all(|(i, &(_, was))| i == was);
        if sorted && listed.iter().all(|m| m.is_used()) {
            return Ok(());
        }
        let mut array = Array::with_capacity(listed.len(), GFP_KERNEL)?;
        for mask in order
            .iter()
            .filter_map(|&(_, i)| listed.get(i))
            .filter(|m| m.is_used())
        {
            array.push(mask.clone(), GFP_KERNEL)?;
        }
        self.publish(array, ovs)
    }
}

impl Default for MaskList {
    fn default() -> Self {
        Self::new()
    }
}
