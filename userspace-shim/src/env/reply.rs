// SPDX-License-Identifier: GPL-2.0
//! [`FakeReply`]: a netlink message.

use crate::datapath::env::{Group, ReplyOps};
use crate::rust::sync::MaySleep;
use kernel::alloc::{flags::GFP_KERNEL, KVec};
use kernel::error::Result;

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
