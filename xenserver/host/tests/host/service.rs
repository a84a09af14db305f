// SPDX-License-Identifier: GPL-2.0
//! openvswitch-service, the start helper of init script and unit, with programs that write down how they were called.

use crate::sandbox::{eventually, finish, ovs_tools, Output, Sandbox, HOST_UUID, PROGRAM};
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPTS: &str = "/usr/share/openvswitch/scripts";

fn host(name: &str) -> Sandbox {
    let host = Sandbox::new(name);
    let inventory = format!(
        "PRODUCT_BRAND='XenServer'\nPRODUCT_VERSION='6.5.0'\nBUILD_NUMBER='90233c'\nINSTALLATION_UUID='{HOST_UUID}'\n"
    );
    host.write("/etc/xensource-inventory", &inventory);
    host.stub(&format!("{SCRIPTS}/ovs-ctl"), "echo said");
    host.stub(&format!("{SCRIPTS}/ovs-xapi-sync"), "");
    host.stub("/bin/ovs-appctl", "");
    host.stub("/bin/firewall-cmd", "exit 1");
    host.stub("/bin/pidof", "exit 1");
    host.stub("/bin/modinfo", "uname -r");
    host
}

fn service(host: &Sandbox, args: &str) -> Output {
    finish(&mut command(host, args))
}

