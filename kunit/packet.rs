// SPDX-License-Identifier: GPL-2.0
//! Packets for the suites, in all shapes. C half: `rust/helpers/kunit.c`.
//!
//! C counterpart: none.

use crate::rust::bindings;
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::SkBuff;
use core::ptr::NonNull;
use kernel::prelude::*;

pub(super) use bindings::ovs_kunit_view as View;

/// How a packet's bytes lie.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// In the head.
    Linear,
    /// So many in the head, the rest in pages.
    Paged(usize),
    /// So many in the head, the rest in packets of so many bytes.
    Listed(usize, usize),
}

/// A packet of these bytes.
pub(super) fn packet(bytes: &[u8], shape: Shape) -> Result<SkBuff> {
    let len = u32::try_from(bytes.len())?;
    let head = |n: usize| u32::try_from(n.min(bytes.len()));
    // SAFETY: so many bytes are there, and no more than those in the head.
    let skb = unsafe {
        match shape {
            Shape::Linear => bindings::rust_helper_kunit_paged(bytes.as_ptr(), len, len),
            Shape::Paged(n) => bindings::rust_helper_kunit_paged(bytes.as_ptr(), len, head(n)?),
            Shape::Listed(n, piece) => {
                let piece = u32::try_from(piece.max(1))?;
                bindings::rust_helper_kunit_listed(bytes.as_ptr(), len, head(n)?, piece)
            }
        }
    };
    // SAFETY: fresh, and given to us.
    Ok(unsafe { SkBuff::from_raw(NonNull::new(skb).ok_or(ENOMEM)?) })
}

/// What C sees of it.
pub(super) fn view(skb: &SkBuff) -> View {
    // SAFETY: valid; only reads.
    unsafe { bindings::rust_helper_kunit_view(skb.as_ptr()) }
}

/// All of its bytes, wherever they lie.
pub(super) fn bytes(skb: &SkBuff) -> Result<KVec<u8>> {
    let mut out = KVec::new();
    out.resize(skb.len(), 0, GFP_KERNEL)?;
    let len = u32::try_from(out.len())?;
    // SAFETY: valid, and there is room for all.
    let err =
        unsafe { bindings::rust_helper_kunit_copy_bits(skb.as_ptr(), 0, out.as_mut_ptr(), len) };
    kernel::error::to_result(err)?;
    Ok(out)
}

/// Whether it has these bytes.
pub(super) fn holds(skb: &SkBuff, expected: &[u8]) -> Result<bool> {
    Ok(bytes(skb)?.as_slice() == expected)
}

/// A device has summed its bytes.
pub(super) fn make_complete(skb: &mut SkBuff) {
    // SAFETY: valid and ours.
    unsafe { bindings::rust_helper_kunit_make_complete(skb.as_ptr()) }
}

/// Whether that sum still is the one over all bytes.
pub(super) fn sum_holds(skb: &SkBuff) -> bool {
    // SAFETY: valid; only reads.
    unsafe { bindings::rust_helper_kunit_sum_holds(skb.as_ptr()) }
}

/// A device is to sum the bytes from `start` on into the field at `start + offset`.
pub(super) fn make_partial(skb: &mut SkBuff, start: u32, offset: u32) {
    // SAFETY: valid and ours.
    unsafe { bindings::rust_helper_kunit_make_partial(skb.as_ptr(), start, offset) }
}

/// Its end is counted.
pub(super) fn watch(skb: &mut SkBuff) {
    // SAFETY: valid and ours.
    unsafe { bindings::rust_helper_kunit_watch(skb.as_ptr()) }
}

/// How many watched packets have come to their end.
pub(super) fn freed() -> u32 {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_kunit_freed() }
}

/// The first namespace, in which the suites are.
pub(super) fn init_net() -> NetRef<'static> {
    // SAFETY: it never ends.
    unsafe { NetRef::from_raw(bindings::rust_helper_kunit_net()) }
}

/// From here on the n-th allocation of this thread fails; 0: none. What is left of the number before: 0 if one has failed.
pub(super) fn fail_nth(n: u32) -> u32 {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_kunit_fail_nth(n) }
}

/// Whether the allocation that fails may be kmemleak's own, for another that goes well.
pub(super) fn leaks_are_watched() -> bool {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_kunit_leaks_watched() }
}

/// Whether this kernel lets allocations fail on demand, those that may sleep among them.
pub(super) fn can_fail() -> bool {
    fail_nth(1);
    let made = KBox::new(0u8, GFP_KERNEL);
    let reached = fail_nth(0) == 0;
    reached && made.is_err()
}

/// Bytes by which places can be told apart.
pub(super) fn pattern(len: usize) -> Result<KVec<u8>> {
    let mut out = KVec::with_capacity(len, GFP_KERNEL)?;
    for i in 0..len {
        // CAST: the low byte
        out.push((i * 7 + i / 256) as u8, GFP_KERNEL)?;
    }
    Ok(out)
}

/// An Ethernet frame with UDP over IPv4, checksums right.
pub(super) const UDP4: [u8; 60] = {
    let mut f = [0u8; 60];
    let head = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet
        0x45, 0x10, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0x12, 0x34, 0, 53, 0, 26, 0, 0, // UDP
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
    ];
    let mut i = 0;
    while i < head.len() {
        f[i] = head[i];
        i += 1;
    }
    let ip = check(&f, 14, 34, 0);
    [f[24], f[25]] = ip.to_be_bytes();
    // The pseudo-header: addresses, protocol, length.
    let udp = check(&f, 34, 60, 0xa00 + 1 + 0xa00 + 2 + 17 + 26);
    [f[40], f[41]] = udp.to_be_bytes();
    f
};

/// RFC 1071 over `f[from..to]`, from scratch, with `more` added.
pub(super) const fn check(f: &[u8], from: usize, to: usize, more: u32) -> u16 {
    let mut sum = more;
    let mut i = from;
    while i + 1 < to {
        sum += (f[i] as u32) << 8 | f[i + 1] as u32;
        i += 2;
    }
    if i < to {
        sum += (f[i] as u32) << 8;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16) // CAST: folded
}
