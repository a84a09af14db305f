// SPDX-License-Identifier: GPL-2.0
//! CT actions as attributes: what is refused, and what comes back (spec C1 to C3, C15).

use super::*;
use crate::datapath::netlink::attr::Attrs;
use kernel::error::Error;
use proptest::prelude::*;

const ALL: Features = crate::World::CONNTRACK;

fn attr(ty: u16, payload: &[u8]) -> Vec<u8> {
    let mut b = Vec::new();
    b.extend(((payload.len() + 4) as u16).to_ne_bytes());
    b.extend(ty.to_ne_bytes());
    b.extend(payload);
    b.resize(b.len().next_multiple_of(4), 0);
    b
}

fn flag(ty: u16) -> Vec<u8> {
    attr(ty, &[])
}

fn read_with(list: &[Vec<u8>], ipv6: bool, has: Features) -> Result<Spec, Error> {
    let whole = attr(action_attr::CT, &list.concat());
    let (a, _) = Attr::split_first(&whole).unwrap();
    parse_with(a, Spec::new(ipv6, 6), has).map_err(|e| {
        assert!(e.msg.is_some());
        e.errno
    })
}

fn read(list: &[Vec<u8>]) -> Result<Spec, Error> {
    read_with(list, false, ALL)
}

fn dump(spec: &Spec) -> Vec<u8> {
    let mut room = vec![0xa5; 600];
    let mut w = Writer::new(&mut room);
    put_with(spec, &mut w, ALL).unwrap();
    let b = w.written();
    assert_eq!(b.len() - HDRLEN, dump_len_with(spec, ALL));
    let mut all = Attrs::new(b);
    let ct = all.next().unwrap();
    assert_eq!(ct.ty(), action_attr::CT);
    assert!(all.is_exhausted());
    ct.payload().to_vec()
}

/// Accepted, and dumped like this.
#[track_caller]
fn becomes(list: &[Vec<u8>], ipv6: bool, want: &[Vec<u8>]) {
    let spec = read_with(list, ipv6, ALL).expect("accepted");
    assert_eq!(dump(&spec), want.concat());
    assert_eq!(read_with(&[dump(&spec)], ipv6, ALL), Ok(spec));
}

fn zone(v: u16) -> Vec<u8> {
    attr(ct_attr::ZONE, &v.to_ne_bytes())
}

fn mark(value: u32, mask: u32) -> Vec<u8> {
    attr(
        ct_attr::MARK,
        &[value.to_ne_bytes(), mask.to_ne_bytes()].concat(),
    )
}

fn labels(value: u8, mask: u8) -> Vec<u8> {
    attr(ct_attr::LABELS, &[[value; 16], [mask; 16]].concat())
}

fn nat(list: &[Vec<u8>]) -> Vec<u8> {
    attr(ct_attr::NAT, &list.concat())
}

fn port(ty: u16, v: u16) -> Vec<u8> {
    attr(ty, &v.to_ne_bytes())
}

const COMMIT: u16 = ct_attr::COMMIT;
const FORCE: u16 = ct_attr::FORCE_COMMIT;

#[test]
fn c15_attributes_come_back_in_order() {
    becomes(&[], false, &[zone(0)]);
    becomes(&[zone(5), flag(COMMIT)], false, &[flag(COMMIT), zone(5)]);
    becomes(&[flag(COMMIT), flag(FORCE)], false, &[flag(FORCE), zone(0)]);
    becomes(&[flag(FORCE), flag(COMMIT)], false, &[flag(FORCE), zone(0)]);
    let whole = [
        attr(ct_attr::TIMEOUT, b"slow\0"),
        nat(&[]),
        attr(ct_attr::EVENTMASK, &7u32.to_ne_bytes()),
        attr(ct_attr::HELPER, b"ftp\0"),
        labels(0xff, 0x0f),
        mark(0xffff, 1),
        zone(65535),
        flag(COMMIT),
    ];
    let [timeout, nat, events, helper, labels, mark, zone, commit] = whole.clone();
    let want = [commit, zone, mark, labels, helper, events, timeout, nat];
    becomes(&whole, false, &want);
}

#[test]
fn c2_the_last_of_duplicates_counts() {
    becomes(&[zone(1), zone(2)], false, &[zone(2)]);
    let twice = [flag(COMMIT), mark(1, 2), mark(3, 4)];
    becomes(&twice, false, &[flag(COMMIT), zone(0), mark(3, 4)]);
}

