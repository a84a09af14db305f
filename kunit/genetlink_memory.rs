// SPDX-License-Identifier: GPL-2.0
//! Every request of every family with its first, second, … allocation failing: refused, nothing has changed, or done, all of it
//! (spec N12, D9, F9, B25, B64, Q15).
//!
//! A case is a line of a table: the request, what it needs, and what takes it back.
//!
//! C counterpart: none.

use super::device::Device;
use super::forward::attach;
use super::genetlink::with_datapath;
use super::netlink::{Answer, Socket};
use super::packet::{can_fail, fail_nth};
use super::requests::*;
use crate::datapath::abi::{meter_attr, vport_attr};
use crate::datapath::env::Group;
use kernel::prelude::*;

/// No request has so many allocations.
const MANY: u32 = 2000;

/// A request to the datapath with this ifindex.
type Ask = fn(i32) -> Result<KVec<u8>>;

/// A request.
struct Case {
    name: &'static str,
    /// What must have been done before.
    first: &'static [Ask],
    request: Ask,
    /// What takes the change back; `None`: it only asks.
    undo: Option<Ask>,
    /// Without how many allocations it is refused, at least: two are the message that it comes in.
    least: u32,
}

const fn case(
    name: &'static str,
    first: &'static [Ask],
    request: Ask,
    undo: Option<Ask>,
    least: u32,
) -> Case {
    Case {
        name,
        first,
        request,
        undo,
        least,
    }
}

const DATAPATH: &[Case] = &[
    case("NEW", &[], other_new, Some(other_del), 40),
    case("SET", &[dp_set], dp_set_more, Some(dp_set), 6),
    case("GET", &[], dp_get, None, 4),
    case("dump", &[], dp_dump, None, 2),
    case("DEL", &[], dp_del, Some(dp_new), 4),
];

const VPORT: &[Case] = &[
    case("NEW, internal", &[], port_new, Some(port_del), 40),
    case("NEW, netdev", &[], netdev_new, Some(port_del), 10),
    case("SET", &[port_new], port_set, Some(port_set_back), 6),
    case("GET", &[port_new], port_get, None, 4),
    case("dump", &[port_new], port_dump, None, 2),
    case("DEL", &[port_new], port_del, Some(port_new), 4),
];

const FLOW: &[Case] = &[
    case("NEW", &[], flow_new, Some(flow_del), 8),
    case("NEW, much", &[], much_new, Some(much_del), 13),
    case("NEW, again", &[flow_new], flow_again, Some(flow_set_0), 7),
    case("NEW, much again", &[much_new], much_2, Some(much_set_1), 12),
    case("SET", &[flow_new], flow_set_7, Some(flow_set_0), 5),
    case("SET, much", &[much_new], much_set_2, Some(much_set_1), 9),
    case("GET", &[much_new], much_get, None, 4),
    case("dump", &[flow_new, much_new], flow_dump, None, 2),
    case("DEL", &[much_new], much_del, Some(much_new), 2),
    case("DEL, all", &[flow_new], flow_flush, Some(flow_new), 2),
];

const METERS: &[Case] = &[
    case("SET", &[], meter_set, Some(meter_del), 5),
    case("SET, again", &[meter_set], meter_2, Some(meter_set), 5),
    case("GET", &[meter_set], meter_get, None, 4),
    case("DEL", &[meter_set], meter_del, Some(meter_set), 4),
    case("FEATURES", &[], meter_features, None, 4),
];

const CT_LIMIT: &[Case] = &[
    case("SET", &[], limits_set, Some(limits_del), 6),
    case("SET, again", &[limits_set], limits_2, Some(limits_set), 6),
    case("GET", &[limits_set], limits_get, None, 4),
    case("DEL", &[limits_set], limits_del, Some(limits_set), 4),
];

// ---- what is there ----

/// What all messages say, in any order, but for what differs each time something is made: its ifindex, the time, and what a
/// device counts.
fn digest(group: Group, answer: &Answer) -> u64 {
    let told = |ty| match group {
        Group::Vport => !matches!(ty, vport_attr::IFINDEX | vport_attr::STATS),
        Group::Meter => ty != meter_attr::USED,
        _ => true,
    };
    // FNV-1a
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    let messages = answer.replies().map(|(_, attrs)| {
        let attrs = attrs.filter(|a| told(a.ty()));
        attrs.fold(0xcbf2_9ce4_8422_2325, |hash, a| {
            let hash = a.ty().to_ne_bytes().iter().fold(hash, add);
            a.payload().iter().fold(hash, add)
        })
    });
    messages.fold(0, u64::wrapping_add)
}

/// All that the namespace's switches tell: themselves, their ports, flows and meter, and the limits of connections.
fn state(sock: &Socket) -> Result<u64> {
    let switches = sock.ask(&dp_dump(0)?)?;
    let limits = sock.ask(&limits_get(0)?)?;
    let mut all = [
        digest(Group::Datapath, &switches),
        digest(Group::CtLimit, &limits).rotate_left(1),
    ];
    for (dp, _) in switches.replies() {
        for (group, ask) in [
            (Group::Vport, port_dump as Ask),
            (Group::Flow, flow_dump),
            (Group::Meter, meter_get),
        ] {
            let told = digest(group, &sock.ask(&ask(dp)?)?);
            all[1] = all[1].wrapping_mul(3).wrapping_add(told);
        }
    }
    Ok(all[0].wrapping_mul(5).wrapping_add(all[1]))
}

/// What became of a request.
#[derive(Default)]
struct Tally {
    /// Allocations that have failed.
    failed: u32,
    /// Those for which it was refused.
    refused: u32,
    /// Outcomes that must not be.
    bad: u32,
}

