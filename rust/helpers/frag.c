// SPDX-License-Identifier: GPL-2.0
/*
 * Cutting an L3 packet inside a frame into IP fragments, each in a frame of its own (spec A30).
 *
 * The stack's own functions do the cutting. They take the device and its MTU from the packet's
 * route, so the packet gets one for the time being, which lies on this stack and knows what every
 * fragment needs to become a frame again. It is a whole rtable or rt6_info, because that is what
 * they cast it to (CVE-2021-46955). Its MTU is the one that was checked: the device's may become
 * smaller at any time, and then kernels without a check of their own would cut for ever.
 */
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/net.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/dst.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ipv6.h>
#include <net/route.h>
#include "helpers.h"

struct ovs_frag_route {
	union {
		struct dst_entry dst;
		struct rtable v4;
		struct rt6_info v6;
	};
	struct net_device *dev;
	unsigned int mtu;
	u32 metrics[RTAX_MAX];
	unsigned long real_dst;
	u16 vlan_tci;
	__be16 vlan_proto;
	bool tagged;
	bool internal;
	bool payload;
	bool mpls;
	u8 label; /* where the first label is */
	__be16 inner_protocol;
	u8 l2_len;
	u8 l2[OVS_FRAG_L2_MAX];
};

static unsigned int ovs_frag_mtu(const struct dst_entry *dst)
{
	return container_of(dst, struct ovs_frag_route, dst)->mtu;
}

static struct dst_ops ovs_frag_dst_ops = {
	.family = AF_UNSPEC,
	.mtu = ovs_frag_mtu,
};

/*
 * IPv6 fragments may be longer than the device takes, and a frame that is payload counts with its
 * header (spec A31): counted, and logged.
 */
static bool ovs_frag_over_mtu(const struct sk_buff *skb, struct net_device *dev)
{
	unsigned int l2_len = dev->hard_header_len;
	unsigned int mtu = READ_ONCE(dev->mtu);

	if (!skb_vlan_tag_present(skb) && eth_type_vlan(skb->protocol))
		l2_len += VLAN_HLEN;
	if (skb->len <= l2_len || skb->len - l2_len <= mtu)
		return false;
	rust_helper_dev_count_tx_error(dev);
	net_warn_ratelimited("openvswitch: %s: dropped over-mtu packet: %u > %u\n", dev->name,
			     skb->len - l2_len, mtu);
	return true;
}

/* One fragment, its data at the L3 header: a frame again, and out. */
static int ovs_frag_output(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	const struct ovs_frag_route *r = container_of(skb_dst(skb), struct ovs_frag_route, dst);

	if (skb_cow_head(skb, r->l2_len)) {
		kfree_skb(skb);
		return -ENOMEM;
	}
	ovs_skb_dst_take(skb);
	__skb_dst_copy(skb, r->real_dst);
	if (r->tagged)
		__vlan_hwaccel_put_tag(skb, r->vlan_proto, r->vlan_tci);
	else
		ovs_vlan_clear_tag(skb);
	memcpy(skb_push(skb, r->l2_len), r->l2, r->l2_len);
	skb_postpush_rcsum(skb, skb->data, r->l2_len);
	skb_reset_mac_header(skb);
	if (r->mpls) {
		skb->inner_protocol = r->inner_protocol;
		skb_set_inner_network_header(skb, r->l2_len);
		skb_set_network_header(skb, r->label);
	}
	if (r->payload) {
		skb_reset_network_header(skb);
		skb->protocol = htons(ETH_P_TEB);
	}
	skb_reset_mac_len(skb);
	if (ovs_frag_over_mtu(skb, r->dev)) {
		kfree_skb(skb);
		return 0;
	}
	if (r->internal)
		rust_helper_dev_receive(skb, r->dev);
	else
		rust_helper_dev_xmit(skb, r->dev);
	return 0;
}

/*
 * The packet gets the route for the time being, and the control block becomes the IP layer's. Both
 * end with the packet.
 */
