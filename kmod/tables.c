// SPDX-License-Identifier: GPL-2.0
/*
 * What is static and native to C: tables of functions that the kernel calls, policies, the module's
 * description. Every entry leads to Rust at once.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/openvswitch.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/rtnetlink.h>
#include "tables.h"

/* ---- internal devices (spec W10, W11) ---- */

static int internal_dev_open(struct net_device *dev)
{
	netif_start_queue(dev);
	return 0;
}

static int internal_dev_stop(struct net_device *dev)
{
	netif_stop_queue(dev);
	return 0;
}

/*
 * The kernel calls this with BH disabled, but for netpoll (netconsole), which sends in any context.
 * In an interrupt, which may have stopped this CPU in the middle of the switch, the switch cannot
 * be entered, nor a device behind its ports.
 */
static netdev_tx_t internal_dev_xmit(struct sk_buff *skb, struct net_device *dev)
{
	if (unlikely(hardirq_count())) {
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	return ovs_internal_dev_xmit(skb, dev);
}

const struct net_device_ops ovs_internal_dev_ops = {
	.ndo_open = internal_dev_open,
	.ndo_stop = internal_dev_stop,
	.ndo_start_xmit = internal_dev_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_get_stats64 = ovs_dev_get_tstats64,
};

static void internal_dev_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	strscpy(info->driver, "openvswitch", sizeof(info->driver));
}

static const struct ethtool_ops internal_dev_ethtool_ops = {
	.get_drvinfo = internal_dev_drvinfo,
	.get_link = ethtool_op_get_link,
};

static struct rtnl_link_ops internal_dev_link_ops __read_mostly = {
	.kind = "openvswitch",
};

#ifndef HAVE_PCPU_STAT_TYPE
static void internal_dev_destructor(struct net_device *dev)
{
	free_percpu(dev->tstats);
	dev->tstats = NULL;
}
#endif

static void internal_dev_setup(struct net_device *dev)
{
	netdev_features_t f = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA | NETIF_F_HW_CSUM |
			      NETIF_F_GSO_SOFTWARE | NETIF_F_GSO_ENCAP_ALL;

	ether_setup(dev);
	dev->max_mtu = ETH_MAX_MTU;
	dev->netdev_ops = &ovs_internal_dev_ops;
	dev->ethtool_ops = &internal_dev_ethtool_ops;
	dev->rtnl_link_ops = &internal_dev_link_ops;
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE | IFF_OPENVSWITCH | IFF_NO_QUEUE;
	dev->needs_free_netdev = true;
	dev->features = f;
	dev->vlan_features = f;
	dev->hw_enc_features = f;
	dev->hw_features = f | NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_STAG_TX;
	dev->features = dev->hw_features;
	ovs_netdev_set_lltx(dev);
	eth_hw_addr_random(dev);
}

/* Not registered yet; ifindex 0 lets the kernel choose. */
struct net_device *ovs_internal_dev_alloc(struct net *net, const char *name, int ifindex)
{
	struct net_device *dev =
		alloc_netdev(sizeof(void *), name, NET_NAME_USER, internal_dev_setup);

	if (!dev)
		return NULL;
#ifdef HAVE_PCPU_STAT_TYPE
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
#else
	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!dev->tstats) {
		free_netdev(dev);
		return NULL;
	}
#endif
	dev_net_set(dev, net);
	dev->ifindex = ifindex;
	return dev;
}

/* For a device that was never registered. */
void ovs_internal_dev_free(struct net_device *dev)
{
#ifndef HAVE_PCPU_STAT_TYPE
	internal_dev_destructor(dev);
#endif
	free_netdev(dev);
}

/*
 * Under RTNL. The destructor is set only after success, so that nothing is freed twice (spec W16).
 */
int ovs_internal_dev_register(struct net_device *dev, bool local)
{
	int err;

	if (local)
		ovs_netdev_set_immovable(dev);
	err = register_netdevice(dev);
	if (err)
		return err;
#ifndef HAVE_PCPU_STAT_TYPE
	dev->priv_destructor = internal_dev_destructor;
#endif
	dev_set_promiscuity(dev, 1);
	netif_start_queue(dev);
	return 0;
}

