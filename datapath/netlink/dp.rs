// SPDX-License-Identifier: GPL-2.0
//! Messages of ovs_datapath (spec 1.1).
//!
//! C counterpart: `ovs_dp_cmd_fill_info()` in `net/openvswitch/datapath.c`.

use super::attr::Attr;
use super::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use super::{device_name, TopAttrs};
use crate::datapath::abi::dp_attr as attr;
use crate::datapath::env::DeviceName;

/// A request's attributes.
#[derive(Clone, Copy, Debug)]
pub struct DpRequest<'a> {
    pub name: Option<DeviceName>,
    pub upcall_pids: Option<Attr<'a>>,
    pub user_features: Option<Attr<'a>>,
    pub masks_cache_size: Option<Attr<'a>>,
    pub per_cpu_pids: Option<Attr<'a>>,
    /// 0: the kernel chooses.
    pub ifindex: i32,
}

impl<'a> DpRequest<'a> {
    pub fn parse(attrs: &TopAttrs<'a>) -> Self {
        Self {
            name: attrs.get(attr::NAME).map(|a| device_name(&a)),
            upcall_pids: attrs.get(attr::UPCALL_PID),
            user_features: attrs.get(attr::USER_FEATURES),
            masks_cache_size: attrs.get(attr::MASKS_CACHE_SIZE),
            per_cpu_pids: attrs.get(attr::PER_CPU_PIDS),
            ifindex: attrs.get(attr::IFINDEX).and_then(|a| a.i32()).unwrap_or(0),
        }
    }
}

/// What a message tells about a datapath.
#[derive(Clone, Copy, Debug, Default)]
pub struct DpInfo<'a> {
    pub name: DeviceName,
    pub hit: u64,
    pub missed: u64,
    pub lost: u64,
    pub flows: u64,
    pub mask_hit: u64,
    pub masks: u32,
    pub cache_hit: u64,
    pub user_features: u32,
    pub masks_cache_size: u32,
    /// Present in the message if not `None` (spec D8e, D11).
    pub per_cpu_pids: Option<&'a [u32]>,
}

/// Bytes a message takes at most, for `cpus` possible CPUs (spec N12).
pub fn message_size(cpus: u32) -> usize {
    let pids = (cpus as usize).saturating_mul(4); // CAST: usize has at least 32 bits
    MSG_HDRLEN + 20 + 36 + 36 + 8 + 8 + 4 + pids
}

/// Appends a message, or nothing if it does not fit.
pub fn write(w: &mut Writer<'_>, header: &MsgHeader, dp: &DpInfo<'_>) -> Put {
    w.message(header, |w| {
        w.put_name(attr::NAME, &dp.name)?;
        w.put(attr::STATS, &words(&[dp.hit, dp.missed, dp.lost, dp.flows]))?;
        w.put(attr::MEGAFLOW_STATS, &megaflow_stats(dp))?;
        w.put_u32(attr::USER_FEATURES, dp.user_features)?;
        w.put_u32(attr::MASKS_CACHE_SIZE, dp.masks_cache_size)?;
        if let Some(pids) = dp.per_cpu_pids {
            w.put_u32s(attr::PER_CPU_PIDS, pids)?;
        }
        Ok(())
    })
}

/// Host-order words as bytes.
fn words<const N: usize>(words: &[u64; N]) -> [u8; 32] {
    let mut b = [0; 32];
    for (dst, src) in b.chunks_exact_mut(8).zip(words) {
        dst.copy_from_slice(&src.to_ne_bytes());
    }
    b
}

/// `struct ovs_dp_megaflow_stats`: mask_hit, a 32-bit count and padding, cache_hit, padding.
fn megaflow_stats(dp: &DpInfo<'_>) -> [u8; 32] {
    let mut b = words(&[dp.mask_hit, 0, dp.cache_hit, 0]);
    if let Some(n) = b.get_mut(8..12) {
        n.copy_from_slice(&dp.masks.to_ne_bytes());
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::netlink::attr::Attrs;

    #[test]
    fn the_largest_message_fits_exactly() {
        for cpus in [1, 2, 3, 64, 8192] {
            let pids = vec![7; cpus as usize];
            let info = DpInfo {
                name: *b"123456789012345\0",
                per_cpu_pids: Some(&pids),
                ..Default::default()
            };
            let mut b = vec![0xff; message_size(cpus)];
            let mut w = Writer::new(&mut b);
            write(&mut w, &MsgHeader::default(), &info).unwrap();
            assert_eq!(w.len(), message_size(cpus));
        }
    }

    #[test]
    fn layout_of_statistics() {
        let info = DpInfo {
            hit: 1,
            missed: 2,
            lost: 3,
            flows: 4,
            mask_hit: 5,
            masks: 6,
            cache_hit: 7,
            ..Default::default()
        };
        let mut b = [0xff; 256];
        let mut w = Writer::new(&mut b);
        write(&mut w, &MsgHeader::default(), &info).unwrap();
        let attrs: Vec<_> = Attrs::new(&w.written()[MSG_HDRLEN..]).collect();
        let types: Vec<_> = attrs.iter().map(|a| a.ty()).collect();
        assert_eq!(
            types,
            [
                attr::NAME,
                attr::STATS,
                attr::MEGAFLOW_STATS,
                attr::USER_FEATURES,
                attr::MASKS_CACHE_SIZE
            ]
        );
        let word = |a: &Attr<'_>, i: usize| {
            u64::from_ne_bytes(a.payload()[8 * i..][..8].try_into().unwrap())
        };
        assert_eq!([0, 1, 2, 3].map(|i| word(&attrs[1], i)), [1, 2, 3, 4]);
        assert_eq!([0, 1, 2, 3].map(|i| word(&attrs[2], i)), [5, 6, 7, 0]);
    }
}
