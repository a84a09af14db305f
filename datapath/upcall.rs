// SPDX-License-Identifier: GPL-2.0
//! Packets on their way to userspace (spec section 5).
