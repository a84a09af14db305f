// SPDX-License-Identifier: GPL-2.0
//! Classes of bugs that Linux's own module has had (spec 9.1 to 9.3), where no other story tells of them.

use crate::act_kit::*;
use openvswitch::packet::{self, take_tx_errors, Packet};
use openvswitch::rust::sync::BhGuard;

const ALWAYS: u32 = u32::MAX;

impl Lab {
    /// UDP packets of port 1 with this recirculation id get these actions.
    fn udp_flow(&mut self, recirc_id: u32, acts: Bytes) {
        let mut ip = [0; 12];
        ip[8] = 17;
        let key = list()
            .u32(key_attr::RECIRC_ID, recirc_id)
            .u32(key_attr::IN_PORT, 1)
            .put(key_attr::ETHERNET, &[0; 12])
            .be16(key_attr::ETHERTYPE, 0x800)
            .put(key_attr::IPV4, &ip)
            .put(key_attr::UDP, &[0; 4]);
        self.match_all(key, acts);
    }

    /// Those with one label.
    fn mpls_flow(&mut self, acts: Bytes) {
        let key = list()
            .u32(key_attr::RECIRC_ID, 0)
            .u32(key_attr::IN_PORT, 1)
            .put(key_attr::ETHERNET, &[0; 12])
            .be16(key_attr::ETHERTYPE, 0x8847)
            .put(key_attr::MPLS, &[0, 0, 0x51, 64]);
        self.match_all(key, acts);
    }

    fn match_all(&mut self, key: Bytes, acts: Bytes) {
        let mask = list()
            .be16(key_attr::ETHERTYPE, 0xffff)
            .u32(key_attr::RECIRC_ID, u32::MAX)
            .u32(key_attr::IN_PORT, u32::MAX);
        let attrs = list()
            .nest(flow_attr::KEY, key)
            .nest(flow_attr::MASK, mask)
            .nest(flow_attr::ACTIONS, acts);
        let dp = self.switch.dp;
        let client = &mut self.switch.client;
        client
            .request(Group::Flow, cmd::NEW, dp, &attrs)
            .expect("a flow");
    }

    fn forget_flows(&mut self) {
        let dp = self.switch.dp;
        let client = &mut self.switch.client;
        client
            .request(Group::Flow, cmd::DEL, dp, &list())
            .expect("no flows");
    }

    /// Everything that left this switch in some way, forgotten.
    fn forget(&self) {
        self.counts();
        self.switch.net.take_upcalls();
        drops();
        take_log();
    }
}

// B10: C parsed these attributes again for each packet, and believed them then.
#[test]
fn b10_a_userspace_action_says_what_was_checked() {
    let args = list()
        .u32(userspace_attr::PID, 9)
        .put(userspace_attr::USERDATA, b"abcde")
        .flag(userspace_attr::ACTIONS)
        .0;
    let mut lab = Lab::new();
    // What the list of attributes carries as user data when it is accepted.
    let mut told = |args: &[u8]| {
        let acts = list().attr(act::USERSPACE, args).output(2);
        match lab.on(&udp(), acts) {
            Ok(()) => {
                let all = lab.upcalls(9);
                assert_eq!((all.len(), lab.counts()), (1, [0, 1, 0]), "{args:x?}");
                Some(all[0].get(packet_attr::USERDATA).map(<[u8]>::to_vec))
            }
            Err(e) => {
                assert!(e == EINVAL || e == ERANGE, "{e:?} {args:x?}");
                assert_eq!((lab.upcalls(9).len(), lab.counts()), (0, [0; 3]));
                None
            }
        }
    };
    assert_eq!(told(&args), Some(Some(b"abcde".to_vec())));
    for cut in 0..args.len() {
        // Whole attributes: the port; the data, of whose padding nothing need be there.
        let want = match cut {
            8 => Some(None),
            17..=20 => Some(Some(b"abcde".to_vec())),
            _ => None,
        };
        assert_eq!(told(&args[..cut]), want, "{cut} bytes");
    }
    for len in (0..64).chain([0x7fff, 0x8000, 0xfffc, 0xffff]) {
        let mut args = args.clone();
        args[8..10].copy_from_slice(&(len as u16).to_ne_bytes());
        // Up to the next attribute, with or without its padding, or to the end.
        let want = (9..=16)
            .contains(&len)
            .then(|| Some(args[12..][..len - 4].to_vec()));
        assert_eq!(told(&args), want, "length {len}");
    }
    for ty in (0..300).filter(|ty| !(1..=4).contains(ty)) {
        let args = list().u32(userspace_attr::PID, 9).put(ty, &[0; 4]).0;
        assert_eq!(told(&args), None, "type {ty}");
    }
}

