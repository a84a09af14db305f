// SPDX-License-Identifier: GPL-2.0
//! Any bytes as a packet: the key must not depend on what is linear, a second look must give the same, and what the
//! key says in netlink must read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openvswitch::datapath::env::PacketOps;
use openvswitch::datapath::flow::extract::{from_device, refresh};
use openvswitch::datapath::flow::parts::FlowKey;
use openvswitch::datapath::netlink::attr::Attr;
use openvswitch::datapath::netlink::key::{parse_key, put_key_ref, KEY_ATTRS_MAX};
use openvswitch::datapath::netlink::writer::Writer;
use openvswitch::env::FakeNet;
use openvswitch::packet::{fail_nth, Gso, Packet};

thread_local! {
    static NET: FakeNet = FakeNet::new();
}

fuzz_target!(|input: &[u8]| {
    let Some(([flags, split, proto @ ..], frame)) = input.split_first_chunk::<4>() else {
        return;
    };
    let is_ethernet = flags & 1 == 0;
    let new = |linear: usize| {
        let mut p = Packet::split(frame, linear).with_protocol(u16::from_be_bytes(*proto));
        if flags & 2 != 0 {
            p = p.with_vlan(0x8100, 5);
        }
        if flags & 4 != 0 {
            p = p.with_gso(Gso {
                size: 8,
                headers: 42,
                udp_fragments: flags & 8 != 0,
            });
        }
        p
    };
    let mut whole = new(frame.len());
    let expected = from_device(&mut whole, 1, is_ethernet);
    let mut parts = new(usize::from(*split));
    assert_eq!(from_device(&mut parts, 1, is_ethernet), expected);
    let marks = |p: &Packet| {
        (
            p.mac_header(),
            p.network_offset(),
            p.transport_offset(),
            p.mac_len(),
            p.protocol(),
            p.vlan_tag(),
        )
    };
    assert_eq!(marks(&parts), marks(&whole));
    assert_eq!(parts.bytes(), whole.bytes());

    fail_nth(u64::from(flags >> 4));
    let _ = from_device(&mut new(usize::from(*split)), 1, is_ethernet);
    fail_nth(0);

    let Ok(key) = expected else { return };
    let mut again = FlowKey::new();
    again.copy_from(&key);
    assert_eq!(refresh(&mut parts, &mut again), Ok(()));
    assert_eq!(again, key);

    let mut buf = [0; KEY_ATTRS_MAX];
    let mut w = Writer::new(&mut buf);
    put_key_ref(&mut w, 1, key.as_ref(), None).expect("fits");
    let (attr, rest) = Attr::split_first(w.written()).expect("an attribute");
    assert!(rest.is_empty());
    // Not every packet can be described: tags cut short, L3 types below 0x600, protocols that are not supported.
    if let Ok(read) = NET.with(|net| parse_key(net, attr)) {
        let cut = matches!(key.eth_type.get(), 0x8100 | 0x88a8) && key.cvlan_tci.get() == 0;
        assert!(read == key || cut, "{read:?} {key:?}");
    }
});
