// SPDX-License-Identifier: GPL-2.0
//! [`FakeDevice`]: a network device, as tests make, change and feed it.

use super::{device_name, lock, FakeNet};
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{DeviceName, DeviceOps, DeviceStats, PacketOps, TunnelConfig, VlanTag};
use crate::link::Link;
use crate::packet::{Packet, Tunnel};
use crate::rust::sync::{BhGuard, RcuGuard, RcuHold};
use kernel::alloc::{flags::GFP_KERNEL, KBox};
use kernel::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Interface indices are unique over all namespaces here, so that mixing up namespaces shows.
static NEXT_IFINDEX: AtomicI32 = AtomicI32::new(1 << 20);

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    Ethernet,
    /// ARPHRD_NONE
    L3,
    Loopback,
    /// Some other ARPHRD type.
    Other,
    /// Ours.
    Internal,
}

/// A packet that left through a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// All bytes; a tag carried beside the data is not in them.
    pub bytes: Vec<u8>,
    pub vlan: Option<VlanTag>,
    pub protocol: u16,
    pub priority: u32,
    pub mark: u32,
    /// Whether the sum over all bytes is right, if there is one.
    pub sum_is_right: Option<bool>,
    /// What it is to be sent through.
    pub tunnel: Option<Arc<Tunnel>>,
}

/// A network device. Clones are the same device.
#[derive(Clone)]
pub struct FakeDevice(
    pub(super) Arc<DeviceInner>,
    pub(super) Option<Arc<PortSide>>,
);

/// What a port has beside the device.
pub(super) struct PortSide {
    pub(super) hold: RcuHold<Reference>,
    pub(super) attached: AtomicBool,
    /// Made for the port: the device goes with it.
    pub(super) tunnel: bool,
}

impl PortSide {
    pub(super) fn new(dev: &Arc<DeviceInner>, tunnel: bool) -> Result<Option<Arc<Self>>> {
        dev.references.fetch_add(1, SeqCst);
        Ok(Some(Arc::new(Self {
            hold: RcuHold::new(Reference(dev.clone()), GFP_KERNEL)?,
            attached: AtomicBool::new(false),
            tunnel,
        })))
    }
}

/// A counted reference to a device, for which whoever unregisters it waits.
pub(super) struct Reference(Arc<DeviceInner>);

impl Drop for Reference {
    fn drop(&mut self) {
        self.0.references.fetch_sub(1, SeqCst);
    }
}

pub(super) struct DeviceInner {
    /// Takes part in counting and failing allocations.
    pub(super) _memory: KBox<u64>,
    pub(super) name: Mutex<DeviceName>,
    pub(super) ifindex: i32,
    pub(super) net: Mutex<FakeNet>,
    pub(super) kind: Mutex<DeviceKind>,
    pub(super) registered: AtomicBool,
    pub(super) up: AtomicBool,
    pub(super) carrier: AtomicBool,
    /// Another user holds the rx handler.
    pub(super) busy: AtomicBool,
    pub(super) mtu: AtomicU64,
    pub(super) headroom: AtomicU64,
    pub(super) rx_headroom: Mutex<Option<u16>>,
    pub(super) promiscuity: AtomicI32,
    pub(super) local: AtomicBool,
    pub(super) attached: AtomicBool,
    /// The vport on top.
    pub(super) vport: Link,
    pub(super) master: Mutex<Option<FakeDevice>>,
    pub(super) peer: Mutex<Option<FakeDevice>>,
    pub(super) stats: Mutex<DeviceStats>,
    pub(super) sent: Mutex<Vec<Sent>>,
    pub(super) link_error: Mutex<Option<Error>>,
    pub(super) references: AtomicI32,
    /// VLANs, tunnels and the like that live on it.
    pub(super) uppers: Mutex<Vec<FakeDevice>>,
    /// What it was made with, if a switch had it made.
    pub(super) tunnel: Mutex<Option<TunnelConfig>>,
}

