// SPDX-License-Identifier: GPL-2.0
//! Devices below vports: netdevs that others own, tunnels that are made for a port, and internal devices.
//!
//! C counterpart: `net/openvswitch/vport-netdev.c`, `vport-{vxlan,geneve,gre}.c`, `vport-internal_dev.c`.

use crate::datapath::env::{DeviceName, DeviceOps, DeviceStats, Packet, TunnelConfig, TunnelKind};
use crate::datapath::ports::port::Vport;
use crate::pernet::Namespace;
use crate::rust::bindings;
use crate::rust::net::netdev::{
    unregister_all, DeviceRef, Leaving, NetDevice, RtnlHeld, ARPHRD_ETHER, ARPHRD_NONE,
};
use crate::rust::net::tunnel_dev::{Driver, TunnelDriver};
use crate::rust::sync::{BhGuard, MaySleep, OvsRtnl, RcuGuard, RcuHold};
use crate::{internal_dev, rx, tables};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::error::code::{EAFNOSUPPORT, EINVAL, ENODEV, ENOMEM};
use kernel::error::Result;

/// The device of a vport.
///
/// # Invariants
///
/// `dev` is null or points to a device that stays as long as whoever found it there borrows the port. It becomes null
/// when the port is unlinked, before the reference on a netdev is let go and before an internal device is unregistered.
/// A tunnel's is null until it is made, and then a netdev; only the port deletes it, unless others have before.
/// Whoever borrows a port is one of these:
///
/// * A reader, or a holder of `ovs_mutex`, that found the port through its token: the reference is given back, and the
///   device is freed, a grace period later and, for an internal device, after the mutex as well; nobody but a holder of
///   the mutex unlinks.
/// * The only one who knows the port, before it is published or after it was refused: nobody unlinks it.
///
/// A port that was unpublished gives itself out through a token only ([`Retired`](crate::rust::sync::Retired)).
pub struct Port {
    dev: AtomicPtr<bindings::net_device>,
    /// The reference on a netdev; none for an internal device, which is ours, and for a tunnel before it is made.
    ///
    /// Given back after a grace period, whoever holds `ovs_mutex`: whoever unregisters the device waits for it.
    hold: Option<RcuHold<DeviceRef>>,
    /// The driver of a tunnel, which cannot be unloaded as long as there is the port.
    driver: Option<TunnelDriver>,
    /// Our reference on the module is held (spec X8).
    pinned: AtomicBool,
    /// A netdev is attached, or an internal device registered. Changes under the RTNL.
    linked: AtomicBool,
}

impl Port {
    fn new(dev: *mut bindings::net_device, hold: Option<RcuHold<DeviceRef>>) -> Self {
        Self {
            dev: AtomicPtr::new(dev),
            hold,
            driver: None,
            pinned: AtomicBool::new(true),
            linked: AtomicBool::new(false),
        }
    }

    /// The device; `None` once the port was unlinked.
    #[inline(always)]
    pub fn dev(&self) -> Option<NetDevice<'_>> {
        // SAFETY: stays by the invariant.
        unsafe { NetDevice::from_raw(self.dev.load(Ordering::Relaxed)) }
    }

    /// Takes a netdev out of the switch: no packet comes from it any more. The port stays until it is unlinked. Does
    /// nothing the second time.
    pub fn detach(&self, rtnl: &impl RtnlHeld) {
        if let (Some(dev), true) = (self.dev(), self.linked.swap(false, Ordering::Relaxed)) {
            dev.detach_port(rtnl);
        }
    }

    fn unlink(&self, rtnl: &OvsRtnl, leaving: &mut Leaving) {
        if let Some(hold) = &self.hold {
            self.detach(rtnl);
            let dev = self.dev();
            self.dev.store(ptr::null_mut(), Ordering::Relaxed);
            // Others may have deleted a tunnel, and wait for us. It may also have moved to another namespace (W7).
            if let Some(dev) = dev.filter(|dev| self.driver.is_some() && dev.is_registered()) {
                // SAFETY: registered. Not on the list yet, as the pointer was not null.
                unsafe { leaving.delete(rtnl, dev) };
            }
            // Before the RTNL is released, which waits for it.
            hold.release();
        } else if self.linked.swap(false, Ordering::Relaxed) {
            let dev = self.dev();
            self.dev.store(ptr::null_mut(), Ordering::Relaxed);
            if let Some(dev) = dev {
                // SAFETY: registered by `register`, and only once here, as `linked` was set.
                unsafe { internal_dev::leave(rtnl, dev, leaving) };
            }
        }
        self.unpin();
    }

    /// Unloading the driver waits for devices that are leaving.
    fn unpin(&self) {
        if let Some(driver) = &self.driver {
            driver.release();
        }
        if self.pinned.swap(false, Ordering::Relaxed) {
            // SAFETY: taken when the port was made.
            unsafe { tables::ovs_module_put() };
        }
    }
}

