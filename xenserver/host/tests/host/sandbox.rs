// SPDX-License-Identifier: GPL-2.0
//! A host in a directory.

use serde_json::{json, Value as Json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Where cargo puts the program, beside the tests' own directory. (It says so in a variable, too, but a shell between it and rustc
/// loses that: the name has a dash.)
pub static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("a program");
    let program = test.parent().and_then(Path::parent).expect("deps");
    program.join("ovs-xenserver")
});
pub const HOST_UUID: &str = "60000000-0000-4000-8000-000000000001";
pub const CACHE: &str = include_str!("../data/network.dbcache");

pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// It ended with `code` and said why in one line; `what` was asked.
    #[track_caller]
    pub fn one_line(&self, code: i32, what: &str) {
        let got = (self.code, self.stderr.lines().count());
        assert_eq!(got, (code, 1), "{what}: {}", self.stderr);
    }
}

pub struct Sandbox {
    pub root: PathBuf,
    daemons: Vec<Child>,
    xapi: Option<Child>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for child in self.daemons.iter_mut().chain(&mut self.xapi) {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Daemons that went into the background, if their test failed before it ended them.
        for daemon in ["ovs-xapi-sync", "ovs-vswitchd", "ovsdb-server"] {
            let pid = self.read(&format!("/var/run/openvswitch/{daemon}.pid"));
            if !pid.trim().is_empty() {
                signal("TERM", pid.trim());
            }
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// Tries until it is so; the machine may be slow.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "not within 30 s: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether somebody listens at a socket. That it exists says less: it does before it can be connected to.
pub fn listens(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// The directory with Open vSwitch's programs (ovs-tools.sh). Without one these tests cannot run, and say so.
pub fn ovs_tools() -> PathBuf {
    let dir = std::env::var_os("OVS_TOOLS")
        .expect("OVS_TOOLS is not set: run 'make host-test', or OVS_TOOLS=$(xenserver/host/ovs-tools.sh) cargo test");
    PathBuf::from(dir)
}

impl Sandbox {
    /// A host with network cards eth0 to eth3, its inventory, and network.conf that says vswitch.
    pub fn new(name: &str) -> Sandbox {
        let root = std::env::temp_dir().join(format!("oxs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let host = Sandbox {
            root,
            daemons: Vec::new(),
            xapi: None,
        };
        let inventory = format!("PRODUCT_BRAND='XenServer'\nINSTALLATION_UUID='{HOST_UUID}'\n");
        host.write("/etc/xensource-inventory", &inventory);
        host.write("/etc/xensource/network.conf", "vswitch\n");
        host.write("/etc/xensource/xapi-ssl.pem", "");
        for (i, card) in ["eth0", "eth1", "eth2", "eth3"].iter().enumerate() {
            host.device(card, &format!("00:16:3e:00:00:a{i}"));
            host.write(&format!("/sys/class/net/{card}/device/vendor"), "");
        }
        host.write("/var/run/openvswitch/.keep", "");
        for tool in ["ip", "ethtool", "ifup", "update-issue"] {
            host.stub(&format!("/sbin/{tool}"), "");
        }
        // As the host's own does, it fails where there is no ifcfg file.
        let scripts = host.path("/etc/sysconfig/network-scripts");
        let ifdown = format!("[ -f '{}/ifcfg-'\"$1\" ] || exit 1", scripts.display());
        host.stub("/sbin/ifdown", &ifdown);
        host.stub("/usr/bin/ovs-vsctl", "");
        host.stub("/usr/bin/ovs-ofctl", "");
        host
    }

    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    pub fn write(&self, absolute: &str, text: &str) {
        let path = self.path(absolute);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, absolute: &str) -> String {
        fs::read_to_string(self.path(absolute)).unwrap_or_default()
    }

    pub fn device(&self, name: &str, mac: &str) {
        self.write(
            &format!("/sys/class/net/{name}/address"),
            &format!("{mac}\n"),
        );
    }

    pub fn script(&self, absolute: &str, text: &str) {
        self.write(absolute, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(absolute), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program that writes down how it was called and then does `rest`.
    pub fn stub(&self, absolute: &str, rest: &str) {
        let log = self.path("/calls");
        let name = absolute.rsplit('/').next().unwrap();
        self.script(
            absolute,
            &format!("echo {name} \"$@\" >> '{}'\n{rest}", log.display()),
        );
    }

    /// What the stubs were called with since the last time this was asked, the sandbox's directory cut out.
    pub fn calls(&self) -> Vec<String> {
        let text = self
            .read("/calls")
            .replace(&self.root.display().to_string(), "");
        let _ = fs::remove_file(self.path("/calls"));
        text.lines().map(String::from).collect()
    }

    pub fn command(&self, tool: &str, args: &str) -> Command {
        let mut command = Command::new(&*PROGRAM);
        command
            .arg(tool)
            .arg("--no-syslog")
            .arg("--root-prefix")
            .arg(&self.root);
        command.args(args.split_whitespace()).stdin(Stdio::null());
        command.env_remove("XENBUS_PATH").env_remove("INTERFACE");
        command
    }

    pub fn run(&self, tool: &str, args: &str) -> Output {
        finish(&mut self.command(tool, args))
    }

    /// Every file of the host and what is in it, but what daemons write.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![self.path("/etc"), self.path("/var/xapi")];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => dirs.push(entry.path()),
                    false => {
                        files.insert(entry.path(), fs::read(entry.path()).unwrap());
                    }
                }
            }
        }
        files
    }

    // ---- Open vSwitch ---------------------------------------------------------------------------------------

    fn ovs(&self, program: &str) -> Command {
        let mut command = Command::new(ovs_tools().join(program));
        let run = self.path("/var/run/openvswitch");
        for name in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(name, &run);
        }
        command.stdin(Stdio::null());
        command
    }

    fn daemon(&mut self, mut command: Command, log: &str) {
        let log = fs::File::create(self.path(log)).unwrap();
        let child = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemons.push(child);
    }

    /// Starts ovsdb-server, and ovs-vswitchd with devices that exist nowhere else, and puts their tools in place.
    pub fn start_ovs(&mut self) {
        self.start_ovsdb();
        let mut vswitchd = self.ovs("ovs-vswitchd");
        let db = format!(
            "unix:{}",
            self.path("/var/run/openvswitch/db.sock").display()
        );
        vswitchd.args([
            "--enable-dummy=override",
            "--disable-system",
            "--disable-system-route",
        ]);
        vswitchd.arg(db);
        self.daemon(vswitchd, "/vswitchd.log");
    }

    pub fn start_ovsdb(&mut self) {
        let tools = ovs_tools();
        let run = self.path("/var/run/openvswitch");
        let conf = self.path("/conf.db");
        if !conf.exists() {
            let mut create = self.ovs("ovsdb-tool");
            create
                .arg("create")
                .arg(&conf)
                .arg(tools.join("vswitch.ovsschema"));
            assert!(create.status().unwrap().success());
        }
        let mut server = self.ovs("ovsdb-server");
        server
            .arg(&conf)
            .arg(format!("--remote=punix:{}", run.join("db.sock").display()));
        self.daemon(server, "/ovsdb-server.log");
        let db = format!("--db=unix:{}", run.join("db.sock").display());
        let env = format!("OVS_RUNDIR='{}'; export OVS_RUNDIR", run.display());
        let vsctl = format!(
            "{env}\nexec '{}' {db} \"$@\"",
            tools.join("ovs-vsctl").display()
        );
        self.stub("/usr/bin/ovs-vsctl", &vsctl);
        let ofctl = format!("{env}\nexec '{}' \"$@\"", tools.join("ovs-ofctl").display());
        self.stub("/usr/bin/ovs-ofctl", &ofctl);
        eventually("ovsdb-server listens", || listens(&run.join("db.sock")));
        self.vsctl("--no-wait init");
    }

    pub fn stop_daemons(&mut self) {
        for child in &mut self.daemons {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.daemons.clear();
    }

    /// ovs-vsctl itself, not through the stub.
    pub fn vsctl(&self, args: &str) -> String {
        let mut command = self.ovs("ovs-vsctl");
        let db = format!(
            "--db=unix:{}",
            self.path("/var/run/openvswitch/db.sock").display()
        );
        command
            .arg(db)
            .arg("--timeout=20")
            .args(args.split_whitespace());
        let out = finish(&mut command);
        assert_eq!(out.code, 0, "ovs-vsctl {args}: {}", out.stderr);
        out.stdout.trim().to_string()
    }

    pub fn ofctl(&self, args: &str) -> String {
        let out = finish(self.ovs("ovs-ofctl").args(args.split_whitespace()));
        assert_eq!(out.code, 0, "ovs-ofctl {args}: {}", out.stderr);
        out.stdout
    }

    pub fn appctl(&self, args: &str) -> Output {
        finish(
            self.ovs("ovs-appctl")
                .arg("--timeout=20")
                .args(args.split_whitespace()),
        )
    }

    // ---- xapi ----------------------------------------------------------------------------------------------

    pub fn start_xapi(&mut self, state: &Json) {
        self.set_xapi(state);
        let socket = self.path("/var/lib/xcp/xapi");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_xapi.py");
        let mut command = Command::new("python3");
        command
            .arg(script)
            .arg(&socket)
            .arg(self.path("/xapi.json"))
            .arg(self.path("/xapi.log"));
        self.xapi = Some(command.stdin(Stdio::null()).spawn().unwrap());
        eventually("xapi listens", || listens(&socket));
    }

    pub fn stop_xapi(&mut self) {
        if let Some(mut xapi) = self.xapi.take() {
            let _ = xapi.kill();
            let _ = xapi.wait();
        }
    }

    pub fn set_xapi(&self, state: &Json) {
        self.write("/xapi.json.new", &state.to_string());
        fs::rename(self.path("/xapi.json.new"), self.path("/xapi.json")).unwrap();
    }

    pub fn xapi_calls(&self) -> Vec<String> {
        let text = self.read("/xapi.log");
        let _ = fs::remove_file(self.path("/xapi.log"));
        text.lines().map(String::from).collect()
    }
}

/// By the shell's own `kill`: not every machine has a program of the name.
pub fn signal(name: &str, pid: &str) {
    finish(Command::new("sh").args(["-c", "kill -s $0 $1", name, pid]));
}

pub fn finish(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output {
        code: out.status.code().unwrap_or(-1),
        stdout: text(out.stdout),
        stderr: text(out.stderr),
    }
}

/// xapi's database of the host that `CACHE` is of, with another host's PIF in it.
pub fn state() -> Json {
    let db = ovs_xenserver::netdb::cache::parse(CACHE).unwrap();
    let mut pifs = serde_json::Map::new();
    for (reference, p) in &db.pifs {
        pifs.insert(reference.clone(), json!({
            "uuid": p.uuid, "host": "OpaqueRef:host", "management": p.management, "network": p.network,
            "device": p.device, "MAC": p.mac, "VLAN": p.vlan.to_string(), "bond_master_of": p.bond_master_of,
            "bond_slave_of": p.bond_slave_of, "VLAN_master_of": p.vlan_master_of, "VLAN_slave_of": p.vlan_slave_of,
            "tunnel_access_PIF_of": p.tunnel_access_pif_of, "tunnel_transport_PIF_of": p.tunnel_transport_pif_of,
            "ip_configuration_mode": p.ip_mode.name(), "IP": p.ip, "netmask": p.netmask, "gateway": p.gateway,
            "DNS": p.dns, "currently_attached": p.management, "other_config": p.other_config, "MTU": "1500",
            "physical": true, "metrics": "OpaqueRef:NULL",
        }));
    }
    let mut foreign = pifs["OpaqueRef:pif-eth2"].clone();
    foreign["host"] = json!("OpaqueRef:other-host");
    foreign["uuid"] = json!("10000000-0000-4000-8000-000000000099");
    pifs.insert("OpaqueRef:foreign".into(), foreign);
    let networks: serde_json::Map<_, _> = db.networks.iter().map(|(reference, n)| {
        let record = json!({
            "uuid": n.uuid, "bridge": n.bridge, "MTU": "1500", "PIFs": n.pifs, "other_config": n.other_config,
            "name_label": format!("network <{}> & more", n.bridge),
        });
        (reference.clone(), record)
    }).collect();
    let bonds: serde_json::Map<_, _> = db
        .bonds
        .iter()
        .map(|(r, b)| {
            (
                r.clone(),
                json!({"uuid": b.uuid, "master": b.master, "slaves": b.slaves}),
            )
        })
        .collect();
    let vlans: serde_json::Map<_, _> = db.vlans.iter().map(|(r, v)| {
        (r.clone(), json!({"uuid": v.uuid, "tagged_PIF": v.tagged_pif, "untagged_PIF": v.untagged_pif, "tag": "1"}))
    }).collect();
    let tunnels: serde_json::Map<_, _> = db.tunnels.iter().map(|(r, t)| {
        (r.clone(), json!({"uuid": t.uuid, "access_PIF": t.access_pif, "transport_PIF": t.transport_pif}))
    }).collect();
    json!({
        "host": {"OpaqueRef:host": {"uuid": HOST_UUID}},
        "PIF": pifs, "network": networks, "Bond": bonds, "VLAN": vlans, "tunnel": tunnels,
        "pool": {"OpaqueRef:pool": {"uuid": "p", "vswitch_controller": "", "other_config": {}}},
        "VIF": {}, "VM": {},
    })
}
