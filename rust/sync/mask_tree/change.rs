// SPDX-License-Identifier: GPL-2.0
//! How entries come into a [`MaskTree`] and leave it.

use super::super::{
    retire::{free_later, mark},
    OvsGuard,
};
use super::balance::INSERT;
use super::meter::Meter;
use super::node::{cost_of, entry_child, Child, Link, NodePtr, NONE, OVERLAP};
use super::parts::{Part, Parts};
use super::slots::{slots_for, Slot};
use super::{Entry, Leaf, MaskTree, Ordering, Words};
use kernel::alloc::flags::{__GFP_NOWARN, GFP_KERNEL};
use kernel::alloc::AllocError;

/// Below this depth an entry is put beside what is there, and not further down.
pub(super) const MAX_DEPTH: u32 = 48;

/// Where a new entry belongs. Valid until the next change.
pub(super) struct Spot<'t> {
    at: At<'t>,
    /// The node of the link, or of the slot.
    parent: Option<NodePtr>,
    /// A fork on the way must first be told that the new entry overlaps its cube.
    overlaps: bool,
    /// Lookups of what the entry matches come by here and nowhere else.
    only: bool,
}

enum At<'t> {
    /// A link and what it has: nothing, an entry, or what is too deep to go on.
    Link(&'t Link, Child),
    /// The parent has no child for this hash; an unused slot for it.
    Slot(u64, &'t Slot),
}

/// Where a new entry will go, with the node that this takes.
pub(super) struct Plan<'t> {
    step: Step<'t>,
    /// The node of the link, or of the slot.
    parent: Option<NodePtr>,
    /// A fork on the way must first be told that the new entry overlaps its cube.
    overlaps: bool,
}

