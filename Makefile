# SPDX-License-Identifier: GPL-2.0
# Verbs for people; `make help` lists them. Kbuild says what the module is made of, rust/mode.mk how.

SHELL := /bin/bash
O     ?= out
OPT   ?= 3
KVER  ?= 6.1
export OVS_RS_CACHE ?= $(HOME)/.cache/openvswitch-rs
src   := $(CURDIR)

.PHONY: help modules clean
help:
	@cat tools/help.txt

# KDIR: a directory of kernel headers. KVER: 6.1 or 6.12 (Debian's, fetched into the cache) or the name of an installed kernel.
modules:
	@tools/build-modules.sh -o "$(O)" -k "$(KVER)" -d "$(KDIR)" -O "$(OPT)"

clean:
	rm -rf out userspace-shim/target
