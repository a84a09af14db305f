// SPDX-License-Identifier: GPL-2.0
//! [`RcuTable`]: a hash table whose entries are linked in up to `N` indexes at once.
//!
//! Lookups take a [`ReadToken`] and no lock; changes take the [`OvsGuard`]. Spec: T1, T2, T5, F11.
//!
//! An entry has two links per index, used by bucket arrays of alternate versions. So a larger
//! array can be filled while readers walk the smaller one; and no third array is made before the
//! readers of the first are gone. An entry keeps its 32-bit hashes, so growing calls nobody.
//!
//! C counterpart: `struct table_instance` of `net/openvswitch/flow_table.c`, `dev_table` and
//! `dp->ports`.

use super::{
    atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
    retire::{free_later, mark, Header, Retire},
    OvsGuard, ProcessContext, ReadToken, Retired, SlabCache, SlabRegistration,
};
use crate::sys;
use core::{
    ffi::CStr,
    marker::PhantomData,
    mem::{align_of, size_of},
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    sync::atomic::AtomicUsize,
};
use kernel::alloc::{flags::GFP_KERNEL, AllocError, Flags, KBox};

/// How long the main index keeps its hash seed, in milliseconds.
const REHASH_INTERVAL_MS: u64 = 10 * 60 * 1000;
/// No array larger than this: 2^28 heads.
const MAX_LOG2: u32 = 28;

type Link<T, const N: usize> = AtomicPtr<Node<T, N>>;

/// An entry on the heap. `header.tag` has a bit for each index that it is linked in.
#[repr(C)]
struct Node<T, const N: usize> {
    header: Header,
    hash: [u32; N],
    next: [[Link<T, N>; 2]; N],
    value: T,
}

// SAFETY: header first; made by `KBox`, whose memory may be freed in any context, and `T: Send`.
unsafe impl<T: Send, const N: usize> Retire for Node<T, N> {
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: came from a `KBox` and is no longer used, by this function's contract.
        drop(unsafe { KBox::from_raw(this.as_ptr()) });
    }
}

impl<T, const N: usize> Node<T, N> {
    fn new(value: T) -> Self {
        const { assert!(N >= 1 && N <= 32) };
        let link = || AtomicPtr::new(ptr::null_mut());
        Self {
            header: Header::new(0),
            hash: [0; N],
            next: core::array::from_fn(|_| [link(), link()]),
            value,
        }
    }

    /// Whether it belongs in index `i`.
    fn is_in(&self, i: usize) -> bool {
        self.header.tag.load(Ordering::Relaxed) & (1 << i) != 0
    }

    /// Its hash in index `i < N`.
    fn hash_in(&self, i: usize) -> u32 {
        self.hash.get(i).copied().unwrap_or(0)
    }

    /// Its link in index `i` for arrays of `version`.
    ///
    /// # Safety
    ///
    /// `i < N` and `version < 2`.
    #[inline]
    unsafe fn link(&self, i: usize, version: usize) -> &Link<T, N> {
        // SAFETY: in range by this function's contract.
        unsafe { self.next.get_unchecked(i).get_unchecked(version) }
    }
}

/// An entry that is not in a table yet: allocated before the lock, or freed without it.
pub struct TableBox<T, const N: usize>(KBox<Node<T, N>>);

impl<T, const N: usize> TableBox<T, N> {
    /// What an entry takes of memory.
    pub const BYTES: usize = size_of::<Node<T, N>>();

    /// Allocates and moves `value` in.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(KBox::new(Node::new(value), flags)?))
    }

    /// Allocates from `cache` and moves `value` in.
    pub fn new_in(cache: &EntryCache<T, N>, value: T, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self(cache.0.alloc(Node::new(value), flags)?))
    }
}

/// Named memory for the entries of tables: a [`SlabCache`] for a `static`.
pub struct EntryCache<T, const N: usize>(SlabCache<Node<T, N>>);

impl<T, const N: usize> EntryCache<T, N> {
    /// A cache that is not created yet; `kmalloc` stands in.
    pub const fn new(name: &'static CStr) -> Self {
        Self(SlabCache::new(name))
    }

