// SPDX-License-Identifier: GPL-2.0
//! Messages of ovs_meter (spec 7.1).
//!
//! C counterpart: `dp_meter_create()` and `ovs_meter_cmd_reply_stats()` in `net/openvswitch/meter.c`.

use super::attr::Attr;
use super::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use super::{policy, TopAttrs};
use crate::datapath::abi::{band_attr, meter_attr as attr, meter_band};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::meters::meter::{Band, Config, State, Stats, Unit};
use kernel::error::code::EINVAL;

/// Bands of a meter, at most.
const MAX_BANDS: u32 = 1;
/// Type of the elements of a list of bands in a reply (`OVS_BAND_ATTR_UNSPEC`). In requests any will do.
const ELEMENT: u16 = 0;

/// Bytes a message takes at most: that of a replaced meter (spec N12).
pub const MESSAGE_SIZE: usize = MSG_HDRLEN + 8 + 8 + 20 + 12 + (4 + 4 + 20);

/// The id that every request but FEATURES needs.
pub fn id(attrs: &TopAttrs<'_>) -> NlResult<u32> {
    match attrs.get(attr::ID).and_then(|a| a.u32()) {
        Some(id) => Ok(id),
        None => refuse(c"OVS_METER_ATTR_ID is required"),
    }
}

/// What a SET asks for: the meter, and what it goes on counting from (spec M2).
pub fn parse_set(attrs: &TopAttrs<'_>) -> NlResult<(Config, Stats)> {
    let config = Config {
        id: id(attrs)?,
        unit: match attrs.get(attr::KBPS) {
            Some(_) => Unit::Kilobits,
            None => Unit::Packets,
        },
        keep_stats: attrs.get(attr::CLEAR).is_none(),
        band: match attrs.get(attr::BANDS) {
            Some(bands) => only_band(bands)?,
            None => return refuse(c"OVS_METER_ATTR_BANDS is required"),
        },
    };
    let stats = attrs.get(attr::STATS).filter(|_| config.keep_stats);
    Ok((config, stats.map_or(Stats::default(), stats_in)))
}

/// The band of a list of at most one; a meter without bands only counts (spec B19).
fn only_band(bands: Attr<'_>) -> NlResult<Option<Band>> {
    let mut list = bands.nested();
    let Some(band) = list.next() else {
        return Ok(None);
    };
    if let Some(second) = list.next() {
        let why = c"A meter has one band at most";
        return Err(NlError::at(EINVAL, why, second.whole()));
    }
    let mut attrs = TopAttrs::empty();
    policy::validate_band(band, &mut attrs)?;
    let number = |ty| attrs.get(ty).and_then(|a: Attr<'_>| a.u32());
    let (Some(kind), Some(rate), Some(burst)) = (
        number(band_attr::TYPE),
        number(band_attr::RATE),
        number(band_attr::BURST),
    ) else {
        let why = c"A band needs a type, a rate and a burst size";
        return Err(NlError::at(EINVAL, why, band.whole()));
    };
    if rate == 0 {
        let why = c"A band's rate cannot be 0";
        return Err(NlError::at(EINVAL, why, band.whole()));
    }
    Ok(Some(Band {
        drops: kind == meter_band::DROP,
        rate,
        burst,
    }))
}

/// `struct ovs_flow_stats`; the policy has seen to its length.
fn stats_in(a: Attr<'_>) -> Stats {
    let [p0, p1, p2, p3, p4, p5, p6, p7, bytes @ ..] = a.bytes::<16>().unwrap_or([0; 16]);
    Stats {
        packets: u64::from_ne_bytes([p0, p1, p2, p3, p4, p5, p6, p7]),
        bytes: u64::from_ne_bytes(bytes),
    }
}

#[cold]
fn refuse<T>(why: &'static kernel::str::CStr) -> NlResult<T> {
    Err(NlError::new(EINVAL, why))
}

/// Appends the reply to FEATURES: what a datapath with room for `max_meters` offers (spec M1).
pub fn write_features(w: &mut Writer<'_>, header: &MsgHeader, max_meters: u32) -> Put {
    w.message(header, |w| {
        w.put_u32(attr::MAX_METERS, max_meters)?;
        w.put_u32(attr::MAX_BANDS, MAX_BANDS)?;
        let bands = w.nest(attr::BANDS)?;
        let band = w.nest(ELEMENT)?;
        w.put_u32(band_attr::TYPE, meter_band::DROP)?;
        w.end_nest(band)?;
        w.end_nest(bands)
    })
}

/// Appends the reply to SET: the id, and about the meter that it replaced the same as [`write_stats`], the id included.
pub fn write_set(
    w: &mut Writer<'_>,
    header: &MsgHeader,
    id: u32,
    old: Option<(&Config, &State)>,
) -> Put {
    w.message(header, |w| {
        w.put_u32(attr::ID, id)?;
        old.map_or(Ok(()), |(config, state)| put_stats(w, config, state))
    })
}

/// Appends the reply to GET and DEL; without a meter, as DEL may be, an empty one (spec M5).
pub fn write_stats(
    w: &mut Writer<'_>,
    header: &MsgHeader,
    meter: Option<(&Config, &State)>,
) -> Put {
    w.message(header, |w| {
        meter.map_or(Ok(()), |(config, state)| put_stats(w, config, state))
    })
}

fn put_stats(w: &mut Writer<'_>, config: &Config, state: &State) -> Put {
    w.put_u32(attr::ID, config.id)?;
    put_counters(w, attr::STATS, &state.stats)?;
    w.put_u64(attr::USED, state.used_ms)?;
    let bands = w.nest(attr::BANDS)?;
    if config.band.is_some() {
        let band = w.nest(ELEMENT)?;
        put_counters(w, band_attr::STATS, &state.exceeded)?;
        w.end_nest(band)?;
    }
    w.end_nest(bands)
}

fn put_counters(w: &mut Writer<'_>, ty: u16, stats: &Stats) -> Put {
    let (packets, bytes) = w.reserve_array::<16>(ty)?.split_at_mut(8);
    packets.copy_from_slice(&stats.packets.to_ne_bytes());
    bytes.copy_from_slice(&stats.bytes.to_ne_bytes());
    Ok(())
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
