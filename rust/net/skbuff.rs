// SPDX-License-Identifier: GPL-2.0
//! Packets.
//!
//! The fields that every packet touches are read and written in place; only what allocates, frees or walks
//! pages calls the kernel.
//!
//! C counterpart: `include/linux/skbuff.h`.

use crate::rust::bindings;
use crate::rust::net::netdev::NetDevice;
use crate::rust::net::netns::NetRef;
use crate::rust::sync::MaySleep;
use core::ffi::{c_int, c_void};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicI32, Ordering};
use kernel::error::code::{EINVAL, EMSGSIZE};
use kernel::error::{to_result, Error, Result};

/// `CHECKSUM_*`
pub mod checksum {
    #![allow(missing_docs)]
    pub const UNNECESSARY: u8 = 1;
    pub const COMPLETE: u8 = 2;
    pub const PARTIAL: u8 = 3;
}

/// A bit of `skb_shinfo(skb)->gso_type`.
const SKB_GSO_UDP: u32 = bindings::ovs_gso_GSO_UDP;

/// The bit of `vlan_tci` that says that there is a tag; 0 on kernels that say it otherwise. CAST: one of 16 bits.
const VLAN_PRESENT: u16 = bindings::ovs_vlan_VLAN_PRESENT_BIT as u16;

/// A packet.
///
/// # Invariants
///
/// Points to an `sk_buff` whose only owner is this value: nobody else reads or writes the structure (its bytes may
/// be shared with clones). `data` stands at or after `head`, and `len - data_len` bytes after `data` are linear. `dev` is
/// null or a device that stays as long as the packet has it: whoever handles the packet is in a read section in which the
/// device was there.
#[repr(transparent)]
pub struct SkBuff(NonNull<bindings::sk_buff>);

// SAFETY: an owned packet may be handled by any thread, as the kernel does all the time.
unsafe impl Send for SkBuff {}

/// The fields that clones inherit, bitfields included.
type Headers = bindings::ovs_skb_headers;

/// The [`Headers`] of a packet.
///
/// # Safety
///
/// `skb` is valid.
#[inline(always)]
unsafe fn headers(skb: *mut bindings::sk_buff) -> *mut Headers {
    // SAFETY: C's offsetof() places them inside the structure.
    unsafe {
        skb.byte_add(bindings::ovs_skb_offset_SKB_OFFSET_headers as usize)
            .cast()
    }
}

/// `skb->pkt_type` of a packet that others may hold references on.
///
/// # Safety
///
/// `skb` is valid.
#[inline(always)]
pub unsafe fn pkt_type(skb: NonNull<bindings::sk_buff>) -> u8 {
    // SAFETY: by the caller; nobody writes to a packet that is shared.
    unsafe { Headers::pkt_type_raw(headers(skb.as_ptr())) }
}

// Fields are read and written in place. No reference to the structure is made: its reference count, which others
// change, lies in it too.

/// Reads a field.
macro_rules! get {
    ($self:ident.headers.$field:ident) => {
        // SAFETY: valid by the invariant of SkBuff, and nobody else writes it.
        unsafe { (*headers($self.as_ptr())).$field }
    };
    ($self:ident.$field:ident) => {
        // SAFETY: as above.
        unsafe { (*$self.as_ptr()).$field }
    };
}

/// Writes a field.
macro_rules! set {
    ($self:ident.headers.$field:ident = $value:expr) => {{
        let value = $value;
        let this: &mut SkBuff = $self;
        // SAFETY: valid and exclusively owned by the invariant of SkBuff.
        unsafe { (*headers(this.as_ptr())).$field = value }
    }};
    ($self:ident.$field:ident = $value:expr) => {{
        let value = $value;
        let this: &mut SkBuff = $self;
        // SAFETY: as above.
        unsafe { (*this.as_ptr()).$field = value }
    }};
}

impl SkBuff {
    /// Takes a packet over from C.
    ///
    /// # Safety
    ///
    /// `skb` is valid, not shared, and the caller gives its reference away.
    #[inline(always)]
    pub unsafe fn from_raw(skb: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: the caller promises it.
        Self(skb)
    }

    /// Takes over a packet on which others may hold references: then a clone, and `None` if there is no memory for it.
    ///
    /// # Safety
    ///
    /// `skb` is valid, and the caller gives its reference away.
    #[inline(always)]
    pub unsafe fn from_shared(skb: NonNull<bindings::sk_buff>) -> Option<Self> {
        // SAFETY: by the caller. C's counter is an atomic integer for us, too.
        let users = unsafe { AtomicI32::from_ptr(&raw mut (*skb.as_ptr()).users.refs.counter) };
        if users.load(Ordering::Relaxed) == 1 {
            // INVARIANT: the only reference is the caller's.
            return Some(Self(skb));
        }
        // SAFETY: by the caller.
        let skb = unsafe { bindings::rust_helper_skb_share_check(skb.as_ptr()) };
        // INVARIANT: a clone that nobody else knows.
        NonNull::new(skb).map(Self)
    }