/// Sends `bytes` with the first, the second, … allocation failing, until one is not reached; then it must go well.
///
/// `look` tells what is there. If that has changed the errno must say so, the change must be the one that it is with memory, and
/// `undo` must answer 0 and lead back. If not, it was refused, or it only asks (no `undo`), and the whole answer is there.
/// Where the acknowledgement is lost either may be.
fn fail_each(
    sock: &Socket,
    group: Group,
    bytes: &[u8],
    makes_device: bool,
    mut look: impl FnMut() -> Result<u64>,
    undo: Option<&dyn Fn() -> Result<Option<i32>>>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let before = look()?;
    let (mut after, mut told) = (None, None);
    let mut nameless = 0;
    for n in 1..MANY {
        fail_nth(n);
        let sent = sock.send(bytes);
        let left = fail_nth(0);
        let answer = sock.answer()?;
        let errno = match sent {
            Ok(()) => answer.errno(),
            Err(e) => Some(e.to_errno()),
        };
        let now = look()?;
        let mut good = match errno {
            Some(0) if undo.is_some() => now != before,
            Some(0) => {
                let said = digest(group, &answer);
                now == before && *told.get_or_insert(said) == said
            }
            Some(-12 | -105) => left == 0 && now == before,
            // `device_add()` says so of a device that `netdev_register_kobject()` found no memory to name, and C passes it on.
            // More than once, if an allocation comes before it that was not there the last time.
            Some(-22) if makes_device => {
                nameless += 1;
                left == 0 && now == before && nameless <= 4
            }
            Some(_) => false,
            None => left == 0,
        };
        if now != before {
            good &= *after.get_or_insert(now) == now;
            let undone = undo.map_or(Ok(None), |undo| undo())?;
            good &= undone == Some(0) && look()? == before;
        }
        if !good {
            let changed = now != before;
            pr_err!("memory: allocation {n}, left {left}: errno {errno:?}, changed {changed}\n");
            tally.bad += 1;
        }
        if left != 0 {
            return Ok(tally);
        }
        tally.failed += 1;
        tally.refused += u32::from(matches!(errno, Some(..0)));
    }
    tally.bad += 1;
    Ok(tally)
}

/// How many cases go wrong; they are named in the log.
fn wrong(group: Group, cases: &[Case]) -> Result<usize> {
    let mut wrong = 0;
    for case in cases {
        let tally = with_datapath(|sock, dp| {
            for first in case.first {
                if sock.ask(&first(dp)?)?.errno() != Some(0) {
                    return Err(EINVAL);
                }
            }
            let undo = case
                .undo
                .map(|undo| move || Ok(sock.ask(&undo(dp)?)?.errno()));
            let undo = undo.as_ref().map(|undo| undo as &dyn Fn() -> _);
            let bytes = (case.request)(dp)?;
            let makes_device = *bytes == *other_new(dp)? || *bytes == *port_new(dp)?;
            fail_each(sock, group, &bytes, makes_device, || state(sock), undo)
        })?;
        let Tally {
            failed,
            refused,
            bad,
        } = tally;
        if bad != 0 || refused < case.least {
            pr_err!(
                "memory: {group:?} {}: {bad} wrong, {failed} failed, {refused} refused\n",
                case.name
            );
            wrong += 1;
        }
    }
    Ok(wrong)
}

#[kernel::macros::kunit_tests(ovs_memory)]
mod tests {
    use super::*;

    #[test]
    fn each_allocation_of_a_datapath_can_fail() -> Result {
        if can_fail() {
            let wrong = wrong(Group::Datapath, DATAPATH);
            // If one went wrong.
            Socket::open()?.ask(&other_del(0)?)?;
            assert_eq!(wrong, Ok(0));
        }
        Ok(())
    }

    #[test]
    fn each_allocation_of_a_port_can_fail() -> Result {
        if can_fail() {
            let device = Device::new(&DEVICE)?;
            let wrong = wrong(Group::Vport, VPORT);
            drop(device);
            assert_eq!(wrong, Ok(0));
        }
        Ok(())
    }

    #[test]
    fn each_allocation_of_a_flow_can_fail() -> Result {
        if can_fail() {
            let wrong = wrong(Group::Flow, FLOW)?;
            assert_eq!(wrong, 0);
        }
        Ok(())
    }

    #[test]
    fn each_allocation_of_a_meter_can_fail() -> Result {
        if can_fail() {
            let wrong = wrong(Group::Meter, METERS)?;
            assert_eq!(wrong, 0);
        }
        Ok(())
    }

    #[test]
    fn each_allocation_of_a_limit_can_fail() -> Result {
        if can_fail() {
            let wrong = wrong(Group::CtLimit, CT_LIMIT);
            // They are the namespace's, and do not go with a datapath.
            let none = Socket::open()?.ask(&limits_del(0)?)?.errno();
            assert_eq!((wrong, none), (Ok(0), Some(0)));
        }
        Ok(())
    }

    #[test]
    fn each_allocation_of_a_packet_can_fail() -> Result {
        if !can_fail() {
            return Ok(());
        }
        let device = Device::new(&DEVICE)?;
        let tally = with_datapath(|sock, dp| {
            if attach(sock, dp, &DEVICE, 1)? != Some(0) {
                return Err(EINVAL);
            }
            // A packet that has arrived is gone when it has been looked for.
            let arrived = || Ok(device.frames()?.len() as u64); // CAST: a few
            fail_each(
                sock,
                Group::Packet,
                &execute(dp)?,
                false,
                arrived,
                Some(&|| Ok(Some(0))),
            )
        });
        drop(device);
        let tally = tally?;
        assert_eq!(tally.bad, 0);
        assert!(tally.failed >= 8 && tally.refused >= 4);
        Ok(())
    }
}
