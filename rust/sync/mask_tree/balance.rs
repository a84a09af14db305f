// SPDX-License-Identifier: GPL-2.0
//! When a subtree of a [`MaskTree`] is built anew: a scapegoat tree's rule (Galperin and Rivest, SODA 1993).

use super::super::OvsGuard;
use super::build::Build;
use super::change::each_node;
use super::meter::{Meter, LOOK, NODE, SLOT};
use super::node::{cost_of, Link, NodePtr};
use super::{Leaf, MaskTree, Ordering};
use crate::sys;
use kernel::alloc::flags::{__GFP_NOWARN, GFP_KERNEL};
use kernel::alloc::{AllocError, KVVec};

/// Entries that one insert rebuilds, at most; what is larger is for the periodic work.
pub(super) const CAP: u32 = 256;
/// The same where lookups cost [`BAD`] times what they should.
pub(super) const CAP_BAD: u32 = 4096;
/// Words of keys and masks that one insert reads to rebuild, at most: about 15 ms. What takes more is for the periodic work.
pub(super) const INSERT: u32 = 4 << 20;
/// The same of a subtree that the periodic work rebuilds: about 80 ms. What takes more stays as it is until a little more
/// than as many entries have come as it has, and is asked again then; what is below it is rebuilt.
pub(super) const REBUILD: u32 = 16 << 20;
const BAD: u32 = 2;
/// The limit of a root of two entries, the least that there is.
const LEAST_LIMIT: u32 = 5;
/// The same of one round of the periodic work.
pub(super) const TIDY: u32 = 32 << 20;
/// The same of one mutex section of a round, after which it ends as soon as the rebuild that it is in has.
pub(super) const SECTION: u32 = TIDY / 16;
/// A rebuilt subtree may be as dear as this, whatever the old one was, and else no dearer than that.
const COST_OF_ANY: u32 = 64;
/// Nodes below one another that the periodic work looks at.
pub(super) const TIDY_DEPTH: usize = 48;
/// Bytes of nodes an entry beyond which memory is worth looking for.
const WASTEFUL: usize = 256;
/// Bytes that may wait for a grace period before rebuilding waits for it.
const MAX_RETIRED: usize = 16 << 20;

impl<T: Leaf, const N: usize> MaskTree<T, N> {
    /// Whether an insert below the node shall rebuild it.
    pub(super) fn is_due(&self, node: NodePtr) -> bool {
        let (size, cost) = (node.size(), node.cost());
        if cost <= LEAST_LIMIT {
            return false;
        }
        let max = node.limit();
        if cost <= max || i64::from(node.fresh()).wrapping_mul(2) < i64::from(size) {
            return false;
        }
        let bad = cost > max.wrapping_mul(BAD);
        size <= if bad { CAP_BAD } else { CAP }
    }

    /// Replaces the node on `link` by a balanced one of the same entries. ENOMEM leaves all as it was; if it is for what is on
    /// the meter, that says so.
    pub(super) fn rebuild(
        &self,
        link: &Link,
        node: NodePtr,
        meter: &Meter,
        guard: &OvsGuard,
    ) -> Result<NodePtr, AllocError> {
        if !self.may_retire() {
            return Err(AllocError);
        }
        let size = node.size() as usize; // CAST: u32 fits
        let mut build = Build::collect(self, node, meter)?;
        let new = build.build()?;
        if new.cost() > node.cost().max(COST_OF_ANY) {
            build.discard();
            node.put_off();
            return Err(AllocError);
        }
        self.note_made(build.bytes());
        self.note_work(size);
        link.store(new.as_child(), Ordering::Release);
        each_node(node.as_child(), |old| {
            meter.pay(old.n_slots().wrapping_add(NODE));
            self.retire(old, guard);
        });
        Ok(new)
    }

    fn note_work(&self, entries: usize) {
        let [all, most] = &self.work;
        all.store(
            all.load(Ordering::Relaxed).wrapping_add(entries),
            Ordering::Relaxed,
        );
        most.store(most.load(Ordering::Relaxed).max(entries), Ordering::Relaxed);
    }

    pub(super) fn note_made(&self, bytes: usize) {
        let was = self.bytes.load(Ordering::Relaxed);
        self.bytes.store(was.wrapping_add(bytes), Ordering::Relaxed);
    }

