// SPDX-License-Identifier: GPL-2.0
//! Tests of masks and hashes.

use super::*;
use crate::datapath::flow::hash::masked_hash;
use crate::datapath::flow::key::{Ext, CORE_WORDS};
use crate::datapath::flow::parts::tests::WORDS;
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::be::Be16;
use kernel::alloc::flags::GFP_KERNEL;
use proptest::prelude::*;
use std::collections::HashSet;

fn key_of(words: &[u64]) -> KeyBuf {
    KeyBuf::of_words(words)
}

fn apply(mask: &Mask, key: &KeyBuf) -> KeyBuf {
    let mut out = KeyBuf::new();
    mask.apply(key, &mut out, GFP_KERNEL).unwrap();
    out
}

/// Words of a key or of a core, of which many are zero, all ones, or differ in one bit.
fn words() -> impl Strategy<Value = Vec<u64>> {
    let word = prop_oneof![3 => Just(0), 1 => Just(!0), 1 => any::<u64>(), 1 => (0..64u32).prop_map(|b| 1 << b)];
    prop_oneof![
        prop::collection::vec(word.clone(), WORDS),
        prop::collection::vec(word, CORE_WORDS).prop_map(|mut w| {
            w.resize(WORDS, 0);
            w
        }),
    ]
}

#[test]
fn common_megaflows_have_short_ranges() {
    let tci = Core {
        vlan_tci: Be16::new(0xffff),
        cvlan_tci: Be16::new(0xffff),
        ..Core::ZERO
    };
    let base = Core {
        recirc_id: !0,
        in_port: !0,
        mac_proto: !0,
        ip_frag: !0,
        eth_type: Be16::new(0xffff),
        ..tci
    };
    let range = |core: Core| {
        let m = Mask::new(core.into());
        assert_eq!(m.deep, 0);
        (m.start * 2, m.end * 2)
    };
    assert_eq!(range(base), (4, 6));
    let five = Core {
        ip_proto: !0,
        ipv4_src: [255; 4],
        ipv4_dst: [255; 4],
        tp_src: Be16::new(0xffff),
        tp_dst: Be16::new(0xffff),
        ..base
    };
    assert_eq!(range(five), (4, 8));
    assert_eq!(
        range(Core {
            eth_src: [255; 6],
            eth_dst: [255; 6],
            ..base
        }),
        (2, 6)
    );
    let six = Core {
        ipv6_src: [255; 16],
        ipv6_dst: [255; 16],
        tp_dst: Be16::new(0xffff),
        ..base
    };
    assert_eq!(range(six), (4, 16));
    assert_eq!(range(Core::ZERO), (0, 0));
    assert_eq!(
        range(Core {
            tun_id: [0, 0, 0, 0, 0, 0, 0, 1],
            ..Core::ZERO
        }),
        (8, 10)
    );
    assert_eq!(
        range(Core {
            mark: 1,
            ..Core::ZERO
        }),
        (0, 2)
    );
    let nd = Ext {
        nd_target: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ..Ext::ZERO
    };
    let m = Mask::new(KeyBuf::with(Core::ZERO, nd));
    assert_eq!((m.start, m.end, m.deep), (0, 0, 1 << (22 - 16)));
}

#[test]
fn a_part_of_zeros_makes_no_other_mask() {
    let core = Core {
        mark: 1,
        ..Core::ZERO
    };
    let mut zeros = KeyBuf::with(core, Ext::ZERO);
    zeros.set_tun_opts(&[0; 200]).unwrap();
    let (with, without) = (Mask::new(zeros), Mask::new(core.into()));
    assert_eq!(with, without);
    assert!(with.key.is_plain());
}

#[test]
fn a_deep_mask_takes_an_absent_part_for_zeros() {
    let labels = Ext {
        ct_labels: [0xff; 16],
        ..Ext::ZERO
    };
    let mask = Mask::new(KeyBuf::with(Core::ZERO, labels));
    let (absent, zeros) = (FlowKey::new(), FlowKey::with(Core::ZERO, Ext::ZERO));
    let flow = apply(&mask, &KeyBuf::new());
    for key in [&absent, &zeros] {
        assert!(eq_masked(flow.as_ref(), key.as_ref(), &mask));
        let hash = masked_hash(key.as_ref(), &mask);
        assert_eq!(hash, masked_hash(flow.as_ref(), &mask));
    }
    assert!(!eq_masked(
        flow.as_ref(),
        FlowKey::with(Core::ZERO, labels).as_ref(),
        &mask
    ));
}

