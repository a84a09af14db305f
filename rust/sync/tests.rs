// SPDX-License-Identifier: GPL-2.0
//! Behaviour of the RCU containers, alone and under threads.
