// SPDX-License-Identifier: GPL-2.0
//! Writing netlink messages into a buffer of fixed size.

use super::attr::{align, HDRLEN};

/// The buffer is full; surfaces as EMSGSIZE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Result of a write.
pub type Put<T = ()> = core::result::Result<T, Full>;

/// Where a nested attribute or a message began.
#[must_use]
#[derive(Debug)]
pub struct Mark(u32);

/// Headers of a message: `nlmsghdr`, `genlmsghdr`, `ovs_header` (spec N1).
#[derive(Clone, Copy, Debug, Default)]
pub struct MsgHeader {
    /// Generic netlink family id.
    pub family: u16,
    /// `nlmsg_flags`
    pub flags: u16,
    pub seq: u32,
    pub portid: u32,
    pub cmd: u8,
    pub version: u8,
    pub dp_ifindex: i32,
}

/// Bytes of the three headers of a message.
pub const MSG_HDRLEN: usize = 16 + 4 + 4;

/// Appends to a byte buffer; padding is always zeroed.
///
/// Positions are 32 bits wide, so that the compiler sees that adding to one cannot overflow: what is left to check for
/// an attribute is a single comparison, and a dumped flow has about thirty.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    len: u32,
}

/// Copies bytes into their room. Room of another length, which there never is, is an error where the compiler does not see that.
#[inline(always)]
fn fill(room: &mut [u8], bytes: &[u8]) -> Put {
    if room.len() != bytes.len() {
        return Err(Full);
    }
    room.copy_from_slice(bytes);
    Ok(())
}

