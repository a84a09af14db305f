// SPDX-License-Identifier: GPL-2.0
//! ovs_flow requests: parse, prepare, commit under `ovs_mutex`, tell (spec 1.3).
//!
//! C counterpart: `ovs_flow_cmd_*()` in `net/openvswitch/datapath.c`.

use crate::datapath::abi::{cmd, version};
use crate::datapath::actions::Actions;
use crate::datapath::control::{find_dp, find_dp_rcu, reply_header, Outcome};
use crate::datapath::datapath::Datapath;
use crate::datapath::env::{Group, Net, NetOps, Reply, ReplyOps};
use crate::datapath::error::{NlError, NlResult};
use crate::datapath::flow::entry::{Flow, FlowEntry, PreparedFlow};
use crate::datapath::flow::parts::KeyBuf;
use crate::datapath::flow::table::Inserted;
use crate::datapath::netlink::flow::{
    message_size, parse_del, parse_get, parse_new, parse_set, put_flow, ufid_flags, FlowName,
    FlowNew, FlowRef, FlowSet,
};
use crate::datapath::netlink::key::FlowMatch;
use crate::datapath::netlink::writer::{MsgHeader, Writer};
use crate::datapath::netlink::{nlm, policy, Request, TopAttrs};
use crate::rust::sync::{BhGuard, MaySleep, OvsGuard, RcuBox};
use kernel::alloc::flags::GFP_KERNEL;
use kernel::error::code::{EEXIST, EMSGSIZE, ENOENT};
use kernel::error::Result;

/// NEW: creates a flow, or without NLM_F_CREATE and NLM_F_EXCL changes one (spec F1 to F6).
pub fn new(req: &Request<'_>) -> NlResult<Outcome> {
    let mut m = FlowMatch::empty();
    let parsed = parse_new(req, &mut m)?;
    let mut new = PreparedNew::prepare(req, parsed, &m)?;
    let ovs = OvsGuard::lock(req.ctx);
    new.commit(req, &ovs)
    // The guard goes before `new`: what was not used is freed outside of the lock.
}

/// SET: changes the actions or clears the statistics of a flow (spec F7).
pub fn set(req: &Request<'_>) -> NlResult<Outcome> {
    let mut m = None;
    let mut set = PreparedSet::prepare(req, parse_set(req, &mut m)?)?;
    let ovs = OvsGuard::lock(req.ctx);
    set.commit(req, &ovs)
}

/// GET: tells about one flow (spec F8).
pub fn get(req: &Request<'_>) -> NlResult<Outcome> {
    let mut key = None;
    let wanted = parse_get(req, &mut key)?;
    let ovs = OvsGuard::lock(req.ctx);
    let dp = find_dp(req.net, req.dp_ifindex, &ovs)?;
    let flow = find(dp, &wanted.which, &ovs)?;
    let mut msg = Message::new(req, wanted.ufid_flags);
    msg.make_room_for(&flow, None, &ovs)?;
    msg.fill(cmd::GET, &flow, &ovs)?;
    Ok(msg.reply.take().map_or(Outcome::Done, Outcome::Reply))
}

/// DEL: deletes one flow, or all (spec F9).
pub fn del(req: &Request<'_>) -> NlResult<Outcome> {
    let mut key = None;
    let wanted = parse_del(req, &mut key)?;
    let ovs = OvsGuard::lock(req.ctx);
    let dp = find_dp(req.net, req.dp_ifindex, &ovs)?;
    match wanted {
        None => {
            dp.table.flush(&ovs);
            Ok(Outcome::Done)
        }
        Some(wanted) => del_one(req, dp, &wanted, &ovs),
    }
}

/// Fills `w` with as many flows as fit, from the cursor on (spec F11, F12). Nothing written means the end.
///
/// `header` is that of every message, and says which datapath; `cursor` starts as zeros and is kept by the caller between calls.
pub fn dump(
    net: &Net,
    attrs: &[u8],
    cursor: &mut [u64; 2],
    header: MsgHeader,
    w: &mut Writer<'_>,
) -> NlResult {
    let mut top = TopAttrs::empty();
    policy::validate(Group::Flow, attrs, &mut top)?;
    let ufid_flags = ufid_flags(&top);
    // BH stay off for the batch, so that softirqs do not run between its flows (spec B59).
    let bh = &*BhGuard::enter();
    let dp = find_dp_rcu(net, header.dp_ifindex, bh.rcu())?;
    let mut next = *cursor;
    while let Some(flow) = dp.table.next(&mut next, bh) {
        if put_flow(w, &header, &flow, ufid_flags, bh).is_err() {
            break;
        }
        *cursor = next;
    }
    Ok(())
}

