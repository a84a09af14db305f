// SPDX-License-Identifier: GPL-2.0
//! Leaf primitives that upstream's `kernel` crate lacks, in the kernel: `crate::sys`.
//!
//! Userspace counterpart: `userspace-shim/src/sys.rs`, with the same names and meanings. C half:
//! `rust/helpers/sync.c`. Only `rust/` and the shell should call these; everybody else uses the
//! types of `rust/sync`.

use crate::rust::bindings as c;
use core::{
    cell::UnsafeCell,
    ffi::{c_ulong, c_void, CStr},
    mem, ptr,
};
use kernel::{
    alloc::{
        flags::{__GFP_NOWARN, GFP_ATOMIC, GFP_KERNEL},
        AllocError, Flags,
    },
    prelude::*,
    sync::GlobalGuard,
};

/// Storage that `call_rcu` needs inside an object: C's `struct rcu_head`.
#[repr(C, align(8))]
pub struct RcuHead(UnsafeCell<c::callback_head>);

impl RcuHead {
    /// A head that is not queued.
    #[inline]
    pub const fn new() -> Self {
        Self(UnsafeCell::new(c::callback_head {
            next: ptr::null_mut(),
            func: None,
        }))
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
#[inline]
pub unsafe fn call_rcu(head: *mut RcuHead, func: RcuCallback) {
    // SAFETY: by this function's contract. A pointer to `RcuHead` is one to its only field, for `func` as well.
    unsafe {
        let func = mem::transmute::<RcuCallback, unsafe extern "C" fn(*mut c::callback_head)>(func);
        c::rust_helper_call_rcu(head.cast(), Some(func))
    }
}

/// Waits until all queued callbacks have run. May sleep.
pub fn rcu_barrier() {
    // SAFETY: `rust/sync`, the only caller, has evidence that it may sleep (`MaySleep`).
    unsafe { c::rcu_barrier() }
}

/// Waits for a grace period. May sleep.
pub fn synchronize_rcu() {
    // SAFETY: `rust/sync`, the only caller, has evidence that it may sleep (`MaySleep`).
    unsafe { c::rust_helper_synchronize_rcu() }
}

/// Cookie for [`poll_state_synchronize_rcu`].
pub fn get_state_synchronize_rcu() -> c_ulong {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_get_state_synchronize_rcu() }
}

/// Whether a grace period has passed since the cookie was taken.
pub fn poll_state_synchronize_rcu(state: c_ulong) -> bool {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_poll_state_synchronize_rcu(state) }
}

/// Memory of any size, aligned to 8; null on failure. Only `GFP_KERNEL` flags.
pub fn kvmalloc(size: usize, flags: Flags) -> *mut u8 {
    // SAFETY: any size will do.
    unsafe { c::rust_helper_kvmalloc(size, bits(flags)) }.cast()
}

/// Frees what [`kvmalloc`] returned. Any context but NMI.
///
/// # Safety
///
/// `ptr` came from `kvmalloc` and is not used again.
pub unsafe fn kvfree(ptr: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { c::kvfree(ptr.cast()) }
}

/// The helpers' numbering (`ovs_gfp()`), which need not be that of the `kernel` crate.
fn bits(flags: Flags) -> u32 {
    if may_sleep(flags) {
        1 | u32::from(flags.contains(__GFP_NOWARN)) << 3
    } else if flags.contains(GFP_ATOMIC) {
        1 << 1
    } else {
        1 << 5 | 1 << 3 // GFP_NOWAIT, without a warning.
    }
}

fn may_sleep(flags: Flags) -> bool {
    flags.contains(GFP_KERNEL)
}

/// A slab cache that is not merged with others, so that its name shows in `/proc/slabinfo`.
pub fn slab_create(name: &CStr, size: usize, align: usize) -> Result<*mut c_void, AllocError> {
    // SAFETY: the name ends with a NUL and is copied; `align` is a power of two.
    let cache = unsafe {
        c::rust_helper_slab_create(name.to_bytes_with_nul().as_ptr().cast(), size, align)
    };
    if cache.is_null() {
        return Err(AllocError);
    }
    Ok(cache)
}

