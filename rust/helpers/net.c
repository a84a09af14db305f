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

bool rust_helper_net_eq(const struct net *a, const struct net *b)
{
	return net_eq(a, b);
}

int rust_helper_peernet2id_alloc(struct net *net, struct net *peer)
{
	return peernet2id_alloc(net, peer, GFP_ATOMIC);
}
