// SPDX-License-Identifier: GPL-2.0
//! What one CPU keeps while it runs action lists: how deep it is, copies of keys, and lists put off until later.
//!
//! A device can hand a packet right back to the switch, so none of this can live in one call's stack frame, and none
//! of it belongs to a datapath (spec A10).
//!
//! C counterpart: `exec_actions_level`, `flow_keys` and `action_fifos` in `net/openvswitch/actions.c`.

use super::execute::{Context, Key, Name};
use super::list::Actions;
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{Env, Packet, PacketOps};
use crate::datapath::error::DropReason;
use crate::datapath::flow::parts::FlowKey;
use crate::rust::sync::RcuPin;
use core::cell::Cell;
use core::ops::Range;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::{AllocError, KBox};
use kernel::pr_warn;
use kernel::sync::Arc;

/// Levels at which a list that needs its own key still runs at once; each has one key copy.
const KEY_COPIES: usize = 3;
/// Lists that can be put off until the outermost ends.
const FIFO_SLOTS: usize = 9;

/// What the lists inside an outermost one and the copies of an aggregate may cost together, counted in packets that aggregates stand
/// for, or nodes that look-ups visit (spec A10). A list of n recirculations, each of which leads to such a list, and so on to the
/// deepest level, would have n⁴ actions, and n outputs of an aggregate of m packets n·m, with BHs disabled.
const WORK_MAX: u32 = 1 << 18;
/// What an action of a list inside another costs.
const ACTION: u32 = 4;
/// What a look-up costs beside the nodes that it visits.
pub const LOOKUP: u32 = 8;
/// What an upcall of a list inside another costs, and one that a recirculation leads to.
pub const UPCALL: u32 = 64;

/// A list, or a recirculation, that runs when the outermost list has ended.
pub struct Deferred {
    /// Where the packet was put off, which need not be where the outermost list runs.
    pub dp: Arc<Datapath>,
    pub pkt: Packet,
    /// Its key describes the packet as it is (spec A9).
    pub key_valid: bool,
    pub then: Then,
}

/// What a deferred packet waits for.
pub enum Then {
    /// Part of a list, which it keeps alive (spec Q16).
    Run(RcuPin<Actions>, Range<usize>),
    /// Another look-up.
    Recirculate,
}

/// Room for a deferred list. The key stays when the list goes: it is too large to be moved.
struct Slot {
    work: Cell<Option<Deferred>>,
    /// `None` while it is in use.
    key: Cell<Option<KBox<FlowKey>>>,
}

impl Slot {
    fn new() -> Result<Self, AllocError> {
        Ok(Self {
            work: Cell::new(None),
            key: Cell::new(Some(KBox::new(FlowKey::new(), GFP_KERNEL)?)),
        })
    }
}

/// One CPU's state.
pub struct Storage {
    level: Cell<u32>,
    /// Of [`WORK_MAX`], what is spent. Zero outside of lists.
    work: Cell<u32>,
    keys: [Cell<Option<KBox<FlowKey>>>; KEY_COPIES],
    fifo: [Slot; FIFO_SLOTS],
    head: Cell<usize>,
    tail: Cell<usize>,
}

impl Storage {
    pub fn new() -> Result<Self, AllocError> {
        let key = || Ok(Cell::new(Some(KBox::new(FlowKey::new(), GFP_KERNEL)?)));
        let slot = Slot::new;
        Ok(Self {
            level: Cell::new(0),
            work: Cell::new(0),
            keys: [key()?, key()?, key()?],
            fifo: [
                slot()?,
                slot()?,
                slot()?,
                slot()?,
                slot()?,
                slot()?,
                slot()?,
                slot()?,
                slot()?,
            ],
            head: Cell::new(0),
            tail: Cell::new(0),
        })
    }

