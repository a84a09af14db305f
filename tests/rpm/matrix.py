# SPDX-License-Identifier: GPL-2.0
"""The guide's parameters: what each spelling of the kernel makes of names, dependencies and files, and what is refused, how."""

import os
import re
import shutil

from kit import SOURCE, check, read, write

XS56 = "2.6.32.12-0.7.1.xs5.6.100.323.170596"
XS8 = "4.19.0+1"
OLD = ("kernel_name xen", "kernel_version " + XS56)


def module(rpms):
    """The path of openvswitch.ko's package in {name: path}."""
    path, = [p for n, p in rpms.items() if n.startswith("openvswitch-module") and "debuginfo" not in n]
    return path


def case_dist(kit):
    """dist: the version in the spec file, the crates, nothing that is not tracked, no path of this machine"""
    out = os.path.join(kit.top, "dist")
    kit.run([os.path.join(SOURCE, "tools/dist.sh"), out], env={"HOME": os.environ["HOME"]}, seconds=600)
    first = os.path.join(out, "openvswitch-%s.tar.gz" % kit.version)
    kit.run(["tar", "-xzf", first, "-C", out])
    check(sorted(os.listdir(out)) == ["openvswitch-" + kit.version, os.path.basename(first)], "not all is below one directory")
    top = os.path.join(out, "openvswitch-" + kit.version)
    for f in ("xenserver/openvswitch-xen.spec", "VERSION", "Kbuild", "tools/toolchain.sh", ".cargo/config.toml", "tests/system/run"):
        check(os.path.exists(os.path.join(top, f)), "no %s in it" % f)
    crates = re.findall(r'name = "(.*)"\nversion = "(.*)"\nsource', read(os.path.join(SOURCE, "userspace-shim/Cargo.lock")))
    for crate in crates:
        check(os.path.exists(os.path.join(top, "vendor/%s-%s/Cargo.toml" % crate)), "crate %s %s is not in it" % crate)
    tracked = set(kit.run(["git", "-C", SOURCE, "ls-files"]).splitlines())
    made = {os.path.relpath(os.path.join(d, f), top) for d, _, files in os.walk(top) for f in files}
    more = {f for f in made - tracked if not f.startswith("vendor/")}
    check(more == {"xenserver/openvswitch-xen.spec", ".cargo/config.toml", "debian/changelog"}, "not tracked, and in it: %s" % sorted(more))
    built = [f for f in made if not f.startswith("vendor/") and re.search(r"\.(deb|rpm|ko|o|changes|buildinfo)$", f)]
    check(not built, "what a build made is in it: %s" % built)
    text = read(os.path.join(top, "xenserver/openvswitch-xen.spec"))
    check("@VERSION@" not in text and "openvswitch_version " + kit.version in text, "the spec file has no version")
    found = kit.run(["sh", "-c", "grep -rlF --exclude-dir=vendor -e '%s' -e '%s' '%s' || :" % (SOURCE, kit.top, top)])
    check(not found, "paths of this machine are in " + found)
    said = kit.run([os.path.join(top, "tools/dist.sh")], fails=True)
    check(said.startswith("openvswitch: make dist needs the git repository"), "in an unpacked tarball make dist says:\n" + said)
    shutil.rmtree(out)


def case_uname(kit):
    """kernel_uname, XenServer 6.5 and newer: names, dependencies, files"""
    kit.compare("uname", kit.packages("kernel_uname " + XS8, release=XS8))


def case_literal(kit):
    """the guide's kenel_uname, as it stands there, gives the same"""
    kit.compare("uname", kit.packages("openvswitch_version " + kit.version, "kenel_uname " + XS8, release=XS8))


def case_macro(kit):
    """kernel-devel's own kernel_version, and nothing given: the same again; no rpm -qa asks for another"""
    macros = write(os.path.join(kit.top, "macros.kernel"), "%%kernel_version %s\n" % XS8)
    output, rpms = kit.rpmbuild("--load=" + macros, "--without=check", release=XS8)
    kit.compare("uname", rpms)


