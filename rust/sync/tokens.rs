// SPDX-License-Identifier: GPL-2.0
//! Evidence of context: process context, RCU read section, BH disabled, the OVS mutex, RTNL.
//!
//! Lock order: [`OvsGuard`] → RTNL ([`OvsRtnl`]) → BH disabled → one [`BhSpinLock`](super::BhSpinLock). RCU read sections nest anywhere
//! below the sleeping locks and never around them. All tokens stay on the thread that made them.
//!
//! The RTNL is taken inside of the mutex but left after it. Leaving it waits until nobody refers to
//! the devices that were unregistered in it (`netdev_run_todo`), and those who do may need the
//! mutex to let go: ports on VLANs, bonds or tunnels above the device.
//!
//! C counterpart: `ovs_lock()`, `rcu_read_lock()`, `local_bh_disable()` and the comments about
//! them at the head of `net/openvswitch/datapath.c`.

use super::atomic::{AtomicU32, Ordering};
use crate::sys;
use core::{ops::Deref, ptr::NonNull};
use kernel::types::NotThreadSafe;

pub use kernel::sync::rcu::Guard as RcuGuard;

mod sealed {
    /// Keeps `ReadToken` ours.
    pub trait Sealed {}
}

/// Evidence that what is read from an RCU structure stays alive as long as the token is borrowed.
pub trait ReadToken: sealed::Sealed {}

impl sealed::Sealed for RcuGuard {}
impl ReadToken for RcuGuard {}
impl sealed::Sealed for BhGuard {}
impl ReadToken for BhGuard {}
impl sealed::Sealed for OvsGuard {}
impl ReadToken for OvsGuard {}
impl sealed::Sealed for OvsRtnl {}
impl ReadToken for OvsRtnl {}

/// Evidence that what a function was called for may sleep: [`ProcessContext`], and the locks that are taken with it.
///
/// It does not see a read section that was entered since; userspace builds check that when they run.
pub trait MaySleep: sealed::Sealed {}

impl sealed::Sealed for ProcessContext {}
impl MaySleep for ProcessContext {}
impl MaySleep for OvsGuard {}
impl MaySleep for OvsRtnl {}

