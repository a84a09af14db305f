// SPDX-License-Identifier: GPL-2.0
//! References to connections (`nf_conn`), and fragments on their way through the tracker (spec C4 to C8).
//!
//! C counterpart: none; `net/netfilter/nf_conntrack_core.c` is what it stands on.

use super::fragment::Whole;
use super::packet::{can_fail, fail_nth, holds, init_net, packet, Shape, UDP4};
use crate::datapath::env::PacketOps;
use crate::rust::bindings;
use crate::rust::net::conntrack::{Template, Tracked};
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::BhGuard;
use crate::sys;
use kernel::prelude::*;

/// Nobody else's.
const ZONE: u16 = 0x7a7a;

const SHAPES: [Shape; 4] = [
    Shape::Linear,
    Shape::Paged(0),
    Shape::Paged(40),
    Shape::Listed(34, 9),
];

/// References to the packet's connection, 0 if it has none.
fn references(skb: &SkBuff) -> u32 {
    // SAFETY: valid; only reads.
    unsafe { bindings::rust_helper_kunit_ct_refs(skb.as_ptr()) }
}

/// Connections in this namespace.
fn connections() -> u32 {
    // SAFETY: always allowed.
    unsafe { bindings::rust_helper_kunit_ct_count() }
}

/// Forgets the zone's connections, and waits until they are gone.
fn flush() {
    // SAFETY: a test runs in process context.
    unsafe { bindings::rust_helper_kunit_ct_flush(ZONE) };
    sys::synchronize_rcu();
    sys::rcu_barrier();
}

fn template() -> Result<Template> {
    let mut template = Template::for_zone(init_net(), false, ZONE)?;
    template.seal(true);
    Ok(template)
}

/// A packet as the tracker wants it: its data start at the IPv4 header. `port` is its source port.
fn ready(shape: Shape, port: u16) -> Result<SkBuff> {
    let mut frame = UDP4;
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    // No sum: any is right.
    frame[40..42].copy_from_slice(&[0, 0]);
    let mut skb = packet(&frame, shape)?;
    PacketOps::pull(&mut skb, 34).map_err(|_| ENOMEM)?;
    if !skb.pull_rcsum(14) {
        return Err(EINVAL);
    }
    skb.set_protocol(0x800);
    skb.set_network_header(0);
    skb.set_transport_header(20);
    Ok(skb)
}

fn accepted(tracked: Tracked) -> Result<SkBuff> {
    match tracked {
        Tracked::Accept(skb) => Ok(skb),
        Tracked::Drop(_) => Err(EPERM),
        Tracked::Stolen => Err(EBUSY),
    }
}

fn track(skb: SkBuff, template: &Template) -> Result<SkBuff> {
    let _bh = BhGuard::enter();
    accepted(skb.ct_track(init_net(), template))
}

fn confirm(skb: SkBuff) -> Result<SkBuff> {
    let _bh = BhGuard::enter();
    accepted(skb.ct_confirm())
}

