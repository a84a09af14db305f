// SPDX-License-Identifier: GPL-2.0
//! Connection tracking.
//!
//! A reference to a connection is always a packet's (`skb->_nfct`), which gives it back when it gets another or is freed;
//! there is none beside a packet. What else is counted has a type here whose drop gives it back:
//!
//! | type | holds | dropped in |
//! |---|---|---|
//! | [`Template`] | a template, and its helper and timeout policy | any context |
//! | [`LabelSpace`] | a namespace's use of labels | any context |
//! | [`ConnCount`] | counted connections | process context |
//!
//! C counterpart: `include/net/netfilter/nf_conntrack*.h`, `net/netfilter/nf_conntrack_ovs.c`, `nf_nat_ovs.c`.

use crate::rust::bindings;
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::SkBuff;
use core::ffi::{c_int, CStr};
use core::mem::{zeroed, MaybeUninit};
use core::ptr::{self, NonNull};
use kernel::error::code::{EINPROGRESS, ENOMEM};
use kernel::error::{to_result, Error, Result};

pub use crate::rust::bindings::nf_nat_range2 as NatRange;
/// A connection and a packet's place in it, as plain data.
pub use crate::rust::bindings::ovs_ct_conn as Conn;

/// An entry that stands for no connection, but says what those are to be like that packets make.
///
/// # Invariants
///
/// Owns what `nf_ct_tmpl_alloc()` returned.
struct RawTemplate(NonNull<bindings::nf_conn>);

impl Drop for RawTemplate {
    fn drop(&mut self) {
        // SAFETY: owned by the invariant. A packet that had it attached has long given it up: it does in the call that
        // attached it. May be called in any context.
        unsafe { bindings::rust_helper_ct_tmpl_free(self.0.as_ptr()) };
    }
}

/// The timeout policy of a template: a reference to it, and to its module.
///
/// # Invariants
///
/// The template has one, set by `nf_ct_set_timeout()`, and outlives this value.
struct Timeout(NonNull<bindings::nf_conn>);

impl Drop for Timeout {
    fn drop(&mut self) {
        // SAFETY: by the invariant. Does not sleep.
        unsafe { bindings::rust_helper_ct_tmpl_destroy_timeout(self.0.as_ptr()) };
    }
}

/// A reference to a helper and its module, and with `nat` to the module that rewrites for it.
///
/// # Invariants
///
/// Owns these references.
struct Helper {
    ptr: NonNull<bindings::nf_conntrack_helper>,
    nat: bool,
}

impl Drop for Helper {
    fn drop(&mut self) {
        // SAFETY: owned by the invariant. Does not sleep.
        unsafe { bindings::rust_helper_ct_helper_put(self.ptr.as_ptr(), self.nat) };
    }
}

/// What a CT action wants of connections.
pub struct Template {
    // Field order is the order in which they are given back: the template last.
    helper: Option<Helper>,
    timeout: Option<Timeout>,
    raw: RawTemplate,
    ipv6: bool,
    nat: Option<(NatRange, NatEnds)>,
}

/// Which ends of new connections NAT maps.
#[derive(Clone, Copy, Default)]
pub struct NatEnds {
    /// The source.
    pub src: bool,
    /// The destination.
    pub dst: bool,
}

// SAFETY: the template is only read once it is made, the others are given back on any CPU, as C does.
unsafe impl Send for Template {}
// SAFETY: as above; its reference count is atomic.
unsafe impl Sync for Template {}

impl Template {
    /// For connections of this family in zone `zone`. May sleep.
    pub fn for_zone(net: NetRef<'_>, ipv6: bool, zone: u16) -> Result<Self> {
        // SAFETY: the namespace is alive by its invariant.
        let raw = unsafe { bindings::rust_helper_ct_tmpl_alloc(net.as_ptr(), zone) };
        Ok(Self {
            helper: None,
            timeout: None,
            // INVARIANT: ours from here.
            raw: RawTemplate(NonNull::new(raw).ok_or(ENOMEM)?),
            ipv6,
            nat: None,
        })
    }

