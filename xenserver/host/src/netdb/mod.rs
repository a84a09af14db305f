// SPDX-License-Identifier: GPL-2.0
//! What xapi's database says of this host's network: the records of PIF, Bond, VLAN, tunnel, network and pool that
//! matter here. They come from xapi (`fetch`) or from the copy that is there before xapi is (`cache`).

pub mod cache;
pub mod fetch;
mod topology;

use crate::error::Result;
use crate::xml::Element;
use crate::xmlrpc::Value;
use crate::{failed, warning};
use std::collections::BTreeMap;

/// A XenAPI reference, "OpaqueRef:…".
pub type Ref = String;
pub const NULL: &str = "OpaqueRef:NULL";

pub type OtherConfig = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpMode {
    #[default]
    None,
    Dhcp,
    Static,
}

impl IpMode {
    pub fn name(self) -> &'static str {
        match self {
            IpMode::None => "None",
            IpMode::Dhcp => "DHCP",
            IpMode::Static => "Static",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "None" => Ok(IpMode::None),
            "DHCP" => Ok(IpMode::Dhcp),
            "Static" => Ok(IpMode::Static),
            other => Err(failed!(
                "ip_configuration_mode '{other}' is none of None, DHCP, Static"
            )),
        }
    }
}

/// A physical interface of the host, or what stands for one: a bond, a VLAN, a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pif {
    pub uuid: String,
    pub management: bool,
    pub currently_attached: bool,
    pub network: Ref,
    pub device: String,
    pub mac: String,
    /// 802.1Q VLAN ID of a VLAN's untagged PIF; -1 for any other.
    pub vlan: i64,
    pub bond_master_of: Vec<Ref>,
    pub bond_slave_of: Ref,
    /// The VLAN of which this PIF is the untagged side.
    pub vlan_master_of: Ref,
    /// The VLANs that run over this PIF.
    pub vlan_slave_of: Vec<Ref>,
    pub tunnel_access_pif_of: Vec<Ref>,
    pub tunnel_transport_pif_of: Vec<Ref>,
    pub ip_mode: IpMode,
    pub ip: String,
    pub netmask: String,
    pub gateway: String,
    /// Name servers, comma separated.
    pub dns: String,
    pub other_config: OtherConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bond {
    pub uuid: String,
    pub master: Ref,
    pub slaves: Vec<Ref>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vlan {
    pub uuid: String,
    /// The PIF that carries the tagged packets.
    pub tagged_pif: Ref,
    pub untagged_pif: Ref,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tunnel {
    pub uuid: String,
    pub access_pif: Ref,
    pub transport_pif: Ref,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    pub uuid: String,
    pub bridge: String,
    /// Bytes; none in caches of old hosts.
    pub mtu: Option<u32>,
    pub pifs: Vec<Ref>,
    pub other_config: OtherConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    pub other_config: OtherConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Db {
    pub pifs: BTreeMap<Ref, Pif>,
    pub bonds: BTreeMap<Ref, Bond>,
    pub vlans: BTreeMap<Ref, Vlan>,
    pub tunnels: BTreeMap<Ref, Tunnel>,
    pub networks: BTreeMap<Ref, Network>,
    pub pools: BTreeMap<Ref, Pool>,
}

const ETHTOOL: [&str; 11] = [
    "ethtool-autoneg",
    "ethtool-speed",
    "ethtool-duplex",
    "ethtool-rx",
    "ethtool-tx",
    "ethtool-sg",
    "ethtool-tso",
    "ethtool-ufo",
    "ethtool-gso",
    "ethtool-gro",
    "ethtool-lro",
];
const PIF_KEYS: [&str; 11] = [
    "domain",
    "peerdns",
    "defaultroute",
    "mtu",
    "static-routes",
    "bond-mode",
    "bond-miimon",
    "bond-downdelay",
    "bond-updelay",
    "bond-use_carrier",
    "bond-hashing-algorithm",
];
const NETWORK_KEYS: [&str; 4] = [
    "mtu",
    "static-routes",
    "vswitch-controller-fail-mode",
    "vswitch-disable-in-band",
];
const POOL_KEYS: [&str; 1] = ["vswitch-controller-fail-mode"];

/// The other_config of a class: the keys that are used, and no others, so that no administrator's note can break the
/// cache or reach a file.
fn allowed(class: &str, mut all: OtherConfig) -> OtherConfig {
    let (own, ethtool): (&[&str], bool) = match class {
        "pif" => (&PIF_KEYS, true),
        "network" => (&NETWORK_KEYS, true),
        _ => (&POOL_KEYS, false),
    };
    all.retain(|key, _| own.contains(&key.as_str()) || ethtool && ETHTOOL.contains(&key.as_str()));
    all
}

/// Where a record's fields come from.
trait Source {
    fn text(&self, name: &str) -> Option<String>;
    fn list(&self, name: &str) -> Vec<String>;
    fn map(&self, name: &str) -> OtherConfig;
}

impl Source for Value {
    fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(s) => Some(s.clone()),
            Value::Int(n) => Some(n.to_string()),
            Value::Bool(true) => Some("True".into()),
            Value::Bool(false) => Some("False".into()),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        let list = self.get(name).and_then(Value::as_array).unwrap_or(&[]);
        list.iter()
            .filter_map(Value::as_str)
            .map(String::from)
            .collect()
    }

    fn map(&self, name: &str) -> OtherConfig {
        self.string_map(name)
    }
}

impl Source for Element {
    fn text(&self, name: &str) -> Option<String> {
        self.child(name).map(|e| e.text.trim().to_string())
    }

    fn list(&self, name: &str) -> Vec<String> {
        let list = self.child(name).map_or(&[][..], |e| &e.children);
        list.iter().map(|e| e.text.trim().to_string()).collect()
    }

    fn map(&self, name: &str) -> OtherConfig {
        let list = self.child(name).map_or(&[][..], |e| &e.children);
        list.iter()
            .map(|e| (e.name.clone(), e.text.trim().to_string()))
            .collect()
    }
}

fn required(from: &impl Source, name: &str) -> Result<String> {
    match from.text(name) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(failed!("no {name}")),
    }
}

/// A UUID, or a name that stands for one: a word that means nothing to ovs-vsctl.
fn uuid(from: &impl Source) -> Result<String> {
    let uuid = required(from, "uuid")?;
    match uuid
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        true => Ok(uuid),
        false => Err(failed!("uuid '{uuid}' is no UUID")),
    }
}

