// SPDX-License-Identifier: GPL-2.0
//! The rules of spec 4.0 to 4.2, and the only way to make an [`Actions`].
//!
//! A [`Checker`] takes one action after the other, keeps what the packet will look like at that point (spec A4), and
//! opens and closes nested lists without recursion, so that its stack use does not depend on the request (A12, B4).
//!
//! What may be pushed and popped where stands in [`layers`].
//!
//! C counterpart: `__ovs_nla_copy_actions()` and `validate_set()` in `net/openvswitch/flow_netlink.c`.

pub mod layers;

use super::list::{
    Action, Actions, Body, CheckPktLen, Field, HashAlg, Held, Psample, PushVlan, TosTtl, Userspace,
};
use super::set_field::{addresses_in_place, swapped};
use crate::datapath::abi::hash_alg;
use crate::datapath::conntrack::action::CtAction;
use crate::datapath::conntrack::spec::Spec;
use crate::datapath::env::{TunnelInfo, TxTunnel, TxTunnelOps, TUN_CRIT_OPT};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::key::{tun_flag, Core, MAC_PROTO_ETHERNET, VLAN_CFI};
use crate::datapath::ports::port::MAX_PORTS;
use crate::datapath::wire::be::{Be16, Be32};
use crate::datapath::wire::ether::{self, ty};
use crate::datapath::wire::ipv4::proto;
use core::mem;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::{AllocError, KBox, KVVec};
use kernel::error::code::{EINVAL, EMSGSIZE, EOVERFLOW};

/// Nested lists around an action, at most (spec A2).
pub const MAX_DEPTH: usize = 16;
/// What the 16-bit length of an attribute can express.
const MAX_ATTR: u32 = 65535;
/// Bytes of an attribute header.
const HDR: u32 = 4;
/// A truncated packet keeps at least its Ethernet header.
const MIN_TRUNC: u32 = ether::HLEN as u32; // CAST: a small constant

/// What packets look like at a point of the list (spec A4).
#[derive(Clone, Copy)]
struct Shape {
    eth_type: u16,
    vlan_tci: u16,
    mac_proto: u8,
    /// MPLS labels that are known of; wraps, as in C.
    labels: u32,
}

/// A list that a nested list interrupts.
#[derive(Clone, Copy)]
struct Outer {
    shape: Shape,
    /// Where the action that opened the nested list stands.
    opener: usize,
    /// Length of the dump when it was opened.
    dump_len: u32,
    /// The opener is the last action of its list.
    last: bool,
}

/// Builds a list from actions in the order in which they will run.
pub struct Checker<'k> {
    /// The flow's masked key, as far as actions ask for it.
    key: &'k Core,
    shape: Shape,
    /// Whether the actions of the current list so far change the key (A11).
    changes_key: bool,
    outer: [Option<Outer>; MAX_DEPTH],
    depth: usize,
    /// Bytes of the dumped attribute so far, header included.
    dump_len: u32,
    acts: Actions,
}

impl<'k> Checker<'k> {
    /// `orig_len`: bytes of the request's list.
    pub fn new(key: &'k Core, orig_len: usize) -> Self {
        Self {
            key,
            shape: Shape {
                eth_type: key.eth_type.get(),
                vlan_tci: key.vlan_tci.get(),
                mac_proto: key.mac_proto,
                labels: match key.eth_type.get() {
                    ty::MPLS_UC | ty::MPLS_MC => key.mpls().present.count_ones(),
                    _ => 0,
                },
            },
            changes_key: false,
            outer: [None; MAX_DEPTH],
            depth: 0,
            dump_len: HDR,
            acts: Actions::empty(orig_len as u16), // CAST: an attribute is shorter than 64 KiB
        }
    }

    /// Room for so many actions, before the first. ENOMEM.
    pub fn expect(&mut self, actions: usize) -> NlResult {
        Ok(self.acts.list.reserve(actions)?)
    }

    /// The finished list, taken out: the checker itself is too large to be moved. EMSGSIZE if it could not be dumped.
    pub fn finish(&mut self) -> NlResult<Actions> {
        check_len(self.dump_len)?;
        self.acts.seal(self.dump_len as u16); // CAST: so it was just checked
        Ok(mem::replace(&mut self.acts, Actions::empty(0)))
    }

    /// Appends an action whose dumped argument has `len` bytes.
    fn add(&mut self, action: Action, len: usize) -> NlResult {
        self.acts.list.push(action)?;
        self.grow_dump(HDR.wrapping_add(len as u32).wrapping_add(3) & !3) // CAST: len is below 64 KiB
    }

