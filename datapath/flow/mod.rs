// SPDX-License-Identifier: GPL-2.0
//! Flows: key, extraction from packets, masks, and the megaflow table.
//!
//! * [`key`], [`parts`], [`mask`], [`hash`]: what flows match, and how that is compared.
//! * [`extract`]: a packet's key.
//! * [`entry`], [`stats`]: a flow.
//! * [`table`]: all of them; [`mask_list`] and [`mask_cache`] are parts of its lookup.

pub mod entry;
pub mod extract;
pub mod hash;
pub mod key;
pub mod mask;
mod mask_cache;
mod mask_list;
pub mod parts;
pub mod stats;
pub mod table;
