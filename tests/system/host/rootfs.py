# SPDX-License-Identifier: GPL-2.0
"""The root file system of the VMs: Debian 12 packages on a read-only ext4 image.

Made once and kept in the cache under a hash of package names, versions and this recipe. Nothing
comes from the build machine's own root. The VM mounts it under a tmpfs overlay.
"""

import os
import shutil
import subprocess

from .packages import CACHE, Apt, digest, forget_older, making, sh

PACKAGES = """
    bash busybox coreutils ethtool findutils grep iproute2 iputils-ping kmod mount
    netcat-openbsd openvswitch-common openvswitch-switch procps python3 sed tcpdump util-linux
""".split()

# In the closure only because of maintainer scripts or tools that no case runs.
UNUSED = """
    adduser debconf dpkg init-system-helpers libdb5.3 libfile-find-rule-perl libgdbm-compat4 libgdbm6
    libnumber-compare-perl libperl5.36 libtext-glob-perl media-types passwd perl perl-base
    perl-modules-5.36 usrmerge
""".split()

STRIP = """
    usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/lintian usr/share/bug
    usr/share/bash-completion usr/share/perl5 usr/share/zoneinfo usr/share/common-licenses
    usr/share/openvswitch/bugtool-plugins usr/lib/python3.11/test usr/lib/python3.11/idlelib
    usr/lib/python3.11/lib2to3 usr/lib/python3.11/ensurepip usr/lib/python3.11/distutils
    usr/lib/python3.11/pydoc_data usr/lib/python3.11/tkinter usr/lib/python3.11/unittest
    usr/lib/python3.11/turtledemo usr/lib/systemd usr/lib/udev usr/share/icons usr/share/pixmaps
    usr/lib/x86_64-linux-gnu/gconv usr/lib/x86_64-linux-gnu/perl usr/lib/x86_64-linux-gnu/perl-base
""".split()

RECIPE = 6  # raise when the code below changes what ends up in the image

PASSWD = "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


def build(log, more=()):
    """Return the path of the image, building it if the cache lacks it; `more` are packages beside the usual ones."""
    apt = Apt()
    packages = PACKAGES + list(more)
    plan = {p: v for p, v in apt.plan(packages).items() if p not in UNUSED}
    key = digest((sorted(plan.items()), RECIPE, STRIP))
    image = os.path.join(CACHE, "rootfs-%s.ext4" % key)
    if os.path.exists(image):
        os.utime(image)
        return image
    log("building the VM's root from %d Debian packages (once)" % len(plan))
    debs = apt.download(packages, lambda p: p not in UNUSED)
    with making(image[:-5]) as root:
        for d in ("bin", "sbin", "lib", "lib64"):
            os.makedirs(os.path.join(root, "usr", d))
            os.symlink("usr/" + d, os.path.join(root, d))
        os.makedirs(os.path.join(root, "run"))
        os.makedirs(os.path.join(root, "var"))
        os.symlink("/run", os.path.join(root, "var/run"))
        for deb in debs.values():
            unpack = "dpkg-deb --fsys-tarfile '%s' | tar -x --keep-directory-symlink -C '%s'" % (deb, root)
            sh(["sh", "-c", unpack])
        configure(root)
        for d in STRIP:
            shutil.rmtree(os.path.join(root, d), ignore_errors=True)
        # Python starts several times faster under emulation with its byte code at hand.
        subprocess.run(["/usr/bin/python3", "-m", "compileall", "-q", "-s", root, "-p", "/",
                        os.path.join(root, "usr/lib/python3.11"), os.path.join(root, "usr/lib/python3")],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        size = int(sh(["du", "-sm", root]).split()[0])
        tmp = image + ".%d.tmp" % os.getpid()
        sh(["mkfs.ext4", "-q", "-O", "^has_journal,^metadata_csum", "-m", "0", "-N", "20000", "-d", root, tmp,
            "%dM" % (size * 5 // 4 + 16)])
        os.rename(tmp, image)
    forget_older(os.path.join(CACHE, "rootfs-*.ext4"), image)
    return image


def configure(root):
    """What the packages' maintainer scripts would have done."""
    def put(path, text, mode=0o644):
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)

    put("etc/passwd", PASSWD)
    put("etc/group", GROUP)
    put("etc/hosts", "127.0.0.1 localhost vm\n::1 localhost\n")
    put("etc/resolv.conf", "")
    put("etc/hostname", "vm\n")
    put("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nprotocols: files\nservices: files\n")
    for d in ("proc", "sys", "dev", "run", "tmp", "root", "mnt", "case", "var/lib/openvswitch", "var/log/openvswitch",
              "etc/openvswitch", "var/tmp"):
        os.makedirs(os.path.join(root, d), exist_ok=True)
    links = {"usr/bin/awk": "mawk", "usr/bin/nc": "nc.openbsd", "usr/sbin/ovs-vswitchd": None, "usr/bin/sh": "bash"}
    links["usr/sbin/ovs-vswitchd"] = "/usr/lib/openvswitch-switch/ovs-vswitchd"
    for link, target in links.items():
        full = os.path.join(root, link)
        there = os.path.join(root, target.lstrip("/")) if target.startswith("/") else os.path.join(os.path.dirname(full), target)
        if not os.path.lexists(full) and os.path.exists(there):
            os.symlink(target, full)
