// SPDX-License-Identifier: GPL-2.0
//! Requests through the kernel's own socket layer, as a process with all rights sends them. C half: `rust/helpers/kunit.c`.
//!
//! C counterpart: none.

use crate::datapath::abi::version;
use crate::datapath::env::{Group, Reply, ReplyOps};
use crate::datapath::netlink::attr::Attrs;
use crate::datapath::netlink::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use crate::rust::bindings;
use core::ffi::c_void;
use core::ptr::NonNull;
use kernel::prelude::*;

/// `NLM_F_REQUEST | NLM_F_ACK`
const REQUEST: u16 = 1 | 4;
/// `NLM_F_DUMP`
pub(super) const DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_HDRLEN: usize = 16;
/// `NLMSGERR_ATTR_MSG`
const ERR_MSG: u16 = 1;

/// A socket of generic netlink.
pub(super) struct Socket(NonNull<c_void>);

impl Socket {
    pub(super) fn open() -> Result<Self> {
        // SAFETY: a test runs in process context.
        NonNull::new(unsafe { bindings::rust_helper_kunit_socket() })
            .map(Self)
            .ok_or(ENOMEM)
    }

    /// Sends these bytes. The kernel has dealt with them when that returns; the error is one from before any family.
    pub(super) fn send(&self, request: &[u8]) -> Result {
        let len = u32::try_from(request.len())?;
        // SAFETY: an open socket, and so many bytes.
        kernel::error::to_result(unsafe {
            bindings::rust_helper_kunit_send(self.0.as_ptr(), request.as_ptr(), len)
        })
    }

    /// The same, and what the kernel has answered.
    pub(super) fn ask(&self, request: &[u8]) -> Result<Answer> {
        self.send(request)?;
        self.answer()
    }

    /// What is there to be received.
    pub(super) fn answer(&self) -> Result<Answer> {
        const ROOM: usize = 32768;
        let mut all = KVVec::new();
        let mut room = KVVec::new();
        room.resize(ROOM, 0u8, GFP_KERNEL)?;
        loop {
            // SAFETY: an open socket, and so much room. CAST: as it says above
            let n = unsafe {
                bindings::rust_helper_kunit_receive(self.0.as_ptr(), room.as_mut_ptr(), ROOM as u32)
            };
            let Ok(n) = usize::try_from(n) else {
                match Error::from_errno(n) {
                    // That a message was lost is told once, before what is there.
                    ENOBUFS => continue,
                    _ => return Ok(Answer(all)),
                }
            };
            all.extend_from_slice(room.get(..n).ok_or(EMSGSIZE)?, GFP_KERNEL)?;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: opened once.
        unsafe { bindings::rust_helper_kunit_socket_close(self.0.as_ptr()) }
    }
}

/// Messages from the kernel, one after the other.
pub(super) struct Answer(KVVec<u8>);

/// Type, flags and payload of a message.
type Message<'a> = (u16, u16, &'a [u8]);

impl Answer {
    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        let mut rest: &[u8] = &self.0;
        core::iter::from_fn(move || {
            let h: &[u8; NLMSG_HDRLEN] = rest.first_chunk()?;
            let len = u32::from_ne_bytes([h[0], h[1], h[2], h[3]]) as usize;
            let payload = rest.get(NLMSG_HDRLEN..len)?;
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
            Some((
                u16::from_ne_bytes([h[4], h[5]]),
                u16::from_ne_bytes([h[6], h[7]]),
                payload,
            ))
        })
    }

    /// How the request ended: 0, or an errno, which is negative.
    pub(super) fn errno(&self) -> Option<i32> {
        let mut last = self
            .messages()
            .filter(|m| matches!(m.0, NLMSG_ERROR | NLMSG_DONE));
        last.find_map(|(_, _, p)| p.first_chunk().map(|b| i32::from_ne_bytes(*b)))
    }

    /// What the extended ack says.
    pub(super) fn has_text(&self) -> bool {
        self.messages()
            .filter(|m| m.0 == NLMSG_ERROR)
            .any(|(_, flags, p)| {
                // NLM_F_CAPPED, NLM_F_ACK_TLVS: the errno, the request's header, attributes.
                let attrs = p.get(4 + NLMSG_HDRLEN..).unwrap_or(&[]);
                flags & 0x200 != 0 && Attrs::new(attrs).any(|a| a.ty() == ERR_MSG && a.len() > 1)
            })
    }

    /// Datapath and attributes of what a family has said.
    pub(super) fn replies(&self) -> impl Iterator<Item = (i32, Attrs<'_>)> {
        self.messages()
            .filter(|m| m.0 > NLMSG_DONE)
            .filter_map(|(_, _, p)| {
                let (header, attrs) = p.split_at_checked(MSG_HDRLEN - NLMSG_HDRLEN)?;
                let ifindex = header.last_chunk().map(|b| i32::from_ne_bytes(*b))?;
                Some((ifindex, Attrs::new(attrs)))
            })
    }
}

/// A request of a family.
pub(super) fn request(
    group: Group,
    cmd: u8,
    flags: u16,
    dp_ifindex: i32,
    body: impl FnOnce(&mut Writer<'_>) -> Put,
) -> Result<KVec<u8>> {
    let mut bytes = KVec::new();
    bytes.resize(4096, 0, GFP_KERNEL)?;
    let header = MsgHeader {
        family: Reply::family_id(group),
        flags: REQUEST | flags,
        seq: 1,
        portid: 0,
        cmd,
        version: match group {
            Group::Datapath => version::DATAPATH,
            _ => version::VPORT,
        },
        dp_ifindex,
    };
    let mut w = Writer::new(&mut bytes);
    w.message(&header, body).map_err(|_| EMSGSIZE)?;
    let len = w.len();
    bytes.truncate(len);
    Ok(bytes)
}
