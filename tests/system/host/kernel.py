# SPDX-License-Identifier: GPL-2.0
"""Stock Debian kernels for the VMs, and the initramfs that brings a VM to its root.

`Kernel("5.10")`, "6.1", "6.12" and "7.3" are the newest cloud kernels of bullseye, bookworm,
bookworm-backports and trixie-backports; "7.3-rust" is built here, with the crates that Rust modules are built against
(tools/kunit-kernel.sh), as are "um", "um-lockdep" and so on, for uml.py; any other name is taken as a release ("6.1.0-56-cloud-amd64").
The modules a case can need are unpacked once; `initrd` adds the openvswitch.ko under test and the
guest's files on each run.
"""

import glob
import lzma
import os
import re
import shutil
import subprocess

from .packages import CACHE, SUITES, Apt, digest, making, sh

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

# Loaded by the initramfs, in dependency order, to reach the root disk and the control port.
BOOT = ["virtio_pci", "virtio_blk", "virtio_console", "ext4", "overlay"]

# Available to modprobe in the VM, with what they depend on.
MODULES = """
    openvswitch vport-gre vport-vxlan vport-geneve veth dummy tun tap pktgen vxlan geneve ip_gre ip6_gre
    8021q bridge bonding macvlan ifb nf_conntrack nf_nat nf_conntrack_netlink nfnetlink nf_defrag_ipv4 nf_defrag_ipv6
    nf_conntrack_ftp nf_nat_ftp nf_conntrack_tftp nf_nat_tftp nfnetlink_cttimeout nf_conncount
    nsh mpls_gso mpls_router psample act_mirred act_gact act_tunnel_key act_ct cls_flower cls_matchall sch_ingress sch_netem sch_htb
    sch_prio sch_sfq sch_fq_codel libcrc32c crc32c_generic af_packet ipv6 sctp netconsole drop_monitor
""".split() + BOOT

MODULE_RECIPE = 3

# By name: the private apt and the package that leads to the newest kernel of its kind.
NEWEST = {
    "5.10": ("apt-bullseye", "linux-image-cloud-amd64"),
    "6.1": ("apt", "linux-image-cloud-amd64"),
    "6.12": ("apt-backports", "linux-image-cloud-amd64/bookworm-backports"),
    "7.3": ("apt-trixie", "linux-image-cloud-amd64/trixie-backports"),
}


# Built here, for QEMU.
OWN = "7.3-rust"


def is_uml(name):
    """One of those that are built here as programs of the host: "um", or with sanitizers "um-lockdep", "um-kasan-ubsan"."""
    return name.split("-")[0] == "um"


def origin(name):
    """The private apt and the package of a kernel."""
    if name in NEWEST:
        return NEWEST[name]
    if "+deb13" in name:
        apt = "apt-trixie"
    elif "+deb12" in name:
        apt = "apt-backports"
    else:
        apt = "apt-bullseye" if name.startswith("5.10.") else "apt"
    return apt, "linux-image-" + name


