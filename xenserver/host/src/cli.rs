// SPDX-License-Identifier: GPL-2.0
//! The command lines of all tools, what of them goes together, and how errors are told: one line on standard error,
//! exit status 2 for a wrong command line and 1 for what could not be done.

mod pages;

use crate::error::{one_line, Error, Result};
use crate::host::{valid_netdev, Host, DB_SOCK, RUN_DIR};
use crate::log::{self, Level, Target};
use crate::netdb::{is_mac, IpMode};
use crate::reconfigure::{self, Action, Initial, Request, Which};
use crate::{cfg_update, vif, warning, xapi_sync, xapi_update, VERSION};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, ValueEnum};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const PROGRAM: &str = "ovs-xenserver";

/// The tools, in the order of the manual.
pub const TOOLS: [&str; 5] = [
    "interface-reconfigure",
    "openvswitch-cfg-update",
    "openvswitch-xapi-update",
    "ovs-xapi-sync",
    "vif",
];

#[derive(Debug, Args)]
struct Common {
    /// Take DIR for the host's root directory: its files, sockets and programs
    #[arg(long, value_name = "DIR", default_value = "/")]
    root_prefix: PathBuf,
    /// Write messages to standard error instead of syslog
    #[arg(long)]
    no_syslog: bool,
}

impl Common {
    fn host(&self, name: &str) -> Host {
        let target = if self.no_syslog {
            Target::Stderr
        } else {
            Target::Syslog
        };
        log::init(name, target, Level::Info);
        Host::new(&self.root_prefix)
    }
}

/// Bring XenServer's network interfaces up and down as xapi's database says
///
/// Reads the records of the interface (PIF), and of the bond, VLAN, tunnel and network it belongs to, from xapi, or with
/// --force from the cache that is there before xapi runs. Writes the interface's ifcfg and route files, changes Open
/// vSwitch's configuration in one transaction, and starts or stops the interface. With 'rewrite', records in the
/// database which of xapi's networks are behind each bridge, and writes the cache.
#[derive(Debug, Parser)]
#[command(name = "interface-reconfigure", version = VERSION)]
struct InterfaceReconfigure {
    /// What to do
    action: ReconfigureAction,
    /// xapi's session, if the caller has one; else a new one is made
    #[arg(long, value_name = "REF")]
    session: Option<String>,
    /// The interface, by its reference; goes with --session
    #[arg(long, value_name = "REF")]
    pif: Option<String>,
    /// The interface, by its UUID
    #[arg(long, value_name = "UUID")]
    pif_uuid: Option<String>,
    /// The interface of this bridge, out of the cache: does not need xapi
    #[arg(long, visible_alias = "force-interface", value_name = "BRIDGE")]
    force: Option<String>,
    /// The interface is the host's management interface now, whatever xapi's database says yet: name servers and default
    /// route come from it
    #[arg(long)]
    management: bool,
    /// The network card, with --force rewrite
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Its MAC address, with --force rewrite
    #[arg(long, value_name = "ADDRESS")]
    mac: Option<String>,
    /// Where its IP address comes from, with --force rewrite
    #[arg(long, ignore_case = true)]
    mode: Option<Mode>,
    /// Its IP address, with --mode=static
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// Its netmask, with --mode=static
    #[arg(long, value_name = "MASK")]
    netmask: Option<Ipv4Addr>,
    /// Its gateway, with --mode=static
    #[arg(long, value_name = "ADDRESS")]
    gateway: Option<Ipv4Addr>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReconfigureAction {
    /// Bring the interface up
    Up,
    /// Take it down
    Down,
    /// Write the cache
    #[value(alias = "rewrite-configuration")]
    Rewrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Dhcp,
    Static,
}

impl InterfaceReconfigure {
    fn request(&self) -> Result<Request> {
        let usage = |text: &str| Err(Error::Usage(text.to_string()));
        let initial = self.device.is_some() || self.mac.is_some() || self.mode.is_some();
        let initial =
            initial || self.ip.is_some() || self.netmask.is_some() || self.gateway.is_some();
        let rewrite = self.action == ReconfigureAction::Rewrite;
        if initial && !(rewrite && self.force.is_some()) {
            return usage("--device, --mac, --mode, --ip, --netmask and --gateway go with --force BRIDGE rewrite only");
        }
        if let Some(bridge) = &self.force {
            let named = self.session.is_some() || self.pif.is_some() || self.pif_uuid.is_some();
            if named {
                return usage("--force does not go with --session, --pif or --pif-uuid");
            }
            if !valid_netdev(bridge) {
                return usage(&format!("'{bridge}' is no name of a bridge"));
            }
            return self.forced(bridge.clone());
        }
        let session = self.session.clone();
        if rewrite {
            return match self.pif.is_some() || self.pif_uuid.is_some() {
                true => usage("rewrite is for the whole host: give no --pif or --pif-uuid"),
                false => Ok(Request::Rewrite { session }),
            };
        }
        let pif = match (&self.pif, &self.pif_uuid, &session) {
            (Some(pif), None, Some(_)) => Which::Ref(pif.clone()),
            (None, Some(uuid), None) => Which::Uuid(uuid.clone()),
            (Some(_), None, None) => {
                return usage("--pif goes with --session; give --pif-uuid without one")
            }
            (None, None, _) => {
                return usage(
                    "which interface? give --session and --pif, or --pif-uuid, or --force",
                )
            }
            _ => return usage("give one of: --session with --pif, or --pif-uuid"),
        };
        Ok(Request::Pif {
            action: self.action.into(),
            pif,
            session,
            management: self.management,
        })
    }

