// SPDX-License-Identifier: GPL-2.0
//! Requests from userspace, and messages to it.
//!
//! C counterpart: the `genl_family`s of `net/openvswitch/datapath.c`, which are in `families.c`.

use crate::datapath::control::{self, Outcome};
use crate::datapath::env::{Group, PacketOps, ReplyOps, UpcallOps};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::netlink::writer::{MsgHeader, Writer};
use crate::datapath::netlink::{nlm, policy, split_message, Request, TopAttrs};
use crate::pernet::Namespace;
use crate::rust::bindings;
use crate::rust::net::genetlink::{self, Family, Message, PacketMessage};
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::{MaySleep, ProcessContext};
use crate::tables::{self, declared_in_c};
use core::ffi::{c_int, c_uint};
use core::slice;
use kernel::error::code::ENOMEM;
use kernel::error::Result;

fn number(group: Group) -> c_uint {
    match group {
        Group::Datapath => bindings::ovs_family_OVS_FAM_DATAPATH,
        Group::Vport => bindings::ovs_family_OVS_FAM_VPORT,
        Group::Flow => bindings::ovs_family_OVS_FAM_FLOW,
        Group::Packet => bindings::ovs_family_OVS_FAM_PACKET,
        Group::Meter => bindings::ovs_family_OVS_FAM_METER,
        Group::CtLimit => bindings::ovs_family_OVS_FAM_CT_LIMIT,
    }
}

fn group(number: c_uint) -> Group {
    match number {
        bindings::ovs_family_OVS_FAM_DATAPATH => Group::Datapath,
        bindings::ovs_family_OVS_FAM_VPORT => Group::Vport,
        bindings::ovs_family_OVS_FAM_FLOW => Group::Flow,
        bindings::ovs_family_OVS_FAM_METER => Group::Meter,
        bindings::ovs_family_OVS_FAM_CT_LIMIT => Group::CtLimit,
        _ => Group::Packet,
    }
}

/// A family of ours, in C's array of them.
#[inline]
fn raw_family(group: Group) -> *const bindings::genl_family {
    let families: *const bindings::genl_family = (&raw const tables::ovs_families).cast();
    families.wrapping_add(number(group) as usize)
}

/// A family of ours.
#[inline]
pub fn family(group: Group) -> Family {
    // SAFETY: registered while the module is in use.
    unsafe { Family::from_raw(raw_family(group)) }
}

/// The `dp_ifindex` and the attributes of a message that userspace sent.
///
/// # Safety
///
/// `nlh` starts a message that is as long as it says and stays for `'a`.
unsafe fn parts<'a>(nlh: *const bindings::nlmsghdr) -> NlResult<(i32, &'a [u8])> {
    // SAFETY: by the caller.
    split_message(unsafe { slice::from_raw_parts(nlh.cast(), (*nlh).nlmsg_len as usize) })
}

/// A request.
///
/// # Safety
///
/// Called by `families.c` with a request that the kernel has validated.
#[no_mangle]
unsafe extern "C" fn ovs_genl_doit(
    _skb: *mut bindings::sk_buff,
    info: *mut bindings::genl_info,
    family_no: c_uint,
) -> c_int {
    // SAFETY: by this function's contract.
    match unsafe { obey(info, group(family_no)) } {
        Ok(outcome) => {
            // SAFETY: the request being handled.
            match unsafe { tell(outcome, info) } {
                Ok(()) => 0,
                Err(e) => e.to_errno(),
            }
        }
        Err(e) => {
            // SAFETY: the request being handled.
            unsafe { explain((*info).extack, &e) };
            e.errno.to_errno()
        }
    }
}

/// Reads a request and carries it out.
///
/// # Safety
///
/// `info` is the request being handled, one to `family`.
unsafe fn obey(info: *mut bindings::genl_info, family: Group) -> NlResult<Outcome> {
    // SAFETY: by the caller. Requests are handled by the thread that sends them, with no more than a semaphore held.
    unsafe {
        let net = Namespace::assume(bindings::rust_helper_genl_info_net(info));
        let (dp_ifindex, attrs) = parts((*info).nlhdr)?;
        let mut top = TopAttrs::empty();
        policy::validate(family, attrs, &mut top)?;
        let request = Request {
            ctx: &ProcessContext::assume(),
            net: &net,
            cmd: (*(*info).genlhdr).cmd,
            version: (*(*info).genlhdr).version,
            dp_ifindex,
            attrs: &top,
            portid: (*info).snd_portid,
            seq: (*info).snd_seq,
            flags: (*(*info).nlhdr).nlmsg_flags,
        };
        control::dispatch(family, &request)
    }
}

/// Sends what a request has led to, with no lock held (spec N9).
///
/// # Safety
///
/// `info` is the request being handled.
unsafe fn tell(outcome: Outcome, info: *mut bindings::genl_info) -> Result {
    // SAFETY: by the caller.
    unsafe {
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Reply(msg) => genetlink::reply(info, msg),
            Outcome::Notify(group, msg) => {
                family(group).notify(info, msg);
                Ok(())
            }
            Outcome::Lost(group, err) => {
                let net = Namespace::assume(bindings::rust_helper_genl_info_net(info));
                family(group).multicast_error(net.as_ref(), err);
                Ok(())
            }
        }
    }
}