    /// Gives the packet to C.
    #[inline(always)]
    pub fn into_raw(self) -> *mut bindings::sk_buff {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// The C pointer, for calls that do not keep it.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.as_ptr()
    }

    /// A field inside an anonymous union, at `offset`, one of `ovs_skb_offset`.
    #[inline(always)]
    fn field<T: Copy>(&self, offset: bindings::ovs_skb_offset) -> T {
        // SAFETY: C's offsetof() places a field of this type inside the structure.
        unsafe { self.0.as_ptr().byte_add(offset as usize).cast::<T>().read() }
    }

    #[inline(always)]
    fn set_field<T: Copy>(&mut self, offset: bindings::ovs_skb_offset, v: T) {
        // SAFETY: as in `field`; exclusively owned by the invariant.
        unsafe {
            self.0
                .as_ptr()
                .byte_add(offset as usize)
                .cast::<T>()
                .write(v)
        }
    }

    /// Total length in bytes.
    #[inline(always)]
    #[allow(
        clippy::len_without_is_empty,
        reason = "an empty packet is no special case"
    )]
    pub fn len(&self) -> usize {
        get!(self.len) as usize
    }

    /// Bytes that are linear.
    #[inline(always)]
    pub fn headlen(&self) -> usize {
        get!(self.len).wrapping_sub(get!(self.data_len)) as usize
    }

    /// The linear part.
    #[inline(always)]
    pub fn linear(&self) -> &[u8] {
        let (data, len) = (get!(self.data), self.headlen());
        // SAFETY: by the invariant; the borrow keeps everything that could move the bytes away.
        unsafe { slice::from_raw_parts(data, len) }
    }

    /// Makes the first `n` bytes linear; false if the packet is shorter or memory ran out.
    #[inline]
    pub fn pull_tail(&mut self, n: usize) -> bool {
        let have = self.headlen();
        if n <= have {
            return true;
        }
        if n > self.len() {
            return false;
        }
        // SAFETY: valid by the invariant; at most `data_len` bytes are asked for.
        // CAST: less than `len`, which is 32 bits wide.
        !unsafe { bindings::__pskb_pull_tail(self.as_ptr(), n.wrapping_sub(have) as c_int) }
            .is_null()
    }

    /// `skb_ensure_writable`: the first `n` bytes, for writing. Only they are sure not to be shared with a clone.
    #[allow(clippy::as_underscore)] // `int` or `unsigned int`, by the kernel's age
    pub fn ensure_writable(&mut self, n: usize) -> Result<&mut [u8]> {
        let len = u32::try_from(n)?;
        // SAFETY: valid and owned by the invariant.
        to_result(unsafe { bindings::skb_ensure_writable(self.as_ptr(), len as _) })?;
        let data = get!(self.data);
        // SAFETY: these bytes are linear now and nobody else's; the borrow keeps all that could move or share them away.
        Ok(unsafe { slice::from_raw_parts_mut(data, n) })
    }

    /// `N` bytes at `off`, for writing; private to this packet, with all that is before them. EINVAL, ENOMEM.
    #[inline(always)]
    pub fn writable<const N: usize>(&mut self, off: usize) -> Result<&mut [u8; N]> {
        const { assert!(N < 1 << 16) };
        let end = off.checked_add(N);
        if !end.is_some_and(|end| end <= self.headlen() && !self.has_clones()) {
            self.make_writable(off, N)?;
        }
        let data = get!(self.data);
        // SAFETY: so many bytes are linear now and nobody else's, these N are the last of them; the borrow keeps all that could
        // move or share them away.
        Ok(unsafe { &mut *data.add(off).cast() })
    }

    /// [`Self::writable`] where something is to be done for it.
    #[cold]
    #[inline(never)]
    #[allow(clippy::as_underscore)] // `int` or `unsigned int`, by the kernel's age
    fn make_writable(&mut self, off: usize, n: usize) -> Result {
        if off >> 31 != 0 {
            return Err(EINVAL);
        }
        let end = off.wrapping_add(n) as u32; // CAST: just checked, and `n` has 16 bits
                                              // SAFETY: valid and owned by the invariant.
        to_result(unsafe { bindings::skb_ensure_writable(self.as_ptr(), end as _) })
    }

    /// Whether clones may share the packet's bytes. Without, all that is linear may be written to.
    #[inline(always)]
    fn has_clones(&self) -> bool {
        // SAFETY: valid by the invariant.
        unsafe { bindings::sk_buff::cloned_raw(self.as_ptr()) != 0 }
    }

    /// `pskb_trim`
    pub fn trim(&mut self, len: usize) -> Result {
        if len >= self.len() {
            return Ok(());
        }
        // SAFETY: valid and owned by the invariant. CAST: less than `len`.
        let done = unsafe { bindings::rust_helper_pskb_trim(self.as_ptr(), len as u32) };
        self.was_cut(done)
    }

    /// The end of what takes bytes away.
    #[inline(always)]
    fn was_cut(&mut self, done: c_int) -> Result {
        to_result(done)?;
        self.forget_sum();
        Ok(())
    }

    /// A device is no longer asked for a sum over bytes, or into bytes, that are gone. A sender may ask for any
    /// (`virtio_net_hdr`).
    #[inline(always)]
    fn forget_sum(&mut self) {
        if self.summed() == checksum::PARTIAL {
            // SAFETY: valid and owned by the invariant; asked for a sum.
            unsafe { bindings::rust_helper_skb_forget_sum(self.as_ptr()) };
        }
    }

    /// The beginning of what puts `n` bytes in front. EMSGSIZE where the marks, which have 16 bits, could no longer tell.
    fn may_grow(&self, n: usize) -> Result {
        // SAFETY: valid by the invariant; only reads. CAST: a header's length.
        match unsafe { bindings::rust_helper_skb_may_grow(self.as_ptr(), n as u32) } {
            true => Ok(()),
            false => Err(EMSGSIZE),
        }
    }

    /// `skb_push_rcsum`: moves the data pointer back by `n` bytes; false if there is no such headroom.
    #[inline(always)]
    pub fn push_rcsum(&mut self, n: usize) -> bool {
        if self.data_offset() < n {
            return false;
        }
        if self.summed() == checksum::COMPLETE {
            // SAFETY: valid and owned by the invariant; headroom was checked.
            unsafe { bindings::rust_helper_skb_push_rcsum(self.as_ptr(), n as u32) };
        } else {
            let data = get!(self.data);
            // SAFETY: `head` is at least `n` bytes before, as just checked.
            set!(self.data = unsafe { data.sub(n) });
            set!(self.len = get!(self.len).wrapping_add(n as u32));
        }
        true
    }

    /// `skb_pull_rcsum`: moves the data pointer past `n` bytes; false if they are not linear.
    #[inline]
    pub fn pull_rcsum(&mut self, n: usize) -> bool {
        if self.headlen() < n {
            return false;
        }
        if self.summed() == checksum::COMPLETE {
            // SAFETY: valid and owned by the invariant; the bytes are there. CAST: at most `len`.
            unsafe { bindings::skb_pull_rcsum(self.as_ptr(), n as u32) };
        } else {
            let data = get!(self.data);
            // SAFETY: within the linear part, as just checked.
            set!(self.data = unsafe { data.add(n) });
            // CAST: at most `len`.
            set!(self.len = get!(self.len).wrapping_sub(n as u32));
            self.forget_sum();
        }
        true
    }

    /// `pskb_trim_rcsum`
    pub fn trim_rcsum(&mut self, len: usize) -> Result {
        if len >= self.len() {
            return Ok(());
        }
        // SAFETY: valid and owned by the invariant. CAST: less than `len`.
        let done = unsafe { bindings::rust_helper_pskb_trim_rcsum(self.as_ptr(), len as u32) };
        self.was_cut(done)
    }

    /// Distance of `data` from `head`, to which header marks are relative.
    #[inline(always)]
    fn data_offset(&self) -> usize {
        (get!(self.data) as usize).wrapping_sub(get!(self.head) as usize)
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn set_mac_header(&mut self, off: usize) {
        // CAST: as C does
        set!(self.headers.mac_header = self.data_offset().wrapping_add(off) as u16);
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn set_network_header(&mut self, off: usize) {
        // CAST: as C does
        set!(self.headers.network_header = self.data_offset().wrapping_add(off) as u16);
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn set_transport_header(&mut self, off: usize) {
        // CAST: as C does
        set!(self.headers.transport_header = self.data_offset().wrapping_add(off) as u16);
    }

    #[allow(missing_docs)]
    pub fn set_inner_network_header(&mut self, off: usize) {
        let to = self.data_offset().wrapping_add(off) as u16; // CAST: as C does
        self.set_field(bindings::ovs_skb_offset_SKB_OFFSET_inner_network_header, to);
    }

    /// Relative to the data pointer; wraps if before it.
    pub fn inner_network_offset(&self) -> usize {
        let at: u16 = self.field(bindings::ovs_skb_offset_SKB_OFFSET_inner_network_header);
        usize::from(at).wrapping_sub(self.data_offset())
    }

    /// `skb->inner_protocol`, host order.
    pub fn inner_protocol(&self) -> u16 {
        u16::from_be(self.field(bindings::ovs_skb_offset_SKB_OFFSET_inner_protocol))
    }

    /// A route, tunnel metadata among them, or a connection is attached, or what [`Self::tc_ext`] tells.
    #[inline(always)]
    pub fn has_state(&self) -> bool {
        let route: usize = self.field(bindings::ovs_skb_offset_SKB_OFFSET__skb_refdst);
        let conntrack: usize = self.field(bindings::ovs_skb_offset_SKB_OFFSET__nfct);
        route | conntrack != 0 || self.has_tc_ext()
    }

    #[cfg(HAVE_TC_SKB_EXT)]
    #[inline(always)]
    fn has_tc_ext(&self) -> bool {
        let active: u8 = self.field(bindings::ovs_skb_offset_SKB_OFFSET_active_extensions);
        u32::from(active) & bindings::ovs_tc_TC_EXTENSION != 0
    }

    #[cfg(not(HAVE_TC_SKB_EXT))]
    #[inline(always)]
    fn has_tc_ext(&self) -> bool {
        false
    }

    /// What tc's rules said of the packet, while somebody wants to know (`struct tc_skb_ext`).
    pub fn tc_ext(&self) -> Option<bindings::ovs_tc_ext> {
        if !self.has_tc_ext() {
            return None;
        }
        let mut ext = MaybeUninit::uninit();
        // SAFETY: valid by the invariant; all of `ext` is written if the answer is true.
        unsafe {
            bindings::rust_helper_tc_ext(self.as_ptr(), ext.as_mut_ptr()).then(|| ext.assume_init())
        }
    }

    /// The tunnel that the packet came with, and its options (spec K17).
    pub fn rx_tunnel(&self) -> Option<(bindings::ovs_tunnel, &[u8])> {
        let mut info = MaybeUninit::uninit();
        // SAFETY: valid by the invariant; all of `info` is written if the answer is true.
        let info = unsafe {
            if !bindings::rust_helper_skb_rx_tunnel(self.as_ptr(), info.as_mut_ptr()) {
                return None;
            }
            info.assume_init()
        };
        if info.options_len == 0 {
            return Some((info, &[]));
        }
        // SAFETY: so many bytes belong to the metadata, which the packet has a reference on. Nobody writes to metadata
        // of received packets, and taking it away takes the packet mutably.
        let options = unsafe { slice::from_raw_parts(info.options, usize::from(info.options_len)) };
        Some((info, options))
    }

    /// The tunnel that `dev` would send the packet through, and its options; `None` if it cannot say.
    pub fn tunnel_through(&mut self, dev: NetDevice<'_>) -> Option<(bindings::ovs_tunnel, &[u8])> {
        let mut info = MaybeUninit::uninit();
        // SAFETY: packet and device are valid; all of `info` is written if the answer is true.
        let info = unsafe {
            let (skb, dev) = (self.as_ptr(), dev.as_ptr());
            if !bindings::rust_helper_skb_egress_tunnel(skb, dev, info.as_mut_ptr()) {
                return None;
            }
            info.assume_init()
        };
        if info.options_len == 0 {
            return Some((info, &[]));
        }
        // SAFETY: as in `rx_tunnel`; the metadata is a copy that only this packet and its clones have.
        let options = unsafe { slice::from_raw_parts(info.options, usize::from(info.options_len)) };
        Some((info, options))
    }

    /// The packet is to be sent through this tunnel, instead of any route or tunnel that it had.
    pub fn set_tunnel(&mut self, tunnel: &TxTunnel) {
        // SAFETY: both are valid by their invariants; the packet gets a reference of its own.
        unsafe { bindings::rust_helper_skb_set_tunnel(self.as_ptr(), tunnel.0.as_ptr()) }
    }

    /// Relative to the data pointer; wraps if before it.
    #[inline(always)]
    pub fn network_offset(&self) -> usize {
        usize::from(get!(self.headers.network_header)).wrapping_sub(self.data_offset())
    }

    /// Relative to the data pointer; wraps if before it.
    #[inline(always)]
    pub fn transport_offset(&self) -> usize {
        usize::from(get!(self.headers.transport_header)).wrapping_sub(self.data_offset())
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn mac_len(&self) -> usize {
        usize::from(get!(self.mac_len))
    }

    /// `skb_reset_mac_len`
    #[inline(always)]
    pub fn reset_mac_len(&mut self) {
        let (network, mac) = (
            get!(self.headers.network_header),
            get!(self.headers.mac_header),
        );
        set!(self.mac_len = network.wrapping_sub(mac));
    }

    /// Host order.
    #[inline(always)]
    pub fn protocol(&self) -> u16 {
        u16::from_be(get!(self.headers.protocol))
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn set_protocol(&mut self, v: u16) {
        set!(self.headers.protocol = v.to_be());
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn priority(&self) -> u32 {
        get!(self.headers.priority)
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn set_priority(&mut self, v: u32) {
        set!(self.headers.priority = v);
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn mark(&self) -> u32 {
        self.field(bindings::ovs_skb_offset_SKB_OFFSET_mark)
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn set_mark(&mut self, v: u32) {
        self.set_field(bindings::ovs_skb_offset_SKB_OFFSET_mark, v);
    }

    /// Tag protocol and tag beside the data, host order.
    #[inline(always)]
    pub fn vlan_beside(&self) -> Option<(u16, u16)> {
        let proto: u16 = self.field(bindings::ovs_skb_offset_SKB_OFFSET_vlan_proto);
        let tci: u16 = self.field(bindings::ovs_skb_offset_SKB_OFFSET_vlan_tci);
        self.tag_is_present(proto, tci)
            .then_some((u16::from_be(proto), tci & !VLAN_PRESENT))
    }

    /// Whether `vlan_proto` and `vlan_tci` are a tag.
    #[cfg(HAVE_SKB_VLAN_PRESENT)]
    #[inline(always)]
    fn tag_is_present(&self, _proto: u16, _tci: u16) -> bool {
        // SAFETY: valid by the invariant.
        unsafe { Headers::vlan_present_raw(headers(self.as_ptr())) != 0 }
    }

    /// Whether `vlan_proto` and `vlan_tci` are a tag.
    #[cfg(HAVE_VLAN_TAG_PRESENT)]
    #[inline(always)]
    fn tag_is_present(&self, _proto: u16, tci: u16) -> bool {
        tci & VLAN_PRESENT != 0
    }

    /// Whether `vlan_proto` and `vlan_tci` are a tag.
    #[cfg(not(any(HAVE_SKB_VLAN_PRESENT, HAVE_VLAN_TAG_PRESENT)))]
    #[inline(always)]
    fn tag_is_present(&self, proto: u16, tci: u16) -> bool {
        proto | tci != 0
    }

    /// `__vlan_hwaccel_put_tag`, host order: in place of any tag that is there.
    #[inline(always)]
    pub fn set_vlan_beside(&mut self, tpid: u16, tci: u16) {
        self.set_field(bindings::ovs_skb_offset_SKB_OFFSET_vlan_proto, tpid.to_be());
        let tci = tci | VLAN_PRESENT;
        self.set_field(bindings::ovs_skb_offset_SKB_OFFSET_vlan_tci, tci);
        self.mark_tagged();
    }

    /// Says that `vlan_proto` and `vlan_tci` are a tag, where another field says so.
    #[cfg(HAVE_SKB_VLAN_PRESENT)]
    #[inline(always)]
    fn mark_tagged(&mut self) {
        // SAFETY: exclusively owned by the invariant.
        unsafe { Headers::set_vlan_present_raw(headers(self.as_ptr()), 1) }
    }

    /// Says that `vlan_proto` and `vlan_tci` are a tag, where another field says so: none does.
    #[cfg(not(HAVE_SKB_VLAN_PRESENT))]
    #[inline(always)]
    fn mark_tagged(&mut self) {}

    /// Moves the tag at offset 12 beside the data.
    pub fn vlan_untag(&mut self) -> Result {
        if self.headlen() < bindings::ETH_HLEN as usize {
            return Err(kernel::error::code::EINVAL);
        }
        // SAFETY: valid and owned, EtherType linear as just checked; the kernel pulls the rest.
        let done = unsafe { bindings::rust_helper_skb_vlan_untag(self.as_ptr()) };
        self.was_cut(done)
    }

    /// `skb_vlan_push`, host order.
    pub fn vlan_push(&mut self, tpid: u16, tci: u16) -> Result {
        if !self.pull_tail(bindings::ETH_HLEN as usize) {
            return Err(EINVAL);
        }
        let tag = 4;
        self.may_grow(tag)?;
        // SAFETY: valid and owned by the invariant.
        to_result(unsafe { bindings::skb_vlan_push(self.as_ptr(), tpid.to_be(), tci) })
    }

    /// `skb_vlan_pop`
    pub fn pop_vlan(&mut self) -> Result {
        // SAFETY: valid and owned by the invariant.
        let done = unsafe { bindings::skb_vlan_pop(self.as_ptr()) };
        self.was_cut(done)
    }

    /// `skb_eth_push`
    pub fn push_eth(&mut self, dst: &[u8; 6], src: &[u8; 6]) -> Result {
        self.may_grow(bindings::ETH_HLEN as usize)?;
        // SAFETY: valid and owned by the invariant; both addresses have six bytes.
        to_result(unsafe {
            bindings::rust_helper_skb_eth_push(self.as_ptr(), dst.as_ptr(), src.as_ptr())
        })
    }

    /// `skb_eth_pop`
    pub fn pop_eth(&mut self) -> Result {
        // SAFETY: valid and owned by the invariant.
        let done = unsafe { bindings::rust_helper_skb_eth_pop(self.as_ptr()) };
        self.was_cut(done)
    }

    /// `skb_mpls_push`, type in host order: after the first `l2_len` bytes, an Ethernet header with tags or nothing.
    pub fn push_mpls(&mut self, entry: [u8; 4], eth_type: u16, l2_len: usize) -> Result {
        if !self.pull_tail(l2_len) {
            return Err(kernel::error::code::EINVAL);
        }
        self.may_grow(entry.len())?;
        self.set_mac_header(0);
        // SAFETY: valid and owned by the invariant; the bytes to be moved are linear and start at the MAC header, which
        // is the data pointer. CAST: no more than the packet has.
        to_result(unsafe {
            let entry = u32::from_ne_bytes(entry);
            let len = l2_len as c_int;
            bindings::rust_helper_skb_mpls_push(self.as_ptr(), entry, eth_type.to_be(), len)
        })
    }

    /// `skb_mpls_pop`, type in host order; nothing if the packet is not MPLS.
    pub fn pop_mpls(&mut self, eth_type: u16, ethernet: bool) -> Result {
        // SAFETY: valid and owned by the invariant; the helper looks where the label is before it touches it.
        let done = unsafe {
            bindings::rust_helper_skb_mpls_pop(self.as_ptr(), eth_type.to_be(), ethernet)
        };
        self.was_cut(done)
    }

    /// `nsh_push`: a service header, which has the length that it says, in front of the packet.
    pub fn push_nsh(&mut self, header: &[u8]) -> Result {
        let words = match *header {
            [_, b1, ..] => usize::from(b1 & 0x3f),
            _ => 0,
        };
        if header.len() < 8 || header.len() != words.wrapping_mul(4) {
            return Err(kernel::error::code::EINVAL);
        }
        self.may_grow(header.len())?;
        // SAFETY: valid and owned by the invariant; so many bytes are read as the header says, and it has them.
        to_result(unsafe { bindings::rust_helper_nsh_push(self.as_ptr(), header.as_ptr().cast()) })
    }

    /// `nsh_pop`
    pub fn pop_nsh(&mut self) -> Result {
        // SAFETY: valid and owned by the invariant; the kernel reads no more than the packet has.
        let done = unsafe { bindings::rust_helper_nsh_pop(self.as_ptr()) };
        self.was_cut(done)
    }

    /// `skb_get_hash`
    #[inline(always)]
    pub fn flow_hash(&mut self) -> u32 {
        let (hash, sw, l4) = self.raw_hash();
        if sw || l4 {
            return hash;
        }
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_skb_get_hash(self.as_ptr()) }
    }

    /// `__skb_get_hash_symmetric`
    pub fn symmetric_hash(&mut self) -> u32 {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_skb_get_hash_symmetric(self.as_ptr()) }
    }

    /// Value, computed in software, covers L4.
    #[inline(always)]
    pub fn raw_hash(&self) -> (u32, bool, bool) {
        // SAFETY: valid by the invariant.
        let (sw, l4) = unsafe {
            let h = headers(self.as_ptr());
            (Headers::sw_hash_raw(h), Headers::l4_hash_raw(h))
        };
        (get!(self.headers.hash), sw != 0, l4 != 0)
    }

    #[allow(missing_docs)]
    pub fn set_raw_hash(&mut self, value: u32, sw: bool, l4: bool) {
        set!(self.headers.hash = value);
        // SAFETY: exclusively owned by the invariant.
        unsafe {
            let h = headers(self.as_ptr());
            Headers::set_sw_hash_raw(h, sw.into());
            Headers::set_l4_hash_raw(h, l4.into());
        }
    }

    /// One of [`checksum`], or 0 for none.
    #[inline(always)]
    pub fn summed(&self) -> u8 {
        // SAFETY: valid by the invariant.
        unsafe { Headers::ip_summed_raw(headers(self.as_ptr())) }
    }

    #[allow(missing_docs)]
    pub fn csum(&self) -> u32 {
        self.field(bindings::ovs_skb_offset_SKB_OFFSET_csum)
    }

    #[allow(missing_docs)]
    pub fn set_csum(&mut self, v: u32) {
        self.set_field(bindings::ovs_skb_offset_SKB_OFFSET_csum, v);
    }

    /// Completes the checksum of a packet that left it to the device.
    pub fn complete_checksum(&mut self) -> Result {
        if self.summed() != checksum::PARTIAL {
            return Ok(());
        }
        // SAFETY: valid and owned by the invariant.
        to_result(unsafe { bindings::skb_csum_hwoffload_help(self.as_ptr(), 0) })
    }

    /// `sctp_compute_cksum`; 0 unless there are 12 bytes of a header at `off`, which it writes to for the time being.
    pub fn sctp_checksum(&mut self, off: usize) -> u32 {
        if self.ensure_writable(off.saturating_add(12)).is_err() {
            return 0;
        }
        // SAFETY: valid and owned, the header linear and nobody else's. CAST: below the packet's length.
        unsafe { bindings::rust_helper_sctp_compute_cksum(self.as_ptr(), off as u32) }
    }

    /// `gso_size` and `gso_type`: how a device is to cut the packet up; 0 if not at all.
    #[inline(always)]
    fn gso(&self) -> (u16, u32) {
        let info = self.shared_info();
        // SAFETY: there as long as the packet.
        unsafe { ((*info).gso_size, (*info).gso_type) }
    }

    /// `skb_shinfo`, of which there must be no reference: clones share it, and its reference count.
    #[inline(always)]
    fn shared_info(&self) -> *const bindings::skb_shared_info {
        let (head, end) = (get!(self.head), get!(self.end));
        // SAFETY: the structure stands at `end`, an offset from `head`, in every valid packet.
        unsafe { head.add(end as usize).cast() }
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn is_gso(&self) -> bool {
        self.gso().0 != 0
    }

    /// As many packets as an aggregate is cut up into, or a few more; 1 for any other packet.
    pub fn segments(&self) -> u32 {
        let size = u32::from(self.gso().0);
        // SAFETY: there as long as the packet.
        let told = u32::from(unsafe { (*self.shared_info()).gso_segs });
        let by_size = |bytes: u32| bytes.saturating_add(1).max(told);
        get!(self.len).checked_div(size).map_or(1, by_size)
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn is_gso_udp(&self) -> bool {
        let (size, kind) = self.gso();
        size != 0 && kind & SKB_GSO_UDP != 0
    }

    /// Whether an aggregate's segments have at most `len` bytes, L2 header included; false for any other packet.
    pub fn segments_fit(&self, len: usize) -> bool {
        // CAST: no segment is longer than 32 bits can say.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        // SAFETY: valid by the invariant; only reads.
        self.is_gso() && unsafe { bindings::rust_helper_skb_segments_fit(self.as_ptr(), len) }
    }

    /// `skb_warn_if_lro`
    #[inline(always)]
    pub fn warn_if_lro(&self) -> bool {
        if get!(self.data_len) == 0 {
            return false;
        }
        let (size, kind) = self.gso();
        if size == 0 || kind != 0 {
            return false;
        }
        // SAFETY: valid by the invariant; only prints.
        unsafe { bindings::__skb_warn_lro_forwarding(self.as_ptr()) };
        true
    }

    /// Segments of an aggregate: `f` gets each with its index until it errs; from there on they count as dropped. Moves the
    /// headers of the packet itself as it likes.
    pub fn for_each_segment(&mut self, f: &mut impl FnMut(&mut SkBuff, usize) -> Result) -> Result {
        // SAFETY: valid and owned by the invariant; segmenting leaves the packet itself usable.
        let list = unsafe { bindings::rust_helper_skb_gso_segment(self.as_ptr()) };
        let errno = list as isize;
        if (-4095..=0).contains(&errno) {
            // CAST: within the range of errnos; 0 becomes EINVAL.
            return Err(Error::from_errno(errno as i32));
        }
        let mut segments = Segments(list);
        let mut result = Ok(());
        let mut n = 0usize;
        while let Some(mut segment) = segments.take() {
            if result.is_ok() {
                result = f(&mut segment, n);
            }
            if result.is_err() {
                segment.kfree(bindings::ovs_core_drop_DROP_NOT_SPECIFIED);
            }
            n = n.wrapping_add(1);
        }
        result
    }

    /// Gives its reference to a connection back, and asks connection tracking to leave it alone.
    #[inline]
    pub fn reset_conntrack(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_ct_untrack(self.as_ptr()) };
    }

    #[allow(missing_docs)]
    pub fn set_ignore_df(&mut self) {
        // SAFETY: exclusively owned by the invariant.
        unsafe { Headers::set_ignore_df_raw(headers(self.as_ptr()), 1) };
    }

    /// The device that the packet came from or goes to.
    #[inline(always)]
    pub fn dev(&self) -> *mut bindings::net_device {
        self.field(bindings::ovs_skb_offset_SKB_OFFSET_dev)
    }

    /// Says which device that is.
    ///
    /// # Safety
    ///
    /// The device stays as long as the packet has it.
    #[inline(always)]
    pub unsafe fn set_dev(&mut self, dev: NetDevice<'_>) {
        self.set_field(bindings::ovs_skb_offset_SKB_OFFSET_dev, dev.as_ptr());
    }

    /// Whether its device is in `net`; false if it has none.
    #[inline(always)]
    pub fn is_in(&self, net: NetRef<'_>) -> bool {
        // SAFETY: by the invariant of SkBuff.
        unsafe { NetDevice::from_raw(self.dev()) }.is_some_and(|dev| dev.is_in(net))
    }

    /// Forgets everything that a namespace attached.
    #[cold]
    pub fn scrub(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::skb_scrub_packet(self.as_ptr(), true) };
    }

    /// The control block as a `T`.
    #[inline(always)]
    pub fn cb<T: ControlBlock>(&self) -> &T {
        const { assert!(size_of::<T>() <= T::MAX && align_of::<T>() <= 8) };
        // SAFETY: the control block is large and aligned enough, as just asserted, and any bytes are a T.
        unsafe { &*(&raw const (*self.as_ptr()).cb).cast() }
    }

    /// The control block for writing.
    #[inline(always)]
    pub fn cb_mut<T: ControlBlock>(&mut self) -> &mut T {
        const { assert!(size_of::<T>() <= T::MAX && align_of::<T>() <= 8) };
        // SAFETY: as in `cb`; exclusively owned.
        unsafe { &mut *(&raw mut (*self.as_ptr()).cb).cast() }
    }

    /// `skb_clone`, without reclaim. Marks the packet itself as one that has clones.
    pub fn clone_atomic(&mut self) -> Option<Self> {
        // SAFETY: valid and owned by the invariant; a clone is a structure of its own.
        let nskb = unsafe { bindings::skb_clone(self.as_ptr(), bindings::GFP_ATOMIC) };
        // INVARIANT: nobody else knows the clone.
        NonNull::new(nskb).map(Self)
    }

    /// A clone whose tag is in its data.
    pub fn clone_with_vlan_inside(&mut self) -> Option<Self> {
        // SAFETY: valid and owned by the invariant.
        let nskb = unsafe { bindings::rust_helper_skb_clone_vlan_inside(self.as_ptr()) };
        // INVARIANT: nobody else knows the clone.
        NonNull::new(nskb).map(Self)
    }

    /// Frees the packet as dropped, for drop monitors to see.
    pub fn kfree(self, reason: u32) {
        // SAFETY: ownership goes to the kernel.
        unsafe { bindings::rust_helper_kfree_skb_reason(self.into_raw(), reason) }
    }

    /// Bytes that a [`PacketMessage`](crate::rust::net::genetlink::PacketMessage) must copy, because they are in no page.
    pub fn zerocopy_headlen(&self) -> usize {
        // SAFETY: valid by the invariant.
        unsafe { bindings::skb_zerocopy_headlen(self.as_ptr()) as usize }
    }

    /// `psample_sample_packet`, with this cookie.
    pub fn show_sample(&self, net: NetRef<'_>, mut sample: bindings::ovs_sample, cookie: &[u8]) {
        sample.cookie = cookie.as_ptr();
        // CAST: some bytes
        sample.cookie_len = cookie.len() as u32;
        // SAFETY: valid by the invariant, as is the namespace; the cookie has this many bytes.
        unsafe { bindings::rust_helper_psample(net.as_ptr(), self.as_ptr(), &sample) };
    }

    /// `skb_tx_error`
    pub fn tx_error(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::skb_tx_error(self.as_ptr()) };
    }

    /// A linear packet with a copy of `bytes`, control block zeroed.
    pub fn copy_of(bytes: &[u8], _ctx: &impl MaySleep) -> Option<Self> {
        let len = u32::try_from(bytes.len()).ok()?;
        // SAFETY: any length may be asked for.
        let skb = NonNull::new(unsafe { bindings::rust_helper_skb_alloc_linear(len) })?;
        // SAFETY: `len` bytes of tailroom were asked for.
        unsafe {
            let to = bindings::skb_put(skb.as_ptr(), len).cast::<u8>();
            ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        // INVARIANT: just allocated.
        Some(Self(skb))
    }
}

/// Tunnel metadata to send packets with (`metadata_dst`).
///
/// # Invariants
///
/// Points to a `metadata_dst` of which one reference is this value's. Nobody writes to it.
pub struct TxTunnel(NonNull<c_void>);

// SAFETY: counted by atomics, and only read; giving a reference back does not sleep.
unsafe impl Send for TxTunnel {}
// SAFETY: as above.
unsafe impl Sync for TxTunnel {}

impl TxTunnel {
    /// Metadata for what `info` says, whose `options` and `options_len` are ignored; `None` if there is no memory, or
    /// `options` has more than 255 bytes. Sleeps.
    pub fn alloc(mut info: bindings::ovs_tunnel, options: &[u8]) -> Option<Self> {
        info.options = options.as_ptr();
        info.options_len = u8::try_from(options.len()).ok()?;
        // SAFETY: all of `info` is valid, and read only until the call returns.
        let tunnel = unsafe { bindings::rust_helper_tx_tunnel_alloc(&raw const info) };
        // INVARIANT: the reference is the one that comes with it.
        NonNull::new(tunnel).map(Self)
    }
}

impl Drop for TxTunnel {
    fn drop(&mut self) {
        // SAFETY: the reference ends here, in any context but a hard interrupt.
        unsafe { bindings::rust_helper_tx_tunnel_put(self.0.as_ptr()) }
    }
}

impl Drop for SkBuff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: ownership ends here; the packet is used up, not dropped in the sense of drop monitors.
        unsafe { bindings::consume_skb(self.as_ptr()) }
    }
}

/// What may be kept in the control block.
///
/// # Safety
///
/// Any bytes must be a valid value.
pub unsafe trait ControlBlock: Copy {
    /// Bytes of the control block that segmentation leaves alone.
    const MAX: usize = bindings::ovs_gso_GSO_CB_OFFSET as usize;
}

/// The rest of a list of segments, owned.
struct Segments(*mut bindings::sk_buff);

impl Segments {
    fn take(&mut self) -> Option<SkBuff> {
        let skb = NonNull::new(self.0)?;
        // SAFETY: a valid, owned element of the list; its link, where C's offsetof() places it, is cut here.
        unsafe {
            let next = skb
                .as_ptr()
                .byte_add(bindings::ovs_skb_offset_SKB_OFFSET_next as usize)
                .cast::<*mut bindings::sk_buff>();
            self.0 = next.read();
            next.write(ptr::null_mut());
            Some(SkBuff::from_raw(skb))
        }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}
