// SPDX-License-Identifier: GPL-2.0
//! What the switch asks of a [`FakeDevice`].

use super::{
    device::PortSide, device_name, lock, DeviceKind, FakeDevice, FakeNet, Sent, TUNNEL_DRIVERS,
};
use crate::datapath::env::{
    DeviceName, DeviceOps, DeviceStats, IpSummed, PacketOps, TunnelConfig, TunnelKind,
};
use crate::datapath::ports::port::Vport;
use crate::packet::Packet;
use crate::rust::sync::{BhGuard, MaySleep, OvsRtnl};
use kernel::error::code::{EAFNOSUPPORT, EBUSY, EEXIST, EINVAL, ENODEV};
use kernel::error::Result;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

impl DeviceOps for FakeDevice {
    fn open_netdev(net: &FakeNet, name: &DeviceName, _ctx: &impl MaySleep) -> Result<Self> {
        let dev = lock(&net.0.devices)
            .iter()
            .find(|d| *lock(&d.0.name) == *name)
            .cloned()
            .ok_or(ENODEV)?;
        let kind = *lock(&dev.0.kind);
        match kind {
            DeviceKind::Ethernet | DeviceKind::L3 => {}
            DeviceKind::Loopback | DeviceKind::Other | DeviceKind::Internal => return Err(EINVAL),
        }
        let port = PortSide::new(&dev.0, false)?;
        Ok(Self(dev.0, port))
    }

    fn new_internal(
        net: &FakeNet,
        name: &DeviceName,
        ifindex: i32,
        _ctx: &impl MaySleep,
    ) -> Result<Self> {
        Self::new(net, *name, DeviceKind::Internal, ifindex)
    }

    fn open_tunnel(_kind: TunnelKind, _ctx: &impl MaySleep) -> Result<Self> {
        if !TUNNEL_DRIVERS.get() {
            return Err(EAFNOSUPPORT);
        }
        // In a namespace of its own until it is made.
        Self::new(&FakeNet::new(), [0; 16], DeviceKind::Ethernet, 0)
    }

    /// As the drivers do: one GRE device in a namespace, one of VXLAN and of Geneve for each port.
    fn make_tunnel(
        &mut self,
        _rtnl: &OvsRtnl,
        net: &FakeNet,
        name: &DeviceName,
        config: TunnelConfig,
    ) -> Result<TunnelConfig> {
        let config = match config {
            TunnelConfig::Vxlan { dst_port: 0, gbp } => TunnelConfig::Vxlan {
                dst_port: 8472,
                gbp,
            },
            _ => config,
        };
        let same = |other: TunnelConfig| match (config, other) {
            (TunnelConfig::Vxlan { dst_port: a, .. }, TunnelConfig::Vxlan { dst_port: b, .. }) => {
                a == b
            }
            _ => config == other,
        };
        let taken = lock(&net.0.devices)
            .iter()
            .any(|d| lock(&d.0.tunnel).is_some_and(same));
        if taken {
            return Err(EEXIST);
        }
        *lock(&self.0.name) = *name;
        *lock(&self.0.net) = net.clone();
        self.enlist(false)?;
        let refused = lock(&net.0.refusal).take();
        let renamed = (self.name() != *name).then_some(ENODEV);
        if let Some(e) = refused.or(renamed) {
            self.leave();
            return Err(e);
        }
        match PortSide::new(&self.0, true) {
            Ok(port) => self.1 = port,
            Err(e) => {
                self.leave();
                return Err(e);
            }
        }
        *lock(&self.0.tunnel) = Some(config);
        Ok(config)
    }

    fn register(&mut self, _rtnl: &OvsRtnl, local: bool) -> Result {
        if !self.is_internal() {
            return Ok(());
        }
        self.enlist(local)?;
        if let Some(e) = lock(&self.net().0.refusal).take() {
            self.leave();
            return Err(e);
        }
        self.0.promiscuity.fetch_add(1, SeqCst);
        Ok(())
    }

