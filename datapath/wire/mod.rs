// SPDX-License-Identifier: GPL-2.0
//! Views over protocol headers, one file a protocol. Depends on `core` only.

pub mod be;
