// SPDX-License-Identifier: GPL-2.0
//! Ports come and go, and so do their devices: in turn, and at once from several threads, with packets on their way
//! (spec W2 to W7).
//!
//! C counterpart: none; `net/openvswitch/vport-netdev.c` and `dp_notify.c`.

use super::device::Device;
use super::forward::{attach, detach, ports, udp_flow};
use super::genetlink::{delete_datapath, new_datapath, with_datapath};
use super::netlink::Socket;
use super::packet::{freed, packet, watch, Shape, UDP4};
use super::rcu::{ends, Reader};
use crate::datapath::abi::action_attr;
use crate::rust::bindings;
use crate::sys;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU32, Ordering};
use kernel::prelude::*;

const IN: [u8; 16] = *b"ovs-kunit1\0\0\0\0\0\0";
const OUT: [u8; 16] = *b"ovs-kunit2\0\0\0\0\0\0";
const OUT_PORT: u32 = 7;

/// References are given back after a grace period.
fn synchronize() {
    sys::synchronize_rcu();
    sys::rcu_barrier();
}

/// What threads do to a datapath, and how often.
struct Work {
    dp: i32,
    input: Device,
    done: AtomicU32,
    odd: AtomicU32,
}

impl Work {
    fn new(dp: i32) -> Result<Self> {
        Ok(Self {
            dp,
            input: Device::new(&IN)?,
            done: AtomicU32::new(0),
            odd: AtomicU32::new(0),
        })
    }
}

/// Gives packets to the switch.
///
/// # Safety
///
/// `arg` points to a `Work` that outlives the thread.
unsafe extern "C" fn send(arg: *mut c_void) -> c_int {
    // SAFETY: by this function's contract.
    let work = unsafe { &*arg.cast::<Work>() };
    while !ends() {
        if let Ok(mut skb) = packet(&UDP4, Shape::Paged(20)) {
            watch(&mut skb);
            work.input.input(skb);
            work.done.fetch_add(1, Ordering::Relaxed);
        }
    }
    0
}

/// Makes the port, if its device is there, and removes it, if it still is.
///
/// # Safety
///
/// `arg` points to a `Work` that outlives the thread.
unsafe extern "C" fn attach_and_detach(arg: *mut c_void) -> c_int {
    // SAFETY: by this function's contract.
    let work = unsafe { &*arg.cast::<Work>() };
    let Ok(sock) = Socket::open() else {
        return 0;
    };
    while !ends() {
        match attach(&sock, work.dp, &OUT, OUT_PORT) {
            // ENODEV: not there yet, or leaving. EBUSY: the other thread was first.
            Ok(Some(0 | -19 | -16)) => {}
            _ => {
                work.odd.fetch_add(1, Ordering::Relaxed);
            }
        }
        match detach(&sock, work.dp, OUT_PORT) {
            Ok(Some(0 | -19)) => {}
            _ => {
                work.odd.fetch_add(1, Ordering::Relaxed);
            }
        }
        work.done.fetch_add(1, Ordering::Relaxed);
    }
    0
}

#[kernel::macros::kunit_tests(ovs_vport)]
mod tests {
    use super::*;

    #[test]
    fn a_port_holds_its_device() -> Result {
        let dev = Device::new(&OUT)?;
        let before = dev.references();
        let seen = with_datapath(|sock, dp| {
            let made = attach(sock, dp, &OUT, OUT_PORT)?;
            let (during, two) = (dev.references(), ports(sock, dp)?);
            let again = attach(sock, dp, &OUT, OUT_PORT + 1)?;
            let gone = detach(sock, dp, OUT_PORT)?;
            let lost = detach(sock, dp, OUT_PORT)?;
            Ok((
                made,
                again,
                gone,
                lost,
                during > before,
                two,
                ports(sock, dp)?,
            ))
        })?;
        synchronize();
        let after = dev.references();
        drop(dev);
        assert_eq!(
            (seen.0, seen.1, seen.2, seen.3),
            (Some(0), Some(-17), Some(0), Some(-19))
        );
        assert_eq!((seen.4, seen.5, seen.6), (true, 2, 1));
        assert_eq!(after, before);
        Ok(())
    }

    #[test]
    fn a_datapath_lets_go_of_its_devices() -> Result {
        let (one, two) = (Device::new(&IN)?, Device::new(&OUT)?);
        let before = (one.references(), two.references());
        let made = with_datapath(|sock, dp| {
            Ok((attach(sock, dp, &IN, 1)?, attach(sock, dp, &OUT, OUT_PORT)?))
        })?;
        synchronize();
        let after = (one.references(), two.references());
        drop((one, two));
        assert_eq!(made, (Some(0), Some(0)));
        assert_eq!(after, before);
        Ok(())
    }

