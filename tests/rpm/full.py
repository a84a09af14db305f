# SPDX-License-Identifier: GPL-2.0
"""The real thing: what make dist makes, built as the guide says, without network, for 6.1 and 6.12; with a toolchain that was carried here;
with OVS's own sources. The RPMs stay in out/rpm."""

import glob
import hashlib
import os
import re
import shutil

from install import ENABLE, UNITS, Host
from kit import SOURCE, Failure, check, read, write
from matrix import module

KERNELS = ("6.1", "6.12")


def headers(kit, kernel):
    """(directory of headers, release) of one of Debian's kernels."""
    build = kit.run([os.path.join(SOURCE, "tools/fetch-kernel.sh"), kernel], seconds=600).splitlines()[-1]
    return build, re.search(r'UTS_RELEASE "(.*)"', read(build + "/include/generated/utsrelease.h")).group(1)


def tarball(kit):
    """What make dist makes."""
    if "dist" not in kit.made:
        out = os.path.join(kit.top, "dist")
        kit.run([os.path.join(SOURCE, "tools/dist.sh"), out], env={"HOME": os.environ["HOME"]}, seconds=600)
        kit.made["dist"] = os.path.join(out, "openvswitch-%s.tar.gz" % kit.version)
    return kit.made["dist"]


def offline(argv):
    """The command, with no network but a loopback that is down."""
    return ["unshare", "-n" if os.geteuid() == 0 else "-rn"] + argv


def guide(kit, *options, env=None, more=(), seconds=1500):
    """The guide's steps: the tarball to SOURCES, unpacked, cd, rpmbuild -bb. Without network. Returns {name: path}; the RPMs go to out/rpm."""
    top = os.path.join(kit.top, "guide-%d" % len(kit.made))
    kit.made[top] = True
    sources = os.path.join(top, "SOURCES")
    os.makedirs(sources)
    for f in (tarball(kit),) + tuple(more):
        shutil.copy(f, sources)
    kit.run(["tar", "-xzf", os.path.basename(tarball(kit))], cwd=sources)
    argv = ["rpmbuild", "--define", "_topdir " + top, "--define", "_dbpath " + kit.db]
    for option in options:
        argv += [option] if option.startswith("--") else ["-D", option]
    kit.run(offline(argv + ["-bb", "xenserver/openvswitch-xen.spec"]), cwd=os.path.join(sources, "openvswitch-" + kit.version),
            env={"CARGO_HOME": os.path.join(top, "cargo"), "OVS_XENSERVER": "", **(env or {})}, seconds=seconds)
    os.makedirs(kit.out, exist_ok=True)
    rpms = {}
    for path in glob.glob(top + "/RPMS/*/*.rpm"):
        rpms[os.path.basename(path)] = shutil.copy(path, kit.out)
    shutil.rmtree(top)
    return rpms


def unpacked(kit, rpm):
    """A directory with the files of a package."""
    into = os.path.join(kit.top, "files-" + hashlib.sha256(rpm.encode()).hexdigest()[:8])
    if not os.path.isdir(into):
        os.makedirs(into)
        kit.run(["sh", "-c", "rpm2archive - < '%s' | tar -xz -C '%s'" % (rpm, into)])
    return into


def built(kit, kernel):
    """{name: path} of the RPMs of one kernel, the module only. With the unit tests where it is the first one."""
    if kernel not in kit.made:
        build, release = headers(kit, kernel)
        checks = () if kernel == KERNELS[0] else ("--without=check",)
        kit.made[kernel] = guide(kit, "kernel_uname " + release, "kernel_build " + build, "--without=userspace", *checks)
    return kit.made[kernel]


def ko(kit, kernel):
    return os.path.join(unpacked(kit, module(built(kit, kernel))), "lib/modules", headers(kit, kernel)[1], "extra/openvswitch/openvswitch.ko")


def case_same(kit):
    """dist: the same commit gives the same bytes"""
    with open(tarball(kit), "rb") as f:
        first = f.read()
    del kit.made["dist"]
    with open(tarball(kit), "rb") as f:
        check(f.read() == first, "the second tarball has other bytes")


