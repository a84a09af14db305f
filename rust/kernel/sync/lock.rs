// SPDX-License-Identifier: GPL-2.0
//! [`global_lock!`]: a mutex for as long as the module is loaded.
//!
//! C counterpart: a `struct mutex` in static memory, and `mutex_init()`. Of upstream's locks the stand-in has this one.

use super::LockClassKey;
use crate::{
    leaf::{self, Mutex},
    str::CStr,
    types::{NotThreadSafe, Opaque},
};
use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
    pin::Pin,
};

/// What [`global_lock!`] says of a lock by a type of the lock's own.
pub trait GlobalLockBackend: 'static {
    /// What lockdep calls it.
    const NAME: &'static CStr;
    /// What it guards.
    type Item: 'static;
    /// Its lockdep class.
    fn get_lock_class() -> Pin<&'static LockClassKey>;
}

/// A mutex in static memory and what it guards. Made by [`global_lock!`].
pub struct GlobalLock<B: GlobalLockBackend> {
    mutex: Opaque<Mutex>,
    item: UnsafeCell<B::Item>,
}

// SAFETY: the item is reached through a guard alone, and there is one at a time.
unsafe impl<B: GlobalLockBackend> Sync for GlobalLock<B> where B::Item: Send {}

impl<B: GlobalLockBackend> GlobalLock<B> {
    /// A lock that still has to be initialised.
    ///
    /// # Safety
    ///
    /// Nothing else is done with it before [`init`](Self::init), and no other lock has the type `B`.
    pub const unsafe fn new(item: B::Item) -> Self {
        Self {
            mutex: Opaque::uninit(),
            item: UnsafeCell::new(item),
        }
    }

    /// Makes it ready, held by nobody.
    ///
    /// # Safety
    ///
    /// Called once for each lock.
    pub unsafe fn init(&'static self) {
        // SAFETY: static memory, which nobody else knows before this, by the contracts of this function and of `new`.
        unsafe { leaf::mutex_init(self.mutex.get(), B::NAME, B::get_lock_class()) }
    }

    /// Takes it. May sleep.
    pub fn lock(&'static self) -> GlobalGuard<B> {
        // SAFETY: initialised, by the contract of `new`.
        unsafe { leaf::mutex_lock(self.mutex.get()) };
        GlobalGuard {
            lock: self,
            _bound: NotThreadSafe,
        }
    }
}

/// Gives the item, and releases the lock when dropped.
///
/// # Invariants
///
/// This thread holds the lock.
#[must_use = "the lock is released at once where nobody keeps its guard"]
pub struct GlobalGuard<B: GlobalLockBackend> {
    lock: &'static GlobalLock<B>,
    _bound: NotThreadSafe,
}

impl<B: GlobalLockBackend> Deref for GlobalGuard<B> {
    type Target = B::Item;
    fn deref(&self) -> &B::Item {
        // SAFETY: by the invariant nobody else has a guard, and this one lends it.
        unsafe { &*self.lock.item.get() }
    }
}

impl<B: GlobalLockBackend> DerefMut for GlobalGuard<B>
where
    B::Item: Unpin,
{
    fn deref_mut(&mut self) -> &mut B::Item {
        // SAFETY: as above, and this guard lends nothing else.
        unsafe { &mut *self.lock.item.get() }
    }
}

impl<B: GlobalLockBackend> Drop for GlobalGuard<B> {
    fn drop(&mut self) {
        // SAFETY: by the invariant.
        unsafe { leaf::mutex_unlock(self.lock.mutex.get()) }
    }
}

/// Declares a static lock, to be initialised before its first use, by the module's `init`:
///
/// ```
/// kernel::sync::global_lock! {
///     // SAFETY: the module's `init` begins with `COUNTER.init()`.
///     unsafe(uninit) static COUNTER: Mutex<u32> = 5;
/// }
///
/// // SAFETY: called once.
/// unsafe { COUNTER.init() };
/// *COUNTER.lock() += 1;
/// assert_eq!(*COUNTER.lock(), 6);
/// ```
#[macro_export]
macro_rules! global_lock {
    ($(#[$attr:meta])* $vis:vis unsafe(uninit) static $name:ident: Mutex<$item:ty> = $value:expr;) => {
        #[doc = ::core::concat!("Stands for the lock [`", ::core::stringify!($name), "`](static@", ::core::stringify!($name), ").")]
        #[allow(non_camel_case_types, unreachable_pub, reason = "named and seen as the static is")]
        $vis enum $name {}

        impl $crate::sync::GlobalLockBackend for $name {
            const NAME: &'static $crate::str::CStr = $crate::c_str!(::core::stringify!($name));
            type Item = $item;
            fn get_lock_class() -> ::core::pin::Pin<&'static $crate::sync::LockClassKey> {
                // SAFETY: in static memory, and this lock's alone.
                static CLASS: $crate::sync::LockClassKey = unsafe { $crate::sync::LockClassKey::new_static() };
                ::core::pin::Pin::static_ref(&CLASS)
            }
        }

        $(#[$attr])*
        $vis static $name: $crate::sync::GlobalLock<$name> = {
            let item: $item = $value;
            // SAFETY: whoever wrote `unsafe(uninit)` initialises it first; the type was made just above.
            unsafe { $crate::sync::GlobalLock::new(item) }
        };
    };
}
pub use global_lock;
