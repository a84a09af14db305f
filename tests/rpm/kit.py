# SPDX-License-Identifier: GPL-2.0
"""What the cases share: stand-ins for the sources, headers of kernels that do not exist, rpmbuild and rpm with databases of their own."""

import glob
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from packages import SOURCE, Failure, Programs, check, read, write  # noqa: E402, F401: the cases take them from here

# `make modules` as the spec file calls it: a module that modinfo, depmod and strip take for one.
STUB_MAKEFILE = r"""
modules:
	@[ "$(OVS_RS_OFFLINE)$(OVS_RS_NO_INSTALL)" = 11 ] || { echo 'may use the network'; exit 1; }
	@release=$$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h) && mkdir -p $(O)/$$release && \
	printf '%s\n' '.text' '.globl init_module' 'init_module: ret' '.section .modinfo,"a"' '.asciz "license=GPL"' \
		'.asciz "description=Open vSwitch switching datapath in Rust"' ".asciz \"version=$$(cat VERSION)\"" \
		".asciz \"vermagic=$$release SMP\"" | as -g -o stub.o - && ld -r --build-id=sha1 -o $(O)/$$release/openvswitch.ko stub.o
test:
	@echo unit tests ran; [ ! -e ../fail ]
"""

# OVS's build, as far as the spec file sees it.
STUB_CONFIGURE = r"""#!/bin/sh
for option; do case $option in --prefix=/usr | --sysconfdir=/etc | --localstatedir=/var | PYTHON3=/usr/bin/python3) n=$((n + 1)) ;; esac; done
[ "$n" = 4 ] || { echo "configure: $*" >&2; exit 1; }
echo "$@" > configured
"""
STUB_OVS = r"""
all:
	echo 'int main(void) { return 0; }' | $(CC) -g -x c -o ovs-vswitchd -
install:
	for d in usr/bin usr/sbin usr/include/openvswitch usr/lib64/pkgconfig usr/share/man/man1 usr/share/man/man8 usr/share/openvswitch/scripts \
		usr/share/openvswitch/python/ovs etc/bash_completion.d var/run/openvswitch var/log/openvswitch; do mkdir -p $(DESTDIR)/$$d; done
	for f in ovs-vsctl ovs-ofctl ovsdb-client vtep-ctl ovs-pki ovs-test ovs-testcontroller ovs-l3ping; do \
		printf '#!/bin/sh\n' > $(DESTDIR)/usr/bin/$$f; chmod 755 $(DESTDIR)/usr/bin/$$f; done
	install -m 755 ovs-vswitchd $(DESTDIR)/usr/sbin/ovs-vswitchd
	install -m 755 ovs-vswitchd $(DESTDIR)/usr/sbin/ovsdb-server
	for f in man1/ovsdb-client.1 man8/ovs-vsctl.8 man8/ovs-pki.8; do echo '.TH X' > $(DESTDIR)/usr/share/man/$$f; done
	echo : > $(DESTDIR)/etc/bash_completion.d/ovs-vsctl-bashcomp.bash
	for f in scripts/ovs-ctl scripts/ovs-lib python/ovs/db.py python/ovs/db.pyc vswitch.ovsschema; do echo : > $(DESTDIR)/usr/share/openvswitch/$$f; done
	echo '/* */' > $(DESTDIR)/usr/include/openvswitch/types.h
	echo x > $(DESTDIR)/usr/lib64/libopenvswitch.a
	echo x > $(DESTDIR)/usr/lib64/pkgconfig/libopenvswitch.pc
"""

# The program of xenserver/host, as far as its `install` sees it.
STUB_PROGRAM = r"""#!/bin/sh
tools="interface-reconfigure openvswitch-cfg-update openvswitch-xapi-update ovs-xapi-sync vif"
case $1 in
tools) printf '%s\n' $tools ;;
man) for t in $tools; do echo '.TH X' > "$2/$t.8"; done ;;
completion) for t in $tools; do echo : > "$2/$t.bash"; done ;;
esac
"""


