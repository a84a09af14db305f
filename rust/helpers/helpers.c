// SPDX-License-Identifier: GPL-2.0
/*
 * The C half of rust/: what the kernel offers C as a macro or an inline function. One file for each
 * subject, all included here, so that they are one object.
 */
#include "helpers.h"

#include "conntrack.c"
#include "frag.c"
#include "genetlink.c"
#include "mpls.c"
#include "net.c"
#include "netdev.c"
#include "nsh.c"
#include "psample.c"
#include "skbuff.c"
#include "sync.c"
#include "tc.c"
#include "tunnel.c"
#include "tunnel_dev.c"
#ifndef OVS_KERNEL_CRATE
#include "kernel.c"
#endif
#ifdef OVS_KUNIT
#include "kunit.c"
#endif