    fn forced(&self, bridge: String) -> Result<Request> {
        let usage = |text: String| Err(Error::Usage(text));
        if self.action != ReconfigureAction::Rewrite {
            return Ok(Request::Force {
                action: self.action.into(),
                bridge,
                management: self.management,
            });
        }
        let (Some(device), Some(mac), Some(mode)) = (&self.device, &self.mac, self.mode) else {
            return usage("--force BRIDGE rewrite needs --device, --mac and --mode".into());
        };
        if device.contains('.') {
            return usage(format!(
                "--device {device}: a VLAN cannot be the first management interface"
            ));
        }
        if !valid_netdev(device) {
            return usage(format!("--device '{device}' is no name of a network card"));
        }
        if !is_mac(mac) {
            return usage(format!("--mac '{mac}' is no MAC address"));
        }
        let addresses = [self.ip, self.netmask, self.gateway];
        match mode {
            Mode::Dhcp if addresses.iter().any(Option::is_some) => {
                return usage("--ip, --netmask and --gateway go with --mode=static".into());
            }
            Mode::Static if self.ip.is_none() || self.netmask.is_none() => {
                return usage("--mode=static needs --ip and --netmask".into());
            }
            _ => {}
        }
        if let Some(mask) = self.netmask.filter(|&m| !is_netmask(m)) {
            return usage(format!(
                "--netmask {mask} is no netmask, such as 255.255.255.0"
            ));
        }
        let [ip, netmask, gateway] =
            addresses.map(|a| a.map_or_else(String::new, |a| a.to_string()));
        let ip_mode = if mode == Mode::Dhcp {
            IpMode::Dhcp
        } else {
            IpMode::Static
        };
        let (device, mac) = (device.clone(), mac.clone());
        Ok(Request::ForceRewrite(Initial {
            bridge,
            device,
            mac,
            ip_mode,
            ip,
            netmask,
            gateway,
        }))
    }
}

/// Ones, then zeros.
fn is_netmask(mask: Ipv4Addr) -> bool {
    let bits = u32::from(mask);
    bits != 0 && bits.leading_ones() + bits.trailing_zeros() == u32::BITS
}

impl From<ReconfigureAction> for Action {
    fn from(action: ReconfigureAction) -> Action {
        match action {
            ReconfigureAction::Up => Action::Up,
            ReconfigureAction::Down | ReconfigureAction::Rewrite => Action::Down,
        }
    }
}

/// XAPI plugin that brings Open vSwitch in step with the pool's settings
///
/// xapi runs it with an XML-RPC call as its argument; people do with
/// 'xe host-call-plugin host-uuid=UUID plugin=openvswitch-cfg-update fn=FUNCTION'. The function 'update' has
/// interface-reconfigure write its cache, sets or removes the manager that pool.vswitch_controller names, and sets each
/// bridge's fail mode and in-band control. 'emergency_reset' removes managers, controllers and what they configured.
#[derive(Debug, Parser)]
#[command(name = "openvswitch-cfg-update", version = VERSION)]
struct CfgUpdate {
    /// The XML-RPC call; read from standard input if it is '-' or not there
    #[arg(value_name = "CALL", default_value = "-", hide_default_value = true)]
    call: String,
    #[command(flatten)]
    common: Common,
}

/// Have xapi run openvswitch-cfg-update on this host
#[derive(Debug, Parser)]
#[command(name = "openvswitch-xapi-update", version = VERSION)]
struct XapiUpdate {
    /// What to do; stop does nothing
    verb: UpdateVerb,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UpdateVerb {
    Start,
    Stop,
    Restart,
}

/// Write xapi's names of bridges, virtual interfaces and machines into Open vSwitch's database
///
/// A daemon. It waits for xapi to be up, and then for changes of the database, and tries again each second what xapi or
/// the database did not answer. 'ovs-appctl -t ovs-xapi-sync flush-cache' has it ask xapi for everything anew, 'exit'
/// ends it.
#[derive(Debug, Parser)]
#[command(name = "ovs-xapi-sync", version = VERSION)]
struct XapiSync {
    /// The database: unix:FILE; by default db.sock in Open vSwitch's run directory
    #[arg(value_name = "DATABASE")]
    database: Option<String>,
    /// Go into the background once started
    #[arg(long)]
    detach: bool,
    /// Have another process watch it, and start it again if it dies
    #[arg(long)]
    monitor: bool,
    /// Write the process ID to FILE; ovs-xapi-sync.pid in the run directory without one
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pidfile: Option<String>,
    /// Write messages to FILE; ovs-xapi-sync.log in /var/log/openvswitch without one
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    log_file: Option<String>,
    /// Take commands at SOCKET
    #[arg(long, value_name = "SOCKET")]
    unixctl: Option<PathBuf>,
    /// Taken for the sake of scripts that give it to all daemons; this one never changes its directory
    #[arg(long)]
    no_chdir: bool,
    /// How much to say: SPEC is off, emer, err, warn, info or dbg, as in Open vSwitch with what it is about in front
    /// (ANY:file:dbg); that is taken for all
    #[arg(short, long, value_name = "SPEC")]
    verbose: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Put a guest's network device onto its bridge, and take it off
///
/// udev runs it when the device comes or goes. Which bridge it is, and the device's settings, stand in xenstore. There is
/// something to do for a vif that is online, moved or removed, and for a tap that is added or removed.
#[derive(Debug, Parser)]
#[command(name = "vif", version = VERSION)]
struct Vif {
    /// What has happened
    action: VifAction,
    /// What kind of device it is
    #[arg(default_value = "vif")]
    kind: VifKind,
    /// The guest's domain ID; by default out of the environment's XENBUS_PATH, of a tap out of INTERFACE
    #[arg(value_name = "DOMAIN", requires = "device")]
    domain: Option<u32>,
    /// The device's number in the guest
    #[arg(value_name = "DEVICE")]
    device: Option<u32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VifAction {
    /// The backend of a paravirtual device is there
    Online,
    /// It is about to go
    Offline,
    /// A device is there
    Add,
    /// It is gone
    Remove,
    /// It was renamed
    Move,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VifKind {
    Vif,
    Tap,
}

/// Open vSwitch on XenServer: one program of several names
///
/// Started under the name of a tool, or with it as first argument, it is that tool.
#[derive(Debug, Parser)]
#[command(
    name = "ovs-xenserver",
    version = VERSION,
    disable_help_subcommand = true,
    arg_required_else_help = false
)]
struct Program {
    #[command(subcommand)]
    command: Own,
}

#[derive(Debug, clap::Subcommand)]
enum Own {
    /// Write the man pages of all tools into DIR
    Man { dir: PathBuf },
    /// Write bash's completion of all tools into DIR
    Completion { dir: PathBuf },
    /// List the tools' names
    Tools,
}

pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let (name, arguments) = tool(arguments);
    let result = match name.as_str() {
        "interface-reconfigure" => parse(&arguments).and_then(|a| reconfigure(&name, &a)),
        "openvswitch-cfg-update" => parse(&arguments).and_then(|a| cfg_update(&name, &a)),
        "openvswitch-xapi-update" => parse(&arguments).and_then(|a| xapi_update(&name, &a)),
        "ovs-xapi-sync" => parse(&arguments).and_then(|a| xapi_sync(&name, &a)),
        "vif" => parse(&arguments).and_then(|a| vif(&name, &a)),
        _ => parse(&arguments).and_then(|a: Program| own(&a)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Printed) => ExitCode::SUCCESS,
        Err(Stop::Error(e)) => {
            let hint = match e {
                Error::Usage(_) => format!("; see '{name} --help'"),
                _ => String::new(),
            };
            if !matches!(e, Error::Usage(_)) && !log::is_stderr() {
                warning!("{e}");
            }
            // Nobody may be listening.
            let _ = writeln!(std::io::stderr(), "{name}: {e}{hint}");
            ExitCode::from(e.exit_status())
        }
    }
}

/// The tool's name, and its arguments with that name in front.
fn tool(mut arguments: Vec<OsString>) -> (String, Vec<OsString>) {
    let base = |text: &OsString| {
        let name = Path::new(text)
            .file_name()
            .map(|n| n.to_string_lossy().into_owned());
        name.filter(|n| TOOLS.contains(&n.as_str()))
    };
    if let Some(name) = arguments.first().and_then(base) {
        return (name, arguments);
    }
    if let Some(name) = arguments.get(1).and_then(base) {
        arguments.remove(0);
        return (name, arguments);
    }
    (PROGRAM.into(), arguments)
}

enum Stop {
    /// Help or version.
    Printed,
    Error(Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Stop {
        Stop::Error(e)
    }
}

type Outcome<T> = std::result::Result<T, Stop>;

fn parse<T: Parser>(arguments: &[OsString]) -> Outcome<T> {
    T::try_parse_from(arguments).map_err(|e| match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = e.print();
            Stop::Printed
        }
        _ => {
            let text = e.to_string();
            let reason = text.split("\n\n").next().unwrap_or_default();
            Stop::Error(Error::Usage(one_line(reason.trim_start_matches("error: "))))
        }
    })
}

fn reconfigure(name: &str, args: &InterfaceReconfigure) -> Outcome<()> {
    let request = args.request()?;
    Ok(reconfigure::run(&args.common.host(name), request)?)
}

fn cfg_update(name: &str, args: &CfgUpdate) -> Outcome<()> {
    let host = args.common.host(name);
    let mut call = args.call.clone();
    if call == "-" {
        call.clear();
        let read = std::io::stdin().take(1 << 20).read_to_string(&mut call);
        read.map_err(|e| Error::Usage(format!("standard input is no XML-RPC call: {e}")))?;
    }
    let answer = cfg_update::answer(&host, &call).map_err(|e| {
        let how = "xe host-call-plugin host-uuid=UUID plugin=openvswitch-cfg-update fn=update";
        Error::Usage(format!(
            "xapi runs this plugin ('{how}'), with an XML-RPC call: {e}"
        ))
    })?;
    let written = std::io::stdout().write_all(answer.as_bytes());
    Ok(written.map_err(|e| Error::Failed(format!("cannot answer xapi: {e}")))?)
}

fn xapi_update(name: &str, args: &XapiUpdate) -> Outcome<()> {
    let verb = match args.verb {
        UpdateVerb::Start => xapi_update::Verb::Start,
        UpdateVerb::Stop => xapi_update::Verb::Stop,
        UpdateVerb::Restart => xapi_update::Verb::Restart,
    };
    Ok(xapi_update::run(&args.common.host(name), verb)?)
}

/// The level that the last of vlog's words says.
fn level(specs: &[String]) -> Result<Level> {
    let mut level = Level::Info;
    for word in specs.iter().flat_map(|s| s.split([':', ' ', ','])) {
        level = match word {
            "off" | "emer" | "err" => Level::Error,
            "warn" => Level::Warning,
            "info" => Level::Info,
            "dbg" => Level::Debug,
            "ANY" | "console" | "file" | "syslog" => continue,
            _ => {
                let levels = "off, emer, err, warn, info or dbg";
                return Err(Error::Usage(format!("--verbose {word}: say {levels}")));
            }
        };
    }
    Ok(level)
}

fn xapi_sync(name: &str, args: &XapiSync) -> Outcome<()> {
    let host = args.common.host(name);
    let database = match &args.database {
        None => host.path(DB_SOCK),
        Some(text) => match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => {
                return Err(Error::Usage(format!("the database '{text}' is not unix:FILE")).into())
            }
        },
    };
    let default = |given: &Option<String>, path: String| {
        let given = given.clone()?;
        Some(if given.is_empty() {
            host.path(&path)
        } else {
            PathBuf::from(given)
        })
    };
    let level = level(&args.verbose)?;
    if let Some(file) = default(&args.log_file, format!("/var/log/openvswitch/{name}.log")) {
        log::init(name, Target::File(file), level);
    } else {
        let target = if args.common.no_syslog {
            Target::Stderr
        } else {
            Target::Syslog
        };
        log::init(name, target, level);
    }
    let options = xapi_sync::Options {
        database,
        detach: args.detach,
        monitor: args.monitor,
        pidfile: default(&args.pidfile, format!("{RUN_DIR}/{name}.pid")),
        unixctl: args.unixctl.clone(),
    };
    Ok(xapi_sync::run(&host, &options)?)
}

