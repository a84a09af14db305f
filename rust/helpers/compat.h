/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels this module builds for lives in this file. It asks
 * features.h, which tools/feature-test.sh makes from features.list by trying the target's headers,
 * and never LINUX_VERSION_CODE: stable series change interfaces midway.
 */
#ifndef OVS_COMPAT_H
#define OVS_COMPAT_H

#ifndef __has_include /* gcc older than 5 */
#define __has_include(header) 0
#endif
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/netfilter_ipv6.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/ip6_route.h>
#include <net/mpls.h>
#include <net/net_namespace.h>
#if __has_include(<net/dropreason.h>)
#include <net/dropreason.h>
#endif
#if __has_include(<net/gso.h>)
#include <net/gso.h>
#endif
#if __has_include(<net/ipv6_stubs.h>)
#include <net/ipv6_stubs.h>
#endif
#include "features.h"

#ifndef fallthrough
#define fallthrough do { } while (0)
#endif

/* ---- RCU ---- */

/*
 * Kernels that wait for BH-disabled sections and for rcu_read_lock() apart. There call_rcu() waits
 * for both only where no read section can be preempted, as it is call_rcu_sched() then; with
 * preemption it would free what a BhGuard still reads.
 */
#if defined(HAVE_RCU_FLAVOURS) && defined(CONFIG_PREEMPT_RCU)
#error "CONFIG_PREEMPT on a kernel whose call_rcu() does not wait for BH-disabled sections"
#endif

/* ---- generic netlink ---- */

/* Small ops have no policies of their own: the family must have one. */
#if defined(HAVE_SMALL_OPS) && defined(HAVE_GENL_FAMILY_POLICY)
#define ovs_genl_ops genl_small_ops
#define OVS_FAMILY_OPS(table) .small_ops = table, .n_small_ops = ARRAY_SIZE(table),
#else
#define ovs_genl_ops genl_ops
#define OVS_FAMILY_OPS(table) .ops = table, .n_ops = ARRAY_SIZE(table),
#endif

#ifdef HAVE_GENL_FAMILY_POLICY
#define OVS_FAMILY_POLICY(table) .policy = table,
#define OVS_OP_POLICY(table)
#else
#define OVS_FAMILY_POLICY(table)
#define OVS_OP_POLICY(table) .policy = table,
#endif

/* Liberal parsing (spec N5), which was the only kind before commands could choose. */
#ifdef HAVE_GENL_OPS_VALIDATE
#define OVS_OP_LIBERAL .validate = GENL_DONT_VALIDATE_STRICT | GENL_DONT_VALIDATE_DUMP,
#else
#define OVS_OP_LIBERAL
#endif

/* The first command that may not be parsed liberally. */
#ifdef HAVE_GENL_RESV_START_OP
#define OVS_FAMILY_RESV_START_OP(op) .resv_start_op = (op),
#else
#define OVS_FAMILY_RESV_START_OP(op)
#endif

/* Without ranges the kernel checks the length alone. The switch has checked the range before. */
#ifdef HAVE_NLA_POLICY_RANGE
#define OVS_POLICY_RANGE(t, from, to) NLA_POLICY_RANGE(t, from, to)
#define OVS_POLICY_MIN(t, from) NLA_POLICY_MIN(t, from)
#else
#define OVS_POLICY_RANGE(t, from, to) { .type = t }
#define OVS_POLICY_MIN(t, from) { .type = t }
#endif

/* Where a dump explains an error; NULL if it cannot. */
static inline struct netlink_ext_ack *ovs_netlink_cb_extack(const struct netlink_callback *cb)
{
#ifdef HAVE_NETLINK_CALLBACK_EXTACK
	return cb->extack;
#else
	return NULL;
#endif
}

#ifdef HAVE_PEERNET2ID_ALLOC_GFP
#define ovs_peernet2id_alloc(net, peer) peernet2id_alloc(net, peer, GFP_ATOMIC)
#else
#define ovs_peernet2id_alloc(net, peer) peernet2id_alloc(net, peer)
#endif

