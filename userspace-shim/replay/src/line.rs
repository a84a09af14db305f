// SPDX-License-Identifier: GPL-2.0
//! A line of `ovs-appctl dpctl/dump-flows`, cut into its parts; nothing in here knows what a field means.
//!
//! ```text
//! ufid:0a1b…, recirc_id(0),in_port(2),eth(…),eth_type(0x0800),ipv4(…), packets:5, bytes:300, used:0.1s, dp:ovs, actions:3
//! ```

use openvswitch::datapath::flow::key::Ufid;

/// Bytes of a line up to its statistics, at most; what a key can say takes some 2000.
const KEY_MAX: usize = 16384;

/// What a line says of a flow.
#[derive(Debug)]
pub struct Line<'a> {
    pub ufid: Option<Ufid>,
    pub key: Vec<Item<'a>>,
    pub packets: u64,
    /// Which datapath has it, if it says: `ovs` is the kernel module.
    pub layer: Option<&'a str>,
}

/// `name(value)` or `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// Reads a line; `None` if there is no flow in it: empty, a comment, or the heading of a thread's flows.
pub fn parse(line: &str) -> Result<Option<Line<'_>>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') || line.starts_with("flow-dump from ") {
        return Ok(None);
    }
    let (key, about) = line.split_once(", packets:").unwrap_or((line, ""));
    if key.len() > KEY_MAX {
        return Err(format!("key of more than {KEY_MAX} bytes"));
    }
    let (ufid, key) = match key.strip_prefix("ufid:") {
        Some(rest) => {
            let (ufid, key) = rest.split_once(", ").ok_or("ufid without a key")?;
            (Some(parse_ufid(ufid)?), key)
        }
        None => (None, key),
    };
    // Actions can have any text in them.
    let about = about.split(", actions:").next().unwrap_or("");
    let mut about = about.split(", ");
    let packets = match about.next() {
        None | Some("") => 0,
        Some(n) => n
            .parse()
            .map_err(|_| format!("not a number of packets: {}", shown(n)))?,
    };
    Ok(Some(Line {
        ufid,
        key: items(key)?,
        packets,
        layer: about.find_map(|a| a.strip_prefix("dp:")),
    }))
}

/// 32 digits in five groups.
fn parse_ufid(text: &str) -> Result<Ufid, String> {
    let bad = || format!("not a ufid: {}", shown(text));
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let number = u128::from_str_radix(&digits, 16).map_err(|_| bad())?;
    Ufid::new(&number.to_be_bytes()).ok_or_else(bad)
}

/// The items of a list, which commas part. Each is named.
pub fn items(text: &str) -> Result<Vec<Item<'_>>, String> {
    let mut out = vec![];
    for part in split(text)? {
        let end = part.find(['(', '=']);
        let (name, rest) = part.split_at(end.ok_or_else(|| no_item(part))?);
        let value = match rest.strip_prefix('=') {
            Some(value) => value,
            None => rest
                .strip_prefix('(')
                .and_then(|r| r.strip_suffix(')'))
                .ok_or_else(|| no_item(part))?,
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(no_item(part));
        }
        out.push(Item { name, value });
    }
    Ok(out)
}

/// Parts of a text between the commas that stand in no brackets; none of an empty text.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut out, mut start, mut depth) = (vec![], 0, 0usize);
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'(' | b'{' => depth += 1,
            b')' | b'}' => {
                let up = depth.checked_sub(1);
                depth = up.ok_or_else(|| format!("bracket too many: {}", shown(&text[start..])))?;
            }
            b',' if depth == 0 => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(format!("bracket not closed: {}", shown(&text[start..])));
    }
    if !text.is_empty() {
        out.push(&text[start..]);
    }
    Ok(out)
}

fn no_item(part: &str) -> String {
    format!("not a field: {}", shown(part))
}

/// So much of a text as fits into a message, on one line.
pub fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(40).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    format!("`{}`", out.escape_debug())
}
