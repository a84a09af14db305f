# SPDX-License-Identifier: GPL-2.0
"""What the emulated Xen host is made of: hypervisor, dom0's root and kernel, the guests' kernel and initramfs, our RPM, our host tools.

All of Debian's comes out of its packages, as in tests/system/host, and is kept in the cache under the packages' versions.
"""

import glob
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(TOP, "tests", "system"), os.path.join(TOP, "tests", "rpm")]

from host import kernel as kernels, rootfs  # noqa: E402
from host.packages import CACHE, Apt, digest, forget_older, sh  # noqa: E402
from suites import image, trees  # noqa: E402

# The cloud flavour refuses to be dom0.
NEWEST = {"6.1": ("apt", "linux-image-amd64"), "6.12": ("apt-backports", "linux-image-amd64/bookworm-backports")}

DOM0_MODULES = """
    xenfs xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xen-netback xen-netfront openvswitch vport-gre vport-vxlan vport-geneve
    vxlan geneve ip_gre gre 8021q veth dummy tun nf_conntrack nf_nat nfnetlink nf_conncount nsh psample libcrc32c crc32c_generic
    sch_ingress cls_flower cls_matchall act_mirred act_gact act_police sch_htb af_packet ipv6
""".split() + kernels.BOOT
GUEST_MODULES = ["xen-netfront", "8021q"]

HYPERVISOR = "xen-hypervisor-4.20-amd64"
ROOT_PACKAGES = """
    bash busybox coreutils ethtool findutils gawk grep hostname iproute2 iputils-ping kmod mount netbase openvswitch-switch procps
    python3 rpm sed util-linux xen-utils-4.20 xen-utils-common xenstore-utils
""".split()
# In the closure only because of maintainer scripts or tools that nothing here runs.
ROOT_UNUSED = """
    adduser debconf debugedit dpkg init-system-helpers libdb5.3t64 media-types passwd perl-base sensible-utils systemd tzdata ucf udev
    uuid-runtime libtext-charwidth-perl libtext-wrapi18n-perl libgomp1 libmagic-mgc openssl-provider-legacy
""".split()
STRIP = """
    usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/lintian usr/share/bug usr/share/bash-completion
    usr/share/zoneinfo usr/share/common-licenses usr/share/openvswitch/bugtool-plugins usr/lib/systemd usr/lib/udev
    usr/lib/xen-4.20/boot usr/lib/x86_64-linux-gnu/gconv usr/lib/python3.13/test usr/lib/python3.13/idlelib
    usr/lib/python3.13/ensurepip usr/lib/python3.13/pydoc_data usr/lib/python3.13/tkinter usr/lib/python3.13/unittest
""".split()
ROOT_RECIPE = 1  # raise when root() makes something else of the same packages

# What a module's RPM is built from; the rest of the repository may change without a new build.
RPM_SOURCES = ["VERSION", "LICENSE", "Kbuild", "datapath", "kmod", "rust", "xenserver/openvswitch-xen.spec.in", "xenserver/modprobe.conf",
               "xenserver/sign-module"] + ["tools/" + t for t in (
                   "build-core.sh", "build-modules.sh", "feature-test.sh", "lib.sh", "toolchain.sh")]


def kernel(name, log):
    """The kernel of dom0 and of the guests: "6.1" and "6.12" are Debian 12's newest, else a release such as 6.1.0-56-amd64."""
    if name in NEWEST:
        apt, package = NEWEST[name]
        name, = (p[len("linux-image-"):] for p in Apt(apt).plan([package]) if re.match(r"linux-image-\d", p))
    if not re.fullmatch(r"\d+\.\d+\.\S+-amd64", name) or "cloud" in name:
        raise SystemExit("openvswitch: no kernel %s for dom0; KERNELS= takes 6.1, 6.12 or a release such as 6.1.0-56-amd64, but no cloud kernel" % name)
    return kernels.Kernel(name, log, DOM0_MODULES)


