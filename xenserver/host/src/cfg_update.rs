// SPDX-License-Identifier: GPL-2.0
//! The XAPI plugin openvswitch-cfg-update: brings Open vSwitch's manager, and what bridges do without one, in step with
//! the pool's settings.
//!
//! xapi runs a plugin with one argument, an XML-RPC call of the plugin's function with a session and a struct of
//! arguments, and reads an XML-RPC response from its standard output.

use crate::command::{self, words};
use crate::error::{Error, Result};
use crate::host::{remove_if_there, Backend, Host};
use crate::netdb::{fetch, OtherConfig};
use crate::reconfigure::flows::{self, FlowError};
use crate::reconfigure::{self, plan};
use crate::vsctl::{BridgeRow, Done, Failure, Transaction, Vsctl, SHORT};
use crate::xapi::Session;
use crate::xmlrpc::{self, Value};
use crate::{failed, info, warning};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// TCP port of a controller's manager connection, unless sysconfig's MANAGER_PORT says another; Citrix' was 6632.
const MANAGER_PORT: u16 = 6640;
/// The host's key and certificate, in one file.
const PEM: &str = "/etc/xensource/xapi-ssl.pem";
/// The controller's certificate authority, learned from its first connection.
const CACERT: &str = "/etc/openvswitch/vswitchd.cacert";
const HOST_SCRIPT: &str = "/opt/xensource/libexec/interface-reconfigure";
const NOTHING: &str = "No change to configuration";

/// Answers one call of xapi. The outer error: that this is no call at all.
pub fn answer(host: &Host, request: &str) -> Result<String> {
    let (function, params) = xmlrpc::parse_call(request)?;
    let session = params.first().and_then(Value::as_str);
    let session = session.ok_or_else(|| failed!("the call names no session"))?;
    let session = Session::given(host.xapi_socket(), session);
    let result = match function.as_str() {
        "update" => update(host, &session),
        "emergency_reset" => emergency_reset(host),
        _ => Err(vec![
            "UNKNOWN_XENAPI_PLUGIN_FUNCTION".into(),
            function.clone(),
        ]),
    };
    Ok(xmlrpc::response(&match result {
        Ok(text) => {
            info!("{function}: {text}");
            Value::record([("Status", "Success".into()), ("Value", text.into())])
        }
        Err(error) => {
            warning!("{function} failed: {}", error.join(" "));
            Value::record([
                ("Status", "Failure".into()),
                ("ErrorDescription", Value::strings(error)),
            ])
        }
    }))
}

/// An error in xapi's way: a code and its parameters.
type Description = Vec<String>;

/// An error that has no code of its own, as XenAPIPlugin tells exceptions: function, kind, text.
fn other(e: Error) -> Description {
    match e {
        Error::Xapi(description) => description,
        e => {
            let text = e.to_string();
            vec![
                "XENAPI_PLUGIN_FAILURE".into(),
                "update".into(),
                "Error".into(),
                text,
            ]
        }
    }
}

fn modification(f: Failure) -> Description {
    warning!("ovs-vsctl: {}", f.reason);
    vec![
        "VSWITCH_CONFIG_MOD_FAILURE".into(),
        f.code.to_string(),
        f.arguments,
    ]
}

fn flow(e: FlowError) -> Description {
    vec![
        "VSWITCH_ADD_FLOW_FAILURE".into(),
        e.code.to_string(),
        e.bridge,
        e.flow,
    ]
}

/// What is to be done about the managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Managers {
    Leave,
    Remove,
    Set(IpAddr),
}

