// SPDX-License-Identifier: GPL-2.0
//! What the switch asks of connection tracking.
//!
//! The world tracks; a packet carries the connection that it belongs to, and so its reference (`skb->_nfct`). What the
//! switch has to know of a connection it gets as a [`Connection`], a copy. Three things outlive packets, and give back
//! what they hold when they are dropped: [`Template`], [`LabelSpace`] and [`ConnCount`].
//!
//! C counterpart: the calls of `net/openvswitch/conntrack.c` into `nf_conntrack`, `nf_nat` and `nf_conncount`.

use super::{Env, Net, Packet, PacketOps};
use crate::datapath::conntrack::spec::{Labels, Mark, Spec};
use kernel::error::Result;

/// What an action wants of connections, in the tracker's own form. Made while the request is prepared; dropped with
/// the flow, in softirq context.
pub type Template = <crate::World as Env>::Template;
/// A namespace's right to 128 bits of labels in each connection (spec C16).
pub type LabelSpace = <crate::World as Env>::LabelSpace;
/// Connections counted by zone (spec L5).
pub type ConnCount = <crate::World as Env>::ConnCount;

/// What of connection tracking a kernel is built with (spec C19, S2). Without `tracking` the rest is false, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    pub tracking: bool,
    pub zones: bool,
    pub marks: bool,
    pub labels: bool,
    pub nat: bool,
    pub timeouts: bool,
    /// Limits of connections in a zone.
    pub limits: bool,
}

/// `enum ip_conntrack_info`: what a packet is to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtInfo {
    Established,
    Related,
    New,
    EstablishedReply,
    RelatedReply,
    /// Nothing that has a name.
    Other,
}

impl CtInfo {
    /// Against the direction of the first packet (`CTINFO2DIR`).
    pub fn is_reply(self) -> bool {
        matches!(self, Self::EstablishedReply | Self::RelatedReply)
    }
}

/// The tuple of a connection's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrigTuple {
    pub ipv6: bool,
    pub proto: u8,
    /// IPv4 in the first four bytes, the others zero.
    pub src: [u8; 16],
    pub dst: [u8; 16],
    /// Host order; ICMP type and code.
    pub tp_src: u16,
    pub tp_dst: u16,
}

/// What there is to know of a packet's connection, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub info: CtInfo,
    /// It is in the tracker's table.
    pub confirmed: bool,
    /// Another connection has led to it.
    pub has_master: bool,
    pub src_nat: bool,
    pub dst_nat: bool,
    /// Not confirmed, and other packets belong to it, too (`nf_ct_shared`).
    pub shared: bool,
    pub zone: u16,
    pub mark: u32,
    /// Its master's, as long as it is not confirmed (spec K34).
    pub labels: [u8; 16],
    /// Its master's, if it has one.
    pub orig: OrigTuple,
}

/// The fate of a packet that was handed to the tracker.
#[must_use]
pub enum Verdict<P> {
    Accept(P),
    Drop(P),
    /// The tracker has kept it (spec B33).
    Stolen,
}

/// Which addresses of a packet were rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    pub src: bool,
    pub dst: bool,
}

/// What connection tracking does with a packet.
///
/// But for what is said otherwise, the packet's data start at its L3 header and the call is made in an RCU section with
/// BH disabled, for a packet that has a connection.
pub trait TrackedOps: PacketOps {
    /// Moves the data pointer past the first `n` bytes (`skb_pull_rcsum`); false if they are not linear.
    fn pull_front(&mut self, n: usize) -> bool;
    /// Moves it back (`skb_push_rcsum`); false if there is no such room.
    fn push_front(&mut self, n: usize) -> bool;
    /// Drops everything past `len` bytes and keeps a complete checksum right (`pskb_trim_rcsum`). ENOMEM.
    fn trim_rcsum(&mut self, len: usize) -> Result;

