// SPDX-License-Identifier: GPL-2.0
//! Headers between the link and the network layer: MPLS label stacks and network service headers.

use super::{need, ExtractError};
use crate::datapath::env::{Packet, PacketOps};
use crate::datapath::flow::key::{self, Mpls, MPLS_LABELS};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::nsh::{self, Nsh};

/// Spec K32. A stack that the packet does not hold to its end has no labels, whatever was seen of them; C counts it
/// so, too.
#[inline(never)]
pub(super) fn mpls(pkt: &mut Packet, key: &mut FlowKey, nh: usize) {
    let mut stack = Mpls::default();
    pkt.set_inner_network_header(nh);
    // Each entry is four bytes further into the packet, which ends the walk (B44, B45).
    for n in 0.. {
        let at = nh.wrapping_add(4usize.wrapping_mul(n));
        let Some(entry) = pkt.header::<4>(at).copied() else {
            break;
        };
        if let Some(label) = stack.labels.get_mut(n) {
            *label = entry;
        }
        pkt.set_inner_network_header(at.wrapping_add(4));
        let [_, _, bottom, _] = entry;
        if bottom & 1 != 0 {
            stack.present = Mpls::present(n.wrapping_add(1).min(MPLS_LABELS));
            break;
        }
    }
    key.set_mpls(&stack);
}

/// Spec K33.
#[inline(never)]
pub(super) fn nsh(pkt: &mut Packet, key: &mut FlowKey, nh: usize) -> Result<(), ExtractError> {
    let Some(header) = need(pkt, nh)?.map(Nsh) else {
        return Err(ExtractError::Invalid);
    };
    let len = header.header_len();
    let base = [
        header.flags(),
        header.ttl(),
        header.md_type(),
        header.next_protocol(),
    ];
    let ([a, b, c, d], [e, f, g, h]) = (base, header.path_header());
    let version = header.version();
    let end = nh.saturating_add(len);
    if version != 0 || pkt.len() < end {
        return Err(ExtractError::Invalid);
    }
    if pkt.linear().len() < end {
        pkt.pull(end)?;
    }
    let mut out = key::Nsh {
        base: [a, b, c, d, e, f, g, h],
        context: [0; 16],
    };
    match out.mdtype() {
        nsh::MD_TYPE1 if len == nsh::MD1_HLEN => {
            let at = nh.saturating_add(nsh::BASE_HLEN);
            out.context = *need(pkt, at)?.ok_or(ExtractError::Invalid)?;
        }
        nsh::MD_TYPE2 => {}
        _ => return Err(ExtractError::Invalid),
    }
    key.set_nsh(&out);
    Ok(())
}
