// SPDX-License-Identifier: GPL-2.0
//! [`FakeEnv`]: the world of the tests.
//!
//! * A [`FakeNet`] is a network namespace. Make as many as you like with [`FakeNet::new`]; tests do not see each
//!   other's. It records upcalls, multicasts and socket errors, and says whether anyone listens.
//! * A [`FakeDevice`] is a network device: add one with [`FakeNet::add`], change it with its `set_*` methods, move it,
//!   unregister it, feed it with [`FakeDevice::receive`], read what was sent through it with [`FakeDevice::take_sent`].
//! * Clock, CPU and random numbers belong to the thread: `sys::testing::{set_now, advance, set_cpu, seed}`,
//!   [`FakeEnv::set_random`].
//! * Allocations fail on demand through `sys::testing::{fail_nth, each_failure}`; devices, messages and upcalls
//!   allocate from the same memory.
//!
//! Kernel counterpart: `kmod/env.rs`.

use crate::conntrack::{FakeConnCount, FakeLabelSpace, FakeTemplate, Tracker};
use crate::datapath::control::PerNet;
use crate::datapath::datapath::Datapath;
use crate::datapath::env::conntrack::Features;
use crate::datapath::env::{
    CtFields, DeviceName, DeviceOps, DeviceStats, Env, Group, IpSummed, NetOps, PacketOps, Psample,
    ReplyOps, TunnelConfig, TunnelKind, VlanTag,
};
use crate::datapath::ports::port::Vport;
use crate::datapath::trace::{Place, Step};
use crate::link::Link;
use crate::packet::{FakeTunnel, Packet, Tunnel};
use crate::rust::sync::{BhGuard, MaySleep, OvsGuard, OvsRtnl, RcuGuard, RcuHold};
use crate::sys::testing::process_context;
use crate::upcall::FakeUpcall;
use kernel::alloc::{flags::GFP_KERNEL, KBox, KVec};
use kernel::error::{code::*, Error, Result};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// The world of the userspace build.
pub struct FakeEnv;

thread_local! {
    static RANDOM: Cell<Option<u32>> = const { Cell::new(None) };
    static NR_CPU_IDS: Cell<Option<u32>> = const { Cell::new(None) };
    static TRACED: RefCell<Vec<Traced>> = const { RefCell::new(Vec::new()) };
    static PSAMPLE: Cell<Psample> = const { Cell::new(Psample::On) };
    static CT_FIELDS: Cell<CtFields> = const { Cell::new(CtFields::ALL) };
    static TUNNEL_DRIVERS: Cell<bool> = const { Cell::new(true) };
    static TC_TELLS: Cell<bool> = const { Cell::new(false) };
    static TC_ASKED: Cell<u32> = const { Cell::new(0) };
}

/// What a tracepoint showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    /// `ovs_do_execute_action`: name of the datapath, recirc_id, whether the key is valid.
    Action(String, u32, bool, Step),
    /// `ovs_dp_upcall`: name of the datapath, cmd, portid, whether the key is valid.
    Upcall(String, u8, u32, bool),
}

