// SPDX-License-Identifier: GPL-2.0
//! The nodes of a [`MaskTree`](super::MaskTree).
//!
//! A [`Link`] is null, an entry of the table (lowest bit set), or a node. A node lists words of the key, each with a
//! mask. A *fork* has a value for each as well, so it is a cube: what is inside goes to `inn`, all else to `other`.
//! A *hash* node has an open-addressed table of children by the hash of the masked words; what its masks do not cover
//! goes to `other`.
//!
//! After publication a node changes in its slots, `other`, `inn` and the flag [`OVERLAP`] only, and in what the writer
//! alone reads, which lies in the room of the `rcu_head` until the node is retired.

use super::super::{
    atomic::{AtomicPtr, Ordering},
    retire::{Header, Retire},
};
use super::parts::{fold, Part, Parts};
use super::slots::{slots_for, Slot};
use super::{Leaf, Words, NEAR};
use crate::sys;
use core::{
    mem::{align_of, size_of},
    ops::Deref,
    ptr::{self, NonNull},
};
use kernel::alloc::{AllocError, Flags};

/// Bits of a node's tag; above them a byte each: how many words, and how many slots as a power of two.
pub(super) const FORK: u32 = 1;
/// A flow below `other` may match what is inside.
pub(super) const OVERLAP: u32 = 1 << 1;
/// It looks at words that not every key has in place.
const FAR: u32 = 1 << 2;

/// Highest cost that a node can tell.
const MAX_COST: u32 = 60_000;

/// Null, an entry, or a node: see the module.
pub(super) type Link = AtomicPtr<Node>;
/// What a link holds.
pub(super) type Child = *mut Node;

pub(super) const NONE: Child = ptr::null_mut();

/// # Invariants
///
/// Made by [`NodePtr::alloc`]: as many words as the tag says follow, a mask each for a hash node and a mask and a value
/// each for a fork, then the slots. Numbers of words are below 64, and below [`NEAR`] without [`FAR`].
#[repr(C)]
pub(super) struct Node {
    header: Header,
    /// Numbers of the words, a byte each, the first in the lowest.
    numbers: u64,
    pub(super) other: Link,
    /// A fork's inside. Of a hash node it is no pointer but how many slots are live and, above bit 32, how many have
    /// been used.
    pub(super) inn: Link,
}

/// What the writer alone knows of a node; it lies in the room of the `rcu_head`.
#[repr(C)]
struct Private {
    parent: *mut Node,
    /// Flows below.
    size: u32,
    /// Inserts since the node was built; starts below zero if building could not balance it.
    fresh: i32,
}

const _: () = assert!(size_of::<Private>() <= size_of::<sys::RcuHead>());
const _: () = assert!(align_of::<Private>() <= align_of::<sys::RcuHead>());
#[cfg(not(loom))]
const _: () = assert!(size_of::<Node>() == 48);

// SAFETY: header first; memory from `kvmalloc`, which may be freed in any context; owns nothing.
unsafe impl Retire for Node {
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: from `kvmalloc` and no longer used, by this function's contract.
        unsafe { sys::kvfree(this.cast().as_ptr()) };
    }
}

/// A node that is not freed as long as this value is used: found by a reader in its section, or by the writer.
///
/// # Invariants
///
/// Points to such a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct NodePtr(NonNull<Node>);

impl Deref for NodePtr {
    type Target = Node;

    #[inline(always)]
    fn deref(&self) -> &Node {
        // SAFETY: valid by the invariant.
        unsafe { self.0.as_ref() }
    }
}

/// An entry's address as a link holds it.
pub(super) fn entry_child(address: *mut ()) -> Child {
    address.cast::<Node>().wrapping_byte_add(1)
}

/// The address of an entry, `None` for a node and for nothing.
#[inline(always)]
pub(super) fn entry_of(child: Child) -> Option<*mut ()> {
    (child.addr() & 1 != 0).then(|| child.wrapping_byte_sub(1).cast())
}