def hypervisor():
    """The uncompressed hypervisor, and its version."""
    deb = Apt("apt-trixie").download([HYPERVISOR], lambda p: p == HYPERVISOR)[HYPERVISOR]
    version = os.path.basename(deb).split("_")[1]
    out = os.path.join(CACHE, "xen", "xen-" + version)
    if not os.path.exists(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        data = subprocess.run(["sh", "-c", "dpkg-deb --fsys-tarfile '%s' | tar -xO --wildcards './boot/xen-*.gz'" % deb],
                              check=True, stdout=subprocess.PIPE).stdout
        with open(out + ".tmp", "wb") as f:
            f.write(gzip.decompress(data))
        os.rename(out + ".tmp", out)
    return out, version


def root(log):
    """The ext4 image of dom0's root: Debian 13's Xen, Open vSwitch, rpm and Python."""
    apt = Apt("apt-trixie")
    plan = {p: v for p, v in apt.plan(ROOT_PACKAGES).items() if p not in ROOT_UNUSED}
    key = digest((sorted(plan.items()), STRIP, ROOT_RECIPE, rootfs.RECIPE, trees.RECIPE))
    out = os.path.join(CACHE, "xen", "root-%s.ext4" % key)
    if os.path.exists(out):
        os.utime(out)
        return out
    log("building dom0's root from %d Debian packages (once)" % len(plan))
    debs = apt.download(ROOT_PACKAGES, lambda p: p not in ROOT_UNUSED)
    tmp = "%s.%d.tmp" % (out[:-5], os.getpid())
    shutil.rmtree(tmp, ignore_errors=True)
    for d in ("run", "var", "etc"):
        os.makedirs(os.path.join(tmp, d))
    os.symlink("/run", tmp + "/var/run")
    trees.unpack(debs.values(), tmp)
    rootfs.configure(tmp)
    os.symlink("gawk", tmp + "/usr/bin/awk")
    for tool in ("xl", "xenstored", "xenconsoled", "xen-init-dom0"):
        path = os.path.join(tmp, "usr/sbin", tool)
        if os.path.lexists(path):  # Debian's wrapper looks for the version that runs
            os.unlink(path)
        os.symlink("/usr/lib/xen-4.20/bin/" + tool, path)
    for d in ("proc/xen", "var/log/xen", "var/lib/xen", "var/lib/rpm", "var/lib/xenstored"):
        os.makedirs(os.path.join(tmp, d), exist_ok=True)
    for d in STRIP:
        shutil.rmtree(os.path.join(tmp, d), ignore_errors=True)
    # Byte code, which a program needs that starts under emulation; compiled with the root's own Python and C library.
    loader = os.path.join(tmp, "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    subprocess.run([loader, "--library-path", os.path.join(tmp, "usr/lib/x86_64-linux-gnu"), os.path.join(tmp, "usr/bin/python3.13"),
                    "-S", "-m", "compileall", "-q", "-s", tmp, "-p", "/", os.path.join(tmp, "usr/lib/python3.13")],
                   env={"PYTHONHOME": os.path.join(tmp, "usr")}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    image.disk(tmp, out)
    shutil.rmtree(tmp)
    forget_older(os.path.join(CACHE, "xen", "root-*.ext4"), out)
    return out


def guest_initrd(kernel, work):
    """The guests' initramfs: busybox, the drivers of a virtual network card, guest/init."""
    files = {"init": (os.path.join(HERE, "guest", "init"), 0o755), "bin/busybox": (kernels.busybox(), 0o755)}
    needs = {}
    with open(os.path.join(kernel.modules, "modules.dep")) as f:
        for line in f:
            path, rest = line.split(":", 1)
            needs[kernels.module_name(path)] = rest.split()[::-1] + [path]
    order = []
    for module in GUEST_MODULES:
        order += [p for p in needs.get(module.replace("-", "_"), []) if p not in order]
    for path in order:
        files["modules/" + os.path.basename(path)] = (os.path.join(kernel.modules, path), 0o644)
    files["modules/order"] = ("".join(os.path.basename(p) + "\n" for p in order).encode(), 0o644)
    for d in ("proc", "sys", "dev", "tmp"):
        files[d + "/.keep"] = (b"", 0o644)
    out = os.path.join(work, "guest-initrd")
    with open(out, "wb") as f:
        kernels.write_cpio(f, files)
    with open(out, "rb") as f, gzip.open(out + ".gz", "wb", compresslevel=6) as g:
        shutil.copyfileobj(f, g)
    return out + ".gz"


def host_tools(work):
    """A tar of what xenserver/host puts onto a host."""
    tree = os.path.join(work, "host-tools")
    p = subprocess.run([os.path.join(TOP, "xenserver/host/install"), tree], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        raise SystemExit("openvswitch: the host's tools are not built; xenserver/host/build says why:\n" + p.stderr[-2000:])
    out = os.path.join(work, "host-tools.tar")
    sh(["tar", "-cf", out, "-C", tree, "."])
    shutil.rmtree(tree)
    return out


def sources():
    """A number for the sources that a module's RPM is built from."""
    names = sh(["git", "-C", TOP, "ls-files", "--"] + RPM_SOURCES).split("\n")
    total = hashlib.sha256()
    for name in names:
        path = os.path.join(TOP, name)
        if os.path.isfile(path):
            with open(path, "rb") as f:
                total.update(name.encode() + b"\0" + f.read())
    return total.hexdigest()[:16]


def rpms(kernel, out, log):
    """{name in dom0: path}: our module's RPM for this kernel, built as the guide says, and a stand-in for the kernel's own RPM."""
    where = os.path.join(out, "rpm", "%s-%s" % (kernel.release, sources()))
    if not os.path.isdir(where):
        log("building the RPM of the module for %s, as xenserver/README.md says (once, minutes)" % kernel.release)
        build_rpms(kernel.release, where)
    found = {}
    for path in glob.glob(where + "/*.rpm"):
        if "debuginfo" not in path:
            found["stand-in.rpm" if os.path.basename(path).startswith("stand-in") else os.path.basename(path)] = path
    return found


def build_rpms(release, where):
    from kit import Failure, Kit
    import full
    tmp = "%s.%d.tmp" % (where, os.getpid())
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp + "/top")
    try:
        kit = Kit(tmp + "/top", tmp, False)
        build, _ = full.headers(kit, release)
        full.guide(kit, "kernel_uname " + release, "kernel_build " + build, "--without=userspace", "--without=check")
        # Debian's kernel is no RPM; it provides what a dom0's kernel package does.
        path, = (p for p in glob.glob(tmp + "/*.rpm") if "debuginfo" not in p)
        needs = [n for n in kit.query(path, "--requires") if n.startswith("kernel")]
        shutil.copy(kit.dummy("stand-in", "1", provides=needs + ["/bin/sh"]), tmp)
    except Failure as e:
        raise SystemExit("openvswitch: no RPM for %s; `make rpm CASES=built` shows more:\n%s" % (release, e))
    finally:
        shutil.rmtree(tmp + "/top", ignore_errors=True)
    os.rename(tmp, where)
