// SPDX-License-Identifier: GPL-2.0
//! What the stories share: a switch in a namespace, and a client that talks to it.

pub use kernel::error::code::*;
pub use kernel::error::Error;
pub use openvswitch::client::{Bytes, Client, Message, Refused};
pub use openvswitch::datapath::abi::{cmd, dp_attr, dp_feature, vport_attr};
pub use openvswitch::datapath::env::{DeviceOps, DeviceStats, Env, Group, NetOps};
pub use openvswitch::env::{FakeDevice, FakeNet};
pub use openvswitch::sys::testing::{fail_nth, live, take_log};

pub const NETDEV: u32 = 1;
pub const INTERNAL: u32 = 2;

/// Objects with which a namespace counts connections, from its first datapath (L5) until its memory goes.
pub const COUNTS: isize = 2;

/// A namespace with a datapath `br0` in it. Ends with the value, and frees what the switch held.
pub struct Switch {
    pub net: FakeNet,
    pub client: Client,
    /// ifindex of the local port.
    pub dp: i32,
}

impl Switch {
    pub fn new() -> Self {
        Self::in_net(&FakeNet::new())
    }

    pub fn in_net(net: &FakeNet) -> Self {
        let mut client = Client::new(net);
        let dp = new_dp(&mut client, "br0").expect("a datapath").dp_ifindex();
        net.take_multicasts();
        Self {
            net: net.clone(),
            client,
            dp,
        }
    }

    /// Adds a network device to the namespace and as a port; returns it and its port number.
    pub fn add_port(&mut self, name: &str) -> (FakeDevice, u16) {
        let dev = self.net.device(name).unwrap_or_else(|| self.net.add(name));
        let port = self.new_port(&port(name, NETDEV)).expect("a port");
        (
            dev,
            port.u32(vport_attr::PORT_NO).expect("its number") as u16,
        )
    }

    /// VPORT_NEW with these attributes.
    pub fn new_port(&mut self, attrs: &Bytes) -> Result<Message, Refused> {
        self.client.call(Group::Vport, cmd::NEW, self.dp, attrs)
    }

    pub fn vport(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused> {
        self.client.call(Group::Vport, cmd, self.dp, attrs)
    }

    pub fn datapath(&mut self, cmd: u8, attrs: &Bytes) -> Result<Message, Refused> {
        self.client.call(Group::Datapath, cmd, self.dp, attrs)
    }

    /// Everything a dump of both families shows.
    pub fn state(&mut self) -> Vec<Message> {
        state(&mut self.client, &[self.dp])
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.net.exit();
    }
}

/// Everything dumps show of a namespace and these datapaths, sequence numbers taken out.
pub fn state(client: &mut Client, dps: &[i32]) -> Vec<Message> {
    let mut all = client
        .dump(Group::Datapath, 0, &Bytes::new())
        .expect("a dump");
    for &dp in dps {
        all.extend(
            client
                .dump(Group::Vport, dp, &Bytes::new())
                .expect("a dump"),
        );
    }
    for message in &mut all {
        message.0[8..12].fill(0);
    }
    all
}

/// Creates a datapath as vswitchd does.
pub fn new_dp(client: &mut Client, name: &str) -> Result<Message, Refused> {
    client.call(
        Group::Datapath,
        cmd::NEW,
        0,
        &Bytes::new()
            .name(dp_attr::NAME, name)
            .u32(dp_attr::UPCALL_PID, 0),
    )
}

/// Attributes of a VPORT_NEW.
pub fn port(name: &str, kind: u32) -> Bytes {
    Bytes::new()
        .name(vport_attr::NAME, name)
        .u32(vport_attr::TYPE, kind)
        .u32(vport_attr::UPCALL_PID, 7)
}

pub fn by_name(name: &str) -> Bytes {
    Bytes::new().name(vport_attr::NAME, name)
}

pub fn by_number(no: u32) -> Bytes {
    Bytes::new().u32(vport_attr::PORT_NO, no)
}

/// The errno of a refusal, which must have come with an explanation.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Refused>) -> Error {
    let e = result.expect_err("refused");
    assert!(e.msg.is_some(), "no explanation with {:?}", e.errno);
    e.errno
}

pub fn cpus() -> u32 {
    openvswitch::World::nr_cpu_ids()
}
