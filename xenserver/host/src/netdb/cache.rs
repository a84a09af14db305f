// SPDX-License-Identifier: GPL-2.0
//! `/var/xapi/network.dbcache`: the records as XML, for when xapi does not run yet. Other programs of the host read
//! it, too, so the elements are theirs: one a record, with its reference as `ref`, and one a field.

use super::{Bond, Db, Network, OtherConfig, Pif, Pool, Ref, Tunnel, Vlan};
use crate::error::Result;
use crate::host::{Host, DBCACHE};
use crate::xml::Element;
use crate::{failed, warning};
use std::collections::BTreeMap;

const ROOT: &str = "xenserver-network-configuration";

pub fn load(host: &Host) -> Result<Db> {
    let path = host.path(DBCACHE);
    let again = "make it anew with '/usr/share/openvswitch/scripts/interface-reconfigure rewrite' while xapi runs";
    let text = host.read(DBCACHE).map_err(|e| failed!("{e}; {again}"))?;
    parse(&text).map_err(|e| failed!("{}: {e}; {again}", path.display()))
}

pub fn save(host: &Host, db: &Db) -> Result<()> {
    host.replace(DBCACHE, &format(db))
}

pub fn parse(text: &str) -> Result<Db> {
    let root = Element::parse(text)?;
    if root.name != ROOT {
        return Err(failed!("the root element is {}, not {ROOT}", root.name));
    }
    let mut db = Db::default();
    for record in &root.children {
        let reference = record
            .attribute("ref")
            .unwrap_or_default()
            .trim()
            .to_string();
        let known = match record.name.as_str() {
            "pif" => insert(&mut db.pifs, reference, Pif::read(record)),
            "bond" => insert(&mut db.bonds, reference, Bond::read(record)),
            "vlan" => insert(&mut db.vlans, reference, Vlan::read(record)),
            "tunnel" => insert(&mut db.tunnels, reference, Tunnel::read(record)),
            "network" => insert(&mut db.networks, reference, Network::read(record)),
            "pool" => insert(&mut db.pools, reference, Pool::read(record)),
            _ => Ok(()), // of a newer host
        };
        known.map_err(|e| failed!("{}: {e}", record.name))?;
    }
    // What was attached when the file was written says nothing of now.
    db.pifs
        .values_mut()
        .for_each(|pif| pif.currently_attached = false);
    Ok(db)
}

fn insert<T>(into: &mut BTreeMap<Ref, T>, reference: Ref, record: Result<T>) -> Result<()> {
    if reference.is_empty() {
        return Err(failed!("no ref"));
    }
    if into.contains_key(&reference) {
        return Err(failed!("{reference} is there twice"));
    }
    match record {
        Ok(record) => {
            into.insert(reference, record);
        }
        // As of what xapi says: the others are needed all the same.
        Err(e) => warning!("{DBCACHE}: {reference} is left out: {e}"),
    }
    Ok(())
}

pub fn format(db: &Db) -> String {
    let mut root = Element::new(ROOT);
    let list = &mut root.children;
    list.extend(db.pifs.iter().map(|(r, p)| record("pif", r, pif(p))));
    list.extend(db.bonds.iter().map(|(r, b)| {
        let fields = vec![
            text("master", &b.master),
            text("uuid", &b.uuid),
            refs("slaves", "slave", &b.slaves),
        ];
        record("bond", r, fields)
    }));
    list.extend(db.vlans.iter().map(|(r, v)| {
        let fields = vec![
            text("tagged_PIF", &v.tagged_pif),
            text("uuid", &v.uuid),
            text("untagged_PIF", &v.untagged_pif),
        ];
        record("vlan", r, fields)
    }));
    list.extend(db.tunnels.iter().map(|(r, t)| {
        let fields = vec![
            text("access_PIF", &t.access_pif),
            text("uuid", &t.uuid),
            text("transport_PIF", &t.transport_pif),
        ];
        record("tunnel", r, fields)
    }));
    list.extend(
        db.networks
            .iter()
            .map(|(r, n)| record("network", r, network(n))),
    );
    list.extend(
        db.pools
            .iter()
            .map(|(r, p)| record("pool", r, vec![map(&p.other_config)])),
    );
    root.to_document(true)
}

