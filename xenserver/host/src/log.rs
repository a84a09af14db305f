// SPDX-License-Identifier: GPL-2.0
//! Messages: to syslog over /dev/log (RFC 3164 as syslog(3) writes it), to standard error, or to a log file.

use std::fmt::Arguments;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

pub enum Target {
    /// Nothing but errors, to standard error: what main prints.
    Quiet,
    Stderr,
    Syslog,
    File(PathBuf),
}

struct Log {
    name: String,
    level: Level,
    target: Target,
    file: Option<File>,
}

static LOG: Mutex<Option<Log>> = Mutex::new(None);

/// Where messages go from now on. `name` is what syslog shows.
pub fn init(name: &str, target: Target, level: Level) {
    let file = match &target {
        Target::File(path) => open(path),
        _ => None,
    };
    with(|log| {
        *log = Some(Log {
            name: name.into(),
            level,
            target,
            file,
        })
    });
}

/// Whether messages go to standard error, where main prints the error itself.
pub fn is_stderr() -> bool {
    let mut is = true;
    with(|log| {
        is = match log {
            None => true,
            Some(log) => match log.target {
                Target::Stderr => true,
                // One that cannot be opened: see write().
                Target::File(_) => log.file.is_none(),
                Target::Quiet | Target::Syslog => false,
            },
        }
    });
    is
}

/// Opens the log file anew, after logrotate moved it away. False without one, or when it cannot be opened.
pub fn reopen() -> bool {
    let mut opened = false;
    with(|log| {
        if let Some(Log {
            target: Target::File(path),
            file,
            ..
        }) = log
        {
            *file = open(path);
            opened = file.is_some();
        }
    });
    opened
}

fn open(path: &Path) -> Option<File> {
    OpenOptions::new().append(true).create(true).open(path).ok()
}

fn with(f: impl FnOnce(&mut Option<Log>)) {
    f(&mut LOG.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
}

pub fn write(level: Level, message: Arguments<'_>) {
    with(|log| {
        let Some(log) = log else { return };
        if level > log.level {
            return;
        }
        let text = crate::error::one_line(&message.to_string());
        // A message that cannot be delivered has nowhere else to go.
        let _ = match (&log.target, &mut log.file) {
            (Target::Quiet, _) => Ok(()),
            (Target::Stderr, _) | (Target::File(_), None) => {
                writeln!(std::io::stderr(), "{}: {text}", log.name)
            }
            (Target::File(_), Some(file)) => {
                writeln!(
                    file,
                    "{}|{}|{level:?}|{text}",
                    utc(SystemTime::now()),
                    log.name
                )
            }
            (Target::Syslog, _) => syslog(&log.name, level, &text),
        };
    });
}

fn syslog(name: &str, level: Level, text: &str) -> std::io::Result<()> {
    const FACILITY_DAEMON: u8 = 3 << 3;
    let socket = UnixDatagram::unbound()?;
    let priority = FACILITY_DAEMON | level as u8;
    let line = format!("<{priority}>{name}[{}]: {text}", std::process::id());
    socket.send_to(line.as_bytes(), "/dev/log").map(|_| ())
}

/// The time as ovs-vswitchd logs it, UTC: 2026-11-27T00:20:00Z.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of year 0, in eras of 400 years: leap days come last in such a year.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Info, format_args!($($arg)*)) };
}

#[macro_export]
macro_rules! warning {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Warning, format_args!($($arg)*)) };
}

#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => { $crate::log::write($crate::log::Level::Debug, format_args!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_of_date_u() {
        let at = |s| utc(UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(at(4_102_444_800), "2100-01-01T00:00:00Z");
    }
}
