// SPDX-License-Identifier: GPL-2.0
//! The megaflow table: from a packet's key to the flow that says what to do with it.
//!
//! Two parts. The *store* holds every flow once, indexed by UFID. The *classifier* is how
//! [`Table::lookup`] gets from an unmasked key to an entry of the store: a tree over the bits that flows match, whose cost
//! does not grow with the number of masks ([`TreeTable`]). Nothing outside of this file depends on how it does that.
//!
//! C counterpart: `net/openvswitch/flow_table.c`.

use crate::datapath::flow::entry::{Flow, FlowEntry, PreparedFlow, INDEXES};
use crate::datapath::flow::hash::{bytes_hash, masked_hash};
use crate::datapath::flow::key::Ufid;
use crate::datapath::flow::masks::Masks;
use crate::datapath::flow::parts::{FlowKey, KeyBuf};
use crate::rust::sync::{self, BhGuard, Cursor, OvsGuard, ReadToken, TreeTable};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kernel::alloc::Flags;
use kernel::error::Result;

/// Buckets of a new or flushed table, as a power of two (spec T1).
const MIN_BUCKETS_LOG2: u32 = 10;

/// The store's index: by UFID; flows without have a place in it for dumps.
const BY_UFID: usize = 0;

/// Entries of a new datapath's mask cache (spec T7).
const CACHE_SIZE: u32 = 256;

/// What a packet found, and at what cost (spec D10).
#[derive(Clone, Copy)]
pub struct Lookup<'g> {
    pub flow: Option<&'g Flow>,
    /// Masks that the key was compared under; 1 if there is only one mask.
    pub masks_probed: u32,
    /// One was enough.
    pub cache_hit: bool,
}

/// What became of a new flow.
pub enum Inserted<'o, 'm> {
    Yes(FlowEntry<'o>),
    /// This flow was there before; the new one is as it was.
    No(FlowEntry<'o>, Option<PreparedFlow<'m>>),
}

/// The flow table of a datapath.
pub struct Table {
    flows: TreeTable<Flow, INDEXES>,
    masks: Masks,
    /// Says whether [`Lookup::cache_hit`] counts, and what userspace reads back; there is no cache, for nothing is left
    /// that it would save.
    cache_size: AtomicU32,
}

// The packet's side.
impl Table {
    /// Finds the flow for a packet with this key.
    #[inline]
    pub fn lookup<'g>(&'g self, key: &FlowKey, bh: &'g BhGuard) -> Lookup<'g> {
        let found = self.flows.find(key, bh, |flow| flow.takes(key));
        let flow = found.entry.map(|entry| entry.get());
        Lookup {
            flow,
            masks_probed: found.masks,
            cache_hit: found.masks == 1 && flow.is_some() && self.cache_size.load(Relaxed) != 0,
        }
    }
}

// The request's side.
impl Table {
    /// An empty table. ENOMEM.
    pub fn new(flags: Flags) -> Result<Self> {
        Ok(Self {
            flows: TreeTable::new([MIN_BUCKETS_LOG2; INDEXES], flags)?,
            masks: Masks::new(flags)?,
            cache_size: AtomicU32::new(CACHE_SIZE),
        })
    }

    /// The flow that a packet with this key would find; leaves no trace in counters (spec F3).
    pub fn lookup_any<'g>(
        &'g self,
        key: &KeyBuf,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        let takes = |flow: &Flow| flow.takes(key);
        self.flows.find(key, token, takes).entry
    }

    /// The flow whose unmasked key is `key`; flows that have a UFID are not found (spec T10).
    pub fn lookup_exact<'g>(
        &'g self,
        key: &KeyBuf,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        // A packet with this key would match that flow, so it is on its way.
        let exact = |flow: &Flow| flow.unmasked_key().is_some_and(|k| k == key);
        self.flows.find(key, token, exact).entry
    }

    /// The flow with this UFID.
    pub fn lookup_ufid<'g>(
        &'g self,
        ufid: &Ufid,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        self.find_ufid(ufid, ufid_hash(ufid), token)
    }

    #[inline]
    fn find_ufid<'g>(
        &'g self,
        ufid: &Ufid,
        hash: u32,
        token: &'g impl ReadToken,
    ) -> Option<FlowEntry<'g>> {
        self.flows
            .find_by::<BY_UFID>(hash, token, |flow| flow.ufid() == Some(ufid))
    }

    /// Inserts a flow, unless there is one of its UFID, or else one that takes packets with its unmasked `key`: that is returned
    /// with the new one (spec F3). ENOMEM leaves the table as it was.
    ///
    /// The store grows, and changes its hash seed from time to time, as needed (spec T1).
    pub fn insert_unless_found<'o, 'm>(
        &'o self,
        new: PreparedFlow<'m>,
        key: &KeyBuf,
        ovs: &'o OvsGuard,
    ) -> Result<Inserted<'o, 'm>> {
        let named = new.flow().ufid().map(|ufid| {
            let hash = ufid_hash(ufid);
            (hash, self.find_ufid(ufid, hash, ovs))
        });
        if let Some((_, Some(same_id))) = named {
            return Ok(Inserted::No(same_id, Some(new)));
        }
        let own = new.mask();
        let mask = match self.masks.acquire(own, ovs) {
            Ok(mask) => mask,
            Err(e) => {
                return match self.lookup_any(key, ovs) {
                    Some(found) => Ok(Inserted::No(found, Some(new))),
                    None => Err(e),
                };
            }
        };
        let hash = match named {
            Some((hash, _)) => hash,
            None => masked_hash(new.flow().key().as_ref(), &mask.mask),
        };
        let flow = new.finish(mask.clone());
        match self.flows.insert_unless_found(ovs, flow, [Some(hash)], key) {
            Ok(sync::Inserted::Yes(flow)) => Ok(Inserted::Yes(flow)),
            Ok(sync::Inserted::No(found, flow)) => {
                self.masks.release(mask, ovs);
                Ok(Inserted::No(found, PreparedFlow::unfinish(flow, own)))
            }
            Err(e) => {
                self.masks.release(mask, ovs);
                Err(e.into())
            }
        }
    }

    /// Takes a flow out; it is freed after a grace period (spec T14).
    pub fn remove(&self, entry: FlowEntry<'_>, ovs: &OvsGuard) {
        if let Some(flow) = self.flows.remove(ovs, entry) {
            if let Some(mask) = flow.get(ovs).shared_mask() {
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
    pub fn n_masks(&self) -> usize {
        self.masks.len()
    }

    /// Entries of the mask cache a CPU, as userspace set it; 0 means off (spec D8 c).
    pub fn masks_cache_size(&self) -> u32 {
        self.cache_size.load(Relaxed)
    }

    pub fn set_masks_cache_size(&self, size: u32, _ovs: &OvsGuard) {
        self.cache_size.store(size, Relaxed);
    }

    /// One mutex section of the periodic work, which brings the classifier into balance (spec T8), as [`TreeTable::tidy`]:
    /// takes off `left` what it reads, and returns false if there is more to do.
    pub fn tidy(&self, left: &mut u32, ovs: &OvsGuard) -> bool {
        self.flows.tidy(left, ovs)
    }
}

/// Userspace chooses UFIDs at random; the store adds a seed of its own.
fn ufid_hash(ufid: &Ufid) -> u32 {
    bytes_hash(&ufid.bytes, ufid.len)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
