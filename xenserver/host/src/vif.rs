// SPDX-License-Identifier: GPL-2.0
//! The hot-plug script of virtual interfaces: udev runs it when a guest's network device comes and goes. What the device
//! is for stands in xenstore, where xapi put it.

use crate::command::{self, words};
use crate::error::Result;
use crate::host::{valid_netdev, Host};
use crate::netdb::is_mac;
use crate::vsctl::{quoted, Transaction, Vsctl, LONG};
use crate::{failed, info, sysconfig, warning};
use std::collections::BTreeMap;
use std::time::Duration;

const QUICK: Duration = Duration::from_secs(20);
const HOOK: &str = "/etc/xapi.d/vif-hotplug";
/// The backend's own address, which no guest has: packets to the guest's must not be taken for ours.
const BACKEND_MAC: &str = "fe:ff:ff:ff:ff:ff";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Online,
    Offline,
    Add,
    Remove,
    Move,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The backend of a paravirtual device.
    Vif,
    /// An emulated device's.
    Tap,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vif => "vif",
            Kind::Tap => "tap",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub kind: Kind,
    pub domain: u32,
    pub number: u32,
}

impl Device {
    /// Out of udev's XENBUS_PATH, "backend/vif/DOMAIN/NUMBER" with whatever before it.
    pub fn from_xenbus(kind: Kind, path: &str) -> Option<Device> {
        let mut parts = path.trim_end_matches('/').rsplit('/');
        let number = parts.next()?.parse().ok()?;
        let domain = parts.next()?.parse().ok()?;
        matches!(parts.next()?, "vif" | "tap").then_some(Device {
            kind,
            domain,
            number,
        })
    }

    /// Out of the name that udev gives the device in INTERFACE, "tap5.0".
    pub fn from_interface(kind: Kind, name: &str) -> Option<Device> {
        let (domain, number) = name.strip_prefix(kind.name())?.split_once('.')?;
        Some(Device {
            kind,
            domain: domain.parse().ok()?,
            number: number.parse().ok()?,
        })
    }

    fn name(&self) -> String {
        format!("{}{}.{}", self.kind.name(), self.domain, self.number)
    }

    fn backend(&self) -> String {
        format!(
            "/local/domain/0/backend/vif/{}/{}",
            self.domain, self.number
        )
    }

    fn private(&self) -> String {
        format!("/xapi/{}/private/vif/{}", self.domain, self.number)
    }

    fn hotplug(&self) -> String {
        format!("/xapi/{}/hotplug/vif/{}", self.domain, self.number)
    }
}

pub fn run(host: &Host, action: Action, device: Device) -> Result<()> {
    let script = Script {
        host,
        device,
        name: device.name(),
    };
    info!("{action:?} {}", script.name);
    match (action, device.kind) {
        (Action::Online, Kind::Vif) => {
            script.prepare()?;
            script.add_to_bridge()?;
            script.tell_xapi()?;
            script.hook("online");
            Ok(())
        }
        (Action::Add, Kind::Tap) => {
            script.prepare()?;
            script.add_to_bridge()
        }
        (Action::Move, Kind::Vif) => script.add_to_bridge(),
        (Action::Remove, _) => script.remove(),
        // udev says more than there is to be done: a vif is added before its backend is online, and removed after it
        // went offline.
        _ => Ok(()),
    }
}

/// The transaction that puts a port on a bridge; `ids` are its external_ids.
fn port_transaction(bridge: &str, name: &str, ids: &BTreeMap<&str, String>) -> Transaction {
    let mut t = Transaction::new();
    t.add(format!("--if-exists del-port {name}"));
    t.add(format!("add-port {bridge} {name}"));
    if !ids.is_empty() {
        let ids: Vec<_> = ids
            .iter()
            .map(|(k, v)| format!("external-ids:{k}={}", quoted(v)))
            .collect();
        t.add(format!("set Interface {name} {}", ids.join(" ")));
    }
    t
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

struct Script<'a> {
    host: &'a Host,
    device: Device,
    name: String,
}