    /// Creates the cache, once, until the result is dropped.
    pub fn create(
        &'static self,
        ctx: &ProcessContext,
    ) -> Result<EntryCacheRegistration<T, N>, AllocError> {
        Ok(EntryCacheRegistration(self.0.create(ctx)?))
    }
}

/// Keeps an [`EntryCache`] in being. Dropping it waits for RCU callbacks, and then all entries
/// must have been freed.
pub struct EntryCacheRegistration<T: 'static, const N: usize>(
    #[allow(dead_code, reason = "held to be dropped")] SlabRegistration<Node<T, N>>,
);

impl<T, const N: usize> Deref for TableBox<T, N> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T, const N: usize> DerefMut for TableBox<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0.value
    }
}

/// An entry that was in the table when it was looked up. Only the table makes these.
pub struct Entry<'g, T, const N: usize>(&'g Node<T, N>);

impl<T, const N: usize> Clone for Entry<'_, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for Entry<'_, T, N> {}

impl<'g, T, const N: usize> Entry<'g, T, N> {
    /// Where it is, for who links it elsewhere. Aligned to 8.
    pub(super) fn address(self) -> *mut () {
        ptr::from_ref(self.0).cast_mut().cast()
    }

    /// # Safety
    ///
    /// `address` is that of an entry of a table, which is not freed for `'g`.
    #[inline(always)]
    pub(super) unsafe fn from_address(address: *mut ()) -> Self {
        // SAFETY: by this function's contract.
        Self(unsafe { &*address.cast() })
    }

    /// A number that who links it elsewhere left with it, if it is still in the table; at first 0.
    pub(super) fn note(self) -> u64 {
        // SAFETY: within the header; any bytes are a number. Volatile, for RCU's part of the kernel may write there
        // if the entry has left.
        unsafe { self.0.header.room().cast::<u64>().read_volatile() }
    }

    /// # Safety
    ///
    /// The caller holds the mutex, and the entry is in the table.
    pub(super) unsafe fn set_note(self, note: u64) {
        // SAFETY: the room is there until the entry is retired, and only the writer uses it.
        unsafe { self.0.header.room().cast::<u64>().write_volatile(note) };
    }

    /// The value, for as long as the token lasts.
    #[inline]
    pub fn get(self) -> &'g T {
        &self.0.value
    }
}

impl<T, const N: usize> Deref for Entry<'_, T, N> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// An array of bucket heads, which follow it in memory.
///
/// # Invariants
///
/// `mask + 1` heads follow, a power of two; `version < 2`.
#[repr(C)]
struct Buckets<T, const N: usize> {
    header: Header,
    mask: u32,
    seed: u32,
    version: usize,
    heads: [Link<T, N>; 0],
}

// SAFETY: header first; made by `kvmalloc`, whose memory may be freed in any context; owns no `T`.
unsafe impl<T, const N: usize> Retire for Buckets<T, N> {
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: from `kvmalloc` and no longer used, by this function's contract.
        unsafe { sys::kvfree(this.cast().as_ptr()) };
    }
}

impl<T, const N: usize> Buckets<T, N> {
    /// Makes an array of 2^`log2` empty buckets with a new seed.
    fn alloc(log2: u32, version: usize, flags: Flags) -> Result<NonNull<Self>, AllocError> {
        const { assert!(align_of::<Self>() <= 8) };
        if log2 > MAX_LOG2 {
            return Err(AllocError);
        }
        let n = 1usize << log2;
        let size = size_of::<Self>() + n * size_of::<Link<T, N>>();
        let this: NonNull<Self> = NonNull::new(sys::kvmalloc(size, flags))
            .ok_or(AllocError)?
            .cast();
        // SAFETY: the memory is large enough for the struct and its `n` heads.
        unsafe {
            this.as_ptr().write(Self {
                header: Header::new(0),
                mask: (n - 1) as u32, // CAST: log2 <= 28.
                seed: sys::get_random_u32(),
                version,
                heads: [],
            });
            let heads = (&raw mut (*this.as_ptr()).heads).cast::<Link<T, N>>();
            for i in 0..n {
                heads.add(i).write(AtomicPtr::new(ptr::null_mut()));
            }
        }
        Ok(this)
    }