def real(kernel, checks):
    def case(kit):
        rpms = built(kit, kernel)
        build, release = headers(kit, kernel)
        lines = [line.replace(release, "RELEASE") for line in kit.listing(rpms)]
        wanted = [line.replace("6.1.0-56-cloud-amd64", "RELEASE") for line in read(os.path.join(SOURCE, "tests/rpm/expected/dashes")).splitlines()]
        evr = re.compile(r"(= )\S+$")
        # The stand-in has a line table, and so a directory of sources.
        lines, wanted = [[evr.sub(r"\1EVR", x) for x in ls if "/usr/src/debug/" not in x] for ls in (lines, wanted)]
        check(lines == wanted, "not as in tests/rpm/expected/dashes:\n" + "\n".join(
            ["- " + x for x in wanted if x not in lines] + ["+ " + x for x in lines if x not in wanted]))
        path = ko(kit, kernel)
        said = {f: kit.run(["modinfo", "-F", f, path]).strip() for f in ("version", "vermagic", "description")}
        check(said["version"] == kit.version and said["vermagic"].split()[0] == release and "Rust" in said["description"], str(said))
        check(".debug_" not in kit.run(["readelf", "-SW", path]), "it has not been stripped")
        kit.run([os.path.join(SOURCE, "tools/check-loads.sh"), path] + glob.glob(build + "/Module.symvers"))
    case.__doc__ = "%s: built without network from make dist's tarball as the guide says%s; names, files, version, imports with their checksums" % (
        kernel, ", unit tests included" if checks else "")
    return case


