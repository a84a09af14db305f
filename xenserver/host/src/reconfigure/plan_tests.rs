// SPDX-License-Identifier: GPL-2.0
//! The transactions, word by word, of each kind of PIF.

use super::*;
use crate::netdb::cache;

fn db() -> Db {
    cache::parse(include_str!("../../tests/data/network.dbcache")).unwrap()
}

fn pif(name: &str) -> Ref {
    format!("OpaqueRef:pif-{name}")
}

fn network<'a>(db: &'a mut Db, bridge: &str) -> &'a mut OtherConfig {
    &mut db
        .networks
        .get_mut(&format!("OpaqueRef:net-{bridge}"))
        .unwrap()
        .other_config
}

fn attach(db: &mut Db, names: &[&str]) {
    for name in names {
        db.pifs.get_mut(&pif(name)).unwrap().currently_attached = true;
    }
}

fn up_text(db: &Db, name: &str) -> String {
    up(db, &pif(name), &None).unwrap().transaction.text()
}

#[test]
fn up_one_card() {
    let db = db();
    let plan = up(&db, &pif("eth2"), &None).unwrap();
    let want = "\
--with-iface --if-exists del-port eth2
--may-exist add-br xenbr2
--may-exist add-port xenbr2 eth2
set Bridge xenbr2 other-config:hwaddr=\"00:16:3e:00:00:a2\"
set Bridge xenbr2 fail_mode=standalone
remove Bridge xenbr2 other_config disable-in-band
br-set-external-id xenbr2 xs-network-uuids 50000000-0000-4000-8000-000000000002
";
    assert_eq!(plan.transaction.text(), want);
    assert_eq!((plan.gone.len(), plan.unused.len()), (0, 0));
    assert_eq!(plan.cards, [pif("eth2")]);
}

#[test]
fn up_vlan() {
    let want = "\
--with-iface --if-exists del-port eth3
--may-exist add-br xenbr3
--may-exist add-port xenbr3 eth3
set Bridge xenbr3 other-config:hwaddr=\"00:16:3e:00:00:a3\"
set Bridge xenbr3 fail_mode=standalone
remove Bridge xenbr3 other_config disable-in-band
br-set-external-id xenbr3 xs-network-uuids 50000000-0000-4000-8000-000000000003;50000000-0000-4000-8000-000000000006
--if-exists del-br xapi3
--may-exist add-br xapi3 xenbr3 123
br-set-external-id xapi3 xs-network-uuids 50000000-0000-4000-8000-000000000003;50000000-0000-4000-8000-000000000006
set Interface xapi3 MAC=\"00:16:3e:00:00:a3\"
";
    assert_eq!(up_text(&db(), "vlan123"), want);
}

#[test]
fn a_vlan_bridge_that_is_right_is_kept_and_a_stale_one_is_not() {
    let db = db();
    let text = |parent: &str, vid| {
        let now = Some((parent.to_string(), vid));
        up(&db, &pif("vlan123"), &now).unwrap().transaction.text()
    };
    assert!(!text("xenbr3", 123).contains("del-br"));
    assert!(text("xenbr3", 124).contains("--if-exists del-br xapi3"));
    assert!(text("xenbr2", 123).contains("--if-exists del-br xapi3"));
}

const BOND: &str = "\
--if-exists del-br xenbr0
--if-exists del-br xenbr1
--with-iface --if-exists del-port eth0
--with-iface --if-exists del-port eth1
--may-exist add-br xapi1
--with-iface --if-exists del-port bond0
--fake-iface add-bond xapi1 bond0 eth0 eth1
set Port bond0 MAC=\"00:16:3e:00:00:a0\" other-config:bond-miimon-interval=100 bond_downdelay=200 \
bond_updelay=31000 other-config:bond-detect-mode=carrier lacp=off bond_mode=balance-slb
set Bridge xapi1 other-config:hwaddr=\"00:16:3e:00:00:a0\"
set Bridge xapi1 fail_mode=standalone
remove Bridge xapi1 other_config disable-in-band
br-set-external-id xapi1 xs-network-uuids 50000000-0000-4000-8000-000000000004;50000000-0000-4000-8000-000000000005
";

#[test]
fn up_bond() {
    let db = db();
    let plan = up(&db, &pif("bond0"), &None).unwrap();
    assert_eq!(plan.transaction.text(), BOND);
    assert_eq!(plan.gone, ["xenbr0", "xenbr1"]);
    assert_eq!(plan.cards, [pif("eth0"), pif("eth1")]);
}

