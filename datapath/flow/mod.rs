// SPDX-License-Identifier: GPL-2.0
//! Flows: key, extraction from packets, masks, and the megaflow table.
//!
//! * [`key`], [`parts`], [`mask`], [`hash`]: what flows match, and how that is compared.
//! * [`extract`]: a packet's key.
//! * [`entry`], [`stats`]: a flow.
//! * [`table`]: all of them, and [`masks`], which they share.

pub mod entry;
pub mod extract;
pub mod hash;
pub mod key;
pub mod mask;
mod masks;
pub mod parts;
pub mod stats;
pub mod table;
