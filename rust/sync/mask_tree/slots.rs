// SPDX-License-Identifier: GPL-2.0
//! The table of a hash node: open addressing, linear probing.

use super::super::atomic::{AtomicU64, Ordering};
use super::balance::Place;
use super::node::{Child, Link, NodePtr, NONE};

/// Hash of a slot that is free again. 0 is one that never was used; hashes have bit 1 set.
const DEAD: u64 = 1;

/// A place for a child of a hash node. `hash` is written after `child`.
#[repr(C)]
pub(super) struct Slot {
    hash: AtomicU64,
    pub(super) child: Link,
}

impl Slot {
    pub(super) fn empty() -> Self {
        Self {
            hash: AtomicU64::new(0),
            child: Link::new(NONE),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.load(Ordering::Relaxed)
    }
}

/// Slots for so many children, as a power of two: at most two thirds full.
pub(super) fn slots_for(live: u32) -> u32 {
    let wanted = u64::from(live).wrapping_mul(3) / 2;
    wanted.max(3).wrapping_add(1).next_power_of_two().ilog2()
}

impl NodePtr {
    #[inline(always)]
    pub(super) fn slots(self) -> *mut Slot {
        // SAFETY: within or at the end of the node's memory.
        unsafe { self.words().add((self.tag() >> 8 & 0xff) as usize).cast() } // CAST: a byte
    }

    /// The slot for `hash`.
    #[inline(always)]
    pub(super) fn slot<'t>(self, tag: u32, hash: u64) -> Option<&'t Slot> {
        // SAFETY: so many words and slots follow, by the node's invariant.
        unsafe {
            let slots = self.words().add((tag >> 8 & 0xff) as usize).cast(); // CAST: a byte
            let last = (1usize << (tag >> 16 & 0x3f)).wrapping_sub(1);
            Self::search(slots, last, hash, Ordering::Acquire).ok()
        }
    }

    /// The slot for `hash`; or where there is none, the unused one at which the search ended. For the writer.
    #[inline]
    pub(super) fn seek<'t>(self, hash: u64) -> Result<&'t Slot, &'t Slot> {
        let last = self.n_slots().wrapping_sub(1);
        // SAFETY: so many slots follow, by the node's invariant.
        unsafe { Self::search(self.slots(), last, hash, Ordering::Relaxed) }
    }

