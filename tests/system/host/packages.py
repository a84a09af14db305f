# SPDX-License-Identifier: GPL-2.0
"""Debian packages without touching the machine's own apt or dpkg.

A private apt configuration names the machine's own mirrors (read from its sources, never written
here) and one set of suites; `closure` resolves a package list against an empty dpkg status and
`download` puts the .deb files into the cache.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess

CACHE = os.environ.get("OVS_RS_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "openvswitch-rs")


def sh(args, **kw):
    """Run a command, return its stdout; on failure raise with its stderr in the message."""
    p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
    if p.returncode:
        raise SystemExit("%s: exit %d\n%s" % (" ".join(args), p.returncode, p.stderr[-2000:]))
    return p.stdout


def machine_mirrors():
    """(archive, security, keyring) of the machine's apt: the first mirror of each kind."""
    main = sec = None
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    found = []
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        with open(path) as f:
            for stanza in re.split(r"\n\s*\n", f.read()):
                uris = re.search(r"(?mi)^URIs:\s*(\S+)", stanza)
                suites = re.search(r"(?mi)^Suites:\s*(.*)$", stanza)
                if uris and suites:
                    found.append((uris.group(1), suites.group(1)))
    for path in ["/etc/apt/sources.list"] + sorted(glob.glob("/etc/apt/sources.list.d/*.list")):
        if os.path.exists(path):
            with open(path) as f:
                for m in re.finditer(r"(?m)^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", f.read()):
                    found.append(m.groups())
    for uri, suites in found:
        if "bookworm-security" in suites:
            sec = sec or uri
        elif re.search(r"\bbookworm(-updates)?\b", suites):
            main = main or uri
    if not main:
        raise SystemExit("no Debian 12 (bookworm) mirror in /etc/apt; the VM's root is made of its packages")
    return main, sec, key


# Sets of suites, as in tools/lib.sh, so that headers and images have the same versions.
SUITES = {
    "apt-bullseye": "bullseye",
    "apt": "bookworm bookworm-updates",
    "apt-backports": "bookworm bookworm-updates bookworm-backports",
    "apt-trixie": "trixie trixie-backports",
    "apt-source": "bookworm",
    "apt-source-sid": "sid",
}


class Apt:
    """A private apt for one set of suites, Debian 12 unless told."""

    def __init__(self, name="apt"):
        self.dir = os.path.join(CACHE, name)
        for d in ("lists/partial", "archives/partial", "etc"):
            os.makedirs(os.path.join(self.dir, d), exist_ok=True)
        main, sec, key = machine_mirrors()
        suites = SUITES[name]
        kind = "deb-src" if name.startswith("apt-source") else "deb"
        text = "Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n" % (kind, main, suites, key)
        first = suites.split()[0]
        if sec and first in ("bullseye", "bookworm"):
            text += "\nTypes: %s\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n" % (
                kind, sec, first, key)
        src = os.path.join(self.dir, "etc", "debian.sources")
        fresh = os.path.exists(src) and open(src).read() == text
        with open(src, "w") as f:
            f.write(text)
        with open(os.path.join(self.dir, "status"), "w"):
            pass
        self.opts = []
        for k, v in (("Dir::Etc::sourcelist", "/dev/null"),
                     ("Dir::Etc::sourceparts", os.path.join(self.dir, "etc")),
                     ("Dir::State::lists", os.path.join(self.dir, "lists")),
                     ("Dir::State::status", os.path.join(self.dir, "status")),
                     ("Dir::Cache", self.dir),
                     ("Dir::Cache::archives", os.path.join(self.dir, "archives")),
                     ("APT::Install-Recommends", "false"),
                     ("APT::Architecture", "amd64"),
                     ("APT::Sandbox::User", "root"),
                     ("Acquire::Languages", "none"),
                     ("Debug::NoLocking", "true")):
            self.opts += ["-o", "%s=%s" % (k, v)]
        if not fresh or not glob.glob(os.path.join(self.dir, "lists", "*_Packages*" if kind == "deb" else "*_Sources*")):
            sh(["apt-get", "-q"] + self.opts + ["update"])

    def plan(self, packages):
        """{package: version} of the packages and all they depend on."""
        lists = sorted(glob.glob(os.path.join(self.dir, "lists", "*Release")))
        memo = os.path.join(self.dir, "plan-" + digest((packages, [os.stat(p).st_mtime_ns for p in lists])))
        if os.path.exists(memo):
            with open(memo) as f:
                return json.load(f)
        out = sh(["apt-get", "-qq", "-y", "-s"] + self.opts + ["install"] + packages)
        plan = dict(re.findall(r"^Inst (\S+) \((\S+)", out, re.M))
        with open(memo + ".tmp", "w") as f:
            json.dump(plan, f)
        os.rename(memo + ".tmp", memo)
        return plan

    def update(self):
        sh(["apt-get", "-q"] + self.opts + ["update"])

    def _path(self, pkg, ver):
        for arch in ("amd64", "all"):
            p = os.path.join(self.dir, "archives", "%s_%s_%s.deb" % (pkg, ver.replace(":", "%3a"), arch))
            if os.path.exists(p):
                return p
        return None

    def download(self, packages, keep):
        """Paths of the .deb files of the closure of `packages`, less those `keep` says no to."""
        for attempt in (1, 2):
            plan = {p: v for p, v in self.plan(packages).items() if keep(p)}
            missing = ["%s=%s" % pv for pv in sorted(plan.items()) if not self._path(*pv)]
            if not missing:
                break
            p = subprocess.run(["apt-get", "-q"] + self.opts + ["download"] + missing, text=True,
                               cwd=os.path.join(self.dir, "archives"),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if p.returncode == 0:
                break
            if attempt == 2:
                raise SystemExit("apt-get download failed:\n" + p.stdout[-2000:])
            self.update()  # the lists are older than the mirror
        return {pkg: self._path(pkg, ver) for pkg, ver in sorted(plan.items())}


@contextlib.contextmanager
def making(path):
    """A directory in which `path` is made, to be renamed to it at the end. Nothing of it stays if that is stopped."""
    tmp = "%s.%d.tmp" % (path, os.getpid())
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    try:
        yield tmp
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def forget_older(pattern, new):
    """Takes the files that match out of the cache that are two weeks older than the file `new`."""
    for old in glob.glob(pattern):
        if old != new and os.stat(old).st_mtime < os.stat(new).st_mtime - 14 * 86400:
            os.unlink(old)


def digest(obj):
    return hashlib.sha256(repr(obj).encode()).hexdigest()[:16]
