// SPDX-License-Identifier: GPL-2.0
//! ovs-xapi-sync as a daemon, with the options that Open vSwitch's daemons have. Going into the background and being
//! watched are processes of their own, started anew from this program: a thread must not be forked.

use crate::error::Result;
use crate::host::{remove_if_there, Host, RUN_DIR};
use crate::{failed, info, warning};
use rustix::fs::{fcntl_lock, FlockOperation};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub const NAME: &str = "ovs-xapi-sync";
const ROLE: &str = "OVS_XAPI_SYNC_ROLE";
/// A worker that dies sooner after its start than this waits so long before the next.
const LEAST_LIFE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Options {
    /// The database's socket.
    pub database: PathBuf,
    pub detach: bool,
    pub monitor: bool,
    pub pidfile: Option<PathBuf>,
    pub unixctl: Option<PathBuf>,
}

/// Runs the daemon in the role that the environment says: none, the one that was started; `monitor`; `worker`.
pub fn run(host: &Host, options: &Options) -> Result<()> {
    // Scripts know a daemon by this name in /proc/PID/comm, and ours is that of the program.
    let _ = rustix::thread::set_name(c"ovs-xapi-sync");
    match std::env::var(ROLE).as_deref() {
        Ok("monitor") => {
            new_session(options);
            monitor(options.detach)
        }
        Ok("worker") => {
            if !options.monitor {
                new_session(options);
            }
            work(host, options, options.detach)
        }
        _ if options.detach => detach(if options.monitor { "monitor" } else { "worker" }),
        _ if options.monitor => monitor(false),
        _ => work(host, options, false),
    }
}

fn new_session(options: &Options) {
    if options.detach {
        // We are no group leader, so this does not fail.
        let _ = rustix::process::setsid();
    }
}

/// Signals that a program dies of by its own fault; any other is somebody's wish. 101 is a panic that unwinds.
const FAULTS: [i32; 9] = [4, 6, 7, 8, 11, 13, 14, 24, 25];

fn died(status: ExitStatus) -> bool {
    status.signal().is_some_and(|n| FAULTS.contains(&n)) || status.code() == Some(101)
}

/// This program with the same arguments, in another role.
fn again(role: &str) -> Command {
    let mut args = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    command.args(args).env(ROLE, role).stdin(Stdio::null());
    command
}

fn start(mut command: Command) -> Result<Child> {
    command
        .spawn()
        .map_err(|e| failed!("cannot start {NAME}: {e}"))
}

/// Starts the daemon and waits until it takes commands, or has said why it does not.
fn detach(role: &str) -> Result<()> {
    let mut command = again(role);
    command.stdout(Stdio::piped());
    let mut child = start(command)?;
    let mut said = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        let _ = pipe.read_to_string(&mut said);
    }
    match said.trim() {
        "ready" => Ok(()),
        _ => match child.wait() {
            Ok(status) => Err(ended(status)),
            Err(e) => Err(failed!("{NAME} did not start: {e}")),
        },
    }
}

/// The error of a process of ours that ended so. One that has said why itself is not told of again: its status is handed on.
fn ended(status: ExitStatus) -> crate::error::Error {
    match status.code() {
        Some(code @ (1 | 2)) => std::process::exit(code),
        _ => failed!("{NAME} did not start: {status}"),
    }
}

/// Keeps a worker running until one ends by itself.
fn monitor(detached: bool) -> Result<()> {
    let mut first = true;
    loop {
        let began = Instant::now();
        let mut command = again("worker");
        if !first {
            command.stdout(Stdio::null());
        }
        let mut worker = start(command)?;
        if detached && first {
            leave_terminal();
        }
        let status = worker
            .wait()
            .map_err(|e| failed!("cannot wait for {NAME}: {e}"))?;
        if !died(status) {
            return match status.success() || status.signal().is_some() {
                true => Ok(()),
                false => Err(ended(status)),
            };
        }
        warning!("{NAME} died: {status}; starting it again");
        first = false;
        std::thread::sleep(LEAST_LIFE.saturating_sub(began.elapsed()));
    }
}

/// Whoever waits for us to start waits for the end of our output.
fn leave_terminal() {
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

fn work(host: &Host, options: &Options, detached: bool) -> Result<()> {
    let _pidfile = options
        .pidfile
        .as_deref()
        .map(Pidfile::create)
        .transpose()?;
    let ctl = options
        .unixctl
        .clone()
        .unwrap_or_else(|| host.path(&format!("{RUN_DIR}/{NAME}.{}.ctl", std::process::id())));
    super::serve(host, options.database.clone(), &ctl, || {
        if detached {
            let _ = writeln!(std::io::stdout(), "ready");
            leave_terminal();
        }
        info!("started");
    })
}

/// The daemon's process ID in a file, locked as long as it runs: that is how others know a stale one.
struct Pidfile {
    path: PathBuf,
    _file: File,
}

impl Pidfile {
    fn create(path: &Path) -> Result<Pidfile> {
        let bad = |e: std::io::Error| failed!("cannot write {}: {e}", path.display());
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(bad)?;
        if fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(failed!(
                "{NAME} runs already, as {} says; 'ovs-appctl -t {NAME} exit' ends it",
                path.display()
            ));
        }
        file.set_len(0).map_err(bad)?;
        writeln!(file, "{}", std::process::id()).map_err(bad)?;
        Ok(Pidfile {
            path: path.into(),
            _file: file,
        })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = remove_if_there(&self.path);
    }
}
