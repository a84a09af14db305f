// SPDX-License-Identifier: GPL-2.0
/* Namespaces and what else is small. */
#include <linux/net.h>
#include <linux/random.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "helpers.h"

void *rust_helper_net_generic(const struct net *net, unsigned int id)
{
	return net_generic(net, id);
}

int rust_helper_peernet2id_alloc(struct net *net, struct net *peer)
{
	return ovs_peernet2id_alloc(net, peer);
}