/// What any lookup visits below a link.
///
/// # Safety
///
/// `child` was read from a link of a tree, by its writer.
pub(super) unsafe fn cost_of(child: Child) -> u32 {
    if child.is_null() {
        return 0;
    }
    // SAFETY: by this function's contract.
    unsafe { NodePtr::of(child) }.map_or(1, NodePtr::cost)
}

/// Bits of a tag for so many words and slots.
fn tag(kind: u32, words: usize, log2: u32) -> u32 {
    kind | (words as u32) << 8 | log2 << 16 // CAST: at most 8
}

impl NodePtr {
    /// The node that a link held, if it held one.
    ///
    /// # Safety
    ///
    /// `child` was read from a link of a tree, and the node is not freed as long as the result is used.
    #[inline(always)]
    pub(super) unsafe fn of(child: Child) -> Option<Self> {
        if child.addr() & 1 != 0 {
            return None;
        }
        NonNull::new(child).map(Self)
    }

    #[inline(always)]
    pub(super) fn as_child(self) -> Child {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub(super) fn as_raw(self) -> NonNull<Node> {
        self.0
    }

    fn bytes(words: usize, slots: usize) -> usize {
        // No overflow: at most 16 words and 2^31 slots of 16 bytes.
        size_of::<Node>()
            .wrapping_add(words.wrapping_mul(size_of::<u64>()))
            .wrapping_add(slots.wrapping_mul(size_of::<Slot>()))
    }

    /// A fork of the cube `parts`, with no sides yet.
    pub(super) fn fork(parts: &Parts, kind: u32, flags: Flags) -> Result<Self, AllocError> {
        let of = parts.as_slice();
        let node = Self::alloc(
            kind | FORK,
            of,
            of.len(),
            of.len().wrapping_mul(2),
            0,
            flags,
        )?;
        for (i, part) in of.iter().enumerate() {
            // SAFETY: two words each follow.
            unsafe {
                let at = node.words().add(i.wrapping_mul(2));
                at.write(part.mask);
                at.add(1).write(part.value);
            }
        }
        Ok(node)
    }

    /// A hash node on the masks of `parts`, with no children yet.
    pub(super) fn table(parts: &Parts, log2: u32, flags: Flags) -> Result<Self, AllocError> {
        let of = parts.as_slice();
        let even = of.len().next_multiple_of(2);
        let slots = 1usize.checked_shl(log2).ok_or(AllocError)?;
        let node = Self::alloc(0, of, even, even, slots, flags)?;
        for i in 0..even {
            let mask = of.get(i).map_or(0, |p| p.mask);
            // SAFETY: an even number of words follow.
            unsafe { node.words().add(i).write(mask) };
        }
        for i in 0..slots {
            // SAFETY: so many slots follow.
            unsafe {
                node.slots().add(i).write(Slot::empty());
            }
        }
        Ok(node)
    }

    /// Memory for a node of `n` words whose masks and values take `words`; these and the slots are the caller's to fill.
    fn alloc(
        kind: u32,
        of: &[Part],
        n: usize,
        words: usize,
        slots: usize,
        flags: Flags,
    ) -> Result<Self, AllocError> {
        const { assert!(align_of::<Node>() <= 8 && align_of::<Slot>() <= 8) };
        let memory = sys::kvmalloc(Self::bytes(words, slots), flags);
        let node: NonNull<Node> = NonNull::new(memory).ok_or(AllocError)?.cast();
        let far = of.iter().any(|p| p.number >= NEAR);
        let numbers = of
            .iter()
            .rev()
            .fold(0, |all, p| all << 8 | p.number as u64 & 63); // CAST: below 64
        let kind = kind | if far { FAR } else { 0 };
        // SAFETY: the memory is large enough for the struct and what follows it.
        unsafe {
            node.write(Node {
                header: Header::new(tag(kind, n, slots.checked_ilog2().unwrap_or(0))),
                numbers,
                other: Link::new(NONE),
                inn: Link::new(NONE),
            });
        }
        let node = Self(node);
        node.private(|p| {
            *p = Private {
                parent: NONE,
                size: 0,
                fresh: 0,
            }
        });
        Ok(node)
    }

    /// A copy with its table resized for `live` children, which it shares. Not linked, and the children do not know it.
    pub(super) fn resized(self, live: u32, flags: Flags) -> Result<Self, AllocError> {
        let mut parts = Parts::new();
        (0..self.len()).for_each(|i| _ = parts.push(self.part(i)));
        let new = Self::table(&parts, slots_for(live), flags)?;
        new.other
            .store(self.other.load(Ordering::Relaxed), Ordering::Relaxed);
        new.copy_slots(self);
        let (size, fresh) = (self.size(), self.fresh());
        new.private(|p| (p.size, p.fresh) = (size, fresh));
        new.set_costs(self.cost(), self.child_cost());
        new.set_parent(self.parent());
        Ok(new)
    }

    /// Memory that it takes.
    pub(super) fn bytes_taken(self) -> usize {
        let words = self.len().wrapping_mul(if self.is_fork() { 2 } else { 1 });
        Self::bytes(words, if self.is_fork() { 0 } else { self.n_slots() })
    }

    /// Frees a node that was never published, or whose readers are gone.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    pub(super) unsafe fn free_now(self) {
        // SAFETY: by this function's contract.
        unsafe { Node::free(self.0) }
    }

