// SPDX-License-Identifier: GPL-2.0
//! A package needs a library or a program.
