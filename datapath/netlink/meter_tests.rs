// SPDX-License-Identifier: GPL-2.0
//! What requests say and what replies look like (spec M1, M2, M5, N12).

use super::*;
use crate::datapath::env::Group;
use crate::datapath::netlink::attr::Attrs;
use kernel::error::code::ERANGE;
use kernel::error::Error;

const MOST: u32 = u32::MAX;

fn put(b: &mut Vec<u8>, ty: u16, payload: &[u8]) {
    b.extend(((payload.len() + 4) as u16).to_ne_bytes());
    b.extend(ty.to_ne_bytes());
    b.extend(payload);
    b.resize(b.len().next_multiple_of(4), 0);
}

fn attrs(list: &[(u16, &[u8])]) -> Vec<u8> {
    let mut b = Vec::new();
    for (ty, payload) in list {
        put(&mut b, *ty, payload);
    }
    b
}

fn band(kind: u32, rate: u32, burst: u32) -> Vec<u8> {
    let inner = attrs(&[
        (band_attr::TYPE, &kind.to_ne_bytes()),
        (band_attr::RATE, &rate.to_ne_bytes()),
        (band_attr::BURST, &burst.to_ne_bytes()),
    ]);
    attrs(&[(0, &inner)])
}

fn validated(b: &[u8]) -> NlResult<TopAttrs<'_>> {
    let mut top = TopAttrs::empty();
    policy::validate(Group::Meter, b, &mut top)?;
    Ok(top)
}

fn set(list: &[(u16, &[u8])]) -> NlResult<(Config, Stats)> {
    let b = attrs(list);
    parse_set(&validated(&b)?)
}

fn with_bands(bands: &[u8]) -> NlResult<(Config, Stats)> {
    set(&[(attr::ID, &[9, 0, 0, 0]), (attr::BANDS, bands)])
}

/// The errno of a refusal, which explains itself.
#[track_caller]
fn refused<T: core::fmt::Debug>(result: NlResult<T>) -> Error {
    let e = result.expect_err("refused");
    assert!(e.msg.is_some());
    e.errno
}

#[test]
fn everything_that_can_be_said() {
    let stats = [[1; 8], [2; 8]].concat();
    let all = |more: &[(u16, &[u8])]| {
        let bands = band(1, 5, 6);
        let mut list: Vec<(u16, &[u8])> = vec![(attr::ID, &[0xff; 4]), (attr::BANDS, &bands)];
        list.push((attr::STATS, &stats));
        list.extend(more);
        set(&list).unwrap()
    };
    let (c, s) = all(&[]);
    let drop = Band {
        drops: true,
        rate: 5,
        burst: 6,
    };
    let plain = Config {
        id: MOST,
        unit: Unit::Packets,
        keep_stats: true,
        band: Some(drop),
    };
    assert_eq!(c, plain);
    let ones = u64::from_ne_bytes([1; 8]);
    let twos = u64::from_ne_bytes([2; 8]);
    assert_eq!((s.packets, s.bytes), (ones, twos));
    let (c, s) = all(&[(attr::KBPS, &[]), (attr::CLEAR, &[])]);
    let kbps = Config {
        unit: Unit::Kilobits,
        keep_stats: false,
        ..plain
    };
    assert_eq!((c, s), (kbps, Stats::default()), "CLEAR beats STATS");
}

#[test]
fn what_a_set_needs() {
    let good = band(1, 1, 1);
    assert_eq!(refused(set(&[])), EINVAL);
    assert_eq!(refused(set(&[(attr::BANDS, &good)])), EINVAL);
    assert_eq!(refused(set(&[(attr::ID, &[0; 4])])), EINVAL);
    assert_eq!(
        refused(set(&[(attr::ID, &[0; 3]), (attr::BANDS, &good)])),
        ERANGE
    );
    let empty = attrs(&[]);
    assert_eq!(refused(id(&validated(&empty).unwrap())), EINVAL);
}

