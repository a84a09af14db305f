// SPDX-License-Identifier: GPL-2.0
//! The switch behind a pipe: netlink messages in, netlink messages out, as hexadecimal lines. `tests/answers/run.py` puts it
//! in the place of the kernel under the netlink cases of `tests/system`.
//!
//! Requests: `bind PORT`, `join PORT FAMILY`, `device NAME IFINDEX`, `rename OLD NEW`, `remove NAME`, `devices`,
//! `send PORT HEX`. Answers: lines `PORT HEX`, one a message (port 0: the names of the devices), then an empty line.
//!
//! Kernel counterpart: `net/netlink/af_netlink.c`, `genetlink.c`, as far as the cases look.

use kernel::error::code::EOPNOTSUPP;
use openvswitch::client::Message;
use openvswitch::client::FAMILIES;
use openvswitch::datapath::abi::cmd;
use openvswitch::datapath::control::{self, Outcome};
use openvswitch::datapath::env::{Group, ReplyOps};
use openvswitch::datapath::error::{NlError, NlResult};
use openvswitch::datapath::netlink::writer::{MsgHeader, Writer, MSG_HDRLEN};
use openvswitch::datapath::netlink::{nlm, policy, split_message, Request, TopAttrs};
use openvswitch::env::{DeviceKind, FakeNet, FakeReply};
use openvswitch::sys::testing::process_context;
use openvswitch::World;
use std::io::{BufRead, Write};

const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

struct Kernel {
    net: FakeNet,
    ports: Vec<u32>,
    members: Vec<(u32, u16)>,
    out: Vec<(u32, Vec<u8>)>,
}

fn main() {
    World::set_nr_cpu_ids(Some(1));
    openvswitch::datapath::actions::execute::init(&process_context()).expect("memory");
    let net = FakeNet::new();
    net.add_with_ifindex("lo", 1).set_kind(DeviceKind::Loopback);
    let mut kernel = Kernel {
        net,
        ports: vec![],
        members: vec![],
        out: vec![],
    };
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        kernel.obey(&line.split(' ').collect::<Vec<_>>());
        for (family, event) in kernel.net.take_multicasts() {
            kernel.multicast(family, event, 0, 0);
        }
        openvswitch::sys::testing::run_rcu();
        openvswitch::packet::take_drops();
        for (port, message) in kernel.out.drain(..) {
            let hex: String = message.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(stdout, "{port} {hex}").expect("a reader");
        }
        writeln!(stdout)
            .and_then(|()| stdout.flush())
            .expect("a reader");
    }
}

impl Kernel {
    fn obey(&mut self, words: &[&str]) {
        let number = |s: &str| s.parse::<u32>().expect("a number");
        match words {
            ["bind", port] => {
                self.ports.push(number(port));
                self.net.set_upcall_ports(Some(self.ports.clone()));
            }
            ["join", port, family] => {
                let family = number(family) as u16;
                for group in FAMILIES {
                    if FakeReply::family_id(group) == family {
                        self.net.listen(group, true);
                    }
                }
                self.members.push((number(port), family));
            }
            ["device", name, ifindex] => {
                let dev = self.net.add_with_ifindex(name, number(ifindex) as i32);
                dev.set_up(false);
            }
            ["rename", old, new] => self.net.device(old).expect("a device").rename(new),
            ["remove", name] => self.net.device(name).expect("a device").unregister(),
            ["devices"] => self
                .out
                .push((0, self.net.device_names().join(" ").into_bytes())),
            ["send", port, hex] => {
                let bytes = (0..hex.len())
                    .step_by(2)
                    .map(|i| u8::from_str_radix(&hex[i..i + 2], 16));
                let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().expect("hexadecimal");
                self.receive(number(port), &bytes);
            }
            other => panic!("what is {other:?}?"),
        }
    }