enum Step<'t> {
    /// Into an empty link.
    Fill(&'t Link),
    /// Into a slot for this hash of the parent; an unused one.
    Slot(u64, &'t Slot),
    /// Into a slot of `new`, a grown copy of the parent.
    Grow(NodePtr, u64),
    /// The link gets a fork of what it has, which is outside, and the entry: or the other way round if the flag is set.
    Fork(&'t Link, NodePtr, bool),
    /// The link gets a table of its entry and the new one, by their hashes.
    Table(&'t Link, NodePtr, u64, u64),
}

/// Takes every node below `root` out of its tree and calls `f` for it: a list by the parents' pointers, so neither memory
/// nor depth counts.
pub(super) fn each_node(root: Child, mut f: impl FnMut(NodePtr)) {
    // SAFETY: for the writer: linked, or unlinked in this section.
    let mut list = unsafe { NodePtr::of(root) };
    if let Some(first) = list {
        first.set_parent(None);
    }
    while let Some(node) = list {
        list = node.parent();
        node.each_child(|child| {
            // SAFETY: as above.
            if let Some(child) = unsafe { NodePtr::of(child) } {
                child.set_parent(list);
                list = Some(child);
            }
        });
        f(node);
    }
}

impl<T: Leaf, const N: usize> MaskTree<T, N> {
    fn node(&self, child: Child) -> Option<NodePtr> {
        // SAFETY: for the writer, who has it from a link.
        unsafe { NodePtr::of(child) }
    }

    /// The node that `child` is, if it is one, has a new parent.
    pub(super) fn adopt(&self, parent: Option<NodePtr>, child: Child) {
        if let Some(node) = self.node(child) {
            node.set_parent(parent);
        }
    }

    /// Finds out where `leaf` belongs.
    #[inline]
    pub(super) fn locate(&self, leaf: &T) -> Spot<'_> {
        let (mut link, mut parent) = (&self.root, None);
        let (mut overlaps, mut only, mut depth) = (false, true, 0u32);
        let at = loop {
            let at = link.load(Ordering::Relaxed);
            let Some(node) = self.node(at) else {
                break At::Link(link, at);
            };
            if depth >= MAX_DEPTH {
                only = false;
                break At::Link(link, at);
            }
            depth = depth.wrapping_add(1);
            // SAFETY: for the writer a node in the tree stays until it takes it out.
            let links = unsafe { &*node.as_raw().as_ptr() };
            parent = Some(node);
            if node.is_fork() {
                let (inside, outside) = node.side(leaf);
                if inside && !node.is_wordless() {
                    only &= !node.overlaps();
                    link = &links.inn;
                } else {
                    only &= outside;
                    overlaps |= !outside && !node.overlaps();
                    link = &links.other;
                }
            } else if let Some(hash) = node.place_of(leaf, &self.secret) {
                only &= links.other.load(Ordering::Relaxed).is_null();
                match node.seek(hash) {
                    Ok(slot) => link = &slot.child,
                    Err(unused) => break At::Slot(hash, unused),
                }
            } else {
                only = false;
                link = &links.other;
            }
        };
        Spot {
            at,
            parent,
            overlaps,
            only,
        }
    }

    /// The entry that a lookup of `key` finds, of what the entry of the spot matches; if it can be told from the spot.
    #[inline]
    pub(super) fn found_at(
        &self,
        spot: &Spot<'_>,
        key: &T::Key,
    ) -> Option<Option<Entry<'_, T, N>>> {
        let At::Link(_, at) = spot.at else {
            return spot.only.then_some(None);
        };
        match self.entry(at) {
            Some(entry) if entry.matches(key) => Some(Some(entry)),
            _ => spot.only.then_some(None),
        }
    }

    /// Leaves with an entry the hash of its slot, so that removing it need not compute it. It may be another's by then.
    fn note(&self, child: Child, hash: u64) {
        if let Some(entry) = self.entry(child) {
            // SAFETY: for the writer, who has just linked it.
            unsafe { entry.set_note(hash) };
        }
    }

    /// Allocates what inserting `leaf`, which belongs there, takes. ENOMEM. Valid until the next change.
    #[inline]
    pub(super) fn prepare<'t>(&self, spot: Spot<'t>, leaf: &T) -> Result<Plan<'t>, AllocError> {
        let step = match (spot.at, spot.parent) {
            (At::Slot(hash, unused), Some(node)) if node.is_full() => {
                let live = node.counts().0.wrapping_add(1);
                match node.resized(live, GFP_KERNEL | __GFP_NOWARN) {
                    Ok(new) => Step::Grow(new, hash),
                    Err(_) if node.has_room() => Step::Slot(hash, unused),
                    Err(e) => return Err(e),
                }
            }
            (At::Slot(hash, unused), _) => Step::Slot(hash, unused),
            (At::Link(link, at), _) if at.is_null() => Step::Fill(link),
            (At::Link(link, at), _) => match self.entry(at) {
                Some(entry) => self.split(link, entry.get(), leaf)?,
                None => Step::Fork(
                    link,
                    NodePtr::fork(&Parts::new(), OVERLAP, GFP_KERNEL)?,
                    true,
                ),
            },
        };
        Ok(Plan {
            step,
            parent: spot.parent,
            overlaps: spot.overlaps,
        })
    }

    /// Two entries where there was one: a table by all that they match if that is the same, for others that match it
    /// will come; else a fork on the first word that tells them apart.
    fn split<'t>(&self, link: &'t Link, old: &T, new: &T) -> Result<Step<'t>, AllocError> {
        if let Some(parts) = common_mask(old, new) {
            let hashes = [old, new].map(|l| parts.hash(l.key(), &self.secret));
            if hashes[0] != hashes[1] {
                let table = NodePtr::table(&parts, slots_for(2), GFP_KERNEL)?;
                return Ok(Step::Table(link, table, hashes[0], hashes[1]));
            }
        }
        let (parts, kind) = match apart(old, new) {
            Some(part) => (Parts::one(part), 0),
            None => (Parts::new(), OVERLAP),
        };
        Ok(Step::Fork(
            link,
            NodePtr::fork(&parts, kind, GFP_KERNEL)?,
            false,
        ))
    }

    /// Links an entry as planned for it. Cannot fail; rebuilding what got out of balance may, and is for later then.
    pub(super) fn commit(&self, plan: Plan<'_>, entry: Entry<'_, T, N>, guard: &OvsGuard) {
        let leaf = entry.get();
        if plan.overlaps {
            self.announce(leaf, &plan);
        }
        let child = entry_child(entry.address());
        let parent = plan.parent;
        match plan.step {
            Step::Fill(link) => {
                link.store(child, Ordering::Release);
                let other = parent.is_some(); // a root has no parent, and only `other` is ever empty
                self.count(leaf, parent, other, 1, guard);
            }
            Step::Slot(hash, unused) => {
                if let Some(node) = parent {
                    node.fill_slot(unused, hash, child);
                }
                self.note(child, hash);
                self.count(leaf, parent, false, 1, guard);
            }
            Step::Grow(new, hash) => {
                if let Some(old) = parent {
                    let link = self.link_of(old, leaf);
                    if new.has_only_entries() {
                        self.adopt(Some(new), new.other.load(Ordering::Relaxed));
                    } else {
                        new.each_child(|child| self.adopt(Some(new), child));
                    }
                    new.add_slot(hash, child);
                    self.note(child, hash);
                    self.replace(link, old, new, guard);
                }
                self.count(leaf, Some(new), false, 1, guard);
            }
            Step::Fork(link, new, beside) => {
                let old = link.load(Ordering::Relaxed);
                let (inn, other) = if beside { (child, old) } else { (old, child) };
                new.inn.store(inn, Ordering::Relaxed);
                new.other.store(other, Ordering::Relaxed);
                self.put_above(link, old, new, parent);
                self.count(leaf, parent, is_other(parent, link), new.cost(), guard);
            }
            Step::Table(link, new, of_old, of_new) => {
                let old = link.load(Ordering::Relaxed);
                for (child, hash) in [(old, of_old), (child, of_new)] {
                    new.add_slot(hash, child);
                    self.note(child, hash);
                }
                self.put_above(link, old, new, parent);
                self.count(leaf, parent, is_other(parent, link), new.cost(), guard);
            }
        }
    }

    /// Publishes `new`, which has what `old` is and the new entry.
    fn put_above(&self, link: &Link, old: Child, new: NodePtr, parent: Option<NodePtr>) {
        let size = self.node(old).map_or(1, |n| n.size());
        new.set_size(size.wrapping_add(1));
        new.set_parent(parent);
        new.update_cost(1);
        new.settle();
        self.adopt(Some(new), old);
        self.note_made(new.bytes_taken());
        link.store(new.as_child(), Ordering::Release);
    }

    /// Publishes `new` in place of the node `old`, which is freed after a grace period.
    pub(super) fn replace(&self, link: &Link, old: NodePtr, new: NodePtr, guard: &OvsGuard) {
        self.note_made(new.bytes_taken());
        link.store(new.as_child(), Ordering::Release);
        self.retire(old, guard);
    }

    pub(super) fn retire(&self, node: NodePtr, guard: &OvsGuard) {
        self.note_retired(node.bytes_taken());
        // SAFETY: just unlinked, and owned by the tree until now.
        unsafe {
            mark(node.as_raw(), guard);
            free_later(node.as_raw());
        }
    }

    /// Sets the flag of every fork whose cube the new entry will overlap from outside, before it is there.
    fn announce(&self, leaf: &T, plan: &Plan<'_>) {
        let mut at = plan.parent;
        let mut other = match plan.step {
            Step::Fill(link) | Step::Fork(link, ..) | Step::Table(link, ..) => is_other(at, link),
            Step::Slot(..) | Step::Grow(..) => false,
        };
        while let Some(node) = at {
            if other && node.is_fork() && !node.side(leaf).1 {
                node.set_overlap();
            }
            (at, other) = self.up(node);
        }
    }

    /// The parent, and whether `node` is its `other`.
    pub(super) fn up(&self, node: NodePtr) -> (Option<NodePtr>, bool) {
        let parent = node.parent();
        let other = parent.is_some_and(|p| p.other.load(Ordering::Relaxed) == node.as_child());
        (parent, other)
    }

    /// The link that a node hangs on, which is on the way of `leaf`.
    pub(super) fn link_of<'t>(&'t self, node: NodePtr, leaf: &T) -> &'t Link {
        let (Some(parent), other) = self.up(node) else {
            return &self.root;
        };
        // SAFETY: for the writer a node in the tree stays until it takes it out.
        let links = unsafe { &*parent.as_raw().as_ptr() };
        if other {
            return &links.other;
        }
        if parent.is_fork() {
            return &links.inn;
        }
        let hash = parent.hash(parent.tag(), leaf.key(), &self.secret);
        match parent.slot(parent.tag(), hash) {
            Some(slot) => &slot.child,
            None => &links.other, // cannot be: the node is in one of its parent's links
        }
    }

    /// Counts a new entry below `node`, on the side of `other` or not, where what is dearest costs `cost`; and in all
    /// nodes above. The lowest that is out of balance is built anew.
    fn count(
        &self,
        leaf: &T,
        mut node: Option<NodePtr>,
        mut other: bool,
        mut cost: u32,
        guard: &OvsGuard,
    ) {
        let mut rebuilt = false;
        while let Some(mut at) = node {
            at.set_size(at.size().wrapping_add(1));
            at.set_fresh(at.fresh().saturating_add(1));
            let child = at.child_cost();
            at.update_cost(if other { child } else { child.max(cost) });
            if !rebuilt && self.is_due(at) {
                rebuilt = true;
                let link = self.link_of(at, leaf);
                let meter = Meter::new(INSERT);
                // Without memory it stays as it is, and where it is too dear.
                match self.rebuild(link, at, &meter, guard) {
                    Ok(new) => at = new,
                    Err(_) if meter.gave_up() => at.leave_to_tidy(),
                    Err(_) => (),
                }
            }
            cost = at.cost();
            (node, other) = self.up(at);
        }
    }

    /// Unlinks an entry; false if it is not in this tree.
    pub(super) fn remove(&self, entry: Entry<'_, T, N>, guard: &OvsGuard) -> bool {
        let leaf = entry.get();
        let gone = entry_child(entry.address());
        let Some((parent, slot)) = self.parent_of(leaf, gone, entry.note()) else {
            return false;
        };
        let Some(node) = parent else {
            self.root.store(NONE, Ordering::Release);
            return true;
        };
        let above = node.parent();
        if node.is_fork() {
            // The side that stays takes the node's place.
            let inn = node.inn.load(Ordering::Relaxed);
            let other = node.other.load(Ordering::Relaxed);
            self.collapse(node, leaf, if inn == gone { other } else { inn }, guard);
        } else {
            self.remove_from_table(node, leaf, slot, guard);
        }
        let mut at = above;
        while let Some(node) = at {
            node.set_size(node.size().wrapping_sub(1));
            at = node.parent();
        }
        true
    }

    /// Takes an entry out of a slot of a hash node, or out of its `other`; and the node with it if only one side is left.
    fn remove_from_table(&self, node: NodePtr, leaf: &T, slot: Option<&Slot>, guard: &OvsGuard) {
        let left = match slot {
            Some(slot) => {
                node.kill_slot(slot);
                node.other.load(Ordering::Relaxed)
            }
            None => {
                node.other.store(NONE, Ordering::Release);
                NONE
            }
        };
        let live = node.counts().0;
        node.set_size(node.size().wrapping_sub(1));
        if live == 0 {
            self.collapse(node, leaf, left, guard);
        } else if live == 1 && left.is_null() {
            if let Some(slot) = node.live_slots().next() {
                self.collapse(node, leaf, slot.child.load(Ordering::Relaxed), guard);
            }
        }
    }

    /// Puts `stays` in the place of `node`, which is on the way of `leaf`.
    fn collapse(&self, node: NodePtr, leaf: &T, stays: Child, guard: &OvsGuard) {
        let link = self.link_of(node, leaf);
        self.adopt(node.parent(), stays);
        link.store(stays, Ordering::Release);
        self.retire(node, guard);
    }

    /// The node whose child `child`, an entry, is, nothing for the root; and the slot if it is in one, which probably is that
    /// for `hash`. Goes where a lookup of its key would go, and where nothing tells the sides apart, both ways.
    fn parent_of<'t>(
        &'t self,
        leaf: &T,
        child: Child,
        hash: u64,
    ) -> Option<(Option<NodePtr>, Option<&'t Slot>)> {
        let (mut parent, mut slot) = (None, None);
        let mut at = self.root.load(Ordering::Relaxed);
        loop {
            if at == child {
                return Some((parent, slot));
            }
            if let Some(node) = self.node(at) {
                (parent, slot) = (Some(node), None);
                at = if node.is_fork() {
                    let (inside, _) = node.side(leaf);
                    let side = if inside { &node.inn } else { &node.other };
                    side.load(Ordering::Relaxed)
                } else {
                    if node.has_only_entries() {
                        slot = node.seek(hash).ok();
                        if slot.is_some_and(|s| s.child.load(Ordering::Relaxed) == child) {
                            return Some((parent, slot));
                        }
                    }
                    slot = None;
                    match node.place_of(leaf, &self.secret) {
                        Some(hash) => {
                            slot = node.seek(hash).ok();
                            slot.map_or(NONE, |s| s.child.load(Ordering::Relaxed))
                        }
                        None => node.other.load(Ordering::Relaxed),
                    }
                };
                continue;
            }
            // Not here: up to where there was another way.
            slot = None;
            loop {
                let node = parent?;
                if node.is_wordless() && node.inn.load(Ordering::Relaxed) == at {
                    at = node.other.load(Ordering::Relaxed);
                    break;
                }
                at = node.as_child();
                parent = node.parent();
            }
        }
    }

    /// Takes everything out.
    pub(super) fn flush(&self, guard: &OvsGuard) {
        let root = self.root.swap(NONE, Ordering::AcqRel);
        each_node(root, |node| self.retire(node, guard));
    }

    pub(super) fn cost(&self, _guard: &OvsGuard) -> u32 {
        // SAFETY: the tree's own link, and the mutex keeps changes away.
        unsafe { cost_of(self.root.load(Ordering::Relaxed)) }
    }
}