    /// The last step: helper and timeout policy come before it. `commits`: what its packets were expected for is used up.
    pub fn seal(&mut self, commits: bool) {
        // SAFETY: owned by the invariant; no packet has seen it.
        unsafe { bindings::rust_helper_ct_tmpl_complete(self.as_ptr(), commits) };
    }

    /// What new connections are mapped to.
    pub fn set_nat(&mut self, range: NatRange, ends: NatEnds) {
        self.nat = Some((range, ends));
    }

    /// A range of all zeroes.
    pub fn nat_range() -> NatRange {
        // SAFETY: integers and unions of integers.
        unsafe { zeroed() }
    }

    /// `nf_ct_set_timeout`
    pub fn take_timeout(&mut self, net: NetRef<'_>, proto: u8, name: &CStr) -> Result {
        let (raw, ipv6) = (self.raw.0, self.ipv6);
        // SAFETY: the namespace and the template are alive, the name ends with a NUL.
        let err = unsafe {
            bindings::rust_helper_ct_tmpl_set_timeout(
                net.as_ptr(),
                raw.as_ptr(),
                ipv6,
                proto,
                name.to_bytes_with_nul().as_ptr().cast(),
            )
        };
        to_result(err)?;
        // INVARIANT: just set; the template is dropped after it, by field order.
        self.timeout = Some(Timeout(raw));
        Ok(())
    }

    /// `nf_ct_add_helper`; may load modules.
    pub fn take_helper(&mut self, proto: u8, name: &CStr, nat: bool) -> Result {
        // SAFETY: the template is alive, the name ends with a NUL.
        let helper = unsafe {
            bindings::rust_helper_ct_tmpl_add_helper(
                self.raw.0.as_ptr(),
                name.to_bytes_with_nul().as_ptr().cast(),
                self.ipv6,
                proto,
                nat,
            )
        };
        // INVARIANT: the references are ours from here.
        self.helper = Some(Helper {
            ptr: from_err_ptr(helper)?,
            nat,
        });
        Ok(())
    }

    #[allow(missing_docs)]
    pub fn holds_helper(&self) -> bool {
        self.helper.is_some()
    }

    fn as_ptr(&self) -> *mut bindings::nf_conn {
        self.raw.0.as_ptr()
    }

    /// How many refer to it, for the suites to see.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn references(&self) -> u32 {
        // SAFETY: owned by the invariant; only reads.
        unsafe { bindings::rust_helper_kunit_ct_tmpl_refs(self.as_ptr()) }
    }
}

/// What is not null and not an errno.
fn from_err_ptr<T>(p: *mut T) -> Result<NonNull<T>> {
    match p as isize {
        // CAST: within the range of errnos.
        errno @ -4095..=-1 => Err(Error::from_errno(errno as i32)),
        _ => NonNull::new(p).ok_or(ENOMEM),
    }
}

/// A namespace's use of 128 bits of labels.
///
/// # Invariants
///
/// Owns what `nf_connlabels_get()` counted for this namespace, which is there as long as the value.
pub struct LabelSpace(NonNull<bindings::net>);

// SAFETY: only a number in the namespace is changed, under a lock.
unsafe impl Send for LabelSpace {}
// SAFETY: as above.
unsafe impl Sync for LabelSpace {}

impl LabelSpace {
    /// `None` if there are no labels, or not that many.
    ///
    /// # Safety
    ///
    /// The value is dropped before the namespace goes.
    pub unsafe fn get(net: NetRef<'_>) -> Option<Self> {
        // SAFETY: there by its invariant.
        let err = unsafe { bindings::rust_helper_ct_labels_get(net.as_ptr(), 128) };
        if err < 0 {
            return None;
        }
        // INVARIANT: counted; the rest by the caller.
        NonNull::new(net.as_ptr()).map(Self)
    }
}

