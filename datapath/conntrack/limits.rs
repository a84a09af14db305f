// SPDX-License-Identifier: GPL-2.0
//! How many connections a zone may have (spec L1 to L6).
//!
//! Connections are counted from a namespace's first datapath on (spec L5). Where nobody has ever set a limit there is
//! no more than an empty slot for the limits, and packets find that out with one look.
//!
//! C counterpart: `struct ovs_ct_limit_info` in `net/openvswitch/conntrack.c`.

use super::spec::Spec;
use crate::datapath::env::conntrack::{ConnCount, ConnCountOps};
use crate::datapath::env::{Env, Net, NetOps, Packet};
use crate::rust::sync::{ListBox, OnceSlot, OvsGuard, RcuGuard, RcuList, ReadToken, Retired};
use crate::World;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::alloc::flags::{GFP_KERNEL, GFP_KERNEL_ACCOUNT};
use kernel::alloc::{KBox, KVec};
use kernel::error::code::EOPNOTSUPP;
use kernel::error::Result;
use kernel::pr_warn;

/// No limit.
const UNLIMITED: u32 = 0;
const BUCKETS: usize = 512;

/// A namespace's limits, once there are any. It ends with the namespace, in a context that may sleep.
#[derive(Default)]
pub struct Limits {
    count: OnceSlot<ConnCount>,
    set: OnceSlot<Set>,
}

/// Limits that were set, or could be.
struct Set {
    /// Of zones that have none of their own.
    default: AtomicU32,
    /// By the zone's low bits.
    zones: KVec<RcuList<ZoneEntry>>,
}

/// A zone's own limit.
pub struct ZoneEntry {
    zone: u16,
    limit: AtomicU32,
}

/// A limit that is allocated and not set yet.
pub struct NewLimit {
    zone: u16,
    limit: u32,
    entry: ListBox<ZoneEntry>,
}

impl NewLimit {
    /// ENOMEM.
    pub fn new(zone: u16, limit: u32) -> Result<Self> {
        let entry = ZoneEntry {
            zone,
            limit: AtomicU32::new(limit),
        };
        Ok(Self {
            zone,
            limit,
            entry: ListBox::new(entry, GFP_KERNEL_ACCOUNT)?,
        })
    }
}

impl Limits {
    /// Counts from now on, whether limits are ever set or not; a namespace's first datapath begins with it. nf_conncount of
    /// kernels before 6.12 has the namespace's own stack track its connections, so that flows see the state of what comes
    /// from the local port (spec L5). Nothing to do if the kernel counts nothing. May sleep. ENOMEM and others.
    pub fn count(&self, net: &Net) -> Result {
        match self.start_count(net) {
            Err(EOPNOTSUPP) => Ok(()),
            done => done,
        }
    }

    fn start_count(&self, net: &Net) -> Result {
        if self.count.get().is_none() {
            let count = KBox::new(ConnCount::new(net)?, GFP_KERNEL)?;
            self.count.get_or_fill(count);
        }
        Ok(())
    }

    /// Makes room for limits; whoever sets one calls this first. May sleep. ENOMEM.
    pub fn enable(&self, net: &Net) -> Result {
        self.start_count(net)?;
        if self.set.get().is_some() {
            return Ok(());
        }
        let mut zones = KVec::with_capacity(BUCKETS, GFP_KERNEL)?;
        for _ in 0..BUCKETS {
            zones.push(RcuList::new(), GFP_KERNEL)?;
        }
        let set = Set {
            default: AtomicU32::new(UNLIMITED),
            zones,
        };
        self.set.get_or_fill(KBox::new(set, GFP_KERNEL)?);
        Ok(())
    }

    /// Sets a zone's limit. What it does not need it gives back, to be freed after the lock.
    pub fn set(&self, new: NewLimit, ovs: &OvsGuard) -> Option<NewLimit> {
        let bucket = self.set.get().and_then(|set| set.bucket(new.zone))?;
        let old = bucket.iter(ovs).find(|entry| entry.zone == new.zone);
        if let Some(entry) = old {
            entry.limit.store(new.limit, Ordering::Relaxed);
            return Some(new);
        }
        bucket.push(ovs, new.entry);
        None
    }

    /// Sets the limit of all zones that have none of their own.
    pub fn set_default(&self, limit: u32, _ovs: &OvsGuard) {
        if let Some(set) = self.set.get() {
            set.default.store(limit, Ordering::Relaxed);
        }
    }

    /// Takes a zone's own limit away.
    pub fn remove(&self, zone: u16, ovs: &OvsGuard) -> Option<Retired<ZoneEntry>> {
        let bucket = self.set.get().and_then(|set| set.bucket(zone))?;
        bucket.remove(ovs, |entry| entry.zone == zone)
    }

    /// The limit of zones that have none of their own.
    pub fn default(&self) -> u32 {
        self.set
            .get()
            .map_or(UNLIMITED, |set| set.default.load(Ordering::Relaxed))
    }

    /// A zone's limit, and how many connections it has.
    pub fn get(&self, net: &Net, zone: u16, rcu: &RcuGuard) -> (u32, u32) {
        match (self.set.get(), self.count.get()) {
            (Some(set), Some(count)) => (set.limit(zone, rcu), count.get(net, zone)),
            _ => (UNLIMITED, 0),
        }
    }

    /// Zones that have limits of their own.
    pub fn zones<'g>(&'g self, rcu: &'g RcuGuard) -> impl Iterator<Item = u16> + 'g {
        let buckets = self.set.get().map(|set| set.zones.iter());
        buckets
            .into_iter()
            .flatten()
            .flat_map(move |bucket| bucket.iter(rcu).map(|entry| entry.zone))
    }
}

impl Set {
    fn bucket(&self, zone: u16) -> Option<&RcuList<ZoneEntry>> {
        self.zones.get(usize::from(zone) % BUCKETS)
    }

    fn limit(&self, zone: u16, token: &impl ReadToken) -> u32 {
        let own = self
            .bucket(zone)
            .and_then(|bucket| bucket.iter(token).find(|entry| entry.zone == zone));
        own.map_or(&self.default, |entry| &entry.limit)
            .load(Ordering::Relaxed)
    }
}

/// Counts a packet's new connection. True, and logged, if its zone then has too many (spec C12).
pub fn exceeded(net: &Net, pkt: &Packet, spec: &Spec) -> bool {
    let limits = &net.state().ct_limits;
    match limits.set.get() {
        Some(set) => exceeds(limits, set, net, pkt, spec),
        None => false,
    }
}

#[cold]
#[inline(never)]
fn exceeds(limits: &Limits, set: &Set, net: &Net, pkt: &Packet, spec: &Spec) -> bool {
    let limit = set.limit(spec.zone, &RcuGuard::new());
    let within = |count: &ConnCount| count.add(net, pkt, spec.ipv6, spec.zone) <= limit;
    if limit == UNLIMITED || limits.count.get().is_none_or(within) {
        return false;
    }
    if World::log_allowed() {
        pr_warn!("zone: {} exceeds conntrack limit\n", spec.zone);
    }
    true
}
