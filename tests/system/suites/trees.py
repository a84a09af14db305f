# SPDX-License-Identifier: GPL-2.0
"""From Debian's source packages to built trees, kept in the cache.

A tree is built in a chroot of Debian 12 packages, never with what the build machine happens to have, and under the
path that it will have in the VM (`/suite`), because configure writes its path into the test scripts. Binaries are
static: under emulation fork and exec dominate, and a static program starts in a fraction of the time.
"""

import glob
import os
import re
import shutil
import subprocess

from host.packages import CACHE, Apt, digest, making, sh

COMPILERS = """
    autoconf automake bash bzip2 coreutils dash diffutils dpkg-dev findutils gawk gcc grep gzip libc6-dev libtool m4 make
    patch perl pkg-config python3 python3-six sed tar xz-utils
""".split()
# What maintainer scripts would have set up.
LINKS = {"sh": "dash", "awk": "gawk", "cc": "gcc", "automake": "automake-1.16", "aclocal": "aclocal-1.16", "which": "which.debianutils"}
RECIPE = 1  # raise when a chroot or a tree comes out differently for the same packages

NEWEST_SOURCE = {"bookworm": "apt-source", "sid": "apt-source-sid"}


def unpack(debs, root):
    """A root of packages, merged /usr, without running a maintainer script."""
    for d in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(root, "usr", d))
        os.symlink("usr/" + d, os.path.join(root, d))
    for deb in debs:
        sh(["sh", "-c", "dpkg-deb --fsys-tarfile '%s' | tar -x --no-same-owner --keep-directory-symlink -C '%s'" % (deb, root)])


def compilers(log):
    """The directory of the chroot in which trees are built."""
    apt = Apt()
    plan = apt.plan(COMPILERS)
    root = os.path.join(CACHE, "suites", "chroot-" + digest((sorted(plan.items()), LINKS, RECIPE)))
    if not os.path.isdir(root):
        log("unpacking a chroot of %d Debian packages to build in (once)" % len(plan))
        with making(root) as tmp:
            unpack(apt.download(COMPILERS, lambda p: True).values(), tmp)
            for link, target in LINKS.items():
                path = os.path.join(tmp, "usr/bin", link)
                if not os.path.lexists(path):
                    os.symlink(target, path)
            for d in ("dev", "proc", "suite", "tmp", "root"):
                os.makedirs(os.path.join(tmp, d), exist_ok=True)
            with open(os.path.join(tmp, "etc/passwd"), "w") as f:
                f.write("root:x:0:0:root:/root:/bin/bash\n")
            os.rename(tmp, root)
    return root


def in_chroot(root, tree, script, logfile):
    """Run a bash script in the chroot, `tree` being its /suite and the working directory. Raises with the log's end."""
    mounts = 'mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc" && mount --bind "$2" "$1/suite" || exit 90; '
    enter = 'exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C TERM=dumb ' \
            '/bin/bash -ec "cd /suite; $3"'
    # A PID namespace, so that nothing goes on when this program is stopped.
    unshare = ["unshare", "-mpf" if os.geteuid() == 0 else "-mrpf", "--kill-child"]
    with open(logfile, "ab") as log:
        p = subprocess.run(unshare + ["sh", "-c", mounts + enter, "sh", root, tree, script], stdin=subprocess.DEVNULL,
                           stdout=log, stderr=subprocess.STDOUT)
    if p.returncode:
        with open(logfile, errors="replace") as f:
            tail = "".join(f.readlines()[-25:])
        raise SystemExit("building in the chroot failed (%d); all of it: %s\n%s" % (p.returncode, logfile, tail))


