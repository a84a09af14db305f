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
use kernel::error::code::{EFBIG, ENOMEM};
use kernel::error::{to_result, Error, Result};

/// Bytes of an attribute header.
const NLA_HDRLEN: u32 = 4;

/// A message under construction, linear.
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

    /// With room for `size` bytes, and memory for `extra` more after it.
    fn alloc(size: usize, extra: usize, atomic: bool) -> Result<Self> {
        let all = u32::try_from(size.saturating_add(extra)).map_err(|_| ENOMEM)?;
        // SAFETY: any size may be asked for.
        let skb = NonNull::new(unsafe { bindings::rust_helper_nlmsg_alloc(all, atomic) });
        // INVARIANT: just allocated with that tailroom.
        Ok(Self {
            skb: skb.ok_or(ENOMEM)?,
            room: size as u32, // CAST: no more than `all`
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
                                                      // SAFETY: stays within the room.
        unsafe { self.resize(len) }
    }

    /// The first `len` bytes are the message.
    ///
    /// # Safety
    ///
    /// There is memory for so many.
    #[inline(always)]
    unsafe fn resize(&mut self, len: u32) {
        let skb = self.skb.as_ptr();
        // SAFETY: exclusively owned and linear; the rest by the caller.
        unsafe {
            (*skb).tail = (*skb).tail.wrapping_sub((*skb).len).wrapping_add(len);
            (*skb).len = len;
        }
    }

    fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).skb.as_ptr()
    }

    /// To one port of `net`.
    fn unicast(self, net: NetRef<'_>, portid: u32) -> Result {
        // SAFETY: ownership goes to the kernel; the namespace is there.
        to_result(unsafe {
            bindings::rust_helper_genlmsg_unicast(net.as_ptr(), self.into_raw(), portid)
        })
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: owned by the invariant.
        unsafe { bindings::consume_skb(self.skb.as_ptr()) };
    }
}

/// A message under construction that ends with a packet.
///
/// # Invariants
///
/// After the message's room there is memory for an attribute's header, `linear` bytes and padding.
pub struct PacketMessage {
    msg: Message,
    linear: u32,
}

impl PacketMessage {
    /// With room for `size` bytes before a packet, of which `linear` bytes will be copied. Any context.
    pub fn new(size: usize, linear: usize) -> Result<Self> {
        let extra = (NLA_HDRLEN as usize).saturating_add(linear.saturating_add(3) & !3);
        // INVARIANT: that is the memory there is.
        Ok(Self {
            msg: Message::alloc(size, extra, true)?,
            linear: linear as u32, // CAST: what was allocated is longer
        })
    }

    /// The room before the packet.
    pub fn room(&mut self) -> &mut [u8] {
        self.msg.room()
    }

    /// Sends `used` bytes of the room and an attribute with the first `len` bytes of `pkt` to a port of `net`. What is not
    /// copied of the packet is shared, but for pages that its sender still owns. Otherwise `pad` pads the attribute with
    /// zeros. The final length goes into the message's header.
    #[inline(always)]
    pub fn send(
        mut self,
        used: usize,
        attr: u16,
        (pkt, len): (&mut SkBuff, usize),
        pad: bool,
        net: NetRef<'_>,
        portid: u32,
    ) -> Result {
        let nla_len = u16::try_from(len.saturating_add(NLA_HDRLEN as usize)).map_err(|_| EFBIG)?;
        let used = used.min(self.msg.room as usize);
        let ([l0, l1], [t0, t1]) = (nla_len.to_ne_bytes(), attr.to_ne_bytes());
        let skb = self.msg.skb.as_ptr();
        // SAFETY: exclusively owned. By the invariants there is memory for the header, for `linear` bytes, which is what the
        // kernel copies at most, and for padding. It shares pages of `pkt`, which is valid and may be empty.
        unsafe {
            let header = (*skb).data.add(used).cast::<[u8; 4]>();
            header.write([l0, l1, t0, t1]);
            self.msg.resize((used as u32).wrapping_add(NLA_HDRLEN)); // CAST: at most `room`
                                                                     // CAST: 16 bits
            let (from, len) = (pkt.as_ptr(), len as u32);
            to_result(bindings::rust_helper_skb_append(
                skb,
                from,
                len,
                self.linear,
            ))?;
            if pad && (*skb).data_len == 0 {
                self.pad();
            }
            (*skb).data.cast::<u32>().write_unaligned((*skb).len);
        }
        self.msg.unicast(net, portid)
    }

    /// Zeros up to a multiple of 4.
    ///
    /// # Safety
    ///
    /// The message is linear, and has no more than header and packet after its room.
    #[inline(always)]
    unsafe fn pad(&mut self) {
        let skb = self.msg.skb.as_ptr();
        // SAFETY: exclusively owned; by the invariant there is memory for padding.
        unsafe {
            let mut len = (*skb).len;
            if len & 3 == 0 {
                return;
            }
            while len & 3 != 0 {
                (*skb).data.add(len as usize).write(0);
                len = len.wrapping_add(1);
            }
            self.msg.resize(len);
        }
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