// B15
#[test]
fn b15_an_ifindex_is_positive() {
    let mut s = Switch::new();
    let before = s.state();
    let new_dp = |s: &mut Switch, ifindex: i32| {
        let attrs = list()
            .name(dp_attr::NAME, "br1")
            .u32(dp_attr::UPCALL_PID, 0)
            .put(dp_attr::IFINDEX, &ifindex.to_ne_bytes());
        s.client.call(Group::Datapath, cmd::NEW, 0, &attrs)
    };
    let new_port = |s: &mut Switch, ifindex: i32| {
        s.new_port(&port("in1", INTERNAL).put(vport_attr::IFINDEX, &ifindex.to_ne_bytes()))
    };
    for bad in [-1, i32::MIN, i32::MIN + 1] {
        assert_eq!(refused(new_dp(&mut s, bad)), ERANGE, "{bad}");
        assert_eq!(refused(new_port(&mut s, bad)), ERANGE, "{bad}");
        assert_eq!(s.state(), before);
    }
    assert_eq!(new_dp(&mut s, i32::MAX).unwrap().dp_ifindex(), i32::MAX);
    let m = new_port(&mut s, i32::MAX - 1).unwrap();
    assert_eq!(m.u32(vport_attr::IFINDEX), Some(i32::MAX as u32 - 1));
}

// B36: the counters of upcalls are there before the device is.
#[test]
fn b36_a_device_may_deliver_before_it_is_a_port() {
    let mut s = Switch::new();
    s.net.add("eth0");
    s.net.set_early_packet(Some(&udp()));
    // SUCCESS and FAIL, 8 bytes behind a header each.
    let counts = |m: &Message| {
        let both = m.get(vport_attr::UPCALL_STATS).expect("counters");
        [4, 16].map(|at| u64::from_ne_bytes(both[at..at + 8].try_into().unwrap()))
    };
    for attrs in [port("eth0", NETDEV), port("in1", INTERNAL)] {
        take_drops();
        let m = s.new_port(&attrs).expect("a port");
        assert_eq!(counts(&m), [0, 0]);
        assert_eq!(drops(), [DropReason::NotSpecified], "nobody to tell");
        assert_eq!(s.net.take_upcalls().len(), 0);
    }
    assert_eq!(packet::alive(), 0);
    s.net.set_early_packet(None);
    s.net.device("eth0").unwrap().receive(&udp());
    assert_eq!(s.net.take_upcalls().len(), 1);
    let m = s.vport(cmd::GET, &by_name("eth0")).expect("the port");
    assert_eq!(counts(&m), [1, 0]);
}

/// Lists that have to wait, one more than can.
fn ten_that_wait() -> Bytes {
    let nest = |l: Bytes| list().cloned(l).hash(0, 0).output(3);
    let one = || list().hash(0, 0).output(2);
    nest(nest(nest(
        (0..10).fold(list(), |l, _| l.cloned(one())).hash(0, 0),
    )))
}

/// [`udp`] behind a label.
fn with_label() -> Vec<u8> {
    let mut frame = udp();
    frame.splice(12..14, [0x88, 0x47, 0, 0, 0x51, 64]);
    frame
}

