// SPDX-License-Identifier: GPL-2.0
//! The kernel made safe; knows nothing of Open vSwitch.

#[path = "bindings/lib.rs"]
pub mod bindings;
