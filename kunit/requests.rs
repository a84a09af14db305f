// SPDX-License-Identifier: GPL-2.0
//! A request of every kind, each to the datapath with the ifindex that is given.
//!
//! C counterpart: none.

use super::netlink::{request, DUMP};
use super::packet::UDP4;
use crate::datapath::abi::{
    action_attr, band_attr, cmd, ct_attr, ct_limit_attr, ct_limit_cmd, dp_attr, dp_feature,
    flow_attr, key_attr, meter_attr, meter_band, meter_cmd, packet_attr, packet_cmd, sample_attr,
    tunnel_attr, userspace_attr, vport_attr,
};
use crate::datapath::env::Group;
use crate::datapath::netlink::nlm;
use crate::datapath::netlink::writer::{Mark, Put, Writer};
use kernel::prelude::*;

/// That of [`with_datapath`](super::genetlink::with_datapath).
const NAME: [u8; 16] = *b"ovs-kunit0\0\0\0\0\0\0";
const OTHER: [u8; 16] = *b"ovs-kunit9\0\0\0\0\0\0";
const PORT: [u8; 16] = *b"ovs-kunit8\0\0\0\0\0\0";
/// A device of the suite's, which is port 1 where a packet is executed.
pub(super) const DEVICE: [u8; 16] = *b"ovs-kunit1\0\0\0\0\0\0";
pub(super) const UFID: [u8; 16] = *b"sixteen bytes id";
const METER: u32 = 5;

// ---- ovs_datapath ----

fn dp_request(
    command: u8,
    name: &[u8; 16],
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    request(Group::Datapath, command, nlm::ECHO, 0, |w| {
        w.put_name(dp_attr::NAME, name)?;
        body(w)
    })
}

fn put_pids(w: &mut Writer<'_>, pids: &[u32]) -> Put {
    w.put_u32(
        dp_attr::USER_FEATURES,
        dp_feature::UNALIGNED | dp_feature::DISPATCH_UPCALL_PER_CPU,
    )?;
    w.put_u32s(dp_attr::PER_CPU_PIDS, pids)
}

pub(super) fn other_new(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::NEW, &OTHER, |w| {
        w.put_u32(dp_attr::UPCALL_PID, 0)?;
        put_pids(w, &[1, 2, 3])
    })
}

pub(super) fn other_del(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::DEL, &OTHER, |_| Ok(()))
}

pub(super) fn dp_new(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::NEW, &NAME, |w| w.put_u32(dp_attr::UPCALL_PID, 0))
}

pub(super) fn dp_del(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::DEL, &NAME, |_| Ok(()))
}

pub(super) fn dp_set(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::SET, &NAME, |w| {
        w.put_u32(dp_attr::MASKS_CACHE_SIZE, 256)?;
        put_pids(w, &[4, 5])
    })
}

pub(super) fn dp_set_more(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::SET, &NAME, |w| {
        w.put_u32(dp_attr::MASKS_CACHE_SIZE, 1024)?;
        put_pids(w, &[6, 7, 8])
    })
}

pub(super) fn dp_get(_: i32) -> Result<KVec<u8>> {
    dp_request(cmd::GET, &NAME, |_| Ok(()))
}

pub(super) fn dp_dump(_: i32) -> Result<KVec<u8>> {
    request(Group::Datapath, cmd::GET, DUMP, 0, |_| Ok(()))
}

// ---- ovs_vport: port 5 ----

fn port_request(
    command: u8,
    dp: i32,
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    request(Group::Vport, command, nlm::ECHO, dp, |w| {
        w.put_u32(vport_attr::PORT_NO, 5)?;
        body(w)
    })
}

/// `kind`: `OVS_VPORT_TYPE_*`
fn put_port(w: &mut Writer<'_>, kind: u32, name: &[u8; 16]) -> Put {
    w.put_u32(vport_attr::TYPE, kind)?;
    w.put_name(vport_attr::NAME, name)?;
    w.put_u32(vport_attr::UPCALL_PID, 9)
}

