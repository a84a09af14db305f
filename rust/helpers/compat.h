/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels this module builds for lives in this file. It asks features.h, which
 * tools/feature-test.sh makes from features.list by trying the target's headers, and never LINUX_VERSION_CODE:
 * stable series change interfaces midway.
 */
#ifndef OVS_COMPAT_H
#define OVS_COMPAT_H

#include "features.h"

#endif
