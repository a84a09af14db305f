// SPDX-License-Identifier: GPL-2.0
//! A connection tracker for tests: just enough for every branch of the switch's own logic.
//!
//! It knows TCP, UDP, SCTP and ICMP echo over IPv4 and IPv6 without extension headers, and rewrites to the first address
//! and port of a range, without touching checksums. [`Tracker`] is a namespace's: its table, its helpers, what is held of
//! it. [`judge`] makes the next call of a kind drop or keep its packet.
//!
//! Kernel counterpart: `rust/net/conntrack.rs`, and `nf_conntrack` behind it.

use crate::datapath::conntrack::spec::{Labels, Manip, Mark, Nat, Spec};
use crate::datapath::env::conntrack::{
    ConnCountOps, Connection, CtInfo, OrigTuple, Rewritten, TemplateOps, TrackedOps, Verdict,
};
use crate::datapath::env::PacketOps;
use crate::env::FakeNet;
use crate::packet::Packet;
use crate::sys::may_sleep;
use kernel::alloc::flags::GFP_KERNEL;
use kernel::alloc::KBox;
use kernel::error::code::*;
use kernel::error::Result;
use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that can be told what to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Track,
    Nat,
    Helper,
    Confirm,
}

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Drop,
    Steal,
}

thread_local! {
    static JUDGE: Cell<Option<(Call, Word)>> = const { Cell::new(None) };
    static STOLEN: std::cell::RefCell<Vec<Packet>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Makes this thread's next `call` drop or keep its packet.
pub fn judge(call: Call, word: Word) {
    JUDGE.set(Some((call, word)));
}

/// Frees the packets that were kept; how many.
pub fn take_stolen() -> usize {
    STOLEN.with(|s| s.borrow_mut().drain(..).count())
}

fn verdict(call: Call, pkt: Packet) -> Verdict<Packet> {
    match JUDGE.get() {
        Some((c, word)) if c == call => {
            JUDGE.set(None);
            match word {
                Word::Drop => Verdict::Drop(pkt),
                Word::Steal => {
                    STOLEN.with(|s| s.borrow_mut().push(pkt));
                    Verdict::Stolen
                }
            }
        }
        _ => Verdict::Accept(pkt),
    }
}

/// A namespace's tracker.
#[derive(Default)]
pub struct Tracker {
    pub table: Mutex<Vec<Arc<Conn>>>,
    /// Names of timeout policies that there are.
    pub timeouts: Mutex<Vec<String>>,
    fragments: Mutex<Vec<Fragment>>,
    /// Templates, helper references, timeout references and label reservations that are held.
    pub templates: AtomicIsize,
    pub helpers: AtomicIsize,
    pub timeout_refs: AtomicIsize,
    pub label_spaces: AtomicIsize,
    /// Counts of connections by zone that are held.
    pub conn_counts: AtomicIsize,
}

/// The helpers that there are, and the IP protocol of each.
pub const HELPERS: [(&str, u8); 2] = [("ftp", 6), ("tftp", 17)];

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    pub ipv6: bool,
    pub proto: u8,
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub sport: u16,
    pub dport: u16,
}

impl Tuple {
    pub fn inverse(self) -> Self {
        let (sport, dport) = match (self.proto, self.sport) {
            (1, id) => (id, self.dport ^ 0x0800), // echo request and reply
            _ => (self.dport, self.sport),
        };
        Self {
            src: self.dst,
            dst: self.src,
            sport,
            dport,
            ..self
        }
    }

    /// Of a packet whose data start at its L3 header.
    pub fn of(b: &[u8], ipv6: bool) -> Option<Self> {
        let mut t = Self {
            ipv6,
            proto: 0,
            src: [0; 16],
            dst: [0; 16],
            sport: 0,
            dport: 0,
        };
        let l4 = if ipv6 {
            t.proto = *b.get(6)?;
            t.src.copy_from_slice(b.get(8..24)?);
            t.dst.copy_from_slice(b.get(24..40)?);
            40
        } else {
            t.proto = *b.get(9)?;
            t.src[..4].copy_from_slice(b.get(12..16)?);
            t.dst[..4].copy_from_slice(b.get(16..20)?);
            usize::from(b[0] & 15) * 4
        };
        let be = |at: usize| Some(u16::from_be_bytes(b.get(at..at + 2)?.try_into().ok()?));
        match t.proto {
            6 | 17 | 132 => {
                t.sport = be(l4)?;
                t.dport = be(l4 + 2)?;
            }
            1 => {
                t.sport = be(l4 + 4)?;
                t.dport = be(l4)?;
            }
            _ => {}
        }
        Some(t)
    }
}

