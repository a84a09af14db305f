// SPDX-License-Identifier: GPL-2.0
//! interface-reconfigure as a program: from the cache and from xapi, against a real database and switch.

use crate::sandbox::{state, Sandbox, CACHE};
use serde_json::json;

const TOOL: &str = "interface-reconfigure";

fn with_cache(name: &str) -> Sandbox {
    let host = Sandbox::new(name);
    host.write("/var/xapi/network.dbcache", CACHE);
    host
}

#[track_caller]
fn ok(host: &Sandbox, args: &str) {
    let out = host.run(TOOL, args);
    assert_eq!(out.code, 0, "{args}: {}", out.stderr);
}

/// The sole call of ovs-vsctl that changes anything, its commands one a line.
#[track_caller]
fn transaction(calls: &[String]) -> String {
    let changing = |c: &&String| c.starts_with("ovs-vsctl") && c.contains(" -- ");
    let all: Vec<_> = calls.iter().filter(changing).collect();
    assert_eq!(all.len(), 1, "one transaction: {calls:#?}");
    let (head, commands) = all[0].split_once(" -- ").unwrap();
    assert_eq!(head, "ovs-vsctl --timeout=20 -vconsole:off");
    commands.replace(" -- ", "\n") + "\n"
}

#[test]
fn up_runs_each_program_once_and_in_order() {
    let host = with_cache("up");
    ok(&host, "--force xenbr2 up");
    let calls = host.calls();
    let rest: Vec<_> = calls
        .iter()
        .filter(|c| !c.starts_with("ovs-vsctl"))
        .collect();
    let want = [
        "ip link set dev eth2 up mtu 1500",
        "ethtool -K eth2 gso off gro off lro off",
        "ifup xenbr2",
        "update-issue",
    ];
    assert_eq!(rest, want);
    let text = transaction(&calls);
    assert!(
        text.starts_with("--with-iface --if-exists del-port eth2\n--may-exist add-br xenbr2\n"),
        "{text}"
    );
    let position = |start: &str| calls.iter().position(|c| c.starts_with(start)).unwrap();
    assert!(position("ethtool") < position("ovs-vsctl --timeout=20"));
    assert!(position("ovs-vsctl --timeout=20") < position("ifup"));
    assert!(host
        .read("/etc/sysconfig/network-scripts/ifcfg-xenbr2")
        .contains("\nBOOTPROTO=dhcp\n"));
    assert_eq!(
        host.read("/etc/sysconfig/network"),
        "DNSDEV=xenbr2\nGATEWAYDEV=xenbr2\n"
    );
    // The cache is where this came from: it is not written.
    assert_eq!(host.read("/var/xapi/network.dbcache"), CACHE);
}

#[test]
fn a_bond_takes_its_cards_from_their_bridges() {
    let host = with_cache("bond");
    host.device("xenbr0", "00:16:3e:00:00:a0");
    host.device("xenbr1", "00:16:3e:00:00:a1");
    host.device("bond0", "00:16:3e:00:00:a0");
    host.write("/etc/sysconfig/network-scripts/ifcfg-xenbr0", "");
    ok(&host, "--force xapi1 up");
    let calls = host.calls();
    let rest: Vec<_> = calls
        .iter()
        .filter(|c| !c.starts_with("ovs-vsctl") && !c.starts_with("ethtool"))
        .collect();
    let want = [
        "ifdown xenbr0",
        "ip link set dev xenbr1 down",
        "ip link set dev eth0 up mtu 1500",
        "ip link set dev eth1 up mtu 1500",
        "ifup xapi1",
        "ip link set dev bond0 up",
        "update-issue",
    ];
    assert_eq!(rest, want);
}

#[test]
fn what_fails_leaves_the_files_as_they_were() {
    let host = with_cache("fail-vsctl");
    host.write("/etc/sysconfig/network", "HOSTNAME=h\n");
    host.stub("/usr/bin/ovs-vsctl", "echo broken >&2\nexit 3");
    let before = host.snapshot();
    let out = host.run(TOOL, "--force xenbr2 up");
    assert_eq!(out.code, 1, "{}", out.stderr);
    assert!(out.stderr.contains("ovs-vsctl"), "{}", out.stderr);
    assert_eq!(host.snapshot(), before);
}