    /// The head of a bucket.
    ///
    /// # Safety
    ///
    /// `this` is valid for `'a` and `bucket <= mask`.
    #[inline]
    unsafe fn head<'a>(this: NonNull<Self>, bucket: u32) -> &'a Link<T, N> {
        // SAFETY: that many heads follow, by the invariant.
        unsafe {
            &*(&raw const (*this.as_ptr()).heads)
                .cast::<Link<T, N>>()
                .add(bucket as usize)
        }
    }

    /// The bucket of `hash`: a keyed mix, so that nobody outside can fill one bucket on purpose.
    #[inline]
    fn bucket_of(&self, hash: u32) -> u32 {
        let mixed = u64::from(hash ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32 & self.mask // CAST: the high half fits.
    }
}

/// One way to find entries.
///
/// # Invariants
///
/// `buckets` is a valid array that the index owns.
struct Index<T, const N: usize> {
    buckets: AtomicPtr<Buckets<T, N>>,
    count: AtomicU32,
    initial_log2: u32,
    /// Whether `settled_at` must be polled before another array is made.
    unsettled: AtomicBool,
    settled_at: AtomicUsize,
}

impl<T, const N: usize> Index<T, N> {
    fn new(log2: u32, flags: Flags) -> Result<Self, AllocError> {
        Ok(Self {
            buckets: AtomicPtr::new(Buckets::alloc(log2, 0, flags)?.as_ptr()),
            count: AtomicU32::new(0),
            initial_log2: log2,
            unsettled: AtomicBool::new(false),
            settled_at: AtomicUsize::new(0),
        })
    }

    /// The present array.
    #[inline]
    fn load(&self) -> NonNull<Buckets<T, N>> {
        // SAFETY: never null by the invariant.
        unsafe { NonNull::new_unchecked(self.buckets.load(Ordering::Acquire)) }
    }

    fn adjust(&self, by: i32) {
        let n = self.count.load(Ordering::Relaxed);
        self.count
            .store(n.wrapping_add_signed(by), Ordering::Relaxed);
    }

    /// Whether the readers of the array before the present one are gone.
    fn is_settled(&self) -> bool {
        if self.unsettled.load(Ordering::Relaxed) {
            let state = self.settled_at.load(Ordering::Relaxed);
            // CAST: both are the machine word.
            if !sys::poll_state_synchronize_rcu(state as core::ffi::c_ulong) {
                return false;
            }
            self.unsettled.store(false, Ordering::Relaxed);
        }
        true
    }

    /// Publishes `new` and frees the array it replaces, whose entries `new` may share.
    fn publish(&self, guard: &OvsGuard, new: NonNull<Buckets<T, N>>) {
        let old = self.load();
        self.buckets.store(new.as_ptr(), Ordering::Release);
        // SAFETY: just unpublished, and owned by the index until now.
        unsafe {
            mark(old, guard);
            free_later(old);
        }
        let state = sys::get_state_synchronize_rcu();
        self.settled_at.store(state as usize, Ordering::Relaxed);
        self.unsettled.store(true, Ordering::Relaxed);
    }
}

impl<T, const N: usize> Drop for Index<T, N> {
    fn drop(&mut self) {
        // SAFETY: owned by the index; `&mut self` excludes readers.
        unsafe { Buckets::free(self.load()) };
    }
}

/// A position in a dump, kept between batches. Growth in between may repeat or skip entries (F11).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The bucket.
    pub bucket: u32,
    /// How many entries of the bucket are done.
    pub index: u32,
}

/// A hash table of `T` with `N` indexes. Every entry is in index 0; the others are optional.
///
/// # Invariants
///
/// A node linked in any index is linked in index 0, owned by the table, and in no other table.
pub struct RcuTable<T, const N: usize> {
    indexes: [Index<T, N>; N],
    last_rehash_ms: AtomicUsize,
    _owns: PhantomData<T>,
}

// SAFETY: owns values of `T`.
unsafe impl<T: Send, const N: usize> Send for RcuTable<T, N> {}
// SAFETY: gives `&T` to many threads, and frees the `T` on any.
unsafe impl<T: Send + Sync, const N: usize> Sync for RcuTable<T, N> {}

