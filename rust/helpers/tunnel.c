// SPDX-License-Identifier: GPL-2.0
/* Tunnel metadata: what net/dst_metadata.h and net/ip_tunnels.h offer as inline functions. */
#include <linux/skbuff.h>
#include <net/dst_cache.h>
#include <net/dst_metadata.h>
#include <net/ip_tunnels.h>
#include "helpers.h"

#ifdef CONFIG_INET
static u16 tunnel_flags(const struct ip_tunnel_key *key)
{
	return (OVS_TUNNEL_FLAG(key, KEY) ? OVS_TUN_KEY : 0) |
	       (OVS_TUNNEL_FLAG(key, DONT_FRAGMENT) ? OVS_TUN_DONT_FRAGMENT : 0) |
	       (OVS_TUNNEL_FLAG(key, CSUM) ? OVS_TUN_CSUM : 0) |
	       (OVS_TUNNEL_FLAG(key, OAM) ? OVS_TUN_OAM : 0) |
	       (OVS_TUNNEL_FLAG(key, GENEVE_OPT) ? OVS_TUN_GENEVE_OPT : 0) |
	       (OVS_TUNNEL_FLAG(key, VXLAN_OPT) ? OVS_TUN_VXLAN_OPT : 0) |
	       (OVS_TUNNEL_FLAG(key, ERSPAN_OPT) ? OVS_TUN_ERSPAN_OPT : 0);
}

static void tunnel_from_info(struct ovs_tunnel *t, struct ip_tunnel_info *info)
{
	const struct ip_tunnel_key *key = &info->key;

	t->id = key->tun_id;
	t->ipv6 = info->mode & IP_TUNNEL_INFO_IPV6;
	if (t->ipv6) {
		memcpy(t->src, &key->u.ipv6.src, sizeof(t->src));
		memcpy(t->dst, &key->u.ipv6.dst, sizeof(t->dst));
	} else {
		memset(t->src, 0, sizeof(t->src));
		memset(t->dst, 0, sizeof(t->dst));
		memcpy(t->src, &key->u.ipv4.src, sizeof(key->u.ipv4.src));
		memcpy(t->dst, &key->u.ipv4.dst, sizeof(key->u.ipv4.dst));
	}
	t->tp_src = key->tp_src;
	t->tp_dst = key->tp_dst;
	t->flags = tunnel_flags(key);
	t->tos = key->tos;
	t->ttl = key->ttl;
	t->options_len = info->options_len;
	t->options = ip_tunnel_info_opts(info);
}

/*
 * The tunnel that skb came through, or that someone before us attached to it; false if there is
 * none (spec K17).
 */
bool rust_helper_skb_rx_tunnel(const struct sk_buff *skb, struct ovs_tunnel *t)
{
	struct ip_tunnel_info *info = skb_tunnel_info((struct sk_buff *)skb);

	if (!info)
		return false;
	tunnel_from_info(t, info);
	return true;
}

/*
 * What dev would send skb through, as set before and completed by the device; false if it cannot
 * say (spec A33).
 */
bool rust_helper_skb_egress_tunnel(struct sk_buff *skb, struct net_device *dev,
				   struct ovs_tunnel *t)
{
	struct ip_tunnel_info *info;

	if (dev_fill_metadata_dst(dev, skb))
		return false;
	info = skb_tunnel_info(skb);
	if (!info)
		return false;
	tunnel_from_info(t, info);
	return true;
}

static void tunnel_set_flags(struct ip_tunnel_key *key, u16 flags)
{
	if (flags & OVS_TUN_KEY)
		OVS_TUNNEL_SET_FLAG(key, KEY);
	if (flags & OVS_TUN_DONT_FRAGMENT)
		OVS_TUNNEL_SET_FLAG(key, DONT_FRAGMENT);
	if (flags & OVS_TUN_CSUM)
		OVS_TUNNEL_SET_FLAG(key, CSUM);
	if (flags & OVS_TUN_OAM)
		OVS_TUNNEL_SET_FLAG(key, OAM);
	if (flags & OVS_TUN_GENEVE_OPT)
		OVS_TUNNEL_SET_FLAG(key, GENEVE_OPT);
	if (flags & OVS_TUN_VXLAN_OPT)
		OVS_TUNNEL_SET_FLAG(key, VXLAN_OPT);
	if (flags & OVS_TUN_ERSPAN_OPT)
		OVS_TUNNEL_SET_FLAG(key, ERSPAN_OPT);
	if (flags & OVS_TUN_CRIT_OPT)
		OVS_TUNNEL_SET_FLAG(key, CRIT_OPT);
}

/*
 * Metadata to send packets with, its route cache included, with one reference (spec A26); NULL if
 * there is no memory. To IPv4 address 0: the tunnel device knows where.
 */
void *rust_helper_tx_tunnel_alloc(const struct ovs_tunnel *t)
{
	struct metadata_dst *md =
		metadata_dst_alloc(t->options_len, METADATA_IP_TUNNEL, GFP_KERNEL);
	struct ip_tunnel_info *info;
	void *options;

	if (!md)
		return NULL;
	info = &md->u.tun_info;
#ifdef CONFIG_DST_CACHE
	if (dst_cache_init(&info->dst_cache, GFP_KERNEL)) {
		dst_release(&md->dst);
		return NULL;
	}
#endif
	info->mode = IP_TUNNEL_INFO_TX;
	info->key.tun_id = t->id;
	if (t->ipv6) {
		info->mode |= IP_TUNNEL_INFO_IPV6;
		memcpy(&info->key.u.ipv6.src, t->src, sizeof(t->src));
		memcpy(&info->key.u.ipv6.dst, t->dst, sizeof(t->dst));
	} else {
		memcpy(&info->key.u.ipv4.src, t->src, sizeof(info->key.u.ipv4.src));
		memcpy(&info->key.u.ipv4.dst, t->dst, sizeof(info->key.u.ipv4.dst));
		if (!info->key.u.ipv4.dst)
			info->mode |= IP_TUNNEL_INFO_BRIDGE;
	}
	info->key.tp_src = t->tp_src;
	info->key.tp_dst = t->tp_dst;
	info->key.tos = t->tos;
	info->key.ttl = t->ttl;
	tunnel_set_flags(&info->key, t->flags);
	info->options_len = t->options_len;
	/*
	 * They come after the structure, in the room that was asked for; the compiler need not
	 * guess how much that is.
	 */
	options = ip_tunnel_info_opts(info);
	OPTIMIZER_HIDE_VAR(options);
	memcpy(options, t->options, t->options_len);
	return md;
}

void rust_helper_tx_tunnel_put(void *tunnel)
{
	dst_release(&((struct metadata_dst *)tunnel)->dst);
}

/* Packets have a reference of their own. */
void rust_helper_skb_set_tunnel(struct sk_buff *skb, void *tunnel)
{
	struct dst_entry *dst = &((struct metadata_dst *)tunnel)->dst;

	skb_dst_drop(skb);
	dst_hold(dst);
	skb_dst_set(skb, dst);
}
#else
bool rust_helper_skb_rx_tunnel(const struct sk_buff *skb, struct ovs_tunnel *t)
{
	return false;
}

bool rust_helper_skb_egress_tunnel(struct sk_buff *skb, struct net_device *dev,
				   struct ovs_tunnel *t)
{
	return false;
}

void *rust_helper_tx_tunnel_alloc(const struct ovs_tunnel *t)
{
	return NULL;
}

void rust_helper_tx_tunnel_put(void *tunnel)
{
}

void rust_helper_skb_set_tunnel(struct sk_buff *skb, void *tunnel)
{
}
#endif
