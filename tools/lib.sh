# SPDX-License-Identifier: GPL-2.0
# lib.sh: sourced by the other scripts of tools/. Messages, required commands, and Debian packages fetched into the
# cache without touching the machine's own apt or dpkg.

OVS_RS_CACHE=${OVS_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openvswitch-rs}
export OVS_RS_CACHE

say() { printf '%s\n' "openvswitch: $*" >&2; }
die() { say "$*"; exit 1; }

# version_ge A B: version A is B or newer.
version_ge() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# install_packages PACKAGE...: as root, one after the other: apt gives up where another one is at it.
install_packages() (
	say "installing $*"
	mkdir -p "$OVS_RS_CACHE"
	exec 8>"$OVS_RS_CACHE/install.lock"
	flock 8
	[ -n "$(ls /var/lib/apt/lists/*_Packages* 2>/dev/null)" ] || apt-get -q update >&2 || die "apt-get update failed"
	log=${TMPDIR:-/tmp}/openvswitch-apt.$$
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq -y --no-install-recommends install "$@" >"$log" 2>&1 ||
		{ apt-get -q update >&2 && apt-get -q -y --no-install-recommends install "$@" >&2; } || die "cannot install $*"
	rm -f "$log"
)

# need COMMAND:PACKAGE...: makes sure that the commands exist. As root on Debian it installs the packages; otherwise
# one line names what is missing and the command that installs it. A COMMAND with a slash is a file.
need() {
	local missing='' packages='' item command
	for item; do
		command=${item%%:*}
		case $command in
		*/*) [ ! -e "$command" ] || continue ;;
		*) ! command -v "$command" >/dev/null 2>&1 || continue ;;
		esac
		missing="$missing $command"
		packages="$packages ${item#*:}"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" = 0 ] && [ -z "${OVS_RS_NO_INSTALL:-}" ] && command -v apt-get >/dev/null 2>&1; then
		install_packages $packages || exit 1
	else
		die "missing$missing; install with: apt-get install$packages"
	fi
}

# apt_mirror KIND: URI of the machine's own Debian mirror (KIND main) or security mirror (KIND security).
apt_mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
	awk -v kind="$1" '
		function found(uri, suites) {
			if (uri == "" || suites !~ /bookworm|trixie/) return
			if ((suites ~ /-security/) == (kind == "security") && !done) { print uri; done = 1 }
		}
		/^deb[ \t]/ { sub(/\[[^]]*\]/, ""); found($2, $3); next }
		/^[Uu][Rr][Ii][Ss]:/ { uri = $2; if (suites != "") { found(uri, suites); uri = suites = "" } }
		/^[Ss]uites:/ { suites = $0; if (uri != "") { found(uri, suites); uri = suites = "" } }
		/^[ \t]*$/ { uri = suites = "" }'
}

# apt_private NAME SUITE...: prepares the private apt NAME of those suites; sets the array APT to its options.
# The same directories and sources as tests/system/host/packages.py uses, so that both see the same versions.
apt_private() {
	local name=$1 dir main security key=/usr/share/keyrings/debian-archive-keyring.gpg text suites
	shift
	command -v apt-get >/dev/null 2>&1 || return 1
	dir=$OVS_RS_CACHE/$name
	main=$(apt_mirror main) security=$(apt_mirror security)
	[ -n "$main" ] && [ -e "$key" ] || return 1
	suites="$*"
	text=$(printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s' "$main" "$suites" "$key")
	case $1 in bullseye | bookworm) # fixes of trixie's kernel come through its backports
		[ -z "$security" ] || text=$(printf '%s\n\nTypes: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s' \
			"$text" "$security" "$1" "$key") ;;
	esac
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/etc" 2>/dev/null && [ -w "$dir/etc" ] ||
		die "cannot write to the cache in $OVS_RS_CACHE; OVS_RS_CACHE= names another directory"
	[ -e "$dir/status" ] || : > "$dir/status"
	APT=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/etc" -o "Dir::State::lists=$dir/lists"
		-o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir" -o "Dir::Cache::archives=$dir/archives"
		-o APT::Install-Recommends=false -o APT::Architecture=amd64 -o APT::Sandbox::User=root
		-o Acquire::Languages=none -o Debug::NoLocking=true -o APT::Get::List-Cleanup=false)
	APT_DIR=$dir
	read_lists "$text" "$suites"
}

# read_lists SOURCES SUITES: reads the lists of the private apt unless it has them. Once, where several begin with an empty cache.
read_lists() (
	exec 8>"$APT_DIR/lock"
	flock 8
	[ "$(cat "$APT_DIR/etc/debian.sources" 2>/dev/null)" != "$1" ] || ! have_lists || exit 0
	[ -z "${OVS_RS_OFFLINE:-}" ] || exit 1
	say "reading the package lists of $2"
	printf '%s\n' "$1" > "$APT_DIR/etc/debian.sources"
	# Without network apt-get update warns, and succeeds.
	apt-get -q "${APT[@]}" update >"$APT_DIR/update.log" 2>&1 && have_lists || {
		grep -m 2 '^[EW]: ' "$APT_DIR/update.log" >&2 || cat "$APT_DIR/update.log" >&2
		exit 1
	}
)
have_lists() { [ -n "$(ls "$APT_DIR"/lists/*_Packages* 2>/dev/null)" ]; }
apt_bullseye() { apt_private apt-bullseye bullseye; }
apt_bookworm() { apt_private apt bookworm bookworm-updates; }
apt_backports() { apt_private apt-backports bookworm bookworm-updates bookworm-backports; }
apt_trixie() { apt_private apt-trixie trixie trixie-backports; }

# apt_fetch PACKAGE=VERSION...: downloads them (not what they depend on), prints the paths.
apt_fetch() (
	exec 8>"$APT_DIR/lock"
	flock 8
	for item; do
		version=${item#*=}
		for try in 1 2; do
			file=$(ls "$APT_DIR/archives/${item%%=*}_${version//:/%3a}"_*.deb 2>/dev/null | head -n 1)
			[ -z "$file" ] || break
			[ -z "${OVS_RS_OFFLINE:-}" ] || return 1
			(cd "$APT_DIR/archives" && apt-get -q "${APT[@]}" download "$item") >"$APT_DIR/download.log" 2>&1 || {
				[ $try = 1 ] && apt-get -q "${APT[@]}" update >/dev/null 2>&1
			} || { cat "$APT_DIR/download.log" >&2; return 1; }
		done
		[ -n "$file" ] || file=$(ls "$APT_DIR/archives/${item%%=*}_${version//:/%3a}"_*.deb 2>/dev/null | head -n 1)
		[ -n "$file" ] || return 1
		printf '%s\n' "$file"
	done
)

# apt_plan PACKAGE...: "name=version" of the packages and all that they depend on.
apt_plan() {
	apt-get -qq -y -s "${APT[@]}" install "$@" 2>/dev/null | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1=\2/p'
}

# unpack DIR DEB...: unpacks packages into DIR, whole or not at all.
unpack() {
	local dir=$1 tmp deb
	shift
	[ ! -d "$dir" ] || return 0
	mkdir -p "$(dirname "$dir")"
	tmp=$(mktemp -d "$dir.XXXXXX")
	for deb; do
		dpkg-deb -x "$deb" "$tmp" || { rm -rf "$tmp"; return 1; }
	done
	mv -T "$tmp" "$dir" 2>/dev/null || rm -rf "$tmp"
}

# starter SCRIPT ROOT PROGRAM [OPTION...]: makes a SCRIPT that runs PROGRAM with the C library that is unpacked in ROOT, whichever
# the machine has: its loader is told where the libraries are.
starter() {
	local script=$1 root=$2 program=$3 loader
	shift 3
	loader=$(find "$root" -type f \( -name ld-linux-x86-64.so.2 -o -name 'ld-[0-9]*.so' \) | head -n 1)
	[ -n "$loader" ] || return 1
	printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" %s"$@"\n' "$loader" \
		"$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" "$program" "${*:+$* }" > "$script"
	chmod +x "$script"
}