/// NEW with everything allocated.
struct PreparedNew<'m> {
    /// Gone once it is in the table.
    flow: Option<PreparedFlow<'m>>,
    /// Unmasked.
    key: &'m KeyBuf,
    msg: Message,
}

impl<'m> PreparedNew<'m> {
    fn prepare(req: &Request<'_>, new: FlowNew, m: &'m FlowMatch) -> NlResult<Self> {
        let FlowNew {
            ufid,
            actions,
            ufid_flags,
        } = new;
        let actions = RcuBox::new(actions, GFP_KERNEL)?;
        let mut msg = Message::new(req, ufid_flags);
        let flow = PreparedFlow::new(&m.key, &m.mask, ufid, actions, GFP_KERNEL)?;
        if must_notify(req) {
            msg.make_room_for_new(&flow, req.ctx)?;
        }
        Ok(Self {
            flow: Some(flow),
            key: &m.key,
            msg,
        })
    }

    fn commit(&mut self, req: &Request<'_>, ovs: &OvsGuard) -> NlResult<Outcome> {
        let dp = find_dp(req.net, req.dp_ifindex, ovs)?;
        let flow = match self.insert(dp, ovs)? {
            Ok(flow) => flow,
            Err(_) if req.flags & (nlm::CREATE | nlm::EXCL) != 0 => {
                return Err(NlError::new(EEXIST, c"Such a flow exists"));
            }
            Err(found) => self.modify(dp, found, ovs)?,
        };
        Ok(self.msg.event(cmd::NEW, flow, ovs))
    }

    /// Inserts the flow, unless there is one of this UFID, or else one that takes packets with this key: then tells which
    /// (spec F3).
    fn insert<'o>(
        &mut self,
        dp: &'o Datapath,
        ovs: &'o OvsGuard,
    ) -> NlResult<core::result::Result<&'o Flow, &'o Flow>> {
        let flow = self.flow.take().ok_or_else(no_flow)?;
        match dp.table.insert_unless_found(flow, self.key, ovs)? {
            Inserted::Yes(flow) => Ok(Ok(flow.get())),
            Inserted::No(found, new) => {
                self.flow = new;
                Ok(Err(found.get()))
            }
        }
    }

    /// Gives the flow that is meant (spec F4) the new actions (spec F5).
    fn modify<'o>(
        &mut self,
        dp: &'o Datapath,
        found: &'o Flow,
        ovs: &'o OvsGuard,
    ) -> NlResult<&'o Flow> {
        let flow = match found.unmasked_key() {
            None if found.key() == self.key => found,
            None => return Err(no_flow()),
            Some(key) if key == self.key => found,
            Some(_) => dp
                .table
                .lookup_exact(self.key, ovs)
                .ok_or_else(no_flow)?
                .get(),
        };
        let new = self.flow.as_ref().ok_or_else(no_flow)?;
        // The flow's own id may be longer than the request's.
        if self.msg.reply.is_some() {
            self.msg.make_room_for(flow, Some(new.actions()), ovs)?;
        }
        let actions = self.flow.take().map(PreparedFlow::into_actions);
        drop(flow.actions.replace(ovs, actions));
        Ok(flow)
    }
}

/// SET with everything allocated that can be without the flow.
struct PreparedSet<'m> {
    which: FlowName<'m>,
    actions: Option<RcuBox<Actions>>,
    clear: bool,
    msg: Message,
}

impl<'m> PreparedSet<'m> {
    fn prepare(req: &Request<'_>, set: FlowSet<'m>) -> NlResult<Self> {
        let actions = match set.actions {
            Some(actions) => Some(RcuBox::new(actions, GFP_KERNEL)?),
            None => None,
        };
        let msg = Message::new(req, set.ufid_flags);
        Ok(Self {
            which: set.which,
            actions,
            clear: set.clear,
            msg,
        })
    }

