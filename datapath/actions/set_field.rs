// SPDX-License-Identifier: GPL-2.0
//! SET and SET_MASKED: rewriting header fields, with every checksum that covers them (spec 4.2).
//!
//! A packet carries up to three sums: the header's own field, the transport field (which covers the addresses too), and
//! for `Complete` the device's sum over all bytes. A header is copied out, changed, and written back; each step names
//! what it adds to which sum, as a ones' complement difference.
//!
//! Nothing is believed about the packet but what its own bytes and length say: a flow's actions may meet a packet whose
//! headers an earlier action has changed or that is a fragment (spec A15, B48).
//!
//! C counterpart: the `set_*()` functions of `net/openvswitch/actions.c`.

use super::list::{Action, Actions, Field, TosTtl};
use crate::datapath::env::{IpSummed, Packet, PacketOps};
use crate::datapath::flow::key::FRAG_LATER;
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::be::{Be16, Be32};
use crate::datapath::wire::ether::ty;
use crate::datapath::wire::ipv4::proto;
use crate::datapath::wire::ipv4::HLEN as IPV4_LEN;
use crate::datapath::wire::ipv6::next::{AUTH, DEST, FRAGMENT, HOP, ROUTING};
use crate::datapath::wire::ipv6::HLEN as IPV6_LEN;
use crate::datapath::wire::ports::{SCTP_HLEN, UDP_HLEN};
use crate::datapath::wire::{csum, icmp, ipv6, tcp};
use core::mem;
use kernel::error::code::{EINVAL, ENOMEM};
use kernel::error::Result;

/// SET: writes fields of packet and key; nothing if `action`, one of `acts`, is another. A function for each kind, so that
/// each saves only the registers that it needs.
#[inline(always)]
pub fn set(pkt: &mut Packet, key: &mut FlowKey, acts: &Actions, action: &Action) -> Result {
    match *action {
        Action::SetAddresses { ref addresses, .. } => set_addresses(pkt, key, addresses),
        Action::SetTosTtl(ref set) => set_tos_ttl(pkt, key, set),
        Action::Set { field, at, .. } => set_from_bytes(pkt, key, acts, field, at),
        _ => Ok(()),
    }
}

/// [`Action::Set`], whose value and mask stand at `at` in the list's bytes.
#[inline(never)]
pub fn set_from_bytes(
    pkt: &mut Packet,
    key: &mut FlowKey,
    acts: &Actions,
    field: Field,
    at: u32,
) -> Result {
    match field {
        Field::Ethernet => set_ethernet(pkt, key, acts, at),
        Field::Ipv4 => with(pkt, key, acts, at, ipv4),
        Field::Ipv6 => with(pkt, key, acts, at, ipv6),
        Field::Tcp => with(pkt, key, acts, at, tcp),
        Field::Udp => with(pkt, key, acts, at, udp),
        Field::Sctp => with(pkt, key, acts, at, sctp),
        Field::Mpls => with(pkt, key, acts, at, mpls),
        Field::Priority => with(pkt, key, acts, at, priority),
        Field::Mark => with(pkt, key, acts, at, mark),
    }
}

/// Calls `set` with value and mask.
#[inline(never)]
fn with<const N: usize>(
    pkt: &mut Packet,
    key: &mut FlowKey,
    acts: &Actions,
    at: u32,
    set: impl Fn(&mut Packet, &mut FlowKey, &[u8; N], &[u8; N]) -> Result,
) -> Result {
    let (value, mask) = acts.set_arrays(at).ok_or(EINVAL)?;
    set(pkt, key, value, mask)
}

fn priority(pkt: &mut Packet, key: &mut FlowKey, value: &[u8; 4], mask: &[u8; 4]) -> Result {
    let v = masked_u32(pkt.priority(), value, mask);
    pkt.set_priority(v);
    key.priority = v;
    Ok(())
}

fn mark(pkt: &mut Packet, key: &mut FlowKey, value: &[u8; 4], mask: &[u8; 4]) -> Result {
    let v = masked_u32(pkt.mark(), value, mask);
    pkt.set_mark(v);
    key.mark = v;
    Ok(())
}

