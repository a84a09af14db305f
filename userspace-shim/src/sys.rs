// SPDX-License-Identifier: GPL-2.0
//! Leaf primitives that upstream's `kernel` crate lacks, on `std`.
//!
//! Kernel counterpart: `rust/sync/sys_kernel.rs`, with the same names and meanings. `testing` is
//! the only addition. Only `rust/sync` and the shell should call these; everybody else uses the
//! types of `rust/sync`.

use core::{
    cell::{Cell, UnsafeCell},
    ffi::{c_ulong, c_void, CStr},
};
use kernel::{
    alloc::{AllocError, Flags},
    testing::{rcu, RawMutex},
    types::NotThreadSafe,
};
use std::{
    alloc::Layout,
    sync::{Condvar, Mutex, PoisonError},
};

/// Storage that `call_rcu` needs inside an object. Layout of C's `struct rcu_head`.
#[repr(C, align(8))]
pub struct RcuHead(UnsafeCell<[usize; 2]>);

impl RcuHead {
    /// A head that is not queued.
    #[inline]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 2]))
    }
}

impl Default for RcuHead {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: only `call_rcu` touches it, and its caller owns the object exclusively.
unsafe impl Send for RcuHead {}
// SAFETY: as above.
unsafe impl Sync for RcuHead {}

/// What runs after a grace period: in softirq context, may not sleep.
pub type RcuCallback = unsafe extern "C" fn(*mut RcuHead);

/// Queues `func(head)` for after a grace period.
///
/// # Safety
///
/// `head` stays valid and unused by others until `func` runs, and `func(head)` is then sound on
/// any thread.
pub unsafe fn call_rcu(head: *mut RcuHead, func: RcuCallback) {
    let head = head as usize;
    // SAFETY: by this function's contract.
    rcu::call(move || unsafe { func(head as *mut RcuHead) });
}

/// Waits until all queued callbacks have run. May sleep.
pub fn rcu_barrier() {
    rcu::barrier();
}

/// Waits for a grace period. May sleep.
pub fn synchronize_rcu() {
    rcu::synchronize();
}

/// Cookie for [`poll_state_synchronize_rcu`].
pub fn get_state_synchronize_rcu() -> c_ulong {
    rcu::get_state()
}

/// Whether a grace period has passed since the cookie was taken.
pub fn poll_state_synchronize_rcu(state: c_ulong) -> bool {
    rcu::poll_state(state)
}

/// Memory of any size, aligned to 8; null on failure. Only `GFP_KERNEL` flags.
pub fn kvmalloc(size: usize, flags: Flags) -> *mut u8 {
    let Some(layout) = sized(size) else {
        return core::ptr::null_mut();
    };
    let Ok(v) = kernel::alloc::KVec::<u64>::with_capacity(layout.size() / 8, flags) else {
        return core::ptr::null_mut();
    };
    let mut v = core::mem::ManuallyDrop::new(v);
    let base = v.as_mut_ptr();
    // SAFETY: the vector has at least one word of capacity.
    unsafe {
        base.write(v.capacity() as u64);
        base.add(1).cast()
    }
}

/// `size` and a word in front of it that remembers the size.
fn sized(size: usize) -> Option<Layout> {
    Layout::array::<u64>(size.div_ceil(8).checked_add(1)?).ok()
}

/// Frees what [`kvmalloc`] returned. Any context.
///
/// # Safety
///
/// `ptr` came from `kvmalloc` and is not used again.
pub unsafe fn kvfree(ptr: *mut u8) {
    // SAFETY: `kvmalloc` put the capacity in front and forgot a vector of just that capacity.
    unsafe {
        let base = ptr.cast::<u64>().sub(1);
        let words = base.read() as usize;
        free_words(base, words);
    }
}

/// # Safety
///
/// `base` came from a forgotten `KVec<u64>` with capacity `words`.
unsafe fn free_words(base: *mut u64, words: usize) {
    use kernel::alloc::{allocator::Kmalloc, Allocator};
    if let (Some(base), Ok(layout)) = (core::ptr::NonNull::new(base), Layout::array::<u64>(words)) {
        // SAFETY: that vector's allocation, by this function's contract.
        unsafe { Kmalloc::free(base.cast(), layout) }
    }
}

/// No slab caches here: null stands for `kmalloc`.
pub fn slab_create(_name: &CStr, _size: usize, _align: usize) -> Result<*mut c_void, AllocError> {
    Ok(core::ptr::null_mut())
}

/// Allocates an object; null on failure.
///
/// # Safety
///
/// `cache` came from [`slab_create`] and is not destroyed.
pub unsafe fn slab_alloc(_cache: *mut c_void, _flags: Flags) -> *mut u8 {
    core::ptr::null_mut()
}

/// Destroys a cache whose objects are all freed.
///
/// # Safety
///
/// `cache` came from [`slab_create`] and is not used again.
pub unsafe fn slab_destroy(_cache: *mut c_void) {}

/// CPUs of the pretended machine.
const CPUS: u32 = 4;
/// Distance between the copies of per-CPU memory, and so the largest per-CPU object.
const STRIDE: usize = 64 << 10;

/// One more than the highest CPU number.
#[inline]
pub fn nr_cpu_ids() -> u32 {
    CPUS
}

/// Whether the CPU may ever come online.
#[inline]
pub fn cpu_possible(cpu: u32) -> bool {
    cpu < CPUS
}

/// What to add to a per-CPU base to get `cpu`'s copy.
#[inline]
pub fn per_cpu_offset(cpu: u32) -> usize {
    cpu as usize * STRIDE
}

/// The current CPU's number and offset.
#[inline]
pub fn this_cpu() -> (u32, usize) {
    let cpu = testing::CPU.get();
    (cpu, per_cpu_offset(cpu))
}

/// Zeroed memory for each CPU; null on failure. The result is a base for [`per_cpu_offset`].
pub fn alloc_percpu(size: usize, align: usize, flags: Flags) -> *mut u8 {
    if size > STRIDE || align > 4096 {
        return core::ptr::null_mut();
    }
    use kernel::alloc::{allocator::Kmalloc, Allocator};
    match Kmalloc::alloc(percpu_layout(), flags | kernel::alloc::flags::__GFP_ZERO) {
        Ok(p) => p.as_ptr(),
        Err(_) => core::ptr::null_mut(),
    }
}

fn percpu_layout() -> Layout {
    // PANIC: constants.
    Layout::from_size_align(CPUS as usize * STRIDE, 4096).expect("constant layout")
}

/// Frees what [`alloc_percpu`] returned. Any context.
///
/// # Safety
///
/// `base` came from `alloc_percpu` and no copy is used again.
pub unsafe fn free_percpu(base: *mut u8) {
    use kernel::alloc::{allocator::Kmalloc, Allocator};
    if let Some(base) = core::ptr::NonNull::new(base) {
        // SAFETY: `alloc_percpu` used this layout.
        unsafe { Kmalloc::free(base, percpu_layout()) }
    }
}

/// Which of the pretended CPUs are inside a BH section.
static BH: (Mutex<[bool; CPUS as usize]>, Condvar) =
    (Mutex::new([false; CPUS as usize]), Condvar::new());

thread_local! {
    static BH_DEPTH: Cell<u32> = const { Cell::new(0) };
    static BH_SECTIONS: Cell<u32> = const { Cell::new(0) };
}

/// Keeps softirqs and other threads off this CPU.
///
/// Threads on the same pretended CPU exclude each other, which gives per-CPU data its single user.
/// So a thread that another one waits for in a BH section must be on another CPU.
pub fn local_bh_disable() {
    let depth = BH_DEPTH.get();
    BH_DEPTH.set(depth + 1);
    let cpu = testing::CPU.get() as usize;
    if depth != 0 {
        return;
    }
    BH_SECTIONS.set(BH_SECTIONS.get() + 1);
    let mut busy = BH.0.lock().unwrap_or_else(PoisonError::into_inner);
    while busy[cpu] {
        busy = BH.1.wait(busy).unwrap_or_else(PoisonError::into_inner);
    }
    busy[cpu] = true;
}

/// Undoes [`local_bh_disable`].
///
/// # Safety
///
/// Pairs with a `local_bh_disable` of this thread.
pub unsafe fn local_bh_enable() {
    let depth = BH_DEPTH.get() - 1;
    BH_DEPTH.set(depth);
    if depth == 0 {
        BH.0.lock().unwrap_or_else(PoisonError::into_inner)[testing::CPU.get() as usize] = false;
        BH.1.notify_all();
    }
}

#[cfg(loom)]
use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
};
#[cfg(not(loom))]
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::yield_now as spin_loop,
};