    pub(super) fn note_retired(&self, bytes: usize) {
        self.note_made(bytes.wrapping_neg());
        let was = self.retired.load(Ordering::Relaxed);
        self.retired
            .store(was.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Whether what waits to be freed leaves room for more. Nobody can wait here: the mutex is held.
    fn may_retire(&self) -> bool {
        if self.retired.load(Ordering::Relaxed) < MAX_RETIRED {
            return true;
        }
        let state = self.retired_at.load(Ordering::Relaxed);
        // CAST: both are the machine word.
        if state == 0 {
            let now = sys::get_state_synchronize_rcu() as usize;
            self.retired_at.store(now, Ordering::Relaxed);
        } else if sys::poll_state_synchronize_rcu(state as core::ffi::c_ulong) {
            self.retired_at.store(0, Ordering::Relaxed);
            self.retired.store(0, Ordering::Relaxed);
            return true;
        }
        false
    }

    /// Goes through the large nodes from the root down: rebuilds what is out of balance, makes tables smaller that removals
    /// have left mostly empty, and finds out what nodes really cost. What there is no memory for stays; where `left` or the
    /// section ends, the next one goes on. Returns whether it has come to the last node.
    pub(super) fn tidy(&self, left: &mut u32, guard: &OvsGuard) -> bool {
        let mut round = Round {
            left: *left,
            section: SECTION,
            thorough: self.is_wasteful(),
        };
        let through = round.left != 0 && self.tidy_section(&mut round, guard);
        *left = round.left;
        through
    }

    fn tidy_section(&self, round: &mut Round, guard: &OvsGuard) -> bool {
        let flags = GFP_KERNEL | __GFP_NOWARN;
        let Ok(mut path) = KVVec::<Visit>::with_capacity(TIDY_DEPTH, flags) else {
            return true; // others have their turn
        };
        // The links that the last round came to, of nodes that may be others by now.
        let mut resume = self.tidied.iter().map(|at| at.load(Ordering::Relaxed));
        if let Some(root) = self.tidy_at(&self.root, round, guard) {
            _ = path.push(Visit::new(root, resume.next()), flags);
        }
        loop {
            let depth = path.len();
            let Some(last) = path.as_mut_slice().last_mut().filter(|_| round.goes_on()) else {
                break;
            };
            let (node, at) = (last.node, last.at);
            match node.link_at(at as usize) {
                // CAST: u32 fits
                Place::Link(link) => {
                    last.at = at.wrapping_add(1);
                    // SAFETY: for the writer a node in the tree stays until it takes it out.
                    let link = unsafe { &*link };
                    // SAFETY: the writer has it from a link.
                    let is_node = unsafe { NodePtr::of(link.load(Ordering::Relaxed)) }.is_some();
                    round.pay(if is_node { LOOK } else { SLOT });
                    let from = if last.first { resume.next() } else { None };
                    last.first = false;
                    match self.tidy_at(link, round, guard) {
                        Some(below) if depth < TIDY_DEPTH => {
                            _ = path.push_within_capacity(Visit::new(below, from));
                        }
                        // SAFETY: the writer has it from a link.
                        _ => last.note(link, unsafe { cost_of(link.load(Ordering::Relaxed)) }),
                    }
                }
                Place::Nothing => {
                    round.pay(SLOT);
                    last.at = at.wrapping_add(1);
                    last.first = false;
                }
                Place::End => end_visit(&mut path),
            }
        }
        let through = path.is_empty();
        for (i, place) in self.tidied.iter().enumerate() {
            let at = path.as_slice().get(i).map_or(0, |visit| visit.at);
            // But the last, their nodes are not through with the link before.
            let inner = path.len() > i.wrapping_add(1);
            place.store(at.wrapping_sub(u32::from(inner)), Ordering::Relaxed);
        }
        while !path.is_empty() {
            end_visit(&mut path);
        }
        through
    }

    /// Tidies what hangs on a link; returns the node if its children are to be looked at.
    fn tidy_at(&self, link: &Link, round: &mut Round, guard: &OvsGuard) -> Option<NodePtr> {
        // SAFETY: the writer has it from a link.
        let mut node = unsafe { NodePtr::of(link.load(Ordering::Relaxed)) }?;
        let size = node.size();
        let grown = i64::from(node.fresh()).wrapping_mul(8) >= i64::from(size);
        let meter = Meter::new(REBUILD);
        let dear = grown && node.cost() > node.limit();
        let out = dear || self.mixes_what_it_need_not(node, &meter);
        let rebuilt = out && self.rebuild(link, node, &meter, guard).is_ok();
        // Also if nothing comes of it: what counts is how long the mutex is held.
        round.pay(REBUILD.wrapping_sub(meter.left()));
        if rebuilt {
            return None;
        }
        if dear && meter.gave_up() {
            node.put_off();
        }
        if node.is_sparse() {
            round.pay(u32::try_from(node.n_slots()).unwrap_or(u32::MAX));
            let flags = GFP_KERNEL | __GFP_NOWARN;
            if let Ok(new) = node.resized(node.counts().0.wrapping_add(1), flags) {
                new.each_child(|child| self.adopt(Some(new), child));
                self.replace(link, node, new, guard);
                node = new;
            }
        }
        (size > CAP || round.thorough).then_some(node)
    }

    /// Whether the node is the root, and does not begin by what all entries match although that tells some apart: then
    /// packets of one port pass through the levels of another's flows. Asks only after an eighth has come since the last
    /// time.
    fn mixes_what_it_need_not(&self, node: NodePtr, meter: &Meter) -> bool {
        let size = node.size();
        if node.parent().is_some() || size < CAP || node.cost() < 8 {
            return false;
        }
        let asked = [node.as_child().addr(), node.fresh() as u32 as usize]; // CAST: as bits
        let [root, fresh] = &self.asked;
        let since = node
            .fresh()
            .wrapping_sub(fresh.load(Ordering::Relaxed) as u32 as i32); // CAST: as above
        if root.load(Ordering::Relaxed) == asked[0]
            && i64::from(since).wrapping_mul(8) < i64::from(size)
        {
            return false;
        }
        for (place, value) in self.asked.iter().zip(asked) {
            place.store(value, Ordering::Relaxed);
        }
        Build::collect(self, node, meter).is_ok_and(|mut all| all.has_better_root(node))
    }

    /// Whether there is far more memory in nodes than the entries need.
    fn is_wasteful(&self) -> bool {
        // SAFETY: the tree's own link, by its writer.
        let root = unsafe { NodePtr::of(self.root.load(Ordering::Relaxed)) };
        let size = root.map_or(0, |root| root.size()) as usize; // CAST: u32 fits
        self.bytes.load(Ordering::Relaxed) > size.saturating_mul(WASTEFUL).saturating_add(4096)
    }
}

/// What a round of the periodic work has left to do.
struct Round {
    /// Words that it may still read.
    left: u32,
    /// The same of this section of the mutex.
    section: u32,
    /// Small nodes too are looked at.
    thorough: bool,
}

impl Round {
    fn pay(&mut self, words: u32) {
        self.left = self.left.saturating_sub(words);
        self.section = self.section.saturating_sub(words);
    }

    fn goes_on(&self) -> bool {
        self.left != 0 && self.section != 0
    }
}

/// A node on the way of a round.
struct Visit {
    node: NodePtr,
    /// The next of its links.
    at: u32,
    /// Some were looked at in the last round.
    part: bool,
    /// The next one may have been, in part.
    first: bool,
    /// The highest cost of the children seen.
    dearest: u32,
}

impl Visit {
    /// `from`: where the last round came to, if this node is on that way.
    fn new(node: NodePtr, from: Option<u32>) -> Self {
        let at = from.unwrap_or(0);
        let visit = Self {
            node,
            at,
            part: at != 0,
            first: from.is_some(),
            dearest: 0,
        };
        if node.is_fork() || !node.has_only_entries() || at as usize > node.n_slots() {
            return visit; // CAST: u32 fits
        }
        // Entries need no look. What is left is where the others are.
        Self {
            at: node.n_slots() as u32, // CAST: as many as a u32 counts
            part: false,
            first: visit.first && at as usize == node.n_slots(), // CAST: u32 fits
            dearest: node.child_cost(),
            ..visit
        }
    }

    /// Notes what a hash node's child costs.
    fn note(&mut self, link: &Link, cost: u32) {
        if !core::ptr::eq(link, &self.node.other) {
            self.dearest = self.dearest.max(cost);
        }
    }
}

/// Leaves the last node of `path`. If all of it was seen its cost is known; else it is at least what was seen.
fn end_visit(path: &mut KVVec<Visit>) {
    let Some(visit) = path.pop() else { return };
    let node = visit.node;
    let all = !visit.part && matches!(node.link_at(visit.at as usize), Place::End); // CAST: u32 fits
    let known = if all { 0 } else { node.child_cost() };
    node.update_cost(known.max(visit.dearest));
    if let Some(above) = path.as_mut_slice().last_mut() {
        let other = above.node.other.load(Ordering::Relaxed) == node.as_child();
        if !other {
            above.dearest = above.dearest.max(node.cost());
        }
    }
}

/// A place in a node.
pub(super) enum Place {
    Link(*const Link),
    /// A slot without a child.
    Nothing,
    End,
}
