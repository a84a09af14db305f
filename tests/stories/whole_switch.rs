// SPDX-License-Identifier: GPL-2.0
//! The whole switch, as ovs-vswitchd uses it: a packet nobody knows goes up, comes back with EXECUTE, its flow is
//! installed, and the next ones pass without asking.

use crate::flow_kit::*;
use openvswitch::datapath::abi::{packet_attr, packet_cmd, userspace_attr};

const PID: u32 = 7;

/// A switch with two ports, whose upcalls go to `PID`.
fn switch() -> (Switch, FakeDevice, FakeDevice) {
    openvswitch::datapath::actions::execute::init(&openvswitch::sys::testing::process_context())
        .unwrap();
    let mut s = Switch::new();
    let (a, _) = s.add_port("a");
    let (b, _) = s.add_port("b");
    (s, a, b)
}

/// The only upcall since the last time.
fn upcall(s: &Switch) -> Message {
    let mut all = s.net.take_upcalls();
    let one = all.pop().expect("an upcall");
    assert!(all.is_empty(), "only one");
    assert_eq!(one.portid, PID);
    let message = Message(one.message);
    assert_eq!(message.nlmsg_len(), message.0.len());
    assert_eq!(message.dp_ifindex(), s.dp);
    message
}

fn execute(
    s: &mut Switch,
    packet: &[u8],
    key: &[u8],
    actions: Bytes,
) -> Result<Option<Message>, Refused> {
    let attrs = Bytes::new()
        .put(packet_attr::PACKET, packet)
        .put(packet_attr::KEY, key)
        .nest(packet_attr::ACTIONS, actions);
    s.client
        .request(Group::Packet, packet_cmd::EXECUTE, s.dp, &attrs)
}

#[test]
fn miss_execute_install_hit() {
    let (mut s, a, b) = switch();
    let packet = UDP.packet();

    assert!(a.receive(&packet));
    assert!(b.take_sent().is_empty());
    let miss = upcall(&s);
    assert_eq!(miss.cmd(), packet_cmd::MISS);
    assert_eq!(miss.get(packet_attr::PACKET), Some(&packet[..]));
    assert_eq!(miss.types().last(), Some(&packet_attr::PACKET), "U4");
    let key = miss.get(packet_attr::KEY).unwrap().to_vec();

    execute(&mut s, &packet, &key, output(&[2])).unwrap();
    assert_eq!(b.take_sent()[0].bytes, packet);

    let install = Bytes::new()
        .put(flow_attr::KEY, &key)
        .mask(mask(!0, !0, 0, 0))
        .acts(&[2]);
    s.create(&install).unwrap();
    for dport in [53, 54, 55] {
        a.receive(&Udp { dport, ..UDP }.packet());
    }
    assert_eq!(b.take_sent().len(), 3);
    assert!(s.net.take_upcalls().is_empty());
    let ([hit, missed, lost, flows], _) = s.counts();
    assert_eq!((hit, missed, lost, flows), (3, 1, 0, 1));
    assert_eq!(stats(&s.flows()[0]), Some((3, 180)));
    let port = s.vport(cmd::GET, &by_number(1)).unwrap();
    let upcalls = Attrs::new(port.get(vport_attr::UPCALL_STATS).unwrap()).map(|a| a.u64().unwrap());
    assert_eq!(upcalls.collect::<Vec<_>>(), [1, 0], "U12");
}

#[test]
fn into_and_out_of_an_internal_port() {
    let (mut s, a, _) = switch();
    s.create(
        &flow(&Udp { in_port: 0, ..UDP })
            .mask(mask(0, 0, 0, 0))
            .acts(&[1]),
    )
    .unwrap();
    s.create(&flow(&UDP).mask(mask(0, 0, 0, 0)).acts(&[0]))
        .unwrap();
    let local = s.net.device("br0").unwrap();
    local.receive(&UDP.packet());
    assert_eq!(a.take_sent().len(), 1);
    a.receive(&UDP.packet());
    assert_eq!(local.take_sent().len(), 1);
    let stats = local.stats();
    assert_eq!((stats.tx_packets, stats.tx_bytes), (1, 60), "W14");
    assert_eq!((stats.rx_packets, stats.rx_bytes), (1, 46), "W15");
}

