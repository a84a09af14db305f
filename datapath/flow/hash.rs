// SPDX-License-Identifier: GPL-2.0
//! The hashes of masked keys and of names, keyed with secrets.
//!
//! C counterpart: `flow_hash()` and `ufid_hash()` in `net/openvswitch/flow_table.c`. Values are never visible (spec T3).

use crate::datapath::env::Env;
use crate::datapath::flow::mask::Mask;
use crate::datapath::flow::parts::KeyRef;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Secrets that keep senders of packets, and whoever names flows and ports, from choosing what collides.
static SECRET: [AtomicU64; 2] = [
    AtomicU64::new(0x9e37_79b9_7f4a_7c15),
    AtomicU64::new(0xd1b5_4a32_d192_ed03),
];

/// Draws new secrets. Call it before the first flow exists: hashes from before mean nothing afterwards.
pub fn init() {
    for s in &SECRET {
        let [hi, lo] = [crate::World::random_u32(), crate::World::random_u32()];
        s.store(u64::from(hi) << 32 | u64::from(lo), Relaxed);
    }
}

/// Hash of a name of up to 16 bytes, which users choose: a UFID, a device's name.
pub fn bytes_hash(bytes: &[u8; 16], len: u8) -> u32 {
    let (a, b) = secrets();
    let wide = u128::from_ne_bytes(*bytes);
    let hash = fold(wide as u64 ^ a, (wide >> 64) as u64 ^ b); // CAST: both halves
    (hash >> 32) as u32 ^ hash as u32 ^ u32::from(len) // CAST: as above
}

/// Hash of `key` under `mask`, over the mask's words only; of the mask itself, if that is the key.
///
/// One widening multiplication folds two words, as in wyhash.
pub fn masked_hash(key: KeyRef<'_>, mask: &Mask) -> u32 {
    let (secret, mut hash) = secrets();
    let (Some(keys), Some(masks)) = (mask.view(key.core), mask.view(&mask.key)) else {
        return 0;
    };
    for ([k0, k1], [m0, m1]) in keys.iter().zip(masks) {
        hash = fold((k0 & m0) ^ secret, (k1 & m1) ^ hash);
    }
    for (n, m) in mask.deep_words() {
        // The number of the word keeps equal words in different places apart.
        hash = fold((key.deep_word(n) & m) ^ secret, hash ^ n as u64); // CAST: usize fits
    }
    hash as u32 // CAST: the low half is as good as any
}

#[inline(always)]
fn secrets() -> (u64, u64) {
    let [a, b] = &SECRET;
    (a.load(Relaxed), b.load(Relaxed))
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a).wrapping_mul(u128::from(b));
    wide as u64 ^ (wide >> 64) as u64 // CAST: folds both halves
}
