// SPDX-License-Identifier: GPL-2.0
/*
 * Tunnel devices that collect metadata, as their drivers make them for a switch (spec W21, W22).
 *
 * The drivers' functions are asked for by name, when a device is wanted: as imports they would have
 * whoever loads this module load all the drivers, and keep it from loading where a kernel is built
 * without one. What is found that way is not compared by its CRC. Of what is handed over only
 * struct vxlan_config could differ between kernels of the same release, and it is all integers and
 * addresses.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/geneve.h>
#include <net/gre.h>
#include <net/rtnetlink.h>
#include <net/vxlan.h>
#include "helpers.h"

#ifdef HAVE_GRETAP_FB_DEV_CREATE
static void *gretap_get(void)
{
	return symbol_request(gretap_fb_dev_create);
}

static void gretap_put(void)
{
	symbol_put(gretap_fb_dev_create);
}

static struct net_device *gretap_create(void *create, struct net *net, const char *name)
{
	typeof(gretap_fb_dev_create) *f = create;

	return f(net, name, NET_NAME_USER);
}
#else
static void *gretap_get(void)
{
	return NULL;
}

static void gretap_put(void)
{
}

static struct net_device *gretap_create(void *create, struct net *net, const char *name)
{
	return ERR_PTR(-EAFNOSUPPORT);
}
#endif

#ifdef HAVE_VXLAN_DEV_CREATE
static void *vxlan_get(void)
{
	return symbol_request(vxlan_dev_create);
}

static void vxlan_put(void)
{
	symbol_put(vxlan_dev_create);
}

static struct net_device *vxlan_create(void *create, struct net *net, const char *name, u16 *port,
				       bool gbp)
{
	typeof(vxlan_dev_create) *f = create;
	struct vxlan_config conf = {
		.no_share = true,
		.flags = VXLAN_F_COLLECT_METADATA | VXLAN_F_UDP_ZERO_CSUM6_RX |
			(gbp ? VXLAN_F_GBP : 0),
		.mtu = IP_MAX_MTU, /* what is too large for the path is nobody's business here */
		.dst_port = htons(*port),
	};
	struct net_device *dev = f(net, name, NET_NAME_USER, &conf);

	*port = ntohs(conf.dst_port); /* for 0 the driver has chosen its own */
	return dev;
}
#else
static void *vxlan_get(void)
{
	return NULL;
}

static void vxlan_put(void)
{
}

static struct net_device *vxlan_create(void *create, struct net *net, const char *name, u16 *port,
				       bool gbp)
{
	return ERR_PTR(-EAFNOSUPPORT);
}
#endif

#ifdef HAVE_GENEVE_DEV_CREATE_FB
static void *geneve_get(void)
{
	return symbol_request(geneve_dev_create_fb);
}

static void geneve_put(void)
{
	symbol_put(geneve_dev_create_fb);
}

static struct net_device *geneve_create(void *create, struct net *net, const char *name, u16 port)
{
	typeof(geneve_dev_create_fb) *f = create;

	return f(net, name, NET_NAME_USER, port);
}
#else
static void *geneve_get(void)
{
	return NULL;
}

static void geneve_put(void)
{
}

static struct net_device *geneve_create(void *create, struct net *net, const char *name, u16 port)
{
	return ERR_PTR(-EAFNOSUPPORT);
}
#endif

/*
 * The driver's function, with a reference on its module, which is loaded if need be; NULL if there
 * is none, or if this kernel's makes no devices for others. May sleep for long.
 */
void *rust_helper_tunnel_driver_get(enum ovs_tunnel_driver driver)
{
	switch (driver) {
	case OVS_DRIVER_GRETAP:
		return gretap_get();
	case OVS_DRIVER_VXLAN:
		return vxlan_get();
	case OVS_DRIVER_GENEVE:
		return geneve_get();
	}
	return NULL;
}

/* Gives the reference back. Any context. */
void rust_helper_tunnel_driver_put(enum ovs_tunnel_driver driver)
{
	switch (driver) {
	case OVS_DRIVER_GRETAP:
		gretap_put();
		break;
	case OVS_DRIVER_VXLAN:
		vxlan_put();
		break;
	case OVS_DRIVER_GENEVE:
		geneve_put();
		break;
	}
}

/*
 * Makes a device by what rust_helper_tunnel_driver_get() found, which is held. Under RTNL. It is
 * down.
 */
int rust_helper_tunnel_dev_create(enum ovs_tunnel_driver driver, void *create, struct net *net,
				  const char *name, u16 *port, bool gbp, struct net_device **dev)
{
	*dev = ERR_PTR(-EAFNOSUPPORT);
	switch (driver) {
	case OVS_DRIVER_GRETAP:
		*dev = gretap_create(create, net, name);
		break;
	case OVS_DRIVER_VXLAN:
		*dev = vxlan_create(create, net, name, port, gbp);
		break;
	case OVS_DRIVER_GENEVE:
		*dev = geneve_create(create, net, name, *port);
		break;
	}
	return PTR_ERR_OR_ZERO(*dev);
}

/* What `ip link set up` does. Under RTNL. */
int rust_helper_dev_set_up(struct net_device *dev)
{
	return ovs_dev_change_flags(dev, dev->flags | IFF_UP);
}

/*
 * Has its driver put a registered device among those that are to be unregistered, as `ip link
 * delete` does. Under RTNL.
 */
void rust_helper_dev_delete(struct net_device *dev, struct list_head *leaving)
{
	const struct rtnl_link_ops *ops = dev->rtnl_link_ops;

	if (ops && ops->dellink)
		ops->dellink(dev, leaving);
	else
		unregister_netdevice_queue(dev, leaving);
}
