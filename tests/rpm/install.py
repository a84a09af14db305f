# SPDX-License-Identifier: GPL-2.0
"""What `rpm -U` and `rpm -e` do to a host: roots with a busybox for a shell, where every tool that a scriptlet calls notes its arguments."""

import os
import re
import shutil

from kit import check, read, write
from matrix import XS8, module
from packages import Root

KERNEL, OTHER = XS8, "4.19.0+2"  # both in one root
XEN = ("2.6.32.12-0.7.1.xs5.6.100.323.170596", "xen")
APPLETS = "sh cat chmod cp find grep ls mkdir rm rmdir sed tail touch".split()
TOOLS = ("sbin/chkconfig", "sbin/depmod", "usr/bin/systemctl", "opt/xensource/bin/xe-switch-network-backend")
REBOOT = "reboot this host as soon as possible"


class Host(Root):
    """A root with packages of its own."""

    def __init__(self, kit, tools=TOOLS, network="vswitch"):
        super().__init__(kit, APPLETS, tools)
        for kernel in (KERNEL, OTHER, "".join(XEN)):
            os.makedirs(self.path("lib/modules/%s/kernel" % kernel))
        for d in ("etc/init.d", "etc/logrotate.d", "etc/profile.d", "etc/xapi.d/plugins", "etc/xensource", "etc/sysconfig", "etc/depmod.d", "etc/modprobe.d", "etc/bash_completion.d", "var/xen", "var/log", "var/lib", "var/tmp", "tmp", "dev",
                  "usr/lib/systemd/system", "usr/lib/systemd/system-preset", "usr/bin", "usr/sbin", "usr/share/doc", "usr/share/licenses",
                  *("usr/share/man/man%d" % n for n in range(1, 9))):
            os.makedirs(self.path(d), exist_ok=True)
        # Scriptlets write to it.
        write(self.path("dev/null"), "", 0o666)
        if network:
            write(self.path("etc/xensource/network.conf"), network + "\n")
        # What the host's own packages provide. All of it is needed: dependencies are not switched off here.
        provides = ["/bin/sh", "/bin/bash", "rtld(GNU_HASH)", "kernel-xen = " + XEN[0]] + ["kernel-uname-r = " + k for k in (KERNEL, OTHER)]
        provides += sorted({r for p in userspace(kit).values() for r in kit.query(p, "--requires") if r.startswith("lib")})
        self.rpm("--initdb")
        if "host" not in kit.made:
            kit.made["host"] = kit.dummy("host", "1", provides=provides)
        self.rpm("-U", kit.made["host"])
        self.log()
        self.before = self.files()

    def rpm(self, *argv, fails=False):
        root = [] if os.geteuid() == 0 else ["unshare", "-r"]
        output = self.kit.run(root + ["rpm", "--root", self.root, "--dbpath", "/var/lib/rpm", *argv], fails=fails,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        return re.sub(r"^rpm: .*\n", "", output, flags=re.M)  # Debian's word on its own package manager

    def files(self):
        return {os.path.relpath(os.path.join(d, f), self.root) for d, dirs, files in os.walk(self.root) for f in files + dirs
                if not (d + "/").startswith(self.path("var/lib/rpm/")) and (f, d) != ("rpm", self.path("var/lib"))} - {"dev/null"}


def userspace(kit, version=None):
    """Packages for KERNEL, with userspace, of this version of the product."""
    options = ("kernel_uname " + KERNEL,) + (("--without=check",) if version else ())
    return kit.packages(*options, release=KERNEL, **({"version": version} if version else {}))


def other_kernel(kit):
    return module(kit.packages("kernel_uname " + OTHER, "--without=check", "--without=userspace", release=OTHER))


def both(rpms):
    return [p for n, p in sorted(rpms.items()) if "debuginfo" not in n]


SERVICES = ("openvswitch", "openvswitch-xapi-update")
ENABLE = [line for s in SERVICES for line in ("chkconfig --add " + s, "chkconfig %s on" % s)]
UNITS = ["systemctl --no-reload %s " + s + ".service" for s in sorted(SERVICES, reverse=True)]


def case_install(kit):
    """install by the guide's rpm -U, again, and removal by its rpm -e: the tools that are called, and nothing left"""
    version, flavor = XEN
    rpms = kit.packages("openvswitch_version " + kit.version, "kernel_name xen", "kernel_version " + version, "kernel_flavor xen", release=version + flavor)
    host = Host(kit)
    # The guide's own file names.
    names = ["openvswitch-%s-1.x86_64.rpm" % kit.version, "openvswitch-modules-xen-%s-%s-1.x86_64.rpm" % (version, kit.version)]
    said = host.rpm("-U", rpms[names[0]], fails=True)
    check("openvswitch.ko.0 is needed by" in said, "userspace alone is not refused:\n" + said)
    said = host.rpm("-U", *[rpms[n] for n in names])
    check(REBOOT in said, "nothing is said of a reboot:\n" + said)
    installed = ENABLE + [u % "preset" for u in UNITS] + ["depmod %sxen" % version]
    host.called(*installed)
    check(read(host.path("etc/sysconfig/openvswitch")) == read(host.path("usr/share/openvswitch/scripts/sysconfig.template")), "no settings")
    files = host.files()
    said = host.rpm("-U", "--replacepkgs", *[rpms[n] for n in names])
    check(host.files() == files, "a second installation changes files: %s" % (host.files() ^ files))
    host.called(*[c for c in installed if "preset" not in c])
    # What a host that ran leaves there.
    for f in ("conf.db", ".conf.db.~lock~", "system-id.conf", "conf.db.backup8.3.0-1", "vswitchd.cacert"):
        write(host.path("etc/openvswitch/" + f), "x")
    said = host.rpm("-e", "openvswitch", "openvswitch-modules-xen-" + version)
    check(REBOOT.replace("reboot this host", "do so") in said, "nothing is said of a reboot:\n" + said)
    left = host.files() ^ host.before
    check(not left, "left behind or taken away: %s" % sorted(left))
    host.called("xe-switch-network-backend bridge", *("chkconfig --del " + s for s in SERVICES), *(u % "disable" for u in UNITS), "depmod %sxen" % version)


def case_sysctl(kit):
    """the line of xHA in /etc/sysctl.conf: added once, taken away again, and nowhere if the host has one"""
    line = "net.ipv4.conf.all.arp_filter = 1\n"
    host = Host(kit)
    conf = write(host.path("etc/sysctl.conf"), "kernel.x = 1\n")
    for options in ((), ("--replacepkgs",)):
        host.rpm("-U", *options, *both(userspace(kit)))
        check(read(conf).count(line) == 1 and read(conf).startswith("kernel.x = 1\n"), "it says:\n" + read(conf))
    host.rpm("-e", "openvswitch", "openvswitch-modules-" + KERNEL)
    check(read(conf) == "kernel.x = 1\n", "left behind:\n" + read(conf))
    # The last line of an administrator's file may have no end.
    write(conf, "net.ipv4.ip_forward = 1")
    host.rpm("-U", *both(userspace(kit)))
    check(read(conf).startswith("net.ipv4.ip_forward = 1\n") and line in read(conf), "it says:\n" + read(conf))
    host.rpm("-e", "openvswitch", "openvswitch-modules-" + KERNEL)
    check(read(conf) == "net.ipv4.ip_forward = 1\n", "left behind:\n" + read(conf))
    for name in ("etc/sysctl.conf", "etc/sysctl.d/90-own.conf"):
        own = "net.ipv4.conf.all.arp_filter = 0\n"
        write(host.path(name), own)
        host.rpm("-U", *both(userspace(kit)))
        check(read(host.path(name)) == own and line not in read(conf), "the host's own word is not kept")
        host.rpm("-e", "openvswitch", "openvswitch-modules-" + KERNEL)
        check(read(host.path(name)) == own, "the host's own word is gone")
        os.unlink(host.path(name))
        write(conf, "")


def case_preset(kit):
    """systemd's preset: the services are enabled where the distribution's policy is to enable nothing, and not against an administrator's word"""
    host = Host(kit)
    presets = host.path("usr/lib/systemd/system-preset/")
    write(presets + "99-default-disable.preset", "disable *\n")
    host.rpm("-U", *both(userspace(kit)))

    def enabled():
        kit.run(["systemctl", "--root=" + host.root, "preset", *[s + ".service" for s in SERVICES]])
        return sorted(os.listdir(host.path("etc/systemd/system/multi-user.target.wants")))
    check(enabled() == ["openvswitch-xapi-update.service", "openvswitch.service"], "enabled are %s" % enabled())
    write(host.path("etc/systemd/system-preset/10-own.preset"), "disable openvswitch-xapi-update.service\n")
    check(enabled() == ["openvswitch.service"], "enabled are %s" % enabled())


def case_bare(kit):
    """a host without any tool, as in an installer's root: installed and removed in silence"""
    rpms = userspace(kit)
    host = Host(kit, tools=(), network=None)
    said = host.rpm("-U", *both(rpms))
    check(len(said.strip().splitlines()) == 1 and REBOOT in said, "more is said than of the reboot:\n" + said)
    said = host.rpm("-e", "openvswitch", "openvswitch-modules-" + KERNEL)
    check(len(said.strip().splitlines()) == 1, "more is said than of the reboot:\n" + said)
    check(host.files() == host.before, "left behind: %s" % sorted(host.files() ^ host.before))


def case_backend(kit):
    """the Linux bridge: a first installation switches, an upgrade only says how"""
    host = Host(kit, network="bridge")
    said = host.rpm("-U", *both(userspace(kit)))
    check("xe-switch-network-backend vswitch" in host.log(), "the first installation does not switch")
    said = host.rpm("-U", "--replacepkgs", *both(userspace(kit)))
    check("to use Open vSwitch: xe-switch-network-backend vswitch" in said, "an upgrade does not say how to switch:\n" + said)
    check(not any("switch-network" in line for line in host.log()), "an upgrade switches")


def case_upgrade(kit):
    """upgrade from an older version: module, settings and depmod"""
    kit.stub_tarball("0.0.7")
    old = userspace(kit, "0.0.7")
    host = Host(kit)
    host.rpm("-U", *both(old))
    host.log()
    settings = host.path("etc/sysconfig/openvswitch")
    write(settings, "VSWITCHD_PRIORITY=-5 # ours\n")
    changed = [host.path("etc/logrotate.d/openvswitch"), host.path("etc/profile.d/openvswitch.sh")]
    for path in changed:
        write(path, read(path) + "# ours\n")
    files = host.files()
    host.rpm("-U", *both(userspace(kit)))
    host.called(*ENABLE, "depmod " + KERNEL)
    check(re.sub(r"0\.0\.7", kit.version, " ".join(sorted(files))) == " ".join(sorted(host.files())), "other files than before: %s" % (files ^ host.files()))
    text = read(settings)
    check(all(read(path).endswith("# ours\n") for path in changed), "what an administrator wrote is gone")
    check(text.startswith("VSWITCHD_PRIORITY=-5 # ours\n") and text.count("VSWITCHD_PRIORITY") == 1, "the administrator's setting is not kept:\n" + text)
    check(text.count("# FORCE_COREFILES=yes\n") == 1, "a new setting is not there once:\n" + text)
    ko = host.path("lib/modules/%s/extra/openvswitch/openvswitch.ko" % KERNEL)
    check(kit.run(["modinfo", "-F", "version", ko]).strip() == kit.version, "it is not the new module")
    said = host.rpm("-U", *both(old), fails=True)
    check("(which is newer than" in said, "an older version is installed over a newer one:\n" + said)


def case_kernels(kit):
    """modules for two kernels side by side; each is removed without the other"""
    host = Host(kit)
    host.rpm("-U", *both(userspace(kit)))
    files = host.files()
    host.log()
    os.makedirs(host.path("sys/module/openvswitch"))
    said = host.rpm("-U", other_kernel(kit))
    check("the module that is loaded stays until" in said, "nothing is said of the module that runs:\n" + said)
    shutil.rmtree(host.path("sys"))
    host.called("depmod " + OTHER)
    check(all(os.path.exists(host.path("lib/modules/%s/extra/openvswitch/openvswitch.ko" % k)) for k in (KERNEL, OTHER)), "there are not both")
    host.rpm("-e", "openvswitch-modules-" + OTHER)
    host.called("depmod " + OTHER)
    check(host.files() == files, "left behind or taken away: %s" % sorted(host.files() ^ files))
    host.rpm("-U", other_kernel(kit))
    host.rpm("-e", "openvswitch-modules-" + KERNEL)  # a module is there still, so that the userspace may stay
    check(not host.path("lib/modules/%s/extra" % KERNEL) in host.files(), "its directory is there still")


def case_depmod(kit):
    """depmod takes our module, though there are others of its name, in updates/ and in the kernel's own directory"""
    host = Host(kit)
    for place in ("kernel/net/openvswitch", "updates"):
        write(host.path("lib/modules/%s/%s/openvswitch.ko" % (KERNEL, place)), "")
    rpms = userspace(kit)
    ours = "lib/modules/%s/extra/openvswitch/openvswitch.ko" % KERNEL
    host.rpm("-U", *both(rpms))
    for place in ("kernel/net/openvswitch", "updates"):
        shutil.copy(host.path(ours), host.path("lib/modules/%s/%s/openvswitch.ko" % (KERNEL, place)))

    def chosen():
        kit.run(["depmod", "-b", host.root, "-C", host.path("etc/depmod.d"), KERNEL])
        return kit.run(["modinfo", "-b", host.root, "-k", KERNEL, "-n", "openvswitch"]).strip()
    check(chosen() == host.path(ours), "it takes " + chosen())
    # By the fragment, and for this kernel only.
    conf = host.path("etc/depmod.d/openvswitch-%s.conf" % KERNEL)
    os.rename(conf, host.path("etc/away"))
    check("/updates/" in chosen(), "without the fragment it takes " + chosen())
    write(conf, read(host.path("etc/away")).replace("4", "5", 1))
    check("/updates/" in chosen(), "another kernel's fragment counts")


def case_vport(kit):
    """vport-*.ko of another openvswitch.ko: modprobe refuses it in words where ours would be loaded, and only there; one that lies about is named"""
    host = Host(kit)
    stale = "lib/modules/%s/extra/vport-vxlan.ko" % KERNEL
    write(host.path(stale), "")
    said = host.rpm("-U", *both(userspace(kit)))
    check("/%s belongs to another openvswitch.ko and is refused with this one: remove it" % stale in said, "it is not named:\n" + said)
    conf = host.path("etc/modprobe.d")
    tools = os.path.join(kit.top, "tools")
    os.makedirs(tools, exist_ok=True)
    path = {"PATH": tools + ":" + kit.env["PATH"]}
    # The file's commands run with the shell: modinfo says what the host would load, and modprobe is what is gone on with.
    real = shutil.which("modprobe", path=kit.env["PATH"])
    write(tools + "/modprobe", '#!/bin/sh\necho "goes on: $*"\n', 0o755)
    for vport in ("geneve", "gre", "lisp", "stt", "vxlan"):
        write(tools + "/modinfo", "#!/bin/sh\necho Open vSwitch switching datapath in Rust\n", 0o755)
        said = kit.run([real, "-C", conf, "-d", host.root, "-S", KERNEL, "vport-" + vport], fails=True, env=path)
        check("openvswitch: vport-%s belongs to another openvswitch.ko; the one in Rust has" % vport in said, "not refused in words:\n" + said)
        write(tools + "/modinfo", "#!/bin/sh\necho Open vSwitch switching datapath\n", 0o755)
        said = kit.run([real, "-C", conf, "-d", host.root, "-S", KERNEL, "vport-" + vport], env=path)
        check("goes on: --ignore-install vport-" + vport in said, "it is refused to the kernel's own module, too:\n" + said)
    # Before the reboot: what is loaded decides, not what will be.
    write(tools + "/modinfo", "#!/bin/sh\necho Open vSwitch switching datapath in Rust\n", 0o755)
    text = read(conf + "/openvswitch-%s.conf" % KERNEL)
    before = os.path.join(kit.top, "before")
    write(before + "/x.conf", text.replace("/sys/", host.path("sys/")))
    os.makedirs(host.path("sys/module/openvswitch"))
    argv = [real, "-C", before, "-d", host.root, "-S", KERNEL, "vport-gre"]
    check("goes on: --ignore-install vport-gre" in kit.run(argv, env=path), "refused while the kernel's own module is loaded")
    write(host.path("sys/module/openvswitch/version"), "0.0.7\n")
    check("openvswitch: vport-gre belongs" in kit.run(argv, fails=True, env=path), "not refused while ours is loaded")


def case_alt_kernels(kit):
    """openvswitch-module-alt for another kernel: side by side by rpm -i; rpm -U takes the other one's place, and its modules.dep is made anew"""
    def alt(kernel, *options, **more):
        return module(kit.packages("kernel_uname " + kernel, "--with=alt", "--without=check", *options, release=kernel, **more))
    host = Host(kit)
    # The userspace of the other cases is not installed here.
    host.rpm("-U", alt(KERNEL))
    files = host.files()
    host.log()
    host.rpm("-i", alt(OTHER))
    host.called("depmod " + OTHER)
    host.rpm("-e", os.path.basename(alt(OTHER)).replace(".x86_64.rpm", ""))
    host.called("depmod " + OTHER)
    check(host.files() == files, "left behind or taken away: %s" % sorted(host.files() ^ files))
    host.rpm("-U", alt(OTHER))
    log = sorted(host.log())
    check(log == ["depmod " + KERNEL, "depmod " + OTHER], "tools were called as %s" % log)


CASES = [case_install, case_sysctl, case_preset, case_bare, case_backend, case_upgrade, case_kernels, case_depmod, case_vport, case_alt_kernels]
