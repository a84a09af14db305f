// SPDX-License-Identifier: GPL-2.0
//! Internal devices: the host's own legs in the switch (spec W10 to W16).
//!
//! C counterpart: `net/openvswitch/vport-internal_dev.c`; the tables are in `device.c`.

use crate::datapath::datapath::Datapath;
use crate::datapath::env::DeviceName;
use crate::datapath::ports::port::Vport;
use crate::rust::bindings;
use crate::rust::net::netdev::{Leaving, NetDevice};
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::{BhGuard, MaySleep, OvsRtnl, RcuGuard, ReadToken};
use crate::tables::{self, declared_in_c};
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::error::{to_result, Result};

/// Allocates a device, not registered. The caller owns it.
pub fn alloc(
    net: NetRef<'_>,
    name: &DeviceName,
    ifindex: i32,
    _ctx: &impl MaySleep,
) -> Option<NonNull<bindings::net_device>> {
    let mut name = *name;
    name[15] = 0;
    // SAFETY: namespace there, name ended by a NUL.
    NonNull::new(unsafe {
        tables::ovs_internal_dev_alloc(net.as_ptr(), name.as_ptr().cast(), ifindex)
    })
}

/// Frees a device that was never registered.
///
/// # Safety
///
/// It came from [`alloc`], was not registered, and is not used any more.
pub unsafe fn free(dev: NonNull<bindings::net_device>) {
    // SAFETY: by the caller.
    unsafe { tables::ovs_internal_dev_free(dev.as_ptr()) }
}

/// Registers the device. It has no vport yet, and is down.
///
/// # Safety
///
/// It came from [`alloc`] and nobody else knows it.
pub unsafe fn register(_rtnl: &OvsRtnl, dev: NetDevice<'_>, local: bool) -> Result {
    // SAFETY: valid device, RTNL held. Should the kernel refuse it late, it goes when the RTNL is released, after the
    // mutex.
    to_result(unsafe { tables::ovs_internal_dev_register(dev.as_ptr(), local) })
}

/// From now on packets come from the device to `vport`, and requests find its datapath by the device.
///
/// # Safety
///
/// `dev` is one of ours; `vport` lives until a grace period after [`leave`], and until the mutex section of that ends.
pub unsafe fn publish(dev: NetDevice<'_>, vport: &Vport) {
    // SAFETY: one of ours, by the caller.
    let slot = unsafe { slot(dev) };
    slot.store(ptr::from_ref(vport).cast_mut().cast(), Ordering::Release);
}

/// Where a device of ours has its vport.
///
/// # Safety
///
/// `dev` is one of ours.
unsafe fn slot(dev: NetDevice<'_>) -> &AtomicPtr<c_void> {
    // SAFETY: a word in the device, aligned, which is there as long as the device.
    unsafe { AtomicPtr::from_ptr(tables::ovs_internal_dev_slot(dev.as_ptr())) }
}

/// Takes the vport away, stops the device and puts it among those that leave.
///
/// # Safety
///
/// Registered by [`register`], and only once here.
pub unsafe fn leave(rtnl: &OvsRtnl, dev: NetDevice<'_>, leaving: &mut Leaving) {
    // SAFETY: valid device of ours, RTNL held, by the caller.
    unsafe {
        slot(dev).store(ptr::null_mut(), Ordering::Release);
        bindings::rust_helper_netif_stop_queue(dev.as_ptr());
        dev.set_promiscuity(rtnl, -1);
        leaving.add(rtnl, dev);
    }
}

/// True for devices of ours.
pub fn is_internal(dev: NetDevice<'_>) -> bool {
    // SAFETY: valid device; only the address of the table is used.
    unsafe {
        ptr::eq(
            (*dev.as_ptr()).netdev_ops,
            &raw const tables::ovs_internal_dev_ops,
        )
    }
}

/// The vport of an internal device, if it is a port.
pub fn vport<'g>(dev: NetDevice<'_>, _token: &'g impl ReadToken) -> Option<&'g Vport> {
    if !is_internal(dev) {
        return None;
    }
    // SAFETY: one of ours, as was just seen.
    let slot = unsafe { slot(dev) };
    // SAFETY: null or what `publish` was given. Until `leave` takes that away, under the mutex, it lives; after that until the
    // read sections and the mutex section that may have found it end, one of which `_token` is evidence of.
    unsafe { slot.load(Ordering::Acquire).cast::<Vport>().as_ref() }
}

/// The vports of all internal devices that are in a namespace now.
pub fn vports_in<'g>(net: NetRef<'g>, rtnl: &'g OvsRtnl) -> impl Iterator<Item = &'g Vport> {
    let mut last = ptr::null_mut();
    core::iter::from_fn(move || {
        // SAFETY: the RTNL, held for 'g, keeps the namespace's list of devices as it is.
        last = unsafe { bindings::rust_helper_next_net_device(net.as_ptr(), last) };
        // SAFETY: on the list, which it leaves under the RTNL only, and its memory stays until that is released.
        unsafe { NetDevice::from_raw(last) }
    })
    .filter_map(|dev| vport(dev, rtnl))
}

/// `ndo_start_xmit`: a packet from the stack enters the switch.
///
/// # Safety
///
/// Called by `device.c` with a packet of the kernel's own. Softirqs cannot run on this CPU: BH is disabled, or for netpoll
/// interrupts are; and no interrupt calls.
#[no_mangle]
unsafe extern "C" fn ovs_internal_dev_xmit(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    let _rcu = RcuGuard::new();
    // SAFETY: by this function's contract nobody else uses this CPU's data meanwhile, the read section is just above.
    let bh = unsafe { BhGuard::assume() };
    // SAFETY: the kernel's own device and packet, which it gives away.
    let (dev, skb) = unsafe {
        (
            NetDevice::from_raw(dev),
            NonNull::new(skb).map(|s| SkBuff::from_raw(s)),
        )
    };
    if let (Some(dev), Some(pkt)) = (dev, skb) {
        if let Some(vport) = vport(dev, bh.rcu()) {
            let len = pkt.len();
            match Datapath::receive(vport, pkt, &bh) {
                Ok(()) => dev.count_tx(len),
                Err(_) => dev.count_tx_error(),
            }
        }
    }
    bindings::netdev_tx_NETDEV_TX_OK
}

declared_in_c!(ovs_internal_dev_xmit);