fn pin_module() -> Result {
    // SAFETY: always allowed.
    if unsafe { tables::ovs_module_get() } {
        Ok(())
    } else {
        Err(ENODEV)
    }
}

fn link_netdev(rtnl: &OvsRtnl, vport: &Vport, master: &Port) -> Result {
    let (Some(dev), Some(master)) = (vport.dev.dev(), master.dev()) else {
        return Err(ENODEV);
    };
    // What is leaving would never tell us again (spec 0.15); what has left for another namespace is not the device that
    // was asked for.
    if !dev.is_registered() || !dev.is_in(vport.dp.net.as_ref()) {
        return Err(ENODEV);
    }
    // SAFETY: the vport is freed a grace period after `unlink_all`, which detaches.
    unsafe { dev.attach_port(rtnl, master, rx::frame_hook, ptr::from_ref(vport).cast()) }
}

fn driver_of(kind: TunnelKind) -> Driver {
    match kind {
        TunnelKind::Gre => Driver::Gretap,
        TunnelKind::Vxlan => Driver::Vxlan,
        TunnelKind::Geneve => Driver::Geneve,
    }
}

impl DeviceOps for Port {
    fn open_netdev(net: &Namespace, name: &DeviceName, _ctx: &impl MaySleep) -> Result<Self> {
        let held = DeviceRef::by_name(net.as_ref(), name).ok_or(ENODEV)?;
        let dev = held.get();
        // Found by an alternative name (spec W1).
        if dev.name() != *name {
            return Err(ENODEV);
        }
        let usable = !dev.is_loopback()
            && matches!(dev.kind(), ARPHRD_ETHER | ARPHRD_NONE)
            && !internal_dev::is_internal(dev);
        if !usable {
            return Err(EINVAL);
        }
        let dev = dev.as_ptr();
        let hold = RcuHold::new(held, GFP_KERNEL)?;
        pin_module()?;
        Ok(Self::new(dev, Some(hold)))
    }

    fn new_internal(
        net: &Namespace,
        name: &DeviceName,
        ifindex: i32,
        ctx: &impl MaySleep,
    ) -> Result<Self> {
        pin_module()?;
        match internal_dev::alloc(net.as_ref(), name, ifindex, ctx) {
            Some(dev) => Ok(Self::new(dev.as_ptr(), None)),
            None => {
                // SAFETY: taken just above.
                unsafe { tables::ovs_module_put() };
                Err(ENOMEM)
            }
        }
    }

    fn open_tunnel(kind: TunnelKind, ctx: &impl MaySleep) -> Result<Self> {
        let driver = TunnelDriver::get(driver_of(kind), ctx).ok_or(EAFNOSUPPORT)?;
        pin_module()?;
        let mut port = Self::new(ptr::null_mut(), None);
        port.driver = Some(driver);
        Ok(port)
    }

    fn make_tunnel(
        &mut self,
        rtnl: &OvsRtnl,
        net: &Namespace,
        name: &DeviceName,
        config: TunnelConfig,
    ) -> Result<TunnelConfig> {
        let (mut dst_port, gbp) = match config {
            TunnelConfig::Gre => (0, false),
            TunnelConfig::Vxlan { dst_port, gbp } => (dst_port, gbp),
            TunnelConfig::Geneve { dst_port } => (dst_port, false),
        };
        let driver = self.driver.as_mut().ok_or(ENODEV)?;
        let new = driver.create(rtnl, net.as_ref(), name, &mut dst_port, gbp)?;
        // A template has become a name. C does not find that, and leaves the device behind.
        if new.get().name() != *name {
            return Err(ENODEV);
        }
        self.hold = Some(RcuHold::new(new.hold(), GFP_KERNEL)?);
        *self.dev.get_mut() = new.keep().as_ptr();
        Ok(match config {
            TunnelConfig::Gre => config,
            TunnelConfig::Vxlan { .. } => TunnelConfig::Vxlan { dst_port, gbp },
            TunnelConfig::Geneve { .. } => TunnelConfig::Geneve { dst_port },
        })
    }

