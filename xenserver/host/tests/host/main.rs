// SPDX-License-Identifier: GPL-2.0
//! The tools as programs, on a host that is a directory: a xapi that speaks XML-RPC with another implementation than
//! ours, a real ovsdb-server and ovs-vswitchd (with devices that are none), and programs that write down how they were
//! called in place of those that would change this machine.

mod plugin;
mod reconfigure;
mod sandbox;
mod service;
mod sync;
mod tools;
