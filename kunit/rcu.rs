// SPDX-License-Identifier: GPL-2.0
//! The RCU containers of `rust/sync` under the kernel's RCU: readers in threads of their own, while the values change.
//!
//! C counterpart: none; `kernel/rcu` is what they stand on. All interleavings: `rust/sync/models.rs`, in userspace.

use crate::rust::bindings;
use crate::rust::sync::{
    rcu_barrier, BhGuard, ListBox, OvsGuard, ProcessContext, RcuBox, RcuGuard, RcuList, RcuSlot,
};
use crate::sys;
use core::ffi::{c_int, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;

/// What a value bears while it lives.
const ALIVE: u32 = 0x600d_600d;

/// A value that readers can tell from one that is gone, and that counts its drops.
struct Value {
    number: u32,
    state: AtomicU32,
    twin: u32,
    drops: &'static AtomicU32,
}

impl Value {
    fn new(number: u32, drops: &'static AtomicU32) -> Self {
        Self {
            number,
            state: AtomicU32::new(ALIVE),
            twin: !number,
            drops,
        }
    }

    fn is_whole(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ALIVE && self.twin == !self.number
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.state.store(0, Ordering::Relaxed);
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

/// What readers look at, and what they have seen.
struct Watched<T> {
    what: T,
    looks: AtomicU32,
    broken: AtomicU32,
}

impl<T> Watched<T> {
    fn new(what: T) -> Self {
        Self {
            what,
            looks: AtomicU32::new(0),
            broken: AtomicU32::new(0),
        }
    }

    fn note(&self, whole: bool) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        if !whole {
            self.broken.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A thread that runs a function with a `Watched<T>` until it is stopped.
pub(super) struct Reader(NonNull<c_void>);

impl Reader {
    /// A thread that runs any function until [`ends`].
    ///
    /// # Safety
    ///
    /// `f` takes a pointer to a `T`, does not change it but as several threads may, and `what` outlives the thread.
    pub(super) unsafe fn run<T>(
        f: unsafe extern "C" fn(*mut c_void) -> c_int,
        what: &T,
    ) -> Result<Self> {
        let arg = core::ptr::from_ref(what).cast_mut().cast();
        // SAFETY: by the caller.
        let task = unsafe { bindings::rust_helper_kunit_thread(Some(f), arg) };
        NonNull::new(task).map(Self).ok_or(ENOMEM)
    }

    /// # Safety
    ///
    /// `f` takes a pointer to a `Watched<T>`, and `watched` outlives the reader.
    unsafe fn start<T>(
        f: unsafe extern "C" fn(*mut c_void) -> c_int,
        watched: &Watched<T>,
    ) -> Result<Self> {
        // SAFETY: by the caller.
        unsafe { Self::run(f, watched) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // SAFETY: a thread of ours, stopped once.
        unsafe { bindings::rust_helper_kunit_thread_stop(self.0.as_ptr()) };
    }
}

/// Whether this thread shall end.
pub(super) fn ends() -> bool {
    // SAFETY: called in a thread that `Reader::start` made, outside of read sections.
    unsafe { bindings::rust_helper_kunit_thread_ends() }
}

/// Reads the slot with BH disabled until the thread shall end.
///
/// # Safety
///
/// `arg` is as `Reader::start` says.
unsafe extern "C" fn read_slot_in_bh(arg: *mut c_void) -> c_int {
    // SAFETY: by the contract of `Reader::start`.
    let watched = unsafe { &*arg.cast::<Watched<RcuSlot<Value>>>() };
    while !ends() {
        let bh = BhGuard::enter();
        if let Some(value) = watched.what.read(&*bh) {
            watched.note((0..20).all(|_| value.get().is_whole()));
        }
    }
    0
}

/// Reads the slot in RCU sections until the thread shall end.
///
/// # Safety
///
/// `arg` is as `Reader::start` says.
unsafe extern "C" fn read_slot_in_rcu(arg: *mut c_void) -> c_int {
    // SAFETY: by the contract of `Reader::start`.
    let watched = unsafe { &*arg.cast::<Watched<RcuSlot<Value>>>() };
    while !ends() {
        let rcu = RcuGuard::new();
        if let Some(value) = watched.what.read(&rcu) {
            watched.note((0..20).all(|_| value.get().is_whole()));
        }
    }
    0
}

/// Pins what the slot has, and looks at it outside of the section.
///
/// # Safety
///
/// `arg` is as `Reader::start` says.
unsafe extern "C" fn pin_from_slot(arg: *mut c_void) -> c_int {
    // SAFETY: by the contract of `Reader::start`.
    let watched = unsafe { &*arg.cast::<Watched<RcuSlot<Value>>>() };
    while !ends() {
        let rcu = RcuGuard::new();
        let pin = watched.what.read(&rcu).map(|value| value.pin());
        drop(rcu);
        // Outside of the section it lives by the pin alone.
        if let Some(pin) = pin {
            let _ = ends(); // lets others run
            watched.note(pin.as_ref().get().is_whole());
        }
    }
    0
}

/// Walks the list until the thread shall end.
///
/// # Safety
///
/// `arg` is as `Reader::start` says.
unsafe extern "C" fn walk_list(arg: *mut c_void) -> c_int {
    // SAFETY: by the contract of `Reader::start`.
    let watched = unsafe { &*arg.cast::<Watched<RcuList<Value>>>() };
    while !ends() {
        let bh = BhGuard::enter();
        let (mut last, mut whole) = (None, true);
        for value in watched.what.iter(&*bh) {
            // In the order in which they came, each once.
            whole &= value.is_whole() && last < Some(value.number);
            last = Some(value.number);
        }
        watched.note(whole);
    }
    0
}

/// Replaces the slot's value `n` times while `f` runs in two threads; looks and broken ones, drops that are missing.
fn replace_while_reading(
    f: unsafe extern "C" fn(*mut c_void) -> c_int,
    n: u32,
    drops: &'static AtomicU32,
) -> Result<(u32, u32, u32)> {
    // SAFETY: a test runs in process context.
    let ctx = unsafe { ProcessContext::assume() };
    let before = drops.load(Ordering::Relaxed);
    let watched = Watched::new(RcuSlot::new(Some(RcuBox::new(
        Value::new(0, drops),
        GFP_KERNEL,
    )?)));
    // SAFETY: the function is one for slots; `watched` is dropped after the readers.
    let readers = unsafe { [Reader::start(f, &watched)?, Reader::start(f, &watched)?] };
    let mut made = 1;
    // At least so often, and until the readers have had their look.
    while made <= n || watched.looks.load(Ordering::Relaxed) < 100 && made < 100 * n {
        let new = RcuBox::new(Value::new(made, drops), GFP_KERNEL)?;
        let old = watched.what.replace(&OvsGuard::lock(&ctx), Some(new));
        drop(old);
        made += 1;
    }
    drop(readers);
    let (looks, broken) = (
        watched.looks.load(Ordering::Relaxed),
        watched.broken.load(Ordering::Relaxed),
    );
    drop(watched);
    rcu_barrier(&ctx);
    Ok((
        looks,
        broken,
        made - (drops.load(Ordering::Relaxed) - before),
    ))
}

#[kernel::macros::kunit_tests(ovs_rcu)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_large_as_c_says() {
        assert_eq!(
            size_of::<sys::RcuHead>(),
            size_of::<bindings::callback_head>()
        );
        assert!(align_of::<sys::RcuHead>() >= align_of::<bindings::callback_head>());
    }

    #[test]
    fn a_value_is_freed_after_the_section_that_retired_it() -> Result {
        static DROPS: AtomicU32 = AtomicU32::new(0);
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        let before = DROPS.load(Ordering::Relaxed);
        let new = |n| RcuBox::new(Value::new(n, &DROPS), GFP_KERNEL);
        let slot = RcuSlot::new(Some(new(1)?));
        let second = new(2)?;
        let ovs = OvsGuard::lock(&ctx);
        let seen = slot.read(&ovs);
        drop(slot.replace(&ovs, Some(second)));
        // Grace periods alone do not free it: the section may still refer to it.
        sys::synchronize_rcu();
        sys::rcu_barrier();
        let whole = seen.map(|v| v.get().is_whole() && v.get().number == 1);
        let during = DROPS.load(Ordering::Relaxed) - before;
        drop(ovs);
        rcu_barrier(&ctx);
        let after = DROPS.load(Ordering::Relaxed) - before;
        drop(slot);
        assert_eq!((whole, during, after), (Some(true), 0, 1));
        assert_eq!(DROPS.load(Ordering::Relaxed) - before, 2);
        Ok(())
    }

    #[test]
    fn a_grace_period_is_seen_to_pass() {
        let cookie = sys::get_state_synchronize_rcu();
        sys::synchronize_rcu();
        assert!(sys::poll_state_synchronize_rcu(cookie));
    }

    #[test]
    fn a_grace_period_waits_for_readers() {
        let cookie = {
            let bh = BhGuard::enter();
            let cookie = sys::get_state_synchronize_rcu();
            let passed = sys::poll_state_synchronize_rcu(cookie);
            drop(bh);
            (cookie, passed)
        };
        assert!(!cookie.1);
        sys::synchronize_rcu();
        assert!(sys::poll_state_synchronize_rcu(cookie.0));
    }

    #[test]
    fn readers_with_bh_disabled_see_whole_values() -> Result {
        static DROPS: AtomicU32 = AtomicU32::new(0);
        let (looks, broken, missing) = replace_while_reading(read_slot_in_bh, 3000, &DROPS)?;
        assert!(looks >= 100);
        assert_eq!((broken, missing), (0, 0));
        Ok(())
    }

    #[test]
    fn readers_in_rcu_sections_see_whole_values() -> Result {
        static DROPS: AtomicU32 = AtomicU32::new(0);
        let (looks, broken, missing) = replace_while_reading(read_slot_in_rcu, 3000, &DROPS)?;
        assert!(looks >= 100);
        assert_eq!((broken, missing), (0, 0));
        Ok(())
    }

    #[test]
    fn pinned_values_outlive_their_section() -> Result {
        static DROPS: AtomicU32 = AtomicU32::new(0);
        let (looks, broken, missing) = replace_while_reading(pin_from_slot, 3000, &DROPS)?;
        assert!(looks >= 100);
        assert_eq!((broken, missing), (0, 0));
        Ok(())
    }

    #[test]
    fn a_list_is_walked_while_it_changes() -> Result {
        static DROPS: AtomicU32 = AtomicU32::new(0);
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        let before = DROPS.load(Ordering::Relaxed);
        let watched = Watched::new(RcuList::new());
        // SAFETY: a function for lists; `watched` is dropped after the readers.
        let readers = unsafe {
            [
                Reader::start(walk_list, &watched)?,
                Reader::start(walk_list, &watched)?,
            ]
        };
        let mut made = 0;
        while made < 3000 || watched.looks.load(Ordering::Relaxed) < 100 && made < 300_000 {
            let entry = ListBox::new(Value::new(made, &DROPS), GFP_KERNEL)?;
            watched.what.push(&OvsGuard::lock(&ctx), entry);
            made += 1;
            // From the middle, in an order that is not that of coming.
            if made > 8 {
                let victim = made - 1 - (made * 5) % 8;
                let gone = watched
                    .what
                    .remove(&OvsGuard::lock(&ctx), |v| v.number >= victim);
                drop(gone);
            }
        }
        drop(readers);
        let (looks, broken) = (
            watched.looks.load(Ordering::Relaxed),
            watched.broken.load(Ordering::Relaxed),
        );
        drop(watched);
        rcu_barrier(&ctx);
        assert!(looks >= 100);
        assert_eq!(broken, 0);
        assert_eq!(DROPS.load(Ordering::Relaxed) - before, made);
        Ok(())
    }
}
