// SPDX-License-Identifier: GPL-2.0
//! The small tools, man pages and completion, and the program's names.

use crate::sandbox::{finish, Sandbox, HOST_UUID, PROGRAM};
use std::process::Command;

// ---- vif -------------------------------------------------------------------------------------------------------

/// A xenstore that is a directory.
fn with_xenstore(name: &str) -> Sandbox {
    let host = Sandbox::new(name);
    let store = host.path("/xenstore").display().to_string();
    host.script(
        "/usr/bin/xenstore-read",
        &format!("exec cat '{store}'\"$1\""),
    );
    host.stub("/usr/bin/xenstore-write", "");
    host.stub("/usr/bin/xenstore-rm", "");
    for (key, value) in [
        ("/xapi/5/private/vif/2/bridge", "xenbr0"),
        ("/xapi/5/private/vif/2/MTU", "1400"),
        ("/xapi/5/private/vif/2/vif-uuid", "the-vif"),
        ("/xapi/5/private/vif/2/network-uuid", "the-network"),
        ("/xapi/5/private/vif/2/other-config/ethtool-tx", "off"),
        ("/local/domain/5/vm", "/vm/the-vm"),
        ("/local/domain/0/backend/vif/5/2/mac", "00:16:3e:00:00:b1"),
    ] {
        host.write(&format!("/xenstore{key}"), value);
    }
    host
}

const PORT: &str = "ovs-vsctl --timeout=20 -vconsole:off -- --if-exists del-port vif5.2 -- add-port xenbr0 vif5.2 -- \
    set Interface vif5.2 external-ids:attached-mac=\"00:16:3e:00:00:b1\" external-ids:xs-network-uuid=\"the-network\" \
    external-ids:xs-vif-uuid=\"the-vif\" external-ids:xs-vm-uuid=\"the-vm\"";

#[test]
fn a_guests_device_is_put_onto_its_bridge() {
    let host = with_xenstore("vif");
    host.stub("/etc/xapi.d/vif-hotplug", "");
    let out = host.run("vif", "online vif 5 2");
    assert_eq!(out.code, 0, "{}", out.stderr);
    let want = [
        "ethtool -K vif5.2 tx off",
        "ip link set dev vif5.2 mtu 1400",
        "ip link set dev vif5.2 down",
        "ip link set dev vif5.2 arp off",
        "ip link set dev vif5.2 multicast off",
        "ip link set dev vif5.2 address fe:ff:ff:ff:ff:ff",
        "ip addr flush dev vif5.2",
        PORT,
        "ip link set dev vif5.2 up",
        "xenstore-write /xapi/5/hotplug/vif/2/vif vif5.2",
        "xenstore-write /xapi/5/hotplug/vif/2/hotplug online",
        "xenstore-write /local/domain/0/backend/vif/5/2/hotplug-status connected",
        "vif-hotplug -action online -vifuuid the-vif -vmuuid the-vm",
    ];
    assert_eq!(host.calls(), want);
    // The machine's own record says its UUID, where there is one.
    host.write("/xenstore/vm/the-vm/uuid", "its-uuid");
    assert_eq!(host.run("vif", "online vif 5 2").code, 0);
    let hook = "vif-hotplug -action online -vifuuid the-vif -vmuuid its-uuid";
    assert_eq!(host.calls().last().unwrap(), hook);
}

#[test]
fn what_udev_tells_besides_is_heard_and_nothing_is_done() {
    let host = with_xenstore("vifnothing");
    for args in [
        "add vif",
        "offline vif",
        "online tap",
        "offline tap",
        "move tap",
    ] {
        let mut command = host.command("vif", args);
        let command = command.env("XENBUS_PATH", "backend/vif/5/2");
        let out = finish(command.env("INTERFACE", "tap5.2"));
        assert_eq!(out.code, 0, "{args}: {}", out.stderr);
        assert!(host.calls().is_empty(), "{args}");
    }
}

