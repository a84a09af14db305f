// SPDX-License-Identifier: GPL-2.0
//! The log of this thread: `pr_*!` lines, for tests to read. `KERNEL_LOG=1` also prints them.

use std::{cell::RefCell, ffi::CStr};

thread_local! {
    static LINES: RefCell<Vec<(u8, String)>> = const { RefCell::new(Vec::new()) };
    static WARNINGS: RefCell<u32> = const { RefCell::new(0) };
}

pub(crate) fn record(level: u8, prefix: &CStr, text: &CStr) {
    let line = format!("{}: {}", prefix.to_string_lossy(), text.to_string_lossy());
    if std::env::var_os("KERNEL_LOG").is_some() {
        eprint!("<{}>{line}", level as char);
    }
    let _ = LINES.try_with(|l| l.borrow_mut().push((level.wrapping_sub(b'0'), line)));
}

pub(crate) fn warned() {
    let _ = WARNINGS.try_with(|w| *w.borrow_mut() += 1);
}

/// Takes the lines logged by this thread: (level, text).
pub fn take() -> Vec<(u8, String)> {
    LINES.take()
}

/// Takes the number of `warn_on!` that struck on this thread.
pub fn take_warnings() -> u32 {
    WARNINGS.take()
}