/* ---- packets ---- */

/* The subsystem of our drop reasons; without subsystems drops have no reason at all (spec X1). */
#ifdef HAVE_DROP_REASON_SUBSYS
#define OVS_DROP(i) ((SKB_DROP_REASON_SUBSYS_OPENVSWITCH << SKB_DROP_REASON_SUBSYS_SHIFT) | (i))
#endif

/* Bytes of the control block that segmentation leaves alone. */
#ifdef SKB_GSO_CB_OFFSET
#define OVS_GSO_CB_OFFSET SKB_GSO_CB_OFFSET
#else
#define OVS_GSO_CB_OFFSET SKB_SGO_CB_OFFSET
#endif

/*
 * The bit of vlan_tci that says that there is a tag, where one does: the tag's own bit there is
 * lost.
 */
#ifdef HAVE_VLAN_TAG_PRESENT
#define OVS_VLAN_TAG_PRESENT VLAN_TAG_PRESENT
#else
#define OVS_VLAN_TAG_PRESENT 0
#endif

#ifdef HAVE_VLAN_HWACCEL_CLEAR_TAG
#define ovs_vlan_clear_tag(skb) __vlan_hwaccel_clear_tag(skb)
#else
#define ovs_vlan_clear_tag(skb) ((skb)->vlan_tci = 0)
#endif

#ifdef HAVE_SKB_CLEAR_TSTAMP
#define ovs_skb_clear_tstamp(skb) skb_clear_tstamp(skb)
#else
#define ovs_skb_clear_tstamp(skb) ((skb)->tstamp = 0)
#endif

#ifdef HAVE_NF_RESET_CT
#define ovs_nf_reset_ct(skb) nf_reset_ct(skb)
#else
#define ovs_nf_reset_ct(skb) nf_reset(skb)
#endif

/* Whether the CPU can read all pages. */
#ifdef HAVE_SKB_FRAGS_READABLE
#define ovs_skb_frags_readable(skb) skb_frags_readable(skb)
#else
#define ovs_skb_frags_readable(skb) true
#endif

#ifdef HAVE_SKB_ETH_PUSH
#define ovs_skb_eth_push(skb, dst, src) skb_eth_push(skb, dst, src)
#define ovs_skb_eth_pop(skb) skb_eth_pop(skb)
#else
/* Puts an Ethernet header before a packet that starts with its network header (spec A14). */
static inline int ovs_skb_eth_push(struct sk_buff *skb, const u8 *dst, const u8 *src)
{
	struct ethhdr *eth;

	if (skb_network_offset(skb) || skb_vlan_tag_present(skb))
		return -EPROTO;
	if (skb_cow_head(skb, sizeof(*eth)))
		return -ENOMEM;
	eth = skb_push(skb, sizeof(*eth));
	memcpy(eth->h_dest, dst, ETH_ALEN);
	memcpy(eth->h_source, src, ETH_ALEN);
	eth->h_proto = skb->protocol;
	skb_postpush_rcsum(skb, eth, sizeof(*eth));
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
	return 0;
}

/* Takes the Ethernet header away (spec A15). */
static inline int ovs_skb_eth_pop(struct sk_buff *skb)
{
	if (skb_vlan_tag_present(skb) || skb_network_offset(skb) < ETH_HLEN ||
	    !pskb_may_pull(skb, ETH_HLEN))
		return -EPROTO;
	skb_pull_rcsum(skb, ETH_HLEN);
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
	return 0;
}
#endif

#ifdef HAVE_SKB_MPLS_PUSH
#define ovs_skb_mpls_push(skb, entry, type, l2_len) \
	skb_mpls_push(skb, entry, type, l2_len, (l2_len) != 0)
#define ovs_skb_mpls_pop(skb, type, l2_len, ethernet) skb_mpls_pop(skb, type, l2_len, ethernet)
#else
/*
 * Gives the frame the type, if its header before the network header has one. A sum over all bytes
 * is told.
 */
