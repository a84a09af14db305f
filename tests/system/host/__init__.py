# SPDX-License-Identifier: GPL-2.0
"""The part of the VM harness that runs on the build machine (standard library only)."""
