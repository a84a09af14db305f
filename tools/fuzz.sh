#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fuzz.sh [SECONDS [TARGET...]]: the fuzz targets of userspace-shim/fuzz, this long each (60); needs a nightly toolchain.
#
# Inputs found are kept in the cache. What broke a target is left in out/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
seconds=${1:-60}
shift || :
[[ $seconds =~ ^[0-9]+$ ]] || die "fuzz: SECONDS_EACH=$seconds is no number of seconds"
cargo +nightly --version >/dev/null 2>&1 || die "fuzz: no nightly toolchain (rustup toolchain install nightly --profile minimal)"
command -v c++ >/dev/null || die "fuzz: no C++ compiler (apt-get install g++)"
all=$(sed -n 's/^name = "\(.*\)"/\1/p' userspace-shim/fuzz/Cargo.toml | sed 1d)
[ $# -gt 0 ] || set -- $all
for t; do grep -qxF -- "$t" <<<"$all" || die "fuzz: no target $t; there are" $all; done
corpus=${OVS_RS_CACHE:-$HOME/.cache/openvswitch-rs}/fuzz
mkdir -p out/fuzz
python3 userspace-shim/fuzz/seeds.py "$corpus"
triple=x86_64-unknown-linux-gnu
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-userspace-shim/target}/fuzz
say "building fuzz targets"
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cdebug-assertions -Zsanitizer=address \
	-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table" \
	cargo +nightly build --quiet --release --target $triple --manifest-path userspace-shim/fuzz/Cargo.toml
for t; do
	say "fuzzing $t for $seconds s"
	mkdir -p "$corpus/$t"
	"$CARGO_TARGET_DIR/$triple/release/$t" "$corpus/$t" -max_total_time="$seconds" -max_len=600 -timeout=10 \
		-artifact_prefix="out/fuzz/$t-" -print_final_stats=1 > "out/fuzz/$t.log" 2>&1 ||
		{ tail -n 40 "out/fuzz/$t.log"; die "fuzz: $t broke; the input is in out/fuzz"; }
	grep -E 'DONE|exec' "out/fuzz/$t.log" | tail -n 2
done
