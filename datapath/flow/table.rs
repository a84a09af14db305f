// SPDX-License-Identifier: GPL-2.0
//! The megaflow table: from a packet's key to the flow that says what to do with it.
//!
//! Two parts. The *store* holds every flow once, indexed by masked key and by UFID. The *classifier* is how
//! [`Table::lookup`] gets from an unmasked key to an entry of the store: here, by trying one mask after the other,
//! helped by a guess from the packet's hash. Nothing outside of this file depends on how it does that.
//!
//! C counterpart: `net/openvswitch/flow_table.c`.

use crate::datapath::flow::entry::{Flow, FlowEntry, PreparedFlow, INDEXES};
use crate::datapath::flow::hash::{bytes_hash, core_hash, masked_hash};
use crate::datapath::flow::key::Ufid;
use crate::datapath::flow::mask::{eq_core, eq_masked};
use crate::datapath::flow::mask_cache::{self, MaskCache};
use crate::datapath::flow::mask_list::{ListedMask, MaskList};
use crate::datapath::flow::parts::{FlowKey, Key, KeyBuf, Parts};
use crate::rust::sync::{BhGuard, Cursor, OvsGuard, RcuBox, RcuSlot, RcuTable, ReadToken};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::Flags;
use kernel::error::Result;
use kernel::sync::Arc;

/// Buckets of a new or flushed table, as a power of two (spec T1).
const MIN_BUCKETS_LOG2: u32 = 10;

/// Indexes of the store.
const BY_KEY: usize = 0;
const BY_UFID: usize = 1;

/// What a packet found, and at what cost (spec D10).
#[derive(Clone, Copy)]
pub struct Lookup<'g> {
    pub flow: Option<&'g Flow>,
    /// Masks tried.
    pub masks_probed: u32,
    /// The guess by hash was right.
    pub cache_hit: bool,
}

/// The flow table of a datapath.
pub struct Table {
    flows: RcuTable<Flow, INDEXES>,
    masks: MaskList,
    cache: RcuSlot<MaskCache>,
}

// The packet's side.
impl Table {
    /// Finds the flow for a packet with this key and flow hash (0: unknown).
    #[inline]
    pub fn lookup<'g>(&'g self, key: &FlowKey, skb_hash: u32, bh: &'g BhGuard) -> Lookup<'g> {
        let masks = self.masks.read(bh);
        let place = match self.cache.read(bh) {
            Some(cache) => cache.get().place(skb_hash, key.recirc_id, bh),
            None => None,
        };
        let Some(place) = place else {
            return self.scan(masks, key, None, bh).0;
        };
        let guess = place.guess();
        if let Some(mask) = masks.get(guess as usize) {
            // CAST: u32 fits
            if let Some(flow) = self.probe(mask, key, bh) {
                mask.hits.get(bh).add(1);
                if !place.known {
                    place.remember(guess);
                }
                return Lookup {
                    flow: Some(flow.get()),
                    masks_probed: 1,
                    cache_hit: place.known,
                };
            }
        }
        let (lookup, index) = self.scan(masks, key, Some(guess), bh);
        match lookup.flow {
            Some(_) => place.remember(index),
            None => place.forget(),
        }
        lookup
    }

    /// Tries all masks in order, but for the one at `tried`.
    #[inline(never)]
    fn scan<'g>(
        &'g self,
        masks: &[Arc<ListedMask>],
        key: &FlowKey,
        tried: Option<u32>,
        bh: &'g BhGuard,
    ) -> (Lookup<'g>, u32) {
        let mut probed: u32 = match tried {
            Some(i) if (i as usize) < masks.len() => 1, // CAST: u32 fits
            _ => 0,
        };
        for (i, mask) in (0u32..).zip(masks) {
            if tried == Some(i) {
                continue;
            }
            probed = probed.wrapping_add(1);
            if let Some(flow) = self.probe(mask, key, bh) {
                mask.hits.get(bh).add(1);
                return (
                    Lookup {
                        flow: Some(flow.get()),
                        masks_probed: probed,
                        cache_hit: false,
                    },
                    i,
                );
            }
        }
        (
            Lookup {
                flow: None,
                masks_probed: probed,
                cache_hit: false,
            },
            0,
        )
    }

    /// The flow under `mask` that matches `key`.
    #[inline(always)]
    fn probe<'g, X: Parts>(
        &'g self,
        mask: &Arc<ListedMask>,
        key: &Key<X>,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        if mask.mask.deep != 0 {
            return self.probe_deep(mask, key, token);
        }
        let hash = core_hash(key, &mask.mask);
        self.flows.find::<BY_KEY>(hash, token, |flow| {
            flow.has_mask(mask) && eq_core(flow.key(), key, &mask.mask)
        })
    }

    /// [`Self::probe`] for a mask that looks beyond the core.
    #[inline(never)]
    fn probe_deep<'g, X: Parts>(
        &'g self,
        mask: &Arc<ListedMask>,
        key: &Key<X>,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        let key = key.as_ref();
        let hash = masked_hash(key, &mask.mask);
        self.flows.find::<BY_KEY>(hash, token, |flow| {
            flow.has_mask(mask) && eq_masked(flow.key().as_ref(), key, &mask.mask)
        })
    }
}

