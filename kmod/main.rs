// SPDX-License-Identifier: GPL-2.0
//! The root of the kernel module: entry and exit.
//!
//! C counterpart: the end of `net/openvswitch/datapath.c`.
#![allow(
    unreachable_pub,
    reason = "in userspace the same rooms are a library; who may name whom is said in tools/layers.rules"
)]

mod conntrack;
#[path = "../rust/kernel/contract.rs"]
mod contract;
#[allow(
    missing_docs,
    reason = "the names of the ABI are documented in the kernel"
)]
#[path = "../datapath/mod.rs"]
pub mod datapath;
pub mod env;
pub mod genl;
pub mod internal_dev;
#[cfg(CONFIG_KUNIT = "y")]
#[path = "../kunit/mod.rs"]
mod kunit;
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
use crate::rust::sync::{rcu_barrier, ProcessContext};
use kernel::error::to_result;
use kernel::prelude::*;

module! {
    type: Openvswitch,
    name: "openvswitch",
    authors: ["the authors of Open vSwitch in Rust"],
    description: "Open vSwitch switching datapath in Rust",
    license: "GPL",
}

/// What the module has set up. Field order is teardown order (spec X7).
struct Openvswitch {
    _entries: Entries,
    _retired: Retired,
    _execution: Execution,
    _flows: flow::entry::Caches,
}

/// Everything through which the kernel enters the module.
struct Entries(());

impl Entries {
    fn open() -> Result<Self> {
        // SAFETY: called once, when the module is loaded.
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
        // SAFETY: dropped when the module is unloaded, or has failed to load.
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

impl kernel::Module for Openvswitch {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: called once, when the module is loaded, before anything else of it.
        unsafe { sys::OVS_MUTEX.init() };
        pr_info!("Open vSwitch switching datapath\n");
        // SAFETY: the thread that loads the module, with no lock held.
        let ctx = unsafe { ProcessContext::assume() };
        flow::hash::init();
        let _flows = flow::entry::Caches::create(&ctx)?;
        let _execution = Execution::set_up(&ctx)?;
        let _retired = Retired;
        Ok(Self {
            _entries: Entries::open()?,
            _retired,
            _execution,
            _flows,
        })
    }
}
