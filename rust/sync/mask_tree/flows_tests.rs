// SPDX-License-Identifier: GPL-2.0
//! Flows by which the tree is tested and measured: keys and masks of 16 words, in the datapath's layout.

use std::collections::HashSet;

pub type Key = [u64; 16];
/// Masked keys and their masks.
pub type Flows = Vec<(Key, Key)>;

// Offsets in bytes.
const PRIORITY: usize = 0;
const ETH_SRC: usize = 16;
const ETH_DST: usize = 24;
const RECIRC: usize = 32;
const IN_PORT: usize = 36;
const ETH_TYPE: usize = 40;
const VLAN: usize = 42;
const PROTO: usize = 46;
const TP_SRC: usize = 48;
const TP_DST: usize = 50;
const IP_SRC: usize = 56;
const IP_DST: usize = 60;
const IPV6_SRC: usize = 96;
const IPV6_DST: usize = 112;

// Kinds of packets; what numbers they have does not matter.
const IP: u16 = 4;
const IP6: u16 = 6;
const OTHER: u16 = 7;

/// xorshift64*
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (((self.next() >> 32) * n as u64) >> 32) as usize
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for i in (1..all.len()).rev() {
            all.swap(i, self.below(i + 1));
        }
    }

    /// What a flow matches, all else random.
    pub fn packet(&mut self, (key, mask): &(Key, Key)) -> Key {
        std::array::from_fn(|i| self.next() & !mask[i] | key[i])
    }
}

fn mix(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b ^ 0x9e37_79b9_7f4a_7c15);
    wide as u64 ^ (wide >> 64) as u64
}

/// Sets bytes of a key.
fn put(key: &mut Key, at: usize, bytes: &[u8]) {
    for (i, b) in bytes.iter().enumerate() {
        let (word, shift) = ((at + i) / 8, (at + i) % 8 * 8);
        key[word] = key[word] & !(0xff << shift) | u64::from(*b) << shift;
    }
}

/// Sets a field of both.
fn field(flow: &mut (Key, Key), at: usize, bytes: usize, value: u64, mask: u64) {
    put(&mut flow.0, at, &(value & mask).to_be_bytes()[8 - bytes..]);
    put(&mut flow.1, at, &mask.to_be_bytes()[8 - bytes..]);
}

/// The mask of a prefix.
fn prefix(len: u32, width: u32) -> u64 {
    let all = u64::MAX >> (64 - width);
    all & !(1u64.checked_shl(width - len).unwrap_or(0).wrapping_sub(1))
}

/// What every megaflow matches exactly.
fn base(port: u16, recirc: u32, eth_type: u16) -> (Key, Key) {
    let mut flow = ([0; 16], [0; 16]);
    field(&mut flow, RECIRC, 4, recirc.into(), 0xffff_ffff);
    field(&mut flow, IN_PORT, 2, port.into(), 0xffff);
    field(&mut flow, ETH_TYPE, 2, eth_type.into(), 0xffff);
    flow
}

/// NORMAL: ports, VLAN and both MACs, with `kinds` masks.
pub fn l2(n: usize, kinds: usize) -> Flows {
    let mut rng = Rng(1);
    unique(n, || {
        let kind = rng.below(kinds);
        let eth_type = if kind == 0 { IP } else { OTHER + kind as u16 };
        let mut flow = base(rng.below(32) as u16, 0, eth_type);
        field(&mut flow, VLAN, 2, 0, 0xffff);
        field(
            &mut flow,
            ETH_SRC,
            6,
            0x0200_0000_0000 + rng.below(2000) as u64,
            !0 >> 16,
        );
        field(
            &mut flow,
            ETH_DST,
            6,
            0x0200_0000_0000 + rng.below(2000) as u64,
            !0 >> 16,
        );
        for f in (0..4).filter(|f| kind >> f & 1 != 0) {
            field(&mut flow, PROTO + 2 * f, 2, 0, 0xffff);
        }
        flow
    })
}

/// One mask, a five-tuple.
pub fn exact(n: usize) -> Flows {
    let mut rng = Rng(5);
    unique(n, || {
        let mut flow = base(rng.below(4) as u16, 0, IP);
        field(&mut flow, IP_SRC, 4, rng.next() >> 40, !0 >> 32);
        field(&mut flow, IP_DST, 4, rng.next() >> 48, !0 >> 32);
        field(&mut flow, TP_SRC, 2, rng.next() >> 48, 0xffff);
        field(&mut flow, TP_DST, 2, 443, 0xffff);
        field(&mut flow, PROTO, 1, 6, 0xff);
        flow
    })
}

/// Leaves of random decision trees, one for each recirculation id: what any pipeline of tables gives.
pub fn pipeline(n: usize, recircs: usize, seed: u64) -> Flows {
    let fields = [
        (ETH_SRC, 6),
        (ETH_DST, 6),
        (IP_SRC, 4),
        (IP_DST, 4),
        (PROTO, 1),
        (TP_SRC, 2),
        (TP_DST, 2),
        (PRIORITY + 4, 4),
        (VLAN, 2),
    ];
    let mut rng = Rng(2);
    unique(n, || {
        let recirc = rng.below(recircs) as u32;
        let mut flow = base(rng.below(40) as u16, recirc, IP);
        let mut state = mix((u64::from(recirc) % 24) ^ seed, seed + 1);
        let mut used = 0u32;
        for _ in 0..1 + (state >> 20) % 4 {
            let i = (state % fields.len() as u64) as usize;
            let (at, len) = fields[i];
            if used >> i & 1 != 0 {
                state = mix(state, 3);
                continue;
            }
            used |= 1 << i;
            let width = 8 * len as u32;
            // A prefix of the field or all of it.
            let bits = if len == 4 && state >> 40 & 3 == 0 {
                [16, 20, 24, 28][(state >> 50) as usize % 4]
            } else {
                width
            };
            let mask = prefix(bits, width);
            let value = mix(rng.below(12) as u64 + 1, 7) & mask;
            field(&mut flow, at, len, value, mask);
            state = mix(state ^ value, seed + 2);
        }
        flow
    })
}

