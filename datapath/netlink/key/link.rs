// SPDX-License-Identifier: GPL-2.0
//! Ethernet, tags and the EtherType (spec K4, K5).

use super::{at, bit, network, Beyond, Parser};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{Core, MAC_PROTO_ETHERNET, VLAN_CFI};
use crate::datapath::netlink::attr::Attr;
use crate::datapath::netlink::writer::{Mark, Put, Writer};
use crate::datapath::wire::be::Be16;
use crate::datapath::wire::ether::{self, ty};
use crate::datapath::wire::part;

impl<'a> Parser<'a> {
    /// Up to two levels of tags, each replaced by what it encapsulates (spec K4, K5).
    pub(super) fn tags(&mut self, key: &Core, out: &mut Core) -> NlResult {
        if let Some((tpid, tci)) = self.tag(key.vlan_tci)? {
            (out.vlan_tpid, out.vlan_tci) = (tpid, tci);
        }
        let outer = if self.is_mask() {
            key.vlan_tci
        } else {
            out.vlan_tci
        };
        if outer.get() & VLAN_CFI != 0 {
            if let Some((tpid, tci)) = self.tag(key.cvlan_tci)? {
                (out.cvlan_tpid, out.cvlan_tci) = (tpid, tci);
            }
        }
        Ok(())
    }

    /// One level of tags, if there is one: its TPID and TCI. `key_tci` is the key's if a mask is read.
    fn tag(&mut self, key_tci: Be16) -> NlResult<Option<(Be16, Be16)>> {
        // Present or not: as in C, a level without a mask of its own takes the outer level's, and that one the key's.
        let ty = self
            .value(ka::ETHERTYPE)
            .map_or(Be16::new(0), Be16::from_bytes);
        let tci = self.value(ka::VLAN).map_or(Be16::new(0), Be16::from_bytes);
        let has_cfi = tci.get() & VLAN_CFI != 0;
        if self.is_mask() {
            if !self.has(ka::ENCAP) {
                return Ok(None);
            }
            if key_tci.get() & VLAN_CFI == 0 {
                return Err(self.error(c"mask of an encapsulation that the key lacks", ka::ENCAP));
            }
            if ty.get() != 0xffff {
                return Err(self.error(c"TPID must be matched exactly", ka::ETHERTYPE));
            }
            if !has_cfi {
                return Err(self.error(c"TCI mask must include the CFI bit", ka::VLAN));
            }
        } else {
            if !self.has(ka::ETHERNET) || !self.has(ka::ETHERTYPE) || !ether::is_vlan(ty) {
                return Ok(None);
            }
            if !self.has(ka::VLAN) || !self.has(ka::ENCAP) {
                return Err(self.error(c"TPID without VLAN and ENCAP", ka::ETHERTYPE));
            }
            if !has_cfi && tci.get() != 0 {
                return Err(self.error(c"TCI without the CFI bit", ka::VLAN));
            }
            if !has_cfi && self.attr(ka::ENCAP).is_some_and(|encap| !encap.is_empty()) {
                return Err(self.error(c"truncated tag with something inside", ka::ENCAP));
            }
        }
        self.set &= !(bit(ka::ENCAP) | bit(ka::VLAN) | bit(ka::ETHERTYPE));
        if let Some(encap) = self.attr(ka::ENCAP) {
            self.scan(encap)?;
        }
        Ok(Some((ty, tci)))
    }

    pub(super) fn ether_type(&mut self, out: &mut Core) -> NlResult {
        let ty = self
            .take(ka::ETHERTYPE)
            .map_or(Be16::new(0), Be16::from_bytes);
        if self.is_mask() {
            out.eth_type = Be16::new(0xffff);
        } else if ty.get() >= ty::MIN {
            out.eth_type = ty;
        } else {
            return Err(self.error(c"EtherType below 0x600", ka::ETHERTYPE));
        }
        Ok(())
    }

    pub(super) fn link(&mut self, nest: Attr<'a>, out: &mut Core) -> NlResult {
        if let Some(eth) = self.take::<12>(ka::ETHERNET) {
            out.eth_src = part::<0, 6, 12>(&eth);
            out.eth_dst = part::<6, 6, 12>(&eth);
            if self.has(ka::VLAN) {
                return Err(self.error(c"VLAN without its TPID", ka::VLAN));
            }
            if self.has(ka::ETHERTYPE) {
                self.ether_type(out)?;
            } else if !self.is_mask() {
                out.eth_type = Be16::new(ty::IEEE_802_2);
            }
        } else if !self.is_mask() && out.eth_type.get() == 0 {
            return Err(at(c"either ETHERNET or ETHERTYPE is required", nest));
        }
        Ok(())
    }
}

/// Everything after the metadata.
pub(super) fn put(w: &mut Writer<'_>, key: &Core, mask: Option<&Core>, beyond: &Beyond<'_>) -> Put {
    if key.mac_proto == MAC_PROTO_ETHERNET {
        put_ethernet(w, key, mask, beyond)
    } else {
        put_from_ether_type(w, key, mask, beyond)
    }
}

fn put_ethernet(w: &mut Writer<'_>, key: &Core, mask: Option<&Core>, beyond: &Beyond<'_>) -> Put {
    let out = mask.unwrap_or(key);
    let eth = w.reserve_array::<12>(ka::ETHERNET)?;
    let [s0, s1, s2, s3, s4, s5] = out.eth_src;
    let [d0, d1, d2, d3, d4, d5] = out.eth_dst;
    *eth = [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5];

    // A type that is a TPID belongs to a tag that was cut short or is the third.
    let cut_tag = ether::is_vlan(key.eth_type);
    let zero = Be16::new(0);
    if key.vlan_tci == zero && !cut_tag {
        return put_from_ether_type(w, key, mask, beyond);
    }
    let encap = put_tag(w, out.vlan_tpid, out.vlan_tci, mask.is_some())?;
    if key.vlan_tci != zero {
        if key.cvlan_tci == zero && !cut_tag {
            put_from_ether_type(w, key, mask, beyond)?;
        } else {
            let inner = put_tag(w, out.cvlan_tpid, out.cvlan_tci, mask.is_some())?;
            if key.cvlan_tci != zero {
                put_from_ether_type(w, key, mask, beyond)?;
            }
            w.end_nest(inner)?;
        }
    }
    w.end_nest(encap)
}

/// TPID and TCI, and the start of what they encapsulate.
fn put_tag(w: &mut Writer<'_>, tpid: Be16, tci: Be16, is_mask: bool) -> Put<Mark> {
    let tpid = if is_mask { Be16::new(0xffff) } else { tpid };
    w.put(ka::ETHERTYPE, &tpid.to_bytes())?;
    w.put(ka::VLAN, &tci.to_bytes())?;
    w.nest(ka::ENCAP)
}

fn put_from_ether_type(
    w: &mut Writer<'_>,
    key: &Core,
    mask: Option<&Core>,
    beyond: &Beyond<'_>,
) -> Put {
    if key.mac_proto == MAC_PROTO_ETHERNET && key.eth_type.get() == ty::IEEE_802_2 {
        // No type is how a key says 802.2; a mask says whether it is matched.
        return match mask {
            Some(m) if m.eth_type.get() != 0 => w.put(ka::ETHERTYPE, &m.eth_type.to_bytes()),
            _ => Ok(()),
        };
    }
    let out = mask.unwrap_or(key);
    w.put(ka::ETHERTYPE, &out.eth_type.to_bytes())?;
    network::put(w, key, mask, beyond)
}
