// SPDX-License-Identifier: GPL-2.0
/* Samples of packets, with the probability by which they were chosen (spec A14). */
#include <linux/skbuff.h>
#include <net/psample.h>
#include "helpers.h"

#if defined(HAVE_PSAMPLE_PROBABILITY) && IS_ENABLED(CONFIG_PSAMPLE)
void rust_helper_psample(struct net *net, const struct sk_buff *skb,
			 const struct ovs_sample *sample)
{
	struct psample_group group = { .net = net, .group_num = sample->group };
	struct psample_metadata md = {
		.trunc_size = sample->len,
		.in_ifindex = sample->in_ifindex,
		.rate_as_probability = 1,
		.user_cookie = sample->cookie,
		.user_cookie_len = sample->cookie_len,
	};

	psample_sample_packet(&group, skb, sample->probability, &md);
}
#else
void rust_helper_psample(struct net *net, const struct sk_buff *skb,
			 const struct ovs_sample *sample)
{
}
#endif
