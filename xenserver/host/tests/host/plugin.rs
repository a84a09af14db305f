// SPDX-License-Identifier: GPL-2.0
//! The XAPI plugin as xapi runs it, with a real database behind ovs-vsctl.

use crate::sandbox::{finish, state, Sandbox};
use ovs_xenserver::xmlrpc::{self, Value};
use serde_json::{json, Value as Json};

const TOOL: &str = "openvswitch-cfg-update";

/// Calls a function of the plugin: its value, or xapi's error.
fn call(host: &Sandbox, function: &str) -> Result<String, Vec<String>> {
    let args = [
        Value::from("OpaqueRef:given"),
        Value::Struct(Default::default()),
    ];
    let out = finish(host.command(TOOL, "").arg(xmlrpc::call(function, &args)));
    assert_eq!(out.code, 0, "{}", out.stderr);
    let answer = xmlrpc::parse_response(&out.stdout).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_string();
    match answer.get("Status").and_then(Value::as_str) {
        Some("Success") => Ok(text(answer.get("Value").unwrap())),
        Some("Failure") => Err(answer
            .get("ErrorDescription")
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect()),
        _ => panic!("{}", out.stdout),
    }
}

fn with(controller: &str, pool: Json) -> Json {
    let mut xapi = state();
    xapi["pool"]["OpaqueRef:pool"]["vswitch_controller"] = json!(controller);
    xapi["pool"]["OpaqueRef:pool"]["other_config"] = pool;
    xapi
}

fn start(name: &str) -> Sandbox {
    let mut host = Sandbox::new(name);
    host.start_ovs();
    host.start_xapi(&with("", json!({})));
    host.vsctl("add-br xenbr2 -- add-port xenbr2 eth2 -- set Bridge xenbr2 other-config:hwaddr=\"00:16:3e:00:00:a2\" fail_mode=standalone");
    host.vsctl(
        "add-br unknown -- set Bridge unknown fail_mode=secure other-config:disable-in-band=true",
    );
    host
}

const NOTHING: &str = "No change to configuration";

#[test]
fn a_controller_comes_stays_changes_and_goes() {
    let host = start("plugin");
    let pem = host.path("/etc/xensource/xapi-ssl.pem");
    let cacert = host.path("/etc/openvswitch/vswitchd.cacert");
    host.write("/etc/openvswitch/vswitchd.cacert", "an old one");
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
    assert!(cacert.exists());

    host.set_xapi(&with("192.0.2.1", json!({})));
    let set = call(&host, "update").unwrap();
    assert_eq!(
        set,
        "Successfully set controller to 192.0.2.1. Updated fail_mode."
    );
    assert_eq!(host.vsctl("get-manager"), "ssl:192.0.2.1:6640");
    let ssl = host.vsctl("get-ssl");
    assert!(
        ssl.contains(&format!("Private key: {}", pem.display())) && ssl.contains("Bootstrap: true"),
        "{ssl}"
    );
    assert!(
        !cacert.exists(),
        "the old controller's authority is not the new one's"
    );

    // Nothing is reset again: what a manager configured since stays. A plugin that compares the first character of its
    // manager only resets the switch at this point.
    host.vsctl("set-controller xenbr2 tcp:192.0.2.1:6653");
    host.write("/etc/openvswitch/vswitchd.cacert", "learned");
    host.calls();
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
    assert_eq!(host.vsctl("get-controller xenbr2"), "tcp:192.0.2.1:6653");
    assert!(cacert.exists());
    let calls = host.calls();
    assert!(
        !calls
            .iter()
            .any(|c| c.contains("emer-reset") || c.contains("set-manager")),
        "{calls:?}"
    );
    assert!(calls
        .iter()
        .all(|c| !c.starts_with("ovs-vsctl") || c.starts_with("ovs-vsctl --timeout=")));

    host.set_xapi(&with("192.0.2.2", json!({})));
    call(&host, "update").unwrap();
    assert_eq!(host.vsctl("get-manager"), "ssl:192.0.2.2:6640");
    assert_eq!(host.vsctl("get-controller xenbr2"), "");

    host.set_xapi(&with("", json!({})));
    let gone = call(&host, "update").unwrap();
    assert_eq!(
        gone,
        "Successfully removed controller config. Updated fail_mode."
    );
    assert_eq!(host.vsctl("get-manager"), "");
    assert!(!host.vsctl("get-ssl").contains("Private key"));
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
}

