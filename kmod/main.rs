// SPDX-License-Identifier: GPL-2.0
//! The root of the kernel module: entry and exit.
//!
//! C counterpart: the end of `net/openvswitch/datapath.c`.
#![no_std]

#[allow(missing_docs, reason = "the names of the ABI are documented in the kernel")]
#[path = "../datapath/mod.rs"]
pub mod datapath;
pub mod env;
pub mod genl;
pub mod internal_dev;
mod layouts;
mod notifier;
pub mod pernet;
pub mod ports;
#[path = "../rust/mod.rs"]
pub mod rust;
pub mod rx;
#[path = "../rust/sync/sys_kernel.rs"]
pub mod sys;
mod tables;

/// The world of this build.
pub use env::KernelEnv as World;

use core::ffi::c_int;
use kernel::prelude::*;

/// What the kernel prints before each log line; `pr_*!` expects it at the crate root.
const __LOG_PREFIX: &[u8] = b"openvswitch\0";

/// Entry of the module.
///
/// # Safety
///
/// Called once by the kernel's module loader.
#[no_mangle]
#[link_section = ".init.text"]
pub unsafe extern "C" fn init_module() -> c_int {
    pr_info!("Open vSwitch switching datapath\n");
    // SAFETY: once, before anything else can happen.
    unsafe { tables::ovs_tables_register() }
}

/// Exit of the module.
///
/// # Safety
///
/// Called once by the kernel's module loader, after [`init_module`] has returned 0.
#[no_mangle]
#[link_section = ".exit.text"]
pub unsafe extern "C" fn cleanup_module() {
    // SAFETY: registered by `init_module`; no vport is left, as each holds a reference on the module.
    unsafe { tables::ovs_tables_unregister() };
    // What was retired is freed by code of this module.
    sys::rcu_barrier();
}

// As C's module_init() and module_exit() do: the kernel calls both through a structure made by C, which neither LLVM
// nor objtool sees. Without a reference from a section that is kept there would be no ENDBR, or it would be sealed away.
#[used]
#[link_section = ".init.data"]
static INIT_ADDRESS: unsafe extern "C" fn() -> c_int = init_module;
#[used]
#[link_section = ".exit.data"]
static EXIT_ADDRESS: unsafe extern "C" fn() = cleanup_module;
