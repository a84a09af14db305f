// SPDX-License-Identifier: GPL-2.0
//! What the rows of the database should say: pure logic over a copy of it and what xapi answers.

use crate::error::{Error, Result};
use crate::ovsdb::{Change, Copy, Row};
use crate::reconfigure::plan::{self, InBand};
use crate::xapi::Session;
use crate::xmlrpc::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

type Config = BTreeMap<String, String>;

/// A network, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub uuid: String,
    pub other_config: Config,
}

/// What xapi is asked. None: it knows no such thing.
pub trait Lookup {
    fn network_of_bridge(&mut self, bridge: &str) -> Result<Option<Network>>;
    fn network(&mut self, uuid: &str) -> Result<Option<Network>>;
    fn vif(&mut self, uuid: &str) -> Result<Option<Config>>;
    fn vm(&mut self, uuid: &str) -> Result<Option<Config>>;
    fn pool(&mut self) -> Result<Config>;
}

/// The changes that are due, and whether to look again in a second though nothing was reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub changes: Vec<Change>,
    pub again: bool,
    /// What xapi did not answer, of the last row that lacks something for it.
    pub error: Option<Error>,
}

impl Wanted {
    /// Takes note of an error. True: xapi is not there, and asking for other rows is no use.
    fn lacks(&mut self, error: Error) -> bool {
        let nobody = matches!(error, Error::Unreachable(_)) || error.is_xapi("SESSION_INVALID");
        self.again = true;
        self.error = Some(error);
        nobody
    }
}

/// What has been asked of xapi already, so that a change of one port does not ask for all.
#[derive(Default)]
pub struct Desire {
    /// Rows of bridges whose fail mode and in-band setting have been seen to.
    seen: BTreeSet<String>,
    /// Those for which changes have been made out, and nobody has said yet that they are in the database.
    pending: BTreeSet<String>,
    bridge_ids: BTreeMap<(String, String), BridgeId>,
    iface_ids: BTreeMap<String, String>,
    vm_ids: BTreeMap<String, String>,
}

impl Desire {
    pub fn forget(&mut self) {
        *self = Desire::default();
    }

    /// The last changes are in the database.
    pub fn confirm(&mut self) {
        self.seen.append(&mut self.pending);
    }

    /// The database refused them.
    pub fn refused(&mut self) {
        self.pending.clear();
    }

    /// What is due. A row for which xapi has no answer waits for it, the others do not.
    pub fn changes(&mut self, copy: &Copy, xapi: &mut dyn Lookup) -> Wanted {
        let mut wanted = Wanted::default();
        self.pending.clear();
        self.seen.retain(|uuid| copy.bridges.contains_key(uuid));
        for (uuid, row) in &copy.bridges {
            if let Err(e) = self.bridge(uuid, row, xapi, &mut wanted) {
                if wanted.lacks(e) {
                    return wanted;
                }
            }
        }
        let names: BTreeMap<_, _> = copy
            .interfaces
            .values()
            .map(|r| (r.name.as_str(), r))
            .collect();
        for (uuid, row) in &copy.interfaces {
            match self.interface(row, &names, xapi) {
                Ok(keys) => {
                    let keys: Vec<_> = keys.iter().map(|(k, v)| (*k, v.clone())).collect();
                    set(&mut wanted.changes, "Interface", uuid, row, &keys);
                }
                Err(e) => {
                    if wanted.lacks(e) {
                        return wanted;
                    }
                }
            }
        }
        wanted
    }

    fn bridge(
        &mut self,
        uuid: &str,
        row: &Row,
        xapi: &mut dyn Lookup,
        wanted: &mut Wanted,
    ) -> Result<()> {
        if !self.seen.contains(uuid) {
            let before = wanted.changes.len();
            bridge_settings(uuid, row, xapi, &mut wanted.changes)?;
            let right = wanted.changes.len() == before;
            let set = if right {
                &mut self.seen
            } else {
                &mut self.pending
            };
            set.insert(uuid.into());
        }
        match self.bridge_id(row, xapi)? {
            BridgeId::Is(id) => {
                let keys = [("bridge-id", id)];
                set(&mut wanted.changes, "Bridge", uuid, row, &keys);
            }
            BridgeId::Unknown => {}
            BridgeId::NotYet => wanted.again = true,
        }
        Ok(())
    }

