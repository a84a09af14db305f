// SPDX-License-Identifier: GPL-2.0
//! The records from xapi: those of this host, of all networks and of the pool.

use super::{Bond, Db, Network, Pif, Pool, Ref, Tunnel, Vlan};
use crate::error::Result;
use crate::warning;
use crate::xapi::Session;
use crate::xmlrpc::Value;
use std::collections::BTreeMap;

pub fn fetch(session: &Session, host_uuid: &str) -> Result<Db> {
    let host = session.string("host.get_by_uuid", &[host_uuid.into()])?;
    let mut pifs = session.records("PIF")?;
    pifs.retain(|_, pif| pif.get("host").and_then(Value::as_str) == Some(host.as_str()));
    let pifs = read("PIF", pifs, Pif::read);
    let mine = |reference: &Ref| pifs.contains_key(reference);
    let mut bonds = read("Bond", session.records("Bond")?, Bond::read);
    bonds.retain(|_, bond| mine(&bond.master));
    let mut vlans = read("VLAN", session.records("VLAN")?, Vlan::read);
    vlans.retain(|_, vlan| mine(&vlan.untagged_pif) && mine(&vlan.tagged_pif));
    let mut tunnels = read("tunnel", session.records("tunnel")?, Tunnel::read);
    tunnels.retain(|_, tunnel| mine(&tunnel.access_pif));
    let networks = read("network", session.records("network")?, Network::read);
    let pools = read("pool", session.records("pool")?, Pool::read);
    Ok(Db {
        pifs,
        bonds,
        vlans,
        tunnels,
        networks,
        pools,
    })
}

/// The records that can be understood. Another's, such as that of a network without a bridge, must not keep the host's own
/// network down; who needs it will not find it, and the log says why.
fn read<T>(
    class: &str,
    records: BTreeMap<Ref, Value>,
    from: impl Fn(&Value) -> Result<T>,
) -> BTreeMap<Ref, T> {
    let record = |(reference, value): (Ref, Value)| match from(&value) {
        Ok(record) => Some((reference, record)),
        Err(e) => {
            warning!("xapi: {class} {reference} is left out: {e}");
            None
        }
    };
    records.into_iter().filter_map(record).collect()
}
