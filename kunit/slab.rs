// SPDX-License-Identifier: GPL-2.0
//! `rust/sync/slab.rs` on the kernel's own slab caches: a cache with objects left would complain when it is destroyed.
//!
//! C counterpart: none; `mm/slab_common.c` is what it stands on.

use super::packet::{can_fail, fail_nth};
use crate::rust::sync::{ProcessContext, SlabCache};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;

static DROPS: AtomicU32 = AtomicU32::new(0);

/// An object of an odd size that counts its drops.
#[repr(align(32))]
struct Object([u8; 72]);

impl Drop for Object {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

static CACHE: SlabCache<Object> = SlabCache::new(c"ovs_kunit");

/// Objects of the cache, each filled with its number.
fn objects(n: u8) -> Result<KVec<KBox<Object>>> {
    let mut all = KVec::with_capacity(usize::from(n), GFP_KERNEL)?;
    for i in 0..n {
        all.push(CACHE.alloc(Object([i; 72]), GFP_KERNEL)?, GFP_KERNEL)?;
    }
    Ok(all)
}

#[kernel::macros::kunit_tests(ovs_slab)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_apart_and_aligned() -> Result {
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        let cache = CACHE.create(&ctx)?;
        let all = objects(200)?;
        let aligned = all
            .iter()
            .all(|o| core::ptr::from_ref(&**o).addr() % 32 == 0);
        let kept = all
            .iter()
            .enumerate()
            .all(|(i, o)| o.0.iter().all(|b| usize::from(*b) == i));
        drop(all);
        drop(cache);
        assert!(aligned && kept);
        Ok(())
    }

    #[test]
    fn all_objects_are_gone_before_the_cache_is() -> Result {
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        let before = DROPS.load(Ordering::Relaxed);
        let cache = CACHE.create(&ctx)?;
        let mut all = objects(50)?;
        all.truncate(20);
        let dropped = DROPS.load(Ordering::Relaxed) - before;
        drop(all);
        drop(cache);
        assert_eq!((dropped, DROPS.load(Ordering::Relaxed) - before), (30, 50));
        Ok(())
    }

    #[test]
    fn a_cache_can_be_made_again() -> Result {
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        for _ in 0..3 {
            let cache = CACHE.create(&ctx)?;
            drop(objects(3)?);
            drop(cache);
        }
        Ok(())
    }

    #[test]
    fn without_a_cache_an_object_is_an_ordinary_box() -> Result {
        let before = DROPS.load(Ordering::Relaxed);
        drop(objects(3)?);
        assert_eq!(DROPS.load(Ordering::Relaxed) - before, 3);
        Ok(())
    }

    #[test]
    fn without_memory_there_is_no_object() -> Result {
        if !can_fail() {
            return Ok(());
        }
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        let before = DROPS.load(Ordering::Relaxed);
        let cache = CACHE.create(&ctx)?;
        fail_nth(1);
        let made = CACHE.alloc(Object([0; 72]), GFP_ATOMIC);
        fail_nth(0);
        let failed = made.is_err();
        drop(made);
        drop(cache);
        assert!(failed);
        // The value that found no place has been dropped all the same.
        assert_eq!(DROPS.load(Ordering::Relaxed) - before, 1);
        Ok(())
    }
}
