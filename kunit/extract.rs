// SPDX-License-Identifier: GPL-2.0
//! Extraction from real packets, with the vectors of the userspace tests (spec 2.4).
//!
//! C counterpart: none.

use super::packet::{can_fail, fail_nth, holds, packet, view, Shape};
use crate::datapath::error::DropReason;
use crate::datapath::flow::extract::vectors::{vectors, Vector, IN_PORT};
use crate::datapath::flow::extract::{from_device, refresh};
use crate::datapath::flow::parts::FlowKey;
use crate::rust::bindings;
use crate::rust::net::skbuff::SkBuff;
use crate::rust::pod::Pod;
use kernel::prelude::*;

/// The vector's packet in this shape.
fn made(v: &Vector, shape: Shape) -> Result<SkBuff> {
    let mut skb = packet(&v.frame, shape)?;
    skb.set_protocol(v.l3.unwrap_or(0));
    if let Some(tag) = v.tag {
        skb.vlan_push(tag.tpid, tag.tci)?;
    }
    Ok(skb)
}

fn key_of(v: &Vector, skb: &mut SkBuff) -> Result<FlowKey, DropReason> {
    from_device(skb, IN_PORT, v.l3.is_none())
}

/// How many vectors do not give what `f` says they must; they are named in the log.
fn failures(mut f: impl FnMut(&Vector) -> Result<bool>) -> Result<usize> {
    let mut bad = 0;
    for v in vectors() {
        let v = v.ok_or(EINVAL)?;
        if !f(&v)? {
            pr_err!("extract: {}\n", v.name);
            bad += 1;
        }
    }
    Ok(bad)
}

/// Whether `got` is `full` but for fields that are zero, and those are none of Ethernet's or IP's: for want of these a packet
/// is dropped, while without a transport header, ARP or MPLS it goes on (spec K26).
fn lacks_the_last_header(got: &FlowKey, full: &FlowKey) -> bool {
    let mut bytes = got.core().as_bytes().iter().zip(full.core().as_bytes());
    let l2 = |k: &FlowKey| (k.eth_src, k.eth_dst, k.eth_type, k.vlan_tci, k.cvlan_tci);
    let l3 = |k: &FlowKey| {
        let addresses = (k.ipv4_src, k.ipv4_dst, k.ipv6_src, k.ipv6_dst);
        (k.ip_proto, k.ip_tos, k.ip_ttl, k.ip_frag, addresses)
    };
    let is_ip = matches!(full.eth_type.get(), 0x800 | 0x86dd);
    bytes.all(|(got, full)| got == full || *got == 0)
        && l2(got) == l2(full)
        && (!is_ip || l3(got) == l3(full))
}

#[kernel::macros::kunit_tests(ovs_extract)]
mod tests {
    use super::*;

    #[test]
    fn there_are_vectors() {
        let (good, bad) = vectors().fold((0, 0), |(g, b), v| match v {
            Some(_) => (g + 1, b),
            None => (g, b + 1),
        });
        assert_eq!(bad, 0);
        assert!(good > 100);
    }

