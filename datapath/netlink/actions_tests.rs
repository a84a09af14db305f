// SPDX-License-Identifier: GPL-2.0
//! Action lists in and out: what is refused and why, what comes back from a dump.

use super::*;
use crate::datapath::actions::list::Field;
use crate::datapath::flow::key::{MAC_PROTO_ETHERNET, MAC_PROTO_NONE};
use crate::datapath::netlink::attr::F_NESTED;
use crate::sys::testing;
use kernel::error::code::{EMSGSIZE, ENOMEM, EOVERFLOW};
use kernel::error::Error;
use proptest::prelude::*;
use std::{format, vec, vec::Vec};

/// An attribute with its padding.
fn attr(ty: u16, payload: &[u8]) -> Vec<u8> {
    let mut b = unpadded(ty, payload);
    b.resize(align(b.len()), 0);
    b
}

fn unpadded(ty: u16, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() + HDRLEN) as u16;
    [&len.to_ne_bytes()[..], &ty.to_ne_bytes()[..], payload].concat()
}

fn word(ty: u16, v: u32) -> Vec<u8> {
    attr(ty, &v.to_ne_bytes())
}

fn output(port: u32) -> Vec<u8> {
    word(action_attr::OUTPUT, port)
}

fn clone(list: &[u8]) -> Vec<u8> {
    attr(action_attr::CLONE, list)
}

fn sample(probability: u32, list: &[u8]) -> Vec<u8> {
    let args = [
        word(sample_attr::PROBABILITY, probability),
        attr(sample_attr::ACTIONS, list),
    ];
    attr(action_attr::SAMPLE, &args.concat())
}

fn check_pkt_len(len: u16, fits: &[u8], greater: &[u8]) -> Vec<u8> {
    let args = [
        attr(cpl::PKT_LEN, &len.to_ne_bytes()),
        attr(cpl::IF_LESS_EQUAL, fits),
        attr(cpl::IF_GREATER, greater),
    ];
    attr(action_attr::CHECK_PKT_LEN, &args.concat())
}

fn dec_ttl(list: &[u8]) -> Vec<u8> {
    attr(action_attr::DEC_TTL, &attr(dec_ttl_attr::ACTION, list))
}

fn push_vlan(tpid: u16, tci: u16) -> Vec<u8> {
    attr(
        action_attr::PUSH_VLAN,
        &[tpid.to_be_bytes(), tci.to_be_bytes()].concat(),
    )
}

fn pop_vlan() -> Vec<u8> {
    attr(action_attr::POP_VLAN, &[])
}

fn userspace(parts: &[Vec<u8>]) -> Vec<u8> {
    attr(action_attr::USERSPACE, &parts.concat())
}

fn set(key: u16, value: &[u8]) -> Vec<u8> {
    attr(action_attr::SET, &attr(key, value))
}

fn set_masked(key: u16, value: &[u8], mask: &[u8]) -> Vec<u8> {
    attr(action_attr::SET_MASKED, &attr(key, &[value, mask].concat()))
}

fn ct(commit: bool, zone: u16) -> Vec<u8> {
    let commit = if commit { attr(1, &[]) } else { Vec::new() };
    let zone = attr(2, &zone.to_ne_bytes());
    attr(action_attr::CT, &[commit, zone].concat())
}

fn key(mac_proto: u8, eth_type: u16, ip_proto: u8) -> Core {
    Core {
        mac_proto,
        eth_type: Be16::new(eth_type),
        ip_proto,
        ..Core::ZERO
    }
}

fn tcp4() -> Core {
    key(MAC_PROTO_ETHERNET, 0x0800, 6)
}

