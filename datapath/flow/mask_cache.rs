// SPDX-License-Identifier: GPL-2.0
//! A guess, per CPU, at the mask that a packet will match, by the packet's hash (spec T6, T7).
//!
//! The cache is never told of changes of the mask list: a wrong guess costs one probe.
//!
//! C counterpart: `struct mask_cache` in `net/openvswitch/flow_table.c`.

use crate::rust::sync::{BhGuard, PerCpu};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use kernel::alloc::{AllocError, Flags, KVec};
use kernel::error::code::EINVAL;
use kernel::error::Result;

/// Entries of a new datapath's cache.
pub const DEFAULT_SIZE: u32 = 256;
/// Most entries: what fits into the kernel's smallest per-CPU chunk of 32 KiB in C, kept as the limit.
pub const MAX_SIZE: u32 = 4096;

/// A hash is tried in this many places, each eight bits further up.
const SEGMENTS: u32 = 4;
const SEGMENT_SHIFT: u32 = 8;

/// One guess, touched by one CPU only: hash (0: empty) in the low half, index into the mask array in the high half.
#[derive(Default)]
struct Entry(AtomicU64);

impl Entry {
    #[inline(always)]
    fn hash(&self) -> u32 {
        self.0.load(Relaxed) as u32 // CAST: the low half
    }

    #[inline(always)]
    fn mask(&self) -> u32 {
        (self.0.load(Relaxed) >> 32) as u32 // CAST: the high half
    }

    #[inline(always)]
    fn set(&self, hash: u32, mask: u32) {
        self.0
            .store(u64::from(mask) << 32 | u64::from(hash), Relaxed);
    }
}

/// The cache of one datapath; size 0 switches it off.
pub struct MaskCache {
    size: u32,
    entries: PerCpu<KVec<Entry>>,
}

/// Where the cache keeps (or would keep) the guess for one hash.
pub struct Place<'g> {
    entry: &'g Entry,
    hash: u32,
    /// The entry holds a guess for this very hash.
    pub known: bool,
}

impl Place<'_> {
    /// The mask index to try first.
    #[inline(always)]
    pub fn guess(&self) -> u32 {
        self.entry.mask()
    }

    /// The packet matched the mask at `index`.
    #[inline(always)]
    pub fn remember(&self, index: u32) {
        self.entry.set(self.hash, index);
    }

    /// The packet matched nothing: a guess for its hash is worth nothing.
    #[inline]
    pub fn forget(&self) {
        if self.known {
            self.entry.set(0, self.guess());
        }
    }
}

impl MaskCache {
    /// EINVAL unless `size` is 0 or a power of two up to [`MAX_SIZE`] (spec D8 c).
    pub fn check_size(size: u32) -> Result {
        if size > MAX_SIZE || (size != 0 && !size.is_power_of_two()) {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// An empty cache.
    pub fn new(size: u32, flags: Flags) -> Result<Self> {
        Self::check_size(size)?;
        let entries = PerCpu::try_new(|_| Self::empty(size, flags), flags)?;
        Ok(Self { size, entries })
    }

    fn empty(size: u32, flags: Flags) -> core::result::Result<KVec<Entry>, AllocError> {
        let n = size as usize; // CAST: u32 fits
        let mut entries = KVec::with_capacity(n, flags)?;
        for _ in 0..n {
            entries.push(Entry::default(), flags)?;
        }
        Ok(entries)
    }

    /// Number of entries a CPU.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The place for a packet; `None` if the cache is off or the packet has no hash.
    #[inline(always)]
    pub fn place<'g>(
        &'g self,
        skb_hash: u32,
        recirc_id: u32,
        bh: &'g BhGuard,
    ) -> Option<Place<'g>> {
        if skb_hash == 0 {
            return None;
        }
        let hash = spread(skb_hash, recirc_id);
        let entries = self.entries.get(bh).as_slice();
        let last = entries.len().wrapping_sub(1);
        let first = entries.get(hash as usize & last)?; // CAST: u32 fits
        if first.hash() == hash {
            return Some(Place {
                entry: first,
                hash,
                known: true,
            });
        }
        Some(Self::place_after(entries, first, hash))
    }

    /// The other segments; without a guess the entry with the smallest hash is the victim.
    fn place_after<'g>(entries: &'g [Entry], first: &'g Entry, hash: u32) -> Place<'g> {
        let last = entries.len().wrapping_sub(1);
        let mut victim = first;
        for segment in 1..SEGMENTS {
            let at = hash >> (segment * SEGMENT_SHIFT);
            let Some(entry) = entries.get(at as usize & last) else {
                break;
            }; // CAST: u32 fits
            if entry.hash() == hash {
                return Place {
                    entry,
                    hash,
                    known: true,
                };
            }
            if entry.hash() < victim.hash() {
                victim = entry;
            }
        }
        Place {
            entry: victim,
            hash,
            known: false,
        }
    }
}

/// A packet has the same hash before and after recirculation but matches different flows.
#[inline(always)]
fn spread(skb_hash: u32, recirc_id: u32) -> u32 {
    if recirc_id == 0 {
        return skb_hash;
    }
    let h = (skb_hash ^ recirc_id.wrapping_mul(0x9e37_79b1)).wrapping_mul(0x85eb_ca6b);
    h ^ (h >> 15)
}

#[cfg(test)]
#[path = "mask_cache_tests.rs"]
mod tests;
