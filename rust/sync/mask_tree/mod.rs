// SPDX-License-Identifier: GPL-2.0
//! [`TreeTable`]: a hash table whose entries are also found by a key under their masks, whatever the number of masks.
//!
//! An entry has a key and a mask: it matches whatever equals its key in the bits of its mask. To try one mask after the
//! other is linear in masks, and whoever can cause many makes every lookup slow (CVE-2019-25076). The *mask tree* is a
//! radix tree whose inner nodes look only at bits that **all** entries below them match; so no entry is ever copied, and
//! only at a leaf a whole key is compared. For entries that are leaves of one decision tree, as the megaflows of an
//! OpenFlow pipeline are, there is always such a bit, and a lookup visits O(log n) nodes.
//!
//! Invariants:
//! * I1. An entry below a hash node is in its table if the node's masks are within the entry's, else below `other`.
//! * I2. An entry below a fork is below `inn` if its cube is within the fork's, else below `other`. If any below `other`
//!   intersects the fork's, `OVERLAP` is set, and may stay set after the entry has left. A fork without words has the flag
//!   and holds what nothing tells apart; both sides are tried.
//! * I3. `size` is the number of entries below. `cost` is at least what any lookup visits below: for a hash node 1, the
//!   dearest child and `other`; for a fork 1 and the dearer side, or both if they overlap.
//! * I4. No entry is below two links, and each node has at least two sides with entries. So there are fewer nodes than
//!   entries.
//!
//! Readers miss nothing that stays: each link's set of entries changes by at most the one that is inserted or removed.
//! What is grown, split, collapsed or built anew replaces a link by one with the same entries, and what is unlinked stays
//! as it is until its grace period ends. Slots never move in place. A reader may find the child of a slot that died and was used
//! again; there it fails, and misses only what was removed.
//!
//! Inserting allocates before it publishes. Bringing a subtree back into balance is optional: without memory the old one
//! stays. Removing never allocates. Nothing recurses: nodes know their parents, which only the writer reads.
//!
//! C counterpart: `flow_lookup()` and the mask array of `net/openvswitch/flow_table.c`, which tries all masks.

mod balance;
mod build;
mod change;
#[cfg(all(test, not(loom)))]
#[path = "flows_tests.rs"]
mod flows;
mod meter;
mod node;
mod parts;
mod sample;
mod slots;
#[cfg(all(test, not(loom)))]
mod tests;

use super::{
    atomic::{AtomicU32, AtomicUsize, Ordering},
    rcu_table::{Cursor, Entry, Iter, RcuTable, TableBox},
    OvsGuard, ReadToken, Retired,
};
use crate::sys;
use change::Spot;
use core::{marker::PhantomData, mem::MaybeUninit};
use kernel::alloc::{AllocError, Flags};
use node::{entry_of, Child, Link, NodePtr, FORK, NONE, OVERLAP};

/// Nodes and entries that a lookup may have to visit before no entry is added any more: about as many masks as the C module
/// can try.
pub const MAX_VISITS: u32 = 4096;
/// Words of keys and masks that one round of [`TreeTable::tidy`] reads, a few nanoseconds each.
pub const TIDY: u32 = balance::TIDY;

/// Words that every key has in place.
pub const NEAR: usize = 16;

/// Alternatives that a lookup can keep for later; one in tests, so that they come to where there are more.
const STACK: usize = if cfg!(test) { 1 } else { 16 };
/// The same of a lookup that had too many. An alternative waits at a node that the lookup is below of and not by its `other`;
/// there are no more than [`change::MAX_DEPTH`] of these when a subtree is built or entered, and as many in what was built.
const DEEP_STACK: usize = 128;
const _: () = assert!(DEEP_STACK > 2 * change::MAX_DEPTH as usize); // CAST: u32 fits

/// A key made of up to 64 words.
pub trait Words {
    /// The first words.
    fn near(&self) -> &[u64; NEAR];
    /// Word `n`, from 0 on; 0 beyond the last.
    fn word(&self, n: usize) -> u64;
}

/// What a [`TreeTable`] keeps. None of this changes while it is in the table.
pub trait Leaf {
    /// What its key and its mask are made of.
    type Key: Words;
    /// The key; zero where the mask is.
    fn key(&self) -> &Self::Key;
    /// The mask.
    fn mask(&self) -> &Self::Key;
    /// Bit n: word n of the mask is not zero.
    fn bits(&self) -> u64;
    /// Whether `key` is its key in the bits of its mask.
    fn matches(&self, key: &Self::Key) -> bool;
}

/// What a lookup found, and at what cost.
pub struct Found<'g, T, const N: usize> {
    /// The entry, if there is one.
    pub entry: Option<Entry<'g, T, N>>,
    /// Masks that the key was compared under: those of the nodes on the way, or of the only entry.
    pub masks: u32,
    /// There were more alternatives than the lookup could keep.
    gave_up: bool,
}

