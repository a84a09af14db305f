# SPDX-License-Identifier: GPL-2.0
"""What a VM that runs suites is made of: a root with the programs that the tests call, a disk for each tree, a kernel.

The root is a richer one than that of the cases (host/rootfs.py): the suites use some forty programs and Python libraries.
Both disks are read-only; the VM lays a tmpfs over them.
"""

import os
import shutil
import subprocess

from host import kernel, rootfs
from host.packages import CACHE, Apt, digest, forget_older, making, sh

from . import trees

PACKAGES = """
    bash bc bridge-utils bsdutils busybox conntrack coreutils curl dash debianutils diffutils ethtool file findutils gawk grep gzip
    hostname iperf3 ipset iptables iproute2 iputils-arping iputils-ping isc-dhcp-client isc-dhcp-server kmod lftp
    libc-bin linux-perf lsof mount ncat net-tools netbase netcat-openbsd nfdump nftables procps psmisc python3
    python3-distutils python3-netifaces python3-packaging python3-pkg-resources python3-pyftpdlib python3-scapy python3-six
    sed tar tcpdump util-linux vlan wget xxd
""".split()

# Not in Debian 12, or too old for the selftests of 6.12 and later.
WHEELS = ["tftpy", "pyroute2==0.7.12"]

UNUSED = "debconf dpkg media-types".split()
STRIP = """
    usr/share/doc usr/share/man usr/share/locale usr/share/info usr/share/lintian usr/share/bug usr/share/bash-completion
    usr/share/zoneinfo usr/share/common-licenses usr/lib/systemd usr/lib/udev usr/share/icons usr/share/pixmaps
    usr/lib/python3.11/test usr/lib/python3.11/idlelib usr/lib/python3.11/tkinter usr/lib/python3.11/pydoc_data
""".split()

# Alternatives, as Debian's own priorities set them.
LINKS = {
    "usr/bin/sh": "dash", "usr/bin/awk": "gawk", "usr/bin/nc": "nc.openbsd", "usr/bin/which": "which.debianutils",
    "usr/sbin/iptables": "iptables-nft", "usr/sbin/ip6tables": "ip6tables-nft", "usr/sbin/iptables-save": "iptables-nft-save",
    "usr/sbin/ip6tables-save": "ip6tables-nft-save", "usr/sbin/iptables-restore": "iptables-nft-restore",
}
# tcpdump gives up root for a user of its own name, OVN's tests give files to dhcpd's group.
USERS = "tcpdump:x:101:101::/nonexistent:/bin/false\ndhcpd:x:102:102::/nonexistent:/bin/false\n"
GROUPS = "tcpdump:x:101:\ndhcpd:x:102:\n"
RECIPE = 1

# Kernel modules that the suites load, beside those of the cases.
MODULES = kernel.MODULES + """
    nf_conntrack_ftp nf_nat_ftp nf_conntrack_tftp nf_nat_tftp nfnetlink_cttimeout nfnetlink_log nfnetlink_queue nf_tables nft_chain_nat
    nft_ct nft_nat nft_masq nft_redir nft_compat nft_counter nft_log nft_limit nft_reject nft_reject_inet nft_reject_ipv4
    nft_reject_ipv6 nft_fib nft_fib_inet nft_fib_ipv4 nft_fib_ipv6 nft_hash nft_numgen nft_objref nft_quota nft_socket nft_tproxy
    nft_tunnel nft_xfrm nf_log_syslog ip_tables ip6_tables iptable_filter iptable_nat iptable_mangle iptable_raw ip6table_filter
    ip6table_nat ip6table_mangle ip6table_raw xt_conntrack xt_CT xt_MASQUERADE xt_nat xt_mark xt_tcpudp xt_comment xt_addrtype xt_LOG
    xt_multiport xt_state xt_REDIRECT xt_TCPMSS xt_NFLOG xt_limit xt_statistic xt_physdev xt_mac xt_u32 ip_set br_netfilter
    gre ip_tunnel ip6_tunnel tunnel4 tunnel6 sit ipip fou fou6 bareudp gtp mpls_iptunnel nf_conntrack_bridge
    sch_hfsc sch_codel sch_fq sch_tbf sch_red sch_drr sch_etf sch_multiq sch_mqprio sch_pie sch_fq_pie sch_cake sch_qfq
    cls_basic cls_u32 cls_fw cls_bpf cls_route act_police act_vlan act_tunnel_key act_pedit act_csum act_skbedit act_skbmod act_ct
    act_mpls act_sample act_nat act_connmark act_ctinfo act_bpf act_gate em_meta em_cmp em_nbyte em_u32 em_text
    vrf macsec macvtap ipvlan team nlmon sctp_diag tcp_diag udp_diag inet_diag unix_diag af_packet_diag netlink_diag netdevsim
    xfrm_user xfrm_interface esp4 esp6 ah4 ah6 af_key echainiv seqiv gcm ghash_generic ccm cbc hmac sha1_generic sha256_generic
    aes_generic algif_hash tls ip_vs
""".split()


