// SPDX-License-Identifier: GPL-2.0
//! Tests of [`super::FlowStats`]: T11, T12, B41.

use super::*;
use crate::sys::testing::{fail_nth, process_context, set_cpu, set_now};
use kernel::alloc::flags::GFP_KERNEL;

fn count(stats: &FlowStats, cpu: u32, bytes: u64, tcp_flags: u16) {
    set_cpu(cpu);
    stats.update(Sample { bytes, tcp_flags }, &BhGuard::enter());
}

fn clear(stats: &FlowStats) {
    stats.clear(&OvsGuard::lock(&process_context()));
}

fn totals(stats: &FlowStats) -> (u64, u64, Option<u64>, u16) {
    let t = stats.read();
    (t.packets, t.bytes, t.used_ms(), t.tcp_flags)
}

#[test]
fn sums_over_cpus_and_keeps_the_newest_time() {
    let stats = FlowStats::new(GFP_KERNEL).unwrap();
    assert_eq!(totals(&stats), (0, 0, None, 0));
    set_now(5000);
    count(&stats, 2, 100, 0x2);
    set_now(9000);
    count(&stats, 0, 60, 0x10);
    set_now(7000);
    count(&stats, 2, 1, 0);
    set_now(10_000);
    assert_eq!(totals(&stats), (3, 161, Some(9000), 0x12));
}

#[test]
fn the_first_cpu_needs_no_memory_and_others_one_slot_each() {
    let stats = FlowStats::new(GFP_KERNEL).unwrap();
    let before = crate::sys::testing::live();
    count(&stats, 3, 1, 0);
    count(&stats, 3, 1, 0);
    assert_eq!(crate::sys::testing::live(), before);
    count(&stats, 1, 1, 0);
    count(&stats, 1, 1, 0);
    assert_eq!(crate::sys::testing::live(), before + 3);
    count(&stats, 0, 1, 0);
    assert_eq!(crate::sys::testing::live(), before + 4);
    assert_eq!(totals(&stats).0, 5);
}

#[test]
fn clear_zeroes_every_slot() {
    let stats = FlowStats::new(GFP_KERNEL).unwrap();
    for cpu in 0..4 {
        count(&stats, cpu, 10, 1 << cpu);
    }
    clear(&stats);
    assert_eq!(totals(&stats), (0, 0, None, 0));
    set_now(200_000);
    count(&stats, 2, 7, 8);
    assert_eq!(totals(&stats), (1, 7, Some(200_000), 8));
    clear(&stats);
    clear(&stats);
    count(&stats, 0, 5, 0);
    assert_eq!(totals(&stats).0, 1);
}

#[test]
fn nothing_is_lost_without_memory() {
    for nth in 1..=3 {
        let stats = FlowStats::new(GFP_KERNEL).unwrap();
        count(&stats, 0, 1, 0);
        for round in 0..3 {
            fail_nth(nth);
            count(&stats, 1, 1, 4);
            fail_nth(0);
            count(&stats, 0, 1, 0);
            assert_eq!(totals(&stats).0, 1 + (round + 1) * 2);
        }
    }
}

#[test]
fn cpus_count_at_once() {
    let stats = FlowStats::new(GFP_KERNEL).unwrap();
    std::thread::scope(|s| {
        for cpu in 0..4 {
            let stats = &stats;
            s.spawn(move || {
                for _ in 0..20_000 {
                    count(stats, cpu, 2, 1 << cpu);
                }
            });
        }
        for _ in 0..100 {
            let t = stats.read();
            assert!(t.packets <= 80_000);
        }
    });
    let t = stats.read();
    assert_eq!((t.packets, t.bytes, t.tcp_flags), (80_000, 160_000, 0xf));
}