/// Evidence that the kernel called us in process context, where a thread may sleep: for a request, a work, a namespace
/// that begins or ends, the module's entry and exit. It lends itself to those who wait, or allocate with reclaim.
///
/// Packets come with BH disabled, where there is no such thing:
///
/// ```compile_fail,E0308
/// use openvswitch::rust::sync::{BhGuard, OvsGuard};
/// let ovs = OvsGuard::lock(&*BhGuard::enter());
/// ```
///
/// ```compile_fail,E0277
/// use openvswitch::datapath::env::{Reply, ReplyOps};
/// use openvswitch::rust::sync::BhGuard;
/// let reply = Reply::new(100, &*BhGuard::enter());
/// ```
///
/// and nobody makes one without a promise, nor takes it to another thread:
///
/// ```compile_fail,E0133
/// use openvswitch::rust::sync::ProcessContext;
/// let ctx = ProcessContext::assume();
/// ```
///
/// ```compile_fail,E0277
/// use openvswitch::{rust::sync::OvsGuard, sys::testing::process_context};
/// let ctx = process_context();
/// std::thread::spawn(move || OvsGuard::lock(&ctx));
/// ```
///
/// What waits for all RCU callbacks, some of which wait for the mutex section to end, takes nothing less:
///
/// ```compile_fail,E0308
/// use openvswitch::{rust::sync::{rcu_barrier, OvsGuard}, sys::testing::process_context};
/// rcu_barrier(&OvsGuard::lock(&process_context()));
/// ```
///
/// ```
/// use openvswitch::{rust::sync::{rcu_barrier, OvsGuard}, sys::testing::process_context};
/// let ctx = process_context();
/// drop(OvsGuard::lock(&ctx).with_rtnl());
/// rcu_barrier(&ctx);
/// ```
///
/// # Invariants
///
/// While it lives, this thread is in process context, apart from the sections that it has entered since.
pub struct ProcessContext(#[allow(dead_code, reason = "marker")] NotThreadSafe);

impl ProcessContext {
    /// For code that the kernel calls in such a context.
    ///
    /// # Safety
    ///
    /// While the value lives, this thread is in process context: interrupts and BH are enabled, it holds no spinlock,
    /// neither the OVS mutex nor the RTNL, and is in no RCU read section, but for those that it takes itself.
    pub unsafe fn assume() -> Self {
        // INVARIANT: by this function's contract.
        Self(NotThreadSafe)
    }

    /// Lets others run between two parts of long work, if there are any. May sleep.
    pub fn cond_resched(&self) {
        sys::cond_resched();
    }
}

/// Evidence that BH is disabled and that this is an RCU read section; knows the CPU it is on.
///
/// # Invariants
///
/// While it lives, this thread is in an RCU read section with BH disabled on CPU `cpu`, whose
/// per-CPU data lie at `offset`.
pub struct BhGuard {
    cpu: u32,
    offset: usize,
    _bound: NotThreadSafe,
}

impl BhGuard {
    /// Disables BH and takes the RCU read lock until the section is dropped.
    pub fn enter() -> BhSection {
        sys::local_bh_disable();
        let rcu = RcuGuard::new();
        // SAFETY: both done just above; `BhSection` undoes them when it drops.
        let bh = unsafe { BhGuard::assume() };
        BhSection {
            _rcu: rcu,
            bh,
            _undo: EnableBh,
        }
    }

    /// For code that the kernel calls in such a context: costs nothing but the CPU's number.
    ///
    /// # Safety
    ///
    /// While the guard lives, this thread is in an RCU read section with BH disabled.
    #[inline]
    pub unsafe fn assume() -> BhGuard {
        let (cpu, offset) = sys::this_cpu();
        // INVARIANT: by this function's contract; BH disabled means no migration.
        BhGuard {
            cpu,
            offset,
            _bound: NotThreadSafe,
        }
    }

    /// The RCU read section.
    #[inline]
    pub fn rcu(&self) -> &RcuGuard {
        const { assert!(core::mem::size_of::<RcuGuard>() == 0) };
        // SAFETY: the type has no bytes, so the aligned dangling pointer is readable; it is
        // evidence of a read section, which holds by the invariant.
        unsafe { NonNull::dangling().as_ref() }
    }

    /// This CPU's number.
    #[inline]
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// What to add to a per-CPU base.
    #[inline]
    pub(super) fn offset(&self) -> usize {
        self.offset
    }
}

/// A [`BhGuard`] that ends its section when dropped. Field order is drop order.
pub struct BhSection {
    _rcu: RcuGuard,
    bh: BhGuard,
    _undo: EnableBh,
}

impl Deref for BhSection {
    type Target = BhGuard;
    #[inline]
    fn deref(&self) -> &BhGuard {
        &self.bh
    }
}

struct EnableBh;

impl Drop for EnableBh {
    fn drop(&mut self) {
        // SAFETY: only `BhGuard::enter` makes one, after `local_bh_disable` on this thread.
        unsafe { sys::local_bh_enable() };
    }
}

/// Number of the mutex section: odd while the mutex is held.
#[cfg(not(loom))]
static SECTION: AtomicU32 = AtomicU32::new(0);
#[cfg(loom)]
loom::lazy_static! {
    static ref SECTION: AtomicU32 = AtomicU32::new(0);
}

/// Whether the mutex section with this number may still be going on.
pub(super) fn section_lasts(section: u32) -> bool {
    SECTION.load(Ordering::Acquire) == section
}

/// Evidence that the OVS mutex is held: the only way to change the switch's configuration.
///
/// References read under it stay valid as long as it is borrowed, even if what they point to is
/// removed meanwhile: nothing is freed in the mutex section that retired it
/// ([`Retired`](super::Retired)).
pub struct OvsGuard(
    #[allow(dead_code, reason = "released when dropped")] sys::OvsMutexGuard,
    // Upstream's guard of a lock is Sync, for what it lends. This one is evidence of who changes things.
    #[allow(dead_code, reason = "marker")] NotThreadSafe,
);

impl OvsGuard {
    /// Takes the mutex. May sleep.
    pub fn lock(_ctx: &ProcessContext) -> Self {
        let held = sys::ovs_mutex_lock();
        SECTION.fetch_add(1, Ordering::Relaxed);
        Self(held, NotThreadSafe)
    }

    /// Takes the RTNL too. May sleep.
    pub fn with_rtnl(self) -> OvsRtnl {
        sys::rtnl_lock();
        OvsRtnl {
            ovs: self,
            _rtnl: LeaveRtnl(NotThreadSafe),
        }
    }

    /// The number of this mutex section.
    pub(super) fn section(&self) -> u32 {
        SECTION.load(Ordering::Relaxed)
    }
}

impl Drop for OvsGuard {
    fn drop(&mut self) {
        // Pairs with `section_lasts`: what this section read happens before it is freed. The mutex is released after this.
        SECTION.fetch_add(1, Ordering::Release);
    }
}

/// Evidence that the OVS mutex and the RTNL are held: the only way to make and remove ports.
///
/// There is none for the RTNL alone inside of the mutex, so that no device can be unregistered in
/// a section that ends before the mutex is released. Field order is drop order.
pub struct OvsRtnl {
    ovs: OvsGuard,
    _rtnl: LeaveRtnl,
}

impl Deref for OvsRtnl {
    type Target = OvsGuard;
    fn deref(&self) -> &OvsGuard {
        &self.ovs
    }
}

struct LeaveRtnl(#[allow(dead_code, reason = "marker")] NotThreadSafe);

impl Drop for LeaveRtnl {
    fn drop(&mut self) {
        // SAFETY: only `OvsGuard::with_rtnl` makes one, after `rtnl_lock` on this thread.
        unsafe { sys::rtnl_unlock() };
    }
}

/// Compiles only while none of the types is `Send` or `Sync`, whatever `kernel` crate they are made of.
macro_rules! bound_to_their_threads {
    ($($token:ty),+) => {
        const _: () = {
            trait Bound<Why> {
                const OK: () = ();
            }
            impl<T> Bound<()> for T {}
            struct IsSend;
            impl<T: Send> Bound<IsSend> for T {}
            struct IsSync;
            impl<T: Sync> Bound<IsSync> for T {}
            // Ambiguous with a second implementation.
            $(const _: () = <$token as Bound<_>>::OK;)+
        };
    };
}
bound_to_their_threads!(
    ProcessContext,
    RcuGuard,
    BhGuard,
    BhSection,
    OvsGuard,
    OvsRtnl
);
