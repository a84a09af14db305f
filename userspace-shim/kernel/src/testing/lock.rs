// SPDX-License-Identifier: GPL-2.0
//! [`RawMutex`]: a lock that is not tied to a guard's scope.

#[cfg(not(loom))]
use std::sync::{Condvar, Mutex, PoisonError};

/// A lock that nobody holds at first.
#[cfg(not(loom))]
#[derive(Default)]
pub struct RawMutex(Mutex<bool>, Condvar);

#[cfg(not(loom))]
impl RawMutex {
    /// A lock that nobody holds.
    pub const fn new() -> Self {
        Self(Mutex::new(false), Condvar::new())
    }

    /// Waits until nobody else holds it, and takes it.
    pub fn lock(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *held {
            held = self.1.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held = true;
    }

    /// Releases it.
    pub fn unlock(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.1.notify_one();
    }
}

/// The same for loom, whose threads must not block the machine's.
#[cfg(loom)]
#[derive(Default)]
pub struct RawMutex(loom::sync::atomic::AtomicBool);

#[cfg(loom)]
impl RawMutex {
    /// A lock that nobody holds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until nobody else holds it, and takes it.
    pub fn lock(&self) {
        use loom::sync::atomic::Ordering;
        while self
            .0
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            loom::thread::yield_now();
        }
    }

    /// Releases it.
    pub fn unlock(&self) {
        self.0.store(false, loom::sync::atomic::Ordering::Release);
    }
}