fn name_of(at: &Place<'_>) -> String {
    let name = at.dp_name.split(|&b| b == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(name).into_owned()
}

impl FakeEnv {
    /// What the tracepoints showed on this thread since the last call.
    pub fn take_traced() -> Vec<Traced> {
        TRACED.with(|t| core::mem::take(&mut *t.borrow_mut()))
    }

    /// Which fields of connection tracking this thread's keys have; all at first.
    pub fn set_ct_fields(fields: CtFields) {
        CT_FIELDS.set(fields);
    }

    /// Whether tc can tell this thread's switches something; it cannot at first.
    pub fn set_tc_tells(on: bool) {
        TC_TELLS.set(on);
    }

    /// How many datapaths of this thread ask tc.
    pub fn tc_asked() -> u32 {
        TC_ASKED.get()
    }

    /// Whether there are drivers that make tunnel devices for this thread's switches; there are at first.
    pub fn set_tunnel_drivers(on: bool) {
        TUNNEL_DRIVERS.set(on);
    }

    /// What there is of PSAMPLE on this thread; all at first.
    pub fn set_psample(there: Psample) {
        PSAMPLE.set(there);
    }

    /// Fixes this thread's random numbers, or with `None` lets them be a repeatable series again.
    pub fn set_random(v: Option<u32>) {
        RANDOM.set(v);
    }

    /// Sets what bounds arrays of netlink ports on this thread, or with `None` the number of pretended CPUs again.
    pub fn set_nr_cpu_ids(n: Option<u32>) {
        NR_CPU_IDS.set(n);
    }
}

impl Env for FakeEnv {
    type Packet = Packet;
    type Device = FakeDevice;
    type Net = FakeNet;
    type Reply = FakeReply;
    type Upcall = FakeUpcall;
    type Template = FakeTemplate;
    type LabelSpace = FakeLabelSpace;
    type ConnCount = FakeConnCount;

    const CONNTRACK: Features = Features {
        tracking: true,
        zones: true,
        marks: true,
        labels: true,
        nat: true,
        timeouts: true,
        limits: true,
    };
    type TxTunnel = FakeTunnel;

    fn random_u32() -> u32 {
        RANDOM.get().unwrap_or_else(crate::sys::get_random_u32)
    }

    fn now_ms() -> u64 {
        crate::sys::monotonic_ms()
    }

    fn log_allowed() -> bool {
        true
    }

    fn trace_action(_pkt: &Packet, at: &Place<'_>, step: &Step) {
        let traced = Traced::Action(name_of(at), at.key.recirc_id, at.key_valid, *step);
        TRACED.with(|t| t.borrow_mut().push(traced));
    }

    fn trace_upcall(_pkt: &Packet, at: &Place<'_>, cmd: u8, portid: u32) {
        let traced = Traced::Upcall(name_of(at), cmd, portid, at.key_valid);
        TRACED.with(|t| t.borrow_mut().push(traced));
    }

    fn psample() -> Psample {
        PSAMPLE.get()
    }

    fn tc_tells() -> bool {
        TC_TELLS.get()
    }

    fn ask_tc(on: bool, _ovs: &OvsGuard) {
        let asked = TC_ASKED.get();
        let now = if on {
            asked.checked_add(1)
        } else {
            asked.checked_sub(1)
        };
        TC_ASKED.set(now.expect("asked as often as no longer"));
    }

    fn ct_fields() -> CtFields {
        CT_FIELDS.get()
    }

    fn nr_cpu_ids() -> u32 {
        NR_CPU_IDS.get().unwrap_or_else(crate::sys::nr_cpu_ids)
    }

    fn buffer_memory() -> u64 {
        crate::sys::buffer_memory()
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A NUL-padded device name.
pub fn device_name(name: &str) -> DeviceName {
    let mut b = [0; 16];
    b[..name.len()].copy_from_slice(name.as_bytes());
    b
}

// ---------------------------------------------------------------------------------------------------------------------

/// A network namespace. Clones are the same namespace.
#[derive(Clone)]
pub struct FakeNet(Arc<NetInner>);

struct NetInner {
    state: PerNet,
    tracker: Arc<Tracker>,
    devices: Mutex<Vec<FakeDevice>>,
    peers: Mutex<Vec<Weak<NetInner>>>,
    listening: Mutex<Vec<Group>>,
    multicasts: Mutex<Vec<(Group, Vec<u8>)>>,
    errors: Mutex<Vec<(Group, Error)>>,
    upcalls: Mutex<Vec<SentUpcall>>,
    upcall_error: Mutex<Option<Error>>,
    upcall_ports: Mutex<Option<Vec<u32>>>,
    /// The notifier has queued the namespace's work.
    work_queued: AtomicBool,
    /// The work runs.
    working: AtomicBool,
    /// What the next device that registers is refused with, late.
    refusal: Mutex<Option<Error>>,
    /// Why the next tunnel that a switch had made cannot be a port.
    tunnel_link_error: Mutex<Option<Error>>,
    /// What every device delivers as soon as it can.
    early: Mutex<Option<Vec<u8>>>,
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

/// Interface indices are unique over all namespaces here, so that mixing up namespaces shows.
static NEXT_IFINDEX: AtomicI32 = AtomicI32::new(1 << 20);

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

    fn remove(&self, dev: &FakeDevice) {
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

// ---------------------------------------------------------------------------------------------------------------------

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
pub struct FakeDevice(Arc<DeviceInner>, Option<Arc<PortSide>>);

/// What a port has beside the device.
struct PortSide {
    hold: RcuHold<Reference>,
    attached: AtomicBool,
    /// Made for the port: the device goes with it.
    tunnel: bool,
}

impl PortSide {
    fn new(dev: &Arc<DeviceInner>, tunnel: bool) -> Result<Option<Arc<Self>>> {
        dev.references.fetch_add(1, SeqCst);
        Ok(Some(Arc::new(Self {
            hold: RcuHold::new(Reference(dev.clone()), GFP_KERNEL)?,
            attached: AtomicBool::new(false),
            tunnel,
        })))
    }
}

/// A counted reference to a device, for which whoever unregisters it waits.
struct Reference(Arc<DeviceInner>);

impl Drop for Reference {
    fn drop(&mut self) {
        self.0.references.fetch_sub(1, SeqCst);
    }
}

struct DeviceInner {
    /// Takes part in counting and failing allocations.
    _memory: KBox<u64>,
    name: Mutex<DeviceName>,
    ifindex: i32,
    net: Mutex<FakeNet>,
    kind: Mutex<DeviceKind>,
    registered: AtomicBool,
    up: AtomicBool,
    carrier: AtomicBool,
    /// Another user holds the rx handler.
    busy: AtomicBool,
    mtu: AtomicU64,
    headroom: AtomicU64,
    rx_headroom: Mutex<Option<u16>>,
    promiscuity: AtomicI32,
    local: AtomicBool,
    attached: AtomicBool,
    /// The vport on top.
    vport: Link,
    master: Mutex<Option<FakeDevice>>,
    peer: Mutex<Option<FakeDevice>>,
    stats: Mutex<DeviceStats>,
    sent: Mutex<Vec<Sent>>,
    link_error: Mutex<Option<Error>>,
    references: AtomicI32,
    /// VLANs, tunnels and the like that live on it.
    uppers: Mutex<Vec<FakeDevice>>,
    /// What it was made with, if a switch had it made.
    tunnel: Mutex<Option<TunnelConfig>>,
}

impl FakeDevice {
    fn new(net: &FakeNet, name: DeviceName, kind: DeviceKind, ifindex: i32) -> Result<Self> {
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
    fn leave(&self) {
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
    fn detach(&self) {
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

impl DeviceOps for FakeDevice {
    fn open_netdev(net: &FakeNet, name: &DeviceName, _ctx: &impl MaySleep) -> Result<Self> {
        let dev = lock(&net.0.devices)
            .iter()
            .find(|d| *lock(&d.0.name) == *name)
            .cloned()
            .ok_or(ENODEV)?;
        let kind = *lock(&dev.0.kind);
        match kind {
            DeviceKind::Ethernet | DeviceKind::L3 => {}
            DeviceKind::Loopback | DeviceKind::Other | DeviceKind::Internal => return Err(EINVAL),
        }
        let port = PortSide::new(&dev.0, false)?;
        Ok(Self(dev.0, port))
    }

    fn new_internal(
        net: &FakeNet,
        name: &DeviceName,
        ifindex: i32,
        _ctx: &impl MaySleep,
    ) -> Result<Self> {
        Self::new(net, *name, DeviceKind::Internal, ifindex)
    }

    fn open_tunnel(_kind: TunnelKind, _ctx: &impl MaySleep) -> Result<Self> {
        if !TUNNEL_DRIVERS.get() {
            return Err(EAFNOSUPPORT);
        }
        // In a namespace of its own until it is made.
        Self::new(&FakeNet::new(), [0; 16], DeviceKind::Ethernet, 0)
    }

    /// As the drivers do: one GRE device in a namespace, one of VXLAN and of Geneve for each port.
    fn make_tunnel(
        &mut self,
        _rtnl: &OvsRtnl,
        net: &FakeNet,
        name: &DeviceName,
        config: TunnelConfig,
    ) -> Result<TunnelConfig> {
        let config = match config {
            TunnelConfig::Vxlan { dst_port: 0, gbp } => TunnelConfig::Vxlan {
                dst_port: 8472,
                gbp,
            },
            _ => config,
        };
        let same = |other: TunnelConfig| match (config, other) {
            (TunnelConfig::Vxlan { dst_port: a, .. }, TunnelConfig::Vxlan { dst_port: b, .. }) => {
                a == b
            }
            _ => config == other,
        };
        let taken = lock(&net.0.devices)
            .iter()
            .any(|d| lock(&d.0.tunnel).is_some_and(same));
        if taken {
            return Err(EEXIST);
        }
        *lock(&self.0.name) = *name;
        *lock(&self.0.net) = net.clone();
        self.enlist(false)?;
        let refused = lock(&net.0.refusal).take();
        let renamed = (self.name() != *name).then_some(ENODEV);
        if let Some(e) = refused.or(renamed) {
            self.leave();
            return Err(e);
        }
        match PortSide::new(&self.0, true) {
            Ok(port) => self.1 = port,
            Err(e) => {
                self.leave();
                return Err(e);
            }
        }
        *lock(&self.0.tunnel) = Some(config);
        Ok(config)
    }

    fn register(&mut self, _rtnl: &OvsRtnl, local: bool) -> Result {
        if !self.is_internal() {
            return Ok(());
        }
        self.enlist(local)?;
        if let Some(e) = lock(&self.net().0.refusal).take() {
            self.leave();
            return Err(e);
        }
        self.0.promiscuity.fetch_add(1, SeqCst);
        Ok(())
    }

    fn link(_rtnl: &OvsRtnl, vport: &Vport, master: Option<&Self>) -> Result {
        let dev = &vport.dev;
        if let Some(e) = lock(&dev.0.link_error).take() {
            return Err(e);
        }
        if let Some(port) = dev.1.as_ref().filter(|port| port.tunnel) {
            if let Some(e) = lock(&dev.net().0.tunnel_link_error).take() {
                dev.leave();
                port.hold.release();
                return Err(e);
            }
        }
        if let Some(port) = &dev.1 {
            if !dev.is_registered() || dev.net() != vport.dp.net {
                return Err(ENODEV);
            }
            dev.enslave(master)?;
            dev.0.promiscuity.fetch_add(1, SeqCst);
            port.attached.store(true, SeqCst);
        }
        dev.0.vport.set(vport);
        let early = lock(&dev.net().0.early).clone();
        if let Some(bytes) = early {
            dev.receive(&bytes);
        }
        Ok(())
    }

    fn unlink_all<'v>(_rtnl: &OvsRtnl, vports: impl Iterator<Item = &'v Vport>) {
        for vport in vports {
            let dev = &vport.dev;
            let Some(port) = &dev.1 else {
                dev.0.vport.clear();
                dev.0.promiscuity.fetch_sub(1, SeqCst);
                dev.leave();
                continue;
            };
            if port.attached.load(SeqCst) {
                dev.detach();
            }
            if port.tunnel && dev.is_registered() {
                dev.leave();
            }
            port.hold.release();
        }
    }

    fn name(&self) -> DeviceName {
        *lock(&self.0.name)
    }

    fn ifindex(&self) -> i32 {
        self.0.ifindex
    }

    fn netnsid(&self, net: &FakeNet) -> Option<i32> {
        let now = self.net();
        (now != *net).then(|| net.peer_id(&now))
    }

    fn stats(&self) -> DeviceStats {
        if !self.is_registered() {
            return DeviceStats::default();
        }
        *lock(&self.0.stats)
    }

    fn is_ready(&self) -> bool {
        self.0.up.load(SeqCst) && self.0.carrier.load(SeqCst)
    }

    fn mtu(&self) -> u32 {
        self.0.mtu.load(SeqCst) as u32
    }

    fn hard_header_len(&self) -> u32 {
        if self.is_ethernet() {
            14
        } else {
            0
        }
    }

    fn is_ethernet(&self) -> bool {
        !matches!(*lock(&self.0.kind), DeviceKind::L3 | DeviceKind::Other)
    }

    fn is_l3(&self) -> bool {
        *lock(&self.0.kind) == DeviceKind::L3
    }

    fn is_internal(&self) -> bool {
        *lock(&self.0.kind) == DeviceKind::Internal
    }

    fn is_attached(&self) -> bool {
        match &self.1 {
            Some(port) => port.attached.load(SeqCst),
            None => self.0.attached.load(SeqCst),
        }
    }

    fn needed_headroom(&self) -> u16 {
        self.0.headroom.load(SeqCst) as u16
    }

    fn set_rx_headroom(&self, headroom: u16) {
        *lock(&self.0.rx_headroom) = Some(headroom);
    }

    fn reset_rx_headroom(&self) {
        *lock(&self.0.rx_headroom) = None;
    }

    fn count_tx_error(&self) {
        lock(&self.0.stats).tx_errors += 1;
    }

    /// IPv4 only, header checksums not updated; IPv6 goes out whole.
    fn fragment(&self, pkt: Packet, _net: &FakeNet, mru: u16, ipv6: bool, bh: &BhGuard) {
        let ip = match pkt.protocol() {
            0x8847 | 0x8848 => pkt.inner_network_offset(),
            _ => pkt.network_offset(),
        };
        let all = pkt.bytes();
        if ipv6 {
            return self.send(pkt, bh);
        }
        let ihl = usize::from(all[ip] & 0xf) * 4;
        let room = (usize::from(mru) - ihl) & !7;
        let (headers, payload) = all.split_at(ip + ihl);
        for (n, part) in payload.chunks(room).enumerate() {
            let mut b = [headers, part].concat();
            let more = if (n + 1) * room < payload.len() {
                0x2000
            } else {
                0
            };
            let offset = (n * room / 8) as u16 | more;
            b[ip + 2..ip + 4].copy_from_slice(&((ihl + part.len()) as u16).to_be_bytes());
            b[ip + 6..ip + 8].copy_from_slice(&offset.to_be_bytes());
            let mut p = Packet::new(&b).with_protocol(pkt.protocol());
            if let Some(tag) = pkt.vlan_tag() {
                p = p.with_vlan(tag.tpid, tag.tci);
            }
            self.send(p, bh);
        }
    }

    fn send(&self, pkt: Packet, bh: &BhGuard) {
        let len = pkt.len();
        if !self.count_send(len as u64) {
            return;
        }
        lock(&self.0.sent).push(Sent {
            bytes: pkt.bytes().to_vec(),
            vlan: pkt.vlan_tag(),
            protocol: pkt.protocol(),
            priority: pkt.priority(),
            mark: pkt.mark(),
            tunnel: pkt.tx_tunnel.clone(),
            sum_is_right: (pkt.ip_summed() == IpSummed::Complete).then(|| pkt.csum_is_right()),
        });
        let peer = lock(&self.0.peer).clone();
        if let Some(peer) = peer {
            peer.receive_packet(pkt, bh);
        }
    }
}

impl FakeDevice {
    /// `netdev_master_upper_dev_link` and `netdev_rx_handler_register`.
    fn enslave(&self, master: Option<&Self>) -> Result {
        let mut current = lock(&self.0.master);
        if let (Some(a), Some(b)) = (current.as_ref(), master) {
            return Err(if Arc::ptr_eq(&a.0, &b.0) {
                EEXIST
            } else {
                EBUSY
            });
        }
        if self.0.busy.load(SeqCst) {
            return Err(EBUSY);
        }
        self.0.attached.store(true, SeqCst);
        *current = master.cloned();
        Ok(())
    }

    /// Counts a packet of `len` bytes on its way out; false if it is dropped. What the switch sends to an internal
    /// device, that device receives (spec W15).
    fn count_send(&self, len: u64) -> bool {
        let mut stats = lock(&self.0.stats);
        if !self.is_internal() {
            stats.tx_packets += 1;
            stats.tx_bytes += len;
        } else if self.0.up.load(SeqCst) {
            stats.rx_packets += 1;
            stats.rx_bytes += len.saturating_sub(14);
        } else {
            stats.rx_dropped += 1;
            return false;
        }
        true
    }

    /// `dev_get_valid_name`: the device's, or the first free one of a template.
    fn free_name(&self, net: &FakeNet) -> DeviceName {
        let template = self.name_string();
        if !template.contains("%d") {
            return self.name();
        }
        let mut names = (0..).map(|i: u32| template.replacen("%d", &i.to_string(), 1));
        let name = names.find(|name| net.device(name).is_none());
        device_name(&name.expect("endless"))
    }

    /// `register_netdevice`
    fn enlist(&self, local: bool) -> Result {
        let net = self.net();
        let name = self.free_name(&net);
        let text = name.split(|&b| b == 0).next().unwrap_or(&[]);
        let bad = |b: &u8| *b == b'/' || *b == b':' || b.is_ascii_whitespace();
        if text.is_empty() || text == b"." || text == b".." || text.iter().any(bad) {
            return Err(EINVAL);
        }
        let mut devices = lock(&net.0.devices);
        if devices.iter().any(|d| *lock(&d.0.name) == name) {
            return Err(EEXIST);
        }
        if devices.iter().any(|d| d.0.ifindex == self.0.ifindex) {
            return Err(EBUSY);
        }
        *lock(&self.0.name) = name;
        self.0.local.store(local, SeqCst);
        self.0.registered.store(true, SeqCst);
        devices.push(self.clone());
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------------------------------

/// A netlink message.
pub struct FakeReply {
    bytes: KVec<u8>,
    len: usize,
}

impl FakeReply {
    pub fn to_vec(&self) -> Vec<u8> {
        self.bytes[..self.len].to_vec()
    }
}

impl ReplyOps for FakeReply {
    fn new(size: usize, _ctx: &impl MaySleep) -> Result<Self> {
        // Not zeroed, as an skb is not: what the writer forgets shows.
        let mut bytes = KVec::with_capacity(size, GFP_KERNEL)?;
        bytes.resize(size, 0xa5, GFP_KERNEL)?;
        Ok(Self { bytes, len: 0 })
    }

    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn set_len(&mut self, len: usize) {
        assert!(len <= self.bytes.len());
        self.len = len;
    }

    fn family_id(family: Group) -> u16 {
        match family {
            Group::Datapath => 0x20,
            Group::Vport => 0x21,
            Group::Flow => 0x22,
            Group::Packet => 0x23,
            Group::Meter => 0x24,
            Group::CtLimit => 0x25,
        }
    }
}