/// A connection.
pub struct Conn {
    tracker: Weak<Tracker>,
    pub zone: u16,
    pub state: Mutex<State>,
}

#[derive(Clone, Debug)]
pub struct State {
    pub orig: Tuple,
    pub reply: Tuple,
    pub confirmed: bool,
    pub seen_reply: bool,
    pub src_nat: bool,
    pub dst_nat: bool,
    pub mark: u32,
    pub labels: Option<[u8; 16]>,
    pub helper: Option<String>,
    pub timeout: Option<String>,
    pub event_mask: Option<u32>,
    pub master: Option<Arc<Conn>>,
    /// How often packets were shown to the helper, and events told.
    pub helped: u32,
    pub told: u32,
    /// How often packets were rewritten, or could have been.
    pub natted: u32,
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state().fmt(f)
    }
}

impl Conn {
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Tracker {
    /// Connections in the table.
    pub fn connections(&self) -> Vec<Arc<Conn>> {
        lock(&self.table).clone()
    }

    /// What is held of the tracker: templates, helpers, timeouts.
    pub fn held(&self) -> [isize; 3] {
        [&self.templates, &self.helpers, &self.timeout_refs].map(|n| n.load(SeqCst))
    }

    fn find(&self, zone: u16, t: &Tuple) -> Option<(Arc<Conn>, bool)> {
        lock(&self.table).iter().find_map(|c| {
            let s = c.state();
            match () {
                () if c.zone != zone => None,
                () if s.orig == *t => Some((c.clone(), false)),
                () if s.reply == *t => Some((c.clone(), true)),
                () => None,
            }
        })
    }
}

struct Fragment {
    id: (u16, Vec<u8>),
    offset: usize,
    more: bool,
    pkt: Packet,
}

fn info(conn: &Conn, reply: bool) -> CtInfo {
    let s = conn.state();
    match () {
        () if reply => CtInfo::EstablishedReply,
        () if s.seen_reply => CtInfo::Established,
        () if s.master.is_some() => CtInfo::Related,
        () => CtInfo::New,
    }
}

fn describe(conn: &Arc<Conn>, info: CtInfo) -> Connection {
    let s = conn.state().clone();
    let root = s.master.as_ref().map_or(s.orig, |m| m.state().orig);
    let labels = match (&s.master, s.confirmed) {
        (Some(m), false) => m.state().labels,
        _ => s.labels,
    };
    let (tp_src, tp_dst) = match root.proto {
        1 => (root.dport >> 8, root.dport & 0xff),
        _ => (root.sport, root.dport),
    };
    Connection {
        info,
        confirmed: s.confirmed,
        has_master: s.master.is_some(),
        src_nat: s.src_nat,
        dst_nat: s.dst_nat,
        shared: !s.confirmed && Arc::strong_count(conn) > 1,
        zone: conn.zone,
        mark: s.mark,
        labels: labels.unwrap_or_default(),
        orig: OrigTuple {
            ipv6: root.ipv6,
            proto: root.proto,
            src: root.src,
            dst: root.dst,
            tp_src,
            tp_dst,
        },
    }
}

/// What a CT action holds.
pub struct FakeTemplate {
    tracker: Arc<Tracker>,
    spec: Spec,
    helper: Option<String>,
    timeout: Option<String>,
    complete: bool,
    /// Takes part in counting and failing allocations.
    _memory: KBox<u64>,
}

impl TemplateOps for FakeTemplate {
    fn new(net: &FakeNet, spec: &Spec) -> Result<Self> {
        let _memory = KBox::new(0, GFP_KERNEL)?;
        net.tracker().templates.fetch_add(1, SeqCst);
        Ok(Self {
            tracker: net.tracker().clone(),
            spec: *spec,
            helper: None,
            timeout: None,
            complete: false,
            _memory,
        })
    }

    fn set_timeout(&mut self, net: &FakeNet, _spec: &Spec, name: &CStr) -> Result {
        assert!(!self.complete);
        let name = name.to_str().map_err(|_| EINVAL)?.to_owned();
        if !lock(&net.tracker().timeouts).contains(&name) {
            return Err(ENOENT);
        }
        net.tracker().timeout_refs.fetch_add(1, SeqCst);
        self.timeout = Some(name);
        Ok(())
    }

