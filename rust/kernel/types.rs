// SPDX-License-Identifier: GPL-2.0
//! Helper types for wrapping C objects and scopes.

use core::{
    cell::UnsafeCell,
    marker::{PhantomData, PhantomPinned},
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
};

/// A C object that Rust neither moves, initialises nor assumes anything about.
#[repr(transparent)]
pub struct Opaque<T> {
    value: UnsafeCell<MaybeUninit<T>>,
    _pin: PhantomPinned,
}

impl<T> Opaque<T> {
    /// Wraps a value made by Rust.
    pub const fn new(value: T) -> Self {
        Self {
            value: UnsafeCell::new(MaybeUninit::new(value)),
            _pin: PhantomPinned,
        }
    }

    /// Memory for C to initialise.
    pub const fn uninit() -> Self {
        Self {
            value: UnsafeCell::new(MaybeUninit::uninit()),
            _pin: PhantomPinned,
        }
    }

    /// The C pointer.
    pub const fn get(&self) -> *mut T {
        UnsafeCell::get(&self.value).cast::<T>()
    }

    /// The same for a raw pointer.
    pub const fn cast_into(this: *const Self) -> *mut T {
        UnsafeCell::raw_get(this.cast::<UnsafeCell<MaybeUninit<T>>>()).cast::<T>()
    }
}

/// Marks a type as bound to its thread.
pub type NotThreadSafe = PhantomData<*mut ()>;

/// The one value of [`type@NotThreadSafe`].
#[allow(non_upper_case_globals, reason = "named as upstream names it")]
pub const NotThreadSafe: NotThreadSafe = PhantomData;

/// Runs a closure at the end of the scope unless dismissed.
pub struct ScopeGuard<T, F: FnOnce(T)>(Option<(T, F)>);

impl<T, F: FnOnce(T)> ScopeGuard<T, F> {
    /// Guards `data`; `cleanup` gets it.
    pub fn new_with_data(data: T, cleanup: F) -> Self {
        Self(Some((data, cleanup)))
    }

    /// Gives the data back without the cleanup.
    pub fn dismiss(mut self) -> T {
        match self.0.take() {
            Some((data, _)) => data,
            // PANIC: `dismiss` and `drop` are the only takers and both consume.
            None => unreachable!(),
        }
    }
}

impl ScopeGuard<(), fn(())> {
    /// Runs `cleanup` at the end of the scope.
    #[allow(clippy::new_ret_no_self, reason = "as upstream")]
    pub fn new(cleanup: impl FnOnce()) -> ScopeGuard<(), impl FnOnce(())> {
        ScopeGuard::new_with_data((), move |()| cleanup())
    }
}

impl<T, F: FnOnce(T)> Drop for ScopeGuard<T, F> {
    fn drop(&mut self) {
        if let Some((data, cleanup)) = self.0.take() {
            cleanup(data)
        }
    }
}

impl<T, F: FnOnce(T)> Deref for ScopeGuard<T, F> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.0 {
            Some((data, _)) => data,
            // PANIC: `None` only while being consumed.
            None => unreachable!(),
        }
    }
}

impl<T, F: FnOnce(T)> DerefMut for ScopeGuard<T, F> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some((data, _)) => data,
            // PANIC: `None` only while being consumed.
            None => unreachable!(),
        }
    }
}
