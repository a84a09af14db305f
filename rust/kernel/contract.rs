// SPDX-License-Identifier: GPL-2.0
//! What the module expects of any `kernel` crate: uses and tests that the in-tree crate, the
//! stand-in and the userspace shim must all compile: the module's crate has it as a module, in both
//! modes, and the shim's `kernel`. Touches the public contract only.

use kernel::{
    alloc::{flags, AllocError, Flags, KBox, KVBox, KVVec, KVec, VBox, VVec},
    error::{code, to_result, Error, Result},
    prelude::*,
    str::CStr,
    sync::{
        aref::{ARef, AlwaysRefCounted},
        rcu, Arc,
    },
    time::{msecs_to_jiffies, Jiffies},
    types::{NotThreadSafe, Opaque, ScopeGuard},
};

/// Every signature the module relies on, by type.
#[allow(dead_code, clippy::type_complexity, reason = "compiled, not run")]
fn signatures() {
    let _: fn(u8, Flags) -> Result<KBox<u8>, AllocError> = KBox::new;
    let _: fn(u8, Flags) -> Result<VBox<u8>, AllocError> = VBox::new;
    let _: fn(u8, Flags) -> Result<KVBox<u8>, AllocError> = KVBox::new;
    let _: fn(KBox<u8>) -> *mut u8 = KBox::into_raw;
    let _: unsafe fn(*mut u8) -> KBox<u8> = KBox::from_raw;
    let _: fn(KBox<u8>) -> u8 = KBox::into_inner;
    let _: fn(usize, Flags) -> Result<KVec<u8>, AllocError> = KVec::with_capacity;
    let _: fn(usize, Flags) -> Result<KVVec<u8>, AllocError> = KVVec::with_capacity;
    let _: fn(usize, Flags) -> Result<VVec<u8>, AllocError> = VVec::with_capacity;
    let _: fn(&mut KVec<u8>, u8, Flags) -> Result<(), AllocError> = KVec::push;
    let _: fn(&mut KVec<u8>, &[u8], Flags) -> Result<(), AllocError> = KVec::extend_from_slice;
    let _: fn(&mut KVec<u8>, usize, u8, Flags) -> Result<(), AllocError> = KVec::extend_with;
    let _: fn(&mut KVec<u8>, usize, Flags) -> Result<(), AllocError> = KVec::reserve;
    let _: fn(&mut KVec<u8>, usize) = KVec::truncate;
    let _: fn(&mut KVec<u8>) = KVec::clear;
    let _: fn(&mut KVec<u8>) -> Option<u8> = KVec::pop;
    let _: fn(i32) -> Error = Error::from_errno;
    let _: fn(Error) -> i32 = Error::to_errno;
    let _: fn(i32) -> Result = to_result;
    let _: fn() -> rcu::Guard = rcu::read_lock;
    let _: fn(u8, Flags) -> Result<Arc<u8>, AllocError> = Arc::new;
    let _: fn(&Arc<u8>, &Arc<u8>) -> bool = Arc::ptr_eq;
    let _: fn(u32) -> Jiffies = msecs_to_jiffies;
    let _: Opaque<u64> = Opaque::uninit();
    let _: Option<NotThreadSafe> = None;
    let _: &CStr = kernel::c_str!("name");
    let _: [Error; 2] = [code::EINVAL, ENOMEM];
    let _: u8 = ScopeGuard::new_with_data(0u8, |_| ()).dismiss();
    let _: [Flags; 3] = [flags::GFP_KERNEL, flags::GFP_ATOMIC, flags::__GFP_ZERO];
    fn counted<T: AlwaysRefCounted>(a: &ARef<T>) -> ARef<T> {
        a.clone()
    }
    struct One;
    // SAFETY: a static object never goes away.
    unsafe impl AlwaysRefCounted for One {
        fn inc_ref(&self) {}
        unsafe fn dec_ref(_: core::ptr::NonNull<Self>) {}
    }
    let _ = counted::<One>;
    // What `module!` takes.
    struct Loaded;
    impl kernel::Module for Loaded {
        fn init(_: &'static ThisModule) -> Result<Self> {
            Ok(Self)
        }
    }
    let _: fn(&'static ThisModule) -> Result<Loaded> = <Loaded as kernel::Module>::init;
    // What `pr_info!("{}")` and its like print.
    struct Shown;
    impl kernel::fmt::Display for Shown {
        fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
            f.write_str("shown")
        }
    }
    pr_info!("{} {:?}\n", Shown, EINVAL);
}

/// What suites rely on, besides `kernel::macros::kunit_tests`, which makes one of the tests below.
#[cfg(CONFIG_KUNIT = "y")]
#[allow(dead_code, reason = "compiled, not run")]
fn kunit_signatures() {
    let _: fn(()) -> bool = kernel::kunit::is_test_result_ok;
    let _: fn(Result) -> bool = kernel::kunit::is_test_result_ok;
}

static_assert!(size_of::<rcu::Guard>() == 0);
static_assert!(size_of::<Option<KBox<u8>>>() == size_of::<usize>());
static_assert!(size_of::<Option<Arc<u8>>>() == size_of::<usize>());

