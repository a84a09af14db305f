# SPDX-License-Identifier: GPL-2.0
# Mode B: kmod/main.o for a kernel without CONFIG_RUST, or without its crates.
#
# Every code generation flag below follows the target kernel's configuration, never its version.
#
#   target.json  the target, then libcore and a compiler_builtins stub, both kept in the cache
#   libkernel    rust/kernel/, the stand-in for the in-tree `kernel` crate
#   libmacros    rust/macros/, the one for `macros`; only in a build with suites (OVS_KUNIT), of which nothing is in any other
#   kmod/main.o  the module: one crate, fat LTO with all of the above, then objtool
#
# From the Makefile: OVS_RUSTC, OVS_RUSTC_VERSION, OVS_CORE_SRC, OVS_RS_CACHE, OVS_OPT, OVS_KUNIT.

OVS_RUSTC   ?= rustc
OVS_OPT     ?= 3
OVS_RS_CACHE ?= $(HOME)/.cache/openvswitch-rs

# $(call rk_cfg,NAMES,FLAGS): FLAGS if one of the options CONFIG_<NAME> is y. Mitigations changed their
# spelling (CONFIG_RETPOLINE, later CONFIG_MITIGATION_RETPOLINE), so both are asked for.
rk_cfg = $(if $(filter y,$(foreach c,$(1),$(CONFIG_$(c)))),$(2))
rk_retpoline := $(call rk_cfg,RETPOLINE MITIGATION_RETPOLINE,y)
rk_rethunk   := $(call rk_cfg,RETHUNK MITIGATION_RETHUNK,y)
rk_sls       := $(call rk_cfg,SLS MITIGATION_SLS,y)

rk_rustc_minor := $(word 2,$(subst ., ,$(OVS_RUSTC_VERSION)))
# $(call rk_rustc_ge,MINOR): non-empty if rustc is 1.MINOR or newer.
rk_rustc_ge = $(shell [ $(rk_rustc_minor) -ge $(1) ] && echo y)

# $(call rk_z,NAME[=VALUE]): -Z option, if this rustc knows it. One that it does not know is a refinement that it lacks.
rk_z_known := $(shell MAKEFLAGS= RUSTC_BOOTSTRAP=1 $(OVS_RUSTC) -Zhelp | sed -n 's/^ *-Z *\([a-z-]*\).*/\1/p')
rk_z = $(if $(filter $(firstword $(subst =, ,$(1))),$(rk_z_known)),-Z$(1))

# ---- flags -----------------------------------------------------------------------------------------
rk_features := -mmx +soft-float \
  $(if $(rk_retpoline),+retpoline-external-thunk +retpoline-indirect-branches +retpoline-indirect-calls) \
  $(if $(rk_sls),+harden-sls-ijmp +harden-sls-ret)

define rk_target_json
{
  "arch": "x86_64",
  $(if $(call rk_rustc_ge,86),"rustc-abi": "$(if $(call rk_rustc_ge,95),softfloat,x86-softfloat)"$(comma))
  "data-layout": "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128",
  "features": "$(subst $(space),$(comma),$(strip $(rk_features)))",
  "llvm-target": "x86_64-linux-gnu",
  "supported-sanitizers": ["kcfi", "kernel-address"],
  "target-pointer-width": $(if $(call rk_rustc_ge,91),64,"64"),
  "emit-debug-gdb-scripts": false,
  "frame-pointer": "may-omit",
  "stack-probes": {"kind": "none"}
}
endef

rk_flags := -Zunstable-options \
  -Cpanic=abort -Cforce-unwind-tables=n -Cembed-bitcode=y -Ccodegen-units=1 -Zfunction-sections=n \
  -Crelocation-model=static -Ccode-model=$(if $(CONFIG_UML),large,kernel) -Zplt=yes -Cno-redzone=y \
  -Csymbol-mangling-version=v0 -Copt-level=$(OVS_OPT) -Cdebuginfo=0 \
  -Cdebug-assertions=n -Coverflow-checks=n \
  -Ctarget-cpu=x86-64 -Ztune-cpu=generic \
  -Ctarget-feature=-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2 \
  $(if $(rk_retpoline),$(call rk_z,indirect-branch-cs-prefix)) \
  $(if $(rk_rethunk),-Zfunction-return=thunk-extern) \
  $(if $(rk_retpoline)$(CONFIG_X86_KERNEL_IBT),$(or $(call rk_z,no-jump-tables),-Cjump-tables=n)) \
  $(if $(CONFIG_X86_KERNEL_IBT),-Zcf-protection=branch) \
  $(if $(CONFIG_FUNCTION_ALIGNMENT),-Zmin-function-alignment=$(CONFIG_FUNCTION_ALIGNMENT)) \
  $(if $(CONFIG_CALL_PADDING),-Zpatchable-function-entry=$(CONFIG_FUNCTION_PADDING_BYTES)$(comma)$(CONFIG_FUNCTION_PADDING_BYTES)) \
  $(if $(CONFIG_FRAME_POINTER),-Cforce-frame-pointers=y)

