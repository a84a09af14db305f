// SPDX-License-Identifier: GPL-2.0
/*
 * What is static and native to C beside devices (device.c) and families (families.c): namespaces, drop
 * reasons, the order in which all of it is registered, the module's description.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/openvswitch.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/rtnetlink.h>
#include "tables.h"

/* ---- namespaces (spec X9) ---- */

unsigned int ovs_net_id __ro_after_init;

static int net_init(struct net *net)
{
	struct ovs_net *on = net_generic(net, ovs_net_id);
	int err;

	on->net = net;
	INIT_WORK(&on->notify, ovs_net_notify);
	INIT_DELAYED_WORK(&on->rebalance, ovs_net_rebalance);
	err = ovs_net_init_state(on);
	if (!err)
		ovs_net_rearm(on);
	return err;
}

/* Datapaths go while works may still run, and both before the state (spec W17). */
static void net_exit(struct net *net)
{
	struct ovs_net *on = net_generic(net, ovs_net_id);

	ovs_net_exit_state(on);
	cancel_delayed_work_sync(&on->rebalance);
	cancel_work_sync(&on->notify);
	ovs_net_free_state(on);
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.exit = net_exit,
	.id = &ovs_net_id,
	.size = sizeof(struct ovs_net),
};

void ovs_net_queue_notify(struct net *net)
{
	struct ovs_net *on = net_generic(net, ovs_net_id);

	queue_work(ovs_wq, &on->notify);
}

#define REBALANCE_MS 4000

void ovs_net_rearm(struct ovs_net *on)
{
	schedule_delayed_work(&on->rebalance, msecs_to_jiffies(REBALANCE_MS));
}

struct ovs_net *ovs_net_of_notify(struct work_struct *work)
{
	return container_of(work, struct ovs_net, notify);
}

struct ovs_net *ovs_net_of_rebalance(struct work_struct *work)
{
	return container_of(to_delayed_work(work), struct ovs_net, rebalance);
}

static struct notifier_block device_notifier = {
	.notifier_call = ovs_device_event,
};

/* ---- drop reasons (spec X1) ---- */

#ifdef HAVE_DROP_REASON_SUBSYS
static const char * const drop_reasons[] = {
	[1] = "OVS_DROP_LAST_ACTION",
	"OVS_DROP_ACTION_ERROR",
	"OVS_DROP_EXPLICIT",
	"OVS_DROP_EXPLICIT_WITH_ERROR",
	"OVS_DROP_METER",
	"OVS_DROP_RECURSION_LIMIT",
	"OVS_DROP_DEFERRED_LIMIT",
	"OVS_DROP_FRAG_L2_TOO_LONG",
	"OVS_DROP_FRAG_INVALID_PROTO",
	"OVS_DROP_CONNTRACK",
	"OVS_DROP_IP_TTL",
};

static struct drop_reason_list drop_reason_list = {
	.reasons = (const char **)drop_reasons,
	.n_reasons = ARRAY_SIZE(drop_reasons),
};

static void register_drop_reasons(void)
{
	drop_reasons_register_subsys(SKB_DROP_REASON_SUBSYS_OPENVSWITCH, &drop_reason_list);
}

static void unregister_drop_reasons(void)
{
	drop_reasons_unregister_subsys(SKB_DROP_REASON_SUBSYS_OPENVSWITCH);
}
#else
static void register_drop_reasons(void) { }
static void unregister_drop_reasons(void) { }
#endif

/* One reference for each vport, so that the module stays while a datapath lives (spec X8). */
bool ovs_module_get(void)
{
	return try_module_get(THIS_MODULE);
}

void ovs_module_put(void)
{
	module_put(THIS_MODULE);
}

/* ---- all of them (spec X7) ---- */

int ovs_tables_register(void)
{
	int err = rtnl_link_register(&ovs_internal_link_ops);

	if (err)
		return err;
	err = register_pernet_device(&net_ops);
	if (err)
		goto unlink;
	err = register_netdevice_notifier(&device_notifier);
	if (err)
		goto unpernet;
	err = ovs_families_register();
	if (err)
		goto unnotify;
	register_drop_reasons();
	return 0;

unnotify:
	unregister_netdevice_notifier(&device_notifier);
unpernet:
	unregister_pernet_device(&net_ops);
unlink:
	rtnl_link_unregister(&ovs_internal_link_ops);
	return err;
}

void ovs_tables_unregister(void)
{
	ovs_families_unregister();
	unregister_drop_reasons();
	unregister_netdevice_notifier(&device_notifier);
	unregister_pernet_device(&net_ops);
	rtnl_link_unregister(&ovs_internal_link_ops);
}

/* Author, description and license: kmod/main.rs. */
MODULE_VERSION(__stringify(OVS_VERSION)); /* the file VERSION, by way of Kbuild */
MODULE_ALIAS_GENL_FAMILY(OVS_DATAPATH_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_VPORT_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_FLOW_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_PACKET_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_METER_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_CT_LIMIT_FAMILY);
