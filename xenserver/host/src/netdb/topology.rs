// SPDX-License-Identifier: GPL-2.0
//! How PIFs are stacked: which of them share network cards, which carries which.

use super::{Bond, Db, Network, Pif, Ref};
use crate::error::Result;
use crate::failed;

impl Db {
    pub fn pif(&self, pif: &str) -> Result<&Pif> {
        self.pifs
            .get(pif)
            .ok_or_else(|| failed!("no PIF {pif} on this host; see 'xe pif-list'"))
    }

    pub fn pif_by_uuid(&self, uuid: &str) -> Result<&Ref> {
        let found = self
            .pifs
            .iter()
            .find(|(_, p)| p.uuid == uuid)
            .map(|(r, _)| r);
        found.ok_or_else(|| failed!("no PIF with UUID {uuid} on this host; see 'xe pif-list'"))
    }

    /// The PIF whose network has that bridge.
    pub fn pif_by_bridge(&self, bridge: &str) -> Result<&Ref> {
        let mut pifs = self.pifs.iter().filter(|(_, p)| {
            self.networks
                .get(&p.network)
                .is_some_and(|n| n.bridge == bridge)
        });
        match (pifs.next(), pifs.next()) {
            (Some((pif, _)), None) => Ok(pif),
            (Some(_), Some(_)) => Err(failed!("more than one PIF of this host is on {bridge}")),
            (None, _) => Err(failed!(
                "no PIF of this host is on a bridge {bridge}; see 'xe network-list'"
            )),
        }
    }

    pub fn network(&self, pif: &Pif) -> Result<&Network> {
        let network = self.networks.get(&pif.network);
        network.ok_or_else(|| failed!("PIF {} is on no known network {}", pif.uuid, pif.network))
    }

    pub fn bridge(&self, pif: &str) -> Result<&str> {
        Ok(&self.network(self.pif(pif)?)?.bridge)
    }

    pub fn is_vlan(&self, pif: &Pif) -> bool {
        pif.vlan >= 0
    }

    pub fn is_bond(&self, pif: &Pif) -> bool {
        !pif.bond_master_of.is_empty()
    }

    pub fn is_tunnel(&self, pif: &Pif) -> bool {
        !pif.tunnel_access_pif_of.is_empty()
    }

    /// The PIF under a VLAN's; any other itself.
    pub fn datapath_pif<'a>(&'a self, pif: &'a Ref) -> Result<&'a Ref> {
        let record = self.pif(pif)?;
        if !self.is_vlan(record) {
            return Ok(pif);
        }
        let vlan = self.vlans.get(&record.vlan_master_of);
        let vlan = vlan.ok_or_else(|| failed!("PIF {} is of no known VLAN", record.uuid))?;
        let under = self.pif(&vlan.tagged_pif)?;
        if self.is_vlan(under) {
            return Err(failed!(
                "PIF {} is a VLAN over a VLAN, which no bridge can be",
                record.uuid
            ));
        }
        Ok(&vlan.tagged_pif)
    }

    /// The untagged PIFs of the VLANs over a PIF, by VLAN ID.
    pub fn vlans_over(&self, pif: &str) -> Vec<&Ref> {
        let mut over: Vec<_> = self
            .vlans
            .values()
            .filter(|v| v.tagged_pif == pif)
            .filter_map(|v| Some((self.pifs.get(&v.untagged_pif)?.vlan, &v.untagged_pif)))
            .collect();
        over.sort();
        over.into_iter().map(|(_, pif)| pif).collect()
    }

    pub fn bond_of_master(&self, pif: &str) -> Option<&Bond> {
        self.bonds.values().find(|b| b.master == pif)
    }

    /// The PIFs of the bonds that a PIF is a slave of.
    pub fn bond_masters(&self, pif: &str) -> Vec<&Ref> {
        let bonds = self
            .bonds
            .values()
            .filter(|b| b.slaves.iter().any(|s| s == pif));
        bonds.map(|b| &b.master).collect()
    }

    /// The PIFs of the network cards that packets of a PIF use: a bond's slaves, what is under a VLAN, none for a
    /// tunnel.
    pub fn cards<'a>(&'a self, pif: &'a Ref) -> Result<Vec<&'a Ref>> {
        let pif = self.datapath_pif(pif)?;
        let record = self.pif(pif)?;
        if self.is_tunnel(record) {
            return Ok(Vec::new());
        }
        if !self.is_bond(record) {
            return Ok(vec![pif]);
        }
        let bond = self.bond_of_master(pif);
        let bond = bond.ok_or_else(|| failed!("PIF {} is of no known bond", record.uuid))?;
        if bond.slaves.is_empty() {
            return Err(failed!("bond {} has no slaves", bond.uuid));
        }
        bond.slaves
            .iter()
            .try_for_each(|s| self.pif(s).map(|_| ()))?;
        Ok(bond.slaves.iter().collect())
    }

    /// The device names of `cards`, in their order.
    pub fn card_names<'a>(&'a self, pif: &'a Ref) -> Result<Vec<&'a str>> {
        self.cards(pif)?
            .into_iter()
            .map(|p| Ok(self.pif(p)?.device.as_str()))
            .collect()
    }

    /// A pool's setting.
    pub fn pool_config(&self, key: &str) -> Option<&str> {
        self.pools
            .values()
            .find_map(|p| p.other_config.get(key))
            .map(String::as_str)
    }

    /// The MTU of a PIF's network: other_config:mtu, the network's, 1500.
    pub fn mtu(&self, pif: &Pif) -> Result<u32> {
        let network = self.network(pif)?;
        let configured = pif
            .other_config
            .get("mtu")
            .or_else(|| network.other_config.get("mtu"));
        if let Some(text) = configured {
            match text.parse() {
                Ok(mtu @ 68..=65535) => return Ok(mtu),
                _ => crate::warning!(
                    "PIF {}: other_config:mtu '{text}' is no MTU, ignored",
                    pif.uuid
                ),
            }
        }
        Ok(network.mtu.unwrap_or(1500))
    }
}
