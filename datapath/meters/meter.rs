// SPDX-License-Identifier: GPL-2.0
//! A meter and its token bucket (spec M6, M7).
//!
//! The bucket holds what may still pass: bits, or thousandths of a packet. Both are what a rate of one kbit/s or one
//! packet/s brings in a millisecond, so time times rate needs no division. It starts full and never holds more than
//! the burst size; a packet that costs more than there is exceeds the band and takes nothing.
//!
//! C counterpart: `ovs_meter_execute()` and `dp_meter_create()` in `net/openvswitch/meter.c`. C multiplies in 32 bits
//! (spec Q2) and limits the time that refills the bucket to `burst * 1000 / rate` ms, rounded down: a band whose bucket
//! fills in less than a millisecond never refills there, and others not quite.

use crate::rust::sync::{BhGuard, BhSpinLock};

/// Bucket units in the unit of a burst size: bits in a kilobit, thousandths in a packet.
const PER_BURST: u64 = 1000;
const BITS_PER_BYTE: u64 = 8;

/// What a meter's rates and burst sizes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Packets/s, and packets.
    Packets,
    /// kbit/s, and kbit (`OVS_METER_ATTR_KBPS`).
    Kilobits,
}

impl Unit {
    /// What a packet of `len` bytes takes out of a bucket.
    fn cost(self, len: u64) -> u64 {
        match self {
            Self::Packets => PER_BURST,
            Self::Kilobits => len.saturating_mul(BITS_PER_BYTE),
        }
    }
}

/// What happens to packets above a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// `OVS_METER_BAND_TYPE_DROP`; bands of other types only count (spec M2).
    pub drops: bool,
    /// Per second; not 0.
    pub rate: u32,
    /// What may pass at once after a pause.
    pub burst: u32,
}

impl Band {
    /// The bucket's size.
    fn capacity(&self) -> u64 {
        u64::from(self.burst).saturating_mul(PER_BURST)
    }
}

/// `struct ovs_flow_stats`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub packets: u64,
    pub bytes: u64,
}

impl Stats {
    fn count(&mut self, len: u64) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(len);
    }
}

/// What userspace has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub id: u32,
    pub unit: Unit,
    /// Its statistics are told when it is replaced; not with `OVS_METER_ATTR_CLEAR`.
    pub keep_stats: bool,
    /// A meter has one at most, so there is no question which of those exceeded counts.
    pub band: Option<Band>,
}

/// What packets change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Of the latest packet, or of the meter's creation; ms since boot. Never goes back.
    pub used_ms: u64,
    /// All packets.
    pub stats: Stats,
    /// Those that exceeded the band.
    pub exceeded: Stats,
    level: u64,
}

impl State {
    /// A full bucket. `stats`: what to go on counting from.
    pub fn new(config: &Config, stats: Stats, now_ms: u64) -> Self {
        Self {
            used_ms: now_ms,
            stats,
            exceeded: Stats::default(),
            level: config.band.map_or(0, |band| band.capacity()),
        }
    }

    /// Charges a packet of `len` bytes; true if it is to be dropped.
    ///
    /// CPUs that race for the meter may come with times out of order (spec B62): no time passes for the later one.
    fn charge(&mut self, config: &Config, len: u64, now_ms: u64) -> bool {
        let elapsed = now_ms.saturating_sub(self.used_ms);
        self.used_ms = now_ms.max(self.used_ms);
        self.stats.count(len);
        let Some(band) = &config.band else {
            return false;
        };
        let refill = elapsed.saturating_mul(band.rate.into());
        let level = self.level.saturating_add(refill).min(band.capacity());
        let left = level.checked_sub(config.unit.cost(len));
        self.level = left.unwrap_or(level);
        if left.is_none() {
            self.exceeded.count(len);
        }
        left.is_none() && band.drops
    }
}

/// A meter.
pub struct Meter {
    config: Config,
    state: BhSpinLock<State>,
}

impl Meter {
    pub fn new(config: Config, stats: Stats, now_ms: u64) -> Self {
        let state = BhSpinLock::new(State::new(&config, stats, now_ms));
        Self { config, state }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its counters at one moment.
    pub fn state(&self, bh: &BhGuard) -> State {
        self.state.with(bh, |state| *state)
    }

    /// Charges a packet of `len` bytes; true if it is to be dropped.
    #[inline]
    pub fn charge(&self, len: u64, now_ms: u64, bh: &BhGuard) -> bool {
        let config = &self.config;
        self.state
            .with(bh, |state| state.charge(config, len, now_ms))
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
