// SPDX-License-Identifier: GPL-2.0
//! A compiled action list: one flat array of small actions, and the bytes that are too long for it.
//!
//! A nested list stands right after the action that holds it, so a list of any depth is a range of indices and its
//! length says where the outer list goes on:
//!
//! ```text
//! sample(50%, clone(output 1), pop_vlan), output 2
//!   0 Sample{len 3}   1 Clone{len 1}   2 Output 1   3 PopVlan   4 Output 2
//! ```
//!
//! C counterpart: `struct sw_flow_actions`, which keeps netlink attributes and parses them for every packet.

use crate::datapath::abi::key_attr;
use crate::datapath::conntrack::action::CtAction;
use crate::datapath::env::{TxTunnel, VlanTag};
use crate::datapath::flow::key::VLAN_CFI;
use crate::datapath::wire::be::Be16;
use core::slice;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::{AllocError, KBox, KVVec};

/// References that actions hold, by the number in the action; given back when the list is dropped, wherever in it they stand
/// (spec A5, B22).
pub(super) struct Held {
    pub(super) cts: KVVec<CtAction>,
    pub(super) tunnels: KVVec<TxTunnel>,
}

/// What only some actions need.
pub(super) struct More {
    pub(super) bytes: KVVec<u8>,
    pub(super) held: Option<KBox<Held>>,
}

/// The actions themselves. A single one needs no array: most flows are one output, and have one object less for it.
pub(super) enum List {
    One(Action),
    Many(KVVec<Action>),
}

/// A validated action list. Only [`super::validate::Checker`] makes one, so every list that runs was checked.
pub struct Actions {
    pub(super) list: List,
    /// Lists without have no room for it.
    pub(super) more: Option<KBox<More>>,
    pub(super) orig_len: u16,
    /// See [`Self::reads_hash`].
    reads_hash: bool,
    /// How many actions [`Self::before_output`] gives; 0 if the list is not straight.
    before_output: u8,
    /// See [`Self::last_port`].
    last_port: u16,
    dump_len: u16,
}

// With what an `RcuBox` adds, 64 bytes of slab.
const _: () = assert!(core::mem::size_of::<Actions>() == 40);

/// One action. Its kind is the first byte, so that packets find it by one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    // What only changes the packet and its key comes first: [`Self::is_edit`] is a comparison. The order is that of their need for
    // few comparisons.
    PushVlan(PushVlan),
    /// SET of both Ethernet addresses, whole. Not `masked`: dumped as SET (spec A6, A19).
    SetAddresses {
        masked: bool,
        /// In the order of the header: the destination first.
        addresses: [u8; 12],
    },
    /// SET_MASKED of IPv4 that leaves the addresses alone.
    SetTosTtl(TosTtl),
    /// Any other SET. `at`: where the value and then the mask stand in the list's bytes, and after them for Ethernet addresses
    /// what [`addresses_in_place`](super::set_field::addresses_in_place) makes of these. `masked`: as above.
    Set {
        field: Field,
        masked: bool,
        at: u32,
    },
    PopVlan,
    /// SET(TUNNEL). `at`, `len`: the tunnel's attributes in the list's bytes.
    SetTunnel {
        index: u32,
        at: u32,
        len: u16,
    },
    Hash {
        alg: HashAlg,
        basis: u32,
    },
    /// Bytes to keep in the next output or upcall.
    Trunc(u32),
    PushEth {
        src: [u8; 6],
        dst: [u8; 6],
    },
    PopEth,
    CtClear,
    /// `struct ovs_action_push_mpls`, its padding included, as it was given.
    PushMpls([u8; 8]),
    /// `struct ovs_action_add_mpls`.
    AddMpls([u8; 8]),
    /// The EtherType of what follows.
    PopMpls(u16),
    PushNsh(PushNsh),
    PopNsh,
    // The others.
    /// To this port.
    Output(u16),
    Userspace(Userspace),
    Sample {
        probability: u32,
        body: Body,
    },
    Clone(Body),
    Recirc(u32),
    /// Charges the meter with this id, if there is one (spec M6).
    Meter(u32),
    /// Connection tracking; which one of the list's.
    Ct(u32),
    CheckPktLen(CheckPktLen),
    /// The list is for packets that have no life left.
    DecTtl(Body),
    /// With the error code that userspace gave.
    Drop(u32),
    Psample(Psample),
}