#[test]
fn the_switch_takes_a_guests_device() {
    let mut host = with_xenstore("vifreal");
    host.start_ovs();
    host.vsctl("add-br xenbr0");
    for _ in 0..2 {
        assert_eq!(host.run("vif", "online vif 5 2").code, 0);
        assert_eq!(host.vsctl("list-ports xenbr0"), "vif5.2");
        assert_eq!(
            host.vsctl("get Interface vif5.2 external_ids:attached-mac"),
            "\"00:16:3e:00:00:b1\""
        );
        assert_eq!(
            host.vsctl("get Interface vif5.2 external_ids:xs-vm-uuid"),
            "the-vm"
        );
    }
    assert_eq!(host.run("vif", "remove vif 5 2").code, 0);
    assert_eq!(host.vsctl("list-ports xenbr0"), "");
}

#[test]
fn an_emulated_device_has_no_names_of_its_own_and_udev_may_say_which() {
    let host = with_xenstore("tap");
    host.stub("/etc/xapi.d/vif-hotplug", "");
    for (variable, value) in [("XENBUS_PATH", "backend/vif/5/2"), ("INTERFACE", "tap5.2")] {
        let out = finish(host.command("vif", "add tap").env(variable, value));
        assert_eq!(out.code, 0, "{}", out.stderr);
        let calls = host.calls();
        let port = "ovs-vsctl --timeout=20 -vconsole:off -- --if-exists del-port tap5.2 -- add-port xenbr0 tap5.2";
        assert!(calls.contains(&port.to_string()), "{calls:#?}");
        assert!(!calls.iter().any(|c| c.contains("hotplug")), "{calls:#?}");
    }
}

#[test]
fn a_device_that_goes_is_taken_off() {
    let host = with_xenstore("vifgone");
    host.stub("/etc/xapi.d/vif-hotplug", "");
    assert_eq!(host.run("vif", "remove vif 5 2").code, 0);
    let want = [
        "xenstore-rm /xapi/5/hotplug/vif/2/hotplug",
        "vif-hotplug -action remove -vifuuid the-vif -vmuuid the-vm",
        "ovs-vsctl --timeout=20 -vconsole:off -- --if-exists del-port vif5.2",
    ];
    assert_eq!(host.calls(), want);
}

#[test]
fn what_xenstore_says_amiss_reaches_no_command() {
    let host = with_xenstore("vifbad");
    host.write(
        "/xenstore/local/domain/0/backend/vif/5/2/mac",
        "00:16:3e:00:00:b1\" x",
    );
    host.write(
        "/xenstore/xapi/5/private/vif/2/vif-uuid",
        "a -- del-br xenbr0",
    );
    host.write("/xenstore/xapi/5/private/vif/2/MTU", "many");
    assert_eq!(host.run("vif", "online vif 5 2").code, 0);
    let calls = host.calls();
    assert!(
        !calls
            .iter()
            .any(|c| c.contains("del-br") || c.contains("attached-mac") || c.contains("mtu")),
        "{calls:#?}"
    );
    for bridge in ["", "--db=x", "a b"] {
        host.write("/xenstore/xapi/5/private/vif/2/bridge", bridge);
        let out = host.run("vif", "move vif 5 2");
        assert_eq!(out.code, 1);
        assert!(
            out.stderr
                .lines()
                .last()
                .unwrap()
                .contains("no bridge for vif5.2"),
            "{}",
            out.stderr
        );
        assert!(host.calls().is_empty());
    }
}

#[test]
fn vif_says_what_is_wrong_with_its_command_line() {
    let host = with_xenstore("vifusage");
    for args in [
        "",
        "offline",
        "online vbd",
        "online",
        "online vif 5",
        "online vif five 2",
        "online vif -1 2",
        "online vif 5 2 3",
    ] {
        let out = host.run("vif", args);
        out.one_line(2, args);
    }
    assert!(host.calls().is_empty());
}

// ---- openvswitch-xapi-update ---------------------------------------------------------------------------------------

