// SPDX-License-Identifier: GPL-2.0
//! Puts the flows that a real host has into the module's flow table, and says what it costs to find them.
//!
//! Reads what `ovs-appctl dpctl/dump-flows -m` prints. No kernel and no switch daemon has a part in it: text becomes
//! netlink attributes ([`fields`]), the datapath's own parser makes keys and masks of these, and its own table keeps them
//! ([`replay`]).

mod fields;
mod line;
mod replay;
#[cfg(test)]
mod tests;
mod value;

use clap::Parser;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

/// Says what it costs to find the flows of a dump in the module's flow table.
///
/// On the host: ovs-appctl dpctl/dump-flows -m > flows.txt
#[derive(Parser)]
struct Args {
    /// Leave out lines that cannot be read, and say how many.
    #[arg(long)]
    skip: bool,
    /// Take in flows that are elsewhere than in the kernel module, such as those of tc.
    #[arg(long)]
    all: bool,
    /// Packets to look for of each flow.
    #[arg(long, default_value_t = 8)]
    packets: u32,
    /// The dump, `-` for standard input.
    file: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String, String> {
    let mut bytes = vec![];
    let stdin = args.file.as_os_str() == "-";
    let read = if stdin {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(&args.file).map(|b| bytes = b)
    };
    let name = if stdin {
        "standard input".into()
    } else {
        args.file.display().to_string()
    };
    read.map_err(|e| format!("{name}: {e}"))?;
    let options = replay::Options {
        skip: args.skip,
        all: args.all,
        packets: args.packets,
    };
    told(&name, &bytes, options)
}

/// What there is to print of a dump of this name; the error is what to print instead.
fn told(name: &str, bytes: &[u8], options: replay::Options) -> Result<String, String> {
    let report = replay::replay(&String::from_utf8_lossy(bytes), options)
        .map_err(|why| format!("{name}: {why}"))?;
    if report.flows == 0 {
        let all = format!("no flows in {name}\n{}", report.left);
        return Err(all.trim_end().to_owned());
    }
    Ok(report.to_string())
}
