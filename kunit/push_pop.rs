// SPDX-License-Identifier: GPL-2.0
//! Tags, labels and headers come and go on real packets, with the device's sum over them (spec A9 to A23).
//!
//! C counterpart: none; what `net/openvswitch/actions.c` asks of `net/core/skbuff.c`.

use super::packet::{
    bytes, can_fail, fail_nth, holds, make_complete, make_partial, packet, sum_holds, view, Shape,
    UDP4,
};
use crate::datapath::env::{PacketOps, VlanTag};
use crate::rust::net::skbuff::{checksum, SkBuff};
use kernel::prelude::*;

const SHAPES: [Shape; 4] = [
    Shape::Linear,
    Shape::Paged(0),
    Shape::Paged(20),
    Shape::Listed(14, 11),
];

const OUTER: VlanTag = VlanTag {
    tpid: 0x88a8,
    tci: 0x2064,
};
const INNER: VlanTag = VlanTag {
    tpid: 0x8100,
    tci: 0x4007,
};
/// Label 100, TC 5, bottom of stack, TTL 64.
const ENTRY: [u8; 4] = [0, 6, 0x4b, 64];

/// A packet as the switch holds it, its Ethernet header linear; with a device's sum if `complete`.
fn ready(shape: Shape, complete: bool) -> Result<SkBuff> {
    let mut skb = packet(&UDP4, shape)?;
    PacketOps::pull(&mut skb, 14).map_err(|_| ENOMEM)?;
    skb.set_protocol(0x800);
    skb.set_mac_header(0);
    skb.set_network_header(14);
    skb.set_transport_header(34);
    skb.reset_mac_len();
    if complete {
        make_complete(&mut skb);
    }
    Ok(skb)
}

/// Whether the device's sum, if there was one, is that of the bytes, or has been given up.
fn sum_is_right(skb: &SkBuff, complete: bool) -> bool {
    match complete {
        true => sum_holds(skb),
        false => skb.summed() != checksum::COMPLETE,
    }
}

/// Runs `f` in all shapes and both states of the sum; how often it says no.
fn failures(mut f: impl FnMut(SkBuff, bool) -> Result<bool>) -> Result<usize> {
    let mut bad = 0;
    for complete in [false, true] {
        for (n, shape) in SHAPES.into_iter().enumerate() {
            if !f(ready(shape, complete)?, complete)? {
                pr_err!("push_pop: shape {}, complete {}\n", n, complete);
                bad += 1;
            }
        }
    }
    Ok(bad)
}

/// `frame[..at]`, `new`, the rest from `skip` bytes further on.
fn spliced(frame: &[u8], at: usize, new: &[u8], skip: usize) -> Result<KVec<u8>> {
    let mut out = KVec::new();
    out.extend_from_slice(frame.get(..at).ok_or(EINVAL)?, GFP_KERNEL)?;
    out.extend_from_slice(new, GFP_KERNEL)?;
    out.extend_from_slice(frame.get(at + skip..).ok_or(EINVAL)?, GFP_KERNEL)?;
    Ok(out)
}

