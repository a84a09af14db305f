// SPDX-License-Identifier: GPL-2.0
/*
 * Internal devices (spec W10, W11): what the kernel calls of them. Packets lead to Rust at once.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/hardirq.h>
#include <linux/netdevice.h>
#include <net/rtnetlink.h>
#include "tables.h"

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
		dev->stats.tx_dropped++;
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

struct rtnl_link_ops ovs_internal_link_ops __read_mostly = {
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
	dev->rtnl_link_ops = &ovs_internal_link_ops;
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
