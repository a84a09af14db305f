// SPDX-License-Identifier: GPL-2.0
//! MPLS label stack (RFC 3032; spec 2.1): one to three entries.

use super::{bit, Image, Parser};
use crate::datapath::abi::key_attr as ka;
use crate::datapath::error::NlResult;
use crate::datapath::flow::key::{Core, Mpls, MPLS_LABELS};
use crate::datapath::netlink::writer::{Put, Writer};

impl Parser<'_> {
    pub(super) fn mpls(&mut self, out: &mut Core) -> NlResult {
        let attr = if self.has(ka::MPLS) {
            self.attr(ka::MPLS)
        } else {
            None
        };
        self.set &= !bit(ka::MPLS);
        let Some(attr) = attr else {
            return Ok(());
        };
        let (bytes, n) = (attr.payload(), attr.len() / 4);
        if bytes.len() % 4 != 0 || n == 0 || n > MPLS_LABELS {
            return Err(self.error(c"not one to three labels", ka::MPLS));
        }
        let mut mpls = Mpls {
            present: Mpls::present(n),
            ..Mpls::default()
        };
        for (to, from) in mpls.labels.iter_mut().flatten().zip(bytes) {
            *to = if self.image == Image::Exact {
                0xff
            } else {
                *from
            };
        }
        out.set_mpls(&mpls);
        Ok(())
    }
}

/// Appends as many labels as `out` has, be it a mask.
pub(super) fn put(w: &mut Writer<'_>, out: &Core) -> Put {
    let mpls = out.mpls();
    let room = w.reserve(ka::MPLS, mpls.count().wrapping_mul(4))?;
    for (to, from) in room.iter_mut().zip(mpls.labels.iter().flatten()) {
        *to = *from;
    }
    Ok(())
}