# ---- core and compiler_builtins, from the cache ----------------------------------------------------
define newline


endef
quiet_cmd_ovs_target = TARGET  $@
      cmd_ovs_target = printf '%s\n' '$(subst $(newline),,$(rk_target_json))' > $@
$(rk)/target.json: FORCE
	$(call if_changed,ovs_target)

# $(call rk_run,COMPILER): rustc, or clippy-driver in its place.
rk_run = MAKEFLAGS= CLIPPY_CONF_DIR=$(OVS_SRC) RUSTC_BOOTSTRAP=1 OVS_OUT=$(abspath $(rk)) $(1) --target=$(abspath $(rk))/target.json \
	--sysroot=/dev/null -L $(rk) --remap-path-prefix=$(OVS_SRC)/= --remap-path-prefix=$(OVS_CORE_SRC)/=library/ $(rk_flags)
rk_rustc = $(call rk_run,$(OVS_RUSTC))

quiet_cmd_ovs_core = CORE    $@
      cmd_ovs_core = $(CONFIG_SHELL) $(OVS_SRC)/tools/build-core.sh $(OVS_RS_CACHE)/core $(rk) \
	$(OVS_SRC)/rust/compiler_builtins.rs $(OVS_CORE_SRC) $(OVS_RUSTC_VERSION) $(rk_rustc)
$(rk)/libcore.rlib: $(rk)/target.json $(OVS_SRC)/rust/compiler_builtins.rs $(OVS_SRC)/tools/build-core.sh FORCE
	$(call if_changed,ovs_core)

# ---- KUnit ------------------------------------------------------------------------------------------
ifneq ($(OVS_KUNIT),)
rk_cfgs += '--cfg=CONFIG_KUNIT="y"'
# rustc aligns statics like functions, and C wants the pointers to the suites one after the other.
rk_flags := $(filter-out -Zmin-function-alignment=%,$(rk_flags))
ccflags-y += -DOVS_KUNIT
rk_suites := $(shell find $(OVS_SRC)/kunit -name '*.rs') $(OVS_SRC)/tests/vectors/keys.txt
rk_macros := $(rk)/libmacros.so
# For the host, against the compiler's own std.
rk_host = MAKEFLAGS= CLIPPY_CONF_DIR=$(OVS_SRC) RUSTC_BOOTSTRAP=1 $(1) --edition=2021 $(if $(OVS_STRICT),-Dwarnings) \
	--crate-name macros --crate-type proc-macro --extern proc_macro
quiet_cmd_ovs_macros = RUSTC P $@
      cmd_ovs_macros = $(if $(rk_clippy),$(call rk_host,$(rk_clippy)) -Wclippy::all --emit=metadata=$(rk)/clippy.rmeta $<;) \
	$(call rk_host,$(OVS_RUSTC)) -o $@ $<
$(rk_macros): $(OVS_SRC)/rust/macros/lib.rs FORCE
	$(call if_changed,ovs_macros)
targets += rust/libmacros.so
endif
rk_extern_macros := $(if $(rk_macros),--extern macros=$(rk_macros))

