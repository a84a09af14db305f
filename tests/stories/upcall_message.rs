// SPDX-License-Identifier: GPL-2.0
//! What upcalls of USERSPACE actions say, and to whom (spec section 5).

use crate::act_kit::*;
use openvswitch::datapath::abi::{dp_attr, dp_feature};

/// The types of an upcall's attributes, PACKET last because userspace uses it in place.
fn types(m: &Message) -> Vec<u16> {
    m.types()
}

// U1, U4; U9: user data as they came, padded.
#[test]
fn u1_u4_headers_and_order_of_attributes() {
    let mut lab = Lab::new();
    lab.exec(list().user(9));
    let upcalls = lab.upcalls(9);
    let [m] = &upcalls[..] else {
        panic!("{upcalls:?}")
    };
    assert_eq!(
        (m.cmd(), m.dp_ifindex(), m.portid(), m.seq(), m.flags()),
        (2, lab.switch.dp, 0, 0, 0)
    );
    assert_eq!(m.nlmsg_len(), m.0.len());
    assert_eq!(
        types(m),
        [packet_attr::KEY, packet_attr::HASH, packet_attr::PACKET]
    );
    assert_eq!(m.get(packet_attr::PACKET), Some(&udp()[..]));
    assert_eq!(drops(), [], "consumed");

    let more = Bytes::new()
        .put(userspace_attr::USERDATA, b"12345")
        .flag(userspace_attr::ACTIONS);
    let acts = list().trunc(20).user_with(9, more).output(2);
    lab.run(&request(&udp(), acts.clone()).u16(packet_attr::MRU, 1400))
        .unwrap();
    let m = &lab.upcalls(9)[0];
    let all = [
        packet_attr::KEY,
        packet_attr::USERDATA,
        packet_attr::ACTIONS,
        packet_attr::MRU,
        packet_attr::LEN,
        packet_attr::HASH,
        packet_attr::PACKET,
    ];
    assert_eq!(types(m), all);
    assert_eq!(m.get(packet_attr::USERDATA), Some(&b"12345"[..]));
    assert_eq!(m.get(packet_attr::ACTIONS), Some(&acts.0[..]));
    assert_eq!(m.get(packet_attr::MRU), Some(&1400u16.to_ne_bytes()[..]));
    assert_eq!(m.u32(packet_attr::LEN), Some(60));
    assert_eq!(m.get(packet_attr::PACKET), Some(&udp()[..20]));
    // U11: cut once; the output had the whole packet.
    assert_eq!(lab.bytes(2), [udp()]);
}

#[test]
fn u6_packets_are_padded_unless_userspace_can_do_without() {
    let mut lab = Lab::new();
    let odd = &udp()[..43];
    lab.on(odd, list().user(9)).unwrap();
    assert_eq!(lab.upcalls(9)[0].0.len() % 4, 0);
    let unaligned = Bytes::new().u32(dp_attr::USER_FEATURES, dp_feature::UNALIGNED);
    let named = unaligned.name(dp_attr::NAME, "br0");
    lab.switch.datapath(cmd::SET, &named).unwrap();
    lab.on(odd, list().user(9)).unwrap();
    let m = &lab.upcalls(9)[0];
    assert_eq!((m.0.len() % 4, m.nlmsg_len()), (3, m.0.len()));
    assert_eq!(m.get(packet_attr::PACKET), Some(odd));
}

#[test]
fn u5_a_tag_beside_the_data_is_in_the_packet() {
    let mut lab = Lab::new();
    lab.exec(list().push_vlan(0x8100, 0x1005).user(9).output(2));
    let mut tagged = udp();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(
        lab.upcalls(9)[0].get(packet_attr::PACKET),
        Some(&tagged[..])
    );
    // U16: the packet itself has it where it was.
    assert_eq!(lab.bytes(2), [udp()]);
}

// U7
#[test]
fn u7_hash_of_the_packet_comes_along() {
    let mut lab = Lab::new();
    for bits in [0x1_0000_1234_u64, 0x2_0000_1234, 0x3_ffff_ffff] {
        lab.run(&request(&udp(), list().user(9)).u64(packet_attr::HASH, bits))
            .unwrap();
        assert_eq!(lab.upcalls(9)[0].u64s(packet_attr::HASH), Some(vec![bits]));
    }
}

