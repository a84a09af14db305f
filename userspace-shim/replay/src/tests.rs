// SPDX-License-Identifier: GPL-2.0
//! Dumps of our own making, good and bad, and a recorded one.

use crate::fields::Ports;
use crate::line::parse;
use crate::replay::{read, replay, Left, Options, Report};
use crate::told;
use openvswitch::datapath::flow::key::{tun_flag, MAC_PROTO_NONE, TUN_IPV6};
use openvswitch::datapath::flow::mask::Mask;
use openvswitch::datapath::netlink::key::FlowMatch;

const CORPUS: &str = include_str!("flows.txt");
/// What a daemon printed that has no name for attribute 32 of the key.
const RECORDED: &str = include_str!("recorded.txt");
const HINT: &str = "; --skip (make: ARGS=--skip) leaves such lines out";
const KERNELS: Options = Options {
    skip: false,
    all: false,
    packets: 4,
};

/// Key and mask of a line.
fn flow(line: &str) -> FlowMatch {
    let mut out = FlowMatch::empty();
    let line = parse(line).expect("a line").expect("a flow");
    read(&line, &mut Ports::default(), &mut out).expect("a key");
    out
}

/// The line of the corpus whose UFID ends so.
fn of_corpus(end: &str) -> FlowMatch {
    let has = |l: &&str| l.starts_with("ufid:") && l[..41].ends_with(end);
    flow(CORPUS.lines().find(has).expect("a line"))
}

fn mask(m: &FlowMatch) -> &Mask {
    &m.mask
}

/// Why a line is refused; the message says once how to go on without it.
fn refusal(line: &str) -> String {
    let with = replay(line, KERNELS);
    let why = with.map(|r| r.to_string()).expect_err("a refusal");
    let short = why.strip_suffix(HINT).expect("a hint");
    assert!(!short.contains("--skip"), "{why}");
    short.to_owned()
}

fn shown(text: &str, options: Options) -> Report {
    replay(text, options).expect("a report")
}

#[test]
fn fields_and_their_masks() {
    let m = of_corpus("a1");
    assert_eq!((m.key.recirc_id, mask(&m).key.recirc_id), (0, !0));
    assert_eq!(mask(&m).key.in_port, !0);
    assert_eq!(m.key.ipv4_src, [10, 0, 0, 0]);
    assert_eq!(mask(&m).key.ipv4_src, [255, 255, 255, 0]);
    assert_eq!(mask(&m).key.ipv4_dst, [0; 4]);
    assert_eq!((mask(&m).key.ip_proto, mask(&m).key.ip_frag), (0, 0xff));
    assert_eq!(mask(&m).key.eth_src, [0xff; 6]);
    assert_eq!((mask(&m).key.priority, mask(&m).key.ct_state), (0, 0));

    let m = of_corpus("a2");
    assert_eq!((m.key.recirc_id, m.key.ct_state), (0x11, 0x22));
    assert_eq!((mask(&m).key.ct_state, mask(&m).key.ct_zone), (0x37, !0));
    assert_eq!(mask(&m).key.ct_mark, 1);
    let (key, bits) = (m.key.ext().ct_labels, mask(&m).key.ext().ct_labels);
    assert_eq!((key[0], bits[0], bits[15]), (5, 0xff, 0));
    assert_eq!(mask(&m).key.eth_src, [1, 0, 0, 0, 0, 0]);
    assert_eq!((m.key.ip_ttl, mask(&m).key.ip_tos), (64, 3));
    assert_eq!((m.key.tp_dst.get(), mask(&m).key.tp_dst.get()), (443, !0));
    assert_eq!(mask(&m).key.tp_src.get(), 0);
    assert_eq!(m.key.tcp_flags.get(), 0x002);
    assert_eq!(mask(&m).key.tcp_flags.get(), 0x012);
}

