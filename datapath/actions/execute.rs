// SPDX-License-Identifier: GPL-2.0
//! Runs an action list on a packet (spec A8 to A13).
//!
//! A list ends by consuming its packet: the last action takes it, or it is dropped. A nested list that comes last goes
//! on in the same loop, so nesting costs no stack; other nested lists get a clone of the packet, and where they change
//! the key a copy of that too, as long as this CPU has copies. After that they wait for the outermost list to end.
//!
//! C counterpart: `ovs_execute_actions()` in `net/openvswitch/actions.c`.

use super::defer::{self, defer, Storage, Then};
use super::list::{Action, Actions, HashAlg};
use super::nested::{self, Branch};
use super::output::{output, output_copy};
use super::straight::straight;
use super::tell::tell;
use super::{aggregate, jhash, push_pop, set_field};
use crate::datapath::conntrack::execute as conntrack;
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{DeviceOps, Env, Packet, PacketOps};
use crate::datapath::error::DropReason;
use crate::datapath::flow::extract;
use crate::datapath::flow::parts::FlowKey;
use crate::datapath::trace::{self, RECURSION_LIMIT};
use crate::rust::sync::{BhGuard, GlobalPerCpu, ProcessContext, RcuRef};
use core::ops::Range;
use kernel::error::code::{EINVAL, ENETDOWN, ENOMEM};
use kernel::error::Result;
use kernel::{fmt, pr_crit};

/// Every CPU's level, key copies and deferred lists. The module frees it when no packet can come any more.
pub static STORAGE: GlobalPerCpu<Storage> = GlobalPerCpu::new();

/// Allocates what execution needs; before the first packet.
pub fn init(ctx: &ProcessContext) -> Result {
    Ok(STORAGE.init(ctx, |_cpu| Storage::new())?)
}

/// What stays the same while a list runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub dp: &'a Datapath,
    pub bh: &'a BhGuard,
    pub(super) storage: &'a Storage,
}

/// The list being executed: part of a flow's actions.
#[derive(Clone)]
struct List<'a> {
    acts: RcuRef<'a, Actions>,
    /// All of them.
    all: &'a [Action],
    range: Range<usize>,
}

impl<'a> List<'a> {
    #[inline(always)]
    fn whole(acts: RcuRef<'a, Actions>) -> Self {
        let all = acts.get().as_slice();
        let range = 0..all.len();
        List { acts, all, range }
    }

    #[inline(always)]
    fn actions(&self) -> &'a [Action] {
        self.all.get(self.range.clone()).unwrap_or(&[])
    }

    /// A nested list of `len` actions, which has still `behind` actions of this list after it.
    fn inner(&self, len: usize, behind: usize) -> Self {
        let end = self.range.end.wrapping_sub(behind);
        List {
            range: end.wrapping_sub(len)..end,
            ..*self
        }
    }

    /// Goes on in a nested list instead of in this one, which has `rest` to come; `behind`: lists of the same action after it.
    #[inline(always)]
    fn enter(&mut self, rest: &mut &'a [Action], len: usize, behind: usize) -> Result {
        *self = self.inner(len, behind.wrapping_add(rest.len()));
        *rest = self.actions();
        Ok(())
    }
}

/// A packet's key, and whether it still describes the packet (spec A9).
pub struct Key<'k> {
    pub key: &'k mut FlowKey,
    pub valid: bool,
}

/// Runs `acts` on `pkt`, whose key is `key`. The packet is consumed whatever the result.
#[inline]
pub fn execute(
    dp: &Datapath,
    pkt: Packet,
    key: &mut FlowKey,
    acts: RcuRef<'_, Actions>,
    bh: &BhGuard,
) -> Result {
    match acts.get().only_output() {
        Some(port) => execute_output(dp, pkt, key, acts, port, bh),
        None if acts.get().is_straight() => execute_straight(dp, pkt, key, acts, bh),
        None => execute_list(dp, pkt, key, acts, bh),
    }
}

