// SPDX-License-Identifier: GPL-2.0
//! The kernel's network made safe, as far as a switch needs it: packets, devices, namespaces, messages.

pub mod conntrack;
pub mod genetlink;
pub mod netdev;
pub mod netns;
pub mod skbuff;
pub mod tunnel_dev;