impl Drop for LabelSpace {
    fn drop(&mut self) {
        // SAFETY: counted by the invariant; the namespace's exit drops this.
        unsafe { bindings::rust_helper_ct_labels_put(self.0.as_ptr()) };
    }
}

/// Connections counted by zone.
///
/// # Invariants
///
/// Owns what `nf_conncount_init()` returned for the namespace, which is there as long as the value.
pub struct ConnCount {
    net: NonNull<bindings::net>,
    data: NonNull<bindings::nf_conncount_data>,
}

// SAFETY: nf_conncount locks what it changes.
unsafe impl Send for ConnCount {}
// SAFETY: as above.
unsafe impl Sync for ConnCount {}

impl ConnCount {
    /// May sleep.
    ///
    /// # Safety
    ///
    /// The value is dropped before the namespace goes.
    pub unsafe fn init(net: NetRef<'_>) -> Result<Self> {
        // SAFETY: there by its invariant.
        let data = from_err_ptr(unsafe { bindings::rust_helper_conncount_init(net.as_ptr()) })?;
        let net = NonNull::new(net.as_ptr()).ok_or(ENOMEM)?;
        // INVARIANT: ours from here; the rest by the caller.
        Ok(Self { net, data })
    }

    /// How many connections a zone has, those of `pkt` included if there is one. In an RCU section.
    pub fn count(&self, net: NetRef<'_>, pkt: Option<&SkBuff>, ipv6: bool, zone: u16) -> u32 {
        let skb = pkt.map_or(ptr::null_mut(), SkBuff::as_ptr);
        // SAFETY: alive by the invariants; the packet is null or valid, and only read.
        unsafe {
            bindings::rust_helper_conncount_count(net.as_ptr(), self.data.as_ptr(), skb, ipv6, zone)
        }
    }
}

impl Drop for ConnCount {
    fn drop(&mut self) {
        // SAFETY: owned by the invariant; whoever holds one drops it where it may sleep.
        unsafe { bindings::rust_helper_conncount_destroy(self.net.as_ptr(), self.data.as_ptr()) };
    }
}

/// What became of a packet.
pub enum Tracked {
    #[allow(missing_docs)]
    Accept(SkBuff),
    #[allow(missing_docs)]
    Drop(SkBuff),
    /// The tracker has it.
    Stolen,
}

/// Hands a packet to the tracker: it is in `call`'s hands meanwhile, and maybe for ever.
///
/// # Safety
///
/// `call` may take the packet over if it answers that it was stolen, otherwise it leaves it valid and unshared.
#[inline(always)]
unsafe fn hand_over(pkt: SkBuff, call: impl FnOnce(*mut bindings::sk_buff) -> c_int) -> Tracked {
    let skb = pkt.into_raw();
    let verdict = call(skb);
    if verdict == bindings::ovs_ct_verdict_OVS_CT_STOLEN as c_int {
        return Tracked::Stolen;
    }
    // SAFETY: `into_raw` gives no null pointer; the packet was not taken over, by the caller.
    let pkt = unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) };
    if verdict == bindings::ovs_ct_verdict_OVS_CT_ACCEPT as c_int {
        Tracked::Accept(pkt)
    } else {
        Tracked::Drop(pkt)
    }
}

/// What the tracker does with a packet whose data start at its L3 header, in an RCU section with BH disabled.
impl SkBuff {
    /// Its connection. For any packet.
    #[inline]
    pub fn ct_describe(&self) -> Option<Conn> {
        let mut conn = MaybeUninit::uninit();
        // SAFETY: the packet is valid; all of the structure is written if the answer is yes.
        unsafe {
            bindings::rust_helper_ct_describe(self.as_ptr(), conn.as_mut_ptr())
                .then(|| conn.assume_init())
        }
    }

