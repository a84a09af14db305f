// SPDX-License-Identifier: GPL-2.0
//! What a node looks at, before it is a node.

use super::{Leaf, Words};

/// Words that a node looks at, at most.
pub(super) const MAX_WORDS: usize = 8;

/// A word of the key, the bits of it that count, and for forks their value.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) number: usize,
    pub(super) mask: u64,
    pub(super) value: u64,
}

/// A few parts.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    parts: [Part; MAX_WORDS],
    len: usize,
}

impl Parts {
    pub(super) const fn new() -> Self {
        let none = Part {
            number: 0,
            mask: 0,
            value: 0,
        };
        Self {
            parts: [none; MAX_WORDS],
            len: 0,
        }
    }

    pub(super) fn one(part: Part) -> Self {
        let mut parts = Self::new();
        parts.push(part);
        parts
    }

    /// Adds one; false if there is no room.
    pub(super) fn push(&mut self, part: Part) -> bool {
        let Some(place) = self.parts.get_mut(self.len) else {
            return false;
        };
        *place = part;
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Makes `part` the one of its word; false if there is no room.
    pub(super) fn set(&mut self, part: Part) -> bool {
        let mut known = self.parts.iter_mut().take(self.len);
        match known.find(|p| p.number == part.number) {
            Some(place) => *place = part,
            None => return self.push(part),
        }
        true
    }

    pub(super) fn as_slice(&self) -> &[Part] {
        self.parts.get(..self.len).unwrap_or(&[])
    }

    /// Whether the mask of `leaf` has all of their bits.
    pub(super) fn covered_by<T: Leaf>(&self, leaf: &T) -> bool {
        let mut parts = self.as_slice().iter();
        parts.all(|p| p.mask & !leaf.mask().word(p.number) == 0)
    }

    /// As [`NodePtr::hash`](super::node::NodePtr::hash) of a node made of them.
    pub(super) fn hash(&self, key: &impl Words, secret: &[u64; 2]) -> u64 {
        let mut hash = secret[1];
        for pair in self.as_slice().chunks(2) {
            let mut both = pair.iter().map(|p| key.word(p.number) & p.mask);
            let (a, b) = (both.next().unwrap_or(0), both.next().unwrap_or(0));
            hash = fold(a ^ secret[0], b ^ hash);
        }
        hash | 2
    }
}

/// One widening multiplication folds two words, as in wyhash.
#[inline(always)]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a).wrapping_mul(u128::from(b));
    wide as u64 ^ (wide >> 64) as u64 // CAST: folds both halves
}

/// The value that most have, if more than half do; else any of them (Boyer and Moore's vote).
pub(super) fn majority(values: impl Iterator<Item = u64>) -> u64 {
    let (mut value, mut lead) = (0, 0usize);
    for x in values {
        if lead == 0 {
            value = x;
        }
        lead = if x == value {
            lead.wrapping_add(1)
        } else {
            lead.wrapping_sub(1)
        };
    }
    value
}
