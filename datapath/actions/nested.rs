// SPDX-License-Identifier: GPL-2.0
//! Which nested list runs: SAMPLE, CLONE, CHECK_PKT_LEN and DEC_TTL. How it runs is [`execute`](super::execute)'s business.
//!
//! C counterpart: `sample()`, `clone()`, `execute_check_pkt_len()` and `execute_dec_ttl()` in `net/openvswitch/actions.c`.

use super::list::{Action, Body, CheckPktLen};
use super::set_field::fix_complete;
use crate::datapath::env::{Env, Packet, PacketOps};
use crate::datapath::flow::key::Core;
use crate::datapath::wire::csum;
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::{ipv4, ipv6};
use kernel::error::Result;

/// A nested list to run.
pub struct Branch {
    /// How many actions it has.
    pub len: usize,
    /// How many of the same action's lists come after it.
    pub behind: usize,
    /// As [`Body::in_place`].
    pub in_place: bool,
    /// What the packet is to know of a SAMPLE.
    probability: Option<u32>,
}

impl Branch {
    #[inline(always)]
    fn whole(body: Body, probability: Option<u32>) -> Self {
        Self {
            len: body.len as usize,
            behind: 0,
            in_place: body.in_place,
            probability,
        }
    }

    /// Tells the packet, which is to go this way, with which probability it was chosen.
    #[inline(always)]
    pub fn mark(&self, pkt: &mut Packet) {
        if let Some(p) = self.probability {
            pkt.meta_mut().probability = p;
        }
    }
}

/// The list of `action` that is for this packet, if one is.
#[inline]
pub fn choose(pkt: &Packet, action: &Action) -> Option<Branch> {
    match *action {
        Action::Sample { probability, body } if chosen(probability) => {
            Some(Branch::whole(body, Some(probability)))
        }
        Action::Clone(body) => Some(Branch::whole(body, None)),
        Action::CheckPktLen(ref check) => Some(by_length(pkt, check)),
        _ => None,
    }
}

/// SAMPLE: `probability` of `u32::MAX` means always (spec 4.1).
#[inline(never)]
fn chosen(probability: u32) -> bool {
    match probability {
        u32::MAX => true,
        0 => false,
        p => crate::World::random_u32() <= p,
    }
}

/// CHECK_PKT_LEN: a packet put together from fragments is as long as the longest of them was, an aggregate as long as
/// its segments will be (spec 4.1, B57).
#[inline(never)]
fn by_length(pkt: &Packet, check: &CheckPktLen) -> Branch {
    let len = match pkt.meta().mru {
        0 => pkt.len(),
        mru => usize::from(mru).wrapping_add(pkt.mac_len()),
    };
    let most = usize::from(check.pkt_len);
    let (fits, greater) = (check.fits as usize, check.greater as usize);
    if len <= most || pkt.segments_fit(most) {
        Branch {
            len: fits,
            behind: greater,
            in_place: check.fits_in_place,
            probability: None,
        }
    } else {
        Branch {
            len: greater,
            behind: 0,
            in_place: check.greater_in_place,
            probability: None,
        }
    }
}

/// DEC_TTL: false, and nothing done, if the packet's life has come to its end. Packets that are not IP have none (spec 4.1,
/// B56).
#[inline(never)]
pub fn dec_ttl(pkt: &mut Packet, key: &mut Core) -> Result<bool> {
    let at = pkt.network_offset();
    match pkt.protocol() {
        ty::IPV4 => {
            // ttl 8, check 10
            let header: &mut [u8; ipv4::HLEN] = pkt.writable(at)?;
            let [.., ttl, proto, c0, c1, _, _, _, _, _, _, _, _] = header;
            if *ttl <= 1 {
                return Ok(false);
            }
            let old = [*ttl, *proto];
            *ttl = ttl.wrapping_sub(1);
            let check = csum::replace(
                u16::from_ne_bytes([*c0, *c1]),
                csum::delta(&old, &[*ttl, *proto]),
            );
            [*c0, *c1] = check.to_ne_bytes();
            key.ip_ttl = *ttl;
        }
        ty::IPV6 => {
            // next header 6, hop limit 7; the rest of the header is there, too
            let header: &mut [u8; ipv6::HLEN] = pkt.writable(at)?;
            let [_, _, _, _, _, _, next, hop_limit, ..] = header;
            if *hop_limit <= 1 {
                return Ok(false);
            }
            let old = [*next, *hop_limit];
            *hop_limit = hop_limit.wrapping_sub(1);
            let new = [*next, *hop_limit];
            key.ip_ttl = *hop_limit;
            // No checksum in the packet covers it.
            fix_complete(pkt, || csum::delta(&old, &new));
        }
        _ => {}
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::env::IpSummed;

    #[test]
    fn b56_hop_limit_goes_down_in_complete_sums() {
        for hop_limit in [255, 64, 2, 1, 0] {
            let mut frame = std::vec![0x60, 0, 0, 0, 0, 8, 59, hop_limit];
            frame.extend([7; 40]);
            let mut pkt = Packet::new(&frame)
                .with_protocol(ty::IPV6)
                .with_checksum(IpSummed::Complete);
            let mut key = Core::ZERO;
            let alive = hop_limit > 1;
            assert_eq!(dec_ttl(&mut pkt, &mut key), Ok(alive));
            frame[7] -= u8::from(alive);
            assert_eq!(pkt.bytes(), frame);
            assert!(pkt.csum_is_right());
            assert_eq!(key.ip_ttl, if alive { hop_limit - 1 } else { 0 });
        }
    }
}
