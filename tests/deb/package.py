# SPDX-License-Identifier: GPL-2.0
"""What is in the package, and what its scripts do to a host. Nothing is compiled."""

import hashlib
import json
import os
import re
import shutil

from kit import PACKAGE, SOURCE, Host, check, read, write

LATER = "the module that is loaded stays until this host is rebooted"


def case_contents(kit):
    """contents: fields, dependencies, files and their modes"""
    lines = kit.run(["dpkg-deb", "-f", kit.deb()]).splitlines()
    lines = [line for line in lines if not line.startswith("Installed-Size")]
    for line in kit.run(["dpkg-deb", "-c", kit.deb()]).splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        check(owner == "root/root", line)
        if not re.search(r"/(vendor|datapath|kmod|rust)/.", path):
            lines.append("%s %s" % (mode, path))
        check(not re.search(r"/(target|out|\.git|__pycache__)(/|$)|\.(o|ko|rlib)$", path), "not of the sources: " + path)
    kit.compare("contents", lines)
    # The sources are those of this tree, all of them.
    src = os.path.join(kit.unpacked(), "usr/src/openvswitch-" + kit.version)
    ours = kit.run(["git", "ls-files", "Kbuild", "VERSION", "datapath", "kmod", "rust"], cwd=SOURCE).split()
    for f in ours:
        with open(os.path.join(SOURCE, f), "rb") as a, open(os.path.join(src, f), "rb") as b:
            check(a.read() == b.read(), f + " is another file in the package")
    here = {os.path.relpath(os.path.join(d, f), src) for d, _, files in os.walk(src) for f in files}
    more = here - set(ours) - {"dkms.conf", "debian/build-module"} - {f for f in here if f.startswith("tools/")}
    check(not more, "more than the sources: %s" % sorted(more))


def case_probes(kit):
    """probes: what dkms calls finds all that it asks for in the package's sources, as far as a kernel's headers are asked"""
    src = os.path.join(kit.unpacked(), "usr/src/openvswitch-" + kit.version)
    tree = os.path.join(kit.top, "probes")
    shutil.copytree(src, tree)
    headers = kit.run([os.path.join(SOURCE, "tools/fetch-kernel.sh"), "6.1"], seconds=900).splitlines()[-1]
    kit.run(["tools/build-modules.sh", "-d", headers, "-o", "out"], cwd=tree, env={"OVS_PROBE": "y"}, seconds=900)
    made = [d for d, _, files in os.walk(os.path.join(tree, "out")) if "features.h" in files]
    check(made, "no feature was asked for")


def case_guide(kit):
    """guide: the file names of debian/README.md are the package's, as a shell reads them"""
    names = re.findall(r"^apt-get install (\./\S+)", read(os.path.join(SOURCE, "debian/README.md")), re.M)
    check(len(names) == 1, "it installs %s" % names)
    said = kit.run(["sh", "-c", 'echo "%s"' % names[0]], env={"VERSION": kit.version}).strip()
    check(said == "./" + os.path.basename(kit.deb()), "it installs " + said)


def case_crates(kit):
    """crates: those that bindgen's lock file names, every file as cargo wants it"""
    where = os.path.join(kit.unpacked(), "usr/share", PACKAGE, "bindgen")
    lock = re.findall(r'name = "(.*)"\nversion = "(.*)"\nsource', read(where + "/Cargo.lock"))
    check(lock and sorted("%s-%s" % c for c in lock) == sorted(os.listdir(where + "/vendor")), "other crates than those of Cargo.lock")
    check('directory = "vendor"' in read(where + "/.cargo/config.toml"), "cargo would ask the network")
    for crate in os.listdir(where + "/vendor"):
        d = os.path.join(where, "vendor", crate)
        for f, wanted in json.loads(read(d + "/.cargo-checksum.json"))["files"].items():
            check(os.path.exists(os.path.join(d, f)), "%s of %s is missing" % (f, crate))
            with open(os.path.join(d, f), "rb") as g:
                check(hashlib.sha256(g.read()).hexdigest() == wanted, "%s of %s is another file" % (f, crate))
    # A kernel's bindings want no option that the command line over bindgen's library lacks.
    known = set(re.findall(r'"(--?[a-z-]+)"', read(where + "/src/main.rs")))
    used = set(re.findall(r"^(--[a-z-]+)", read(os.path.join(SOURCE, "rust/bindings/bindgen_parameters")), re.M))
    mode = read(os.path.join(SOURCE, "rust/mode.mk"))
    command = mode[mode.index("cmd_ovs_bindgen ="):mode.index("$(rk_clang_flags); \\")]
    used |= set(re.findall(r"(--?[a-z-]{2,}|-o)\b", command[command.index("--rust-target"):]))
    check(len(used) > 12 and used <= known, "debian/bindgen does not know %s" % sorted(used - known))


def case_scripts(kit):
    """install, again, remove: dkms is called as for any package, no module is loaded or unloaded, nothing is left"""
    host = Host(kit)
    said = host.dpkg("-i", kit.deb())
    check(said == "", "of a host that has no openvswitch loaded it says:\n" + said)
    add = "common.postinst openvswitch %s /usr/share/openvswitch-dkms " % kit.version
    host.called(add)
    files = host.files()
    host.dpkg("-i", kit.deb())
    forget = ["dkms status -m openvswitch -v " + kit.version, "dkms remove -m openvswitch -v %s --all" % kit.version]
    host.called("dkms status -m openvswitch", *forget, add + " " + kit.version, "dkms autoinstall -k 6.1.0")
    files.add("var/cache/" + PACKAGE)
    check(host.files() == files, "a second installation changes files: %s" % (host.files() ^ files))
    write(host.path("var/cache/%s/bindgen-0" % PACKAGE), "")
    host.dpkg("-r", PACKAGE)
    host.called(*forget)
    check(host.files() == host.before, "left behind or taken away: %s" % sorted(host.files() ^ host.before))
    host.dpkg("-P", PACKAGE)
    host.called()