#[test]
fn what_fails_brings_back_what_was_taken_down_for_it() {
    let mut host = Sandbox::new("back");
    host.start_xapi(&state());
    host.stub("/usr/bin/ovs-vsctl", "echo broken >&2\nexit 3");
    host.device("xenbr2", "00:16:3e:00:00:a2");
    let ifcfg = "/etc/sysconfig/network-scripts/ifcfg-xenbr2";
    host.write(ifcfg, "the address that xapi comes by\n");
    let out = host.run(
        TOOL,
        "--session OpaqueRef:given --pif OpaqueRef:pif-eth2 up",
    );
    assert_eq!(out.code, 1, "{}", out.stderr);
    let calls = host.calls();
    let mine: Vec<_> = calls.iter().filter(|c| c.starts_with("if")).collect();
    assert_eq!(mine, ["ifdown xenbr2", "ifup xenbr2"]);
    assert_eq!(host.read(ifcfg), "the address that xapi comes by\n");

    // The bridges whose cards a bond would have taken, and the cards of one that would have ended.
    host.write("/var/xapi/network.dbcache", CACHE);
    for (bridge, mac) in [("xenbr0", "a0"), ("xenbr1", "a1")] {
        host.device(bridge, &format!("00:16:3e:00:00:{mac}"));
    }
    host.write("/etc/sysconfig/network-scripts/ifcfg-xenbr0", "");
    assert_eq!(host.run(TOOL, "--force xapi1 up").code, 1);
    let calls = host.calls();
    let after = calls.iter().position(|c| c.starts_with("ovs-vsctl"));
    let after = &calls[after.unwrap() + 1..];
    assert_eq!(after, ["ip link set dev xenbr1 up", "ifup xenbr0"]);
    assert_eq!(host.run(TOOL, "--force xenbr0 up").code, 1);
    let calls = host.calls();
    assert!(!calls.contains(&"ip link set dev eth1 down".to_string()));
}

#[test]
fn a_bond_does_without_a_card_that_is_gone() {
    let host = with_cache("bondcard");
    std::fs::remove_dir_all(host.path("/sys/class/net/eth0")).unwrap();
    let out = host.run(TOOL, "--force xapi1 up");
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(
        out.stderr.contains("no network card eth0 on this host"),
        "{}",
        out.stderr
    );
    let calls = host.calls();
    // It joins when it is plugged in again.
    assert!(transaction(&calls).contains("--fake-iface add-bond xapi1 bond0 eth0 eth1\n"));
    assert!(calls.contains(&"ip link set dev eth1 up mtu 1500".to_string()));
    assert!(!calls.iter().any(|c| c.contains("dev eth0")));
    assert!(calls.contains(&"ifup xapi1".to_string()));
    std::fs::remove_dir_all(host.path("/sys/class/net/eth1")).unwrap();
    let out = host.run(TOOL, "--force xapi1 up");
    assert!(out.code == 1 && out.stderr.contains("no network card eth0"));
    assert!(host.calls().is_empty());
}

#[test]
fn a_program_of_the_host_that_fails_is_told_of_and_stops_nothing() {
    for (name, absolute) in [
        ("ifup", "/sbin/ifup"),
        ("ifdown", "/sbin/ifdown"),
        ("ip", "/sbin/ip"),
        ("ethtool", "/sbin/ethtool"),
    ] {
        let host = with_cache(&format!("fails-{name}"));
        host.device("bond0", "00:16:3e:00:00:a0");
        host.device("xenbr0", "00:16:3e:00:00:a0");
        host.write("/etc/sysconfig/network-scripts/ifcfg-xenbr0", "");
        host.stub(absolute, "exit 3");
        let out = host.run(TOOL, "--force xapi1 up");
        assert_eq!(out.code, 0, "{name}: {}", out.stderr);
        let told = format!("interface-reconfigure: '{name} ");
        assert!(out.stderr.contains(&told), "{name}: {}", out.stderr);
        let calls = host.calls();
        for call in ["ifup xapi1", "ip link set dev bond0 up", "update-issue"] {
            assert!(calls.contains(&call.to_string()), "{name}: {calls:?}");
        }
        transaction(&calls);
        let ifcfg = host.read("/etc/sysconfig/network-scripts/ifcfg-xapi1");
        assert!(ifcfg.contains("DEVICE=xapi1\n"), "{name}");
    }
}