    #[test]
    fn linear_packets_give_their_keys() -> Result {
        let bad = failures(|v| Ok(key_of(v, &mut made(v, Shape::Linear)?).as_ref() == Ok(&v.key)))?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn it_does_not_matter_what_is_in_pages() -> Result {
        let bad = failures(|v| {
            for n in 0..v.frame.len() {
                if key_of(v, &mut made(v, Shape::Paged(n))?).as_ref() != Ok(&v.key) {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn it_does_not_matter_what_is_in_lists() -> Result {
        let bad = failures(|v| {
            for (n, piece) in [(0, 1), (0, 1000), (13, 1), (14, 7), (33, 2), (40, 3)] {
                if key_of(v, &mut made(v, Shape::Listed(n, piece))?).as_ref() != Ok(&v.key) {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn marks_do_not_depend_on_the_shape() -> Result {
        let bad = failures(|v| {
            let marks = |shape| -> Result<_> {
                let mut skb = made(v, shape)?;
                let _ = key_of(v, &mut skb);
                let c = view(&skb);
                Ok((
                    c.network,
                    c.mac_len,
                    c.protocol,
                    c.vlan_tpid,
                    c.vlan_tci,
                    c.len,
                    skb.transport_offset(),
                ))
            };
            let linear = marks(Shape::Linear)?;
            // A mark that nobody set lies at 65535 of another head.
            let set = linear.6 < v.frame.len();
            let same = |m: (i32, u32, u16, u16, u16, u32, usize)| {
                (m.0, m.1, m.2, m.3, m.4, m.5)
                    == (linear.0, linear.1, linear.2, linear.3, linear.4, linear.5)
                    && (m.6 == linear.6 || !set)
            };
            Ok(same(marks(Shape::Paged(0))?)
                && same(marks(Shape::Paged(20))?)
                && same(marks(Shape::Listed(3, 5))?))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn clones_give_the_same_and_stay_as_they_are() -> Result {
        let bad = failures(|v| {
            for shape in [Shape::Linear, Shape::Paged(0), Shape::Listed(14, 9)] {
                let mut skb = made(v, shape)?;
                let other = skb.clone_atomic().ok_or(ENOMEM)?;
                if key_of(v, &mut skb).as_ref() != Ok(&v.key) || !holds(&other, &v.frame)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_second_look_gives_the_same() -> Result {
        let bad = failures(|v| {
            let mut skb = made(v, Shape::Paged(17))?;
            skb.set_priority(5);
            skb.set_mark(6);
            let Ok(mut key) = key_of(v, &mut skb) else {
                return Ok(false);
            };
            let kept = (key.priority, key.mark) == (5, 6);
            let again = refresh(&mut skb, &mut key).is_ok();
            (key.priority, key.mark) = (0, 0);
            Ok(kept && again && key == v.key)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn aggregates_give_their_keys() -> Result {
        let bad = failures(|v| {
            let mut skb = made(v, Shape::Paged(40))?;
            // SAFETY: valid and ours.
            unsafe { bindings::rust_helper_kunit_make_gso(skb.as_ptr(), 8, 1) };
            let got = key_of(v, &mut skb);
            Ok(got.as_ref() == Ok(&v.key) && skb.is_gso())
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn packets_cut_short_do_not_depend_on_the_shape() -> Result {
        let bad = failures(|v| {
            for len in (0..v.frame.len()).step_by(3) {
                let cut = |shape| -> Result<_> {
                    let mut skb = packet(v.frame.get(..len).ok_or(EINVAL)?, shape)?;
                    skb.set_protocol(v.l3.unwrap_or(0));
                    Ok(key_of(v, &mut skb))
                };
                if cut(Shape::Linear)? != cut(Shape::Paged(0))?
                    || cut(Shape::Linear)? != cut(Shape::Listed(1, 4))?
                {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn without_memory_a_packet_is_dropped_or_loses_fields() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let (mut dropped, mut lost) = (0, 0);
        let bad = failures(|v| {
            let mut good = true;
            for linear in 0..v.frame.len() {
                for n in 1.. {
                    let mut skb = made(v, Shape::Paged(linear))?;
                    // What is shared is copied before it is pulled.
                    let other = skb.clone_atomic().ok_or(ENOMEM)?;
                    fail_nth(n);
                    let got = key_of(v, &mut skb);
                    let reached = fail_nth(0) == 0;
                    good &= holds(&other, &v.frame)?;
                    match got {
                        Err(_) => dropped += 1,
                        // All was needed, or what is missing is zero, or it was kmemleak that found no memory.
                        Ok(key) if key == v.key => {}
                        Ok(key) => {
                            good &= reached && lacks_the_last_header(&key, &v.key);
                            lost += 1;
                        }
                    }
                    if !reached {
                        break;
                    }
                }
            }
            Ok(good)
        })?;
        assert_eq!(bad, 0);
        assert!(dropped > 1000 && lost > 100);
        Ok(())
    }
}
