// SPDX-License-Identifier: GPL-2.0
//! Requests of all families with bytes flipped, cut and repeated: no panic, and a refusal changes nothing
//! (B5, B11, B65). A series of seeds that is the same in every run; `SEEDS=n` makes it longer.

use crate::flow_kit::*;
use openvswitch::datapath::abi::{
    band_attr, meter_attr, meter_cmd, packet_attr, packet_cmd, userspace_attr,
};

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn actions() -> Bytes {
    let set = Bytes::new().put(key_attr::ETHERNET, &[7; 12]);
    let masked = Bytes::new().put(key_attr::ETHERNET, &[[7; 12], [0xff; 12]].concat());
    let sample = Bytes::new().u32(1, 1 << 30).nest(2, output(&[1]));
    let user = Bytes::new()
        .u32(userspace_attr::PID, 7)
        .put(userspace_attr::USERDATA, b"abc");
    output(&[2])
        .nest(action_attr::SET, set)
        .nest(action_attr::SET_MASKED, masked)
        .put(action_attr::PUSH_VLAN, &[0x81, 0, 0x10, 5])
        .flag(action_attr::POP_VLAN)
        .nest(action_attr::SAMPLE, sample)
        .nest(action_attr::CLONE, output(&[1, 2]))
        .nest(action_attr::USERSPACE, user)
        .u32(action_attr::RECIRC, 3)
        .put(action_attr::HASH, &[0; 8])
        .u32(action_attr::TRUNC, 20)
        .u32(action_attr::METER, 1)
}

/// Good requests.
fn corpus() -> Vec<(Group, u8, Bytes)> {
    let dp = Bytes::new()
        .name(dp_attr::NAME, "br7")
        .u32(dp_attr::UPCALL_PID, 0)
        .u32(dp_attr::USER_FEATURES, dp_feature::DISPATCH_UPCALL_PER_CPU)
        .u32s(dp_attr::PER_CPU_PIDS, &[1, 2])
        .u32(dp_attr::MASKS_CACHE_SIZE, 64);
    let vport = port("int7", INTERNAL)
        .u32(vport_attr::PORT_NO, 9)
        .u32(vport_attr::IFINDEX, 90_001);
    let new_flow = flow(&UDP)
        .mask(mask(!0, 0, 0, 0))
        .nest(flow_attr::ACTIONS, actions())
        .ufid(&[3; 16]);
    let execute = Bytes::new()
        .put(packet_attr::PACKET, &UDP.packet())
        .nest(packet_attr::KEY, UDP.key())
        .nest(packet_attr::ACTIONS, actions())
        .u64(packet_attr::HASH, 5);
    let mut all = vec![(Group::Packet, packet_cmd::EXECUTE, execute)];
    for cmd in [cmd::NEW, cmd::DEL, cmd::GET, cmd::SET] {
        all.push((Group::Datapath, cmd, dp.clone()));
        all.push((Group::Vport, cmd, vport.clone()));
        all.push((Group::Flow, cmd, new_flow.clone()));
    }
    let band = Bytes::new()
        .u32(band_attr::TYPE, 1)
        .u32(band_attr::RATE, 1000)
        .u32(band_attr::BURST, 1);
    let meter = Bytes::new()
        .u32(meter_attr::ID, 1)
        .nest(meter_attr::BANDS, Bytes::new().nest(0, band))
        .flag(meter_attr::KBPS)
        .put(meter_attr::STATS, &[1; 16]);
    for cmd in meter_cmd::FEATURES..=meter_cmd::GET {
        all.push((Group::Meter, cmd, meter.clone()));
    }
    all
}

/// Spoils `bytes` in up to four places.
fn mutate(bytes: &mut Vec<u8>, r: &mut Random) {
    for _ in 0..1 + r.below(4) {
        let at = r.below(bytes.len());
        match r.below(6) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << r.below(8),
            2 => bytes[at] = [0, 1, 3, 4, 0x7f, 0x80, 0xff][r.below(7)],
            3 => bytes[at & !3] = r.below(40) as u8,
            4 => {
                let piece = bytes[at & !3..].to_vec();
                bytes.extend(piece);
                bytes.truncate(8192);
            }
            _ => drop(bytes.drain(at & !3..(at & !3) + 4.min(bytes.len() - (at & !3)))),
        }
        if bytes.is_empty() {
            return;
        }
    }
}

#[test]
fn no_panic_and_no_trace_of_what_was_refused() {
    openvswitch::datapath::actions::execute::init(&openvswitch::sys::testing::process_context())
        .unwrap();
    let seeds = std::env::var("SEEDS").map_or(3000, |n| n.parse().expect("a number"));
    let corpus = corpus();
    let mut s = Switch::new();
    s.add_port("eth0");
    s.add_port("eth1");
    let (mut done, mut refusals) = (0, 0);
    let mut before = everything(&mut s);
    for seed in 0..seeds {
        let mut r = Random(seed);
        let (group, cmd, good) = &corpus[r.below(corpus.len())];
        let mut bytes = good.0.clone();
        mutate(&mut bytes, &mut r);
        s.client.flags = if r.below(2) == 0 { nlm::CREATE } else { 0 };
        let dp = if r.below(20) == 0 { 0 } else { s.dp };
        let answer = s.client.request(*group, *cmd, dp, &Bytes(bytes));
        s.client.flags = 0;
        s.net.take_multicasts();
        s.net.take_upcalls();
        openvswitch::packet::take_drops();
        for port in ["eth0", "eth1", "br0"] {
            s.net.device(port).map(|d| d.take_sent());
        }
        let now = everything(&mut s);
        match answer {
            Ok(_) => done += 1,
            // Executing counts what it sent before it failed.
            Err(_) if *group == Group::Packet => refusals += 1,
            Err(e) => {
                refusals += 1;
                assert!(now == before, "seed {seed}: {e:?} but changed");
            }
        }
        before = now;
        if s.client
            .call(Group::Datapath, cmd::GET, s.dp, &Bytes::new())
            .is_err()
            || seed % 200 == 199
        {
            drop(s);
            s = Switch::new();
            s.add_port("eth0");
            s.add_port("eth1");
            openvswitch::sys::testing::run_rcu();
            before = everything(&mut s);
        }
    }
    assert!(
        done > seeds / 20 && refusals > seeds / 20,
        "{done} done, {refusals} refused"
    );
}

/// What all dumps show; as far as they can if the datapath is gone.
fn everything(s: &mut Switch) -> Vec<Message> {
    let mut all = s.client.dump(Group::Datapath, 0, &Bytes::new()).unwrap();
    for family in [Group::Vport, Group::Flow] {
        all.extend(
            s.client
                .dump(family, s.dp, &Bytes::new())
                .unwrap_or_default(),
        );
    }
    let meter = Bytes::new().u32(meter_attr::ID, 1);
    all.extend(s.client.call(Group::Meter, meter_cmd::GET, s.dp, &meter));
    for message in &mut all {
        message.0[8..12].fill(0);
    }
    all
}