#[test]
fn c2_lengths_are_exact() {
    for (ty, ok) in [
        (COMMIT, 0),
        (ct_attr::ZONE, 2),
        (ct_attr::MARK, 8),
        (ct_attr::LABELS, 32),
        (FORCE, 0),
        (ct_attr::EVENTMASK, 4),
    ] {
        for len in 0..40 {
            let got = read(&[flag(COMMIT), attr(ty, &vec![1; len])]);
            assert_eq!(got.is_ok(), len == ok, "type {ty}, {len} bytes");
            assert!(got.is_ok() || got == Err(EINVAL));
        }
    }
}

#[test]
fn c2_masks_are_not_zero_and_need_commit() {
    assert_eq!(read(&[flag(COMMIT), mark(1, 0)]), Err(EINVAL));
    assert_eq!(read(&[flag(COMMIT), labels(1, 0)]), Err(EINVAL));
    assert_eq!(read(&[mark(0, 1)]), Err(EINVAL));
    assert_eq!(read(&[labels(0, 1)]), Err(EINVAL));
    // The flag may come later, other than for NAT.
    assert!(read(&[mark(0, 1), labels(0, 1), flag(FORCE)]).is_ok());
}

// B13
#[test]
fn b13_names_end_with_a_nul() {
    for (ty, max) in [(ct_attr::HELPER, 16), (ct_attr::TIMEOUT, 32)] {
        let name = |len: usize, nul: bool| {
            let mut name = vec![b'x'; len];
            if nul {
                name[len - 1] = 0;
            }
            read(&[attr(ty, &name)])
        };
        for len in 1..40 {
            assert_eq!(
                name(len, true).is_ok(),
                len <= max,
                "type {ty}, {len} bytes"
            );
            assert_eq!(name(len, false), Err(EINVAL));
        }
        assert_eq!(read(&[attr(ty, &[])]), Err(EINVAL));
    }
    // What follows the NUL is not the name, and not dumped.
    let junk = attr(ct_attr::HELPER, b"ftp\0\xff\xff");
    becomes(&[junk], false, &[zone(0), attr(ct_attr::HELPER, b"ftp\0")]);
    becomes(&[attr(ct_attr::TIMEOUT, b"\0")], false, &[zone(0)]);
    becomes(
        &[attr(ct_attr::HELPER, b"\0")],
        false,
        &[zone(0), attr(ct_attr::HELPER, b"\0")],
    );
}

#[test]
fn b12_unknown_types() {
    for ty in [0].into_iter().chain(10..300) {
        for len in [0, 2, 4, 8] {
            assert_eq!(read(&[attr(ty, &vec![0; len])]), Err(EINVAL));
            let nat = nat(&[attr(ty, &vec![0; len])]);
            assert_eq!(read(&[flag(COMMIT), nat]), Err(EINVAL));
        }
    }
    assert_eq!(read(&[zone(1), vec![1, 2, 3]]), Err(EINVAL));
    assert_eq!(read(&[flag(COMMIT), nat(&[vec![0; 3]])]), Err(EINVAL));
}

#[test]
fn c2_what_the_kernel_lacks_is_unknown() {
    let none = Features {
        zones: false,
        marks: false,
        labels: false,
        nat: false,
        timeouts: false,
        limits: false,
        ..ALL
    };
    for a in [
        zone(1),
        mark(1, 1),
        labels(1, 1),
        nat(&[]),
        attr(ct_attr::TIMEOUT, b"x\0"),
    ] {
        assert!(read(&[flag(COMMIT), a.clone()]).is_ok());
        assert_eq!(read_with(&[flag(COMMIT), a], false, none), Err(EINVAL));
    }
    let spec = read_with(&[flag(COMMIT)], false, none).unwrap();
    let mut room = [0; 64];
    let mut w = Writer::new(&mut room);
    put_with(&spec, &mut w, none).unwrap();
    assert_eq!(w.len() - HDRLEN, dump_len_with(&spec, none));
    assert_eq!(&w.written()[HDRLEN..], flag(COMMIT));
    let off = Features {
        tracking: false,
        ..none
    };
    assert_eq!(read_with(&[], false, off), Err(ENOTSUPP)); // C1
}

