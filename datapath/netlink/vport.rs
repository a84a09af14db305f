// SPDX-License-Identifier: GPL-2.0
//! Messages of ovs_vport (spec 1.2).
//!
//! C counterpart: `ovs_vport_cmd_fill_info()` in `net/openvswitch/datapath.c`.

use super::attr::{Attr, HDRLEN};
use super::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use super::{device_name, TopAttrs};
use crate::datapath::abi::{vport_attr as attr, vport_tunnel_attr as tunnel_attr, vxlan_ext};
use crate::datapath::env::{DeviceName, DeviceStats, TunnelConfig};
use crate::datapath::error::{NlError, NlResult};
use kernel::error::code::{EINVAL, ERANGE};

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

/// A tunnel's UDP port in OPTIONS, in host order: the first that is there (spec W21).
pub fn tunnel_dst_port(options: Option<Attr<'_>>) -> NlResult<u16> {
    let Some(options) = options else {
        return Err(NlError::new(
            EINVAL,
            c"OVS_VPORT_ATTR_OPTIONS is required for this type",
        ));
    };
    let port = options
        .nested()
        .find(|a| a.ty() == tunnel_attr::DST_PORT)
        .ok_or_else(|| {
            let what = c"OVS_TUNNEL_ATTR_DST_PORT is required for this type";
            NlError::at(EINVAL, what, options.whole())
        })?;
    match (port.u16(), port.len()) {
        (Some(n), 2) => Ok(n),
        _ => Err(NlError::at(
            EINVAL,
            c"OVS_TUNNEL_ATTR_DST_PORT is not a 16-bit integer",
            port.whole(),
        )),
    }
}

/// Whether OPTIONS ask for VXLAN's group policy; of several EXTENSIONs by the first, and unknown ones in it are skipped
/// (spec W21).
pub fn vxlan_gbp(options: Option<Attr<'_>>) -> NlResult<bool> {
    let extension = options.and_then(|o| o.nested().find(|a| a.ty() == tunnel_attr::EXTENSION));
    let Some(extension) = extension else {
        return Ok(false);
    };
    if extension.len() < HDRLEN {
        return Err(NlError::at(
            EINVAL,
            c"OVS_TUNNEL_ATTR_EXTENSION has no attribute in it",
            extension.whole(),
        ));
    }
    let mut gbp = false;
    for flag in extension.nested().filter(|a| a.ty() == vxlan_ext::GBP) {
        if !flag.is_empty() {
            return Err(NlError::at(
                ERANGE,
                c"OVS_VXLAN_EXT_GBP is a flag, and has no payload",
                flag.whole(),
            ));
        }
        gbp = true;
    }
    Ok(gbp)
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
    pub tunnel: Option<TunnelConfig>,
}

/// Bytes a message takes at most, for `cpus` possible CPUs (spec N12, V11).
pub fn message_size(cpus: u32) -> usize {
    let pids = (cpus as usize).saturating_mul(4); // CAST: usize has at least 32 bits
    MSG_HDRLEN + 8 + 8 + 20 + 8 + 8 + 68 + 28 + 4 + pids + 20
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
        match port.tunnel {
            Some(TunnelConfig::Vxlan { dst_port, gbp }) => write_options(w, dst_port, gbp),
            Some(TunnelConfig::Geneve { dst_port }) => write_options(w, dst_port, false),
            Some(TunnelConfig::Gre) | None => Ok(()),
        }
    })
}

fn write_options(w: &mut Writer<'_>, dst_port: u16, gbp: bool) -> Put {
    let options = w.nest(attr::OPTIONS)?;
    w.put_u16(tunnel_attr::DST_PORT, dst_port)?;
    if gbp {
        let extension = w.nest(tunnel_attr::EXTENSION)?;
        w.put_flag(vxlan_ext::GBP)?;
        w.end_nest(extension)?;
    }
    w.end_nest(options)
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
                tunnel: Some(TunnelConfig::Vxlan {
                    dst_port: 4789,
                    gbp: true,
                }),
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
            tunnel: Some(TunnelConfig::Geneve { dst_port: 6081 }),
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
                attr::UPCALL_PID,
                attr::OPTIONS
            ]
        );
    }
}