#[test]
fn bridges_follow_the_pool_and_strange_ones_are_left_alone() {
    let host = start("bridges");
    let mut xapi = with("", json!({"vswitch-controller-fail-mode": "secure"}));
    xapi["network"]["OpaqueRef:net-xenbr2"]["other_config"] =
        json!({"vswitch-disable-in-band": "true"});
    host.set_xapi(&xapi);
    assert_eq!(
        call(&host, "update").unwrap(),
        "Updated in-band management. Updated fail_mode."
    );
    assert_eq!(
        host.vsctl("get Bridge xenbr2 fail_mode other_config:disable-in-band"),
        "secure\n\"true\""
    );
    // ovs-vswitchd emptied the table when the bridge became secure, controller or not.
    assert_eq!(flows_of(&host).matches("priority=0").count(), 4);
    host.calls();
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
    assert!(!host.calls().iter().any(|c| c.contains("add-flow")));
    xapi["network"]["OpaqueRef:net-xenbr2"]["other_config"] =
        json!({"vswitch-controller-fail-mode": "standalone"});
    host.set_xapi(&xapi);
    assert_eq!(
        call(&host, "update").unwrap(),
        "Updated in-band management. Updated fail_mode."
    );
    assert_eq!(
        host.vsctl("--if-exists get Bridge xenbr2 fail_mode other_config:disable-in-band"),
        "standalone"
    );
    assert_eq!(
        host.vsctl("get Bridge unknown fail_mode other_config:disable-in-band"),
        "secure\n\"true\""
    );
}

fn flows_of(host: &Sandbox) -> String {
    host.ofctl("dump-flows --no-stats xenbr2")
}

#[test]
fn a_new_controller_of_a_secure_pool_does_not_lock_the_host_out() {
    let host = start("lockout");
    let secure = json!({"vswitch-controller-fail-mode": "secure"});
    host.set_xapi(&with("192.0.2.1", secure));
    // On a member of the pool, xapi has no answer any more once its bridge is secure.
    let (real, xapi) = (
        host.read("/usr/bin/ovs-vsctl"),
        host.path("/var/lib/xcp/xapi"),
    );
    let lose = format!(
        "case $* in *fail_mode=secure*) rm -f '{}';; esac",
        xapi.display()
    );
    let script = real.replace("#!/bin/sh\n", "");
    host.script("/usr/bin/ovs-vsctl", &format!("{lose}\n{script}"));
    call(&host, "update").unwrap();
    assert_eq!(host.vsctl("get-fail-mode xenbr2"), "secure");
    assert!(!xapi.exists());
    let flows = flows_of(&host);
    assert!(
        flows.contains("in_port=LOCAL,dl_src=00:16:3e:00:00:a2 actions=output:"),
        "{flows}"
    );
}

#[test]
fn flows_that_could_not_be_added_are_added_by_the_next_update() {
    let host = start("lockout2");
    let secure = json!({"vswitch-controller-fail-mode": "secure"});
    host.set_xapi(&with("192.0.2.1", secure));
    let real = host.read("/usr/bin/ovs-ofctl").replace("#!/bin/sh\n", "");
    let refuse = "case $* in *add-flow*dl_dst*) exit 7;; esac";
    host.script("/usr/bin/ovs-ofctl", &format!("{refuse}\n{real}"));
    let error = call(&host, "update").unwrap_err();
    assert_eq!(error[..3], ["VSWITCH_ADD_FLOW_FAILURE", "7", "xenbr2"]);
    assert_eq!(flows_of(&host).matches("priority=0").count(), 1);
    host.script("/usr/bin/ovs-ofctl", &real);
    call(&host, "update").unwrap();
    assert_eq!(flows_of(&host).matches("priority=0").count(), 4);
    // What a controller has put there is its own affair.
    host.ofctl("del-flows xenbr2");
    host.ofctl("add-flow xenbr2 priority=0,actions=controller");
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
    assert_eq!(flows_of(&host).matches("priority=0").count(), 1);
}