    /// Gives its reference to a connection back.
    pub fn ct_forget(&mut self) {
        // SAFETY: valid and owned by the invariant of `SkBuff`.
        unsafe { bindings::rust_helper_nf_reset_ct(self.as_ptr()) };
    }

    /// Attaches the connection that has its tuple, if there is one.
    pub fn ct_find(&mut self, net: NetRef<'_>, template: &Template, natted: bool) -> bool {
        // SAFETY: all valid by their invariants; the packet has no connection whose reference could be lost.
        unsafe {
            bindings::rust_helper_ct_find(
                net.as_ptr(),
                self.as_ptr(),
                template.as_ptr(),
                template.ipv6,
                natted,
            )
        }
    }

    /// Whether tracking it without commit leaves an expectation that it meets in place.
    pub const CT_LEAVES_EXPECTATIONS: bool = cfg!(HAVE_CT_EXPECT_UNLINK);

    /// The connection that expects it.
    pub fn ct_expected_by(&mut self, net: NetRef<'_>, template: &Template) -> Option<Conn> {
        let mut conn = MaybeUninit::uninit();
        // SAFETY: as in `ct_describe`; the namespace and the template are alive.
        unsafe {
            bindings::rust_helper_ct_expected(
                net.as_ptr(),
                self.as_ptr(),
                template.as_ptr(),
                template.ipv6,
                conn.as_mut_ptr(),
            )
            .then(|| conn.assume_init())
        }
    }

    /// Its connection is what the template would make.
    pub fn ct_fits(&self, net: NetRef<'_>, template: &Template) -> bool {
        // SAFETY: all valid by their invariants.
        unsafe { bindings::rust_helper_ct_fits(net.as_ptr(), self.as_ptr(), template.as_ptr()) }
    }