    /// A request comes in.
    fn receive(&mut self, portid: u32, bytes: &[u8]) {
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let (len, kind, flags, seq) = (
            word(0) as usize,
            word(4) as u16,
            (word(4) >> 16) as u16,
            word(8),
        );
        let family = FAMILIES
            .into_iter()
            .find(|&f| FakeReply::family_id(f) == kind)
            .expect("a family");
        let parts = split_message(&bytes[..len.min(bytes.len())]);
        let done = parts.and_then(|(dp_ifindex, attrs)| {
            let ids = MsgHeader {
                family: kind,
                flags,
                seq,
                portid,
                cmd: bytes[16],
                version: bytes[17],
                dp_ifindex,
            };
            if flags & NLM_F_DUMP == NLM_F_DUMP {
                self.dump(family, ids, attrs)
            } else {
                self.request(family, ids, attrs)
            }
        });
        for upcall in self.net.take_upcalls() {
            self.out.push((upcall.portid, upcall.message));
        }
        let dumped = flags & NLM_F_DUMP == NLM_F_DUMP && done.is_ok();
        if dumped || flags & NLM_F_ACK != 0 || done.is_err() {
            let errno = done.err().map_or(0, |e| e.errno.to_errno());
            let kind = if dumped { NLMSG_DONE } else { NLMSG_ERROR };
            let mut ack = Vec::new();
            ack.extend(36u32.to_ne_bytes());
            ack.extend(kind.to_ne_bytes());
            ack.extend(0x100u16.to_ne_bytes());
            ack.extend(seq.to_ne_bytes());
            ack.extend(portid.to_ne_bytes());
            ack.extend(errno.to_ne_bytes());
            ack.extend(&bytes[..16]);
            self.out.push((portid, ack));
        }
    }

    fn request(&mut self, family: Group, ids: MsgHeader, attrs: &[u8]) -> NlResult {
        let known = match family {
            Group::Packet => ids.cmd == 3,
            Group::CtLimit => (1..=3).contains(&ids.cmd),
            _ => (cmd::NEW..=cmd::SET).contains(&ids.cmd),
        };
        if !known {
            return Err(EOPNOTSUPP.into());
        }
        let net = self.net.clone();
        let mut top = TopAttrs::empty();
        policy::validate(family, attrs, &mut top)?;
        let request = Request {
            ctx: &process_context(),
            net: &net,
            cmd: ids.cmd,
            version: ids.version,
            dp_ifindex: ids.dp_ifindex,
            attrs: &top,
            portid: ids.portid,
            seq: ids.seq,
            flags: ids.flags,
        };
        match control::dispatch(family, &request)? {
            Outcome::Done | Outcome::Lost(..) => (),
            Outcome::Reply(reply) => self.out.push((ids.portid, reply.to_vec())),
            Outcome::Notify(family, reply) => {
                self.multicast(family, reply.to_vec(), ids.portid, ids.flags)
            }
        }
        Ok(())
    }

    /// To the members of the family's group; to the requester, if it asked for it, as an echo and not twice.
    fn multicast(&mut self, family: Group, message: Vec<u8>, requester: u32, flags: u16) {
        let echo = flags & nlm::ECHO != 0 && Message(message.clone()).portid() == requester;
        let id = FakeReply::family_id(family);
        let members = self
            .members
            .iter()
            .filter(|(port, group)| *group == id && !(echo && *port == requester));
        let to: Vec<u32> = members
            .map(|(port, _)| *port)
            .chain(echo.then_some(requester))
            .collect();
        self.out
            .extend(to.into_iter().map(|port| (port, message.clone())));
    }

    fn dump(&mut self, family: Group, ids: MsgHeader, attrs: &[u8]) -> NlResult {
        if ids.cmd != cmd::GET || matches!(family, Group::Packet | Group::Meter | Group::CtLimit) {
            return Err(NlError::from(EOPNOTSUPP));
        }
        let header = MsgHeader {
            flags: nlm::MULTI,
            cmd: cmd::GET,
            ..ids
        };
        let mut cursor = [0; 2];
        loop {
            let mut room = vec![0; 32768];
            let mut w = Writer::new(&mut room);
            control::dump(
                &process_context(),
                family,
                &self.net,
                attrs,
                &mut cursor,
                header,
                &mut w,
            )?;
            if w.is_empty() {
                return Ok(());
            }
            let mut rest = w.written();
            while rest.len() >= MSG_HDRLEN {
                let len = u32::from_ne_bytes(rest[..4].try_into().expect("4 bytes")) as usize;
                self.out.push((ids.portid, rest[..len].to_vec()));
                rest = &rest[len..];
            }
        }
    }
}