impl FakeDevice {
    pub(super) fn new(
        net: &FakeNet,
        name: DeviceName,
        kind: DeviceKind,
        ifindex: i32,
    ) -> Result<Self> {
        let memory = KBox::new(0, GFP_KERNEL)?;
        let ifindex = if ifindex == 0 {
            NEXT_IFINDEX.fetch_add(1, SeqCst)
        } else {
            ifindex
        };
        let inner = Arc::new(DeviceInner {
            _memory: memory,
            name: Mutex::new(name),
            ifindex,
            net: Mutex::new(net.clone()),
            kind: Mutex::new(kind),
            registered: AtomicBool::new(false),
            up: AtomicBool::new(true),
            carrier: AtomicBool::new(true),
            busy: AtomicBool::new(false),
            mtu: AtomicU64::new(1500),
            headroom: AtomicU64::new(0),
            rx_headroom: Mutex::new(None),
            promiscuity: AtomicI32::new(0),
            local: AtomicBool::new(false),
            attached: AtomicBool::new(false),
            vport: Link::default(),
            master: Mutex::new(None),
            peer: Mutex::new(None),
            stats: Mutex::default(),
            sent: Mutex::default(),
            link_error: Mutex::new(None),
            references: AtomicI32::new(0),
            uppers: Mutex::default(),
            tunnel: Mutex::default(),
        });
        Ok(Self(inner, None))
    }

    /// The namespace that the device is in now.
    pub fn net(&self) -> FakeNet {
        lock(&self.0.net).clone()
    }

    pub fn name_string(&self) -> String {
        let name = self.name();
        let n = name.iter().position(|&b| b == 0).unwrap_or(15);
        String::from_utf8_lossy(&name[..n]).into_owned()
    }

    pub fn rename(&self, name: &str) {
        *lock(&self.0.name) = device_name(name);
    }

    pub fn set_kind(&self, kind: DeviceKind) {
        *lock(&self.0.kind) = kind;
    }

    pub fn set_up(&self, on: bool) {
        self.0.up.store(on, SeqCst);
    }

    pub fn set_carrier(&self, on: bool) {
        self.0.carrier.store(on, SeqCst);
    }

    /// Gives the rx handler to somebody else (a bridge), so that attaching it errs with EBUSY.
    pub fn set_busy(&self, on: bool) {
        self.0.busy.store(on, SeqCst);
    }

    pub fn set_mtu(&self, mtu: u32) {
        self.0.mtu.store(mtu.into(), SeqCst);
    }

    pub fn set_needed_headroom(&self, bytes: u16) {
        self.0.headroom.store(bytes.into(), SeqCst);
    }

    pub fn set_stats(&self, stats: DeviceStats) {
        *lock(&self.0.stats) = stats;
    }

    /// Makes the next `link` err.
    pub fn fail_link(&self, e: Error) {
        *lock(&self.0.link_error) = Some(e);
    }

    /// Connects two devices like a veth pair: what one sends the other receives at once, on the same CPU.
    pub fn connect(&self, other: &FakeDevice) {
        *lock(&self.0.peer) = Some(other.clone());
        *lock(&other.0.peer) = Some(self.clone());
    }

    /// What the switch announced with `set_rx_headroom`.
    pub fn rx_headroom(&self) -> Option<u16> {
        *lock(&self.0.rx_headroom)
    }

    pub fn promiscuity(&self) -> i32 {
        self.0.promiscuity.load(SeqCst)
    }

    pub fn master(&self) -> Option<FakeDevice> {
        lock(&self.0.master).clone()
    }

    pub fn is_registered(&self) -> bool {
        self.0.registered.load(SeqCst)
    }

    /// Who holds a reference to this device beyond the namespace's list and this value.
    pub fn holders(&self) -> usize {
        let listed = usize::from(self.is_registered());
        Arc::strong_count(&self.0) - 1 - listed
    }

