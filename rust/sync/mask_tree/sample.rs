// SPDX-License-Identifier: GPL-2.0
//! What a set of entries has in common, by which [`Build`](super::build::Build) chooses a node.

use super::change::ones;
use super::meter::{Meter, ENTRY};
use super::parts::{majority, Part, Parts};
use super::{Leaf, Words};

/// Words of a key.
pub(super) const WORDS: usize = 64;

/// Entries that are looked at to choose a node.
pub(super) const SAMPLE: usize = 32;

/// What all entries of a set match.
pub(super) struct Common {
    /// Words of which it is anything.
    pub(super) bits: u64,
    /// Of words that are not in `bits`, anything.
    masks: [u64; WORDS],
}

impl Common {
    /// Of these entries, without the bits that are `decided`. Ends where nothing is left.
    pub(super) fn of<'a, T: Leaf + 'a>(
        leaves: impl Iterator<Item = &'a T>,
        decided: &[u64; WORDS],
        meter: &Meter,
    ) -> Self {
        let mut common = Self {
            bits: !0,
            masks: decided.map(|word| !word),
        };
        let mut paid = WORDS;
        for leaf in leaves {
            common.bits &= leaf.bits();
            // CAST: at most 64
            paid = paid.wrapping_add(ENTRY.wrapping_add(common.bits.count_ones() as usize));
            for number in ones(common.bits) {
                if let Some(word) = common.masks.get_mut(number) {
                    *word &= leaf.mask().word(number);
                    if *word == 0 {
                        common.bits &= !(1 << number);
                    }
                }
            }
            if common.bits == 0 {
                break;
            }
        }
        meter.pay(paid);
        common
    }

    /// What it is of a word.
    pub(super) fn mask(&self, number: usize) -> u64 {
        let word = self.masks.get(number).copied().unwrap_or(0);
        if self.bits >> (number & 63) & 1 != 0 {
            word
        } else {
            0
        }
    }

    /// The words of it, as many as a node can have, those first in which the entries differ; none if they do in none.
    pub(super) fn parts<'a, T: Leaf + 'a>(
        &self,
        mut leaves: impl Iterator<Item = &'a T>,
        meter: &Meter,
    ) -> Parts {
        let mut parts = Parts::new();
        let Some(one) = leaves.next() else {
            return parts;
        };
        let (mut same, mut paid) = (self.bits, 0usize);
        for leaf in leaves {
            // CAST: at most 64
            paid = paid.wrapping_add(ENTRY.wrapping_add(same.count_ones() as usize));
            for number in ones(same) {
                let differ = leaf.key().word(number) ^ one.key().word(number);
                if differ & self.mask(number) != 0 {
                    same &= !(1 << number);
                }
            }
            if same == 0 {
                break;
            }
        }
        meter.pay(paid);
        if same != self.bits {
            for number in ones(self.bits & !same).chain(ones(same)) {
                parts.push(Part {
                    number,
                    mask: self.mask(number),
                    value: 0,
                });
            }
        }
        parts
    }
}

/// How many of up to 127 words have each of the bits: bit p of a bit's number is in plane p.
#[derive(Default)]
pub(super) struct Tally([u64; 7]);

impl Tally {
    pub(super) fn add(&mut self, mut word: u64) {
        for plane in &mut self.0 {
            let carry = *plane & word;
            *plane ^= word;
            word = carry;
        }
    }

    /// The highest number of one of these bits, and those that have it.
    pub(super) fn most(&self, mut of: u64) -> (u32, u64) {
        let mut most = 0u32;
        for plane in self.0.iter().rev() {
            most <<= 1;
            if of & plane != 0 {
                of &= plane;
                most |= 1;
            }
        }
        (most, of)
    }
}

/// Some entries of a range, evenly.
pub(super) struct Sample<'t, T> {
    meter: &'t Meter,
    leaves: [Option<&'t T>; SAMPLE],
    pub(super) len: usize,
}

