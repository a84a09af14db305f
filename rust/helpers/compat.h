/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels this module builds for lives in this file. It asks features.h, which
 * tools/feature-test.sh makes from features.list by trying the target's headers, and never LINUX_VERSION_CODE:
 * stable series change interfaces midway.
 */
#ifndef OVS_COMPAT_H
#define OVS_COMPAT_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#if __has_include(<net/gso.h>)
#include <net/gso.h>
#endif
#include "features.h"

/* The subsystem of our drop reasons; without subsystems drops have no reason at all (spec X1). */
#ifdef HAVE_DROP_REASON_SUBSYS
#define OVS_DROP(i) ((SKB_DROP_REASON_SUBSYS_OPENVSWITCH << SKB_DROP_REASON_SUBSYS_SHIFT) | (i))
#endif

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

/* A route that nobody counts. */
#ifdef HAVE_DST_INIT_REF
#define ovs_dst_init(dst, ops) dst_init(dst, ops, NULL, 1, DST_OBSOLETE_NONE, DST_NOCOUNT)
#else
#define ovs_dst_init(dst, ops) dst_init(dst, ops, NULL, DST_OBSOLETE_NONE, DST_NOCOUNT)
#endif

#ifdef HAVE_IPV6_STUB_FRAGMENT
#define ovs_ip6_fragment(net, skb, output) ipv6_stub->ipv6_fragment(net, (skb)->sk, skb, output)
#else
#define ovs_ip6_fragment(net, skb, output) ip6_fragment(net, (skb)->sk, skb, output)
#endif

#ifdef HAVE_SYSTEM_PERCPU_WQ
#define ovs_wq system_percpu_wq
#else
#define ovs_wq system_wq
#endif

#endif
