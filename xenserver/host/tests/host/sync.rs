// SPDX-License-Identifier: GPL-2.0
//! ovs-xapi-sync as a daemon: names appear, xapi and the database come and go, commands are taken.

use crate::sandbox::{eventually, listens, signal, state, Sandbox};
use serde_json::json;
use std::process::{Child, Stdio};

const TOOL: &str = "ovs-xapi-sync";
const VIF: &str = "70000000-0000-4000-8000-000000000001";
const VM: &str = "80000000-0000-4000-8000-000000000001";

/// A daemon that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Daemon<'a> {
    host: &'a Sandbox,
    child: Child,
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'a> Daemon<'a> {
    fn start(host: &'a Sandbox) -> Self {
        let log = std::fs::File::create(host.path("/sync.log")).unwrap();
        let ctl = host.path("/sync.ctl").display().to_string();
        let mut command = host.command(
            TOOL,
            &format!("-vconsole:off -vANY:file:info --unixctl {ctl}"),
        );
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        eventually("it takes commands", || listens(&host.path("/sync.ctl")));
        Daemon { host, child }
    }

    fn appctl(&self, command: &str) -> crate::sandbox::Output {
        let ctl = self.host.path("/sync.ctl").display().to_string();
        self.host.appctl(&format!("-t {ctl} {command}"))
    }
}

fn id(host: &Sandbox, table: &str, name: &str, key: &str) -> String {
    host.vsctl(&format!(
        "--if-exists get {table} {name} external_ids:{key}"
    ))
    .replace('"', "")
}

fn with_guest(name: &str) -> Sandbox {
    let mut host = Sandbox::new(name);
    host.start_ovsdb();
    host.start_xapi(&state());
    host.vsctl("--no-wait add-br xenbr2 -- br-set-external-id xenbr2 xs-network-uuids 50000000-0000-4000-8000-000000000002");
    host.vsctl(&format!(
        "--no-wait add-port xenbr2 vif1.0 -- set Interface vif1.0 external-ids:xs-vif-uuid={VIF} \
         external-ids:xs-vm-uuid={VM} external-ids:attached-mac=\"00:16:3e:00:00:b1\""
    ));
    host
}

#[test]
fn names_appear_once_xapi_is_up_and_follow_what_changes() {
    let host = with_guest("sync");
    let daemon = Daemon::start(&host);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(
        id(&host, "Interface", "vif1.0", "iface-id"),
        "",
        "the cookie is not there yet"
    );
    host.write("/var/run/xapi_init_complete.cookie", "");
    eventually("iface-id", || {
        id(&host, "Interface", "vif1.0", "iface-id") == VIF
    });
    assert_eq!(id(&host, "Interface", "vif1.0", "vm-id"), VM);
    assert_eq!(id(&host, "Interface", "vif1.0", "iface-status"), "active");
    assert_eq!(
        id(&host, "Bridge", "xenbr2", "bridge-id"),
        "50000000-0000-4000-8000-000000000002"
    );
    assert_eq!(host.vsctl("get Bridge xenbr2 fail_mode"), "standalone");

    // Others' keys are not touched, an emulated device is one with its vif.
    host.vsctl("--no-wait set Interface vif1.0 external-ids:other=kept");
    host.vsctl("--no-wait add-port xenbr2 tap1.0");
    eventually("the tap is active", || {
        id(&host, "Interface", "tap1.0", "iface-status") == "active"
    });
    assert_eq!(id(&host, "Interface", "tap1.0", "iface-id"), VIF);
    assert_eq!(
        id(&host, "Interface", "tap1.0", "attached-mac"),
        "00:16:3e:00:00:b1"
    );
    assert_eq!(id(&host, "Interface", "vif1.0", "iface-status"), "inactive");
    assert_eq!(id(&host, "Interface", "vif1.0", "other"), "kept");

    // What xapi says is kept until it is flushed.
    let mut xapi = state();
    xapi["VIF"]["OpaqueRef:vif"] =
        json!({"uuid": VIF, "other_config": {"nicira-iface-id": "chosen"}});
    host.set_xapi(&xapi);
    host.vsctl("--no-wait del-port tap1.0");
    eventually("the vif is active again", || {
        id(&host, "Interface", "vif1.0", "iface-status") == "active"
    });
    assert_eq!(id(&host, "Interface", "vif1.0", "iface-id"), VIF);
    assert_eq!(daemon.appctl("flush-cache").code, 0);
    eventually("the new iface-id", || {
        id(&host, "Interface", "vif1.0", "iface-id") == "chosen"
    });
}

