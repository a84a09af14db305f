// SPDX-License-Identifier: GPL-2.0
//! Connection tracking (spec 2.1, K19). Which fields there are is the world's to say.
//!
//! C counterpart: the CT_* parts of `metadata_from_nlattrs()`, and `ovs_ct_put_key()` in `net/openvswitch/conntrack.c`.

use super::{total, Beyond, Parser};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::env::{CtFields, Env, Net, NetOps};
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::Core;
use crate::datapath::flow::parts::{Key, Parts};
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::{be16, part};

/// `OVS_CS_F_*` bits that there are.
const STATE_BITS: u32 = 0xff;

/// Fields that keys of requests in `net` may have: labels only if it has the right to them (spec C16). All that the kernel
/// has are told, whatever the namespace.
pub(super) fn fields(net: &Net) -> CtFields {
    let there = crate::World::ct_fields();
    CtFields {
        labels: there.labels && net.state().ct_labels.is_some(),
        ..there
    }
}

impl Parser<'_> {
    /// Takes the fields that there are; others stay unread, which refuses a flow's key, but not that of EXECUTE.
    pub(super) fn conntrack<X: Parts>(&mut self, out: &mut Key<X>) -> NlResult {
        let fields = self.ct;
        if !fields.state {
            return Ok(());
        }
        if let Some(state) = self.take(ka::CT_STATE) {
            let state = u32::from_ne_bytes(state);
            // Without a mask, the bits that there are.
            let known = if self.is_exact() { STATE_BITS } else { state };
            match u8::try_from(known) {
                Ok(state) => out.ct_state = state,
                Err(_) => return Err(self.error(c"unknown connection state", ka::CT_STATE)),
            }
        }
        if fields.zone {
            if let Some(zone) = self.take(ka::CT_ZONE) {
                out.ct_zone = u16::from_ne_bytes(zone);
            }
        }
        if fields.mark {
            if let Some(mark) = self.take(ka::CT_MARK) {
                out.ct_mark = u32::from_ne_bytes(mark);
            }
        }
        if fields.labels {
            if let Some(labels) = self.take(ka::CT_LABELS) {
                out.try_ext_mut()?.ct_labels = labels;
            }
        }
        self.orig_tuple(out)
    }

    fn orig_tuple<X: Parts>(&mut self, out: &mut Key<X>) -> NlResult {
        if let Some(t) = self.take::<16>(ka::CT_ORIG_TUPLE_IPV4) {
            let wide = |[a, b, c, d]: [u8; 4]| [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let ext = out.try_ext_mut()?;
            ext.set_ct_orig_addrs(wide(part::<0, 4, 16>(&t)), wide(part::<4, 4, 16>(&t)));
            (ext.ct_orig_tp_src, ext.ct_orig_tp_dst) = (be16::<8, 16>(&t), be16::<10, 16>(&t));
            [out.ct_orig_proto] = part::<12, 1, 16>(&t);
        }
        if let Some(t) = self.take::<40>(ka::CT_ORIG_TUPLE_IPV6) {
            let ext = out.try_ext_mut()?;
            ext.set_ct_orig_addrs(part::<0, 16, 40>(&t), part::<16, 16, 40>(&t));
            (ext.ct_orig_tp_src, ext.ct_orig_tp_dst) = (be16::<32, 40>(&t), be16::<34, 40>(&t));
            [out.ct_orig_proto] = part::<36, 1, 40>(&t);
        }
        Ok(())
    }
}

/// Most bytes that [`put`] writes.
pub(super) const ATTRS_MAX: usize = 2 * total(4) + total(2) + total(16) + total(40);

/// What nearly all kernels have, at once: it is in every key that is told.
#[inline(always)]
fn put_all(w: &mut Writer<'_>, out: &Core, labels: &[u8; 16]) -> Put {
    let [a0, a1, a2, a3] = const { header(ka::CT_STATE, 8) };
    let [s0, s1, s2, s3] = u32::from(out.ct_state).to_ne_bytes();
    let [b0, b1, b2, b3] = const { header(ka::CT_ZONE, 6) };
    let [z0, z1] = out.ct_zone.to_ne_bytes();
    let [c0, c1, c2, c3] = const { header(ka::CT_MARK, 8) };
    let [m0, m1, m2, m3] = out.ct_mark.to_ne_bytes();
    let [d0, d1, d2, d3] = const { header(ka::CT_LABELS, 20) };
    w.put_raw(&[
        a0, a1, a2, a3, s0, s1, s2, s3, b0, b1, b2, b3, z0, z1, 0, 0, c0, c1, c2, c3, m0, m1, m2,
        m3, d0, d1, d2, d3,
    ])?;
    w.put_raw(labels)
}

/// The header of an attribute.
const fn header(ty: u16, len: u16) -> [u8; 4] {
    let ([l0, l1], [t0, t1]) = (len.to_ne_bytes(), ty.to_ne_bytes());
    [l0, l1, t0, t1]
}

fn put_some(w: &mut Writer<'_>, out: &Core, labels: &[u8; 16], fields: CtFields) -> Put {
    w.put_u32(ka::CT_STATE, out.ct_state.into())?;
    if fields.zone {
        w.put_u16(ka::CT_ZONE, out.ct_zone)?;
    }
    if fields.mark {
        w.put_u32(ka::CT_MARK, out.ct_mark)?;
    }
    if fields.labels {
        w.put(ka::CT_LABELS, labels)?;
    }
    Ok(())
}

/// Appends the fields that there are, and the tuple if the key has one.
#[inline]
pub(super) fn put(w: &mut Writer<'_>, key: &Core, out: &Core, beyond: &Beyond<'_>) -> Put {
    let fields = crate::World::ct_fields();
    let ext = beyond.ext;
    if !fields.state {
        return Ok(());
    }
    if fields == CtFields::ALL {
        put_all(w, out, &ext.ct_labels)?;
    } else {
        put_some(w, out, &ext.ct_labels, fields)?;
    }
    if key.ct_orig_proto == 0 {
        return Ok(());
    }
    let (src, dst) = ext.ct_orig_addrs();
    let ([s0, s1], [d0, d1]) = (ext.ct_orig_tp_src.to_bytes(), ext.ct_orig_tp_dst.to_bytes());
    let ports = [s0, s1, d0, d1, out.ct_orig_proto, 0, 0, 0];
    let short = |a: [u8; 16]| part::<0, 4, 16>(&a);
    match key.eth_type.get() {
        ty::IPV4 => {
            let tuple = w.reserve(ka::CT_ORIG_TUPLE_IPV4, 16)?;
            super::fill(tuple, &[&short(src), &short(dst), &ports], 0);
        }
        ty::IPV6 => {
            let tuple = w.reserve(ka::CT_ORIG_TUPLE_IPV6, 40)?;
            super::fill(tuple, &[&src, &dst, &ports], 0);
        }
        _ => {}
    }
    Ok(())
}