/// `N` bytes of a header at a constant offset.
#[inline(always)]
fn part<const N: usize, const M: usize>(h: &[u8; M], at: usize) -> [u8; N] {
    h.get(at..)
        .and_then(|b| b.first_chunk())
        .copied()
        .unwrap_or([0; N])
}

/// The same, for writing.
#[inline(always)]
fn put<const N: usize, const M: usize>(h: &mut [u8; M], at: usize, v: [u8; N]) {
    if let Some(b) = h.get_mut(at..).and_then(|b| b.first_chunk_mut()) {
        *b = v;
    }
}

/// `value` where `mask` has ones, else `old`: as one integer, not byte by byte.
#[inline(always)]
fn masked<const N: usize>(old: [u8; N], value: [u8; N], mask: [u8; N]) -> [u8; N] {
    const { assert!(N <= 16) };
    let (old, value, mask) = (wide(old), wide(value), wide(mask));
    part(&((value & mask) | (old & !mask)).to_ne_bytes(), 0)
}

/// Bytes and then zeros.
#[inline(always)]
fn wide<const N: usize>(bytes: [u8; N]) -> u128 {
    let mut all = [0; 16];
    put(&mut all, 0, bytes);
    u128::from_ne_bytes(all)
}

fn masked_u32(old: u32, value: &[u8; 4], mask: &[u8; 4]) -> u32 {
    u32::from_ne_bytes(masked(old.to_ne_bytes(), *value, *mask))
}

/// Tells a complete sum that bytes changed by `delta`, which is asked for only if there is such a sum.
#[inline(always)]
pub fn fix_complete(pkt: &mut Packet, delta: impl FnOnce() -> u32) {
    if pkt.ip_summed() == IpSummed::Complete {
        let sum = csum::add(pkt.csum(), delta());
        pkt.set_csum(sum);
    }
}

/// Spec A20, both addresses whole.
#[inline(never)]
pub fn set_addresses(pkt: &mut Packet, key: &mut FlowKey, addresses: &[u8; 12]) -> Result {
    let h: &mut [u8; 12] = pkt.writable(0)?;
    let old = mem::replace(h, *addresses);
    set_key_addresses(key, Addresses::of(addresses));
    fix_complete(pkt, || csum::delta(&old, addresses));
    Ok(())
}

/// Spec A20, from what [`addresses_in_place`] made of it, which stands after value and mask. A function of its own, which reads
/// that when it needs it, so that it saves few registers.
#[inline(never)]
fn set_ethernet(pkt: &mut Packet, key: &mut FlowKey, acts: &Actions, at: u32) -> Result {
    let (set, keep) = acts.set_arrays(at.wrapping_add(24)).ok_or(EINVAL)?;
    ethernet(pkt, key, set, keep)
}

/// Keeps the bits `keep` of both addresses and sets `set`, in the order of the header.
#[inline(always)]
fn ethernet(pkt: &mut Packet, key: &mut FlowKey, set: &[u8; 12], keep: &[u8; 12]) -> Result {
    let h: &mut [u8; 12] = pkt.writable(0)?;
    let old = *h;
    let ((s0, s1), (k0, k1)) = (Addresses::of(set), Addresses::of(keep));
    let (o0, o1) = Addresses::of(&old);
    let (n0, n1) = (o0 & k0 | s0, o1 & k1 | s1);
    let new = Addresses::bytes(n0, n1);
    *h = new;
    set_key_addresses(key, (n0, n1));
    fix_complete(pkt, || csum::delta(&old, &new));
    Ok(())
}

/// What stands in the header now.
#[inline(always)]
fn set_key_addresses(key: &mut FlowKey, (first, last): (u64, u32)) {
    put(&mut key.eth_dst, 0, part::<6, 8>(&first.to_le_bytes(), 0));
    put(&mut key.eth_src, 0, part::<2, 8>(&first.to_le_bytes(), 6));
    put(&mut key.eth_src, 2, last.to_le_bytes());
}

/// The two addresses of an ETHERNET attribute in the order of the header, or the other way round.
pub fn swapped(addresses: &[u8; 12]) -> [u8; 12] {
    let (first, last) = Addresses::swapped(addresses);
    Addresses::bytes(first, last)
}

