// SPDX-License-Identifier: GPL-2.0
//! ovs_flow messages: requests into typed values, flows into bytes (spec 1.3).
//!
//! C counterpart: the first half of each `ovs_flow_cmd_*()` and `ovs_flow_cmd_fill_info()` in
//! `net/openvswitch/datapath.c`.

use crate::datapath::abi::{flow_attr, ufid_flag};
use crate::datapath::actions::Actions;
use crate::datapath::env::{Env, Net};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::entry::Flow;
use crate::datapath::flow::key::Ufid;
use crate::datapath::flow::parts::KeyBuf;
use crate::datapath::flow::stats::Totals;
use crate::datapath::netlink::actions;
use crate::datapath::netlink::attr::{align, Attr, HDRLEN};
use crate::datapath::netlink::key::{
    parse_key, parse_match, parse_ufid, put_key, FlowMatch, KEY_ATTRS_MAX,
};
use crate::datapath::netlink::writer::{MsgHeader, Put, Writer, MSG_HDRLEN};
use crate::datapath::netlink::{Request, TopAttrs};
use crate::rust::sync::ReadToken;
use crate::World;
use kernel::error::code::EINVAL;
use kernel::pr_info;

/// NEW: a flow that shall exist.
pub struct FlowNew {
    pub ufid: Option<Ufid>,
    pub actions: Actions,
    pub ufid_flags: u32,
}

/// SET: a change of a flow.
pub struct FlowSet<'m> {
    pub which: FlowName<'m>,
    pub actions: Option<Actions>,
    /// Zero the statistics.
    pub clear: bool,
    pub ufid_flags: u32,
}

/// GET, and DEL of one flow.
pub struct FlowRef<'m> {
    pub which: FlowName<'m>,
    pub ufid_flags: u32,
}

/// How a request names a flow.
pub enum FlowName<'m> {
    Ufid(Ufid),
    /// Unmasked. It stays where it was read: a key is too large to be moved.
    Key(&'m KeyBuf),
}

/// Reads NEW (spec F1); what it matches goes into `m`.
pub fn parse_new(req: &Request<'_>, m: &mut FlowMatch) -> NlResult<FlowNew> {
    let a = req.attrs;
    let probe = is_probe(a);
    let Some(key) = a.get(flow_attr::KEY) else {
        return Err(NlError::new(
            EINVAL,
            c"Flow key attr not present in new flow.",
        ));
    };
    let Some(actions) = a.get(flow_attr::ACTIONS) else {
        return Err(NlError::new(
            EINVAL,
            c"Flow actions attr not present in new flow.",
        ));
    };
    parse_match(req.net, key, a.get(flow_attr::MASK), m)?;
    let ufid = ufid(a);
    let actions = compile(
        req.net,
        actions,
        m,
        probe,
        "Flow actions may not be safe on all matching packets.",
    )?;
    Ok(FlowNew {
        ufid,
        actions,
        ufid_flags: ufid_flags(a),
    })
}

/// Reads SET (spec F7); what it matches goes into `parsed`, if it says so.
pub fn parse_set<'m>(
    req: &Request<'_>,
    parsed: &'m mut Option<FlowMatch>,
) -> NlResult<FlowSet<'m>> {
    let a = req.attrs;
    let probe = is_probe(a);
    let ufid = ufid(a);
    let key = a.get(flow_attr::KEY);
    let acts = a.get(flow_attr::ACTIONS);
    if let Some(key) = key {
        let m = parsed.insert(FlowMatch::empty());
        parse_match(req.net, key, a.get(flow_attr::MASK), m)?;
    }
    let parsed = parsed.as_ref();
    let actions = match (acts, parsed) {
        (Some(acts), Some(m)) => Some(compile(
            req.net,
            acts,
            m,
            probe,
            "Actions may not be safe on all matching packets",
        )?),
        (Some(acts), None) if ufid.is_some() => {
            let why = c"Flow key attribute not present in set flow.";
            return Err(NlError::at(EINVAL, why, acts.whole()));
        }
        _ => None,
    };
    let which = match (ufid, parsed) {
        (Some(ufid), _) => FlowName::Ufid(ufid),
        (None, Some(m)) => FlowName::Key(&m.key),
        (None, None) => {
            let why = c"Flow set message rejected, Key attribute missing.";
            return Err(NlError::new(EINVAL, why));
        }
    };
    let clear = a.get(flow_attr::CLEAR).is_some();
    Ok(FlowSet {
        which,
        actions,
        clear,
        ufid_flags: ufid_flags(a),
    })
}