    /// Counts dumped bytes; stops long before the count could wrap.
    fn grow_dump(&mut self, n: u32) -> NlResult {
        self.dump_len = self.dump_len.saturating_add(n);
        check_len(self.dump_len)
    }

    /// Keeps bytes beside the list and says where.
    fn keep(&mut self, bytes: &[u8]) -> NlResult<u32> {
        let kept = &mut self.acts.more_mut()?.bytes;
        let at = kept.len() as u32; // CAST: at most twice the request's 64 KiB
        kept.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(at)
    }

    pub fn output(&mut self, port: u32) -> NlResult {
        match u16::try_from(port) {
            Ok(no) if port < MAX_PORTS => self.add(Action::Output(no), 4),
            _ => refuse(c"Output to an invalid port number"),
        }
    }

    /// `arg`: the whole argument; `data`: offset and length of USERDATA in it; `egress`: EGRESS_TUN_PORT.
    pub fn userspace(
        &mut self,
        arg: &[u8],
        pid: u32,
        data: Option<(u16, u16)>,
        egress: Option<u32>,
        with_actions: bool,
    ) -> NlResult {
        if pid == 0 {
            return refuse(c"Userspace action without a netlink port");
        }
        let at = self.keep(&pid.to_ne_bytes())?;
        self.keep(arg)?;
        let len = arg.len() as u16; // CAST: an attribute's payload
        if let Some(port) = egress {
            self.keep(&port.to_ne_bytes())?;
        }
        let (data_at, data_len) = data.unwrap_or((0, 0));
        self.add(
            Action::Userspace(Userspace {
                at,
                len,
                data_at,
                data_len,
                with_actions,
                egress_port: egress.is_some(),
            }),
            arg.len(),
        )
    }

    /// `arg`: the whole argument. `cookie`: at most 16 bytes.
    pub fn psample(&mut self, arg: &[u8], group: u32, cookie: &[u8]) -> NlResult {
        let at = self.keep(arg)?;
        self.keep(cookie)?;
        let action = Action::Psample(Psample {
            group,
            at,
            len: arg.len() as u16,          // CAST: an attribute's payload
            cookie_len: cookie.len() as u8, // CAST: as the caller says
        });
        self.add(action, arg.len())
    }

    pub fn trunc(&mut self, max_len: u32) -> NlResult {
        if max_len < MIN_TRUNC {
            return refuse(c"Truncation to less than an Ethernet header");
        }
        self.add(Action::Trunc(max_len), 4)
    }

    pub fn recirc(&mut self, id: u32) -> NlResult {
        self.add(Action::Recirc(id), 4)
    }

    pub fn hash(&mut self, alg: u32, basis: u32) -> NlResult {
        let alg = match alg {
            hash_alg::L4 => HashAlg::L4,
            hash_alg::SYM_L4 => HashAlg::SymL4,
            _ => return refuse(c"Unknown hash algorithm"),
        };
        self.changes_key = true;
        self.add(Action::Hash { alg, basis }, 8)
    }

    /// `arg`: `struct ovs_action_push_vlan`.
    pub fn push_vlan(&mut self, arg: [u8; 4]) -> NlResult {
        self.need_ethernet()?;
        let [p0, p1, t0, t1] = arg;
        let (tpid, tci) = (Be16::from_bytes([p0, p1]), Be16::from_bytes([t0, t1]));
        if !ether::is_vlan(tpid) || tci.get() & VLAN_CFI == 0 {
            return refuse(c"Invalid VLAN tag to push");
        }
        self.changes_key = true;
        self.shape.vlan_tci = tci.get();
        self.add(Action::PushVlan(PushVlan::new(tpid, tci)), 4)
    }

    pub fn pop_vlan(&mut self) -> NlResult {
        self.need_ethernet()?;
        self.changes_key = true;
        self.shape.vlan_tci = 0;
        self.add(Action::PopVlan, 0)
    }

    /// There need be no such meter, now or ever (spec 4.1).
    pub fn meter(&mut self, id: u32) -> NlResult {
        self.changes_key = true; // whatever C does not know not to (spec A11)
        self.add(Action::Meter(id), 4)
    }

    /// The flow's family of L3 packets and its IP protocol, which a CT action is bound to (spec C1, C5).
    pub fn ct_family(&self) -> NlResult<Spec> {
        match self.key.eth_type.get() {
            ty::IPV4 => Ok(Spec::new(false, self.key.ip_proto)),
            ty::IPV6 => Ok(Spec::new(true, self.key.ip_proto)),
            _ => refuse(c"Connection tracking needs IPv4 or IPv6"),
        }
    }

