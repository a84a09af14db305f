// SPDX-License-Identifier: GPL-2.0
//! Meters by id (spec M1, M3, M4, M9, B26, Q3).

use super::*;
use crate::datapath::meters::meter::{Config, Stats, Unit};
use crate::rust::sync::{BhGuard, RcuGuard};
use crate::sys::{self, testing};
use kernel::alloc::flags::GFP_KERNEL;

const ONE: u64 = MEMORY_SHARE * MeterBox::BYTES as u64;

/// A meter that is told by what it has counted.
fn meter(id: u32, packets: u64) -> MeterBox {
    let config = Config {
        id,
        unit: Unit::Packets,
        keep_stats: true,
        band: None,
    };
    let stats = Stats { packets, bytes: 0 };
    MeterBox::new(Meter::new(config, stats, 0), GFP_KERNEL).unwrap()
}

fn counted(m: &Meter) -> u64 {
    m.state(&BhGuard::enter()).stats.packets
}

fn table(meters: u64) -> MeterTable {
    MeterTable::new(meters * ONE, GFP_KERNEL).unwrap()
}

#[test]
fn as_many_as_memory_allows() {
    assert_eq!(table(1).max(), 1);
    assert_eq!(table(1000).max(), 1000);
    assert_eq!(table(200_001).max(), 200_000);
    assert_eq!(
        MeterTable::new(u64::MAX, GFP_KERNEL).unwrap().max(),
        200_000
    );
    assert!(MeterTable::new(ONE - 1, GFP_KERNEL).is_err(), "M9");
    assert!(MeterTable::new(0, GFP_KERNEL).is_err());
}

#[test]
fn ids_do_not_collide() {
    let t = table(200_000);
    let ovs = OvsGuard::lock(&testing::process_context());
    let ids = [0, 1, 5, 1029, 1021, 1022, 54_545_401, 54_545_402, u32::MAX];
    for (n, id) in ids.into_iter().enumerate() {
        assert!(t.find(id, &ovs).is_none());
        assert!(t.put(meter(id, n as u64), &ovs).is_none());
    }
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(counted(t.find(id, &ovs).unwrap()), n as u64);
    }
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(counted(t.remove(id, &ovs).unwrap().get(&ovs)), n as u64);
        assert!(t.remove(id, &ovs).is_none());
    }
    drop(ovs);
    sys::rcu_barrier();
}

#[test]
fn one_takes_the_place_of_another() {
    let before = testing::live();
    let t = table(10);
    let ovs = OvsGuard::lock(&testing::process_context());
    t.put(meter(7, 1), &ovs);
    let old = t.put(meter(7, 2), &ovs).unwrap();
    assert_eq!(
        (counted(old.get(&ovs)), counted(t.find(7, &ovs).unwrap())),
        (1, 2)
    );
    assert_eq!(counted(t.remove(7, &ovs).unwrap().get(&ovs)), 2);
    assert!(t.find(7, &ovs).is_none(), "the old one is not back");
    drop((ovs, old, t));
    sys::rcu_barrier();
    assert_eq!(testing::live(), before);
}

/// B26: a table that is full still takes what replaces, and says no to the rest before anything has changed.
#[test]
fn a_full_table_takes_replacements() {
    let t = table(3);
    let ovs = OvsGuard::lock(&testing::process_context());
    for id in 0..3 {
        assert!(t.has_room_for(id, &ovs));
        t.put(meter(id, 0), &ovs);
    }
    assert!(!t.has_room_for(3, &ovs), "Q3: three, not two");
    assert!(t.has_room_for(2, &ovs));
    t.put(meter(2, 9), &ovs);
    assert!(!t.has_room_for(3, &ovs));
    t.remove(0, &ovs);
    assert!(t.has_room_for(3, &ovs));
    drop(ovs);
    sys::rcu_barrier();
}

/// A reader finds a meter at any moment while others take its place, and the table grows.
#[test]
fn readers_always_find_one() {
    let t = table(200_000);
    t.put(meter(7, 0), &OvsGuard::lock(&testing::process_context()));
    std::thread::scope(|s| {
        let reader = s.spawn(|| {
            testing::set_cpu(1);
            let mut last = 0;
            while last < 2000 {
                let rcu = RcuGuard::new();
                last = counted(t.find(7, &rcu).expect("a meter"));
                drop(rcu);
                std::thread::yield_now();
            }
        });
        for n in 1..=2000 {
            let (seven, other) = (meter(7, n.into()), meter(1000 + n, 0));
            let ovs = OvsGuard::lock(&testing::process_context());
            let old = (t.put(seven, &ovs), t.put(other, &ovs));
            drop(ovs);
            drop(old);
            testing::run_rcu();
        }
        reader.join().unwrap();
    });
    sys::rcu_barrier();
}