def root(log):
    """The ext4 image of the root."""
    apt = Apt()
    plan = {p: v for p, v in apt.plan(PACKAGES).items() if p not in UNUSED}
    key = digest((sorted(plan.items()), WHEELS, STRIP, LINKS, USERS, RECIPE, trees.RECIPE))
    image = os.path.join(CACHE, "suites", "root-%s.ext4" % key)
    if os.path.exists(image):
        return image
    log("building the root of the suites' VMs from %d Debian packages (once)" % len(plan))
    debs = apt.download(PACKAGES, lambda p: p not in UNUSED)
    with making(image[:-5]) as tmp:
        os.makedirs(tmp + "/run")
        os.makedirs(tmp + "/var")
        os.symlink("/run", tmp + "/var/run")
        trees.unpack(debs.values(), tmp)
        for d in STRIP:
            shutil.rmtree(os.path.join(tmp, d), ignore_errors=True)
        for link, target in LINKS.items():
            path = os.path.join(tmp, link)
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(target, path)
        rootfs.configure(tmp)
        for name, more in (("passwd", USERS), ("group", GROUPS)):
            with open(os.path.join(tmp, "etc", name), "a") as f:
                f.write(more)
        for d in ("suite", "boot", "var/lib/dhcp", "var/log", "var/lib/ovn", "var/lock"):
            os.makedirs(os.path.join(tmp, d), exist_ok=True)
        trees.wheels(WHEELS, os.path.join(tmp, "usr/lib/python3/dist-packages"), log)
        python = os.path.join(tmp, "usr/bin/python3.11")
        if os.path.exists(python):
            subprocess.run(["chroot", tmp, "/usr/bin/python3", "-m", "compileall", "-q", "/usr/lib/python3.11", "/usr/lib/python3"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        disk(tmp, image)
    forget_older(os.path.join(CACHE, "suites", "root-*.ext4"), image)
    return image


def disk(directory, image):
    """An ext4 image of a directory."""
    size = int(sh(["du", "-sm", "--apparent-size", directory]).split()[0])
    files = int(sh(["sh", "-c", "find '%s' | wc -l" % directory]))
    tmp = "%s.%d.tmp" % (image, os.getpid())
    sh(["mkfs.ext4", "-q", "-O", "^has_journal,^metadata_csum", "-m", "0", "-N", str(files + files // 10 + 1000), "-d",
        directory, tmp, "%dM" % (size * 13 // 10 + 64)])
    os.rename(tmp, image)


def tree(t):
    """The ext4 image of a tree."""
    image = t.dir + ".ext4"
    if not os.path.exists(image) or os.stat(image).st_mtime < os.stat(t.dir).st_mtime:
        disk(t.dir, image)
    return image