def case_running(kit):
    """a host that runs over openvswitch: it is told to reboot, once; not where ours runs already"""
    host = Host(kit)
    host.loaded(None)
    for _ in range(2):
        said = host.dpkg("-i", kit.deb())
        check(LATER in said, "nothing is said of a reboot:\n" + said)
    check(read(host.path("run/reboot-required.pkgs")) == PACKAGE + "\n" and os.path.exists(host.path("run/reboot-required")), "it is not noted once")
    shutil.rmtree(host.path("run"))
    os.mkdir(host.path("run"))
    host.loaded("OURS")
    said = host.dpkg("-i", kit.deb())
    check(said == "" and not os.listdir(host.path("run")), "of the same module that runs it says:\n" + said)
    said = host.dpkg("-r", PACKAGE)
    check("what runs goes on running until this host is rebooted" in said, "nothing is said of a reboot:\n" + said)
    check(not any(line.split()[0] in ("modprobe", "rmmod", "insmod", "systemctl") for line in host.log()), "a module or a service is touched")


def case_upgrade(kit):
    """upgrade from an older version: dkms forgets that one, all kernels that had it get the new one, and the compiled bindgen stays"""
    host = Host(kit)
    host.dpkg("-i", kit.other("0.0.7"))
    host.log()
    write(host.path("var/cache/%s/bindgen-0" % PACKAGE), "")
    host.dpkg("-i", kit.deb())
    host.called("dkms status -m openvswitch", "dkms status -m openvswitch -v 0.0.7", "dkms remove -m openvswitch -v 0.0.7 --all",
                "common.postinst openvswitch %s /usr/share/openvswitch-dkms  0.0.7" % kit.version, "dkms autoinstall -k 6.1.0")
    check(not os.path.exists(host.path("var/cache/%s/kernels" % PACKAGE)), "the list of kernels is there still")
    check(os.path.exists(host.path("var/cache/%s/bindgen-0" % PACKAGE)), "bindgen would be compiled again")
    check(not any("0.0.7" in f for f in host.files()), "something of the older version is there still")


def case_upgrade_again(kit):
    """upgrade after one whose build failed: the kernels that the earlier one has not built for are not forgotten"""
    host = Host(kit)
    dkms = host.path("usr/sbin/dkms")
    good = read(dkms)
    host.dpkg("-i", kit.other("0.0.7"))
    write(dkms, good + "case $1 in autoinstall) exit 1;; esac\n", 0o755)
    host.dpkg("-i", kit.deb(), fails=True)
    # It is gone for the old version, and not there for the new one.
    write(dkms, '#!/bin/sh\necho "dkms $*" >> /log\n', 0o755)
    host.log()
    host.dpkg("-i", kit.other("9.0.7"))
    check("dkms autoinstall -k 6.1.0" in host.log(), "6.1.0 does not get it any more")
    check(not os.path.exists(host.path("var/cache/%s/kernels" % PACKAGE)), "the list of kernels is there still")


def case_vport(kit):
    """vport-*.ko of another openvswitch.ko that lie about are named; modprobe is told to refuse them"""
    host = Host(kit)
    stale = "lib/modules/6.1.0/updates/vport-vxlan.ko"
    write(host.path(stale), "")
    said = host.dpkg("-i", kit.deb())
    check("/%s belongs to another openvswitch.ko and is refused with this one: remove it" % stale in said, "it is not named:\n" + said)
    mine = read(host.path("usr/lib/modprobe.d/%s.conf" % PACKAGE))
    check(mine == read(os.path.join(SOURCE, "xenserver/modprobe.conf")) and "install vport-geneve" in mine, "it is not the file that the RPM's cases try")


def case_depmod(kit):
    """depmod takes what dkms built, whatever else is there; a kernel without it keeps its own"""
    root = os.path.join(kit.top, "depmod")
    tree, kernels = root + "/lib/modules/", ("6.1.0", "6.12.0")
    asm = os.path.join(kit.top, "stub")
    write(asm + ".s", '.text\n.globl init_module\ninit_module: ret\n.section .modinfo,"a"\n.asciz "license=GPL"\n')
    kit.run(["as", "-o", asm + ".ko", asm + ".s"])
    for place in ("6.1.0/kernel/net/openvswitch", "6.1.0/updates", "6.1.0/extra", "6.1.0/updates/dkms", "6.12.0/kernel/net/openvswitch"):
        os.makedirs(tree + place)
        shutil.copy(asm + ".ko", tree + place + "/openvswitch.ko")
    conf = os.path.join(kit.unpacked(), "usr/lib/depmod.d")

    def chosen(kernel):
        kit.run(["depmod", "-b", root, "-C", conf, kernel])
        return os.path.relpath(kit.run(["modinfo", "-b", root, "-k", kernel, "-n", "openvswitch"]).strip(), tree + kernel)
    check([chosen(k) for k in kernels] == ["updates/dkms/openvswitch.ko", "kernel/net/openvswitch/openvswitch.ko"], "it takes %s" % [chosen(k) for k in kernels])
    # By that file: another one has another chosen.
    conf = os.path.dirname(write(os.path.join(kit.top, "depmod.d/other.conf"), "override openvswitch * extra\n"))
    check(chosen("6.1.0") == "extra/openvswitch.ko", "depmod does not follow such a file")


CASES = [case_contents, case_probes, case_guide, case_crates, case_scripts, case_running, case_upgrade, case_upgrade_again, case_vport, case_depmod]
