// SPDX-License-Identifier: GPL-2.0
//! Compile-time and run-time assertions. C counterpart: `include/linux/build_bug.h`, `bug.h`.

/// Asserts at compile time.
#[macro_export]
macro_rules! static_assert {
    ($condition:expr $(,$arg:literal)?) => {
        const _: () = core::assert!($condition $(,$arg)?);
    };
}

/// Logs a warning with a backtrace if `cond` is true, and evaluates to `cond`.
#[macro_export]
macro_rules! warn_on {
    ($cond:expr) => {{
        let cond = $cond;
        if cond {
            $crate::print::warn(core::file!(), core::line!());
        }
        cond
    }};
}
