// SPDX-License-Identifier: GPL-2.0
//! Meters: requests of ovs_meter, and packets that run through METER (M1 to M9, A1, X1).

use crate::act_kit::*;
use openvswitch::datapath::abi::{band_attr, meter_attr, meter_cmd};

const KBPS: bool = true;
const PACKETS: bool = false;
const MOST: u32 = u32::MAX;
/// Bytes of [`udp`].
const UDP_LEN: u64 = 60;

fn band(rate: u32, burst: u32) -> Bytes {
    Bytes::new()
        .u32(band_attr::TYPE, 1)
        .u32(band_attr::RATE, rate)
        .u32(band_attr::BURST, burst)
}

/// A SET of a meter with one band.
fn meter(id: u32, kbps: bool, rate: u32, burst: u32) -> Bytes {
    let bands = Bytes::new().nest(0, band(rate, burst));
    let set = by_id(id).nest(meter_attr::BANDS, bands);
    match kbps {
        true => set.flag(meter_attr::KBPS),
        false => set,
    }
}

fn by_id(id: u32) -> Bytes {
    Bytes::new().u32(meter_attr::ID, id)
}

trait Meters {
    fn meter(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused>;

    fn set(&mut self, attrs: &Bytes) -> Message {
        self.meter(meter_cmd::SET, attrs).expect("a meter")
    }

    /// (packets, bytes, packets that exceeded the band)
    fn counted(&mut self, id: u32) -> (u64, u64, u64) {
        let m = self.meter(meter_cmd::GET, &by_id(id)).expect("the meter");
        assert_eq!(m.u32(meter_attr::ID), Some(id));
        let stats = m.u64s(meter_attr::STATS).unwrap();
        let bands = m.get(meter_attr::BANDS).unwrap();
        let exceeded = u64::from_ne_bytes(bands[8..16].try_into().unwrap());
        (stats[0], stats[1], exceeded)
    }
}

impl Meters for Switch {
    fn meter(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused> {
        self.client.call(Group::Meter, cmd, self.dp, attrs)
    }
}

impl Meters for Lab {
    fn meter(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused> {
        self.switch.meter(cmd, attrs)
    }
}

trait MeterAction {
    fn metered(self, id: u32) -> Self;
}

impl MeterAction for Bytes {
    fn metered(self, id: u32) -> Self {
        self.attr(act::METER, &id.to_ne_bytes())
    }
}

/// Sends `n` packets from port 1 through meter 1 to port 2; how many came out.
fn through(lab: &mut Lab, n: usize) -> usize {
    for _ in 0..n {
        lab.exec(list().metered(1).output(2));
    }
    lab.sent(2).len()
}

#[test]
fn features_tell_what_memory_allows() {
    testing::set_memory(64 << 30);
    let mut s = Switch::new();
    let m = s.meter(meter_cmd::FEATURES, &Bytes::new()).unwrap();
    assert_eq!((m.cmd(), m.version(), m.flags()), (1, 1, 0));
    assert_eq!((m.dp_ifindex(), m.portid()), (s.dp, s.client.portid));
    let types = [
        meter_attr::MAX_METERS,
        meter_attr::MAX_BANDS,
        meter_attr::BANDS,
    ];
    assert_eq!(m.types(), types);
    assert_eq!(m.u32(meter_attr::MAX_METERS), Some(200_000));
    assert_eq!(m.u32(meter_attr::MAX_BANDS), Some(1));
    let offered = Bytes::new().nest(0, Bytes::new().u32(band_attr::TYPE, 1));
    assert_eq!(m.get(meter_attr::BANDS), Some(&offered.0[..]));
    for dp in [0, s.dp + 1] {
        let r = s
            .client
            .call(Group::Meter, meter_cmd::FEATURES, dp, &Bytes::new());
        assert_eq!(refused(r), ENODEV);
    }
}

/// M9
#[test]
fn no_datapath_without_memory_for_a_meter() {
    let net = FakeNet::new();
    let mut client = Client::new(&net);
    let before = live();
    testing::set_memory(1000);
    assert_eq!(new_dp(&mut client, "br0").unwrap_err().errno, ENOMEM);
    testing::set_memory(64 << 30);
    kernel::testing::rcu::barrier();
    assert_eq!(live(), before);
}

/// As vswitchd does when it starts: GET must err with ENOENT, SET answer with the id, and then it deletes.
#[test]
fn probes_of_vswitchd() {
    let mut s = Switch::new();
    for ids in [[54_545_401, 54_545_402], [1021, 1022]] {
        for id in ids {
            let missing = s.meter(meter_cmd::GET, &by_id(id));
            assert_eq!(refused(missing), ENOENT);
            let m = s.set(&meter(id, KBPS, 1, 1));
            assert_eq!(m.types(), [meter_attr::ID]);
            assert_eq!(m.u32(meter_attr::ID), Some(id));
        }
        for id in ids {
            assert_eq!(s.counted(id), (0, 0, 0));
            let m = s.meter(meter_cmd::DEL, &by_id(id)).unwrap();
            assert_eq!(m.u32(meter_attr::ID), Some(id));
            assert_eq!(refused(s.meter(meter_cmd::GET, &by_id(id))), ENOENT);
        }
    }
}

#[test]
fn deleting_what_is_not_there_is_no_error() {
    let mut s = Switch::new();
    let m = s.meter(meter_cmd::DEL, &by_id(3)).unwrap();
    assert_eq!((m.cmd(), m.types()), (meter_cmd::DEL, vec![]));
}

#[test]
fn requests_need_id_and_datapath() {
    let mut s = Switch::new();
    for cmd in [meter_cmd::SET, meter_cmd::GET, meter_cmd::DEL] {
        let good = meter(1, PACKETS, 1, 1);
        assert_eq!(refused(s.meter(cmd, &Bytes::new())), EINVAL);
        let elsewhere = s.client.call(Group::Meter, cmd, s.dp + 1, &good);
        assert_eq!(refused(elsewhere), ENODEV);
    }
    for cmd in [0, 5, 255] {
        assert_eq!(refused(s.meter(cmd, &by_id(1))), EOPNOTSUPP);
    }
    let dump = s.client.dump(Group::Meter, s.dp, &Bytes::new());
    assert_eq!(refused(dump), EOPNOTSUPP);
}

/// M4: replacing tells what the old one had counted, unless that was told to forget.
#[test]
fn replacing_a_meter() {
    let mut lab = Lab::new();
    lab.set(&meter(1, PACKETS, 1, 3));
    assert_eq!(through(&mut lab, 5), 3);
    let m = lab.set(&meter(1, PACKETS, 1, 2).flag(meter_attr::CLEAR));
    let types = [
        meter_attr::ID,
        meter_attr::ID,
        meter_attr::STATS,
        meter_attr::USED,
        meter_attr::BANDS,
    ];
    assert_eq!(m.types(), types);
    assert_eq!(m.u64s(meter_attr::STATS), Some(vec![5, 5 * UDP_LEN]));
    assert_eq!(lab.counted(1), (0, 0, 0), "a new meter");
    assert_eq!(through(&mut lab, 5), 2, "with a full bucket");
    let m = lab.set(&meter(1, PACKETS, 1, 2));
    assert_eq!(m.types(), [meter_attr::ID]);
}

#[test]
fn statistics_go_on_from_what_was_given() {
    let mut lab = Lab::new();
    let stats = [u64::MAX.to_ne_bytes(), 5u64.to_ne_bytes()].concat();
    let given = meter(1, PACKETS, 1, 9).put(meter_attr::STATS, &stats);
    lab.set(&given);
    assert_eq!(lab.counted(1), (u64::MAX, 5, 0));
    assert_eq!(through(&mut lab, 1), 1);
    assert_eq!(lab.counted(1), (0, 5 + UDP_LEN, 0), "wraps");
    lab.set(&given.flag(meter_attr::CLEAR));
    assert_eq!(lab.counted(1), (0, 0, 0));
}

#[test]
fn a_meter_that_does_not_exist_lets_all_pass() {
    let mut lab = Lab::new();
    assert_eq!(through(&mut lab, 20), 20);
    lab.set(&meter(2, PACKETS, 1, 0));
    assert_eq!(through(&mut lab, 20), 20, "another id");
    lab.set(&meter(1, PACKETS, 1, 0));
    assert_eq!(through(&mut lab, 20), 0);
    lab.meter(meter_cmd::DEL, &by_id(1)).unwrap();
    assert_eq!(through(&mut lab, 20), 20, "deleted under the flow");
}

#[test]
fn what_exceeds_is_dropped_for_that_reason_and_is_no_error() {
    let mut lab = Lab::new();
    lab.set(&meter(1, PACKETS, 1, 1));
    lab.exec(list().metered(1).output(2));
    drops();
    lab.exec(list().metered(1).output(2));
    assert_eq!(drops(), [DropReason::Meter]);
    assert_eq!(lab.counted(1), (2, 2 * UDP_LEN, 1));
    lab.exec(list().cloned(list().metered(1).output(2)).output(3));
    assert_eq!(
        (lab.sent(2).len(), lab.sent(3).len()),
        (1, 1),
        "the clone alone"
    );
    lab.exec(list().metered(1));
    assert_eq!(drops(), [DropReason::Meter; 2]);
}

#[test]
fn packets_per_second() {
    let mut lab = Lab::new();
    lab.set(&meter(1, PACKETS, 100, 20));
    assert_eq!(through(&mut lab, 50), 20, "the burst");
    let mut passed = 0;
    for _ in 0..1000 {
        testing::advance(1);
        passed += through(&mut lab, 1);
    }
    assert_eq!(passed, 100, "in a second");
    testing::advance(150);
    assert_eq!(through(&mut lab, 50), 15);
    testing::advance(3_600_000);
    assert_eq!(through(&mut lab, 50), 20, "no more after an hour");
    assert_eq!(lab.counted(1).2, 30 + 900 + 35 + 30);
}

#[test]
fn kilobits_per_second() {
    let mut lab = Lab::new();
    lab.set(&meter(1, KBPS, 48, 24)); // packets of 480 bits
    assert_eq!(through(&mut lab, 100), 50, "the burst");
    let mut passed = 0;
    for _ in 0..1000 {
        testing::advance(1);
        passed += through(&mut lab, 1);
    }
    assert_eq!(passed, 100, "in a second");
    lab.set(&meter(1, KBPS, MOST, MOST));
    assert_eq!(through(&mut lab, 100), 100);
}

/// B26: a table that is full still takes replacements; what it refuses has changed nothing.
#[test]
fn a_full_table() {
    testing::set_memory(32 << 10);
    let mut s = Switch::new();
    testing::set_memory(64 << 30);
    let m = s.meter(meter_cmd::FEATURES, &Bytes::new()).unwrap();
    let max = m.u32(meter_attr::MAX_METERS).unwrap();
    assert!((4..=16).contains(&max), "{max}");
    for id in 0..max {
        s.set(&meter(id, PACKETS, 1, 1));
    }
    kernel::testing::rcu::barrier();
    let before = live();
    for _ in 0..3 {
        let more = s.meter(meter_cmd::SET, &meter(max, PACKETS, 1, 1));
        assert_eq!(refused(more), EFBIG);
        assert_eq!(refused(s.meter(meter_cmd::GET, &by_id(max))), ENOENT);
        s.set(&meter(1, KBPS, 1, 1));
    }
    kernel::testing::rcu::barrier();
    assert_eq!(live(), before);
    s.meter(meter_cmd::DEL, &by_id(0)).unwrap();
    s.set(&meter(max, PACKETS, 1, 1));
}

/// M8, and B23 to B25 for SET.
#[test]
fn memory() {
    let before = live();
    let mut s = Switch::new();
    s.set(&meter(1, PACKETS, 1, 7));
    for n in 1.. {
        kernel::testing::rcu::barrier();
        let used = live();
        fail_nth(n);
        let result = s.meter(meter_cmd::SET, &meter(1, KBPS, 1, 1));
        let done = testing::fail_pending();
        fail_nth(0);
        if done {
            assert!(n > 2, "the meter and the reply");
            result.unwrap();
            break;
        }
        assert_eq!(result.unwrap_err().errno, ENOMEM);
        assert_eq!(s.counted(1), (0, 0, 0), "the old one is there");
        kernel::testing::rcu::barrier();
        assert_eq!(live(), used);
    }
    for id in 0..100 {
        s.set(&meter(id, PACKETS, 1, 1));
    }
    drop(s);
    kernel::testing::rcu::barrier();
    assert_eq!(live(), before);
}

#[test]
fn nobody_is_notified() {
    let mut s = Switch::new();
    s.net.listen(Group::Meter, true);
    s.set(&meter(1, PACKETS, 1, 1));
    s.meter(meter_cmd::DEL, &by_id(1)).unwrap();
    assert!(s.net.take_multicasts().is_empty());
}

/// Every datapath has its own.
#[test]
fn meters_belong_to_a_datapath() {
    let mut s = Switch::new();
    let other = new_dp(&mut s.client, "br1").unwrap().dp_ifindex();
    s.set(&meter(1, PACKETS, 1, 1));
    let elsewhere = s
        .client
        .call(Group::Meter, meter_cmd::GET, other, &by_id(1));
    assert_eq!(refused(elsewhere), ENOENT);
}
