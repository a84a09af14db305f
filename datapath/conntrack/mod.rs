// SPDX-License-Identifier: GPL-2.0
//! Connection tracking: the CT actions, and limits of connections.
//!
//! The world does the tracking: [`crate::datapath::env::conntrack`] is what is asked of it.
//!
//! * [`spec`]: what a CT action says.
//! * [`action`]: the same with what the tracker keeps for it.
//! * [`execute`]: what it does with a packet.
//! * [`state`]: a packet's connection as fields of its key.
//! * [`limits`]: how many connections a zone may have.
//!
//! C counterpart: `net/openvswitch/conntrack.c`.

pub mod action;
pub mod execute;
pub mod limits;
pub mod spec;
pub mod state;