#[test]
fn up_vlan_on_bond() {
    let vlan = "\
--if-exists del-br xapi2
--may-exist add-br xapi2 xapi1 4
br-set-external-id xapi2 xs-network-uuids 50000000-0000-4000-8000-000000000004;50000000-0000-4000-8000-000000000005
set Interface xapi2 MAC=\"00:16:3e:00:00:a0\"
";
    assert_eq!(up_text(&db(), "vlan4"), format!("{BOND}{vlan}"));
}

#[test]
fn up_a_card_that_is_in_a_bond_ends_the_bond() {
    let db = db();
    let plan = up(&db, &pif("eth0"), &None).unwrap();
    let want = "\
--if-exists del-br xapi1
--with-iface --if-exists del-port eth1
--with-iface --if-exists del-port bond0
--with-iface --if-exists del-port eth0
--may-exist add-br xenbr0
--may-exist add-port xenbr0 eth0
";
    assert!(
        plan.transaction.text().starts_with(want),
        "{}",
        plan.transaction.text()
    );
    assert_eq!(
        (plan.gone, plan.unused),
        (vec!["xapi1".to_string()], vec!["eth1".to_string()])
    );
}

#[test]
fn up_a_former_slave_leaves_a_sibling_that_is_in_use_on_its_bridge() {
    // The bond is no longer in use, the other card is; or it is under a VLAN.
    let mut db = db();
    attach(&mut db, &["eth1"]);
    let plan = up(&db, &pif("eth0"), &None).unwrap();
    let text = plan.transaction.text();
    assert!(!text.contains("eth1"), "{text}");
    assert!(text.contains("--with-iface --if-exists del-port bond0\n"));
    assert_eq!(plan.unused, [""; 0]);
    attach(&mut db, &["vlan123"]);
    db.pifs.get_mut(&pif("eth1")).unwrap().currently_attached = false;
    db.vlans.get_mut("OpaqueRef:vlan123").unwrap().tagged_pif = pif("eth1");
    assert_eq!(up(&db, &pif("eth0"), &None).unwrap().unused, [""; 0]);
}

#[test]
fn a_network_that_could_not_be_read_stops_only_its_own_interface() {
    let mut db = db();
    attach(&mut db, &["eth0", "eth3", "vlan123"]);
    for name in ["xapi3", "xenbr0", "xapi1"] {
        db.networks
            .remove(&format!("OpaqueRef:net-{name}"))
            .unwrap();
    }
    assert!(up(&db, &pif("vlan123"), &None).is_err());
    let text = up_text(&db, "eth3");
    assert!(text.ends_with("xs-network-uuids 50000000-0000-4000-8000-000000000003\n"));
    assert!(up_text(&db, "eth1").contains("--may-exist add-port xenbr1 eth1\n"));
    let text = rewrite(&db).unwrap().text();
    assert!(
        text.contains("xenbr3") && text.lines().count() == 1,
        "{text}"
    );
}

#[test]
fn up_bond_of_one_card_is_a_port() {
    let mut db = db();
    db.bonds.get_mut("OpaqueRef:bond").unwrap().slaves.pop();
    let text = up_text(&db, "bond0");
    assert!(
        text.contains("--may-exist add-port xapi1 eth0\n") && !text.contains("add-bond"),
        "{text}"
    );
}

#[test]
fn up_tunnel_has_no_card() {
    let db = db();
    let plan = up(&db, &pif("tunnel"), &None).unwrap();
    let want = "\
--may-exist add-br xapi4
set Bridge xapi4 other-config:hwaddr=\"00:16:3e:00:00:a7\"
set Bridge xapi4 fail_mode=standalone
remove Bridge xapi4 other_config disable-in-band
br-set-external-id xapi4 xs-network-uuids 50000000-0000-4000-8000-000000000007
";
    assert_eq!(plan.transaction.text(), want);
    assert!(plan.cards.is_empty());
}

#[test]
fn fail_mode_is_the_networks_then_the_pools_then_standalone() {
    let key = "vswitch-controller-fail-mode".to_string();
    let mut db = db();
    let mode = |db: &Db| fail_mode(db, &db.networks["OpaqueRef:net-xenbr2"].other_config);
    assert_eq!(mode(&db), "standalone");
    db.pools
        .get_mut("OpaqueRef:pool")
        .unwrap()
        .other_config
        .insert(key.clone(), "secure".into());
    assert_eq!(mode(&db), "secure");
    assert!(up_text(&db, "eth2").contains("set Bridge xenbr2 fail_mode=secure\n"));
    network(&mut db, "xenbr2").insert(key.clone(), "standalone".into());
    assert_eq!(mode(&db), "standalone");
    // What is neither of the two is no reason to open a bridge that the pool wants secure.
    network(&mut db, "xenbr2").insert(key.clone(), "Secure".into());
    assert_eq!(mode(&db), "secure");
    let pool = &mut db.pools.get_mut("OpaqueRef:pool").unwrap().other_config;
    pool.insert(key, "locked".into());
    assert_eq!(mode(&db), "standalone");
}

