// SPDX-License-Identifier: GPL-2.0
//! Vports and their table.

pub mod port;
pub mod table;