impl Script<'_> {
    fn tool(&self, name: &str, args: &str) -> Result<String> {
        let out = command::capture(&self.host.tool(name)?, &words(args), QUICK)?;
        match out.status.success() {
            true => Ok(out.stdout),
            false => Err(failed!("'{name} {args}' failed: {}", out.stderr)),
        }
    }

    /// A key of xenstore; none if it is not there.
    fn read(&self, path: &str) -> Option<String> {
        let text = self.tool("xenstore-read", path).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_string())
    }

    fn private(&self, key: &str) -> Option<String> {
        self.read(&format!("{}/{key}", self.device.private()))
    }

    /// The device's own settings. A card that cannot do one works without it.
    fn prepare(&self) -> Result<()> {
        let keys = ["rx", "tx", "sg", "tso", "ufo", "gso"];
        let found = keys.iter().filter_map(|key| {
            let key = format!("ethtool-{key}");
            Some((key.clone(), self.private(&format!("other-config/{key}"))?))
        });
        let offloads = sysconfig::ethtool_offloads(&found.collect(), &self.name, &[]);
        if !offloads.is_empty() {
            let args = format!("-K {} {}", self.name, offloads.join(" "));
            if let Err(e) = self.tool("ethtool", &args) {
                warning!("{e}");
            }
        }
        if let Some(mtu) = self.private("MTU") {
            match mtu.parse::<u32>() {
                Ok(mtu @ 68..=65535) => {
                    self.link(&format!("mtu {mtu}"))?;
                }
                _ => warning!("{}: MTU '{mtu}' is none, ignored", self.name),
            }
        }
        if self
            .private("other-config/promiscuous")
            .is_some_and(|p| p == "true" || p == "on")
        {
            warning!(
                "{}: promiscuous has no effect on Open vSwitch; use a mirror",
                self.name
            );
        }
        Ok(())
    }

    fn link(&self, what: &str) -> Result<()> {
        self.tool("ip", &format!("link set dev {} {what}", self.name))
            .map(|_| ())
    }

    fn add_to_bridge(&self) -> Result<()> {
        let name = &self.name;
        let bridge = self
            .private("bridge")
            .filter(|b| valid_netdev(b))
            .ok_or_else(|| {
                failed!(
                    "xenstore has no bridge for {name} in {}/bridge",
                    self.device.private()
                )
            })?;
        let given = self.private("bridge-MAC").filter(|m| is_mac(m));
        let mac = given.unwrap_or_else(|| BACKEND_MAC.into());
        for what in [
            "down",
            "arp off",
            "multicast off",
            &format!("address {mac}"),
        ] {
            self.link(what)?;
        }
        self.tool("ip", &format!("addr flush dev {name}"))?;
        let ids = match self.device.kind {
            Kind::Vif => self.external_ids(),
            Kind::Tap => BTreeMap::new(),
        };
        self.modify(&port_transaction(&bridge, name, &ids))?;
        self.link("up")
    }

    fn external_ids(&self) -> BTreeMap<&'static str, String> {
        // The backend's copy: the guest cannot write there.
        let mac = self
            .read(&format!("{}/mac", self.device.backend()))
            .filter(|m| is_mac(m));
        let found = [
            ("xs-vm-uuid", self.machine()),
            ("xs-vif-uuid", self.private("vif-uuid")),
            ("xs-network-uuid", self.private("network-uuid")),
            ("attached-mac", mac),
        ];
        found
            .into_iter()
            .filter_map(|(k, v)| Some((k, v.filter(|t| is_word(t))?)))
            .collect()
    }

    /// The UUID of the guest, by way of its domain.
    fn machine(&self) -> Option<String> {
        let path = self.read(&format!("/local/domain/{}/vm", self.device.domain))?;
        let path = Some(path).filter(|t| is_word(t))?;
        let uuid = self.read(&format!("{path}/uuid"));
        uuid.or_else(|| Some(path.trim_start_matches("/vm/").to_string()))
    }

    fn tell_xapi(&self) -> Result<()> {
        let (hotplug, backend) = (self.device.hotplug(), self.device.backend());
        for what in [
            format!("{hotplug}/vif {}", self.name),
            format!("{hotplug}/hotplug online"),
            format!("{backend}/hotplug-status connected"),
        ] {
            self.tool("xenstore-write", &what)?;
        }
        Ok(())
    }

    /// The administrator's own program, as the host's scripts call it: for a device of which both UUIDs are known.
    fn hook(&self, action: &str) {
        if !self.host.exists(HOOK) {
            return;
        }
        let vif = self.private("vif-uuid").filter(|t| is_word(t));
        let (Some(vif), Some(vm)) = (vif, self.machine().filter(|t| is_word(t))) else {
            return;
        };
        let args = words(&format!("-action {action} -vifuuid {vif} -vmuuid {vm}"));
        match command::run(&self.host.path(HOOK), &args, &[], QUICK) {
            Ok(status) if status.success() => {}
            Ok(status) => warning!("{HOOK}: {status}"),
            Err(e) => warning!("{e}"),
        }
    }

    fn remove(&self) -> Result<()> {
        if self.device.kind == Kind::Vif {
            if let Err(e) = self.tool("xenstore-rm", &format!("{}/hotplug", self.device.hotplug()))
            {
                warning!("{e}");
            }
            self.hook("remove");
        }
        let mut t = Transaction::new();
        t.add(format!("--if-exists del-port {}", self.name));
        self.modify(&t)
    }

    /// A device that ovs-vswitchd does not take now it takes when it starts.
    fn modify(&self, transaction: &Transaction) -> Result<()> {
        let done = Vsctl::new(self.host).modify(LONG, transaction)?;
        if let Some(note) = done.note() {
            warning!("{}: {note}", self.name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_udevs_path() {
        let device = Device {
            kind: Kind::Vif,
            domain: 5,
            number: 2,
        };
        for path in ["backend/vif/5/2", "/local/domain/0/backend/vif/5/2/"] {
            assert_eq!(Device::from_xenbus(Kind::Vif, path), Some(device));
        }
        assert_eq!(device.name(), "vif5.2");
        let tap = Device {
            kind: Kind::Tap,
            ..device
        };
        assert_eq!(Device::from_interface(Kind::Tap, "tap5.2"), Some(tap));
        for bad in ["", "tap5", "tap5.x", "vif5.2", "tap-5.2", "tap5.2.1"] {
            assert_eq!(Device::from_interface(Kind::Tap, bad), None, "{bad}");
        }
        for bad in [
            "",
            "5/2",
            "backend/vbd/5/2",
            "backend/vif/5",
            "backend/vif/a/2",
            "backend/vif/5/-2",
        ] {
            assert_eq!(Device::from_xenbus(Kind::Vif, bad), None, "{bad}");
        }
    }

    #[test]
    fn the_port_is_replaced_with_its_names_in_one_transaction() {
        let ids = [
            ("attached-mac", "00:16:3e:00:00:01".to_string()),
            ("xs-vif-uuid", "v\"".to_string()),
        ];
        let want = "--if-exists del-port vif5.2\nadd-port xenbr0 vif5.2\nset Interface vif5.2 \
            external-ids:attached-mac=\"00:16:3e:00:00:01\" external-ids:xs-vif-uuid=\"v\\\"\"\n";
        assert_eq!(
            port_transaction("xenbr0", "vif5.2", &ids.into()).text(),
            want
        );
        let bare = port_transaction("xenbr0", "tap5.2", &BTreeMap::new());
        assert_eq!(
            bare.text(),
            "--if-exists del-port tap5.2\nadd-port xenbr0 tap5.2\n"
        );
    }
}
