// SPDX-License-Identifier: GPL-2.0
/* Network service headers. */
#include <linux/skbuff.h>
#include <net/nsh.h>
#include "helpers.h"

/*
 * header has the length that it says. A kernel without NSH could not cut up aggregates that have
 * one.
 */
#if IS_ENABLED(CONFIG_NET_NSH)
int rust_helper_nsh_push(struct sk_buff *skb, const u8 *header)
{
	return nsh_push(skb, (const struct nshhdr *)header);
}

int rust_helper_nsh_pop(struct sk_buff *skb)
{
	return nsh_pop(skb);
}
#else
int rust_helper_nsh_push(struct sk_buff *skb, const u8 *header)
{
	return -EAFNOSUPPORT;
}

int rust_helper_nsh_pop(struct sk_buff *skb)
{
	return -EAFNOSUPPORT;
}
#endif
