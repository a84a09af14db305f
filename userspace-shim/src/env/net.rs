// SPDX-License-Identifier: GPL-2.0
//! [`FakeNet`]: a namespace, and what the switch asks of one.

use super::{device_name, lock, DeviceKind, FakeDevice, FakeReply};
use crate::conntrack::{FakeLabelSpace, Tracker};
use crate::datapath::control::PerNet;
use crate::datapath::env::{DeviceOps, Group, NetOps};
use crate::datapath::ports::port::Vport;
use crate::rust::sync::{MaySleep, OvsGuard, OvsRtnl, RcuGuard};
use crate::sys::testing::process_context;
use kernel::error::code::ECONNREFUSED;
use kernel::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// A network namespace. Clones are the same namespace.
#[derive(Clone)]
pub struct FakeNet(pub(super) Arc<NetInner>);

pub(super) struct NetInner {
    pub(super) state: PerNet,
    pub(super) tracker: Arc<Tracker>,
    pub(super) devices: Mutex<Vec<FakeDevice>>,
    pub(super) peers: Mutex<Vec<Weak<NetInner>>>,
    pub(super) listening: Mutex<Vec<Group>>,
    pub(super) multicasts: Mutex<Vec<(Group, Vec<u8>)>>,
    pub(super) errors: Mutex<Vec<(Group, Error)>>,
    pub(super) upcalls: Mutex<Vec<SentUpcall>>,
    pub(super) upcall_error: Mutex<Option<Error>>,
    pub(super) upcall_ports: Mutex<Option<Vec<u32>>>,
    /// The notifier has queued the namespace's work.
    pub(super) work_queued: AtomicBool,
    /// The work runs.
    pub(super) working: AtomicBool,
    /// What the next device that registers is refused with, late.
    pub(super) refusal: Mutex<Option<Error>>,
    /// Why the next tunnel that a switch had made cannot be a port.
    pub(super) tunnel_link_error: Mutex<Option<Error>>,
    /// What every device delivers as soon as it can.
    pub(super) early: Mutex<Option<Vec<u8>>>,
}

/// An upcall as userspace got it: the whole netlink message.
#[derive(Clone, Debug)]
pub struct SentUpcall {
    pub portid: u32,
    pub message: Vec<u8>,
}

/// What the module allocates when it is loaded; on a thread of its own, so that no test's account has it.
fn init_module() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let init =
            std::thread::spawn(|| crate::datapath::actions::execute::init(&process_context()));
        init.join().expect("no panic").expect("memory");
    });
}

