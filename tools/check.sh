#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh: everything that must hold, one step after the other, and one line of result at the end.
#
# Each step prints what it does, keeps its whole output in out/check/, and shows the end of it when it fails. A step
# counts as one, or as the number of tests it reports ("N passed, N failed", cargo's "N passed; M failed").
set -uo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
logs=out/check
rm -rf "$logs"
mkdir -p "$logs"
# The first steps' own; whatever else is needed, each step fetches itself.
need as:binutils cc:gcc python3:python3 || exit
passed=0 failed=0 start=$SECONDS

step() { # TITLE COMMAND...
	local title=$1 log=$logs/${1//[^A-Za-z0-9.]/-}.log rc=0 at=$SECONDS p f
	shift
	printf '[%4d s] %-46s' $((SECONDS - start)) "$title"
	if [ -n "${SHOW:-}" ]; then
		printf '\n'
		"$@" 2>&1 | tee "$log" | sed -u 's/^/         /' || rc=1
	else
		"$@" > "$log" 2>&1 || rc=$?
	fi
	p=$(sed -nE 's/^([0-9]+) passed, [0-9]+ failed.*/\1/p; s/^test result: [a-zA-Z]+\. ([0-9]+) passed.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	f=$(sed -nE 's/^[0-9]+ passed, ([0-9]+) failed.*/\1/p; s/^test result: .* ([0-9]+) failed;.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
	if [ $((p + f)) = 0 ]; then
		if [ $rc = 0 ]; then p=1; else f=1; fi
	elif [ $rc != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f))
	[ -z "${SHOW:-}" ] || printf '%55s' ''
	if [ "$f" = 0 ]; then
		printf 'ok, %d passed (%d s)\n' "$p" $((SECONDS - at))
	else
		printf 'FAILED, %d passed, %d failed (%d s)\n' "$p" "$f" $((SECONDS - at))
		[ -n "${SHOW:-}" ] || tail -n 25 "$log" | sed 's/^/         | /'
		printf '         all of it: %s\n' "$log"
	fi
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
step 'what a machine lacks, in one line' tools/toolchain-test.sh
step 'RPMs: names, files, scriptlets, refusals' tools/rpm.sh check
step 'Debian package: contents, scripts' tools/deb.sh check
step 'walls' tools/check-layers.sh
SHOW=1 step 'openvswitch.ko for 6.1' env OVS_STRICT=1 tools/build-modules.sh -k 6.1
SHOW=1 step 'openvswitch.ko for 6.12' env OVS_STRICT=1 tools/build-modules.sh -k 6.12
# These are booted by make vm-test KERNELS=5.10,7.3; what must hold of the sources has been said by the strict builds.
SHOW=1 step 'openvswitch.ko for 5.10' tools/build-modules.sh -k 5.10
SHOW=1 step 'openvswitch.ko for 7.3' tools/build-modules.sh -k 7.3
step 'openvswitch.ko without what can be denied' env OVS_WITHOUT=all tools/build-modules.sh -o out/without -k 6.1
step 'packet path' both tools/check-fastpath.sh %
step 'format and lints' tools/cargo.sh lint
step 'unit tests' tools/cargo.sh test
step 'XenServer host tools' xenserver/host/check.sh
SHOW=1 step 'cases in VMs, 6.1 and 6.12' env OVS_STRICT=1 tools/vm.sh test 6.1,6.12
SHOW=1 step "OVS's own suite: one test or more a feature, 6.12" \
	tools/vm.sh system 6.12 ours --suite ovs-4.0 --tests subset --strict --out "$PWD/$logs/system"
printf '[%4d s] done\n' $((SECONDS - start))
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
