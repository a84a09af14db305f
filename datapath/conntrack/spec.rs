// SPDX-License-Identifier: GPL-2.0
//! What a CT action says (spec 4.5).
//!
//! C counterpart: `struct ovs_conntrack_info` in `net/openvswitch/conntrack.c`, without its references.

use core::ffi::CStr;

/// Bytes of a helper's name, NUL included (`NF_CT_HELPER_NAME_LEN`).
pub const HELPER_NAME: usize = 16;
/// Bytes of a timeout policy's name, NUL included (`CTNL_TIMEOUT_NAME_MAX`).
pub const TIMEOUT_NAME: usize = 32;

/// Whether the connection is entered into the tracker's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commit {
    #[default]
    No,
    Yes,
    /// And in this packet's direction, whatever there was before.
    Force,
}

/// A masked write to the connection's mark. The value counts whole, even what is outside of the mask, as in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub value: u32,
    /// Not zero.
    pub mask: u32,
}

/// A masked write to the connection's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    pub value: [u8; 16],
    /// Not zero.
    pub mask: [u8; 16],
}

/// Which addresses are rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manip {
    Src,
    Dst,
}

/// Address translation (spec C3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// `None`: only as the connection already says.
    pub manip: Option<Manip>,
    pub addrs: Option<AddrRange>,
    pub ports: Option<PortRange>,
    /// The same address for all connections of a host.
    pub persistent: bool,
    /// Ports by hash.
    pub hash: bool,
    /// Ports by chance.
    pub random: bool,
}

/// Both ends included; IPv4 in the first four bytes, the others zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddrRange {
    pub min: [u8; 16],
    pub max: [u8; 16],
}

/// Both ends included, host order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortRange {
    pub min: u16,
    pub max: u16,
}

/// A NUL-terminated name of at most `N` bytes, NUL included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<const N: usize>([u8; N]);

impl<const N: usize> Name<N> {
    /// Up to the first NUL in `text`; `None` without one, or if there is too much before it.
    pub fn new(text: &[u8]) -> Option<Self> {
        let name = CStr::from_bytes_until_nul(text).ok()?.to_bytes_with_nul();
        let mut bytes = [0; N];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self(bytes))
    }

    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }

    pub fn is_empty(&self) -> bool {
        self.as_c_str().is_empty()
    }

    /// Bytes of the name, NUL included.
    pub fn len_with_nul(&self) -> usize {
        self.as_c_str().to_bytes_with_nul().len()
    }
}

/// A CT action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Otherwise IPv4: the flow's packets (spec C1).
    pub ipv6: bool,
    /// IP protocol of the flow's packets, if it matches that.
    pub proto: u8,
    pub commit: Commit,
    pub zone: u16,
    pub mark: Option<Mark>,
    pub labels: Option<Labels>,
    /// Bits `1 << IPCT_*`.
    pub event_mask: Option<u32>,
    pub helper: Option<Name<HELPER_NAME>>,
    /// Never empty.
    pub timeout: Option<Name<TIMEOUT_NAME>>,
    pub nat: Option<Nat>,
}

impl Spec {
    /// An action that only tracks, in zone 0.
    pub fn new(ipv6: bool, proto: u8) -> Self {
        Self {
            ipv6,
            proto,
            commit: Commit::No,
            zone: 0,
            mark: None,
            labels: None,
            event_mask: None,
            helper: None,
            timeout: None,
            nat: None,
        }
    }

    pub fn commits(&self) -> bool {
        self.commit != Commit::No
    }

    pub fn forces(&self) -> bool {
        self.commit == Commit::Force
    }
}