impl<'t, T: Leaf> Sample<'t, T> {
    /// Of these, no more than [`SAMPLE`].
    pub(super) fn of(some: impl Iterator<Item = &'t T>, meter: &'t Meter) -> Self {
        let mut leaves = [None; SAMPLE];
        let mut len = 0usize;
        for (place, leaf) in leaves.iter_mut().zip(some) {
            *place = Some(leaf);
            len = len.wrapping_add(1);
        }
        Self { meter, leaves, len }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &'t T> + Clone + '_ {
        self.leaves.iter().flatten().copied()
    }

    /// How many groups of one hash there are, and how many the largest has.
    pub(super) fn groups(&self, parts: &Parts, secret: &[u64; 2]) -> (usize, usize) {
        self.meter
            .pay(self.len.wrapping_mul(parts.as_slice().len()));
        let mut hashes = [0; SAMPLE];
        let mut len = 0usize;
        for (place, leaf) in hashes.iter_mut().zip(self.each()) {
            *place = parts.hash(leaf.key(), secret);
            len = len.wrapping_add(1);
        }
        let hashes = hashes.get_mut(..len).unwrap_or(&mut []);
        sort(hashes, &mut [(); SAMPLE]);
        let (mut groups, mut largest) = (0usize, 0);
        for group in hashes.chunk_by(|a, b| a == b) {
            groups = groups.wrapping_add(1);
            largest = largest.max(group.len());
        }
        (groups, largest)
    }

    /// A cube that most of the sample, but not much more than half of it, is in: the far end of the path that most go.
    pub(super) fn heavy(&self) -> Option<Parts> {
        let (mut group, mut len) = (self.leaves, self.len);
        let mut cube = Parts::new();
        loop {
            let before = len;
            let of = |group: &[Option<&'t T>; SAMPLE]| {
                group.iter().flatten().fold(!0, |b, l| b & l.bits())
            };
            for number in ones(of(&group)) {
                len = self.down(number, &mut group, len, &mut cube);
            }
            if len == before {
                return (!cube.as_slice().is_empty()).then_some(cube);
            }
        }
    }

    /// Goes down a word as long as more than half of the sample go the same way. Returns how many are left.
    fn down(
        &self,
        number: usize,
        group: &mut [Option<&'t T>; SAMPLE],
        mut len: usize,
        cube: &mut Parts,
    ) -> usize {
        loop {
            let leaves = group.iter().flatten();
            let mask = leaves
                .clone()
                .fold(!0, |mask, leaf| mask & leaf.mask().word(number));
            self.meter.pay(len);
            if mask == 0 {
                return len;
            }
            self.meter.pay(len.wrapping_mul(2));
            let value = majority(leaves.map(|leaf| leaf.key().word(number) & mask));
            let inside = |leaf: &&T| leaf.key().word(number) & mask == value;
            let left = group
                .iter()
                .flatten()
                .copied()
                .filter(|l| inside(l))
                .count();
            if left == len || left.wrapping_mul(2) <= self.len {
                return len;
            }
            let part = Part {
                number,
                mask,
                value,
            };
            if !cube.set(part) {
                return len;
            }
            for place in group.iter_mut() {
                *place = place.filter(|l| inside(l));
            }
            len = left;
        }
    }
}

/// Sorts by `keys`, and `with` likewise: a heap sort, which neither recurses nor allocates.
pub(super) fn sort<V>(keys: &mut [u64], with: &mut [V]) {
    let n = keys.len().min(with.len());
    let swap = |keys: &mut [u64], with: &mut [V], a: usize, b: usize| {
        keys.swap(a, b);
        with.swap(a, b);
    };
    for (start, end) in (0..n / 2)
        .rev()
        .map(|i| (i, n))
        .chain((1..n).rev().map(|i| (0, i)))
    {
        if start == 0 && end < n {
            swap(keys, with, 0, end);
        }
        let mut root = start;
        loop {
            let mut child = root.wrapping_mul(2).wrapping_add(1);
            if child >= end {
                break;
            }
            let at = |i: usize| keys.get(i).copied().unwrap_or(0);
            if child.wrapping_add(1) < end && at(child) < at(child.wrapping_add(1)) {
                child = child.wrapping_add(1);
            }
            if at(root) >= at(child) {
                break;
            }
            swap(keys, with, root, child);
            root = child;
        }
    }
}
