// SPDX-License-Identifier: GPL-2.0
//! `rust/sync/percpu.rs` on the kernel's own per-CPU memory.
//!
//! C counterpart: none; `mm/percpu.c` is what it stands on.

use super::packet::{can_fail, fail_nth, leaks_are_watched};
use crate::rust::bindings;
use crate::rust::sync::{BhGuard, LocalU64, PerCpu};
use crate::sys;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::alloc::AllocError;
use kernel::prelude::*;

static DROPS: AtomicU32 = AtomicU32::new(0);

/// Counts its drops.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

fn possible() -> u32 {
    // CAST: a count of CPUs
    (0..sys::nr_cpu_ids())
        .filter(|cpu| sys::cpu_possible(*cpu))
        .count() as u32
}

#[kernel::macros::kunit_tests(ovs_percpu)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_knows_its_cpu() {
        for _ in 0..1000 {
            let bh = BhGuard::enter();
            // SAFETY: always allowed.
            let cpu = unsafe { bindings::rust_helper_this_cpu() };
            let told = bh.cpu();
            drop(bh);
            assert_eq!(told, cpu);
        }
    }

    #[test]
    fn each_cpu_has_its_own() -> Result {
        let counters = PerCpu::new(|cpu| LocalU64::new(u64::from(cpu)), GFP_KERNEL)?;
        for cpu in (0..sys::nr_cpu_ids()).filter(|cpu| sys::cpu_possible(*cpu)) {
            assert_eq!(
                counters.get_on(cpu).map(LocalU64::get),
                Some(u64::from(cpu))
            );
        }
        let bh = BhGuard::enter();
        counters.get(&bh).add(100);
        let cpu = bh.cpu();
        drop(bh);
        assert_eq!(
            counters.get_on(cpu).map(LocalU64::get),
            Some(100 + u64::from(cpu))
        );
        let sum: u64 = counters.iter().map(LocalU64::get).sum();
        let ids: u64 = (0..sys::nr_cpu_ids())
            .filter(|cpu| sys::cpu_possible(*cpu))
            .map(u64::from)
            .sum();
        assert_eq!(sum, 100 + ids);
        Ok(())
    }

    #[test]
    fn there_is_none_beyond_the_last_cpu() -> Result {
        let values = PerCpu::new(|cpu| cpu, GFP_KERNEL)?;
        assert!(values.get_on(sys::nr_cpu_ids()).is_none());
        assert!(values.get_on(u32::MAX).is_none());
        assert_eq!(values.iter().count(), possible() as usize);
        Ok(())
    }

    #[test]
    fn the_last_drop_drops_all() -> Result {
        let before = DROPS.load(Ordering::Relaxed);
        drop(PerCpu::new(|_| Counted, GFP_KERNEL)?);
        assert_eq!(DROPS.load(Ordering::Relaxed) - before, possible());
        Ok(())
    }

    #[test]
    fn what_fails_halfway_leaves_nothing() {
        let before = DROPS.load(Ordering::Relaxed);
        let last = sys::nr_cpu_ids().wrapping_sub(1);
        let made = PerCpu::try_new(
            |cpu| {
                if cpu == last {
                    Err(AllocError)
                } else {
                    Ok(Counted)
                }
            },
            GFP_KERNEL,
        );
        let failed = made.is_err();
        assert!(failed);
        assert_eq!(DROPS.load(Ordering::Relaxed) - before, possible() - 1);
    }

    #[test]
    fn values_are_aligned() -> Result {
        #[repr(align(64))]
        struct Aligned(u8);
        let values = PerCpu::new(|_| Aligned(1), GFP_KERNEL)?;
        let all = values
            .iter()
            .all(|v| v.0 == 1 && core::ptr::from_ref(v).addr() % 64 == 0);
        assert!(all);
        Ok(())
    }

    #[test]
    fn values_start_without_sleeping_too() -> Result {
        let bh = BhGuard::enter();
        let made = PerCpu::new(|_| LocalU64::new(1), GFP_ATOMIC);
        drop(bh);
        let counters = made?;
        assert!(counters.iter().all(|c| c.get() == 1));
        Ok(())
    }

    #[test]
    fn without_memory_for_the_values_themselves() {
        if !can_fail() {
            return;
        }
        let without = |n| {
            let before = DROPS.load(Ordering::Relaxed);
            fail_nth(n);
            let made = PerCpu::try_new(|_| KBox::new((Counted, 0u64), GFP_ATOMIC), GFP_KERNEL);
            fail_nth(0);
            let failed = made.is_err();
            drop(made);
            (failed, DROPS.load(Ordering::Relaxed) - before)
        };
        // The first may be kmemleak's.
        let most = if leaks_are_watched() { 4 } else { 1 };
        let failed = (1..=most).map(without).find(|(failed, _)| *failed);
        // Whatever was made is dropped again.
        assert!(failed.is_some_and(|(_, drops)| drops <= possible()));
    }
}