// The request's side.
impl Table {
    /// An empty table. ENOMEM.
    pub fn new(flags: Flags) -> Result<Self> {
        let cache = MaskCache::new(mask_cache::DEFAULT_SIZE, flags)?;
        Ok(Self {
            flows: RcuTable::new([MIN_BUCKETS_LOG2; INDEXES], flags)?,
            masks: MaskList::new(),
            cache: RcuSlot::new(Some(RcuBox::new(cache, flags)?)),
        })
    }

    /// The flow that a packet with this key would find; leaves no trace in counters (spec F3).
    pub fn lookup_any<'g>(
        &'g self,
        key: &KeyBuf,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        self.masks
            .read(token)
            .iter()
            .find_map(|mask| self.probe(mask, key, token))
    }

    /// The flow whose unmasked key is `key`; flows that have a UFID are not found (spec T10).
    pub fn lookup_exact<'g>(
        &'g self,
        key: &KeyBuf,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        let found = |mask| self.probe(mask, key, token);
        let exact = |flow: &FlowEntry<'g>| flow.unmasked_key().is_some_and(|k| k == key);
        self.masks.read(token).iter().filter_map(found).find(exact)
    }

    /// The flow with this UFID.
    pub fn lookup_ufid<'g>(
        &'g self,
        ufid: &Ufid,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        self.flows
            .find::<BY_UFID>(ufid_hash(ufid), token, |flow| flow.ufid() == Some(ufid))
    }

    /// Inserts a flow of which no duplicate is in the table. ENOMEM leaves the table as it was.
    ///
    /// The store grows, and changes its hash seed from time to time, as needed (spec T1).
    pub fn insert<'o>(&'o self, new: PreparedFlow<'_>, ovs: &'o OvsGuard) -> Result<FlowEntry<'o>> {
        let mask = self.masks.acquire(new.mask(), ovs)?;
        let by_key = masked_hash(new.flow().key().as_ref(), &mask.mask);
        let by_ufid = new.flow().ufid().map(ufid_hash);
        Ok(self
            .flows
            .insert(ovs, new.finish(mask), [Some(by_key), by_ufid]))
    }

    /// Takes a flow out; it is freed after a grace period (spec T14).
    pub fn remove(&self, entry: FlowEntry<'_>, ovs: &OvsGuard) {
        if let Some(flow) = self.flows.remove(ovs, entry) {
            if let Some(mask) = flow.get(ovs).listed_mask() {
                self.masks.release(mask, ovs);
            }
        }
    }

    /// Takes all flows out (spec F9, T15).
    pub fn flush(&self, ovs: &OvsGuard) {
        self.flows.flush(ovs);
        self.masks.clear(ovs);
    }

    /// The flow at the cursor, which moves behind it; `None` at the end (spec F11).
    pub fn next<'g>(
        &'g self,
        cursor: &mut [u64; 2],
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        let [bucket, index] = *cursor;
        // CAST: both came from a `Cursor`; what did not fit would only end the dump.
        let mut at = Cursor {
            bucket: bucket as u32,
            index: index as u32,
        };
        let flow = self.flows.next(&mut at, token);
        *cursor = [u64::from(at.bucket), u64::from(at.index)];
        flow
    }

    /// Flows in the table (spec T16).
    pub fn count(&self) -> usize {
        self.flows.len()
    }

    /// Masks in use (spec T16).
    pub fn n_masks(&self, token: &impl ReadToken) -> usize {
        self.masks.read(token).len()
    }

    /// Entries of the mask cache a CPU; 0 means off.
    pub fn masks_cache_size(&self, token: &impl ReadToken) -> u32 {
        self.cache.read(token).map_or(0, |c| c.size())
    }

    /// Replaces the mask cache by an empty one of another size. EINVAL, ENOMEM (spec D8 c).
    pub fn resize_masks_cache(&self, size: u32, ovs: &OvsGuard) -> Result {
        if size != self.masks_cache_size(ovs) {
            let cache = RcuBox::new(MaskCache::new(size, GFP_KERNEL)?, GFP_KERNEL)?;
            drop(self.cache.replace(ovs, Some(cache)));
        }
        Ok(())
    }

    /// Sorts the masks by use (spec T8).
    pub fn rebalance(&self, ovs: &OvsGuard) {
        // Without memory the order stays; there will be a next time.
        let _ = self.masks.rebalance(ovs);
    }
}

/// Userspace chooses UFIDs at random; the store adds a seed of its own.
fn ufid_hash(ufid: &Ufid) -> u32 {
    bytes_hash(&ufid.bytes, ufid.len)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
