// SPDX-License-Identifier: GPL-2.0
//! Tests of masks and hashes.

use super::*;
use crate::datapath::flow::hash::masked_hash;
use crate::datapath::flow::key::KEY_WORDS;
use crate::datapath::wire::be::Be16;
use proptest::prelude::*;
use std::collections::HashSet;

fn key_of(words: [u64; KEY_WORDS]) -> FlowKey {
    let mut key = FlowKey::ZERO;
    *key.as_words_mut() = words;
    key
}

/// Words of which many are zero, all ones, or differ in one bit.
fn words() -> impl Strategy<Value = [u64; KEY_WORDS]> {
    let word = prop_oneof![3 => Just(0), 1 => Just(!0), 1 => any::<u64>(), 1 => (0..64u32).prop_map(|b| 1 << b)];
    proptest::array::uniform16(word)
}

#[test]
fn common_megaflows_have_short_ranges() {
    let tci = FlowKey {
        vlan_tci: Be16::new(0xffff),
        cvlan_tci: Be16::new(0xffff),
        ..FlowKey::ZERO
    };
    let base = FlowKey {
        recirc_id: !0,
        in_port: !0,
        mac_proto: !0,
        ip_frag: !0,
        eth_type: Be16::new(0xffff),
        ..tci
    };
    let range = |key| {
        let m = Mask::new(key);
        (m.start, m.end)
    };
    assert_eq!(range(base), (4, 6));
    let five = FlowKey {
        ip_proto: !0,
        ipv4_src: [255; 4],
        ipv4_dst: [255; 4],
        tp_src: Be16::new(0xffff),
        tp_dst: Be16::new(0xffff),
        ..base
    };
    assert_eq!(range(five), (4, 8));
    assert_eq!(
        range(FlowKey {
            eth_src: [255; 6],
            eth_dst: [255; 6],
            ..base
        }),
        (2, 6)
    );
    let six = FlowKey {
        ipv6_src: [255; 16],
        ipv6_dst: [255; 16],
        tp_dst: Be16::new(0xffff),
        ..base
    };
    assert_eq!(range(six), (4, 12));
    assert_eq!(range(FlowKey::ZERO), (0, 0));
    assert_eq!(
        range(FlowKey {
            nd_target: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            ..FlowKey::ZERO
        }),
        (14, 16)
    );
    assert_eq!(
        range(FlowKey {
            mark: 1,
            ..FlowKey::ZERO
        }),
        (0, 2)
    );
}

#[test]
fn hashes_of_similar_keys_differ() {
    let full = Mask::new(key_of([!0; KEY_WORDS]));
    let mut seen = HashSet::new();
    let mut n = 0;
    for word in 0..KEY_WORDS {
        for bit in 0..64 {
            for other in 0..KEY_WORDS {
                let mut words = [0; KEY_WORDS];
                words[word] |= 1 << bit;
                words[other] |= 1 << 63;
                seen.insert(masked_hash(&key_of(words), &full));
                n += 1;
            }
        }
    }
    // Pairs were counted twice where both bits are the top ones; 2^27 pairs of keys may give a few real collisions.
    let distinct = n - KEY_WORDS * (KEY_WORDS - 1) / 2;
    assert!(seen.len() + 4 >= distinct, "{} of {distinct}", seen.len());
}

#[test]
fn low_bits_of_hashes_are_spread() {
    // What a port scan or a few hosts behind one port give: consecutive values in one field.
    let five = Mask::new(FlowKey {
        ipv4_src: [255; 4],
        tp_src: Be16::new(0xffff),
        recirc_id: !0,
        ..FlowKey::ZERO
    });
    let buckets = 1024usize;
    for field in 0..3 {
        let mut load = vec![0u32; buckets];
        for i in 0..8192u32 {
            let [_, _, a, b] = i.to_be_bytes();
            let key = match field {
                0 => FlowKey {
                    ipv4_src: [10, 0, a, b],
                    ..FlowKey::ZERO
                },
                1 => FlowKey {
                    tp_src: Be16::new(i as u16),
                    ..FlowKey::ZERO
                },
                _ => FlowKey {
                    recirc_id: i,
                    ..FlowKey::ZERO
                },
            };
            load[masked_hash(&key, &five) as usize % buckets] += 1;
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
        let mask = Mask::new(key_of(m));
        let (start, end) = (usize::from(mask.start), usize::from(mask.end));
        prop_assert!(start % 2 == 0 && end % 2 == 0 && start <= end && end <= KEY_WORDS);
        let zero = |r: &[u64]| r.iter().all(|w| *w == 0);
        prop_assert!(zero(&m[..start]) && zero(&m[end..]));
        prop_assert!(start == end || !zero(&m[start..start + 2]) && !zero(&m[end - 2..end]));

        let (a, b) = (key_of(k), key_of(other));
        let masked = mask.apply(&a);
        for i in 0..KEY_WORDS {
            prop_assert_eq!(masked.as_words()[i], k[i] & m[i]);
        }
        prop_assert!(eq_masked(&masked, &a, &mask));
        prop_assert!(eq_masked(&masked, &masked, &mask));
        prop_assert_eq!(eq_masked(&masked, &b, &mask), masked == mask.apply(&b));
        prop_assert_eq!(masked_hash(&a, &mask), masked_hash(&masked, &mask));
    }

    #[test]
    fn a_changed_bit_counts_exactly_if_the_mask_has_it(m in words(), k in words(), w in 0..KEY_WORDS, bit in 0..64u32) {
        let mask = Mask::new(key_of(m));
        let a = key_of(k);
        let mut changed = k;
        changed[w] ^= 1 << bit;
        let same = m[w] >> bit & 1 == 0;
        prop_assert_eq!(eq_masked(&mask.apply(&a), &key_of(changed), &mask), same);
        prop_assert_eq!(masked_hash(&a, &mask) == masked_hash(&key_of(changed), &mask), same);
    }
}
