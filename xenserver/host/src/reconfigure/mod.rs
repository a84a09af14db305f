// SPDX-License-Identifier: GPL-2.0
//! interface-reconfigure: brings the host's interfaces up and down as xapi's database says, from xapi or, before xapi
//! runs, from its cache.

pub mod bond;
pub mod plan;

use crate::command::{self, words};
use crate::error::Result;
use crate::host::{Backend, Host, DB_SOCK};
use crate::netdb::{cache, fetch, Db, IpMode, Network, Pif, Ref, NULL};
use crate::sysconfig::{self, Changes};
use crate::vsctl::{Vsctl, LONG, SHORT};
use crate::xapi::Session;
use crate::{failed, info, warning};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Up,
    Down,
}

/// What is to be done to which PIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Pif {
        action: Action,
        pif: Which,
        session: Option<String>,
    },
    /// Out of the cache: the PIF of that bridge.
    Force {
        action: Action,
        bridge: String,
    },
    Rewrite {
        session: Option<String>,
    },
    /// A new cache, with the management interface only.
    ForceRewrite(Initial),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Ref(Ref),
    Uuid(String),
    Management,
}

/// The management interface of a host that has no cache yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initial {
    pub bridge: String,
    pub device: String,
    pub mac: String,
    pub ip_mode: IpMode,
    pub ip: String,
    pub netmask: String,
    pub gateway: String,
}

/// Time limits of what is run, generous: they are there so that nothing hangs for ever.
const QUICK: Duration = Duration::from_secs(20);
/// dhclient gives up after a minute, or after four on the first boot.
const IFUP: Duration = Duration::from_secs(300);

pub fn run(host: &Host, request: Request) -> Result<()> {
    if let Some(networkd) = host.networkd() {
        return Err(failed!(
            "this host's network belongs to xcp-networkd ({networkd}); use 'xe pif-plug' and 'xe pif-unplug'"
        ));
    }
    match request {
        Request::Pif {
            action,
            pif,
            session,
        } => {
            vswitch_only(host)?;
            let db = from_xapi(host, session)?;
            let pif = match &pif {
                Which::Ref(reference) => db.pif(reference).map(|_| reference.clone())?,
                Which::Uuid(uuid) => db.pif_by_uuid(uuid)?.clone(),
                Which::Management => management(&db)?.clone(),
            };
            let act = Act {
                host,
                db: &db,
                forced: false,
            };
            act.run(action, &pif)?;
            cache::save(host, &db)
        }
        Request::Force { action, bridge } => {
            vswitch_only(host)?;
            let db = cache::load(host)?;
            let pif = db.pif_by_bridge(&bridge)?.clone();
            Act {
                host,
                db: &db,
                forced: true,
            }
            .run(action, &pif)
        }
        Request::Rewrite { session } => {
            let db = from_xapi(host, session)?;
            if host.backend()? == Backend::Vswitch && host.exists(DB_SOCK) {
                Vsctl::new(host).modify(LONG, &plan::rewrite(&db)?)?;
            }
            cache::save(host, &db)
        }
        Request::ForceRewrite(initial) => cache::save(host, &initial.db()?),
    }
}

fn vswitch_only(host: &Host) -> Result<()> {
    match host.backend()? {
        Backend::Vswitch => Ok(()),
        Backend::Bridge => Err(failed!(
            "this host's network is made of Linux bridges; 'xe-switch-network-backend openvswitch' and a reboot change that"
        )),
    }
}

fn from_xapi(host: &Host, session: Option<String>) -> Result<Db> {
    let uuid = host.installation_uuid()?;
    let socket = host.xapi_socket();
    let session = match session {
        Some(reference) => Session::given(socket, &reference),
        None => Session::login(socket, "interface-reconfigure")?,
    };
    fetch::fetch(&session, &uuid)
}

pub fn management(db: &Db) -> Result<&Ref> {
    let found = db.pifs.iter().find(|(_, p)| p.management).map(|(r, _)| r);
    found.ok_or_else(|| failed!("no PIF of this host is its management interface"))
}

impl Initial {
    fn db(&self) -> Result<Db> {
        let (pif, network) = (random_ref()?, random_ref()?);
        let record = Pif {
            uuid: "InitialManagementPIF".into(),
            management: true,
            network: network.clone(),
            device: self.device.clone(),
            mac: self.mac.clone(),
            vlan: -1,
            bond_slave_of: NULL.into(),
            vlan_master_of: NULL.into(),
            ip_mode: self.ip_mode,
            ip: self.ip.clone(),
            netmask: self.netmask.clone(),
            gateway: self.gateway.clone(),
            ..Pif::default()
        };
        let network_record = Network {
            uuid: "InitialManagementNetwork".into(),
            bridge: self.bridge.clone(),
            mtu: Some(1500),
            pifs: vec![pif.clone()],
            ..Network::default()
        };
        Ok(Db {
            pifs: [(pif, record)].into(),
            networks: [(network, network_record)].into(),
            ..Db::default()
        })
    }
}

