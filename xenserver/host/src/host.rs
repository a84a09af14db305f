// SPDX-License-Identifier: GPL-2.0
//! The host's files: where they are under `--root-prefix`, and what the inventory and network.conf say.

use crate::error::Result;
use crate::failed;
use rustix::fs::{flock, FlockOperation};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const INVENTORY: &str = "/etc/xensource-inventory";
pub const NETWORK_CONF: &str = "/etc/xensource/network.conf";
pub const SYSCONFIG: &str = "/etc/sysconfig/openvswitch";
pub const DBCACHE: &str = "/var/xapi/network.dbcache";
pub const DB_SOCK: &str = "/var/run/openvswitch/db.sock";
pub const RUN_DIR: &str = "/var/run/openvswitch";

/// xapi's socket: since XenServer 6.1, and before.
const XAPI_SOCKETS: [&str; 2] = ["/var/lib/xcp/xapi", "/var/xapi/xapi"];

/// Of a host whose xapi has the network to itself: its own plugin of the same purpose, and its network daemon.
const XAPI_PLUGIN: &str = "/etc/xapi.d/plugins/openvswitch-config-update";
const NETWORKD: [&str; 4] = [
    "/usr/sbin/xcp-networkd",
    "/opt/xensource/libexec/xcp-networkd",
    "/opt/xensource/bin/xcp-networkd",
    "/usr/lib/systemd/system/xcp-networkd.service",
];

/// The root of the host's file system: `/`, or a directory that tests made.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Vswitch,
    Bridge,
}

impl Host {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into() }
    }

    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    pub fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// The program of that name, where distributions put it. Inside the root only: tests bring their own.
    pub fn tool(&self, name: &str) -> Result<PathBuf> {
        let dirs = [
            "/usr/bin",
            "/sbin",
            "/usr/sbin",
            "/bin",
            "/opt/xensource/bin",
        ];
        dirs.iter()
            .map(|dir| self.path(&format!("{dir}/{name}")))
            .find(|path| path.exists())
            .ok_or_else(|| failed!("no program {name} on this host; install what provides it"))
    }

    pub fn has_tool(&self, name: &str) -> bool {
        self.tool(name).is_ok()
    }

    pub fn read(&self, absolute: &str) -> Result<String> {
        let path = self.path(absolute);
        fs::read_to_string(&path).map_err(|e| failed!("cannot read {}: {e}", path.display()))
    }

    pub fn xapi_socket(&self) -> PathBuf {
        let existing = XAPI_SOCKETS
            .iter()
            .map(|s| self.path(s))
            .find(|s| s.exists());
        existing.unwrap_or_else(|| self.path(XAPI_SOCKETS[0]))
    }

    /// KEY='value' lines of the inventory. Empty without one.
    pub fn inventory(&self) -> BTreeMap<String, String> {
        self.read(INVENTORY)
            .map_or_else(|_| BTreeMap::new(), |text| assignments(&text))
    }

    pub fn installation_uuid(&self) -> Result<String> {
        let uuid = self
            .inventory()
            .remove("INSTALLATION_UUID")
            .unwrap_or_default();
        if uuid.is_empty() {
            return Err(failed!(
                "no INSTALLATION_UUID in {}; this is no XenServer host",
                self.path(INVENTORY).display()
            ));
        }
        Ok(uuid)
    }

    pub fn sysconfig(&self, name: &str) -> Option<String> {
        let value = assignments(&self.read(SYSCONFIG).ok()?).remove(name)?;
        (!value.is_empty()).then_some(value)
    }

    /// Which of the two the host's network is made of. A file that does not say so is an error: guessing wrong
    /// would take the host off the network.
    pub fn backend(&self) -> Result<Backend> {
        let text = self.read(NETWORK_CONF)?;
        match text.trim() {
            "vswitch" | "openvswitch" => Ok(Backend::Vswitch),
            "bridge" => Ok(Backend::Bridge),
            other => Err(failed!(
                "{} says '{other}'; it must say vswitch, openvswitch or bridge",
                self.path(NETWORK_CONF).display()
            )),
        }
    }

    /// The host's own program, if it has one, that keeps the managers and bridges in step with xapi.
    pub fn xapi_plugin(&self) -> Option<&'static str> {
        self.exists(XAPI_PLUGIN).then_some(XAPI_PLUGIN)
    }

    /// The host's own network daemon, if it has one.
    pub fn networkd(&self) -> Option<&'static str> {
        NETWORKD.into_iter().find(|path| self.exists(path))
    }

    pub fn netdev_exists(&self, name: &str) -> bool {
        valid_netdev(name) && self.exists(&format!("/sys/class/net/{name}"))
    }

    /// Replaces a file: whole or not at all.
    pub fn replace(&self, absolute: &str, contents: &str) -> Result<()> {
        let path = self.path(absolute);
        replace(&path, contents).map_err(|e| failed!("cannot write {}: {e}", path.display()))
    }

    /// Makes sure that one program at a time changes the host's network, for as long as the result is kept. Waits
    /// for another one, but not for ever.
    pub fn lock(&self, absolute: &str, limit: Duration) -> Result<fs::File> {
        let path = self.path(absolute);
        let bad = |e: std::io::Error| failed!("cannot lock {}: {e}", path.display());
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(bad)?;
        }
        let file = fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(bad)?;
        let start = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if start.elapsed() < limit => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(failed!(
                        "another program has been changing the host's network for {} seconds ({} is locked)",
                        limit.as_secs(),
                        path.display()
                    ))
                }
                Err(e) => return Err(bad(e.into())),
            }
        }
    }
}