/// Reads GET (spec F8); a key goes into `key`.
pub fn parse_get<'m>(req: &Request<'_>, key: &'m mut Option<KeyBuf>) -> NlResult<FlowRef<'m>> {
    match parse_name(req.net, req.attrs, key)? {
        Some(which) => Ok(FlowRef {
            which,
            ufid_flags: ufid_flags(req.attrs),
        }),
        None => {
            let why = c"Flow get message rejected, Key attribute missing.";
            Err(NlError::new(EINVAL, why))
        }
    }
}

/// Reads DEL (spec F9); `None`: all flows. A key goes into `key`.
///
/// A UFID of a bad length and no key is refused: C takes the UFID for absent and flushes the table (spec F2, Q6).
pub fn parse_del<'m>(
    req: &Request<'_>,
    key: &'m mut Option<KeyBuf>,
) -> NlResult<Option<FlowRef<'m>>> {
    let a = req.attrs;
    match (parse_name(req.net, a, key)?, a.get(flow_attr::UFID)) {
        (Some(which), _) => Ok(Some(FlowRef {
            which,
            ufid_flags: ufid_flags(a),
        })),
        (None, Some(bad)) => Err(NlError::at(
            EINVAL,
            c"ufid size is not in the range 1 to 16",
            bad.whole(),
        )),
        (None, None) => Ok(None),
    }
}

/// The actions, checked against every packet that the match allows: the masked key is what is known of them.
fn compile(net: &Net, attr: Attr<'_>, m: &FlowMatch, probe: bool, what: &str) -> NlResult<Actions> {
    let actions = actions::parse(net, attr, &m.mask.apply_core(&m.key), probe);
    if actions.is_err() && !probe && World::log_allowed() {
        // The kernel's selftests look for this sentence (spec N11).
        pr_info!("netlink: {what}\n");
    }
    actions
}

/// The UFID if there is a valid one, else the key; the key must parse even if the UFID is used.
#[inline(always)]
fn parse_name<'m>(
    net: &Net,
    a: &TopAttrs<'_>,
    key: &'m mut Option<KeyBuf>,
) -> NlResult<Option<FlowName<'m>>> {
    if let Some(attr) = a.get(flow_attr::KEY) {
        read_key(net, attr, key)?;
    }
    Ok(match ufid(a) {
        Some(ufid) => Some(FlowName::Ufid(ufid)),
        None => key.as_ref().map(FlowName::Key),
    })
}

#[inline(never)]
fn read_key(net: &Net, attr: Attr<'_>, key: &mut Option<KeyBuf>) -> NlResult {
    *key = Some(parse_key(net, attr)?);
    Ok(())
}

fn is_probe(a: &TopAttrs<'_>) -> bool {
    a.get(flow_attr::PROBE).is_some()
}

fn ufid(a: &TopAttrs<'_>) -> Option<Ufid> {
    parse_ufid(a.get(flow_attr::UFID))
}

/// `OVS_UFID_F_*` of a request.
pub fn ufid_flags(a: &TopAttrs<'_>) -> u32 {
    a.get(flow_attr::UFID_FLAGS)
        .and_then(|f| f.u32())
        .unwrap_or(0)
}

/// Bytes of STATS: packets, bytes.
const STATS_LEN: usize = 16;