#[test]
fn xapi_is_asked_to_run_the_plugin() {
    let host = Sandbox::new("update");
    host.stub("/opt/xensource/bin/xe", "");
    let tool = "openvswitch-xapi-update";
    for verb in ["start", "restart"] {
        assert_eq!(host.run(tool, verb).code, 0);
        let want = format!(
            "xe host-call-plugin host-uuid={HOST_UUID} plugin=openvswitch-cfg-update fn=update"
        );
        assert_eq!(host.calls(), [want]);
    }
    assert_eq!(host.run(tool, "stop").code, 0);
    host.write("/etc/xensource/network.conf", "bridge\n");
    assert_eq!(host.run(tool, "start").code, 0);
    assert!(host.calls().is_empty());
    std::fs::remove_file(host.path("/etc/xensource/network.conf")).unwrap();
    assert_eq!((host.run(tool, "start").code, host.calls().len()), (0, 1));
    host.stub("/opt/xensource/bin/xe", "echo 'no such plugin' >&2; exit 1");
    let out = host.run(tool, "start");
    assert!(
        out.code == 1 && out.stderr.contains("no such plugin"),
        "{}",
        out.stderr
    );
    std::fs::remove_file(host.path("/etc/xensource-inventory")).unwrap();
    let out = host.run(tool, "start");
    assert!(
        out.code == 1 && out.stderr.contains("no XenServer host"),
        "{}",
        out.stderr
    );
    assert_eq!(host.run(tool, "reload").code, 2);
}

// ---- the program ----------------------------------------------------------------------------------------------------

#[test]
fn the_program_is_the_tool_whose_name_it_has() {
    let host = Sandbox::new("names");
    let tools = finish(Command::new(&*PROGRAM).arg("tools")).stdout;
    assert_eq!(tools.lines().count(), 5);
    for tool in tools.lines() {
        let link = host.path(&format!("/{tool}"));
        std::os::unix::fs::symlink(&*PROGRAM, &link).unwrap();
        let out = finish(Command::new(link).arg("--help"));
        assert_eq!(out.code, 0);
        assert!(
            out.stdout.contains(&format!("Usage: {tool} ")),
            "{}",
            out.stdout
        );
        assert_eq!(
            finish(Command::new(&*PROGRAM).args([tool, "--version"]))
                .stdout
                .split(' ')
                .next(),
            Some(tool)
        );
    }
    for args in [&[][..], &["what"], &["man"], &["man", "/nowhere/at/all"]] {
        let out = finish(Command::new(&*PROGRAM).args(args));
        assert!(
            out.code != 0 && out.stderr.lines().count() == 1,
            "{args:?}: {}",
            out.stderr
        );
    }
}

#[test]
fn every_tool_has_a_man_page_and_completion() {
    let host = Sandbox::new("pages");
    let dir = host.root.display().to_string();
    assert_eq!(finish(Command::new(&*PROGRAM).args(["man", &dir])).code, 0);
    assert_eq!(
        finish(Command::new(&*PROGRAM).args(["completion", &dir])).code,
        0
    );
    for tool in finish(Command::new(&*PROGRAM).arg("tools")).stdout.lines() {
        let page = host.read(&format!("/{tool}.8"));
        assert!(
            page.contains("EXIT STATUS") && page.contains(".TH "),
            "{tool}"
        );
        let bash = host.path(&format!("/{tool}.bash"));
        assert!(
            finish(Command::new("bash").arg("-n").arg(bash)).code == 0,
            "{tool}"
        );
    }
}

/// The commands of bugtool's lists.
fn bugtool_commands() -> Vec<String> {
    let mut commands = Vec::new();
    let mut dirs = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("files/bugtool")];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let after = text.split("<command ").skip(1);
            let command = |t: &str| Some(t.split_once('>')?.1.split_once('<')?.0.to_string());
            commands.extend(after.filter_map(command));
        }
    }
    commands
}

