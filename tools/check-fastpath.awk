# SPDX-License-Identifier: GPL-2.0
# check-fastpath.awk: walks the calls in a disassembly (objdump -dr --no-show-raw-insn). First file: the rules, second:
# "mangled demangled" for each symbol, third: the disassembly. -v strict=1: fail if no root is found.

function name(s) { return s in demangled ? demangled[s] : s }
function fits(s, list, n,   i) { for (i = 1; i <= n; i++) if (name(s) ~ list[i]) return 1; return 0 }
function flush_call() { # the pending branch, its target by now known
	if (target != "" && target != fn) calls[fn] = calls[fn] " " target
	target = ""
}
function kind(callee) {
	if (callee == "INDIRECT" || callee ~ /^__x86_indirect_thunk/) return "indirect"
	if (name(callee) ~ /^core::panicking::|_fail(ed)?$|^core::cell::panic_|rust_begin_unwind|^core::slice::index::.*fail/) return "panic"
	if (callee ~ /alloc/ && callee !~ /free|_R/) return "alloc"
	return ""
}
function excused(k, from, to,   i) {
	for (i = 1; i <= n_allow; i++)
		if (allow_kind[i] == k && name(from) ~ allow_from[i] && name(to) ~ allow_to[i]) return 1
	return 0
}

FILENAME == ARGV[1] {
	sub(/#.*/, "")
	if ($1 == "root") root[++n_root] = $2
	if ($1 == "stop") stop[++n_stop] = $2
	if ($1 == "allow") { allow_kind[++n_allow] = $2; allow_from[n_allow] = $3; allow_to[n_allow] = $4 }
	next
}
FILENAME == ARGV[2] { s = $1; sub(/^[^ ]+ /, ""); demangled[s] = $0; next }

/^Disassembly of section/ { section = $4; sub(/:$/, "", section); next }
/^[0-9a-f]+ <.*>:$/ {
	flush_call()
	s = $2; sub(/^</, "", s); sub(/>:$/, "", s)
	a = $1; sub(/^0+/, "", a)
	if (s !~ /^\.L/) fn = s
	at[section "+0x" (a == "" ? "0" : a)] = s
	if (s !~ /^\.L/) functions[++n_functions] = s
	next
}
# A relocation names the target of the branch before it.
/^[ \t]+[0-9a-f]+: R_X86_64_(PLT32|PC32)/ {
	if (target != "") {
		t = $3
		if (t ~ /^\.(text|init\.text|exit\.text)/) { # section and offset; PC-relative ones are 4 short
			target = "AT:" t
		} else { sub(/[-+]0x[0-9a-f]+$/, "", t); target = t }
	}
	next
}
/^[ \t]*[0-9a-f]+:[ \t]/ {
	flush_call()
	op = $2; i = 3
	while (op ~ /^(notrack|bnd|cs|ds|rep)$/) op = $(i++)
	if (op !~ /^(call|j[a-z]+)q?$/) next
	if ($i ~ /^\*/) { target = "INDIRECT"; flush_call(); next }
	t = $0
	if (!match(t, /<[^>]+>[ \t]*$/)) next
	t = substr(t, RSTART + 1, RLENGTH - 2); sub(/>.*/, "", t)
	sub(/\+0x[0-9a-f]+$/, "", t)
	target = t
}
END {
	flush_call()
	# Targets by section and offset. Their addend is 4 short of the function.
	for (f in calls) {
		n = split(calls[f], c, " "); calls[f] = ""
		for (i = 1; i <= n; i++) {
			if (c[i] ~ /^AT:/) c[i] = lookup(substr(c[i], 4))
			calls[f] = calls[f] " " c[i]
		}
	}
	for (i = 1; i <= n_functions; i++)
		if (fits(functions[i], root, n_root) && !(functions[i] in seen)) { seen[functions[i]] = 1; queue[++tail] = functions[i] }
	if (!tail) {
		if (strict) { print "no function fits a root of tools/fastpath-symbols"; exit 1 }
		print "note: no packet path in this object yet"
		exit 0
	}
	for (head = 1; head <= tail; head++) {
		f = queue[head]
		n = split(calls[f], c, " ")
		for (i = 1; i <= n; i++) {
			k = kind(c[i])
			if (k != "") { if (!excused(k, f, c[i]) && !((k, f, c[i]) in told)) { told[k, f, c[i]] = 1; printf "%s: %s calls %s\n", k, name(f), name(c[i]); bad++ } continue }
			if (c[i] in seen || fits(c[i], stop, n_stop)) continue
			if (c[i] == "__x86_return_thunk") continue
			if (!(c[i] in calls) && c[i] !~ /^_R/) { outside[c[i]] = 1; continue }
			seen[c[i]] = 1; queue[++tail] = c[i]
		}
	}
	for (o in outside) list = list " " o
	printf "note: %d functions on the packet path; they call into C:%s\n", tail, list
	exit bad > 0
}
function hex(s,   v, i) { v = 0; s = tolower(s); for (i = 1; i <= length(s); i++) v = v * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1; return v }
function lookup(t,   off, sec, p, sign) {
	p = match(t, /[-+]0x[0-9a-f]+$/)
	if (!p) return t
	sec = substr(t, 1, p - 1); sign = substr(t, p, 1)
	off = hex(substr(t, p + 3)) * (sign == "-" ? -1 : 1) + 4
	t = sec "+0x" sprintf("%x", off)
	return t in at ? at[t] : t
}
