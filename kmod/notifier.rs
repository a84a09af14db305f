// SPDX-License-Identifier: GPL-2.0
//! Devices that leave while they are ports (spec W6, W7).
//!
//! C counterpart: `dp_device_event()` in `net/openvswitch/dp_notify.c`.

use crate::datapath::ports::port::Vport;
use crate::internal_dev;
use crate::rust::bindings;
use crate::rust::net::netdev::{CallersRtnl, NetDevice};
use crate::tables::{self, called_by_address};
use core::ffi::{c_int, c_ulong, c_void};

const NOTIFY_DONE: c_int = 0;
const UNREGISTER: c_ulong = bindings::netdev_cmd_NETDEV_UNREGISTER as c_ulong;

/// A device event. The port lets go of its device at once; the vport follows when `ovs_mutex` can be had.
///
/// # Safety
///
/// Called by the kernel under the RTNL with a `struct netdev_notifier_info`.
#[no_mangle]
unsafe extern "C" fn ovs_device_event(
    _nb: *mut bindings::notifier_block,
    event: c_ulong,
    info: *mut c_void,
) -> c_int {
    if event != UNREGISTER {
        return NOTIFY_DONE;
    }
    // SAFETY: by this function's contract.
    let dev = unsafe { NetDevice::from_raw((*info.cast::<bindings::netdev_notifier_info>()).dev) };
    // SAFETY: by this function's contract.
    let rtnl = unsafe { CallersRtnl::assume() };
    let Some(dev) = dev.filter(|d| !internal_dev::is_internal(*d) && d.is_ovs_port()) else {
        return NOTIFY_DONE;
    };
    // SAFETY: attached to us, and the RTNL keeps it so: the data is its vport.
    if let Some(vport) = unsafe { dev.rx_handler_data().cast::<Vport>().as_ref() } {
        vport.dev.detach(&rtnl);
        // SAFETY: the namespace of a port's datapath, as the device is still in it; its exit takes the ports down before
        // it stops the work.
        unsafe { tables::ovs_net_queue_notify(dev.net(&rtnl).as_ptr()) };
    }
    NOTIFY_DONE
}

called_by_address!(ovs_device_event);