/* Where the device keeps its vport. */
void **ovs_internal_dev_slot(struct net_device *dev)
{
	return netdev_priv(dev);
}

/* ---- generic netlink families (spec 1.0 to 1.4, 7.1) ---- */

#define TRAMPOLINES(name, id)								\
	static int name##_doit(struct sk_buff *skb, struct genl_info *info)		\
	{										\
		return ovs_genl_doit(skb, info, id);					\
	}

#define DUMP_TRAMPOLINE(name, id)							\
	static int name##_dumpit(struct sk_buff *skb, struct netlink_callback *cb)	\
	{										\
		return ovs_genl_dumpit(skb, cb, id);					\
	}

TRAMPOLINES(dp, OVS_FAM_DATAPATH)
DUMP_TRAMPOLINE(dp, OVS_FAM_DATAPATH)
TRAMPOLINES(vport, OVS_FAM_VPORT)
DUMP_TRAMPOLINE(vport, OVS_FAM_VPORT)
TRAMPOLINES(flow, OVS_FAM_FLOW)
DUMP_TRAMPOLINE(flow, OVS_FAM_FLOW)
TRAMPOLINES(packet, OVS_FAM_PACKET)
TRAMPOLINES(meter, OVS_FAM_METER)
TRAMPOLINES(ct_limit, OVS_FAM_CT_LIMIT)

/* Attribute numbers that the target kernel's own uapi header may be too old for. */
#define DP_MASKS_CACHE_SIZE_ATTR 7
#define DP_IFINDEX_ATTR 9
#define PACKET_HASH_ATTR 11
#define PACKET_UPCALL_PID 12
#define VPORT_UPCALL_STATS 10

static const struct nla_policy dp_policy[DP_IFINDEX_ATTR + 1] = {
	[OVS_DP_ATTR_NAME] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[OVS_DP_ATTR_UPCALL_PID] = { .type = NLA_U32 },
	[OVS_DP_ATTR_USER_FEATURES] = { .type = NLA_U32 },
	[DP_MASKS_CACHE_SIZE_ATTR] = OVS_POLICY_RANGE(NLA_U32, 0, PCPU_MIN_UNIT_SIZE / 8),
	[DP_IFINDEX_ATTR] = OVS_POLICY_MIN(NLA_S32, 0),
};

static const struct nla_policy vport_policy[VPORT_UPCALL_STATS + 1] = {
	[OVS_VPORT_ATTR_NAME] = { .type = NLA_NUL_STRING, .len = IFNAMSIZ - 1 },
	[OVS_VPORT_ATTR_STATS] = { .len = sizeof(struct ovs_vport_stats) },
	[OVS_VPORT_ATTR_PORT_NO] = { .type = NLA_U32 },
	[OVS_VPORT_ATTR_TYPE] = { .type = NLA_U32 },
	[OVS_VPORT_ATTR_UPCALL_PID] = { .type = NLA_UNSPEC },
	[OVS_VPORT_ATTR_OPTIONS] = { .type = NLA_NESTED },
	[OVS_VPORT_ATTR_IFINDEX] = OVS_POLICY_MIN(NLA_S32, 0),
	[OVS_VPORT_ATTR_NETNSID] = { .type = NLA_S32 },
	[VPORT_UPCALL_STATS] = { .type = NLA_NESTED },
};

static const struct nla_policy flow_policy[OVS_FLOW_ATTR_MAX + 1] = {
	[OVS_FLOW_ATTR_KEY] = { .type = NLA_NESTED },
	[OVS_FLOW_ATTR_MASK] = { .type = NLA_NESTED },
	[OVS_FLOW_ATTR_ACTIONS] = { .type = NLA_NESTED },
	[OVS_FLOW_ATTR_CLEAR] = { .type = NLA_FLAG },
	[OVS_FLOW_ATTR_PROBE] = { .type = NLA_FLAG },
	[OVS_FLOW_ATTR_UFID] = { .type = NLA_UNSPEC, .len = 1 },
	[OVS_FLOW_ATTR_UFID_FLAGS] = { .type = NLA_U32 },
};