/// The decision: `wanted` is the pool's controller, `current` are the managers as ovs-vsctl lists them. Whoever
/// shortens these strings on the way, say to their first character, resets the switch on each start of xapi.
pub fn decide(wanted: &str, current: &[String]) -> Result<Managers> {
    let wanted = wanted.trim();
    if wanted.is_empty() {
        return Ok(if current.is_empty() {
            Managers::Leave
        } else {
            Managers::Remove
        });
    }
    let address: IpAddr = wanted.parse().map_err(|_| {
        failed!(
            "the pool's vswitch_controller '{wanted}' is no IP address; set one, or '' for none"
        )
    })?;
    let is_set = current
        .iter()
        .any(|m| ssl_host(m).and_then(|h| h.parse().ok()) == Some(address));
    Ok(if is_set {
        Managers::Leave
    } else {
        Managers::Set(address)
    })
}

/// The host of "ssl:HOST[:PORT]"; an IPv6 address may stand in brackets.
fn ssl_host(manager: &str) -> Option<&str> {
    let rest = manager.trim().strip_prefix("ssl:")?;
    match rest.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => rest.split(':').next(),
    }
}

/// The changes that bridges need, and what is to be told of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BridgeChanges {
    pub transaction: Transaction,
    pub in_band: bool,
    pub fail_mode: bool,
    pub complaints: Vec<String>,
}

/// Compares bridges with what `networks` (by bridge) and the pool say. A bridge that xapi does not know is none of
/// our business.
pub fn bridge_changes(
    rows: &[BridgeRow],
    networks: &BTreeMap<String, OtherConfig>,
    pool_mode: Option<&str>,
) -> BridgeChanges {
    let mut changes = BridgeChanges::default();
    for row in rows {
        let Some(config) = networks.get(&row.name) else {
            continue;
        };
        let bridge = &row.name;
        let key = "disable-in-band";
        let now = row.other_config.get(key).map(String::as_str);
        let command = match plan::in_band(config, bridge) {
            Some(plan::InBand::Remove) => {
                now.map(|_| format!("remove Bridge {bridge} other_config {key}"))
            }
            Some(plan::InBand::Set(value)) => {
                let value = value.to_string();
                let differs = now != Some(value.as_str());
                differs.then(|| format!("set Bridge {bridge} other_config:{key}={value}"))
            }
            None => {
                changes
                    .complaints
                    .push(format!("Ignored the disable-in-band setting of {bridge}."));
                None
            }
        };
        changes.in_band |= command.is_some();
        command.into_iter().for_each(|c| changes.transaction.add(c));

        let mode = plan::fail_mode_of(config.get(plan::FAIL_MODE).map(String::as_str), pool_mode);
        if row.fail_mode.as_deref() != Some(mode) {
            changes.fail_mode = true;
            changes
                .transaction
                .add(format!("set Bridge {bridge} fail_mode={mode}"));
        }
    }
    changes
}

fn update(host: &Host, session: &Session) -> std::result::Result<String, Description> {
    if let Some(plugin) = host.xapi_plugin() {
        return Ok(format!("{NOTHING}: this host's own {plugin} keeps it"));
    }
    if host.backend().map_err(other)? == Backend::Bridge {
        return Ok(format!(
            "{NOTHING}: this host's network is made of Linux bridges"
        ));
    }
    rewrite(host, session);
    let vsctl = Vsctl::new(host);
    // All that is asked of xapi, before anything is changed: on a member of a pool xapi asks the master, over the very
    // bridge that becomes secure below.
    let xapi = FromXapi::fetch(session)?;
    let current = vsctl.managers().map_err(modification)?;
    let managers = decide(&xapi.controller, &current).map_err(other)?;
    let mut rows = vsctl.bridges().map_err(modification)?;
    rows.retain(|row| xapi.mode(&row.name) == Some("secure"));
    let management = match rows.is_empty() {
        true => None,
        false => management(host, session, &rows)?,
    };

    let mut messages = Vec::new();
    let mut done = Done::Acted;
    match managers {
        Managers::Leave => {}
        Managers::Remove => {
            done = done.and(set_managers(host, &vsctl, None)?);
            messages.push("Successfully removed controller config.".to_string());
        }
        Managers::Set(address) => {
            done = done.and(set_managers(host, &vsctl, Some(address))?);
            messages.push(format!("Successfully set controller to {address}."));
            // It is reached as soon as xapi has made the key, so this is no failure.
            let pem = host.path(PEM);
            if let Err(e) = std::fs::File::open(&pem) {
                messages.push(format!(
                    "Note: cannot read {}: {e}; without this host's key the controller is not reached.",
                    pem.display()
                ));
            }
        }
    }
    let rows = vsctl.bridges().map_err(modification)?;
    let changes = bridge_changes(&rows, &xapi.networks, xapi.pool_mode.as_deref());
    let changed = vsctl.modify(SHORT, &changes.transaction);
    done = done.and(changed.map_err(modification)?);
    if changes.in_band {
        messages.push("Updated in-band management.".into());
    }
    if changes.fail_mode {
        messages.push("Updated fail_mode.".into());
    }
    messages.extend(changes.complaints);
    if let Some(Management { bridge, mac, cards }) = &management {
        let cards: Vec<_> = cards.iter().map(String::as_str).collect();
        flows::keep_reachable(host, &vsctl, bridge, mac, &cards).map_err(flow)?;
    }
    messages.extend(done.note().map(|note| format!("Note: {note}")));
    Ok(if messages.is_empty() {
        NOTHING.into()
    } else {
        messages.join(" ")
    })
}