fn with_list<R>(list: &[u8], f: impl FnOnce(Attr<'_>) -> R) -> R {
    let whole = unpadded(4, list);
    f(Attr::split_first(&whole).expect("shorter than 64 KiB").0)
}

fn compile(list: &[u8], key: &Core) -> Result<Actions, Error> {
    with_list(list, |a| {
        parse(&crate::env::FakeNet::new(), a, key, true).map_err(|e| e.errno)
    })
}

fn dump(acts: &Actions) -> Vec<u8> {
    let mut room = vec![0xff; acts.dump_len()];
    let mut w = Writer::new(&mut room);
    put(acts, &mut w, 4).expect("room as promised");
    assert_eq!(w.len(), acts.dump_len());
    w.written()[HDRLEN..].to_vec()
}

/// The list is accepted, and dumped as it was given.
#[track_caller]
fn same(list: &[u8], key: &Core) {
    let acts = compile(list, key).expect("accepted");
    assert_eq!(dump(&acts), list);
    assert_eq!(acts.orig_len() as usize, list.len());
}

#[track_caller]
fn refused(list: &[u8], key: &Core, errno: Error) {
    assert_eq!(compile(list, key).map(|a| dump(&a)), Err(errno));
}

// ABI numbers that only tests need.
const PID: u16 = userspace_attr::PID;
const DATA: u16 = userspace_attr::USERDATA;

#[test]
fn every_action_comes_back_as_it_was_given() {
    let ip6 = key(MAC_PROTO_ETHERNET, 0x86dd, 17);
    let l3 = key(MAC_PROTO_NONE, 0x0800, 6);
    same(&[], &tcp4());
    same(&output(65534), &tcp4());
    same(&word(action_attr::RECIRC, 0xdead_beef), &tcp4());
    same(&word(action_attr::TRUNC, 14), &tcp4());
    same(&word(action_attr::METER, u32::MAX), &tcp4());
    same(&word(action_attr::DROP, 7), &tcp4());
    same(&attr(action_attr::HASH, &[0, 0, 0, 0, 1, 2, 3, 4]), &tcp4());
    same(&attr(action_attr::HASH, &[1, 0, 0, 0, 1, 2, 3, 4]), &tcp4());
    same(
        &[
            push_vlan(0x8100, 0x1001),
            push_vlan(0x88a8, 0xffff),
            pop_vlan(),
        ]
        .concat(),
        &tcp4(),
    );
    same(&attr(action_attr::PUSH_ETH, b"srcsrcdstdst"), &l3);
    same(
        &[attr(action_attr::POP_ETH, &[]), output(3)].concat(),
        &tcp4(),
    );
    same(
        &sample(0x1234_5678, &[output(1), pop_vlan()].concat()),
        &tcp4(),
    );
    same(&[sample(0, &[]), clone(&[]), output(9)].concat(), &tcp4());
    same(
        &clone(&[output(1), sample(u32::MAX, &clone(&output(2))), output(3)].concat()),
        &tcp4(),
    );
    same(&userspace(&[word(PID, 77)]), &tcp4());
    same(
        &userspace(&[
            word(PID, 77),
            attr(DATA, b"12345"),
            word(3, 8),
            attr(4, &[]),
        ]),
        &tcp4(),
    );
    same(&userspace(&[attr(DATA, &[]), word(PID, u32::MAX)]), &tcp4());
    same(&set(2, &[1, 2, 3, 4]), &tcp4());
    same(&set(15, &[1, 2, 3, 4]), &tcp4());
    same(&set(4, b"srcsrcdstdst"), &tcp4());
    same(
        &set(7, &[10, 0, 0, 1, 10, 0, 0, 2, 6, 0xb8, 64, 0]),
        &tcp4(),
    );
    same(&set(9, &[0, 80, 1, 187]), &tcp4());
    same(&set(10, &[0, 80, 1, 187]), &ip6);
    same(
        &set(17, &[0, 80, 1, 187]),
        &key(MAC_PROTO_ETHERNET, 0x0800, 132),
    );
    let mut v6 = [7; 40];
    v6[32..].copy_from_slice(&[0, 0x0f, 1, 2, 17, 3, 64, 0]);
    same(&set(8, &v6), &ip6);
    let mut mask = [0; 40];
    mask[0] = 0xff;
    let mut value = [0; 40];
    value[0] = 0xfe;
    same(&set_masked(8, &value, &mask), &ip6);
    same(&set_masked(9, &[0, 80, 0, 0], &[0xff, 0xff, 0, 0]), &tcp4());
    same(&set_masked(4, &[1; 12], &[0xff; 12]), &tcp4());
}

#[test]
fn flags_and_missing_padding_are_not_echoed() {
    let flagged = attr(
        action_attr::CLONE | 0x8000,
        &attr(action_attr::POP_VLAN | 0x4000, &[]),
    );
    assert_eq!(
        dump(&compile(&flagged, &tcp4()).unwrap()),
        clone(&pop_vlan())
    );
    // The last attribute of a list need not be padded.
    let data = unpadded(DATA, b"123");
    let cut = unpadded(
        action_attr::USERSPACE,
        &[word(PID, 1), data.clone()].concat(),
    );
    let acts = compile(&cut, &tcp4()).unwrap();
    assert_eq!(dump(&acts), userspace(&[word(PID, 1), data]));
}

/// Where C minds that the last attribute's padding is missing, and where it does not (A1).
#[test]
fn missing_padding_inside_of_actions() {
    let mpls = key(MAC_PROTO_ETHERNET, 0x8847, 0);
    let pop = unpadded(action_attr::POP_MPLS, &[8, 0]);
    let list = unpadded(dec_ttl_attr::ACTION, &pop);
    refused(&attr(action_attr::DEC_TTL, &list), &mpls, EINVAL);
    let list = attr(dec_ttl_attr::ACTION, &pop);
    compile(&attr(action_attr::DEC_TTL, &list), &mpls).unwrap();

    let base = attr(1, &[0, 63, 2, 3, 0, 0, 1, 255]);
    for len in 1..8 {
        let nsh = [base.clone(), unpadded(3, &vec![7; len])].concat();
        same(&attr(action_attr::PUSH_NSH, &attr(28, &nsh)), &tcp4());
    }
}

#[test]
fn lengths_and_types_are_exact() {
    let ok = tcp4();
    for (ty, len) in [
        (1, 4),
        (7, 4),
        (13, 4),
        (19, 4),
        (24, 4),
        (8, 8),
        (4, 4),
        (5, 0),
        (14, 12),
        (15, 0),
        (16, 0),
    ] {
        for wrong in (0..=16).filter(|&n| n != len) {
            refused(&attr(ty, &vec![0; wrong]), &ok, EINVAL);
        }
    }
    // Not there yet, userspace's own, nobody's; with every payload that they might have (spec A1).
    for ty in [0, 9, 10, 17, 18, 21, 22, 23, 25]
        .into_iter()
        .chain(26..300)
    {
        for len in [0, 2, 4, 8, 12] {
            refused(&attr(ty, &vec![0; len]), &ok, EINVAL);
        }
    }
    refused(&[output(1), vec![1]].concat(), &ok, EINVAL);
    refused(&[output(1), vec![3, 0, 1, 0]].concat(), &ok, EINVAL); // nla_len 3
    refused(&[9, 0, 1, 0, 1, 0, 0, 0], &ok, EINVAL); // longer than the list
}

#[test]
fn arguments_are_checked() {
    let l2 = tcp4();
    let l3 = key(MAC_PROTO_NONE, 0x0800, 6);
    refused(&output(65535), &l2, EINVAL);
    refused(&output(u32::MAX), &l2, EINVAL);
    refused(&word(action_attr::TRUNC, 13), &l2, EINVAL);
    refused(
        &attr(action_attr::HASH, &[2, 0, 0, 0, 0, 0, 0, 0]),
        &l2,
        EINVAL,
    );
    refused(
        &[word(action_attr::DROP, 0), output(1)].concat(),
        &l2,
        EINVAL,
    );
    refused(&push_vlan(0x8100, 0x0001), &l2, EINVAL); // no CFI
    refused(&push_vlan(0x9100, 0x1001), &l2, EINVAL);
    refused(&push_vlan(0x8100, 0x1001), &l3, EINVAL);
    refused(&pop_vlan(), &l3, EINVAL);
    refused(&attr(action_attr::PUSH_ETH, &[0; 12]), &l2, EINVAL);
    refused(&attr(action_attr::POP_ETH, &[]), &l3, EINVAL);
    refused(
        &[push_vlan(0x8100, 0x1001), attr(action_attr::POP_ETH, &[])].concat(),
        &l2,
        EINVAL,
    );
    let tagged = Core {
        vlan_tci: Be16::new(0x1005),
        ..l2
    };
    refused(&attr(action_attr::POP_ETH, &[]), &tagged, EINVAL);
    same(
        &[pop_vlan(), attr(action_attr::POP_ETH, &[])].concat(),
        &tagged,
    );
}

#[test]
fn userspace_needs_a_port_and_known_attributes() {
    let ok = tcp4();
    refused(&userspace(&[]), &ok, EINVAL);
    refused(&userspace(&[word(PID, 0)]), &ok, EINVAL);
    refused(&userspace(&[word(PID, 1), attr(0, &[])]), &ok, EINVAL);
    refused(&userspace(&[word(PID, 1), attr(5, &[])]), &ok, EINVAL);
    refused(&userspace(&[attr(PID, &[1, 2])]), &ok, ERANGE);
    refused(&userspace(&[word(PID, 1), attr(3, &[1, 2])]), &ok, ERANGE);
    refused(&userspace(&[word(PID, 1), vec![1, 2]]), &ok, EINVAL);
    let acts = compile(&userspace(&[attr(DATA, b"abc"), word(PID, 9)]), &ok).unwrap();
    let Action::Userspace(u) = acts.as_slice()[0] else {
        panic!()
    };
    assert_eq!(
        (acts.userspace_pid(&u), acts.userdata(&u), u.with_actions),
        (9, Some(&b"abc"[..]), false)
    );
    let acts = compile(
        &userspace(&[attr(4, &[]), word(PID, 9), attr(DATA, &[])]),
        &ok,
    )
    .unwrap();
    let Action::Userspace(u) = acts.as_slice()[0] else {
        panic!()
    };
    assert_eq!((acts.userdata(&u), u.with_actions), (Some(&[][..]), true));
    let acts = compile(&userspace(&[word(PID, 9)]), &ok).unwrap();
    let Action::Userspace(u) = acts.as_slice()[0] else {
        panic!()
    };
    assert_eq!(acts.userdata(&u), None);
}

#[test]
fn sample_and_clone_are_complete() {
    let ok = tcp4();
    let raw = |parts: &[Vec<u8>]| attr(action_attr::SAMPLE, &parts.concat());
    let (p, list) = (word(1, 5), attr(2, &output(1)));
    refused(&raw(core::slice::from_ref(&p)), &ok, EINVAL);
    refused(&raw(core::slice::from_ref(&list)), &ok, EINVAL);
    refused(&raw(&[p.clone(), list.clone(), p.clone()]), &ok, EINVAL);
    refused(&raw(&[p.clone(), list.clone(), attr(3, &[])]), &ok, EINVAL);
    refused(&raw(&[p.clone(), list.clone(), attr(0, &[])]), &ok, EINVAL);
    refused(&raw(&[attr(1, &[1; 8]), list.clone()]), &ok, EINVAL);
    refused(&raw(&[p.clone(), attr(2, &[1, 2, 3])]), &ok, EINVAL);
    refused(&raw(&[p.clone(), list.clone(), vec![0, 0]]), &ok, EINVAL);
    refused(&clone(&[1, 2, 3]), &ok, EINVAL);
    refused(&clone(&output(65535)), &ok, EINVAL);
    // Order does not matter; dumps have their own.
    assert_eq!(
        dump(&compile(&raw(&[list, p]), &ok).unwrap()),
        sample(5, &output(1))
    );
}

#[test]
fn check_pkt_len_is_complete() {
    let ok = tcp4();
    let raw = |parts: &[Vec<u8>]| attr(action_attr::CHECK_PKT_LEN, &parts.concat());
    let len = attr(cpl::PKT_LEN, &100u16.to_ne_bytes());
    let (fits, greater) = (attr(3, &output(1)), attr(2, &output(2)));
    same(&check_pkt_len(100, &output(1), &output(2)), &ok);
    same(&check_pkt_len(65535, &[], &[]), &ok);
    let nested = check_pkt_len(1, &check_pkt_len(2, &[], &output(1)), &clone(&pop_vlan()));
    same(&[nested.clone(), output(7)].concat(), &ok);
    same(&clone(&[sample(7, &nested), nested].concat()), &ok);
    refused(&check_pkt_len(0, &[], &[]), &ok, EINVAL);
    refused(&raw(&[fits.clone(), greater.clone()]), &ok, EINVAL);
    refused(&raw(&[len.clone(), greater.clone()]), &ok, EINVAL);
    refused(&raw(&[len.clone(), fits.clone()]), &ok, EINVAL);
    let all = [len.clone(), fits.clone(), greater.clone()];
    for more in [attr(0, &[]), attr(4, &[]), vec![0, 0]] {
        refused(&raw(&[&all[..], &[more]].concat()), &ok, EINVAL);
    }
    let short = attr(cpl::PKT_LEN, &[1]);
    refused(&raw(&[short, fits.clone(), greater.clone()]), &ok, ERANGE);
    refused(
        &raw(&[len.clone(), attr(3, &[1, 2, 3]), greater.clone()]),
        &ok,
        ERANGE,
    );
    refused(&check_pkt_len(5, &output(65535), &[]), &ok, EINVAL);
    refused(&check_pkt_len(5, &[], &output(65535)), &ok, EINVAL);
    // Of duplicates the last counts, and dumps have an order of their own.
    let twice = raw(&[greater, attr(3, &[]), len, fits]);
    let acts = compile(&twice, &ok).unwrap();
    assert_eq!(dump(&acts), check_pkt_len(100, &output(1), &output(2)));
}

#[test]
fn both_lists_of_check_pkt_len_start_alike() {
    let l2 = tcp4();
    let eth = attr(action_attr::POP_ETH, &[]);
    same(&check_pkt_len(9, &eth, &eth), &l2);
    let tag = push_vlan(0x8100, 0x1001);
    same(&check_pkt_len(9, &tag, &eth), &l2);
    refused(&[tag, check_pkt_len(9, &[], &eth)].concat(), &l2, EINVAL);
    let acts = compile(
        &[
            check_pkt_len(9, &output(1), &pop_vlan()),
            check_pkt_len(9, &pop_vlan(), &[]),
        ]
        .concat(),
        &l2,
    );
    let acts = acts.unwrap();
    let lists: Vec<_> = acts
        .as_slice()
        .iter()
        .filter_map(|a| match a {
            Action::CheckPktLen(c) => {
                Some((c.fits, c.fits_in_place, c.greater, c.greater_in_place))
            }
            _ => None,
        })
        .collect();
    assert_eq!(lists, [(1, true, 1, false), (1, true, 0, true)]);
}

#[test]
fn dec_ttl_needs_a_list() {
    // B56
    let ok = tcp4();
    let raw = |parts: &[Vec<u8>]| attr(action_attr::DEC_TTL, &parts.concat());
    same(&dec_ttl(&[]), &ok);
    same(
        &[
            dec_ttl(&[output(1), dec_ttl(&clone(&[]))].concat()),
            output(2),
        ]
        .concat(),
        &ok,
    );
    let list = attr(1, &output(1));
    refused(&raw(&[]), &ok, EINVAL);
    refused(&raw(&[attr(2, &[])]), &ok, EINVAL);
    refused(&raw(&[list.clone(), list.clone()]), &ok, EINVAL);
    refused(&raw(&[list.clone(), attr(0, &[])]), &ok, EINVAL);
    refused(&raw(&[list.clone(), vec![0, 0]]), &ok, EINVAL);
    refused(&raw(&[attr(1, &[1, 2, 3])]), &ok, EINVAL);
    refused(&dec_ttl(&output(65535)), &ok, EINVAL);
    let acts = compile(&raw(&[attr(99, &[1]), list]), &ok).unwrap();
    assert_eq!(dump(&acts), dec_ttl(&output(1)));
    // Without a look at what layer the packet has (Q8).
    same(&dec_ttl(&output(1)), &key(MAC_PROTO_ETHERNET, 0x0806, 0));
}

#[test]
fn changes_of_a_nested_list_stay_inside() {
    // A4: each list inherits the tag at its place, begins with the key's Ethernet header, and keeps its own changes.
    let l2 = tcp4();
    let eth = attr(action_attr::POP_ETH, &[]);
    let tag = push_vlan(0x8100, 0x1001);
    same(&[clone(&eth), pop_vlan()].concat(), &l2);
    same(&[eth.clone(), clone(&pop_vlan())].concat(), &l2);
    refused(&[tag, clone(&eth)].concat(), &l2, EINVAL);
    same(&[clone(&push_vlan(0x8100, 0x1001)), eth].concat(), &l2);
}

// As in C, which takes the padding of the last attribute off the action's length.
#[test]
fn a_sample_ends_padded() {
    // An attribute whose padding the one around it does not count.
    let bare = |ty: u16, payload: &[u8]| {
        let mut b = attr(ty, payload);
        b.truncate(payload.len() + 4);
        b
    };
    let data = bare(userspace_attr::USERDATA, &[1]);
    let last = bare(action_attr::USERSPACE, &[word(PID, 1), data].concat());
    let probability = word(sample_attr::PROBABILITY, 5);
    let args = [probability, bare(sample_attr::ACTIONS, &last)].concat();
    let sample = |args: &[u8]| compile(&attr(action_attr::SAMPLE, args), &tcp4()).err();
    assert_eq!(sample(&args), Some(EINVAL));
    assert_eq!(sample(&[&args[..], &[0; 3]].concat()), None);
    assert_eq!(
        compile(&attr(action_attr::CLONE, &last), &tcp4()).err(),
        None
    );
}

#[test]
fn nesting_ends_at_sixteen() {
    // A2, B4
    for (list, last) in [(output(1), output(2)), (Vec::new(), Vec::new())] {
        let mut nested = list;
        for depth in 1..=20 {
            nested = match depth % 2 {
                0 => clone(&nested),
                _ => sample(depth, &nested),
            };
            let all = [nested.clone(), last.clone()].concat();
            if depth <= 16 {
                same(&all, &tcp4());
            } else {
                refused(&all, &tcp4(), EOVERFLOW);
            }
        }
    }
}

#[test]
fn in_place_is_decided_when_installed() {
    // A11
    let body = |list: &[u8]| match compile(list, &tcp4()).unwrap().as_slice()[0] {
        Action::Clone(body) | Action::Sample { body, .. } => (body.len, body.in_place),
        _ => panic!(),
    };
    let plain = [
        output(1),
        word(7, 5),
        word(13, 20),
        userspace(&[word(PID, 1)]),
    ]
    .concat();
    assert_eq!(body(&[clone(&plain), output(2)].concat()), (4, true));
    assert_eq!(
        body(&[sample(1, &word(24, 1)), output(2)].concat()),
        (1, true)
    );
    assert_eq!(body(&[clone(&[]), output(2)].concat()), (0, true));
    let hash = attr(8, &[0; 8]);
    for changing in [
        pop_vlan(),
        set(2, &[0; 4]),
        hash,
        word(19, 1), // METER
        clone(&[]),
        sample(1, &[]),
    ] {
        let inner = clone(&[changing.clone(), output(1)].concat());
        assert!(!body(&[inner, output(2)].concat()).1);
        assert!(body(&clone(&changing)).1, "last");
    }
}

#[test]
fn a_straight_list_is_changes_and_an_output() {
    let straight = |parts: &[Vec<u8>]| {
        let acts = compile(&parts.concat(), &tcp4()).unwrap();
        if !acts.is_straight() {
            assert_eq!(acts.last_port(), u16::MAX, "where no packet goes");
            return None;
        }
        Some((acts.before_output()?.len(), acts.last_port()))
    };
    let upcall = userspace(&[word(PID, 7)]);
    let tag = push_vlan(0x8100, 0x1005);
    let trunc = word(action_attr::TRUNC, 64);
    let meter = word(action_attr::METER, 1);
    let recirc = word(action_attr::RECIRC, 1);
    let all = [
        output(3),
        upcall.clone(),
        meter,
        trunc,
        tag.clone(),
        pop_vlan(),
        output(9),
    ];
    assert_eq!(straight(&all), Some((6, 9)));
    assert_eq!(straight(&[tag.clone(), output(0)]), Some((1, 0)));

    // One action has its own way.
    assert_eq!(straight(&[output(1)]), None);
    assert_eq!(straight(&[]), None);
    // The last one takes the packet.
    assert_eq!(straight(&[output(1), tag]), None);
    assert_eq!(straight(&[output(1), upcall]), None);
    // Who comes before does not let every packet go on, or hides the last output in a list of its own.
    let not = [
        clone(&output(1)),
        sample(5, &output(1)),
        dec_ttl(&output(1)),
        recirc,
        ct(true, 1),
    ];
    for other in not {
        assert_eq!(straight(&[output(2), other.clone()]), None);
        assert_eq!(straight(&[output(2), other, output(3)]), None);
    }
    let both = check_pkt_len(100, &output(1), &output(2));
    assert_eq!(straight(&[both]), None);

    let many = |n| (0..n).map(output).collect::<Vec<_>>();
    assert_eq!(straight(&many(256)), Some((255, 255)));
    assert_eq!(straight(&many(257)), None);
}

#[test]
fn set_holds_exactly_one_key() {
    // A16, B5
    let ok = tcp4();
    for inner in 0..=8usize {
        // Inner lengths from too short to too long for an action of 8 bytes.
        let mut b = attr(2, &[0; 4]);
        b[..2].copy_from_slice(&(inner as u16).to_ne_bytes());
        let list = attr(action_attr::SET, &b);
        if inner == 8 {
            same(&list, &ok);
        } else {
            refused(&list, &ok, EINVAL);
        }
    }
    refused(&attr(action_attr::SET, &[]), &ok, EINVAL);
    refused(
        &attr(
            action_attr::SET,
            &[attr(2, &[0; 4]), attr(2, &[0; 4])].concat(),
        ),
        &ok,
        EINVAL,
    );
    for field in [2u16, 4, 7, 8, 9, 10, 15, 17] {
        let n = Field::from_attr(field).unwrap().size();
        for len in (0..=2 * n + 8).filter(|&l| l != n) {
            refused(&set(field, &vec![0; len]), &ok, EINVAL);
        }
        for len in (0..=2 * n + 8).filter(|&l| l != 2 * n) {
            refused(
                &set_masked(field, &vec![0; len / 2], &vec![0; len - len / 2]),
                &ok,
                EINVAL,
            );
        }
    }
    // Value bits that the mask does not have.
    refused(&set_masked(2, &[1, 2, 3, 4], &[1, 2, 3, 0]), &ok, EINVAL);
    for ty in (0..=70).filter(|&t| Field::from_attr(t).is_none()) {
        for n in [0, 1, 2, 4, 8, 12, 16, 24, 28, 40] {
            refused(&set(ty, &vec![0; n]), &ok, EINVAL);
            refused(&set_masked(ty, &vec![0; n], &vec![0; n]), &ok, EINVAL);
        }
    }
}

#[test]
fn set_fits_the_flow() {
    // A17, A18, B14
    let keys: Vec<_> = [0, 0x0800, 0x86dd, 0x0806, 0x8847, 0x894f]
        .into_iter()
        .flat_map(|t| [0, 6, 17, 132, 44, 58].map(|p| key(MAC_PROTO_ETHERNET, t, p)))
        .collect();
    for k in &keys {
        let (t, p) = (k.eth_type.get(), k.ip_proto);
        let ip = matches!(t, 0x0800 | 0x86dd);
        let mut v4 = [0; 12];
        v4[8] = p;
        let mut v6 = [0; 40];
        v6[36] = p;
        for (ty, value, want) in [
            (7, &v4[..], t == 0x0800),
            (8, &v6[..], t == 0x86dd),
            (9, &[0; 4][..], ip && p == 6),
            (10, &[0; 4][..], ip && p == 17),
            (17, &[0; 4][..], ip && p == 132),
            (2, &[0; 4][..], true),
            (4, &[0; 12][..], true),
        ] {
            assert_eq!(
                compile(&set(ty, value), k).is_ok(),
                want,
                "set {ty} on {t:x} {p}"
            );
            let masked = set_masked(ty, &vec![0; value.len()], &vec![0; value.len()]);
            assert_eq!(
                compile(&masked, k).is_ok(),
                want,
                "set_masked {ty} on {t:x} {p}"
            );
        }
    }
    refused(&set(4, &[0; 12]), &key(MAC_PROTO_NONE, 0x0800, 6), EINVAL);
    // Protocol and fragment type are not writable.
    let frag = Core {
        ip_frag: 1,
        ..tcp4()
    };
    refused(
        &set(7, &[0, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0]),
        &tcp4(),
        EINVAL,
    );
    refused(
        &set(7, &[0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]),
        &frag,
        EINVAL,
    );
    same(&set(7, &[0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1]), &frag);
    for at in [8, 11] {
        let mut m = [0; 12];
        m[at] = 1;
        refused(&set_masked(7, &[0; 12], &m), &tcp4(), EINVAL);
    }
    // 20 bits of flow label.
    let ip6 = key(MAC_PROTO_ETHERNET, 0x86dd, 6);
    for (at, bits, ok) in [
        (32, 1, false),
        (33, 0x10, false),
        (33, 0x0f, true),
        (36, 1, false),
        (39, 1, false),
    ] {
        let mut m = [0; 40];
        m[at] = bits;
        assert_eq!(
            compile(&set_masked(8, &[0; 40], &m), &ip6).is_ok(),
            ok,
            "{at}"
        );
        if at < 36 {
            let mut v = m;
            v[36] = 6;
            assert_eq!(compile(&set(8, &v), &ip6).is_ok(), ok, "{at}");
        }
    }
}

// A21: what packets need of a TTL stands in the action, and userspace sees the attribute that it gave.
#[test]
fn a_ttl_alone_is_set_without_the_addresses() {
    let (mut value, mut mask) = ([0; 12], [0; 12]);
    (value[10], mask[10]) = (7, 0xff);
    let ipv4 = key(MAC_PROTO_ETHERNET, 0x800, 6);
    let is_short = |value: &[u8; 12], mask: &[u8; 12]| {
        let list = set_masked(7, value, mask);
        let acts = compile(&list, &ipv4).unwrap();
        assert_eq!(dump(&acts), list);
        matches!(acts.as_slice(), [Action::SetTosTtl(_)])
    };
    assert!(is_short(&value, &mask));
    (value[9], mask[9]) = (4, 0xfc);
    assert!(is_short(&value, &mask));
    (value[10], mask[10]) = (0, 0);
    assert!(is_short(&value, &mask));
    mask[7] = 1;
    assert!(!is_short(&value, &mask));
    assert!(is_short(&[0; 12], &[0; 12]));
}

// A20: whole addresses stand in the action, SET as SET and SET_MASKED as SET_MASKED.
#[test]
fn whole_ethernet_addresses_are_in_the_action() {
    let eth = key(MAC_PROTO_ETHERNET, 0x800, 6);
    let value: [u8; 12] = core::array::from_fn(|i| i as u8 + 1);
    let is_short = |list: Vec<u8>| {
        let acts = compile(&list, &eth).unwrap();
        assert_eq!(dump(&acts), list);
        match acts.as_slice()[0] {
            Action::SetAddresses { addresses, .. } => {
                assert_eq!(addresses, [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6]);
                true
            }
            _ => false,
        }
    };
    assert!(is_short(set(4, &value)));
    assert!(is_short(set_masked(4, &value, &[0xff; 12])));
    for i in 0..12 {
        let mut mask = [0xff; 12];
        mask[i] = value[i];
        assert!(!is_short(set_masked(4, &value, &mask)));
    }
}

#[test]
fn set_runs_with_a_full_mask() {
    // A19
    let mut v = [9; 40];
    v[32..].copy_from_slice(&[0, 1, 2, 3, 6, 4, 5, 0]);
    let acts = compile(&set(8, &v), &key(MAC_PROTO_ETHERNET, 0x86dd, 6)).unwrap();
    let Action::Set {
        field,
        masked: false,
        at,
        ..
    } = acts.as_slice()[0]
    else {
        panic!()
    };
    let (value, mask) = acts.set_bytes(field, at);
    assert_eq!(value, v);
    let mut want = [0xff; 40];
    want[32..34].copy_from_slice(&[0, 0x0f]);
    assert_eq!(mask, want);
}

#[test]
fn long_lists_are_kept_whole() {
    // B1, B3: up to what one attribute can hold.
    let unit = [output(1), set(4, &[1; 12]), clone(&output(2)), pop_vlan()].concat();
    for bytes in [4096, 32768, 60000, 65531 - 65531 % 4] {
        let mut list = unit.repeat(bytes / unit.len());
        while list.len() + 4 <= bytes {
            list.extend(pop_vlan());
        }
        assert_eq!(list.len(), bytes / 4 * 4);
        same(&list, &tcp4());
    }
    // Near every size at which a buffer might have grown.
    for shift in 4..16 {
        for n in [(1usize << shift) - 1, 1 << shift, (1 << shift) + 1] {
            if n * 4 <= 65528 {
                same(&pop_vlan().repeat(n), &tcp4());
            }
        }
    }
}

#[test]
fn what_could_not_be_dumped_is_refused() {
    // A3, B2: padding that userspace left away would make a list longer than its length field can say.
    let data = unpadded(DATA, &vec![0; 65531 - 4 - 8 - 4]);
    let list = unpadded(action_attr::USERSPACE, &[word(PID, 1), data].concat());
    assert_eq!(list.len(), 65531);
    refused(&list, &tcp4(), EMSGSIZE);
}

#[test]
fn no_memory_leaks_nothing() {
    // A5, B23
    let list = [
        clone(&sample(
            5,
            &[set(4, &[1; 12]), pop_vlan(), output(1)].concat(),
        )),
        userspace(&[word(PID, 1), attr(DATA, b"data")]),
        set_masked(9, &[0; 4], &[0xff; 4]),
        clone(&[ct(true, 1), clone(&ct(false, 2))].concat()),
        output(1),
    ]
    .concat();
    let before = testing::live();
    let mut failures = 0;
    for n in 1.. {
        testing::fail_nth(n);
        let result = compile(&list, &tcp4());
        let struck = !testing::fail_pending();
        testing::fail_nth(0);
        match result {
            Err(e) => {
                assert_eq!(e, ENOMEM);
                failures += 1;
            }
            Ok(acts) => {
                assert!(!struck);
                assert_eq!(dump(&acts), list);
                break;
            }
        }
        assert_eq!(testing::live(), before);
    }
    assert!(failures >= 3, "{failures}");
    assert_eq!(testing::live(), before);
}

#[test]
fn c1_connection_tracking_needs_ip() {
    let ct = ct(false, 1);
    same(&ct, &tcp4());
    same(&ct, &key(MAC_PROTO_NONE, 0x86dd, 0));
    for ty in [0, 4, 0x0806, 0x8847, 0x894f] {
        refused(&ct, &key(MAC_PROTO_ETHERNET, ty, 0), EINVAL);
    }
}

#[test]
fn b22_what_ct_actions_hold_is_given_back_once() {
    let net = crate::env::FakeNet::new();
    net.tracker().timeouts.lock().unwrap().push("slow".into());
    let with = |helper: &str| {
        let args = [
            attr(5, format!("{helper}\0").as_bytes()),
            attr(9, b"slow\0"),
        ];
        attr(action_attr::CT, &args.concat())
    };
    let nested = clone(&sample(7, &[with("ftp"), clone(&with("ftp"))].concat()));
    let good = [nested, with("ftp")].concat();
    let acts = with_list(&good, |a| parse(&net, a, &tcp4(), true)).unwrap();
    assert_eq!(net.tracker().held(), [3, 3, 3]);
    drop(acts);
    assert_eq!(net.tracker().held(), [0, 0, 0]);
    // A5: whatever comes after them is refused.
    for bad in [output(65535), with("none"), vec![1], clone(&output(65535))] {
        let list = [&good[..], &bad].concat();
        let e = with_list(&list, |a| parse(&net, a, &tcp4(), true)).unwrap_err();
        assert_eq!(e.errno, EINVAL);
        assert_eq!(net.tracker().held(), [0, 0, 0]);
    }
}

#[test]
fn c5_a_timeout_need_not_exist_a_helper_must() {
    let net = crate::env::FakeNet::new();
    let one = |ty, name: &[u8]| attr(action_attr::CT, &attr(ty, name));
    let timeout = one(9, b"nobody\0");
    let acts = with_list(&timeout, |a| parse(&net, a, &tcp4(), true)).expect("accepted");
    let zone = attr(2, &[0, 0]);
    let want = attr(action_attr::CT, &[zone, attr(9, b"nobody\0")].concat());
    assert_eq!(dump(&acts), want);
    refused(&one(5, b"nobody\0"), &tcp4(), EINVAL);
    refused(&one(5, b"\0"), &tcp4(), EINVAL);
}

#[test]
fn errors_name_the_attribute() {
    let bad = [output(1), clone(&[output(2), output(65535)].concat())].concat();
    with_list(&bad, |a| {
        let e = parse(&crate::env::FakeNet::new(), a, &tcp4(), true).unwrap_err();
        let offset = e.attr.unwrap() - a.payload().as_ptr() as usize;
        assert_eq!(offset, 8 + 4 + 8);
        assert!(e.msg.is_some());
    });
}

fn psample(parts: &[Vec<u8>]) -> Vec<u8> {
    attr(action_attr::PSAMPLE | F_NESTED, &parts.concat())
}

/// A dump has no flags.
fn psample_dumped(parts: &[Vec<u8>]) -> Vec<u8> {
    attr(action_attr::PSAMPLE, &parts.concat())
}

#[test]
fn a14_psample_is_parsed_strictly() {
    let group = word(1, 5);
    for good in [
        vec![group.clone()],
        vec![group.clone(), attr(2, &[7; 16])],
        vec![attr(2, &[]), group.clone()],
        vec![group.clone(), word(1, 6), attr(2, &[1; 5]), attr(2, &[2])],
        vec![word(1 | 0x4000, 5)],
        vec![group.clone(), unpadded(2, &[1, 2, 3])],
    ] {
        let acts = compile(&psample(&good), &tcp4()).expect("accepted");
        assert_eq!(dump(&acts), psample_dumped(&good));
        // Of duplicates the last counts.
        let &[Action::Psample(ref p)] = acts.as_slice() else {
            panic!("{acts:?}")
        };
        assert_eq!(p.group, if good.len() == 4 { 6 } else { 5 });
        let cookie: &[u8] = match good.len() {
            4 => &[2],
            _ if good[good.len() - 1].len() == 20 => &[7; 16],
            _ if good[good.len() - 1].len() == 7 => &[1, 2, 3],
            _ => &[],
        };
        assert_eq!(acts.cookie(p), cookie);
    }
    for (bad, errno) in [
        (vec![], EINVAL),
        (vec![attr(2, &[1])], EINVAL),
        (vec![group.clone(), attr(2, &[1; 17])], ERANGE),
        (vec![attr(1, &[5, 0])], EINVAL),
        (vec![attr(1, &[5; 8])], EINVAL),
        (vec![word(1 | F_NESTED, 5)], EINVAL),
        (vec![group.clone(), attr(2 | F_NESTED, &[1; 17])], EINVAL),
        (vec![attr(0, &[]), group.clone()], EINVAL),
        (vec![group.clone(), attr(3, &[])], EINVAL),
        (vec![group.clone(), vec![1]], EINVAL),
        (vec![group.clone(), vec![8, 0, 2, 0]], EINVAL),
    ] {
        refused(&psample(&bad), &tcp4(), errno);
    }
    refused(&psample_dumped(&[group]), &tcp4(), EINVAL);
}

#[test]
fn a14_psample_is_there_where_the_kernel_has_it() {
    use crate::datapath::env::Psample;
    use crate::env::FakeEnv;
    let list = psample(&[word(1, 5)]);
    for (there, errno) in [(Psample::Unknown, EINVAL), (Psample::Off, EOPNOTSUPP)] {
        FakeEnv::set_psample(there);
        refused(&list, &tcp4(), errno);
        // Whatever it says.
        refused(&psample(&[]), &tcp4(), errno);
    }
    FakeEnv::set_psample(Psample::On);
    compile(&list, &tcp4()).expect("accepted");
}

/// Lists that are likely to be accepted.
fn any_list() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (0u32..65536).prop_map(output),
        any::<u32>().prop_map(|v| word(action_attr::RECIRC, v)),
        any::<u32>().prop_map(|v| word(action_attr::METER, v)),
        (10u32..2000).prop_map(|v| word(action_attr::TRUNC, v)),
        (0u8..3, any::<u32>()).prop_map(|(a, b)| {
            attr(
                action_attr::HASH,
                &[&u32::from(a).to_ne_bytes()[..], &b.to_ne_bytes()[..]].concat(),
            )
        }),
        Just(pop_vlan()),
        Just(attr(action_attr::CT_CLEAR, &[])),
        any::<(bool, u16)>().prop_map(|(commit, zone)| ct(commit, zone)),
        any::<u16>().prop_map(|t| push_vlan(0x8100, t | 0x1000)),
        (any::<u32>(), any::<Option<[u8; 5]>>()).prop_map(|(pid, data)| {
            let data = data.map_or(Vec::new(), |d| attr(DATA, &d));
            userspace(&[word(PID, pid), data])
        }),
        any::<[u8; 12]>().prop_map(|v| set(4, &v)),
        any::<([u8; 4], [u8; 4])>().prop_map(|(v, m)| {
            let v: Vec<u8> = v.iter().zip(m).map(|(v, m)| v & m).collect();
            set_masked(9, &v, &m)
        }),
        any::<u32>().prop_map(|v| word(action_attr::DROP, v)),
    ];
    let list = prop::collection::vec(leaf, 0..6).prop_map(|l| l.concat());
    list.prop_recursive(6, 64, 5, |inner| {
        prop::collection::vec(
            (0u8..5, any::<u32>(), inner).prop_map(|(kind, p, list)| match kind {
                0 => clone(&list),
                1 => sample(p, &list),
                2 => check_pkt_len(p as u16 | 1, &list, &pop_vlan()),
                3 => check_pkt_len(p as u16 | 1, &dec_ttl(&list), &list),
                _ => list,
            }),
            0..5,
        )
        .prop_map(|l| l.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(list in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(acts) = compile(&list, &tcp4()) {
            let once = dump(&acts);
            let again = compile(&once, &tcp4()).expect("a dump is valid");
            prop_assert_eq!(dump(&again), once);
        }
    }

    #[test]
    fn likely_lists_round_trip(list in any_list()) {
        match compile(&list, &tcp4()) {
            Ok(acts) => prop_assert_eq!(dump(&acts), list),
            Err(e) => prop_assert!(e == EINVAL || e == EOVERFLOW, "{:?}", e),
        }
    }

    #[test]
    fn damaged_lists_are_survived(list in any_list(), at in any::<prop::sample::Index>(), to: u8) {
        let mut list = list;
        if !list.is_empty() {
            let i = at.index(list.len());
            list[i] = to;
        }
        if let Ok(acts) = compile(&list, &tcp4()) {
            let once = dump(&acts);
            let again = compile(&once, &tcp4()).expect("a dump is valid");
            prop_assert_eq!(dump(&again), once, "{}", format!("{acts:?}"));
        }
    }
}
