// SPDX-License-Identifier: GPL-2.0
//! The masks in use: flows with equal masks share one, found by its hash (spec T4, T16).
//!
//! Nothing here is in any order, nor does a packet come here.
//!
//! C counterpart: `struct mask_array` in `net/openvswitch/flow_table.c`.

use crate::datapath::flow::hash::masked_hash;
use crate::datapath::flow::key::CORE_WORDS;
use crate::datapath::flow::mask::Mask;
use crate::rust::pod::Pod;
use crate::rust::sync::{OvsGuard, RcuTable, TableBox};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::{AllocError, Flags};
use kernel::error::code::ENOMEM;
use kernel::error::Result;
use kernel::sync::Arc;

/// A mask that flows share.
pub struct SharedMask {
    pub mask: Mask,
    /// Bit n: it looks at word n of the key, those of the core first.
    pub bits: u64,
    /// Flows of the table that have it. Written under `ovs_mutex`.
    flows: AtomicU32,
}

impl SharedMask {
    fn new(mask: &Mask) -> Result<Self, AllocError> {
        let words = mask.key.core().as_words();
        let core = words.iter().rev();
        let core = core.fold(0, |bits, w| bits << 1 | u64::from(*w != 0));
        Ok(Self {
            mask: mask.try_clone(GFP_KERNEL)?,
            bits: core | mask.deep << CORE_WORDS,
            flows: AtomicU32::new(1),
        })
    }
}

/// Masks at most; any user with a namespace of his own can make them (spec B66). What they cost packets is bounded by the
/// table, which takes no flow more where lookups visit too many nodes.
const MAX_MASKS: usize = 16_384;

fn hash(mask: &Mask) -> u32 {
    masked_hash(mask.key.as_ref(), mask)
}

/// The registry.
pub struct Masks {
    table: RcuTable<Arc<SharedMask>, 1>,
    /// The hash of the last mask that was acquired: the next flow's is often the same, and then need not be hashed.
    last: AtomicU32,
}

impl Masks {
    /// Of a new table. ENOMEM.
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            table: RcuTable::new([4], flags)?,
            last: AtomicU32::new(0),
        })
    }

    /// Counts a flow that has `mask`, and registers it if it is new. ENOMEM, also for one too many, leaves all as it was.
    pub fn acquire<'o>(&'o self, mask: &Mask, ovs: &'o OvsGuard) -> Result<&'o Arc<SharedMask>> {
        let find = |hash| self.table.find::<0>(hash, ovs, |m| m.mask == *mask);
        let mut known = find(self.last.load(Relaxed));
        let mut hash = 0;
        if known.is_none() {
            hash = self::hash(mask);
            self.last.store(hash, Relaxed);
            known = find(hash);
        }
        if let Some(known) = known {
            let flows = known.flows.load(Relaxed).wrapping_add(1);
            known.flows.store(flows, Relaxed);
            return Ok(known.get());
        }
        if self.len() >= MAX_MASKS {
            return Err(ENOMEM);
        }
        let new = Arc::new(SharedMask::new(mask)?, GFP_KERNEL)?;
        let entry = TableBox::new(new, GFP_KERNEL)?;
        Ok(self.table.insert(ovs, entry, [Some(hash)]).get())
    }

    /// A flow that has `mask` is not in the table (any more). With the last one the mask goes. Cannot fail.
    #[inline]
    pub fn release(&self, mask: &Arc<SharedMask>, ovs: &OvsGuard) {
        let flows = mask.flows.load(Relaxed);
        if flows > 1 {
            mask.flows.store(flows - 1, Relaxed);
        } else {
            self.remove(mask, ovs);
        }
    }

    #[inline(never)]
    fn remove(&self, mask: &Arc<SharedMask>, ovs: &OvsGuard) {
        mask.flows.store(0, Relaxed);
        let same = |m: &Arc<SharedMask>| Arc::ptr_eq(m, mask);
        if let Some(entry) = self.table.find::<0>(hash(&mask.mask), ovs, same) {
            drop(self.table.remove(ovs, entry));
        }
    }

    /// All flows have left the table.
    pub fn clear(&self, ovs: &OvsGuard) {
        self.table.flush(ovs);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }
}