impl<T, const N: usize> RcuTable<T, N> {
    /// A table whose index `i` starts with 2^`log2[i]` buckets.
    pub fn new(log2: [u32; N], flags: Flags) -> Result<Self, AllocError> {
        let mut made: [Option<Index<T, N>>; N] = [const { None }; N];
        for (slot, log2) in made.iter_mut().zip(log2) {
            *slot = Some(Index::new(log2, flags)?);
        }
        Ok(Self {
            // PANIC: each was filled just above.
            indexes: made.map(|i| i.unwrap_or_else(|| unreachable!())),
            last_rehash_ms: AtomicUsize::new(now_ms()),
            _owns: PhantomData,
        })
    }

    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.index::<0>().count.load(Ordering::Relaxed) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buckets index `I` has.
    pub fn buckets<const I: usize>(&self, _token: &impl ReadToken) -> usize {
        // SAFETY: the token keeps the array from being freed.
        unsafe { self.index::<I>().load().as_ref() }.mask as usize + 1
    }

    #[inline]
    fn index<const I: usize>(&self) -> &Index<T, N> {
        const { assert!(I < N) };
        // SAFETY: in range, as asserted.
        unsafe { self.indexes.get_unchecked(I) }
    }

    /// The first entry with this `hash` in index `I` that `eq` accepts.
    #[inline]
    pub fn find<'g, const I: usize>(
        &'g self,
        hash: u32,
        _token: &'g impl ReadToken,
        mut eq: impl FnMut(&T) -> bool,
    ) -> Option<Entry<'g, T, N>> {
        let array = self.index::<I>().load();
        // SAFETY: the token keeps the array and every node reached from it from being freed;
        // `bucket_of` is at most `mask`, `I < N`, `version < 2`.
        unsafe {
            let buckets = array.as_ref();
            let mut link = Buckets::head(array, buckets.bucket_of(hash));
            while let Some(node) = link.load(Ordering::Acquire).as_ref() {
                if *node.hash.get_unchecked(I) == hash && eq(&node.value) {
                    return Some(Entry(node));
                }
                link = node.link(I, buckets.version);
            }
        }
        None
    }

    /// All entries. What is inserted or removed meanwhile may or may not be seen.
    pub fn iter<'g>(&'g self, _token: &'g impl ReadToken) -> Iter<'g, T, N> {
        Iter {
            array: self.index::<0>().load(),
            bucket: 0,
            next: ptr::null_mut(),
            _table: PhantomData,
        }
    }

    /// The entry at `cursor`, which moves past it; `None` at the end.
    pub fn next<'g>(
        &'g self,
        cursor: &mut Cursor,
        _token: &'g impl ReadToken,
    ) -> Option<Entry<'g, T, N>> {
        let array = self.index::<0>().load();
        // SAFETY: the token keeps the array and its nodes from being freed; the bucket is in range.
        unsafe {
            let buckets = array.as_ref();
            while cursor.bucket <= buckets.mask {
                let mut link = Buckets::head(array, cursor.bucket);
                let mut i = 0;
                while let Some(node) = link.load(Ordering::Acquire).as_ref() {
                    if i == cursor.index {
                        cursor.index = i.wrapping_add(1);
                        return Some(Entry(node));
                    }
                    i = i.wrapping_add(1);
                    link = node.link(0, buckets.version);
                }
                cursor.bucket = cursor.bucket.wrapping_add(1);
                cursor.index = 0;
            }
        }
        None
    }

    /// The link in index `i` that points to `node`, if it is in this table.
    ///
    /// # Safety
    ///
    /// `i < N` and the caller keeps changes away.
    unsafe fn link_to<'a>(&self, i: usize, node: &'a Node<T, N>) -> Option<&'a Link<T, N>> {
        let array = self.indexes.get(i)?.load();
        // SAFETY: nobody else changes the index, so the array is valid and so are its nodes.
        unsafe {
            let buckets = array.as_ref();
            let mut link = Buckets::head(array, buckets.bucket_of(node.hash_in(i)));
            loop {
                let at = link.load(Ordering::Relaxed);
                if ptr::eq(at, node) {
                    return Some(link);
                }
                link = at.as_ref()?.link(i, buckets.version);
            }
        }
    }
}