    // What the tag says.

    #[inline(always)]
    pub(super) fn tag(&self) -> u32 {
        self.header.tag.load(Ordering::Acquire)
    }

    pub(super) fn is_fork(&self) -> bool {
        self.tag() & FORK != 0
    }

    pub(super) fn overlaps(&self) -> bool {
        self.tag() & OVERLAP != 0
    }

    /// A fork that tells nothing apart.
    pub(super) fn is_wordless(&self) -> bool {
        self.is_fork() && self.len() == 0
    }

    pub(super) fn set_overlap(&self) {
        self.header
            .tag
            .store(self.tag() | OVERLAP, Ordering::Release);
    }

    pub(super) fn len(&self) -> usize {
        (self.tag() >> 8 & 0xff) as usize // CAST: a byte
    }

    pub(super) fn n_slots(&self) -> usize {
        1 << (self.tag() >> 16 & 0x3f)
    }

    // What the writer alone reads.

    /// Not after the node was retired.
    fn private<R>(&self, f: impl FnOnce(&mut Private) -> R) -> R {
        // SAFETY: the room is there until the node is retired, and only the writer, of which there is one, uses it.
        f(unsafe { &mut *self.header.room().cast::<Private>() })
    }

    pub(super) fn parent(&self) -> Option<NodePtr> {
        NonNull::new(self.private(|p| p.parent)).map(Self)
    }

    pub(super) fn set_parent(&self, parent: Option<NodePtr>) {
        self.private(|p| p.parent = parent.map_or(NONE, Self::as_child));
    }

    pub(super) fn size(&self) -> u32 {
        self.private(|p| p.size)
    }

    pub(super) fn set_size(&self, size: u32) {
        self.private(|p| p.size = size);
    }

    pub(super) fn fresh(&self) -> i32 {
        self.private(|p| p.fresh)
    }

    pub(super) fn set_fresh(&self, fresh: i32) {
        self.private(|p| p.fresh = fresh);
    }

    /// At least what any lookup visits from here on. Removals leave what was counted as it is, but there are fewer nodes than
    /// entries, so that it is never more than twice as many as these.
    pub(super) fn cost(self) -> u32 {
        let counted = self.header.until_marked().load(Ordering::Relaxed) & 0xffff;
        counted.min(self.size().saturating_mul(2))
    }

    /// The highest cost of a hash node's children.
    pub(super) fn child_cost(self) -> u32 {
        self.header.until_marked().load(Ordering::Relaxed) >> 16
    }

    /// Whether no slot of a hash node has a node: that would cost two at least.
    pub(super) fn has_only_entries(self) -> bool {
        self.child_cost() <= 1
    }

    fn set_costs(self, cost: u32, child: u32) {
        let both = cost.min(MAX_COST) | child.min(MAX_COST) << 16;
        self.header.until_marked().store(both, Ordering::Relaxed);
    }

