// SPDX-License-Identifier: GPL-2.0
//! Meters: rate limits that flows share (spec 7.1).
//!
//! ```text
//! netlink::meter (parse) ─► control::meter ─► table::MeterTable (in the datapath) ─► meter::Meter::charge, per packet
//! ```
//!
//! * [`meter`]: what a meter is, and the arithmetic of its bucket.
//! * [`table`]: a datapath's meters by id.

#[allow(clippy::module_inception)]
pub mod meter;
pub mod table;

pub use meter::Meter;
pub use table::MeterTable;
