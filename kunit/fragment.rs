// SPDX-License-Identifier: GPL-2.0
//! Packets cut into IP fragments on their way out: all shapes, clones, tags, and without memory (spec A30).
//!
//! C counterpart: none; `ovs_fragment()` of `net/openvswitch/actions.c`.

use super::device::Device;
use super::packet::{
    can_fail, check, fail_nth, freed, holds, init_net, packet, pattern, watch, Shape,
};
use crate::datapath::env::{PacketOps, VlanTag};
use crate::rust::bindings;
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::BhGuard;
use kernel::prelude::*;

const NAME: [u8; 16] = *b"ovs-kunit1\0\0\0\0\0\0";
const ETH: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
/// Next header: a fragment of one.
const FRAGMENT: u8 = 44;

const SHAPES: [Shape; 5] = [
    Shape::Linear,
    Shape::Paged(14),
    Shape::Paged(100),
    Shape::Listed(60, 1500),
    // Pieces such as the stack may send as they are.
    Shape::Listed(54, 1000),
];

/// A packet that is too long, as it was before it came in pieces.
pub(super) struct Whole {
    frame: KVec<u8>,
    ipv6: bool,
}

impl Whole {
    /// So many bytes of UDP, header included.
    pub(super) fn new(ipv6: bool, len: u16) -> Result<Self> {
        let mut frame = KVec::new();
        frame.extend_from_slice(&ETH, GFP_KERNEL)?;
        let [hi, lo] = len.to_be_bytes();
        if ipv6 {
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, hi, lo, 17, 64], GFP_KERNEL)?;
            for last in [1, 2] {
                let mut address = [0; 16];
                [address[0], address[1], address[15]] = [0x20, 0x01, last];
                frame.extend_from_slice(&address, GFP_KERNEL)?;
            }
        } else {
            let [total_hi, total_lo] = (len + 20).to_be_bytes();
            let header = [
                8, 0, 0x45, 0, total_hi, total_lo, 0x12, 0x34, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10,
                0, 0, 2,
            ];
            frame.extend_from_slice(&header, GFP_KERNEL)?;
            let sum = check(&frame, 14, 34, 0).to_be_bytes();
            if let Some(to) = frame.get_mut(24..26) {
                to.copy_from_slice(&sum);
            }
        }
        frame.extend_from_slice(&[0x12, 0x34, 0, 53, hi, lo, 0, 0], GFP_KERNEL)?;
        frame.extend_from_slice(&pattern(usize::from(len) - 8)?, GFP_KERNEL)?;
        Ok(Self { frame, ipv6 })
    }

    /// Bytes of its L3 header.
    fn header(&self) -> usize {
        if self.ipv6 {
            40
        } else {
            20
        }
    }

    /// What comes behind the Ethernet header.
    pub(super) fn l3(&self) -> &[u8] {
        self.frame.get(14..).unwrap_or(&[])
    }

    /// What comes behind the L3 header.
    fn payload(&self) -> &[u8] {
        self.frame.get(14 + self.header()..).unwrap_or(&[])
    }

    /// The packet, as the switch holds it.
    fn packet(&self, shape: Shape) -> Result<SkBuff> {
        let mut skb = packet(&self.frame, shape)?;
        PacketOps::pull(&mut skb, 14 + self.header()).map_err(|_| ENOMEM)?;
        skb.set_protocol(if self.ipv6 { 0x86dd } else { 0x800 });
        skb.set_mac_header(0);
        skb.set_network_header(14);
        skb.set_transport_header(14 + self.header());
        skb.reset_mac_len();
        Ok(skb)
    }

    /// Fragments of at most `mru` bytes as somebody else made them, data at their L3 header.
    pub(super) fn fragments(&self, mru: usize, shape: Shape) -> Result<KVec<SkBuff>> {
        let mut all = KVec::new();
        let extra = if self.ipv6 { 8 } else { 0 };
        let step = (mru - self.header() - extra) & !7;
        let payload = self.payload();
        for off in (0..payload.len()).step_by(step) {
            let end = payload.len().min(off + step);
            let piece = payload.get(off..end).ok_or(EINVAL)?;
            let mut f = KVec::new();
            f.extend_from_slice(self.l3().get(..self.header()).ok_or(EINVAL)?, GFP_KERNEL)?;
            let more = u16::from(end < payload.len());
            // CAST: below 65536
            let (at, len) = (off as u16, (piece.len() + self.header() + extra) as u16);
            if self.ipv6 {
                f.get_mut(4..6)
                    .ok_or(EINVAL)?
                    .copy_from_slice(&(len - 40).to_be_bytes());
                *f.get_mut(6).ok_or(EINVAL)? = FRAGMENT;
                f.extend_from_slice(&[17, 0], GFP_KERNEL)?;
                f.extend_from_slice(&(at | more).to_be_bytes(), GFP_KERNEL)?;
                f.extend_from_slice(&[0, 0, 0x56, 0x78], GFP_KERNEL)?;
            } else {
                f.get_mut(2..4)
                    .ok_or(EINVAL)?
                    .copy_from_slice(&len.to_be_bytes());
                f.get_mut(6..8)
                    .ok_or(EINVAL)?
                    .copy_from_slice(&(at >> 3 | more << 13).to_be_bytes());
                f.get_mut(10..12).ok_or(EINVAL)?.fill(0);
                let sum = check(&f, 0, 20, 0).to_be_bytes();
                f.get_mut(10..12).ok_or(EINVAL)?.copy_from_slice(&sum);
            }
            f.extend_from_slice(piece, GFP_KERNEL)?;
            let mut skb = packet(&f, shape)?;
            PacketOps::pull(&mut skb, self.header() + extra).map_err(|_| ENOMEM)?;
            skb.set_protocol(if self.ipv6 { 0x86dd } else { 0x800 });
            skb.set_network_header(0);
            skb.set_transport_header(self.header());
            all.push(skb, GFP_KERNEL)?;
        }
        Ok(all)
    }

    /// Whether these frames, `l2` bytes of them before the L3 header, are this packet's first fragments of at most `mru` bytes:
    /// how many bytes of its payload they have, `None` if one is wrong.
    fn covered(&self, frames: &[KVec<u8>], l2: usize, mru: usize) -> Option<usize> {
        let mut done = 0;
        for f in frames {
            let ip = f.get(l2..).filter(|ip| ip.len() >= 20)?;
            let (off, more, payload) = if self.ipv6 {
                if *ip.get(6)? != FRAGMENT || *ip.get(40)? != 17 {
                    return None;
                }
                let at = u16::from_be_bytes(*ip.get(42..)?.first_chunk()?);
                (usize::from(at & !7), at & 1 != 0, ip.get(48..)?)
            } else {
                if check(ip, 0, 20, 0) != 0 {
                    return None;
                }
                let at = u16::from_be_bytes(*ip.get(6..)?.first_chunk()?);
                (
                    usize::from(at & 0x1fff) * 8,
                    at & 0x2000 != 0,
                    ip.get(20..)?,
                )
            };
            let end = off + payload.len();
            let right = off == done
                && ip.len() <= mru
                && f.get(..12) == Some(&ETH)
                && self.payload().get(off..end) == Some(payload)
                && more == (end < self.payload().len());
            if !right {
                return None;
            }
            done = end;
        }
        Some(done)
    }
}

