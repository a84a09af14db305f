// SPDX-License-Identifier: GPL-2.0
//! Formatting. Upstream's `Display` is a trait of its own, with which `pr_info!("{}")` and its like print; here it is `core`'s.

pub use core::fmt::{Arguments, Debug, Display, Error, Formatter, Result, Write};
