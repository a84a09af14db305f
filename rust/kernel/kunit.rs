// SPDX-License-Identifier: GPL-2.0
//! KUnit's suites and assertions, in builds that have suites: what [`crate::macros::kunit_tests`] makes of a module ends here.
//!
//! All of it but that attribute is hidden: upstream's macro has hidden parts of its own. C counterpart: `include/kunit/test.h`.

use crate::{bindings, error::Result, str::CStr};
use core::{ffi::c_char, ffi::c_int, mem::zeroed};

/// What a case may return.
trait TestResult {
    fn is_ok(&self) -> bool;
}

impl TestResult for () {
    fn is_ok(&self) -> bool {
        true
    }
}

impl<T, E> TestResult for Result<T, E> {
    fn is_ok(&self) -> bool {
        Result::is_ok(self)
    }
}

/// Whether a case that returned this is passed.
#[doc(hidden)]
#[allow(private_bounds, reason = "only macros call it")]
pub fn is_test_result_ok(result: impl TestResult) -> bool {
    result.is_ok()
}

/// C's `struct kunit`, a case that runs.
#[doc(hidden)]
pub type Test = bindings::kunit;

/// C's `struct kunit_case`. What is not said here is zero, as in C, whatever else this kernel's structure has.
#[doc(hidden)]
#[repr(transparent)]
pub struct Case(bindings::kunit_case);

impl Case {
    /// What stands behind the last one.
    // SAFETY: a structure of C's, of numbers and pointers that may be NULL.
    pub const END: Self = Self(unsafe { zeroed() });

    /// A function and its name.
    pub const fn new(name: &'static CStr, run: extern "C" fn(*mut Test)) -> Self {
        let mut case = Self::END;
        case.0.name = name.as_ptr();
        case.0.run_case = Some(run);
        case
    }
}

/// C's `struct kunit_suite`.
#[doc(hidden)]
#[repr(transparent)]
pub struct Suite(bindings::kunit_suite);

impl Suite {
    /// A name and cases.
    ///
    /// # Safety
    ///
    /// After the last of the cases is [`Case::END`], and nobody else touches them, nor the suite.
    pub const unsafe fn new(name: &str, cases: *mut Case) -> Self {
        // SAFETY: as for `Case::END`.
        let mut suite: bindings::kunit_suite = unsafe { zeroed() };
        let mut name = name.as_bytes();
        let mut i = 0;
        while let [byte, rest @ ..] = name {
            // PANIC: while it is compiled: the array has room for the 255 bytes that a name has at most, and a NUL.
            // CAST: C's bytes have a sign.
            suite.name[i] = *byte as c_char;
            name = rest;
            i += 1;
        }
        suite.test_cases = cases.cast();
        Self(suite)
    }
}

/// An assertion has failed: ends the case, without running destructors. A thread that runs no case goes on, and the log says so.
#[doc(hidden)]
#[cold]
pub fn fail(file: &'static CStr, line: u32, condition: &'static CStr) {
    // CAST: files are not that long.
    let line = line as c_int;
    // SAFETY: strings that end with a NUL, and always will.
    unsafe { bindings::rust_helper_kunit_fail(file.as_ptr(), line, condition.as_ptr()) }
}

/// `assert!` of a case. The place is that of the outermost macro, which the case calls.
#[doc(hidden)]
#[macro_export]
macro_rules! kunit_assert {
    ($condition:expr) => {
        if !$condition {
            $crate::kunit::fail(
                $crate::c_str!(::core::file!()),
                ::core::line!(),
                $crate::c_str!(::core::stringify!($condition)),
            );
        }
    };
}

/// The suite of these cases, in the section in which C looks for suites when the module has been loaded.
#[doc(hidden)]
#[macro_export]
macro_rules! kunit_suite {
    ($suite:ident: $($case:ident),+ $(,)?) => {
        const _: () = {
            use $crate::kunit::{is_test_result_ok, Case, Suite, Test};

            static mut CASES: [Case; [$(::core::stringify!($case)),+].len() + 1] = [
                $({
                    extern "C" fn run(_: *mut Test) {
                        $crate::kunit_assert!(is_test_result_ok($case()));
                    }
                    Case::new($crate::c_str!(::core::stringify!($case)), run)
                },)+
                Case::END,
            ];
            // SAFETY: `END` is there, and only C gets at them.
            static mut SUITE: Suite = unsafe { Suite::new(::core::stringify!($suite), (&raw mut CASES).cast()) };

            #[used(compiler)]
            #[link_section = ".kunit_test_suites"]
            static mut ENTRY: *mut Suite = &raw mut SUITE;
        };
    };
}
