#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# cargo.sh test|loom|asan|lint|rustdoc|replay FILE [OPTION...]
#
# The sources as an ordinary crate (userspace-shim/): its tests, its documentation, and what rustfmt, clippy and rustdoc say. A
# machine without one of these skips it and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh
if [ "$1" = replay ]; then
	[ -n "${2:-}" ] || die "FLOWS= names no file: what \`ovs-appctl dpctl/dump-flows -m\` printed (docs/bench.md)"
	[ "$2" = - ] || [ -e "$2" ] || die "no file $2, which FLOWS= names"
fi
need cc:gcc
echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null || need /usr/lib/x86_64-linux-gnu/crti.o:libc6-dev
assignments=$(tools/toolchain.sh cargo)
eval "$assignments"
export PATH=$OVS_CARGO_PATH:$PATH
manifest=userspace-shim/Cargo.toml

# What is private is in it, too: it is for those who work on the sources.
document() {
	say "documentation"
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links ${RUSTDOCFLAGS:-}" \
		cargo doc --quiet --locked --no-deps --document-private-items --workspace --manifest-path $manifest
}
case $1 in
test)
	say "unit tests in userspace"
	cargo test --quiet --locked --workspace --manifest-path $manifest
	if python3 -c '' 2>/dev/null; then
		say "netlink cases of tests/system in userspace, against the stock module's answers"
		cargo build --quiet --locked --manifest-path $manifest --example stdio
		tests/answers/run.py "${CARGO_TARGET_DIR:-userspace-shim/target}/debug/examples/stdio" \
			nl_datapath nl_vport nl_flow nl_packet nl_bad nl_meter nl_ct nl_lists |
			grep -v '^note '
	fi ;;
loom)
	say "RCU containers in all interleavings"
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-userspace-shim/target}/loom \
		cargo test --quiet --locked --release --lib --manifest-path $manifest sync::models ;;
asan)
	cargo +nightly --version >/dev/null 2>&1 || die "no nightly compiler; install with: rustup toolchain install nightly"
	say "unit tests under AddressSanitizer"
	# Leaks: tests count their own allocations; callbacks that nobody waited for are no leak.
	ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS="-Zsanitizer=address" \
		CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-userspace-shim/target}/asan \
		cargo +nightly test --quiet --locked --target x86_64-unknown-linux-gnu --manifest-path $manifest ;;
replay)
	shift
	bin=${CARGO_TARGET_DIR:-userspace-shim/target}/release/replay
	[ -x "$bin" ] || say "building the tool, which happens once and takes about a minute"
	cargo run --quiet --locked --release --manifest-path $manifest -p openvswitch-replay -- "$@" ;;
lint)
	rc=0
	if rustfmt --version >/dev/null 2>&1; then
		say "rustfmt"
		bad=$(find datapath kmod kunit rust userspace-shim tests debian -name target -prune -o -name '*.rs' -print0 |
			xargs -0 rustfmt --check -l --edition 2021 | xargs -r realpath --relative-to=. | sort -u || :)
		[ -z "$bad" ] || { printf '  not formatted, run rustfmt on it: %s\n' $bad; rc=1; }
	else
		say "rustfmt: not run, this toolchain has none (rustup component add rustfmt)"
	fi
	if cargo clippy --version >/dev/null 2>&1; then
		say "clippy"
		cargo clippy --quiet --locked --manifest-path $manifest --workspace --all-targets -- -D warnings \
			-D clippy::undocumented_unsafe_blocks -D clippy::missing_safety_doc || rc=1
		cargo clippy --quiet --locked --manifest-path userspace-shim/fuzz/Cargo.toml --no-default-features -- -D warnings || rc=1
	else
		say "clippy: not run, this toolchain has none (rustup component add clippy)"
	fi
	if rustdoc --version >/dev/null 2>&1; then
		document || rc=1
	else
		say "rustdoc: not run, this toolchain has none"
	fi
	exit $rc ;;
rustdoc)
	document
	say "read ${CARGO_TARGET_DIR:-userspace-shim/target}/doc/openvswitch/index.html" ;;
*) die "usage: cargo.sh test|loom|asan|lint|rustdoc|replay FILE" ;;
esac
