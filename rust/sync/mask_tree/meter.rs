// SPDX-License-Identifier: GPL-2.0
//! What work on a [`MaskTree`](super::MaskTree) is measured by while `ovs_mutex` is held. Entries are no measure: who chooses
//! their masks chooses how many words of them it takes to find a bit that tells them apart, and how often that is asked.

use core::cell::Cell;

/// Words as long as it takes to make or to free a node.
pub(super) const NODE: usize = 32;
/// Words as long as it takes to look at a link of a node that is elsewhere in memory.
pub(super) const LOOK: u32 = 32;
/// The same of a link to an entry, or of an empty slot.
pub(super) const SLOT: u32 = 2;
/// Words as long as it takes to come to an entry, which with its mask is elsewhere in memory.
pub(super) const ENTRY: usize = 8;
/// Words of an entry that choosing one node reads, where it looks at all entries; seldom more.
const PER_ENTRY: usize = 256;

/// Words of keys and masks that may still be read, and whatever else takes as long.
pub(super) struct Meter {
    left: Cell<u32>,
    /// What was to be done was too dear.
    gave_up: Cell<bool>,
}

impl Meter {
    pub(super) fn new(words: u32) -> Self {
        Self {
            left: Cell::new(words),
            gave_up: Cell::new(false),
        }
    }

    /// Takes words off what is left.
    pub(super) fn pay(&self, words: usize) {
        let words = u32::try_from(words).unwrap_or(u32::MAX);
        self.left.set(self.left.get().saturating_sub(words));
    }

    /// Words that are left.
    pub(super) fn left(&self) -> u32 {
        self.left.get()
    }

    /// Whether [`Self::suffices`] has said no.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up.get()
    }

    /// Whether it allows to choose a node for so many entries.
    pub(super) fn suffices(&self, entries: usize) -> bool {
        // CAST: u32 fits
        let enough = self.left() as usize >= entries.saturating_mul(PER_ENTRY);
        self.gave_up.set(self.gave_up.get() | !enough);
        enough
    }
}