#[test]
fn a_dhcp_server_that_is_away_leaves_an_interface_that_can_be_brought_up_later() {
    let mut host = Sandbox::new("nodhcp");
    host.start_xapi(&state());
    host.start_ovs();
    host.stub("/sbin/ifup", "exit 1");
    let pif = "--session OpaqueRef:given --pif OpaqueRef:pif-eth2";
    ok(&host, &format!("{pif} up"));
    assert_eq!(host.vsctl("list-ports xenbr2"), "eth2");
    let ifcfg = host.read("/etc/sysconfig/network-scripts/ifcfg-xenbr2");
    assert!(ifcfg.contains("BOOTPROTO=dhcp\n"), "{ifcfg}");
    host.device("xenbr2", "00:16:3e:00:00:a2");
    host.stub("/sbin/ifup", "");
    host.calls();
    ok(&host, &format!("{pif} up"));
    let calls = host.calls();
    for call in ["ifdown xenbr2", "ifup xenbr2"] {
        assert!(calls.contains(&call.to_string()), "{calls:?}");
    }
    ok(&host, &format!("{pif} down"));
    assert_eq!(host.vsctl("list-br"), "");
}

#[test]
fn a_bridge_that_its_vlan_made_has_no_file_for_ifdown() {
    let mut host = Sandbox::new("untagged");
    host.start_xapi(&state());
    host.start_ovs();
    let pif = |name: &str, action: &str| {
        ok(
            &host,
            &format!("--session OpaqueRef:given --pif OpaqueRef:pif-{name} {action}"),
        );
    };
    pif("vlan123", "up");
    host.device("xenbr3", "00:16:3e:00:00:a3");
    host.device("xapi3", "00:16:3e:00:00:a3");
    host.calls();
    pif("eth3", "up");
    let calls = host.calls();
    assert!(calls.contains(&"ip link set dev xenbr3 down".to_string()));
    assert!(calls.contains(&"ifup xenbr3".to_string()));
    assert_eq!(host.vsctl("list-br"), "xapi3\nxenbr3");
    // So has the bridge of a bond's slave.
    host.device("xenbr0", "00:16:3e:00:00:a0");
    pif("bond0", "up");
    assert!(host
        .calls()
        .contains(&"ip link set dev xenbr0 down".to_string()));
}

#[test]
fn a_card_that_is_in_use_stays_on_its_bridge_when_another_of_its_former_bond_comes_up() {
    let mut host = Sandbox::new("sibling");
    let mut xapi = state();
    xapi["PIF"]["OpaqueRef:pif-eth0"]["currently_attached"] = json!(true);
    host.start_xapi(&xapi);
    host.start_ovs();
    host.vsctl("add-br xenbr0 -- add-port xenbr0 eth0");
    ok(
        &host,
        "--session OpaqueRef:given --pif OpaqueRef:pif-eth1 up",
    );
    assert_eq!(host.vsctl("list-ports xenbr0"), "eth0");
    assert_eq!(host.vsctl("list-ports xenbr1"), "eth1");
    assert!(!host
        .calls()
        .contains(&"ip link set dev eth0 down".to_string()));
}

#[test]
fn what_is_about_to_be_the_management_interface_gives_the_host_dns_and_gateway() {
    let mut host = Sandbox::new("management");
    host.start_xapi(&state());
    let network = |host: &Sandbox| host.read("/etc/sysconfig/network");
    ok(
        &host,
        "--session OpaqueRef:given --pif OpaqueRef:pif-eth3 --management up",
    );
    assert_eq!(network(&host), "DNSDEV=xenbr3\nGATEWAYDEV=xenbr3\n");
    // The cache says what xapi says, and xapi has not said that yet.
    let cache = host.read("/var/xapi/network.dbcache");
    let db = ovs_xenserver::netdb::cache::parse(&cache).unwrap();
    assert!(db.pifs["OpaqueRef:pif-eth2"].management && !db.pifs["OpaqueRef:pif-eth3"].management);
    ok(
        &host,
        "--pif-uuid 10000000-0000-4000-8000-000000000002 --management up",
    );
    assert_eq!(network(&host), "DNSDEV=xenbr2\nGATEWAYDEV=xenbr2\n");
    // As a host's boot has it, before xapi.
    host.stop_xapi();
    ok(&host, "--management --force-interface xenbr3 up");
    assert_eq!(network(&host), "DNSDEV=xenbr3\nGATEWAYDEV=xenbr3\n");
}