/// One output, as most flows have it.
#[inline(never)]
fn execute_output(
    dp: &Datapath,
    pkt: Packet,
    key: &mut FlowKey,
    acts: RcuRef<'_, Actions>,
    port: u16,
    bh: &BhGuard,
) -> Result {
    within(dp, pkt, key, acts, bh, |cx, pkt, key| {
        output(cx, pkt, port, key.key);
        Ok(())
    })
}

/// Changes of the packet, outputs and upcalls, and an output ([`Actions::is_straight`]): what most other flows have.
#[inline(never)]
fn execute_straight(
    dp: &Datapath,
    pkt: Packet,
    key: &mut FlowKey,
    acts: RcuRef<'_, Actions>,
    bh: &BhGuard,
) -> Result {
    within(dp, pkt, key, acts, bh, |cx, pkt, key| {
        straight(cx, pkt, key, acts)
    })
}

/// Any list.
#[inline(never)]
fn execute_list(
    dp: &Datapath,
    pkt: Packet,
    key: &mut FlowKey,
    acts: RcuRef<'_, Actions>,
    bh: &BhGuard,
) -> Result {
    within(dp, pkt, key, acts, bh, |cx, pkt, key| {
        run::<false>(cx, List::whole(acts), pkt, key)
    })
}

/// What is before and after every list. An output may come back in through another port, and put something off there.
#[inline(always)]
fn within<'a>(
    dp: &'a Datapath,
    mut pkt: Packet,
    key: &mut FlowKey,
    acts: RcuRef<'a, Actions>,
    bh: &'a BhGuard,
    run: impl FnOnce(&Context<'a>, Packet, &mut Key<'_>) -> Result,
) -> Result {
    let mut key = Key { key, valid: true };
    let Some(storage) = STORAGE.get(bh) else {
        pkt.discard(DropReason::NoMem);
        return Err(ENOMEM);
    };
    let level = storage.enter();
    let cx = Context { dp, bh, storage };
    pkt.meta_mut().acts_origlen = acts.get().orig_len();
    let how = match level.depth() <= trace::usual_depth() {
        true => Start::Usual,
        false => start(storage, acts.get(), level.depth()),
    };
    let result = match how {
        Start::Usual => run(&cx, pkt, &mut key),
        Start::Traced => traced(cx, pkt, key.key, acts),
        Start::Refused => too_deep(dp, pkt, bh),
    };
    if storage.is_touched() {
        leave(storage, level.depth(), bh);
    }
    result
}

/// How a list starts.
enum Start {
    Usual,
    Traced,
    /// Too deep in others, or one too many.
    Refused,
}

/// How one does that is inside others, or traced.
#[inline(never)]
fn start(storage: &Storage, acts: &Actions, depth: u32) -> Start {
    if depth > RECURSION_LIMIT || depth > 1 && !storage.allows(acts.as_slice().len()) {
        return Start::Refused;
    }
    match trace::usual_depth() {
        0 => Start::Traced,
        _ => Start::Usual,
    }
}

/// A list that is told action by action.
#[cold]
#[inline(never)]
fn traced(cx: Context<'_>, pkt: Packet, key: &mut FlowKey, acts: RcuRef<'_, Actions>) -> Result {
    let mut key = Key { key, valid: true };
    run::<true>(&cx, List::whole(acts), pkt, &mut key)
}

#[cold]
#[inline(never)]
fn too_deep(dp: &Datapath, pkt: Packet, bh: &BhGuard) -> Result {
    if crate::World::log_allowed() {
        pr_crit!(
            "ovs: recursion limit reached on datapath {}, probable configuration error\n",
            Name(dp, bh)
        );
    }
    pkt.discard(DropReason::RecursionLimit);
    Err(ENETDOWN)
}

/// What a datapath's local device is called now, for the log.
pub(super) struct Name<'a>(pub &'a Datapath, pub &'a BhGuard);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .0
            .ports
            .local(self.1)
            .map(|port| port.dev.name())
            .unwrap_or_default();
        let name = name.split(|&b| b == 0).next().unwrap_or(&[]);
        f.write_str(core::str::from_utf8(name).unwrap_or("?"))
    }
}