fn command(host: &Sandbox, args: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("files/openvswitch-service");
    let path = format!(
        "{}:{}",
        host.path("/bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new(script);
    command
        .arg(format!("--root-prefix={}", host.root.display()))
        .args(args.split_whitespace());
    command.env("PATH", path).stdin(Stdio::null());
    command
}

/// Calls of all but the firewall's question.
fn calls(host: &Sandbox) -> Vec<String> {
    host.calls()
        .into_iter()
        .filter(|c| {
            c != "firewall-cmd --state" && !c.starts_with("pidof") && !c.starts_with("modinfo")
        })
        .collect()
}

fn identity() -> String {
    format!(
        "--system-id={HOST_UUID} --external-id=xs-system-uuid={HOST_UUID} --system-type=XenServer \
         --system-version=6.5.0-90233c --daemon-cwd=/var/xen/openvswitch --ovsdb-server-priority=-10 \
         --ovs-vswitchd-priority=-10"
    )
}

const SYNC: &str = "ovs-xapi-sync --root-prefix= --log-file --pidfile --detach --monitor unix:/var/run/openvswitch/db.sock";

#[test]
fn bridges_are_deleted_at_the_first_start_after_a_boot_only() {
    let host = host("svc");
    assert_eq!(service(&host, "start").code, 0);
    let first = [
        format!("ovs-ctl {} --delete-bridges start", identity()),
        SYNC.to_string(),
        "ovs-ctl --protocol=gre enable-protocol".to_string(),
    ];
    assert_eq!(calls(&host), first);
    assert!(host.path("/var/lock/subsys/openvswitch").exists());
    assert_eq!(
        host.read("/var/log/openvswitch/ovs-ctl.log"),
        "said\nsaid\n"
    );
    assert_eq!(service(&host, "restart").code, 0);
    let again = calls(&host);
    assert_eq!(
        again[..2],
        [
            "ovs-ctl stop".to_string(),
            format!("ovs-ctl {} start", identity())
        ]
    );
}

#[test]
fn bridges_are_deleted_until_that_has_been_done() {
    let host = host("svcbooted");
    let booted = host.path("/var/run/openvswitch.booted");
    let ctl = format!("{SCRIPTS}/ovs-ctl");
    // It fails before the database is there, and after the bridges are gone.
    host.stub(&ctl, "exit 1");
    host.stub("/bin/ovs-vsctl", "exit 1");
    assert_eq!(service(&host, "start").code, 1);
    assert!(!booted.exists());
    host.stub("/bin/ovs-vsctl", "echo xenbr0");
    assert_eq!(service(&host, "start").code, 1);
    assert!(!booted.exists());
    host.stub("/bin/ovs-vsctl", "");
    assert_eq!(service(&host, "start").code, 1);
    assert!(booted.exists());
    let all = calls(&host);
    let starts: Vec<_> = all.iter().filter(|c| c.ends_with(" start")).collect();
    assert!(starts.len() == 3 && starts.iter().all(|c| c.contains("--delete-bridges")));
}

#[test]
fn a_restart_is_a_start_with_all_that_belongs_to_it() {
    let host = host("svcrestart");
    let gre = "ovs-ctl --protocol=gre enable-protocol".to_string();
    assert_eq!(service(&host, "restart --save-flows=yes").code, 0);
    let first = [
        format!("ovs-ctl {} --delete-bridges restart", identity()),
        SYNC.to_string(),
        gre.clone(),
    ];
    assert_eq!(calls(&host), first);
    assert!(host.path("/var/lock/subsys/openvswitch").exists());
    // What could not be stopped is no reason to leave the host without a switch.
    host.stub(
        &format!("{SCRIPTS}/ovs-ctl"),
        "case $* in *stop) exit 1;; esac",
    );
    let out = service(&host, "restart");
    assert_eq!(out.code, 0, "{}", out.stderr);
    let all = calls(&host);
    assert!(
        all.contains(&format!("ovs-ctl {} start", identity())),
        "{all:?}"
    );
}

#[test]
fn sysconfig_may_use_what_is_not_set() {
    let host = host("svcunset");
    host.write("/var/run/openvswitch.booted", "");
    let text = "OVS_CTL_OPTS=\"$OVS_CTL_OPTS --a\"\n";
    host.write("/etc/sysconfig/openvswitch", text);
    let out = service(&host, "start");
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert_eq!(calls(&host)[0], format!("ovs-ctl {} --a start", identity()));
}

#[test]
fn sysconfig_says_how() {
    let host = host("svcconf");
    host.write("/var/run/openvswitch.booted", "");
    host.write("/etc/sysconfig/openvswitch", "FORCE_COREFILES=no\nVSWITCHD_MLOCKALL=no\nVSWITCHD_PRIORITY=-5\nOVS_CTL_OPTS='--a=1 --b'\n");
    assert_eq!(service(&host, "start").code, 0);
    let want = identity().replace(
        "/openvswitch --ovsdb",
        "/openvswitch --no-force-corefiles --no-mlockall --ovsdb",
    );
    let want = want.replace("vswitchd-priority=-10", "vswitchd-priority=-5");
    assert_eq!(calls(&host)[0], format!("ovs-ctl {want} --a=1 --b start"));
}

#[test]
fn every_setting_of_the_template_has_its_text_and_is_known() {
    let template = include_str!("../../files/sysconfig.template");
    let script = include_str!("../../files/openvswitch-service");
    let plugin = include_str!("../../src/cfg_update.rs");
    let mut names = 0;
    for line in template.lines().filter_map(|l| l.strip_prefix("# ")) {
        if let Some((name, _)) = line.split_once('=') {
            if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                names += 1;
                assert!(
                    template.contains(&format!("\n# {name}: ")),
                    "{name} has no text"
                );
                assert!(
                    script.contains(name) || plugin.contains(name),
                    "{name} is not read"
                );
            }
        }
    }
    assert_eq!(names, 6);
}

#[test]
fn a_host_of_linux_bridges_is_left_alone() {
    let host = host("svcgate");
    for (mode, lines) in [("bridge", 0), ("what", 1)] {
        host.write("/etc/xensource/network.conf", mode);
        for verb in ["start", "status", "help", "force-reload-kmod"] {
            let out = service(&host, verb);
            assert_eq!(
                (out.code, out.stderr.lines().count()),
                (0, lines),
                "{mode} {verb}"
            );
        }
    }
    assert!(calls(&host).is_empty());
}

#[test]
fn a_failure_is_not_swallowed() {
    let host = host("svcfail");
    host.stub(&format!("{SCRIPTS}/ovs-ctl"), "exit 1");
    for verb in [
        "start",
        "stop",
        "restart",
        "restart --save-flows=yes",
        "status",
        "version",
        "force-reload-kmod",
        "enable-protocol gre",
    ] {
        assert_eq!(service(&host, verb).code, 1, "{verb}");
    }
    assert!(!host.path("/var/lock/subsys/openvswitch").exists());
    std::fs::remove_file(host.path(&format!("{SCRIPTS}/ovs-ctl"))).unwrap();
    let out = service(&host, "start");
    assert!(
        out.code == 1 && out.stderr.contains("is the package openvswitch installed?"),
        "{}",
        out.stderr
    );
}

#[test]
fn gre_passes_the_firewall_that_the_host_has() {
    let host = host("svcfire");
    host.write("/var/run/openvswitch.booted", "");
    host.stub("/bin/firewall-cmd", "case $* in *query*) exit 1;; esac");
    assert_eq!(service(&host, "start").code, 0);
    let all = calls(&host);
    // Now, and when firewalld reads its settings again.
    for how in ["", "--permanent "] {
        let add = format!("firewall-cmd {how}--add-protocol=gre");
        assert!(all.contains(&add), "{all:?}");
    }
    assert!(!all.iter().any(|c| c.contains("enable-protocol")));
    assert_eq!(service(&host, "enable-protocol udp 4789").code, 0);
    let all = calls(&host);
    for how in ["", "--permanent "] {
        let add = format!("firewall-cmd {how}--add-port=4789/udp");
        assert!(all.contains(&add), "{all:?}");
    }
    host.stub("/bin/firewall-cmd", "");
    assert_eq!(service(&host, "enable-protocol gre").code, 0);
    assert!(
        !calls(&host).iter().any(|c| c.contains("--add")),
        "it is there already"
    );
    host.stub("/bin/firewall-cmd", "exit 1");
    assert_eq!(service(&host, "enable-protocol udp 6081").code, 0);
    assert_eq!(
        calls(&host),
        ["ovs-ctl --protocol=udp --dport=6081 enable-protocol"]
    );
}

/// A host on which xHA runs.
fn host_with_xha(name: &str) -> Sandbox {
    let host = host(name);
    host.stub("/bin/pidof", "");
    host.write("/etc/xensource/xhad.conf", "");
    host.stub("/opt/xensource/xha/ha_stop_daemon", "");
    host.stub("/opt/xensource/xha/ha_start_daemon", "");
    host
}

#[test]
fn xha_is_stopped_while_the_module_is_replaced() {
    let host = host_with_xha("svcha");
    assert_eq!(service(&host, "force-reload-kmod").code, 0);
    let want = [
        "ha_stop_daemon".to_string(),
        format!("ovs-ctl {} force-reload-kmod", identity()),
        "ha_start_daemon".to_string(),
        SYNC.to_string(),
    ];
    assert_eq!(
        calls(&host).iter().map(|c| c.as_str()).collect::<Vec<_>>(),
        want
    );
}

#[test]
fn wrong_command_lines_are_told_in_one_line() {
    let host = host("svcusage");
    for (args, code) in [
        ("", 1),
        ("sideways", 1),
        ("start now", 2),
        ("restart --what", 2),
        ("enable-protocol", 2),
        ("enable-protocol gre;x", 2),
        ("enable-protocol udp x", 2),
        ("enable-protocol udp 65536", 2),
        ("enable-protocol udp 99999999999999999999", 2),
        ("enable-protocol udp 0", 2),
        ("enable-protocol gre 47", 2),
    ] {
        let out = service(&host, args);
        out.one_line(code, args);
    }
    assert!(calls(&host).is_empty());
    assert!(service(&host, "help")
        .stdout
        .starts_with("usage: openvswitch "));
}

#[test]
fn the_real_daemon_is_started_reported_flushed_and_stopped() {
    let mut host = host("svcsync");
    host.start_ovsdb();
    std::fs::remove_file(host.path(&format!("{SCRIPTS}/ovs-xapi-sync"))).unwrap();
    std::os::unix::fs::symlink(&*PROGRAM, host.path(&format!("{SCRIPTS}/ovs-xapi-sync"))).unwrap();
    let appctl = format!(
        "exec '{}/ovs-appctl' \"$@\"",
        std::env::var("OVS_TOOLS").unwrap()
    );
    host.stub("/bin/ovs-appctl", &appctl);
    assert_eq!(service(&host, "status").code, 1);
    assert_eq!(service(&host, "start").code, 0);
    let pidfile = "/var/run/openvswitch/ovs-xapi-sync.pid";
    let pid = host.read(pidfile);
    assert!(!pid.is_empty());
    let status = service(&host, "status");
    assert!(
        status.code == 0
            && status
                .stdout
                .contains(&format!("running with pid {}", pid.trim())),
        "{}",
        status.stdout
    );
    assert_eq!(service(&host, "start").code, 0);
    assert_eq!(host.read(pidfile), pid, "there is one");
    assert_eq!(service(&host, "force-reload").code, 0);
    assert_eq!(service(&host, "stop").code, 0);
    eventually("it is gone", || !host.path(pidfile).exists());
    assert_eq!(service(&host, "reload").code, 0);
}

/// The real ovs-ctl, with the sandbox's directories, and no kernel module.
fn with_ovs_ctl(name: &str) -> Sandbox {
    let host = host(name);
    let share = ovs_tools().join("../root/usr/share/openvswitch");
    let read = |file: &str| std::fs::read_to_string(share.join(file)).unwrap();
    for script in ["ovs-ctl", "ovs-save"] {
        host.script(
            &format!("{SCRIPTS}/{script}"),
            &read(&format!("scripts/{script}")),
        );
    }
    // The programs are started by a C library's loader, whose name they have.
    let lib = read("scripts/ovs-lib") + "\npid_comm_check () { :; }\n";
    host.write(&format!("{SCRIPTS}/ovs-lib"), &lib);
    host.stub(&format!("{SCRIPTS}/ovs-kmod-ctl"), "");
    host.write(
        "/usr/share/openvswitch/vswitch.ovsschema",
        &read("vswitch.ovsschema"),
    );
    let options =
        "OVS_CTL_OPTS='--ovs-vswitchd-options=--enable-dummy=override --no-record-hostname'\n";
    host.write(
        "/etc/sysconfig/openvswitch",
        &format!("VSWITCHD_MLOCKALL=no\nFORCE_COREFILES=no\n{options}"),
    );
    host.stub("/bin/firewall-cmd", "");
    host
}

fn real(host: &Sandbox, args: &str) -> Output {
    let mut command = command(host, args);
    let run = host.path("/var/run/openvswitch");
    command
        .env("OVS_RUNDIR", &run)
        .env("OVS_LOGDIR", &run)
        .env("OVS_DBDIR", &host.root);
    command.env("OVS_PKGDATADIR", host.path("/usr/share/openvswitch"));
    command.env("OVS_SYSCONFDIR", host.path("/etc"));
    finish(
        command
            .env("OVS_BINDIR", ovs_tools())
            .env("OVS_SBINDIR", ovs_tools()),
    )
}

#[test]
fn a_controller_does_not_survive_a_boot_and_a_manager_does() {
    let mut host = with_ovs_ctl("svcboot");
    host.start_ovsdb();
    host.vsctl("--no-wait add-br xenbr0 -- set-controller xenbr0 tcp:192.0.2.1:6653 -- set-manager ssl:192.0.2.1:6640");
    host.stop_daemons();
    std::fs::remove_file(host.path("/var/run/openvswitch/db.sock")).unwrap();

    let out = real(&host, "start");
    assert_eq!(out.code, 0, "{}{}", out.stdout, out.stderr);
    assert_eq!(
        host.vsctl("list-br") + &host.vsctl("--columns=target list Controller"),
        ""
    );
    assert_eq!(host.vsctl("get-manager"), "ssl:192.0.2.1:6640");
    let id =
        host.vsctl("get Open_vSwitch . external_ids:xs-system-uuid system_type system_version");
    assert_eq!(
        id.replace('"', ""),
        format!("{HOST_UUID}\nXenServer\n6.5.0-90233c")
    );

    // A restart is no boot.
    host.vsctl("add-br xenbr1");
    let out = real(&host, "restart");
    assert_eq!(out.code, 0, "{}{}", out.stdout, out.stderr);
    assert_eq!(host.vsctl("list-br"), "xenbr1");
    assert_eq!(real(&host, "stop").code, 0);
    assert!(!host.path("/var/run/openvswitch/ovs-vswitchd.pid").exists());
}

/// The names that a unit has in lines of that kind.
fn ordered(kind: &str) -> Vec<&'static str> {
    let unit = include_str!("../../files/systemd/openvswitch.service");
    let lines = unit.lines().filter_map(|l| l.strip_prefix(kind));
    lines.flat_map(str::split_whitespace).collect()
}

