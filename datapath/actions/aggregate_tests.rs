// SPDX-License-Identifier: GPL-2.0
//! Tests of [`super`]: which headers an aggregate may have.

use super::*;
use std::vec::Vec;

/// A header of 8 bytes with this next protocol.
fn service(next: u8) -> [u8; 8] {
    [0, 2, 2, next, 0, 0, 0, 0]
}

fn aggregate(protocol: u16, l2_len: usize, bytes: &[u8]) -> Packet {
    let mut pkt = Packet::split(bytes, 0).with_protocol(protocol);
    pkt.set_network_header(l2_len);
    pkt.reset_mac_len();
    pkt
}

fn ethernet(eth_type: u16) -> Vec<u8> {
    [&[2; 12][..], &eth_type.to_be_bytes()].concat()
}

#[test]
fn service_headers_are_counted() {
    for (n, too_deep) in [(1, false), (8, false), (9, true), (300, true)] {
        let mut bytes = service(4).repeat(n - 1);
        bytes.extend(service(1));
        bytes.extend([0x45; 20]);
        assert_eq!(is_too_deep(&mut aggregate(ty::NSH, 0, &bytes)), too_deep);
        let frame = [ethernet(ty::NSH), bytes].concat();
        assert_eq!(is_too_deep(&mut aggregate(ty::NSH, 14, &frame)), too_deep);
    }
}

#[test]
fn tags_and_labels_between_them_are_too() {
    let tagged = [&ethernet(ty::VLAN)[..], &[0, 7, 0x89, 0x4f]].concat();
    let level = [&service(3)[..], &tagged].concat();
    for (n, too_deep) in [(1, false), (6, false), (8, true), (100, true)] {
        let bytes = [&level.repeat(n)[..], &service(2), &[0x60; 40]].concat();
        assert_eq!(is_too_deep(&mut aggregate(ty::NSH, 0, &bytes)), too_deep);
        let frame = [&tagged[..], &bytes].concat();
        assert_eq!(is_too_deep(&mut aggregate(ty::VLAN, 18, &frame)), too_deep);
        let mut labelled = aggregate(ty::NSH, 0, &bytes);
        labelled.push_mpls([0; 4], ty::MPLS_UC, 0).unwrap();
        assert_eq!(is_too_deep(&mut labelled), too_deep);
    }
}

/// Behind labels the kernel takes a frame for what its type says, from its first byte on, and a tag for one behind 14 bytes.
#[test]
fn what_is_behind_labels_is_read_as_the_kernel_does() {
    for (protocol, at, type_) in [(ty::TEB, 12, [0x89, 0x4f]), (ty::VLAN, 16, [0x89, 0x4f])] {
        let mut frame = service(4).repeat(100);
        let start = if protocol == ty::VLAN { 18 } else { 0 };
        frame.splice(..0, std::vec![0x5a; start]);
        frame[at..at + 2].copy_from_slice(&type_);
        let mut pkt = aggregate(protocol, 0, &frame);
        pkt.push_mpls([0; 4], ty::MPLS_UC, 0).unwrap();
        assert!(is_too_deep(&mut pkt), "{protocol:x}");
    }
}

/// For a device without Ethernet header a frame is a payload. The kernel learns its type, and looks for that where the frame begins.
#[test]
fn a_frame_as_payload_is_read_as_the_kernel_does() {
    let odd = [
        &service(4)[..],
        &[2; 4],
        &[0x89, 0x4f],
        &service(4).repeat(20),
    ]
    .concat();
    assert!(is_too_deep(&mut aggregate(ty::TEB, 0, &odd[..14])));
    let plain = [ethernet(ty::NSH), service(4).repeat(20)].concat();
    assert!(!is_too_deep(&mut aggregate(ty::TEB, 0, &plain)));
}

#[test]
fn headers_that_are_not_there() {
    for (protocol, bytes) in [
        (ty::NSH, &service(4)[..]),
        (ty::NSH, &service(4)[..7]),
        (ty::NSH, &service(9)),
        (ty::NSH, &service(3)),
        (ty::VLAN, &[0; 14]),
        (ty::TEB, &[0; 13]),
    ] {
        assert!(
            is_too_deep(&mut aggregate(protocol, 0, bytes)),
            "{protocol:x} {bytes:x?}"
        );
    }
    for protocol in [ty::IPV4, ty::IPV6, ty::ARP, 0] {
        assert!(!is_too_deep(&mut aggregate(protocol, 0, &[])));
    }
}