def built(name):
    """Where a kernel of our own has been built; what the tool says of it meanwhile is for who waits."""
    arguments = name.split("-") if is_uml(name) else ["x86_64"]
    p = subprocess.run([os.path.join(TOP, "tools/kunit-kernel.sh"), *arguments], stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise SystemExit("there is no kernel " + name)
    return p.stdout.strip()


def version(package):
    """(6, 1, 192) of linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb."""
    return tuple(int(n) for n in re.match(r"[0-9.]+", package.split("_")[1]).group().split("."))


class Kernel:
    def __init__(self, name, log=lambda s: None, wanted=MODULES):
        self.name = name
        self.wanted = wanted
        if name == OWN or is_uml(name):
            self.build = built(name)
            with open(self.build + "/include/config/kernel.release") as f, open(self.build + "/.made-of") as g:
                self.release, made_of = f.read().strip(), g.read().strip()
            # um-lockdep-7.3.4-1-bpo13+1
            self.package = "linux-%s_%s" % (self.release, re.search(r"\d+\.\d+\..*", os.path.basename(self.build)).group())
            key, fill = "%s-%s" % (self.package, digest((name, wanted, MODULE_RECIPE, made_of))), self._install
        else:
            apt, package = origin(name)
            # From 7.2 on the image is empty and depends on the packages that hold its parts.
            try:
                debs = Apt(apt).download([package], lambda p: re.match(r"linux-(image|binary|modules|base)-\d", p))
            except SystemExit as e:
                if "Unable to locate package" not in str(e):
                    raise
                raise SystemExit("no image of kernel %s in the package lists of Debian's %s (%s/lists: remove them to have them read again); there are "
                                 "%s, %s, um (docs/kunit.md), or a whole release (6.1.0-56-cloud-amd64)" % (
                                     name, SUITES[apt], os.path.join(CACHE, apt), ", ".join(NEWEST), OWN))
            package, = (p for p in debs if p.startswith("linux-image-"))
            self.release = package[len("linux-image-"):]
            self.package = os.path.basename(debs[package])
            key, fill = "%s-%s" % (self.package[:-4], digest((wanted, MODULE_RECIPE))), lambda raw: self._extract(debs.values(), raw)
        self.version = version(self.package)
        self.dir = os.path.join(CACHE, "vm-kernels", key)
        if not os.path.isdir(self.dir):
            log("unpacking %s (once)" % self.package)
            self._unpack(fill)
        self.vmlinuz = os.path.join(self.dir, "vmlinuz")
        self.modules = os.path.join(self.dir, "lib", "modules", self.release)

    def _extract(self, debs, raw):
        """What Debian's packages install."""
        for deb in debs:
            sh(["dpkg-deb", "-x", deb, raw])
        if not os.path.isdir(raw + "/lib/modules"):  # merged /usr, as from Debian 13 on
            shutil.move(raw + "/usr/lib", raw + "/lib")

    def _install(self, raw):
        """The same of a kernel's build directory."""
        arch, image = ("um", "linux") if is_uml(self.name) else ("x86_64", "arch/x86/boot/bzImage")
        env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "O", "CC", "ARCH")}
        sh(["make", "-C", self.build, "ARCH=" + arch, "INSTALL_MOD_PATH=" + raw, "INSTALL_MOD_STRIP=1", "DEPMOD=true", "modules_install"], env=env)
        os.makedirs(raw + "/boot")
        for name, there in (("vmlinuz", image), ("config", ".config")):
            shutil.copy(os.path.join(self.build, there), "%s/boot/%s-%s" % (raw, name, self.release))

    def _unpack(self, fill):
        with making(self.dir) as tmp:
            self._pick(fill, tmp)
            try:
                os.rename(tmp, self.dir)
            except OSError:  # another run was faster
                if not os.path.isdir(self.dir):
                    raise

    def _pick(self, fill, tmp):
        raw = os.path.join(tmp, "raw")
        os.makedirs(raw)
        fill(raw)
        src = os.path.join(raw, "lib", "modules", self.release)
        sh(["depmod", "-b", raw, self.release])
        deps = {}
        for line in open(os.path.join(src, "modules.dep")):
            path, rest = line.split(":", 1)
            deps[module_name(path)] = (path, rest.split())
        dst = os.path.join(tmp, "lib", "modules", self.release)
        todo, done = list(self.wanted), set()
        while todo:
            name = todo.pop().replace("-", "_")
            if name in done or name not in deps:
                continue  # built in, or not in this kernel
            done.add(name)
            path, needs = deps[name]
            out = os.path.join(dst, re.sub(r"\.xz$", "", path))
            os.makedirs(os.path.dirname(out), exist_ok=True)
            if path.endswith(".xz"):
                with lzma.open(os.path.join(src, path)) as f, open(out, "wb") as g:
                    shutil.copyfileobj(f, g)
            else:
                shutil.copy(os.path.join(src, path), out)
            todo += [module_name(n) for n in needs]
        for f in glob.glob(os.path.join(src, "modules.*")):
            if re.search(r"modules\.(order|builtin)", f):
                shutil.copy(f, dst)
        sh(["depmod", "-b", tmp, self.release])
        for name in ("vmlinuz", "config"):
            there = os.path.join(src, name)
            shutil.move(there if os.path.exists(there) else "%s/boot/%s-%s" % (raw, name, self.release),
                        os.path.join(tmp, name))
        shutil.rmtree(raw)

    def stock_module(self):
        return os.path.join(self.modules, "kernel/net/openvswitch/openvswitch.ko")

    def initrd(self, work, guest, ko=None):
        """Write the initramfs into `work`; `guest` maps paths in the VM to bytes or host files."""
        tree = os.path.join(work, "mods")
        shutil.copytree(os.path.join(self.dir, "lib"), os.path.join(tree, "lib"), symlinks=True)
        mods = os.path.join(tree, "lib", "modules", self.release)
        if ko:
            # The stock file leaves the tree, so nothing can load it by accident.
            os.rename(os.path.join(mods, "kernel/net/openvswitch/openvswitch.ko"), os.path.join(work, "stock.ko"))
            os.makedirs(os.path.join(mods, "updates"))
            shutil.copy(ko, os.path.join(mods, "updates", "openvswitch.ko"))
        sh(["depmod", "-b", tree, self.release])
        files = {"init": (guest.pop("init"), 0o755), "bin/busybox": (busybox(), 0o755)}
        order = []
        dep = {}
        for line in open(os.path.join(mods, "modules.dep")):
            path, rest = line.split(":", 1)
            dep[module_name(path)] = (path, rest.split())
        for name in BOOT + ["crc32c_generic"]:
            if name in dep:
                path, rest = dep[name]
                for p in list(reversed(rest)) + [path]:
                    if p not in order:
                        order.append(p)
        if dep.get("crc32c_generic") and dep["crc32c_generic"][0] in order:
            order.remove(dep["crc32c_generic"][0])
            order.insert(0, dep["crc32c_generic"][0])
        prefix = "lib/modules/%s/" % self.release
        files["boot-modules"] = ("".join("/%s%s\n" % (prefix, p) for p in order).encode(), 0o644)
        for dirpath, _, names in os.walk(tree):
            for n in names:
                full = os.path.join(dirpath, n)
                files[os.path.relpath(full, tree)] = (full, 0o644)
        for path, content in guest.items():
            files["guest/" + path] = (content, 0o755)
        files["guest/config"] = (os.path.join(self.dir, "config"), 0o644)
        if ko:
            files["guest/stock.ko"] = (os.path.join(work, "stock.ko"), 0o644)
        out = os.path.join(work, "initrd")
        with open(out, "wb") as f:
            write_cpio(f, files)
        shutil.rmtree(tree)
        return out


