// SPDX-License-Identifier: GPL-2.0
//! `rust/net/skbuff.rs` against the kernel's own view of a packet.
//!
//! C counterpart: none; `net/core/skbuff.c` is what it is held to.

use super::packet::{
    bytes, can_fail, fail_nth, freed, holds, init_net, make_complete, make_partial, packet,
    pattern, sum_holds, view, watch, Shape, UDP4,
};
use crate::datapath::env::{PacketMeta, PacketOps};
use crate::rust::bindings;
use crate::rust::net::genetlink::PacketMessage;
use crate::rust::net::skbuff::{checksum, SkBuff};
use crate::rust::sync::ProcessContext;
use core::ptr::NonNull;
use kernel::prelude::*;

/// A packet whose end is counted.
fn watched() -> Result<SkBuff> {
    let mut skb = packet(&UDP4, Shape::Linear)?;
    watch(&mut skb);
    Ok(skb)
}

/// Where a packet's bytes and headers are, and to whom it belongs.
fn place(skb: &SkBuff) -> (u32, u32, i32, i32, u32, u16, u32, u32) {
    let c = view(skb);
    let (network, transport) = (c.network, c.transport);
    let (len, head) = (c.len, c.headlen);
    (
        len, head, network, transport, c.mac_len, c.protocol, c.gso_size, c.users,
    )
}

/// Of a frame with IPv4 in it: where its headers are.
fn mark_ipv4(skb: &mut SkBuff) {
    skb.set_protocol(0x800);
    skb.set_network_header(14);
    skb.set_transport_header(34);
    skb.reset_mac_len();
}