#[test]
fn the_unit_comes_after_firewalls_and_before_whoever_makes_bridges() {
    // Both put in force what they have on disk, and are before network-pre.target: a rule of before would be gone.
    for unit in [
        "firewalld.service",
        "iptables.service",
        "network-pre.target",
        "interface-rename.service",
    ] {
        assert!(ordered("After=").contains(&unit), "after {unit}");
    }
    // xcp-networkd is ordered after no network of anybody's; bridges that it made would be deleted.
    for unit in ["xcp-networkd.service", "xapi.service", "network.target"] {
        assert!(ordered("Before=").contains(&unit), "before {unit}");
    }
}

#[test]
fn network_conf_may_have_blanks_around_its_word() {
    let host = host("svcconfblank");
    for text in ["openvswitch \n", "vswitch\r\n", "\n\topenvswitch"] {
        host.write("/etc/xensource/network.conf", text);
        let out = service(&host, "start");
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{text:?}");
        assert!(!calls(&host).is_empty(), "{text:?}");
    }
    host.write("/etc/xensource/network.conf", "bridge \n");
    assert_eq!(service(&host, "start").stderr, "");
    assert!(calls(&host).is_empty());
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let host = host("svclog");
    host.write("/var/log/openvswitch/ovs-ctl.log/full", "");
    let out = service(&host, "start");
    assert_eq!(out.code, 0, "{}", out.stderr);
    assert!(calls(&host).iter().any(|c| c.starts_with("ovs-xapi-sync ")));
    assert!(host.path("/var/lock/subsys/openvswitch").exists());
}

