#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh: the host tools' tests, format and lints.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/lib.sh
need cc:gcc python3:python3
assignments=$(tools/toolchain.sh cargo)
eval "$assignments"
export PATH=$OVS_CARGO_PATH:$PATH
manifest=xenserver/host/Cargo.toml
OVS_TOOLS=${OVS_TOOLS:-$(xenserver/host/ovs-tools.sh)}
export OVS_TOOLS
rc=0
# They wait for daemons more than they work.
cargo test --quiet --locked --manifest-path $manifest -- --test-threads=8 || rc=1
if rustfmt --version >/dev/null 2>&1; then
	cargo fmt --check --manifest-path $manifest >/dev/null || {
		say "not formatted: cargo fmt --manifest-path $manifest"
		rc=1
	}
fi
if cargo clippy --version >/dev/null 2>&1; then
	cargo clippy --quiet --locked --manifest-path $manifest --all-targets -- -D warnings || rc=1
fi
for file in xenserver/host/*.sh xenserver/host/{build,install} xenserver/host/files/{openvswitch-service,openvswitch-bugtool,xapi-plugin,profile.sh,init/*}; do
	bash -n "$file" || rc=1
done
exit $rc