const _: () = assert!(core::mem::size_of::<Action>() == 16);

/// A nested list: the actions right after the one that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// How many, those nested in them included.
    pub len: u32,
    /// May run on the outer list's own key: nothing after it needs that, or it is not changed (spec A11).
    pub in_place: bool,
}

/// The CHECK_PKT_LEN action: two lists after it, of which one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckPktLen {
    /// Bytes that a packet of the first list has at most.
    pub pkt_len: u16,
    /// How many actions the list for packets of at most this length has, those nested in them included; it comes first.
    pub fits: u32,
    /// The same of the list for longer ones.
    pub greater: u32,
    /// As [`Body::in_place`].
    pub fits_in_place: bool,
    pub greater_in_place: bool,
}

/// TOS and TTL of an IPv4 header. All other bits of the attribute's value and mask are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TosTtl {
    /// Within the mask.
    pub(super) value: [u8; 2],
    /// The mask's complement: the bits that stay.
    pub(super) keep: [u8; 2],
}

impl TosTtl {
    /// Where the two stand in the attribute.
    const AT: usize = 9;

    /// From value and mask of an attribute; `None` if the mask has bits of the addresses.
    pub(super) fn from_attr(value: &[u8], mask: &[u8]) -> Option<Self> {
        let [tos_mask, ttl_mask] = *mask.get(Self::AT..)?.first_chunk()?;
        let value = *value.get(Self::AT..)?.first_chunk()?;
        let keep = [!tos_mask, !ttl_mask];
        mask.starts_with(&[0; 8]).then_some(Self { value, keep })
    }

    /// The attribute's value and mask.
    pub fn to_attr(self) -> ([u8; 12], [u8; 12]) {
        let spread = |[tos, ttl]: [u8; 2]| [0, 0, 0, 0, 0, 0, 0, 0, 0, tos, ttl, 0];
        let [tos_keep, ttl_keep] = self.keep;
        (spread(self.value), spread([!tos_keep, !ttl_keep]))
    }
}

/// The PUSH_VLAN action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushVlan {
    pub(super) tpid: Be16,
    /// As keys have it: with the CFI bit.
    pub(super) tci: Be16,
    /// In host order, without it: as packets have it.
    beside: u16,
}

impl PushVlan {
    /// From the action's argument.
    pub(super) fn new(tpid: Be16, tci: Be16) -> Self {
        let beside = tci.get() & !VLAN_CFI;
        Self { tpid, tci, beside }
    }

    /// The tag of a packet.
    #[inline(always)]
    pub(super) fn tag(&self) -> VlanTag {
        VlanTag {
            tpid: self.tpid.get(),
            tci: self.beside,
        }
    }

    /// The action's argument.
    pub fn to_attr(self) -> (Be16, Be16) {
        (self.tpid, self.tci)
    }
}

/// The PUSH_NSH action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushNsh {
    /// The argument as userspace gave it, in the list's bytes, and then the header to push.
    pub(super) at: u32,
    pub(super) len: u16,
    pub(super) header_len: u8,
}

/// The USERSPACE action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Userspace {
    /// Where its netlink port and then the whole argument as userspace gave it stand in the list's bytes.
    pub(super) at: u32,
    pub(super) len: u16,
    /// USERDATA within it; offset 0 (where a header stands) means none.
    pub(super) data_at: u16,
    pub(super) data_len: u16,
    /// Attach the list being executed to the upcall (spec A34).
    pub with_actions: bool,
    /// EGRESS_TUN_PORT, whose number stands after the argument.
    pub(super) egress_port: bool,
}

impl Userspace {
    /// Where its argument stands.
    fn arg_at(&self) -> u32 {
        self.at.wrapping_add(4)
    }
}

/// The PSAMPLE action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Psample {
    pub group: u32,
    /// The whole argument as userspace gave it, in the list's bytes.
    pub(super) at: u32,
    pub(super) len: u16,
    /// Bytes of COOKIE, which stands after the argument once more.
    pub(super) cookie_len: u8,
}

/// `OVS_HASH_ALG_*`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlg {
    L4,
    SymL4,
}

/// A key attribute that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Priority,
    Mark,
    Ethernet,
    Ipv4,
    Ipv6,
    Tcp,
    Udp,
    Sctp,
    /// The outermost label stack entry.
    Mpls,
}

