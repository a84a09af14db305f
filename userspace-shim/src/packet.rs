// SPDX-License-Identifier: GPL-2.0
//! A packet for tests: a linear and a paged part, header marks, a tag beside the data, checksum and hash state.
//!
//! It is stricter than an `sk_buff`: only the bytes asked for of [`PacketOps::ensure_writable`] are given out for
//! writing, and any operation that may allocate can be told to fail ([`fail_nth`]). Dropped packets are kept in
//! a log per thread ([`take_drops`]).
//!
//! C counterpart: `struct sk_buff` and the `skb_*` functions that the switch calls.

use crate::conntrack::Conn;
use crate::datapath::env::conntrack::CtInfo;
use crate::datapath::env::{
    Device, DeviceOps, IpSummed, Net, NoMem, PacketMeta, PacketOps, Sample, TcState, TunnelInfo,
    TxTunnelOps, VlanTag,
};
use crate::datapath::error::DropReason;
use crate::datapath::wire::nsh::{eth_type_of, next_protocol_of};
use crate::env::FakeEnv;
use crate::rust::sync::{BhGuard, MaySleep};
use kernel::alloc::{flags::GFP_KERNEL, KBox};
use kernel::error::code::{EAFNOSUPPORT, EINVAL, ENOMEM, EPROTO};
use kernel::error::Result;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A packet that was dropped with a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub why: DropReason,
    pub bytes: Vec<u8>,
}

/// A packet that was shown to a psample group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    pub group: u32,
    pub cookie: Vec<u8>,
    pub probability: u32,
    pub in_ifindex: i32,
    /// What was shown of it.
    pub bytes: Vec<u8>,
}

thread_local! {
    static SAMPLES: RefCell<Vec<Sampled>> = const { RefCell::new(Vec::new()) };
    static DROPS: RefCell<Vec<Dropped>> = const { RefCell::new(Vec::new()) };
    static FAIL_IN: Cell<u64> = const { Cell::new(0) };
    static ALIVE: Cell<isize> = const { Cell::new(0) };
    static TX_ERRORS: Cell<usize> = const { Cell::new(0) };
}

/// What this thread dropped since the last call.
pub fn take_drops() -> Vec<Dropped> {
    DROPS.with(|d| core::mem::take(&mut *d.borrow_mut()))
}

/// What this thread showed to psample groups since the last call.
pub fn take_samples() -> Vec<Sampled> {
    SAMPLES.with(|s| core::mem::take(&mut *s.borrow_mut()))
}

/// Makes the `n`-th operation of this thread from now on that may allocate packet memory fail, once; 0 for never.
/// Says whether the failure ordered before has happened, or none was.
pub fn fail_nth(n: u64) -> bool {
    FAIL_IN.with(|f| f.replace(n)) == 0
}

/// How often this thread has told a zero-copy sender that its packet failed (`skb_tx_error`) since the last call.
pub fn take_tx_errors() -> usize {
    TX_ERRORS.replace(0)
}

/// Packets made on this thread minus packets freed on it.
pub fn alive() -> isize {
    ALIVE.with(Cell::get)
}

fn allocate() -> Result<(), NoMem> {
    FAIL_IN.with(|f| match f.get() {
        0 => Ok(()),
        n => {
            f.set(n - 1);
            if n == 1 {
                Err(NoMem)
            } else {
                Ok(())
            }
        }
    })
}

/// How an aggregate is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Payload bytes of a segment.
    pub size: usize,
    /// Bytes repeated in front of every segment: all headers, counted from the data pointer.
    pub headers: usize,
    /// `SKB_GSO_UDP`: segments are IP fragments.
    pub udp_fragments: bool,
}

/// A tunnel that an action sends packets through.
pub struct FakeTunnel(Arc<Tunnel>, #[allow(dead_code)] KBox<u8>);

/// What packets share of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    info: TunnelInfo<'static>,
    pub options: Vec<u8>,
}

impl Tunnel {
    /// What it says.
    pub fn info(&self) -> TunnelInfo<'_> {
        TunnelInfo {
            options: &self.options,
            ..self.info
        }
    }
}