    fn bridge_id(&mut self, row: &Row, xapi: &mut dyn Lookup) -> Result<BridgeId> {
        // An internal network's bridge, which interface-reconfigure does not make, has no such list.
        let list = row.external_ids.get("xs-network-uuids");
        let list = list.cloned().unwrap_or_default();
        let key = (row.name.clone(), list.clone());
        if let Some(id) = self.bridge_ids.get(&key) {
            return Ok(id.clone());
        }
        let uuids: Vec<_> = list
            .split(';')
            .map(str::trim)
            .filter(|u| !u.is_empty())
            .collect();
        let chosen = |network: &Network| network.other_config.get("nicira-bridge-id").cloned();
        let id = match uuids[..] {
            [] => match xapi.network_of_bridge(&row.name)? {
                Some(network) => BridgeId::Is(chosen(&network)),
                None => BridgeId::Unknown,
            },
            [uuid] => {
                let id = xapi.network(uuid)?.as_ref().and_then(chosen);
                BridgeId::Is(id.or_else(|| Some(uuid.into())))
            }
            _ => match xapi.network_of_bridge(&row.name)? {
                Some(network) if uuids.contains(&network.uuid.as_str()) => {
                    BridgeId::Is(chosen(&network).or(Some(network.uuid)))
                }
                _ => return Ok(BridgeId::NotYet),
            },
        };
        self.bridge_ids.insert(key, id.clone());
        Ok(id)
    }

    /// The external_ids that an interface should have; None: should not.
    fn interface(
        &mut self,
        row: &Row,
        names: &BTreeMap<&str, &Row>,
        xapi: &mut dyn Lookup,
    ) -> Result<BTreeMap<&'static str, Option<String>>> {
        let mut keys = BTreeMap::new();
        let mut ids = row.external_ids.clone();
        // An emulated card of a machine, tapX.Y, is the same to its guest as the paravirtual vifX.Y.
        let vif = guest_port(&row.name, "tap").map(|rest| format!("vif{rest}"));
        let vif = vif.as_ref().and_then(|name| names.get(name.as_str()));
        if let Some(vif) = vif {
            for key in [
                "attached-mac",
                "xs-network-uuid",
                "xs-vif-uuid",
                "xs-vm-uuid",
            ] {
                let value = vif.external_ids.get(key).cloned();
                match &value {
                    Some(value) => ids.insert(key.into(), value.clone()),
                    None => ids.remove(key),
                };
                keys.insert(key, value);
            }
        }
        // Names of a guest's port that has no more the UUID that they came from are nobody's.
        if ["vif", "tap"]
            .iter()
            .any(|kind| guest_port(&row.name, kind).is_some())
        {
            keys.extend([("iface-id", None), ("vm-id", None)]);
        }
        if let Some(uuid) = ids.get("xs-vif-uuid") {
            let ask = || {
                Ok(xapi
                    .vif(uuid)?
                    .and_then(|mut c| c.remove("nicira-iface-id")))
            };
            keys.insert("iface-id", Some(cached(&mut self.iface_ids, uuid, ask)?));
        }
        if let Some(uuid) = ids.get("xs-vm-uuid") {
            let ask = || Ok(xapi.vm(uuid)?.and_then(|mut c| c.remove("nicira-vm-id")));
            keys.insert("vm-id", Some(cached(&mut self.vm_ids, uuid, ask)?));
        }
        let tap = guest_port(&row.name, "vif").map(|rest| format!("tap{rest}"));
        if let Some(tap) = tap {
            let status = if names.contains_key(tap.as_str()) {
                "inactive"
            } else {
                "active"
            };
            keys.insert("iface-status", Some(status.into()));
        } else if guest_port(&row.name, "tap").is_some() {
            keys.insert("iface-status", vif.map(|_| "active".into()));
        }
        Ok(keys)
    }
}

#[derive(Debug, Clone)]
enum BridgeId {
    /// That, or none: xapi knows the bridge, and has no name for it.
    Is(Option<String>),
    /// Nothing of xapi's.
    Unknown,
    /// xapi has not said yet which of several networks it is.
    NotYet,
}

fn cached(
    cache: &mut BTreeMap<String, String>,
    uuid: &str,
    ask: impl FnOnce() -> Result<Option<String>>,
) -> Result<String> {
    if let Some(id) = cache.get(uuid) {
        return Ok(id.clone());
    }
    let id = ask()?.unwrap_or_else(|| uuid.to_string());
    cache.insert(uuid.into(), id.clone());
    Ok(id)
}

