// SPDX-License-Identifier: GPL-2.0
/* net_device: macros and inline functions of linux/netdevice.h. */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/dst.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/xfrm.h>
#include "helpers.h"

#ifdef HAVE_DEV_STATS_INC
#define OVS_STATS_INC(dev, field) DEV_STATS_INC(dev, field)
#else
#define OVS_STATS_INC(dev, field) ((dev)->stats.field++)
#endif

int rust_helper_dev_xmit(struct sk_buff *skb, struct net_device *dev)
{
	skb->dev = dev;
	ovs_skb_clear_tstamp(skb);
	return dev_queue_xmit(skb);
}

/* Hands a frame, data at its Ethernet header, to the stack above dev (spec W15). */
void rust_helper_dev_receive(struct sk_buff *skb, struct net_device *dev)
{
	skb->dev = dev;
	ovs_skb_clear_tstamp(skb);
	if (unlikely(!(dev->flags & IFF_UP))) {
		kfree_skb(skb);
		OVS_STATS_INC(dev, rx_dropped);
		return;
	}
	skb_dst_drop(skb);
	ovs_nf_reset_ct(skb);
	ovs_secpath_reset(skb);
	skb->pkt_type = PACKET_HOST;
	skb->protocol = eth_type_trans(skb, dev);
	skb_postpull_rcsum(skb, eth_hdr(skb), ETH_HLEN);
	ovs_dev_count_rx(dev, skb->len);
	netif_rx(skb);
}

void rust_helper_dev_count_tx_error(struct net_device *dev)
{
	OVS_STATS_INC(dev, tx_errors);
}

void rust_helper_dev_count_tx(struct net_device *dev, unsigned int len)
{
	ovs_dev_count_tx(dev, len);
}

void rust_helper_dev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

void rust_helper_dev_put(struct net_device *dev)
{
	dev_put(dev);
}

void rust_helper_netif_stop_queue(struct net_device *dev)
{
	netif_stop_queue(dev);
}

/* The device after dev in its namespace, or with NULL the first. Under RTNL. */
struct net_device *rust_helper_next_net_device(struct net *net, struct net_device *dev)
{
	return dev ? next_net_device(dev) : first_net_device(net);
}

unsigned int rust_helper_netdev_get_fwd_headroom(struct net_device *dev)
{
	return netdev_get_fwd_headroom(dev);
}

void rust_helper_netdev_set_rx_headroom(struct net_device *dev, int headroom)
{
	netdev_set_rx_headroom(dev, headroom);
}

void rust_helper_netdev_reset_rx_headroom(struct net_device *dev)
{
	netdev_reset_rx_headroom(dev);
}

bool rust_helper_netif_is_ovs_port(const struct net_device *dev)
{
	return netif_is_ovs_port(dev);
}

void rust_helper_netif_set_ovs_port(struct net_device *dev)
{
	dev->priv_flags |= IFF_OVS_DATAPATH;
}

void rust_helper_netif_clear_ovs_port(struct net_device *dev)
{
	/* Ordered after everything that detaching did before (spec W6). */
	smp_wmb();
	dev->priv_flags &= ~IFF_OVS_DATAPATH;
}

bool rust_helper_netif_is_registered(const struct net_device *dev)
{
	return dev->reg_state == NETREG_REGISTERED;
}
