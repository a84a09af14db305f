// SPDX-License-Identifier: GPL-2.0
//! What the C files beside this one offer and want.
//!
//! C counterpart: `tables.h`, whose prototypes bindgen translates: a signature that changes there fails to build here.

pub use crate::rust::bindings::{
    ovs_families, ovs_internal_dev_alloc, ovs_internal_dev_free, ovs_internal_dev_ops,
    ovs_internal_dev_register, ovs_internal_dev_slot, ovs_module_get, ovs_module_put,
    ovs_net as OvsNet, ovs_net_id, ovs_net_of_notify, ovs_net_of_rebalance, ovs_net_queue_notify,
    ovs_net_rearm, ovs_tables_register, ovs_tables_unregister, ovs_trace as OvsTrace,
    ovs_trace_action, ovs_trace_upcall,
};

/// Asserts that functions which C calls are what its headers say: an array has elements of one type.
macro_rules! declared_in_c {
    ($($f:ident),+) => { $(
        const _: () = {
            let _ = [$crate::rust::bindings::$f, $f];
        };
    )+ };
}
pub(crate) use declared_in_c;

/// The same, for functions that C calls only by address. It also makes them look address-taken to the compiler, which
/// otherwise leaves out their ENDBR.
macro_rules! called_by_address {
    ($($f:ident),+) => { $(
        $crate::tables::declared_in_c!($f);
        const _: () = {
            #[used(compiler)]
            #[link_section = ".init.data"]
            static ADDRESS: $crate::tables::Address = $crate::tables::Address($f as *const ());
        };
    )+ };
}
pub(crate) use called_by_address;

/// A function's address in a static, which nobody reads.
#[allow(dead_code, reason = "that it is there is enough")]
pub(crate) struct Address(pub(crate) *const ());
// SAFETY: nobody reads it.
unsafe impl Sync for Address {}
