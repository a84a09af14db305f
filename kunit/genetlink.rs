// SPDX-License-Identifier: GPL-2.0
//! The families through real sockets (spec N1 to N11). Where memory is short: [`super::genetlink_memory`].
//!
//! Each case makes what it needs, and removes it before it asserts.
//!
//! C counterpart: none.

use super::device::Device;
use super::forward::attach;
use super::netlink::{request, Answer, Socket, DUMP};
use super::packet::UDP4;
use super::requests::{dp_del, dp_new, put_key, put_output, DEVICE, UFID};
use crate::datapath::abi::{
    cmd, ct_limit_cmd, dp_attr, flow_attr, key_attr, meter_attr, meter_cmd, packet_attr,
    packet_cmd, vport_attr,
};
use crate::datapath::env::Group;
use crate::datapath::netlink::attr::Attrs;
use crate::datapath::netlink::nlm;
use kernel::prelude::*;

pub(super) fn new_datapath(sock: &Socket) -> Result<Answer> {
    sock.ask(&dp_new(0)?)
}

pub(super) fn delete_datapath(sock: &Socket) -> Result<Answer> {
    sock.ask(&dp_del(0)?)
}

/// Runs `f` with a socket and a datapath's ifindex; both are gone when it returns.
pub(super) fn with_datapath<T>(f: impl FnOnce(&Socket, i32) -> Result<T>) -> Result<T> {
    let sock = Socket::open()?;
    let made = new_datapath(&sock)?;
    let ifindex = made.replies().next().map_or(0, |r| r.0);
    let result = f(&sock, ifindex);
    let deleted = delete_datapath(&sock)?.errno();
    match deleted {
        Some(0) => result,
        _ => Err(EBUSY),
    }
}

fn datapaths(sock: &Socket) -> Result<usize> {
    Ok(sock
        .ask(&request(Group::Datapath, cmd::GET, DUMP, 0, |_| Ok(()))?)?
        .replies()
        .count())
}

fn flows(sock: &Socket, dp: i32) -> Result<usize> {
    Ok(sock
        .ask(&request(Group::Flow, cmd::GET, DUMP, dp, |_| Ok(()))?)?
        .replies()
        .count())
}

fn new_flow(dp: i32, ty: u16) -> Result<KVec<u8>> {
    request(Group::Flow, cmd::NEW, nlm::CREATE, dp, |w| {
        w.put(flow_attr::UFID, &UFID)?;
        put_key(w, ty)?;
        put_output(w, flow_attr::ACTIONS, 0)
    })
}

fn get_flow(dp: i32, command: u8) -> Result<KVec<u8>> {
    request(Group::Flow, command, 0, dp, |w| {
        w.put(flow_attr::UFID, &UFID)
    })
}

#[kernel::macros::kunit_tests(ovs_genetlink)]
mod tests {
    use super::*;

    #[test]
    fn a_datapath_comes_and_goes() -> Result {
        let sock = Socket::open()?;
        let none = datapaths(&sock)?;
        let made = new_datapath(&sock)?;
        let one = datapaths(&sock)?;
        let again = new_datapath(&sock)?.errno();
        let gone = delete_datapath(&sock)?.errno();
        let after = delete_datapath(&sock)?.errno();
        let left = datapaths(&sock)?;
        drop(sock);
        assert_eq!((none, one, left), (0, 1, 0));
        assert_eq!(
            (made.errno(), again, gone, after),
            (Some(0), Some(-17), Some(0), Some(-19))
        );
        let named = |(ifindex, mut attrs): (i32, Attrs<'_>)| {
            ifindex > 0 && attrs.any(|a| a.ty() == dp_attr::NAME)
        };
        assert_eq!(made.replies().map(named).filter(|good| *good).count(), 1);
        Ok(())
    }

    #[test]
    fn its_local_port_is_there() -> Result {
        let ports = with_datapath(|sock, dp| {
            let answer = sock.ask(&request(Group::Vport, cmd::GET, DUMP, dp, |_| Ok(()))?)?;
            let ports = answer.replies().map(|(_, attrs)| {
                let mut found = (None, None);
                for a in attrs {
                    match a.ty() {
                        vport_attr::PORT_NO => found.0 = a.u32(),
                        vport_attr::TYPE => found.1 = a.u32(),
                        _ => {}
                    }
                }
                found
            });
            let mut all = KVec::new();
            for p in ports {
                all.push(p, GFP_KERNEL)?;
            }
            Ok(all)
        })?;
        // OVS_VPORT_TYPE_INTERNAL
        assert!(ports.as_slice() == [(Some(0), Some(2))]);
        Ok(())
    }

    #[test]
    fn a_flow_comes_and_goes() -> Result {
        let seen = with_datapath(|sock, dp| {
            let before = flows(sock, dp)?;
            let made = sock.ask(&new_flow(dp, 0x88b5)?)?.errno();
            let one = flows(sock, dp)?;
            let found = sock.ask(&get_flow(dp, cmd::GET)?)?.replies().count();
            let gone = sock.ask(&get_flow(dp, cmd::DEL)?)?.errno();
            let lost = sock.ask(&get_flow(dp, cmd::GET)?)?.errno();
            Ok((before, made, one, found, gone, lost, flows(sock, dp)?))
        })?;
        assert_eq!(seen, (0, Some(0), 1, 1, Some(0), Some(-2), 0));
        Ok(())
    }

    #[test]
    fn a_datapath_takes_its_flows_along() -> Result {
        let made = with_datapath(|sock, dp| {
            for n in 0..200u16 {
                let bytes = request(Group::Flow, cmd::NEW, nlm::CREATE, dp, |w| {
                    put_key(w, 0x9000 + n)?;
                    put_output(w, flow_attr::ACTIONS, 0)
                })?;
                if sock.ask(&bytes)?.errno() != Some(0) {
                    return Err(EINVAL);
                }
            }
            flows(sock, dp)
        })?;
        assert_eq!(made, 200);
        Ok(())
    }

