# SPDX-License-Identifier: GPL-2.0
# check-layers.awk: the rules of one Rust file. -v rules=tools/layers.rules -v path=<its path from the top>
# Prints "path:line: problem".

function problem(line, text) { printf "%s:%d: %s\n", path, line, text }

# Whether a named path is allowed by this file's rule.
function allowed(name,   i, p, ok) {
	ok = under(name, own)
	for (i = 1; i <= n_paths; i++) {
		p = paths[i]
		if (substr(p, 1, 1) == "-") { if (under(name, substr(p, 2))) ok = 0 }
		else if (under(name, p)) ok = 1
	}
	return ok
}
function under(name, p) { return p != "" && (name == p || index(name, p "::") == 1) }

# "super::x" as seen from this file's module. `module` is its path, "crate::a::b".
function resolve(name,   base) {
	if (name ~ /^self::/) return module substr(name, 5)
	base = module
	while (name ~ /^super(::|$)/) {
		sub(/::[a-z_0-9]+$/, "", base)
		name = (name == "super") ? "" : substr(name, 8)
	}
	return name == "" ? base : (base == module ? name : base "::" name)
}
function see(line, name) {
	name = resolve(name)
	if (name !~ /^(core|std|alloc|kernel|crate|openvswitch)(::|$)/) return
	if (name == "crate") return
	if (!allowed(name)) problem(line, "may not name " name)
}
# use a::{b, c::{d, e}}: every path in it.
function flatten(line, prefix, text,   depth, i, c, start, head) {
	start = 1; depth = 0
	for (i = 1; i <= length(text) + 1; i++) {
		c = substr(text, i, 1)
		if (c == "{") depth++
		if (c == "}") depth--
		if ((c == "," || c == "") && depth == 0) {
			one_use(line, prefix, substr(text, start, i - start))
			start = i + 1
		}
	}
}
function one_use(line, prefix, item,   brace) {
	gsub(/[ \t]+as[ \t]+[A-Za-z_0-9]+/, "", item)
	gsub(/[ \t]/, "", item)
	if (item == "") return
	brace = index(item, "{")
	if (brace) flatten(line, prefix substr(item, 1, brace - 1), substr(item, brace + 1, length(item) - brace - 1))
	else { item = prefix item; sub(/::(\*|self)$/, "", item); see(line, item) }
}

# Code of a line: without comments, the insides of strings and character literals.
function strip(s,   out, i) {
	gsub(/\\\\/, "", s); gsub(/\\"/, "", s)
	gsub(/'"'/, "' '", s)
	if (in_block) { i = index(s, "*/"); if (!i) return ""; s = substr(s, i + 2); in_block = 0 }
	gsub(/"[^"]*"/, "\"\"", s)
	if ((i = index(s, "//"))) s = substr(s, 1, i - 1)
	while ((i = index(s, "/*"))) {
		out = substr(s, i + 2)
		if (index(out, "*/")) s = substr(s, 1, i - 1) substr(out, index(out, "*/") + 2)
		else { s = substr(s, 1, i - 1); in_block = 1 }
	}
	return s
}