static const struct nla_policy packet_policy[PACKET_UPCALL_PID + 1] = {
	[OVS_PACKET_ATTR_PACKET] = { .len = ETH_HLEN },
	[OVS_PACKET_ATTR_KEY] = { .type = NLA_NESTED },
	[OVS_PACKET_ATTR_ACTIONS] = { .type = NLA_NESTED },
	[OVS_PACKET_ATTR_PROBE] = { .type = NLA_FLAG },
	[OVS_PACKET_ATTR_MRU] = { .type = NLA_U16 },
	[PACKET_HASH_ATTR] = { .type = NLA_U64 },
	[PACKET_UPCALL_PID] = { .type = NLA_U32 },
};

static const struct nla_policy meter_policy[OVS_METER_ATTR_MAX + 1] = {
	[OVS_METER_ATTR_ID] = { .type = NLA_U32 },
	[OVS_METER_ATTR_KBPS] = { .type = NLA_FLAG },
	[OVS_METER_ATTR_STATS] = { .len = sizeof(struct ovs_flow_stats) },
	[OVS_METER_ATTR_BANDS] = { .type = NLA_NESTED },
	[OVS_METER_ATTR_USED] = { .type = NLA_U64 },
	[OVS_METER_ATTR_CLEAR] = { .type = NLA_FLAG },
	[OVS_METER_ATTR_MAX_METERS] = { .type = NLA_U32 },
	[OVS_METER_ATTR_MAX_BANDS] = { .type = NLA_U32 },
};

static const struct nla_policy ct_limit_policy[OVS_CT_LIMIT_ATTR_MAX + 1] = {
	[OVS_CT_LIMIT_ATTR_ZONE_LIMIT] = { .type = NLA_NESTED },
};