fn pif(p: &Pif) -> Vec<Element> {
    let flag = |b: bool| if b { "True" } else { "False" };
    vec![
        text("uuid", &p.uuid),
        text("management", flag(p.management)),
        text("network", &p.network),
        text("device", &p.device),
        text("MAC", &p.mac),
        text("VLAN", &p.vlan.to_string()),
        refs("bond_master_of", "slave", &p.bond_master_of),
        text("bond_slave_of", &p.bond_slave_of),
        text("VLAN_master_of", &p.vlan_master_of),
        refs("VLAN_slave_of", "master", &p.vlan_slave_of),
        refs("tunnel_access_PIF_of", "pif", &p.tunnel_access_pif_of),
        refs("tunnel_transport_PIF_of", "pif", &p.tunnel_transport_pif_of),
        text("ip_configuration_mode", p.ip_mode.name()),
        text("IP", &p.ip),
        text("netmask", &p.netmask),
        text("gateway", &p.gateway),
        text("DNS", &p.dns),
        map(&p.other_config),
        text("currently_attached", flag(p.currently_attached)),
    ]
}

fn network(n: &Network) -> Vec<Element> {
    let mut fields = vec![text("uuid", &n.uuid), text("bridge", &n.bridge)];
    fields.extend(n.mtu.map(|mtu| text("MTU", &mtu.to_string())));
    fields.extend([refs("PIFs", "PIF", &n.pifs), map(&n.other_config)]);
    fields
}

fn record(name: &str, reference: &str, fields: Vec<Element>) -> Element {
    let mut element = Element::with_children(name, fields);
    element.attributes.push(("ref".into(), reference.into()));
    element
}

fn text(name: &str, value: &str) -> Element {
    Element::with_text(name, value)
}

fn refs(name: &str, item: &str, list: &[Ref]) -> Element {
    Element::with_children(name, list.iter().map(|r| text(item, r)).collect())
}

