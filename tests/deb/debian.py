# SPDX-License-Identifier: GPL-2.0
"""The package in a Debian 12 of its own: apt, dkms, Debian's kernels and their hooks, and a VM that boots what came of it. Each case goes on
with what the one before left. debootstrap's root and what apt fetches stay in the cache."""

import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

from kit import PACKAGE, SOURCE, Failure, check, read, write

sys.path.insert(0, os.path.join(SOURCE, "tests/system"))
from host.packages import machine_mirrors  # noqa: E402

# What a host has: an init, Open vSwitch, and what the VM's check needs.
BASE = "systemd-sysv udev kmod initramfs-tools openvswitch-switch iproute2 iputils-ping".split()
CONF = """\
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
Binary::apt-get::APT::Keep-Downloaded-Packages "true";
APT::Sandbox::User "root";
Acquire::Languages "none";
DPkg::Options { "--force-unsafe-io"; };
"""
# The namespaces of its own: no network where --net is not said. A kernel of another name than the machine's, as in an installer.
ENTER = """\
mount --make-rprivate /
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/run"
mount --bind "$1" "$0/var/cache/apt/archives"
shift
exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
"""


class Debian:
    """A root directory with a Debian 12."""

    KEPT = ("old", "new", "backport", "before")

    def __init__(self, kit, root):
        self.kit, self.root = kit, root
        self.archives = os.path.join(kit.env["OVS_RS_CACHE"], "deb/archives")

    def save(self, case):
        """Notes that it is as the case leaves it."""
        state = {k: getattr(self, k) for k in self.KEPT if hasattr(self, k)}
        write(self.root + ".state", json.dumps({"case": case, **state}))

    def load(self):
        """The case that has left it so, or None."""
        if not os.path.exists(self.root + ".state"):
            return None
        state = json.loads(read(self.root + ".state"))
        for k in state:
            setattr(self, k, state[k])
        return state["case"]

    def make(self):
        kit = self.kit
        os.makedirs(self.archives + "/partial", exist_ok=True)
        main, security, key = machine_mirrors()
        sources = "Types: deb\nURIs: %s\nSuites: bookworm bookworm-updates bookworm-backports\nComponents: main\nSigned-By: %s\n" % (main, key)
        if security:
            sources += "\nTypes: deb\nURIs: %s\nSuites: bookworm-security\nComponents: main\nSigned-By: %s\n" % (security, key)
        base = os.path.join(os.path.dirname(self.archives), "base-%s.tar" % hashlib.sha256(sources.encode()).hexdigest()[:16])
        if not os.path.exists(base):
            made = os.path.join(kit.top, "base")
            kit.run(["debootstrap", "--variant=minbase", "--cache-dir=" + self.archives, "bookworm", made, main], seconds=3000)
            write(made + "/etc/apt/sources.list", "")
            write(made + "/etc/apt/sources.list.d/debian.sources", sources)
            write(made + "/etc/apt/apt.conf.d/99test", CONF)
            # No daemon is started in it.
            write(made + "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
            kit.run(["tar", "-C", made, "-cf", base + ".tmp", "."], seconds=900)
            os.rename(base + ".tmp", base)
            shutil.rmtree(made)
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.root)
        kit.run(["tar", "-C", self.root, "-xpf", base], seconds=900)
        for f in ("resolv.conf", "hosts"):
            if os.path.exists("/etc/" + f):
                shutil.copyfile("/etc/" + f, self.path("etc/" + f))
        self.enter("apt-get", "-q", "update", net=True, seconds=900)
        self.apt(*BASE)

    def path(self, name):
        return os.path.join(self.root, name)

    def enter(self, *argv, net=False, fails=False, seconds=3000):
        """Runs a program in it, without network unless told."""
        argv = ["unshare", "-m", "-p", "-f", "--kill-child"] + ([] if net else ["-n"]) + ["sh", "-ec", ENTER, self.root, self.archives] + list(argv)
        try:
            return self.kit.run(argv, fails=fails, seconds=seconds)
        except Failure as e:
            logs = glob.glob(self.path("var/lib/dkms/openvswitch/*/build/make.log"))
            raise Failure("\n".join([str(e)] + ["%s ends in\n%s" % (os.path.basename(f), read(f)[-2000:]) for f in logs])) from e

    def apt(self, *packages, verb="install"):
        """Fetches with network, and installs or removes without. Returns what apt said."""
        if verb == "install":
            self.enter("apt-get", "-q", "-y", "--download-only", "install", *packages, net=True)
        return self.enter("apt-get", "-q", "-y", verb, *packages)

    def status(self):
        # It looks for the compiler's name in the kernel's modules, and not all have it.
        return sorted(line for line in self.enter("dkms", "status").splitlines() if not line.startswith("readelf: Warning"))

    def chosen(self, kernel):
        """(file, version) of the module that modprobe would load."""
        said = self.enter("modinfo", "-k", kernel, "openvswitch")
        field = dict(line.split(":", 1) for line in reversed(said.splitlines()) if ":" in line)
        # 6.12's are compressed.
        return os.path.relpath(field["filename"].strip(), "/lib/modules/" + kernel).replace(".ko.xz", ".ko"), field.get("version", "").strip()

    def files(self):
        """All files with what is in them, but for what apt, dpkg and ld.so note down for themselves."""
        skip = re.compile(r"(var/lib/(dpkg|apt)|var/cache/(apt|debconf|ldconfig)|var/log|proc|run|tmp)(/|$)|etc/ld.so.cache$|root/.*\.deb$|"
                          r"lib/modules/[^/]*/modules\.|var/lib/dkms/mok\.")
        found = {}
        for d, dirs, files in os.walk(self.root):
            inside = os.path.relpath(d, self.root)
            dirs[:] = [n for n in dirs if not skip.match(os.path.normpath(os.path.join(inside, n)))]
            for n in dirs + files:
                path = os.path.normpath(os.path.join(inside, n))
                if not skip.search(path):
                    st = os.lstat(os.path.join(d, n))
                    found[path] = [st.st_mode, st.st_size if not os.path.isdir(os.path.join(d, n)) else 0]
        return found