    fn add_helper(&mut self, spec: &Spec, name: &CStr) -> Result {
        assert!(!self.complete);
        let name = name.to_str().map_err(|_| EINVAL)?;
        if !HELPERS.contains(&(name, spec.proto)) {
            return Err(EINVAL);
        }
        self.tracker.helpers.fetch_add(1, SeqCst);
        self.helper = Some(name.to_owned());
        Ok(())
    }

    fn complete(&mut self, _spec: &Spec) {
        self.complete = true;
    }

    fn has_helper(&self) -> bool {
        self.helper.is_some()
    }
}

impl Drop for FakeTemplate {
    fn drop(&mut self) {
        let tracker = &self.tracker;
        if self.helper.is_some() {
            tracker.helpers.fetch_sub(1, SeqCst);
        }
        if self.timeout.is_some() {
            tracker.timeout_refs.fetch_sub(1, SeqCst);
        }
        tracker.templates.fetch_sub(1, SeqCst);
    }
}

impl Packet {
    fn conn(&self) -> &Arc<Conn> {
        &self.conn.as_ref().expect("a connection").0
    }

    /// Writes an address and a port at the source's or the destination's place.
    fn rewrite(&mut self, which: Manip, t: &Tuple) {
        let len = self.len();
        let b = self.ensure_writable(len).expect("memory for a packet");
        let (addr, port) = match which {
            Manip::Src => (&t.src, t.sport),
            Manip::Dst => (&t.dst, t.dport),
        };
        let far = usize::from(which == Manip::Dst);
        let l4 = if t.ipv6 {
            let at = 8 + 16 * far;
            b[at..at + 16].copy_from_slice(addr);
            40
        } else {
            let at = 12 + 4 * far;
            b[at..at + 4].copy_from_slice(&addr[..4]);
            usize::from(b[0] & 15) * 4
        };
        if matches!(t.proto, 6 | 17 | 132) {
            let at = l4 + 2 * far;
            b[at..at + 2].copy_from_slice(&port.to_be_bytes());
        }
    }
}

impl TrackedOps for Packet {
    fn pull_front(&mut self, n: usize) -> bool {
        self.move_front(n)
    }

    fn push_front(&mut self, n: usize) -> bool {
        self.restore_front(n)
    }

    fn trim_rcsum(&mut self, len: usize) -> Result {
        self.trim(len)
    }

    fn connection(&self) -> Option<Connection> {
        let (conn, info) = self.conn.as_ref()?;
        Some(describe(conn, *info))
    }

    fn forget_connection(&mut self) {
        self.conn = None;
        self.conntrack = false;
    }

    fn find_connection(&mut self, net: &FakeNet, template: &FakeTemplate, natted: bool) -> bool {
        let Some(mut t) = Tuple::of(self.bytes(), template.spec.ipv6) else {
            return false;
        };
        if natted {
            t = t.inverse();
        }
        let Some((conn, reply)) = net.tracker().find(template.spec.zone, &t) else {
            return false;
        };
        let info = info(&conn, reply != natted);
        self.conn = Some((conn, info));
        true
    }

    const LEAVES_EXPECTATIONS: bool = true;

    fn expected_by(&mut self, _net: &FakeNet, _template: &FakeTemplate) -> Option<Connection> {
        None
    }

    fn fits(&self, net: &FakeNet, template: &FakeTemplate) -> bool {
        let conn = self.conn();
        let s = conn.state();
        let helper_fits =
            template.helper.is_none() || s.helper.is_none() || s.helper == template.helper;
        conn.tracker.as_ptr() == Arc::as_ptr(net.tracker())
            && conn.zone == template.spec.zone
            && helper_fits
            && (template.timeout.is_none() || s.timeout == template.timeout)
    }

    fn delete_connection(&mut self) {
        let conn = self.conn();
        assert!(conn.state().confirmed);
        if let Some(tracker) = conn.tracker.upgrade() {
            lock(&tracker.table).retain(|c| !Arc::ptr_eq(c, conn));
        }
    }

