// SPDX-License-Identifier: GPL-2.0
//! The hash of a masked key.
//!
//! C counterpart: `flow_hash()` in `net/openvswitch/flow_table.c`. Values are never visible (spec T3).

use crate::datapath::env::Env;
use crate::datapath::flow::key::FlowKey;
use crate::datapath::flow::mask::Mask;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Secrets that keep senders of packets from choosing keys that collide.
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

/// Hash of `key` under `mask`, over the mask's words only.
///
/// One widening multiplication folds two words, as in wyhash.
#[inline]
pub fn masked_hash(key: &FlowKey, mask: &Mask) -> u32 {
    let [a, b] = &SECRET;
    let (secret, mut hash) = (a.load(Relaxed), b.load(Relaxed));
    let (Some(keys), Some(masks)) = (mask.view(key), mask.view(&mask.key)) else {
        return 0;
    };
    for (k, m) in keys.chunks_exact(2).zip(masks.chunks_exact(2)) {
        if let ([k0, k1], [m0, m1]) = (k, m) {
            let wide = u128::from((k0 & m0) ^ secret).wrapping_mul(u128::from((k1 & m1) ^ hash));
            hash = wide as u64 ^ (wide >> 64) as u64; // CAST: folds both halves
        }
    }
    hash as u32 // CAST: the low half is as good as any
}
