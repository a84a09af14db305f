// SPDX-License-Identifier: GPL-2.0
//! A megaflow: what it matches, how userspace calls it, what it does.
//!
//! C counterpart: `struct sw_flow` in `net/openvswitch/flow.h`.

use crate::datapath::actions::Actions;
use crate::datapath::flow::key::Ufid;
use crate::datapath::flow::mask::{eq_core, eq_masked, Mask};
use crate::datapath::flow::masks::SharedMask;
use crate::datapath::flow::parts::{Key, KeyBuf, Parts, ZERO_KEY};
use crate::datapath::flow::stats::{FlowStats, Slot, SLOTS};
use crate::rust::sync::{
    Entry, EntryCache, EntryCacheRegistration, Leaf, ProcessContext, RcuBox, RcuSlot,
    SlabRegistration, TableBox,
};
use kernel::alloc::{AllocError, Flags, KBox};
use kernel::sync::Arc;

/// Memory for flows, visible in slabinfo (spec T13).
static FLOWS: EntryCache<Flow, INDEXES> = EntryCache::new(c"sw_flow");

/// Keeps the slab caches of flows and their statistics; dropped after the last table (spec T13).
pub struct Caches(
    #[allow(dead_code, reason = "held to be dropped")] EntryCacheRegistration<Flow, INDEXES>,
    #[allow(dead_code, reason = "held to be dropped")] SlabRegistration<Slot>,
);

impl Caches {
    /// Creates the caches; once, before the first table. ENOMEM.
    pub fn create(ctx: &ProcessContext) -> Result<Self, AllocError> {
        Ok(Self(FLOWS.create(ctx)?, SLOTS.create(ctx)?))
    }
}

/// How userspace names a flow (spec F2).
pub enum FlowId {
    Ufid(Ufid),
    /// By its unmasked key; `None` if that equals the masked one, as it does for exact flows.
    Key(Option<KBox<KeyBuf>>),
}

impl FlowId {
    /// The id of a flow: its UFID if the request has one.
    pub fn new(
        ufid: Option<Ufid>,
        unmasked: &KeyBuf,
        masked: &KeyBuf,
        flags: Flags,
    ) -> Result<Self, AllocError> {
        Ok(match ufid {
            Some(ufid) => Self::Ufid(ufid),
            None if unmasked == masked => Self::Key(None),
            None => Self::Key(Some(KBox::new(unmasked.try_clone(flags)?, flags)?)),
        })
    }
}

/// A flow found in a table, which is what removing it takes.
pub type FlowEntry<'g> = Entry<'g, Flow, INDEXES>;

/// Ways to find a flow beside the one by key: by UFID.
pub(super) const INDEXES: usize = 1;

/// A flow of the table. Everything but the actions and the statistics is fixed once it is inserted.
pub struct Flow {
    /// What packets must equal under the mask; zero outside of it.
    key: KeyBuf,
    /// `None` only before insertion.
    mask: Option<Arc<SharedMask>>,
    pub actions: RcuSlot<Actions>,
    id: FlowId,
    pub stats: FlowStats,
}

// With its links a flow takes 240 bytes of slab; C takes 1306 and more, depending on the number of CPUs.
const _: () = assert!(core::mem::size_of::<Flow>() <= 200);

impl Flow {
    /// The masked key.
    #[inline(always)]
    pub fn key(&self) -> &KeyBuf {
        &self.key
    }

    /// The mask; an empty one for a flow that was never inserted.
    pub fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref().map(|m| &m.mask)
    }

    /// True if `key` is that of a packet for this flow.
    #[inline(always)]
    pub(super) fn takes<X: Parts>(&self, key: &Key<X>) -> bool {
        let Some(shared) = &self.mask else {
            return false;
        };
        if shared.mask.deep != 0 {
            return self.matches_deep(key, &shared.mask);
        }
        eq_core(&self.key, key, &shared.mask)
    }

    #[inline(never)]
    fn matches_deep<X: Parts>(&self, key: &Key<X>, mask: &Mask) -> bool {
        eq_masked(self.key.as_ref(), key.as_ref(), mask)
    }

    pub(super) fn shared_mask(&self) -> Option<&Arc<SharedMask>> {
        self.mask.as_ref()
    }

    pub fn id(&self) -> &FlowId {
        &self.id
    }

    pub fn ufid(&self) -> Option<&Ufid> {
        match &self.id {
            FlowId::Ufid(ufid) => Some(ufid),
            FlowId::Key(_) => None,
        }
    }

    /// The key userspace gave; `None` for flows that have a UFID instead.
    pub fn unmasked_key(&self) -> Option<&KeyBuf> {
        match &self.id {
            FlowId::Ufid(_) => None,
            FlowId::Key(None) => Some(&self.key),
            FlowId::Key(Some(key)) => Some(key),
        }
    }
}

impl Leaf for Flow {
    type Key = KeyBuf;

    fn key(&self) -> &KeyBuf {
        &self.key
    }

    fn mask(&self) -> &KeyBuf {
        self.mask.as_ref().map_or(&ZERO_KEY, |m| &m.mask.key)
    }

    fn bits(&self) -> u64 {
        self.mask.as_ref().map_or(0, |m| m.bits)
    }

    fn matches(&self, key: &KeyBuf) -> bool {
        self.takes(key)
    }
}

/// A flow ready to be inserted: all memory it needs, but for a mask that no other flow has.
pub struct PreparedFlow<'m> {
    flow: TableBox<Flow, INDEXES>,
    mask: &'m Mask,
    actions: RcuBox<Actions>,
}

impl<'m> PreparedFlow<'m> {
    /// Allocates the flow that `key`, under `mask`, stands for. ENOMEM.
    pub fn new(
        key: &KeyBuf,
        mask: &'m Mask,
        ufid: Option<Ufid>,
        actions: RcuBox<Actions>,
        flags: Flags,
    ) -> Result<Self, AllocError> {
        let blank = Flow {
            key: KeyBuf::new(),
            mask: None,
            actions: RcuSlot::new(None),
            id: FlowId::Key(None),
            stats: FlowStats::new(flags)?,
        };
        // Filled where it stays: it is too large to be moved.
        let mut flow = TableBox::new_in(&FLOWS, blank, flags)?;
        mask.apply(key, &mut flow.key, flags)?;
        flow.id = FlowId::new(ufid, key, &flow.key, flags)?;
        Ok(Self {
            flow,
            mask,
            actions,
        })
    }

    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    pub fn mask(&self) -> &'m Mask {
        self.mask
    }

    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// The actions alone, for a flow that exists already (spec F5).
    pub fn into_actions(self) -> RcuBox<Actions> {
        self.actions
    }

    /// What [`Self::finish`] made of it and no table took.
    pub(super) fn unfinish(mut flow: TableBox<Flow, INDEXES>, mask: &'m Mask) -> Option<Self> {
        flow.mask = None;
        let actions = flow.actions.take()?;
        Some(Self {
            flow,
            mask,
            actions,
        })
    }

    /// The flow, complete.
    pub(super) fn finish(mut self, mask: Arc<SharedMask>) -> TableBox<Flow, INDEXES> {
        self.flow.mask = Some(mask);
        self.flow.actions = RcuSlot::new(Some(self.actions));
        self.flow
    }
}