static inline void ovs_skb_set_type(struct sk_buff *skb, __be16 type, int l2_len, bool ethernet)
{
	__be16 *field = (__be16 *)(skb->data + l2_len) - 1;

	if (ethernet && l2_len >= ETH_HLEN) {
		skb_postpull_rcsum(skb, field, sizeof(*field));
		*field = type;
		skb_postpush_rcsum(skb, field, sizeof(*field));
	}
	skb->protocol = type;
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, l2_len);
	skb_reset_mac_len(skb);
}

/* Puts a label after the first l2_len bytes (spec A9). */
static inline int ovs_skb_mpls_push(struct sk_buff *skb, __be32 entry, __be16 type, int l2_len)
{
	if (skb->encapsulation)
		return -EINVAL;
	if (skb_cow_head(skb, sizeof(entry)))
		return -ENOMEM;
	if (!skb->inner_protocol) {
		skb_set_inner_network_header(skb, skb_network_offset(skb));
		skb_set_inner_protocol(skb, skb->protocol);
	}
	skb_push(skb, sizeof(entry));
	memmove(skb->data, skb->data + sizeof(entry), l2_len);
	memcpy(skb->data + l2_len, &entry, sizeof(entry));
	skb_postpush_rcsum(skb, skb->data + l2_len, sizeof(entry));
	ovs_skb_set_type(skb, type, l2_len, true);
	return 0;
}

/* Takes the label after the first l2_len bytes away. */
static inline int ovs_skb_mpls_pop(struct sk_buff *skb, __be16 type, int l2_len, bool ethernet)
{
	int err = skb_ensure_writable(skb, l2_len + sizeof(__be32));

	if (err)
		return err;
	skb_postpull_rcsum(skb, skb->data + l2_len, sizeof(__be32));
	memmove(skb->data + sizeof(__be32), skb->data, l2_len);
	__skb_pull(skb, sizeof(__be32));
	ovs_skb_set_type(skb, type, l2_len, ethernet);
	if (!eth_p_mpls(type))
		skb->inner_protocol = 0;
	return 0;
}
#endif

/* ---- devices ---- */

/* A device that locks its own transmission. */
static inline void ovs_netdev_set_lltx(struct net_device *dev)
{
#ifdef HAVE_NETDEV_LLTX
	dev->lltx = true;
#else
	dev->features |= NETIF_F_LLTX;
#endif
}

/* A device that cannot leave its namespace (spec W12). */
static inline void ovs_netdev_set_immovable(struct net_device *dev)
{
#if defined(HAVE_NETDEV_NETNS_IMMUTABLE)
	dev->netns_immutable = true;
#elif defined(HAVE_NETDEV_NETNS_LOCAL)
	dev->netns_local = true;
#else
	dev->features |= NETIF_F_NETNS_LOCAL;
#endif
}

/* A number of a device's statistics. */
#ifdef HAVE_SW_NETSTATS_U64_STATS
#define ovs_stat_add(stat, n) u64_stats_add(stat, n)
#define ovs_stat_read(stat) u64_stats_read(stat)
#else
#define ovs_stat_add(stat, n) (*(stat) += (n))
#define ovs_stat_read(stat) (*(stat))
#endif

/* Counts a packet that the device has received; with BH disabled. */
#ifdef HAVE_DEV_SW_NETSTATS_RX_ADD
#define ovs_dev_count_rx(dev, len) dev_sw_netstats_rx_add(dev, len)
#else
static inline void ovs_dev_count_rx(struct net_device *dev, unsigned int len)
{
	struct pcpu_sw_netstats *stats = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&stats->syncp);
	ovs_stat_add(&stats->rx_bytes, len);
	ovs_stat_add(&stats->rx_packets, 1);
	u64_stats_update_end(&stats->syncp);
}
#endif

