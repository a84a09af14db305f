# SPDX-License-Identifier: GPL-2.0
# How the Rust half of the module is made. Included from Kbuild, so auto.conf's CONFIG_* are visible.
#
#   features.h   what this kernel's headers offer (tools/feature-test.sh)
#   bindings     bindgen over rust/bindings/bindings.h
#   kmod/main.o  the module's crate: mode-a.mk against the kernel's own crates, mode-b.mk with all that it brings along
#
# From the Makefile: OVS_SRC (source tree), OVS_BINDGEN, OVS_WITHOUT, OVS_MODE (b: although there are crates), and what mode-b.mk says.

OVS_SRC     ?= $(realpath $(src))
OVS_BINDGEN ?= $(or $(BINDGEN),bindgen)

rk := $(obj)/rust
null  :=
comma := ,
space := $(null) $(null)
hash  := \#

# Distributions have CONFIG_RUST in their headers without the crates: only the crates count.
rk_mode := $(or $(OVS_MODE),$(if $(and $(CONFIG_RUST),$(wildcard $(objtree)/rust/libkernel.rmeta)),a,b))

# ---- bindings --------------------------------------------------------------------------------------
# gcc's flags that clang does not know.
rk_gcc_only := -mno-fp-ret-in-387 -mpreferred-stack-boundary=% -mskip-rax-setup \
  -mgeneral-regs-only -mindirect-branch=% -mindirect-branch-register -mfunction-return=% \
  -mrecord-mcount -mindirect-branch-cs-prefix -mstack-protector-guard% -mharden-sls=% \
  -fconserve-stack -falign-jumps=% -falign-loops=% -fno-ipa-cp-clone -fno-ipa-sra \
  -fno-partial-inlining -fno-reorder-blocks -fno-reorder-blocks-and-partition -fno-allow-store-data-races \
  -fzero-call-used-regs=% -fno-stack-clash-protection -fno-inline-functions-called-once \
  -fsanitize=bounds-strict -fstrict-flex-arrays=% -fmin-function-alignment=% \
  -fzero-init-padding-bits=% -fdiagnostics-show-context% --param=% -mdirect-extern-access \
  -fno-isolate-erroneous-paths-dereference -fno-var-tracking-assignments -Wp$(comma)-MMD$(comma)% -Wp$(comma)-MD$(comma)%
rk_c_flags = $(filter-out -Wp$(comma)-MMD$(comma)% -Wp$(comma)-MD$(comma)%,$(c_flags))
rk_clang_flags = $(filter-out $(rk_gcc_only),$(c_flags)) -w --target=x86_64-linux-gnu \
  -fno-builtin -D__BINDGEN__

quiet_cmd_ovs_features = FEATURE $@
      cmd_ovs_features = OVS_WITHOUT='$(OVS_WITHOUT)' $(CONFIG_SHELL) $(OVS_SRC)/tools/feature-test.sh $< $@ $(rk)/features.cfg $(CC) $(rk_c_flags)
$(rk)/features.h: private part-of-module := y
$(rk)/features.h: $(src)/rust/helpers/features.list $(OVS_SRC)/tools/feature-test.sh FORCE
	$(call if_changed,ovs_features)
$(rk)/features.cfg: $(rk)/features.h ;

# OVS_EXPECT: the kernel whose answers features.expected has.
quiet_cmd_ovs_expect = EXPECT  $@
      cmd_ovs_expect = $(if $(OVS_EXPECT),$(OVS_SRC)/tools/check-features.sh $(rk)/features.h $(OVS_EXPECT) \
	$(OVS_SRC)/rust/helpers/features.expected;) touch $@
$(rk)/features.ok: $(rk)/features.h $(OVS_SRC)/rust/helpers/features.expected $(OVS_SRC)/tools/check-features.sh FORCE
	$(call if_changed,ovs_expect)
rk_c_objects := $(addprefix $(obj)/,kmod/device.o kmod/families.o kmod/tables.o kmod/trace.o rust/helpers/helpers.o)
$(rk)/bindings_generated.rs $(rk_c_objects): $(rk)/features.ok

# The words of bindgen_parameters, quoted for the shell.
rk_bindgen_args = $(shell awk '!/^$(hash)/ { for (i = 1; i <= NF; i++) printf "\047%s\047 ", $$i }' \
	$(src)/rust/bindings/bindgen_parameters)
quiet_cmd_ovs_bindgen = BINDGEN $@
      cmd_ovs_bindgen = $(OVS_BINDGEN) $< $(rk_bindgen_args) \
	--rust-target 1.85 --use-core --ctypes-prefix core::ffi --no-layout-tests --no-debug '.*' --formatter none \
	--enable-function-attribute-detection --no-doc-comments -o $@.tmp -- $(rk_clang_flags); \
	sed -E 's/pub const RUST_CONST_HELPER_([a-zA-Z0-9_]*)/pub const \1/g' $@.tmp > $@; rm -f $@.tmp
rk_c_headers := $(wildcard $(src)/rust/bindings/*.h $(src)/rust/helpers/*.h $(src)/kmod/*.h)
$(rk)/bindings_generated.rs: private part-of-module := y
$(rk)/bindings_generated.rs: $(src)/rust/bindings/bindings.h $(rk_c_headers) \
		$(src)/rust/bindings/bindgen_parameters $(rk)/features.h FORCE
	$(call if_changed,ovs_bindgen)
$(rk_c_objects): $(rk)/features.h

# The objtool of some old kernels takes gcc's jump into the cold part of a function for one out of it.
ccflags-y += $(if $(CONFIG_OBJTOOL),,$(call cc-option,-fno-reorder-blocks-and-partition))

# The cfgs of the sources, whichever mode. As soon as rustc knows one it wants to know all.
rk_cfgs := '--check-cfg=cfg(test, loom, MODULE)' '--check-cfg=cfg(CONFIG_KUNIT, values("y"))' @$(rk)/features.cfg

targets += $(addprefix rust/,features.h features.ok bindings_generated.rs)
clean-files += rust
include $(src)/rust/mode-$(rk_mode).mk