pub(super) fn port_new(dp: i32) -> Result<KVec<u8>> {
    port_request(cmd::NEW, dp, |w| put_port(w, 2, &PORT))
}

pub(super) fn netdev_new(dp: i32) -> Result<KVec<u8>> {
    port_request(cmd::NEW, dp, |w| put_port(w, 1, &DEVICE))
}

pub(super) fn port_del(dp: i32) -> Result<KVec<u8>> {
    port_request(cmd::DEL, dp, |_| Ok(()))
}

pub(super) fn port_set(dp: i32) -> Result<KVec<u8>> {
    port_request(cmd::SET, dp, |w| w.put_u32(vport_attr::UPCALL_PID, 10))
}

pub(super) fn port_set_back(dp: i32) -> Result<KVec<u8>> {
    port_request(cmd::SET, dp, |w| w.put_u32(vport_attr::UPCALL_PID, 9))
}

pub(super) fn port_get(dp: i32) -> Result<KVec<u8>> {
    port_request(cmd::GET, dp, |_| Ok(()))
}

pub(super) fn port_dump(dp: i32) -> Result<KVec<u8>> {
    request(Group::Vport, cmd::GET, DUMP, dp, |_| Ok(()))
}

// ---- ovs_flow: one with a UFID, and one with a mask and much to do, found by its key ----

/// Frames of one type from the local port; the nest is open.
fn begin_key(w: &mut Writer<'_>, ty: u16) -> Put<Mark> {
    let key = w.nest(flow_attr::KEY)?;
    w.put_u32(key_attr::IN_PORT, 0)?;
    w.put(key_attr::ETHERNET, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])?;
    w.put(key_attr::ETHERTYPE, &ty.to_be_bytes())?;
    Ok(key)
}

/// Frames of one type from the local port.
pub(super) fn put_key(w: &mut Writer<'_>, ty: u16) -> Put {
    let key = begin_key(w, ty)?;
    w.end_nest(key)
}

/// UDP over IPv6, whose addresses and ports lie in a part of the key of its own.
fn put_much_key(w: &mut Writer<'_>) -> Put {
    let key = begin_key(w, 0x86dd)?;
    let mut ip = [0; 40];
    (ip[0], ip[16], ip[36], ip[38]) = (0x20, 0x20, 17, 64);
    w.put(key_attr::IPV6, &ip)?;
    w.put(key_attr::UDP, &[0x12, 0x34, 0, 53])?;
    w.end_nest(key)
}

fn put_mask(w: &mut Writer<'_>) -> Put {
    let mask = w.nest(flow_attr::MASK)?;
    w.put_u32(key_attr::IN_PORT, u32::MAX)?;
    w.put(key_attr::ETHERTYPE, &[0xff, 0xff])?;
    let mut ip = [0; 40];
    (ip[0], ip[36]) = (0xff, 0xff);
    w.put(key_attr::IPV6, &ip)?;
    w.put(key_attr::UDP, &[0, 0, 0xff, 0xff])?;
    w.end_nest(mask)
}

pub(super) fn put_output(w: &mut Writer<'_>, attr: u16, port: u32) -> Put {
    let list = w.nest(attr)?;
    w.put_u32(action_attr::OUTPUT, port)?;
    w.end_nest(list)
}