#[kernel::macros::kunit_tests(ovs_skbuff)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_that_c_sees() -> Result {
        let frame = pattern(3000)?;
        for linear in [0, 1, 14, 100, 2999, 3000] {
            let skb = packet(&frame, Shape::Paged(linear))?;
            let c = view(&skb);
            assert_eq!(
                (skb.len(), skb.headlen()),
                (c.len as usize, c.headlen as usize)
            );
            assert_eq!((skb.len(), skb.headlen()), (3000, linear));
            assert!(skb.linear() == frame.get(..linear).unwrap_or(&[]));
        }
        Ok(())
    }

    #[test]
    fn pulling_makes_pages_linear() -> Result {
        let frame = pattern(3000)?;
        let mut skb = packet(&frame, Shape::Paged(10))?;
        assert!(skb.pull_tail(10));
        assert_eq!(skb.headlen(), 10);
        assert!(skb.pull_tail(1500));
        assert!(skb.headlen() >= 1500);
        assert!(holds(&skb, &frame)?);
        assert!(skb.pull_tail(3000));
        assert!(skb.linear() == frame.as_slice());
        Ok(())
    }

    #[test]
    fn pulling_gathers_a_list() -> Result {
        let frame = pattern(200)?;
        let mut skb = packet(&frame, Shape::Listed(5, 7))?;
        assert_eq!((skb.len(), skb.headlen()), (200, 5));
        assert!(skb.pull_tail(100));
        assert!(frame.starts_with(skb.linear()) && skb.headlen() >= 100);
        assert!(holds(&skb, &frame)?);
        Ok(())
    }

    #[test]
    fn pulling_past_the_end_changes_nothing() -> Result {
        let frame = pattern(100)?;
        let mut skb = packet(&frame, Shape::Paged(10))?;
        assert!(!skb.pull_tail(101));
        assert!(!skb.pull_tail(usize::MAX));
        assert_eq!((skb.len(), skb.headlen()), (100, 10));
        assert!(holds(&skb, &frame)?);
        Ok(())
    }

    #[test]
    fn marks_lie_where_c_has_them() -> Result {
        let mut skb = packet(&UDP4, Shape::Linear)?;
        skb.set_mac_header(0);
        skb.set_network_header(14);
        skb.set_transport_header(34);
        skb.reset_mac_len();
        let c = view(&skb);
        assert_eq!((c.network, c.transport, c.mac_len), (14, 34, 14));
        assert_eq!(
            (skb.network_offset(), skb.transport_offset(), skb.mac_len()),
            (14, 34, 14)
        );
        skb.set_inner_network_header(18);
        assert_eq!(skb.inner_network_offset(), 18);
        // In front of the data pointer they wrap, as signed numbers in C.
        assert!(skb.pull_rcsum(20));
        assert_eq!(view(&skb).network, -6);
        assert_eq!(skb.network_offset(), 6usize.wrapping_neg());
        Ok(())
    }

    #[test]
    fn fields_lie_where_c_has_them() -> Result {
        let mut skb = packet(&UDP4, Shape::Linear)?;
        skb.set_protocol(0x0800);
        skb.set_mark(0x1234_5678);
        skb.set_priority(7);
        skb.set_csum(0x9abc_def0);
        skb.set_ignore_df();
        let c = view(&skb);
        assert_eq!(
            (c.protocol, c.mark, c.priority, c.csum, c.ignore_df),
            (0x800, 0x1234_5678, 7, 0x9abc_def0, 1)
        );
        assert_eq!(
            (skb.protocol(), skb.mark(), skb.priority(), skb.csum()),
            (0x800, 0x1234_5678, 7, 0x9abc_def0)
        );
        Ok(())
    }

    #[test]
    fn hashes_lie_where_c_has_them() -> Result {
        let mut skb = packet(&UDP4, Shape::Linear)?;
        for (sw, l4) in [(false, false), (true, false), (false, true), (true, true)] {
            skb.set_raw_hash(0xfeed_beef, sw, l4);
            let c = view(&skb);
            assert_eq!(
                (c.hash, c.sw_hash != 0, c.l4_hash != 0),
                (0xfeed_beef, sw, l4)
            );
            assert_eq!(skb.raw_hash(), (0xfeed_beef, sw, l4));
        }
        Ok(())
    }

    #[test]
    fn a_symmetric_hash_does_not_know_directions() -> Result {
        let mut there = packet(&UDP4, Shape::Linear)?;
        let mut turned = UDP4;
        for (a, b) in [(26, 30), (27, 31), (28, 32), (29, 33), (34, 36), (35, 37)] {
            turned.swap(a, b);
        }
        let mut back = packet(&turned, Shape::Paged(40))?;
        for skb in [&mut there, &mut back] {
            skb.set_protocol(0x800);
            skb.set_network_header(14);
        }
        assert_eq!(there.symmetric_hash(), back.symmetric_hash());
        Ok(())
    }

    #[test]
    fn a_write_to_a_clone_leaves_the_other_alone() -> Result {
        let mut skb = packet(&UDP4, Shape::Linear)?;
        let clone = skb.clone_atomic().ok_or(ENOMEM)?;
        assert_eq!((view(&skb).cloned, view(&clone).cloned), (1, 1));
        skb.ensure_writable(14)?.fill(0xff);
        assert_eq!(view(&skb).cloned, 0);
        assert!(skb.linear().starts_with(&[0xff; 14]));
        assert!(holds(&clone, &UDP4)?);
        Ok(())
    }

    #[test]
    fn a_write_to_pages_of_a_clone_leaves_the_other_alone() -> Result {
        let frame = pattern(3000)?;
        for shape in [Shape::Paged(10), Shape::Listed(10, 500)] {
            let mut skb = packet(&frame, shape)?;
            let clone = skb.clone_atomic().ok_or(ENOMEM)?;
            skb.ensure_writable(2000)?.fill(0xff);
            assert!(holds(&clone, &frame)?);
            let changed = bytes(&skb)?;
            assert!(changed.iter().take(2000).all(|b| *b == 0xff));
            assert!(changed.get(2000..) == frame.get(2000..));
        }
        Ok(())
    }

    #[test]
    fn writing_past_the_end_is_refused() -> Result {
        let mut skb = packet(&UDP4, Shape::Paged(20))?;
        assert!(skb.ensure_writable(61).is_err());
        assert!(skb.ensure_writable(usize::MAX).is_err());
        assert!(holds(&skb, &UDP4)?);
        Ok(())
    }

    #[test]
    fn trimming_cuts_pages_and_lists() -> Result {
        let frame = pattern(3000)?;
        for shape in [Shape::Linear, Shape::Paged(10), Shape::Listed(10, 300)] {
            for len in [3001, 3000, 1234, 11, 10, 9, 1] {
                let mut skb = packet(&frame, shape)?;
                skb.trim(len)?;
                assert!(holds(&skb, frame.get(..len.min(3000)).unwrap_or(&[]))?);
            }
        }
        Ok(())
    }

    #[test]
    fn trimming_keeps_a_device_sum_or_forgets_it() -> Result {
        for shape in [Shape::Linear, Shape::Paged(20), Shape::Listed(20, 9)] {
            let mut skb = packet(&UDP4, shape)?;
            make_complete(&mut skb);
            skb.trim_rcsum(51)?;
            assert_eq!(skb.len(), 51);
            assert!(sum_holds(&skb) || skb.summed() != checksum::COMPLETE);
        }
        Ok(())
    }

    #[test]
    fn no_device_is_asked_for_a_sum_whose_place_was_cut_off() -> Result {
        for shape in [Shape::Linear, Shape::Paged(42)] {
            for (len, summed) in [
                (60, checksum::PARTIAL),
                (42, checksum::PARTIAL),
                (41, 0),
                (14, 0),
            ] {
                let mut skb = packet(&UDP4, shape)?;
                make_partial(&mut skb, 34, 6);
                skb.trim(len)?;
                assert_eq!((skb.len(), skb.summed()), (len, summed));
                assert_eq!(skb.complete_checksum(), Ok(()));
            }
        }
        Ok(())
    }

    #[test]
    fn no_device_is_asked_for_a_sum_over_headers_that_are_gone() -> Result {
        let mut eth = packet(&UDP4, Shape::Linear)?;
        eth.set_network_header(14);
        eth.reset_mac_len();
        make_partial(&mut eth, 2, 20);
        eth.pop_eth()?;

        let mut frame = UDP4;
        [frame[12], frame[13]] = [0x88, 0x47];
        let mut mpls = packet(&frame, Shape::Linear)?;
        mpls.set_protocol(0x8847);
        mpls.set_network_header(14);
        mpls.reset_mac_len();
        make_partial(&mut mpls, 2, 20);
        mpls.pop_mpls(0x0800, true)?;

        let mut frame = KVec::new();
        // Two words, metadata type 2, an Ethernet frame follows.
        frame.extend_from_slice(&[0x0f, 0xc2, 2, 3, 0, 0, 0, 0], GFP_KERNEL)?;
        frame.extend_from_slice(&UDP4, GFP_KERNEL)?;
        let mut nsh = packet(&frame, Shape::Linear)?;
        make_partial(&mut nsh, 6, 20);
        nsh.pop_nsh()?;

        let mut frame = UDP4;
        [frame[12], frame[13], frame[16], frame[17]] = [0x81, 0, 8, 0];
        let mut tagged = packet(&frame, Shape::Linear)?;
        make_partial(&mut tagged, 2, 20);
        tagged.vlan_untag()?;

        let mut tracked = packet(&UDP4, Shape::Linear)?;
        make_partial(&mut tracked, 0, 16);
        assert!(tracked.pull_rcsum(14));

        for (skb, len) in [
            (eth, 46),
            (mpls, 56),
            (nsh, 60),
            (tagged, 56),
            (tracked, 46),
        ]
        .iter_mut()
        {
            assert_eq!((skb.len(), skb.summed()), (*len, 0));
            assert_eq!(skb.complete_checksum(), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn headers_do_not_grow_until_a_sum_would_begin_before_the_packet() -> Result {
        let mut header = KVec::new();
        header.extend_from_slice(&[0x0f, 0xfe, 2, 3, 0, 0, 0, 0], GFP_KERNEL)?; // 62 words
        header.extend_from_slice(&[0; 240], GFP_KERNEL)?;
        let mut skb = packet(&pattern(61_000)?, Shape::Linear)?;
        mark_ipv4(&mut skb);
        make_partial(&mut skb, 60_800, 6);
        let mut pushed = 0;
        let why = loop {
            match skb.push_nsh(&header) {
                Ok(()) => pushed += 1,
                Err(why) => break why,
            }
        };
        assert_eq!((why, skb.summed()), (EMSGSIZE, checksum::PARTIAL));
        assert!((1..4).contains(&pushed));
        let labelled = skb.push_mpls([0; 4], 0x8847, 0);
        let framed = skb.push_eth(&[0; 6], &[0; 6]);
        skb.set_vlan_beside(0x8100, 1);
        assert_eq!((labelled.is_ok(), framed.is_ok()), (true, true)); // there is room for less
        assert_eq!(skb.complete_checksum(), Ok(()));
        Ok(())
    }

    #[test]
    fn pages_that_only_a_device_can_read_are_not_shared() -> Result {
        /// Where nobody listens: so far comes what could be put together.
        const NOBODY: u32 = 0x7fff_fff0;
        let frame = pattern(3000)?;
        for (unreadable, errno) in [(false, ECONNREFUSED), (true, EFAULT)] {
            let mut skb = packet(&frame, Shape::Paged(60))?;
            if unreadable {
                // SAFETY: valid and ours.
                unsafe { bindings::rust_helper_kunit_make_unreadable(skb.as_ptr()) };
            }
            let msg = PacketMessage::new(24, 60)?;
            let sent = msg.send(24, 1, (&mut skb, 3000), false, init_net(), NOBODY);
            assert_eq!(sent, Err(errno));
        }
        Ok(())
    }

    #[test]
    fn moving_the_data_pointer_keeps_a_device_sum() -> Result {
        for shape in [Shape::Linear, Shape::Paged(34)] {
            let mut skb = packet(&UDP4, shape)?;
            make_complete(&mut skb);
            assert!(skb.pull_rcsum(14));
            assert!(sum_holds(&skb));
            assert!(skb.pull_rcsum(20));
            assert!(sum_holds(&skb));
            assert!(skb.push_rcsum(34));
            assert!(sum_holds(&skb));
            assert!(holds(&skb, &UDP4)?);
        }
        Ok(())
    }

    #[test]
    fn the_data_pointer_stays_within_the_packet() -> Result {
        let mut skb = packet(&UDP4, Shape::Paged(34))?;
        assert!(!skb.pull_rcsum(35));
        assert!(!skb.push_rcsum(100_000));
        assert!(holds(&skb, &UDP4)?);
        Ok(())
    }

    #[test]
    fn the_only_owner_keeps_the_packet() -> Result {
        let skb = watched()?;
        let before = freed();
        let raw = skb.into_raw();
        assert_eq!(freed(), before);
        // SAFETY: just given away, with the only reference.
        let again =
            unsafe { SkBuff::from_shared(NonNull::new(raw).ok_or(EINVAL)?) }.ok_or(ENOMEM)?;
        assert!(again.as_ptr() == raw);
        drop(again);
        assert_eq!(freed(), before + 1);
        Ok(())
    }

    #[test]
    fn a_shared_packet_is_taken_over_as_a_clone() -> Result {
        let raw = watched()?.into_raw();
        let before = freed();
        // SAFETY: valid; a second reference, as a packet socket takes it.
        unsafe { bindings::rust_helper_kunit_get(raw) };
        // SAFETY: one of the two references is given away.
        let ours =
            unsafe { SkBuff::from_shared(NonNull::new(raw).ok_or(EINVAL)?) }.ok_or(ENOMEM)?;
        assert!(ours.as_ptr() != raw);
        assert_eq!(view(&ours).users, 1);
        assert!(holds(&ours, &UDP4)?);
        // SAFETY: the other one.
        let theirs = unsafe { SkBuff::from_raw(NonNull::new(raw).ok_or(EINVAL)?) };
        assert_eq!((view(&theirs).users, freed()), (1, before));
        drop(ours);
        assert_eq!(freed(), before);
        drop(theirs);
        assert_eq!(freed(), before + 1);
        Ok(())
    }

    #[test]
    fn each_end_frees_once() -> Result {
        let before = freed();
        drop(watched()?);
        assert_eq!(freed(), before + 1);
        watched()?.kfree(bindings::ovs_core_drop_DROP_NOT_SPECIFIED);
        assert_eq!(freed(), before + 2);
        Ok(())
    }

    #[test]
    fn clones_inherit_what_the_switch_keeps() -> Result {
        let mut skb = packet(&UDP4, Shape::Linear)?;
        let meta = PacketMeta {
            in_port: 1,
            mru: 2,
            cutlen: 3,
            probability: 4,
            upcall_pid: 5,
            acts_origlen: 6,
        };
        *skb.meta_mut() = meta;
        skb.set_mark(9);
        let clone = skb.clone_atomic().ok_or(ENOMEM)?;
        assert_eq!((*clone.meta(), clone.mark()), (meta, 9));
        Ok(())
    }

    #[test]
    fn a_copy_has_its_own_bytes_and_no_state() -> Result {
        // SAFETY: a test runs in process context.
        let ctx = unsafe { ProcessContext::assume() };
        let skb = SkBuff::from_bytes(&UDP4, &ctx)?;
        let c = view(&skb);
        assert!(holds(&skb, &UDP4)?);
        assert_eq!((c.users, c.cloned, c.mark, c.ip_summed), (1, 0, 0, 0));
        assert_eq!(*skb.meta(), PacketMeta::default());
        assert!(matches!(SkBuff::from_bytes(&[], &ctx), Err(EINVAL)));
        Ok(())
    }

    #[test]
    fn aggregates_are_known_and_cut() -> Result {
        let mut frame = KVec::new();
        frame.extend_from_slice(&UDP4, GFP_KERNEL)?;
        frame.extend_from_slice(&[0x5a; 2940], GFP_KERNEL)?;
        for shape in [Shape::Linear, Shape::Paged(60)] {
            let mut skb = packet(&frame, shape)?;
            assert!(!skb.is_gso() && !skb.is_gso_udp());
            mark_ipv4(&mut skb);
            // SKB_GSO_UDP: fragments with 1000 bytes of what follows the IPv4 header.
            // SAFETY: valid and ours.
            unsafe {
                bindings::rust_helper_kunit_make_gso(skb.as_ptr(), 1000, bindings::ovs_gso_GSO_UDP)
            };
            assert!(skb.is_gso() && skb.is_gso_udp());
            assert_eq!(view(&skb).gso_size, 1000);
            let (mut count, mut rest) = (0, 0);
            skb.for_each_segment(&mut |segment, n| {
                count += usize::from(n == count && !segment.is_gso());
                rest += segment.len().saturating_sub(34);
                Ok(())
            })?;
            assert_eq!((count, rest), (3, 3000 - 34));
        }
        Ok(())
    }

    /// The header of IPv6 fragments is put in between, where the bytes before it were.
    #[test]
    fn an_ipv6_aggregate_of_fragments_stays_whole_when_it_is_cut() -> Result {
        let mut frame = KVec::new();
        frame.extend_from_slice(&UDP4[..12], GFP_KERNEL)?;
        // 2008 bytes of UDP.
        frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 7, 0xd8, 17, 64], GFP_KERNEL)?;
        frame.extend_from_slice(&[0x11; 32], GFP_KERNEL)?;
        frame.extend_from_slice(&[0, 1, 0, 2, 7, 0xd8, 0, 0], GFP_KERNEL)?;
        frame.extend_from_slice(&[0x5a; 2000], GFP_KERNEL)?;
        for shape in [Shape::Linear, Shape::Paged(62)] {
            let mut skb = packet(&frame, shape)?;
            skb.set_protocol(0x86dd);
            skb.set_mac_header(0);
            skb.set_network_header(14);
            skb.set_transport_header(54);
            skb.reset_mac_len();
            make_partial(&mut skb, 54, 6);
            // SAFETY: valid and ours.
            unsafe {
                bindings::rust_helper_kunit_make_gso(skb.as_ptr(), 1000, bindings::ovs_gso_GSO_UDP)
            };
            let before = place(&skb);
            let mut fragments = 0;
            skb.for_each_segment(&mut |fragment, _| {
                fragments += usize::from(bytes(fragment)?.get(20) == Some(&44));
                Ok(())
            })?;
            assert_eq!(fragments, 3);
            assert!(holds(&skb, &frame)?);
            assert_eq!(place(&skb), before);
        }
        Ok(())
    }

    #[test]
    fn a_tunnelled_aggregate_stays_whole_when_it_is_cut() -> Result {
        const INNER: usize = 14 + 20 + 8 + 8;
        let mut frame = KVec::new();
        frame.extend_from_slice(&UDP4[..42], GFP_KERNEL)?;
        frame.extend_from_slice(&[8, 0, 0, 0, 0, 0, 7, 0], GFP_KERNEL)?; // VXLAN
        frame.extend_from_slice(&UDP4[..34], GFP_KERNEL)?;
        frame.extend_from_slice(&[0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0x50, 16], GFP_KERNEL)?;
        frame.extend_from_slice(&[0; 6], GFP_KERNEL)?;
        frame.extend_from_slice(&[0x5a; 2500], GFP_KERNEL)?;
        frame[INNER + 23] = 6; // TCP
        let mut skb = packet(&frame, Shape::Paged(INNER + 54))?;
        mark_ipv4(&mut skb);
        // SAFETY: valid and ours; the inner headers are linear.
        unsafe {
            bindings::rust_helper_kunit_make_tunnelled(skb.as_ptr(), INNER as u32, 1000);
        }
        let before = place(&skb);
        let mut lens = KVec::new();
        skb.for_each_segment(&mut |segment, _| Ok(lens.push(segment.len(), GFP_KERNEL)?))?;
        assert!(lens.as_slice() == [INNER + 54 + 1000, INNER + 54 + 1000, INNER + 54 + 500]);
        assert!(holds(&skb, &frame)?);
        assert_eq!(place(&skb), before);
        Ok(())
    }

    #[test]
    fn a_list_of_frames_stays_whole_when_it_is_cut() -> Result {
        let mut frames = KVec::new();
        frames.extend_from_slice(&UDP4, GFP_KERNEL)?;
        frames.extend_from_slice(&UDP4[42..], GFP_KERNEL)?;
        frames.extend_from_slice(&UDP4[42..], GFP_KERNEL)?;
        // SAFETY: so many bytes are there.
        let skb = unsafe { bindings::rust_helper_kunit_gro_list(UDP4.as_ptr(), 60, 3) };
        // SAFETY: fresh, and given to us.
        let mut skb = unsafe { SkBuff::from_raw(NonNull::new(skb).ok_or(ENOMEM)?) };
        mark_ipv4(&mut skb);
        let before = place(&skb);
        let (mut count, mut good) = (0, 0);
        skb.for_each_segment(&mut |segment, _| {
            // The stack gives each an IPv4 identification of its own.
            good += usize::from(bytes(segment)?.get(34..) == UDP4.get(34..));
            good += usize::from(view(segment).users == 1);
            count += 1;
            Ok(())
        })?;
        assert_eq!((count, good), (3, 6));
        assert!(holds(&skb, &frames)?);
        assert_eq!(place(&skb), before);
        Ok(())
    }

    #[test]
    fn segments_after_an_error_are_freed() -> Result {
        let mut frame = KVec::new();
        frame.extend_from_slice(&UDP4, GFP_KERNEL)?;
        frame.extend_from_slice(&[0x5a; 2940], GFP_KERNEL)?;
        let mut skb = packet(&frame, Shape::Paged(60))?;
        mark_ipv4(&mut skb);
        // SAFETY: valid and ours.
        unsafe {
            bindings::rust_helper_kunit_make_gso(skb.as_ptr(), 1000, bindings::ovs_gso_GSO_UDP)
        };
        let mut seen = 0;
        let result = skb.for_each_segment(&mut |_, n| {
            seen = n;
            if n == 1 {
                Err(EBUSY)
            } else {
                Ok(())
            }
        });
        assert_eq!((result, seen), (Err(EBUSY), 1));
        Ok(())
    }

    #[test]
    fn without_memory_nothing_changes() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let frame = pattern(3000)?;
        let mut skb = packet(&frame, Shape::Paged(10))?;
        fail_nth(1);
        let clone = skb.clone_atomic();
        fail_nth(0);
        assert!(clone.is_none());
        let clone = skb.clone_atomic().ok_or(ENOMEM)?;
        fail_nth(1);
        let pulled = skb.pull_tail(2000);
        fail_nth(1);
        let written = skb.ensure_writable(2000).is_ok();
        fail_nth(0);
        assert!(!pulled && !written);
        assert!(holds(&skb, &frame)?);
        assert!(holds(&clone, &frame)?);
        Ok(())
    }
}
