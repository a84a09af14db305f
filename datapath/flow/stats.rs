// SPDX-License-Identifier: GPL-2.0
//! Statistics of one flow: who counts where, and how a reader gets a sum out of it (spec T11, T12).
//!
//! Every counter has one writer, so the packet path takes no lock. The first CPU that forwards a packet of a flow
//! owns the slot allocated with it; every further CPU gets a slot of its own the first time, allocated without
//! sleeping. Clearing writes to no slot: it moves the flow to a new epoch, and a slot of an older one counts as zero
//! until its writer starts it again.
//!
//! C counterpart: `struct sw_flow_stats` and `ovs_flow_stats_*()` in `net/openvswitch/flow.c`.

use crate::datapath::env::Env;
use crate::rust::sync::{BhGuard, OnceSlot, OvsGuard, SlabCache};
use crate::{sys, World};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize};
use kernel::alloc::flags::{__GFP_NOWARN, GFP_NOWAIT};
use kernel::alloc::{AllocError, Flags, KBox, KVec};

/// No packet yet.
const NOBODY: u32 = u32::MAX;
/// Some CPU found no memory for a slot of its own: everybody without one adds atomically to the first slot.
const SHARED: u32 = u32::MAX - 1;

/// Sum over all slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub packets: u64,
    pub bytes: u64,
    /// Ticks at the newest packet, 0 if there was none.
    used: usize,
    /// All TCP flags seen, in network byte order.
    pub tcp_flags: u16,
}

impl Totals {
    /// Time of the newest packet on the monotonic clock in ms (spec F13); `None` if there was none.
    pub fn used_ms(&self) -> Option<u64> {
        if self.used == 0 {
            return None;
        }
        // CAST: ticks are machine words in C.
        let idle = sys::jiffies_to_msecs(now().wrapping_sub(self.used) as core::ffi::c_ulong);
        Some(sys::monotonic_ms().wrapping_sub(u64::from(idle)))
    }
}

/// Ticks: a load on the packet path, where reading a clock would be a call.
#[inline(always)]
fn now() -> usize {
    sys::jiffies() as usize // CAST: ticks are machine words in C
}

/// What a packet adds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub bytes: u64,
    /// In network byte order.
    pub tcp_flags: u16,
}

/// Memory for slots, visible in slabinfo (spec T13).
pub(super) static SLOTS: SlabCache<Slot> = SlabCache::new(c"sw_flow_stats");

/// Counters that one CPU writes, on a cache line of their own.
#[derive(Default)]
#[repr(align(64))]
pub struct Slot {
    packets: AtomicU64,
    bytes: AtomicU64,
    used: AtomicUsize,
    /// The flow's epoch in which the counters began.
    epoch: AtomicU32,
    tcp_flags: AtomicU16,
}

/// Statistics of one flow.
pub struct FlowStats {
    /// CPU whose slot is `first`, or [`NOBODY`] or [`SHARED`].
    owner: AtomicU32,
    epoch: AtomicU32,
    first: KBox<Slot>,
    /// Slots of the other CPUs by id; exists from the second writing CPU on.
    others: OnceSlot<KVec<OnceSlot<Slot>>>,
}