def debian(kit):
    """The root, as the case before has left it."""
    if "debian" not in kit.made:
        raise Failure("the case before has failed")
    return kit.made["debian"]


def step(case):
    """A case that goes on where the one before ended; skipped if the root that was kept is as it would leave it, or further on."""
    def run(kit):
        names = [c.name for c in CASES]
        if "debian" not in kit.made and case is case_base:
            kit.made["debian"] = Debian(kit, os.path.join(kit.keep or kit.top, "debian"))
            kit.done = kit.made["debian"].load()
        host = debian(kit)
        if kit.done in names and names.index(run.name) <= names.index(kit.done):
            print("  done before")
            return
        del kit.made["debian"]
        case(kit, host)
        kit.made["debian"] = host
        if kit.keep:
            host.save(run.name)
    run.__doc__, run.name = case.__doc__, case.__name__
    return run


def installed(kit, *kernels):
    return sorted("openvswitch/%s, %s, x86_64: installed" % (kit.version, k) for k in kernels)


def case_lintian(kit):
    """lintian: no error and no warning, but those that are explained"""
    said = kit.run(["lintian", "--allow-root", "--fail-on", "error,warning", kit.deb()])
    check(not said.strip(), said)


def case_base(kit, host):
    """a host: Debian 12 with Open vSwitch and a kernel that is not the newest, with headers"""
    host.make()
    names = host.enter("apt-cache", "pkgnames", "linux-headers-6.1.0-").split()
    found = sorted((n[len("linux-headers-"):] for n in names if re.fullmatch(r"linux-headers-6\.1\.0-\d+-amd64", n)), key=lambda k: int(k.split("-")[1]))
    check(len(found) > 1, "Debian has but one 6.1 left: %s" % found)
    # Those below are there, and the newest three are those that are served.
    host.new = found[-1]
    host.old = next(k for k in reversed(found[:-1]) if "Filename" in host.enter("apt-cache", "show", "linux-image-" + k))
    host.backport = re.search(r"Depends: .*linux-headers-(6\.12\S+cloud-amd64)", host.enter(
        "apt-cache", "show", "linux-headers-cloud-amd64/bookworm-backports")).group(1)
    host.apt("linux-image-" + host.old, "linux-headers-" + host.old)
    check("/openvswitch.ko" in host.chosen(host.old)[0] and host.chosen(host.old)[1] == "", "the kernel has no openvswitch.ko, or one with a version")