/// What xapi says.
struct FromXapi {
    controller: String,
    pool_mode: Option<String>,
    /// other_config of the networks, by bridge.
    networks: BTreeMap<String, OtherConfig>,
}

/// The bridge of the management interface, if it is to be in fail mode secure.
struct Management {
    bridge: String,
    mac: String,
    cards: Vec<String>,
}

impl FromXapi {
    fn fetch(session: &Session) -> std::result::Result<Self, Description> {
        let pools = session.records("pool").map_err(other)?;
        let pool = match pools.len() {
            1 => pools.into_values().next().unwrap_or(Value::Nil),
            0 => return Err(vec!["NO_POOL_FOR_HOST".into()]),
            _ => return Err(vec!["MORE_THAN_ONE_POOL_FOR_HOST".into()]),
        };
        let controller = pool.get("vswitch_controller").and_then(Value::as_str);
        let networks = session.records("network").map_err(other)?;
        let by_bridge = |n: &Value| {
            Some((
                n.get("bridge")?.as_str()?.to_string(),
                n.string_map("other_config"),
            ))
        };
        Ok(FromXapi {
            controller: controller.unwrap_or_default().to_string(),
            pool_mode: pool.string_map("other_config").remove(plan::FAIL_MODE),
            networks: networks.values().filter_map(by_bridge).collect(),
        })
    }

    /// The fail mode that a bridge is to have, if xapi knows the bridge.
    fn mode(&self, bridge: &str) -> Option<&'static str> {
        let network = self.networks.get(bridge)?.get(plan::FAIL_MODE);
        Some(plan::fail_mode_of(
            network.map(String::as_str),
            self.pool_mode.as_deref(),
        ))
    }
}

/// The management interface, if one of `rows` is its bridge.
fn management(
    host: &Host,
    session: &Session,
    rows: &[BridgeRow],
) -> std::result::Result<Option<Management>, Description> {
    let uuid = host.installation_uuid().map_err(other)?;
    let db = fetch::fetch(session, &uuid).map_err(other)?;
    let Some(pif) = reconfigure::management(&db) else {
        warning!("no PIF of this host is its management interface");
        return Ok(None);
    };
    let record = db.pif(pif).map_err(other)?;
    let is_its = |row: &&BridgeRow| {
        let hwaddr = row.other_config.get("hwaddr").map(String::as_str);
        !record.mac.is_empty() && hwaddr.is_some_and(|a| a.eq_ignore_ascii_case(&record.mac))
    };
    let Some(row) = rows.iter().find(is_its) else {
        info!("no secure bridge has the management interface's MAC address");
        return Ok(None);
    };
    let cards = db.card_names(pif).map_err(other)?;
    Ok(Some(Management {
        bridge: row.name.clone(),
        mac: record.mac.clone(),
        cards: cards.into_iter().map(String::from).collect(),
    }))
}