    fn register(&mut self, rtnl: &OvsRtnl, local: bool) -> Result {
        let Some(dev) = self.dev().filter(|_| self.hold.is_none()) else {
            return Ok(());
        };
        // SAFETY: allocated by `new_internal`, and known to nobody else, as we are borrowed exclusively.
        unsafe { internal_dev::register(rtnl, dev, local) }?;
        self.linked.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn link(rtnl: &OvsRtnl, vport: &Vport, master: Option<&Self>) -> Result {
        let port = &vport.dev;
        if port.hold.is_some() {
            let linked = master
                .ok_or(ENODEV)
                .and_then(|m| link_netdev(rtnl, vport, m));
            if linked.is_err() && port.driver.is_some() {
                unregister_all(rtnl, |leaving| port.unlink(rtnl, leaving));
            }
            linked?;
            port.linked.store(true, Ordering::Relaxed);
        } else if let Some(dev) = port.dev() {
            // SAFETY: one of ours; the vport is freed a grace period after `unlink_all`, which makes the device leave, and after
            // that section of the mutex (`Retired`).
            unsafe { internal_dev::publish(dev, vport) };
        }
        Ok(())
    }

    fn unlink_all<'v>(rtnl: &OvsRtnl, vports: impl Iterator<Item = &'v Vport>) {
        unregister_all(rtnl, |leaving| {
            // No for_each(): its instances get names longer than objtool has room for.
            for vport in vports {
                vport.dev.unlink(rtnl, leaving);
            }
        });
    }

    fn name(&self) -> DeviceName {
        self.dev().map_or([0; 16], |d| d.name())
    }

    fn ifindex(&self) -> i32 {
        self.dev().map_or(0, |d| d.ifindex())
    }

    fn netnsid(&self, net: &Namespace) -> Option<i32> {
        // The device may move meanwhile; the section keeps the namespace that it was seen in.
        let rcu = RcuGuard::new();
        let (net, now) = (net.as_ref(), self.dev()?.net(&rcu));
        (now != net).then(|| net.peer_id(now))
    }

    fn stats(&self) -> DeviceStats {
        let rcu = RcuGuard::new();
        let Some(dev) = self.dev() else {
            return DeviceStats::default();
        };
        let s = dev.stats(&rcu);
        DeviceStats {
            rx_packets: s.rx_packets,
            tx_packets: s.tx_packets,
            rx_bytes: s.rx_bytes,
            tx_bytes: s.tx_bytes,
            rx_errors: s.rx_errors,
            tx_errors: s.tx_errors,
            rx_dropped: s.rx_dropped,
            tx_dropped: s.tx_dropped,
        }
    }

    #[inline(always)]
    fn is_ready(&self) -> bool {
        self.dev().is_some_and(|d| d.is_ready())
    }

    #[inline(always)]
    fn mtu(&self) -> u32 {
        self.dev().map_or(0, |d| d.mtu())
    }

    #[inline(always)]
    fn hard_header_len(&self) -> u32 {
        self.dev().map_or(0, |d| d.hard_header_len().into())
    }

    #[inline(always)]
    fn is_ethernet(&self) -> bool {
        self.dev().is_some_and(|d| d.kind() == ARPHRD_ETHER)
    }

    #[inline(always)]
    fn is_l3(&self) -> bool {
        self.dev().is_some_and(|d| d.kind() == ARPHRD_NONE)
    }

    #[inline(always)]
    fn is_internal(&self) -> bool {
        self.hold.is_none()
    }

    fn is_attached(&self) -> bool {
        self.linked.load(Ordering::Relaxed)
    }

    fn needed_headroom(&self) -> u16 {
        self.dev().map_or(0, |d| d.fwd_headroom())
    }

    fn set_rx_headroom(&self, headroom: u16) {
        if let Some(dev) = self.dev() {
            dev.set_rx_headroom(headroom);
        }
    }

    fn reset_rx_headroom(&self) {
        if let Some(dev) = self.dev() {
            dev.reset_rx_headroom();
        }
    }

    fn count_tx_error(&self) {
        if let Some(dev) = self.dev() {
            dev.count_tx_error();
        }
    }

    #[inline(always)]
    fn send(&self, pkt: Packet, _bh: &BhGuard) {
        match self.dev() {
            Some(dev) if self.hold.is_none() => dev.receive(pkt),
            Some(dev) => dev.xmit(pkt),
            None => drop(pkt),
        }
    }

    fn fragment(&self, pkt: Packet, net: &Namespace, mru: u16, ipv6: bool, bh: &BhGuard) {
        if let Some(dev) = self.dev() {
            let internal = self.hold.is_none();
            dev.fragment(pkt, net.as_ref(), mru, ipv6, internal, bh.rcu());
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.unpin();
        let dev = NonNull::new(*self.dev.get_mut());
        if let (Some(dev), true) = (dev, self.hold.is_none()) {
            // SAFETY: had it been registered and unlinked, the pointer would be null. Registering may have failed, in an
            // RTNL section that has ended.
            unsafe { internal_dev::free(dev) };
        }
    }
}
