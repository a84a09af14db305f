#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh: everything that must hold, and one line of result at the end.
#
# Each step keeps its whole output in out/check/, says how it ended, and shows the end of its output when it fails. A step
# counts as one, or as the number of tests it reports ("N passed, N failed", cargo's "N passed; M failed"). Most steps use one CPU for
# most of their time, so two rows of them go side by side, up to the VMs, which need all that there is.
set -uo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
logs=out/check
rm -rf "$logs"
mkdir -p "$logs"
# The first steps' own; whatever else is needed, each step fetches itself.
need as:binutils cc:gcc python3:python3 || exit
start=$SECONDS
SHOW='^openvswitch: ' # of a step's output, what to print at once: our tools' own messages (lib.sh); '' for all of it

# The sum of the numbers that a log reports: ours, cargo's and KUnit's way of saying it.
count() { # passed|failed PATTERN LOG
	sed -nE "s/^$2.*/\1/p; s/^test result: .*\<([0-9]+) $1\>.*/\1/p; s/^.*Testing complete\..*\<$1: ([0-9]+).*/\1/p" "$3" | awk '{ n += $1 } END { print n + 0 }'
}

step() { # TITLE COMMAND...
	local title=$1 log=$logs/${1//[^A-Za-z0-9.]/-}.log rc=0 at=$SECONDS p f how
	shift
	[ -n "$SHOW" ] || printf '[%4d s] %s ...\n' $((SECONDS - start)) "$title"
	"$@" 2>&1 | tee "$log" | sed -un "\\,${SHOW:-^},s/^/         /p" || rc=1
	p=$(count passed '([0-9]+) passed, [0-9]+ failed' "$log") f=$(count failed '[0-9]+ passed, ([0-9]+) failed' "$log")
	if [ $((p + f)) = 0 ]; then
		if [ $rc = 0 ]; then p=1; else f=1; fi
	elif [ $rc != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	echo "$p $f" >> "$logs/.tally"
	how="ok, $p passed"
	[ "$f" = 0 ] || how="FAILED, $p passed, $f failed"
	how=$(printf '[%4d s] %-48s %s (%d s)' $((SECONDS - start)) "$title" "$how" $((SECONDS - at)))
	if [ "$f" != 0 ]; then
		[ -z "$SHOW" ] || how+=$'\n'$(tail -n 25 "$log" | sed 's/^/         | /')
		how+=$'\n'"         all of it: $log"
	fi
	printf '%s\n' "$how"
}
both() { # COMMAND with % for each kernel's directory
	local k rc=0
	for k in 6.1 6.12; do "${@//%/out/$k}" || rc=1; done
	return $rc
}

step 'the checks themselves: walls' tools/check-layers.sh --self-test
step 'the checks themselves: object' tools/check-object.sh --self-test
step 'the checks themselves: features' tools/feature-test.sh --self-test
step 'the checks themselves: loads' tools/check-loads.sh --self-test
step 'the checks themselves: feature answers' tools/check-features.sh --self-test
step 'the checks themselves: packet path' tools/check-fastpath.sh --self-test
step 'the checks themselves: answers' tests/system/golden-test
step 'the checks themselves: suites' tests/system/suites-test
step 'the checks themselves: bench' tests/bench/bench-test
step 'the checks themselves: KUnit' kunit/run --self-test
step 'KUnit without Rust in the kernel: the macro' kunit/macros-test
step 'what a machine lacks, in one line' tools/toolchain-test.sh
step 'walls' tools/check-layers.sh

builds() {
	step 'openvswitch.ko for 6.1' env OVS_STRICT=1 tools/build-modules.sh -k 6.1
	step 'openvswitch.ko for 6.12' env OVS_STRICT=1 tools/build-modules.sh -k 6.12
	# These are booted by make vm-test KERNELS=5.10,7.3; what must hold of the sources has been said by the strict builds.
	step 'openvswitch.ko for 5.10' tools/build-modules.sh -k 5.10
	step 'openvswitch.ko for 7.3' tools/build-modules.sh -k 7.3
	step 'openvswitch.ko without what can be denied' env OVS_WITHOUT=all tools/build-modules.sh -o out/without -k 6.1
	step 'packet path' both tools/check-fastpath.sh %
	step 'KUnit, Linux 7.3 as UML' kunit/run
}
others() {
	step 'format and lints' tools/cargo.sh lint
	step 'unit tests' tools/cargo.sh test
	step 'RCU containers in all interleavings' tools/cargo.sh loom
	step 'XenServer host tools' xenserver/host/check.sh
	step 'RPMs: names, files, scriptlets, refusals' tools/rpm.sh check
	step 'Debian package: contents, scripts' tools/deb.sh check
}
builds &
trap "kill $! 2>/dev/null; exit 130" INT TERM
others
wait
SHOW='' step 'cases in VMs, 6.1 and 6.12' env OVS_STRICT=1 tools/vm.sh test 6.1,6.12
SHOW='' step "OVS's own suite: one test or more a feature, 6.12" \
	tools/vm.sh system 6.12 ours --suite ovs-4.0 --tests subset --strict --out "$PWD/$logs/system"
printf '[%4d s] done\n' $((SECONDS - start))
awk '{ p += $1; f += $2 } END { print p " passed, " f " failed"; exit f != 0 }' "$logs/.tally"
