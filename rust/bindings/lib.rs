// SPDX-License-Identifier: GPL-2.0
//! Raw bindings to the target kernel, made by bindgen from `bindings.h` at build time.
//!
//! Only `rust/` and `kmod/` may see this module; they turn its pointers into types.
//!
//! C counterpart: the kernel's headers.
#![allow(
    unknown_lints,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    dead_code,
    improper_ctypes,
    unnecessary_transmutes,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::pedantic,
    clippy::as_underscore,
    clippy::undocumented_unsafe_blocks,
    clippy::missing_safety_doc
)]

/// C's `size_t` as the kernel's headers spell it.
pub type __kernel_size_t = usize;
/// C's `ssize_t`.
pub type __kernel_ssize_t = isize;
/// C's `ptrdiff_t`.
pub type __kernel_ptrdiff_t = isize;

#[cfg(not(HAVE_TRACEPOINTS))]
pub use rust_helper_consume_skb as consume_skb;

include!(concat!(env!("OVS_OUT"), "/bindings_generated.rs"));
