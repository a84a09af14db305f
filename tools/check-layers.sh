#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-layers.sh [TOP] | --self-test
#
# The walls: who may name what and where `unsafe` may stand (tools/layers.rules), that unsafe is argued, that files say
# what they are, that numbers of protocols stand in datapath/wire, that no source asks for the kernel's version, that what is
# cited of docs/abi.md is there (check-abi.sh), and that links of Markdown lead to files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

sources() { # of the tree, not of what is built in it
	find datapath rust kmod kunit userspace-shim tests tools "$@" \
		\( -name target -o -name out -o -name __pycache__ \) -prune -o -type f -print 2>/dev/null | sort
}

links() { # of Markdown to files
	local f line link
	find . \( -name target -o -name out -o -name .git \) -prune -o -name '*.md' -print | sort | while read -r f; do
		{ grep -noE '\]\([^)#:]+[):#]' "$f" || :; } | while IFS=: read -r line link; do
			link=${link#*\(}
			case $link in http | https) ;; *) [ -e "${f%/*}/${link%[)#]}" ] || echo "$f:$line: no such file: ${link%[)#]}" ;; esac
		done
	done
}

check() { # TOP
	local f bad
	cd "$1"
	bad=$({
		for f in $(sources | grep '\.rs$'); do
			awk -v rules="$here/layers.rules" -v path="$f" -f "$here/check-layers.awk" "$f"
		done
		[ -e datapath/mod.rs ] || echo "datapath/mod.rs: missing"
		for f in $(sources Makefile Kbuild | grep -E '\.([chS]|sh|awk|mk|py|list|rules)$|^(Makefile|Kbuild)$'); do
			head -n 12 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0' || echo "$f:1: no SPDX line"
		done
		grep -nE '^[^*]*(LINUX_VERSION_CODE|KERNEL_VERSION *\()' $(sources | grep -E '\.[ch]$') /dev/null |
			sed 's/\([^:]*:[0-9]*\):.*/\1: asks for the kernel'"'"'s version; probe a feature instead/' || :
		links
		"$here/check-abi.sh" .
	})
	[ -z "$bad" ] || { printf '%s\n' "$bad"; return 1; }
}

