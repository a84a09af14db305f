// SPDX-License-Identifier: GPL-2.0
//! Flows: key, extraction from packets, masks, and the megaflow table.

pub mod extract;
pub mod hash;
pub mod key;
pub mod mask;
