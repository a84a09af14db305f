// SPDX-License-Identifier: GPL-2.0
//! The kernel log. C counterpart: `include/linux/printk.h`.
//!
//! The crate root defines `const __LOG_PREFIX: &[u8]`, the module's name ended by a NUL.

use core::fmt::{self, Write};

/// Log levels, as `KERN_*` has them.
#[doc(hidden)]
pub mod level {
    pub const EMERG: u8 = b'0';
    pub const ALERT: u8 = b'1';
    pub const CRIT: u8 = b'2';
    pub const ERR: u8 = b'3';
    pub const WARNING: u8 = b'4';
    pub const NOTICE: u8 = b'5';
    pub const INFO: u8 = b'6';
    pub const DEBUG: u8 = b'7';
}

/// One line, cut to what a printk record sensibly holds; always ended by a NUL.
struct Line {
    text: [u8; 256],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.text.len() - 1;
        if let Some(room) = self.text.get_mut(self.len..end) {
            for (to, from) in room.iter_mut().zip(s.bytes()) {
                *to = from;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Formats and logs. Use the `pr_*!` macros.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn call_printk(level: u8, prefix: &[u8], args: fmt::Arguments<'_>) {
    let mut line = Line {
        text: [0; 256],
        len: 0,
    };
    let _ = line.write_fmt(args);
    let prefix = core::ffi::CStr::from_bytes_until_nul(prefix).unwrap_or(c"");
    if let Ok(text) = core::ffi::CStr::from_bytes_until_nul(&line.text) {
        crate::leaf::printk(level, prefix, text);
    }
}

/// Behind `warn_on!`.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn warn(file: &'static str, line: u32) {
    call_printk(
        level::WARNING,
        b"openvswitch\0",
        format_args!("WARN_ON at {file}:{line}\n"),
    );
    crate::leaf::warn();
}

#[doc(hidden)]
#[macro_export]
#[allow(
    clippy::crate_in_macro_def,
    reason = "the prefix is the caller's, as upstream"
)]
macro_rules! print_macro {
    ($level:ident, $($arg:tt)+) => {
        $crate::print::call_printk(
            $crate::print::level::$level,
            crate::__LOG_PREFIX,
            ::core::format_args!($($arg)+),
        )
    };
}

/// Logs at level 0.
#[macro_export]
macro_rules! pr_emerg { ($($arg:tt)*) => { $crate::print_macro!(EMERG, $($arg)*) }; }
/// Logs at level 1.
#[macro_export]
macro_rules! pr_alert { ($($arg:tt)*) => { $crate::print_macro!(ALERT, $($arg)*) }; }
/// Logs at level 2.
#[macro_export]
macro_rules! pr_crit { ($($arg:tt)*) => { $crate::print_macro!(CRIT, $($arg)*) }; }
/// Logs at level 3.
#[macro_export]
macro_rules! pr_err { ($($arg:tt)*) => { $crate::print_macro!(ERR, $($arg)*) }; }
/// Logs at level 4.
#[macro_export]
macro_rules! pr_warn { ($($arg:tt)*) => { $crate::print_macro!(WARNING, $($arg)*) }; }
/// Logs at level 5.
#[macro_export]
macro_rules! pr_notice { ($($arg:tt)*) => { $crate::print_macro!(NOTICE, $($arg)*) }; }
/// Logs at level 6.
#[macro_export]
macro_rules! pr_info { ($($arg:tt)*) => { $crate::print_macro!(INFO, $($arg)*) }; }
/// Type-checks, logs nothing: `DEBUG` is off in this module.
#[macro_export]
macro_rules! pr_debug {
    ($($arg:tt)*) => {
        if false {
            $crate::print_macro!(DEBUG, $($arg)*)
        }
    };
}
