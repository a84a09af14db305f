// SPDX-License-Identifier: GPL-2.0
//! [`RcuList`]: few entries in the order in which they came.
//!
//! Readers take a [`ReadToken`] and no lock; changes take the [`OvsGuard`]. An empty list holds no memory.
//!
//! C counterpart: `list_head` with `list_add_tail_rcu`, `list_del_rcu`, `list_for_each_entry_rcu`.

use super::{
    atomic::{AtomicPtr, Ordering},
    retire::{mark, Header, Retire},
    OvsGuard, ReadToken, Retired,
};
use core::{
    marker::PhantomData,
    ptr::{self, NonNull},
};
use kernel::alloc::{AllocError, Flags, KBox};

type Link<T> = AtomicPtr<Node<T>>;

/// An entry on the heap.
#[repr(C)]
struct Node<T> {
    header: Header,
    next: Link<T>,
    /// Larger than that of every entry before it; written before the entry is published.
    position: u64,
    value: T,
}

// SAFETY: header first; made by `KBox`, whose memory may be freed in any context, and `T: Send`.
unsafe impl<T: Send> Retire for Node<T> {
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: came from a `KBox` and is no longer used, by this function's contract.
        drop(unsafe { KBox::from_raw(this.as_ptr()) });
    }
}

/// An entry that is not in a list yet: allocated before the lock.
pub struct ListBox<T>(KBox<Node<T>>);

impl<T> ListBox<T> {
    /// Allocates and moves `value` in.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        let node = Node {
            header: Header::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            position: 0,
            value,
        };
        Ok(Self(KBox::new(node, flags)?))
    }
}

/// A list of `T`.
///
/// # Invariants
///
/// Every node reached from `head` came from a `KBox` and is owned by the list. A node that was unlinked still leads to
/// those that followed it, until it is freed.
pub struct RcuList<T> {
    head: Link<T>,
    _owns: PhantomData<T>,
}

// SAFETY: owns values of `T`.
unsafe impl<T: Send> Send for RcuList<T> {}
// SAFETY: gives `&T` to many threads, and frees the `T` on any.
unsafe impl<T: Send + Sync> Sync for RcuList<T> {}

impl<T> RcuList<T> {
    /// An empty list.
    pub fn new() -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            _owns: PhantomData,
        }
    }

    /// All entries, first come first. What comes or goes meanwhile may or may not be seen; all else is, once.
    pub fn iter<'g>(&'g self, _token: &'g impl ReadToken) -> Iter<'g, T> {
        Iter { link: &self.head }
    }

    /// The entries from `position` on, each with its own, which it keeps. One more than that is where a walk in several
    /// sections goes on.
    pub fn iter_from<'g>(
        &'g self,
        position: u64,
        token: &'g impl ReadToken,
    ) -> impl Iterator<Item = (u64, &'g T)> {
        let mut nodes = self.iter(token);
        core::iter::from_fn(move || nodes.node())
            .map(|node| (node.position, &node.value))
            .skip_while(move |(at, _)| *at < position)
    }
}

/// Walks a list.
///
/// # Invariants
///
/// A token is borrowed for `'g`.
pub struct Iter<'g, T> {
    link: &'g Link<T>,
}

impl<'g, T> Iter<'g, T> {
    fn node(&mut self) -> Option<&'g Node<T>> {
        // SAFETY: by the invariant; the token keeps every node reached from the list from being freed, even those that are
        // removed.
        let node = unsafe { self.link.load(Ordering::Acquire).as_ref() }?;
        self.link = &node.next;
        Some(node)
    }
}

// A type with a name: the kernel's objtool has no room for names of functions that are made of closures upon closures.
impl<'g, T> Iterator for Iter<'g, T> {
    type Item = &'g T;

    fn next(&mut self) -> Option<&'g T> {
        Some(&self.node()?.value)
    }
}

impl<T: Send + Sync + 'static> RcuList<T> {
    /// Appends an entry.
    pub fn push<'g>(&'g self, _guard: &'g OvsGuard, entry: ListBox<T>) -> &'g T {
        let mut node = entry.0;
        let mut last = &self.head;
        // SAFETY: the mutex keeps changes away, so every node reached is in the list.
        while let Some(before) = unsafe { last.load(Ordering::Relaxed).as_ref() } {
            node.position = before.position.wrapping_add(1);
            last = &before.next;
        }
        // SAFETY: a box is not null; the list owns the node from here, and no removal frees it while the guard is borrowed.
        let node = unsafe { &*KBox::into_raw(node) };
        last.store(ptr::from_ref(node).cast_mut(), Ordering::Release);
        &node.value
    }

    /// Takes out the first entry that `is` accepts.
    pub fn remove(&self, guard: &OvsGuard, mut is: impl FnMut(&T) -> bool) -> Option<Retired<T>> {
        let wanted = ptr::from_ref(self.iter(guard).find(|value| is(value))?);
        // Only now, as `is` may itself have changed the list.
        let mut link = &self.head;
        loop {
            let node = NonNull::new(link.load(Ordering::Relaxed))?;
            // SAFETY: the mutex keeps changes away, so the node is in the list.
            let this = unsafe { node.as_ref() };
            if !ptr::eq(&this.value, wanted) {
                link = &this.next;
                continue;
            }
            link.store(this.next.load(Ordering::Relaxed), Ordering::Release);
            // SAFETY: unlinked, so no longer published, and the list gives it up.
            unsafe {
                mark(node, guard);
                let value = NonNull::new_unchecked(&raw mut (*node.as_ptr()).value);
                return Some(Retired::new(node, value));
            }
        }
    }
}

impl<T> Default for RcuList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for RcuList<T> {
    fn drop(&mut self) {
        let mut at = self.head.load(Ordering::Relaxed);
        while let Some(node) = NonNull::new(at) {
            // SAFETY: owned by the list, by the invariant; `&mut self` excludes readers.
            let node = unsafe { KBox::from_raw(node.as_ptr()) };
            at = node.next.load(Ordering::Relaxed);
        }
    }
}
