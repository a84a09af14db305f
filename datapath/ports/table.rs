// SPDX-License-Identifier: GPL-2.0
//! The vports of a datapath, by number and by name.
//!
//! C counterpart: `dp->ports` and `dev_table` of `net/openvswitch/datapath.c` and `vport.c`.

use crate::datapath::env::{DeviceName, DeviceOps};
use crate::datapath::flow::hash::bytes_hash;
use crate::datapath::ports::port::{Vport, LOCAL, MAX_PORTS};
use crate::rust::sync::{Entry, OvsGuard, RcuTable, ReadToken, Retired, TableBox};
use core::sync::atomic::{AtomicU16, Ordering::Relaxed};
use kernel::alloc::{AllocError, Flags};

/// A vport on its way into a table, or back out of one that refused it.
pub type NewPort = TableBox<Vport, 2>;

/// Indexes of the table.
const BY_NUMBER: usize = 0;
const BY_NAME: usize = 1;

/// Buckets of a new table, as powers of two. A table grows with its ports.
const BUCKETS: [u32; 2] = [6, 4];

/// Vports by number and by name at creation.
pub struct PortTable {
    ports: RcuTable<Vport, 2>,
    /// No port has had a larger number, so that dumps need not look for one.
    highest: AtomicU16,
}

impl PortTable {
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            ports: RcuTable::new(BUCKETS, flags)?,
            highest: AtomicU16::new(LOCAL),
        })
    }

    /// The port with this number.
    #[inline(always)]
    pub fn get<'g>(&'g self, no: u16, token: &'g impl ReadToken) -> Option<&'g Vport> {
        Some(self.entry(no, token)?.get())
    }

    /// The hash is the number itself, so an entry with the same hash is the right one.
    #[inline(always)]
    fn entry<'g>(&'g self, no: u16, token: &'g impl ReadToken) -> Option<Entry<'g, Vport, 2>> {
        self.ports.find::<BY_NUMBER>(u32::from(no), token, |_| true)
    }

    /// The port that was created with this name and whose device still has it. One whose device was renamed is
    /// found by number only (spec V5).
    pub fn by_name<'g>(
        &'g self,
        name: &DeviceName,
        token: &'g impl ReadToken,
    ) -> Option<&'g Vport> {
        let same = |port: &Vport| port.name == *name && port.dev.name() == *name;
        Some(self.ports.find::<BY_NAME>(hash(name), token, same)?.get())
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
        self.ports.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// All ports, in no order.
    pub fn iter<'g>(&'g self, token: &'g impl ReadToken) -> impl Iterator<Item = &'g Vport> {
        self.ports.iter(token).map(|entry| entry.get())
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
        // Under the mutex nobody else raises it. Before the port can be seen.
        self.highest
            .store(self.highest.load(Relaxed).max(port.no), Relaxed);
        self.ports.insert(ovs, port, hashes).get()
    }

    /// Takes a port out. It is freed a grace period after the result is dropped.
    pub fn remove(&self, ovs: &OvsGuard, no: u16) -> Option<Retired<Vport>> {
        let entry = self.entry(no, ovs)?;
        self.ports.remove(ovs, entry)
    }

    /// Takes out all ports, each when it is asked for, the local one last (spec D6).
    pub fn drain<'o>(&'o self, ovs: &'o OvsGuard) -> impl Iterator<Item = &'o Vport> {
        let others = self.iter(ovs).filter(|port| port.no != LOCAL);
        let local = core::iter::once_with(|| self.local(ovs)).flatten();
        // A reference outlives the removal: nothing is freed while the mutex is held.
        others
            .chain(local)
            .inspect(|port| drop(self.remove(ovs, port.no)))
    }

    /// The ports with numbers from `no` on, in their order (spec V8). One that comes or goes meanwhile may be missed;
    /// all others are seen.
    pub fn iter_from<'g>(
        &'g self,
        no: u64,
        token: &'g impl ReadToken,
    ) -> impl Iterator<Item = &'g Vport> {
        let first = u16::try_from(no).unwrap_or(u16::MAX);
        (first..=self.highest.load(Relaxed)).filter_map(|no| self.get(no, token))
    }
}

fn hash(name: &DeviceName) -> u32 {
    bytes_hash(name, 0)
}
