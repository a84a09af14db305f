// SPDX-License-Identifier: GPL-2.0
//! Requests of ovs_packet (spec 1.4). Its other messages are upcalls: [`crate::datapath::upcall`].
//!
//! C counterpart: the first half of `ovs_packet_cmd_execute()` in `net/openvswitch/datapath.c`.

use super::attr::Attr;
use super::TopAttrs;
use crate::datapath::abi::packet_attr as attr;
use crate::datapath::error::{NlError, NlResult};
use kernel::error::code::EINVAL;

/// An EXECUTE request's attributes.
#[derive(Clone, Copy, Debug)]
pub struct Execute<'a> {
    /// At least an Ethernet header's worth of bytes.
    pub packet: &'a [u8],
    pub key: Attr<'a>,
    pub actions: Attr<'a>,
    /// Userspace is only trying.
    pub probe: bool,
    pub mru: Option<u16>,
    pub hash: Option<Hash>,
    /// Takes all upcalls of this execution, 0 for none.
    pub upcall_pid: u32,
}

/// The flow hash of an upcall, given back (spec U7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    pub value: u32,
    /// Computed in software.
    pub sw: bool,
    /// Covers L4.
    pub l4: bool,
}

impl<'a> Execute<'a> {
    /// Spec P1.
    pub fn parse(attrs: &TopAttrs<'a>) -> NlResult<Self> {
        let (Some(packet), Some(key), Some(actions)) = (
            attrs.get(attr::PACKET),
            attrs.get(attr::KEY),
            attrs.get(attr::ACTIONS),
        ) else {
            return Err(NlError::new(
                EINVAL,
                c"Packet, key and actions are required",
            ));
        };
        Ok(Self {
            packet: packet.payload(),
            key,
            actions,
            probe: attrs.get(attr::PROBE).is_some(),
            mru: attrs.get(attr::MRU).and_then(|a| a.u16()),
            hash: attrs
                .get(attr::HASH)
                .and_then(|a| a.u64())
                .map(Hash::from_bits),
            upcall_pid: attrs
                .get(attr::UPCALL_PID)
                .and_then(|a| a.u32())
                .unwrap_or(0),
        })
    }
}

impl Hash {
    /// From the HASH attribute.
    pub fn from_bits(bits: u64) -> Self {
        let value = (bits & 0xffff_ffff) as u32; // CAST: masked
        Self {
            value,
            sw: bits & (1 << 32) != 0,
            l4: bits & (1 << 33) != 0,
        }
    }

    /// To the HASH attribute.
    pub fn to_bits(self) -> u64 {
        u64::from(self.value) | (u64::from(self.sw) << 32) | (u64::from(self.l4) << 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_survives_the_way_to_userspace_and_back() {
        for bits in [0, 0xffff_ffff, 0x1_0000_0000, 0x2_1234_5678, 0x3_dead_beef] {
            assert_eq!(Hash::from_bits(bits).to_bits(), bits);
        }
        // Bits that nobody has defined are not kept.
        assert_eq!(Hash::from_bits(u64::MAX).to_bits(), 0x3_ffff_ffff);
    }
}