/// Value and mask of a SET of both Ethernet addresses as bits to set and bits to keep of the header: there the destination comes
/// first, in the attribute the source.
pub(super) fn addresses_in_place(value: &[u8; 12], mask: &[u8; 12]) -> ([u8; 12], [u8; 12]) {
    let ((v0, v1), (m0, m1)) = (Addresses::swapped(value), Addresses::swapped(mask));
    (
        Addresses::bytes(v0 & m0, v1 & m1),
        Addresses::bytes(!m0, !m1),
    )
}

/// Two Ethernet addresses as integers: the first eight bytes and the last four, as they lie in memory.
struct Addresses;

impl Addresses {
    #[inline(always)]
    fn of(bytes: &[u8; 12]) -> (u64, u32) {
        let (first, last) = (part(bytes, 0), part(bytes, 8));
        (u64::from_le_bytes(first), u32::from_le_bytes(last))
    }

    /// The second address first.
    #[inline(always)]
    fn swapped(bytes: &[u8; 12]) -> (u64, u32) {
        let (first, last) = Self::of(bytes);
        let second = (first >> 48) | u64::from(last) << 16;
        (second | first << 48, (first >> 16) as u32) // CAST: the four bytes that are left
    }

    #[inline(always)]
    fn bytes(first: u64, last: u32) -> [u8; 12] {
        let mut bytes = [0; 12];
        put(&mut bytes, 0, first.to_le_bytes());
        put(&mut bytes, 8, last.to_le_bytes());
        bytes
    }
}

/// Which field of which transport header covers the IP addresses.
struct Cover {
    /// Offset of the checksum field from the data pointer.
    at: usize,
    udp: bool,
}

/// The transport checksum of a packet whose IP header of `ip_len` bytes stands at `ip`, if it has one.
fn cover(pkt: &Packet, ip: usize, ip_len: usize, proto: u8) -> Option<Cover> {
    let (field, header) = match proto {
        proto::TCP => (16usize, tcp::HLEN),
        proto::UDP => (6, UDP_HLEN),
        proto::ICMPV6 if ip_len == IPV6_LEN => (2, icmp::HLEN),
        _ => return None,
    };
    let l4 = pkt.transport_offset();
    // An unparsable IP header leaves the transport mark on itself.
    if l4 < ip.saturating_add(ip_len) || pkt.len() < l4.saturating_add(header) {
        return None;
    }
    Some(Cover {
        at: l4.wrapping_add(field),
        udp: proto == proto::UDP,
    })
}

/// The addresses changed by `delta`: follows in the transport checksum. Returns whether that field, as bytes of the
/// packet, has taken `delta` up (its complement).
fn fix_transport(pkt: &mut Packet, cover: Cover, delta: u32) -> Result<bool> {
    let partial = pkt.ip_summed() == IpSummed::Partial;
    let field: &mut [u8; 2] = pkt.writable(cover.at)?;
    let check = u16::from_ne_bytes(*field);
    if cover.udp && check == 0 && !partial {
        return Ok(false); // the sender computed none
    }
    let mut new = if partial {
        csum::replace_pseudo(check, delta)
    } else {
        csum::replace(check, delta)
    };
    if cover.udp && new == 0 {
        new = 0xffff;
    }
    *field = new.to_ne_bytes();
    Ok(!partial)
}

/// Spec A21.
#[inline(always)]
fn ipv4(pkt: &mut Packet, key: &mut FlowKey, value: &[u8; 12], mask: &[u8; 12]) -> Result {
    ipv4_addresses(pkt, key, value, mask)?;
    let ([tos_mask, ttl_mask], value) = (part(mask, 9), part(value, 9));
    if [tos_mask, ttl_mask] == [0; 2] {
        return Ok(());
    }
    let keep = [!tos_mask, !ttl_mask];
    set_tos_ttl(pkt, key, &TosTtl { value, keep })
}