#[test]
fn c3_nat() {
    let src = || flag(nat_attr::SRC);
    let dst = || flag(nat_attr::DST);
    let min = |b: &[u8]| attr(nat_attr::IP_MIN, b);
    let max = |b: &[u8]| attr(nat_attr::IP_MAX, b);
    let (pmin, pmax) = (
        |v| port(nat_attr::PROTO_MIN, v),
        |v| port(nat_attr::PROTO_MAX, v),
    );
    let c = || flag(COMMIT);
    let with = |list: &[Vec<u8>]| read(&[c(), nat(list)]);
    assert_eq!(with(&[src(), dst()]), Err(ERANGE));
    assert_eq!(with(&[src(), src()]), Err(ERANGE));
    assert_eq!(read(&[c(), nat(&[src()]), nat(&[dst()])]), Err(ERANGE));
    assert_eq!(read(&[c(), nat(&[]), nat(&[dst()])]), Err(ERANGE));
    // COMMIT must stand before.
    assert_eq!(read(&[nat(&[src()])]), Err(EINVAL));
    assert_eq!(read(&[nat(&[src()]), c()]), Err(EINVAL));
    assert!(read(&[flag(FORCE), nat(&[dst()])]).is_ok());
    // A range needs a type.
    for range in [
        min(&[1; 4]),
        max(&[1; 4]),
        pmin(1),
        pmax(1),
        flag(nat_attr::PERSISTENT),
        flag(nat_attr::PROTO_HASH),
        flag(nat_attr::PROTO_RANDOM),
    ] {
        assert_eq!(with(std::slice::from_ref(&range)), Err(EINVAL));
        assert!(with(&[src(), range]).is_ok());
    }
    becomes(&[nat(&[])], false, &[zone(0), nat(&[])]);
    becomes(
        &[c(), nat(&[dst(), min(&[1, 2, 3, 4]), pmin(80)])],
        false,
        &[c(), zone(0), nat(&[dst(), min(&[1, 2, 3, 4]), pmin(80)])],
    );
    // The maximum is dumped only where it differs.
    let same = [src(), max(&[9; 4]), min(&[9; 4]), pmax(5), pmin(5)];
    let once = [src(), min(&[9; 4]), pmin(5)];
    becomes(&[c(), nat(&same)], false, &[c(), zone(0), nat(&once)]);
    let all = [
        src(),
        min(&[1; 4]),
        max(&[2; 4]),
        pmin(1000),
        pmax(2000),
        flag(nat_attr::PERSISTENT),
        flag(nat_attr::PROTO_HASH),
        flag(nat_attr::PROTO_RANDOM),
    ];
    becomes(&[c(), nat(&all)], false, &[c(), zone(0), nat(&all)]);
    let six = [dst(), min(&[1; 16]), max(&[2; 16])];
    becomes(&[c(), nat(&six)], true, &[c(), zone(0), nat(&six)]);
    // Only a maximum: from address 0 on, as in C.
    let spec = with(&[src(), max(&[7; 4])]).unwrap();
    assert_eq!(spec.nat.unwrap().addrs.unwrap().min, [0; 16]);
}

#[test]
fn c3_nat_lengths() {
    for (ipv6, addr) in [(false, 4), (true, 16)] {
        for (ty, ok) in [
            (nat_attr::IP_MIN, addr),
            (nat_attr::IP_MAX, addr),
            (nat_attr::PROTO_MIN, 2),
            (nat_attr::PROTO_MAX, 2),
            (nat_attr::PERSISTENT, 0),
            (nat_attr::PROTO_HASH, 0),
            (nat_attr::PROTO_RANDOM, 0),
        ] {
            for len in 0..20 {
                let list = nat(&[flag(nat_attr::SRC), attr(ty, &vec![0; len])]);
                let got = read_with(&[flag(COMMIT), list], ipv6, ALL);
                assert_eq!(got.is_ok(), len == ok, "type {ty}, {len} bytes");
            }
        }
        for len in 1..5 {
            for ty in [nat_attr::SRC, nat_attr::DST] {
                let list = nat(&[attr(ty, &vec![0; len])]);
                assert_eq!(read(&[flag(COMMIT), list]), Err(EINVAL));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(list in prop::collection::vec(any::<u8>(), 0..120), ipv6: bool) {
        if let Ok(spec) = read_with(&[list], ipv6, ALL) {
            prop_assert_eq!(read_with(&[dump(&spec)], ipv6, ALL), Ok(spec));
        }
    }

    #[test]
    fn likely_attributes_are_survived(
        list in prop::collection::vec((0u16..11, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        ipv6: bool,
    ) {
        let list: Vec<_> = list.iter().map(|(ty, b)| attr(*ty, b)).collect();
        if let Ok(spec) = read_with(&list, ipv6, ALL) {
            prop_assert_eq!(read_with(&[dump(&spec)], ipv6, ALL), Ok(spec));
        }
    }
}