def case_install(kit, host):
    """apt-get install: Debian's own compilers are what it wants; dkms builds bindgen and the module without network, and it is what modprobe takes"""
    name = os.path.basename(shutil.copy(kit.deb(), host.path("root")))
    # First all that it depends on, so that the difference is its own.
    plan = re.findall(r"^Inst (\S+)", host.enter("apt-get", "-s", "install", "/root/" + name), re.M)
    check({"rustc-web", "rust-web-src", "cargo-web", "libclang1-19", "dkms"} <= set(plan), "it wants %s" % sorted(plan))
    check("rustc" not in plan and "bindgen" not in plan, "it wants what is too old: %s" % sorted(plan))
    host.apt(*[p for p in plan if p != PACKAGE])
    host.before = host.files()
    start = time.monotonic()
    said = host.enter("apt-get", "-q", "-y", "install", "/root/" + name)
    print("  installed in %d s" % (time.monotonic() - start))
    check("reboot" not in said or os.path.isdir("/sys/module/openvswitch"), "it speaks of a reboot where nothing is loaded:\n" + said)
    check(host.status() == installed(kit, host.old), "dkms status: %s" % host.status())
    check(host.chosen(host.old) == ("updates/dkms/openvswitch.ko", kit.version), "modprobe would take %s" % (host.chosen(host.old),))
    magic = host.enter("modinfo", "-k", host.old, "-F", "vermagic", "openvswitch").split()
    check(magic[0] == host.old, "vermagic %s" % magic)
    log = read(host.path("var/lib/dkms/openvswitch/%s/%s/x86_64/log/make.log" % (kit.version, host.old)))
    check("building bindgen" in log and "building for %s with rustc" % host.old in log, log[-1500:])
    check(os.listdir(host.path("var/cache/" + PACKAGE)) == ["bindgen-" + version_of_bindgen()], "bindgen is not kept")
    # As does the machine's own ABI check: every symbol that is imported is one that this kernel has.
    kit.run([os.path.join(SOURCE, "tools/check-loads.sh"), host.path("lib/modules/%s/updates/dkms/openvswitch.ko" % host.old),
             host.path("usr/src/linux-headers-%s/Module.symvers" % host.old)])


def version_of_bindgen():
    return re.search(r'^version = "(.*)"', read(os.path.join(SOURCE, "debian/bindgen/Cargo.toml")), re.M).group(1)