    fn commit(&mut self, req: &Request<'_>, ovs: &OvsGuard) -> NlResult<Outcome> {
        let dp = find_dp(req.net, req.dp_ifindex, ovs)?;
        let flow = find(dp, &self.which, ovs)?;
        if must_notify(req) {
            self.msg
                .make_room_for(&flow, self.actions.as_deref(), ovs)?;
        }
        if let Some(actions) = self.actions.take() {
            drop(flow.actions.replace(ovs, Some(actions)));
        }
        // The message tells the statistics from before they are cleared.
        let event = self.msg.event(cmd::SET, &flow, ovs);
        if self.clear {
            flow.stats.clear(ovs);
        }
        Ok(event)
    }
}

/// The message is written before the flow leaves the table (spec B20); without memory for it the flow goes all the same.
fn del_one(
    req: &Request<'_>,
    dp: &Datapath,
    wanted: &FlowRef<'_>,
    ovs: &OvsGuard,
) -> NlResult<Outcome> {
    let flow = find(dp, &wanted.which, ovs)?;
    let mut outcome = Outcome::Done;
    if must_notify(req) {
        let mut msg = Message::new(req, wanted.ufid_flags);
        outcome = match msg.make_room_for(&flow, None, ovs) {
            Ok(()) => msg.event(cmd::DEL, &flow, ovs),
            Err(err) => Outcome::Lost(Group::Flow, err),
        };
    }
    dp.table.remove(flow, ovs);
    Ok(outcome)
}

fn find<'o>(dp: &'o Datapath, which: &FlowName<'_>, ovs: &'o OvsGuard) -> NlResult<FlowEntry<'o>> {
    let flow = match which {
        FlowName::Ufid(ufid) => dp.table.lookup_ufid(ufid, ovs),
        FlowName::Key(key) => dp.table.lookup_exact(key, ovs),
    };
    flow.ok_or_else(no_flow)
}

#[cold]
fn no_flow() -> NlError {
    NlError::new(ENOENT, c"No such flow")
}

/// Somebody wants to know (spec N9).
fn must_notify(req: &Request<'_>) -> bool {
    req.flags & nlm::ECHO != 0 || req.net.has_listeners(Group::Flow)
}

/// A message about a flow: its buffer, allocated in time, and what it shall contain.
struct Message {
    header: MsgHeader,
    ufid_flags: u32,
    reply: Option<Reply>,
}

impl Message {
    fn new(req: &Request<'_>, ufid_flags: u32) -> Self {
        let header = reply_header(req, Group::Flow, version::FLOW, 0);
        let header = MsgHeader {
            dp_ifindex: req.dp_ifindex,
            ..header
        };
        Self {
            header,
            ufid_flags,
            reply: None,
        }
    }

    fn make_room(&mut self, size: usize, ctx: &impl MaySleep) -> Result {
        if self.reply.as_mut().map_or(0, |r| r.room().len()) < size {
            self.reply = Some(Reply::new(size, ctx)?);
        }
        Ok(())
    }

    /// Room for a flow not in the table yet.
    fn make_room_for_new(&mut self, new: &PreparedFlow<'_>, ctx: &impl MaySleep) -> Result {
        let size = message_size(new.flow(), new.actions(), self.ufid_flags);
        self.make_room(size, ctx)
    }

    /// Room for a flow of the table with its own or other actions.
    fn make_room_for(&mut self, flow: &Flow, actions: Option<&Actions>, ovs: &OvsGuard) -> Result {
        let size = match (actions, flow.actions.read(ovs)) {
            (Some(new), _) => message_size(flow, new, self.ufid_flags),
            (None, Some(own)) => message_size(flow, own.get(), self.ufid_flags),
            (None, None) => 0,
        };
        self.make_room(size, ovs)
    }

    /// Writes the message into its room, if there is one.
    fn fill(&mut self, cmd: u8, flow: &Flow, ovs: &OvsGuard) -> Result {
        if let Some(reply) = &mut self.reply {
            let mut w = Writer::new(reply.room());
            let header = MsgHeader { cmd, ..self.header };
            put_flow(&mut w, &header, flow, self.ufid_flags, ovs).map_err(|_| EMSGSIZE)?;
            let len = w.len();
            reply.set_len(len);
        }
        Ok(())
    }

    /// The message about a change that has been made; from here on nothing may fail the request.
    fn event(&mut self, cmd: u8, flow: &Flow, ovs: &OvsGuard) -> Outcome {
        match (self.fill(cmd, flow, ovs), self.reply.take()) {
            (Ok(()), Some(reply)) => Outcome::Notify(Group::Flow, reply),
            (Ok(()), None) => Outcome::Done,
            (Err(err), _) => Outcome::Lost(Group::Flow, err),
        }
    }
}
