// SPDX-License-Identifier: GPL-2.0
//! Tests of [`super::MaskCache`]: T7.

use super::*;
use crate::sys::testing::each_failure;
use kernel::alloc::flags::GFP_KERNEL;

#[test]
fn sizes_are_zero_or_powers_of_two_up_to_the_limit() {
    for size in [0, 1, 2, 256, 4096] {
        assert_eq!(MaskCache::new(size, GFP_KERNEL).unwrap().size(), size);
    }
    for size in [3, 255, 4097, 8192, u32::MAX] {
        assert_eq!(MaskCache::new(size, GFP_KERNEL).err(), Some(EINVAL));
    }
}

#[test]
fn remembers_and_forgets_by_cpu() {
    let cache = MaskCache::new(256, GFP_KERNEL).unwrap();
    let place = |hash| {
        cache
            .place(hash, 0, &BhGuard::enter())
            .map(|p| (p.known, p.guess()))
    };
    assert_eq!(place(77), Some((false, 0)));
    cache.place(77, 0, &BhGuard::enter()).unwrap().remember(9);
    assert_eq!(place(77), Some((true, 9)));
    crate::sys::testing::set_cpu(1);
    assert_eq!(place(77), Some((false, 0)));
    crate::sys::testing::set_cpu(0);
    cache.place(77, 0, &BhGuard::enter()).unwrap().forget();
    assert_eq!(place(77).map(|p| p.0), Some(false));
}

#[test]
fn no_hash_or_no_entries_means_no_place() {
    let bh = BhGuard::enter();
    assert!(MaskCache::new(256, GFP_KERNEL)
        .unwrap()
        .place(0, 5, &bh)
        .is_none());
    assert!(MaskCache::new(0, GFP_KERNEL)
        .unwrap()
        .place(5, 0, &bh)
        .is_none());
}

#[test]
fn recirculation_gets_a_place_of_its_own() {
    let cache = MaskCache::new(256, GFP_KERNEL).unwrap();
    let bh = BhGuard::enter();
    cache.place(77, 0, &bh).unwrap().remember(1);
    assert!(!cache.place(77, 4, &bh).unwrap().known);
    cache.place(77, 4, &bh).unwrap().remember(2);
    assert_eq!(cache.place(77, 0, &bh).unwrap().guess(), 1);
    assert_eq!(cache.place(77, 4, &bh).unwrap().guess(), 2);
}

#[test]
fn four_hashes_share_their_lowest_eight_bits() {
    let cache = MaskCache::new(256, GFP_KERNEL).unwrap();
    let bh = BhGuard::enter();
    let hashes = [0x0403_0201, 0x0706_0501, 0x0a09_0801, 0x0d0c_0b01];
    for (i, &hash) in (0..).zip(&hashes) {
        cache.place(hash, 0, &bh).unwrap().remember(i);
    }
    for (i, &hash) in (0..).zip(&hashes) {
        let place = cache.place(hash, 0, &bh).unwrap();
        assert_eq!((place.known, place.guess()), (true, i));
    }
}

#[test]
fn failing_allocations_leak_nothing() {
    assert!(each_failure(|| MaskCache::new(16, GFP_KERNEL)) >= 5);
}
