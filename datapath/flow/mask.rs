// SPDX-License-Identifier: GPL-2.0
//! Masks: which bits of a key a megaflow matches.
//!
//! C counterpart: `struct sw_flow_mask` and `ovs_flow_mask_key()` in `net/openvswitch/flow_table.c`.

use crate::datapath::flow::key::FlowKey;
use crate::rust::pod::Pod;

/// A mask and the words of the key that it looks at.
///
/// `start..end` is the smallest range of word pairs outside which the mask is zero, so two masks are equal
/// exactly if they match the same bits (spec K11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// First word, even.
    pub start: u8,
    /// Past the last word, even.
    pub end: u8,
    pub key: FlowKey,
}

impl Mask {
    pub fn new(key: FlowKey) -> Self {
        let words = key.as_words();
        let first = words.iter().position(|w| *w != 0).unwrap_or(0);
        let end = words
            .iter()
            .rposition(|w| *w != 0)
            .map_or(0, |last| last.wrapping_add(1));
        // CAST: a key has far less than 256 words.
        Self {
            start: first as u8 & !1,
            end: (end as u8).wrapping_add(1) & !1,
            key,
        }
    }

    /// The key with every bit that the mask does not match set to zero.
    #[inline]
    pub fn apply(&self, key: &FlowKey) -> FlowKey {
        let mut out = *key;
        for (o, m) in out.as_words_mut().iter_mut().zip(self.key.as_words()) {
            *o &= *m;
        }
        out
    }

    /// The words of a key that the mask looks at.
    #[inline(always)]
    pub(super) fn view<'a>(&self, key: &'a FlowKey) -> Option<&'a [u64]> {
        key.as_words()
            .get(usize::from(self.start)..usize::from(self.end))
    }
}

/// True if `key` under `mask` is `masked_flow_key`, which is already masked.
#[inline]
pub fn eq_masked(masked_flow_key: &FlowKey, key: &FlowKey, mask: &Mask) -> bool {
    let (Some(flow), Some(keys), Some(masks)) = (
        mask.view(masked_flow_key),
        mask.view(key),
        mask.view(&mask.key),
    ) else {
        return false;
    };
    let mut diff = 0;
    for ((f, k), m) in flow
        .chunks_exact(2)
        .zip(keys.chunks_exact(2))
        .zip(masks.chunks_exact(2))
    {
        if let ([f0, f1], [k0, k1], [m0, m1]) = (f, k, m) {
            diff |= (k0 & m0) ^ f0 | (k1 & m1) ^ f1;
        }
    }
    diff == 0
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
