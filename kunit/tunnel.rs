// SPDX-License-Identifier: GPL-2.0
//! References to tunnel metadata (`metadata_dst`), which actions and packets share (spec A26).
//!
//! C counterpart: none; `net/core/dst.c` is what it stands on.

use super::packet::{can_fail, fail_nth, leaks_are_watched, packet, Shape, UDP4};
use crate::datapath::env::{PacketOps, TunnelInfo, TxTunnel, TxTunnelOps};
use crate::datapath::flow::key::{tun_flag, TUN_IPV4};
use crate::datapath::wire::be::Be16;
use crate::rust::bindings;
use crate::rust::net::skbuff::SkBuff;
use crate::sys;
use kernel::prelude::*;

fn info(options: &[u8]) -> TunnelInfo<'_> {
    TunnelInfo {
        id: [0, 0, 0, 0, 0, 0, 0, 7],
        proto: TUN_IPV4,
        src: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        dst: [10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        tp_src: Be16::new(0),
        tp_dst: Be16::new(6081),
        flags: tun_flag::KEY | tun_flag::GENEVE_OPT,
        tos: 0,
        ttl: 64,
        options,
    }
}

/// References to what is attached to the packet.
fn references(skb: &SkBuff) -> u32 {
    // SAFETY: valid; only reads.
    unsafe { bindings::rust_helper_kunit_dst_refs(skb.as_ptr()) }
}

/// All that waits for a grace period has been done.
fn synchronize() {
    sys::synchronize_rcu();
    sys::rcu_barrier();
}

/// Has the tunnel of one packet remember that of another as its route; false if it has no such memory.
fn cache_route(skb: &mut SkBuff, route: &SkBuff) -> bool {
    // SAFETY: both valid.
    unsafe { bindings::rust_helper_kunit_cache_route(skb.as_ptr(), route.as_ptr()) }
}

#[kernel::macros::kunit_tests(ovs_tunnel)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_references_of_their_own() -> Result {
        let tunnel = TxTunnel::new(&info(&[1, 2, 0x80, 0]))?;
        let mut skb = packet(&UDP4, Shape::Linear)?;
        let had = skb.has_state();
        PacketOps::set_tunnel(&mut skb, &tunnel);
        let first = references(&skb);
        let clone = skb.clone_atomic().ok_or(ENOMEM)?;
        let second = references(&skb);
        drop(tunnel);
        let third = references(&skb);
        drop(skb);
        let last = references(&clone);
        let has = clone.has_state();
        drop(clone);
        assert!(!had && has);
        assert_eq!((first, second, third, last), (2, 3, 2, 1));
        Ok(())
    }

    #[test]
    fn another_tunnel_takes_the_place_of_the_first() -> Result {
        let one = TxTunnel::new(&info(&[]))?;
        let other = TxTunnel::new(&info(&[0; 252]))?;
        let (mut skb, mut kept) = (packet(&UDP4, Shape::Linear)?, packet(&UDP4, Shape::Linear)?);
        PacketOps::set_tunnel(&mut skb, &one);
        PacketOps::set_tunnel(&mut kept, &one);
        let before = references(&kept);
        PacketOps::set_tunnel(&mut skb, &other);
        let after = (references(&kept), references(&skb));
        assert_eq!(before, 3);
        assert_eq!(after, (2, 2));
        Ok(())
    }

    #[test]
    fn a_tunnel_says_what_it_was_given() -> Result {
        let options = [1, 2, 0x80, 1, 5, 6, 7, 8];
        let given = info(&options);
        let tunnel = TxTunnel::new(&given)?;
        let mut skb = packet(&UDP4, Shape::Linear)?;
        PacketOps::set_tunnel(&mut skb, &tunnel);
        let told = skb.tunnel().ok_or(EINVAL)?;
        assert_eq!(
            (told.id, told.proto, told.src, told.dst),
            (given.id, given.proto, given.src, given.dst)
        );
        assert_eq!(
            (told.tos, told.ttl, told.options),
            (given.tos, given.ttl, given.options)
        );
        Ok(())
    }

    #[test]
    fn scrubbing_lets_go_of_the_tunnel() -> Result {
        let tunnel = TxTunnel::new(&info(&[]))?;
        let (mut skb, mut kept) = (packet(&UDP4, Shape::Linear)?, packet(&UDP4, Shape::Linear)?);
        PacketOps::set_tunnel(&mut skb, &tunnel);
        PacketOps::set_tunnel(&mut kept, &tunnel);
        skb.scrub();
        let seen = (skb.has_state(), references(&kept));
        assert_eq!(seen, (false, 2));
        Ok(())
    }

    #[test]
    fn without_memory_there_is_no_tunnel() -> Result {
        if !can_fail() {
            return Ok(());
        }
        fail_nth(1);
        let made = TxTunnel::new(&info(&[0; 100]));
        fail_nth(0);
        let failed = matches!(made, Err(ENOMEM));
        drop(made);
        assert!(failed);
        Ok(())
    }

    #[test]
    fn a_route_is_remembered_as_long_as_the_tunnel() -> Result {
        let (tunnel, way) = (TxTunnel::new(&info(&[]))?, TxTunnel::new(&info(&[]))?);
        let (mut skb, mut route) = (packet(&UDP4, Shape::Linear)?, packet(&UDP4, Shape::Linear)?);
        PacketOps::set_tunnel(&mut skb, &tunnel);
        PacketOps::set_tunnel(&mut route, &way);
        let before = references(&route);
        let cached = cache_route(&mut skb, &route);
        let during = references(&route);
        drop(tunnel);
        let kept = references(&route);
        drop(skb);
        // The metadata ends after a grace period, and its routes with it.
        synchronize();
        let after = references(&route);
        assert!(cached);
        assert_eq!((before, during, kept, after), (2, 3, 3, 2));
        Ok(())
    }

    #[test]
    fn each_allocation_of_a_tunnel_can_fail() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let (mut failed, mut wrong) = (0, 0);
        for n in 1..100 {
            fail_nth(n);
            let made = TxTunnel::new(&info(&[0; 100]));
            if fail_nth(0) != 0 {
                wrong += u32::from(made.is_err());
                break;
            }
            match made {
                Err(ENOMEM) => failed += 1,
                Ok(_) if leaks_are_watched() => {}
                _ => wrong += 1,
            }
        }
        // The metadata, and a cache of routes for each CPU; that one is cut from what is there already, mostly.
        assert_eq!(wrong, 0);
        assert!(failed >= 1);
        Ok(())
    }
}