def case_both(kit):
    """kernel_uname wins over kenel_uname and over the old parameters"""
    _, rpms = kit.rpmbuild("kenel_uname 1.2", "kernel_uname " + XS8, *OLD, "kernel_flavor xen", "--without=check", "--without=userspace", release=XS8)
    kit.compare("module-only", rpms)


def case_xen(kit):
    """kernel_name, kernel_version, kernel_flavor xen: names, dependencies, files"""
    kit.compare("xen", kit.packages("openvswitch_version " + kit.version, *OLD, "kernel_flavor xen", release=XS56 + "xen"))


def case_kdump(kit):
    """kernel_flavor kdump"""
    kit.compare("kdump", kit.packages(*OLD, "kernel_flavor kdump", release=XS56 + "kdump"))


def case_detect(kit):
    """nothing given: the kernel whose devel package is installed, of the flavor if one is given"""
    db = os.path.join(kit.top, "db-detect")
    version, release = XS56.split("-")
    kit.run(["rpm", "--dbpath", db, "--initdb"])
    for flavor in ("xen", "kdump"):
        kit.run(["rpm", "--dbpath", db, "-U", kit.dummy("kernel-%s-devel" % flavor, version, release, files=["/usr/src/" + flavor])]
                + ["--justdb", "--nodeps"])
    _, rpms = kit.rpmbuild("--without=check", release=XS56 + "xen", db=db)
    kit.compare("xen", rpms)
    _, rpms = kit.rpmbuild("kernel_flavor kdump", "--without=check", release=XS56 + "kdump", db=db)
    kit.compare("kdump", rpms)
    # A second one of the same flavor: which is meant?
    kit.run(["rpm", "--dbpath", db, "-i", kit.dummy("kernel-xen-devel", "2.6.99", "7", files=["/usr/src/x"]), "--justdb", "--nodeps"])
    refused(kit, r"headers of several kernels are installed \(.*2\.6\.99-7.*\); name the kernel: -D 'kernel_uname", db=db, release=XS56 + "xen")


def case_dirs(kit):
    """xen_version, module_dir, module_abi_version: other directories, another coupling"""
    _, rpms = kit.rpmbuild("kernel_uname " + XS8, "xen_version 4.19.0-own", "module_dir updates", "module_abi_version 7", "--without=check", release="4.19.0-own")
    kit.compare("dirs", rpms)


def case_alt(kit):
    """--with alt: XCP-ng's openvswitch-module-alt, in override/, and no package openvswitch"""
    _, rpms = kit.rpmbuild("kernel_uname " + XS8, "--with=alt", "--without=check", release=XS8)
    kit.compare("alt", rpms)


def case_dashes(kit):
    """a uname with more dashes than a dependency can have, such as Debian's"""
    release = "6.1.0-56-cloud-amd64"
    _, rpms = kit.rpmbuild("kernel_uname " + release, "--without=check", "--without=userspace", release=release)
    kit.compare("dashes", rpms)


def case_check(kit):
    """the unit tests run, --without check skips them, and a build whose tests fail ends with that"""
    release = ("kernel_uname " + XS8, "--without=userspace")
    output, _ = kit.rpmbuild(*release, release=XS8)
    check("\nunit tests ran\n" in output, "the unit tests did not run")
    output, _ = kit.rpmbuild(*release, "--without=check", release=XS8)
    check("unit tests ran" not in output, "the unit tests ran, --without check")
    top = os.path.join(kit.top, "fails")
    write(top + "/BUILD/fail", "")
    output, _ = kit.rpmbuild(*release, release=XS8, topdir=top, fails=True)
    check("rpmbuild --without check builds without them" in output, "nothing is said of --without check:\n" + output[-500:])


