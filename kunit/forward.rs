// SPDX-License-Identifier: GPL-2.0
//! Frames from one device to another through a switch, all of its parts in the kernel: what comes out, and what does where
//! memory is short (spec A1 to A31, B64).
//!
//! C counterpart: none.

use super::device::Device;
use super::genetlink::with_datapath;
use super::netlink::{request, Socket, DUMP};
use super::packet::{
    can_fail, check, fail_nth, freed, make_complete, make_partial, packet, watch, Shape, UDP4,
};
use crate::datapath::abi::{
    action_attr, cmd, ct_attr, flow_attr, key_attr, userspace_attr, vport_attr,
};
use crate::datapath::env::Group;
use crate::datapath::netlink::nlm;
use crate::datapath::netlink::writer::{Put, Writer};
use crate::rust::bindings;
use kernel::prelude::*;

const IN: [u8; 16] = *b"ovs-kunit1\0\0\0\0\0\0";
const OUT: [u8; 16] = *b"ovs-kunit2\0\0\0\0\0\0";
const ZONE: u16 = 0x7b7b;

/// Makes a netdev a port; how that ended.
pub(super) fn attach(sock: &Socket, dp: i32, name: &[u8; 16], port: u32) -> Result<Option<i32>> {
    let bytes = request(Group::Vport, cmd::NEW, 0, dp, |w| {
        // OVS_VPORT_TYPE_NETDEV
        w.put_u32(vport_attr::TYPE, 1)?;
        w.put_name(vport_attr::NAME, name)?;
        w.put_u32(vport_attr::PORT_NO, port)?;
        w.put_u32(vport_attr::UPCALL_PID, 0)
    })?;
    Ok(sock.ask(&bytes)?.errno())
}

/// Removes a port; how that ended.
pub(super) fn detach(sock: &Socket, dp: i32, port: u32) -> Result<Option<i32>> {
    let bytes = request(Group::Vport, cmd::DEL, 0, dp, |w| {
        w.put_u32(vport_attr::PORT_NO, port)
    })?;
    Ok(sock.ask(&bytes)?.errno())
}

/// How many ports there are, the local one among them.
pub(super) fn ports(sock: &Socket, dp: i32) -> Result<usize> {
    let bytes = request(Group::Vport, cmd::GET, DUMP, dp, |_| Ok(()))?;
    Ok(sock.ask(&bytes)?.replies().count())
}

/// A flow of the frame [`UDP4`] from this port.
pub(super) fn udp_flow(
    dp: i32,
    port: u32,
    actions: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    request(Group::Flow, cmd::NEW, nlm::CREATE, dp, |w| {
        let key = w.nest(flow_attr::KEY)?;
        w.put_u32(key_attr::IN_PORT, port)?;
        w.put(key_attr::ETHERNET, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])?;
        w.put(key_attr::ETHERTYPE, &[8, 0])?;
        w.put(key_attr::IPV4, &[10, 0, 0, 1, 10, 0, 0, 2, 17, 0x10, 64, 0])?;
        w.put(key_attr::UDP, &[0x12, 0x34, 0, 53])?;
        w.end_nest(key)?;
        let list = w.nest(flow_attr::ACTIONS)?;
        actions(w)?;
        w.end_nest(list)
    })
}

/// SET of another source address, TTL and source port.
fn put_sets(w: &mut Writer<'_>) -> Put {
    let set = w.nest(action_attr::SET)?;
    w.put(
        key_attr::IPV4,
        &[192, 168, 7, 9, 10, 0, 0, 2, 17, 0x10, 9, 0],
    )?;
    w.end_nest(set)?;
    let set = w.nest(action_attr::SET)?;
    w.put(key_attr::UDP, &[0x43, 0x21, 0, 53])?;
    w.end_nest(set)
}

/// [`UDP4`] after [`put_sets`].
fn changed() -> [u8; 60] {
    let mut f = UDP4;
    f[22] = 9;
    f[26..30].copy_from_slice(&[192, 168, 7, 9]);
    f[34..36].copy_from_slice(&[0x43, 0x21]);
    f[24..26].copy_from_slice(&[0, 0]);
    let ip = check(&f, 14, 34, 0);
    f[24..26].copy_from_slice(&ip.to_be_bytes());
    f[40..42].copy_from_slice(&[0, 0]);
    let udp = check(&f, 34, 60, 0xc0a8 + 0x0709 + 0xa00 + 2 + 17 + 26);
    f[40..42].copy_from_slice(&udp.to_be_bytes());
    f
}

/// Much of what an action list can have, each part with its own allocations on the way.
fn put_many(w: &mut Writer<'_>) -> Put {
    w.put_u32(action_attr::OUTPUT, 2)?;
    w.put(action_attr::PUSH_VLAN, &[0x81, 0, 0x10, 7])?;
    w.put_u32(action_attr::OUTPUT, 2)?;
    w.put(action_attr::PUSH_VLAN, &[0x88, 0xa8, 0x10, 8])?;
    w.put_u32(action_attr::OUTPUT, 2)?;
    w.put_flag(action_attr::POP_VLAN)?;
    w.put_flag(action_attr::POP_VLAN)?;
    put_sets(w)?;
    w.put_u32(action_attr::OUTPUT, 2)?;
    let clone = w.nest(action_attr::CLONE)?;
    w.put(action_attr::PUSH_MPLS, &[0, 6, 0x4b, 64, 0x88, 0x47, 0, 0])?;
    w.put_u32(action_attr::OUTPUT, 2)?;
    w.end_nest(clone)?;
    let user = w.nest(action_attr::USERSPACE)?;
    // Nobody is there.
    w.put_u32(userspace_attr::PID, 0x7fff_fff1)?;
    w.end_nest(user)?;
    let ct = w.nest(action_attr::CT)?;
    w.put_flag(ct_attr::COMMIT)?;
    w.put_u16(ct_attr::ZONE, ZONE)?;
    w.end_nest(ct)?;
    w.put_u32(action_attr::TRUNC, 40)?;
    w.put_u32(action_attr::OUTPUT, 2)
}

