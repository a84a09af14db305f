// SPDX-License-Identifier: GPL-2.0
//! What the stories about actions share: lists, and a switch with three ports that runs them.

pub use crate::kit::*;
pub use openvswitch::datapath::abi::{
    action_attr as act, check_pkt_len_attr, dec_ttl_attr, flow_attr, key_attr, packet_attr,
    packet_cmd, sample_attr, userspace_attr,
};
pub use openvswitch::datapath::env::VlanTag;
pub use openvswitch::datapath::error::DropReason;
pub use openvswitch::env::{DeviceKind, FakeEnv, Sent};
pub use openvswitch::packet::take_drops;
pub use openvswitch::sys::testing;

/// Action lists.
pub trait Acts: Sized {
    fn attr(self, ty: u16, payload: &[u8]) -> Self;
    fn inner(self, ty: u16, list: Bytes) -> Self;

    /// This list and then `more`.
    fn cat(self, more: Bytes) -> Self;

    fn output(self, port: u32) -> Self {
        self.attr(act::OUTPUT, &port.to_ne_bytes())
    }
    fn recirc(self, id: u32) -> Self {
        self.attr(act::RECIRC, &id.to_ne_bytes())
    }
    fn trunc(self, len: u32) -> Self {
        self.attr(act::TRUNC, &len.to_ne_bytes())
    }
    fn drop_with(self, code: u32) -> Self {
        self.attr(act::DROP, &code.to_ne_bytes())
    }
    fn hash(self, alg: u32, basis: u32) -> Self {
        self.attr(
            act::HASH,
            &[alg.to_ne_bytes(), basis.to_ne_bytes()].concat(),
        )
    }
    fn push_vlan(self, tpid: u16, tci: u16) -> Self {
        self.attr(
            act::PUSH_VLAN,
            &[tpid.to_be_bytes(), tci.to_be_bytes()].concat(),
        )
    }
    fn pop_vlan(self) -> Self {
        self.attr(act::POP_VLAN, &[])
    }
    fn cloned(self, list: Bytes) -> Self {
        self.inner(act::CLONE, list)
    }
    fn sampled(self, probability: u32, list: Bytes) -> Self {
        let args = Bytes::new().u32(sample_attr::PROBABILITY, probability);
        self.inner(act::SAMPLE, args.nest(sample_attr::ACTIONS, list))
    }
    fn check_pkt_len(self, len: u16, fits: Bytes, greater: Bytes) -> Self {
        let args = Bytes::new().put(check_pkt_len_attr::PKT_LEN, &len.to_ne_bytes());
        let args = args.nest(check_pkt_len_attr::IF_GREATER, greater);
        self.inner(
            act::CHECK_PKT_LEN,
            args.nest(check_pkt_len_attr::IF_LESS_EQUAL, fits),
        )
    }
    fn push_mpls(self, entry: [u8; 4], eth_type: u16) -> Self {
        let [t0, t1] = eth_type.to_be_bytes();
        let [e0, e1, e2, e3] = entry;
        self.attr(act::PUSH_MPLS, &[e0, e1, e2, e3, t0, t1, 0, 0])
    }
    /// `l3`: behind the L2 header, else in front of it.
    fn add_mpls(self, entry: [u8; 4], l3: u16) -> Self {
        let [f0, f1] = l3.to_ne_bytes();
        let [e0, e1, e2, e3] = entry;
        self.attr(act::ADD_MPLS, &[e0, e1, e2, e3, 0x88, 0x47, f0, f1])
    }
    fn pop_mpls(self, eth_type: u16) -> Self {
        self.attr(act::POP_MPLS, &eth_type.to_be_bytes())
    }
    fn push_eth(self) -> Self {
        self.attr(act::PUSH_ETH, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
    }
    fn pop_eth(self) -> Self {
        self.attr(act::POP_ETH, &[])
    }
    fn dec_ttl(self, list: Bytes) -> Self {
        self.inner(act::DEC_TTL, Bytes::new().nest(dec_ttl_attr::ACTION, list))
    }
    fn set(self, key: u16, value: &[u8]) -> Self {
        self.inner(act::SET, Bytes::new().put(key, value))
    }
    fn priority(self, v: u32) -> Self {
        self.set(key_attr::PRIORITY, &v.to_ne_bytes())
    }
    fn user(self, pid: u32) -> Self {
        self.user_with(pid, Bytes::new())
    }
    fn user_with(self, pid: u32, more: Bytes) -> Self {
        let mut args = Bytes::new().u32(userspace_attr::PID, pid);
        args.0.extend(more.0);
        self.inner(act::USERSPACE, args)
    }
}

impl Acts for Bytes {
    fn attr(self, ty: u16, payload: &[u8]) -> Self {
        self.put(ty, payload)
    }
    fn inner(self, ty: u16, list: Bytes) -> Self {
        self.nest(ty, list)
    }
    fn cat(mut self, more: Bytes) -> Self {
        self.0.extend(more.0);
        self
    }
}

pub fn list() -> Bytes {
    Bytes::new()
}

/// 60 bytes of UDP from 10.0.0.1:1000 to 10.0.0.2:53, with right checksums.
pub fn udp() -> Vec<u8> {
    let mut p = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    p.extend([
        0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0x66, 0xbd, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    p.extend([0x03, 0xe8, 0, 53, 0, 26, 0, 0]);
    p.resize(60, 7);
    p
}

/// A datapath with ports 1, 2 and 3.
pub struct Lab {
    pub switch: Switch,
    pub devs: [FakeDevice; 3],
}

impl Lab {
    pub fn new() -> Self {
        let mut switch = Switch::new();
        let devs = ["p1", "p2", "p3"].map(|name| switch.add_port(name).0);
        take_drops();
        take_log();
        Self { switch, devs }
    }

    /// All packets of port 1 get these actions.
    pub fn flow_for_port_1(&mut self, actions: Bytes) {
        let key = Bytes::new()
            .u32(key_attr::IN_PORT, 1)
            .put(key_attr::ETHERNET, &[0; 12])
            .be16(key_attr::ETHERTYPE, 0x1234);
        let mask = Bytes::new().u32(key_attr::IN_PORT, u32::MAX);
        let flow = Bytes::new()
            .nest(flow_attr::KEY, key)
            .nest(flow_attr::MASK, mask)
            .nest(flow_attr::ACTIONS, actions);
        let dp = self.switch.dp;
        let client = &mut self.switch.client;
        client
            .request(Group::Flow, cmd::DEL, dp, &Bytes::new())
            .expect("no flows");
        client
            .request(Group::Flow, cmd::NEW, dp, &flow)
            .expect("a flow");
    }

    /// EXECUTE of these attributes.
    pub fn run(&mut self, attrs: &Bytes) -> Result<(), Error> {
        let dp = self.switch.dp;
        let answer = self
            .switch
            .client
            .request(Group::Packet, packet_cmd::EXECUTE, dp, attrs);
        answer
            .map(|reply| assert!(reply.is_none()))
            .map_err(|e| e.errno)
    }

    /// EXECUTE of these actions on a packet from port 1.
    pub fn on(&mut self, packet: &[u8], actions: Bytes) -> Result<(), Error> {
        self.run(&request(packet, actions))
    }

    /// The same on [`udp`], which must go well.
    #[track_caller]
    pub fn exec(&mut self, actions: Bytes) {
        self.on(&udp(), actions).expect("no error");
    }

    /// What left through port `no`.
    pub fn sent(&self, no: usize) -> Vec<Sent> {
        self.devs[no - 1].take_sent()
    }

    /// Bytes of what left through port `no`.
    pub fn bytes(&self, no: usize) -> Vec<Vec<u8>> {
        self.sent(no).into_iter().map(|s| s.bytes).collect()
    }

    /// How many packets left through each port.
    pub fn counts(&self) -> [usize; 3] {
        [1, 2, 3].map(|no| self.sent(no).len())
    }

    /// Upcalls to this netlink port, in order.
    pub fn upcalls(&self, pid: u32) -> Vec<Message> {
        let all = self.switch.net.take_upcalls();
        all.into_iter()
            .filter(|u| u.portid == pid)
            .map(|u| Message(u.message))
            .collect()
    }
}

/// Attributes of an EXECUTE for a packet from port 1.
pub fn request(packet: &[u8], actions: Bytes) -> Bytes {
    let key = Bytes::new().u32(key_attr::IN_PORT, 1);
    Bytes::new()
        .put(packet_attr::PACKET, packet)
        .nest(packet_attr::KEY, key)
        .nest(packet_attr::ACTIONS, actions)
}

/// Why packets were dropped since the last call.
pub fn drops() -> Vec<DropReason> {
    take_drops().into_iter().map(|d| d.why).collect()
}