def case_check(kit, host):
    """dkms's check of versions: refuses a module without version, and one that is lower than the kernel's; not with the package's word, nor ours"""
    name = "openvswitch/" + kit.version
    word = host.path("usr/share/dkms/modules_to_force_install/" + PACKAGE)
    built = host.path("var/lib/dkms/openvswitch/%s/%s/x86_64/module/openvswitch.ko" % (kit.version, host.old))
    stock = host.path("lib/modules/%s/kernel/net/openvswitch/openvswitch.ko" % host.old)
    kept = {path: shutil.copy2(path, os.path.join(kit.top, "kept-%d" % i)) for i, path in enumerate((word, built, stock))}  # not where dkms looks
    with open(built, "rb") as f:
        ours = f.read()

    def put(path, *pairs):
        """Our module with other strings of the same length."""
        data = ours
        for old, new in pairs:
            check(data.count(old) == 1 and len(old) == len(new), "%r is there %d times" % (old, data.count(old)))
            data = data.replace(old, new)
        with open(path, "wb") as f:
            f.write(data)

    def restore(path):
        shutil.copy2(kept[path], path)

    version = b"\0version=%s\0" % kit.version.encode()
    srcversion = re.search(rb"\0srcversion=", ours).group()
    nameless = ((version, version.replace(b"version", b"ver_ion")), (srcversion, srcversion.replace(b"version", b"ver_ion")))
    higher = ((version, version.replace(b"=0", b"=9", 1)), )

    def attempt(refused, change=lambda: None):
        # It takes away what is like what it built, so that comes first.
        host.enter("sh", "-c", "dkms uninstall %s -k %s || :" % (name, host.old))
        change()
        said = host.enter("sh", "-c", "dkms install %s -k %s 2>&1 || :" % (name, host.old))
        there = os.path.exists(host.path("lib/modules/%s/updates/dkms/openvswitch.ko" % host.old))
        check(there != bool(refused) and (refused or "") in said, "%s is not what dkms did: installed %s\n%s" % (refused or "installation", there, said))

    try:
        os.unlink(word)
        attempt(None)  # The kernel's own has no version, and "cannot be compared" is no reason to refuse.
        attempt("exactly matches what is already found in kernel", lambda: put(built, *nameless))
        attempt("is not newer than what is already found in kernel", lambda: (restore(built), put(stock, *higher)))
        attempt(None, lambda: restore(word))
        attempt(None, lambda: (restore(stock), put(built, *nameless)))
        host.enter("sh", "-c", "dkms uninstall %s -k %s || :" % (name, host.old))
    finally:
        for path in kept:
            restore(path)
    attempt(None)
    check(host.status() == installed(kit, host.old), "dkms status: %s" % host.status())


def case_kernel(kit, host):
    """a newer 6.1 arrives, its image before its headers: the hook builds for it, and bindgen is not built again; the older one keeps its module"""
    # What apt does where both come as an upgrade of linux-image-amd64 and linux-headers-amd64.
    said = host.apt("linux-image-" + host.new)
    check("headers for this kernel do not seem to be installed" in said, said[-1500:])
    said = host.apt("linux-headers-" + host.new)
    check("running auto installation service for kernel " + host.new in said, said[-1500:])
    check(host.status() == installed(kit, host.old, host.new), "dkms status: %s" % host.status())
    for kernel in (host.old, host.new):
        check(host.chosen(kernel) == ("updates/dkms/openvswitch.ko", kit.version), "modprobe would take %s" % (host.chosen(kernel),))
    log = read(host.path("var/lib/dkms/openvswitch/%s/%s/x86_64/log/make.log" % (kit.version, host.new)))
    check("building bindgen" not in log, "bindgen is built again")


def case_backport(kit, host):
    """6.12 of the backports, cloud flavour, and headers of the realtime flavour: one is built for, the other refused in words"""
    host.apt("linux-image-" + host.backport, "linux-headers-" + host.backport)
    realtime = host.new.replace("-amd64", "-rt-amd64")
    # dkms 3.0 takes "not for this kernel" for a failure, and so does the kernel's package; later ones do not.
    host.enter("apt-get", "-q", "-y", "--download-only", "install", "linux-headers-" + realtime, net=True)
    said = host.enter("sh", "-c", "apt-get -q -y install linux-headers-%s 2>&1 || :" % realtime)
    check("BUILD_EXCLUSIVE directive which does not match" in said, "realtime is not refused in dkms's words:\n" + said[-1500:])
    check(host.status() == installed(kit, host.old, host.new, host.backport), "dkms status: %s" % host.status())
    check(host.chosen(host.backport) == ("updates/dkms/openvswitch.ko", kit.version), "modprobe would take %s" % (host.chosen(host.backport),))
    host.apt("linux-headers-" + realtime, verb="purge")


