// SPDX-License-Identifier: GPL-2.0
/* What is static and native to C: the module's description. */
#include <linux/module.h>

MODULE_DESCRIPTION("Open vSwitch switching datapath in Rust");
MODULE_LICENSE("GPL");
