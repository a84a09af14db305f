// SPDX-License-Identifier: GPL-2.0
//! Limits of connections in a zone (spec 7.2).

use crate::kit::*;
use openvswitch::datapath::abi::{ct_limit_attr, ct_limit_cmd as limit};
use std::sync::atomic::Ordering::Relaxed;

type Zone = (i32, u32, u32);

fn zones(list: &[(i32, u32)]) -> Bytes {
    let raw = list
        .iter()
        .flat_map(|(id, n)| [id.to_ne_bytes(), n.to_ne_bytes(), [0xff; 4]].concat());
    Bytes::new().put(ct_limit_attr::ZONE_LIMIT, &raw.collect::<Vec<_>>())
}

fn listed(m: &Message) -> Vec<Zone> {
    let raw = m.get(ct_limit_attr::ZONE_LIMIT).expect("ZONE_LIMIT");
    let word = |b: &[u8]| u32::from_ne_bytes(b.try_into().unwrap());
    raw.chunks_exact(12)
        .map(|c| (word(&c[..4]) as i32, word(&c[4..8]), word(&c[8..])))
        .collect()
}

struct Lab(Client);

impl Lab {
    fn new() -> Self {
        Self(Client::new(&FakeNet::new()))
    }

    fn call(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused> {
        let reply = self.0.request(Group::CtLimit, cmd, 4711, attrs)?;
        let reply = reply.expect("a reply");
        // L1: whatever datapath it names.
        assert_eq!(
            (reply.dp_ifindex(), reply.cmd(), reply.version()),
            (4711, cmd, 1)
        );
        Ok(reply)
    }

    fn set(&mut self, list: &[(i32, u32)]) {
        let reply = self.call(limit::SET, &zones(list)).unwrap();
        assert!(reply.attrs().is_empty()); // L2
    }

    fn del(&mut self, list: &[i32]) {
        let list: Vec<_> = list.iter().map(|id| (*id, 0)).collect();
        let reply = self.call(limit::DEL, &zones(&list)).unwrap();
        assert!(reply.attrs().is_empty());
    }

    fn all(&mut self) -> Vec<Zone> {
        listed(&self.call(limit::GET, &Bytes::new()).unwrap())
    }

    fn ask(&mut self, list: &[i32]) -> Vec<Zone> {
        let list: Vec<_> = list.iter().map(|id| (*id, 0)).collect();
        listed(&self.call(limit::GET, &zones(&list)).unwrap())
    }
}

#[test]
fn l2_nothing_is_set_at_first() {
    let mut lab = Lab::new();
    assert_eq!(lab.all(), [(-1, 0, 0)]);
    assert_eq!(lab.ask(&[3, -1]), [(3, 0, 0), (-1, 0, 0)]);
    lab.del(&[3, -1]);
    for cmd in [limit::SET, limit::DEL] {
        assert_eq!(refused(lab.call(cmd, &Bytes::new())), EINVAL);
    }
    assert_eq!(refused(lab.call(4, &zones(&[]))), EOPNOTSUPP);
}

#[test]
fn l1_zones_and_the_default() {
    let mut lab = Lab::new();
    lab.set(&[
        (7, 70),
        (-1, 5),
        (513, 9),
        (1, 10),
        (65535, 1),
        (65536, 2),
        (-2, 3),
    ]);
    // By the low bits of the zone.
    assert_eq!(
        lab.all(),
        [
            (-1, 5, 0),
            (513, 9, 0),
            (1, 10, 0),
            (7, 70, 0),
            (65535, 1, 0)
        ]
    );
    assert_eq!(
        lab.ask(&[8, 7, 65536, -1]),
        [(8, 5, 0), (7, 70, 0), (-1, 5, 0)]
    );
    lab.set(&[(7, 71)]);
    lab.del(&[1, 2, -1, 70000]);
    assert_eq!(
        lab.all(),
        [(-1, 0, 0), (513, 9, 0), (7, 71, 0), (65535, 1, 0)]
    );
    // Of duplicates the last counts, and a zone has one limit.
    lab.set(&[(4, 1), (4, 2)]);
    assert_eq!(lab.ask(&[4]), [(4, 2, 0)]);
    lab.del(&[4]);
    assert_eq!(lab.ask(&[4]), [(4, 0, 0)]);
}

#[test]
fn l1_each_namespace_has_its_own() {
    let (mut a, mut b) = (Lab::new(), Lab::new());
    a.set(&[(1, 1)]);
    assert_eq!(b.all(), [(-1, 0, 0)]);
    b.set(&[(-1, 2)]);
    assert_eq!(a.ask(&[9]), [(9, 0, 0)]);
}

#[test]
fn l4_too_many_zones_for_a_reply() {
    let mut lab = Lab::new();
    let mut set = |ids: core::ops::Range<i32>| {
        lab.set(&ids.map(|id| (id, 1)).collect::<Vec<_>>());
        lab.call(limit::GET, &Bytes::new())
    };
    for (ids, n) in [(0..1000, 1000), (1000..5000, 5000), (5000..5459, 5459)] {
        let listed = listed(&set(ids).unwrap());
        assert_eq!((listed.len(), listed[0]), (n + 1, (-1, 0, 0)));
    }
    assert_eq!(refused(set(5459..5460)), EMSGSIZE);
    assert_eq!(lab.ask(&[5]), [(5, 1, 0)]);
}

#[test]
fn q15_without_memory_nothing_is_set() {
    let mut lab = Lab::new();
    lab.set(&[(1, 1)]);
    let net = lab.0.net.clone();
    let mut struck = 0;
    for n in 1.. {
        kernel::testing::rcu::barrier();
        let used = live();
        fail_nth(n);
        let result = lab.call(limit::SET, &zones(&[(2, 2), (1, 9), (-1, 3), (3, 3)]));
        let done = openvswitch::sys::testing::fail_pending();
        fail_nth(0);
        if done {
            result.unwrap();
            break;
        }
        struck += 1;
        assert_eq!(result.unwrap_err().errno, ENOMEM);
        assert_eq!(lab.all(), [(-1, 0, 0), (1, 1, 0)]);
        assert_eq!(live(), used, "leak when allocation {n} fails");
    }
    assert!(struck >= 4);
    assert_eq!(lab.all(), [(-1, 3, 0), (1, 9, 0), (2, 2, 0), (3, 3, 0)]);
    drop(net);
}

#[test]
fn b28_the_right_to_labels_is_given_back() {
    let net = FakeNet::new();
    let tracker = net.tracker().clone();
    let count = || {
        tracker
            .label_spaces
            .load(std::sync::atomic::Ordering::SeqCst)
    };
    assert_eq!(count(), 1);
    drop(net);
    assert_eq!(count(), 0);
}

/// L5: a namespace's first datapath begins to count, whether there are limits or not.
#[test]
fn l5_counting_begins_with_the_first_datapath() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let counts = || net.tracker().conn_counts.load(Relaxed);
    let nameless = Bytes::new().u32(dp_attr::UPCALL_PID, 0);
    let refusal = client.call(Group::Datapath, cmd::NEW, 0, &nameless);
    assert_eq!((refused(refusal), counts()), (EINVAL, 0));
    let dp = new_dp(&mut client, "br0").unwrap().dp_ifindex();
    assert_eq!(counts(), 1);
    new_dp(&mut client, "br1").unwrap();
    assert_eq!(refused(new_dp(&mut client, "br1")), EEXIST);
    client
        .call(Group::Datapath, cmd::DEL, dp, &Bytes::new())
        .unwrap();
    let mut lab = Lab(client);
    lab.set(&[(7, 3)]);
    assert_eq!(lab.ask(&[7]), [(7, 3, 0)]);
    assert_eq!(counts(), 1);
    let tracker = net.tracker().clone();
    net.exit();
    kernel::testing::rcu::barrier();
    drop((lab, net));
    assert_eq!(tracker.conn_counts.load(Relaxed), 0);
}