impl Field {
    /// By attribute type.
    pub fn from_attr(ty: u16) -> Option<Self> {
        Some(match ty {
            key_attr::PRIORITY => Self::Priority,
            key_attr::SKB_MARK => Self::Mark,
            key_attr::ETHERNET => Self::Ethernet,
            key_attr::IPV4 => Self::Ipv4,
            key_attr::IPV6 => Self::Ipv6,
            key_attr::TCP => Self::Tcp,
            key_attr::UDP => Self::Udp,
            key_attr::SCTP => Self::Sctp,
            key_attr::MPLS => Self::Mpls,
            _ => return None,
        })
    }

    /// Its attribute type.
    pub fn attr(self) -> u16 {
        match self {
            Self::Priority => key_attr::PRIORITY,
            Self::Mark => key_attr::SKB_MARK,
            Self::Ethernet => key_attr::ETHERNET,
            Self::Ipv4 => key_attr::IPV4,
            Self::Ipv6 => key_attr::IPV6,
            Self::Tcp => key_attr::TCP,
            Self::Udp => key_attr::UDP,
            Self::Sctp => key_attr::SCTP,
            Self::Mpls => key_attr::MPLS,
        }
    }

    /// Bytes of the attribute, without a mask (spec 2.1).
    pub const fn size(self) -> usize {
        match self {
            Self::Priority | Self::Mark | Self::Tcp | Self::Udp | Self::Sctp | Self::Mpls => 4,
            Self::Ethernet | Self::Ipv4 => 12,
            Self::Ipv6 => 40,
        }
    }
}

impl Action {
    /// How many of the actions after it are its nested list.
    #[inline(always)]
    pub fn body_len(&self) -> usize {
        match self {
            Self::Sample { body, .. } | Self::Clone(body) | Self::DecTtl(body) => body.len as usize,
            Self::CheckPktLen(c) => (c.fits as usize).wrapping_add(c.greater as usize),
            _ => 0,
        }
    }

    /// Whether it is a SET, but not of a tunnel.
    #[inline(always)]
    pub fn is_set(&self) -> bool {
        matches!(
            self,
            Self::SetAddresses { .. } | Self::SetTosTtl(_) | Self::Set { .. }
        )
    }

    /// Whether it does nothing but change the packet and its key.
    #[inline(always)]
    pub fn is_edit(&self) -> bool {
        match self {
            Self::SetAddresses { .. }
            | Self::SetTosTtl(_)
            | Self::PushVlan(_)
            | Self::Set { .. }
            | Self::SetTunnel { .. }
            | Self::PopVlan
            | Self::Hash { .. }
            | Self::Trunc(_)
            | Self::PushEth { .. }
            | Self::PopEth
            | Self::CtClear
            | Self::PushMpls(_)
            | Self::AddMpls(_)
            | Self::PopMpls(_)
            | Self::PushNsh(_)
            | Self::PopNsh => true,
            Self::Output(_)
            | Self::Userspace(_)
            | Self::Sample { .. }
            | Self::Clone(_)
            | Self::Recirc(_)
            | Self::Meter(_)
            | Self::Ct(_)
            | Self::CheckPktLen(_)
            | Self::DecTtl(_)
            | Self::Drop(_)
            | Self::Psample(_) => false,
        }
    }

    /// Whether each packet that it does not drop goes on to the next action, in the same list.
    fn passes_on(&self) -> bool {
        self.is_edit() || matches!(self, Self::Output(_) | Self::Userspace(_) | Self::Meter(_))
    }

    /// Whether it has lists, be they empty.
    pub fn holds_lists(&self) -> bool {
        matches!(
            self,
            Self::Sample { .. } | Self::Clone(_) | Self::DecTtl(_) | Self::CheckPktLen(_)
        )
    }

    /// How many array elements it takes, its nested list included.
    pub fn extent(&self) -> usize {
        self.body_len().wrapping_add(1)
    }
}

impl core::fmt::Debug for Actions {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

impl List {
    /// Room for so many actions in an empty list; one needs none. ENOMEM.
    pub(super) fn reserve(&mut self, n: usize) -> Result<(), AllocError> {
        match self {
            Self::Many(list) if n > 1 => list.reserve(n, GFP_KERNEL),
            _ => Ok(()),
        }
    }