/// A spinlock.
pub struct RawSpinLock(AtomicBool);

impl RawSpinLock {
    /// A lock that nobody holds.
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Takes the lock. With BH disabled; spins.
    pub fn lock(&self) {
        nest_spin_lock(true);
        while self
            .0
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            spin_loop();
        }
    }

    /// Releases it.
    ///
    /// # Safety
    ///
    /// This thread holds it.
    pub unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Release);
        nest_spin_lock(false);
    }
}

impl Default for RawSpinLock {
    fn default() -> Self {
        Self::new()
    }
}

/// Fails if this thread takes a spinlock inside of a spinlock: each is a leaf.
#[cfg(not(loom))]
fn nest_spin_lock(take: bool) {
    thread_local! {
        static HELD: Cell<bool> = const { Cell::new(false) };
    }
    assert!(!(take && HELD.get()), "a spinlock inside of a spinlock");
    HELD.set(take);
}

/// Loom's threads share the machine's.
#[cfg(loom)]
fn nest_spin_lock(_take: bool) {}

#[cfg(not(loom))]
static OVS_MUTEX: RawMutex = RawMutex::new();
#[cfg(not(loom))]
static RTNL: RawMutex = RawMutex::new();

#[cfg(loom)]
loom::lazy_static! {
    static ref OVS_MUTEX: RawMutex = RawMutex::new();
    static ref RTNL: RawMutex = RawMutex::new();
}