impl TxTunnelOps for FakeTunnel {
    fn new(info: &TunnelInfo<'_>) -> Result<Self> {
        let memory = KBox::new(0, GFP_KERNEL)?; // whose account tests look at
        let options = info.options.to_vec();
        let info = TunnelInfo {
            options: &[],
            ..*info
        };
        Ok(Self(Arc::new(Tunnel { info, options }), memory))
    }
}

/// A packet.
#[derive(Debug)]
pub struct Packet {
    /// All bytes from the data pointer on; shared with clones.
    data: Arc<Vec<u8>>,
    /// How many of them are linear.
    linear: usize,
    mac: usize,
    network: usize,
    transport: usize,
    mac_len: usize,
    protocol: u16,
    priority: u32,
    mark: u32,
    vlan: Option<VlanTag>,
    hash: Option<(u32, bool, bool)>,
    ip_summed: IpSummed,
    csum: u32,
    gso: Option<Gso>,
    meta: PacketMeta,
    /// ifindex of the device it seems to come from, 0 if none.
    pub ifindex: i32,
    /// Connection tracking state is attached.
    pub conntrack: bool,
    /// It came through a tunnel. All packets' options stay as long as the tests.
    pub tunnel: Option<TunnelInfo<'static>>,
    /// What tc said of it.
    pub tc: Option<TcState>,
    /// It is to be sent through this one.
    pub tx_tunnel: Option<Arc<Tunnel>>,
    inner_network: usize,
    inner_protocol: u16,
    /// The connection it belongs to, and how.
    pub conn: Option<(Arc<Conn>, CtInfo)>,
    /// Bytes before the data pointer.
    front: Vec<u8>,
    pub ignore_df: bool,
}

impl Packet {
    /// A new packet with these bytes. ENOMEM.
    pub fn copy_of(bytes: &[u8]) -> Result<Self> {
        allocate().map_err(|_| ENOMEM)?;
        Ok(Self::new(bytes))
    }

    /// A packet as a driver delivers it: all linear, marks at the data pointer.
    pub fn new(bytes: &[u8]) -> Self {
        Self::split(bytes, bytes.len())
    }

    /// A packet of which only the first `linear` bytes are linear.
    pub fn split(bytes: &[u8], linear: usize) -> Self {
        ALIVE.with(|a| a.set(a.get() + 1));
        Self {
            data: Arc::new(bytes.to_vec()),
            linear: linear.min(bytes.len()),
            mac: 0,
            network: 0,
            transport: 0,
            mac_len: 0,
            protocol: 0,
            priority: 0,
            mark: 0,
            vlan: None,
            hash: None,
            ip_summed: IpSummed::None,
            csum: 0,
            gso: None,
            meta: PacketMeta {
                cutlen: u32::MAX,
                ..PacketMeta::default()
            },
            ifindex: 0,
            conntrack: false,
            tunnel: None,
            tc: None,
            tx_tunnel: None,
            inner_network: 0,
            inner_protocol: 0,
            conn: None,
            front: Vec::new(),
            ignore_df: false,
        }
    }

    pub fn with_protocol(mut self, protocol: u16) -> Self {
        self.protocol = protocol;
        self
    }

    pub fn with_tunnel(mut self, info: TunnelInfo<'static>) -> Self {
        self.tunnel = Some(info);
        self
    }

    /// With a tag beside the data.
    pub fn with_vlan(mut self, tpid: u16, tci: u16) -> Self {
        self.vlan = Some(VlanTag { tpid, tci });
        self
    }

    pub fn with_gso(mut self, gso: Gso) -> Self {
        self.gso = Some(gso);
        self
    }

    /// With a checksum state; for `Complete` the sum is computed, for `Partial` nothing is written.
    pub fn with_checksum(mut self, state: IpSummed) -> Self {
        self.ip_summed = state;
        if state == IpSummed::Complete {
            self.csum = sum(0, &self.data);
        }
        self
    }

    /// Every byte, linear or not.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Bytes as they would appear on the wire: with the tag beside the data in its place.
    pub fn on_wire(&self) -> Vec<u8> {
        let mut b = self.data.to_vec();
        if let (Some(t), true) = (self.vlan, b.len() >= 12) {
            b.splice(12..12, tag_bytes(t));
        }
        b
    }