/// TOS and TTL. The header's own sum takes the changes up, so a complete sum does not see them.
#[inline(never)]
pub fn set_tos_ttl(pkt: &mut Packet, key: &mut FlowKey, set: &TosTtl) -> Result {
    // Header: tos 1, ttl 8, check 10.
    let ip = pkt.network_offset();
    let h: &mut [u8; IPV4_LEN] = pkt.writable(ip)?;
    let mut check = u16::from_ne_bytes(part(h, 10));
    let ([tos, ttl], [keep_tos, keep_ttl]) = (set.value, set.keep);
    if keep_tos != 0xff {
        key.ip_tos = ipv4_byte(h, 1, tos, keep_tos, &mut check);
    }
    if keep_ttl != 0xff {
        key.ip_ttl = ipv4_byte(h, 8, ttl, keep_ttl, &mut check);
    }
    put(h, 10, check.to_ne_bytes());
    Ok(())
}

/// Sets a byte of the header but for the bits `keep`, and has the header's sum follow. Returns the byte.
#[inline(always)]
fn ipv4_byte(h: &mut [u8; IPV4_LEN], at: usize, value: u8, keep: u8, check: &mut u16) -> u8 {
    let [old] = part(h, at);
    let new = value | old & keep;
    put(h, at, [new]);
    *check = csum::replace_byte(*check, at & 1 != 0, old, new);
    new
}

/// The addresses, the header's sum, and then what else covers them.
#[inline(always)]
fn ipv4_addresses(
    pkt: &mut Packet,
    key: &mut FlowKey,
    value: &[u8; 12],
    mask: &[u8; 12],
) -> Result {
    // Attribute: src 0, dst 4. Header: frag_off 6, proto 9, check 10, src 12, dst 16.
    let ip = pkt.network_offset();
    let h: &mut [u8; IPV4_LEN] = pkt.writable(ip)?;
    let old: [u8; 8] = part(h, 12);
    let new = masked(old, part(value, 0), part(mask, 0));
    if new == old {
        return Ok(());
    }
    let delta = csum::delta(&old, &new);
    let check = u16::from_ne_bytes(part(h, 10));
    put(h, 10, csum::replace(check, delta).to_ne_bytes());
    put(h, 12, new);
    let is_later = Be16::from_bytes(part(h, 6)).get() & 0x1fff != 0;
    let [proto] = part(h, 9);
    // As in C, an address that stays does not enter a key that lacks it.
    if part::<4, 8>(&new, 0) != part(&old, 0) {
        key.ipv4_src = part(&new, 0);
    }
    if part::<4, 8>(&new, 4) != part(&old, 4) {
        key.ipv4_dst = part(&new, 4);
    }
    forget_flow(pkt);
    if is_later {
        return Ok(());
    }
    if let Some(cover) = cover(pkt, ip, IPV4_LEN, proto) {
        if fix_transport(pkt, cover, delta)? {
            fix_complete(pkt, || !delta);
        }
    }
    Ok(())
}

/// The packet no longer belongs to the flow that hash and connection were found for.
fn forget_flow(pkt: &mut Packet) {
    pkt.clear_hash();
    pkt.reset_conntrack();
}

/// Spec A22.
fn ipv6(pkt: &mut Packet, key: &mut FlowKey, value: &[u8; 40], mask: &[u8; 40]) -> Result {
    let ip = pkt.network_offset();
    let mut h: [u8; IPV6_LEN] = *pkt.writable(ip)?;
    // Attribute: src 0, dst 16, label 32, proto 36, tclass 37, hlimit 38. Header: 8 bytes, src 8, dst 24.
    for (attr, at) in [(0usize, 8usize), (16, 24)] {
        let old: [u8; 16] = part(&h, at);
        let new = masked(old, part(value, attr), part(mask, attr));
        if new == old {
            continue;
        }
        let delta = csum::delta(&old, &new);
        // With a routing header still to be used the checksum is over the last address there, not over this one.
        let covered = at == 8 || !is_source_routed(pkt, ip, &h);
        if !(covered && ipv6_transport_follows(pkt, ip, key.ip_proto, delta)?) {
            fix_complete(pkt, || delta);
        }
        forget_flow(pkt);
        put(&mut h, at, new);
        if at == 8 {
            key.ipv6_src = new;
        } else {
            key.ipv6_dst = new;
        }
    }
    let old: [u8; 8] = part(&h, 0);
    ipv6_first_words(&mut h, key, value, mask);
    fix_complete(pkt, || csum::delta(&old, &part::<8, IPV6_LEN>(&h, 0)));
    *pkt.writable(ip)? = h;
    Ok(())
}