/// Runs a list from its first action on, which who has a whole list finds without looking at its range.
#[inline(always)]
fn run<const TRACED: bool>(
    cx: &Context<'_>,
    list: List<'_>,
    pkt: Packet,
    key: &mut Key<'_>,
) -> Result {
    let rest = list.actions();
    run_from::<TRACED>(*cx, list, rest, pkt, key)
}

/// The loop over a list, of which `rest` is left. Frames stay small: everything that is seldom or needs room is a function of
/// its own.
#[inline(never)]
fn run_from<'a, const TRACED: bool>(
    cx: Context<'_>,
    mut list: List<'a>,
    mut rest: &'a [Action],
    mut pkt: Packet,
    key: &mut Key<'_>,
) -> Result {
    let cx = &cx;
    loop {
        let Some((action, after)) = rest.split_first() else {
            return stop(pkt, DropReason::LastAction);
        };
        if TRACED {
            note(cx, &list, rest, &pkt, key);
        }
        // What most packets do, before all else.
        if let Action::Output(port) = *action {
            if after.is_empty() {
                output(cx, pkt, port, key.key);
                return Ok(());
            }
            output_copy(cx, &mut pkt, port, key.key);
            rest = after;
            continue;
        }
        rest = after;
        let result = match *action {
            Action::Userspace(_) | Action::Psample(_) => {
                pkt = tell(cx, list.acts.get(), &list.range, action, pkt, key);
                if rest.is_empty() {
                    return Ok(()); // consumed, not dropped
                }
                Ok(())
            }
            Action::Recirc(id) => match refresh(&mut pkt, key) {
                Ok(()) if rest.is_empty() => return recirculate(cx, pkt, key, id),
                Ok(()) => recirculate_copy(cx, &mut pkt, key, id),
                Err(e) => Err(e),
            },
            Action::Sample { .. } | Action::Clone(_) | Action::CheckPktLen(_) => {
                rest = behind(action, rest);
                match nested::choose(&pkt, action) {
                    None => Ok(()),
                    Some(branch) if rest.is_empty() => {
                        branch.mark(&mut pkt);
                        list.enter(&mut rest, branch.len, branch.behind)
                    }
                    Some(branch) => {
                        run_on_copy::<TRACED>(cx, &list, &branch, rest.len(), &mut pkt, key)
                    }
                }
            }
            Action::DecTtl(body) => {
                rest = behind(action, rest);
                match nested::dec_ttl(&mut pkt, key.key) {
                    Ok(false) if body.len == 0 => return stop(pkt, DropReason::IpTtl),
                    Ok(false) => list.enter(&mut rest, body.len as usize, 0),
                    alive => alive.map(drop),
                }
            }
            Action::Meter(id) if exceeds_meter(cx.dp, pkt.len(), id, cx.bh) => {
                return stop(pkt, DropReason::Meter);
            }
            Action::Ct(index) => match track(cx, &list, index, pkt, key)? {
                Some(tracked) => {
                    pkt = tracked;
                    Ok(())
                }
                None => return Ok(()), // kept: fragments wait for others
            },
            Action::Drop(error) => return stop(pkt, on_purpose(error)),
            ref change => edit(&mut pkt, key, list.acts.get(), change),
        };
        if let Err(e) = result {
            pkt.discard(DropReason::ActionError);
            return Err(e);
        }
    }
}

/// Tells the tracepoint of the first action of `rest`.
#[cold]
#[inline(never)]
fn note(cx: &Context<'_>, list: &List<'_>, rest: &[Action], pkt: &Packet, key: &Key<'_>) {
    let (key, acts) = ((&*key.key, key.valid), list.acts.get());
    trace::action(cx.dp, pkt, key, acts, rest, cx.bh);
}

/// Why DROP drops, by its error number.
#[inline(always)]
fn on_purpose(error: u32) -> DropReason {
    match error {
        0 => DropReason::Explicit,
        _ => DropReason::ExplicitWithError,
    }
}

/// The end of a packet that is no error.
#[inline(always)]
pub(super) fn stop(pkt: Packet, why: DropReason) -> Result {
    pkt.discard(why);
    Ok(())
}

