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

pub use super::action::{
    Action, Body, CheckPktLen, Field, HashAlg, Psample, PushNsh, PushVlan, TosTtl, Userspace,
};
use crate::datapath::conntrack::action::CtAction;
use crate::datapath::env::TxTunnel;
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

/// Not a port: no OUTPUT has it (spec A27).
const NO_PORT: u16 = u16::MAX;

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

    /// That output's port; no port if the list is not straight.
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
        // Longer ones run as any list.
        let n = u8::try_from(before.len()).unwrap_or(0);
        if n != 0 && before.iter().all(Action::passes_on) {
            (self.before_output, self.last_port) = (n, port);
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
            last_port: NO_PORT,
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