    pub fn inner_network_header(&self) -> usize {
        self.inner_network
    }

    pub fn mac_header(&self) -> usize {
        self.mac
    }

    /// True if `csum` is the sum of the bytes; only meaningful for `Complete`.
    pub fn csum_is_right(&self) -> bool {
        fold(self.csum) == fold(sum(0, &self.data))
    }

    /// A copy of everything but the bytes.
    fn with_data(&self, data: Arc<Vec<u8>>) -> Self {
        ALIVE.with(|a| a.set(a.get() + 1));
        Self {
            data,
            conn: self.conn.clone(),
            tx_tunnel: self.tx_tunnel.clone(),
            front: self.front.clone(),
            ..*self
        }
    }

    /// Moves the data pointer past `n` bytes, which must be linear.
    pub(crate) fn move_front(&mut self, n: usize) -> bool {
        if n > self.linear {
            return false;
        }
        self.front = self.data_mut().drain(..n).collect();
        self.linear -= n;
        for mark in [&mut self.mac, &mut self.network, &mut self.transport] {
            *mark = mark.wrapping_sub(n);
        }
        true
    }

    /// Moves it back over the same bytes.
    pub(crate) fn restore_front(&mut self, n: usize) -> bool {
        if n != self.front.len() {
            return false;
        }
        let front = core::mem::take(&mut self.front);
        self.data_mut().splice(0..0, front);
        self.linear += n;
        for mark in [&mut self.mac, &mut self.network, &mut self.transport] {
            *mark = mark.wrapping_add(n);
        }
        true
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.data_mut().extend_from_slice(bytes);
    }

    fn data_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.data)
    }

    /// Puts a tag into the frame at offset 12.
    fn insert_tag(&mut self, tag: VlanTag) -> Result<()> {
        assert!(self.data.len() >= 14, "some kernels do not look");
        self.make_writable(12)?;
        self.data_mut().splice(12..12, tag_bytes(tag));
        self.linear += 4;
        self.network += 4;
        self.transport += 4;
        self.mac_len += 4;
        if self.ip_summed == IpSummed::Complete {
            self.csum = sum(self.csum, &tag_bytes(tag));
        }
        Ok(())
    }

    /// Takes the tag at offset 12 out of the frame (`__skb_vlan_pop`) and says what it was.
    fn remove_tag(&mut self) -> Result<VlanTag> {
        self.make_writable(18)?;
        let out: Vec<u8> = self.data_mut().splice(12..16, []).collect();
        self.linear -= 4;
        if self.ip_summed == IpSummed::Complete {
            let minus = !sum(0, &out);
            self.csum = add(self.csum, minus);
        }
        let be = |a: &[u8]| u16::from_be_bytes([a[0], a[1]]);
        let inner = be(&self.data[12..]);
        self.protocol = match inner {
            0x600.. => inner,
            _ if self.data.get(14..16) == Some(&[0xff, 0xff]) => 0x0001,
            _ => 0x0004,
        };
        self.network = self.network.saturating_sub(4).max(14);
        self.transport = self.transport.saturating_sub(4);
        self.reset_mac_len();
        Ok(VlanTag {
            tpid: be(&out),
            tci: be(&out[2..]),
        })
    }

    fn is_mpls(&self) -> bool {
        matches!(self.protocol, 0x8847 | 0x8848)
    }

    /// Another type follows the first `l2_len` bytes.
    fn set_type(&mut self, eth_type: u16, l2_len: usize, ethernet: bool) {
        if ethernet && l2_len >= 14 {
            let range = l2_len - 2..l2_len;
            let old = [self.data[l2_len - 2], self.data[l2_len - 1]];
            self.data_mut()[range].copy_from_slice(&eth_type.to_be_bytes());
            if self.ip_summed == IpSummed::Complete {
                self.csum = add(sum(self.csum, &eth_type.to_be_bytes()), !sum(0, &old));
            }
        }
        self.protocol = eth_type;
        self.mac = 0;
        self.network = l2_len;
        self.mac_len = l2_len;
    }

    fn make_writable(&mut self, n: usize) -> Result<()> {
        if n > self.data.len() {
            return Err(EINVAL);
        }
        if n > self.linear || Arc::strong_count(&self.data) > 1 {
            allocate().map_err(|_| ENOMEM)?;
        }
        self.linear = self.linear.max(n);
        self.data_mut();
        Ok(())
    }

    /// Addresses, protocol and ports of the packet, for the flow hash: (one end, other end, rest).
    fn flow(&self) -> (Vec<u8>, Vec<u8>, u8) {
        let at = |r: core::ops::Range<usize>| self.data.get(r).unwrap_or(&[]).to_vec();
        let n = self.network;
        let l4 = |a: Vec<u8>, b: Vec<u8>, proto: u8, t: usize| {
            if matches!(proto, 6 | 17 | 132) {
                (
                    [a, at(t..t + 2)].concat(),
                    [b, at(t + 2..t + 4)].concat(),
                    proto,
                )
            } else {
                (a, b, proto)
            }
        };
        match (self.protocol, self.data.get(n)) {
            (0x0800, Some(v)) => {
                let proto = self.data.get(n + 9).copied().unwrap_or(0);
                l4(
                    at(n + 12..n + 16),
                    at(n + 16..n + 20),
                    proto,
                    n + usize::from(v & 15) * 4,
                )
            }
            (0x86dd, Some(_)) => {
                let proto = self.data.get(n + 6).copied().unwrap_or(0);
                l4(at(n + 8..n + 24), at(n + 24..n + 40), proto, n + 40)
            }
            _ => (at(6..12), at(0..6), 0),
        }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // A thread that is ending has no counter any more.
        let _ = ALIVE.try_with(|a| a.set(a.get() - 1));
    }
}