/// Has interface-reconfigure write down what xapi knows: the host's own, else ours. That it fails is no reason not to
/// go on.
fn rewrite(host: &Host, session: &Session) {
    let result = if host.exists(HOST_SCRIPT) {
        command::run(
            &host.path(HOST_SCRIPT),
            &words("rewrite"),
            &[],
            Duration::from_secs(120),
        )
        .and_then(|s| {
            if s.success() {
                Ok(())
            } else {
                Err(failed!("{HOST_SCRIPT}: {s}"))
            }
        })
    } else if host.networkd().is_none() {
        reconfigure::run(
            host,
            reconfigure::Request::Rewrite {
                session: Some(session.reference().into()),
            },
        )
    } else {
        Ok(())
    };
    if let Err(e) = result {
        warning!("interface-reconfigure rewrite: {e}");
    }
}

fn set_managers(
    host: &Host,
    vsctl: &Vsctl<'_>,
    address: Option<IpAddr>,
) -> std::result::Result<Done, Description> {
    if let Err(e) = remove_if_there(&host.path(CACERT)) {
        warning!("cannot remove {CACERT}: {e}");
    }
    if let Err(f) = reset(vsctl) {
        warning!("emer-reset: {}", f.reason);
    }
    let mut t = Transaction::new();
    t.add("del-manager");
    t.add("del-ssl");
    if let Some(address) = address {
        let port = match host.sysconfig("MANAGER_PORT").map(|p| p.parse::<u16>()) {
            None => MANAGER_PORT,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => {
                warning!("sysconfig: MANAGER_PORT is no TCP port, {MANAGER_PORT} is taken");
                MANAGER_PORT
            }
        };
        let (pem, cacert) = (host.path(PEM), host.path(CACERT));
        let (pem, cacert) = (pem.display(), cacert.display());
        t.add(format!("--bootstrap set-ssl {pem} {pem} {cacert}"));
        t.add(match address {
            IpAddr::V4(a) => format!("set-manager ssl:{a}:{port}"),
            IpAddr::V6(a) => format!("set-manager ssl:[{a}]:{port}"),
        });
    }
    vsctl.modify(SHORT, &t).map_err(modification)
}

fn reset(vsctl: &Vsctl<'_>) -> std::result::Result<Done, Failure> {
    let mut t = Transaction::new();
    t.add("emer-reset");
    vsctl.modify(SHORT, &t)
}

