// SPDX-License-Identifier: GPL-2.0
//! What Open vSwitch needs on a XenServer host beside its own daemons: the tools that xapi, udev and init run. All of
//! them are one program; `main.rs` picks the tool by the name it was started under.
#![forbid(unsafe_code)]

pub mod cfg_update;
pub mod cli;
pub mod command;
pub mod error;
pub mod host;
pub mod http;
pub mod log;
pub mod netdb;
pub mod ovsdb;
pub mod reconfigure;
pub mod sysconfig;
#[cfg(test)]
mod testing;
pub mod unixctl;
pub mod vif;
pub mod vsctl;
pub mod xapi;
pub mod xapi_sync;
pub mod xapi_update;
pub mod xml;
pub mod xmlrpc;

/// The package's version, as `build` hands it over; of a plain cargo build the crate's.
pub const VERSION: &str = match option_env!("OPENVSWITCH_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};
