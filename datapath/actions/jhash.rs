// SPDX-License-Identifier: GPL-2.0
//! Bob Jenkins' lookup3 hash of one word, which gives the value of the HASH action (spec 4.1).
//!
//! C counterpart: `jhash_1word()` in `include/linux/jhash.h`; select groups must not move when the module is swapped.

const INIT: u32 = 0xdead_beef;

/// `jhash_1word(a, basis)`
#[inline]
pub fn one_word(a: u32, basis: u32) -> u32 {
    let iv = basis.wrapping_add(INIT).wrapping_add(1 << 2);
    mix_last(a.wrapping_add(iv), iv, iv)
}

fn mix_last(mut a: u32, mut b: u32, mut c: u32) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::macros::kunit_tests(ovs_jhash))]
mod tests {
    use super::one_word;

    /// Values from a C program with the kernel's header.
    #[test]
    fn same_as_c() {
        for (a, basis, want) in VECTORS {
            assert_eq!((a, basis, one_word(a, basis)), (a, basis, want));
        }
    }

    const VECTORS: [(u32, u32, u32); 5] = [
        (0x0, 0x0, 0x49396b8),
        (0x1, 0x0, 0x72a82a9b),
        (0x0, 0x1, 0xd9a91087),
        (0xdeadbeef, 0x12345678, 0x5bb53b58),
        (0xffffffff, 0xffffffff, 0xeae46760),
    ];
}
