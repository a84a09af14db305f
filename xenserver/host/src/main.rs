// SPDX-License-Identifier: GPL-2.0
//! The program: picks the tool by the name it was started under, or by its first argument.
#![forbid(unsafe_code)]

use ovs_xenserver::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect())
}