impl FakeNet {
    /// A new namespace without devices. Nobody listens to its groups.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self::with_labels(true)
    }

    /// The same, in which connections may have labels or not.
    pub fn with_labels(labels: bool) -> Self {
        init_module();
        let tracker = Arc::<Tracker>::default();
        let right = labels.then(|| FakeLabelSpace::of(&tracker));
        Self(Arc::new(NetInner {
            state: PerNet::new(right),
            tracker,
            devices: Mutex::default(),
            peers: Mutex::default(),
            listening: Mutex::default(),
            multicasts: Mutex::default(),
            errors: Mutex::default(),
            upcalls: Mutex::default(),
            upcall_error: Mutex::default(),
            upcall_ports: Mutex::default(),
            work_queued: AtomicBool::new(false),
            working: AtomicBool::new(false),
            refusal: Mutex::new(None),
            tunnel_link_error: Mutex::new(None),
            early: Mutex::new(None),
        }))
    }

    /// Ends the namespace as the kernel does: runs the switch's exit, then forgets its devices.
    /// (In the kernel physical devices move to the first namespace; here all go.)
    pub fn exit(&self) {
        crate::datapath::control::exit_net(&process_context(), self);
        for dev in std::mem::take(&mut *lock(&self.0.devices)) {
            dev.0.registered.store(false, SeqCst);
        }
    }

    /// Adds an Ethernet device that is up and has carrier, MTU 1500.
    pub fn add(&self, name: &str) -> FakeDevice {
        self.add_with_ifindex(name, 0)
    }

    /// The same with an ifindex of the caller's choice.
    pub fn add_with_ifindex(&self, name: &str, ifindex: i32) -> FakeDevice {
        let dev = FakeDevice::new(self, device_name(name), DeviceKind::Ethernet, ifindex)
            .expect("memory for a device");
        dev.0.registered.store(true, SeqCst);
        lock(&self.0.devices).push(dev.clone());
        dev
    }

    fn internal(&self, ifindex: i32) -> Option<FakeDevice> {
        let devices = lock(&self.0.devices);
        let mut internal = devices.iter().filter(|d| d.is_internal());
        internal.find(|d| d.ifindex() == ifindex).cloned()
    }

    /// The namespace's connection tracker.
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.0.tracker
    }

    /// The device that has this name now.
    pub fn device(&self, name: &str) -> Option<FakeDevice> {
        let name = device_name(name);
        lock(&self.0.devices)
            .iter()
            .find(|d| *lock(&d.0.name) == name)
            .cloned()
    }

    /// Names of all devices, sorted.
    pub fn device_names(&self) -> Vec<String> {
        let mut names: Vec<_> = lock(&self.0.devices)
            .iter()
            .map(FakeDevice::name_string)
            .collect();
        names.sort();
        names
    }

    /// Makes someone listen to a family's group, or nobody.
    pub fn listen(&self, group: Group, on: bool) {
        let mut listening = lock(&self.0.listening);
        listening.retain(|&g| g != group);
        if on {
            listening.push(group);
        }
    }

    /// Makes a notifier refuse the next device that registers, when others may have seen it.
    pub fn refuse_registration(&self, e: Error) {
        *lock(&self.0.refusal) = Some(e);
    }

    /// Makes the next link of a tunnel that a switch had made err.
    pub fn refuse_tunnel_link(&self, e: Error) {
        *lock(&self.0.tunnel_link_error) = Some(e);
    }

    /// Makes every further device deliver this packet as soon as it is linked to its port, before the port is in the
    /// datapath; or none.
    pub fn set_early_packet(&self, bytes: Option<&[u8]>) {
        *lock(&self.0.early) = bytes.map(<[u8]>::to_vec);
    }

    /// The work that the notifier queued, if any. It does not run twice at a time: who waits in it does not see it run.
    pub fn run_work(&self) {
        if self.0.working.swap(true, SeqCst) {
            return;
        }
        while self.0.work_queued.swap(false, SeqCst) {
            crate::datapath::control::detach_unregistered(&process_context(), self);
        }
        self.0.working.store(false, SeqCst);
    }

    /// Takes what was multicast since the last call: whole messages, whether anyone listens or not.
    pub fn take_multicasts(&self) -> Vec<(Group, Vec<u8>)> {
        std::mem::take(&mut *lock(&self.0.multicasts))
    }

    /// Takes the socket errors set on groups.
    pub fn take_multicast_errors(&self) -> Vec<(Group, Error)> {
        std::mem::take(&mut *lock(&self.0.errors))
    }

    /// Takes the upcalls sent since the last call.
    pub fn take_upcalls(&self) -> Vec<SentUpcall> {
        std::mem::take(&mut *lock(&self.0.upcalls))
    }

    /// Makes every further upcall fail with `e` when it is sent (as a full or closed socket does), or none.
    pub fn set_upcall_error(&self, e: Option<Error>) {
        *lock(&self.0.upcall_error) = e;
    }

    /// Says which netlink ports have a socket; upcalls to others err with ECONNREFUSED. `None`, as at first: all have.
    pub fn set_upcall_ports(&self, ports: Option<Vec<u32>>) {
        *lock(&self.0.upcall_ports) = ports;
    }

    pub(crate) fn deliver_upcall(&self, portid: u32, message: Vec<u8>) -> Result {
        if let Some(e) = *lock(&self.0.upcall_error) {
            return Err(e);
        }
        if lock(&self.0.upcall_ports)
            .as_ref()
            .is_some_and(|ports| !ports.contains(&portid))
        {
            return Err(ECONNREFUSED);
        }
        lock(&self.0.upcalls).push(SentUpcall { portid, message });
        Ok(())
    }

    /// The id by which this namespace knows `other`.
    pub fn peer_id(&self, other: &Self) -> i32 {
        let mut peers = lock(&self.0.peers);
        let weak = Arc::downgrade(&other.0);
        let at = peers
            .iter()
            .position(|p| p.ptr_eq(&weak))
            .unwrap_or_else(|| {
                peers.push(weak);
                peers.len() - 1
            });
        at as i32
    }

    pub(super) fn remove(&self, dev: &FakeDevice) {
        lock(&self.0.devices).retain(|d| !Arc::ptr_eq(&d.0, &dev.0));
    }
}

impl PartialEq for FakeNet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl NetOps for FakeNet {
    fn for_datapath(&self) -> Self {
        self.clone()
    }

    fn state(&self) -> &PerNet {
        &self.0.state
    }

    fn internal_vport<'g>(&self, ifindex: i32, rcu: &'g RcuGuard) -> Option<&'g Vport> {
        self.internal(ifindex)?.0.vport.get(rcu)
    }

    fn internal_vport_locked<'g>(&self, ifindex: i32, ovs: &'g OvsGuard) -> Option<&'g Vport> {
        self.internal(ifindex)?.0.vport.get(ovs)
    }

    fn internal_ports<'g>(&'g self, rtnl: &'g OvsRtnl) -> impl Iterator<Item = &'g Vport> {
        let internal: Vec<_> = lock(&self.0.devices)
            .iter()
            .filter(|d| d.is_internal())
            .cloned()
            .collect();
        internal.into_iter().filter_map(|d| d.0.vport.get(rtnl))
    }

    fn has_listeners(&self, group: Group) -> bool {
        lock(&self.0.listening).contains(&group)
    }

    fn multicast(&self, group: Group, msg: FakeReply, _ctx: &impl MaySleep) {
        lock(&self.0.multicasts).push((group, msg.to_vec()));
    }

    fn multicast_error(&self, group: Group, err: Error) {
        lock(&self.0.errors).push((group, err));
    }
}