self_test() {
	local t n=0
	t=$(mktemp -d)
	trap 'rm -rf "$t"' RETURN
	local spdx='// SPDX-License-Identifier: GPL-2.0' doc='//! A file.'
	local i=9 # an item's number, out of sight of check-abi.sh: this file is checked, too
	tree() {
		rm -rf "$t/x"
		mkdir -p "$t"/x/{datapath/{wire,flow,netlink,control},rust/{sync,net,kernel},kmod,userspace-shim/src}
		printf '%s\n' "$spdx" "$doc" '#![forbid(unsafe_code)]' 'pub mod flow;' > "$t/x/datapath/mod.rs"
		file datapath/wire/ip.rs 'pub const IPV4: u16 = 0x0800;' 'pub const ETH_HLEN: usize = 14;' 'use core::mem;' 'use super::be::Be16;' '// unsafe { } in a comment'
		file datapath/flow/key.rs 'use crate::rust::sync::{RcuSlot, PerCpu};' 'use kernel::alloc::KVec;' \
			'use crate::datapath::wire::{self, ip::{A, B as C}};' 'use super::mask;' 'const S: &str = "unsafe { // ";' \
			'const MAC_PROTO_NONE: u8 = 0; // 0x0800' 'const VLAN_HLEN: usize = wire::HLEN;' 'const F: u32 = 0x80f | 0x8_0800;' \
			'#[cfg(test)]' 'mod tests {' '    const ETH_IPV4: u16 = 0x0800;' '    use std::vec::Vec;' '    use crate::datapath::netlink::key;' '}'
		file datapath/netlink/flow.rs 'use crate::datapath::flow::key::Key;' 'use super::attr;'
		file datapath/control/flow.rs 'use crate::datapath::netlink::flow;' 'use crate::datapath::flow::Table;'
		file rust/sync/slot.rs 'use kernel::sync::rcu;' '/// Reads.' '///' '/// # Safety' '///' '/// The caller does.' \
			'#[inline]' 'pub unsafe fn read(p: *const u8) -> u8 {' '    // SAFETY: The caller promises.' '    unsafe { *p }' '}' \
			'// SAFETY: No state.' 'unsafe impl Send for X {}' 'fn f() {' '    // SAFETY: It is so.' '    let x =' '        unsafe { g() };' '}'
		file rust/net/skb.rs 'use crate::rust::bindings::sk_buff;'
		file rust/kernel/lib.rs 'use crate::alloc::KBox;'
		file kmod/main.rs 'use crate::datapath::control;' 'use crate::rust::net::skb;'
		file userspace-shim/src/lib.rs 'use std::vec::Vec;'
		mkdir -p "$t/x/docs" "$t/x/tests"
		printf '%s\n' '# Interface' '## 4 Actions' '### 4.3 Output' '- <a id="a1"></a>**A1** One.' '- <a id="a2"></a>**A2** As A1.' '- <a id="a5"></a>**A5** .' \
			'| <a id="l2"></a>**L2** | Two. |' '```' "A$i" '```' > "$t/x/docs/abi.md"
		file datapath/cite.rs '// spec 4.3: A1 to A2, A1-A2 (spec L2), A2e; error E0308, an L4 header, 0xA'$i', A-'$i "const A$i: u8 = b'\"'; // A1" \
			"fn f(x: A$i) { g(\"A2: no\", A$i) }" '/* A1' ' * A2 */'
		printf '%s\n' '# SPDX-License-Identifier: GPL-2.0' "A$i = [\"A1\", 'A2 it is', A$i]  # A1" > "$t/x/tests/c.py"
	}
	file() { local f=$t/x/$1; shift; mkdir -p "$(dirname "$f")"; printf '%s\n' "$spdx" "$doc" "$@" > "$f"; }
	good() { n=$((n + 1)); (check "$t/x") > "$t/log" || { cat "$t/log"; die "check-layers: self-test: good input refused: $1"; }; }
	bad() { n=$((n + 1)); ! (check "$t/x") > "$t/log" || die "check-layers: self-test: bad input passes: $1"; }
	# add FILE LINE...: the good tree with these lines added, which must be refused.
	add() { local f=$1; shift; tree; [ -e "$t/x/$f" ] || file "$f"; sed -i '2r /dev/stdin' "$t/x/$f" <<< "$(printf '%s\n' "$@")"; bad "$f: $*"; }

	tree; good "the tree"
	add datapath/wire/ip.rs 'use kernel::alloc::KVec;'
	add datapath/wire/ip.rs 'use crate::datapath::flow::key::Key;'
	add datapath/wire/ip.rs 'use super::super::flow::Key;'
	add datapath/flow/key.rs 'use crate::datapath::netlink::attr;'
	add datapath/flow/key.rs 'use crate::datapath::{wire, netlink::{attr, writer}};'
	add datapath/flow/key.rs 'use crate::datapath::{' '    wire,' '    control::flow,' '};'
	add datapath/flow/mod.rs 'use super::control::flow;'
	add datapath/flow/key.rs 'fn f() { crate::datapath::control::g() }'
	add datapath/flow/key.rs 'use crate::rust::bindings;'
	add datapath/flow/key.rs 'use crate::rust::net::skb;'
	add datapath/flow/key.rs 'use std::vec::Vec;'
	add datapath/flow/key.rs 'fn f() { unsafe { g() } }'
	add datapath/netlink/flow.rs 'use crate::datapath::control::flow;'
	add datapath/actions/x.rs 'use crate::datapath::netlink;'
	add datapath/upcall.rs 'use crate::datapath::control::dp;'
	add datapath/datapath.rs 'use crate::datapath::netlink::writer;'
	add rust/sync/slot.rs 'use crate::rust::bindings::sk_buff;'
	add rust/sync/slot.rs 'use crate::datapath::flow;'
	add rust/net/skb.rs 'use crate::datapath::env::Packet;'
	add rust/kernel/lib.rs 'use std::vec::Vec;'
	add datapath/flow/key.rs 'const IPV4: u16 = 0x0800;'
	add datapath/netlink/flow.rs 'fn f(t: u16) -> bool { matches!(t, 0x86DD | 1) }'
	add datapath/actions/x.rs 'const PROTO_TCP: u8 = 6;'
	add datapath/upcall.rs 'pub(super) const VLAN_HLEN: usize = 4;'
	add rust/net/skb.rs 'pub const ETH_HLEN: usize = 14;'
	add kmod/main.rs 'const IPPROTO_UDP: u8 = 17;'
	add kmod/main.rs 'use std::vec::Vec;'
	add kmod/main.rs 'fn f() {' '    unsafe { g() }' '}'
	add kmod/main.rs '/// Does.' 'pub unsafe fn f() {}'
	add kmod/main.rs 'pub unsafe extern "C" fn f() {}'
	add kmod/main.rs 'unsafe impl Send for X {}'
	add kmod/main.rs '// SAFETY: For the first only.' 'fn f() { unsafe { g() } }' 'fn h() {' '    unsafe { g() }' '}'
	add userspace-shim/src/lib.rs 'fn f() { unsafe { g() } }'
	add userspace-shim/src/lib.rs 'use crate::rust::bindings;'
	tree; sed -i '/forbid/d' "$t/x/datapath/mod.rs"; bad "no forbid(unsafe_code)"
	tree; sed -i 1d "$t/x/kmod/main.rs"; bad "no SPDX line"
	tree; sed -i 2d "$t/x/kmod/main.rs"; bad "no //! line"
	tree; printf '/* SPDX-License-Identifier: GPL-2.0 */\n#if LINUX_VERSION_CODE > 1\n' > "$t/x/kmod/t.c"; bad "version in C"
	tree; printf 'int x;\n' > "$t/x/kmod/t.c"; bad "C without SPDX"
	tree; rm "$t/x/datapath/mod.rs"; bad "no datapath"
	add datapath/cite.rs "// As C does (A$i)."
	add datapath/cite.rs "// As C does (spec A1, A$i)."
	add datapath/cite.rs '/*' " * See A$i. */"
	add datapath/cite.rs "fn g() { h(\"A$i: it failed\") }"
	add datapath/cite.rs "// A1-A$i"
	add datapath/cite.rs "// A2 to A5"
	add datapath/cite.rs "// spec A""100"
	add datapath/cite.rs "// spec 4.""2"
	add datapath/cite.rs "// spec 4.3 and 4.""4"
	add datapath/cite.rs "// A$i""b, a part"
	add datapath/cite.rs "// spec L$i, L3"
	tree; printf 'f("A%s none")\n' $i >> "$t/x/tests/c.py"; bad "cited in Python"
	tree; printf '# A%s\n' $i >> "$t/x/Makefile"; bad "cited in a Makefile"
	tree; printf 'As A%s says.\n' $i >> "$t/x/docs/abi.md"; bad "cited in the document"
	tree; echo '[a](../datapath/mod.rs), [b](#a1), [c](abi.md#a1), [d](https://x.org/y)' >> "$t/x/docs/abi.md"; good "links"
	tree; echo '[a](../datapath/none.rs)' >> "$t/x/docs/abi.md"; bad "a link to no file"
	tree; printf '%s\n' '- <a id="a1"></a>**A1** Again.' >> "$t/x/docs/abi.md"; bad "defined twice"
	tree; rm "$t/x/docs/abi.md"; bad "no docs/abi.md"
	echo "check-layers: self-test: $n cases"
}

if [ "${1:-}" = --self-test ]; then
	self_test
else
	check "${1:-$here/..}" || die "walls: see above and tools/layers.rules"
	say "walls: all files keep to tools/layers.rules"
fi
