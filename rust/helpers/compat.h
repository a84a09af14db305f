/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between the kernels this module builds for lives in this file. It asks features.h, which
 * tools/feature-test.sh makes from features.list by trying the target's headers, and never LINUX_VERSION_CODE:
 * stable series change interfaces midway.
 */
#ifndef OVS_COMPAT_H
#define OVS_COMPAT_H

#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/ip6_route.h>
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

/* ---- RCU ---- */

/*
 * Kernels that wait for BH-disabled sections and for rcu_read_lock() apart. There call_rcu() waits for both only where no
 * read section can be preempted, as it is call_rcu_sched() then; with preemption it would free what a BhGuard still reads.
 */
#if defined(HAVE_RCU_FLAVOURS) && defined(CONFIG_PREEMPT_RCU)
#error "CONFIG_PREEMPT on a kernel whose call_rcu() does not wait for BH-disabled sections: use PREEMPT_VOLUNTARY or PREEMPT_NONE"
#endif

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

/* The packet's route with its reference, which the caller owns now. A route may be set only where there is none. */
static inline unsigned long ovs_skb_dst_take(struct sk_buff *skb)
{
	unsigned long refdst = skb->_skb_refdst;

	skb->_skb_refdst = 0;
	return refdst;
}

/* IPv6 fragmentation, which is in a module where there is a stub for it. */
#ifdef HAVE_IPV6_STUB_FRAGMENT
#define ovs_ip6_fragment(net, skb, output) ipv6_stub->ipv6_fragment(net, (skb)->sk, skb, output)
#else
#define ovs_ip6_fragment(net, skb, output) ip6_fragment(net, (skb)->sk, skb, output)
#endif

/*
 * Forgets the security path of a packet that goes up to the stack (spec W15). The kernels' own module keeps it about as long as
 * they warn of a dst that is set over another; no header says it itself.
 */
#ifdef HAVE_SKB_DST_CHECK_UNSET
#define ovs_secpath_reset(skb) do { } while (0)
#else
#define ovs_secpath_reset(skb) secpath_reset(skb)
#endif

#ifdef HAVE_SYSTEM_PERCPU_WQ
#define ovs_wq system_percpu_wq
#else
#define ovs_wq system_wq
#endif

#endif