def case_sign(kit):
    """a module is signed when it has been stripped, by the kernel's hash, and not without a key"""
    kit.headers(XS8, sign=True)
    key, cert = [write(os.path.join(kit.top, "of the builder", n), "x\n") for n in ("key", "cert")]
    _, rpms = kit.rpmbuild("kernel_uname " + XS8, "module_sign_key " + key, "module_sign_cert " + cert, "--without=check", "--without=userspace", release=XS8)
    kit.compare("module-only", rpms)
    kit.run(["sh", "-c", "rm -rf x && mkdir x && rpm2archive - < '%s' | tar -xz -C x" % module(rpms)])
    ko = os.path.join(kit.top, "x/lib/modules/%s/extra/openvswitch/openvswitch.ko" % XS8)
    with open(ko, "rb") as f:
        data = f.read()
    check(data.endswith(b"~Module signature appended~\n"), "it is not signed")
    check("debug_line" not in kit.run(["readelf", "-SW", ko]), "it has not been stripped")
    with open(os.path.join(kit.top, "signed")) as f:
        check(f.read() == " ".join(["sha512", key, cert, str(len(data) - 28)]) + "\n", "sign-file was asked for something else")
    kit.run(["rm", "-r", os.path.join(kit.top, "headers", XS8)])
    refused(kit, "no scripts/sign-file in", "kernel_uname " + XS8, "module_sign_key " + key, "module_sign_cert " + cert, "--without=check", "--without=userspace", release=XS8)
    refused(kit, "to sign, .* are needed; cannot read module_sign_cert", "kernel_uname " + XS8, "module_sign_key " + key)
    refused(kit, "module_sign_key is 'of the builder/key'; give its whole path", "kernel_uname " + XS8, "module_sign_key of the builder/key", "module_sign_cert " + cert)
    refused(kit, "cannot read /nowhere/key", "kernel_uname " + XS8, "module_sign_key /nowhere/key", "module_sign_cert " + cert)


def case_debuginfo(kit):
    """debugging information of module and userspace is in its package, and in no other"""
    rpms = kit.packages("kernel_uname " + XS8, release=XS8)
    for name, path in rpms.items():
        files = kit.query(path, "-l")
        debug = [f for f in files if f.endswith(".debug") and ".build-id" not in f]
        if "debuginfo" in name:
            check(any("openvswitch.ko" in f for f in debug) and any("ovs-vswitchd" in f for f in debug), "not of both: %s" % debug)
        else:
            check(not debug, "%s has %s" % (name, debug))


def refused(kit, text, *options, **more):
    """No package, and one line that begins with our name and says what to do."""
    output, rpms = kit.rpmbuild(*options, fails=True, **more)
    said = re.findall(r"^(?:error: )?openvswitch: (.*)", output, re.M)
    check(len(said) == 1 and re.search(text, said[0]), "wanted: %s\nsaid:   %s\n%s" % (text, "\n        ".join(said), output[-800:]))
    check(not rpms, "there are packages nevertheless")


def case_refusals(kit):
    """what cannot be derived or is not there is said in one line, with what to do"""
    refused(kit, r"no kernel\*xen-devel package is installed, and no kernel-devel .*; install the kernel's, or name the kernel: -D 'kernel_uname")
    refused(kit, r"no kernel\*kdump-devel package is installed", "kernel_flavor kdump")
    refused(kit, "kernel_name is given without kernel_version; name the kernel", "kernel_name xen")
    refused(kit, "'4.19 0' cannot be the version of a kernel; name the kernel", "kernel_uname 4.19 0")
    refused(kit, "'a/b' cannot be the version", "kenel_uname a/b")
    refused(kit, "kernel_flavor is 'xen-pae'; there are xen and kdump", *OLD, "kernel_flavor xen-pae")
    trace = os.path.join(kit.top, "pwned")
    refused(kit, "kernel_flavor is '.*'; there are xen and kdump", "kernel_flavor xen'; touch %s; '" % trace)
    check(not os.path.exists(trace), "a shell was given kernel_flavor")
    refused(kit, r"'6\.12\.0~rc1-2' cannot be the version of a kernel", "kernel_uname 6.12.0~rc1-2")
    refused(kit, r"'4\.19\.0-' cannot be the version of a kernel", "kernel_uname 4.19.0-")
    refused(kit, r"openvswitch_version is '1\.0-rc1'; a version has .* no dash", "kernel_uname " + XS8, "openvswitch_version 1.0-rc1")
    refused(kit, r"xen_version is 'a b'; it is the name of a directory", "kernel_uname " + XS8, "xen_version a b")
    for where in ("../../etc", "/extra", "a//b", "a b"):
        refused(kit, "module_dir is '%s'; it is a directory below" % where, "kernel_uname " + XS8, "module_dir " + where)
    refused(kit, r"no headers of kernel 9\.9 in /lib/modules/9\.9/build; install its kernel-devel package, or name them: -D 'kernel_build",
            "kernel_uname 9.9")
    refused(kit, r"has the headers of kernel 4\.4\.0, not of 9\.9; name the kernel's", "kernel_uname 9.9", release="4.4.0")