impl PacketOps for Packet {
    fn len(&self) -> usize {
        self.data.len()
    }

    fn linear(&self) -> &[u8] {
        &self.data[..self.linear]
    }

    fn pull(&mut self, n: usize) -> Result<(), NoMem> {
        assert!(n <= self.data.len(), "pull past the end");
        if n > self.linear {
            allocate()?;
            self.linear = n;
        }
        Ok(())
    }

    fn ensure_writable(&mut self, n: usize) -> Result<&mut [u8]> {
        self.make_writable(n)?;
        Ok(&mut self.data_mut()[..n])
    }

    fn trim(&mut self, len: usize) -> Result<()> {
        if len < self.data.len() {
            if Arc::strong_count(&self.data) > 1 {
                allocate().map_err(|_| ENOMEM)?;
            }
            self.data_mut().truncate(len);
            self.linear = self.linear.min(len);
        }
        Ok(())
    }

    fn set_mac_header(&mut self, off: usize) {
        self.mac = off;
    }

    fn set_network_header(&mut self, off: usize) {
        self.network = off;
    }

    fn set_inner_network_header(&mut self, off: usize) {
        self.inner_network = off;
    }

    fn set_transport_header(&mut self, off: usize) {
        self.transport = off;
    }

    fn inner_network_offset(&self) -> usize {
        self.inner_network
    }

    fn network_offset(&self) -> usize {
        self.network
    }

    fn transport_offset(&self) -> usize {
        self.transport
    }

    fn mac_len(&self) -> usize {
        self.mac_len
    }

    fn reset_mac_len(&mut self) {
        self.mac_len = self.network.saturating_sub(self.mac);
    }

    fn protocol(&self) -> u16 {
        self.protocol
    }

    fn inner_protocol(&self) -> u16 {
        self.inner_protocol
    }

    fn set_protocol(&mut self, proto: u16) {
        self.protocol = proto;
    }

    fn priority(&self) -> u32 {
        self.priority
    }

    fn set_priority(&mut self, v: u32) {
        self.priority = v;
    }

    fn mark(&self) -> u32 {
        self.mark
    }

    fn set_mark(&mut self, v: u32) {
        self.mark = v;
    }

    fn vlan_tag(&self) -> Option<VlanTag> {
        self.vlan
    }

    fn untag_vlan(&mut self) -> Result<(), NoMem> {
        let tag = self.remove_tag().map_err(|_| NoMem)?;
        self.vlan = Some(tag);
        Ok(())
    }