#[kernel::macros::kunit_tests(ovs_conntrack)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_the_only_reference_to_a_new_connection() -> Result {
        let template = template()?;
        let before = connections();
        let mut bad = 0;
        for shape in SHAPES {
            let mut skb = track(ready(shape, 1000)?, &template)?;
            let alone = references(&skb);
            let clone = skb.clone_atomic().ok_or(ENOMEM)?;
            let shared = references(&skb);
            drop(skb);
            let left = references(&clone);
            let counted = connections();
            drop(clone);
            bad += usize::from(
                (alone, shared, left, counted, connections()) != (1, 2, 1, before + 1, before),
            );
        }
        assert_eq!(bad, 0);
        assert_eq!(template.references(), 1);
        Ok(())
    }

    #[test]
    fn the_table_has_one_of_its_own() -> Result {
        let template = template()?;
        let before = connections();
        let skb = confirm(track(ready(Shape::Paged(0), 1001)?, &template)?)?;
        let during = references(&skb);
        drop(skb);
        let kept = connections();
        // The second packet finds it.
        let mut again = track(ready(Shape::Linear, 1001)?, &template)?;
        let found = (references(&again), connections());
        {
            let _bh = BhGuard::enter();
            again.ct_delete();
        }
        let deleted = references(&again);
        drop(again);
        flush();
        let after = connections();
        assert_eq!((during, kept), (2, before + 1));
        assert_eq!((found, deleted, after), ((2, before + 1), 1, before));
        assert_eq!(template.references(), 1);
        Ok(())
    }

    #[test]
    fn what_is_found_is_counted() -> Result {
        let template = template()?;
        let skb = confirm(track(ready(Shape::Linear, 1002)?, &template)?)?;
        let mut other = ready(Shape::Paged(20), 1002)?;
        let found = {
            let _bh = BhGuard::enter();
            other.ct_find(init_net(), &template, false)
        };
        let during = references(&skb);
        other.ct_forget();
        let after = (references(&skb), references(&other));
        drop((skb, other));
        flush();
        assert!(found);
        assert_eq!((during, after), (3, (2, 0)));
        Ok(())
    }

    #[test]
    fn templates_are_given_back_by_packets_that_are_invalid() -> Result {
        let template = template()?;
        let mut skb = ready(Shape::Linear, 1003)?;
        // An UDP length that is more than the packet has.
        skb.writable::<2>(24)?.copy_from_slice(&[0xff, 0]);
        let skb = track(skb, &template)?;
        let seen = (references(&skb), template.references());
        drop(skb);
        assert_eq!(seen, (0, 1));
        Ok(())
    }

    #[test]
    fn a_tracked_packet_is_tracked_again() -> Result {
        let template = template()?;
        let before = connections();
        let skb = track(ready(Shape::Linear, 1004)?, &template)?;
        let first = connections();
        // It forgets the connection that nobody has confirmed.
        let skb = track(skb, &template)?;
        let second = (connections(), references(&skb), template.references());
        drop(skb);
        assert_eq!(first, before + 1);
        assert_eq!(second, (before + 1, 1, 1));
        assert_eq!(connections(), before);
        Ok(())
    }

    #[test]
    fn two_new_connections_of_one_tuple_become_one() -> Result {
        let template = template()?;
        let before = connections();
        let one = track(ready(Shape::Linear, 1005)?, &template)?;
        let other = track(ready(Shape::Paged(33), 1005)?, &template)?;
        let both = connections();
        let one = confirm(one)?;
        // The second is dropped, or gets the first one's connection.
        let other = confirm(other).ok();
        let left = connections();
        drop((one, other));
        flush();
        assert_eq!(
            (both, left, connections()),
            (before + 2, before + 1, before)
        );
        assert_eq!(template.references(), 1);
        Ok(())
    }

    #[test]
    fn each_allocation_of_tracking_can_fail() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let template = template()?;
        let before = connections();
        let (mut failed, mut bad) = (0, 0);
        for n in 1..100 {
            let skb = ready(Shape::Paged(0), 1006)?;
            fail_nth(n);
            let tracked = track(skb, &template).and_then(confirm);
            let left = fail_nth(0);
            let made = tracked.is_ok_and(|skb| references(&skb) > 0);
            flush();
            bad += u32::from(connections() != before || template.references() != 1);
            if left != 0 {
                bad += u32::from(!made);
                break;
            }
            failed += 1;
        }
        assert_eq!(bad, 0);
        assert!(failed >= 1);
        Ok(())
    }

    #[test]
    fn fragments_become_the_packet() -> Result {
        let mut bad = 0;
        for ipv6 in [false, true] {
            let whole = Whole::new(ipv6, 2500)?;
            for shape in SHAPES {
                let pieces = whole.fragments(1280, shape)?;
                let count = pieces.len();
                let mut done = None;
                for (n, skb) in pieces.into_iter().enumerate() {
                    let result = {
                        let _bh = BhGuard::enter();
                        skb.ct_defragment(init_net(), ZONE, ipv6)
                    };
                    let last = n + 1 == count;
                    match result {
                        Ok(None) if !last => {}
                        Ok(Some(got)) if last => done = Some(got),
                        _ => bad += 1,
                    }
                }
                let right = match &done {
                    Some((skb, mru)) => *mru <= 1280 && *mru > 1200 && holds(skb, whole.l3())?,
                    None => false,
                };
                if !right {
                    pr_err!("conntrack: fragments, ipv6 {}\n", ipv6);
                    bad += 1;
                }
            }
        }
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn without_memory_fragments_are_dropped() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let (mut bad, mut failures) = (0, 0);
        for ipv6 in [false, true] {
            let whole = Whole::new(ipv6, 2500)?;
            // Another zone each time: what was left over does not count.
            for zone in ZONE + 1..ZONE + 50 {
                let (mut failed, mut done) = (false, false);
                for skb in whole.fragments(1280, Shape::Paged(60))? {
                    fail_nth(u32::from(zone - ZONE));
                    let result = {
                        let _bh = BhGuard::enter();
                        skb.ct_defragment(init_net(), zone, ipv6)
                    };
                    let reached = fail_nth(0) == 0;
                    failures += usize::from(reached);
                    failed |= reached;
                    if let Ok(Some((skb, _))) = result {
                        done = true;
                        bad += usize::from(!holds(&skb, whole.l3())?);
                    }
                }
                if !failed {
                    bad += usize::from(!done);
                    break;
                }
            }
        }
        assert_eq!(bad, 0);
        // The queue, and the head that the fragments are put into.
        assert!(failures >= 4);
        Ok(())
    }
}
