// SPDX-License-Identifier: GPL-2.0
//! Packets and readers on some threads while ports, flows and datapaths come and go on others (B34, B39, B42).

use crate::flow_kit::*;
use openvswitch::sys::testing::{run_rcu, set_cpu, Account};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

#[test]
fn readers_and_writers() {
    openvswitch::datapath::actions::execute::init(&openvswitch::sys::testing::process_context())
        .unwrap();
    kernel::testing::rcu::barrier();
    let before = live();
    let account = Account::current();
    let net = FakeNet::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for cpu in 1..3 {
            let (net, stop) = (&net, &stop);
            scope.spawn(move || {
                account.adopt();
                set_cpu(cpu);
                while !stop.load(Relaxed) {
                    for name in ["eth0", "int0", "br0"] {
                        if let Some(dev) = net.device(name) {
                            dev.receive(&UDP.packet());
                            dev.take_sent();
                        }
                    }
                    net.take_upcalls();
                    run_rcu();
                }
            });
        }
        let (reader_net, stop_reader) = (&net, &stop);
        scope.spawn(move || {
            account.adopt();
            let mut client = Client::new(reader_net);
            while !stop_reader.load(Relaxed) {
                for dp in client.dump(Group::Datapath, 0, &Bytes::new()).unwrap() {
                    // It may be gone by now; the answer is then a refusal.
                    let _ = client.dump(Group::Vport, dp.dp_ifindex(), &Bytes::new());
                    let _ = client.call(Group::Vport, cmd::GET, dp.dp_ifindex(), &by_number(1));
                    let _ = client.call(Group::Vport, cmd::GET, 0, &by_name("int0"));
                    let _ = client.dump(Group::Flow, dp.dp_ifindex(), &Bytes::new());
                }
                openvswitch::datapath::control::rebalance(
                    &openvswitch::sys::testing::process_context(),
                    reader_net,
                );
                run_rcu();
            }
        });
        let _stop = StopAtEnd(&stop);
        writer(&net);
    });
    net.exit();
    kernel::testing::rcu::barrier();
    assert_eq!(live(), before + COUNTS);
}

/// Stops the readers also when the writer panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn writer(net: &FakeNet) {
    let elsewhere = FakeNet::new();
    let mut client = Client::new(net);
    client.flags = nlm::CREATE;
    for round in 0..40u32 {
        let eth0 = net.add("eth0");
        let dp = new_dp(&mut client, "br0").unwrap().dp_ifindex();
        let mut send = |group, cmd, attrs: &Bytes| client.request(group, cmd, dp, attrs).unwrap();
        send(Group::Vport, cmd::NEW, &port("eth0", NETDEV));
        send(Group::Vport, cmd::NEW, &port("int0", INTERNAL));
        send(
            Group::Flow,
            cmd::NEW,
            &flow(&UDP).mask(mask(0, 0, 0, 0)).acts(&[2]),
        );
        let back = Udp { in_port: 2, ..UDP };
        send(
            Group::Flow,
            cmd::NEW,
            &flow(&back).mask(mask(0, 0, 0, 0)).acts(&[1]),
        );
        for i in 0..20 {
            let udp = Udp {
                in_port: 10 + i,
                ..UDP
            };
            let attrs = flow(&udp).mask(mask(!0 << (i % 8), 0, 0, 0)).acts(&[2]);
            send(Group::Flow, cmd::NEW, &attrs);
        }
        match round % 4 {
            0 => eth0.unregister(),
            1 => drop(eth0.move_to(&elsewhere)),
            2 => drop(send(Group::Vport, cmd::DEL, &by_name("eth0"))),
            _ => (),
        }
        send(Group::Datapath, cmd::DEL, &Bytes::new());
        if let Some(dev) = net.device("eth0") {
            dev.unregister();
        }
        net.take_multicasts();
        run_rcu();
    }
    elsewhere.exit();
}