// B37, B38, B60: whatever takes, copies, keeps or puts off a packet, in every order, and every allocation of packet memory
// failing in turn: no packet is left or freed twice, and the next packet finds level, key copies and queue as ever.
#[test]
fn b38_every_order_and_every_failure_balances() {
    let mut lab = Lab::new();
    // The key is stale, so that RECIRC and CT look at the packet again; behind a label at what nobody has read yet.
    let labelled = with_label();
    let stale = || list().push_vlan(0x8100, 0x1001).push_vlan(0x8100, 0x1002);
    let inner = || list().hash(0, 0).recirc(6);
    let parts: [(&str, Bytes); 8] = [
        ("recirc", list().recirc(5)),
        ("ct", list().attr(act::CT, &[])),
        ("clone", list().cloned(inner())),
        ("clone in place", list().cloned(list().output(3))),
        ("sample", list().sampled(ALWAYS, stale().recirc(5))),
        ("check_pkt_len", list().check_pkt_len(500, inner(), list())),
        ("user", list().user(9)),
        ("output", list().output(2)),
    ];
    lab.udp_flow(5, list().pop_vlan().output(3));
    let probe = |lab: &mut Lab| {
        lab.exec(ten_that_wait());
        let full = drops()
            .iter()
            .filter(|d| **d == DropReason::DeferredLimit)
            .count();
        (lab.counts(), full)
    };
    let balanced = probe(&mut lab);
    assert_eq!(balanced, ([0, 9, 3], 1));
    let (mut struck, mut failed) = (0, 0);
    for i in 0..2 * parts.len().pow(2) {
        let (plain, chosen) = (i < 64, [i % 8, i / 8 % 8].map(|n| &parts[n]));
        let all = |l: Bytes| chosen.iter().fold(l, |l, (_, part)| l.cat(part.clone()));
        lab.forget_flows();
        let frame = if plain {
            lab.udp_flow(0, all(stale()));
            udp()
        } else if chosen.iter().any(|(name, _)| *name == "ct") {
            continue; // not of what is under a label
        } else {
            lab.mpls_flow(all(list().pop_mpls(0x800)));
            labelled.clone()
        };
        lab.udp_flow(5, list().pop_vlan().output(3));
        for n in 1.. {
            packet::fail_nth(n);
            let pkt = Packet::split(&frame, 14);
            lab.devs[0].receive_packet(pkt, &BhGuard::enter());
            let reached = packet::fail_nth(0);
            assert_eq!(packet::alive(), 0, "{chosen:?}, failure {n}");
            failed += drops()
                .iter()
                .filter(|d| **d == DropReason::ActionError)
                .count();
            lab.forget();
            assert_eq!(probe(&mut lab), balanced, "{chosen:?}, failure {n}");
            if !reached {
                break;
            }
            struck += 1;
        }
    }
    assert!(struck > 200 && failed > 20, "{struck} {failed}");
}

/// A tag as a list of actions or as bytes of a frame has it.
type Tag = (u16, u16);

fn with_tags(tags: &[Tag]) -> Vec<u8> {
    let mut frame = udp();
    for (tpid, tci) in tags.iter().rev() {
        frame.splice(12..12, [tpid.to_be_bytes(), tci.to_be_bytes()].concat());
    }
    frame
}

/// The key in an upcall, but for its recirculation id.
fn key_of(m: &Message) -> Vec<u8> {
    let mut key = m.get(packet_attr::KEY).expect("a key").to_vec();
    let header = [8u16.to_ne_bytes(), key_attr::RECIRC_ID.to_ne_bytes()].concat();
    let at = key.windows(4).position(|w| w == header).expect("an id");
    key[at + 4..at + 8].fill(0);
    key
}

// B63: up to three tags of both kinds, taken and given in every order. What leaves is what
// the list of tags says, and the key that goes on is the one that this frame has when it comes in.
#[test]
fn b63_tags_come_and_go() {
    let (mut lab, other) = (Lab::new(), Lab::new());
    let kinds = [0x8100u16, 0x88a8];
    let mut stacks: Vec<Vec<u16>> = vec![vec![]];
    for n in 0..7 {
        let more: Vec<_> = kinds.map(|k| [&stacks[n][..], &[k]].concat()).into();
        stacks.extend(more);
    }
    for inside in &stacks {
        for steps in 0..40 {
            // Base 3 digits after a leading 1: push 0x8100, push 0x88a8, pop.
            let mut tags: Vec<Tag> = inside.iter().copied().zip(1..).collect();
            let frame = with_tags(&tags);
            let mut acts = list();
            let digits = [0, 1, 4, 13].into_iter().rposition(|s| steps >= s).unwrap();
            let mut rest = steps - [0, 1, 4, 13][digits];
            for n in 0..digits {
                let tci = 0x1100 + n as u16;
                match rest % 3 {
                    2 => {
                        acts = acts.pop_vlan();
                        if !tags.is_empty() {
                            tags.remove(0);
                        }
                    }
                    kind => {
                        acts = acts.push_vlan(kinds[kind], tci);
                        tags.insert(0, (kinds[kind], tci & 0xfff));
                    }
                }
                rest /= 3;
            }
            lab.on(&frame, acts.output(2).recirc(9)).expect("no error");
            let sent = lab.sent(2).pop().expect("a packet");
            let mut wire = sent.bytes;
            if let Some(VlanTag { tpid, tci }) = sent.vlan {
                wire.splice(12..12, [tpid.to_be_bytes(), tci.to_be_bytes()].concat());
            }
            let what = format!("{inside:x?} {steps}");
            assert_eq!(wire, with_tags(&tags), "{what}");
            other.devs[0].receive(&wire);
            let (got, want) = (&lab.upcalls(7)[0], &other.upcalls(7)[0]);
            assert_eq!(key_of(got), key_of(want), "{what}");
        }
    }
}

