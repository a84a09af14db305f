// SPDX-License-Identifier: GPL-2.0
//! Internet checksum arithmetic (RFC 1071, RFC 1624).
//!
//! All sums are over 16-bit words as they lie in memory, so that no byte order conversion is ever needed: a checksum
//! field is used with its bytes untouched ([`u16::from_ne_bytes`]). Sums of 32 bits are ones' complement accumulators,
//! equal if they fold to the same value.
//!
//! C counterpart: `include/net/checksum.h`.

/// Adds two accumulators.
#[inline(always)]
pub const fn add(a: u32, b: u32) -> u32 {
    let (s, carry) = a.overflowing_add(b);
    s.wrapping_add(carry as u32)
}

/// Subtracts an accumulator. Never 0 when `b` is a sum of bytes, so that folding it never gives 0.
#[inline(always)]
pub const fn sub(a: u32, b: u32) -> u32 {
    add(a, !b)
}

/// An accumulator as 16 bits. Not complemented; 0 only for an accumulator of 0.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let s = (sum >> 16).wrapping_add(sum & 0xffff);
    (s >> 16).wrapping_add(s) as u16 // CAST: folded twice, the carry has been added
}

/// The sum of bytes that start at an even offset. A last odd byte counts as the first of a word.
#[inline(always)]
pub fn sum(bytes: &[u8]) -> u32 {
    let mut s = 0u64;
    let mut rest = bytes;
    // Two words at a time: the carry from one into the other is one that folding adds anyway.
    while let Some((w, tail)) = rest.split_first_chunk::<4>() {
        s = s.wrapping_add(u64::from(u32::from_ne_bytes(*w)));
        rest = tail;
    }
    if let Some((w, tail)) = rest.split_first_chunk::<2>() {
        s = s.wrapping_add(u64::from(u16::from_ne_bytes(*w)));
        rest = tail;
    }
    if let [b] = *rest {
        s = s.wrapping_add(u64::from(u16::from_ne_bytes([b, 0])));
    }
    add(s as u32, (s >> 32) as u32) // CAST: both halves of the sum
}

/// What replacing `old` by `new` (same length, even offset) adds to a sum.
#[inline(always)]
pub fn delta(old: &[u8], new: &[u8]) -> u32 {
    sub(sum(new), sum(old))
}

/// A checksum field after the bytes that it covers changed by `delta`. Never 0xffff, as if computed anew.
#[inline]
pub const fn replace(check: u16, delta: u32) -> u16 {
    !fold(add(!check as u32, delta))
}

/// The same after one byte, the second of its word or the first, went from `old` to `new`.
#[inline]
pub const fn replace_byte(check: u16, second: bool, old: u8, new: u8) -> u16 {
    // The word's other byte, which stays, does not count.
    let (old, new) = if second {
        ([0, old], [0, new])
    } else {
        ([old, 0], [new, 0])
    };
    let (old, new) = (u16::from_ne_bytes(old), u16::from_ne_bytes(new));
    !fold(
        (!check as u32)
            .wrapping_add(!old as u32)
            .wrapping_add(new as u32),
    )
}

/// A field that holds the uncomplemented pseudo-header sum, after the pseudo-header changed by `delta`.
#[inline]
pub const fn replace_pseudo(check: u16, delta: u32) -> u16 {
    fold(add(check as u32, delta))
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::macros::kunit_tests(ovs_csum))]
mod tests {
    use super::*;

    /// RFC 1071, from scratch.
    fn checksum(b: &[u8]) -> u16 {
        let words = b.chunks(2).map(|w| match *w {
            [a, b] => u64::from(u16::from_be_bytes([a, b])),
            [a] => u64::from(u16::from_be_bytes([a, 0])),
            _ => 0,
        });
        let mut s: u64 = words.sum();
        while s > 0xffff {
            s = (s & 0xffff) + (s >> 16);
        }
        !(s as u16)
    }

    /// The sum over `b` as a header has it.
    fn summed(b: &[u8]) -> u16 {
        u16::from_be(!fold(sum(b)))
    }

    #[test]
    fn sums_as_rfc1071_does() {
        let b = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(summed(&b), 0x220d);
        assert_eq!(summed(b.split_at(7).0), checksum(b.split_at(7).0));
        assert_eq!(fold(sum(&[])), 0);
    }

    #[test]
    fn any_length_is_summed() {
        let bytes: [u8; 64] = core::array::from_fn(|n| (n * 151 + 7) as u8);
        for len in 0..bytes.len() {
            for bytes in [bytes, [0xff; 64]] {
                let (b, _) = bytes.split_at(len);
                assert_eq!((len, summed(b)), (len, checksum(b)));
            }
        }
    }

    #[test]
    fn incremental_update_equals_recomputation() {
        let mut seed = 0x1234_5678_9abc_def0u64;
        let mut rnd = move || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as u32
        };
        for round in 0..20_000 {
            let mut b = [0u8; 24];
            for x in &mut b {
                *x = match round % 3 {
                    0 => rnd() as u8,
                    1 => [0, 0xff][(rnd() & 1) as usize],
                    _ => 0,
                };
            }
            b[23] |= 1; // not all zero: then the field would have two spellings
            let old = [b[8], b[9], b[10], b[11]];
            let check = !fold(sum(&b));
            let new = match round % 5 {
                0 => old,
                1 => [0; 4],
                2 => [0xff; 4],
                _ => rnd().to_ne_bytes(),
            };
            [b[8], b[9], b[10], b[11]] = new;
            let expected = !fold(sum(&b));
            assert_eq!((b, replace(check, delta(&old, &new))), (b, expected));
        }
    }

    #[test]
    fn one_byte_counts_as_its_word_does() {
        for round in 0..0x4000u32 {
            let [a, b, old, new] = round.wrapping_mul(0x9e37_79b1).to_le_bytes();
            let old = [old, 0, 0xff][(round % 3) as usize];
            let new = [new, 0xff, 0, old][(round >> 2 & 3) as usize];
            for (second, from, to) in [(false, [old, b], [new, b]), (true, [b, old], [b, new])] {
                let check = u16::from_ne_bytes([a, b]);
                let whole = replace(check, delta(&from, &to));
                let byte = replace_byte(check, second, old, new);
                assert_eq!((check, from, to, byte), (check, from, to, whole));
            }
        }
    }

    #[test]
    fn pseudo_header_sum_follows() {
        let (old, new) = ([10, 0, 0, 1], [192, 168, 255, 254]);
        let rest = sum(&[0, 17, 0, 40, 10, 0, 0, 2]);
        let before = fold(add(sum(&old), rest));
        assert_eq!(
            replace_pseudo(before, delta(&old, &new)),
            fold(add(sum(&new), rest))
        );
    }

    #[test]
    fn accumulator_carries_wrap() {
        static ONES: [u8; 65535] = [0xff; 65535];
        assert_eq!(add(0xffff_ffff, 1), 1);
        assert_eq!(fold(0xffff_ffff), 0xffff);
        assert_eq!(fold(sub(5, 5)), 0xffff); // minus zero
        assert_eq!(
            sum(&ONES),
            sum(ONES.split_at(65534).0) + u32::from(u16::from_ne_bytes([0xff, 0]))
        );
    }
}