fn random_ref() -> Result<Ref> {
    const FILE: &str = "/proc/sys/kernel/random/uuid";
    let uuid = std::fs::read_to_string(FILE).map_err(|e| failed!("cannot read {FILE}: {e}"))?;
    Ok(format!("OpaqueRef:{}", uuid.trim()))
}

struct Act<'a> {
    host: &'a Host,
    db: &'a Db,
    forced: bool,
}

impl Act<'_> {
    fn run(&self, action: Action, pif: &Ref) -> Result<()> {
        let record = self.db.pif(pif)?;
        if self.booted_from_network(record) {
            info!(
                "PIF {} is what the host boots over: left alone",
                record.uuid
            );
            return Ok(());
        }
        match action {
            Action::Up => self.up(pif),
            Action::Down => self.down(pif),
        }
    }

    /// Whether the card is the one that a diskless host (Provisioning Server) has its root file system over.
    fn booted_from_network(&self, pif: &Pif) -> bool {
        let text = self
            .host
            .read("/proc/ardence")
            .unwrap_or_default()
            .to_lowercase();
        !pif.mac.is_empty() && text.contains(&pif.mac.to_lowercase())
    }

    fn up(&self, pif: &Ref) -> Result<()> {
        let (db, host) = (self.db, self.host);
        let record = db.pif(pif)?;
        let device = sysconfig::ip_device(db, pif)?;
        info!("up: {device}, {} configuration", record.ip_mode.name());
        let vsctl = Vsctl::new(host);
        let plan = plan::up(db, pif, &self.vlan_bridge(&vsctl, record, device)?)?;
        for card in &plan.cards {
            self.check_card(db.pif(card)?)?;
        }
        let was_secure = self.is_secure(&vsctl, pif);
        let mut changes = Changes::of(host, db, pif)?;
        if !self.forced {
            self.ifdown(device)?;
        }
        for bridge in &plan.gone {
            self.ifdown(bridge)?;
        }
        changes.apply()?;
        for card in &plan.unused {
            self.link(card, "down")?;
        }
        let mtu = db.mtu(db.pif(db.datapath_pif(pif)?)?)?;
        for card in &plan.cards {
            self.card_up(db.pif(card)?, mtu)?;
        }
        vsctl.modify(LONG, &plan.transaction)?;
        self.flows_after(&vsctl, pif, was_secure)?;
        self.ifup(device)?;
        let under = db.pif(db.datapath_pif(pif)?)?;
        if db.is_bond(under) && host.netdev_exists(&under.device) {
            self.link(&under.device, "up")?;
        }
        self.update_issue();
        changes.commit();
        Ok(())
    }

    fn down(&self, pif: &Ref) -> Result<()> {
        let device = sysconfig::ip_device(self.db, pif)?;
        info!("down: {device}");
        let plan = plan::down(self.db, pif)?;
        self.ifdown(device)?;
        for card in &plan.cards {
            if self.host.netdev_exists(card) {
                self.link(card, "down")?;
            }
        }
        Ok(Vsctl::new(self.host).modify(LONG, &plan.transaction)?)
    }

    /// What the bridge of a VLAN is in the database now.
    fn vlan_bridge(&self, vsctl: &Vsctl<'_>, pif: &Pif, bridge: &str) -> Result<plan::VlanBridge> {
        if !self.db.is_vlan(pif) {
            return Ok(None);
        }
        let bridges = crate::vsctl::lines(&vsctl.query("list-br")?);
        if !bridges.iter().any(|b| b == bridge) {
            return Ok(None);
        }
        let parent = vsctl
            .query(&format!("br-to-parent {bridge}"))?
            .trim()
            .to_string();
        let vid = vsctl
            .query(&format!("br-to-vlan {bridge}"))?
            .trim()
            .parse()
            .unwrap_or(-1);
        Ok(Some((parent, vid)))
    }

    /// Refuses a card whose MAC address another card has: the names were mixed up, and renaming cards is no longer
    /// this program's.
    fn check_card(&self, pif: &Pif) -> Result<()> {
        let host = self.host;
        if !host.netdev_exists(&pif.device) {
            return Err(failed!(
                "no network card {} on this host; see 'ip link'",
                pif.device
            ));
        }
        let mac_of = |device: &str| {
            let mac = host.read(&format!("/sys/class/net/{device}/address"));
            mac.unwrap_or_default().trim().to_lowercase()
        };
        let wanted = pif.mac.to_lowercase();
        if wanted.is_empty() || mac_of(&pif.device) == wanted {
            return Ok(());
        }
        let devices = std::fs::read_dir(host.path("/sys/class/net"))
            .into_iter()
            .flatten()
            .flatten();
        for device in devices.filter_map(|d| d.file_name().into_string().ok()) {
            let is_card = host.exists(&format!("/sys/class/net/{device}/device"));
            if is_card && mac_of(&device) == wanted {
                return Err(failed!(
                    "xapi knows {wanted} as {}, but it is {device} now; cards are not renamed here, 'interface-rename' does",
                    pif.device
                ));
            }
        }
        warning!(
            "{} has MAC address {}, xapi expects {wanted}",
            pif.device,
            mac_of(&pif.device)
        );
        Ok(())
    }

    fn card_up(&self, pif: &Pif, mtu: u32) -> Result<()> {
        let device = &pif.device;
        self.link(device, &format!("up mtu {mtu}"))?;
        let settings = sysconfig::ethtool_settings(&pif.other_config, device);
        // Merged packets cannot be forwarded as they came; a bridge must not make them.
        let defaults = [("gro", "off"), ("lro", "off")];
        let offloads = sysconfig::ethtool_offloads(&pif.other_config, device, &defaults);
        for (option, arguments) in [("-s", settings), ("-K", offloads)] {
            if arguments.is_empty() {
                continue;
            }
            let mut all = vec![option.to_string(), device.clone()];
            all.extend(arguments);
            // Cards differ in what they can; none is refused for it.
            if let Err(e) = self.run_tool("ethtool", &all, &[], QUICK) {
                warning!("{device}: {e}");
            }
        }
        Ok(())
    }

    /// Whether the bridge under `pif` is in fail mode secure now.
    fn is_secure(&self, vsctl: &Vsctl<'_>, pif: &Ref) -> bool {
        let bridge = self.db.datapath_pif(pif).and_then(|p| self.db.bridge(p));
        let Ok(bridge) = bridge else { return false };
        let rows = vsctl.bridges().unwrap_or_default();
        rows.iter()
            .any(|r| r.name == bridge && r.fail_mode.as_deref() == Some("secure"))
    }

    fn flows_after(&self, vsctl: &Vsctl<'_>, pif: &Ref, was_secure: bool) -> Result<()> {
        let record = self.db.pif(pif)?;
        let network = self.db.network(record)?;
        let secure = plan::fail_mode(self.db, &network.other_config) == "secure";
        if record.management && secure && !was_secure && !self.db.is_vlan(record) {
            let cards = self.db.card_names(pif)?;
            add_default_flows(self.host, vsctl, &network.bridge, &record.mac, &cards)?;
        }
        Ok(())
    }

    fn ifdown(&self, device: &str) -> Result<()> {
        if !self.host.netdev_exists(device) {
            info!("{device} does not exist, nothing to take down");
            return Ok(());
        }
        self.run_tool("ifdown", &words(device), &[], IFUP)
    }

    fn ifup(&self, device: &str) -> Result<()> {
        let mut env = Vec::new();
        let done = "/etc/firstboot.d/state/99-remove-firstboot-flag";
        if self.host.exists("/etc/firstboot.d") && !self.host.exists(done) {
            let given = std::env::var("DHCLIENTARGS").unwrap_or_default();
            env.push(("DHCLIENTARGS", format!("{given} -T 240").trim().to_string()));
        }
        self.run_tool("ifup", &words(device), &env, IFUP)
    }

    fn link(&self, device: &str, what: &str) -> Result<()> {
        self.run_tool(
            "ip",
            &words(&format!("link set dev {device} {what}")),
            &[],
            QUICK,
        )
    }

    /// The console shows the management address.
    fn update_issue(&self) {
        if self.host.has_tool("update-issue") {
            if let Err(e) = self.run_tool("update-issue", &[], &[], QUICK) {
                warning!("{e}");
            }
        }
    }

    fn run_tool(
        &self,
        name: &str,
        args: &[String],
        env: &[(&str, String)],
        limit: Duration,
    ) -> Result<()> {
        let status = command::run(&self.host.tool(name)?, args, env, limit)?;
        match status.success() {
            true => Ok(()),
            false => Err(failed!("'{name} {}' failed: {status}", args.join(" "))),
        }
    }
}

