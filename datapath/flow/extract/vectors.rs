// SPDX-License-Identifier: GPL-2.0
//! The vectors of `tests/vectors/keys.txt`, for the tests in userspace and for the KUnit suite `ovs_extract`.
//!
//! C counterpart: none.

use crate::datapath::env::VlanTag;
use crate::datapath::flow::key::{Core, Mpls, Nsh};
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::wire::be::{Be16, Be32};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::KVec;

/// The port that frames come in through.
pub const IN_PORT: u16 = 7;

/// A frame, how it arrives, and the key it must give.
pub struct Vector {
    pub name: &'static str,
    pub frame: KVec<u8>,
    /// The type of a packet that has no Ethernet header.
    pub l3: Option<u16>,
    /// The tag beside the data.
    pub tag: Option<VlanTag>,
    pub key: FlowKey,
}

/// All of them; `None` is one that cannot be read, or has found no memory.
pub fn vectors() -> impl Iterator<Item = Option<Vector>> {
    include_str!("../../../tests/vectors/keys.txt")
        .split("\n\n")
        .filter(|p| p.contains("name "))
        .map(parse)
}

fn parse(paragraph: &'static str) -> Option<Vector> {
    let mut v = Vector {
        name: "",
        frame: KVec::new(),
        l3: None,
        tag: None,
        key: FlowKey::from_core(Core {
            in_port: IN_PORT,
            ..Core::ZERO
        }),
    };
    for line in paragraph.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        match what {
            "name" => v.name = rest,
            "frame" => v.frame = bytes(rest)?,
            "l3" => v.l3 = Some(number(rest)?),
            "tag" => {
                let (tpid, tci) = rest.split_once(' ')?;
                v.tag = Some(VlanTag {
                    tpid: number(tpid)?,
                    tci: number(tci)?,
                });
            }
            "key" => {
                for (field, value) in rest.split(' ').filter_map(|f| f.split_once('=')) {
                    set(&mut v.key, field, value)?;
                }
            }
            _ => return None,
        }
    }
    Some(v)
}

fn number(hex: &str) -> Option<u16> {
    u16::from_str_radix(hex, 16).ok()
}

fn be(hex: &str) -> Option<Be16> {
    number(hex).map(Be16::new)
}

fn byte(hex: &str) -> Option<u8> {
    u8::from_str_radix(hex, 16).ok()
}

fn bytes(hex: &str) -> Option<KVec<u8>> {
    let mut out = KVec::with_capacity(hex.len() / 2, GFP_KERNEL).ok()?;
    let mut rest = hex;
    while let Some((two, more)) = rest.split_at_checked(2) {
        out.push(byte(two)?, GFP_KERNEL).ok()?;
        rest = more;
    }
    rest.is_empty().then_some(out)
}

fn array<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let bytes = bytes(hex)?;
    let array = bytes.first_chunk()?;
    (bytes.len() == N).then_some(*array)
}

fn set(key: &mut FlowKey, field: &str, v: &str) -> Option<()> {
    match field {
        "mac_proto" => key.mac_proto = byte(v)?,
        "eth_src" => key.eth_src = array(v)?,
        "eth_dst" => key.eth_dst = array(v)?,
        "eth_type" => key.eth_type = be(v)?,
        "vlan_tpid" => key.vlan_tpid = be(v)?,
        "vlan_tci" => key.vlan_tci = be(v)?,
        "cvlan_tpid" => key.cvlan_tpid = be(v)?,
        "cvlan_tci" => key.cvlan_tci = be(v)?,
        "ip_proto" => key.ip_proto = byte(v)?,
        "ip_tos" => key.ip_tos = byte(v)?,
        "ip_ttl" => key.ip_ttl = byte(v)?,
        "ip_frag" => key.ip_frag = byte(v)?,
        "tp_src" => key.tp_src = be(v)?,
        "tp_dst" => key.tp_dst = be(v)?,
        "tcp_flags" => key.tcp_flags = be(v)?,
        "ipv4_src" => key.ipv4_src = array(v)?,
        "ipv4_dst" => key.ipv4_dst = array(v)?,
        "ipv6_src" => key.ipv6_src = array(v)?,
        "ipv6_dst" => key.ipv6_dst = array(v)?,
        "ipv6_label" => key.ipv6_label = Be32::new(u32::from_str_radix(v, 16).ok()?),
        "ipv6_exthdrs" => key.ext_mut().ipv6_exthdrs = number(v)?,
        "hw_src" => key.ext_mut().hw_src = array(v)?,
        "hw_dst" => key.ext_mut().hw_dst = array(v)?,
        "nd_target" => key.ext_mut().nd_target = array(v)?,
        // Entries whose stack has an end, and has none.
        "mpls" | "mpls_cut" => {
            let mut mpls = Mpls::default();
            let labels = bytes(v)?;
            for (to, from) in mpls.labels.iter_mut().flatten().zip(labels.iter()) {
                *to = *from;
            }
            if field == "mpls" {
                mpls.present = Mpls::present(labels.len() / 4);
            }
            key.set_mpls(&mpls);
        }
        "nsh" => {
            let (base, context) = v.split_at_checked(16)?;
            key.set_nsh(&Nsh {
                base: array(base)?,
                context: array(context)?,
            });
        }
        _ => return None,
    }
    Some(())
}