/// What became of a new entry.
pub enum Inserted<'g, T, const N: usize> {
    /// It is in the table now.
    Yes(Entry<'g, T, N>),
    /// This one was there before.
    No(Entry<'g, T, N>, TableBox<T, N>),
}

/// The tree. Who links entries here owns them: [`TreeTable`].
///
/// # Invariants
///
/// Each entry in it is in the table too. I1 to I4.
struct MaskTree<T, const N: usize> {
    root: Link,
    /// Keeps senders of packets from choosing what shares a slot.
    secret: [u64; 2],
    /// Bytes retired since `retired_at` was taken: what rebuilding may hold until a grace period ends.
    retired: AtomicUsize,
    retired_at: AtomicUsize,
    /// Bytes of all nodes.
    bytes: AtomicUsize,
    /// Where the periodic work goes on: a link of the root, one of what hangs there, and so on.
    tidied: [AtomicU32; balance::TIDY_DEPTH],
    /// The root that was last asked whether it can be better, and how fresh it was.
    asked: [AtomicUsize; 2],
    /// For tests: entries that inserts have rebuilt so far, and at once.
    work: [AtomicUsize; 2],
    _of: PhantomData<fn() -> T>,
}

impl<T: Leaf, const N: usize> MaskTree<T, N> {
    fn new() -> Self {
        let random = || u64::from(sys::get_random_u32()) << 32 | u64::from(sys::get_random_u32());
        Self {
            root: Link::new(NONE),
            secret: [random(), random()],
            retired: AtomicUsize::new(0),
            retired_at: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            tidied: core::array::from_fn(|_| AtomicU32::new(0)),
            asked: [AtomicUsize::new(0), AtomicUsize::new(0)],
            work: [AtomicUsize::new(0), AtomicUsize::new(0)],
            _of: PhantomData,
        }
    }

    /// The first entry on the way of `key` that `accept` takes; keeps up to `S` alternatives.
    #[inline(always)]
    fn find<'g, const S: usize>(
        &'g self,
        key: &impl Words,
        _token: &'g impl ReadToken,
        mut accept: impl FnMut(&T) -> bool,
    ) -> Found<'g, T, N> {
        let mut later = [MaybeUninit::<Child>::uninit(); S];
        let (mut top, mut masks) = (0, 0u32);
        let mut at = self.root.load(Ordering::Acquire);
        let empty = at.is_null();
        let found = |entry, masks: u32, gave_up| Found {
            entry,
            masks: masks.max(u32::from(!empty)),
            gave_up,
        };
        loop {
            if let Some(address) = entry_of(at) {
                // SAFETY: linked, so in the table when this section began or since; the token keeps it from being freed.
                let entry = unsafe { Entry::from_address(address) };
                if accept(Entry::get(entry)) {
                    return found(Some(entry), masks, false);
                }
            // SAFETY: linked when this section began or since; the token keeps it from being freed.
            } else if let Some(node) = unsafe { NodePtr::of(at) } {
                masks = masks.wrapping_add(1);
                let tag = node.tag();
                let other = node.other.load(Ordering::Acquire);
                if tag & FORK != 0 {
                    if node.excludes(tag, key) {
                        at = other;
                        continue;
                    }
                    at = node.inn.load(Ordering::Acquire);
                    if tag & OVERLAP == 0 {
                        continue;
                    }
                } else {
                    let Some(slot) = node.slot(tag, node.hash(tag, key, &self.secret)) else {
                        at = other;
                        continue;
                    };
                    at = slot.child.load(Ordering::Acquire);
                    if other.is_null() {
                        continue;
                    }
                }
                let Some(place) = later.get_mut(top) else {
                    return found(None, masks, true);
                };
                place.write(other);
                top = top.wrapping_add(1);
                continue;
            }
            top = match top.checked_sub(1) {
                None => return found(None, masks, false),
                Some(top) => top,
            };
            // SAFETY: below the former top, so written.
            at = unsafe { later.get_unchecked(top).assume_init() };
        }
    }

    fn entry<'g>(&'g self, child: Child) -> Option<Entry<'g, T, N>> {
        // SAFETY: for the writer only, who borrows the table: linked, or in the tree until this section.
        entry_of(child).map(|address| unsafe { Entry::from_address(address) })
    }
}

impl<T, const N: usize> Drop for MaskTree<T, N> {
    fn drop(&mut self) {
        let root = self.root.load(Ordering::Relaxed);
        // SAFETY: `&mut self` excludes readers; nobody uses the nodes any more.
        change::each_node(root, |node| unsafe { node.free_now() });
    }
}

/// An [`RcuTable`] of which each entry is found by a key under its mask.
///
/// # Invariants
///
/// The tree has just the entries of the table, but for the moment of a change.
pub struct TreeTable<T, const N: usize> {
    tree: MaskTree<T, N>,
    table: RcuTable<T, N>,
}

