// SPDX-License-Identifier: GPL-2.0
//! The arithmetic of a bucket (spec M6, M7, B19, B62), and a meter under many CPUs.

use super::*;
use proptest::prelude::*;
use std::thread;

const HOUR: u64 = 3_600_000;

fn config(unit: Unit, rate: u32, burst: u32) -> Config {
    Config {
        id: 1,
        unit,
        keep_stats: true,
        band: Some(Band {
            drops: true,
            rate,
            burst,
        }),
    }
}

fn full(config: &Config) -> State {
    State::new(config, Stats::default(), 0)
}

/// How many of `n` packets of `len` bytes pass at `now_ms`.
fn passing(state: &mut State, config: &Config, n: usize, len: u64, now_ms: u64) -> usize {
    (0..n)
        .filter(|_| !state.charge(config, len, now_ms))
        .count()
}

#[test]
fn a_burst_passes_and_then_the_rate() {
    for (unit, len) in [(Unit::Packets, 9000), (Unit::Kilobits, 125)] {
        let c = config(unit, 100, 20); // a packet of 125 bytes is a kbit
        let mut s = full(&c);
        assert_eq!(passing(&mut s, &c, 50, len, 0), 20);
        assert_eq!(passing(&mut s, &c, 50, len, 9), 0);
        assert_eq!(passing(&mut s, &c, 50, len, 10), 1, "one each 10 ms");
        assert_eq!(passing(&mut s, &c, 50, len, 110), 10);
        assert_eq!(passing(&mut s, &c, 50, len, 309), 19);
        assert_eq!(passing(&mut s, &c, 50, len, 310), 1);
        assert_eq!(passing(&mut s, &c, 50, len, HOUR), 20, "never more");
    }
}

#[test]
fn a_packet_passes_with_the_last_bit_and_not_without() {
    let c = config(Unit::Kilobits, 1, 12); // 1500 bytes
    let mut s = full(&c);
    assert!(!s.charge(&c, 1500, 0));
    assert!(s.charge(&c, 1, 7));
    assert!(!s.charge(&c, 1, 8));
    let mut s = full(&c);
    assert!(s.charge(&c, 1501, 0), "larger than the bucket");
    assert!(s.charge(&c, 1501, HOUR), "however long one waits");
    assert!(!s.charge(&c, 1500, HOUR), "which took nothing");
}

#[test]
fn what_exceeds_is_counted_and_takes_nothing() {
    let c = config(Unit::Packets, 1, 2);
    let mut s = State::new(
        &c,
        Stats {
            packets: 10,
            bytes: u64::MAX,
        },
        5,
    );
    assert_eq!(passing(&mut s, &c, 5, 100, 7), 2);
    let stats = |packets, bytes| Stats { packets, bytes };
    assert_eq!((s.stats, s.exceeded), (stats(15, 499), stats(3, 300)));
    assert_eq!(s.used_ms, 7);
}

#[test]
fn only_drop_bands_drop() {
    let mut c = config(Unit::Packets, 1, 0);
    let mut s = full(&c);
    assert!(s.charge(&c, 9, HOUR), "burst size 0 lets nothing pass");
    c.band.as_mut().unwrap().drops = false;
    assert!(!s.charge(&c, 9, HOUR));
    assert_eq!(s.exceeded.packets, 2, "but counted");
    c.band = None;
    assert!(!s.charge(&c, 9, HOUR));
    assert_eq!((s.stats.packets, s.exceeded.packets), (3, 2));
}

/// B62: time that goes back neither wraps nor fills the bucket twice.
#[test]
fn time_out_of_order_brings_nothing() {
    let c = config(Unit::Packets, 1000, 5);
    let mut s = full(&c);
    assert_eq!(passing(&mut s, &c, 9, 1, 100), 5);
    assert_eq!(passing(&mut s, &c, 9, 1, 40), 0);
    assert_eq!(passing(&mut s, &c, 9, 1, 100), 0);
    assert_eq!(s.used_ms, 100);
    assert_eq!(passing(&mut s, &c, 9, 1, 101), 1);
}

