// SPDX-License-Identifier: GPL-2.0
//! A datapath's meters by id (spec M1, M3, M8).
//!
//! C counterpart: `struct dp_meter_table` in `net/openvswitch/meter.c`, an array in which two ids can want the same
//! place (EBUSY) and that takes one meter less than it says (spec Q3).

use super::meter::Meter;
use crate::rust::sync::{OvsGuard, RcuTable, ReadToken, Retired, TableBox};
use kernel::alloc::{AllocError, Flags};

/// A meter that is not in a table yet.
pub type MeterBox = TableBox<Meter, 1>;

/// No datapath has more.
const MAX_METERS: u64 = 200_000;
/// Meters may fill this part of the memory that buffers may come from.
const MEMORY_SHARE: u64 = 32;
/// Buckets at first; most datapaths have few meters, or none.
const INITIAL_LOG2: u32 = 4;

/// Meters by id.
pub struct MeterTable {
    by_id: RcuTable<Meter, 1>,
    max: u32,
}

impl MeterTable {
    /// An empty table. `memory`: bytes that buffers may come from. Fails if that is too little for one meter (M9).
    pub fn new(memory: u64, flags: Flags) -> Result<Self, AllocError> {
        let room = memory / MEMORY_SHARE / MeterBox::BYTES as u64; // CAST: usize has at most 64 bits
        let max = room.min(MAX_METERS) as u32; // CAST: 200,000 at most
        if max == 0 {
            return Err(AllocError);
        }
        Ok(Self {
            by_id: RcuTable::new([INITIAL_LOG2], flags)?,
            max,
        })
    }

    /// So many meters fit.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// The meter with this id.
    #[inline]
    pub fn find<'g>(&'g self, id: u32, token: &'g impl ReadToken) -> Option<&'g Meter> {
        let found = self.by_id.find::<0>(id, token, |m| m.config().id == id);
        found.map(|entry| entry.get())
    }

    /// Whether a meter with this id can be put in: it replaces one, or there is room for one more.
    pub fn has_room_for(&self, id: u32, ovs: &OvsGuard) -> bool {
        self.by_id.len() < self.max as usize || self.find(id, ovs).is_some() // CAST: usize has at least 32 bits
    }

    /// Puts a meter in and takes out the one that had its id (spec M4). Packets find one of the two at any moment,
    /// unlike in C, where they pass unmetered in between.
    pub fn put(&self, meter: MeterBox, ovs: &OvsGuard) -> Option<Retired<Meter>> {
        let id = meter.config().id;
        let old = self.by_id.find::<0>(id, ovs, |m| m.config().id == id);
        self.by_id.insert(ovs, meter, [Some(id)]);
        self.by_id.remove(ovs, old?)
    }

    /// Takes out the meter with this id.
    pub fn remove(&self, id: u32, ovs: &OvsGuard) -> Option<Retired<Meter>> {
        let old = self.by_id.find::<0>(id, ovs, |m| m.config().id == id)?;
        self.by_id.remove(ovs, old)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
