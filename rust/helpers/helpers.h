/* SPDX-License-Identifier: GPL-2.0 */
/* Prototypes of the helpers: what the kernel offers C as a macro or an inline function, as functions for Rust. */
#ifndef OVS_HELPERS_H
#define OVS_HELPERS_H

#include <linux/types.h>
#include "compat.h"

void rust_helper_BUG(void);

#endif
