// SPDX-License-Identifier: GPL-2.0
//! Stub of `compiler_builtins` for mode B.
//!
//! `memcpy`, `memset`, `memmove` and `memcmp` come from the kernel, and `bcmp` is made `memcmp` (rust/mode.mk).
//! Every other intrinsic that `core` may mention is one the kernel does not have: it panics, and LTO drops
//! it when, as it should be, nothing calls it.
//!
//! C counterpart: none (upstream: `rust/compiler_builtins.rs`).
#![feature(compiler_builtins)]
#![allow(internal_features)]
#![compiler_builtins]
#![no_builtins]
#![no_std]

macro_rules! stubs {
    ($($name:ident)*) => { $(
        #[doc(hidden)]
        #[no_mangle]
        pub extern "C" fn $name() {
            panic!(concat!("`", stringify!($name), "` should not be used"));
        }
    )* }
}
stubs! { __multi3 __udivti3 __umodti3 __divti3 __modti3 __muloti4 }