#[test]
fn the_hosts_network_file_keeps_what_others_wrote() {
    let host = with_cache("networkfile");
    let old = b"# caf\xe9\nNETWORKING=yes\nHOSTNAME=xs1\nGATEWAYDEV=xenbr9\n";
    host.write("/etc/sysconfig/network", "");
    std::fs::write(host.path("/etc/sysconfig/network"), old).unwrap();
    ok(&host, "--force xenbr2 up");
    let want = b"# caf\xe9\nNETWORKING=yes\nHOSTNAME=xs1\nDNSDEV=xenbr2\nGATEWAYDEV=xenbr2\n";
    assert_eq!(
        std::fs::read(host.path("/etc/sysconfig/network")).unwrap(),
        want
    );

    // No PIF is the management interface: nobody has said whose these are to be.
    let host = with_cache("nomanagement");
    host.write("/var/xapi/network.dbcache", &CACHE.replace("True", "False"));
    let old = "NETWORKING=yes\nGATEWAYDEV=xenbr9\nDNSDEV=xenbr9\n";
    host.write("/etc/sysconfig/network", old);
    ok(&host, "--force xenbr3 up");
    assert_eq!(host.read("/etc/sysconfig/network"), old);
}

#[test]
fn another_records_oddity_does_not_keep_the_host_off_its_network() {
    let mut host = Sandbox::new("odd");
    let mut xapi = state();
    xapi["network"]["OpaqueRef:odd"] =
        json!({"uuid": "u", "bridge": "", "MTU": "1500", "PIFs": [], "other_config": {}});
    xapi["PIF"]["OpaqueRef:pif-eth3"]["DNS"] = json!("192.0.2.53 198.51.100.53");
    host.start_xapi(&xapi);
    ok(
        &host,
        "--session OpaqueRef:given --pif OpaqueRef:pif-eth3 up",
    );
    let ifcfg = host.read("/etc/sysconfig/network-scripts/ifcfg-xenbr3");
    assert!(
        ifcfg.contains("DNS1=192.0.2.53\nDNS2=198.51.100.53\n"),
        "{ifcfg}"
    );
    let out = host.run(TOOL, "rewrite");
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(out
        .stderr
        .contains("network OpaqueRef:odd is left out: no bridge"));
}

#[test]
fn a_switch_that_does_not_act_is_told_of_and_the_files_are_those_of_the_database() {
    let mut host = with_cache("noswitch");
    host.start_ovsdb();
    let out = host.run(TOOL, "--force xenbr2 up");
    assert_eq!(out.code, 1);
    assert!(
        out.stderr
            .contains("the database has the change, ovs-vswitchd has not acted on it yet"),
        "{}",
        out.stderr
    );
    assert_eq!(host.vsctl("--no-wait list-br"), "xenbr2");
    let files = host.snapshot();
    let ifcfg = host.path("/etc/sysconfig/network-scripts/ifcfg-xenbr2");
    assert!(files.contains_key(&ifcfg), "{:?}", files.keys());
    assert!(!files
        .keys()
        .any(|f| f.display().to_string().contains(".xapi-")));
}

#[test]
fn many_at_once_leave_a_whole_cache_and_do_not_fail() {
    let mut host = Sandbox::new("many");
    host.start_xapi(&state());
    let pif = "--session OpaqueRef:given --pif OpaqueRef:pif-eth3 up";
    for _ in 0..4 {
        let spawn = |args: &str| {
            let mut command = host.command(TOOL, args);
            command
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let all: Vec<_> = ["rewrite", "rewrite", pif, "rewrite", pif, "rewrite"]
            .map(spawn)
            .into();
        for child in all {
            let out = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&out.stderr);
            assert!(out.status.success(), "{text}");
            let cache = host.read("/var/xapi/network.dbcache");
            ovs_xenserver::netdb::cache::parse(&cache).unwrap();
        }
    }
    let left = std::fs::read_dir(host.path("/var/xapi")).unwrap().count();
    assert_eq!(left, 1, "nothing but the cache");
}