#[test]
fn a_status_report_calls_programs_that_there_are() {
    let commands = bugtool_commands();
    assert!(commands.len() > 20, "{commands:?}");
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let packaged = files.join("../../tests/rpm/expected/userspace-4.0.0");
    let packaged = std::fs::read_to_string(packaged).unwrap();
    for command in commands {
        let program = command.split(' ').next().unwrap();
        let known = match program.starts_with("ovs") || program.starts_with('/') {
            true => packaged
                .lines()
                .any(|f| f == program || f.ends_with(&format!("bin/{program}"))),
            false => ["date", "ip", "modinfo", "rpm"].contains(&program),
        };
        assert!(known, "{command}");
    }

    let host = Sandbox::new("bugtool");
    for tool in ["ovs-appctl", "ovs-vswitchd", "ovsdb-server", "tc"] {
        host.stub(&format!("/bin/{tool}"), "");
    }
    host.stub("/bin/ovs-ofctl", "exit 1");
    host.stub("/bin/ovs-vsctl", "printf 'xenbr0\\nxapi1\\n'");
    let path = format!("{}:/usr/bin:/bin", host.path("/bin").display());
    let run = |args: &[&str]| {
        let mut command = Command::new(files.join("files/openvswitch-bugtool"));
        finish(command.args(args).env("PATH", &path))
    };
    let list = "ovs-vsctl --timeout=10 -vconsole:off list-br";
    run(&["fdb"]);
    let show = |bridge: &str| format!("ovs-appctl --timeout=10 fdb/show {bridge}");
    assert_eq!(host.calls(), [list.into(), show("xenbr0"), show("xapi1")]);
    // One bridge's trouble is not another's.
    let out = run(&["ofctl", "dump-flows"]);
    let dump = |bridge: &str| format!("ovs-ofctl --timeout=10 dump-flows {bridge}");
    assert_eq!(host.calls(), [list.into(), dump("xenbr0"), dump("xapi1")]);
    assert_eq!(out.stdout, "--- xenbr0\n--- xapi1\n");
    assert_eq!(run(&["versions"]).code, 0);
    assert_eq!(host.calls()[0], "ovs-vswitchd --version");
    assert!(run(&["tc"]).stdout.contains("--- lo\n"));
    for args in [&[][..], &["what"], &["ofctl"]] {
        run(args).one_line(2, &args.join(" "));
    }
}

#[test]
fn what_is_installed_is_what_the_package_lists() {
    let host = Sandbox::new("install");
    std::fs::remove_dir_all(&host.root).unwrap();
    let install = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("install");
    let out = finish(
        Command::new(&install)
            .arg(&host.root)
            .env("OVS_XENSERVER", &*PROGRAM),
    );
    assert_eq!(out.code, 0, "{}", out.stderr);
    // The spec file lists these itself.
    let own = [
        "/usr/share/openvswitch/",
        "/usr/share/man/man8/",
        "/etc/bash_completion.d/ovs-",
    ];
    // What an administrator may have changed stays when the package is upgraded.
    let kept = "%config(noreplace) ";
    let listed: Vec<_> = out
        .stdout
        .lines()
        .filter(|l| !l.starts_with("%dir "))
        .map(|l| l.strip_prefix(kept).unwrap_or(l))
        .collect();
    for name in [
        "/etc/logrotate.d/openvswitch",
        "/etc/profile.d/openvswitch.sh",
    ] {
        assert!(out.stdout.contains(&format!("{kept}{name}\n")), "{name}");
    }
    let mut used: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
    let mut dirs = vec![host.root.clone()];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let name = path
                .display()
                .to_string()
                .replace(&host.root.display().to_string(), "");
            let is = |line: &&&str| match line.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == **line,
            };
            let by = listed.iter().find(is);
            used.extend(by.copied());
            assert!(
                by.is_some() || own.iter().any(|o| name.starts_with(o)),
                "{name} is not listed"
            );
        }
    }
    assert_eq!(used.len(), listed.len(), "{listed:?}");
    for tool in finish(Command::new(&*PROGRAM).arg("tools")).stdout.lines() {
        let link = host.path(&format!("/usr/share/openvswitch/scripts/{tool}"));
        assert_eq!(
            finish(Command::new(link).arg("--version"))
                .stdout
                .split(' ')
                .next(),
            Some(tool)
        );
    }
    for args in [&[][..], &["", ""]] {
        let out = finish(Command::new(&install).args(args));
        out.one_line(2, "install");
    }
    let out = finish(
        Command::new(&install)
            .arg(&host.root)
            .env("OVS_XENSERVER", "/nowhere"),
    );
    out.one_line(1, "install");
    // Another program: nothing is put anywhere.
    let elsewhere = host.path("/elsewhere");
    let out = finish(
        Command::new(&install)
            .arg(&elsewhere)
            .env("OVS_XENSERVER", "/bin/true"),
    );
    out.one_line(1, "install");
    assert!(!elsewhere.exists());
    let out = finish(
        Command::new(install.with_file_name("build"))
            .arg("--what")
            .env("OVS_XENSERVER", "/bin/true"),
    );
    out.one_line(2, "build");
}