#[test]
fn tunnels_and_their_options() {
    let m = of_corpus("a3");
    assert_eq!(m.key.tun_id, [0, 0, 0, 0, 0, 0, 0, 0x2a]);
    assert_eq!(m.key.tun_ipv4_dst, [192, 0, 2, 2]);
    let (key, bits) = (m.key.tun_flags, mask(&m).key.tun_flags);
    assert_eq!(
        key & (tun_flag::DONT_FRAGMENT | tun_flag::CSUM | tun_flag::KEY | tun_flag::OAM),
        tun_flag::CSUM | tun_flag::KEY
    );
    assert_eq!(
        bits & (tun_flag::DONT_FRAGMENT | tun_flag::CSUM | tun_flag::KEY | tun_flag::OAM),
        tun_flag::DONT_FRAGMENT | tun_flag::CSUM | tun_flag::KEY
    );
    assert_eq!(m.key.ext().tun_opts_len, 20);
    let key = [1, 2, 0x80, 1, 0, 1, 0, 2, 1, 3, 0, 2];
    let bits = [
        0xff, 0xff, 0xff, 0x1f, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0x1f,
    ];
    assert_eq!(m.key.ext().tun_opts[..12], key);
    assert_eq!(mask(&m).key.ext().tun_opts[..12], bits);
    assert_eq!(m.key.ext().nd_target[15], 2);

    let m = of_corpus("a4");
    assert_eq!(m.key.tun_proto, TUN_IPV6);
    assert_eq!(m.key.ext().tun_ipv6_dst[15], 2);
    let gbp = u32::from_ne_bytes(m.key.ext().tun_opts[..4].try_into().unwrap());
    let bits = u32::from_ne_bytes(mask(&m).key.ext().tun_opts[..4].try_into().unwrap());
    assert_eq!((gbp, bits), (0x8_0005, 0x8_ffff));
    assert_ne!(mask(&m).key.tun_flags & tun_flag::OAM, 0);

    let m = of_corpus("a6");
    assert_eq!(m.key.ext().tun_opts[..8], [1, 0, 0, 0, 0, 0, 0, 3]);
    assert_eq!(mask(&m).key.ext().tun_opts[4..8], [0, 0xf, 0xff, 0xff]);
}

#[test]
fn tags_labels_and_other_layers() {
    let m = of_corpus("a4");
    assert_eq!(
        (m.key.vlan_tci.get(), mask(&m).key.vlan_tci.get()),
        (0x1064, 0x1fff)
    );
    assert_eq!(
        (m.key.eth_type.get(), m.key.vlan_tpid.get()),
        (0x806, 0x8100)
    );

    let m = of_corpus("a5");
    assert_eq!(
        (m.key.vlan_tpid.get(), m.key.vlan_tci.get()),
        (0x88a8, 0x7001)
    );
    assert_eq!(
        (m.key.cvlan_tpid.get(), m.key.cvlan_tci.get()),
        (0x8100, 0x1002)
    );
    assert_eq!(
        (mask(&m).key.vlan_tci.get(), mask(&m).key.cvlan_tci.get()),
        (0xffff, 0x1fff)
    );
    assert_eq!(m.key.eth_type.get(), 0x8847);

    let m = of_corpus("a8");
    assert_eq!((m.key.eth_type.get(), mask(&m).key.eth_type.get()), (4, !0));

    let m = of_corpus("a7");
    assert_eq!((m.key.mac_proto, m.key.ip_proto), (MAC_PROTO_NONE, 132));
    assert_eq!(mask(&m).key.tp_dst.get(), 0xfff0);
}

#[test]
fn a_dump_is_told_in_numbers() {
    let report = shown(CORPUS, KERNELS);
    assert_eq!((report.flows, report.masks), (11, 11));
    assert_eq!(report.left.elsewhere, 1, "that of tc");
    assert_eq!((report.left.matched, report.left.unread), (0, 0));
    assert!(report.visits.mean() >= 1.0 && report.visits.most <= 8);
    let text = report.to_string();
    assert!(text.contains("masks      11\n"), "{text}");
    assert!(text.contains("1 of another datapath"), "{text}");

    assert_eq!(
        shown(
            CORPUS,
            Options {
                all: true,
                ..KERNELS
            }
        )
        .flows,
        12
    );
    let twice = shown(&CORPUS.repeat(2), KERNELS);
    assert_eq!((twice.flows, twice.left.matched), (11, 11));
}