#[test]
fn xapi_and_the_database_may_come_and_go() {
    let mut host = with_guest("syncdown");
    host.stop_xapi();
    host.write("/var/run/xapi_init_complete.cookie", "");
    let log = std::fs::File::create(host.path("/sync.log")).unwrap();
    let mut child = host
        .command(TOOL, "")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    eventually("it says that xapi is down", || {
        host.read("/sync.log").contains("is it running?")
    });
    host.start_xapi(&state());
    eventually("iface-id", || {
        id(&host, "Interface", "vif1.0", "iface-id") == VIF
    });
    host.stop_daemons();
    eventually("it says that the database is gone", || {
        host.read("/sync.log").contains("cannot reach the database")
    });
    std::fs::remove_file(host.path("/var/run/openvswitch/db.sock")).unwrap();
    host.start_ovsdb();
    host.vsctl("--no-wait remove Interface vif1.0 external_ids iface-id");
    eventually("iface-id again", || {
        id(&host, "Interface", "vif1.0", "iface-id") == VIF
    });
    // A session that ended is made anew.
    let mut xapi = state();
    xapi["sessions"] = json!(false);
    host.set_xapi(&xapi);
    host.vsctl("--no-wait add-br xenbr3");
    eventually("it says that the session is gone", || {
        host.read("/sync.log").contains("SESSION_INVALID")
    });
    host.set_xapi(&state());
    eventually("fail mode", || {
        host.vsctl("get Bridge xenbr3 fail_mode") == "standalone"
    });
    assert!(child.try_wait().unwrap().is_none(), "it never gives up");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_xapi_cannot_answer_holds_up_nothing_else() {
    let mut host = with_guest("syncrefuse");
    let mut xapi = state();
    xapi["refuse"] = json!(["VIF.get_by_uuid"]);
    let network = &mut xapi["network"]["OpaqueRef:net-xenbr2"];
    network["other_config"] = json!({"vswitch-controller-fail-mode": "secure"});
    host.set_xapi(&xapi);
    host.vsctl("--no-wait add-port xenbr2 vif2.0");
    host.write("/var/run/xapi_init_complete.cookie", "");
    let log = std::fs::File::create(host.path("/sync.log")).unwrap();
    let mut command = host.command(TOOL, "");
    let command = command.stdout(Stdio::null()).stderr(log);
    let _running = Running(command.spawn().unwrap());
    eventually("the bridge and the other interface", || {
        host.vsctl("get Bridge xenbr2 fail_mode") == "secure"
            && id(&host, "Interface", "vif2.0", "iface-status") == "active"
    });
    assert_eq!(id(&host, "Interface", "vif1.0", "iface-id"), "");
    // It is once for each bridge: what was set by hand since stays.
    host.vsctl("--no-wait set Bridge xenbr2 fail_mode=standalone");
    xapi["refuse"] = json!([]);
    host.set_xapi(&xapi);
    eventually("iface-id", || {
        id(&host, "Interface", "vif1.0", "iface-id") == VIF
    });
    assert_eq!(host.vsctl("get Bridge xenbr2 fail_mode"), "standalone");
    // A database that comes back is looked at anew.
    host.stop_daemons();
    std::fs::remove_file(host.path("/var/run/openvswitch/db.sock")).unwrap();
    host.start_ovsdb();
    eventually("the fail mode again", || {
        host.vsctl("get Bridge xenbr2 fail_mode") == "secure"
    });
}

#[test]
fn a_database_that_hangs_up_is_not_called_again_at_once() {
    let host = Sandbox::new("synchangup");
    host.write("/var/run/xapi_init_complete.cookie", "");
    let socket = host.path("/var/run/openvswitch/db.sock");
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    let daemon = Daemon::start(&host);
    listener.set_nonblocking(true).unwrap();
    let mut calls = 0;
    for _ in 0..30 {
        calls += usize::from(listener.accept().is_ok());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!((1..6).contains(&calls), "{calls} times in 3 seconds");
    drop(daemon);
}

#[test]
fn commands() {
    let host = with_guest("syncctl");
    let mut daemon = Daemon::start(&host);
    assert!(daemon
        .appctl("list-commands")
        .stdout
        .contains("flush-cache"));
    assert!(daemon.appctl("version").stdout.starts_with("ovs-xapi-sync"));
    assert!(daemon
        .appctl("vlog/reopen")
        .stderr
        .contains("not configured"));
    let out = daemon.appctl("what");
    assert!(
        out.code != 0 && out.stderr.contains("not a valid command"),
        "{}",
        out.stderr
    );
    assert_eq!(daemon.appctl("exit").code, 0);
    assert!(daemon.child.wait().unwrap().success());
    assert!(!host.path("/sync.ctl").exists());
}

#[test]
fn a_detached_daemon_is_watched_and_there_is_one() {
    let host = with_guest("syncdetach");
    let args = "--detach --monitor --pidfile --log-file=LOG"
        .replace("LOG", &host.path("/sync.log").display().to_string());
    let out = host.run(TOOL, &args);
    assert_eq!((out.code, out.stdout.as_str()), (0, ""), "{}", out.stderr);
    let pidfile = "/var/run/openvswitch/ovs-xapi-sync.pid";
    let pid = || host.read(pidfile).trim().to_string();
    let first = pid();
    let target = format!(
        "-t {}",
        host.path(&format!("/var/run/openvswitch/ovs-xapi-sync.{first}.ctl"))
            .display()
    );
    assert_eq!(host.appctl(&format!("{target} version")).code, 0);
    assert_eq!(host.appctl(&format!("{target} vlog/reopen")).code, 0);

    // A second one is refused, in one line, and the first goes on.
    let out = host.run(TOOL, "--detach --pidfile");
    out.one_line(1, "a second one");
    assert!(out.stderr.contains("runs already"), "{}", out.stderr);
    assert_eq!(pid(), first);

    // One that dies is started again.
    signal("ABRT", &first);
    eventually("a new one", || {
        !pid().is_empty()
            && pid() != first
            && host.read("/sync.log").matches("started").count() == 2
    });
    let target = format!(
        "-t {}",
        host.path(&format!("/var/run/openvswitch/ovs-xapi-sync.{}.ctl", pid()))
            .display()
    );
    assert_eq!(host.appctl(&format!("{target} exit")).code, 0);
    eventually("it is gone", || !host.path(pidfile).exists());
}

#[test]
fn wrong_command_lines() {
    let host = Sandbox::new("syncusage");
    for args in ["tcp:1.2.3.4", "unix:", "--what", "a b", "-v", "-vfile:loud"] {
        let out = host.run(TOOL, args);
        out.one_line(2, args);
    }
    let out = host.run(TOOL, "--unixctl /nowhere/at/all.ctl");
    assert_eq!(
        (out.code, out.stderr.contains("cannot listen")),
        (1, true),
        "{}",
        out.stderr
    );
    for how in [
        "--detach",
        "--monitor",
        "--detach --monitor",
        "--log-file=/nowhere/at/all.log",
    ] {
        let out = host.run(TOOL, &format!("{how} --pidfile=/nowhere/at/all.pid"));
        out.one_line(1, how);
        assert!(out.stderr.contains("cannot write"), "{}", out.stderr);
    }
}