fn map(other_config: &OtherConfig) -> Element {
    Element::with_children(
        "other_config",
        other_config.iter().map(|(k, v)| text(k, v)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netdb::{IpMode, NULL};

    /// A host as 5.6's scripts wrote it down: white space around every text, `currently_attached` true.
    pub const OLD: &str = include_str!("../../tests/data/network.dbcache");

    #[test]
    fn a_cache_of_an_old_host_is_read() {
        let db = parse(OLD).unwrap();
        assert_eq!(
            [
                db.pifs.len(),
                db.bonds.len(),
                db.vlans.len(),
                db.tunnels.len(),
                db.networks.len()
            ],
            [8, 1, 2, 1, 8]
        );
        let management = db.pifs.values().find(|p| p.management).unwrap();
        assert_eq!(
            (management.device.as_str(), management.ip_mode),
            ("eth2", IpMode::Dhcp)
        );
        assert!(db.pifs.values().all(|p| !p.currently_attached));
        let vlan = &db.vlans["OpaqueRef:vlan4"];
        assert_eq!(db.pifs[&vlan.untagged_pif].vlan, 4);
        assert_eq!(
            db.tunnels["OpaqueRef:tunnel"].access_pif,
            "OpaqueRef:pif-tunnel"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let db = parse(OLD).unwrap();
        assert_eq!(parse(&format(&db)).unwrap(), db);
        assert_eq!(format(&parse(&format(&db)).unwrap()), format(&db));
    }

    #[test]
    fn only_known_keys_of_other_config_are_kept() {
        let db = parse(OLD).unwrap();
        let eth2 = &db.pifs["OpaqueRef:pif-eth2"];
        assert_eq!(
            eth2.other_config.keys().collect::<Vec<_>>(),
            ["domain", "ethtool-gso"]
        );
    }

    fn one(pif: &str) -> Result<Db> {
        parse(&format!("<{ROOT}><pif ref='r'>{pif}</pif></{ROOT}>"))
    }

    #[test]
    fn fields_that_are_missing_have_defaults() {
        let db = one("<uuid>u</uuid><network>n</network><device>eth0</device>").unwrap();
        let pif = &db.pifs["r"];
        assert_eq!(
            (pif.vlan, pif.bond_slave_of.as_str(), pif.ip_mode),
            (-1, NULL, IpMode::None)
        );
    }

    #[test]
    fn malformed_caches_are_refused_and_the_reason_named() {
        let bad = |text: &str, reason: &str| {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{error:?} of {text:?}");
        };
        bad("", "not XML");
        bad("<x/>", "the root element is x");
        bad(&format!("<{ROOT}><pif/></{ROOT}>"), "pif: no ref");
        bad(&OLD.replace("</xenserver", "<"), "not XML");
        bad(&OLD[..OLD.len() / 2], "not XML");
        let network = "<network ref='r'><uuid>u</uuid><bridge>b</bridge></network>";
        bad(
            &format!("<{ROOT}>{network}{network}</{ROOT}>"),
            "there twice",
        );
    }

    /// The record of a PIF with that in it; none if it is refused.
    fn pif(fields: &str) -> Option<Pif> {
        let good = "<uuid>other</uuid><network>n</network><device>eth1</device>";
        let (r, o) = ("<pif ref='r'>", "<pif ref='o'>");
        let mut db = parse(&format!(
            "<{ROOT}>{r}{fields}</pif>{o}{good}</pif></{ROOT}>"
        ))
        .unwrap();
        assert!(db.pifs.contains_key("o"), "the other record is there");
        db.pifs.remove("r")
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_left_out_and_the_others_are_not() {
        let good = "<uuid>u</uuid><network>n</network><device>eth0</device>";
        assert!(pif(good).is_some());
        for field in [
            "<VLAN>x</VLAN>",
            "<VLAN>4096</VLAN>",
            "<IP>1.2.3</IP>",
            "<MAC>00:11:22:33:44</MAC>",
            "<MAC>00:11:22:33:44:5\"</MAC>",
            "<ip_configuration_mode>Maybe</ip_configuration_mode>",
        ] {
            assert_eq!(pif(&format!("{good}{field}")), None, "{field}");
        }
        assert_eq!(
            pif("<uuid>u</uuid><network>n</network><device>../x</device>"),
            None
        );
        let network = "<network ref='n'><uuid>u</uuid><bridge>b</bridge><MTU>big</MTU></network>";
        let bridgeless = "<network ref='m'><uuid>v</uuid><bridge/></network>";
        let db = parse(&format!("<{ROOT}>{bridgeless}{network}</{ROOT}>")).unwrap();
        assert_eq!(db.networks.keys().collect::<Vec<_>>(), ["n"]);
        assert_eq!(db.networks["n"].mtu, None);
    }

    #[test]
    fn name_servers_may_stand_with_commas_or_blanks_and_only_addresses_are_kept() {
        for (dns, want) in [
            ("192.0.2.1,192.0.2.2", "192.0.2.1,192.0.2.2"),
            ("192.0.2.1 192.0.2.2", "192.0.2.1,192.0.2.2"),
            (" 192.0.2.1 ,, 2001:db8::1 ", "192.0.2.1,2001:db8::1"),
            ("192.0.2.1,$(reboot)", "192.0.2.1"),
            ("", ""),
        ] {
            let good = "<uuid>u</uuid><network>n</network><device>eth0</device>";
            let record = pif(&format!("{good}<DNS>{dns}</DNS>")).unwrap();
            assert_eq!(record.dns, want, "{dns:?}");
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fall_over() {
        crate::testing::broken(OLD, 1000, |b| parse(&String::from_utf8_lossy(b)).is_ok());
    }
}
