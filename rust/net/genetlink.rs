// SPDX-License-Identifier: GPL-2.0
//! Generic netlink: message buffers and their ways to userspace.
//!
//! C counterpart: `include/net/genetlink.h`.

use crate::rust::bindings;
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::MaySleep;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::slice;
use kernel::error::code::ENOMEM;
use kernel::error::{to_result, Error, Result};

/// Bytes of an attribute header.
const NLA_HDRLEN: u32 = 4;

/// A message under construction, linear until [`Message::append_packet`].
///
/// # Invariants
///
/// Points to an `sk_buff` that nobody else knows, with at least `room` bytes of memory after its data.
pub struct Message {
    skb: NonNull<bindings::sk_buff>,
    room: u32,
}

impl Message {
    /// With room for `size` bytes.
    pub fn with_room(size: usize, _ctx: &impl MaySleep) -> Result<Self> {
        Self::alloc(size, 0, false)
    }

    /// With room for `size` bytes, and `extra` more that only appending uses. Any context.
    pub fn with_room_atomic(size: usize, extra: usize) -> Result<Self> {
        Self::alloc(size, extra, true)
    }

    fn alloc(size: usize, extra: usize, atomic: bool) -> Result<Self> {
        let room = u32::try_from(size).map_err(|_| ENOMEM)?;
        let all = u32::try_from(size.saturating_add(extra)).map_err(|_| ENOMEM)?;
        // SAFETY: any size may be asked for.
        let skb = NonNull::new(unsafe { bindings::rust_helper_nlmsg_alloc(all, atomic) });
        // INVARIANT: just allocated with that tailroom.
        Ok(Self {
            skb: skb.ok_or(ENOMEM)?,
            room,
        })
    }

    /// All of the room, whatever part of it is in use.
    pub fn room(&mut self) -> &mut [u8] {
        // SAFETY: by the invariant. Memory that C allocated has some value in every byte.
        unsafe { slice::from_raw_parts_mut((*self.skb.as_ptr()).data, self.room as usize) }
    }

    /// The first `len` bytes are the message; capped to the room.
    pub fn set_len(&mut self, len: usize) {
        let len = len.min(self.room as usize) as u32; // CAST: at most `room`
                                                      // SAFETY: exclusively owned and linear; stays within the room.
        unsafe {
            let skb = self.skb.as_ptr();
            (*skb).tail = (*skb).tail.wrapping_sub((*skb).len).wrapping_add(len);
            (*skb).len = len;
        }
    }

    /// Appends an attribute with the first `len` bytes of `pkt`, of which `linear` are copied and the rest shared, pads
    /// it with zeros if `pad`, and writes the final length into the message's header. Pages of `pkt` that its sender
    /// still owns are replaced by copies.
    pub fn append_packet(
        &mut self,
        attr: u16,
        pkt: &mut SkBuff,
        len: usize,
        linear: usize,
        pad: bool,
    ) -> Result {
        let nla_len = u16::try_from(len.saturating_add(NLA_HDRLEN as usize))
            .map_err(|_| kernel::error::code::EFBIG)?;
        let skb = self.skb.as_ptr();
        // SAFETY: exclusively owned. `append_size` made room for the header, `linear` bytes and padding; the kernel
        // copies no more than `linear` bytes and shares pages of `pkt`, which is valid and may be empty.
        unsafe {
            if (bindings::rust_helper_skb_tailroom(skb) as usize) < append_size(linear) {
                return Err(kernel::error::code::EMSGSIZE);
            }
            let [l0, l1] = nla_len.to_ne_bytes();
            let [t0, t1] = attr.to_ne_bytes();
            bindings::skb_put(skb, NLA_HDRLEN)
                .cast::<[u8; 4]>()
                .write([l0, l1, t0, t1]);
            // CAST: `len` has at most 16 bits, `linear` is not larger.
            to_result(bindings::rust_helper_skb_append(
                skb,
                pkt.as_ptr(),
                len as u32,
                linear as u32,
            ))?;
            if pad {
                let n = (*skb).len.wrapping_neg() & 3;
                bindings::skb_put(skb, n)
                    .cast::<u8>()
                    .write_bytes(0, n as usize);
            }
            (*skb).data.cast::<u32>().write_unaligned((*skb).len);
        }
        Ok(())
    }

    fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).skb.as_ptr()
    }

    /// To one port of `net`.
    pub fn unicast(self, net: NetRef<'_>, portid: u32) -> Result {
        // SAFETY: ownership goes to the kernel; the namespace is there.
        to_result(unsafe {
            bindings::rust_helper_genlmsg_unicast(net.as_ptr(), self.into_raw(), portid)
        })
    }
}

/// Room that [`Message::append_packet`] needs for `linear` copied bytes.
pub fn append_size(linear: usize) -> usize {
    (NLA_HDRLEN as usize).saturating_add(linear.saturating_add(3) & !3)
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: owned by the invariant.
        unsafe { bindings::consume_skb(self.skb.as_ptr()) };
    }
}

/// A registered family.
///
/// # Invariants
///
/// Points to a family that is registered while the value is used.
#[derive(Clone, Copy)]
pub struct Family(*const bindings::genl_family);

impl Family {
    /// Wraps C's pointer.
    ///
    /// # Safety
    ///
    /// A family that stays registered while the value is used.
    pub unsafe fn from_raw(family: *const bindings::genl_family) -> Self {
        // INVARIANT: the caller promises it.
        Self(family)
    }

    /// Number for `nlmsg_type`.
    pub fn id(&self) -> u16 {
        // SAFETY: valid by the invariant. CAST: ids are below 1024.
        unsafe { (*self.0).id as u16 }
    }

    /// True if somebody listens to its first group.
    pub fn has_listeners(&self, net: NetRef<'_>) -> bool {
        // SAFETY: family and namespace are there.
        unsafe { bindings::rust_helper_family_has_listeners(self.0, net.as_ptr()) }
    }

    /// To its first group.
    pub fn multicast(&self, net: NetRef<'_>, msg: Message, _ctx: &impl MaySleep) {
        // SAFETY: family and namespace are there; ownership goes to the kernel. Nobody listening is no error.
        unsafe {
            bindings::rust_helper_genlmsg_multicast_netns(self.0, net.as_ptr(), msg.into_raw())
        };
    }

    /// Tells the group's listeners that a message was lost.
    pub fn multicast_error(&self, net: NetRef<'_>, err: Error) {
        // SAFETY: family and namespace are there.
        unsafe { bindings::rust_helper_genl_set_err(self.0, net.as_ptr(), err.to_errno()) };
    }

    /// To its first group without the requester, and to the requester if it asked for an echo (spec N9).
    ///
    /// # Safety
    ///
    /// `info` is the request being handled.
    pub unsafe fn notify(&self, info: *mut bindings::genl_info, msg: Message) {
        // SAFETY: family is alive, `info` by the caller; ownership of the message goes to the kernel.
        unsafe { bindings::genl_notify(self.0, msg.into_raw(), info, 0, bindings::GFP_KERNEL) };
    }
}

/// To the requester.
///
/// # Safety
///
/// `info` is the request being handled.
pub unsafe fn reply(info: *mut bindings::genl_info, msg: Message) -> Result {
    // SAFETY: `info` by the caller; ownership of the message goes to the kernel.
    to_result(unsafe { bindings::rust_helper_genlmsg_reply(msg.into_raw(), info) })
}