    /// What the list's actions hold. ENOMEM.
    fn held(&mut self) -> Result<&mut Held, AllocError> {
        match &mut self.acts.more_mut()?.held {
            Some(held) => Ok(held),
            none => {
                let (cts, tunnels) = (KVVec::new(), KVVec::new());
                Ok(none.insert(KBox::new(Held { cts, tunnels }, GFP_KERNEL)?))
            }
        }
    }

    /// CT, whose dumped argument has `len` bytes.
    pub fn ct(&mut self, ct: CtAction, len: usize) -> NlResult {
        let cts = &mut self.held()?.cts;
        let index = cts.len() as u32; // CAST: fewer than 16 Ki actions fit in a request
        cts.push(ct, GFP_KERNEL)?;
        self.changes_key = true;
        self.add(Action::Ct(index), len)
    }

    pub fn ct_clear(&mut self) -> NlResult {
        self.changes_key = true;
        self.add(Action::CtClear, 0)
    }

    pub fn drop(&mut self, code: u32, last: bool) -> NlResult {
        if !last {
            return refuse(c"Drop action must be last");
        }
        self.add(Action::Drop(code), 4)
    }

    /// SET: `value` alone, executed with a full mask (spec A19).
    pub fn set(&mut self, field: Field, value: &[u8]) -> NlResult {
        self.check_set(field, value, None)?;
        self.changes_key = true;
        let len = 4usize.wrapping_add(field.size());
        if let (Field::Ethernet, Some(value)) = (field, value.first_chunk()) {
            return self.add_set_addresses(false, value, len);
        }
        let at = self.keep(value)?;
        let bytes = &mut self.acts.more_mut()?.bytes;
        bytes.extend_with(field.size(), 0xff, GFP_KERNEL)?;
        if field == Field::Ipv6 {
            limit_label_mask(bytes, at.wrapping_add(40));
        }
        let masked = false;
        self.add(Action::Set { field, masked, at }, len)
    }

    /// SET of whole Ethernet addresses, in the order of the attribute.
    fn add_set_addresses(&mut self, masked: bool, value: &[u8; 12], len: usize) -> NlResult {
        let addresses = swapped(value);
        self.add(Action::SetAddresses { masked, addresses }, len)
    }

    /// SET(TUNNEL), whose attributes are dumped as `attrs` (spec A26). EINVAL, ENOMEM.
    pub fn set_tunnel(&mut self, info: &TunnelInfo<'_>, attrs: &[u8]) -> NlResult {
        let mut info = *info;
        if info.flags & tun_flag::GENEVE_OPT != 0 && has_critical_option(info.options)? {
            info.flags |= TUN_CRIT_OPT;
        }
        let tunnel = TxTunnel::new(&info)?;
        let tunnels = &mut self.held()?.tunnels;
        let index = tunnels.len() as u32; // CAST: fewer than 16 Ki actions fit in a request
        tunnels.push(tunnel, GFP_KERNEL)?;
        let at = self.keep(attrs)?;
        let len = attrs.len() as u16; // CAST: at most some hundred
        self.changes_key = true;
        let dump_len = attrs.len().wrapping_add(4);
        self.add(Action::SetTunnel { index, at, len }, dump_len)
    }

    /// SET_MASKED: value and mask of the same length (spec A16).
    pub fn set_masked(&mut self, field: Field, value: &[u8], mask: &[u8]) -> NlResult {
        if value.iter().zip(mask).any(|(v, m)| v & !m != 0) {
            return refuse(c"Value has bits outside of its mask");
        }
        self.check_set(field, value, Some(mask))?;
        self.changes_key = true;
        let len = field.size().wrapping_mul(2).wrapping_add(4);
        // What is set most often needs no bytes beside the list.
        match (field, value.first_chunk(), TosTtl::from_attr(value, mask)) {
            (Field::Ethernet, Some(value), _) if mask == [0xff; 12] => {
                return self.add_set_addresses(true, value, len);
            }
            (Field::Ipv4, _, Some(set)) => return self.add(Action::SetTosTtl(set), len),
            _ => {}
        }
        let at = self.keep(value)?;
        self.keep(mask)?;
        if let (Field::Ethernet, Some(value), Some(mask)) =
            (field, value.first_chunk(), mask.first_chunk())
        {
            let (set, keep) = addresses_in_place(value, mask);
            self.keep(&set)?;
            self.keep(&keep)?;
        }
        let masked = true;
        self.add(Action::Set { field, masked, at }, len)
    }

