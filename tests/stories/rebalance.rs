// SPDX-License-Identifier: GPL-2.0
//! The periodic work: all datapaths have their turn, and others the mutex (T8).

use crate::flow_kit::*;
use kernel::testing::alloc::fail_pending;
use openvswitch::datapath::control::rebalance;
use openvswitch::sys::testing::{on_resched, process_context};
use std::cell::Cell;
use std::rc::Rc;

/// More than one section looks at.
const DATAPATHS: usize = 130;

fn many(client: &mut Client) {
    for n in 0..DATAPATHS {
        new_dp(client, &format!("br{n}")).unwrap();
    }
}

/// How often others could run in a round; the first time they do `what`.
fn round(net: &FakeNet, mut what: impl FnMut(&FakeNet) + 'static) -> usize {
    let times = Rc::new(Cell::new(0));
    let (seen, others) = (times.clone(), net.clone());
    on_resched(move || {
        if seen.replace(seen.get() + 1) == 0 {
            what(&others);
        }
    });
    rebalance(&process_context(), net);
    on_resched(|| ());
    times.get()
}

#[test]
fn t8_every_datapath_has_its_turn() {
    let net = FakeNet::new();
    many(&mut Client::new(&net));
    // Each turn allocates once.
    fail_nth(DATAPATHS as u64);
    assert_eq!(round(&net, |_| ()), 3);
    assert!(!fail_pending());
    fail_nth(DATAPATHS as u64 + 1);
    round(&net, |_| ());
    assert!(fail_pending());
    fail_nth(0);
    net.exit();
}

#[test]
fn t8_others_have_the_mutex_in_between() {
    let net = FakeNet::new();
    many(&mut Client::new(&net));
    // Both need the mutex; in the end the list ends before where the work goes on.
    let delete = |net: &FakeNet, n: usize| {
        let name = Bytes::new().name(dp_attr::NAME, &format!("br{n}"));
        let mut client = Client::new(net);
        client.call(Group::Datapath, cmd::DEL, 0, &name).unwrap();
    };
    assert_eq!(round(&net, move |net| delete(net, 0)), 3);
    let all_but_one = move |net: &FakeNet| (2..DATAPATHS).for_each(|n| delete(net, n));
    assert_eq!(round(&net, all_but_one), 2);
    // Nothing is left over from a round that came to its end.
    assert_eq!(round(&net, |_| ()), 1);
    net.exit();
}

#[test]
fn t8_what_was_rebuilt_ends_a_section() {
    let mut s = Switch::new();
    new_dp(&mut s.client, "br1").unwrap();
    assert_eq!(round(&s.net, |_| ()), 1);
    // An attack that begins with the shortest prefixes.
    for n in 0..8192u32 {
        let (src, dport) = (u32::MAX << (31 - n / 256), 0xffff << (15 - n / 16 % 16));
        let sport = 0xffff << (15 - n % 16);
        let value = Udp {
            src: !(src << 1) & src,
            dport: (!(dport << 1) & dport) as u16,
            sport: (!(sport << 1) & sport) as u16,
            ..UDP
        };
        let mask = mask(src, 0, sport as u16, dport as u16);
        let new = flow(&value).mask(mask).acts(&[1]).ufid(&n.to_ne_bytes());
        s.create(&new).unwrap();
    }
    assert_eq!(round(&s.net, |_| ()), 2);
}
