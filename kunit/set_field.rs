// SPDX-License-Identifier: GPL-2.0
//! SET on real packets: fields, header sums, transport sums and the device's sum (spec A15 to A22).
//!
//! C counterpart: none; the `set_*()` functions of `net/openvswitch/actions.c`.

use super::packet::{
    bytes, check, holds, make_complete, make_partial, packet, sum_holds, Shape, UDP4,
};
use crate::datapath::actions::list::Field;
use crate::datapath::actions::set_field;
use crate::datapath::actions::validate::Checker;
use crate::datapath::flow::extract::from_device;
use crate::datapath::flow::parts::FlowKey;
use crate::rust::net::skbuff::{checksum, SkBuff};
use kernel::prelude::*;

const SHAPES: [Shape; 5] = [
    Shape::Linear,
    Shape::Paged(0),
    Shape::Paged(33),
    Shape::Listed(0, 3),
    Shape::Listed(20, 30),
];

/// `struct ovs_key_ipv4` with other addresses, TOS and TTL.
const IPV4: [u8; 12] = [192, 168, 255, 254, 172, 16, 0, 9, 17, 0xb8, 3, 0];
const IPV4_MASK: [u8; 12] = [255, 255, 255, 255, 255, 255, 255, 255, 0, 255, 255, 0];
/// `struct ovs_key_udp`
const UDP: [u8; 4] = [0xff, 0xfe, 0, 1];

fn ready(shape: Shape) -> Result<(SkBuff, FlowKey)> {
    let mut skb = packet(&UDP4, shape)?;
    let key = from_device(&mut skb, 1, true).map_err(|_| EINVAL)?;
    Ok((skb, key))
}

/// SET_MASKED, as a flow of [`UDP4`] has it.
fn set(skb: &mut SkBuff, key: &mut FlowKey, field: Field, value: &[u8], mask: &[u8]) -> Result {
    let (_, whole) = ready(Shape::Linear)?;
    let mut inside = KVec::new();
    for (v, m) in value.iter().zip(mask) {
        inside.push(v & m, GFP_KERNEL)?;
    }
    let mut list = Checker::new(whole.core(), 64);
    list.set_masked(field, &inside, mask).map_err(|_| EINVAL)?;
    let acts = list.finish().map_err(|_| EINVAL)?;
    match acts.as_slice() {
        [action] if action.is_set() => set_field::set(skb, key, &acts, action),
        _ => Err(EINVAL),
    }
}

/// Both sums of a frame like [`UDP4`] are right.
fn sums_hold(f: &[u8]) -> bool {
    let Some(pseudo) = f.get(26..34) else {
        return false;
    };
    let addresses = pseudo.chunks(2).fold(0u32, |sum, w| match *w {
        [a, b] => sum + u32::from(u16::from_be_bytes([a, b])),
        _ => sum,
    });
    // A sum over bytes that include the field for it comes to nothing.
    check(f, 14, 34, 0) == 0 && check(f, 34, 60, addresses + 17 + 26) == 0
}

/// Runs `f` in all shapes; how often it says no.
fn failures(mut f: impl FnMut(SkBuff, FlowKey) -> Result<bool>) -> Result<usize> {
    let mut bad = 0;
    for (n, shape) in SHAPES.into_iter().enumerate() {
        let (skb, key) = ready(shape)?;
        if !f(skb, key)? {
            pr_err!("set_field: shape {}\n", n);
            bad += 1;
        }
    }
    Ok(bad)
}