// T3
#[test]
fn hashes_of_similar_keys_differ() {
    let full = Mask::new(key_of(&[!0; WORDS]));
    let mut seen = HashSet::new();
    let mut n = 0;
    for word in 0..WORDS {
        for bit in 0..64 {
            for other in 0..WORDS {
                let mut words = vec![0; WORDS];
                words[word] |= 1 << bit;
                words[other] |= 1 << 63;
                seen.insert(masked_hash(key_of(&words).as_ref(), &full));
                n += 1;
            }
        }
    }
    // Pairs were counted twice where both bits are the top ones; of 2^34 pairs of keys some four or six collide.
    let distinct = n - WORDS * (WORDS - 1) / 2;
    assert!(seen.len() + 16 >= distinct, "{} of {distinct}", seen.len());
}

// T3
#[test]
fn low_bits_of_hashes_are_spread() {
    // What a port scan or a few hosts behind one port give: consecutive values in one field.
    let five = Mask::new(KeyBuf::from_core(Core {
        ipv4_src: [255; 4],
        tp_src: Be16::new(0xffff),
        recirc_id: !0,
        ..Core::ZERO
    }));
    let buckets = 1024usize;
    for field in 0..3 {
        let mut load = vec![0u32; buckets];
        for i in 0..8192u32 {
            let [_, _, a, b] = i.to_be_bytes();
            let key = match field {
                0 => Core {
                    ipv4_src: [10, 0, a, b],
                    ..Core::ZERO
                },
                1 => Core {
                    tp_src: Be16::new(i as u16),
                    ..Core::ZERO
                },
                _ => Core {
                    recirc_id: i,
                    ..Core::ZERO
                },
            };
            load[masked_hash(KeyBuf::from_core(key).as_ref(), &five) as usize % buckets] += 1;
        }
        // 8 on average; a Poisson tail beyond 30 has probability 1e-9.
        assert!(
            load.iter().all(|n| *n < 30),
            "field {field}: {:?}",
            load.iter().max()
        );
    }
}

proptest! {
    #[test]
    fn masks_follow_their_definition(m in words(), k in words(), other in words()) {
        let mask = Mask::new(key_of(&m));
        let (start, end) = (usize::from(mask.start) * 2, usize::from(mask.end) * 2);
        prop_assert!(start <= end && end <= CORE_WORDS);
        let zero = |r: &[u64]| r.iter().all(|w| *w == 0);
        prop_assert!(zero(&m[..start]) && zero(&m[end..CORE_WORDS]));
        for (n, w) in m[CORE_WORDS..].iter().enumerate() {
            prop_assert_eq!(mask.deep >> n & 1 == 1, *w != 0);
        }
        prop_assert!(start == end || !zero(&m[start..start + 2]) && !zero(&m[end - 2..end]));

        let (a, b) = (key_of(&k), key_of(&other));
        let masked = apply(&mask, &a);
        for i in 0..WORDS {
            prop_assert_eq!(masked.words()[i], k[i] & m[i]);
        }
        prop_assert!(eq_masked(masked.as_ref(), a.as_ref(), &mask));
        prop_assert!(eq_masked(masked.as_ref(), masked.as_ref(), &mask));
        prop_assert_eq!(eq_masked(masked.as_ref(), b.as_ref(), &mask), masked == apply(&mask, &b));
        prop_assert_eq!(masked_hash(a.as_ref(), &mask), masked_hash(masked.as_ref(), &mask));
    }

    #[test]
    fn a_changed_bit_counts_exactly_if_the_mask_has_it(m in words(), k in words(), w in 0..WORDS, bit in 0..64u32) {
        let mask = Mask::new(key_of(&m));
        let a = key_of(&k);
        let mut changed = k.clone();
        changed[w] ^= 1 << bit;
        let same = m[w] >> bit & 1 == 0;
        prop_assert_eq!(eq_masked(apply(&mask, &a).as_ref(), key_of(&changed).as_ref(), &mask), same);
        prop_assert_eq!(masked_hash(a.as_ref(), &mask) == masked_hash(key_of(&changed).as_ref(), &mask), same);
    }
}