impl<T: Send + Sync + 'static, const N: usize> RcuTable<T, N> {
    /// Links a new entry into index 0 and into those others for which there is a hash. May sleep.
    pub fn insert<'g>(
        &'g self,
        guard: &'g OvsGuard,
        entry: TableBox<T, N>,
        hashes: [Option<u32>; N],
    ) -> Entry<'g, T, N> {
        let mut node = entry.0;
        let mut linked = 0;
        for (i, hash) in hashes.into_iter().enumerate() {
            if hash.is_some() || i == 0 {
                linked |= 1 << i;
            }
            if let Some(slot) = node.hash.get_mut(i) {
                *slot = hash.unwrap_or(0);
            }
        }
        node.header.tag.store(linked, Ordering::Relaxed);
        // SAFETY: a box is not null; the table owns the node from here, and no removal frees it
        // while the guard is borrowed.
        let node = unsafe { &*KBox::into_raw(node) };
        for (i, index) in self
            .indexes
            .iter()
            .enumerate()
            .filter(|(i, _)| node.is_in(*i))
        {
            // SAFETY: under the mutex the array stays; indexes are in range.
            unsafe { push(i, index.load(), node, node.hash_in(i)) };
            index.adjust(1);
            self.maintain(guard, i, index);
        }
        Entry(node)
    }

    /// Unlinks an entry; `None` if it is not in this table (any more).
    pub fn remove(&self, guard: &OvsGuard, entry: Entry<'_, T, N>) -> Option<Retired<T>> {
        let node = entry.0;
        for (i, index) in self.indexes.iter().enumerate() {
            if !node.is_in(i) {
                continue;
            }
            // SAFETY: indexes are in range; the guard keeps changes away.
            unsafe {
                let Some(link) = self.link_to(i, node) else {
                    // A node that is not in index 0 of this table is in none of its indexes.
                    return None;
                };
                let version = index.load().as_ref().version;
                let next = node.link(i, version).load(Ordering::Relaxed);
                link.store(next, Ordering::Release);
                index.adjust(-1);
            }
        }
        let node = NonNull::from(node);
        // SAFETY: unlinked from all indexes, so no longer published, and the table gives it up.
        unsafe {
            mark(node, guard);
            let value = NonNull::new_unchecked(&raw mut (*node.as_ptr()).value);
            Some(Retired::new(node, value))
        }
    }

    /// Removes and frees all entries, and goes back to arrays of the initial size (T1).
    ///
    /// Cannot fail: without memory the arrays keep their size.
    pub fn flush(&self, guard: &OvsGuard) {
        // Index 0 last: it finds the nodes to free.
        for (i, index) in self.indexes.iter().enumerate().rev() {
            let old = index.load();
            // SAFETY: under the mutex the array stays.
            let (mask, version) = unsafe { (old.as_ref().mask, old.as_ref().version) };
            if let Ok(new) = Buckets::alloc(index.initial_log2, version, GFP_KERNEL) {
                index.publish(guard, new);
            }
            index.count.store(0, Ordering::Relaxed);
            for bucket in 0..=mask {
                // SAFETY: the bucket is in range; the old array outlives this mutex section.
                let head = unsafe { Buckets::head(old, bucket) };
                let first = head.swap(ptr::null_mut(), Ordering::AcqRel);
                if i == 0 {
                    // SAFETY: the chain is no longer reachable from any index.
                    unsafe { free_chain(first, version, guard) };
                }
            }
        }
    }

    /// Grows an index, or gives the main one a new seed, when that is due and possible (T1).
    fn maintain(&self, guard: &OvsGuard, i: usize, index: &Index<T, N>) {
        let old = index.load();
        // SAFETY: under the mutex the array stays.
        let buckets = unsafe { old.as_ref() };
        let count = index.count.load(Ordering::Relaxed);
        let grow = count > buckets.mask.wrapping_add(1);
        let age = now_ms().wrapping_sub(self.last_rehash_ms.load(Ordering::Relaxed));
        let rehash = i == 0 && age as u64 > REHASH_INTERVAL_MS;
        if !(grow || rehash) || !index.is_settled() {
            return;
        }
        // At least doubled; more if growth had to wait for a grace period.
        let wanted = if grow {
            count.wrapping_sub(1)
        } else {
            buckets.mask
        };
        let log2 = u32::BITS - wanted.leading_zeros();
        let Ok(new) = Buckets::alloc(log2, buckets.version ^ 1, GFP_KERNEL) else {
            return;
        };
        for bucket in 0..=buckets.mask {
            // SAFETY: the bucket is in range; nodes stay while the mutex is held. The links of
            // the other version have no readers: the array that used them is gone (`is_settled`).
            unsafe {
                let mut link = Buckets::head(old, bucket);
                while let Some(node) = link.load(Ordering::Relaxed).as_ref() {
                    push(i, new, node, node.hash_in(i));
                    link = node.link(i, buckets.version);
                }
            }
        }
        index.publish(guard, new);
        if i == 0 {
            self.last_rehash_ms.store(now_ms(), Ordering::Relaxed);
        }
    }
}

