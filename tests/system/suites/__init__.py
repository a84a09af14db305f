# SPDX-License-Identifier: GPL-2.0
"""Test suites that others wrote, run unmodified in VMs: OVS's and OVN's own, and the kernel's selftests."""