impl FlowStats {
    /// All zero.
    pub fn new(flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            owner: AtomicU32::new(NOBODY),
            epoch: AtomicU32::new(0),
            first: SLOTS.alloc(Slot::default(), flags)?,
            others: OnceSlot::new(),
        })
    }

    /// Counts a packet.
    #[inline]
    pub fn update(&self, s: Sample, bh: &BhGuard) {
        let cpu = bh.cpu();
        if self.owner.load(Relaxed) == cpu {
            self.first.add(s, self.epoch.load(Acquire));
        } else {
            self.update_other(s, cpu);
        }
    }

    #[inline(never)]
    fn update_other(&self, s: Sample, cpu: u32) {
        let epoch = self.epoch.load(Acquire);
        if let Some(slot) = self.slot_of(cpu) {
            return slot.add(s, epoch);
        }
        if self
            .owner
            .compare_exchange(NOBODY, cpu, Relaxed, Relaxed)
            .is_ok()
        {
            return self.first.add(s, epoch);
        }
        match self.install(cpu) {
            Some(slot) => slot.add(s, epoch),
            None => {
                // The owner may be in the middle of an update that does not expect company; the worst that
                // can happen is that this one packet is not counted.
                self.owner.store(SHARED, Relaxed);
                self.first.add_shared(s, epoch);
            }
        }
    }

    fn slot_of(&self, cpu: u32) -> Option<&Slot> {
        self.others.get()?.get(cpu as usize)?.get() // CAST: u32 fits
    }

    /// Allocates the slot of a CPU. Two CPUs may race for the array; only `cpu` itself installs its slot.
    #[cold]
    fn install(&self, cpu: u32) -> Option<&Slot> {
        let flags = GFP_NOWAIT | __GFP_NOWARN;
        let slots = match self.others.get() {
            Some(slots) => slots,
            None => {
                let n = World::nr_cpu_ids();
                let mut slots = KVec::with_capacity(n as usize, flags).ok()?; // CAST: u32 fits
                for _ in 0..n {
                    slots.push(OnceSlot::new(), flags).ok()?;
                }
                self.others.get_or_fill(KBox::new(slots, flags).ok()?)
            }
        };
        let slot = slots.get(cpu as usize)?; // CAST: u32 fits
        Some(slot.get_or_fill(SLOTS.alloc(Slot::default(), flags).ok()?))
    }

    /// The sum (spec T12).
    pub fn read(&self) -> Totals {
        let epoch = self.epoch.load(Acquire);
        let mut sum = Totals::default();
        self.first.add_to(&mut sum, epoch);
        for slot in self.others.get().map_or(&[][..], |s| s.as_slice()) {
            if let Some(slot) = slot.get() {
                slot.add_to(&mut sum, epoch);
            }
        }
        sum
    }

    /// Everything counts from zero again, the time of last use included (spec F7, T12).
    pub fn clear(&self, _: &OvsGuard) {
        self.epoch
            .store(self.epoch.load(Relaxed).wrapping_add(1), Release);
    }
}

impl Slot {
    /// Called by the slot's only writer.
    #[inline(always)]
    fn add(&self, s: Sample, epoch: u32) {
        if self.epoch.load(Relaxed) != epoch {
            self.restart(epoch);
        }
        self.packets
            .store(self.packets.load(Relaxed).wrapping_add(1), Relaxed);
        self.bytes
            .store(self.bytes.load(Relaxed).wrapping_add(s.bytes), Relaxed);
        self.used.store(now(), Relaxed);
        if s.tcp_flags != 0 {
            self.tcp_flags
                .store(self.tcp_flags.load(Relaxed) | s.tcp_flags, Relaxed);
        }
    }

    /// Called by one of several writers.
    #[cold]
    fn add_shared(&self, s: Sample, epoch: u32) {
        if self.epoch.load(Relaxed) != epoch {
            self.restart(epoch);
        }
        self.packets.fetch_add(1, Relaxed);
        self.bytes.fetch_add(s.bytes, Relaxed);
        self.used.store(now(), Relaxed);
        self.tcp_flags.fetch_or(s.tcp_flags, Relaxed);
    }

    #[cold]
    fn restart(&self, epoch: u32) {
        self.packets.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.used.store(0, Relaxed);
        self.tcp_flags.store(0, Relaxed);
        // Readers that see the new epoch see the zeros.
        self.epoch.store(epoch, Release);
    }

    fn add_to(&self, sum: &mut Totals, epoch: u32) {
        if self.epoch.load(Acquire) != epoch {
            return;
        }
        sum.packets = sum.packets.wrapping_add(self.packets.load(Relaxed));
        sum.bytes = sum.bytes.wrapping_add(self.bytes.load(Relaxed));
        let used = self.used.load(Relaxed);
        // Later, though the counter may have wrapped in between.
        if sum.used == 0 || (used != 0 && used.wrapping_sub(sum.used) < usize::MAX / 2) {
            sum.used = used;
        }
        sum.tcp_flags |= self.tcp_flags.load(Relaxed);
    }
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