# ---- the VM ----------------------------------------------------------------------------------------------
UNIT = """\
[Unit]
After=openvswitch-switch.service
Wants=openvswitch-switch.service
[Service]
Type=oneshot
ExecStart=/root/check
ExecStopPost=systemctl --no-block poweroff
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=multi-user.target
"""

# Each line that it prints is `:: NAME VALUE`; what is asked of them is below.
GUEST = r"""#!/bin/bash
exec 2>&1
echo # after the console's login prompt
say() { echo ":: $*"; }
say release $(uname -r)
say switch $(systemctl is-active openvswitch-switch ovs-vswitchd ovsdb-server)
say file $(modinfo -n openvswitch)
say version $(cat /sys/module/openvswitch/version 2>&1)
say loaded $(cat /sys/module/openvswitch/srcversion 2>&1)
say disk $(modinfo -F srcversion openvswitch)
say vport $(modprobe vport-vxlan 2>&1)
dmesg -C
ovs-vsctl --timeout=60 --may-exist add-br br0 2>&1
for n in 1 2; do
	ip netns add n$n
	ip link add v$n type veth peer name e0 netns n$n
	ip -n n$n addr add 10.9.0.$n/24 dev e0
	ip -n n$n link set e0 up
	ip link set v$n up
	ovs-vsctl --timeout=60 --may-exist add-port br0 v$n
done
say ping $(ip netns exec n1 ping -c 5 -i 0.5 -W 5 10.9.0.2 | grep received)
say flows $(ovs-appctl dpctl/dump-flows system@ovs-system | grep -c 'eth_type(0x0800)')
say hit $(ovs-dpctl show system@ovs-system 2>/dev/null | grep -c 'lookups: hit:[1-9]')
if [ -e /root/remove ]; then
	rm /root/remove
	ip netns exec n1 ping -i 0.2 10.9.0.2 > /root/ping.log &
	sleep 2
	dpkg -r openvswitch-modules-dkms 2>&1 | sed -n 's/^openvswitch: /:: said /p'
	say still $(cat /sys/module/openvswitch/version)
	say then $(modinfo -n openvswitch)
	sleep 2
	kill -INT %1
	wait %1
	say during $(grep received /root/ping.log)
fi
say log $(dmesg -l emerg,alert,crit,err,warn | grep -ciE 'bug|oops|warning:|call trace|openvswitch')
say end
"""