/// "5.0" of "vif5.0".
fn guest_port<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    let rest = name.strip_prefix(kind)?;
    let (domain, device) = rest.split_once('.')?;
    let number = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    (number(domain) && number(device)).then_some(rest)
}

fn set(
    changes: &mut Vec<Change>,
    table: &'static str,
    uuid: &str,
    row: &Row,
    keys: &[(&'static str, Option<String>)],
) {
    for (key, value) in keys {
        if row.external_ids.get(*key) != value.as_ref() {
            changes.push(Change::Key {
                table,
                row: uuid.into(),
                column: "external_ids",
                key: key.to_string(),
                value: value.clone(),
            });
        }
    }
}

/// Fail mode and in-band control of a bridge that has come: as xapi says, if it knows the bridge.
fn bridge_settings(
    uuid: &str,
    row: &Row,
    xapi: &mut dyn Lookup,
    changes: &mut Vec<Change>,
) -> Result<()> {
    let Some(network) = xapi.network_of_bridge(&row.name)? else {
        return Ok(());
    };
    let mode = network.other_config.get(plan::FAIL_MODE).cloned();
    let pool = match mode.as_deref() {
        Some("secure" | "standalone") => None,
        _ => xapi.pool()?.remove(plan::FAIL_MODE),
    };
    let mode = plan::fail_mode_of(mode.as_deref(), pool.as_deref());
    if row.fail_mode.as_deref() != Some(mode) {
        changes.push(Change::FailMode {
            row: uuid.into(),
            mode,
        });
    }
    let value = match plan::in_band(&network.other_config, &network.uuid) {
        Some(InBand::Set(value)) => Some(value.to_string()),
        Some(InBand::Remove) => None,
        None => return Ok(()),
    };
    let key = "disable-in-band";
    if row.other_config.get(key) != value.as_ref() {
        changes.push(Change::Key {
            table: "Bridge",
            row: uuid.into(),
            column: "other_config",
            key: key.into(),
            value,
        });
    }
    Ok(())
}

/// The answers of the real xapi.
pub struct FromXapi {
    socket: PathBuf,
    session: Option<Session>,
}

impl FromXapi {
    pub fn new(socket: PathBuf) -> Self {
        FromXapi {
            socket,
            session: None,
        }
    }

    /// Logs in anew next time: xapi was restarted, or ended the session.
    pub fn forget_session(&mut self) {
        self.session = None;
    }

    fn session(&mut self) -> Result<&Session> {
        if self.session.is_none() {
            self.session = Some(Session::login(self.socket.clone(), "ovs-xapi-sync")?);
        }
        self.session
            .as_ref()
            .ok_or_else(|| crate::failed!("no session"))
    }
}

fn config(record: &Value) -> Config {
    record.string_map("other_config")
}

fn network(record: &Value) -> Network {
    let uuid = record
        .get("uuid")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_string();
    Network {
        uuid,
        other_config: config(record),
    }
}

impl Lookup for FromXapi {
    fn network_of_bridge(&mut self, bridge: &str) -> Result<Option<Network>> {
        if !crate::host::valid_netdev(bridge) {
            return Ok(None);
        }
        let query = format!("field \"bridge\"=\"{bridge}\"");
        let found = self
            .session()?
            .call("network.get_all_records_where", &[query.into()])?;
        Ok(found
            .as_struct()
            .into_iter()
            .flatten()
            .next()
            .map(|(_, record)| network(record)))
    }

    fn network(&mut self, uuid: &str) -> Result<Option<Network>> {
        Ok(self
            .session()?
            .by_uuid("network", uuid)?
            .as_ref()
            .map(network))
    }

    fn vif(&mut self, uuid: &str) -> Result<Option<Config>> {
        Ok(self.session()?.by_uuid("VIF", uuid)?.as_ref().map(config))
    }

    fn vm(&mut self, uuid: &str) -> Result<Option<Config>> {
        Ok(self.session()?.by_uuid("VM", uuid)?.as_ref().map(config))
    }

    fn pool(&mut self) -> Result<Config> {
        let pools = self.session()?.records("pool")?;
        Ok(pools.values().next().map(config).unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "desire_tests.rs"]
mod tests;