#[kernel::macros::kunit_tests(ovs_push_pop)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tag_stays_beside_the_data() -> Result {
        let bad = failures(|mut skb, complete| {
            skb.push_vlan(INNER)?;
            let c = view(&skb);
            Ok((c.vlan_tpid, c.vlan_tci) == (INNER.tpid, INNER.tci)
                && skb.vlan_tag() == Some(INNER)
                && holds(&skb, &UDP4)?
                && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn the_second_tag_moves_the_first_inside() -> Result {
        let inside = spliced(&UDP4, 12, &[0x81, 0, 0x40, 7], 0)?;
        let bad = failures(|mut skb, complete| {
            skb.push_vlan(INNER)?;
            skb.push_vlan(OUTER)?;
            Ok(skb.vlan_tag() == Some(OUTER)
                && holds(&skb, &inside)?
                && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn tags_are_popped_in_turn() -> Result {
        let bad = failures(|mut skb, complete| {
            skb.push_vlan(INNER)?;
            skb.push_vlan(OUTER)?;
            skb.pop_vlan()?;
            if skb.vlan_tag() != Some(INNER)
                || !holds(&skb, &UDP4)?
                || !sum_is_right(&skb, complete)
            {
                return Ok(false);
            }
            skb.pop_vlan()?;
            Ok(skb.vlan_tag().is_none() && holds(&skb, &UDP4)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn untagging_takes_the_tag_out_of_the_sum() -> Result {
        let tagged = spliced(&UDP4, 12, &[0x88, 0xa8, 0x20, 0x64], 0)?;
        let mut bad = 0;
        for shape in SHAPES {
            let mut skb = packet(&tagged, shape)?;
            make_complete(&mut skb);
            // As extraction calls it: the EtherType is linear.
            PacketOps::pull(&mut skb, 14).map_err(|_| ENOMEM)?;
            skb.untag_vlan().map_err(|_| ENOMEM)?;
            let right = skb.vlan_tag() == Some(OUTER) && holds(&skb, &UDP4)? && sum_holds(&skb);
            bad += usize::from(!right);
        }
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_tag_moved_inside_leaves_clones_alone() -> Result {
        let bad = failures(|mut skb, _| {
            let other = skb.clone_atomic().ok_or(ENOMEM)?;
            skb.push_vlan(INNER)?;
            skb.push_vlan(OUTER)?;
            Ok(holds(&other, &UDP4)? && other.vlan_beside().is_none())
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_label_goes_behind_the_ethernet_header() -> Result {
        let mut labelled = spliced(&UDP4, 14, &ENTRY, 0)?;
        labelled
            .iter_mut()
            .skip(12)
            .zip([0x88, 0x47])
            .for_each(|(to, b)| *to = b);
        let bad = failures(|mut skb, complete| {
            skb.push_mpls(ENTRY, 0x8847, 14)?;
            Ok(skb.protocol() == 0x8847 && holds(&skb, &labelled)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_label_in_front_of_all_makes_an_l3_packet() -> Result {
        let labelled = spliced(&UDP4, 0, &ENTRY, 0)?;
        let bad = failures(|mut skb, complete| {
            skb.push_mpls(ENTRY, 0x8847, 0)?;
            Ok(skb.protocol() == 0x8847 && holds(&skb, &labelled)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn labels_are_popped_in_turn() -> Result {
        let bad = failures(|mut skb, complete| {
            skb.push_mpls(ENTRY, 0x8847, 14)?;
            skb.push_mpls([0, 7, 0x4a, 64], 0x8847, 14)?;
            skb.pop_mpls(0x8847, true)?;
            if skb.protocol() != 0x8847 || bytes(&skb)?.get(14..18) != Some(&ENTRY[..]) {
                return Ok(false);
            }
            skb.pop_mpls(0x800, true)?;
            Ok(skb.protocol() == 0x800 && holds(&skb, &UDP4)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn without_labels_nothing_is_popped() -> Result {
        let bad = failures(|mut skb, complete| {
            skb.pop_mpls(0x800, true)?;
            Ok(skb.protocol() == 0x800 && holds(&skb, &UDP4)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn labels_leave_clones_alone() -> Result {
        let bad = failures(|mut skb, _| {
            let other = skb.clone_atomic().ok_or(ENOMEM)?;
            skb.push_mpls(ENTRY, 0x8847, 14)?;
            Ok(holds(&other, &UDP4)? && other.protocol() == 0x800)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn an_ethernet_header_comes_and_goes() -> Result {
        let bad = failures(|mut skb, complete| {
            skb.pop_eth()?;
            if !holds(&skb, UDP4.get(14..).unwrap_or(&[]))? || !sum_is_right(&skb, complete) {
                return Ok(false);
            }
            skb.push_eth(&[2, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 1])?;
            Ok(holds(&skb, &UDP4)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_tagged_packet_keeps_its_ethernet_header() -> Result {
        let bad = failures(|mut skb, _| {
            skb.push_vlan(INNER)?;
            Ok(skb.pop_eth() == Err(EPROTO)
                && skb.push_eth(&[0; 6], &[0; 6]) == Err(EPROTO)
                && holds(&skb, &UDP4)?)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_service_header_comes_and_goes() -> Result {
        // MD type 2 without context, Ethernet inside, path 1, index 255.
        let header = [0x0f, 0xc2, 2, 3, 0, 0, 1, 255];
        let with = spliced(&UDP4, 0, &header, 0)?;
        let bad = failures(|mut skb, complete| {
            skb.push_nsh(&header)?;
            if skb.protocol() != 0x894f || !holds(&skb, &with)? || !sum_is_right(&skb, complete) {
                return Ok(false);
            }
            skb.pop_nsh()?;
            Ok(skb.protocol() == 0x6558 && holds(&skb, &UDP4)? && sum_is_right(&skb, complete))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_service_header_of_another_length_is_refused() -> Result {
        let mut skb = ready(Shape::Linear, false)?;
        for header in [
            &[0x0f, 0xc2, 2, 3, 0, 0, 1][..],
            &[0x0f, 0xc3, 2, 3, 0, 0, 1, 255],
            &[],
        ] {
            assert_eq!(skb.push_nsh(header), Err(EINVAL));
        }
        assert!(holds(&skb, &UDP4)?);
        Ok(())
    }

    #[test]
    fn without_memory_a_clone_gets_neither_tag_nor_label() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let mut skb = ready(Shape::Linear, false)?;
        let other = skb.clone_atomic().ok_or(ENOMEM)?;
        fail_nth(1);
        let label = skb.push_mpls(ENTRY, 0x8847, 14);
        fail_nth(0);
        skb.push_vlan(INNER)?;
        fail_nth(1);
        let tag = skb.push_vlan(OUTER);
        fail_nth(0);
        assert!(label.is_err() && tag.is_err());
        assert!(holds(&skb, &UDP4)?);
        assert!(holds(&other, &UDP4)?);
        Ok(())
    }

    #[test]
    fn a_sum_that_is_left_to_the_device_goes_where_it_belongs() -> Result {
        let mut frame = UDP4;
        // The field's own value is what the device starts from; with the pseudo-header's it comes to the right sum.
        let pseudo: u32 = 0xa00 + 1 + 0xa00 + 2 + 17 + 26;
        // CAST: below 65536
        [frame[40], frame[41]] = (pseudo as u16).to_be_bytes();
        let service = [0x0f, 0xc2, 2, 3, 0, 0, 1, 255];
        type Change = fn(&mut SkBuff, &[u8; 8]) -> Result;
        // How many bytes more there are in front of IPv4 in the end.
        let changes: [(Change, usize, usize); 6] = [
            (|skb, _| skb.push_vlan(INNER), 14, 14),
            (
                |skb, _| {
                    skb.push_vlan(INNER)?;
                    skb.push_vlan(OUTER)
                },
                14,
                18,
            ),
            (
                |skb, _| {
                    skb.push_vlan(INNER)?;
                    skb.push_vlan(OUTER)?;
                    skb.pop_vlan()?;
                    skb.pop_vlan()
                },
                14,
                14,
            ),
            (|skb, _| skb.push_mpls(ENTRY, 0x8847, 14), 14, 18),
            (
                |skb, _| {
                    skb.pop_eth()?;
                    skb.push_eth(&[2, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 1])
                },
                14,
                14,
            ),
            (|skb, header| skb.push_nsh(header), 14, 22),
        ];
        let mut bad = 0;
        for (n, (change, from, to)) in changes.into_iter().enumerate() {
            for shape in SHAPES {
                let mut skb = ready(shape, false)?;
                skb.writable::<2>(40)?.copy_from_slice(&frame[40..42]);
                make_partial(&mut skb, 34, 6);
                change(&mut skb, &service)?;
                let still = skb.summed() == checksum::PARTIAL;
                skb.complete_checksum()?;
                let all = bytes(&skb)?;
                if !still || all.get(to..) != UDP4.get(from..) {
                    pr_err!("push_pop: partial, change {}\n", n);
                    bad += 1;
                }
            }
        }
        assert_eq!(bad, 0);
        Ok(())
    }
}
