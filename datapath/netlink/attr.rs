// SPDX-License-Identifier: GPL-2.0
//! Reading netlink attributes (`struct nlattr`) out of a hostile byte slice.

/// Bytes of an attribute header.
pub const HDRLEN: usize = 4;
/// The 14 type bits; the other two are NLA_F_NESTED and NLA_F_NET_BYTEORDER (spec A14).
pub const TYPE_MASK: u16 = 0x3fff;
/// `NLA_F_NESTED`
pub const F_NESTED: u16 = 0x8000;

/// `n` rounded up to the attribute alignment of 4.
#[inline(always)]
pub const fn align(n: usize) -> usize {
    n.wrapping_add(3) & !3
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    /// Header and payload, without padding.
    whole: &'a [u8],
    raw_type: u16,
}

impl<'a> Attr<'a> {
    /// The attribute that starts at `b`, and the bytes after it and its padding; `None` if none fits (`nla_ok`).
    #[inline]
    pub fn split_first(b: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let [l0, l1, t0, t1] = *b.first_chunk::<HDRLEN>()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let whole = b.get(..len).filter(|w| w.len() >= HDRLEN)?;
        let rest = b.get(align(len)..).unwrap_or(&[]);
        Some((
            Self {
                whole,
                raw_type: u16::from_ne_bytes([t0, t1]),
            },
            rest,
        ))
    }

    /// The type without flag bits.
    pub fn ty(&self) -> u16 {
        self.raw_type & TYPE_MASK
    }

    /// True if NLA_F_NESTED is set.
    pub fn is_flagged_nested(&self) -> bool {
        self.raw_type & F_NESTED != 0
    }

    pub fn payload(&self) -> &'a [u8] {
        self.whole.get(HDRLEN..).unwrap_or(&[])
    }

    /// Header and payload; its address is what an extended ack points at.
    pub fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// Payload length in bytes.
    pub fn len(&self) -> usize {
        self.whole.len().saturating_sub(HDRLEN)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload's first `N` bytes.
    pub fn bytes<const N: usize>(&self) -> Option<[u8; N]> {
        self.payload().first_chunk().copied()
    }

    /// Host-order integers; longer payloads are cut (spec N5).
    pub fn u8(&self) -> Option<u8> {
        self.bytes::<1>().map(u8::from_ne_bytes)
    }

    pub fn u16(&self) -> Option<u16> {
        self.bytes().map(u16::from_ne_bytes)
    }

    pub fn u32(&self) -> Option<u32> {
        self.bytes().map(u32::from_ne_bytes)
    }

    pub fn i32(&self) -> Option<i32> {
        self.bytes().map(i32::from_ne_bytes)
    }

    pub fn u64(&self) -> Option<u64> {
        self.bytes().map(u64::from_ne_bytes)
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs::new(self.payload())
    }
}

/// Walks the attributes of a slice; stops at the first that does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a> {
    rest: &'a [u8],
    cut: bool,
}

impl<'a> Attrs<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            cut: false,
        }
    }

    /// What no attribute was found in; not empty after the walk means trailing bytes.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True after a walk that found nothing but whole attributes, the last one's padding included.
    pub fn is_exhausted(&self) -> bool {
        self.rest.is_empty() && !self.cut
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    #[inline]
    fn next(&mut self) -> Option<Attr<'a>> {
        let (attr, rest) = Attr::split_first(self.rest)?;
        self.cut = self.rest.len() < align(attr.whole.len());
        self.rest = rest;
        Some(attr)
    }
}