#[test]
fn in_band_control_is_set_removed_or_left_alone() {
    let mut db = db();
    for (value, want) in [
        (
            "true",
            "set Bridge xenbr2 other_config:disable-in-band=true\n",
        ),
        (
            "false",
            "set Bridge xenbr2 other_config:disable-in-band=false\n",
        ),
    ] {
        network(&mut db, "xenbr2").insert("vswitch-disable-in-band".into(), value.into());
        assert!(up_text(&db, "eth2").contains(want));
    }
    network(&mut db, "xenbr2").insert("vswitch-disable-in-band".into(), "yes".into());
    assert!(!up_text(&db, "eth2").contains("in-band"));
}

fn down_text(db: &Db, name: &str) -> (String, Vec<String>) {
    let plan = down(db, &pif(name)).unwrap();
    (plan.transaction.text(), plan.cards)
}

#[test]
fn down_one_card() {
    let (text, cards) = down_text(&db(), "eth2");
    assert_eq!(
        text,
        "--with-iface --if-exists del-port xenbr2\n--if-exists del-br xenbr2\n"
    );
    assert_eq!(cards, ["eth2"]);
}

#[test]
fn down_vlan_takes_the_bridge_under_it_only_if_nobody_uses_that() {
    let only = "--with-iface --if-exists del-port xapi3\n--if-exists del-br xapi3\n";
    let mut db = db();
    attach(&mut db, &["vlan123"]);
    let (text, cards) = down_text(&db, "vlan123");
    assert_eq!(text, format!("{only}--if-exists del-br xenbr3\n"));
    assert_eq!(cards, ["eth3"]);
    attach(&mut db, &["eth3"]);
    assert_eq!(down_text(&db, "vlan123"), (only.to_string(), vec![]));
}

#[test]
fn down_keeps_the_bridge_of_vlans_that_are_attached() {
    let mut db = db();
    attach(&mut db, &["eth3", "vlan123"]);
    let want = "--with-iface --if-exists del-port xenbr3\n".to_string();
    assert_eq!(down_text(&db, "eth3"), (want, vec![]));
}

#[test]
fn down_bond_and_the_card_of_an_attached_bond() {
    let (text, cards) = down_text(&db(), "bond0");
    assert_eq!(
        text,
        "--with-iface --if-exists del-port xapi1\n--if-exists del-br xapi1\n"
    );
    assert_eq!(cards, ["eth0", "eth1"]);
    let mut db = db();
    attach(&mut db, &["bond0"]);
    assert_eq!(down_text(&db, "eth0").1, [""; 0]);
}

#[test]
fn rewrite_names_the_networks_of_what_is_attached() {
    let mut db = db();
    assert!(rewrite(&db).unwrap().is_empty());
    attach(&mut db, &["eth2", "eth3", "vlan123"]);
    let want = "\
br-set-external-id xenbr2 xs-network-uuids 50000000-0000-4000-8000-000000000002
br-set-external-id xenbr3 xs-network-uuids 50000000-0000-4000-8000-000000000003;50000000-0000-4000-8000-000000000006
";
    assert_eq!(rewrite(&db).unwrap().text(), want);
}

#[test]
fn records_that_do_not_fit_together_are_refused() {
    let mut vlan = db();
    vlan.vlans.clear();
    let mut bond = db();
    bond.bonds.clear();
    let mut slave = db();
    slave.pifs.remove(&pif("eth1"));
    let mut nowhere = db();
    nowhere.networks.remove("OpaqueRef:net-xenbr2");
    let mut stacked = db();
    stacked.vlans.get_mut("OpaqueRef:vlan4").unwrap().tagged_pif = pif("vlan123");
    for (db, name, reason) in [
        (vlan, "vlan4", "no known VLAN"),
        (bond, "bond0", "no known bond"),
        (slave, "bond0", "no PIF OpaqueRef:pif-eth1"),
        (nowhere, "eth2", "no known network"),
        (stacked, "vlan4", "VLAN over a VLAN"),
        (db(), "eth9", "no PIF OpaqueRef:pif-eth9"),
    ] {
        for error in [
            up(&db, &pif(name), &None).unwrap_err(),
            down(&db, &pif(name)).unwrap_err(),
        ] {
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