class Image:
    """The root on a disk, and QEMU that boots it."""

    def __init__(self, kit, host):
        self.kit, self.host, self.file = kit, host, host.root + ".disk"
        self.boot = {k: [host.root + ".%s-%s" % (f, k) for f in ("vmlinuz", "initrd.img")] for k in (host.new, host.backport)}

    def make(self):
        kit, host, tree = self.kit, self.host, self.host.root + ".tree"
        shutil.rmtree(tree, ignore_errors=True)
        kit.run(["cp", "-al", host.root, tree], seconds=900)
        # It compiles nothing.
        for path in ("usr/lib/rustlib", "usr/src/rustc-*", "usr/lib/gcc", "usr/lib/llvm-19", "usr/lib/x86_64-linux-gnu/libLLVM*", "usr/lib/x86_64-linux-gnu/librustc*",
                     "usr/lib/x86_64-linux-gnu/libclang*", "usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/perl", "var/lib/apt/lists", "var/cache/apt"):
            for found in glob.glob(os.path.join(tree, path)):
                shutil.rmtree(found) if os.path.isdir(found) else os.unlink(found)
        os.unlink(tree + "/usr/sbin/policy-rc.d")
        for f in ("etc/fstab", "etc/hostname", "etc/resolv.conf"):
            if os.path.lexists(os.path.join(tree, f)):
                os.unlink(os.path.join(tree, f))  # not through the link
        write(tree + "/etc/hostname", "host\n")
        write(tree + "/etc/systemd/system/check.service", UNIT)
        write(tree + "/root/check", GUEST, 0o755)
        os.makedirs(tree + "/etc/systemd/system/multi-user.target.wants", exist_ok=True)
        os.symlink("/etc/systemd/system/check.service", tree + "/etc/systemd/system/multi-user.target.wants/check.service")
        # An emulated CPU has better things to do.
        for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service", "dpkg-db-backup.timer", "systemd-timesyncd.service"):
            link = os.path.join(tree, "etc/systemd/system", unit)
            if os.path.lexists(link):
                os.unlink(link)
            os.symlink("/dev/null", link)
        for kernel, files in self.boot.items():
            for f in files:
                shutil.copy(os.path.join(tree, "boot", f[len(host.root) + 1:]), f)
        size = int(kit.run(["du", "-sm", tree]).split()[0])
        kit.run(["mkfs.ext4", "-q", "-F", "-O", "^metadata_csum", "-d", tree, self.file, "%dM" % (size + size // 4 + 200)], seconds=900)
        shutil.rmtree(tree)

    def run(self, kernel, seconds=1500):
        """Boots it. Returns {name: value} of what the guest said."""
        vmlinuz, initrd = self.boot[kernel]
        console = self.host.root + ".console"
        argv = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=single,tb-size=256", "-cpu", "max,-cx16", "-smp", "1", "-m", "1024", "-nodefaults",
                "-no-user-config", "-display", "none", "-no-reboot", "-net", "none", "-kernel", vmlinuz, "-initrd", initrd,
                "-append", "root=/dev/vda rw clocksource=hpet tsc=nowatchdog console=ttyS0 loglevel=4 panic=-1 no5lvl rcupdate.rcu_cpu_stall_timeout=60 no_timer_check "
                           "cryptomgr.notests apparmor=0 audit=0 nowatchdog systemd.show_status=0 systemd.default_timeout_start_sec=900",
                "-serial", "file:" + console, "-drive", "file=%s,if=virtio,format=raw,cache=unsafe" % self.file]
        try:
            p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, text=True)
            ended = p.stdout
        except subprocess.TimeoutExpired:
            ended = "it did not end within %d s" % seconds
        with open(console, errors="replace") as f:
            text = f.read()
        said = {}
        for line in re.findall(r"^:: (.*?)\r?$", text, re.M):
            name, _, value = line.replace(".ko.xz", ".ko").partition(" ")
            said[name] = said[name] + "\n" + value if name in said else value
        tail = "\n".join(text.splitlines()[-40:])
        check("end" in said, "the VM came to no end. %s\n%s" % (ended, tail))
        said["all"] = tail
        return said


def works(said, kernel):
    check(said["release"] == kernel, "it runs " + said["release"])
    check(said["switch"].split() == ["active"] * 3, "openvswitch-switch, ovs-vswitchd and ovsdb-server are " + said["switch"])
    check("5 received" in said["ping"] and said["flows"] != "0" and said["hit"] == "1", said["all"])
    check(said["log"] == "0", "the kernel complains:\n" + said["all"])


def ours(kit, said):
    check(said["file"].endswith("/updates/dkms/openvswitch.ko"), "modprobe takes " + said["file"])
    check(said["version"] == kit.version and said["loaded"] == said["disk"] != "", "loaded is another module:\n" + said["all"])
    check("openvswitch: vport-vxlan belongs to another openvswitch.ko" in said["vport"], "vport-vxlan is not refused in words: " + said["vport"])


def case_boot(kit, host):
    """a VM with 6.12: systemd starts ovs-vswitchd on our module, two hosts ping one another through it"""
    image = Image(kit, host)
    image.make()
    said = image.run(host.backport)
    works(said, host.backport)
    ours(kit, said)


def case_live(kit, host):
    """a VM with 6.1: the same; the package is removed under traffic, which goes on"""
    image = Image(kit, host)
    kit.run(["debugfs", "-w", "-R", "write /dev/null /root/remove", image.file])
    said = image.run(host.new)
    works(said, host.new)
    ours(kit, said)
    check("what runs goes on running until this host is rebooted" in said.get("said", ""), said["all"])
    check(said["still"] == kit.version and said["then"].endswith("/kernel/net/openvswitch/openvswitch.ko"), said["all"])
    sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", said["during"]).groups()
    check(int(sent) > 10 and int(sent) - int(received) <= 1, "packets were lost: " + said["during"])
    print("  " + said["during"])


def case_stock(kit, host):
    """its next boot: the kernel's own module is loaded again"""
    said = Image(kit, host).run(host.new)
    works(said, host.new)
    check(said["file"].endswith("/kernel/net/openvswitch/openvswitch.ko") and "No such file" in said["version"], said["all"])


# ---- and away ----------------------------------------------------------------------------------------------
def case_kernel_goes(kit, host):
    """a kernel is purged: nothing of the module stays in its directory, the other kernels keep theirs"""
    host.apt("linux-image-" + host.backport, "linux-headers-" + host.backport, verb="purge")
    check(host.status() == installed(kit, host.old, host.new), "dkms status: %s" % host.status())
    left = [os.path.join(d, f) for d, _, files in os.walk(host.path("lib/modules/" + host.backport)) for f in files]
    check(not left, "left behind: %s" % left)


def case_upgrade(kit, host):
    """the package becomes another version and then this one again, and the modules with it, of all kernels that had one"""
    for deb, version in ((kit.other("0.0.7"), "0.0.7"), (kit.deb(), kit.version)):
        name = os.path.basename(shutil.copy(deb, host.path("root")))
        host.enter("apt-get", "-q", "-y", "--allow-downgrades", "install", "/root/" + name)
        wanted = sorted("openvswitch/%s, %s, x86_64: installed" % (version, k) for k in (host.old, host.new))
        check(host.status() == wanted, "dkms status: %s" % host.status())
        for kernel in (host.old, host.new):
            check(host.chosen(kernel) == ("updates/dkms/openvswitch.ko", version), "modprobe would take %s" % (host.chosen(kernel),))


def case_removal(kit, host):
    """apt-get purge: every file is as it was, dkms knows nothing of it, and modprobe takes the kernel's own module"""
    host.apt(PACKAGE, verb="remove")
    check(host.status() == [], "dkms status: %s" % host.status())
    host.apt("linux-image-" + host.new, "linux-headers-" + host.new, verb="purge")
    check(host.chosen(host.old) == ("kernel/net/openvswitch/openvswitch.ko", ""), "modprobe would take %s" % (host.chosen(host.old),))
    after = host.files()
    # What other packages brought since, with the headers of later kernels, is theirs.
    owned = {line[1:] for f in glob.glob(host.path("var/lib/dpkg/info/*.list")) for line in read(f).splitlines()}
    owned |= {"usr/" + p for p in owned if re.match("s?bin/|lib", p)}
    kernels = re.compile(r"(boot|usr/lib/modules|usr/src|usr/lib)/.*6\.\d+")
    left = {p for p in set(after) - set(host.before) if p not in owned and not kernels.match(p)} | (set(host.before) - set(after))
    check(not left, "left behind or taken away: %s" % sorted(left))
    mine = [p for p in after if "openvswitch" in p and p not in host.before and p not in owned]
    check(not mine, "left behind: %s" % mine)
    host.apt(PACKAGE, verb="purge")
    check(host.files() == after, "a purge after removal changes files")


CASES = [step(c) if c is not case_lintian else c for c in (
    case_lintian, case_base, case_install, case_check, case_kernel, case_backport, case_boot, case_live, case_stock, case_kernel_goes, case_upgrade, case_removal)]
case_lintian.name = "case_lintian"
