// SPDX-License-Identifier: GPL-2.0
//! Devices below vports: netdevs that others own, and internal devices.
//!
//! C counterpart: `net/openvswitch/vport-netdev.c`, `vport-internal_dev.c`.

use crate::datapath::env::{DeviceName, DeviceOps, DeviceStats, Packet};
use crate::datapath::ports::port::Vport;
use crate::rust::net::netdev::{NetDevice, ARPHRD_ETHER, ARPHRD_NONE};
use crate::rust::net::netns::NetRef;
use crate::rust::sync::{BhGuard, OvsGuard};
use crate::{internal_dev, rx, tables};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use kernel::error::code::{EBUSY, EINVAL, ENODEV, ENOMEM};
use kernel::error::Result;

/// The device of a vport.
///
/// # Invariants
///
/// `dev` is null or points to a live device: a netdev that we hold a reference on until dropped, or an internal device,
/// whose pointer becomes null before it is freed and before the grace period that precedes that. So whoever reads the
/// pointer under RCU or `ovs_mutex` may use it there.
pub struct Port {
    dev: AtomicPtr<crate::rust::bindings::net_device>,
    internal: bool,
    /// Our reference on the module is held (spec X8).
    pinned: AtomicBool,
    /// The internal device was registered.
    registered: AtomicBool,
}

impl Port {
    fn new(dev: NetDevice, internal: bool) -> Self {
        Self {
            dev: AtomicPtr::new(dev.as_ptr()),
            internal,
            pinned: AtomicBool::new(true),
            registered: AtomicBool::new(false),
        }
    }

    /// The device; `None` once an internal device is gone.
    #[inline(always)]
    pub fn dev(&self) -> Option<NetDevice> {
        // SAFETY: alive by the invariant.
        unsafe { NetDevice::from_raw(self.dev.load(Ordering::Relaxed)) }
    }

    fn unpin(&self) {
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

fn link_netdev(ovs: &OvsGuard, vport: &Vport, master: &Port) -> Result {
    let (Some(dev), Some(master)) = (vport.dev.dev(), master.dev()) else {
        return Err(ENODEV);
    };
    let rtnl = ovs.rtnl();
    // What is leaving would never tell us again (spec 0.15).
    if !dev.is_registered() {
        return Err(ENODEV);
    }
    // SAFETY: the vport is freed a grace period after `unlink`, which detaches.
    unsafe { dev.attach_port(&rtnl, master, rx::frame_hook, ptr::from_ref(vport).cast()) }
}

impl DeviceOps for Port {
    fn open_netdev(_ovs: &OvsGuard, net: &NetRef, name: &DeviceName) -> Result<Self> {
        let dev = NetDevice::get_by_name(net, name).ok_or(ENODEV)?;
        let usable = !dev.is_loopback()
            && matches!(dev.kind(), ARPHRD_ETHER | ARPHRD_NONE)
            && !internal_dev::is_internal(dev)
            && dev.name() == *name; // no alternative name (spec W1)
        let pinned = if usable { pin_module() } else { Err(EINVAL) };
        if let Err(e) = pinned {
            // SAFETY: the lookup took a reference, and nobody else got it.
            unsafe { dev.put() };
            return Err(e);
        }
        Ok(Self::new(dev, false))
    }

    fn new_internal(
        _ovs: &OvsGuard,
        net: &NetRef,
        name: &DeviceName,
        ifindex: i32,
    ) -> Result<Self> {
        pin_module()?;
        match internal_dev::alloc(net, name, ifindex) {
            Some(dev) => Ok(Self::new(dev, true)),
            None => {
                // SAFETY: taken just above.
                unsafe { tables::ovs_module_put() };
                Err(ENOMEM)
            }
        }
    }

    fn link(ovs: &OvsGuard, vport: &Vport, local: bool, master: Option<&Self>) -> Result<()> {
        let port = &vport.dev;
        if !port.internal {
            return link_netdev(ovs, vport, master.ok_or(ENODEV)?);
        }
        let dev = port.dev().ok_or(EBUSY)?;
        // SAFETY: allocated by `new_internal` and not registered; the vport is freed a grace period after `unlink`.
        unsafe { internal_dev::register(&ovs.rtnl(), dev, vport, local) }?;
        port.registered.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn unlink(ovs: &OvsGuard, vport: &Vport) {
        let port = &vport.dev;
        let Some(dev) = port.dev() else { return };
        if port.internal {
            if port.registered.load(Ordering::Relaxed) {
                // INVARIANT: null before the device goes, which waits for readers.
                let gone = || port.dev.store(ptr::null_mut(), Ordering::Relaxed);
                // SAFETY: registered by `link`, and only once unregistered as the pointer is null from now on.
                unsafe { internal_dev::unregister(ovs.rtnl(), dev, gone) };
            }
        } else if dev.is_ovs_port() {
            dev.detach_port(&ovs.rtnl());
        }
        port.unpin();
    }

    fn name(&self) -> DeviceName {
        self.dev().map_or([0; 16], |d| d.name())
    }

    fn ifindex(&self) -> i32 {
        self.dev().map_or(0, |d| d.ifindex())
    }

    fn net(&self) -> NetRef {
        match self.dev() {
            Some(dev) => dev.net(),
            None => crate::pernet::init_net(),
        }
    }

    fn stats(&self) -> DeviceStats {
        let Some(dev) = self.dev() else {
            return DeviceStats::default();
        };
        let s = dev.stats();
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
    fn is_internal(&self) -> bool {
        self.internal
    }

    fn is_attached(&self) -> bool {
        self.dev().is_some_and(|d| self.internal || d.is_ovs_port())
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
            Some(dev) if self.internal => dev.receive(pkt),
            Some(dev) => dev.xmit(pkt),
            None => drop(pkt),
        }
    }

    fn fragment(&self, pkt: Packet, mru: u16, ipv6: bool, bh: &BhGuard) {
        if let Some(dev) = self.dev() {
            let payload = !self.is_ethernet() && pkt.network_offset() != 0;
            dev.fragment(pkt, mru, ipv6, self.internal, payload, bh.rcu());
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.unpin();
        let Some(dev) = NonNull::new(*self.dev.get_mut()) else {
            return;
        };
        // SAFETY: alive by the invariant.
        let Some(dev) = (unsafe { NetDevice::from_raw(dev.as_ptr()) }) else {
            return;
        };
        if self.internal {
            // SAFETY: had it been registered and unregistered, the pointer would be null.
            unsafe { internal_dev::free(dev) };
        } else {
            // SAFETY: the reference taken by `open_netdev`; nobody uses this value any more.
            unsafe { dev.put() };
        }
    }
}
