#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-abi.sh [TOP] | --coverage
#
# docs/abi.md and the files beside it define items (A20, W12) and sections (4.3); tools/check-abi.awk says what a citation of them is.
# Prints one line for each that is cited and not defined, or defined twice. --coverage: the items that no test cites.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

citations() { # of all texts but recorded answers, which repeat the cases' labels
	local top='' f
	for f in README.md CONTRIBUTING.md CHANGELOG.md docs Makefile Kbuild datapath rust kmod userspace-shim tests tools; do
		[ ! -e "$f" ] || top="$top $f"
	done
	find $top \( -name target -o -name out -o -name __pycache__ -o -path tests/vectors \) -prune -o \
		-type f ! -name '*.lock' ! -name '*.toml' -print | sort | tr '\n' '\0' | xargs -0 -r grep -IlZ . | xargs -0 -r awk -f "$here/check-abi.awk"
}

undefined() {
	citations | awk '
		$3 == "def" { if ($2 in at) print $1 ": " $2 " is defined at " at[$2] " already"; else at[$2] = $1; next }
		{ where[n++] = $1; id[n - 1] = $2 }
		END { for (i = 0; i < n; i++) if (!(id[i] in at)) print where[i] ": cites " id[i] ", which docs/abi.md does not define" }'
}

coverage() {
	local letters='0 N D V F P K T A C U W M L X S B Q E'
	citations | awk -v letters="$letters" '
		BEGIN {
			split("0 6.12 to 7.3|N netlink|D datapath|V vport|F flow|P packet|K key|T table|A actions|C conntrack|U upcalls|W devices|" \
				"M meters|L ct_limit|X module|S symbols|B bugs|Q quirks|E userspace", t, "|")
			for (i in t) name[substr(t[i], 1, 1)] = substr(t[i], 3)
			n_letters = split(letters, letter, " ")
		}
		$3 == "def" && $2 ~ /^([A-Z]|0\.)/ { defined[$2] = 1; next }
		$3 == "test" { tested[$2] = 1 }
		END {
			printf "%-14s %5s %6s  not cited by any test\n", "family", "items", "cited"
			for (l = 1; l <= n_letters; l++) {
				items = cited = start = 0; open = ""
				for (i = 1; i <= 99; i++) {
					id = letter[l] (letter[l] == "0" ? "." : "") i
					if (!(id in defined)) continue
					items++
					if (id in tested) cited++
					else open = open (length(open) - start > 85 ? sprintf("\n%27s ", "") : "") " " id
					if (index(substr(open, start + 1), "\n")) start = length(open) - length(id) - 1
				}
				all += items; all_cited += cited
				printf "%-14s %5d %6d %s\n", letter[l] " " name[letter[l]], items, cited, open
			}
			printf "%-14s %5d %6d\n", "all", all, all_cited
		}'
}

if [ "${1:-}" = --coverage ]; then
	cd "$here/.."
	coverage
else
	cd "${1:-$here/..}"
	undefined
fi
