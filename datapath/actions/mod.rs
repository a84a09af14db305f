// SPDX-License-Identifier: GPL-2.0
//! Compiled action lists and their execution.
//!
//! ```text
//! netlink::actions::parse ─► validate::Checker ─► list::Actions (in the flow) ─► execute::execute, per packet
//! ```
//!
//! * [`action`], [`list`]: what a compiled list is, and what in it.
//! * [`validate`]: the only way to make one.
//! * [`execute`]: runs one on a packet; [`straight`], [`output`], [`set_field`], [`push_pop`], [`tell`],
//!   [`nested`] and [`defer`] are its longer parts.
//! * [`aggregate`]: what packets may cost that stand for many.

mod action;
pub mod aggregate;
pub mod defer;
pub mod execute;
mod jhash;
pub mod list;
mod nested;
mod output;
mod push_pop;
pub mod set_field;
mod straight;
mod tell;
pub mod validate;

pub use list::{Action, Actions};
