// SPDX-License-Identifier: GPL-2.0
//! Stand-in until the flow table lands.

use crate::rust::sync::{OvsGuard, ReadToken};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kernel::alloc::Flags;
use kernel::error::Result;

/// The flow table of a datapath.
pub struct Table(AtomicU32);

impl Table {
    pub fn new(_flags: Flags) -> Result<Self> {
        Ok(Self(AtomicU32::new(256)))
    }

    pub fn count(&self) -> usize {
        0
    }

    pub fn n_masks(&self, _token: &impl ReadToken) -> usize {
        0
    }

    pub fn masks_cache_size(&self, _token: &impl ReadToken) -> u32 {
        self.0.load(Relaxed)
    }

    pub fn resize_masks_cache(&self, size: u32, _ovs: &OvsGuard) -> Result {
        self.0.store(size, Relaxed);
        Ok(())
    }

    pub fn rebalance(&self, _ovs: &OvsGuard) {}

    pub fn flush(&self, _ovs: &OvsGuard) -> Result {
        Ok(())
    }
}

impl crate::datapath::datapath::Datapath {
    /// Drops the packet.
    pub fn receive(
        _vport: &crate::datapath::ports::port::Vport,
        _pkt: crate::datapath::env::Packet,
        _bh: &crate::rust::sync::BhGuard,
    ) -> Result {
        Ok(())
    }

    /// There are no flows.
    pub fn process(
        &self,
        pkt: crate::datapath::env::Packet,
        key: &mut crate::datapath::flow::key::FlowKey,
        bh: &crate::rust::sync::BhGuard,
    ) {
        crate::datapath::upcall::miss(self, pkt, key, bh);
    }
}