# Whether the comment above line n has `word`: over attributes and comments, and over the beginning of the statement.
function argued(n, word,   i, text) {
	for (i = n - 1; i > 0; i--) {
		text = raw[i]
		sub(/^[ \t]+/, "", text)
		if (text ~ /^\/\//) { if (index(text, word)) return 1; continue }
		if (text ~ /^#!?\[/ || text ~ /^[a-z_(]*[)\]]+$/) continue
		if (text == "" || code[i] ~ /[;{}][ \t]*$/) return 0
		if (n - i > 8) return 0
	}
	return 0
}

BEGIN {
	while ((getline line < rules) > 0) {
		if (line ~ /^#/ || line ~ /^[ \t]*$/) continue
		n = split(line, f, /[ \t]+/)
		if (path ~ f[1]) {
			found = 1; allow_unsafe = (f[2] == "unsafe")
			for (i = 3; i <= n; i++) paths[++n_paths] = f[i]
			break
		}
	}
	if (!found) { problem(1, "no rule in layers.rules fits this file"); exit }
	module = path
	sub(/\.rs$/, "", module); sub(/\/(mod|lib|main)$/, "", module); gsub(/\//, "::", module)
	module = "crate::" module
	own = module
	if (path !~ /\/(mod|lib)\.rs$/) sub(/::[a-z_0-9]+$/, "", own)
	if (path == "datapath/mod.rs") own = "crate::datapath"
	if (own == "crate::datapath" || own == "crate::rust" || own == "crate") own = (path == "datapath/mod.rs") ? own : module
}
{ raw[NR] = $0; code[NR] = strip($0) }
END {
	if (!found) exit
	numbered = path ~ /^(datapath|rust|kmod)\// && path !~ /^(datapath\/wire|rust\/bindings)\//
	tests = path ~ /(^|\/)([a-z0-9_]+_)?tests(\.rs$|\/)/
	if (raw[1] != "// SPDX-License-Identifier: GPL-2.0") problem(1, "the first line is not the SPDX line")
	if (raw[2] !~ /^\/\/!/) problem(2, "no //! documentation after the SPDX line")
	if (path == "datapath/mod.rs") {
		for (i = 1; i <= NR; i++) if (code[i] ~ /^#!\[forbid\(unsafe_code\)\]/) forbids = 1
		if (!forbids) problem(1, "does not forbid unsafe_code")
	}
	for (i = 1; i <= NR; i++) {
		s = code[i]
		if (!tests && s ~ /^#\[cfg\((test|all\(test.*|any\(test, CONFIG_KUNIT.*)\)\]/ && (code[i + 1] ~ /^(pub )?mod |^#\[/)) tests = 1
		# ---- unsafe ----
		if (s ~ /(^|[^A-Za-z_0-9])unsafe([^A-Za-z_0-9]|$)/) {
			if (!allow_unsafe) problem(i, "unsafe is not allowed here")
			else if (s ~ /unsafe[ \t]+(extern[ \t]+("")?[ \t]*)?fn[ \t]+[A-Za-z_]/) {
				# Methods of an unsafe trait's impl inherit its duty.
				if (!argued(i, "# Safety") && !argued(i, "SAFETY:") && !in_trait_impl(i)) problem(i, "unsafe fn without a # Safety section")
			} else if (s ~ /unsafe[ \t]*(\{|impl)/ || s ~ /unsafe[ \t]*$/) {
				if (s !~ /unsafe[ \t]+extern/ && !argued(i, "SAFETY:")) problem(i, "unsafe without a SAFETY comment just above")
			}
		}
		if (s ~ /LINUX_VERSION_CODE|KERNEL_VERSION/) problem(i, "asks for the kernel's version; probe a feature instead")
		if (tests) continue
		# ---- numbers of protocols ----
		if (numbered) {
			if (tolower(s) ~ /(^|[^a-z0-9_])0x(0800|0806|6558|8035|8100|8847|8848|86dd|88a8|894f)([^a-z0-9_]|$)/)
				problem(i, "an EtherType as a number; datapath/wire has its name")
			# The ABI has attributes of such names.
			if (path != "datapath/abi.rs" && s ~ /const[ \t]+((ETH|IPPROTO|PROTO)_[A-Z0-9_]+|(ETH|VLAN|IP|IPV4|IPV6|ARP|ICMP|ICMPV6|TCP|UDP|SCTP|MPLS|NSH)_H?(DR_?)?LEN)[ \t]*:[^=]*=[ \t]*[0-9]/)
				problem(i, "a number or a length of a protocol; datapath/wire has them")
		}
		# ---- names ----
		if (s ~ /^[ \t]*(pub(\([a-z: ]+\))?[ \t]+)?use[ \t]/) {
			at = i; text = s
			while (text !~ /;/ && i < NR) text = text " " code[++i]
			sub(/^[ \t]*(pub(\([a-z: ]+\))?[ \t]+)?use[ \t]+/, "", text); sub(/;.*/, "", text)
			flatten(at, "", text)
			continue
		}
		rest = s
		while (match(rest, /(^|[^A-Za-z_0-9:$])(core|std|alloc|kernel|crate|super|openvswitch)(::[A-Za-z_0-9]+)+/)) {
			name = substr(rest, RSTART, RLENGTH)
			sub(/^[^a-z]/, "", name)
			see(i, name)
			rest = substr(rest, RSTART + RLENGTH)
		}
	}
}
# Whether line n is in an impl of a trait ("impl X for Y {"): look for the nearest line that opens one.
function in_trait_impl(n,   i) {
	for (i = n - 1; i > 0; i--) if (code[i] ~ /^[ \t]*(unsafe[ \t]+)?impl/) return code[i] ~ / for / || code[i + 1] ~ /^[ \t]*for /
	return 0
}