    #[test]
    fn a_bad_key_is_refused_with_a_text() -> Result {
        let seen = with_datapath(|sock, dp| {
            // Without an EtherType, which the address needs.
            let bytes = request(Group::Flow, cmd::NEW, nlm::CREATE, dp, |w| {
                let key = w.nest(flow_attr::KEY)?;
                w.put(key_attr::ETHERNET, &[0; 11])?;
                w.end_nest(key)?;
                put_output(w, flow_attr::ACTIONS, 0)
            })?;
            let answer = sock.ask(&bytes)?;
            Ok((answer.errno(), answer.has_text(), flows(sock, dp)?))
        })?;
        assert_eq!(seen, (Some(-22), true, 0));
        Ok(())
    }

    #[test]
    fn requests_without_attributes_are_refused() -> Result {
        let bad = with_datapath(|sock, dp| {
            let mut bad = 0;
            for (group, command) in [
                (Group::Datapath, cmd::NEW),
                (Group::Vport, cmd::NEW),
                (Group::Flow, cmd::NEW),
                (Group::Flow, cmd::SET),
                (Group::Packet, packet_cmd::EXECUTE),
                (Group::Meter, meter_cmd::SET),
                (Group::CtLimit, ct_limit_cmd::SET),
            ] {
                let errno = sock
                    .ask(&request(group, command, 0, dp, |_| Ok(()))?)?
                    .errno();
                bad += usize::from(errno != Some(-22));
            }
            Ok((bad, datapaths(sock)?, flows(sock, dp)?))
        })?;
        assert_eq!(bad, (0, 1, 0));
        Ok(())
    }

    #[test]
    fn messages_cut_short_anywhere_change_nothing() -> Result {
        let left = with_datapath(|sock, dp| {
            let whole = new_flow(dp, 0x88b5)?;
            for len in 0..whole.len() {
                let mut cut = KVec::new();
                cut.extend_from_slice(whole.get(..len).ok_or(EINVAL)?, GFP_KERNEL)?;
                // A length that is right, so that it is the family that has to look.
                // CAST: below 4096
                if let Some(header) = cut.first_chunk_mut::<4>() {
                    *header = (len as u32).to_ne_bytes();
                }
                // What is no message at all is refused by the socket.
                let done = sock.ask(&cut).ok().and_then(|answer| answer.errno());
                if done == Some(0) && flows(sock, dp)? != 0 {
                    return Ok(usize::MAX);
                }
            }
            flows(sock, dp)
        })?;
        assert_eq!(left, 0);
        Ok(())
    }

    #[test]
    fn attributes_longer_than_the_message_are_refused() -> Result {
        let seen = with_datapath(|sock, dp| {
            let mut bytes = new_flow(dp, 0x88b5)?;
            // The first attribute's length, behind 24 bytes of headers.
            if let Some(len) = bytes.get_mut(24..26) {
                len.copy_from_slice(&4000u16.to_ne_bytes());
            }
            Ok((sock.ask(&bytes)?.errno(), flows(sock, dp)?))
        })?;
        assert_eq!(seen, (Some(-22), 0));
        Ok(())
    }

    #[test]
    fn another_datapath_is_not_found() -> Result {
        let sock = Socket::open()?;
        let mut bad = 0;
        for group in [Group::Datapath, Group::Vport, Group::Flow] {
            let dump = match group {
                Group::Datapath => 0,
                _ => DUMP,
            };
            let errno = sock
                .ask(&request(group, cmd::GET, dump, 99_999, |_| Ok(()))?)?
                .errno();
            bad += usize::from(errno != Some(-19));
        }
        drop(sock);
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn a_packet_is_executed() -> Result {
        let device = Device::new(&DEVICE)?;
        let seen = with_datapath(|sock, dp| {
            let attached = attach(sock, dp, &DEVICE, 1)?;
            let bytes = request(Group::Packet, packet_cmd::EXECUTE, 0, dp, |w| {
                w.put(packet_attr::PACKET, &UDP4)?;
                let key = w.nest(packet_attr::KEY)?;
                w.end_nest(key)?;
                put_output(w, packet_attr::ACTIONS, 1)
            })?;
            Ok((attached, sock.ask(&bytes)?.errno()))
        });
        let frames = device.frames();
        drop(device);
        assert_eq!(seen, Ok((Some(0), Some(0))));
        let frames = frames?;
        assert!(frames.len() == 1 && frames.iter().all(|f| **f == UDP4));
        Ok(())
    }

    #[test]
    fn meters_say_what_they_can() -> Result {
        let most = with_datapath(|sock, dp| {
            let answer = sock.ask(&request(Group::Meter, meter_cmd::FEATURES, 0, dp, |_| {
                Ok(())
            })?)?;
            let most = answer
                .replies()
                .find_map(|(_, mut attrs)| attrs.find(|a| a.ty() == meter_attr::MAX_METERS)?.u32());
            Ok(most)
        })?;
        assert!(most > Some(0));
        Ok(())
    }

    #[test]
    fn zone_limits_have_a_default() -> Result {
        let (errno, replies) = with_datapath(|sock, dp| {
            let answer = sock.ask(&request(Group::CtLimit, ct_limit_cmd::GET, 0, dp, |_| {
                Ok(())
            })?)?;
            Ok((answer.errno(), answer.replies().count()))
        })?;
        assert_eq!((errno, replies), (Some(0), 1));
        Ok(())
    }
}
