// SPDX-License-Identifier: GPL-2.0
//! TCP, UDP, SCTP, ICMP and neighbour discovery.

use super::{bit, fill, layers, Beyond, Parser};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::Core;
use crate::datapath::flow::parts::KeyBuf;
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::{be16, part};

impl Parser<'_> {
    pub(super) fn transport(&mut self, out: &mut KeyBuf) -> NlResult {
        if let Some(ports) = self.take::<4>(ka::TCP) {
            (out.tp_src, out.tp_dst) = (be16::<0, 4>(&ports), be16::<2, 4>(&ports));
        }
        if let Some(flags) = self.take(ka::TCP_FLAGS) {
            out.tcp_flags = Be16::from_bytes(flags);
        }
        for ty in [ka::UDP, ka::SCTP] {
            if let Some(ports) = self.take::<4>(ty) {
                (out.tp_src, out.tp_dst) = (be16::<0, 4>(&ports), be16::<2, 4>(&ports));
            }
        }
        for ty in [ka::ICMP, ka::ICMPV6] {
            if let Some([ty, code]) = self.take(ty) {
                (out.tp_src, out.tp_dst) = (Be16::new(ty.into()), Be16::new(code.into()));
            }
        }
        if let Some(nd) = self.take::<28>(ka::ND) {
            let ext = out.try_ext_mut()?;
            ext.clear_shared();
            ext.nd_target = part::<0, 16, 28>(&nd);
            ext.hw_src = part::<16, 6, 28>(&nd);
            ext.hw_dst = part::<22, 6, 28>(&nd);
        }
        Ok(())
    }
}

pub(super) fn put(w: &mut Writer<'_>, key: &Core, out: &Core, beyond: &Beyond<'_>) -> Put {
    // Type and code are the low bytes of the ports.
    let type_code = |w: &mut Writer<'_>, ty| {
        let ([_, icmp_type], [_, code]) = (out.tp_src.to_bytes(), out.tp_dst.to_bytes());
        w.put(ty, &[icmp_type, code])
    };
    const UDP: u64 = bit(ka::UDP);
    const SCTP: u64 = bit(ka::SCTP);
    const ICMP: u64 = bit(ka::ICMP);
    const ICMPV6: u64 = bit(ka::ICMPV6);
    let (_, transport, nd) = layers(key);
    match transport {
        0 => Ok(()),
        UDP => put_ports(w, ka::UDP, out),
        SCTP => put_ports(w, ka::SCTP, out),
        ICMP => type_code(w, ka::ICMP),
        ICMPV6 => {
            type_code(w, ka::ICMPV6)?;
            if nd != 0 {
                let (ext, room) = (beyond.ext, w.reserve(ka::ND, 28)?);
                fill(room, &[&ext.nd_target, &ext.hw_src, &ext.hw_dst], 0);
            }
            Ok(())
        }
        _ => {
            put_ports(w, ka::TCP, out)?;
            w.put(ka::TCP_FLAGS, &out.tcp_flags.to_bytes())
        }
    }
}

/// Ports of TCP, UDP or SCTP.
#[inline(always)]
pub(super) fn put_ports(w: &mut Writer<'_>, ty: u16, out: &Core) -> Put {
    let ([s0, s1], [d0, d1]) = (out.tp_src.to_bytes(), out.tp_dst.to_bytes());
    *w.reserve_array::<4>(ty)? = [s0, s1, d0, d1];
    Ok(())
}