/// Traffic class, flow label and hop limit, which no checksum in the packet covers.
fn ipv6_first_words(h: &mut [u8; IPV6_LEN], key: &mut FlowKey, value: &[u8; 40], mask: &[u8; 40]) {
    let word = |b| u32::from_be_bytes(b);
    // version 4 bits, class 8, label 20
    let class = |b: [u8; 1]| u32::from(b[0]) << 20;
    let label = |b: [u8; 4]| word(b) & 0x000f_ffff;
    let m = class(part(mask, 37)) | label(part(mask, 32));
    let v = class(part(value, 37)) | label(part(value, 32));
    let new = (word(part(h, 0)) & !m) | (v & m);
    put(h, 0, new.to_be_bytes());
    let [hlimit] = masked::<1>(part(h, 7), part(value, 38), part(mask, 38));
    put(h, 7, [hlimit]);
    if part::<1, 40>(mask, 37) != [0] {
        key.ip_tos = (new >> 20) as u8; // CAST: the version's bits are cut off
    }
    if part::<4, 40>(mask, 32) != [0; 4] {
        key.ipv6_label = Be32::new(new & 0x000f_ffff);
    }
    if part::<1, 40>(mask, 38) != [0] {
        key.ip_ttl = hlimit;
    }
}

/// As [`fix_transport`], by the protocol in the key, which says 44 for later fragments.
fn ipv6_transport_follows(pkt: &mut Packet, ip: usize, proto: u8, delta: u32) -> Result<bool> {
    match cover(pkt, ip, IPV6_LEN, proto) {
        Some(cover) => fix_transport(pkt, cover, delta),
        None => Ok(false),
    }
}

/// True if there is a routing header with segments left (`ipv6_find_hdr` with IP6_FH_F_SKIP_RH).
#[cold]
#[inline(never)]
fn is_source_routed(pkt: &mut Packet, ip: usize, h: &[u8; IPV6_LEN]) -> bool {
    let [mut next] = part::<1, IPV6_LEN>(h, 6);
    let mut at = ip.saturating_add(IPV6_LEN);
    let mut headers = 0..ipv6::MAX_EXTENSIONS;
    while matches!(next, HOP | ROUTING | FRAGMENT | AUTH | DEST) && headers.next().is_some() {
        // Every round is 8 bytes further into the packet.
        let Some(&[follows, len, b2, b3, ..]) = pkt.header::<8>(at) else {
            return false;
        };
        let len = usize::from(len);
        at = at.saturating_add(match next {
            ROUTING if b3 > 0 => return true, // segments left
            FRAGMENT if Be16::from_bytes([b2, b3]).get() & 0xfff8 != 0 => return false, // offset
            FRAGMENT => 8,
            AUTH => len.wrapping_add(2).wrapping_mul(4),
            _ => len.wrapping_add(1).wrapping_mul(8),
        });
        next = follows;
    }
    false
}

/// Ports of TCP, UDP and SCTP: source, destination.
type Ports = [u8; 4];

fn set_key_ports(key: &mut FlowKey, ports: Ports) {
    let [s0, s1, d0, d1] = ports;
    key.tp_src = Be16::from_bytes([s0, s1]);
    key.tp_dst = Be16::from_bytes([d0, d1]);
}

/// As C does for TCP, whose ports the key may lack: a header that says it is longer than the packet (spec K28).
fn set_changed_key_ports(key: &mut FlowKey, old: Ports, new: Ports) {
    let ([s0, s1, d0, d1], [n0, n1, m0, m1]) = (old, new);
    if [s0, s1] != [n0, n1] {
        key.tp_src = Be16::from_bytes([n0, n1]);
    }
    if [d0, d1] != [m0, m1] {
        key.tp_dst = Be16::from_bytes([m0, m1]);
    }
}