/// Two that write the same file at once write two: the one that is done last is there in the end, whole.
fn replace(path: &Path, contents: &str) -> std::io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let write = || {
        write_synced(Path::new(&new), contents.as_bytes())?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// Writes a file that is on the disk before anything else is done with it: else a power failure after a rename leaves
/// an empty one.
pub fn write_synced(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

pub fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Shell assignments of constants: KEY=value, KEY='value', KEY="value". Everything else is skipped.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || !key.chars().all(word) {
            return None;
        }
        let value = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let (value, rest) = value[1..].split_once(quote)?;
                let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
                ends.then_some(value)?
            }
            // What follows is a comment, most likely.
            _ => value.split(char::is_whitespace).next()?,
        };
        Some((key.to_string(), value.to_string()))
    };
    text.lines().filter_map(line).collect()
}

/// A network device's name: 1 to 15 bytes as the kernel takes it (dev_valid_name()), and of those only what means nothing
/// to a shell and to ovs-vsctl, since the name goes into files and onto command lines.
pub fn valid_netdev(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..16).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with('-')
        && name != "."
        && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_is_read_as_the_shell_would() {
        let got = assignments(
            "# c\nINSTALLATION_UUID='a-b'\nBUILD_NUMBER=\"70\"\nX=1\n=2\nno line\n b c='d'\nE=''\n\
             P=6632 # Citrix'\nQ='a # b' # c\nR=\"x\ty\nS='z\nT=\t\n",
        );
        let want = [
            ("BUILD_NUMBER", "70"),
            ("E", ""),
            ("INSTALLATION_UUID", "a-b"),
            ("P", "6632"),
            ("Q", "a # b"),
            ("T", ""),
            ("X", "1"),
        ];
        assert_eq!(got, want.map(|(k, v)| (k.into(), v.into())).into());
    }

    #[test]
    fn device_names_are_plain_words() {
        assert!(valid_netdev("eth0.5") && valid_netdev("12345678901234_"));
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "1234567890123456",
            "a\n",
            "-a",
            "a;b",
            "$a",
        ] {
            assert!(!valid_netdev(bad), "{bad:?}");
        }
    }
}
