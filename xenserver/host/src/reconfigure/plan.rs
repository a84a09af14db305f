// SPDX-License-Identifier: GPL-2.0
//! What `up`, `down` and `rewrite` do to the database, as one transaction each. Nothing here runs anything.

use super::bond;
use crate::error::Result;
use crate::netdb::{Db, OtherConfig, Pif, Ref};
use crate::vsctl::{quoted, Transaction};
use crate::warning;
use std::collections::BTreeSet;

/// What bringing a PIF up takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Up {
    pub transaction: Transaction,
    /// Bridges of other PIFs on the same cards, which go.
    pub gone: Vec<String>,
    /// The cards that are used.
    pub cards: Vec<Ref>,
    /// Cards that were in a bond that goes, and are in nothing now.
    pub unused: Vec<String>,
}

/// What taking a PIF down takes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Down {
    pub transaction: Transaction,
    /// Names of the cards that nobody uses from now on.
    pub cards: Vec<String>,
}

/// What a bridge of that name is in the database now, if it is the VLAN of another.
pub type VlanBridge = Option<(String, i64)>;

/// The plan for bringing `pif` up. `now`: what its bridge is now, if the PIF is a VLAN.
pub fn up(db: &Db, pif: &Ref, now: &VlanBridge) -> Result<Up> {
    let under = db.datapath_pif(pif)?;
    let mut plan = Up::default();
    datapath(db, under, &mut plan)?;
    let record = db.pif(pif)?;
    if db.is_vlan(record) {
        let (bridge, parent) = (db.bridge(pif)?, db.bridge(under)?);
        let t = &mut plan.transaction;
        // Deleting a bridge takes the guests' ports with it: only one that is not what it should be.
        if now.as_ref() != Some(&(parent.to_string(), record.vlan)) {
            t.add(format!("--if-exists del-br {bridge}"));
        }
        t.add(format!(
            "--may-exist add-br {bridge} {parent} {}",
            record.vlan
        ));
        network_uuids(db, under, bridge, t)?;
        let mac = &db.pif(under)?.mac;
        if !mac.is_empty() {
            t.add(format!("set Interface {bridge} MAC={}", quoted(mac)));
        }
    }
    Ok(plan)
}

/// The bridge itself, with its cards.
fn datapath(db: &Db, pif: &Ref, plan: &mut Up) -> Result<()> {
    let record = db.pif(pif)?;
    let network = db.network(record)?;
    let bridge = &network.bridge;
    let cards = db.cards(pif)?;
    let names = db.card_names(pif)?;
    let t = &mut plan.transaction;

    // At boot the cache says of no PIF that it is in use; then there are no bridges either.
    let in_use = |card: &&Ref| {
        let attached = |p: &Ref| db.pifs.get(p).is_some_and(|p| p.currently_attached);
        attached(card) || db.vlans_over(card).into_iter().any(attached)
    };
    let mut bonds = BTreeSet::new();
    let mut gone = Vec::new();
    let mut unused = Vec::new();
    for &card in &cards {
        let masters = db.bond_masters(card).into_iter().filter(|m| *m != pif);
        for other in masters.chain((card != pif).then_some(card)) {
            match db.bridge(other) {
                Ok(bridge) if !gone.iter().any(|b| b == bridge) => gone.push(bridge.to_string()),
                _ => {}
            }
            if other != card && bonds.insert(db.pif(other)?.device.clone()) {
                let left = db.cards(other)?.into_iter();
                for sibling in left.filter(|c| !cards.contains(c) && !in_use(c)) {
                    unused.push(db.pif(sibling)?.device.clone());
                }
            }
        }
    }
    gone.iter()
        .for_each(|b| t.add(format!("--if-exists del-br {b}")));
    unused
        .iter()
        .for_each(|p| t.add(format!("--with-iface --if-exists del-port {p}")));
    bonds
        .iter()
        .for_each(|b| t.add(format!("--with-iface --if-exists del-port {b}")));
    names
        .iter()
        .for_each(|n| t.add(format!("--with-iface --if-exists del-port {n}")));
    t.add(format!("--may-exist add-br {bridge}"));
    match names[..] {
        [] => {}
        [card] => t.add(format!("--may-exist add-port {bridge} {card}")),
        _ => {
            let bond = &record.device;
            t.add(format!("--with-iface --if-exists del-port {bond}"));
            t.add(format!(
                "--fake-iface add-bond {bridge} {bond} {}",
                names.join(" ")
            ));
            t.add(format!("set Port {bond} {}", bond::columns(record)));
        }
    }
    if !record.mac.is_empty() {
        t.add(format!(
            "set Bridge {bridge} other-config:hwaddr={}",
            quoted(&record.mac)
        ));
    }
    t.add(format!(
        "set Bridge {bridge} fail_mode={}",
        fail_mode(db, &network.other_config)
    ));
    match in_band(&network.other_config, &network.uuid) {
        Some(InBand::Set(value)) => {
            t.add(format!(
                "set Bridge {bridge} other_config:disable-in-band={value}"
            ));
        }
        Some(InBand::Remove) => {
            t.add(format!(
                "remove Bridge {bridge} other_config disable-in-band"
            ));
        }
        None => {}
    }
    network_uuids(db, pif, bridge, t)?;
    plan.cards = cards.into_iter().cloned().collect();
    plan.gone = gone;
    plan.unused = unused;
    Ok(())
}