/// B19
#[test]
fn bands() {
    let count = |c: NlResult<(Config, Stats)>| c.unwrap().0.band.iter().count();
    assert_eq!(count(with_bands(&[])), 0);
    assert_eq!(count(with_bands(&band(1, 1, 1))), 1);
    let two = [band(1, 1, 1), band(1, 1, 1)].concat();
    assert_eq!(refused(with_bands(&two)), EINVAL);
    assert_eq!(refused(with_bands(&band(1, 0, 1))), EINVAL);
    for n in 0..3 {
        let b = band(1, 1, 1);
        let mut inner = b[4..].to_vec();
        inner.drain(n * 8..n * 8 + 8);
        assert_eq!(refused(with_bands(&attrs(&[(0, &inner)]))), EINVAL);
    }
    for (kind, drops) in [(0, false), (1, true), (2, false), (MOST, false)] {
        let (c, _) = with_bands(&band(kind, MOST, MOST)).unwrap();
        let b = c.band.unwrap();
        assert_eq!((b.drops, b.rate, b.burst), (drops, MOST, MOST));
    }
    for n in 0..20 {
        let stats = attrs(&[(band_attr::STATS, &[0; 20][..n])]);
        let whole = [&band(1, 1, 1)[4..], &stats].concat();
        let result = with_bands(&attrs(&[(7, &whole)]));
        match n {
            0..16 => assert_eq!(refused(result), ERANGE),
            _ => assert_eq!(count(result), 1),
        }
    }
}

#[test]
fn bad_bands_are_pointed_at() {
    let two = [band(1, 1, 1), band(1, 1, 1)].concat();
    for (bands, at) in [(two, 28), (band(1, 0, 1), 0)] {
        let b = attrs(&[(attr::ID, &[0; 4]), (attr::BANDS, &bands)]);
        let e = parse_set(&validated(&b).unwrap()).unwrap_err();
        assert_eq!(e.attr.unwrap() - b.as_ptr() as usize, 8 + 4 + at);
    }
}

fn message(write: impl FnOnce(&mut Writer<'_>) -> Put) -> Vec<u8> {
    let mut b = [0xff; MESSAGE_SIZE];
    let mut w = Writer::new(&mut b);
    write(&mut w).expect("room");
    w.written()[MSG_HDRLEN..].to_vec()
}

fn types(b: &[u8]) -> Vec<u16> {
    Attrs::new(b).map(|a| a.ty()).collect()
}

#[test]
fn layout_of_replies() {
    let header = MsgHeader::default();
    let (config, stats) = with_bands(&band(1, 1, 1)).unwrap();
    let mut state = State::new(&config, stats, 77);
    state.exceeded.bytes = 5;
    let meter = Some((&config, &state));
    let b = message(|w| write_set(w, &header, 9, meter));
    assert_eq!(
        b.len(),
        MESSAGE_SIZE - MSG_HDRLEN,
        "the largest fits exactly"
    );
    let stats = [attr::ID, attr::STATS, attr::USED, attr::BANDS];
    assert_eq!(types(&b), [&[attr::ID][..], &stats].concat());
    assert_eq!(
        types(&message(|w| write_set(w, &header, 9, None))),
        [attr::ID]
    );
    assert!(message(|w| write_stats(w, &header, None)).is_empty());
    let b = message(|w| write_stats(w, &header, meter));
    assert_eq!(types(&b), stats);
    let list: Vec<_> = Attrs::new(&b).collect();
    assert_eq!(list[2].u64(), Some(77));
    let element = list[3].nested().next().unwrap();
    let exceeded = element.nested().next().unwrap();
    assert_eq!((element.ty(), exceeded.ty()), (0, band_attr::STATS));
    assert_eq!(exceeded.payload()[8..], 5u64.to_ne_bytes());
    let none = Config {
        band: None,
        ..config
    };
    let b = message(|w| write_stats(w, &header, Some((&none, &state))));
    assert!(Attrs::new(&b).last().unwrap().is_empty());
    let b = message(|w| write_features(w, &header, 200_000));
    assert_eq!(types(&b), [attr::MAX_METERS, attr::MAX_BANDS, attr::BANDS]);
}
