// SPDX-License-Identifier: GPL-2.0
/* The tracepoints: Rust hands over what they show, and is told whether anybody listens. */
#include <linux/openvswitch.h>
#include <net/netlink.h>
#include "tables.h"

#define CREATE_TRACE_POINTS
#include "openvswitch_trace.h"

int ovs_trace_actions_begin(void)
{
	ovs_trace_actions(true);
	return 0;
}

void ovs_trace_actions_end(void)
{
	ovs_trace_actions(false);
}

int ovs_trace_upcalls_begin(void)
{
	ovs_trace_upcalls(true);
	return 0;
}

void ovs_trace_upcalls_end(void)
{
	ovs_trace_upcalls(false);
}

/* The attribute has the length that C's has, but no more of its argument than a number. */
void ovs_trace_action(struct sk_buff *skb, const struct ovs_trace *t, u16 type, u16 len, u32 number,
		      bool last)
{
	struct {
		struct nlattr a;
		u32 argument[4];
	} attr = {
		.a.nla_len = nla_attr_size(len),
		.a.nla_type = type == OVS_TRACE_SET_TO_MASKED ?
			      OVS_ACTION_ATTR_SET_TO_MASKED : type,
		.argument = { number },
	};
	int rem = nla_total_size(len) + (last ? 0 : NLA_HDRLEN);

	trace_ovs_do_execute_action((struct datapath *)t->dp, skb, (struct sw_flow_key *)t->key,
				    &attr.a, rem, t);
}

void ovs_trace_upcall(struct sk_buff *skb, const struct ovs_trace *t)
{
	trace_ovs_dp_upcall((struct datapath *)t->dp, skb, t->key, NULL, t);
}