fn vif(name: &str, args: &Vif) -> Outcome<()> {
    let kind = if args.kind == VifKind::Vif {
        vif::Kind::Vif
    } else {
        vif::Kind::Tap
    };
    let device = match (args.domain, args.device) {
        (Some(domain), Some(number)) => vif::Device {
            kind,
            domain,
            number,
        },
        _ => {
            let variable = |name| std::env::var(name).unwrap_or_default();
            let device = match kind {
                vif::Kind::Tap => vif::Device::from_interface(kind, &variable("INTERFACE")),
                vif::Kind::Vif => None,
            };
            let device =
                device.or_else(|| vif::Device::from_xenbus(kind, &variable("XENBUS_PATH")));
            device.ok_or_else(|| {
                let text = "which device? give its domain and number, or XENBUS_PATH=backend/vif/DOMAIN/DEVICE, \
                            or for a tap INTERFACE=tapDOMAIN.DEVICE";
                Error::Usage(text.into())
            })?
        }
    };
    let action = match args.action {
        VifAction::Online => vif::Action::Online,
        VifAction::Offline => vif::Action::Offline,
        VifAction::Add => vif::Action::Add,
        VifAction::Remove => vif::Action::Remove,
        VifAction::Move => vif::Action::Move,
    };
    Ok(vif::run(&args.common.host(name), action, device)?)
}

/// The command lines of all tools.
pub fn commands() -> [clap::Command; 5] {
    [
        InterfaceReconfigure::command(),
        CfgUpdate::command(),
        XapiUpdate::command(),
        XapiSync::command(),
        Vif::command(),
    ]
}

fn own(args: &Program) -> Outcome<()> {
    log::init(PROGRAM, Target::Quiet, Level::Error);
    match &args.command {
        Own::Man { dir } => pages::man(dir, commands())?,
        Own::Completion { dir } => pages::completion(dir, commands())?,
        Own::Tools => {
            // Nobody may be listening.
            let _ = writeln!(std::io::stdout(), "{}", TOOLS.join("\n"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