def case_signature(kit):
    """6.1: signed with that kernel's own sign-file; modinfo says who and how"""
    build, _ = headers(kit, "6.1")
    path = shutil.copy(ko(kit, "6.1"), os.path.join(kit.top, "signed.ko"))
    key, cert = os.path.join(kit.top, "key.pem"), os.path.join(kit.top, "cert.pem")
    kit.run(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=our own key", "-keyout", key, "-out", cert])
    kit.run([os.path.join(SOURCE, "xenserver/sign-module"), build, key, cert, path])
    said = [kit.run(["modinfo", "-F", f, path]).strip() for f in ("signer", "sig_hashalgo")]
    check(said == ["our own key", "sha256"], "modinfo says " + str(said))
    # A key that is none: no half-signed module.
    before = shutil.copy(ko(kit, "6.1"), os.path.join(kit.top, "unsigned.ko"))
    said = kit.run([os.path.join(SOURCE, "xenserver/sign-module"), build, write(os.path.join(kit.top, "none.pem"), "x\n"), cert, before], fails=True)
    check("openvswitch: cannot sign" in said, said)


def case_together(kit):
    """6.1 and 6.12 in one root, and away again"""
    host = Host(kit)
    provides = ["kernel-uname-r = " + re.sub(r"(?<=-)(.*)", lambda m: m.group(1).replace("-", "."), headers(kit, k)[1], count=1) for k in KERNELS]
    host.rpm("-U", kit.dummy("kernels", "1", provides=provides, files=["/lib/modules/%s/kernel/x" % headers(kit, k)[1] for k in KERNELS]))
    before = host.files()
    for k in KERNELS:
        host.rpm("-U", module(built(kit, k)))
    for k in KERNELS:
        release = headers(kit, k)[1]
        kit.run(["depmod", "-b", host.root, "-C", host.path("etc/depmod.d"), release])
        name = kit.run(["modinfo", "-b", host.root, "-k", release, "-n", "openvswitch"]).strip()
        check(name.endswith("/%s/extra/openvswitch/openvswitch.ko" % release), "for %s it is %s" % (release, name))
    host.rpm("-e", *["openvswitch-modules-" + headers(kit, k)[1] for k in KERNELS])
    left = {f for f in host.files() ^ before if "/modules." not in f}
    check(not left, "left behind or taken away: %s" % sorted(left))


def case_vm(kit):
    """6.1: the module out of the RPM, stripped, loads and forwards in a VM"""
    kit.run([os.path.join(SOURCE, "tests/system/run"), "--kernel", "6.1", "--ko", ko(kit, "6.1"), "--out", os.path.join(kit.top, "vm"), "load", "forward"],
            env={"HOME": os.environ["HOME"]}, cwd=SOURCE, seconds=600)


def case_toolchain(kit):
    """a build host without Rust, network and cache: the toolchain that make toolchain makes, out of SOURCES"""
    out = os.path.join(SOURCE, "out")
    if not glob.glob(out + "/openvswitch-toolchain-*.tar.gz"):
        kit.run([os.path.join(SOURCE, "tools/toolchain-bundle.sh"), "make", out], seconds=1500)
    bundle = max(glob.glob(out + "/openvswitch-toolchain-*.tar.gz"), key=os.path.getmtime)
    # Neither compiler may need the host's C library: there is none in a root that has only a shell.
    host = Host(kit, tools=())
    os.symlink("busybox", host.path("bin/readlink"))
    os.symlink("busybox", host.path("bin/dirname"))
    kit.run([os.path.join(SOURCE, "tools/toolchain-bundle.sh"), "unpack", bundle, host.path("toolchain")], seconds=600)
    for tool in ("rustc", "bindgen"):
        argv = ["chroot", host.root, "/toolchain/bin/" + tool, "--version"]
        said = kit.run(argv if os.geteuid() == 0 else ["unshare", "-r"] + argv)
        check(said.startswith(tool + " "), said)
    shutil.rmtree(host.path("toolchain"))
    build, release = headers(kit, "6.1")
    rpms = guide(kit, "kernel_uname " + release, "kernel_build " + build, "--without=userspace", "--without=check", more=[bundle, bundle + ".sha256"],
                 env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OVS_RS_CACHE": os.path.join(kit.top, "empty-cache")})
    path = os.path.join(unpacked(kit, module(rpms)), "lib/modules", release, "extra/openvswitch/openvswitch.ko")
    check(kit.run(["modinfo", "-F", "version", path]).strip() == kit.version, "it is not our module")


def with_userspace(kit):
    """(OVS's tarball, {name: path}) of the RPMs with userspace, for 6.1."""
    found = sorted(glob.glob(os.path.join(kit.env["OVS_RS_CACHE"], "suites/ovs-*/openvswitch_*.orig.tar.*")))
    if not found:
        raise Failure("no OVS sources in the cache; make system SUITE=ovs-4.0 TESTS=1 KERNELS=6.1 MODULE=stock fetches them")
    if "userspace" not in kit.made:
        build, release = headers(kit, "6.1")
        kit.made["userspace"] = guide(kit, "kernel_uname " + release, "kernel_build " + build, "ovs_source " + os.path.basename(found[-1]),
                                      "--without=check", more=[found[-1]], seconds=3000)
    return found[-1], kit.made["userspace"]


def case_userspace(kit):
    """openvswitch with OVS's own sources: its files, its programs, debugging information"""
    source, rpms = with_userspace(kit)
    path = rpms["openvswitch-%s-1.x86_64.rpm" % kit.version]
    version = re.search(r"_([\d.]+)\.orig", source).group(1)
    check("bundled(openvswitch) = " + version in kit.query(path, "--provides"), "OVS's version is not said")
    # All names below Python's package are OVS's business; what we are asked for is not.
    files = [f for f in kit.query(path, "-l") if not re.search("/share/openvswitch/python/ovs/.", f)]
    expected = os.path.join(SOURCE, "tests/rpm/expected/userspace-" + version)
    if kit.record:
        write(expected, "\n".join(files).replace(kit.version, "VERSION") + "\n")
    wanted = read(expected).replace("VERSION", kit.version).splitlines() if os.path.exists(expected) else []
    check(files == wanted, "not as in %s:\n%s" % (expected, "\n".join(
        ["- " + f for f in wanted if f not in files] + ["+ " + f for f in files if f not in wanted])))
    own = [r for r in kit.query(path, "--requires") if r.startswith("/") and not re.match("/(usr/)?bin/", r)]
    check(not own, "it needs what only this machine has: %s" % own)
    where = unpacked(kit, path)
    for tool in ("usr/sbin/ovs-vswitchd", "usr/sbin/ovsdb-server", "usr/bin/ovs-vsctl", "usr/bin/ovs-ofctl", "usr/bin/ovs-dpctl"):
        said = kit.run([os.path.join(where, tool), "--version"])
        check("(Open vSwitch) " in said, said)
        check(".debug_info" not in kit.run(["readelf", "-SW", os.path.join(where, tool)]), tool + " has not been stripped")
    debug = kit.query(rpms["openvswitch-debuginfo-%s-1.x86_64.rpm" % kit.version], "-l")
    check(any("ovs-vswitchd" in f for f in debug) and any("openvswitch.ko" in f for f in debug), "debugging information is not of both")


def case_whole(kit):
    """the real packages of both halves in one rpm -U, with all that they depend on, and in one rpm -e"""
    _, rpms = with_userspace(kit)
    release = headers(kit, "6.1")[1]
    pair = [p for n, p in sorted(rpms.items()) if "debuginfo" not in n]
    host = Host(kit)
    needs = {r for p in pair for r in kit.query(p, "--requires") if not r.startswith(("rpmlib(", "openvswitch"))} - {"/bin/sh", "/bin/bash", "rtld(GNU_HASH)"}
    host.rpm("-U", kit.dummy("more", "1", provides=sorted(needs), files=["/lib/modules/%s/kernel/x" % release]))
    host.log()
    before = host.files()
    host.rpm("-U", *pair)
    host.called(*ENABLE, *(u % "preset" for u in UNITS), "depmod " + release)
    kit.run(["depmod", "-b", host.root, "-C", host.path("etc/depmod.d"), release])
    check(kit.run(["modinfo", "-b", host.root, "-k", release, "-F", "version", "openvswitch"]).strip() == kit.version, "it is not our module")
    host.rpm("-e", "openvswitch", "openvswitch-modules-" + release)
    left = {f for f in host.files() ^ before if "/modules." not in f}
    check(not left, "left behind or taken away: %s" % sorted(left))


CASES = [case_same, real("6.1", True), real("6.12", False), case_signature, case_together, case_vm, case_toolchain, case_userspace, case_whole]