    /// ENOMEM.
    pub(super) fn push(&mut self, action: Action) -> Result<(), AllocError> {
        match self {
            Self::Many(list) if list.capacity() == 0 => *self = Self::One(action),
            Self::Many(list) => list.push(action, GFP_KERNEL)?,
            Self::One(first) => {
                let mut list = KVVec::with_capacity(2, GFP_KERNEL)?;
                list.push(*first, GFP_KERNEL)?;
                list.push(action, GFP_KERNEL)?;
                *self = Self::Many(list);
            }
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn as_slice(&self) -> &[Action] {
        match self {
            Self::One(action) => slice::from_ref(action),
            Self::Many(list) => list,
        }
    }

    pub(super) fn get_mut(&mut self, i: usize) -> Option<&mut Action> {
        match self {
            Self::One(action) => slice::from_mut(action).get_mut(i),
            Self::Many(list) => list.get_mut(i),
        }
    }
}

impl Actions {
    /// All actions, nested ones in place.
    #[inline(always)]
    pub fn as_slice(&self) -> &[Action] {
        self.list.as_slice()
    }

    /// The port, if the list is one output.
    #[inline(always)]
    pub fn only_output(&self) -> Option<u16> {
        match self.list {
            List::One(Action::Output(port)) => Some(port),
            _ => None,
        }
    }

    /// Whether the packet's flow hash must be known before the list runs, as it is in C, where each lookup needs it: for
    /// upcalls and HASH, which tell it; or for lists that recirculation leads to, if until then headers change that it
    /// covers and that leave it as it is.
    #[inline(always)]
    pub fn reads_hash(&self) -> bool {
        self.reads_hash
    }

    /// Whether each packet that the actions before the last let pass comes to that one, which is an output.
    #[inline(always)]
    pub fn is_straight(&self) -> bool {
        self.before_output != 0
    }

    /// What comes before the output of a straight list.
    #[inline(always)]
    pub fn before_output(&self) -> Option<&[Action]> {
        match &self.list {
            List::Many(all) => all.get(..usize::from(self.before_output)),
            List::One(_) => None,
        }
    }

    /// That output's port.
    #[inline(always)]
    pub fn last_port(&self) -> u16 {
        self.last_port
    }

    /// The list is complete, and dumped in `dump_len` bytes: what packets are to know of it.
    pub(super) fn seal(&mut self, dump_len: u16) {
        self.dump_len = dump_len;
        self.reads_hash = self.find_reads_hash();
        let Some((&Action::Output(port), before)) = self.as_slice().split_last() else {
            return;
        };
        if before.iter().all(Action::passes_on) {
            // Longer ones run as any list.
            self.before_output = u8::try_from(before.len()).unwrap_or(0);
            self.last_port = port;
        }
    }

    /// What [`Self::reads_hash`] says of these actions.
    fn find_reads_hash(&self) -> bool {
        if self.only_output().is_some() {
            return false;
        }
        let all = self.as_slice();
        let goes_on = all.iter().any(|a| matches!(a, Action::Recirc(_)));
        all.iter().any(|a| match a {
            Action::Userspace(_) | Action::Hash { .. } => true,
            // Who asks after these, a tunnel for its source port, finds only the labels or the service header.
            Action::PushMpls(_) | Action::AddMpls(_) | Action::PushNsh(_) => true,
            Action::PushVlan(_) | Action::PopVlan | Action::PopMpls(_) | Action::PopNsh => goes_on,
            Action::Set { field, .. } => goes_on && matches!(field, Field::Ipv6 | Field::Mpls),
            // NAT changes addresses and ports.
            Action::Ct(i) => goes_on && self.ct(*i).is_some_and(|ct| ct.spec.nat.is_some()),
            _ => false,
        })
    }

    /// No actions yet: of a request's list of `orig_len` bytes.
    pub(super) fn empty(orig_len: u16) -> Self {
        Self {
            list: List::Many(KVVec::new()),
            more: None,
            orig_len,
            reads_hash: false,
            before_output: 0,
            last_port: 0,
            dump_len: 0,
        }
    }

    /// What only some actions need, made if need be. ENOMEM.
    pub(super) fn more_mut(&mut self) -> Result<&mut More, AllocError> {
        match &mut self.more {
            Some(more) => Ok(more),
            none => {
                let (bytes, held) = (KVVec::new(), None);
                Ok(none.insert(KBox::new(More { bytes, held }, GFP_KERNEL)?))
            }
        }
    }

    fn held(&self) -> Option<&Held> {
        self.more.as_deref()?.held.as_deref()
    }

    /// Length of the request's list in bytes (spec A7).
    #[inline(always)]
    pub fn orig_len(&self) -> u32 {
        self.orig_len.into()
    }

    /// Bytes of the dumped attribute, header included. At most 65535.
    pub fn dump_len(&self) -> usize {
        self.dump_len.into()
    }

    /// A CT action of the list.
    pub fn ct(&self, index: u32) -> Option<&CtAction> {
        self.held()?.cts.get(index as usize)
    }

    fn bytes(&self, at: u32, len: usize) -> &[u8] {
        self.more
            .as_deref()
            .and_then(|more| more.bytes.get(at as usize..)?.get(..len))
            .unwrap_or(&[])
    }

    /// Value and mask of a SET.
    #[inline]
    pub fn set_bytes(&self, field: Field, at: u32) -> (&[u8], &[u8]) {
        let n = field.size();
        self.bytes(at, n.wrapping_mul(2))
            .split_at_checked(n)
            .unwrap_or((&[], &[]))
    }

    /// The same for a field of `N` bytes.
    #[inline(always)]
    pub fn set_arrays<const N: usize>(&self, at: u32) -> Option<(&[u8; N], &[u8; N])> {
        let bytes = self.more.as_deref()?.bytes.get(at as usize..)?;
        let (value, rest) = bytes.split_first_chunk()?;
        Some((value, rest.first_chunk()?))
    }

    /// A tunnel of this list.
    pub fn tunnel(&self, index: u32) -> Option<&TxTunnel> {
        self.held()?.tunnels.get(index as usize)
    }

    /// The attributes of a SET(TUNNEL).
    pub fn tunnel_attrs(&self, at: u32, len: u16) -> &[u8] {
        self.bytes(at, usize::from(len))
    }

    /// The port of a USERSPACE action whose tunnel the upcall is to tell (spec A33).
    pub fn egress_port(&self, u: &Userspace) -> Option<u16> {
        if !u.egress_port {
            return None;
        }
        let at = u.arg_at().wrapping_add(u32::from(u.len));
        let port = u32::from_ne_bytes(*self.bytes(at, 4).first_chunk()?);
        u16::try_from(port).ok()
    }

    /// The argument of a USERSPACE action as it was given.
    pub fn userspace_bytes(&self, u: &Userspace) -> &[u8] {
        self.bytes(u.arg_at(), usize::from(u.len))
    }

    /// The netlink port of a USERSPACE action, not 0.
    pub fn userspace_pid(&self, u: &Userspace) -> u32 {
        let pid = self.bytes(u.at, 4).first_chunk();
        pid.map_or(0, |b| u32::from_ne_bytes(*b))
    }

    /// The argument of a PSAMPLE action as it was given.
    pub fn psample_bytes(&self, p: &Psample) -> &[u8] {
        self.bytes(p.at, usize::from(p.len))
    }

    /// COOKIE of a PSAMPLE action; empty if it has none.
    pub fn cookie(&self, p: &Psample) -> &[u8] {
        let at = p.at.wrapping_add(u32::from(p.len));
        self.bytes(at, usize::from(p.cookie_len))
    }

    /// The argument of a PUSH_NSH action as it was given.
    pub fn push_nsh_bytes(&self, nsh: &PushNsh) -> &[u8] {
        self.bytes(nsh.at, usize::from(nsh.len))
    }

    /// The header that it pushes.
    pub fn nsh_header(&self, nsh: &PushNsh) -> &[u8] {
        let at = nsh.at.wrapping_add(u32::from(nsh.len));
        self.bytes(at, usize::from(nsh.header_len))
    }

    /// USERDATA of a USERSPACE action.
    pub fn userdata(&self, u: &Userspace) -> Option<&[u8]> {
        if u.data_at == 0 {
            return None;
        }
        let at = u.arg_at().wrapping_add(u32::from(u.data_at));
        Some(self.bytes(at, usize::from(u.data_len)))
    }
}