pub const FAIL_MODE: &str = "vswitch-controller-fail-mode";

/// A bridge's fail mode: what its network says, else what the pool says, else standalone.
pub fn fail_mode(db: &Db, network: &OtherConfig) -> &'static str {
    fail_mode_of(
        network.get(FAIL_MODE).map(String::as_str),
        db.pool_config(FAIL_MODE),
    )
}

/// A setting that is neither of the two counts as none.
pub fn fail_mode_of(network: Option<&str>, pool: Option<&str>) -> &'static str {
    for (owner, mode) in [("network", network), ("pool", pool)] {
        match mode {
            Some("secure") => return "secure",
            Some("standalone") => return "standalone",
            Some(other) => {
                warning!("{owner}: {FAIL_MODE} '{other}' is neither secure nor standalone, ignored")
            }
            None => {}
        }
    }
    "standalone"
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InBand {
    Set(bool),
    Remove,
}

/// What a network says of in-band control. None: nothing that can be understood, so nothing is to be changed.
pub fn in_band(network: &OtherConfig, uuid: &str) -> Option<InBand> {
    match network.get("vswitch-disable-in-band").map(String::as_str) {
        None => Some(InBand::Remove),
        Some("true") => Some(InBand::Set(true)),
        Some("false") => Some(InBand::Set(false)),
        Some(other) => {
            warning!("network {uuid}: vswitch-disable-in-band '{other}' is neither true nor false");
            None
        }
    }
}

/// Records which of xapi's networks are behind a bridge: that of `under`, then those of its VLANs.
fn network_uuids(db: &Db, under: &Ref, bridge: &str, t: &mut Transaction) -> Result<()> {
    let mut uuids = vec![db.network(db.pif(under)?)?.uuid.as_str()];
    // A VLAN's network that could not be read has been warned of.
    for vlan in db.vlans_over(under) {
        match db.pif(vlan).and_then(|vlan| db.network(vlan)) {
            Ok(network) if !uuids.contains(&network.uuid.as_str()) => uuids.push(&network.uuid),
            _ => {}
        }
    }
    t.add(format!(
        "br-set-external-id {bridge} xs-network-uuids {}",
        uuids.join(";")
    ));
    Ok(())
}

/// The plan for taking `pif` down.
pub fn down(db: &Db, pif: &Ref) -> Result<Down> {
    let record = db.pif(pif)?;
    let under = db.datapath_pif(pif)?;
    let bridge = db.bridge(pif)?;
    let mut plan = Down::default();
    let t = &mut plan.transaction;
    t.add(format!("--with-iface --if-exists del-port {bridge}"));
    let attached = |p: &Ref| p != pif && db.pifs.get(p).is_some_and(|p| p.currently_attached);
    let used = db.vlans_over(under).into_iter().any(attached) || attached(under);
    if db.is_vlan(record) {
        t.add(format!("--if-exists del-br {bridge}"));
    }
    if used {
        return Ok(plan);
    }
    t.add(format!("--if-exists del-br {}", db.bridge(under)?));
    for card in db.cards(under)? {
        let used_by = |(other, p): (&Ref, &Pif)| {
            p.currently_attached
                && other != pif
                && db.cards(other).is_ok_and(|cards| cards.contains(&card))
        };
        if !db.pifs.iter().any(used_by) {
            plan.cards.push(db.pif(card)?.device.clone());
        }
    }
    Ok(plan)
}

/// Which of xapi's networks are behind the bridges that are up.
pub fn rewrite(db: &Db) -> Result<Transaction> {
    let mut t = Transaction::new();
    for (pif, record) in &db.pifs {
        if !record.currently_attached || db.is_vlan(record) {
            continue;
        }
        match db.bridge(pif) {
            Ok(bridge) => network_uuids(db, pif, bridge, &mut t)?,
            Err(e) => warning!("{e}"),
        }
    }
    Ok(t)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