/// Puts `plan::default_flows` on a bridge.
pub fn add_default_flows(
    host: &Host,
    vsctl: &Vsctl<'_>,
    bridge: &str,
    mac: &str,
    cards: &[&str],
) -> std::result::Result<(), FlowError> {
    let fail = |code, flow: &str| FlowError {
        code,
        bridge: bridge.into(),
        flow: flow.into(),
    };
    let ports = vsctl.ofports(cards).map_err(|f| fail(f.code, ""))?;
    let ports: Vec<u32> = ports.into_iter().flatten().collect();
    if ports.is_empty() {
        return Err(fail(0, "no OpenFlow port yet"));
    }
    let program = host.tool("ovs-ofctl").map_err(|_| fail(127, ""))?;
    for flow in plan::default_flows(mac, &ports) {
        let args = words(&format!("--timeout={SHORT} add-flow {bridge} {flow}"));
        let limit = Duration::from_secs(u64::from(SHORT) + 2);
        let out = command::capture(&program, &args, limit).map_err(|_| fail(-1, &flow))?;
        if !out.status.success() {
            return Err(fail(out.code(), &flow));
        }
    }
    Ok(())
}

/// A default flow that could not be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowError {
    pub code: i32,
    pub bridge: String,
    pub flow: String,
}

impl From<FlowError> for crate::error::Error {
    fn from(e: FlowError) -> Self {
        failed!(
            "cannot add the flow that keeps {} reachable: status {}, {}",
            e.bridge,
            e.code,
            e.flow
        )
    }
}