#[test]
fn what_nobody_listens_to_any_more_is_done_to_its_end() {
    let host = host("svcpipe");
    let done = host.path("/done");
    let slow = format!(
        "echo one; sleep 1; echo two; echo three; : > '{}'",
        done.display()
    );
    host.stub(&format!("{SCRIPTS}/ovs-ctl"), &slow);
    let mut child = command(&host, "force-reload-kmod")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(done.exists());
}

#[test]
fn the_module_is_replaced_to_the_end_when_the_terminal_goes() {
    use std::os::unix::process::CommandExt;
    let host = host_with_xha("svchup");
    host.stub(&format!("{SCRIPTS}/ovs-ctl"), "sleep 2");
    let mut child = command(&host, "force-reload-kmod")
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the module is being replaced", || {
        host.read("/calls").contains("force-reload-kmod")
    });
    for name in ["HUP", "INT"] {
        let group = child.id().to_string();
        let kill = finish(Command::new("sh").args(["-c", "kill -s $0 -- -$1", name, &group]));
        assert_eq!(kill.code, 0, "{}", kill.stderr);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let all = calls(&host);
    assert!(all.contains(&"ha_start_daemon".to_string()), "{all:?}");
}

#[test]
fn a_module_that_this_kernel_does_not_take_is_not_tried() {
    let host = host("svcvermagic");
    let modinfo = |text: &str| host.stub("/bin/modinfo", text);
    let refused = |what: &str| {
        let out = service(&host, "force-reload-kmod");
        out.one_line(1, what);
        assert!(out.stderr.contains("nothing is done"), "{}", out.stderr);
        assert!(!calls(&host).iter().any(|c| c.starts_with("ovs-ctl")));
    };
    modinfo("echo 'modinfo: ERROR: Module openvswitch not found.' >&2; exit 1");
    refused("no module");
    modinfo("echo '1.2.3-other SMP mod_unload '");
    refused("another kernel's module");
    // Of those with checksums the kernel does not look at the release.
    for text in [
        "$(uname -r) SMP mod_unload",
        "1.2.3-other SMP mod_unload modversions",
    ] {
        modinfo(&format!("echo \"{text} \""));
        assert_eq!(service(&host, "force-reload-kmod").code, 0, "{text}");
        assert!(calls(&host).iter().any(|c| c.starts_with("ovs-ctl")));
    }
}
