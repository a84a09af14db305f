// SPDX-License-Identifier: GPL-2.0
//! interface-reconfigure: brings the host's interfaces up and down as xapi's database says, from xapi or, before xapi
//! runs, from its cache.

pub mod bond;
pub mod flows;
pub mod plan;

use crate::command::{self, words};
use crate::error::Result;
use crate::host::{Backend, Host, DB_SOCK};
use crate::netdb::{cache, fetch, Db, IpMode, Network, Pif, Ref, NULL};
use crate::sysconfig::{self, Changes};
use crate::vsctl::{Vsctl, LONG};
use crate::xapi::Session;
use crate::{failed, info, warning};
use std::path::PathBuf;
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
        /// It is, or is about to be, the management interface, whatever xapi's database says yet.
        management: bool,
    },
    /// Out of the cache: the PIF of that bridge.
    Force {
        action: Action,
        bridge: String,
        management: bool,
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
/// One that brings an interface up or down keeps the others out: they share files. It may take an ifdown and an ifup.
const LOCK: &str = "/var/run/interface-reconfigure.lock";
const LOCK_LIMIT: Duration = Duration::from_secs(600);

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
            management,
        } => {
            vswitch_only(host)?;
            let _lock = host.lock(LOCK, LOCK_LIMIT)?;
            let db = from_xapi(host, session)?;
            let pif = match &pif {
                Which::Ref(reference) => db.pif(reference).map(|_| reference.clone())?,
                Which::Uuid(uuid) => db.pif_by_uuid(uuid)?.clone(),
            };
            act(host, &db, action, &pif, management, false)?;
            cache::save(host, &db)
        }
        Request::Force {
            action,
            bridge,
            management,
        } => {
            vswitch_only(host)?;
            let _lock = host.lock(LOCK, LOCK_LIMIT)?;
            let db = cache::load(host)?;
            let pif = db.pif_by_bridge(&bridge)?.clone();
            act(host, &db, action, &pif, management, true)
        }
        Request::Rewrite { session } => {
            let db = from_xapi(host, session)?;
            if host.backend()? == Backend::Vswitch && host.exists(DB_SOCK) {
                let done = Vsctl::new(host).modify(LONG, &plan::rewrite(&db)?)?;
                done.note().into_iter().for_each(|note| warning!("{note}"));
            }
            cache::save(host, &db)
        }
        Request::ForceRewrite(initial) => cache::save(host, &initial.db()?),
    }
}

