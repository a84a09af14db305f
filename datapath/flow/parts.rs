// SPDX-License-Identifier: GPL-2.0
//! A flow key put together from its parts, so that nobody pays for those that are not used.
//!
//! | type | where | parts beyond the core |
//! |---|---|---|
//! | [`FlowKey`] | packets | in place |
//! | [`KeyBuf`] | requests, masks, flows | in memory of their own |
//! | [`KeyRef`] | who only reads either | an absent one reads as zeros |
//!
//! An absent part and one of zeros are equal. What it costs hangs on how the compiler builds these, each found by
//! measuring: a key of a packet is never returned by value, never a constant with `None` in it, and filled through
//! a reference.
//!
//! C counterpart: `struct sw_flow_key`, which is one flat struct.

use crate::datapath::flow::key::{
    Core, Ext, Long, CORE_WORDS, EXT_OPTS, EXT_WORDS, LONG_OPTS, LONG_WORDS,
};
use crate::rust::pod::Pod;
use crate::rust::sync::{Words, NEAR};
use core::fmt;
use core::ops::{Deref, DerefMut};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::{AllocError, Flags, KBox};

/// A key of a packet.
pub type FlowKey = Key<Option<Deep<Long>>>;
/// A key that is kept.
pub type KeyBuf = Key<Option<KBox<Deep<KBox<Long>>>>>;

// On the stack of every packet, five times at worst (spec A10).
const _: () = assert!(core::mem::size_of::<FlowKey>() <= 480);
const _: () = assert!(core::mem::size_of::<KeyBuf>() == 136);
const _: () = assert!(core::mem::size_of::<Deep<KBox<Long>>>() == 128);

/// Words beyond the core; [`KeyRef::deep_word`] numbers them from 0.
pub const DEEP_WORDS: usize = EXT_WORDS + LONG_WORDS;
const _: () = assert!(DEEP_WORDS <= 64);

static ZERO_EXT: Ext = Ext::ZERO;
static ZERO_LONG: Long = Long::ZERO;

/// A key whose parts beyond the core are `X`.
pub struct Key<X> {
    core: Core,
    deep: X,
}

/// What a key has beyond the core. `L` holds a [`Long`].
pub struct Deep<L> {
    ext: Ext,
    long: Option<L>,
}

/// How a key holds its [`Deep`].
pub trait Parts: Sized {
    fn none() -> Self;
    fn is_none(&self) -> bool;
    fn ext(&self) -> Option<&Ext>;
    fn long(&self) -> Option<&Long>;
    /// Makes it if need be. ENOMEM where it has memory of its own.
    fn ext_mut(&mut self) -> Result<&mut Ext, AllocError>;
    /// Makes it if need be, as [`Self::ext_mut`].
    fn long_mut(&mut self) -> Result<&mut Long, AllocError>;
}

impl Parts for Option<Deep<Long>> {
    #[inline(always)]
    fn none() -> Self {
        None
    }

    #[inline(always)]
    fn is_none(&self) -> bool {
        Option::is_none(self)
    }

    fn ext(&self) -> Option<&Ext> {
        self.as_ref().map(|d| &d.ext)
    }

    fn long(&self) -> Option<&Long> {
        self.as_ref()?.long.as_ref()
    }

    fn ext_mut(&mut self) -> Result<&mut Ext, AllocError> {
        Ok(&mut made(self).ext)
    }

    fn long_mut(&mut self) -> Result<&mut Long, AllocError> {
        Ok(made(self).long.get_or_insert(Long::ZERO))
    }
}

/// The parts, made if need be.
#[inline(never)]
fn made(deep: &mut Option<Deep<Long>>) -> &mut Deep<Long> {
    deep.get_or_insert_with(|| Deep {
        ext: Ext::ZERO,
        long: None,
    })
}

impl Parts for Option<KBox<Deep<KBox<Long>>>> {
    fn none() -> Self {
        None
    }

    #[inline(always)]
    fn is_none(&self) -> bool {
        Option::is_none(self)
    }

    fn ext(&self) -> Option<&Ext> {
        self.as_ref().map(|d| &d.ext)
    }

    fn long(&self) -> Option<&Long> {
        self.as_ref()?.long.as_deref()
    }

    fn ext_mut(&mut self) -> Result<&mut Ext, AllocError> {
        Ok(&mut made_box(self)?.ext)
    }

    fn long_mut(&mut self) -> Result<&mut Long, AllocError> {
        let slot = &mut made_box(self)?.long;
        if slot.is_none() {
            *slot = Some(KBox::new(Long::ZERO, GFP_KERNEL)?);
        }
        slot.as_deref_mut().ok_or(AllocError)
    }
}

