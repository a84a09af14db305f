// SPDX-License-Identifier: GPL-2.0
//! One action of a compiled list: its kind, and the arguments that fit into it.
//!
//! C counterpart: none; C keeps the netlink attribute.

use crate::datapath::abi::key_attr;
use crate::datapath::env::VlanTag;
use crate::datapath::flow::key::VLAN_CFI;
use crate::datapath::wire::be::Be16;

/// One action. Its kind is the first byte, so that packets find it by one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    // What only changes the packet and its key, those first that need few comparisons most.
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
    pub(super) fn arg_at(&self) -> u32 {
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
    fn is_edit(&self) -> bool {
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
    pub(super) fn passes_on(&self) -> bool {
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