/// Brings `pif` up or down. With `management` it counts as the management interface, and no other does.
fn act(
    host: &Host,
    db: &Db,
    action: Action,
    pif: &Ref,
    management: bool,
    forced: bool,
) -> Result<()> {
    let mut db = db.clone();
    if management {
        for (reference, record) in &mut db.pifs {
            record.management = reference == pif;
        }
    }
    let db = &db;
    Act { host, db, forced }.run(action, pif)
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

pub fn management(db: &Db) -> Option<&Ref> {
    db.pifs.iter().find(|(_, p)| p.management).map(|(r, _)| r)
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
        let cards = self.present(&plan.cards)?;
        let mtu = db.mtu(db.pif(db.datapath_pif(pif)?)?)?;
        let mut changes = Changes::of(host, db, pif)?;
        let own = (!self.forced).then_some(device);
        let gone = plan.gone.iter().map(String::as_str);
        let taken: Vec<_> = own.into_iter().chain(gone).collect();
        taken.iter().for_each(|device| self.ifdown(device));
        let tried = changes.apply().and_then(|()| {
            cards.iter().for_each(|card| self.card_up(card, mtu));
            Ok(vsctl.modify(LONG, &plan.transaction)?)
        });
        let done = match tried {
            Ok(done) => done,
            // The database is as it was: so is the host, or it would be without a network.
            Err(e) => {
                drop(changes);
                taken.iter().rev().for_each(|device| self.back_up(device));
                return Err(e);
            }
        };
        // The files belong to what is in the database now: whatever fails from here on, they stay.
        changes.commit();
        for card in &plan.unused {
            self.link(card, "down");
        }
        if let Some(note) = done.note() {
            return Err(failed!("{device} is configured and not up: {note}"));
        }
        let flows = self.flows_after(&vsctl, pif);
        self.ifup(device);
        let under = db.pif(db.datapath_pif(pif)?)?;
        if db.is_bond(under) && host.netdev_exists(&under.device) {
            self.link(&under.device, "up");
        }
        self.update_issue();
        flows
    }

    fn down(&self, pif: &Ref) -> Result<()> {
        let device = sysconfig::ip_device(self.db, pif)?;
        info!("down: {device}");
        let plan = plan::down(self.db, pif)?;
        self.ifdown(device);
        for card in &plan.cards {
            if self.host.netdev_exists(card) {
                self.link(card, "down");
            }
        }
        match Vsctl::new(self.host)
            .modify(LONG, &plan.transaction)?
            .note()
        {
            None => Ok(()),
            Some(note) => Err(failed!("{device}: {note}")),
        }
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

    /// The cards that the host has, checked. A bond does without those that are gone: they join it when they are there.
    fn present(&self, cards: &[Ref]) -> Result<Vec<&Pif>> {
        let mut present = Vec::new();
        let mut missing = None;
        for card in cards {
            let record = self.db.pif(card)?;
            if self.host.netdev_exists(&record.device) {
                self.check_card(record)?;
                present.push(record);
                continue;
            }
            let device = &record.device;
            let error = failed!("no network card {device} on this host; see 'ip link'");
            if cards.len() > 1 {
                warning!("{error}");
            }
            missing.get_or_insert(error);
        }
        match missing {
            Some(error) if present.is_empty() => Err(error),
            _ => Ok(present),
        }
    }

    /// Refuses a card whose MAC address another card has: the names were mixed up, and renaming cards is no longer
    /// this program's.
    fn check_card(&self, pif: &Pif) -> Result<()> {
        let host = self.host;
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

    /// A card that is broken, or that cannot have that MTU, is put onto its bridge all the same: others may be there.
    fn card_up(&self, pif: &Pif, mtu: u32) {
        let device = &pif.device;
        if !self.link(device, &format!("up mtu {mtu}")) {
            self.link(device, "up");
        }
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
            self.try_tool("ethtool", &all, &[], QUICK);
        }
    }

    fn flows_after(&self, vsctl: &Vsctl<'_>, pif: &Ref) -> Result<()> {
        let record = self.db.pif(pif)?;
        let network = self.db.network(record)?;
        let secure = plan::fail_mode(self.db, &network.other_config) == "secure";
        if record.management && secure && !self.db.is_vlan(record) {
            let cards = self.db.card_names(pif)?;
            flows::keep_reachable(self.host, vsctl, &network.bridge, &record.mac, &cards)?;
        }
        Ok(())
    }

    /// Takes an interface down as it was brought up. A bridge that something else made, such as a VLAN over it, has no
    /// file that ifdown could read.
    fn ifdown(&self, device: &str) {
        if !self.host.netdev_exists(device) {
            info!("{device} does not exist, nothing to take down");
        } else if sysconfig::has_ifcfg(self.host, device) {
            self.try_tool("ifdown", &words(device), &[], IFUP);
        } else {
            info!("{device} has no ifcfg file, only its link is taken down");
            self.link(device, "down");
        }
    }

    /// Brings back what `ifdown` took down.
    fn back_up(&self, device: &str) {
        if !self.host.netdev_exists(device) {
            return;
        }
        if sysconfig::has_ifcfg(self.host, device) {
            self.ifup(device);
        } else {
            self.link(device, "up");
        }
    }

    /// Gives the interface its address. That there is no DHCP server now is no reason to take the rest back: the bridge
    /// is there, guests use it, and the next attempt may succeed.
    fn ifup(&self, device: &str) {
        let mut env = Vec::new();
        if self
            .host
            .exists("/etc/firstboot.d/data/firstboot_in_progress")
        {
            let given = std::env::var("DHCLIENTARGS").unwrap_or_default();
            env.push(("DHCLIENTARGS", format!("{given} -T 240").trim().to_string()));
        }
        self.try_tool("ifup", &words(device), &env, IFUP);
    }

    fn link(&self, device: &str, what: &str) -> bool {
        let args = words(&format!("link set dev {device} {what}"));
        self.try_tool("ip", &args, &[], QUICK)
    }

    /// The console shows the management address.
    fn update_issue(&self) {
        if self.host.has_tool("update-issue") {
            self.try_tool("update-issue", &[], &[], QUICK);
        }
    }

    /// Runs a program of the host whose failure stops nothing, and says whether it succeeded.
    fn try_tool(
        &self,
        name: &str,
        args: &[String],
        env: &[(&str, String)],
        limit: Duration,
    ) -> bool {
        let run = |program: PathBuf| command::run(&program, args, env, limit);
        let said = match self.host.tool(name).and_then(run) {
            Ok(status) if status.success() => return true,
            Ok(status) => status.to_string(),
            Err(e) => e.to_string(),
        };
        warning!("'{name} {}' failed: {said}", args.join(" "));
        false
    }
}
