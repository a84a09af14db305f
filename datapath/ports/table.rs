// SPDX-License-Identifier: GPL-2.0
//! The vports of a datapath, by number and by name.
//!
//! C counterpart: `dp->ports` and `dev_table` of `net/openvswitch/datapath.c` and `vport.c`.

use crate::datapath::env::{DeviceName, DeviceOps};
use crate::datapath::ports::port::{Vport, LOCAL, MAX_PORTS};
use crate::rust::sync::{Cursor, Entry, OvsGuard, RcuTable, ReadToken, Retired, TableBox};
use kernel::alloc::{AllocError, Flags};

/// A vport on its way into a table, or back out of one that refused it.
pub type NewPort = TableBox<Vport, 2>;

/// Indexes of the table.
const BY_NUMBER: usize = 0;
const BY_NAME: usize = 1;

/// Buckets of a new table, as powers of two. A table grows with its ports.
const BUCKETS: [u32; 2] = [6, 4];

/// Vports by number and by name at creation.
pub struct PortTable(RcuTable<Vport, 2>);

impl PortTable {
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(RcuTable::new(BUCKETS, flags)?))
    }

    /// The port with this number.
    #[inline(always)]
    pub fn get<'g>(&'g self, no: u16, token: &'g impl ReadToken) -> Option<&'g Vport> {
        Some(self.entry(no, token)?.get())
    }

    /// The hash is the number itself, so an entry with the same hash is the right one.
    #[inline(always)]
    fn entry<'g>(&'g self, no: u16, token: &'g impl ReadToken) -> Option<Entry<'g, Vport, 2>> {
        self.0.find::<BY_NUMBER>(u32::from(no), token, |_| true)
    }

    /// The port that was created with this name and whose device still has it. One whose device was renamed is
    /// found by number only (spec V5).
    pub fn by_name<'g>(
        &'g self,
        name: &DeviceName,
        token: &'g impl ReadToken,
    ) -> Option<&'g Vport> {
        let same = |port: &Vport| port.name == *name && port.dev.name() == *name;
        Some(self.0.find::<BY_NAME>(hash(name), token, same)?.get())
    }

    /// The local port; absent only before a datapath is announced and while it is destroyed.
    #[inline]
    pub fn local<'g>(&'g self, token: &'g impl ReadToken) -> Option<&'g Vport> {
        self.get(LOCAL, token)
    }

    /// What messages call this datapath: the local port's ifindex, 0 without one (spec D12, U1).
    #[inline]
    pub fn local_ifindex(&self, token: &impl ReadToken) -> i32 {
        self.local(token).map_or(0, |port| port.dev.ifindex())
    }

    /// How many ports there are, the local one included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All ports, in no order.
    pub fn iter<'g>(&'g self, token: &'g impl ReadToken) -> impl Iterator<Item = &'g Vport> {
        self.0.iter(token).map(|entry| entry.get())
    }

    /// The lowest free number that is not the local port's (spec V1).
    pub fn lowest_free(&self, ovs: &OvsGuard) -> Option<u16> {
        (1..MAX_PORTS)
            .filter_map(|no| u16::try_from(no).ok())
            .find(|&no| self.get(no, ovs).is_none())
    }

    /// Publishes a port whose number is free.
    pub fn insert<'o>(&'o self, ovs: &'o OvsGuard, port: NewPort) -> &'o Vport {
        let hashes = [Some(u32::from(port.no)), Some(hash(&port.name))];
        self.0.insert(ovs, port, hashes).get()
    }

    /// Takes a port out. It is freed a grace period after the result is dropped.
    pub fn remove(&self, ovs: &OvsGuard, no: u16) -> Option<Retired<Vport>> {
        let entry = self.entry(no, ovs)?;
        self.0.remove(ovs, entry)
    }

    /// The port at `cursor`, which moves past it; `None` at the end (spec V8). Ports that come or go between calls
    /// may be missed or seen twice.
    pub fn next<'g>(
        &'g self,
        cursor: &mut [u64; 2],
        token: &'g impl ReadToken,
    ) -> Option<&'g Vport> {
        let [bucket, index] = cursor.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let mut at = Cursor { bucket, index };
        let entry = self.0.next(&mut at, token);
        *cursor = [u64::from(at.bucket), u64::from(at.index)];
        Some(entry?.get())
    }
}

/// FNV-1a; the table keys it with a secret of its own.
fn hash(name: &DeviceName) -> u32 {
    name.iter().fold(0x811c_9dc5, |h, &b| {
        (h ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}
