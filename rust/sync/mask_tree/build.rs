// SPDX-License-Identifier: GPL-2.0
//! Builds a balanced subtree of a [`MaskTree`] for entries that are all known.
//!
//! No recursion: a list of ranges of entries, each with the link that it shall hang on. Nodes are made from the top down,
//! and get their costs from the bottom up once all are there. Nothing is published.

use super::super::atomic::Ordering;
use super::change::{apart, ones, MAX_DEPTH};
use super::meter::{Meter, ENTRY, NODE};
use super::node::{Child, Link, NodePtr, OVERLAP};
use super::parts::{majority, Part, Parts};
use super::sample::{sort, Common, Sample, Tally, SAMPLE, WORDS};
use super::slots::slots_for;
use super::{Leaf, MaskTree, Words};
use kernel::alloc::flags::{__GFP_NOWARN, GFP_KERNEL};
use kernel::alloc::{AllocError, Flags, KBox, KVVec};

/// Memory is nice to have here, and nobody needs to hear that there was none.
const FLAGS: Flags = GFP_KERNEL;

/// Entries that still need nodes.
#[derive(Clone, Copy)]
struct Range {
    start: u32,
    end: u32,
    depth: u32,
    /// Where what is built for them goes. Of a private node, or null for the top.
    link: *const Link,
    parent: Option<NodePtr>,
}

/// A build: first collects, then builds.
pub(super) struct Build<'t, T, const N: usize> {
    tree: &'t MaskTree<T, N>,
    /// The node that is to be replaced.
    old: NodePtr,
    /// What this may still cost.
    meter: &'t Meter,
    flags: Flags,
    leaves: KVVec<Child>,
    /// Hashes of the entries at the same places, while a range is grouped.
    hashes: KVVec<u64>,
    pending: KVVec<Range>,
    /// Nodes in the order in which they were made: parents first.
    made: KVVec<NodePtr>,
    top: Link,
    /// Bits that the nodes above have decided, for the range at hand.
    fixed: KBox<[u64; WORDS]>,
}

/// Entries that are asked which bit to split by; no more than a [`Tally`] can count.
const SAMPLED: usize = 64;

impl<'t, T: Leaf, const N: usize> Build<'t, T, N> {
    /// The entries below `old`, and room for all that building takes. ENOMEM, also if there are too many for the meter.
    pub(super) fn collect(
        tree: &'t MaskTree<T, N>,
        old: NodePtr,
        meter: &'t Meter,
    ) -> Result<Self, AllocError> {
        let flags = FLAGS | __GFP_NOWARN;
        let n = old.size() as usize; // CAST: u32 fits
        if !meter.suffices(n) {
            return Err(AllocError);
        }
        let mut leaves = KVVec::with_capacity(n, flags)?;
        let mut nodes: KVVec<NodePtr> = KVVec::with_capacity(n, flags)?;
        nodes.push(old, flags)?;
        while let Some(node) = nodes.pop() {
            meter.pay(node.n_slots().wrapping_add(NODE));
            let mut pushed = Ok(());
            node.each_child(|child| {
                // SAFETY: the writer has it from a link.
                match unsafe { NodePtr::of(child) } {
                    Some(node) => pushed = pushed.and(nodes.push(node, flags)),
                    None if child.is_null() => (),
                    None => pushed = pushed.and(leaves.push(child, flags)),
                }
            });
            pushed?;
        }
        Ok(Self {
            tree,
            old,
            meter,
            flags,
            leaves,
            hashes: KVVec::from_elem(0, n, flags)?,
            pending: KVVec::with_capacity(n, flags)?,
            made: nodes,
            top: Link::new(core::ptr::null_mut()),
            fixed: KBox::new([0; WORDS], flags)?,
        })
    }

    /// Builds; the top is ready to take the place of the old node. ENOMEM frees what was made, also if nothing is left on
    /// the meter.
    pub(super) fn build(&mut self) -> Result<NodePtr, AllocError> {
        let parent = self.old.parent();
        self.pending.push(
            Range {
                start: 0,
                end: self.leaves.len() as u32, // CAST: as many as a node can count
                depth: 0,
                link: core::ptr::null(),
                parent,
            },
            self.flags,
        )?;
        while let Some(range) = self.pending.pop() {
            let enough = self.meter.suffices(self.all(range).len());
            if !enough || self.place(range).is_err() {
                self.discard();
                return Err(AllocError);
            }
        }
        for node in self.made.as_slice().iter().rev() {
            node.measure();
            node.settle();
        }
        // SAFETY: of this tree, by its writer.
        let top = unsafe { NodePtr::of(self.top.load(Ordering::Relaxed)) };
        top.ok_or(AllocError) // a node has two entries, so there is one again
    }