#[test]
fn a_recorded_dump() {
    let report = shown(RECORDED, KERNELS);
    assert_eq!((report.flows, report.masks), (10, 3));
    assert_eq!(report.left, Left::default());
    // Two flows take two visits, and had no packets.
    assert!((report.visits.mean() - 1.2).abs() < 1e-9, "{report}");
    assert_eq!(report.visits.most, 2);
    assert_eq!(report.visits.weighted_mean(), Some(1.0));
}

#[test]
fn extension_headers_of_ipv6() {
    let key = |field: &str| {
        let m = flow(&format!(
            "in_port(1),eth(),eth_type(0x86dd),ipv6(proto=17,frag=no),{field},udp(dst=53)"
        ));
        let mask = mask(&m).key.ext().ipv6_exthdrs;
        (m.key.ext().ipv6_exthdrs, mask)
    };
    let bytes = u16::from_ne_bytes;
    assert_eq!(key("key32(00 00/00 00)"), (0, 0));
    assert_eq!(key("key32(00 00)"), (0, 0xffff));
    assert_eq!(key("key32(08 01/ff 01)"), (bytes([8, 1]), bytes([0xff, 1])));
    assert_eq!(key("ipv6_exthdrs(0x108/0x1ff)"), (0x108, 0x1ff));
    assert_eq!(key("ipv6_exthdrs(0x4)"), (4, 0xffff));
    assert_eq!(key("ipv6_exthdrs(0/0)"), (0, 0));
    for bad in [
        "", "00", "00 0", "00 00 00", "00 00/", "00 00/00", "0000", "00 0g",
    ] {
        let why = format!("line 1: key32: bad value `{bad}`");
        assert_eq!(refusal(&format!("key32({bad})")), why);
    }
    assert_eq!(
        refusal("ipv6_exthdrs(0x10000)"),
        "line 1: ipv6_exthdrs: bad value `0x10000`"
    );
}

#[test]
fn a_packet_type_that_ethernet_has() {
    for ty in [
        "ns=0,id=0",
        "ns=0/0,id=0/0",
        "ns=1/0,id=0x800/0",
        "ns=0,id=0/0",
    ] {
        let m = flow(&format!(
            "in_port(1),packet_type({ty}),eth(),eth_type(0x0800),ipv4(frag=no)"
        ));
        assert_ne!(m.key.mac_proto, MAC_PROTO_NONE, "{ty}");
    }
}

/// As the command says it.
fn answer(text: &str, options: Options) -> Result<String, String> {
    told("flows.txt", text.as_bytes(), options)
}