    fn push_vlan(&mut self, tag: VlanTag) -> Result<()> {
        if let Some(old) = self.vlan {
            self.insert_tag(old)?;
            self.protocol = old.tpid;
            self.network -= 4; // as the kernel since 6.12, after which it stands at the tag
        }
        self.vlan = Some(tag);
        Ok(())
    }

    fn put_vlan_beside(&mut self, tag: VlanTag) {
        assert_eq!(self.vlan, None);
        assert_eq!(self.mac_len, self.network.saturating_sub(self.mac));
        self.vlan = Some(tag);
    }

    fn pop_vlan(&mut self) -> Result<()> {
        let in_frame = |p: &Self| matches!(p.protocol, 0x8100 | 0x88a8);
        if self.vlan.take().is_none() {
            if !in_frame(self) {
                return Ok(());
            }
            self.remove_tag()?;
        }
        if in_frame(self) {
            self.vlan = Some(self.remove_tag()?);
        }
        Ok(())
    }

    fn push_eth(&mut self, dst: &[u8; 6], src: &[u8; 6]) -> Result<()> {
        if self.vlan.is_some() {
            return Err(EPROTO);
        }
        allocate().map_err(|_| ENOMEM)?;
        let header = [&dst[..], &src[..], &self.protocol.to_be_bytes()[..]].concat();
        if self.ip_summed == IpSummed::Complete {
            self.csum = sum(self.csum, &header);
        }
        self.data_mut().splice(0..0, header);
        self.linear += 14;
        self.network += 14;
        self.transport += 14;
        self.mac = 0;
        self.reset_mac_len();
        Ok(())
    }

    fn pop_eth(&mut self) -> Result<()> {
        if self.vlan.is_some() || self.data.len() < 14 || self.network < self.mac {
            return Err(EPROTO);
        }
        self.pull(14).map_err(|_| EPROTO)?;
        let header: Vec<u8> = self.data_mut().splice(0..14, []).collect();
        if self.ip_summed == IpSummed::Complete {
            self.csum = add(self.csum, !sum(0, &header));
        }
        self.linear -= 14;
        self.network = self.network.saturating_sub(14);
        self.transport = self.transport.saturating_sub(14);
        self.mac = 0;
        self.reset_mac_len();
        Ok(())
    }

    fn push_mpls(&mut self, entry: [u8; 4], eth_type: u16, l2_len: usize) -> Result<()> {
        if l2_len > self.data.len() {
            return Err(EINVAL);
        }
        allocate().map_err(|_| ENOMEM)?;
        self.linear = self.linear.max(l2_len);
        if !self.is_mpls() {
            self.inner_network = self.network;
            self.inner_protocol = self.protocol;
        }
        self.data_mut().splice(l2_len..l2_len, entry);
        self.linear += 4;
        self.inner_network += 4;
        self.transport += 4;
        if self.ip_summed == IpSummed::Complete {
            self.csum = sum(self.csum, &entry);
        }
        self.set_type(eth_type, l2_len, true);
        Ok(())
    }

    fn pop_mpls(&mut self, eth_type: u16, ethernet: bool) -> Result<()> {
        let l2_len = self.mac_len;
        if !self.is_mpls() {
            return Ok(());
        }
        self.make_writable(l2_len + 4).map_err(|_| ENOMEM)?;
        let out: Vec<u8> = self.data_mut().splice(l2_len..l2_len + 4, []).collect();
        self.linear -= 4;
        self.inner_network = self.inner_network.saturating_sub(4);
        self.transport = self.transport.saturating_sub(4);
        if self.ip_summed == IpSummed::Complete {
            self.csum = add(self.csum, !sum(0, &out));
        }
        self.set_type(eth_type, l2_len, ethernet);
        Ok(())
    }

    fn push_nsh(&mut self, header: &[u8]) -> Result<()> {
        let next = match self.mac_len {
            0 => next_protocol_of(self.protocol).ok_or(EAFNOSUPPORT)?,
            _ => 3,
        };
        assert_eq!(header.len(), usize::from(header[1] & 0x3f) * 4);
        allocate().map_err(|_| ENOMEM)?;
        let mut header = header.to_vec();
        header[3] = next;
        if self.ip_summed == IpSummed::Complete {
            self.csum = sum(self.csum, &header);
        }
        self.linear += header.len();
        self.transport += header.len();
        self.data_mut().splice(0..0, header);
        self.set_type(0x894f, 0, false);
        Ok(())
    }