/* Counts a packet that the device has sent; with BH disabled. */
#ifdef HAVE_DEV_SW_NETSTATS_TX_ADD
#define ovs_dev_count_tx(dev, len) dev_sw_netstats_tx_add(dev, 1, len)
#else
static inline void ovs_dev_count_tx(struct net_device *dev, unsigned int len)
{
	struct pcpu_sw_netstats *stats = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&stats->syncp);
	ovs_stat_add(&stats->tx_bytes, len);
	ovs_stat_add(&stats->tx_packets, 1);
	u64_stats_update_end(&stats->syncp);
}
#endif

/* Adds what a device with tstats has counted on all CPUs. */
#ifdef HAVE_DEV_FETCH_SW_NETSTATS
#define ovs_dev_fetch_sw_netstats(sum, tstats) dev_fetch_sw_netstats(sum, tstats)
#else
static inline void ovs_dev_fetch_sw_netstats(struct rtnl_link_stats64 *sum,
					     struct pcpu_sw_netstats __percpu *tstats)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct pcpu_sw_netstats *stats = per_cpu_ptr(tstats, cpu);
		struct rtnl_link_stats64 now;
		unsigned int start;

		do {
			start = u64_stats_fetch_begin(&stats->syncp);
			now.rx_packets = ovs_stat_read(&stats->rx_packets);
			now.rx_bytes = ovs_stat_read(&stats->rx_bytes);
			now.tx_packets = ovs_stat_read(&stats->tx_packets);
			now.tx_bytes = ovs_stat_read(&stats->tx_bytes);
		} while (u64_stats_fetch_retry(&stats->syncp, start));
		sum->rx_packets += now.rx_packets;
		sum->rx_bytes += now.rx_bytes;
		sum->tx_packets += now.tx_packets;
		sum->tx_bytes += now.tx_bytes;
	}
}
#endif

/* ndo_get_stats64 of a device with tstats. */
#ifdef HAVE_DEV_GET_TSTATS64
#define ovs_dev_get_tstats64 dev_get_tstats64
#else
static inline void ovs_dev_get_tstats64(struct net_device *dev, struct rtnl_link_stats64 *sum)
{
	netdev_stats_to_stats64(sum, &dev->stats);
	ovs_dev_fetch_sw_netstats(sum, dev->tstats);
}
#endif

/* A flag of a struct ip_tunnel_key: bits of a big-endian number, or of a bitmap. */
#ifdef HAVE_TUNNEL_FLAGS_BITMAP
#define OVS_TUNNEL_FLAG(key, name) test_bit(IP_TUNNEL_##name##_BIT, (key)->tun_flags)
#define OVS_TUNNEL_SET_FLAG(key, name) __set_bit(IP_TUNNEL_##name##_BIT, (key)->tun_flags)
#else
#define OVS_TUNNEL_FLAG(key, name) ((key)->tun_flags & TUNNEL_##name)
#define OVS_TUNNEL_SET_FLAG(key, name) ((key)->tun_flags |= TUNNEL_##name)
#endif

#ifdef HAVE_DEV_CHANGE_FLAGS_EXTACK
#define ovs_dev_change_flags(dev, flags) dev_change_flags(dev, flags, NULL)
#else
#define ovs_dev_change_flags(dev, flags) dev_change_flags(dev, flags)
#endif

/* ---- routes ---- */

/* A route that nobody counts. */
#ifdef HAVE_DST_INIT_REF
#define ovs_dst_init(dst, ops) dst_init(dst, ops, NULL, 1, DST_OBSOLETE_NONE, DST_NOCOUNT)
#else
#define ovs_dst_init(dst, ops) dst_init(dst, ops, NULL, DST_OBSOLETE_NONE, DST_NOCOUNT)
#endif

/*
 * The packet's route with its reference, which the caller owns now. A route may be set only where
 * there is none.
 */
static inline unsigned long ovs_skb_dst_take(struct sk_buff *skb)
{
	unsigned long refdst = skb->_skb_refdst;

	skb->_skb_refdst = 0;
	return refdst;
}

/*
 * Consumes an IPv6 packet and calls output for each of its fragments. IPv6 may be a module: then it
 * is reached through a table, one or the other, that it fills when it comes. In a read section.
 */
