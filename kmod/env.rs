// SPDX-License-Identifier: GPL-2.0
//! The kernel as the switch's world: clock, chance, and packets that are `sk_buff`s.
//!
//! Devices are in `ports.rs`, namespaces in `pernet.rs`, messages in `genl.rs`.
//!
//! C counterpart: none; what `net/openvswitch` calls directly.

use crate::datapath::env::{Env, IpSummed, NoMem, PacketMeta, PacketOps, VlanTag};
use crate::datapath::error::DropReason;
use crate::genl::UpcallMessage;
use crate::ports::Port;
use crate::rust::bindings;
use crate::rust::net::genetlink::Message;
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::{checksum, ControlBlock, SkBuff};
use crate::sys;
use kernel::error::code::{EINVAL, ENOMEM};
use kernel::error::Result;

/// The running kernel.
pub struct KernelEnv;

impl Env for KernelEnv {
    type Packet = SkBuff;
    type Device = Port;
    type Net = NetRef;
    type Reply = Message;
    type Upcall = UpcallMessage;

    fn random_u32() -> u32 {
        sys::get_random_u32()
    }

    fn now_ms() -> u64 {
        sys::monotonic_ms()
    }

    fn log_allowed() -> bool {
        sys::net_ratelimit()
    }

    fn nr_cpu_ids() -> u32 {
        sys::nr_cpu_ids()
    }
}

// SAFETY: five integers, for which any bytes will do.
unsafe impl ControlBlock for PacketMeta {}
const _: () = assert!(size_of::<PacketMeta>() <= 24);

/// The number that drop monitors show (spec X1).
pub fn drop_reason(why: DropReason) -> u32 {
    match why {
        DropReason::NoMem => bindings::ovs_core_drop_DROP_NOMEM,
        DropReason::PktTooBig => bindings::ovs_core_drop_DROP_PKT_TOO_BIG,
        DropReason::DevReady => bindings::ovs_core_drop_DROP_DEV_READY,
        DropReason::NotSpecified => bindings::ovs_core_drop_DROP_NOT_SPECIFIED,
        ours => bindings::ovs_core_drop_DROP_SUBSYS | ours as u32,
    }
}

impl PacketOps for SkBuff {
    #[inline(always)]
    fn len(&self) -> usize {
        SkBuff::len(self)
    }

    #[inline(always)]
    fn linear(&self) -> &[u8] {
        SkBuff::linear(self)
    }

    #[inline]
    fn pull(&mut self, n: usize) -> Result<(), NoMem> {
        if self.pull_tail(n) {
            Ok(())
        } else {
            Err(NoMem)
        }
    }

    fn ensure_writable(&mut self, n: usize) -> Result<&mut [u8]> {
        SkBuff::ensure_writable(self, n)
    }

    fn trim(&mut self, len: usize) -> Result<()> {
        SkBuff::trim(self, len)
    }

    #[inline(always)]
    fn set_mac_header(&mut self, off: usize) {
        SkBuff::set_mac_header(self, off);
    }

    #[inline(always)]
    fn set_network_header(&mut self, off: usize) {
        SkBuff::set_network_header(self, off);
    }

    #[inline(always)]
    fn set_transport_header(&mut self, off: usize) {
        SkBuff::set_transport_header(self, off);
    }

    #[inline(always)]
    fn network_offset(&self) -> usize {
        SkBuff::network_offset(self)
    }

    #[inline(always)]
    fn transport_offset(&self) -> usize {
        SkBuff::transport_offset(self)
    }

    #[inline(always)]
    fn mac_len(&self) -> usize {
        SkBuff::mac_len(self)
    }

    #[inline(always)]
    fn reset_mac_len(&mut self) {
        SkBuff::reset_mac_len(self);
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        SkBuff::protocol(self)
    }

    #[inline(always)]
    fn set_protocol(&mut self, proto: u16) {
        SkBuff::set_protocol(self, proto);
    }

    #[inline(always)]
    fn priority(&self) -> u32 {
        SkBuff::priority(self)
    }

    #[inline(always)]
    fn set_priority(&mut self, v: u32) {
        SkBuff::set_priority(self, v);
    }

