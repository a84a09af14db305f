# SPDX-License-Identifier: GPL-2.0
# check-abi.awk: who cites which item of docs/abi.md. Prints "path:line id how" for each, where how is "def", "test" or "text".
#
# An item's id is one letter and a number of one or two digits without leading 0, defined in docs/abi*.md as
# `<a id="..."></a>**ID**`; so are the numbers 0.1, 0.2 ..., and the numbers of headings. A citation is
#  - an id that stands alone in a comment, in a string literal, or in Markdown outside of code; a small letter may
#    follow that names a part ("D8e"). "F1 to F6" and "V1-V13" cite all between;
#  - a section's number behind the word "spec", and whatever looks like an id there, with too many digits, say.
# L2, L3 and L4 are layers; they are items only behind "spec" or in a list of ids that begins with "spec".

function cite(id) { print FILENAME ":" FNR, id, how }

# The comments and strings of a line of Rust, C or Python; `state` is what the line before left open.
function prose(s,   out, i, q, two) {
	out = ""
	while (s != "") {
		if (state != "") {
			i = close_at(s)
			if (!i) { out = out s; if (state == "'" || (state == "\"" && kind == "py")) state = ""; return out }
			out = out substr(s, 1, i - 1) "\n"
			s = substr(s, i + length(state))
			state = ""
			continue
		}
		if (kind == "py") {
			if (!match(s, /["'#]/)) return out
		} else if (!match(s, /"|\/\/|\/\*|'\\?.'/)) return out
		q = substr(s, RSTART, 1); two = substr(s, RSTART, 2)
		if (q == "#" || two == "//") return out substr(s, RSTART + 1)
		if (kind != "py" && q == "'") { s = substr(s, RSTART + RLENGTH); continue }
		if (two == "/*") { state = "*/"; s = substr(s, RSTART + 2); continue }
		state = q
		if (kind == "py" && substr(s, RSTART, 3) == q q q) state = q q q
		s = substr(s, RSTART + length(state))
		out = out "\n"
	}
	return out
}
# Where the text ends that is open: behind escaped characters.
function close_at(s,   i, n) {
	for (i = 1; i <= length(s); i++) {
		if (substr(s, i, 1) == "\\" && state != "*/") { i++; continue }
		if (substr(s, i, length(state)) == state) return i
	}
	return 0
}
# Markdown without code.
function markdown(s) {
	if (s ~ /^ *```/) { fenced = !fenced; return "" }
	if (fenced || s ~ /^    /) return ""
	gsub(/`[^`]*`/, " ", s); gsub(/\]\([^)]*\)/, "]", s); gsub(/<a id="[^"]*"><\/a>/, "", s)
	return s
}

function definitions(s,   id) {
	if (match(s, /^##+ [0-9]+(\.[0-9]+)? /)) { id = substr(s, RSTART, RLENGTH); gsub(/[# ]/, "", id); print FILENAME ":" FNR, id, "def" }
	while (match(s, /<\/a>\*\*([A-Z][1-9][0-9]?|0\.[1-9][0-9]?)\*\*/)) {
		id = substr(s, RSTART + 6, RLENGTH - 8)
		print FILENAME ":" FNR, id, "def"
		s = substr(s, 1, RSTART - 1) substr(s, RSTART + RLENGTH)
	}
	return s
}

function citations(s,   before, id, last, sep, listed, n) {
	# Sections.
	n = s
	while (match(n, /(^|[^A-Za-z])[Ss]pec [0-9]+\.[0-9]+((,| to| and) [0-9]+\.[0-9]+)*/)) {
		id = substr(n, RSTART, RLENGTH); n = substr(n, RSTART + RLENGTH)
		while (match(id, /[0-9]+\.[0-9]+/)) { cite(substr(id, RSTART, RLENGTH)); id = substr(id, RSTART + RLENGTH) }
	}
	n = s
	while (match(n, /(^|[^A-Za-z])[Ss]pec:? [A-Z][0-9]+/)) {
		id = substr(n, RSTART, RLENGTH); n = substr(n, RSTART + RLENGTH)
		sub(/^.* /, "", id)
		if (id !~ /^[ABCDEFKLMNPQSTUVWX][1-9][0-9]?$/) cite(id)
	}
	# Items.
	listed = 0
	while (match(s, /[ABCDEFKLMNPQSTUVWX][1-9][0-9]?/)) {
		before = substr(s, 1, RSTART - 1); id = substr(s, RSTART, RLENGTH); s = substr(s, RSTART + RLENGTH)
		if (before ~ /[Ss]pec:? $/) listed = 1
		else if (before !~ /^[a-f]?(, | and | to |, and |-)$/) listed = 0
		if (before ~ /[A-Za-z0-9_$:.#%=\\+*~@&<>-]$/ && before !~ /(^|[^A-Za-z0-9_])(\*\*|-)$/) continue
		if (s ~ /^[A-Z0-9_=:(<>@+*#~&%$\\-]/ && s !~ /^(-[A-Z][1-9]|: |:$|\*\*)/) continue
		if (s ~ /^[a-z]/ && s !~ /^[a-f]([^A-Za-z0-9_]|$)/) continue
		if (s ~ /^\.[A-Za-z0-9]/) continue
		if (id ~ /^L[234]$/ && !listed) continue
		cite(id)
		# A range: the ids between; its end is met as an id of its own.
		if (match(s, /^( to |-)[A-Z][1-9][0-9]?/)) {
			sep = substr(s, 1, RLENGTH); sub(/^( to |-)/, "", sep)
			if (substr(sep, 1, 1) == substr(id, 1, 1)) {
				last = substr(sep, 2) + 0
				for (n = substr(id, 2) + 1; n < last; n++) cite(substr(id, 1, 1) n)
				if (s ~ /^-/) s = " to " substr(s, 2)
			}
		}
	}
}

FNR == 1 {
	state = ""; fenced = 0; tests = FILENAME ~ /^tests\/|_tests\.rs$|(^|\/)tests\.rs$/
	kind = "text"
	if (FILENAME ~ /\.(rs|c|h|S)$/) kind = "c"
	else if (FILENAME ~ /\.py$/ || $0 ~ /^#!.*python/) kind = "py"
	else if (FILENAME ~ /\.md$/) kind = "md"
}
{
	if (kind == "c" && $0 ~ /^#\[cfg\((test|all\(test.*)\)\]/) tests = 1
	how = tests ? "test" : "text"
	line = $0
	if (kind == "md") {
		if (FILENAME ~ /^docs\/abi/) line = definitions(line)
		line = markdown(line)
	} else if (kind != "text") line = prose(line)
	if (line ~ /[0-9]/) citations(line)
}
