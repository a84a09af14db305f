// SPDX-License-Identifier: GPL-2.0
//! Any bytes as an action list: accepted lists dump to what reads back the same. What was accepted then runs on a
//! packet, with packet memory failing somewhere: no packet is left behind.
#![no_main]

mod lab;

use libfuzzer_sys::fuzz_target;
use openvswitch::client::{Bytes, Client};
use openvswitch::datapath::abi::{key_attr, packet_attr, packet_cmd};
use openvswitch::datapath::actions::{Action, Actions};
use openvswitch::datapath::env::Group;
use openvswitch::datapath::flow::extract::from_device;
use openvswitch::datapath::flow::key::Core;
use openvswitch::datapath::netlink::actions::{parse, put};
use openvswitch::datapath::netlink::attr::Attr;
use openvswitch::datapath::netlink::writer::Writer;
use openvswitch::env::FakeNet;
use openvswitch::packet::{alive, fail_nth, take_drops, take_samples, Packet};

thread_local! {
    static LAB: (FakeNet, i32) = lab::lab();
}

/// Frames that reach every kind of SET.
fn frame(kind: u8) -> Vec<u8> {
    let proto = [6, 17, 132, 58, 1][usize::from(kind % 5)];
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if kind & 16 != 0 {
        f.extend([0x81, 0, 0x20, 5]);
    }
    if kind & 8 == 0 {
        f.extend([
            8,
            0,
            0x45,
            0,
            0,
            60,
            0,
            1,
            kind & 0x20,
            0,
            64,
            proto,
            0,
            0,
            10,
            0,
            0,
            1,
            10,
            0,
            0,
            2,
        ]);
    } else {
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, proto, 64]);
        f.extend([7; 32]);
    }
    f.extend([
        0x03, 0xe8, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 2, 0, 9, 1, 2, 0, 0,
    ]);
    f.extend([9; 20]);
    f
}

fn compile(list: &[u8], key: &Core) -> Option<Actions> {
    let len = (list.len() + 4) as u16;
    let whole = [&len.to_ne_bytes()[..], &[4, 0], list].concat();
    let (attr, _) = Attr::split_first(&whole).expect("an attribute");
    LAB.with(|(net, _)| parse(net, attr, key, true).ok())
}

fn dump(acts: &Actions) -> Vec<u8> {
    let mut room = vec![0; acts.dump_len()];
    let mut w = Writer::new(&mut room);
    put(acts, &mut w, 4).expect("room as promised");
    assert_eq!(w.len(), acts.dump_len());
    w.written()[4..].to_vec()
}

fuzz_target!(|input: &[u8]| {
    let Some(([kind, fail], list)) = input.split_first_chunk::<2>() else {
        return;
    };
    if list.len() > 4000 {
        return;
    }
    let frame = frame(*kind);
    let key = from_device(&mut Packet::new(&frame), 1, true).expect("a key");
    let Some(acts) = compile(list, &key) else {
        return;
    };
    let once = dump(&acts);
    // PSAMPLE is dumped without the flag NESTED, which a request must have, as in the C module (spec A14).
    let readable = |action: &Action| !matches!(action, Action::Psample(_));
    if acts.as_slice().iter().all(readable) {
        let again = compile(&once, &key).expect("a dump is valid");
        assert_eq!(again.as_slice(), acts.as_slice());
        assert_eq!(dump(&again), once);
    }

    LAB.with(|(net, dp)| {
        let in_port = Bytes::new().u32(key_attr::IN_PORT, 1);
        let request = Bytes::new()
            .put(packet_attr::PACKET, &frame)
            .nest(packet_attr::KEY, in_port)
            .nest(packet_attr::ACTIONS, Bytes(list.to_vec()));
        let before = alive();
        for n in [0, u64::from(*fail)] {
            fail_nth(n);
            let _ = Client::new(net).request(Group::Packet, packet_cmd::EXECUTE, *dp, &request);
            fail_nth(0);
            net.expire_fragments(); // which CT keeps
            assert_eq!(alive(), before);
            take_drops();
            take_samples();
            net.take_upcalls();
            for name in ["p1", "p2", "br0"] {
                net.device(name).expect("a device").take_sent();
            }
        }
    });
});