/// Puts `node` at the head of its bucket in an array of index `i`.
///
/// # Safety
///
/// `array` is valid, `i < N`, nobody else changes the array or reads the node's link for it.
unsafe fn push<T, const N: usize>(
    i: usize,
    array: NonNull<Buckets<T, N>>,
    node: &Node<T, N>,
    hash: u32,
) {
    // SAFETY: by this function's contract; `bucket_of` is at most `mask`.
    unsafe {
        let buckets = array.as_ref();
        let head = Buckets::head(array, buckets.bucket_of(hash));
        let first = head.load(Ordering::Relaxed);
        node.link(i, buckets.version)
            .store(first, Ordering::Relaxed);
        head.store(ptr::from_ref(node).cast_mut(), Ordering::Release);
    }
}

/// Frees the nodes of a chain of index 0 after a grace period.
///
/// # Safety
///
/// The nodes are owned by the caller and unpublished.
unsafe fn free_chain<T: Send, const N: usize>(
    first: *mut Node<T, N>,
    version: usize,
    guard: &OvsGuard,
) {
    let mut at = first;
    while let Some(node) = NonNull::new(at) {
        // SAFETY: ours by this function's contract, and alive at least until the mutex section
        // ends; the link is read before the node is given away.
        unsafe {
            at = node.as_ref().link(0, version).load(Ordering::Relaxed);
            mark(node, guard);
            free_later(node);
        }
    }
}

/// Milliseconds since boot; wraps on 32-bit machines, where only differences matter.
fn now_ms() -> usize {
    sys::monotonic_ms() as usize
}

impl<T, const N: usize> Drop for RcuTable<T, N> {
    fn drop(&mut self) {
        let array = self.index::<0>().load();
        // SAFETY: `&mut self` excludes readers; the table owns every node, each is in index 0.
        unsafe {
            let buckets = array.as_ref();
            for bucket in 0..=buckets.mask {
                let mut at = Buckets::head(array, bucket).load(Ordering::Relaxed);
                while let Some(node) = NonNull::new(at) {
                    at = node
                        .as_ref()
                        .link(0, buckets.version)
                        .load(Ordering::Relaxed);
                    drop(KBox::from_raw(node.as_ptr()));
                }
            }
        }
    }
}

/// Walks index 0.
pub struct Iter<'g, T, const N: usize> {
    array: NonNull<Buckets<T, N>>,
    /// The bucket after the one being walked.
    bucket: u32,
    next: *mut Node<T, N>,
    _table: PhantomData<&'g RcuTable<T, N>>,
}

impl<'g, T, const N: usize> Iterator for Iter<'g, T, N> {
    type Item = Entry<'g, T, N>;

    fn next(&mut self) -> Option<Entry<'g, T, N>> {
        // SAFETY: for `'g` the token keeps the array and the nodes reached from it from being
        // freed, even those that are removed; buckets up to `mask` are in range.
        unsafe {
            let buckets = self.array.as_ref();
            while self.next.is_null() {
                if self.bucket > buckets.mask {
                    return None;
                }
                let head = Buckets::head(self.array, self.bucket);
                self.next = head.load(Ordering::Acquire);
                self.bucket = self.bucket.wrapping_add(1);
            }
            let node = &*self.next;
            self.next = node.link(0, buckets.version).load(Ordering::Acquire);
            Some(Entry(node))
        }
    }
}