    /// Its cost anew, from those of its children; `child` is that of a hash node's.
    pub(super) fn update_cost(self, child: u32) {
        // SAFETY: the node's own links.
        let (other, inn) = unsafe {
            let inn = if self.is_fork() {
                cost_of(self.inn.load(Ordering::Relaxed))
            } else {
                child
            };
            (cost_of(self.other.load(Ordering::Relaxed)), inn)
        };
        let below = if self.is_fork() && !self.overlaps() {
            inn.max(other)
        } else {
            inn.wrapping_add(other)
        };
        self.set_costs(below.wrapping_add(1), child);
    }

    /// What it may cost before it counts as out of balance. The root, which all pass, is held to less.
    pub(super) fn limit(self) -> u32 {
        let log2 = u32::BITS.wrapping_sub(self.size().leading_zeros());
        let steps = if self.parent().is_some() { 2 } else { 1 };
        log2.wrapping_mul(steps).wrapping_add(3)
    }

    /// Its cost anew, from those of all children.
    pub(super) fn measure(self) {
        let mut child = 0;
        if !self.is_fork() {
            for slot in self.live_slots() {
                // SAFETY: the node's own link.
                child = child.max(unsafe { cost_of(slot.child.load(Ordering::Relaxed)) });
            }
        }
        self.update_cost(child);
    }

    /// Just built: not to be built again soon if that did not bring it into balance.
    pub(super) fn settle(self) {
        if self.cost() > self.limit() {
            self.put_off();
        } else {
            self.set_fresh(0);
        }
    }

    /// Not to be built before more entries have come than there are: building it now was of no use.
    pub(super) fn put_off(self) {
        let size = i32::try_from(self.size()).unwrap_or(i32::MAX);
        self.set_fresh(size.wrapping_neg());
    }

    /// Too dear for an insert: the periodic work may build it, and inserts not before more have come.
    pub(super) fn leave_to_tidy(self) {
        let size = i32::try_from(self.size()).unwrap_or(i32::MAX);
        self.set_fresh(size.wrapping_div(8).wrapping_add(1));
    }

    /// Slots that hold a child, slots that were ever used.
    pub(super) fn counts(&self) -> (u32, u32) {
        let both = self.inn.load(Ordering::Relaxed).addr();
        (both as u32, (both >> 32) as u32) // CAST: both halves
    }

    pub(super) fn set_counts(&self, live: u32, used: u32) {
        let both = (used as usize) << 32 | live as usize; // CAST: u32 fits
        self.inn
            .store(ptr::without_provenance_mut(both), Ordering::Relaxed);
    }

    // Words.

    #[inline(always)]
    pub(super) fn words(self) -> *mut u64 {
        // SAFETY: within or at the end of the node's memory.
        unsafe { self.0.as_ptr().add(1).cast() }
    }

    /// Its word `i`.
    pub(super) fn part(self, i: usize) -> Part {
        debug_assert!(i < self.len());
        let number = (self.numbers >> i.wrapping_mul(8) & 63) as usize; // CAST: below 64
                                                                        // SAFETY: so many words follow, by the node's invariant.
        unsafe {
            let (mask, value) = if self.is_fork() {
                let at = self.words().add(i.wrapping_mul(2));
                (*at, *at.add(1))
            } else {
                (*self.words().add(i), 0)
            };
            Part {
                number,
                mask,
                value,
            }
        }
    }

    pub(super) fn parts(self) -> impl Iterator<Item = Part> {
        (0..self.len()).map(move |i| self.part(i))
    }

    /// Whether a fork's cube does not contain the key.
    #[inline(always)]
    pub(super) fn excludes(self, tag: u32, key: &impl Words) -> bool {
        if tag & FAR != 0 {
            return self.excludes_far(key);
        }
        let near = key.near();
        let (mut numbers, mut at, mut diff) = (self.numbers, self.words(), 0);
        // SAFETY: so many words follow, by the node's invariant.
        unsafe {
            let end = at.add((tag >> 7 & 0x1fe) as usize); // CAST: twice the byte
            while at != end {
                diff |= (near[(numbers & 15) as usize] & *at) ^ *at.add(1); // CAST: below 16
                numbers >>= 8;
                at = at.add(2);
            }
        }
        diff != 0
    }

