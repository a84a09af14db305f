// SPDX-License-Identifier: GPL-2.0
//! Masks: which bits of a key a megaflow matches.
//!
//! C counterpart: `struct sw_flow_mask` and `ovs_flow_mask_key()` in `net/openvswitch/flow_table.c`.

use crate::datapath::flow::key::Core;
use crate::datapath::flow::parts::{KeyBuf, KeyRef};
use crate::rust::pod::Pod;
use kernel::alloc::{AllocError, Flags};

/// A mask and the words of the key that it looks at.
///
/// `start..end` is the smallest range of pairs of the core's words outside of which the mask's core is zero, `deep` names
/// the words beyond the core that are not; so two masks are equal exactly if they match the same bits (spec K11).
#[derive(Debug)]
pub struct Mask {
    /// First pair of words.
    pub start: u8,
    /// Past the last pair.
    pub end: u8,
    /// Bit n: it looks at word n beyond the core.
    pub deep: u64,
    pub key: KeyBuf,
}

impl Mask {
    /// A mask that matches nothing.
    #[inline(always)]
    pub fn empty() -> Self {
        Self {
            start: 0,
            end: 0,
            deep: 0,
            key: KeyBuf::new(),
        }
    }

    pub fn new(key: KeyBuf) -> Self {
        let mut mask = Self {
            key,
            ..Self::empty()
        };
        mask.measure();
        mask
    }

    /// Says where `key` is not zero; due after each change of it.
    pub fn measure(&mut self) {
        if !self.key.is_plain() {
            self.key.shrink();
            self.deep = self.key.as_ref().deep_bits();
        }
        let pairs = self.key.core().as_pairs();
        let first = pairs.iter().position(|p| *p != [0; 2]).unwrap_or(0);
        let end = pairs
            .iter()
            .rposition(|p| *p != [0; 2])
            .map_or(0, |last| last.wrapping_add(1));
        // CAST: a core has far less than 256 words.
        (self.start, self.end) = (first as u8, end as u8);
    }

    /// A copy. ENOMEM.
    pub fn try_clone(&self, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            key: self.key.try_clone(flags)?,
            ..*self
        })
    }

    /// The key's core with every bit that the mask does not match set to zero.
    #[inline]
    pub fn apply_core(&self, key: &Core) -> Core {
        let mut out = *key;
        for (o, m) in out
            .as_words_mut()
            .iter_mut()
            .zip(self.key.core().as_words())
        {
            *o &= *m;
        }
        out
    }

    /// `out`, an all-zero key, becomes `key` with every bit that the mask does not match set to zero. ENOMEM.
    #[inline]
    pub fn apply(&self, key: &KeyBuf, out: &mut KeyBuf, flags: Flags) -> Result<(), AllocError> {
        let words = out.core_mut().as_words_mut().iter_mut();
        let (keys, masks) = (key.core().as_words(), self.key.core().as_words());
        // Word by word into place: as a value it would be on the stack first.
        for ((word, key), mask) in words.zip(keys).zip(masks) {
            *word = key & mask;
        }
        if self.deep == 0 {
            return Ok(());
        }
        out.set_masked(key, self.key.as_ref(), self.deep, flags)
    }

    /// The words of a core that the mask looks at.
    #[inline(always)]
    pub(super) fn view<'a>(&self, key: &'a Core) -> Option<&'a [[u64; 2]]> {
        key.as_pairs()
            .get(usize::from(self.start)..usize::from(self.end))
    }

    /// The words beyond the core that the mask looks at: their number and the bits that it matches.
    pub(super) fn deep_words(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let mask = self.key.as_ref();
        let mut left = self.deep;
        core::iter::from_fn(move || {
            let n = left.trailing_zeros() as usize; // CAST: at most 64
            if left == 0 {
                return None;
            }
            left &= left.wrapping_sub(1);
            Some((n, mask.deep_word(n)))
        })
    }
}

impl PartialEq for Mask {
    fn eq(&self, other: &Self) -> bool {
        // Outside of the range both are zero.
        (self.start, self.end, self.deep) == (other.start, other.end, other.deep)
            && self.view(&self.key) == other.view(&other.key)
            && (self.deep == 0 || self.key == other.key)
    }
}

/// True if the core of a key under `mask`, which looks at nothing else, is that of a flow, which is already masked.
#[inline]
pub fn eq_core(masked_flow_key: &Core, key: &Core, mask: &Mask) -> bool {
    let (Some(flow), Some(keys), Some(masks)) = (
        mask.view(masked_flow_key),
        mask.view(key),
        mask.view(&mask.key),
    ) else {
        return false;
    };
    let mut diff = 0;
    for (([f0, f1], [k0, k1]), [m0, m1]) in flow.iter().zip(keys).zip(masks) {
        diff |= (k0 & m0) ^ f0 | (k1 & m1) ^ f1;
    }
    diff == 0
}

/// True if `key` under any `mask` is `masked_flow_key`, which is already masked.
pub fn eq_masked(masked_flow_key: KeyRef<'_>, key: KeyRef<'_>, mask: &Mask) -> bool {
    let (Some(flow), Some(keys), Some(masks)) = (
        mask.view(masked_flow_key.core),
        mask.view(key.core),
        mask.view(&mask.key),
    ) else {
        return false;
    };
    let words = flow.iter().flatten();
    let words = words.zip(keys.iter().flatten()).zip(masks.iter().flatten());
    words.fold(0, |diff, ((f, k), m)| diff | (k & m) ^ f) == 0
        && mask
            .deep_words()
            .all(|(n, m)| key.deep_word(n) & m == masked_flow_key.deep_word(n))
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
