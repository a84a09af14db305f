// SPDX-License-Identifier: GPL-2.0
//! Bytes to typed requests, typed replies to bytes. Pure: no state, no lock, no allocation but for what is parsed.

pub mod actions;
pub mod attr;
pub mod ct;
pub mod ct_limit;
pub mod dp;
pub mod flow;
pub mod key;
pub mod meter;
pub mod packet;
pub mod policy;
pub mod vport;
pub mod writer;

use crate::datapath::env::{DeviceName, Net};
use crate::datapath::error::{NlError, NlResult};
use crate::rust::sync::ProcessContext;
use attr::Attr;
use kernel::error::code::EINVAL;
use writer::MSG_HDRLEN;

/// Slots for top-level attributes, enough for every family (`OVS_PACKET_ATTR_UPCALL_PID` = 12 is the largest).
pub const TOP_SLOTS: usize = 13;

/// A request's top-level attributes by type. Only [`policy::validate`] fills them in, so what a length or a range must be
/// holds on every kernel, whatever it checks by itself (spec N5). Too large to be moved: filled where they stay.
#[derive(Debug)]
pub struct TopAttrs<'a>([Option<Attr<'a>>; TOP_SLOTS]);

impl<'a> TopAttrs<'a> {
    /// No attributes.
    #[inline(always)]
    pub fn empty() -> Self {
        Self([None; TOP_SLOTS])
    }

    pub fn get(&self, ty: u16) -> Option<Attr<'a>> {
        self.0.get(usize::from(ty)).copied().flatten()
    }
}

/// Parts a message, which begins with its `nlmsghdr`: `ovs_header.dp_ifindex`, and the bytes of its attributes.
/// EINVAL if it ends before them.
pub fn split_message(message: &[u8]) -> NlResult<(i32, &[u8])> {
    let Some((headers, attrs)) = message.split_first_chunk::<MSG_HDRLEN>() else {
        return Err(NlError::new(EINVAL, c"Message shorter than its headers"));
    };
    let [.., d0, d1, d2, d3] = *headers;
    Ok((i32::from_ne_bytes([d0, d1, d2, d3]), attrs))
}

/// A generic netlink request, permission already checked.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Requests come in process context.
    pub ctx: &'a ProcessContext,
    /// Namespace of the requesting socket.
    pub net: &'a Net,
    pub cmd: u8,
    /// `genlmsghdr.version` (spec D3).
    pub version: u8,
    /// `ovs_header.dp_ifindex`
    pub dp_ifindex: i32,
    pub attrs: &'a TopAttrs<'a>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_parted_after_their_headers() {
        let whole: Vec<u8> = (0..28).collect();
        let (dp_ifindex, attrs) = split_message(&whole).unwrap();
        assert_eq!(dp_ifindex.to_ne_bytes(), [20, 21, 22, 23]);
        assert_eq!(attrs, [24, 25, 26, 27]);
        assert_eq!(split_message(&whole[..24]).unwrap().1, []);
        for short in 0..24 {
            let e = split_message(&whole[..short]).unwrap_err();
            assert_eq!(e.errno, EINVAL);
        }
    }
}