// U7: C knows the hash since the lookup, so actions that change what it covers do not change it.
#[test]
fn u7_hash_is_that_of_the_packet_as_it_was_looked_up() {
    let mut lab = Lab::new();
    let hash = |lab: &Lab, pid| {
        let upcalls = lab.upcalls(pid);
        let first = upcalls.first().expect("an upcall");
        first.u64s(packet_attr::HASH).unwrap()[0]
    };
    lab.devs[0].receive(&udp());
    let of_miss = hash(&lab, 7);
    assert_eq!(of_miss >> 32, 3, "computed in software, covers ports");
    let tag = |list: Bytes| list.push_vlan(0x8100, 0x1005).push_vlan(0x8100, 0x1006);
    for (list, pid) in [
        (list().user(9), 9),
        (tag(list()).user(9), 9),
        (list().cloned(tag(list()).user(9)), 9),
        (tag(list()).recirc(5), 7),
    ] {
        let told = format!("{:?}", list.0);
        lab.flow_for_port_1(list);
        lab.devs[0].receive(&udp());
        assert_eq!(hash(&lab, pid), of_miss, "{told}");
    }
}

#[test]
fn u8_key_is_the_key_at_that_point() {
    let mut lab = Lab::new();
    lab.exec(
        list()
            .priority(5)
            .user(9)
            .set(key_attr::ETHERNET, &[9; 12])
            .user(9),
    );
    let keys: Vec<_> = lab
        .upcalls(9)
        .iter()
        .map(|m| m.get(packet_attr::KEY).unwrap().to_vec())
        .collect();
    let part = |key: &[u8], ty: u16, len: usize| {
        let header = [&(len as u16 + 4).to_ne_bytes()[..], &ty.to_ne_bytes()[..]].concat();
        let at = key
            .windows(4)
            .position(|w| w == header)
            .expect("in the key")
            + 4;
        key[at..at + len].to_vec()
    };
    assert_eq!(part(&keys[0], key_attr::PRIORITY, 4), 5u32.to_ne_bytes());
    assert_eq!(
        part(&keys[0], key_attr::ETHERNET, 12),
        [&udp()[6..12], &udp()[..6]].concat()
    );
    assert_eq!(part(&keys[1], key_attr::ETHERNET, 12), [9; 12]);
}

#[test]
fn a34_the_list_in_which_the_action_stands() {
    let mut lab = Lab::new();
    let with = || Bytes::new().flag(userspace_attr::ACTIONS);
    let inner = list().hash(0, 5).user_with(9, with());
    lab.exec(
        list()
            .priority(1)
            .cloned(inner.clone())
            .user_with(9, with()),
    );
    let lists: Vec<_> = lab
        .upcalls(9)
        .iter()
        .map(|m| m.get(packet_attr::ACTIONS).unwrap().to_vec())
        .collect();
    let whole = list()
        .priority(1)
        .cloned(inner.clone())
        .user_with(9, with());
    assert_eq!(lists, [inner.0, whole.0]);
}

#[test]
fn u2_who_gets_it() {
    let mut lab = Lab::new();
    testing::set_cpu(1);
    lab.exec(list().user(9));
    assert_eq!(lab.upcalls(9).len(), 1);
    // Per CPU: whatever the action says.
    let features = Bytes::new().name(dp_attr::NAME, "br0");
    let features = features.u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU);
    lab.switch
        .datapath(
            cmd::SET,
            &features.clone().u32s(dp_attr::PER_CPU_PIDS, &[70, 71]),
        )
        .unwrap();
    lab.exec(list().user(9));
    assert_eq!(lab.upcalls(71).len(), 1);
    testing::set_cpu(3);
    lab.exec(list().user(9));
    assert_eq!(lab.upcalls(71).len(), 1, "3 of 2 wraps");
    // An EXECUTE may name its own.
    lab.run(&request(&udp(), list().user(9)).u32(packet_attr::UPCALL_PID, 55))
        .unwrap();
    assert_eq!(lab.upcalls(55).len(), 1);
    testing::set_cpu(0);
}

#[test]
fn u3_u12_failures_are_counted_and_do_not_stop_the_list() {
    let mut lab = Lab::new();
    let stats = |lab: &mut Lab| {
        let m = lab.switch.vport(cmd::GET, &by_number(1)).unwrap();
        let nested = m.get(vport_attr::UPCALL_STATS).unwrap().to_vec();
        let u64_at = |i: usize| u64::from_ne_bytes(nested[i..i + 8].try_into().unwrap());
        let dp = lab
            .switch
            .datapath(cmd::GET, &Bytes::new().name(dp_attr::NAME, "br0"))
            .unwrap();
        (u64_at(4), u64_at(16), dp.u64s(dp_attr::STATS).unwrap()[2])
    };
    lab.exec(list().user(9).user(9));
    assert_eq!(stats(&mut lab), (2, 0, 0));
    lab.switch.net.set_upcall_error(Some(ECONNREFUSED));
    lab.exec(list().user(9).output(2));
    assert_eq!(stats(&mut lab), (2, 1, 1));
    lab.switch.net.set_upcall_error(None);
    // No destination: lost, but not the port's failure.
    let features = Bytes::new().name(dp_attr::NAME, "br0");
    let features = features.u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU);
    lab.switch
        .datapath(cmd::SET, &features.u32s(dp_attr::PER_CPU_PIDS, &[0]))
        .unwrap();
    lab.exec(list().user(9).output(2));
    assert_eq!(stats(&mut lab), (2, 1, 2));
    assert_eq!(lab.counts(), [0, 2, 0]);
    assert_eq!(drops(), []);
}

