// SPDX-License-Identifier: GPL-2.0
//! What a panic does: log it and stop this thread, as `BUG()` does.

use crate::{leaf, print};

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    print::call_printk(
        print::level::EMERG,
        b"rust_kernel\0",
        format_args!("{}\n", info),
    );
    leaf::bug()
}
