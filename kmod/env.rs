// SPDX-License-Identifier: GPL-2.0
//! The kernel as the switch's world: clock, chance, and packets that are `sk_buff`s.
//!
//! Devices are in `ports.rs`, namespaces in `pernet.rs`, messages in `genl.rs`.
//!
//! C counterpart: none; what `net/openvswitch` calls directly.

use crate::datapath::env::conntrack::Features;
use crate::datapath::env::{
    CtFields, Env, IpSummed, NoMem, PacketMeta, PacketOps, PostCt, Psample, Sample, TcState,
    TunnelInfo, TxTunnelOps, VlanTag, TUN_CRIT_OPT,
};
use crate::datapath::error::DropReason;
use crate::datapath::flow::key::{TUN_IPV4, TUN_IPV6};
use crate::datapath::trace::{Place, Step};
use crate::datapath::wire::be::Be16;
use crate::genl::UpcallMessage;
use crate::pernet::Namespace;
use crate::ports::Port;
use crate::rust::bindings;
use crate::rust::net::conntrack::{ConnCount, LabelSpace, Template};
use crate::rust::net::genetlink::Message;
use crate::rust::net::skbuff::{checksum, ControlBlock, SkBuff, TxTunnel};
use crate::rust::sync::{BhGuard, MaySleep, OvsGuard};
use crate::sys;
use kernel::error::code::{EINVAL, ENOMEM};
use kernel::error::Result;

/// The running kernel.
pub struct KernelEnv;

impl Env for KernelEnv {
    type Packet = SkBuff;
    type Device = Port;
    type Net = Namespace;
    type Reply = Message;
    type Upcall = UpcallMessage;
    type Template = Template;
    type LabelSpace = LabelSpace;
    type ConnCount = ConnCount;

    const CONNTRACK: Features = crate::conntrack::FEATURES;
    type TxTunnel = TxTunnel;

    fn random_u32() -> u32 {
        sys::get_random_u32()
    }

    fn now_ms() -> u64 {
        sys::monotonic_ms()
    }

    fn log_allowed() -> bool {
        sys::net_ratelimit()
    }

    fn trace_action(pkt: &SkBuff, at: &Place<'_>, step: &Step) {
        crate::trace::action(pkt, at, step);
    }

    fn trace_upcall(pkt: &SkBuff, at: &Place<'_>, cmd: u8, portid: u32) {
        crate::trace::upcall(pkt, at, cmd, portid);
    }

    fn psample() -> Psample {
        match (
            bindings::ovs_psample_PSAMPLE_KNOWN,
            bindings::ovs_psample_PSAMPLE_ENABLED,
        ) {
            (0, _) => Psample::Unknown,
            (_, 0) => Psample::Off,
            _ => Psample::On,
        }
    }

    #[inline(always)]
    fn ct_fields() -> CtFields {
        let has = Self::CONNTRACK;
        CtFields {
            state: has.tracking,
            zone: has.zones,
            mark: has.marks,
            labels: has.labels,
        }
    }

    fn tc_tells() -> bool {
        bindings::ovs_tc_TC_TELLS != 0
    }

    fn ask_tc(on: bool, _ovs: &OvsGuard) {
        sys::tc_share(on);
    }

    fn nr_cpu_ids() -> u32 {
        sys::nr_cpu_ids()
    }

    fn buffer_memory() -> u64 {
        sys::buffer_memory()
    }
}

// The C half numbers the flags as the key does.
const _: () = {
    use crate::datapath::flow::key::tun_flag as f;
    assert!(f::KEY as u32 == bindings::ovs_tun_flag_OVS_TUN_KEY);
    assert!(f::DONT_FRAGMENT as u32 == bindings::ovs_tun_flag_OVS_TUN_DONT_FRAGMENT);
    assert!(f::CSUM as u32 == bindings::ovs_tun_flag_OVS_TUN_CSUM);
    assert!(f::OAM as u32 == bindings::ovs_tun_flag_OVS_TUN_OAM);
    assert!(f::GENEVE_OPT as u32 == bindings::ovs_tun_flag_OVS_TUN_GENEVE_OPT);
    assert!(f::VXLAN_OPT as u32 == bindings::ovs_tun_flag_OVS_TUN_VXLAN_OPT);
    assert!(f::ERSPAN_OPT as u32 == bindings::ovs_tun_flag_OVS_TUN_ERSPAN_OPT);
    assert!(TUN_CRIT_OPT as u32 == bindings::ovs_tun_flag_OVS_TUN_CRIT_OPT);
};

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