#if defined(HAVE_IPV6_STUB_FRAGMENT)
#define ovs_ip6_fragment(net, skb, output) ipv6_stub->ipv6_fragment(net, (skb)->sk, skb, output)
#elif defined(HAVE_NF_IPV6_OPS_FRAGMENT)
static inline void ovs_ip6_fragment(struct net *net, struct sk_buff *skb,
				    int (*output)(struct net *, struct sock *, struct sk_buff *))
{
	const struct nf_ipv6_ops *ops = nf_get_ipv6_ops();

	if (ops)
		ops->fragment(net, skb->sk, skb, output);
	else
		kfree_skb(skb);
}
#else
#define ovs_ip6_fragment(net, skb, output) ip6_fragment(net, (skb)->sk, skb, output)
#endif

/*
 * Forgets the security path of a packet that goes up to the stack (spec W15). The kernels' own
 * module keeps it about as long as they warn of a dst that is set over another; no header says it
 * itself.
 */
#ifdef HAVE_SKB_DST_CHECK_UNSET
#define ovs_secpath_reset(skb) do { } while (0)
#else
#define ovs_secpath_reset(skb) secpath_reset(skb)
#endif

/*
 * A template's timeout policy, where the kernel can give it one (spec S2). Elsewhere TIMEOUT is an
 * unknown attribute (spec C5).
 */
#if defined(HAVE_CT_SET_TIMEOUT) && IS_ENABLED(CONFIG_NF_CONNTRACK_TIMEOUT)
#define OVS_CT_TIMEOUTS 1
#else
#define OVS_CT_TIMEOUTS 0
#endif

#if IS_ENABLED(CONFIG_NF_CONNTRACK)
#include <linux/kmod.h>
#include <linux/netfilter.h>
#include <net/ipv6_frag.h>
#include <net/netfilter/ipv6/nf_defrag_ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_count.h>
#include <net/netfilter/nf_conntrack_ecache.h>
#include <net/netfilter/nf_conntrack_expect.h>
#include <net/netfilter/nf_conntrack_helper.h>
#include <net/netfilter/nf_conntrack_labels.h>
#include <net/netfilter/nf_conntrack_seqadj.h>
#include <net/netfilter/nf_conntrack_timeout.h>
#include <net/netfilter/nf_conntrack_zones.h>
#ifdef HAVE_CT_ACT_EXT
#include <net/netfilter/nf_conntrack_act_ct.h>
#endif
#if IS_ENABLED(CONFIG_NF_NAT)
#include <net/netfilter/nf_nat.h>
#ifndef HAVE_NAT_IN_ONE
#include <net/netfilter/nf_nat_core.h>
#include <net/netfilter/nf_nat_l3proto.h>
#endif
#endif

/* Declared whatever the configuration, exported only with it (spec C19). */
#if defined(HAVE_NF_CT_OVS) && IS_ENABLED(CONFIG_NF_CONNTRACK_OVS)
#define OVS_NF_CT_OVS
#endif
#if defined(HAVE_NF_CT_NAT_OVS) && IS_ENABLED(CONFIG_NF_NAT_OVS)
#define OVS_NF_NAT_OVS
#endif

/* More than one holds a reference. A reference, unless the last one is gone. */
#ifdef HAVE_CT_USE_REFCOUNT
#define ovs_ct_shared(ct) (refcount_read(&(ct)->ct_general.use) > 1)
#define ovs_ct_try_get(ct) refcount_inc_not_zero(&(ct)->ct_general.use)
#else
#define ovs_ct_shared(ct) (atomic_read(&(ct)->ct_general.use) > 1)
#define ovs_ct_try_get(ct) atomic_inc_not_zero(&(ct)->ct_general.use)
#endif

/* What a helper is for. */
#ifdef HAVE_CT_HELPER_NFPROTO
#define ovs_helper_l3num(helper) ((helper)->nfproto)
#define ovs_helper_protonum(helper) ((helper)->l4proto)
#else
#define ovs_helper_l3num(helper) ((helper)->tuple.src.l3num)
#define ovs_helper_protonum(helper) ((helper)->tuple.dst.protonum)
#endif

