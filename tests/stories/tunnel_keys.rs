// SPDX-License-Identifier: GPL-2.0
//! What a tunnel device tells of a packet is part of its key (spec K17, K21, K35).

use crate::act_kit::*;
use openvswitch::datapath::abi::{flow_attr, tunnel_attr as ta};
use openvswitch::datapath::env::TunnelInfo;
use openvswitch::datapath::wire::be::Be16;
use openvswitch::packet::Packet;
use openvswitch::rust::sync::BhGuard;

/// From 10.1.1.1 to 10.1.1.2, with a Geneve option of 40 bytes.
fn info(id: u8) -> TunnelInfo<'static> {
    let address = |last| [10, 1, 1, last, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    TunnelInfo {
        id: [0, 0, 0, 0, 0, 0, 0, id],
        proto: 2,
        src: address(1),
        dst: address(2),
        tp_src: Be16::new(0),
        tp_dst: Be16::new(6081),
        flags: 1 | 1 << 4,
        tos: 0,
        ttl: 64,
        options: &[0x5a; 40],
    }
}

/// The same as an attribute of a key.
fn tunnel(id: u8) -> Bytes {
    Bytes::new()
        .put(ta::ID, &[0, 0, 0, 0, 0, 0, 0, id])
        .put(ta::IPV4_SRC, &[10, 1, 1, 1])
        .put(ta::IPV4_DST, &[10, 1, 1, 2])
        .put(ta::TTL, &[64])
        .be16(ta::TP_DST, 6081)
        .put(ta::GENEVE_OPTS, &[0x5a; 40])
}

fn deliver(dev: &FakeDevice, id: Option<u8>) {
    let mut pkt = Packet::new(&udp());
    pkt.tunnel = id.map(info);
    dev.receive_packet(pkt, &BhGuard::enter());
}

/// The tunnels in the keys of the upcalls since.
fn told(lab: &mut Lab) -> Vec<Option<Vec<u8>>> {
    let tunnel_of = |m: &Message| {
        let key = m.get(packet_attr::KEY).expect("a key");
        let whole = Bytes::new().nest(key_attr::TUNNEL, tunnel(0)).0;
        let at = key.windows(4).position(|w| w == &whole[..4])?;
        Some(key[at + 4..at + whole.len()].to_vec())
    };
    lab.upcalls(7).iter().map(tunnel_of).collect()
}

fn key(id: Option<u8>) -> Bytes {
    let mut key = Bytes::new();
    if let Some(id) = id {
        key = key.nest(key_attr::TUNNEL, tunnel(id));
    }
    key.u32(key_attr::IN_PORT, 1)
        .u32(key_attr::RECIRC_ID, 0)
        .put(key_attr::ETHERNET, &[0; 12])
        .put(key_attr::ETHERTYPE, &[0x12, 0x34])
}

fn mask() -> Bytes {
    let tunnel = Bytes::new()
        .put(ta::ID, &[0xff; 8])
        .put(ta::GENEVE_OPTS, &[[0xff; 20], [0; 20]].concat());
    Bytes::new()
        .nest(key_attr::TUNNEL, tunnel)
        .u32(key_attr::IN_PORT, !0)
        .u32(key_attr::RECIRC_ID, !0)
}

fn install(lab: &mut Lab, id: Option<u8>, actions: Bytes) {
    let flow = Bytes::new()
        .nest(flow_attr::KEY, key(id))
        .nest(
            flow_attr::MASK,
            if id.is_some() {
                mask()
            } else {
                Bytes::new()
                    .u32(key_attr::IN_PORT, !0)
                    .u32(key_attr::RECIRC_ID, !0)
            },
        )
        .nest(flow_attr::ACTIONS, actions);
    let dp = lab.switch.dp;
    lab.switch
        .client
        .request(Group::Flow, cmd::NEW, dp, &flow)
        .expect("a flow");
}

#[test]
fn userspace_is_told_of_the_tunnel() {
    let mut lab = Lab::new();
    let [p1, ..] = lab.devs.clone();
    deliver(&p1, Some(5));
    deliver(&p1, None);
    lab.switch
        .new_port(&port("int1", INTERNAL))
        .expect("a port");
    let internal = lab.switch.net.device("int1").expect("registered");
    deliver(&internal, Some(6));
    // What the local stack attached is not how the packet came.
    assert_eq!(told(&mut lab), [Some(tunnel(5).0), None, None]);
}

#[test]
fn flows_match_the_tunnel() {
    let mut lab = Lab::new();
    let [p1, ..] = lab.devs.clone();
    install(&mut lab, Some(5), list().output(2));
    deliver(&p1, Some(5));
    assert_eq!(lab.counts(), [0, 1, 0]);
    deliver(&p1, Some(6));
    deliver(&p1, None);
    assert_eq!(lab.counts(), [0, 0, 0]);
    assert_eq!(told(&mut lab), [Some(tunnel(6).0), None]);
}

// K35; the copies of keys and the slots of deferred lists have all of it, and nothing of the packet before.
#[test]
fn the_tunnel_stays_with_the_packet() {
    let mut lab = Lab::new();
    let [p1, ..] = lab.devs.clone();
    let changes = |id| {
        list()
            .push_vlan(0x8100, 0x1005)
            .push_vlan(0x8100, 0x1006)
            .recirc(id)
    };
    let nested = (0..5).fold(changes(9), |inner, _| list().cloned(inner).output(3));
    install(
        &mut lab,
        Some(5),
        list().cloned(changes(1)).cloned(nested.clone()).recirc(2),
    );
    deliver(&p1, Some(5));
    let tunnels = told(&mut lab);
    assert_eq!(tunnels.len(), 3);
    assert!(tunnels.iter().all(|t| *t == Some(tunnel(5).0)));
    install(
        &mut lab,
        None,
        list().cloned(changes(1)).cloned(nested).recirc(2),
    );
    deliver(&p1, None);
    assert_eq!(told(&mut lab), [None, None, None]);
}