/// Methods of [`PacketOps`] that `SkBuff` has under the same name, with the same meaning.
macro_rules! forward {
    () => {};
    (fn $name:ident(&$self:ident $(, $arg:ident: $ty:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[inline(always)]
        fn $name(&$self $(, $arg: $ty)*) $(-> $ret)? {
            SkBuff::$name($self $(, $arg)*)
        }
        forward! { $($rest)* }
    };
    (fn $name:ident(&mut $self:ident $(, $arg:ident: $ty:ty)*) $(-> $ret:ty)?; $($rest:tt)*) => {
        #[inline(always)]
        fn $name(&mut $self $(, $arg: $ty)*) $(-> $ret)? {
            SkBuff::$name($self $(, $arg)*)
        }
        forward! { $($rest)* }
    };
}

fn tunnel_info<'a>(info: &bindings::ovs_tunnel, options: &'a [u8]) -> TunnelInfo<'a> {
    TunnelInfo {
        id: info.id.to_ne_bytes(),
        proto: if info.ipv6 { TUN_IPV6 } else { TUN_IPV4 },
        src: info.src,
        dst: info.dst,
        tp_src: Be16::from_bytes(info.tp_src.to_ne_bytes()),
        tp_dst: Be16::from_bytes(info.tp_dst.to_ne_bytes()),
        flags: info.flags,
        tos: info.tos,
        ttl: info.ttl,
        options,
    }
}

impl TxTunnelOps for TxTunnel {
    fn new(info: &TunnelInfo<'_>) -> Result<Self> {
        let c = bindings::ovs_tunnel {
            id: u64::from_ne_bytes(info.id),
            src: info.src,
            dst: info.dst,
            tp_src: u16::from_ne_bytes(info.tp_src.to_bytes()),
            tp_dst: u16::from_ne_bytes(info.tp_dst.to_bytes()),
            flags: info.flags,
            tos: info.tos,
            ttl: info.ttl,
            ipv6: info.proto == TUN_IPV6,
            ..Default::default()
        };
        TxTunnel::alloc(c, info.options).ok_or(ENOMEM)
    }
}

impl PacketOps for SkBuff {
    forward! {
        fn len(&self) -> usize;
        fn linear(&self) -> &[u8];
        fn ensure_writable(&mut self, n: usize) -> Result<&mut [u8]>;
        fn trim(&mut self, len: usize) -> Result<()>;

        fn set_mac_header(&mut self, off: usize);
        fn set_network_header(&mut self, off: usize);
        fn set_transport_header(&mut self, off: usize);
        fn set_inner_network_header(&mut self, off: usize);
        fn network_offset(&self) -> usize;
        fn inner_network_offset(&self) -> usize;
        fn transport_offset(&self) -> usize;
        fn mac_len(&self) -> usize;
        fn reset_mac_len(&mut self);

        fn protocol(&self) -> u16;
        fn inner_protocol(&self) -> u16;
        fn set_protocol(&mut self, proto: u16);
        fn priority(&self) -> u32;
        fn set_priority(&mut self, v: u32);
        fn mark(&self) -> u32;
        fn set_mark(&mut self, v: u32);

        fn pop_vlan(&mut self) -> Result<()>;
        fn push_eth(&mut self, dst: &[u8; 6], src: &[u8; 6]) -> Result<()>;
        fn pop_eth(&mut self) -> Result<()>;
        fn push_mpls(&mut self, entry: [u8; 4], eth_type: u16, l2_len: usize) -> Result<()>;
        fn pop_mpls(&mut self, eth_type: u16, ethernet: bool) -> Result<()>;
        fn push_nsh(&mut self, header: &[u8]) -> Result<()>;
        fn pop_nsh(&mut self) -> Result<()>;

        fn flow_hash(&mut self) -> u32;
        fn symmetric_hash(&mut self) -> u32;
        fn raw_hash(&self) -> (u32, bool, bool);
        fn set_raw_hash(&mut self, value: u32, sw: bool, l4: bool);
        fn csum(&self) -> u32;
        fn set_csum(&mut self, v: u32);
        fn sctp_checksum(&mut self, off: usize) -> u32;

        fn is_gso(&self) -> bool;
        fn segments(&self) -> u32;
        fn is_gso_udp(&self) -> bool;
        fn segments_fit(&self, len: usize) -> bool;
        fn for_each_segment(
            &mut self,
            f: &mut impl FnMut(&mut Self, usize) -> Result<()>
        ) -> Result<()>;

        fn reset_conntrack(&mut self);
        fn set_ignore_df(&mut self);
        fn tx_error(&mut self);
    }

