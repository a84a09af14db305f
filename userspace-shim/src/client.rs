// SPDX-License-Identifier: GPL-2.0
//! A netlink client for tests: [`Client`] sends requests through dispatch and notification the way generic netlink
//! does, but with no policy in front, [`Bytes`] writes attributes, [`Message`] reads what comes back.
//!
//! Kernel counterpart: `kmod/genl.rs` and netlink core.

use crate::datapath::control::{self, Outcome};
use crate::datapath::env::{Group, Net, NetOps, ReplyOps};
use crate::datapath::error::NlError;
use crate::datapath::netlink::attr::Attrs;
use crate::datapath::netlink::writer::{MsgHeader, Writer, MSG_HDRLEN};
use crate::datapath::netlink::{nlm, policy, Request, TopAttrs};
use crate::sys::testing::process_context;
use crate::World;

/// All families.
pub const FAMILIES: [Group; 6] = [
    Group::Datapath,
    Group::Vport,
    Group::Flow,
    Group::Packet,
    Group::Meter,
    Group::CtLimit,
];

/// Attributes under construction: `Bytes::new().name(1, "br0").u32(2, 0)`.
#[derive(Clone, Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(mut self, ty: u16, payload: &[u8]) -> Self {
        self.0.extend(((payload.len() + 4) as u16).to_ne_bytes());
        self.0.extend(ty.to_ne_bytes());
        self.0.extend(payload);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn u8(self, ty: u16, v: u8) -> Self {
        self.put(ty, &[v])
    }

    /// Host order.
    pub fn u16(self, ty: u16, v: u16) -> Self {
        self.put(ty, &v.to_ne_bytes())
    }

    /// Network order.
    pub fn be16(self, ty: u16, v: u16) -> Self {
        self.put(ty, &v.to_be_bytes())
    }

    pub fn u32(self, ty: u16, v: u32) -> Self {
        self.put(ty, &v.to_ne_bytes())
    }

    pub fn u32s(self, ty: u16, v: &[u32]) -> Self {
        self.put(
            ty,
            &v.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>(),
        )
    }

    pub fn u64(self, ty: u16, v: u64) -> Self {
        self.put(ty, &v.to_ne_bytes())
    }

    /// A string with its NUL.
    pub fn name(self, ty: u16, v: &str) -> Self {
        self.put(ty, &[v.as_bytes(), &[0]].concat())
    }

    pub fn flag(self, ty: u16) -> Self {
        self.put(ty, &[])
    }

    pub fn nest(self, ty: u16, inner: Bytes) -> Self {
        self.put(ty, &inner.0)
    }
}

/// A message from the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(pub Vec<u8>);

impl Message {
    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// Length by the header.
    pub fn nlmsg_len(&self) -> usize {
        self.word(0) as usize
    }

    pub fn family(&self) -> u16 {
        self.word(4) as u16
    }

    pub fn flags(&self) -> u16 {
        (self.word(4) >> 16) as u16
    }

    pub fn seq(&self) -> u32 {
        self.word(8)
    }

    pub fn portid(&self) -> u32 {
        self.word(12)
    }

    pub fn cmd(&self) -> u8 {
        self.0[16]
    }

    pub fn version(&self) -> u8 {
        self.0[17]
    }

    pub fn dp_ifindex(&self) -> i32 {
        self.word(20) as i32
    }

    /// The bytes of all attributes.
    pub fn attrs(&self) -> &[u8] {
        &self.0[MSG_HDRLEN..]
    }

    /// Types of the top-level attributes in order.
    pub fn types(&self) -> Vec<u16> {
        Attrs::new(self.attrs()).map(|a| a.ty()).collect()
    }

    pub fn get(&self, ty: u16) -> Option<&[u8]> {
        Attrs::new(self.attrs())
            .find(|a| a.ty() == ty)
            .map(|a| a.payload())
    }

    pub fn u32(&self, ty: u16) -> Option<u32> {
        self.get(ty)
            .map(|p| u32::from_ne_bytes(p.try_into().expect("4 bytes")))
    }

    pub fn u32s(&self, ty: u16) -> Option<Vec<u32>> {
        let ints = |p: &[u8]| {
            p.chunks_exact(4)
                .map(|c| u32::from_ne_bytes(c.try_into().unwrap()))
                .collect()
        };
        self.get(ty).map(ints)
    }