    /// One level deeper until the result is dropped.
    #[inline(always)]
    pub fn enter(&self) -> Level<'_> {
        self.level.set(self.level.get().wrapping_add(1));
        Level(&self.level)
    }

    /// Whether the outermost list may have a list of so many actions inside it, too.
    pub fn allows(&self, actions: usize) -> bool {
        let actions = u32::try_from(actions).unwrap_or(u32::MAX);
        let cost = actions.saturating_add(1).saturating_mul(ACTION);
        self.spend(cost);
        self.work.get() <= WORK_MAX
    }

    /// Whether one more copy, or one more upcall, of what stands for so many packets is possible. Outside of lists there is no more
    /// than one.
    pub fn affords(&self, packets: u32) -> bool {
        let work = self.work.get();
        self.spend(packets);
        work <= WORK_MAX
    }

    /// Counts what has happened.
    pub fn spend(&self, cost: u32) {
        if self.level.get() != 0 {
            self.work.set(self.work.get().saturating_add(cost));
        }
    }

    /// Whether the list that runs is inside another one.
    #[inline(always)]
    pub fn is_inside(&self) -> bool {
        self.level.get() > 1
    }

    /// The key copy of the current level, if it has one; give it back with [`Self::put_key`].
    pub fn take_key(&self) -> Option<KBox<FlowKey>> {
        self.key_slot()?.take()
    }

    /// Takes back what [`Self::take_key`] gave at this level.
    pub fn put_key(&self, key: KBox<FlowKey>) {
        if let Some(slot) = self.key_slot() {
            slot.set(Some(key));
        }
    }

    fn key_slot(&self) -> Option<&Cell<Option<KBox<FlowKey>>>> {
        let index = self.level.get().checked_sub(1)?;
        self.keys.get(index as usize)
    }

    /// Puts off, with a copy of `key` that has the recirculation id `recirc_id`; gives back what there is no room for.
    pub fn push(&self, work: Deferred, key: &FlowKey, recirc_id: u32) -> Option<Deferred> {
        let head = self.head.get();
        let Some(slot) = self.fifo.get(head) else {
            return Some(work);
        };
        let Some(mut own) = slot.key.take() else {
            return Some(work);
        };
        own.copy_from(key);
        own.recirc_id = recirc_id;
        slot.key.set(Some(own));
        self.head.set(head.wrapping_add(1));
        slot.work.set(Some(work));
        None
    }

    /// Anything put off? While the outermost list takes out what waits, this stays true.
    #[inline(always)]
    pub fn has_deferred(&self) -> bool {
        self.head.get() != 0
    }

    /// The same, or [`Self::allows`] or [`Self::affords`] was asked.
    #[inline(always)]
    pub fn is_touched(&self) -> bool {
        self.head.get() | self.work.get() as usize != 0 // CAST: usize has at least 32 bits
    }

    /// The outermost list ends.
    #[inline(always)]
    pub fn forget_work(&self) {
        self.work.set(0);
    }

    /// The oldest and its key, which goes back with [`Self::put_deferred_key`]. Room comes back only when nothing is
    /// left, so that what runs late cannot go on for ever.
    pub fn pop(&self) -> Option<(Deferred, KBox<FlowKey>)> {
        let tail = self.tail.get();
        if tail == self.head.get() {
            self.head.set(0);
            self.tail.set(0);
            return None;
        }
        self.tail.set(tail.wrapping_add(1));
        let slot = self.fifo.get(tail)?;
        slot.work.take().zip(slot.key.take())
    }

    /// Takes back the key that the last [`Self::pop`] gave.
    pub fn put_deferred_key(&self, key: KBox<FlowKey>) {
        if let Some(slot) = self
            .tail
            .get()
            .checked_sub(1)
            .and_then(|i| self.fifo.get(i))
        {
            slot.key.set(Some(key));
        }
    }
}

/// A level that this CPU is in.
pub struct Level<'a>(&'a Cell<u32>);

impl Level<'_> {
    /// 1 is the outermost.
    #[inline(always)]
    pub fn depth(&self) -> u32 {
        self.0.get()
    }
}

impl Drop for Level<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.set(self.0.get().wrapping_sub(1));
    }
}

/// Puts a packet off until the outermost list has ended, or drops it. Its key then has the recirculation id `recirc_id`.
#[cold]
#[inline(never)]
pub fn defer(cx: &Context<'_>, pkt: Packet, key: &Key<'_>, recirc_id: u32, then: Then) {
    // The outermost list may be another datapath's.
    let Some(dp) = cx.dp.share(cx.bh) else {
        return pkt.discard(DropReason::NotSpecified);
    };
    let work = Deferred {
        dp,
        pkt,
        key_valid: key.valid,
        then,
    };
    let Some(work) = cx.storage.push(work, key.key, recirc_id) else {
        return;
    };
    if crate::World::log_allowed() {
        match work.then {
            Then::Run(..) => pr_warn!(
                "{}: deferred action limit reached, drop sample action\n",
                Name(cx.dp, cx.bh)
            ),
            Then::Recirculate => pr_warn!(
                "{}: deferred action limit reached, drop recirc action (recirc_id={:#x})\n",
                Name(cx.dp, cx.bh),
                recirc_id
            ),
        }
    }
    work.pkt.discard(DropReason::DeferredLimit);
}
