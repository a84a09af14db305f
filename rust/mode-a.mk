# SPDX-License-Identifier: GPL-2.0
# Mode A: kmod/main.o for a kernel with CONFIG_RUST, by Kbuild's own rule for .rs files: against the kernel's `core`, `kernel`,
# `macros` and `pin_init`, with its flags and its compiler. rust/kernel is not compiled.

# rust/bindings/lib.rs includes what lies there.
export OVS_OUT := $(abspath $(rk))

# Kbuild names a crate by its file, and this one is main.rs.
RUSTFLAGS_kmod/main.o += --crate-name openvswitch $(rk_cfgs)
$(obj)/kmod/main.o: $(rk)/bindings_generated.rs $(rk)/features.cfg
# UML's own flags make relocations through the GOT, which its module loader does not know.
rustflags-$(CONFIG_UML) += -Crelocation-model=static -Ccode-model=large
# helpers.c: the kernel has what rust/kernel would need.
ccflags-y += -DOVS_KERNEL_CRATE
# Where the kernel has KUnit the module has suites.
ccflags-$(filter y,$(CONFIG_KUNIT)) += -DOVS_KUNIT
# UML's io.h adds to a null pointer, at which clang warns.
ccflags-$(CONFIG_UML) += $(if $(CONFIG_CC_IS_CLANG),-Wno-null-pointer-arithmetic)