#[kernel::macros::kunit_tests(ovs_set_field)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_that_all_start_from_is_right() {
        assert!(sums_hold(&UDP4));
    }

    #[test]
    fn addresses_change_with_both_sums() -> Result {
        let bad = failures(|mut skb, mut key| {
            set(&mut skb, &mut key, Field::Ipv4, &IPV4, &IPV4_MASK)?;
            let f = bytes(&skb)?;
            let ip = f.get(14..).unwrap_or(&[]);
            Ok(sums_hold(&f)
                && ip.get(12..20) == IPV4.get(..8)
                && (ip.get(1), ip.get(8)) == (Some(&0xb8), Some(&3))
                && (key.ipv4_src, key.ipv4_dst) == ([192, 168, 255, 254], [172, 16, 0, 9])
                && (key.ip_tos, key.ip_ttl) == (0xb8, 3))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn only_bits_of_the_mask_change() -> Result {
        let bad = failures(|mut skb, mut key| {
            let mut mask = [0; 12];
            mask[3] = 0xf0;
            set(&mut skb, &mut key, Field::Ipv4, &IPV4, &mask)?;
            let f = bytes(&skb)?;
            Ok(sums_hold(&f)
                && f.get(26..34) == Some(&[10, 0, 0, 0xf1, 10, 0, 0, 2])
                && key.ipv4_src == [10, 0, 0, 0xf1])
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn ports_change_with_their_sum() -> Result {
        let bad = failures(|mut skb, mut key| {
            set(&mut skb, &mut key, Field::Udp, &UDP, &[255; 4])?;
            let f = bytes(&skb)?;
            Ok(sums_hold(&f)
                && f.get(34..38) == Some(&UDP)
                && (key.tp_src.get(), key.tp_dst.get()) == (0xfffe, 1))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_device_sum_follows_every_change() -> Result {
        let bad = failures(|mut skb, mut key| {
            make_complete(&mut skb);
            set(&mut skb, &mut key, Field::Ipv4, &IPV4, &IPV4_MASK)?;
            let after_ip = sum_holds(&skb);
            set(&mut skb, &mut key, Field::Udp, &UDP, &[255; 4])?;
            let after_udp = sum_holds(&skb);
            set(&mut skb, &mut key, Field::Ethernet, &[6; 12], &[255; 12])?;
            let after_eth = sum_holds(&skb);
            let f = bytes(&skb)?;
            Ok(after_ip && after_udp && after_eth && sums_hold(&f) && f.starts_with(&[6; 12]))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_packet_without_a_transport_sum_gets_none() -> Result {
        let mut frame = UDP4;
        frame[40] = 0;
        frame[41] = 0;
        let mut bad = 0;
        for shape in SHAPES {
            let mut skb = packet(&frame, shape)?;
            let mut key = from_device(&mut skb, 1, true).map_err(|_| EINVAL)?;
            set(&mut skb, &mut key, Field::Ipv4, &IPV4, &IPV4_MASK)?;
            set(&mut skb, &mut key, Field::Udp, &UDP, &[255; 4])?;
            bad += usize::from(bytes(&skb)?.get(40..42) != Some(&[0, 0]));
        }
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn clones_keep_what_they_have() -> Result {
        let bad = failures(|mut skb, mut key| {
            let other = skb.clone_atomic().ok_or(ENOMEM)?;
            set(&mut skb, &mut key, Field::Ethernet, &[6; 12], &[255; 12])?;
            set(&mut skb, &mut key, Field::Ipv4, &IPV4, &IPV4_MASK)?;
            set(&mut skb, &mut key, Field::Udp, &UDP, &[255; 4])?;
            Ok(holds(&other, &UDP4)? && sums_hold(&bytes(&skb)?))
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn what_is_not_in_the_packet_is_left_alone() -> Result {
        let mut bad = 0;
        for shape in SHAPES {
            let mut skb = packet(UDP4.get(..38).unwrap_or(&[]), shape)?;
            let mut key = from_device(&mut skb, 1, true).map_err(|_| EINVAL)?;
            // Four of the eight bytes of a header.
            let refused = set(&mut skb, &mut key, Field::Udp, &UDP, &[255; 4]).is_err();
            bad += usize::from(!refused || !holds(&skb, UDP4.get(..38).unwrap_or(&[]))?);
        }
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn mark_and_priority_are_the_packets_own() -> Result {
        let (mut skb, mut key) = ready(Shape::Linear)?;
        set(
            &mut skb,
            &mut key,
            Field::Mark,
            &0x1234u32.to_ne_bytes(),
            &[255; 4],
        )?;
        set(
            &mut skb,
            &mut key,
            Field::Priority,
            &5u32.to_ne_bytes(),
            &[255; 4],
        )?;
        assert_eq!(
            (skb.mark(), skb.priority(), key.mark, key.priority),
            (0x1234, 5, 0x1234, 5)
        );
        Ok(())
    }

    #[test]
    fn a_sum_that_is_left_to_the_device_follows_addresses() -> Result {
        let mut frame = UDP4;
        // What the device starts from: the pseudo-header.
        let pseudo = !check(&[], 0, 0, 0xa00 + 1 + 0xa00 + 2 + 17 + 26);
        [frame[40], frame[41]] = pseudo.to_be_bytes();
        let mut bad = 0;
        for (n, shape) in SHAPES.into_iter().enumerate() {
            let mut skb = packet(&frame, shape)?;
            make_partial(&mut skb, 34, 6);
            let mut key = from_device(&mut skb, 1, true).map_err(|_| EINVAL)?;
            set(&mut skb, &mut key, Field::Ipv4, &IPV4, &IPV4_MASK)?;
            set(&mut skb, &mut key, Field::Udp, &UDP, &[255; 4])?;
            let still = skb.summed() == checksum::PARTIAL;
            skb.complete_checksum()?;
            let f = bytes(&skb)?;
            if !still || !sums_hold(&f) || f.get(34..38) != Some(&UDP) {
                pr_err!("set_field: partial, shape {}\n", n);
                bad += 1;
            }
        }
        assert_eq!(bad, 0);
        Ok(())
    }
}