    /// Spec A17, A18.
    fn check_set(&self, field: Field, value: &[u8], mask: Option<&[u8]>) -> NlResult {
        let n = field.size();
        if value.len() != n || mask.is_some_and(|m| m.len() != n) {
            return refuse(c"Set action of wrong length");
        }
        match field {
            Field::Priority | Field::Mark => Ok(()),
            Field::Ethernet => self.need_ethernet(),
            Field::Ipv4 => {
                self.need_type(self.shape.eth_type == ty::IPV4)?;
                // proto, tos, ttl, frag
                self.check_fixed(value, mask, 8, 11)
            }
            Field::Ipv6 => {
                self.need_type(self.shape.eth_type == ty::IPV6)?;
                // label, proto, tclass, hlimit, frag
                self.check_fixed(value, mask, 36, 39)?;
                check_label(value)?;
                mask.map_or(Ok(()), check_label)
            }
            Field::Tcp => self.need_l4(proto::TCP),
            Field::Udp => self.need_l4(proto::UDP),
            Field::Sctp => self.need_l4(proto::SCTP),
            Field::Mpls => self.need_type(is_mpls(self.shape.eth_type)),
        }
    }

    /// Protocol and fragment type cannot be written: equal to the flow's, or not in the mask.
    fn check_fixed(
        &self,
        value: &[u8],
        mask: Option<&[u8]>,
        proto: usize,
        frag: usize,
    ) -> NlResult {
        let at = |b: &[u8], i| b.get(i).copied().unwrap_or(0);
        let ok = match mask {
            Some(m) => at(m, proto) == 0 && at(m, frag) == 0,
            None => at(value, proto) == self.key.ip_proto && at(value, frag) == self.key.ip_frag,
        };
        if !ok {
            return refuse(c"IP protocol and fragment type cannot be set");
        }
        Ok(())
    }

    fn need_ethernet(&self) -> NlResult {
        if self.shape.mac_proto != MAC_PROTO_ETHERNET {
            return refuse(c"Action needs an Ethernet header");
        }
        Ok(())
    }

    fn need_type(&self, ok: bool) -> NlResult {
        if !ok {
            return refuse(c"Set action does not fit the EtherType");
        }
        Ok(())
    }

    fn need_l4(&self, proto: u8) -> NlResult {
        self.need_type(matches!(self.shape.eth_type, ty::IPV4 | ty::IPV6))?;
        if self.key.ip_proto != proto {
            return refuse(c"Set action does not fit the IP protocol");
        }
        Ok(())
    }

    /// Opens the list of a SAMPLE, which is the `last` action of its own list or not.
    pub fn open_sample(&mut self, probability: u32, last: bool) -> NlResult {
        let body = Body {
            len: 0,
            in_place: false,
        };
        // SAMPLE { PROBABILITY, ACTIONS { … } }
        self.open(Action::Sample { probability, body }, 4 + 8 + 4, last)
    }

    /// Opens the list of a CLONE.
    pub fn open_clone(&mut self, last: bool) -> NlResult {
        self.open(
            Action::Clone(Body {
                len: 0,
                in_place: false,
            }),
            4,
            last,
        )
    }

    /// Opens the first list of a CHECK_PKT_LEN, for packets of at most `pkt_len` bytes.
    pub fn open_check_pkt_len(&mut self, pkt_len: u16, last: bool) -> NlResult {
        if pkt_len == 0 {
            return refuse(c"Packet length of 0 to check for");
        }
        let action = Action::CheckPktLen(CheckPktLen {
            pkt_len,
            fits: 0,
            greater: 0,
            fits_in_place: false,
            greater_in_place: false,
        });
        // CHECK_PKT_LEN { PKT_LEN, IF_LESS_EQUAL { … }, IF_GREATER { … } }
        self.open(action, 4 + 8 + 4 + 4, last)
    }

    /// Goes on with the second list, which starts with the same packets as the first.
    pub fn otherwise(&mut self) {
        let depth = self.depth.wrapping_sub(1);
        let Some(Some(outer)) = self.outer.get(depth).copied() else {
            return; // nothing is open
        };
        let len = self.body_len(&outer);
        if let Some(Action::CheckPktLen(c)) = self.acts.list.get_mut(outer.opener) {
            c.fits = len;
            c.fits_in_place = outer.last || !self.changes_key;
        }
        self.enter(&outer);
    }