/// Allocates an object; null on failure. `kfree` frees it.
///
/// # Safety
///
/// `cache` came from [`slab_create`] and is not destroyed.
pub unsafe fn slab_alloc(cache: *mut c_void, flags: Flags) -> *mut u8 {
    // SAFETY: by this function's contract.
    unsafe { c::rust_helper_slab_alloc(cache, bits(flags)) }.cast()
}

/// Destroys a cache whose objects are all freed.
///
/// # Safety
///
/// `cache` came from [`slab_create`] and is not used again.
pub unsafe fn slab_destroy(cache: *mut c_void) {
    // SAFETY: by this function's contract.
    unsafe { c::kmem_cache_destroy(cache.cast()) }
}

/// One more than the highest CPU number.
pub fn nr_cpu_ids() -> u32 {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_nr_cpu_ids() }
}

/// Whether the CPU may ever come online. `cpu` is below [`nr_cpu_ids`].
pub fn cpu_possible(cpu: u32) -> bool {
    // SAFETY: in range by this function's contract.
    unsafe { c::rust_helper_cpu_possible(cpu) }
}

/// What to add to a per-CPU base to get `cpu`'s copy. `cpu` is possible.
pub fn per_cpu_offset(cpu: u32) -> usize {
    // SAFETY: in range by this function's contract.
    unsafe { c::rust_helper_per_cpu_offset(cpu) }
}

/// The current CPU's number and offset. On x86 read from per-CPU variables, as C's macros do; no call.
///
/// Not `nomem`, so that no read moves up over the call that disables BH.
#[cfg(any(HAVE_PCPU_HOT, HAVE_CPU_NUMBER))]
#[inline(always)]
pub fn this_cpu() -> (u32, usize) {
    let cpu = cpu_number();
    let offset: usize;
    // SAFETY: an exported per-CPU variable of this size.
    unsafe {
        core::arch::asm!("mov {}, qword ptr gs:[this_cpu_off]", out(reg) offset,
            options(pure, readonly, nostack, preserves_flags));
    }
    (cpu, offset)
}

/// The same where there are no such variables: on UML.
#[cfg(not(any(HAVE_PCPU_HOT, HAVE_CPU_NUMBER)))]
#[inline(always)]
pub fn this_cpu() -> (u32, usize) {
    // SAFETY: always allowed.
    let cpu = unsafe { c::rust_helper_this_cpu() };
    (cpu, per_cpu_offset(cpu))
}

#[cfg(HAVE_PCPU_HOT)]
#[inline(always)]
fn cpu_number() -> u32 {
    let cpu: u32;
    // SAFETY: an exported per-CPU variable with a number of this size there (features.list, sync.c).
    unsafe {
        core::arch::asm!("mov {:e}, dword ptr gs:[pcpu_hot + 12]", out(reg) cpu,
            options(pure, readonly, nostack, preserves_flags));
    }
    cpu
}

#[cfg(all(HAVE_CPU_NUMBER, not(HAVE_PCPU_HOT)))]
#[inline(always)]
fn cpu_number() -> u32 {
    let cpu: u32;
    // SAFETY: an exported per-CPU variable of this size (features.list).
    unsafe {
        core::arch::asm!("mov {:e}, dword ptr gs:[cpu_number]", out(reg) cpu,
            options(pure, readonly, nostack, preserves_flags));
    }
    cpu
}

/// Zeroed memory for each CPU; null on failure. The result is a base for [`per_cpu_offset`].
pub fn alloc_percpu(size: usize, align: usize, flags: Flags) -> *mut u8 {
    // SAFETY: any size and alignment will do.
    unsafe { c::rust_helper_alloc_percpu(size, align, may_sleep(flags)) }.cast()
}

/// Frees what [`alloc_percpu`] returned. Any context.
///
/// # Safety
///
/// `base` came from `alloc_percpu` and no copy is used again.
pub unsafe fn free_percpu(base: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { c::rust_helper_free_percpu(base.cast()) }
}

/// Keeps softirqs off this CPU.
pub fn local_bh_disable() {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_local_bh_disable() }
}

/// Undoes [`local_bh_disable`].
///
/// # Safety
///
/// Pairs with a `local_bh_disable` of this thread.
pub unsafe fn local_bh_enable() {
    // SAFETY: by this function's contract.
    unsafe { c::rust_helper_local_bh_enable() }
}

