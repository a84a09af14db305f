/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads: the kernel's headers that rust/ and kmod/ need, our helpers, and what
 * the two halves of kmod/ want.
 */
#include <linux/compiler.h>
#ifndef asm_volatile_goto /* kernels that define it for gcc alone */
#define asm_volatile_goto(x...) asm goto(x)
#endif
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/net_namespace.h>
#ifdef OVS_KUNIT
#include <kunit/test.h>
#endif
#include "helpers.h"
#include "../../kmod/tables.h"

/* bindgen cannot evaluate casts in macros: these become constants of the name after the prefix. */
static const gfp_t RUST_CONST_HELPER_GFP_KERNEL = GFP_KERNEL;
static const gfp_t RUST_CONST_HELPER_GFP_ATOMIC = GFP_ATOMIC;
static const gfp_t RUST_CONST_HELPER___GFP_ZERO = __GFP_ZERO;

/*
 * Fields inside anonymous unions of sk_buff: bindgen numbers those by the kernel's configuration.
 * The bitfields among them have no offset in C; they are reached through the type of the group that
 * they are in.
 */
#ifdef HAVE_SKB_HEADERS
typedef typeof(((struct sk_buff *)NULL)->headers) ovs_skb_headers;
#define OVS_SKB_HEADERS offsetof(struct sk_buff, headers)
#else
typedef struct sk_buff ovs_skb_headers;
#define OVS_SKB_HEADERS 0
#endif

enum ovs_skb_offset {
	SKB_OFFSET_headers = OVS_SKB_HEADERS,
	SKB_OFFSET_next = offsetof(struct sk_buff, next),
	SKB_OFFSET_dev = offsetof(struct sk_buff, dev),
	SKB_OFFSET_csum = offsetof(struct sk_buff, csum),
	SKB_OFFSET_mark = offsetof(struct sk_buff, mark),
	SKB_OFFSET_vlan_proto = offsetof(struct sk_buff, vlan_proto),
	SKB_OFFSET_vlan_tci = offsetof(struct sk_buff, vlan_tci),
	SKB_OFFSET__skb_refdst = offsetof(struct sk_buff, _skb_refdst),
	/* Without connection tracking, the route's again. */
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	SKB_OFFSET__nfct = offsetof(struct sk_buff, _nfct),
#else
	SKB_OFFSET__nfct = offsetof(struct sk_buff, _skb_refdst),
#endif
#ifdef HAVE_TC_SKB_EXT
	SKB_OFFSET_active_extensions = offsetof(struct sk_buff, active_extensions),
#endif
	SKB_OFFSET_inner_network_header = offsetof(struct sk_buff, inner_network_header),
	SKB_OFFSET_inner_protocol = offsetof(struct sk_buff, inner_protocol),
};

enum ovs_netlink_callback_offset {
	NETLINK_CALLBACK_OFFSET_args = offsetof(struct netlink_callback, args),
};

enum ovs_core_drop {
#ifdef HAVE_DROP_REASON_SUBSYS
	DROP_SUBSYS = OVS_DROP(0),
	DROP_NOMEM = SKB_DROP_REASON_NOMEM,
	DROP_PKT_TOO_BIG = SKB_DROP_REASON_PKT_TOO_BIG,
	DROP_DEV_READY = SKB_DROP_REASON_DEV_READY,
	DROP_NOT_SPECIFIED = SKB_DROP_REASON_NOT_SPECIFIED,
#else
	DROP_SUBSYS,
	DROP_NOMEM,
	DROP_PKT_TOO_BIG,
	DROP_DEV_READY,
	DROP_NOT_SPECIFIED,
#endif
};

enum ovs_ct_has {
	CT_HAS_TRACKING = IS_ENABLED(CONFIG_NF_CONNTRACK),
	CT_HAS_ZONES = IS_ENABLED(CONFIG_NF_CONNTRACK_ZONES),
	CT_HAS_MARKS = IS_ENABLED(CONFIG_NF_CONNTRACK_MARK),
	CT_HAS_LABELS = IS_ENABLED(CONFIG_NF_CONNTRACK_LABELS),
	CT_HAS_NAT = IS_ENABLED(CONFIG_NF_NAT),
	CT_HAS_TIMEOUTS = OVS_CT_TIMEOUTS,
	CT_HAS_LIMITS = IS_ENABLED(CONFIG_NETFILTER_CONNCOUNT),
};

enum ovs_tc {
#ifdef HAVE_TC_SKB_EXT
	TC_TELLS = 1,
	TC_EXTENSION = 1 << TC_SKB_EXT, /* of active_extensions */
#else
	TC_TELLS = 0,
#endif
};

enum ovs_psample {
#ifdef HAVE_PSAMPLE_PROBABILITY
	PSAMPLE_KNOWN = 1,
#else
	PSAMPLE_KNOWN = 0,
#endif
	PSAMPLE_ENABLED = IS_ENABLED(CONFIG_PSAMPLE),
};

enum ovs_ct_info {
	CT_INFO_ESTABLISHED = IP_CT_ESTABLISHED,
	CT_INFO_RELATED = IP_CT_RELATED,
	CT_INFO_NEW = IP_CT_NEW,
	CT_INFO_ESTABLISHED_REPLY = IP_CT_ESTABLISHED_REPLY,
	CT_INFO_RELATED_REPLY = IP_CT_RELATED_REPLY,
};

enum ovs_nat_range {
	NAT_RANGE_MAP_IPS = NF_NAT_RANGE_MAP_IPS,
	NAT_RANGE_PROTO_SPECIFIED = NF_NAT_RANGE_PROTO_SPECIFIED,
	NAT_RANGE_PROTO_RANDOM = NF_NAT_RANGE_PROTO_RANDOM,
	NAT_RANGE_PERSISTENT = NF_NAT_RANGE_PERSISTENT,
	NAT_RANGE_PROTO_RANDOM_FULLY = NF_NAT_RANGE_PROTO_RANDOM_FULLY,
};

enum ovs_link_state {
	LINK_STATE_START = __LINK_STATE_START,
	LINK_STATE_NOCARRIER = __LINK_STATE_NOCARRIER,
};

enum ovs_vlan {
	VLAN_PRESENT_BIT = OVS_VLAN_TAG_PRESENT,
};

enum ovs_gso {
	GSO_UDP = SKB_GSO_UDP,
	GSO_CB_OFFSET = OVS_GSO_CB_OFFSET,
};