fn made_box(
    deep: &mut Option<KBox<Deep<KBox<Long>>>>,
) -> Result<&mut Deep<KBox<Long>>, AllocError> {
    if deep.is_none() {
        let new = Deep {
            ext: Ext::ZERO,
            long: None,
        };
        *deep = Some(KBox::new(new, GFP_KERNEL)?);
    }
    deep.as_deref_mut().ok_or(AllocError)
}

impl<X> Deref for Key<X> {
    type Target = Core;

    #[inline(always)]
    fn deref(&self) -> &Core {
        &self.core
    }
}

impl<X> DerefMut for Key<X> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Core {
        &mut self.core
    }
}

impl<X: Parts> Key<X> {
    /// The all-zero key.
    #[inline(always)]
    pub fn new() -> Self {
        Self::from_core(Core::ZERO)
    }

    /// A key that has nothing beyond `core`.
    #[inline(always)]
    pub fn from_core(core: Core) -> Self {
        Self {
            core,
            deep: X::none(),
        }
    }

    #[inline(always)]
    pub fn core(&self) -> &Core {
        &self.core
    }

    #[inline(always)]
    pub fn core_mut(&mut self) -> &mut Core {
        &mut self.core
    }

    /// Nothing beyond the core, for certain.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.deep.is_none()
    }

    /// The part after the core.
    #[inline]
    pub fn ext(&self) -> &Ext {
        self.deep.ext().unwrap_or(&ZERO_EXT)
    }

    /// The part after the core if there is one, to be changed.
    pub fn ext_if_any(&mut self) -> Option<&mut Ext> {
        if self.deep.is_none() {
            return None;
        }
        self.deep.ext_mut().ok()
    }

    /// The part after the core, made if need be. ENOMEM, but not for a packet's key.
    pub fn try_ext_mut(&mut self) -> Result<&mut Ext, AllocError> {
        self.deep.ext_mut()
    }

    /// Room for tunnel options in two halves. ENOMEM, but not for a packet's key.
    pub fn set_tun_opts(&mut self, opts: &[u8]) -> Result<(), AllocError> {
        let (near, far) = opts.split_at_checked(EXT_OPTS).unwrap_or((opts, &[]));
        let ext = self.deep.ext_mut()?;
        ext.tun_opts = [0; EXT_OPTS];
        ext.tun_opts.iter_mut().zip(near).for_each(|(t, f)| *t = *f);
        if !far.is_empty() || self.deep.long().is_some() {
            let long = self.deep.long_mut()?;
            long.tun_opts = [0; LONG_OPTS];
            long.tun_opts.iter_mut().zip(far).for_each(|(t, f)| *t = *f);
        }
        Ok(())
    }

    /// For whoever only reads.
    #[inline]
    pub fn as_ref(&self) -> KeyRef<'_> {
        KeyRef {
            core: &self.core,
            ext: self.ext(),
            long: self.deep.long().unwrap_or(&ZERO_LONG),
        }
    }
}

// A word of a key is a bit of a mask's bitmap.
const _: () = assert!(CORE_WORDS == NEAR && NEAR + DEEP_WORDS <= 64);

impl<X: Parts> Words for Key<X> {
    #[inline(always)]
    fn near(&self) -> &[u64; NEAR] {
        self.core.as_words()
    }

    fn word(&self, n: usize) -> u64 {
        match n.checked_sub(NEAR) {
            None => self.core.as_words().get(n).copied().unwrap_or(0),
            Some(n) => self.as_ref().deep_word(n),
        }
    }
}

/// A key of zeros to refer to.
pub static ZERO_KEY: KeyBuf = Key {
    core: Core::ZERO,
    deep: None,
};

impl FlowKey {
    /// The part after the core, made if need be.
    #[inline]
    pub fn ext_mut(&mut self) -> &mut Ext {
        &mut made(&mut self.deep).ext
    }

    /// All of `from`, into place: a copy of what there is of it.
    #[inline(always)]
    pub fn copy_from(&mut self, from: &FlowKey) {
        self.core = from.core;
        if from.deep.is_none() {
            self.deep = None;
        } else {
            self.copy_deep(&from.deep);
        }
    }

    #[inline(never)]
    fn copy_deep(&mut self, from: &Option<Deep<Long>>) {
        if let Some(from) = from {
            let to = made(&mut self.deep);
            to.ext = from.ext;
            to.long = from.long;
        }
    }
}