    /// Takes its connection out of the table.
    pub fn ct_delete(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_ct_delete(self.as_ptr()) };
    }

    /// The whole packet and its largest fragment's length, or nothing while others are missing.
    pub fn ct_defragment(
        self,
        net: NetRef<'_>,
        zone: u16,
        ipv6: bool,
    ) -> Result<Option<(Self, u16)>> {
        let skb = self.into_raw();
        let mut mru = 0;
        // SAFETY: valid, and the call's unless it answers 0.
        let err =
            unsafe { bindings::rust_helper_ct_defrag(net.as_ptr(), skb, zone, ipv6, &mut mru) };
        match err {
            // SAFETY: not null, and ours again.
            0 => Ok(Some((
                unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) },
                mru,
            ))),
            e if e == EINPROGRESS.to_errno() => Ok(None),
            e => Err(Error::from_errno(e)),
        }
    }

    /// `nf_conntrack_in`
    pub fn ct_track(self, net: NetRef<'_>, template: &Template) -> Tracked {
        // SAFETY: all valid by their invariants. The helper keeps the contract.
        unsafe {
            hand_over(self, |skb| {
                bindings::rust_helper_ct_track(net.as_ptr(), skb, template.as_ptr(), template.ipv6)
            })
        }
    }

    /// `nf_ct_nat`; says which ends were rewritten.
    pub fn ct_nat(self, template: &Template, commit: bool) -> (Tracked, NatEnds) {
        let mut done = 0;
        let (range, ends) = match &template.nat {
            Some((range, ends)) => (ptr::from_ref(range), *ends),
            None => (ptr::null(), NatEnds::default()),
        };
        // SAFETY: the packet is valid; without ends there is no range to be looked at. The helper keeps the contract.
        let tracked = unsafe {
            hand_over(self, |skb| {
                bindings::rust_helper_ct_nat(skb, range, ends.src, ends.dst, commit, &mut done)
            })
        };
        let bit = |b: u32| u32::from(done) & b != 0;
        let ends = NatEnds {
            src: bit(bindings::OVS_CT_SRC_NAT),
            dst: bit(bindings::OVS_CT_DST_NAT),
        };
        (tracked, ends)
    }

    /// `__nf_ct_try_assign_helper`, and with `nat` room for adjusting sequence numbers.
    pub fn ct_assign_helper(&mut self, template: &Template, nat: bool) -> Result {
        // SAFETY: all valid by their invariants.
        to_result(unsafe {
            bindings::rust_helper_ct_assign_helper(self.as_ptr(), template.as_ptr(), nat)
        })
    }

    /// `nf_ct_helper`
    pub fn ct_call_helper(self, ipv6: bool) -> Tracked {
        // SAFETY: the packet is valid. The helper keeps the contract.
        unsafe { hand_over(self, |skb| bindings::rust_helper_ct_call_helper(skb, ipv6)) }
    }

    /// Established TCP becomes liberal, traffic control learns of the device.
    pub fn ct_note_tracked(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_ct_note_tracked(self.as_ptr()) };
    }

    /// Room for what traffic control wants to know.
    pub fn ct_add_act_ct(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_ct_add_act_ct(self.as_ptr()) };
    }

    /// Which events are told.
    pub fn ct_set_event_mask(&mut self, mask: u32) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_ct_set_event_mask(self.as_ptr(), mask) };
    }

    /// The new mark if it is another.
    pub fn ct_set_mark(&mut self, value: u32, mask: u32) -> Result<Option<u32>> {
        let mut new = 0;
        // SAFETY: valid and owned by the invariant.
        let changed =
            unsafe { bindings::rust_helper_ct_set_mark(self.as_ptr(), value, mask, &mut new) };
        to_result(changed)?;
        Ok((changed > 0).then_some(new))
    }

    /// Its master's labels, then value and mask; all of them if there was anything to do.
    pub fn ct_init_labels(
        &mut self,
        labels: Option<(&[u8; 16], &[u8; 16])>,
    ) -> Result<Option<[u8; 16]>> {
        let mut all = [0; 16];
        let (value, mask) = labels.map_or((ptr::null(), ptr::null()), |(value, mask)| {
            (value.as_ptr(), mask.as_ptr())
        });
        // SAFETY: valid and owned by the invariant; null or 16 bytes each.
        let done = unsafe {
            bindings::rust_helper_ct_init_labels(self.as_ptr(), value, mask, all.as_mut_ptr())
        };
        to_result(done)?;
        Ok((done > 0).then_some(all))
    }

    /// `nf_connlabels_replace`; all labels.
    pub fn ct_replace_labels(&mut self, value: &[u8; 16], mask: &[u8; 16]) -> Result<[u8; 16]> {
        let words = |b: &[u8; 16]| {
            let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *b;
            [
                u32::from_ne_bytes([a0, a1, a2, a3]),
                u32::from_ne_bytes([b0, b1, b2, b3]),
                u32::from_ne_bytes([c0, c1, c2, c3]),
                u32::from_ne_bytes([d0, d1, d2, d3]),
            ]
        };
        let (value, mask, mut all) = (words(value), words(mask), [0; 16]);
        // SAFETY: valid and owned by the invariant; four words each, 16 bytes.
        to_result(unsafe {
            bindings::rust_helper_ct_replace_labels(
                self.as_ptr(),
                value.as_ptr(),
                mask.as_ptr(),
                all.as_mut_ptr(),
            )
        })?;
        Ok(all)
    }

    /// `nf_conntrack_confirm`
    pub fn ct_confirm(self) -> Tracked {
        // SAFETY: the packet is valid. The helper keeps the contract.
        unsafe { hand_over(self, |skb| bindings::rust_helper_ct_confirm(skb)) }
    }

    /// `nf_ct_deliver_cached_events`
    pub fn ct_deliver_events(&mut self) {
        // SAFETY: valid and owned by the invariant.
        unsafe { bindings::rust_helper_ct_deliver_events(self.as_ptr()) };
    }
}
