// SPDX-License-Identifier: GPL-2.0
//! What `tables.c` offers, and the addresses of what it wants.
//!
//! C counterpart: `tables.h`.

use crate::rust::bindings;
use core::ffi::{c_char, c_int, c_uint, c_void};

/// `struct ovs_net`, of which Rust uses the first two fields.
#[repr(C)]
pub struct OvsNet {
    /// Made by `ovs_net_init_state`, freed by `ovs_net_free_state`.
    pub state: *mut c_void,
    /// The namespace.
    pub net: *mut bindings::net,
}

#[allow(
    improper_ctypes,
    reason = "some structs of the kernel are empty under some configurations"
)]
extern "C" {
    #[allow(missing_docs)]
    pub static ovs_internal_dev_ops: bindings::net_device_ops;
    #[allow(missing_docs)]
    pub static ovs_net_id: c_uint;
    #[allow(missing_docs)]
    pub fn ovs_internal_dev_alloc(
        net: *mut bindings::net,
        name: *const c_char,
        ifindex: c_int,
    ) -> *mut bindings::net_device;
    #[allow(missing_docs)]
    pub fn ovs_internal_dev_free(dev: *mut bindings::net_device);
    #[allow(missing_docs)]
    pub fn ovs_internal_dev_register(dev: *mut bindings::net_device, local: bool) -> c_int;
    #[allow(missing_docs)]
    pub fn ovs_internal_dev_slot(dev: *mut bindings::net_device) -> *mut *mut c_void;
    #[allow(missing_docs)]
    pub fn ovs_family(family: c_uint) -> *mut bindings::genl_family;
    #[allow(missing_docs)]
    pub fn ovs_net_queue_notify(net: *mut bindings::net);
    #[allow(missing_docs)]
    pub fn ovs_net_rearm(on: *mut OvsNet);
    #[allow(missing_docs)]
    pub fn ovs_net_of_notify(work: *mut bindings::work_struct) -> *mut OvsNet;
    #[allow(missing_docs)]
    pub fn ovs_net_of_rebalance(work: *mut bindings::work_struct) -> *mut OvsNet;
    #[allow(missing_docs)]
    pub fn ovs_tables_register() -> c_int;
    #[allow(missing_docs)]
    pub fn ovs_tables_unregister();
    #[allow(missing_docs)]
    pub fn ovs_module_get() -> bool;
    #[allow(missing_docs)]
    pub fn ovs_module_put();
}

/// Makes a function that only C calls by address look address-taken to the compiler, which otherwise leaves out
/// its ENDBR.
macro_rules! called_from_c {
    ($($name:ident: $f:path as $ty:ty;)*) => { $(
        #[used]
        #[link_section = ".init.data"]
        static $name: $ty = $f;
    )* }
}
pub(crate) use called_from_c;