/// An attack: every combination of lengths of prefixes of the IPv4 source, the destination port and the source port, with
/// the last bit not that of what is allowed. Shortest first.
pub fn attack(lens: [u32; 3]) -> Flows {
    let allowed = [0x0a01_0203u64, 80, 4242];
    let at = [(IP_SRC, 4), (TP_DST, 2), (TP_SRC, 2)];
    let mut flows = vec![];
    for a in 1..=lens[0] {
        for b in 1..=lens[1] {
            for c in 1..=lens[2] {
                let mut flow = base(1, 0, IP);
                for (i, len) in [a, b, c].into_iter().enumerate() {
                    let width = 8 * at[i].1 as u32;
                    // A field of only one length is not part of the product.
                    let (len, flip) = match lens[i] {
                        1 => (width, 0),
                        _ => (len, 1 << (width - len)),
                    };
                    field(
                        &mut flow,
                        at[i].0,
                        at[i].1,
                        allowed[i] ^ flip,
                        prefix(len, width),
                    );
                }
                flows.push(flow);
            }
        }
    }
    flows
}

/// The same over IPv6 addresses: 128 lengths of the source times `dst` of the destination.
pub fn attack6(dst: u32) -> Flows {
    let allowed = [0x2001_0db8_0000_0001u64, 0x1234_5678_9abc_def0];
    let mut flows = vec![];
    for a in 1..=128u32 {
        for b in 1..=dst {
            let mut flow = base(1, 0, IP6);
            for (at, len) in [(IPV6_SRC, a), (IPV6_DST, b)] {
                for half in 0..2 {
                    let bits = len.saturating_sub(64 * half).min(64);
                    let last = len.div_ceil(64) - 1 == half;
                    let flip = if last { 1u64 << (64 - bits) } else { 0 };
                    let value = allowed[half as usize] ^ flip;
                    field(
                        &mut flow,
                        at + 8 * half as usize,
                        8,
                        value,
                        prefix(bits, 64),
                    );
                }
            }
            flows.push(flow);
        }
    }
    flows
}

/// As many masks as flows, none of them prefixes.
pub fn holdout(n: usize) -> Flows {
    let all = (n as u64).next_power_of_two() - 1;
    let flow = |i: usize| {
        let mut flow = base(1, 0, IP);
        field(&mut flow, IP_SRC, 4, i as u64, all);
        let mask = u64::from_be_bytes([0, 0, 0, 0, 255, (i / 256) as u8, (i % 256) as u8, 255]);
        field(
            &mut flow,
            IP_DST,
            4,
            0x0a00_0002 | (i as u64 & 0xff) << 8,
            mask,
        );
        flow
    };
    (0..n).map(flow).collect()
}

/// Each block of three bits is one of 01*, *01, 1*0, 000, 111: disjoint, and no bit is matched by all.
pub fn cyclic(blocks: u32) -> Flows {
    let kinds = [
        (0b010u64, 0b110u64),
        (0b001, 0b011),
        (0b100, 0b101),
        (0, 7),
        (7, 7),
    ];
    let flow = |mut i: usize| {
        let (mut value, mut mask) = (0, 0);
        for block in 0..blocks {
            value |= kinds[i % 5].0 << (3 * block);
            mask |= kinds[i % 5].1 << (3 * block);
            i /= 5;
        }
        let mut flow = base(1, 0, IP);
        field(&mut flow, IP_SRC, 4, value, mask);
        flow
    };
    (0..5usize.pow(blocks)).map(flow).collect()
}

/// Random disjoint cubes in 24 bits.
pub fn cubes(n: usize) -> Flows {
    let mut rng = Rng(7);
    let mut all: Vec<(u64, u64)> = vec![];
    let mut tries = 0;
    while all.len() < n && tries < 2_000_000 {
        tries += 1;
        let (value, mut mask) = (rng.next() & 0xff_ffff, 0u64);
        while mask.count_ones() < 14 + tries / 400_000 {
            mask |= 1 << rng.below(24);
        }
        if all.iter().all(|(v, m)| (value ^ v) & mask & m != 0) {
            all.push((value, mask));
        }
    }
    let flow = |(value, mask)| {
        let mut flow = base(1, 0, IP);
        field(&mut flow, IP_SRC, 4, value, mask);
        flow
    };
    all.into_iter().map(flow).collect()
}

/// Flows of two pipelines at once, as when the tables have changed; some overlap.
pub fn mixture(n: usize) -> Flows {
    let mut flows = pipeline(n / 2, 300, 77);
    flows.extend(pipeline(n / 2, 300, 78));
    distinct(flows)
}

/// Flows that all match one packet.
pub fn overlapping(n: usize) -> Flows {
    let flow = |i: usize| {
        let mut flow = base(1, 0, IP);
        field(&mut flow, IP_SRC, 4, 0, i as u64);
        flow
    };
    (1..=n).map(flow).collect()
}

/// Up to `n` different flows.
fn unique(n: usize, mut make: impl FnMut() -> (Key, Key)) -> Flows {
    let mut seen = HashSet::new();
    let mut flows = vec![];
    for _ in 0..n * 50 {
        let flow = make();
        if flows.len() < n && seen.insert(flow) {
            flows.push(flow);
        }
    }
    flows
}

fn distinct(flows: Flows) -> Flows {
    let mut seen = HashSet::new();
    flows.into_iter().filter(|f| seen.insert(*f)).collect()
}