    fn link(_rtnl: &OvsRtnl, vport: &Vport, master: Option<&Self>) -> Result {
        let dev = &vport.dev;
        if let Some(e) = lock(&dev.0.link_error).take() {
            return Err(e);
        }
        if let Some(port) = dev.1.as_ref().filter(|port| port.tunnel) {
            if let Some(e) = lock(&dev.net().0.tunnel_link_error).take() {
                dev.leave();
                port.hold.release();
                return Err(e);
            }
        }
        if let Some(port) = &dev.1 {
            if !dev.is_registered() || dev.net() != vport.dp.net {
                return Err(ENODEV);
            }
            dev.enslave(master)?;
            dev.0.promiscuity.fetch_add(1, SeqCst);
            port.attached.store(true, SeqCst);
        }
        dev.0.vport.set(vport);
        let early = lock(&dev.net().0.early).clone();
        if let Some(bytes) = early {
            dev.receive(&bytes);
        }
        Ok(())
    }

    fn unlink_all<'v>(_rtnl: &OvsRtnl, vports: impl Iterator<Item = &'v Vport>) {
        for vport in vports {
            let dev = &vport.dev;
            let Some(port) = &dev.1 else {
                dev.0.vport.clear();
                dev.0.promiscuity.fetch_sub(1, SeqCst);
                dev.leave();
                continue;
            };
            if port.attached.load(SeqCst) {
                dev.detach();
            }
            if port.tunnel && dev.is_registered() {
                dev.leave();
            }
            port.hold.release();
        }
    }

    fn name(&self) -> DeviceName {
        *lock(&self.0.name)
    }

    fn ifindex(&self) -> i32 {
        self.0.ifindex
    }

    fn netnsid(&self, net: &FakeNet) -> Option<i32> {
        let now = self.net();
        (now != *net).then(|| net.peer_id(&now))
    }

    fn stats(&self) -> DeviceStats {
        if !self.is_registered() {
            return DeviceStats::default();
        }
        *lock(&self.0.stats)
    }

    fn is_ready(&self) -> bool {
        self.0.up.load(SeqCst) && self.0.carrier.load(SeqCst)
    }

    fn mtu(&self) -> u32 {
        self.0.mtu.load(SeqCst) as u32
    }

    fn hard_header_len(&self) -> u32 {
        if self.is_ethernet() {
            14
        } else {
            0
        }
    }

    fn is_ethernet(&self) -> bool {
        !matches!(*lock(&self.0.kind), DeviceKind::L3 | DeviceKind::Other)
    }

    fn is_l3(&self) -> bool {
        *lock(&self.0.kind) == DeviceKind::L3
    }

    fn is_internal(&self) -> bool {
        *lock(&self.0.kind) == DeviceKind::Internal
    }

    fn is_attached(&self) -> bool {
        match &self.1 {
            Some(port) => port.attached.load(SeqCst),
            None => self.0.attached.load(SeqCst),
        }
    }

    fn needed_headroom(&self) -> u16 {
        self.0.headroom.load(SeqCst) as u16
    }

    fn set_rx_headroom(&self, headroom: u16) {
        *lock(&self.0.rx_headroom) = Some(headroom);
    }

    fn reset_rx_headroom(&self) {
        *lock(&self.0.rx_headroom) = None;
    }

    fn count_tx_error(&self) {
        lock(&self.0.stats).tx_errors += 1;
    }

    /// IPv4 only, header checksums not updated; IPv6 goes out whole.
    fn fragment(&self, pkt: Packet, _net: &FakeNet, mru: u16, ipv6: bool, bh: &BhGuard) {
        let ip = match pkt.protocol() {
            0x8847 | 0x8848 => pkt.inner_network_offset(),
            _ => pkt.network_offset(),
        };
        let all = pkt.bytes();
        if ipv6 {
            return self.send(pkt, bh);
        }
        let ihl = usize::from(all[ip] & 0xf) * 4;
        let room = (usize::from(mru) - ihl) & !7;
        let (headers, payload) = all.split_at(ip + ihl);
        for (n, part) in payload.chunks(room).enumerate() {
            let mut b = [headers, part].concat();
            let more = if (n + 1) * room < payload.len() {
                0x2000
            } else {
                0
            };
            let offset = (n * room / 8) as u16 | more;
            b[ip + 2..ip + 4].copy_from_slice(&((ihl + part.len()) as u16).to_be_bytes());
            b[ip + 6..ip + 8].copy_from_slice(&offset.to_be_bytes());
            let mut p = Packet::new(&b).with_protocol(pkt.protocol());
            if let Some(tag) = pkt.vlan_tag() {
                p = p.with_vlan(tag.tpid, tag.tci);
            }
            self.send(p, bh);
        }
    }

    fn send(&self, pkt: Packet, bh: &BhGuard) {
        let len = pkt.len();
        if !self.count_send(len as u64) {
            return;
        }
        lock(&self.0.sent).push(Sent {
            bytes: pkt.bytes().to_vec(),
            vlan: pkt.vlan_tag(),
            protocol: pkt.protocol(),
            priority: pkt.priority(),
            mark: pkt.mark(),
            tunnel: pkt.tx_tunnel.clone(),
            sum_is_right: (pkt.ip_summed() == IpSummed::Complete).then(|| pkt.csum_is_right()),
        });
        let peer = lock(&self.0.peer).clone();
        if let Some(peer) = peer {
            peer.receive_packet(pkt, bh);
        }
    }
}