// B63: an Ethernet header neither goes from under a tag nor comes on top of one.
#[test]
fn b63_ethernet_headers_and_tags() {
    let mut lab = Lab::new();
    for kind in [0x8100u16, 0x88a8] {
        let tagged = with_tags(&[(kind, 5)]);
        assert_eq!(lab.on(&tagged, list().pop_eth().output(2)), Err(EINVAL));
        let push = || list().push_vlan(kind, 0x1005);
        assert_eq!(lab.on(&udp(), push().pop_eth()), Err(EINVAL));
        assert_eq!(lab.on(&udp(), push().push_eth()), Err(EINVAL));
        assert_eq!(drops(), [DropReason::NotSpecified; 3]);
        // Another tag below the one that went, only the packet knows of.
        let twice = with_tags(&[(0x88a8, 6), (kind, 5)]);
        let acts = list().pop_vlan().pop_eth().output(2);
        assert_eq!(lab.on(&twice, acts), Err(EPROTO));
        assert_eq!(drops(), [DropReason::ActionError]);
        // Without the tag it goes, and what comes back is a frame that can be tagged.
        let acts = list().pop_vlan().pop_eth().push_eth();
        lab.on(&tagged, acts.cat(push()).output(2).recirc(9))
            .expect("no error");
        let [sent]: [_; 1] = lab.sent(2).try_into().expect("one");
        let mut plain = udp();
        plain[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        assert_eq!(sent.bytes, plain);
        assert_eq!(
            (sent.protocol, sent.vlan),
            (0x800, Some(VlanTag { tpid: kind, tci: 5 }))
        );
        let key = key_of(&lab.upcalls(7)[0]);
        lab.devs[0].receive(&with_tags(&[(kind, 5)]));
        assert_eq!(key, key_of(&lab.upcalls(7)[0]));
    }
}

// B46: whoever calls it a frame, it has 14 bytes or is dropped.
#[test]
fn b46_frames_shorter_than_their_header() {
    let mut lab = Lab::new();
    let internal = lab
        .switch
        .new_port(&port("in1", INTERNAL))
        .map(|_| lab.switch.net.device("in1").expect("a device"))
        .expect("a port");
    lab.flow_for_port_1(list().output(2));
    for len in 0..=14 {
        let whole = len == 14;
        for linear in 0..=len {
            for dev in [&lab.devs[0], &internal] {
                let pkt = Packet::split(&udp()[..len], linear);
                dev.receive_packet(pkt, &BhGuard::enter());
                let told = lab.switch.net.take_upcalls().len() + lab.sent(2).len();
                assert_eq!((told, drops().len()), if whole { (1, 0) } else { (0, 1) });
            }
        }
        let answer = lab.on(&udp()[..len], list().output(2));
        assert_eq!(answer, if whole { Ok(()) } else { Err(ERANGE) }, "{len}");
        // What a service header, or a label, says is a frame.
        let inner = &udp()[..len];
        let nsh = [0x0f, 0xc2, 2, 3, 0, 0, 1, 0xff];
        let nsh = [&udp()[..12], &[0x89, 0x4f], &nsh, inner].concat();
        let mpls = [&udp()[..12], &[0x88, 0x47, 0, 0, 0x51, 64], inner].concat();
        let tags = list().push_vlan(0x8100, 0x1005).push_vlan(0x8100, 0x1006);
        for (packet, acts) in [
            (nsh, list().pop_eth().attr(act::POP_NSH, &[]).cat(tags)),
            (mpls, list().pop_eth().pop_mpls(0x6558)),
        ] {
            let answer = lab.on(&packet, acts.recirc(1).output(2));
            assert_eq!(answer.is_ok(), whole, "{len}: {answer:?}");
        }
        lab.forget();
    }
}

// B54: a zero-copy sender hears of a failure when its packet ends there, not while it goes on.
#[test]
fn b54_a_packet_in_use_has_not_failed() {
    let mut lab = Lab::new();
    for error in [ENOMEM, ECONNREFUSED, EAGAIN] {
        lab.switch.net.set_upcall_error(Some(error));
        take_tx_errors();
        lab.flow_for_port_1(
            list()
                .sampled(ALWAYS, list().user(9))
                .user(9)
                .output(2)
                .cloned(list().user(9).hash(0, 0))
                .output(3),
        );
        lab.devs[0].receive(&udp());
        assert_eq!((lab.counts(), take_tx_errors()), ([0, 1, 1], 0));
        // A miss is a packet's end.
        lab.forget_flows();
        lab.devs[0].receive(&udp());
        assert_eq!(take_tx_errors(), usize::from(error != EAGAIN));
    }
}