#[test]
fn without_flows_there_is_nothing_to_tell() {
    for text in [
        "",
        "\n \n",
        "# a comment\n",
        "\u{feff}",
        "flow-dump from pmd on cpu core: 3\n",
    ] {
        assert_eq!(answer(text, KERNELS).unwrap_err(), "no flows in flows.txt");
    }
    let tc = CORPUS
        .lines()
        .find(|l| l.contains("dp:tc"))
        .expect("a line");
    let skip = Options {
        skip: true,
        ..KERNELS
    };
    assert_eq!(
        answer(&format!("{tc}\nnonsense\n"), skip).unwrap_err(),
        "no flows in flows.txt\nleft out   1 lines that could not be read\n\
         left out   1 of another datapath than the kernel module"
    );
    assert!(answer(CORPUS, KERNELS)
        .unwrap()
        .starts_with("flows      11\n"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_line() {
    assert_eq!(shown(&format!("\u{feff}{RECORDED}"), KERNELS).flows, 10);
    let first = RECORDED
        .lines()
        .find(|l| !l.starts_with('#'))
        .expect("a line");
    assert_eq!(shown(&format!("\u{feff}{first}"), KERNELS).flows, 1);
    assert_eq!(
        refusal("\u{feff}nonsense"),
        "line 1: not a field: `nonsense`"
    );
    // Only the first.
    assert_eq!(refusal("\n\u{feff}#"), "line 2: not a field: `\\u{feff}#`");
}

#[test]
fn a_refused_line_names_the_file_and_the_way_on() {
    assert_eq!(
        answer("nonsense\nnonsense", KERNELS).unwrap_err(),
        format!("flows.txt: line 1: not a field: `nonsense`{HINT}")
    );
}

#[test]
fn make_passes_arguments_on() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let asked = std::process::Command::new("make")
        .args([
            "-n",
            "-C",
            root,
            "replay",
            "FLOWS=a b.txt",
            "ARGS=--skip --packets 2",
        ])
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make");
    let says = String::from_utf8_lossy(&asked.stdout);
    let call = "tools/cargo.sh replay \"a b.txt\" --skip --packets 2";
    assert!(says.lines().any(|l| l == call), "{says}");
}

/// Flows of an attack, as a dump: each has a mask of its own.
fn attack() -> String {
    let mut out = String::new();
    for a in 1..=16u32 {
        for b in 1..=8u16 {
            let (src, dst) = (0x0a01_0203 ^ 1 << (32 - a), 80 ^ 1 << (16 - b));
            let (src_mask, dst_mask) = (u32::MAX << (32 - a), u16::MAX << (16 - b));
            let ip = |n: u32| std::net::Ipv4Addr::from(n);
            let (packets, port) = (if a == 1 && b == 1 { 1_000_000 } else { 1 }, dst & dst_mask);
            out += &format!(
                "recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(src={}/{},proto=17,frag=no),udp(dst={port}/{dst_mask:#x}), packets:{packets}, bytes:0, used:never, actions:drop\n",
                ip(src & src_mask), ip(src_mask)
            );
        }
    }
    out
}

#[test]
fn many_masks_cost_few_visits() {
    let report = shown(&attack(), KERNELS);
    assert_eq!((report.flows, report.masks), (128, 128));
    let (mean, most) = (report.visits.mean(), report.visits.most);
    assert!((2.0..10.0).contains(&mean) && most < 16, "{mean} {most}");
    // Nearly all packets of the dump are those of one flow.
    let weighted = report.visits.weighted_mean().expect("packets");
    let one = shown(attack().lines().next().unwrap(), KERNELS);
    assert_eq!(one.visits.weighted_mean(), Some(1.0));
    assert!((weighted - mean).abs() > 0.01, "{weighted} {mean}");
    assert!((weighted - weighted.round()).abs() < 0.01, "{weighted}");
}

#[test]
fn no_line_is_left_out_unsaid() {
    let good = attack();
    let text = format!("{good}\nnonsense\n{good}");
    let why = replay(&text, KERNELS).map(|r| r.flows).unwrap_err();
    assert_eq!(why, format!("line 130: not a field: `nonsense`{HINT}"));
    let report = shown(
        &text,
        Options {
            skip: true,
            ..KERNELS
        },
    );
    let left = Left {
        unread: 1,
        elsewhere: 0,
        matched: 128,
    };
    assert_eq!((report.flows, &report.left), (128, &left));
    assert!(report
        .to_string()
        .contains("1 lines that could not be read"));
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let eth = "eth(),eth_type(0x0800),ipv4(frag=no)";
    for (line, why) in [
        (
            "in_port(1),tunnel(tun_id=1,dst=1.1.1.1,gtpu(flags=0,msgtype=1))".into(),
            "tunnel: unknown field `gtpu`",
        ),
        (
            "key33(00 00)".into(),
            "key33: the kernel's key has no such field",
        ),
        (
            "nd_ext(nd_reserved=0x0)".into(),
            "nd_ext: the kernel's key has no such field",
        ),
        (
            "packet_type(ns=1,id=0x800)".into(),
            "packet_type: the kernel's key has no such field",
        ),
        (
            "packet_type(ns=0/0,id=0x800)".into(),
            "packet_type: the kernel's key has no such field",
        ),
        ("packet_type(ns=x)".into(), "packet_type: ns: bad value `x`"),
        (
            "ipv4(src=10.0.0.256)".into(),
            "ipv4: src: bad value `10.0.0.256`",
        ),
        ("ipv4(colour=1)".into(), "ipv4: unknown field `colour`"),
        ("ipv4(ttl=256)".into(), "ipv4: ttl: bad value `256`"),
        ("ipv4(ttl=1,ttl=1)".into(), "ipv4: `ttl` twice"),
        ("in_port(1),in_port(1)".into(), "`in_port` twice"),
        (
            "ipv4(frag=no/0xff)".into(),
            "ipv4: frag: bad value `no/0xff`",
        ),
        (
            "ipv4(src=10.0.0.1".into(),
            "bracket not closed: `ipv4(src=10.0.0.1`",
        ),
        ("ipv4)".into(), "bracket too many: `ipv4)`"),
        ("ct_state(+odd)".into(), "ct_state: unknown flag `odd`"),
        (
            "ct_state(0x100/0x100)".into(),
            "the datapath says: unknown connection state",
        ),
        (
            "tcp_flags(0x1000)".into(),
            "tcp_flags: unknown flag `0x1000`",
        ),
        ("vlan(vid=4096)".into(), "vlan: vid: bad value `4096`"),
        ("mpls(ttl=1)".into(), "mpls: no label"),
        (
            "eth_type(0x8100),vlan(vid=1),encap(encap(encap()))".into(),
            "encap: encap: encap: more than two levels",
        ),
        (
            "tunnel(geneve({class=1,type=1,len=5,0}))".into(),
            "tunnel: geneve: bad option `{class=1,type=1,len=5,0}`",
        ),
        (
            "tunnel(geneve({class=1,type=1,len=4,0x123456789}))".into(),
            "tunnel: geneve: bad value `0x123456789`",
        ),
        (
            format!("tunnel(geneve({}))", "{class=1,type=1,len=124}".repeat(600)),
            "tunnel: geneve: options of more than 255 bytes",
        ),
        (
            "tunnel(flags(df|odd))".into(),
            "tunnel: flags: unknown flag `odd`",
        ),
        (
            "eth(src=2:0:0:0:0:1)".into(),
            "eth: src: bad value `2:0:0:0:0:1`",
        ),
        (
            "eth_type(0x0800)".into(),
            "the datapath says: key lacks its network layer",
        ),
        (
            "recirc_id(1".repeat(4),
            "bracket not closed: `recirc_id(1recirc_id(1recirc_id(1recirc_…`",
        ),
        (format!("ufid:12, {eth}"), "not a ufid: `12`"),
        (
            "ufid:00000001-0000-4000-8000-0000000000a1".into(),
            "ufid without a key",
        ),
        (
            format!("{eth}, packets:-1, bytes:0"),
            "not a number of packets: `-1`",
        ),
        (
            format!("{eth},{}", "a".repeat(20000)),
            "key of more than 16384 bytes",
        ),
        ("\u{7}\u{fffd}".into(), "not a field: `\\u{7}�`"),
    ] as [(String, &str); 32]
    {
        assert_eq!(refusal(&line), format!("line 1: {why}"), "{line}");
    }
}

#[test]
fn damaged_lines_are_refused_or_read() {
    let mut n = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        (n >> 33) as usize % below
    };
    let mut refused = 0;
    for line in CORPUS.lines().filter(|l| l.len() > 80) {
        for _ in 0..200 {
            let mut bytes = line.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let (at, end) = (random(bytes.len()), random(8));
                match random(3) {
                    0 => bytes[at] = b"(){},=/+-|0f:xz\xff"[random(16)],
                    1 => drop(bytes.drain(at..(at + end).min(bytes.len()))),
                    _ => bytes.truncate(at.max(1)),
                }
                if bytes.is_empty() {
                    bytes.push(b' ');
                }
            }
            if let Err(why) = replay(&String::from_utf8_lossy(&bytes), KERNELS) {
                assert!(
                    why.starts_with("line 1: ") && why.lines().count() == 1,
                    "{why}"
                );
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "{refused}");
}
