// SPDX-License-Identifier: GPL-2.0
/* MPLS labels between, or in front of, a packet's headers. */
#include <linux/skbuff.h>
#include "helpers.h"

/*
 * After the first l2_len bytes, an Ethernet header if there are any. They are linear and start at
 * the MAC header.
 */
int rust_helper_skb_mpls_push(struct sk_buff *skb, __be32 entry, __be16 type, int l2_len)
{
	return ovs_skb_mpls_push(skb, entry, type, l2_len);
}

/* Takes the outermost label away; nothing if the packet is not MPLS. */
int rust_helper_skb_mpls_pop(struct sk_buff *skb, __be16 type, bool ethernet)
{
	int l2_len = skb->mac_len;

	if (!eth_p_mpls(skb->protocol))
		return 0;
	/* Where the label is read must be where it is taken away. */
	if (skb_network_offset(skb) != l2_len)
		return -EINVAL;
	if (!pskb_may_pull(skb, l2_len + sizeof(__be32)))
		return -ENOMEM;
	skb_reset_mac_header(skb);
	return ovs_skb_mpls_pop(skb, type, l2_len, ethernet);
}