/// Actions that hold something, a tunnel, a tracker's template, or other actions.
fn put_much(w: &mut Writer<'_>, mark: u32) -> Put {
    let list = w.nest(flow_attr::ACTIONS)?;
    let set = w.nest(action_attr::SET)?;
    w.put(key_attr::UDP, &[0x43, 0x21, 0, 53])?;
    w.end_nest(set)?;
    let set = w.nest(action_attr::SET)?;
    let tunnel = w.nest(key_attr::TUNNEL)?;
    w.put_u64(tunnel_attr::ID, 7)?;
    w.put(tunnel_attr::IPV4_DST, &[10, 0, 0, 9])?;
    w.put_u8(tunnel_attr::TTL, 64)?;
    w.put(tunnel_attr::GENEVE_OPTS, &[0, 1, 2, 1, 3, 4, 5, 6])?;
    w.end_nest(tunnel)?;
    w.end_nest(set)?;
    let ct = w.nest(action_attr::CT)?;
    w.put_flag(ct_attr::COMMIT)?;
    w.put_u16(ct_attr::ZONE, 0x7b7c)?;
    w.put_u32s(ct_attr::MARK, &[mark, u32::MAX])?;
    w.end_nest(ct)?;
    let sample = w.nest(action_attr::SAMPLE)?;
    w.put_u32(sample_attr::PROBABILITY, 1000)?;
    let inner = w.nest(sample_attr::ACTIONS)?;
    let user = w.nest(action_attr::USERSPACE)?;
    w.put_u32(userspace_attr::PID, 9)?;
    w.put(userspace_attr::USERDATA, &[1, 2, 3, 4, 5])?;
    w.end_nest(user)?;
    w.end_nest(inner)?;
    w.end_nest(sample)?;
    w.put_u32(action_attr::OUTPUT, 0)?;
    w.end_nest(list)
}

fn flow_request(
    command: u8,
    flags: u16,
    dp: i32,
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    request(Group::Flow, command, nlm::ECHO | flags, dp, body)
}

fn ufid_request(
    command: u8,
    flags: u16,
    dp: i32,
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    flow_request(command, flags, dp, |w| {
        w.put(flow_attr::UFID, &UFID)?;
        body(w)
    })
}

pub(super) fn flow_new(dp: i32) -> Result<KVec<u8>> {
    ufid_request(cmd::NEW, nlm::CREATE, dp, |w| {
        put_key(w, 0x88b5)?;
        put_output(w, flow_attr::ACTIONS, 0)
    })
}

pub(super) fn flow_again(dp: i32) -> Result<KVec<u8>> {
    ufid_request(cmd::NEW, 0, dp, |w| {
        put_key(w, 0x88b5)?;
        put_output(w, flow_attr::ACTIONS, 7)
    })
}

pub(super) fn flow_set_7(dp: i32) -> Result<KVec<u8>> {
    ufid_request(cmd::SET, 0, dp, |w| {
        put_key(w, 0x88b5)?;
        put_output(w, flow_attr::ACTIONS, 7)
    })
}

pub(super) fn flow_set_0(dp: i32) -> Result<KVec<u8>> {
    ufid_request(cmd::SET, 0, dp, |w| {
        put_key(w, 0x88b5)?;
        put_output(w, flow_attr::ACTIONS, 0)
    })
}

pub(super) fn flow_del(dp: i32) -> Result<KVec<u8>> {
    ufid_request(cmd::DEL, 0, dp, |_| Ok(()))
}

pub(super) fn flow_flush(dp: i32) -> Result<KVec<u8>> {
    flow_request(cmd::DEL, 0, dp, |_| Ok(()))
}

pub(super) fn flow_dump(dp: i32) -> Result<KVec<u8>> {
    request(Group::Flow, cmd::GET, DUMP, dp, |_| Ok(()))
}

fn much(command: u8, flags: u16, dp: i32, mark: u32) -> Result<KVec<u8>> {
    flow_request(command, flags, dp, |w| {
        put_much_key(w)?;
        put_mask(w)?;
        put_much(w, mark)
    })
}

pub(super) fn much_new(dp: i32) -> Result<KVec<u8>> {
    much(cmd::NEW, nlm::CREATE, dp, 1)
}

pub(super) fn much_2(dp: i32) -> Result<KVec<u8>> {
    much(cmd::NEW, 0, dp, 2)
}

pub(super) fn much_set_2(dp: i32) -> Result<KVec<u8>> {
    much(cmd::SET, 0, dp, 2)
}

