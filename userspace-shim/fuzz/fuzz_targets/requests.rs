// SPDX-License-Identifier: GPL-2.0
//! Any requests of all families, one after another, with an allocation failing somewhere: what was refused changed
//! nothing, and the end of the namespace leaves nothing behind.
//!
//! An input is a row of requests. Each begins with four bytes: family (and what else [`Head`] says), command, which
//! allocation fails (0: none), and how many words of attributes follow.
#![no_main]

mod lab;

use libfuzzer_sys::fuzz_target;
use openvswitch::client::{Bytes, Client, Message, FAMILIES};
use openvswitch::datapath::abi::{ct_limit_cmd, meter_attr, meter_cmd};
use openvswitch::datapath::env::Group;
use openvswitch::datapath::netlink::nlm;
use openvswitch::packet::{alive, take_drops, take_samples};
use openvswitch::sys::testing::{fail_nth, live, run_rcu, take_log, take_warnings};

/// The first byte of a request: family, and whether it has NLM_F_CREATE, NLM_F_ECHO, and an ifindex of no datapath.
struct Head(u8);

impl Head {
    fn group(&self) -> Group {
        FAMILIES[usize::from(self.0 & 7) % FAMILIES.len()]
    }

    fn flags(&self) -> u16 {
        let on = |bit, flag| if self.0 & bit != 0 { flag } else { 0 };
        on(8, nlm::CREATE) | on(16, nlm::ECHO)
    }

    fn strays(&self) -> bool {
        self.0 & 32 != 0
    }
}

/// All that the families tell, as far as there still is a datapath.
fn state(client: &mut Client, dp: i32) -> Vec<Message> {
    let flags = std::mem::take(&mut client.flags);
    let mut all = client
        .dump(Group::Datapath, 0, &Bytes::new())
        .expect("a dump");
    for group in [Group::Vport, Group::Flow] {
        all.extend(client.dump(group, dp, &Bytes::new()).unwrap_or_default());
    }
    for id in 0..4 {
        let meter = Bytes::new().u32(meter_attr::ID, id);
        all.extend(client.call(Group::Meter, meter_cmd::GET, dp, &meter));
    }
    all.extend(client.call(Group::CtLimit, ct_limit_cmd::GET, dp, &Bytes::new()));
    for message in &mut all {
        message.0[8..12].fill(0); // the sequence number
    }
    client.flags = flags;
    all
}

/// Runs the row on a new namespace.
fn play(mut input: &[u8]) {
    let (net, dp) = lab::lab();
    net.add("p3");
    let mut client = Client::new(&net);
    let mut before = state(&mut client, dp);
    let packets = alive();
    while let Some((&[head, cmd, fail, words], rest)) = input.split_first_chunk::<4>() {
        let (attrs, rest) = rest.split_at(rest.len().min(usize::from(words) * 4));
        input = rest;
        let head = Head(head);
        client.flags = head.flags();
        let to = if head.strays() { 1 } else { dp };
        fail_nth(u64::from(fail));
        let answer = client.request(head.group(), cmd, to, &Bytes(attrs.to_vec()));
        fail_nth(0);
        net.expire_fragments(); // which CT keeps
        assert_eq!(alive(), packets);
        let now = state(&mut client, dp);
        // What ran on a packet counts though it failed; limits before the one that failed are set (spec Q15).
        if !matches!(head.group(), Group::Packet | Group::CtLimit) {
            if let Err(e) = answer {
                assert!(
                    now == before,
                    "{:?} {cmd}: {e:?}, but changed",
                    head.group()
                );
            }
        }
        before = now;
    }
    net.exit();
}

fuzz_target!(|input: &[u8]| {
    let before = live();
    play(input);
    run_rcu();
    take_drops();
    take_samples();
    take_log();
    take_warnings();
    assert_eq!(live(), before, "left behind");
});
