// SPDX-License-Identifier: GPL-2.0
//! IPv4, IPv6 and ARP.

use super::usual::head;
use super::{fill, mpls, nsh, transport, Beyond, Parser};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{Core, FRAG_LATER};
use crate::datapath::flow::parts::KeyBuf;
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::be::{Be16, Be32};
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::part;

impl Parser<'_> {
    pub(super) fn network(&mut self, out: &mut KeyBuf) -> NlResult {
        let is_mask = self.is_mask();
        let bad_frag = |frag| !is_mask && frag > FRAG_LATER;
        if let Some(ip) = self.take::<12>(ka::IPV4) {
            out.ipv4_src = part::<0, 4, 12>(&ip);
            out.ipv4_dst = part::<4, 4, 12>(&ip);
            [out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag] = part::<8, 4, 12>(&ip);
            if bad_frag(out.ip_frag) {
                return Err(self.error(c"IPv4 fragment type out of range", ka::IPV4));
            }
        }
        if let Some(ip) = self.take::<40>(ka::IPV6) {
            out.ipv6_src = part::<0, 16, 40>(&ip);
            out.ipv6_dst = part::<16, 16, 40>(&ip);
            out.ipv6_label = Be32::from_bytes(part::<32, 4, 40>(&ip));
            [out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag] = part::<36, 4, 40>(&ip);
            if bad_frag(out.ip_frag) {
                return Err(self.error(c"IPv6 fragment type out of range", ka::IPV6));
            }
            if !is_mask && out.ipv6_label.get() > 0x000f_ffff {
                return Err(self.error(c"IPv6 flow label has more than 20 bits", ka::IPV6));
            }
        }
        if let Some(bits) = self.take(ka::IPV6_EXTHDRS) {
            out.try_ext_mut()?.ipv6_exthdrs = u16::from_ne_bytes(bits);
        }
        if let Some(arp) = self.take::<24>(ka::ARP) {
            out.ipv4_src = part::<0, 4, 24>(&arp);
            out.ipv4_dst = part::<4, 4, 24>(&arp);
            let [high, low] = part::<8, 2, 24>(&arp);
            if !is_mask && high != 0 {
                return Err(self.error(c"ARP opcode above 255", ka::ARP));
            }
            out.ip_proto = low;
            let ext = out.try_ext_mut()?;
            ext.clear_shared();
            ext.hw_src = part::<10, 6, 24>(&arp);
            ext.hw_dst = part::<16, 6, 24>(&arp);
        }
        self.nsh(out)?;
        self.mpls(out)
    }
}

/// Everything after the EtherType.
pub(super) fn put(w: &mut Writer<'_>, key: &Core, mask: Option<&Core>, beyond: &Beyond<'_>) -> Put {
    let out = mask.unwrap_or(key);
    match key.eth_type.get() {
        ty::IPV4 => {
            put_ipv4(w, out)?;
            transport::put(w, key, out, beyond)
        }
        ty::IPV6 => {
            put_ipv6(w, out, beyond)?;
            transport::put(w, key, out, beyond)
        }
        ty::NSH => nsh::put(w, out, mask.is_some()),
        ty::MPLS_UC | ty::MPLS_MC => mpls::put(w, out),
        ty::ARP | ty::RARP => {
            let arp = w.reserve(ka::ARP, 24)?;
            let op = Be16::new(out.ip_proto.into()).to_bytes();
            fill(
                arp,
                &[
                    &out.ipv4_src,
                    &out.ipv4_dst,
                    &op,
                    &beyond.ext.hw_src,
                    &beyond.ext.hw_dst,
                    &[0; 2],
                ],
                0,
            );
            Ok(())
        }
        _ => Ok(()),
    }
}

#[inline(always)]
pub(super) fn put_ipv4(w: &mut Writer<'_>, out: &Core) -> Put {
    w.put_raw_words(&[
        head(ka::IPV4, 12),
        u32::from_ne_bytes(out.ipv4_src),
        u32::from_ne_bytes(out.ipv4_dst),
        u32::from_ne_bytes([out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag]),
    ])
}

#[inline(never)]
pub(super) fn put_ipv6(w: &mut Writer<'_>, out: &Core, beyond: &Beyond<'_>) -> Put {
    let ip = w.reserve(ka::IPV6, 40)?;
    let rest = [out.ip_proto, out.ip_tos, out.ip_ttl, out.ip_frag];
    let parts: [&[u8]; 4] = [
        &out.ipv6_src,
        &out.ipv6_dst,
        &out.ipv6_label.to_bytes(),
        &rest,
    ];
    fill(ip, &parts, 0);
    w.put_u16(ka::IPV6_EXTHDRS, beyond.ext.ipv6_exthdrs)
}
