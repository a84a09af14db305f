// SPDX-License-Identifier: GPL-2.0
//! Upcall messages of the tests' world; sent ones lie in [`FakeNet::take_upcalls`].
//!
//! Kernel counterpart: `kmod/env.rs`.

use crate::datapath::env::{PacketOps, UpcallOps};
use crate::datapath::netlink::attr::{align, HDRLEN};
use crate::env::FakeNet;
use crate::packet::Packet;
use kernel::alloc::{flags::GFP_ATOMIC, KVec};
use kernel::error::{code::*, Result};

/// An upcall message under construction.
pub struct FakeUpcall {
    room: KVec<u8>,
    unaligned: bool,
}

impl UpcallOps for FakeUpcall {
    fn new(meta: usize, pkt: &Packet, pkt_len: usize, unaligned: bool) -> Result<Self> {
        assert!(pkt_len <= pkt.len());
        let mut room = KVec::with_capacity(meta, GFP_ATOMIC)?;
        room.resize(meta, 0xa5, GFP_ATOMIC)?;
        Ok(Self { room, unaligned })
    }

    fn room(&mut self) -> &mut [u8] {
        &mut self.room
    }

    fn send(
        self,
        used: usize,
        attr: u16,
        pkt: &mut Packet,
        pkt_len: usize,
        net: &FakeNet,
        portid: u32,
    ) -> Result<()> {
        let mut message = self.room[..used].to_vec();
        assert_eq!(message.len() % 4, 0, "attributes are padded");
        let nla_len = u16::try_from(pkt_len + HDRLEN).map_err(|_| EFBIG)?;
        message.extend(nla_len.to_ne_bytes());
        message.extend(attr.to_ne_bytes());
        message.extend(&pkt.bytes()[..pkt_len]);
        if !self.unaligned {
            message.resize(align(message.len()), 0);
        }
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        net.deliver_upcall(portid, message)
    }

    /// A partial checksum stays as it is: the fake packet does not know where its field stands.
    fn prepare(pkt: &mut Packet) -> Result<Option<Packet>> {
        if pkt.vlan_tag().is_none() {
            return Ok(None);
        }
        let mut copy = Packet::copy_of(&pkt.on_wire())?;
        *copy.meta_mut() = *pkt.meta();
        let (hash, sw, l4) = pkt.raw_hash();
        copy.set_raw_hash(hash, sw, l4);
        copy.set_protocol(pkt.protocol());
        Ok(Some(copy))
    }
}