thread_local! {
    static MUTEX_HELD: Cell<bool> = const { Cell::new(false) };
    static RTNL_HELD: Cell<bool> = const { Cell::new(false) };
}

/// What holds for every lock that may sleep.
pub(crate) fn may_sleep() {
    assert!(!rcu::read_lock_held(), "sleeping lock in a read section");
    assert_eq!(BH_DEPTH.get(), 0, "sleeping lock with BH disabled");
}

/// Evidence that this thread holds the mutex, until it is dropped.
pub struct OvsMutexGuard(NotThreadSafe);

/// Takes the mutex that serialises all changes. May sleep.
pub fn ovs_mutex_lock() -> OvsMutexGuard {
    may_sleep();
    assert!(!MUTEX_HELD.get(), "deadlock: this thread holds the mutex");
    assert!(!RTNL_HELD.get(), "lock order: the mutex under the RTNL");
    OVS_MUTEX.lock();
    MUTEX_HELD.set(true);
    OvsMutexGuard(NotThreadSafe)
}

impl Drop for OvsMutexGuard {
    fn drop(&mut self) {
        MUTEX_HELD.set(false);
        OVS_MUTEX.unlock();
    }
}

/// Lets others run: what [`testing::on_resched`] has said. May sleep.
pub fn cond_resched() {
    may_sleep();
    testing::RESCHED.with_borrow_mut(|run| {
        if let Some(run) = run {
            run();
        }
    });
}

/// Takes the RTNL. May sleep; nests inside the OVS mutex.
pub fn rtnl_lock() {
    may_sleep();
    assert!(!RTNL_HELD.get(), "deadlock: this thread holds the RTNL");
    RTNL.lock();
    RTNL_HELD.set(true);
}

/// Releases it, and then does what had to wait for that ([`testing::after_rtnl`]).
///
/// # Safety
///
/// This thread holds it.
pub unsafe fn rtnl_unlock() {
    RTNL_HELD.set(false);
    RTNL.unlock();
    for wait in testing::TODO.take() {
        assert!(
            !MUTEX_HELD.get(),
            "deadlock: waits for references under the mutex, which their owners may need"
        );
        wait();
    }
}

