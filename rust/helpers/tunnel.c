// SPDX-License-Identifier: GPL-2.0
/* Tunnel metadata: what net/dst_metadata.h and net/ip_tunnels.h offer as inline functions. */
#include <linux/skbuff.h>
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

/* The tunnel that skb was received through; false if there is none. What it would be sent through does not count. */
bool rust_helper_skb_rx_tunnel(const struct sk_buff *skb, struct ovs_tunnel *t)
{
	struct ip_tunnel_info *info = skb_tunnel_info((struct sk_buff *)skb);
	const struct ip_tunnel_key *key;

	if (!info || info->mode & IP_TUNNEL_INFO_TX)
		return false;
	key = &info->key;
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
	return true;
}
#else
bool rust_helper_skb_rx_tunnel(const struct sk_buff *skb, struct ovs_tunnel *t)
{
	return false;
}
#endif
