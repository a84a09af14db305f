// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink families (spec 1.0 to 1.4, 7.1): their policies, and their requests, which lead to
 * Rust at once.
 */
#include <linux/module.h>
#include <linux/openvswitch.h>
#include <net/genetlink.h>
#include "tables.h"

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

int ovs_families_register(void)
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

void ovs_families_unregister(void)
{
	int i;

	for (i = 0; i < REGISTERED; i++)
		genl_unregister_family(&ovs_families[i]);
}
