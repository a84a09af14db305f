/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads: the kernel's headers that rust/ and kmod/ need, and our helpers. */
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include "helpers.h"

/* bindgen cannot evaluate casts in macros: these become constants of the name after the prefix. */
static const gfp_t RUST_CONST_HELPER_GFP_KERNEL = GFP_KERNEL;
static const gfp_t RUST_CONST_HELPER_GFP_ATOMIC = GFP_ATOMIC;
static const gfp_t RUST_CONST_HELPER___GFP_ZERO = __GFP_ZERO;