    fn pop_nsh(&mut self) -> Result<()> {
        let first = *self.header::<8>(0).ok_or(ENOMEM)?;
        let len = usize::from(first[1] & 0x3f) * 4;
        if len < 8 {
            return Err(EINVAL);
        }
        if len > self.data.len() || self.pull(len).is_err() {
            return Err(ENOMEM);
        }
        let inner = eth_type_of(first[3]).ok_or(EAFNOSUPPORT)?;
        let header: Vec<u8> = self.data_mut().splice(0..len, []).collect();
        if self.ip_summed == IpSummed::Complete {
            self.csum = add(self.csum, !sum(0, &header));
        }
        self.linear -= len;
        self.transport = self.transport.saturating_sub(len);
        self.set_type(inner, 0, false);
        Ok(())
    }

    fn flow_hash(&mut self) -> u32 {
        if let Some((v, _, _)) = self.hash {
            return v;
        }
        let (a, b, proto) = self.flow();
        let v = fnv(&[&a[..], &b[..], &[proto]].concat());
        self.hash = Some((v, true, matches!(proto, 6 | 17 | 132)));
        v
    }

    fn symmetric_hash(&mut self) -> u32 {
        let (a, b, proto) = self.flow();
        let (a, b) = if a <= b { (a, b) } else { (b, a) };
        fnv(&[&a[..], &b[..], &[proto]].concat())
    }

    fn raw_hash(&self) -> (u32, bool, bool) {
        self.hash.unwrap_or((0, false, false))
    }

    fn set_raw_hash(&mut self, value: u32, sw: bool, l4: bool) {
        self.hash = Some((value, sw, l4));
    }

    fn clear_hash(&mut self) {
        self.hash = None;
    }

    fn ip_summed(&self) -> IpSummed {
        self.ip_summed
    }

    fn csum(&self) -> u32 {
        self.csum
    }

    fn set_csum(&mut self, v: u32) {
        self.csum = v;
    }

    fn sctp_checksum(&mut self, off: usize) -> u32 {
        let mut crc = !0u32;
        for (i, b) in self.data.iter().skip(off).enumerate() {
            let b = if (8..12).contains(&i) { 0 } else { *b };
            crc ^= u32::from(b);
            for _ in 0..8 {
                crc = if crc & 1 != 0 {
                    (crc >> 1) ^ 0x82f6_3b78
                } else {
                    crc >> 1
                };
            }
        }
        u32::from_ne_bytes((!crc).to_le_bytes())
    }

    fn is_gso(&self) -> bool {
        self.gso.is_some()
    }

    fn segments(&self) -> u32 {
        self.gso
            .map_or(1, |g| (self.data.len() / g.size.max(1) + 1) as u32)
    }

    fn is_gso_udp(&self) -> bool {
        self.gso.is_some_and(|g| g.udp_fragments)
    }

    fn segments_fit(&self, len: usize) -> bool {
        self.gso.is_some_and(|g| g.headers + g.size <= len)
    }

    fn for_each_segment(
        &mut self,
        f: &mut impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        let gso = self.gso.ok_or(EINVAL)?;
        let (headers, payload) = self.data.split_at_checked(gso.headers).ok_or(EINVAL)?;
        let ip = self.network;
        let ip_payload = gso.headers.saturating_sub(ip).saturating_sub(20);
        for (i, part) in payload.chunks(gso.size.max(1)).enumerate() {
            allocate().map_err(|_| ENOMEM)?;
            let mut bytes = [headers, part].concat();
            let l3 = bytes.len().saturating_sub(ip);
            if self.protocol == 0x0800 && l3 >= 20 {
                bytes[ip + 2..ip + 4].copy_from_slice(&(l3 as u16).to_be_bytes());
                if gso.udp_fragments {
                    let off = if i == 0 {
                        0
                    } else {
                        (ip_payload + i * gso.size) / 8
                    } as u16;
                    let more = if (i + 1) * gso.size < payload.len() {
                        0x2000
                    } else {
                        0
                    };
                    bytes[ip + 6..ip + 8].copy_from_slice(&(off | more).to_be_bytes());
                }
                bytes[ip + 10..ip + 12].fill(0);
                let check = !fold(sum(0, &bytes[ip..ip + 20]));
                bytes[ip + 10..ip + 12].copy_from_slice(&check.to_ne_bytes());
            }
            let mut seg = self.with_data(Arc::new(bytes));
            seg.linear = seg.data.len();
            seg.gso = None;
            f(&mut seg, i)?;
        }
        Ok(())
    }