#[test]
fn userspace_action_carries_what_it_was_given() {
    let (mut s, a, _) = switch();
    let acts = Bytes::new().nest(
        action_attr::USERSPACE,
        Bytes::new()
            .u32(userspace_attr::PID, PID)
            .put(userspace_attr::USERDATA, b"cookie"),
    );
    s.create(
        &flow(&UDP)
            .mask(mask(0, 0, 0, 0))
            .nest(flow_attr::ACTIONS, acts),
    )
    .unwrap();
    a.receive(&UDP.packet());
    let up = upcall(&s);
    assert_eq!(up.cmd(), packet_cmd::ACTION);
    assert_eq!(up.get(packet_attr::USERDATA), Some(&b"cookie"[..]));
    assert_eq!(up.get(packet_attr::PACKET), Some(&UDP.packet()[..]));
}

#[test]
fn per_cpu_dispatch() {
    let (mut s, a, _) = switch();
    let set = Bytes::new()
        .u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU)
        .u32s(dp_attr::PER_CPU_PIDS, &[100, 101, 102]);
    s.datapath(cmd::SET, &set).unwrap();
    for (cpu, portid) in [(0, 100), (2, 102), (3, 100)] {
        openvswitch::sys::testing::set_cpu(cpu);
        a.receive(&UDP.packet());
        assert_eq!(s.net.take_upcalls()[0].portid, portid, "U2 on CPU {cpu}");
    }
    openvswitch::sys::testing::set_cpu(0);
}

#[test]
fn a_full_socket_is_counted_as_lost() {
    let (mut s, a, _) = switch();
    s.net.set_upcall_error(Some(EAGAIN));
    a.receive(&UDP.packet());
    assert_eq!(s.counts().0, [0, 1, 1, 0]);
}

#[test]
fn two_switches_in_a_chain() {
    let (mut s, a, b) = switch();
    let other = new_dp(&mut s.client, "br1").unwrap().dp_ifindex();
    let (c, d) = (s.net.add("c"), s.net.add("d"));
    for name in ["c", "d"] {
        s.client
            .call(Group::Vport, cmd::NEW, other, &port(name, NETDEV))
            .unwrap();
    }
    b.connect(&c);
    let through = flow(&UDP).mask(mask(0, 0, 0, 0)).acts(&[2]);
    s.create(&through).unwrap();
    s.client.flags = nlm::CREATE;
    s.client
        .request(Group::Flow, cmd::NEW, other, &through)
        .unwrap();
    a.receive(&UDP.packet());
    assert_eq!(b.take_sent().len(), 1);
    assert_eq!(
        d.take_sent().len(),
        1,
        "the second switch runs inside the first one's output"
    );
}

// B55
#[test]
fn output_to_a_port_that_left() {
    let (mut s, a, b) = switch();
    s.create(&flow(&UDP).mask(mask(0, 0, 0, 0)).acts(&[2]))
        .unwrap();
    s.vport(cmd::DEL, &by_name("b")).unwrap();
    a.receive(&UDP.packet());
    assert!(b.take_sent().is_empty());
    s.add_port("b");
    a.receive(&UDP.packet());
    assert_eq!(b.take_sent().len(), 1, "the number is in use again");
}

#[test]
fn nothing_is_left_of_a_busy_switch() {
    openvswitch::datapath::actions::execute::init(&openvswitch::sys::testing::process_context())
        .unwrap();
    kernel::testing::rcu::barrier();
    let (memory, packets) = (live(), openvswitch::packet::alive());
    {
        let (mut s, a, b) = switch();
        for i in 0..200 {
            let udp = Udp { src: i, ..UDP };
            a.receive(&udp.packet());
            s.create(&flow(&udp).acts(&[2])).unwrap();
            a.receive(&udp.packet());
        }
        assert_eq!(b.take_sent().len(), 200);
        assert_eq!(s.net.take_upcalls().len(), 200);
        s.net.take_multicasts();
    }
    kernel::testing::rcu::barrier();
    assert_eq!((live(), openvswitch::packet::alive()), (memory, packets));
}