    #[inline(always)]
    fn mark(&self) -> u32 {
        SkBuff::mark(self)
    }

    #[inline(always)]
    fn set_mark(&mut self, v: u32) {
        SkBuff::set_mark(self, v);
    }

    #[inline(always)]
    fn vlan_tag(&self) -> Option<VlanTag> {
        SkBuff::vlan_beside(self).map(|(tpid, tci)| VlanTag { tpid, tci })
    }

    fn untag_vlan(&mut self) -> Result<(), NoMem> {
        SkBuff::vlan_untag(self).map_err(|_| NoMem)
    }

    fn push_vlan(&mut self, tag: VlanTag) -> Result<()> {
        SkBuff::vlan_push(self, tag.tpid, tag.tci)
    }

    fn pop_vlan(&mut self) -> Result<()> {
        SkBuff::pop_vlan(self)
    }

    fn push_eth(&mut self, dst: &[u8; 6], src: &[u8; 6]) -> Result<()> {
        SkBuff::push_eth(self, dst, src)
    }

    fn pop_eth(&mut self) -> Result<()> {
        SkBuff::pop_eth(self)
    }

    #[inline(always)]
    fn flow_hash(&mut self) -> u32 {
        SkBuff::flow_hash(self)
    }

    fn symmetric_hash(&mut self) -> u32 {
        SkBuff::symmetric_hash(self)
    }

    #[inline(always)]
    fn raw_hash(&self) -> (u32, bool, bool) {
        SkBuff::raw_hash(self)
    }

    fn set_raw_hash(&mut self, value: u32, sw: bool, l4: bool) {
        SkBuff::set_raw_hash(self, value, sw, l4);
    }

    fn clear_hash(&mut self) {
        SkBuff::set_raw_hash(self, 0, false, false);
    }

    #[inline]
    fn ip_summed(&self) -> IpSummed {
        match SkBuff::summed(self) {
            checksum::UNNECESSARY => IpSummed::Unnecessary,
            checksum::COMPLETE => IpSummed::Complete,
            checksum::PARTIAL => IpSummed::Partial,
            _ => IpSummed::None,
        }
    }

    fn csum(&self) -> u32 {
        SkBuff::csum(self)
    }

    fn set_csum(&mut self, v: u32) {
        SkBuff::set_csum(self, v);
    }

    fn sctp_checksum(&mut self, off: usize) -> u32 {
        SkBuff::sctp_checksum(self, off)
    }

    #[inline(always)]
    fn is_gso(&self) -> bool {
        SkBuff::is_gso(self)
    }

    #[inline(always)]
    fn is_gso_udp(&self) -> bool {
        SkBuff::is_gso_udp(self)
    }

    fn for_each_segment(
        &mut self,
        f: &mut impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        SkBuff::for_each_segment(self, f)
    }

    fn reset_conntrack(&mut self) {
        SkBuff::reset_conntrack(self);
    }

    fn set_ignore_df(&mut self) {
        SkBuff::set_ignore_df(self);
    }

    fn set_device(&mut self, dev: &Port) {
        if let Some(dev) = dev.dev() {
            self.set_dev(dev.as_ptr());
        }
    }

    #[inline(always)]
    fn enter_net(&mut self, net: &NetRef) {
        if self.net() != Some(*net) {
            let mark = self.mark();
            self.scrub();
            self.set_mark(mark);
        }
    }

    #[inline(always)]
    fn meta(&self) -> &PacketMeta {
        self.cb()
    }

    #[inline(always)]
    fn meta_mut(&mut self) -> &mut PacketMeta {
        self.cb_mut()
    }

    fn try_clone(&mut self) -> Result<Self, NoMem> {
        SkBuff::clone_atomic(self).ok_or(NoMem)
    }

    #[cold]
    fn discard(self, why: DropReason) {
        self.kfree(drop_reason(why));
    }

    fn tx_error(&mut self) {
        SkBuff::tx_error(self);
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Err(EINVAL);
        }
        let mut pkt = SkBuff::copy_of(bytes).ok_or(ENOMEM)?;
        *pkt.meta_mut() = PacketMeta::default();
        Ok(pkt)
    }
}