    fn reset_conntrack(&mut self) {
        self.conntrack = false;
        self.conn = None;
    }

    fn set_ignore_df(&mut self) {
        self.ignore_df = true;
    }

    /// All packets of the tests come from the datapath's namespace.
    fn enter_net(&mut self, _net: &crate::datapath::env::Net) {}

    fn has_state(&self) -> bool {
        self.conntrack || self.conn.is_some() || self.tunnel.is_some() || self.tc.is_some()
    }

    fn tc_state(&self) -> Option<TcState> {
        self.tc.filter(|_| FakeEnv::tc_asked() > 0)
    }

    fn tunnel(&self) -> Option<TunnelInfo<'_>> {
        self.tunnel
    }

    fn set_tunnel(&mut self, tunnel: &FakeTunnel) {
        self.tunnel = None;
        self.tx_tunnel = Some(tunnel.0.clone());
    }

    /// Tunnel ports of the tests have nothing to add.
    fn egress_tunnel(&mut self, _dev: &Device, _bh: &BhGuard) -> Option<TunnelInfo<'_>> {
        Some(self.tx_tunnel.as_ref()?.info())
    }

    fn set_device(&mut self, dev: &Device, _bh: &BhGuard) -> bool {
        self.ifindex = dev.ifindex();
        dev.is_registered()
    }

    fn sample(&self, _net: &Net, s: &Sample<'_>) {
        let sampled = Sampled {
            group: s.group,
            cookie: s.cookie.to_vec(),
            probability: s.probability,
            in_ifindex: s.in_ifindex,
            bytes: self.data[..s.len as usize].to_vec(), // no longer than the packet
        };
        SAMPLES.with(|samples| samples.borrow_mut().push(sampled));
    }

    fn meta(&self) -> &PacketMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut PacketMeta {
        &mut self.meta
    }

    fn try_clone(&mut self) -> Result<Self, NoMem> {
        allocate()?;
        Ok(self.with_data(self.data.clone()))
    }

    fn discard(self, why: DropReason) {
        DROPS.with(|d| {
            d.borrow_mut().push(Dropped {
                why,
                bytes: self.data.to_vec(),
            })
        });
    }

    fn tx_error(&mut self) {
        TX_ERRORS.set(TX_ERRORS.get() + 1);
    }

    fn from_bytes(bytes: &[u8], _ctx: &impl MaySleep) -> Result<Self> {
        Self::copy_of(bytes)
    }
}

fn tag_bytes(t: VlanTag) -> [u8; 4] {
    let ([a, b], [c, d]) = (t.tpid.to_be_bytes(), t.tci.to_be_bytes());
    [a, b, c, d]
}

fn fnv(b: &[u8]) -> u32 {
    let h = b.iter().fold(0x811c_9dc5u32, |h, b| {
        (h ^ u32::from(*b)).wrapping_mul(0x0100_0193)
    });
    h.max(1)
}

/// Ones' complement addition.
fn add(a: u32, b: u32) -> u32 {
    let (s, carry) = a.overflowing_add(b);
    s.wrapping_add(u32::from(carry))
}

/// Adds the 16-bit words of `b`, as they lie in memory, to `acc` (`csum_partial`).
pub fn sum(acc: u32, b: &[u8]) -> u32 {
    b.chunks(2).fold(acc, |s, c| {
        add(
            s,
            u32::from(u16::from_ne_bytes([c[0], c.get(1).copied().unwrap_or(0)])),
        )
    })
}

/// Folds an accumulator to 16 bits, without complementing.
pub fn fold(s: u32) -> u16 {
    let s = (s & 0xffff) + (s >> 16);
    ((s & 0xffff) + (s >> 16)) as u16
}