#[test]
fn a_switch_that_does_not_act_is_no_failure_of_what_the_database_has() {
    let mut host = Sandbox::new("norun");
    host.start_ovsdb();
    host.start_xapi(&with("192.0.2.1", json!({})));
    let set = call(&host, "update").unwrap();
    assert!(
        set.starts_with("Successfully set controller to 192.0.2.1. Note: ")
            && set.contains("ovs-vswitchd has not acted on it yet"),
        "{set}"
    );
    assert_eq!(host.vsctl("--no-wait get-manager"), "ssl:192.0.2.1:6640");
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
}

#[test]
fn the_port_of_the_manager_is_sysconfigs() {
    let host = start("port");
    host.write(
        "/etc/sysconfig/openvswitch",
        "# MANAGER_PORT=1\nMANAGER_PORT=6632\n",
    );
    host.set_xapi(&with("192.0.2.1", json!({})));
    call(&host, "update").unwrap();
    assert_eq!(host.vsctl("get-manager"), "ssl:192.0.2.1:6632");
}

#[test]
fn a_key_that_cannot_be_read_is_told_of() {
    let host = start("key");
    std::fs::remove_file(host.path("/etc/xensource/xapi-ssl.pem")).unwrap();
    host.set_xapi(&with("192.0.2.1", json!({})));
    let set = call(&host, "update").unwrap();
    assert!(
        set.starts_with("Successfully set controller to 192.0.2.1. ")
            && set.contains("Note: cannot read ")
            && set.contains("/etc/xensource/xapi-ssl.pem"),
        "{set}"
    );
    // The manager is set: it is reached as soon as xapi has made the key.
    assert_eq!(host.vsctl("get-manager"), "ssl:192.0.2.1:6640");
}

#[test]
fn emergency_reset_only_resets() {
    let host = start("reset");
    host.vsctl("set-manager ssl:192.0.2.1:6640 -- set-controller xenbr2 tcp:192.0.2.1:6653");
    assert_eq!(
        call(&host, "emergency_reset").unwrap(),
        "Successfully reset configuration"
    );
    assert_eq!(
        host.vsctl("get-manager") + &host.vsctl("get-controller xenbr2"),
        ""
    );
    assert_eq!(host.vsctl("list-ports xenbr2"), "eth2");
    assert!(host.xapi_calls().is_empty());
}

#[test]
fn a_modern_hosts_own_managers_are_left_alone() {
    let host = start("modern");
    host.vsctl("set-manager pssl:6640");
    host.write("/etc/xapi.d/plugins/openvswitch-config-update", "");
    let before = host.snapshot();
    host.calls();
    assert!(call(&host, "update").unwrap().starts_with(NOTHING));
    assert_eq!(host.vsctl("get-manager"), "pssl:6640");
    assert!(host.calls().is_empty() && host.snapshot() == before);
}

#[test]
fn errors_are_xapis() {
    let mut host = Sandbox::new("errors");
    host.start_xapi(&state());
    let code = |host: &Sandbox, function: &str| call(host, function).unwrap_err();
    let mut xapi = state();
    xapi["pool"] = json!({});
    host.set_xapi(&xapi);
    assert_eq!(code(&host, "update"), ["NO_POOL_FOR_HOST"]);
    xapi["pool"] = json!({"a": {"other_config": {}}, "b": {"other_config": {}}});
    host.set_xapi(&xapi);
    assert_eq!(code(&host, "update"), ["MORE_THAN_ONE_POOL_FOR_HOST"]);
    host.set_xapi(&with("not an address", json!({})));
    let error = code(&host, "update");
    assert!(
        error[..2] == ["XENAPI_PLUGIN_FAILURE", "update"] && error[3].contains("no IP address"),
        "{error:?}"
    );
    assert_eq!(
        code(&host, "reboot"),
        ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "reboot"]
    );
    xapi["sessions"] = json!(false);
    host.set_xapi(&xapi);
    assert_eq!(
        code(&host, "update"),
        ["SESSION_INVALID", "OpaqueRef:given"]
    );

    host.set_xapi(&with("192.0.2.1", json!({})));
    let modify =
        "case \"$*\" in *set-manager*) echo no >&2; exit 4;; *json*) echo '{\"data\":[]}';; esac";
    host.stub("/usr/bin/ovs-vsctl", modify);
    let error = code(&host, "update");
    assert_eq!(error[..2], ["VSWITCH_CONFIG_MOD_FAILURE", "4"]);
    assert!(
        error[2].contains("set-manager ssl:192.0.2.1:6640"),
        "{error:?}"
    );
    host.stub("/usr/bin/ovs-vsctl", "exit 5");
    let error = code(&host, "emergency_reset");
    assert_eq!(error[..2], ["VSWITCH_EMER_RESET_FAILURE", "5"]);
}