/* The tuple of the other direction. */
#ifdef HAVE_CT_INVERT_TUPLE
#define ovs_ct_invert_tuple(inverse, tuple) nf_ct_invert_tuple(inverse, tuple)
#else
#define ovs_ct_invert_tuple(inverse, tuple) nf_ct_invert_tuplepr(inverse, tuple)
#endif

/* Tracks a packet as the hook of this number would. */
static inline unsigned int ovs_conntrack_in(struct net *net, u8 pf, unsigned int hook,
					    struct sk_buff *skb)
{
#ifdef HAVE_CT_IN_STATE
	const struct nf_hook_state state = { .hook = hook, .pf = pf, .net = net };

	return nf_conntrack_in(skb, &state);
#else
	return nf_conntrack_in(net, pf, hook, skb);
#endif
}

/* Where OVS_CT_TIMEOUTS is 0 nobody comes here. */
#ifdef HAVE_CT_SET_TIMEOUT
#define ovs_ct_set_timeout(net, ct, l3num, proto, name) \
	nf_ct_set_timeout(net, ct, l3num, proto, name)
#define ovs_ct_destroy_timeout(ct) nf_ct_destroy_timeout(ct)
#else
static inline int ovs_ct_set_timeout(struct net *net, struct nf_conn *ct, u8 l3num, u8 proto,
				     const char *name)
{
	return -EOPNOTSUPP;
}

static inline void ovs_ct_destroy_timeout(struct nf_conn *ct)
{
}
#endif

/*
 * The NAT half of a helper, held until it is put. Where it cannot be held it is loaded all the
 * same, and missing it is no error: whoever unloads it has the helper work without. The kernel's
 * own way to add helpers holds it by itself.
 */
#ifdef HAVE_NAT_HELPER_GET
#define ovs_nat_helper_get(name, l3num, proto) nf_nat_helper_try_module_get(name, l3num, proto)
#else
static inline int ovs_nat_helper_get(const char *name, u16 l3num, u8 proto)
{
	request_module("ip_nat_%s", name);
	return 0;
}
#endif
#if defined(HAVE_NAT_HELPER_GET) || defined(OVS_NF_CT_OVS)
#define ovs_nat_helper_put(helper) nf_nat_helper_put(helper)
#else
#define ovs_nat_helper_put(helper) do { } while (0)
#endif

/*
 * NAT of each family may be a module of its own. A kernel without one of them cannot even be asked
 * to map such a connection: it would follow a NULL pointer.
 */
#if defined(HAVE_NAT_IN_ONE)
#define ovs_nat_has_family(family) true
#else
#define ovs_nat_has_family(family) \
	((family) == NFPROTO_IPV6 ? IS_ENABLED(CONFIG_NF_NAT_IPV6) : IS_ENABLED(CONFIG_NF_NAT_IPV4))
#endif
#if defined(HAVE_NAT_IN_ONE) || IS_ENABLED(CONFIG_NF_NAT_IPV4)
#define ovs_nat_icmp_reply(skb, ct, ctinfo, hook) \
	nf_nat_icmp_reply_translation(skb, ct, ctinfo, hook)
#else
#define ovs_nat_icmp_reply(skb, ct, ctinfo, hook) 0
#endif
#if defined(HAVE_NAT_IN_ONE) || IS_ENABLED(CONFIG_NF_NAT_IPV6)
#define ovs_nat_icmpv6_reply(skb, ct, ctinfo, hook, len) \
	nf_nat_icmpv6_reply_translation(skb, ct, ctinfo, hook, len)
#else
#define ovs_nat_icmpv6_reply(skb, ct, ctinfo, hook, len) 0
#endif
#endif /* CONFIG_NF_CONNTRACK */

/* ---- works ---- */

#ifdef HAVE_SYSTEM_PERCPU_WQ
#define ovs_wq system_percpu_wq
#else
#define ovs_wq system_wq
#endif

#endif