#[test]
fn u5_what_an_attribute_cannot_hold_is_not_sent() {
    let mut lab = Lab::new();
    let long = [udp(), vec![0; 65531 - 60]].concat();
    lab.on(&long, list().user(9)).unwrap();
    assert_eq!(lab.upcalls(9).len(), 1);
    lab.on(
        &long,
        list().push_vlan(0x8100, 0x1001).user(9).trunc(100).user(9),
    )
    .unwrap();
    let m = lab.upcalls(9);
    assert_eq!((m.len(), m[0].u32(packet_attr::LEN)), (1, Some(65535)));
}

#[test]
fn b53_no_memory_for_an_upcall_is_a_lost_upcall() {
    let mut lab = Lab::new();
    let more = || {
        Bytes::new()
            .put(userspace_attr::USERDATA, &[7; 255])
            .flag(userspace_attr::ACTIONS)
    };
    let acts = list()
        .push_vlan(0x8100, 0x1001)
        .user_with(9, more())
        .output(2);
    let before = live();
    for n in 1.. {
        fail_nth(n);
        let result = lab.on(&udp(), acts.clone());
        let struck = !testing::fail_pending();
        fail_nth(0);
        assert!(matches!(result, Ok(()) | Err(ENOMEM)));
        lab.counts();
        lab.upcalls(9);
        drops();
        testing::run_rcu();
        assert_eq!(live(), before, "{n}");
        if !struck {
            break;
        }
    }
}

// U15: the room that is reserved is enough for everything at once.
#[test]
fn u15_the_largest_message_fits() {
    use openvswitch::datapath::abi::tunnel_attr as ta;
    let mut lab = Lab::new();
    // Geneve options of 128 and 124 bytes.
    let mut options = [[1, 2, 3, 31], [0; 4]].concat();
    options.resize(128, 7);
    options.extend([1, 2, 3, 30]);
    options.resize(252, 7);
    let tunnel = Bytes::new()
        .put(ta::ID, &[9; 8])
        .put(ta::IPV6_SRC, &[1; 16])
        .put(ta::IPV6_DST, &[2; 16])
        .put(ta::TOS, &[3])
        .put(ta::TTL, &[64])
        .flag(ta::DONT_FRAGMENT)
        .flag(ta::CSUM)
        .flag(ta::OAM)
        .be16(ta::TP_SRC, 5)
        .be16(ta::TP_DST, 6081)
        .put(ta::GENEVE_OPTS, &options);
    let key = Bytes::new()
        .u32(key_attr::PRIORITY, 1)
        .u32(key_attr::IN_PORT, 1)
        .u32(key_attr::SKB_MARK, 2)
        .u32(key_attr::DP_HASH, 3)
        .u32(key_attr::RECIRC_ID, 4)
        .nest(key_attr::TUNNEL, tunnel);
    // A neighbour solicitation behind two tags.
    let mut frame = udp()[..12].to_vec();
    frame.extend([
        0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255,
    ]);
    frame.extend([0xfd; 32]);
    frame.extend([135, 0, 0, 0, 0, 0, 0, 0]);
    frame.extend([0xfd; 16]);
    frame.extend([1, 1, 2, 0, 0, 0, 0, 9]);
    for len in [0, 1, 255, 4001] {
        let more = Bytes::new()
            .put(userspace_attr::USERDATA, &vec![8; len])
            .flag(userspace_attr::ACTIONS);
        let many = (0..50).fold(list(), |l, n| l.hash(0, n));
        let acts = many.trunc(60).user_with(9, more);
        let attrs = Bytes::new()
            .put(packet_attr::PACKET, &frame)
            .nest(packet_attr::KEY, key.clone())
            .nest(packet_attr::ACTIONS, acts.clone())
            .u16(packet_attr::MRU, 1400);
        lab.run(&attrs).expect("no error");
        let upcalls = lab.upcalls(9);
        let [m] = &upcalls[..] else {
            panic!("{len}: {} upcalls", upcalls.len())
        };
        assert_eq!(m.types().len(), 7, "all there is");
        assert_eq!(m.get(packet_attr::USERDATA), Some(&vec![8; len][..]));
        assert_eq!(m.get(packet_attr::ACTIONS), Some(&acts.0[..]));
        assert!(m.get(packet_attr::KEY).unwrap().len() > 500);
    }
}