#[test]
fn what_cannot_be_done_is_told_in_one_line_and_changes_nothing() {
    type Setup = fn(&Sandbox);
    let cases: [(&str, Setup, &str, &str); 9] = [
        (
            "no-cache",
            |h| std::fs::remove_file(h.path("/var/xapi/network.dbcache")).unwrap(),
            "--force xenbr2 up",
            "interface-reconfigure rewrite",
        ),
        (
            "bad-cache",
            |h| {
                h.write(
                    "/var/xapi/network.dbcache",
                    "<xenserver-network-configuration>",
                )
            },
            "--force xenbr2 up",
            "not XML",
        ),
        ("unknown", |_| {}, "--force xenbr9 up", "xe network-list"),
        (
            "bridge-mode",
            |h| h.write("/etc/xensource/network.conf", "bridge\n"),
            "--force xenbr2 up",
            "xe-switch-network-backend",
        ),
        (
            "odd-mode",
            |h| h.write("/etc/xensource/network.conf", "both\n"),
            "--force xenbr2 up",
            "must say",
        ),
        (
            "networkd",
            |h| h.write("/usr/sbin/xcp-networkd", ""),
            "--force xenbr2 up",
            "xe pif-plug",
        ),
        ("no-xapi", |_| {}, "--pif-uuid U up", "is it running?"),
        (
            "no-card",
            |h| std::fs::remove_dir_all(h.path("/sys/class/net/eth2")).unwrap(),
            "--force xenbr2 up",
            "no network card eth2",
        ),
        (
            "renamed",
            |h| {
                h.device("eth2", "00:16:3e:00:00:a3");
                h.device("eth3", "00:16:3e:00:00:a2");
            },
            "--force xenbr2 up",
            "interface-rename",
        ),
    ];
    for (name, setup, args, reason) in cases {
        let host = with_cache(name);
        setup(&host);
        let before = host.snapshot();
        let out = host.run(TOOL, args);
        assert_eq!(out.code, 1, "{name}: {}", out.stderr);
        let last = out.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("interface-reconfigure: ") && last.contains(reason),
            "{name}: {last}"
        );
        assert!(
            !host
                .calls()
                .iter()
                .any(|c| !c.starts_with("ovs-vsctl --timeout=5")),
            "{name}"
        );
        assert_eq!(host.snapshot(), before, "{name}");
    }
}

#[test]
fn a_diskless_hosts_card_is_left_alone() {
    let host = with_cache("ardence");
    host.write("/proc/ardence", "Boot NIC 00:16:3E:00:00:A2\n");
    ok(&host, "--force xenbr2 up");
    ok(&host, "--force xenbr2 down");
    assert!(host.calls().is_empty());
}

#[test]
fn the_first_boot_waits_longer_for_dhcp() {
    let host = with_cache("firstboot");
    host.stub(
        "/sbin/ifup",
        "echo \"env:$DHCLIENTARGS\" >> \"$(dirname \"$0\")/../calls\"",
    );
    let flag = "/etc/firstboot.d/data/firstboot_in_progress";
    host.write(flag, "");
    ok(&host, "--force xenbr2 up");
    assert!(host.calls().contains(&"env:-T 240".to_string()));
    std::fs::remove_file(host.path(flag)).unwrap();
    ok(&host, "--force xenbr2 up");
    assert!(host.calls().contains(&"env:".to_string()));
}

#[test]
fn the_first_cache_of_a_host() {
    let host = Sandbox::new("initial");
    let args = "--force xenbr0 rewrite --device=eth0 --mac=00:16:3e:00:00:a0 --mode=static --ip=192.0.2.5 \
        --netmask=255.255.255.0 --gateway=192.0.2.1";
    ok(&host, args);
    assert!(host.calls().is_empty());
    ok(&host, "--force xenbr0 up");
    let text = transaction(&host.calls());
    assert!(
        text.contains("xs-network-uuids InitialManagementNetwork\n"),
        "{text}"
    );
    let ifcfg = host.read("/etc/sysconfig/network-scripts/ifcfg-xenbr0");
    assert!(
        ifcfg.contains("NETMASK=255.255.255.0\nIPADDR=192.0.2.5\nGATEWAY=192.0.2.1\n"),
        "{ifcfg}"
    );
}

