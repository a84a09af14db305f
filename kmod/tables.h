/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C files and the Rust half of kmod/ want of each other. Each Rust function here is called by
 * address; the file in kmod/ that defines it says in which context.
 */
#ifndef OVS_TABLES_H
#define OVS_TABLES_H

#include <linux/netdevice.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include "compat.h"

/* Number of a family, the same as datapath::env::Group. */
enum ovs_family {
	OVS_FAM_DATAPATH, OVS_FAM_VPORT, OVS_FAM_FLOW, OVS_FAM_PACKET, OVS_FAM_METER,
	OVS_FAM_CT_LIMIT, OVS_FAMILIES
};

/* A namespace's part of the module: Rust's state and the work that runs for it. */
struct ovs_net {
	void *state;
	struct net *net;
	struct work_struct notify;
	struct delayed_work rebalance;
};

/*
 * What the tracepoints show of a packet's place in the switch, whose addresses they show, too (spec
 * X3).
 */
struct ovs_trace {
	const void *dp;
	const void *key;
	char dp_name[IFNAMSIZ];
	u32 flow_hash;
	u32 recirc_id;
	u32 upcall_port;
	__be16 eth_type;
	u16 ct_zone;
	u16 upcall_mru;
	u8 upcall_cmd;
	u8 ct_state;
	u8 ct_orig_proto;
	bool key_valid;
};

/* Stands for OVS_ACTION_ATTR_SET_TO_MASKED, whose number is the kernel's. */
#define OVS_TRACE_SET_TO_MASKED 0xffff

/* device.c */
extern const struct net_device_ops ovs_internal_dev_ops;
extern struct rtnl_link_ops ovs_internal_link_ops;
struct net_device *ovs_internal_dev_alloc(struct net *net, const char *name, int ifindex);
void ovs_internal_dev_free(struct net_device *dev);
int ovs_internal_dev_register(struct net_device *dev, bool local);
void **ovs_internal_dev_slot(struct net_device *dev);

/* families.c */
extern struct genl_family ovs_families[OVS_FAMILIES];
int ovs_families_register(void);
void ovs_families_unregister(void);

/* tables.c */
extern unsigned int ovs_net_id;
void ovs_net_queue_notify(struct net *net);
void ovs_net_rearm(struct ovs_net *on);
struct ovs_net *ovs_net_of_notify(struct work_struct *work);
struct ovs_net *ovs_net_of_rebalance(struct work_struct *work);
bool ovs_module_get(void);
void ovs_module_put(void);
int ovs_tables_register(void);
void ovs_tables_unregister(void);

/* trace.c */
void ovs_trace_action(struct sk_buff *skb, const struct ovs_trace *t, u16 type, u16 len, u32 number,
		      bool last);
void ovs_trace_upcall(struct sk_buff *skb, const struct ovs_trace *t);

/* Rust */
void ovs_trace_actions(bool on);
void ovs_trace_upcalls(bool on);
netdev_tx_t ovs_internal_dev_xmit(struct sk_buff *skb, struct net_device *dev);
int ovs_genl_doit(struct sk_buff *skb, struct genl_info *info, unsigned int family);
int ovs_genl_dumpit(struct sk_buff *skb, struct netlink_callback *cb, unsigned int family);
int ovs_device_event(struct notifier_block *nb, unsigned long event, void *info);
int ovs_net_init_state(struct ovs_net *on);
void ovs_net_exit_state(struct ovs_net *on);
void ovs_net_free_state(struct ovs_net *on);
void ovs_net_notify(struct work_struct *work);
void ovs_net_rebalance(struct work_struct *work);

#endif