    /// The packet's connection (`nf_ct_get`). For any packet.
    fn connection(&self) -> Option<Connection>;
    /// Gives the packet's reference to its connection back (`nf_reset_ct`).
    fn forget_connection(&mut self);
    /// Attaches the connection that already has this packet's tuple, if there is one; counts and changes nothing
    /// (spec C7). `natted`: the packet was rewritten, so the connection has its tuple the other way round. For a packet
    /// without a connection.
    fn find_connection(&mut self, net: &Net, template: &Template, natted: bool) -> bool;
    /// Whether [`track`](Self::track) without commit leaves an expectation that the packet meets in place. Where it does not,
    /// the packet must not be tracked (spec C4).
    const LEAVES_EXPECTATIONS: bool;
    /// The connection that expects this packet. One in the way of the expectation is deleted, unless tracking would have found
    /// it. For a packet that has none.
    fn expected_by(&mut self, net: &Net, template: &Template) -> Option<Connection>;
    /// Its connection is one of this namespace, zone, helper and timeout policy (spec C7).
    fn fits(&self, net: &Net, template: &Template) -> bool;
    /// Deletes its connection, which is confirmed; the packet keeps its reference.
    fn delete_connection(&mut self);

    /// Puts fragments together (spec C6). `None`: others are missing, and the packet waits for them. Otherwise the whole
    /// packet and the largest fragment's L3 length. The packet's meta is lost. On error the packet is gone.
    fn defragment(self, net: &Net, zone: u16, ipv6: bool) -> Result<Option<(Self, u16)>>;
    /// Finds or makes its connection (`nf_conntrack_in`); none afterwards if it is invalid (spec C8).
    fn track(self, net: &Net, template: &Template) -> Verdict<Self>;
    /// Rewrites addresses and ports as the template and the connection say (spec C9).
    fn nat(self, template: &Template, commit: bool) -> (Verdict<Self>, Rewritten);
    /// Gives its connection, which is not confirmed, the template's helper unless it has one. `nat`: with room for
    /// adjusting sequence numbers (spec C10). ENOMEM, EINVAL.
    fn assign_helper(&mut self, template: &Template, nat: bool) -> Result;
    /// Shows the packet to its connection's helper, if that has one.
    fn call_helper(self, ipv6: bool) -> Verdict<Self>;
    /// Once a packet was tracked: established TCP connections become liberal, and traffic control learns of the device
    /// (spec C11).
    fn note_tracked(&mut self);

    /// Which events of its connection are told (spec C12).
    fn set_event_mask(&mut self, mask: u32);
    /// Writes the connection's mark; the new one if it changed. ENOTSUPP.
    fn set_ct_mark(&mut self, mark: &Mark) -> Result<Option<u32>>;
    /// Gives its connection, which is not confirmed, its master's labels and writes `labels`; what it has then, if there
    /// was anything to do. ENOSPC.
    fn init_labels(&mut self, labels: Option<&Labels>) -> Result<Option<[u8; 16]>>;
    /// Writes labels of its connection, which is confirmed, and returns all. ENOSPC.
    fn replace_labels(&mut self, labels: &Labels) -> Result<[u8; 16]>;
    /// Makes room for what traffic control wants to know of its connection, which is not confirmed.
    fn add_act_ct(&mut self);
    /// Enters its connection into the tracker's table, and tells what there is to tell.
    fn confirm(self) -> Verdict<Self>;
    /// Tells what there is to tell of its connection (`nf_ct_deliver_cached_events`).
    fn deliver_events(&mut self);
}

/// See [`Template`].
pub trait TemplateOps: Sized + Send + Sync {
    /// A template for `spec`, but for helper and timeout policy. May sleep. ENOMEM.
    fn new(net: &Net, spec: &Spec) -> Result<Self>;
    /// Adds the policy of this name. ENOENT and others if there is none that fits.
    fn set_timeout(&mut self, net: &Net, spec: &Spec, name: &core::ffi::CStr) -> Result;
    /// Adds the helper of this name, and with `nat` its companion; may load modules. EINVAL, ENOMEM, EOPNOTSUPP.
    fn add_helper(&mut self, spec: &Spec, name: &core::ffi::CStr) -> Result;
    /// The last step: nothing is added after it.
    fn complete(&mut self, spec: &Spec);
    fn has_helper(&self) -> bool;
}

/// See [`ConnCount`].
pub trait ConnCountOps: Sized + Send + Sync {
    /// Nothing counted yet. May sleep, and so may dropping it. ENOMEM.
    fn new(net: &Net) -> Result<Self>;
    /// Counts the packet's connection, which is not confirmed, and returns how many its zone has.
    fn add(&self, net: &Net, pkt: &Packet, ipv6: bool, zone: u16) -> u32;
    /// How many a zone has. In an RCU section.
    fn get(&self, net: &Net, zone: u16) -> u32;
}
