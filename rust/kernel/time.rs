// SPDX-License-Identifier: GPL-2.0
//! Clocks. C counterpart: `include/linux/jiffies.h`, `ktime.h`.

/// Time in ticks.
pub type Jiffies = core::ffi::c_ulong;

/// Time in milliseconds.
pub type Msecs = core::ffi::c_uint;

/// Converts milliseconds to ticks.
#[inline]
pub fn msecs_to_jiffies(msecs: Msecs) -> Jiffies {
    crate::leaf::msecs_to_jiffies(msecs)
}
