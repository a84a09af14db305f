// SPDX-License-Identifier: GPL-2.0
/* What rules of tc say of a packet that they let go on to the switch (spec D8, K21). */
#include <linux/skbuff.h>
#include <net/pkt_cls.h>
#include "helpers.h"

#ifdef HAVE_TC_SKB_EXT
#ifndef HAVE_TC_SKB_EXT_KEY
/* Until 5.18 tc told it unasked, and listening or not was the switch's own affair. */
static DEFINE_STATIC_KEY_FALSE(ovs_tc_shared);
#define tc_skb_ext_tc_enabled() static_branch_unlikely(&ovs_tc_shared)
#define tc_skb_ext_tc_enable() static_branch_inc(&ovs_tc_shared)
#define tc_skb_ext_tc_disable() static_branch_dec(&ovs_tc_shared)
#endif

#ifdef HAVE_TC_SKB_EXT_ACT_MISS
#define OVS_TC_CHAIN(ext) ((ext)->act_miss ? 0 : (ext)->chain)
#else
#define OVS_TC_CHAIN(ext) ((ext)->chain)
#endif
#ifdef HAVE_TC_SKB_EXT_POST_CT
#define OVS_TC_POST_CT(ext) ((ext)->post_ct)
#else
#define OVS_TC_POST_CT(ext) false
#endif
#ifdef HAVE_TC_SKB_EXT_ZONE
#define OVS_TC_ZONE(ext) ((ext)->zone)
#else
#define OVS_TC_ZONE(ext) 0
#endif
/* Where tc does not say what it has translated, the connection does. */
#ifdef HAVE_TC_SKB_EXT_NAT
#define OVS_TC_SNAT(ext) ((ext)->post_ct_snat)
#define OVS_TC_DNAT(ext) ((ext)->post_ct_dnat)
#else
#define OVS_TC_SNAT(ext) true
#define OVS_TC_DNAT(ext) true
#endif

void rust_helper_tc_share(bool on)
{
	if (on)
		tc_skb_ext_tc_enable();
	else
		tc_skb_ext_tc_disable();
}

bool rust_helper_tc_ext(const struct sk_buff *skb, struct ovs_tc_ext *ext)
{
	const struct tc_skb_ext *tc;

	if (!tc_skb_ext_tc_enabled())
		return false;
	tc = skb_ext_find(skb, TC_SKB_EXT);
	if (!tc)
		return false;
	*ext = (struct ovs_tc_ext) {
		.chain = OVS_TC_CHAIN(tc),
		.mru = tc->mru,
		.zone = skb_get_nfct(skb) ? 0 : OVS_TC_ZONE(tc),
		.post_ct = OVS_TC_POST_CT(tc),
		.snat = OVS_TC_SNAT(tc),
		.dnat = OVS_TC_DNAT(tc),
	};
	return true;
}
#else
void rust_helper_tc_share(bool on)
{
}

bool rust_helper_tc_ext(const struct sk_buff *skb, struct ovs_tc_ext *ext)
{
	return false;
}
#endif