pub(super) fn much_set_1(dp: i32) -> Result<KVec<u8>> {
    much(cmd::SET, 0, dp, 1)
}

pub(super) fn much_get(dp: i32) -> Result<KVec<u8>> {
    flow_request(cmd::GET, 0, dp, put_much_key)
}

pub(super) fn much_del(dp: i32) -> Result<KVec<u8>> {
    flow_request(cmd::DEL, 0, dp, put_much_key)
}

// ---- ovs_meter: meter 5, told apart by what it has counted ----

fn meter_request(
    command: u8,
    dp: i32,
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    request(Group::Meter, command, 0, dp, |w| {
        w.put_u32(meter_attr::ID, METER)?;
        body(w)
    })
}

fn put_meter(w: &mut Writer<'_>, counted: u8) -> Put {
    w.put(meter_attr::STATS, &[counted; 16])?;
    let bands = w.nest(meter_attr::BANDS)?;
    let band = w.nest(1)?;
    w.put_u32(band_attr::TYPE, meter_band::DROP)?;
    w.put_u32(band_attr::RATE, 1000)?;
    w.put_u32(band_attr::BURST, 100)?;
    w.end_nest(band)?;
    w.end_nest(bands)
}

pub(super) fn meter_set(dp: i32) -> Result<KVec<u8>> {
    meter_request(meter_cmd::SET, dp, |w| put_meter(w, 1))
}

pub(super) fn meter_2(dp: i32) -> Result<KVec<u8>> {
    meter_request(meter_cmd::SET, dp, |w| put_meter(w, 2))
}

pub(super) fn meter_get(dp: i32) -> Result<KVec<u8>> {
    meter_request(meter_cmd::GET, dp, |_| Ok(()))
}

pub(super) fn meter_del(dp: i32) -> Result<KVec<u8>> {
    meter_request(meter_cmd::DEL, dp, |_| Ok(()))
}

pub(super) fn meter_features(dp: i32) -> Result<KVec<u8>> {
    meter_request(meter_cmd::FEATURES, dp, |_| Ok(()))
}

// ---- ovs_ct_limit: the default, and two zones ----

fn limits(command: u8, dp: i32, limit: u32) -> Result<KVec<u8>> {
    request(Group::CtLimit, command, 0, dp, |w| {
        // Elements of zone, limit, count; the default's zone is -1.
        let of = |zone| [zone, limit, 0];
        let zones = [of(u32::MAX), of(700), of(701)];
        w.put_u32s(ct_limit_attr::ZONE_LIMIT, zones.as_flattened())
    })
}

pub(super) fn limits_set(dp: i32) -> Result<KVec<u8>> {
    limits(ct_limit_cmd::SET, dp, 11)
}

pub(super) fn limits_2(dp: i32) -> Result<KVec<u8>> {
    limits(ct_limit_cmd::SET, dp, 12)
}

pub(super) fn limits_del(dp: i32) -> Result<KVec<u8>> {
    limits(ct_limit_cmd::DEL, dp, 0)
}

pub(super) fn limits_get(dp: i32) -> Result<KVec<u8>> {
    request(Group::CtLimit, ct_limit_cmd::GET, 0, dp, |_| Ok(()))
}

// ---- ovs_packet ----

pub(super) fn execute(dp: i32) -> Result<KVec<u8>> {
    request(Group::Packet, packet_cmd::EXECUTE, 0, dp, |w| {
        w.put(packet_attr::PACKET, &UDP4)?;
        let key = w.nest(packet_attr::KEY)?;
        w.end_nest(key)?;
        let list = w.nest(packet_attr::ACTIONS)?;
        let set = w.nest(action_attr::SET)?;
        w.put(key_attr::UDP, &[0x43, 0x21, 0, 53])?;
        w.end_nest(set)?;
        w.put_u32(action_attr::OUTPUT, 1)?;
        w.end_nest(list)
    })
}
