// SPDX-License-Identifier: GPL-2.0
//! The two kinds of failure, which never mix: a packet is dropped for a [`DropReason`], a request is
//! refused with an [`NlError`]. There is deliberately no conversion between them.

use kernel::alloc::AllocError;
use kernel::error::code::ENOMEM;
use kernel::error::Error;
use kernel::str::CStr;

/// Why a packet was dropped (spec X1, X2).
///
/// The first eleven are Open vSwitch's own subsystem list, in the order of `enum ovs_drop_reason`;
/// their discriminants are the indices 1..=11. The others map to core `SKB_DROP_REASON_*` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    LastAction = 1,
    ActionError = 2,
    Explicit = 3,
    ExplicitWithError = 4,
    Meter = 5,
    RecursionLimit = 6,
    DeferredLimit = 7,
    FragL2TooLong = 8,
    FragInvalidProto = 9,
    Conntrack = 10,
    IpTtl = 11,
    /// `SKB_DROP_REASON_NOMEM`
    NoMem = 128,
    /// `SKB_DROP_REASON_PKT_TOO_BIG`
    PktTooBig = 129,
    /// `SKB_DROP_REASON_DEV_READY`
    DevReady = 130,
    /// `SKB_DROP_REASON_NOT_SPECIFIED`
    NotSpecified = 131,
}

/// Why a netlink request was refused: the errno of the acknowledgement and the text of its extended ack.
#[derive(Clone, Copy, Debug)]
pub struct NlError {
    /// The errno (spec sections 1 and 4 say which).
    pub errno: Error,
    /// Text for `NLMSGERR_ATTR_MSG`.
    pub msg: Option<&'static CStr>,
    /// Address of the offending attribute's header inside the request, for `NLMSGERR_ATTR_OFFS`.
    pub attr: Option<usize>,
}

/// Result on the request side.
pub type NlResult<T = ()> = core::result::Result<T, NlError>;

impl NlError {
    /// A refusal with a text.
    #[cold]
    pub fn new(errno: Error, msg: &'static CStr) -> Self {
        Self {
            errno,
            msg: Some(msg),
            attr: None,
        }
    }

    /// The same, pointing at the attribute whose bytes (header included) are `attr`.
    #[cold]
    pub fn at(errno: Error, msg: &'static CStr, attr: &[u8]) -> Self {
        Self {
            errno,
            msg: Some(msg),
            attr: Some(attr.as_ptr() as usize),
        }
    }
}

impl From<Error> for NlError {
    fn from(errno: Error) -> Self {
        Self {
            errno,
            msg: None,
            attr: None,
        }
    }
}

impl From<AllocError> for NlError {
    fn from(_: AllocError) -> Self {
        Self {
            errno: ENOMEM,
            msg: None,
            attr: None,
        }
    }
}
