# SPDX-License-Identifier: GPL-2.0
"""What the cases share: programs that are run, the package, and a root in which dpkg runs with stand-ins for the host's tools."""

import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from packages import SOURCE, Failure, Programs, Root, check, read, write  # noqa: E402, F401: the cases take them from here

PACKAGE = "openvswitch-modules-dkms"


class Kit(Programs):
    def __init__(self, top, out, record, keep=None):
        self.top, self.out, self.record, self.keep = top, out, record, keep
        self.version = read(os.path.join(SOURCE, "VERSION")).strip()
        self.made = {}
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.env.setdefault("OVS_RS_CACHE", os.path.expanduser("~/.cache/openvswitch-rs"))
        self.env["PATH"] += ":/usr/sbin:/sbin"

    def deb(self):
        """The package, made once."""
        if "deb" not in self.made:
            self.run([os.path.join(SOURCE, "tools/deb.sh"), "build", self.out], cwd=SOURCE, seconds=900)
            self.made["deb"] = os.path.join(self.out, "%s_%s_all.deb" % (PACKAGE, self.version))
        return self.made["deb"]

    def unpacked(self):
        """A directory with its files, and in DEBIAN/ what dpkg is told."""
        if "unpacked" not in self.made:
            self.made["unpacked"] = os.path.join(self.top, "unpacked")
            self.run(["dpkg-deb", "-R", self.deb(), self.made["unpacked"]])
        return self.made["unpacked"]

    def other(self, version):
        """The package as if of another version."""
        if version not in self.made:
            tree = shutil.copytree(self.unpacked(), os.path.join(self.top, "as-" + version), symlinks=True)
            os.rename(tree + "/usr/src/openvswitch-" + self.version, tree + "/usr/src/openvswitch-" + version)
            for f in ("DEBIAN/control", "DEBIAN/md5sums", "DEBIAN/postinst", "DEBIAN/prerm", "usr/src/openvswitch-%s/dkms.conf" % version,
                      "usr/src/openvswitch-%s/VERSION" % version):
                text = read(os.path.join(tree, f))
                text = re.sub(r"(openvswitch-|Version: |VERSION=\"?|^)%s\b" % re.escape(self.version), r"\g<1>" + version, text, flags=re.M)
                write(os.path.join(tree, f), text, os.stat(os.path.join(tree, f)).st_mode & 0o777)
            self.made[version] = os.path.join(self.top, "%s_%s_all.deb" % (PACKAGE, version))
            self.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, self.made[version]])
            shutil.rmtree(tree)
        return self.made[version]

    def compare(self, name, lines):
        """The lines with expected/NAME."""
        path = os.path.join(HERE, "expected", name)
        lines = [line.replace(self.version, "VERSION") for line in lines]
        if self.record:
            write(path, "\n".join(lines) + "\n")
        wanted = read(path).splitlines() if os.path.exists(path) else []
        check(lines == wanted, "not as in tests/deb/expected/%s:\n%s" % (
            name, "\n".join(["- " + x for x in wanted if x not in lines] + ["+ " + x for x in lines if x not in wanted] or ["another order"])))


APPLETS = "cat cp echo find grep ls mkdir mv rm rmdir sed touch".split()
TOOLS = ("usr/lib/dkms/common.postinst", "sbin/depmod", "sbin/modprobe", "sbin/rmmod", "sbin/insmod", "usr/bin/systemctl")


class Host(Root):
    """A root that has dpkg's database and stand-ins for dkms, depmod, modinfo and what loads modules."""

    def __init__(self, kit):
        super().__init__(kit, APPLETS, TOOLS)
        # busybox's shell would run applets of its own in the place of modprobe and the like.
        for f in ["/bin/dash"] + re.findall(r"(/\S+)", re.sub(r".*=>", "", kit.run(["ldd", "/bin/dash"]))):
            if os.path.exists(f):
                os.makedirs(os.path.dirname(self.path(f.lstrip("/"))), exist_ok=True)
                shutil.copy(f, self.path(f.lstrip("/")))
        os.symlink("dash", self.path("bin/sh"))
        write(self.path("usr/sbin/dkms"), '#!/bin/sh\necho "dkms $*" >> /log\ncase $1 in status) echo openvswitch/x, 6.1.0, x86_64: installed;; esac\n', 0o755)
        write(self.path("sbin/modinfo"), '#!/bin/sh\n[ "$*" = "-F srcversion openvswitch" ] && echo OURS\n', 0o755)
        for d in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/cache", "var/log", "dev", "run", "tmp", "lib/modules/6.1.0/build/include", "usr/src", "usr/share/doc",
                  "usr/share/dkms", "usr/lib/modprobe.d", "usr/lib/depmod.d", "usr/share/lintian/overrides"):
            os.makedirs(self.path(d), exist_ok=True)
            if d.startswith("usr/"):  # or dpkg takes it away when it is empty
                write(self.path(d + "/host"), "")
        for f in ("var/lib/dpkg/status", "var/lib/dpkg/available", "dev/null"):
            write(self.path(f), "", 0o666)
        self.before = self.files()

    def dpkg(self, *argv, fails=False):
        """What dpkg says, without its own words on what it does."""
        root = [] if os.geteuid() == 0 else ["unshare", "-r"]
        said = self.kit.run(root + ["dpkg", "--root=" + self.root, "--force-depends", "--force-unsafe-io", "--force-bad-path",
                                    "--log=" + self.path("var/log/dpkg.log"), *argv], fails=fails, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        return "".join(line for line in said.splitlines(True) if line.startswith("openvswitch: "))

    def files(self):
        skip = (self.path("var/lib/dpkg"), self.path("var/log"))
        return {os.path.relpath(os.path.join(d, f), self.root) for d, dirs, files in os.walk(self.root) for f in files + dirs
                if not d.startswith(skip)} - {"log", "dev/null"}

    def loaded(self, srcversion):
        """As if a module of that srcversion were loaded; the kernel's own has none."""
        os.makedirs(self.path("sys/module/openvswitch"), exist_ok=True)
        if srcversion:
            write(self.path("sys/module/openvswitch/srcversion"), srcversion + "\n")
