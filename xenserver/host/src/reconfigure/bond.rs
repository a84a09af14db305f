// SPDX-License-Identifier: GPL-2.0
//! A bond's settings: the PIF's other_config:bond-* as columns of the Port table. The six keys that xapi's scripts wrote down
//! are read, and no others (netdb::PIF_KEYS).

use crate::netdb::Pif;
use crate::vsctl::quoted;
use crate::warning;

/// Milliseconds, where xapi says nothing.
const MIIMON: u32 = 100;
const DOWN_DELAY: u32 = 200;
const UP_DELAY: u32 = 31_000;

/// The arguments of `set Port BOND`.
pub fn columns(pif: &Pif) -> String {
    let get = |key: &str| pif.other_config.get(key).map(String::as_str);
    let number = |key: &str, default: u32| match get(key).map(|t| (t, t.parse::<u32>())) {
        None => default,
        Some((_, Ok(n))) => n,
        Some((text, Err(_))) => {
            warning!(
                "PIF {}: {key} '{text}' is no number, {default} is taken",
                pif.uuid
            );
            default
        }
    };
    let mut columns = Vec::new();
    if !pif.mac.is_empty() {
        columns.push(format!("MAC={}", quoted(&pif.mac)));
    }
    columns.push(format!(
        "other-config:bond-miimon-interval={}",
        number("bond-miimon", MIIMON)
    ));
    columns.push(format!(
        "bond_downdelay={}",
        number("bond-downdelay", DOWN_DELAY)
    ));
    columns.push(format!("bond_updelay={}", number("bond-updelay", UP_DELAY)));
    let detect = match get("bond-use_carrier") {
        Some("0") => "miimon",
        None | Some("1") => "carrier",
        Some(other) => {
            warning!(
                "PIF {}: bond-use_carrier '{other}' is neither 0 nor 1, 1 is taken",
                pif.uuid
            );
            "carrier"
        }
    };
    columns.push(format!("other-config:bond-detect-mode={detect}"));
    let (lacp, mode) = mode(pif);
    columns.push(format!("lacp={lacp} bond_mode={mode}"));
    columns.join(" ")
}

fn mode(pif: &Pif) -> (&'static str, &'static str) {
    let get = |key: &str| pif.other_config.get(key).map(String::as_str);
    match get("bond-mode") {
        None | Some("balance-slb") => ("off", "balance-slb"),
        Some("active-backup") => ("off", "active-backup"),
        Some("lacp") => match get("bond-hashing-algorithm") {
            Some("src_mac") => ("active", "balance-slb"),
            None | Some("tcpudp_ports") => ("active", "balance-tcp"),
            Some(other) => {
                warning!(
                    "PIF {}: no bond-hashing-algorithm '{other}', tcpudp_ports is taken",
                    pif.uuid
                );
                ("active", "balance-tcp")
            }
        },
        Some(other) => {
            warning!(
                "PIF {}: no bond-mode '{other}', balance-slb is taken",
                pif.uuid
            );
            ("off", "balance-slb")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pif(config: &[(&str, &str)]) -> Pif {
        let other_config = config
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        Pif {
            mac: "00:16:3e:00:00:01".into(),
            other_config,
            ..Pif::default()
        }
    }

    const HEAD: &str =
        "MAC=\"00:16:3e:00:00:01\" other-config:bond-miimon-interval=100 bond_downdelay=200 \
        bond_updelay=31000 other-config:bond-detect-mode=carrier ";

    #[test]
    fn defaults() {
        assert_eq!(
            columns(&pif(&[])),
            format!("{HEAD}lacp=off bond_mode=balance-slb")
        );
    }

    #[test]
    fn modes() {
        for (mode, hash, want) in [
            ("balance-slb", "", "lacp=off bond_mode=balance-slb"),
            (
                "active-backup",
                "tcpudp_ports",
                "lacp=off bond_mode=active-backup",
            ),
            ("lacp", "", "lacp=active bond_mode=balance-tcp"),
            ("lacp", "src_mac", "lacp=active bond_mode=balance-slb"),
            ("lacp", "tcpudp_ports", "lacp=active bond_mode=balance-tcp"),
            ("lacp", "x", "lacp=active bond_mode=balance-tcp"),
            ("802.3ad", "", "lacp=off bond_mode=balance-slb"),
            ("balance-tcp", "", "lacp=off bond_mode=balance-slb"),
        ] {
            let mut config = vec![("bond-mode", mode), ("bond-hashing-algorithm", hash)];
            config.retain(|(_, v)| !v.is_empty());
            assert_eq!(
                columns(&pif(&config)),
                format!("{HEAD}{want}"),
                "{mode} {hash}"
            );
        }
    }

    #[test]
    fn delays_and_detection() {
        let got = columns(&pif(&[
            ("bond-miimon", "50"),
            ("bond-downdelay", "-1"),
            ("bond-updelay", "0"),
            ("bond-use_carrier", "0"),
            ("note", "x"),
        ]));
        let want = "MAC=\"00:16:3e:00:00:01\" other-config:bond-miimon-interval=50 bond_downdelay=200 bond_updelay=0 \
            other-config:bond-detect-mode=miimon lacp=off bond_mode=balance-slb";
        assert_eq!(got, want);
    }
}