/// Q2: where C's 32 bits overflow or round.
#[test]
fn extremes() {
    let most = u32::MAX;
    for unit in [Unit::Packets, Unit::Kilobits] {
        for (rate, burst) in [(most, most), (1, most), (most, 1), (most, 0), (1, 1)] {
            let c = config(unit, rate, burst);
            let mut s = full(&c);
            let capacity = u64::from(burst) * 1000;
            for now in [0, u64::MAX] {
                s.charge(&c, 0, now);
                let left = capacity.checked_sub(unit.cost(0)).unwrap_or(capacity);
                assert_eq!(s.level, left, "{c:?} at {now}");
                s.charge(&c, u64::MAX, now);
            }
        }
    }
    // C never refills a band whose bucket fills in less than a millisecond.
    let c = config(Unit::Packets, 5000, 1);
    let mut s = full(&c);
    assert_eq!(passing(&mut s, &c, 9, 1, 0), 1);
    assert_eq!(passing(&mut s, &c, 9, 1, 1), 1);
}

/// What the text of the specification says, in numbers that cannot overflow.
struct Model {
    rate: u128,
    capacity: u128,
    level: u128,
    used: u128,
}

impl Model {
    fn charge(&mut self, cost: u128, now: u128) -> bool {
        let elapsed = now.max(self.used) - self.used;
        self.used += elapsed;
        self.level = (self.level + elapsed * self.rate).min(self.capacity);
        if self.level < cost {
            return true;
        }
        self.level -= cost;
        false
    }
}

/// Small numbers and extremes.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..5000, any::<u32>(), Just(u32::MAX)]
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        kilobits: bool,
        rate in word().prop_map(|rate| rate.max(1)),
        burst in word(),
        start in 0u64..1 << 40,
        packets in proptest::collection::vec((-10i64..3000, 0u64..100_000), 1..100),
    ) {
        let unit = if kilobits { Unit::Kilobits } else { Unit::Packets };
        let c = config(unit, rate, burst);
        let mut s = State::new(&c, Stats::default(), start);
        let capacity = u128::from(burst) * 1000;
        let mut m = Model { rate: rate.into(), capacity, level: capacity, used: start.into() };
        let mut now = start;
        let (mut bytes, mut exceeded) = (0, 0);
        for (pause, len) in packets {
            now = now.saturating_add_signed(pause);
            let cost = if kilobits { u128::from(len) * 8 } else { 1000 };
            let dropped = m.charge(cost, now.into());
            prop_assert_eq!(s.charge(&c, len, now), dropped);
            prop_assert_eq!(u128::from(s.level), m.level);
            bytes += len;
            exceeded += if dropped { len } else { 0 };
            prop_assert_eq!((s.stats.bytes, s.exceeded.bytes), (bytes, exceeded));
        }
    }

    /// Nothing overflows, whatever the clock and the packet say.
    #[test]
    fn never_more_than_the_bucket_holds(
        rate in word(),
        burst in word(),
        steps in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..20),
    ) {
        let c = config(Unit::Kilobits, rate, burst);
        let mut s = full(&c);
        for (now, len) in steps {
            s.charge(&c, len, now);
            prop_assert!(s.level <= u64::from(burst) * 1000);
        }
    }
}

/// B62: no packet is lost to a race, and no token given twice.
#[test]
fn many_cpus_share_one_meter() {
    const EACH: u64 = 20_000;
    let c = config(Unit::Packets, 1, 30_000);
    let m = Meter::new(c, Stats::default(), 0);
    thread::scope(|s| {
        for cpu in 0..4 {
            let m = &m;
            s.spawn(move || {
                crate::sys::testing::set_cpu(cpu);
                for i in 0..EACH {
                    m.charge(10, i % 3, &BhGuard::enter());
                }
            });
        }
    });
    let s = m.state(&BhGuard::enter());
    assert_eq!((s.stats.packets, s.stats.bytes), (4 * EACH, 40 * EACH));
    assert_eq!(s.exceeded.packets, 4 * EACH - 30_000);
}
