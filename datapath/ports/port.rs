// SPDX-License-Identifier: GPL-2.0
//! A vport: one numbered port of a datapath and the device below it.
//!
//! C counterpart: `struct vport` in `net/openvswitch/vport.h`.

use crate::datapath::datapath::Datapath;
use crate::datapath::env::{Device, DeviceName, TunnelConfig};
use crate::rust::sync::{LocalU64, PerCpu, RcuSlot};
use kernel::alloc::KVec;
use kernel::sync::Arc;

/// Port number of the local port, which every datapath has.
pub const LOCAL: u16 = 0;
/// Port numbers are below this (spec V1).
pub const MAX_PORTS: u32 = 65535;

/// `enum ovs_vport_type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VportType {
    Netdev = 1,
    Internal = 2,
    Gre = 3,
    Vxlan = 4,
    Geneve = 5,
}

/// Netlink ports that take a vport's upcalls (spec U2, V1).
pub struct Portids(pub KVec<u32>);

/// Upcalls of a vport on one CPU (spec V13, U12).
#[derive(Default)]
pub struct UpcallStats {
    pub success: LocalU64,
    pub fail: LocalU64,
}

/// A vport.
pub struct Vport {
    pub no: u16,
    pub kind: VportType,
    /// Name at creation, by which it is found (spec V5).
    pub name: DeviceName,
    /// How many ports its namespace's datapaths had been given before, by which the newest of a name is known.
    pub born: u64,
    /// Keeps the datapath alive; the cycle is cut when the port is deleted.
    pub dp: Arc<Datapath>,
    pub dev: Device,
    /// With what the device was made, if it is a tunnel that goes with the port (spec W21).
    pub tunnel: Option<TunnelConfig>,
    pub portids: RcuSlot<Portids>,
    pub upcalls: PerCpu<UpcallStats>,
}