impl<T: Leaf, const N: usize> TreeTable<T, N> {
    /// As [`RcuTable::new`].
    pub fn new(log2: [u32; N], flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            tree: MaskTree::new(),
            table: RcuTable::new(log2, flags)?,
        })
    }

    /// The first entry that `accept` takes, which takes nothing that `key` does not match. If there is one, it is found;
    /// of several, any.
    #[inline(always)]
    pub fn find<'g>(
        &'g self,
        key: &impl Words,
        token: &'g impl ReadToken,
        mut accept: impl FnMut(&T) -> bool,
    ) -> Found<'g, T, N> {
        let found = self.tree.find::<STACK>(key, token, &mut accept);
        if found.gave_up {
            return self.find_deep(key, token, &mut accept);
        }
        found
    }

    #[cold]
    #[inline(never)]
    fn find_deep<'g>(
        &'g self,
        key: &impl Words,
        token: &'g impl ReadToken,
        accept: &mut impl FnMut(&T) -> bool,
    ) -> Found<'g, T, N> {
        let mut found = self.tree.find::<DEEP_STACK>(key, token, &mut *accept);
        if found.gave_up {
            found.entry = self.iter(token).find(|entry| accept(entry));
        }
        found
    }

    /// As [`RcuTable::find`].
    #[inline]
    pub fn find_by<'g, const I: usize>(
        &'g self,
        hash: u32,
        token: &'g impl ReadToken,
        eq: impl FnMut(&T) -> bool,
    ) -> Option<Entry<'g, T, N>> {
        self.table.find::<I>(hash, token, eq)
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All entries, as [`RcuTable::iter`].
    pub fn iter<'g>(&'g self, token: &'g impl ReadToken) -> Iter<'g, T, N> {
        self.table.iter(token)
    }

    /// As [`RcuTable::next`].
    pub fn next<'g>(
        &'g self,
        cursor: &mut Cursor,
        token: &'g impl ReadToken,
    ) -> Option<Entry<'g, T, N>> {
        self.table.next(cursor, token)
    }
}

impl<T: Leaf + Send + Sync + 'static, const N: usize> TreeTable<T, N> {
    /// Links a new entry, as [`RcuTable::insert`]. ENOMEM leaves all as it was; also where lookups have become as dear as
    /// [`MAX_VISITS`], by entries that nothing tells apart.
    pub fn insert<'g>(
        &'g self,
        guard: &'g OvsGuard,
        entry: TableBox<T, N>,
        hashes: [Option<u32>; N],
    ) -> Result<Entry<'g, T, N>, AllocError> {
        self.insert_at(self.tree.locate(&entry), guard, entry, hashes)
    }

    /// The same, unless an entry matches `key`, which the new one matches; then it is returned with the one that it met.
    pub fn insert_unless_found<'g>(
        &'g self,
        guard: &'g OvsGuard,
        entry: TableBox<T, N>,
        hashes: [Option<u32>; N],
        key: &T::Key,
    ) -> Result<Inserted<'g, T, N>, AllocError> {
        let spot = self.tree.locate(&entry);
        let found = match self.tree.found_at(&spot, key) {
            Some(found) => found,
            None => self.find(key, guard, |entry| entry.matches(key)).entry,
        };
        match found {
            Some(found) => Ok(Inserted::No(found, entry)),
            None => self
                .insert_at(spot, guard, entry, hashes)
                .map(Inserted::Yes),
        }
    }

    fn insert_at<'g>(
        &'g self,
        spot: Spot<'_>,
        guard: &'g OvsGuard,
        entry: TableBox<T, N>,
        hashes: [Option<u32>; N],
    ) -> Result<Entry<'g, T, N>, AllocError> {
        if self.cost(guard) >= MAX_VISITS {
            return Err(AllocError);
        }
        let plan = self.tree.prepare(spot, &entry)?;
        let entry = self.table.insert(guard, entry, hashes);
        self.tree.commit(plan, entry, guard);
        Ok(entry)
    }

    /// Unlinks an entry; `None` if it is not in this table (any more). Allocates nothing.
    pub fn remove(&self, guard: &OvsGuard, entry: Entry<'_, T, N>) -> Option<Retired<T>> {
        if !self.tree.remove(entry, guard) {
            return None;
        }
        self.table.remove(guard, entry)
    }

    /// Removes and frees all entries, as [`RcuTable::flush`].
    pub fn flush(&self, guard: &OvsGuard) {
        self.tree.flush(guard);
        self.table.flush(guard);
    }

    /// One mutex section of periodic work: brings into balance what was too large for one insert, and gives back what removals
    /// left. Takes off `left` the words of keys and masks that it reads, and what else takes as long. Ends when nothing is
    /// left, and after a tenth of a second or less; returns false if there is more to do, with which the next one goes on.
    pub fn tidy(&self, left: &mut u32, guard: &OvsGuard) -> bool {
        self.tree.tidy(left, guard)
    }

    /// Builds the whole tree anew.
    #[cfg(all(test, loom))]
    pub(super) fn rebuild_all(&self, guard: &OvsGuard) {
        // SAFETY: the tree's own link, by its writer.
        if let Some(root) = unsafe { NodePtr::of(self.tree.root.load(Ordering::Relaxed)) } {
            let meter = meter::Meter::new(balance::REBUILD);
            assert!(self
                .tree
                .rebuild(&self.tree.root, root, &meter, guard)
                .is_ok());
        }
    }

    /// At least the number of nodes and entries that any lookup visits.
    pub fn cost(&self, guard: &OvsGuard) -> u32 {
        self.tree.cost(guard)
    }
}