# Dependencies that are the build machine's.
LIBRARY = re.compile(r"rpmlib\(|rtld\(|lib[\w.+-]*\.so")


class Kit(Programs):
    seconds = 120

    def __init__(self, top, out, record):
        self.top, self.out, self.record = top, out, record
        self.version = read(os.path.join(SOURCE, "VERSION")).strip()
        self.sources = os.path.join(top, "SOURCES")
        self.db = os.path.join(top, "rpmdb")  # of the build machine: what is installed there
        self.env = {**os.environ, "HOME": top, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.env.setdefault("OVS_RS_CACHE", os.path.expanduser("~/.cache/openvswitch-rs"))
        self.env.setdefault("RUSTUP_HOME", os.path.expanduser("~/.rustup"))
        self.env["PATH"] += ":/usr/sbin:/sbin"
        # Nothing is compiled: the host's program is a stand-in, too.
        self.env["OVS_XENSERVER"] = write(os.path.join(top, "ovs-xenserver"), STUB_PROGRAM, 0o755)
        self.made = {}  # packages, by what they were made with
        self.stub_tarball(self.version)
        self.ovs_tarball("openvswitch-3.9.1.tar.gz")
        self.run(["rpm", "--dbpath", self.db, "--initdb"])

    # ---- sources ----
    def tarball(self, name, files):
        """{path: text, or (text, mode)} as a tarball in SOURCES."""
        tree = os.path.join(self.top, "tree")
        for path, content in files.items():
            text, mode = content if isinstance(content, tuple) else (content, 0o644)
            write(os.path.join(tree, path), text, mode)
        os.makedirs(self.sources, exist_ok=True)
        self.run(["tar", "-czf", os.path.join(self.sources, name), "-C", tree] + sorted({p.split("/")[0] for p in files}))
        self.run(["rm", "-r", tree])

    def stub_tarball(self, version, inside=None, part=True):
        """openvswitch-VERSION.tar.gz: the real xenserver/, with the files for the host if `part`, and stand-ins for what compiles."""
        top = "openvswitch-" + version
        files = {top + "/VERSION": (inside or version) + "\n", top + "/Makefile": STUB_MAKEFILE, top + "/LICENSE": "GPL\n"}
        for name in ("modprobe.conf", "sign-module"):
            path = os.path.join(SOURCE, "xenserver", name)
            files[top + "/xenserver/" + name] = (read(path), os.stat(path).st_mode & 0o777)
        # What looks for a cargo finds none.
        files[top + "/tools/lib.sh"] = read(os.path.join(SOURCE, "tools/lib.sh"))
        files[top + "/tools/toolchain.sh"] = ("#!/bin/sh\nexit 1\n", 0o755)
        if part:
            for name in self.run(["git", "-C", SOURCE, "ls-files", "xenserver/host/install", "xenserver/host/build", "xenserver/host/files"]).splitlines():
                path = os.path.join(SOURCE, name)
                files[top + "/" + name] = (read(path), os.stat(path).st_mode & 0o777)
        self.tarball(top + ".tar.gz", files)

    def ovs_tarball(self, name):
        top = re.sub(r"\.tar\..*", "", name)
        self.tarball(name, {top + "/configure": (STUB_CONFIGURE, 0o755), top + "/Makefile": STUB_OVS, top + "/NEWS": "v\n",
                            top + "/vswitchd/ovs-vswitchd.c": "\n"})

    def headers(self, release, sign=False):
        """The directory of headers of a kernel that does not exist."""
        build = os.path.join(self.top, "headers", release)
        write(build + "/Makefile", "")
        write(build + "/include/generated/utsrelease.h", '#define UTS_RELEASE "%s"\n' % release)
        write(build + "/include/config/auto.conf", 'CONFIG_MODULE_SIG_HASH="sha512"\n')
        if sign:  # what it is asked, and the end that the kernel looks for
            write(build + "/scripts/sign-file", "#!/bin/sh\ntest -r \"$2\" && echo \"$1 $2 $3 $(wc -c < \"$4\")\" > %s/signed\n"
                  "printf '%%28s' '~Module signature appended~\n' >> \"$4\"\n" % self.top, 0o755)
        return build

    # ---- RPMs ----
    def spec(self, version=None):
        text = read(os.path.join(SOURCE, "xenserver/openvswitch-xen.spec.in")).replace("@VERSION@", version or self.version)
        return write(os.path.join(self.top, "spec", version or self.version, "openvswitch-xen.spec"), text)

    def rpmbuild(self, *options, release=None, version=None, fails=False, db=None, env=None, spec=None, topdir=None, seconds=120):
        """Builds in a directory of its own. Options "name value" are macros; others are taken as they are. Returns the output and {name: path}."""
        top = topdir or tempfile_in(self.top)
        argv = ["rpmbuild", "-bb", "--define", "_topdir " + top, "--define", "_sourcedir " + self.sources, "--define", "_dbpath " + (db or self.db)]
        for option in options:
            argv += [option] if option.startswith("--") else ["-D", option]
        if release:
            argv += ["-D", "kernel_build " + self.headers(release)]
        output = self.run(argv + [spec or self.spec(version)], fails=fails, env=env, seconds=seconds)
        return output, {os.path.basename(p): p for p in glob.glob(top + "/RPMS/*/*.rpm")}

    def packages(self, *options, **more):
        """The same, made once for the same options."""
        key = (options, tuple(sorted(more.items())))
        if key not in self.made:
            self.made[key] = self.rpmbuild(*options, **more)[1]
        return self.made[key]

    def dummy(self, name, version, release="1", provides=(), files=(), needs=()):
        """A package that has a name, and says that it provides what is asked of it."""
        top = tempfile_in(self.top)
        lines = ["Name: " + name, "Version: " + version, "Release: " + release, "Summary: x", "License: x", "BuildArch: x86_64", "AutoReqProv: no"]
        lines += ["Provides: " + p for p in provides] + ["Requires: " + n for n in needs]
        lines += ["%description", "x", "%install"]
        lines += ["install -D /dev/null %%{buildroot}%s" % f for f in files] + ["%files"] + list(files)
        spec = write(top + "/dummy.spec", "\n".join(lines) + "\n")
        self.run(["rpmbuild", "-bb", "--define", "_topdir " + top, "--define", "_dbpath " + self.db, "--define", "debug_package %{nil}",
                  "--define", "_build_id_links none", spec])
        path, = glob.glob(top + "/RPMS/*/*.rpm")
        return path

    def query(self, rpm, *what):
        return self.run(["rpm", "--dbpath", self.db, "-qp", *what, rpm]).split("\n")[:-1]

    def listing(self, rpms):
        """What packages are and hold, one line each, in the order of their names."""
        lines = []
        for name in sorted(rpms):
            lines.append(name)
            for what in ("provides", "requires", "conflicts"):
                lines += ["  %s %s" % (what, x.strip()) for x in sorted(set(self.query(rpms[name], "--" + what))) if not LIBRARY.match(x)]
            lines += ["  " + x for x in self.query(rpms[name], "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]")]
        return [line.replace(self.version, "VERSION") for line in lines]

    def compare(self, name, rpms):
        """The listing with expected/NAME."""
        path = os.path.join(HERE, "expected", name)
        lines = self.listing(rpms)
        if self.record:
            write(path, "\n".join(lines) + "\n")
            return
        wanted = read(path).splitlines() if os.path.exists(path) else []
        check(lines == wanted, "not as in tests/rpm/expected/%s:\n%s" % (
            name, "\n".join(["- " + x for x in wanted if x not in lines] + ["+ " + x for x in lines if x not in wanted] or ["another order"])))


def tempfile_in(top):
    return tempfile.mkdtemp(dir=top)