    /// Takes the packets sent through the device since the last call.
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut *lock(&self.0.sent))
    }

    /// Makes this a device on `lower`, with which it goes.
    pub fn stack_on(&self, lower: &FakeDevice) {
        lock(&lower.0.uppers).push(self.clone());
    }

    /// Removes a netdev as its driver would: the notifier detaches it, then the namespace's work runs.
    pub fn unregister(&self) {
        crate::sys::rtnl_lock();
        self.leave();
        crate::sys::release_rtnl();
    }

    /// The same without the work that follows, to look at what lies between.
    pub fn unregister_without_work(&self) {
        self.detach();
        self.net().remove(self);
        self.0.registered.store(false, SeqCst);
    }

    /// `unregister_netdevice`, under the RTNL: what is stacked on the device goes first, and all of them are waited for
    /// when the RTNL is released.
    pub(super) fn leave(&self) {
        for upper in std::mem::take(&mut *lock(&self.0.uppers)) {
            upper.leave();
        }
        self.detach();
        self.net().remove(self);
        self.0.registered.store(false, SeqCst);
        let dev = self.clone();
        crate::sys::testing::after_rtnl(move || dev.wait_for_references());
    }

    /// Meanwhile works run and grace periods end elsewhere.
    fn wait_for_references(&self) {
        let patience = std::time::Instant::now();
        loop {
            self.net().run_work();
            crate::sys::testing::run_rcu();
            if self.0.references.load(SeqCst) == 0 {
                return;
            }
            let waited = patience.elapsed().as_secs();
            assert!(
                waited < 20,
                "waiting for {} to become free",
                self.name_string()
            );
            std::thread::yield_now();
        }
    }

    /// Moves the device to another namespace. A netdev leaves the switch on the way; an internal device stays a port.
    /// False for the local port, which may not move.
    pub fn move_to(&self, net: &FakeNet) -> bool {
        let old = self.net();
        let moved = self.move_without_work(net);
        old.run_work();
        moved
    }

    /// The same without the work that follows.
    pub fn move_without_work(&self, net: &FakeNet) -> bool {
        if self.0.local.load(SeqCst) {
            return false;
        }
        self.detach();
        self.net().remove(self);
        *lock(&self.0.net) = net.clone();
        lock(&net.0.devices).push(self.clone());
        true
    }

    /// What the netdev notifier does at once (spec W6).
    pub(super) fn detach(&self) {
        if self.is_internal() || !self.0.attached.swap(false, SeqCst) {
            return;
        }
        if let Some(vport) = self.0.vport.get(&RcuGuard::new()) {
            if let Some(port) = &vport.dev.1 {
                port.attached.store(false, SeqCst);
            }
        }
        self.0.vport.clear();
        self.0.promiscuity.fetch_sub(1, SeqCst);
        *lock(&self.0.master) = None;
        self.net().0.work_queued.store(true, SeqCst);
    }

    /// A packet comes in: from the wire of a netdev, or from the stack out of an internal device. False if no
    /// switch has the device.
    pub fn receive(&self, bytes: &[u8]) -> bool {
        let pkt = Packet::new(bytes);
        self.receive_packet(pkt, &BhGuard::enter())
    }

    /// The same with a packet made by the caller; its data pointer stands where the switch wants it.
    pub fn receive_packet(&self, mut pkt: Packet, bh: &BhGuard) -> bool {
        let Some(vport) = self.0.vport.get(bh.rcu()) else {
            return false;
        };
        let _ = pkt.set_device(self, bh);
        let len = pkt.len() as u64;
        let done = Datapath::receive(vport, pkt, bh);
        if self.is_internal() {
            // Spec W14.
            let mut stats = lock(&self.0.stats);
            match done {
                Ok(()) => {
                    stats.tx_packets += 1;
                    stats.tx_bytes += len;
                }
                Err(_) => stats.tx_errors += 1,
            }
        }
        true
    }
}
