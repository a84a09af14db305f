// SPDX-License-Identifier: GPL-2.0
//! Compiled action lists and their execution.