#[test]
fn xapi_is_asked_for_this_host_only_and_the_cache_is_written() {
    let mut host = Sandbox::new("xapi");
    host.start_xapi(&state());
    ok(
        &host,
        "--session OpaqueRef:given --pif OpaqueRef:pif-eth3 up",
    );
    let text = transaction(&host.calls());
    assert!(
        text.contains("--may-exist add-port xenbr3 eth3\n"),
        "{text}"
    );
    let route = host.read("/etc/sysconfig/network-scripts/route-xenbr3");
    assert_eq!(route.lines().count(), 2, "{route}");
    let asked = host.xapi_calls();
    assert!(
        !asked.iter().any(|c| c.starts_with("session.")),
        "the session was given: {asked:?}"
    );
    let written =
        ovs_xenserver::netdb::cache::parse(&host.read("/var/xapi/network.dbcache")).unwrap();
    let mut want = ovs_xenserver::netdb::cache::parse(CACHE).unwrap();
    want.networks.values_mut().for_each(|n| n.mtu = Some(1500));
    assert_eq!(written, want);
    assert!(!host.read("/var/xapi/network.dbcache").contains("foreign"));
}

#[test]
fn an_own_session_is_made_and_ended_also_on_an_old_host() {
    let mut host = Sandbox::new("login");
    let mut xapi = state();
    xapi["old"] = json!(true);
    host.start_xapi(&xapi);
    ok(&host, "--pif-uuid 10000000-0000-4000-8000-000000000002 up");
    let asked = host.xapi_calls();
    assert_eq!(asked[1], "session.login_with_password [\"root\", \"\"]");
    assert_eq!(asked.last().unwrap(), "session.logout []");
    assert!(host.calls().contains(&"ifup xenbr2".to_string()));
    ok(
        &host,
        "--pif-uuid 10000000-0000-4000-8000-000000000002 down",
    );
    assert!(transaction(&host.calls()).contains("--if-exists del-br xenbr2\n"));
    // A PIF of another host is none of ours.
    let out = host.run(TOOL, "--pif-uuid 10000000-0000-4000-8000-000000000099 up");
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("xe pif-list"), "{}", out.stderr);
    let mut xapi = state();
    xapi["sessions"] = json!(false);
    host.set_xapi(&xapi);
    let out = host.run(TOOL, "--pif-uuid 10000000-0000-4000-8000-000000000002 up");
    assert!(
        out.code == 1 && out.stderr.contains("SESSION_INVALID"),
        "{}",
        out.stderr
    );
}

#[test]
fn rewrite_writes_the_cache_and_names_networks_if_the_switch_runs() {
    let mut host = Sandbox::new("rewrite");
    host.start_xapi(&state());
    ok(&host, "rewrite");
    assert!(host.calls().is_empty(), "no database, nothing to do there");
    assert!(host
        .read("/var/xapi/network.dbcache")
        .contains("50000000-0000-4000-8000-000000000002"));
    host.write("/var/run/openvswitch/db.sock", "");
    ok(&host, "rewrite-configuration");
    let want = "br-set-external-id xenbr2 xs-network-uuids 50000000-0000-4000-8000-000000000002\n";
    assert_eq!(transaction(&host.calls()), want);
}

// ---- on a real database and switch ----------------------------------------------------------------------------

#[test]
fn the_switch_takes_every_kind_of_interface_up_and_down() {
    let mut host = with_cache("real");
    host.start_ovs();
    let bridges = |host: &Sandbox| host.vsctl("list-br").replace('\n', " ");
    for (bridge, ports) in [
        ("xenbr2", "eth2"),
        ("xapi3", ""),
        ("xapi1", "bond0"),
        ("xapi2", ""),
        ("xapi4", ""),
    ] {
        ok(&host, &format!("--force {bridge} up"));
        assert_eq!(
            host.vsctl(&format!("list-ports {bridge}")),
            ports,
            "{bridge}"
        );
        // Once more: nothing that is there may be in the way.
        ok(&host, &format!("--force {bridge} up"));
    }
    assert_eq!(bridges(&host), "xapi1 xapi2 xapi3 xapi4 xenbr2 xenbr3");
    assert_eq!(host.vsctl("br-to-parent xapi3"), "xenbr3");
    assert_eq!(host.vsctl("br-to-vlan xapi3"), "123");
    assert_eq!(host.vsctl("br-to-parent xapi2"), "xapi1");
    assert_eq!(host.vsctl("list-ifaces xapi1"), "eth0\neth1");
    assert_eq!(
        host.vsctl("get Bridge xenbr3 fail_mode other_config:hwaddr"),
        "standalone\n\"00:16:3e:00:00:a3\""
    );
    assert_eq!(
        host.vsctl("get Port bond0 bond_mode bond_updelay lacp"),
        "balance-slb\n31000\noff"
    );
    assert_eq!(
        host.vsctl("br-get-external-id xapi3 xs-network-uuids"),
        "50000000-0000-4000-8000-000000000003;50000000-0000-4000-8000-000000000006"
    );
    assert_eq!(
        host.vsctl("get Interface xapi3 mac"),
        "\"00:16:3e:00:00:a3\""
    );

    // A guest's port on the VLAN survives that the VLAN is brought up again.
    host.vsctl("add-port xapi3 vif1.0");
    ok(&host, "--force xapi3 up");
    assert_eq!(host.vsctl("list-ports xapi3"), "vif1.0");

    // A card on its own ends the bond that it was in.
    ok(&host, "--force xenbr0 up");
    assert_eq!(bridges(&host), "xapi3 xapi4 xenbr0 xenbr2 xenbr3");
    for bridge in ["xapi3", "xapi4", "xenbr0", "xenbr2"] {
        ok(&host, &format!("--force {bridge} down"));
    }
    assert_eq!(bridges(&host), "");
}