/// Puts text and place of a refusal into the extended acknowledgement.
///
/// # Safety
///
/// `extack` is null or that of the request being handled, and `e.attr` points into the request.
unsafe fn explain(extack: *mut bindings::netlink_ext_ack, e: &NlError) {
    if extack.is_null() {
        return;
    }
    // SAFETY: by the caller.
    unsafe {
        if let Some(msg) = e.msg {
            (*extack)._msg = msg.to_bytes_with_nul().as_ptr().cast();
        }
        if let Some(attr) = e.attr {
            (*extack).bad_attr = attr as *const bindings::nlattr;
        }
    }
}

/// A batch of a dump.
///
/// # Safety
///
/// Called by `families.c` with the buffer and the state of a dump.
#[no_mangle]
unsafe extern "C" fn ovs_genl_dumpit(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    family_no: c_uint,
) -> c_int {
    // SAFETY: by this function's contract.
    match unsafe { dump_batch(skb, cb, group(family_no)) } {
        // SAFETY: as above.
        Ok(()) => unsafe { (*skb).len as c_int }, // CAST: buffers of dumps are small
        Err(e) => {
            // Not the place: if the first batch comes late, the request has left its buffer's data, and netlink core
            // has had versions that warn of a place outside.
            let e = NlError { attr: None, ..e };
            // SAFETY: as above.
            unsafe { explain(bindings::rust_helper_netlink_cb_extack(cb), &e) };
            e.errno.to_errno()
        }
    }
}

/// Fills the buffer of a dump.
///
/// # Safety
///
/// `skb` and `cb` are the buffer and the state of a dump of `family`.
unsafe fn dump_batch(
    skb: *mut bindings::sk_buff,
    cb: *mut bindings::netlink_callback,
    group: Group,
) -> NlResult {
    // SAFETY: by the caller. The buffer is the kernel's, linear, and ours during the call. Dumps go on in the thread that
    // asks or reads, with no more than a mutex of its socket held.
    unsafe {
        let ctx = ProcessContext::assume();
        let net = Namespace::assume(bindings::rust_helper_skb_sk_net(skb));
        let (dp_ifindex, attrs) = parts((*cb).nlh)?;
        let header = MsgHeader {
            family: family(group).id(),
            flags: nlm::MULTI,
            seq: (*(*cb).nlh).nlmsg_seq,
            portid: bindings::rust_helper_netlink_cb_portid(cb),
            cmd: crate::datapath::abi::cmd::GET,
            version: (*raw_family(group)).version as u8, // CAST: small by definition
            dp_ifindex,
        };
        // The cursor lies in the first words of the callback's context, which the kernel zeroes for the first batch.
        let args = bindings::ovs_netlink_callback_offset_NETLINK_CALLBACK_OFFSET_args;
        let cursor = &mut *cb.byte_add(args as usize).cast::<[u64; 2]>();
        let room = bindings::rust_helper_skb_tailroom(skb).max(0) as usize;
        let tail = (*skb).head.add((*skb).tail as usize);
        let mut w = Writer::new(slice::from_raw_parts_mut(tail, room));
        control::dump(&ctx, group, &net, attrs, cursor, header, &mut w)?;
        bindings::skb_put(skb, w.len() as u32); // CAST: at most the tailroom
    }
    Ok(())
}

declared_in_c!(ovs_genl_doit, ovs_genl_dumpit);

impl ReplyOps for Message {
    fn new(size: usize, ctx: &impl MaySleep) -> Result<Self> {
        Message::with_room(size, ctx)
    }

    fn room(&mut self) -> &mut [u8] {
        Message::room(self)
    }

    fn set_len(&mut self, len: usize) {
        Message::set_len(self, len);
    }

    fn family_id(group: Group) -> u16 {
        family(group).id()
    }
}

/// An upcall under construction (spec U5, U6).
pub struct UpcallMessage {
    msg: PacketMessage,
    pad: bool,
}

impl UpcallOps for UpcallMessage {
    fn new(meta: usize, pkt: &SkBuff, pkt_len: usize, unaligned: bool) -> Result<Self> {
        // The pages behind the linear part can be shared.
        let linear = if unaligned {
            pkt_len.min(pkt.zerocopy_headlen())
        } else {
            pkt_len
        };
        Ok(Self {
            msg: PacketMessage::new(meta, linear)?,
            pad: !unaligned,
        })
    }

    fn room(&mut self) -> &mut [u8] {
        self.msg.room()
    }

    fn send(
        self,
        used: usize,
        attr: u16,
        pkt: &mut SkBuff,
        pkt_len: usize,
        net: &Namespace,
        portid: u32,
    ) -> Result<()> {
        let len = pkt_len.min(PacketOps::len(pkt));
        let Self { msg, pad } = self;
        msg.send(used, attr, (pkt, len), pad, net.as_ref(), portid)
    }

    fn prepare(pkt: &mut SkBuff) -> Result<Option<SkBuff>> {
        if pkt.vlan_beside().is_some() {
            let mut inside = pkt.clone_with_vlan_inside().ok_or(ENOMEM)?;
            inside.complete_checksum()?;
            return Ok(Some(inside));
        }
        pkt.complete_checksum()?;
        Ok(None)
    }
}