/// Runs `f` with a switch of two ports and the flow with these actions.
fn with_switch<T>(
    actions: impl FnOnce(&mut Writer<'_>) -> Put,
    f: impl FnOnce(&Device, &Device) -> Result<T>,
) -> Result<T> {
    let (input, output) = (Device::new(&IN)?, Device::new(&OUT)?);
    with_datapath(|sock, dp| {
        let made = (
            attach(sock, dp, &IN, 1)?,
            attach(sock, dp, &OUT, 2)?,
            sock.ask(&udp_flow(dp, 1, actions)?)?.errno(),
        );
        if made != (Some(0), Some(0), Some(0)) {
            pr_err!("forward: {:?}\n", made);
            return Err(EINVAL);
        }
        f(&input, &output)
    })
}

/// Forgets the connections of the suite.
fn flush() {
    // SAFETY: a test runs in process context.
    unsafe { bindings::rust_helper_kunit_ct_flush(ZONE) };
}

/// Whether `some` are among `all`, in their order.
fn is_among(some: &[KVec<u8>], all: &[KVec<u8>]) -> bool {
    let mut rest = all.iter();
    some.iter().all(|f| rest.any(|g| **f == **g))
}

const SHAPES: [Shape; 4] = [
    Shape::Linear,
    Shape::Paged(0),
    Shape::Paged(36),
    Shape::Listed(20, 13),
];

#[kernel::macros::kunit_tests(ovs_forward)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_came_in() -> Result {
        let bad = with_switch(
            |w| w.put_u32(action_attr::OUTPUT, 2),
            |input, output| {
                let mut bad = 0;
                for shape in SHAPES {
                    input.input(packet(&UDP4, shape)?);
                    let frames = output.frames()?;
                    bad += usize::from(!(frames.len() == 1 && *frames[0] == UDP4));
                }
                Ok(bad)
            },
        )?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn sums_are_right_in_every_state() -> Result {
        let want = changed();
        let bad = with_switch(
            |w| {
                put_sets(w)?;
                w.put_u32(action_attr::OUTPUT, 2)
            },
            |input, output| {
                let mut bad = 0;
                for state in 0..3 {
                    for shape in SHAPES {
                        let mut frame = UDP4;
                        if state == 2 {
                            let pseudo = !check(&[], 0, 0, 0xa00 + 1 + 0xa00 + 2 + 17 + 26);
                            frame[40..42].copy_from_slice(&pseudo.to_be_bytes());
                        }
                        let mut skb = packet(&frame, shape)?;
                        match state {
                            0 => {}
                            1 => make_complete(&mut skb),
                            _ => make_partial(&mut skb, 34, 6),
                        }
                        input.input(skb);
                        let frames = output.frames()?;
                        if !(frames.len() == 1 && *frames[0] == want) {
                            pr_err!("forward: sum in state {}\n", state);
                            bad += 1;
                        }
                    }
                }
                Ok(bad)
            },
        )?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn all_actions_do_their_part() -> Result {
        let want = changed();
        let (count, good) = with_switch(put_many, |input, output| {
            input.input(packet(&UDP4, Shape::Paged(0))?);
            let frames = output.frames()?;
            flush();
            let at = |n: usize| frames.get(n).map_or(&[][..], |f| f);
            let good = *at(0) == UDP4
                && at(1).get(12..18) == Some(&[0x81, 0, 0, 7, 8, 0])
                && at(2).get(12..22) == Some(&[0x88, 0xa8, 0, 8, 0x81, 0, 0, 7, 8, 0])
                && at(2).get(22..) == UDP4.get(14..)
                && *at(3) == want
                && at(4).get(12..18) == Some(&[0x88, 0x47, 0, 6, 0x4b, 64])
                && at(4).get(18..) == want.get(14..)
                && *at(5) == want[..40];
            Ok((frames.len(), good))
        })?;
        assert_eq!(count, 6);
        assert!(good);
        Ok(())
    }

    #[test]
    fn each_allocation_on_the_way_can_fail() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let (failed, bad) = with_switch(put_many, |input, output| {
            let (mut failed, mut bad) = (0, 0);
            for shape in SHAPES {
                input.input(packet(&UDP4, shape)?);
                let whole = output.frames()?;
                flush();
                for n in 1..500 {
                    let mut skb = packet(&UDP4, shape)?;
                    watch(&mut skb);
                    let before = freed();
                    fail_nth(n);
                    input.input(skb);
                    let left = fail_nth(0);
                    let frames = output.frames()?;
                    flush();
                    let right = is_among(&frames, &whole)
                        && freed() == before + 1
                        && (left == 0 || frames.len() == whole.len());
                    if !right {
                        pr_err!("forward: allocation {}: {} frames\n", n, frames.len());
                        bad += 1;
                    }
                    if left != 0 {
                        break;
                    }
                    failed += 1;
                }
            }
            Ok((failed, bad))
        })?;
        assert_eq!(bad, 0);
        // A clone for each output but the last, heads that are shared, the connection, the upcall's message.
        assert!(failed >= 20);
        Ok(())
    }
}
