// SPDX-License-Identifier: GPL-2.0
/* Generic netlink: inline functions of net/genetlink.h and net/netlink.h. */
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "helpers.h"

struct net *rust_helper_genl_info_net(struct genl_info *info)
{
	return genl_info_net(info);
}

struct net *rust_helper_skb_sk_net(const struct sk_buff *skb)
{
	return sock_net(skb->sk);
}

u32 rust_helper_netlink_cb_portid(struct netlink_callback *cb)
{
	return NETLINK_CB(cb->skb).portid;
}

struct netlink_ext_ack *rust_helper_netlink_cb_extack(const struct netlink_callback *cb)
{
	return ovs_netlink_cb_extack(cb);
}

struct sk_buff *rust_helper_nlmsg_alloc(unsigned int size, bool atomic)
{
	return alloc_skb(size, atomic ? GFP_ATOMIC : GFP_KERNEL);
}

int rust_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

int rust_helper_genlmsg_unicast(struct net *net, struct sk_buff *skb, u32 portid)
{
	return genlmsg_unicast(net, skb, portid);
}

int rust_helper_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
					struct sk_buff *skb)
{
	return genlmsg_multicast_netns(family, net, skb, 0, 0, GFP_KERNEL);
}

bool rust_helper_family_has_listeners(const struct genl_family *family, struct net *net)
{
	return genl_has_listeners(family, net, 0);
}

void rust_helper_genl_set_err(const struct genl_family *family, struct net *net, int err)
{
	genl_set_err(family, net, 0, 0, err);
}