    pub fn u64s(&self, ty: u16) -> Option<Vec<u64>> {
        let ints = |p: &[u8]| {
            p.chunks_exact(8)
                .map(|c| u64::from_ne_bytes(c.try_into().unwrap()))
                .collect()
        };
        self.get(ty).map(ints)
    }

    pub fn name(&self, ty: u16) -> Option<String> {
        let text = self.get(ty)?;
        let (last, head) = text.split_last().expect("a NUL");
        assert_eq!(*last, 0);
        Some(String::from_utf8(head.to_vec()).unwrap())
    }
}

/// The refusal of a request.
pub type Refused = NlError;

/// A netlink socket in a namespace.
pub struct Client {
    pub net: Net,
    pub portid: u32,
    /// Of the next request.
    pub seq: u32,
    /// `genlmsghdr.version` of requests.
    pub version: u8,
    /// `nlmsg_flags` of requests.
    pub flags: u16,
    /// Bytes of a dump's buffer.
    pub dump_room: usize,
}

impl Client {
    pub fn new(net: &Net) -> Self {
        Self {
            net: net.clone(),
            portid: 4242,
            seq: 1,
            version: 2,
            flags: 0,
            dump_room: 4096,
        }
    }

    /// Sends a request. Returns the reply or, with NLM_F_ECHO, the echoed notification. Notifications also go to
    /// [`crate::env::FakeNet::take_multicasts`], whether anyone listens or not.
    pub fn request(
        &mut self,
        group: Group,
        cmd: u8,
        dp_ifindex: i32,
        attrs: &Bytes,
    ) -> Result<Option<Message>, Refused> {
        let mut top = TopAttrs::empty();
        policy::validate(group, &attrs.0, &mut top)?;
        let seq = self.seq;
        self.seq += 1;
        let ctx = process_context();
        let request = Request {
            ctx: &ctx,
            net: &self.net,
            cmd,
            version: self.version,
            dp_ifindex,
            attrs: &top,
            portid: self.portid,
            seq,
            flags: self.flags,
        };
        match control::dispatch(group, &request)? {
            Outcome::Done => Ok(None),
            Outcome::Reply(reply) => Ok(Some(Message(reply.to_vec()))),
            Outcome::Notify(group, reply) => {
                let echo = (self.flags & nlm::ECHO != 0).then(|| Message(reply.to_vec()));
                self.net.multicast(group, reply, &ctx);
                Ok(echo)
            }
            Outcome::Lost(group, errno) => {
                self.net.multicast_error(group, errno);
                Ok(None)
            }
        }
    }

    /// The same with NLM_F_ECHO; panics without an echo or a reply.
    pub fn call(
        &mut self,
        group: Group,
        cmd: u8,
        dp_ifindex: i32,
        attrs: &Bytes,
    ) -> Result<Message, Refused> {
        let flags = self.flags;
        self.flags |= nlm::ECHO;
        let answer = self.request(group, cmd, dp_ifindex, attrs);
        self.flags = flags;
        answer.map(|m| m.expect("an answer"))
    }

    /// All messages of a dump.
    pub fn dump(
        &mut self,
        group: Group,
        dp_ifindex: i32,
        attrs: &Bytes,
    ) -> Result<Vec<Message>, Refused> {
        let header = MsgHeader {
            family: <World as crate::datapath::env::Env>::Reply::family_id(group),
            flags: nlm::MULTI,
            seq: self.seq,
            portid: self.portid,
            cmd: crate::datapath::abi::cmd::GET,
            version: self.version,
            dp_ifindex,
        };
        self.seq += 1;
        let mut cursor = [0; 2];
        let mut messages = Vec::new();
        loop {
            let mut room = vec![0xa5; self.dump_room];
            let mut w = Writer::new(&mut room);
            control::dump(
                &process_context(),
                group,
                &self.net,
                &attrs.0,
                &mut cursor,
                header,
                &mut w,
            )?;
            if w.is_empty() {
                return Ok(messages);
            }
            let mut rest = w.written();
            while !rest.is_empty() {
                let len = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
                assert!(len >= MSG_HDRLEN, "message of {len} bytes");
                let (message, after) = rest.split_at(len);
                messages.push(Message(message.to_vec()));
                rest = after;
            }
        }
    }
}