/// Sends it through the device in fragments of at most `mru` bytes.
fn fragment(skb: SkBuff, dev: &Device, mru: u16, ipv6: bool) {
    let _bh = BhGuard::enter();
    // SAFETY: its headers are linear, by `Whole::packet`; device and namespace stay.
    unsafe {
        bindings::rust_helper_fragment(
            skb.into_raw(),
            dev.as_ptr(),
            init_net().as_ptr(),
            mru,
            ipv6,
            false,
        );
    }
}

/// How many packets of 3001 bytes, in all shapes and both versions of IP, come out wrong.
fn wrong(right: impl Fn(&Device, &Whole, SkBuff) -> Result<bool>) -> Result<usize> {
    let dev = Device::new(&NAME)?;
    let mut bad = 0;
    for ipv6 in [false, true] {
        let whole = Whole::new(ipv6, 3001)?;
        for shape in SHAPES {
            bad += usize::from(!right(&dev, &whole, whole.packet(shape)?)?);
        }
    }
    Ok(bad)
}

#[kernel::macros::kunit_tests(ovs_fragment)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_the_packet() -> Result {
        let dev = Device::new(&NAME)?;
        let mut bad = 0;
        for (ipv6, mru) in [
            (false, 1500),
            (false, 1000),
            (false, 68),
            (true, 1500),
            (true, 1280),
        ] {
            let whole = Whole::new(ipv6, 3001)?;
            for (n, shape) in SHAPES.into_iter().enumerate() {
                fragment(whole.packet(shape)?, &dev, mru, ipv6);
                let frames = dev.frames()?;
                if whole.covered(&frames, 14, mru.into()) != Some(3001) {
                    pr_err!("fragment: shape {}, mru {}, ipv6 {}\n", n, mru, ipv6);
                    bad += 1;
                }
            }
        }
        drop(dev);
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn clones_stay_whole() -> Result {
        let bad = wrong(|dev, whole, mut skb| {
            let other = skb.clone_atomic().ok_or(ENOMEM)?;
            fragment(skb, dev, 1280, whole.ipv6);
            let frames = dev.frames()?;
            Ok(whole.covered(&frames, 14, 1280) == Some(3001) && holds(&other, &whole.frame)?)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn each_fragment_has_the_tag() -> Result {
        let bad = wrong(|dev, whole, mut skb| {
            skb.push_vlan(VlanTag {
                tpid: 0x8100,
                tci: 0x1007,
            })?;
            fragment(skb, dev, 1300, whole.ipv6);
            let frames = dev.frames()?;
            let tagged = frames
                .iter()
                .filter(|f| f.get(12..16) == Some(&[0x81, 0, 0x10, 7]))
                .count();
            Ok(whole.covered(&frames, 18, 1300) == Some(3001) && tagged == frames.len())
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn what_fits_is_sent_as_it_is() -> Result {
        let dev = Device::new(&NAME)?;
        let whole = Whole::new(false, 900)?;
        fragment(whole.packet(Shape::Paged(50))?, &dev, 1000, false);
        let frames = dev.frames()?;
        drop(dev);
        let same = frames.first().is_some_and(|f| **f == *whole.frame);
        assert!(same && frames.len() == 1);
        Ok(())
    }

    #[test]
    fn without_memory_the_rest_is_dropped() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let dev = Device::new(&NAME)?;
        let (mut failed, mut bad) = (0, 0);
        for ipv6 in [false, true] {
            let whole = Whole::new(ipv6, 3001)?;
            for shape in SHAPES {
                for n in 1..100 {
                    let mut skb = whole.packet(shape)?;
                    watch(&mut skb);
                    let before = freed();
                    fail_nth(n);
                    fragment(skb, &dev, 1280, ipv6);
                    let left = fail_nth(0);
                    let frames = dev.frames()?;
                    let covered = whole.covered(&frames, 14, 1280);
                    bad += usize::from(covered.is_none() || freed() != before + 1);
                    if left != 0 {
                        bad += usize::from(covered != Some(3001));
                        break;
                    }
                    failed += 1;
                }
            }
        }
        drop(dev);
        assert_eq!(bad, 0);
        assert!(failed > 0);
        Ok(())
    }
}