#[test]
fn a_port_of_another_kind_is_made_anew() {
    let mut host = with_cache("retype");
    host.start_ovs();
    host.vsctl("add-br xenbr2 -- add-port xenbr2 eth2 -- set Interface eth2 type=internal");
    ok(&host, "--force xenbr2 up");
    assert_eq!(host.vsctl("get Interface eth2 type"), "\"\"");
}

#[test]
fn the_management_interface_stays_reachable_when_the_pool_becomes_secure() {
    let mut host = Sandbox::new("secure");
    host.write("/var/xapi/network.dbcache", &CACHE.replace(
        "<pool ref=\"OpaqueRef:pool\">\n\t\t<other_config/>",
        "<pool ref=\"OpaqueRef:pool\"><other_config><vswitch-controller-fail-mode>secure</vswitch-controller-fail-mode></other_config>",
    ));
    host.start_ovs();
    ok(&host, "--force xenbr2 up");
    assert_eq!(host.vsctl("get-fail-mode xenbr2"), "secure");
    let flows = host.ofctl("dump-flows --no-stats xenbr2");
    assert_eq!(flows.matches("priority=0").count(), 4, "{flows}");
    assert!(
        flows.contains("in_port=LOCAL,dl_src=00:16:3e:00:00:a2 actions=output:"),
        "{flows}"
    );
    // They are there, and nothing is added.
    let added = |host: &Sandbox| host.calls().iter().any(|c| c.contains("add-flow"));
    host.calls();
    ok(&host, "--force xenbr2 up");
    assert!(!added(&host));
    // One is lost: an attempt that was cut off is made good.
    host.ofctl("del-flows xenbr2 in_port=local,arp");
    ok(&host, "--force xenbr2 up");
    let flows = host.ofctl("dump-flows --no-stats xenbr2");
    assert_eq!(flows.matches("priority=0").count(), 4, "{flows}");
    // A controller has said something: it is the one to say.
    host.ofctl("del-flows xenbr2");
    host.ofctl("add-flow xenbr2 priority=0,actions=normal");
    host.calls();
    ok(&host, "--force xenbr2 up");
    assert!(!added(&host));
    ok(&host, "--force xenbr3 up");
    assert!(
        !host.calls().iter().any(|c| c.starts_with("ovs-ofctl")),
        "not the management interface"
    );
}

#[test]
fn the_switch_is_configured_from_xapi_as_well() {
    let mut host = Sandbox::new("realxapi");
    host.start_ovs();
    host.start_xapi(&state());
    for uuid in [
        "10000000-0000-4000-8000-000000000005",
        "10000000-0000-4000-8000-000000000002",
    ] {
        ok(&host, &format!("--pif-uuid {uuid} up"));
    }
    assert_eq!(host.vsctl("list-br"), "xapi1\nxapi2\nxenbr2");
    assert_eq!(host.vsctl("br-to-vlan xapi2"), "4");
    host.vsctl("br-set-external-id xenbr2 xs-network-uuids stale");
    ok(&host, "rewrite");
    let uuids = host.vsctl("br-get-external-id xenbr2 xs-network-uuids");
    assert_eq!(uuids, "50000000-0000-4000-8000-000000000002");
    // xapi goes, the cache stays.
    host.stop_xapi();
    ok(&host, "--force xapi2 down");
    assert_eq!(host.vsctl("list-br"), "xenbr2");
}