    /// Opens the list of a DEC_TTL, on which its packets end.
    pub fn open_dec_ttl(&mut self) -> NlResult {
        let body = Body {
            len: 0,
            in_place: true,
        };
        // DEC_TTL { ACTION { … } }
        self.open(Action::DecTtl(body), 4 + 4, true)
    }

    fn open(&mut self, action: Action, headers: u32, last: bool) -> NlResult {
        let slot = match self.outer.get_mut(self.depth) {
            Some(slot) => slot,
            None => return Err(NlError::new(EOVERFLOW, c"Actions nested too deeply")),
        };
        let outer = Outer {
            shape: self.shape,
            opener: self.acts.as_slice().len(),
            dump_len: self.dump_len,
            last,
        };
        *slot = Some(outer);
        self.depth = self.depth.wrapping_add(1);
        self.enter(&outer);
        self.acts.list.push(action)?;
        self.grow_dump(headers)
    }

    /// A list inside of `outer` begins.
    fn enter(&mut self, outer: &Outer) {
        // Whether there is an Ethernet header is asked of the flow's key again, as in C; the rest goes on as it is (A4).
        self.shape = Shape {
            mac_proto: self.key.mac_proto,
            ..outer.shape
        };
        self.changes_key = false;
    }

    /// How many actions there are since the opener.
    fn body_len(&self, outer: &Outer) -> u32 {
        let all = self.acts.as_slice().len().wrapping_sub(outer.opener);
        all.wrapping_sub(1) as u32 // CAST: fewer than 16 Ki actions fit in a request
    }

    /// Closes the innermost open list; what it did to packets stays inside (spec A4).
    pub fn close(&mut self) -> NlResult {
        let depth = self.depth.wrapping_sub(1);
        let Some(outer) = self.outer.get_mut(depth).and_then(Option::take) else {
            return Err(EINVAL.into()); // nothing is open
        };
        self.depth = depth;
        let len = self.body_len(&outer);
        let in_place = outer.last || !self.changes_key;
        match self.acts.list.get_mut(outer.opener) {
            Some(Action::Sample { body, .. } | Action::Clone(body) | Action::DecTtl(body)) => {
                *body = Body { len, in_place };
            }
            Some(Action::CheckPktLen(c)) => {
                c.greater = len.wrapping_sub(c.fits);
                c.greater_in_place = in_place;
            }
            _ => {}
        }
        check_len(self.dump_len.wrapping_sub(outer.dump_len))?;
        self.shape = outer.shape;
        self.changes_key = true; // so counts every list inside a list
        Ok(())
    }
}

/// The flow label has 20 bits; the rest of its word is not writable.
fn limit_label_mask(bytes: &mut [u8], mask_at: u32) {
    let label = (mask_at as usize).wrapping_add(32);
    if let Some(m) = bytes.get_mut(label..).and_then(|b| b.first_chunk_mut()) {
        *m = [0, 0x0f, 0xff, 0xff];
    }
}

/// MPLS, unicast or multicast.
fn is_mpls(eth_type: u16) -> bool {
    matches!(eth_type, ty::MPLS_UC | ty::MPLS_MC)
}

fn check_len(len: u32) -> NlResult {
    if len > MAX_ATTR {
        return Err(NlError::new(EMSGSIZE, c"Action list too long"));
    }
    Ok(())
}

/// Geneve options, each of which must end where they end (RFC 8926 section 3.5, B17): whether one must be understood.
fn has_critical_option(options: &[u8]) -> NlResult<bool> {
    const CRITICAL: u8 = 0x80;
    let mut rest = options;
    let mut critical = false;
    while !rest.is_empty() {
        let Some(&[_, _, ty, len]) = rest.first_chunk() else {
            return refuse(c"Geneve option cut short");
        };
        let len = usize::from(len & 0x1f).wrapping_mul(4).wrapping_add(4);
        let Some(after) = rest.get(len..) else {
            return refuse(c"Geneve option longer than the options");
        };
        critical |= ty & CRITICAL != 0;
        rest = after;
    }
    Ok(critical)
}

fn check_label(value: &[u8]) -> NlResult {
    match value.get(32..).and_then(|b| b.first_chunk()) {
        Some(l) if Be32::from_bytes(*l).get() >> 20 == 0 => Ok(()),
        _ => refuse(c"IPv6 flow label has more than 20 bits"),
    }
}

#[cold]
fn refuse<T>(why: &'static kernel::str::CStr) -> NlResult<T> {
    Err(NlError::new(EINVAL, why))
}