/// What comes after `action` and its nested list; `after`: after itself.
#[inline(always)]
fn behind<'a>(action: &Action, after: &'a [Action]) -> &'a [Action] {
    after.get(action.body_len()..).unwrap_or(&[])
}

/// The actions that do nothing but change the packet and its key. Each is a function of its own, so
/// that this one needs no stack.
#[inline(never)]
pub(super) fn edit(pkt: &mut Packet, key: &mut Key<'_>, acts: &Actions, action: &Action) -> Result {
    match *action {
        Action::SetAddresses { .. } | Action::SetTosTtl(_) | Action::Set { .. } => {
            set_field::set(pkt, key.key, acts, action)
        }
        Action::SetTunnel { index, .. } => {
            if let Some(tunnel) = acts.tunnel(index) {
                pkt.set_tunnel(tunnel);
            }
            Ok(())
        }
        Action::PushVlan(ref tag) => push_pop::push_vlan(pkt, key, tag),
        Action::PopVlan => push_pop::pop_vlan(pkt, key),
        Action::Trunc(max_len) => {
            pkt.meta_mut().cutlen = max_len;
            Ok(())
        }
        Action::Hash { alg, basis } => {
            hash(pkt, key.key, alg, basis);
            Ok(())
        }
        Action::PushMpls(ref arg) => push_pop::push_mpls(pkt, key, arg),
        Action::AddMpls(ref arg) => push_pop::add_mpls(pkt, key, arg),
        Action::PopMpls(eth_type) => push_pop::pop_mpls(pkt, key, eth_type),
        Action::PushNsh(ref nsh) => push_pop::push_nsh(pkt, key, acts.nsh_header(nsh)),
        Action::PopNsh => push_pop::pop_nsh(pkt, key),
        Action::PushEth { ref src, ref dst } => push_pop::push_eth(pkt, key, src, dst),
        Action::PopEth => push_pop::pop_eth(pkt, key),
        Action::CtClear => {
            conntrack::clear(pkt, key.key);
            Ok(())
        }
        // Of these `run` takes care, but for a meter that lets the packet pass.
        Action::Output(_)
        | Action::Userspace(_)
        | Action::Recirc(_)
        | Action::Sample { .. }
        | Action::Clone(_)
        | Action::Ct(_)
        | Action::CheckPktLen(_)
        | Action::DecTtl(_)
        | Action::Meter(_)
        | Action::Psample(_)
        | Action::Drop(_) => Ok(()),
    }
}

/// METER: whether the packet must go. A meter that does not exist lets all pass.
#[inline(never)]
pub(super) fn exceeds_meter(dp: &Datapath, len: usize, id: u32, bh: &BhGuard) -> bool {
    let Some(meter) = dp.meters.find(id, bh) else {
        return false;
    };
    let len = len as u64; // CAST: usize fits
    meter.charge(len, crate::World::now_ms(), bh)
}

/// A nested list that is not the last action, on a clone. No memory for one: skipped. `after`: how many actions of
/// `outer` come after the one that holds it.
#[inline(never)]
fn run_on_copy<const TRACED: bool>(
    cx: &Context<'_>,
    outer: &List<'_>,
    branch: &Branch,
    after: usize,
    pkt: &mut Packet,
    key: &mut Key<'_>,
) -> Result {
    let list = outer.inner(branch.len, branch.behind.wrapping_add(after));
    let Some(mut copy) = aggregate::copy(cx, pkt) else {
        return Ok(());
    };
    branch.mark(&mut copy);
    if branch.in_place {
        return run::<TRACED>(cx, list, copy, key);
    }
    let Some(mut own) = cx.storage.take_key() else {
        let then = Then::Run(list.acts.pin(), list.range);
        defer(cx, copy, key, key.key.recirc_id, then);
        return Ok(());
    };
    own.copy_from(key.key);
    let level = cx.storage.enter();
    let result = run::<TRACED>(
        cx,
        list,
        copy,
        &mut Key {
            key: &mut own,
            valid: key.valid,
        },
    );
    drop(level);
    cx.storage.put_key(own);
    result
}