    /// # Safety
    ///
    /// They are the slots of a node, `last` the number of the last one.
    #[inline(always)]
    unsafe fn search<'t>(
        slots: *const Slot,
        last: usize,
        hash: u64,
        order: Ordering,
    ) -> Result<&'t Slot, &'t Slot> {
        let mut i = (hash >> 32) as usize & last; // CAST: the high half
        loop {
            // SAFETY: a slot, by this function's contract. Some slot was never used, so this ends.
            let slot = unsafe { &*slots.add(i) };
            let found = slot.hash.load(order);
            if found == hash {
                return Ok(slot);
            }
            if found == 0 {
                return Err(slot);
            }
            i = i.wrapping_add(1) & last;
        }
    }

    /// The slots that hold children.
    pub(super) fn live_slots<'t>(self) -> impl Iterator<Item = &'t Slot> {
        // SAFETY: so many slots follow, by the node's invariant.
        let slots = (0..self.n_slots()).map(move |i| unsafe { &*self.slots().add(i) });
        slots.filter(|s| s.hash.load(Ordering::Relaxed) > DEAD)
    }

    /// Whether one child more would leave too few slots unused for lookups to end soon. A dead slot in its way would do
    /// for it, but who comes later may not find one.
    pub(super) fn is_full(self) -> bool {
        let used = self.counts().1 as usize; // CAST: u32 fits
        used.wrapping_add(1).wrapping_mul(4) > self.n_slots().wrapping_mul(3)
    }

    /// Whether a full table can take one more if it must: a sixteenth stays unused, and at least one, so that probing ends.
    pub(super) fn has_room(self) -> bool {
        let used = self.counts().1 as usize; // CAST: u32 fits
        let slots = self.n_slots();
        used.wrapping_add(2).wrapping_add(slots / 16) <= slots
    }

    /// A table that is mostly empty.
    pub(super) fn is_sparse(self) -> bool {
        let live = self.counts().0 as usize; // CAST: u32 fits
        !self.is_fork() && self.n_slots() > 4 && live.wrapping_mul(8) < self.n_slots()
    }

    /// Its links by number, first those of slots.
    pub(super) fn link_at(self, i: usize) -> Place {
        let links = self.as_raw().as_ptr();
        let slots = if self.is_fork() { 1 } else { self.n_slots() };
        // SAFETY: valid by the invariant; so many slots follow.
        unsafe {
            if i == slots {
                return Place::Link(&raw const (*links).other);
            }
            if i > slots {
                return Place::End;
            }
            if self.is_fork() {
                return Place::Link(&raw const (*links).inn);
            }
            let slot = self.slots().add(i);
            if (*slot).hash.load(Ordering::Relaxed) <= DEAD {
                return Place::Nothing;
            }
            Place::Link(&raw const (*slot).child)
        }
    }

    /// As [`add_slot`](Self::add_slot), given what [`seek`](Self::seek) said: where that ended, or in a dead slot before.
    pub(super) fn fill_slot(self, unused: &Slot, hash: u64, child: Child) {
        let (live, used) = self.counts();
        if live != used {
            self.add_slot(hash, child);
            return;
        }
        self.occupy(unused, true, hash, child);
    }

    /// Puts a child into a free slot, of which there is one: the node was not full.
    pub(super) fn add_slot<'t>(self, hash: u64, child: Child) -> &'t Slot {
        let (slot, unused) = self.free_slot(hash);
        self.occupy(slot, unused, hash, child);
        slot
    }

    /// Publishes a child in a slot that has none, and perhaps never was used.
    #[inline(always)]
    fn occupy(self, slot: &Slot, unused: bool, hash: u64, child: Child) {
        let (live, used) = self.counts();
        self.set_counts(live.wrapping_add(1), used.wrapping_add(u32::from(unused)));
        slot.child.store(child, Ordering::Release);
        slot.hash.store(hash, Ordering::Release);
    }

    /// The slot that a child of this hash would get, and whether it never was used.
    #[inline]
    fn free_slot<'t>(self, hash: u64) -> (&'t Slot, bool) {
        let (slots, last) = (self.slots(), self.n_slots().wrapping_sub(1));
        let mut i = (hash >> 32) as usize & last; // CAST: the high half
        loop {
            // SAFETY: so many slots follow, by the node's invariant.
            let slot = unsafe { &*slots.add(i) };
            let was = slot.hash.load(Ordering::Relaxed);
            if was <= DEAD {
                return (slot, was == 0);
            }
            i = i.wrapping_add(1) & last;
        }
    }

    /// Copies the children of `old` into this table, which is not published and has none.
    pub(super) fn copy_slots(self, old: Self) {
        let mut copied = 0u32;
        for slot in old.live_slots() {
            let hash = slot.hash();
            let (new, _) = self.free_slot(hash);
            let child = slot.child.load(Ordering::Relaxed);
            new.child.store(child, Ordering::Relaxed);
            new.hash.store(hash, Ordering::Relaxed);
            copied = copied.wrapping_add(1);
        }
        self.set_counts(copied, copied);
    }

    /// The child of this slot has gone.
    pub(super) fn kill_slot(self, slot: &Slot) {
        slot.hash.store(DEAD, Ordering::Release);
        let (live, used) = self.counts();
        self.set_counts(live.wrapping_sub(1), used);
    }

    /// Calls `f` for each child.
    pub(super) fn each_child(self, mut f: impl FnMut(Child)) {
        if self.is_fork() {
            f(self.inn.load(Ordering::Relaxed));
        } else {
            self.live_slots()
                .for_each(|s| f(s.child.load(Ordering::Relaxed)));
        }
        f(self.other.load(Ordering::Relaxed));
    }
}
