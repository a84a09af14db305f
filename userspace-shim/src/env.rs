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

mod device;
mod net;
mod port;
mod reply;

pub use device::{DeviceKind, FakeDevice, Sent};
pub use net::{FakeNet, SentUpcall};
pub use reply::FakeReply;

use crate::conntrack::{FakeConnCount, FakeLabelSpace, FakeTemplate};
use crate::datapath::env::conntrack::Features;
use crate::datapath::env::{CtFields, DeviceName, Env, Psample};
use crate::datapath::trace::{Place, Step};
use crate::packet::{FakeTunnel, Packet};
use crate::rust::sync::OvsGuard;
use crate::upcall::FakeUpcall;
use std::cell::{Cell, RefCell};
use std::sync::{Mutex, MutexGuard};

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
