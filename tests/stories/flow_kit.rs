// SPDX-License-Identifier: GPL-2.0
//! What the stories about flows share: keys, masks and actions as attributes, and the packets that match them.

pub use crate::kit::*;
pub use openvswitch::datapath::abi::{action_attr, flow_attr, key_attr, ufid_flag};
pub use openvswitch::datapath::netlink::attr::Attrs;
pub use openvswitch::datapath::netlink::nlm;
pub use openvswitch::sys::testing::{fail_nth, live, take_log};

/// A flow by its UDP five-tuple, as in a request.
#[derive(Clone, Copy)]
pub struct Udp {
    pub in_port: u32,
    pub src: u32,
    pub dst: u32,
    pub sport: u16,
    pub dport: u16,
}

pub const UDP: Udp = Udp {
    in_port: 1,
    src: 0x0a00_0001,
    dst: 0x0a00_0002,
    sport: 1000,
    dport: 53,
};

impl Udp {
    /// The attributes of a complete key.
    pub fn key(&self) -> Bytes {
        let mut ip = [0; 12];
        ip[..4].copy_from_slice(&self.src.to_be_bytes());
        ip[4..8].copy_from_slice(&self.dst.to_be_bytes());
        ip[8] = 17;
        ip[10] = 64;
        let ports = [self.sport.to_be_bytes(), self.dport.to_be_bytes()].concat();
        Bytes::new()
            .u32(key_attr::IN_PORT, self.in_port)
            .put(key_attr::ETHERNET, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
            .be16(key_attr::ETHERTYPE, 0x800)
            .put(key_attr::IPV4, &ip)
            .put(key_attr::UDP, &ports)
    }

    /// The packet that has this key, 60 bytes.
    pub fn packet(&self) -> Vec<u8> {
        let mut p = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        p.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
        p.extend(self.src.to_be_bytes());
        p.extend(self.dst.to_be_bytes());
        p.extend(self.sport.to_be_bytes());
        p.extend(self.dport.to_be_bytes());
        p.extend([0, 26, 0, 0]);
        p.resize(60, 0);
        p
    }
}

/// A mask that matches these bits of the addresses and ports.
pub fn mask(src: u32, dst: u32, sport: u16, dport: u16) -> Bytes {
    let mut ip = [0; 12];
    ip[..4].copy_from_slice(&src.to_be_bytes());
    ip[4..8].copy_from_slice(&dst.to_be_bytes());
    ip[8] = 0xff;
    Bytes::new()
        .u32(key_attr::IN_PORT, !0)
        .be16(key_attr::ETHERTYPE, 0xffff)
        .put(key_attr::IPV4, &ip)
        .put(
            key_attr::UDP,
            &[sport.to_be_bytes(), dport.to_be_bytes()].concat(),
        )
}

/// An action list that outputs to these ports.
pub fn output(ports: &[u32]) -> Bytes {
    ports.iter().fold(Bytes::new(), |list, port| {
        list.u32(action_attr::OUTPUT, *port)
    })
}

/// Attributes of a request.
pub fn flow(udp: &Udp) -> Bytes {
    Bytes::new().nest(flow_attr::KEY, udp.key())
}

pub trait FlowAttrs {
    fn mask(self, mask: Bytes) -> Self;
    fn acts(self, ports: &[u32]) -> Self;
    fn ufid(self, ufid: &[u8]) -> Self;
    fn ufid_flags(self, flags: u32) -> Self;
}

impl FlowAttrs for Bytes {
    fn mask(self, mask: Bytes) -> Self {
        self.nest(flow_attr::MASK, mask)
    }

    fn acts(self, ports: &[u32]) -> Self {
        self.nest(flow_attr::ACTIONS, output(ports))
    }

    fn ufid(self, ufid: &[u8]) -> Self {
        self.put(flow_attr::UFID, ufid)
    }

    fn ufid_flags(self, flags: u32) -> Self {
        self.u32(flow_attr::UFID_FLAGS, flags)
    }
}

impl Switch {
    /// A request about flows, with an echo.
    pub fn flow(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused> {
        self.client.call(Group::Flow, cmd, self.dp, attrs)
    }

    /// FLOW_NEW with NLM_F_CREATE (spec F6).
    pub fn create(&mut self, attrs: &Bytes) -> Result<Message, Refused> {
        self.client.flags = nlm::CREATE;
        let answer = self.flow(cmd::NEW, attrs);
        self.client.flags = 0;
        answer
    }

    pub fn flows(&mut self) -> Vec<Message> {
        self.client
            .dump(Group::Flow, self.dp, &Bytes::new())
            .expect("a dump")
    }

    /// Hit, missed, lost, flows; mask hits, masks, cache hits.
    pub fn counts(&mut self) -> ([u64; 4], [u64; 3]) {
        let dp = self
            .datapath(cmd::GET, &Bytes::new())
            .expect("the datapath");
        let stats = dp.u64s(dp_attr::STATS).expect("STATS");
        let mega = dp.u64s(dp_attr::MEGAFLOW_STATS).expect("MEGAFLOW_STATS");
        (
            stats.try_into().expect("four"),
            [mega[0], mega[1] & 0xffff_ffff, mega[2]],
        )
    }
}

/// Ports of the outputs in a message.
pub fn outputs(m: &Message) -> Option<Vec<u32>> {
    m.get(flow_attr::ACTIONS)
        .map(|list| Attrs::new(list).map(|a| a.u32().expect("a port")).collect())
}

/// Packets and bytes in a message.
pub fn stats(m: &Message) -> Option<(u64, u64)> {
    m.u64s(flow_attr::STATS).map(|s| (s[0], s[1]))
}
