# SPDX-License-Identifier: GPL-2.0
# Verbs for people; `make help` lists them. Kbuild says what the module is made of, rust/mode.mk how.

SHELL := /bin/bash
O       ?= out
SECONDS_EACH ?= 60
OPT     ?= 3
KVER    ?= 6.1
KERNELS ?= 6.1,6.12
export OVS_WITHOUT = $(WITHOUT)
export OVS_MODE = $(MODE)
export OVS_RS_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/openvswitch-rs

.PHONY: help modules features loads demo ovn-demo check test host-test loom asan fuzz lint rustdoc walls abi-coverage kunit vm-test system bench replay dist toolchain rpm deb deb-test xen clean

# What each verb reads. Another variable on its command line, such as CASE=, would be ignored.
modules.reads = KVER KDIR O OPT CC WITHOUT MODE
loads.reads = KO SYMBOLS NAMES
demo.reads = KVER WITHOUT MODE
ovn-demo.reads = KVER
fuzz.reads = SECONDS_EACH TARGETS
kunit.reads = KDIR ARCH FILTER RAW SAN MODE
vm-test.reads = KERNELS CASES APPEND WITHOUT MODE
system.reads = SUITE TESTS KERNELS MODULE AGAIN SOURCE
bench.reads = KERNELS
replay.reads = FLOWS ARGS
rpm.reads = CASES
deb-test.reads = CASES KEEP
xen.reads = KERNELS MODULE CASES
verbs = $(or $(MAKECMDGOALS),help)
reads = $(sort $(foreach verb,$(verbs),$($(verb).reads)))
slips = $(filter-out $(reads) OVS_% CARGO_% RUST%,$(foreach v,$(.VARIABLES),$(if $(filter command,$(origin $v)),$v)))
ifeq ($(MAKELEVEL),0)
$(if $(slips),$(error make $(verbs) does not read $(slips); it reads $(or $(reads),no variables)))
endif

help:
	@cat tools/help.txt

modules:
	@tools/build-modules.sh -o "$(O)$(if $(MODE),/mode-$(MODE))" -k "$(KVER)" -d "$(KDIR)" -O "$(OPT)" -c "$(if $(filter default,$(origin CC)),,$(CC))"

features:
	@for k in 5.10 6.1 6.12 7.3; do OVS_PROBE=y tools/build-modules.sh -o out/features -k $$k || exit; done
	@tools/check-features.sh --table rust/helpers/features.expected out/features > out/features/table
	@mv out/features/table rust/helpers/features.expected
	@cat rust/helpers/features.expected

loads:
	@tools/check-loads.sh $(if $(NAMES),--names) $(KO) $(SYMBOLS)

demo:
	@tools/vm.sh demo "$(KVER)"

ovn-demo:
	@tools/vm.sh ovn-demo "$(KVER)"

check:
	@tools/check.sh

test:
	@tools/cargo.sh test

host-test:
	@xenserver/host/check.sh

loom:
	@tools/cargo.sh loom

asan:
	@tools/cargo.sh asan

fuzz:
	@tools/fuzz.sh $(SECONDS_EACH) $(TARGETS)

lint:
	@tools/cargo.sh lint

rustdoc:
	@tools/cargo.sh rustdoc

walls:
	@tools/check-layers.sh --self-test
	@tools/check-layers.sh

abi-coverage:
	@tools/check-abi.sh --coverage

kunit:
	@kunit/run $(if $(KDIR),--kdir "$(KDIR)") $(if $(ARCH),--arch "$(ARCH)") $(if $(FILTER),--filter "$(FILTER)") $(if $(RAW),--raw) \
		$(if $(SAN),--san $(SAN))

vm-test:
	@tools/vm.sh test "$(KERNELS)" $(if $(APPEND),--append "$(APPEND)") $(CASES)

system:
	@tools/vm.sh system "$(KERNELS)" "$(MODULE)" $(if $(SUITE),--suite "$(SUITE)") $(if $(TESTS),--tests "$(TESTS)") $(if $(AGAIN),--again) \
		$(foreach s,$(SOURCE),--source "$s")

bench:
	@tools/vm.sh bench "$(KERNELS)"

replay:
	@tools/cargo.sh replay "$(FLOWS)"$(if $(ARGS), $(ARGS))

dist:
	@tools/dist.sh

toolchain:
	@tools/toolchain-bundle.sh make

rpm:
	@tools/rpm.sh full $(CASES)

deb:
	@tools/deb.sh build

deb-test:
	@tools/deb.sh full $(if $(KEEP),--keep "$(KEEP)") $(CASES)

xen:
	@tools/xen.sh "$(if $(filter default file,$(origin KERNELS)),6.12,$(KERNELS))" "$(MODULE)" $(CASES)

clean:
	rm -rf out userspace-shim/target xenserver/host/target