def here(path):
    """A file of this directory."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), path)


def newest(package, suite):
    """The newest version of a source package in a suite."""
    apt = Apt(NEWEST_SOURCE[suite])
    text = sh(["apt-cache", "-q"] + apt.opts + ["--only-source", "showsrc", package])
    found = re.findall(r"^Package: %s\n(?:.*\n)*?Version: (\S+)" % re.escape(package), text, re.M)
    if not found:
        raise SystemExit("no source package %s in Debian's %s" % (package, suite))
    best = found[0]
    for v in found[1:]:
        if subprocess.run(["dpkg", "--compare-versions", v, "gt", best]).returncode == 0:
            best = v
    return best


def source(package, version, suite, into, given):
    """Download a source package (.dsc and tarballs; apt checks their hashes) into a directory; `given` is what --source calls it."""
    apt = Apt(NEWEST_SOURCE[suite])
    os.makedirs(into, exist_ok=True)
    for attempt in (1, 2):
        p = subprocess.run(["apt-get", "-q"] + apt.opts + ["--download-only", "source", "%s=%s" % (package, version)],
                           cwd=into, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode == 0:
            return
        apt.update()
    raise SystemExit("source package %s %s of Debian's %s: %s\n"
                     "If the mirror has lost its files, make system SOURCE=%s=DIRECTORY names an unpacked tree." % (
                         package, version, suite, " / ".join(re.findall(r"^E: (.*)", p.stdout, re.M)[:2]), given))


def given_version(package, directory):
    """The version of an unpacked source tree, and of this copy of it."""
    head = os.path.join(directory, "configure.ac")
    try:
        with open(head) as f:
            init = re.search(r"AC_INIT\(\[?%s\]?, *\[?([^], ]+)" % package, f.read())
    except OSError as e:
        raise SystemExit("no sources of %s: %s" % (package, e))
    if not init:
        raise SystemExit("no sources of %s: its name is not in %s" % (package, head))
    return "%s-given-%s" % (init.group(1), digest(os.stat(head).st_mtime_ns))


class Tree:
    """What a suite needs under /suite, built once for each version.

    `parts` are (directory, source package, Debian suite); `script` builds them, with /suite as the working directory
    and the sources unpacked and patched as Debian has them in /suite/DIRECTORY. `given` are packages of which a directory has the sources.
    """

    def __init__(self, name, parts, script, given, log):
        self.name = name
        versions = [given_version(p, given[p]) if p in given else newest(p, suite) for _, p, suite in parts]
        self.versions = dict(zip((p for _, p, _ in parts), versions))
        self.key = "%s-%s-%s" % (name, re.sub(r"[^\w.+~-]", "_", "-".join(versions)), digest((parts, script, RECIPE))[:8])
        self.dir = os.path.join(CACHE, "suites", self.key)
        if not os.path.isdir(self.dir):
            self._build(parts, versions, script, given, log)

    def _build(self, parts, versions, script, given, log):
        root = compilers(log)
        logfile = self.dir + ".log"
        if os.path.exists(logfile):
            os.unlink(logfile)
        with making(self.dir) as tmp:
            for (directory, package, suite), version in zip(parts, versions):
                if package in given:
                    shutil.copytree(given[package], os.path.join(tmp, directory), symlinks=True,
                                    ignore=shutil.ignore_patterns(".git"))
                    continue
                log("fetching the source of %s %s" % (package, version))
                source(package, version, suite, os.path.join(tmp, "dl"), self.name + ("" if package == parts[-1][1] else "/" + package))
                in_chroot(root, tmp, "dpkg-source --no-check -x dl/%s_*.dsc %s; rm -r dl" % (package, directory), logfile)
            log("building %s (minutes, once; log: %s)" % (self.key, logfile))
            in_chroot(root, tmp, "export MAKEFLAGS=-j%d; %s" % (os.cpu_count(), script), logfile)
            if not os.path.isdir(self.dir):  # another run may have built it meanwhile
                os.rename(tmp, self.dir)

    def read(self, path):
        with open(os.path.join(self.dir, path), errors="replace") as f:
            return f.read()


class KernelTree:
    """Some files of Debian's linux-source-VERSION, as they are: scripts only, nothing is compiled.

    `paths` are theirs in the kernel's tree, with `*`; `python` are packages that go beside them, in /suite/python.
    """

    def __init__(self, name, version, paths, python, given, log):
        apt_name = {"6.1": "apt", "6.12": "apt-backports"}.get(version, "apt-trixie")
        self.name = name
        package = "linux-source-" + version
        apt = Apt(apt_name)
        backport = "" if apt_name == "apt" else "/%s-backports" % ("bookworm" if apt_name == "apt-backports" else "trixie")
        if package in given:
            self.versions = {package: "given"}
        else:
            self.versions = {package: apt.plan([package + backport])[package]}
        self.key = "%s-%s-%s" % (name, re.sub(r"[^\w.+~-]", "_", self.versions[package]), digest((paths, python, RECIPE))[:8])
        self.dir = os.path.join(CACHE, "suites", self.key)
        if os.path.isdir(self.dir) and package not in given:
            return
        with making(self.dir) as tmp:
            # Not every kernel has all of them.
            if package in given:
                sh(["sh", "-c", "cd '%s' && cp -r --parents %s '%s' 2>/dev/null || :" % (given[package], " ".join(paths), tmp)])
            else:
                log("fetching %s %s for %s" % (package, self.versions[package], name))
                deb = apt.download([package + backport], lambda p: p == package)[package]
                sh(["sh", "-c", "dpkg-deb --fsys-tarfile '%s' | tar -xO ./usr/src/%s.tar.xz | "
                    "tar -xJ -C '%s' --strip-components=1 --wildcards %s 2>/dev/null || :" % (
                        deb, package, tmp, " ".join("'*/%s'" % p for p in paths))])
            if not os.listdir(tmp):
                raise SystemExit("%s %s has none of %s" % (package, self.versions[package], " ".join(paths)))
            wheels(python, os.path.join(tmp, "python"), log)
            shutil.rmtree(self.dir, ignore_errors=True)
            os.rename(tmp, self.dir)

    read = Tree.read


def wheels(names, into, log):
    """Unpack Python packages that Debian 12 has not, or has too old, into a directory."""
    store = os.path.join(CACHE, "suites", "wheels")
    os.makedirs(store, exist_ok=True)
    for name in names:
        project, _, version = name.partition("==")
        if not glob.glob(os.path.join(store, "%s-%s*.whl" % (project, version))):
            log("fetching the Python package " + name)
            sh(["python3", "-m", "pip", "-q", "download", "--no-deps", "--only-binary", ":all:",
                "-d", store, name])
        wheel, = glob.glob(os.path.join(store, "%s-%s*.whl" % (project, version)))
        shutil.unpack_archive(wheel, into, "zip")
