// SPDX-License-Identifier: GPL-2.0
//! Tunnel devices that collect metadata, made by their drivers for whoever wants one (spec W21).
//!
//! C counterpart: the exports of `drivers/net/vxlan`, `drivers/net/geneve.c` and `net/ipv4/ip_gre.c`, and the creating
//! half of `net/openvswitch/vport-{vxlan,geneve,gre}.c`.

use crate::rust::bindings;
use crate::rust::net::netdev::{unregister_all, DeviceRef, NetDevice};
use crate::rust::net::netns::NetRef;
use crate::rust::sync::{MaySleep, OvsRtnl};
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use kernel::error::code::ENODEV;
use kernel::error::{to_result, Result};

/// The drivers that make devices for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Ethernet in GRE over IPv4.
    Gretap = bindings::ovs_tunnel_driver_OVS_DRIVER_GRETAP as isize,
    /// VXLAN over both.
    Vxlan = bindings::ovs_tunnel_driver_OVS_DRIVER_VXLAN as isize,
    /// Geneve over both.
    Geneve = bindings::ovs_tunnel_driver_OVS_DRIVER_GENEVE as isize,
}

impl Driver {
    fn number(self) -> bindings::ovs_tunnel_driver {
        self as bindings::ovs_tunnel_driver // CAST: made of one
    }
}

/// A driver that stays loaded as long as there is the value, or until it is released.
///
/// # Invariants
///
/// `create` is null, or the driver's function with a reference on its module, which is ours.
pub struct TunnelDriver {
    driver: Driver,
    create: AtomicPtr<c_void>,
}

impl TunnelDriver {
    /// Finds the driver, or has it loaded; `None` if there is none or if it makes no devices for others, as from 7.3 on.
    ///
    /// User space loads modules: whoever waits for it must not hold a lock that it may want.
    pub fn get(driver: Driver, _ctx: &impl MaySleep) -> Option<Self> {
        // SAFETY: may sleep, by the token.
        let create = unsafe { bindings::rust_helper_tunnel_driver_get(driver.number()) };
        // INVARIANT: found with a reference.
        (!create.is_null()).then(|| Self {
            driver,
            create: AtomicPtr::new(create),
        })
    }

    /// Makes a device, which is up. `port`: the UDP port, in host order; the driver may have chosen one if it is 0. Both
    /// it and `gbp`, the group policy extension, count where the driver has them. EEXIST, EINVAL, EADDRINUSE, ENOMEM …
    pub fn create<'r>(
        &mut self,
        rtnl: &'r OvsRtnl,
        net: NetRef<'_>,
        name: &[u8; 16],
        port: &mut u16,
        gbp: bool,
    ) -> Result<NewDevice<'r>> {
        let create = NonNull::new(*self.create.get_mut()).ok_or(ENODEV)?;
        let mut name = *name;
        name[15] = 0;
        let mut dev = ptr::null_mut();
        // SAFETY: the driver's own function, held by the invariant, and by us exclusively; the namespace is there, the name
        // ends with a NUL, the RTNL is held.
        to_result(unsafe {
            bindings::rust_helper_tunnel_dev_create(
                self.driver.number(),
                create.as_ptr(),
                net.as_ptr(),
                name.as_ptr().cast(),
                port,
                gbp,
                &mut dev,
            )
        })?;
        // INVARIANT: made just now, so nobody else deletes it before the RTNL is released.
        let new = NewDevice {
            dev: NonNull::new(dev).ok_or(ENODEV)?,
            rtnl,
        };
        // SAFETY: registered, RTNL held.
        to_result(unsafe { bindings::rust_helper_dev_set_up(dev) })?;
        Ok(new)
    }

    /// Lets the driver go. Does nothing the second time.
    pub fn release(&self) {
        // INVARIANT: null from now on.
        let create = self.create.swap(ptr::null_mut(), Ordering::AcqRel);
        if !create.is_null() {
            // SAFETY: the reference was ours until just now.
            unsafe { bindings::rust_helper_tunnel_driver_put(self.driver.number()) };
        }
    }
}

impl Drop for TunnelDriver {
    fn drop(&mut self) {
        self.release();
    }
}

/// A device that was made just now. Dropped, it is deleted again.
///
/// # Invariants
///
/// Registered, and nobody else deletes it in this section of the RTNL.
#[must_use]
pub struct NewDevice<'r> {
    dev: NonNull<bindings::net_device>,
    rtnl: &'r OvsRtnl,
}

impl NewDevice<'_> {
    /// The device.
    pub fn get(&self) -> NetDevice<'_> {
        // SAFETY: registered, so it stays at least until the RTNL is released.
        unsafe { NetDevice::from_non_null(self.dev) }
    }

    /// A reference. It must be given back before the RTNL is released, or for a port: whoever deletes the device waits.
    pub fn hold(&self) -> DeviceRef {
        DeviceRef::new(self.get())
    }

    /// Gives the device away: [`Leaving::delete`](super::netdev::Leaving::delete) is the new owner's.
    pub fn keep(self) -> NonNull<bindings::net_device> {
        ManuallyDrop::new(self).dev
    }
}

impl Drop for NewDevice<'_> {
    fn drop(&mut self) {
        unregister_all(self.rtnl, |leaving| {
            // SAFETY: by the invariant.
            unsafe { leaving.delete(self.rtnl, self.get()) };
        });
    }
}
