// SPDX-License-Identifier: GPL-2.0
//! Stand-in for the in-tree `kernel` crate.
#![no_std]

use core::fmt::{self, Write};

pub mod prelude {
    //! The names that every file wants.
    pub use crate::pr_info;
}

extern "C" {
    fn rust_helper_BUG();
    fn _printk(fmt: *const u8, ...) -> i32;
}

struct Buffer {
    bytes: [u8; 256],
    used: usize,
}

impl Write for Buffer {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.len() - 1 - self.used;
        let n = s.len().min(room);
        self.bytes[self.used..self.used + n].copy_from_slice(&s.as_bytes()[..n]);
        self.used += n;
        Ok(())
    }
}

/// Prints at `level`.
#[doc(hidden)]
#[inline(never)]
pub fn print(level: u8, args: fmt::Arguments<'_>) {
    let mut buffer = Buffer {
        bytes: [0; 256],
        used: 0,
    };
    let _ = buffer.write_fmt(args);
    let format = [
        1, level, b'o', b'p', b'e', b'n', b'v', b's', b'w', b'i', b't', b'c', b'h', b':', b' ',
        b'%', b's', 0,
    ];
    // SAFETY: Both strings end with a nul, and the format takes one string.
    unsafe { _printk(format.as_ptr(), buffer.bytes.as_ptr()) };
}

/// Prints an informational message.
#[macro_export]
macro_rules! pr_info {
    ($($t:tt)*) => { $crate::print(b'6', format_args!($($t)*)) }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    print(b'0', format_args!("{}\n", info));
    // SAFETY: BUG() does not return. The ud2 gives objtool, which does not know that, a dead end.
    unsafe {
        rust_helper_BUG();
        core::arch::asm!("ud2", options(noreturn))
    }
}