impl<'a> Writer<'a> {
    pub fn new(buf: &'a mut [u8]) -> Self {
        // Longer ones are used up to there.
        let end = buf.len().min(u32::MAX as usize);
        let (buf, _) = buf.split_at_mut(end);
        Self { buf, len: 0 }
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    pub fn written(&self) -> &[u8] {
        self.buf.get(..self.len()).unwrap_or(&[])
    }

    /// The place that [`Self::cancel`] goes back to.
    pub fn mark(&self) -> Mark {
        Mark(self.len)
    }

    /// Forgets everything after `mark` (for a message or nest that did not fit).
    pub fn cancel(&mut self, mark: Mark) {
        self.len = mark.0;
    }

    #[inline]
    fn grow(&mut self, n: usize) -> Put<&mut [u8]> {
        let start = self.len();
        let end = start.checked_add(n).ok_or(Full)?;
        let room = self.buf.get_mut(start..end).ok_or(Full)?;
        self.len = end as u32; // CAST: within the buffer, which is no longer
        Ok(room)
    }

    /// Appends bytes as they are, in multiples of 4.
    pub fn append(&mut self, b: &[u8]) -> Put {
        fill(self.grow(b.len())?, b)
    }

    /// [`Self::append`] of what has a fixed length: what is no attribute, or attributes put together already.
    #[inline]
    pub fn put_raw<const N: usize>(&mut self, b: &[u8; N]) -> Put {
        *self.grow(N)?.first_chunk_mut().ok_or(Full)? = *b;
        Ok(())
    }

    /// [`Self::put_raw`] of words in host order.
    #[inline(always)]
    pub fn put_raw_words<const N: usize>(&mut self, words: &[u32; N]) -> Put {
        let room = self.grow(N.wrapping_mul(4))?;
        for (to, word) in room.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        Ok(())
    }

    /// Appends a message whole, or nothing.
    pub fn message(&mut self, h: &MsgHeader, body: impl FnOnce(&mut Self) -> Put) -> Put {
        let start = self.len;
        let done = self.begin_message(h).and_then(|mark| {
            body(self)?;
            self.end_message(mark);
            Ok(())
        });
        if done.is_err() {
            self.len = start;
        }
        done
    }

    /// Starts a message; end it with [`Self::end_message`].
    pub fn begin_message(&mut self, h: &MsgHeader) -> Put<Mark> {
        let mark = Mark(self.len);
        let hdr: &mut [u8; MSG_HDRLEN] = self.grow(MSG_HDRLEN)?.first_chunk_mut().ok_or(Full)?;
        let mut b = [0; MSG_HDRLEN];
        b[4..6].copy_from_slice(&h.family.to_ne_bytes());
        b[6..8].copy_from_slice(&h.flags.to_ne_bytes());
        b[8..12].copy_from_slice(&h.seq.to_ne_bytes());
        b[12..16].copy_from_slice(&h.portid.to_ne_bytes());
        b[16] = h.cmd;
        b[17] = h.version;
        b[20..24].copy_from_slice(&h.dp_ifindex.to_ne_bytes());
        *hdr = b;
        Ok(mark)
    }

    /// Writes the length into the message's header.
    pub fn end_message(&mut self, mark: Mark) {
        let len = self.len.wrapping_sub(mark.0);
        if let Ok(h) = self.at(mark) {
            *h = len.to_ne_bytes();
        }
    }

    /// Appends an attribute of `len` payload bytes and returns the payload, zeroed padding after it.
    #[inline]
    pub fn reserve(&mut self, ty: u16, len: usize) -> Put<&mut [u8]> {
        let nla_len = u16::try_from(len.checked_add(HDRLEN).ok_or(Full)?).map_err(|_| Full)?;
        let room = self.grow(align(usize::from(nla_len)))?;
        let (hdr, body) = room.split_first_chunk_mut::<HDRLEN>().ok_or(Full)?;
        let [l0, l1] = nla_len.to_ne_bytes();
        let [t0, t1] = ty.to_ne_bytes();
        *hdr = [l0, l1, t0, t1];
        let (payload, pad) = body.split_at_mut_checked(len).ok_or(Full)?;
        pad.fill(0);
        Ok(payload)
    }

    /// [`Self::reserve`] for a payload of `N` bytes.
    #[inline]
    pub fn reserve_array<const N: usize>(&mut self, ty: u16) -> Put<&mut [u8; N]> {
        self.reserve(ty, N)?.first_chunk_mut().ok_or(Full)
    }

    #[inline]
    pub fn put(&mut self, ty: u16, payload: &[u8]) -> Put {
        fill(self.reserve(ty, payload.len())?, payload)
    }

    pub fn put_flag(&mut self, ty: u16) -> Put {
        self.put(ty, &[])
    }

    pub fn put_u8(&mut self, ty: u16, v: u8) -> Put {
        self.put(ty, &[v])
    }

    pub fn put_u16(&mut self, ty: u16, v: u16) -> Put {
        self.put(ty, &v.to_ne_bytes())
    }

    pub fn put_u32(&mut self, ty: u16, v: u32) -> Put {
        self.put(ty, &v.to_ne_bytes())
    }

    /// [`Self::put_u32`] of several, with one look at the room that is left.
    #[inline(always)]
    pub fn put_words<const N: usize>(&mut self, attrs: [(u16, u32); N]) -> Put {
        const LEN: usize = HDRLEN + 4;
        let room = self.grow(N.wrapping_mul(LEN))?;
        for (to, (ty, v)) in room.chunks_exact_mut(LEN).zip(attrs) {
            let [t0, t1] = ty.to_ne_bytes();
            let [l0, l1] = (LEN as u16).to_ne_bytes(); // CAST: 8
            let [v0, v1, v2, v3] = v.to_ne_bytes();
            if let Some(to) = to.first_chunk_mut::<LEN>() {
                *to = [l0, l1, t0, t1, v0, v1, v2, v3];
            }
        }
        Ok(())
    }

    pub fn put_u64(&mut self, ty: u16, v: u64) -> Put {
        self.put(ty, &v.to_ne_bytes())
    }

    /// An array of host-order integers.
    pub fn put_u32s(&mut self, ty: u16, values: &[u32]) -> Put {
        let dst = self.reserve(ty, values.len().saturating_mul(4))?;
        for (dst, v) in dst.chunks_exact_mut(4).zip(values) {
            dst.copy_from_slice(&v.to_ne_bytes());
        }
        Ok(())
    }

    /// A NUL-terminated string from a NUL-padded array.
    pub fn put_name(&mut self, ty: u16, name: &[u8; 16]) -> Put {
        let n = name.iter().position(|&b| b == 0).unwrap_or(15);
        let dst = self.reserve(ty, n.wrapping_add(1))?;
        let (last, head) = dst.split_last_mut().ok_or(Full)?;
        *last = 0;
        head.copy_from_slice(name.get(..n).ok_or(Full)?);
        Ok(())
    }

    /// Starts a nested attribute, without NLA_F_NESTED (spec N10).
    pub fn nest(&mut self, ty: u16) -> Put<Mark> {
        let mark = Mark(self.len);
        let [t0, t1] = ty.to_ne_bytes();
        self.append(&[0, 0, t0, t1])?;
        Ok(mark)
    }

    /// Ends a nested attribute; `Full` if it outgrew the 16-bit length field.
    pub fn end_nest(&mut self, mark: Mark) -> Put {
        let len = u16::try_from(self.len.wrapping_sub(mark.0)).map_err(|_| Full)?;
        *self.at(mark)? = len.to_ne_bytes();
        Ok(())
    }

    /// What was written at `mark`.
    #[inline]
    fn at<const N: usize>(&mut self, mark: Mark) -> Put<&mut [u8; N]> {
        let start = mark.0 as usize;
        let end = start.checked_add(N).ok_or(Full)?;
        let written = self.buf.get_mut(start..end).ok_or(Full)?;
        written.first_chunk_mut().ok_or(Full)
    }
}