/// Bytes of an attribute with `len` bytes of payload.
const fn total(len: usize) -> usize {
    align(HDRLEN.wrapping_add(len))
}

/// Most bytes of a message about `flow` once it has `actions` (spec N12).
pub fn message_size(flow: &Flow, actions: &Actions, ufid_flags: u32) -> usize {
    let omit = |flag| ufid_flags & flag != 0;
    let id = match flow.ufid() {
        Some(ufid) if omit(ufid_flag::OMIT_KEY) => total(ufid.as_slice().len()),
        Some(ufid) => total(ufid.as_slice().len()).wrapping_add(KEY_ATTRS_MAX),
        None => KEY_ATTRS_MAX,
    };
    let mask = if omit(ufid_flag::OMIT_MASK) {
        0
    } else {
        KEY_ATTRS_MAX
    };
    let actions = if omit(ufid_flag::OMIT_ACTIONS) {
        0
    } else {
        total(actions.dump_len())
    };
    let stats = total(STATS_LEN)
        .wrapping_add(total(8))
        .wrapping_add(total(1));
    [MSG_HDRLEN, id, mask, stats, actions]
        .iter()
        .fold(0, |sum, n| sum.wrapping_add(*n))
}

/// Writes the message about `flow` (spec F10). Nothing is written if it does not fit; if `w` was empty, a message
/// too large only because of its actions goes without them (spec F11).
pub fn put_flow(
    w: &mut Writer<'_>,
    header: &MsgHeader,
    flow: &Flow,
    ufid_flags: u32,
    token: &impl ReadToken,
) -> Put {
    let only = w.is_empty();
    w.message(header, |w| put_attrs(w, flow, ufid_flags, only, token))
}

fn put_attrs(
    w: &mut Writer<'_>,
    flow: &Flow,
    ufid_flags: u32,
    only: bool,
    token: &impl ReadToken,
) -> Put {
    put_id(w, flow, ufid_flags)?;
    if ufid_flags & ufid_flag::OMIT_MASK == 0 {
        if let Some(mask) = flow.mask() {
            put_key(w, flow_attr::MASK, flow.key(), Some(&mask.key))?;
        }
    }
    put_stats(w, &flow.stats.read())?;
    if ufid_flags & ufid_flag::OMIT_ACTIONS == 0 {
        let before = w.mark();
        let fits = match flow.actions.read(token) {
            Some(actions) => actions::put(&actions, w, flow_attr::ACTIONS),
            None => Ok(()),
        };
        match fits {
            Err(_) if only => w.cancel(before),
            fits => fits?,
        }
    }
    Ok(())
}

fn put_id(w: &mut Writer<'_>, flow: &Flow, ufid_flags: u32) -> Put {
    match (flow.ufid(), flow.unmasked_key()) {
        (Some(ufid), _) => {
            w.put(flow_attr::UFID, ufid.as_slice())?;
            if ufid_flags & ufid_flag::OMIT_KEY == 0 {
                put_key(w, flow_attr::KEY, flow.key(), None)?;
            }
            Ok(())
        }
        (None, Some(key)) => put_key(w, flow_attr::KEY, key, None),
        (None, None) => Ok(()),
    }
}

fn put_stats(w: &mut Writer<'_>, stats: &Totals) -> Put {
    if let Some(used) = stats.used_ms() {
        w.put_u64(flow_attr::USED, used)?;
    }
    if stats.packets != 0 {
        let both = w.reserve(flow_attr::STATS, STATS_LEN)?;
        let (packets, bytes) = both.split_at_mut(STATS_LEN / 2);
        packets.copy_from_slice(&stats.packets.to_ne_bytes());
        bytes.copy_from_slice(&stats.bytes.to_ne_bytes());
    }
    let [_, low] = stats.tcp_flags.to_ne_bytes();
    if low != 0 {
        w.put_u8(flow_attr::TCP_FLAGS, low)?;
    }
    Ok(())
}