    fn defragment(self, net: &FakeNet, zone: u16, ipv6: bool) -> Result<Option<(Self, u16)>> {
        if ipv6 {
            return Err(EAFNOSUPPORT);
        }
        let b = self.bytes();
        let field = u16::from_be_bytes([b[6], b[7]]);
        let new = Fragment {
            id: (zone, [&b[4..6], &b[9..10], &b[12..20]].concat()),
            offset: usize::from(field & 0x1fff) * 8,
            more: field & 0x2000 != 0,
            pkt: self,
        };
        let mut all = lock(&net.tracker().fragments);
        let id = new.id.clone();
        all.push(new);
        let (mut ours, others) = all.drain(..).partition::<Vec<_>, _>(|f| f.id == id);
        all.extend(others);
        ours.sort_by_key(|f| f.offset);
        let mut end = 0;
        let complete = ours.iter().all(|f| {
            let fits = f.offset == end;
            end = f.offset + f.pkt.len() - 20;
            fits
        });
        if !complete || ours.last().is_some_and(|f| f.more) {
            all.extend(ours);
            return Ok(None);
        }
        let mru = ours.iter().map(|f| f.pkt.len()).max().unwrap_or(0) as u16;
        let mut rest = ours.into_iter();
        let mut whole = rest.next().expect("one").pkt;
        for f in rest {
            whole.append(&f.pkt.bytes()[20..]);
        }
        let len = (whole.len() as u16).to_be_bytes();
        let b = whole.ensure_writable(20)?;
        b[2..4].copy_from_slice(&len);
        b[6..8].fill(0);
        *whole.meta_mut() = Default::default(); // the IP layer's control block
        whole.ignore_df = true;
        Ok(Some((whole, mru)))
    }

    fn track(mut self, net: &FakeNet, template: &FakeTemplate) -> Verdict<Self> {
        assert!(template.complete);
        self.forget_connection();
        let spec = &template.spec;
        if let Some(t) = Tuple::of(self.bytes(), spec.ipv6) {
            let found = net.tracker().find(spec.zone, &t);
            let (conn, reply) = found.unwrap_or_else(|| {
                let new = State {
                    orig: t,
                    reply: t.inverse(),
                    confirmed: false,
                    seen_reply: false,
                    src_nat: false,
                    dst_nat: false,
                    mark: 0,
                    labels: None,
                    helper: None,
                    timeout: template.timeout.clone(),
                    event_mask: None,
                    master: None,
                    helped: 0,
                    told: 0,
                    natted: 0,
                };
                let conn = Conn {
                    tracker: Arc::downgrade(net.tracker()),
                    zone: spec.zone,
                    state: Mutex::new(new),
                };
                (Arc::new(conn), false)
            });
            if reply {
                conn.state().seen_reply = true;
            }
            let info = info(&conn, reply);
            self.conn = Some((conn, info));
        }
        verdict(Call::Track, self)
    }

    fn nat(mut self, template: &FakeTemplate, _commit: bool) -> (Verdict<Self>, Rewritten) {
        let nat: Nat = template.spec.nat.expect("NAT");
        let (conn, info) = self.conn.clone().expect("a connection");
        let mut s = conn.state();
        s.natted += 1;
        let mut done = Rewritten::default();
        if let (Some(manip), Some(addrs), false) = (nat.manip, nat.addrs, s.confirmed) {
            let port = nat.ports.map(|p| p.min);
            match manip {
                Manip::Src => {
                    s.src_nat = true;
                    s.reply.dst = addrs.min;
                    s.reply.dport = port.unwrap_or(s.reply.dport);
                }
                Manip::Dst => {
                    s.dst_nat = true;
                    s.reply.src = addrs.min;
                    s.reply.sport = port.unwrap_or(s.reply.sport);
                }
            }
        }
        let there = if info.is_reply() { s.orig } else { s.reply };
        let to = there.inverse();
        let (src, dst) = if info.is_reply() {
            (s.dst_nat, s.src_nat)
        } else {
            (s.src_nat, s.dst_nat)
        };
        drop(s);
        if src {
            self.rewrite(Manip::Src, &to);
            done.src = true;
        }
        if dst {
            self.rewrite(Manip::Dst, &to);
            done.dst = true;
        }
        (verdict(Call::Nat, self), done)
    }

    fn assign_helper(&mut self, template: &FakeTemplate, _nat: bool) -> Result {
        KBox::new(0u8, GFP_KERNEL)?;
        let mut s = self.conn().state();
        if s.helper.is_none() {
            s.helper = template.helper.clone();
        }
        Ok(())
    }

    fn call_helper(self, _ipv6: bool) -> Verdict<Self> {
        {
            let mut s = self.conn().state();
            if s.helper.is_none() {
                drop(s);
                return Verdict::Accept(self);
            }
            s.helped += 1;
        }
        verdict(Call::Helper, self)
    }

    fn note_tracked(&mut self) {
        self.conn();
    }