fn emergency_reset(host: &Host) -> std::result::Result<String, Description> {
    match reset(&Vsctl::new(host)) {
        Ok(done) => Ok(match done.note() {
            None => "Successfully reset configuration".into(),
            Some(note) => format!("Successfully reset configuration. Note: {note}"),
        }),
        Err(f) => {
            warning!("ovs-vsctl: {}", f.reason);
            Err(vec![
                "VSWITCH_EMER_RESET_FAILURE".into(),
                f.code.to_string(),
                f.arguments,
            ])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn the_decision_table() {
        let x = Managers::Set("192.0.2.1".parse().unwrap());
        for (wanted, current, want) in [
            ("", &[][..], Managers::Leave),
            ("", &["ssl:192.0.2.1:6640"], Managers::Remove),
            ("", &["ptcp:6640"], Managers::Remove),
            ("192.0.2.1", &["ssl:192.0.2.1:6640"], Managers::Leave),
            ("192.0.2.1", &["ssl:192.0.2.1"], Managers::Leave),
            (
                "192.0.2.1",
                &["ssl:192.0.2.9:6640", "ssl:192.0.2.1:6632"],
                Managers::Leave,
            ),
            ("192.0.2.1", &[], x),
            ("192.0.2.1", &["ssl:192.0.2.9:6640"], x),
            ("192.0.2.1", &["tcp:192.0.2.1:6640"], x),
            ("192.0.2.1", &["pssl:6640"], x),
            ("192.0.2.1", &["ssl:192.0.2.10:6640"], x),
            (" 192.0.2.1\n", &["ssl:192.0.2.1:6640"], Managers::Leave),
            (
                "2001:db8::1",
                &["ssl:[2001:db8:0::1]:6640"],
                Managers::Leave,
            ),
        ] {
            assert_eq!(
                decide(wanted, &strings(current)).unwrap(),
                want,
                "{wanted:?} {current:?}"
            );
        }
        for bad in [
            "controller",
            "192.0.2.1:6640",
            "192.0.2.1; reboot",
            "192.0.2",
        ] {
            assert!(decide(bad, &[])
                .unwrap_err()
                .to_string()
                .contains("no IP address"));
        }
    }

    #[test]
    fn a_manager_is_compared_whole_and_not_by_its_first_character() {
        // What a list looks like to a program that takes the first of a string for the first of a list.
        let cut = strings(&["s"]);
        let whole = strings(&["ssl:192.0.2.1:6640"]);
        assert_eq!(decide("192.0.2.1", &whole).unwrap(), Managers::Leave);
        assert_ne!(decide("192.0.2.1", &cut).unwrap(), Managers::Leave);
    }

    fn row(name: &str, fail_mode: &str, in_band: &str) -> BridgeRow {
        let value =
            (!in_band.is_empty()).then(|| ("disable-in-band".to_string(), in_band.to_string()));
        BridgeRow {
            name: name.into(),
            fail_mode: (!fail_mode.is_empty()).then(|| fail_mode.into()),
            other_config: value.into_iter().collect(),
        }
    }

    fn network(in_band: &str, mode: &str) -> OtherConfig {
        let all = [
            ("vswitch-disable-in-band", in_band),
            (plan::FAIL_MODE, mode),
        ];
        let there = all.into_iter().filter(|(_, v)| !v.is_empty());
        there.map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn bridges_are_changed_only_where_they_differ() {
        for (now, xapi, pool, want) in [
            (
                ("", ""),
                ("", ""),
                None,
                "set Bridge b fail_mode=standalone\n",
            ),
            (("standalone", ""), ("", ""), None, ""),
            (
                ("standalone", ""),
                ("", ""),
                Some("secure"),
                "set Bridge b fail_mode=secure\n",
            ),
            (("secure", ""), ("", ""), Some("secure"), ""),
            (
                ("secure", ""),
                ("", "standalone"),
                Some("secure"),
                "set Bridge b fail_mode=standalone\n",
            ),
            (
                ("standalone", "true"),
                ("", ""),
                None,
                "remove Bridge b other_config disable-in-band\n",
            ),
            (
                ("standalone", ""),
                ("true", ""),
                None,
                "set Bridge b other_config:disable-in-band=true\n",
            ),
            (("standalone", "true"), ("true", ""), None, ""),
            (
                ("standalone", "true"),
                ("false", ""),
                None,
                "set Bridge b other_config:disable-in-band=false\n",
            ),
            (("standalone", "true"), ("maybe", ""), None, ""),
        ] {
            let networks = [("b".to_string(), network(xapi.0, xapi.1))].into();
            let got = bridge_changes(&[row("b", now.0, now.1)], &networks, pool);
            assert_eq!(got.transaction.text(), want, "{now:?} {xapi:?} {pool:?}");
            assert_eq!(got.in_band, want.contains("in-band"));
            assert_eq!(got.fail_mode, want.contains("fail_mode"));
            assert_eq!(got.complaints.len(), usize::from(xapi.0 == "maybe"));
        }
    }

    #[test]
    fn a_bridge_that_xapi_does_not_know_is_left_alone() {
        let networks = [("xenbr0".to_string(), network("", ""))].into();
        let got = bridge_changes(&[row("x", "secure", "true")], &networks, None);
        assert_eq!(got, BridgeChanges::default());
    }
}
