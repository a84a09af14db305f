// SPDX-License-Identifier: GPL-2.0
//! Messages of ovs_vport (spec 1.2).
//!
//! C counterpart: `ovs_vport_cmd_fill_info()` in `net/openvswitch/datapath.c`.

use super::attr::Attr;
use super::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use super::{device_name, TopAttrs};
use crate::datapath::abi::vport_attr as attr;
use crate::datapath::env::{DeviceName, DeviceStats};

/// A request's attributes.
#[derive(Clone, Copy, Debug)]
pub struct VportRequest<'a> {
    pub port_no: Option<Attr<'a>>,
    pub kind: Option<Attr<'a>>,
    pub name: Option<DeviceName>,
    pub upcall_pids: Option<Attr<'a>>,
    pub options: Option<Attr<'a>>,
    pub ifindex: Option<Attr<'a>>,
}

impl<'a> VportRequest<'a> {
    pub fn parse(attrs: &TopAttrs<'a>) -> Self {
        Self {
            port_no: attrs.get(attr::PORT_NO),
            kind: attrs.get(attr::TYPE),
            name: attrs.get(attr::NAME).map(|a| device_name(&a)),
            upcall_pids: attrs.get(attr::UPCALL_PID),
            options: attrs.get(attr::OPTIONS),
            ifindex: attrs.get(attr::IFINDEX),
        }
    }
}

/// What a message tells about a vport.
#[derive(Clone, Copy, Debug, Default)]
pub struct VportInfo<'a> {
    pub port_no: u32,
    pub kind: u32,
    pub name: DeviceName,
    pub ifindex: i32,
    /// Set when the device is in another namespace than the reader (spec V9).
    pub netnsid: Option<i32>,
    pub stats: DeviceStats,
    pub upcalls_ok: u64,
    pub upcalls_failed: u64,
    pub upcall_pids: &'a [u32],
}

/// Bytes a message takes at most, for `cpus` possible CPUs (spec N12, V11).
pub fn message_size(cpus: u32) -> usize {
    let pids = (cpus as usize).saturating_mul(4); // CAST: usize has at least 32 bits
    MSG_HDRLEN + 8 + 8 + 20 + 8 + 8 + 68 + 28 + 4 + pids
}

/// Appends a message (order: spec V9), or nothing if it does not fit.
pub fn write(w: &mut Writer<'_>, header: &MsgHeader, port: &VportInfo<'_>) -> Put {
    w.message(header, |w| {
        w.put_u32(attr::PORT_NO, port.port_no)?;
        w.put_u32(attr::TYPE, port.kind)?;
        w.put_name(attr::NAME, &port.name)?;
        w.put(attr::IFINDEX, &port.ifindex.to_ne_bytes())?;
        if let Some(id) = port.netnsid {
            w.put(attr::NETNSID, &id.to_ne_bytes())?;
        }
        w.put(attr::STATS, &stats(&port.stats))?;
        let upcalls = w.nest(attr::UPCALL_STATS)?;
        w.put_u64(attr::UPCALL_SUCCESS, port.upcalls_ok)?;
        w.put_u64(attr::UPCALL_FAIL, port.upcalls_failed)?;
        w.end_nest(upcalls)?;
        w.put_u32s(attr::UPCALL_PID, port.upcall_pids)?;
        Ok(())
    })
}

/// `struct ovs_vport_stats`
fn stats(s: &DeviceStats) -> [u8; 64] {
    let words = [
        s.rx_packets,
        s.tx_packets,
        s.rx_bytes,
        s.tx_bytes,
        s.rx_errors,
        s.tx_errors,
        s.rx_dropped,
        s.tx_dropped,
    ];
    let mut b = [0; 64];
    for (dst, src) in b.chunks_exact_mut(8).zip(words) {
        dst.copy_from_slice(&src.to_ne_bytes());
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
            let info = VportInfo {
                name: *b"123456789012345\0",
                netnsid: Some(-1),
                upcall_pids: &pids,
                ..Default::default()
            };
            let mut b = vec![0xff; message_size(cpus)];
            let mut w = Writer::new(&mut b);
            write(&mut w, &MsgHeader::default(), &info).unwrap();
            assert_eq!(w.len(), message_size(cpus));
        }
    }

    #[test]
    fn order_of_attributes() {
        let info = VportInfo {
            netnsid: Some(3),
            upcall_pids: &[5],
            ..Default::default()
        };
        let mut b = [0xff; 512];
        let mut w = Writer::new(&mut b);
        write(&mut w, &MsgHeader::default(), &info).unwrap();
        let types: Vec<_> = Attrs::new(&w.written()[MSG_HDRLEN..])
            .map(|a| a.ty())
            .collect();
        assert_eq!(
            types,
            [
                attr::PORT_NO,
                attr::TYPE,
                attr::NAME,
                attr::IFINDEX,
                attr::NETNSID,
                attr::STATS,
                attr::UPCALL_STATS,
                attr::UPCALL_PID
            ]
        );
    }
}