/// A spinlock: C's `spinlock_t`.
///
/// Movable as long as nobody holds it: then it is numbers and, with lock debugging, pointers to what is static.
#[repr(transparent)]
pub struct RawSpinLock(UnsafeCell<c::spinlock_t>);

// SAFETY: made for being taken on any thread.
unsafe impl Send for RawSpinLock {}
// SAFETY: as above.
unsafe impl Sync for RawSpinLock {}

impl RawSpinLock {
    /// A lock that nobody holds.
    pub fn new() -> Self {
        let mut raw = mem::MaybeUninit::uninit();
        // SAFETY: the helper writes all of the lock, and nobody else knows it yet.
        unsafe {
            c::rust_helper_spin_lock_init(raw.as_mut_ptr());
            Self(UnsafeCell::new(raw.assume_init()))
        }
    }

    /// Takes the lock. With BH disabled; spins.
    #[inline]
    pub fn lock(&self) {
        // SAFETY: initialised by `new`, and a borrowed lock stays where it is.
        unsafe { c::rust_helper_ovs_spin_lock(self.0.get()) }
    }

    /// Releases it.
    ///
    /// # Safety
    ///
    /// This thread holds it.
    #[inline]
    pub unsafe fn unlock(&self) {
        // SAFETY: by this function's contract.
        unsafe { c::rust_helper_ovs_spin_unlock(self.0.get()) }
    }
}

impl Default for RawSpinLock {
    fn default() -> Self {
        Self::new()
    }
}

kernel::sync::global_lock! {
    /// Serialises all changes of the switch's configuration.
    // SAFETY: the module's `init` begins with `OVS_MUTEX.init()`; nothing enters the module before.
    pub unsafe(uninit) static OVS_MUTEX: Mutex<()> = ();
}

/// Evidence that this thread holds the mutex, until it is dropped.
pub type OvsMutexGuard = GlobalGuard<OVS_MUTEX>;

/// Takes the mutex that serialises all changes. May sleep: `rust/sync`, the only caller, has evidence of that (`MaySleep`).
pub fn ovs_mutex_lock() -> OvsMutexGuard {
    OVS_MUTEX.lock()
}

/// Lets others run, if there are any. May sleep.
pub fn cond_resched() {
    // SAFETY: `rust/sync`, the only caller, has evidence that it may sleep (`MaySleep`).
    unsafe { c::rust_helper_cond_resched() }
}

/// Takes the RTNL. May sleep; nests inside the OVS mutex.
pub fn rtnl_lock() {
    // SAFETY: `rust/sync`, the only caller, has evidence that it may sleep (`MaySleep`).
    unsafe { c::rtnl_lock() }
}

/// Releases it.
///
/// # Safety
///
/// This thread holds it.
pub unsafe fn rtnl_unlock() {
    // SAFETY: by this function's contract.
    unsafe { c::rtnl_unlock() }
}

/// A random number.
pub fn get_random_u32() -> u32 {
    // SAFETY: always allowed.
    unsafe { c::get_random_u32() }
}

/// Ticks since boot.
#[inline]
pub fn jiffies() -> c_ulong {
    // SAFETY: an exported variable that only the timer writes, whole words at a time.
    unsafe { ptr::read_volatile(&raw const c::jiffies) }
}

/// Milliseconds in a number of ticks.
pub fn jiffies_to_msecs(j: c_ulong) -> u32 {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_jiffies_to_msecs(j) }
}

/// Milliseconds since boot on the monotonic clock.
pub fn monotonic_ms() -> u64 {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_monotonic_ms() }
}

/// Bytes of memory that the kernel's buffers may come from.
pub fn buffer_memory() -> u64 {
    // SAFETY: always allowed.
    unsafe { c::rust_helper_buffer_memory() }
}

/// Asks rules of tc to tell what they know of packets, or no longer.
pub fn tc_share(on: bool) {
    // SAFETY: the switch's world, the only caller, has evidence that it may sleep (`MaySleep`), and ends what it began.
    unsafe { c::rust_helper_tc_share(on) }
}

/// Whether the network's log rate limit lets one more line through.
pub fn net_ratelimit() -> bool {
    // SAFETY: always allowed.
    unsafe { c::net_ratelimit() != 0 }
}
