// SPDX-License-Identifier: GPL-2.0
//! The root of the kernel module: entry and exit.
//!
//! C counterpart: the end of `net/openvswitch/datapath.c`.
#![no_std]

mod conntrack;
#[allow(
    missing_docs,
    reason = "the names of the ABI are documented in the kernel"
)]
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
mod trace;

/// The world of this build.
pub use env::KernelEnv as World;

use crate::datapath::actions::execute;
use crate::datapath::flow;
use crate::rust::sync::{rcu_barrier, OvsCell, OvsGuard, ProcessContext};
use core::ffi::c_int;
use kernel::error::to_result;
use kernel::prelude::*;

/// What the kernel prints before each log line; `pr_*!` expects it at the crate root.
const __LOG_PREFIX: &[u8] = b"openvswitch\0";

/// What the module has set up. Field order is teardown order (spec X7).
struct Module {
    _entries: Entries,
    _retired: Retired,
    _execution: Execution,
    _flows: flow::entry::Caches,
}

/// Everything through which the kernel enters the module.
struct Entries(());

impl Entries {
    fn open() -> Result<Self> {
        // SAFETY: called once, from `init_module`.
        to_result(unsafe { tables::ovs_tables_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        // SAFETY: registered by `open`.
        unsafe { tables::ovs_tables_unregister() };
    }
}

/// What waits for a grace period, to be freed by code of this module.
struct Retired;

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY: dropped in `init_module` or `cleanup_module`.
        rcu_barrier(&unsafe { ProcessContext::assume() });
    }
}

/// Per-CPU storage of action lists.
struct Execution(());

impl Execution {
    fn set_up(ctx: &ProcessContext) -> Result<Self> {
        execute::init(ctx)?;
        Ok(Self(()))
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        // SAFETY: the entries are closed, and there is no port: the module cannot be unloaded while there is one, and
        // whoever unlinked the last one waited for its packets. So no packet is in the module.
        unsafe { execute::STORAGE.fini() };
    }
}

impl Module {
    fn set_up(ctx: &ProcessContext) -> Result<Self> {
        flow::hash::init();
        let _flows = flow::entry::Caches::create(ctx)?;
        let _execution = Execution::set_up(ctx)?;
        let _retired = Retired;
        Ok(Self {
            _entries: Entries::open()?,
            _retired,
            _execution,
            _flows,
        })
    }
}

/// The module between entry and exit.
static MODULE: OvsCell<Option<Module>> = OvsCell::new(None);

/// Entry of the module.
///
/// # Safety
///
/// Called once by the kernel's module loader.
#[no_mangle]
#[link_section = ".init.text"]
pub unsafe extern "C" fn init_module() -> c_int {
    pr_info!("Open vSwitch switching datapath\n");
    // SAFETY: the thread that loads the module, with no lock held.
    let ctx = unsafe { ProcessContext::assume() };
    match Module::set_up(&ctx) {
        Ok(module) => {
            *MODULE.borrow_mut(&mut OvsGuard::lock(&ctx)) = Some(module);
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// Exit of the module.
///
/// # Safety
///
/// Called once by the kernel's module loader, after [`init_module`] has returned 0.
#[no_mangle]
#[link_section = ".exit.text"]
pub unsafe extern "C" fn cleanup_module() {
    // SAFETY: the thread that unloads the module, with no lock held.
    let ctx = unsafe { ProcessContext::assume() };
    // Out of the mutex, which the teardown takes.
    let module = MODULE.borrow_mut(&mut OvsGuard::lock(&ctx)).take();
    drop(module);
}

// As C's module_init() and module_exit() do: the kernel calls both through a structure made by C, which neither LLVM
// nor objtool sees. Without a reference from a section that is kept there would be no ENDBR, or it would be sealed away.
tables::called_by_address!(init_module in ".init.data", cleanup_module in ".exit.data");