impl FakeDevice {
    /// `netdev_master_upper_dev_link` and `netdev_rx_handler_register`.
    fn enslave(&self, master: Option<&Self>) -> Result {
        let mut current = lock(&self.0.master);
        if let (Some(a), Some(b)) = (current.as_ref(), master) {
            return Err(if Arc::ptr_eq(&a.0, &b.0) {
                EEXIST
            } else {
                EBUSY
            });
        }
        if self.0.busy.load(SeqCst) {
            return Err(EBUSY);
        }
        self.0.attached.store(true, SeqCst);
        *current = master.cloned();
        Ok(())
    }

    /// Counts a packet of `len` bytes on its way out; false if it is dropped. What the switch sends to an internal
    /// device, that device receives (spec W15).
    fn count_send(&self, len: u64) -> bool {
        let mut stats = lock(&self.0.stats);
        if !self.is_internal() {
            stats.tx_packets += 1;
            stats.tx_bytes += len;
        } else if self.0.up.load(SeqCst) {
            stats.rx_packets += 1;
            stats.rx_bytes += len.saturating_sub(14);
        } else {
            stats.rx_dropped += 1;
            return false;
        }
        true
    }

    /// `dev_get_valid_name`: the device's, or the first free one of a template.
    fn free_name(&self, net: &FakeNet) -> DeviceName {
        let template = self.name_string();
        if !template.contains("%d") {
            return self.name();
        }
        let mut names = (0..).map(|i: u32| template.replacen("%d", &i.to_string(), 1));
        let name = names.find(|name| net.device(name).is_none());
        device_name(&name.expect("endless"))
    }

    /// `register_netdevice`
    fn enlist(&self, local: bool) -> Result {
        let net = self.net();
        let name = self.free_name(&net);
        let text = name.split(|&b| b == 0).next().unwrap_or(&[]);
        let bad = |b: &u8| *b == b'/' || *b == b':' || b.is_ascii_whitespace();
        if text.is_empty() || text == b"." || text == b".." || text.iter().any(bad) {
            return Err(EINVAL);
        }
        let mut devices = lock(&net.0.devices);
        if devices.iter().any(|d| *lock(&d.0.name) == name) {
            return Err(EEXIST);
        }
        if devices.iter().any(|d| d.0.ifindex == self.0.ifindex) {
            return Err(EBUSY);
        }
        *lock(&self.0.name) = name;
        self.0.local.store(local, SeqCst);
        self.0.registered.store(true, SeqCst);
        devices.push(self.clone());
        Ok(())
    }
}