    fn set_event_mask(&mut self, mask: u32) {
        self.conn().state().event_mask = Some(mask);
    }

    fn set_ct_mark(&mut self, mark: &Mark) -> Result<Option<u32>> {
        let mut s = self.conn().state();
        let new = mark.value | (s.mark & !mark.mask);
        let changed = s.mark != new;
        s.mark = new;
        Ok(changed.then_some(new))
    }

    fn init_labels(&mut self, labels: Option<&Labels>) -> Result<Option<[u8; 16]>> {
        let conn = self.conn();
        assert!(!conn.state().confirmed);
        let master = conn.state().master.clone();
        let inherited = master.and_then(|m| m.state().labels);
        if inherited.is_none() && labels.is_none() {
            return Ok(None);
        }
        let mut all = inherited.unwrap_or_default();
        if let Some(l) = labels {
            for (b, (value, mask)) in all.iter_mut().zip(l.value.iter().zip(&l.mask)) {
                *b = (*b & !mask) | (value & mask);
            }
        }
        conn.state().labels = Some(all);
        Ok(Some(all))
    }

    fn replace_labels(&mut self, l: &Labels) -> Result<[u8; 16]> {
        let mut s = self.conn().state();
        assert!(s.confirmed);
        let all = s.labels.as_mut().ok_or(ENOSPC)?;
        for (b, (value, mask)) in all.iter_mut().zip(l.value.iter().zip(&l.mask)) {
            *b = (*b & !mask) ^ value;
        }
        Ok(*all)
    }

    fn add_act_ct(&mut self) {
        assert!(!self.conn().state().confirmed);
    }

    fn confirm(self) -> Verdict<Self> {
        {
            let conn = self.conn().clone();
            let mut s = conn.state();
            s.told += 1;
            if !s.confirmed {
                s.confirmed = true;
                drop(s);
                let tracker = conn.tracker.upgrade().expect("a namespace");
                lock(&tracker.table).push(conn.clone());
            }
        }
        verdict(Call::Confirm, self)
    }

    fn deliver_events(&mut self) {
        self.conn().state().told += 1;
    }
}

/// See [`LabelSpace`](crate::datapath::env::conntrack::LabelSpace).
pub struct FakeLabelSpace(Arc<Tracker>);

impl FakeNet {
    /// Gives up the fragments that wait for others, as a while later.
    pub fn expire_fragments(&self) {
        let gone = std::mem::take(&mut *lock(&self.tracker().fragments));
        drop(gone);
    }
}

impl FakeLabelSpace {
    pub(crate) fn of(tracker: &Arc<Tracker>) -> Self {
        tracker.label_spaces.fetch_add(1, SeqCst);
        Self(tracker.clone())
    }
}

impl Drop for FakeLabelSpace {
    fn drop(&mut self) {
        self.0.label_spaces.fetch_sub(1, SeqCst);
    }
}

/// See [`ConnCountOps`].
pub struct FakeConnCount {
    tracker: Arc<Tracker>,
    counted: Mutex<Vec<Weak<Conn>>>,
    _memory: KBox<u64>,
}

impl Drop for FakeConnCount {
    fn drop(&mut self) {
        may_sleep();
        self.tracker.conn_counts.fetch_sub(1, SeqCst);
    }
}

impl ConnCountOps for FakeConnCount {
    fn new(net: &FakeNet) -> Result<Self> {
        may_sleep();
        let memory = KBox::new(0, GFP_KERNEL)?;
        net.tracker().conn_counts.fetch_add(1, SeqCst);
        Ok(Self {
            tracker: net.tracker().clone(),
            counted: Mutex::default(),
            _memory: memory,
        })
    }

    fn add(&self, net: &FakeNet, pkt: &Packet, _ipv6: bool, zone: u16) -> u32 {
        let conn = pkt.conn();
        assert!(!conn.state().confirmed && conn.zone == zone);
        let mut counted = lock(&self.counted);
        if !counted.iter().any(|c| c.as_ptr() == Arc::as_ptr(conn)) {
            counted.push(Arc::downgrade(conn));
        }
        drop(counted);
        self.get(net, zone)
    }

    fn get(&self, _net: &FakeNet, zone: u16) -> u32 {
        let mut counted = lock(&self.counted);
        counted.retain(|c| c.strong_count() > 0);
        let alive = counted.iter().filter_map(Weak::upgrade);
        alive.filter(|c| c.zone == zone).count() as u32
    }
}