#[cfg(any(test, CONFIG_KUNIT = "y"))]
#[cfg_attr(not(test), kernel::macros::kunit_tests(ovs_contract))]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_kernels_numbers() {
        let codes = [
            (EPERM, 1),
            (ENOENT, 2),
            (EINTR, 4),
            (EAGAIN, 11),
            (ENOMEM, 12),
            (EBUSY, 16),
            (EEXIST, 17),
            (ENODEV, 19),
            (EINVAL, 22),
            (EFBIG, 27),
            (ERANGE, 34),
            (EPROTO, 71),
            (EOVERFLOW, 75),
            (EMSGSIZE, 90),
            (EOPNOTSUPP, 95),
            (EAFNOSUPPORT, 97),
            (ENETDOWN, 100),
            (ENOBUFS, 105),
            (ENOTCONN, 107),
            (ECONNREFUSED, 111),
            (ERESTARTSYS, 512),
        ];
        for (e, n) in codes {
            assert_eq!(e.to_errno(), -n);
            assert_eq!(Error::from_errno(-n), e);
        }
        assert_eq!(Error::from_errno(7), EINVAL);
        assert_eq!(Error::from(AllocError), code::ENOMEM);
        assert_eq!(to_result(-2), Err(ENOENT));
        assert_eq!(to_result(3), Ok(()));
    }

    #[test]
    fn boxes_own_and_free() -> Result {
        struct Count<'a>(&'a core::cell::Cell<u32>);
        impl Drop for Count<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let n = core::cell::Cell::new(0);
        drop(KBox::new(Count(&n), GFP_KERNEL)?);
        assert_eq!(n.get(), 1);
        let inner = KBox::into_inner(KBox::new(Count(&n), GFP_KERNEL)?);
        assert_eq!(n.get(), 1);
        drop(inner);
        assert_eq!(n.get(), 2);
        let a = Arc::new(Count(&n), GFP_KERNEL)?;
        let b = a.clone();
        drop(a);
        assert_eq!(n.get(), 2);
        drop(b);
        assert_eq!(n.get(), 3);
        let mut v = KVec::new();
        for _ in 0..5 {
            v.push(Count(&n), GFP_KERNEL)?;
        }
        v.truncate(4);
        assert_eq!(n.get(), 4);
        let mut it = v.into_iter();
        drop(it.next());
        assert_eq!(n.get(), 5);
        drop(it);
        assert_eq!(n.get(), 8);
        Ok(())
    }

    #[test]
    fn vectors_behave_like_arrays() -> Result {
        let mut v = KVec::with_capacity(2, GFP_KERNEL)?;
        v.extend_from_slice(&[1u16, 2, 3], GFP_ATOMIC)?;
        v.push(4, GFP_KERNEL)?;
        v.extend_with(2, 9, GFP_KERNEL)?;
        assert_eq!(v, [1, 2, 3, 4, 9, 9]);
        assert_eq!(v.pop(), Some(9));
        assert!(matches!(v.remove(1), Ok(2)));
        assert!(v.remove(9).is_err());
        v.retain(|x| *x != 3);
        assert_eq!(&v[..], &[1, 4, 9]);
        v.resize(5, 7, GFP_KERNEL)?;
        v.resize(4, 0, GFP_KERNEL)?;
        assert_eq!(v.iter().sum::<u16>(), 21);
        assert!(v.into_iter().eq([1, 4, 9, 7]));
        let mut zst = KVec::new();
        zst.extend_with(1000, (), GFP_KERNEL)?;
        assert_eq!(zst.into_iter().count(), 1000);
        let aligned = KBox::new(Aligned([7; 40]), GFP_KERNEL)?;
        assert_eq!(core::ptr::from_ref(&*aligned).align_offset(64), 0);
        Ok(())
    }

    #[repr(align(64))]
    struct Aligned(#[allow(dead_code, reason = "only its address matters")] [u8; 40]);

    kernel::sync::global_lock! {
        // SAFETY: the only test that has it begins with `init`.
        unsafe(uninit) static LOCKED_COUNT: Mutex<u32> = 5;
    }

    #[test]
    fn global_locks_guard_their_values() {
        use core::sync::atomic::{AtomicBool, Ordering};
        static READY: AtomicBool = AtomicBool::new(false); // suites can be run again
        if !READY.swap(true, Ordering::Relaxed) {
            // SAFETY: only the first time.
            unsafe { LOCKED_COUNT.init() };
        }
        let mut n = LOCKED_COUNT.lock();
        let before = *n;
        *n += 1;
        drop(n);
        assert_eq!(*LOCKED_COUNT.lock(), before + 1);
    }

    #[test]
    fn scope_guards_run_unless_dismissed() {
        let mut n = 0;
        drop(ScopeGuard::new(|| n += 1));
        assert_eq!(n, 1);
        let ran = core::cell::Cell::new(false);
        let guard = ScopeGuard::new_with_data(5, |_| ran.set(true));
        assert_eq!(guard.dismiss(), 5);
        assert!(!ran.get());
    }
}
