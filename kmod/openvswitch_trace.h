/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints (spec X3). Names, fields and formats are what programs that attach to the stock
 * module's read; the first arguments are the stock module's, too, for BPF programs that take them
 * by position. Only skb can be looked into: dp and key are addresses of Rust's, a is made up for
 * the event.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM openvswitch

#if !defined(OVS_TRACE_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define OVS_TRACE_EVENTS_H

#include <linux/netlink.h>
#include <linux/skbuff.h>
#include <linux/tracepoint.h>
#include "tables.h"

struct datapath;
struct sw_flow_key;
struct dp_upcall_info;

#ifndef OVS_TRACE_PLACE
/* What both events have, in the order of the stock module's. The name of the key's type differs. */
#define OVS_TRACE_PLACE(key_pointer)			\
	__field(void *, dpaddr)				\
	__string(dp_name, t->dp_name)			\
	__string(dev_name, skb->dev->name)		\
	__field(void *, skbaddr)			\
	__field(unsigned int, len)			\
	__field(unsigned int, data_len)			\
	__field(unsigned int, truesize)			\
	__field(u8, nr_frags)				\
	__field(u16, gso_size)				\
	__field(u16, gso_type)				\
	__field(u32, ovs_flow_hash)			\
	__field(u32, recirc_id)				\
	__field(key_pointer, keyaddr)			\
	__field(u16, key_eth_type)			\
	__field(u8, key_ct_state)			\
	__field(u8, key_ct_orig_proto)			\
	__field(u16, key_ct_zone)			\
	__field(unsigned int, flow_key_valid)

/*
 * __assign_str() has one argument or two, as the kernel is new or old, and old ones copy up to the
 * NUL. The device may get a longer name in between, of its namespace's owner: no more is copied
 * than there was room made for.
 */
#define OVS_TRACE_COPY(field, name) strscpy(__get_str(field), name, __get_dynamic_array_len(field))
#define OVS_TRACE_ASSIGN_PLACE				\
	__entry->dpaddr = dp;				\
	OVS_TRACE_COPY(dp_name, t->dp_name);		\
	OVS_TRACE_COPY(dev_name, skb->dev->name);	\
	__entry->skbaddr = skb;				\
	__entry->len = skb->len;			\
	__entry->data_len = skb->data_len;		\
	__entry->truesize = skb->truesize;		\
	__entry->nr_frags = skb_shinfo(skb)->nr_frags;	\
	__entry->gso_size = skb_shinfo(skb)->gso_size;	\
	__entry->gso_type = skb_shinfo(skb)->gso_type;	\
	__entry->ovs_flow_hash = t->flow_hash;		\
	__entry->recirc_id = t->recirc_id;		\
	__entry->keyaddr = key;				\
	__entry->key_eth_type = (__force u16)t->eth_type; \
	__entry->key_ct_state = t->ct_state;		\
	__entry->key_ct_orig_proto = t->ct_orig_proto;	\
	__entry->key_ct_zone = t->ct_zone;		\
	__entry->flow_key_valid = t->key_valid;
/* The same, in the order of the formats. */
#define OVS_TRACE_SHOW_PLACE				\
	__entry->dpaddr, __get_str(dp_name), __get_str(dev_name), __entry->skbaddr, \
	__entry->len, __entry->data_len, __entry->truesize, __entry->nr_frags, \
	__entry->gso_size, __entry->gso_type, __entry->ovs_flow_hash, \
	__entry->recirc_id, __entry->keyaddr, __entry->key_eth_type, \
	__entry->key_ct_state, __entry->key_ct_orig_proto, __entry->key_ct_zone, \
	__entry->flow_key_valid
#endif

int ovs_trace_actions_begin(void);
void ovs_trace_actions_end(void);
int ovs_trace_upcalls_begin(void);
void ovs_trace_upcalls_end(void);

TRACE_EVENT_FN(ovs_do_execute_action,
	TP_PROTO(struct datapath *dp, struct sk_buff *skb, struct sw_flow_key *key,
		 const struct nlattr *a, int rem, const struct ovs_trace *t),
	TP_ARGS(dp, skb, key, a, rem, t),
	TP_STRUCT__entry(
		OVS_TRACE_PLACE(void *)
		__field(u8, action_type)
		__field(unsigned int, action_len)
		__field(void *, action_data)
		__field(u8, is_last)
	),
	TP_fast_assign(
		OVS_TRACE_ASSIGN_PLACE
		__entry->action_type = nla_type(a);
		__entry->action_len = nla_len(a);
		__entry->action_data = nla_data(a);
		__entry->is_last = a->nla_len == rem;
	),
	TP_printk("dpaddr=%p dp_name=%s dev=%s skbaddr=%p len=%u data_len=%u truesize=%u nr_frags=%d gso_size=%d gso_type=%#x ovs_flow_hash=0x%08x recirc_id=0x%08x keyaddr=%p eth_type=0x%04x ct_state=%02x ct_orig_proto=%02x ct_Zone=%04x flow_key_valid=%d action_type=%u action_len=%u action_data=%p is_last=%d",
		  OVS_TRACE_SHOW_PLACE, __entry->action_type, __entry->action_len,
		  __entry->action_data, __entry->is_last),
	ovs_trace_actions_begin, ovs_trace_actions_end
);

TRACE_EVENT_FN(ovs_dp_upcall,
	TP_PROTO(struct datapath *dp, struct sk_buff *skb, const struct sw_flow_key *key,
		 const struct dp_upcall_info *info, const struct ovs_trace *t),
	TP_ARGS(dp, skb, key, info, t),
	TP_STRUCT__entry(
		OVS_TRACE_PLACE(const void *)
		__field(u8, upcall_cmd)
		__field(u32, upcall_port)
		__field(u16, upcall_mru)
	),
	TP_fast_assign(
		OVS_TRACE_ASSIGN_PLACE
		__entry->upcall_cmd = t->upcall_cmd;
		__entry->upcall_port = t->upcall_port;
		__entry->upcall_mru = t->upcall_mru;
	),
	TP_printk("dpaddr=%p dp_name=%s dev=%s skbaddr=%p len=%u data_len=%u truesize=%u nr_frags=%d gso_size=%d gso_type=%#x ovs_flow_hash=0x%08x recirc_id=0x%08x keyaddr=%p eth_type=0x%04x ct_state=%02x ct_orig_proto=%02x ct_zone=%04x flow_key_valid=%d upcall_cmd=%u upcall_port=%u upcall_mru=%u",
		  OVS_TRACE_SHOW_PLACE, __entry->upcall_cmd, __entry->upcall_port,
		  __entry->upcall_mru),
	ovs_trace_upcalls_begin, ovs_trace_upcalls_end
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE openvswitch_trace
#include <trace/define_trace.h>
