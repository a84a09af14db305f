// SPDX-License-Identifier: GPL-2.0
//! The rules of ovs-xapi-sync, against an xapi of three maps.

use super::*;

#[derive(Default)]
struct Fake {
    networks: Vec<(&'static str, Network)>,
    vifs: BTreeMap<&'static str, Config>,
    vms: BTreeMap<&'static str, Config>,
    pool: Config,
    asked: usize,
    /// What is answered to a question about the VIF of that UUID.
    broken: Option<(&'static str, Error)>,
}

impl Lookup for Fake {
    fn network_of_bridge(&mut self, bridge: &str) -> Result<Option<Network>> {
        self.asked += 1;
        Ok(self
            .networks
            .iter()
            .find(|(b, _)| *b == bridge)
            .map(|(_, n)| n.clone()))
    }
    fn network(&mut self, uuid: &str) -> Result<Option<Network>> {
        self.asked += 1;
        Ok(self
            .networks
            .iter()
            .find(|(_, n)| n.uuid == uuid)
            .map(|(_, n)| n.clone()))
    }
    fn vif(&mut self, uuid: &str) -> Result<Option<Config>> {
        self.asked += 1;
        match &self.broken {
            Some((broken, error)) if *broken == uuid => return Err(error.clone()),
            _ => {}
        }
        Ok(self.vifs.get(uuid).cloned())
    }
    fn vm(&mut self, uuid: &str) -> Result<Option<Config>> {
        self.asked += 1;
        Ok(self.vms.get(uuid).cloned())
    }
    fn pool(&mut self) -> Result<Config> {
        Ok(self.pool.clone())
    }
}

fn config(pairs: &[(&str, &str)]) -> Config {
    pairs
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect()
}

fn net(uuid: &str, pairs: &[(&str, &str)]) -> Network {
    Network {
        uuid: uuid.into(),
        other_config: config(pairs),
    }
}

fn row(name: &str, ids: &[(&str, &str)]) -> Row {
    Row {
        name: name.into(),
        external_ids: config(ids),
        ..Row::default()
    }
}

/// The rows' UUIDs are their names.
fn copy(bridges: &[Row], interfaces: &[Row]) -> Copy {
    let table = |rows: &[Row]| rows.iter().map(|r| (r.name.clone(), r.clone())).collect();
    Copy {
        bridges: table(bridges),
        interfaces: table(interfaces),
    }
}

/// "row key=value" of each change.
fn text(wanted: &Wanted) -> Vec<String> {
    let change = |c: &Change| match c {
        Change::Key {
            row, key, value, ..
        } => {
            format!("{row} {key}={}", value.as_deref().unwrap_or("-"))
        }
        Change::FailMode { row, mode } => format!("{row} fail_mode={mode}"),
    };
    wanted.changes.iter().map(change).collect()
}

fn changes(copy: &Copy, xapi: &mut Fake) -> Vec<String> {
    text(&Desire::default().changes(copy, xapi))
}

#[test]
fn a_bridge_gets_its_fail_mode_once() {
    let mut xapi = Fake {
        networks: vec![("b", net("n", &[]))],
        ..Fake::default()
    };
    let mut desire = Desire::default();
    let copy = copy(&[row("b", &[])], &[]);
    assert_eq!(
        text(&desire.changes(&copy, &mut xapi)),
        ["b fail_mode=standalone"]
    );
    // Nobody has said yet that it is there.
    assert_eq!(desire.changes(&copy, &mut xapi).changes.len(), 1);
    desire.refused();
    assert_eq!(desire.changes(&copy, &mut xapi).changes.len(), 1);
    desire.confirm();
    assert!(desire.changes(&copy, &mut xapi).changes.is_empty());
    desire.forget();
    assert_eq!(desire.changes(&copy, &mut xapi).changes.len(), 1);
}

#[test]
fn a_bridge_that_went_and_came_again_is_seen_to_again() {
    let mut xapi = Fake {
        networks: vec![("b", net("n", &[]))],
        ..Fake::default()
    };
    let mut desire = Desire::default();
    let with = copy(&[row("b", &[])], &[]);
    desire.changes(&with, &mut xapi);
    desire.confirm();
    desire.changes(&copy(&[], &[]), &mut xapi);
    assert_eq!(desire.changes(&with, &mut xapi).changes.len(), 1);
}

#[test]
fn fail_mode_and_in_band_come_from_network_and_pool() {
    let mode = plan::FAIL_MODE;
    for (network, pool, want) in [
        (&[][..], "secure", vec!["b fail_mode=secure"]),
        (
            &[(mode, "standalone")],
            "secure",
            vec!["b fail_mode=standalone"],
        ),
        (
            &[("vswitch-disable-in-band", "true")],
            "",
            vec!["b fail_mode=standalone", "b disable-in-band=true"],
        ),
        (
            &[("vswitch-disable-in-band", "x")],
            "",
            vec!["b fail_mode=standalone"],
        ),
    ] {
        let pool = if pool.is_empty() {
            Config::new()
        } else {
            config(&[(mode, pool)])
        };
        let mut xapi = Fake {
            networks: vec![("b", net("n", network))],
            pool,
            ..Fake::default()
        };
        assert_eq!(changes(&copy(&[row("b", &[])], &[]), &mut xapi), want);
    }
    // A bridge that xapi does not know keeps what it has.
    assert!(changes(&copy(&[row("b", &[])], &[]), &mut Fake::default()).is_empty());
}

#[test]
fn a_bridge_is_named_after_its_network() {
    let id = ("nicira-bridge-id", "chosen");
    for (networks, uuids, want, again) in [
        (vec![], "n", Some("n"), false),
        (vec![("x", net("n", &[id]))], "n", Some("chosen"), false),
        (vec![("b", net("n", &[]))], "n;m", Some("n"), false),
        (vec![("b", net("m", &[id]))], "n;m", Some("chosen"), false),
        (vec![("b", net("o", &[]))], "n;m", None, true),
        (vec![], "n;m", None, true),
        (vec![], "", None, false),
        (vec![("b", net("n", &[]))], "", None, false),
        (vec![("b", net("n", &[id]))], "", Some("chosen"), false),
    ] {
        let mut xapi = Fake {
            networks,
            ..Fake::default()
        };
        let copy = copy(&[row("b", &[("xs-network-uuids", uuids)])], &[]);
        let wanted = Desire::default().changes(&copy, &mut xapi);
        let ids: Vec<_> = text(&wanted)
            .into_iter()
            .filter(|c| c.contains("bridge-id"))
            .collect();
        let want: Vec<_> = want
            .map(|w| format!("b bridge-id={w}"))
            .into_iter()
            .collect();
        assert_eq!((ids, wanted.again), (want, again), "{uuids}");
    }
}

#[test]
fn interfaces_are_named_after_vif_and_machine() {
    let ids = [("xs-vif-uuid", "v"), ("xs-vm-uuid", "m")];
    let copy = copy(&[], &[row("vif1.0", &ids)]);
    let want = [
        "vif1.0 iface-id=v",
        "vif1.0 iface-status=active",
        "vif1.0 vm-id=m",
    ];
    assert_eq!(changes(&copy, &mut Fake::default()), want);
    let mut xapi = Fake::default();
    xapi.vifs.insert("v", config(&[("nicira-iface-id", "V")]));
    xapi.vms.insert("m", config(&[("nicira-vm-id", "M")]));
    let mut desire = Desire::default();
    let want = [
        "vif1.0 iface-id=V",
        "vif1.0 iface-status=active",
        "vif1.0 vm-id=M",
    ];
    assert_eq!(text(&desire.changes(&copy, &mut xapi)), want);
    let asked = xapi.asked;
    desire.changes(&copy, &mut xapi);
    assert_eq!(xapi.asked, asked, "answers are kept");
    desire.forget();
    desire.changes(&copy, &mut xapi);
    assert!(xapi.asked > asked, "until they are flushed");
}

#[test]
fn a_tap_inherits_from_its_vif_and_is_the_active_one() {
    let ids = [
        ("attached-mac", "a"),
        ("xs-network-uuid", "n"),
        ("xs-vif-uuid", "v"),
        ("xs-vm-uuid", "m"),
    ];
    let copy = copy(
        &[],
        &[
            row("vif1.0", &ids),
            row("tap1.0", &[]),
            row("tap2.0", &[("iface-status", "active")]),
        ],
    );
    let want = [
        "tap1.0 attached-mac=a",
        "tap1.0 iface-id=v",
        "tap1.0 iface-status=active",
        "tap1.0 vm-id=m",
        "tap1.0 xs-network-uuid=n",
        "tap1.0 xs-vif-uuid=v",
        "tap1.0 xs-vm-uuid=m",
        "tap2.0 iface-status=-",
        "vif1.0 iface-id=v",
        "vif1.0 iface-status=inactive",
        "vif1.0 vm-id=m",
    ];
    assert_eq!(changes(&copy, &mut Fake::default()), want);
}

#[test]
fn names_whose_uuid_is_gone_are_removed_from_guests_ports_only() {
    let stale = [
        ("iface-id", "v"),
        ("vm-id", "m"),
        ("iface-status", "active"),
    ];
    let tap = [
        ("attached-mac", "a"),
        ("iface-id", "v"),
        ("xs-vif-uuid", "v"),
    ];
    let interfaces = [
        row("vif1.0", &stale),
        row("tap1.0", &tap),
        row("br-int", &stale),
    ];
    let want = [
        "tap1.0 attached-mac=-",
        "tap1.0 iface-id=-",
        "tap1.0 iface-status=active",
        "tap1.0 xs-vif-uuid=-",
        "vif1.0 iface-id=-",
        "vif1.0 iface-status=inactive",
        "vif1.0 vm-id=-",
    ];
    assert_eq!(changes(&copy(&[], &interfaces), &mut Fake::default()), want);
    // A bridge that xapi knows and has no name for; of one that it does not know it is another's.
    let bridges = [
        row("b", &[("bridge-id", "n")]),
        row("c", &[("bridge-id", "n")]),
    ];
    let mut xapi = Fake {
        networks: vec![("b", net("n", &[]))],
        ..Fake::default()
    };
    let want = ["b fail_mode=standalone", "b bridge-id=-"];
    assert_eq!(changes(&copy(&bridges, &[]), &mut xapi), want);
}

#[test]
fn other_interfaces_are_left_alone() {
    let rows = ["eth0", "xenbr0", "vif", "vif1", "vif1.x", "tapx.0", "vif.0"].map(|n| row(n, &[]));
    assert!(changes(&copy(&[], &rows), &mut Fake::default()).is_empty());
}

#[test]
fn what_is_right_is_not_written_again() {
    let ids = [
        ("xs-vif-uuid", "v"),
        ("iface-id", "v"),
        ("iface-status", "active"),
    ];
    assert!(changes(&copy(&[], &[row("vif1.0", &ids)]), &mut Fake::default()).is_empty());
}

#[test]
fn what_xapi_does_not_answer_holds_up_nothing_else() {
    let mode = [(plan::FAIL_MODE, "secure")];
    let vif = |name, uuid| row(name, &[("xs-vif-uuid", uuid)]);
    let copy = copy(
        &[row("b", &[])],
        &[
            vif("vif1.0", "v1"),
            vif("vif2.0", "v2"),
            vif("vif3.0", "v3"),
        ],
    );
    let mut xapi = Fake {
        networks: vec![("b", net("n", &mode))],
        broken: Some(("v2", crate::failed!("it makes no sense"))),
        ..Fake::default()
    };
    let mut desire = Desire::default();
    let wanted = desire.changes(&copy, &mut xapi);
    let want = [
        "b fail_mode=secure",
        "vif1.0 iface-id=v1",
        "vif1.0 iface-status=active",
        "vif3.0 iface-id=v3",
        "vif3.0 iface-status=active",
    ];
    assert_eq!(text(&wanted), want);
    assert!(wanted.again && wanted.error.unwrap().to_string().contains("no sense"));

    // Where nobody answers the others are not tried; what is known by then is not lost.
    for gone in [
        Error::Unreachable("gone".into()),
        Error::Xapi(vec!["SESSION_INVALID".into()]),
    ] {
        xapi.broken = Some(("v2", gone));
        let (mut desire, before) = (Desire::default(), xapi.asked);
        let wanted = desire.changes(&copy, &mut xapi);
        assert_eq!(text(&wanted), want[..3]);
        assert!(wanted.again && wanted.error.is_some());
        assert_eq!(xapi.asked - before, 4);
        // It is said again until it is known to be there.
        xapi.broken = None;
        assert_eq!(text(&desire.changes(&copy, &mut xapi))[0], want[0]);
    }
}

#[test]
fn a_pools_fail_mode_holds_where_the_networks_is_none() {
    let mode = plan::FAIL_MODE;
    let mut xapi = Fake {
        networks: vec![("b", net("n", &[(mode, "Secure")]))],
        pool: config(&[(mode, "secure")]),
        ..Fake::default()
    };
    assert_eq!(
        changes(&copy(&[row("b", &[])], &[]), &mut xapi),
        ["b fail_mode=secure"]
    );
}
