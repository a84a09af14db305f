// SPDX-License-Identifier: GPL-2.0
//! The switch's state in each network namespace, and the work that runs for it (spec X9, W17).
//!
//! C counterpart: `ovs_init_net()`, `ovs_exit_net()` in `net/openvswitch/datapath.c`; the operations are in `tables.c`.

use crate::datapath::control::{self, PerNet};
use crate::datapath::env::{Env, Group, NetOps};
use crate::datapath::ports::port::Vport;
use crate::env::KernelEnv;
use crate::genl;
use crate::internal_dev;
use crate::rust::bindings;
use crate::rust::net::conntrack::LabelSpace;
use crate::rust::net::genetlink::Message;
use crate::rust::net::netdev::NetDevice;
use crate::rust::net::netns::NetRef;
use crate::rust::sync::{MaySleep, OvsGuard, OvsRtnl, ProcessContext, RcuGuard};
use crate::tables::{self, called_by_address, declared_in_c, OvsNet};
use core::ffi::c_int;
use core::ptr::NonNull;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::KBox;
use kernel::error::code::ENOMEM;
use kernel::error::Error;
use kernel::pr_info;

/// A namespace as the switch knows it. Not counted: a datapath that held a reference would keep its namespace for ever.
///
/// # Invariants
///
/// The namespace is there, and [`ovs_net_free_state`] has not been called for it. This is what makes it so for everybody
/// who has one:
///
/// * A request has its socket's namespace, which ends after its last socket. It cannot keep it: only `for_datapath` makes
///   another one.
/// * A work of the namespace is waited for by its exit (`net_exit` in `tables.c`) before the state goes.
/// * A datapath is taken down by [`ovs_net_exit_state`], which comes first. A datapath always has a local port, with whose
///   device all packets in the datapath are waited for. It may be freed later, but by then nobody can look into it.
#[derive(PartialEq, Eq)]
#[repr(transparent)]
pub struct Namespace(NonNull<bindings::net>);

// SAFETY: a namespace is shared by all CPUs.
unsafe impl Send for Namespace {}
// SAFETY: as above.
unsafe impl Sync for Namespace {}

impl Namespace {
    /// The namespace of a request or of a work.
    ///
    /// # Safety
    ///
    /// Not null. The value is dropped before the request or the work ends.
    #[inline(always)]
    pub unsafe fn assume(net: *mut bindings::net) -> Self {
        // INVARIANT: by the caller, who keeps the namespace's state from being freed.
        // SAFETY: not null, by the caller.
        Self(unsafe { NonNull::new_unchecked(net) })
    }

    /// For what takes any namespace.
    #[inline(always)]
    pub fn as_ref(&self) -> NetRef<'_> {
        // SAFETY: there by the invariant.
        unsafe { NetRef::from_raw(self.0.as_ptr()) }
    }

    /// The device with this ifindex that is in the namespace now.
    fn device<'r>(&self, ifindex: i32, _rcu: &'r RcuGuard) -> Option<NetDevice<'r>> {
        let net = self.as_ref().as_ptr();
        // SAFETY: the namespace is there, the read section lasts for 'r.
        unsafe { NetDevice::from_raw(bindings::dev_get_by_index_rcu(net, ifindex)) }
    }
}

impl NetOps for Namespace {
    fn for_datapath(&self) -> Self {
        // INVARIANT: a datapath's, by the trait's contract.
        Self(self.0)
    }

    fn state(&self) -> &PerNet {
        // SAFETY: our id. The state is made before anything can be done in the namespace, and is there by the invariant.
        unsafe {
            &*(*self.as_ref().generic(tables::ovs_net_id).cast::<OvsNet>())
                .state
                .cast()
        }
    }

    fn internal_vport<'g>(&self, ifindex: i32, rcu: &'g RcuGuard) -> Option<&'g Vport> {
        internal_dev::vport(self.device(ifindex, rcu)?, rcu)
    }

    fn internal_vport_locked<'g>(&self, ifindex: i32, ovs: &'g OvsGuard) -> Option<&'g Vport> {
        internal_dev::vport(self.device(ifindex, &RcuGuard::new())?, ovs)
    }

    fn has_listeners(&self, group: Group) -> bool {
        genl::family(group).has_listeners(self.as_ref())
    }

    fn multicast(&self, group: Group, msg: Message, ctx: &impl MaySleep) {
        genl::family(group).multicast(self.as_ref(), msg, ctx);
    }

    fn multicast_error(&self, group: Group, err: Error) {
        genl::family(group).multicast_error(self.as_ref(), err);
    }

    fn internal_ports<'g>(&'g self, rtnl: &'g OvsRtnl) -> impl Iterator<Item = &'g Vport> {
        internal_dev::vports_in(self.as_ref(), rtnl)
    }
}

/// The namespace of a `struct ovs_net`.
///
/// # Safety
///
/// `on` is one, and [`ovs_net_free_state`] is not called for it as long as there is the value.
unsafe fn net_of(on: *mut OvsNet) -> Namespace {
    // SAFETY: by the caller.
    unsafe { Namespace::assume((*on).net) }
}

/// A namespace begins, or is there when the module is loaded.
///
/// # Safety
///
/// Called by `tables.c` with a new `struct ovs_net`, once.
#[no_mangle]
unsafe extern "C" fn ovs_net_init_state(on: *mut OvsNet) -> c_int {
    // No lock: whoever makes a namespace must not queue behind the switch's changes.
    // SAFETY: the caller's; the namespace outlives its state, which has the labels.
    let labels = unsafe { LabelSpace::get(net_of(on).as_ref()) };
    if KernelEnv::CONNTRACK.labels && labels.is_none() && KernelEnv::log_allowed() {
        pr_info!("netlink: Failed to set connlabel length\n");
    }
    match KBox::new(PerNet::new(labels), GFP_KERNEL) {
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
    // SAFETY: by the caller. Namespaces end in a work, or in the thread that unloads the module.
    let (ctx, net) = unsafe { (ProcessContext::assume(), net_of(on)) };
    control::exit_net(&ctx, &net);
}

/// The last of a namespace, after its works have ended. May sleep, as the end of the state may.
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
    // SAFETY: by this function's contract. A work may sleep.
    let (ctx, net) = unsafe {
        (
            ProcessContext::assume(),
            net_of(tables::ovs_net_of_notify(work)),
        )
    };
    control::detach_unregistered(&ctx, &net);
}

/// The periodic work (spec T8).
///
/// # Safety
///
/// As for [`ovs_net_notify`].
#[no_mangle]
unsafe extern "C" fn ovs_net_rebalance(work: *mut bindings::work_struct) {
    // SAFETY: by this function's contract. A work may sleep.
    unsafe {
        let on = tables::ovs_net_of_rebalance(work);
        control::rebalance(&ProcessContext::assume(), &net_of(on));
        tables::ovs_net_rearm(on);
    }
}

declared_in_c!(ovs_net_init_state, ovs_net_exit_state, ovs_net_free_state);
called_by_address!(ovs_net_notify, ovs_net_rebalance);