def module_name(path):
    return re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")


def busybox():
    """Debian's static busybox, out of its package (the root image has the dynamic one)."""
    out = os.path.join(CACHE, "busybox-static")
    if not os.path.exists(out):
        deb = Apt().download(["busybox-static"], lambda p: p == "busybox-static")["busybox-static"]
        data = subprocess.run(["sh", "-c", "dpkg-deb --fsys-tarfile '%s' | tar -xO ./bin/busybox" % deb],
                              check=True, stdout=subprocess.PIPE).stdout
        with open(out + ".tmp", "wb") as f:
            f.write(data)
        os.rename(out + ".tmp", out)
    return out


def write_cpio(f, files):
    """A newc cpio archive: {path: (bytes or host path, mode)}, directories made as needed."""
    ino = 0

    def entry(name, mode, data):
        nonlocal ino
        ino += 1
        name = name.encode() + b"\0"
        head = "070701" + "".join("%08X" % v for v in (
            ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0))
        f.write(head.encode() + name + b"\0" * (-(110 + len(name)) % 4))
        f.write(data + b"\0" * (-len(data) % 4))

    seen = set()
    for path in sorted(files):
        parts = path.split("/")
        for i in range(1, len(parts)):
            d = "/".join(parts[:i])
            if d not in seen:
                seen.add(d)
                entry(d, 0o40755, b"")
        content, mode = files[path]
        if isinstance(content, str):
            with open(content, "rb") as g:
                content = g.read()
        entry(path, 0o100000 | mode, content)
    entry("TRAILER!!!", 0, b"")