/// Whether `link` is the `other` of `node`.
fn is_other(node: Option<NodePtr>, link: &Link) -> bool {
    node.is_some_and(|node| core::ptr::eq(&node.other, link))
}

/// The parts of the mask of both, if they are the same and few enough: those first that tell the two apart.
fn common_mask<T: Leaf>(a: &T, b: &T) -> Option<Parts> {
    let bits = a.bits();
    if bits != b.bits() {
        return None;
    }
    let (mut first, mut rest) = (Parts::new(), Parts::new());
    for number in ones(bits) {
        let mask = a.mask().word(number);
        if mask != b.mask().word(number) {
            return None;
        }
        let part = Part {
            number,
            mask,
            value: 0,
        };
        if a.key().word(number) != b.key().word(number) {
            first.push(part);
        } else {
            rest.push(part);
        }
    }
    rest.as_slice()
        .iter()
        .for_each(|part| _ = first.push(*part));
    Some(first)
}

/// A word that both match and in which they differ: the cube of the first.
pub(super) fn apart<T: Leaf>(a: &T, b: &T) -> Option<Part> {
    ones(a.bits() & b.bits()).find_map(|number| {
        let mask = a.mask().word(number) & b.mask().word(number);
        let value = a.key().word(number) & mask;
        (value != b.key().word(number) & mask).then_some(Part {
            number,
            mask,
            value,
        })
    })
}

/// The numbers of the bits that are set.
pub(super) fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let n = bits.trailing_zeros() as usize; // CAST: at most 64
        (bits != 0).then(|| {
            bits &= bits.wrapping_sub(1);
            n
        })
    })
}
