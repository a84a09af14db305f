// SPDX-License-Identifier: GPL-2.0
//! C strings.

pub use core::ffi::CStr;

/// A [`CStr`] from a string literal. New code may write `c"…"`.
#[macro_export]
macro_rules! c_str {
    ($str:expr) => {{
        const C: &$crate::str::CStr =
            match $crate::str::CStr::from_bytes_with_nul(concat!($str, "\0").as_bytes()) {
                Ok(c) => c,
                Err(_) => panic!("string contains interior NUL"),
            };
        C
    }};
}