/// L5: refused for what others have, it goes on counting: whoever repeats that does not have it begin and end each time.
#[test]
fn l5_a_refused_datapath_begins_once() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    net.add("eth0");
    for _ in 0..3 {
        assert_eq!(refused(new_dp(&mut client, "eth0")), EEXIST);
        assert_eq!(net.tracker().conn_counts.load(Relaxed), 1);
    }
}

/// L5: without memory there is neither a datapath nor a count of which nobody knows.
#[test]
fn l5_the_first_datapath_without_memory() {
    let mut struck = [0; 2];
    for n in 1.. {
        let net = FakeNet::new();
        let mut client = Client::new(&net);
        kernel::testing::rcu::barrier();
        let before = live();
        fail_nth(n);
        let result = new_dp(&mut client, "br0");
        let done = openvswitch::sys::testing::fail_pending();
        fail_nth(0);
        if done {
            result.unwrap();
            break;
        }
        assert_eq!(result.unwrap_err().errno, ENOMEM, "allocation {n}");
        kernel::testing::rcu::barrier();
        let counts = net.tracker().conn_counts.load(Relaxed);
        assert_eq!(live(), before + COUNTS * counts, "allocation {n}");
        struck[counts as usize] += 1;
    }
    assert!(struck[0] >= 2);
}

/// L5: of two who come first at once one begins, and what the other has brought goes.
#[test]
fn l5_two_first_datapaths_at_once() {
    for _ in 0..50 {
        let net = FakeNet::new();
        std::thread::scope(|scope| {
            for name in ["br0", "br1"] {
                let net = &net;
                scope.spawn(move || drop(new_dp(&mut Client::new(net), name).unwrap()));
            }
        });
        assert_eq!(net.tracker().conn_counts.load(Relaxed), 1);
    }
}
