// SPDX-License-Identifier: GPL-2.0
//! What is not in the packet's bytes (spec K6, P3).

use super::{bit, conntrack, tunnel, Beyond, Parser};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{Core, MAC_PROTO_ETHERNET, MAC_PROTO_NONE, PORT_NONE};
use crate::datapath::flow::parts::{Key, KeyRef, Parts};
use crate::datapath::netlink::writer::{Put, Writer};

impl Parser<'_> {
    /// What is not in the packet's bytes (spec K6), and the type of L3 packets.
    pub(super) fn metadata<X: Parts>(&mut self, key: KeyRef<'_>, out: &mut Key<X>) -> NlResult {
        let word = |p: &mut Self, ty| p.take(ty).map_or(0, u32::from_ne_bytes);
        out.dp_hash = word(self, ka::DP_HASH);
        out.recirc_id = word(self, ka::RECIRC_ID);
        out.priority = word(self, ka::PRIORITY);
        out.mark = word(self, ka::SKB_MARK);
        if let Some(port) = self.take(ka::IN_PORT) {
            out.in_port = match u16::try_from(u32::from_ne_bytes(port)) {
                _ if self.is_mask() => 0xffff,
                Ok(port) if port != PORT_NONE => port,
                _ => return Err(self.error(c"port number out of range", ka::IN_PORT)),
            };
        } else if !self.is_mask() {
            out.in_port = PORT_NONE;
        }
        if self.has(ka::TUNNEL) {
            if let Some(attr) = self.attr(ka::TUNNEL) {
                tunnel::parse(attr, self.image, key, out)?;
            }
            self.set &= !bit(ka::TUNNEL);
        }
        self.conntrack(out)?;
        let is_l3 = !self.has(ka::ETHERNET) && self.has(ka::ETHERTYPE);
        out.mac_proto = match (self.is_mask(), is_l3) {
            (true, _) => 0xff,
            (false, true) => MAC_PROTO_NONE,
            (false, false) => MAC_PROTO_ETHERNET,
        };
        if is_l3 {
            self.ether_type(out)?;
        }
        Ok(())
    }
}

pub(super) fn put(w: &mut Writer<'_>, key: &Core, mask: Option<&Core>, beyond: &Beyond<'_>) -> Put {
    let out = mask.unwrap_or(key);
    w.put_words([
        (ka::RECIRC_ID, out.recirc_id),
        (ka::DP_HASH, out.dp_hash),
        (ka::PRIORITY, out.priority),
    ])?;
    // Every mask says what it matches of a tunnel (K16).
    if key.tun_proto != 0 || mask.is_some() {
        if key.tun_proto == 0 && tunnel::is_empty(out) {
            w.put(ka::TUNNEL, &tunnel::EMPTY)?;
        } else {
            put_tunnel(w, key, out, beyond)?;
        }
    }
    let port = match mask {
        None if key.in_port == PORT_NONE => None,
        None => Some(key.in_port.into()),
        Some(m) if key.in_port == PORT_NONE && m.in_port != 0xffff => None,
        Some(m) => Some(0xffff_0000 | u32::from(m.in_port)),
    };
    match port {
        Some(port) => w.put_words([(ka::IN_PORT, port), (ka::SKB_MARK, out.mark)])?,
        None => w.put_u32(ka::SKB_MARK, out.mark)?,
    }
    conntrack::put(w, key, out, beyond)
}

#[cold]
fn put_tunnel(w: &mut Writer<'_>, key: &Core, out: &Core, beyond: &Beyond<'_>) -> Put {
    let whole = |core, ext| KeyRef {
        core,
        ext,
        long: beyond.long,
    };
    let nest = w.nest(ka::TUNNEL)?;
    tunnel::put_attrs(w, &whole(key, beyond.key), &whole(out, beyond.ext))?;
    w.end_nest(nest)
}