    #[inline(never)]
    fn excludes_far(self, key: &impl Words) -> bool {
        self.parts().any(|p| key.word(p.number) & p.mask != p.value)
    }

    /// Where in a hash node a key belongs.
    #[inline(always)]
    pub(super) fn hash(self, tag: u32, key: &impl Words, secret: &[u64; 2]) -> u64 {
        if tag & FAR != 0 {
            return self.hash_far(key, secret);
        }
        let near = key.near();
        let (mut numbers, mut at, mut hash) = (self.numbers, self.words(), secret[1]);
        // SAFETY: so many words follow, by the node's invariant.
        unsafe {
            let end = at.add((tag >> 8 & 0xff) as usize); // CAST: a byte
            while at != end {
                // CAST: below 16
                let a = near[(numbers & 15) as usize] & *at;
                let b = near[(numbers >> 8 & 15) as usize] & *at.add(1);
                hash = fold(a ^ secret[0], b ^ hash);
                numbers >>= 16;
                at = at.add(2);
            }
        }
        hash | 2
    }

    #[inline(never)]
    fn hash_far(self, key: &impl Words, secret: &[u64; 2]) -> u64 {
        let mut parts = Parts::new();
        self.parts().for_each(|p| _ = parts.push(p));
        parts.hash(key, secret)
    }

    /// Whether the cube of `leaf` is inside of a fork's, and whether they have nothing in common.
    #[inline]
    pub(super) fn side<T: Leaf>(self, leaf: &T) -> (bool, bool) {
        let tag = self.tag();
        let (key, mask) = (leaf.key(), leaf.mask());
        let (mut left_out, mut differs) = (0, 0);
        if tag & FAR != 0 {
            for part in self.parts() {
                let known = mask.word(part.number);
                left_out |= part.mask & !known;
                differs |= (key.word(part.number) ^ part.value) & part.mask & known;
            }
            return (left_out | differs == 0, differs != 0);
        }
        let (key, mask) = (key.near(), mask.near());
        let (mut numbers, mut at) = (self.numbers, self.words());
        // SAFETY: so many words follow, by the node's invariant.
        unsafe {
            let end = at.add((tag >> 7 & 0x1fe) as usize); // CAST: twice the byte
            while at != end {
                let n = (numbers & 15) as usize; // CAST: below 16
                left_out |= *at & !mask[n];
                differs |= (key[n] ^ *at.add(1)) & *at & mask[n];
                numbers >>= 8;
                at = at.add(2);
            }
        }
        (left_out | differs == 0, differs != 0)
    }

    /// Where in a hash node an entry belongs: its [hash](Self::hash) if the node's masks are within that of `leaf`.
    #[inline(always)]
    pub(super) fn place_of<T: Leaf>(self, leaf: &T, secret: &[u64; 2]) -> Option<u64> {
        let tag = self.tag();
        if tag & FAR != 0 {
            return self.place_far(leaf, secret);
        }
        let (key, mask) = (leaf.key().near(), leaf.mask().near());
        let (mut numbers, mut at, mut hash, mut left_out) =
            (self.numbers, self.words(), secret[1], 0);
        // SAFETY: so many words follow, an even number, by the node's invariant.
        unsafe {
            let end = at.add((tag >> 8 & 0xff) as usize); // CAST: a byte
            while at != end {
                // CAST: below 16
                let (i, j) = ((numbers & 15) as usize, (numbers >> 8 & 15) as usize);
                let (m, n) = (*at, *at.add(1));
                left_out |= m & !mask[i] | n & !mask[j];
                hash = fold(key[i] & m ^ secret[0], key[j] & n ^ hash);
                numbers >>= 16;
                at = at.add(2);
            }
        }
        (left_out == 0).then_some(hash | 2)
    }

    #[inline(never)]
    fn place_far<T: Leaf>(self, leaf: &T, secret: &[u64; 2]) -> Option<u64> {
        let covers = self
            .parts()
            .all(|p| p.mask & !leaf.mask().word(p.number) == 0);
        covers.then(|| self.hash_far(leaf.key(), secret))
    }
}