/// Offset of the transport header, or `None` for a fragment that has payload in its place (spec A18, Q8).
fn transport(pkt: &Packet, key: &FlowKey) -> Option<usize> {
    (key.ip_frag != FRAG_LATER).then(|| pkt.transport_offset())
}

/// Spec A23.
fn tcp(pkt: &mut Packet, key: &mut FlowKey, value: &Ports, mask: &Ports) -> Result {
    let Some(at) = transport(pkt, key) else {
        return Ok(());
    };
    let partial = pkt.ip_summed() == IpSummed::Partial;
    let h: &mut [u8; tcp::HLEN] = pkt.writable(at)?;
    let old: Ports = part(h, 0);
    let new = masked(old, *value, *mask);
    if new != old {
        put(h, 0, new);
        if !partial {
            let check = u16::from_ne_bytes(part(h, 16));
            put(
                h,
                16,
                csum::replace(check, csum::delta(&old, &new)).to_ne_bytes(),
            );
        }
        pkt.reset_conntrack();
        set_changed_key_ports(key, old, new);
    }
    pkt.clear_hash();
    Ok(())
}

/// Spec A23.
fn udp(pkt: &mut Packet, key: &mut FlowKey, value: &Ports, mask: &Ports) -> Result {
    let Some(at) = transport(pkt, key) else {
        return Ok(());
    };
    let partial = pkt.ip_summed() == IpSummed::Partial;
    let h: &mut [u8; UDP_HLEN] = pkt.writable(at)?;
    let old: Ports = part(h, 0);
    let new = masked(old, *value, *mask);
    let delta = csum::delta(&old, &new);
    let check = u16::from_ne_bytes(part(h, 6));
    let has_check = check != 0 && !partial;
    if new != old {
        put(h, 0, new);
        if has_check {
            let check = match csum::replace(check, delta) {
                0 => 0xffff,
                c => c,
            };
            put(h, 6, check.to_ne_bytes());
        } else {
            fix_complete(pkt, || delta);
        }
    }
    if new != old || !has_check {
        pkt.reset_conntrack();
        set_key_ports(key, new);
    }
    pkt.clear_hash();
    Ok(())
}

/// Spec A23. A wrong checksum stays as wrong as it was.
fn sctp(pkt: &mut Packet, key: &mut FlowKey, value: &Ports, mask: &Ports) -> Result {
    let Some(at) = transport(pkt, key) else {
        return Ok(());
    };
    let old: [u8; SCTP_HLEN] = *pkt.writable(at)?;
    let correct_before = pkt.sctp_checksum(at);
    let mut h = old;
    let ports = masked(part(&old, 0), *value, *mask);
    put(&mut h, 0, ports);
    *pkt.writable(at)? = h;
    let correct_after = pkt.sctp_checksum(at);
    let check = u32::from_ne_bytes(part(&old, 8)) ^ correct_before ^ correct_after;
    put(&mut h, 8, check.to_ne_bytes());
    *pkt.writable(at)? = h;
    fix_complete(pkt, || csum::delta(&old, &h));
    forget_flow(pkt);
    set_key_ports(key, ports);
    Ok(())
}

/// Spec A24: the outermost label stack entry.
fn mpls(pkt: &mut Packet, key: &mut FlowKey, value: &[u8; 4], mask: &[u8; 4]) -> Result {
    let at = pkt.network_offset();
    if pkt.header::<4>(at).is_none() {
        return Err(ENOMEM);
    }
    if !matches!(pkt.protocol(), ty::MPLS_UC | ty::MPLS_MC) {
        return Err(EINVAL);
    }
    let entry: &mut [u8; 4] = pkt.writable(at)?;
    let old = *entry;
    let new = masked(old, *value, *mask);
    *entry = new;
    fix_complete(pkt, || csum::delta(&old, &new));
    // A label just pushed is not in the key, which is stale until it is made anew: its words are other fields'.
    if matches!(key.eth_type.get(), ty::MPLS_UC | ty::MPLS_MC) {
        let mut labels = key.mpls();
        let [first, ..] = &mut labels.labels;
        *first = new;
        key.set_mpls(&labels);
    }
    Ok(())
}

#[cfg(test)]
#[path = "set_field_tests.rs"]
mod tests;
