// SPDX-License-Identifier: GPL-2.0
//! Network service header (RFC 8300; spec 2.1). Keys have the context of MD type 1 only.
//!
//! C counterpart: `nsh_key_put_from_nlattr()` and `nsh_key_to_nlattr()` in `net/openvswitch/flow_netlink.c`.

use super::{at, bit, Image, Parser};
use crate::datapath::abi::{key_attr as ka, nsh_attr};
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{Core, Nsh};
use crate::datapath::netlink::attr::Attr;
use crate::datapath::netlink::writer::{Put, Writer};
use crate::datapath::wire::nsh::{self, BASE_HLEN, HLEN_MAX, MD_TYPE1, MD_TYPE2};

impl Parser<'_> {
    pub(super) fn nsh(&mut self, out: &mut Core) -> NlResult {
        if let (true, Some(nest)) = (self.has(ka::NSH), self.attr(ka::NSH)) {
            out.set_nsh(&parse(nest, self.image)?);
        }
        self.set &= !bit(ka::NSH);
        Ok(())
    }
}

/// Of duplicates the last counts.
fn parse(nest: Attr<'_>, image: Image) -> NlResult<Nsh> {
    let mut nsh = Nsh::default();
    let mut has_md1 = false;
    let mut attrs = nest.nested();
    for attr in attrs.by_ref() {
        let (base, md1) = (image.value::<8>(&attr), image.value::<16>(&attr));
        match (attr.ty(), attr.len(), base, md1) {
            (nsh_attr::BASE, 8, Some(base), _) => nsh.base = base,
            (nsh_attr::MD1, 16, _, Some(md1)) => {
                nsh.context = md1;
                has_md1 = true;
            }
            (nsh_attr::MD2, ..) => return Err(at(c"MD type 2 cannot be matched", attr)),
            _ => return Err(at(c"NSH attribute of wrong length or type", attr)),
        }
    }
    if !attrs.is_exhausted() {
        return Err(at(c"trailing bytes in NSH", nest));
    }
    if !image.is_mask() && has_md1 && nsh.mdtype() != MD_TYPE1 {
        return Err(at(c"NSH context of another MD type", nest));
    }
    Ok(nsh)
}

/// The header that PUSH_NSH is to push, written into `room`; its next protocol will be what the packet then is. Of
/// duplicates the last counts. EINVAL.
pub fn header<'r>(nest: Attr<'_>, room: &'r mut [u8; HLEN_MAX]) -> NlResult<&'r [u8]> {
    let (mut base, mut context) = (None, None);
    let mut attrs = nest.nested();
    for attr in attrs.by_ref() {
        let md_type = match (attr.ty(), attr.len(), attr.bytes::<8>()) {
            (nsh_attr::BASE, 8, Some(b)) => {
                base = Some(b);
                continue;
            }
            (nsh_attr::MD1, 16, _) => MD_TYPE1,
            (nsh_attr::MD2, 1.., _) if attr.len() <= HLEN_MAX.wrapping_sub(BASE_HLEN) => MD_TYPE2,
            _ => return Err(at(c"NSH attribute of wrong length or type", attr)),
        };
        if context.is_some_and(|(other, _)| other != md_type) {
            return Err(at(c"NSH contexts of both MD types", attr));
        }
        context = Some((md_type, attr.payload()));
    }
    // A context at the end need not be padded.
    if !attrs.rest().is_empty() {
        return Err(at(c"trailing bytes in NSH", nest));
    }
    let (Some([flags, ttl, mdtype, np, path @ ..]), Some((md_type, context))) = (base, context)
    else {
        return Err(at(c"NSH without a base or a context", nest));
    };
    if mdtype != md_type {
        return Err(at(c"NSH context of another MD type", nest));
    }
    // A context that does not end with a word loses its last bytes, as in C.
    let len = BASE_HLEN.wrapping_add(context.len()) & !3;
    let [b0, b1] = nsh::first_bytes(flags, ttl, len);
    let [p0, p1, p2, p3] = path;
    let base = [b0, b1, mdtype, np, p0, p1, p2, p3];
    for (to, from) in room.iter_mut().zip(base.iter().chain(context)) {
        *to = *from;
    }
    Ok(room.get(..len).unwrap_or(&[]))
}

/// Appends the header of `out`. Masks have a context whatever the type.
pub(super) fn put(w: &mut Writer<'_>, out: &Core, is_mask: bool) -> Put {
    let nsh = out.nsh();
    let nest = w.nest(ka::NSH)?;
    w.put(nsh_attr::BASE, &nsh.base)?;
    if is_mask || nsh.mdtype() == MD_TYPE1 {
        w.put(nsh_attr::MD1, &nsh.context)?;
    }
    w.end_nest(nest)
}
