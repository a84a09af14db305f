// SPDX-License-Identifier: GPL-2.0
//! What work on a [`MaskTree`](super::MaskTree) is measured by while `ovs_mutex` is held. Entries are no measure: who chooses
//! their masks chooses how many words of them it takes to find a bit that tells them apart, and how often that is asked.

use core::cell::Cell;

/// Words as long as it takes to make or to free a node.
pub(super) const NODE: usize = 32;
/// Words as long as it takes to look at a link of a node that is elsewhere in memory.
pub(super) const LOOK: u32 = 32;
/// Words as long as it takes to come to an entry, which with its mask is elsewhere in memory.
pub(super) const ENTRY: usize = 8;
/// Words of an entry that choosing one node reads at most, where it looks at all entries.
const PER_ENTRY: usize = 256;

/// Words of keys and masks that may still be read, and whatever else takes as long.
pub(super) struct Meter(Cell<u32>);

impl Meter {
    pub(super) fn new(words: u32) -> Self {
        Self(Cell::new(words))
    }

    /// Takes words off what is left.
    pub(super) fn pay(&self, words: usize) {
        let words = u32::try_from(words).unwrap_or(u32::MAX);
        self.0.set(self.0.get().saturating_sub(words));
    }

    /// Words that are left.
    pub(super) fn left(&self) -> u32 {
        self.0.get()
    }

    /// Whether it allows to choose a node for so many entries. If not, nothing is left any more.
    pub(super) fn suffices(&self, entries: usize) -> bool {
        // CAST: u32 fits
        let enough = self.left() as usize >= entries.saturating_mul(PER_ENTRY);
        if !enough {
            self.0.set(0);
        }
        enough
    }
}
