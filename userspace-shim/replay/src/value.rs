// SPDX-License-Identifier: GPL-2.0
//! Values of fields as text, `VALUE` or `VALUE/MASK`, and structures made of them.

use crate::line::{items, shown};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a key and of its mask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Both {
    pub key: Vec<u8>,
    pub mask: Vec<u8>,
}

/// What a member of a structure is: numbers are in network order.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    U8,
    Be16,
    Be32,
    /// 20 bits in four bytes.
    Label,
    Ipv4,
    Ipv6,
    Mac,
    /// `no`, `first` or `later`.
    Frag,
}

impl Kind {
    pub fn len(self) -> usize {
        match self {
            Self::U8 | Self::Frag => 1,
            Self::Be16 => 2,
            Self::Be32 | Self::Label | Self::Ipv4 => 4,
            Self::Mac => 6,
            Self::Ipv6 => 16,
        }
    }

    fn parse(self, text: &str) -> Option<Vec<u8>> {
        Some(match self {
            Self::U8 => vec![number(text)?.try_into().ok()?],
            Self::Be16 => u16::try_from(number(text)?).ok()?.to_be_bytes().into(),
            Self::Be32 => u32::try_from(number(text)?).ok()?.to_be_bytes().into(),
            Self::Label => {
                let label = u32::try_from(number(text)?).ok()?;
                (label < 1 << 20).then(|| label.to_be_bytes().into())?
            }
            Self::Ipv4 => text.parse::<Ipv4Addr>().ok()?.octets().into(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().ok()?.octets().into(),
            Self::Mac => {
                let digits: Option<Vec<u8>> = text.split(':').map(byte).collect();
                digits.filter(|d| d.len() == 6)?
            }
            Self::Frag => match text {
                "no" => vec![0],
                "first" => vec![1],
                "later" => vec![2],
                _ => return None,
            },
        })
    }

    fn exact(self) -> Vec<u8> {
        match self {
            Self::Label => vec![0, 0xf, 0xff, 0xff],
            _ => vec![0xff; self.len()],
        }
    }

    /// A value with or without a mask.
    pub fn both(self, text: &str) -> Result<Both, String> {
        let bad = || format!("bad value {}", shown(text));
        let (key, mask) = halves(text);
        Ok(Both {
            key: self.parse(key).ok_or_else(bad)?,
            mask: match (self, mask) {
                (_, None) => self.exact(),
                (Self::Frag, Some(_)) => return Err(bad()),
                (_, Some(mask)) => self.parse(mask).ok_or_else(bad)?,
            },
        })
    }
}

/// Two hexadecimal digits.
fn byte(text: &str) -> Option<u8> {
    let hex = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(text, 16).ok().filter(|_| hex)
}

/// The text before and after the slash.
pub fn halves(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((key, mask)) => (key, Some(mask)),
        None => (text, None),
    }
}

/// Decimal, or hexadecimal after `0x`.
pub fn number(text: &str) -> Option<u128> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let digit = |b: u8| char::from(b).is_digit(radix);
    let all = !digits.is_empty() && digits.bytes().all(digit);
    u128::from_str_radix(digits, radix).ok().filter(|_| all)
}

/// A number of at most so many bits, and its mask: the given one, or all of them.
pub fn masked(text: &str, bits: u32) -> Result<(u128, u128), String> {
    let all = u128::MAX >> (128 - bits);
    let (key, mask) = halves(text);
    let one = |text| number(text).filter(|n| *n <= all);
    let pair = one(key).zip(mask.map_or(Some(all), one));
    pair.ok_or_else(|| format!("bad value {}", shown(text)))
}

/// Hexadecimal digits of `len` bytes, of which leading zeros are left out.
pub fn hex(text: &str, len: usize) -> Result<Vec<u8>, String> {
    let bad = || format!("bad value {}", shown(text));
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > len * 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(bad());
    }
    let all = format!("{digits:0>width$}", width = len * 2);
    (0..len)
        .map(|i| byte(&all[i * 2..i * 2 + 2]).ok_or_else(bad))
        .collect()
}

/// `00 0f/ff ff`: so many bytes and their mask, each as two hexadecimal digits, as a daemon prints what it has no name for.
pub fn octets(text: &str, len: usize) -> Result<Both, String> {
    let (key, mask) = halves(text);
    let bytes = |text: &str| -> Option<Vec<u8>> {
        let all: Option<Vec<u8>> = text.split(' ').map(byte).collect();
        all.filter(|b| b.len() == len)
    };
    let pair = bytes(key).zip(mask.map_or(Some(vec![0xff; len]), bytes));
    let (key, mask) = pair.ok_or_else(|| format!("bad value {}", shown(text)))?;
    Ok(Both { key, mask })
}

/// A set of flags: `a|b` or `0` is all of it, `+a-b` and `VALUE/MASK` a part.
pub fn flags(text: &str, names: &[(&str, u32)], all: u32) -> Result<(u32, u32), String> {
    let bad = |what: &str| format!("unknown flag {}", shown(what));
    let named = |name: &str| {
        let known = names.iter().find(|(n, _)| *n == name).map(|(_, bit)| *bit);
        let numbered = || {
            number(name)
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| n & !all == 0)
        };
        known.or_else(numbered).ok_or_else(|| bad(name))
    };
    let (mut value, mut mask) = (0, 0);
    if text.starts_with(['+', '-']) {
        let mut rest = text;
        while let Some(sign) = rest.chars().next() {
            let after = &rest[1..];
            let end = after.find(['+', '-']).unwrap_or(after.len());
            let bit = named(&after[..end])?;
            mask |= bit;
            if sign == '+' {
                value |= bit;
            }
            rest = &after[end..];
        }
        return Ok((value, mask));
    }
    if let (key, Some(given)) = halves(text) {
        return Ok((named(key)?, named(given)?));
    }
    for name in text.split('|') {
        value |= named(name)?;
    }
    Ok((value, all))
}

/// A structure of `size` bytes: members in their order, by name. What the text does not name is zero and not matched.
pub fn structure(text: &str, members: &[(&str, Kind)], size: usize) -> Result<Both, String> {
    let mut out = Both {
        key: vec![0; size],
        mask: vec![0; size],
    };
    let mut seen = vec![];
    for item in items(text)? {
        let mut at = 0;
        let member = members.iter().find(|(name, kind)| {
            let found = *name == item.name;
            at += if found { 0 } else { kind.len() };
            found
        });
        let Some((name, kind)) = member else {
            return Err(unknown(item.name));
        };
        once(&mut seen, name)?;
        let both = kind
            .both(item.value)
            .map_err(|why| format!("{name}: {why}"))?;
        out.key[at..at + kind.len()].copy_from_slice(&both.key);
        out.mask[at..at + kind.len()].copy_from_slice(&both.mask);
    }
    Ok(out)
}

pub fn unknown(name: &str) -> String {
    format!("unknown field {}", shown(name))
}

/// Refuses a name that was there before.
pub fn once<'a>(seen: &mut Vec<&'a str>, name: &'a str) -> Result<(), String> {
    if seen.contains(&name) {
        return Err(format!("{} twice", shown(name)));
    }
    seen.push(name);
    Ok(())
}
