// SPDX-License-Identifier: GPL-2.0
//! The kernel's connection tracking as the switch wants it.
//!
//! C counterpart: none; what `net/openvswitch/conntrack.c` calls directly.

use crate::datapath::conntrack::spec::{Labels, Manip, Mark, Nat, Spec};
use crate::datapath::env::conntrack::{
    ConnCountOps, Connection, CtInfo, Features, OrigTuple, Rewritten, TemplateOps, TrackedOps,
    Verdict,
};
use crate::datapath::wire::be::Be16;
use crate::pernet::Namespace;
use crate::rust::bindings;
use crate::rust::net::conntrack::{Conn, ConnCount, NatEnds, NatRange, Template, Tracked};
use crate::rust::net::skbuff::SkBuff;
use core::ffi::CStr;
use kernel::error::Result;

/// What this kernel is built with.
pub const FEATURES: Features = Features {
    tracking: bindings::ovs_ct_has_CT_HAS_TRACKING != 0,
    zones: bindings::ovs_ct_has_CT_HAS_ZONES != 0,
    marks: bindings::ovs_ct_has_CT_HAS_MARKS != 0,
    labels: bindings::ovs_ct_has_CT_HAS_LABELS != 0,
    nat: bindings::ovs_ct_has_CT_HAS_NAT != 0,
    timeouts: bindings::ovs_ct_has_CT_HAS_TIMEOUTS != 0,
    limits: bindings::ovs_ct_has_CT_HAS_LIMITS != 0,
};

impl TemplateOps for Template {
    fn new(net: &Namespace, spec: &Spec) -> Result<Self> {
        let mut template = Template::for_zone(net.as_ref(), spec.ipv6, spec.zone)?;
        if let Some(nat) = &spec.nat {
            template.set_nat(nat_range(nat), nat_ends(nat));
        }
        Ok(template)
    }

    fn set_timeout(&mut self, net: &Namespace, spec: &Spec, name: &CStr) -> Result {
        Template::take_timeout(self, net.as_ref(), spec.proto, name)
    }

    fn add_helper(&mut self, spec: &Spec, name: &CStr) -> Result {
        Template::take_helper(self, spec.proto, name, spec.nat.is_some())
    }

    fn complete(&mut self, spec: &Spec) {
        self.seal(spec.commits());
    }

    #[inline]
    fn has_helper(&self) -> bool {
        Template::holds_helper(self)
    }
}

fn nat_ends(nat: &Nat) -> NatEnds {
    NatEnds {
        src: nat.manip == Some(Manip::Src),
        dst: nat.manip == Some(Manip::Dst),
    }
}

fn nat_range(nat: &Nat) -> NatRange {
    let mut range = Template::nat_range();
    let mut flags = 0;
    if let Some(addrs) = &nat.addrs {
        flags |= bindings::ovs_nat_range_NAT_RANGE_MAP_IPS;
        range.min_addr.all = words(addrs.min);
        range.max_addr.all = words(addrs.max);
    }
    if let Some(ports) = &nat.ports {
        flags |= bindings::ovs_nat_range_NAT_RANGE_PROTO_SPECIFIED;
        range.min_proto.all = Be16::new(ports.min).raw();
        range.max_proto.all = Be16::new(ports.max).raw();
    }
    for (is_set, flag) in [
        (nat.persistent, bindings::ovs_nat_range_NAT_RANGE_PERSISTENT),
        (nat.hash, bindings::ovs_nat_range_NAT_RANGE_PROTO_RANDOM),
        (
            nat.random,
            bindings::ovs_nat_range_NAT_RANGE_PROTO_RANDOM_FULLY,
        ),
    ] {
        if is_set {
            flags |= flag;
        }
    }
    range.flags = flags;
    range
}

/// The words of an address, as they lie in memory.
fn words(addr: [u8; 16]) -> [u32; 4] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = addr;
    [
        u32::from_ne_bytes([a0, a1, a2, a3]),
        u32::from_ne_bytes([b0, b1, b2, b3]),
        u32::from_ne_bytes([c0, c1, c2, c3]),
        u32::from_ne_bytes([d0, d1, d2, d3]),
    ]
}

impl ConnCountOps for ConnCount {
    fn new(net: &Namespace) -> Result<Self> {
        // SAFETY: it goes into the state of the namespace, which goes before that (`ovs_net_free_state`), or at once in the
        // request that made it, whose socket keeps the namespace.
        unsafe { ConnCount::init(net.as_ref()) }
    }

    fn add(&self, net: &Namespace, pkt: &SkBuff, ipv6: bool, zone: u16) -> u32 {
        self.count(net.as_ref(), Some(pkt), ipv6, zone)
    }

    fn get(&self, net: &Namespace, zone: u16) -> u32 {
        self.count(net.as_ref(), None, false, zone)
    }
}

