// SPDX-License-Identifier: GPL-2.0
/* sk_buff: macros and inline functions of linux/skbuff.h, linux/if_vlan.h and their neighbours. */
#include <linux/if_vlan.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/sctp/checksum.h>
#include "helpers.h"

/* Inline where there are no tracepoints. */
void rust_helper_consume_skb(struct sk_buff *skb)
{
	consume_skb(skb);
}

u32 rust_helper_skb_get_hash(struct sk_buff *skb)
{
	return skb_get_hash(skb);
}

u32 rust_helper_skb_get_hash_symmetric(struct sk_buff *skb)
{
	return __skb_get_hash_symmetric(skb);
}

struct sk_buff *rust_helper_skb_alloc_linear(unsigned int len)
{
	struct sk_buff *skb = __dev_alloc_skb(NET_IP_ALIGN + len, GFP_KERNEL);

	if (skb)
		skb_reserve(skb, NET_IP_ALIGN);
	return skb;
}

struct sk_buff *rust_helper_skb_share_check(struct sk_buff *skb)
{
	return skb_share_check(skb, GFP_ATOMIC);
}

int rust_helper_pskb_trim(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim(skb, len);
}

/*
 * After something was cut off: a device cannot be asked any more to add a sum from bytes, or into
 * bytes, that are gone. Whoever would have to do it in its place warns, or up to 5.10 ends the
 * kernel (BUG).
 */
void rust_helper_skb_forget_sum(struct sk_buff *skb)
{
	int start = skb_checksum_start_offset(skb);

	if (start < 0 || start + skb->csum_offset + sizeof(__sum16) > skb->len)
		skb->ip_summed = CHECKSUM_NONE;
}

/*
 * Marks, and the place where a sum begins, are distances from the start of the buffer, of 16 bits.
 * Where headers grow beyond that the sum seems to begin before the packet, for which the kernel
 * warns, or up to 5.10 ends (BUG). What devices put in front of it has a page of room.
 */
bool rust_helper_skb_may_grow(const struct sk_buff *skb, unsigned int len)
{
	unsigned int last = skb_transport_header_was_set(skb) ? skb->transport_header : 0;

	if (skb->ip_summed == CHECKSUM_PARTIAL)
		last = max_t(unsigned int, last, skb->csum_start);
	return last + len <= U16_MAX - SZ_4K;
}

void rust_helper_skb_push_rcsum(struct sk_buff *skb, unsigned int len)
{
	skb_push_rcsum(skb, len);
}

/* Moves the in-frame tag of a frame that starts at skb->data beside the data. */
int rust_helper_skb_vlan_untag(struct sk_buff *skb)
{
	__be16 tpid = ((struct ethhdr *)skb->data)->h_proto;
	u16 tci;
	int err;

	skb_reset_mac_header(skb);
	err = __skb_vlan_pop(skb, &tci);
	if (!err)
		__vlan_hwaccel_put_tag(skb, tpid, tci);
	return err;
}

/*
 * A clone of skb with the tag beside its data pushed into them. Some kernels (5.10, 6.12.95) do not
 * look whether there is a header to push it into.
 */
struct sk_buff *rust_helper_skb_clone_vlan_inside(struct sk_buff *skb)
{
	struct sk_buff *nskb = skb_clone(skb, GFP_ATOMIC);

	if (nskb && !pskb_may_pull(nskb, ETH_HLEN)) {
		kfree_skb(nskb);
		return NULL;
	}
	return nskb ? __vlan_hwaccel_push_inside(nskb) : NULL;
}

int rust_helper_skb_eth_push(struct sk_buff *skb, const u8 *dst, const u8 *src)
{
	return ovs_skb_eth_push(skb, dst, src);
}

int rust_helper_skb_eth_pop(struct sk_buff *skb)
{
	return ovs_skb_eth_pop(skb);
}

/* Gives the packet's reference to its connection back. */
void rust_helper_nf_reset_ct(struct sk_buff *skb)
{
	ovs_nf_reset_ct(skb);
}

__le32 rust_helper_sctp_compute_cksum(const struct sk_buff *skb, unsigned int off)
{
	return sctp_compute_cksum(skb, off);
}

/*
 * Whether the segments of an aggregate have at most len bytes. Their headers' length is read from
 * the packet, which the actions before may have changed: no TCP header, no answer.
 */
bool rust_helper_skb_segments_fit(const struct sk_buff *skb, unsigned int len)
{
	if (skb_shinfo(skb)->gso_type & (SKB_GSO_TCPV4 | SKB_GSO_TCPV6) && !skb->encapsulation &&
	    (!skb_transport_header_was_set(skb) || skb_transport_offset(skb) < 0 ||
	     skb_transport_offset(skb) + sizeof(struct tcphdr) > skb_headlen(skb)))
		return false;
	return skb_gso_validate_mac_len(skb, len);
}

/*
 * Segments with paged data, as a list; NULL or an ERR_PTR if there are none. They are those of a
 * clone: whoever cuts up a tunnel's packet leaves it without the outer headers, and of a list of
 * frames the first segment is the packet itself. Fragments of UDP are made in place of the bytes
 * that the clone shares, with IPv6 room for the header is made in front.
 */
struct sk_buff *rust_helper_skb_gso_segment(struct sk_buff *skb)
{
	struct sk_buff *whole = skb_clone(skb, GFP_ATOMIC), *segments;

	if (!whole)
		return ERR_PTR(-ENOMEM);
	if (skb_shinfo(whole)->gso_type & SKB_GSO_UDP &&
	    skb_cow_head(whole, sizeof(struct frag_hdr))) {
		kfree_skb(whole);
		return ERR_PTR(-ENOMEM);
	}
	segments = __skb_gso_segment(whole, NETIF_F_SG, false);
	consume_skb(whole);
	return segments;
}

#ifdef HAVE_DROP_REASON_SUBSYS
void rust_helper_kfree_skb_reason(struct sk_buff *skb, u32 reason)
{
	kfree_skb_reason(skb, reason);
}
#else
void rust_helper_kfree_skb_reason(struct sk_buff *skb, u32 reason)
{
	kfree_skb(skb);
}
#endif

/*
 * Appends len bytes of from to the linear message to: hlen of them copied, for the rest pages
 * shared. skb_zerocopy() ends the kernel (BUG) where hlen is 0 and from's head is in no page, as
 * for a packet of no bytes at all. What only a device can read (devmem) is nothing for userspace.
 */
int rust_helper_skb_append(struct sk_buff *to, struct sk_buff *from, unsigned int len,
			   unsigned int hlen)
{
	if (!len)
		return 0;
	if (!hlen && !from->head_frag)
		return -EINVAL;
	if (!ovs_skb_frags_readable(from))
		return -EFAULT;
	return skb_zerocopy(to, from, len, hlen);
}

int rust_helper_skb_tailroom(const struct sk_buff *skb)
{
	return skb_tailroom(skb);
}