#[inline(never)]
fn recirculate_copy(cx: &Context<'_>, pkt: &mut Packet, key: &Key<'_>, id: u32) -> Result {
    match aggregate::copy(cx, pkt) {
        Some(copy) => recirculate(cx, copy, key, id),
        None => Ok(()),
    }
}

/// Looks the packet up again under another recirculation id. The list's own key stays as it is.
#[inline(never)]
fn recirculate(cx: &Context<'_>, pkt: Packet, key: &Key<'_>, id: u32) -> Result {
    let Some(mut own) = cx.storage.take_key() else {
        recirculate_later(cx, pkt, key, id);
        return Ok(());
    };
    own.copy_from(key.key);
    own.recirc_id = id;
    look_up_again(cx, pkt, &mut own);
    cx.storage.put_key(own);
    Ok(())
}

/// What one packet may cost includes its look-ups, and those that lead to userspace (spec A10).
#[inline(never)]
fn look_up_again(cx: &Context<'_>, pkt: Packet, key: &mut FlowKey) {
    if !cx.storage.affords(defer::LOOKUP) {
        _ = too_deep(cx.dp, pkt, cx.bh);
        return;
    }
    let masks = cx.dp.process(pkt, key, cx.bh);
    cx.storage.spend(masks);
}

#[cold]
#[inline(never)]
fn recirculate_later(cx: &Context<'_>, pkt: Packet, key: &Key<'_>, id: u32) {
    defer(cx, pkt, key, id, Then::Recirculate);
}

/// The end of a list, if it is the outermost.
#[inline(never)]
fn leave(storage: &Storage, depth: u32, bh: &BhGuard) {
    if depth == 1 {
        if storage.has_deferred() {
            run_deferred(storage, bh);
        }
        storage.forget_work();
    }
}

/// The end of the outermost list: runs what was put off, and what that puts off in turn, each in its own datapath.
#[cold]
#[inline(never)]
fn run_deferred(storage: &Storage, bh: &BhGuard) {
    while let Some((work, mut own)) = storage.pop() {
        let dp = &*work.dp;
        match work.then {
            Then::Run(ref acts, range) => {
                let mut list = List::whole(acts.as_ref());
                list.range = range;
                let mut key = Key {
                    key: &mut own,
                    valid: work.key_valid,
                };
                let cx = Context { dp, bh, storage };
                // Its drops say why.
                let _ = match trace::usual_depth() {
                    0 => run::<true>(&cx, list, work.pkt, &mut key),
                    _ => run::<false>(&cx, list, work.pkt, &mut key),
                };
            }
            Then::Recirculate => look_up_again(&Context { dp, bh, storage }, work.pkt, &mut own),
        }
        storage.put_deferred_key(own);
    }
}

/// Makes the key describe the packet again.
#[inline(always)]
fn refresh(pkt: &mut Packet, key: &mut Key<'_>) -> Result {
    if !key.valid {
        extract::refresh(pkt, key.key)?;
        key.valid = true;
    }
    Ok(())
}

/// CT. The packet goes on, or was kept; on error it was dropped.
#[inline(never)]
fn track(
    cx: &Context<'_>,
    list: &List<'_>,
    index: u32,
    mut pkt: Packet,
    key: &mut Key<'_>,
) -> Result<Option<Packet>> {
    let ready = refresh(&mut pkt, key);
    match (ready, list.acts.get().ct(index)) {
        (Ok(()), Some(ct)) => conntrack::execute(&cx.dp.net, pkt, key.key, ct),
        (ready, _) => {
            pkt.discard(DropReason::ActionError);
            Err(ready.err().unwrap_or(EINVAL))
        }
    }
}

#[inline(never)]
fn hash(pkt: &mut Packet, key: &mut FlowKey, alg: HashAlg, basis: u32) {
    let flow = match alg {
        HashAlg::L4 => pkt.flow_hash(),
        HashAlg::SymL4 => pkt.symmetric_hash(),
    };
    key.dp_hash = match jhash::one_word(flow, basis) {
        0 => 1, // 0 means no hash
        h => h,
    };
}
