// SPDX-License-Identifier: GPL-2.0
//! Internal devices: the host's own legs in the switch (spec W10 to W16).
//!
//! C counterpart: `net/openvswitch/vport-internal_dev.c`; the tables are in `tables.c`.

use crate::datapath::datapath::Datapath;
use crate::datapath::env::DeviceName;
use crate::datapath::ports::port::Vport;
use crate::rust::bindings;
use crate::rust::net::netdev::{NetDevice, RtnlHeld};
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::{BhGuard, RcuGuard};
use crate::tables::{self, called_from_c};
use core::ptr::{self, NonNull};
use kernel::error::{to_result, Result};

/// Allocates a device, not registered.
pub fn alloc(net: &NetRef, name: &DeviceName, ifindex: i32) -> Option<NetDevice> {
    let mut name = *name;
    name[15] = 0;
    // SAFETY: namespace alive, name ended by a NUL. The caller owns the device.
    unsafe {
        NetDevice::from_raw(tables::ovs_internal_dev_alloc(
            net.as_ptr(),
            name.as_ptr().cast(),
            ifindex,
        ))
    }
}

/// Frees a device that was never registered.
///
/// # Safety
///
/// It came from [`alloc`], was not registered, and is not used any more.
pub unsafe fn free(dev: NetDevice) {
    // SAFETY: by the caller.
    unsafe { tables::ovs_internal_dev_free(dev.as_ptr()) }
}

/// Registers the device as that of `vport`; packets may come from it at once.
///
/// # Safety
///
/// `dev` came from [`alloc`]; `vport` lives until a grace period after [`unregister`].
pub unsafe fn register(
    _rtnl: &impl RtnlHeld,
    dev: NetDevice,
    vport: &Vport,
    local: bool,
) -> Result {
    // SAFETY: valid device that nobody else knows yet, RTNL held.
    unsafe {
        tables::ovs_internal_dev_slot(dev.as_ptr()).write(ptr::from_ref(vport).cast_mut().cast());
        to_result(tables::ovs_internal_dev_register(dev.as_ptr(), local))
    }
}

/// Unregisters the device and waits for its packets and for readers. Calls `gone` before; the device is freed when
/// `rtnl` is released.
///
/// # Safety
///
/// Registered by [`register`]; after `gone` nobody gets at `dev` any more.
pub unsafe fn unregister(rtnl: impl RtnlHeld, dev: NetDevice, gone: impl FnOnce()) {
    // SAFETY: valid device, RTNL held.
    unsafe {
        bindings::rust_helper_netif_stop_queue(dev.as_ptr());
        dev.set_promiscuity(&rtnl, -1);
        gone();
        bindings::rust_helper_unregister_netdevice(dev.as_ptr());
    }
    drop(rtnl);
}

/// True for devices of ours.
pub fn is_internal(dev: NetDevice) -> bool {
    // SAFETY: valid device; only the address of the table is used.
    unsafe {
        ptr::eq(
            (*dev.as_ptr()).netdev_ops,
            &raw const tables::ovs_internal_dev_ops,
        )
    }
}

/// The vport of an internal device.
pub fn vport(dev: NetDevice, _rcu: &RcuGuard) -> Option<&Vport> {
    if !is_internal(dev) {
        return None;
    }
    // SAFETY: written before the device could be found; the vport outlives readers that found the device.
    unsafe {
        tables::ovs_internal_dev_slot(dev.as_ptr())
            .read()
            .cast::<Vport>()
            .as_ref()
    }
}

/// `ndo_start_xmit`: a packet from the stack enters the switch.
///
/// # Safety
///
/// Called by the kernel with BH disabled and a packet of its own.
#[no_mangle]
unsafe extern "C" fn ovs_internal_dev_xmit(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    let _rcu = RcuGuard::new();
    // SAFETY: BH is disabled by the caller, the read section is just above.
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

called_from_c! {
    XMIT: ovs_internal_dev_xmit as unsafe extern "C" fn(*mut bindings::sk_buff, *mut bindings::net_device) -> bindings::netdev_tx_t;
}