/// [`rtnl_unlock`] for the pretended kernel, which is safe code: fails if this thread does not hold it.
pub fn release_rtnl() {
    assert!(RTNL_HELD.get(), "not under the RTNL");
    // SAFETY: held by this thread.
    unsafe { rtnl_unlock() };
}

/// A random number, repeatable per thread.
pub fn get_random_u32() -> u32 {
    testing::RANDOM.with(|r| {
        // Splitmix64.
        let x = r.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        r.set(x);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x >> 32) as u32
    })
}

/// Ticks since boot, of 1 ms here.
#[inline]
pub fn jiffies() -> c_ulong {
    testing::NOW.get()
}

/// Milliseconds in a number of ticks.
#[inline]
pub fn jiffies_to_msecs(j: c_ulong) -> u32 {
    j as u32
}

/// Milliseconds since boot on the monotonic clock.
#[inline]
pub fn monotonic_ms() -> u64 {
    testing::NOW.get()
}

/// Bytes of memory that the kernel's buffers may come from.
pub fn buffer_memory() -> u64 {
    testing::MEMORY.get()
}

/// Whether the network's log rate limit lets one more line through.
pub fn net_ratelimit() -> bool {
    true
}

/// What tests may set.
pub mod testing {
    use super::{Cell, CPUS};
    use crate::rust::sync::ProcessContext;
    use core::cell::RefCell;

    thread_local! {
        pub(super) static TODO: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
        pub(super) static RESCHED: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
        pub(super) static CPU: Cell<u32> = const { Cell::new(0) };
        pub(super) static NOW: Cell<u64> = const { Cell::new(100_000) };
        pub(super) static RANDOM: Cell<u64> = const { Cell::new(1) };
        pub(super) static MEMORY: Cell<u64> = const { Cell::new(64 << 30) };
    }

    /// Has `wait` run when this thread releases the RTNL, as `netdev_run_todo` does: whoever holds the mutex then fails.
    pub fn after_rtnl(wait: impl FnOnce() + 'static) {
        assert!(super::RTNL_HELD.get(), "not under the RTNL");
        TODO.with_borrow_mut(|todo| todo.push(Box::new(wait)));
    }

    /// Has `run` stand for the others whenever this thread lets them run.
    pub fn on_resched(run: impl FnMut() + 'static) {
        RESCHED.set(Some(Box::new(run)));
    }

    /// What the kernel's entries get from the kernel. Fails in a read section or with BH disabled.
    pub fn process_context() -> ProcessContext {
        super::may_sleep();
        // SAFETY: just checked; a thread of userspace has no other context.
        unsafe { ProcessContext::assume() }
    }

    /// Moves this thread to another pretended CPU (not inside a BH section).
    pub fn set_cpu(cpu: u32) {
        assert!(cpu < CPUS);
        assert_eq!(super::BH_DEPTH.get(), 0, "moved with BH disabled");
        CPU.set(cpu);
    }

    /// How many BH sections this thread has entered since the last call, those inside of others not counted.
    pub fn take_bh_sections() -> u32 {
        super::BH_SECTIONS.replace(0)
    }

    /// Sets this thread's clock, in milliseconds since boot.
    pub fn set_now(ms: u64) {
        NOW.set(ms);
    }

    /// Moves this thread's clock forward.
    pub fn advance(ms: u64) {
        NOW.set(NOW.get() + ms);
    }

    /// Sets the size of the pretended machine's memory for this thread, in bytes.
    pub fn set_memory(bytes: u64) {
        MEMORY.set(bytes);
    }

    /// Seeds this thread's random numbers.
    pub fn seed(seed: u64) {
        RANDOM.set(seed);
    }

    pub use kernel::{
        alloc::testing::{each_failure, fail_nth, fail_pending, live, Account},
        testing::{
            log::{take as take_log, take_warnings},
            rcu::{pending as pending_rcu, run as run_rcu},
        },
    };
}