    /// Frees what was made.
    pub(super) fn discard(&mut self) {
        for node in &self.made {
            // SAFETY: never published.
            unsafe { node.free_now() };
        }
    }

    /// Memory of the nodes that were made.
    pub(super) fn bytes(&self) -> usize {
        self.made
            .as_slice()
            .iter()
            .fold(0, |sum, n| sum.wrapping_add(n.bytes_taken()))
    }

    fn leaf(&self, child: Child) -> Option<&'t T> {
        self.tree.entry(child).map(|e| e.get())
    }

    /// The entries of a range.
    fn all(&self, range: Range) -> &[Child] {
        // CAST: u32 fits
        let range = range.start as usize..range.end as usize;
        self.leaves.as_slice().get(range).unwrap_or(&[])
    }

    fn each(&self, range: Range) -> impl Iterator<Item = &'t T> + Clone + '_ {
        self.all(range).iter().filter_map(|child| self.leaf(*child))
    }

    /// Every so many-th of them.
    fn some(&self, range: Range, step: usize) -> impl Iterator<Item = &'t T> + Clone + '_ {
        let some = self.all(range).iter().step_by(step);
        some.filter_map(|child| self.leaf(*child))
    }

    /// Hangs what was made for a range where it belongs.
    fn hang(&self, range: Range, child: Child) {
        // SAFETY: null, or a link of a node that was made here and is not freed before the end.
        let link = unsafe { range.link.as_ref() }.unwrap_or(&self.top);
        link.store(child, Ordering::Relaxed);
    }

    /// Makes the node for a range, or hangs its only entry; what is below becomes pending.
    fn place(&mut self, range: Range) -> Result<(), AllocError> {
        let all = self.all(range);
        match *all {
            [] => Ok(()),
            [one] => {
                self.hang(range, one);
                Ok(())
            }
            _ if range.depth >= MAX_DEPTH => self.chain(range),
            [a, b] => {
                let (Some(x), Some(y)) = (self.leaf(a), self.leaf(b)) else {
                    return Err(AllocError);
                };
                match apart(x, y) {
                    Some(part) => self.fork(range, &Parts::one(part)),
                    None => self.chain(range),
                }
            }
            _ => self.place_many(range),
        }
    }

    fn place_many(&mut self, range: Range) -> Result<(), AllocError> {
        let n = self.all(range).len();
        if n <= 6 {
            if let Some(part) = self.simple(range) {
                return self.fork(range, &Parts::one(part));
            }
        }
        self.find_fixed(range);
        let common = self.common(range);
        let sample = Sample::of(self.some(range, n.div_ceil(SAMPLE).max(1)), self.meter);
        let parts = common.parts(sample.each(), self.meter);
        let Some(first) = parts.as_slice().first() else {
            if range.parent.is_none() {
                let parts = common.parts(self.each(range), self.meter);
                if !parts.as_slice().is_empty() {
                    return self.separate(range, &parts);
                }
            }
            if let Some(cube) = sample.heavy().filter(|_| n > sample.len) {
                return self.fork(range, &cube);
            }
            let parts = common.parts(self.each(range), self.meter);
            if parts.as_slice().is_empty() {
                return self.stuck(range);
            }
            return self.table(range, range.end, &parts);
        };
        let (groups, largest) = sample.groups(&parts, &self.tree.secret);
        if groups == 2 && n <= 8 {
            if let Some(leaf) = sample.each().next() {
                let value = leaf.key().word(first.number) & first.mask;
                return self.fork(range, &Parts::one(Part { value, ..*first }));
            }
        }
        if largest.wrapping_mul(4) > sample.len.wrapping_mul(3) {
            if range.parent.is_none() {
                return self.separate(range, &parts);
            }
            if let Some(cube) = sample.heavy() {
                return self.fork(range, &cube);
            }
        }
        self.table(range, range.end, &parts)
    }

    /// For few entries: a word that all match and in which two differ.
    fn simple(&self, range: Range) -> Option<Part> {
        let all = self.all(range);
        let a = self.leaf(*all.first()?)?;
        let b = self.leaf(*all.get(all.len() / 2)?)?;
        let bits = self.each(range).fold(!0, |bits, leaf| bits & leaf.bits());
        ones(bits).find_map(|number| {
            self.meter.pay(all.len());
            let common = |mask, leaf: &T| mask & leaf.mask().word(number);
            let mask = self.each(range).fold(!0, common);
            let value = a.key().word(number) & mask;
            (value != b.key().word(number) & mask).then_some(Part {
                number,
                mask,
                value,
            })
        })
    }

    /// Sets `fixed`: what the nodes above decide.
    fn find_fixed(&mut self, range: Range) {
        *self.fixed = [0; WORDS];
        let (mut at, mut link) = (range.parent, range.link);
        let mut below = self.old.as_child();
        while let Some(node) = at {
            let other = if link.is_null() {
                // Above the top it is the old node, and those that it hangs on, that the links have.
                node.other.load(Ordering::Relaxed) == below
            } else {
                core::ptr::eq(link, &node.other)
            };
            if !other {
                self.meter.pay(node.len());
                for part in node.parts() {
                    if let Some(word) = self.fixed.get_mut(part.number) {
                        *word |= part.mask;
                    }
                }
            }
            let up = node.parent();
            (below, link) = (node.as_child(), core::ptr::null());
            if self.top.load(Ordering::Relaxed) == below {
                below = self.old.as_child();
            }
            at = up;
        }
    }

    /// What all entries of a range match, but for what is decided.
    fn common(&self, range: Range) -> Common {
        Common::of(self.each(range), &self.fixed, self.meter)
    }

    /// A fork of `cube`, with what is inside on one side and the rest on the other.
    fn fork(&mut self, range: Range, cube: &Parts) -> Result<(), AllocError> {
        let node = NodePtr::fork(cube, 0, self.flags)?;
        self.add(range, node)?;
        self.pay_parts(range, cube);
        let mut middle = range.start;
        for i in range.start..range.end {
            // CAST: u32 fits
            let child = self.leaves.as_slice().get(i as usize).copied();
            let Some(leaf) = child.and_then(|c| self.leaf(c)) else {
                continue;
            };
            match node.side(leaf) {
                (true, _) => {
                    self.leaves.as_mut_slice().swap(i as usize, middle as usize); // CAST: u32 fits
                    middle = middle.wrapping_add(1);
                }
                (false, false) => node.set_overlap(),
                (false, true) => (),
            }
        }
        self.later(range, (range.start, middle), node, Side::Inn)?;
        self.later(range, (middle, range.end), node, Side::Other)
    }

    /// For the root: what all match comes first, though nearly all agree in it, so that the few that do not are apart from
    /// what the many need.
    fn separate(&mut self, range: Range, parts: &Parts) -> Result<(), AllocError> {
        let mut cube = Parts::new();
        self.pay_parts(range, parts);
        self.pay_parts(range, parts);
        for part in parts.as_slice() {
            let words = self
                .each(range)
                .map(|l| l.key().word(part.number) & part.mask);
            let value = majority(words);
            cube.push(Part { value, ..*part });
        }
        let inside = |leaf: &&T| {
            let mut parts = cube.as_slice().iter();
            parts.all(|p| leaf.key().word(p.number) & p.mask == p.value)
        };
        let many = self.each(range).filter(inside).count();
        if many == 0 || many == self.all(range).len() {
            return self.table(range, range.end, parts); // no majority
        }
        self.fork(range, &cube)
    }

    /// Whether building could begin by what all entries match and that tells some apart, and `root` does not.
    pub(super) fn has_better_root(&mut self, root: NodePtr) -> bool {
        let range = Range {
            start: 0,
            end: self.leaves.len() as u32, // CAST: as many as a node can count
            depth: 0,
            link: core::ptr::null(),
            parent: None,
        };
        *self.fixed = [0; WORDS];
        let common = self.common(range);
        let differ = !common
            .parts(self.each(range), self.meter)
            .as_slice()
            .is_empty();
        let begins = |part: Part| part.mask & !common.mask(part.number) == 0;
        differ && !root.parts().all(begins)
    }

    /// A fork that tells nothing apart: the first entry, and the rest.
    fn chain(&mut self, range: Range) -> Result<(), AllocError> {
        let node = NodePtr::fork(&Parts::new(), OVERLAP, self.flags)?;
        self.add(range, node)?;
        let middle = range.start.wrapping_add(1);
        self.later(range, (range.start, middle), node, Side::Inn)?;
        self.later(range, (middle, range.end), node, Side::Other)
    }

    /// A hash node on `parts` for the entries up to `middle`, all of which match these; the rest is its `other`.
    fn table(&mut self, range: Range, middle: u32, parts: &Parts) -> Result<(), AllocError> {
        self.pay_parts(range, parts);
        // CAST: u32 fits
        let (start, end) = (range.start as usize, middle as usize);
        for i in start..end {
            let child = self.leaves.as_slice().get(i).copied();
            let leaf = child.and_then(|c| self.leaf(c)).ok_or(AllocError)?;
            let hash = parts.hash(leaf.key(), &self.tree.secret);
            if let Some(place) = self.hashes.as_mut_slice().get_mut(i) {
                *place = hash;
            }
        }
        let leaves = self.leaves.as_mut_slice().get_mut(start..end);
        let hashes = self.hashes.as_mut_slice().get_mut(start..end);
        let (Some(leaves), Some(hashes)) = (leaves, hashes) else {
            return Err(AllocError);
        };
        sort(hashes, leaves);
        let levels = usize::BITS.wrapping_sub(hashes.len().leading_zeros()) as usize; // CAST: u32 fits
        self.meter.pay(hashes.len().wrapping_mul(levels));
        let groups = hashes.chunk_by(|a, b| a == b).count();
        if groups < 2 && middle == range.end {
            return self.chain(range); // different values of one hash
        }
        let node = NodePtr::table(parts, slots_for(groups as u32), self.flags)?; // CAST: a range's length
        self.add(range, node)?;
        let mut at = range.start;
        while at < middle {
            let hash_at = |i: u32| self.hashes.as_slice().get(i as usize).copied(); // CAST: u32 fits
            let hash = hash_at(at).ok_or(AllocError)?;
            let mut next = at.wrapping_add(1);
            while next < middle && hash_at(next) == Some(hash) {
                next = next.wrapping_add(1);
            }
            self.later(range, (at, next), node, Side::Slot(hash))?;
            at = next;
        }
        self.later(range, (middle, range.end), node, Side::Other)
    }

    /// No bit that all entries match tells any two apart, which does not happen to the leaves of one decision tree. The
    /// bit that most match and that differs among those: they become a hash node, the rest its `other`.
    fn stuck(&mut self, range: Range) -> Result<(), AllocError> {
        let Some((number, bit)) = self.best_bit(range) else {
            return self.chain(range);
        };
        let has = |leaf: &&T| leaf.mask().word(number) & bit != 0;
        let those = self.each(range).filter(has);
        let common = Common::of(those.clone(), &self.fixed, self.meter);
        let parts = common.parts(those, self.meter);
        self.meter
            .pay(self.all(range).len().wrapping_mul(2 * ENTRY));
        self.pay_parts(range, &parts);
        let mut middle = range.start;
        for i in range.start..range.end {
            let child = self.leaves.as_slice().get(i as usize).copied(); // CAST: u32 fits
            if child
                .and_then(|c| self.leaf(c))
                .is_some_and(|l| parts.covered_by(l))
            {
                self.leaves.as_mut_slice().swap(i as usize, middle as usize); // CAST: as above
                middle = middle.wrapping_add(1);
            }
        }
        if parts.as_slice().is_empty() {
            return self.chain(range);
        }
        self.table(range, middle, &parts)
    }

    /// The bit that most entries match of those that differ among them; of a sample, as there are many bits.
    fn best_bit(&self, range: Range) -> Option<(usize, u64)> {
        let (mut best, mut most) = (None, 0u32);
        let step = (self.all(range).len() / SAMPLED).saturating_add(1);
        let some = self.some(range, step);
        let any = some.clone().fold(0, |bits, leaf| bits | leaf.bits());
        for number in ones(any) {
            let decided = self.fixed.get(number).copied().unwrap_or(0);
            let (mut tally, mut zero, mut one) = (Tally::default(), 0, 0);
            for leaf in some.clone() {
                let (key, mask) = (leaf.key().word(number), leaf.mask().word(number));
                tally.add(mask);
                zero |= mask & !key;
                one |= mask & key;
                self.meter.pay(2);
            }
            let (n, bits) = tally.most(zero & one & !decided);
            if n > most {
                most = n;
                best = Some((number, bits & bits.wrapping_neg()));
            }
        }
        best
    }

    /// Pays for a look at these words of all entries of a range.
    fn pay_parts(&self, range: Range, parts: &Parts) {
        let each = ENTRY.wrapping_add(parts.as_slice().len());
        self.meter.pay(self.all(range).len().wrapping_mul(each));
    }

    /// A new node for a range.
    fn add(&mut self, range: Range, node: NodePtr) -> Result<(), AllocError> {
        if self.made.push(node, self.flags).is_err() {
            // SAFETY: never published.
            unsafe { node.free_now() };
            return Err(AllocError);
        }
        self.meter.pay(NODE);
        node.set_parent(range.parent);
        node.set_size(range.end.wrapping_sub(range.start));
        self.hang(range, node.as_child());
        Ok(())
    }

    /// A part of a range is to be built on a side of its node.
    fn later(
        &mut self,
        range: Range,
        (start, end): (u32, u32),
        node: NodePtr,
        side: Side,
    ) -> Result<(), AllocError> {
        if start == end {
            return Ok(());
        }
        // SAFETY: made here and not freed before the end.
        let links = unsafe { &*node.as_raw().as_ptr() };
        let link = match side {
            Side::Inn => &links.inn,
            Side::Other => &links.other,
            Side::Slot(hash) => &node.add_slot(hash, core::ptr::null_mut()).child,
        };
        let part = Range {
            start,
            end,
            depth: range.depth.wrapping_add(1),
            link,
            parent: Some(node),
        };
        self.pending.push(part, self.flags)
    }
}

enum Side {
    Inn,
    Other,
    Slot(u64),
}