    #[inline(always)]
    fn writable<const N: usize>(&mut self, off: usize) -> Result<&mut [u8; N]> {
        SkBuff::writable(self, off)
    }

    #[inline]
    fn pull(&mut self, n: usize) -> Result<(), NoMem> {
        if self.pull_tail(n) {
            Ok(())
        } else {
            Err(NoMem)
        }
    }

    #[inline(always)]
    fn vlan_tag(&self) -> Option<VlanTag> {
        self.vlan_beside().map(|(tpid, tci)| VlanTag { tpid, tci })
    }

    fn untag_vlan(&mut self) -> Result<(), NoMem> {
        self.vlan_untag().map_err(|_| NoMem)
    }

    fn push_vlan(&mut self, tag: VlanTag) -> Result<()> {
        self.vlan_push(tag.tpid, tag.tci)
    }

    #[inline(always)]
    fn put_vlan_beside(&mut self, tag: VlanTag) {
        self.set_vlan_beside(tag.tpid, tag.tci);
    }

    fn clear_hash(&mut self) {
        self.set_raw_hash(0, false, false);
    }

    #[inline]
    fn ip_summed(&self) -> IpSummed {
        match self.summed() {
            checksum::UNNECESSARY => IpSummed::Unnecessary,
            checksum::COMPLETE => IpSummed::Complete,
            checksum::PARTIAL => IpSummed::Partial,
            _ => IpSummed::None,
        }
    }

    fn set_device(&mut self, dev: &Port, _bh: &BhGuard) -> bool {
        let Some(dev) = dev.dev() else {
            return false;
        };
        // SAFETY: the packet is gone, or on another device, when the section ends: nothing in the switch keeps one.
        unsafe { self.set_dev(dev) };
        true
    }

    #[inline(always)]
    fn enter_net(&mut self, net: &Namespace) {
        if !self.is_in(net.as_ref()) {
            let mark = self.mark();
            self.scrub();
            self.set_mark(mark);
        }
    }

    #[inline(always)]
    fn has_state(&self) -> bool {
        SkBuff::has_state(self)
    }

    fn tc_state(&self) -> Option<TcState> {
        let ext = self.tc_ext()?;
        Some(TcState {
            chain: ext.chain,
            mru: ext.mru,
            post_ct: ext.post_ct.then_some(PostCt {
                zone: ext.zone,
                src_nat: ext.snat,
                dst_nat: ext.dnat,
            }),
        })
    }

    fn tunnel(&self) -> Option<TunnelInfo<'_>> {
        self.rx_tunnel()
            .map(|(info, options)| tunnel_info(&info, options))
    }

    fn set_tunnel(&mut self, tunnel: &TxTunnel) {
        SkBuff::set_tunnel(self, tunnel);
    }

    fn egress_tunnel(&mut self, dev: &Port, _bh: &BhGuard) -> Option<TunnelInfo<'_>> {
        let (info, options) = self.tunnel_through(dev.dev()?)?;
        Some(tunnel_info(&info, options))
    }

    fn sample(&self, net: &Namespace, sample: &Sample<'_>) {
        let c = bindings::ovs_sample {
            group: sample.group,
            probability: sample.probability,
            len: sample.len,
            in_ifindex: sample.in_ifindex,
            ..Default::default()
        };
        self.show_sample(net.as_ref(), c, sample.cookie);
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
        self.clone_atomic().ok_or(NoMem)
    }

    #[cold]
    fn discard(self, why: DropReason) {
        self.kfree(drop_reason(why));
    }

    fn from_bytes(bytes: &[u8], ctx: &impl MaySleep) -> Result<Self> {
        if bytes.is_empty() {
            return Err(EINVAL);
        }
        let mut pkt = SkBuff::copy_of(bytes, ctx).ok_or(ENOMEM)?;
        *pkt.meta_mut() = PacketMeta::default();
        Ok(pkt)
    }
}