/* What changes something needs CAP_NET_ADMIN over the namespace (spec N6). */
#define OP(fam, command) \
	.cmd = command, OVS_OP_POLICY(fam##_policy) OVS_OP_LIBERAL .doit = fam##_doit
#define CHANGE(fam, command)	{ OP(fam, command), .flags = GENL_UNS_ADMIN_PERM }
#define ASK(fam, command)	{ OP(fam, command) }
#define GET(fam, command)	{ OP(fam, command), .dumpit = fam##_dumpit }

static const struct ovs_genl_ops dp_ops[] = {
	CHANGE(dp, OVS_DP_CMD_NEW),
	CHANGE(dp, OVS_DP_CMD_DEL),
	GET(dp, OVS_DP_CMD_GET),
	CHANGE(dp, OVS_DP_CMD_SET),
};

static const struct ovs_genl_ops vport_ops[] = {
	CHANGE(vport, OVS_VPORT_CMD_NEW),
	CHANGE(vport, OVS_VPORT_CMD_DEL),
	GET(vport, OVS_VPORT_CMD_GET),
	CHANGE(vport, OVS_VPORT_CMD_SET),
};

static const struct ovs_genl_ops flow_ops[] = {
	CHANGE(flow, OVS_FLOW_CMD_NEW),
	CHANGE(flow, OVS_FLOW_CMD_DEL),
	GET(flow, OVS_FLOW_CMD_GET),
	CHANGE(flow, OVS_FLOW_CMD_SET),
};

static const struct ovs_genl_ops packet_ops[] = {
	CHANGE(packet, OVS_PACKET_CMD_EXECUTE),
};

static const struct ovs_genl_ops meter_ops[] = {
	ASK(meter, OVS_METER_CMD_FEATURES),
	CHANGE(meter, OVS_METER_CMD_SET),
	ASK(meter, OVS_METER_CMD_GET),
	CHANGE(meter, OVS_METER_CMD_DEL),
};

static const struct ovs_genl_ops ct_limit_ops[] = {
	CHANGE(ct_limit, OVS_CT_LIMIT_CMD_SET),
	CHANGE(ct_limit, OVS_CT_LIMIT_CMD_DEL),
	ASK(ct_limit, OVS_CT_LIMIT_CMD_GET),
};

static const struct genl_multicast_group dp_group = { .name = OVS_DATAPATH_MCGROUP };
static const struct genl_multicast_group vport_group = { .name = OVS_VPORT_MCGROUP };
static const struct genl_multicast_group flow_group = { .name = OVS_FLOW_MCGROUP };
static const struct genl_multicast_group meter_group = { .name = OVS_METER_MCGROUP };
static const struct genl_multicast_group ct_limit_group = { .name = OVS_CT_LIMIT_MCGROUP };

#define FAMILY(title, ver, fam, last)			\
	.name = title,					\
	.version = ver,					\
	.hdrsize = sizeof(struct ovs_header),		\
	.maxattr = ARRAY_SIZE(fam##_policy) - 1,	\
	OVS_FAMILY_POLICY(fam##_policy)			\
	OVS_FAMILY_OPS(fam##_ops)			\
	OVS_FAMILY_RESV_START_OP((last) + 1)		\
	.netnsok = true,				\
	.parallel_ops = true,				\
	.module = THIS_MODULE
#define GROUP(fam) .mcgrps = &fam##_group, .n_mcgrps = 1

/* In the order of registration (spec N2); indices are enum ovs_family. */
struct genl_family ovs_families[OVS_FAMILIES] __ro_after_init = {
	{ FAMILY(OVS_DATAPATH_FAMILY, OVS_DATAPATH_VERSION, dp, OVS_DP_CMD_SET), GROUP(dp) },
	{ FAMILY(OVS_VPORT_FAMILY, OVS_VPORT_VERSION, vport, OVS_VPORT_CMD_SET), GROUP(vport) },
	{ FAMILY(OVS_FLOW_FAMILY, OVS_FLOW_VERSION, flow, OVS_FLOW_CMD_SET), GROUP(flow) },
	{ FAMILY(OVS_PACKET_FAMILY, OVS_PACKET_VERSION, packet, OVS_PACKET_CMD_EXECUTE) },
	{ FAMILY(OVS_METER_FAMILY, OVS_METER_VERSION, meter, OVS_METER_CMD_GET), GROUP(meter) },
	{ FAMILY(OVS_CT_LIMIT_FAMILY, OVS_CT_LIMIT_VERSION, ct_limit, OVS_CT_LIMIT_CMD_GET),
	  GROUP(ct_limit) },
};

/* Limits, the last family, are there only where connections can be counted. */
#define REGISTERED (IS_ENABLED(CONFIG_NETFILTER_CONNCOUNT) ? OVS_FAMILIES : OVS_FAM_CT_LIMIT)

static int register_families(void)
{
	int i, err;

	for (i = 0; i < REGISTERED; i++) {
		err = genl_register_family(&ovs_families[i]);
		if (err) {
			while (i--)
				genl_unregister_family(&ovs_families[i]);
			return err;
		}
	}
	return 0;
}

static void unregister_families(void)
{
	int i;

	for (i = 0; i < REGISTERED; i++)
		genl_unregister_family(&ovs_families[i]);
}

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
	int err = rtnl_link_register(&internal_dev_link_ops);

	if (err)
		return err;
	err = register_pernet_device(&net_ops);
	if (err)
		goto unlink;
	err = register_netdevice_notifier(&device_notifier);
	if (err)
		goto unpernet;
	err = register_families();
	if (err)
		goto unnotify;
	register_drop_reasons();
	return 0;

unnotify:
	unregister_netdevice_notifier(&device_notifier);
unpernet:
	unregister_pernet_device(&net_ops);
unlink:
	rtnl_link_unregister(&internal_dev_link_ops);
	return err;
}

void ovs_tables_unregister(void)
{
	unregister_families();
	unregister_drop_reasons();
	unregister_netdevice_notifier(&device_notifier);
	unregister_pernet_device(&net_ops);
	rtnl_link_unregister(&internal_dev_link_ops);
}

/* Author, description and license: kmod/main.rs. */
MODULE_VERSION(__stringify(OVS_VERSION)); /* the file VERSION, by way of Kbuild */
MODULE_ALIAS_GENL_FAMILY(OVS_DATAPATH_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_VPORT_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_FLOW_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_PACKET_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_METER_FAMILY);
MODULE_ALIAS_GENL_FAMILY(OVS_CT_LIMIT_FAMILY);