fn ct_info(info: u8) -> CtInfo {
    match info.into() {
        bindings::ovs_ct_info_CT_INFO_ESTABLISHED => CtInfo::Established,
        bindings::ovs_ct_info_CT_INFO_RELATED => CtInfo::Related,
        bindings::ovs_ct_info_CT_INFO_NEW => CtInfo::New,
        bindings::ovs_ct_info_CT_INFO_ESTABLISHED_REPLY => CtInfo::EstablishedReply,
        bindings::ovs_ct_info_CT_INFO_RELATED_REPLY => CtInfo::RelatedReply,
        _ => CtInfo::Other,
    }
}

#[inline]
fn connection(conn: Conn) -> Connection {
    let has = |bit: u32| u32::from(conn.flags) & bit != 0;
    Connection {
        info: ct_info(conn.ctinfo),
        confirmed: has(bindings::OVS_CT_CONFIRMED),
        has_master: has(bindings::OVS_CT_MASTER),
        src_nat: has(bindings::OVS_CT_SRC_NAT),
        dst_nat: has(bindings::OVS_CT_DST_NAT),
        shared: has(bindings::OVS_CT_SHARED),
        zone: conn.zone,
        mark: conn.mark,
        labels: conn.labels,
        orig: OrigTuple {
            ipv6: has(bindings::OVS_CT_IPV6),
            proto: conn.proto,
            src: conn.src,
            dst: conn.dst,
            tp_src: conn.tp_src,
            tp_dst: conn.tp_dst,
        },
    }
}

#[inline(always)]
fn verdict(tracked: Tracked) -> Verdict<SkBuff> {
    match tracked {
        Tracked::Accept(pkt) => Verdict::Accept(pkt),
        Tracked::Drop(pkt) => Verdict::Drop(pkt),
        Tracked::Stolen => Verdict::Stolen,
    }
}

impl TrackedOps for SkBuff {
    #[inline]
    fn pull_front(&mut self, n: usize) -> bool {
        self.pull_rcsum(n)
    }

    #[inline]
    fn push_front(&mut self, n: usize) -> bool {
        self.push_rcsum(n)
    }

    fn trim_rcsum(&mut self, len: usize) -> Result {
        SkBuff::trim_rcsum(self, len)
    }

    #[inline]
    fn connection(&self) -> Option<Connection> {
        self.ct_describe().map(connection)
    }

    fn forget_connection(&mut self) {
        SkBuff::ct_forget(self);
    }

    fn find_connection(&mut self, net: &Namespace, template: &Template, natted: bool) -> bool {
        SkBuff::ct_find(self, net.as_ref(), template, natted)
    }

    const LEAVES_EXPECTATIONS: bool = SkBuff::CT_LEAVES_EXPECTATIONS;

    fn expected_by(&mut self, net: &Namespace, template: &Template) -> Option<Connection> {
        SkBuff::ct_expected_by(self, net.as_ref(), template).map(connection)
    }

    fn fits(&self, net: &Namespace, template: &Template) -> bool {
        SkBuff::ct_fits(self, net.as_ref(), template)
    }

    fn delete_connection(&mut self) {
        SkBuff::ct_delete(self);
    }

    fn defragment(self, net: &Namespace, zone: u16, ipv6: bool) -> Result<Option<(Self, u16)>> {
        SkBuff::ct_defragment(self, net.as_ref(), zone, ipv6)
    }

    fn track(self, net: &Namespace, template: &Template) -> Verdict<Self> {
        verdict(SkBuff::ct_track(self, net.as_ref(), template))
    }

    fn nat(self, template: &Template, commit: bool) -> (Verdict<Self>, Rewritten) {
        let (tracked, NatEnds { src, dst }) = SkBuff::ct_nat(self, template, commit);
        (verdict(tracked), Rewritten { src, dst })
    }

    fn assign_helper(&mut self, template: &Template, nat: bool) -> Result {
        SkBuff::ct_assign_helper(self, template, nat)
    }

    fn call_helper(self, ipv6: bool) -> Verdict<Self> {
        verdict(SkBuff::ct_call_helper(self, ipv6))
    }

    fn note_tracked(&mut self) {
        SkBuff::ct_note_tracked(self);
    }

    fn set_event_mask(&mut self, mask: u32) {
        SkBuff::ct_set_event_mask(self, mask);
    }

    fn set_ct_mark(&mut self, mark: &Mark) -> Result<Option<u32>> {
        SkBuff::ct_set_mark(self, mark.value, mark.mask)
    }

    fn init_labels(&mut self, labels: Option<&Labels>) -> Result<Option<[u8; 16]>> {
        SkBuff::ct_init_labels(self, labels.map(|l| (&l.value, &l.mask)))
    }

    fn replace_labels(&mut self, labels: &Labels) -> Result<[u8; 16]> {
        SkBuff::ct_replace_labels(self, &labels.value, &labels.mask)
    }

    fn add_act_ct(&mut self) {
        SkBuff::ct_add_act_ct(self);
    }

    fn confirm(self) -> Verdict<Self> {
        verdict(SkBuff::ct_confirm(self))
    }

    fn deliver_events(&mut self) {
        SkBuff::ct_deliver_events(self);
    }
}
