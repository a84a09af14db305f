// SPDX-License-Identifier: GPL-2.0
//! Bytes to typed requests, typed replies to bytes. Pure: no state, no lock, no allocation but for what is parsed.

pub mod actions;
pub mod attr;
pub mod dp;
pub mod flow;
pub mod key;
pub mod packet;
pub mod policy;
pub mod vport;
pub mod writer;

use crate::datapath::env::{DeviceName, Net};
use attr::Attr;

/// Slots for top-level attributes, enough for every family (`OVS_PACKET_ATTR_UPCALL_PID` = 12 is the largest).
pub const TOP_SLOTS: usize = 13;

/// A request's top-level attributes by type, after liberal policy validation (spec N5).
#[derive(Clone, Copy, Debug, Default)]
pub struct TopAttrs<'a>(pub [Option<Attr<'a>>; TOP_SLOTS]);

impl<'a> TopAttrs<'a> {
    pub fn get(&self, ty: u16) -> Option<Attr<'a>> {
        self.0.get(usize::from(ty)).copied().flatten()
    }
}

/// A generic netlink request, permission already checked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Namespace of the requesting socket.
    pub net: &'a Net,
    pub cmd: u8,
    /// `genlmsghdr.version` (spec D3).
    pub version: u8,
    /// `ovs_header.dp_ifindex`
    pub dp_ifindex: i32,
    pub attrs: TopAttrs<'a>,
    /// Netlink port and sequence number of the requester, echoed in replies.
    pub portid: u32,
    pub seq: u32,
    /// `nlmsg_flags`
    pub flags: u16,
}

/// A name from a string attribute, cut at its NUL and at 15 bytes.
fn device_name(attr: &Attr<'_>) -> DeviceName {
    let mut name = [0; 16];
    let text = attr.payload().iter().take(15).take_while(|&&b| b != 0);
    for (dst, src) in name.iter_mut().zip(text) {
        *dst = *src;
    }
    name
}

/// `NLM_F_*` bits of [`Request::flags`] and of replies.
pub mod nlm {
    pub const MULTI: u16 = 0x2;
    pub const ECHO: u16 = 0x8;
    pub const EXCL: u16 = 0x200;
    pub const CREATE: u16 = 0x400;
}
