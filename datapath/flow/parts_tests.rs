// SPDX-License-Identifier: GPL-2.0
//! Tests of keys put together from parts, and what makes other tests short.

use super::*;
use crate::datapath::wire::be::Be16;
use crate::sys::testing::each_failure;

/// Words of a whole key.
pub const WORDS: usize = crate::datapath::flow::key::CORE_WORDS + DEEP_WORDS;

impl<X: Parts> Key<X> {
    /// A key of these two parts.
    pub fn with(core: Core, ext: Ext) -> Self {
        let mut key = Self::from_core(core);
        *key.try_ext_mut().unwrap() = ext;
        key
    }

    /// A key of `WORDS` words, or fewer if the others are zero. Parts of zeros are not made.
    pub fn of_words(words: &[u64]) -> Self {
        let mut key = Self::new();
        let word = |n: usize| words.get(n).copied().unwrap_or(0);
        for (n, w) in key.core.as_words_mut().iter_mut().enumerate() {
            *w = word(n);
        }
        let ext: Vec<u64> = (16..16 + EXT_WORDS).map(word).collect();
        if ext.iter().any(|w| *w != 0) {
            let part = key.deep.ext_mut().unwrap();
            part.as_words_mut().copy_from_slice(&ext);
        }
        let long: Vec<u64> = (16 + EXT_WORDS..WORDS).map(word).collect();
        if long.iter().any(|w| *w != 0) {
            let part = key.deep.long_mut().unwrap();
            part.as_words_mut().copy_from_slice(&long);
        }
        key
    }

    pub fn words(&self) -> Vec<u64> {
        let deep = |n| self.as_ref().deep_word(n);
        self.core
            .as_words()
            .iter()
            .copied()
            .chain((0..DEEP_WORDS).map(deep))
            .collect()
    }
}

impl<X: Parts> Clone for Key<X> {
    fn clone(&self) -> Self {
        Self::of_words(&self.words())
    }
}

fn ext() -> Ext {
    Ext {
        ct_labels: [7; 16],
        ..Ext::ZERO
    }
}

#[test]
fn an_absent_part_equals_one_of_zeros() {
    let absent = FlowKey::new();
    let zeros = FlowKey::with(Core::ZERO, Ext::ZERO);
    assert_eq!(absent, zeros);
    let mut long_zeros = KeyBuf::new();
    long_zeros.deep.long_mut().unwrap();
    assert_eq!(absent, long_zeros);
    assert_eq!(long_zeros, zeros);
    assert_ne!(absent, FlowKey::with(Core::ZERO, ext()));
    assert_ne!(KeyBuf::with(Core::ZERO, ext()), long_zeros);
    let mut long = KeyBuf::new();
    long.deep.long_mut().unwrap().tun_opts[223] = 1;
    assert_ne!(long, long_zeros);
    assert_ne!(absent, long);
}

#[test]
fn every_word_has_its_place() {
    let words: Vec<u64> = (1..=WORDS as u64).collect();
    let (packet, kept) = (FlowKey::of_words(&words), KeyBuf::of_words(&words));
    assert_eq!(packet.words(), words);
    assert_eq!(packet, kept);
    assert_eq!(packet.as_ref().deep_bits(), (1 << DEEP_WORDS) - 1);
    for n in 16..WORDS {
        let mut one = vec![0; WORDS];
        one[n] = 1 << 63;
        let key = KeyBuf::of_words(&one);
        assert_eq!(key.as_ref().deep_bits(), 1 << (n - 16));
        assert_eq!(key.words(), one);
    }
    assert_eq!(packet.as_ref().deep_word(DEEP_WORDS), 0);
}

// Infoleak: a place used again shows nothing of what it held.
#[test]
fn a_copy_takes_all_and_leaves_nothing() {
    let words: Vec<u64> = (1..=WORDS as u64).collect();
    let full = FlowKey::of_words(&words);
    let short = FlowKey::with(Core::ZERO, ext());
    let plain = FlowKey::from_core(Core {
        mark: 5,
        ..Core::ZERO
    });
    let mut place = FlowKey::new();
    for key in [&plain, &full, &short, &full, &plain, &short, &plain] {
        place.copy_from(key);
        assert_eq!(place, *key);
        assert_eq!(place.is_plain(), key.is_plain());
        assert_eq!(place.deep.long().is_some(), key.deep.long().is_some());
    }
}

#[test]
fn kept_keys_are_copied_or_not_at_all() {
    let words: Vec<u64> = (1..=WORDS as u64).collect();
    let full = KeyBuf::of_words(&words);
    let mut copy = None;
    let allocations = each_failure(|| copy = full.try_clone(GFP_KERNEL).ok().map(|k| k.words()));
    assert_eq!((allocations, copy), (2, Some(words)));
    let options = || {
        let mut key = KeyBuf::new();
        key.set_tun_opts(&[1; 255]).map(|()| key)
    };
    assert_eq!(each_failure(options), 2);
    let made = options().unwrap();
    assert_eq!(made.as_ref().tun_opts(255), (&[1; 32][..], &[1; 223][..]));
    assert_eq!(made.as_ref().long.tun_opts[223], 0);
}

#[test]
fn options_that_shrink_leave_nothing() {
    let mut key = FlowKey::new();
    key.set_tun_opts(&[1; 255]).unwrap();
    key.set_tun_opts(&[2; 4]).unwrap();
    let key = key.as_ref();
    assert_eq!(key.tun_opts(4), (&[2; 4][..], &[][..]));
    assert_eq!(key.ext.tun_opts[4..], [0; 28]);
    assert_eq!(*key.long, Long::ZERO);
}

#[test]
fn words_that_are_shared_read_back() {
    let mut core = Core::ZERO;
    let mpls = crate::datapath::flow::key::Mpls {
        labels: [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]],
        present: 7,
    };
    core.set_mpls(&mpls);
    assert_eq!((core.mpls(), core.mpls().count()), (mpls, 3));
    let nsh = crate::datapath::flow::key::Nsh {
        base: [1, 2, 3, 4, 5, 6, 7, 8],
        context: core::array::from_fn(|i| 20 + i as u8),
    };
    core.set_nsh(&nsh);
    assert_eq!(core.nsh(), nsh);
    assert_eq!(core.ipv6_dst[8..], [0; 8]);
    let mut ext = Ext::ZERO;
    let (src, dst) = (core::array::from_fn(|i| 1 + i as u8), [9; 16]);
    ext.set_ct_orig_addrs(src, dst);
    assert_eq!(ext.ct_orig_addrs(), (src, dst));
    let arp = Ext {
        hw_src: [1; 6],
        hw_dst: [2; 6],
        ct_orig_tp_src: Be16::new(1),
        ..Ext::ZERO
    };
    assert_eq!(arp.ct_orig_addrs().0[6..8], [0; 2]);
}