impl KeyBuf {
    /// A copy. ENOMEM.
    pub fn try_clone(&self, flags: Flags) -> Result<Self, AllocError> {
        let deep = match &self.deep {
            None => None,
            Some(d) => Some(KBox::new(
                Deep {
                    ext: d.ext,
                    long: match &d.long {
                        None => None,
                        Some(long) => Some(KBox::new(**long, flags)?),
                    },
                },
                flags,
            )?),
        };
        Ok(Self {
            core: self.core,
            deep,
        })
    }

    /// Beyond the core, takes the bits of `from` that `mask` has in the words of `deep`. ENOMEM.
    #[cold]
    pub(super) fn set_masked(
        &mut self,
        from: &Self,
        mask: KeyRef<'_>,
        deep: u64,
        flags: Flags,
    ) -> Result<(), AllocError> {
        if from.is_plain() {
            return Ok(());
        }
        let key = from.as_ref();
        let mut new = Deep {
            ext: *key.ext,
            long: None,
        };
        and(new.ext.as_words_mut(), mask.ext.as_words());
        if deep >> EXT_WORDS != 0 && from.deep.long().is_some() {
            let mut long = KBox::new(*key.long, flags)?;
            and(long.as_words_mut(), mask.long.as_words());
            new.long = Some(long);
        }
        self.deep = Some(KBox::new(new, flags)?);
        Ok(())
    }

    /// Gives back what is all zero.
    pub(super) fn shrink(&mut self) {
        if self.deep.long().is_some_and(|long| *long == ZERO_LONG) {
            if let Some(deep) = &mut self.deep {
                deep.long = None;
            }
        }
        if self.deep.long().is_none() && *self.ext() == ZERO_EXT {
            self.deep = None;
        }
    }
}

fn and(to: &mut [u64], mask: &[u64]) {
    to.iter_mut().zip(mask).for_each(|(t, m)| *t &= *m);
}

/// A key that is only read, whatever holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyRef<'a> {
    pub core: &'a Core,
    pub ext: &'a Ext,
    pub long: &'a Long,
}

impl Deref for KeyRef<'_> {
    type Target = Core;

    #[inline(always)]
    fn deref(&self) -> &Core {
        self.core
    }
}

static ZERO_CORE: Core = Core::ZERO;

impl<'a> KeyRef<'a> {
    /// The all-zero key.
    pub const ZERO: KeyRef<'static> = KeyRef {
        core: &ZERO_CORE,
        ext: &ZERO_EXT,
        long: &ZERO_LONG,
    };

    /// A word beyond the core, from 0 on.
    #[inline]
    pub fn deep_word(&self, n: usize) -> u64 {
        let word = match n.checked_sub(EXT_WORDS) {
            None => self.ext.as_words().get(n),
            Some(n) => self.long.as_words().get(n),
        };
        word.copied().unwrap_or(0)
    }

    /// Bit n: word n beyond the core is not zero.
    pub fn deep_bits(&self) -> u64 {
        let words = self.ext.as_words().iter().chain(self.long.as_words());
        words
            .rev()
            .fold(0, |bits, w| bits << 1 | u64::from(*w != 0))
    }

    /// The first `len` bytes of the tunnel options, in two parts.
    pub fn tun_opts(&self, len: usize) -> (&'a [u8], &'a [u8]) {
        let near = len.min(EXT_OPTS);
        let far = len.saturating_sub(EXT_OPTS).min(LONG_OPTS);
        (
            self.ext.tun_opts.get(..near).unwrap_or(&[]),
            self.long.tun_opts.get(..far).unwrap_or(&[]),
        )
    }
}

impl<X: Parts, Y: Parts> PartialEq<Key<Y>> for Key<X> {
    fn eq(&self, other: &Key<Y>) -> bool {
        self.core == other.core
            && (self.is_plain() && other.is_plain() || self.as_ref() == other.as_ref())
    }
}

impl fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.core)?;
        let words = (0..DEEP_WORDS).map(|n| (n, self.deep_word(n)));
        for (n, word) in words.filter(|(_, word)| *word != 0) {
            write!(f, " {n}: {word:#x}")?;
        }
        Ok(())
    }
}

impl<X: Parts> fmt::Debug for Key<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl<X: Parts> Default for Key<X> {
    fn default() -> Self {
        Self::new()
    }
}

impl<X: Parts> From<Core> for Key<X> {
    fn from(core: Core) -> Self {
        Self::from_core(core)
    }
}

#[cfg(test)]
#[path = "parts_tests.rs"]
pub mod tests;