# ---- the `kernel` crate and the module -------------------------------------------------------------
rk_kernel_rs := $(shell find $(OVS_SRC)/rust/kernel -name '*.rs')
rk_module_rs := $(shell find $(OVS_SRC)/kmod $(OVS_SRC)/datapath $(OVS_SRC)/rust -name '*.rs' 2>/dev/null)
rk_lints := --edition=2021 $(rk_cfgs) $(if $(OVS_STRICT),-Dwarnings) -Wunsafe_op_in_unsafe_fn
# OVS_STRICT: no warning allowed, and clippy looks at what only a kernel build sees. (A type of the world can be Copy here
# and not in userspace.)
rk_clippy := $(if $(OVS_STRICT),$(wildcard $(dir $(shell command -v $(OVS_RUSTC)))clippy-driver))
# What Kbuild says of each crate in mode A.
rk_crate_attrs := -Zcrate-attr=no_std '-Zcrate-attr=feature(used_with_arg)'
rk_clippy_lints := -Wclippy::all -Wclippy::undocumented_unsafe_blocks -Wclippy::missing_safety_doc \
  -Aclippy::clone_on_copy

quiet_cmd_ovs_kernel = RUSTC L $@
      cmd_ovs_kernel = $(if $(rk_clippy),$(call rk_run,$(rk_clippy)) $(rk_lints) $(rk_clippy_lints) \
	--crate-name kernel --crate-type rlib $(rk_extern_macros) --emit=metadata=$(rk)/clippy.rmeta $<;) \
	$(rk_rustc) $(rk_lints) --crate-name kernel --crate-type rlib $(rk_extern_macros) \
	--emit=metadata=$(rk)/libkernel.rmeta,link=$@ $<
$(rk)/libkernel.rlib: $(OVS_SRC)/rust/kernel/lib.rs $(rk_kernel_rs) $(OVS_SRC)/rust/bindings/lib.rs \
		$(rk)/bindings_generated.rs $(rk)/libcore.rlib $(rk_macros) $(rk)/features.cfg FORCE
	$(call if_changed,ovs_kernel)

# A staticlib, because --emit=obj would not pull core in; of the archive only the crate's own member,
# which after fat LTO holds everything (linking the whole archive with ld -r would not). Joined by ";", as kbuild's set -e
# does not see a failure before "&&".
#
# Newer kernels' cmd_objtool is the end of a command, with the ";" before it. Older ones' is a command of its own, and
# with CONFIG_MODVERSIONS for another file: there, its parts. And the object gets the symbols of sections that LLVM leaves
# out and the linker does not: without that of .exit.text objtool of 4.19 writes no unwinding table at all.
#
# A name longer than the kernel's KSYM_NAME_LEN (iterators upon iterators have such) is cut: objtool cannot put a prefix to it.
# LLVM asks for bcmp() where only equality matters. Some kernels have none, in others it calls memcmp(), which says enough.
rk_objtool = $(if $(__objtool_obj),; $(LD) -r -o $(rk)/lto.o $@; mv $(rk)/lto.o $@; $(__objtool_obj) $(objtool_args) $@,$(cmd_objtool))
rk_renames = { echo 'bcmp memcmp'; $(NM) $(rk)/lto.o | awk 'length($$NF) > 500 { print $$NF, substr($$NF, 1, 480) ".cut" ++n }'; } > $(rk)/renames
quiet_cmd_ovs_module = RUSTC   $@
      cmd_ovs_module = $(if $(rk_clippy),$(call rk_run,$(rk_clippy)) $(rk_lints) $(rk_clippy_lints) $(rk_crate_attrs) \
	--crate-name openvswitch --crate-type rlib --extern kernel=$(rk)/libkernel.rlib \
	--emit=metadata=$(rk)/clippy.rmeta $<;) \
	$(rk_rustc) $(rk_lints) $(rk_crate_attrs) --crate-name openvswitch --crate-type staticlib -Clto=fat \
	--extern kernel=$(rk)/libkernel.rlib --emit=link=$(rk)/libopenvswitch.a $<; \
	$(AR) p $(rk)/libopenvswitch.a $$($(AR) t $(rk)/libopenvswitch.a | grep '^openvswitch\.') > $(rk)/lto.o; \
	$(rk_renames); \
	$(OBJCOPY) -R .llvmbc -R .llvmcmd -R .comment --redefine-syms=$(rk)/renames $(rk)/lto.o $@ $(rk_objtool)
$(obj)/kmod/main.o: $(OVS_SRC)/kmod/main.rs $(rk_module_rs) $(rk_suites) $(rk)/bindings_generated.rs \
		$(rk)/libcore.rlib $(rk)/libkernel.rlib FORCE
	$(call if_changed,ovs_module)

targets += kmod/main.o $(addprefix rust/,target.json libcore.rlib libkernel.rlib)
