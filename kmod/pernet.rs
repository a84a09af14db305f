// SPDX-License-Identifier: GPL-2.0
//! The switch's state in each network namespace, and the work that runs for it (spec X9, W17).
//!
//! C counterpart: `ovs_init_net()`, `ovs_exit_net()` in `net/openvswitch/datapath.c`; the operations are in `tables.c`.

use crate::datapath::control::{self, PerNet};
use crate::datapath::env::{Group, NetOps};
use crate::datapath::ports::port::Vport;
use crate::genl;
use crate::internal_dev;
use crate::rust::bindings;
use crate::rust::net::genetlink::Message;
use crate::rust::net::netdev::NetDevice;
use crate::rust::net::netns::NetRef;
use crate::rust::sync::{OvsRtnl, RcuGuard};
use crate::tables::{self, called_by_address, declared_in_c, OvsNet};
use core::ffi::c_int;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::KBox;
use kernel::error::code::ENOMEM;
use kernel::error::Error;

/// The namespace that never ends.
pub fn init_net() -> NetRef {
    // SAFETY: a static of the kernel.
    unsafe { NetRef::from_raw(&raw mut bindings::init_net) }
}

impl NetOps for NetRef {
    fn state(&self) -> &PerNet {
        // SAFETY: our id. The state is made before anything can be done in the namespace and freed after everything in
        // it is gone, and whoever has a `NetRef` in hand keeps the namespace from ending.
        unsafe {
            &*(*self.generic(tables::ovs_net_id).cast::<OvsNet>())
                .state
                .cast()
        }
    }

    fn internal_vport<'g>(&self, ifindex: i32, rcu: &'g RcuGuard) -> Option<&'g Vport> {
        // SAFETY: the namespace is alive, the read section lasts for 'g.
        let dev =
            unsafe { NetDevice::from_raw(bindings::dev_get_by_index_rcu(self.as_ptr(), ifindex)) }?;
        internal_dev::vport(dev, rcu)
    }

    fn peer_id(&self, other: &Self) -> i32 {
        NetRef::peer_id(self, other)
    }

    fn has_listeners(&self, group: Group) -> bool {
        genl::family(group).has_listeners(self)
    }

    fn multicast(&self, group: Group, msg: Message) {
        genl::family(group).multicast(self, msg);
    }

    fn multicast_error(&self, group: Group, err: Error) {
        genl::family(group).multicast_error(self, err);
    }

    fn internal_ports<'g>(&'g self, rtnl: &'g OvsRtnl) -> impl Iterator<Item = &'g Vport> {
        internal_dev::vports_in(self, rtnl)
    }
}

/// The namespace of a `struct ovs_net`.
///
/// # Safety
///
/// `on` is one, and its namespace is alive as long as the value is used.
unsafe fn net_of(on: *mut OvsNet) -> NetRef {
    // SAFETY: by the caller.
    unsafe { NetRef::from_raw((*on).net) }
}

/// A namespace begins, or is there when the module is loaded.
///
/// # Safety
///
/// Called by `tables.c` with a new `struct ovs_net`, once.
#[no_mangle]
unsafe extern "C" fn ovs_net_init_state(on: *mut OvsNet) -> c_int {
    // No lock: whoever makes a namespace must not queue behind the switch's changes.
    match KBox::new(PerNet::new(), GFP_KERNEL) {
        Ok(state) => {
            // SAFETY: the caller's; nobody looks at it yet.
            unsafe { (*on).state = KBox::into_raw(state).cast() };
            0
        }
        Err(_) => ENOMEM.to_errno(),
    }
}

/// A namespace ends, or the module goes: nothing of the switch stays in it.
///
/// # Safety
///
/// Called by `tables.c`, once, with what [`ovs_net_init_state`] succeeded for.
#[no_mangle]
unsafe extern "C" fn ovs_net_exit_state(on: *mut OvsNet) {
    // SAFETY: by the caller.
    control::exit_net(&unsafe { net_of(on) });
}

/// The last of a namespace, after its works have ended.
///
/// # Safety
///
/// As for [`ovs_net_exit_state`], and after it.
#[no_mangle]
unsafe extern "C" fn ovs_net_free_state(on: *mut OvsNet) {
    // SAFETY: made by `ovs_net_init_state`; nobody is left who could ask for it.
    drop(unsafe { KBox::from_raw((*on).state.cast::<PerNet>()) });
}

/// The work that follows the notifier.
///
/// # Safety
///
/// Called by the kernel's work queue, which `tables.c` stops before the namespace's state goes.
#[no_mangle]
unsafe extern "C" fn ovs_net_notify(work: *mut bindings::work_struct) {
    // SAFETY: by this function's contract.
    control::detach_unregistered(&unsafe { net_of(tables::ovs_net_of_notify(work)) });
}

/// The periodic work (spec T8).
///
/// # Safety
///
/// As for [`ovs_net_notify`].
#[no_mangle]
unsafe extern "C" fn ovs_net_rebalance(work: *mut bindings::work_struct) {
    // SAFETY: by this function's contract.
    unsafe {
        let on = tables::ovs_net_of_rebalance(work);
        control::rebalance(&net_of(on));
        tables::ovs_net_rearm(on);
    }
}

declared_in_c!(ovs_net_init_state, ovs_net_exit_state, ovs_net_free_state);
called_by_address!(ovs_net_notify, ovs_net_rebalance);