static void ovs_frag_v4(struct net *net, struct sk_buff *skb, struct ovs_frag_route *r, u16 mru)
{
	r->mtu = mru;
	r->metrics[RTAX_MTU - 1] = mru;
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	IPCB(skb)->frag_max_size = mru;
	skb_dst_set_noref(skb, &r->dst);
	ip_do_fragment(net, skb->sk, skb, ovs_frag_output);
}

#if IS_ENABLED(CONFIG_IPV6)
/*
 * No fragment need be shorter than IPv6's least MTU. Headers that leave no room in it drop the
 * packet: the stack would tell the sender by ICMPv6, and for that ask the route for what this one
 * does not have.
 */
static void ovs_frag_v6(struct net *net, struct sk_buff *skb, struct ovs_frag_route *r, u16 mru)
{
	u8 *next;
	int len = ip6_find_1stfragopt(skb, &next);

	r->mtu = max_t(unsigned int, mru, IPV6_MIN_MTU);
	if (len < 0 || len + sizeof(struct frag_hdr) + 8 > r->mtu) {
		kfree_skb(skb);
		return;
	}
	skb->ignore_df = 1;
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	IP6CB(skb)->frag_max_size = mru;
	skb_dst_set_noref(skb, &r->dst);
	ovs_ip6_fragment(net, skb, ovs_frag_output);
}
#else
static void ovs_frag_v6(struct net *net, struct sk_buff *skb, struct ovs_frag_route *r, u16 mru)
{
	kfree_skb(skb);
}
#endif

/*
 * Sends skb through dev in fragments of at most mru bytes; consumes it. Its L2 header, MPLS labels
 * included, is linear and no longer than OVS_FRAG_L2_MAX, up to the network header, or the inner
 * one behind labels; the L3 header is IPv6's if ipv6, else IPv4's, and then mru has room for it and
 * 8 bytes. internal: up the stack instead of out. net: where fragments are counted and numbered,
 * which dev may have left.
 */
void rust_helper_fragment(struct sk_buff *skb, struct net_device *dev, struct net *net, u16 mru,
			  bool ipv6, bool internal)
{
	struct ovs_frag_route r;
	int l2_len;

	/* B43: what is behind the dst is the route's. */
	BUILD_BUG_ON(offsetof(struct ovs_frag_route, dev) < sizeof(struct rtable));
	BUILD_BUG_ON(offsetof(struct ovs_frag_route, dev) < sizeof(struct rt6_info));
	memset(&r, 0, sizeof(r));
	ovs_dst_init(&r.dst, &ovs_frag_dst_ops);
	dst_init_metrics(&r.dst, r.metrics, true);
	r.dst.dev = dev;
	r.dev = dev;
	r.real_dst = ovs_skb_dst_take(skb);
	r.tagged = skb_vlan_tag_present(skb);
	r.vlan_tci = skb_vlan_tag_get(skb);
	r.vlan_proto = skb->vlan_proto;
	r.internal = internal;
	/* A device without Ethernet header takes frames as payload. */
	r.payload = dev->type == ARPHRD_NONE && skb_network_offset(skb);
	r.mpls = eth_p_mpls(skb->protocol);
	if (r.mpls) {
		r.label = skb_network_offset(skb);
		r.inner_protocol = skb->inner_protocol;
		skb->network_header = skb->inner_network_header;
	}
	l2_len = skb_network_offset(skb);
	if (WARN_ON_ONCE(l2_len < 0 || l2_len > sizeof(r.l2))) {
		refdst_drop(r.real_dst);
		kfree_skb(skb);
		return;
	}
	r.l2_len = l2_len;
	memcpy(r.l2, skb->data, r.l2_len);

	skb_pull(skb, r.l2_len);
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		rust_helper_skb_forget_sum(skb);
	/* A socket may have an MTU of its own, or be none of the IP layer's. */
	skb_orphan(skb);
	if (ipv6)
		ovs_frag_v6(net, skb, &r, mru);
	else
		ovs_frag_v4(net, skb, &r, mru);
	refdst_drop(r.real_dst);
}