fn optional(from: &impl Source, name: &str) -> String {
    from.text(name).unwrap_or_default()
}

fn reference(from: &impl Source, name: &str) -> Ref {
    from.text(name)
        .filter(|r| !r.is_empty())
        .unwrap_or_else(|| NULL.into())
}

fn netdev(from: &impl Source, name: &str) -> Result<String> {
    let device = required(from, name)?;
    if !crate::host::valid_netdev(&device) {
        return Err(failed!("{name} '{device}' is no name of a network device"));
    }
    Ok(device)
}

/// A field that ends up in files and on command lines: empty or an address.
fn address(from: &impl Source, name: &str) -> Result<String> {
    let text = optional(from, name);
    if text.is_empty() || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text);
    }
    Err(failed!("{name} '{text}' is no IP address"))
}

fn mac(from: &impl Source, name: &str) -> Result<String> {
    let text = optional(from, name);
    if text.is_empty() || is_mac(&text) {
        return Ok(text);
    }
    Err(failed!("{name} '{text}' is no MAC address"))
}

pub fn is_mac(text: &str) -> bool {
    let octet = |o: &str| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(octet)
}

fn boolean(from: &impl Source, name: &str) -> bool {
    from.text(name)
        .is_some_and(|t| t.eq_ignore_ascii_case("true") || t == "1")
}

impl Pif {
    fn read(from: &impl Source) -> Result<Pif> {
        let vlan = from
            .text("VLAN")
            .filter(|v| !v.is_empty())
            .unwrap_or_else(|| "-1".into());
        let uuid = uuid(from)?;
        Ok(Pif {
            dns: name_servers(from, &uuid),
            uuid,
            management: boolean(from, "management"),
            currently_attached: boolean(from, "currently_attached"),
            network: required(from, "network")?,
            device: netdev(from, "device")?,
            mac: mac(from, "MAC")?,
            vlan: match vlan.parse() {
                Ok(id) if (-1..4096).contains(&id) => id,
                _ => return Err(failed!("VLAN '{vlan}' is no VLAN ID")),
            },
            bond_master_of: from.list("bond_master_of"),
            bond_slave_of: reference(from, "bond_slave_of"),
            vlan_master_of: reference(from, "VLAN_master_of"),
            vlan_slave_of: from.list("VLAN_slave_of"),
            tunnel_access_pif_of: from.list("tunnel_access_PIF_of"),
            tunnel_transport_pif_of: from.list("tunnel_transport_PIF_of"),
            ip_mode: IpMode::parse(&optional(from, "ip_configuration_mode"))?,
            ip: address(from, "IP")?,
            netmask: address(from, "netmask")?,
            gateway: address(from, "gateway")?,
            other_config: allowed("pif", from.map("other_config")),
        })
    }

    /// The name servers.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.dns.split(',').filter(|s| !s.is_empty())
    }
}

/// The addresses in the field DNS; people write blanks between them, too.
fn name_servers(from: &impl Source, uuid: &str) -> String {
    let text = optional(from, "DNS");
    let is_address = |server: &&str| {
        let is = server.parse::<std::net::IpAddr>().is_ok();
        if !is {
            warning!("PIF {uuid}: name server '{server}' is no IP address, ignored");
        }
        is
    };
    let words = text.split([',', ' ', '\t']).filter(|s| !s.is_empty());
    words.filter(is_address).collect::<Vec<_>>().join(",")
}

impl Bond {
    fn read(from: &impl Source) -> Result<Bond> {
        Ok(Bond {
            uuid: uuid(from)?,
            master: required(from, "master")?,
            slaves: from.list("slaves"),
        })
    }
}

impl Vlan {
    fn read(from: &impl Source) -> Result<Vlan> {
        Ok(Vlan {
            uuid: uuid(from)?,
            tagged_pif: required(from, "tagged_PIF")?,
            untagged_pif: required(from, "untagged_PIF")?,
        })
    }
}

impl Tunnel {
    fn read(from: &impl Source) -> Result<Tunnel> {
        Ok(Tunnel {
            uuid: uuid(from)?,
            access_pif: required(from, "access_PIF")?,
            transport_pif: required(from, "transport_PIF")?,
        })
    }
}

impl Network {
    fn read(from: &impl Source) -> Result<Network> {
        let uuid = uuid(from)?;
        let mtu = from.text("MTU").filter(|m| !m.is_empty());
        let mtu = mtu.and_then(|m| {
            let number = m.parse().ok();
            if number.is_none() {
                warning!("network {uuid}: MTU '{m}' is no number, ignored");
            }
            number
        });
        Ok(Network {
            uuid,
            bridge: netdev(from, "bridge")?,
            mtu,
            pifs: from.list("PIFs"),
            other_config: allowed("network", from.map("other_config")),
        })
    }
}

impl Pool {
    fn read(from: &impl Source) -> Result<Pool> {
        Ok(Pool {
            other_config: allowed("pool", from.map("other_config")),
        })
    }
}