#[test]
fn a_database_that_hangs_does_not_hang_xapi() {
    let mut host = Sandbox::new("hang");
    host.start_xapi(&state());
    host.stub("/usr/bin/ovs-vsctl", "exec sleep 100");
    let start = std::time::Instant::now();
    let error = call(&host, "update").unwrap_err();
    assert_eq!(error[0], "VSWITCH_CONFIG_MOD_FAILURE");
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn the_hosts_own_interface_reconfigure_writes_the_cache_and_may_fail() {
    let mut host = Sandbox::new("hostscript");
    host.start_xapi(&state());
    host.stub(
        "/usr/bin/ovs-vsctl",
        "case \"$*\" in *json*) echo '{\"data\":[]}';; esac",
    );
    host.stub("/opt/xensource/libexec/interface-reconfigure", "exit 1");
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
    assert_eq!(host.calls()[0], "interface-reconfigure rewrite");
    assert!(!host.path("/var/xapi/network.dbcache").exists());
    std::fs::remove_file(host.path("/opt/xensource/libexec/interface-reconfigure")).unwrap();
    assert_eq!(call(&host, "update").unwrap(), NOTHING);
    assert!(host.path("/var/xapi/network.dbcache").exists());
}

/// What Python's xmlrpc.client, which xapi's own plugins use, makes of such a call.
const PYTHONS: &str = "<?xml version='1.0'?>\n<methodCall>\n<methodName>emergency_reset</methodName>\n<params>\n<param>\n\
    <value><string>OpaqueRef:given</string></value>\n</param>\n<param>\n<value><struct>\n</struct></value>\n</param>\n\
    </params>\n</methodCall>\n";

#[test]
fn the_call_may_come_on_standard_input() {
    let host = Sandbox::new("stdin");
    host.write("/call", PYTHONS);
    let input = std::fs::File::open(host.path("/call")).unwrap();
    let out = finish(host.command(TOOL, "-").stdin(input));
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(
        out.stdout.contains("Successfully reset configuration"),
        "{}",
        out.stdout
    );
}

#[test]
fn what_is_no_call_is_told_in_one_line() {
    let host = Sandbox::new("nocall");
    for args in ["update", "<a/>", "--what", "a b"] {
        let out = host.run(TOOL, args);
        out.one_line(2, args);
        assert!(out.stdout.is_empty());
    }
    assert!(host.calls().is_empty());
}

#[test]
fn xapis_own_xml_rpc_reads_the_answer() {
    let host = Sandbox::new("python");
    host.stub("/usr/bin/ovs-vsctl", "echo 'no <such> & thing' >&2; exit 1");
    let out = finish(host.command(TOOL, "").arg(PYTHONS));
    host.write("/answer", &out.stdout);
    let script =
        "import sys, xmlrpc.client as x; print(x.loads(open(sys.argv[1], 'rb').read())[0][0])";
    let python = std::process::Command::new("python3")
        .arg("-c")
        .arg(script)
        .arg(host.path("/answer"))
        .output();
    let read = String::from_utf8(python.unwrap().stdout).unwrap();
    let want = "{'ErrorDescription': ['VSWITCH_EMER_RESET_FAILURE', '1', \
        '--timeout=5 -vconsole:off -- emer-reset'], 'Status': 'Failure'}\n";
    assert_eq!(read, want);
}