    #[test]
    fn a_device_that_goes_takes_its_port_along() -> Result {
        let seen = with_datapath(|sock, dp| {
            let dev = Device::new(&OUT)?;
            let made = attach(sock, dp, &OUT, OUT_PORT)?;
            let two = ports(sock, dp)?;
            // Waits until the switch does not refer to it any more.
            drop(dev);
            Ok((made, two, ports(sock, dp)?, detach(sock, dp, OUT_PORT)?))
        })?;
        assert_eq!(seen, (Some(0), 2, 1, Some(-19)));
        Ok(())
    }

    #[test]
    fn a_device_that_is_gone_comes_back_under_the_same_name() -> Result {
        let bad = with_datapath(|sock, dp| {
            let mut bad = 0;
            for _ in 0..5 {
                let dev = Device::new(&OUT)?;
                bad += usize::from(attach(sock, dp, &OUT, OUT_PORT)? != Some(0));
                drop(dev);
                bad += usize::from(ports(sock, dp)? != 1);
            }
            Ok(bad)
        })?;
        assert_eq!(bad, 0);
        Ok(())
    }

    #[test]
    fn devices_go_while_packets_are_sent_through_them() -> Result {
        let before = freed();
        let (sent, bad) = with_datapath(|sock, dp| {
            let work = Work::new(dp)?;
            attach(sock, dp, &IN, 1)?;
            let flow = udp_flow(dp, 1, |w| w.put_u32(action_attr::OUTPUT, OUT_PORT))?;
            let mut bad = usize::from(sock.ask(&flow)?.errno() != Some(0));
            // SAFETY: the function is one for such an argument, which is dropped after the threads.
            let senders = unsafe { [Reader::run(send, &work)?, Reader::run(send, &work)?] };
            let mut round = 0;
            while round < 8 || work.done.load(Ordering::Relaxed) < 200 && round < 2000 {
                let dev = Device::new(&OUT)?;
                bad += usize::from(attach(sock, dp, &OUT, OUT_PORT)? != Some(0));
                // Both ways out: the port first, or the device.
                if round % 2 == 0 {
                    bad += usize::from(detach(sock, dp, OUT_PORT)? != Some(0));
                }
                drop(dev);
                round += 1;
            }
            drop(senders);
            let sent = work.done.load(Ordering::Relaxed);
            drop(work);
            Ok((sent, bad))
        })?;
        assert_eq!(bad, 0);
        assert!(sent >= 200);
        assert_eq!(freed() - before, sent);
        Ok(())
    }

    #[test]
    fn ports_come_and_go_while_their_device_does() -> Result {
        let (done, odd, left) = with_datapath(|sock, dp| {
            let work = Work::new(dp)?;
            // SAFETY: the function is one for such an argument, which is dropped after the threads.
            let threads = unsafe {
                [
                    Reader::run(attach_and_detach, &work)?,
                    Reader::run(attach_and_detach, &work)?,
                ]
            };
            let mut round = 0;
            while round < 10 || work.done.load(Ordering::Relaxed) < 60 && round < 2000 {
                let dev = Device::new(&OUT)?;
                // SAFETY: a test runs in process context.
                unsafe { bindings::rust_helper_kunit_sleep(round % 4) };
                drop(dev);
                round += 1;
            }
            drop(threads);
            let seen = (
                work.done.load(Ordering::Relaxed),
                work.odd.load(Ordering::Relaxed),
            );
            drop(work);
            Ok((seen.0, seen.1, ports(sock, dp)?))
        })?;
        assert!(done >= 60);
        assert_eq!((odd, left), (0, 1));
        Ok(())
    }

    #[test]
    fn a_datapath_goes_while_packets_come() -> Result {
        let before = freed();
        let sock = Socket::open()?;
        let work = Work::new(0)?;
        // SAFETY: the function is one for such an argument, which is dropped after the thread.
        let sender = unsafe { Reader::run(send, &work)? };
        let mut bad = 0;
        for _ in 0..6 {
            let dp = new_datapath(&sock)?.replies().next().map_or(0, |r| r.0);
            bad += usize::from(attach(&sock, dp, &IN, 1)? != Some(0));
            let flow = udp_flow(dp, 1, |w| w.put_u32(action_attr::OUTPUT, 0))?;
            bad += usize::from(sock.ask(&flow)?.errno() != Some(0));
            bad += usize::from(delete_datapath(&sock)?.errno() != Some(0));
        }
        drop(sender);
        let sent = work.done.load(Ordering::Relaxed);
        drop((work, sock));
        synchronize();
        assert_eq!(bad, 0);
        assert_eq!(freed() - before, sent);
        Ok(())
    }
}