def case_sources(kit):
    """OVS's sources: none, several, one that is named; a tarball of ours with another version in it"""
    ours = ("kernel_uname " + XS8,)
    kit.stub_tarball("0.0.7")
    kit.stub_tarball("0.0.8", inside="0.0.9")
    kit.ovs_tarball("openvswitch_4.0.0.orig.tar.xz")
    try:
        refused(kit, r"several OVS sources in .* \(openvswitch-3\.9\.1\.tar\.gz, openvswitch_4\.0\.0\.orig\.tar\.xz\); name one", *ours)
        _, rpms = kit.rpmbuild(*ours, "ovs_source openvswitch_4.0.0.orig.tar.xz", "--without=check", release=XS8)
        check("bundled(openvswitch) = 4.0.0" in kit.query(rpms["openvswitch-%s-1.x86_64.rpm" % kit.version], "--provides"), "OVS's version is not said")
    finally:
        os.unlink(os.path.join(kit.sources, "openvswitch_4.0.0.orig.tar.xz"))
    refused(kit, "the tarball openvswitch-0.0.8 has version 0.0.9 in it; make dist names it right", *ours, "openvswitch_version 0.0.8", release=XS8)
    bundles = [write(os.path.join(kit.sources, "openvswitch-toolchain-%s.tar.gz" % v), "") for v in ("1.9", "1.10")]
    refused(kit, r"several toolchains in .* \(openvswitch-toolchain-1\.10\.tar\.gz, openvswitch-toolchain-1\.9\.tar\.gz\); leave the one", *ours, release=XS8)
    for bundle in bundles:
        os.unlink(bundle)
    # A host without cargo: said before anything is compiled.
    refused(kit, r"the package openvswitch needs cargo .*: install them, or build the module only: rpmbuild --without userspace", *ours, release=XS8,
            env={"OVS_XENSERVER": ""})
    os.rename(os.path.join(kit.sources, "openvswitch-3.9.1.tar.gz"), os.path.join(kit.top, "away"))
    refused(kit, "no OVS sources in .*: put a release of www.openvswitch.org there, .* --without userspace", *ours)
    os.rename(os.path.join(kit.top, "away"), os.path.join(kit.sources, "openvswitch-3.9.1.tar.gz"))


def case_no_part(kit):
    """without any part that has files for the host there is a package openvswitch all the same"""
    kit.stub_tarball("0.0.6", part=False)
    _, rpms = kit.rpmbuild("kernel_uname " + XS8, "--without=check", version="0.0.6", release=XS8)
    files = kit.query(rpms["openvswitch-0.0.6-1.x86_64.rpm"], "-l")
    check("/usr/bin/ovs-vsctl" in files and "/etc/init.d/openvswitch" not in files, str(files))


CASES = [case_dist, case_uname, case_literal, case_macro, case_both, case_xen, case_kdump, case_detect, case_dirs, case_alt, case_dashes,
         case_check, case_sign, case_debuginfo, case_refusals, case_sources,
         case_no_part]
